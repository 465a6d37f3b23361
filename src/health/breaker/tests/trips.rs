//! What opens it.

use super::*;

#[test]
fn it_opens_after_that_many_failures_in_a_row() {
    let mut breaker = Breaker::default();
    for verdict in [ILL, ILL, Verdict::Well, ILL, Verdict::Unknown, ILL] {
        assert_eq!(one(&mut breaker, verdict, at(0)), BreakerPhase::Closed);
    }
    assert_eq!(one(&mut breaker, ILL, at(7)), BreakerPhase::Open);
    assert_eq!((breaker.reason, breaker.since), (TripReason::ConsecutiveFailures, at(7)));
}

#[test]
fn a_backend_that_is_not_there_or_takes_forever_needs_fewer() {
    let settings = BreakerSettings { failure_threshold: 5, ..SETTINGS };
    for failure in [Failure::Connect, Failure::Timeout] {
        let mut breaker = Breaker::default();
        let failures =
            (1..1_000).find(|_| one_by(&settings, &mut breaker, Verdict::Ill(failure), at(0)) != BreakerPhase::Closed);
        assert_eq!(failures, Some(3));
    }
}

#[test]
fn adaptive_or_not_the_first_failures_of_a_new_backend_open_it_at_the_configured_threshold() {
    for failure_threshold in [1, 2, 3, 5, 9] {
        for adaptive in [false, true] {
            let settings = BreakerSettings { failure_threshold, adaptive, ..SETTINGS };
            let mut breaker = Breaker::default();
            let failures = (1..1_000).find(|_| one_by(&settings, &mut breaker, ILL, at(0)) != BreakerPhase::Closed);
            assert_eq!(failures, Some(failure_threshold));
        }
    }
}

#[test]
fn it_opens_when_too_large_a_share_of_the_last_answers_failed() {
    let settings = BreakerSettings { failure_threshold: 1_000, window: 20, ..SETTINGS };
    let mut breaker = Breaker::default();
    // Every other one fails: half of them, but not enough of them to be sure.
    for n in 0..9 {
        assert_eq!(
            one_by(&settings, &mut breaker, if n % 2 == 0 { ILL } else { Verdict::Well }, at(n)),
            BreakerPhase::Closed
        );
    }
    assert_eq!(one_by(&settings, &mut breaker, ILL, at(9)), BreakerPhase::Open);
    assert_eq!(breaker.reason, TripReason::FailureRate);

    // Good answers from before the window do not count.
    let mut breaker = Breaker::default();
    for _ in 0..90 {
        one_by(&settings, &mut breaker, Verdict::Well, at(0));
    }
    let failures = (1..1_000).find(|_| one_by(&settings, &mut breaker, ILL, at(1)) != BreakerPhase::Closed);
    assert_eq!(failures, Some(10));
}

#[test]
fn it_opens_before_the_first_failure_when_answers_become_slow() {
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        one(&mut breaker, Verdict::Well, at(0));
    }
    let slow = (1..1_000).find(|_| one(&mut breaker, Verdict::Slow, at(1)) != BreakerPhase::Closed);
    assert_eq!((slow, breaker.reason), (Some(40), TripReason::SlowAnswers));

    let mut fresh = Breaker::default();
    let slow = (1..1_000).find(|_| one(&mut fresh, Verdict::Slow, at(1)) != BreakerPhase::Closed);
    assert_eq!(slow, Some(10), "a few slow ones say nothing");
}

#[test]
fn what_says_nothing_of_the_backend_never_opens_it() {
    let mut breaker = Breaker::default();
    for _ in 0..1_000 {
        assert_eq!(one(&mut breaker, Verdict::Unknown, at(0)), BreakerPhase::Closed);
    }
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn what_happened_before_it_opened_does_not_open_it_again() {
    let settings = BreakerSettings { failure_threshold: 1_000, half_open_max_requests: 1, ..SETTINGS };
    for (verdict, reason) in [(ILL, TripReason::FailureRate), (Verdict::Slow, TripReason::SlowAnswers)] {
        let mut breaker = Breaker::default();
        while one_by(&settings, &mut breaker, verdict, at(0)) == BreakerPhase::Closed {}
        assert_eq!(breaker.reason, reason);
        assert_eq!(one_by(&settings, &mut breaker, Verdict::Well, at(11)), BreakerPhase::Closed);
        for _ in 0..4 {
            assert_eq!(one_by(&settings, &mut breaker, verdict, at(12)), BreakerPhase::Closed);
            assert_eq!(one_by(&settings, &mut breaker, Verdict::Well, at(12)), BreakerPhase::Closed);
        }
    }
}

#[test]
fn an_adaptive_breaker_opens_sooner_while_errors_cluster_and_later_after_a_long_clean_record() {
    let settings = BreakerSettings { failure_threshold: 10, adaptive: true, min_requests: 100, ..SETTINGS };
    let needed = |mut breaker: Breaker, now| {
        (1..1_000).find(|_| one_by(&settings, &mut breaker, ILL, now) != BreakerPhase::Closed).unwrap_or(0)
    };
    let mut nervous = Breaker::default();
    for _ in 0..6 {
        // Nearly, six times.
        (0..9).for_each(|_| assert_eq!(one_by(&settings, &mut nervous, ILL, at(0)), BreakerPhase::Closed));
        one_by(&settings, &mut nervous, Verdict::Well, at(0));
        if needed(nervous, at(0)) < 10 {
            break;
        }
    }
    assert!((5..10).contains(&needed(nervous, at(0))), "{}", needed(nervous, at(0)));
    let mut calm = Breaker::default();
    for _ in 0..2_000 {
        one_by(&settings, &mut calm, Verdict::Well, at(0));
    }
    assert_eq!(needed(calm, at(0)), 15);
    let steady = BreakerSettings { adaptive: false, ..settings };
    let failures = (1..1_000).find(|_| one_by(&steady, &mut calm, ILL, at(0)) != BreakerPhase::Closed);
    assert_eq!(failures, Some(10), "unless it is not adaptive");
}

#[test]
fn an_operator_opens_and_closes_it() {
    let mut breaker = Breaker::default();
    breaker.open_by_hand(&SETTINGS, at(0));
    assert_eq!((breaker.phase, breaker.reason), (BreakerPhase::Open, TripReason::ByHand));
    assert!(enter(&mut breaker, at(1)).is_err());
    let mut healed = breaker;
    healed.close_by_hand(at(2));
    assert_eq!((healed.phase, healed.reason, healed.since), (BreakerPhase::Closed, TripReason::ByHand, at(2)));
    assert!((healed.ramp(&SETTINGS, at(2)) - 1.0).abs() < 1e-9);
    assert!(enter(&mut breaker, at(12)).expect("it recovers by itself, too").probe);
}
