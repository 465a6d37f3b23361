//! What an answer costs, and what may be spent and asked for.

mod account;
mod bill;
mod crossing;
mod demand;
mod drift;
mod efficiency;
mod minute;
pub mod pacing;
mod price;
mod spending;

pub use account::{Account, Claim, Shortage};
pub use bill::{Bill, Heard};
pub use crossing::{Crossing, budget_alerts};
pub use demand::Demand;
pub use drift::{ACCEPTED_AFTER, Drift};
pub use efficiency::{Purchase, Purchases};
pub use minute::Minute;
pub use price::price_of;
pub use spending::Spending;
