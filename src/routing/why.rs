//! Exclusions in words: who keeps a backend out, and why.

use super::Exclusion;
use crate::domain::Timestamp;

impl Exclusion {
    /// Who excludes the backend: `excluded.by` of an explanation.
    pub const fn by(self) -> &'static str {
        match self {
            Self::ApiNotSupported => "api",
            Self::Breaker { .. } => "breaker",
            Self::NoHealthyHost => "envoy",
            Self::Unhealthy => "probe",
            Self::Misconfigured { .. } => "misconfigured",
            Self::QuotaExhausted { .. } | Self::NoHeadroom { .. } => "quota",
            Self::AtCapacity => "capacity",
            Self::AtConcurrencyLimit => "concurrency_limit",
            Self::Draining => "operator",
            Self::BelowMinQuality => "client",
            Self::OverBudget { .. } => "budget",
            Self::OverRate { .. } => "rate",
        }
    }

    /// Why, for people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ApiNotSupported => "api_not_supported: it does not speak the API of the request",
            Self::Breaker { .. } => "its breaker is open, or half-open with all its probes under way",
            Self::NoHealthyHost => "Envoy would send to none of its hosts",
            Self::Unhealthy => "the router's own checks of it failed",
            Self::Misconfigured { .. } => "nobody could use its last answers: its key, path or model is wrong",
            Self::QuotaExhausted { .. } => "its provider refused for want of quota",
            Self::NoHeadroom { .. } => "what is left of its quota is spoken for, or too little for this request",
            Self::AtCapacity => "it has as many tokens in flight as it was seen to take",
            Self::AtConcurrencyLimit => "it has as many requests in flight as it may have",
            Self::Draining => "an operator drains it",
            Self::BelowMinQuality => "its quality is below what the client asks for",
            Self::OverBudget { .. } => "there is no money left for the request there",
            Self::OverRate { .. } => "there was as much in the last minute as there may be",
        }
    }

    /// When that may change, where somebody knows.
    pub const fn retry_at(self) -> Option<Timestamp> {
        match self {
            Self::Breaker { retry_at }
            | Self::Misconfigured { retry_at }
            | Self::QuotaExhausted { retry_at }
            | Self::NoHeadroom { retry_at }
            | Self::OverBudget { retry_at }
            | Self::OverRate { retry_at } => Some(retry_at),
            Self::ApiNotSupported
            | Self::NoHealthyHost
            | Self::Unhealthy
            | Self::AtCapacity
            | Self::AtConcurrencyLimit
            | Self::Draining
            | Self::BelowMinQuality => None,
        }
    }
}
