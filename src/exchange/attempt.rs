//! One attempt, as the upstream filter of its cluster sees it: each backend is spoken to as it likes best. For now that
//! is one thing: servers of the `OpenAI` API tell what a stream took if they are asked to, and clients seldom ask.
//!
//! What is not understood passes as it is; nothing here refuses a request, or waits for more than is there. It knows
//! nothing of the router, but for the header by which it tells that one what it did: the two are in different VMs.

use super::intake::{Encoding, may_be_json, number};
use crate::domain::{Api, FallbackAnswers};
use crate::protocol::{self, Observer};

/// By this header of the answer, the router knows what was asked for in its client's stead, and takes it out again.
///
/// Only the role can say it: no backend can send a header by such a name, in any version of HTTP, and the role sits behind
/// the codec that refuses it. The router removes it before anybody sees it; so the role says it only of a request that
/// has passed the router.
pub const UNASKED: &str = ":llm-unasked";

/// That: the event with the usage.
pub const USAGE: &str = "usage";

/// The status of an answer that is none.
pub const FAILED: &str = "502";

/// By this header a request has passed the router, which sets it on each.
const ROUTED: &str = "x-llm-cluster";

/// The largest body that is looked into: what the router reads, unless it is told otherwise.
const LARGEST: usize = 4 << 20;

/// The largest answer that may be a stock sentence. A longer one does not wait.
const STOCK: usize = 1_024;

/// One attempt to have a request answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    step: Step,
    /// Whether an answer that may be a stock sentence is looked into.
    stock: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Step {
    /// It passes as it is.
    #[default]
    AsItIs,
    /// Its headers are held until its body is there.
    Held,
    /// It was asked for the usage.
    Asked,
    /// Its answer may be a stock sentence.
    MayBeStock,
    /// The headers of such an answer are held until its body is there.
    Awaited,
}

impl Attempt {
    /// One that has not begun.
    pub fn new(fallback: FallbackAnswers) -> Self {
        Self { step: Step::AsItIs, stock: fallback == FallbackAnswers::Fail }
    }

    /// Begins with the request's headers.
    pub fn request(&mut self, headers: &[(String, Vec<u8>)]) {
        let (mut api, mut readable, mut routed) = (Api::Other, true, false);
        for (name, value) in headers {
            match name.as_str() {
                ":path" => api = protocol::api_of(&protocol::RequestPath::new(value.clone())),
                ":method" => readable &= value == b"POST",
                "upgrade" => readable = false,
                "content-type" => readable &= may_be_json(value),
                "content-encoding" => readable &= Encoding::from_bytes(value) == Encoding::Identity,
                "content-length" => readable &= number(value).is_some_and(|length| length <= LARGEST as u64),
                ROUTED => routed = true,
                _ => {}
            }
        }
        self.step = match api {
            _ if !readable || !routed => Step::AsItIs,
            // Whoever serves these paths may be asked. Other APIs tell the usage of their own accord.
            Api::ChatCompletions | Api::Completions => Step::Held,
            Api::LightRagQuery if self.stock => Step::MayBeStock,
            _ => Step::AsItIs,
        };
    }

    /// Whether its headers are held until its body is there.
    pub const fn is_held(self) -> bool {
        matches!(self.step, Step::Held)
    }

    /// Whether that many bytes of its body are to be looked into. The router has held the request until it was whole, so
    /// its body comes in one piece; one that does not is nothing that the router reads.
    pub const fn wants(self, len: usize, end_of_stream: bool) -> bool {
        self.is_held() && end_of_stream && len <= LARGEST
    }

    /// It goes on, having been asked for the usage or not.
    pub const fn asked(&mut self, asked: bool) {
        self.step = if asked { Step::Asked } else { Step::AsItIs };
    }

    /// Whether it was asked for the usage.
    pub const fn is_asked(self) -> bool {
        matches!(self.step, Step::Asked)
    }

    /// Whether its answer's headers are to be looked at.
    pub const fn may_be_stock(self) -> bool {
        matches!(self.step, Step::MayBeStock)
    }

    /// Takes its answer's headers. Says whether they wait for its body: a short one, in one piece.
    pub fn answer(&mut self, headers: &[(String, Vec<u8>)]) -> bool {
        let (mut length, mut good) = (None, true);
        for (name, value) in headers {
            match name.as_str() {
                ":status" => good &= value == b"200",
                "content-length" => length = number(value),
                "content-encoding" => good &= Encoding::from_bytes(value) == Encoding::Identity,
                _ => {}
            }
        }
        let is_short = length.is_some_and(|length| (1..=STOCK as u64).contains(&length));
        self.step = if good && is_short { Step::Awaited } else { Step::AsItIs };
        self.is_awaited()
    }

    /// Whether its answer's headers wait for the body.
    pub const fn is_awaited(self) -> bool {
        matches!(self.step, Step::Awaited)
    }

    /// Whether they go on waiting, with that many bytes of it there.
    pub const fn waits(self, len: usize) -> bool {
        self.is_awaited() && len <= STOCK
    }

    /// Whether a sentence stands in for its answer.
    pub fn is_stock(self, body: &[u8]) -> bool {
        let mut observer = Observer::new(Api::LightRagQuery, 200, None);
        observer.push(body);
        observer.finish(true).fallback
    }

    /// Its answer goes on.
    pub const fn passes(&mut self) {
        self.step = Step::AsItIs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::headers;

    const CHAT: [(&str, &str); 5] = [
        (":path", "/v1/chat/completions?a=b"),
        (":method", "POST"),
        ("x-llm-cluster", "a"),
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", "4194304"),
    ];

    fn begin(headers: &[(String, Vec<u8>)], fallback: FallbackAnswers) -> Attempt {
        let mut attempt = Attempt::new(fallback);
        attempt.request(headers);
        attempt
    }

    fn with(name: &str, value: &str) -> Vec<(String, Vec<u8>)> {
        headers(CHAT.iter().filter(|(own, _)| *own != name).chain([&(name, value)]))
    }

    #[test]
    fn only_what_may_ask_for_a_stream_and_can_be_read_is_held() {
        let is_held = |headers: &[(String, Vec<u8>)]| begin(headers, FallbackAnswers::Fail).is_held();
        assert!(is_held(&headers(&CHAT)));
        assert!(is_held(&headers(&CHAT[..3])));
        assert!(!is_held(&headers(&CHAT[..2])), "it has not passed the router");
        for (name, value, expected) in [
            (":path", "/v1/completions", true),
            ("content-encoding", "identity", true),
            (":path", "/v1/responses", false),
            (":path", "/v1/messages", false),
            (":path", "/query/stream", false),
            (":path", "/", false),
            (":method", "GET", false),
            ("upgrade", "websocket", false),
            ("content-type", "text/plain", true),
            ("content-type", "multipart/form-data", false),
            ("content-encoding", "gzip", false),
            ("content-encoding", "br", false),
            ("content-length", "4194305", false),
            ("content-length", "many", false),
        ] {
            assert_eq!(is_held(&with(name, value)), expected, "{name}: {value}");
        }
        assert!(!is_held(&[]));
    }

    #[test]
    fn a_body_is_looked_into_where_it_is_whole_and_not_too_large() {
        let mut attempt = begin(&headers(&CHAT), FallbackAnswers::Fail);
        assert!(attempt.wants(LARGEST, true));
        assert!(!attempt.wants(LARGEST + 1, true));
        assert!(!attempt.wants(10, false));
        attempt.asked(true);
        assert!(!attempt.wants(10, true) && attempt.is_asked());
        attempt.asked(false);
        assert!(!attempt.wants(10, true) && !attempt.is_asked());
    }

    #[test]
    fn a_short_answer_of_lightrag_waits_for_its_body() {
        let query = with(":path", "/query");
        assert!(!begin(&query, FallbackAnswers::Accept).may_be_stock());
        let good = [(":status", "200"), ("content-length", "120")];
        for (headers_of, waits) in [
            (&good[..], true),
            (&good[..1], false),
            (&[(":status", "200"), ("content-length", "1025")], false),
            (&[(":status", "200"), ("content-length", "0")], false),
            (&[(":status", "500"), ("content-length", "120")], false),
            (&[(":status", "200"), ("content-length", "120"), ("content-encoding", "gzip")], false),
        ] {
            let mut attempt = begin(&query, FallbackAnswers::Fail);
            assert!(attempt.may_be_stock());
            assert_eq!(attempt.answer(&headers(headers_of)), waits, "{headers_of:?}");
            assert_eq!(attempt.is_awaited(), waits);
            assert!(!waits || (attempt.waits(STOCK) && !attempt.waits(STOCK + 1)));
            attempt.passes();
            assert!(!attempt.is_awaited());
        }
        let attempt = begin(&query, FallbackAnswers::Fail);
        assert!(attempt.is_stock(br#"{"response":"No relevant context found for the query.","llm_generated":false}"#));
        assert!(!attempt.is_stock(br#"{"response":"Yes.","llm_generated":true}"#));
        assert!(!attempt.is_stock(b""));
    }
}
