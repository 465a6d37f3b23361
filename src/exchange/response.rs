//! From the answer's headers to the end: observe, and learn.

mod counts;
mod lessons;
mod price;
mod waits;

use std::time::Duration;

use super::Context;
use super::attempt::{UNASKED, USAGE};
use super::decision::decision_name;
use super::ending::{Details, Evidence, Flags, is_server_fault, verdict};
use super::intake::{ESTIMATED_TOKENS, EXPLAIN, Encoding, is_own};
use super::router::{Held, Route};
use crate::cost::Bill;
use crate::domain::{Api, BackendIndex, Ending, Failure, FallbackAnswers, Purpose, QuotaReport, Timestamp};
use crate::health::Verdict;
use crate::host::{Host, Property};
use crate::metrics::{Method, Metric};
use crate::protocol::{AnswerFacts, InBandError, Observer, QuotaHeaders};
use crate::state::{Outcome, Signal};

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
                UNASKED => {
                    head.unasked = value == USAGE.as_bytes();
                    host.remove_response_header(UNASKED);
                }
                name if is_own(name) => host.remove_response_header(name),
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
        let is_free = route.facts.purpose == Purpose::Free;
        let is_read = api != Api::Other || route.understood;
        let unknown = !is_read || is_free || route.method != Method::Post || bodiless || self.encoded;
        let mut observer =
            if unknown { Observer::unread(api) } else { Observer::new(api, status, self.content_type.as_deref()) };
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
    /// What it said and what it costs, once both are known.
    priced: Option<(AnswerFacts, Bill)>,
    /// Whether it comes from a cluster that is no backend's.
    pub(super) is_stray: bool,
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
        if answer.is_tunnel() {
            answer.begins(cx);
        }
        answer.write_headers(cx);
        answer
    }

    /// There was no answer.
    pub(super) fn none<H: Host>(cx: &mut Context<'_, H>, route: Route) -> Self {
        let observer = Observer::unread(route.facts.api);
        Self::settle(cx, route, observer, None)
    }

    /// Charges the attempts that failed to those who failed them, and counts the request where it is now.
    fn settle<H: Host>(cx: &mut Context<'_, H>, mut route: Route, observer: Observer, status: Option<u16>) -> Self {
        cx.end_upload(&mut route);
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
            priced: None,
            is_stray: false,
        };
        let Some(made) = attempts else { return answer };
        let failed = made.saturating_sub(1) as usize;
        let is_odd = failed > 0 || status.is_some_and(|status| status >= 400);
        let trail = cx.trail(&answer.route, failed, is_odd);
        if failed == 0 && trail.answering == Some(first) {
            return answer;
        }
        let now = cx.host.now();
        let failure = answer.failure_of_attempts(failed, now);
        let plan = answer.route.attempts;
        for n in 0..failed {
            let Some(at) = trail.attempt(plan.as_slice(), n) else { continue };
            answer.charge(cx, at, failure, now);
            let next = if n + 1 < failed { trail.attempt(plan.as_slice(), n + 1) } else { trail.answering };
            if next != Some(at) {
                cx.host.record(Metric::Failovers(at), 1);
                let date = cx.view.calendar().date(now);
                cx.host.record(Metric::LastFailover(at), date.as_micros() / 1_000_000);
                answer.left = Some((at, now.since(answer.route.departed)));
            }
        }
        answer.move_to(cx, trail.answering, now);
        answer
    }

    /// It is another backend's than the one that it was counted at, or no backend's.
    fn move_to<H: Host>(&mut self, cx: &mut Context<'_, H>, answering: Option<BackendIndex>, now: Timestamp) {
        if let Some(held) = self.held.take()
            && let Some(backend) = cx.router.backend(held.backend)
        {
            cx.learn(held.backend, Some(held), &Outcome::new(backend, Some(held.pass), Verdict::Unknown, now));
        }
        self.is_stray = answering.is_none();
        let Some(answering) = answering else { return };
        let was = std::mem::replace(&mut self.backend, answering);
        let is_counted = self.route.facts.purpose != Purpose::Free;
        self.held = is_counted.then(|| cx.enter_unasked(answering, &self.route.facts, self.route.text)).flatten();
        if answering != was {
            cx.transfer(&mut self.route, answering);
        }
    }

    /// Why the attempts failed that were retried. Envoy does not say, nor how long each of them took. But where all of
    /// them together took as long as they may, each of them ran into its timeout: the one that was answered takes less
    /// than one may.
    fn failure_of_attempts(&self, failed: usize, now: Timestamp) -> Failure {
        let Some(timeout) = self.route.timeout.filter(|_| self.route.whole) else { return Failure::Retried };
        // Where nobody answered, the last attempt had its time, too.
        let unanswered = usize::from(matches!(self.status, None | Some(504)));
        let limit = timeout.saturating_mul((failed + unanswered) as u32);
        if now.since(self.route.departed) >= limit { Failure::Timeout } else { Failure::Retried }
    }

    /// One attempt failed at `backend`.
    fn charge<H: Host>(&mut self, cx: &mut Context<'_, H>, index: BackendIndex, failure: Failure, now: Timestamp) {
        let Some(backend) = cx.router.backend(index) else { return };
        if self.route.facts.purpose == Purpose::Free {
            return;
        }
        let held = self.held.take_if(|held| held.backend == index);
        let is_evidence = self.route.facts.is_evidence(backend);
        let ending = self.ending_of_a_try(failure);
        let verdict = self.verdict(ending);
        if verdict.is_ill() && is_evidence {
            cx.host.record(Metric::BreakerFailures(index), 1);
        }
        let mut outcome = Outcome::new(backend, held.map(|held| held.pass), verdict, now);
        if is_evidence {
            outcome.source = cx.source(index, self.route.tenant.as_deref(), verdict, now);
            outcome.failed_after = self.failed_after(ending, now);
        } else {
            outcome = outcome.sparing_the_breaker();
        }
        // Its answer, if there was one, is lost: it may have used some of a quota.
        outcome.unreported = Some(held.map_or(self.route.text, |held| held.tokens));
        cx.learn(index, held, &outcome);
    }

    /// How an attempt ended that Envoy tried again elsewhere: it says that it failed, not why. So the one that ended it
    /// all speaks for those before it: refused for a quota, or at odds with the request, they were most likely, too.
    const fn ending_of_a_try(&self, failure: Failure) -> Ending {
        match self.status {
            Some(429) => Ending::RateLimited,
            Some(status) if status >= 500 && !is_server_fault(status) => Ending::ClientError,
            _ if !self.route.asked => Ending::ClientAbort,
            _ => Ending::Failed(failure),
        }
    }

    /// Takes note of what the headers say of the backend's quota; most say nothing. An answer to a request that never
    /// left Envoy is not the backend's.
    fn notice<H: Host>(&mut self, cx: &mut Context<'_, H>, head: &Head) {
        let signal = head.signal();
        let is_evidence = || cx.router.backend(self.backend).is_some_and(|b| self.route.facts.is_evidence(b));
        let says_nothing = head.quota.is_empty() && signal == Signal::None;
        if self.attempts.is_none() || self.is_stray || says_nothing || !is_evidence() {
            return;
        }
        let now = cx.host.now();
        let report = head.quota.report(head.date.as_deref(), cx.view.calendar().date(now), now);
        if report.has_allowance() || signal != Signal::None {
            cx.notice(self.backend, self.held.as_mut(), &self.route, report, signal);
        }
    }

    /// Says who answered and how it was decided, unless nobody did or nobody is to know.
    fn write_headers<H: Host>(&mut self, cx: &Context<'_, H>) {
        if let Some(decision) = self.route.trace.explanation.take() {
            cx.host.add_response_header(EXPLAIN, decision.header(cx.view.calendar()).as_bytes());
        }
        let Some((backend, attempts)) = cx.router.backend(self.backend).zip(self.attempts) else { return };
        if self.is_stray || !cx.router.config().response_headers {
            return;
        }
        let estimate = cx.router.estimate(cx.view, &self.route, self.backend).input;
        cx.host.add_response_header("x-llm-backend", backend.id.as_bytes());
        cx.host.add_response_header("x-llm-strategy", self.route.strategy.name().as_bytes());
        cx.host.add_response_header("x-llm-attempts", attempts.to_string().as_bytes());
        cx.host.add_response_header(ESTIMATED_TOKENS, estimate.0.to_string().as_bytes());
        cx.host.add_response_header("x-llm-decision-id", decision_name(self.route.trace.id).as_bytes());
        cx.host.add_response_header("x-llm-confidence", &self.route.confidence.decimal());
    }

    /// A chunk passes by.
    pub(super) fn chunk<H: Host>(&mut self, cx: &mut Context<'_, H>, len: usize, end_of_stream: bool) {
        let host = cx.host;
        // What is not read shows its first content in its first bytes.
        let mut begins = len > 0 && self.passed == 0 && !self.observer.is_watching();
        if self.observer.is_watching()
            && len > 0
            && let Some(chunk) = host.response_body(len)
            && self.observer.push(&chunk)
        {
            self.first_token.get_or_insert_with(|| host.now());
            begins = true;
        }
        if begins && !end_of_stream {
            self.begins(cx);
        }
        if let Some(body) = self.observer.passing(end_of_stream) {
            host.replace_response_body(len, &body);
        }
        self.passed = self.passed.saturating_add(len as u64);
        self.complete |= end_of_stream;
        if end_of_stream {
            self.tell_cost(cx);
        }
    }

    /// The first content is there, or a tunnel: to those who wait to see whether the backend is well, that is an answer.
    fn begins<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        let is_good = self.is_tunnel() || matches!(self.status, Some(200..=299));
        let Some(mut held) = self.held.filter(|held| is_good && cx.awaits(held)) else { return };
        if self.verdict(Ending::Success) != Verdict::Well {
            return;
        }
        let now = cx.host.now();
        let slow = self.wait(cx, None, Ending::Success).is_some_and(|(_, slow)| slow);
        cx.begin(&mut held, slow, now);
        self.held = Some(held);
    }

    /// The answer was seen to its end.
    pub(super) const fn complete(&mut self) {
        self.complete = true;
    }

    /// It is over: counts the request out, and learns from it.
    pub(super) fn finish<H: Host>(mut self, cx: &mut Context<'_, H>) {
        let now = cx.host.now();
        let facts = self.facts(cx);
        self.notice_inside(cx, &facts);
        // What is no answer of a model is judged by its status alone: a batch may well say that it failed.
        let by_status = || Observer::unread(Api::Other).finish(self.complete);
        let is_inference = self.route.facts.purpose == Purpose::Inference;
        let ending = self.ending(cx, &if is_inference { facts } else { by_status() });
        if self.is_stray {
            let nothing = Bill::default();
            self.report(cx, ending, &nothing, now.since(self.route.departed));
            return cx.settle(&mut self.route, &nothing, now);
        }
        match ending {
            Ending::Failed(Failure::Connect) if self.attempts.is_none() => cx.note_unknown_cluster(self.backend),
            Ending::Failed(Failure::Timeout) => cx.note_timeout(&self.route, self.attempts),
            _ => {}
        }
        // Before anything is learned from it: what is told is what was known.
        let bill = self.price(cx, ending, &facts, now);
        self.report(cx, ending, &bill, now.since(self.route.departed));
        self.count(cx, ending, &facts, now);
        self.learn(cx, ending, &facts, now);
        cx.settle(&mut self.route, &bill, now);
    }

    /// What the answer said. A sentence that stands in for one is an error, unless the backend's operator takes it for good.
    fn facts<H: Host>(&mut self, cx: &Context<'_, H>) -> AnswerFacts {
        if let Some((facts, _)) = self.priced {
            return facts;
        }
        let mut facts = self.observer.finish(self.complete);
        let backend = cx.router.backend(self.backend);
        if facts.fallback && backend.is_some_and(|backend| backend.fallback_answers == FallbackAnswers::Fail) {
            facts.in_band_error.get_or_insert(InBandError::FALLBACK);
        }
        facts
    }

    /// An error inside that is a quota's, or an overload, is one as if it had come in time to be the status.
    fn notice_inside<H: Host>(&mut self, cx: &mut Context<'_, H>, facts: &AnswerFacts) {
        let is_inference = self.route.facts.purpose == Purpose::Inference;
        if !is_inference || self.is_stray || self.attempts.is_none() || !matches!(self.status, Some(200..=299)) {
            return;
        }
        let signal = match facts.in_band_error {
            Some(InBandError { status: 429 }) => Signal::Refused,
            Some(InBandError { status: 529 }) => Signal::SlowDown,
            _ => return,
        };
        cx.notice(self.backend, self.held.as_mut(), &self.route, QuotaReport::default(), signal);
    }

    /// How it ended. A good answer, complete, needs no look at Envoy's flags.
    fn ending<H: Host>(&self, cx: &Context<'_, H>, facts: &AnswerFacts) -> Ending {
        let host = cx.host;
        if self.is_tunnel() {
            return Ending::Success;
        }
        let plain = self.complete && self.attempts.is_some() && self.status.is_some_and(|status| status < 400);
        let flags = Flags(if plain { 0 } else { host.number(Property::ResponseFlags).unwrap_or(0) });
        let broke_off = !self.complete && self.status.is_some_and(|status| status < 300);
        let details = broke_off.then(|| host.property(Property::CodeDetails)).flatten();
        let details = details.map_or(Details::Other, |details| Details::from_bytes(&details));
        let sent = self.attempts.is_some();
        let (status, complete, passed, asked) = (self.status, self.complete, self.passed, self.route.asked);
        let facts_of = &self.route.facts;
        // A path that nobody knows, at a backend that is there for other things: its 404 is the client's mistake.
        let is_foreign = || cx.router.backend(self.backend).is_some_and(|backend| !backend.apis.has(Api::Other));
        let purpose = if facts_of.api == Api::Other && is_foreign() { Purpose::Other } else { facts_of.purpose };
        Evidence { status, complete, passed, sent, asked, flags, details, purpose, facts }.ending()
    }

    /// What it says of the backend. Only what a backend is there for is evidence of how it does that: a list of models or
    /// a preflight may be answered by something in front of it.
    const fn verdict(&self, ending: Ending) -> Verdict {
        match self.route.facts.purpose {
            Purpose::Inference | Purpose::Other => verdict(ending),
            Purpose::Free => Verdict::Unknown,
        }
    }

    /// Whether the backend granted what the client asked for instead of an answer: an upgrade, or a tunnel. From there on
    /// either side may end it, in whatever way, and how long it lasts says nothing.
    const fn is_tunnel(&self) -> bool {
        self.attempts.is_some() && self.route.tunnel.is_granted(self.status)
    }
}
