//! What an answer amounts to, besides its usage and its end.

use super::class::Claim;

/// An error inside an answer that began as a success, as the HTTP status that says the same.
///
/// The providers' codes and types (`context_length_exceeded`, `RESOURCE_EXHAUSTED`, `overloaded_error` …) and numbers
/// become the status that the same provider would have answered with, had it known in time. So one function can judge
/// both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InBandError {
    /// The status, from 400 to 599.
    pub status: u16,
}

impl InBandError {
    /// An error that says nothing of its kind.
    pub const UNKNOWN: Self = Self { status: 500 };
    /// A sentence stands in for an answer: the service behind the backend is out of order.
    pub const FALLBACK: Self = Self { status: 503 };

    pub(super) fn of(claim: Claim) -> Self {
        claim.status().map_or(Self::UNKNOWN, |status| Self { status })
    }
}

/// What a body looks like, told by its first bytes, whatever its content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Not looked at: another status than 2xx, a content encoding, an API whose answers may have any form; or nothing
    /// has come.
    Unwatched,
    /// One JSON value.
    Json,
    /// JSON values, one after the other.
    Lines,
    /// Server-sent events.
    Events,
    /// A page of HTML, or XML.
    Html,
    /// Anything else that is none of these, such as plain text.
    Other,
}

impl Form {
    /// Whether no answer of an API that speaks JSON has this form: somebody else answered, or another service.
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Html | Self::Other)
    }
}
