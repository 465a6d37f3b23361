//! How it closes again.

use super::*;

#[test]
fn half_open_lets_only_so_many_probes_through_and_their_success_closes_it() {
    let mut breaker = opened();
    let first = enter(&mut breaker, at(11)).expect("a probe");
    assert_eq!((breaker.phase, breaker.reason), (BreakerPhase::HalfOpen, TripReason::RecoveryTimeout));
    let second = enter(&mut breaker, at(11)).expect("another");
    assert!(first.probe && second.probe);
    assert!(enter(&mut breaker, at(11)).is_err());
    breaker.leave(first, Verdict::Well, None, &SETTINGS, at(12));
    assert_eq!(breaker.phase, BreakerPhase::HalfOpen);
    breaker.leave(second, Verdict::Well, None, &SETTINGS, at(12));
    assert_eq!((breaker.phase, breaker.reason, breaker.since), (BreakerPhase::Closed, TripReason::Recovered, at(12)));
}

#[test]
fn a_probe_that_fails_opens_it_again_for_twice_as_long() {
    let mut breaker = opened();
    let mut now = at(0);
    for timeouts in [1, 2, 4, 8, 10, 10, 10] {
        let wait = SETTINGS.recovery_timeout * timeouts;
        let waited = breaker.retry_at.since(now);
        assert!(waited >= wait && waited <= wait * 11 / 10, "{waited:?} rather than {wait:?}");
        assert_eq!(enter(&mut breaker, now.after(wait * 999 / 1_000)).map_err(|r| r.retry_at), Err(breaker.retry_at));
        now = breaker.retry_at;
        assert_eq!(one(&mut breaker, ILL, now), BreakerPhase::Open);
        assert_eq!(breaker.reason, TripReason::FailedProbe);
    }
}

#[test]
fn backends_that_went_together_come_back_one_by_one() {
    let mut waits: Vec<_> = (0..20_u64)
        .map(|n| {
            let mut breaker = Breaker::default();
            breaker.open_by_hand(&SETTINGS, Timestamp::from_micros(5_000_000 + n));
            breaker.retry_at.since(breaker.since)
        })
        .collect();
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
}

#[test]
fn after_a_closure_that_lasted_the_wait_is_short_again() {
    for (closed_for, timeouts) in [(1, 4), (30, 1)] {
        let mut breaker = opened();
        let mut now = breaker.retry_at;
        assert_eq!(one(&mut breaker, ILL, now), BreakerPhase::Open);
        now = breaker.retry_at;
        one(&mut breaker, Verdict::Well, now);
        assert_eq!(one(&mut breaker, Verdict::Well, now), BreakerPhase::Closed);
        now = now.after(Duration::from_secs(closed_for));
        while one(&mut breaker, ILL, now) == BreakerPhase::Closed {}
        assert!(breaker.retry_at.since(now) >= SETTINGS.recovery_timeout * timeouts);
        assert!(breaker.retry_at.since(now) <= SETTINGS.recovery_timeout * timeouts * 11 / 10);
    }
}

#[test]
fn small_requests_go_first_and_large_ones_when_they_succeed_or_when_there_are_no_small_ones() {
    let large = Tokens(3_500);
    let mut breaker = opened();
    let due = breaker.retry_at;
    assert!(breaker.enter(&SETTINGS, large, due).is_err());
    assert_eq!(breaker.phase, BreakerPhase::Open, "a request that is refused changes nothing");
    assert_eq!(one(&mut breaker, Verdict::Well, due), BreakerPhase::HalfOpen);
    assert!(breaker.enter(&SETTINGS, large, due).expect("after a success").probe);

    let mut breaker = opened();
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    assert!(breaker.enter(&SETTINGS, large, due.after(second)).is_err());
    assert!(breaker.enter(&SETTINGS, large, due.after(2 * second)).expect("nobody else came").probe);
    assert!(opened().enter(&SETTINGS, Tokens(u64::MAX), due.after(5 * minute)).is_ok(), "whatever its size");
}

#[test]
fn half_open_closes_on_probes_that_are_quick_enough_and_not_on_slow_ones() {
    let mut breaker = opened();
    let due = breaker.retry_at;
    one(&mut breaker, Verdict::Slow, due);
    assert_eq!(one(&mut breaker, Verdict::Well, due), BreakerPhase::Closed, "half of them are fewer than 80 %");
    let mut breaker = opened();
    one(&mut breaker, Verdict::Slow, due);
    assert_eq!(one(&mut breaker, Verdict::Slow, due), BreakerPhase::Open);
    assert_eq!(breaker.reason, TripReason::SlowAnswers);
}

#[test]
fn after_closing_its_share_grows_and_a_breaker_that_never_opened_has_all_of_it() {
    let settings = BreakerSettings { ramp: Duration::from_secs(9), ..SETTINGS };
    assert!((Breaker::default().ramp(&settings, at(0)) - 1.0).abs() < 1e-9);
    let mut breaker = opened();
    let due = breaker.retry_at;
    one_by(&settings, &mut breaker, Verdict::Well, due);
    assert_eq!(one_by(&settings, &mut breaker, Verdict::Well, due), BreakerPhase::Closed);
    let share = |seconds| breaker.ramp(&settings, due.after(Duration::from_secs(seconds)));
    let shares = [0, 2, 4, 8, 9].map(share);
    assert!(shares.is_sorted() && shares[0] < 0.11 && shares[4] > 0.999, "{shares:?}");
    assert!((breaker.ramp(&SETTINGS, due) - 1.0).abs() < 1e-9, "without a ramp at once");
}

#[test]
fn while_it_grows_failures_halve_the_share_and_those_under_way_by_then_change_nothing() {
    let settings = BreakerSettings { ramp: Duration::from_secs(10), failure_threshold: 5, ..SETTINGS };
    let mut breaker = opened();
    let due = breaker.retry_at;
    while one_by(&settings, &mut breaker, Verdict::Well, due) != BreakerPhase::Closed {}
    let later = due.after(Duration::from_secs(5));
    let passes: Vec<_> = (0..20).map(|_| breaker.enter(&settings, SMALL_REQUEST, later).expect("let in")).collect();
    let before = breaker.ramp(&settings, later);
    for pass in passes {
        breaker.leave(pass, ILL, None, &settings, later);
    }
    assert_eq!((breaker.phase, breaker.consecutive_failures), (BreakerPhase::Closed, 3), "half-way to five");
    assert!((breaker.ramp(&settings, later) - before / 2.0).abs() < 0.01);
    // One that is ill whatever its share is found out nevertheless.
    assert_eq!(one_by(&settings, &mut breaker, ILL, later), BreakerPhase::Closed);
    assert_eq!(one_by(&settings, &mut breaker, ILL, later), BreakerPhase::Open);
}

#[test]
fn while_half_open_an_attempt_that_was_never_let_in_neither_reopens_nor_closes_it() {
    let mut breaker = opened();
    let probe = enter(&mut breaker, at(11)).expect("a probe");
    let half_open = breaker;
    for verdict in [ILL, Verdict::Well, Verdict::Slow, Verdict::Well, Verdict::Well] {
        breaker.leave(breaker.unasked(), verdict, None, &SETTINGS, at(12));
        assert_eq!(breaker, half_open, "{verdict:?}");
    }
    breaker.leave(probe, ILL, None, &SETTINGS, at(13));
    assert_eq!((breaker.phase, breaker.reason), (BreakerPhase::Open, TripReason::FailedProbe));
}

#[test]
fn a_probe_whose_client_left_gives_its_place_to_another() {
    let mut breaker = opened();
    for _ in 0..10 {
        one(&mut breaker, Verdict::Unknown, at(11));
    }
    assert_eq!((breaker.phase, breaker.probes), (BreakerPhase::HalfOpen, 0));
}

#[test]
fn requests_from_before_it_opened_change_nothing_when_they_end() {
    let mut breaker = Breaker::default();
    let old = enter(&mut breaker, at(0)).expect("let in");
    let mut breaker = Breaker { consecutive_failures: 2, ..breaker };
    one(&mut breaker, ILL, at(1));
    let open = breaker;
    breaker.leave(old, Verdict::Well, None, &SETTINGS, at(2));
    breaker.leave(old, ILL, None, &SETTINGS, at(2));
    assert_eq!(breaker, open);
}

#[test]
fn probes_that_were_lost_do_not_block_it_for_ever() {
    for (lost, wait) in [(at(11), at(30)), (at(11), at(70)), (at(11), at(5))] {
        let mut breaker = opened();
        let _lost = (enter(&mut breaker, lost), enter(&mut breaker, lost));
        assert_eq!(enter(&mut breaker, wait), Err(Refused { retry_at: wait.after(PROBE_WAIT) }));
    }
    let mut breaker = opened();
    let _lost = (enter(&mut breaker, at(5_000)), enter(&mut breaker, at(5_000)));
    assert!(enter(&mut breaker.clone(), at(5_060)).expect("a new probe").probe);
    assert!(enter(&mut breaker, at(4_000)).expect("the clock stepped back").probe);
}

#[test]
fn answers_that_take_longer_than_probes_are_waited_for_still_close_it() {
    let mut breaker = opened();
    let mut under_way = std::collections::VecDeque::new();
    for second in 11..400 {
        under_way.extend(enter(&mut breaker, at(second)).ok().map(|pass| (second, pass)));
        while under_way.front().is_some_and(|(since, _)| second >= since + 90) {
            let (_, pass) = under_way.pop_front().expect("one");
            breaker.leave(pass, Verdict::Well, None, &SETTINGS, at(second));
        }
    }
    assert_eq!(breaker.phase, BreakerPhase::Closed);
}

#[test]
fn neither_a_clock_that_steps_back_nor_a_shorter_timeout_keeps_it_open() {
    let mut breaker = Breaker { phase: BreakerPhase::Open, retry_at: at(3_600), ..Breaker::default() };
    assert!(enter(&mut breaker, at(100)).expect("a probe").probe);
}

#[test]
fn a_worker_whose_clock_is_a_little_behind_does_not_take_an_open_breaker_for_one_of_the_future() {
    let mut breaker = Breaker::default();
    breaker.open_by_hand(&SETTINGS, at(1));
    let behind = Timestamp::from_micros(at(1).as_micros() - 500);
    assert_eq!(enter(&mut breaker, behind), Err(Refused { retry_at: breaker.retry_at }));
}
