//! In the shares of weight times health: an ailing backend gets less, not nothing.

use crate::domain::Timestamp;
use crate::routing::Candidate;

/// Of its health only what is its own: the hosts that are out are in the part of its traffic that it gets.
pub(super) fn share(candidate: &Candidate<'_>, now: Timestamp) -> u64 {
    let weight = u64::from(candidate.backend.weight.thousandths());
    let health = (candidate.record.health_of_its_own(candidate.backend, now) * 1000.0) as u64;
    (weight * health).max(1)
}
