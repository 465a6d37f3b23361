//! The account of one backend, of one tenant, or of all requests: what was spent, and what was asked for.

use super::minute::Minute;
use super::spending::Spending;
use crate::domain::{Calendar, Decoder, Encoder, Limits, PicoUsd, Span, Timestamp, Tokens};

/// A budget that is only spoken for, by requests under way, may be free again after this long.
const SOON: std::time::Duration = std::time::Duration::from_secs(1);

/// One part in so many of what is left may be reserved for what is not expected.
const HELD: u64 = 4;

/// What is counted against the limits of one backend, of one tenant, or of all requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    hour: Spending,
    day: Spending,
    requests: Minute,
    tokens: Minute,
}

/// What a request asks of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claim {
    /// The most that it may cost, as far as can be told.
    pub cost: PicoUsd,
    /// The tokens that it is expected to take.
    pub tokens: Tokens,
    /// What of both is only guessed from the size of something unread: it is reserved, but nobody is refused for it.
    pub guessed: (PicoUsd, Tokens),
    /// What of the cost is more than is expected, the guess among it: of that not all is [reserved](Account::slack).
    pub spare: PicoUsd,
}

impl Claim {
    /// What is known of it. What costs something does so, though it be guessed how much.
    fn known(&self) -> (PicoUsd, Tokens) {
        let (PicoUsd(cost), Tokens(tokens)) = self.guessed;
        let known = self.cost.0.saturating_sub(cost);
        let known_tokens = self.tokens.0.saturating_sub(tokens);
        (PicoUsd(known.max(self.cost.0.min(1))), Tokens(known_tokens.max(self.tokens.0.min(1))))
    }
}

/// Which limit a request would go beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shortage {
    /// A budget is spent, or spoken for.
    Budget {
        /// When there may be money again.
        retry_at: Timestamp,
    },
    /// There were enough requests, or tokens, in the last minute.
    Rate {
        /// When there is room again.
        retry_at: Timestamp,
    },
}

impl Shortage {
    /// When it may be over.
    pub const fn retry_at(&self) -> Timestamp {
        match *self {
            Self::Budget { retry_at } | Self::Rate { retry_at } => retry_at,
        }
    }
}

impl Account {
    /// What was spent in the span of a date.
    pub const fn spending(&self, span: Span, date: Timestamp) -> Spending {
        match span {
            Span::Hour => self.hour,
            Span::Day => self.day,
        }
        .at(span, date)
    }

    /// Requests of the last minute, and their tokens.
    pub fn minute(&self, now: Timestamp) -> (u64, u64) {
        (self.requests.used(now), self.tokens.used(now))
    }

    /// The limit that a request would go beyond while so much is reserved for others: of several the one that it would
    /// for the longest time. One that costs nothing is within any budget.
    pub fn shortage(
        &self,
        limits: &Limits,
        reserved: PicoUsd,
        claim: Claim,
        now: Timestamp,
        calendar: Calendar,
    ) -> Option<Shortage> {
        let (cost, tokens) = claim.known();
        let rates =
            [(&self.requests, 1, limits.requests_per_minute), (&self.tokens, tokens.0, limits.tokens_per_minute)];
        let late = rates.into_iter().filter_map(|(minute, next, limit)| minute.room(next, limit?, now).err()).max();
        let late = late.map(|retry_at| Shortage::Rate { retry_at });
        let broke = self.overdraft(limits, reserved, cost, now, calendar);
        late.into_iter().chain(broke).max_by_key(Shortage::retry_at)
    }

    #[inline(never)]
    fn overdraft(
        &self,
        limits: &Limits,
        reserved: PicoUsd,
        cost: PicoUsd,
        now: Timestamp,
        calendar: Calendar,
    ) -> Option<Shortage> {
        if cost == PicoUsd(0) {
            return None;
        }
        let wait = |span| {
            let (limit, spending) = (limits.budget(span)?, self.spending(span, calendar.date(now)));
            let sure = spending.spent().plus(cost);
            let retry_at = if sure > limit { calendar.moment(spending.resets_at(span)) } else { now.after(SOON) };
            (sure.plus(reserved) > limit).then_some(retry_at)
        };
        Span::ALL.into_iter().filter_map(wait).max().map(|retry_at| Shortage::Budget { retry_at })
    }

    /// What may be reserved for a request beyond its expected cost while so much is reserved for others: as much as is
    /// left of a quarter of the money that is not spent. None where there is no budget.
    pub fn slack(&self, limits: &Limits, reserved: PicoUsd, date: Timestamp) -> Option<PicoUsd> {
        let slack = |span| {
            let left = limits.budget(span)?.minus(self.spending(span, date).spent());
            Some(PicoUsd(left.0 / HELD).minus(reserved))
        };
        Span::ALL.into_iter().filter_map(slack).min()
    }

    /// Takes note of money spent at a date.
    #[inline(never)]
    pub fn spend(&mut self, amount: PicoUsd, date: Timestamp) {
        self.hour = self.hour.with(amount, Span::Hour, date);
        self.day = self.day.with(amount, Span::Day, date);
    }

    /// Takes back what was noted as spent at a date: it was not.
    pub fn unspend(&mut self, amount: PicoUsd, date: Timestamp) {
        self.hour = self.hour.without(amount, Span::Hour, date);
        self.day = self.day.without(amount, Span::Day, date);
    }

    /// Takes note of a request, as far as the limits need it. The window that it was let into is the present one, even
    /// if another worker's clock is still in the one before.
    pub fn admit(&mut self, limits: &Limits, claim: Claim, now: Timestamp, calendar: Calendar) {
        self.hour = self.hour.at(Span::Hour, calendar.date(now));
        self.day = self.day.at(Span::Day, calendar.date(now));
        if limits.requests_per_minute.is_some() {
            self.requests.add(1, now);
        }
        if limits.tokens_per_minute.is_some() {
            self.tokens.add(claim.tokens.0, now);
        }
    }

    /// A request that was admitted at a moment does not leave after all.
    pub fn unadmit(&mut self, tokens: Tokens, at: Timestamp) {
        self.requests.correct(1, 0, at);
        self.tokens.correct(tokens.0, 0, at);
    }

    /// A request that was admitted at a moment turned out to take another number of tokens.
    pub fn correct(&mut self, expected: Tokens, actual: Tokens, at: Timestamp) {
        self.tokens.correct(expected.0, actual.0, at);
    }

    /// Whether there is nothing in it that still counts.
    pub fn is_idle(&self, now: Timestamp, calendar: Calendar) -> bool {
        let date = calendar.date(now);
        let is_spent = Span::ALL.into_iter().any(|span| self.spending(span, date).spent() > PicoUsd(0));
        !is_spent && self.requests.is_idle(now) && self.tokens.is_idle(now)
    }

    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Encoder) {
        self.hour.encode(out);
        self.day.encode(out);
        self.requests.encode(out);
        self.tokens.encode(out);
    }

    /// Reads it.
    pub(crate) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (hour, day) = (Spending::decode(from)?, Spending::decode(from)?);
        Some(Self { hour, day, requests: Minute::decode(from)?, tokens: Minute::decode(from)? })
    }
}
