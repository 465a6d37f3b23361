//! JSON, written straight into a string. Fractions are printed from integers: to print a float takes 20 kB of code.

use std::fmt::Write;

use crate::domain::{Calendar, PerMille, PicoUsd, Price, Timestamp};

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    // Writing a text into memory does not fail.
    serde_json::to_string(text).unwrap_or_default()
}

/// An object with what `write` puts into it. Nothing of that is a moment: those need a [calendar](object_at).
pub(crate) fn object(write: impl FnOnce(&mut Object<'_>)) -> String {
    object_at(Calendar::UNSET, write)
}

/// An object with what `write` puts into it, in which each moment is written as the date that it has by the wall clock of
/// today. A [`Date`] is one already.
pub(crate) fn object_at(calendar: Calendar, write: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = String::with_capacity(2_048);
    Object::write(&mut out, calendar, write);
    out
}

/// An object that is being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    begun: bool,
    calendar: Calendar,
}

impl Object<'_> {
    fn write(out: &mut String, calendar: Calendar, write: impl FnOnce(&mut Object<'_>)) {
        out.push('{');
        write(&mut Object { out, begun: false, calendar });
        out.push('}');
    }

    /// A field.
    pub(crate) fn set(&mut self, key: &str, value: impl Value) -> &mut Self {
        let calendar = self.calendar;
        value.write_at(self.key(key), calendar);
        self
    }

    /// A field that is an object.
    pub(crate) fn object(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        let calendar = self.calendar;
        Object::write(self.key(key), calendar, write);
        self
    }

    /// A field that is a list of objects.
    pub(crate) fn list<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Object<'_>, T),
    ) -> &mut Self {
        let calendar = self.calendar;
        let out = self.key(key);
        out.push('[');
        for (n, item) in items.into_iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            Object::write(out, calendar, |object| write(object, item));
        }
        out.push(']');
        self
    }

    /// Keys are names of this house and ids of backends: nothing in them needs an escape. Not inlined, as the writers
    /// of values are not: there are hundreds of calls, none of them in a hurry, and the module's size is limited.
    #[inline(never)]
    fn key(&mut self, key: &str) -> &mut String {
        if self.begun {
            self.out.push(',');
        }
        self.begun = true;
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out
    }
}

/// What a field may be.
pub(crate) trait Value: Sized {
    fn write(self, out: &mut String);

    /// Where it has to do with time, as of this calendar.
    fn write_at(self, out: &mut String, _calendar: Calendar) {
        self.write(out);
    }
}

impl Value for &str {
    #[inline(never)]
    fn write(self, out: &mut String) {
        out.push_str(&quoted(self));
    }
}

impl Value for bool {
    #[inline(never)]
    fn write(self, out: &mut String) {
        out.push_str(if self { "true" } else { "false" });
    }
}

impl Value for u64 {
    #[inline(never)]
    fn write(self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

impl Value for u32 {
    #[inline(never)]
    fn write(self, out: &mut String) {
        u64::from(self).write(out);
    }
}

/// A document that was made as a whole.
impl Value for &serde_json::Value {
    #[inline(never)]
    fn write(self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

/// A number of thousandths, as a fraction: 920 is `0.92`.
pub(crate) struct Thousandths(pub(crate) u64);

impl Value for Thousandths {
    fn write(self, out: &mut String) {
        fraction(out, self.0, 3);
    }
}

/// A number of millionths, as a fraction.
pub(crate) struct Millionths(pub(crate) u64);

impl Value for Millionths {
    fn write(self, out: &mut String) {
        fraction(out, self.0, 6);
    }
}

/// In the unit of the configuration, US dollars for a thousand tokens.
impl Value for Price {
    fn write(self, out: &mut String) {
        fraction(out, self.0, 9);
    }
}

/// `value / 10^places`, exactly.
#[inline(never)]
fn fraction(out: &mut String, value: u64, places: usize) {
    let one = 10_u64.pow(places as u32);
    (value / one).write(out);
    let rest = value % one;
    if rest > 0 {
        out.push_str(format!(".{rest:0places$}").trim_end_matches('0'));
    }
}

impl Value for PerMille {
    #[inline(never)]
    fn write(self, out: &mut String) {
        Thousandths(self.get().into()).write(out);
    }
}

/// A number with a fraction, to seven digits or so; `null` where it is none.
pub(crate) struct Rounded(pub(crate) f64);

impl Value for Rounded {
    fn write(self, out: &mut String) {
        let size = self.0.abs();
        if !size.is_finite() {
            out.push_str("null");
            return;
        }
        // Beyond 15 places it is nothing, and beyond 19 digits more than anybody counts.
        let (mut scaled, mut places) = (size, 0);
        while places < 15 && scaled < 1e6 {
            scaled *= 10.0;
            places += 1;
        }
        let digits = (scaled + 0.5) as u64;
        if self.0 < 0.0 && digits > 0 {
            out.push('-');
        }
        fraction(out, digits, places);
    }
}

/// In US dollars.
impl Value for PicoUsd {
    fn write(self, out: &mut String) {
        fraction(out, self.0, 12);
    }
}

/// A moment: as the date that it has by the wall clock, which may have been set since the moment's clock began.
impl Value for Timestamp {
    fn write(self, out: &mut String) {
        Date(self).write(out);
    }

    fn write_at(self, out: &mut String, calendar: Calendar) {
        // What never was has no date.
        let never = self == Self::default();
        Date(if never { self } else { calendar.date(self) }).write(out);
    }
}

/// A date by the wall clock, such as the hours and days of budgets go by.
#[derive(Clone, Copy)]
pub(crate) struct Date(pub(crate) Timestamp);

/// As RFC 3339 has it, in UTC, to the millisecond; the epoch, which stands for never, is `null`.
impl Value for Date {
    #[inline(never)]
    fn write(self, out: &mut String) {
        let millis = self.0.as_micros() / 1_000;
        if millis == 0 {
            out.push_str("null");
            return;
        }
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        // Writing into a string does not fail.
        let _ = write!(out, "\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z\"");
    }
}

impl<T: Value> Value for Option<T> {
    #[inline(never)]
    fn write(self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }

    fn write_at(self, out: &mut String, calendar: Calendar) {
        match self {
            Some(value) => value.write_at(out, calendar),
            None => out.push_str("null"),
        }
    }
}

/// One after the other.
impl<T: Value + Copy> Value for &[T] {
    #[inline(never)]
    fn write(self, out: &mut String) {
        out.push('[');
        for (n, &item) in self.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            item.write(out);
        }
        out.push(']');
    }
}

/// Year, month and day of a number of days since 1970. Counted from March on, the leap day is the last of its year, and
/// months fall on multiples of 153 days by five.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (400 * era + year + if month <= 2 { 1 } else { 0 }, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use serde_json::Value as Read;

    fn written(value: impl Value) -> String {
        let mut out = String::new();
        value.write(&mut out);
        out
    }

    #[test]
    fn moments_are_written_as_in_a_calendar() {
        let moment = |seconds: u64, micros: u64| written(Timestamp::from_micros(seconds * 1_000_000 + micros));
        assert_eq!(moment(0, 0), "null");
        assert_eq!(moment(0, 1_000), "\"1970-01-01T00:00:00.001Z\"");
        assert_eq!(moment(951_782_400, 0), "\"2000-02-29T00:00:00.000Z\"");
        assert_eq!(moment(1_752_589_800, 250_999), "\"2025-07-15T14:30:00.250Z\"");
        assert_eq!(moment(4_107_542_399, 0), "\"2100-02-28T23:59:59.000Z\"");
        assert_eq!(moment(4_107_542_400, 0), "\"2100-03-01T00:00:00.000Z\"");
        written(Timestamp::from_micros(u64::MAX));
    }

    #[test]
    fn moments_are_dates_of_the_calendar_however_deep_they_lie_and_dates_stay_as_they_are() {
        let at = |second: u64| Timestamp::from_micros(second * 1_000_000);
        for (date, hour) in [(at(100), "00"), (at(100 + 3_600), "01"), (at(100 + 23 * 3_600), "23")] {
            let text = object_at(Calendar::at(at(100), date), |o| {
                o.set("a", at(100))
                    .set("b", Some(at(100)))
                    .set("never", Timestamp::default())
                    .set("date", Date(at(100)));
                o.object("o", |o| _ = o.list("l", [at(100)], |o, moment| _ = o.set("m", moment)));
            });
            let moment = format!("\"1970-01-01T{hour}:01:40.000Z\"");
            let date = "\"1970-01-01T00:01:40.000Z\"";
            let expected =
                format!(r#"{{"a":{moment},"b":{moment},"never":null,"date":{date},"o":{{"l":[{{"m":{moment}}}]}}}}"#);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn lists_and_objects_nest() {
        let text = object(|o| {
            o.set("a", "x\"\n").set("none", None::<u64>).list("l", [1_u64, 2], |o, n| _ = o.set("n", n));
            o.object("o", |_| ()).set("s", &["b", "c"][..]).set("t", true);
        });
        assert_eq!(text, r#"{"a":"x\"\n","none":null,"l":[{"n":1},{"n":2}],"o":{},"s":["b","c"],"t":true}"#);
    }

    proptest! {
        #[test]
        fn fractions_are_exact(thousandths in any::<u32>()) {
            let text = written(Thousandths(thousandths.into()));
            prop_assert_eq!((text.parse::<f64>().unwrap() * 1e3).round() as u32, thousandths);
            prop_assert!(!text.contains('.') || !text.ends_with('0'), "{}", text);
            let price = written(Price(thousandths.into()));
            prop_assert_eq!((price.parse::<f64>().unwrap() * 1e9).round() as u32, thousandths);
        }

        #[test]
        fn rounded_numbers_keep_seven_digits(value in any::<f64>(), small in -1e6..1e6_f64) {
            let read: Read = serde_json::from_str(&written(Rounded(value))).unwrap();
            prop_assert_eq!(read.is_null(), !value.is_finite());
            let near: f64 = written(Rounded(small)).parse().unwrap();
            prop_assert!((near - small).abs() <= 1e-6 * small.abs() + 1e-15, "{} {}", near, small);
        }

        #[test]
        fn any_text_is_read_as_it_was_written(text in any::<String>()) {
            let json = object(|o| _ = o.set("t", text.as_str()));
            let read: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read["t"].as_str(), Some(text.as_str()));
        }
    }
}
