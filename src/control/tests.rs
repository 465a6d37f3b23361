//! The control API against a world in memory: several workers, one store.

mod clocks;
mod decisions;
mod explaining;
mod figures;
mod overrides;
mod showing;
mod steering;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Flow, Guard, Reply, Session, Token};
use crate::config::{self, ControlConfig};
use crate::exchange::{self, Context, Exchange, Router};
use crate::health::BreakerPhase;
use crate::host::fake::{self, World};
use crate::host::{Host, Property};
use crate::state::{Record, View};

struct Worker {
    router: Router,
    view: View,
}

impl Worker {
    fn follow(&mut self, world: &World) {
        if let Some(next) = self.router.follow(&mut self.view, world) {
            self.router = next;
        }
    }
}

/// Backends of clusters that nobody knows may be registered.
fn any_cluster() -> ControlConfig {
    ControlConfig { allow_any_cluster: true, ..ControlConfig::default() }
}

/// Two workers of one Envoy.
struct Rig {
    world: World,
    workers: [Worker; 2],
    guard: Guard,
}

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"How are you?"}],"max_tokens":50}"#;

impl Rig {
    fn new(config: &Value) -> Self {
        let world = World::new();
        world.properties.borrow_mut().insert(Property::SourceAddress, b"192.0.2.7:4711".to_vec());
        world.properties.borrow_mut().insert(Property::DestinationAddress, b"127.0.0.1:8888".to_vec());
        let config = Arc::new(config::parse(config.to_string().as_bytes()).unwrap());
        let workers = [1, 2].map(|name| {
            let mut view = View::new(name);
            let router = Router::new(Arc::clone(&config), &mut view, &world, 42).unwrap();
            view.refresh(&world, world.now()).unwrap();
            Worker { router, view }
        });
        Self { world, workers, guard: Guard::new(Token::default(), any_cluster()) }
    }

    fn three(strategy: &str) -> Self {
        Self::new(&json!({ "strategy": strategy, "backend_instances": {
            "a": { "backend_type": "lightrag", "apis": ["openai"], "weight": 5 }, "b": {}, "c": { "circuit_breaker": { "enabled": false } },
        }}))
    }

    fn tick(&mut self) {
        for worker in &mut self.workers {
            worker.follow(&self.world);
            worker.view.refresh(&self.world, self.world.now()).unwrap();
            worker.view.write_journal(&self.world).unwrap();
        }
    }

    fn call(&mut self, worker: usize, method: &str, endpoint: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let path = format!("/api/v1/router{endpoint}");
        let base = [(":method", method), (":path", path.as_str()), (":authority", "127.0.0.1:8888")];
        self.world.request.replace(fake::headers(base.iter().chain(headers)));
        self.world.request_body.replace(body.to_vec());
        let Worker { router, view } = &mut self.workers[worker];
        let mut cx = Context { router, view, host: &self.world };
        let mut session = Session::default();
        let mut flow = session.request_headers(&mut cx, &self.guard, body.is_empty());
        for (held, ended) in [(body.len() / 2, false), (body.len(), true)] {
            if flow == Flow::Hold {
                flow = session.request_body(&mut cx, held, ended);
            }
        }
        assert_eq!(session.request_body(&mut cx, body.len(), true), Flow::Hold, "it is answered once");
        self.workers[worker].follow(&self.world);
        match flow {
            Flow::Answer(reply) => reply,
            Flow::Hold => panic!("no answer"),
        }
    }

    fn get(&mut self, worker: usize, endpoint: &str) -> Value {
        let reply = self.call(worker, "GET", endpoint, &[], b"");
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    fn explain(&mut self, headers: &[(&str, &str)], body: &str) -> Value {
        let reply = self.call(0, "POST", "/explain", headers, body.as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    /// Where a client's request goes first.
    fn send(&mut self) -> String {
        self.begin();
        self.world.request_header("x-llm-cluster").unwrap()
    }

    /// It is never answered.
    fn end(&mut self, mut exchange: Exchange) {
        let Worker { router, view } = &mut self.workers[0];
        exchange.log(&mut Context { router, view, host: &self.world });
    }

    /// Sends a client's request.
    fn begin(&mut self) -> Exchange {
        let headers = [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
        self.world.request.replace(fake::headers(&headers));
        self.world.request_body.replace(CHAT.into());
        let Worker { router, view } = &mut self.workers[0];
        let mut cx = Context { router, view, host: &self.world };
        let mut exchange = Exchange::default();
        exchange.request_headers(&mut cx, false);
        assert_eq!(exchange.request_body(&mut cx, CHAT.len(), true), exchange::Flow::Continue);
        exchange
    }

    /// A client's request, answered after so many attempts a quarter of a second later.
    fn send_and_answer(&mut self, status: u16, attempts: u64) {
        let mut exchange = self.begin();
        let Worker { router, view } = &mut self.workers[0];
        let mut cx = Context { router, view, host: &self.world };
        self.world.pass_millis(250);
        self.world.response.replace(fake::headers(&[
            (":status", status.to_string().as_str()),
            // One that nobody reads.
            ("content-encoding", "br"),
        ]));
        self.world.set_number(Property::AttemptCount, attempts);
        exchange.response_headers(&mut cx, true);
        exchange.log(&mut cx);
    }

    fn record(&mut self, id: &str) -> Record {
        let place = self.workers[0].view.place(&self.world, id).unwrap();
        self.workers[0].view.record(place).clone()
    }

    fn phase(&mut self, worker: usize, id: &str) -> BreakerPhase {
        let place = self.workers[worker].view.place(&self.world, id).unwrap();
        self.workers[worker].view.record(place).breaker.phase
    }
}

fn code(reply: &Reply) -> (u16, String) {
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert!(body["error"]["message"].is_string(), "{body}");
    (reply.status, body["error"]["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_breaker_turned_by_hand_is_turned_for_all_workers_and_logged() {
    let mut rig = Rig::three("round_robin");
    let reply = rig.call(0, "POST", "/circuit-breaker/a/open", &[], br#"{"reason":"maintenance"}"#);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    let change = &body["circuit_breaker_change"];
    assert_eq!((&change["previous_state"], &change["new_state"]), (&json!("closed"), &json!("open")));
    assert_eq!(change["change_timestamp"], "1970-01-01T00:16:40.000Z");
    assert_eq!((rig.phase(0, "a"), rig.phase(1, "a")), (BreakerPhase::Open, BreakerPhase::Closed));
    rig.tick();
    assert_eq!(rig.phase(1, "a"), BreakerPhase::Open);
    assert_eq!(rig.get(1, "/health")["health_status"]["lightrag"]["a"]["status"], "unhealthy");
    assert_eq!(rig.call(1, "POST", "/circuit-breaker/a/close", &[], b"").status, 200);
    rig.tick();
    assert_eq!((rig.phase(0, "a"), rig.phase(1, "a")), (BreakerPhase::Closed, BreakerPhase::Closed));
    let log = rig.world.lines().join("\n");
    assert!(
        log.contains(r#""action":"circuit_breaker_open","backend":"a","from":"192.0.2.7:4711","reason":"maintenance""#)
    );
    assert!(log.contains(r#""action":"circuit_breaker_close","backend":"a","from":"192.0.2.7:4711""#), "{log}");
}

#[test]
fn to_turn_a_breaker_where_it_stands_is_no_change_of_its_state() {
    let mut rig = Rig::three("round_robin");
    for (turn, changes) in [("close", 0), ("open", 1), ("open", 1), ("close", 2), ("close", 2)] {
        assert_eq!(rig.call(0, "POST", &format!("/circuit-breaker/a/{turn}"), &[], b"").status, 200);
        rig.tick();
        let told = rig.world.lines().iter().filter(|line| line.contains(r#""event":"circuit_breaker""#)).count();
        assert_eq!(
            (rig.world.metric("circuit_breaker_transitions_total"), told),
            (changes, changes as usize),
            "{turn}"
        );
    }
    let told = rig.world.lines().iter().filter(|line| line.contains(r#""event":"control""#)).count();
    assert_eq!(told, 5, "what operators do is logged all the same");
}

#[test]
fn a_change_that_cannot_be_written_is_no_change() {
    let mut rig = Rig::three("round_robin");
    rig.world.unwritable.set(true);
    let reply = rig.call(0, "POST", "/circuit-breaker/a/open", &[], b"");
    assert_eq!(code(&reply), (503, "unavailable".to_owned()));
    assert_eq!(rig.phase(0, "a"), BreakerPhase::Closed);
    assert!(rig.world.log.borrow().is_empty());
}

#[test]
fn mistakes_are_answered_with_what_is_wrong() {
    let mut rig = Rig::three("round_robin");
    let mut open = |id: &str, body: &[u8]| rig.call(0, "POST", &format!("/circuit-breaker/{id}/open"), &[], body);
    assert_eq!(code(&open("d", b"")), (404, "not_found".to_owned()));
    assert_eq!(code(&open("c", b"")), (409, "conflict".to_owned()));
    for (body, expected) in [
        (&b"{\"reason\":1,\"why\":2}"[..], "reason: expected a string, found a number; why: unknown key"),
        (b"[]", "expected an object, found a list"),
        (b"{", "not JSON: EOF while parsing an object at line 1 column 1"),
        (b"\xff", "not JSON"),
    ] {
        let reply = open("a", body);
        assert_eq!(code(&reply), (400, "invalid_request".to_owned()));
        assert!(reply.body.contains(expected), "{}", reply.body);
    }
    assert_eq!(code(&open("a", &vec![b' '; 65_537])), (413, "request_too_large".to_owned()));
    assert_eq!(rig.phase(0, "a"), BreakerPhase::Closed);
    let announced = rig.call(0, "POST", "/explain", &[("content-length", "65537")], b"{}");
    assert_eq!(code(&announced).0, 413);
    let refused = rig.call(0, "POST", "/explain", &[], b"{\"messages\":");
    assert!(refused.body.contains("not valid JSON: EOF while parsing"), "{}", refused.body);
}

#[test]
fn to_look_needs_no_token_and_to_change_does() {
    let mut rig = Rig::three("round_robin");
    rig.guard = Guard::new(Token::new(Some(b"t".to_vec())), ControlConfig::default());
    rig.get(0, "/health");
    rig.explain(&[], CHAT);
    assert_eq!(code(&rig.call(0, "POST", "/circuit-breaker/a/open", &[], b"")), (401, "unauthorized".to_owned()));
    assert_eq!(rig.phase(0, "a"), BreakerPhase::Closed);
    let right = [("authorization", "Bearer t")];
    assert_eq!(rig.call(0, "POST", "/circuit-breaker/a/open", &right, b"").status, 200);
}

proptest! {
    #[test]
    fn any_call_is_answered_in_json(
        name in "(health|explain|decisions|weights|(circuit-breaker|failover)/test|backends/[abcd]|backends/[abcd]/(drain|undrain)|circuit-breaker/[abcd]/(open|close)|[a-z/%?=\u{0}-\u{ff}]{0,20})",
        body in prop::collection::vec(any::<u8>(), 1..200), method in prop::sample::select(&["GET", "POST", "PUT", "DELETE"])
    ) {
        let mut rig = Rig::three("weighted");
        let reply = rig.call(0, method, &format!("/{name}"), &[], &body);
        prop_assert!(serde_json::from_str::<Value>(&reply.body).is_ok(), "{}", reply.body);
    }

    #[test]
    fn deep_nesting_is_no_danger(depth in 1..30_000_usize, brace in any::<bool>()) {
        let mut rig = Rig::three("weighted");
        let (open, key) = if brace { ("{\"messages\":[", "") } else { ("[", "{\"reason\":") };
        let body = [key, &open.repeat(depth.min(60_000 / open.len()))].concat();
        for endpoint in ["/explain", "/circuit-breaker/a/open"] {
            prop_assert_eq!(rig.call(0, "POST", endpoint, &[], body.as_bytes()).status, 400);
        }
    }
}
