//! How long a breaker stays open, and what is let through first: arithmetic without state.

use std::time::Duration;

use super::Breaker;
use crate::domain::{BreakerSettings, Rng, SplitMix64, Timestamp, Tokens};

/// Tokens that the first probe may take, prompt and answer together: a short question with an answer of usual length.
const SMALL: u64 = 1_000;

/// How much larger probes may be after each one that succeeded.
const LARGER: u32 = 4;

/// The longest wait, in recovery timeouts.
const MOST_TIMEOUTS: u32 = 10;

/// What is added to a wait at most, in thousandths of it: so that backends that went together do not come back together.
const JITTER: u64 = 100;

impl Breaker {
    /// The largest request that may be a probe at `now`: a backend that has just come up is tried with small ones.
    /// The limit grows with each success and with time, so that nothing is kept waiting for small requests that never
    /// come: `1000 tokens · 4^successes · 2^(time since probes may come / step)`, where a step is a tenth of the
    /// recovery timeout, at most 2 s.
    pub(super) fn largest_probe(&self, settings: &BreakerSettings, now: Timestamp) -> Tokens {
        if now < self.retry_at {
            return Tokens(u64::MAX);
        }
        let step = (settings.recovery_timeout / 10).clamp(Duration::from_millis(1), Duration::from_secs(2));
        let steps = now.since(self.retry_at).as_micros() / step.as_micros();
        let by_time = 1_u64.checked_shl(u32::try_from(steps).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
        let by_success = u64::from(LARGER).saturating_pow(self.probe_successes);
        Tokens(SMALL.saturating_mul(by_success).saturating_mul(by_time))
    }

    /// How long it stays open: `recovery_timeout · 2^(openings - 1)`, at most ten times the timeout, and up to a tenth
    /// more, by chance. Never less: the operator said how long.
    pub(super) fn wait(&self, settings: &BreakerSettings) -> Duration {
        let doublings = u32::from(self.openings.saturating_sub(1)).min(MOST_TIMEOUTS);
        let wait = settings.recovery_timeout * 2_u32.pow(doublings).min(MOST_TIMEOUTS);
        // Chance, but the same for every worker that replays this opening.
        let seed = self.since.as_micros() ^ u64::from(self.epoch).rotate_left(32);
        let thousandths = SplitMix64::new(seed).below(JITTER as usize + 1);
        wait + wait * thousandths as u32 / 1_000
    }
}
