//! Answers that the router gives itself, each in the form of the errors of the API that was asked, so that the client's
//! library raises the exception that it raises for its provider.

use std::time::Duration;

use crate::domain::{Api, ApiSet, Vendor};
use crate::json::object;
use crate::metrics::Metric;

/// Why the router refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// 400: the body must be read and cannot be.
    InvalidRequest,
    /// 404: no backend speaks the API.
    ApiNotSupported,
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
    /// The API that was asked: its errors have this form.
    pub api: Api,
}

impl RefusalCode {
    /// Every code there is.
    pub const ALL: [Self; 8] = [
        Self::InvalidRequest,
        Self::ApiNotSupported,
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
            Self::ApiNotSupported => 404,
            Self::RequestTooLarge => 413,
            Self::RateLimited | Self::BudgetExceeded => 429,
            Self::NoBackendAvailable | Self::QueueFull | Self::QueueTimeout => 503,
        }
    }

    /// Its name: `error.code`, and the label of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ApiNotSupported => "api_not_supported",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimited => "rate_limited",
            Self::BudgetExceeded => "budget_exceeded",
            Self::NoBackendAvailable => "no_backend_available",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
        }
    }

    /// `error.type` in OpenAI's form, by which clients choose the exception.
    const fn openai(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::ApiNotSupported | Self::RequestTooLarge => "invalid_request_error",
            Self::RateLimited | Self::BudgetExceeded => "rate_limit_error",
            Self::NoBackendAvailable | Self::QueueFull | Self::QueueTimeout => "server_error",
        }
    }

    /// `error.type` in Anthropic's.
    const fn anthropic(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::ApiNotSupported => "not_found_error",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimited | Self::BudgetExceeded => "rate_limit_error",
            Self::NoBackendAvailable | Self::QueueFull | Self::QueueTimeout => "overloaded_error",
        }
    }

    /// `error.status` in Google's.
    const fn google(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::RequestTooLarge => "INVALID_ARGUMENT",
            Self::ApiNotSupported => "NOT_FOUND",
            Self::RateLimited | Self::BudgetExceeded => "RESOURCE_EXHAUSTED",
            Self::NoBackendAvailable | Self::QueueFull | Self::QueueTimeout => "UNAVAILABLE",
        }
    }
}

/// The API in the form of whose errors a request is refused.
pub(super) const fn form_of(api: Api, vendor: Vendor) -> Api {
    match vendor {
        Vendor::Anthropic => Api::AnthropicOther,
        Vendor::Usual | Vendor::Perplexity | Vendor::Gemini => api,
    }
}

impl Refusal {
    /// For that reason; in OpenAI's form until it is said otherwise.
    pub(super) const fn new(code: RefusalCode, message: String) -> Self {
        Self { code, message, retry_after: None, explanation: None, api: Api::Other }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the request's body is larger than the {limit} bytes that this gateway reads");
        Self::new(RefusalCode::RequestTooLarge, message)
    }

    pub(super) fn invalid(what: &impl std::fmt::Display) -> Self {
        Self::new(RefusalCode::InvalidRequest, what.to_string())
    }

    /// The gateway is told to send on nothing that it cannot read.
    pub(super) fn unreadable(why: &impl std::fmt::Display) -> Self {
        let message = format!(
            "this gateway sends on only what it can read, so that budgets hold, and this request it cannot: {why}"
        );
        Self::new(RefusalCode::InvalidRequest, message)
    }

    /// No backend speaks `api`; together they speak these.
    pub(super) fn api_not_supported(api: Api, spoken: ApiSet) -> Self {
        let (api, spoken) = (api.name(), spoken.names().join(", "));
        let message = format!("no backend of this gateway speaks the API {api}; they speak: {spoken}");
        Self::new(RefusalCode::ApiNotSupported, message)
    }

    /// As many wait as may, the first of them for so long.
    pub(super) fn queue_full(longest: Duration) -> Self {
        let message =
            "every backend that could serve this request is busy, and as many requests wait as may".to_owned();
        Self { retry_after: Some(longest), ..Self::new(RefusalCode::QueueFull, message) }
    }

    /// The same, in the form of the errors of `api`.
    #[must_use]
    pub(super) fn in_form_of(self, api: Api) -> Self {
        Self { api, ..self }
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
        let (code, message) = (self.code, &*self.message);
        object(|o| match self.api {
            Api::Messages | Api::VertexMessages | Api::CountTokens | Api::AnthropicOther => {
                o.set("type", "error");
                o.object("error", |o| _ = o.set("type", code.anthropic()).set("message", message));
            }
            Api::GenerateContent | Api::GeminiOther => {
                o.object("error", |o| {
                    o.set("code", u32::from(code.status())).set("message", message).set("status", code.google());
                });
            }
            Api::OllamaChat | Api::OllamaGenerate | Api::OllamaOther => _ = o.set("error", message),
            Api::LightRagQuery | Api::LightRagOther => _ = o.set("detail", message),
            Api::ChatCompletions
            | Api::Responses
            | Api::Completions
            | Api::Embeddings
            | Api::Models
            | Api::OpenAiOther
            | Api::Sonar
            | Api::Agent
            | Api::AsyncChat
            | Api::Other => {
                o.object("error", |o| {
                    o.set("message", message).set("type", code.openai());
                    o.set("code", code.name()).set("param", None::<&str>);
                });
            }
        })
    }
}
