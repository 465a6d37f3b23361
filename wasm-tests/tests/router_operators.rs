//! What operators read and change, in a real Envoy with four workers: backends that are patched and given back, weights by
//! type, versions, refused configurations, and dates after a step of the wall clock.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "a test")]

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::Backend,
    client::Client,
    control::{all_workers_say, call, done, get},
    envoy::{Builder, Envoy, Loading, Route, Swap},
    router::{chat, trio, troubles, until},
    wall_clock::WallClock,
};

const PATH: &str = "/v1/chat/completions";

const REFUSED: &str = "wasmcustom.loadbalancer_configuration_refused";

fn router() -> Value {
    json!({"strategy": "weighted_round_robin", "backend_instances": {
        "alpha": {"weight": 5, "input_cost_per_1k_tokens": 0.5, "output_cost_per_1k_tokens": 1.5, "group": "fast"},
        "beta": {"backend_type": "lightrag", "apis": ["openai", "lightrag"]},
        "gamma": {"backend_type": "lightrag", "apis": ["openai", "lightrag"]},
    }})
}

fn builder(backends: &[Backend]) -> Builder {
    let builder = Envoy::builder().concurrency(4).backends(backends).route(Route::Matcher { retries: 2 });
    builder.router(router()).control().loading(Loading::Ecds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_is_patched_for_every_worker_and_given_back_to_the_configuration() {
    let backends = trio().await;
    let envoy = builder(&backends).start().await;
    let configured = get(&envoy, "/backends/alpha").await;
    let change = done(&envoy, Method::PATCH, "/backends/alpha", r#"{"weight":2}"#).await["backend_change"].clone();
    assert_eq!((&change["changed_keys"], &change["applies_within_ms"]), (&json!(["weight"]), &json!(100)));
    let mut patched = configured.clone();
    patched["weight"] = json!(2.0);
    all_workers_say(&envoy, "/backends/alpha", "", &patched).await;
    // What is shown changes nothing when it is written back.
    let change = done(&envoy, Method::PUT, "/backends/alpha", &patched.to_string()).await["backend_change"].clone();
    assert_eq!(change["changed_keys"], json!([]));
    all_workers_say(&envoy, "/backends/alpha", "", &patched).await;
    let change = done(&envoy, Method::DELETE, "/backends/alpha", "").await["backend_change"].clone();
    assert_eq!(change["action"], "restored");
    all_workers_say(&envoy, "/backends/alpha", "", &configured).await;
    assert_eq!(call(&envoy, Method::DELETE, "/backends/alpha?scope=override", &[], "").await.status, 404);

    let told = done(&envoy, Method::PUT, "/weights", r#"{"lightrag":0.7,"fast":0.3}"#).await;
    assert_eq!(told["weights_change"]["weights"][0], json!({"id": "alpha", "previous_weight": 5, "weight": 0.3}));
    for (place, weight) in [(0, 0.3), (1, 0.35), (2, 0.35)] {
        all_workers_say(&envoy, "/backends", &format!("/backends/{place}/weight"), &json!(weight)).await;
    }
    all_workers_say(&envoy, "/health", "/health_status/fast/alpha/status", &json!("healthy")).await;
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_has_the_headers_of_get_and_no_body() {
    let backends = trio().await;
    let envoy = builder(&backends).start().await;
    for endpoint in ["/strategy", "/backends/alpha", "/backends/nobody", "/version", "/healthz", "/budget"] {
        let get = call(&envoy, Method::GET, endpoint, &[], "").await;
        let head = call(&envoy, Method::HEAD, endpoint, &[], "").await;
        assert_eq!((head.status, head.text()), (get.status, String::new()), "{endpoint}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{endpoint} {name}");
        }
        assert!(!get.text().is_empty(), "{endpoint}");
    }
    let refused = call(&envoy, Method::HEAD, "/weights", &[], "").await;
    assert_eq!((refused.status, refused.header("allow").as_deref()), (405, Some("PUT")));
}

/// What `build_info` says of a configuration.
async fn build_info(envoy: &Envoy, version: &Value) -> Option<f64> {
    let label = |key: &str| version[key].as_str().unwrap().to_owned();
    let (number, commit, hash) = (label("version"), label("commit"), label("given_configuration_hash"));
    let labels = [("version", &*number), ("commit", &*commit), ("configuration", &*hash)];
    envoy.prometheus().await.metric("loadbalancer_build_info", &labels)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_configuration_is_told_of_and_the_version_says_what_is_at_work() {
    let backends = trio().await;
    let mut envoy = builder(&backends).start().await;
    let first = get(&envoy, "/version").await;
    assert!(first["version"].as_str().unwrap().contains('.'), "{first}");
    assert_eq!(
        (&first["refused_configuration"], &first["configuration_hash"]),
        (&Value::Null, &first["given_configuration_hash"])
    );
    until("the version is a metric", || async { build_info(&envoy, &first).await == Some(1.0) }).await;
    assert_eq!(envoy.stats().await.get(REFUSED), 0);

    let mut wrong = router();
    wrong["strategy"] = json!("fastest");
    wrong["backend_instances"]["alpha"]["weight"] = json!(-1);
    assert_eq!(envoy.swap(&wrong).await, Swap::Refused);
    envoy.wait_for(Duration::from_secs(10), |stats| stats.get(REFUSED) == 1).await;
    for endpoint in ["/health", "/version"] {
        let told = get(&envoy, endpoint).await["refused_configuration"].clone();
        let errors = told["errors"].to_string();
        assert!(
            errors.contains("backend_instances.alpha.weight: -1") && errors.contains("fastest"),
            "{endpoint}: {told}"
        );
        assert!(told["refused_at"].is_string(), "{told}");
    }
    let reply = Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
    assert_eq!(reply.status, 200, "the one before it is at work");
    assert_eq!(get(&envoy, "/version").await["configuration_hash"], first["configuration_hash"]);

    let mut right = router();
    right["strategy"] = json!("round_robin");
    assert_eq!(envoy.swap(&right).await, Swap::Accepted);
    all_workers_say(&envoy, "/health", "/refused_configuration", &Value::Null).await;
    envoy.wait_for(Duration::from_secs(10), |stats| stats.get(REFUSED) == 0).await;
    let second = get(&envoy, "/version").await;
    assert_ne!(second["configuration_hash"], first["configuration_hash"]);
    assert!(second["refused_configuration"]["errors"].is_array(), "the last that was refused");
    until("the new one is at work", || async { build_info(&envoy, &second).await == Some(1.0) }).await;
    until("the old one is not", || async { build_info(&envoy, &first).await == Some(0.0) }).await;
    assert_eq!(troubles(&envoy.stats().await), []);
}

/// The days since the epoch of a date that is told.
fn day(date: &Value) -> String {
    date.as_str().unwrap_or_default().get(..10).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_step_of_the_wall_clock_dates_are_those_of_the_clock() {
    let clock = WallClock::new();
    let backends = trio().await;
    let envoy = clock.given_to(builder(&backends)).start().await;
    done(&envoy, Method::POST, "/backends/alpha/drain", "").await;
    done(&envoy, Method::POST, "/circuit-breaker/beta/open", "").await;
    Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
    until("a decision is told of", || async { get(&envoy, "/decisions").await["decisions"][0].is_object() }).await;
    let told = || async {
        let (backends, decisions) = (get(&envoy, "/backends").await, get(&envoy, "/decisions").await);
        let alerts = get(&envoy, "/alerts").await;
        [
            &backends["backends"][0]["draining"]["since"],
            &backends["backends"][1]["circuit_breaker"]["retry_at"],
            &decisions["decisions"][0]["time"],
            &alerts["active"][0]["raised_at"],
        ]
        .map(day)
    };
    until("there is an alert", || async { get(&envoy, "/alerts").await["active"][0].is_object() }).await;
    let mut today = told().await[0].clone();
    for days in [400, -400] {
        clock.set_ahead(days * 86_400);
        today = until_another_day(&envoy, &today).await;
        until("all is dated by the new clock", || async { told().await.iter().all(|day| near(day, &today)) }).await;
    }
}

/// Waits until the control API answers with another day than this; returns it.
async fn until_another_day(envoy: &Envoy, before: &str) -> String {
    let strategy = r#"{"strategy":"round_robin"}"#;
    let now =
        || async { day(&done(envoy, Method::PUT, "/strategy", strategy).await["strategy_change"]["change_timestamp"]) };
    until("the clock has stepped", || async { now().await != before }).await;
    now().await
}

/// Whether both are of one year and month: a test may run over midnight.
fn near(day: &str, other: &str) -> bool {
    day.get(..7) == other.get(..7)
}
