//! What answers cost without a report, and who is told, in a real Envoy: the text of an answer counts, whole and streamed
//! alike; a stream over HTTP/2 ends with its cost; and the control API knows it afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Frame, Incoming},
    client::conn::http2,
    server, service,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use wasm_tests::{
    client::{Client, raw},
    control,
    envoy::{Builder, Envoy, Route},
    router::{chat, counted, news_travels, settled, streamed_chat, troubles},
};

const PATIENCE: Duration = Duration::from_secs(15);
const CHAT: &str = "/v1/chat/completions";

/// What a server answers: its pieces, and whether trailers end it.
#[derive(Clone, Default)]
struct Script {
    content_type: &'static str,
    pieces: Vec<String>,
    has_trailers: bool,
}

struct Server {
    port: u16,
    script: Arc<Mutex<Script>>,
}

type Frames = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

impl Server {
    async fn start(http2: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::<Mutex<Script>>::default();
        let said = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let said = Arc::clone(&said);
                let service = service::service_fn(move |request| answer(Arc::clone(&said), request));
                tokio::spawn(async move {
                    let wire = TokioIo::new(stream);
                    let _ = if http2 {
                        server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(wire, service).await
                    } else {
                        server::conn::http1::Builder::new().serve_connection(wire, service).await
                    };
                });
            }
        });
        Self { port, script }
    }

    fn say(&self, content_type: &'static str, pieces: &[&str], has_trailers: bool) {
        let pieces = pieces.iter().map(|&piece| piece.to_owned()).collect();
        *self.script.lock().unwrap() = Script { content_type, pieces, has_trailers };
    }
}

async fn answer(script: Arc<Mutex<Script>>, request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    let _ = request.into_body().collect().await;
    let Script { content_type, pieces, has_trailers } = script.lock().unwrap().clone();
    let mut frames: Vec<_> = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece)))).collect();
    if has_trailers {
        let trailers = [("x-checksum", "7"), ("x-llm-cost-micro-usd", "1")];
        let trailers = trailers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        frames.push(Ok(Frame::trailers(HeaderMap::from_iter(trailers))));
    }
    let answer = Response::builder().header("content-type", content_type);
    Ok(answer.body(StreamBody::new(stream::iter(frames))).unwrap())
}

/// Before one server, of which a token costs a thousandth of a dollar.
fn rig(server: &Server, http2: bool) -> Builder {
    let mut builder = Envoy::builder()
        .control()
        .cluster("alpha", &[server.port])
        .route(Route::Matcher { retries: 1 })
        .router(json!({
            "backend_instances": {"alpha": {"cost_per_1k_tokens": 1.0, "apis": ["openai", "lightrag", "anthropic"]}},
            "cost": {"daily_budget_usd": 1000},
        }));
    if http2 {
        let options = json!({"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}});
        let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        builder = builder.tune("alpha", json!({"typed_extension_protocol_options": {key: options}}));
    }
    builder
}

/// What a client of HTTP/2 gets: headers, body and trailers.
async fn over_http2(envoy: &Envoy, path: &str, body: &Value) -> (HeaderMap, String, Option<HeaderMap>) {
    let wire = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(envoy.url(path)).header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
    let reply = timeout(PATIENCE, sender.send_request(request)).await.expect("no hang").unwrap();
    assert_eq!(reply.status(), 200);
    let headers = reply.headers().clone();
    let answer = timeout(PATIENCE, reply.into_body().collect()).await.expect("no hang").unwrap();
    let trailers = answer.trailers().cloned();
    (headers, String::from_utf8(answer.to_bytes().to_vec()).unwrap(), trailers)
}

fn told(trailers: Option<&HeaderMap>) -> Vec<String> {
    let shown = |name: &str| Some(trailers?.get(name)?.to_str().unwrap().to_owned());
    let names = ["x-llm-input-tokens", "x-llm-output-tokens", "x-llm-cost-micro-usd", "x-llm-usage"];
    names.into_iter().filter_map(shown).collect()
}

const PIECE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Fine, thank you.\"}}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_over_http2_ends_with_what_it_cost_and_the_control_api_knows_it_afterwards() {
    for http2 in [false, true] {
        let server = Server::start(http2).await;
        let envoy = rig(&server, http2).start().await;
        for has_trailers in [false, true].into_iter().filter(|has_trailers| http2 || !has_trailers) {
            server.say("text/event-stream", &[PIECE, USAGE, DONE], has_trailers);
            let (headers, body, trailers) = over_http2(&envoy, CHAT, &streamed_chat("hello")).await;
            assert_eq!(body, [PIECE, USAGE, DONE].concat());
            assert_eq!(told(trailers.as_ref()), ["12", "3", "15000", "reported"], "{http2} {has_trailers}");
            assert_eq!(trailers.unwrap().contains_key("x-checksum"), has_trailers);
            let sure: f64 = headers["x-llm-confidence"].to_str().unwrap().parse().unwrap();
            assert!((0.0..=1.0).contains(&sure), "{sure}");
            news_travels().await;
            let id = headers["x-llm-decision-id"].to_str().unwrap();
            let decision = control::get(&envoy, &format!("/decisions/{id}")).await;
            assert_eq!((&decision["decision_id"], &decision["outcome"]["cost_usd"]), (&json!(id), &json!(0.015)));
            assert_eq!(decision["confidence"].as_f64(), Some(sure));
        }
        // What nobody reports is told as an estimate.
        server.say("text/event-stream", &[PIECE, PIECE, DONE], false);
        let (_, body, trailers) = over_http2(&envoy, CHAT, &streamed_chat("hello")).await;
        assert_eq!(body, [PIECE, PIECE, DONE].concat());
        let told_of = told(trailers.as_ref());
        assert_eq!((&*told_of[1], &*told_of[3]), ("8", "estimated"));
        // An answer in one piece has none.
        let whole =
            r#"{"choices":[{"message":{"content":"Fine."}}],"usage":{"prompt_tokens":12,"completion_tokens":3}}"#;
        server.say("application/json", &[whole], false);
        let (headers, body, trailers) = over_http2(&envoy, CHAT, &chat("hello")).await;
        assert_eq!((&*body, told(trailers.as_ref())), (whole, Vec::new()));
        news_travels().await;
        let id = headers["x-llm-decision-id"].to_str().unwrap();
        let decision = control::get(&envoy, &format!("/decisions/{id}")).await;
        assert_eq!(decision["outcome"]["cost_usd"], 0.015);
        let unknown = control::call(&envoy, hyper::Method::GET, "/decisions/0123456789abcdef", &[], "").await;
        assert_eq!(control::code(&unknown), (404, "not_found".to_owned()));
        assert_eq!(troubles(&envoy.stats().await), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http1_a_stream_is_as_it_was() {
    let server = Server::start(false).await;
    let envoy = rig(&server, false).start().await;
    server.say("text/event-stream", &[PIECE, USAGE, DONE], false);
    let body = streamed_chat("hello").to_string();
    for te in ["", "te: trailers\r\n"] {
        let request = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{te}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = timeout(PATIENCE, raw(envoy.port(), request.as_bytes())).await.expect("no hang").unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n0\r\n\r\n"), "{text}");
        assert!(!text.contains("x-llm-cost"), "{text}");
    }
    assert_eq!(troubles(&envoy.stats().await), []);
}

/// What an answer costs, in tokens.
async fn cost(server: &Server, path: &str, request: &Value, content_type: &'static str, body: &str) -> u64 {
    let envoy = rig(server, false).start().await;
    // In pieces that end anywhere.
    let pieces: Vec<_> =
        body.as_bytes().chunks(1_000).map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect();
    server.say(content_type, &pieces.iter().map(String::as_str).collect::<Vec<_>>(), false);
    let reply = Client::new().post_json(&envoy.url(path), request).await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, body.to_owned()));
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "usage_estimated_total", &[("backend_id", "alpha")]), 1);
    counted(&stats, "request_cost_micro_usd_total", &[("backend_id", "alpha")]) / 1_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_answer_of_lightrag_costs_the_same_whole_streamed_and_with_its_chunks() {
    let server = Server::start(false).await;
    let sentence = "A sentence of the answer that a model wrote. ";
    let answer = sentence.repeat(140);
    let chunks = vec!["What the documents say of it, at length. ".repeat(50); 40];
    let references = json!([{"reference_id": "1", "file_path": "/a.md", "content": chunks}]);
    let query = json!({"query": "What is it?", "mode": "mix"});
    let whole = json!({"response": answer, "references": [{"reference_id": "1", "file_path": "/a.md"}]}).to_string();
    let with_chunks = json!({"response": answer, "references": references}).to_string();
    let line = json!({"response": sentence}).to_string() + "\n";
    let streamed = format!("{}\n{}", json!({"references": references}), line.repeat(140));
    let expected = (sentence.len() as u64 * 140).div_ceil(4);
    for (path, content_type, body) in [
        ("/query", "application/json", &whole),
        ("/query", "application/json", &with_chunks),
        ("/query/stream", "application/x-ndjson", &streamed),
    ] {
        let cost = cost(&server, path, &query, content_type, body).await;
        assert!((expected..expected + 40).contains(&cost), "{path}: {cost}, {expected}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_kilobytes_of_arguments_are_a_thousand_tokens() {
    let server = Server::start(false).await;
    let arguments = "0123456789abcdef".repeat(256);
    let call =
        json!([{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}]);
    let whole = json!({"choices": [{"message": {"content": null, "tool_calls": call}}]}).to_string();
    let streamed = format!("data: {}\n\n{DONE}", json!({"choices": [{"delta": {"tool_calls": call}}]}));
    let anthropic = format!(
        "data: {}\n\ndata: {{\"type\":\"message_stop\"}}\n\n",
        json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": arguments}})
    );
    for (path, request, content_type, body) in [
        (CHAT, chat("hello"), "application/json", &whole),
        (CHAT, streamed_chat("hello"), "text/event-stream", &streamed),
        ("/v1/messages", streamed_chat("hello"), "text/event-stream", &anthropic),
    ] {
        let cost = cost(&server, path, &request, content_type, body).await;
        assert!((1_024..1_100).contains(&cost), "{path}: {cost}");
    }
}
