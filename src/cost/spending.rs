//! What was spent in the present hour or day.

use crate::domain::{PicoUsd, Span, Timestamp};

/// Money spent in one window of time, the latest that any worker has seen.
///
/// Workers look at the clock at slightly different moments, so around a full hour some are in the new window before
/// others: what those spend counts in the new one. Nothing that was spent is forgotten because a clock stepped back:
/// where it did so by more than a window, the money goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    window: u64,
    spent: PicoUsd,
}

impl Spending {
    /// From its parts.
    pub const fn from_parts(window: u64, spent: PicoUsd) -> Self {
        Self { window, spent }
    }

    /// Its parts.
    pub const fn parts(self) -> (u64, PicoUsd) {
        (self.window, self.spent)
    }

    /// As it stands at a moment: nothing is spent yet in a window that has just begun.
    #[must_use]
    pub const fn at(self, span: Span, now: Timestamp) -> Self {
        let window = span.index(now);
        if window > self.window {
            Self { window, spent: PicoUsd(0) }
        } else if window + 1 < self.window {
            Self { window, spent: self.spent }
        } else {
            self
        }
    }

    /// With more spent at a moment.
    #[must_use]
    pub const fn with(self, amount: PicoUsd, span: Span, now: Timestamp) -> Self {
        let Self { window, spent } = self.at(span, now);
        Self { window, spent: spent.plus(amount) }
    }

    /// What was spent.
    pub const fn spent(self) -> PicoUsd {
        self.spent
    }

    /// When the window began.
    pub const fn starts_at(self, span: Span) -> Timestamp {
        span.start(self.window)
    }

    /// When the next window begins.
    pub const fn resets_at(self, span: Span) -> Timestamp {
        span.start(self.window.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 * (500_000 * HOUR + seconds))
    }

    fn spend(spending: &mut Spending, amount: u64, seconds: u64) -> u64 {
        *spending = spending.with(PicoUsd(amount), Span::Hour, at(seconds));
        spending.spent().0
    }

    #[test]
    fn a_new_hour_begins_with_nothing_and_ends_at_the_full_hour() {
        let mut spending = Spending::default();
        assert_eq!([spend(&mut spending, 5, 0), spend(&mut spending, 6, HOUR - 1)], [5, 11]);
        assert_eq!(spending.resets_at(Span::Hour), at(HOUR));
        assert_eq!(spending.at(Span::Hour, at(HOUR)).spent(), PicoUsd(0));
        assert_eq!(spend(&mut spending, 7, HOUR), 7);
    }

    #[test]
    fn a_clock_that_steps_back_forgets_nothing() {
        let mut spending = Spending::default();
        spend(&mut spending, 5, 10 * HOUR);
        // A worker that is still in the hour before.
        assert_eq!(spend(&mut spending, 1, 10 * HOUR - 1), 6);
        assert_eq!(spend(&mut spending, 1, 10 * HOUR), 7);
        // A clock that was set: nobody waits ten hours for the window to end.
        assert_eq!(spend(&mut spending, 1, 0), 8);
        assert_eq!(spending.resets_at(Span::Hour), at(HOUR));
        assert_eq!(spend(&mut spending, 1, HOUR), 1);
    }
}
