//! How many requests a minute there are: from each backend's total, looked at once a second.
//!
//! Backends come and go, and their counters stay in Envoy: one that comes back has all its former requests. So what is added
//! up is by how much each total grew, not the totals.

use std::collections::VecDeque;
use std::time::Duration;

use super::pace::Pace;
use crate::domain::Timestamp;

const INTERVAL: Duration = Duration::from_secs(1);

/// How far back it looks.
const SPAN: Duration = Duration::from_secs(10);

/// The pace of the last ten seconds; a backend is known by a `K`.
#[derive(Debug)]
pub(super) struct Rate<K> {
    pace: Pace,
    /// Each backend's total at the last look.
    last: Vec<(K, u64)>,
    /// By how much all of them grew until then.
    grown: u64,
    totals: VecDeque<(Timestamp, u64)>,
}

impl<K> Default for Rate<K> {
    fn default() -> Self {
        Self { pace: Pace::default(), last: Vec::new(), grown: 0, totals: VecDeque::new() }
    }
}

impl<K: PartialEq> Rate<K> {
    /// Requests a minute, once a second; `totals` are how many each backend has had.
    pub(super) fn look(&mut self, totals: impl FnOnce() -> Vec<(K, u64)>, now: Timestamp) -> Option<u64> {
        if !self.pace.is_due(INTERVAL, now) {
            return None;
        }
        let current = totals();
        // One that was not there a second ago begins with what it has.
        let before = |key: &K| self.last.iter().find(|(other, _)| other == key).map(|&(_, total)| total);
        let grown = |(key, total): &(K, u64)| total.saturating_sub(before(key).unwrap_or(*total));
        let total = current.iter().map(grown).fold(self.grown, u64::saturating_add);
        (self.last, self.grown) = (current, total);
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
            shown.extend(rate.look(|| vec![("a", total)], at(tick * 50)));
        }
        assert_eq!(shown.len(), 20);
        assert_eq!((shown[0], shown[1], shown[9]), (0, 300, 300));
        assert_eq!((shown[15], shown[19]), (150, 30));
    }

    #[test]
    fn a_total_that_was_there_before_is_no_traffic() {
        let mut rate = Rate::default();
        assert_eq!(rate.look(|| vec![("a", 1_000_000)], at(0)), Some(0));
        assert_eq!(rate.look(|| vec![("a", 1_000_000)], at(1_000)), Some(0));
    }

    #[test]
    fn backends_that_come_and_go_are_no_traffic_and_hide_none() {
        let mut rate = Rate::default();
        let mut shown = Vec::new();
        for second in 0..30 {
            // b answers one request a second all the time; a, which answers none, is away for a while.
            let is_there = !(10..20).contains(&second);
            let totals = || is_there.then_some(("a", 750)).into_iter().chain([("b", second)]).collect();
            shown.extend(rate.look(totals, at(second * 1_000)));
        }
        assert_eq!((shown[0], &shown[1..]), (0, &[60; 29][..]));
    }

    proptest! {
        #[test]
        fn however_the_clock_is_set_it_remembers_little_and_goes_on(
            moments in prop::collection::vec(0..1_000_000_u64, 0..200)
        ) {
            let mut rate = Rate::default();
            for (total, &ms) in (0_u64..).zip(&moments) {
                rate.look(|| vec![("a", total)], at(ms));
                prop_assert!(rate.totals.len() <= 12);
            }
            let last = moments.last().copied().unwrap_or(0);
            prop_assert!((1..=22).any(|tick| rate.look(|| vec![("a", 9_999)], at(last + 50 * tick)).is_some()));
        }
    }
}
