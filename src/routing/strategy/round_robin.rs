//! Each in turn; where some are to have only a part of theirs, in a smooth rotation of the parts.

use super::{Ranked, WHOLE, weighted_round_robin};
use crate::routing::Turns;

pub(super) fn first(tier: &[Ranked], turns: &mut impl Turns) -> Option<usize> {
    if tier.iter().any(|ranked| ranked.share != WHOLE) {
        return weighted_round_robin::first(tier, turns);
    }
    usize::try_from(turns.next().checked_rem(tier.len() as u64)?).ok()
}
