//! Answers that the router gives itself, in the shape that OpenAI clients parse.

use std::time::Duration;

use crate::json::object;
use crate::metrics::Metric;

/// Why the router refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// 400: the body must be read and cannot be.
    InvalidRequest,
    /// 413: the body is over the limit.
    RequestTooLarge,
    /// 429: every backend that might serve it has as much to do as it may have.
    RateLimited,
    /// 429: there is no money left for it.
    BudgetExceeded,
    /// 503: nothing may serve it now.
    NoBackendAvailable,
    /// 503: as many requests wait as may.
    QueueFull,
    /// 503: it waited as long as it may.
    QueueTimeout,
}

/// A request that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// What a person reads.
    pub message: String,
    /// When asking again may help.
    pub retry_after: Option<Duration>,
    /// Why nobody may serve it, where the client wants to know and may: the value of `x-llm-explain`.
    pub explanation: Option<String>,
}

impl RefusalCode {
    /// Every code there is.
    pub const ALL: [Self; 7] = [
        Self::InvalidRequest,
        Self::RequestTooLarge,
        Self::RateLimited,
        Self::BudgetExceeded,
        Self::NoBackendAvailable,
        Self::QueueFull,
        Self::QueueTimeout,
    ];

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::RequestTooLarge => 413,
            Self::RateLimited | Self::BudgetExceeded => 429,
            Self::NoBackendAvailable | Self::QueueFull | Self::QueueTimeout => 503,
        }
    }

    /// Its name: `error.code`, and the label of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimited => "rate_limited",
            Self::BudgetExceeded => "budget_exceeded",
            Self::NoBackendAvailable => "no_backend_available",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
        }
    }

    /// `error.type`, by which clients choose the exception.
    const fn kind(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::RequestTooLarge => "invalid_request_error",
            Self::RateLimited | Self::BudgetExceeded => "rate_limit_error",
            Self::NoBackendAvailable | Self::QueueFull | Self::QueueTimeout => "server_error",
        }
    }
}

impl Refusal {
    pub(super) fn too_large(limit: usize) -> Self {
        Self {
            code: RefusalCode::RequestTooLarge,
            message: format!("the request's body is larger than the {limit} bytes that this gateway reads"),
            retry_after: None,
            explanation: None,
        }
    }

    pub(super) fn invalid(what: &impl std::fmt::Display) -> Self {
        Self { code: RefusalCode::InvalidRequest, message: what.to_string(), retry_after: None, explanation: None }
    }

    /// As many wait as may, the first of them for so long.
    pub(super) fn queue_full(longest: Duration) -> Self {
        Self {
            code: RefusalCode::QueueFull,
            message: "every backend that could serve this request is busy, and as many requests wait as may".to_owned(),
            retry_after: Some(longest),
            explanation: None,
        }
    }

    pub(super) const fn metric(&self) -> Metric {
        Metric::Refusals(self.code.name())
    }

    /// Whole seconds for `retry-after`, at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// The JSON body.
    pub fn body(&self) -> String {
        object(|o| {
            o.object("error", |o| {
                o.set("message", &*self.message).set("type", self.code.kind());
                o.set("code", self.code.name()).set("param", None::<&str>);
            });
        })
    }
}
