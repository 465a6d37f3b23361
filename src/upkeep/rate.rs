//! How many requests a minute there are: from a total that grows, looked at once a second.

use std::collections::VecDeque;
use std::time::Duration;

use super::pace::Pace;
use crate::domain::Timestamp;

const INTERVAL: Duration = Duration::from_secs(1);

/// How far back it looks.
const SPAN: Duration = Duration::from_secs(10);

/// The pace of the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct Rate {
    pace: Pace,
    totals: VecDeque<(Timestamp, u64)>,
}

impl Rate {
    /// Requests a minute, once a second; `total` is how many there have been.
    pub(super) fn look(&mut self, total: impl FnOnce() -> u64, now: Timestamp) -> Option<u64> {
        if !self.pace.is_due(INTERVAL, now) {
            return None;
        }
        let total = total();
        // What lies ahead is of a clock that was set back.
        let is_of_use = |&(at, _): &(Timestamp, u64)| at < now && now.since(at) <= SPAN;
        self.totals.retain(is_of_use);
        self.totals.push_back((now, total));
        let &(since, before) = self.totals.front()?;
        let millis = now.since(since).as_millis() as u64;
        Some(total.saturating_sub(before).saturating_mul(60_000).checked_div(millis).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1_000)
    }

    #[test]
    fn it_is_the_pace_of_the_last_ten_seconds() {
        let mut rate = Rate::default();
        let mut shown = Vec::new();
        for tick in 0..400 {
            let seconds = tick as f64 / 20.0;
            let total = if seconds < 10.0 { (seconds * 5.0) as u64 } else { 50 };
            shown.extend(rate.look(|| total, at(tick * 50)));
        }
        assert_eq!(shown.len(), 20);
        assert_eq!((shown[0], shown[1], shown[9]), (0, 300, 300));
        assert_eq!((shown[15], shown[19]), (150, 30));
    }

    #[test]
    fn a_total_that_was_there_before_is_no_traffic() {
        let mut rate = Rate::default();
        assert_eq!(rate.look(|| 1_000_000, at(0)), Some(0));
        assert_eq!(rate.look(|| 1_000_000, at(1_000)), Some(0));
    }

    proptest! {
        #[test]
        fn however_the_clock_is_set_it_remembers_little_and_goes_on(
            moments in prop::collection::vec(0..1_000_000_u64, 0..200)
        ) {
            let mut rate = Rate::default();
            for (total, &ms) in (0_u64..).zip(&moments) {
                rate.look(|| total, at(ms));
                prop_assert!(rate.totals.len() <= 12);
            }
            let last = moments.last().copied().unwrap_or(0);
            prop_assert!((1..=22).any(|tick| rate.look(|| 9_999, at(last + 50 * tick)).is_some()));
        }
    }
}
