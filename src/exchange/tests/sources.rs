//! What one client gets is not held against the others.

use super::*;

const GOOD: &str = "192.0.2.1:1000";
const OTHER: &str = "192.0.2.2:1000";
const EVIL: &str = "192.0.2.66:1000";
const EVIL_TOO: &str = "192.0.2.67:1000";

fn one(more: &serde_json::Value) -> Rig {
    Rig::new(&serde_json::json!({ "panic_threshold": 0, "exploration": 0, "backend_instances": { "a": more } }))
}

fn begin(rig: &mut Rig, address: &str) -> Result<Exchange, String> {
    rig.world.properties.borrow_mut().insert(Property::SourceAddress, address.into());
    let mut exchange = Exchange::default();
    match rig.send(&mut exchange, &[], CHAT) {
        Flow::Refuse(refusal) => Err(refusal.code.name().to_owned()),
        flow => {
            assert_eq!(flow, Flow::Continue);
            Ok(exchange)
        }
    }
}

fn end(rig: &mut Rig, address: &str, mut exchange: Exchange, status: u16, headers: &[(&str, &str)]) {
    rig.world.properties.borrow_mut().insert(Property::SourceAddress, address.into());
    rig.world.set_number(Property::AttemptCount, 1);
    rig.world.set_number(Property::ResponseFlags, 0);
    let status = status.to_string();
    let head = [(":status", &*status), ("content-type", "application/json"), ("content-encoding", "br")];
    rig.world.response.replace(fake::headers(head.iter().chain(headers)));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, true);
    exchange.log(&mut cx);
}

/// One request from there, answered so; says what became of it.
fn ask(rig: &mut Rig, address: &str, status: u16, headers: &[(&str, &str)]) -> String {
    match begin(rig, address) {
        Err(refusal) => refusal,
        Ok(exchange) => {
            rig.world.pass_millis(10);
            end(rig, address, exchange, status, headers);
            "sent".to_owned()
        }
    }
}

fn is_served(rig: &mut Rig, address: &str) -> bool {
    ask(rig, address, 200, &[]) == "sent"
}

/// A backend that has served these lately.
fn serving(addresses: &[&str]) -> Rig {
    let mut rig = one(&serde_json::json!({}));
    for address in addresses {
        assert!(is_served(&mut rig, address));
        rig.world.pass_seconds(2);
    }
    rig
}

const REFUSALS: [(u16, &[(&str, &str)]); 5] = [
    (429, &[("retry-after", "600")]),
    (429, &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "10m")]),
    (429, &[]),
    (200, &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "10m")]),
    (
        200,
        &[
            ("x-ratelimit-limit-tokens", "9000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "10m"),
        ],
    ),
];

#[test]
fn what_one_client_is_refused_takes_the_backend_from_no_other() {
    for (status, headers) in REFUSALS {
        let mut rig = serving(&[GOOD]);
        for round in 0..20 {
            ask(&mut rig, EVIL, status, headers);
            assert!(is_served(&mut rig, GOOD), "{status} {headers:?}, round {round}");
            rig.world.pass_millis(700);
        }
    }
}

#[test]
fn a_client_that_was_refused_is_not_sent_there_again_before_its_time() {
    for (status, headers) in REFUSALS {
        let mut rig = serving(&[GOOD]);
        assert_eq!(ask(&mut rig, EVIL, status, headers), "sent");
        assert_eq!(ask(&mut rig, EVIL, 200, &[]), "rate_limited", "{status} {headers:?}");
        rig.world.pass_seconds(601);
        assert!(is_served(&mut rig, EVIL), "{status} {headers:?}");
    }
}

#[test]
fn where_nobody_else_was_served_a_refusal_holds_for_all_at_once() {
    for (status, headers) in REFUSALS {
        let mut rig = one(&serde_json::json!({}));
        // One application, over several connections.
        for n in 0..5 {
            assert!(is_served(&mut rig, &format!("192.0.2.66:{}", 2_000 + n)));
            rig.world.pass_seconds(2);
        }
        assert_eq!(ask(&mut rig, EVIL, status, headers), "sent");
        for address in ["192.0.2.66:3000", EVIL, GOOD] {
            assert_eq!(ask(&mut rig, address, 200, &[]), "rate_limited", "{status} {headers:?} {address}");
        }
    }
}

#[test]
fn a_backend_that_refuses_everybody_is_left_alone_after_a_few() {
    let mut rig = one(&serde_json::json!({}));
    let clients: Vec<String> = (1..60).map(|n| format!("192.0.2.{n}:1000")).collect();
    for client in &clients {
        assert!(is_served(&mut rig, client));
        rig.world.pass_millis(1_100);
    }
    let mut sent = 0;
    for _ in 0..200 {
        for client in &clients {
            sent += usize::from(ask(&mut rig, client, 429, &[("retry-after", "600")]) == "sent");
            rig.world.pass_millis(20);
        }
    }
    assert!((2..=8).contains(&sent), "{sent} were refused in 240 s");
}

#[test]
fn a_common_quota_that_runs_out_binds_all_who_share_it() {
    let mut rig = serving(&[GOOD, OTHER, EVIL]);
    let mut left = 30_u64;
    let mut beyond = 0;
    for n in 0..60 {
        let told = left.saturating_sub(1).to_string();
        let headers = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", &*told),
            ("x-ratelimit-reset-requests", "5m"),
        ];
        if ask(&mut rig, [GOOD, OTHER, EVIL][n % 3], 200, &headers) == "sent" {
            beyond += usize::from(left == 0);
            left = left.saturating_sub(1);
        }
    }
    assert_eq!((left, beyond), (0, 0));
}

#[test]
fn two_clients_that_are_refused_keep_a_third_waiting_for_seconds_at_most() {
    let mut rig = serving(&[GOOD]);
    for wait in ["600", "10", "2"] {
        let mut refused = 0;
        for _ in 0..600 {
            for evil in [EVIL, EVIL_TOO] {
                ask(&mut rig, evil, 429, &[("retry-after", wait)]);
            }
            refused += usize::from(!is_served(&mut rig, GOOD));
            rig.world.pass_millis(70);
        }
        // Ten seconds of some fifty.
        assert!(refused <= 160, "{wait}: {refused} of 600");
        rig.world.pass_seconds(700);
        assert!(is_served(&mut rig, GOOD));
    }
}

#[test]
fn what_is_too_much_of_one_client_does_not_cut_what_all_may_have_under_way() {
    let overloads: [(u16, &[(&str, &str)]); 3] =
        [(503, &[("retry-after", "1")]), (529, &[]), (429, &[("retry-after", "0")])];
    for (status, headers) in overloads {
        let mut rig = serving(&[GOOD]);
        for _ in 0..12 {
            let good = begin(&mut rig, GOOD).expect("sent");
            rig.world.pass_millis(60);
            ask(&mut rig, EVIL, status, headers);
            rig.world.pass_millis(80);
            end(&mut rig, GOOD, good, 200, &[]);
        }
        let many: Vec<Exchange> = (0..20).filter_map(|_| begin(&mut rig, GOOD).ok()).collect();
        assert_eq!(many.len(), 20, "{status}");
    }
}

#[test]
fn what_is_too_much_of_two_clients_and_of_an_only_one_cuts_it() {
    for clients in [vec![GOOD, OTHER], vec![EVIL]] {
        let mut rig = serving(&clients);
        for n in 0..4 {
            let client = clients[n % clients.len()];
            let good = begin(&mut rig, client).expect("sent");
            rig.world.pass_millis(60);
            ask(&mut rig, client, 529, &[]);
            end(&mut rig, client, good, 200, &[]);
        }
        let now = rig.world.now();
        assert!(rig.record("a").capacity.tokens(now).is_some(), "{clients:?}");
    }
}

/// Clients by their addresses, two of which failed the backend until its breaker opened.
fn opened() -> Rig {
    let mut rig = one(&serde_json::json!({ "circuit_breaker": { "recovery_timeout_seconds": 10, "ramp_seconds": 0 } }));
    for address in [GOOD, OTHER, EVIL] {
        assert!(is_served(&mut rig, address));
        rig.world.pass_seconds(5);
    }
    for n in 0..30 {
        ask(&mut rig, [GOOD, OTHER, EVIL][n % 3], 500, &[]);
    }
    assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open);
    rig.world.pass_seconds(30);
    rig
}

#[test]
fn a_client_that_leaves_its_probes_does_not_keep_a_breaker_from_closing() {
    // It leaves before the answer, in the midst of it, or has an answer that is its own fault.
    for status in [0, 404, 400, 429] {
        let mut rig = opened();
        let mut served = 0;
        for _ in 0..20 {
            // Eight at once, on as many connections, before anybody else comes.
            let held: Vec<(String, Exchange)> = (0..8)
                .filter_map(|n| {
                    let address = format!("192.0.2.66:{}", 1_000 + n);
                    begin(&mut rig, &address).ok().map(|exchange| (address, exchange))
                })
                .collect();
            for _ in 0..8 {
                served += usize::from(is_served(&mut rig, GOOD));
                rig.world.pass_seconds(1);
            }
            for (address, exchange) in held {
                match status {
                    0 => {
                        let mut exchange = exchange;
                        rig.answer(&mut exchange, 0, 1, None, 0);
                    }
                    status => end(&mut rig, &address, exchange, status, &[]),
                }
            }
        }
        assert!(served > 140, "{status}: {served} of 160");
        assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Closed, "{status}");
    }
}

#[test]
fn an_only_client_has_all_the_probes() {
    let mut rig = one(&serde_json::json!({ "circuit_breaker": { "recovery_timeout_seconds": 10 } }));
    assert!(is_served(&mut rig, GOOD));
    (0..30).for_each(|_| drop(ask(&mut rig, GOOD, 500, &[])));
    rig.world.pass_seconds(30);
    let probes: Vec<Exchange> = (0..8).filter_map(|_| begin(&mut rig, GOOD).ok()).collect();
    assert_eq!(probes.len(), 3);
}

#[test]
fn addresses_of_one_ipv6_network_are_one_client() {
    use crate::health::Source;
    let is_same = |a: &str, b: &str| Source::of_address(a.as_bytes()).is_same_client(Source::of_address(b.as_bytes()));
    for (a, b, same) in [
        ("[2001:db8::1]:80", "[2001:db8::2]:81", true),
        ("[2001:db8:0:0:aaaa:bbbb:cccc:dddd]:80", "[2001:db8::1]:80", true),
        ("[2001:db8:0:1::1]:80", "[2001:db8::1]:80", false),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1:81", true),
        ("[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.2]:80", false),
        ("[fe80::1%eth0]:80", "[fe80::1%eth0]:81", true),
        ("192.0.2.1:80", "192.0.2.2:80", false),
    ] {
        assert_eq!(is_same(a, b), same, "{a} {b}");
    }
}

#[test]
fn two_clients_that_get_what_nobody_can_use_condemn_no_backend_that_serves_a_third() {
    for status in [401, 404, 422] {
        let mut rig = serving(&[GOOD]);
        for n in 0..400 {
            ask(&mut rig, [EVIL, EVIL_TOO][n % 2], status, &[]);
            rig.world.pass_millis(100);
            if n % 80 == 0 {
                assert!(is_served(&mut rig, GOOD));
            }
            let backend = rig.router.config().backends[0].clone();
            assert!(!rig.record("a").is_misconfigured(&backend), "{status}, {n}");
        }
        rig.world.pass_seconds(20);
        (0..12).for_each(|n| drop(ask(&mut rig, [EVIL, EVIL_TOO][n % 2], status, &[])));
        let backend = rig.router.config().backends[0].clone();
        assert!(rig.record("a").is_misconfigured(&backend), "{status}: it serves nobody any more");
    }
}

#[test]
fn one_long_answer_takes_the_quicker_backend_from_nobody() {
    let mut rig = Rig::new(&serde_json::json!({
        "strategy": "performance_based", "exploration": 0,
        "backend_instances": { "a": { "expected_response_time_ms": 50 }, "b": { "expected_response_time_ms": 100 } },
    }));
    let answer = |rig: &mut Rig, address: &str, millis: Option<u64>, tokens: u64| {
        let mut exchange = begin(rig, address).expect("sent");
        let cluster = rig.header("x-llm-cluster").expect("decided");
        rig.world.pass_millis(millis.unwrap_or(if cluster == "a" { 10 } else { 80 }));
        let usage = format!(r#""usage":{{"prompt_tokens":12,"completion_tokens":{tokens}}}"#);
        let body = format!(r#"{{"choices":[{{"message":{{"content":"Fine."}}}}],{usage}}}"#);
        rig.answer(&mut exchange, 200, 1, Some(&body), 0);
        cluster
    };
    (0..40).for_each(|_| drop(answer(&mut rig, GOOD, None, 8)));
    for (millis, tokens) in [(4_000, 400), (4_000, 8), (60_000, 4_000)] {
        for _ in 0..2 {
            assert_eq!(answer(&mut rig, EVIL, Some(millis), tokens), "a");
        }
        let to_a = (0..60).filter(|_| answer(&mut rig, GOOD, None, 8) == "a").count();
        assert!(to_a >= 55, "{millis} ms, {tokens} tokens: {to_a}");
    }
}
