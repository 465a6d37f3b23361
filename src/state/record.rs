//! What is known of one backend: some 500 bytes, more where more workers have something under way.

use std::time::Duration;

use crate::domain::{Backend, Decoder, Encoder, PerMille, Timestamp, Tokens};
use crate::health::{Breaker, Capacity, Demand, Hosts, Probes, Quota, Setup};
use crate::learning::{Evidence, FastFailures, Lengths, PeakEwma, Sketch, Usual, Window};
use crate::tokens::Calibrations;

/// The layout's version, its first byte and part of its key: another version of the module never reads it wrongly.
const VERSION: u8 = 6;

/// How fast failures lose their weight after the last of them: to 37 % after this long.
const FORGIVENESS: Duration = Duration::from_secs(60);

/// Answers that a backend is taken to have given well before its first one.
const HEALTH_PRIOR: f64 = 5.0;

/// Bytes that are not of any version that this module can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of another layout")]
pub struct RecordError;

/// What is known of one backend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Its circuit breaker.
    pub breaker: Breaker,
    /// Whether anybody could use its last answers.
    pub setup: Setup,
    /// From a request's departure to the last byte of its answer.
    pub response_time: PeakEwma,
    /// How those times are distributed, in milliseconds.
    pub response_times: Sketch,
    /// How long streams took until their first content, in milliseconds.
    pub first_tokens: Sketch,
    /// How long clients usually wait for it.
    pub usual: Usual,
    /// Its failures that came sooner than its answers do, as load.
    pub fast_failures: FastFailures,
    /// Which of its last answers failed.
    pub window: Window,
    /// When it last answered or failed.
    pub last_answer: Timestamp,
    /// When it last failed.
    pub last_failure: Timestamp,
    /// How much is known of it of late.
    pub evidence: Evidence,
    /// How its provider counts prompts, against the estimate.
    pub calibration: Calibrations,
    /// How long its answers are, and how much of their prompts was cached.
    pub lengths: Lengths,
    /// What its provider says is left.
    pub quota: Quota,
    /// How much it can take at once, where its provider does not say.
    pub capacity: Capacity,
    /// How Envoy sees its hosts.
    pub hosts: Hosts,
    /// What the router's own checks found.
    pub probes: Probes,
    /// What is in flight, one column per member (`Members`), each written by that member alone.
    columns: Vec<Column>,
}

/// What one member has under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Column {
    load: Load,
    /// Of that, what the provider has reported to be taken off its quota: answers that have begun.
    reported: Load,
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

    /// Both together.
    #[must_use]
    const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: Tokens(self.tokens.0.saturating_add(other.tokens.0)),
        }
    }

    /// What is left of it without a part of it.
    #[must_use]
    const fn minus(self, part: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(part.requests),
            tokens: Tokens(self.tokens.0.saturating_sub(part.tokens.0)),
        }
    }
}

impl Record {
    /// The key of a backend's record.
    pub fn key(id: &str) -> String {
        format!("llm-router/{VERSION}/backend/{id}")
    }

    /// How busy it is, for comparison: requests under way, and those that failed too soon to be among them.
    pub fn busyness(&self, backend: &Backend, now: Timestamp) -> f64 {
        let usual = self.response_time.read(backend.expected_response_time, now);
        f64::from(self.in_flight()) + self.fast_failures.load(usual, now)
    }

    /// Requests under way, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.load().requests
    }

    /// What is under way, over all workers.
    pub fn load(&self) -> Load {
        self.columns.iter().fold(Load::default(), |sum, column| sum.plus(column.load))
    }

    /// What its quota must still suffice for: what is under way, over all workers, and not reported yet, and a request
    /// of so many tokens.
    #[inline(never)] // Asked for in many places, most of them not in a hurry.
    pub fn demand(&self, next: Tokens) -> Demand {
        let unreported = |sum: Load, column: &Column| sum.plus(column.load.minus(column.reported));
        let Load { requests, tokens } = self.columns.iter().fold(Load::default(), unreported);
        Demand { requests, tokens, next }
    }

    /// What one member has under way.
    pub fn load_at(&self, member: usize) -> Load {
        self.columns.get(member).copied().unwrap_or_default().load
    }

    /// Notes what one member has under way, none of it reported.
    pub fn set_load_at(&mut self, member: usize, load: Load) {
        self.set_column_at(member, load, Load::default());
    }

    /// Notes what one member has under way, and how much of it has been reported.
    pub fn set_column_at(&mut self, member: usize, load: Load, reported: Load) {
        let column = Column { load, reported };
        if member >= self.columns.len() {
            if column == Column::default() {
                return;
            }
            self.columns.resize(member + 1, Column::default());
        }
        if let Some(place) = self.columns.get_mut(member) {
            *place = column;
        }
        while self.columns.last() == Some(&Column::default()) {
            self.columns.pop();
        }
    }

    /// How well the backend is, `0..=1`: what every strategy means by health. Its answers, the router's own checks and
    /// Envoy's picture of its hosts each can only lower it.
    ///
    /// `answers · last check · hosts that Envoy would send to`
    #[inline(never)]
    pub fn health(&self, backend: &Backend, now: Timestamp) -> f64 {
        self.health_of_its_own(backend, now) * self.hosts.available(now)
    }

    /// The same without its hosts, for those who have taken them into account already.
    pub fn health_of_its_own(&self, backend: &Backend, now: Timestamp) -> f64 {
        if self.is_misconfigured(backend) {
            return 0.0;
        }
        // What is left of checks that a configuration no longer wants says nothing.
        self.answers(now) * if backend.probe.is_some() { self.probes.score(now) } else { 1.0 }
    }

    /// Whether nobody could use the last answers of `backend`, and that is its own fault.
    pub fn is_misconfigured(&self, backend: &Backend) -> bool {
        backend.breaker.is_some_and(|settings| self.setup.is_out(settings.misconfigured_threshold))
    }

    /// How likely its next answer is to be a good one, from its last hundred: 1 for a backend that was never asked.
    /// Failures weigh less the longer ago the last of them is, so that a backend nobody dares to ask comes back, and
    /// answers that are good do not keep it from that.
    ///
    /// `1 - failures / (answers + 5) · e^(-since the last failure / 60 s)`
    pub fn answers(&self, now: Timestamp) -> f64 {
        let failures = f64::from(self.window.failures());
        let since = now.since(self.last_failure).as_secs_f64();
        1.0 - failures / (f64::from(self.window.len()) + HEALTH_PRIOR) * (-since / FORGIVENESS.as_secs_f64()).exp()
    }

    /// The share of failures among its last hundred answers.
    pub fn error_rate(&self) -> PerMille {
        PerMille::from_ratio(f64::from(self.window.failures()) / f64::from(self.window.len().max(1)))
    }

    /// How long an answer of `backend` takes, in milliseconds.
    #[inline(never)]
    pub fn response_time_ms(&self, backend: &Backend, now: Timestamp) -> f64 {
        self.response_time.read(backend.expected_response_time, now).as_secs_f64() * 1e3
    }

    /// Takes note that an answer came, well or not.
    pub fn observe_answer(&mut self, failed: bool, now: Timestamp) {
        self.window.push(failed);
        self.evidence.observe(now);
        self.last_answer = now;
        if failed {
            self.last_failure = now;
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(512 + 24 * self.columns.len());
        out.u8(VERSION);
        self.breaker.encode(&mut out);
        self.setup.encode(&mut out);
        let (micros, at) = self.response_time.parts();
        out.u64(micros).time(at);
        self.response_times.encode(&mut out);
        self.first_tokens.encode(&mut out);
        self.usual.encode(&mut out);
        self.fast_failures.encode(&mut out);
        let (bits, len) = self.window.parts();
        out.u128(bits).u8(len).time(self.last_answer).time(self.last_failure);
        let (parts, at) = self.evidence.parts();
        out.u32(parts).time(at);
        self.calibration.encode(&mut out);
        self.lengths.encode(&mut out);
        self.quota.encode(&mut out);
        self.capacity.encode(&mut out);
        self.hosts.encode(&mut out);
        self.probes.encode(&mut out);
        for Load { requests, tokens } in self.columns.iter().flat_map(|column| [column.load, column.reported]) {
            out.u32(requests).u64(tokens.0);
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
            setup: Setup::decode(from)?,
            response_time: PeakEwma::from_parts(from.u64()?, from.time()?),
            response_times: Sketch::decode(from)?,
            first_tokens: Sketch::decode(from)?,
            usual: Usual::decode(from)?,
            fast_failures: FastFailures::decode(from)?,
            window: Window::from_parts(from.u128()?, from.u8()?),
            last_answer: from.time()?,
            last_failure: from.time()?,
            evidence: Evidence::from_parts(from.u32()?, from.time()?),
            calibration: Calibrations::decode(from)?,
            lengths: Lengths::decode(from)?,
            quota: Quota::decode(from)?,
            capacity: Capacity::decode(from)?,
            hosts: Hosts::decode(from)?,
            probes: Probes::decode(from)?,
            columns: Vec::new(),
        };
        while !from.is_empty() {
            let mut load = || Some(Load { requests: from.u32()?, tokens: Tokens(from.u64()?) });
            record.columns.push(Column { load: load()?, reported: load()? });
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ModelTag;
    use crate::learning::Length;
    use crate::routing::testing::backend;
    use crate::tokens::Pair;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn it_survives_being_bytes() {
        let mut record = Record::default();
        record.set_column_at(3, Load { requests: 7, tokens: Tokens(9_000) }, Load::default().with(Tokens(5)));
        record.set_load_at(0, Load::default().with(Tokens(1)));
        record.observe_answer(true, at(1));
        record.lengths.learn(&Length { output: Tokens(900), ..Length::default() });
        record.response_times.observe(80);
        record.first_tokens.observe(9);
        record.response_time.observe(Duration::from_millis(80), Duration::from_secs(1), at(1));
        (0..9)
            .for_each(|client| record.calibration.learn(Pair::default(), client, Tokens(1_000), Tokens(1_250), at(1)));
        let settings = backend("a").breaker.expect("a breaker");
        record.breaker.open_by_hand(&settings, at(9));
        assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
        assert_eq!((record.in_flight(), record.demand(Tokens(0)).requests), (8, 7));
    }

    #[test]
    fn columns_of_members_that_are_idle_take_no_room() {
        let mut record = Record::default();
        let empty = record.encode().len();
        let (none, one) = (Load::default(), Load::default().with(Tokens(1)));
        record.set_column_at(90, one, one);
        record.set_load_at(90, none);
        record.set_load_at(5, none);
        assert_eq!(record.encode().len(), empty);
    }

    #[test]
    fn it_stays_small_since_every_worker_reads_it_at_every_tick() {
        let mut record = Record::default();
        // Answers of a tenth of a second to ten seconds, and eight workers with something under way.
        for n in 0..1_000 {
            record.response_times.observe(100 + n * n / 100);
            record.first_tokens.observe(50 + n);
            // To two models, of many lengths.
            let (model, prompt) = (ModelTag::from_bits(1 + n as u32 % 2), Tokens(200 + 2 * n));
            record.lengths.learn(&Length { model, prompt, output: Tokens(n), ..Length::default() });
        }
        for member in 0..8 {
            record.set_load_at(member, Load::default().with(Tokens(9)));
        }
        assert!(record.encode().len() < 800, "{} bytes", record.encode().len());
    }

    #[test]
    fn health_falls_with_failures_and_comes_back_with_time() {
        let mut record = Record::default();
        assert!((record.health(&backend("a"), at(0)) - 1.0).abs() < 1e-9);
        for _ in 0..5 {
            record.observe_answer(true, at(0));
        }
        assert!((record.health(&backend("a"), at(0)) - 0.5).abs() < 1e-9);
        assert!(record.health(&backend("a"), at(600)) > 0.99);
    }

    proptest! {
        #[test]
        fn whatever_lies_there_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(Record::decode(&record.encode()).is_ok(), true);
                prop_assert!((0.0..=1.0).contains(&record.health(&backend("a"), at(0))));
            }
        }
    }
}
