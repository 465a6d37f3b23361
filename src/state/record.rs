//! What is known of one backend: some 130 bytes of fixed layout.

use std::time::Duration;

use super::codec::{Reader, Writer};
use crate::domain::{Backend, Timestamp};
use crate::health::{Breaker, BreakerPhase};
use crate::learning::{Mean, PeakEwma, Window};
use crate::tokens::Calibration;

/// The layout's version, its first byte and part of its key: another version of the module never reads it wrongly.
const VERSION: u8 = 1;

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
    /// Requests in flight, one column per member (`Members`), each written by that member alone.
    columns: Vec<u32>,
}

impl Record {
    /// The key of a backend's record.
    pub fn key(id: &str) -> String {
        format!("llm-router/{VERSION}/backend/{id}")
    }

    /// Requests under way, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.columns.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }

    /// Requests under way at one member.
    pub fn in_flight_at(&self, member: usize) -> u32 {
        self.columns.get(member).copied().unwrap_or(0)
    }

    /// Notes how many requests one member has under way.
    pub fn set_in_flight_at(&mut self, member: usize, requests: u32) {
        if member >= self.columns.len() {
            if requests == 0 {
                return;
            }
            self.columns.resize(member + 1, 0);
        }
        if let Some(column) = self.columns.get_mut(member) {
            *column = requests;
        }
        while self.columns.last() == Some(&0) {
            self.columns.pop();
        }
    }

    /// How likely its next answer is to be a good one, from its last hundred: 1 for a backend that was never asked.
    /// A failure weighs less the longer ago the last answer is, so that a backend nobody dares to ask comes back.
    ///
    /// `1 - failures / (answers + 5) · e^(-idle / 60 s)`
    pub fn health(&self, now: Timestamp) -> f64 {
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
        let mut out = Writer::with_capacity(144 + 4 * self.columns.len());
        let b = &self.breaker;
        out.u8(VERSION).u8(b.phase.code()).u32(b.epoch).u32(b.consecutive_failures);
        out.u32(b.probes).u32(b.probe_successes).u64(b.since.as_micros()).u64(b.retry_at.as_micros());
        let (micros, at) = self.response_time.parts();
        out.u64(micros).u64(at.as_micros());
        let (bits, len) = self.window.parts();
        out.u128(bits).u8(len).u64(self.last_answer.as_micros());
        let (mean, means) = self.output_tokens.parts();
        out.u32(self.calibration.ratio_ppm()).u16(self.calibration.samples()).u32(mean).u32(means);
        for &column in &self.columns {
            out.u32(column);
        }
        out.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::read(&mut Reader::new(bytes)).ok_or(RecordError)
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        if r.u8()? != VERSION {
            return None;
        }
        let breaker = Breaker {
            phase: BreakerPhase::from_code(r.u8()?)?,
            epoch: r.u32()?,
            consecutive_failures: r.u32()?,
            probes: r.u32()?,
            probe_successes: r.u32()?,
            since: Timestamp::from_micros(r.u64()?),
            retry_at: Timestamp::from_micros(r.u64()?),
        };
        let response_time = PeakEwma::from_parts(r.u64()?, Timestamp::from_micros(r.u64()?));
        let window = Window::from_parts(r.u128()?, r.u8()?);
        let last_answer = Timestamp::from_micros(r.u64()?);
        let calibration = Calibration::from_parts(r.u32()?, r.u16()?);
        let output_tokens = Mean::from_parts(r.u32()?, r.u32()?);
        let mut columns = Vec::new();
        while !r.is_empty() {
            columns.push(r.u32()?);
        }
        Some(Self { breaker, response_time, window, last_answer, calibration, output_tokens, columns })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn it_survives_being_bytes() {
        let mut record = Record::default();
        record.set_in_flight_at(3, 7);
        record.set_in_flight_at(0, 1);
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
        record.set_in_flight_at(90, 1);
        record.set_in_flight_at(90, 0);
        record.set_in_flight_at(5, 0);
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
