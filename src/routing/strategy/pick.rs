//! Picking one of several.

use super::Ranked;
use crate::domain::Rng;

/// Scores that differ by less than this share of them are equal.
const TIE: f64 = 1e-9;

/// The position of the lowest score among those that are not benched, unless all are; of several lowest ones, any at
/// random.
pub(super) fn lowest(tier: &[Ranked], rng: &mut impl Rng) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut equals = 1_usize;
    let all_benched = tier.iter().all(|ranked| ranked.benched);
    let playing = tier.iter().enumerate().filter(|(_, ranked)| !ranked.benched || all_benched);
    for (position, &Ranked { score, .. }) in playing {
        match best {
            Some((_, least)) if (score - least).abs() <= TIE * least.abs() => {
                // Reservoir sampling: after k ties each of them stands with probability 1/k.
                equals += 1;
                if rng.below(equals) == 0 {
                    best = Some((position, least));
                }
            }
            Some((_, least)) if score >= least => {}
            _ => {
                equals = 1;
                best = Some((position, score));
            }
        }
    }
    best.map(|(position, _)| position)
}

/// The position in whose share of the whole `point` falls; the whole is 2^64.
pub(super) fn by_share(tier: &[Ranked], point: u64) -> Option<usize> {
    let whole: u64 = tier.iter().map(|ranked| ranked.share).sum();
    let mut left = ((u128::from(point) * u128::from(whole)) >> 64) as u64;
    for (position, ranked) in tier.iter().enumerate() {
        if left < ranked.share {
            return Some(position);
        }
        left -= ranked.share;
    }
    tier.len().checked_sub(1)
}

/// Spreads the numbers 0, 1, 2 … over 2^64 so that any run of them covers it evenly: multiples of the golden ratio
/// (Kronecker's sequence). Shares picked by these points are off by a request or two, not by the square root of their
/// number as with random points, and yet neighbours are far apart.
pub(super) const fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
