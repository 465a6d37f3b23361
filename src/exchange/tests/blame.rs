//! Whose fault it was, from what Envoy shows to what is learned of the backend.

use super::*;
use crate::domain::Misconfiguration;

const UNAUTHORIZED: &str = r#"{"error":{"message":"no such key"}}"#;

/// Two backends that are asked in turn, and no panic.
fn two(more: &serde_json::Value) -> Rig {
    let mut config = serde_json::json!({
        "strategy": "round_robin", "panic_threshold": 0, "retry": { "max_attempts": 1 },
        "backend_instances": { "a": {}, "b": {} },
    });
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    Rig::new(&config)
}

/// One request from this address, answered by this status where it goes to `a`, and well elsewhere; says where it went.
fn ask(rig: &mut Rig, address: &str, a: u16) -> String {
    rig.world.properties.borrow_mut().insert(Property::SourceAddress, address.into());
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
    let cluster = rig.header("x-llm-cluster").expect("decided");
    rig.world.pass_millis(10);
    let status = if cluster == "a" { a } else { 200 };
    let body = if status == 200 { ANSWER } else { UNAUTHORIZED };
    rig.answer(&mut exchange, status, 1, Some(body), 0);
    cluster
}

fn share_of_a(rig: &mut Rig, requests: usize, address: &str, status: u16) -> usize {
    (0..requests).filter(|_| ask(rig, address, status) == "a").count()
}

#[test]
fn a_backend_that_answers_everybody_with_what_nobody_can_use_is_left_after_a_few() {
    for strategy in ["round_robin", "least_connections", "performance_based", "cost_optimized", "weighted"] {
        for status in [401, 402, 403, 404, 405, 407, 410, 421, 422, 301, 302, 307, 308] {
            let mut rig = two(&serde_json::json!({ "strategy": strategy }));
            let asked = share_of_a(&mut rig, 100, "192.0.2.1:1", status);
            assert!(asked <= 30, "{strategy} {status}: {asked}");
            assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", status), 0, "{strategy} {status}");
            let record = rig.record("a");
            assert_eq!((record.breaker.phase, record.window.len()), (BreakerPhase::Closed, 0));
            assert!(!record.response_time.is_measured(), "what is no answer teaches no time");
        }
    }
}

#[test]
fn a_misconfigured_backend_is_tried_again_and_has_its_traffic_back_with_its_first_good_answer() {
    let breaker = serde_json::json!({ "circuit_breaker": { "recovery_timeout_seconds": 60 } });
    let mut rig = two(&serde_json::json!({ "backend_instances": { "a": breaker, "b": {} } }));
    share_of_a(&mut rig, 20, "192.0.2.1:1", 401);
    assert_eq!(rig.record("a").setup.why(), Some(Misconfiguration::Credentials));
    rig.world.pass_seconds(61);
    assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", 401), 1, "one tries it");
    rig.world.pass_seconds(61);
    assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", 200), 10, "the first is well, and it is back at once");
}

#[test]
fn one_request_in_each_recovery_timeout_tries_a_misconfigured_backend_whatever_the_strategy() {
    for strategy in config::Strategy::ALL {
        let quick = serde_json::json!({ "expected_response_time_ms": 10 });
        let mut rig = two(&serde_json::json!({
            "strategy": strategy.name(), "exploration": 0, "backend_instances": { "a": quick, "b": quick },
        }));
        let backend = rig.router.config().backends[0].clone();
        // Answers that fail at once do not look idle, so some strategies seldom ask it.
        let is_left_out = (0..60).any(|_| {
            rig.world.pass_seconds(4);
            share_of_a(&mut rig, 20, "192.0.2.1:1", 401);
            rig.record("a").is_misconfigured(&backend)
        });
        assert!(is_left_out, "{strategy:?}");
        for _ in 0..2 {
            rig.world.pass_seconds(61);
            assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", 401), 1, "{strategy:?}");
        }
        rig.world.pass_seconds(61);
        assert!(share_of_a(&mut rig, 20, "192.0.2.1:1", 200) >= 1, "{strategy:?}");
        assert!(!rig.record("a").is_misconfigured(&backend), "{strategy:?}");
    }
}

#[test]
fn what_proves_nothing_does_not_use_up_the_trial_of_a_misconfigured_backend() {
    let mut rig = two(&serde_json::json!({}));
    share_of_a(&mut rig, 20, "192.0.2.1:1", 401);
    rig.world.pass_seconds(61);
    for (path, method) in
        [("/v1/batches/b1", "GET"), ("/v1/files", "POST"), ("/v1/models", "GET"), ("/v1/x", "OPTIONS")]
            .into_iter()
            .cycle()
            .take(12)
    {
        let mut exchange = Exchange::default();
        let headers = [(":path", path), (":method", method)];
        assert_eq!(rig.send(&mut exchange, &headers, "{}"), Flow::Continue, "{method} {path}");
        assert_eq!(rig.header("x-llm-cluster").as_deref(), Some("b"), "{method} {path}");
        rig.answer(&mut exchange, 200, 1, Some("{}"), 0);
    }
    assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", 401), 1, "the trial is still there");
}

#[test]
fn a_backend_that_serves_others_is_not_condemned_for_what_one_client_gets() {
    let mut rig = two(&serde_json::json!({}));
    for _ in 0..10 {
        assert!(share_of_a(&mut rig, 2, "192.0.2.9:1", 200) >= 1, "others are served");
        // Six at once of one client that is served by `b`, with a model that `a` does not have.
        share_of_a(&mut rig, 12, "192.0.2.1:1", 404);
    }
    let backend = rig.router.config().backends[0].clone();
    assert!(!rig.record("a").is_misconfigured(&backend));
}

#[test]
fn an_inner_429_counts_only_in_an_answer_of_a_model() {
    for (path, refused) in [("/v1/chat/completions", true), ("/v1/batches", false), ("/v1/files", false)] {
        let mut rig = two(&serde_json::json!({ "backend_instances": { "a": {} } }));
        let mut exchange = Exchange::default();
        assert_eq!(rig.send(&mut exchange, &[(":path", path)], CHAT), Flow::Continue);
        rig.answer(&mut exchange, 200, 1, Some(r#"{"error":{"code":429,"message":"slow down"}}"#), 0);
        assert_eq!(rig.record("a").quota.refused_until(rig.world.now()).is_some(), refused, "{path}");
    }
}

#[test]
fn a_client_with_a_wrong_key_takes_a_backend_from_nobody() {
    let mut rig = two(&serde_json::json!({}));
    let wrong = |rig: &mut Rig| {
        rig.world.properties.borrow_mut().insert(Property::SourceAddress, b"192.0.2.66:1".to_vec());
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        rig.answer(&mut exchange, 401, 1, Some(UNAUTHORIZED), 0);
    };
    // Alone, a hundred times; then among others.
    (0..100).for_each(|_| wrong(&mut rig));
    assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", 200), 10);
    for n in 0..50 {
        wrong(&mut rig);
        ask(&mut rig, &format!("192.0.2.{}:1", n % 5), 200);
    }
    assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", 200), 10);
}

#[test]
fn where_nobody_else_fits_a_misconfigured_backend_is_asked() {
    let mut rig = two(&serde_json::json!({ "backend_instances": { "a": {} } }));
    for n in 0..30 {
        assert_eq!(ask(&mut rig, &format!("192.0.2.{n}:1"), 403), "a");
    }
    assert!(rig.record("a").setup.is_out(5));
}

#[test]
fn faults_of_single_requests_count_for_nothing() {
    let mut rig = two(&serde_json::json!({}));
    for status in [400, 408, 413, 415, 501, 505] {
        assert_eq!(share_of_a(&mut rig, 20, "192.0.2.1:1", status), 10, "{status}");
    }
    assert_eq!(rig.record("a").setup.row, 0);
}

#[test]
fn one_source_of_failures_opens_no_breaker_while_others_are_served_and_is_looked_up_by_tenant_or_address() {
    for tenant in [false, true] {
        let cost = if tenant { serde_json::json!({ "tenant_header": "x-team" }) } else { serde_json::json!({}) };
        let mut rig = two(&serde_json::json!({ "cost": cost, "backend_instances": { "a": {} } }));
        let mut one = |who: u32, status: u16| {
            // Tenants come by one address, or each by its own.
            let address = if tenant { "192.0.2.1:1".to_owned() } else { format!("192.0.2.{who}:{who}") };
            rig.world.properties.borrow_mut().insert(Property::SourceAddress, address.into());
            let mut exchange = Exchange::default();
            let team = who.to_string();
            let flow = rig.send(&mut exchange, &[("x-team", &team)], CHAT);
            assert_eq!(flow, Flow::Continue);
            rig.answer(&mut exchange, status, 1, Some(if status == 200 { ANSWER } else { "{}" }), 0);
        };
        for n in 0..100 {
            if n % 9 == 0 {
                one(1, 200);
            }
            one(2, 500);
        }
        (1..=4).for_each(|who| one(who, 500));
        let (breaker, window) = (rig.record("a").breaker, rig.record("a").window);
        assert_eq!((breaker.phase, breaker.reason), (BreakerPhase::Open, TripReason::ConsecutiveFailures));
        assert!(window.failures() < 50, "what is discounted is not held against it anywhere: {}", window.failures());
    }
}

#[test]
fn a_client_that_crashes_each_probe_does_not_keep_a_breaker_open_for_the_others() {
    for failing in [500, 502, 504] {
        let breaker = serde_json::json!({ "circuit_breaker": { "recovery_timeout_seconds": 20 } });
        let mut rig = two(&serde_json::json!({ "backend_instances": { "a": breaker, "b": {} } }));
        assert_eq!(share_of_a(&mut rig, 4, "192.0.2.1:1", 200), 2);
        rig.world.pass_seconds(20);
        let mut shares = [0; 20];
        for share in &mut shares {
            for _ in 0..30 {
                // It asks more often, and always first; at first it was alone for so long that it opened the breaker.
                share_of_a(&mut rig, 3, "192.0.2.100:1", failing);
                *share += share_of_a(&mut rig, 1, "192.0.2.1:1", 200);
                rig.world.pass_seconds(1);
            }
        }
        assert!(shares[0] < 10, "it was never open: {shares:?}");
        assert!(shares[5..].iter().all(|&share| share >= 8), "{failing}: {shares:?}");
    }
}

#[test]
fn answers_that_fail_at_once_do_not_make_a_backend_look_idle() {
    for strategy in ["least_connections", "performance_based"] {
        let off = serde_json::json!({ "circuit_breaker": { "enabled": false }, "expected_response_time_ms": 1_000 });
        let mut rig = two(&serde_json::json!({ "strategy": strategy, "backend_instances": { "a": off, "b": off } }));
        let (mut open, mut asked) = (std::collections::VecDeque::new(), 0);
        // 20 a second; good answers take a second.
        for _ in 0..400 {
            rig.world.pass_millis(50);
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], CHAT);
            if rig.header("x-llm-cluster").as_deref() == Some("a") {
                asked += 1;
                rig.answer(&mut exchange, 503, 1, Some("{}"), 0);
            } else {
                open.push_back((rig.world.now(), exchange));
            }
            while open.front().is_some_and(|(since, _)| rig.world.now().since(*since).as_millis() >= 1_000) {
                let (_, mut exchange) = open.pop_front().expect("one");
                rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
            }
        }
        assert!(asked <= 220, "{strategy}: {asked} of 400 to the one that fails");
    }
}

#[test]
fn a_tunnel_teaches_nothing_but_that_it_was_granted() {
    for (headers, method, status) in [(&[("upgrade", "websocket")][..], "GET", "101"), (&[], "CONNECT", "200")] {
        // Bits of UC, DC, UR, SI and none.
        for flags in [0, 1 << 6, 1 << 14, 1 << 4, 1 << 16] {
            let mut rig = two(&serde_json::json!({ "backend_instances": { "a": {} } }));
            for _ in 0..9 {
                let base = [(":path", "/v1/realtime"), (":method", method)];
                rig.world.request.replace(fake::headers(base.iter().chain(headers)));
                rig.world.set_number(Property::AttemptCount, 1);
                rig.world.set_number(Property::ResponseFlags, flags);
                rig.world.response.replace(fake::headers(&[(":status", status)]));
                let mut exchange = Exchange::default();
                let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
                exchange.request_headers(&mut cx, false);
                exchange.response_headers(&mut cx, false);
                rig.world.pass_seconds(3_600);
                exchange.log(&mut cx);
            }
            let record = rig.record("a");
            assert_eq!((record.breaker.phase, record.window.failures()), (BreakerPhase::Closed, 0), "{method} {flags}");
            assert!(!record.response_time.is_measured(), "{method} {flags}");
            assert_eq!(rig.metric("status.success.method"), 9);
        }
    }
}

#[test]
fn the_latency_of_any_service_is_learned_and_that_of_what_is_free_is_not() {
    // A file that a backend gives out is seen in its health, and says nothing of how quick its models are.
    for (path, method, timed, counted) in [
        ("/collections/x/points/search", "POST", true, true),
        ("/v1/files/7", "GET", false, true),
        ("/v1/chat/completions", "POST", true, true),
        ("/v1/models", "GET", false, false),
        ("/v1/moderations", "POST", false, false),
        ("/v1/chat/completions", "OPTIONS", false, false),
    ] {
        let mut rig = two(&serde_json::json!({ "backend_instances": { "a": {} } }));
        rig.world.request.replace(fake::headers(&[(":path", path), (":method", method)]));
        let mut exchange = Exchange::default();
        let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
        exchange.request_headers(&mut cx, true);
        rig.world.pass_millis(70);
        rig.answer(&mut exchange, 200, 1, Some(r#"{"result":[{"id":1}],"usage":{"cpu":1}}"#), 0);
        let record = rig.record("a");
        assert_eq!(record.response_time.parts().0, if timed { 70_000 } else { 0 }, "{method} {path}");
        assert_eq!(record.window.len(), u32::from(counted), "{method} {path}");
    }
}

#[test]
fn good_answers_that_take_more_than_five_times_what_was_expected_open_nothing() {
    let instance = serde_json::json!({ "expected_response_time_ms": 20 });
    let mut rig = two(&serde_json::json!({ "backend_instances": { "a": instance, "b": instance } }));
    let mut answer = |millis: u64| {
        let mut exchange = Exchange::default();
        let flow = rig.send(&mut exchange, &[], CHAT);
        rig.world.pass_millis(millis);
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        flow
    };
    for n in 0..400 {
        assert_eq!(answer(100 + n % 30), Flow::Continue);
    }
    // What is far from usual does.
    let slow = (0..400).take_while(|_| answer(3_000) == Flow::Continue).count();
    assert!((40..200).contains(&slow), "{slow}");
}

#[test]
fn a_page_of_html_is_no_answer_whatever_its_status_and_type_say() {
    for body in
        ["<!doctype html><html><body>Sign in</body></html>", "<?xml version=\"1.0\"?><error/>", "upstream moved"]
    {
        let mut rig = two(&serde_json::json!({}));
        for _ in 0..30 {
            rig.world.properties.borrow_mut().insert(Property::SourceAddress, b"192.0.2.1:1".to_vec());
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], CHAT);
            let body = if rig.header("x-llm-cluster").as_deref() == Some("a") { body } else { ANSWER };
            rig.answer(&mut exchange, 200, 1, Some(body), 0);
        }
        let record = rig.record("a");
        assert!(record.setup.is_out(5) && record.window.is_empty(), "{body}: {:?}", record.setup);
        assert_eq!(record.setup.why(), Some(Misconfiguration::ContentType), "{body}");
    }
}
