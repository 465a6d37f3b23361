//! The router's own checks without a path, and what GET `/health` says of the last one, on a real Envoy with four workers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour},
    control::{all_workers_say, get},
    envoy::{Envoy, Route},
    router::{settled, until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_without_a_path_asks_each_type_for_its_own_and_a_refusal_says_which_parts_are_down() {
    let backends = [
        Backend::start("rag", Flavour::LightRag).await,
        Backend::start("pplx", Flavour::Perplexity).await,
        Backend::start("gpt", Flavour::OpenAi).await,
        Backend::start("claude", Flavour::Anthropic).await,
    ];
    let check = json!({"interval_seconds": 0.1, "timeout_seconds": 1, "consecutive_failures_threshold": 2});
    let router = json!({"backend_instances": {
        "rag": {"backend_type": "lightrag", "health_check": check},
        "pplx": {"backend_type": "perplexity", "health_check": check},
        "gpt": {"backend_type": "openai", "health_check": check},
        "claude": {"backend_type": "anthropic", "health_check": check},
    }});
    let rig = Envoy::builder().concurrency(4).backends(&backends).route(Route::Matcher { retries: 2 });
    let envoy = rig.router(router).control().start().await;
    for (backend, path) in backends.iter().zip(["/health", "/models", "/v1/models", "/v1/models"]) {
        until("it was asked", || async { backend.journal().iter().any(|seen| seen.path == path) }).await;
        let strangers: Vec<_> = backend.journal().into_iter().filter(|seen| seen.path != path).collect();
        assert!(strangers.is_empty(), "{strangers:?}");
    }
    all_workers_say(&envoy, "/health", "/healthy_backends", &json!(4)).await;
    let health = get(&envoy, "/health").await;
    let check = &health["health_status"]["openai"]["gpt"]["check"];
    assert_eq!(
        (&check["path"], &check["http_status"], &check["error"]),
        (&json!("/v1/models"), &json!(200), &Value::Null)
    );
    assert!(check["response_time_ms"].is_u64(), "{check}");

    let rag = "/health_status/lightrag/rag";
    let mut refusal = Behaviour::report(json!({"status": "unhealthy", "graph_db_status": "healthy",
        "embeddings_status": "unhealthy", "llm_status": "healthy", "services": {"minio": "down"}, "error": "no GPU"}));
    refusal.status = 503;
    backends[0].set_health(refusal);
    all_workers_say(&envoy, "/health", &format!("{rag}/check/http_status"), &json!(503)).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/check/error"), &json!("no GPU")).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/components/embeddings"), &json!("unhealthy")).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/components/graph_db"), &json!("healthy")).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/details/parts_down"), &json!(["minio"])).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/status"), &json!("unhealthy")).await;

    backends[0].set_health(Behaviour::report(json!({"status": "healthy", "relationship_count": 47_000,
        "last_index_update": "2025-08-08T10:30:00Z", "cpu_usage_percent": 12.5, "avg_query_time_ms": 812.4})));
    all_workers_say(&envoy, "/health", &format!("{rag}/status"), &json!("healthy")).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/details/relationship_count"), &json!(47_000)).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/details/cpu_usage_percent"), &json!(12.5)).await;
    all_workers_say(&envoy, "/health", &format!("{rag}/check/error"), &Value::Null).await;

    backends[0].set_health(Behaviour::fault(Fault::Reset));
    all_workers_say(&envoy, "/health", &format!("{rag}/check/status"), &json!("unhealthy")).await;
    let told = get(&envoy, "/health").await.pointer(&format!("{rag}/check")).cloned().unwrap();
    assert!(told["error"].as_str().is_some_and(|error| error.contains("reset")), "{told}");
    settled(&envoy).await;
}
