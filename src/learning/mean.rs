//! A mean that starts from an expectation and goes on adapting.

/// A running mean of whole numbers: exact over the first [`Mean::MEMORY`] samples, exponential from there on.
/// The prior counts as the first sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mean {
    /// In 256ths, so that small steps are not rounded away.
    fixed: u32,
    samples: u32,
}

impl Mean {
    /// Samples after which each new one moves the mean by `1 / MEMORY`.
    pub const MEMORY: u32 = 64;

    /// From the parts of a record.
    pub const fn from_parts(fixed: u32, samples: u32) -> Self {
        Self { fixed, samples }
    }

    /// Its parts, for a record.
    pub const fn parts(self) -> (u32, u32) {
        (self.fixed, self.samples)
    }

    /// Samples that it remembers, up to [`Mean::MEMORY`].
    pub const fn samples(self) -> u32 {
        self.samples
    }

    /// The mean; `prior` as long as there is no sample.
    pub const fn read(self, prior: u32) -> u32 {
        if self.samples == 0 { prior } else { self.fixed.saturating_add(128) / 256 }
    }

    /// Takes a sample.
    pub fn observe(&mut self, sample: u64, prior: u32) {
        let sample = i64::try_from(sample).unwrap_or(i64::MAX).min(i64::from(u32::MAX / 256)) * 256;
        let before = if self.samples == 0 { i64::from(prior.min(u32::MAX / 256)) * 256 } else { i64::from(self.fixed) };
        self.samples = self.samples.saturating_add(1).min(Self::MEMORY);
        let after = before + (sample - before) / i64::from(self.samples.saturating_add(1));
        self.fixed = u32::try_from(after).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_from_the_prior_and_finds_the_mean() {
        let mut mean = Mean::default();
        assert_eq!(mean.read(256), 256);
        for _ in 0..300 {
            mean.observe(1_000, 256);
        }
        assert!(mean.read(256).abs_diff(1_000) <= 4, "{}", mean.read(256));
    }

    #[test]
    fn one_sample_moves_it_half_way_from_the_prior() {
        let mut mean = Mean::default();
        mean.observe(400, 200);
        assert_eq!(mean.read(200), 300);
    }

    #[test]
    fn no_sample_is_too_large() {
        let mut mean = Mean::default();
        mean.observe(u64::MAX, u32::MAX);
        mean.observe(0, 0);
        assert!(mean.read(0) > 0);
    }
}
