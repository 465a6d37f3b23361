//! What is known of one backend: some 200 bytes of fixed layout.

use std::time::Duration;

use crate::domain::{Backend, Decoder, Encoder, Timestamp, Tokens};
use crate::health::{Breaker, Capacity, Hosts, Probes, Quota};
use crate::learning::{Mean, PeakEwma, Window};
use crate::tokens::Calibration;

/// The layout's version, its first byte and part of its key: another version of the module never reads it wrongly.
const VERSION: u8 = 2;

/// How fast failures of an idle backend lose their weight: to 37 % after this long.
const FORGIVENESS: Duration = Duration::from_secs(60);

/// Answers that a backend is taken to have given well before its first one.
const HEALTH_PRIOR: f64 = 5.0;

/// Tokens that an answer has, as long as none has been seen: the middle of what chat models answer with.
const OUTPUT_TOKENS_PRIOR: u32 = 300;

/// Bytes that are not of any version that this module can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of another layout")]
pub struct RecordError;

/// What is known of one backend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Its circuit breaker.
    pub breaker: Breaker,
    /// From a request's departure to the last byte of its answer.
    pub response_time: PeakEwma,
    /// Which of its last answers failed.
    pub window: Window,
    /// When it last answered or failed.
    pub last_answer: Timestamp,
    /// How its provider counts prompts, against the estimate.
    pub calibration: Calibration,
    /// Tokens of an answer.
    pub output_tokens: Mean,
    /// What its provider says is left.
    pub quota: Quota,
    /// How much it can take at once, where its provider does not say.
    pub capacity: Capacity,
    /// How Envoy sees its hosts.
    pub hosts: Hosts,
    /// What the router's own checks found.
    pub probes: Probes,
    /// What is in flight, one column per member (`Members`), each written by that member alone.
    columns: Vec<Load>,
}

/// Requests under way, and their estimated tokens: those of the prompts and those of the answers to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// How many there are.
    pub requests: u32,
    /// What they are expected to take together.
    pub tokens: Tokens,
}

impl Load {
    /// With one more request of so many tokens.
    #[must_use]
    pub const fn with(self, tokens: Tokens) -> Self {
        Self { requests: self.requests.saturating_add(1), tokens: Tokens(self.tokens.0.saturating_add(tokens.0)) }
    }

    /// Without one request of so many tokens.
    #[must_use]
    pub const fn without(self, tokens: Tokens) -> Self {
        Self { requests: self.requests.saturating_sub(1), tokens: Tokens(self.tokens.0.saturating_sub(tokens.0)) }
    }
}

impl Record {
    /// The key of a backend's record.
    pub fn key(id: &str) -> String {
        format!("llm-router/{VERSION}/backend/{id}")
    }

    /// Requests under way, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.load().requests
    }

    /// What is under way, over all workers.
    pub fn load(&self) -> Load {
        self.columns.iter().fold(Load::default(), |sum, column| Load {
            requests: sum.requests.saturating_add(column.requests),
            tokens: Tokens(sum.tokens.0.saturating_add(column.tokens.0)),
        })
    }

    /// What one member has under way.
    pub fn load_at(&self, member: usize) -> Load {
        self.columns.get(member).copied().unwrap_or_default()
    }

    /// Notes what one member has under way.
    pub fn set_load_at(&mut self, member: usize, load: Load) {
        if member >= self.columns.len() {
            if load == Load::default() {
                return;
            }
            self.columns.resize(member + 1, Load::default());
        }
        if let Some(column) = self.columns.get_mut(member) {
            *column = load;
        }
        while self.columns.last() == Some(&Load::default()) {
            self.columns.pop();
        }
    }

    /// How well the backend is, `0..=1`: what every strategy means by health. Its answers, the router's own checks and
    /// Envoy's picture of its hosts each can only lower it.
    ///
    /// `answers · last check · hosts that Envoy would send to`
    pub fn health(&self, now: Timestamp) -> f64 {
        self.answers(now) * self.probes.score(now) * self.hosts.available(now)
    }

    /// How likely its next answer is to be a good one, from its last hundred: 1 for a backend that was never asked.
    /// A failure weighs less the longer ago the last answer is, so that a backend nobody dares to ask comes back.
    ///
    /// `1 - failures / (answers + 5) · e^(-idle / 60 s)`
    pub fn answers(&self, now: Timestamp) -> f64 {
        let failures = f64::from(self.window.failures());
        let idle = now.since(self.last_answer).as_secs_f64();
        1.0 - failures / (f64::from(self.window.len()) + HEALTH_PRIOR) * (-idle / FORGIVENESS.as_secs_f64()).exp()
    }

    /// How long an answer of `backend` takes, in milliseconds.
    pub fn response_time_ms(&self, backend: &Backend, now: Timestamp) -> f64 {
        self.response_time.read(backend.expected_response_time, now).as_secs_f64() * 1e3
    }

    /// Tokens its next answer is expected to have, if nothing bounds it.
    pub fn expected_output_tokens(&self) -> u32 {
        self.output_tokens.read(OUTPUT_TOKENS_PRIOR)
    }

    /// Takes note of an answer's tokens.
    pub fn observe_output_tokens(&mut self, tokens: u64) {
        self.output_tokens.observe(tokens, OUTPUT_TOKENS_PRIOR);
    }

    /// Takes note that an answer came, well or not.
    pub fn observe_answer(&mut self, failed: bool, now: Timestamp) {
        self.window.push(failed);
        self.last_answer = now;
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(256 + 12 * self.columns.len());
        out.u8(VERSION);
        self.breaker.encode(&mut out);
        let (micros, at) = self.response_time.parts();
        out.u64(micros).time(at);
        let (bits, len) = self.window.parts();
        out.u128(bits).u8(len).time(self.last_answer);
        let (mean, means) = self.output_tokens.parts();
        out.u32(self.calibration.ratio_ppm()).u16(self.calibration.samples()).u32(mean).u32(means);
        self.quota.encode(&mut out);
        self.capacity.encode(&mut out);
        self.hosts.encode(&mut out);
        self.probes.encode(&mut out);
        for Load { requests, tokens } in &self.columns {
            out.u32(*requests).u64(tokens.0);
        }
        out.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::read(&mut Decoder::new(bytes)).ok_or(RecordError)
    }

    fn read(from: &mut Decoder<'_>) -> Option<Self> {
        if from.u8()? != VERSION {
            return None;
        }
        let mut record = Self {
            breaker: Breaker::decode(from)?,
            response_time: PeakEwma::from_parts(from.u64()?, from.time()?),
            window: Window::from_parts(from.u128()?, from.u8()?),
            last_answer: from.time()?,
            calibration: Calibration::from_parts(from.u32()?, from.u16()?),
            output_tokens: Mean::from_parts(from.u32()?, from.u32()?),
            quota: Quota::decode(from)?,
            capacity: Capacity::decode(from)?,
            hosts: Hosts::decode(from)?,
            probes: Probes::decode(from)?,
            columns: Vec::new(),
        };
        while !from.is_empty() {
            record.columns.push(Load { requests: from.u32()?, tokens: Tokens(from.u64()?) });
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::BreakerPhase;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn it_survives_being_bytes() {
        let mut record = Record::default();
        record.set_load_at(3, Load { requests: 7, tokens: Tokens(9_000) });
        record.set_load_at(0, Load::default().with(Tokens(1)));
        record.observe_answer(true, at(1));
        record.observe_output_tokens(900);
        record.response_time.observe(Duration::from_millis(80), Duration::from_secs(1), at(1));
        record.calibration = Calibration::from_parts(1_250_000, 9);
        record.breaker = Breaker { phase: BreakerPhase::Open, epoch: 4, retry_at: at(9), ..Breaker::default() };
        assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
        assert_eq!(record.in_flight(), 8);
    }

    #[test]
    fn columns_of_members_that_are_idle_take_no_room() {
        let mut record = Record::default();
        let empty = record.encode().len();
        record.set_load_at(90, Load::default().with(Tokens(1)));
        record.set_load_at(90, Load::default());
        record.set_load_at(5, Load::default());
        assert_eq!(record.encode().len(), empty);
    }

    #[test]
    fn health_falls_with_failures_and_comes_back_with_time() {
        let mut record = Record::default();
        assert!((record.health(at(0)) - 1.0).abs() < 1e-9);
        for _ in 0..5 {
            record.observe_answer(true, at(0));
        }
        assert!((record.health(at(0)) - 0.5).abs() < 1e-9);
        assert!(record.health(at(600)) > 0.99);
    }

    proptest! {
        #[test]
        fn whatever_lies_there_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(Record::decode(&record.encode()).is_ok(), true);
                prop_assert!((0.0..=1.0).contains(&record.health(at(0))));
            }
        }
    }
}
