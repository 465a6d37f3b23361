//! Units are types: a token count is not a price, and money is never a float.

use std::time::Duration;

/// A moment, in microseconds since the Unix epoch as it was when Envoy started. The core has no clock: whoever calls it
/// says what time it is. It goes as the monotonic clock does, so that no step of the wall clock is taken for time that
/// passed; what goes by the calendar asks [`Calendar`] for the date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A moment that many microseconds after the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it (clocks do step back).
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved `by` into the future.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// How far the wall clock is from the moments of this process: zero until somebody sets the clock. A date is a
/// [`Timestamp`], too, but by the wall clock; hours and days of budgets are counted in dates, everything else in moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calendar(i64);

impl Calendar {
    /// That of a clock that nobody has set.
    pub const UNSET: Self = Self(0);

    /// That of a moment at which the wall clock shows this date.
    pub const fn at(moment: Timestamp, date: Timestamp) -> Self {
        Self(date.0.wrapping_sub(moment.0).cast_signed())
    }

    /// The date of a moment.
    #[must_use]
    pub const fn date(self, moment: Timestamp) -> Timestamp {
        Timestamp(moment.0.saturating_add_signed(self.0))
    }

    /// The moment of a date.
    #[must_use]
    pub const fn moment(self, date: Timestamp) -> Timestamp {
        Timestamp(date.0.saturating_add_signed(self.0.saturating_neg()))
    }
}

/// A number of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tokens(pub u64);

/// A share in thousandths: 920 is 0.92. Never above 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PerMille(u16);

impl PerMille {
    /// All of it.
    pub const ONE: Self = Self(1000);

    /// That many thousandths; whatever is above 1000 is 1000.
    pub const fn new(thousandths: u16) -> Self {
        Self(if thousandths > 1000 { 1000 } else { thousandths })
    }

    /// The nearest thousandth to `share`; outside `0..=1` (and NaN) the nearer bound.
    pub fn from_ratio(share: f64) -> Self {
        Self::new((share.clamp(0.0, 1.0) * 1000.0).round() as u16)
    }

    /// Thousandths.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// As a decimal fraction, `0.920`: a header's value without an allocation.
    pub fn decimal(self) -> [u8; 5] {
        let digit = |place: u16| b'0' + (self.0 / place % 10) as u8;
        [digit(1000), b'.', digit(100), digit(10), digit(1)]
    }

    /// As a share of one, for scores.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// Money, in trillionths of a US dollar: fine enough that one cached token of the cheapest model is not zero,
/// wide enough for 18 million dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// Rounded to the nearest millionth of a dollar, the unit of the metrics.
    pub const fn micro_usd(self) -> u64 {
        self.0.saturating_add(500_000) / 1_000_000
    }

    /// The whole millionths of a dollar in it, and what is left.
    pub const fn split_micro_usd(self) -> (u64, Self) {
        (self.0 / 1_000_000, Self(self.0 % 1_000_000))
    }

    /// The sum, held at the largest amount there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left without a part, at least nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// A price in pico-USD per token: one dollar per thousand tokens is 10^9 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(pub u64);

impl Price {
    /// From the unit of the configuration, US dollars per thousand tokens.
    pub fn from_usd_per_1k(usd: f64) -> Self {
        Self((usd.max(0.0) * 1e9).round() as u64)
    }

    /// What `tokens` cost at this price.
    pub const fn of(self, tokens: Tokens) -> PicoUsd {
        PicoUsd(self.0.saturating_mul(tokens.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_gives_no_time_at_all() {
        let (early, late) = (Timestamp::from_micros(5), Timestamp::from_micros(9));
        assert_eq!(late.since(early), Duration::from_micros(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(Timestamp::from_micros(u64::MAX).after(Duration::from_secs(1)).as_micros(), u64::MAX);
    }

    #[test]
    fn a_calendar_finds_dates_and_back() {
        let at = Timestamp::from_micros;
        for (moment, date) in [(9, 9), (5, 3_600), (3_600, 5), (1 << 62, 1), (1, 1 << 62)] {
            let calendar = Calendar::at(at(moment), at(date));
            assert_eq!(
                (calendar.date(at(moment)), calendar.moment(at(date))),
                (at(date), at(moment)),
                "{moment} {date}"
            );
        }
        assert_eq!(Calendar::default().date(at(7)), at(7));
        assert_eq!(Calendar::at(at(100), at(40)).date(at(160)), at(100));
    }

    #[test]
    fn shares_stay_between_nothing_and_all() {
        assert_eq!(PerMille::from_ratio(0.92).get(), 920);
        assert_eq!(PerMille::from_ratio(7.0), PerMille::ONE);
        assert_eq!(PerMille::from_ratio(f64::NAN).get(), 0);
        assert_eq!(PerMille::new(1001), PerMille::ONE);
        for (thousandths, decimal) in [(0, "0.000"), (7, "0.007"), (920, "0.920"), (1000, "1.000")] {
            assert_eq!(PerMille::new(thousandths).decimal(), decimal.as_bytes());
        }
    }

    #[test]
    fn the_cheapest_token_costs_more_than_nothing() {
        let cached = Price::from_usd_per_1k(0.000_012_5);
        assert_eq!(cached.of(Tokens(1)), PicoUsd(12_500));
        assert_eq!(Price::from_usd_per_1k(0.05).of(Tokens(1_000)).micro_usd(), 50_000);
        assert_eq!(Price(u64::MAX).of(Tokens(2)), PicoUsd(u64::MAX));
    }
}
