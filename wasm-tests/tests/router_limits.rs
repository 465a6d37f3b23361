//! Limits in a real Envoy that somebody tries to get around: by what is announced and not sent, by bodies that do not
//! flow, by a process that stands still, and by a clock that is set.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "a test"
)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour, PromptTokens},
    client::Client,
    envoy::{Builder, Envoy, Route},
    load::load,
    router::{chat, counted, in_flight, news_travels, settled, until},
    wall_clock::WallClock,
};

const PATH: &str = "/v1/chat/completions";

/// The oldest that runs the module, the last of each line since, and the newest.
const VERSIONS: [&str; 4] = ["1.36.4", "1.38.2", "1.39.3", "1.40.0"];

/// What a request of [`question`] costs at a dollar for a thousand tokens, in thousandths of a dollar.
const COST: u64 = 100 + 16;

fn question() -> Value {
    let mut request = chat(&"hello ".repeat(92));
    request["max_tokens"] = 16.into();
    request
}

async fn alpha(latency_ms: u64) -> [Backend; 1] {
    let alpha = Backend::start("alpha", Flavour::OpenAi).await;
    let prompt_tokens = PromptTokens::Exactly(100);
    alpha.set(Behaviour { latency_ms, prompt_tokens, ..Behaviour::default() });
    [alpha]
}

fn builder(backends: &[Backend], instance: Value, more: Value) -> Builder {
    let mut router = json!({"strategy": "round_robin", "retry": {"max_attempts": 1},
        "backend_instances": {"alpha": instance}});
    router.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Envoy::builder().concurrency(4).backends(backends).route(Route::ClusterHeader).router(router).control()
}

async fn connect(envoy: &Envoy) -> TcpStream {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap()
}

/// Opens a request; what is to follow is the caller's business.
async fn open(envoy: &Envoy, path: &str, headers: &str) -> TcpStream {
    let mut connection = connect(envoy).await;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// The status of the answer.
async fn status(connection: &mut TcpStream) -> String {
    let mut answer = [0; 12];
    timeout(Duration::from_secs(20), connection.read_exact(&mut answer)).await.expect("no hang").unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

/// No test is to be under way when an hour, or a day, begins.
async fn clear_of_the_hour(seconds: u64) {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let left = 3_600 - since_epoch % 3_600;
    if left < seconds {
        sleep(Duration::from_secs(left + 1)).await;
    }
}

async fn budget(envoy: &Envoy) -> Value {
    Client::new().get(&envoy.control_url("/budget")).await.unwrap().json()
}

fn thousandths(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1e3).round() as u64
}

/// What was spent, in thousandths of a dollar, once nothing is reserved any more and every worker knows it.
async fn spent(envoy: &Envoy) -> u64 {
    until("nothing is reserved", || async {
        news_travels().await;
        budget(envoy).await["overall"]["reserved_usd"] == 0
    })
    .await;
    thousandths(&budget(envoy).await["overall"]["day"]["spent_usd"])
}

/// What is not read, each of another shape, with what it announces.
const ANNOUNCED: [(&str, &str); 5] = [
    ("/upload", "content-length: 15000000"),
    ("/v1/files", "content-type: multipart/form-data; boundary=b\r\ncontent-length: 15000000"),
    (PATH, "content-type: text/plain\r\ncontent-length: 800000"),
    ("/v1beta/models/g:generateContent", "content-length: 800000"),
    ("/upload", "transfer-encoding: chunked"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_and_not_sent_takes_nothing_from_anybody() {
    clear_of_the_hour(60).await;
    let backends = alpha(0).await;
    let instance = json!({"cost_per_1k_tokens": 0.01, "max_tokens_per_minute": 200_000});
    let envoy = builder(&backends, instance, json!({"cost": {"daily_budget_usd": 50}})).start().await;
    let mut gone = 0;
    for _ in 0..4 {
        for (path, headers) in ANNOUNCED {
            let mut connection = open(&envoy, path, headers).await;
            connection.write_all(b"4\r\nabcd\r\n").await.unwrap();
            gone += 1;
        }
    }
    envoy
        .wait_for(Duration::from_secs(10), |stats| {
            stats.get("http.llm.downstream_rq_total") == gone && stats.get("http.llm.downstream_rq_active") == 0
        })
        .await;
    let now = budget(&envoy).await;
    assert_eq!((&now["overall"]["reserved_usd"], &now["overall"]["day"]["spent_usd"]), (&json!(0), &json!(0)), "{now}");
    assert_eq!(now["backends"][0]["minute"]["tokens"]["used"], 0, "{now}");
    assert!(backends[0].journal().is_empty());
    let reply = Client::new().post_json(&envoy.url(PATH), &question()).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());

    // An answer that is announced, too, and then its client goes.
    backends[0].set(Behaviour::latency_ms(10_000));
    let mut greedy = question();
    greedy["max_tokens"] = 1_000_000.into();
    let before = spent(&envoy).await;
    for n in 1..=3 {
        let body = greedy.to_string();
        let headers = format!("content-type: application/json\r\ncontent-length: {}", body.len());
        let mut connection = open(&envoy, PATH, &headers).await;
        connection.write_all(body.as_bytes()).await.unwrap();
        until("it is under way", || async { backends[0].counters().prompts == 1 + n }).await;
        drop(connection);
        envoy.wait_for(Duration::from_secs(10), |stats| in_flight(stats) == 0).await;
    }
    let paid = spent(&envoy).await - before;
    assert!((3..=6).contains(&paid), "three prompts of a thousandth each: {paid}");
    assert!(budget(&envoy).await["backends"][0]["minute"]["tokens"]["used"].as_u64().unwrap() < 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_dribble_their_bodies_keep_no_place_from_anybody() {
    let backends = alpha(0).await;
    let more = json!({"queue": {"size": 20, "timeout_ms": 2_000}});
    let envoy = builder(&backends, json!({"max_concurrent_requests": 4}), more).start().await;
    for (path, headers) in ANNOUNCED {
        let mut dribbling = Vec::new();
        for _ in 0..4 {
            dribbling.push(open(&envoy, path, headers).await);
        }
        for round in 0..10 {
            for connection in &mut dribbling {
                connection.write_all(b"1\r\na\r\n").await.unwrap();
            }
            let started = Instant::now();
            let reply = Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
            assert_eq!(reply.status, 200, "{path} {round}: {} after {:?}", reply.text(), started.elapsed());
        }
        envoy.wait_for(Duration::from_secs(10), |stats| in_flight(stats) == 0).await;
    }
    // Whole, it is served.
    let mut whole = open(&envoy, "/upload", "content-length: 9").await;
    for byte in b"dribbling" {
        whole.write_all(&[*byte]).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(status(&mut whole).await, "503");
    assert_eq!(backends[0].journal().last().unwrap().body, &b"dribbling"[..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_larger_than_may_be_held_passes_and_gives_its_place_back_while_it_stalls() {
    const LARGE: usize = 6 << 20;
    let backends = alpha(0).await;
    let more = json!({"queue": {"size": 20, "timeout_ms": 8_000}});
    let envoy = builder(&backends, json!({"max_concurrent_requests": 2}), more).start().await;
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut connection = open(&envoy, "/upload", &format!("content-length: {LARGE}")).await;
        connection.write_all(&vec![b'a'; 5 << 20]).await.unwrap();
        stalled.push(connection);
    }
    envoy.wait_for(Duration::from_secs(10), |stats| in_flight(stats) == 2).await;
    let reply = Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    envoy.wait_for(Duration::from_secs(10), |stats| in_flight(stats) == 0).await;
    for connection in &mut stalled {
        connection.write_all(&vec![b'a'; LARGE - (5 << 20)]).await.unwrap();
        assert_ne!(status(connection).await, "503");
    }
    let uploads: Vec<_> = backends[0].journal().into_iter().filter(|seen| seen.body_len == LARGE).collect();
    assert_eq!(uploads.len(), 2);
    envoy.wait_for(Duration::from_secs(10), |stats| in_flight(stats) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_standstill_of_the_process_places_and_budgets_are_as_before() {
    clear_of_the_hour(120).await;
    let backends = alpha(3_000).await;
    let instance = json!({"cost_per_1k_tokens": 1, "max_concurrent_requests": 8});
    let more = json!({"cost": {"daily_budget_usd": 1_000}, "queue": {"size": 100, "timeout_ms": 60_000}});
    let envoy = builder(&backends, instance, more).start().await;
    let url = envoy.url(PATH);
    let asked = tokio::spawn(async move {
        load(&Client::with_timeout(Duration::from_secs(90)), 40, 40, |_| Client::json_request(&url, &question())).await
    });
    // Each worker has shown that it lives, and the second eight are under way.
    until("all places are taken", || async { backends[0].counters().in_flight == 8 }).await;
    sleep(Duration::from_secs(4)).await;
    envoy.stand_still(Duration::from_secs(18)).await;
    let load = asked.await.unwrap();
    assert_eq!(load.failures(), 0, "{:?}", load.first_failure());
    assert!(backends[0].counters().max_in_flight <= 8, "{:?}", backends[0].counters());
    assert_eq!(spent(&envoy).await, 40 * COST);
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[("status", "success")]), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_the_wall_clock_is_no_death_in_any_envoy() {
    for version in VERSIONS {
        clear_of_the_hour(120).await;
        for step in [20, -20] {
            let clock = WallClock::new();
            let backends = alpha(5_000).await;
            let instance = json!({"cost_per_1k_tokens": 1, "max_concurrent_requests": 14});
            let builder = builder(&backends, instance, json!({"cost": {"daily_budget_usd": 1_000}}));
            let envoy = clock.given_to(builder).version(version).start().await;
            let mut asked = JoinSet::new();
            for _ in 0..14 {
                let url = envoy.url(PATH);
                asked.spawn(async move { Client::new().post_json(&url, &question()).await.unwrap() });
            }
            until("all are under way", || async { backends[0].counters().in_flight == 14 }).await;
            clock.set_ahead(step);
            sleep(Duration::from_secs(1)).await;
            let now = budget(&envoy).await;
            assert_eq!(now["overall"]["day"]["spent_usd"], 0, "{version} {step}: {now}");
            let one_more = Client::new().post_json(&envoy.url(PATH), &question()).await.unwrap();
            assert_eq!(one_more.status, 429, "the places are taken: {version} {step}");
            for reply in asked.join_all().await {
                assert_eq!(reply.status, 200, "{version} {step}: {}", reply.text());
            }
            assert_eq!(spent(&envoy).await, 14 * COST, "{version} {step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_goes_back_and_comes_again_lets_no_more_through_a_rate() {
    for steps in [[-3_600, 0], [3_600, 0], [86_400, -86_400], [-30, 30]] {
        let clock = WallClock::new();
        let backends = alpha(0).await;
        let instance = json!({"max_requests_per_minute": 20});
        let envoy = clock.given_to(builder(&backends, instance, json!({}))).start().await;
        let mut served = 0;
        for step in [0, steps[0], steps[1]] {
            clock.set_ahead(step);
            sleep(Duration::from_millis(300)).await;
            let load = load(&Client::new(), 30, 4, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
            served += load.by_status().get(&200).copied().unwrap_or(0);
        }
        assert_eq!(served, 20, "{steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_s_budget_begins_anew_when_the_wall_clock_says_so() {
    clear_of_the_hour(60).await;
    let clock = WallClock::new();
    let backends = alpha(0).await;
    let cost = json!({"cost": {"hourly_budget_usd": 0.3}});
    let envoy = clock.given_to(builder(&backends, json!({"cost_per_1k_tokens": 1}), cost)).start().await;
    let ask = || async {
        let status = Client::new().post_json(&envoy.url(PATH), &question()).await.unwrap().status;
        spent(&envoy).await;
        status
    };
    assert_eq!([ask().await, ask().await, ask().await], [200, 200, 429]);
    clock.set_ahead(3_600);
    until("the next hour has begun", || async { ask().await == 200 }).await;
}
