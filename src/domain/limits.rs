//! What may be spent, and how much may be asked, in a span of time.

use std::time::Duration;

use super::{PicoUsd, Timestamp};

/// Hours over which is looked at most how well money was spent: a week.
pub const MOST_TRACKED_HOURS: u64 = 168;

/// A calendar span in UTC, over which a budget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
}

impl Span {
    /// Every span, the shortest first.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// Its name in metrics and the control API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_secs(86_400),
        }
    }

    /// The number of the span that a moment is in, since the Unix epoch.
    pub const fn index(self, at: Timestamp) -> u64 {
        at.as_micros() / self.micros()
    }

    /// When a span begins.
    pub const fn start(self, index: u64) -> Timestamp {
        Timestamp::from_micros(index.saturating_mul(self.micros()))
    }

    const fn micros(self) -> u64 {
        self.length().as_secs() * 1_000_000
    }
}

/// What a backend, a tenant, or all of them together may spend and ask for; none: without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// Money in an hour of UTC.
    pub hourly_budget: Option<PicoUsd>,
    /// Money in a day of UTC.
    pub daily_budget: Option<PicoUsd>,
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens, of prompts and answers, in any minute.
    pub tokens_per_minute: Option<u64>,
}

impl Limits {
    /// The budget over a span.
    pub const fn budget(&self, span: Span) -> Option<PicoUsd> {
        match span {
            Span::Hour => self.hourly_budget,
            Span::Day => self.daily_budget,
        }
    }

    /// Whether there is any.
    pub const fn is_any(&self) -> bool {
        self.hourly_budget.is_some()
            || self.daily_budget.is_some()
            || self.requests_per_minute.is_some()
            || self.tokens_per_minute.is_some()
    }
}
