//! What was spent in the present hour or day.

use std::time::Duration;

use crate::domain::{Decoder, Encoder, PicoUsd, Span, Timestamp};

/// A clock that is further before a window's beginning than this was set back; by less, it is only another worker's.
const SKEW: Duration = Duration::from_secs(60);

/// Money spent in one window of time, the latest that any worker has seen.
///
/// Workers look at the clock at slightly different moments, so around a full hour some are in the new window before
/// others: what those spend counts in the new one. Nothing that was spent is forgotten because a clock stepped back:
/// where it did so by more than that, the money goes along. And where it had been ahead by mistake, what was spent in the
/// window before that is there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    window: u64,
    spent: PicoUsd,
    /// The window before, of those in which anything was spent, and how much that was.
    earlier: (u64, PicoUsd),
}

impl Spending {
    /// As it stands at a moment: nothing is spent yet in a window that has just begun.
    #[must_use]
    pub const fn at(self, span: Span, now: Timestamp) -> Self {
        let Self { spent, earlier, .. } = self;
        let window = span.index(now);
        if window > self.window {
            let earlier = if spent.0 > 0 { (self.window, spent) } else { earlier };
            Self { window, spent: PicoUsd(0), earlier }
        } else if window < self.window && self.starts_at(span).since(now).as_secs() >= SKEW.as_secs() {
            let again = if window == earlier.0 { earlier.1 } else { PicoUsd(0) };
            Self { window, spent: spent.plus(again), earlier: (0, PicoUsd(0)) }
        } else {
            self
        }
    }

    /// With more spent at a moment.
    #[must_use]
    pub const fn with(self, amount: PicoUsd, span: Span, now: Timestamp) -> Self {
        let at = self.at(span, now);
        Self { spent: at.spent.plus(amount), ..at }
    }

    /// Without what counted as spent at a moment, and was not. Of a window that is over nothing can be taken back.
    #[must_use]
    pub fn without(self, amount: PicoUsd, span: Span, at: Timestamp) -> Self {
        let (window, (earlier, before)) = (span.index(at), self.earlier);
        if window == self.window {
            Self { spent: self.spent.minus(amount), ..self }
        } else if window == earlier {
            Self { earlier: (earlier, before.minus(amount)), ..self }
        } else {
            self
        }
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

    /// Appends it.
    pub(super) fn encode(&self, out: &mut Encoder) {
        for (window, spent) in [(self.window, self.spent), self.earlier] {
            out.number(window).number(spent.0);
        }
    }

    /// Reads it.
    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let mut part = || Some((from.number()?, PicoUsd(from.number()?)));
        let ((window, spent), earlier) = (part()?, part()?);
        Some(Self { window, spent, earlier })
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

    #[test]
    fn what_was_not_spent_after_all_is_taken_back_where_it_counted() {
        let mut spending = Spending::default();
        spend(&mut spending, 5, 10);
        spend(&mut spending, 7, HOUR);
        let back =
            |seconds, now| spending.without(PicoUsd(3), Span::Hour, at(seconds)).at(Span::Hour, at(now)).spent().0;
        assert_eq!([back(HOUR + 9, HOUR + 10), back(10, HOUR + 10), back(9 * HOUR, HOUR + 10)], [4, 7, 7]);
        // In the window before, should the clock come back to that.
        assert_eq!([back(10, 30), back(HOUR, 30)], [7 + 2, 4 + 5]);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_moment_forgets_nothing() {
        for ahead in [HOUR, 5 * HOUR, 24 * 365 * HOUR] {
            let mut spending = Spending::default();
            spend(&mut spending, 40, 600);
            // Whoever only looks, whoever spends nothing, and whoever spends.
            assert_eq!(spending.at(Span::Hour, at(600 + ahead)).spent(), PicoUsd(0));
            assert_eq!([spend(&mut spending, 0, 600 + ahead), spend(&mut spending, 2, 601 + ahead)], [0, 2]);
            assert_eq!(spending.at(Span::Hour, at(602)).spent(), PicoUsd(42));
            assert_eq!([spend(&mut spending, 1, 602), spend(&mut spending, 1, HOUR)], [43, 1]);
        }
    }
}
