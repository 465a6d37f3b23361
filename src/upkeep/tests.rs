//! The upkeep in a world in memory, by virtual time.

mod alerts;
mod changes;
mod cost_webhook;
mod discovery;
mod gauges;
mod lookout;
mod misrouting;
mod rounds;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Answer, Upkeep};
use crate::config::{self, LogLevel};
use crate::domain::{Failure, Timestamp};
use crate::exchange::Router;
use crate::health::Verdict;
use crate::host::fake::World;
use crate::host::{CallId, Host};
use crate::routing::testing::backend;
use crate::state::{Outcome, Record, View};
use crate::steering::Change;

/// One VM in a world, with one configuration.
struct Vm {
    router: Router,
    upkeep: Upkeep,
    view: View,
}

impl Vm {
    fn new(world: &World, name: u64, config: &Value) -> Self {
        let mut view = View::new(name);
        let (router, upkeep) = configured(world, &mut view, config);
        Self { router, upkeep, view }
    }

    fn tick(&mut self, world: &World) {
        self.upkeep.tick(&self.router, &mut self.view, world);
    }

    fn hear(&mut self, world: &World, call: CallId, answered: bool) {
        let answer = Answer { call, headers: usize::from(answered) * 2, body: world.call_body.borrow().len() };
        self.upkeep.answered(&self.router, &mut self.view, world, &answer);
    }

    fn record(&mut self, world: &World, id: &str) -> Record {
        let place = self.view.place(world, id).expect("placed");
        self.view.record(place).clone()
    }
}

fn configured(world: &World, view: &mut View, config: &Value) -> (Router, Upkeep) {
    let config = Arc::new(config::parse(config.to_string().as_bytes()).expect("a configuration"));
    let router = Router::new(Arc::clone(&config), view, world, 42).expect("a router");
    (router, Upkeep::new(&config, view))
}

impl Vm {
    /// An operator registers a backend, or changes it.
    fn set(&mut self, world: &World, id: &str, body: &Value) {
        let body = body.to_string();
        let backend = config::commands::backend(id, body.as_bytes()).expect("a backend");
        let changed =
            self.router.steering().change(world, Change::Set { backend: &backend, body: &body, any_cluster: true });
        assert!(changed.expect("stored").is_ok());
        self.follow(world);
    }

    fn follow(&mut self, world: &World) -> Option<Router> {
        let next = self.router.follow(&mut self.view, world)?;
        Some(std::mem::replace(&mut self.router, next))
    }
}

/// A process with two VMs, of which the first leads.
struct Rig {
    world: World,
    vm: Vm,
    other: View,
}

impl Rig {
    fn new(config: &Value) -> Self {
        let world = World::new();
        let (mut vm, mut other) = (Vm::new(&world, 1, config), View::new(2));
        let a_while_ago = Timestamp::from_micros(world.now().as_micros() - 2_000_000);
        vm.view.refresh(&world, a_while_ago).expect("joined");
        other.refresh(&world, a_while_ago).expect("joined");
        Self { world, vm, other }
    }

    /// Lets time pass, tick by tick; each call is answered after `delay`, or never.
    fn run(&mut self, ms: u64, delay: Option<u64>) {
        let end = self.world.now().after(Duration::from_millis(ms));
        while self.world.now() < end {
            let before = self.world.calls.borrow().len();
            // Whether it can be written is not its concern here.
            let _ = self.other.refresh(&self.world, self.world.now());
            self.vm.tick(&self.world);
            let made = self.world.calls.borrow()[before..].to_vec();
            if let Some(delay) = delay {
                for call in made.iter().filter(|call| call.cluster != self.world.missing.get()) {
                    self.world.pass_millis(delay);
                    self.vm.hear(&self.world, call.id, true);
                }
            }
            self.world.pass_millis(50);
        }
    }

    fn says(&self, body: &Value) {
        self.world.call_body.replace(body.to_string().into_bytes());
    }

    fn record(&mut self, id: &str) -> Record {
        self.vm.record(&self.world, id)
    }

    /// The share of hosts that may be sent to, in thousandths.
    fn available(&mut self, id: &str) -> u64 {
        let now = self.world.now();
        (self.record(id).hosts.available(now) * 1e3).round() as u64
    }

    fn metric(&self, part: &str) -> u64 {
        self.world.metric(part)
    }

    fn lines(&self, event: &str) -> Vec<LogLevel> {
        let has = |line: &str| line.contains(&format!(r#""event":"{event}""#));
        self.world.log.borrow().iter().filter(|(_, line)| has(line)).map(|(level, _)| *level).collect()
    }
}

fn watching() -> Value {
    json!({"envoy_admin": {"cluster": "admin", "interval_ms": 1_000}, "backend_instances": {"a": {}, "b": {}}})
}

fn picture(failing: &[&str]) -> Value {
    let cluster = |name: &str| {
        let health = json!({"failed_active_health_check": failing.contains(&name)});
        json!({"name": name, "host_statuses": [{"health_status": health}]})
    };
    json!({"cluster_statuses": [cluster("a"), cluster("b"), cluster("other")]})
}

/// Backends a and b; a is asked how it is every ten seconds.
fn checking() -> Value {
    json!({"backend_instances": {"a": {"backend_type": "lightrag", "health_check": {
        "path": "/health", "interval_seconds": 10, "timeout_seconds": 3,
        "consecutive_failures_threshold": 3, "consecutive_successes_threshold": 2}}, "b": {}}})
}

#[test]
fn only_the_leader_asks() {
    let world = World::new();
    let mut vms: Vec<Vm> = (1..=4).map(|name| Vm::new(&world, name, &watching())).collect();
    for vm in &mut vms {
        vm.tick(&world);
        vm.tick(&world);
    }
    assert!(world.calls.borrow().is_empty(), "it was alone: Envoy had not started its workers");
    world.pass_seconds(1);
    for vm in &mut vms {
        vm.tick(&world);
    }
    let calls = world.calls.borrow().clone();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].cluster.as_str(), calls[0].path.as_str()),
        ("admin", "/clusters?format=json&filter=%5E%28a%7Cb%29%24")
    );
    assert!(vms[0].view.leads());
}

#[test]
fn a_new_leader_goes_on_where_the_last_one_stopped() {
    let mut rig = Rig::new(&checking());
    rig.says(&json!({"status": "unhealthy"}));
    rig.run(15_000, Some(0));
    assert_eq!(rig.record("a").probes.failures, 2);
    let (mut next, mut third) = (Vm::new(&rig.world, 2, &checking()), View::new(3));
    let before = rig.world.calls.borrow().len();
    let death = rig.world.now();
    // The first one is heard of no more; nobody leads until its lease has run out, and its results still hold.
    while rig.world.calls.borrow().len() == before {
        rig.world.pass_millis(50);
        third.refresh(&rig.world, rig.world.now()).expect("refreshed");
        next.tick(&rig.world);
        assert!(next.view.leads() || rig.world.now() <= death.after(Duration::from_secs(2)), "no leader for so long");
    }
    let calls = rig.world.calls.borrow()[before..].to_vec();
    assert_eq!(calls.len(), 1, "at the pace of the last one");
    next.hear(&rig.world, calls[0].id, true);
    assert!(next.record(&rig.world, "a").probes.is_unhealthy(rig.world.now()));
}

#[test]
fn while_configurations_are_swapped_only_the_new_one_looks_after_the_backends_of_both() {
    let mut rig = Rig::new(&checking());
    rig.run(50, Some(0));
    let mut config = checking();
    config["backend_instances"]["a"]["health_check"]["path"] = "/new".into();
    let (router, mut upkeep) = configured(&rig.world, &mut rig.vm.view, &config);
    for second in 1..=20 {
        rig.world.set_seconds(1_000 + second);
        rig.other.refresh(&rig.world, rig.world.now()).expect("refreshed");
        rig.vm.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    }
    rig.vm.tick(&rig.world);
    let late = rig.world.calls.borrow().last().expect("a call of the old one").id;
    upkeep.tick(&router, &mut rig.vm.view, &rig.world);
    rig.vm.hear(&rig.world, late, true);
    assert_eq!(rig.record("a").probes.successes, 1, "what the old one hears is no longer asked for");
    for _ in 0..1_000 {
        rig.world.pass_millis(50);
        rig.other.refresh(&rig.world, rig.world.now()).expect("refreshed");
        rig.vm.tick(&rig.world);
        upkeep.tick(&router, &mut rig.vm.view, &rig.world);
    }
    let calls = rig.world.calls.borrow().clone();
    let after = calls.iter().filter(|call| call.id.0 > late.0);
    assert!(after.clone().count() >= 4 && after.clone().all(|call| call.path == "/new"), "{calls:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_clock_and_the_answers_do_news_gets_through_in_the_end(
        events in prop::collection::vec((0..8_u8, 0..5_000_u64), 0..80)
    ) {
        let mut config = checking();
        config["envoy_admin"] = json!({"cluster": "admin", "interval_ms": 1_000});
        let mut rig = Rig::new(&config);
        let bodies = [picture(&["a"]), json!({"status": "down"}), json!(null), picture(&[])];
        for (event, step) in events {
            let (now, start) = (rig.world.now.get(), World::START.as_micros());
            match event {
                0 => rig.world.now.set(now.saturating_sub(1_000 * step).max(start)),
                1 => rig.world.pass_millis(step),
                2 => rig.world.pass_seconds(step),
                3 => {
                    let calls = rig.world.calls.borrow().len() as u64;
                    rig.vm.hear(&rig.world, CallId((step % calls.max(1)) as u32), step % 3 > 0);
                }
                4 => rig.world.call_body.replace(bodies[(step % 4) as usize].to_string().into_bytes()).clear(),
                5 => rig.world.unwritable.set(step % 3 == 0),
                _ => rig.vm.tick(&rig.world),
            }
        }
        rig.world.unwritable.set(false);
        rig.says(&picture(&["a"]));
        rig.run(40_000, Some(0));
        prop_assert_eq!(rig.available("a"), 0);
        // Nothing that it ever held against a backend holds for ever.
        rig.says(&picture(&[]));
        rig.run(40_000, Some(0));
        let now = rig.world.now();
        prop_assert!((rig.record("a").answers(now) * rig.record("a").probes.score(now) - 1.0).abs() < 1e-9 && !rig.record("a").probes.is_unhealthy(now));
    }
}

#[test]
fn what_no_router_has_is_not_read_at_each_tick() {
    let mut rig = Rig::new(&watching());
    rig.run(100, None);
    let Rig { world, vm, other } = &mut rig;
    let place = vm.view.place(world, "c").expect("placed");
    vm.view.has(place, world.now());
    let failures = |vm: &mut Vm| vm.view.record(place).window.failures();
    let ill = |world: &World, other: &mut View| {
        let place = other.place(world, "c").expect("placed");
        let verdict = Verdict::Ill(Failure::Reset);
        let outcome = Outcome::new(&backend("c"), None, verdict, world.now());
        other.learn(world, place, &outcome, true).expect("written");
    };
    ill(world, other);
    vm.tick(world);
    assert_eq!(failures(vm), 1, "it was there a moment ago");
    world.pass_seconds(6);
    ill(world, other);
    vm.tick(world);
    assert_eq!(failures(vm), 1);
    vm.view.place(world, "c").expect("back again");
    vm.tick(world);
    assert_eq!(failures(vm), 2);
}
