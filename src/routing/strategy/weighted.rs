//! In the shares of the weights, in an order that looks random.

use super::working::{Term, Working};
use crate::routing::Candidate;

pub(super) fn share(candidate: &Candidate<'_>, working: &mut impl Working) -> f64 {
    working.term(Term::Weight, candidate.backend.weight.ratio())
}
