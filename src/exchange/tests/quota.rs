//! Quotas, from the headers of one answer to the decision on the next request.

use super::*;

/// The answer's headers, after one attempt, and its end.
fn answer(rig: &mut Rig, exchange: &mut Exchange, status: u16, headers: &[(&str, &str)]) {
    answer_after(rig, exchange, status, headers, 1);
}

fn answer_after(rig: &mut Rig, exchange: &mut Exchange, status: u16, headers: &[(&str, &str)], attempts: u64) {
    rig.world.set_number(Property::AttemptCount, attempts);
    // One that nobody reads.
    let all = [(":status", status.to_string()), ("content-encoding", "br".to_owned())];
    let all = all.into_iter().chain(headers.iter().map(|&(n, v)| (n, v.to_owned())));
    rig.world.response.replace(all.map(|(name, value)| (name.to_owned(), value.into_bytes())).collect());
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, true);
    exchange.log(&mut cx);
}

fn one_each(strategy: &str) -> Rig {
    let backends = serde_json::json!({ "a": { "priority": 1 }, "b": { "priority": 2 } });
    let config = serde_json::json!({ "strategy": strategy, "backend_instances": backends });
    Rig::new(&config)
}

/// Where a request goes that is then answered so.
fn goes_to(rig: &mut Rig, status: u16, headers: &[(&str, &str)]) -> String {
    let mut exchange = Exchange::default();
    match rig.send(&mut exchange, &[], CHAT) {
        Flow::Refuse(refusal) => return refusal.code.name().to_owned(),
        flow => assert_eq!(flow, Flow::Continue),
    }
    let backend = rig.header("x-llm-cluster").expect("routed");
    answer(rig, &mut exchange, status, headers);
    backend
}

fn left(remaining: &str) -> [(&str, &str); 3] {
    [
        ("x-ratelimit-limit-requests", "9000"),
        ("x-ratelimit-remaining-requests", remaining),
        ("x-ratelimit-reset-requests", "1m0s"),
    ]
}

#[test]
fn a_quota_that_is_used_up_sends_the_next_request_elsewhere_until_its_reset() {
    let mut rig = one_each("round_robin");
    assert_eq!(goes_to(&mut rig, 200, &left("0")), "a");
    assert_eq!(goes_to(&mut rig, 200, &[]), "b");
    rig.world.pass_seconds(61);
    assert_eq!(goes_to(&mut rig, 200, &left("0")), "a");
    assert_eq!(goes_to(&mut rig, 200, &left("0")), "b");
    assert_eq!(goes_to(&mut rig, 200, &[]), "rate_limited");
    let Flow::Refuse(refusal) = rig.send(&mut Exchange::default(), &[], CHAT) else { panic!("refused") };
    assert_eq!(refusal.retry_after_seconds(), Some(60));
}

#[test]
fn a_429_excludes_and_is_no_illness_and_a_success_forgives_it() {
    let mut rig = one_each("round_robin");
    for wait in [1, 2, 4] {
        assert_eq!(goes_to(&mut rig, 429, &[]), "a");
        assert_eq!(goes_to(&mut rig, 200, &[]), "b");
        rig.world.pass_seconds(wait);
    }
    assert_eq!(goes_to(&mut rig, 200, &[]), "a");
    assert_eq!(goes_to(&mut rig, 429, &[("retry-after", "9")]), "a");
    rig.world.pass_seconds(8);
    assert_eq!(goes_to(&mut rig, 200, &[]), "b");
    rig.world.pass_seconds(1);
    assert_eq!(goes_to(&mut rig, 429, &[]), "a");
    rig.world.pass_seconds(1);
    assert_eq!(goes_to(&mut rig, 429, &[]), "b", "its second refusal in a row since the success");
    let record = rig.record("a");
    assert_eq!((record.window.len(), record.window.failures()), (1, 0));
    assert_eq!(record.breaker.phase, BreakerPhase::Closed);
}

#[test]
fn what_another_filter_refuses_is_not_the_backends_quota() {
    let mut rig = one_each("round_robin");
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    answer_after(&mut rig, &mut exchange, 429, &[("retry-after", "60"), ("x-ratelimit-remaining", "0")], 0);
    assert_eq!(goes_to(&mut rig, 200, &[]), "a");
}

#[test]
fn an_answer_after_a_failover_speaks_of_who_gave_it() {
    let mut rig = one_each("round_robin");
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    answer_after(&mut rig, &mut exchange, 200, &left("0"), 2);
    assert!(!rig.record("a").quota.is_known(rig.world.now()));
    assert!(rig.record("b").quota.is_known(rig.world.now()));
}

#[test]
fn a_backend_that_serves_only_failovers_keeps_the_figure_that_it_announces() {
    let backends =
        serde_json::json!({ "a": { "priority": 1, "circuit_breaker": { "enabled": false } }, "b": { "priority": 2 } });
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": backends }));
    for n in 1..=1_100 {
        let mut exchange = Exchange::default();
        assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
        assert_eq!(rig.header("x-llm-cluster").as_deref(), Some("a"));
        answer_after(&mut rig, &mut exchange, 200, &left("999"), 2);
        let told = rig.record("b");
        let headroom = told.quota.headroom(&told.demand(Tokens(0)), rig.world.now()).expect("known");
        assert!((headroom * 9_000.0 - 999.0).abs() < 0.01, "{headroom} after {n}");
    }
}

#[test]
fn other_workers_are_told_at_once_where_little_is_left_and_at_the_tick_where_much_is() {
    for (remaining, at_once) in [("8900", false), ("50", true)] {
        let mut rig = one_each("round_robin");
        goes_to(&mut rig, 200, &left(remaining));
        rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
        let mut under_way = Exchange::default();
        rig.send(&mut under_way, &[], CHAT);
        let mut other = View::new(7);
        let place = other.place(&rig.world, "a").expect("placed");
        assert_eq!(other.record(place).in_flight(), u32::from(at_once), "{remaining}");
        answer(&mut rig, &mut under_way, 200, &left("40"));
        other.refresh(&rig.world, rig.world.now()).expect("refreshed");
        let told = other.record(place);
        let headroom = told.quota.headroom(&told.demand(Tokens(0)), rig.world.now()).expect("known");
        assert!((headroom * 9_000.0 - 40.0).abs() < 0.01, "what is tight now is told at once: {remaining}");
    }
}

#[test]
fn an_overloaded_backend_that_says_so_gets_less_at_once() {
    for (status, headers, learned) in
        [(529, &[][..], true), (503, &[("retry-after", "1")], true), (503, &[], false), (429, &[], true)]
    {
        let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} } }));
        let mut under_way: Vec<Exchange> = std::iter::repeat_with(Exchange::default).take(10).collect();
        for exchange in &mut under_way {
            rig.send(exchange, &[], CHAT);
        }
        let load = rig.record("a").load().tokens;
        answer(&mut rig, &mut under_way[9], status, headers);
        let expected = learned.then_some(Tokens(load.0 * 7 / 10));
        assert_eq!(rig.record("a").capacity.tokens(rig.world.now()), expected, "{status}");
        rig.world.pass_seconds(2);
        assert_eq!(goes_to(&mut rig, 200, &[]) == "rate_limited", learned, "{status}: nine are more than it takes");
        for exchange in &mut under_way[..9] {
            answer(&mut rig, exchange, 200, &[]);
        }
        assert_eq!(goes_to(&mut rig, 200, &[]), "a");
    }
}
