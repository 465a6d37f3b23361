//! One per attempt of a backend's cluster, in Envoy's upstream filter chain. What the host refuses to do is left undone.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{Action, BufferType, MapType};

use crate::domain::FallbackAnswers;
use crate::exchange::{self, FAILED, UNASKED, USAGE};
use crate::protocol;

/// One attempt.
pub(super) struct Attempt(exchange::Attempt);

impl Attempt {
    pub(super) fn new(fallback: FallbackAnswers) -> Self {
        Self(exchange::Attempt::new(fallback))
    }

    pub(super) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        if !end_of_stream && let Ok(headers) = hostcalls::get_map_bytes(MapType::HttpRequestHeaders) {
            self.0.request(&headers);
        }
        if self.0.is_held() { Action::Pause } else { Action::Continue }
    }

    pub(super) fn request_body(&mut self, len: usize, end_of_stream: bool) -> Action {
        if self.0.is_held() {
            let asked = self.0.wants(len, end_of_stream) && ask(len).is_some();
            self.0.asked(asked);
        }
        Action::Continue
    }

    /// The router is told what was asked in its client's stead. An answer that may be a stock sentence waits for its body.
    pub(super) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        if self.0.is_asked() {
            let _ = hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, UNASKED, USAGE.as_bytes());
        }
        if !end_of_stream
            && self.0.may_be_stock()
            && let Ok(headers) = hostcalls::get_map_bytes(MapType::HttpResponseHeaders)
            && self.0.answer(&headers)
        {
            return Action::Pause;
        }
        Action::Continue
    }

    /// A stock sentence becomes the failure that it is, while Envoy can still try another backend.
    pub(super) fn response_body(&mut self, len: usize, end_of_stream: bool) -> Action {
        if !self.0.is_awaited() {
            return Action::Continue;
        }
        if !end_of_stream && self.0.waits(len) {
            return Action::Pause;
        }
        let body = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, len).ok().flatten();
        if end_of_stream && self.0.is_stock(&body.unwrap_or_default()) {
            let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, ":status", Some(FAILED.as_bytes()));
        }
        self.0.passes();
        Action::Continue
    }
}

/// Asks for the usage in the body; none if that stays as it is.
fn ask(len: usize) -> Option<()> {
    let body = hostcalls::get_buffer(BufferType::HttpRequestBody, 0, len).ok()??;
    let asking = protocol::ask_for_usage(&body)?;
    hostcalls::set_buffer(BufferType::HttpRequestBody, 0, len, &asking).ok()?;
    // All attempts of a request have one set of headers, and each the body as the client sent it. So the next one may be
    // of another length again, in a cluster where nobody sets it right: it goes out in chunks.
    let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, "content-length");
    // What is compressed, nobody can take an event out of.
    let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, "accept-encoding");
    Some(())
}
