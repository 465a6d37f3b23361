//! The request's headers: what they say, and what must go.

use super::Context;
use crate::config::{ClientHints, Strategy};
use crate::domain::{Api, PerMille, Purpose, Vendor};
use crate::host::Host;
use crate::metrics::Method;
use crate::protocol::{self, Measure, RequestPath};

/// What the router sets and the hints it reads; nothing by such a name goes through from outside.
pub(super) fn is_own(header: &str) -> bool {
    header.starts_with("x-llm-") || header == ATTEMPT_COUNT
}

/// Has every name of those that [`is_own`] removed, once where its copies follow each other.
pub(super) fn each_own(fields: &[(String, Vec<u8>)], remove: impl Fn(&str)) {
    let mut removed = "";
    for (name, _) in fields.iter().filter(|(name, _)| is_own(name)) {
        if name != removed {
            remove(name);
            removed = name;
        }
    }
}

/// Whether a header of the request tells Envoy how to retry, how long to wait, or what to call its statistics. Envoy
/// believes those that come from an address which it is told is internal; the router's plan must not depend on it.
fn steers_envoy(header: &str) -> bool {
    let Some(name) = header.strip_prefix("x-envoy-") else { return false };
    let prefixes = ["upstream-", "max-retries", "retry-", "retriable-", "hedge-", "expected-rq-"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// How long Envoy lets an attempt take before it tries the next one, in milliseconds. It holds for each attempt, and only
/// until the answer has begun.
pub(super) const ATTEMPT_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";

/// What the matcher route reads at each attempt. Envoy counts it up from the router's `0`.
pub(super) const ATTEMPT_COUNT: &str = "x-envoy-attempt-count";

/// Prompt tokens, as estimated for the backend that is named beside it.
pub(super) const ESTIMATED_TOKENS: &str = "x-llm-estimated-tokens";

/// A client's wish to know why; in the answer, the explanation.
pub(super) const EXPLAIN: &str = "x-llm-explain";

/// What is known of a request before its body.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a header's word of its own")]
pub(super) struct Intake {
    pub(super) api: Api,
    pub(super) purpose: Purpose,
    /// Whose form of its API it has.
    pub(super) vendor: Vendor,
    pub(super) path: RequestPath,
    pub(super) method: Method,
    pub(super) encoding: Encoding,
    pub(super) wishes: Wishes,
    /// What Envoy calls the request; no bytes where it does not.
    pub(super) request_id: Vec<u8>,
    /// Who is asking, where anybody wants to know.
    pub(super) tenant: Option<Vec<u8>>,
    /// Bytes of the body that Envoy holds so far.
    pub(super) held: usize,
    /// Whether the body is read once it is there, as its path says; otherwise only if it looks like JSON.
    pub(super) reads: bool,
    /// Bytes of the headers, without those that were removed.
    pub(super) header_bytes: u64,
    content_length: Option<u64>,
    /// What the body is, as far as the client says.
    content_type: Vec<u8>,
    /// Whether all of the request is there.
    pub(super) ended: bool,
    /// Whether what follows the headers is no request body.
    pub(super) tunnel: Tunnel,
    /// Whether the client may wait for the backend's answer before it sends the rest of its body: a gRPC stream.
    interactive: bool,
    /// Whether it waits for `100 Continue`, and Envoy leaves that to the backend (otherwise the header is gone by now).
    expects: bool,
}

/// What the client wants instead of an answer: bytes both ways, until either side ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tunnel {
    /// An answer.
    #[default]
    None,
    /// Another protocol, such as WebSocket. Envoy shows an HTTP/2 one like that of HTTP/1.
    Upgrade,
    /// A connection to somewhere else.
    Connect,
}

impl Tunnel {
    /// Whether the answer's status grants it.
    pub(super) const fn is_granted(self, status: Option<u16>) -> bool {
        matches!((self, status), (Self::Upgrade, Some(101)) | (Self::Connect, Some(200..=299)))
    }
}

/// What the client asks for by hints that it may give.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) strategy: Option<Strategy>,
    pub(super) min_quality: Option<PerMille>,
    /// To know why.
    pub(super) explain: bool,
}

/// How the body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// `gzip` or `deflate`: the body's own header tells which.
    Compressed,
    /// Some other way: not read.
    Unknown,
}

/// What to do with the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody may send so much.
    TooLarge,
    /// Hold it until it is there, and read it.
    ReadBody,
    /// Hold it until it is there, or until as much of it is as may be held. Only its size counts.
    HoldBody,
    /// Let it pass as it comes.
    PassBody,
}

impl Intake {
    /// Reads the headers in one call and removes those that no client may send.
    pub(super) fn read<H: Host>(cx: &Context<'_, H>, ended: bool) -> Self {
        let mut intake = Self { ended, ..Self::default() };
        let hints = cx.router.config().client_hints;
        let tenant_header = cx.router.config().cost.tenant_header.as_deref();
        let mut trusted = None;
        let mut method = Vec::new();
        let mut is_anthropic = false;
        let mut removed: Option<String> = None;
        for (name, value) in cx.host.request_headers() {
            let bytes = (name.len() + value.len()) as u64;
            intake.header_bytes += bytes;
            match name.as_str() {
                ":path" => {
                    intake.path = RequestPath::new(value);
                    intake.api = protocol::api_of(&intake.path);
                }
                ":method" => {
                    if value == b"CONNECT" {
                        intake.tunnel = Tunnel::Connect;
                    }
                    intake.method = Method::from_bytes(&value);
                    method = value;
                }
                "upgrade" if intake.tunnel == Tunnel::None => intake.tunnel = Tunnel::Upgrade,
                "content-type" => {
                    intake.interactive |= is_interactive(&value);
                    intake.content_type = value;
                }
                "expect" => intake.expects = true,
                "content-length" => intake.content_length = number(&value),
                "content-encoding" => intake.encoding = Encoding::from_bytes(&value),
                "x-request-id" => intake.request_id = value,
                "anthropic-version" => is_anthropic = true,
                name if is_own(name) || steers_envoy(name) => {
                    intake.header_bytes -= bytes;
                    intake.note_hint(hints, name, &value);
                    // Copies of one header follow each other; one call removes them all.
                    if removed.as_deref() != Some(name) {
                        cx.host.remove_request_header(name);
                        removed = Some(name.to_owned());
                    }
                }
                // Of several the last: a filter that adds one adds it behind what the client sent.
                name if tenant_header == Some(name) => trusted = Some(value),
                _ => {}
            }
        }
        intake.tenant = trusted.or(intake.tenant);
        intake.know_path(&method, is_anthropic);
        intake
    }

    /// What these headers would say of a request for `path`, were a client to send it.
    pub(super) fn rehearsed(hints: ClientHints, path: &[u8], headers: &[(String, Vec<u8>)]) -> Self {
        let path = RequestPath::new(path.to_vec());
        let api = protocol::api_of(&path);
        let mut intake = Self { api, path, ended: true, method: Method::Post, ..Self::default() };
        let is_anthropic = headers.iter().any(|(name, _)| name == "anthropic-version");
        // What is only ever read is read; of anything else it is asked what happens when it is done.
        intake.know_path(if api == Api::Models { b"GET" } else { b"POST" }, is_anthropic);
        for (name, value) in headers {
            match name.as_str() {
                "content-encoding" => intake.encoding = Encoding::from_bytes(value),
                "content-type" => intake.content_type.clone_from(value),
                name => intake.note_hint(hints, name, value),
            }
        }
        intake
    }

    /// What the path is, once the other headers are known.
    fn know_path(&mut self, method: &[u8], is_anthropic: bool) {
        if is_anthropic {
            self.api = protocol::of_anthropic(self.api);
        }
        self.purpose = protocol::purpose_of(self.api, method, &self.path);
        self.vendor = protocol::vendor_of(self.api, &self.path, is_anthropic);
    }

    /// Takes a hint that the operator lets clients give.
    fn note_hint(&mut self, hints: ClientHints, name: &str, value: &[u8]) {
        if hints.strategy && name == "x-llm-strategy" {
            self.wishes.strategy = std::str::from_utf8(value).ok().and_then(Strategy::from_name);
        }
        if hints.min_quality && name == "x-llm-min-quality" {
            self.wishes.min_quality = ratio(value);
        }
        if hints.explain && name == EXPLAIN {
            self.wishes.explain = !matches!(value.trim_ascii(), b"" | b"0" | b"false");
        }
        if hints.tenant && name == "x-llm-tenant" {
            self.tenant = Some(value.to_vec());
        }
    }

    /// Bytes of the body: those that are there, or, where more are to come, at least as many as are announced.
    pub(super) fn bytes(&self) -> u64 {
        let announced = if self.ended { 0 } else { self.content_length.unwrap_or(0) };
        announced.max(self.held as u64)
    }

    /// A body that is not read is held nevertheless: what is sent to a backend takes a place there, and a client that
    /// does not send its body would keep that place from everybody else.
    pub(super) fn verdict(&self, limit: usize) -> Verdict {
        // What costs nothing needs no estimate.
        let is_known = protocol::is_read(self.api) && self.purpose != Purpose::Free;
        let reads = is_known && (self.content_type.is_empty() || is_json(&self.content_type));
        match self.content_length {
            _ if self.ended || self.tunnel != Tunnel::None => Verdict::PassBody,
            Some(length) if reads && length > limit as u64 => Verdict::TooLarge,
            _ if reads => Verdict::ReadBody,
            // Nobody speaks gRPC to a known API: there it is one more name for JSON or a file, by which a client would
            // have a place before it has sent anything.
            _ if self.interactive && self.api == Api::Other => Verdict::PassBody,
            _ if (self.expects && !is_known) || self.purpose == Purpose::Free => Verdict::PassBody,
            _ => Verdict::HoldBody,
        }
    }
}

/// How much of a body is looked at to see whether it is JSON.
const BEGINNING: usize = 64;

impl Intake {
    /// The body, if it is one that is read: where the path does not say so, its first bytes do.
    pub(super) fn body<H: Host>(&self, host: &H) -> Option<Vec<u8>> {
        if self.reads {
            return host.request_body(self.held);
        }
        let is_prompt = self.ended && self.held > 0 && self.method == Method::Post && self.purpose != Purpose::Free;
        let begins = || host.request_body(self.held.min(BEGINNING)).is_some_and(|bytes| protocol::may_be_json(&bytes));
        let may_be_read = is_prompt
            && match self.encoding {
                Encoding::Identity => begins(),
                Encoding::Compressed => true,
                Encoding::Unknown => false,
            };
        may_be_read.then(|| host.request_body(self.held)).flatten()
    }

    /// By what its body is measured where it cannot be read. What is sent to a chat is a chat, whatever it is called.
    pub(super) fn measure(&self) -> Measure {
        if protocol::is_read(self.api) { Measure::Text } else { Measure::of(&self.content_type) }
    }

    /// Whether there is a body at all, or may be.
    pub(super) const fn has_body(&self) -> bool {
        self.held > 0 || (!self.ended && matches!(self.tunnel, Tunnel::None))
    }
}

impl Encoding {
    pub(super) fn from_bytes(value: &[u8]) -> Self {
        match value.trim_ascii() {
            b"" => Self::Identity,
            v if v.eq_ignore_ascii_case(b"identity") => Self::Identity,
            v if [&b"gzip"[..], b"x-gzip", b"deflate"].iter().any(|name| v.eq_ignore_ascii_case(name)) => {
                Self::Compressed
            }
            _ => Self::Unknown,
        }
    }
}

/// `application/json`, `application/problem+json`, `text/json; charset=utf-8` …
fn is_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii_end();
    kind.len().checked_sub(4).and_then(|n| kind.get(n..)).is_some_and(|end| end.eq_ignore_ascii_case(b"json"))
}

/// Whether a body of that content type may be JSON: servers read one as JSON that is called text, bytes, a form of a web
/// page, or nothing at all.
pub(super) fn may_be_json(content_type: &[u8]) -> bool {
    let begins =
        |kind: &str| content_type.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes()));
    !["multipart/", "audio/", "image/", "video/"].into_iter().any(begins)
}

/// `application/grpc`, `application/grpc+proto`, `application/connect+json` …: requests and answers that are streams, in
/// which a client may wait for an answer before it goes on. (The unary ones among them are held up by nobody but those
/// who send them slowly.)
fn is_interactive(content_type: &[u8]) -> bool {
    ["application/grpc", "application/connect+"]
        .iter()
        .any(|kind| content_type.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes())))
}

pub(super) fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// `0`, `0.9`, `1.0`: by whole numbers, because the standard library's way to read an `f64` is a fiftieth of the module.
fn ratio(value: &[u8]) -> Option<PerMille> {
    let thousandths = match protocol::decimal(value.trim_ascii())? {
        (0, micros) => (micros + 500) / 1_000,
        (1, 0) => 1_000,
        _ => return None,
    };
    u16::try_from(thousandths).ok().map(PerMille::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_content_type() {
        for yes in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json ;a"]
        {
            assert!(is_json(yes.as_bytes()), "{yes}");
        }
        for no in ["", "son", "text/plain", "multipart/form-data; boundary=json", "application/jsonl"] {
            assert!(!is_json(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_body_may_be_json_whatever_it_is_called_but_a_file() {
        for yes in
            ["application/json", "", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
        {
            assert!(may_be_json(yes.as_bytes()), "{yes}");
        }
        for no in ["multipart/form-data; boundary=json", "Audio/mpeg", "image/png", "VIDEO/mp4"] {
            assert!(!may_be_json(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_body_is_read_only_where_reading_it_helps() {
        let chat = || Intake { api: Api::ChatCompletions, ..Intake::default() };
        let form = || Intake { content_type: b"multipart/form-data".to_vec(), ..chat() };
        let verdict = |intake: Intake| intake.verdict(1_000);
        assert_eq!(verdict(chat()), Verdict::ReadBody);
        assert_eq!(verdict(Intake { content_length: Some(1_000), ..chat() }), Verdict::ReadBody);
        assert_eq!(verdict(Intake { content_length: Some(1_001), ..chat() }), Verdict::TooLarge);
        assert_eq!(verdict(Intake { ended: true, ..chat() }), Verdict::PassBody);
        assert_eq!(verdict(Intake { tunnel: Tunnel::Upgrade, ..chat() }), Verdict::PassBody);
        assert_eq!(verdict(Intake { content_length: Some(9_999), ..form() }), Verdict::HoldBody);
        assert_eq!(verdict(Intake { api: Api::Other, content_length: Some(9_999), ..chat() }), Verdict::HoldBody);
        assert_eq!(verdict(Intake { api: Api::Other, ..chat() }), Verdict::HoldBody);
        assert_eq!(verdict(Intake { api: Api::Other, tunnel: Tunnel::Upgrade, ..chat() }), Verdict::PassBody);
        assert_eq!(verdict(Intake { api: Api::Other, interactive: true, ..form() }), Verdict::PassBody);
        assert_eq!(verdict(Intake { api: Api::Other, expects: true, ..form() }), Verdict::PassBody);
    }

    #[test]
    fn who_calls_a_body_a_stream_has_no_place_for_it_where_nobody_streams() {
        let called = |path: &str, kind: &str| {
            let path = RequestPath::new(path.into());
            let mut intake = Intake { api: protocol::api_of(&path), path, ..Intake::default() };
            intake.know_path(b"POST", false);
            intake.interactive = is_interactive(kind.as_bytes());
            intake.content_type = kind.into();
            intake.verdict(1_000)
        };
        for path in ["/v1/files", "/v1/audio/transcriptions", "/v1/batches", "/v1/chat/completions", "/v1/threads"] {
            for kind in ["application/grpc", "application/grpc-web+proto", "application/connect+json"] {
                assert_ne!(called(path, kind), Verdict::PassBody, "{path} {kind}");
            }
        }
        assert_eq!(called("/inference.GRPCInferenceService/ModelStreamInfer", "application/grpc"), Verdict::PassBody);
    }

    #[test]
    fn a_stream_in_both_directions_is_told_by_its_content_type() {
        for yes in ["application/grpc", "application/grpc+proto", "Application/gRPC-web", "application/connect+json"] {
            assert!(is_interactive(yes.as_bytes()), "{yes}");
        }
        for no in ["", "application/json", "application/octet-stream", "text/application/grpc", "application/gr"] {
            assert!(!is_interactive(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn hints_that_are_no_numbers_are_none() {
        for (good, thousandths) in
            [(&b" 0.9 "[..], 900), (b"0", 0), (b"0.7496", 750), (b"0.99999", 1_000), (b"1.0", 1_000)]
        {
            assert_eq!(ratio(good), Some(PerMille::new(thousandths)));
        }
        for bad in [&b"1.5"[..], b"1.000001", b"2", b"NaN", b"-1", b"", b"0.5x", b"\xff"] {
            assert_eq!(ratio(bad), None);
        }
    }
}
