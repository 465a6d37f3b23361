//! The best answers.

use crate::domain::Timestamp;
use crate::routing::Candidate;

/// The negated composite quality: the lowest score wins.
pub(super) fn score(candidate: &Candidate<'_>, now: Timestamp) -> f64 {
    -composite_quality(candidate, now)
}

/// `0.4 · configured + 0.3 · observed + 0.2 · reliability + 0.1 · performance`, each in `0..=1`.
///
/// Observed is the configured quality times the share of answers that came at all: an answer that failed is worth
/// nothing.
pub fn composite_quality(candidate: &Candidate<'_>, now: Timestamp) -> f64 {
    let quality = candidate.backend.quality.ratio();
    let reliability = candidate.backend.reliability.ratio();
    0.4 * quality + 0.3 * observed(candidate, now) + 0.2 * reliability + 0.1 * performance(candidate, now)
}

/// Quality as the answers so far show it.
pub(super) fn observed(candidate: &Candidate<'_>, now: Timestamp) -> f64 {
    candidate.backend.quality.ratio() * candidate.record.health(candidate.backend, now)
}

/// `min(1, 2000 ms / max(response time, 100 ms))`: up to two seconds all are equally good.
pub(super) fn performance(candidate: &Candidate<'_>, now: Timestamp) -> f64 {
    (2_000.0 / candidate.record.response_time_ms(candidate.backend, now).max(100.0)).min(1.0)
}
