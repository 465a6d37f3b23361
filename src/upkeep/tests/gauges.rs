//! What is shown of the backends there are, and of those that are gone.

use super::*;
use crate::domain::{BackendIndex, Tokens};
use crate::metrics::Metric;
use crate::state::Leaving;
use crate::upkeep::{farewell, retire};

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
fn who_may_be_asked_is_shown_and_who_is_gone_is_not_counted() {
    let mut rig = Rig::new(&json!({"backend_instances": {"a": {}, "b": {}}}));
    let shown = |rig: &Rig| {
        let figures = rig.world.figures.borrow();
        [0, 1].map(BackendIndex).map(|n| (figures[&Metric::Present(n)], figures[&Metric::Available(n)]))
    };
    rig.run(100, None);
    assert_eq!(shown(&rig), [(1, 1); 2]);
    let change = |rig: &mut Rig, change: Change<'_>| {
        assert!(rig.vm.router.steering().change(&rig.world, change).expect("stored").is_ok());
        let before = rig.vm.follow(&rig.world).expect("another router");
        rig.run(100, None);
        farewell(&before, &rig.vm.router, &mut rig.vm.view, &rig.world);
    };
    let now = rig.world.now();
    change(&mut rig, Change::Drain { id: "a", reason: "", by: "", now });
    assert_eq!(shown(&rig), [(1, 0), (1, 1)]);
    change(&mut rig, Change::Remove("b"));
    assert_eq!(shown(&rig), [(1, 0), (0, 0)]);
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
fn the_gauges_of_a_backend_that_is_gone_come_to_rest() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&["a", "b"]));
    rig.run(5_000, Some(0));
    assert_eq!(rig.metric("backend_health"), 0);
    let config = |ids: &[&str]| {
        let backends: serde_json::Map<_, _> = ids.iter().map(|id| ((*id).to_owned(), json!({}))).collect();
        config::parse(json!({ "backend_instances": backends }).to_string().as_bytes()).expect("a configuration")
    };
    retire(&config(&["a", "b"]), Some(&config(&["a", "b", "c"])), &rig.world);
    assert_eq!(rig.metric("backend_health"), 0);
    retire(&config(&["a", "b"]), Some(&config(&["a"])), &rig.world);
    assert_eq!((rig.metric("backend_health"), rig.metric("response_time_ms")), (1000, 0));
}
