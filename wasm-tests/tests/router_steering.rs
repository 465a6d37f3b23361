//! Backends, weights and drains changed at run time, on a real Envoy with four workers: what each change does to routing,
//! to requests under way, and how long it holds.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::needless_pass_by_value, reason = "a test")]

use std::{collections::BTreeMap, time::Duration};

use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour},
    client::{Client, Stream},
    control::{CONNECTIONS, all_workers_say, call, code, done, get, who},
    envoy::{Builder, Envoy, Loading, Route, Swap},
    load::load,
    router::{chat, counted, news_travels, settled, streamed_chat, trio, troubles, until},
};

const PATH: &str = "/v1/chat/completions";

/// Alpha; beta if that may not be asked; gamma is a cluster of Envoy's only.
fn alpha_then_beta() -> Value {
    json!({"strategy": "round_robin", "default_backend": "alpha",
        "backend_instances": {"alpha": {}, "beta": {"priority": 2}}})
}

fn builder(backends: &[Backend], router: Value) -> Builder {
    let builder = Envoy::builder().concurrency(4).backends(backends).route(Route::Matcher { retries: 2 });
    builder.router(router).control_with(json!({"allow_any_cluster": true}))
}

fn all_of(backend: &str) -> BTreeMap<String, usize> {
    [(backend.to_owned(), 2 * CONNECTIONS)].into()
}

fn of<'a>(document: &'a Value, id: &str) -> &'a Value {
    document["backends"].as_array().unwrap().iter().find(|backend| backend["id"] == id).unwrap()
}

/// A stream that goes on for seconds; its first piece is there.
async fn long_stream(envoy: &Envoy, backend: &Backend) -> Stream {
    backend.next(1, Behaviour { output_tokens: 60, inter_token_ms: 50, ..Behaviour::default() });
    let mut stream = Client::new().open(Client::json_request(&envoy.url(PATH), &streamed_chat("hello"))).await.unwrap();
    assert!(stream.read_at_least(1).await.unwrap() > 0);
    assert_eq!(stream.header("x-llm-backend").as_deref(), Some(backend.name()));
    stream
}

async fn finish(stream: Stream) {
    let reply = stream.rest().await.unwrap();
    assert!(reply.text().trim_end().ends_with("data: [DONE]"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_is_registered_changed_and_removed_for_every_worker() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_then_beta()).start().await;
    assert_eq!(who(&envoy).await, all_of("alpha"));

    let told = done(&envoy, Method::PUT, "/backends/gamma", r#"{"priority":0,"cost_per_1k_tokens":0.2}"#).await;
    assert_eq!(told["backend_change"]["action"], "registered");
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("gamma"));
    let listed = get(&envoy, "/backends").await;
    assert_eq!(
        (&of(&listed, "gamma")["source"], &of(&listed, "alpha")["source"]),
        (&json!("api"), &json!("configuration"))
    );
    all_workers_say(&envoy, "/health", "/total_backends", &json!(3)).await;

    let told = done(&envoy, Method::PUT, "/backends/gamma", r#"{"priority":3}"#).await;
    assert_eq!(told["backend_change"]["action"], "changed");
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("alpha"));

    // It is the default backend, too.
    let told = done(&envoy, Method::DELETE, "/backends/alpha", "").await;
    assert_eq!(told["backend_change"]["action"], "removed");
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("beta"));
    all_workers_say(&envoy, "/backends", "/removed", &json!(["alpha"])).await;
    all_workers_say(&envoy, "/backends", "/backends/0/default", &json!(true)).await;
    done(&envoy, Method::DELETE, "/backends/beta", "").await;
    let last = call(&envoy, Method::DELETE, "/backends/gamma", &[], "").await;
    assert_eq!(code(&last), (409, "conflict".to_owned()));
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("gamma"));

    done(&envoy, Method::PUT, "/backends/alpha", "{}").await;
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("alpha"));
    settled(&envoy).await;
    let log = envoy.log();
    for action in ["backend_register", "backend_change", "backend_remove"] {
        let line = log.lines().find(|line| line.contains(action)).expect("each change is logged");
        assert!(line.contains("127.0.0.1:"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_backend_finishes_what_it_has_and_gets_nothing_new() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_then_beta()).start().await;
    let stream = long_stream(&envoy, &backends[0]).await;
    let told = done(&envoy, Method::POST, "/backends/alpha/drain", r#"{"reason":"new disks"}"#).await;
    assert_eq!(
        (&told["drain_change"]["draining"], &told["drain_change"]["reason"]),
        (&json!(true), &json!("new disks"))
    );
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("beta"));
    all_workers_say(&envoy, "/backends", "/backends/0/draining/reason", &json!("new disks")).await;
    all_workers_say(&envoy, "/backends", "/backends/0/in_flight/requests", &json!(1)).await;
    finish(stream).await;
    all_workers_say(&envoy, "/backends", "/backends/0/in_flight/requests", &json!(0)).await;

    // With nobody left, nobody is asked.
    done(&envoy, Method::POST, "/backends/beta/drain", "").await;
    news_travels().await;
    let refused = Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
    assert_eq!(code(&refused), (503, "no_backend_available".to_owned()));
    done(&envoy, Method::POST, "/backends/alpha/undrain", "").await;
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("alpha"));
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[("status", "success")]), 1 + 4 * CONNECTIONS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_removed_finishes_what_it_has() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_then_beta()).start().await;
    let stream = long_stream(&envoy, &backends[0]).await;
    done(&envoy, Method::DELETE, "/backends/alpha", "").await;
    // Places change: what is under way is not taken for another's.
    done(&envoy, Method::PUT, "/backends/aaa", r#"{"cluster":"gamma","priority":9}"#).await;
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("beta"));
    let alpha = [("backend_id", "alpha")];
    let limit = Duration::from_secs(15);
    envoy.wait_for(limit, |stats| counted(stats, "in_flight", &alpha) == 1).await;
    finish(stream).await;
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[("backend_id", "alpha"), ("status", "success")]), 1);
    assert_eq!(counted(&stats, "requests_total", &[("backend_id", "aaa")]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_body_is_still_to_come_goes_where_it_may_when_it_has_come() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_then_beta()).start().await;
    let body = chat("hello").to_string();
    let mut connection = TcpStream::connect(("127.0.0.1", envoy.port())).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body.as_bytes()[..10]).await.unwrap();
    envoy.wait_for(Duration::from_secs(15), |stats| stats.get("http.llm.downstream_rq_active") == 1).await;
    done(&envoy, Method::DELETE, "/backends/alpha", "").await;
    news_travels().await;
    connection.write_all(&body.as_bytes()[10..]).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-llm-backend: beta"), "{answer}");
    assert_eq!(backends[0].prompts().len(), 0);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_are_changed_for_every_worker() {
    let backends = trio().await;
    let router = json!({"strategy": "weighted_round_robin", "backend_instances": {"alpha": {}, "beta": {}}});
    let envoy = builder(&backends, router).start().await;
    let half: BTreeMap<_, _> = [("alpha".to_owned(), CONNECTIONS), ("beta".to_owned(), CONNECTIONS)].into();
    assert_eq!(who(&envoy).await, half);
    let told = done(&envoy, Method::PUT, "/weights", r#"{"alpha":3}"#).await;
    assert_eq!(told["weights_change"]["weights"][0], json!({"id": "alpha", "previous_weight": 1, "weight": 3}));
    news_travels().await;
    let [three, one] = [CONNECTIONS * 3 / 2, CONNECTIONS / 2];
    let expected: BTreeMap<_, _> = [("alpha".to_owned(), three), ("beta".to_owned(), one)].into();
    assert_eq!(who(&envoy).await, expected, "turns are taken by all workers together");
    all_workers_say(&envoy, "/backends", "/backends/0/weight", &json!(3)).await;
    all_workers_say(&envoy, "/backends", "/backends/0/configured_weight", &json!(1)).await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_outlive_a_swap_unless_it_changes_the_same_key() {
    let backends = trio().await;
    let mut router = alpha_then_beta();
    let mut envoy = builder(&backends, router.clone()).loading(Loading::Ecds).start().await;
    let told = done(&envoy, Method::PUT, "/backends/gamma", r#"{"priority":0}"#).await;
    let holds = told["backend_change"]["holds_until"].as_str().unwrap().to_owned();
    assert!(holds.starts_with("until a configuration has backend_instances.gamma"), "{holds}");
    let told = done(&envoy, Method::DELETE, "/backends/beta", "").await;
    let holds = told["backend_change"]["holds_until"].as_str().unwrap().to_owned();
    assert!(holds.starts_with("until a configuration changes backend_instances.beta"), "{holds}");
    let told = done(&envoy, Method::PUT, "/weights", r#"{"alpha":7}"#).await;
    assert!(told["weights_change"]["holds_until"].as_str().unwrap().contains("<id>.weight"));
    done(&envoy, Method::POST, "/backends/alpha/drain", "").await;

    router["backend_instances"]["alpha"]["quality_score"] = json!(0.5);
    assert_eq!(envoy.swap(&router).await, Swap::Accepted);
    all_workers_say(&envoy, "/backends", "/backends/0/quality_score", &json!(0.5)).await;
    all_workers_say(&envoy, "/backends", "/backends/0/weight", &json!(7)).await;
    all_workers_say(&envoy, "/backends", "/removed", &json!(["beta"])).await;
    assert_eq!(who(&envoy).await, all_of("gamma"));

    router["backend_instances"]["gamma"] = json!({"priority": 5});
    router["backend_instances"]["beta"]["priority"] = json!(4);
    router["backend_instances"]["alpha"]["weight"] = json!(2);
    assert_eq!(envoy.swap(&router).await, Swap::Accepted);
    all_workers_say(&envoy, "/backends", "/backends/0/weight", &json!(2)).await;
    all_workers_say(&envoy, "/backends", "/removed", &json!([])).await;
    all_workers_say(&envoy, "/backends", "/backends/2/source", &json!("configuration")).await;
    assert_eq!(who(&envoy).await, all_of("beta"), "alpha is draining still");
    // Back again: what was ended stays ended.
    assert_eq!(envoy.swap(&alpha_then_beta()).await, Swap::Accepted);
    all_workers_say(&envoy, "/backends", "/backends/0/weight", &json!(1)).await;
    assert_eq!(who(&envoy).await, all_of("beta"));
    assert_eq!(get(&envoy, "/backends").await["removed"], json!([]));
    assert_eq!(troubles(&envoy.stats().await), []);
    let log = envoy.log();
    let line = log.lines().find(|line| line.contains("overruled")).expect("that they ended is logged");
    assert!(line.contains("backend_instances.gamma") && line.contains("backend_instances.alpha.weight"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_under_load_lose_no_request() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_then_beta()).start().await;
    let url = envoy.url(PATH);
    let changes = async {
        for n in 0..40 {
            let weight = json!({"alpha": 1 + n % 7}).to_string();
            done(&envoy, Method::PUT, "/backends/gamma", &json!({"priority": n % 3}).to_string()).await;
            done(&envoy, Method::PUT, "/weights", &weight).await;
            done(&envoy, Method::POST, "/backends/alpha/drain", "").await;
            done(&envoy, Method::DELETE, "/backends/gamma", "").await;
            done(&envoy, Method::POST, "/backends/alpha/undrain", "").await;
        }
    };
    let client = Client::new();
    let requests = load(&client, 2_000, 8, |_| Client::json_request(&url, &chat("hello")));
    let (loaded, ()) = tokio::join!(requests, changes);
    assert_eq!(loaded.failures(), 0, "{:?}", loaded.first_failure());
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[("status", "success")]), 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_and_changes_nothing() {
    let backends = trio().await;
    let envoy = builder(&backends, alpha_then_beta()).env("LLM_ROUTER_CONTROL_TOKEN", "s3cret").start().await;
    let right = [("authorization", "Bearer s3cret")];
    for (method, endpoint, body, status, expected) in [
        (
            Method::PUT,
            "/backends/gamma",
            r#"{"quality_score":1.4,"wieght":1}"#,
            400,
            "quality_score: 1.4 is not in 0..=1",
        ),
        (Method::PUT, "/backends/gam.ma", "{}", 400, "an id is 1 to 64"),
        (Method::PUT, "/weights", r#"{"alpha":0}"#, 400, "alpha: 0 is not in"),
        (Method::PUT, "/weights", r#"{"gamma":1}"#, 400, "gamma: there is no such backend"),
        (Method::POST, "/backends/gamma/drain", "", 404, "no such backend"),
        (Method::POST, "/backends/gamma/undrain", "", 404, "no such backend"),
        (Method::DELETE, "/backends/gamma", "", 404, "no such backend"),
        (Method::POST, "/backends/alpha/drain", "[", 400, "not JSON"),
        (Method::POST, "/backends/alpha", "", 405, "PATCH"),
        (Method::GET, "/weights", "", 405, "PUT"),
        (Method::PUT, "/backends/alpha/drain", "", 405, "POST"),
    ] {
        let reply = call(&envoy, method, endpoint, &right, body).await;
        assert_eq!(code(&reply).0, status, "{endpoint} {body}");
        assert!(reply.text().contains(expected), "{endpoint} {body}: {}", reply.text());
    }
    let own = format!("http://127.0.0.1:{}", envoy.control_port());
    for (origin, status) in [("https://example.org", 403), ("null", 403), (own.as_str(), 200)] {
        let headers = [("authorization", "Bearer s3cret"), ("origin", origin)];
        let reply = call(&envoy, Method::POST, "/backends/alpha/undrain", &headers, "").await;
        assert_eq!(reply.status, status, "{origin}: {}", reply.text());
    }
    for (method, endpoint) in [
        (Method::PUT, "/backends/gamma"),
        (Method::DELETE, "/backends/alpha"),
        (Method::POST, "/backends/alpha/drain"),
        (Method::POST, "/backends/alpha/undrain"),
        (Method::PUT, "/weights"),
    ] {
        assert_eq!(
            code(&call(&envoy, method, endpoint, &[], "{}").await),
            (401, "unauthorized".to_owned()),
            "{endpoint}"
        );
    }
    let listed = get(&envoy, "/backends").await;
    assert_eq!((listed["backends"].as_array().unwrap().len(), &listed["removed"]), (2, &json!([])));
    assert_eq!(of(&listed, "alpha")["draining"], Value::Null);
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_registered_is_checked_and_one_that_envoy_does_not_know_is_left_alone() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await, Backend::start("gamma", Flavour::OpenAi).await];
    let router = json!({"strategy": "round_robin", "envoy_admin": {"cluster": "envoy_admin", "interval_ms": 200},
        "backend_instances": {"alpha": {}}});
    let envoy = builder(&backends, router).admin_cluster().start().await;
    let check = json!({"path": "/health", "interval_seconds": 0.1});
    for (id, priority) in [("nowhere", 0), ("gamma", 1)] {
        let body = json!({"priority": priority, "health_check": check}).to_string();
        done(&envoy, Method::PUT, &format!("/backends/{id}"), &body).await;
    }
    let admin = call(&envoy, Method::PUT, "/backends/admin", &[], r#"{"cluster":"envoy_admin"}"#).await;
    assert_eq!(code(&admin), (400, "invalid_request".to_owned()));
    all_workers_say(&envoy, "/health", "/health_status/openai/nowhere/status", &json!("unhealthy")).await;
    until("gamma was checked", || async {
        backends[1].journal().iter().filter(|seen| seen.path == "/health").count() > 2
    })
    .await;
    all_workers_say(&envoy, "/health", "/health_status/openai/gamma/status", &json!("healthy")).await;
    let half: BTreeMap<_, _> = [("alpha".to_owned(), CONNECTIONS), ("gamma".to_owned(), CONNECTIONS)].into();
    assert_eq!(who(&envoy).await, half);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_and_busy_when_the_configuration_is_swapped_is_not_busy_for_ever() {
    let backends = trio().await;
    let mut envoy = builder(&backends, alpha_then_beta()).loading(Loading::Ecds).start().await;
    let stream = long_stream(&envoy, &backends[0]).await;
    done(&envoy, Method::DELETE, "/backends/alpha", "").await;
    let alpha = [("backend_id", "alpha")];
    let limit = Duration::from_secs(15);
    envoy.wait_for(limit, |stats| counted(stats, "in_flight", &alpha) == 1).await;
    let other = json!({"strategy": "round_robin", "default_backend": "beta", "backend_instances": {"beta": {}}});
    assert_eq!(envoy.swap(&other).await, Swap::Accepted);
    finish(stream).await;
    assert_eq!(who(&envoy).await, all_of("beta"));
    settled(&envoy).await;
}
