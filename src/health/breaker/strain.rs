//! How far a backend is trusted: what moves the thresholds of an adaptive breaker.
//!
//! One small number. It rises at each opening and at each row of failures that went three quarters of the way to one
//! (shorter ones are common by chance alone where requests are many), and falls with time and with good answers. It is a function of the events alone, so that every worker, and every replay,
//! comes to the same thresholds.

use std::time::Duration;

use crate::domain::{Decoder, Encoder, PerMille, Timestamp};

/// The bounds of the level: here the thresholds are half as high as configured, at minus this one and a half times.
const MOST: i8 = 10;

/// What one step of the level does to a threshold, in thousandths of it.
const STEP: i64 = 50;

/// What an opening adds.
const OPENING: i8 = 4;

/// What a cluster of failures adds that did not open the breaker.
const CLUSTER: i8 = 1;

/// Good answers in a row that take one step off, down to as many below zero as there are above.
const CLEAN: u8 = 100;

/// How long it takes until one step is forgiven without any answer; only down to zero: time alone earns no trust.
const FORGIVENESS: Duration = Duration::from_secs(60);

/// How much the thresholds are tightened (above zero) or relaxed (below).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Strain {
    level: i8,
    /// Good answers in a row since the last step.
    clean: u8,
    /// When it last rose.
    at: Timestamp,
}

impl Strain {
    /// The level at `now`, `-10..=10`.
    pub(super) fn level(self, now: Timestamp) -> i8 {
        if self.level <= 0 {
            return self.level;
        }
        let forgiven = now.since(self.at).as_secs() / FORGIVENESS.as_secs();
        self.level.saturating_sub(i8::try_from(forgiven).unwrap_or(i8::MAX)).max(0)
    }

    /// A threshold as it holds at `now`: `configured · (1 - level / 20)`, rounded towards what is configured.
    pub(super) fn threshold(self, configured: u32, now: Timestamp) -> u32 {
        let level = i64::from(self.level(now));
        let exact = i64::from(configured) * (1_000 - level * STEP);
        let rounded = if level > 0 { (exact + 999) / 1_000 } else { exact / 1_000 };
        u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
    }

    /// A share as it holds at `now`; never above all.
    pub(super) fn share(self, configured: PerMille, now: Timestamp) -> PerMille {
        let thousandths = self.threshold(configured.get().into(), now);
        PerMille::new(u16::try_from(thousandths).unwrap_or(u16::MAX))
    }

    /// A good answer.
    pub(super) fn relax(&mut self) {
        self.clean += 1;
        if self.clean >= CLEAN {
            self.clean = 0;
            self.level = self.level.saturating_sub(1).max(-MOST);
        }
    }

    /// A failure: the clean record is none.
    pub(super) const fn blot(&mut self) {
        self.clean = 0;
    }

    /// A cluster of failures ended without an opening.
    pub(super) fn cluster(&mut self, now: Timestamp) {
        self.rise(CLUSTER, now);
    }

    /// The breaker opened.
    pub(super) fn opening(&mut self, now: Timestamp) {
        self.rise(OPENING, now);
    }

    /// What was earned by a long clean record is lost at once.
    fn rise(&mut self, by: i8, now: Timestamp) {
        self.level = self.level(now).max(0).saturating_add(by).min(MOST);
        self.clean = 0;
        self.at = now;
    }

    pub(super) fn encode(self, out: &mut Encoder) {
        out.u8((self.level + MOST) as u8).u8(self.clean).time(self.at);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let level = i8::try_from(from.u8()?).unwrap_or(i8::MAX).saturating_sub(MOST).min(MOST);
        Some(Self { level, clean: from.u8()?.min(CLEAN - 1), at: from.time()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn openings_tighten_and_time_forgives() {
        let mut strain = Strain::default();
        assert_eq!(strain.threshold(5, at(0)), 5);
        strain.opening(at(0));
        assert_eq!(strain.threshold(5, at(0)), 4);
        strain.opening(at(1));
        strain.opening(at(2));
        assert_eq!((strain.threshold(5, at(2)), strain.share(PerMille::new(500), at(2)).get()), (3, 250));
        assert_eq!(strain.threshold(5, at(602)), 5);
        assert_eq!(strain.threshold(5, at(100_000)), 5);
    }

    #[test]
    fn a_long_clean_record_relaxes_and_one_opening_ends_that() {
        let mut strain = Strain::default();
        for _ in 0..5_000 {
            strain.relax();
        }
        assert_eq!((strain.threshold(5, at(0)), strain.share(PerMille::new(800), at(0))), (7, PerMille::ONE));
        strain.opening(at(0));
        assert_eq!(strain.threshold(5, at(0)), 4);
    }

    proptest! {
        #[test]
        fn thresholds_stay_within_half_and_one_and_a_half_times_what_is_configured(
            events in prop::collection::vec((0..4_u8, 0..5_000_u64), 0..200), configured in 1..=1_000_u32
        ) {
            let mut strain = Strain::default();
            for (event, second) in events {
                match event {
                    0 => (0..500).for_each(|_| strain.relax()),
                    1 => strain.blot(),
                    2 => strain.cluster(at(second)),
                    _ => strain.opening(at(second)),
                }
                let threshold = strain.threshold(configured, at(second));
                prop_assert!(2 * threshold >= configured && 2 * threshold <= 3 * configured, "{threshold}");
                prop_assert!(threshold >= 1);
                prop_assert!(strain.share(PerMille::ONE, at(second)) >= PerMille::new(500));
                let mut out = Encoder::with_capacity(16);
                strain.encode(&mut out);
                prop_assert_eq!(Strain::decode(&mut Decoder::new(&out.finish())), Some(strain));
            }
        }
    }
}
