//! Doing something every so often, by a clock that may be set.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::host::CallId;

/// When something is due that is done every so often.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Timestamp,
}

impl Pace {
    /// Whether it is due; if so, it is next due an interval after it was, however late this is asked, but never twice for
    /// the same reason.
    pub(super) fn is_due(&mut self, interval: Duration, now: Timestamp) -> bool {
        // Further ahead than that: the clock stepped back.
        let waits = now < self.next && self.next.since(now) <= interval;
        if !waits {
            let late = now.since(self.next) >= interval || now < self.next;
            self.next = if late { now } else { self.next }.after(interval);
        }
        !waits
    }
}

/// Beyond a call's own timeout: Envoy always answers, but nothing may depend on it for ever.
const GRACE: Duration = Duration::from_secs(5);

/// A call that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnderWay {
    pub(super) id: CallId,
    pub(super) since: Timestamp,
}

impl UnderWay {
    /// Whether its answer is still to be expected.
    pub(super) fn is_expected(&mut self, timeout: Duration, now: Timestamp) -> bool {
        self.since = self.since.min(now);
        now.since(self.since) <= timeout + GRACE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1_000)
    }

    fn due(steps: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut pace = Pace::default();
        steps.into_iter().filter(|&ms| pace.is_due(INTERVAL, at(ms))).collect()
    }

    #[test]
    fn ticks_that_come_late_do_not_make_it_drift() {
        assert_eq!(due((0..).step_by(70).take(60)), [0, 1_050, 2_030, 3_010, 4_060]);
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        assert_eq!(due([0, 10_000, 10_050, 10_999, 11_000]), [0, 10_000, 11_000]);
    }

    proptest! {
        #[test]
        fn however_the_clock_is_set_it_is_due_again_within_an_interval(
            moments in prop::collection::vec(0..100_000_u64, 0..40), last in 0..100_000_u64
        ) {
            let mut pace = Pace::default();
            for ms in moments {
                pace.is_due(INTERVAL, at(ms));
            }
            prop_assert!((0..=20).any(|tick| pace.is_due(INTERVAL, at(last + 50 * tick))));
        }
    }
}
