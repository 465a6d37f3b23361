//! The best answers.

use super::working::{Term, Working};
use crate::domain::Timestamp;
use crate::routing::Candidate;

/// The composite quality: `0.4 · configured + 0.3 · observed + 0.2 · reliability + 0.1 · performance`, each in `0..=1`.
///
/// Observed is the configured quality times the share of answers that came at all: an answer that failed is worth
/// nothing.
pub(super) fn score(candidate: &Candidate<'_>, now: Timestamp, working: &mut impl Working) -> f64 {
    let quality = working.term(Term::Quality, candidate.backend.quality.ratio());
    let health = working.term(Term::Health, candidate.record.health(candidate.backend, now));
    let reliability = working.term(Term::Reliability, candidate.backend.reliability.ratio());
    0.4 * quality + 0.3 * quality * health + 0.2 * reliability + 0.1 * performance(candidate, now, working)
}

/// `min(1, 2000 ms / max(response time, 100 ms))`: up to two seconds all are equally good.
pub(super) fn performance(candidate: &Candidate<'_>, now: Timestamp, working: &mut impl Working) -> f64 {
    let response_time = working.term(Term::ResponseTime, candidate.record.response_time_ms(candidate.backend, now));
    working.term(Term::Performance, (2_000.0 / response_time.max(100.0)).min(1.0))
}
