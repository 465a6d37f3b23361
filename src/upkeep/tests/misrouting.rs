//! What operators are told of an Envoy that does not do what was decided.

use super::*;
use crate::domain::Misrouting;
use crate::exchange::{Context, Exchange};
use crate::host::{Property, fake};

fn config() -> Value {
    json!({"backend_instances": {"a": {"priority": 1}, "b": {"priority": 2}}})
}

/// A request that another cluster answers than was decided.
fn stray(rig: &mut Rig) {
    let Rig { world, vm, .. } = rig;
    let mut exchange = Exchange::default();
    world.request.replace(fake::headers(&[(":path", "/v1/models"), (":method", "GET")]));
    world.response.replace(fake::headers(&[(":status", "200")]));
    world.set_number(Property::AttemptCount, 1);
    world.properties.borrow_mut().insert(Property::ClusterName, "b".into());
    let mut cx = Context { router: &mut vm.router, view: &mut vm.view, host: &*world };
    exchange.request_headers(&mut cx, true);
    exchange.response_headers(&mut cx, true);
    exchange.log(&mut cx);
}

fn told(rig: &Rig) -> Vec<String> {
    rig.world.lines().into_iter().filter(|line| line.contains("configuration_warning")).collect()
}

#[test]
fn a_warning_is_logged_once_counted_and_over_with_the_next_configuration() {
    let mut rig = Rig::new(&config());
    rig.run(100, None);
    for kind in Misrouting::ALL {
        assert_eq!(rig.metric(&format!("configuration_warnings.kind.{}", kind.name())), 0);
    }
    assert!(rig.world.metrics.borrow().keys().any(|name| name.contains("kind.body_not_seen")), "it is there at 0");
    for times in 1..=3 {
        stray(&mut rig);
        rig.run(100, None);
        assert_eq!(rig.metric("configuration_warnings.kind.route_ignores_decision"), times);
    }
    let told_of = told(&rig);
    assert_eq!(told_of.len(), 1, "{told_of:?}");
    let line: Value = serde_json::from_str(&told_of[0]).expect("JSON");
    assert_eq!(
        (&line["kind"], &line["message"]),
        (&json!("route_ignores_decision"), &json!("cluster a was decided, and cluster b answered"),)
    );
    assert_eq!(line["cure"], Misrouting::RouteIgnoresDecision.cure());

    let mut next = config();
    next["backend_instances"]["a"]["weight"] = json!(2);
    let before = configured(&rig.world, &mut rig.vm.view, &next);
    let before = (std::mem::replace(&mut rig.vm.router, before.0), std::mem::replace(&mut rig.vm.upkeep, before.1));
    rig.run(100, None);
    assert_eq!(rig.metric("configuration_warnings"), 0);
    // The old one is still there as long as its streams are, and shows nothing any more.
    let (router, mut upkeep) = before;
    upkeep.tick(&router, &mut rig.vm.view, &rig.world);
    assert_eq!(rig.metric("configuration_warnings"), 0);
    stray(&mut rig);
    rig.run(100, None);
    assert_eq!((rig.metric("configuration_warnings"), told(&rig).len()), (1, 2));
}

#[test]
fn without_shared_data_warnings_wait_and_nothing_is_lost() {
    let mut rig = Rig::new(&config());
    rig.run(100, None);
    rig.world.set_broken(true);
    stray(&mut rig);
    stray(&mut rig);
    rig.run(100, None);
    assert_eq!(told(&rig).len(), 0);
    rig.world.set_broken(false);
    rig.run(100, None);
    assert_eq!((rig.metric("configuration_warnings"), told(&rig).len()), (2, 1));
}
