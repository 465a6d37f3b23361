//! One per attempt of a backend's cluster, in Envoy's upstream filter chain. What the host refuses to do is left undone.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{Action, BufferType, MapType};

use crate::exchange::{self, UNASKED, USAGE};
use crate::protocol;

/// One attempt.
#[derive(Default)]
pub(super) struct Attempt(exchange::Attempt);

impl Attempt {
    pub(super) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        if !end_of_stream && let Ok(headers) = hostcalls::get_map_bytes(MapType::HttpRequestHeaders) {
            self.0 = exchange::Attempt::begin(&headers);
        }
        if self.0 == exchange::Attempt::Held { Action::Pause } else { Action::Continue }
    }

    pub(super) fn request_body(&mut self, len: usize, end_of_stream: bool) -> Action {
        let wants = self.0.wants(len, end_of_stream);
        self.0 = match self.0 {
            exchange::Attempt::Held if wants && ask(len).is_some() => exchange::Attempt::Asked,
            exchange::Attempt::Held => exchange::Attempt::AsItIs,
            other => other,
        };
        Action::Continue
    }

    /// Whatever the backend says in this header, only what was done here counts.
    pub(super) fn response_headers(&self) -> Action {
        let _ = hostcalls::remove_map_value(MapType::HttpResponseHeaders, UNASKED);
        if self.0 == exchange::Attempt::Asked {
            let _ = hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, UNASKED, USAGE.as_bytes());
        }
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
