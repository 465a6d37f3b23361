//! One per stream of the control listener: hands its callbacks to the control API's session.

use std::cell::Cell;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::types::Action;

use super::host::{EnvoyHost, write};
use super::line::Line;
use crate::config::{ControlConfig, LogLevel};
use crate::control::{Flow, Guard, Reply, Session, Token};
use crate::exchange;
use crate::host::Property;

/// Where the token is, among the variables that the VM is given (`vm_config.environment_variables`).
const TOKEN: &str = "LLM_ROUTER_CONTROL_TOKEN";

/// Says in shared data that this Envoy was told so already: each of its VMs is configured.
const WARNED: &str = "llm-router/1/control-without-token";

thread_local! {
    /// Whether this VM has said that anybody can reach the listener.
    static SAID: Cell<bool> = const { Cell::new(false) };
}

/// What is let through: the token is that of the VM's environment.
pub(super) fn guard(config: ControlConfig) -> Guard {
    let token = std::env::var_os(TOKEN).map(std::ffi::OsString::into_encoded_bytes);
    if token.is_none() && matches!(hostcalls::get_shared_data(WARNED), Ok((None, None))) {
        let _ = hostcalls::set_shared_data(WARNED, Some(b"1"), None);
        let line =
            "llm-router: LLM_ROUTER_CONTROL_TOKEN is not set: the control API takes changes on loopback addresses only";
        write(LogLevel::Warn, line);
    }
    Guard::new(Token::new(token), config)
}

/// Says once that a listener without a token is reached by another address than loopback: no address is known before.
fn warn_of_open_listener(guard: &Guard) {
    let destination = || hostcalls::get_property(Property::DestinationAddress.path().to_vec()).ok().flatten();
    if !SAID.get() && guard.is_open_at(destination().as_deref()) {
        SAID.set(true);
        let line = "llm-router: the control listener has no token and is reached by another address than loopback: whoever \
                    reaches it sees everything, and changes are refused; set LLM_ROUTER_CONTROL_TOKEN";
        write(LogLevel::Warn, line);
    }
}

/// One stream.
pub(super) struct Control {
    /// None as long as there is no router.
    line: Option<Rc<Line>>,
    guard: Rc<Guard>,
    session: Session,
}

impl Control {
    pub(super) fn new(line: Option<Rc<Line>>, guard: Rc<Guard>) -> Self {
        Self { line, guard, session: Session::default() }
    }

    /// Nothing goes further than this filter.
    fn step(
        &mut self,
        step: impl FnOnce(&mut Session, &mut exchange::Context<'_, EnvoyHost>, &Guard) -> Flow,
    ) -> Action {
        let flow = match &self.line {
            None => Flow::Answer(Reply::no_router()),
            Some(line) => line
                .newest()
                .with(|cx| step(&mut self.session, cx, &self.guard))
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
        warn_of_open_listener(&self.guard);
        self.step(|session, cx, guard| session.request_headers(cx, guard, end_of_stream))
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
