//! What is told of exploration, what it is not for, and what becomes of what it finds.

use serde_json::{Value, json};

use super::*;
use crate::exchange::{Decision, Detail, Upshot};
use crate::json::object;
use crate::queue::Room;

/// The first is the best; half of the requests explore.
fn rig(strategy: &str, more: &Value) -> Rig {
    let mut config = json!({ "strategy": strategy, "exploration": 0.5, "client_hints": ["explain"],
        "backend_instances": {
            "a": { "cost_per_1k_tokens": 1, "quality_score": 0.9, "expected_response_time_ms": 500 },
            "b": { "cost_per_1k_tokens": 2, "quality_score": 0.8, "expected_response_time_ms": 2500 },
        } });
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    Rig::new(&config)
}

/// The last decision as the control API shows it.
fn noted(rig: &Rig) -> Value {
    let (pages, _) = rig.view.journals(&rig.world).expect("read");
    let page = pages.last().expect("a decision");
    let (decision, upshot) = (Decision::decode(&page.decision).expect("readable"), Upshot::decode(&page.outcome));
    serde_json::from_str(&object(|o| decision.show(o, upshot.as_ref(), Detail::All))).expect("JSON")
}

#[test]
fn a_decision_says_whether_it_explores_and_with_what_probability_each_backend_is_explored() {
    for strategy in ["cost_optimized", "performance_based", "quality_based"] {
        let mut rig = rig(strategy, &json!({}));
        let mut explored = 0;
        for _ in 0..40 {
            rig.view.write_journal(&rig.world).expect("written");
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[("x-llm-explain", "1")], CHAT);
            let (first, decision) = (rig.header("x-llm-cluster").expect("routed"), noted(&rig));
            let is_explored = decision["explores"] == json!(true);
            assert_eq!(is_explored, first == "b", "{strategy}: {decision}");
            assert_eq!(decision["attempts"], if is_explored { json!(["b", "a", "a"]) } else { json!(["a", "b", "b"]) });
            assert_eq!(decision["exploration"], 0.5, "{decision}");
            let chances: Vec<_> = (0..2).map(|n| decision["backends"][n]["exploration"].as_f64()).collect();
            assert_eq!(chances, [Some(0.0), Some(0.5)], "{decision}");
            explored += u64::from(is_explored);
            rig.world.pass_millis(if first == "b" { 2_500 } else { 400 });
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
            let told: Value =
                serde_json::from_str(&rig.world.response_header("x-llm-explain").expect("explained")).expect("JSON");
            assert_eq!(told["explores"], json!(is_explored), "the client is told the same");
        }
        assert!((10..=30).contains(&explored), "{strategy}: {explored}");
        assert_eq!(rig.metric("explorations_total"), explored, "{strategy}");
    }
}

#[test]
fn what_waited_for_a_place_goes_where_it_is_served_best() {
    let backends = json!({
        "a": { "max_concurrent_requests": 1, "quality_score": 0.9 },
        "b": { "max_concurrent_requests": 1, "quality_score": 0.8 },
    });
    let more = json!({ "backend_instances": backends, "queue": { "size": 9, "timeout_ms": 1_000 } });
    for _ in 0..10 {
        let mut rig = rig("quality_based", &more);
        let mut room = Room::default();
        let [mut one, mut other, mut waiting] = [(); 3].map(|()| Exchange::default());
        assert_eq!(rig.send(&mut one, &[], CHAT), Flow::Continue);
        assert_eq!(rig.send(&mut other, &[], CHAT), Flow::Continue);
        rig.send(&mut waiting, &[], CHAT);
        assert!(rig.take_a_place(&mut room, &waiting));
        rig.answer(&mut one, 200, 1, Some(ANSWER), 0);
        rig.answer(&mut other, 200, 1, Some(ANSWER), 0);
        let before = rig.metric("explorations_total");
        rig.round(&mut room);
        assert_eq!(rig.header("x-llm-cluster").as_deref().unwrap_or("a"), "a");
        assert_eq!(rig.metric("explorations_total"), before);
    }
}

#[test]
fn beyond_the_budget_nothing_is_explored() {
    let cost = json!({ "daily_budget_usd": 0.001, "on_exhausted": "cheapest" });
    for strategy in ["cost_optimized", "performance_based", "quality_based"] {
        let mut rig = rig(strategy, &json!({ "cost": cost }));
        for _ in 0..100 {
            let mut exchange = Exchange::default();
            assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
            assert_eq!(rig.header("x-llm-cluster").as_deref(), Some("a"), "{strategy}: the cheapest serves");
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        }
        assert_eq!(rig.metric("explorations_total"), 0, "{strategy}");
    }
}

#[test]
fn an_explored_backend_that_fails_costs_one_failover_and_is_left_alone() {
    let mut rig = rig("performance_based", &json!({}));
    let mut asked = 0;
    for _ in 0..100 {
        rig.world.pass_seconds(1);
        let mut exchange = Exchange::default();
        assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
        let attempts = if rig.header("x-llm-try-0").as_deref() == Some("b") { 2 } else { 1 };
        assert_eq!(rig.header(&format!("x-llm-try-{}", attempts - 1)).as_deref(), Some("a"));
        asked += u64::from(attempts == 2);
        rig.answer(&mut exchange, 200, attempts, Some(ANSWER), 0);
    }
    // Its breaker opens, or it fails every other answer, before it costs much.
    assert!((1..=12).contains(&asked), "{asked}");
}

#[test]
fn what_was_explored_counts_for_all_that_was_not() {
    // It was slow once; one answer shows that it is fast now, at whatever pace requests come.
    for pause in [10, 1_000] {
        let mut rig = rig("performance_based", &json!({ "exploration": 0.02 }));
        let place = rig.view.place(&rig.world, "b").expect("placed");
        let now = rig.world.now();
        let slow = |record: &mut Record| {
            let (sample, prior) = (std::time::Duration::from_secs(2), std::time::Duration::from_millis(2_500));
            record.response_time.observe(sample, prior, now);
            record.observe_answer(false, now);
        };
        rig.view.change(&rig.world, place, now, slow).expect("changed");
        let firsts: Vec<_> = (0..500)
            .map(|_| {
                rig.world.pass_millis(pause);
                let mut exchange = Exchange::default();
                rig.send(&mut exchange, &[], CHAT);
                let first = rig.header("x-llm-cluster").expect("routed");
                let took = if first == "a" { 400 } else { 40 };
                rig.world.pass_millis(took);
                rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
                first
            })
            .collect();
        let explored = firsts.iter().position(|first| first == "b").expect("explored");
        let fast = firsts[explored + 1..].iter().take(150).filter(|first| *first == "b").count();
        assert!(fast > 100, "after {explored} requests, {pause} ms apart: {fast} of the next 150");
    }
}
