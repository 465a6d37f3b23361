//! What became of a request.

use super::Tokens;

/// Tokens as a provider reported them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All prompt tokens, cached ones included, whatever the API's own habit is.
    pub input: Tokens,
    /// Those of `input` that were read from the provider's cache.
    pub cached_input: Tokens,
    /// All tokens of the answer, reasoning included.
    pub output: Tokens,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection to the backend: it refused, or has no healthy host, or there is no such cluster.
    Connect,
    /// The backend, or the way to it, cut the connection.
    Reset,
    /// It took too long.
    Timeout,
    /// It answered with a 5xx.
    ServerError,
    /// It answered 200, with an error inside.
    InBandError,
    /// Its stream ended before it was complete.
    Truncated,
    /// Its stream stood still in the middle until somebody lost patience.
    Stalled,
    /// An earlier attempt of a request that was retried: Envoy says that it failed, not why.
    Retried,
}

/// What is wrong with a backend that can serve nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Misconfiguration {
    /// It does not know the key, or forbids all there is to do with it.
    Credentials,
    /// It is not paid for.
    Payment,
    /// It does not know the path or the model.
    NotFound,
    /// It sends everybody elsewhere.
    Redirect,
    /// It answers in a form that its API does not have, such as a page of HTML.
    ContentType,
    /// It understands none of the requests.
    Unprocessable,
}

impl Misconfiguration {
    /// Every one; its place is its code in the record.
    pub const ALL: [Self; 6] =
        [Self::Credentials, Self::Payment, Self::NotFound, Self::Redirect, Self::ContentType, Self::Unprocessable];

    /// Its name, for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Payment => "payment",
            Self::NotFound => "not_found",
            Self::Redirect => "redirect",
            Self::ContentType => "content_type",
            Self::Unprocessable => "unprocessable",
        }
    }

    /// Its code in the record.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The one of that code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// How an exchange with a backend ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Answered.
    Success,
    /// The request was at fault, not the backend.
    ClientError,
    /// Answered in a way that nobody can use: if it goes on like that, the backend is misconfigured.
    Misconfigured(Misconfiguration),
    /// Answered 429: the backend is well, its quota is not.
    RateLimited,
    /// The client went away first.
    ClientAbort,
    /// The backend failed.
    Failed(Failure),
    /// Never left Envoy, through no fault of the backend: another filter answered, or Envoy's own limits were reached.
    NotSent,
}

impl Ending {
    /// Its name: of a failure, which one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientError => "client_error",
            Self::Misconfigured(why) => why.name(),
            Self::RateLimited => "rate_limited",
            Self::ClientAbort => "client_abort",
            Self::NotSent => "not_sent",
            Self::Failed(Failure::Connect) => "connect",
            Self::Failed(Failure::Reset) => "reset",
            Self::Failed(Failure::Timeout) => "timeout",
            Self::Failed(Failure::ServerError) => "server_error",
            Self::Failed(Failure::InBandError) => "in_band_error",
            Self::Failed(Failure::Truncated) => "truncated",
            Self::Failed(Failure::Stalled) => "stalled",
            Self::Failed(Failure::Retried) => "retried",
        }
    }
}
