//! A scripted LLM or RAG service on a port of its own.
//!
//! Every backend is as strict as the service that its [`Flavour`] names: it answers that service's paths alone, by their
//! methods, and only requests that have what they must have; to the rest it says 404, 405, 400 or 422 in its own form.
//! A [`Behaviour`] is scripted for the next few prompts ([`Backend::next`]) or until changed ([`Backend::set`]); `GET`,
//! `HEAD` and `OPTIONS` requests (health checks) have their own ([`Backend::set_health`]), so that Envoy's probes do not
//! use up what a test scripted. Only a test scripts, never a client: there are no magic request
//! headers.
//!
//! Every answer says who gave it: header `x-sim-backend`, and `system_fingerprint: "sim-<name>"` in `OpenAI`'s shapes.
//!
//! ```no_run
//! # use wasm_tests::backend::{Backend, Behaviour, End, Fault, Flavour};
//! # async fn example() {
//! let backend = Backend::start("alpha", Flavour::OpenAi).await;
//! backend.set(Behaviour { first_token_ms: 50, inter_token_ms: 5, output_tokens: 200, ..Behaviour::default() });
//! backend.next(2, Behaviour::status(429).with_header("retry-after", "1"));
//! backend.next(1, Behaviour::fault(Fault::ResetAfter(10)));
//! // ... requests ...
//! assert_eq!(backend.counters().in_flight, 0);
//! assert_eq!(backend.prompts()[0].header("x-llm-cluster").as_deref(), Some("alpha"));
//! backend.kill().await; // connections are closed, new ones refused
//! backend.restart().await; // on the same port
//! # }
//! ```

mod answer;
mod api;
mod behaviour;
pub mod control;
mod journal;
mod limits;
mod refusal;
mod tokens;
mod wire;

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

pub use self::{
    behaviour::{Behaviour, Fault, PromptTokens, Reply, UsageEvent},
    journal::{Counters, End, Seen},
    limits::{Limit, Told},
};
use self::{
    journal::Journal,
    limits::Limiter,
    wire::{Fate, Wire},
};
use crate::ports;

/// Whose service a backend resembles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// `POST /query`, `POST /query/stream`, `GET /health`, Ollama's `/api/chat` and the like.
    LightRag,
    /// `POST /chat/completions` with citations, `/v1/sonar`, `/v1/agent`, `GET /models`.
    Perplexity,
    /// `POST /v1/chat/completions`, `/v1/responses`, `/v1/completions`, `/v1/embeddings`, `GET /v1/models`; and, as vLLM
    /// has it, `GET /health`.
    OpenAi,
    /// `POST /v1/messages`, `/v1/messages/count_tokens`, `GET /v1/models`.
    Anthropic,
    /// `POST /v1beta/models/{model}:generateContent` and the like.
    Gemini,
    /// Any path that is nobody's API.
    Generic,
    /// All of them, as a gateway such as `LiteLLM` does: its router's configuration has to say so.
    Proxy,
}

impl Flavour {
    /// The services whose APIs it speaks.
    const fn families(self) -> &'static [Self] {
        match self {
            Self::LightRag => &[Self::LightRag],
            Self::Perplexity => &[Self::Perplexity],
            Self::OpenAi => &[Self::OpenAi],
            Self::Anthropic => &[Self::Anthropic],
            Self::Gemini => &[Self::Gemini],
            Self::Generic => &[Self::Generic],
            Self::Proxy => &[Self::OpenAi, Self::Anthropic, Self::Perplexity, Self::LightRag, Self::Gemini],
        }
    }

    /// How the models begin that it does not have.
    const fn foreign_models(self) -> &'static [&'static str] {
        match self {
            Self::OpenAi => &["claude", "sonar", "gemini"],
            Self::Anthropic => &["gpt", "sonar", "gemini"],
            Self::Perplexity => &["gpt", "claude", "gemini"],
            Self::LightRag | Self::Gemini | Self::Generic | Self::Proxy => &[],
        }
    }
}

impl FromStr for Flavour {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "lightrag" => Self::LightRag,
            "perplexity" => Self::Perplexity,
            "openai" => Self::OpenAi,
            "anthropic" => Self::Anthropic,
            "gemini" => Self::Gemini,
            "generic" => Self::Generic,
            "proxy" => Self::Proxy,
            _ => {
                let names = "lightrag, perplexity, openai, anthropic, gemini, generic, proxy";
                return Err(format!("`{name}` is not one of {names}"));
            }
        })
    }
}

/// What a backend's connections share.
#[derive(Debug)]
struct Shared {
    name: String,
    flavour: Flavour,
    journal: Arc<Journal>,
    script: Mutex<Script>,
    limiter: Limiter,
    answers: AtomicU64,
    stop: Notify,
}

#[derive(Debug, Default)]
struct Script {
    /// Behaviours for the next prompts, each with how many.
    next: VecDeque<(usize, Behaviour)>,
    standing: Behaviour,
    health: Behaviour,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_behaviour(&self) -> Behaviour {
        let mut script = self.script();
        while script.next.front().is_some_and(|(left, _)| *left == 0) {
            script.next.pop_front();
        }
        match script.next.front_mut() {
            Some((left, behaviour)) => {
                *left -= 1;
                behaviour.clone()
            }
            None => script.standing.clone(),
        }
    }

    fn health(&self) -> Behaviour {
        self.script().health.clone()
    }

    fn next_number(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed)
    }
}

/// A running backend. Dropping it stops it.
#[derive(Debug)]
pub struct Backend {
    shared: Arc<Shared>,
    address: SocketAddr,
    door: tokio::sync::Mutex<Door>,
}

#[derive(Debug)]
enum Door {
    Open(JoinHandle<()>),
    /// Bound but not listening: connections are refused, and nobody else gets the port.
    Closed(Option<TcpSocket>),
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Self::Open(task) = self {
            task.abort();
        }
    }
}

impl Backend {
    /// Starts a backend on a free loopback port.
    #[expect(clippy::unused_async, reason = "as `start_at`: both need a runtime")]
    pub async fn start(name: &str, flavour: Flavour) -> Self {
        let listener = ports::bind_free(IpAddr::V4(Ipv4Addr::LOCALHOST));
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        Self::over(name, flavour, TcpListener::from_std(listener).expect("inside a tokio runtime"))
    }

    /// Starts a backend on this address; port 0 is any free port.
    pub async fn start_at(name: &str, flavour: Flavour, address: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(name, flavour, TcpListener::bind(address).await?))
    }

    fn over(name: &str, flavour: Flavour, listener: TcpListener) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            flavour,
            journal: Arc::new(Journal::new()),
            script: Mutex::default(),
            limiter: Limiter::default(),
            answers: AtomicU64::new(0),
            stop: Notify::new(),
        });
        let address = listener.local_addr().expect("a bound socket has an address");
        let door = tokio::sync::Mutex::new(Door::Open(tokio::spawn(serve(Arc::clone(&shared), listener))));
        Self { shared, address, door }
    }

    /// Its name, which its answers carry.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL of this backend itself, past Envoy.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Scripts all prompts from now on, and forgets what was scripted for the next ones.
    pub fn set(&self, behaviour: Behaviour) {
        let mut script = self.shared.script();
        script.next.clear();
        script.standing = behaviour;
    }

    /// Scripts the next `prompts` prompts, after those that are scripted already.
    pub fn next(&self, prompts: usize, behaviour: Behaviour) {
        self.shared.script().next.push_back((prompts, behaviour));
    }

    /// Keeps to a limit from now on, whatever is scripted.
    pub fn limit(&self, limit: Limit) {
        self.shared.limiter.set(limit);
    }

    /// Scripts the answers to `GET` requests from now on.
    pub fn set_health(&self, behaviour: Behaviour) {
        self.shared.script().health = behaviour;
    }

    /// Everything received, in order, health checks too.
    pub fn journal(&self) -> Vec<Seen> {
        self.shared.journal.seen()
    }

    /// Everything received but `GET`, `HEAD` and `OPTIONS` requests, in order.
    pub fn prompts(&self) -> Vec<Seen> {
        let is_prompt = |seen: &Seen| !matches!(&*seen.method, "GET" | "HEAD" | "OPTIONS");
        self.journal().into_iter().filter(is_prompt).collect()
    }

    /// The journal as JSON.
    pub fn journal_json(&self) -> Value {
        self.journal().iter().map(Seen::to_json).collect()
    }

    /// Empties the journal and sets the counters to zero, but for what is in flight.
    pub fn clear_journal(&self) {
        self.shared.journal.clear();
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        self.shared.journal.counters()
    }

    /// Closes every connection and refuses new ones, as if the process had died. Does nothing where it is dead.
    pub async fn kill(&self) {
        let mut door = self.door.lock().await;
        if let Door::Open(task) = &mut *door {
            self.shared.stop.notify_one();
            task.await.expect("the accept loop does not panic");
            *door = Door::Closed(Some(self.reserve().await));
        }
    }

    /// Binds the port without listening. Between the listener's end and this, a process that looks for free ports may
    /// hold it for a moment.
    async fn reserve(&self) -> TcpSocket {
        for _ in 0..500 {
            let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let socket = socket.expect("a socket");
            socket.set_reuseaddr(true).expect("the address may be used again");
            if socket.bind(self.address).is_ok() {
                return socket;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("another process took {}", self.address);
    }

    /// Listens again, on the same port. Does nothing where it lives.
    pub async fn restart(&self) {
        let mut door = self.door.lock().await;
        if let Door::Closed(socket) = &mut *door
            && let Some(socket) = socket.take()
        {
            let listener = socket.listen(1024).expect("the port is reserved");
            *door = Door::Open(tokio::spawn(serve(Arc::clone(&self.shared), listener)));
        }
    }
}

async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.notified() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                // An error here is that of one connection, or of too many open files: either passes.
                let Ok((stream, _)) = accepted else { continue };
                shared.journal.connected();
                let _ = stream.set_nodelay(true);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let fate = Arc::new(Fate::default());
                    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&fate)));
                    let service =
                        service_fn(move |request| answer::answer(Arc::clone(&shared), Arc::clone(&fate), request));
                    // It ends with an error where a test scripted one, or when the peer goes away.
                    let _ = http1::Builder::new().serve_connection(wire, service).await;
                });
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}
