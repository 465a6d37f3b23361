//! The breaker in virtual time.

mod histories;
mod overload;
mod recovery;
mod sources;
mod trips;

use super::*;
use crate::domain::Failure;

const SETTINGS: BreakerSettings = BreakerSettings {
    failure_threshold: 3,
    failure_rate_threshold: PerMille::new(500),
    window: 100,
    min_requests: 10,
    slow_response: Some(Duration::from_secs(5)),
    slow_rate_threshold: PerMille::new(800),
    misconfigured_threshold: 5,
    recovery_timeout: Duration::from_secs(10),
    half_open_max_requests: 2,
    adaptive: false,
    ramp: Duration::ZERO,
};

const ILL: Verdict = Verdict::Ill(Failure::ServerError);
const SMALL_REQUEST: Tokens = Tokens(300);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
}

fn enter(breaker: &mut Breaker, now: Timestamp) -> Result<Pass, Refused> {
    breaker.enter(&SETTINGS, SMALL_REQUEST, now)
}

/// One request, let in and ended at once.
fn one(breaker: &mut Breaker, verdict: Verdict, now: Timestamp) -> BreakerPhase {
    one_by(&SETTINGS, breaker, verdict, now)
}

fn one_by(settings: &BreakerSettings, breaker: &mut Breaker, verdict: Verdict, now: Timestamp) -> BreakerPhase {
    let pass = breaker.enter(settings, SMALL_REQUEST, now).expect("let in");
    breaker.leave(pass, verdict, None, settings, now);
    breaker.phase
}

/// Opened at second 0 by failures in a row.
fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    let phases = [(); 3].map(|()| one(&mut breaker, ILL, at(0)));
    assert_eq!(phases, [BreakerPhase::Closed, BreakerPhase::Closed, BreakerPhase::Open]);
    breaker
}
