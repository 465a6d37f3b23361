//! Trailers of the router's own names: a client's do not reach a backend, a backend's do not reach a client. Others pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Frame, Incoming},
    client::conn::http2,
    header::{HeaderName, HeaderValue},
    server, service,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use wasm_tests::{
    client::raw,
    envoy::{Builder, Envoy, Route},
    router::{chat, troubles},
};

const PATIENCE: Duration = Duration::from_secs(15);

/// Of the router's own names, in pairs, with bytes that are no text; between them two that are not.
const FORGED: [(&str, &[u8]); 12] = [
    ("x-llm-cluster", b"beta"),
    ("x-llm-cluster", b"gamma"),
    ("x-checksum", b"7"),
    ("x-llm-tenant", b"someone"),
    ("x-llm-tenant", b"\xff\xfe"),
    ("x-llm-backend", b"forged"),
    ("x-llm-unasked", b"usage"),
    ("x-llm-", b""),
    ("x-llm-made-up", b"1"),
    ("x-envoy-attempt-count", b"3"),
    ("x-odd", b"a\xff"),
    ("x-llm-tenant", b"again"),
];
const OTHERS: [(&str, &[u8]); 2] = [("x-checksum", b"7"), ("x-odd", b"a\xff")];

type Fields = Vec<(String, Vec<u8>)>;

fn map(fields: &[(&str, &[u8])]) -> HeaderMap {
    let field =
        |&(name, value): &(&str, &[u8])| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    fields.iter().map(field).fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    })
}

fn fields(map: &HeaderMap) -> Fields {
    let mut fields: Fields = map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    fields.sort();
    fields
}

fn others() -> Fields {
    fields(&map(&OTHERS))
}

/// A backend that speaks HTTP/2 or HTTP/1, notes the trailers it gets, and ends each answer with forged ones.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<Fields>>>,
}

impl Server {
    async fn start(http2: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let journal = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let journal = Arc::clone(&journal);
                let service = service::service_fn(move |request| answer(Arc::clone(&journal), request));
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
        Self { port, heard }
    }

    fn last(&self) -> Fields {
        self.heard.lock().unwrap().pop().expect("a request came")
    }
}

type Answered = Response<StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>>;

async fn answer(journal: Arc<Mutex<Vec<Fields>>>, request: Request<Incoming>) -> Result<Answered, Infallible> {
    let body = request.into_body().collect().await.ok();
    journal.lock().unwrap().push(body.and_then(|body| body.trailers().map(fields)).unwrap_or_default());
    let text = json!({"object": "chat.completion", "choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let frames = vec![Ok(Frame::data(Bytes::from(text.to_string()))), Ok(Frame::trailers(map(&FORGED)))];
    let answer = Response::builder().header("content-type", "application/json");
    // HTTP/1 sends only trailers that were announced.
    let names: Vec<_> = FORGED.iter().map(|(name, _)| *name).collect();
    Ok(answer.header("trailer", names.join(", ")).body(StreamBody::new(stream::iter(frames))).unwrap())
}

/// An Envoy that lets trailers through on both sides of HTTP/1, before a server of either version.
fn rig(server: &Server, http2: bool) -> Builder {
    let protocol = if http2 {
        json!({"http2_protocol_options": {}})
    } else {
        json!({"http_protocol_options": {"enable_trailers": true}})
    };
    let options = json!({"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": protocol});
    let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    Envoy::builder()
        .cluster("alpha", &[server.port])
        .tune("alpha", json!({"typed_extension_protocol_options": {key: options}}))
        .route(Route::Matcher { retries: 1 })
        .router(json!({"backend_instances": {"alpha": {}}}))
        .patch(|config| {
            let filters = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
            filters[0]["typed_config"]["http_protocol_options"] = json!({"enable_trailers": true});
        })
}

async fn unharmed(envoy: &Envoy) {
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_they_are_taken_out_of_requests_and_answers() {
    let server = Server::start(true).await;
    let envoy = rig(&server, true).start().await;
    // A body that is read, one that is not, and one of nothing at all.
    for (path, body) in [
        ("/v1/chat/completions", chat("hello").to_string()),
        ("/v1/files", "any".to_owned()),
        ("/v1/chat/completions", String::new()),
    ] {
        let wire = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await.unwrap();
        tokio::spawn(connection);
        let mut frames: Vec<Result<_, Infallible>> = Vec::new();
        if !body.is_empty() {
            frames.push(Ok(Frame::data(Bytes::from(body))));
        }
        frames.push(Ok(Frame::trailers(map(&FORGED))));
        let request = Request::post(envoy.url(path)).header("content-type", "application/json");
        let request = request.body(StreamBody::new(stream::iter(frames))).unwrap();
        let reply = timeout(PATIENCE, sender.send_request(request)).await.expect("no hang").unwrap();
        assert_eq!(reply.status(), 200);
        let answer = timeout(PATIENCE, reply.into_body().collect()).await.expect("no hang").unwrap();
        assert_eq!(answer.trailers().map(fields), Some(others()), "{path}");
        let answer: Value = serde_json::from_slice(&answer.to_bytes()).unwrap();
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(server.last(), others(), "{path}");
    }
    unharmed(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http1_they_are_taken_out_whatever_their_case() {
    for http2 in [false, true] {
        let server = Server::start(http2).await;
        let envoy = rig(&server, http2).start().await;
        let body = chat("hello").to_string();
        let mut bytes = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nte: trailers\r\n\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n",
            body.len()
        )
        .into_bytes();
        for (n, (name, value)) in FORGED.iter().enumerate() {
            let name = if n % 2 == 0 { name.to_uppercase() } else { (*name).to_owned() };
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        let answer = timeout(PATIENCE, raw(envoy.port(), &bytes)).await.expect("no hang").unwrap();
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{text}");
        let (_, trailers) = text.rsplit_once("\r\n0\r\n").expect("chunks, and what follows them");
        assert!(trailers.contains("x-checksum: 7\r\n") && trailers.contains("x-odd: a"), "{trailers}");
        assert!(!trailers.contains("x-llm-") && !trailers.contains("x-envoy-attempt-count"), "{trailers}");
        // HTTP/1 servers of this library take no trailers of requests without being asked; what came, came.
        let heard = server.last();
        assert!(heard.iter().all(|(name, _)| !name.starts_with("x-llm-") && name != "x-envoy-attempt-count"));
        assert!(heard == others() || !http2, "{heard:?}");
        unharmed(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_else_is_left_the_request_still_ends() {
    let server = Server::start(true).await;
    let envoy = rig(&server, true).start().await;
    let mut wire = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, envoy.port()))).await.unwrap();
    let body = chat("hello").to_string();
    for name in ["x-llm-cluster", "X-Llm-Strategy", "X-ENVOY-ATTEMPT-COUNT"] {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n{name}: b\r\n\r\n",
            body.len()
        );
        wire.write_all(request.as_bytes()).await.unwrap();
        let heard = async {
            loop {
                if let Some(fields) = server.heard.lock().unwrap().pop() {
                    return fields;
                }
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(timeout(PATIENCE, heard).await.expect("the request ends"), [], "{name}");
    }
    unharmed(&envoy).await;
}
