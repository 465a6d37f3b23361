//! The last decisions, and what would become of the next ones if a backend failed.

use super::*;
use crate::config::Strategy;
use crate::state::Store;

impl Rig {
    /// A request that is routed by one of the workers and answered.
    fn serve(&mut self, worker: usize, id: &str) {
        let headers = [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            ("content-type", "application/json"),
            ("x-request-id", id),
        ];
        self.world.request.replace(fake::headers(&headers));
        self.world.request_body.replace(CHAT.into());
        // One that nobody reads.
        self.world.response.replace(fake::headers(&[(":status", "200"), ("content-encoding", "br")]));
        self.world.set_number(Property::AttemptCount, 1);
        let Worker { router, view } = &mut self.workers[worker];
        let mut cx = Context { router, view, host: &self.world };
        let mut exchange = Exchange::default();
        exchange.request_headers(&mut cx, false);
        assert_eq!(exchange.request_body(&mut cx, CHAT.len(), true), exchange::Flow::Continue);
        exchange.response_headers(&mut cx, true);
        exchange.log(&mut cx);
    }

    fn post(&mut self, endpoint: &str, body: &Value) -> Value {
        let reply = self.call(0, "POST", endpoint, &[], body.to_string().as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    fn test_breaker(&mut self, id: &str) -> Value {
        self.post("/circuit-breaker/test", &json!({ "backend": id, "simulate_failure": true }))["circuit_breaker_test"]
            .take()
    }

    fn test_failover(&mut self, id: &str) -> Value {
        self.post("/failover/test", &json!({ "primary_backend": id, "simulate_failure": true }))["failover_test"].take()
    }
}

fn ids_of(document: &Value) -> usize {
    document["decisions"].as_array().unwrap().len()
}

fn ids(document: &Value) -> Vec<&str> {
    let decisions = document["decisions"].as_array().unwrap().iter();
    decisions.map(|decision| decision["request_id"].as_str().unwrap()).collect()
}

#[test]
fn decisions_of_all_workers_are_told_by_each_the_newest_first() {
    let mut rig = Rig::three("cost_optimized");
    for (worker, id) in [(0, "1"), (1, "2"), (0, "3")] {
        rig.world.pass_millis(1);
        rig.serve(worker, id);
    }
    assert_eq!(ids(&rig.get(0, "/decisions")), ["3", "1"], "the other's are told at its tick");
    rig.tick();
    for worker in [0, 1] {
        let told = rig.get(worker, "/decisions");
        assert_eq!((ids(&told), &told["skipped"]), (vec!["3", "2", "1"], &json!(0)));
        assert_eq!(told["decisions"][0]["outcome"]["status"], 200);
        assert_eq!(ids(&rig.get(worker, "/decisions?limit=2")), ["3", "2"]);
    }
    for _ in 0..100 {
        rig.world.pass_millis(1);
        rig.serve(1, "more");
    }
    rig.tick();
    let told = rig.get(0, "/decisions?a=b&limit=200");
    assert_eq!((ids(&told).len(), &told["skipped"]), (3 + 4, &json!(96)));
    for wrong in ["0", "201", "many", "", "%31"] {
        let reply = rig.call(0, "GET", &format!("/decisions?limit={wrong}"), &[], b"");
        assert_eq!(code(&reply), (400, "invalid_request".to_owned()), "{wrong}");
    }
    rig.world.unreadable.set(true);
    assert_eq!(code(&rig.call(0, "GET", "/decisions", &[], b"")).0, 503);
}

#[test]
fn one_decision_is_found_by_its_id_or_its_request_s_by_each_worker() {
    let mut rig = Rig::three("cost_optimized");
    for (worker, id) in [(0, "1-a"), (1, "2"), (0, "3"), (1, "1-a")] {
        rig.world.pass_millis(1);
        rig.serve(worker, id);
    }
    rig.tick();
    let all = rig.get(0, "/decisions");
    for worker in [0, 1] {
        for decision in all["decisions"].as_array().unwrap() {
            let id = decision["decision_id"].as_str().unwrap();
            assert_eq!(&rig.get(worker, &format!("/decisions/{id}")), decision);
        }
        for (id, place) in [("1-a", 0), ("3", 1), ("2", 2)] {
            assert_eq!(rig.get(worker, &format!("/decisions/{id}?a=b")), all["decisions"][place], "{id}");
        }
        for wrong in ["4", "0123456789abcdef", "1-A", "%31-a", "1-a/x"] {
            let reply = rig.call(worker, "GET", &format!("/decisions/{wrong}"), &[], b"");
            assert_eq!(code(&reply), (404, "not_found".to_owned()), "{wrong}");
        }
    }
    assert_eq!(rig.call(0, "POST", "/decisions/3", &[], b"").status, 405);
    rig.world.unreadable.set(true);
    assert_eq!(code(&rig.call(0, "GET", "/decisions/3", &[], b"")).0, 503);
}

#[test]
fn what_became_of_a_decision_that_was_not_taken_down_is_known_by_its_id() {
    let mut rig = Rig::three("cost_optimized");
    let mut served = Vec::new();
    for n in 0..300 {
        rig.world.pass_millis(1);
        rig.serve(n % 2, &format!("request-{n}"));
        served.push((
            rig.world.response_header("x-llm-decision-id").unwrap(),
            rig.world.response_header("x-llm-backend"),
        ));
        if n % 60 == 59 {
            rig.tick();
        }
    }
    assert_eq!(rig.get(0, "/decisions?limit=200")["decisions"].as_array().unwrap().len(), 40);
    for worker in [0, 1] {
        for (n, (id, backend)) in served.iter().enumerate() {
            let decision = rig.get(worker, &format!("/decisions/{id}"));
            assert_eq!((&decision["decision_id"], &decision["outcome"]["status"]), (&json!(id), &json!(200)));
            assert_eq!(decision["outcome"]["answered_by"].as_str(), backend.as_deref(), "{decision}");
            let same = rig.get(worker, &format!("/decisions/request-{n}"));
            assert_eq!(same["outcome"], decision["outcome"]);
        }
    }
    rig.world.set_broken(true);
    assert_eq!(code(&rig.call(0, "GET", "/decisions/request-1", &[], b"")).0, 503);
}

#[test]
fn a_decision_without_a_request_s_id_is_not_found_by_none() {
    let mut rig = Rig::three("round_robin");
    rig.serve(0, "");
    assert_eq!(code(&rig.call(0, "GET", "/decisions/", &[], b"")), (404, "not_found".to_owned()));
    assert_eq!(ids_of(&rig.get(0, "/decisions")), 1);
}

#[test]
fn decisions_outlive_a_configuration() {
    let mut rig = Rig::three("round_robin");
    rig.serve(0, "before");
    let config = Arc::new(config::parse(br#"{"backend_instances":{"z":{}}}"#).unwrap());
    let Rig { world, workers: [worker, _], .. } = &mut rig;
    worker.router = Router::new(config, &mut worker.view, world, 1).unwrap();
    world.pass_millis(1);
    rig.serve(0, "after");
    let told = rig.get(0, "/decisions");
    assert_eq!(ids(&told), ["after", "before"]);
    assert_eq!([&told["decisions"][0]["backend"], &told["decisions"][1]["backend"]], [&json!("z"), &json!("a")]);
}

#[test]
fn what_is_no_decision_is_left_out() {
    let mut rig = Rig::three("round_robin");
    for bytes in [&b""[..], b"\x00", b"\x00\x03abc\x00\x09", &[0xFF; 100]] {
        rig.world.set("llm-router/1/decisions/1", bytes, None).unwrap();
        assert_eq!(rig.get(0, "/decisions")["decisions"], json!([]));
    }
}

#[test]
fn a_breaker_s_test_counts_the_failures_that_are_left() {
    let mut rig = Rig::three("cost_optimized");
    let test = rig.test_breaker("a");
    assert_eq!((&test["initial_state"], &test["new_state"]), (&json!("closed"), &json!("open")));
    assert_eq!((&test["simulated_failures"], &test["reason"]), (&json!(5), &json!("consecutive_failures")));
    assert_eq!((&test["failover_activated"], &test["test_duration_ms"]), (&json!(true), &json!(0)));
    assert!(test["backup_backend"] == "b" || test["backup_backend"] == "c", "{test}");
    assert_eq!(rig.call(0, "POST", "/circuit-breaker/a/open", &[], b"").status, 200);
    let test = rig.test_breaker("a");
    assert_eq!((&test["initial_state"], &test["simulated_failures"]), (&json!("open"), &json!(0)));
    let calm = rig.post("/circuit-breaker/test", &json!({ "backend": "b", "simulate_failure": false }));
    let calm = &calm["circuit_breaker_test"];
    assert_eq!((&calm["new_state"], &calm["simulated_failures"]), (&json!("closed"), &json!(0)));
    assert_eq!((&calm["circuit_breaker_triggered"], &calm["recovery_time_ms"]), (&json!(false), &Value::Null));
    let reply = rig.call(0, "POST", "/circuit-breaker/test", &[], br#"{"backend":"c"}"#);
    assert_eq!(code(&reply), (409, "conflict".to_owned()));
}

#[test]
fn a_half_open_breaker_opens_at_one_failure_though_others_are_trying_it() {
    let mut rig = Rig::three("round_robin");
    rig.call(0, "POST", "/circuit-breaker/a/open", &[], b"");
    rig.world.pass_seconds(120);
    let (world, Worker { view, router }) = (&rig.world, &mut rig.workers[0]);
    let (_, backend, place) = router.places().next().unwrap();
    let settings = backend.breaker.unwrap();
    view.change(world, place, world.now(), |record| {
        while record.breaker.enter(&settings, crate::domain::Tokens(0), world.now()).is_ok() {}
    })
    .unwrap();
    assert_eq!(rig.phase(0, "a"), BreakerPhase::HalfOpen);
    let test = rig.test_breaker("a");
    assert_eq!((&test["initial_state"], &test["new_state"]), (&json!("half_open"), &json!("open")));
    assert_eq!((&test["simulated_failures"], &test["reason"]), (&json!(1), &json!("failed_probe")));
    assert_eq!(rig.phase(0, "a"), BreakerPhase::HalfOpen);
}

#[test]
fn a_failover_s_test_says_who_takes_over_and_what_is_lost() {
    let mut rig = Rig::new(&json!({ "strategy": "cost_optimized", "backend_instances": {
        "a": { "cost_per_1k_tokens": 0.01 }, "b": { "cost_per_1k_tokens": 0.02, "expected_response_time_ms": 800 } } }));
    let test = rig.test_failover("a");
    assert_eq!((&test["backup_backend"], &test["failover_triggered"]), (&json!("b"), &json!(true)));
    assert_eq!((&test["requests_during_failover"], &test["requests_lost"]), (&json!(5), &json!(0)));
    assert_eq!((&test["failover_time_ms"], &test["total_downtime_ms"]), (&json!(800), &json!(0)));
    assert_eq!(test["recovery_successful"], true);

    let mut rig = Rig::new(&json!({ "retry": { "max_attempts": 1 }, "backend_instances": { "a": {}, "b": {} } }));
    assert_eq!(rig.test_failover("a")["requests_lost"], 5);
    let mut rig = Rig::new(&json!({ "backend_instances": { "a": {} } }));
    let test = rig.test_failover("a");
    assert_eq!((&test["backup_backend"], &test["failover_triggered"]), (&Value::Null, &json!(false)));
    assert_eq!((&test["requests_lost"], &test["total_downtime_ms"]), (&json!(5), &test["recovery_time_ms"]));
    let mut rig = Rig::three("weighted");
    let test = rig.test_failover("c");
    assert_eq!((&test["requests_during_failover"], &test["recovery_time_ms"]), (&json!(1), &Value::Null));
    let calm = rig.post("/failover/test", &json!({ "primary_backend": "a", "simulate_failure": false }));
    assert_eq!(calm["failover_test"]["requests_during_failover"], 0);
}

#[test]
fn a_rehearsal_changes_nothing_and_needs_no_token() {
    for strategy in Strategy::ALL {
        let (mut rig, mut untouched) = (Rig::three(strategy.name()), Rig::three(strategy.name()));
        rig.guard = Guard::new(Token::new(Some(b"t".to_vec())), ControlConfig::default());
        for _ in 0..20 {
            let writes = rig.world.written.borrow().len();
            let before: Vec<_> = ["a", "b", "c"].map(|id| rig.record(id)).into();
            rig.test_breaker("a");
            rig.test_failover("b");
            assert_eq!(rig.world.written.borrow().len(), writes, "{strategy:?}");
            assert_eq!(before, ["a", "b", "c"].map(|id| rig.record(id)));
            assert_eq!(rig.send(), untouched.send(), "{strategy:?}");
        }
    }
}

#[test]
fn a_rehearsal_s_mistakes_are_told_with_their_paths() {
    let mut rig = Rig::three("weighted");
    for (endpoint, key) in [("/circuit-breaker/test", "backend"), ("/failover/test", "primary_backend")] {
        let mut call = |body: &str| rig.call(0, "POST", endpoint, &[], body.as_bytes());
        assert_eq!(code(&call(&json!({ key: "d" }).to_string())), (404, "not_found".to_owned()));
        for (body, expected) in [
            ("", "not JSON"),
            ("[]", "expected an object, found a list"),
            ("{}", &*format!("{key}: missing")),
            (&json!({ key: "a", "simulate_failure": 1 }).to_string(), "simulate_failure: expected true or false"),
            (
                &json!({ key: ["a"], "x": 1 }).to_string(),
                &format!("{key}: expected a string, found a list; x: unknown key"),
            ),
        ] {
            let reply = call(body);
            assert_eq!(code(&reply), (400, "invalid_request".to_owned()), "{body}");
            assert!(reply.body.contains(expected), "{}", reply.body);
        }
    }
}
