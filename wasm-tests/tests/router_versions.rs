//! The module in every supported Envoy, on the plain route that all of them have, and in both forms of configuration.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::time::Duration;

use serde_json::{Value, json};
use wasm_tests::{
    backend::{Behaviour, Fault},
    client::Client,
    envoy::{Envoy, Form, Route},
    load::load,
    router::{chat, counted, in_flight, settled, streamed_chat, trio, until},
};

const PATH: &str = "/v1/chat/completions";

/// The oldest that runs the module, the last of each line since, and the newest.
const VERSIONS: [&str; 4] = ["1.36.4", "1.38.2", "1.39.3", "1.40.0"];

/// Fractions in every place that has one: Envoy hands those of a Struct over in its own way.
fn configuration(strategy: &str) -> Value {
    let breaker = json!({"failure_threshold": 2, "recovery_timeout_seconds": 0.25, "half_open_max_requests": 1,
        "ramp_seconds": 0});
    json!({
        "role": "router",
        "strategy": strategy,
        "retry": {"max_attempts": 1},
        "seed": 7,
        "exploration": 0,
        "backend_instances": {
            "alpha": {"weight": 1.5, "cost_per_1k_tokens": 0.000_25, "quality_score": 0.92, "circuit_breaker": breaker},
            "beta": {"weight": 0.5, "cost_per_1k_tokens": 0.002_5, "quality_score": 0.91, "reliability_score": 0.5},
            "gamma": {"input_cost_per_1k_tokens": 0.5, "output_cost_per_1k_tokens": 1.25, "quality_score": 0.333},
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_supported_envoy_runs_the_module_on_a_plain_route() {
    for version in VERSIONS {
        let backends = trio().await;
        let alpha = &backends[0];
        let builder = Envoy::builder().version(version).concurrency(4).backends(&backends);
        let mut envoy = builder.route(Route::ClusterHeader).router(configuration("cost_optimized")).start().await;
        let (client, url) = (Client::new(), envoy.url(PATH));

        let cheapest = load(&client, 200, 8, |_| Client::json_request(&url, &chat("hello"))).await;
        assert_eq!(cheapest.failures(), 0, "{version}: {:?}", cheapest.first_failure());
        assert_eq!(cheapest.by_header("x-sim-backend"), [("alpha".to_owned(), 200)].into(), "{version}");
        assert_eq!(cheapest.by_header("x-llm-attempts"), [("1".to_owned(), 200)].into());
        let seen = alpha.prompts().pop().unwrap();
        assert_eq!((seen.values("x-llm-cluster"), seen.header("x-llm-try-0")), (vec!["alpha".to_owned()], None));

        let reply = client.post_json(&url, &streamed_chat("hello")).await.unwrap();
        assert!(reply.text().ends_with("data: [DONE]\n\n"), "{version}: {}", reply.text());
        assert_eq!(reply.header("x-llm-backend").as_deref(), Some("alpha"));

        alpha.next(1, Behaviour::fault(Fault::StallAfter(1)));
        let mut stream = client.open(Client::json_request(&url, &streamed_chat("hello"))).await.unwrap();
        stream.read_at_least(1).await.unwrap();
        stream.cut();
        let aborted =
            |stats: &wasm_tests::envoy::Stats| counted(stats, "requests_total", &[("status", "client_abort")]);
        envoy.wait_for(Duration::from_secs(10), |stats| aborted(stats) == 1 && in_flight(stats) == 0).await;

        // Without retries two answers are lost, and then its breaker is open.
        alpha.next(2, Behaviour::status(500));
        for _ in 0..2 {
            assert_eq!(client.post_json(&url, &chat("hello")).await.unwrap().status, 500);
        }
        let others = load(&client, 20, 4, |_| Client::json_request(&url, &chat("hello"))).await;
        assert_eq!(others.failures(), 0, "{version}: {:?}", others.first_failure());
        until("the breaker closes again", || async {
            let reply = client.post_json(&url, &chat("hello")).await.unwrap();
            reply.header("x-llm-backend").as_deref() == Some("alpha")
        })
        .await;

        let big = Client::json_request(&url, &chat(&"a".repeat(5_000_000)));
        assert_eq!(client.send(big).await.unwrap().json()["error"]["code"], "request_too_large", "{version}");

        let stats = settled(&envoy).await;
        assert!(stats.get("wasm.envoy.wasm.runtime.v8.active") > 0, "{version}: the module was at work");
        let labels = [("backend_id", "alpha"), ("status", "failure"), ("method", "post")];
        let prometheus = envoy.prometheus().await;
        assert_eq!(prometheus.metric("loadbalancer_requests_total", &labels), Some(2.0), "{version}");
        assert!(prometheus.metric("loadbalancer_tokens_total", &[("kind", "input")]).unwrap() > 0.0);
        assert_eq!(prometheus.metric("loadbalancer_refusals_total", &[("code", "request_too_large")]), Some(1.0));
        assert!(envoy.is_running());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_struct_and_its_json_mean_the_same_fractions_and_all() {
    for version in VERSIONS {
        let mut shares = Vec::new();
        for form in [Form::Struct, Form::Json] {
            let backends = trio().await;
            let builder = Envoy::builder().version(version).concurrency(2).backends(&backends).form(form);
            let envoy = builder.route(Route::ClusterHeader).router(configuration("weighted_round_robin")).start().await;
            let url = envoy.url(PATH);
            let load = load(&Client::new(), 300, 4, |_| Client::json_request(&url, &chat("hello"))).await;
            assert_eq!(load.failures(), 0, "{version} {form:?}: {:?}", load.first_failure());
            shares.push(load.by_header("x-llm-backend"));
        }
        let wanted = [("alpha", 150), ("beta", 50), ("gamma", 100)].map(|(id, n)| (id.to_owned(), n)).into();
        assert_eq!(shares, [&wanted, &wanted].map(Clone::clone), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_first_configuration_keeps_envoy_from_starting_and_says_everything_that_is_wrong() {
    for form in [Form::Struct, Form::Json] {
        let wrong =
            json!({"strategy": "fastest", "backend_instances": {"alpha": {"quality_score": 1.4, "api_key": "x"}}});
        let builder = Envoy::builder().cluster("alpha", &[1]).form(form).router(wrong);
        let error = builder.try_start().await.err().unwrap();
        for path in ["strategy:", "backend_instances.alpha.quality_score:", "backend_instances.alpha.api_key:"] {
            assert!(error.lines().any(|line| line.starts_with(path)), "{path} is not in {error}");
        }
    }
}
