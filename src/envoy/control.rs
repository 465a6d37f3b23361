//! One per stream of the control listener: hands its callbacks to the control API's session.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::types::Action;

use super::host::EnvoyHost;
use super::line::Line;
use crate::control::{Flow, Reply, Session, Token};
use crate::exchange;

/// Where the token is, among the variables that the VM is given (`vm_config.environment_variables`).
const TOKEN: &str = "LLM_ROUTER_CONTROL_TOKEN";

/// The token that calls must carry which change something, if there is one.
pub(super) fn token() -> Token {
    Token::new(std::env::var_os(TOKEN).map(std::ffi::OsString::into_encoded_bytes))
}

/// One stream.
pub(super) struct Control {
    /// None as long as there is no router.
    line: Option<Rc<Line>>,
    token: Rc<Token>,
    session: Session,
}

impl Control {
    pub(super) fn new(line: Option<Rc<Line>>, token: Rc<Token>) -> Self {
        Self { line, token, session: Session::default() }
    }

    /// Nothing goes further than this filter.
    fn step(
        &mut self,
        step: impl FnOnce(&mut Session, &mut exchange::Context<'_, EnvoyHost>, &Token) -> Flow,
    ) -> Action {
        let flow = match &self.line {
            None => Flow::Answer(Reply::no_router()),
            Some(line) => line
                .newest()
                .with(|cx| step(&mut self.session, cx, &self.token))
                .unwrap_or_else(|| Flow::Answer(Reply::unavailable("the router is busy"))),
        };
        if let Flow::Answer(reply) = flow {
            // What was changed is in effect here when the answer says so; elsewhere at the next tick.
            if let Some(line) = &self.line {
                line.follow();
            }
            send(&reply);
        }
        Action::Pause
    }

    pub(super) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        self.step(|session, cx, token| session.request_headers(cx, token, end_of_stream))
    }

    pub(super) fn request_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        self.step(|session, cx, _| session.request_body(cx, held, end_of_stream))
    }

    pub(super) fn request_trailers(&mut self) -> Action {
        self.step(|session, cx, _| session.request_trailers(cx))
    }
}

/// If even this is refused, the paused stream ends by the listener's timeouts.
fn send(reply: &Reply) {
    let _ = hostcalls::send_http_response(reply.status.into(), reply.headers(), Some(&reply.bytes()));
}
