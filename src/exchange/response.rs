//! From the answer's headers to the end: observe, and learn.

mod waits;

use std::time::Duration;

use super::Context;
use super::attempt::{UNASKED, USAGE};
use super::ending::{Details, Evidence, Flags, is_server_fault, verdict};
use super::intake::{ESTIMATED_TOKENS, EXPLAIN, Encoding, is_own};
use super::purse::Due;
use super::router::{Held, Route};
use crate::domain::{
    Api, BackendIndex, Ending, Failure, FallbackAnswers, Purpose, QuotaReport, Timestamp, Tokens, Usage,
};
use crate::health::Verdict;
use crate::host::{Host, Property};
use crate::learning::Length;
use crate::metrics::{Method, Metric, Status, TokenKind};
use crate::protocol::{AnswerFacts, InBandError, Observer, QuotaHeaders};
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
        let unknown = api == Api::Other || route.method != Method::Post || bodiless || self.encoded;
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
        let ending = self.ending_of_a_try();
        let verdict = self.verdict(ending);
        if verdict.is_ill() {
            cx.host.record(Metric::BreakerFailures(index), 1);
        }
        let mut outcome = Outcome::new(backend, held.map(|held| held.pass), verdict, now);
        outcome.source = cx.source(index, self.route.tenant.as_deref(), verdict, now);
        outcome.failed_after = self.failed_after(ending, now);
        // Its answer, if there was one, is lost: it may have used some of a quota.
        outcome.unreported = Some(held.map_or(self.route.text, |held| held.tokens));
        cx.learn(index, held, &outcome);
    }

    /// How an attempt ended that Envoy tried again elsewhere: it says that it failed, not why. So the one that ended it
    /// all speaks for those before it: refused for a quota, or at odds with the request, they were most likely, too.
    const fn ending_of_a_try(&self) -> Ending {
        match self.status {
            Some(429) => Ending::RateLimited,
            Some(status) if status >= 500 && !is_server_fault(status) => Ending::ClientError,
            _ if !self.route.asked => Ending::ClientAbort,
            _ => Ending::Failed(Failure::Retried),
        }
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

    /// What the answer said. A sentence that stands in for one is an error, unless the backend's operator takes it for good.
    fn facts<H: Host>(&mut self, cx: &Context<'_, H>) -> AnswerFacts {
        let mut facts = self.observer.finish(self.complete);
        let backend = cx.router.backend(self.backend);
        if facts.fallback && backend.is_some_and(|backend| backend.fallback_answers == FallbackAnswers::Fail) {
            facts.in_band_error.get_or_insert(InBandError::FALLBACK);
        }
        facts
    }

    /// An error inside that is a quota's, or an overload, is one as if it had come in time to be the status.
    fn notice_inside<H: Host>(&mut self, cx: &mut Context<'_, H>, facts: &AnswerFacts) {
        let signal = match facts.in_band_error {
            Some(InBandError { status: 429 }) => Signal::Refused,
            Some(InBandError { status: 529 }) => Signal::SlowDown,
            _ => return,
        };
        cx.notice(self.backend, self.held.as_mut(), &self.route, QuotaReport::default(), signal);
    }

    /// How it ended. A good answer, complete, needs no look at Envoy's flags.
    fn ending<H: Host>(&self, host: &H, facts: &AnswerFacts) -> Ending {
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
        let purpose = self.route.facts.purpose;
        Evidence { status, complete, passed, sent, asked, flags, details, purpose, facts }.ending()
    }

    fn learn<H: Host>(&mut self, cx: &mut Context<'_, H>, ending: Ending, facts: &AnswerFacts, now: Timestamp) {
        let Some(backend) = cx.router.backend(self.backend) else { return };
        let held = self.held.take();
        let mut outcome = Outcome::new(backend, held.map(|held| held.pass), self.verdict(ending), now);
        outcome.answered = (ending == Ending::Success).then_some(self.route.departed);
        outcome.unreported = held.filter(|held| !held.reported && ending != Ending::NotSent).map(|held| held.tokens);
        outcome.at_capacity = held.filter(|_| ending == Ending::Success).and_then(|held| cx.at_capacity(&held, now));
        let facts_of = &self.route.facts;
        let answered = ending == Ending::Success && facts_of.purpose != Purpose::Free && !self.is_tunnel();
        // Of an API that is not known, what looks like usage may be anything.
        let counts_tokens = answered && facts_of.api != Api::Other;
        // How long the attempts before this one took is not known, so its own time is not either.
        if answered && self.attempts == Some(1) {
            outcome.response_time = Some(now.since(self.route.departed));
            outcome.first_token = self.first_token.map(|at| at.since(self.route.departed));
            let (wait, slow) = self.wait(cx, Some(facts), ending).unzip();
            outcome.wait = wait.flatten().zip(slow);
            if slow == Some(true) {
                outcome.verdict = Verdict::Slow;
            }
        }
        outcome.failed_after = self.failed_after(ending, now);
        outcome.source = cx.source(self.backend, self.route.tenant.as_deref(), outcome.verdict, now);
        outcome.unusable = self.unusable(cx, &outcome);
        // A file that it gives out says nothing of whether it can answer a question; only where files are all there is.
        let is_purpose = facts_of.purpose == Purpose::Inference || facts_of.api == Api::Other;
        outcome.serves = is_purpose && matches!(outcome.verdict, Verdict::Well | Verdict::Slow);
        if let Some(Usage { input, .. }) = facts.usage.filter(|_| counts_tokens) {
            let reported = Tokens(input.0.saturating_sub(facts_of.exact_tokens.0));
            outcome.prompt = self.route.understood.then_some(Counted { estimated: self.estimated(), reported });
        }
        let is_told = facts_of.purpose == Purpose::Inference || facts.usage.is_some();
        let has_length = counts_tokens && is_told && facts_of.api != Api::Embeddings;
        if let Some(output) = self.length(facts).filter(|_| has_length) {
            outcome.length = Some(Length::new(facts_of, self.route.text, output, facts.usage.as_ref()));
        }
        if let Some((counted, place)) = outcome.prompt.zip(cx.router.place(self.backend)) {
            cx.view.auditor().count(place, self.route.facts.model.take(), counted);
        }
        cx.learn(self.backend, held, &outcome);
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

    /// Tokens of the answer: as reported, or, as in a bill, as seen.
    fn length(&self, facts: &AnswerFacts) -> Option<Tokens> {
        let streamed = |bytes| tokens::by_size(bytes).max(Tokens(facts.content_events));
        let seen = || facts.content_bytes.map_or(tokens::by_size(self.passed), streamed);
        let length = facts.usage.map_or_else(seen, |usage| usage.output);
        (facts.usage.is_some() || (self.route.customer.pays && length.0 > 0)).then_some(length)
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
