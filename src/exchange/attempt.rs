//! One attempt, as the upstream filter of its cluster sees it: each backend is spoken to as it likes best. For now that
//! is one thing: servers of the `OpenAI` API tell what a stream took if they are asked to, and clients seldom ask.
//!
//! What is not understood passes as it is; nothing here refuses a request, or waits for more than is there. It knows
//! nothing of the router, but for the header by which it tells that one what it did: the two are in different VMs.

use super::intake::{Encoding, is_json, number};
use crate::domain::Api;
use crate::protocol;

/// By this header of the answer, the router knows what was asked for in its client's stead, and takes it out again.
pub const UNASKED: &str = "x-llm-unasked";

/// That: the event with the usage.
pub const USAGE: &str = "usage";

/// The largest body that is looked into: what the router reads, unless it is told otherwise.
const LARGEST: usize = 4 << 20;

/// One attempt to have a request answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attempt {
    /// It passes as it is.
    #[default]
    AsItIs,
    /// Its headers are held until its body is there.
    Held,
    /// It was asked for the usage.
    Asked,
}

impl Attempt {
    /// Begins with the request's headers.
    pub fn begin(headers: &[(String, Vec<u8>)]) -> Self {
        let (mut streams, mut readable) = (false, true);
        for (name, value) in headers {
            match name.as_str() {
                // Whoever serves these paths may be asked. Other APIs tell the usage of their own accord.
                ":path" => streams = matches!(protocol::api_of(value), Api::ChatCompletions | Api::Completions),
                ":method" => readable &= value == b"POST",
                "upgrade" => readable = false,
                "content-type" => readable &= is_json(value),
                "content-encoding" => readable &= Encoding::from_bytes(value) == Encoding::Identity,
                "content-length" => readable &= number(value).is_some_and(|length| length <= LARGEST as u64),
                _ => {}
            }
        }
        if streams && readable { Self::Held } else { Self::AsItIs }
    }

    /// Whether that many bytes of its body are to be looked into. The router has held the request until it was whole, so
    /// its body comes in one piece; one that does not has not passed the router, or is nothing that it reads.
    pub const fn wants(self, len: usize, end_of_stream: bool) -> bool {
        matches!(self, Self::Held) && end_of_stream && len <= LARGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::headers;

    const CHAT: [(&str, &str); 4] = [
        (":path", "/v1/chat/completions?a=b"),
        (":method", "POST"),
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", "4194304"),
    ];

    #[test]
    fn only_what_may_ask_for_a_stream_and_can_be_read_is_held() {
        assert_eq!(Attempt::begin(&headers(&CHAT)), Attempt::Held);
        assert_eq!(Attempt::begin(&headers(&CHAT[..2])), Attempt::Held);
        for (name, value, expected) in [
            (":path", "/v1/completions", Attempt::Held),
            ("content-encoding", "identity", Attempt::Held),
            (":path", "/v1/responses", Attempt::AsItIs),
            (":path", "/v1/messages", Attempt::AsItIs),
            (":path", "/query/stream", Attempt::AsItIs),
            (":path", "/", Attempt::AsItIs),
            (":method", "GET", Attempt::AsItIs),
            ("upgrade", "websocket", Attempt::AsItIs),
            ("content-type", "text/plain", Attempt::AsItIs),
            ("content-encoding", "gzip", Attempt::AsItIs),
            ("content-encoding", "br", Attempt::AsItIs),
            ("content-length", "4194305", Attempt::AsItIs),
            ("content-length", "many", Attempt::AsItIs),
        ] {
            let headers = headers(CHAT.iter().filter(|(own, _)| *own != name).chain([&(name, value)]));
            assert_eq!(Attempt::begin(&headers), expected, "{name}: {value}");
        }
        assert_eq!(Attempt::begin(&[]), Attempt::AsItIs);
    }

    #[test]
    fn a_body_is_looked_into_where_it_is_whole_and_not_too_large() {
        assert!(Attempt::Held.wants(LARGEST, true));
        assert!(!Attempt::Held.wants(LARGEST + 1, true));
        assert!(!Attempt::Held.wants(10, false));
        assert!(!Attempt::AsItIs.wants(10, true));
        assert!(!Attempt::Asked.wants(10, true));
    }
}
