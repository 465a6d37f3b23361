//! What an answer's headers say of its provider's quota.
//!
//! Every provider has names of its own, but all of them are made of the same words: *limit*, *remaining* or *reset*; of
//! requests, of tokens, or of one kind of tokens; perhaps by the minute or the day. So a name is read word by word, and
//! one word that is not known makes the whole header somebody else's business. `docs/quotas.md` lists the forms.

use std::time::Duration;

use super::time::{When, digits, http_date};
use crate::domain::{Allowance, QuotaReport, Timestamp};

/// Allowances that say nothing of their reset are by the minute: nearly all are.
const USUAL_PERIOD: Duration = Duration::from_secs(60);

/// Nobody has more to give; whatever is above is capped, so that sums cannot overflow.
const MOST: u64 = 1_000_000_000_000;

/// More headers of this kind than any provider sends are not read.
const MOST_HEADERS: usize = 32;

/// Collects what is said of a quota, header by header.
#[derive(Debug, Default)]
pub struct QuotaHeaders {
    said: Vec<(Whose, Fact)>,
    retry_after: Option<When>,
    retry_after_ms: Option<When>,
}

/// What a header is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whose {
    unit: Unit,
    period: Period,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Requests,
    Tokens,
    /// Tokens of prompts alone.
    Input,
    /// Tokens of answers alone.
    Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    /// Not said: most have only one.
    Unsaid,
    Minute,
    Hour,
    Day,
    Month,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Limit,
    Remaining,
    Reset,
}

#[derive(Debug, Clone, Copy)]
enum Fact {
    Limit(u64),
    Remaining(u64),
    Reset(When),
}

impl QuotaHeaders {
    /// Looks at one header. Most have nothing to do with quotas, and a look at the first letter tells.
    pub fn hear(&mut self, name: &str, value: &[u8]) {
        let rest = match name.as_bytes().first() {
            Some(b'r') if name == "retry-after" => {
                self.retry_after = When::parse(value);
                return;
            }
            Some(b'r') if name == "retry-after-ms" => {
                let milliseconds = [value.trim_ascii(), b"ms"].concat();
                self.retry_after_ms = When::parse(&milliseconds);
                return;
            }
            Some(b'r') => name.strip_prefix("ratelimit-"),
            Some(b'x') => name.strip_prefix("x-ratelimit-"),
            Some(b'a') => name.strip_prefix("anthropic-ratelimit-"),
            _ => return,
        };
        if let Some((whose, field)) = rest.and_then(words)
            && self.said.len() < MOST_HEADERS
            && let Some(fact) = Fact::read(field, value)
        {
            self.said.push((whose, fact));
        }
    }

    /// Whether nothing was said.
    pub const fn is_empty(&self) -> bool {
        self.said.is_empty() && self.retry_after.is_none() && self.retry_after_ms.is_none()
    }

    /// Whether it was said when to ask again.
    pub const fn has_retry(&self) -> bool {
        self.retry_after.is_some() || self.retry_after_ms.is_some()
    }

    /// What all of it means for an answer that came at `now`, with this `date` header.
    ///
    /// What the provider says as a date is measured against the `date` of its answer, or else against `today`, which is
    /// what the calendar says at `now`.
    pub fn report(&self, date: Option<&[u8]>, today: Timestamp, now: Timestamp) -> QuotaReport {
        let reader = Reader { said: &self.said, date: date.and_then(http_date).or(Some(today)), now };
        let requests = reader.tightest(Unit::Requests);
        let tokens = reader.tokens();
        let said = self.retry_after_ms.or(self.retry_after);
        let mut retry_at = said.map(|when| when.moment(reader.date, now)).filter(|&at| at > now);
        if retry_at.is_none() && requests.is_none() && tokens.is_none() {
            retry_at = reader.last_reset().filter(|&at| at > now);
        }
        QuotaReport { requests, tokens, retry_at }
    }
}

/// The words of a name.
fn words(name: &str) -> Option<(Whose, Field)> {
    let (mut unit, mut period, mut field) = (None, Period::Unsaid, None);
    for word in name.split('-') {
        match word {
            "limit" => field = Some(Field::Limit),
            "remaining" => field = Some(Field::Remaining),
            "reset" => field = Some(Field::Reset),
            "requests" | "req" => unit = Some(Unit::Requests),
            "tokens" => unit = unit.or(Some(Unit::Tokens)),
            "input" | "prompt" => unit = Some(Unit::Input),
            "output" | "generated" => unit = Some(Unit::Output),
            "minute" => period = Period::Minute,
            "hour" => period = Period::Hour,
            "day" => period = Period::Day,
            "month" => period = Period::Month,
            _ => return None,
        }
    }
    Some((Whose { unit: unit.unwrap_or(Unit::Requests), period }, field?))
}

impl Fact {
    fn read(field: Field, value: &[u8]) -> Option<Self> {
        // `100, 100;w=60` is 100, and so is `100.0`.
        let number = || digits(value.trim_ascii_start()).map(|(number, _)| number.min(MOST));
        match field {
            Field::Limit => number().map(Self::Limit),
            Field::Remaining => number().map(Self::Remaining),
            Field::Reset => When::parse(value).map(Self::Reset),
        }
    }
}

impl Period {
    /// When an allowance is whole again that does not say so. What lasts longer is asked about again sooner.
    const fn usual(self) -> Duration {
        match self {
            Self::Unsaid | Self::Minute => USUAL_PERIOD,
            Self::Hour | Self::Day | Self::Month => Duration::from_secs(600),
        }
    }
}

struct Reader<'a> {
    said: &'a [(Whose, Fact)],
    date: Option<Timestamp>,
    now: Timestamp,
}

impl Reader<'_> {
    /// Of a unit's allowances, by the minute or by the day, the one with the least left.
    fn tightest(&self, unit: Unit) -> Option<Allowance> {
        [Period::Unsaid, Period::Minute, Period::Hour, Period::Day, Period::Month]
            .into_iter()
            .filter_map(|period| self.allowance(Whose { unit, period }))
            .min_by_key(|allowance| allowance.remaining)
    }

    fn allowance(&self, whose: Whose) -> Option<Allowance> {
        let (mut remaining, mut limit, mut reset) = (None, None, None);
        for (_, fact) in self.said.iter().filter(|(about, _)| *about == whose) {
            match *fact {
                Fact::Remaining(left) => remaining = Some(remaining.map_or(left, |least: u64| least.min(left))),
                Fact::Limit(all) => limit = Some(all),
                Fact::Reset(when) => reset = Some(when),
            }
        }
        let resets = reset.unwrap_or(When::In(whose.period.usual())).moment(self.date, self.now);
        Some(Allowance { remaining: remaining?, limit: limit.filter(|&all| all > 0), resets })
    }

    /// Tokens. Where prompts and answers have allowances of their own, no larger share of the whole is left than of the
    /// scarcer one: a request takes of both.
    fn tokens(&self) -> Option<Allowance> {
        let sides = [self.tightest(Unit::Input), self.tightest(Unit::Output)];
        let both = sides.iter().flatten().filter_map(|side| side.limit).sum();
        let mut tokens = self.tightest(Unit::Tokens);
        let whole = tokens.and_then(|all| all.limit).unwrap_or(both);
        for side in sides.into_iter().flatten() {
            let scaled = match side.limit {
                Some(limit) => {
                    let left = u128::from(side.remaining.min(limit)) * u128::from(whole) / u128::from(limit);
                    Allowance { remaining: left as u64, limit: Some(whole), ..side }
                }
                None => side,
            };
            if tokens.is_none_or(|all| scaled.remaining < all.remaining) {
                tokens = Some(scaled);
            }
        }
        tokens
    }

    fn last_reset(&self) -> Option<Timestamp> {
        let resets = self.said.iter().filter_map(|(_, fact)| match fact {
            Fact::Reset(when) => Some(when.moment(self.date, self.now)),
            Fact::Limit(_) | Fact::Remaining(_) => None,
        });
        resets.max()
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
