//! In the shares of weight times health: an ailing backend gets less, not nothing.

use super::working::{Term, Working};
use crate::domain::Timestamp;
use crate::routing::Candidate;

/// Of its health only what is its own: the hosts that are out are in the part of its traffic that it gets.
pub(super) fn share(candidate: &Candidate<'_>, now: Timestamp, working: &mut impl Working) -> f64 {
    let weight = working.term(Term::Weight, candidate.backend.weight.ratio());
    weight * working.term(Term::Health, candidate.record.health_of_its_own(candidate.backend, now))
}
