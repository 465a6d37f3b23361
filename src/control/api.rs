//! What each endpoint answers.

use super::call::{Call, Endpoint, Turn};
use super::json::{object, object_at};
use super::{Reply, alerts, analytics, budget, decisions, explain, rehearse, show, steer, traffic, version};
use crate::config::{LogLevel, commands};
use crate::domain::{Backend, BreakerSettings, Timestamp};
use crate::exchange::Context;
use crate::host::{Host, Property};
use crate::logging;
use crate::state::{Place, Record};

/// How long it takes at most until all workers do what was changed, unless the machine is busy: they look at each tick, of
/// 50 ms, which may be just over.
pub(super) const APPLIES_WITHIN_MS: u64 = 100;

const UNREAD: &str = "shared data could not be read";
pub(super) const UNWRITTEN: &str = "shared data could not be written; nothing was changed";

/// Answers a call that is allowed.
pub(super) fn answer<H: Host>(cx: &mut Context<'_, H>, call: &Call, body: Vec<u8>) -> Reply {
    let now = cx.host.now();
    match &call.endpoint {
        Endpoint::Dashboard => Reply::dashboard(call.coding()),
        Endpoint::Favicon => Reply::nothing(),
        Endpoint::Health => Reply::ok(show::health(cx.router, cx.view, cx.host, now)),
        Endpoint::Metrics => Reply::ok(traffic::metrics(cx, now)),
        Endpoint::Analytics => Reply::ok(analytics::analytics(cx, now)),
        Endpoint::Strategy => Reply::ok(show::strategy(cx.router)),
        Endpoint::SetStrategy => either(steer::choose(cx, &body, now)),
        Endpoint::Backends => Reply::ok(show::backends(cx.router, cx.view, now)),
        Endpoint::Budget => Reply::ok(budget::budget(cx.router, cx.view, cx.host, now)),
        Endpoint::Backend(id) => show::backend(cx.router, id),
        Endpoint::SetBackend(id) => either(steer::set(cx, id, &body, call.any_cluster, now)),
        Endpoint::PatchBackend(id) => either(steer::patch(cx, id, &body, call.any_cluster, now)),
        Endpoint::RemoveBackend(id) => either(steer::remove(cx, id, call.query(b"scope="), now)),
        Endpoint::Version => Reply::ok(version::version(cx.router, cx.view, cx.host)),
        Endpoint::Alive => Reply::ok(object(|o| _ = o.set("status", "alive"))),
        Endpoint::Drain { id, drains } => either(steer::drain(cx, id, *drains, &body, now)),
        Endpoint::Weights => either(steer::weigh(cx, &body, now)),
        Endpoint::Alerts => {
            alerts::alerts(cx.host, cx.view.calendar()).map_or_else(|_| Reply::unavailable(UNREAD), Reply::ok)
        }
        Endpoint::Explain => explain::explain(cx, call, body, now),
        Endpoint::Decisions => decisions::decisions(cx, call),
        Endpoint::Decision(id) => decisions::decision(cx, id),
        Endpoint::TestBreaker => rehearse::breaker(cx, &body, now),
        Endpoint::TestFailover => rehearse::failover(cx, &body, now),
        Endpoint::Breaker { id, turn } => turn_breaker(cx, id, *turn, &body, now),
    }
}

/// What is said of success is as good an answer as what is said of failure.
fn either(reply: Result<Reply, Reply>) -> Reply {
    reply.unwrap_or_else(|reply| reply)
}

/// Opens or closes a breaker by hand, for all workers.
fn turn_breaker<H: Host>(cx: &mut Context<'_, H>, id: &str, turn: Turn, body: &[u8], now: Timestamp) -> Reply {
    let reason = match commands::reason(body) {
        Ok(reason) => reason,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let Some((settings, place)) = breaker_of(cx, id) else {
        return Reply::not_found("there is no such backend");
    };
    let Some(settings) = settings else {
        return Reply::conflict("this backend's circuit breaker is switched off by its configuration");
    };
    let before = cx.view.record(place).breaker.phase;
    let change = |record: &mut Record| match turn {
        Turn::Open => record.breaker.open_by_hand(&settings, now),
        Turn::Close => record.breaker.close_by_hand(now),
    };
    if cx.view.change(cx.host, place, now, change).is_err() {
        return Reply::unavailable(UNWRITTEN);
    }
    cx.router.announce(cx.view, cx.host);
    let (action, holds) = match turn {
        Turn::Open => {
            ("circuit_breaker_open", "until retry_at; then requests try the backend, and close it if they are answered")
        }
        Turn::Close => ("circuit_breaker_close", "until failures open it again"),
    };
    log_change(cx, action, ("backend", id), reason);
    let breaker = &cx.view.record(place).breaker;
    Reply::ok(object_at(cx.view.calendar(), |o| {
        o.object("circuit_breaker_change", |o| {
            o.set("backend", id).set("previous_state", before.name()).set("new_state", breaker.phase.name());
            o.set("change_timestamp", now).set("retry_at", (turn == Turn::Open).then_some(breaker.retry_at));
            o.set("applies_within_ms", APPLIES_WITHIN_MS);
            o.set("holds_until", holds).set("outlives_configuration", true);
        });
    }))
}

fn breaker_of<H>(cx: &Context<'_, H>, id: &str) -> Option<(Option<BreakerSettings>, Place)> {
    let is_meant = |backend: &Backend| *backend.id == *id;
    let found = cx.router.places().find(|(_, backend, _)| is_meant(backend));
    found.map(|(_, backend, place)| (backend.breaker, place))
}

/// Says who changed what. A warning, so that it is there where little is logged.
#[inline(never)]
pub(super) fn log_change<H: Host>(
    cx: &Context<'_, H>,
    action: &str,
    (key, value): (&'static str, &str),
    reason: Option<String>,
) {
    let source = cx.host.property(Property::SourceAddress).unwrap_or_default();
    let mut fields = vec![
        ("event", "control".to_owned()),
        ("action", action.to_owned()),
        (key, value.to_owned()),
        ("from", String::from_utf8_lossy(&source).into_owned()),
    ];
    fields.extend(reason.map(|reason| ("reason", reason)));
    cx.host.log(LogLevel::Warn, &logging::line(cx.router.config().logging.format, &fields));
}
