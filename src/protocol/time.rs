//! Moments and spans of time as HTTP headers write them, from bytes that may be anything.

use std::time::Duration;

use crate::domain::Timestamp;

/// When something is, as a header says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// So long after the answer.
    In(Duration),
    /// At that moment, by the clock of whoever says so.
    At(Timestamp),
}

const MICROS: u64 = 1_000_000;

/// Bare numbers from here on are no spans: a second count since the epoch (September 2001 and later) …
const EPOCH_SECONDS: u64 = 1_000_000_000;

/// … and from here on, milliseconds since the epoch.
const EPOCH_MILLIS: u64 = 1_000_000_000_000;

impl When {
    /// Any of the forms that providers use for a reset: `1s`, `6m0s`, `1h2m3.5s`, `12ms`; `60`, `0.25`; seconds or
    /// milliseconds since the epoch; RFC 3339; an HTTP date.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        if let Some((whole, micros)) = decimal(value) {
            return Some(match whole {
                EPOCH_MILLIS.. => Self::At(Timestamp::from_micros(whole.checked_mul(1_000)?)),
                EPOCH_SECONDS.. => Self::At(Timestamp::from_micros(whole.checked_mul(MICROS)?)),
                _ => Self::In(Duration::from_micros(whole * MICROS + micros)),
            });
        }
        duration(value).map(Self::In).or_else(|| rfc3339(value).or_else(|| http_date(value)).map(Self::At))
    }

    /// The moment that is meant, for an answer that came at `now`. What the other side's clock says is measured against
    /// the `date` that it put on the same answer: clocks differ, spans do not.
    pub(super) fn moment(self, date: Option<Timestamp>, now: Timestamp) -> Timestamp {
        match (self, date) {
            (Self::In(span), _) => now.after(span),
            (Self::At(moment), Some(date)) => now.after(moment.since(date)),
            (Self::At(moment), None) => moment.max(now),
        }
    }
}

/// Digits, perhaps with a fraction and nothing else: the whole part, and the fraction in millionths.
pub(crate) fn decimal(value: &[u8]) -> Option<(u64, u64)> {
    let (number, rest) = leading_decimal(value)?;
    rest.is_empty().then_some(number)
}

/// The decimal number at the front, and what follows it.
fn leading_decimal(value: &[u8]) -> Option<((u64, u64), &[u8])> {
    let (whole, rest) = digits(value)?;
    let Some(fraction) = rest.strip_prefix(b".") else { return Some(((whole, 0), rest)) };
    let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut micros = 0;
    for place in 0..6 {
        let digit = fraction.get(place).filter(|_| place < length).map_or(0, |byte| u64::from(byte - b'0'));
        micros = micros * 10 + digit;
    }
    Some(((whole, micros), fraction.get(length..)?))
}

/// The digits at the front as a number, and what follows them.
pub(super) fn digits(value: &[u8]) -> Option<(u64, &[u8])> {
    let length = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = value.split_at_checked(length).filter(|(digits, _)| !digits.is_empty())?;
    let number = digits.iter().try_fold(0_u64, |n, digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    Some((number, rest))
}

/// A duration as Go prints it: numbers, each with its unit.
fn duration(mut value: &[u8]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    if value.is_empty() {
        return None;
    }
    while !value.is_empty() {
        let ((whole, micros), rest) = leading_decimal(value)?;
        let length = rest.iter().take_while(|byte| !byte.is_ascii_digit()).count();
        let (unit, rest) = rest.split_at_checked(length)?;
        let nanos: u64 = match unit {
            b"d" => 86_400_000_000_000,
            b"h" => 3_600_000_000_000,
            b"m" => 60_000_000_000,
            b"s" => 1_000_000_000,
            b"ms" => 1_000_000,
            b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
            b"ns" => 1,
            _ => return None,
        };
        let span = u128::from(whole) * u128::from(nanos) + u128::from(micros) * u128::from(nanos) / 1_000_000;
        total = total.checked_add(Duration::from_nanos(u64::try_from(span).ok()?))?;
        value = rest;
    }
    Some(total)
}

/// `2026-09-27T07:08:00.5-05:00`, `2025-08-21T12:40:59Z`.
fn rfc3339(value: &[u8]) -> Option<Timestamp> {
    let (year, rest) = digits(value)?;
    let (month, rest) = digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = digits(rest.strip_prefix(b"-")?)?;
    let (seconds, rest) = clock(rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?)?;
    let (micros, rest) = match rest.first() {
        // Read with a whole part before it, the fraction is a decimal number.
        Some(b'.') => {
            let length = rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
            let fraction = [b"0", rest.get(..=length)?].concat();
            (decimal(&fraction)?.1, rest.get(length + 1..)?)
        }
        _ => (0, rest),
    };
    let east = match rest.split_first()? {
        (b'Z' | b'z', []) => 0,
        (sign @ (b'+' | b'-'), offset) => {
            let (hours, rest) = digits(offset)?;
            let (minutes, rest) = digits(rest.strip_prefix(b":")?)?;
            let minutes = i64::try_from(hours.checked_mul(60)?.checked_add(minutes)?).ok()?;
            (rest.is_empty() && minutes < 24 * 60).then_some(if *sign == b'+' { minutes } else { -minutes })? * 60
        }
        _ => return None,
    };
    moment(year, month, day, seconds, east).map(|at| at.after(Duration::from_micros(micros)))
}

/// The three forms of RFC 9110: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`,
/// `Sun Nov  6 08:49:37 1994`.
pub(super) fn http_date(value: &[u8]) -> Option<Timestamp> {
    let mut words = value
        .split(|byte| matches!(byte, b' ' | b',' | b'-'))
        .filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case(b"GMT"));
    let [_weekday, second, third, fourth, fifth] =
        [words.next()?, words.next()?, words.next()?, words.next()?, words.next()?];
    if words.next().is_some() {
        return None;
    }
    let whole = |word| digits(word).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number);
    let (day, month_name, year, time) = match whole(second) {
        Some(day) => (day, third, whole(fourth)?, fifth),
        None => (whole(third)?, second, whole(fifth)?, fourth),
    };
    let year = match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        _ => year,
    };
    let months = b"janfebmaraprmayjunjulaugsepoctnovdec".chunks(3);
    let month = (1..).zip(months).find(|(_, name)| name.eq_ignore_ascii_case(month_name))?.0;
    let (seconds, rest) = clock(time)?;
    if rest.is_empty() { moment(year, month, day, seconds, 0) } else { None }
}

/// `08:49:37`: seconds since midnight, and what follows.
fn clock(value: &[u8]) -> Option<(u64, &[u8])> {
    let (hours, rest) = digits(value)?;
    let (minutes, rest) = digits(rest.strip_prefix(b":")?)?;
    let (seconds, rest) = digits(rest.strip_prefix(b":")?)?;
    (hours < 24 && minutes < 60 && seconds <= 60).then_some((hours * 3_600 + minutes * 60 + seconds, rest))
}

/// A moment of the Gregorian calendar, `east` seconds ahead of UTC. (Days by Howard Hinnant's `days_from_civil`: years
/// that begin in March make February's length the last thing to matter.)
fn moment(year: u64, month: u64, day: u64, seconds: u64, east: i64) -> Option<Timestamp> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let seconds = (days.checked_sub(719_468)? * 86_400 + seconds).checked_add_signed(-east)?;
    Some(Timestamp::from_micros(seconds * MICROS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(micros: u64) -> When {
        When::In(Duration::from_micros(micros))
    }

    fn at(seconds: u64) -> When {
        When::At(Timestamp::from_micros(seconds * MICROS))
    }

    #[test]
    fn each_form_in_use_is_read() {
        for (text, expected) in [
            ("1s", span(1_000_000)),
            ("6m0s", span(360_000_000)),
            ("12ms", span(12_000)),
            ("1h2m3.5s", span(3_723_500_000)),
            ("2m59.56s", span(179_560_000)),
            ("7.66s", span(7_660_000)),
            ("1.5ms", span(1_500)),
            ("250us", span(250)),
            ("1d", span(86_400_000_000)),
            ("0", span(0)),
            (" 60 ", span(60_000_000)),
            ("0.25", span(250_000)),
            ("33011.382867484093", span(33_011_382_867)),
            ("1700000000", at(1_700_000_000)),
            ("1741305600000", at(1_741_305_600)),
            ("2025-08-21T12:40:59Z", at(1_755_780_059)),
            ("2026-09-27T07:08:00-05:00", at(1_790_510_880)),
            ("2026-09-27T12:08:00+00:00", at(1_790_510_880)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", at(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", at(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", at(784_111_777)),
        ] {
            assert_eq!(When::parse(text.as_bytes()), Some(expected), "{text}");
        }
        let fraction = When::parse(b"2025-08-21T12:40:59.25Z");
        assert_eq!(fraction, Some(When::At(Timestamp::from_micros(1_755_780_059_250_000))));
        assert_eq!(When::parse("3µs".as_bytes()), Some(span(3)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            " ",
            "-1",
            "soon",
            "s",
            "1x",
            "1m2",
            "999999999999999999999",
            "18446744073709551615h",
            "1s;",
            "2025-13-01T00:00:00Z",
            "2025-08-21T25:00:00Z",
            "2025-08-21T12:40:59",
            "1969-01-01T00:00:00Z",
            "Sun, 06 Nev 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994",
            "18446744073709551615",
        ] {
            assert_eq!(When::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_other_sides_clock_is_measured_against_its_own_date() {
        let (now, hour) = (Timestamp::from_micros(5_000 * MICROS), Duration::from_secs(3_600));
        let When::At(reset) = When::parse(b"2025-08-21T12:41:30Z").expect("read") else { panic!("a moment") };
        let date = http_date(b"Thu, 21 Aug 2025 12:41:00 GMT");
        assert_eq!(When::At(reset).moment(date, now), now.after(Duration::from_secs(30)));
        assert_eq!(When::At(reset).moment(Some(reset.after(hour)), now), now, "it is over");
        assert_eq!(When::At(reset).moment(None, now), reset);
        assert_eq!(When::At(now).moment(None, now.after(hour)), now.after(hour), "it is over");
    }

    proptest! {
        #[test]
        fn anything_is_read_or_ignored(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[0-9TZ:., hmsGT-]{0,30}") {
            for value in [&bytes[..], text.as_bytes()] {
                if let Some(when) = When::parse(value) {
                    let now = Timestamp::from_micros(MICROS);
                    prop_assert!(when.moment(http_date(value), now) >= now);
                }
            }
        }

        #[test]
        fn moments_go_up_with_the_days(days in 0_u64..20_000) {
            // The calendar by counting: one day after the other, month lengths from the rule book.
            let (mut year, mut month, mut day) = (1970, 1, 1);
            for _ in 0..days {
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let length = match month { 2 => 28 + u64::from(leap), 4 | 6 | 9 | 11 => 30, _ => 31 };
                day += 1;
                if day > length { (day, month) = (1, month + 1); }
                if month > 12 { (month, year) = (1, year + 1); }
            }
            prop_assert_eq!(moment(year, month, day, 0, 0), Some(Timestamp::from_micros(days * 86_400 * MICROS)));
        }
    }
}
