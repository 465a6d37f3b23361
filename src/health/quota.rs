//! What is left of a backend's quota, as its provider announces it: room for a request, or none before some moment.
//!
//! Every answer says how much is left, so a backend is left alone *before* it refuses. Where it did refuse (429), it is
//! left alone until the moment that it names, or ever longer while it goes on refusing.

use std::time::Duration;

use super::gauge::{Gauge, Reading};
use super::scope::Scope;
use super::{Known, Source};
use crate::domain::{Allowance, Decoder, Encoder, QuotaReport, Timestamp, Tokens};

/// However long a refusal says to wait, it is asked again after this long: providers do name tomorrow.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How long the first refusal counts that names no time; each one after it twice as long …
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// … up to this.
const LAST_WAIT: Duration = Duration::from_secs(60);

/// With less than this share of its quota left a backend gets less of the traffic, in proportion.
const SCARCE: f64 = 0.2;

/// With no more requests left than this (and twice what is under way), a worker asks all others before it sends one.
/// What it knows of them may be a tick of 50 ms old; a worker at its limits sends some 500 requests in that time. It
/// costs little: a quota is by the minute, and so at most that many requests a minute pay for it.
const TIGHT: u64 = 2_000;

/// What is known of a backend's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Nothing is sent before this moment: the provider said so, with a 429.
    excluded_until: Timestamp,
    /// When the last refusal came that was not of the same moment as the one before.
    struck: Timestamp,
    /// When the one before that came.
    struck_before: Timestamp,
    /// Refusals in a row, with no success in between.
    strikes: u8,
    requests: Gauge,
    tokens: Gauge,
    /// For whom that holds.
    scope: Scope,
}

/// Who was told something of a quota, if that is known, and who else is known to have been served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asker {
    /// Who.
    pub source: Option<Source>,
    /// And the others.
    pub known: Known,
}

/// What is under way at a backend and has not been reported yet, and what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Requests under way.
    pub requests: u32,
    /// Their tokens.
    pub tokens: Tokens,
    /// Tokens of the request that is to be sent.
    pub next: Tokens,
}

/// What has ended at a backend so far, as far as its quota is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    requests: u64,
    tokens: u64,
}

impl Quota {
    /// Until when nothing may be sent, because the provider refused.
    pub fn refused_until(&self, now: Timestamp) -> Option<Timestamp> {
        // Waiting longer than the longest wait is nobody's wish: the clock stepped back.
        (now < self.excluded_until && self.excluded_until.since(now) <= LONGEST_WAIT).then_some(self.excluded_until)
    }

    /// Until when nothing of `source` may be sent, because the provider refused that client.
    pub fn withheld_from(&self, source: Source, now: Timestamp) -> Option<Timestamp> {
        self.scope.withheld(source.client(), now).filter(|until| until.since(now) <= LONGEST_WAIT)
    }

    /// Whether it makes a difference who asks.
    pub fn asks_who(&self, known: impl FnOnce() -> Known, now: Timestamp) -> bool {
        let is_low = |gauge: &Gauge| {
            gauge.left(now).is_some_and(|left| gauge.limit().map_or(left < TIGHT, |limit| left <= limit / 2))
        };
        self.scope.holds(now) || ((is_low(&self.requests) || is_low(&self.tokens)) && self.scope.is_of_one(&known()))
    }

    /// Whether a client is held, so that it is to be known whom else it serves.
    pub fn holds_somebody(&self, now: Timestamp) -> bool {
        self.scope.holds(now)
    }

    /// Whether what is left was told to another client, and to nobody else.
    pub fn is_of_another(&self, source: Option<Source>) -> bool {
        self.scope.is_of_another(source)
    }

    /// Takes note of whom an answer says it to, before what it says is [taken in](Self::note).
    pub fn tell(&mut self, report: &QuotaReport, source: Option<Source>, at: Timestamp) {
        let fits = |gauge: &Gauge, said: &Option<Allowance>| match (gauge.left(at), said) {
            (Some(left), Some(said)) => {
                let most = said.limit.map_or(left / 4, |limit| limit / 10).max(4);
                said.remaining.abs_diff(left) <= most
            }
            (None, None) => true,
            _ => false,
        };
        let fits = fits(&self.requests, &report.requests) && fits(&self.tokens, &report.tokens);
        self.scope.tell(source, fits, is_low(report));
    }

    /// Whether anything is known of what is left.
    pub fn is_known(&self, now: Timestamp) -> bool {
        self.requests.left(now).is_some() || self.tokens.left(now).is_some()
    }

    /// Requests that are left as the provider counts them, and when all are there again, as far as that is known.
    pub fn requests_left(&self, now: Timestamp) -> Option<(u64, Option<Timestamp>)> {
        Some((self.requests.left(now)?, self.requests.resets(now)))
    }

    /// The same of tokens.
    pub fn tokens_left(&self, now: Timestamp) -> Option<(u64, Option<Timestamp>)> {
        Some((self.tokens.left(now)?, self.tokens.resets(now)))
    }

    /// Whether the room for a request depends on how many tokens it takes.
    pub fn counts_tokens(&self, now: Timestamp) -> bool {
        self.tokens.left(now).is_some()
    }

    /// Whether there is room for one more request: then the part of its usual traffic that the backend should have, else
    /// when there will be.
    ///
    /// `part = min(1, headroom / limit / 0.2)`, of requests or of tokens, whichever is less
    pub fn room(&self, demand: &Demand, now: Timestamp) -> Result<f64, Timestamp> {
        if self.requests.left(now).is_some_and(|left| left <= u64::from(demand.requests)) {
            return Err(self.requests.opens(now));
        }
        if let Some(left) = self.tokens.left(now) {
            let free = left.saturating_sub(demand.tokens.0);
            // What is larger than the whole quota would never be let in; the provider may count it differently.
            let untouched = self.tokens.limit().is_some_and(|limit| left >= limit);
            let alone = demand.tokens.0 == 0 && (untouched || self.tokens.is_doubtful(now));
            if free < demand.next.0.max(1) && !alone {
                return Err(self.tokens.opens(now));
            }
        }
        Ok((self.headroom(demand, now).unwrap_or(1.0) / SCARCE).min(1.0))
    }

    /// The share of the quota that is neither used nor under way, if that is known.
    #[inline(never)]
    pub fn headroom(&self, demand: &Demand, now: Timestamp) -> Option<f64> {
        let share = |gauge: &Gauge, used: u64| {
            let (left, limit) = (gauge.left(now)?, gauge.limit()?);
            Some(left.saturating_sub(used).min(limit) as f64 / limit as f64)
        };
        let (requests, tokens) = (share(&self.requests, demand.requests.into()), share(&self.tokens, demand.tokens.0));
        match (requests, tokens) {
            (Some(requests), Some(tokens)) => Some(requests.min(tokens)),
            (requests, tokens) => requests.or(tokens),
        }
    }

    /// Whether so little is left that what other workers send within a tick matters.
    pub fn is_tight(&self, demand: &Demand, now: Timestamp) -> bool {
        let requests = u64::from(demand.requests);
        let enough = TIGHT + 3 * requests;
        if self.requests.left(now).is_some_and(|left| left < enough) {
            return true;
        }
        self.tokens.left(now).is_some_and(|left| {
            let each = demand.tokens.0.saturating_add(demand.next.0) / (requests + 1);
            left < each.max(1).saturating_mul(enough)
        })
    }

    /// What has ended so far: what a request takes along when it departs.
    pub const fn ended(&self) -> Ended {
        Ended { requests: self.requests.ended(), tokens: self.tokens.ended() }
    }

    /// Takes in what an answer said that came `at` this moment, to a request of so many tokens; `departed_after` is what
    /// had ended when that departed.
    pub fn note(&mut self, report: &QuotaReport, tokens: Tokens, departed_after: Option<Ended>, at: Timestamp) {
        if let Some(said) = &report.requests {
            let departed_after = departed_after.map(|ended| ended.requests);
            self.requests.note(&Reading { said, own: 1, departed_after, at });
        }
        if let Some(said) = &report.tokens {
            let departed_after = departed_after.map(|ended| ended.tokens);
            self.tokens.note(&Reading { said, own: tokens.0, departed_after, at });
        }
    }

    /// The provider refused a request of so many tokens. Refusals of requests that were under way together are one.
    /// It may hold for the client only that got it.
    pub fn refuse(&mut self, report: &QuotaReport, tokens: Tokens, asker: &Asker, departed: Timestamp, at: Timestamp) {
        let used_up = [report.requests, report.tokens].into_iter().flatten().filter(|said| said.remaining == 0);
        let named = report.retry_at.or_else(|| used_up.map(|said| said.resets).max()).filter(|&until| until > at);
        if named.is_none() && is_too_large(tokens, report) {
            return;
        }
        let is_new = departed >= self.struck || at < self.struck;
        if is_new {
            self.strikes = self.strikes.saturating_add(1);
            (self.struck_before, self.struck) = (self.struck, at);
        }
        let until = match named {
            Some(until) => until.min(at.after(LONGEST_WAIT)),
            None if is_new => at.after(self.back_off()),
            None => self.struck.after(self.back_off()),
        };
        let Some(until) = self.scope.refused(asker.source, &asker.known, until, at) else { return };
        // The later of two requests knows better; of two that were under way together, whoever says more.
        self.excluded_until = if is_new { until } else { until.max(self.excluded_until) };
    }

    /// A request that departed then was answered. It may have departed beside the one that was refused last: a refusal
    /// comes sooner than an answer. If it departed after the one before that, the refusals are not in a row.
    pub fn succeed(&mut self, departed: Timestamp, source: Option<Source>, at: Timestamp) {
        if let Some(source) = source {
            self.scope.served(source, departed, at);
        }
        if departed >= self.struck_before {
            self.strikes = 0;
        }
    }

    /// A request ended whose answer said nothing of the quota: it may have used some of it.
    pub fn charge(&mut self, tokens: Tokens, at: Timestamp) {
        self.requests.charge(1, at);
        self.tokens.charge(tokens.0, at);
    }

    fn back_off(&self) -> Duration {
        let doublings = u32::from(self.strikes.saturating_sub(1)).min(16);
        FIRST_WAIT.saturating_mul(1 << doublings).min(LAST_WAIT)
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.time(self.excluded_until).time(self.struck).time(self.struck_before).u8(self.strikes);
        self.requests.encode(out);
        self.tokens.encode(out);
        self.scope.encode(out);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            excluded_until: from.time()?,
            struck: from.time()?,
            struck_before: from.time()?,
            strikes: from.u8()?,
            requests: Gauge::decode(from)?,
            tokens: Gauge::decode(from)?,
            scope: Scope::decode(from)?,
        })
    }
}

/// Whether so little is left that it should be known to whom that was said.
pub fn is_low(report: &QuotaReport) -> bool {
    let is_low = |said: &Allowance| said.limit.map_or(said.remaining < TIGHT, |limit| said.remaining <= limit / 2);
    report.requests.iter().chain(&report.tokens).any(is_low)
}

/// Whether a request was refused for its own size: there is something left of everything, but fewer tokens than it
/// takes. That says nothing of smaller ones, and what is left is known.
fn is_too_large(tokens: Tokens, report: &QuotaReport) -> bool {
    let is_used_up = [report.requests, report.tokens].into_iter().flatten().any(|said| said.remaining == 0);
    let most = report.tokens.map(|said| said.remaining.min(said.limit.unwrap_or(u64::MAX)));
    !is_used_up && most.is_some_and(|most| tokens.0 > most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Allowance;
    use crate::routing::testing::at;

    fn said(remaining: u64, limit: u64) -> Allowance {
        Allowance { remaining, limit: Some(limit), resets: at(60) }
    }

    fn of(requests: impl Into<Option<Allowance>>, tokens: impl Into<Option<Allowance>>) -> Quota {
        let (requests, tokens) = (requests.into(), tokens.into());
        let mut quota = Quota::default();
        quota.note(&QuotaReport { requests, tokens, retry_at: None }, Tokens(9), None, at(0));
        quota
    }

    fn demand(requests: u32, tokens: u64, next: u64) -> Demand {
        Demand { requests, tokens: Tokens(tokens), next: Tokens(next) }
    }

    fn part(quota: &Quota, demand: &Demand) -> Option<u32> {
        quota.room(demand, at(1)).ok().map(|part| (part * 1_000.0).round() as u32)
    }

    #[test]
    fn a_request_is_let_in_while_more_are_left_than_are_under_way() {
        let quota = of(said(10, 10), None);
        assert_eq!(part(&quota, &demand(0, 0, 900)), Some(1_000));
        assert_eq!(part(&quota, &demand(9, 9, 900)), Some(500));
        assert_eq!(quota.room(&demand(10, 9, 900), at(1)), Err(at(60)));
        assert_eq!(quota.room(&demand(10, 9, 900), at(61)), Err(at(61)), "it is whole again, and in use again");
        assert_eq!(part(&Quota::default(), &demand(99, 99, 99)), Some(1_000), "nothing is known");
    }

    #[test]
    fn tokens_count_as_requests_do() {
        let quota = of(said(1_000, 1_000), said(5_000, 100_000));
        assert_eq!(part(&quota, &demand(1, 1_000, 4_000)), Some(200));
        assert!(quota.room(&demand(1, 1_000, 4_001), at(1)).is_err());
        assert!(quota.room(&demand(1, 1_000, 4_001), at(61)).is_ok(), "all of it is there again");
    }

    #[test]
    fn a_request_larger_than_the_whole_quota_is_let_in_alone() {
        let quota = of(None, said(1_000, 1_000));
        assert!(quota.room(&demand(0, 0, 9_000), at(1)).is_ok());
        assert!(quota.room(&demand(1, 1, 9_000), at(1)).is_err());
    }

    #[test]
    fn a_quota_of_the_day_that_is_used_up_is_asked_about_when_the_client_was_told_to_come_again() {
        let used_up = Allowance { resets: at(80_000), ..said(0, 1_000) };
        for quota in [of(used_up, None), of(None, used_up)] {
            assert_eq!(quota.room(&demand(0, 0, 300), at(1)), Err(at(600)), "not tomorrow");
            assert_eq!(quota.room(&demand(0, 0, 300), at(599)), Err(at(600)));
            assert!(quota.room(&demand(0, 0, 300), at(600)).is_ok());
            assert!(quota.room(&demand(1, 300, 300), at(600)).is_err(), "by one request");
        }
    }

    #[test]
    fn the_part_falls_with_the_last_fifth() {
        let parts = [100, 21, 20, 10, 1].map(|left| part(&of(said(left * 10, 1_000), None), &demand(0, 0, 1)));
        assert_eq!(parts, [1_000, 1_000, 1_000, 500, 50].map(Some));
    }

    #[test]
    fn exactness_is_for_those_who_have_little() {
        assert!(!Quota::default().is_tight(&demand(9, 9, 9), at(1)));
        assert!(!of(said(9_000, 10_000), None).is_tight(&demand(9, 9_000, 1_000), at(1)));
        assert!(of(said(1_900, 10_000), None).is_tight(&demand(9, 9_000, 1_000), at(1)));
        assert!(of(None, said(1_900_000, 9_000_000)).is_tight(&demand(9, 9_000, 1_000), at(1)));
        assert!(!of(None, said(2_100_000, 9_000_000)).is_tight(&demand(9, 9_000, 1_000), at(1)));
    }

    #[test]
    fn a_refusal_holds_until_the_time_that_it_names_but_not_for_ever() {
        for (named, expected) in [(at(30), at(30)), (at(90_000), at(600))] {
            let mut quota = Quota::default();
            quota.refuse(
                &QuotaReport { retry_at: Some(named), ..QuotaReport::default() },
                Tokens(9),
                &Asker::default(),
                at(0),
                at(0),
            );
            assert_eq!(quota.refused_until(at(1)), Some(expected));
            assert_eq!(quota.refused_until(expected), None);
        }
        let mut quota = Quota::default();
        quota.refuse(
            &QuotaReport { requests: Some(said(0, 9)), tokens: Some(said(5, 9)), retry_at: None },
            Tokens(9),
            &Asker::default(),
            at(0),
            at(0),
        );
        assert_eq!(quota.refused_until(at(1)), Some(at(60)), "what is used up says when it is whole again");
    }

    #[test]
    fn a_request_that_is_refused_for_its_size_excludes_nobody() {
        let report = |requests: u64, tokens: u64| QuotaReport {
            requests: Some(said(requests, 100)),
            tokens: Some(said(tokens, 1_000)),
            retry_at: None,
        };
        let refused = |report: QuotaReport, tokens| {
            let mut quota = Quota::default();
            quota.refuse(&report, Tokens(tokens), &Asker::default(), at(0), at(0));
            (quota.strikes, quota.refused_until(at(0)))
        };
        assert_eq!(refused(report(99, 1_000), 9_000), (0, None), "larger than the limit");
        assert_eq!(refused(report(99, 500), 501), (0, None), "larger than what remains");
        assert_eq!(refused(report(99, 500), 500), (1, Some(at(1))), "it would have fitted");
        assert_eq!(refused(report(0, 500), 9_000), (1, Some(at(60))), "there are no requests left");
        assert_eq!(refused(report(99, 0), 9_000), (1, Some(at(60))), "there are no tokens left");
        let named = QuotaReport { retry_at: Some(at(7)), ..report(99, 500) };
        assert_eq!(refused(named, 9_000), (1, Some(at(7))), "it says when to come again");
        assert_eq!(refused(QuotaReport::default(), 9_000), (1, Some(at(1))), "it says nothing");
    }

    #[test]
    fn refusals_that_name_no_time_double_the_wait_until_a_success() {
        let mut quota = Quota::default();
        let mut waits = Vec::new();
        let mut now = 100;
        for _ in 0..9 {
            quota.refuse(&QuotaReport::default(), Tokens(9), &Asker::default(), at(now), at(now));
            // Another one that was under way with it.
            quota.refuse(&QuotaReport::default(), Tokens(9), &Asker::default(), at(now - 1), at(now));
            waits.push(quota.refused_until(at(now)).expect("refused").since(at(now)).as_secs());
            now += 100;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        quota.succeed(at(0), None, at(now));
        assert_eq!(quota.back_off(), LAST_WAIT, "that one departed before the refusals");
        quota.succeed(at(now - 101), None, at(now));
        quota.refuse(&QuotaReport::default(), Tokens(9), &Asker::default(), at(now), at(now));
        assert_eq!(quota.refused_until(at(now)), Some(at(now + 1)));
    }

    #[test]
    fn a_clock_that_steps_back_does_not_keep_it_out() {
        let mut quota = Quota::default();
        quota.refuse(
            &QuotaReport { retry_at: Some(at(9_000)), ..QuotaReport::default() },
            Tokens(9),
            &Asker::default(),
            at(8_990),
            at(8_990),
        );
        assert_eq!(quota.refused_until(at(100)), None);
    }
}
