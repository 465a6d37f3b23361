//! Backends that come and go while there is work at them.

use super::discovery::{discovering, dump};
use super::*;
use crate::config::MOST_BACKENDS;
use crate::domain::{BackendIndex, Tokens};
use crate::metrics::Metric;
use crate::state::{Backends, Departure, Lane, Leaving, Newcomer, WaitingList};
use crate::upkeep::farewell;

/// Backends a and b; then an operator removes b, where another worker has a request under way.
fn removed_while_another_is_busy_there() -> (Rig, Router, Leaving) {
    let mut rig = Rig::new(&json!({"backend_instances": {"a": {}, "b": {}}}));
    rig.run(100, None);
    let place = rig.other.place(&rig.world, "b").expect("placed");
    rig.other.enter_unasked(place, Tokens(5)).expect("entered");
    rig.run(200, None);
    let removed = rig.vm.router.steering().change(&rig.world, Change::Remove("b"));
    assert!(removed.expect("stored").is_ok());
    let before = rig.vm.follow(&rig.world).expect("another router");
    (rig, before, Leaving { tokens: Tokens(5), reported: false, at_once: true })
}

#[test]
fn a_backend_that_is_gone_is_watched_until_the_last_request_there_has_ended_on_whatever_worker() {
    let (mut rig, before, leaving) = removed_while_another_is_busy_there();
    let is_busy = |rig: &mut Rig| {
        rig.run(50, None);
        farewell(&before, &rig.vm.router, &mut rig.vm.view, &rig.world)
    };
    // Longer than what nobody has any more is read.
    for _ in 0..160 {
        assert!(is_busy(&mut rig));
    }
    let place = rig.other.place(&rig.world, "b").expect("placed");
    let outcome = Outcome::new(&backend("b"), None, Verdict::Well, rig.world.now());
    rig.other.leave(&rig.world, place, leaving, &outcome).expect("left");
    assert!(!is_busy(&mut rig));
}

#[test]
fn the_room_that_a_backend_needs_is_its_own_though_others_come_before_it() {
    let mut rig = Rig::new(&json!({"backend_instances": {"a": {}, "b": {}}}));
    rig.run(100, None);
    let place = rig.vm.view.place(&rig.world, "a").expect("placed");
    for _ in 0..40 {
        rig.vm.view.enter_unasked(place, Tokens(5)).expect("entered");
    }
    rig.run(60_000, None);
    let shown = |rig: &Rig, n| rig.world.figures.borrow().get(&Metric::DesiredCapacity(BackendIndex(n))).copied();
    assert_eq!((shown(&rig, 0), shown(&rig, 1)), (Some(50), Some(0)));
    rig.vm.set(&rig.world, "A", &json!({}));
    // Envoy goes by the id, this world by the index: what it reads there is of another.
    rig.world.figures.borrow_mut().clear();
    rig.run(100, None);
    assert_eq!((shown(&rig, 0), shown(&rig, 1), shown(&rig, 2)), (Some(0), Some(50), Some(0)));
}

#[test]
fn what_a_backend_costs_unasked_is_a_gauge() {
    let mut rig = Rig::new(&json!({"backend_instances": {"a": {"fixed_cost_per_hour_usd": 1.2}, "b": {}}}));
    rig.run(100, None);
    let shown = |rig: &Rig, n| rig.world.figures.borrow().get(&Metric::FixedCost(BackendIndex(n))).copied();
    assert_eq!((shown(&rig, 0), shown(&rig, 1)), (Some(1_200_000), Some(0)));
}

#[test]
fn requests_that_wait_are_room_that_the_backends_need_which_may_serve_them() {
    let mut rig = Rig::new(&json!({"queue": {"size": 100}, "backend_instances": {"a": {}, "b": {}, "c": {}}}));
    rig.run(100, None);
    let config = Arc::clone(rig.vm.router.config());
    let wait = |rig: &Rig, ids: &[&str]| {
        let mut backends = Backends::NONE;
        config.backends.iter().filter(|backend| ids.contains(&&*backend.id)).for_each(|backend| backends.add(backend));
        let newcomer = Newcomer { member: 0, lane: Lane::of(None), backends, patience: Duration::from_secs(600) };
        WaitingList::join(&rig.world, &newcomer, 100, rig.world.now()).expect("stored").expect("room");
    };
    // Sixteen wait for a alone, eight for either a or b; nobody for c.
    (0..16).for_each(|_| wait(&rig, &["a"]));
    (0..8).for_each(|_| wait(&rig, &["a", "b"]));
    let shown = |rig: &Rig, n| rig.world.figures.borrow().get(&Metric::DesiredCapacity(BackendIndex(n))).copied();
    rig.run(60_000, None);
    assert_eq!((shown(&rig, 0), shown(&rig, 1), shown(&rig, 2)), (Some(25), Some(5), Some(0)));
    assert_eq!(rig.world.figures.borrow().get(&Metric::QueueDepth).copied(), Some(24));
    // They are under way now, and wait no more: the room that is needed is the same.
    let place = rig.vm.view.place(&rig.world, "a").expect("placed");
    for _ in 0..20 {
        rig.vm.view.enter_unasked(place, Tokens(5)).expect("entered");
    }
    let list = WaitingList::read(&rig.world, rig.world.now()).expect("a list");
    let gone: Vec<_> = list.tickets().iter().map(|it| Departure { position: it.position, served: true }).collect();
    WaitingList::part(&rig.world, &gone, rig.world.now()).expect("stored");
    rig.run(1_000, None);
    assert_eq!(shown(&rig, 0), Some(25));
}

#[test]
fn discovered_backends_for_which_there_is_no_room_are_told_of_once_and_come_when_there_is() {
    let mut rig = Rig::new(&discovering());
    let ids: Vec<_> = (0..MOST_BACKENDS + 9).map(|n| format!("d{n}")).collect();
    let clusters: Vec<_> = ids.iter().map(|id| (id.as_str(), json!({}))).collect();
    rig.discover(6, &dump(&[]), &dump(&clusters));
    let count = |rig: &Rig| rig.vm.router.config().backends.len();
    let mistakes = |rig: &Rig| rig.metric("internal_errors_total.kind.discovery");
    assert_eq!((count(&rig), mistakes(&rig)), (MOST_BACKENDS, 10));
    let told = rig.world.lines().join("\n").matches(": there are as many backends as there may be").count();
    assert_eq!(told, 10);
    let removed = rig.vm.router.steering().change(&rig.world, Change::Remove("d7"));
    assert!(removed.expect("stored").is_ok());
    rig.discover(3, &dump(&[]), &dump(&clusters));
    assert_eq!((count(&rig), mistakes(&rig)), (MOST_BACKENDS, 10), "one of the ten has its place");
    rig.discover(6, &dump(&[]), &dump(&clusters[20..]));
    assert_eq!((count(&rig), rig.ids().contains("d264")), (1 + clusters.len() - 20, true));
}
