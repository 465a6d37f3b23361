//! One per stream, whatever the role of its filter. The SDK puts four kilobytes of its own methods into the module for
//! each type that it is given as a stream, so it is given one.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::attempt::Attempt;
use super::control::Control;
use super::http::Http;

/// A stream, by the role of the filter that it passes.
pub(super) enum Stream {
    Router(Http),
    Attempt(Attempt),
    Control(Control),
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        match self {
            Self::Router(http) => http.request_headers(end_of_stream),
            Self::Attempt(attempt) => attempt.request_headers(end_of_stream),
            Self::Control(control) => control.request_headers(end_of_stream),
        }
    }

    fn on_http_request_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        match self {
            Self::Router(http) => http.request_body(held, end_of_stream),
            Self::Attempt(attempt) => attempt.request_body(held, end_of_stream),
            Self::Control(control) => control.request_body(held, end_of_stream),
        }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        match self {
            Self::Router(http) => http.request_trailers(),
            Self::Attempt(_) => Action::Continue,
            Self::Control(control) => control.request_trailers(),
        }
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        match self {
            Self::Router(http) => http.response_headers(end_of_stream),
            Self::Attempt(attempt) => attempt.response_headers(end_of_stream),
            Self::Control(_) => Action::Continue,
        }
    }

    fn on_http_response_body(&mut self, len: usize, end_of_stream: bool) -> Action {
        match self {
            Self::Router(http) => http.response_body(len, end_of_stream),
            Self::Attempt(attempt) => attempt.response_body(len, end_of_stream),
            Self::Control(_) => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        match self {
            Self::Router(http) => http.response_trailers(),
            Self::Attempt(_) | Self::Control(_) => Action::Continue,
        }
    }

    fn on_log(&mut self) {
        match self {
            Self::Router(http) => http.log(),
            Self::Attempt(_) | Self::Control(_) => {}
        }
    }
}
