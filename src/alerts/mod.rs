//! What an operator is told of without asking.
//!
//! ```text
//!   records ──► reading: good or bad? ──► board: raised once, cleared once ──► outbox ──► letter: what is posted
//! ```
//!
//! Metrics tell an operator everything, if there is somebody who reads them. Alerts are for those who have no Prometheus
//! beside their Envoy: the few things that somebody should look at, from the very records that requests are routed by.
//! All of it is arithmetic on what lies in shared data; looking, sending and logging is [`upkeep`](crate::upkeep)'s.

mod alert;
mod board;
mod letter;
mod money;
mod outbox;
mod reading;
#[cfg(test)]
mod tests;

pub use alert::{Alert, AlertKind, Cause, Severity};
pub use board::{Board, Changes, Costs, KEY, RECENT, STEADY, Terms};
pub use letter::letter;
pub use money::{Payer, budgets, drift};
pub use outbox::{Batch, Delivery, Outbox, Sent, TIMEOUT};
pub use reading::{Reading, Sight, Sign, admin, availability, is_available, of_backend};
