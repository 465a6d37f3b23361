//! What each endpoint answers.

use super::call::{Call, Endpoint, Turn};
use super::json::object;
use super::{Reply, budget, explain, show};
use crate::config::{LogLevel, commands};
use crate::domain::{Backend, BreakerSettings, Timestamp};
use crate::exchange::Context;
use crate::host::{Host, Property};
use crate::logging;
use crate::state::{Place, Record};

const UNWRITTEN: &str = "shared data could not be written; nothing was changed";

/// Answers a call that is allowed.
pub(super) fn answer<H: Host>(cx: &mut Context<'_, H>, call: &Call, body: Vec<u8>) -> Reply {
    let now = cx.host.now();
    match &call.endpoint {
        Endpoint::Health => Reply::ok(show::health(cx.router, cx.view, now)),
        Endpoint::Metrics => Reply::ok(show::metrics(cx.router, cx.view, now)),
        Endpoint::Strategy => Reply::ok(show::strategy(cx.router)),
        Endpoint::SetStrategy => set_strategy(cx, &body, now),
        Endpoint::Backends => Reply::ok(show::backends(cx.router, cx.view, now)),
        Endpoint::Budget => Reply::ok(budget::budget(cx.router, cx.view, now)),
        Endpoint::Explain => explain::explain(cx, call, body, now),
        Endpoint::Breaker { id, turn } => turn_breaker(cx, id, *turn, &body, now),
    }
}

/// Chooses another strategy, for all workers.
fn set_strategy<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Reply {
    let strategy = match commands::strategy(body) {
        Ok(strategy) => strategy,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let before = cx.router.strategy();
    if cx.router.choose(cx.host, strategy).is_err() {
        return Reply::unavailable(UNWRITTEN);
    }
    log_change(cx, "strategy", ("strategy", strategy.name()), None);
    Reply::ok(object(|o| {
        o.object("strategy_change", |o| {
            o.set("previous_strategy", before.name()).set("new_strategy", strategy.name());
            o.set("change_timestamp", now);
            o.object("active_connections", |o| {
                for (_, backend, place) in cx.router.places() {
                    o.set(&backend.id, cx.view.record(place).in_flight());
                }
            });
            o.set("strategy_applied", true);
            o.set("holds", "until the configuration's own strategy changes or is chosen here, or Envoy restarts");
            o.set("outlives_configuration", strategy != cx.router.config().strategy);
        });
    }))
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
    Reply::ok(object(|o| {
        o.object("circuit_breaker_change", |o| {
            o.set("backend", id).set("previous_state", before.name()).set("new_state", breaker.phase.name());
            o.set("change_timestamp", now).set("retry_at", (turn == Turn::Open).then_some(breaker.retry_at));
            o.set("holds", holds).set("outlives_configuration", true);
        });
    }))
}

fn breaker_of<H>(cx: &Context<'_, H>, id: &str) -> Option<(Option<BreakerSettings>, Place)> {
    let is_meant = |backend: &Backend| *backend.id == *id;
    let found = cx.router.places().find(|(_, backend, _)| is_meant(backend));
    found.map(|(_, backend, place)| (backend.breaker, place))
}

/// Says who changed what. A warning, so that it is there where little is logged.
fn log_change<H: Host>(cx: &Context<'_, H>, action: &str, (key, value): (&'static str, &str), reason: Option<String>) {
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
