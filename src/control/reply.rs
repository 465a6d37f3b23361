//! Answers of the control API.

use std::borrow::Cow;

use super::dashboard::Coding;
use super::json::object;
use crate::exchange::Refusal;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The method that would have been right, where another one was used.
    pub allow: Option<&'static str>,
    /// JSON, where it is not the dashboard.
    pub body: String,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Json,
    Dashboard(Coding),
    Nothing,
}

impl Reply {
    pub(super) const fn ok(body: String) -> Self {
        Self::json(200, body)
    }

    const fn json(status: u16, body: String) -> Self {
        Self { status, allow: None, body, content: Content::Json }
    }

    pub(super) const fn dashboard(coding: Coding) -> Self {
        Self { status: 200, allow: None, body: String::new(), content: Content::Dashboard(coding) }
    }

    /// There is none: browsers ask for an icon.
    pub(super) const fn nothing() -> Self {
        Self { status: 204, allow: None, body: String::new(), content: Content::Nothing }
    }

    /// The body as it is sent.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.content {
            Content::Json | Content::Nothing => self.body.as_bytes().into(),
            Content::Dashboard(coding) => coding.document().into(),
        }
    }

    /// All headers of the answer.
    pub fn headers(&self) -> Vec<(&'static str, &'static str)> {
        let mut headers = match self.content {
            Content::Json => vec![("content-type", "application/json")],
            Content::Dashboard(coding) => coding.headers(),
            Content::Nothing => Vec::new(),
        };
        headers.extend([("cache-control", "no-store"), ("x-content-type-options", "nosniff")]);
        headers.extend(self.allow.map(|method| ("allow", method)));
        if self.status == 401 {
            headers.push(("www-authenticate", "Bearer"));
        }
        headers
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        let body = object(|o| _ = o.object("error", |o| _ = o.set("message", message).set("code", code)));
        Self::json(status, body)
    }

    /// There is no router yet on this worker: it comes with the router's configuration.
    pub fn no_router() -> Self {
        let message = "no router is at work here yet: it needs a configuration of the role router with this vm_id; if it has one, that was \
             refused: see Envoy's log";
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
        Self::error(403, "forbidden_origin", "this call changes something and comes from a page of another origin")
    }

    /// The host is a name that others may own.
    pub(super) fn foreign_host(host: &str) -> Self {
        let message = format!(
            "this listener does not answer to the host \"{host}\": use an IP address or localhost, or add the name to \
             allowed_hosts in the configuration of the role control"
        );
        Self::error(403, "forbidden_host", &message)
    }

    /// Anybody who reaches the listener could change something.
    pub(super) fn token_needed() -> Self {
        let message = "this call changes something, no token is set, and the listener is reached by another address than \
                       loopback: set LLM_ROUTER_CONTROL_TOKEN in the VM's environment_variables and send it as \
                       `authorization: Bearer <token>`";
        Self::error(403, "token_needed", message)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn header(reply: &Reply, wanted: &str) -> Option<&'static str> {
        reply.headers().into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    #[test]
    fn every_answer_says_what_it_is_and_is_not_kept() {
        let (page, error) = (Reply::dashboard(Coding::Plain), Reply::not_allowed("GET"));
        for (reply, kind) in [
            (&page, Some("text/html; charset=utf-8")),
            (&Reply::dashboard(Coding::Gzip), Some("text/html; charset=utf-8")),
            (&error, Some("application/json")),
            (&Reply::nothing(), None),
        ] {
            assert_eq!(header(reply, "content-type"), kind);
            assert_eq!(header(reply, "cache-control"), Some("no-store"));
            assert_eq!(header(reply, "x-content-type-options"), Some("nosniff"));
        }
        assert_eq!((header(&error, "allow"), header(&page, "allow")), (Some("GET"), None));
        assert_eq!(header(&Reply::unauthorized(), "www-authenticate"), Some("Bearer"));
        assert_eq!(header(&error, "www-authenticate"), None);
        assert_eq!(header(&error, "content-security-policy"), None);
        assert_eq!(header(&page, "content-encoding"), None);
        assert_eq!(header(&Reply::dashboard(Coding::Gzip), "content-encoding"), Some("gzip"));
        assert_eq!(header(&page, "referrer-policy"), Some("no-referrer"));
    }

    #[test]
    fn the_dashboard_is_sent_as_its_caller_takes_it() {
        assert!(Reply::dashboard(Coding::Plain).bytes().starts_with(b"<!doctype html>"));
        assert!(Reply::dashboard(Coding::Gzip).bytes().starts_with(&[0x1F, 0x8B]));
        assert_eq!(Reply::not_allowed("GET").bytes().first(), Some(&b'{'));
        assert_eq!((Reply::nothing().status, &*Reply::nothing().bytes()), (204, &b""[..]));
    }
}
