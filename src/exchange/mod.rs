//! One request, from its headers to its log.
//!
//! ```text
//!   Start ──headers──► Reading ──body──► Routed ──answer──► Answering ──log──► Over
//!     └───────────────── nothing to read ──┘ └── no answer ────────────────────┘
//!                   Waiting, where all places are taken, comes before Routed
//! ```
//!
//! An exchange is in one phase at a time and each phase holds just what it needs. Whatever happens, [`Exchange::log`]
//! ends it: what was counted in is counted out exactly once.

mod attempt;
mod decision;
mod ending;
mod intake;
mod purse;
mod refusal;
mod rehearsal;
mod report;
mod request;
mod response;
mod router;
mod steered;
#[cfg(test)]
mod tests;
mod transitions;
mod turns;
mod waiting;

pub use attempt::{Attempt, FAILED, UNASKED, USAGE};
pub(crate) use decision::{Decision, Detail, Upshot, ranked_by};
pub use refusal::{Refusal, RefusalCode};
pub(crate) use rehearsal::{Fate, Rehearsal};
pub use router::Router;
pub use waiting::Waiting;

use std::rc::Rc;

use crate::host::Host;
use crate::metrics::Metric;
use crate::state::View;
use intake::Intake;
use request::Decided;
use response::Answer;
use router::Route;

/// What Envoy is to do with what it has shown us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Pass it on.
    Continue,
    /// Hold it, and show us more.
    Hold,
    /// Answer this instead of asking a backend.
    Refuse(Refusal),
    /// Hold it until there is a place for it; see [`Exchange::waiting`].
    Wait,
}

/// Where an exchange stands.
#[derive(Debug, Default)]
enum Phase {
    /// Nothing seen yet.
    #[default]
    Start,
    /// The headers are held until the body is there.
    Reading(Intake),
    /// It waits for a place, or has just got one.
    Waiting(Rc<Waiting>),
    /// On its way to a backend.
    Routed(Route),
    /// The answer is passing by.
    Answering(Box<Answer>),
    /// Nothing left to do.
    Over,
}

/// One request and its answer.
#[derive(Debug, Default)]
pub struct Exchange {
    phase: Phase,
}

/// What an exchange works with: the configuration's router, the VM's view, and the world.
#[derive(Debug)]
pub struct Context<'a, H> {
    /// Decides.
    pub router: &'a mut Router,
    /// What this VM knows.
    pub view: &'a mut View,
    /// The world.
    pub host: &'a H,
}

impl Exchange {
    /// The request's headers are there, and with `end_of_stream` that is all of it.
    pub fn request_headers<H: Host>(&mut self, cx: &mut Context<'_, H>, end_of_stream: bool) -> Flow {
        let intake = Intake::read(cx, end_of_stream);
        match intake.verdict(cx.router.config().body_limit_bytes) {
            intake::Verdict::TooLarge => self.refuse(cx, Refusal::too_large(cx.router.config().body_limit_bytes)),
            intake::Verdict::ReadBody => {
                self.phase = Phase::Reading(intake);
                Flow::Hold
            }
            intake::Verdict::NothingToRead => self.route(cx, intake, None),
        }
    }

    /// `held` bytes of the request's body are there, and with `end_of_stream` that is all of it.
    pub fn request_body<H: Host>(&mut self, cx: &mut Context<'_, H>, held: usize, end_of_stream: bool) -> Flow {
        let limit = cx.router.config().body_limit_bytes;
        match std::mem::take(&mut self.phase) {
            Phase::Reading(_) if held > limit => self.refuse(cx, Refusal::too_large(limit)),
            Phase::Reading(intake) if end_of_stream => {
                let body = cx.host.request_body(held);
                self.route(cx, intake, body)
            }
            Phase::Reading(mut intake) => {
                intake.held = held;
                self.phase = Phase::Reading(intake);
                Flow::Hold
            }
            Phase::Routed(mut route) => {
                route.asked |= end_of_stream;
                self.phase = Phase::Routed(route);
                Flow::Continue
            }
            Phase::Answering(mut answer) => {
                answer.route.asked |= end_of_stream;
                self.phase = Phase::Answering(answer);
                Flow::Continue
            }
            other => {
                self.phase = other;
                Flow::Continue
            }
        }
    }

    /// The request ends with trailers; HTTP/2 shows the end of the body in no other way.
    pub fn request_trailers<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        match std::mem::take(&mut self.phase) {
            Phase::Reading(intake) => {
                let body = cx.host.request_body(intake.held);
                self.route(cx, intake, body)
            }
            Phase::Routed(mut route) => {
                route.asked = true;
                self.phase = Phase::Routed(route);
                Flow::Continue
            }
            Phase::Answering(mut answer) => {
                answer.route.asked = true;
                self.phase = Phase::Answering(answer);
                Flow::Continue
            }
            other => {
                self.phase = other;
                Flow::Continue
            }
        }
    }

    /// The answer's headers are there, and with `end_of_stream` that is all of it.
    pub fn response_headers<H: Host>(&mut self, cx: &mut Context<'_, H>, end_of_stream: bool) {
        self.resume();
        self.phase = match std::mem::take(&mut self.phase) {
            Phase::Routed(route) => Phase::Answering(Box::new(Answer::begin(cx, route, end_of_stream))),
            other => other,
        };
    }

    /// A chunk of the answer is passing by.
    pub fn response_body<H: Host>(&mut self, cx: &mut Context<'_, H>, len: usize, end_of_stream: bool) {
        if let Phase::Answering(answer) = &mut self.phase {
            answer.chunk(cx, len, end_of_stream);
        }
    }

    /// The answer ends with trailers.
    pub fn response_trailers(&mut self) {
        if let Phase::Answering(answer) = &mut self.phase {
            answer.complete();
        }
    }

    /// It is over, however it ended.
    pub fn log<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        self.resume();
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Routed(route) => Answer::none(cx, route).finish(cx),
            Phase::Answering(answer) => answer.finish(cx),
            Phase::Waiting(waiting) => waiting.leave(cx),
            Phase::Start | Phase::Reading(_) | Phase::Over => {}
        }
    }

    /// What waits, as long as it does.
    pub fn waiting(&self) -> Option<&Rc<Waiting>> {
        match &self.phase {
            Phase::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Goes on where the request left the queue.
    fn resume(&mut self) {
        if let Phase::Waiting(waiting) = &self.phase
            && let Some(route) = waiting.route()
        {
            self.phase = Phase::Routed(route);
        }
    }

    /// Whether it may still be decided by another router than the one that has seen it so far.
    pub const fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Start | Phase::Reading(_))
    }

    fn route<H: Host>(&mut self, cx: &mut Context<'_, H>, intake: Intake, body: Option<Vec<u8>>) -> Flow {
        let began = cx.router.times_this_one().then(|| cx.host.now());
        match request::decide(cx, intake, body) {
            Decided::Refused(refusal) => self.refuse(cx, refusal),
            Decided::Waits(petition) => {
                self.phase = Phase::Waiting(Rc::new(Waiting::new(petition)));
                Flow::Wait
            }
            Decided::Routed(route) => {
                if let Some(began) = began {
                    let took = cx.host.now().since(began);
                    cx.host.record(Metric::Decision(route.strategy), took.as_micros() as u64);
                }
                self.phase = Phase::Routed(route);
                Flow::Continue
            }
        }
    }

    fn refuse<H: Host>(&mut self, cx: &Context<'_, H>, refusal: Refusal) -> Flow {
        self.phase = Phase::Over;
        cx.host.record(refusal.metric(), 1);
        Flow::Refuse(refusal)
    }
}
