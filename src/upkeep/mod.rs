//! What is done besides requests, at each tick: this VM's view is refreshed, and whichever VM leads does what is done
//! once a process.
//!
//! | who knows more of a backend's health than its answers show | file |
//! | --- | --- |
//! | Envoy, which checks hosts and ejects outliers | `lookout` |
//! | the backend itself, when it is asked | `rounds` |
//!
//! Both ask over the network and are answered later, in a callback. What they learn goes into the backends' records, and
//! from there to all workers at their next tick. Nothing waits for it: where it fails, requests go on without it.

mod answer;
mod lookout;
mod pace;
mod rounds;
#[cfg(test)]
mod tests;

pub use answer::Answer;

use crate::config::{Config, LogLevel};
use crate::domain::{PerMille, Span, Timestamp, Tokens};
use crate::exchange::Router;
use crate::health::BreakerPhase;
use crate::host::Host;
use crate::logging;
use crate::metrics::{Internal, Metric};
use crate::state::{AccountKey, Place, Record, View};
use lookout::Lookout;
use rounds::Rounds;

/// What one configuration has to do besides requests.
#[derive(Debug)]
pub struct Upkeep {
    /// Higher than those of the configurations before it in this VM.
    number: u64,
    lookout: Option<Lookout>,
    rounds: Rounds,
}

impl Upkeep {
    /// Of this configuration, in the VM of this view.
    pub fn new(config: &Config, view: &mut View) -> Self {
        Self {
            number: view.number_configuration(),
            lookout: Lookout::new(config),
            rounds: Rounds::new(&config.backends),
        }
    }

    /// To be called every 50 ms or so.
    pub fn tick(&mut self, router: &Router, view: &mut View, host: &impl Host) {
        let now = host.now();
        if view.refresh(host, now).is_err() {
            host.record(Metric::InternalErrors(Internal::SharedData), 1);
        }
        router.announce(view, host);
        if !view.leads() {
            return;
        }
        show(router, view, host, now);
        // Envoy starts its workers, each with a VM, once it has resolved and checked its clusters. Before that nobody is
        // served, and a host that was not checked yet looks like a dead one.
        if view.is_alone() {
            return;
        }
        let mut cx = Cx { number: self.number, router, view, host, now };
        if let Some(lookout) = &mut self.lookout {
            lookout.tick(&mut cx);
        }
        self.rounds.tick(&mut cx);
    }

    /// The answer to one of the calls, or that there will be none.
    pub fn answered(&mut self, router: &Router, view: &mut View, host: &impl Host, answer: &Answer) {
        let mut cx = Cx { number: self.number, router, view, host, now: host.now() };
        if !self.lookout.as_mut().is_some_and(|lookout| lookout.answered(&mut cx, answer)) {
            self.rounds.answered(&mut cx, answer);
        }
    }
}

/// Shows an operator how the backends stand, and what is spent.
fn show(router: &Router, view: &View, host: &impl Host, now: Timestamp) {
    if let Some(account) = view.ledger().account(AccountKey::ALL) {
        for span in Span::ALL {
            host.record(Metric::BudgetSpent(span), account.spending(span, now).spent().micro_usd());
        }
    }
    for (index, backend, place) in router.places() {
        let record = view.record(place);
        host.record(Metric::InFlight(index), record.in_flight().into());
        // A breaker that was disabled while it was open stays so in the record, and concerns nobody.
        let phase = backend.breaker.map_or(BreakerPhase::Closed, |_| record.breaker.phase);
        host.record(Metric::BreakerState(index), phase.code().into());
        host.record(Metric::Health(index), (record.health(backend, now) * 1e3).round() as u64);
        host.record(Metric::ResponseTime(index), record.response_time_ms(backend, now) as u64);
        if let Some(share) = record.quota.headroom(&record.demand(Tokens(0)), now) {
            host.record(Metric::QuotaRemaining(index), PerMille::from_ratio(share).get().into());
        }
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
