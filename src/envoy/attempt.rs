//! One per attempt of a backend's cluster: hands its callbacks to the exchange room's attempt.

use std::rc::Rc;

use proxy_wasm::types::Action;

use super::line::{Active, Line};
use crate::exchange;

/// One attempt.
pub(super) struct Attempt {
    /// What is in effect as it begins. None as long as there is no router: then all passes as it is.
    active: Option<Rc<Active>>,
    attempt: exchange::Attempt,
}

impl Attempt {
    pub(super) fn new(line: Option<Rc<Line>>) -> Self {
        Self { active: line.map(|line| line.newest()), attempt: exchange::Attempt::default() }
    }

    pub(super) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        let Some(active) = &self.active else { return Action::Continue };
        if self.attempt.request_headers(&active.config, &active.host, end_of_stream) {
            Action::Pause
        } else {
            Action::Continue
        }
    }

    pub(super) fn request_body(&mut self, len: usize, end_of_stream: bool) -> Action {
        if let Some(active) = &self.active {
            self.attempt.request_body(&active.config, &active.host, len, end_of_stream);
        }
        Action::Continue
    }

    pub(super) fn response_headers(&mut self) -> Action {
        if let Some(active) = &self.active {
            self.attempt.response_headers(&active.host);
        }
        Action::Continue
    }
}
