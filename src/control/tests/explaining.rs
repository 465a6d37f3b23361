//! What would become of a request, and why.

use std::time::Duration;

use super::*;
use crate::state::{Backends, Lane, Newcomer, WaitingList};

#[test]
fn an_explanation_is_the_next_decision_and_leaves_no_trace() {
    for strategy in config::Strategy::ALL {
        let mut rig = Rig::three(strategy.name());
        for _ in 0..50 {
            let writes = rig.world.written.borrow().len();
            let before: Vec<_> = ["a", "b", "c"].map(|id| rig.phase(0, id)).into();
            rig.explain(&[], CHAT);
            let explained = rig.explain(&[], CHAT);
            assert_eq!(rig.world.written.borrow().len(), writes, "{}", strategy.name());
            assert_eq!(before, ["a", "b", "c"].map(|id| rig.phase(0, id)));
            let attempts = explained["decision"]["attempts"].as_array().unwrap();
            assert_eq!(attempts.len(), 3);
            assert_eq!(attempts[0], rig.send(), "{}", strategy.name());
        }
    }
}

#[test]
fn an_explanation_takes_no_probe() {
    let mut rig = Rig::three("round_robin");
    assert_eq!(rig.call(0, "POST", "/circuit-breaker/a/open", &[], b"").status, 200);
    let explained = rig.explain(&[], CHAT);
    let a = &explained["backends"][0];
    assert_eq!((&a["excluded"]["by"], &a["place"]), (&json!("breaker"), &Value::Null));
    assert_eq!(a["excluded"]["retry_at"], a["circuit_breaker"]["retry_at"]);
    rig.world.set_seconds(1_000 + 120);
    for _ in 0..10 {
        let explained = rig.explain(&[], CHAT);
        assert_eq!(explained["backends"][0]["probe"], true);
    }
    assert_eq!(rig.phase(0, "a"), BreakerPhase::Open, "nobody was let in");
}

#[test]
fn an_explanation_heeds_the_hints_that_clients_may_give() {
    let hints = |listed: Value| {
        json!({ "strategy": "round_robin", "client_hints": listed, "backend_instances": {
            "a": { "quality_score": 0.5 }, "b": {} } })
    };
    let headers = [("x-llm-strategy", "quality_aware"), ("x-llm-min-quality", "0.9")];
    let explained = Rig::new(&hints(json!(["strategy", "min_quality"]))).explain(&headers, CHAT);
    assert_eq!(explained["strategy"], "quality_based");
    assert_eq!(explained["decision"]["attempts"], json!(["b", "b", "b"]));
    assert_eq!(explained["backends"][0]["excluded"]["by"], "client");
    let explained = Rig::new(&hints(json!([]))).explain(&headers, CHAT);
    assert_eq!((&explained["strategy"], &explained["backends"][0]["eligible"]), (&json!("round_robin"), &json!(true)));
}

#[test]
fn an_explanation_says_that_a_request_would_wait() {
    let mut rig = Rig::new(&json!({ "queue": { "size": 2, "timeout_ms": 1_500 },
        "backend_instances": { "a": { "max_concurrent_requests": 1 } } }));
    assert_eq!(rig.explain(&[], CHAT)["waits"], Value::Null);
    let first = rig.begin();
    let waits = |depth: u64| json!({ "depth": depth, "size": 2, "timeout_ms": 1_500 });
    let explained = rig.explain(&[], CHAT);
    assert_eq!(
        (&explained["waits"], &explained["decision"], &explained["refusal"]),
        (&waits(0), &Value::Null, &Value::Null)
    );

    let mut newcomer =
        Newcomer { member: 0, lane: Lane::of(None), backends: Backends::NONE, patience: Duration::from_secs(9) };
    newcomer.backends.add(&rig.workers[0].router.config().backends[0]);
    let join = |rig: &Rig| WaitingList::join(&rig.world, &newcomer, 2, rig.world.now()).unwrap().unwrap();
    join(&rig);
    rig.end(first);
    assert_eq!(rig.explain(&[], CHAT)["waits"], waits(1), "the place is free, for somebody else");
    join(&rig);
    rig.world.pass_seconds(3);
    let refusal = &rig.explain(&[], CHAT)["refusal"];
    assert_eq!(
        (&refusal["status"], &refusal["code"], &refusal["retry_after_seconds"]),
        (&json!(503), &json!("queue_full"), &json!(3))
    );
}

#[test]
fn a_request_that_nobody_may_serve_is_explained_too() {
    let mut rig = Rig::new(&json!({ "client_hints": ["min_quality"],
        "backend_instances": { "a": { "quality_score": 0.5 } } }));
    let explained = rig.explain(&[("x-llm-min-quality", "0.9")], CHAT);
    assert_eq!(explained["refusal"]["code"], "no_backend_available");
    assert_eq!((&explained["refusal"]["status"], &explained["decision"]), (&json!(503), &Value::Null));
}
