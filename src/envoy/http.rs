//! One per stream: hands its callbacks to the exchange.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::host::EnvoyHost;
use super::line::{Active, Line};
use crate::exchange::{self, Exchange, Flow, Refusal};

/// One stream.
pub(super) struct Http {
    /// None only where Envoy made a stream of a root that was never configured.
    line: Option<Rc<Line>>,
    /// What decides it, and then learns from it. Operators may change what decides until it has.
    active: Option<Rc<Active>>,
    exchange: Exchange,
}

impl Http {
    pub(super) fn new(line: Option<Rc<Line>>) -> Self {
        Self { line, active: None, exchange: Exchange::default() }
    }

    fn request(&mut self, step: impl FnOnce(&mut Exchange, &mut exchange::Context<'_, EnvoyHost>) -> Flow) -> Action {
        if self.exchange.is_undecided() {
            self.active = self.line.as_ref().map(|line| line.newest());
        }
        let Some(active) = &self.active else { return Action::Continue };
        match active.with(|cx| step(&mut self.exchange, cx)) {
            Some(Flow::Continue) => Action::Continue,
            Some(Flow::Hold) => Action::Pause,
            Some(Flow::Refuse(refusal)) => {
                send(&refusal);
                Action::Pause
            }
            None => {
                active.fall_back();
                Action::Continue
            }
        }
    }

    fn response(&mut self, step: impl FnOnce(&mut Exchange, &mut exchange::Context<'_, EnvoyHost>)) -> Action {
        if let Some(active) = &self.active {
            active.with(|cx| step(&mut self.exchange, cx));
        }
        Action::Continue
    }
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        self.request(|exchange, cx| exchange.request_headers(cx, end_of_stream))
    }

    fn on_http_request_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        self.request(|exchange, cx| exchange.request_body(cx, held, end_of_stream))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.request(Exchange::request_trailers)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        self.response(|exchange, cx| exchange.response_headers(cx, end_of_stream))
    }

    fn on_http_response_body(&mut self, len: usize, end_of_stream: bool) -> Action {
        self.response(|exchange, cx| exchange.response_body(cx, len, end_of_stream))
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.response(|exchange, _| exchange.response_trailers())
    }

    fn on_log(&mut self) {
        self.response(Exchange::log);
    }
}

/// Answers the client ourselves. If even that is refused, the paused stream ends by the route's timeout.
fn send(refusal: &Refusal) {
    let retry_after = refusal.retry_after_seconds().map(|seconds| seconds.to_string());
    let mut headers = vec![("content-type", "application/json")];
    if let Some(seconds) = &retry_after {
        headers.push(("retry-after", seconds.as_str()));
    }
    if let Some(explanation) = &refusal.explanation {
        headers.push(("x-llm-explain", explanation.as_str()));
    }
    let body = refusal.body();
    let _ = hostcalls::send_http_response(refusal.code.status().into(), headers, Some(body.as_bytes()));
}
