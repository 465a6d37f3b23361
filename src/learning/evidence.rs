//! How much is known of a backend of late: its answers, each of which weighs less the older it is.
//!
//! A count that decays to 37 % in five minutes: `count · e^(-t / 300 s) + 1` at each answer. So a backend that has not been
//! asked for a while is little known again, however many answers it gave before.

use std::time::Duration;

use crate::domain::Timestamp;

/// To 37 % after this long.
const TAU: Duration = Duration::from_secs(300);

/// Parts of an answer, so that it can decay.
const PARTS: f64 = 1_000.0;

/// Answers, each weighted by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Thousandths of an answer at `at`.
    parts: u32,
    at: Timestamp,
}

impl Evidence {
    /// From the parts of a record.
    pub const fn from_parts(parts: u32, at: Timestamp) -> Self {
        Self { parts, at }
    }

    /// Its parts, for a record: thousandths of an answer, and the time of the last one.
    pub const fn parts(self) -> (u32, Timestamp) {
        (self.parts, self.at)
    }

    /// Takes an answer.
    pub fn observe(&mut self, now: Timestamp) {
        let parts = (self.read(now) + 1.0) * PARTS;
        *self = Self { parts: parts as u32, at: now };
    }

    /// What is left of it.
    pub fn read(self, now: Timestamp) -> f64 {
        f64::from(self.parts) / PARTS * (-now.since(self.at).as_secs_f64() / TAU.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn answers_count_and_are_forgotten() {
        let mut evidence = Evidence::default();
        assert!(evidence.read(at(0)).abs() < 1e-9);
        (0..20).for_each(|_| evidence.observe(at(0)));
        assert!((evidence.read(at(0)) - 20.0).abs() < 1e-9);
        assert!((7.0..8.0).contains(&evidence.read(at(300))));
        assert!(evidence.read(at(3_600)) < 0.001);
        evidence.observe(at(3_600));
        assert!((1.0..1.01).contains(&evidence.read(at(3_600))), "one new answer is one, not twenty-one");
    }

    #[test]
    fn it_settles_at_what_five_minutes_bring() {
        let mut evidence = Evidence::default();
        (0..3_600).for_each(|second| evidence.observe(at(second)));
        assert!((295.0..305.0).contains(&evidence.read(at(3_599))), "{}", evidence.read(at(3_599)));
    }
}
