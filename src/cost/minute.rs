//! What was asked for in the last minute.
//!
//! A bucket that fills up steadily needs one number, but either lets twice the limit through in some minutes or refuses
//! the second of two requests that come together. So what came is kept by half seconds: in any minute whatever, and in
//! any rhythm, no more than the limit goes through, and a burst as large as the limit does. What came is forgotten when
//! the last of its half second is a minute ago, at most half a second (0.8 %) late.
//!
//! It stays in the few bytes in which workers share it, and is taken apart only by who needs it: of a hundred tenants a
//! request changes one, but all of them are read and written with it.

use std::time::Duration;

use crate::domain::{Decoder, Encoder, Timestamp};

const SLOT: Duration = Duration::from_millis(500);

/// Slots that a minute may touch.
const SLOTS: u64 = 121;

/// Amounts of the last minute, by half seconds: of each how many later it is than the one before, and the amount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Minute(Vec<u8>);

impl Minute {
    /// All that came in the minute before a moment.
    #[inline(never)]
    pub fn used(&self, now: Timestamp) -> u64 {
        sum(&self.live(now))
    }

    /// Whether so much more is within the limit; if not, when it will be. More than the limit is let through alone, or
    /// it would never be.
    #[inline(never)]
    pub fn room(&self, next: u64, limit: u64, now: Timestamp) -> Result<(), Timestamp> {
        let live = self.live(now);
        let mut used = sum(&live);
        for (slot, amount) in live {
            if used == 0 || used.saturating_add(next) <= limit {
                break;
            }
            used -= amount;
            if used == 0 || used.saturating_add(next) <= limit {
                return Err(start(slot.saturating_add(SLOTS)));
            }
        }
        Ok(())
    }

    /// Takes note of so much.
    #[inline(never)]
    pub fn add(&mut self, amount: u64, now: Timestamp) {
        let mut live = self.live(now);
        let slot = slot(now);
        let place = live.partition_point(|&(past, _)| past < slot);
        match live.get_mut(place) {
            Some((same, sum)) if *same == slot => *sum = sum.saturating_add(amount),
            _ => live.insert(place, (slot, amount)),
        }
        *self = Self::of(&live);
    }

    /// What was expected to be so much turned out to be another amount. It counts when it was asked for.
    pub fn correct(&mut self, expected: u64, actual: u64, at: Timestamp) {
        let at = slot(at);
        let mut slots = self.slots();
        if let Some((_, sum)) = slots.iter_mut().find(|(slot, _)| *slot == at) {
            *sum = sum.saturating_sub(expected).saturating_add(actual);
            *self = Self::of(&slots);
        }
    }

    /// Whether nothing came in the last minute.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.live(now).is_empty()
    }

    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.bytes(&self.0);
    }

    /// Reads it.
    pub(crate) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        from.bytes().map(|bytes| Self(bytes.to_vec()))
    }

    /// Of half seconds in their order.
    #[inline(never)]
    fn of(slots: &[(u64, u64)]) -> Self {
        let (mut out, mut last) = (Encoder::with_capacity(4 * slots.len()), 0);
        for &(slot, amount) in slots {
            out.number(slot.saturating_sub(last)).number(amount);
            last = slot;
        }
        Self(out.finish())
    }

    #[inline(never)]
    fn slots(&self) -> Vec<(u64, u64)> {
        let (mut slots, mut from, mut slot) = (Vec::new(), Decoder::new(&self.0), 0_u64);
        while let (Some(later), Some(amount)) = (from.number(), from.number()) {
            slot = slot.saturating_add(later);
            // So that no sum of them is too large.
            slots.push((slot, amount.min(u32::MAX.into())));
        }
        slots
    }

    #[inline(never)]
    fn live(&self, now: Timestamp) -> Vec<(u64, u64)> {
        let (mut slots, now) = (self.slots(), slot(now));
        slots.retain(|&(past, _)| is_live(past, now));
        slots
    }
}

fn sum(slots: &[(u64, u64)]) -> u64 {
    slots.iter().map(|(_, amount)| amount).sum()
}

const fn slot(at: Timestamp) -> u64 {
    at.as_micros() / SLOT.as_micros() as u64
}

const fn start(slot: u64) -> Timestamp {
    Timestamp::from_micros(slot.saturating_mul(SLOT.as_micros() as u64))
}

/// Whether what came in a slot counts in another one. What lies as far ahead came before the clock stepped back.
const fn is_live(past: u64, now: u64) -> bool {
    now.abs_diff(past) < SLOTS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + ms * 1_000)
    }

    /// When requests got through that came at these moments.
    fn passed(moments: impl IntoIterator<Item = u64>, limit: u64) -> Vec<u64> {
        let mut minute = Minute::default();
        let passes = |&ms: &u64| {
            let passes = minute.room(1, limit, at(ms)).is_ok();
            if passes {
                minute.add(1, at(ms));
            }
            passes
        };
        moments.into_iter().filter(passes).collect()
    }

    #[test]
    fn a_rate_is_held_within_a_percent_over_two_minutes_however_requests_come() {
        let two_minutes = 120_000_u64;
        // Too many all the time; a little too many; bursts.
        let steady: Vec<u64> = (0..two_minutes).step_by(20).collect();
        let slow: Vec<u64> = (0..two_minutes).step_by(95).collect();
        let bursts: Vec<u64> = (0..two_minutes).step_by(10_000).flat_map(|ms| vec![ms; 150]).collect();
        for moments in [steady, slow, bursts] {
            let through = passed(moments, 600).len();
            assert!((1_188..=1_200).contains(&through), "{through}");
        }
    }

    #[test]
    fn who_is_refused_is_told_when_there_is_room_again() {
        let mut minute = Minute::default();
        (0..3).for_each(|n| minute.add(10, at(n * 1_000)));
        assert_eq!(minute.room(10, 40, at(3_000)), Ok(()));
        assert_eq!(minute.room(11, 40, at(3_000)), Err(at(60_500)));
        assert_eq!(minute.room(25, 40, at(3_000)), Err(at(61_500)));
        assert_eq!(minute.room(99, 40, at(3_000)), Err(at(62_500)), "then it is alone");
        assert_eq!((minute.room(11, 40, at(60_499)).is_ok(), minute.room(11, 40, at(60_500))), (false, Ok(())));
        assert_eq!((minute.room(99, 40, at(62_500)), minute.used(at(62_500))), (Ok(()), 0));
    }

    #[test]
    fn an_estimate_is_corrected_where_it_was_made() {
        let mut minute = Minute::default();
        minute.add(300, at(0));
        minute.correct(300, 120, at(0));
        assert_eq!(minute.used(at(59_000)), 120);
        minute.correct(500, 0, at(0));
        minute.correct(1, 9, at(7_000));
        assert_eq!(minute.used(at(59_000)), 0);
    }

    #[test]
    fn a_clock_that_is_set_blocks_nobody_for_long() {
        let mut minute = Minute::default();
        minute.add(10, at(3_600_000));
        assert_eq!(minute.room(1, 10, at(0)), Ok(()));
        minute.add(10, at(0));
        assert!(minute.room(1, 10, at(10_000)).is_err());
        // A step back by a moment does not forget.
        let mut minute = Minute::default();
        minute.add(10, at(1_000));
        assert!(minute.room(1, 10, at(0)).is_err());
    }

    #[test]
    fn a_minute_with_something_in_every_half_second_takes_few_bytes() {
        let encoded = |amount: u64| {
            let mut minute = Minute::default();
            (0..1_000).for_each(|n| minute.add(amount, at(n * 100)));
            let mut out = Encoder::with_capacity(0);
            minute.encode(&mut out);
            out.finish().len()
        };
        assert!(encoded(1) <= 250, "of requests: {}", encoded(1));
        assert!(encoded(1_000) <= 375, "of tokens: {}", encoded(1_000));
    }

    proptest! {
        #[test]
        fn no_minute_whatever_has_more_than_the_limit(
            steps in prop::collection::vec(0..3_000_u64, 1..400), limit in 1..30_u64
        ) {
            let moments = steps.iter().scan(0, |ms, step| { *ms += step; Some(*ms) });
            let through = passed(moments, limit);
            for (n, &first) in through.iter().enumerate() {
                let in_minute = through[n..].iter().take_while(|&&ms| ms < first + 60_000).count() as u64;
                prop_assert!(in_minute <= limit);
            }
        }

        #[test]
        fn it_survives_being_bytes(moments in prop::collection::vec(0..100_000_u64, 0..300)) {
            let mut minute = Minute::default();
            for ms in moments {
                minute.add(ms, at(ms));
            }
            let mut out = Encoder::with_capacity(0);
            minute.encode(&mut out);
            let bytes = out.finish();
            prop_assert_eq!(Minute::decode(&mut Decoder::new(&bytes)), Some(minute));
        }
    }
}
