//! What all workers know together.
//!
//! Envoy gives each worker a VM of its own; what they share is a process-wide map of bytes. One [`Record`] per backend
//! lies there, and every change to it is a compare-and-swap, so that what must be exact (requests in flight, the
//! breaker) is. Each VM keeps a [`View`]: its copy of all records, which deciding reads; the tick refreshes it, and so
//! does every change that the VM makes itself.

mod auditor;
mod books;
mod details;
mod journal;
mod ledger;
mod members;
mod memory;
mod notice;
mod outcome;
mod receipts;
mod record;
mod refused;
mod rotation;
mod store;
mod view;
mod waiting;
mod warnings;

pub use auditor::{Audited, Auditor, audited, purchases};
pub use books::{Books, Reservation, Spent};
pub use details::{details, note_details};
pub use journal::{Journal, Page};
pub use ledger::{AccountKey, Ledger, Line};
pub use members::Members;
pub use memory::MemoryStore;
pub use notice::{Notice, Signal};
pub use outcome::{Counted, Outcome};
pub use receipts::{Receipts, Wanted};
pub use record::{Load, Record, RecordError};
pub use refused::{RefusedConfiguration, last_refused, note_refused, settle_refused};
pub use rotation::{Cursor, Smooth};
pub use store::{Cas, Store, StoreError, update};
pub use view::{Leaving, Place, UploadId, View};
pub use waiting::{Backends, Departure, Lane, Newcomer, Position, Ticket, WaitingList};
pub use warnings::{Sightings, Warning, create_warnings, warnings};
