//! What a provider makes of the estimate.

use crate::domain::Tokens;

/// One, in millionths.
const ONE: u32 = 1_000_000;
/// The smallest and the largest ratio that is believed: a quarter and four. Beyond that, something else was counted.
const LEAST: u32 = ONE / 4;
const MOST: u32 = ONE * 4;
/// One answer moves the ratio by a sixteenth of what it misses, once this many are known.
const MEMORY: u16 = 16;
/// Estimates below this say more of the framing of messages than of the tokenizer.
const TOO_SHORT: u64 = 16;

/// How many tokens a backend counts for each one estimated, learned from its answers.
///
/// Each tokenizer has its own bias against the estimate (`cl100k_base` needs more tokens for most languages, Anthropic's
/// more still), and each backend adds prompts of its own. The ratio is the mean of the first 16 answers and follows
/// later ones with a memory of 16; an answer far from the others (cached prompts that were not counted, another
/// model) is cut to half or double the present ratio before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    ratio_ppm: u32,
    samples: u16,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { ratio_ppm: ONE, samples: 0 }
    }
}

impl Calibration {
    /// As it was stored. A ratio that could not have been learned is cut to the nearest that could.
    pub const fn from_parts(ratio_ppm: u32, samples: u16) -> Self {
        let ratio_ppm = if ratio_ppm < LEAST {
            LEAST
        } else if ratio_ppm > MOST {
            MOST
        } else {
            ratio_ppm
        };
        if samples == 0 { Self { ratio_ppm: ONE, samples } } else { Self { ratio_ppm, samples } }
    }

    /// Reported tokens for each estimated one, in millionths: within 250,000 and 4,000,000.
    pub const fn ratio_ppm(self) -> u32 {
        self.ratio_ppm
    }

    /// Answers learned from; stays at the largest number there is.
    pub const fn samples(self) -> u16 {
        self.samples
    }

    /// The estimate, as this backend would count it.
    #[must_use]
    pub fn apply(self, estimate: Tokens) -> Tokens {
        let scaled = (u128::from(estimate.0) * u128::from(self.ratio_ppm) + u128::from(ONE / 2)) / u128::from(ONE);
        Tokens(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// Whether an answer says anything: very short prompts, and reports of nothing, do not.
    pub(super) const fn teaches(estimated: Tokens, reported: Tokens) -> bool {
        estimated.0 >= TOO_SHORT && reported.0 > 0
    }

    /// Of two the one that corrects less.
    pub(super) fn closer_to_one(self, other: Self) -> Self {
        // Of ratios a and 1/a neither is closer.
        let corrects = |ratio: Self| {
            let (ratio, one) = (u64::from(ratio.ratio_ppm), u64::from(ONE));
            ratio.max(one) * one / ratio.min(one).max(1)
        };
        if corrects(other) < corrects(self) { other } else { self }
    }

    /// Learns from an answer: what was estimated (before [`Self::apply`]), and what the provider reported for the whole
    /// prompt. Very short prompts, and answers that report nothing, teach nothing.
    pub fn learn(&mut self, estimated: Tokens, reported: Tokens) {
        if !Self::teaches(estimated, reported) {
            return;
        }
        let seen = u128::from(reported.0) * u128::from(ONE) / u128::from(estimated.0);
        let (low, high) = if self.samples < 4 { (LEAST, MOST) } else { (self.ratio_ppm / 2, self.ratio_ppm * 2) };
        let seen = i64::try_from(seen).unwrap_or(i64::MAX).clamp(i64::from(low), i64::from(high));
        self.samples = self.samples.saturating_add(1);
        let ratio = i64::from(self.ratio_ppm);
        let moved = ratio + (seen - ratio) / i64::from(self.samples.min(MEMORY));
        self.ratio_ppm = u32::try_from(moved).unwrap_or(ONE).clamp(LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Rng, SplitMix64};

    const ESTIMATE: Tokens = Tokens(1_000_000);

    fn after(reports: impl IntoIterator<Item = u64>) -> Calibration {
        let mut calibration = Calibration::default();
        reports.into_iter().for_each(|reported| calibration.learn(Tokens(10_000), Tokens(reported)));
        calibration
    }

    #[test]
    fn an_unmeasured_backend_counts_as_estimated() {
        assert_eq!(Calibration::default().apply(Tokens(1234)), Tokens(1234));
        assert_eq!(Calibration::from_parts(0, 0), Calibration::default());
    }

    #[test]
    fn a_report_of_nothing_teaches_nothing() {
        assert_eq!(after([0, 0, 0]), Calibration::default());
        let mut calibration = Calibration::default();
        calibration.learn(Tokens(0), Tokens(500));
        calibration.learn(Tokens(3), Tokens(500));
        assert_eq!(calibration, Calibration::default());
    }

    #[test]
    fn one_absurd_report_does_not_undo_what_fifty_sane_ones_taught() {
        let sane = || std::iter::repeat_n(12_000, 50);
        for absurd in [1, u64::MAX] {
            let Tokens(now) = after(sane().chain([absurd])).apply(ESTIMATE);
            assert!((1_120_000..=1_280_000).contains(&now), "{absurd}: {now}");
            let Tokens(later) = after(sane().chain([absurd]).chain(sane())).apply(ESTIMATE);
            assert!(later.abs_diff(1_200_000) < 24_000, "{absurd}: {later}");
        }
    }

    #[test]
    fn a_tokenizer_that_changes_is_followed() {
        let changed = std::iter::repeat_n(8_000, 200).chain(std::iter::repeat_n(14_000, 100));
        assert!(after(changed).apply(ESTIMATE).0.abs_diff(1_400_000) < 28_000);
    }

    #[test]
    fn what_is_stored_comes_back() {
        let calibration = after([11_000, 12_500, 9_000]);
        assert_eq!(Calibration::from_parts(calibration.ratio_ppm(), calibration.samples()), calibration);
    }

    #[test]
    fn the_largest_estimate_stays_within_a_count() {
        assert_eq!(Calibration::from_parts(u32::MAX, 9).apply(Tokens(u64::MAX)), Tokens(u64::MAX));
    }

    proptest! {
        #[test]
        fn a_steady_bias_is_below_two_percent_after_fifty_answers(bias in 300_u64..=3_500, seed in any::<u64>()) {
            // Each answer misses by up to 4 % to either side, as the estimate itself does.
            let mut rng = SplitMix64::new(seed);
            let noisy = (0..50).map(|_| 10_000 * bias / 1_000 * (960 + rng.below(81) as u64) / 1_000);
            let Tokens(now) = after(noisy).apply(ESTIMATE);
            let truth = 1_000 * bias;
            prop_assert!(now.abs_diff(truth) * 50 < truth, "{now} for {truth}");
        }

        #[test]
        fn no_report_moves_the_ratio_out_of_its_bounds(reports in prop::collection::vec(any::<(u64, u64)>(), 0..60)) {
            let mut calibration = Calibration::default();
            for (estimated, reported) in reports {
                calibration.learn(Tokens(estimated), Tokens(reported));
                prop_assert!((LEAST..=MOST).contains(&calibration.ratio_ppm()));
            }
        }
    }
}
