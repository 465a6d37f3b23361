//! What the router learns from answers: how a provider counts, and how much a backend says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use serde_json::json;
use wasm_tests::{
    backend::{Behaviour, PromptTokens},
    client::Client,
    envoy::{Envoy, Loading, Route, Swap},
    load::load,
    router::{chat, news_travels, settled, trio},
};

const PATH: &str = "/v1/chat/completions";

/// Prose of some length, another one for each number.
fn prose(number: usize) -> String {
    let sentences = [
        "The gateway reads each request once and decides where it goes. ",
        "A patient's biomarkers changed between the first visit and the last one. ",
        "Prices differ by a factor of forty, and so do the answers. ",
        "Whoever waits for an answer would rather wait for a good one. ",
        "In the evening the load falls, and the cheaper cluster takes it all. ",
    ];
    (0..10 + number % 30).map(|n| sentences[(n * (number + 1)) % sentences.len()]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_bias_of_a_provider_is_learned_within_fifty_answers() {
    let backends = trio().await;
    let client = Client::new();
    for (bias, backend) in [(1.0, "alpha"), (1.35, "beta"), (0.7, "gamma")] {
        let simulated = backends.iter().find(|b| b.name() == backend).unwrap();
        simulated.set(Behaviour {
            prompt_tokens: PromptTokens::O200k,
            prompt_token_bias: bias,
            output_tokens: 3,
            ..Behaviour::default()
        });
        let builder = Envoy::builder().concurrency(4).backends([simulated]).route(Route::ClusterHeader);
        let config = json!({"backend_instances": {backend: {}}, "retry": {"max_attempts": 1}});
        let envoy = builder.router(config).start().await;
        // Each by itself and all the same, as far as the texts allow: the bias is steady, the texts are not.
        let (mut estimated, mut reported, mut first_error) = (0.0, 0.0, 0.0_f64);
        for number in 0..70 {
            let reply = client.post_json(&envoy.url(PATH), &chat(&prose(number))).await.unwrap();
            let estimate: f64 = reply.header("x-llm-estimated-tokens").unwrap().parse().unwrap();
            let count = reply.json()["usage"]["prompt_tokens"].as_f64().unwrap();
            if number == 0 {
                first_error = (estimate / count - 1.0).abs();
            }
            if number >= 50 {
                estimated += estimate;
                reported += count;
            }
        }
        let error: f64 = (estimated / reported - 1.0).abs();
        assert!(error < 0.02, "bias {bias}: {error} after fifty answers, {first_error} at first");
        let is_biased = (bias - 1.0_f64).abs() > 0.1;
        assert!(!is_biased || first_error > 0.1, "bias {bias}: {first_error} at first, so there was nothing to learn");
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_much_a_backend_says_changes_what_it_costs() {
    let backends = trio().await;
    // Beta's tokens cost half as much as alpha's, but it says twenty times as much.
    backends[0].set(Behaviour::default().with_output_tokens(20));
    backends[1].set(Behaviour::default().with_output_tokens(400));
    let config = json!({
        "strategy": "cost_optimized",
        "client_hints": ["strategy"],
        "exploration": 0,
        "retry": {"max_attempts": 1},
        "backend_instances": {"alpha": {"cost_per_1k_tokens": 2.0}, "beta": {"cost_per_1k_tokens": 1.0}},
    });
    let builder = Envoy::builder().concurrency(4).backends(&backends).route(Route::ClusterHeader);
    let envoy = builder.router(config).start().await;
    let (client, url) = (Client::new(), envoy.url(PATH));
    let cheapest = async || {
        let reply = client.post_json(&url, &chat("hello")).await.unwrap();
        reply.header("x-llm-backend").unwrap()
    };
    assert_eq!(cheapest().await, "beta", "as long as both are taken to say as much");
    let everyone = [("x-llm-strategy", "round_robin")];
    for _ in 0..60 {
        assert_eq!(client.post_json_with(&url, &everyone, &chat("hello")).await.unwrap().status, 200);
    }
    news_travels().await;
    assert_eq!(cheapest().await, "alpha", "now it is known what they say");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_added_at_half_the_price_gets_the_requests() {
    let backends = trio().await;
    for backend in &backends {
        backend.set(Behaviour::default().with_output_tokens(12));
    }
    let config = |instances: serde_json::Value| {
        json!({
            "strategy": "cost_optimized", "retry": {"max_attempts": 1}, "exploration": 0,
            "backend_instances": instances,
        })
    };
    let priced = |price: f64| json!({"cost_per_1k_tokens": price});
    let builder =
        Envoy::builder().concurrency(4).backends(&backends).route(Route::ClusterHeader).loading(Loading::Ecds);
    let mut envoy = builder.router(config(json!({"alpha": priced(0.02)}))).start().await;
    let (client, url) = (Client::new(), envoy.url(PATH));
    let answered = async || {
        let load = load(&client, 100, 4, |_| Client::json_request(&url, &chat("hello"))).await;
        news_travels().await;
        load.by_header("x-llm-backend")
    };
    assert_eq!(answered().await, [("alpha".to_owned(), 100)].into());
    for (instances, cheapest) in [
        (json!({"alpha": priced(0.02), "beta": priced(0.01)}), "beta"),
        (json!({"alpha": priced(0.02), "beta": priced(0.01), "gamma": priced(0.04)}), "beta"),
        (json!({"alpha": priced(0.02), "beta": priced(0.01), "gamma": priced(0.004)}), "gamma"),
        (json!({"alpha": priced(0.002), "beta": priced(0.01), "gamma": priced(0.004)}), "alpha"),
    ] {
        assert_eq!(envoy.swap(&config(instances)).await, Swap::Accepted);
        assert_eq!(answered().await, [(cheapest.to_owned(), 100)].into());
    }
    settled(&envoy).await;
}
