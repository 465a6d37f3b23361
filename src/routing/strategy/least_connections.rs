//! The fewest requests in flight for its weight.

use crate::routing::Candidate;

/// `(in flight + 1) / weight`: the load after this request.
pub(super) fn score(candidate: &Candidate<'_>) -> f64 {
    f64::from(candidate.record.in_flight().saturating_add(1)) / candidate.backend.weight.ratio()
}
