//! Latency that jumps up with few samples and is forgiven with time.
//!
//! A plain moving average hides a backend that has just become slow behind its good past, and never forgives one that
//! nobody asks any more. The peak-sensitive average of Finagle and linkerd does neither: a slower sample replaces the
//! value, a faster one is mixed in by `w = e^(-dt / tau)`, and reading decays to now.
//!
//! Three things differ here. A slower sample at most doubles the value: one client's request that takes long for a reason
//! of its own must not take the backend from all others, and a backend that has become slow shows it with each answer. The decay runs towards the configured expectation, not towards zero, so that an idle
//! backend is as good as promised, not infinitely fast. And it only ever runs downwards: a backend that is faster than
//! its operator expected keeps that record.

use std::time::Duration;

use crate::domain::Timestamp;

/// How fast old samples lose their weight: to 37 % after this long.
const TAU: Duration = Duration::from_secs(10);

/// One sample raises the value at most so many times.
const MOST_AT_ONCE: f64 = 2.0;

/// A peak-sensitive moving average of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeakEwma {
    /// The value at `at`, in microseconds; 0 means that nothing was measured.
    micros: u64,
    at: Timestamp,
}

impl PeakEwma {
    /// From the parts of a record.
    pub const fn from_parts(micros: u64, at: Timestamp) -> Self {
        Self { micros, at }
    }

    /// Its parts, for a record: microseconds (0: unmeasured) and the time of the last sample.
    pub const fn parts(self) -> (u64, Timestamp) {
        (self.micros, self.at)
    }

    /// Whether there was a sample.
    pub const fn is_measured(self) -> bool {
        self.micros > 0
    }

    /// The value at `now`; `prior` as long as nothing was measured.
    pub fn read(self, prior: Duration, now: Timestamp) -> Duration {
        Duration::from_micros(self.micros_at(prior, now) as u64)
    }

    /// Takes a sample that arrived at `now`.
    pub fn observe(&mut self, sample: Duration, prior: Duration, now: Timestamp) {
        self.observe_for(1, sample, prior, now);
    }

    /// Takes a sample that stands for so many: one of so many requests was sent there to see how it is.
    pub fn observe_for(&mut self, requests: u16, sample: Duration, prior: Duration, now: Timestamp) {
        // A sample of no length at all would read as "unmeasured".
        let sample = (sample.as_micros() as f64).max(1.0);
        let before = self.micros_at(prior, now);
        let value = if !self.is_measured() {
            sample
        } else if sample >= before {
            sample.min(before * MOST_AT_ONCE)
        } else {
            // Samples that come together share what the time since the last one gives; hence a floor on the gain,
            // without which a thousand fast answers in one tick would not outweigh a single slow one.
            let keep = decay(now.since(self.at)).min(0.95_f64.powi(requests.max(1).into()));
            before * keep + sample * (1.0 - keep)
        };
        self.micros = value as u64;
        self.at = now;
    }

    fn micros_at(self, prior: Duration, now: Timestamp) -> f64 {
        let prior = prior.as_micros() as f64;
        if !self.is_measured() {
            return prior;
        }
        let value = self.micros as f64;
        if value <= prior { value } else { prior + (value - prior) * decay(now.since(self.at)) }
    }
}

fn decay(elapsed: Duration) -> f64 {
    (-elapsed.as_secs_f64() / TAU.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Duration = Duration::from_millis(600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_unmeasured_backend_has_its_expectation() {
        assert_eq!(PeakEwma::default().read(PRIOR, at(0)), PRIOR);
    }

    #[test]
    fn a_slow_answer_counts_at_once_but_no_more_than_twice_and_six_in_full() {
        let mut ewma = PeakEwma::default();
        ewma.observe(ms(100), PRIOR, at(0));
        let mut read = Vec::new();
        for _ in 0..7 {
            ewma.observe(ms(5_000), PRIOR, at(0));
            read.push(ewma.read(PRIOR, at(0)).as_millis());
        }
        assert_eq!(read, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        ewma.observe(ms(5_500), PRIOR, at(0));
        assert_eq!(ewma.read(PRIOR, at(0)), ms(5_500), "what is less than twice the value replaces it");
    }

    #[test]
    fn an_idle_backend_is_forgiven_down_to_its_expectation_and_no_further() {
        let mut ewma = PeakEwma::default();
        ewma.observe(ms(5_000), PRIOR, at(0));
        assert!(ewma.read(PRIOR, at(10)) < ms(2_300));
        let long_after = ewma.read(PRIOR, at(300));
        assert!(long_after >= PRIOR && long_after < ms(601), "{long_after:?}");
    }

    #[test]
    fn a_backend_faster_than_expected_keeps_its_record() {
        let mut ewma = PeakEwma::default();
        ewma.observe(ms(50), PRIOR, at(0));
        assert_eq!(ewma.read(PRIOR, at(3_600)), ms(50));
    }

    #[test]
    fn many_fast_answers_in_one_instant_outweigh_one_slow_one() {
        let mut ewma = PeakEwma::default();
        ewma.observe(ms(5_000), PRIOR, at(0));
        for _ in 0..200 {
            ewma.observe(ms(100), PRIOR, at(0));
        }
        assert!(ewma.read(PRIOR, at(0)) < ms(110));
    }

    #[test]
    fn a_sample_that_stands_for_many_counts_as_so_many() {
        let after = |samples: usize, requests: u16| {
            let mut ewma = PeakEwma::default();
            ewma.observe(ms(500), PRIOR, at(0));
            (0..samples).for_each(|_| ewma.observe_for(requests, ms(50), PRIOR, at(0)));
            ewma.read(PRIOR, at(0))
        };
        assert!(after(1, 50).abs_diff(after(50, 1)) < ms(1), "{:?} {:?}", after(1, 50), after(50, 1));
        assert!(after(2, 50) < ms(53));
        assert_eq!(after(1, 0), after(1, 1));
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut ewma = PeakEwma::default();
        ewma.observe(ms(1_000), PRIOR, at(100));
        ewma.observe(ms(900), PRIOR, at(0));
        let value = ewma.read(PRIOR, at(0));
        assert!(value > ms(900) && value <= ms(1_000), "{value:?}");
        assert!(ewma.read(PRIOR, at(60)) < ms(610), "forgiveness goes by the clock of now");
    }
}
