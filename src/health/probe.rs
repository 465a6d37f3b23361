//! What the router's own checks of a backend showed.
//!
//! One failed check proves little, so a backend is taken out only after some in a row, and back only after some good
//! ones in a row. Until then each failure lowers its score by the same step, down to nothing at the threshold.

use std::time::Duration;

use super::checkup::{Checkup, Components, Condition};
use crate::domain::{Decoder, Encoder, PerMille, ProbeSettings, Timestamp};

/// No result holds for longer than this, whatever the clock does: three of the longest intervals, and a timeout.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// What the router's own checks of a backend showed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// Whether so many checks in a row failed that it is not to be asked.
    pub unhealthy: bool,
    /// What the last check found, `0..=1`, lowered while checks fail; 1 before the first.
    pub score: PerMille,
    /// What the last check found.
    pub condition: Condition,
    /// Checks in a row that failed, up to the last one.
    pub failures: u16,
    /// Checks in a row that were good, up to the last one.
    pub successes: u16,
    /// The parts of the backend that the last check heard of.
    pub components: Components,
    /// Models that it offers, where the last check heard of any.
    pub models: Option<u16>,
    /// How long the last check took.
    pub response_time: Duration,
    /// When the last check ended; the epoch before the first.
    pub checked_at: Timestamp,
    /// Until when this holds, should there be no further check.
    pub valid_until: Timestamp,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            unhealthy: false,
            score: PerMille::ONE,
            condition: Condition::Healthy,
            failures: 0,
            successes: 0,
            components: Components::default(),
            models: None,
            response_time: Duration::ZERO,
            checked_at: Timestamp::default(),
            valid_until: Timestamp::default(),
        }
    }
}

impl Probes {
    /// Takes note of a check that ended at `now` after `response_time`.
    pub fn observe(&mut self, checkup: &Checkup, response_time: Duration, settings: &ProbeSettings, now: Timestamp) {
        if !self.is_valid(now) {
            // What was counted so long ago is not in a row with this.
            *self = Self::default();
        }
        if checkup.condition == Condition::Unhealthy {
            let left = settings.failures.saturating_sub(u32::from(self.failures)).max(1);
            self.score = PerMille::new((u32::from(self.score.get()) * (left - 1) / left) as u16);
            (self.failures, self.successes) = (self.failures.saturating_add(1), 0);
            self.unhealthy |= u32::from(self.failures) >= settings.failures;
        } else {
            self.score = checkup.score();
            (self.failures, self.successes) = (0, self.successes.saturating_add(1));
            self.unhealthy &= u32::from(self.successes) < settings.successes;
        }
        (self.condition, self.components, self.models) = (checkup.condition, checkup.components, checkup.models);
        (self.response_time, self.checked_at) = (response_time, now);
        self.valid_until = now.after(3 * settings.interval + settings.timeout);
    }

    /// Whether the backend is not to be asked. A result that nobody renewed excludes no longer: the checks may have been
    /// taken out of the configuration.
    pub fn is_unhealthy(&self, now: Timestamp) -> bool {
        self.unhealthy && self.is_valid(now)
    }

    /// How the backend is, all checks taken together; none where there was none lately.
    pub fn condition(&self, now: Timestamp) -> Option<Condition> {
        let condition = match self.condition {
            _ if self.unhealthy => Condition::Unhealthy,
            // Not often enough in a row to be out.
            Condition::Unhealthy => Condition::Degraded,
            condition => condition,
        };
        self.is_valid(now).then_some(condition)
    }

    /// How well the checks found it, `0..=1`.
    pub fn score(&self, now: Timestamp) -> f64 {
        if self.is_valid(now) { self.score.ratio() } else { 1.0 }
    }

    /// Whether the last check is recent enough to mean anything.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        // A clock that stepped back must not make an old result hold for ever.
        now <= self.valid_until && self.valid_until.since(now) <= LONGEST
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u8(self.unhealthy.into()).u16(self.score.get()).u8(self.condition.code());
        out.u16(self.failures).u16(self.successes);
        self.components.encode(out);
        // A backend with so many models that they need all the bits counts as one with one less.
        out.u16(self.models.map_or(u16::MAX, |models| models.min(u16::MAX - 1)));
        out.u32(u32::try_from(self.response_time.as_micros()).unwrap_or(u32::MAX));
        out.time(self.checked_at).time(self.valid_until);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            unhealthy: from.u8()? != 0,
            score: PerMille::new(from.u16()?),
            condition: Condition::from_code(from.u8()?)?,
            failures: from.u16()?,
            successes: from.u16()?,
            components: Components::decode(from)?,
            models: Some(from.u16()?).filter(|&models| models < u16::MAX),
            response_time: Duration::from_micros(from.u32()?.into()),
            checked_at: from.time()?,
            valid_until: from.time()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::testing::at;

    fn settings() -> ProbeSettings {
        ProbeSettings {
            path: "/health".into(),
            host: "a".into(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            failures: 3,
            successes: 2,
        }
    }

    fn observe(probes: &mut Probes, good: bool, second: u64) {
        let checkup = if good { Checkup::good() } else { Checkup::failed() };
        probes.observe(&checkup, Duration::from_millis(5), &settings(), at(second));
    }

    #[test]
    fn failures_in_a_row_lower_the_score_step_by_step_and_then_exclude() {
        let mut probes = Probes::default();
        let mut seen = Vec::new();
        for (second, good) in [true, false, false, true, false, false, false, true, true].into_iter().enumerate() {
            observe(&mut probes, good, second as u64);
            seen.push((probes.score.get(), probes.unhealthy));
        }
        assert_eq!(seen[..3], [(1000, false), (666, false), (333, false)]);
        assert_eq!(seen[3..7], [(1000, false), (666, false), (333, false), (0, true)]);
        assert_eq!(seen[7..], [(1000, true), (1000, false)], "back after two good ones");
    }

    #[test]
    fn what_nobody_renews_excludes_no_longer() {
        let mut probes = Probes::default();
        (0..3).for_each(|second| observe(&mut probes, false, second));
        assert!(probes.is_unhealthy(at(34)) && probes.score(at(34)) < 0.001);
        assert!(!probes.is_unhealthy(at(35)) && probes.score(at(35)) > 0.999);
        // The next failure is the first one again.
        observe(&mut probes, false, 100);
        assert_eq!((probes.unhealthy, probes.failures, probes.score.get()), (false, 1, 666));
    }

    #[test]
    fn a_clock_that_stepped_back_far_makes_nothing_hold_for_ever() {
        let mut probes = Probes::default();
        (0..3).for_each(|second| observe(&mut probes, false, 1_000_000 + second));
        assert!(!probes.is_unhealthy(at(0)));
    }

    proptest! {
        #[test]
        fn from_any_history_good_checks_lead_back(
            events in prop::collection::vec((any::<bool>(), 0..100_u64), 0..60), start in 0..10_000_u64
        ) {
            let (mut probes, mut second) = (Probes::default(), start);
            for (good, step) in events {
                second = if step % 7 == 0 { second.saturating_sub(step) } else { second + step };
                observe(&mut probes, good, second);
                prop_assert!(!probes.unhealthy || probes.failures >= 3 || probes.successes < 2);
            }
            observe(&mut probes, true, second);
            observe(&mut probes, true, second);
            prop_assert!(!probes.is_unhealthy(at(second)) && probes.score(at(second)) > 0.999);
        }

        #[test]
        fn it_survives_being_bytes(events in prop::collection::vec(any::<bool>(), 0..9)) {
            let mut probes = Probes::default();
            events.iter().zip(0..).for_each(|(&good, second)| observe(&mut probes, good, second));
            let mut out = Encoder::with_capacity(64);
            probes.encode(&mut out);
            prop_assert_eq!(Probes::decode(&mut Decoder::new(&out.finish())), Some(probes));
        }
    }
}
