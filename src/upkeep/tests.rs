//! The upkeep in a world in memory, by virtual time.

mod alerts;
mod changes;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Answer, Upkeep, farewell};
use crate::config::{self, LogLevel};
use crate::domain::{Backend, Failure, Timestamp, Tokens, Weight};
use crate::exchange::Router;
use crate::health::{Component, Condition, Verdict};
use crate::host::fake::{self, World};
use crate::host::{CallId, Host};
use crate::routing::testing::{at, backend};
use crate::state::{Leaving, Outcome, Record, View, details};
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
        let changed = self.router.steering().change(world, Change::Set { backend: &backend, body: &body });
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
fn what_envoy_knows_is_in_the_records_with_the_next_look() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(3_000, Some(3));
    assert_eq!((rig.available("a"), rig.available("b")), (1000, 1000));
    assert_eq!(rig.world.calls.borrow().len(), 3);
    rig.says(&picture(&["a"]));
    rig.run(1_050, Some(3));
    assert_eq!((rig.available("a"), rig.available("b")), (0, 1000));
    assert_eq!((rig.metric("backend_health.backend_id.unknown"), rig.metric("internal_errors")), (1000, 0));
    rig.says(&picture(&[]));
    rig.run(1_050, Some(3));
    assert_eq!(rig.available("a"), 1000);
    assert_eq!(rig.lines("hosts"), [LogLevel::Warn, LogLevel::Info]);
}

#[test]
fn a_picture_in_which_nothing_changed_is_seldom_written() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(2_000, Some(3));
    rig.world.written.take();
    rig.run(60_000, Some(3));
    let writes = rig.world.written.take().iter().filter(|key| key.contains("/backend/")).count();
    assert!((40..=62).contains(&writes), "{writes} for 2 backends and 60 looks");
    assert!(rig.record("a").hosts.is_valid(rig.world.now()));
}

#[test]
fn a_picture_ages_out_after_three_intervals_without_a_new_one() {
    for answered in [None, Some(0)] {
        let mut rig = Rig::new(&watching());
        rig.says(&picture(&["a"]));
        rig.run(3_000, Some(0));
        assert_eq!(rig.available("a"), 0);
        rig.says(&json!({"cluster_statuses": "?"}));
        rig.run(1_900, answered);
        assert_eq!(rig.available("a"), 0);
        rig.run(1_200, answered);
        assert_eq!(rig.available("a"), 1000);
        // It is said once, however long it lasts, and so is the end of it.
        rig.run(20_000, answered);
        assert_eq!(rig.lines("envoy_admin").len(), usize::from(answered.is_some()));
        assert_eq!(rig.metric("internal_errors_total.kind.envoy_admin") > 10, answered.is_some());
        rig.says(&picture(&["a"]));
        rig.run(8_000, Some(0));
        assert_eq!(rig.available("a"), 0);
        assert_eq!(rig.lines("envoy_admin").len(), 2 * usize::from(answered.is_some()));
    }
}

#[test]
fn an_answer_that_is_none_and_a_cluster_that_is_not_there_count_as_failures() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.vm.tick(&rig.world);
    let call = rig.world.calls.borrow()[0].id;
    rig.vm.hear(&rig.world, CallId(99), true);
    rig.vm.hear(&rig.world, call, false);
    rig.vm.hear(&rig.world, call, true);
    assert_eq!(rig.metric("kind.envoy_admin"), 1);
    rig.world.missing.set("admin");
    rig.run(5_000, Some(0));
    assert_eq!(rig.metric("kind.envoy_admin"), 5);
    rig.world.missing.set("");
    rig.world.call_status.set(403);
    rig.run(1_000, Some(0));
    assert_eq!(rig.metric("kind.envoy_admin"), 6);
    assert_eq!(rig.lines("envoy_admin"), [LogLevel::Warn]);
}

#[test]
fn a_large_list_is_fetched_in_pieces_and_one_beyond_all_measure_not_at_all() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(1_000, Some(0));
    // As text: a tree of it would take a hundred megabytes.
    let filler = json!({"name": "x", "host_statuses": [{"stats": vec![json!({"name": "rq_total"}); 40]}]});
    let others = format!("{filler},").repeat(2_000);
    let list =
        picture(&["a"]).to_string().replacen("\"cluster_statuses\":[", &format!("\"cluster_statuses\":[{others}"), 1);
    rig.world.call_body.replace(list.into_bytes());
    assert!(rig.world.call_body.borrow().len() > 1_500_000);
    rig.run(1_000, Some(0));
    assert_eq!((rig.available("a"), rig.world.largest_piece.get()), (0, 64 * 1024));
    rig.world.call_body.replace(vec![b' '; (32 << 20) + 1]);
    rig.world.largest_piece.set(0);
    rig.run(1_000, Some(0));
    assert_eq!((rig.metric("kind.envoy_admin"), rig.world.largest_piece.get()), (1, 0));
}

#[test]
fn news_that_could_not_be_written_is_written_after_the_next_look() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(1_000, Some(0));
    rig.says(&picture(&["a"]));
    rig.vm.tick(&rig.world);
    rig.world.unwritable.set(true);
    rig.vm.hear(&rig.world, CallId(1), true);
    assert!(rig.metric("shared_data") > 0 && rig.available("a") > 0);
    rig.world.unwritable.set(false);
    rig.run(1_050, Some(0));
    assert_eq!(rig.available("a"), 0);
}

#[test]
fn a_backend_is_out_after_so_many_failed_checks_in_a_row_and_back_after_so_many_good_ones() {
    let mut rig = Rig::new(&checking());
    let mut story = Vec::new();
    for status in ["healthy", "unhealthy", "unhealthy", "unhealthy", "healthy", "healthy"] {
        rig.says(&json!({ "status": status }));
        let before = rig.world.calls.borrow().len();
        while rig.world.calls.borrow().len() == before {
            rig.run(50, Some(20));
        }
        let (probes, now) = (rig.record("a").probes, rig.world.now());
        story.push((probes.is_unhealthy(now), (probes.score(now) * 1e3).round() as u64));
    }
    assert_eq!(story, [(false, 1000), (false, 666), (false, 333), (true, 0), (true, 1000), (false, 1000)]);
    assert_eq!(rig.lines("health_check"), [LogLevel::Warn, LogLevel::Warn, LogLevel::Info]);
    let probes = rig.record("a").probes;
    assert_eq!(
        (probes.response_time, probes.condition(rig.world.now())),
        (Duration::from_millis(20), Some(Condition::Healthy))
    );
    assert!(rig.world.calls.borrow().iter().all(|call| call.cluster == "a" && call.path == "/health"));
    assert_eq!(rig.record("b").probes.checked_at, Timestamp::default(), "nobody checks b");
}

#[test]
fn a_quota_that_checks_hear_of_is_known_before_the_first_request_and_not_used_up_by_checks() {
    let mut rig = Rig::new(&checking());
    rig.says(&json!({"status": "healthy"}));
    let told = [("x-ratelimit-limit-requests", "1000"), ("x-ratelimit-remaining-requests", "700")];
    rig.world.call_headers.replace(fake::headers(&told));
    for _ in 0..20 {
        rig.run(60_000, Some(20));
        let (record, now) = (rig.record("a"), rig.world.now());
        let headroom = record.quota.headroom(&record.demand(Tokens(0)), now).expect("known");
        assert!((headroom - 0.7).abs() < 0.01, "{headroom}");
    }
    assert!(!rig.record("b").quota.is_known(rig.world.now()), "nobody checks b");
}

#[test]
fn what_a_backend_says_of_itself_is_kept_for_all_workers_and_written_when_it_changes() {
    let mut rig = Rig::new(&checking());
    let key = "llm-router/1/details/a";
    let writes = |rig: &Rig| rig.world.written.take().iter().filter(|written| *written == key).count();
    rig.says(&json!({"status": "healthy"}));
    rig.run(60_000, Some(20));
    assert_eq!(writes(&rig), 0, "it says nothing");
    rig.says(&json!({"status": "healthy", "core_version": "1.5.7", "knowledge_base_size": 15_000}));
    rig.world.call_headers.replace(fake::headers(&[("api-version", "v1")]));
    rig.run(60_000, Some(20));
    assert_eq!(writes(&rig), 1);
    rig.says(&json!({"status": "unhealthy"}));
    rig.run(60_000, Some(20));
    let details = details(&rig.world, "a");
    assert_eq!((details.api_version.as_deref(), details.core_version.as_deref()), (Some("v1"), Some("1.5.7")));
    assert_eq!((details.knowledge_base_size, details.memory_usage_mb, writes(&rig)), (Some(15_000), None, 0));
}

#[test]
fn a_degraded_backend_is_less_well_but_not_out() {
    let mut rig = Rig::new(&checking());
    rig.says(&json!({"status": "degraded", "graph_db_status": "healthy", "embeddings_status": "unhealthy"}));
    rig.run(60_000, Some(20));
    let (record, now) = (rig.record("a"), rig.world.now());
    assert!(
        !record.probes.is_unhealthy(now) && (record.probes.score(now).mul_add(record.answers(now), -0.7)).abs() < 1e-9
    );
    assert_eq!(record.probes.components.get(Component::Embeddings), Some(false));
    assert_eq!(rig.lines("health_check"), [LogLevel::Warn]);
}

#[test]
fn a_cluster_that_cannot_be_asked_fails_its_checks_at_the_usual_pace() {
    let mut rig = Rig::new(&checking());
    rig.world.missing.set("a");
    rig.run(35_000, None);
    assert!((4..=5).contains(&rig.world.calls.borrow().len()));
    assert!(rig.record("a").probes.is_unhealthy(rig.world.now()));
}

#[test]
fn a_backend_is_never_asked_twice_at_once_and_a_lost_answer_does_not_end_the_checks() {
    let mut config = checking();
    config["backend_instances"]["a"]["health_check"]["interval_seconds"] = 0.5.into();
    let mut rig = Rig::new(&config);
    rig.run(7_900, None);
    assert_eq!(rig.world.calls.borrow().len(), 1, "its timeout is 3 s, and Envoy keeps to it");
    rig.run(1_000, None);
    assert_eq!(rig.world.calls.borrow().len(), 2, "it never came");
}

#[test]
fn checks_of_many_backends_spread_out_by_a_tenth_either_way_and_always_the_same_way() {
    let backends: serde_json::Map<_, _> =
        (0..40).map(|n| (format!("b{n}"), json!({"health_check": {"path": "/", "interval_seconds": 10}}))).collect();
    let config = json!({ "backend_instances": backends });
    let moments = || {
        let mut rig = Rig::new(&config);
        rig.run(60_000, Some(0));
        rig.world.calls.take()
    };
    let calls = moments();
    assert_eq!(calls, moments());
    let mut seconds = Vec::new();
    for id in backends.keys() {
        let at: Vec<u64> =
            calls.iter().filter(|call| call.cluster == *id).map(|call| call.at.as_micros() / 1_000).collect();
        seconds.push(at[1]);
        assert!(at.windows(2).all(|pair| (9_000..=11_050).contains(&(pair[1] - pair[0]))), "{at:?}");
    }
    seconds.sort_unstable();
    assert!(seconds[39] - seconds[0] > 1_500, "{seconds:?}");
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
fn a_breaker_that_is_disabled_while_it_is_open_is_shown_as_closed() {
    let config = |enabled: bool| json!({"backend_instances": {"a": {"circuit_breaker": {"enabled": enabled}}}});
    let mut rig = Rig::new(&config(true));
    let (_, backend, place) = rig.vm.router.places().next().expect("a");
    let (settings, now) = (backend.breaker.expect("a breaker"), rig.world.now());
    rig.vm.view.change(&rig.world, place, now, |record| record.breaker.open_by_hand(&settings, now)).expect("changed");
    rig.run(100, None);
    assert_eq!(rig.metric("circuit_breaker_state"), 2);
    (rig.vm.router, rig.vm.upkeep) = configured(&rig.world, &mut rig.vm.view, &config(false));
    rig.run(100, None);
    assert_eq!(rig.metric("circuit_breaker_state"), 0);
}

#[test]
fn a_check_under_way_while_backends_change_is_waited_for() {
    let mut rig = Rig::new(&checking());
    rig.says(&json!({"status": "healthy"}));
    rig.run(100, None);
    let calls = |rig: &Rig| rig.world.calls.borrow().clone();
    let call = calls(&rig)[0].clone();
    // Another backend comes first now, and it is asked, too.
    let check = json!({"health_check": {"path": "/health", "interval_seconds": 10}});
    for n in 0..5 {
        rig.vm.set(&rig.world, "A", &json!({"weight": n + 1, "health_check": check["health_check"]}));
        rig.run(100, None);
    }
    let clusters: Vec<_> = calls(&rig).iter().map(|call| call.cluster.clone()).collect();
    assert_eq!(clusters, ["a", "A"], "each of them once");
    rig.vm.hear(&rig.world, call.id, true);
    assert!(rig.record("a").probes.checked_at > Timestamp::default());
    assert_eq!(rig.record("A").probes.checked_at, Timestamp::default());
    rig.run(8_000, None);
    assert_eq!(calls(&rig).len(), 2, "the next is due ten seconds after the last");

    // What is asked changes: the answer to the old question is of no interest.
    rig.run(3_000, None);
    let old = calls(&rig).pop().expect("asked again");
    rig.vm.set(&rig.world, "a", &json!({"health_check": {"path": "/other", "interval_seconds": 10}}));
    rig.run(100, None);
    let before = rig.record("a").probes.checked_at;
    rig.vm.hear(&rig.world, old.id, true);
    assert_eq!(rig.record("a").probes.checked_at, before);
}

#[test]
fn a_backend_that_is_registered_is_looked_for_at_once_and_not_taken_for_missing() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(1_000, Some(0));
    rig.vm.tick(&rig.world);
    let looked = rig.world.calls.borrow().len();
    let old = rig.world.calls.borrow()[looked - 1].id;
    rig.vm.set(&rig.world, "other", &json!({}));
    rig.vm.hear(&rig.world, old, true);
    assert_eq!(rig.available("other"), 1000, "that list was not asked for it");
    rig.run(100, Some(0));
    let path = rig.world.calls.borrow().last().expect("a look").path.clone();
    assert!(path.ends_with("%5E%28a%7Cb%7Cother%29%24") && rig.world.calls.borrow().len() == looked + 1, "{path}");
    rig.vm.set(&rig.world, "nowhere", &json!({}));
    rig.run(100, Some(0));
    assert_eq!((rig.available("other"), rig.available("nowhere")), (1000, 0), "Envoy has no such cluster");
    // A change that is none of the clusters looks no sooner.
    let looked = rig.world.calls.borrow().len();
    rig.vm.set(&rig.world, "a", &json!({"weight": 5}));
    rig.run(500, Some(0));
    assert_eq!(rig.world.calls.borrow().len(), looked);
}

#[test]
fn a_backend_that_is_gone_is_shown_until_nothing_is_under_way_there() {
    let mut rig = Rig::new(&json!({"backend_instances": {"a": {}, "b": {}}}));
    rig.run(100, None);
    let Rig { world, vm, .. } = &mut rig;
    let place = vm.view.place(world, "b").expect("placed");
    vm.view.enter_unasked(place, Tokens(5)).expect("entered");
    let removed = vm.router.steering().change(world, Change::Remove("b"));
    assert!(removed.expect("stored").is_ok());
    let before = vm.follow(world).expect("another router");
    vm.tick(world);
    assert!(farewell(&before, &vm.router, &mut vm.view, world));
    assert_eq!(world.metric("in_flight"), 1);
    let outcome = Outcome::new(&backend("b"), None, Verdict::Well, world.now());
    let leaving = Leaving { tokens: Tokens(5), reported: false, at_once: true };
    vm.view.leave(world, place, leaving, &outcome).expect("left");
    assert!(!farewell(&before, &vm.router, &mut vm.view, world));
    assert_eq!((world.metric("in_flight"), world.metric("backend_health.backend_id.unknown.")), (0, 1_000));
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

#[test]
fn the_gauges_of_a_backend_that_is_gone_come_to_rest() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&["a", "b"]));
    rig.run(5_000, Some(0));
    assert_eq!(rig.metric("backend_health"), 0);
    let config = |ids: &[&str]| {
        let backends: serde_json::Map<_, _> = ids.iter().map(|id| ((*id).to_owned(), json!({}))).collect();
        config::parse(json!({ "backend_instances": backends }).to_string().as_bytes()).expect("a configuration")
    };
    super::retire(&config(&["a", "b"]), Some(&config(&["a", "b", "c"])), &rig.world);
    assert_eq!(rig.metric("backend_health"), 0);
    super::retire(&config(&["a", "b"]), Some(&config(&["a"])), &rig.world);
    assert_eq!((rig.metric("backend_health"), rig.metric("response_time_ms")), (1000, 0));
}

/// Backend a is configured; clusters may say that they are more.
fn discovering() -> Value {
    json!({"envoy_admin": {"cluster": "admin", "interval_ms": 1_000}, "discovery": {"enabled": true},
        "backend_instances": {"a": {}}})
}

fn dump(clusters: &[(&str, Value)]) -> Value {
    let config = |(name, metadata): &(&str, Value)| json!({"cluster": {"name": name, "metadata": {"filter_metadata": {"llm_router": metadata}}}});
    json!({"configs": clusters.iter().map(config).collect::<Vec<_>>()})
}

impl Rig {
    /// Lets Envoy look through its clusters for so many intervals: those of its bootstrap, and those that came since.
    fn discover(&mut self, intervals: u64, bootstrap: &Value, current: &Value) {
        let end = self.world.now().after(Duration::from_secs(intervals));
        while self.world.now() < end {
            let before = self.world.calls.borrow().len();
            let _ = self.other.refresh(&self.world, self.world.now());
            self.vm.follow(&self.world);
            self.vm.tick(&self.world);
            let made = self.world.calls.borrow()[before..].to_vec();
            for call in made {
                self.says(if call.path.contains("resource=static_clusters&") {
                    bootstrap
                } else if call.path.contains("resource=dynamic_active_clusters&") {
                    current
                } else {
                    &Value::Null
                });
                self.vm.hear(&self.world, call.id, true);
            }
            self.world.pass_millis(50);
        }
    }

    /// Who is in effect, those in brackets that drain.
    fn ids(&self) -> String {
        let id = |backend: &Backend| {
            if backend.draining { format!("({})", backend.id) } else { backend.id.to_string() }
        };
        self.vm.router.config().backends.iter().map(id).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn clusters_that_say_so_are_backends_and_drain_before_they_go() {
    let mut rig = Rig::new(&discovering());
    let fixed = dump(&[("s", json!({"weight": "2.5"})), ("a", json!({"weight": 9}))]);
    let [none, some] = [dump(&[]), dump(&[("d.1", json!({"id": "d"}))])];
    rig.discover(1, &fixed, &json!({}));
    assert_eq!(rig.ids(), "a s", "what is configured wins");
    let backends = &rig.vm.router.config().backends;
    assert_eq!((backends[0].weight.thousandths(), backends[1].weight.thousandths()), (1_000, 2_500));
    rig.discover(1, &none, &some);
    assert_eq!(rig.ids(), "a d s");
    assert_eq!(&*rig.vm.router.config().backends[1].cluster, "d.1");
    rig.world.written.take();
    rig.discover(5, &none, &some);
    assert!(!rig.world.written.take().iter().any(|key| key.contains("steering")), "there was no news");
    rig.discover(1, &none, &none);
    assert_eq!(rig.ids(), "a (d) s");
    rig.discover(1, &none, &some);
    assert_eq!(rig.ids(), "a d s", "it came back");
    rig.discover(2, &none, &none);
    assert_eq!(rig.ids(), "a s");
    assert_eq!(rig.lines("discovery").len(), 2 + 3 + 1, "{:?}", rig.world.lines());

    // Nothing that can be read: what was found stays.
    rig.discover(1, &none, &some);
    for unreadable in [json!([]), json!({"configs": [{}]}), json!("x")] {
        rig.discover(3, &none, &unreadable);
        assert_eq!(rig.ids(), "a d s");
    }
    rig.world.call_status.set(503);
    rig.discover(3, &none, &none);
    rig.world.call_status.set(200);
    rig.world.missing.set("admin");
    rig.discover(3, &none, &none);
    assert_eq!(rig.ids(), "a d s");
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 0);
}

#[test]
fn what_an_operator_says_of_a_discovered_backend_holds() {
    let mut rig = Rig::new(&discovering());
    let (fixed, none) = (dump(&[("s", json!({})), ("t", json!({})), ("u", json!({}))]), dump(&[]));
    rig.discover(1, &fixed, &none);
    let change = |rig: &mut Rig, change: Change<'_>| {
        assert!(rig.vm.router.steering().change(&rig.world, change).expect("stored").is_ok());
        rig.vm.follow(&rig.world);
    };
    let weights = [("t".into(), Weight::from_thousandths(7))];
    change(&mut rig, Change::Remove("s"));
    change(&mut rig, Change::Weigh(&weights));
    change(&mut rig, Change::Drain { id: "u", reason: "", by: "", now: at(0) });
    rig.discover(2, &fixed, &none);
    assert_eq!((rig.ids().as_str(), rig.vm.router.steering().removed()), ("a t (u)", vec!["s"]));
    assert_eq!(rig.vm.router.config().backends[1].weight.thousandths(), 7);
    let source = |id| rig.vm.router.steering().source(id).name();
    assert_eq!([source("a"), source("t")], ["configuration", "discovery"]);
}

#[test]
fn a_cluster_that_describes_itself_wrongly_is_told_of_once_and_hurts_no_other() {
    let mut rig = Rig::new(&discovering());
    let none = dump(&[]);
    let good = dump(&[("d", json!({})), ("e", json!({}))]);
    let bad = dump(&[
        ("d", json!({"wieght": 1})),
        ("e", json!({})),
        ("f", json!({"quality_score": 7})),
        ("g", json!({"id": "e"})),
        ("admin", json!({})),
    ]);
    rig.discover(2, &none, &good);
    rig.discover(5, &none, &bad);
    assert_eq!(rig.ids(), "a d e", "what d said before stays");
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 3);
    let log = rig.world.lines().join("\n");
    for mistake in [
        r#""mistake":"d: wieght: unknown key; did you mean weight?""#,
        r#""mistake":"f: quality_score: 7 is not in 0..=1""#,
        r#""mistake":"g: id: e is that of another""#,
    ] {
        assert_eq!(log.matches(mistake).count(), 1, "{log}");
    }
    rig.discover(3, &none, &good);
    rig.discover(2, &none, &bad);
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 6, "it is a mistake again");
    // So much that there is no room for it is a mistake, and no more.
    let huge: Vec<_> = (0..100).map(|n| format!("h{n}")).collect();
    let path = format!("/{}", "x".repeat(1_000));
    let huge: Vec<_> = huge
        .iter()
        .map(|id| (id.as_str(), json!({"health_check": {"path": path}, "failure_domain": "y".repeat(4_000)})))
        .collect();
    rig.discover(2, &none, &dump(&huge));
    assert_eq!(rig.ids(), "a d e");
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 7);
}
