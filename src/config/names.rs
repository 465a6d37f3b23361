//! Closed enums as the configuration spells them.

use super::{LogFormat, LogLevel, Strategy};
use crate::domain::{BackendType, FallbackAnswers};

/// An enum whose variants have names in the configuration.
pub(super) trait Named: Copy + 'static {
    /// Every variant, in the order in which an error lists them.
    const ALL: &'static [Self];
    /// Names of the full interface that this version does not serve yet.
    const LATER: &'static [&'static str] = &[];

    /// Other words that people have for them, and which name is meant: for a suggestion, never taken for it.
    const SYNONYMS: &'static [(&'static str, &'static str)] = &[];

    /// Its canonical name.
    fn name(self) -> &'static str;

    /// The variant of that name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|variant| variant.name() == name)
    }
}

/// The place in Envoy that a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The downstream HTTP filter.
    Router,
    /// The upstream HTTP filter of a backend's cluster.
    Attempt,
    /// The HTTP filter of a private listener, for operators.
    Control,
}

impl Named for Role {
    const ALL: &'static [Self] = &[Self::Router, Self::Attempt, Self::Control];

    fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Attempt => "attempt",
            Self::Control => "control",
        }
    }
}

/// What becomes of a request for inference whose body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnreadable {
    /// It is routed by a guess.
    #[default]
    Route,
    /// It is refused.
    Refuse,
}

impl OnUnreadable {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Refuse => "refuse",
        }
    }
}

impl Named for OnUnreadable {
    const ALL: &'static [Self] = &[Self::Route, Self::Refuse];

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Named for Strategy {
    const ALL: &'static [Self] = &Self::ALL;
    const LATER: &'static [&'static str] = &["geographic", "adaptive_learning", "adaptive", "custom"];
    const SYNONYMS: &'static [(&'static str, &'static str)] = &[
        ("rr", "round_robin"),
        ("weighted_random", "weighted"),
        ("wrr", "weighted_round_robin"),
        ("smooth_weighted_round_robin", "weighted_round_robin"),
        ("least_request", "least_connections"),
        ("least_requests", "least_connections"),
        ("least_conn", "least_connections"),
        ("least_conns", "least_connections"),
        ("leastconn", "least_connections"),
        ("least_loaded", "least_connections"),
        ("health", "health_aware"),
        ("health_based", "health_aware"),
        ("cost", "cost_optimized"),
        ("cost_based", "cost_optimized"),
        ("cheapest", "cost_optimized"),
        ("lowest_cost", "cost_optimized"),
        ("performance", "performance_based"),
        ("cost_aware", "cost_optimized"),
        ("quality_aware", "quality_based"),
        ("response_time", "performance_based"),
        ("response_time_based", "performance_based"),
        ("latency", "performance_based"),
        ("latency_based", "performance_based"),
        ("lowest_latency", "performance_based"),
        ("fastest", "performance_based"),
        ("quality", "quality_based"),
        ("quality_optimized", "quality_based"),
    ];

    fn name(self) -> &'static str {
        self.name()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::from_name(name)
    }
}

impl Named for BackendType {
    const ALL: &'static [Self] = &Self::ALL;
    const SYNONYMS: &'static [(&'static str, &'static str)] = &[
        ("light_rag", "lightrag"),
        ("open_ai", "openai"),
        ("openai_compatible", "openai"),
        ("azure", "openai"),
        ("azure_openai", "openai"),
        ("vllm", "openai"),
        ("ollama", "openai"),
        ("litellm", "openai"),
        ("llama_cpp", "openai"),
        ("mistral", "openai"),
        ("groq", "openai"),
        ("deepseek", "openai"),
        ("claude", "anthropic"),
        ("sonar", "perplexity"),
        ("google", "gemini"),
        ("vertex", "gemini"),
        ("custom", "generic"),
        ("other", "generic"),
    ];

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Named for FallbackAnswers {
    const ALL: &'static [Self] = &[Self::Fail, Self::Accept];

    fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Accept => "accept",
        }
    }
}

/// One entry of `client_hints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// `x-llm-strategy`.
    Strategy,
    /// `x-llm-min-quality`.
    MinQuality,
    /// `x-llm-tenant`.
    Tenant,
    /// `x-llm-explain`.
    Explain,
}

impl Named for Hint {
    const ALL: &'static [Self] = &[Self::Strategy, Self::MinQuality, Self::Tenant, Self::Explain];
    const LATER: &'static [&'static str] = &["region", "cache"];

    fn name(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::MinQuality => "min_quality",
            Self::Tenant => "tenant",
            Self::Explain => "explain",
        }
    }
}

impl Named for LogFormat {
    const ALL: &'static [Self] = &[Self::Json, Self::Text];

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl Named for LogLevel {
    const ALL: &'static [Self] = &[Self::Debug, Self::Info, Self::Warn, Self::Error];

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
