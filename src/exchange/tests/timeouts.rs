//! How long a backend may let a request wait, and who is to blame where it did.

use serde_json::json;

use super::*;
use crate::domain::Misrouting;

const TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";

/// Backends a, b, c in this order, each with its timeout.
fn rig(timeouts: [Option<f64>; 3]) -> Rig {
    let [a, b, c] = timeouts;
    let backend = |priority: u32, seconds: Option<f64>| json!({ "priority": priority, "timeout_seconds": seconds, "circuit_breaker": { "failure_threshold": 100 } });
    Rig::new(&json!({ "backend_instances": { "a": backend(1, a), "b": backend(2, b), "c": backend(3, c) } }))
}

fn header(timeouts: [Option<f64>; 3], client: &[(&str, &str)]) -> Option<String> {
    let mut rig = rig(timeouts);
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, client, CHAT), Flow::Continue);
    rig.header(TIMEOUT)
}

#[test]
fn the_most_patient_of_the_planned_backends_says_how_long_an_attempt_may_take() {
    for (timeouts, expected) in [
        ([None, None, None], None),
        ([Some(30.0), None, None], Some("30000")),
        ([None, None, Some(0.05)], Some("50")),
        ([Some(2.5), Some(60.0), Some(0.25)], Some("60000")),
    ] {
        assert_eq!(header(timeouts, &[]).as_deref(), expected, "{timeouts:?}");
    }
}

#[test]
fn clients_cannot_say_how_envoy_is_to_retry_or_how_long_it_is_to_wait() {
    let names = [
        "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-stream-duration-ms",
        "x-envoy-upstream-alt-stat-name",
        "x-envoy-upstream-rq-timeout-alt-response",
        "x-envoy-max-retries",
        "x-envoy-retry-on",
        "x-envoy-retry-grpc-on",
        "x-envoy-retriable-status-codes",
        "x-envoy-retriable-header-names",
        "x-envoy-hedge-on-per-try-timeout",
        "x-envoy-expected-rq-timeout-ms",
    ];
    for name in names {
        let mut rig = rig([None; 3]);
        rig.send(&mut Exchange::default(), &[(name, "1"), (name, "2"), ("x-envoy-external-address", "1.2.3.4")], CHAT);
        assert_eq!(rig.header(name), None);
        assert_eq!(rig.header("x-envoy-external-address").as_deref(), Some("1.2.3.4"));
    }
    assert_eq!(header([Some(7.0), None, None], &[(TIMEOUT, "1")]).as_deref(), Some("7000"));
}

/// The failures of a, after attempts that took so long together.
fn verdict_of_retry(timeout: Option<f64>, took_ms: u64, attempts: u64, status: u16) -> u32 {
    let mut rig = rig([timeout; 3]);
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.pass_millis(took_ms);
    rig.answer(&mut exchange, status, attempts, Some(ANSWER), 0);
    rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    rig.record("a").breaker.consecutive_failures
}

#[test]
fn an_attempt_that_took_all_the_time_it_may_weighs_as_a_timeout() {
    let (timeout, retried) = (2, 1);
    for (name, expected, took, attempts, status) in [
        ("it hung, the next answered", timeout, 1_050, 2, 200),
        ("it hung, the next failed for good", timeout, 1_050, 2, 500),
        ("two hung", timeout, 2_100, 3, 200),
        ("all three hung", timeout, 3_100, 3, 504),
        ("it failed, the next hung and was the last", retried, 1_050, 2, 504),
        ("it failed, the next was slow", retried, 950, 2, 200),
        ("it failed at once", retried, 30, 2, 200),
        ("one of two hung, and nobody knows which", retried, 1_100, 3, 200),
        ("a quota", 0, 1_050, 2, 429),
    ] {
        assert_eq!(verdict_of_retry(Some(1.0), took, attempts, status), expected, "{name}");
    }
    assert_eq!(verdict_of_retry(None, 60_000, 2, 200), retried, "nothing is known of the route's own timeout");
}

/// A request that the route ended, in these words of Envoy's.
fn warned(timeout: Option<f64>, attempts: u64, words: &str) -> Vec<Misrouting> {
    let mut rig = rig([timeout; 3]);
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.properties.borrow_mut().insert(Property::CodeDetails, words.into());
    rig.world.pass_seconds(15);
    rig.answer(&mut exchange, 504, attempts, None, 1 << 2);
    rig.view.write_sightings(&rig.world).expect("written");
    let all = rig.router.warnings(&rig.world, rig.world.now()).expect("read");
    all.into_iter().map(|warning| warning.kind).collect()
}

#[test]
fn a_route_that_is_less_patient_than_a_backend_is_warned_of() {
    assert_eq!(warned(Some(30.0), 1, "response_timeout"), [Misrouting::TimeoutIneffective]);
    assert_eq!(warned(Some(30.0), 2, "response_timeout"), [], "the second attempt began late");
    assert_eq!(warned(Some(5.0), 1, "upstream_per_try_timeout"), [], "it was the backend's");
    assert_eq!(warned(None, 1, "response_timeout"), [], "there is no other");
}
