//! What operators change of the routing: the strategy, the backends, their weights.
//!
//! A change is written for all workers, this one among them: it takes it as the others do, as soon as the call is
//! answered.

use super::api::{UNWRITTEN, log_change};
use super::json::{Object, Thousandths, object};
use super::{Reply, show};
use crate::config::commands;
use crate::domain::{Timestamp, Weight};
use crate::exchange::Context;
use crate::host::{Host, Property};
use crate::steering::{Change, Refused};

/// Ids that an Envoy may come to know in its lifetime: each leaves a record, and names of metrics.
const MOST_IDS: usize = 1_024;

/// How any of it ends at the latest.
const RESTART: &str = ", or Envoy restarts";

/// `PUT /strategy`.
pub(super) fn choose<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Reply {
    let strategy = match commands::strategy(body) {
        Ok(strategy) => strategy,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let before = cx.router.strategy();
    if let Err(reply) = change(cx, Change::Strategy(strategy)) {
        return reply;
    }
    log_change(cx, "strategy", ("strategy", strategy.name()), None);
    answer("strategy_change", now, |o| {
        o.set("previous_strategy", before.name()).set("new_strategy", strategy.name());
        o.object("active_connections", |o| {
            for (_, backend, place) in cx.router.places() {
                o.set(&backend.id, cx.view.record(place).in_flight());
            }
        });
        o.set("strategy_applied", true);
        o.set("outlives_configuration", strategy != cx.router.config().strategy);
        format!("until a configuration changes strategy, another one is chosen here{RESTART}")
    })
}

/// `PUT /backends/{id}`.
pub(super) fn set<H: Host>(cx: &mut Context<'_, H>, id: &str, body: &[u8], now: Timestamp) -> Reply {
    let backend = match commands::backend(id, body) {
        Ok(backend) => backend,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    if !cx.view.knows(id) && cx.view.known() >= MOST_IDS {
        return Reply::conflict("too many ids were registered since Envoy started; use one of them again");
    }
    // It was read as JSON, so that it is text.
    let body = String::from_utf8_lossy(body);
    let was_there = show::place_of(cx.router, id).is_some();
    if let Err(reply) = change(cx, Change::Set { backend: &backend, body: &body }) {
        return reply;
    }
    log_change(cx, if was_there { "backend_change" } else { "backend_register" }, ("backend", id), None);
    let configured = cx.router.steering().configured_backend(id);
    let is_as_configured = configured == Some(&backend);
    answer("backend_change", now, |o| {
        o.set("backend", id).set("action", if was_there { "changed" } else { "registered" });
        o.set("outlives_configuration", !is_as_configured);
        let verb = if configured.is_some() { "changes" } else { "has" };
        format!("until a configuration {verb} backend_instances.{id}, it is changed or removed here{RESTART}")
    })
}

/// `DELETE /backends/{id}`.
pub(super) fn remove<H: Host>(cx: &mut Context<'_, H>, id: &str, now: Timestamp) -> Reply {
    if let Err(reply) = change(cx, Change::Remove(id)) {
        return reply;
    }
    log_change(cx, "backend_remove", ("backend", id), None);
    let verb = if cx.router.steering().configured_backend(id).is_some() { "changes" } else { "has" };
    answer("backend_change", now, |o| {
        o.set("backend", id).set("action", "removed").set("in_flight", in_flight(cx, id));
        o.set("outlives_configuration", true);
        format!("until a configuration {verb} backend_instances.{id}, it is registered here{RESTART}")
    })
}

/// `POST /backends/{id}/drain`.
pub(super) fn drain<H: Host>(cx: &mut Context<'_, H>, id: &str, body: &[u8], now: Timestamp) -> Reply {
    let reason = match commands::reason(body) {
        Ok(reason) => reason.unwrap_or_default(),
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let by = cx.host.property(Property::SourceAddress).unwrap_or_default();
    let by = String::from_utf8_lossy(&by);
    if let Err(reply) = change(cx, Change::Drain { id, reason: &reason, by: &by, now }) {
        return reply;
    }
    log_change(cx, "drain", ("backend", id), (!reason.is_empty()).then(|| reason.clone()));
    answer("drain_change", now, |o| {
        o.set("backend", id).set("draining", true).set("reason", &*reason).set("in_flight", in_flight(cx, id));
        o.set("outlives_configuration", true);
        format!("until it is undrained, no configuration has it any more{RESTART}")
    })
}

/// `POST /backends/{id}/undrain`.
pub(super) fn undrain<H: Host>(cx: &mut Context<'_, H>, id: &str, now: Timestamp) -> Reply {
    let was_draining = cx.router.steering().drain(id).is_some();
    if let Err(reply) = change(cx, Change::Undrain(id)) {
        return reply;
    }
    log_change(cx, "undrain", ("backend", id), None);
    answer("drain_change", now, |o| {
        o.set("backend", id).set("draining", false).set("was_draining", was_draining);
        o.set("outlives_configuration", true);
        "until it is drained again".to_owned()
    })
}

/// `PUT /weights`.
pub(super) fn weigh<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Reply {
    let weights = match commands::weights(body) {
        Ok(weights) => weights,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    if let Err(reply) = change(cx, Change::Weigh(&weights)) {
        return reply;
    }
    let told: Vec<_> = weights.iter().map(|(id, weight)| format!("{id} {}", weight.thousandths())).collect();
    log_change(cx, "weights", ("thousandths", &told.join(",")), None);
    answer("weights_change", now, |o| {
        let of = |id: &str| weights.iter().find(|(other, _)| **other == *id).map(|(_, weight)| *weight);
        o.list("weights", cx.router.places(), |o, (_, backend, _)| {
            let thousandths = |weight: Weight| Thousandths(weight.thousandths().into());
            o.set("id", &*backend.id).set("previous_weight", thousandths(backend.weight));
            o.set("weight", thousandths(of(&backend.id).unwrap_or(backend.weight)));
        });
        o.set("outlives_configuration", true);
        format!(
            "each until a configuration changes backend_instances.<id>.weight, it or its backend is changed here{RESTART}"
        )
    })
}

/// The fields that `write` adds, and until when they hold, which it returns.
fn answer(name: &str, now: Timestamp, write: impl FnOnce(&mut Object<'_>) -> String) -> Reply {
    Reply::ok(object(|o| {
        o.object(name, |o| {
            o.set("change_timestamp", now);
            let holds = write(o);
            o.set("holds_until", &*holds);
        });
    }))
}

fn in_flight<H: Host>(cx: &Context<'_, H>, id: &str) -> Option<u32> {
    show::place_of(cx.router, id).map(|place| cx.view.record(place).in_flight())
}

/// Changes something, or says why not.
fn change<H: Host>(cx: &Context<'_, H>, change: Change<'_>) -> Result<(), Reply> {
    let changed = cx.router.steering().change(cx.host, change).map_err(|_| Reply::unavailable(UNWRITTEN))?;
    changed.map_err(|refused| match refused {
        Refused::Unknown => Reply::not_found("there is no such backend"),
        Refused::AdminCluster => Reply::invalid("cluster: is Envoy's admin interface: requests must never reach that"),
        Refused::TooMany => Reply::conflict("there are as many backends as there may be"),
        Refused::TooMuch => Reply::conflict("all that was changed takes more room than there is for it"),
        Refused::Last => Reply::conflict("it is the last backend"),
        Refused::UnknownIds(ids) => {
            let problems: Vec<_> = ids.iter().map(|id| format!("{id}: there is no such backend")).collect();
            Reply::invalid(&problems.join("; "))
        }
    })
}
