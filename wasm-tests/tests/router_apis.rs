//! Each request goes to a backend that speaks its API, on a real Envoy before strict backends; and only inference is
//! evidence of inference.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour},
    client::{Client, Reply},
    control::{call, done, get},
    envoy::{Builder, Envoy, Route},
    load::load,
    router::{chat, counted, ended, news_travels, until},
};

const CHAT: &str = "/v1/chat/completions";
const ANTHROPIC: (&str, &str) = ("anthropic-version", "2023-06-01");

/// The fleet of README's configuration and of envoy/envoy.yaml, each as strict as its service.
async fn fleet() -> [Backend; 4] {
    [
        Backend::start("openai_primary", Flavour::OpenAi).await,
        Backend::start("anthropic_primary", Flavour::Anthropic).await,
        Backend::start("perplexity_primary", Flavour::Perplexity).await,
        Backend::start("lightrag_primary", Flavour::LightRag).await,
    ]
}

/// README's own configuration, and the two other types of envoy/envoy.yaml.
fn router(strategy: &str) -> Value {
    json!({"strategy": strategy, "backend_instances": {
        "openai_primary": {"backend_type": "openai", "cost_per_1k_tokens": 0.01, "quality_score": 0.9},
        "anthropic_primary": {"backend_type": "anthropic", "cost_per_1k_tokens": 0.015, "quality_score": 0.93},
        "perplexity_primary": {"backend_type": "perplexity", "cost_per_1k_tokens": 0.005, "quality_score": 0.86},
        "lightrag_primary": {"backend_type": "lightrag", "quality_score": 0.95},
    }})
}

fn rig(backends: &[Backend], router: Value) -> Builder {
    Envoy::builder().concurrency(2).backends(backends).route(Route::Matcher { retries: 2 }).router(router)
}

/// A request of this API that its service takes.
fn request(envoy: &Envoy, path: &str) -> Request<Full<Bytes>> {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let body = match path {
        "/v1/messages" => json!({"model": "claude", "max_tokens": 9, "messages": messages}),
        "/v1/messages/count_tokens" => json!({"model": "claude", "messages": messages}),
        "/v1/responses" | "/v1/embeddings" | "/v1/moderations" => json!({"model": "gpt", "input": "hello"}),
        "/v1/completions" => json!({"model": "gpt", "prompt": "hello"}),
        "/chat/completions" | "/v1/sonar" => json!({"model": "sonar", "messages": messages}),
        "/v1/agent" => json!({"model": "sonar", "input": "hello"}),
        "/async/chat/completions" => json!({"request": {"model": "sonar-deep-research", "messages": messages}}),
        "/query" | "/query/stream" | "/query/data" => json!({"query": "hello"}),
        "/api/generate" => json!({"model": "lightrag:latest", "prompt": "hello"}),
        path if path.contains(":generateContent") || path.contains(":countTokens") => {
            json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]})
        }
        "/api/chat" => json!({"model": "lightrag:latest", "messages": messages}),
        _ => json!({"model": "gpt", "messages": messages}),
    };
    let mut headers = vec![("content-type", "application/json")];
    if path.starts_with("/v1/messages") {
        headers.push(ANTHROPIC);
    }
    Client::request(&Method::POST, &envoy.url(path), &headers, body.to_string())
}

fn by(reply: &Reply) -> (u16, String) {
    let said = reply.header("x-llm-backend").unwrap_or_default();
    assert_eq!(said, reply.header("x-sim-backend").unwrap_or_default(), "what the router says is who answered");
    (reply.status, said)
}

const WHOSE: [(&str, &str); 18] = [
    (CHAT, "openai_primary"),
    ("/v1/responses", "openai_primary"),
    ("/v1/completions", "openai_primary"),
    ("/v1/embeddings", "openai_primary"),
    ("/v1/moderations", "openai_primary"),
    ("/v1/files", "openai_primary"),
    ("/v1/threads/t/messages", "openai_primary"),
    ("/v1/messages", "anthropic_primary"),
    ("/v1/messages/count_tokens", "anthropic_primary"),
    ("/chat/completions", "perplexity_primary"),
    ("/v1/sonar", "perplexity_primary"),
    ("/v1/agent", "perplexity_primary"),
    ("/async/chat/completions", "perplexity_primary"),
    ("/query", "lightrag_primary"),
    ("/query/stream", "lightrag_primary"),
    ("/query/data", "lightrag_primary"),
    ("/api/chat", "lightrag_primary"),
    ("/api/generate", "lightrag_primary"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_strategy_sends_each_api_to_its_own_backend_and_all_are_answered() {
    for strategy in ["cost_optimized", "performance_based", "least_connections", "quality_based", "round_robin"] {
        let backends = fleet().await;
        let envoy = rig(&backends, router(strategy)).start().await;
        let client = Client::new();
        for _ in 0..5 {
            for (path, id) in WHOSE {
                let reply = client.send(request(&envoy, path)).await.unwrap();
                assert_eq!(by(&reply), (200, id.to_owned()), "{strategy} {path}: {}", reply.text());
            }
        }
        let lists = [
            ("/v1/models", vec![], "openai_primary"),
            ("/v1/models", vec![ANTHROPIC], "anthropic_primary"),
            ("/models", vec![], "perplexity_primary"),
            ("/api/tags", vec![], "lightrag_primary"),
            ("/health", vec![], "lightrag_primary"),
        ];
        for (path, headers, id) in lists {
            let reply = client.send(Client::request(&Method::GET, &envoy.url(path), &headers, "")).await.unwrap();
            assert_eq!(by(&reply), (200, id.to_owned()), "{strategy} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_205_messages_go_to_anthropic_under_load() {
    let backends = fleet().await;
    let envoy = rig(&backends, router("cost_optimized")).start().await;
    let load = load(&Client::new(), 205, 16, |_| request(&envoy, "/v1/messages")).await;
    assert_eq!(load.by_status(), [(200, 205)].into(), "{:?}", load.first_failure());
    assert_eq!(load.by_header("x-sim-backend"), [("anthropic_primary".to_owned(), 205)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_is_tried_again_only_where_its_api_is_spoken() {
    let mut backends = Vec::from(fleet().await);
    backends.push(Backend::start("anthropic_spare", Flavour::Anthropic).await);
    let mut config = router("round_robin");
    config["backend_instances"]["anthropic_spare"] = json!({"backend_type": "anthropic", "priority": 9});
    let envoy = rig(&backends, config).start().await;
    let client = Client::new();
    for failing in [Behaviour::status(500), Behaviour::status(429), Behaviour::fault(wasm_tests::backend::Fault::Reset)]
    {
        backends[1].next(1, failing);
        let reply = client.send(request(&envoy, "/v1/messages")).await.unwrap();
        assert_eq!(by(&reply), (200, "anthropic_spare".to_owned()));
    }
    // With nobody else for it, the last one is tried again: never another API's.
    backends[0].set(Behaviour::status(503));
    let reply = client.send(request(&envoy, CHAT)).await.unwrap();
    assert_eq!(by(&reply), (503, "openai_primary".to_owned()));
    for other in &backends[2..4] {
        assert_eq!(other.counters().prompts, 0, "{}", other.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_nobody_speaks_is_refused_in_its_own_form_and_explained() {
    let backends = [Backend::start("openai_primary", Flavour::OpenAi).await];
    let config = json!({"client_hints": ["explain"], "queue": {"size": 9, "timeout_ms": 60000},
        "panic_threshold": 1, "backend_instances": {"openai_primary": {}}});
    let envoy = rig(&backends, config).control().start().await;
    let client = Client::new();
    for (path, pointer, value) in [
        ("/v1/messages", "/error/type", json!("not_found_error")),
        ("/v1/messages", "/type", json!("error")),
        ("/v1/sonar", "/error/code", json!("api_not_supported")),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "/error/status", json!("NOT_FOUND")),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "/error/code", json!(404)),
    ] {
        let reply = client.send(request(&envoy, path)).await.unwrap();
        assert_eq!((reply.status, reply.json().pointer(pointer)), (404, Some(&value)), "{path}: {}", reply.text());
        assert!(reply.text().contains("they speak: chat_completions, responses"), "{}", reply.text());
    }
    for (path, pointer) in [("/query", "/detail"), ("/api/chat", "/error")] {
        let reply = client.send(request(&envoy, path)).await.unwrap();
        assert_eq!(reply.status, 404);
        assert!(reply.json().pointer(pointer).is_some_and(Value::is_string), "{path}: {}", reply.text());
    }
    assert_eq!(backends[0].counters().prompts, 0);
    let stats = ended(&envoy).await;
    assert_eq!(counted(&stats, "refusals_total", &[("code", "api_not_supported")]), 7);

    let headers = [("x-llm-path", "/v1/messages")];
    let explained = call(&envoy, Method::POST, "/explain", &headers, &chat("hello").to_string()).await.json();
    assert_eq!((&explained["request"]["api"], &explained["refusal"]["status"]), (&json!("messages"), &json!(404)));
    let excluded = &explained["backends"][0]["excluded"];
    assert_eq!(excluded["by"], "api");
    assert!(excluded["reason"].as_str().unwrap().starts_with("api_not_supported"), "{excluded}");
    until("the decisions are told", || async {
        let told = get(&envoy, "/decisions").await;
        told["decisions"].as_array().is_some_and(|all| {
            all.iter().any(|one| one["api"] == "messages" && one["outcome"]["ending"] == "api_not_supported")
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apis_make_a_backend_of_several_and_a_path_of_none_goes_to_a_generic_one() {
    let backends = [
        Backend::start("proxy", Flavour::Proxy).await,
        Backend::start("claude", Flavour::Anthropic).await,
        Backend::start("vectors", Flavour::Generic).await,
        Backend::start("gemini", Flavour::Gemini).await,
    ];
    let config = json!({"strategy": "round_robin", "backend_instances": {
        "proxy": {"apis": ["openai", "messages"]}, "claude": {"backend_type": "anthropic"},
        "vectors": {"backend_type": "generic"}, "gemini": {"backend_type": "gemini"}}});
    let envoy = rig(&backends, config).control().start().await;
    let client = Client::new();
    for (path, ids) in [
        ("/v1/messages", &["claude", "proxy"][..]),
        (CHAT, &["proxy"]),
        ("/v1/messages/count_tokens", &["claude"]),
        ("/collections/c/points/search", &["vectors"]),
        ("/query", &["vectors"]),
        ("/v1beta/models/gemini-2.5-flash:generateContent", &["gemini"]),
        ("/v1beta/models/gemini-2.5-flash:countTokens", &["gemini"]),
    ] {
        let mut seen = BTreeSet::new();
        for _ in 0..6 {
            let reply = client.send(request(&envoy, path)).await.unwrap();
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            seen.insert(reply.header("x-sim-backend").unwrap());
        }
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), ids, "{path}");
    }
    // A change by hand: the same key, there and back.
    let listed = get(&envoy, "/backends").await;
    let anthropic = json!(["models", "messages", "vertex_messages", "count_tokens", "anthropic_other"]);
    assert_eq!(listed["backends"][0]["apis"], anthropic);
    done(&envoy, Method::PUT, "/backends/claude", r#"{"backend_type":"anthropic","apis":["count_tokens"]}"#).await;
    news_travels().await;
    for _ in 0..6 {
        let reply = client.send(request(&envoy, "/v1/messages")).await.unwrap();
        assert_eq!(by(&reply), (200, "proxy".to_owned()));
    }
    let listed = get(&envoy, "/backends").await;
    assert_eq!(listed["backends"][0]["apis"], json!(["count_tokens"]));
    let wrong = call(&envoy, Method::PUT, "/backends/claude", &[], r#"{"apis":["mesages"]}"#).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("did you mean messages?"), "{}", wrong.text());
}

/// A preflight, as a browser sends it.
async fn preflight(client: &Client, envoy: &Envoy) -> Reply {
    let headers = [("origin", "https://a.example"), ("access-control-request-method", "POST")];
    client.send(Client::request(&Method::OPTIONS, &envoy.url(CHAT), &headers, "")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_models_and_preflights_do_not_close_an_open_breaker() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await];
    let breaker = json!({"failure_threshold": 2, "recovery_timeout_seconds": 0.2, "half_open_max_requests": 1});
    let config = json!({"retry": {"max_attempts": 1}, "backend_instances": {"alpha": {"circuit_breaker": breaker}}});
    let envoy = Envoy::builder().backends(&backends).router(config).route(Route::ClusterHeader).start().await;
    let client = Client::new();
    backends[0].set(Behaviour::status(500));
    for _ in 0..2 {
        client.send(request(&envoy, CHAT)).await.unwrap();
    }
    let breaker_is = || async { counted(&envoy.stats().await, "circuit_breaker_state", &[("backend_id", "alpha")]) };
    until("the breaker is open", || async { breaker_is().await == 2 }).await;
    for _ in 0..40 {
        assert_eq!(client.get(&envoy.url("/v1/models")).await.unwrap().status, 200);
        assert_eq!(preflight(&client, &envoy).await.status, 204);
        let figures = envoy.stats().await;
        assert_eq!(counted(&figures, "circuit_breaker_transitions_total", &[("state", "closed")]), 0);
        assert_eq!(counted(&figures, "circuit_breaker_transitions_total", &[("state", "half_open")]), 0);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    backends[0].set(Behaviour::default());
    until("a chat closes it", || async {
        client.send(request(&envoy, CHAT)).await.unwrap();
        breaker_is().await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflights_are_neither_counted_nor_refused() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await];
    let limited = json!({"max_requests_per_minute": 3, "max_concurrent_requests": 1});
    let config = json!({"retry": {"max_attempts": 1}, "backend_instances": {"alpha": limited}});
    let envoy = Envoy::builder().backends(&backends).router(config).route(Route::ClusterHeader).start().await;
    let client = Client::new();
    for _ in 0..20 {
        assert_eq!(preflight(&client, &envoy).await.status, 204);
        assert_eq!(client.get(&envoy.url("/v1/models")).await.unwrap().status, 200);
        assert_eq!(client.send(request(&envoy, "/v1/moderations")).await.unwrap().status, 200);
    }
    backends[0].next(1, Behaviour { inter_token_ms: 50, output_tokens: 200, ..Behaviour::default() });
    let mut streamed = chat("hello");
    streamed["stream"] = true.into();
    let mut held = client.open(Client::json_request(&envoy.url(CHAT), &streamed)).await.unwrap();
    held.read_at_least(1).await.unwrap();
    assert_eq!(client.send(request(&envoy, CHAT)).await.unwrap().status, 429, "its only place is taken");
    assert_eq!(preflight(&client, &envoy).await.status, 204);
    assert_eq!(client.get(&envoy.url("/v1/models")).await.unwrap().status, 200);
    held.cut();
    until("the place is free", || async { client.send(request(&envoy, CHAT)).await.unwrap().status == 200 }).await;
    assert_eq!(client.send(request(&envoy, "/v1/files")).await.unwrap().status, 200, "the third in this minute");
    assert_eq!(client.send(request(&envoy, "/v1/files")).await.unwrap().status, 429);
    assert_eq!(preflight(&client, &envoy).await.status, 204);
}
