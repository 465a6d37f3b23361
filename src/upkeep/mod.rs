//! What is done besides requests, at each tick: this VM's view is refreshed, and whichever VM leads does what is done
//! once a process.
//!
//! | who knows more of a backend's health than its answers show | file |
//! | --- | --- |
//! | Envoy, which checks hosts and ejects outliers | `lookout` |
//! | the backend itself, when it is asked | `rounds` |
//!
//! Clusters of Envoy may say of themselves that they are backends (`discovery`). What is worth telling without being asked
//! is `alerts`.
//!
//! They ask over the network and are answered later, in a callback. What they learn goes into the backends' records, and
//! from there to all workers at their next tick. Nothing waits for it: where it fails, requests go on without it.

mod alerts;
mod answer;
mod discovery;
mod lookout;
mod misrouting;
mod pace;
mod rate;
mod rounds;
mod scaling;
mod standing;
#[cfg(test)]
mod tests;

pub use answer::Answer;

use std::sync::Arc;

use crate::config::{Config, LogLevel, Tenant};
use crate::cost::Account;
use crate::domain::{Backend, BackendIndex, Calendar, PerMille, Span, Timestamp, Tokens};
use crate::exchange::Router;
use crate::health::BreakerPhase;
use crate::host::Host;
use crate::logging;
use crate::metrics::{Internal, Method, Metric, Status, TenantIndex};
use crate::state::{AccountKey, Ledger, Place, Record, View, WaitingList, settle_refused};
use alerts::Alarms;
use discovery::Discovery;
use lookout::Lookout;
use rate::Rate;
use rounds::Rounds;
use scaling::Scaling;
use standing::is_available;

/// Who asks, in the calls that the router makes.
const USER_AGENT: &str = concat!("llm-router/", env!("CARGO_PKG_VERSION"));

/// What one configuration has to do besides requests.
#[derive(Debug)]
pub struct Upkeep {
    /// Higher than those of the configurations before it in this VM.
    number: u64,
    config: Arc<Config>,
    lookout: Option<Lookout>,
    discovery: Option<Discovery>,
    rounds: Rounds,
    rate: Rate<Place>,
    alarms: Alarms,
    scaling: Scaling,
}

impl Upkeep {
    /// Of this configuration, in the VM of this view.
    pub fn new(config: &Arc<Config>, view: &mut View) -> Self {
        Self {
            number: view.number_configuration(),
            config: Arc::clone(config),
            lookout: Lookout::new(config),
            discovery: Discovery::new(config),
            rounds: Rounds::new(&config.backends),
            rate: Rate::default(),
            alarms: Alarms::default(),
            scaling: Scaling::default(),
        }
    }

    /// To be called every 50 ms or so.
    pub fn tick(&mut self, router: &Router, view: &mut View, host: &impl Host) {
        let now = host.now();
        view.set_calendar(Calendar::at(now, host.date()));
        self.follow(router);
        for (.., place) in router.places() {
            view.has(place, now);
        }
        if view.refresh(host, now).is_err() {
            host.record(Metric::InternalErrors(Internal::SharedData), 1);
        }
        router.announce(view, host);
        if view.write_journal(host).is_err() || view.write_audit(host, now).is_err() {
            host.record(Metric::InternalErrors(Internal::SharedData), 1);
        }
        misrouting::tell(router, view, host);
        if !view.leads() {
            return;
        }
        if view.keeps_watch(self.number, now) {
            misrouting::show(router, host, now);
            show_configuration(router.configuration(), host);
        }
        let waiting = WaitingList::known(host, now).ok().flatten();
        if let Some(list) = &waiting {
            host.record(Metric::QueueDepth, list.tickets().len() as u64);
        }
        show(router, view, host, now);
        self.scaling.tick((router, view), host, waiting.as_ref().map_or(&[], WaitingList::tickets), now);
        if let Some(a_minute) = self.rate.look(|| requests(router, host), now) {
            host.record(Metric::RequestsPerMinute, a_minute);
        }
        // Envoy starts its workers, each with a VM, once it has resolved and checked its clusters. Before that nobody is
        // served, and a host that was not checked yet looks like a dead one.
        if view.is_alone() {
            return;
        }
        let mut cx = Cx { number: self.number, router, view, host, now };
        if let Some(lookout) = &mut self.lookout {
            lookout.tick(&mut cx);
        }
        if let Some(discovery) = &mut self.discovery {
            discovery.tick(&mut cx);
        }
        self.rounds.tick(&mut cx);
        self.alarms.tick(&mut cx, self.lookout.as_ref());
    }

    /// Goes on with the router that there is now: operators changed its backends. What is under way at those that stay
    /// as they are is waited for.
    fn follow(&mut self, router: &Router) {
        if Arc::ptr_eq(&self.config, router.config()) {
            return;
        }
        self.config = Arc::clone(router.config());
        if let Some(lookout) = &mut self.lookout {
            lookout.follow(&self.config.backends);
        }
        self.rounds.follow(&self.config.backends);
    }

    /// The answer to one of the calls, or that there will be none.
    pub fn answered(&mut self, router: &Router, view: &mut View, host: &impl Host, answer: &Answer) {
        self.follow(router);
        let mut cx = Cx { number: self.number, router, view, host, now: host.now() };
        let is_known = self.lookout.as_mut().is_some_and(|lookout| lookout.answered(&mut cx, answer))
            || self.discovery.as_mut().is_some_and(|discovery| discovery.answered(&cx, answer))
            || self.alarms.answered(&mut cx, answer);
        if !is_known {
            self.rounds.answered(&mut cx, answer);
        }
    }
}

/// Shows which configuration is at work, and whether it is the one that Envoy was given last.
fn show_configuration(configuration: u64, host: &impl Host) {
    host.record(Metric::BuildInfo { configuration }, 1);
    if let Ok(is_refused) = settle_refused(host, configuration) {
        host.record(Metric::ConfigurationRefused, is_refused.into());
    }
}

/// Lets the gauge of a configuration rest that is at work no more.
pub fn retire_configuration(gone: u64, newer: Option<u64>, host: &impl Host) {
    if newer != Some(gone) {
        host.record(Metric::BuildInfo { configuration: gone }, 0);
    }
}

/// Shows an operator how the backends stand, and what is spent.
fn show(router: &Router, view: &View, host: &impl Host, now: Timestamp) {
    show_spending(router.config(), view.ledger(), host, view.calendar().date(now));
    for (index, backend, place) in router.places() {
        let record = view.record(place);
        host.record(Metric::InFlight(index), record.in_flight().into());
        // A breaker that was disabled while it was open stays so in the record, and concerns nobody.
        let phase = backend.breaker.map_or(BreakerPhase::Closed, |_| record.breaker.phase);
        host.record(Metric::BreakerState(index), phase.code().into());
        host.record(Metric::Health(index), (record.health(backend, now) * 1e3).round() as u64);
        host.record(Metric::Present(index), 1);
        host.record(Metric::Available(index), is_available(backend, record, view.ledger(), now).into());
        host.record(Metric::ResponseTime(index), record.response_time_ms(backend, now) as u64);
        host.record(Metric::ErrorRate(index), record.error_rate().get().into());
        host.record(Metric::Quality(index), backend.quality.get().into());
        host.record(Metric::FixedCost(index), backend.fixed_cost_per_hour.micro_usd());
        if let Some(share) = record.quota.headroom(&record.demand(Tokens(0)), now) {
            host.record(Metric::QuotaRemaining(index), PerMille::from_ratio(share).get().into());
        }
    }
}

/// Of each account what it spent, from the start on; nothing where nothing is limited, for then nothing is counted.
fn show_spending(config: &Config, ledger: &Ledger, host: &impl Host, date: Timestamp) {
    if !config.is_limited() {
        return;
    }
    show_account(ledger, AccountKey::ALL, Span::ALL.map(Metric::BudgetSpent), host, date);
    for (backend, index) in config.backends.iter().zip((0..).map(BackendIndex)) {
        let metrics = Span::ALL.map(|span| Metric::BackendSpent(index, span));
        show_account(ledger, AccountKey::of_backend(&backend.id), metrics, host, date);
    }
    let tenants = &config.cost.tenants;
    let has_points = tenants.iter().any(|tenant| tenant.name.contains('.'));
    for (tenant, index) in tenants.iter().zip((0..).map(TenantIndex)) {
        for span in Span::ALL {
            let of = |tenant: &Tenant| spent(ledger, AccountKey::of_tenant(&tenant.name), span, date);
            // Those whose names are the same in a metric have one gauge: it shows what they spent together.
            let shown = if has_points {
                tenants.iter().filter(|other| is_same_label(&other.name, &tenant.name)).map(of).sum()
            } else {
                of(tenant)
            };
            host.record(Metric::TenantSpent(index, span), shown);
        }
    }
}

#[inline(never)]
fn show_account(ledger: &Ledger, key: AccountKey, metrics: [Metric; 2], host: &impl Host, date: Timestamp) {
    for (span, metric) in Span::ALL.into_iter().zip(metrics) {
        host.record(metric, spent(ledger, key, span, date));
    }
}

/// What an account spent, in millionths of a dollar; nothing where there is none yet.
fn spent(ledger: &Ledger, key: AccountKey, span: Span, date: Timestamp) -> u64 {
    let nothing = Account::default();
    ledger.account(key).unwrap_or(&nothing).spending(span, date).spent().micro_usd()
}

/// Whether two tenants have the same name in a metric, where a point is a `_`.
fn is_same_label(a: &str, b: &str) -> bool {
    let label = |b| if b == b'.' { b'_' } else { b };
    a.bytes().map(label).eq(b.bytes().map(label))
}

/// The requests of each backend so far. To ask makes the counters that do not exist yet: a first failure is then a step from 0 to 1,
/// which Prometheus sees, instead of a counter that comes into being at 1, which it does not.
fn requests(router: &Router, host: &impl Host) -> Vec<(Place, u64)> {
    let labels = || Status::ALL.into_iter().flat_map(|status| Method::ALL.map(|method| (status, method)));
    let of = |(backend, _, place): (BackendIndex, &Backend, Place)| {
        let all = labels().map(|(status, method)| Metric::Requests { backend, status, method });
        (place, all.filter_map(|metric| host.read(metric)).sum())
    };
    router.places().map(of).collect()
}

/// Shows the backends of `before` that are gone since, as long as requests are under way there; returns whether there
/// are any. A gauge stands where it was left: what is gone is neither busy nor ill. Until then the view goes on reading
/// their records: who is busy there may be another worker.
pub fn farewell(before: &Router, now: &Router, view: &mut View, host: &impl Host) -> bool {
    let moment = host.now();
    let is_gone = |place: Place| now.places().all(|(_, _, other)| other != place);
    before.places().filter(|&(.., place)| is_gone(place)).fold(false, |any, (index, _, place)| {
        view.has(place, moment);
        let in_flight = view.record(place).in_flight();
        if view.leads() {
            rest(index, in_flight, host);
        }
        any || in_flight > 0
    })
}

/// Lets the gauges of the backends rest that a newer configuration does not have: nothing is under way there, and nothing
/// is wrong, so that no alarm goes by what nobody renews.
pub fn retire(gone: &Config, newer: Option<&Config>, host: &impl Host) {
    let remains = |old: &Backend| {
        let newer = newer.into_iter().flat_map(|config| &config.backends);
        newer.into_iter().any(|new| new.id == old.id && new.kind == old.kind)
    };
    for (backend, index) in gone.backends.iter().zip((0..).map(BackendIndex)) {
        if !remains(backend) {
            rest(index, 0, host);
        }
    }
    let remains = |old: &Tenant| newer.is_some_and(|config| config.cost.tenants.iter().any(|new| new.name == old.name));
    for (tenant, index) in gone.cost.tenants.iter().zip((0..).map(TenantIndex)) {
        if !remains(tenant) {
            for span in Span::ALL {
                host.record(Metric::TenantSpent(index, span), 0);
            }
        }
    }
}

/// The gauges of a backend that is gone: nothing is wrong there, nothing is spent, and it counts as none.
fn rest(index: BackendIndex, in_flight: u32, host: &impl Host) {
    host.record(Metric::InFlight(index), in_flight.into());
    host.record(Metric::BreakerState(index), BreakerPhase::Closed.code().into());
    host.record(Metric::Present(index), 0);
    host.record(Metric::Available(index), 0);
    host.record(Metric::ResponseTime(index), 0);
    host.record(Metric::ErrorRate(index), 0);
    host.record(Metric::FixedCost(index), 0);
    host.record(Metric::Health(index), PerMille::ONE.get().into());
    host.record(Metric::QuotaRemaining(index), PerMille::ONE.get().into());
    for span in Span::ALL {
        host.record(Metric::BackendSpent(index, span), 0);
    }
}

/// What the work of one moment has at hand.
struct Cx<'a, H> {
    number: u64,
    router: &'a Router,
    view: &'a mut View,
    host: &'a H,
    now: Timestamp,
}

impl<H: Host> Cx<'_, H> {
    /// Whether a backend is for this configuration to look after.
    fn keeps(&mut self, place: Place) -> bool {
        self.view.keeps(place, self.number, self.now)
    }

    /// Writes news into a record, at once. Where that fails the next look brings it again.
    fn change(&mut self, place: Place, change: impl FnMut(&mut Record)) {
        if self.view.change(self.host, place, self.now, change).is_err() {
            self.host.record(Metric::InternalErrors(Internal::SharedData), 1);
        }
    }

    fn log(&self, level: LogLevel, fields: &[(&str, String)]) {
        self.host.log(level, &logging::line(self.router.config().logging.format, fields));
    }
}
