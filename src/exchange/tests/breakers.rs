//! Breakers, from one answer to the decision on the next request.

use super::*;

#[test]
fn a_breaker_opens_and_the_backend_is_left_out_until_it_is_well() {
    let mut rig = Rig::three();
    for _ in 0..6 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        let failing = rig.header("x-llm-cluster").as_deref() == Some("b");
        rig.answer(&mut exchange, if failing { 500 } else { 200 }, 1, None, 0);
    }
    assert_eq!(rig.record("b").breaker.phase, BreakerPhase::Open);
    let firsts: Vec<_> = (0..6)
        .map(|_| {
            rig.send(&mut Exchange::default(), &[], CHAT);
            rig.header("x-llm-cluster").unwrap_or_default()
        })
        .collect();
    assert!(!firsts.contains(&"b".to_owned()), "{firsts:?}");
    rig.world.set_seconds(1_011);
    for _ in 0..9 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    }
    assert_eq!(rig.record("b").breaker.phase, BreakerPhase::Closed);
}

#[test]
fn a_breaker_that_is_disabled_while_it_is_open_costs_requests_nothing() {
    for enabled in [true, false] {
        let config = |enabled: bool| {
            let breaker = serde_json::json!({ "enabled": enabled, "failure_threshold": 2 });
            let backend = serde_json::json!({ "circuit_breaker": breaker });
            serde_json::json!({ "strategy": "round_robin", "backend_instances": { "a": backend } })
        };
        let mut rig = Rig::new(&config(true));
        for _ in 0..2 {
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], CHAT);
            rig.answer(&mut exchange, 500, 1, None, 0);
        }
        assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open);
        rig.world.set_seconds(2_000);
        rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
        let swapped = Arc::new(config::parse(config(enabled).to_string().as_bytes()).expect("a configuration"));
        rig.router = Router::new(swapped, &mut rig.view, &rig.world, 42).expect("a router");
        assert_eq!(rig.send(&mut Exchange::default(), &[], CHAT), Flow::Continue);
        let mut other = View::new(2);
        let place = other.place(&rig.world, "a").expect("placed");
        other.refresh(&rig.world, rig.world.now()).expect("refreshed");
        assert_eq!(other.record(place).in_flight(), u32::from(enabled), "others hear at once of a probe alone");
    }
}

#[test]
fn a_breaker_that_changes_its_state_is_counted_and_logged() {
    let mut rig = Rig::three();
    for _ in 0..6 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        let failing = rig.header("x-llm-cluster").as_deref() == Some("b");
        rig.answer(&mut exchange, if failing { 500 } else { 200 }, 1, Some(ANSWER), 0);
    }
    rig.world.set_seconds(1_011);
    for _ in 0..9 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    }
    let changes = [
        ("closed", "open", "consecutive_failures"),
        ("open", "half_open", "recovery_timeout"),
        ("half_open", "closed", "recovered"),
    ];
    let lines: Vec<serde_json::Value> =
        rig.world.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected = changes.map(|(from, to, reason)| {
        assert_eq!(rig.metric(&format!("transitions_total.backend_id.unknown.state.{to}.reason.{reason}")), 1);
        serde_json::json!({ "event": "circuit_breaker", "backend": "b", "from": from, "to": to, "reason": reason })
    });
    assert_eq!(lines, expected);
    assert_eq!(rig.metric("transitions_total"), 3);
}

#[test]
fn answers_that_take_too_long_open_the_breaker_and_long_streams_that_began_in_time_do_not() {
    let config =
        serde_json::json!({ "backend_instances": { "a": { "circuit_breaker": { "slow_response_ms": 1500 } } } });
    let stream = CHAT.replace("\"max_tokens\"", "\"stream\":true,\"max_tokens\"");
    for (body, first_token, phase) in [
        (CHAT, None, BreakerPhase::Open),
        (&stream, Some(1), BreakerPhase::Closed),
        (&stream, Some(2), BreakerPhase::Open),
        (&stream, None, BreakerPhase::Closed),
    ] {
        let mut rig = Rig::new(&config);
        for _ in 0..10 {
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], body);
            let start = rig.world.now.get();
            if body == CHAT {
                rig.world.now.set(start + 2 * SECOND);
                rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
                continue;
            }
            rig.world.set_number(Property::AttemptCount, 1);
            let headers = [(":status", "200"), ("content-type", "text/event-stream")];
            rig.world.response.replace(fake::headers(&headers));
            let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
            exchange.response_headers(&mut cx, false);
            let mut chunk = |second: u64, data: &str, end| {
                rig.world.now.set(start + second * SECOND);
                rig.world.chunk.replace(data.into());
                exchange.response_body(&mut cx, data.len(), end);
            };
            if let Some(second) = first_token {
                chunk(second, "data: {\"choices\":[{\"delta\":{\"content\":\"Fine.\"}}]}\n\n", false);
            }
            chunk(60, "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", true);
            exchange.log(&mut cx);
        }
        let breaker = rig.record("a").breaker;
        assert_eq!(breaker.phase, phase, "{body} {first_token:?}");
        assert_eq!(breaker.reason == TripReason::SlowAnswers, phase == BreakerPhase::Open);
    }
}

#[test]
fn slowness_that_is_the_clients_opens_no_breaker() {
    let config =
        serde_json::json!({ "backend_instances": { "a": { "circuit_breaker": { "slow_response_ms": 1500 } } } });
    // Seconds until the client has sent all, until the answer's headers, and until it has read all.
    for (content_type, [sent, headed, read], phase) in [
        ("application/json", [0, 1, 60], BreakerPhase::Closed),
        ("application/json", [0, 2, 60], BreakerPhase::Open),
        ("text/plain", [60, 61, 61], BreakerPhase::Closed),
    ] {
        let mut rig = Rig::new(&config);
        for _ in 0..10 {
            let mut exchange = Exchange::default();
            let start = rig.world.now.get();
            let request = [(":path", "/v1/chat/completions"), (":method", "POST"), ("content-type", content_type)];
            rig.world.request.replace(fake::headers(&request));
            rig.world.request_body.replace(CHAT.into());
            rig.world.set_number(Property::AttemptCount, 1);
            let response = [(":status", "200"), ("content-type", "application/json")];
            rig.world.response.replace(fake::headers(&response));
            rig.world.chunk.replace(ANSWER.into());
            let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
            exchange.request_headers(&mut cx, false);
            rig.world.now.set(start + sent * SECOND);
            exchange.request_body(&mut cx, CHAT.len(), true);
            rig.world.now.set(start + headed * SECOND);
            exchange.response_headers(&mut cx, false);
            rig.world.now.set(start + read * SECOND);
            exchange.response_body(&mut cx, ANSWER.len(), true);
            exchange.log(&mut cx);
        }
        assert_eq!(rig.record("a").breaker.phase, phase, "{content_type} {sent} {headed} {read}");
    }
}
