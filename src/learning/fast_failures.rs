//! Failures that came sooner than good answers do, as load.
//!
//! A backend that refuses each request at once has nothing in flight, so whoever compares how busy backends are sends it
//! everything. Here a failure stays under way for as long as a good answer would have taken: each adds the part of that
//! time which it did not take, and what was added decays with the usual response time,
//!
//! `load(t) = Σ (1 - took / usual) · e^(-(t - ended) / usual)`,
//!
//! which by Little's law is what would be in flight there were these requests served.

use std::time::Duration;

use crate::domain::{Decoder, Encoder, Timestamp};

/// The most requests that it stands for, in thousandths.
const MOST: f64 = 1e6;

/// Less than this is none. Where little is to do, a backend that has anything in flight beside one that has nothing is
/// never asked: it would be left alone for ever.
const LEAST: f64 = 0.05;

/// Failures as requests that are still under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FastFailures {
    /// How many there were at `at`, in thousandths.
    thousandths: u32,
    at: Timestamp,
}

impl FastFailures {
    /// How many there are at `now`, where a good answer takes `usual`.
    pub fn load(self, usual: Duration, now: Timestamp) -> f64 {
        if self.thousandths == 0 {
            return 0.0;
        }
        let elapsed = now.since(self.at).as_secs_f64() / usual.as_secs_f64().max(1e-3);
        let load = f64::from(self.thousandths) / 1e3 * (-elapsed).exp();
        if load < LEAST { 0.0 } else { load }
    }

    /// One that failed after it `took` so long.
    pub fn observe(&mut self, took: Duration, usual: Duration, now: Timestamp) {
        let missing = 1.0 - took.as_secs_f64() / usual.as_secs_f64().max(1e-3);
        if missing > 0.0 {
            let load = (self.load(usual, now) + missing) * 1e3;
            *self = Self { thousandths: load.min(MOST) as u32, at: now };
        }
    }

    /// Appends it to a record.
    pub fn encode(self, out: &mut Encoder) {
        out.u32(self.thousandths).time(self.at);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { thousandths: from.u32()?.min(MOST as u32), at: from.time()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1_000)
    }

    #[test]
    fn a_backend_that_refuses_everything_at_once_looks_as_busy_as_if_it_served() {
        let (usual, mut failures) = (Duration::from_millis(500), FastFailures::default());
        // 20 a second, of half a second each: 10 are under way.
        for n in 0..200 {
            failures.observe(Duration::from_millis(1), usual, at(n * 50));
        }
        let load = failures.load(usual, at(200 * 50));
        assert!((9.0..=11.0).contains(&load), "{load}");
        assert_eq!(failures.load(usual, at(200 * 50 + 5_000)).to_bits(), 0, "and no longer than that");
    }

    #[test]
    fn a_failure_that_took_as_long_as_an_answer_adds_nothing() {
        let mut failures = FastFailures::default();
        failures.observe(Duration::from_millis(900), Duration::from_millis(500), at(0));
        assert_eq!(failures, FastFailures::default());
        failures.observe(Duration::from_millis(250), Duration::from_millis(500), at(0));
        assert!((failures.load(Duration::from_millis(500), at(0)) - 0.5).abs() < 1e-9);
    }
}
