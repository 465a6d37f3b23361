//! Each in turn.

use super::Ranked;
use crate::routing::Turns;

pub(super) fn first(tier: &[Ranked], turns: &mut impl Turns) -> Option<usize> {
    usize::try_from(turns.next().checked_rem(tier.len() as u64)?).ok()
}
