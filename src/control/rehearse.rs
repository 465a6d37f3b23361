//! What would happen if a backend failed: rehearsed on copies of the records, with the code that decides. Nobody's
//! breaker hears of it, no turn is taken, and nothing is sent anywhere; so it takes no token either.

use std::time::Duration;

use super::json::{Object, Thousandths, object};
use super::{Reply, show};
use crate::config::commands;
use crate::domain::{Backend, BackendIndex, Failure, Timestamp, Tokens};
use crate::exchange::Context;
use crate::health::{Breaker, BreakerPhase, Verdict};
use crate::host::Host;
use crate::state::{Place, View};

/// Prompt tokens of the request that is rehearsed: a question of a line or two.
const PROMPT: Tokens = Tokens(50);

/// Requests after which a rehearsal ends, whatever has not happened by then.
const MOST: u32 = 5_000;

/// A backend whose failure is rehearsed.
struct Case<'a, 'c, H> {
    cx: &'a Context<'c, H>,
    index: BackendIndex,
    backend: &'a Backend,
    place: Place,
    now: Timestamp,
    /// A view to change at will.
    view: View,
}

/// `POST /circuit-breaker/test`: how many failures open a backend's breaker as things stand, and who would take over.
pub(super) fn breaker<H: Host>(cx: &Context<'_, H>, body: &[u8], now: Timestamp) -> Reply {
    let (id, fails) = match commands::rehearsal(body, "backend") {
        Ok(read) => read,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let Some(mut case) = Case::new(cx, &id, now) else { return Reply::not_found("there is no such backend") };
    let Some(settings) = case.backend.breaker else {
        return Reply::conflict("this backend's circuit breaker is switched off by its configuration");
    };
    let initial = case.breaker().phase;
    let mut failures = 0;
    while fails && case.breaker().phase != BreakerPhase::Open && failures < MOST {
        case.fail();
        failures += 1;
    }
    let breaker = case.breaker();
    let is_open = breaker.phase == BreakerPhase::Open;
    let backup = case.first_other();
    Reply::ok(object(|o| {
        o.object("circuit_breaker_test", |o| {
            o.set("backend", &*id).set("test_type", "failure_simulation").set("initial_state", initial.name());
            o.set("failure_threshold", settings.failure_threshold).set("simulated_failures", failures);
            o.set("circuit_breaker_triggered", is_open).set("new_state", breaker.phase.name());
            o.set("reason", breaker.reason.name()).set("failover_activated", is_open && backup.is_some());
            o.set("backup_backend", case.name(backup)).set("test_duration_ms", elapsed(cx.host.now().since(now)));
            o.set("recovery_time_ms", is_open.then(|| elapsed(breaker.retry_at.since(now))));
            rehearsed(o);
        });
    }))
}

/// `POST /failover/test`: what becomes of requests, one after the other, while a backend answers none of them.
pub(super) fn failover<H: Host>(cx: &Context<'_, H>, body: &[u8], now: Timestamp) -> Reply {
    let (id, fails) = match commands::rehearsal(body, "primary_backend") {
        Ok(read) => read,
        Err(errors) => return Reply::invalid(&errors.listed()),
    };
    let Some(mut case) = Case::new(cx, &id, now) else { return Reply::not_found("there is no such backend") };
    // Until its breaker is open it is asked, and each request goes on to the next backend of its own plan.
    let (mut failed, mut lost) = (0, 0);
    while fails && case.breaker().phase != BreakerPhase::Open && failed < MOST {
        failed += 1;
        lost += u32::from(case.second_resort().is_none());
        case.fail();
        if case.backend.breaker.is_none() {
            break;
        }
    }
    let breaker = case.breaker();
    let is_open = case.backend.breaker.is_some() && breaker.phase == BreakerPhase::Open;
    let backup = case.first_other();
    let triggered = fails && backup.is_some();
    let recovery = is_open.then(|| breaker.retry_at.since(now));
    let recovers = case.recovers();
    // What a failed request waits for besides: the backup's answer. How long Envoy waits between the two is Envoy's.
    let wait = backup.and_then(|index| cx.router.places().find(|&(other, ..)| other == index));
    let wait = wait.map(|(_, backend, place)| show::response_time(backend, cx.view.record(place), now));
    let downtime = if triggered || !fails { Some(Duration::ZERO) } else { recovery };
    Reply::ok(object(|o| {
        o.object("failover_test", |o| {
            o.set("primary_backend", &*id).set("backup_backend", case.name(backup)).set("failure_simulation", fails);
            o.set("failover_triggered", triggered).set("failover_time_ms", wait.filter(|_| triggered));
            o.set("requests_during_failover", failed).set("requests_lost", lost);
            o.set("recovery_successful", recovers).set("recovery_time_ms", recovery.map(elapsed));
            o.set("total_downtime_ms", downtime.map(elapsed));
            rehearsed(o);
        });
    }))
}

impl<'a, 'c, H: Host> Case<'a, 'c, H> {
    /// None where there is no such backend.
    fn new(cx: &'a Context<'c, H>, id: &str, now: Timestamp) -> Option<Self> {
        let (index, backend, place) = cx.router.places().find(|(_, backend, _)| *backend.id == *id)?;
        Some(Self { cx, index, backend, place, now, view: cx.view.clone() })
    }

    fn breaker(&self) -> Breaker {
        self.view.record(self.place).breaker
    }

    /// An attempt at it fails: a probe where it is half-open, whoever else is trying it now.
    fn fail(&mut self) {
        let now = self.now;
        let Some(settings) = self.backend.breaker else { return };
        self.view.imagine(self.place, |record| {
            let breaker = &mut record.breaker;
            breaker.probes = 0;
            let pass = breaker.enter(&settings, Tokens(0), now).unwrap_or(breaker.unasked());
            breaker.leave(pass, Verdict::Ill(Failure::ServerError), &settings, now);
        });
    }

    /// Whether answers to its probes close its breaker again.
    fn recovers(&mut self) -> bool {
        let Some(settings) = self.backend.breaker else { return true };
        let mut at = self.breaker().retry_at.max(self.now);
        self.view.imagine(self.place, |record| {
            for _ in 0..settings.half_open_max_requests {
                if let Ok(pass) = record.breaker.enter(&settings, Tokens(0), at) {
                    at = at.after(Duration::from_millis(1));
                    record.breaker.leave(pass, Verdict::Well, &settings, at);
                }
            }
        });
        self.breaker().phase == BreakerPhase::Closed
    }

    /// Where a request goes that tried it in vain.
    fn second_resort(&self) -> Option<BackendIndex> {
        let attempts = self.cx.plan_on(&self.view, PROMPT, self.now)?;
        let others = self.cx.router.config().retry.max_attempts > 1;
        attempts.as_slice().iter().copied().find(|&index| index != self.index).filter(|_| others)
    }

    /// Who is asked first of the others, were it not there.
    fn first_other(&mut self) -> Option<BackendIndex> {
        let now = self.now;
        let mut view = self.view.clone();
        if let Some(settings) = self.backend.breaker {
            view.imagine(self.place, |record| record.breaker.open_by_hand(&settings, now));
        }
        let attempts = self.cx.plan_on(&view, PROMPT, now)?;
        attempts.as_slice().iter().copied().find(|&index| index != self.index)
    }

    fn name(&self, index: Option<BackendIndex>) -> Option<&str> {
        self.cx.router.config().backends.get(index?.get()).map(|backend| &*backend.id)
    }
}

/// Says that it was one.
fn rehearsed(o: &mut Object<'_>) {
    o.set("rehearsed", true);
}

fn elapsed(time: Duration) -> Thousandths {
    Thousandths(time.as_micros() as u64)
}
