//! What nobody well-meaning would send: never a trap, never a hang, a clear answer each, and no way to steer.
//!
//! One worker, so that whatever is sent next runs in the VM that has just been attacked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_stack_arrays,
    reason = "a test"
)]

use std::{
    convert::Infallible,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{HeaderMap, Method, Request, body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour, Seen},
    client::{Client, Reply, raw},
    envoy::{Builder, Envoy, Route},
    router::{chat, counted, in_flight, trio, trio_of, troubles},
};

const PATH: &str = "/v1/chat/completions";
const MIB: usize = 1024 * 1024;
/// The router's default limit of a body.
const LIMIT: usize = 4 * MIB;
/// Nothing may keep a client waiting for longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Alpha before beta before gamma.
fn router() -> Value {
    let instance = |priority: u32| json!({"priority": priority, "apis": ["openai", "anthropic", "lightrag"]});
    json!({"backend_instances": {"alpha": instance(1), "beta": instance(2), "gamma": instance(3)}})
}

fn rig(backends: &[Backend]) -> Builder {
    Envoy::builder().backends(backends).route(Route::Matcher { retries: 2 }).router(router())
}

/// The VM is the one it was, the router saw no error of its own, and it goes on serving.
async fn unharmed(envoy: &Envoy, after: &str) {
    let reply = Client::new().post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
    assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("alpha")), "after {after}");
    let stats = envoy.wait_for(Duration::from_secs(5), |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), [], "after {after}");
}

/// Status, head and body of an answer as it came.
fn parts(answer: &[u8]) -> (u16, String, Vec<u8>) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

/// A request as bytes.
fn post(path: &str, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").into_bytes();
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn assert_refusal(status: u16, body: &[u8], wanted: u16, code: &str) {
    assert_eq!(status, wanted, "{}", String::from_utf8_lossy(body));
    let body: Value = serde_json::from_slice(body).expect("a refusal is JSON");
    let error = body["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "param", "type"]);
    assert_eq!((error["code"].as_str(), error["type"].as_str()), (Some(code), Some("invalid_request_error")));
    assert!(!error["message"].as_str().unwrap().is_empty() && error["param"].is_null(), "{body}");
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

async fn connect(envoy: &Envoy) -> TcpStream {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap()
}

/// The headers whose names are the router's own, as the backend saw them.
fn own_headers(seen: &Seen) -> Vec<(&str, String)> {
    let own = seen.headers.iter().filter(|(name, _)| name.starts_with("x-llm-") || name == "x-envoy-attempt-count");
    own.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_headers_neither_steer_nor_arrive() {
    let backends = trio().await;
    let [alpha, beta, gamma] = &backends;
    let mut forged = Vec::new();
    for _ in 0..2 {
        for name in [
            "x-llm-cluster",
            "X-LLM-Try-0",
            "x-llm-try-1",
            "x-llm-try-2",
            "x-llm-try-3",
            "x-llm-shadow-cluster",
            "x-llm-strategy",
            "x-llm-explain",
            "x-llm-estimated-tokens",
            "x-llm-backend",
            "x-llm-",
            "x-llm-made-up",
        ] {
            forged.extend_from_slice(format!("{name}: gamma\r\nx-between: 1\r\n").as_bytes());
        }
        forged
            .extend_from_slice(b"x-envoy-attempt-count: 2\r\nx-envoy-attempt-count: 2\r\nx-llm-min-quality: \xff\r\n");
    }
    for n in 0..30 {
        forged.extend_from_slice(format!("x-llm-{n}: gamma\r\n").as_bytes());
    }
    let body = chat("hello").to_string();

    let envoy = rig(&backends).start().await;
    let (status, head, _) = parts(&raw(envoy.port(), &post(PATH, &forged, body.as_bytes())).await.unwrap());
    assert_eq!(status, 200);
    assert!(head.contains("x-llm-backend: alpha\r\n") && head.contains("x-llm-attempts: 1\r\n"), "{head}");
    let seen = alpha.prompts().pop().unwrap();
    let mut own = own_headers(&seen);
    own.sort_unstable();
    let set = [
        ("x-envoy-attempt-count", "1"),
        ("x-llm-cluster", "alpha"),
        ("x-llm-try-0", "alpha"),
        ("x-llm-try-1", "beta"),
        ("x-llm-try-2", "gamma"),
    ];
    assert_eq!(own, set.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(seen.values("x-between").len(), 24, "others stay");
    unharmed(&envoy, "forged headers").await;

    // A client cannot ask for the removal of what the router sets, either.
    let hop = b"x-a: 1\r\nconnection: x-llm-cluster, x-llm-try-0, x-envoy-attempt-count\r\n";
    let (status, head, _) = parts(&raw(envoy.port(), &post(PATH, hop, body.as_bytes())).await.unwrap());
    assert!(status == 200 && head.contains("x-llm-backend: alpha\r\n"), "{head}");
    unharmed(&envoy, "headers of the hop").await;
    drop(envoy);

    let mut plain = router();
    plain["retry"] = json!({"max_attempts": 1});
    let envoy = Envoy::builder().backends(&backends).route(Route::ClusterHeader).router(plain).start().await;
    alpha.clear_journal();
    let (status, ..) = parts(&raw(envoy.port(), &post(PATH, &forged, body.as_bytes())).await.unwrap());
    assert_eq!(status, 200);
    let seen = alpha.prompts().pop().unwrap();
    let own = own_headers(&seen);
    assert_eq!(own.iter().filter(|(name, _)| *name == "x-llm-cluster").count(), 1);
    let set = [("x-llm-cluster", "alpha"), ("x-envoy-attempt-count", "1")];
    for (name, value) in own {
        assert!(set.contains(&(name, value.as_str())), "{name}: {value}");
    }
    unharmed(&envoy, "forged headers on a plain route").await;
    assert_eq!((beta.journal().len(), gamma.journal().len()), (0, 0), "no mirror either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_any_bytes_are_no_trouble() {
    let backends = trio().await;
    let mut config = router();
    config["client_hints"] = json!(["strategy", "min_quality"]);
    let envoy = rig(&backends).router(config).start().await;
    let body = chat("hello").to_string();
    let odd: [(&str, &[u8]); 9] = [
        ("wrong bytes", b"x-odd: a\xff\xfe\x80b\r\nx-latin: \xe9t\xe9\r\n"),
        ("wrong bytes in hints", b"x-llm-strategy: \xff\xfe\r\nx-llm-min-quality: \xf0\x28\x8c\x28\r\n"),
        ("hints without sense", b"x-llm-strategy: \r\nx-llm-min-quality: 1e999\r\n"),
        ("wrong bytes in what is read", b"content-type: \xff\xfe\r\ncontent-encoding: \xff\r\n"),
        ("names of odd letters", b"!#$%&'*+-.^_`|~: 1\r\nx_under_score: 1\r\n"),
        ("no values", b"content-type:\r\ncontent-encoding:\r\nx-empty:\r\n"),
        ("several of one", b"content-type: text/plain\r\ncontent-type: application/json\r\naccept: a\r\naccept: b\r\n"),
        ("a long one", &[b"x-long: ".as_slice(), &[b'a'; 40_000], b"\r\n"].concat()),
        ("coding that nobody knows", b"content-type: application/json\r\ncontent-encoding: snappy\r\n"),
    ];
    for (what, headers) in odd {
        let (status, head, answer) = parts(&raw(envoy.port(), &post(PATH, headers, body.as_bytes())).await.unwrap());
        assert_eq!(status, 200, "{what}: {head} {}", String::from_utf8_lossy(&answer));
        unharmed(&envoy, what).await;
    }
    let first = backends[0].prompts().swap_remove(0);
    assert!(first.headers.contains(&("x-odd".to_owned(), b"a\xff\xfe\x80b".to_vec())), "bytes stay as they are");

    // What Envoy itself refuses never gets to the filter; that it does is not ours to say, that nothing breaks is.
    let refused: [&[u8]; 5] = [
        b"POST /v1/chat/comp\xffletions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /query HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-\xff: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /query HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"\xff\xfe\xfd / HTTP/9.9\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\nconnection: close\r\n\r\n",
    ];
    for bytes in refused {
        let answer = timeout(PATIENCE, raw(envoy.port(), bytes)).await.expect("no hang").unwrap();
        assert!(parts(&answer).0 < 500, "{}", String::from_utf8_lossy(&answer));
        unharmed(&envoy, &String::from_utf8_lossy(bytes)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_understood_is_routed_by_its_size() {
    let backends = trio_of(Flavour::Proxy).await;
    let envoy = rig(&backends).start().await;
    let client = Client::new();
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let bodies: Vec<(&str, Bytes)> = vec![
        ("nothing", Bytes::new()),
        ("half of it", r#"{"messages": [{"role": "us"#.into()),
        ("no JSON", "hello".into()),
        ("not even text", Bytes::from_static(b"\xff\xfe\x00\x01")),
        ("wrong text inside JSON", Bytes::from_static(b"{\"messages\":[{\"content\":\"\xff\xfe\"}]}")),
        ("half a surrogate", r#"{"messages":[{"content":"\ud83d"}]}"#.into()),
        ("a number", "7".into()),
        ("two of them", "{}{}".into()),
        ("deep where it is read", format!(r#"{{"messages":{}}}"#, deep("[", "]")).into()),
        ("deep where it is skipped", format!(r#"{{"metadata":{}}}"#, deep(r#"{"a":"#, "}")).into()),
        ("deep and never closed", "[".repeat(100_000).into()),
        ("deep content", format!(r#"{{"messages":[{{"content":{}}}]}}"#, deep(r#"[{"text":"#, "}]")).into()),
        ("numbers beyond measure", r#"{"messages":[],"max_tokens":1e999,"n":-9e999}"#.into()),
    ];
    for (what, body) in bodies {
        let size = body.len();
        let request = Client::request(&Method::POST, &envoy.url(PATH), &[("content-type", "application/json")], body);
        let reply = client.send(request).await.unwrap();
        // The simulated backend says what it thinks of such a body; what matters is that it was asked.
        assert_eq!(reply.header("x-sim-backend").as_deref(), Some("alpha"), "{what}: {}", reply.text());
        assert!(matches!(reply.status, 200 | 400), "{what}: {}", reply.status);
        let estimate: usize = reply.header("x-llm-estimated-tokens").unwrap().parse().unwrap();
        assert!(estimate <= size, "{what}: {estimate} tokens in {size} bytes");
        assert_eq!(backends[0].prompts().last().unwrap().body_len, size, "{what}");
        unharmed(&envoy, what).await;
    }
    for (what, body) in [
        ("wrong types", json!({"messages": 7, "model": [], "max_tokens": "many", "stream": "yes", "tools": {"a": 1}})),
        (
            "more wrong types",
            json!({"messages": [1, null, [], {"content": {"text": 1}}, {"content": [3, {"type": 4}]}]}),
        ),
        ("odd limits", json!({"messages": [], "max_tokens": 18_446_744_073_709_551_615_u64, "n": u64::MAX})),
        ("negative limits", json!({"messages": [], "max_tokens": -5, "n": 0.5})),
        ("nulls", json!({"messages": null, "model": null, "max_tokens": null, "stream": null})),
    ] {
        for path in [PATH, "/v1/messages", "/v1/responses", "/v1/completions", "/v1/embeddings", "/query"] {
            let reply = client.post_json(&envoy.url(path), &body).await.unwrap();
            // The backend is as strict as its service; what matters is that it was asked.
            assert_eq!(reply.header("x-sim-backend").as_deref(), Some("alpha"), "{what} {path}");
            assert!(matches!(reply.status, 400 | 422), "{what} {path}: {}", reply.status);
        }
        unharmed(&envoy, what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_however_it_is_sent() {
    let backends = trio().await;
    let envoy = rig(&backends).start().await;
    let client = Client::new();
    let padded = |size: usize| {
        let empty = chat("").to_string().len();
        let mut text = "lorem ipsum ".repeat(size / 12);
        text.truncate(size - empty);
        Bytes::from(chat(&text).to_string())
    };
    let send = |body: Bytes| {
        let request = Client::request(&Method::POST, &envoy.url(PATH), &[("content-type", "application/json")], body);
        client.send(request)
    };

    let reply = send(padded(LIMIT)).await.unwrap();
    assert_eq!((reply.status, backends[0].prompts()[0].body_len), (200, LIMIT), "at the limit it passes");
    let estimate: usize = reply.header("x-llm-estimated-tokens").unwrap().parse().unwrap();
    assert!(estimate > LIMIT / 10, "{estimate}");

    for size in [LIMIT + 1, 10 * MIB] {
        let answer = timeout(PATIENCE, raw_upload(&envoy, &format!("content-length: {size}"), &[padded(size)])).await;
        let (status, head, body) = parts(&answer.expect("no hang"));
        assert!(head.contains("content-type: application/json"), "{head}");
        assert_refusal(status, &body, 413, "request_too_large");
        unharmed(&envoy, "content-length").await;
    }

    let chunks: Vec<Bytes> = padded(10 * MIB).chunks(64 * 1024).map(chunked).collect();
    let answer = timeout(PATIENCE, raw_upload(&envoy, "transfer-encoding: chunked", &chunks)).await;
    let (status, _, body) = parts(&answer.expect("no hang"));
    assert_refusal(status, &body, 413, "request_too_large");
    unharmed(&envoy, "chunks").await;
    assert_eq!(counted(&envoy.stats().await, "refusals_total", &[("code", "request_too_large")]), 3);
    drop(envoy);

    // Where Envoy's own buffer is smaller than the router's limit, Envoy says no.
    let envoy = rig(&backends)
        .patch(|config| {
            config["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] = json!(128 * 1024);
        })
        .start()
        .await;
    for coding in [format!("content-length: {}", 2 * MIB), "transfer-encoding: chunked".to_owned()] {
        let chunked = coding.contains("chunked");
        let body: Vec<Bytes> = padded(2 * MIB).chunks(64 * 1024).map(|c| raw_or_chunked(c, chunked)).collect();
        let answer = timeout(PATIENCE, raw_upload(&envoy, &coding, &body)).await.expect("no hang");
        assert_eq!(parts(&answer).0, 413, "{}", String::from_utf8_lossy(&answer));
        unharmed(&envoy, "a small buffer").await;
    }
    for backend in &backends {
        assert!(backend.prompts().iter().all(|seen| seen.body_len <= LIMIT));
    }
}

fn chunked(data: &[u8]) -> Bytes {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat().into()
}

fn raw_or_chunked(data: &[u8], chunks: bool) -> Bytes {
    if chunks { chunked(data) } else { Bytes::copy_from_slice(data) }
}

/// Sends a body piece by piece for as long as it is wanted, and reads what comes back.
async fn raw_upload(envoy: &Envoy, framing: &str, pieces: &[Bytes]) -> Vec<u8> {
    let (mut reading, mut writing) = connect(envoy).await.into_split();
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n");
    let write = async {
        // The other side may close before the end: that is what is tested.
        let mut sent = writing.write_all(head.as_bytes()).await;
        for piece in pieces {
            if sent.is_err() {
                break;
            }
            sent = writing.write_all(piece).await;
        }
        if framing.contains("chunked") && sent.is_ok() {
            let _ = writing.write_all(b"0\r\n\r\n").await;
        }
    };
    let read = async {
        let mut answer = Vec::new();
        while let Ok(1..) = reading.read_buf(&mut answer).await {}
        answer
    };
    tokio::join!(write, read).1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_bodies_are_read_or_refused_but_never_swallowed_whole() {
    let backends = trio().await;
    let envoy = rig(&backends).start().await;
    let client = Client::new();
    let send = async |body: Vec<u8>| -> Reply {
        let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
        client.send(Client::request(&Method::POST, &envoy.url(PATH), &headers, body)).await.unwrap()
    };
    // Without usage there is nothing to learn, and the estimates can be compared.
    backends[0].set(Behaviour { usage: false, ..Behaviour::default() });
    let estimate = |reply: &Reply| reply.header("x-llm-estimated-tokens").unwrap().parse::<usize>().unwrap();
    let text = chat(&"What is said in few words is soon read. ".repeat(100));

    let packed = send(gzip(text.to_string().as_bytes())).await;
    let plain = client.post_json(&envoy.url(PATH), &text).await.unwrap();
    assert_eq!((packed.status, plain.status), (200, 200));
    let (packed, plain) = (estimate(&packed), estimate(&plain));
    assert!(packed > 600 && packed == plain, "{packed} and {plain}");
    unharmed(&envoy, "a packed body").await;

    let whole = gzip(text.to_string().as_bytes());
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    let broken = [
        ("cut", whole[..whole.len() - 9].to_vec()),
        ("damaged", damaged),
        ("only a header", whole[..10].to_vec()),
        ("not packed at all", b"{}".to_vec()),
        ("one byte", vec![0x1F]),
    ];
    for (what, body) in broken {
        let reply = send(body).await;
        assert_refusal(reply.status, &reply.body, 400, "invalid_request");
        unharmed(&envoy, what).await;
    }
    let bomb = gzip(&vec![b' '; 100 * MIB]);
    assert!(bomb.len() < MIB);
    let reply = send(bomb).await;
    assert_refusal(reply.status, &reply.body, 413, "request_too_large");
    unharmed(&envoy, "a bomb").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_any_other_kind_go_through() {
    let backends = trio().await;
    let upgrades = |config: &mut Value| {
        let filter = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        filter["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    };
    let envoy = rig(&backends).patch(upgrades).start().await;
    let client = Client::new();
    for (method, path, status) in [
        (Method::GET, "/v1/models", 200),
        (Method::GET, "/health", 200),
        (Method::HEAD, "/v1/models", 200),
        (Method::OPTIONS, PATH, 204),
        (Method::DELETE, "/v1/files/7", 200),
        (Method::POST, "/no/such/path", 404),
        (Method::POST, "/", 404),
        (Method::PUT, "/v1/chat/completions/?a=%ff&b[]=1", 404),
    ] {
        let reply = client.send(Client::request(&method, &envoy.url(path), &[], Bytes::new())).await.unwrap();
        assert_eq!(reply.header("x-sim-backend").as_deref(), Some("alpha"), "{method} {path}");
        assert_eq!(reply.status, status, "{method} {path}");
    }
    unharmed(&envoy, "other methods").await;

    // An upgrade's request has no end to wait for.
    for start in ["GET /v1/realtime", "POST /v1/chat/completions"] {
        let request = format!(
            "{start} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let mut connection = connect(&envoy).await;
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
            let read = timeout(PATIENCE, connection.read_buf(&mut answer)).await.expect("no hang").unwrap();
            assert!(read > 0, "{start}: {}", String::from_utf8_lossy(&answer));
        }
        let (_, head, _) = parts(&answer);
        assert!(head.contains("x-sim-backend: alpha"), "{head}");
        drop(connection);
        unharmed(&envoy, start).await;
    }

    // A client that waits for leave to send its body is let.
    let body = chat("hello").to_string();
    let mut connection = connect(&envoy).await;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut leave = [0; 25];
    timeout(PATIENCE, connection.read_exact(&mut leave)).await.expect("no hang").unwrap();
    assert!(leave.starts_with(b"HTTP/1.1 100 Continue\r\n"), "{}", String::from_utf8_lossy(&leave));
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, connection.read_to_end(&mut answer)).await.expect("no hang").unwrap();
    assert_eq!(parts(&answer).0, 200);
    unharmed(&envoy, "100-continue").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_bodies_are_read_with_trailers_and_without() {
    let backends = trio().await;
    let envoy = rig(&backends).start().await;
    let body = chat(&"A question that takes a few words. ".repeat(20)).to_string();
    let wire = TokioIo::new(connect(&envoy).await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), wire).await.unwrap();
    tokio::spawn(connection);
    let mut estimates = Vec::new();
    for trailers in [false, true] {
        let (first, second) = body.split_at(body.len() / 2);
        let mut frames: Vec<Result<_, Infallible>> =
            [first, second].map(|part| Ok(Frame::data(Bytes::copy_from_slice(part.as_bytes())))).into();
        if trailers {
            let mut map = HeaderMap::new();
            map.insert("x-checksum", "7".parse().unwrap());
            frames.push(Ok(Frame::trailers(map)));
        }
        let request = Request::post(envoy.url(PATH)).header("content-type", "application/json");
        let request = request.body(StreamBody::new(stream::iter(frames))).unwrap();
        let reply = timeout(PATIENCE, sender.send_request(request)).await.expect("no hang").unwrap();
        assert_eq!((reply.status().as_u16(), &reply.headers()["x-llm-backend"]), (200, &"alpha".parse().unwrap()));
        estimates.push(reply.headers()["x-llm-estimated-tokens"].to_str().unwrap().parse::<usize>().unwrap());
        let answer = timeout(PATIENCE, reply.into_body().collect()).await.expect("no hang").unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["object"], "chat.completion");
        assert_eq!(backends[0].prompts().last().unwrap().body, body.as_bytes());
    }
    assert!(estimates.iter().all(|&estimate| estimate > 100), "read, not guessed: {estimates:?}");
    unharmed(&envoy, "HTTP/2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind() {
    let backends = trio().await;
    let envoy = rig(&backends).start().await;
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        for _ in 0..20 {
            let mut connection = connect(&envoy).await;
            let head =
                format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            connection.write_all(b"20\r\n{\"messages\": [{\"role\": \"user\", ").await.unwrap();
        }
    }
    let gone = |stats: &wasm_tests::envoy::Stats| {
        stats.get("http.llm.downstream_rq_total") == 40 && stats.get("http.llm.downstream_rq_active") == 0
    };
    envoy.wait_for(Duration::from_secs(10), gone).await;
    let stats = envoy.stats().await;
    assert_eq!(counted(&stats, "requests_total", &[]), 0, "what was never sent is nobody's request");
    assert!(backends.iter().all(|backend| backend.journal().is_empty()));
    unharmed(&envoy, "half bodies").await;
}
