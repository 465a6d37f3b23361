//! What is shown besides the traffic: health, budgets, alerts.

use std::time::Duration;

use super::*;
use crate::alerts::{AlertKind, Board, Cause, Costs, KEY, Reading, Sign, Terms};
use crate::cost::Claim;
use crate::domain::{Allowance, Limits, PicoUsd, QuotaReport, Tokens};
use crate::health::{Checkup, Condition, Form, TripReason};

use crate::state::{AccountKey, Line, Spent, Store, note_details, note_refused, settle_refused};

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
    assert_eq!(health["configuration_warnings"], json!([]));
    let a = &rig.get(0, "/backends")["backends"][0];
    assert_eq!((&a["id"], &a["weight"], &a["default"]), (&json!("a"), &json!(5), &json!(true)));
    assert_eq!(rig.get(0, "/strategy")["strategy"], "round_robin");
}

#[test]
fn what_backends_cost_without_being_asked_is_shown_apart_and_in_no_account() {
    let mut rig = Rig::new(&json!({
        "backend_instances": {
            "a": { "fixed_cost_per_hour_usd": 1.2 }, "b": {}, "c": { "fixed_cost_per_hour_usd": 0.000_001 },
        },
        "cost": { "daily_budget_usd": 0.01 },
    }));
    rig.tick();
    // A thousand seconds of the day have passed, and of the hour.
    let shown = rig.get(0, "/budget");
    let backends = json!([{ "id": "a", "per_hour_usd": 1.2 }, { "id": "c", "per_hour_usd": 0.000_001 }]);
    let expected =
        json!({ "per_hour_usd": 1.200_001, "this_hour_usd": 0.333_333, "today_usd": 0.333_333, "backends": backends });
    assert_eq!(shown["fixed_costs"], expected);
    assert_eq!(shown["overall"]["day"]["spent_usd"], 0);
    rig.world.pass_seconds(7_200);
    let shown = rig.get(0, "/budget");
    let [hour, day] = ["this_hour_usd", "today_usd"].map(|window| shown["fixed_costs"][window].as_f64().unwrap());
    assert!((0.333..0.335).contains(&hour) && (2.733..2.735).contains(&day), "{shown}");
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
fn a_budget_that_was_exceeded_is_shown_as_more_than_all_of_it() {
    for (limit, used) in [(0.02, 0.75), (0.015, 1.0), (0.01, 1.5), (0.001, 15.0)] {
        let mut rig = Rig::new(&json!({
            "backend_instances": { "a": { "cost_per_1k_tokens": 1, "daily_budget_usd": limit } },
            "cost": { "daily_budget_usd": limit, "on_exhausted": "cheapest" },
        }));
        let (key, now) = (AccountKey::ALL, rig.world.now());
        let worker = &mut rig.workers[0];
        let line = |account| Line { account, limits: Limits::default(), claim: Claim::default(), paces: false };
        let lines = [line(key), line(AccountKey::of_backend("a"))];
        let (reservation, written) = worker.view.transfer(&rig.world, None, &lines, now);
        written.unwrap();
        let spent = Spent { cost: PicoUsd(15_000_000_000), tokens: Tokens(15) };
        worker.view.settle(&rig.world, &reservation, spent, now).unwrap();
        let shown = rig.get(0, "/budget");
        for account in [&shown["overall"], &shown["backends"][0]] {
            assert_eq!(account["day"]["used"].as_f64(), Some(used), "{shown}");
            assert_eq!(account["day"]["spent_usd"], 0.015);
        }
        let left = if used < 1.0 { json!(0.005) } else { json!(0) };
        assert_eq!(shown["overall"]["day"]["remaining_usd"], left);
    }
}

#[test]
fn alerts_are_shown_as_the_leader_left_them_by_every_worker() {
    let mut rig = Rig::three("round_robin");
    assert_eq!(rig.get(0, "/alerts"), json!({"active": [], "recent": []}));
    let terms = Terms { is_sent: false, costs: Costs::default(), min_interval: Duration::ZERO };
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
        note_details(&rig.world, &backend.id, &checkup.details, true).unwrap();
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
    assert_eq!(health["health_status"]["openai"]["b"]["check"], Value::Null);
}

/// What `GET /health` has of `a` after an answer of this status to a check, which took 12 ms.
fn shown_after(rig: &mut Rig, status: u16, body: &Value) -> Value {
    let mut checkup = Checkup::read(status, body.to_string().as_bytes(), Form::Status);
    checkup.details.http_status = Some(status);
    note_details(&rig.world, "a", &checkup.details, checkup.condition != Condition::Unhealthy).unwrap();
    let now = rig.world.now();
    let Worker { router, view } = &mut rig.workers[0];
    let settings = router.config().backends[0].probe.clone().unwrap();
    let change = |record: &mut Record| record.probes.observe(&checkup, Duration::from_millis(12), &settings, now);
    view.change(&rig.world, router.places().next().unwrap().2, now, change).unwrap();
    rig.tick();
    rig.get(1, "/health")["health_status"]["lightrag"]["a"].clone()
}

#[test]
fn the_last_check_is_shown_with_its_time_its_status_and_what_was_wrong() {
    let mut rig =
        Rig::new(&json!({"backend_instances": {"a": {"backend_type": "lightrag", "health_check": {}}, "b": {}}}));
    let before = rig.get(1, "/health")["health_status"]["lightrag"]["a"]["check"].clone();
    assert_eq!(before, json!({"path": "/health"}), "none was made yet");
    let report = json!({
        "status": "healthy", "version": "1.0.0", "graph_db_status": "healthy", "knowledge_base_size": 15_000,
        "relationship_count": 47_000, "last_index_update": "2025-08-08T10:30:00Z", "memory_usage_mb": 2_048,
        "cpu_usage_percent": 12.5, "disk_usage_percent": 80, "avg_query_time_ms": 812.4, "queries_per_minute": 17,
        "quota_remaining": 850, "quota_reset_time": "2025-08-08T12:00:00Z",
    });
    let shown = shown_after(&mut rig, 200, &report);
    let mut told = report.clone();
    told.as_object_mut().unwrap().retain(|key, _| key != "status" && key != "graph_db_status");
    assert_eq!(shown["details"], told);
    let good = json!({"path": "/health", "status": "healthy", "http_status": 200, "error": null, "response_time_ms": 12,
        "failures_in_a_row": 0});
    assert_eq!(shown["check"], good);

    let down = json!({"status": "unhealthy", "graph_db_status": "healthy", "embeddings_status": "unhealthy",
        "services": {"minio": "down"}, "error": "no GPU"});
    let shown = shown_after(&mut rig, 503, &down);
    let bad = json!({"path": "/health", "status": "unhealthy", "http_status": 503, "error": "no GPU", "response_time_ms": 12,
        "failures_in_a_row": 1});
    assert_eq!(shown["check"], bad);
    assert_eq!(shown["components"], json!({"graph_db": "healthy", "embeddings": "unhealthy"}));
    told["parts_down"] = json!(["minio"]);
    assert_eq!(shown["details"], told, "what it said before holds");
}

#[test]
fn what_is_left_of_a_quota_is_shown_as_any_answer_announced_it() {
    let mut rig =
        Rig::new(&json!({"backend_instances": {"a": {"backend_type": "lightrag", "health_check": {}}, "b": {}}}));
    let now = rig.world.now();
    let Worker { router, view } = &mut rig.workers[0];
    let allowance = |remaining, seconds| {
        Some(Allowance { remaining, limit: Some(1_000), resets: now.after(Duration::from_secs(seconds)) })
    };
    let report = QuotaReport { requests: allowance(850, 30), tokens: allowance(9, 90), ..QuotaReport::default() };
    for (_, _, place) in router.places() {
        view.change(&rig.world, place, now, |record| record.quota.note(&report, Tokens(0), None, now)).unwrap();
    }
    rig.tick();
    let shown = rig.get(1, "/health")["health_status"]["openai"]["b"]["details"].clone();
    let told = json!({"quota_remaining": 850, "quota_reset_time": "1970-01-01T00:17:10.000Z",
        "quota_tokens_remaining": 9, "quota_tokens_reset_time": "1970-01-01T00:18:10.000Z"});
    assert_eq!(shown, told);
    let shown =
        shown_after(&mut rig, 200, &json!({"status": "healthy", "quota_remaining": 3, "quota_reset_time": "soon"}));
    assert_eq!(shown["details"], told, "what the answers announce is newer than what the check heard");
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

#[test]
fn a_configuration_that_was_refused_is_told_of_until_another_one_is_at_work() {
    let mut rig = Rig::three("round_robin");
    let told = |rig: &mut Rig, endpoint: &str| rig.get(0, endpoint)["refused_configuration"].clone();
    assert_eq!((told(&mut rig, "/health"), told(&mut rig, "/version")), (Value::Null, Value::Null));
    note_refused(
        &rig.world,
        "2 errors in the configuration:\nbackend_instances.a.weight: -1 is not in 0.001..=1000\nretyr: unknown key",
        rig.world.now(),
    )
    .unwrap();
    let expected = json!({ "refused_at": "1970-01-01T00:16:40.000Z",
        "errors": ["backend_instances.a.weight: -1 is not in 0.001..=1000", "retyr: unknown key"] });
    assert_eq!((told(&mut rig, "/health"), told(&mut rig, "/version")), (expected.clone(), expected.clone()));
    let running = rig.workers[0].router.configuration();
    assert_eq!(settle_refused(&rig.world, running), Ok(true));
    assert_eq!(told(&mut rig, "/health"), expected);

    let config = json!({ "strategy": "weighted", "backend_instances": { "a": {} } });
    let config = Arc::new(config::parse(config.to_string().as_bytes()).unwrap());
    let Rig { world, workers: [worker, _], .. } = &mut rig;
    worker.router = Router::new(config, &mut worker.view, world, 1).unwrap();
    assert_eq!(told(&mut rig, "/health"), Value::Null, "the one that was given last is at work");
    assert_eq!(told(&mut rig, "/version"), expected, "the last that was refused");
}

#[test]
fn a_version_is_told_with_the_configuration_in_effect_and_the_given_one() {
    let mut rig = Rig::three("round_robin");
    let version = |rig: &mut Rig, worker| rig.get(worker, "/version");
    let before = version(&mut rig, 0);
    assert_eq!(before["version"], env!("CARGO_PKG_VERSION"));
    assert!(before["commit"].is_string());
    let hash = |version: &Value, key: &str| version[key].as_str().unwrap().to_owned();
    assert_eq!(hash(&before, "configuration_hash"), hash(&before, "given_configuration_hash"));
    assert_eq!(rig.call(0, "PUT", "/weights", &[], br#"{"a":7}"#).status, 200);
    rig.tick();
    let after = version(&mut rig, 0);
    assert_ne!(hash(&after, "configuration_hash"), hash(&before, "configuration_hash"));
    assert_eq!(hash(&after, "given_configuration_hash"), hash(&before, "given_configuration_hash"));
    assert_eq!(version(&mut rig, 1), after, "the same on every worker");
    assert_eq!(rig.get(0, "/healthz")["status"], "alive");
}

#[test]
fn head_is_answered_like_get_everywhere() {
    let mut rig = Rig::three("round_robin");
    let endpoints = [
        "/health",
        "/metrics",
        "/analytics",
        "/strategy",
        "/backends",
        "/backends/a",
        "/backends/x",
        "/budget",
        "/alerts",
        "/decisions",
        "/decisions?limit=0",
        "/version",
        "/healthz",
        "/nowhere",
    ];
    for endpoint in endpoints {
        let [get, head] = ["GET", "HEAD"].map(|method| rig.call(0, method, endpoint, &[], b""));
        assert_eq!((head.status, head.headers()), (get.status, get.headers()), "{endpoint}");
        // Its length is that of the answer to GET; Envoy sends none of it.
        assert_eq!(head.bytes().len(), get.bytes().len(), "{endpoint}");
    }
    for changing in ["/weights", "/explain", "/circuit-breaker/a/open"] {
        assert_eq!(rig.call(0, "HEAD", changing, &[], b"").status, 405, "{changing}");
    }
}
