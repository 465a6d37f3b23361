//! The least money for what it brings.

use super::quality_based::{observed, performance};
use crate::cost::estimate;
use crate::domain::Timestamp;
use crate::routing::{Ask, Candidate};

/// `estimated cost / (quality · performance)`, of this request. One pico-USD is added to the cost, so that of several
/// free backends the better one wins.
pub(super) fn score(candidate: &Candidate<'_>, ask: &Ask<'_>, now: Timestamp) -> f64 {
    let cost = estimate(candidate.backend, candidate.record, ask.facts, ask.text).cost;
    let value = observed(candidate, now) * performance(candidate, now);
    (cost.0 as f64 + 1.0) / value.max(1e-6)
}
