//! Envoys whose own configuration keeps the router from doing its work: each is told of, with the cure, and nobody is
//! blamed for what another did.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour},
    client::{Client, Reply},
    control::get,
    envoy::{Builder, Envoy, Loading, Route, Swap},
    load::load,
    router::{chat, counted, in_flight, news_travels, trio, troubles, until},
};

/// A change of the generated bootstrap.
type Patch = fn(&mut Value);

const PATH: &str = "/v1/chat/completions";

/// Alpha first, then beta, then gamma, whatever they cost.
fn in_order() -> Value {
    let instance = |priority: u32| {
        json!({"priority": priority, "cost_per_1k_tokens": 1, "daily_budget_usd": 1000,
            "circuit_breaker": {"failure_threshold": 1000, "failure_rate_threshold": 1}})
    };
    json!({"backend_instances": {"alpha": instance(1), "beta": instance(2), "gamma": instance(3)}})
}

fn rig(backends: &[Backend], route: Route, router: Value) -> Builder {
    Envoy::builder().concurrency(4).backends(backends).route(route).router(router).control()
}

/// The route of the listener.
fn route(config: &mut Value) -> &mut Value {
    &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        [0]["routes"][0]["route"]
}

/// The router's filter.
fn filter(config: &mut Value) -> &mut Value {
    &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]
        ["typed_config"]["config"]
}

fn retries(num_retries: u32) -> Value {
    json!({"retry_on": "5xx,reset", "num_retries": num_retries,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"}})
}

async fn ask(envoy: &Envoy) -> Reply {
    Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap()
}

/// Many connections, so that every worker has some.
async fn ask_many(envoy: &Envoy, each: usize) {
    for _ in 0..24 {
        load(&Client::new(), each, 1, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
    }
}

/// Waits for the warning, and compares what the control API, the metrics and the log say of it.
async fn warned(envoy: &Envoy, kind: &str, message: &str, at_least: u64) -> Value {
    until(&format!("{kind} is told of"), || async {
        let health = get(envoy, "/health").await;
        let count = health["configuration_warnings"][0]["count"].as_u64().unwrap_or(0);
        let gauge = counted(&envoy.stats().await, "configuration_warnings", &[("kind", kind)]);
        count >= at_least && gauge == count
    })
    .await;
    let health = get(envoy, "/health").await;
    let all = health["configuration_warnings"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    let warning = &all[0];
    assert_eq!((&warning["kind"], &warning["message"]), (&json!(kind), &json!(message)));
    assert!(warning["cure"].as_str().is_some_and(|cure| cure.len() > 20));
    assert!(warning["first_seen"].as_str() <= warning["last_seen"].as_str() && warning["first_seen"].is_string());
    let log = envoy.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("configuration_warning")).collect();
    assert_eq!(lines.len(), 1, "once, however many workers saw it: {lines:?}");
    assert!(lines[0].contains(kind) && lines[0].contains("cure"), "{}", lines[0]);
    warning.clone()
}

async fn settled(envoy: &Envoy) {
    news_travels().await;
    let stats = envoy.wait_for(Duration::from_secs(15), |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), []);
}

async fn not_warned(envoy: &Envoy) {
    news_travels().await;
    assert_eq!(get(envoy, "/health").await["configuration_warnings"], json!([]));
    assert_eq!(counted(&envoy.stats().await, "configuration_warnings", &[]), 0);
}

async fn of(envoy: &Envoy, metric: &str, backend: &str) -> u64 {
    counted(&envoy.stats().await, metric, &[("backend_id", backend)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_fixed_cluster_are_those_of_its_backend() {
    let backends = trio().await;
    let envoy = rig(&backends, Route::Fixed, in_order())
        .patch(|config| route(config)["cluster"] = "gamma".into())
        .start()
        .await;
    let reply = ask(&envoy).await;
    assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("gamma")));
    backends[2].next(1, Behaviour::status(500));
    ask(&envoy).await;
    ask_many(&envoy, 20).await;
    let all = 2 + 24 * 20;
    warned(&envoy, "route_ignores_decision", "cluster alpha was decided, and cluster gamma answered", all).await;
    settled(&envoy).await;
    assert_eq!(of(&envoy, "requests_total", "gamma").await, all);
    assert_eq!(of(&envoy, "circuit_breaker_failures_total", "gamma").await, 1);
    assert!(of(&envoy, "request_cost_micro_usd_total", "gamma").await > 0);
    for other in ["alpha", "beta"] {
        for metric in ["requests_total", "circuit_breaker_failures_total", "request_cost_micro_usd_total"] {
            assert_eq!(of(&envoy, metric, other).await, 0, "{metric} of {other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_cluster_that_is_no_backends_are_nobodys() {
    let backends = trio().await;
    let stranger = Backend::start("stranger", Flavour::OpenAi).await;
    let envoy = rig(&backends, Route::Fixed, in_order())
        .backends([&stranger])
        .patch(|config| {
            route(config)["cluster"] = "stranger".into();
            route(config)["retry_policy"] = retries(2);
        })
        .start()
        .await;
    let reply = ask(&envoy).await;
    assert_eq!((reply.status, reply.header("x-sim-backend").as_deref()), (200, Some("stranger")));
    assert_eq!(reply.header("x-llm-backend"), None);
    // The first one is told of: those with retries name the backend that was decided for the last attempt.
    let message = "cluster alpha was decided, and cluster stranger answered";
    warned(&envoy, "route_ignores_decision", message, 1).await;
    stranger.next(5, Behaviour::status(503));
    assert_eq!(ask(&envoy).await.status, 503);
    assert_eq!(ask(&envoy).await.status, 200, "after two retries");
    warned(&envoy, "route_ignores_decision", message, 3).await;
    settled(&envoy).await;
    for metric in
        ["requests_total", "circuit_breaker_failures_total", "request_cost_micro_usd_total", "failovers_total"]
    {
        assert_eq!(counted(&envoy.stats().await, metric, &[]), 0, "{metric}");
    }
    let budget = get(&envoy, "/budget").await;
    assert_eq!(budget["overall"]["day"]["spent_usd"].as_f64(), Some(0.0), "{budget}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_without_a_backends_cluster_that_falls_back_on_another_is_told_of() {
    let backends = trio().await;
    let envoy = rig(&backends, Route::Matcher { retries: 2 }, in_order())
        .patch(|config| {
            let matcher =
                &mut route(config)["inline_cluster_specifier_plugin"]["extension"]["typed_config"]["cluster_matcher"];
            let action = matcher["matcher_tree"]["exact_match_map"]["map"]["0"]["matcher"]["matcher_tree"]
                ["exact_match_map"]["map"]["beta"]
                .clone();
            matcher["on_no_match"] = action;
            for slot in ["0", "1", "2", "3"] {
                let slot = &mut matcher["matcher_tree"]["exact_match_map"]["map"][slot];
                let map = slot["matcher"]["matcher_tree"]["exact_match_map"]["map"].as_object_mut().unwrap();
                map.remove("alpha");
            }
        })
        .start()
        .await;
    let reply = ask(&envoy).await;
    assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("beta")));
    warned(&envoy, "route_ignores_decision", "cluster alpha was decided, and cluster beta answered", 1).await;
    settled(&envoy).await;
    assert_eq!((of(&envoy, "requests_total", "alpha").await, of(&envoy, "requests_total", "beta").await), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_that_cannot_leave_their_cluster_are_told_of_and_charged_there() {
    let unrefreshed = |config: &mut Value| route(config)["retry_policy"]["refresh_cluster_on_retry"] = false.into();
    let by_header = |config: &mut Value| route(config)["retry_policy"] = retries(2);
    let more_than_slots = |config: &mut Value| route(config)["retry_policy"] = retries(5);
    let shapes: [(Route, Patch, u64); 3] = [
        (Route::ClusterHeader, by_header, 3),
        (Route::ClusterHeader, more_than_slots, 6),
        (Route::Matcher { retries: 2 }, unrefreshed, 3),
    ];
    for (shape, patch, attempts) in shapes {
        let backends = trio().await;
        let envoy = rig(&backends, shape, in_order()).patch(patch).start().await;
        backends[0].next(attempts as usize, Behaviour::status(503));
        let reply = ask(&envoy).await;
        assert_eq!((reply.status, reply.header("x-llm-attempts")), (503, Some(attempts.to_string())));
        warned(&envoy, "retries_in_one_cluster", "a retry was to go to cluster gamma, and went to alpha", 1).await;
        settled(&envoy).await;
        assert_eq!(of(&envoy, "circuit_breaker_failures_total", "alpha").await, attempts);
        assert_eq!(of(&envoy, "circuit_breaker_failures_total", "beta").await, 0);
        assert_eq!(of(&envoy, "circuit_breaker_failures_total", "gamma").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_for_one_attempt_may_retry_within_the_cluster() {
    let backends = trio().await;
    let mut router = in_order();
    router["retry"] = json!({"max_attempts": 1});
    let envoy = rig(&backends, Route::ClusterHeader, router)
        .patch(|config| route(config)["retry_policy"] = retries(2))
        .start()
        .await;
    backends[0].next(2, Behaviour::status(503));
    assert_eq!(ask(&envoy).await.status, 200);
    not_warned(&envoy).await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_envoy_does_not_have_is_told_of_and_left_alone_at_once() {
    let listed = |config: &mut Value| {
        let matcher =
            &mut route(config)["inline_cluster_specifier_plugin"]["extension"]["typed_config"]["cluster_matcher"];
        let map = &mut matcher["matcher_tree"]["exact_match_map"]["map"]["0"]["matcher"]["matcher_tree"]["exact_match_map"]
            ["map"];
        let mut action = map["alpha"].clone();
        action["action"]["typed_config"]["cluster"] = "ghost".into();
        map["ghost"] = action;
    };
    let shapes: [(Route, Patch); 3] = [
        (Route::ClusterHeader, |_| {}),
        (Route::Matcher { retries: 2 }, listed),
        (Route::Matcher { retries: 2 }, |_| {}),
    ];
    for (shape, patch) in shapes {
        let backends = trio().await;
        let mut router = in_order();
        router["backend_instances"]["alpha"]["cluster"] = "ghost".into();
        let envoy = rig(&backends, shape, router).patch(patch).start().await;
        assert_eq!(ask(&envoy).await.status, 503, "Envoy never retries it");
        news_travels().await;
        // On whichever worker: another backend, from now on.
        for _ in 0..24 {
            let reply = ask(&envoy).await;
            assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("beta")));
        }
        warned(&envoy, "unknown_cluster", "Envoy has no cluster ghost, or its route knows none", 1).await;
        settled(&envoy).await;
        assert_eq!(of(&envoy, "circuit_breaker_failures_total", "alpha").await, 1);
        for other in ["beta", "gamma"] {
            assert_eq!(of(&envoy, "circuit_breaker_failures_total", other).await, 0);
        }
    }
}

/// A request that is never answered, as long as this is there.
async fn hang(envoy: &Envoy, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", envoy.port())).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_is_not_shown_bodies_is_told_of_while_the_request_hangs() {
    let body = chat("hello").to_string();
    let with_length = format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len());
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let half = format!("{HEAD}content-length: 100000\r\n\r\n{body}");
    for request in [with_length, chunked, half] {
        let backends = trio().await;
        let envoy = rig(&backends, Route::ClusterHeader, in_order())
            .patch(|config| _ = filter(config).as_object_mut().unwrap().remove("allow_on_headers_stop_iteration"))
            .start()
            .await;
        let mut hanging = hang(&envoy, &request).await;
        let message = "Envoy keeps the bodies of requests from the router, so that they hang";
        warned(&envoy, "body_not_seen", message, 1).await;
        let mut answer = [0; 1];
        assert!(timeout(Duration::from_millis(50), hanging.read(&mut answer)).await.is_err(), "it does hang");
        drop(hanging);
        news_travels().await;
        // Those that come later are noted when they are over.
        drop(hang(&envoy, &request).await);
        warned(&envoy, "body_not_seen", message, 2).await;
        settled(&envoy).await;
        assert_eq!(counted(&envoy.stats().await, "circuit_breaker_failures_total", &[]), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_send_its_body_is_not_the_filters_fault() {
    let backends = trio().await;
    let envoy = rig(&backends, Route::ClusterHeader, in_order()).start().await;
    let nothing = hang(&envoy, &format!("{HEAD}content-length: 100000\r\n\r\n")).await;
    let half = hang(&envoy, &format!("{HEAD}content-length: 100000\r\n\r\n{{\"messages\": [")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop((nothing, half));
    assert_eq!(ask(&envoy).await.status, 200);
    not_warned(&envoy).await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_stands_for_others_is_who_was_decided() {
    let backends = trio().await;
    let mut router = in_order();
    router["backend_instances"]["alpha"]["cluster"] = "all".into();
    let envoy = rig(&backends, Route::ClusterHeader, router)
        .patch(|config| {
            let clusters = config["static_resources"]["clusters"].as_array_mut().unwrap();
            let kind = "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig";
            clusters
                .push(json!({"name": "all", "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type":
                {"name": "envoy.clusters.aggregate", "typed_config": {"@type": kind, "clusters": ["gamma", "beta"]}}}));
        })
        .start()
        .await;
    for _ in 0..5 {
        let reply = ask(&envoy).await;
        assert_eq!(
            (reply.header("x-llm-backend").as_deref(), reply.header("x-sim-backend").as_deref()),
            (Some("alpha"), Some("gamma"))
        );
    }
    not_warned(&envoy).await;
    settled(&envoy).await;
    assert_eq!(of(&envoy, "requests_total", "alpha").await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_ends_the_warnings_of_the_old_one() {
    let backends = trio().await;
    let mut envoy = rig(&backends, Route::Fixed, in_order()).loading(Loading::Ecds).start().await;
    let mut router = in_order();
    router["backend_instances"]["alpha"]["priority"] = 9.into();
    assert_eq!(envoy.swap(&router).await, Swap::Accepted);
    ask(&envoy).await;
    warned(&envoy, "route_ignores_decision", "cluster beta was decided, and cluster alpha answered", 1).await;
    assert_eq!(envoy.swap(&in_order()).await, Swap::Accepted);
    until("the warning is over", || async {
        get(&envoy, "/health").await["configuration_warnings"] == json!([])
            && counted(&envoy.stats().await, "configuration_warnings", &[]) == 0
    })
    .await;
    assert_eq!(ask(&envoy).await.header("x-llm-backend").as_deref(), Some("alpha"));
    not_warned(&envoy).await;
}
