//! A backend: one way to have a request answered, at its price, with its quality.

use std::time::Duration;

use super::{PerMille, Price};

/// Which API a backend speaks; also the first label of its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendType {
    /// A LightRAG server: `/query` and `/query/stream`.
    LightRag,
    /// Perplexity: chat completions with search.
    Perplexity,
    /// Anything that speaks the OpenAI API.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

impl BackendType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::LightRag, Self::Perplexity, Self::OpenAi, Self::Anthropic];

    /// Its name in configuration, metrics and the control API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LightRag => "lightrag",
            Self::Perplexity => "perplexity",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    /// Per prompt token.
    pub input: Price,
    /// Per token of the answer, reasoning included.
    pub output: Price,
    /// Per prompt token that the provider had cached.
    pub cached_input: Price,
}

/// When a backend's circuit breaker opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// How long it stays open before probes are let through.
    pub recovery_timeout: Duration,
    /// Probes under way at once while it is half-open, and successes that close it.
    pub half_open_max_requests: u32,
}

/// A backend as the operator configured it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name: in headers, metrics, logs and the control API.
    pub id: Box<str>,
    /// The Envoy cluster that serves it.
    pub cluster: Box<str>,
    /// Which API it speaks.
    pub kind: BackendType,
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
    /// Its circuit breaker, unless switched off.
    pub breaker: Option<BreakerSettings>,
}
