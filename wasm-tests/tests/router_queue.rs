//! Requests that wait for a place, in a real Envoy: all are served, in order, whichever worker has them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour},
    client::{Client, Reply, Stream},
    control::all_workers_say,
    envoy::{Builder, Envoy, Loading, Route, Swap, module},
    load::load,
    router::{chat, counted, in_flight, settled, streamed_chat, troubles, until},
    sabotage::{TRAP, trap, trapping},
};

const PATH: &str = "/v1/chat/completions";

/// The versions of Envoy that the module is for, the oldest and the newest.
const VERSIONS: [&str; 2] = ["1.36.4", "1.40.0"];

fn router(places: u32, queue: &Value) -> Value {
    json!({
        "retry": {"max_attempts": 1},
        "backend_instances": {"alpha": {"max_concurrent_requests": places}},
        "queue": queue,
    })
}

fn builder(backends: &[Backend], router: Value) -> Builder {
    Envoy::builder().concurrency(4).backends(backends).route(Route::ClusterHeader).router(router).control()
}

async fn alpha(latency_ms: u64) -> [Backend; 1] {
    let alpha = Backend::start("alpha", Flavour::OpenAi).await;
    alpha.set(Behaviour::latency_ms(latency_ms));
    [alpha]
}

async fn depth(envoy: &Envoy) -> u64 {
    let health = Client::new().get(&envoy.control_url("/health")).await.unwrap().json();
    health["queue"]["depth"].as_u64().unwrap()
}

async fn waiting(envoy: &Envoy, wanted: u64) {
    until(&format!("{wanted} wait"), || async { depth(envoy).await == wanted }).await;
}

/// Sends one request, each on a connection of its own, and leaves it to itself.
fn send(asked: &mut JoinSet<Reply>, envoy: &Envoy, text: String) {
    let url = envoy.url(PATH);
    asked.spawn(async move { Client::new().post_json(&url, &chat(&text)).await.unwrap() });
}

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_before_eight_places_are_all_served_and_never_more_than_eight_at_once() {
    for version in VERSIONS {
        let backends = alpha(100).await;
        let envoy = builder(&backends, router(8, &json!({"size": 230, "timeout_ms": 60_000})));
        let envoy = envoy.version(version).start().await;
        let load =
            load(&Client::new(), 200, 200, |n| Client::json_request(&envoy.url(PATH), &chat(&n.to_string()))).await;
        assert_eq!(load.failures(), 0, "{version}: {:?}", load.first_failure());
        assert!(backends[0].counters().max_in_flight <= 8, "{version}: {:?}", backends[0].counters());
        let stats = settled(&envoy).await;
        assert_eq!(counted(&stats, "refusals_total", &[]), 0, "{version}");
        envoy.wait_for(Duration::from_secs(15), |stats| stats.get("wasmcustom.loadbalancer_queue_depth") == 0).await;
        waiting(&envoy, 0).await;
        // Envoy shows histograms every five seconds.
        until("the waits are shown", || async {
            envoy.prometheus().await.metric("loadbalancer_queue_wait_ms_count", &[]).is_some_and(|waits| waits > 50.0)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let backends = alpha(30).await;
    let envoy = builder(&backends, router(1, &json!({"size": 100, "timeout_ms": 60_000}))).start().await;
    backends[0].next(1, Behaviour::latency_ms(1_500));
    let mut asked = JoinSet::new();
    send(&mut asked, &envoy, "0".to_owned());
    until("the place is taken", || async { backends[0].counters().in_flight == 1 }).await;
    for n in 1..=20_u64 {
        send(&mut asked, &envoy, n.to_string());
        until("the next one waits", || async { depth(&envoy).await + backends[0].counters().prompts == n + 1 }).await;
    }
    for reply in asked.join_all().await {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let order: Vec<_> =
        backends[0].prompts().iter().map(|seen| seen.json()["messages"][0]["content"].clone()).collect();
    let expected: Vec<_> = (0..=20).map(|n| json!(n.to_string())).collect();
    assert_eq!(order, expected);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_wait_or_has_waited_too_long_is_told_when_to_come_again() {
    for version in VERSIONS {
        let backends = alpha(60_000).await;
        let envoy = builder(&backends, router(1, &json!({"size": 3, "timeout_ms": 3_000})));
        let envoy = envoy.version(version).start().await;
        let client = Client::new();
        let held = Client::json_request(&envoy.url(PATH), &chat("held"));
        let held = tokio::spawn(async move { Client::new().send(held).await });
        until("the place is taken", || async { backends[0].counters().in_flight == 1 }).await;
        let mut asked = JoinSet::new();
        send(&mut asked, &envoy, "first".to_owned());
        send(&mut asked, &envoy, "second".to_owned());
        waiting(&envoy, 2).await;
        let third = client.post_json(&envoy.url(PATH), &chat("third")).await.unwrap();
        assert_eq!(refused(&third), (503, "queue_full".to_owned()), "{version}");
        assert!(third.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        for reply in asked.join_all().await {
            assert_eq!(refused(&reply), (503, "queue_timeout".to_owned()), "{version}");
            assert_eq!(reply.header("retry-after").as_deref(), Some("3"));
            assert!(reply.elapsed >= Duration::from_secs(3), "{:?}", reply.elapsed);
        }
        waiting(&envoy, 0).await;
        held.abort();
        let stats = settled(&envoy).await;
        for (code, times) in [("queue_full", 1), ("queue_timeout", 2)] {
            assert_eq!(counted(&stats, "refusals_total", &[("code", code)]), times, "{version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_give_their_places_up() {
    let backends = alpha(60_000).await;
    let envoy = builder(&backends, router(1, &json!({"size": 10, "timeout_ms": 60_000}))).start().await;
    let url = envoy.url(PATH);
    let ask = |text: &str| {
        let request = Client::json_request(&url, &chat(text));
        tokio::spawn(async move { Client::new().send(request).await })
    };
    let held = ask("held");
    until("the place is taken", || async { backends[0].counters().in_flight == 1 }).await;
    let leaving: Vec<_> = (0..5).map(|_| ask("leaves")).collect();
    waiting(&envoy, 5).await;
    let last = ask("stays");
    waiting(&envoy, 6).await;
    leaving.iter().for_each(tokio::task::JoinHandle::abort);
    waiting(&envoy, 1).await;
    backends[0].set(Behaviour::default());
    held.abort();
    assert_eq!(last.await.unwrap().unwrap().status, 200);
    assert_eq!(backends[0].counters().prompts, 2, "those that left were not sent");
    waiting(&envoy, 0).await;
    let stats = envoy.wait_for(Duration::from_secs(15), |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_comes_back_while_streams_of_it_are_under_way_is_the_one_at_work() {
    const STREAMS: u32 = 16;
    let backends = alpha(20).await;
    let queue = json!({"size": 100, "timeout_ms": 60_000});
    let (one, other) = (router(STREAMS + 1, &queue), router(STREAMS + 2, &queue));
    let mut envoy = builder(&backends, one.clone()).loading(Loading::Ecds).start().await;
    backends[0].next(STREAMS as usize, Behaviour { output_tokens: 3_000, inter_token_ms: 50, ..Behaviour::default() });
    // Each on a connection of its own: on most workers, if not on all.
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let request = Client::json_request(&envoy.url(PATH), &streamed_chat("long"));
        streams.push(Client::new().open(request).await.unwrap());
        assert!(streams.last_mut().unwrap().read_at_least(1).await.unwrap() > 0);
    }
    assert_eq!(envoy.swap(&other).await, Swap::Accepted);
    all_workers_say(&envoy, "/backends", "/backends/0/max_concurrent_requests", &json!(STREAMS + 2)).await;
    assert_eq!(envoy.swap(&one).await, Swap::Accepted);
    all_workers_say(&envoy, "/backends", "/backends/0/max_concurrent_requests", &json!(STREAMS + 1)).await;
    // Through the one place that is left.
    let load = load(&Client::new(), 60, 60, |n| Client::json_request(&envoy.url(PATH), &chat(&n.to_string()))).await;
    assert_eq!(load.failures(), 0, "{:?}", load.first_failure());
    waiting(&envoy, 0).await;
    assert!(backends[0].counters().max_in_flight <= u64::from(STREAMS) + 1, "{:?}", backends[0].counters());
    streams.into_iter().for_each(Stream::cut);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_keeps_nobody_from_a_backend_that_nobody_in_it_can_use() {
    let [pi, chi] = [Backend::start("pi", Flavour::OpenAi).await, Backend::start("chi", Flavour::OpenAi).await];
    pi.set(Behaviour::latency_ms(60_000));
    let backends = [pi, chi];
    // The two share a bit in the shared list, so that who waits for one seems to wait for the other, too.
    let router = json!({
        "retry": {"max_attempts": 1},
        "backend_instances": {
            "pi": {"max_concurrent_requests": 1, "cost_per_1k_tokens": 0},
            "chi": {"cost_per_1k_tokens": 900, "priority": 2},
        },
        "cost": {"tenant_header": "x-tenant", "tenants": {"poor": {"daily_budget_usd": 0.001}}},
        "queue": {"size": 1, "timeout_ms": 60_000},
    });
    let envoy = builder(&backends, router).concurrency(1).start().await;
    let url = envoy.url(PATH);
    let ask = |tenant: &'static str| {
        let url = url.clone();
        tokio::spawn(async move { Client::new().post_json_with(&url, &[("x-tenant", tenant)], &chat(tenant)).await })
    };
    let held = ask("poor");
    until("the place is taken", || async { backends[0].counters().in_flight == 1 }).await;
    let waits = ask("poor");
    waiting(&envoy, 1).await;
    assert_eq!(refused(&ask("poor").await.unwrap().unwrap()), (503, "queue_full".to_owned()));
    let rich = ask("rich").await.unwrap().unwrap();
    assert_eq!((rich.status, rich.header("x-llm-backend").as_deref()), (200, Some("chi")), "{}", rich.text());
    waits.abort();
    held.abort();
    waiting(&envoy, 0).await;
    let stats = envoy.wait_for(Duration::from_secs(15), |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), []);
}

/// Who is turned away is answered in its own stream: places become free meanwhile, and others are told so in theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_full_queue_everybody_gets_an_answer_and_it_is_their_own() {
    let backends = alpha(5).await;
    let envoy = builder(&backends, router(2, &json!({"size": 6, "timeout_ms": 60_000}))).start().await;
    let (url, client) = (envoy.url(PATH), Client::new());
    let load = load(&client, 2_000, 32, |n| Client::json_request(&url, &chat(&n.to_string()))).await;
    let served = load.answers().filter(|reply| reply.status == 200).count();
    let full = load.answers().filter(|reply| refused(reply) == (503, "queue_full".to_owned())).count();
    let error = load.replies.iter().find_map(|reply| reply.as_ref().err());
    assert_eq!(served + full, 2_000, "{error:?} {:?}", load.by_status());
    assert!(full > 0, "the queue was never full");
    assert_eq!(backends[0].counters().prompts, served as u64);
    settled(&envoy).await;
    waiting(&envoy, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_in_a_vm_that_traps_are_let_go_by_envoy_and_hold_no_room_in_the_queue() {
    let backends = alpha(60_000).await;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("trapping.wasm");
    std::fs::write(&path, trapping(&std::fs::read(module().unwrap()).unwrap(), TRAP).unwrap()).unwrap();
    let envoy = builder(&backends, router(1, &json!({"size": 3, "timeout_ms": 60_000})));
    let envoy = envoy.concurrency(1).module(path).patch(|config| {
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        config.pointer_mut(manager).unwrap()["stream_idle_timeout"] = "8s".into();
    });
    let envoy = envoy.start().await;
    let held = Client::json_request(&envoy.url(PATH), &chat("held"));
    let held = tokio::spawn(async move { Client::new().send(held).await });
    until("the place is taken", || async { backends[0].counters().in_flight == 1 }).await;
    let mut asked = JoinSet::new();
    send(&mut asked, &envoy, "first".to_owned());
    send(&mut asked, &envoy, "second".to_owned());
    waiting(&envoy, 2).await;
    trap(&envoy).await;
    let trapped = Instant::now();
    backends[0].set(Behaviour::default());
    for reply in asked.join_all().await {
        assert!(
            reply.status >= 500 && reply.elapsed >= Duration::from_secs(7),
            "{} after {:?}",
            reply.status,
            reply.elapsed
        );
    }
    // The place itself is believed to be taken for fifteen seconds, but there is room to wait for it.
    loop {
        let next = Client::new().post_json(&envoy.url(PATH), &chat("next")).await.unwrap();
        if next.status != 503 {
            break;
        }
        assert!(trapped.elapsed() < Duration::from_secs(13), "{}", next.text());
    }
    held.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_of_the_configuration_loses_nobody_who_waits() {
    for version in VERSIONS {
        let backends = alpha(100).await;
        let queue = json!({"size": 100, "timeout_ms": 60_000});
        let envoy = builder(&backends, router(4, &queue)).version(version).loading(Loading::Ecds);
        let mut envoy = envoy.start().await;
        backends[0].next(4, Behaviour::latency_ms(60_000));
        let mut held = JoinSet::new();
        for _ in 0..4 {
            send(&mut held, &envoy, "held".to_owned());
        }
        until("all places are taken", || async { backends[0].counters().in_flight == 4 }).await;
        let mut asked = JoinSet::new();
        for n in 0..60 {
            send(&mut asked, &envoy, n.to_string());
        }
        waiting(&envoy, 60).await;
        // One without a queue, and one with fewer places.
        let without =
            json!({"retry": {"max_attempts": 1}, "backend_instances": {"alpha": {"max_concurrent_requests": 4}}});
        assert_eq!(envoy.swap(&without).await, Swap::Accepted);
        assert_eq!(envoy.swap(&router(2, &queue)).await, Swap::Accepted);
        for n in 60..80 {
            send(&mut asked, &envoy, n.to_string());
        }
        held.shutdown().await;
        for reply in asked.join_all().await {
            assert_eq!(reply.status, 200, "{version}: {}", reply.text());
        }
        waiting(&envoy, 0).await;
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_sends_ten_times_as_much_waits_behind_itself() {
    const FEW: usize = 10;
    let backends = alpha(60).await;
    let mut router = router(2, &json!({"size": 200, "timeout_ms": 60_000}));
    router["cost"] = json!({"tenant_header": "x-tenant"});
    let envoy = builder(&backends, router).start().await;
    backends[0].next(2, Behaviour::latency_ms(4_000));
    let mut asked = JoinSet::new();
    let mut send = |tenant: &'static str| {
        let url = envoy.url(PATH);
        asked.spawn(async move {
            let reply = Client::new().post_json_with(&url, &[("x-tenant", tenant)], &chat(tenant)).await.unwrap();
            (tenant, reply)
        });
    };
    (0..10 * FEW).for_each(|_| send("many"));
    until("both places are taken", || async { backends[0].counters().in_flight == 2 }).await;
    until("some of the many wait", || async { depth(&envoy).await >= 3 * FEW as u64 }).await;
    (0..FEW).for_each(|_| send("few"));
    let mut waited: [Vec<Duration>; 2] = Default::default();
    for (tenant, reply) in asked.join_all().await {
        assert_eq!(reply.status, 200, "{}", reply.text());
        waited[usize::from(tenant == "few")].push(reply.elapsed);
    }
    for times in &mut waited {
        times.sort_unstable();
    }
    let [many, few] = waited.map(|times| times[times.len() / 2]);
    assert!(few < many, "half of the few waited {few:?}, half of the many {many:?}");
    // Turn by turn: while the few are served, about as many of the other tenant are.
    let who: Vec<_> = backends[0].prompts().iter().map(|seen| seen.json()["messages"][0]["content"] == "few").collect();
    let (first, last) = (who.iter().position(|few| *few).unwrap(), who.iter().rposition(|few| *few).unwrap());
    assert!(last - first <= 3 * FEW, "the few came {first} to {last}");
    settled(&envoy).await;
}

/// How long half of each tenant's requests took at most, and how many there were: so many clients of each ask one request
/// after the other, until all together have asked 240.
async fn halves(envoy: &Envoy, clients: [usize; 2], told: bool) -> [(Duration, usize); 2] {
    let left = Arc::new(AtomicUsize::new(240));
    let mut asking = JoinSet::new();
    for tenant in [0, 1] {
        for _ in 0..clients[tenant] {
            let (left, url) = (Arc::clone(&left), envoy.url(PATH));
            asking.spawn(async move {
                let client = Client::new();
                let header = [("x-tenant", ["small", "rival"][tenant])];
                let mut times = Vec::new();
                while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let headers = if told { &header[..] } else { &[] };
                    let reply = client.post_json_with(&url, headers, &chat("How are you?")).await.unwrap();
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    times.push(reply.elapsed);
                }
                (tenant, times)
            });
        }
    }
    let mut times: [Vec<Duration>; 2] = Default::default();
    while let Some(asked) = asking.join_next().await {
        let (tenant, took) = asked.unwrap();
        times[tenant].extend(took);
    }
    times.map(|mut times| {
        times.sort_unstable();
        (times[times.len() / 2], times.len())
    })
}

/// The same number of clients in all, once shared evenly by two tenants, once ten to one. `-- --nocapture` shows the
/// table of `benchmarks/2026-11-21-money.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_waits_no_longer_because_another_asks_ten_times_as_much() {
    let backends = alpha(50).await;
    let mut router = router(4, &json!({"size": 200, "timeout_ms": 60_000}));
    router["cost"] = json!({"tenant_header": "x-tenant"});
    let envoy = builder(&backends, router).start().await;
    println!(
        "| clients of the small one | of its rival | lines | small: median | requests | rival: median | requests |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    let mut medians = Vec::new();
    for (clients, told) in [([11, 11], true), ([2, 20], true), ([2, 20], false)] {
        let [(small, few), (rival, many)] = halves(&envoy, clients, told).await;
        let lines = if told { "two" } else { "one" };
        println!("| {} | {} | {lines} | {small:.0?} | {few} | {rival:.0?} | {many} |", clients[0], clients[1]);
        medians.push(small);
    }
    assert!(medians[1] <= 2 * medians[0], "{medians:?}");
    settled(&envoy).await;
}

/// Waits until nothing is under way where clients have left before they were decided of.
async fn quiet(envoy: &Envoy) {
    let stats = envoy.wait_for(Duration::from_secs(15), |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), []);
}

/// A connection from 127.0.0.`host`: another client each.
async fn connect_from(host: u8, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.unwrap()
}

/// The status of the answer to a request from there, and the answer.
async fn ask_from(host: u8, port: u16) -> (String, String) {
    let mut connection = connect_from(host, port).await;
    let body = chat("hello").to_string();
    let head = "host: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let request = format!("POST {PATH} HTTP/1.1\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(30), connection.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.get(9..12).unwrap_or_default().to_owned(), answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_fills_no_queue_of_any_size() {
    for size in [2, 8, 20] {
        let backends = alpha(100).await;
        let envoy = builder(&backends, router(2, &json!({"size": size, "timeout_ms": 20_000}))).start().await;
        let port = envoy.port();
        let mut greedy = JoinSet::new();
        for _ in 0..40 {
            greedy.spawn(async move {
                loop {
                    if ask_from(3, port).await.0 != "200" {
                        sleep(Duration::from_millis(30)).await;
                    }
                }
            });
        }
        until("the one has all that it may have", || async {
            counted(&envoy.stats().await, "refusals_total", &[("code", "queue_full")]) >= 40
        })
        .await;
        for n in 0..12 {
            let (status, answer) = ask_from(2, port).await;
            assert_eq!(status, "200", "{n} of {size}: {answer}");
        }
        greedy.shutdown().await;
        quiet(&envoy).await;
    }
}

/// A body in chunks that comes at five kilobytes a second until its client is dropped.
fn dribble(clients: &mut JoinSet<()>, port: u16, path: &str, content_type: &str) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    clients.spawn(async move {
        let mut connection = connect_from(3, port).await;
        connection.write_all(head.as_bytes()).await.unwrap();
        let piece = format!("1f4\r\n{}\r\n", "a".repeat(500));
        while connection.write_all(piece.as_bytes()).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_flow_slowly_but_steadily_keep_no_place_for_ever_whatever_they_are_called() {
    for (path, content_type, is_held) in [
        ("/v1/files", "application/grpc", true),
        (PATH, "application/grpc+proto", true),
        ("/v1/audio/transcriptions", "application/connect+json", true),
        ("/pkg.Service/Method", "application/grpc", false),
    ] {
        let backends = alpha(5).await;
        // As long as a request waits by default.
        let envoy = builder(&backends, router(2, &json!({"size": 20, "timeout_ms": 5_000}))).start().await;
        let mut dribbling = JoinSet::new();
        (0..6).for_each(|_| dribble(&mut dribbling, envoy.port(), path, content_type));
        if is_held {
            sleep(Duration::from_millis(500)).await;
            assert_eq!(in_flight(&envoy.stats().await), 0, "{path}");
        } else {
            until("they have the places", || async { in_flight(&envoy.stats().await) == 2 }).await;
        }
        for n in 0..6 {
            let (status, answer) = ask_from(2, envoy.port()).await;
            assert_eq!(status, "200", "{n} beside {path}: {answer}");
        }
        dribbling.shutdown().await;
        quiet(&envoy).await;
    }
}
