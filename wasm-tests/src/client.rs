//! Requests as a client sends them.
//!
//! ```no_run
//! # use wasm_tests::client::{Client, raw};
//! # use serde_json::json;
//! # async fn example(url: &str, port: u16) {
//! let client = Client::new();
//! let reply = client.post_json(url, &json!({"messages": []})).await.unwrap();
//! assert_eq!(reply.json()["object"], "chat.completion");
//!
//! let mut stream = client.open(Client::json_request(url, &json!({"stream": true}))).await.unwrap();
//! stream.read_at_least(100).await.unwrap();
//! stream.cut(); // closes the connection in the middle of the answer
//!
//! // Anything at all, byte by byte; what comes back until the other side closes.
//! let answer = raw(port, b"GET / HTTP/1.1\r\nhost: x\r\nx-bad: \xff\xfe\r\nconnection: close\r\n\r\n").await.unwrap();
//! # }
//! ```

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Incoming, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No answer of a test takes longer, unless its client says so ([`Client::with_timeout`]).
const TIMEOUT: Duration = Duration::from_secs(30);

/// What can go wrong with a request.
#[derive(Debug)]
pub enum Error {
    /// No connection, or it ended before the headers of an answer.
    NoAnswer(String),
    /// The answer ended before its end; the bytes that did come.
    Broken(Bytes, String),
    /// It took too long.
    TimedOut,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer(why) => write!(f, "no answer: {why}"),
            Self::Broken(bytes, why) => write!(f, "the answer broke off after {} bytes: {why}", bytes.len()),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

impl std::error::Error for Error {}

/// A client with a pool of connections (HTTP/1.1). Clones share the pool.
#[derive(Debug, Clone)]
pub struct Client {
    pool: legacy::Client<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From sending to the headers.
    pub headers_after: Duration,
    /// From sending to the end of the body.
    pub elapsed: Duration,
}

impl Reply {
    /// The first value of a header, wrong bytes replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name)
    }

    /// The body as text, wrong bytes replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The JSON values of an event stream's `data:` lines, or of NDJSON; `[DONE]` is left out.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| line.strip_prefix("data:").unwrap_or(line).trim());
        lines.filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

impl Client {
    /// A client that waits at most thirty seconds for an answer.
    pub fn new() -> Self {
        Self::with_timeout(TIMEOUT)
    }

    /// A client that waits at most this long for an answer's headers, and as long again for its end.
    pub fn with_timeout(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // A test that counts attempts must not have the client make some of its own.
            .retry_canceled_requests(false)
            .build(connector);
        Self { pool, timeout }
    }

    /// `POST` of JSON, to be given more headers.
    pub fn json_request(url: &str, body: &Value) -> Request<Full<Bytes>> {
        let body = Full::new(Bytes::from(body.to_string()));
        Request::post(url).header(CONTENT_TYPE, "application/json").body(body).expect("the URL is valid")
    }

    /// Any request.
    pub fn request(
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body.into())).expect("URL and headers are valid")
    }

    /// `GET`.
    pub async fn get(&self, url: &str) -> Result<Reply, Error> {
        self.send(Self::request(&Method::GET, url, &[], Bytes::new())).await
    }

    /// `POST` of JSON.
    pub async fn post_json(&self, url: &str, body: &Value) -> Result<Reply, Error> {
        self.send(Self::json_request(url, body)).await
    }

    /// `POST` of JSON with more headers.
    pub async fn post_json_with(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Result<Reply, Error> {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(Self::request(&Method::POST, url, &all, body.to_string())).await
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Reply, Error> {
        self.open(request).await?.rest().await
    }

    /// Sends a request and returns as soon as the headers of the answer are there.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Result<Stream, Error> {
        let started = Instant::now();
        let response = match timeout(self.timeout, self.pool.request(request)).await {
            Err(_) => return Err(Error::TimedOut),
            Ok(Err(error)) => return Err(Error::NoAnswer(format!("{error:?}"))),
            Ok(Ok(response)) => response,
        };
        let (head, body) = response.into_parts();
        Ok(Stream {
            status: head.status,
            headers: head.headers,
            body,
            read: BytesMut::new(),
            started,
            headers_after: started.elapsed(),
            timeout: self.timeout,
        })
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub struct Stream {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    read: BytesMut,
    started: Instant,
    headers_after: Duration,
    timeout: Duration,
}

impl Stream {
    /// The first value of a header, wrong bytes replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name)
    }

    /// What was read so far.
    pub fn so_far(&self) -> &[u8] {
        &self.read
    }

    /// Reads until there are at least this many bytes in all, or the answer ends; says how many there are.
    pub async fn read_at_least(&mut self, bytes: usize) -> Result<usize, Error> {
        let limit = self.timeout;
        let reading = async {
            while self.read.len() < bytes {
                match self.body.frame().await {
                    None => break,
                    Some(Ok(frame)) => self.read.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                    Some(Err(error)) => return Err(format!("{error:?}")),
                }
            }
            Ok(self.read.len())
        };
        match timeout(limit, reading).await {
            Err(_) => Err(Error::TimedOut),
            Ok(Err(why)) => Err(Error::Broken(self.read.split().freeze(), why)),
            Ok(Ok(len)) => Ok(len),
        }
    }

    /// Goes away in the middle of the answer: the connection is closed.
    pub fn cut(self) {}

    /// Reads to the end.
    pub async fn rest(mut self) -> Result<Reply, Error> {
        self.read_at_least(usize::MAX).await?;
        Ok(Reply {
            status: self.status.as_u16(),
            headers: self.headers,
            body: self.read.freeze(),
            headers_after: self.headers_after,
            elapsed: self.started.elapsed(),
        })
    }
}

/// Sends bytes on a new connection and returns what comes back until the other side closes (ask for
/// `connection: close`). For what no library would send: bytes that are not UTF-8 in headers, broken framing.
pub async fn raw(port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    timeout(TIMEOUT, stream.read_to_end(&mut answer)).await??;
    Ok(answer)
}
