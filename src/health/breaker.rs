//! The circuit breaker of one backend: a value, changed only by events, each with its time.
//!
//! ```text
//!            failure_threshold failures in a row
//!   closed ───────────────────────────────────────► open
//!     ▲                                           ▲    │ recovery_timeout
//!     │ half_open_max_requests probes succeed     │    ▼
//!     └────────────────────────────────────── half-open      (a probe fails: open again)
//! ```
//!
//! It lives in the backend's shared record, so there is one state for all workers. A request is let in by
//! [`Breaker::enter`], which hands it a [`Pass`]; whatever becomes of the request, [`Breaker::leave`] takes that pass
//! back. A pass from before the last change of state is recognised by its epoch and changes nothing that came later.

use std::time::Duration;

use crate::domain::{BreakerSettings, Decoder, Encoder, Timestamp};

/// Probes that have not ended after this long, or after the backend's own recovery timeout, whichever is longer, make
/// room for others: their worker may have died. No state is without a way out.
const PROBE_EXPIRY: Duration = Duration::from_secs(60);

/// When to ask again while all probes are under way: nobody knows when they end.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// The three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerPhase {
    /// Requests pass.
    #[default]
    Closed,
    /// A few requests pass, to see whether the backend is well again.
    HalfOpen,
    /// No request passes.
    Open,
}

impl BreakerPhase {
    /// Its value in `loadbalancer_circuit_breaker_state` and in the record.
    pub const fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }

    /// The phase of that code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Closed),
            1 => Some(Self::HalfOpen),
            2 => Some(Self::Open),
            _ => None,
        }
    }
}

/// What a request that was let in holds until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    epoch: u32,
    /// Whether it is one of the probes of a half-open breaker.
    pub probe: bool,
}

/// Not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it may be worth asking again.
    pub retry_at: Timestamp,
}

/// What a request says of its backend's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It answered.
    Well,
    /// It failed.
    Ill,
    /// Nothing either way: the client left, the quota was used up, it never got there.
    Unknown,
}

/// The circuit breaker of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    /// Where it stands.
    pub phase: BreakerPhase,
    /// Changes of state so far: tells passes of now from passes of before.
    pub epoch: u32,
    /// Failures in a row while closed.
    pub consecutive_failures: u32,
    /// Probes under way while half-open.
    pub probes: u32,
    /// Probes that succeeded while half-open.
    pub probe_successes: u32,
    /// When it came into this phase.
    pub since: Timestamp,
    /// While open: when it becomes half-open.
    pub retry_at: Timestamp,
}

impl Breaker {
    /// Whether [`Breaker::enter`] would let a request in at `now`, and whether that would be a probe.
    pub fn would_enter(&self, settings: &BreakerSettings, now: Timestamp) -> Result<bool, Refused> {
        let mut rehearsal = *self;
        rehearsal.enter(settings, now).map(|pass| pass.probe)
    }

    /// Lets a request in, or says until when not.
    pub fn enter(&mut self, settings: &BreakerSettings, now: Timestamp) -> Result<Pass, Refused> {
        if self.phase == BreakerPhase::Open {
            // Waiting longer than the timeout is nobody's wish: the clock stepped back, or the timeout was shortened.
            if now < self.retry_at && self.retry_at.since(now) <= settings.recovery_timeout {
                return Err(Refused { retry_at: self.retry_at });
            }
            self.change(BreakerPhase::HalfOpen, now);
        }
        if self.phase == BreakerPhase::Closed {
            return Ok(Pass { epoch: self.epoch, probe: false });
        }
        let expiry = self.since.after(settings.recovery_timeout.max(PROBE_EXPIRY));
        if self.probes >= settings.half_open_max_requests && now >= expiry {
            // The same epoch goes on: slow probes that do end still count.
            self.probes = 0;
            self.since = now;
        }
        if self.probes >= settings.half_open_max_requests {
            return Err(Refused { retry_at: now.after(PROBE_WAIT) });
        }
        self.probes += 1;
        Ok(Pass { epoch: self.epoch, probe: true })
    }

    /// Takes back the pass of a request that ended. Returns whether the breaker opened by this.
    pub fn leave(&mut self, pass: Pass, verdict: Verdict, settings: &BreakerSettings, now: Timestamp) -> bool {
        let current = pass.epoch == self.epoch;
        if current && pass.probe {
            self.probes = self.probes.saturating_sub(1);
        }
        match (self.phase, verdict) {
            // What began before the breaker opened says nothing about the backend of now.
            _ if !current => false,
            (_, Verdict::Unknown) | (BreakerPhase::Open, _) => false,
            (BreakerPhase::Closed, Verdict::Well) => {
                self.consecutive_failures = 0;
                false
            }
            (BreakerPhase::Closed, Verdict::Ill) => self.fail(settings, now),
            (BreakerPhase::HalfOpen, Verdict::Well) => {
                self.probe_successes += 1;
                if self.probe_successes >= settings.half_open_max_requests {
                    self.change(BreakerPhase::Closed, now);
                }
                false
            }
            (BreakerPhase::HalfOpen, Verdict::Ill) => self.open(settings, now),
        }
    }

    /// The pass of an attempt that was not asked about: a retry that Envoy sent here by itself.
    pub const fn unasked(&self) -> Pass {
        Pass { epoch: self.epoch, probe: false }
    }

    /// The share of its usual traffic that it may have at `now`: less than 1 for a while after it closed.
    pub fn ramp(&self, _: &BreakerSettings, _: Timestamp) -> f64 {
        1.0
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u8(self.phase.code()).u32(self.epoch).u32(self.consecutive_failures);
        out.u32(self.probes).u32(self.probe_successes).time(self.since).time(self.retry_at);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            phase: BreakerPhase::from_code(from.u8()?)?,
            epoch: from.u32()?,
            consecutive_failures: from.u32()?,
            probes: from.u32()?,
            probe_successes: from.u32()?,
            since: from.time()?,
            retry_at: from.time()?,
        })
    }

    fn fail(&mut self, settings: &BreakerSettings, now: Timestamp) -> bool {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.consecutive_failures >= settings.failure_threshold && self.open(settings, now)
    }

    fn open(&mut self, settings: &BreakerSettings, now: Timestamp) -> bool {
        self.change(BreakerPhase::Open, now);
        self.retry_at = now.after(settings.recovery_timeout);
        true
    }

    fn change(&mut self, phase: BreakerPhase, now: Timestamp) {
        *self = Self { phase, epoch: self.epoch.wrapping_add(1), since: now, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::PerMille;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failure_threshold: 3,
        failure_rate_threshold: PerMille::new(500),
        window: 100,
        min_requests: 10,
        slow_response: Duration::from_secs(5),
        slow_rate_threshold: PerMille::new(800),
        recovery_timeout: Duration::from_secs(10),
        half_open_max_requests: 2,
        adaptive: false,
        ramp: Duration::ZERO,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    fn one(breaker: &mut Breaker, verdict: Verdict, now: Timestamp) -> bool {
        let pass = breaker.enter(&SETTINGS, now).expect("let in");
        breaker.leave(pass, verdict, &SETTINGS, now)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        let openings = (0..3).filter(|_| one(&mut breaker, Verdict::Ill, at(0))).count();
        assert_eq!((openings, breaker.phase), (1, BreakerPhase::Open));
        breaker
    }

    #[test]
    fn it_opens_after_that_many_failures_in_a_row() {
        let mut breaker = Breaker::default();
        for verdict in [Verdict::Ill, Verdict::Ill, Verdict::Well, Verdict::Ill, Verdict::Unknown, Verdict::Ill] {
            assert!(!one(&mut breaker, verdict, at(0)));
        }
        assert!(one(&mut breaker, Verdict::Ill, at(0)));
        assert_eq!(breaker.enter(&SETTINGS, at(9)), Err(Refused { retry_at: at(10) }));
    }

    #[test]
    fn half_open_lets_only_so_many_probes_through_and_their_success_closes_it() {
        let mut breaker = opened();
        let first = breaker.enter(&SETTINGS, at(10)).expect("a probe");
        let second = breaker.enter(&SETTINGS, at(10)).expect("another");
        assert!(first.probe && second.probe);
        assert!(breaker.enter(&SETTINGS, at(10)).is_err());
        breaker.leave(first, Verdict::Well, &SETTINGS, at(11));
        assert_eq!(breaker.phase, BreakerPhase::HalfOpen);
        breaker.leave(second, Verdict::Well, &SETTINGS, at(11));
        assert_eq!(breaker.phase, BreakerPhase::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_for_the_whole_time() {
        let mut breaker = opened();
        assert!(one(&mut breaker, Verdict::Ill, at(12)));
        assert!(breaker.enter(&SETTINGS, at(21)).is_err());
        assert!(breaker.enter(&SETTINGS, at(22)).is_ok());
    }

    #[test]
    fn a_probe_whose_client_left_gives_its_place_to_another() {
        let mut breaker = opened();
        for _ in 0..10 {
            one(&mut breaker, Verdict::Unknown, at(10));
        }
        assert_eq!((breaker.phase, breaker.probes), (BreakerPhase::HalfOpen, 0));
    }

    #[test]
    fn requests_from_before_it_opened_change_nothing_when_they_end() {
        let mut breaker = Breaker::default();
        let old = breaker.enter(&SETTINGS, at(0)).expect("let in");
        let mut breaker = Breaker { consecutive_failures: 2, ..breaker };
        one(&mut breaker, Verdict::Ill, at(1));
        let open = breaker;
        assert!(!breaker.leave(old, Verdict::Well, &SETTINGS, at(2)));
        assert!(!breaker.leave(old, Verdict::Ill, &SETTINGS, at(2)));
        assert_eq!(breaker, open);
    }

    #[test]
    fn probes_that_were_lost_do_not_block_it_for_ever() {
        let mut breaker = opened();
        let _lost = (breaker.enter(&SETTINGS, at(10)), breaker.enter(&SETTINGS, at(10)));
        assert_eq!(breaker.enter(&SETTINGS, at(30)), Err(Refused { retry_at: at(31) }));
        assert!(breaker.enter(&SETTINGS, at(70)).expect("a new probe").probe);
    }

    #[test]
    fn answers_that_take_longer_than_probes_are_waited_for_still_close_it() {
        let mut breaker = opened();
        let mut under_way = std::collections::VecDeque::new();
        for second in 10..400 {
            under_way.extend(breaker.enter(&SETTINGS, at(second)).ok().map(|pass| (second, pass)));
            while under_way.front().is_some_and(|(since, _)| second >= since + 90) {
                let (_, pass) = under_way.pop_front().expect("one");
                breaker.leave(pass, Verdict::Well, &SETTINGS, at(second));
            }
        }
        assert_eq!(breaker.phase, BreakerPhase::Closed);
    }

    #[test]
    fn neither_a_clock_that_steps_back_nor_a_shorter_timeout_keeps_it_open() {
        let mut breaker = Breaker { phase: BreakerPhase::Open, retry_at: at(3_600), ..Breaker::default() };
        assert!(breaker.enter(&SETTINGS, at(100)).expect("a probe").probe);
    }

    proptest! {
        #[test]
        fn from_any_history_there_is_a_way_back_to_closed(
            events in prop::collection::vec((0..3_u8, 0..4_usize, 0..30_u64, any::<bool>()), 0..200)
        ) {
            let (mut breaker, mut passes) = (Breaker::default(), Vec::new());
            let mut seconds = 100;
            for (event, which, step, back) in events {
                seconds = if back { seconds - step.min(50).min(seconds) } else { seconds + step };
                let now = at(seconds);
                match event {
                    0 => passes.extend(breaker.enter(&SETTINGS, now)),
                    1 => { breaker.leave(breaker.unasked(), Verdict::Ill, &SETTINGS, now); }
                    _ if which < passes.len() => {
                        let verdict = [Verdict::Well, Verdict::Ill, Verdict::Unknown][(step % 3) as usize];
                        breaker.leave(passes.swap_remove(which), verdict, &SETTINGS, now);
                    }
                    _ => {}
                }
                prop_assert!(breaker.probes <= SETTINGS.half_open_max_requests);
            }
            // Whatever is still under way is never heard of again; after long enough, successes must close it.
            let later = at(100_000);
            for _ in 0..SETTINGS.half_open_max_requests {
                let pass = breaker.enter(&SETTINGS, later);
                prop_assert!(pass.is_ok(), "{breaker:?}");
                breaker.leave(pass.unwrap(), Verdict::Well, &SETTINGS, later);
            }
            prop_assert_eq!(breaker.phase, BreakerPhase::Closed);
        }
    }
}
