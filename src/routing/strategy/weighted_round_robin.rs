//! In turn, in the shares of the weights, as evenly mixed as can be.

use super::Ranked;
use crate::domain::BackendIndex;
use crate::routing::Turns;

pub(super) fn first(tier: &[Ranked], turns: &mut impl Turns) -> Option<usize> {
    let weights: Vec<(BackendIndex, u32)> =
        tier.iter().map(|ranked| (ranked.index, u32::try_from(ranked.share).unwrap_or(u32::MAX))).collect();
    turns.smooth(&weights)
}
