//! One client that behaves beside thousands of requests that do not, in an Envoy as it is shipped: nobody notices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test")]

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;
use wasm_tests::{
    backend::{Backend, Flavour},
    client::Client,
    envoy::{Builder, Envoy, Route},
    hostile::{Crowd, gzip_of, tables_for_nothing},
    router::{chat, counted, in_flight, streamed_chat, trio, troubles},
};

const PATH: &str = "/v1/chat/completions";
/// What the crowd sends.
const SEED: u64 = 20_261_201;
const CROWD: usize = 2_000;
/// The router's limit of a body.
const LIMIT: usize = 4 << 20;
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The backends of `envoy/router.ecds.yaml`, that speak the API of the one who behaves.
async fn fleet() -> Vec<Backend> {
    let mut fleet = Vec::new();
    for name in ["lightrag_primary", "perplexity_primary", "openai_primary", "anthropic_primary"] {
        fleet.push(Backend::start(name, Flavour::OpenAi).await);
    }
    fleet
}

/// Its configuration, and its route.
fn shipped(backends: &[Backend]) -> Builder {
    let router = json!({"strategy": "cost_optimized", "default_backend": "lightrag_primary", "backend_instances": {
        "lightrag_primary": {"cost_per_1k_tokens": 0.05, "expected_response_time_ms": 600, "quality_score": 0.92},
        "perplexity_primary": {"cost_per_1k_tokens": 0.2, "expected_response_time_ms": 900, "quality_score": 0.86},
        "openai_primary": {"input_cost_per_1k_tokens": 0.0025, "output_cost_per_1k_tokens": 0.01},
        "anthropic_primary": {"input_cost_per_1k_tokens": 0.003, "output_cost_per_1k_tokens": 0.015},
    }});
    Envoy::builder().backends(backends).admin_cluster().route(Route::Matcher { retries: 2 }).router(router)
}

/// One who behaves: whatever the others do, each of its requests is answered.
async fn behave(envoy: &Envoy, client: &Client, n: usize) {
    let body: Value = if n.is_multiple_of(2) { chat("hello") } else { streamed_chat("hello") };
    let reply = timeout(PATIENCE, client.post_json(&envoy.url(PATH), &body)).await.expect("no hang").unwrap();
    assert_eq!(reply.status, 200, "request {n}: {}", reply.text());
    assert!(reply.text().contains("chat.completion"), "request {n}: {}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_behaves_is_answered_beside_two_thousand_requests_that_do_not() {
    let backends = fleet().await;
    let envoy = shipped(&backends).concurrency(2).start().await;
    let crowd = Arc::new(Crowd::new(SEED, CROWD));
    let attack = tokio::spawn(Arc::clone(&crowd).attack(envoy.port(), 8));
    // New connections, too: each goes to either worker.
    let mut served = 0;
    while !crowd.is_done() {
        let client = Client::new();
        for _ in 0..10 {
            behave(&envoy, &client, served).await;
            served += 1;
        }
    }
    let kinds = attack.await.unwrap();
    assert_eq!(kinds.values().sum::<usize>(), CROWD, "{kinds:?}");
    assert!(kinds.len() >= 20, "{kinds:?}");
    assert!(served >= 100, "{served} requests beside them");
    let client = Client::new();
    for n in 0..20 {
        behave(&envoy, &client, n).await;
    }
    let stats = envoy.wait_for(PATIENCE, |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), []);
    for backend in &backends {
        for seen in backend.journal() {
            let forged = seen.values("x-llm-cluster").iter().any(|value| value.contains("admin"));
            assert!(!forged, "{}: {:?}", backend.name(), seen.headers);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_gets_packed_bodies_of_nothing_serves_others_meanwhile() {
    let backends = trio().await;
    let envoy = Envoy::builder()
        .backends(&backends)
        .route(Route::Matcher { retries: 2 })
        .router(
            json!({"backend_instances": {"alpha": {"priority": 1}, "beta": {"priority": 2}, "gamma": {"priority": 3}}}),
        )
        .start()
        .await;
    let fixed = {
        // Empty blocks with the fixed tables: ten bits each, four of them in five bytes.
        let four = [0b0000_0010, 0b0000_1000, 0b0010_0000, 0b1000_0000, 0];
        let mut blocks = four.repeat((LIMIT - 100) / 5);
        blocks.extend([1, 0, 0, 0xFF, 0xFF]);
        gzip_of(&blocks, b"")
    };
    let stored =
        [0, 0, 0, 0xFF, 0xFF].repeat((LIMIT - 100) / 5).into_iter().chain([1, 0, 0, 0xFF, 0xFF]).collect::<Vec<u8>>();
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("empty members", gzip_of(&[3, 0], b"").repeat(209_710)),
        ("a mebibyte of them", gzip_of(&[3, 0], b"").repeat(52_428)),
        ("members of a byte", gzip_of(&[1, 1, 0, 0xFE, 0xFF, b'x'], b"x").repeat(LIMIT / 24)),
        ("stored blocks of nothing", gzip_of(&stored, b"")),
        ("fixed blocks of nothing", fixed),
        ("tables for nothing", gzip_of(&tables_for_nothing(LIMIT - 100), b"")),
    ];
    let url = envoy.url(PATH);
    let attacks: Vec<_> = hostile
        .into_iter()
        .map(|(name, body)| {
            let url = url.clone();
            tokio::spawn(async move {
                let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
                let request = Client::request(&hyper::Method::POST, &url, &headers, body);
                (name, timeout(PATIENCE, Client::new().send(request)).await)
            })
        })
        .collect();
    // There is one worker: what any of these keeps it busy with, this client waits for, too.
    let client = Client::new();
    let mut served = 0;
    while served < 50 || !attacks.iter().all(tokio::task::JoinHandle::is_finished) {
        behave(&envoy, &client, served).await;
        served += 1;
    }
    for attack in attacks {
        let (name, reply) = attack.await.unwrap();
        let reply = reply.unwrap_or_else(|_| panic!("{name}: no answer")).unwrap();
        assert_eq!(reply.status, 400, "{name}: {}", reply.text());
        assert_eq!(reply.json()["error"]["code"], "invalid_request", "{name}");
        assert!(reply.text().contains("the compressed body has"), "{name}: {}", reply.text());
    }
    let stats = envoy.wait_for(PATIENCE, |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), []);
    assert_eq!(counted(&stats, "refusals_total", &[("code", "invalid_request")]), 6);
}
