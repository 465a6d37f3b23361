//! Answers of the control API.

use super::json::object;
use crate::exchange::Refusal;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The method that would have been right, where another one was used.
    pub allow: Option<&'static str>,
    /// JSON.
    pub body: String,
}

impl Reply {
    pub(super) const fn ok(body: String) -> Self {
        Self { status: 200, allow: None, body }
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        let body = object(|o| _ = o.object("error", |o| _ = o.set("message", message).set("code", code)));
        Self { status, allow: None, body }
    }

    /// There is no router yet on this worker: it comes with the router's configuration.
    pub fn no_router() -> Self {
        let message = "no router is at work here yet: it needs a configuration of the role router with this vm_id";
        Self::error(503, "no_router", message)
    }

    /// Something inside failed; asking again may help.
    pub fn unavailable(message: &str) -> Self {
        Self::error(503, "unavailable", message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::error(400, "invalid_request", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::error(401, "unauthorized", "this call changes something and needs `authorization: Bearer <token>`")
    }

    pub(super) fn foreign() -> Self {
        let message = "this call changes something and comes from a page of another origin";
        Self::error(403, "forbidden_origin", message)
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::error(404, "not_found", message)
    }

    pub(super) fn not_allowed(allow: &'static str) -> Self {
        let message = format!("this endpoint takes {allow} only");
        Self { allow: Some(allow), ..Self::error(405, "method_not_allowed", &message) }
    }

    pub(super) fn conflict(message: &str) -> Self {
        Self::error(409, "conflict", message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::error(413, "request_too_large", &format!("the body is larger than the {limit} bytes that are read here"))
    }

    /// A request that the router would refuse as it stands.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self::error(refusal.code.status(), refusal.code.name(), &refusal.message)
    }
}
