//! Whole exchanges against a world in memory.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{Context, Exchange, Flow, RefusalCode, Router};
use crate::config::{self, LogLevel};
use crate::domain::{Timestamp, Tokens};
use crate::health::{BreakerPhase, TripReason};
use crate::host::{CallId, Host, Property};
use crate::metrics::Metric;
use crate::state::{Cas, MemoryStore, Place, Record, Store, StoreError, View};

mod quota;

/// A world whose every fact is set by the test.
#[derive(Default)]
struct World {
    store: MemoryStore,
    now: Cell<u64>,
    request: RefCell<Vec<(String, Vec<u8>)>>,
    body: RefCell<Vec<u8>>,
    response: RefCell<Vec<(String, Vec<u8>)>>,
    chunk: RefCell<Vec<u8>>,
    properties: RefCell<HashMap<Property, Vec<u8>>>,
    metrics: RefCell<BTreeMap<String, u64>>,
    log: RefCell<Vec<String>>,
    /// Whether shared data is out of order.
    broken: Cell<bool>,
}

impl Store for World {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError> {
        if self.broken.get() { Err(StoreError::Host) } else { self.store.get(key) }
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError> {
        if self.broken.get() { Err(StoreError::Host) } else { self.store.set(key, value, cas) }
    }
}

/// Adds a header as Envoy does: a second copy if there is one already, which must never be.
fn add(headers: &RefCell<Vec<(String, Vec<u8>)>>, name: &str, value: &[u8]) {
    assert!(!headers.borrow().iter().any(|(n, _)| n == name), "{name} is there already");
    headers.borrow_mut().push((name.to_owned(), value.to_vec()));
}

fn find(headers: &RefCell<Vec<(String, Vec<u8>)>>, name: &str) -> Option<String> {
    let headers = headers.borrow();
    let (_, value) = headers.iter().find(|(n, _)| n == name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

impl Host for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.get())
    }

    fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.request.borrow().clone()
    }

    fn add_request_header(&self, name: &str, value: &[u8]) {
        add(&self.request, name, value);
    }

    fn remove_request_header(&self, name: &str) {
        self.request.borrow_mut().retain(|(n, _)| n != name);
    }

    fn request_body(&self, len: usize) -> Option<Vec<u8>> {
        let body = self.body.borrow();
        Some(body[..len.min(body.len())].to_vec())
    }

    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.response.borrow().clone()
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        add(&self.response, name, value);
    }

    fn remove_response_header(&self, name: &str) {
        self.response.borrow_mut().retain(|(n, _)| n != name);
    }

    fn response_body(&self, _: usize) -> Option<Vec<u8>> {
        Some(self.chunk.borrow().clone())
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        self.properties.borrow().get(&property).cloned()
    }

    fn call(&self, _: &str, _: &[(&str, &str)], _: Duration) -> Option<CallId> {
        None
    }

    fn call_headers(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    fn call_body(&self, _: usize, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn record(&self, metric: Metric, value: u64) {
        *self.metrics.borrow_mut().entry(metric.name(&[])).or_default() += value;
    }

    fn log(&self, _: LogLevel, line: &str) {
        self.log.borrow_mut().push(line.to_owned());
    }
}

/// One worker in that world.
struct Rig {
    world: World,
    router: Router,
    view: View,
}

const SECOND: u64 = 1_000_000;
const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"How are you?"}],"max_tokens":50}"#;
const ANSWER: &str =
    r#"{"choices":[{"message":{"content":"Fine."}}],"usage":{"prompt_tokens":12,"completion_tokens":3}}"#;

impl Rig {
    fn new(config: &serde_json::Value) -> Self {
        let world = World::default();
        world.now.set(1_000 * SECOND);
        let config = Arc::new(config::parse(config.to_string().as_bytes()).expect("a configuration"));
        let mut view = View::new(1);
        let router = Router::new(config, &mut view, &world, 42).expect("a router");
        view.refresh(&world, world.now()).expect("refreshed");
        Self { world, router, view }
    }

    /// Backends a, b, c in turn; a breaker opens after two failures.
    fn three() -> Self {
        let breaker =
            serde_json::json!({ "circuit_breaker": { "failure_threshold": 2, "recovery_timeout_seconds": 10 } });
        Self::new(&serde_json::json!({
            "strategy": "round_robin",
            "backend_instances": { "a": breaker, "b": breaker, "c": breaker },
        }))
    }

    fn send(&mut self, exchange: &mut Exchange, headers: &[(&str, &str)], body: &str) -> Flow {
        let base = [(":path", "/v1/chat/completions"), (":method", "POST"), ("content-type", "application/json")];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        self.world.request.replace(base.iter().chain(headers).map(owned).collect());
        self.world.body.replace(body.into());
        let mut cx = Context { router: &mut self.router, view: &mut self.view, host: &self.world };
        match exchange.request_headers(&mut cx, body.is_empty()) {
            Flow::Hold => exchange.request_body(&mut cx, body.len(), true),
            flow => flow,
        }
    }

    /// The answer, after that many attempts; `flags` are Envoy's.
    fn answer(&mut self, exchange: &mut Exchange, status: u16, attempts: u64, body: Option<&str>, flags: u64) {
        let properties = [(Property::AttemptCount, attempts), (Property::ResponseFlags, flags)];
        self.world.properties.borrow_mut().extend(properties.map(|(p, n)| (p, n.to_le_bytes().to_vec())));
        self.world.response.replace(vec![
            (":status".to_owned(), status.to_string().into_bytes()),
            ("content-type".to_owned(), b"application/json".to_vec()),
        ]);
        let mut cx = Context { router: &mut self.router, view: &mut self.view, host: &self.world };
        if status > 0 {
            exchange.response_headers(&mut cx, body.is_none() && flags == 0);
        }
        if let Some(body) = body {
            self.world.chunk.replace(body.into());
            exchange.response_body(&mut cx, body.len(), flags == 0);
        }
        exchange.log(&mut cx);
        exchange.log(&mut cx);
    }

    fn record(&mut self, id: &str) -> Record {
        let place: Place = self.view.place(&self.world, id).expect("placed");
        self.view.record(place).clone()
    }

    fn in_flight(&mut self) -> Vec<u32> {
        ["a", "b", "c"].map(|id| self.record(id).in_flight()).into()
    }

    fn header(&self, name: &str) -> Option<String> {
        find(&self.world.request, name)
    }

    fn metric(&self, part: &str) -> u64 {
        self.world.metrics.borrow().iter().filter(|(name, _)| name.contains(part)).map(|(_, n)| n).sum()
    }
}

#[test]
fn a_request_is_routed_counted_answered_and_learned_from() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
    let slots = ["x-llm-cluster", "x-llm-try-0", "x-llm-try-1", "x-llm-try-2", "x-llm-try-3", "x-envoy-attempt-count"];
    let headers = slots.map(|name| rig.header(name).unwrap_or_default());
    assert_eq!(headers, ["a", "a", "b", "c", "", "0"]);
    assert_eq!(rig.in_flight(), [1, 0, 0]);
    rig.world.now.set(1_002 * SECOND);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert_eq!(rig.in_flight(), [0, 0, 0]);
    let record = rig.record("a");
    assert_eq!((record.window.len(), record.window.failures()), (1, 0));
    assert_eq!(record.response_time.parts().0, 2 * SECOND);
    assert_eq!(record.expected_output_tokens(), 152, "half-way from the prior to 3");
    for (name, value) in [("x-llm-backend", "a"), ("x-llm-strategy", "round_robin"), ("x-llm-attempts", "1")] {
        assert_eq!(find(&rig.world.response, name).as_deref(), Some(value));
    }
    assert_eq!((rig.metric("status.success.method.post"), rig.metric("kind.input")), (1, 12));
}

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
fn attempts_that_failed_are_charged_to_those_who_failed() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 200, 3, Some(ANSWER), 0);
    let failures = ["a", "b", "c"].map(|id| rig.record(id).window.failures());
    assert_eq!((failures, rig.in_flight()), ([1, 1, 0], vec![0, 0, 0]));
    assert_eq!(find(&rig.world.response, "x-llm-backend").as_deref(), Some("c"));
    assert!(!rig.record("c").response_time.is_measured(), "how long c alone took is not known");
    assert_eq!(rig.metric("failovers"), 2);
}

#[test]
fn on_a_route_that_cannot_change_its_cluster_all_attempts_are_the_first_ones() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.properties.borrow_mut().insert(Property::ClusterName, b"a".to_vec());
    rig.answer(&mut exchange, 503, 2, None, 0);
    assert_eq!(rig.record("a").window.failures(), 2);
    assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open);
    assert_eq!(rig.record("b").window.len(), 0);
}

#[test]
fn while_the_answer_streams_the_request_counts_where_it_is() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.properties.borrow_mut().insert(Property::AttemptCount, 2_u64.to_le_bytes().to_vec());
    rig.world.response.replace(vec![(":status".to_owned(), b"200".to_vec())]);
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, false);
    assert_eq!(rig.in_flight(), [0, 1, 0]);
    assert_eq!(rig.record("a").window.failures(), 1);
}

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
    rig.world.now.set(1_011 * SECOND);
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
        rig.world.now.set(2_000 * SECOND);
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
    rig.world.now.set(1_011 * SECOND);
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
        rig.world.log.borrow().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
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
            rig.world.properties.borrow_mut().insert(Property::AttemptCount, 1_u64.to_le_bytes().to_vec());
            let headers = [(":status", "200"), ("content-type", "text/event-stream")];
            rig.world.response.replace(headers.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).into());
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
            chunk(60, "data: [DONE]\n\n", true);
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
            rig.world.request.replace(request.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).into());
            rig.world.body.replace(CHAT.into());
            rig.world.properties.borrow_mut().insert(Property::AttemptCount, 1_u64.to_le_bytes().to_vec());
            let response = [(":status", "200"), ("content-type", "application/json")];
            rig.world.response.replace(response.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).into());
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

#[test]
fn when_nobody_is_left_the_client_is_told_when_to_come_back() {
    let mut rig = Rig::three();
    for _ in 0..6 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        rig.answer(&mut exchange, 500, 1, None, 0);
    }
    rig.world.now.set(1_003 * SECOND);
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
fn hints_count_only_where_the_operator_allows_them() {
    let config = |hints: &[&str]| {
        serde_json::json!({
            "strategy": "round_robin", "client_hints": hints,
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
fn without_shared_data_requests_still_go_through() {
    let mut rig = Rig::three();
    rig.world.broken.set(true);
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
    assert!(rig.header("x-llm-cluster").is_some());
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert!(rig.metric("internal_errors_total.kind.shared_data") > 0);
    rig.world.broken.set(false);
    rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    assert_eq!(rig.in_flight(), [0, 0, 0]);
}

#[test]
fn a_steady_bias_of_a_provider_is_learned() {
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} } }));
    let body = CHAT.replace("How are you?", &"How does one word follow another in a sentence? ".repeat(20));
    let estimates: Vec<u64> = (0..51)
        .map(|_| {
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], &body);
            rig.answer(&mut exchange, 200, 1, Some(r#"{"usage":{"prompt_tokens":300,"completion_tokens":3}}"#), 0);
            find(&rig.world.response, "x-llm-estimated-tokens").and_then(|v| v.parse().ok()).unwrap_or_default()
        })
        .collect();
    assert!(estimates[0] < 250 && estimates[50].abs_diff(300) < 6, "{estimates:?}");
}

#[test]
fn an_answer_without_a_body_or_of_an_unknown_api_is_not_judged_by_its_body() {
    for headers in [
        &[(":method", "HEAD")][..],
        &[(":method", "GET"), (":path", "/v1/fine_tuning/jobs/1")],
        &[(":path", "/v1/batches")],
    ] {
        for body in [None, Some(r#"{"status":"failed","error":{"message":"no"}}"#), Some("{")] {
            let mut rig = Rig::three();
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, headers, "");
            rig.answer(&mut exchange, 200, 1, body, 0);
            assert_eq!(rig.record("a").window.failures(), 0, "{headers:?} {body:?}");
        }
    }
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 204, 1, None, 0);
    assert_eq!(rig.record("a").window.failures(), 0);
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
fn what_was_not_read_teaches_no_ratio_and_embeddings_no_length() {
    let usage = r#"{"usage":{"prompt_tokens":90000,"completion_tokens":0}}"#;
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} } }));
    for headers in [("content-encoding", "br"), (":path", "/v1/embeddings")] {
        let body = format!("{{\"input\":\"{}\"}}", "many words ".repeat(50));
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[headers], &body);
        rig.answer(&mut exchange, 200, 1, Some(usage), 0);
        if headers.0 == "content-encoding" {
            assert_eq!(rig.record("a").calibration.samples(), 0);
        } else {
            assert_eq!(rig.record("a").expected_output_tokens(), 150, "only the chat counted: half-way from 300 to 0");
        }
    }
}

#[test]
fn retries_that_ended_at_a_quota_are_no_illness() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 429, 3, Some("{}"), 0);
    assert_eq!(["a", "b", "c"].map(|id| rig.record(id).window.len()), [0, 0, 0]);
}

#[test]
fn what_a_backend_says_in_our_name_is_not_passed_on() {
    let mut rig = Rig::new(&serde_json::json!({ "response_headers": false, "backend_instances": { "a": {} } }));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    let spoofed = [(":status", "200"), ("x-llm-backend", "evil"), ("x-llm-cache", "hit"), ("x-llm-cache", "hit")];
    rig.world.response.replace(spoofed.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).into());
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, true);
    assert_eq!(rig.world.response.borrow().len(), 1);
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

#[test]
fn a_decision_is_a_line_where_the_operator_wants_one() {
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} }, "logging": { "decisions": true } }));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    let line: serde_json::Value = serde_json::from_str(&rig.world.log.borrow()[0]).expect("JSON");
    assert_eq!((&line["backend"], &line["status"]), (&"a".into(), &200.into()));
}

proptest! {
    #[test]
    fn however_requests_end_none_stays_in_flight(
        steps in prop::collection::vec((0..9_u8, 1..4_u64, any::<prop::sample::Index>()), 1..60)
    ) {
        let mut rig = Rig::three();
        let mut open = Vec::new();
        for (event, attempts, which) in steps {
            rig.world.now.set(rig.world.now.get() + SECOND);
            let mut exchange = Exchange::default();
            let flow = rig.send(&mut exchange, &[], CHAT);
            if flow == Flow::Continue {
                open.push(exchange);
            }
            let total: u32 = rig.in_flight().iter().sum();
            prop_assert_eq!(total as usize, open.len());
            if open.is_empty() {
                continue;
            }
            let mut exchange = open.swap_remove(which.index(open.len()));
            match event {
                0 => rig.answer(&mut exchange, 200, attempts, Some(ANSWER), 0),
                1 => rig.answer(&mut exchange, 500, attempts, Some("{}"), 0),
                2 => rig.answer(&mut exchange, 429, attempts, Some("{}"), 0),
                3 => rig.answer(&mut exchange, 404, attempts, None, 0),
                4 => rig.answer(&mut exchange, 200, attempts, Some("{"), 1 << 14),
                5 => rig.answer(&mut exchange, 0, attempts, None, 1 << 14),
                6 => rig.answer(&mut exchange, 503, 0, None, 1 << 1),
                7 => rig.answer(&mut exchange, 0, 0, None, 0),
                _ => rig.answer(&mut exchange, 200, attempts, Some(r#"{"error":{"message":"no"}}"#), 0),
            }
        }
        for mut exchange in open {
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        }
        prop_assert_eq!(rig.in_flight(), [0, 0, 0]);
    }
}
