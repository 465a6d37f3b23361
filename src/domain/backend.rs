//! A backend: one way to have a request answered, at its price, with its quality.

use std::time::Duration;

use super::{ApiSet, Limits, PerMille, PicoUsd, Price};

/// Whose service a backend is, and so which APIs it speaks unless its configuration says; also a label of its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendType {
    /// A LightRAG server: its own paths, and Ollama's.
    LightRag,
    /// Perplexity: Sonar, agents, asynchronous chats.
    Perplexity,
    /// Anything that speaks the OpenAI API.
    OpenAi,
    /// Anthropic: messages, token counts, batches.
    Anthropic,
    /// Gemini: `…:generateContent` and its kin.
    Gemini,
    /// Any other service: its paths belong to no known API.
    Generic,
}

impl BackendType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::LightRag, Self::Perplexity, Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Generic];

    /// Its name in configuration, metrics and the control API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LightRag => "lightrag",
            Self::Perplexity => "perplexity",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Generic => "generic",
        }
    }
}

/// What an answer counts as that no model wrote: a stock sentence, which the backend itself says stands in for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FallbackAnswers {
    /// A failed answer: the service behind the backend is out of order.
    #[default]
    Fail,
    /// A good one.
    Accept,
}

/// A backend's place in the configuration: backends are sorted by id, and this is the index in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendIndex(pub u16);

impl BackendIndex {
    /// As an index into a slice of backends.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// A relative share, in thousandths; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// The default share, 1.0.
    pub const ONE: Self = Self(1000);

    /// That many thousandths, at least one of them.
    pub const fn from_thousandths(thousandths: u32) -> Self {
        Self(if thousandths == 0 { 1 } else { thousandths })
    }

    /// Thousandths.
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// As a number, for scores.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// What a backend charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Prices {
    /// Per prompt token.
    pub input: Price,
    /// Per token of the answer, reasoning included.
    pub output: Price,
    /// Per prompt token that the provider had cached.
    pub cached_input: Price,
}

/// When a backend's circuit breaker opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// The share of failures among the last [`window`](Self::window) answers that opens it.
    pub failure_rate_threshold: PerMille,
    /// Answers of which that share is taken.
    pub window: u8,
    /// Answers there must be before a share opens it.
    pub min_requests: u8,
    /// An answer that takes longer is slow; where none is given, one that takes much longer than is usual for the
    /// backend.
    pub slow_response: Option<Duration>,
    /// The share of slow ones among the last 50 answers that opens it.
    pub slow_rate_threshold: PerMille,
    /// Answers in a row that nobody can use, after which the backend is misconfigured; 0: never.
    pub misconfigured_threshold: u16,
    /// How long it stays open before probes are let through; doubled at each reopening.
    pub recovery_timeout: Duration,
    /// Probes under way at once while it is half-open, and successes that close it.
    pub half_open_max_requests: u32,
    /// Whether the thresholds tighten while errors cluster, and relax with a long clean record.
    pub adaptive: bool,
    /// How long it takes after closing until it has its whole share of the traffic again.
    pub ramp: Duration,
}

/// The router's own check of a backend, besides Envoy's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeSettings {
    /// What is asked for, by GET.
    pub path: Box<str>,
    /// The `:authority` it is asked by.
    pub host: Box<str>,
    /// How long after a check the next one is.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failed checks in a row after which the backend is unhealthy.
    pub failures: u32,
    /// Good checks in a row after which it is healthy again.
    pub successes: u32,
}

/// A backend as the operator configured it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Its name: in headers, metrics, logs and the control API.
    pub id: Box<str>,
    /// The Envoy cluster that serves it.
    pub cluster: Box<str>,
    /// Whose service it is.
    pub kind: BackendType,
    /// The group of its operator's that it belongs to, if any: a label, for which nothing else is done.
    pub group: Option<Box<str>>,
    /// The APIs that it speaks: it gets no requests of others.
    pub apis: ApiSet,
    /// Its share, where a strategy deals in shares.
    pub weight: Weight,
    /// Its tier: lower first; a higher tier is used only when no lower one is eligible.
    pub priority: u32,
    /// What it charges.
    pub prices: Prices,
    /// How long an answer takes, until there are measurements.
    pub expected_response_time: Duration,
    /// How good its answers are, `0..=1`.
    pub quality: PerMille,
    /// How dependable it is, `0..=1`.
    pub reliability: PerMille,
    /// Requests it may have under way at once, over all workers.
    pub max_concurrent_requests: Option<u32>,
    /// How long a request may wait there until its answer begins, before the next backend is tried.
    pub timeout: Option<Duration>,
    /// What it costs in an hour whether it is asked or not, such as a rented machine or a store of documents.
    pub fixed_cost_per_hour: PicoUsd,
    /// What may be spent there, and asked of it.
    pub limits: Limits,
    /// Its circuit breaker, unless switched off.
    pub breaker: Option<BreakerSettings>,
    /// The router's own check of it, if there is one.
    pub probe: Option<ProbeSettings>,
    /// Backends of one domain fail together: a request that failed at one of them is better tried elsewhere.
    pub failure_domain: Box<str>,
    /// What an answer counts as that it says no model wrote.
    pub fallback_answers: FallbackAnswers,
    /// Whether it gets no new requests, because an operator wants that. No key of the
    /// configuration.
    pub draining: bool,
}

impl Backend {
    /// What it is listed under: its group, else its type.
    pub fn label(&self) -> &str {
        self.group.as_deref().unwrap_or(self.kind.name())
    }

    /// Whether `name` is its group or its type.
    pub fn is_of(&self, name: &str) -> bool {
        self.group.as_deref() == Some(name) || self.kind.name() == name
    }
}
