//! In the shares of the weights, in an order that looks random.

use crate::routing::Candidate;

pub(super) fn share(candidate: &Candidate<'_>) -> u64 {
    candidate.backend.weight.thousandths().into()
}
