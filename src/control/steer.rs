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
use crate::steering::{Change, MOST_IDS, Refused};

/// `PUT /strategy`.
pub(super) fn choose<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Result<Reply, Reply> {
    let strategy = commands::strategy(body).map_err(|errors| Reply::invalid(&errors.listed()))?;
    let before = cx.router.strategy();
    change(cx, Change::Strategy(strategy), "strategy", ("strategy", strategy.name()), None)?;
    let outlives = strategy != cx.router.config().strategy;
    let holds = "until a configuration changes strategy, or another one is chosen here";
    Ok(answer("strategy_change", now, outlives, holds, &mut |o| {
        o.set("previous_strategy", before.name()).set("new_strategy", strategy.name());
        o.object("active_connections", |o| {
            for (_, backend, place) in cx.router.places() {
                o.set(&backend.id, cx.view.record(place).in_flight());
            }
        });
        o.set("strategy_applied", true);
    }))
}

/// `PUT /backends/{id}`.
pub(super) fn set<H: Host>(
    cx: &mut Context<'_, H>,
    id: &str,
    body: &[u8],
    any_cluster: bool,
    now: Timestamp,
) -> Result<Reply, Reply> {
    let backend = commands::backend(id, body).map_err(|errors| Reply::invalid(&errors.listed()))?;
    if !cx.view.knows(id) && cx.view.known() >= MOST_IDS {
        return Err(Reply::conflict("too many ids were registered since Envoy started; use one of them again"));
    }
    // It was read as JSON, so that it is text.
    let body = String::from_utf8_lossy(body);
    let (action, done) = match show::place_of(cx.router, id) {
        Some(_) => ("backend_change", "changed"),
        None => ("backend_register", "registered"),
    };
    change(cx, Change::Set { backend: &backend, body: &body, any_cluster }, action, ("backend", id), None)?;
    let outlives = cx.router.steering().configured_backend(id) != Some(&backend);
    Ok(backend_change(cx, id, done, outlives, now))
}

/// `DELETE /backends/{id}`.
pub(super) fn remove<H: Host>(cx: &mut Context<'_, H>, id: &str, now: Timestamp) -> Result<Reply, Reply> {
    change(cx, Change::Remove(id), "backend_remove", ("backend", id), None)?;
    Ok(backend_change(cx, id, "removed", true, now))
}

fn backend_change<H: Host>(cx: &Context<'_, H>, id: &str, done: &str, outlives: bool, now: Timestamp) -> Reply {
    let verb = if cx.router.steering().configured_backend(id).is_some() { "changes" } else { "has" };
    let holds = format!("until a configuration {verb} backend_instances.{id}, or it is registered or removed here");
    answer("backend_change", now, outlives, &holds, &mut |o| {
        o.set("backend", id).set("action", done).set("in_flight", in_flight(cx, id));
    })
}

/// `POST /backends/{id}/drain`, or `/undrain`.
pub(super) fn drain<H: Host>(
    cx: &mut Context<'_, H>,
    id: &str,
    drains: bool,
    body: &[u8],
    now: Timestamp,
) -> Result<Reply, Reply> {
    let reason = commands::reason(body).map_err(|errors| Reply::invalid(&errors.listed()))?;
    let by = cx.host.property(Property::SourceAddress).unwrap_or_default();
    let by = String::from_utf8_lossy(&by);
    let (wanted, action, holds) = if drains {
        let reason = reason.as_deref().unwrap_or_default();
        let holds = "until it is undrained, or no configuration has it any more";
        (Change::Drain { id, reason, by: &by, now }, "drain", holds)
    } else {
        (Change::Undrain(id), "undrain", "until it is drained again")
    };
    change(cx, wanted, action, ("backend", id), reason.clone())?;
    Ok(answer("drain_change", now, true, holds, &mut |o| {
        o.set("backend", id).set("draining", drains).set("reason", reason.as_deref());
        o.set("in_flight", in_flight(cx, id));
    }))
}

/// `PUT /weights`.
pub(super) fn weigh<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Result<Reply, Reply> {
    let weights = commands::weights(body).map_err(|errors| Reply::invalid(&errors.listed()))?;
    let told: Vec<_> = weights.iter().map(|(id, weight)| format!("{id} {}", weight.thousandths())).collect();
    change(cx, Change::Weigh(&weights), "weights", ("thousandths", &told.join(",")), None)?;
    let holds =
        "each until a configuration changes backend_instances.<id>.weight, or it or its backend is changed here";
    Ok(answer("weights_change", now, true, holds, &mut |o| {
        o.list("weights", cx.router.places(), |o, (_, backend, _)| {
            let thousandths = |weight: Weight| Thousandths(weight.thousandths().into());
            let new = weights.iter().find(|(id, _)| *id == backend.id).map_or(backend.weight, |(_, weight)| *weight);
            o.set("id", &*backend.id).set("previous_weight", thousandths(backend.weight));
            o.set("weight", thousandths(new));
        });
    }))
}

fn in_flight<H: Host>(cx: &Context<'_, H>, id: &str) -> Option<u32> {
    show::place_of(cx.router, id).map(|place| cx.view.record(place).in_flight())
}

/// Says what was changed, and until when that holds.
#[inline(never)]
fn answer(name: &str, now: Timestamp, outlives: bool, holds: &str, write: &mut dyn FnMut(&mut Object<'_>)) -> Reply {
    Reply::ok(object(|o| {
        o.object(name, |o| {
            write(o);
            o.set("change_timestamp", now).set("holds_until", &*format!("{holds}, or Envoy restarts"));
            o.set("outlives_configuration", outlives);
        });
    }))
}

/// Changes something and logs who wanted it, or says why not.
#[inline(never)]
fn change<H: Host>(
    cx: &Context<'_, H>,
    change: Change<'_>,
    action: &str,
    what: (&'static str, &str),
    reason: Option<String>,
) -> Result<(), Reply> {
    match cx.router.steering().change(cx.host, change) {
        Ok(Ok(())) => {
            log_change(cx, action, what, reason);
            Ok(())
        }
        Ok(Err(refused)) => Err(refusal(&refused)),
        Err(_) => Err(Reply::unavailable(UNWRITTEN)),
    }
}

fn refusal(refused: &Refused) -> Reply {
    match refused {
        Refused::Unknown => Reply::not_found("there is no such backend"),
        Refused::UnknownIds(ids) => {
            let problems: Vec<_> = ids.iter().map(|id| format!("{id}: there is no such backend")).collect();
            Reply::invalid(&problems.join("; "))
        }
        Refused::AdminCluster => Reply::invalid("cluster: is Envoy's admin interface: requests must never reach that"),
        Refused::UnknownCluster(cluster) => Reply::conflict(&format!(
            "cluster: no backend has the cluster \"{cluster}\", and discovery did not find it: give the cluster its \
             metadata, add a backend of it to the configuration, or set allow_any_cluster: true in that of the role control"
        )),
        Refused::TooMany => Reply::conflict("there are as many backends as there may be"),
        Refused::TooMuch => Reply::conflict("all that was changed takes more room than there is for it"),
        Refused::Last => Reply::conflict("it is the last backend"),
    }
}
