//! One figure of a quota, requests or tokens, as last reported: a value that many answers write, in any order.
//!
//! Whoever sends keeps below the figure less what is under way and unreported. For that to be safe the figure must allow
//! for every request that is no longer under way, and answers overtake each other: what one of them says is left does
//! not allow for those that the provider counted after it, though they may have been answered before it. These all
//! ended while it was under way, and how much ended is counted. So with each answer that says *r* are left
//!
//! ```text
//!   figure = at least r - what ended while it was under way, at most r, and in between the old figure - its own part
//! ```
//!
//! The old figure less one is right where windows are fixed, and nobody else uses the quota; the upper bound is for
//! those who do, the lower one for quotas that fill up again while they are used.

use std::time::Duration;

use crate::domain::{Allowance, Decoder, Encoder, Timestamp};

/// How long a report is believed that nothing has followed. A quota of the day that is used up is asked about by one
/// request after so long, and one that is never mentioned again is forgotten so long after its reset.
const BELIEF: Duration = Duration::from_secs(600);

/// How far two moments may lie apart that mean the same: resets in whole seconds, and the clock as two threads read it.
const SLACK: Duration = Duration::from_secs(1);

/// What is left of requests or of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gauge {
    remaining: u64,
    /// 0: not said.
    limit: u64,
    /// When all of it is there again; the epoch for one of which nothing was ever said.
    resets: Timestamp,
    /// When the last report came.
    reported: Timestamp,
    /// How much has ended so far, reported or not.
    ended: u64,
}

/// What an answer that came at some moment says of a gauge, and what is known of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    pub(super) said: &'a Allowance,
    /// What the request itself took, as estimated.
    pub(super) own: u64,
    /// What had [ended](Gauge::ended) when it departed, or some time before that, if that is known.
    pub(super) departed_after: Option<u64>,
    pub(super) at: Timestamp,
}

impl Gauge {
    /// What the provider would say is left at `now`, if that is known: as reported; after its reset the whole limit.
    pub(super) fn left(&self, now: Timestamp) -> Option<u64> {
        if self.resets == Timestamp::default() || self.is_from_the_future(now) {
            return None;
        }
        if now < self.resets {
            return Some(if self.is_doubtful(now) { self.remaining.max(1) } else { self.remaining });
        }
        (self.limit > 0 && now.since(self.resets) <= BELIEF).then_some(self.limit)
    }

    /// What there is when nothing was used, if that is known.
    pub(super) fn limit(&self) -> Option<u64> {
        (self.limit > 0).then_some(self.limit)
    }

    /// When all of it is there again, if that lies ahead.
    pub(super) fn resets(&self, now: Timestamp) -> Option<Timestamp> {
        (self.left(now).is_some() && now < self.resets).then_some(self.resets)
    }

    /// When there may be more than now: at its reset, or once the report is too old to be believed.
    pub(super) fn opens(&self, now: Timestamp) -> Timestamp {
        self.resets.min(self.reported.after(BELIEF)).max(now)
    }

    /// Whether the last report is too old to be believed, though its window is not over: then it is asked about.
    pub(super) fn is_doubtful(&self, now: Timestamp) -> bool {
        self.holds(now) && now.since(self.reported) >= BELIEF
    }

    /// How much has ended so far.
    pub(super) const fn ended(&self) -> u64 {
        self.ended
    }

    /// Takes in what an answer says.
    pub(super) fn note(&mut self, reading: &Reading<'_>) {
        let &Reading { said: &Allowance { remaining, limit, resets }, own, departed_after, at } = reading;
        let since = departed_after.map(|before| self.ended.saturating_sub(before));
        let least = since.map_or(0, |since| remaining.saturating_sub(since));
        if self.holds(at) {
            let before = self.remaining.saturating_sub(own);
            // The last answers of one window may come in the next one: they say nothing against it.
            let is_late = resets <= at.after(SLACK) && self.resets > at.after(SLACK);
            let most = if is_late { u64::MAX } else { remaining.max(least) };
            let after = before.clamp(least, most);
            self.resets = if after > self.remaining { resets } else { self.resets.max(resets) };
            self.remaining = after;
            self.limit = limit.unwrap_or(self.limit);
        } else {
            let remaining = since.map_or(remaining, |_| least);
            (self.remaining, self.limit, self.resets) = (remaining, limit.unwrap_or(0), resets);
        }
        self.reported = at;
        self.ended = self.ended.wrapping_add(own);
    }

    /// Takes off what a request may have used whose answer said nothing.
    pub(super) fn charge(&mut self, own: u64, at: Timestamp) {
        if self.holds(at) {
            self.remaining = self.remaining.saturating_sub(own);
            self.reported = self.reported.max(at);
        }
        self.ended = self.ended.wrapping_add(own);
    }

    /// Appends it to a record.
    pub(super) fn encode(&self, out: &mut Encoder) {
        out.u64(self.remaining).u64(self.limit).time(self.resets).time(self.reported).u64(self.ended);
    }

    /// Reads it from a record.
    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            remaining: from.u64()?,
            limit: from.u64()?,
            resets: from.time()?,
            reported: from.time()?,
            ended: from.u64()?,
        })
    }

    fn holds(&self, now: Timestamp) -> bool {
        now < self.resets && !self.is_from_the_future(now)
    }

    /// Whether the clock stepped back since: then none of its moments means anything.
    fn is_from_the_future(&self, now: Timestamp) -> bool {
        self.reported.since(now) > SLACK
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1_000)
    }

    fn said(remaining: u64, resets: u64) -> Allowance {
        Allowance { remaining, limit: Some(100), resets: at(resets) }
    }

    fn note(gauge: &mut Gauge, said: Allowance, departed_after: u64, millis: u64) -> Option<u64> {
        gauge.note(&Reading { said: &said, own: 1, departed_after: Some(departed_after), at: at(millis) });
        gauge.left(at(millis))
    }

    #[test]
    fn a_report_holds_until_its_reset_and_then_all_is_there_again_for_a_while() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.left(at(0)), None);
        note(&mut gauge, said(7, 60_000), 0, 100);
        assert_eq!((gauge.left(at(200)), gauge.left(at(59_999))), (Some(7), Some(7)));
        assert_eq!((gauge.left(at(60_000)), gauge.left(at(600_000))), (Some(100), Some(100)));
        assert_eq!(gauge.left(at(700_000)), None, "nobody has mentioned it since");
        let mut gauge = Gauge::default();
        note(&mut gauge, Allowance { limit: None, ..said(7, 60_000) }, 0, 400);
        assert_eq!(gauge.left(at(60_000)), None, "how much there is now is not known");
    }

    #[test]
    fn what_an_answer_says_allows_for_those_that_it_overtook_and_that_overtook_it() {
        let mut gauge = Gauge::default();
        assert_eq!(note(&mut gauge, said(50, 60_000), 0, 100), Some(50));
        assert_eq!(note(&mut gauge, said(52, 60_000), 0, 200), Some(52 - 1), "it was counted before that one");
        assert_eq!(note(&mut gauge, said(30, 60_000), 0, 300), Some(30), "others use the quota, too");
        assert_eq!(note(&mut gauge, said(60, 60_000), 2, 400), Some(59), "it fills up again: one ended meanwhile");
        assert_eq!(note(&mut gauge, said(60, 60_000), 4, 500), Some(60), "none did");
    }

    #[test]
    fn the_window_before_says_nothing_of_this_one() {
        let mut gauge = Gauge::default();
        note(&mut gauge, said(3, 60_000), 0, 100);
        assert_eq!(note(&mut gauge, said(99, 120_000), 1, 60_200), Some(99));
        assert_eq!(note(&mut gauge, said(0, 60_300), 1, 60_300), Some(98));
        assert_eq!(note(&mut gauge, said(97, 120_000), 3, 60_400), Some(97));
    }

    #[test]
    fn a_quota_of_the_day_that_is_used_up_is_asked_about_now_and_then() {
        let mut gauge = Gauge::default();
        note(&mut gauge, said(0, 80_000_000), 0, 100);
        assert_eq!((gauge.left(at(500_000)), gauge.left(at(700_000))), (Some(0), Some(1)));
        gauge.charge(1, at(700_000));
        assert_eq!(gauge.left(at(800_000)), Some(0), "that one went, and said nothing");
    }

    #[test]
    fn a_clock_that_steps_back_makes_it_forget() {
        let mut gauge = Gauge::default();
        note(&mut gauge, said(0, 900_000), 0, 800_000);
        assert_eq!(gauge.left(at(799_500)), Some(0), "two threads read the clock");
        assert_eq!(gauge.left(at(1_000)), None);
        assert_eq!(note(&mut gauge, said(5, 60_000), 1, 1_100), Some(5));
    }

    proptest! {
        /// A provider that counts requests in one window, or fills up again; each request departs, is counted, answers
        /// and is reported, or is lost: with any delays in between. Whoever sends only while the figure is above what is
        /// under way and unreported is never refused.
        #[test]
        fn the_figure_less_what_is_under_way_is_never_too_high(
            steps in prop::collection::vec((0..8_u8, any::<prop::sample::Index>()), 0..600),
            quota in 1_u64..40, fills_up in any::<bool>()
        ) {
            let mut gauge = Gauge::default();
            let (mut used, mut now) = (0, 0);
            // What had ended when one was decided that goes elsewhere first, and so departs here some time later.
            let mut decided = 0;
            // What had ended when each departed, and what its answer will say once it was counted.
            let mut under_way: Vec<(u64, Option<u64>)> = Vec::new();
            note(&mut gauge, Allowance { limit: None, ..said(quota, 1 << 40) }, 0, 0);
            for (event, which) in steps {
                now += 1;
                let some = (!under_way.is_empty()).then(|| which.index(under_way.len()));
                match (event, some) {
                    (0 | 1, _) if gauge.left(at(now)).unwrap() > under_way.len() as u64 => {
                        under_way.push((gauge.ended(), None));
                    }
                    (6, _) => decided = gauge.ended(),
                    (7, _) if gauge.left(at(now)).unwrap() > under_way.len() as u64 => {
                        under_way.push((decided, None));
                    }
                    (2, Some(n)) if under_way[n].1.is_none() => {
                        used += 1;
                        prop_assert!(used <= quota, "refused");
                        under_way[n].1 = Some(quota - used);
                    }
                    (3, Some(n)) if under_way[n].1.is_some() => {
                        let (ended, remaining) = under_way.swap_remove(n);
                        note(&mut gauge, said(remaining.unwrap(), 1 << 40), ended, now);
                    }
                    (4, Some(n)) if which.index(8) == 0 => {
                        let lost = under_way.swap_remove(n);
                        used += u64::from(lost.1.is_none());
                        prop_assert!(used <= quota, "refused");
                        gauge.charge(1, at(now));
                    }
                    (5, _) if fills_up => used = used.saturating_sub(1),
                    _ => {}
                }
            }
        }

        /// One request after the other, as much as is let in: the figure is what the provider says.
        #[test]
        fn one_by_one_it_is_exact(quota in 1_u64..100) {
            let mut gauge = Gauge::default();
            for used in 1..=quota {
                let before = gauge.ended();
                prop_assert_eq!(note(&mut gauge, said(quota - used, 60_000), before, used), Some(quota - used));
            }
        }
    }
}
