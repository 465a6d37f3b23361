//! What a request costs, and what may be spent and asked for.

mod account;
mod bill;
mod crossing;
mod estimate;
mod minute;
pub mod pacing;
mod spending;

pub use account::{Account, Claim, Shortage};
pub use bill::{Bill, Heard};
pub use crossing::{Crossing, budget_alerts};
pub use estimate::{Estimate, estimate, most, price_of};
pub use minute::Minute;
pub use spending::Spending;
