//! Each in turn; where some are to have only a part of theirs, in a smooth rotation of the parts.
//!
//! Were the next one in the list tried after one that failed, it would get all the turns of that one besides its own.
//! So the whole order comes from the number of the turn, in the mixed radix of the numbers that are left to choose from
//! (Lehmer's code): `turn mod n` is tried first, `turn / n mod (n - 1)` of the others second, and so on. Of `n!` turns
//! each order has one, so the turns of any that fail are spread evenly over the others, to the request.

use super::{Ranked, WHOLE, pick, weighted_round_robin};
use crate::domain::Rng;
use crate::routing::Turns;

/// The one whose turn it is. What is left of the number says who is tried after it.
pub(super) fn first(tier: &[Ranked], turn: &mut Option<u64>, turns: &mut impl Turns) -> Option<usize> {
    if has_parts(tier) {
        return weighted_round_robin::first(tier, turns);
    }
    *turn = Some(turns.next());
    digit(tier, turn)
}

/// The one that is tried next; of a tier in which no turn was taken, any.
pub(super) fn next(tier: &[Ranked], turn: &mut Option<u64>, rng: &mut impl Rng) -> Option<usize> {
    if turn.is_some() { digit(tier, turn) } else { pick::by_share(tier, rng.next_u64()) }
}

fn digit(tier: &[Ranked], turn: &mut Option<u64>) -> Option<usize> {
    let (number, radix) = (turn.as_mut()?, tier.len() as u64);
    let digit = number.checked_rem(radix)?;
    *number /= radix;
    usize::try_from(digit).ok()
}

fn has_parts(tier: &[Ranked]) -> bool {
    tier.iter().any(|ranked| ranked.share != WHOLE)
}
