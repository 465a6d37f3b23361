//! Limits that a backend keeps to, whatever its behaviour: what it takes beyond them is answered with a 429.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::Behaviour;

/// What a backend takes, and what it says of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// All that comes.
    None,
    /// So many requests in a window.
    Requests {
        /// How many are left in the first window.
        left: u32,
        /// How many there are in each of the later ones.
        limit: u32,
        /// How long a window is.
        window_ms: u64,
        /// How the answers speak of it.
        told: Told,
    },
    /// So many requests at once; nothing is said of it.
    InFlight(u64),
}

/// How answers speak of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// As `OpenAI` does: `x-ratelimit-remaining-requests: 9`, `x-ratelimit-reset-requests: 1m0s`.
    OpenAi,
    /// As Anthropic does: `anthropic-ratelimit-requests-reset: 2026-01-01T00:00:00Z`.
    Anthropic,
    /// Not at all.
    No,
}

#[derive(Debug)]
pub(super) struct Limiter(Mutex<State>);

#[derive(Debug)]
struct State {
    limit: Limit,
    left: u32,
    since: Instant,
}

impl Default for Limiter {
    fn default() -> Self {
        Self(Mutex::new(State { limit: Limit::None, left: 0, since: Instant::now() }))
    }
}

impl Limiter {
    pub(super) fn set(&self, limit: Limit) {
        let left = if let Limit::Requests { left, .. } = limit { left } else { 0 };
        *self.lock() = State { limit, left, since: Instant::now() };
    }

    /// What becomes of a request that was to be answered so, with that many in flight, itself among them.
    pub(super) fn apply(&self, behaviour: Behaviour, in_flight: u64) -> (Behaviour, bool) {
        let mut state = self.lock();
        match state.limit {
            Limit::InFlight(most) if in_flight > most => (Behaviour::status(429), true),
            Limit::None | Limit::InFlight(_) => (behaviour, false),
            Limit::Requests { limit, window_ms, told, .. } => {
                let window = Duration::from_millis(window_ms);
                if state.since.elapsed() >= window {
                    (state.left, state.since) = (limit, Instant::now());
                }
                let reset = window.saturating_sub(state.since.elapsed());
                let refused = state.left == 0;
                state.left = state.left.saturating_sub(1);
                let answer = if refused { Behaviour::status(429) } else { behaviour };
                (told.tell(answer, state.left, limit, reset), refused)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn tell(self, behaviour: Behaviour, left: u32, limit: u32, reset: Duration) -> Behaviour {
        let (prefix, suffix, reset) = match self {
            Self::No => return behaviour,
            Self::OpenAi => ("x-ratelimit", "requests", format!("{}ms", reset.as_millis())),
            Self::Anthropic => ("anthropic-ratelimit", "requests", rfc3339(SystemTime::now() + reset)),
        };
        let name = |field: &str| match self {
            Self::Anthropic => format!("{prefix}-{suffix}-{field}"),
            _ => format!("{prefix}-{field}-{suffix}"),
        };
        behaviour
            .with_header(&name("limit"), &limit.to_string())
            .with_header(&name("remaining"), &left.to_string())
            .with_header(&name("reset"), &reset)
    }
}

/// A moment in whole seconds, rounded up.
fn rfc3339(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
    let (days, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3_600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_anthropic_writes_them() {
        let moment = UNIX_EPOCH + Duration::from_millis(1_755_780_058_900);
        assert_eq!(rfc3339(moment), "2025-08-21T12:40:59Z");
    }

    #[test]
    fn a_window_takes_so_many_and_the_next_one_so_many_more() {
        let limiter = Limiter::default();
        limiter.set(Limit::Requests { left: 2, limit: 3, window_ms: 0, told: Told::OpenAi });
        limiter.lock().limit = Limit::Requests { left: 2, limit: 3, window_ms: 60_000, told: Told::OpenAi };
        let ask = || limiter.apply(Behaviour::default(), 1);
        let refused: Vec<_> = (0..4).map(|_| ask().1).collect();
        assert_eq!(refused, [false, false, true, true]);
        let (answer, _) = ask();
        assert_eq!((answer.status, &*answer.headers[1].1), (429, "0"));
    }
}
