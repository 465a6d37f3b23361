//! The figures that alerts go by, read off the records.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::alert::{AlertKind, Cause};
use crate::domain::{Backend, Fnv, PerMille, Thresholds, Timestamp};
use crate::health::BreakerPhase;
use crate::state::Record;

/// Answers there must be before their share of failures or their time is worth an alert.
const ENOUGH: u32 = 20;

/// What the answers of a backend were that nobody has asked for so long says nothing of it any more.
const IDLE: Duration = Duration::from_secs(600);

/// A backend whose checks and hosts score less is unhealthy.
const UNWELL: u16 = 500;

/// What a figure says for an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// There is to be one.
    Bad,
    /// If there is one it stays.
    Between,
    /// There is to be none.
    Good,
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<'a> {
    /// For which alert.
    pub kind: AlertKind,
    /// Whose it is; none where it is everybody's.
    pub backend: Option<&'a str>,
    /// Of a tenant's budget the tenant, of drift the model; else empty.
    pub name: &'a str,
    /// What tells it from others of that name: of a model its tag, of a budget how much it is, since there is another
    /// alert for another budget.
    pub variant: u64,
    /// When the window of time began that it is about; the epoch where it is about none.
    pub window: Timestamp,
    /// What it says.
    pub sign: Sign,
    /// Why, where it is bad.
    pub cause: Cause,
    /// The figure, in thousandths.
    pub value: u64,
    /// What it is compared with, in thousandths.
    pub threshold: u64,
}

impl<'a> Reading<'a> {
    /// A figure of a backend, or of everybody, beside what it is compared with, both in thousandths.
    pub const fn new(kind: AlertKind, backend: Option<&'a str>, sign: Sign, value: u64, threshold: u64) -> Self {
        Self {
            kind,
            backend,
            name: "",
            variant: 0,
            window: Timestamp::from_micros(0),
            sign,
            cause: Cause::Plain,
            value,
            threshold,
        }
    }

    /// What it is about, as a number: the same in every VM. Of a budget there is an alert for each threshold.
    pub(super) fn topic(&self) -> u64 {
        let mut fnv = Fnv::default();
        let threshold = if self.window > Timestamp::default() { self.threshold } else { 0 };
        (self.kind as u8, self.backend, self.name, self.variant, self.window, threshold).hash(&mut fnv);
        fnv.finish()
    }
}

/// What is to be seen of Envoy's admin interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Nobody has looked yet.
    Unknown,
    /// The last look showed the hosts.
    Clear,
    /// No look has shown them for so long.
    Blind(Duration),
}

/// What one backend's record says.
pub fn of_backend<'a>(
    backend: &'a Backend,
    record: &Record,
    thresholds: &Thresholds,
    now: Timestamp,
) -> [Reading<'a>; 5] {
    [
        breaker(backend, record),
        health(backend, record, now),
        response_time(backend, record, thresholds, now),
        error_rate(backend, record, thresholds, now),
        setup(backend, record),
    ]
}

fn breaker<'a>(backend: &'a Backend, record: &Record) -> Reading<'a> {
    let phase = backend.breaker.map_or(BreakerPhase::Closed, |_| record.breaker.phase);
    let sign = match phase {
        BreakerPhase::Open => Sign::Bad,
        BreakerPhase::HalfOpen => Sign::Between,
        BreakerPhase::Closed => Sign::Good,
    };
    // As `loadbalancer_circuit_breaker_state` has it.
    let [value, threshold] = [phase, BreakerPhase::Open].map(|phase| 1_000 * u64::from(phase.code()));
    let cause = Cause::Trip(record.breaker.reason);
    Reading { cause, ..Reading::new(AlertKind::BreakerOpened, Some(&backend.id), sign, value, threshold) }
}

/// It need not be known whose fault it is: with one backend there is nobody to move to, and with one client nobody else
/// to ask.
fn setup<'a>(backend: &'a Backend, record: &Record) -> Reading<'a> {
    let threshold = backend.breaker.map_or(0, |settings| settings.misconfigured_threshold);
    let setup = &record.setup;
    let cause = setup.why().map_or(Cause::Plain, |why| Cause::Unusable(why, setup.status));
    let sign = if setup.is_suspect(threshold) { Sign::Bad } else { Sign::Good };
    let [value, threshold] = [setup.row, threshold].map(|row| 1_000 * u64::from(row));
    Reading { cause, ..Reading::new(AlertKind::Misconfigured, Some(&backend.id), sign, value, threshold) }
}

/// Of the router's checks and Envoy's alone: how its answers end is what the breaker and the error rate are about.
fn health<'a>(backend: &'a Backend, record: &Record, now: Timestamp) -> Reading<'a> {
    let hosts = record.hosts.available(now);
    let probes = backend.probe.as_ref().map(|_| &record.probes);
    let checks = probes.map_or(1.0, |probes| probes.score(now));
    let score = PerMille::from_ratio(checks * hosts).get();
    let (sign, cause) = if hosts <= 0.0 {
        (Sign::Bad, Cause::Hosts)
    } else if probes.is_some_and(|probes| probes.is_unhealthy(now)) {
        (Sign::Bad, Cause::Checks)
    } else if score >= UNWELL {
        (Sign::Good, Cause::Plain)
    } else if probes.is_some_and(|probes| probes.failures > 0) {
        // Failures are counted before they are believed.
        (Sign::Between, Cause::Plain)
    } else {
        (Sign::Bad, Cause::Plain)
    };
    let (value, threshold) = (score.into(), UNWELL.into());
    Reading { cause, ..Reading::new(AlertKind::BackendUnhealthy, Some(&backend.id), sign, value, threshold) }
}

fn response_time<'a>(backend: &'a Backend, record: &Record, thresholds: &Thresholds, now: Timestamp) -> Reading<'a> {
    let value = record.response_time.read(backend.expected_response_time, now).as_millis() as u64;
    let most = thresholds.response_time.as_millis() as u64;
    let sign = above(value, most, says_anything(record, now) && record.response_time.is_measured());
    Reading::new(AlertKind::HighResponseTime, Some(&backend.id), sign, 1_000 * value, 1_000 * most)
}

fn error_rate<'a>(backend: &'a Backend, record: &Record, thresholds: &Thresholds, now: Timestamp) -> Reading<'a> {
    let value = u64::from(1_000 * record.window.failures() / record.window.len().max(1));
    let most = thresholds.error_rate.get().into();
    let sign = above(value, most, says_anything(record, now));
    Reading::new(AlertKind::HighErrorRate, Some(&backend.id), sign, value, most)
}

/// Whether a backend's answers are many and recent enough to mean anything.
fn says_anything(record: &Record, now: Timestamp) -> bool {
    record.window.len() >= ENOUGH && record.last_answer <= now && now.since(record.last_answer) < IDLE
}

/// An alert that was raised above `most` stays until a fifth below it: a figure that sways there is one alert.
const fn above(value: u64, most: u64, counts: bool) -> Sign {
    if !counts || 5 * value <= 4 * most {
        Sign::Good
    } else if value > most {
        Sign::Bad
    } else {
        Sign::Between
    }
}

/// Whether a backend may be asked without reserve: a half-open breaker lets only a few try it. One that is merely busy
/// may be.
pub fn is_available(backend: &Backend, record: &Record, now: Timestamp) -> bool {
    !backend.draining
        && (backend.breaker.is_none() || record.breaker.phase == BreakerPhase::Closed)
        && !record.is_misconfigured(backend)
        && (backend.probe.is_none() || !record.probes.is_unhealthy(now))
        && record.hosts.available(now) > 0.0
        && record.quota.refused_until(now).is_none()
}

/// What the share says of the backends that are available.
pub const fn availability(available: u64, all: u64, thresholds: &Thresholds) -> Reading<'static> {
    let least = thresholds.min_available.get() as u64;
    let sign = if 1_000 * available < least * all { Sign::Bad } else { Sign::Good };
    let share = match (1_000 * available).checked_div(all) {
        Some(share) => share,
        None => 1_000,
    };
    Reading::new(AlertKind::LowAvailability, None, sign, share, least)
}

/// What Envoy's admin interface says of itself: a picture holds for so long.
pub const fn admin(sight: Sight, holds: Duration) -> Reading<'static> {
    let (sign, blind) = match sight {
        Sight::Unknown => (Sign::Between, Duration::ZERO),
        Sight::Clear => (Sign::Good, Duration::ZERO),
        Sight::Blind(blind) if blind.as_micros() >= holds.as_micros() => (Sign::Bad, blind),
        Sight::Blind(blind) => (Sign::Between, blind),
    };
    let [value, threshold] = [1_000 * blind.as_millis() as u64, 1_000 * holds.as_millis() as u64];
    Reading::new(AlertKind::AdminUnreadable, None, sign, value, threshold)
}
