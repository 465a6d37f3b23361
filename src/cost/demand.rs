//! How what is asked for is spread over the hours of a day, as the days before had it.
//!
//! Time is a poor measure of what is still to come. Where the busy hours come first, less than half of the money may be
//! left at noon, and be more than enough: who saved then would save for a night in which nobody asks. So what came is
//! kept by the hour, and once a day has been seen, it is the measure.

use crate::domain::{Decoder, Encoder, Span, Timestamp, Tokens};

const HOURS: usize = 24;

/// Of the days before, one part in so many is the last one: a day that was like no other is soon forgotten.
const DAYS: u64 = 4;

/// One part in so many comes evenly, whatever came before: no hour is taken to need nothing at all.
const EVENLY: f64 = 16.0;

/// Tokens that are asked for, by the hour of the day (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// The latest hour that anybody has seen, since the Unix epoch; 0 before the first.
    hour: u64,
    /// What came in it.
    tokens: u64,
    /// Hours that are over: a day, the first hour of which was seen but in part, and no more than that.
    seen: u8,
    by_hour: [u64; HOURS],
}

impl Demand {
    /// Of which nothing is known.
    pub const NONE: Self = Self { hour: 0, tokens: 0, seen: 0, by_hour: [0; HOURS] };

    /// Takes note of what is asked for.
    #[inline(never)]
    pub fn add(&mut self, tokens: Tokens, now: Timestamp) {
        let hour = Span::Hour.index(now);
        // The first request of all; or the clock was set back, and the hour that was seen may be long in coming.
        if self.hour == 0 || hour + HOURS as u64 <= self.hour {
            self.hour = hour;
        }
        for _ in 0..HOURS {
            if self.hour >= hour {
                break;
            }
            self.end_hour();
        }
        self.hour = self.hour.max(hour);
        self.tokens = self.tokens.saturating_add(tokens.0);
    }

    fn end_hour(&mut self) {
        let tokens = std::mem::take(&mut self.tokens);
        if let Some(usual) = self.by_hour.get_mut(of_day(self.hour)) {
            let is_new = usize::from(self.seen) <= HOURS;
            *usual = if is_new { tokens } else { *usual - *usual / DAYS + tokens / DAYS };
        }
        self.seen += u8::from(usize::from(self.seen) <= HOURS);
        self.hour += 1;
    }

    /// Which part of what a day asks for is still to come.
    pub fn to_come(&self, now: Timestamp) -> f64 {
        let left =
            |span: Span| 1.0 - now.since(span.start(span.index(now))).as_secs_f64() / span.length().as_secs_f64();
        let sum = |hours: &[u64]| hours.iter().map(|&tokens| tokens as f64).sum::<f64>();
        let whole = sum(&self.by_hour);
        let rest = self.by_hour.get(of_day(Span::Hour.index(now))..).and_then(<[u64]>::split_first);
        let Some((&present, later)) = rest.filter(|_| usize::from(self.seen) >= HOURS && whole > 0.0) else {
            return left(Span::Day);
        };
        let usual = (present as f64 * left(Span::Hour) + sum(later)) / whole;
        usual + (left(Span::Day) - usual) / EVENLY
    }

    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.u64(self.hour).number(self.tokens);
        out.u8(self.seen);
        for &tokens in &self.by_hour {
            out.number(tokens);
        }
    }

    /// Reads it.
    pub(crate) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (hour, tokens, seen) = (from.u64()?, from.number()?, from.u8()?);
        let mut by_hour = [0; HOURS];
        for tokens in &mut by_hour {
            *tokens = from.number()?;
        }
        Some(Self { hour, tokens, seen, by_hour })
    }
}

const fn of_day(hour: u64) -> usize {
    (hour % HOURS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: f64) -> Timestamp {
        Timestamp::from_micros(((20_000.0 * 24.0 + hours) * 3_600e6) as u64)
    }

    /// After so many days on which all came in the first four hours.
    fn early(days: u64) -> Demand {
        let mut demand = Demand::NONE;
        for hour in (0..24 * days).filter(|hour| hour % 24 < 4) {
            demand.add(Tokens(600), at(hour as f64));
        }
        demand
    }

    #[test]
    fn on_the_first_day_it_comes_as_time_goes() {
        for demand in [Demand::NONE, early(1)] {
            for (hour, left) in [(0.0, 1.0), (6.0, 0.75), (23.5, 0.5 / 24.0)] {
                assert!((demand.to_come(at(hour)) - left).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn then_it_comes_as_on_the_days_before() {
        for days in 2..9 {
            let mut demand = early(days);
            let next = 24.0 * days as f64;
            demand.add(Tokens(1), at(next));
            for (hour, left) in [(0.0, 1.0), (1.0, 0.75), (2.5, 0.375), (4.0, 0.0), (12.0, 0.0)] {
                let time = 1.0 - hour / 24.0;
                let to_come = demand.to_come(at(next + hour));
                assert!((to_come - left - (time - left) / EVENLY).abs() < 0.01, "day {days}, {hour}: {to_come}");
            }
        }
    }

    #[test]
    fn a_day_like_no_other_is_soon_forgotten() {
        let mut demand = early(3);
        demand.add(Tokens(2_400), at(72.0 + 20.0));
        demand.add(Tokens(1), at(96.0));
        assert!(demand.to_come(at(96.0 + 4.0)) < 0.35, "a quarter of it counts");
        for hour in (96..24 * 10).filter(|hour| hour % 24 < 4) {
            demand.add(Tokens(600), at(f64::from(hour)));
        }
        assert!(demand.to_come(at(240.0 + 4.0)) < 0.12);
    }

    proptest! {
        #[test]
        fn whatever_the_clock_does_it_is_a_part_and_survives_being_bytes(
            steps in prop::collection::vec((0..u64::MAX / 2, 0..u64::MAX), 0..80)
        ) {
            let mut demand = Demand::NONE;
            for (micros, tokens) in steps {
                let now = Timestamp::from_micros(micros);
                demand.add(Tokens(tokens), now);
                prop_assert!((-1e-9..=1.0 + 1e-9).contains(&demand.to_come(now)));
            }
            let mut out = Encoder::with_capacity(0);
            demand.encode(&mut out);
            let bytes = out.finish();
            prop_assert_eq!(Demand::decode(&mut Decoder::new(&bytes)), Some(demand));
        }
    }
}
