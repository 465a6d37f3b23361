//! From what the client sent to where it goes.

use super::decision::{Decision, Trace};
use super::intake::{ATTEMPT_COUNT, ESTIMATED_TOKENS, Encoding, Intake};
use super::purse::Customer;
use super::router::Route;
use super::{Context, Refusal};
use crate::domain::{RequestFacts, Tokens};
use crate::host::Host;
use crate::metrics::Method;
use crate::protocol::{self, InflateError, Unreadable};
use crate::routing::Ask;
use crate::tokens;

/// The header of each attempt's cluster, for the matcher route.
const SLOTS: [&str; 4] = ["x-llm-try-0", "x-llm-try-1", "x-llm-try-2", "x-llm-try-3"];

/// Reads the body, decides, and writes the headers by which Envoy routes.
pub(super) fn decide<H: Host>(
    cx: &mut Context<'_, H>,
    intake: Intake,
    body: Option<Vec<u8>>,
) -> Result<Route, Refusal> {
    let whole = body.is_some() || intake.ended;
    let Read { facts, text, understood, .. } = read(&intake, body, cx.router.config().body_limit_bytes)?;
    let now = cx.host.now();
    let strategy = intake.wishes.strategy.unwrap_or(cx.router.strategy());
    let ask = Ask {
        facts: &facts,
        text,
        strategy,
        min_quality: intake.wishes.min_quality,
        panic_threshold: cx.router.config().panic_threshold,
        means: &[],
    };
    let tenant = cx.router.config().cost.tenant(intake.tenant.as_deref());
    let customer = Customer { tenant, pays: intake.method == Method::Post };
    let (id, is_noted) = (cx.view.journal().number(), cx.view.journal().has_room());
    let mut trace = Trace { id, request_id: intake.request_id, is_noted, explanation: None };
    let mut found = (is_noted || intake.wishes.explain).then(Vec::new);
    let decided = cx.decide(&ask, customer, now, found.as_mut());
    if let Some(findings) = found {
        let attempts = decided.as_ref().ok().map(|(attempts, ..)| attempts);
        let decision = Decision::new(&trace, now, &ask, attempts, findings);
        if is_noted {
            cx.view.journal().note(id, decision.encode());
        }
        trace.explanation = intake.wishes.explain.then(|| Box::new(decision));
    }
    let (attempts, held, reservation) = match decided {
        Ok(decided) => decided,
        Err(refusal) => return Err(cx.report_refusal(trace, strategy, refusal)),
    };
    let route = Route {
        trace,
        strategy,
        departed_after: cx.ended(&attempts),
        attempts,
        text,
        understood,
        asked: whole,
        whole,
        departed: now,
        held,
        customer,
        reservation: reservation.map(Box::new),
        method: intake.method,
        facts,
    };
    write_headers(cx, &route);
    Ok(route)
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

/// What the body says, and the estimate of its text. What cannot be understood counts by its size.
pub(super) fn read(intake: &Intake, body: Option<Vec<u8>>, limit: usize) -> Result<Read, Refusal> {
    let by_size = |bytes: u64| Read {
        facts: RequestFacts { api: intake.api, ..RequestFacts::default() },
        text: tokens::by_size(bytes),
        understood: false,
        fault: None,
    };
    let Some(mut body) = body else {
        return Ok(by_size(intake.announced_bytes()));
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
        Ok(facts) => Ok(Read { facts, text: counter.tokens(), understood: true, fault: None }),
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
    if cx.router.config().retry.max_attempts < 2 {
        return;
    }
    for (slot, &backend) in SLOTS.iter().zip(route.attempts.as_slice()) {
        cx.host.add_request_header(slot, cluster(backend));
    }
    cx.host.add_request_header(ATTEMPT_COUNT, b"0");
}
