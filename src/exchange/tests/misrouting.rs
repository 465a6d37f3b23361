//! Routes that do not send requests where it was decided.

use serde_json::json;

use super::*;
use crate::domain::{Misrouting, Span};
use crate::state::AccountKey;

/// A stray cluster, and those of the backends.
const CLUSTERS: [&str; 4] = ["a", "b", "c", "elsewhere"];

/// Each backend always first, by its priority; a day's budget, so that money is accounted for.
fn rig() -> Rig {
    let backend = |priority: u32| {
        json!({ "priority": priority, "cost_per_1k_tokens": 1, "daily_budget_usd": 1_000,
            "circuit_breaker": { "failure_threshold": 100 } })
    };
    Rig::new(&json!({ "backend_instances": { "a": backend(1), "b": backend(2), "c": backend(3) } }))
}

/// One request, answered by a cluster after so many attempts.
fn ask(rig: &mut Rig, cluster: &str, status: u16, attempts: u64) -> Exchange {
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
    rig.world.properties.borrow_mut().insert(Property::ClusterName, cluster.into());
    rig.answer(&mut exchange, status, attempts, Some(ANSWER), 0);
    exchange
}

fn warned(rig: &mut Rig) -> Vec<(Misrouting, u64, String)> {
    rig.view.write_sightings(&rig.world).expect("written");
    let all = rig.router.warnings(&rig.world, rig.world.now()).expect("read");
    all.into_iter().map(|warning| (warning.kind, warning.count, warning.message())).collect()
}

/// What each backend was paid.
fn spent(rig: &Rig) -> [u64; 3] {
    ["a", "b", "c"].map(|id| {
        let account = rig.view.ledger().account(AccountKey::of_backend(id));
        account.map_or(0, |account| account.spending(Span::Day, rig.world.now()).spent().micro_usd())
    })
}

/// Answers, and failures among them.
fn window(rig: &mut Rig, id: &str) -> (u32, u32) {
    rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    let record = rig.record(id);
    (record.window.len(), record.window.failures())
}

#[test]
fn an_answer_from_where_it_was_decided_is_no_warning() {
    let mut rig = rig();
    for (cluster, attempts) in [("a", 1), ("b", 2), ("c", 3)] {
        ask(&mut rig, cluster, 200, attempts);
        rig.world.pass_seconds(60);
    }
    // Envoy does not say who answered.
    rig.world.properties.borrow_mut().remove(&Property::ClusterName);
    assert_eq!(warned(&mut rig), []);
}

#[test]
fn an_answer_from_another_backends_cluster_is_that_backends() {
    for (cluster, others) in [("b", ["a", "c"]), ("c", ["a", "b"])] {
        let mut rig = rig();
        ask(&mut rig, cluster, 200, 1);
        ask(&mut rig, cluster, 500, 1);
        assert_eq!(rig.world.response_header("x-llm-backend").as_deref(), Some(cluster));
        let message = format!("cluster a was decided, and cluster {cluster} answered");
        assert_eq!(warned(&mut rig), [(Misrouting::RouteIgnoresDecision, 2, message)]);
        assert_eq!(window(&mut rig, cluster), (2, 1));
        for other in others {
            assert_eq!(window(&mut rig, other), (0, 0));
        }
        assert_eq!(rig.in_flight(), [0, 0, 0]);
    }
}

#[test]
fn an_answer_from_no_backends_cluster_teaches_and_costs_nothing() {
    for (status, attempts) in [(200, 1), (500, 1), (200, 3), (503, 3)] {
        let mut rig = rig();
        // The first tells what kind of route it is.
        ask(&mut rig, "elsewhere", 200, 1);
        ask(&mut rig, "elsewhere", status, attempts);
        assert_eq!(rig.world.response_header("x-llm-backend"), None);
        for id in ["a", "b", "c"] {
            assert_eq!(window(&mut rig, id), (0, 0), "{status}, {attempts}");
            assert!(!rig.world.metrics.borrow().keys().any(|name| name.contains("requests_total")), "nobody's request");
        }
        assert_eq!((rig.in_flight(), warned(&mut rig).len()), (vec![0, 0, 0], 1));
        assert_eq!(spent(&rig), [0, 0, 0]);
    }
}

#[test]
fn retries_that_stay_in_one_cluster_are_charged_there_and_warned_of() {
    let mut rig = rig();
    ask(&mut rig, "a", 503, 3);
    assert_eq!((window(&mut rig, "a"), window(&mut rig, "b")), ((3, 3), (0, 0)));
    let message = "a retry was to go to cluster c, and went to a".to_owned();
    assert_eq!(warned(&mut rig), [(Misrouting::RetriesInOneCluster, 1, message)]);
}

#[test]
fn a_retry_whose_cluster_the_route_does_not_know_stays_where_the_one_before_was() {
    let mut rig = rig();
    ask(&mut rig, "b", 200, 3);
    assert_eq!((window(&mut rig, "a"), window(&mut rig, "b"), window(&mut rig, "c")), ((1, 1), (2, 1), (0, 0)));
    assert_eq!(warned(&mut rig)[0].0, Misrouting::RetriesInOneCluster);
}

#[test]
fn where_the_plan_is_for_one_attempt_retries_in_one_cluster_are_as_they_should_be() {
    let mut rig =
        Rig::new(&json!({ "retry": { "max_attempts": 1 }, "backend_instances": { "a": {}, "b": {}, "c": {} },
        "strategy": "round_robin" }));
    for cluster in ["a", "b", "c"] {
        ask(&mut rig, cluster, 200, 3);
    }
    assert_eq!(warned(&mut rig), []);
    assert_eq!(window(&mut rig, "a"), (3, 2));
}

#[test]
fn retries_beyond_the_plan_that_go_elsewhere_are_charged_where_they_were() {
    let mut rig = Rig::new(&json!({ "retry": { "max_attempts": 2 }, "backend_instances": { "a": {} } }));
    ask(&mut rig, "elsewhere", 200, 3);
    assert_eq!((window(&mut rig, "a"), warned(&mut rig)[0].0), ((2, 2), Misrouting::RouteIgnoresDecision));
}

#[test]
fn only_the_first_answers_and_a_share_of_the_others_are_looked_at_as_long_as_nothing_is_odd() {
    let mut rig = rig();
    for _ in 0..16 {
        ask(&mut rig, "a", 200, 1);
    }
    // From here on one in 64: the 64th is the first.
    for n in 17..=64 {
        ask(&mut rig, "b", 200, 1);
        assert_eq!(warned(&mut rig).is_empty(), n < 64, "{n}");
    }
    // And now every one.
    for n in 2..=5 {
        ask(&mut rig, "b", 200, 1);
        assert_eq!(warned(&mut rig)[0].1, n);
    }
}

#[test]
fn what_is_odd_is_looked_at_at_once() {
    for (status, attempts) in [(404, 1), (500, 1), (200, 2)] {
        let mut rig = rig();
        for _ in 0..20 {
            ask(&mut rig, "a", 200, 1);
        }
        ask(&mut rig, "elsewhere", status, attempts);
        assert_eq!(warned(&mut rig).len(), 1, "{status}, {attempts}");
    }
}

#[test]
fn another_configuration_begins_without_warnings() {
    let mut rig = rig();
    ask(&mut rig, "b", 200, 1);
    assert_eq!(warned(&mut rig).len(), 1);
    let config = json!({ "backend_instances": { "a": {}, "b": {} }, "body_limit_bytes": 5000 });
    let config = Arc::new(config::parse(config.to_string().as_bytes()).expect("a configuration"));
    rig.router = Router::new(config, &mut rig.view, &rig.world, 42).expect("a router");
    assert_eq!(warned(&mut rig), []);
}

#[test]
fn an_unknown_cluster_is_its_backends_failure_and_keeps_requests_away_at_once() {
    const NO_CLUSTER: u64 = 1 << 24;
    let mut rig = rig();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    assert_eq!(rig.header("x-llm-cluster").as_deref(), Some("a"));
    rig.answer(&mut exchange, 503, 0, None, NO_CLUSTER);
    assert_eq!(window(&mut rig, "a"), (1, 1));
    assert_eq!(warned(&mut rig)[0].0, Misrouting::UnknownCluster);
    // Whoever decides next goes elsewhere, until somebody looks again.
    for (seconds, cluster) in [(0, "b"), (0, "b"), (9, "b"), (2, "a")] {
        rig.world.pass_seconds(seconds);
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        assert_eq!(rig.header("x-llm-cluster").as_deref(), Some(cluster));
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    }
    // An answer that says so itself is a failure like any other.
    let mut rig = self::rig();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 503, 1, None, 0);
    assert_eq!((window(&mut rig, "a"), warned(&mut rig)), ((1, 1), vec![]));
}

#[test]
fn an_unknown_cluster_that_no_backend_has_any_more_is_no_concern() {
    let mut rig = rig();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 503, 0, None, 1 << 24);
    assert_eq!(warned(&mut rig).len(), 1);
    let change = crate::steering::Change::Remove("a");
    rig.router.steering().change(&rig.world, change).expect("written").expect("removed");
    rig.router = rig.router.follow(&mut rig.view, &rig.world).expect("another router");
    assert_eq!(warned(&mut rig), []);
}

#[test]
fn a_body_that_envoy_has_and_does_not_show_is_warned_of_and_a_slow_client_is_not() {
    let headers = CHAT_HEADERS.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum::<u64>();
    for (received, is_warned) in [(headers, false), (headers + 1, true), (headers + 70, true)] {
        let mut rig = rig();
        let mut exchange = Exchange::default();
        rig.world.request.replace(fake::headers(&CHAT_HEADERS));
        let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
        assert_eq!(exchange.request_headers(&mut cx, false), Flow::Hold);
        assert_eq!(exchange.held_header_bytes(), Some(headers));
        rig.world.set_number(Property::RequestBytes, received);
        let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
        exchange.log(&mut cx);
        let warned = warned(&mut rig).into_iter().map(|(kind, ..)| kind).collect::<Vec<_>>();
        assert_eq!(warned == [Misrouting::BodyNotSeen], is_warned);
    }
}

const CHAT_HEADERS: [(&str, &str); 4] = [
    (":path", "/v1/chat/completions"),
    (":method", "POST"),
    ("content-type", "application/json"),
    ("content-length", "70"),
];

#[test]
fn a_body_of_which_some_was_shown_is_seen() {
    let mut rig = rig();
    let mut exchange = Exchange::default();
    rig.world.request.replace(fake::headers(&CHAT_HEADERS));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.request_headers(&mut cx, false);
    exchange.request_body(&mut cx, 5, false);
    rig.world.set_number(Property::RequestBytes, 10_000);
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.log(&mut cx);
    assert_eq!((warned(&mut rig), exchange.held_header_bytes()), (vec![], None));
}

proptest! {
    /// Among the first answers of a configuration, of which every one is looked at.
    #[test]
    fn wherever_answers_come_from_nothing_stays_in_flight_and_nobody_pays_for_another(
        steps in prop::collection::vec((0..4_usize, 1..5_u64, prop::bool::ANY), 1..16)
    ) {
        let backend = |priority: u32| {
            json!({ "priority": priority, "cost_per_1k_tokens": 1, "daily_budget_usd": 1_000,
                "circuit_breaker": { "enabled": false } })
        };
        let all = json!({ "a": backend(1), "b": backend(2), "c": backend(3) });
        let mut rig = Rig::new(&json!({ "backend_instances": all }));
        for (cluster, attempts, is_well) in steps {
            let before = spent(&rig);
            ask(&mut rig, CLUSTERS[cluster], if is_well { 200 } else { 503 }, attempts);
            rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
            let after = spent(&rig);
            for (n, (before, after)) in before.into_iter().zip(after).enumerate() {
                prop_assert_eq!(after > before, n == cluster && is_well);
            }
            prop_assert_eq!(rig.in_flight(), [0, 0, 0]);
        }
    }
}
