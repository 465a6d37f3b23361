//! A request on its way in: what is read, where it goes, and when it is refused.

use super::*;

#[test]
fn what_a_client_forges_is_gone() {
    let mut rig = Rig::three();
    let forged = [
        ("x-llm-cluster", "evil"),
        ("x-llm-try-3", "evil"),
        ("x-llm-shadow-cluster", "evil"),
        ("x-llm-try-3", "evil again"),
        ("x-llm-strategy", "quality_based"),
        ("x-envoy-attempt-count", "2"),
    ];
    rig.send(&mut Exchange::default(), &forged, CHAT);
    let request = rig.world.request.borrow();
    assert!(!request.iter().any(|(_, value)| value.starts_with(b"evil")), "{request:?}");
    assert!(!request.iter().any(|(name, _)| name == "x-llm-strategy"));
}

#[test]
fn when_nobody_is_left_the_client_is_told_when_to_come_back() {
    let mut rig = Rig::three();
    for _ in 0..6 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        rig.answer(&mut exchange, 500, 1, None, 0);
    }
    rig.world.set_seconds(1_003);
    let Flow::Refuse(refusal) = rig.send(&mut Exchange::default(), &[], CHAT) else { panic!("refused") };
    assert_eq!(refusal.code, RefusalCode::NoBackendAvailable);
    // Ten seconds from the opening, and a little by chance.
    assert!(matches!(refusal.retry_after_seconds(), Some(7..=8)), "{refusal:?}");
    let body: serde_json::Value = serde_json::from_str(&refusal.body()).expect("JSON");
    assert_eq!(body["error"]["code"], "no_backend_available");
    assert!(body["error"]["message"].is_string() && body["error"]["type"].is_string());
    assert_eq!(rig.metric("refusals_total.code.no_backend_available"), 1);
}

#[test]
fn a_full_fleet_is_a_limit_of_rate() {
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": { "max_concurrent_requests": 1 } } }));
    let mut first = Exchange::default();
    assert_eq!(rig.send(&mut first, &[], CHAT), Flow::Continue);
    let Flow::Refuse(refusal) = rig.send(&mut Exchange::default(), &[], CHAT) else { panic!("refused") };
    assert_eq!((refusal.code.status(), refusal.retry_after_seconds()), (429, Some(1)));
    rig.answer(&mut first, 200, 1, Some(ANSWER), 0);
    assert_eq!(rig.send(&mut Exchange::default(), &[], CHAT), Flow::Continue);
}

#[test]
fn a_full_fleet_is_told_from_an_undecided_one_however_large_it_is() {
    let one = serde_json::json!({ "max_concurrent_requests": 1 });
    let backends: serde_json::Map<_, _> = (10..30).map(|n| (format!("b{n}"), one.clone())).collect();
    let mut rig = Rig::new(&serde_json::json!({ "strategy": "round_robin", "backend_instances": backends }));
    // Another worker takes every place within one tick.
    let mut other = View::new(2);
    for id in backends.keys() {
        let place = other.place(&rig.world, id).expect("placed");
        other
            .enter(&rig.world, place, rig.world.now(), Tokens(1), |_| Ok::<_, ()>(()))
            .expect("entered")
            .expect("free");
    }
    let Flow::Refuse(refusal) = rig.send(&mut Exchange::default(), &[], CHAT) else { panic!("refused") };
    assert_eq!((refusal.code, rig.metric("undecided")), (RefusalCode::RateLimited, 0));
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let mut rig = Rig::three();
    let Flow::Refuse(refusal) = rig.send(&mut Exchange::default(), &[("content-length", "9999999")], CHAT) else {
        panic!("refused")
    };
    assert_eq!(refusal.code.status(), 413);
    let mut exchange = Exchange::default();
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    rig.world.request.borrow_mut().retain(|(name, _)| name != "content-length");
    assert_eq!(exchange.request_headers(&mut cx, false), Flow::Hold);
    assert_eq!(exchange.request_body(&mut cx, 4 << 20, false), Flow::Hold);
    assert!(matches!(exchange.request_body(&mut cx, (4 << 20) + 1, false), Flow::Refuse(_)));
}

#[test]
fn trailers_end_a_body_too() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut Exchange::default(), &[], CHAT);
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    assert_eq!(exchange.request_headers(&mut cx, false), Flow::Hold);
    assert_eq!(exchange.request_body(&mut cx, CHAT.len(), false), Flow::Hold);
    assert_eq!(exchange.request_trailers(&mut cx), Flow::Continue);
    assert_eq!(rig.in_flight().iter().sum::<u32>(), 2);
}

#[test]
fn trailers_of_the_routers_own_names_go_no_further() {
    let forged: [(&str, &str); 9] = [
        ("x-llm-cluster", "b"),
        ("grpc-status", "0"),
        ("x-llm-tenant", "someone"),
        ("x-llm-tenant", "\u{fffd}"),
        ("x-checksum", "7"),
        ("x-llm-backend", "forged"),
        ("x-llm-backend", "again"),
        ("x-envoy-attempt-count", "3"),
        ("x-llm-", ""),
    ];
    let others = fake::headers(&[("grpc-status", "0"), ("x-checksum", "7")]);
    let mut rig = Rig::three();
    // Whether the trailers end the body, follow one that is not held, or come to a request that is over.
    for path in ["/v1/chat/completions", "/v1/files"] {
        let headers = [(":path", path), (":method", "POST"), ("content-type", "application/json")];
        rig.world.request.replace(fake::headers(&headers));
        let mut exchange = Exchange::default();
        let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
        exchange.request_headers(&mut cx, false);
        exchange.request_body(&mut cx, CHAT.len(), false);
        for _ in 0..2 {
            rig.world.request_trailers.replace(fake::headers(&forged));
            let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
            assert_eq!(exchange.request_trailers(&mut cx), Flow::Continue);
            assert_eq!(*rig.world.request_trailers.borrow(), others, "{path}");
        }
        rig.world.set_number(Property::AttemptCount, 1);
        rig.world.response.replace(fake::headers(&[(":status", "200"), ("content-type", "application/json")]));
        rig.world.chunk.replace(ANSWER.into());
        rig.world.response_trailers.replace(fake::headers(&forged));
        let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
        exchange.response_headers(&mut cx, false);
        exchange.response_body(&mut cx, ANSWER.len(), false);
        exchange.response_trailers(&mut cx);
        exchange.log(&mut cx);
        assert_eq!(*rig.world.response_trailers.borrow(), others, "{path}");
    }
    assert_eq!((rig.in_flight().iter().sum::<u32>(), rig.metric("status.success")), (0, 2));
}

#[test]
fn hints_count_only_where_the_operator_allows_them() {
    let config = |hints: &[&str]| {
        serde_json::json!({
            "strategy": "round_robin", "client_hints": hints, "exploration": 0,
            "backend_instances": { "a": { "quality_score": 0.5 }, "b": { "quality_score": 0.9 } },
        })
    };
    let hint = [("x-llm-strategy", "quality_based"), ("x-llm-min-quality", "0.8")];
    let firsts = |hints: &[&str]| {
        let mut rig = Rig::new(&config(hints));
        (0..4)
            .map(|_| {
                rig.send(&mut Exchange::default(), &hint, CHAT);
                rig.header("x-llm-cluster").unwrap_or_default()
            })
            .collect::<String>()
    };
    assert_eq!(firsts(&[]), "abab");
    assert_eq!(firsts(&["strategy"]), "bbbb");
    assert_eq!(firsts(&["min_quality"]), "bbbb");
}

#[test]
fn the_upstream_is_told_the_estimate_where_the_operator_wants_it() {
    for wanted in [false, true] {
        let config = serde_json::json!({ "forward_estimate": wanted, "backend_instances": { "a": {} } });
        let mut rig = Rig::new(&config);
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[("x-llm-estimated-tokens", "1")], CHAT);
        let told: Vec<u64> = (rig.world.request.borrow().iter())
            .filter(|(name, _)| name == "x-llm-estimated-tokens")
            .map(|(_, value)| String::from_utf8_lossy(value).parse().expect("a number"))
            .collect();
        assert_eq!(told.len(), usize::from(wanted), "a client's own copy is gone");
        assert!(told.iter().all(|&tokens| tokens > 1), "{told:?}");
    }
}
