//! One call, from its headers to its answer.

use super::call::Call;
use super::{Guard, Reply, api};
use crate::exchange::Context;
use crate::host::{Host, Property};

/// The largest body that is read.
const MOST: usize = 64 << 10;

/// What Envoy is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Hold what it has, and show us more.
    Hold,
    /// Answer.
    Answer(Reply),
}

/// One call.
#[derive(Debug, Default)]
pub struct Session {
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing seen yet.
    #[default]
    Start,
    /// Its body is coming; so many bytes of it are held.
    Reading(Call, usize),
    /// Answered.
    Over,
}

impl Session {
    /// The headers are there, and with `end_of_stream` that is all of it.
    pub fn request_headers<H: Host>(&mut self, cx: &mut Context<'_, H>, guard: &Guard, end_of_stream: bool) -> Flow {
        self.phase = Phase::Over;
        let destination = || cx.host.property(Property::DestinationAddress);
        match Call::read(cx.host.request_headers(), guard, destination) {
            Err(reply) => Flow::Answer(reply),
            Ok(call) if end_of_stream => Flow::Answer(api::answer(cx, &call, Vec::new())),
            Ok(call) if call.announced_bytes().is_some_and(|bytes| bytes > MOST as u64) => too_large(),
            Ok(call) => {
                self.phase = Phase::Reading(call, 0);
                Flow::Hold
            }
        }
    }

    /// `held` bytes of the body are there, and with `end_of_stream` that is all of it.
    pub fn request_body<H: Host>(&mut self, cx: &mut Context<'_, H>, held: usize, end_of_stream: bool) -> Flow {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Reading(..) if held > MOST => too_large(),
            Phase::Reading(call, _) if end_of_stream => answer(cx, &call, held),
            Phase::Reading(call, _) => {
                self.phase = Phase::Reading(call, held);
                Flow::Hold
            }
            Phase::Start | Phase::Over => Flow::Hold,
        }
    }

    /// The request ends with trailers.
    pub fn request_trailers<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Reading(call, held) => answer(cx, &call, held),
            Phase::Start | Phase::Over => Flow::Hold,
        }
    }
}

fn too_large() -> Flow {
    Flow::Answer(Reply::too_large(MOST))
}

fn answer<H: Host>(cx: &mut Context<'_, H>, call: &Call, held: usize) -> Flow {
    let body = if held > 0 { cx.host.request_body(held) } else { None };
    Flow::Answer(api::answer(cx, call, body.unwrap_or_default()))
}
