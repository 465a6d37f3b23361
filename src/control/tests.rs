//! The control API against a world in memory: several workers, one store.

mod figures;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Flow, Reply, Session, Token};
use crate::alerts::{AlertKind, Board, Cause, KEY, Reading, Sign, Terms};
use crate::config;
use crate::exchange::{self, Context, Exchange, Router};
use crate::health::{BreakerPhase, Checkup, Form, TripReason};
use crate::host::fake::{self, World};
use crate::host::{Host, Property};
use crate::state::{Record, Store, View, note_details};

mod decisions;

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

/// Two workers of one Envoy.
struct Rig {
    world: World,
    workers: [Worker; 2],
    token: Token,
}

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"How are you?"}],"max_tokens":50}"#;

impl Rig {
    fn new(config: &Value) -> Self {
        let world = World::new();
        world.properties.borrow_mut().insert(Property::SourceAddress, b"192.0.2.7:4711".to_vec());
        let config = Arc::new(config::parse(config.to_string().as_bytes()).unwrap());
        let workers = [1, 2].map(|name| {
            let mut view = View::new(name);
            let router = Router::new(Arc::clone(&config), &mut view, &world, 42).unwrap();
            view.refresh(&world, world.now()).unwrap();
            Worker { router, view }
        });
        Self { world, workers, token: Token::default() }
    }

    fn three(strategy: &str) -> Self {
        Self::new(&json!({ "strategy": strategy, "backend_instances": {
            "a": { "backend_type": "lightrag", "weight": 5 }, "b": {}, "c": { "circuit_breaker": { "enabled": false } },
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
        let base = [(":method", method), (":path", path.as_str())];
        self.world.request.replace(fake::headers(base.iter().chain(headers)));
        self.world.request_body.replace(body.to_vec());
        let Worker { router, view } = &mut self.workers[worker];
        let mut cx = Context { router, view, host: &self.world };
        let mut session = Session::default();
        let mut flow = session.request_headers(&mut cx, &self.token, body.is_empty());
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
        self.world.response.replace(fake::headers(&[(":status", status.to_string().as_str())]));
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
fn a_strategy_that_is_chosen_is_at_work_on_all_workers_until_the_configuration_says_otherwise() {
    let mut rig = Rig::three("round_robin");
    let put = |rig: &mut Rig, body: &str| rig.call(0, "PUT", "/strategy", &[], body.as_bytes());
    let reply = put(&mut rig, r#"{"strategy":"cost_aware"}"#);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains(r#""previous_strategy":"round_robin","new_strategy":"cost_optimized""#));
    assert_eq!(rig.get(1, "/strategy")["strategy"], "round_robin");
    rig.tick();
    let told = rig.get(1, "/strategy");
    assert_eq!((&told["strategy"], &told["source"]), (&json!("cost_optimized"), &json!("operator")));
    assert_eq!(rig.explain(&[], CHAT)["strategy"], "cost_optimized");

    // Another configuration with the same strategy keeps it, one with another ends it, also for those after it.
    for (configured, expected) in
        [("round_robin", "cost_optimized"), ("weighted", "weighted"), ("round_robin", "round_robin")]
    {
        let document = json!({ "strategy": configured, "backend_instances": { "a": {} } }).to_string();
        let config = Arc::new(config::parse(document.as_bytes()).unwrap());
        let Rig { world, workers: [worker, _], .. } = &mut rig;
        worker.router = Router::new(config, &mut worker.view, world, 1).unwrap();
        assert_eq!(worker.router.strategy().name(), expected);
        worker.follow(world);
        assert_eq!(worker.router.strategy().name(), expected);
    }

    let mut rig = Rig::three("round_robin");
    for (body, expected) in [
        (r#"{"strategy":"fastest"}"#, r#"strategy: \"fastest\" is not one of: round_robin, "#),
        (r#"{"strategy":7}"#, "strategy: expected a string, found a number"),
        ("{}", "strategy: missing"),
        ("", "not JSON"),
    ] {
        let reply = put(&mut rig, body);
        assert_eq!(code(&reply), (400, "invalid_request".to_owned()));
        assert!(reply.body.contains(expected), "{}", reply.body);
    }
    put(&mut rig, r#"{"strategy":"weighted"}"#);
    put(&mut rig, r#"{"strategy":"round_robin"}"#);
    assert_eq!(rig.get(0, "/strategy")["source"], "configuration", "the configured one ends the choice");
    rig.world.unwritable.set(true);
    assert_eq!(code(&put(&mut rig, r#"{"strategy":"weighted"}"#)).0, 503);
    assert_eq!(rig.get(0, "/strategy")["strategy"], "round_robin");
}

fn listed<'a>(document: &'a Value, id: &str) -> &'a Value {
    document["backends"].as_array().unwrap().iter().find(|backend| backend["id"] == id).unwrap()
}

#[test]
fn backends_are_registered_changed_and_removed_for_all_workers() {
    let mut rig = Rig::three("round_robin");
    let reply = rig.call(0, "PUT", "/backends/d", &[], br#"{"priority":0,"weight":3}"#);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let change = &serde_json::from_str::<Value>(&reply.body).unwrap()["backend_change"];
    assert_eq!((&change["backend"], &change["action"]), (&json!("d"), &json!("registered")));
    let holds = change["holds_until"].as_str().unwrap();
    assert!(holds.starts_with("until a configuration has backend_instances.d, "), "{holds}");
    assert_eq!(rig.send(), "d", "the worker that was asked has it at once");
    rig.tick();
    let told = rig.get(1, "/backends");
    let d = listed(&told, "d");
    assert_eq!((&d["source"], &d["weight"], &d["draining"]), (&json!("api"), &json!(3), &Value::Null));
    assert_eq!(listed(&told, "a")["source"], "configuration");

    let reply = rig.call(1, "PUT", "/backends/d", &[], br#"{"priority":9}"#);
    assert!(reply.body.contains(r#""action":"changed""#), "{}", reply.body);
    rig.tick();
    assert_ne!(rig.send(), "d");
    for id in ["a", "d"] {
        let reply = rig.call(1, "DELETE", &format!("/backends/{id}"), &[], b"");
        assert!(reply.body.contains(r#""action":"removed""#), "{}", reply.body);
    }
    rig.tick();
    let told = rig.get(0, "/backends");
    assert_eq!((told["backends"].as_array().unwrap().len(), &told["removed"]), (2, &json!(["a"])));
    assert_eq!(listed(&told, "b")["default"], true, "the default backend was removed");
    assert_eq!(rig.call(0, "DELETE", "/backends/b", &[], b"").status, 200);
    assert_eq!(code(&rig.call(0, "DELETE", "/backends/c", &[], b"")), (409, "conflict".to_owned()));
    let log = rig.world.lines().join("\n");
    for action in ["backend_register", "backend_change", "backend_remove"] {
        assert!(log.contains(&format!(r#""action":"{action}","backend":"d","from":"192.0.2.7:4711""#)), "{log}");
    }
}

#[test]
fn a_draining_backend_gets_nothing_new_and_finishes_what_it_has() {
    let mut rig = Rig::new(&json!({ "strategy": "round_robin", "panic_threshold": 1.0, "backend_instances": {
        "a": { "priority": 0 }, "b": {} } }));
    let begun = rig.begin();
    let reply = rig.call(0, "POST", "/backends/a/drain", &[], br#"{"reason":"new disks"}"#);
    assert!(reply.body.contains(r#""draining":true,"reason":"new disks","in_flight":1"#), "{}", reply.body);
    assert_eq!(rig.send(), "b");
    let explained = rig.explain(&[], CHAT);
    assert_eq!(explained["backends"][0]["excluded"]["by"], "operator");
    let told = rig.get(0, "/backends");
    let drain = &listed(&told, "a")["draining"];
    assert_eq!((&drain["reason"], &drain["by"]), (&json!("new disks"), &json!("192.0.2.7:4711")));
    assert_eq!(drain["since"], "1970-01-01T00:16:40.000Z");
    assert_eq!(listed(&told, "a")["in_flight"]["requests"], 1);
    rig.end(begun);
    rig.tick();
    assert_eq!(listed(&rig.get(0, "/backends"), "a")["in_flight"]["requests"], 0);

    // Not even in panic, and with nobody else there is nobody.
    assert_eq!(rig.call(0, "POST", "/circuit-breaker/b/open", &[], b"").status, 200);
    assert_eq!(rig.explain(&[], CHAT)["decision"]["attempts"], json!(["b", "b", "b"]));
    assert_eq!(rig.call(0, "POST", "/backends/b/drain", &[], b"").status, 200);
    let refusal = &rig.explain(&[], CHAT)["refusal"];
    assert_eq!((&refusal["status"], &refusal["retry_after_seconds"]), (&json!(503), &Value::Null));
    assert!(rig.call(0, "POST", "/backends/a/undrain", &[], b"").body.contains(r#""draining":false"#));
    assert_eq!(rig.send(), "a");
}

#[test]
fn weights_are_changed_together() {
    let mut rig = Rig::three("weighted_round_robin");
    let reply = rig.call(0, "PUT", "/weights", &[], br#"{"b":0.5,"a":"0.25"}"#);
    assert!(
        reply
            .body
            .contains(r#"{"id":"a","previous_weight":5,"weight":0.25},{"id":"b","previous_weight":1,"weight":0.5},"#),
        "{}",
        reply.body
    );
    let told = rig.get(0, "/backends");
    assert_eq!((&listed(&told, "a")["weight"], &listed(&told, "a")["configured_weight"]), (&json!(0.25), &json!(5)));
    assert_eq!(listed(&told, "c")["configured_weight"], Value::Null);
    assert!(rig.world.lines().join("\n").contains(r#""thousandths":"a 250,b 500""#));
    rig.tick();
    assert_eq!(listed(&rig.get(1, "/backends"), "b")["weight"], 0.5);
}

#[test]
fn what_is_wrong_with_a_change_is_told_with_its_path_and_nothing_is_changed() {
    let mut rig =
        Rig::new(&json!({ "envoy_admin": { "cluster": "admin" }, "backend_instances": { "a": {}, "b": {} } }));
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(201));
    for (method, endpoint, body, status, expected) in [
        (
            "PUT",
            "/backends/d",
            r#"{"quality_score":1.4,"wieght":1}"#,
            400,
            "quality_score: 1.4 is not in 0..=1; wieght: ",
        ),
        ("PUT", "/backends/d", "[]", 400, "expected an object"),
        ("PUT", "/backends/d", "", 400, "not JSON"),
        ("PUT", "/backends/d.e", "{}", 400, "an id is 1 to 64"),
        ("PUT", "/backends/", "{}", 400, "an id is 1 to 64"),
        ("PUT", "/backends/d", r#"{"cluster":"admin"}"#, 400, "cluster: is Envoy's admin interface"),
        ("PUT", "/weights", r#"{"a":0,"b":"x"}"#, 400, "a: 0 is not in 0.001..=1000; "),
        ("PUT", "/weights", r#"{"d":1,"a":1,"e":2}"#, 400, "d: there is no such backend; e: there is no such backend"),
        ("PUT", "/weights", r#"{"d.e":1}"#, 400, "d.e: no id"),
        ("PUT", "/weights", "{}", 400, "no weight"),
        ("POST", "/backends/a/drain", &long, 400, "reason: longer than 200"),
        ("POST", "/backends/a/drain", r#"{"why":1}"#, 400, "why: unknown key"),
        ("POST", "/backends/d/drain", "", 404, "no such backend"),
        ("POST", "/backends/d/undrain", "", 404, "no such backend"),
        ("DELETE", "/backends/d", "", 404, "no such backend"),
    ] {
        let reply = rig.call(0, method, endpoint, &[], body.as_bytes());
        assert_eq!(code(&reply).0, status, "{endpoint} {body}: {}", reply.body);
        assert!(reply.body.contains(expected), "{endpoint} {body}: {}", reply.body);
    }
    rig.world.unwritable.set(true);
    assert_eq!(code(&rig.call(0, "PUT", "/backends/d", &[], b"{}")).0, 503);
    let told = rig.get(0, "/backends");
    assert_eq!((told["backends"].as_array().unwrap().len(), &told["removed"]), (2, &json!([])));
    assert!(rig.world.log.borrow().is_empty());
}

#[test]
fn ids_are_not_registered_without_end() {
    let mut rig = Rig::three("round_robin");
    let mut put = |n: usize| {
        let path = format!("/backends/d{n}");
        let reply = rig.call(0, "PUT", &path, &[], b"{}").status;
        rig.call(0, "DELETE", &path, &[], b"");
        reply
    };
    let accepted = (0..1_100).filter(|&n| put(n) == 200).count();
    assert_eq!(accepted, 1_024 - 3);
    assert_eq!((put(5), put(2_000)), (200, 409), "one that is known is welcome");
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
    rig.token = Token::new(Some(b"t".to_vec()));
    rig.get(0, "/health");
    rig.explain(&[], CHAT);
    assert_eq!(code(&rig.call(0, "POST", "/circuit-breaker/a/open", &[], b"")), (401, "unauthorized".to_owned()));
    assert_eq!(rig.phase(0, "a"), BreakerPhase::Closed);
    let right = [("authorization", "Bearer t")];
    assert_eq!(rig.call(0, "POST", "/circuit-breaker/a/open", &right, b"").status, 200);
}

#[test]
fn an_explanation_is_the_next_decision_and_leaves_no_trace() {
    for strategy in config::Strategy::ALL {
        let mut rig = Rig::three(strategy.name());
        for _ in 0..50 {
            let writes = rig.world.written.borrow().len();
            let before: Vec<_> = ["a", "b", "c"].map(|id| rig.phase(0, id)).into();
            rig.explain(&[], CHAT);
            let explained = rig.explain(&[], CHAT);
            assert_eq!(rig.world.written.borrow().len(), writes, "{}", strategy.name());
            assert_eq!(before, ["a", "b", "c"].map(|id| rig.phase(0, id)));
            let attempts = explained["decision"]["attempts"].as_array().unwrap();
            assert_eq!(attempts.len(), 3);
            assert_eq!(attempts[0], rig.send(), "{}", strategy.name());
        }
    }
}

#[test]
fn an_explanation_takes_no_probe() {
    let mut rig = Rig::three("round_robin");
    assert_eq!(rig.call(0, "POST", "/circuit-breaker/a/open", &[], b"").status, 200);
    let explained = rig.explain(&[], CHAT);
    let a = &explained["backends"][0];
    assert_eq!((&a["excluded"]["by"], &a["place"]), (&json!("breaker"), &Value::Null));
    assert_eq!(a["excluded"]["retry_at"], a["circuit_breaker"]["retry_at"]);
    rig.world.set_seconds(1_000 + 120);
    for _ in 0..10 {
        let explained = rig.explain(&[], CHAT);
        assert_eq!(explained["backends"][0]["probe"], true);
    }
    assert_eq!(rig.phase(0, "a"), BreakerPhase::Open, "nobody was let in");
}

#[test]
fn an_explanation_heeds_the_hints_that_clients_may_give() {
    let hints = |listed: Value| {
        json!({ "strategy": "round_robin", "client_hints": listed, "backend_instances": {
            "a": { "quality_score": 0.5 }, "b": {} } })
    };
    let headers = [("x-llm-strategy", "quality_aware"), ("x-llm-min-quality", "0.9")];
    let explained = Rig::new(&hints(json!(["strategy", "min_quality"]))).explain(&headers, CHAT);
    assert_eq!(explained["strategy"], "quality_based");
    assert_eq!(explained["decision"]["attempts"], json!(["b", "b", "b"]));
    assert_eq!(explained["backends"][0]["excluded"]["by"], "client");
    let explained = Rig::new(&hints(json!([]))).explain(&headers, CHAT);
    assert_eq!((&explained["strategy"], &explained["backends"][0]["eligible"]), (&json!("round_robin"), &json!(true)));
}

#[test]
fn a_request_that_nobody_may_serve_is_explained_too() {
    let mut rig = Rig::new(&json!({ "client_hints": ["min_quality"],
        "backend_instances": { "a": { "quality_score": 0.5 } } }));
    let explained = rig.explain(&[("x-llm-min-quality", "0.9")], CHAT);
    assert_eq!(explained["refusal"]["code"], "no_backend_available");
    assert_eq!((&explained["refusal"]["status"], &explained["decision"]), (&json!(503), &Value::Null));
}

#[test]
fn figures_are_those_of_the_records() {
    let mut rig = Rig::three("round_robin");
    rig.send();
    let metrics = rig.get(0, "/metrics");
    assert_eq!(metrics["routing_metrics"]["in_flight"], 1);
    assert_eq!(metrics["routing_metrics"]["recent_success_rate"], Value::Null, "nothing was answered yet");
    assert_eq!(metrics["circuit_breakers"]["c"], Value::Null, "it has none");
    let health = rig.get(0, "/health");
    assert_eq!((&health["overall_health"], &health["healthy_backends"]), (&json!("healthy"), &json!(3)));
    let a = &rig.get(0, "/backends")["backends"][0];
    assert_eq!((&a["id"], &a["weight"], &a["default"]), (&json!("a"), &json!(5), &json!(true)));
    assert_eq!(rig.get(0, "/strategy")["strategy"], "round_robin");
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

#[test]
fn a_budget_shows_what_is_spent_reserved_and_left() {
    let mut rig = Rig::new(&json!({
        "backend_instances": {
            "a": { "cost_per_1k_tokens": 1, "hourly_budget_usd": 0.5, "max_requests_per_minute": 9 }, "b": { "priority": 2 },
        },
        "cost": { "daily_budget_usd": 2, "tenants": { "an\"n": { "daily_budget_usd": 1 } } },
    }));
    let nothing = rig.get(0, "/budget");
    assert_eq!(nothing["overall"]["day"]["remaining_usd"], 2);
    assert_eq!(
        (&nothing["alert_thresholds"], &nothing["efficiency"]["efficiency"]),
        (&json!([0.7, 0.9, 1]), &json!(null))
    );
    assert_eq!((&nothing["tenants"][0]["name"], &nothing["on_exhausted"]), (&json!("an\"n"), &json!("refuse")));
    let mut exchanges = [Exchange::default(), Exchange::default()];
    for exchange in &mut exchanges {
        let headers = [(":path", "/v1/chat/completions"), (":method", "POST"), ("content-type", "application/json")];
        rig.world.request.replace(fake::headers(&headers));
        rig.world.request_body.replace(CHAT.into());
        let Worker { router, view } = &mut rig.workers[0];
        let mut cx = Context { router, view, host: &rig.world };
        exchange.request_headers(&mut cx, false);
        exchange.request_body(&mut cx, CHAT.len(), true);
    }
    let Worker { router, view } = &mut rig.workers[0];
    let mut cx = Context { router, view, host: &rig.world };
    rig.world.set_number(Property::AttemptCount, 1);
    rig.world.response.replace(fake::headers(&[(":status", "200"), ("content-type", "application/json")]));
    let answer = r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3}}"#;
    rig.world.chunk.replace(answer.into());
    exchanges[0].response_headers(&mut cx, false);
    exchanges[0].response_body(&mut cx, answer.len(), true);
    exchanges[0].log(&mut cx);
    for _ in 0..2 {
        rig.world.pass_millis(300);
        rig.tick();
        let now = rig.world.now();
        rig.workers[0].view.write_audit(&rig.world, now).expect("written");
    }
    for worker in [0, 1] {
        let shown = rig.get(worker, "/budget");
        assert_eq!(
            shown["efficiency"],
            json!({"tracking_window_hours": 24, "spent_usd": 0.015, "spent_well_usd": 0.015, "efficiency": 1,
                "target_efficiency": 0.8})
        );
        let day = &shown["overall"]["day"];
        assert_eq!((&day["spent_usd"], &day["used"]), (&json!(0.015), &json!(0.008)));
        assert_eq!(day["resets_at"], "1970-01-02T00:00:00.000Z");
        // A thousand seconds of the day have passed.
        assert_eq!(day["burn_usd_per_hour"], 0.054);
        let reserved = shown["overall"]["reserved_usd"].as_f64().unwrap();
        assert!((0.06..0.07).contains(&reserved), "{reserved}");
        assert!((day["remaining_usd"].as_f64().unwrap() - (2.0 - 0.015 - reserved)).abs() < 1e-9);
        let [a] = shown["backends"].as_array().unwrap().as_slice() else { panic!("one has limits: {shown}") };
        assert_eq!(
            (&a["id"], &a["hour"]["limit_usd"], &a["day"]["limit_usd"]),
            (&json!("a"), &json!(0.5), &json!(null))
        );
        assert_eq!(a["minute"], json!({ "requests": { "limit": 9, "used": 2, "remaining": 7 } }));
    }
}

#[test]
fn alerts_are_shown_as_the_leader_left_them_by_every_worker() {
    let mut rig = Rig::three("round_robin");
    assert_eq!(rig.get(0, "/alerts"), json!({"active": [], "recent": []}));
    let terms = Terms { is_sent: false, min_interval: Duration::ZERO };
    let open = |id| Reading {
        cause: Cause::Trip(TripReason::ByHand),
        ..Reading::new(AlertKind::BreakerOpened, Some(id), Sign::Bad, 2_000, 2_000)
    };
    let mut board = Board::default();
    let at = |seconds| rig.world.now().after(Duration::from_secs(seconds));
    board.observe(&[open("a")], terms, at(0));
    board.observe(&[open("a"), open("b")], terms, at(1));
    board.observe(&[open("b"), open("c")], terms, at(2));
    rig.world.store.set(KEY, &board.encode(), None).unwrap();
    for worker in 0..2 {
        let told = rig.get(worker, "/alerts");
        let ids =
            |list: &str| told[list].as_array().unwrap().iter().map(|a| a["backend_id"].clone()).collect::<Vec<_>>();
        assert_eq!((ids("active"), ids("recent")), (vec![json!("c"), json!("b")], vec![json!("a")]));
        let cleared = &told["recent"][0];
        assert_eq!((&cleared["alert_name"], &cleared["value"]), (&json!("circuit_breaker_opened"), &json!(2)));
        assert_eq!(cleared["cleared_at"], "1970-01-01T00:16:42.000Z");
        assert_eq!(told["active"][0]["message"], "the circuit breaker of c opened: by_hand");
    }
    rig.world.unreadable.set(true);
    assert_eq!(code(&rig.call(0, "GET", "/alerts", &[], b"")), (503, "unavailable".to_owned()));
}

#[test]
fn what_a_backend_says_of_itself_is_in_its_health() {
    let mut rig = Rig::new(&json!({"backend_instances": {
        "a": {"backend_type": "lightrag", "health_check": {"path": "/health"}}, "b": {},
    }}));
    assert_eq!(rig.get(1, "/health")["health_status"]["lightrag"]["a"]["details"], json!({}));
    let body = br#"{"status":"healthy","core_version":"1.\"5","memory_usage_mb":2048}"#;
    let checkup = Checkup { models: Some(8), ..Checkup::read(200, &body[..], Form::Status) };
    let now = rig.world.now();
    let Worker { router, view } = &mut rig.workers[0];
    for (_, backend, place) in router.places() {
        note_details(&rig.world, &backend.id, &checkup.details).unwrap();
        let settings = router.config().backends[0].probe.clone().unwrap();
        let change = |record: &mut Record| record.probes.observe(&checkup, Duration::ZERO, &settings, now);
        view.change(&rig.world, place, now, change).unwrap();
    }
    rig.tick();
    let health = rig.get(1, "/health");
    assert_eq!(
        health["health_status"]["lightrag"]["a"]["details"],
        json!({"core_version": "1.\"5", "models_available": 8, "memory_usage_mb": 2048})
    );
    assert_eq!(health["health_status"]["openai"]["b"]["details"], json!({}), "nobody checks it");
}

#[test]
fn a_backend_that_is_given_a_budget_at_run_time_has_an_account() {
    let mut rig = Rig::three("round_robin");
    assert_eq!(rig.get(1, "/budget")["backends"], json!([]));
    let reply = rig.call(0, "PUT", "/backends/a", &[], br#"{"cost_per_1k_tokens":1,"daily_budget_usd":3}"#);
    assert_eq!(reply.status, 200, "{}", reply.body);
    rig.tick();
    for worker in 0..2 {
        let shown = rig.get(worker, "/budget");
        assert_eq!((&shown["backends"][0]["id"], &shown["backends"][0]["day"]["limit_usd"]), (&json!("a"), &json!(3)));
    }
}
