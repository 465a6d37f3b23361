//! Backends that hang: the next one answers, and the one that hung is charged with it. What has begun is never cut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Fault},
    client::{Client, Error, Reply},
    control::{call, get},
    envoy::{Builder, Envoy, Route},
    router::{chat, counted, settled, streamed_chat, trio, until},
};

const PATH: &str = "/v1/chat/completions";

/// The versions whose retries can pick another cluster.
const VERSIONS: [&str; 2] = ["1.39.3", "1.40.0"];

/// Alpha first, then beta, then gamma, each with its timeout.
fn in_order(timeouts: [Option<f64>; 3]) -> Value {
    let [alpha, beta, gamma] = timeouts;
    let instance = |priority: u32, seconds: Option<f64>| {
        json!({"priority": priority, "timeout_seconds": seconds,
            "circuit_breaker": {"failure_threshold": 1000, "failure_rate_threshold": 1}})
    };
    json!({"backend_instances": {"alpha": instance(1, alpha), "beta": instance(2, beta), "gamma": instance(3, gamma)}})
}

fn rig(backends: &[Backend], router: Value) -> Builder {
    Envoy::builder().concurrency(2).backends(backends).route(Route::Matcher { retries: 2 }).router(router).control()
}

fn route(config: &mut Value) -> &mut Value {
    &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        [0]["routes"][0]["route"]
}

async fn ask(envoy: &Envoy, body: &Value, headers: &[(&str, &str)]) -> Reply {
    Client::new().post_json_with(&envoy.url(PATH), headers, body).await.unwrap()
}

/// Who answered, and at which attempt.
fn by(reply: &Reply) -> (u16, String, String) {
    (
        reply.status,
        reply.header("x-llm-backend").unwrap_or_default(),
        reply.header("x-llm-attempts").unwrap_or_default(),
    )
}

fn answer(status: u16, backend: &str, attempts: u32) -> (u16, String, String) {
    (status, backend.to_owned(), attempts.to_string())
}

/// What a backend's breaker counts: a timeout weighs two, any other failure one.
async fn weight(envoy: &Envoy, backend: &str) -> u64 {
    // A worker may be asked before its router is there.
    until("the router is there", || async { call(envoy, Method::GET, "/health", &[], "").await.status == 200 }).await;
    let health = get(envoy, "/health").await;
    health["health_status"]["openai"][backend]["breaker"]["failure_count"].as_u64().unwrap()
}

/// Waits until all three breakers have counted that much.
async fn weighs(envoy: &Envoy, expected: [u64; 3]) {
    until(&format!("the failures weigh {expected:?}"), || async {
        let all = [weight(envoy, "alpha").await, weight(envoy, "beta").await, weight(envoy, "gamma").await];
        all == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_is_answered_by_the_next_backend_and_charged_to_the_one_that_hung() {
    for version in VERSIONS {
        let backends = trio().await;
        let [alpha, beta, gamma] = &backends;
        let envoy = rig(&backends, in_order([Some(0.4); 3])).version(version).start().await;
        let hang = || Behaviour::fault(Fault::Hang);
        // In whatever way it does not begin to answer in time.
        for behaviour in [hang(), Behaviour::latency_ms(60_000)] {
            for body in [chat("hello"), streamed_chat("hello")] {
                alpha.next(1, behaviour.clone());
                assert_eq!(by(&ask(&envoy, &body, &[]).await), answer(200, "beta", 2), "{version}");
            }
        }
        weighs(&envoy, [8, 0, 0]).await;

        alpha.next(1, hang());
        beta.next(1, hang());
        assert_eq!(by(&ask(&envoy, &chat("hello"), &[]).await), answer(200, "gamma", 3));
        weighs(&envoy, [10, 2, 0]).await;

        for backend in &backends {
            backend.next(1, hang());
        }
        assert_eq!(by(&ask(&envoy, &chat("hello"), &[]).await), answer(504, "gamma", 3));
        weighs(&envoy, [12, 4, 2]).await;

        // What fails at once is a failure, and no timeout.
        alpha.next(1, Behaviour::status(503));
        assert_eq!(by(&ask(&envoy, &chat("hello"), &[]).await), answer(200, "beta", 2));
        weighs(&envoy, [13, 0, 2]).await;
        let stats = envoy.stats().await;
        let of = |backend| counted(&stats, "failovers_total", &[("backend_id", backend)]);
        assert_eq!((of("alpha"), of("beta"), of("gamma")), (7, 2, 0));
        assert!(gamma.counters().prompts >= 2);
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_has_begun_goes_on_for_as_long_as_it_takes() {
    for version in VERSIONS {
        let backends = trio().await;
        let envoy = rig(&backends, in_order([Some(0.4); 3])).version(version).start().await;
        let long = Behaviour { output_tokens: 30, inter_token_ms: 50, ..Behaviour::default() };
        let late = Behaviour { first_token_ms: 1_000, ..Behaviour::default() };
        for behaviour in [long, late] {
            backends[0].next(1, behaviour);
            let reply = ask(&envoy, &streamed_chat("hello"), &[]).await;
            assert_eq!(by(&reply), answer(200, "alpha", 1), "{version}");
            assert!(reply.elapsed > Duration::from_millis(800) && reply.text().contains("[DONE]"));
        }
        assert_eq!(weight(&envoy, "alpha").await, 0);
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_stands_still_is_cut_and_charged_to_its_backend() {
    // Before its timeout would have come, and after that.
    for stalled_after in [0, 1, 12] {
        let backends = trio().await;
        let envoy = rig(&backends, in_order([Some(0.4); 3]))
            .patch(|config| {
                let manager =
                    &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
                manager["stream_idle_timeout"] = "0.9s".into();
                manager["delayed_close_timeout"] = "0.02s".into();
            })
            .start()
            .await;
        backends[0].next(1, Behaviour { inter_token_ms: 60, ..Behaviour::fault(Fault::StallAfter(stalled_after)) });
        let result = Client::new().post_json(&envoy.url(PATH), &streamed_chat("hello")).await;
        assert!(matches!(result, Err(Error::Broken(..))), "{result:?}");
        until("it is counted", || async { weight(&envoy, "alpha").await == 1 }).await;
        // One that moves is not.
        backends[0].next(1, Behaviour { output_tokens: 20, inter_token_ms: 60, ..Behaviour::default() });
        assert_eq!(by(&ask(&envoy, &streamed_chat("hello"), &[]).await), answer(200, "alpha", 1));
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_backend_is_not_cut_short_by_an_impatient_one() {
    let backends = trio().await;
    let envoy = rig(&backends, in_order([Some(0.2), Some(2.0), None])).start().await;
    backends[0].next(1, Behaviour::status(503));
    backends[1].next(1, Behaviour::latency_ms(900));
    assert_eq!(by(&ask(&envoy, &chat("hello"), &[]).await), answer(200, "beta", 2));
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_timeout_of_its_own_a_backend_has_that_of_the_route() {
    let backends = trio().await;
    let envoy = rig(&backends, in_order([None; 3]))
        .patch(|config| route(config)["retry_policy"]["per_try_timeout"] = "0.4s".into())
        .start()
        .await;
    backends[0].next(1, Behaviour::fault(Fault::Hang));
    assert_eq!(by(&ask(&envoy, &chat("hello"), &[]).await), answer(200, "beta", 2));
    until("it is counted", || async { weight(&envoy, "alpha").await == 1 }).await;
    settled(&envoy).await;
}

/// Also where Envoy believes the client to be one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_change_how_long_envoy_waits_or_how_often_it_tries() {
    for version in ["1.39.3", "1.40.0"] {
        let backends = trio().await;
        let envoy = rig(&backends, in_order([Some(1.0); 3]))
            .version(version)
            .patch(|config| {
                let manager =
                    &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
                manager["use_remote_address"] = true.into();
                manager["internal_address_config"] =
                    json!({"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]});
            })
            .start()
            .await;
        let shapes: [&[(&str, &str)]; 4] = [
            &[("x-envoy-upstream-rq-timeout-ms", "50")],
            &[("x-envoy-upstream-rq-per-try-timeout-ms", "50")],
            &[("x-envoy-upstream-stream-duration-ms", "50"), ("x-envoy-expected-rq-timeout-ms", "50")],
            &[("x-envoy-hedge-on-per-try-timeout", "true"), ("x-envoy-upstream-rq-per-try-timeout-ms", "50")],
        ];
        for headers in shapes {
            backends[0].next(1, Behaviour::latency_ms(300));
            assert_eq!(
                by(&ask(&envoy, &chat("hello"), headers).await),
                answer(200, "alpha", 1),
                "{version} {headers:?}"
            );
        }
        // 404 is not retried, a 503 is, and no more often than the route says.
        backends[0].next(1, Behaviour::status(404));
        let more =
            [("x-envoy-retry-on", "retriable-4xx,retriable-status-codes"), ("x-envoy-retriable-status-codes", "404")];
        assert_eq!(by(&ask(&envoy, &chat("hello"), &more).await), answer(404, "alpha", 1));
        for backend in &backends {
            backend.next(1, Behaviour::status(503));
        }
        let fewer = [("x-envoy-max-retries", "0")];
        assert_eq!(by(&ask(&envoy, &chat("hello"), &fewer).await), answer(503, "gamma", 3));
        let before = envoy.stats().await.matching(&["cluster.alpha."]).count();
        ask(&envoy, &chat("hello"), &[("x-envoy-upstream-alt-stat-name", "mine")]).await;
        assert_eq!(envoy.stats().await.matching(&["cluster.alpha.mine"]).count(), 0, "of {before}");
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_gives_up_before_its_backends_may_is_told_of() {
    let backends = trio().await;
    let envoy = rig(&backends, in_order([Some(2.0); 3])).route_timeout("0.5s").start().await;
    backends[0].next(1, Behaviour::fault(Fault::Hang));
    assert_eq!(ask(&envoy, &chat("hello"), &[]).await.status, 504);
    until("it is told of", || async {
        let health = get(&envoy, "/health").await;
        let warning = &health["configuration_warnings"][0];
        warning["kind"] == "timeout_ineffective"
            && counted(&envoy.stats().await, "configuration_warnings", &[("kind", "timeout_ineffective")]) == 1
    })
    .await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_failover_a_hang_ends_after_its_timeout_at_the_backend() {
    for version in ["1.36.4", "1.38.2"] {
        let backends = trio().await;
        let mut router = in_order([Some(0.4); 3]);
        router["retry"] = json!({"max_attempts": 1});
        let envoy = rig(&backends, router)
            .route(Route::ClusterHeader)
            .version(version)
            .patch(|config| {
                route(config)["retry_policy"] =
                    json!({"retry_on": "connect-failure,refused-stream,reset", "num_retries": 1});
            })
            .start()
            .await;
        backends[0].next(1, Behaviour::fault(Fault::Hang));
        assert_eq!(by(&ask(&envoy, &chat("hello"), &[]).await), answer(200, "alpha", 2), "{version}");
        backends[0].next(2, Behaviour::fault(Fault::Hang));
        assert_eq!(by(&ask(&envoy, &chat("hello"), &[]).await), answer(504, "alpha", 2), "{version}");
        settled(&envoy).await;
    }
}
