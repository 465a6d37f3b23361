//! Figures of the traffic.

use super::*;
use crate::domain::BackendIndex;
use crate::metrics::{Method, Metric, Status, TokenKind};

const A: BackendIndex = BackendIndex(0);
const B: BackendIndex = BackendIndex(1);

fn count(rig: &Rig, backend: BackendIndex, status: Status, requests: u64) {
    rig.world.record(Metric::Requests { backend, status, method: Method::Post }, requests);
}

#[test]
fn totals_are_those_of_envoys_counters() {
    let mut rig = Rig::three("round_robin");
    let metrics = rig.get(0, "/metrics");
    assert_eq!(metrics["routing_metrics"]["total_requests"], 0);
    assert_eq!(metrics["routing_metrics"]["success_rate"], Value::Null);
    assert_eq!(metrics["load_balancing"]["distribution_variance"], Value::Null);

    count(&rig, A, Status::SUCCESS, 5);
    rig.world.record(Metric::Requests { backend: A, status: Status::SUCCESS, method: Method::Get }, 1);
    count(&rig, A, Status::FAILURE, 2);
    count(&rig, B, Status::CLIENT_ABORT, 1);
    count(&rig, B, Status::RATE_LIMITED, 1);
    rig.world.record(Metric::Refusals("rate_limited"), 4);
    rig.world.record(Metric::Cost(A), 1_500_001);
    rig.world.record(Metric::Tokens { backend: A, kind: TokenKind::CachedInput }, 7);
    rig.world.record(Metric::RequestsPerMinute, 90);
    rig.world.record(Metric::BreakerFailures(A), 3);
    let metrics = rig.get(1, "/metrics");
    let routing = &metrics["routing_metrics"];
    assert_eq!((&routing["total_requests"], &routing["successful_requests"]), (&json!(10), &json!(6)));
    assert_eq!((&routing["failed_requests"], &routing["success_rate"]), (&json!(2), &json!(75)));
    assert_eq!((&routing["requests_per_second"], &routing["cost_usd"]), (&json!(1.5), &json!(1.500_001)));
    let balance = &metrics["load_balancing"];
    assert_eq!(balance["backend_distribution"]["a"]["percentage"], 80);
    // Of 80, 20 and 0 per cent.
    assert_eq!(balance["distribution_variance"], 1_155.556);
    let (a, b) = (&metrics["backends"]["a"], &metrics["backends"]["b"]);
    assert_eq!((&a["requests"], &a["share"], &a["failures"]), (&json!(8), &json!(0.8), &json!(2)));
    assert_eq!((&a["tokens"]["cached_input"], &a["cost_usd"]), (&json!(7), &json!(1.500_001)));
    assert_eq!((&b["client_aborts"], &b["rate_limited"], &b["successes"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(metrics["refusals"]["rate_limited"], 4);
    assert_eq!(metrics["circuit_breakers"]["a"]["total_failures"], 3);
}

#[test]
fn failovers_are_told_with_their_outcome_and_the_time_they_took() {
    let mut rig = Rig::three("round_robin");
    let failovers = &rig.get(0, "/metrics")["failover_events"];
    let none =
        json!({ "total_failovers": 0, "successful_failovers": 0, "avg_failover_time_ms": null, "last_failover": null });
    assert_eq!(failovers, &none);
    rig.send_and_answer(200, 2);
    let failovers = &rig.get(0, "/metrics")["failover_events"];
    let one = json!({ "total_failovers": 1, "successful_failovers": 1, "avg_failover_time_ms": 250,
        "last_failover": "1970-01-01T00:16:40.000Z" });
    assert_eq!(failovers, &one);
    rig.send_and_answer(503, 2);
    let metrics = rig.get(0, "/metrics");
    assert_eq!(metrics["failover_events"]["total_failovers"], 2);
    assert_eq!(metrics["failover_events"]["successful_failovers"], 1);
    assert!(metrics["circuit_breakers"]["a"]["last_failure"].is_string());
}

#[test]
fn how_long_answers_take_is_told_as_it_was_of_late() {
    let mut rig = Rig::three("round_robin");
    assert_eq!(rig.get(0, "/metrics")["backends"]["a"]["response_time_ms"]["p95"], Value::Null);
    for _ in 0..12 {
        rig.send_and_answer(200, 1);
    }
    let metrics = rig.get(0, "/metrics");
    for id in ["a", "b", "c"] {
        let times = &metrics["backends"][id]["response_time_ms"];
        for figure in ["mean", "p50", "p95"] {
            assert!((200..=315).contains(&times[figure].as_u64().unwrap()), "{id} {figure}: {times}");
        }
    }
    assert_eq!(metrics["load_balancing"]["distribution_variance"], 0);
    let mean = metrics["routing_metrics"]["avg_response_time_ms"].as_f64().unwrap();
    assert!((200.0..=315.0).contains(&mean), "{mean}");
}

#[test]
fn what_was_learned_is_told() {
    let mut rig = Rig::three("round_robin");
    let a = &rig.get(0, "/analytics")["backends"]["a"];
    assert_eq!((&a["tokens"]["calibration_ratio"], &a["tokens"]["calibration_samples"]), (&json!(1), &json!(0)));
    assert_eq!((&a["response_time_ms"]["expected"], &a["response_time_ms"]["p50"]), (&json!(1_000), &Value::Null));
    assert_eq!(a["circuit_breaker"]["failure_threshold"], a["circuit_breaker"]["configured_failure_threshold"]);
    for _ in 0..6 {
        rig.send_and_answer(200, 1);
    }
    rig.world.record(Metric::DesiredCapacity(A), 3);
    let analytics = rig.get(0, "/analytics");
    let a = &analytics["backends"]["a"];
    assert_eq!((&a["response_time_ms"]["samples"], &a["response_time_ms"]["in_effect"]), (&json!(2), &json!(250)));
    assert_eq!((&a["capacity"]["desired_requests"], &a["capacity"]["learned_tokens"]), (&json!(3), &Value::Null));
    assert_eq!((&a["time_to_first_token_ms"]["p95"], &a["quota"]["headroom"]), (&Value::Null, &Value::Null));
    assert_eq!(analytics["backends"]["c"]["circuit_breaker"], Value::Null, "it has none");
}
