//! A median that goes on adapting, in four bytes.
//!
//! Each sample moves it one step up or down, whatever the sample's size: so it is where half of them are on either side,
//! and an absurd one moves it no further than any other. It never goes past the sample. A step is a part of the median
//! itself, since what is measured (lengths) is spread over orders of magnitude: up to three times as much at the first
//! sample, 3 % at the 64th and from there on. Hence it forgets: a hundred samples lead it ten times as far.

/// A running median of whole numbers from 1 to a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Median(u32);

/// Samples after which steps get no smaller.
const MEMORY: u32 = 64;

/// Parts of a whole, so that small steps are not rounded away.
const PARTS: u32 = 16;

/// The largest number that it can be.
const LARGEST: u32 = (1 << 20) - 1;

impl Median {
    /// From a record. What is none of ours is the nearest that could be.
    pub const fn from_bits(bits: u32) -> Self {
        let (parts, samples) = (bits >> 8, bits & 0xFF);
        Self::new(if parts < PARTS { PARTS } else { parts }, if samples < MEMORY { samples } else { MEMORY })
    }

    /// For a record; 0 as long as there is no sample.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Samples that it remembers, up to 64.
    pub const fn samples(self) -> u32 {
        self.0 & 0xFF
    }

    /// The same, as if there had been no more than so many samples: the next steps are larger.
    #[must_use]
    pub const fn with_samples(self, most: u32) -> Self {
        if self.samples() <= most { self } else { Self::new(self.parts(), most) }
    }

    /// The median; none as long as there is no sample.
    pub const fn read(self) -> Option<u32> {
        if self.samples() == 0 { None } else { Some((self.parts() + PARTS / 2) / PARTS) }
    }

    /// Remembers only a part of its samples, one at the least: the next ones move it further.
    pub fn age(&mut self, left: f64) {
        let samples = (f64::from(self.samples()) * left) as u32;
        *self = Self::new(self.parts(), samples.max(self.samples().min(1)));
    }

    /// Forgets all, where less than one sample would be left.
    pub fn forget(&mut self, left: f64) {
        if f64::from(self.samples()) * left < 1.0 {
            *self = Self::default();
        }
    }

    /// Takes a sample; `prior` is where it starts. Of one that was `cut` all that is known is that it would have been
    /// larger.
    pub fn observe(&mut self, sample: u32, cut: bool, prior: u32) {
        let parts = |whole: u32| whole.clamp(1, LARGEST) * PARTS;
        let sample = parts(sample);
        let before = if self.samples() == 0 { parts(prior) } else { self.parts() };
        if cut && sample <= before {
            return;
        }
        let samples = (self.samples() + 1).min(MEMORY);
        let after = if sample > before {
            before.saturating_add((2 * before / samples).max(1)).min(sample)
        } else {
            before.saturating_sub((2 * before / (samples + 2)).max(1)).max(sample)
        };
        *self = Self::new(after, samples);
    }

    const fn new(parts: u32, samples: u32) -> Self {
        if samples == 0 { Self(0) } else { Self(parts << 8 | samples) }
    }

    const fn parts(self) -> u32 {
        self.0 >> 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Rng, SplitMix64};

    fn after(samples: impl IntoIterator<Item = u32>) -> Median {
        let mut median = Median::default();
        samples.into_iter().for_each(|sample| median.observe(sample, false, 300));
        median
    }

    #[test]
    fn without_a_sample_there_is_none() {
        assert_eq!((after([]).read(), after([]).samples(), after([]).bits()), (None, 0, 0));
    }

    #[test]
    fn the_first_sample_moves_it_to_a_third_of_the_prior_or_to_three_times_as_much_at_the_most() {
        assert_eq!(
            [1, 250, 350, 9_999].map(|sample| after([sample]).read()),
            [Some(100), Some(250), Some(350), Some(900)]
        );
    }

    #[test]
    fn it_finds_the_middle_and_not_the_mean() {
        // One in ten is a hundred times as long.
        let mut rng = SplitMix64::new(7);
        let samples = (0..2_000).map(|_| if rng.below(10) == 0 { 20_000 } else { 150 + rng.below(101) as u32 });
        let median = after(samples).read().unwrap();
        assert!((180..=230).contains(&median), "{median}");
    }

    #[test]
    fn it_follows_a_change() {
        let changed = |then: usize| after(std::iter::repeat_n(100, 1_000).chain(std::iter::repeat_n(1_000, then)));
        assert!(changed(40).read() < Some(500));
        assert_eq!(changed(100).read(), Some(1_000));
    }

    #[test]
    fn one_absurd_sample_changes_little() {
        let median = after(std::iter::repeat_n(100, 64).chain([u32::MAX]));
        assert_eq!(median.read(), Some(103));
    }

    #[test]
    fn what_was_cut_says_only_that_it_would_have_been_longer() {
        let mut median = after([500; 64]);
        (0..64).for_each(|_| median.observe(16, true, 300));
        assert_eq!(median.read(), Some(500));
        (0..64).for_each(|_| median.observe(900, true, 300));
        assert_eq!(median.read(), Some(900));
    }

    proptest! {
        #[test]
        fn about_half_of_the_samples_are_on_either_side(seed: u64, low in 1..2_000_u32, width in 1..4_000_u32) {
            let mut rng = SplitMix64::new(seed);
            let samples: Vec<u32> = (0..2_000).map(|_| low + rng.below(width as usize) as u32).collect();
            let median = after(samples.iter().copied()).read().unwrap();
            // It is never at rest: a few steps away counts as there.
            let below = samples.iter().filter(|&&sample| sample * 5 < median * 4).count();
            let above = samples.iter().filter(|&&sample| sample * 4 > median * 5).count();
            prop_assert!(below < 1_700 && above < 1_700, "{below} below {median}, {above} above");
        }

        #[test]
        fn it_stays_between_the_least_and_the_largest_and_survives_being_bytes(
            bits: u32, samples in prop::collection::vec(any::<(u32, bool, u32)>(), 0..90)
        ) {
            let mut median = Median::from_bits(bits);
            for (sample, cut, prior) in samples {
                median.observe(sample, cut, prior);
                prop_assert!(median.read().is_none_or(|read| (1..=LARGEST + 1).contains(&read)));
                prop_assert_eq!(Median::from_bits(median.bits()), median);
            }
        }
    }
}
