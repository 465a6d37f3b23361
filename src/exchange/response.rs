//! From the answer's headers to the end: observe, and learn.

use std::time::Duration;

use super::Context;
use super::attempt::{UNASKED, USAGE};
use super::ending::{Details, Evidence, Flags, verdict};
use super::intake::{ESTIMATED_TOKENS, EXPLAIN, Encoding, is_own};
use super::purse::Due;
use super::router::{Held, Route};
use crate::domain::{Api, BackendIndex, Ending, Failure, Timestamp, Tokens, Usage};
use crate::health::Verdict;
use crate::host::{Host, Property};
use crate::learning::Length;
use crate::metrics::{Method, Metric, Status, TokenKind};
use crate::protocol::{AnswerFacts, Observer, QuotaHeaders};
use crate::state::{Counted, Outcome, Signal};
use crate::tokens;

/// The answer's headers: what they say.
#[derive(Debug, Default)]
struct Head {
    status: Option<u16>,
    content_type: Option<Vec<u8>>,
    encoded: bool,
    date: Option<Vec<u8>>,
    quota: QuotaHeaders,
    /// Whether the usage was asked for in the client's stead.
    unasked: bool,
}

impl Head {
    /// Reads the headers in one call, and removes what a backend says in the router's name.
    fn read<H: Host>(host: &H) -> Self {
        let mut head = Self::default();
        for (name, value) in host.response_headers() {
            match name.as_str() {
                ":status" => head.status = std::str::from_utf8(&value).ok().and_then(|status| status.parse().ok()),
                "content-type" => head.content_type = Some(value),
                "content-encoding" => head.encoded = Encoding::from_bytes(&value) != Encoding::Identity,
                "date" => head.date = Some(value),
                name if is_own(name) => {
                    head.unasked |= name == UNASKED && value == USAGE.as_bytes();
                    host.remove_response_header(name);
                }
                name => head.quota.hear(name, &value),
            }
        }
        head
    }

    /// Whether the backend was asked for too much.
    fn signal(&self) -> Signal {
        match self.status {
            Some(429) => Signal::Refused,
            Some(529) => Signal::SlowDown,
            Some(503) if self.quota.has_retry() => Signal::SlowDown,
            _ => Signal::None,
        }
    }

    /// Watches the body where its kind is known: only there is an `error` a failure, and an end before the end a cut.
    fn observer<H: Host>(&self, route: &Route, host: &H) -> Observer {
        let (api, status) = (route.facts.api, self.status.unwrap_or(0));
        let bodiless = matches!(status, 204..=206);
        let unknown = api == Api::Other || route.method != Method::Post || bodiless || self.encoded;
        let mut observer = Observer::new(api, status, self.content_type.as_deref().filter(|_| !unknown));
        if self.unasked && observer.hide_usage() {
            host.remove_response_header("content-length");
        }
        observer
    }
}

/// An answer as it passes by. Nothing of it is held back, but the beginning of an event that may have to be hidden.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) route: Route,
    /// Who gives it.
    pub(super) backend: BackendIndex,
    held: Option<Held>,
    /// Who failed and had to leave it to another, and how long it took until that one answered.
    left: Option<(BackendIndex, Duration)>,
    /// Attempts made; none if the request never left Envoy.
    pub(super) attempts: Option<u32>,
    pub(super) status: Option<u16>,
    observer: Observer,
    /// When its headers came, where they are what the client waited for.
    headed: Option<Timestamp>,
    first_token: Option<Timestamp>,
    /// Bytes of its body so far.
    passed: u64,
    complete: bool,
}

impl Answer {
    /// The headers are there: now it is known which attempts failed, and who answered.
    pub(super) fn begin<H: Host>(cx: &mut Context<'_, H>, route: Route, end_of_stream: bool) -> Self {
        let head = Head::read(cx.host);
        let observer = head.observer(&route, cx.host);
        let mut answer = Self::settle(cx, route, observer, head.status);
        answer.complete = end_of_stream;
        answer.headed = (answer.route.whole && !answer.route.facts.stream).then(|| cx.host.now());
        answer.notice(cx, &head);
        answer.write_headers(cx);
        answer
    }

    /// There was no answer.
    pub(super) fn none<H: Host>(cx: &mut Context<'_, H>, route: Route) -> Self {
        let observer = Observer::new(route.facts.api, 0, None);
        Self::settle(cx, route, observer, None)
    }

    /// Charges the attempts that failed to those who failed them, and counts the request where it is now.
    fn settle<H: Host>(cx: &mut Context<'_, H>, mut route: Route, observer: Observer, status: Option<u16>) -> Self {
        let attempts = cx.host.number(Property::AttemptCount).filter(|&n| n > 0).map(|n| n as u32);
        let held = route.held.take();
        let first = route.attempts.first();
        let mut answer = Self {
            backend: first,
            route,
            held,
            left: None,
            attempts,
            status,
            observer,
            headed: None,
            first_token: None,
            passed: 0,
            complete: false,
        };
        let failed = attempts.unwrap_or(1).saturating_sub(1) as usize;
        if failed == 0 {
            return answer;
        }
        let now = cx.host.now();
        let slots = answer.slots(cx, failed);
        // A route that retries more often than there are slots is not the one that the configuration is for.
        let slot = |n: usize| slots.get(n).or(slots.last()).copied().unwrap_or(first);
        for n in 0..failed {
            answer.charge(cx, slot(n), now);
            if slot(n + 1) != slot(n) {
                cx.host.record(Metric::Failovers(slot(n)), 1);
                cx.host.record(Metric::LastFailover(slot(n)), now.as_micros() / 1_000_000);
                answer.left = Some((slot(n), now.since(answer.route.departed)));
            }
        }
        let answering = slot(failed);
        answer.backend = answering;
        answer.held = cx.enter_unasked(answering, &answer.route.facts, answer.route.text);
        if answering != first {
            cx.transfer(&mut answer.route, answering);
        }
        answer
    }

    /// Where the attempts went, in order. On a route that cannot change its cluster all of them went to the first.
    fn slots<H: Host>(&self, cx: &Context<'_, H>, failed: usize) -> Vec<BackendIndex> {
        let planned = self.route.attempts.as_slice();
        let cluster_of = |index| cx.router.backend(index).map(|backend| backend.cluster.as_bytes());
        let last = planned.get(failed.min(planned.len().saturating_sub(1))).copied();
        let stayed = cx.host.property(Property::ClusterName).is_some_and(|cluster| {
            last.and_then(cluster_of) != Some(&cluster) && cluster_of(self.route.attempts.first()) == Some(&cluster)
        });
        if stayed { vec![self.route.attempts.first()] } else { planned.to_vec() }
    }

    /// One attempt failed at `backend`.
    fn charge<H: Host>(&mut self, cx: &mut Context<'_, H>, index: BackendIndex, now: Timestamp) {
        let Some(backend) = cx.router.backend(index) else { return };
        let held = self.held.take_if(|held| held.backend == index);
        // Where the last attempt was refused for a quota, the ones before it were most likely, too.
        let ending = if self.status == Some(429) { Ending::RateLimited } else { Ending::Failed(Failure::Retried) };
        let verdict = verdict(ending);
        if verdict.is_ill() {
            cx.host.record(Metric::BreakerFailures(index), 1);
        }
        let mut outcome = Outcome::new(backend, held.map(|held| held.pass), verdict, now);
        // Its answer, if there was one, is lost: it may have used some of a quota.
        outcome.unreported = Some(held.map_or(self.route.text, |held| held.tokens));
        cx.learn(index, held, &outcome);
    }

    /// Takes note of what the headers say of the backend's quota; most say nothing. An answer to a request that never
    /// left Envoy is not the backend's.
    fn notice<H: Host>(&mut self, cx: &mut Context<'_, H>, head: &Head) {
        let signal = head.signal();
        if self.attempts.is_none() || (head.quota.is_empty() && signal == Signal::None) {
            return;
        }
        let report = head.quota.report(head.date.as_deref(), cx.host.now());
        if report.has_allowance() || signal != Signal::None {
            cx.notice(self.backend, self.held.as_mut(), &self.route, report, signal);
        }
    }

    /// Says who answered and how it was decided, unless nobody did or nobody is to know.
    fn write_headers<H: Host>(&mut self, cx: &Context<'_, H>) {
        if let Some(decision) = self.route.trace.explanation.take() {
            cx.host.add_response_header(EXPLAIN, decision.header().as_bytes());
        }
        let Some((backend, attempts)) = cx.router.backend(self.backend).zip(self.attempts) else { return };
        if !cx.router.config().response_headers {
            return;
        }
        let estimate = cx.router.estimate(cx.view, &self.route, self.backend).input;
        cx.host.add_response_header("x-llm-backend", backend.id.as_bytes());
        cx.host.add_response_header("x-llm-strategy", self.route.strategy.name().as_bytes());
        cx.host.add_response_header("x-llm-attempts", attempts.to_string().as_bytes());
        cx.host.add_response_header(ESTIMATED_TOKENS, estimate.0.to_string().as_bytes());
    }

    /// A chunk passes by.
    pub(super) fn chunk<H: Host>(&mut self, host: &H, len: usize, end_of_stream: bool) {
        if self.observer.is_watching()
            && len > 0
            && let Some(chunk) = host.response_body(len)
            && self.observer.push(&chunk)
        {
            self.first_token.get_or_insert_with(|| host.now());
        }
        if let Some(body) = self.observer.passing(end_of_stream) {
            host.replace_response_body(len, &body);
        }
        self.passed = self.passed.saturating_add(len as u64);
        self.complete |= end_of_stream;
    }

    /// The answer was seen to its end.
    pub(super) const fn complete(&mut self) {
        self.complete = true;
    }

    /// It is over: counts the request out, and learns from it.
    pub(super) fn finish<H: Host>(mut self, cx: &mut Context<'_, H>) {
        let now = cx.host.now();
        let facts = self.observer.finish(self.complete);
        let ending = self.ending(cx.host, &facts);
        let (status, sent, passed, complete) = (self.status, self.attempts.is_some(), self.passed, self.complete);
        let due = Due { ending, status, facts: &facts, sent, passed, complete };
        // Before anything is learned from it: what is told is what was known.
        let bill = cx.bill(&self.route, self.backend, &due, now);
        self.report(cx, ending, &facts, now.since(self.route.departed));
        self.count(cx, ending, &facts, now);
        self.learn(cx, ending, &facts, now);
        cx.settle(&mut self.route, &bill, now);
    }

    /// How it ended. A good answer, complete, needs no look at Envoy's flags.
    fn ending<H: Host>(&self, host: &H, facts: &AnswerFacts) -> Ending {
        let plain = self.complete && self.attempts.is_some() && self.status.is_some_and(|status| status < 400);
        let flags = Flags(if plain { 0 } else { host.number(Property::ResponseFlags).unwrap_or(0) });
        let broke_off = !self.complete && self.status.is_some_and(|status| status < 300);
        let details = broke_off.then(|| host.property(Property::CodeDetails)).flatten();
        let details = details.map_or(Details::Other, |details| Details::from_bytes(&details));
        let sent = self.attempts.is_some();
        let (status, complete, passed, asked) = (self.status, self.complete, self.passed, self.route.asked);
        Evidence { status, complete, passed, sent, asked, flags, details, facts }.ending()
    }

    fn learn<H: Host>(&mut self, cx: &mut Context<'_, H>, ending: Ending, facts: &AnswerFacts, now: Timestamp) {
        let Some(backend) = cx.router.backend(self.backend) else { return };
        let held = self.held.take();
        let mut outcome = Outcome::new(backend, held.map(|held| held.pass), verdict(ending), now);
        outcome.answered = (ending == Ending::Success).then_some(self.route.departed);
        outcome.unreported = held.filter(|held| !held.reported && ending != Ending::NotSent).map(|held| held.tokens);
        outcome.at_capacity = held.filter(|_| ending == Ending::Success).and_then(|held| cx.at_capacity(&held, now));
        let facts_of = &self.route.facts;
        let answered = ending == Ending::Success && facts_of.api != Api::Other;
        // How long the attempts before this one took is not known, so its own time is not either.
        if answered && self.attempts == Some(1) {
            outcome.response_time = Some(now.since(self.route.departed));
            outcome.stands_for = self.route.attempts.explores().unwrap_or(1);
            outcome.first_token = self.first_token.map(|at| at.since(self.route.departed));
            if backend.breaker.zip(self.waited()).is_some_and(|(breaker, waited)| waited > breaker.slow_response) {
                outcome.verdict = Verdict::Slow;
            }
        }
        if let Some(Usage { input, .. }) = facts.usage.filter(|_| answered) {
            let reported = Tokens(input.0.saturating_sub(facts_of.exact_tokens.0));
            outcome.prompt = self.route.understood.then_some(Counted { estimated: self.estimated(), reported });
        }
        if let Some(output) = self.length(facts).filter(|_| answered && facts_of.api != Api::Embeddings) {
            let length = Length::new(facts_of, self.route.text, output, facts.usage.as_ref());
            outcome.length = Some(Length { expected: cx.expected_length(&self.route, self.backend), ..length });
        }
        if let Some((counted, place)) = outcome.prompt.zip(cx.router.place(self.backend)) {
            cx.view.auditor().count(place, self.route.facts.model.take(), counted);
        }
        cx.learn(self.backend, held, &outcome);
    }

    /// Tokens of the answer: as reported, or, as in a bill, as seen.
    fn length(&self, facts: &AnswerFacts) -> Option<Tokens> {
        let streamed = |bytes| tokens::by_size(bytes).max(Tokens(facts.content_events));
        let seen = || facts.content_bytes.map_or(tokens::by_size(self.passed), streamed);
        let length = facts.usage.map_or_else(seen, |usage| usage.output);
        (facts.usage.is_some() || (self.route.customer.pays && length.0 > 0)).then_some(length)
    }

    /// How long the backend let the client wait: for a whole answer's headers, or for the first piece of a stream. How
    /// long an answer goes on is a matter of how much there is to say, and of how fast the client reads. None where the
    /// client had not sent all of its request: then nobody knows who waited for whom.
    fn waited(&self) -> Option<Duration> {
        let until = self.first_token.or(self.headed).filter(|_| self.route.whole);
        Some(until?.since(self.route.departed))
    }

    /// What calibration corrects: the estimate, without the tokens that were given as such.
    pub(super) const fn estimated(&self) -> Tokens {
        Tokens(self.route.text.0.saturating_add(self.route.facts.fixed_tokens.0))
    }

    /// Before anything is learned from it: the estimate is judged as it was when it was made, or nearly.
    fn count<H: Host>(&self, cx: &mut Context<'_, H>, ending: Ending, facts: &AnswerFacts, now: Timestamp) {
        let (host, backend, status) = (cx.host, self.backend, Status::from(ending));
        host.record(Metric::Requests { backend, status, method: self.route.method }, 1);
        host.record(Metric::Duration { backend, status }, now.since(self.route.departed).as_millis() as u64);
        if let Some(at) = self.first_token {
            host.record(Metric::FirstToken(backend), at.since(self.route.departed).as_millis() as u64);
        }
        if matches!(ending, Ending::Failed(_)) {
            host.record(Metric::BreakerFailures(backend), 1);
        }
        if let Some((left, after)) = self.left.filter(|_| ending == Ending::Success) {
            host.record(Metric::FailoversSucceeded(left), 1);
            host.record(Metric::FailoverTime(left), after.as_millis() as u64);
        }
        if let Some(usage) = &facts.usage {
            self.count_usage(cx, usage, now);
        }
    }

    /// What the provider says that the answer took.
    fn count_usage<H: Host>(&self, cx: &mut Context<'_, H>, usage: &Usage, now: Timestamp) {
        let (host, backend) = (cx.host, self.backend);
        for (kind, tokens) in [
            (TokenKind::Input, usage.input),
            (TokenKind::CachedInput, usage.cached_input),
            (TokenKind::Output, usage.output),
        ] {
            if tokens.0 > 0 {
                host.record(Metric::Tokens { backend, kind }, tokens.0);
            }
        }
        // The first token is not waited for by the token.
        if let Some((at, others)) = self.first_token.zip(usage.output.0.checked_sub(1).filter(|&others| others > 0)) {
            host.record(Metric::PerToken(backend), now.since(at).as_micros() as u64 / others);
        }
        if self.route.understood && usage.input.0 > 0 {
            let estimate = cx.router.estimate(cx.view, &self.route, backend).input;
            let error = u128::from(estimate.0.abs_diff(usage.input.0)) * 1_000 / u128::from(usage.input.0);
            host.record(Metric::EstimateError(backend), u64::try_from(error).unwrap_or(u64::MAX));
        }
    }
}
