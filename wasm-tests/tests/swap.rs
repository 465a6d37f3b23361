//! The harness with a module in Envoy: the ways to load it, to hand over its configuration and to replace that, and
//! the routes that a filter steers. The module is the do-nothing one; the client sets the headers in its stead.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{path::PathBuf, process::Command, sync::OnceLock};

use serde_json::json;
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour},
    client::Client,
    envoy::{Envoy, Form, Loading, Route, Swap, workspace_root},
};

/// The do-nothing module, built once.
fn noop() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let dir = concat!(env!("CARGO_TARGET_TMPDIR"), "/noop");
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--release",
                "--package",
                "noop",
                "--target",
                "wasm32-wasip1",
                "--target-dir",
                dir,
            ])
            .current_dir(workspace_root())
            .status()
            .unwrap();
        assert!(status.success(), "the do-nothing module must build");
        PathBuf::from(dir).join("wasm32-wasip1/release/noop.wasm")
    };
    BUILT.get_or_init(build).clone()
}

fn question() -> serde_json::Value {
    json!({"model": "sim-1", "messages": [{"role": "user", "content": "hello"}]})
}

#[tokio::test]
async fn a_configuration_is_swapped_or_refused_and_the_old_one_serves_on() {
    let backend = Backend::start("alpha", Flavour::OpenAi).await;
    for form in [Form::Struct, Form::Json] {
        let builder = Envoy::builder().concurrency(2).backends([&backend]).module(noop()).form(form);
        let mut envoy = builder.router(json!({"n": 1})).loading(Loading::Ecds).start().await;
        let url = envoy.url("/v1/chat/completions");
        let client = Client::new();
        assert_eq!(client.post_json(&url, &question()).await.unwrap().status, 200);
        assert_eq!(envoy.swap(&json!({"n": 2})).await, Swap::Accepted);
        assert_eq!(envoy.swap(&json!({"n": 3, "refuse": true})).await, Swap::Refused);
        assert_eq!(client.post_json(&url, &question()).await.unwrap().status, 200);
        assert_eq!(envoy.swap(&json!({"n": 4})).await, Swap::Accepted);
        assert!(envoy.is_running());
    }
}

#[tokio::test]
async fn a_module_that_refuses_its_first_configuration_keeps_envoy_from_starting() {
    let builder = Envoy::builder().cluster("alpha", &[1]).module(noop()).router(json!({"refuse": 1}));
    let error = builder.try_start().await.err().unwrap();
    assert!(error.contains("Envoy ended at its start"), "{error}");
}

#[tokio::test]
async fn the_cluster_header_picks_the_cluster() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await, Backend::start("beta", Flavour::OpenAi).await];
    let builder = Envoy::builder().backends(&backends).module(noop()).router(json!({}));
    let envoy = builder.route(Route::ClusterHeader).start().await;
    for name in ["beta", "alpha"] {
        let headers = [("x-llm-cluster", name)];
        let reply =
            Client::new().post_json_with(&envoy.url("/v1/chat/completions"), &headers, &question()).await.unwrap();
        assert_eq!(reply.header("x-sim-backend").as_deref(), Some(name));
    }
}

#[tokio::test]
async fn the_matcher_route_retries_on_the_cluster_of_the_next_slot() {
    let backends = [
        Backend::start("alpha", Flavour::OpenAi).await,
        Backend::start("beta", Flavour::OpenAi).await,
        Backend::start("gamma", Flavour::OpenAi).await,
    ];
    let [alpha, beta, gamma] = &backends;
    let builder = Envoy::builder().backends(&backends).module(noop()).router(json!({}));
    let envoy = builder.route(Route::Matcher { retries: 2 }).start().await;
    gamma.next(1, Behaviour::status(503));
    beta.kill().await;
    let headers =
        [("x-envoy-attempt-count", "0"), ("x-llm-try-0", "gamma"), ("x-llm-try-1", "beta"), ("x-llm-try-2", "alpha")];
    let reply = Client::new().post_json_with(&envoy.url("/v1/chat/completions"), &headers, &question()).await.unwrap();
    assert_eq!(reply.header("x-sim-backend").as_deref(), Some("alpha"), "{}", reply.text());
    assert_eq!((gamma.prompts()[0].attempt(), alpha.prompts()[0].attempt()), (Some(1), Some(3)));
    assert_eq!(envoy.stat("cluster.beta.upstream_cx_connect_fail").await, 1);

    let reply = Client::new().post_json(&envoy.url("/v1/chat/completions"), &question()).await.unwrap();
    assert_eq!((reply.status, reply.header("x-sim-backend")), (503, None), "without slots: no cluster");
}
