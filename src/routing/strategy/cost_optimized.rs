//! The least money for what it brings.

use super::quality_based::performance;
use super::working::{Term, Working};
use crate::domain::Timestamp;
use crate::routing::{Ask, Candidate};

/// `estimated cost / (quality · health · performance)`, of this request: an answer that failed is worth nothing. One
/// pico-USD is added to the cost, so that of several free backends the better one wins.
pub(super) fn score(candidate: &Candidate<'_>, ask: &Ask<'_>, now: Timestamp, working: &mut impl Working) -> f64 {
    let estimate = ask.estimate(candidate.backend, candidate.record);
    working.term(Term::InputTokens, estimate.input.0 as f64);
    working.term(Term::CachedInputTokens, estimate.cached_input.0 as f64);
    working.term(Term::OutputTokens, estimate.output.0 as f64);
    let cost = working.term(Term::Cost, (estimate.cost.0 as f64 + 1.0) * 1e-12);
    let quality = working.term(Term::Quality, candidate.backend.quality.ratio());
    let health = working.term(Term::Health, candidate.record.health(candidate.backend, now));
    cost / (quality * health * performance(candidate, now, working)).max(1e-6)
}
