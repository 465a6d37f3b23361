//! Whole exchanges against a world in memory.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Context, Exchange, Flow, RefusalCode, Router};
use crate::config;
use crate::domain::Tokens;
use crate::health::{BreakerPhase, TripReason};
use crate::host::fake::{self, World};
use crate::host::{Host, Property};
use crate::state::{Place, Record, View};

mod announced;
mod answers;
mod apis;
mod audit;
mod blame;
mod breakers;
mod budget;
mod clocks;
#[cfg(not(target_family = "wasm"))]
mod convergence;
mod costs;
#[cfg(not(target_family = "wasm"))]
mod days;
mod decisions;
mod exhausted;
mod exploration;
mod figures;
mod misrouting;
mod pacing;
mod priced;
mod quota;
mod refusals;
mod routing;
mod shares;
mod sources;
mod timeouts;
mod trailers;
mod uploads;
mod usage;
mod waiting;
mod ways;

/// One worker in a world.
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
        let world = World::new();
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
            "panic_threshold": 0,
            "backend_instances": { "a": breaker, "b": breaker, "c": breaker },
        }))
    }

    fn send(&mut self, exchange: &mut Exchange, headers: &[(&str, &str)], body: &str) -> Flow {
        let base = [(":path", "/v1/chat/completions"), (":method", "POST"), ("content-type", "application/json")];
        self.world.request.replace(fake::headers(base.iter().chain(headers)));
        self.world.request_body.replace(body.into());
        let mut cx = Context { router: &mut self.router, view: &mut self.view, host: &self.world };
        match exchange.request_headers(&mut cx, body.is_empty()) {
            Flow::Hold => exchange.request_body(&mut cx, body.len(), true),
            flow => flow,
        }
    }

    /// The answer, after that many attempts; `flags` are Envoy's.
    fn answer(&mut self, exchange: &mut Exchange, status: u16, attempts: u64, body: Option<&str>, flags: u64) {
        self.world.set_number(Property::AttemptCount, attempts);
        self.world.set_number(Property::ResponseFlags, flags);
        // Without a body it is one that nobody reads: an empty answer would be a failure.
        let encoding = if body.is_none() { "br" } else { "identity" };
        let kind = [("content-type", "application/json"), ("content-encoding", encoding)];
        self.world.response.replace(fake::headers([(":status", &*status.to_string())].iter().chain(&kind)));
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
        self.world.request_header(name)
    }

    fn metric(&self, part: &str) -> u64 {
        self.world.metric(part)
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
    rig.world.set_seconds(1_002);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert_eq!(rig.in_flight(), [0, 0, 0]);
    let record = rig.record("a");
    assert_eq!((record.window.len(), record.window.failures()), (1, 0));
    assert_eq!(record.response_time.parts().0, 2 * SECOND);
    assert_eq!(record.lengths.median(), 100, "a third of the prior, on the way to 3");
    for (name, value) in [("x-llm-backend", "a"), ("x-llm-strategy", "round_robin"), ("x-llm-attempts", "1")] {
        assert_eq!(rig.world.response_header(name).as_deref(), Some(value));
    }
    assert_eq!((rig.metric("status.success.method.post"), rig.metric("kind.input")), (1, 12));
}

#[test]
fn without_shared_data_requests_still_go_through() {
    let mut rig = Rig::three();
    rig.world.set_broken(true);
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
    assert!(rig.header("x-llm-cluster").is_some());
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert!(rig.metric("internal_errors_total.kind.shared_data") > 0);
    rig.world.set_broken(false);
    rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    assert_eq!(rig.in_flight(), [0, 0, 0]);
}

#[test]
fn a_decision_is_a_line_where_the_operator_wants_one() {
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} }, "logging": { "decisions": true } }));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    let line: serde_json::Value = serde_json::from_str(&rig.world.lines()[0]).expect("JSON");
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
            rig.world.pass_seconds(1);
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
