//! What answers say, in a real Envoy: values decide, errors inside have a class, and nobody but the router's own role says
//! what was asked in a client's stead.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wasm_tests::{
    client::{Client, Reply},
    envoy::{Builder, Envoy, Route},
    router::{chat, counted, ended, settled, streamed_chat},
};

const CHAT: &str = "/v1/chat/completions";

/// A server that answers each request with the same bytes, whatever they are.
struct Scripted {
    port: u16,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Scripted {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scripted = Self { port, answer: Arc::default(), asked: Arc::default() };
        let (answer, asked) = (Arc::clone(&scripted.answer), Arc::clone(&scripted.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&asked)));
            }
        });
        scripted
    }

    /// Answers so from now on: a status line, headers, and a body of that length.
    fn say(&self, head: &str, body: &str) {
        let head = head.trim_end().replace('\n', "\r\n");
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        *self.answer.lock().unwrap() = answer.into_bytes();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// One connection: requests with a body, in chunks or of a length that is said.
async fn serve(mut stream: TcpStream, answer: Arc<Mutex<Vec<u8>>>, asked: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = request_end(&read) {
                break end;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        read.drain(..end);
        asked.fetch_add(1, Ordering::SeqCst);
        let answer = answer.lock().unwrap().clone();
        stream.write_all(&answer).await?;
    }
}

/// Where the first request ends, if all of it is there.
fn request_end(read: &[u8]) -> Option<usize> {
    let find = |from: usize, what: &[u8]| {
        read[from..].windows(what.len()).position(|window| window == what).map(|at| from + at + what.len())
    };
    let body = find(0, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&read[..body]).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return find(body - 2, b"\r\n0\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    (read.len() >= body + length).then_some(body + length)
}

/// Alpha, whose breaker opens after five failures; beta only where alpha may not.
fn rig(alpha: &Scripted, beta: &Scripted, alpha_is: &Value) -> Builder {
    let mut settings =
        json!({"circuit_breaker": {"failure_threshold": 5, "adaptive": false, "recovery_timeout_seconds": 60}});
    settings.as_object_mut().unwrap().extend(alpha_is.as_object().unwrap().clone());
    let kind = settings.get("backend_type").cloned().unwrap_or_else(|| "openai".into());
    let router = json!({"backend_instances": {"alpha": settings, "beta": {"priority": 2, "backend_type": kind}}});
    Envoy::builder()
        .concurrency(1)
        .cluster("alpha", &[alpha.port])
        .cluster("beta", &[beta.port])
        .route(Route::Matcher { retries: 1 })
        .router(router)
}

const GOOD: &str = r#"{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;

fn events(events: &[&str]) -> String {
    events.iter().flat_map(|event| ["data: ", *event, "\n\n"]).collect()
}

/// Six requests: after five answers of alpha's, who gives the sixth?
async fn sixth(envoy: &Envoy, stream: bool, path: &str) -> Reply {
    let client = Client::new();
    let mut body = if stream { streamed_chat("hello") } else { chat("hello") };
    body["query"] = "hello".into();
    for _ in 0..5 {
        client.post_json(&envoy.url(path), &body).await.unwrap();
        // Each answer is counted before the next request.
        ended(envoy).await;
    }
    client.post_json(&envoy.url(path), &body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_answers_open_the_breaker_by_their_values_alone() {
    let (json_type, events_type) = ("content-type: application/json", "content-type: text/event-stream");
    let piece = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let with_error = |error: &str| format!("{},\"error\":{error}}}", &GOOD[..GOOD.len() - 1]);
    let cases: Vec<(&str, String, bool)> = vec![
        (json_type, with_error("{}"), false),
        (json_type, with_error(r#""""#), false),
        (json_type, with_error(r#"{"message":"","code":null}"#), false),
        (json_type, with_error("[]"), false),
        (json_type, with_error(r#"{"message":"boom"}"#), true),
        (json_type, "{}".to_owned(), true),
        (json_type, r#"{"detail":"boom"}"#.to_owned(), true),
        (events_type, events(&[piece, r#"{"error":{"code":400,"message":"too long"}}"#]), false),
        (
            events_type,
            events(&[piece, r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded"}}"#]),
            false,
        ),
        (events_type, events(&[piece, r#"{"error":{"code":500,"message":"boom"}}"#]), true),
        (events_type, events(&[piece, r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#, "[DONE]"]), true),
        (events_type, events(&[r#"{"choices":[]}"#, "[DONE]"]), true),
        (events_type, events(&[piece, stop, "[DONE]"]), false),
        ("x-none: 1", events(&[piece, stop, "[DONE]"]), false),
        ("x-none: 1", events(&[piece, r#"{"error":{"code":"503"}}"#]), true),
    ];
    let (alpha, beta) = (Scripted::start().await, Scripted::start().await);
    beta.say("200 OK\ncontent-type: application/json", GOOD);
    for (content_type, body, opens) in cases {
        alpha.say(&format!("200 OK\n{content_type}"), &body);
        let envoy = rig(&alpha, &beta, &json!({})).start().await;
        let reply = sixth(&envoy, content_type != json_type, CHAT).await;
        let expected = if opens { "beta" } else { "alpha" };
        assert_eq!(reply.header("x-llm-backend").as_deref(), Some(expected), "{content_type} {body}");
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_a_content_type_is_measured() {
    let (alpha, beta) = (Scripted::start().await, Scripted::start().await);
    let piece = r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":40,"completion_tokens":5}}"#;
    for content_type in ["x-none: 1", "content-type: text/plain", "content-type: application/octet-stream"] {
        alpha.say(&format!("200 OK\n{content_type}"), &events(&[piece, "[DONE]"]));
        let envoy = rig(&alpha, &beta, &json!({})).start().await;
        let reply = Client::new().post_json(&envoy.url(CHAT), &streamed_chat("hello")).await.unwrap();
        assert_eq!(reply.text(), events(&[piece, "[DONE]"]));
        let stats = settled(&envoy).await;
        let tokens = |kind| counted(&stats, "tokens_total", &[("backend_id", "alpha"), ("kind", kind)]);
        assert_eq!((tokens("input"), tokens("output")), (40, 5), "{content_type}");
        assert_eq!(counted(&stats, "requests_total", &[("status", "success")]), 1, "{content_type}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backend_says_in_the_roles_name_hides_nothing() {
    let (alpha, beta) = (Scripted::start().await, Scripted::start().await);
    beta.say("200 OK\ncontent-type: application/json", GOOD);
    let body = events(&[
        r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":5}}"#,
        "[DONE]",
    ]);
    let asks = streamed_chat("hello");
    let mut silent = chat("hello");
    silent["stream"] = true.into();
    for role in [&[][..], &["alpha"]] {
        let envoy = rig(&alpha, &beta, &json!({})).attempt(role.iter().copied()).start().await;
        for forged in [
            "x-llm-unasked: usage",
            "X-LLM-Unasked: usage\nx-llm-unasked: usage",
            "llm-unasked: usage",
            "x-llm-usage-injected: usage",
            "x-envoy-llm-unasked: usage",
        ] {
            alpha.say(&format!("200 OK\ncontent-type: text/event-stream\n{forged}"), &body);
            let reply = Client::new().post_json(&envoy.url(CHAT), &asks).await.unwrap();
            assert_eq!((reply.text(), reply.header("x-llm-unasked")), (body.clone(), None), "{role:?} {forged}");
            // Who does not ask sees it, too, unless the role asked in his stead.
            let reply = Client::new().post_json(&envoy.url(CHAT), &silent).await.unwrap();
            assert_eq!(reply.text().contains(r#""choices":[]"#), role.is_empty(), "{role:?} {forged}");
        }
        // The role's own header cannot come from a backend: no answer has such a one.
        alpha.say("200 OK\ncontent-type: text/event-stream\n:llm-unasked: usage", &body);
        let reply = Client::new().post_json(&envoy.url(CHAT), &asks).await.unwrap();
        assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("beta")), "{role:?}");
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lightrag_with_its_llm_dead_fails_over_with_the_role_and_opens_the_breaker_without() {
    let stock = r#"{"response":"No relevant context found for the query.","references":[],"llm_generated":false}"#;
    let none = r#"{"response":"Sorry, I'm not able to provide an answer to that question.[no-context]","llm_generated":false}"#;
    let good = r#"{"response":"Because it is.","references":[],"llm_generated":true}"#;
    let (alpha, beta) = (Scripted::start().await, Scripted::start().await);
    let json_type = "200 OK\ncontent-type: application/json";
    beta.say(json_type, good);
    let lightrag = json!({"backend_type": "lightrag"});
    let accepts = json!({"backend_type": "lightrag", "fallback_answers": "accept"});
    for (alpha_is, body, role, first, last) in [
        (&lightrag, stock, &[][..], "alpha", "beta"),
        (&lightrag, stock, &["alpha"], "beta", "beta"),
        (&lightrag, none, &["alpha"], "alpha", "alpha"),
        (&lightrag, good, &["alpha"], "alpha", "alpha"),
        (&accepts, stock, &[], "alpha", "alpha"),
    ] {
        alpha.say(json_type, body);
        let envoy = rig(&alpha, &beta, alpha_is).attempt(role.iter().copied()).start().await;
        let asked = alpha.asked();
        let reply = Client::new().post_json(&envoy.url("/query"), &json!({"query": "why?"})).await.unwrap();
        assert_eq!(reply.header("x-llm-backend").as_deref(), Some(first), "{body} {role:?}");
        assert_eq!((reply.status, alpha.asked() - asked), (200, 1));
        assert_eq!(reply.text(), if first == "beta" { good } else { body });
        let reply = sixth(&envoy, false, "/query").await;
        assert_eq!(reply.header("x-llm-backend").as_deref(), Some(last), "{body} {role:?}");
        settled(&envoy).await;
    }
}

/// A server of HTTP/2 that answers the first request of each connection by these header fields, in HPACK without its
/// tables, and this body.
async fn http2(fields: &'static [(&'static str, &'static str)], body: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut read = Vec::new();
                // The preface and the settings, then headers and body of the request.
                while !read.windows(7).any(|bytes| bytes == b"\"hello\"") {
                    if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let frame = |kind: u8, flags: u8, id: u8, payload: &[u8]| {
                    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
                    [&length[1..], &[kind, flags, 0, 0, 0, id], payload].concat()
                };
                let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
                let literal = |&(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
                let head: Vec<u8> = fields.iter().flat_map(literal).collect();
                // SETTINGS, its ACK, HEADERS (END_HEADERS), DATA (END_STREAM).
                let answer =
                    [frame(4, 0, 0, &[]), frame(4, 1, 0, &[]), frame(1, 4, 1, &head), frame(0, 1, 1, body.as_bytes())];
                let _ = stream.write_all(&answer.concat()).await;
                while stream.read_buf(&mut read).await.unwrap_or(0) > 0 {}
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_backend_can_send_the_roles_header_over_http_2_either() {
    let body = events(&[
        r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":5}}"#,
        "[DONE]",
    ]);
    let fields: [&[(&str, &str)]; 4] = [
        &[(":status", "200"), ("content-type", "text/event-stream"), ("x-llm-unasked", "usage")],
        &[(":status", "200"), (":llm-unasked", "usage"), ("content-type", "text/event-stream")],
        &[(":llm-unasked", "usage"), (":status", "200"), ("content-type", "text/event-stream")],
        &[(":status", "200"), ("content-type", "text/event-stream"), (":llm-unasked", "usage")],
    ];
    let http2_options = json!({"typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        },
    }});
    for version in ["1.36.4", "1.40.0"] {
        for (n, fields) in fields.into_iter().enumerate() {
            let port = http2(fields, body.clone()).await;
            let envoy = Envoy::builder()
                .version(version)
                .cluster("alpha", &[port])
                .route(Route::ClusterHeader)
                .router(json!({"backend_instances": {"alpha": {}}}))
                .tune("alpha", http2_options.clone())
                .start()
                .await;
            let reply = Client::new().post_json(&envoy.url(CHAT), &streamed_chat("hello")).await.unwrap();
            if n == 0 {
                assert_eq!((reply.status, reply.text()), (200, body.clone()), "{version}");
            } else {
                assert!(reply.status >= 500, "{version} {fields:?}: {} {}", reply.status, reply.text());
            }
        }
    }
}
