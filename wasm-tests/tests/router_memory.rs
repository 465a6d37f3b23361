//! Ten thousand requests of every kind leave no more behind than a thousand: neither names of metrics nor memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::json;
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour},
    client::Client,
    envoy::{Envoy, Route},
    load::load,
    router::{chat, counted, settled, streamed_chat, trio_of},
};

const PATHS: [&str; 6] =
    ["/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/query", "/query/stream", "/v1/responses"];

/// The `n`-th request: each names another model and another path of its own, if any, and is of one of many kinds.
fn request(envoy: &Envoy, n: usize) -> Request<Full<Bytes>> {
    let mut body = if n.is_multiple_of(3) { streamed_chat("hello") } else { chat(&"word ".repeat(n % 40)) };
    body["model"] = format!("model-{n}").into();
    body["max_tokens"] = 1024.into();
    for field in ["query", "input", "prompt"] {
        body[field] = format!("question {n}").into();
    }
    let url = envoy.url(PATHS[n % PATHS.len()]);
    let send = |method: &Method, url: &str, body: String| {
        Client::request(
            method,
            url,
            &[
                ("content-type", "application/json"),
                ("user-agent", &format!("agent-{n}")),
                ("anthropic-version", "2023-06-01"),
            ],
            body,
        )
    };
    match n % 25 {
        // No JSON, none of the APIs, too large, just small enough, other methods.
        1 => send(&Method::POST, &url, format!("{{\"messages\":[{n}")),
        2 => send(&Method::POST, &envoy.url(&format!("/unknown/{n}?id={n}")), body.to_string()),
        3 if n % 4 == 3 => send(&Method::POST, &url, chat(&"x".repeat(70_000)).to_string()),
        4 if n.is_multiple_of(4) => send(&Method::POST, &url, chat(&"a few words ".repeat(5_000)).to_string()),
        5 => send(&Method::GET, &envoy.url(&format!("/models/{n}")), String::new()),
        6 => send(&[Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS][n % 4], &url, body.to_string()),
        _ => send(&Method::POST, &url, body.to_string()),
    }
}

fn quick() -> Behaviour {
    Behaviour::default().with_output_tokens(4)
}

/// So many requests, some of which fail, are refused, or are left by their clients.
async fn ask(envoy: &Envoy, backends: &[Backend], requests: std::ops::Range<usize>) {
    for backend in backends {
        backend.next(1, Behaviour::fault(Fault::StallAfter(2)));
    }
    for _ in backends {
        let streamed = Client::json_request(&envoy.url(PATHS[0]), &streamed_chat("hello"));
        let mut stream = Client::new().open(streamed).await.unwrap();
        stream.read_at_least(1).await.unwrap();
        stream.cut();
    }
    for told in [Behaviour::status(503), Behaviour::status(400), Behaviour::fault(Fault::Reset), quick()] {
        for backend in backends {
            backend.next(requests.len() / 100, told.clone());
        }
        let quarter = requests.len() / 4;
        let done = load(&Client::new(), quarter, 16, |n| request(envoy, requests.start + n)).await;
        // A client that is told 413 while it still sends may find its connection closed first.
        let broken = done.replies.iter().filter(|reply| reply.is_err()).count();
        assert!(broken <= quarter / 50, "{broken} of {quarter}: {:?}", done.first_failure());
    }
}

/// The names of what the module measures, and the bytes of memory that the largest of its VMs has.
async fn footprint(envoy: &Envoy) -> (BTreeSet<String>, u64) {
    let memory = settled(envoy).await.get("wasmcustom.loadbalancer_wasm_memory_bytes");
    let text = envoy.admin("/stats?filter=loadbalancer").await.unwrap().text();
    (text.lines().filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect(), memory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_leave_no_more_behind_than_one_thousand() {
    let backends = trio_of(Flavour::Proxy).await;
    let apis = ["openai", "anthropic", "perplexity", "lightrag"];
    let instance = || json!({"apis": apis, "circuit_breaker": {"enabled": false}, "cost_per_1k_tokens": 0.1});
    let instances = json!({"alpha": instance(), "beta": instance(), "gamma": instance()});
    let router = json!({"body_limit_bytes": 65_536, "retry": {"max_attempts": 1}, "backend_instances": instances});
    let envoy =
        Envoy::builder().concurrency(4).backends(&backends).route(Route::ClusterHeader).router(router).control();
    let envoy = envoy.start().await;
    for backend in &backends {
        backend.set(quick());
    }
    let metrics = Client::request(&Method::GET, &envoy.control_url("/metrics"), &[], String::new());
    assert_eq!(Client::new().send(metrics).await.unwrap().status, 200);

    ask(&envoy, &backends, 0..1_000).await;
    let (names, memory) = footprint(&envoy).await;
    assert!(names.len() > 100 && memory > 1 << 20, "{} names, {memory} bytes", names.len());
    ask(&envoy, &backends, 1_000..10_000).await;
    let (later, grown) = footprint(&envoy).await;
    assert!(counted(&envoy.stats().await, "requests_total", &[("status", "success")]) > 7_000);
    assert_eq!(later.difference(&names).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(grown <= memory + (1 << 20), "{memory} bytes after 1,000 requests, {grown} after 10,000");
}
