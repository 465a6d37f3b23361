//! Whose fault it was, on a real Envoy: what a client does alone opens no breaker, and a backend that can serve nobody
//! is not taken for the best.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour},
    client::Client,
    envoy::{Builder, Envoy, Route},
    load::load,
    router::{chat, counted, ended, in_flight, news_travels, settled, streamed_chat, trio, until},
    wire::{GOOD, Http2, Script, Scripted},
};

const PATH: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";

/// Scripted backends by name, with no retries: each answer is what its backend gave.
fn rig(backends: &[(&str, &Scripted)], router: Value) -> Builder {
    let builder = Envoy::builder().route(Route::Matcher { retries: 0 }).router(router);
    backends.iter().fold(builder, |builder, (name, backend)| builder.cluster(name, &[backend.port()]))
}

/// No breaker opened, and nothing counted as a failure.
async fn unblamed(envoy: &Envoy, after: &str) {
    until("all have ended", || async { in_flight(&envoy.stats().await) == 0 }).await;
    news_travels().await;
    let stats = envoy.stats().await;
    let opened = counted(&stats, "circuit_breaker_transitions_total", &[("state", "open")]);
    assert_eq!((opened, counted(&stats, "circuit_breaker_failures_total", &[])), (0, 0), "after {after}");
}

async fn open(envoy: &Envoy, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_a_client_ends_with_any_code_are_no_failures() {
    let backends = trio().await;
    for backend in &backends {
        backend.set(Behaviour { inter_token_ms: 20, output_tokens: 500, ..Behaviour::default() });
    }
    let router = json!({"backend_instances": {"alpha": {}, "beta": {}, "gamma": {}}});
    let envoy = Envoy::builder().backends(&backends).route(Route::Matcher { retries: 2 }).router(router).start().await;
    let body = streamed_chat("hello").to_string();
    // NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, STREAM_CLOSED, REFUSED_STREAM, CANCEL, and a number without a meaning.
    for code in [0, 1, 2, 5, 7, 8, 0xBEEF] {
        let mut client = Http2::connect(envoy.port()).await.unwrap();
        for n in 0..19 {
            let id = client.post(PATH, JSON, body.as_bytes(), true).await.unwrap();
            // Before the answer, after its headers, in the midst of it.
            if n % 3 > 0 {
                client.read(id, usize::from(n % 3 == 2)).await.unwrap();
            }
            client.reset(id, code).await.unwrap();
        }
        unblamed(&envoy, &format!("code {code}")).await;
    }
    for _ in 0..12 {
        let mut client = Http2::connect(envoy.port()).await.unwrap();
        let id = client.post(PATH, JSON, body.as_bytes(), true).await.unwrap();
        client.read(id, 1).await.unwrap();
        client.break_protocol().await.unwrap();
    }
    unblamed(&envoy, "broken protocol").await;
    for backend in &backends {
        backend.set(Behaviour::default());
    }
    for _ in 0..6 {
        assert_eq!(Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stop_in_the_midst_of_a_body_that_is_not_held_are_no_failures() {
    let alpha = Scripted::start(Script::CloseAfter(Duration::from_millis(200))).await;
    let router = json!({"panic_threshold": 0, "backend_instances": {"alpha": {"backend_type": "generic"}}});
    let envoy = rig(&[("alpha", &alpha)], router).start().await;
    // Of this type, at a path of no known API, a body is sent on as it comes; others are held until they are there.
    let (path, streamed) = ("/inference.Model/Ask", "application/grpc-web");
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {streamed}\r\n");
    let long = format!("{head}content-length: 1000\r\n\r\nhello");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    for bytes in [&long, &chunked] {
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(open(&envoy, bytes).await);
        }
        for mut client in clients {
            let mut answer = Vec::new();
            timeout(PATIENCE, client.read_buf(&mut answer)).await.unwrap().unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&answer));
        }
        unblamed(&envoy, bytes).await;
    }
    let mut client = Http2::connect(envoy.port()).await.unwrap();
    for _ in 0..6 {
        let id = client.post(path, streamed, b"hello", false).await.unwrap();
        client.read(id, 0).await.unwrap();
    }
    unblamed(&envoy, "half of a request over HTTP/2").await;
    // Of whole requests the same end is the backend's.
    for _ in 0..5 {
        assert_eq!(Client::new().post_json(&envoy.url(path), &chat("hello")).await.unwrap().status, 503);
    }
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "circuit_breaker_transitions_total", &[("state", "open")]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_says_that_the_request_is_at_fault_is_no_failure() {
    for status in ["501 Not Implemented", "505 HTTP Version Not Supported", "431 Too Large", "417 Expectation Failed"] {
        let alpha = Scripted::start(Script::answer(status, JSON, "{}")).await;
        let router = json!({"panic_threshold": 0, "backend_instances": {"alpha": {}, "beta": {"priority": 2}}});
        let envoy = rig(&[("alpha", &alpha), ("beta", &alpha)], router).route(Route::Matcher { retries: 1 });
        let envoy = envoy.start().await;
        let client = Client::new();
        for n in 0..12 {
            let method = if n % 2 == 0 { Method::from_bytes(b"PROPFIND").unwrap() } else { Method::POST };
            let headers = [("content-type", JSON)];
            let request = Client::request(&method, &envoy.url(PATH), &headers, chat("hello").to_string());
            let reply = client.send(request).await.unwrap();
            assert_eq!(reply.status.to_string(), status[..3]);
        }
        unblamed(&envoy, status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_ends_well_whoever_ends_it_and_its_handshake_may_fail() {
    let upgrades = |config: &mut Value| {
        let filter = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        filter["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    };
    let request = "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let router = || json!({"panic_threshold": 0, "backend_instances": {"alpha": {"expected_response_time_ms": 700}}});
    // After 4 bytes the backend ends it, with a reset or without; before, the client does.
    for (sent, resets) in [("four", false), ("four", true), ("two", false)] {
        let alpha = Scripted::start(Script::Tunnel(4, resets)).await;
        let envoy = rig(&[("alpha", &alpha)], router()).patch(upgrades).start().await;
        for _ in 0..7 {
            let mut client = open(&envoy, request).await;
            let mut answer = Vec::new();
            while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
                timeout(PATIENCE, client.read_buf(&mut answer)).await.unwrap().unwrap();
            }
            assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
            client.write_all(sent.as_bytes()).await.unwrap();
            if sent == "four" {
                let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap();
            }
        }
        let stats = ended(&envoy).await;
        assert_eq!(counted(&stats, "requests_total", &[("status", "success")]), 7, "{sent} {resets}");
        unblamed(&envoy, sent).await;
        let expected = counted(&envoy.stats().await, "backend_response_time_ms", &[]);
        assert_eq!(expected, 700, "how long a tunnel lasts is no latency");
    }
    // A handshake that nobody answers is a failure like any other, where the backend is there for such requests.
    let alpha = Scripted::start(Script::CloseAfter(Duration::ZERO)).await;
    let generic = json!({"panic_threshold": 0, "backend_instances": {"alpha": {"backend_type": "generic"}}});
    let envoy = rig(&[("alpha", &alpha)], generic).patch(upgrades).start().await;
    let request = &request.replace("/v1/realtime", "/socket");
    for _ in 0..5 {
        let mut client = open(&envoy, request).await;
        let mut answer = Vec::new();
        timeout(PATIENCE, client.read_buf(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&answer));
    }
    until("it opens", || async {
        counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("state", "open")]) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_can_serve_nobody_is_left_for_one_that_can() {
    let page = "<!doctype html><html><body>Sign in</body></html>";
    let scripts = [
        Script::answer("401 Unauthorized", JSON, r#"{"error":{"message":"no such key"}}"#),
        Script::answer("302 Found", "text/html", page),
        Script::answer("404 Not Found", "text/plain", "no such path"),
        Script::answer("200 OK", "text/html", page),
    ];
    for strategy in ["least_connections", "performance_based"] {
        for script in &scripts {
            let alpha = Scripted::start(script.clone()).await;
            let beta = Scripted::start(Script::later(Duration::from_millis(30), "200 OK", JSON, GOOD)).await;
            let breaker =
                json!({"circuit_breaker": {"recovery_timeout_seconds": 600}, "expected_response_time_ms": 30});
            let router = json!({"strategy": strategy, "backend_instances": {"alpha": breaker, "beta": breaker}});
            let envoy = rig(&[("alpha", &alpha), ("beta", &beta)], router).control().start().await;
            let client = Client::new();
            let sent = load(&client, 300, 8, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
            assert_eq!(sent.replies.len(), 300);
            let asked = alpha.requests();
            assert!(asked <= 45, "{strategy} {script:?}: {asked} of 300");
            let left_out = async || {
                let health = client.get(&envoy.control_url("/health")).await.unwrap().json();
                let types = health["health_status"].as_object().unwrap();
                let alpha = types.values().find_map(|backends| backends.get("alpha")).unwrap();
                (alpha["status"] == "unhealthy", alpha["misconfigured"]["left_out"] == true) == (true, true)
            };
            until("it is left out", || async {
                load(&client, 50, 8, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
                left_out().await
            })
            .await;
            let before = (alpha.requests(), beta.requests());
            load(&client, 50, 8, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
            assert_eq!((alpha.requests(), beta.requests()), (before.0, before.1 + 50), "{strategy} {script:?}");
            until("it is told", || async {
                counted(&envoy.stats().await, "alerts_total", &[("alert", "misconfigured"), ("state", "raised")]) == 1
            })
            .await;
            let stats = settled(&envoy).await;
            let labels = [("backend_id", "alpha"), ("status", "misconfigured")];
            assert_eq!(counted(&stats, "requests_total", &labels) as usize, alpha.requests());
            assert_eq!(counted(&stats, "circuit_breaker_transitions_total", &[("state", "open")]), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_nobody_else_a_misconfigured_backend_is_asked_and_told_of() {
    let alpha = Scripted::start(Script::answer("401 Unauthorized", JSON, "{}")).await;
    let envoy = rig(&[("alpha", &alpha)], json!({"backend_instances": {"alpha": {}}})).start().await;
    for _ in 0..20 {
        assert_eq!(Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap().status, 401);
    }
    until("it is told", || async {
        counted(&envoy.stats().await, "alerts_total", &[("alert", "misconfigured"), ("state", "raised")]) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_fail_fast_do_not_look_idle() {
    for strategy in ["least_connections", "performance_based"] {
        let alpha = Scripted::start(Script::answer("503 Service Unavailable", JSON, "{}")).await;
        let beta = Scripted::start(Script::later(Duration::from_millis(40), "200 OK", JSON, GOOD)).await;
        let breaker = json!({"circuit_breaker": {"enabled": false}, "expected_response_time_ms": 40});
        let router = json!({"strategy": strategy, "backend_instances": {"alpha": breaker, "beta": breaker}});
        let envoy = rig(&[("alpha", &alpha), ("beta", &beta)], router).start().await;
        load(&Client::new(), 400, 8, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
        let asked = alpha.requests();
        assert!(asked < 260, "{strategy}: {asked} of 400, without any breaker");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_answers_that_take_longer_than_expected_open_nothing() {
    let slow = Scripted::start(Script::later(Duration::from_millis(110), "200 OK", JSON, GOOD)).await;
    let instance = json!({"expected_response_time_ms": 20});
    let router = json!({"backend_instances": {"alpha": instance, "beta": instance}});
    let envoy = rig(&[("alpha", &slow), ("beta", &slow)], router).start().await;
    let sent = load(&Client::new(), 160, 8, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
    assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
    unblamed(&envoy, "good answers").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_streams_that_flow_close_a_half_open_breaker_at_their_first_content() {
    let alpha = Backend::start("alpha", Flavour::OpenAi).await;
    let breaker = json!({"failure_threshold": 2, "recovery_timeout_seconds": 0.5, "half_open_max_requests": 3,
        "ramp_seconds": 0});
    let router = json!({"panic_threshold": 0, "backend_instances": {"alpha": {"circuit_breaker": breaker}}});
    let envoy = Envoy::builder().backends([&alpha]).route(Route::Matcher { retries: 0 }).router(router).start().await;
    let client = Client::new();
    alpha.set(Behaviour::status(500));
    until("it opens", || async {
        client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
        counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("state", "open")]) == 1
    })
    .await;
    // Each goes on for a minute.
    alpha.set(Behaviour { inter_token_ms: 200, output_tokens: 300, ..Behaviour::default() });
    let mut streams = Vec::new();
    while streams.len() < 3 {
        let request = Client::json_request(&envoy.url(PATH), &streamed_chat("hello"));
        let mut stream = client.open(request).await.unwrap();
        if stream.status == 200 {
            stream.read_at_least(400).await.unwrap();
            streams.push(stream);
        }
    }
    until("it closes", || async {
        counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("reason", "recovered")]) == 1
    })
    .await;
    alpha.set(Behaviour::default());
    news_travels().await;
    for _ in 0..10 {
        assert_eq!(client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap().status, 200);
    }
    drop(streams);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latency_of_any_other_service_is_learned() {
    let found = r#"{"result":[{"id":1,"score":0.9}],"status":"ok","time":0.01}"#;
    let vectors = Scripted::start(Script::later(Duration::from_millis(80), "200 OK", JSON, found)).await;
    let instance = json!({"backend_type": "generic", "expected_response_time_ms": 5});
    let envoy = rig(&[("vectors", &vectors)], json!({"backend_instances": {"vectors": instance}})).start().await;
    let client = Client::new();
    for _ in 0..5 {
        let body = json!({"vector": [0.1, 0.2], "limit": 3});
        let reply = client.post_json(&envoy.url("/collections/x/points/search"), &body).await.unwrap();
        assert_eq!(reply.status, 200);
    }
    until("it is learned", || async { counted(&envoy.stats().await, "backend_response_time_ms", &[]) >= 60 }).await;
}

/// A client with an address of its own.
async fn ask_from(host: u8, envoy: &Envoy, text: &str) -> u16 {
    ask_with("", host, envoy, text).await
}

/// The same with more headers.
async fn ask_with(headers: &str, host: u8, envoy: &Envoy, text: &str) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0))).unwrap();
    let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap();
    let body = chat(text).to_string();
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n", body.len());
    stream.write_all(format!("{head}{headers}connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_whose_requests_fail_takes_a_backend_from_nobody() {
    let alpha = Scripted::start(Script::Poisoned("poison")).await;
    let envoy =
        rig(&[("alpha", &alpha)], json!({"panic_threshold": 0, "backend_instances": {"alpha": {}}})).start().await;
    // Each on a connection of its own.
    for n in 0..300 {
        if n % 12 == 0 {
            assert_eq!(ask_from(3, &envoy, "hello").await, 200, "{n}");
        }
        assert_eq!(ask_from(2, &envoy, "poison").await, 500, "{n}");
    }
    assert_eq!(counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("state", "open")]), 0);
    // Where others fail, too, it opens.
    for host in [2, 3, 4, 2, 3] {
        ask_from(host, &envoy, "poison").await;
    }
    until("it opens", || async {
        counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("state", "open")]) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_holds_and_leaves_its_probes_does_not_keep_a_breaker_from_closing() {
    let alpha = Scripted::start(Script::Lingering("linger", Duration::from_secs(30))).await;
    let breaker = json!({"circuit_breaker": {"recovery_timeout_seconds": 2}});
    let router = json!({"panic_threshold": 0, "backend_instances": {"alpha": breaker}});
    let envoy = rig(&[("alpha", &alpha)], router).control().start().await;
    assert_eq!(ask_from(3, &envoy, "hello").await, 200);
    news_travels().await;
    let opened = Client::new()
        .send(Client::request(&Method::POST, &envoy.control_url("/circuit-breaker/alpha/open"), &[], "{}"))
        .await
        .unwrap();
    assert_eq!(opened.status, 200, "{}", opened.text());
    // Eight connections of one client, which asks again when it has left; it comes first, and more often.
    let port = envoy.port();
    let attack = tokio::spawn(async move {
        let body = chat("linger").to_string();
        loop {
            let one = || async {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0))).unwrap();
                let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.unwrap();
                let head = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\n");
                let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                let _ = timeout(Duration::from_secs(8), stream.read_buf(&mut answer)).await;
            };
            join_all((0..8).map(|_| one())).await;
        }
    });
    until("alpha has a probe of it", || async { alpha.requests() > 1 }).await;
    let started = std::time::Instant::now();
    until("the breaker has closed", || async {
        ask_from(3, &envoy, "hello").await;
        counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("state", "closed")]) == 1
    })
    .await;
    println!("closed after {:?}", started.elapsed());
    attack.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_names_other_addresses_is_one_client() {
    let alpha = Scripted::start(Script::Poisoned("poison")).await;
    let router = json!({"panic_threshold": 0, "backend_instances": {"alpha": {}}});
    // As the shipped files have it, each of them.
    let files = [
        include_str!("../../envoy/envoy.yaml"),
        include_str!("../../envoy/minimal.yaml"),
        include_str!("../../envoy/access-log.yaml"),
        include_str!("../../envoy/kubernetes/envoy.yaml"),
    ];
    for file in files {
        let (_, rest) = file.split_once("stat_prefix: llm\n").unwrap();
        let (manager, _) = rest.split_once("routes:").unwrap();
        assert!(manager.contains(" use_remote_address: true\n"));
    }
    let envoy = rig(&[("alpha", &alpha)], router)
        .patch(|config| {
            let filters = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
            filters[0]["typed_config"]["use_remote_address"] = true.into();
        })
        .start()
        .await;
    for n in 0..60 {
        if n % 12 == 0 {
            assert_eq!(ask_from(3, &envoy, "hello").await, 200, "{n}");
        }
        let named = format!("x-forwarded-for: 198.51.100.{n}\r\n");
        assert_eq!(ask_with(&named, 2, &envoy, "poison").await, 500, "{n}");
    }
    assert_eq!(counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("state", "open")]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_that_asks_for_what_takes_long_takes_a_backend_from_nobody() {
    let alpha = Scripted::start(Script::Lingering("linger", Duration::from_millis(700))).await;
    let instance = json!({"expected_response_time_ms": 50});
    let router = json!({"panic_threshold": 0, "backend_instances": {"alpha": instance}});
    let envoy = rig(&[("alpha", &alpha)], router).start().await;
    let opened = async || counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[("state", "open")]);
    for _ in 0..25 {
        assert_eq!(ask_from(3, &envoy, "hello").await, 200);
    }
    for _ in 0..3 {
        assert_eq!(ask_from(3, &envoy, "hello").await, 200);
        let many = (0..40).map(|_| ask_from(2, &envoy, "linger"));
        assert!(join_all(many).await.into_iter().all(|status| status == 200));
    }
    news_travels().await;
    assert_eq!(opened().await, 0);
    assert_eq!(ask_from(3, &envoy, "hello").await, 200);
    // Where others wait as long, it opens.
    for _ in 0..3 {
        join_all((0..40).map(|n| ask_from(2 + n % 4, &envoy, "linger"))).await;
    }
    until("it opens", || async { opened().await == 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_fails_each_probe_does_not_keep_the_breaker_open_for_the_others() {
    let alpha = Scripted::start(Script::Poisoned("poison")).await;
    let breaker = json!({"recovery_timeout_seconds": 1, "half_open_max_requests": 1, "ramp_seconds": 0});
    let router = json!({"panic_threshold": 0, "backend_instances": {"alpha": {"circuit_breaker": breaker}}});
    let envoy = rig(&[("alpha", &alpha)], router).start().await;
    let transitions = |label: (&'static str, &'static str)| {
        let envoy = &envoy;
        async move { counted(&envoy.stats().await, "circuit_breaker_transitions_total", &[label]) }
    };
    assert_eq!(ask_from(3, &envoy, "hello").await, 200);
    until("several clients open it", || async {
        for host in [2, 4, 5] {
            ask_from(host, &envoy, "poison").await;
        }
        transitions(("state", "open")).await > 0
    })
    .await;
    until("a probe fails", || async {
        ask_from(2, &envoy, "poison").await;
        transitions(("reason", "failed_probe")).await > 0
    })
    .await;
    // Whoever comes first when probes are let through is the probe, and that is always the same.
    until("another client's probe closes it", || async {
        ask_from(2, &envoy, "poison").await;
        ask_from(3, &envoy, "hello").await;
        transitions(("reason", "recovered")).await > 0
    })
    .await;
    assert_eq!(ask_from(3, &envoy, "hello").await, 200);
}
