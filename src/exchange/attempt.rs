//! One attempt, as the upstream filter of its cluster sees it: each backend is spoken to as it likes best. For now that
//! is one thing: servers of the `OpenAI` API tell what a stream took if they are asked to, and clients seldom ask.
//!
//! What cannot be done leaves the attempt as it is; nothing here refuses a request, or waits for more than is there.
//! The router has held the request until it was whole, so its body comes in one piece. One that does not has not passed
//! the router, or is nothing that it reads.

use super::intake::{Encoding, is_json, number};
use crate::config::Config;
use crate::domain::{Api, BackendType};
use crate::host::{Host, Property};
use crate::protocol;

/// By this header of the answer, the router knows what was asked for in its client's stead, and takes it out again.
pub(super) const UNASKED: &str = "x-llm-unasked";

/// That: the event with the usage.
pub(super) const USAGE: &[u8] = b"usage";

/// One attempt to have a request answered.
#[derive(Debug, Default)]
pub struct Attempt {
    phase: Phase,
}

#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    /// It passes as it is.
    #[default]
    AsItIs,
    /// Its headers are held until its body is there.
    Reading,
    /// It was asked for the usage.
    Asked,
}

impl Attempt {
    /// The headers are there. Says whether to hold them until the body is.
    pub fn request_headers<H: Host>(&mut self, config: &Config, host: &H, end_of_stream: bool) -> bool {
        let reads = !end_of_stream && wants_asking(config, host) && may_stream(host, config.body_limit_bytes);
        if reads {
            self.phase = Phase::Reading;
        }
        reads
    }

    /// `len` bytes of the body are there, and with `end_of_stream` that is all of it.
    pub fn request_body<H: Host>(&mut self, config: &Config, host: &H, len: usize, end_of_stream: bool) {
        if !matches!(self.phase, Phase::Reading) {
            return;
        }
        self.phase = Phase::AsItIs;
        if !end_of_stream || len > config.body_limit_bytes {
            return;
        }
        let body = host.request_body(len);
        let Some(body) = body.and_then(|body| protocol::ask_for_usage(&body)) else { return };
        if !host.replace_request_body(len, &body) {
            return;
        }
        // All attempts of a request have one set of headers, and each the body as the client sent it. So the next one may
        // be of another length again, in a cluster where nobody sets it right: it goes out in chunks.
        host.remove_request_header("content-length");
        // What is compressed, nobody can take an event out of.
        host.remove_request_header("accept-encoding");
        self.phase = Phase::Asked;
    }

    /// The answer's headers are there: whatever the backend says of it, only what was done here counts.
    pub fn response_headers<H: Host>(&self, host: &H) {
        host.remove_response_header(UNASKED);
        if matches!(self.phase, Phase::Asked) {
            host.add_response_header(UNASKED, USAGE);
        }
    }
}

/// Whether the attempt goes to a backend that tells the usage of a stream only if it is asked to. Perplexity and
/// Anthropic always do.
fn wants_asking<H: Host>(config: &Config, host: &H) -> bool {
    let Some(cluster) = host.property(Property::ClusterName) else { return false };
    let mut backends = config.backends.iter().filter(|backend| backend.cluster.as_bytes() == cluster);
    backends.next().is_some_and(|first| first.kind == BackendType::OpenAi)
        && backends.all(|other| other.kind == BackendType::OpenAi)
}

/// Whether it is a request that may ask for a stream which says the usage only if that is asked for, and one that comes
/// from the router: nobody else would hide what the client did not ask for.
fn may_stream<H: Host>(host: &H, limit: usize) -> bool {
    let (mut routed, mut has_api, mut readable) = (false, false, true);
    for (name, value) in host.request_headers() {
        match name.as_str() {
            ":path" => has_api = matches!(protocol::api_of(&value), Api::ChatCompletions | Api::Completions),
            ":method" => readable &= value == b"POST",
            "upgrade" => readable = false,
            "content-type" => readable &= is_json(&value),
            "content-encoding" => readable &= Encoding::from_bytes(&value) == Encoding::Identity,
            "content-length" => readable &= number(&value).is_some_and(|length| length <= limit as u64),
            "x-llm-cluster" => routed = true,
            _ => {}
        }
    }
    routed && has_api && readable
}
