//! Quotas: what backends announce is kept to, what they refuse is not asked again, what they do not say is learned.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "a test"
)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};
use wasm_tests::{
    backend::{Backend, Behaviour, Counters, Flavour, Limit, Told},
    client::{Client, Reply},
    envoy::{Envoy, Route},
    load::{Load, load},
    router::{chat, counted, news_travels, settled, until},
};

const PATH: &str = "/v1/chat/completions";

async fn rig(backends: &[Backend], router: Value) -> Envoy {
    // No retries: a client that sees no 429 is to have been spared it, not to have been sent elsewhere after one.
    Envoy::builder().concurrency(4).backends(backends).route(Route::ClusterHeader).router(router).start().await
}

async fn pair() -> [Backend; 2] {
    [Backend::start("alpha", Flavour::OpenAi).await, Backend::start("beta", Flavour::OpenAi).await]
}

/// Alpha as long as it may be asked, else beta.
fn alpha_first() -> Value {
    json!({"retry": {"max_attempts": 1}, "backend_instances": {"alpha": {"priority": 1}, "beta": {"priority": 2}}})
}

async fn ask(client: &Client, envoy: &Envoy) -> Reply {
    client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap()
}

async fn ask_many(envoy: &Envoy, requests: usize, concurrency: usize) -> Load {
    load(&Client::new(), requests, concurrency, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await
}

fn who(reply: &Reply) -> (u16, String) {
    (reply.status, reply.header("x-llm-backend").unwrap_or_default())
}

fn quota(left: u32, limit: u32, window_ms: u64, told: Told) -> Limit {
    Limit::Requests { left, limit, window_ms, told }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_announces_ten_requests_gets_no_more_and_answers_no_429() {
    let shares = |strategy: &str| {
        json!({"strategy": strategy, "retry": {"max_attempts": 1},
        "backend_instances": {"alpha": {}, "beta": {}}})
    };
    let limits = [(10, Told::OpenAi), (1_000, Told::OpenAi), (10, Told::Anthropic)];
    let routers = [alpha_first(), alpha_first(), shares("round_robin")];
    for ((limit, told), router) in limits.into_iter().zip(routers) {
        let backends = pair().await;
        let [alpha, beta] = &backends;
        // The first answer announces ten.
        alpha.limit(quota(11, limit, 600_000, told));
        let envoy = rig(&backends, router).await;
        let client = Client::new();
        until("alpha has told its quota", || async {
            ask(&client, &envoy).await.header("x-sim-backend").unwrap() == "alpha"
        })
        .await;
        let sent = ask_many(&envoy, 1_000, 16).await;
        assert_eq!(sent.by_status(), [(200, 1_000)].into(), "{limit} {told:?}: {:?}", sent.first_failure());
        let (alpha, beta) = (alpha.counters(), beta.counters());
        assert_eq!((alpha.refused, beta.refused), (0, 0));
        assert!((6..=11).contains(&alpha.prompts), "{limit} {told:?}: {alpha:?}");
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_fills_up_again_is_used_again() {
    let backends = pair().await;
    let alpha = &backends[0];
    alpha.limit(quota(21, 20, 2_000, Told::OpenAi));
    let envoy = rig(&backends, alpha_first()).await;
    assert_eq!(who(&ask(&Client::new(), &envoy).await), (200, "alpha".to_owned()));
    // Window after window: as much as there is, and not more.
    until("alpha was asked in several windows", || async {
        let sent = ask_many(&envoy, 100, 16).await;
        assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
        alpha.counters().prompts > 60
    })
    .await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_whose_answer_has_begun_do_not_count_twice() {
    let backends = pair().await;
    let alpha = &backends[0];
    alpha.limit(quota(20, 20, 600_000, Told::OpenAi));
    alpha.set(Behaviour { inter_token_ms: 600_000, ..Behaviour::default() });
    let envoy = rig(&backends, alpha_first()).await;
    let client = Client::new();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let request = Client::json_request(&envoy.url(PATH), &wasm_tests::router::streamed_chat("hello"));
        streams.push(client.open(request).await.unwrap());
    }
    let by_alpha = streams.iter().filter(|stream| stream.header("x-llm-backend").as_deref() == Some("alpha")).count();
    assert_eq!((by_alpha, alpha.counters().refused), (20, 0));
    assert_eq!(who(&ask(&client, &envoy).await), (200, "beta".to_owned()));
    drop(streams);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_429_is_not_asked_again_before_the_time_that_it_names() {
    let headers: [(&str, &str); 3] =
        [("retry-after", "2"), ("retry-after-ms", "2000"), ("x-ratelimit-reset-requests", "2s")];
    for (name, value) in headers {
        let backends = pair().await;
        let alpha = &backends[0];
        alpha.next(1, Behaviour::status(429).with_header(name, value));
        let envoy = rig(&backends, alpha_first()).await;
        let client = Client::new();
        assert_eq!(who(&ask(&client, &envoy).await), (429, "alpha".to_owned()));
        news_travels().await;
        until("alpha is asked again", || async {
            let sent = ask_many(&envoy, 40, 8).await;
            assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
            alpha.counters().prompts > 1
        })
        .await;
        let times: Vec<Duration> = alpha.prompts().iter().map(|seen| seen.at).collect();
        assert!(times[0] + Duration::from_millis(1_950) <= times[1], "{name}: {times:?}");
        let stats = settled(&envoy).await;
        let refused = [("backend_id", "alpha"), ("status", "rate_limited")];
        assert_eq!(counted(&stats, "requests_total", &refused), 1);
        assert_eq!(counted(&stats, "circuit_breaker_failures_total", &[]), 0, "a quota is no illness");
    }
}

/// What a client with an address of its own is answered.
async fn ask_from(host: u8, envoy: &Envoy) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0))).unwrap();
    let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap();
    let body = chat("hello").to_string();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}",
        body.len()
    );
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_client_is_refused_takes_the_backend_from_no_other() {
    let used_up = Behaviour::default()
        .with_header("x-ratelimit-remaining-requests", "0")
        .with_header("x-ratelimit-reset-requests", "10m");
    let refusals = [Behaviour::status(429).with_header("retry-after", "600"), Behaviour::status(429), used_up];
    for refusal in refusals {
        let alpha = Backend::start("alpha", Flavour::OpenAi).await;
        let envoy = rig(std::slice::from_ref(&alpha), json!({"backend_instances": {"alpha": {}}})).await;
        assert_eq!(ask_from(3, &envoy).await, 200);
        news_travels().await;
        alpha.next(1, refusal.clone());
        assert_eq!(ask_from(2, &envoy).await, refusal.status);
        news_travels().await;
        for _ in 0..20 {
            assert_eq!(ask_from(3, &envoy).await, 200, "{refusal:?}");
        }
        let before = alpha.counters().prompts;
        if refusal != Behaviour::status(429) {
            assert_eq!(ask_from(2, &envoy).await, 429, "its own refusal holds for it");
            assert_eq!(alpha.counters().prompts, before, "and the backend is not asked");
        }
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_of_one_client_does_not_cut_the_capacity_for_all() {
    for refusal in [Behaviour::status(529), Behaviour::status(503).with_header("retry-after", "1")] {
        let alpha = Backend::start("alpha", Flavour::OpenAi).await;
        let envoy = rig(std::slice::from_ref(&alpha), json!({"backend_instances": {"alpha": {}}})).await;
        assert_eq!(ask_from(3, &envoy).await, 200);
        news_travels().await;
        for _ in 0..12 {
            alpha.next(1, Behaviour::latency_ms(300));
            let asked = alpha.counters().prompts;
            let good = ask_from(3, &envoy);
            let evil = async {
                until("the good one is under way", || async { alpha.counters().prompts > asked }).await;
                alpha.next(1, refusal.clone());
                ask_from(2, &envoy).await
            };
            assert_eq!(tokio::join!(good, evil), (200, refusal.status));
        }
        news_travels().await;
        alpha.set(Behaviour::latency_ms(300));
        let many = join_all((0..20).map(|_| ask_from(3, &envoy))).await;
        assert_eq!(many, [200; 20], "{refusal:?}");
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_quota_is_used_up_the_client_is_told_when_to_come_back() {
    let backends = pair().await;
    for backend in &backends {
        backend.limit(quota(5, 5, 30_000, Told::OpenAi));
    }
    let envoy = rig(&backends, alpha_first()).await;
    let client = Client::new();
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(ask(&client, &envoy).await);
    }
    let statuses: Vec<_> = answers.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [[200; 10].as_slice(), &[429; 2]].concat());
    assert_eq!(backends.iter().map(|backend| backend.counters().refused).sum::<u64>(), 0, "the router refused");
    let refusal = answers.last().unwrap();
    assert_eq!(refusal.json()["error"]["code"], "rate_limited");
    let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    until("the gauge shows it", || async {
        counted(&envoy.stats().await, "quota_remaining_permille", &[("backend_id", "alpha")]) == 0
    })
    .await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_capacity_of_a_backend_that_says_nothing_is_learned_from_its_refusals() {
    let backends = pair().await;
    let alpha = &backends[0];
    alpha.set(Behaviour::latency_ms(20));
    alpha.limit(Limit::InFlight(8));
    let envoy = rig(&backends, alpha_first()).await;
    // How long its answers are must be known first: capacity is in tokens.
    assert_eq!(ask_many(&envoy, 100, 4).await.by_header("x-sim-backend"), [("alpha".to_owned(), 100)].into());
    alpha.set(Behaviour::latency_ms(200));
    let first = ask_many(&envoy, 200, 20).await;
    let refused = alpha.counters().refused;
    assert!(refused > 0, "{:?}", first.by_status());
    alpha.set(Behaviour::latency_ms(20));
    // It is left alone for a while after each refusal, and asked for less; soon it gets what it takes and no more.
    until("alpha is busy and refuses hardly anything", || async {
        alpha.clear_journal();
        ask_many(&envoy, 600, 20).await;
        let Counters { played, refused, .. } = alpha.counters();
        played >= 20 && refused * 20 <= played
    })
    .await;
    settled(&envoy).await;
}
