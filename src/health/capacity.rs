//! How many tokens in flight a backend can take that does not say so itself: learned from its refusals.
//!
//! As TCP learns a path: additive increase, multiplicative decrease. Nothing is known, and nothing bounded, until the
//! first refusal. Each one cuts the capacity to 0.7 of what was in flight; each good answer that came while the backend
//! was nearly full adds its share of one request, so that a capacity's worth of answers adds one; but no more than 5 %
//! or half a request a second, or backends that answer in no time would be driven to the next refusal in no time.
//! Refusals of requests that were under way together are one: what departed before the last cut says nothing new.
//!
//! One client can be refused as often as it likes. So while others are served, a refusal cuts only if another client was
//! refused within the last ten seconds, too.

use std::time::Duration;

use super::{Asker, Source};
use crate::domain::{Decoder, Encoder, Timestamp, Tokens};

/// What is left of the load at which a backend refused, in tenths.
const DECREASE: u64 = 7;

/// From this share of the capacity on the backend is busy enough for a success to say something.
const NEARLY_FULL: f64 = 0.8;

/// With less than this share free it gets less of the traffic, in proportion.
const SCARCE: f64 = 0.2;

/// How long it takes at least to grow by as much again …
const DOUBLING: Duration = Duration::from_secs(20);

/// … and, where it is small, by one request.
const ONE_MORE: Duration = Duration::from_secs(2);

/// Not refused and not nearly full for this long: the cause may be gone, and if it is not, it will show again.
const MEMORY: Duration = Duration::from_secs(600);

/// How long a refusal of another client bears one out.
const AGREES: Duration = Duration::from_secs(10);

/// The learned capacity of a backend; none until a first refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Tokens in flight; 0: unknown, hence unlimited.
    tokens: u64,
    /// When it was last cut.
    cut: Timestamp,
    /// When it was last shown to be what it is, by a refusal or by a success at the limit.
    shown: Timestamp,
    /// The client that was last refused while others were served, and when.
    complained: Option<(u32, Timestamp)>,
}

impl Capacity {
    /// Tokens that may be in flight at once, if that is known.
    pub fn tokens(&self, now: Timestamp) -> Option<Tokens> {
        let is_old = now.since(self.shown) > MEMORY || self.shown.since(now) > MEMORY;
        if self.tokens == 0 || is_old { None } else { Some(Tokens(self.tokens)) }
    }

    /// The part of its usual traffic that the backend should have with so many tokens in flight and one more request;
    /// none if that has no room. One request alone always has.
    pub fn room(&self, in_flight: Tokens, next: Tokens, now: Timestamp) -> Option<f64> {
        let Some(Tokens(capacity)) = self.tokens(now) else { return Some(1.0) };
        if in_flight.0 == 0 {
            return Some(1.0);
        }
        let after = in_flight.0.saturating_add(next.0);
        if after > capacity {
            return None;
        }
        let free = (capacity - in_flight.0) as f64 / capacity as f64;
        Some((free / SCARCE).min(1.0))
    }

    /// Whether so many tokens nearly fill it, or leave no room for one more request like this.
    pub fn is_nearly_full(&self, in_flight: Tokens, like: Tokens, now: Timestamp) -> bool {
        self.tokens(now).is_some_and(|Tokens(capacity)| {
            in_flight.0.saturating_add(like.0) > capacity || in_flight.0 as f64 >= capacity as f64 * NEARLY_FULL
        })
    }

    /// Whether a refusal shows that all together are too many: a client can have one at will. It does where nobody else
    /// was served a moment ago, and where another client was refused, too.
    pub fn is_shown_by(&mut self, asker: &Asker, at: Timestamp) -> bool {
        let Some(client) = asker.source.map(Source::client) else { return true };
        if !asker.known.has_other(|other| other == client) {
            return true;
        }
        let is_recent = |when: Timestamp| at.since(when).max(when.since(at)) < AGREES;
        let agrees = self.complained.is_some_and(|(other, when)| other != client && is_recent(when));
        self.complained = (!agrees).then_some((client, at));
        agrees
    }

    /// The backend refused, or asked to slow down, with so many tokens in flight.
    pub fn cut(&mut self, in_flight: Tokens, departed: Timestamp, at: Timestamp) {
        let known = self.tokens(at).map_or(u64::MAX, |tokens| tokens.0);
        if departed <= self.cut && self.cut <= at {
            return;
        }
        let reached = in_flight.0.min(known);
        self.tokens = (reached / 10 * DECREASE + reached % 10 * DECREASE / 10).max(1);
        (self.cut, self.shown) = (at, at);
    }

    /// A request of so many tokens was answered well while the backend was nearly full.
    pub fn grow(&mut self, by: Tokens, at: Timestamp) {
        let Some(Tokens(capacity)) = self.tokens(at) else { return };
        let (by, capacity) = (by.0.max(1), capacity.max(1));
        // `by` for each capacity's worth of answers, each of which is `by / capacity` of it.
        let earned = u128::from(by) * u128::from(by) / u128::from(by.max(capacity));
        let since = at.since(self.shown).min(DOUBLING).as_micros();
        let doubling = u128::from(capacity) * since / DOUBLING.as_micros();
        let one_more = u128::from(by) * since / ONE_MORE.as_micros();
        let most = doubling.max(one_more);
        let step = u64::try_from(earned.min(most)).unwrap_or(u64::MAX);
        // What is too little to count is left to the next one.
        if step > 0 {
            self.tokens = capacity.saturating_add(step);
            self.shown = at;
        }
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        let (client, when) = self.complained.unwrap_or_default();
        out.u64(self.tokens).time(self.cut).time(self.shown).u32(client).time(when);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (tokens, cut, shown) = (from.u64()?, from.time()?, from.time()?);
        let complained = Some((from.u32()?, from.time()?)).filter(|&complained| complained != Default::default());
        Some(Self { tokens, cut, shown, complained })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Rng, SplitMix64};
    use crate::routing::testing::at;

    #[test]
    fn nothing_is_bounded_before_the_first_refusal() {
        let capacity = Capacity::default();
        assert_eq!(capacity.room(Tokens(u64::MAX), Tokens(u64::MAX), at(0)), Some(1.0));
        let mut grown = capacity;
        grown.grow(Tokens(9), at(0));
        assert_eq!(grown, capacity);
    }

    #[test]
    fn refusals_of_one_moment_cut_once() {
        let mut capacity = Capacity::default();
        capacity.cut(Tokens(10_000), at(0), at(5));
        for refused in 1..10 {
            capacity.cut(Tokens(10_000 - refused * 100), at(4), at(5));
        }
        assert_eq!(capacity.tokens(at(5)), Some(Tokens(7_000)));
        capacity.cut(Tokens(9_000), at(6), at(8));
        assert_eq!(capacity.tokens(at(8)), Some(Tokens(4_900)), "it was not more than it was thought to be");
    }

    #[test]
    fn a_capacitys_worth_of_answers_adds_one_of_them() {
        let mut capacity = Capacity::default();
        capacity.cut(Tokens(10_000), at(0), at(0));
        (1..8).for_each(|round| capacity.grow(Tokens(1_000), at(10 * round)));
        assert!(capacity.tokens(at(70)).expect("known").0.abs_diff(8_000) < 100);
        (0..1_000).for_each(|_| capacity.grow(Tokens(1_000), at(71)));
        assert!(capacity.tokens(at(71)).expect("known").0 <= 8_500, "half a request a second at most");
    }

    #[test]
    fn one_request_always_passes() {
        let mut capacity = Capacity::default();
        for second in 0..100 {
            capacity.cut(Tokens(9), at(second), at(second));
        }
        assert_eq!(capacity.tokens(at(99)), Some(Tokens(1)));
        assert_eq!(capacity.room(Tokens(0), Tokens(1_000), at(99)), Some(1.0));
        assert_eq!(capacity.room(Tokens(1), Tokens(1_000), at(99)), None);
        capacity.grow(Tokens(1_000), at(101));
        assert_eq!(capacity.tokens(at(101)), Some(Tokens(1_001)));
    }

    #[test]
    fn a_capacity_of_less_than_two_requests_grows_with_each_that_is_alone() {
        let mut capacity = Capacity::default();
        capacity.cut(Tokens(2_000), at(0), at(0));
        assert!(capacity.room(Tokens(1_000), Tokens(1_000), at(0)).is_none());
        for second in 1..9 {
            assert!(capacity.is_nearly_full(Tokens(1_000), Tokens(1_000), at(second)) || second > 2);
            capacity.grow(Tokens(1_000), at(second));
        }
        assert!(capacity.room(Tokens(1_000), Tokens(1_000), at(9)).is_some());
    }

    #[test]
    fn it_is_forgotten_when_nothing_has_shown_it_for_long_or_the_clock_steps_back() {
        let mut capacity = Capacity::default();
        capacity.cut(Tokens(10_000), at(9_000), at(9_000));
        assert!(capacity.tokens(at(9_600)).is_some());
        assert_eq!(capacity.tokens(at(9_601)), None);
        assert_eq!(capacity.tokens(at(0)), None);
        capacity.cut(Tokens(500), at(0), at(0));
        assert_eq!(capacity.tokens(at(0)), Some(Tokens(350)));
    }

    #[test]
    fn the_part_falls_with_the_last_fifth() {
        let mut capacity = Capacity::default();
        capacity.cut(Tokens(10_000), at(0), at(0));
        let parts = [0, 5_600, 6_300, 6_999].map(|load| capacity.room(Tokens(load), Tokens(1), at(0)));
        let parts = parts.map(|part| (part.expect("room") * 1_000.0).round() as u32);
        assert_eq!(parts, [1_000, 1_000, 500, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// A backend that takes `truth` tokens in flight and refuses the rest; clients that always want more.
        #[test]
        fn it_comes_near_the_true_capacity_and_stays_there(seed in any::<u64>(), truth in 8_000_u64..400_000) {
            let mut rng = SplitMix64::new(seed);
            let mut capacity = Capacity::default();
            let mut endings: BTreeMap<(u64, u64), u64> = BTreeMap::new();
            let (mut in_flight, mut refused, mut sent) = (0_u64, [0_u32; 2], [0_u32; 2]);
            let (mut sum, mut samples) = (0.0, 0.0);
            for millis in 0..80_000_u64 {
                let now = Timestamp::from_micros(1_000_000_000_000 + millis * 1_000);
                while endings.first_key_value().is_some_and(|((end, _), _)| *end <= millis) {
                    let ((_, began), tokens) = endings.pop_first().expect("one");
                    if capacity.is_nearly_full(Tokens(in_flight), Tokens(tokens), now) {
                        capacity.grow(Tokens(tokens), now);
                    }
                    in_flight -= tokens;
                    prop_assert!(began <= millis * 1_000_000);
                }
                let late = usize::from(millis > 40_000);
                for n in 0..8 {
                    let tokens = 500 + rng.below(1_000) as u64;
                    if capacity.room(Tokens(in_flight), Tokens(tokens), now).is_none() {
                        continue;
                    }
                    sent[late] += 1;
                    if in_flight + tokens > truth {
                        refused[late] += 1;
                        capacity.cut(Tokens(in_flight + tokens), now, now);
                    } else {
                        in_flight += tokens;
                        endings.insert((millis + 200 + rng.below(400) as u64, millis * 1_000_000 + n), tokens);
                    }
                }
                if late == 1 {
                    sum += capacity.tokens(now).expect("known").0 as f64 / truth as f64;
                    samples += 1.0;
                }
            }
            prop_assert!((0.6..=1.1).contains(&(sum / samples)), "{} of it", sum / samples);
            prop_assert!(refused[1] * 20 <= sent[1], "{refused:?} of {sent:?}");
        }
    }
}
