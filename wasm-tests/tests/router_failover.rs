//! What happens when backends fail: the next one answers, and the one that failed is left alone until it is well.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::needless_pass_by_value, reason = "a test")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use wasm_tests::{
    backend::{Backend, Behaviour, Fault},
    client::{Client, Reply, Stream},
    envoy::{Envoy, Route},
    load::load,
    router::{chat, counted, in_flight, news_travels, settled, streamed_chat, trio, until},
};

const PATH: &str = "/v1/chat/completions";
const CLOSED: u64 = 0;
const HALF_OPEN: u64 = 1;
const OPEN: u64 = 2;

/// The versions whose retries can pick another cluster.
const VERSIONS: [&str; 2] = ["1.39.3", "1.40.0"];

fn rig(backends: &[Backend], router: Value) -> wasm_tests::envoy::Builder {
    Envoy::builder().concurrency(4).backends(backends).route(Route::Matcher { retries: 2 }).router(router)
}

/// Alpha first, then beta, then gamma, each with this circuit breaker.
fn in_order(breaker: Value) -> Value {
    let instance = |priority: u32| json!({"priority": priority, "circuit_breaker": breaker});
    json!({"backend_instances": {"alpha": instance(1), "beta": instance(2), "gamma": instance(3)}})
}

async fn ask(client: &Client, envoy: &Envoy) -> Reply {
    client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap()
}

/// Who answered, and at which attempt.
fn by(reply: &Reply) -> (u16, String, String) {
    let header = |name| reply.header(name).unwrap_or_default();
    assert_eq!(header("x-llm-backend"), header("x-sim-backend"), "what the router says is who answered");
    (reply.status, header("x-llm-backend"), header("x-llm-attempts"))
}

fn answer(status: u16, backend: &str, attempts: u32) -> (u16, String, String) {
    (status, backend.to_owned(), attempts.to_string())
}

async fn state(envoy: &Envoy, backend: &str) -> u64 {
    counted(&envoy.stats().await, "circuit_breaker_state", &[("backend_id", backend)])
}

async fn of(envoy: &Envoy, metric: &str, backend: &str) -> u64 {
    counted(&envoy.stats().await, metric, &[("backend_id", backend)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_way_a_backend_fails_in_the_next_one_answers() {
    for version in VERSIONS {
        let backends = trio().await;
        let [alpha, beta, gamma] = &backends;
        let envoy = rig(&backends, in_order(json!({"failure_threshold": 1000}))).version(version).start().await;
        let client = Client::new();
        assert_eq!(by(&ask(&client, &envoy).await), answer(200, "alpha", 1));

        let faults = [
            Behaviour::status(500),
            Behaviour::status(503),
            Behaviour::status(429).with_header("retry-after", "7"),
            Behaviour::fault(Fault::Reset),
        ];
        for (failovers, fault) in (1..).zip(faults) {
            alpha.next(1, fault);
            let reply = ask(&client, &envoy).await;
            assert_eq!(by(&reply), answer(200, "beta", 2), "{version}");
            assert_eq!(beta.prompts().last().unwrap().attempt(), Some(2));
            assert_eq!(of(&envoy, "failovers_total", "alpha").await, failovers);
            assert_eq!(of(&envoy, "circuit_breaker_failures_total", "alpha").await, failovers);
        }
        alpha.kill().await;
        assert_eq!(by(&ask(&client, &envoy).await), answer(200, "beta", 2));
        beta.next(1, Behaviour::status(502));
        assert_eq!(by(&ask(&client, &envoy).await), answer(200, "gamma", 3));
        assert_eq!(of(&envoy, "failovers_total", "alpha").await, 6);
        assert_eq!(of(&envoy, "failovers_total", "beta").await, 1);

        // Where all fail the client gets the last answer as it is, and the last backend is charged for it too.
        alpha.restart().await;
        for backend in &backends {
            backend.next(1, Behaviour::status(503));
        }
        let reply = ask(&client, &envoy).await;
        assert_eq!(by(&reply), answer(503, "gamma", 3));
        assert_eq!(reply.json()["error"]["message"], "scripted failure");
        assert_eq!(of(&envoy, "circuit_breaker_failures_total", "gamma").await, 1);
        assert_eq!(of(&envoy, "failovers_total", "gamma").await, 0);

        // A client's mistake is nobody's failure.
        alpha.next(1, Behaviour::status(400));
        assert_eq!(by(&ask(&client, &envoy).await), answer(400, "alpha", 1));
        assert_eq!(gamma.counters().prompts, 2);
        let stats = envoy.stats().await;
        let success = [("status", "success"), ("method", "post")];
        let ended = |more: (&str, &str)| counted(&stats, "requests_total", &[success[0], success[1], more]);
        assert_eq!((ended(("backend_id", "alpha")), ended(("backend_id", "beta"))), (1, 5));
        assert_eq!(counted(&stats, "requests_total", &[("status", "failure")]), 1);
        assert_eq!(counted(&stats, "requests_total", &[("status", "client_error")]), 1);
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_that_one_worker_opens_holds_for_all_within_a_tenth_of_a_second() {
    let backends = trio().await;
    let alpha = &backends[0];
    let breaker = json!({"failure_threshold": 5, "recovery_timeout_seconds": 600});
    let envoy = rig(&backends, in_order(breaker)).start().await;
    alpha.set(Behaviour::status(500));
    let client = Client::new(); // one connection, hence one worker
    for _ in 0..4 {
        assert_eq!(by(&ask(&client, &envoy).await), answer(200, "beta", 2));
    }
    assert_eq!(state(&envoy, "alpha").await, CLOSED);
    assert_eq!(by(&ask(&client, &envoy).await), answer(200, "beta", 2));
    // The others hear of it at their next tick, 50 ms later at most if the machine is not busy; until then the request
    // is answered by the next backend all the same.
    let others = Client::new();
    let ask_many = |n| load(&others, n, 16, |_| Client::json_request(&envoy.url(PATH), &chat("hello")));
    until("all workers know", || async { ask_many(100).await.by_header("x-llm-attempts").len() == 1 }).await;
    let before = alpha.counters().prompts;
    let rest = ask_many(400).await;
    assert_eq!(rest.failures(), 0, "{:?}", rest.first_failure());
    assert_eq!(rest.by_header("x-llm-attempts"), [("1".to_owned(), 400)].into());
    let stats = envoy.stats().await;
    let workers = stats.matching(&["listener.", ".worker_", ".downstream_cx_total"]).filter(|(_, n)| *n > 0).count();
    assert!(workers > 1, "{workers} worker served it all, which shows nothing");
    assert_eq!(alpha.counters().prompts, before);
    until("the breaker is shown as open", || async { state(&envoy, "alpha").await == OPEN }).await;
    assert_eq!(of(&envoy, "circuit_breaker_failures_total", "alpha").await, before as u64);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_lets_a_few_probes_through_and_closes_when_they_succeed() {
    let backends = trio().await;
    let alpha = &backends[0];
    let breaker = json!({"failure_threshold": 1, "recovery_timeout_seconds": 0.3, "half_open_max_requests": 2,
        "ramp_seconds": 0});
    let envoy = rig(&backends, in_order(breaker)).start().await;
    let client = Client::new();
    alpha.next(1, Behaviour::status(500));
    alpha.set(Behaviour::status(500));
    assert_eq!(by(&ask(&client, &envoy).await), answer(200, "beta", 2));

    news_travels().await;

    // Probes come, and hang before their first content; however many others come meanwhile, there are never more than two.
    alpha.set(Behaviour::fault(Fault::StallAfter(0)));
    let open = |client: Client| {
        let request = Client::json_request(&envoy.url(PATH), &streamed_chat("hello"));
        async move { client.open(request).await.unwrap() }
    };
    let mut held: Vec<Stream> = Vec::new();
    until("the first probe", || async {
        open(client.clone()).await.header("x-llm-backend").as_deref() == Some("alpha")
    })
    .await;
    // That one is gone again, and says nothing either way: its place is free.
    until("it is counted out", || async { alpha.counters().in_flight == 0 }).await;
    for _ in 0..4 {
        let mut opening = JoinSet::new();
        for _ in 0..16 {
            opening.spawn(open(client.clone()));
        }
        held.extend(opening.join_all().await);
    }
    let probes = held.iter().filter(|stream| stream.header("x-llm-backend").as_deref() == Some("alpha")).count();
    assert_eq!((probes, alpha.counters().max_in_flight), (2, 2));
    until("the breaker is shown as half-open", || async { state(&envoy, "alpha").await == HALF_OPEN }).await;

    held.clear();
    until("they are counted out", || async { in_flight(&envoy.stats().await) == 0 }).await;
    news_travels().await;
    alpha.set(Behaviour::default());
    for _ in 0..2 {
        assert_eq!(by(&ask(&client, &envoy).await), answer(200, "alpha", 1));
    }
    until("the breaker is shown as closed", || async { state(&envoy, "alpha").await == CLOSED }).await;
    news_travels().await;
    let after = load(&client, 100, 8, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
    assert_eq!(after.by_header("x-llm-backend"), [("alpha".to_owned(), 100)].into());
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_fails_opens_the_breaker_again() {
    let backends = trio().await;
    let alpha = &backends[0];
    let breaker = json!({"failure_threshold": 1, "recovery_timeout_seconds": 0.3, "half_open_max_requests": 1});
    let envoy = rig(&backends, in_order(breaker)).start().await;
    let client = Client::new();
    alpha.set(Behaviour::status(500));
    until("the second probe", || async {
        assert_eq!(by(&ask(&client, &envoy).await).1, "beta");
        alpha.counters().prompts >= 3
    })
    .await;
    let times: Vec<_> = alpha.prompts().iter().map(|seen| seen.at).collect();
    for pair in times.windows(2) {
        assert!(pair[0] + Duration::from_millis(290) <= pair[1], "{times:?}");
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_killed_under_load_costs_no_answer() {
    for version in VERSIONS {
        let backends = trio().await;
        for backend in &backends {
            backend.set(Behaviour::latency_ms(3));
        }
        let router = json!({"strategy": "round_robin", "backend_instances": {"alpha": {}, "beta": {}, "gamma": {}}});
        let envoy = rig(&backends, router).version(version).start().await;
        let client = Client::new();
        let sending = load(&client, 2_000, 32, |_| Client::json_request(&envoy.url(PATH), &chat("hello")));
        let killing = async {
            until("it is in the midst of it", || async { backends[1].counters().prompts >= 150 }).await;
            backends[1].kill().await;
        };
        let (sent, ()) = tokio::join!(sending, killing);
        assert_eq!(sent.failures(), 0, "{version}: {:?}", sent.first_failure());
        assert_eq!(sent.by_status(), [(200, 2_000)].into());
        assert_eq!(sent.by_header("x-llm-backend"), sent.by_header("x-sim-backend"));
        until("its breaker is shown as open", || async { state(&envoy, "beta").await == OPEN }).await;
        assert_eq!((state(&envoy, "alpha").await, state(&envoy, "gamma").await), (CLOSED, CLOSED));
        assert!(of(&envoy, "failovers_total", "beta").await >= 5);
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_backends_are_down_the_client_is_told_when_to_ask_again() {
    let backends = trio().await;
    let breaker = json!({"failure_threshold": 2, "recovery_timeout_seconds": 20});
    let mut router = in_order(breaker);
    router["panic_threshold"] = json!(0);
    let envoy = rig(&backends, router).start().await;
    for backend in &backends {
        backend.kill().await;
    }
    let client = Client::new();
    let mut refused = None;
    for _ in 0..20 {
        let reply = ask(&client, &envoy).await;
        assert_eq!(reply.status, 503);
        if reply.header("content-type").as_deref() == Some("application/json") {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("with every breaker open the router answers itself");
    let error = &refused.json()["error"];
    assert_eq!((&error["code"], &error["type"]), (&json!("no_backend_available"), &json!("server_error")));
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()) && error["param"].is_null());
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=22).contains(&wait), "the timeout and a little by chance: {wait}");
    assert_eq!(counted(&envoy.stats().await, "refusals_total", &[("code", "no_backend_available")]), 1);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_never_has_more_at_once_than_it_may_have() {
    let backends = trio().await;
    let alpha = &backends[0];
    alpha.set(Behaviour::latency_ms(20));
    let only = json!({"backend_instances": {"alpha": {"max_concurrent_requests": 8}}});
    let envoy = rig(&backends, only).start().await;
    let send_all = |envoy: &Envoy| {
        let url = envoy.url(PATH);
        async move { load(&Client::new(), 1_000, 64, |_| Client::json_request(&url, &chat("hello"))).await }
    };
    let sent = send_all(&envoy).await;
    assert_eq!(alpha.counters().max_in_flight, 8, "all that it may have, and no more");
    let by_status = sent.by_status();
    assert_eq!(by_status[&200] + by_status[&429], 1_000, "{by_status:?}");
    assert!(by_status[&200] >= 8 && by_status[&429] >= 56, "{by_status:?}");
    let refusal = sent.answers().find(|reply| reply.status == 429).unwrap();
    let error = &refusal.json()["error"];
    assert_eq!((&error["code"], &error["type"]), (&json!("rate_limited"), &json!("rate_limit_error")));
    assert_eq!(refusal.header("retry-after").as_deref(), Some("1"));
    assert_eq!(counted(&envoy.stats().await, "refusals_total", &[]), by_status[&429] as u64);
    settled(&envoy).await;
    drop(envoy);

    alpha.clear_journal();
    let both = json!({"backend_instances": {"alpha": {"max_concurrent_requests": 8}, "beta": {"priority": 2}}});
    let envoy = rig(&backends, both).start().await;
    let sent = send_all(&envoy).await;
    assert_eq!((sent.failures(), alpha.counters().max_in_flight), (0, 8), "{:?}", sent.first_failure());
    assert_eq!(sent.by_header("x-llm-attempts"), [("1".to_owned(), 1_000)].into());
    settled(&envoy).await;
}
