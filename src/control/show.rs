//! What is known of the backends, for operators.

use super::Reply;
use super::json::{Object, Thousandths, object, object_at};
use crate::config::commands;
use crate::domain::{Backend, BackendType, PerMille, Prices, Timestamp, Tokens};
use crate::exchange::Router;
use crate::health::{BreakerPhase, Component, Condition, Details};
use crate::routing::Strategy;
use crate::state::{
    Place, Record, RefusedConfiguration, Store, View, WaitingList, details as details_of, last_refused,
};

/// Below this a backend that may be asked is called degraded.
const WELL: f64 = 0.9;

/// `GET /health`.
pub(super) fn health(router: &Router, view: &View, store: &impl Store, now: Timestamp) -> String {
    let all: Vec<_> = router.places().map(|(_, backend, place)| (backend, view.record(place))).collect();
    let count = |wanted| all.iter().filter(|(backend, record)| condition(backend, record, now) == wanted).count();
    let [healthy, degraded, unhealthy] = [Condition::Healthy, Condition::Degraded, Condition::Unhealthy].map(count);
    let overall = if healthy == all.len() {
        Condition::Healthy
    } else if unhealthy == all.len() {
        Condition::Unhealthy
    } else {
        Condition::Degraded
    };
    object_at(view.calendar(), |o| {
        o.object("health_status", |o| {
            for label in labels(router) {
                o.object(label, |o| {
                    for (backend, record) in all.iter().filter(|(backend, _)| backend.label() == label) {
                        o.object(&backend.id, |o| {
                            let said = details_of(store, &backend.id);
                            backend_health(o, backend, record, &said, now);
                            o.object("details", |o| details(o, backend, record, &said, now));
                        });
                    }
                });
            }
        });
        o.set("overall_health", overall.name()).set("total_backends", all.len() as u64);
        o.set("healthy_backends", healthy as u64).set("degraded_backends", degraded as u64);
        o.set("unhealthy_backends", unhealthy as u64);
        o.object("queue", |o| queue(o, router, store, now));
        warnings(o, router, store, now);
        let refused = last_refused(store).ok().flatten();
        refused_configuration(o, refused.filter(|refused| refused.is_newer_than(router.configuration())));
    })
}

/// A configuration that was refused, if there is one to tell of.
pub(super) fn refused_configuration(o: &mut Object<'_>, refused: Option<RefusedConfiguration>) {
    const KEY: &str = "refused_configuration";
    match refused {
        None => _ = o.set(KEY, None::<u64>),
        Some(RefusedConfiguration { at, errors, .. }) => {
            // Without the line that says how many they are.
            let lines: Vec<_> = errors.lines().filter(|line| !line.ends_with(" in the configuration:")).collect();
            o.object(KEY, |o| _ = o.set("refused_at", at).set("errors", &lines[..]));
        }
    }
}

/// What backends are listed under: the types, in the order of the documentation, and then the groups.
fn labels(router: &Router) -> Vec<&str> {
    let backends = &router.config().backends;
    let is_used = |label: &&str| backends.iter().any(|backend| backend.label() == *label);
    let mut labels: Vec<_> = BackendType::ALL.map(BackendType::name).into_iter().filter(is_used).collect();
    for backend in backends {
        if !labels.contains(&backend.label()) {
            labels.push(backend.label());
        }
    }
    labels
}

fn backend_health(o: &mut Object<'_>, backend: &Backend, record: &Record, said: &Details, now: Timestamp) {
    o.set("status", condition(backend, record, now).name()).set("score", score(backend, record, now));
    o.set("response_time_ms", response_time(backend, record, now));
    o.set("last_check", record.probes.checked_at).set("last_answer", record.last_answer);
    check(o, backend, record, said, now);
    o.object("components", |o| {
        let parts = &record.probes.components;
        for part in Component::ALL.into_iter().filter(|_| record.probes.is_valid(now)) {
            if let Some(well) = parts.get(part) {
                o.set(part.name(), if well { "healthy" } else { "unhealthy" });
            }
        }
    });
    if record.hosts.is_valid(now) {
        o.object("hosts", |o| {
            let census = &record.hosts.census;
            let counts = [
                ("total", census.total),
                ("healthy", census.healthy),
                ("degraded", census.degraded),
                ("ejected", census.ejected),
                ("failing", census.failing),
            ];
            for (name, count) in counts {
                o.set(name, u32::from(count));
            }
        });
    }
    misconfigured(o, backend, record, now);
    breaker(o, "breaker", backend, record, None);
}

/// What is wrong with a backend that nobody can use; none while it is not known that something is.
pub(super) fn misconfigured(o: &mut Object<'_>, backend: &Backend, record: &Record, now: Timestamp) {
    let settings = backend.breaker.filter(|settings| record.setup.is_suspect(settings.misconfigured_threshold));
    let Some((settings, why)) = settings.zip(record.setup.why()) else {
        o.set("misconfigured", None::<u64>);
        return;
    };
    let (threshold, wait) = (settings.misconfigured_threshold, settings.recovery_timeout);
    o.object("misconfigured", |o| {
        o.set("reason", why.name()).set("status", u32::from(record.setup.status));
        o.set("answers", u32::from(record.setup.row)).set("left_out", record.setup.is_out(threshold));
        o.set("retry_at", record.setup.out_until(threshold, wait, now));
    });
}

/// The last of the router's own checks; none where there was none lately.
fn check(o: &mut Object<'_>, backend: &Backend, record: &Record, said: &Details, now: Timestamp) {
    let Some(settings) = backend.probe.as_ref() else {
        o.set("check", None::<u64>);
        return;
    };
    o.object("check", |o| {
        o.set("path", &*settings.path);
        let probes = &record.probes;
        if probes.is_valid(now) {
            o.set("status", probes.condition.name()).set("http_status", said.http_status.map(u64::from));
            o.set("error", said.error.as_deref()).set("response_time_ms", probes.response_time.as_millis() as u64);
            o.set("failures_in_a_row", u32::from(probes.failures));
        }
    });
}

/// What a backend said of itself when it was last asked how it is, and of its quota with any answer.
fn details(o: &mut Object<'_>, backend: &Backend, record: &Record, said: &Details, now: Timestamp) {
    let quota = (record.quota.requests_left(now), record.quota.tokens_left(now));
    let names = [("quota_remaining", "quota_reset_time"), ("quota_tokens_remaining", "quota_tokens_reset_time")];
    for (left, (remaining, resets)) in [quota.0, quota.1].into_iter().zip(names) {
        if let Some((left, at)) = left {
            o.set(remaining, left).set(resets, at);
        }
    }
    if backend.probe.is_none() || !record.probes.is_valid(now) {
        return;
    }
    let mut texts = vec![
        ("api_version", &said.api_version),
        ("core_version", &said.core_version),
        ("version", &said.version),
        ("last_index_update", &said.last_index_update),
    ];
    let mut numbers = vec![
        ("models_available", record.probes.models.map(u64::from)),
        ("knowledge_base_size", said.knowledge_base_size),
        ("relationship_count", said.relationship_count),
        ("memory_usage_mb", said.memory_usage_mb),
    ];
    if quota.0.is_none() {
        // What its answers announce is of this moment; what the check heard is as old as the check.
        texts.push(("quota_reset_time", &said.quota_reset_time));
        numbers.push(("quota_remaining", said.quota_remaining));
    }
    for (name, text) in texts {
        if let Some(text) = text {
            o.set(name, &**text);
        }
    }
    for (name, number) in numbers {
        if let Some(number) = number {
            o.set(name, number);
        }
    }
    let fractions = [
        ("cpu_usage_percent", said.cpu_usage_thousandths),
        ("disk_usage_percent", said.disk_usage_thousandths),
        ("avg_query_time_ms", said.avg_query_time_us),
        ("queries_per_minute", said.queries_per_minute_thousandths),
    ];
    for (name, thousandths) in fractions {
        if let Some(thousandths) = thousandths {
            o.set(name, Thousandths(thousandths));
        }
    }
    if !said.parts_down.is_empty() {
        let parts: Vec<&str> = said.parts_down.iter().map(|part| &**part).collect();
        o.set("parts_down", &parts[..]);
    }
}

/// Nothing of those who wait where shared data cannot be read.
fn queue(o: &mut Object<'_>, router: &Router, store: &impl Store, now: Timestamp) {
    o.set("size", router.config().queue.map_or(0, |queue| queue.size as u64));
    if let Ok(list) = WaitingList::read(store, now) {
        o.set("depth", list.tickets().len() as u64);
        o.set("oldest_wait_ms", list.longest_wait(now).as_millis() as u64);
    }
}

/// Signs that Envoy's configuration does not fit; none where shared data cannot be read.
fn warnings(o: &mut Object<'_>, router: &Router, store: &impl Store, now: Timestamp) {
    o.list("configuration_warnings", router.warnings(store, now).unwrap_or_default(), |o, warning| {
        o.set("kind", warning.kind.name()).set("message", &*warning.message()).set("cure", warning.kind.cure());
        o.set("count", warning.count).set("first_seen", warning.first_seen).set("last_seen", warning.last_seen);
    });
}

/// How a backend is in a word: unhealthy is one that may not be asked because it is ill.
fn condition(backend: &Backend, record: &Record, now: Timestamp) -> Condition {
    let phase = backend.breaker.map_or(BreakerPhase::Closed, |_| record.breaker.phase);
    let fails_checks = backend.probe.is_some() && record.probes.is_unhealthy(now);
    if phase == BreakerPhase::Open || fails_checks || record.hosts.available(now) <= 0.0 {
        return Condition::Unhealthy;
    }
    if record.is_misconfigured(backend) {
        return Condition::Unhealthy;
    }
    let is_suspect = backend.breaker.is_some_and(|it| record.setup.is_suspect(it.misconfigured_threshold));
    if phase == BreakerPhase::HalfOpen || is_suspect || record.health(backend, now) < WELL {
        return Condition::Degraded;
    }
    record.probes.condition(now).unwrap_or(Condition::Healthy)
}

/// Where the record of the backend of that id lies.
pub(super) fn place_of(router: &Router, id: &str) -> Option<Place> {
    router.places().find(|(_, backend, _)| *backend.id == *id).map(|(.., place)| place)
}

/// `GET /strategy`.
pub(super) fn strategy(router: &Router) -> String {
    let (strategy, configured) = (router.strategy(), router.config().strategy);
    object(|o| {
        let all = Strategy::ALL.map(Strategy::name);
        o.set("strategy", strategy.name()).set("configured", configured.name());
        o.set("source", if strategy == configured { "configuration" } else { "operator" }).set("available", &all[..]);
    })
}

/// `GET /backends`.
pub(super) fn backends(router: &Router, view: &View, now: Timestamp) -> String {
    object_at(view.calendar(), |o| {
        o.list("backends", router.places(), |o, (index, backend, place)| {
            let record = view.record(place);
            about(o, backend);
            let steering = router.steering();
            o.set("source", steering.source(&backend.id).name());
            match steering.drain(&backend.id) {
                None => _ = o.set("draining", None::<u64>),
                Some(drain) => {
                    o.object("draining", |o| {
                        o.set("reason", &*drain.reason).set("since", drain.since).set("by", &*drain.by);
                    });
                }
            }
            let configured = steering.configured_backend(&backend.id).map(|configured| configured.weight);
            if let Some(weight) = configured.filter(|weight| *weight != backend.weight) {
                o.set("configured_weight", Thousandths(weight.thousandths().into()));
            }
            o.set("group", backend.group.as_deref()).set("configuration", &commands::shown(backend));
            o.set("default", index == router.config().default_backend);
            let Prices { input, output, cached_input } = backend.prices;
            o.set("input_cost_per_1k_tokens", input).set("output_cost_per_1k_tokens", output);
            o.set("cached_input_cost_per_1k_tokens", cached_input);
            o.set("reliability_score", backend.reliability).set("failure_domain", &*backend.failure_domain);
            o.set("max_concurrent_requests", backend.max_concurrent_requests);
            o.set("status", condition(backend, record, now).name());
            figures(o, backend, record, now);
        });
        o.set("removed", &router.steering().removed()[..]);
    })
}

/// `GET /backends/{id}`: just what PUT takes.
pub(super) fn backend(router: &Router, id: &str) -> Reply {
    let found = router.places().find(|(_, backend, _)| *backend.id == *id);
    found.map_or_else(
        || Reply::not_found("there is no such backend"),
        |(_, backend, _)| Reply::ok(commands::shown(backend).to_string()),
    )
}

/// Who a backend is.
fn about(o: &mut Object<'_>, backend: &Backend) {
    o.set("id", &*backend.id).set("backend_type", backend.kind.name()).set("cluster", &*backend.cluster);
    o.set("priority", backend.priority).set("weight", Thousandths(backend.weight.thousandths().into()));
    o.set("quality_score", backend.quality).set("apis", &backend.apis.names()[..]);
}

/// How a backend stands.
fn figures(o: &mut Object<'_>, backend: &Backend, record: &Record, now: Timestamp) {
    o.set("health_score", score(backend, record, now)).set("response_time_ms", response_time(backend, record, now));
    let load = record.load();
    o.object("in_flight", |o| _ = o.set("requests", load.requests).set("tokens", load.tokens.0));
    let headroom = record.quota.headroom(&record.demand(Tokens(0)), now);
    o.set("quota_headroom", headroom.map(PerMille::from_ratio));
    o.set("quota_refused_until", record.quota.refused_until(now));
    o.set("capacity_tokens", record.capacity.tokens(now).map(|tokens| tokens.0));
    breaker(o, "circuit_breaker", backend, record, None);
}

/// A backend's circuit breaker, and how many attempts failed so far where that was looked up.
pub(super) fn breaker(o: &mut Object<'_>, key: &str, backend: &Backend, record: &Record, failures: Option<u64>) {
    if backend.breaker.is_none() {
        o.set(key, None::<u64>);
        return;
    }
    let breaker = &record.breaker;
    let is_closed = breaker.phase == BreakerPhase::Closed;
    o.object(key, |o| {
        o.set("status", breaker.phase.name()).set("reason", breaker.reason.name()).set("since", breaker.since);
        o.set("retry_at", (!is_closed).then_some(breaker.retry_at));
        o.set("failure_count", breaker.consecutive_failures).set("last_failure", record.last_failure);
        o.set("openings", u32::from(breaker.openings));
        if failures.is_some() {
            o.set("total_failures", failures);
        }
    });
}

fn score(backend: &Backend, record: &Record, now: Timestamp) -> PerMille {
    PerMille::from_ratio(record.health(backend, now))
}

/// Milliseconds, to the thousandth.
pub(super) fn response_time(backend: &Backend, record: &Record, now: Timestamp) -> Thousandths {
    Thousandths((record.response_time_ms(backend, now) * 1e3) as u64)
}
