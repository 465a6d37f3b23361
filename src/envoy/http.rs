//! One per stream of a router: hands its callbacks to the exchange.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::types::Action;

use super::host::EnvoyHost;
use super::line::{Active, Line};
use super::queue::{self, Entered, Held};
use super::unseen;
use crate::exchange::{self, Exchange, Flow, Refusal};

/// One stream.
pub(super) struct Http {
    /// None only where Envoy made a stream of a root that was never configured.
    line: Option<Rc<Line>>,
    /// What decides it, and then learns from it. Operators may change what decides until it has.
    active: Option<Rc<Active>>,
    id: u32,
    exchange: Exchange,
    /// As long as it waits, or has just got a place.
    held: Option<Rc<Held>>,
}

impl Http {
    pub(super) fn new(line: Option<Rc<Line>>, id: u32) -> Self {
        Self { line, active: None, id, exchange: Exchange::default(), held: None }
    }

    fn request(&mut self, step: impl FnOnce(&mut Exchange, &mut exchange::Context<'_, EnvoyHost>) -> Flow) -> Action {
        if self.exchange.is_undecided() {
            self.active = self.line.as_ref().map(|line| line.newest());
        }
        let Some(active) = &self.active else { return Action::Continue };
        match active.with(|cx| step(&mut self.exchange, cx)) {
            Some(Flow::Continue) => Action::Continue,
            Some(Flow::Hold) => Action::Pause,
            Some(Flow::Wait) => self.wait(),
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

    fn wait(&mut self) -> Action {
        let Some((line, waiting)) = self.line.as_ref().zip(self.exchange.waiting()) else { return Action::Continue };
        let held = Rc::new(Held::new(Rc::clone(line), self.id, Rc::clone(waiting)));
        self.held = Some(Rc::clone(&held));
        match queue::enter(&held) {
            Entered::Waits => Action::Pause,
            Entered::Placed => Action::Continue,
            Entered::Refused(refusal) => {
                // Others were served meanwhile, each in its own stream's context.
                if hostcalls::set_effective_context(self.id).is_ok() {
                    send(&refusal);
                }
                Action::Pause
            }
        }
    }

    fn response(&mut self, step: impl FnOnce(&mut Exchange, &mut exchange::Context<'_, EnvoyHost>)) -> Action {
        if let Some(by) = self.held.as_ref().and_then(|held| held.placed_by()) {
            self.active = Some(by);
        }
        if let Some(active) = &self.active {
            active.with(|cx| step(&mut self.exchange, cx));
        }
        Action::Continue
    }

    pub(super) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        let action = self.request(|exchange, cx| exchange.request_headers(cx, end_of_stream));
        if let Some(active) = self.active.as_ref().filter(|active| !active.shows_bodies.get())
            && let Some(header_bytes) = self.exchange.held_header_bytes()
        {
            unseen::begin(active, self.id, header_bytes);
        }
        action
    }

    pub(super) fn request_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        self.shows_bodies();
        self.request(|exchange, cx| exchange.request_body(cx, held, end_of_stream))
    }

    /// A body has come to a request that is held for it: then all bodies come.
    fn shows_bodies(&self) {
        let is_held = self.exchange.held_header_bytes().is_some();
        if is_held && self.active.as_ref().is_some_and(|active| !active.shows_bodies.replace(true)) {
            unseen::end(self.id);
        }
    }

    pub(super) fn request_trailers(&mut self) -> Action {
        self.request(Exchange::request_trailers)
    }

    pub(super) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        self.response(|exchange, cx| exchange.response_headers(cx, end_of_stream))
    }

    pub(super) fn response_body(&mut self, len: usize, end_of_stream: bool) -> Action {
        self.response(|exchange, cx| exchange.response_body(cx, len, end_of_stream))
    }

    pub(super) fn response_trailers(&mut self) -> Action {
        self.response(Exchange::response_trailers)
    }

    pub(super) fn log(&mut self) {
        // A request whose body was never shown is noted once.
        if self.exchange.held_header_bytes().is_some() && unseen::end(self.id) {
            return;
        }
        let position = self.exchange.waiting().and_then(|waiting| waiting.position());
        self.response(Exchange::log);
        if let Some(active) = &self.active {
            queue::ended(active, position);
        }
    }
}

/// Answers the client ourselves. If even that is refused, the paused stream ends by the route's timeout.
pub(super) fn send(refusal: &Refusal) {
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
