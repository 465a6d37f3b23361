//! The way back to full traffic after a breaker has closed.
//!
//! A backend that has just come back may be able to take only some of what it used to: caches are cold, or half of its
//! machines are gone. So its share grows from a tenth, and failures that are half-way to opening the breaker again halve
//! it, as in TCP's congestion control. Each halving also halves how fast it grows from there. So a backend which can
//! take a fifth finds its fifth and stays near it, rather than collapsing again and again; and one that fails a little
//! now and then, whatever its share, has all of it back in time.
//!
//! What was under way while the share was cut fails because of the load from before the cut. Such failures are told by
//! the number of cuts when the request was let in, and change nothing.

use std::time::Duration;

use crate::domain::{Decoder, Encoder, PerMille, Timestamp};

/// Where it begins.
const FIRST: PerMille = PerMille::new(100);

/// Where cutting ends: with nothing at all it could never show that it is well.
const LEAST: PerMille = PerMille::new(10);

/// Growth is slowed down by two to the power of this, at most.
const MOST_SLOWED: u32 = 3;

/// What share of its usual traffic a closed breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ramp {
    /// The share at `at`; from there on it grows.
    share: PerMille,
    at: Timestamp,
    /// How often it was cut.
    pub(super) cuts: u32,
}

impl Default for Ramp {
    /// At its end.
    fn default() -> Self {
        Self { share: PerMille::ONE, at: Timestamp::default(), cuts: 0 }
    }
}

impl Ramp {
    /// At its beginning.
    pub(super) fn begin(now: Timestamp) -> Self {
        Self { share: FIRST, at: now, cuts: 0 }
    }

    /// The share at `now`, where it takes `length` from its beginning to all:
    /// `share + 0.9 · elapsed / (length · 2^cuts)`.
    pub(super) fn share(self, length: Duration, now: Timestamp) -> f64 {
        if self.share == PerMille::ONE || length.is_zero() {
            return 1.0;
        }
        let slowed = f64::from(1_u32 << self.cuts.min(MOST_SLOWED));
        let grown = now.since(self.at).as_secs_f64() / (length.as_secs_f64() * slowed);
        (self.share.ratio() + (1.0 - FIRST.ratio()) * grown).min(1.0)
    }

    /// Halves the share.
    pub(super) fn cut(&mut self, length: Duration, now: Timestamp) {
        let half = PerMille::from_ratio(self.share(length, now) / 2.0);
        *self = Self { share: half.max(LEAST), at: now, cuts: self.cuts.wrapping_add(1) };
    }

    /// A clock that stepped back must not stop its growth.
    pub(super) fn follow(&mut self, now: Timestamp) {
        self.at = self.at.min(now);
    }

    pub(super) fn encode(self, out: &mut Encoder) {
        out.u16(self.share.get()).time(self.at).u32(self.cuts);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { share: PerMille::new(from.u16()?).max(LEAST), at: from.time()?, cuts: from.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    fn share(ramp: Ramp, seconds: u64) -> u16 {
        PerMille::from_ratio(ramp.share(LENGTH, at(seconds))).get()
    }

    #[test]
    fn it_grows_from_a_tenth_to_all() {
        let ramp = Ramp::begin(at(0));
        assert_eq!([0, 1, 5, 9, 10, 60].map(|second| share(ramp, second)), [100, 190, 550, 910, 1000, 1000]);
        assert_eq!(PerMille::from_ratio(ramp.share(Duration::ZERO, at(0))), PerMille::ONE);
    }

    #[test]
    fn each_cut_halves_it_and_how_fast_it_grows() {
        let mut ramp = Ramp::begin(at(0));
        ramp.cut(LENGTH, at(10));
        assert_eq!([10, 14].map(|second| share(ramp, second)), [500, 680]);
        ramp.cut(LENGTH, at(14));
        assert_eq!([14, 15, 18].map(|second| share(ramp, second)), [340, 363, 430]);
        for _ in 0..300 {
            ramp.cut(LENGTH, at(15));
        }
        assert_eq!(share(ramp, 15), 10, "never nothing");
        assert_eq!(share(ramp, 15 + 88), 1000, "and never slower than an eighth");
    }

    #[test]
    fn a_clock_that_steps_back_starts_the_growth_anew() {
        let mut ramp = Ramp::begin(at(5_000));
        assert_eq!(share(ramp, 0), 100);
        ramp.follow(at(0));
        assert_eq!(share(ramp, 10), 1000);
    }
}
