//! Both ends of a connection, byte by byte: what no library would send.
//!
//! [`Http2`] is a client that ends its streams as it likes; [`Scripted`] is a backend that answers whatever it is told to.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// No frame takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The body of a good chat completion.
pub const GOOD: &str = r#"{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Fine."}}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

/// A client of HTTP/2 with prior knowledge that does what it is told to.
#[derive(Debug)]
pub struct Http2 {
    stream: TcpStream,
    next: u32,
}

impl Http2 {
    /// Connects, and exchanges settings.
    ///
    /// # Errors
    ///
    /// What the connection says.
    pub async fn connect(port: u16) -> io::Result<Self> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let mut client = Self { stream, next: 1 };
        client.frame(SETTINGS, 0, 0, &[]).await?;
        Ok(client)
    }

    /// Sends a POST of JSON, all of it if it `ends`; returns the number of its stream.
    ///
    /// # Errors
    ///
    /// What the connection says.
    pub async fn post(&mut self, path: &str, content_type: &str, body: &[u8], ends: bool) -> io::Result<u32> {
        let id = self.next;
        self.next += 2;
        let mut block = Vec::new();
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "x"),
            (":path", path),
            ("content-type", content_type),
        ];
        for (name, value) in headers {
            // Literal, not indexed, not compressed; each shorter than 127 bytes.
            block.push(0);
            for text in [name, value] {
                block.push(text.len() as u8);
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.frame(HEADERS, END_HEADERS, id, &block).await?;
        self.frame(DATA, if ends { END_STREAM } else { 0 }, id, body).await?;
        Ok(id)
    }

    /// Reads until so many bytes of the answer's body are there, or its headers if that is none.
    ///
    /// # Errors
    ///
    /// What the connection says, or that it took too long.
    pub async fn read(&mut self, id: u32, bytes: usize) -> io::Result<()> {
        let (mut seen, mut headed) = (0, false);
        while !headed || seen < bytes {
            let mut head = [0; 9];
            timeout(PATIENCE, self.stream.read_exact(&mut head)).await??;
            let [a, b, c, kind, flags, id_bytes @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            timeout(PATIENCE, self.stream.read_exact(&mut payload)).await??;
            match kind {
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]).await?,
                HEADERS if u32::from_be_bytes(id_bytes) == id => headed = true,
                DATA if u32::from_be_bytes(id_bytes) == id => seen += payload.len(),
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends a stream with this code; 0 is `NO_ERROR`.
    ///
    /// # Errors
    ///
    /// What the connection says.
    pub async fn reset(&mut self, id: u32, code: u32) -> io::Result<()> {
        self.frame(RST_STREAM, 0, id, &code.to_be_bytes()).await
    }

    /// Sends a frame that breaks the protocol: DATA on stream 0.
    ///
    /// # Errors
    ///
    /// What the connection says.
    pub async fn break_protocol(&mut self) -> io::Result<()> {
        self.frame(DATA, 0, 0, b"?").await
    }

    /// Sends any frame.
    ///
    /// # Errors
    ///
    /// What the connection says.
    pub async fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags];
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await
    }
}

/// What a scripted backend does with each request.
#[derive(Debug, Clone)]
pub enum Script {
    /// Reads the request, waits for so long, and answers with these bytes.
    Answer(Duration, Vec<u8>),
    /// Reads what comes of the request for so long, and closes the connection.
    CloseAfter(Duration),
    /// A good answer, or a 500 where the request has this in it.
    Poisoned(&'static str),
    /// A good answer, at once, or so late where the request has this in it.
    Lingering(&'static str, Duration),
    /// Grants an upgrade, sends back what it gets, and after so many bytes closes the connection; with a reset if so.
    Tunnel(usize, bool),
}

impl Script {
    /// A whole answer over HTTP/1.1.
    #[must_use]
    pub fn answer(status: &str, content_type: &str, body: &str) -> Self {
        Self::later(Duration::ZERO, status, content_type, body)
    }

    /// The same, so late.
    #[must_use]
    pub fn later(delay: Duration, status: &str, content_type: &str, body: &str) -> Self {
        Self::Answer(delay, whole_answer(status, content_type, body))
    }
}

fn whole_answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n");
    format!("{head}location: /elsewhere\r\n\r\n{body}").into_bytes()
}

/// A backend that answers whatever it is told to, and counts its requests.
#[derive(Debug)]
pub struct Scripted {
    port: u16,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    /// Listens on a free port.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), Arc::clone(&counter)));
            }
        });
        Self { port, requests, task }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Requests whose head has come so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, script: Script, requests: Arc<AtomicUsize>) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        requests.fetch_add(1, Ordering::Relaxed);
        match &script {
            Script::CloseAfter(time) => {
                sleep(*time).await;
                return Ok(());
            }
            Script::Tunnel(most, resets) => {
                stream
                    .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                    .await?;
                let mut seen = bytes.split_off(end);
                while seen.len() < *most {
                    let before = seen.len();
                    if stream.read_buf(&mut seen).await? == 0 {
                        return Ok(());
                    }
                    stream.write_all(seen.get(before..).unwrap_or_default()).await?;
                }
                if *resets {
                    #[expect(deprecated, reason = "a reset is what is wanted, and it does not block")]
                    stream.set_linger(Some(Duration::ZERO))?;
                }
                return Ok(());
            }
            Script::Answer(..) | Script::Poisoned(_) | Script::Lingering(..) => {
                let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                let is_chunked = head.contains("transfer-encoding: chunked");
                let whole = |bytes: &[u8]| match length {
                    Some(length) => bytes.len() >= end + length,
                    None => !is_chunked || bytes.ends_with(b"0\r\n\r\n"),
                };
                while !whole(&bytes) {
                    if stream.read_buf(&mut bytes).await? == 0 {
                        return Ok(());
                    }
                }
                let rest = bytes.split_off(length.map_or(bytes.len(), |length: usize| end + length));
                let request = std::mem::replace(&mut bytes, rest);
                let answer = match &script {
                    Script::Answer(delay, answer) => {
                        sleep(*delay).await;
                        answer.clone()
                    }
                    Script::Poisoned(poison) if String::from_utf8_lossy(&request).contains(poison) => {
                        whole_answer("500 Internal Server Error", "application/json", r#"{"error":{"message":"no"}}"#)
                    }
                    Script::Lingering(word, delay) if String::from_utf8_lossy(&request).contains(word) => {
                        sleep(*delay).await;
                        whole_answer("200 OK", "application/json", GOOD)
                    }
                    _ => whole_answer("200 OK", "application/json", GOOD),
                };
                stream.write_all(&answer).await?;
            }
        }
    }
}
