//! What would happen if a backend failed: rehearsed on a copy of its record, with the code that decides. Nobody's breaker
//! hears of it, no turn is taken, and nothing is sent anywhere; so it takes no token either.

use std::time::Duration;

use super::json::{Object, Thousandths, object};
use super::{Reply, show};
use crate::config::commands;
use crate::domain::{Api, ApiSet, Backend, BackendIndex, BreakerSettings, Failure, Timestamp, Tokens};
use crate::exchange::Context;
use crate::health::{Breaker, BreakerPhase, Verdict};
use crate::host::Host;
use crate::state::Place;

/// Prompt tokens of the request that is rehearsed: a question of a line or two.
const PROMPT: Tokens = Tokens(50);

/// What a backend is asked in a rehearsal: the first of these that it speaks. Who takes over depends on it, for a request
/// goes only where its API is spoken.
const APIS: [Api; 11] = [
    Api::ChatCompletions,
    Api::Messages,
    Api::Sonar,
    Api::LightRagQuery,
    Api::GenerateContent,
    Api::VertexMessages,
    Api::Responses,
    Api::Agent,
    Api::OllamaChat,
    Api::OllamaGenerate,
    Api::Completions,
];

/// Where a time of a rehearsal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// It was measured: on a clock, or of real answers.
    Measured,
    /// It was computed from what is configured and from the breaker's state. Nobody waited for it.
    Computed,
    /// It is what is configured, since nothing was measured yet.
    Configured,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Computed => "computed",
            Self::Configured => "configured",
        }
    }
}

/// Failures after which a rehearsal ends, whatever has not happened by then.
const MOST: u32 = 5_000;

/// A breaker that fails in a rehearsal.
struct Rehearsed {
    breaker: Breaker,
    settings: BreakerSettings,
    now: Timestamp,
}

/// `POST /circuit-breaker/test`: how many failures open a backend's breaker as things stand, and who would take over.
pub(super) fn breaker<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Reply {
    let (id, fails) = match commands::rehearsal(body, "backend") {
        Ok(read) => read,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let Some((index, settings, place)) = find(cx, &id) else { return Reply::not_found("there is no such backend") };
    let Some(settings) = settings else {
        return Reply::conflict("this backend's circuit breaker is switched off by its configuration");
    };
    let (named, initial) = (name(cx, Some(index)), cx.view.record(place).breaker);
    let named = named.map(str::to_owned);
    let mut rehearsed = Rehearsed { breaker: initial, settings, now };
    let failures = if fails { rehearsed.fail_until_open() } else { 0 };
    let Breaker { phase, reason, retry_at, .. } = rehearsed.breaker;
    let is_open = phase == BreakerPhase::Open;
    let backup = backup_of(cx, (index, Some(settings), place), now);
    Reply::ok(object(|o| {
        o.object("circuit_breaker_test", |o| {
            o.set("backend", &*id).set("backend_id", named.as_deref());
            o.set("test_type", "failure_simulation").set("initial_state", initial.phase.name());
            o.set("failure_threshold", settings.failure_threshold).set("simulated_failures", failures);
            o.set("circuit_breaker_triggered", is_open).set("new_state", phase.name()).set("reason", reason.name());
            o.set("failover_activated", is_open && backup.is_some()).set("backup_backend", name(cx, backup));
            o.set("test_duration_ms", milliseconds(cx.host.now().since(now)));
            o.set("recovery_time_ms", is_open.then(|| milliseconds(retry_at.since(now))));
            let recovery = is_open.then_some(Source::Computed);
            sources(o, &[("test_duration_ms", Some(Source::Measured)), ("recovery_time_ms", recovery)]);
        });
    }))
}

/// `POST /failover/test`: what becomes of requests, one after the other, while a backend answers none of them.
pub(super) fn failover<H: Host>(cx: &mut Context<'_, H>, body: &[u8], now: Timestamp) -> Reply {
    let (id, fails) = match commands::rehearsal(body, "primary_backend") {
        Ok(read) => read,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let Some((index, settings, place)) = find(cx, &id) else { return Reply::not_found("there is no such backend") };
    let named = name(cx, Some(index)).map(str::to_owned);
    let mut rehearsed = settings.map(|settings| Rehearsed { breaker: cx.view.record(place).breaker, settings, now });
    // Until its breaker is open it is asked; a request that failed there goes on to the next backend of its plan, if the
    // configuration lets it.
    let failed = match &mut rehearsed {
        _ if !fails => 0,
        Some(rehearsed) => rehearsed.fail_until_open(),
        None => 1,
    };
    let backup = backup_of(cx, (index, settings, place), now);
    let goes_on = cx.router.config().retry.max_attempts > 1 && backup.is_some();
    let triggered = fails && backup.is_some();
    let is_open = |rehearsed: &Rehearsed| rehearsed.breaker.phase == BreakerPhase::Open;
    let recovery = rehearsed.as_ref().filter(|it| is_open(it)).map(|it| it.breaker.retry_at.since(now));
    let is_well_again = rehearsed.is_none_or(|mut rehearsed| rehearsed.recovers());
    // What a request that failed waits for besides. How long Envoy waits before it tries again is Envoy's.
    let others = cx.router.places().find(|&(other, ..)| Some(other) == backup);
    let wait = others.filter(|_| triggered).map(|(_, backend, place)| {
        let record = cx.view.record(place);
        let source = if record.response_time.is_measured() { Source::Measured } else { Source::Configured };
        (show::response_time(backend, record, now), source)
    });
    let (wait, waited) = wait.unzip();
    let downtime = if triggered || !fails { Some(Duration::ZERO) } else { recovery };
    Reply::ok(object(|o| {
        o.object("failover_test", |o| {
            o.set("primary_backend", &*id).set("primary_backend_id", named.as_deref());
            o.set("backup_backend", name(cx, backup)).set("failure_simulation", fails);
            o.set("failover_triggered", triggered).set("failover_time_ms", wait);
            o.set("requests_during_failover", failed).set("requests_lost", if goes_on { 0 } else { failed });
            o.set("recovery_successful", is_well_again).set("recovery_time_ms", recovery.map(milliseconds));
            o.set("total_downtime_ms", downtime.map(milliseconds));
            let computed = |time: Option<Duration>| time.map(|_| Source::Computed);
            let (recovery, downtime) = (computed(recovery), computed(downtime));
            let times = [("failover_time_ms", waited), ("recovery_time_ms", recovery), ("total_downtime_ms", downtime)];
            sources(o, &times);
        });
    }))
}

/// Of each time where it comes from; `null` where there is none.
fn sources(o: &mut Object<'_>, times: &[(&str, Option<Source>)]) {
    o.object("times", |o| {
        for &(time, source) in times {
            o.set(time, source.map(Source::name));
        }
    });
}

impl Rehearsed {
    /// Fails every attempt. How many it takes.
    fn fail_until_open(&mut self) -> u32 {
        let Self { breaker, settings, now } = self;
        let mut failures = 0;
        while breaker.phase != BreakerPhase::Open && failures < MOST {
            // Whoever else is trying it now.
            breaker.probes = 0;
            let pass = breaker.enter(settings, Tokens(0), *now).unwrap_or_else(|_| breaker.unasked());
            breaker.leave(pass, Verdict::Ill(Failure::ServerError), None, settings, *now);
            failures += 1;
        }
        failures
    }

    /// Whether answers to its probes, when it lets them through, close it again.
    fn recovers(&mut self) -> bool {
        let Self { breaker, settings, now } = self;
        let at = breaker.retry_at.max(*now);
        for _ in 0..settings.half_open_max_requests {
            if let Ok(pass) = breaker.enter(settings, Tokens(0), at) {
                breaker.leave(pass, Verdict::Well, None, settings, at);
            }
        }
        breaker.phase == BreakerPhase::Closed
    }
}

/// Who would be asked instead of this backend, were its breaker open; where it has none, after it.
fn backup_of<H: Host>(
    cx: &mut Context<'_, H>,
    (index, settings, place): Found,
    now: Timestamp,
) -> Option<BackendIndex> {
    let mut record = cx.view.record(place).clone();
    if let Some(settings) = settings {
        record.breaker.open_by_hand(&settings, now);
    }
    let believed = cx.view.imagine(place, record);
    let apis = cx.router.config().backends.get(index.get()).map_or(ApiSet::NONE, |backend| backend.apis);
    let api = APIS.into_iter().find(|&api| apis.has(api)).or_else(|| apis.iter().next()).unwrap_or_default();
    let attempts = cx.rehearse_one(api, PROMPT, now);
    cx.view.imagine(place, believed);
    attempts?.as_slice().iter().copied().find(|&other| other != index)
}

type Found = (BackendIndex, Option<BreakerSettings>, Place);

/// The backend of that id; else of a group or type of that name the one that comes first: by priority, then by id.
fn find<H>(cx: &Context<'_, H>, name: &str) -> Option<Found> {
    let is_meant = |backend: &Backend| *backend.id == *name;
    let members = || cx.router.places().filter(|(_, backend, _)| backend.is_of(name));
    let first = || members().min_by_key(|(_, backend, _)| (backend.draining, backend.priority));
    let found = cx.router.places().find(|(_, backend, _)| is_meant(backend)).or_else(first);
    found.map(|(index, backend, place)| (index, backend.breaker, place))
}

fn name<'a, H>(cx: &'a Context<'_, H>, index: Option<BackendIndex>) -> Option<&'a str> {
    cx.router.config().backends.get(index?.get()).map(|backend| &*backend.id)
}

fn milliseconds(time: Duration) -> Thousandths {
    Thousandths(time.as_micros() as u64)
}
