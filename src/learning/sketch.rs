//! How a figure is distributed, in a few dozen bytes: its median, its 95th percentile, its mean.
//!
//! Whole numbers from 1 to a million (milliseconds, tokens), counted in buckets of a third of an octave: each reaches from
//! a power of the cube root of two to the next. So whatever is read is at most 26 % off the exact figure of the same samples
//! (and half a unit, since numbers are whole), and mostly a few per cent, as it is read off a straight line within its
//! bucket. Smaller numbers count as 1, larger ones as the largest.
//!
//! It remembers the last 256 to 512 samples, more or less: when there are so many, each counts half from there on, and after
//! a few halvings not at all. Hence it follows a change, and two of them can be added, which is what workers do who learned
//! apart. Only buckets that were hit take room in a record.

use crate::domain::{Decoder, Encoder};

/// Of twenty octaves, three each: 1 to 1,048,575.
const BUCKETS: usize = 60;

/// The largest number that is told from smaller ones.
const LARGEST: u64 = (1 << 20) - 1;

/// What a sample weighs when it comes: so often it can be halved.
const WEIGHT: u16 = 128;

/// When all weigh so much, each is halved.
const FULL: u32 = 512 * WEIGHT as u32;

/// A distribution of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sketch {
    weights: [u16; BUCKETS],
    /// The sum of them: always less than [`FULL`], so that none overflows.
    total: u32,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { weights: [0; BUCKETS], total: 0 }
    }
}

impl Sketch {
    /// Takes a sample.
    pub fn observe(&mut self, sample: u64) {
        if let Some(weight) = self.weights.get_mut(bucket(sample)) {
            *weight = weight.saturating_add(WEIGHT);
            self.total += u32::from(WEIGHT);
        }
        self.age();
    }

    /// Takes what another one has seen.
    pub fn merge(&mut self, other: &Self) {
        let is_full = self.total + other.total >= FULL;
        for (weight, more) in self.weights.iter_mut().zip(other.weights) {
            *weight = if is_full { *weight / 2 + more / 2 } else { *weight + more };
        }
        self.total = self.sum();
    }

    /// Samples that it remembers.
    pub fn samples(&self) -> u32 {
        self.total.div_ceil(WEIGHT.into())
    }

    /// The number that `thousandths` of the samples do not exceed; none without any sample.
    pub fn quantile(&self, thousandths: u16) -> Option<u64> {
        let total = f64::from(self.total);
        // The weight up to and with the sample that is meant: never none, never more than all.
        let wanted = (total * f64::from(thousandths.min(1_000)) / 1_000.0).max(f64::MIN_POSITIVE);
        let mut below = 0.0;
        for (index, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0) {
            let weight = f64::from(*weight);
            if below + weight >= wanted {
                let (low, high) = (lower_bound(index), lower_bound(index + 1));
                return Some(whole(low + (high - low) * (wanted - below) / weight));
            }
            below += weight;
        }
        None
    }

    /// The mean; none without any sample.
    pub fn mean(&self) -> Option<u64> {
        let middle = |index: usize| f64::midpoint(lower_bound(index), lower_bound(index + 1));
        let sum: f64 = self.weights.iter().enumerate().map(|(index, &weight)| middle(index) * f64::from(weight)).sum();
        (self.total > 0).then(|| whole(sum / f64::from(self.total)))
    }

    /// Appends it to a record: from the first bucket that was hit to the last.
    pub fn encode(&self, out: &mut Encoder) {
        let is_hit = |weight: &u16| *weight > 0;
        let first = self.weights.iter().position(is_hit).unwrap_or(0);
        let end = self.weights.iter().rposition(is_hit).map_or(first, |last| last + 1);
        out.count(first).count(end - first);
        for &weight in self.weights.get(first..end).unwrap_or_default() {
            out.u16(weight);
        }
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let mut sketch = Self::default();
        let (first, len) = (from.count(BUCKETS)?, from.count(BUCKETS)?);
        for weight in sketch.weights.get_mut(first..first + len)? {
            *weight = from.u16()?;
        }
        // What is no sketch of ours is made one.
        sketch.total = sketch.sum();
        while sketch.total >= FULL {
            sketch.halve();
        }
        Some(sketch)
    }

    fn sum(&self) -> u32 {
        self.weights.iter().map(|&weight| u32::from(weight)).sum()
    }

    fn age(&mut self) {
        if self.total >= FULL {
            self.halve();
        }
    }

    fn halve(&mut self) {
        for weight in &mut self.weights {
            *weight /= 2;
        }
        self.total = self.sum();
    }
}

/// `floor(3 · log2(sample))`, of whole numbers alone.
fn bucket(sample: u64) -> usize {
    sample.clamp(1, LARGEST).pow(3).ilog2() as usize
}

/// The least number of a bucket, as a fraction: `2^(index / 3)`.
fn lower_bound(index: usize) -> f64 {
    const THIRDS: [f64; 3] = [1.0, 1.259_921_049_894_873_2, 1.587_401_051_968_199_4];
    let third = THIRDS.get(index % 3).copied().unwrap_or(1.0);
    third * (1_u64 << (index / 3).min(63)) as f64
}

fn whole(number: f64) -> u64 {
    (number.round() as u64).clamp(1, LARGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(samples: impl IntoIterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        samples.into_iter().for_each(|sample| sketch.observe(sample));
        sketch
    }

    fn bytes(sketch: &Sketch) -> Vec<u8> {
        let mut out = Encoder::with_capacity(128);
        sketch.encode(&mut out);
        out.finish()
    }

    /// Numbers of every size.
    fn numbers() -> impl Strategy<Value = u64> {
        (0..20_u32, any::<u64>()).prop_map(|(octave, n)| (1 << octave) + n % (1 << octave))
    }

    fn is_near(read: u64, exact: u64) -> bool {
        let (read, exact) = (read as f64, exact as f64);
        read <= exact * 1.26 + 0.5 && read >= exact / 1.26 - 0.5
    }

    #[test]
    fn without_samples_there_is_nothing_to_say() {
        let sketch = Sketch::default();
        assert_eq!((sketch.samples(), sketch.quantile(500), sketch.mean()), (0, None, None));
        assert_eq!(bytes(&sketch).len(), 2);
    }

    #[test]
    fn every_number_lies_in_its_bucket() {
        for number in (1..5_000).chain([LARGEST - 1, LARGEST]) {
            let index = bucket(number);
            assert!(lower_bound(index) <= number as f64 * (1.0 + 1e-12), "{number}");
            assert!((number as f64) < lower_bound(index + 1) * (1.0 - 1e-12), "{number}");
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn it_follows_a_change() {
        let mut sketch = of(std::iter::repeat_n(100, 10_000));
        (0..600).for_each(|_| sketch.observe(5_000));
        assert!(is_near(sketch.quantile(500).unwrap(), 5_000));
        (0..5_000).for_each(|_| sketch.observe(5_000));
        assert!(is_near(sketch.quantile(1).unwrap(), 5_000), "the past is gone");
    }

    #[test]
    fn a_rare_sample_does_not_stay_for_ever() {
        let mut sketch = of([1_000_000]);
        (0..8_000).for_each(|_| sketch.observe(10));
        assert!(is_near(sketch.quantile(1_000).unwrap(), 10));
        assert_eq!(bytes(&sketch).len(), 4);
    }

    #[test]
    fn it_fits_into_a_record() {
        let all = of((0..BUCKETS).map(|index| lower_bound(index).ceil() as u64));
        assert!(bytes(&all).len() <= 2 + 2 * BUCKETS);
        assert_eq!(
            Sketch::decode(&mut Decoder::new(&bytes(&all))).as_ref(),
            Some(&all),
            "from the first bucket to the last"
        );
        let last = of([u64::MAX]);
        assert_eq!(Sketch::decode(&mut Decoder::new(&bytes(&last))).as_ref(), Some(&last));
        let typical = of((0..500).map(|n| 300 + 2 * n));
        assert!(bytes(&typical).len() <= 20, "{}", bytes(&typical).len());
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_samples_within_a_bucket(
            samples in prop::collection::vec(numbers(), 1..500), thousandths in 1..=1_000_u16
        ) {
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            let rank = (samples.len() * usize::from(thousandths)).div_ceil(1_000);
            let read = of(samples).quantile(thousandths).unwrap();
            prop_assert!(is_near(read, sorted[rank - 1]), "{read} for {}", sorted[rank - 1]);
        }

        #[test]
        fn the_mean_is_near_the_mean(samples in prop::collection::vec(numbers(), 1..500)) {
            let exact = samples.iter().sum::<u64>() / samples.len() as u64;
            prop_assert!(is_near(of(samples).mean().unwrap(), exact));
        }

        #[test]
        fn to_merge_is_to_have_seen_both(
            one in prop::collection::vec(numbers(), 0..200), other in prop::collection::vec(numbers(), 0..200)
        ) {
            let mut merged = of(one.clone());
            merged.merge(&of(other.clone()));
            prop_assert_eq!(merged, of(one.into_iter().chain(other)));
        }

        #[test]
        fn none_is_ever_more_than_full(one in 0..3_000_u64, other in 0..3_000_u64, small in 1..LARGEST) {
            let mut merged = of((0..one).map(|_| small));
            merged.merge(&of((0..other).map(|_| 1)));
            prop_assert!(merged.samples() <= 512);
            prop_assert_eq!(merged.samples() == 0, one + other == 0);
        }

        #[test]
        fn it_survives_being_bytes_and_bytes_do_not_break_it(
            samples in prop::collection::vec(numbers(), 0..900), any in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let sketch = of(samples);
            prop_assert_eq!(Sketch::decode(&mut Decoder::new(&bytes(&sketch))), Some(sketch));
            if let Some(mut sketch) = Sketch::decode(&mut Decoder::new(&any)) {
                sketch.observe(7);
                prop_assert!(sketch.samples() <= 512 && sketch.quantile(500).is_some());
            }
        }
    }
}
