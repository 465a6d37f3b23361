//! From what the client sent to where it goes.

use super::decision::{Decision, Finding, Trace};
use super::intake::{ATTEMPT_COUNT, ATTEMPT_TIMEOUT, ESTIMATED_TOKENS, Encoding, Intake, Tunnel, Wishes};
use super::purse::Customer;
use super::refusal::form_of;
use super::router::Route;
use super::{Context, Refusal, Router};
use crate::domain::{Api, PerMille, Purpose, RequestFacts, Timestamp, Tokens, Vendor};
use crate::host::Host;
use crate::metrics::Method;
use crate::protocol::{self, InflateError, Unreadable};
use crate::routing::{Ask, Attempts, Peers};
use crate::state::{Backends, Lane};
use crate::tokens;

/// The header of each attempt's cluster, for the matcher route.
const SLOTS: [&str; 4] = ["x-llm-try-0", "x-llm-try-1", "x-llm-try-2", "x-llm-try-3"];

/// Reads the body, decides, and writes the headers by which Envoy routes.
pub(super) fn decide<H: Host>(cx: &mut Context<'_, H>, intake: Intake, body: Option<Vec<u8>>) -> Decided {
    let (whole, uploads, sent) = (intake.ended, !intake.ended && intake.tunnel == Tunnel::None, intake.held as u64);
    let read = match read(&intake, body, cx.router.config().body_limit_bytes) {
        Ok(read) => read,
        Err(refusal) => return Decided::Refused(refusal.in_form_of(form_of(intake.api, intake.vendor))),
    };
    let Read { facts, text, understood, .. } = read;
    let Intake { request_id, vendor, wishes, method, tenant, tunnel, .. } = intake;
    let petition =
        Petition { request_id, facts, vendor, text, understood, whole, uploads, sent, wishes, method, tenant, tunnel };
    let now = cx.host.now();
    let reserved = cx.reserved(now);
    petition.decide(cx, reserved, false, now)
}

/// What was decided of a request.
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
    /// Whose form of its API it has.
    pub(super) vendor: Vendor,
    /// The estimate of its text.
    pub(super) text: Tokens,
    /// Whether that comes from the text rather than from its size.
    pub(super) understood: bool,
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
            need: router.need(self.facts.api, self.vendor),
            text: self.text,
            strategy: self.wishes.strategy.unwrap_or(router.strategy()),
            min_quality: self.wishes.min_quality,
            panic_threshold: router.config().panic_threshold,
            means: &[],
            // What takes no place need not leave it to those who wait for one.
            reserved: if self.facts.purpose == Purpose::Free { Backends::NONE } else { reserved },
            peers: Peers::NONE,
            exploration: router.config().exploration,
        }
    }

    /// The API in the form of whose errors it is refused.
    const fn refused_as(&self) -> Api {
        form_of(self.facts.api, self.vendor)
    }

    /// Who pays for it.
    pub(super) fn customer(&self, router: &Router) -> Customer {
        let tenant = router.config().cost.tenant(self.tenant.as_deref());
        let purpose = self.facts.purpose;
        Customer { tenant, free: purpose == Purpose::Free, pays: purpose == Purpose::Inference }
    }

    /// Whose turn it takes where it waits.
    pub(super) fn lane(&self) -> Lane {
        Lane::of(self.tenant.as_deref())
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
        let mut found = (cx.view.journal().has_room() || self.wishes.explain).then(Vec::new);
        let customer = self.customer(cx.router);
        let decided = cx.decide(&ask, customer, now, found.as_mut());
        if decided.is_err() && (waits || cx.may_wait(&self, now)) {
            return Decided::Waits(Self { request_id, ..self });
        }
        let attempts = decided.as_ref().ok().map(|(attempts, ..)| attempts);
        let trace = cx.trace((request_id, self.wishes.explain), &ask, attempts, found, now);
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
            text: self.text,
            understood: self.understood,
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
        let trace = cx.trace((request_id, self.wishes.explain), &ask, None, found, now);
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
        (request_id, explains): (Vec<u8>, bool),
        ask: &Ask<'_>,
        attempts: Option<&Attempts>,
        found: Option<Vec<Finding>>,
        now: Timestamp,
    ) -> Trace {
        let journal = self.view.journal();
        let (id, is_noted) = (journal.number(), journal.takes_one());
        let mut trace = Trace { id, request_id, is_noted, explanation: None };
        if let Some(findings) = found {
            let decision = Decision::new(&trace, now, ask, attempts, findings);
            if is_noted {
                self.view.journal().note(id, decision.encode());
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
    /// Whether that comes from the text rather than from its size.
    pub(super) understood: bool,
    /// Why it could not be read, where that was tried.
    pub(super) fault: Option<Unreadable>,
}

/// The most tokens that a guess is worth: of a body that is not all there, since its client may announce what it never
/// sends, and of one that is no prompt, such as a file. What such a request has taken is known at its end.
pub(super) const GUESS: Tokens = Tokens(16_384);

/// What the body says, and the estimate of its text. What cannot be understood counts by its size.
pub(super) fn read(intake: &Intake, body: Option<Vec<u8>>, limit: usize) -> Result<Read, Refusal> {
    let is_guess = !intake.ended || intake.purpose != Purpose::Inference;
    let by_size = |bytes: u64| {
        let text = tokens::by_size(bytes);
        Read {
            facts: RequestFacts { api: intake.api, purpose: intake.purpose, ..RequestFacts::default() },
            text: if is_guess { text.min(GUESS) } else { text },
            understood: false,
            fault: None,
        }
    };
    let Some(mut body) = body else {
        return Ok(by_size(intake.bytes()));
    };
    match intake.encoding {
        Encoding::Identity => {}
        Encoding::Unknown => return Ok(by_size(body.len() as u64)),
        Encoding::Compressed => {
            body = protocol::inflate(&body, limit).map_err(|error| match error {
                InflateError::TooLarge(_) => Refusal::too_large(limit),
                error => Refusal::invalid(&error),
            })?;
        }
    }
    let mut counter = tokens::Counter::default();
    match protocol::read_request(intake.api, &intake.path, &body, &mut counter) {
        Ok(facts) => Ok(Read {
            facts: RequestFacts { purpose: intake.purpose, ..facts },
            text: counter.tokens(),
            understood: true,
            fault: None,
        }),
        Err(fault) => Ok(Read { fault: Some(fault), ..by_size(body.len() as u64) }),
    }
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
