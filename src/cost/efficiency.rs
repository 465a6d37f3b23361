//! How well money is spent.
//!
//! Efficiency is the share of the money that bought answers which ended well: what was paid for one that failed, broke
//! off, or was given up by its client bought nothing. It is kept by the hours of the clock, as budgets are.

use crate::domain::{Decoder, Encoder, MOST_TRACKED_HOURS, PerMille, PicoUsd, Span, Timestamp};

/// The layout's version.
const VERSION: u8 = 1;

/// Money of an hour, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purchase {
    /// What was spent.
    pub spent: PicoUsd,
    /// Of that, what was spent on answers that ended well.
    pub well: PicoUsd,
}

impl Purchase {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { spent: self.spent.plus(other.spent), well: self.well.plus(other.well) }
    }

    /// The share that was spent well; none where nothing was spent.
    pub fn efficiency(self) -> Option<PerMille> {
        (self.spent > PicoUsd(0)).then(|| PerMille::from_ratio(self.well.0 as f64 / self.spent.0 as f64))
    }
}

/// What was spent in each of the last hours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purchases(Vec<(u64, Purchase)>);

impl Purchases {
    /// Takes note of one.
    pub fn add(&mut self, purchase: Purchase, now: Timestamp) {
        let hour = Span::Hour.index(now);
        self.put(hour, purchase);
        self.0.retain(|&(past, _)| past.abs_diff(hour) < MOST_TRACKED_HOURS);
    }

    /// Takes what others have noted.
    pub fn merge(&mut self, others: &Self, now: Timestamp) {
        others.0.iter().for_each(|&(hour, purchase)| self.put(hour, purchase));
        self.add(Purchase::default(), now);
    }

    fn put(&mut self, hour: u64, purchase: Purchase) {
        match self.0.iter_mut().find(|(other, _)| *other == hour) {
            Some((_, sum)) => *sum = sum.plus(purchase),
            None => self.0.push((hour, purchase)),
        }
    }

    /// All of so many hours, the present one included. What lies ahead came before the clock stepped back.
    pub fn of(&self, hours: u64, now: Timestamp) -> Purchase {
        let hour = Span::Hour.index(now);
        let live = self.0.iter().filter(|&&(past, _)| past.saturating_add(hours) > hour);
        live.fold(Purchase::default(), |sum, &(_, purchase)| sum.plus(purchase))
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(1 + 24 * self.0.len());
        out.u8(VERSION);
        for (hour, Purchase { spent, well }) in &self.0 {
            out.u64(*hour).u64(spent.0).u64(well.0);
        }
        out.finish()
    }

    /// From bytes; empty where they are none of this layout.
    pub fn decode(bytes: &[u8]) -> Self {
        let (mut from, mut all) = (Decoder::new(bytes), Self::default());
        if from.u8() == Some(VERSION) {
            while let (Some(hour), Some(spent), Some(well)) = (from.u64(), from.u64(), from.u64()) {
                all.0.push((hour, Purchase { spent: PicoUsd(spent), well: PicoUsd(well) }));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_micros((500_000 + hours) * 3_600_000_000 + 5)
    }

    fn purchase(spent: u64, well: u64) -> Purchase {
        Purchase { spent: PicoUsd(spent), well: PicoUsd(well) }
    }

    #[test]
    fn efficiency_is_what_bought_answers_of_what_was_spent_in_the_last_hours() {
        let mut all = Purchases::default();
        assert_eq!(all.of(24, at(0)).efficiency(), None);
        all.add(purchase(10, 10), at(0));
        all.add(purchase(30, 0), at(0));
        all.add(purchase(60, 60), at(5));
        assert_eq!(all.of(24, at(5)).efficiency(), Some(PerMille::new(700)));
        assert_eq!(all.of(5, at(5)).efficiency(), Some(PerMille::ONE));
        assert_eq!((all.of(24, at(23)), all.of(24, at(24))), (purchase(100, 70), purchase(60, 60)));
        assert_eq!(all.of(24, at(29)), Purchase::default());
        // The clock stepped back: nothing is forgotten.
        assert_eq!(all.of(1, at(0)), purchase(100, 70));
    }

    proptest! {
        #[test]
        fn it_keeps_a_week_exactly_and_no_more(purchases in prop::collection::vec((0..400_u64, 0..1_000_u64, 0..1_000_u64), 0..200)) {
            let (mut one, mut other, mut hour) = (Purchases::default(), Purchases::default(), 0);
            let mut kept = Vec::new();
            for (n, &(step, spent, more)) in purchases.iter().enumerate() {
                hour += step / 100;
                let bought = purchase(spent + more, spent);
                if n % 2 == 0 { &mut one } else { &mut other }.add(bought, at(hour));
                kept.push((hour, bought));
            }
            let mut all = Purchases::decode(&one.encode());
            all.merge(&other, at(hour));
            prop_assert_eq!(Purchases::decode(&all.encode()), all.clone());
            prop_assert!(all.encode().len() <= 1 + 24 * 168);
            for hours in [1, 24, 168] {
                let live = kept.iter().filter(|(past, _)| past + hours > hour).map(|&(_, bought)| bought);
                prop_assert_eq!(all.of(hours, at(hour)), live.fold(Purchase::default(), Purchase::plus));
            }
        }

        #[test]
        fn whatever_lies_there_is_read(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let all = Purchases::decode(&bytes);
            prop_assert!(all.of(24, at(0)).efficiency().is_none_or(|share| share <= PerMille::ONE));
        }
    }
}
