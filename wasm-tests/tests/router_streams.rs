//! Answers as they pass by: unchanged, at once, counted; and whatever way they end, counted out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour, PromptTokens},
    client::{Client, Error, Stream},
    envoy::{Builder, Envoy, Route, Stats},
    router::{chat, counted, ended, news_travels, settled, streamed_chat, trio_of, until},
};

const CHAT: &str = "/v1/chat/completions";
/// Perplexity's, which has no `[DONE]`.
const PERPLEXITY: &str = "/chat/completions";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";
const COMPLETIONS: &str = "/v1/completions";
const LIGHTRAG: &str = "/query/stream";

/// Every way to stream.
const STREAMS: [&str; 6] = [CHAT, PERPLEXITY, MESSAGES, RESPONSES, COMPLETIONS, LIGHTRAG];

/// A question that every API understands.
fn question(stream: bool) -> Value {
    let mut body = if stream { streamed_chat("hello") } else { chat("hello") };
    body["input"] = "hello".into();
    body["prompt"] = "hello".into();
    body["query"] = "hello".into();
    body["max_tokens"] = 1024.into();
    body
}

/// That question, with what Anthropic's API asks for besides.
fn request(url: &str, stream: bool) -> Request<Full<Bytes>> {
    let headers = [("content-type", "application/json"), ("anthropic-version", "2023-06-01")];
    Client::request(&Method::POST, url, &headers, question(stream).to_string())
}

/// All that these backends speak.
fn apis() -> Value {
    json!(["openai", "anthropic", "perplexity", "lightrag"])
}

/// Alpha first, beta only where alpha may not.
fn rig(backends: &[Backend], breaker: &Value) -> Builder {
    let instances =
        json!({"alpha": {"apis": apis(), "circuit_breaker": breaker}, "beta": {"apis": apis(), "priority": 2}});
    matched(backends, json!({"backend_instances": instances}))
}

fn matched(backends: &[Backend], router: Value) -> Builder {
    let envoy = Envoy::builder().concurrency(4).backends(backends).route(Route::Matcher { retries: 2 }).router(router);
    envoy.patch(|config| {
        let manager = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        // A connection whose answer broke off is closed a second later; that second is not what is tested.
        manager["delayed_close_timeout"] = json!("0.02s");
    })
}

fn unbreakable() -> Value {
    json!({"enabled": false})
}

async fn open(client: &Client, envoy: &Envoy, path: &str) -> Stream {
    client.open(request(&envoy.url(path), true)).await.unwrap()
}

fn ended_as(stats: &Stats, name: &str) -> u64 {
    counted(stats, "requests_total", &[("status", name)])
}

/// Times of day (ten digits) made the same.
fn without_times(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut out = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|c: char| !c.is_ascii_digit());
        out.push_str(if digits.len() == 10 { "<time>" } else { digits });
        out.push_str(&piece[digits.len()..]);
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_pass_unchanged_however_they_are_chunked() {
    let backends = [Backend::start("alpha", Flavour::Proxy).await, Backend::start("beta", Flavour::Proxy).await];
    let twin = Backend::start("alpha", Flavour::Proxy).await;
    let envoy = rig(&backends, &unbreakable()).start().await;
    let client = Client::new();
    for piece_bytes in [None, Some(13)] {
        for backend in [&backends[0], &twin] {
            backend.set(Behaviour { output_tokens: 12, piece_bytes, ..Behaviour::default() });
        }
        for path in STREAMS.into_iter().chain(["/query", "/v1/embeddings"]) {
            for stream in [true, false] {
                let routed = client.send(request(&envoy.url(path), stream)).await.unwrap();
                let direct = client.send(request(&twin.url(path), stream)).await.unwrap();
                assert_eq!((routed.status, routed.header("x-llm-backend").as_deref()), (200, Some("alpha")));
                assert_eq!(routed.header("content-type"), direct.header("content-type"));
                assert_eq!(without_times(&routed.body), without_times(&direct.body), "{path}");
            }
        }
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_token_arrives_while_the_backend_still_has_not_said_the_second() {
    let backends = trio_of(Flavour::Proxy).await;
    let envoy = rig(&backends, &unbreakable()).start().await;
    let client = Client::new();
    backends[0].set(Behaviour::fault(Fault::StallAfter(1)));
    for path in STREAMS {
        let mut stream = open(&client, &envoy, path).await;
        while !stream.so_far().windows(3).any(|window| window == b"The") {
            let read = stream.so_far().len();
            assert!(stream.read_at_least(read + 1).await.unwrap() > read, "{path} ended");
        }
        assert_eq!(backends[0].counters().in_flight, 1, "{path}");
        stream.cut();
        until("the backend is let go", || async { backends[0].counters().in_flight == 0 }).await;
    }
    let stats = settled(&envoy).await;
    assert_eq!(ended_as(&stats, "client_abort"), STREAMS.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_counted_as_the_provider_reports_them() {
    let backends = trio_of(Flavour::Proxy).await;
    let envoy = rig(&backends, &unbreakable()).start().await;
    let client = Client::new();
    let cases = STREAMS.iter().flat_map(|path| [(*path, true), (*path, false)]);
    let cases = cases.chain([("/query", false), ("/v1/embeddings", false)]);
    let tokens = |stats: &Stats| {
        ["input", "cached_input", "output"].map(|kind| {
            assert_eq!(counted(stats, "tokens_total", &[("backend_id", "beta"), ("kind", kind)]), 0);
            counted(stats, "tokens_total", &[("backend_id", "alpha"), ("kind", kind)])
        })
    };
    for (path, stream) in cases {
        for piece_bytes in [None, Some(13)] {
            let prompt_tokens = PromptTokens::Exactly(40);
            let reports = Behaviour { prompt_tokens, cached_tokens: 10, output_tokens: 5, ..Behaviour::default() };
            backends[0].set(Behaviour { piece_bytes, ..reports });
            let before = tokens(&envoy.stats().await);
            let reply = client.send(request(&envoy.url(path), stream)).await.unwrap();
            assert_eq!(reply.status, 200, "{path}");
            // Counted when Envoy logs the request, which may be just after its last byte.
            let stats = ended(&envoy).await;
            let after = tokens(&stats);
            let counted: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
            let reported = match path {
                // It reports none.
                "/query" | LIGHTRAG => [0, 0, 0],
                "/v1/embeddings" => [40, 0, 0],
                _ if !reply.text().contains("cache") => [40, 0, 5],
                _ => [40, 10, 5],
            };
            assert_eq!(counted, reported, "{path} stream={stream}: {}", reply.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_streams_cut_by_their_clients_leave_nothing_in_flight_and_harm_nobody() {
    let backends = trio_of(Flavour::Proxy).await;
    for backend in &backends {
        // They would never end by themselves.
        backend.set(Behaviour::fault(Fault::StallAfter(2)));
    }
    let instance = json!({"apis": apis()});
    let instances = json!({"alpha": instance, "beta": instance, "gamma": instance});
    let router = json!({"strategy": "round_robin", "backend_instances": instances});
    let envoy = matched(&backends, router).start().await;
    let mut cutting = JoinSet::new();
    for n in 0..50 {
        let (client, url) = (Client::new(), envoy.url(STREAMS[n % STREAMS.len()]));
        cutting.spawn(async move {
            for _ in 0..10 {
                let mut stream = client.open(request(&url, true)).await.unwrap();
                assert_eq!(stream.status, 200);
                stream.read_at_least(1).await.unwrap();
                stream.cut();
            }
        });
    }
    cutting.join_all().await;
    let stats = settled(&envoy).await;
    assert_eq!((ended_as(&stats, "client_abort"), counted(&stats, "requests_total", &[])), (500, 500));
    assert_eq!(counted(&stats, "circuit_breaker_failures_total", &[]), 0);
    assert_eq!(counted(&stats, "circuit_breaker_state", &[]), 0);
    for backend in &backends {
        until("the backend is let go", || async { backend.counters().in_flight == 0 }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_or_says_error_is_a_failure_though_its_status_is_200() {
    let backends = trio_of(Flavour::Proxy).await;
    let envoy = rig(&backends, &unbreakable()).start().await;
    let client = Client::new();
    let mut failures = 0;
    for path in STREAMS {
        for (stream, fault) in [
            (true, Fault::ErrorAfter(2)),
            (true, Fault::TruncateAfter(2)),
            (true, Fault::ResetAfter(2)),
            (true, Fault::CutAfter(2)),
            (false, Fault::ErrorAfter(0)),
            (false, Fault::TruncateAfter(0)),
            (false, Fault::ResetAfter(0)),
            (false, Fault::CutAfter(0)),
        ] {
            let is_unknowable = path == LIGHTRAG && matches!(fault, Fault::TruncateAfter(_));
            if is_unknowable || (path == LIGHTRAG && !stream) {
                continue;
            }
            backends[0].set(Behaviour::fault(fault));
            // The client sees it as it is: a whole answer of 200, or one that breaks off.
            match client.send(request(&envoy.url(path), stream)).await {
                Ok(reply) => assert_eq!(reply.status, 200, "{path} {fault:?}"),
                Err(Error::Broken(..)) => {}
                Err(error) => panic!("{path} {fault:?}: {error}"),
            }
            let stats = ended(&envoy).await;
            failures += 1;
            assert_eq!(ended_as(&stats, "failure"), failures, "{path} stream={stream} {fault:?}");
            assert_eq!(counted(&stats, "circuit_breaker_failures_total", &[("backend_id", "alpha")]), failures);
        }
    }
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[]), failures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_inside_streams_open_the_breaker() {
    let backends = trio_of(Flavour::Proxy).await;
    let breaker = json!({"failure_threshold": 3, "recovery_timeout_seconds": 0.1, "half_open_max_requests": 1,
        "adaptive": false, "ramp_seconds": 0});
    let envoy = rig(&backends, &breaker).start().await;
    let client = Client::new();
    let state = async || counted(&envoy.stats().await, "circuit_breaker_state", &[("backend_id", "alpha")]);
    let ask = async || {
        let stream = open(&client, &envoy, CHAT).await;
        let backend = stream.header("x-llm-backend").unwrap();
        // How it ends is not of interest here.
        let _ = stream.rest().await;
        backend
    };
    for fault in [Fault::ErrorAfter(2), Fault::TruncateAfter(2), Fault::CutAfter(2), Fault::ResetAfter(2)] {
        backends[0].set(Behaviour::fault(fault));
        for _ in 0..3 {
            assert_eq!((state().await, ask().await.as_str()), (0, "alpha"), "{fault:?}");
            ended(&envoy).await;
        }
        // A pool may have used another connection than the one that was served a moment ago; then one failure was discounted.
        until(&format!("{fault:?}: it is shown as open"), || async {
            news_travels().await;
            let is_open = state().await == 2;
            if !is_open {
                ask().await;
            }
            is_open
        })
        .await;
        backends[0].set(Behaviour::default());
        // A worker that has not heard yet still sends to it, but what it learns there closes nothing: so ask on.
        until("it is tried again, and closed", || async {
            ask().await;
            state().await == 0
        })
        .await;
        news_travels().await;
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_hangs_until_the_routes_timeout_has_failed() {
    let backends = trio_of(Flavour::Proxy).await;
    let envoy = rig(&backends, &unbreakable()).route_timeout("0.3s").start().await;
    let client = Client::new();
    backends[0].set(Behaviour::fault(Fault::Hang));
    let reply = client.post_json(&envoy.url(CHAT), &question(false)).await.unwrap();
    assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (504, Some("alpha")));
    let stats = settled(&envoy).await;
    assert_eq!((ended_as(&stats, "failure"), counted(&stats, "requests_total", &[])), (1, 1));

    backends[0].set(Behaviour::fault(Fault::StallAfter(2)));
    let broken = open(&client, &envoy, CHAT).await.rest().await;
    assert!(matches!(broken, Err(Error::Broken(..))), "{broken:?}");
    let stats = settled(&envoy).await;
    assert_eq!((ended_as(&stats, "failure"), counted(&stats, "requests_total", &[])), (2, 2));
    assert_eq!(counted(&stats, "circuit_breaker_failures_total", &[("backend_id", "alpha")]), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_way_to_end_at_once_each_request_was_counted_in_and_out_once() {
    const SENDERS: usize = 24;
    const EACH: usize = 25;
    let backends = trio_of(Flavour::Proxy).await;
    let faults = [
        Behaviour::default(),
        Behaviour::status(400),
        Behaviour::status(429),
        Behaviour::status(500),
        Behaviour::status(503),
        Behaviour::fault(Fault::Reset),
        Behaviour::fault(Fault::ResetAfter(1)),
        Behaviour::fault(Fault::CutAfter(1)),
        Behaviour::fault(Fault::TruncateAfter(1)),
        Behaviour::fault(Fault::ErrorAfter(1)),
        Behaviour::fault(Fault::StallAfter(1)),
        Behaviour::fault(Fault::Hang),
        Behaviour { inter_token_ms: 10, ..Behaviour::default() },
    ];
    for (place, backend) in backends.iter().enumerate() {
        for n in 0..600 {
            backend.next(1, faults[(n * (place + 1)) % faults.len()].clone());
        }
    }
    let breaker = json!({"failure_threshold": 3, "recovery_timeout_seconds": 0.05});
    let instance = json!({"max_concurrent_requests": 6, "circuit_breaker": breaker});
    let router = json!({"strategy": "least_connections",
        "backend_instances": {"alpha": instance, "beta": instance, "gamma": instance}});
    let envoy = matched(&backends, router).route_timeout("0.4s").start().await;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (client, url) = (Client::new(), envoy.url(CHAT));
        senders.spawn(async move {
            for n in 0..EACH {
                let request = Client::json_request(&url, &question(n % 2 == 0));
                match (sender + n) % 4 {
                    // Away before the answer has begun, or while it goes on.
                    0 => drop(tokio::time::timeout(Duration::from_millis(n as u64), client.open(request)).await),
                    1 => {
                        let mut stream = client.open(request).await.unwrap();
                        let _ = stream.read_at_least(1).await;
                        stream.cut();
                    }
                    _ => drop(client.send(request).await),
                }
                // Breakers open and close meanwhile, so that not all are refused.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    let killing = async {
        until("it is in the midst of it", || async { backends[2].counters().prompts >= 15 }).await;
        backends[2].kill().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        backends[2].restart().await;
    };
    tokio::join!(senders.join_all(), killing);

    // That each ended once is what it waits for.
    let stats = settled(&envoy).await;
    for status in ["success", "client_error", "failure", "client_abort"] {
        assert!(ended_as(&stats, status) > 0, "{status} did not happen, so it is not shown");
    }
    assert!(counted(&stats, "failovers_total", &[]) > 0);
}
