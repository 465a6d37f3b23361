//! Why the router did what it did, told by a real Envoy with four workers: explanations, the last decisions, access logs
//! and log lines; and what it would do if a backend failed.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::needless_pass_by_value, reason = "a test")]

use std::{collections::BTreeSet, fs, path::Path};

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour},
    client::{Client, Reply},
    envoy::{Builder, Envoy, Route},
    load::load,
    router::{chat, counted, news_travels, settled, trio, troubles, until},
};

const PATH: &str = "/v1/chat/completions";

/// New connections, of which each worker gets some, as far as the kernel's choice goes.
const CONNECTIONS: usize = 12;

/// What must be told nobody.
const SECRET: &str = "hunter2-and-more";

/// Alpha is the cheapest, then beta, then gamma.
fn router() -> Value {
    json!({"strategy": "cost_optimized", "exploration": 0, "client_hints": ["explain", "strategy", "min_quality"],
    "backend_instances": {
        "alpha": {"cost_per_1k_tokens": 0.05, "quality_score": 0.92},
        "beta": {"cost_per_1k_tokens": 0.2, "quality_score": 0.9},
        "gamma": {"cost_per_1k_tokens": 0.4, "quality_score": 0.9, "circuit_breaker": {"enabled": false}},
    }})
}

/// Clients' own request ids are believed.
fn builder(backends: &[Backend], router: Value) -> Builder {
    let builder = Envoy::builder().concurrency(4).backends(backends).router(router).control();
    builder
        .route(Route::Matcher { retries: 2 })
        .patch(|config| manager(config)["preserve_external_request_id"] = true.into())
}

/// The connection manager of the first listener.
fn manager(config: &mut Value) -> &mut Value {
    config.pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config").unwrap()
}

async fn call(envoy: &Envoy, method: Method, endpoint: &str, body: &str) -> Reply {
    let request = Client::request(&method, &envoy.control_url(endpoint), &[], body.to_owned());
    Client::new().send(request).await.unwrap()
}

async fn post(envoy: &Envoy, endpoint: &str, body: Value) -> Value {
    let reply = call(envoy, Method::POST, endpoint, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn decisions(envoy: &Envoy) -> (Vec<Value>, u64) {
    let reply = call(envoy, Method::GET, "/decisions?limit=200", "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let document = reply.json();
    let decisions = document.pointer("/decisions").and_then(Value::as_array).unwrap();
    (decisions.clone(), document.pointer("/skipped").and_then(Value::as_u64).unwrap())
}

fn code(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    (reply.status, body.pointer("/error/code").and_then(Value::as_str).unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_in_the_answer_says_what_happened() {
    let backends = trio().await;
    let envoy = builder(&backends, router()).start().await;
    let client = Client::new();
    for (strategy, ranked_by) in
        [("cost_optimized", "lowest_score"), ("quality_based", "highest_score"), ("weighted_round_robin", "share")]
    {
        let headers = [("x-llm-explain", "1"), ("x-llm-strategy", strategy)];
        let reply = client.post_json_with(&envoy.url(PATH), &headers, &chat("hello")).await.unwrap();
        let header = reply.header("x-llm-explain").unwrap();
        assert!(header.len() <= 4_096 && header.is_ascii(), "{header}");
        let told: Value = serde_json::from_str(&header).unwrap();
        assert_eq!(told["backend"].as_str().map(str::to_owned), reply.header("x-llm-backend"));
        assert_eq!((&told["strategy"], &told["ranked_by"]), (&json!(strategy), &json!(ranked_by)));
        assert_eq!(told["attempts"].as_array().unwrap().len(), 3);
        let all = told["backends"].as_array().unwrap();
        let by_score = |a: &&Value, b: &&Value| a["score"].as_f64().unwrap().total_cmp(&b["score"].as_f64().unwrap());
        let best = match ranked_by {
            "lowest_score" => all.iter().min_by(by_score),
            _ => all.iter().max_by(by_score),
        };
        assert!(strategy == "weighted_round_robin" || best.unwrap()["id"] == told["backend"], "{header}");
        assert!(all.iter().all(|backend| !backend["score_terms"].as_object().unwrap().is_empty()), "{header}");
    }
    let prompt = backends.iter().flat_map(Backend::prompts).next().unwrap();
    assert_eq!(prompt.header("x-llm-explain"), None, "the backend is not asked why");

    let headers = [("x-llm-explain", "1"), ("x-llm-min-quality", "0.99")];
    let refused = client.post_json_with(&envoy.url(PATH), &headers, &chat("hello")).await.unwrap();
    assert_eq!(refused.status, 503);
    let told: Value = serde_json::from_str(&refused.header("x-llm-explain").unwrap()).unwrap();
    assert_eq!(told["backends"][0]["excluded"]["by"], "client");
    let unasked = client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
    assert_eq!(unasked.header("x-llm-explain"), None);
    settled(&envoy).await;

    let mut silent = router();
    silent["client_hints"] = json!([]);
    let envoy = builder(&backends, silent).start().await;
    let headers = [("x-llm-explain", "1")];
    let reply = client.post_json_with(&envoy.url(PATH), &headers, &chat("hello")).await.unwrap();
    assert_eq!((reply.status, reply.header("x-llm-explain")), (200, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_of_any_worker_is_told_by_every_worker() {
    let backends = trio().await;
    let envoy = builder(&backends, router()).start().await;
    backends[0].next(1, Behaviour::status(500));
    for connection in 0..CONNECTIONS {
        // One connection stays with its worker. A decision that was only counted is made again.
        let client = Client::new();
        let tries = std::cell::Cell::new(0);
        until("the decision is told, and how it ended", || async {
            tries.set(tries.get() + 1);
            let id = format!("request-{connection}-{}", tries.get());
            let headers = [("x-request-id", &*id)];
            let reply = client.post_json_with(&envoy.url(PATH), &headers, &chat("hello")).await.unwrap();
            news_travels().await;
            let (decisions, _) = decisions(&envoy).await;
            let Some(told) = decisions.iter().find(|decision| decision["request_id"] == *id) else { return false };
            let outcome = &told["outcome"];
            assert_eq!(outcome["answered_by"].as_str().map(str::to_owned), reply.header("x-llm-backend"));
            assert_eq!((&outcome["status"], &outcome["ending"]), (&json!(200), &json!("success")), "{told}");
            assert_eq!(outcome["attempts_made"].to_string(), reply.header("x-llm-attempts").unwrap());
            assert!(outcome["response_time_ms"].as_f64().unwrap() > 0.0 && outcome["cost_usd"].as_f64().unwrap() > 0.0);
            assert_eq!((&told["backend"], &told["api"]), (&json!("alpha"), &json!("chat_completions")));
            assert!(told["estimated_input_tokens"].as_u64().unwrap() > 0);
            true
        })
        .await;
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thousands_of_decisions_the_last_few_are_told_and_the_others_counted() {
    let backends = trio().await;
    let envoy = builder(&backends, router()).start().await;
    let url = envoy.url(PATH);
    let sent = load(&Client::new(), 4_000, 32, |_| Client::json_request(&url, &chat("hello"))).await;
    assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
    settled(&envoy).await;
    news_travels().await;
    let (told, skipped) = decisions(&envoy).await;
    assert!((1..=4 * 32).contains(&told.len()), "{}", told.len());
    assert!(told.len() as u64 + skipped <= 4_000, "{skipped}");
    let ids: BTreeSet<_> = told.iter().map(|decision| decision["decision_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), told.len());
    assert!(told.iter().all(|decision| decision["outcome"]["status"] == 200));
    let times: Vec<_> = told.iter().map(|decision| decision["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "the newest first: {times:?}");
    let three = call(&envoy, Method::GET, "/decisions?limit=3", "").await.json();
    assert_eq!(three["decisions"].as_array().unwrap().len(), 3);
    for wrong in ["0", "201", "-1", "x", ""] {
        let reply = call(&envoy, Method::GET, &format!("/decisions?limit={wrong}"), "").await;
        assert_eq!(code(&reply), (400, "invalid_request".to_owned()), "{wrong}");
    }
    assert_eq!(troubles(&envoy.stats().await), []);
}

/// The access log's format, as docs/logging.md has it.
fn access_log(path: &Path) -> Value {
    let names = [
        "backend",
        "strategy",
        "attempts",
        "estimated_tokens",
        "input_tokens",
        "output_tokens",
        "cost_micro_usd",
        "decision_id",
    ];
    let word = |name: &&str| ((*name).to_owned(), json!(format!("%FILTER_STATE(wasm.llm_{name}:PLAIN)%")));
    let format: serde_json::Map<_, _> = names.iter().map(word).collect();
    json!([{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path, "log_format": {"json_format": format}}}])
}

/// Ends Envoy, which writes what is left of its access log.
async fn ended(mut envoy: Envoy) -> String {
    let quit = Client::request(&Method::POST, &envoy.admin_url("/quitquitquit"), &[], String::new());
    Client::new().send(quit).await.unwrap();
    let log = envoy.log();
    let mut waits = 0;
    while envoy.is_running() {
        waits += 1;
        assert!(waits < 1_500, "Envoy does not end");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_logs_find_what_was_decided() {
    for version in ["1.36.4", "1.40.0"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let backends = trio().await;
        let mut router = router();
        router["logging"] = json!({"filter_state": true});
        router["retry"] = json!({"max_attempts": 1});
        let log = access_log(&path);
        let envoy = builder(&backends, router).route(Route::ClusterHeader).version(version);
        let envoy = envoy.patch(move |config| manager(config)["access_log"] = log.clone()).start().await;
        let headers = [("x-llm-explain", "1")];
        let reply = Client::new().post_json_with(&envoy.url(PATH), &headers, &chat("hello")).await.unwrap();
        let told: Value = serde_json::from_str(&reply.header("x-llm-explain").unwrap()).unwrap();
        let usage = reply.json()["usage"].clone();
        settled(&envoy).await;
        ended(envoy).await;
        let line: Value = serde_json::from_str(fs::read_to_string(&path).unwrap().lines().next().unwrap()).unwrap();
        assert_eq!((&line["backend"], &line["strategy"]), (&json!("alpha"), &json!("cost_optimized")), "{version}");
        assert_eq!((&line["attempts"], &line["decision_id"]), (&json!("1"), &told["decision_id"]), "{line}");
        assert_eq!(line["estimated_tokens"].as_str().map(str::to_owned), reply.header("x-llm-estimated-tokens"));
        let reported = ["prompt_tokens", "completion_tokens"].map(|key| json!(usage[key].to_string()));
        assert_eq!([&line["input_tokens"], &line["output_tokens"]], [&reported[0], &reported[1]]);
        let total: f64 = usage["prompt_tokens"].as_f64().unwrap() + usage["completion_tokens"].as_f64().unwrap();
        let cost: f64 = line["cost_micro_usd"].as_str().unwrap().parse().unwrap();
        assert!((cost - total * 50.0).abs() <= 1.0, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_line_has_the_request_s_id_and_nothing_has_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let backends = trio().await;
    backends[0].next(1, Behaviour::status(500));
    let mut router = router();
    router["logging"] = json!({"decisions": true, "level": "debug", "filter_state": true});
    let log = access_log(&path);
    let envoy = builder(&backends, router).patch(move |config| manager(config)["access_log"] = log.clone());
    let envoy = envoy.start().await;
    let bearer = format!("Bearer {SECRET}");
    let mut body = chat(SECRET);
    body["model"] = SECRET.into();
    body["user"] = SECRET.into();
    let mut told = String::new();
    for (number, quality) in [(1, "0"), (2, "0"), (3, "0.99")] {
        let id = format!("0000{number}");
        let headers = [
            ("authorization", &*bearer),
            ("x-api-key", SECRET),
            ("cookie", SECRET),
            ("x-request-id", &*id),
            ("x-llm-explain", "1"),
            ("x-llm-min-quality", quality),
        ];
        let reply = Client::new().post_json_with(&envoy.url(PATH), &headers, &body).await.unwrap();
        told += &reply.header("x-llm-explain").unwrap();
    }
    settled(&envoy).await;
    told += &call(&envoy, Method::GET, "/decisions", "").await.text();
    let log = ended(envoy).await;
    told += &log;
    told += &fs::read_to_string(&path).unwrap();
    assert!(told.len() > 3_000 && !told.contains(SECRET), "{told}");

    let objects = log.lines().filter_map(|line| line.find('{').map(|at| &line[at..]));
    let lines: Vec<Value> = objects.filter_map(|object| serde_json::from_str(object).ok()).collect();
    let of = |id: &str| lines.iter().filter(|line| line["request_id"] == id).collect::<Vec<_>>();
    for (id, event) in [("00001", "decision"), ("00002", "decision"), ("00003", "refusal")] {
        let [line] = of(id)[..] else { panic!("{id}: {log}") };
        assert_eq!(line["event"], event);
        assert_eq!(line["decision_id"].as_str().unwrap().len(), 16);
    }
    assert_eq!((&of("00001")[0]["attempts"], &of("00001")[0]["backend"]), (&json!(2), &json!("beta")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsed_failure_says_what_would_happen_and_changes_nothing() {
    let backends = trio().await;
    let mut router = router();
    router["backend_instances"]["alpha"]["circuit_breaker"] =
        json!({"failure_threshold": 4, "recovery_timeout_seconds": 30});
    let envoy = builder(&backends, router).env("LLM_ROUTER_CONTROL_TOKEN", SECRET).start().await;
    for _ in 0..CONNECTIONS {
        let test = post(&envoy, "/circuit-breaker/test", json!({"backend": "alpha", "simulate_failure": true})).await;
        let test = &test["circuit_breaker_test"];
        assert_eq!((&test["backend"], &test["test_type"]), (&json!("alpha"), &json!("failure_simulation")));
        assert_eq!((&test["initial_state"], &test["new_state"]), (&json!("closed"), &json!("open")));
        assert_eq!((&test["failure_threshold"], &test["simulated_failures"]), (&json!(4), &json!(4)));
        assert_eq!((&test["circuit_breaker_triggered"], &test["failover_activated"]), (&json!(true), &json!(true)));
        assert_eq!(test["backup_backend"], "beta");
        let recovery = test["recovery_time_ms"].as_f64().unwrap();
        assert!((30_000.0..=33_001.0).contains(&recovery) && test["test_duration_ms"].is_number(), "{test}");

        let test = post(&envoy, "/failover/test", json!({"primary_backend": "alpha", "simulate_failure": true})).await;
        let test = &test["failover_test"];
        assert_eq!((&test["primary_backend"], &test["backup_backend"]), (&json!("alpha"), &json!("beta")));
        assert_eq!((&test["failure_simulation"], &test["failover_triggered"]), (&json!(true), &json!(true)));
        assert_eq!((&test["requests_during_failover"], &test["requests_lost"]), (&json!(4), &json!(0)));
        assert_eq!((&test["recovery_successful"], &test["total_downtime_ms"]), (&json!(true), &json!(0)));
        assert!(test["failover_time_ms"].as_f64().unwrap() > 0.0, "{test}");
    }
    news_travels().await;
    let health = call(&envoy, Method::GET, "/health", "").await.json();
    assert_eq!(health["overall_health"], "healthy", "{health}");
    let reply = Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
    assert_eq!(reply.header("x-llm-backend").as_deref(), Some("alpha"));

    for (endpoint, key) in [("/circuit-breaker/test", "backend"), ("/failover/test", "primary_backend")] {
        assert_eq!(
            code(&call(&envoy, Method::POST, endpoint, &json!({key: "delta"}).to_string()).await),
            (404, "not_found".to_owned())
        );
        for (body, path) in [
            ("{", "not JSON"),
            ("{}", &*format!("{key}: missing")),
            (r#"{"why":1}"#, "why: unknown key"),
            (&json!({key: 7, "simulate_failure": "yes"}).to_string(), "simulate_failure: expected true or false"),
        ] {
            let reply = call(&envoy, Method::POST, endpoint, body).await;
            assert_eq!(code(&reply), (400, "invalid_request".to_owned()));
            assert!(reply.text().contains(path), "{}", reply.text());
        }
        let reply = call(&envoy, Method::GET, endpoint, "").await;
        assert_eq!((reply.status, reply.header("allow").as_deref()), (405, Some("POST")));
    }
    let unguarded = call(&envoy, Method::POST, "/circuit-breaker/test", r#"{"backend":"gamma"}"#).await;
    assert_eq!(code(&unguarded), (409, "conflict".to_owned()));
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "circuit_breaker_transitions_total", &[]), 0);
}
