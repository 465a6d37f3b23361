//! What operators change of the routing: the strategy, the backends, their weights.
//!
//! A change is written for all workers, this one among them: it takes it as the others do, as soon as the call is
//! answered.

use super::api::{APPLIES_WITHIN_MS, UNWRITTEN, log_change};
use super::json::{Date, Object, Thousandths, object};
use super::{Reply, show};
use crate::config::{Config, commands};
use crate::domain::{Backend, Timestamp, Weight};
use crate::exchange::Context;
use crate::host::{Host, Property};
use crate::steering::{Change, MOST_IDS, Refused};

/// `PUT /strategy`.
pub(super) fn choose<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Result<Reply, Reply> {
    let strategy = commands::strategy(body).map_err(|errors| Reply::invalid(&errors.listed()))?;
    let (before, connections) = (cx.router.strategy(), connections(cx));
    change(cx, Change::Strategy(strategy), "strategy", ("strategy", strategy.name()), None)?;
    // What is not known now, since shared data cannot be read, is as it was.
    let _ = cx.view.refresh(cx.host, now);
    let outlives = strategy != cx.router.config().strategy;
    let holds = "until a configuration changes strategy, or another one is chosen here";
    Ok(answer("strategy_change", date(cx, now), outlives, holds, &mut |o| {
        o.set("previous_strategy", before.name()).set("new_strategy", strategy.name());
        for (key, connections) in [("before", &connections), ("after", &self::connections(cx))] {
            o.object(&format!("active_connections_{key}"), |o| {
                for (id, requests) in connections {
                    o.set(id, *requests);
                }
            });
        }
        o.set("strategy_applied", true);
    }))
}

/// The requests under way at each backend.
fn connections<H>(cx: &Context<'_, H>) -> Vec<(Box<str>, u32)> {
    cx.router.places().map(|(_, backend, place)| (backend.id.clone(), cx.view.record(place).in_flight())).collect()
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
    Ok(backend_change(cx, id, done, now))
}

/// `PATCH /backends/{id}`.
pub(super) fn patch<H: Host>(
    cx: &mut Context<'_, H>,
    id: &str,
    patch: &[u8],
    any_cluster: bool,
    now: Timestamp,
) -> Result<Reply, Reply> {
    change(cx, Change::Patch { id, patch, any_cluster }, "backend_change", ("backend", id), None)?;
    Ok(backend_change(cx, id, "changed", now))
}

/// `DELETE /backends/{id}`: ends what was said of it here; where nothing was, or it is only here, removes it. With the
/// scope `override` nothing is removed that is configured, however often that is asked for.
pub(super) fn remove<H: Host>(
    cx: &mut Context<'_, H>,
    id: &str,
    scope: Option<&[u8]>,
    now: Timestamp,
) -> Result<Reply, Reply> {
    let restores = match scope {
        None | Some(b"") => cx.router.steering().stands_in(id),
        Some(b"override") => true,
        Some(_) => return Err(Reply::invalid("scope: the one that there is, is override")),
    };
    let (wanted, action, done) = if restores {
        (Change::Restore(id), "backend_restore", "restored")
    } else {
        (Change::Remove(id), "backend_remove", "removed")
    };
    change(cx, wanted, action, ("backend", id), None)?;
    Ok(backend_change(cx, id, done, now))
}

fn backend_change<H: Host>(cx: &Context<'_, H>, id: &str, done: &str, now: Timestamp) -> Reply {
    let configured = cx.router.steering().configured_backend(id);
    let verb = if configured.is_some() { "changes" } else { "has" };
    let holds = format!("until a configuration {verb} backend_instances.{id}, or it is registered or removed here");
    let after = in_effect(cx);
    let (before, after) = (find(cx.router.config(), id), find(&after, id));
    let outlives = !is_same(configured, after);
    answer("backend_change", date(cx, now), outlives, &holds, &mut |o| {
        let keys = changed(before, after);
        let keys: Vec<_> = keys.iter().map(|key| &**key).collect();
        o.set("backend", id).set("action", done).set("changed_keys", &keys[..]);
        o.set("in_flight", in_flight(cx, id));
    })
}

/// The configuration as it is since the change.
fn in_effect<H: Host>(cx: &Context<'_, H>) -> Config {
    let news = cx.router.steering().news(cx.host);
    news.map_or_else(|| Config::clone(cx.router.config()), |steering| steering.config())
}

fn find<'a>(config: &'a Config, id: &str) -> Option<&'a Backend> {
    config.backends.iter().find(|backend| *backend.id == *id)
}

/// To drain is no key of the configuration.
fn is_same(one: Option<&Backend>, other: Option<&Backend>) -> bool {
    let plain = |backend: &Backend| Backend { draining: false, ..backend.clone() };
    one.map(plain) == other.map(plain)
}

/// The keys that have another value than before, those of which nothing was said included: they have their defaults.
fn changed(before: Option<&Backend>, after: Option<&Backend>) -> Vec<String> {
    let Some((before, after)) = before.zip(after) else { return Vec::new() };
    let (before, after) = (commands::shown(before), commands::shown(after));
    let keys = after.as_object().into_iter().flatten();
    keys.filter(|(key, value)| before.get(*key) != Some(*value)).map(|(key, _)| key.clone()).collect()
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
    Ok(answer("drain_change", date(cx, now), true, holds, &mut |o| {
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
    let after = in_effect(cx);
    Ok(answer("weights_change", date(cx, now), true, holds, &mut |o| {
        o.list("weights", &after.backends, |o, backend| {
            let thousandths = |weight: Weight| Thousandths(weight.thousandths().into());
            let before = find(cx.router.config(), &backend.id).map(|before| thousandths(before.weight));
            o.set("id", &*backend.id).set("previous_weight", before).set("weight", thousandths(backend.weight));
        });
    }))
}

fn in_flight<H: Host>(cx: &Context<'_, H>, id: &str) -> Option<u32> {
    show::place_of(cx.router, id).map(|place| cx.view.record(place).in_flight())
}

/// A moment, as it is shown.
const fn date<H>(cx: &Context<'_, H>, moment: Timestamp) -> Date {
    Date(cx.view.calendar().date(moment))
}

/// Says what was changed, and until when that holds.
#[inline(never)]
fn answer(name: &str, date: Date, outlives: bool, holds: &str, write: &mut dyn FnMut(&mut Object<'_>)) -> Reply {
    Reply::ok(object(|o| {
        o.object(name, |o| {
            write(o);
            o.set("change_timestamp", date).set("applies_within_ms", APPLIES_WITHIN_MS);
            o.set("holds_until", &*format!("{holds}, or Envoy restarts"));
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
        Refused::Invalid(message) => Reply::invalid(message),
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
