//! A backend that came back with a fifth of its strength, in a fleet whose workers hear of each other every 50 ms.

use std::collections::VecDeque;

use super::*;
use crate::domain::{Rng, SplitMix64};

/// A request a millisecond over three equal backends, of which the first is looked at.
const LATENCY_MS: u64 = 40;
const TICK_MS: u64 = 50;

/// What it does while more are under way at once than it can take, after five seconds in which it failed them all.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Overload {
    /// Refuses those that are too many.
    Refuses,
    /// Fails all that are under way.
    Collapses,
    /// There is none, but so many of a hundred fail at any load.
    Never(usize),
}

#[derive(Debug)]
struct Run {
    openings: usize,
    /// Requests sent to it, and those of them that failed, in the last half of the time.
    sent: u32,
    failed: u32,
}

struct Request {
    end: u64,
    worker: usize,
    pass: Pass,
    fails: bool,
}

fn run(settings: &BreakerSettings, overload: Overload, capacity: usize, seconds: u64, seed: u64) -> Run {
    let mut rng = SplitMix64::new(seed);
    let mut shared = Breaker::default();
    let mut views = [shared; 4];
    let mut under_way: VecDeque<Request> = VecDeque::new();
    let mut run = Run { openings: 0, sent: 0, failed: 0 };
    for ms in 0..seconds * 1_000 {
        let now = Timestamp::from_micros(50_000_000 + ms * 1_000);
        while under_way.front().is_some_and(|request| request.end <= ms) {
            let Request { worker, pass, fails, .. } = under_way.pop_front().expect("one");
            let before = shared.phase;
            shared.leave(pass, if fails { ILL } else { Verdict::Well }, None, settings, now);
            views[worker] = shared;
            run.openings += usize::from(shared.phase == BreakerPhase::Open && before != BreakerPhase::Open);
            if ms >= seconds * 500 {
                run.sent += 1;
                run.failed += u32::from(fails);
            }
        }
        for (worker, view) in views.iter_mut().enumerate() {
            if ms % TICK_MS == 12 * worker as u64 {
                *view = shared;
            }
        }
        let worker = rng.below(4);
        let view = &mut views[worker];
        let pass = if view.phase == BreakerPhase::Closed {
            let part = view.ramp(settings, now);
            (rng.ratio() < part / (part + 2.0)).then(|| view.unasked())
        } else if view.would_enter(settings, None, || SMALL_REQUEST, now).is_ok() {
            let entered = shared.enter(settings, SMALL_REQUEST, now).ok();
            *view = shared;
            entered
        } else {
            None
        };
        let Some(pass) = pass else { continue };
        let is_ill = ms < 5_000;
        let too_many = under_way.len() >= capacity;
        let fails = match overload {
            Overload::Refuses => is_ill || too_many,
            Overload::Collapses => {
                for request in &mut under_way {
                    request.fails |= too_many;
                }
                is_ill || too_many
            }
            Overload::Never(percent) => is_ill || rng.below(100) < percent,
        };
        under_way.push_back(Request { end: ms + LATENCY_MS, worker, pass, fails });
    }
    run
}

fn usual() -> BreakerSettings {
    BreakerSettings {
        failure_threshold: 5,
        recovery_timeout: Duration::from_secs(5),
        half_open_max_requests: 3,
        adaptive: true,
        ramp: Duration::from_secs(10),
        ..SETTINGS
    }
}

#[test]
fn it_does_not_collapse_again_and_again() {
    // Its third of a thousand requests a second, 40 ms each, are 13 under way at once; it can take 3, less than a
    // quarter of that.
    for overload in [Overload::Refuses, Overload::Collapses] {
        for seed in 0..5 {
            let gentle = run(&usual(), overload, 3, 600, seed);
            let jump = run(&BreakerSettings { ramp: Duration::ZERO, ..usual() }, overload, 3, 600, seed);
            assert!(gentle.openings <= 2, "{overload:?}: {gentle:?}");
            assert!(gentle.failed * 4 < gentle.sent, "{overload:?}: {gentle:?}");
            // It is of use, and more so than if it were thrown in at the deep end.
            assert!(gentle.sent - gentle.failed > 2 * (jump.sent - jump.failed), "{overload:?}: {gentle:?} {jump:?}");
        }
    }
}

#[test]
fn one_that_is_as_well_as_it_ever_was_has_all_of_its_traffic_after_the_ramp() {
    for (percent, seconds) in [(0, 60), (2, 120), (5, 240)] {
        let well = run(&usual(), Overload::Never(percent), 0, seconds, 1);
        let third = seconds as u32 * 500 / 3;
        assert_eq!(well.openings, 1, "{well:?}");
        assert!(well.sent > third * 9 / 10, "{percent} % fail: {well:?} of {third}");
    }
}

#[test]
fn one_that_stays_ill_is_found_out_on_the_ramp_too() {
    let mut breaker = Breaker::default();
    let settings = usual();
    breaker.open_by_hand(&settings, at(0));
    let due = breaker.retry_at;
    while one_by(&settings, &mut breaker, Verdict::Well, due) != BreakerPhase::Closed {}
    let failures = (1..1_000).find(|_| one_by(&settings, &mut breaker, ILL, due) != BreakerPhase::Closed);
    assert_eq!(failures, Some(5));
}
