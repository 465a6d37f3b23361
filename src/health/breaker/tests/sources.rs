//! Whose failures they are.

use super::*;

fn client(n: u8) -> Source {
    Source::of_address(format!("192.0.2.{n}:1000").as_bytes())
}

fn connection(n: u16) -> Source {
    Source::of_address(format!("192.0.2.1:{n}").as_bytes())
}

/// One request of that source.
fn of(breaker: &mut Breaker, source: Source, verdict: Verdict, now: Timestamp) -> BreakerPhase {
    let pass = breaker.enter(&SETTINGS, SMALL_REQUEST, now).expect("let in");
    breaker.leave(pass, verdict, Some(source), &SETTINGS, now);
    breaker.phase
}

#[test]
fn a_client_that_fails_alone_while_others_are_served_opens_nothing() {
    let by_client: &dyn Fn(u16) -> Source = &|n| client(n as u8);
    let by_tenant: &dyn Fn(u16) -> Source = &|n| Source::of_tenant(format!("tenant {n}").as_bytes());
    let by_connection: &dyn Fn(u16) -> Source = &|n| connection(n);
    for (source, others) in [(by_client, 1), (by_client, 3), (by_tenant, 1), (by_connection, 1)] {
        for failure in [Failure::ServerError, Failure::Timeout, Failure::Reset, Failure::Truncated, Failure::Retried] {
            let mut breaker = Breaker::default();
            for n in 0..400_u64 {
                // Every ten seconds one of the others is served; meanwhile eight fail.
                if n % 8 == 0 {
                    let other = source(1 + (n / 8 % others) as u16);
                    assert_eq!(of(&mut breaker, other, Verdict::Well, at(n)), BreakerPhase::Closed);
                }
                let phase = of(&mut breaker, source(99), Verdict::Ill(failure), at(n));
                assert_eq!(phase, BreakerPhase::Closed, "{n} {failure:?}");
            }
        }
    }
}

#[test]
fn a_client_with_a_new_connection_for_each_request_is_still_one_client() {
    // It fails always, or is served now and then: that ends each row of failures.
    for served in [u16::MAX, 11, 5, 3, 2] {
        let mut breaker = Breaker::default();
        for n in 0..2_000_u16 {
            if n % 8 == 0 {
                of(&mut breaker, client(2), Verdict::Well, at(u64::from(n / 8)));
            }
            let verdict = if n % served == 1 { Verdict::Well } else { ILL };
            let phase = of(&mut breaker, connection(n), verdict, at(u64::from(n / 8)));
            assert_eq!(phase, BreakerPhase::Closed, "{n}, {served}");
        }
    }
}

#[test]
fn a_client_that_alone_is_answered_slowly_opens_nothing() {
    for (slow, quick) in [(client(99), client(1)), (connection(99), connection(1))] {
        let mut breaker = Breaker::default();
        for n in 0..2_000_u64 {
            // One answer in ten is another's, and that one did not wait.
            if n % 10 == 0 {
                of(&mut breaker, quick, Verdict::Well, at(n / 20));
            }
            assert_eq!(of(&mut breaker, slow, Verdict::Slow, at(n / 20)), BreakerPhase::Closed, "{n}");
        }
    }
}

#[test]
fn slow_answers_that_nobody_contradicts_count_in_full() {
    // Of one client that is alone, and of several that were all answered in time a moment ago.
    for clients in [1, 2, 4] {
        let mut breaker = Breaker::default();
        for n in 0..clients {
            of(&mut breaker, client(n), Verdict::Well, at(0));
        }
        let slow = (1..200).find(|n| of(&mut breaker, client(n % clients), Verdict::Slow, at(1)) == BreakerPhase::Open);
        assert!(slow.is_some_and(|n| n <= 40), "{clients}: {slow:?}");
        assert_eq!(breaker.reason, TripReason::SlowAnswers);
    }
}

#[test]
fn a_refused_connection_counts_whoever_met_it() {
    let mut breaker = Breaker::default();
    of(&mut breaker, client(1), Verdict::Well, at(0));
    of(&mut breaker, client(2), Verdict::Ill(Failure::Connect), at(1));
    assert_eq!(of(&mut breaker, client(2), Verdict::Ill(Failure::Connect), at(1)), BreakerPhase::Open);
}

#[test]
fn where_there_is_only_one_client_an_outage_opens_it_as_ever() {
    // One connection; a pool that takes the last one first; a new connection for each request.
    let pools: [&dyn Fn(u16) -> Source; 3] = [&|_| connection(1), &|n| connection(n % 3), &connection];
    for (pool, which) in pools.iter().zip(["one", "a pool", "new ones"]) {
        let mut breaker = Breaker::default();
        for n in 0..20 {
            of(&mut breaker, pool(n), Verdict::Well, at(0));
        }
        let failures = (20..100).take_while(|&n| of(&mut breaker, pool(n), ILL, at(1)) == BreakerPhase::Closed);
        assert_eq!(failures.count(), 2, "{which}");
    }
}

#[test]
fn an_outage_that_all_clients_see_opens_it_though_they_were_served_a_moment_ago() {
    let mut breaker = Breaker::default();
    for n in 0..9 {
        of(&mut breaker, client(n), Verdict::Well, at(0));
    }
    let failures = (0..9).take_while(|&n| of(&mut breaker, client(n), ILL, at(1)) == BreakerPhase::Closed);
    assert_eq!(failures.count(), 2);
}

#[test]
fn what_nobody_contradicts_any_more_counts_in_full() {
    let mut breaker = Breaker::default();
    of(&mut breaker, client(1), Verdict::Well, at(0));
    for _ in 0..20 {
        assert_eq!(of(&mut breaker, client(2), ILL, at(5)), BreakerPhase::Closed);
    }
    // Nobody else has been served for ten seconds.
    let failures = (0..9).take_while(|_| of(&mut breaker, client(2), ILL, at(11)) == BreakerPhase::Closed);
    assert!(failures.count() <= 2);
}

#[test]
fn a_client_that_fails_alone_does_not_open_a_half_open_breaker_again_that_others_find_well() {
    let mut breaker = opened();
    assert_eq!(of(&mut breaker, client(1), Verdict::Well, at(11)), BreakerPhase::HalfOpen);
    for _ in 0..5 {
        assert_eq!(of(&mut breaker, client(2), ILL, at(12)), BreakerPhase::HalfOpen);
    }
    assert_eq!(of(&mut breaker, client(3), Verdict::Well, at(12)), BreakerPhase::Closed);
    let mut breaker = opened();
    assert_eq!(of(&mut breaker, client(2), ILL, at(11)), BreakerPhase::Open, "nobody found it well");
}

/// A breaker that the probes of this many clients opened again, one after the other, and when it may be probed next.
fn reopened_by(clients: std::ops::Range<u8>, served_before: &[u8]) -> (Breaker, Timestamp) {
    let mut breaker = Breaker::default();
    for &n in served_before {
        of(&mut breaker, client(n), Verdict::Well, at(0));
    }
    breaker.open_by_hand(&SETTINGS, at(1));
    for n in clients {
        let now = breaker.retry_at;
        assert_eq!(of(&mut breaker, client(n), ILL, now), BreakerPhase::Open);
    }
    (breaker, breaker.retry_at)
}

#[test]
fn a_client_whose_probe_failed_leaves_the_next_ones_to_the_others_for_one_recovery_timeout() {
    for attackers in 1..=4 {
        let (mut breaker, due) = reopened_by(10..10 + attackers, &[1]);
        let until = due.after(SETTINGS.recovery_timeout);
        for n in 10..10 + attackers {
            assert_eq!(breaker.withholds_probe(client(n), &SETTINGS, due), Some(until), "{attackers}");
            assert_eq!(breaker.withholds_probe(client(n), &SETTINGS, until), None, "nobody else came");
        }
        assert_eq!(breaker.withholds_probe(client(1), &SETTINGS, due), None);
        assert_eq!(breaker.withholds_probe(client(2), &SETTINGS, due), None, "a new client is not known to do harm");
        for _ in 0..SETTINGS.half_open_max_requests {
            of(&mut breaker, client(1), Verdict::Well, due);
        }
        assert_eq!(breaker.phase, BreakerPhase::Closed);
        assert!(!breaker.chooses_probes(), "a breaker that closed knows nothing against anybody");
        breaker.open_by_hand(&SETTINGS, due);
        assert_eq!(breaker.withholds_probe(client(10), &SETTINGS, due), None);
    }
}

#[test]
fn where_no_other_client_is_known_the_only_one_probes_at_once() {
    let (breaker, due) = reopened_by(1..2, &[1]);
    assert!(breaker.chooses_probes());
    assert_eq!(breaker.withholds_probe(client(1), &SETTINGS, due), None);
    let (breaker, due) = reopened_by(1..3, &[1, 2]);
    assert_eq!(breaker.withholds_probe(client(1), &SETTINGS, due), None, "the probes of all of them failed");
    let (breaker, due) = reopened_by(2..3, &[1]);
    let much_later = due.after(Duration::from_secs(3_601));
    assert_eq!(breaker.withholds_probe(client(2), &SETTINGS, much_later), None);
}

#[test]
fn a_refused_connection_of_a_probe_is_nobodys_doing() {
    let mut breaker = Breaker::default();
    of(&mut breaker, client(1), Verdict::Well, at(0));
    breaker.open_by_hand(&SETTINGS, at(1));
    let now = breaker.retry_at;
    of(&mut breaker, client(2), Verdict::Ill(Failure::Connect), now);
    assert_eq!(breaker.phase, BreakerPhase::Open);
    assert_eq!(breaker.withholds_probe(client(2), &SETTINGS, breaker.retry_at), None);
}

#[test]
fn only_a_failure_and_a_good_answer_now_and_then_are_worth_a_look_at_who_it_was() {
    let mut breaker = Breaker::default();
    assert!(breaker.asks_who(at(0)));
    of(&mut breaker, client(1), Verdict::Well, at(0));
    assert!(!breaker.asks_who(at(0)));
    assert!(breaker.asks_who(at(1)), "a second later");
    of(&mut breaker, client(1), Verdict::Well, at(1));
    of(&mut breaker, client(1), ILL, at(1));
    assert!(breaker.asks_who(at(1)), "it may contradict the failure");
    of(&mut breaker, client(2), Verdict::Well, at(1));
    assert!(!breaker.asks_who(at(1)));
}

#[test]
fn a_first_piece_of_content_closes_a_half_open_breaker_and_a_fault_after_it_is_a_failure() {
    let settings = BreakerSettings { failure_threshold: 1, ..SETTINGS };
    let mut breaker = opened();
    let passes = [(); 2].map(|()| enter(&mut breaker, at(12)).expect("let in"));
    assert!(enter(&mut breaker, at(13)).is_err(), "all probes are under way");
    let first = breaker.begin(passes[0], false, &settings, at(13));
    assert_eq!((breaker.phase, breaker.probes), (BreakerPhase::HalfOpen, 2), "it keeps its place");
    let same = breaker.begin(first, false, &settings, at(13));
    assert_eq!((same, breaker.probe_successes), (first, 1), "once");
    let second = breaker.begin(passes[1], false, &settings, at(14));
    assert_eq!(breaker.phase, BreakerPhase::Closed);
    for failing in [first, second] {
        let mut breaker = breaker;
        breaker.leave(failing, ILL, None, &settings, at(20));
        assert_eq!(breaker.phase, BreakerPhase::Open);
    }
    let mut well = breaker;
    for pass in [first, second] {
        well.leave(pass, Verdict::Well, None, &settings, at(20));
    }
    assert_eq!(well.phase, BreakerPhase::Closed);
    // A fault while it is still half-open opens it again.
    let mut breaker = opened();
    let pass = enter(&mut breaker, at(12)).expect("let in");
    let pass = breaker.begin(pass, false, &settings, at(12));
    breaker.leave(pass, ILL, None, &settings, at(13));
    assert_eq!((breaker.phase, breaker.reason), (BreakerPhase::Open, TripReason::FailedProbe));
}

#[test]
fn streams_that_all_break_off_after_their_first_words_open_it() {
    let mut breaker = Breaker::default();
    let phases = [(); 3].map(|()| {
        let stream = enter(&mut breaker, at(0)).expect("let in");
        assert!(!breaker.awaits(stream));
        let stream = breaker.begin(stream, false, &SETTINGS, at(1));
        breaker.leave(stream, ILL, None, &SETTINGS, at(2));
        breaker.phase
    });
    assert_eq!(phases, [BreakerPhase::Closed, BreakerPhase::Closed, BreakerPhase::Open]);
}

#[test]
fn who_it_was_survives_being_bytes() {
    let mut breaker = Breaker::default();
    for n in 0..9 {
        of(&mut breaker, client(n), Verdict::Well, at(u64::from(n)));
    }
    of(&mut breaker, client(2), ILL, at(9));
    let mut out = Encoder::with_capacity(64);
    breaker.encode(&mut out);
    assert_eq!(Breaker::decode(&mut Decoder::new(&out.finish())), Some(breaker));
}

#[test]
fn a_client_has_one_probe_until_it_is_answered_well_where_others_are_likely_to_come() {
    let mut breaker = Breaker::default();
    for n in 1..3 {
        of(&mut breaker, client(n), Verdict::Well, at(0));
    }
    breaker.open_by_hand(&SETTINGS, at(1));
    let now = breaker.retry_at;
    let enter = |breaker: &mut Breaker, n: u8, now| breaker.enter_as(Some(client(n)), &SETTINGS, SMALL_REQUEST, now);
    let first = enter(&mut breaker, 9, now).expect("a probe");
    assert!(enter(&mut breaker, 9, now).is_err(), "the others are for others");
    let good = enter(&mut breaker, 1, now).expect("another client");
    breaker.leave(first, Verdict::Unknown, None, &SETTINGS, now);
    assert!(enter(&mut breaker, 9, now).is_err(), "it has shown nothing");
    breaker.leave(good, Verdict::Well, Some(client(1)), &SETTINGS, now);
    assert!(enter(&mut breaker, 1, now).is_ok(), "it has shown something");
    let later = now.after(SETTINGS.recovery_timeout);
    assert!(enter(&mut breaker, 9, later).is_ok(), "not for ever");
}

#[test]
fn who_sends_probes_survives_being_bytes() {
    let mut breaker = Breaker::default();
    of(&mut breaker, client(1), Verdict::Well, at(0));
    breaker.open_by_hand(&SETTINGS, at(1));
    let now = breaker.retry_at;
    breaker.enter_as(Some(client(9)), &SETTINGS, SMALL_REQUEST, now).expect("a probe");
    let mut out = Encoder::with_capacity(64);
    breaker.encode(&mut out);
    assert_eq!(Breaker::decode(&mut Decoder::new(&out.finish())), Some(breaker));
}
