//! The fewest requests in flight for its weight.

use super::working::{Term, Working};
use crate::domain::Timestamp;
use crate::routing::Candidate;

/// `(in flight + 1) / weight`: the load after this request. Failures that came at once count as in flight for as long as
/// answers take.
pub(super) fn score(candidate: &Candidate<'_>, now: Timestamp, working: &mut impl Working) -> f64 {
    let in_flight = working.term(Term::InFlight, candidate.record.busyness(candidate.backend, now));
    (in_flight + 1.0) / working.term(Term::Weight, candidate.backend.weight.ratio())
}
