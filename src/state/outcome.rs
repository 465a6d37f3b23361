//! What one attempt taught.

use std::time::Duration;

use super::record::Record;
use crate::domain::{Backend, BreakerSettings, Timestamp, Tokens};
use crate::health::{BreakerPhase, Pass, Source, Unusable, Verdict};
use crate::learning::{Length, Wait};
use crate::tokens::Pair;

/// What one attempt at a backend taught, as data: so that several can be written together, and tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// When it ended.
    pub at: Timestamp,
    /// What it held; none if it was never counted in.
    pub pass: Option<Pass>,
    /// What it says of the backend's health.
    pub verdict: Verdict,
    /// Whose it was, where that matters.
    pub source: Option<Source>,
    /// Whether it shows that the backend serves what it is there for.
    pub serves: bool,
    /// What was wrong with its answer, if nobody could use it.
    pub unusable: Option<Unusable>,
    /// How long it took to fail, if it did.
    pub failed_after: Option<Duration>,
    /// How long its client waited, where that is held against what is usual, and whether it was too long.
    pub wait: Option<(Wait, bool)>,
    /// From its departure to the last byte of its answer, if that is known.
    pub response_time: Option<Duration>,
    /// How many requests it stands for: more than 1 where it was sent to see how the backend is.
    pub stands_for: u16,
    /// From its departure to the first content of a stream.
    pub first_token: Option<Duration>,
    /// How the provider counted the prompt, if it said so and the prompt was read.
    pub prompt: Option<Counted>,
    /// What its length taught, where answers have one.
    pub length: Option<Length>,
    /// When it departed, if it was answered well.
    pub answered: Option<Timestamp>,
    /// Its tokens, if it may have used some of its backend's quota and no answer said so.
    pub unreported: Option<Tokens>,
    /// Its tokens, if it was answered well while its backend was nearly as full as it may be.
    pub at_capacity: Option<Tokens>,
    /// As the backend was configured when the request left.
    breaker: Option<BreakerSettings>,
    expected_response_time: Duration,
}

/// A prompt as its provider counted it, beside the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Before calibration.
    pub estimated: Tokens,
    /// As reported, without what needed no estimate.
    pub reported: Tokens,
    /// To which model, and by which API.
    pub pair: Pair,
    /// Whose it was, by the hash of a tenant or an address.
    pub client: u32,
}

impl Outcome {
    /// An attempt at `backend` of which only its verdict is known.
    pub const fn new(backend: &Backend, pass: Option<Pass>, verdict: Verdict, at: Timestamp) -> Self {
        Self {
            at,
            pass,
            verdict,
            source: None,
            serves: false,
            unusable: None,
            failed_after: None,
            wait: None,
            response_time: None,
            stands_for: 1,
            first_token: None,
            prompt: None,
            length: None,
            answered: None,
            unreported: None,
            at_capacity: None,
            breaker: backend.breaker,
            expected_response_time: backend.expected_response_time,
        }
    }

    /// The same, but neither for nor against the breaker: it is about another service than the one the breaker guards.
    #[must_use]
    pub const fn sparing_the_breaker(self) -> Self {
        Self { breaker: None, ..self }
    }
}

impl Record {
    /// Takes note of an outcome.
    pub fn learn(&mut self, outcome: &Outcome) {
        let &Outcome { at, verdict, expected_response_time: expected, .. } = outcome;
        // Of a breaker that is not closed it is not known how the backend does: each answer is to show it.
        let tries = self.breaker.phase != BreakerPhase::Closed;
        let mut counts = true;
        let pause = at.since(self.last_answer);
        if let Some(settings) = &outcome.breaker {
            let pass = outcome.pass.unwrap_or(self.breaker.unasked());
            counts = self.breaker.leave(pass, verdict, outcome.source, settings, at);
            if let Some(unusable) = &outcome.unusable {
                let (threshold, wait) = (settings.misconfigured_threshold, settings.recovery_timeout);
                self.setup.unusable(unusable, threshold, wait, self.breaker.has_served_anybody(at), at);
            }
        }
        if outcome.serves {
            self.setup.served();
        }
        if counts && verdict.is_evidence() {
            self.observe_answer(verdict.is_ill(), at);
        }
        if let Some(took) = outcome.failed_after {
            self.fast_failures.observe(took, self.response_time.read(expected, at), at);
        }
        if let Some((wait, slow)) = &outcome.wait {
            self.usual.observe(wait, *slow, tries);
        }
        if let Some(departed) = outcome.answered {
            self.quota.succeed(departed, outcome.source, at);
        }
        if let Some(tokens) = outcome.unreported {
            self.quota.charge(tokens, at);
        }
        if let Some(tokens) = outcome.at_capacity {
            self.capacity.grow(tokens, at);
        }
        if let Some(sample) = outcome.response_time {
            let at_usual_work = outcome
                .length
                .as_ref()
                .map_or(sample, |length| self.usual.at_usual_work(sample, length.prompt, length.output));
            self.response_time.observe_for(outcome.stands_for, at_usual_work, expected, at);
            self.response_times.observe(millis(sample));
        }
        if let Some(sample) = outcome.first_token {
            self.first_tokens.observe(millis(sample));
        }
        if let Some(Counted { estimated, reported, pair, client }) = outcome.prompt {
            self.calibration.learn(pair, client, estimated, reported, at);
        }
        if let Some(length) = &outcome.length {
            self.lengths.learn_after(pause, length);
        }
    }
}

/// To the nearest millisecond.
fn millis(duration: Duration) -> u64 {
    (duration.as_micros() as u64).saturating_add(500) / 1_000
}
