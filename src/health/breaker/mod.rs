//! The circuit breaker of one backend: a value, changed only by events, each with its time.
//!
//! ```text
//!            failures in a row, or too many of the last answers failed or were slow
//!   closed ─────────────────────────────────────────────────────────────────────────► open
//!     ▲                                                        ▲    │ recovery_timeout, doubled each time
//!     │ half_open_max_requests answers, not too many of        │    ▼
//!     └─ them slow; then traffic grows (ramp) ───────────── half-open      (one fails: open again)
//! ```
//!
//! It lives in the backend's shared record, so there is one state for all workers. A request is let in by
//! [`Breaker::enter`], which hands it a [`Pass`]; whatever becomes of the request, [`Breaker::leave`] takes that pass
//! back. A pass from before the last change of state is recognised by its epoch and changes nothing that came later.
//!
//! It has windows of its own, which begin anew with every change of state: what a backend did before it was cut off
//! must not open the breaker again once it has recovered.

mod phase;
mod ramp;
mod recovery;
mod strain;
mod suspects;
#[cfg(test)]
mod tests;
mod verdict;

use std::num::NonZeroU32;
use std::time::Duration;

pub use phase::{BreakerPhase, Transition, TripReason};
pub use suspects::Source;
pub use verdict::{Verdict, weight};

use super::Known;
use crate::domain::{BreakerSettings, Decoder, Encoder, Failure, PerMille, Timestamp, Tokens};
use crate::learning::Window;
use ramp::Ramp;
use strain::Strain;
use suspects::{Allowance, Counted, Suspects};

/// Probes that have not ended after this long, or after the backend's own recovery timeout, whichever is longer, make
/// room for others: their worker may have died. No state is without a way out.
const PROBE_EXPIRY: Duration = Duration::from_secs(60);

/// When to ask again while all probes are under way, or while a request is too large for one: nobody knows when that
/// changes.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Answers of which the share of slow ones is taken.
const SLOW_WINDOW: u8 = 50;

/// What a request that was let in holds until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    epoch: u32,
    /// How often the ramp had been cut.
    cuts: u32,
    /// Whether it is one of the probes of a half-open breaker.
    pub probe: bool,
    /// Whether its answer has [begun](Breaker::begin) well.
    begun: bool,
    /// Whose probe it is, if that is known.
    client: Option<NonZeroU32>,
}

/// Not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it may be worth asking again.
    pub retry_at: Timestamp,
}

/// The circuit breaker of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    /// Where it stands.
    pub phase: BreakerPhase,
    /// Why.
    pub reason: TripReason,
    /// Since when.
    pub since: Timestamp,
    /// Changes of state so far: tells passes of now from passes of before.
    pub epoch: u32,
    /// While open, and half-open: when probes may come.
    pub retry_at: Timestamp,
    /// How often it opened without having been closed for long in between.
    pub openings: u8,
    /// Failures in a row while closed, each with its [`weight`].
    pub consecutive_failures: u32,
    /// Probes under way while half-open.
    pub probes: u32,
    /// Probes that were answered while half-open.
    pub probe_successes: u32,
    /// When the last probe was let in.
    probed_at: Timestamp,
    /// Which of the answers since the last change of state failed.
    failures: Window,
    /// Which of them were slow; those that failed are not among them.
    slow: Window,
    strain: Strain,
    ramp: Ramp,
    suspects: Suspects,
}

impl Breaker {
    /// Whether [`Breaker::enter`] would let a request in at `now`, and whether that would be a probe. How many tokens
    /// it takes is asked only where it matters.
    pub fn would_enter(
        &self,
        settings: &BreakerSettings,
        source: Option<Source>,
        tokens: impl FnOnce() -> Tokens,
        now: Timestamp,
    ) -> Result<bool, Refused> {
        if self.phase == BreakerPhase::Closed {
            return Ok(false);
        }
        let mut rehearsal = *self;
        rehearsal.enter_as(source, settings, tokens(), now).map(|pass| pass.probe)
    }

    /// Lets a request of so many tokens in, or says until when not.
    pub fn enter(&mut self, settings: &BreakerSettings, tokens: Tokens, now: Timestamp) -> Result<Pass, Refused> {
        self.enter_as(None, settings, tokens, now)
    }

    /// The same of a request of `source`, if that is known: nobody takes all the probes.
    pub fn enter_as(
        &mut self,
        source: Option<Source>,
        settings: &BreakerSettings,
        tokens: Tokens,
        now: Timestamp,
    ) -> Result<Pass, Refused> {
        if self.phase == BreakerPhase::Closed {
            return Ok(self.unasked());
        }
        if self.phase == BreakerPhase::Open && now < self.retry_at {
            // Waiting for much longer than the timeout is nobody's wish: the clock stepped back, or the timeout was
            // shortened. (The clocks of workers may differ by a little.)
            if self.retry_at.since(now) <= 2 * self.wait(settings) {
                return Err(Refused { retry_at: self.retry_at });
            }
        }
        if tokens > self.largest_probe(settings, now) {
            return Err(Refused { retry_at: now.after(PROBE_WAIT) });
        }
        let client = source.map(Source::client);
        let taken = client.and_then(|client| self.suspects.probes_until(client, settings.recovery_timeout, now));
        if let Some(until) = taken {
            // It may be answered well at any time.
            return Err(Refused { retry_at: until.min(now.after(PROBE_WAIT)) });
        }
        if self.phase == BreakerPhase::Open {
            self.change(BreakerPhase::HalfOpen, TripReason::RecoveryTimeout, now);
        }
        if self.probes >= settings.half_open_max_requests {
            let expiry = settings.recovery_timeout.max(PROBE_EXPIRY);
            if now.since(self.probed_at).max(self.probed_at.since(now)) < expiry {
                return Err(Refused { retry_at: now.after(PROBE_WAIT) });
            }
            // The same epoch goes on: slow probes that do end still count.
            self.probes = 0;
        }
        self.probes += 1;
        self.probed_at = now;
        if let Some(client) = client {
            self.suspects.probe(client, now);
        }
        Ok(Pass { probe: true, client: client.and_then(NonZeroU32::new), ..self.unasked() })
    }

    /// The first content of an answer is there. To a half-open breaker that is a good answer, at once: it may go on for
    /// minutes, and meanwhile nobody else would be let in. The request keeps its place; it goes on with the pass that is
    /// returned, and if it fails later that counts as a failure. (A closed one waits for the end: of a backend whose
    /// streams all break off after their first words, each first word would make the failures before it undone.)
    pub fn begin(&mut self, pass: Pass, slow: bool, settings: &BreakerSettings, now: Timestamp) -> Pass {
        if !self.awaits(pass) {
            return pass;
        }
        self.probed(pass, slow, settings, now);
        Pass { begun: true, probe: self.phase == BreakerPhase::HalfOpen, client: pass.client, ..self.unasked() }
    }

    /// Whether [`begin`](Self::begin) would change anything.
    pub const fn awaits(&self, pass: Pass) -> bool {
        pass.epoch == self.epoch && pass.probe && !pass.begun && matches!(self.phase, BreakerPhase::HalfOpen)
    }

    /// Takes back the probe of a request that does not get on: another one may be let in. It ends without a pass for one.
    pub const fn give_back(&mut self, pass: Pass) {
        if self.awaits(pass) {
            self.probes = self.probes.saturating_sub(1);
        }
    }

    /// Takes back the pass of a request of `source` that ended. Says whether the end counts: a failure of one source
    /// alone may be discounted.
    pub fn leave(
        &mut self,
        pass: Pass,
        verdict: Verdict,
        source: Option<Source>,
        settings: &BreakerSettings,
        now: Timestamp,
    ) -> bool {
        if let (Verdict::Well | Verdict::Slow, Some(source)) = (verdict, source) {
            self.suspects.testify(source, verdict == Verdict::Slow, now);
        }
        let Some(pass) = self.of_now(pass, verdict) else {
            // What began before the last change of state says nothing about the backend of now.
            return true;
        };
        if pass.probe {
            self.probes = self.probes.saturating_sub(1);
        }
        self.ramp.follow(now);
        match (self.phase, verdict) {
            (_, Verdict::Unknown | Verdict::Misfit(_)) | (BreakerPhase::Open, _) => {}
            (BreakerPhase::Closed, Verdict::Well) => self.answered(false, source, settings, now),
            (BreakerPhase::Closed, Verdict::Slow) => self.answered(true, source, settings, now),
            (BreakerPhase::Closed, Verdict::Ill(failure)) => return self.failed(pass, failure, source, settings, now),
            // A retry that Envoy sent here, or an attempt in panic: nobody asked whether it may. Many of those could come at
            // once, and only as many as may be let in are to decide.
            (BreakerPhase::HalfOpen, _) if !pass.probe => {}
            (BreakerPhase::HalfOpen, Verdict::Well | Verdict::Slow) if pass.begun => {}
            (BreakerPhase::HalfOpen, Verdict::Well) => self.probed(pass, false, settings, now),
            (BreakerPhase::HalfOpen, Verdict::Slow) => {
                self.probed(pass, true, settings, now);
                if let (BreakerPhase::Open, Some(source)) = (self.phase, source) {
                    self.suspects.failed_probe(source);
                }
            }
            (BreakerPhase::HalfOpen, Verdict::Ill(failure)) => {
                let by_others = |source| self.suspects.is_contradicted_since(source, self.since);
                if failure != Failure::Connect && source.is_some_and(by_others) {
                    return false;
                }
                self.open(TripReason::FailedProbe, settings, now);
                if let Some(source) = source.filter(|_| failure != Failure::Connect) {
                    self.suspects.failed_probe(source);
                }
            }
        }
        true
    }

    /// A pass as it holds now, if it does. A probe that had begun well when others closed the breaker, and then failed,
    /// is one of the requests of the closed one.
    fn of_now(&self, pass: Pass, verdict: Verdict) -> Option<Pass> {
        let has_closed = || self.phase == BreakerPhase::Closed && self.epoch == pass.epoch.wrapping_add(1);
        match pass.epoch == self.epoch {
            true => Some(pass),
            false if pass.begun && verdict.is_ill() && has_closed() => Some(self.unasked()),
            false => None,
        }
    }

    /// Whether it is worth a look whose good answer this is.
    pub fn asks_who(&self, now: Timestamp) -> bool {
        self.suspects.asks_who(now)
    }

    /// Whether the client of `source` is known to have been served well of late.
    pub fn has_served(&self, source: Source, now: Timestamp) -> bool {
        self.suspects.has_served(source, now)
    }

    /// Whether anybody is known to have been served well a moment ago.
    pub fn has_served_anybody(&self, now: Timestamp) -> bool {
        self.suspects.has_served_anybody(now)
    }

    /// The clients that are known to have been served well of late: within the last hour …
    pub fn known(&self, now: Timestamp) -> Known {
        self.suspects.known(now)
    }

    /// … and within the last ten seconds.
    pub fn served_lately(&self, now: Timestamp) -> Known {
        self.suspects.served_lately(now)
    }

    /// Whether it lets in a few only: who asks makes a difference.
    pub fn chooses_probes(&self) -> bool {
        self.phase != BreakerPhase::Closed
    }

    /// Until when `source` sends no probe, because one of its probes failed and other clients are likely to come. Else a
    /// client whose requests crash the backend would keep the breaker open for all the others.
    pub fn withholds_probe(&self, source: Source, settings: &BreakerSettings, now: Timestamp) -> Option<Timestamp> {
        let until = self.retry_at.after(settings.recovery_timeout);
        let withholds = self.chooses_probes() && now < until && until.since(now) <= 3 * self.wait(settings);
        (withholds && self.suspects.has_failed_probe(source) && self.suspects.expects_others(now)).then_some(until)
    }

    /// The pass of an attempt that was not asked about: a retry that Envoy sent here by itself.
    pub const fn unasked(&self) -> Pass {
        Pass { epoch: self.epoch, cuts: self.ramp.cuts, probe: false, begun: false, client: None }
    }

    /// The share of its usual traffic that it may have at `now`: less than 1 for a while after it closed.
    pub fn ramp(&self, settings: &BreakerSettings, now: Timestamp) -> f64 {
        self.ramp.share(settings.ramp, now)
    }

    /// An operator opens it. It recovers as from any other opening: to keep a backend out, drain it.
    pub fn open_by_hand(&mut self, settings: &BreakerSettings, now: Timestamp) {
        self.open(TripReason::ByHand, settings, now);
    }

    /// An operator closes it: at once for all of its traffic, and with nothing remembered against it.
    pub fn close_by_hand(&mut self, now: Timestamp) {
        self.change(BreakerPhase::Closed, TripReason::ByHand, now);
        *self = Self { strain: Strain::default(), openings: 0, ..*self };
    }

    /// The change of state that lies between an earlier value of this breaker and this one. To open an open one, or close
    /// a closed one, begins a new epoch but is none.
    pub fn transition_from(&self, earlier: &Self) -> Option<Transition> {
        let transition = Transition { from: earlier.phase, to: self.phase, reason: self.reason };
        (self.epoch != earlier.epoch && self.phase != earlier.phase).then_some(transition)
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u8(self.phase.code()).u8(self.reason.code()).time(self.since).u32(self.epoch).time(self.retry_at);
        out.u8(self.openings).u32(self.consecutive_failures).u32(self.probes).u32(self.probe_successes);
        out.time(self.probed_at);
        for window in [self.failures, self.slow] {
            let (bits, len) = window.parts();
            out.u128(bits).u8(len);
        }
        self.strain.encode(out);
        self.ramp.encode(out);
        self.suspects.encode(out);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            phase: BreakerPhase::from_code(from.u8()?)?,
            reason: TripReason::from_code(from.u8()?)?,
            since: from.time()?,
            epoch: from.u32()?,
            retry_at: from.time()?,
            openings: from.u8()?,
            consecutive_failures: from.u32()?,
            probes: from.u32()?,
            probe_successes: from.u32()?,
            probed_at: from.time()?,
            failures: Window::from_parts(from.u128()?, from.u8()?),
            slow: Window::from_parts(from.u128()?, from.u8()?),
            strain: Strain::decode(from)?,
            ramp: Ramp::decode(from)?,
            suspects: Suspects::decode(from)?,
        })
    }

    /// An answer to `source` came while closed. A slow one may be discounted, as a failure may.
    fn answered(&mut self, slow: bool, source: Option<Source>, settings: &BreakerSettings, now: Timestamp) {
        self.end_row(settings, now);
        self.strain.relax();
        self.failures.push(false);
        let limit = self.strain(settings).share(settings.slow_rate_threshold, now);
        match source.filter(|_| slow) {
            None => self.suspects.answer(),
            Some(source) => {
                let answers = self.slow.last(SLOW_WINDOW).len().max(settings.min_requests.into());
                if !self.suspects.counts_slow(source, less_than_half(share_of(answers, limit)), now) {
                    return;
                }
                self.suspects.charge(source, Counted { weight: 0, in_share: true });
            }
        }
        self.slow.push(slow);
        if slow && reaches(self.slow.last(SLOW_WINDOW), settings.min_requests.min(SLOW_WINDOW), limit) {
            self.open(TripReason::SlowAnswers, settings, now);
        }
    }

    /// A row of failures is over.
    fn end_row(&mut self, settings: &BreakerSettings, now: Timestamp) {
        if self.consecutive_failures.saturating_mul(4) >= settings.failure_threshold.saturating_mul(3) {
            self.strain.cluster(now);
        }
        self.consecutive_failures = 0;
        self.suspects.end_row();
    }

    /// A request failed while closed. Says whether that counts.
    fn failed(
        &mut self,
        pass: Pass,
        failure: Failure,
        source: Option<Source>,
        settings: &BreakerSettings,
        now: Timestamp,
    ) -> bool {
        let on_ramp = self.ramp.share(settings.ramp, now) < 1.0;
        if on_ramp && pass.cuts != self.ramp.cuts {
            return true;
        }
        let counted = self.counted(failure, source, settings, now);
        if counted.weight == 0 && !counted.in_share {
            return false;
        }
        self.strain.blot();
        self.consecutive_failures = self.consecutive_failures.saturating_add(counted.weight);
        if counted.in_share {
            self.failures.push(true);
        }
        if let Some(source) = source {
            self.suspects.charge(source, counted);
        }
        let (most, limit) = self.thresholds(settings, now);
        let last = self.failures.last(settings.window);
        if self.consecutive_failures >= most {
            self.open(TripReason::ConsecutiveFailures, settings, now);
        } else if reaches(last, settings.min_requests, limit) {
            self.open(TripReason::FailureRate, settings, now);
        } else if on_ramp
            && (self.consecutive_failures.saturating_mul(2) >= most
                || reaches(last, settings.min_requests, half(limit)))
        {
            self.ramp.cut(settings.ramp, now);
            self.failures = Window::default();
        }
        true
    }

    /// How much of a failure counts: all of it, unless it is one of a source that others contradict.
    fn counted(&self, failure: Failure, source: Option<Source>, settings: &BreakerSettings, now: Timestamp) -> Counted {
        let weight = weight(failure);
        let Some(source) = source.filter(|_| failure != Failure::Connect) else {
            return Counted { weight, in_share: true };
        };
        let (most, limit) = self.thresholds(settings, now);
        let answers = self.failures.last(settings.window).len().max(settings.min_requests.into());
        let allowance = Allowance {
            // Of two that open it each of two sources may have caused one: else several could not open it together.
            row: less_than_half(most).max(u32::from(most == 2)),
            share: less_than_half(share_of(answers, limit)),
        };
        self.suspects.judge(source, weight, allowance, now)
    }

    /// A request was answered while half-open.
    fn probed(&mut self, pass: Pass, slow: bool, settings: &BreakerSettings, now: Timestamp) {
        if let Some(client) = pass.client {
            self.suspects.end_probe(client.get());
        }
        self.probe_successes = self.probe_successes.saturating_add(1);
        self.slow.push(slow);
        if self.probe_successes < settings.half_open_max_requests {
            return;
        }
        if reaches(self.slow, 1, self.strain(settings).share(settings.slow_rate_threshold, now)) {
            self.open(TripReason::SlowAnswers, settings, now);
        } else {
            self.change(BreakerPhase::Closed, TripReason::Recovered, now);
            self.ramp = Ramp::begin(now);
        }
    }

    /// The failures in a row, and the share of failures, that open it now: as configured, unless it adapts.
    pub fn thresholds(&self, settings: &BreakerSettings, now: Timestamp) -> (u32, PerMille) {
        // On the ramp they are as configured, too: there, caution is in the share.
        let on_ramp = self.ramp.share(settings.ramp, now) < 1.0;
        let strain = if on_ramp { Strain::default() } else { self.strain(settings) };
        (strain.threshold(settings.failure_threshold, now), strain.share(settings.failure_rate_threshold, now))
    }

    /// What moves the thresholds; none where they are fixed.
    fn strain(&self, settings: &BreakerSettings) -> Strain {
        if settings.adaptive { self.strain } else { Strain::default() }
    }

    fn open(&mut self, reason: TripReason, settings: &BreakerSettings, now: Timestamp) {
        // Closed for this long is well again: what came before is forgotten.
        let lasting = settings.ramp + settings.recovery_timeout;
        if self.phase == BreakerPhase::Closed && now.since(self.since) >= lasting {
            self.openings = 0;
        }
        self.openings = self.openings.saturating_add(1);
        if reason != TripReason::ByHand {
            self.strain.opening(now);
        }
        self.change(BreakerPhase::Open, reason, now);
        self.retry_at = now.after(self.wait(settings));
    }

    fn change(&mut self, phase: BreakerPhase, reason: TripReason, now: Timestamp) {
        let suspects = self.suspects.forgotten();
        *self = Self {
            phase,
            reason,
            since: now,
            epoch: self.epoch.wrapping_add(1),
            retry_at: self.retry_at,
            openings: self.openings,
            strain: self.strain,
            suspects: if phase == BreakerPhase::Closed { suspects.absolved() } else { suspects },
            ..Self::default()
        };
    }
}

const fn half(share: PerMille) -> PerMille {
    PerMille::new(share.get() / 2)
}

/// How many of so many answers are this share of them.
fn share_of(answers: u32, share: PerMille) -> u32 {
    (answers * u32::from(share.get())).div_ceil(1_000)
}

/// Less than half of it, so that two together do not come to it, and one alone cuts no ramp either.
const fn less_than_half(whole: u32) -> u32 {
    whole.saturating_sub(1) / 2
}

/// Whether so large a share of at least so many answers is marked.
fn reaches(window: Window, least: u8, share: PerMille) -> bool {
    let len = window.len();
    len > 0 && len >= u32::from(least) && window.failures() * 1_000 >= u32::from(share.get()) * len
}
