//! From what the client sent to where it goes.

use super::decision::{Decision, Finding, Trace};
use super::intake::{ATTEMPT_COUNT, ATTEMPT_TIMEOUT, ESTIMATED_TOKENS, Encoding, Intake, Tunnel, Wishes};
use super::purse::Customer;
use super::refusal::form_of;
use super::router::Route;
use super::{Context, Refusal, Router};
use crate::config::{Config, OnUnreadable};
use crate::domain::{Api, PerMille, Purpose, RequestFacts, Timestamp, Tokens, Vendor};
use crate::host::{Host, Property};
use crate::metrics::Method;
use crate::protocol::{self, InflateError, Measure, Unreadable};
use crate::routing::{Ask, Attempts, Peers};
use crate::state::{Backends, Lane};
use crate::tokens;

/// The header of each attempt's cluster, for the matcher route.
const SLOTS: [&str; 4] = ["x-llm-try-0", "x-llm-try-1", "x-llm-try-2", "x-llm-try-3"];

/// Reads the body, decides, and writes the headers by which Envoy routes.
pub(super) fn decide<H: Host>(cx: &mut Context<'_, H>, intake: Intake, body: Option<Vec<u8>>) -> Decided {
    let (whole, uploads, sent) = (intake.ended, !intake.ended && intake.tunnel == Tunnel::None, intake.held as u64);
    let read = match read(&intake, body, cx.router.config()) {
        Ok(read) => read,
        Err(refusal) => return Decided::Refused(refusal.in_form_of(form_of(intake.api, intake.vendor))),
    };
    if let Some(why) = read.unread.as_ref().filter(|_| refuses(&intake, cx.router.config())) {
        return Decided::Refused(Refusal::unreadable(why).in_form_of(form_of(intake.api, intake.vendor)));
    }
    let Read { facts, text, unread } = read;
    let measure = intake.measure();
    let Intake { api, request_id, vendor, wishes, method, tenant, tunnel, .. } = intake;
    let petition = Petition {
        request_id,
        facts,
        api,
        vendor,
        text,
        understood: unread.is_none(),
        measure,
        whole,
        uploads,
        sent,
        wishes,
        method,
        tenant,
        tunnel,
    };
    let now = cx.host.now();
    let reserved = cx.reserved(now);
    petition.decide(cx, reserved, false, now)
}

/// What was decided of a request.
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and a box would cost each request an allocation"
)]
pub(super) enum Decided {
    /// It is on its way.
    Routed(Route),
    /// There is no place for it yet.
    Waits(Petition),
    /// Nobody may serve it.
    Refused(Refusal),
}

/// What a decision is made on.
#[derive(Debug)]
pub(super) struct Petition {
    pub(super) request_id: Vec<u8>,
    pub(super) facts: RequestFacts,
    /// The API that its path names, by which it is routed: its body may be of another.
    pub(super) api: Api,
    /// Whose form of its API it has.
    pub(super) vendor: Vendor,
    /// The estimate of its text.
    pub(super) text: Tokens,
    /// Whether its body was read, rather than measured.
    pub(super) understood: bool,
    /// By what it is measured if not.
    pub(super) measure: Measure,
    /// Whether the client has sent all of it.
    pub(super) whole: bool,
    /// Whether the rest of its body is still to come.
    pub(super) uploads: bool,
    /// How much of its body is there, in bytes.
    pub(super) sent: u64,
    pub(super) wishes: Wishes,
    pub(super) method: Method,
    /// Who pays for it, by name; none unless the operator lets that be said.
    pub(super) tenant: Option<Vec<u8>>,
    pub(super) tunnel: Tunnel,
}

impl Petition {
    /// What it asks for now: operators may have chosen another strategy meanwhile.
    pub(super) fn ask(&self, router: &Router, reserved: Backends) -> Ask<'_> {
        Ask {
            facts: &self.facts,
            need: router.need(self.api, self.vendor),
            text: self.text,
            strategy: self.wishes.strategy.unwrap_or(router.strategy()),
            min_quality: self.wishes.min_quality,
            panic_threshold: router.config().panic_threshold,
            means: &[],
            // What takes no place need not leave it to those who wait for one.
            reserved: if self.facts.purpose == Purpose::Free { Backends::NONE } else { reserved },
            peers: Peers::NONE,
            exploration: router.config().exploration,
            source: None,
        }
    }

    /// The API in the form of whose errors it is refused.
    const fn refused_as(&self) -> Api {
        form_of(self.api, self.vendor)
    }

    /// Who pays for it.
    pub(super) fn customer(&self, router: &Router) -> Customer {
        let tenant = router.config().cost.tenant(self.tenant.as_deref());
        let purpose = self.facts.purpose;
        Customer { tenant, free: purpose == Purpose::Free, pays: purpose == Purpose::Inference }
    }

    /// Whose turn it takes where it waits: its tenant's, else its client's.
    pub(super) fn lane(&self, host: &impl Host) -> Lane {
        let by_address = || host.property(Property::SourceAddress).map(|address| Lane::of_address(&address));
        self.tenant.as_deref().map(|tenant| Lane::of(Some(tenant))).or_else(by_address).unwrap_or_default()
    }

    /// Decides, and if it can be served sends it there. If it waits already, or may, that is neither noted nor told of,
    /// and takes nobody's room in the journal: what becomes of it in the end is.
    pub(super) fn decide<H: Host>(
        mut self,
        cx: &mut Context<'_, H>,
        reserved: Backends,
        waits: bool,
        now: Timestamp,
    ) -> Decided {
        let request_id = std::mem::take(&mut self.request_id);
        let mut ask = self.ask(cx.router, reserved);
        if waits {
            // It has waited long enough to go where it is served best.
            ask.exploration = PerMille::new(0);
        }
        ask.source = cx.prober(self.tenant.as_deref(), now);
        let mut found = (cx.view.journal().has_room() || self.wishes.explain).then(Vec::new);
        let customer = self.customer(cx.router);
        let decided = cx.decide(&ask, customer, now, found.as_mut());
        if decided.is_err() && (waits || cx.may_wait(&self, now)) {
            return Decided::Waits(Self { request_id, ..self });
        }
        let attempts = decided.as_ref().ok().map(|(attempts, ..)| attempts);
        // Shown in a header and in what is noted; else nobody asks.
        let is_shown = found.is_some() || cx.router.config().response_headers;
        let sure = attempts.filter(|_| is_shown).map(|attempts| cx.confidence(attempts, ask.strategy, now));
        let confidence = sure.unwrap_or_default();
        let chosen = (attempts, confidence);
        let asks = (request_id, self.wishes.explain, self.tenant.as_deref());
        let trace = cx.trace(asks, &ask, chosen, found, now);
        let (api, strategy) = (self.refused_as(), ask.strategy);
        let (attempts, held, reservation) = match decided {
            Ok(decided) => decided,
            Err(refusal) => return Decided::Refused(cx.report_refusal(trace, (api, strategy), refusal)),
        };
        let upload = self.uploads.then(|| cx.begin_upload(held.as_ref(), reservation, now));
        let route = Route {
            upload,
            trace,
            strategy,
            departed_after: cx.ended(&attempts),
            timeout: cx.router.timeout(&attempts),
            attempts,
            confidence,
            text: self.text,
            understood: self.understood,
            measure: self.measure,
            // Who wants a tunnel says no more until it is granted.
            asked: self.whole || self.tunnel != Tunnel::None,
            whole: self.whole,
            sent: self.sent,
            tunnel: self.tunnel,
            departed: now,
            held,
            customer,
            tenant: self.tenant,
            reservation: reservation.map(Box::new),
            method: self.method,
            facts: self.facts,
        };
        write_headers(cx, &route);
        Decided::Routed(route)
    }

    /// Tells whoever wants to know that it is refused.
    pub(super) fn refuse<H: Host>(mut self, cx: &mut Context<'_, H>, refusal: Refusal) -> Refusal {
        let now = cx.host.now();
        let request_id = std::mem::take(&mut self.request_id);
        let ask = self.ask(cx.router, cx.reserved(now));
        let listens = cx.view.journal().has_room() || self.wishes.explain;
        let found = listens.then(|| cx.findings(&ask, self.customer(cx.router), now));
        let asks = (request_id, self.wishes.explain, self.tenant.as_deref());
        let trace = cx.trace(asks, &ask, (None, PerMille::default()), found, now);
        let told = (self.refused_as(), ask.strategy);
        cx.host.record(refusal.metric(), 1);
        cx.report_refusal(trace, told, refusal)
    }
}

impl<H: Host> Context<'_, H> {
    /// By what a decision is found again. It is taken down in the journal if there is room, and kept for the client if
    /// it asked; in both cases somebody `found` what it was made on.
    #[inline(never)]
    fn trace(
        &mut self,
        (request_id, explains, tenant): (Vec<u8>, bool, Option<&[u8]>),
        ask: &Ask<'_>,
        (attempts, confidence): (Option<&Attempts>, PerMille),
        found: Option<Vec<Finding>>,
        now: Timestamp,
    ) -> Trace {
        let journal = self.view.journal();
        let (id, is_noted) = (journal.number(), journal.takes_one());
        let mut trace = Trace { id, request_id, is_noted, explanation: None };
        if let Some(findings) = found {
            let decision = Decision::new(&trace, now, ask, attempts, confidence, findings);
            if is_noted {
                let source = self.client(tenant);
                self.view.journal().note(id, source, decision.encode());
            }
            trace.explanation = explains.then(|| Box::new(decision));
        }
        trace
    }
}

/// What was read in a body.
pub(super) struct Read {
    pub(super) facts: RequestFacts,
    /// The estimate of its text.
    pub(super) text: Tokens,
    /// Why it was not read, if it was not: then only its size counts.
    pub(super) unread: Option<Unread>,
}

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unread {
    /// There is none.
    #[error("there is no body")]
    Absent,
    /// It does not come in one piece that is no larger than what is read.
    #[error("its body is larger than {0} bytes, or a stream")]
    TooLong(usize),
    /// It is encoded in a way that is not read.
    #[error("its content-encoding is neither gzip nor deflate")]
    Encoding,
    /// It does not look like JSON.
    #[error("its body is not JSON")]
    NotJson,
    /// It is JSON without a prompt.
    #[error("its body has none of messages, prompt, input, contents and query")]
    NoPrompt,
    /// It should be of its API's form, and is not.
    #[error("{0}")]
    Fault(Unreadable),
}

/// What the body says, and the estimate of its text. What cannot be read counts by its size, as far as a guess may go:
/// what such a request has taken is known at its end.
pub(super) fn read(intake: &Intake, body: Option<Vec<u8>>, config: &Config) -> Result<Read, Refusal> {
    let Some(mut body) = body else {
        let limit = config.body_limit_bytes;
        let unread = match intake.encoding {
            _ if !intake.has_body() => Unread::Absent,
            _ if !intake.ended => Unread::TooLong(limit),
            Encoding::Unknown => Unread::Encoding,
            Encoding::Identity | Encoding::Compressed => Unread::NotJson,
        };
        return Ok(guessed(intake, intake.bytes(), unread, config));
    };
    let (limit, is_known) = (config.body_limit_bytes, protocol::is_read(intake.api));
    match intake.encoding {
        Encoding::Identity => {}
        Encoding::Unknown => return Ok(guessed(intake, body.len() as u64, Unread::Encoding, config)),
        Encoding::Compressed => match protocol::inflate(&body, limit) {
            Ok(inflated) => body = inflated,
            Err(InflateError::TooLarge(_)) if is_known => return Err(Refusal::too_large(limit)),
            Err(error) if is_known => return Err(Refusal::invalid(&error)),
            Err(_) => return Ok(guessed(intake, body.len() as u64, Unread::NotJson, config)),
        },
    }
    let mut counter = tokens::Counter::default();
    let read = if is_known {
        protocol::read_request(intake.api, &intake.path, &body, &mut counter)
            .map(|facts| RequestFacts { purpose: intake.purpose, ..facts })
            .map_err(Unread::Fault)
    } else {
        match protocol::read_unknown(&body, &mut counter) {
            Ok(Some(facts)) if protocol::asks_a_model(intake.api, &intake.path) => Ok(facts),
            // It is for something else: what that costs is reported or not.
            Ok(Some(facts)) => Ok(RequestFacts { api: intake.api, purpose: intake.purpose, ..facts }),
            Ok(None) => Err(Unread::NoPrompt),
            Err(_) => Err(Unread::NotJson),
        }
    };
    match read {
        Ok(mut facts) => {
            facts.guessed_tokens = facts.guessed_tokens.min(config.max_guessed_tokens);
            Ok(Read { facts, text: counter.tokens(), unread: None })
        }
        Err(unread) => Ok(guessed(intake, body.len() as u64, unread, config)),
    }
}

/// A body of so many bytes that is not read.
fn guessed(intake: &Intake, bytes: u64, unread: Unread, config: &Config) -> Read {
    let facts = RequestFacts {
        api: intake.api,
        purpose: intake.purpose,
        guessed_tokens: guess(intake.measure(), bytes).min(config.max_guessed_tokens),
        ..RequestFacts::default()
    };
    Read { facts, text: Tokens(0), unread: Some(unread) }
}

/// What a body of so many bytes is guessed to be worth.
pub(super) fn guess(measure: Measure, bytes: u64) -> Tokens {
    measure.tokens(bytes).unwrap_or_else(|| tokens::by_size(bytes))
}

/// Whether a request that could not be read is refused. What is no inference (a file, a list) has no prompt to read.
fn refuses(intake: &Intake, config: &Config) -> bool {
    config.unreadable == OnUnreadable::Refuse && intake.purpose == Purpose::Inference && intake.has_body()
}

/// Adds the headers that the route in use needs, and no more: each costs Envoy about a microsecond. What a client sent
/// by these names is gone already.
fn write_headers<H: Host>(cx: &Context<'_, H>, route: &Route) {
    let cluster = |index| cx.router.backend(index).map_or(&b""[..], |backend| backend.cluster.as_bytes());
    cx.host.add_request_header("x-llm-cluster", cluster(route.attempts.first()));
    if cx.router.config().forward_estimate {
        let tokens = cx.router.estimate(cx.view, route, route.attempts.first()).input;
        cx.host.add_request_header(ESTIMATED_TOKENS, tokens.0.to_string().as_bytes());
    }
    if let Some(timeout) = route.timeout {
        cx.host.add_request_header(ATTEMPT_TIMEOUT, timeout.as_millis().to_string().as_bytes());
    }
    if cx.router.config().retry.max_attempts < 2 {
        return;
    }
    for (slot, &backend) in SLOTS.iter().zip(route.attempts.as_slice()) {
        cx.host.add_request_header(slot, cluster(backend));
    }
    cx.host.add_request_header(ATTEMPT_COUNT, b"0");
}
