//! The fewest requests in flight for its weight.

use super::working::{Term, Working};
use crate::routing::Candidate;

/// `(in flight + 1) / weight`: the load after this request.
pub(super) fn score(candidate: &Candidate<'_>, working: &mut impl Working) -> f64 {
    let in_flight = working.term(Term::InFlight, f64::from(candidate.record.in_flight()));
    (in_flight + 1.0) / working.term(Term::Weight, candidate.backend.weight.ratio())
}
