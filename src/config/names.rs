//! Closed enums as the configuration spells them.

use super::{LogFormat, LogLevel, Strategy};
use crate::domain::{BackendType, FallbackAnswers};

/// An enum whose variants have names in the configuration.
pub(super) trait Named: Copy + 'static {
    /// Every variant, in the order in which an error lists them.
    const ALL: &'static [Self];
    /// Names of the full interface that this version does not serve yet.
    const LATER: &'static [&'static str] = &[];

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

    fn name(self) -> &'static str {
        self.name()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::from_name(name)
    }
}

impl Named for BackendType {
    const ALL: &'static [Self] = &Self::ALL;

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
