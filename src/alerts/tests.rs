mod bounds;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::outbox::{MOST, MOST_IN_A_CALL};
use super::*;
use crate::domain::{Backend, Calendar, PerMille, ProbeSettings, Thresholds, Timestamp};
use crate::health::{BreakerPhase, Census, Checkup, Form, TripReason};
use crate::routing::testing::{at, backend};
use crate::state::Record;

const THRESHOLDS: Thresholds = Thresholds {
    min_available: PerMille::new(500),
    response_time: Duration::from_secs(5),
    error_rate: PerMille::new(200),
};

const MINUTES: Terms = Terms { is_sent: true, costs: Costs::WithTheOthers, min_interval: Duration::from_secs(300) };

/// Milliseconds after the beginning.
fn ms(ms: u64) -> Timestamp {
    at(0).after(Duration::from_millis(ms))
}

fn sign(backend: &Backend, record: &Record, kind: AlertKind, second: u64) -> (Sign, u64) {
    let readings = of_backend(backend, record, &THRESHOLDS, at(second));
    let reading = readings.into_iter().find(|reading| reading.kind == kind).expect("a reading");
    (reading.sign, reading.value)
}

fn reading(kind: AlertKind, backend: Option<&str>, sign: Sign) -> Reading<'_> {
    Reading::new(kind, backend, sign, 2_000, 1_000)
}

/// The breaker of backend a.
fn breaker(sign: Sign) -> Reading<'static> {
    reading(AlertKind::BreakerOpened, Some("a"), sign)
}

/// What a look changed, in words.
fn look(board: &mut Board, readings: &[Reading<'_>], now: Timestamp) -> Vec<&'static str> {
    // As the next leader finds it.
    *board = Board::decode(&board.encode());
    let changes = board.observe(readings, MINUTES, now);
    changes.alerts.iter().map(|alert| if alert.is_firing() { "raised" } else { "cleared" }).collect()
}

/// What is sent at a moment, and taken.
fn send(board: &mut Board, now: Timestamp) -> Vec<(AlertKind, bool)> {
    let Some(batch) = board.outbox.take(now) else { return Vec::new() };
    board.outbox.note(batch.sent(), Delivery::Delivered, now);
    batch.news.iter().map(|alert| (alert.kind, alert.is_firing())).collect()
}

#[test]
fn an_open_breaker_is_an_alert_until_it_is_closed_again() {
    let (backend, mut record) = (backend("a"), Record::default());
    let mut signs = Vec::new();
    for phase in [BreakerPhase::Closed, BreakerPhase::Open, BreakerPhase::HalfOpen] {
        record.breaker.phase = phase;
        signs.push((sign(&backend, &record, AlertKind::BreakerOpened, 0).0, is_available(&backend, &record, at(0))));
    }
    assert_eq!(signs, [(Sign::Good, true), (Sign::Bad, false), (Sign::Between, false)]);
    let without = Backend { breaker: None, ..backend };
    assert_eq!(sign(&without, &record, AlertKind::BreakerOpened, 0).0, Sign::Good);
}

#[test]
fn a_backend_that_drains_may_not_be_asked() {
    assert!(is_available(&backend("a"), &Record::default(), at(0)));
    assert!(!is_available(&Backend { draining: true, ..backend("a") }, &Record::default(), at(0)));
}

#[test]
fn a_backend_is_unhealthy_when_checks_say_so_and_not_when_answers_do() {
    let settings = ProbeSettings {
        path: "/".into(),
        host: "a".into(),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        failures: 3,
        successes: 1,
    };
    let (mut record, unhealthy) = (Record::default(), AlertKind::BackendUnhealthy);
    let probed = Backend { probe: Some(settings.clone()), ..backend("a") };
    let mut check = |checkup: Checkup| {
        record.probes.observe(&checkup, Duration::ZERO, &settings, at(0));
        sign(&probed, &record, unhealthy, 1)
    };
    assert_eq!(check(Checkup::failed()), (Sign::Good, 666));
    assert_eq!(check(Checkup::failed()), (Sign::Between, 333), "not believed yet");
    assert_eq!(check(Checkup::failed()), (Sign::Bad, 0));
    let degraded = |parts: Value| Checkup::read(200, parts.to_string().as_bytes(), Form::Status);
    assert_eq!(check(degraded(json!({"graph_db_status": "down"}))), (Sign::Good, 700));
    assert_eq!(check(degraded(json!({"graph_db_status": "down", "embeddings_status": "down"}))), (Sign::Bad, 400));
    assert_eq!(sign(&backend("a"), &record, unhealthy, 1), (Sign::Good, 1_000), "nobody checks it any more");
    assert_eq!(sign(&probed, &record, unhealthy, 60), (Sign::Good, 1_000), "an old result says nothing");

    let hosts = |healthy| Some(Census { total: 5, healthy, ..Census::default() });
    let mut record = Record::default();
    let mut see = |healthy| {
        record.hosts = record.hosts.seen("a", hosts(healthy), at(3));
        (sign(&backend("a"), &record, unhealthy, 1), is_available(&backend("a"), &record, at(1)))
    };
    assert_eq!(see(5), ((Sign::Good, 1_000), true));
    assert_eq!(see(2), ((Sign::Bad, 400), true));
    assert_eq!(see(0), ((Sign::Bad, 0), false));

    let mut failing = Record::default();
    (0..100).for_each(|_| failing.observe_answer(true, at(0)));
    assert_eq!(sign(&backend("a"), &failing, unhealthy, 0).0, Sign::Good);
}

#[test]
fn the_error_rate_needs_enough_answers_and_recent_ones() {
    let (backend, mut record, kind) = (backend("a"), Record::default(), AlertKind::HighErrorRate);
    (0..19).for_each(|_| record.observe_answer(true, at(0)));
    assert_eq!(sign(&backend, &record, kind, 0).0, Sign::Good, "too few");
    record.observe_answer(true, at(0));
    assert_eq!(sign(&backend, &record, kind, 0), (Sign::Bad, 1_000));
    assert_eq!(sign(&backend, &record, kind, 599).0, Sign::Bad);
    assert_eq!(sign(&backend, &record, kind, 600).0, Sign::Good, "nobody asks it any more");
    let mut story = Vec::new();
    for answers in [79, 1, 4, 1] {
        // The failures fall out of the last hundred.
        (0..answers).for_each(|_| record.observe_answer(false, at(1)));
        story.push(sign(&backend, &record, kind, 1));
    }
    assert_eq!(story, [(Sign::Bad, 202), (Sign::Between, 200), (Sign::Good, 160), (Sign::Good, 150)]);
}

#[test]
fn slow_answers_are_an_alert_where_they_are_the_rule() {
    let (backend, mut record, kind) = (backend("a"), Record::default(), AlertKind::HighResponseTime);
    let mut answer = |seconds: u64, now: u64| {
        record.observe_answer(false, at(now));
        record.response_time.observe(Duration::from_secs(seconds), Duration::from_secs(1), at(now));
        sign(&backend, &record, kind, now)
    };
    (0..20).for_each(|_| _ = answer(1, 0));
    // Each at most doubles what is measured.
    assert_eq!([9; 3].map(|seconds| answer(seconds, 0).1), [2_000_000, 4_000_000, 8_000_000]);
    assert_eq!(answer(9, 0), (Sign::Bad, 9_000_000));
    // It is forgiven before the alert's patience ends.
    assert_eq!(sign(&backend, &record, kind, 7).0, Sign::Between);
    assert_eq!(sign(&backend, &record, kind, 14).0, Sign::Good);
    let mut board = Board::default();
    let slow = |second: u64| of_backend(&backend, &record, &THRESHOLDS, at(second));
    let mut raised = 0;
    for second in 0..60 {
        raised += look(&mut board, &slow(second), at(second)).len();
    }
    assert_eq!(raised, 0, "a few slow answers are none");
    let always = [reading(kind, Some("a"), Sign::Bad)];
    let moments: Vec<_> = (100..130).filter(|&second| !look(&mut board, &always, at(second)).is_empty()).collect();
    assert_eq!(moments, [115]);
}

#[test]
fn availability_is_low_below_the_share_and_the_admin_interface_is_unreadable_once_its_picture_has_aged_out() {
    let sign = |available, all| availability(available, all, &THRESHOLDS).sign;
    assert_eq!(
        [sign(1, 2), sign(1, 3), sign(2, 3), sign(0, 1), sign(0, 0)].map(|sign| sign == Sign::Bad),
        [false, true, false, true, false]
    );
    let never = Thresholds { min_available: PerMille::new(0), ..THRESHOLDS };
    assert_eq!(availability(0, 3, &never).sign, Sign::Good);

    let sign = |sight| admin(sight, Duration::from_secs(3)).sign;
    let blind = |seconds| sign(Sight::Blind(Duration::from_secs(seconds)));
    assert_eq!((sign(Sight::Unknown), sign(Sight::Clear)), (Sign::Between, Sign::Good));
    assert_eq!((blind(0), blind(2), blind(3)), (Sign::Between, Sign::Between, Sign::Bad));
}

#[test]
fn an_alert_is_raised_once_and_cleared_once_its_figure_was_well_for_a_while() {
    let mut board = Board::default();
    assert_eq!(look(&mut board, &[breaker(Sign::Between)], ms(0)), [""; 0]);
    assert_eq!(look(&mut board, &[breaker(Sign::Bad)], ms(1)), ["raised"]);
    for (sign, moment) in [(Sign::Bad, 2), (Sign::Between, 3), (Sign::Good, 10), (Sign::Good, 3_009)] {
        assert_eq!(look(&mut board, &[breaker(sign)], ms(moment)), [""; 0]);
    }
    // A relapse: the while begins anew.
    look(&mut board, &[breaker(Sign::Between)], ms(3_010));
    assert_eq!(look(&mut board, &[breaker(Sign::Good)], ms(3_020)), [""; 0]);
    assert_eq!(look(&mut board, &[breaker(Sign::Good)], ms(6_019)), [""; 0]);
    assert_eq!(board.active().count(), 1);
    assert_eq!(look(&mut board, &[breaker(Sign::Good)], ms(6_020)), ["cleared"]);
    assert!(board.active().next().is_none());
    let recent = board.recent().next().expect("one");
    assert_eq!((recent.raised_at, recent.cleared_at), (ms(1), ms(6_020)));
}

#[test]
fn what_is_gone_from_the_configuration_is_cleared_at_once() {
    let mut board = Board::default();
    look(&mut board, &[breaker(Sign::Bad)], ms(0));
    assert_eq!(look(&mut board, &[], ms(1)), ["cleared"]);
    // What was only watched leaves no trace.
    look(&mut board, &[reading(AlertKind::LowAvailability, None, Sign::Bad)], ms(2));
    assert_eq!(look(&mut board, &[], ms(10_000)), [""; 0]);
    assert_eq!(board.recent().count(), 1);
}

#[test]
fn an_alert_that_comes_back_soon_is_sent_when_its_time_has_come_or_never() {
    let mut board = Board::default();
    let mut sent = Vec::new();
    let mut second = 0;
    let mut run = |board: &mut Board, seconds: u64, sign: Sign| {
        for _ in 0..seconds {
            look(board, &[breaker(sign)], at(second));
            sent.extend(send(board, at(second)).into_iter().map(|(_, firing)| (second, firing)));
            second += 1;
        }
    };
    run(&mut board, 10, Sign::Bad);
    run(&mut board, 10, Sign::Good);
    // Too soon, and over before its time has come.
    run(&mut board, 10, Sign::Bad);
    run(&mut board, 10, Sign::Good);
    // Too soon, but it stays.
    run(&mut board, 400, Sign::Bad);
    run(&mut board, 10, Sign::Good);
    assert_eq!(sent, [(1, true), (14, false), (301, true), (444, false)]);
    assert_eq!(board.recent().count(), 3, "all of them are kept");
}

#[test]
fn without_a_webhook_nothing_waits_to_be_sent_and_with_one_what_still_holds_does() {
    let mut board = Board::default();
    board.observe(&[breaker(Sign::Bad)], Terms { is_sent: false, ..MINUTES }, ms(0));
    assert!(board.outbox.is_empty());
    board.observe(&[breaker(Sign::Bad)], MINUTES, ms(1));
    assert_eq!(send(&mut board, at(1)), [(AlertKind::BreakerOpened, true)]);
}

#[test]
fn news_is_gathered_and_tried_again_ever_more_slowly_until_it_is_taken() {
    let mut board = Board::default();
    board.observe(&[breaker(Sign::Bad)], MINUTES, ms(0));
    board.observe(&[breaker(Sign::Bad), reading(AlertKind::HighErrorRate, Some("a"), Sign::Bad)], MINUTES, ms(250));
    let mut tries = Vec::new();
    let end = (0..600_000).step_by(250).find(|&moment| {
        if let Some(batch) = board.outbox.take(ms(moment)) {
            assert_eq!(batch.news.len(), 2);
            assert_eq!(board.outbox.take(ms(moment)), None, "it is somebody's");
            tries.push(moment);
            let delivery = if tries.len() < 10 { Delivery::Failed } else { Delivery::Delivered };
            board.outbox.note(batch.sent(), delivery, ms(moment));
        }
        board.outbox.is_empty()
    });
    assert_eq!(tries, [500, 1_500, 3_500, 7_500, 15_500, 31_500, 63_500, 123_500, 183_500, 243_500]);
    assert_eq!(end, Some(243_500));
}

#[test]
fn what_comes_while_a_call_is_under_way_is_sent_after_it() {
    let mut board = Board::default();
    board.observe(&[breaker(Sign::Bad)], MINUTES, ms(0));
    let batch = board.outbox.take(ms(500)).expect("due");
    board.observe(&[], MINUTES, ms(600));
    assert_eq!(board.outbox.take(ms(700)), None);
    board.outbox.note(batch.sent(), Delivery::Refused, ms(800));
    let next = board.outbox.take(ms(800)).expect("due");
    assert_eq!(next.news.iter().map(Alert::is_firing).collect::<Vec<_>>(), [false]);
    // Whoever took it is never heard of again.
    assert_eq!(board.outbox.take(ms(15_700)), None);
    assert_eq!(board.outbox.take(ms(15_800)).map(|batch| batch.news), Some(next.news));
}

#[test]
fn the_oldest_news_makes_room_and_an_answer_to_it_takes_nothing_else_away() {
    let mut board = Board::default();
    let ids: Vec<_> = (0..MOST + 10).map(|n| format!("b{n}")).collect();
    let all: Vec<_> = ids.iter().map(|id| reading(AlertKind::BreakerOpened, Some(id), Sign::Bad)).collect();
    board.observe(&all[..20], MINUTES, ms(0));
    let batch = board.outbox.take(ms(500)).expect("due");
    assert_eq!(board.observe(&all, MINUTES, ms(600)).lost, 10);
    board.outbox.note(batch.sent(), Delivery::Delivered, ms(700));
    let rest = board.outbox.take(ms(700)).expect("the rest").news;
    assert_eq!((rest.len(), rest[0].backend.as_deref()), (MOST_IN_A_CALL, Some("b20")));
}

#[test]
fn the_letter_is_for_people_and_for_programs() {
    let mut board = Board::default();
    let opened = Reading { cause: Cause::Trip(TripReason::ConsecutiveFailures), ..breaker(Sign::Bad) };
    let few = Reading { value: 333, threshold: 500, ..reading(AlertKind::LowAvailability, None, Sign::Bad) };
    board.observe(&[opened, few], MINUTES, ms(0));
    board.observe(&[opened, few], MINUTES, ms(3_000));
    board.observe(&[few], MINUTES, ms(12_000));
    let news = board.outbox.take(ms(12_500)).expect("due").news;
    let body: Value = serde_json::from_str(&letter(&news, Calendar::UNSET)).expect("JSON");
    assert_eq!(
        body["text"],
        "FIRING (warning): the circuit breaker of a opened: consecutive_failures\n\
         FIRING (critical): only 0.333 of the backends may be asked, less than 0.5\n\
         RESOLVED after 12 s: the circuit breaker of a opened: consecutive_failures"
    );
    assert_eq!((&body["status"], &body["source"]), (&json!("firing"), &json!("llm-router")));
    assert_eq!(
        body["alerts"][1],
        json!({"status": "firing", "alert_id": "low_availability-all-1003000", "alert_name": "low_availability",
            "severity": "critical", "backend_id": null,
            "message": "only 0.333 of the backends may be asked, less than 0.5", "value": 0.333, "threshold": 0.5,
            "raised_at": "1970-01-01T00:16:43.000Z", "cleared_at": null})
    );
    let [first, _, last] = [0, 1, 2].map(|n| body["alerts"][n].clone());
    assert_eq!((&first["alert_id"], &last["status"]), (&last["alert_id"], &json!("resolved")));
    assert_eq!(last["cleared_at"], "1970-01-01T00:16:52.000Z");
    let ended: Value = serde_json::from_str(&letter(&news[2..], Calendar::UNSET)).expect("JSON");
    assert_eq!(ended["status"], "resolved");
}

#[test]
fn every_alert_has_a_message_and_survives_the_way_through_shared_data() {
    let causes = TripReason::ALL.map(Cause::Trip).into_iter().chain([Cause::Plain, Cause::Checks, Cause::Hosts]);
    for cause in causes {
        for kind in AlertKind::ALL {
            let mut board = Board::default();
            let bad = Reading { cause, ..reading(kind, Some("a"), Sign::Bad) };
            board.observe(&[bad], MINUTES, ms(0));
            board.observe(&[bad], MINUTES, ms(60_000));
            let active: Vec<_> = board.active().collect();
            assert_eq!((active.len(), active[0].cause), (1, cause));
            assert!(active[0].message().len() > 20);
            assert_eq!(Board::decode(&board.encode()), board);
        }
    }
    assert_eq!(AlertKind::ALL.map(|kind| kind as usize), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

/// Two breakers, the availability and the admin interface.
const KEYS: [(AlertKind, Option<&str>); 4] = [
    (AlertKind::BreakerOpened, Some("a")),
    (AlertKind::BreakerOpened, Some("b")),
    (AlertKind::LowAvailability, None),
    (AlertKind::AdminUnreadable, None),
];

fn any_sign() -> impl Strategy<Value = Option<Sign>> {
    prop_oneof![Just(Some(Sign::Bad)), Just(Some(Sign::Good)), Just(Some(Sign::Between)), Just(None)]
}

proptest! {
    #[test]
    fn whatever_happens_raises_and_clears_alternate_and_so_does_what_is_sent_of_them(
        looks in prop::collection::vec((prop::array::uniform4(any_sign()), 0..8_000_u64, 0..12_u8), 1..120),
        minutes in 0..3_u64,
    ) {
        let terms = Terms { is_sent: true, costs: Costs::WithTheOthers, min_interval: Duration::from_secs(60 * minutes) };
        let (mut bytes, mut now) = (Board::default().encode(), at(1_000_000));
        let mut raised: HashMap<usize, bool> = HashMap::new();
        let (mut sent, mut lost): (HashMap<usize, bool>, u64) = (HashMap::new(), 0);
        let well = [Some(Sign::Good); 4];
        let ending = [(well, 4_000, 9), (well, 4_000, 9), (well, 61_000, 9), (well, 61_000, 9)];
        for (signs, step, event) in looks.into_iter().chain(ending) {
            if event == 0 {
                now = Timestamp::from_micros(now.as_micros() - 100_000 * step);
            } else {
                now = now.after(Duration::from_millis(step));
            }
            // Nobody keeps anything to himself.
            let mut board = Board::decode(&bytes);
            let readings: Vec<_> =
                KEYS.iter().zip(signs).filter_map(|(&(kind, id), sign)| Some(reading(kind, id, sign?))).collect();
            let of = |alert: &Alert| {
                let is_of = |&(kind, id): &(AlertKind, Option<&str>)| alert.kind == kind && alert.backend.as_deref() == id;
                KEYS.iter().position(is_of).expect("known")
            };
            let changes = board.observe(&readings, terms, now);
            lost += changes.lost;
            for alert in changes.alerts {
                let before = raised.insert(of(&alert), alert.is_firing()).unwrap_or(false);
                prop_assert_ne!(before, alert.is_firing());
                prop_assert!(alert.is_firing() || alert.cleared_at >= alert.raised_at);
            }
            prop_assert_eq!(board.active().count(), raised.values().filter(|&&raised| raised).count());
            prop_assert!(board.recent().count() <= RECENT);
            if let Some(batch) = board.outbox.take(now) {
                let delivery = [Delivery::Failed, Delivery::Delivered, Delivery::Refused][usize::from(event % 3)];
                let delivery = if event == 9 { Delivery::Delivered } else { delivery };
                if delivery != Delivery::Failed {
                    for alert in &batch.news {
                        let before = sent.insert(of(alert), alert.is_firing()).unwrap_or(false);
                        // What made room may be the beginning of what is told of now.
                        prop_assert!(lost > 0 || before != alert.is_firing(), "{:?}", alert);
                    }
                }
                board.outbox.note(batch.sent(), delivery, now);
            }
            bytes = board.encode();
        }
        let board = Board::decode(&bytes);
        prop_assert!(board.active().next().is_none() && board.outbox.is_empty());
        prop_assert!(sent.values().all(|firing| !firing), "the end of each is told, too: {:?}", sent);
    }

    #[test]
    fn an_alert_is_sent_no_more_often_than_it_may_be_and_as_soon_as_it_may_be(
        looks in prop::collection::vec((any_sign(), 0..20_000_u64), 1..200)
    ) {
        let (mut board, mut now, mut last) = (Board::default(), at(0), None);
        for (sign, step) in looks {
            now = now.after(Duration::from_millis(step));
            look(&mut board, &[breaker(sign.unwrap_or(Sign::Bad))], now);
            let is_early = last.is_some_and(|last| now.since(last) < MINUTES.min_interval);
            // Sent at once, so that it shows at once what was put there.
            if send(&mut board, now.after(Duration::from_secs(1))).iter().any(|(_, is_firing)| *is_firing) {
                prop_assert!(!is_early);
                last = Some(now);
            } else if !is_early && let Some(active) = board.active().next() {
                prop_assert!(last >= Some(active.raised_at));
            }
        }
    }

    #[test]
    fn any_bytes_are_a_board_of_some_kind(mut bytes in prop::collection::vec(any::<u8>(), 0..400), ours in any::<bool>()) {
        if ours && let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let mut board = Board::decode(&bytes);
        board.observe(&[breaker(Sign::Bad)], MINUTES, ms(0));
        board.outbox.take(ms(1_000));
        prop_assert_eq!(Board::decode(&board.encode()), board);
    }
}
