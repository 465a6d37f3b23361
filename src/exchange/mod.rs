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
mod misrouting;
mod purse;
mod refusal;
mod rehearsal;
mod report;
mod reporting;
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
pub(crate) use decision::{Decision, Detail, Finding, Upshot, ranked_by};
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
#[allow(clippy::large_enum_variant, reason = "to box the largest costs each request an allocation")]
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
        let mut intake = Intake::read(cx, end_of_stream);
        match intake.verdict(cx.router.config().body_limit_bytes) {
            intake::Verdict::TooLarge => self.refuse(
                cx,
                Refusal::too_large(cx.router.config().body_limit_bytes)
                    .in_form_of(refusal::form_of(intake.api, intake.vendor)),
            ),
            verdict @ (intake::Verdict::ReadBody | intake::Verdict::HoldBody) => {
                intake.reads = verdict == intake::Verdict::ReadBody;
                self.phase = Phase::Reading(intake);
                Flow::Hold
            }
            intake::Verdict::PassBody => self.route(cx, intake),
        }
    }

    /// `held` bytes of the request's body are there (once it is on its way: are passing by), and with `end_of_stream`
    /// that is all of it.
    pub fn request_body<H: Host>(&mut self, cx: &mut Context<'_, H>, held: usize, end_of_stream: bool) -> Flow {
        let limit = cx.router.config().body_limit_bytes;
        match std::mem::take(&mut self.phase) {
            Phase::Reading(intake) if intake.reads && held > limit => {
                self.refuse(cx, Refusal::too_large(limit).in_form_of(refusal::form_of(intake.api, intake.vendor)))
            }
            Phase::Reading(mut intake) => {
                intake.held = held;
                intake.ended = end_of_stream;
                if end_of_stream || (!intake.reads && held >= limit) {
                    return self.route(cx, intake);
                }
                self.phase = Phase::Reading(intake);
                Flow::Hold
            }
            other => {
                self.phase = other;
                self.request_passes(cx, held, end_of_stream);
                Flow::Continue
            }
        }
    }

    /// The request ends with trailers; HTTP/2 shows the end of the body in no other way. Those of the router's own names
    /// go no further than such headers do.
    pub fn request_trailers<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        intake::each_own(&cx.host.request_trailers(), |name| cx.host.remove_request_trailer(name));
        match std::mem::take(&mut self.phase) {
            Phase::Reading(mut intake) => {
                intake.ended = true;
                self.route(cx, intake)
            }
            Phase::Answering(mut answer) => {
                answer.route.asked = true;
                self.phase = Phase::Answering(answer);
                Flow::Continue
            }
            other => {
                self.phase = other;
                self.request_passes(cx, 0, true);
                Flow::Continue
            }
        }
    }

    /// So many bytes more of a request that is on its way pass by, and with `end` the rest of it.
    fn request_passes<H: Host>(&mut self, cx: &mut Context<'_, H>, bytes: usize, end: bool) {
        let route = match &mut self.phase {
            Phase::Routed(route) => route,
            Phase::Answering(answer) => &mut answer.route,
            _ => return,
        };
        route.sent = route.sent.saturating_add(bytes as u64);
        route.asked |= end;
        if end {
            cx.end_upload(route);
        } else {
            cx.upload_passes(route, bytes as u64);
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

    /// The answer ends with trailers. What a backend says there in the router's name does not reach the client.
    pub fn response_trailers<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        intake::each_own(&cx.host.response_trailers(), |name| cx.host.remove_response_trailer(name));
        if let Phase::Answering(answer) = &mut self.phase {
            answer.complete();
            answer.tell_cost(cx);
        }
    }

    /// It is over, however it ended.
    pub fn log<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        self.resume();
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Routed(route) => Answer::none(cx, route).finish(cx),
            Phase::Answering(answer) => answer.finish(cx),
            Phase::Waiting(waiting) => waiting.leave(cx),
            Phase::Reading(intake) => {
                if let Some(header_bytes) = intake.bytes_without_body() {
                    cx.note_unseen_body(header_bytes);
                }
            }
            Phase::Start | Phase::Over => {}
        }
    }

    /// Bytes of the headers, as long as they are held and nothing of the body was seen.
    pub const fn held_header_bytes(&self) -> Option<u64> {
        match &self.phase {
            Phase::Reading(intake) => intake.bytes_without_body(),
            _ => None,
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

    fn route<H: Host>(&mut self, cx: &mut Context<'_, H>, intake: Intake) -> Flow {
        let body = intake.body(cx.host);
        let began = cx.router.times_this_one().then(|| cx.host.now());
        match request::decide(cx, intake, body) {
            Decided::Refused(refusal) => self.refuse(cx, refusal),
            Decided::Waits(petition) => {
                self.phase = Phase::Waiting(Rc::new(Waiting::new(petition, cx.host)));
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
