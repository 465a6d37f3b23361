//! Any history whatever.

use proptest::prelude::*;

use super::*;

/// Settings from one end of what may be configured to the other.
fn settings() -> impl Strategy<Value = BreakerSettings> {
    let trips = (1..20_u32, 10..=1_000_u16, 1..=100_u8, 10..=1_000_u16);
    let times = (50..120_000_u64, 0..120_000_u64, 1..8_u32, any::<bool>());
    (trips, times).prop_flat_map(|((failure_threshold, failing, window, slow), (timeout, ramp, most, adaptive))| {
        (1..=window).prop_map(move |min_requests| BreakerSettings {
            failure_threshold,
            failure_rate_threshold: PerMille::new(failing),
            window,
            min_requests,
            slow_response: None,
            misconfigured_threshold: 5,
            slow_rate_threshold: PerMille::new(slow),
            recovery_timeout: Duration::from_millis(timeout),
            half_open_max_requests: most,
            adaptive,
            ramp: Duration::from_millis(ramp),
        })
    })
}

/// What happens, to which request, how much later (or, of the clock, earlier), and of which size.
type Event = (u8, prop::sample::Index, u64, bool, u64);

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..6_u8, any::<prop::sample::Index>(), 0..40_000_u64, prop::bool::weighted(0.1), 0..100_000_u64);
    prop::collection::vec(event, 0..300)
}

const VERDICTS: [Verdict; 5] = [Verdict::Well, Verdict::Slow, ILL, Verdict::Ill(Failure::Connect), Verdict::Unknown];

/// Plays a history; returns what has come of it, and when it ended.
fn play(settings: &BreakerSettings, events: Vec<Event>) -> Result<(Breaker, u64), TestCaseError> {
    let (mut breaker, mut passes, mut millis) = (Breaker::default(), Vec::new(), 10_000_000_u64);
    for (event, which, step, back, size) in events {
        millis = if back { millis.saturating_sub(step * 50) } else { millis + step };
        let (now, before) = (Timestamp::from_micros(millis * 1_000), breaker);
        match event {
            0..=2 => passes.extend(breaker.enter(settings, Tokens(size), now)),
            3 => {
                breaker.leave(breaker.unasked(), VERDICTS[which.index(VERDICTS.len())], None, settings, now);
                // Whoever was not let in decides only while it is closed.
                prop_assert!(before.phase == BreakerPhase::Closed || breaker.transition_from(&before).is_none());
            }
            _ if passes.is_empty() => {}
            _ => {
                let pass = passes.swap_remove(which.index(passes.len()));
                breaker.leave(pass, VERDICTS[(step % 5) as usize], None, settings, now);
            }
        }
        prop_assert!(breaker.probes <= settings.half_open_max_requests);
        let is_open = breaker.phase == BreakerPhase::Open;
        prop_assert!(!is_open || breaker.retry_at.since(breaker.since) <= settings.recovery_timeout * 11);
        let share = breaker.ramp(settings, now);
        prop_assert!(share > 0.0 && share <= 1.0, "{share}");
        if let Some(Transition { from, to, .. }) = breaker.transition_from(&before) {
            prop_assert_ne!(from, to);
            prop_assert_eq!(breaker.since, now);
        } else {
            prop_assert_eq!((breaker.phase, breaker.reason), (before.phase, before.reason));
        }
        let mut out = Encoder::with_capacity(160);
        breaker.encode(&mut out);
        prop_assert_eq!(Breaker::decode(&mut Decoder::new(&out.finish())), Some(breaker));
    }
    Ok((breaker, millis))
}

/// Sends one request of that size after the other, each answered well and at once, until it is closed for all traffic.
fn recovers(mut breaker: Breaker, settings: &BreakerSettings, mut millis: u64, size: u64) -> bool {
    for _ in 0..200_000 {
        let now = Timestamp::from_micros(millis * 1_000);
        if breaker.phase == BreakerPhase::Closed && breaker.ramp(settings, now) >= 1.0 {
            return true;
        }
        if let Ok(pass) = breaker.enter(settings, Tokens(size), now) {
            breaker.leave(pass, Verdict::Well, None, settings, now);
        }
        millis += 500;
    }
    false
}

proptest! {
    #[test]
    fn from_any_history_there_is_a_way_back_to_all_of_the_traffic(
        settings in settings(), events in events(), size in 0..1_000_000_u64, back in 0..20_000_000_u64
    ) {
        // Whatever is still under way is never heard of again, and the clock may have been set back.
        let (breaker, millis) = play(&settings, events)?;
        prop_assert!(recovers(breaker, &settings, millis, size), "{breaker:?}");
        prop_assert!(recovers(breaker, &settings, millis.saturating_sub(back), size), "{breaker:?}");
    }

    #[test]
    fn it_opens_exactly_when_a_naive_oracle_would(
        settings in settings(), answers in prop::collection::vec(0..4_u8, 0..300)
    ) {
        let settings = BreakerSettings { adaptive: false, ..settings };
        let (mut breaker, mut failures, mut slow, mut row) = (Breaker::default(), Vec::new(), Vec::new(), 0);
        for answer in answers {
            let verdict = [Verdict::Well, Verdict::Slow, ILL, Verdict::Ill(Failure::Timeout)][usize::from(answer)];
            let phase = one_by(&settings, &mut breaker, verdict, at(0));
            if verdict.is_ill() {
                row += u32::from(answer) - 1;
            } else {
                row = 0;
                slow.push(verdict == Verdict::Slow);
            }
            failures.push(verdict.is_ill());
            let share = |list: &[bool], window: usize, least: u8, limit: PerMille| {
                let last: Vec<_> = list.iter().rev().take(window).collect();
                let marked = last.iter().filter(|&&&marked| marked).count();
                last.len() >= usize::from(least) && marked * 1_000 >= last.len() * usize::from(limit.get())
            };
            let in_a_row = row >= settings.failure_threshold;
            let failing = share(&failures, settings.window.into(), settings.min_requests, settings.failure_rate_threshold);
            let lame = share(&slow, 50, settings.min_requests.min(50), settings.slow_rate_threshold);
            let opens = match verdict {
                Verdict::Ill(_) => in_a_row || failing,
                Verdict::Slow => lame,
                Verdict::Well | Verdict::Misfit(_) | Verdict::Unknown => false,
            };
            prop_assert_eq!(phase == BreakerPhase::Open, opens);
            if opens {
                break;
            }
        }
    }

    #[test]
    fn whatever_bytes_lie_there_it_goes_on(
        bytes in prop::collection::vec(any::<u8>(), 140), phase in 0..3_u8, settings in settings(), millis in any::<u32>()
    ) {
        let bytes = [vec![phase, 1], bytes].concat();
        if let Some(mut breaker) = Breaker::decode(&mut Decoder::new(&bytes)) {
            let now = Timestamp::from_micros(u64::from(millis) * 1_000);
            for verdict in VERDICTS {
                let pass = breaker.enter(&settings, SMALL_REQUEST, now).unwrap_or(breaker.unasked());
                breaker.leave(pass, verdict, None, &settings, now);
            }
            prop_assert!(recovers(breaker, &settings, millis.into(), 5_000), "{breaker:?}");
        }
    }
}
