//! The control API on a real Envoy with four workers: each endpoint, its errors, and its effect on routing.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::needless_pass_by_value, reason = "a test")]

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Limit, Told},
    client::{Client, Reply, raw},
    control::{CONNECTIONS, all_workers_say, call, code, get, who},
    envoy::{Builder, Envoy, Form, Loading, Route, Swap},
    router::{chat, counted, news_travels, settled, trio, troubles},
};

const PATH: &str = "/v1/chat/completions";

/// Alpha if it may be asked, else one of the others.
fn alpha_first() -> Value {
    json!({"strategy": "cost_aware", "backend_instances": {
        "alpha": {"backend_type": "lightrag", "apis": ["openai", "messages"], "cost_per_1k_tokens": 0.05, "quality_score": 0.92},
        "beta": {"priority": 2, "cost_per_1k_tokens": 0.2},
        "gamma": {"priority": 2, "cost_per_1k_tokens": 0.3, "circuit_breaker": {"enabled": false}},
    }})
}

fn builder(backends: &[Backend], router: Value) -> Builder {
    Envoy::builder().concurrency(4).backends(backends).route(Route::Matcher { retries: 2 }).router(router).control()
}

async fn post(envoy: &Envoy, endpoint: &str) -> Reply {
    call(envoy, Method::POST, endpoint, &[], "").await
}

async fn explain(envoy: &Envoy, body: &Value) -> Value {
    let reply = call(envoy, Method::POST, "/explain", &[("content-type", "application/json")], &body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn backend<'a>(document: &'a Value, id: &str) -> &'a Value {
    document["backends"].as_array().unwrap().iter().find(|backend| backend["id"] == id).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_that_is_opened_or_closed_by_hand_is_so_for_every_worker() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_first()).start().await;
    assert_eq!(who(&envoy).await, [("alpha".to_owned(), 2 * CONNECTIONS)].into());

    let body = json!({"reason": "maintenance"}).to_string();
    let opened = call(&envoy, Method::POST, "/circuit-breaker/alpha/open", &[], &body).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    let change = &opened.json()["circuit_breaker_change"];
    assert_eq!((&change["previous_state"], &change["new_state"]), (&json!("closed"), &json!("open")));
    assert!(change["retry_at"].is_string() && change["change_timestamp"].is_string(), "{change}");
    news_travels().await;
    assert!(!who(&envoy).await.contains_key("alpha"), "no worker asks it any more");
    all_workers_say(&envoy, "/health", "/health_status/lightrag/alpha/breaker/status", &json!("open")).await;
    all_workers_say(&envoy, "/metrics", "/circuit_breakers/alpha/reason", &json!("by_hand")).await;
    all_workers_say(&envoy, "/health", "/overall_health", &json!("degraded")).await;
    all_workers_say(&envoy, "/health", "/unhealthy_backends", &json!(1)).await;

    let closed = post(&envoy, "/circuit-breaker/alpha/close").await;
    assert_eq!(closed.json()["circuit_breaker_change"]["new_state"], "closed");
    news_travels().await;
    assert_eq!(who(&envoy).await, [("alpha".to_owned(), 2 * CONNECTIONS)].into());
    all_workers_say(&envoy, "/health", "/overall_health", &json!("healthy")).await;

    let stats = settled(&envoy).await;
    for state in ["open", "closed"] {
        let labels = [("backend_id", "alpha"), ("state", state), ("reason", "by_hand")];
        assert_eq!(counted(&stats, "circuit_breaker_transitions_total", &labels), 1, "{state}");
    }
    let log = envoy.log();
    let line = log.lines().find(|line| line.contains("circuit_breaker_open")).expect("the change is logged");
    assert!(line.contains("127.0.0.1:") && line.contains("maintenance"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_worker_tells_the_same_of_the_backends() {
    let backends = trio().await;
    backends[1].set_health(Behaviour::status(503));
    let mut router = alpha_first();
    router["backend_instances"]["beta"]["health_check"] = json!({"path": "/health", "interval_seconds": 0.1,
        "timeout_seconds": 2, "consecutive_failures_threshold": 1});
    let envoy = builder(&backends, router).start().await;
    all_workers_say(&envoy, "/health", "/health_status/openai/beta/status", &json!("unhealthy")).await;
    let health = get(&envoy, "/health").await;
    assert_eq!(health["overall_health"], "degraded");
    assert_eq!((&health["total_backends"], &health["healthy_backends"]), (&json!(3), &json!(2)));
    assert!(health["health_status"]["openai"]["beta"]["last_check"].is_string(), "{health}");
    assert_eq!(health["health_status"]["openai"]["gamma"]["breaker"], Value::Null);

    let strategy = get(&envoy, "/strategy").await;
    assert_eq!(strategy["strategy"], "cost_optimized");
    let listed = get(&envoy, "/backends").await;
    let alpha = backend(&listed, "alpha");
    assert_eq!((&alpha["cluster"], &alpha["quality_score"]), (&json!("alpha"), &json!(0.92)));
    assert_eq!(alpha["input_cost_per_1k_tokens"], 0.05);

    who(&envoy).await;
    settled(&envoy).await;
    all_workers_say(&envoy, "/metrics", "/routing_metrics/recent_answers", &json!(2 * CONNECTIONS)).await;
    let metrics = get(&envoy, "/metrics").await;
    assert_eq!(metrics["routing_metrics"]["recent_success_rate"], 100);
    assert_eq!(metrics["load_balancing"]["strategy"], "cost_optimized");
    assert_eq!(metrics["load_balancing"]["backend_distribution"]["alpha"]["recent_answers"], 2 * CONNECTIONS);
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_says_what_the_next_request_gets_and_changes_nothing() {
    let backends = trio().await;
    let mut router = alpha_first();
    router["strategy"] = json!("round_robin");
    for id in ["beta", "gamma"] {
        router["backend_instances"][id]["priority"] = json!(1);
    }
    let envoy = builder(&backends, router).start().await;
    // Turns are shared by all workers: however many explanations there were, the next request is as the last one said.
    for _ in 0..6 {
        for _ in 0..5 {
            explain(&envoy, &chat("hello")).await;
        }
        let explained = explain(&envoy, &chat("hello")).await;
        let first = explained["decision"]["attempts"][0].as_str().unwrap().to_owned();
        assert_eq!(backend(&explained, &first)["place"], 1);
        let reply = Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
        assert_eq!(reply.header("x-llm-backend"), Some(first));
    }
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[]), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_names_who_excludes_a_backend() {
    let backends = trio().await;
    backends[1].limit(Limit::Requests { left: 1, limit: 100, window_ms: 600_000, told: Told::OpenAi });
    let mut router = alpha_first();
    router["client_hints"] = json!(["min_quality"]);
    router["panic_threshold"] = json!(0);
    let envoy = builder(&backends, router).start().await;
    assert_eq!(post(&envoy, "/circuit-breaker/alpha/open").await.status, 200);
    news_travels().await;
    // Beta announces that nothing is left.
    assert_eq!(Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap().status, 200);
    news_travels().await;
    let explained = explain(&envoy, &chat("What is a request router?")).await;
    assert_eq!(explained["decision"]["attempts"], json!(["gamma", "gamma", "gamma"]), "{explained}");
    let alpha = backend(&explained, "alpha");
    assert_eq!((&alpha["excluded"]["by"], &alpha["place"]), (&json!("breaker"), &Value::Null));
    assert!(alpha["excluded"]["retry_at"].is_string());
    assert_eq!(alpha["circuit_breaker"]["reason"], "by_hand");
    assert_eq!((&backend(&explained, "beta")["excluded"]["by"]), (&json!("quota")), "{explained}");
    let gamma = backend(&explained, "gamma");
    assert_eq!((&gamma["place"], &gamma["part"], &gamma["eligible"]), (&json!(1), &json!(1), &json!(true)));
    let estimate = &gamma["estimate"];
    assert!(estimate["input_tokens"].as_u64().unwrap() > 3 && estimate["cost_micro_usd"].as_u64().unwrap() > 0);

    let headers = [("content-type", "application/json"), ("x-llm-min-quality", "0.95")];
    let none = call(&envoy, Method::POST, "/circuit-breaker/alpha/close", &[], "").await;
    assert_eq!(none.status, 200);
    let choosy = call(&envoy, Method::POST, "/explain?path=%2Fv1%2Fmessages", &headers, r#"{"messages":[]}"#).await;
    assert_eq!(choosy.json()["request"]["api"], "messages");
    assert_eq!(backend(&choosy.json(), "alpha")["excluded"]["by"], "client");
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_calls_are_told_what_is_wrong() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_first()).form(Form::Json).start().await;
    assert_eq!(code(&call(&envoy, Method::GET, "/nothing", &[], "").await), (404, "not_found".to_owned()));
    assert_eq!(code(&post(&envoy, "/circuit-breaker/delta/open").await), (404, "not_found".to_owned()));
    assert_eq!(code(&post(&envoy, "/circuit-breaker/gamma/open").await), (409, "conflict".to_owned()));
    for (method, endpoint, allow) in [
        (Method::POST, "/health", "GET, HEAD"),
        (Method::DELETE, "/metrics", "GET, HEAD"),
        (Method::PATCH, "/strategy", "GET, HEAD, PUT"),
        (Method::PUT, "/backends", "GET, HEAD"),
        (Method::GET, "/explain", "POST"),
        (Method::GET, "/circuit-breaker/alpha/open", "POST"),
    ] {
        let reply = call(&envoy, method, endpoint, &[], "").await;
        assert_eq!(code(&reply), (405, "method_not_allowed".to_owned()), "{endpoint}");
        assert_eq!(reply.header("allow").as_deref(), Some(allow), "{endpoint}");
    }
    for (body, path) in
        [("{\"reason\":7}", "reason: expected a string"), ("{\"why\":1}", "why: unknown key"), ("[", "not JSON")]
    {
        let reply = call(&envoy, Method::POST, "/circuit-breaker/alpha/open", &[], body).await;
        assert_eq!(code(&reply), (400, "invalid_request".to_owned()), "{body}");
        assert!(reply.text().contains(path), "{}", reply.text());
    }
    for body in ["", "{", "[]", "\"text\"", &"[".repeat(60_000)] {
        assert_eq!(code(&call(&envoy, Method::POST, "/explain", &[], body).await).0, 400, "{body:.9}");
    }
    let large = " ".repeat(64 * 1024 + 1);
    assert_eq!(code(&call(&envoy, Method::POST, "/explain", &[], &large).await), (413, "request_too_large".to_owned()));
    // Nothing of it opened anything, and nothing went through to a backend.
    assert_eq!(get(&envoy, "/health").await["overall_health"], "healthy");
    assert!(backends.iter().all(|backend| backend.journal().is_empty()));
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_any_kind_are_answered() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_first()).start().await;
    let path = b"POST /api/v1/router/explain?path=%ff%fe HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let requests: [(&[u8], &[u8], &str); 5] = [
        (b"x-bad: \xff\xfe\r\nx-llm-path: /v1/\xff\r\ncontent-length: 2\r\n", b"\xff\xfe", "200"),
        (b"content-encoding: gzip\r\nx-llm-path: /v1/messages\r\ncontent-length: 2\r\n", b"\x1f\x8b", "400"),
        (b"x-llm-path: /v1/messages\r\ncontent-length: 2\r\n", b"\xff\xfe", "400"),
        (b"transfer-encoding: chunked\r\n", b"1\r\n{\r\n1\r\n}\r\n0\r\nx-trailer: \xff\r\n\r\n", "200"),
        (b"authorization: \xff\r\ncontent-length: 0\r\n", b"", "200"),
    ];
    for (headers, body, status) in requests {
        let answer = raw(envoy.control_port(), &[path, headers, b"\r\n", body].concat()).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers:?}: {answer}");
    }
    // Chunked, so that nobody knows beforehand that it is too much.
    let chunk = [b"8000\r\n".to_vec(), vec![b' '; 0x8000], b"\r\n".to_vec()].concat();
    let body = [chunk.repeat(3), b"0\r\n\r\n".to_vec()].concat();
    let answer = raw(envoy.control_port(), &[path, &b"transfer-encoding: chunked\r\n\r\n"[..], &body].concat()).await;
    if let Ok(answer) = answer {
        assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(get(&envoy, "/health").await["total_backends"], 3);
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_only_who_knows_it_changes_something() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_first()).env("LLM_ROUTER_CONTROL_TOKEN", "s3cret").start().await;
    let open = "/circuit-breaker/alpha/open";
    for wrong in [
        &[][..],
        &[("authorization", "Bearer s3cre")],
        &[("authorization", "Bearer s3cret2")],
        &[("authorization", "s3cret")],
    ] {
        let reply = call(&envoy, Method::POST, open, wrong, "").await;
        assert_eq!(code(&reply), (401, "unauthorized".to_owned()), "{wrong:?}");
    }
    assert_eq!(get(&envoy, "/health").await["overall_health"], "healthy", "to look needs none");
    explain(&envoy, &chat("hello")).await;
    let right = [("authorization", "Bearer s3cret")];
    assert_eq!(call(&envoy, Method::POST, open, &right, "").await.status, 200);
    all_workers_say(&envoy, "/health", "/overall_health", &json!("degraded")).await;
    assert!(!envoy.log().contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_about_the_router_that_is_at_work_now() {
    let backends = trio().await;
    let mut envoy = builder(&backends, alpha_first()).loading(Loading::Ecds).start().await;
    assert_eq!(post(&envoy, "/circuit-breaker/alpha/open").await.status, 200);
    let router = json!({"strategy": "least_connections", "backend_instances": {"alpha": {}, "beta": {}}});
    assert_eq!(envoy.swap(&router).await, Swap::Accepted);
    all_workers_say(&envoy, "/strategy", "/strategy", &json!("least_connections")).await;
    all_workers_say(&envoy, "/health", "/total_backends", &json!(2)).await;
    // What was done before outlives the swap.
    all_workers_say(&envoy, "/health", "/health_status/openai/alpha/breaker/status", &json!("open")).await;
    assert_eq!(envoy.swap(&json!({"strategy": "nonsense"})).await, Swap::Refused);
    all_workers_say(&envoy, "/strategy", "/strategy", &json!("least_connections")).await;
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strategy_that_is_chosen_is_at_work_on_every_worker_until_the_configuration_changes_it() {
    let backends = trio().await;
    let router = |strategy: &str, weight: u32| {
        json!({"strategy": strategy, "backend_instances": {
            "alpha": {"cost_per_1k_tokens": 0.5, "weight": weight}, "beta": {"cost_per_1k_tokens": 0.01}}})
    };
    let mut envoy = builder(&backends, router("round_robin", 1)).loading(Loading::Ecds).start().await;
    let both = [("alpha".to_owned(), CONNECTIONS), ("beta".to_owned(), CONNECTIONS)].into();
    assert_eq!(who(&envoy).await, both);
    let put = |body: &'static str| call(&envoy, Method::PUT, "/strategy", &[], body);
    assert_eq!(code(&put(r#"{"strategy":"fastest"}"#).await), (400, "invalid_request".to_owned()));
    let changed = put(r#"{"strategy":"cost_aware"}"#).await;
    assert_eq!(changed.json()["strategy_change"]["new_strategy"], "cost_optimized", "{}", changed.text());
    news_travels().await;
    assert_eq!(who(&envoy).await, [("beta".to_owned(), 2 * CONNECTIONS)].into());
    all_workers_say(&envoy, "/strategy", "/source", &json!("operator")).await;

    assert_eq!(envoy.swap(&router("round_robin", 2)).await, Swap::Accepted);
    all_workers_say(&envoy, "/backends", "/backends/0/weight", &json!(2)).await;
    all_workers_say(&envoy, "/strategy", "/strategy", &json!("cost_optimized")).await;
    for configured in ["weighted", "round_robin"] {
        assert_eq!(envoy.swap(&router(configured, 1)).await, Swap::Accepted);
        all_workers_say(&envoy, "/strategy", "/strategy", &json!(configured)).await;
    }
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_router_it_says_that_there_is_none() {
    let backends = trio().await;
    let envoy = Envoy::builder().concurrency(4).backends(&backends).control().start().await;
    for _ in 0..CONNECTIONS {
        let reply = call(&envoy, Method::POST, "/explain", &[], "{}").await;
        assert_eq!(code(&reply), (503, "no_router".to_owned()));
    }
}
