//! What a request costs.

mod estimate;

pub use estimate::{Estimate, estimate, price_of};
