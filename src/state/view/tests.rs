use proptest::prelude::*;

use super::*;
use crate::cost::Claim;
use crate::domain::{Failure, Limits, Span};
use crate::health::{BreakerPhase, TripReason, Verdict};
use crate::routing::testing::{at, backend};
use crate::state::{AccountKey, Ledger, Line, MemoryStore, Reservation, Spent};

const ILL: Verdict = Verdict::Ill(Failure::ServerError);

fn views(store: &impl Store, number: u64) -> Vec<View> {
    let mut views: Vec<View> = (1..=number).map(View::new).collect();
    for view in &mut views {
        while view.place(store, "a").is_err() {}
    }
    views
}

fn enter(view: &mut View, store: &MemoryStore, limit: u32, now: Timestamp) -> bool {
    let admit = |record: &mut Record| if record.in_flight() < limit { Ok(()) } else { Err(()) };
    view.enter(store, Place(0), now, Tokens(7), admit).expect("stored").is_ok()
}

fn outcome(verdict: Verdict, second: u64) -> Outcome {
    Outcome::new(&backend("a"), None, verdict, at(second))
}

fn leaving(at_once: bool) -> Leaving {
    Leaving { tokens: Tokens(7), reported: false, at_once }
}

fn shared(store: &impl Store) -> Record {
    let (bytes, _) = store.get(&Record::key("a")).unwrap().unwrap();
    Record::decode(&bytes).unwrap()
}

#[test]
fn a_limit_holds_over_all_workers_though_their_views_are_old() {
    let store = MemoryStore::default();
    let mut views = views(&store, 4);
    let entered = (0..40).filter(|n| enter(&mut views[n % 4], &store, 10, at(0))).count();
    assert_eq!((entered, shared(&store).in_flight()), (10, 10));
}

#[test]
fn the_requests_of_a_worker_that_died_are_forgotten() {
    let store = MemoryStore::default();
    let [mut dying, mut living] = views(&store, 2).try_into().expect("two");
    enter(&mut dying, &store, 99, at(0));
    enter(&mut living, &store, 99, at(0));
    for second in 0..20 {
        living.refresh(&store, at(second)).expect("refreshed");
    }
    assert_eq!(living.record(Place(0)).in_flight(), 1);
    assert!(living.leads());
    // It was only asleep: what it has in flight is counted again.
    dying.refresh(&store, at(21)).expect("refreshed");
    assert_eq!(shared(&store).in_flight(), 2);
}

#[test]
fn good_news_is_told_at_the_tick_and_bad_news_at_once() {
    let store = MemoryStore::default();
    let [mut one, mut other] = views(&store, 2).try_into().expect("two");
    one.enter_unasked(Place(0), Tokens(7));
    one.leave(&store, Place(0), leaving(false), &outcome(Verdict::Well, 0)).expect("noted");
    assert_eq!((one.record(Place(0)).window.len(), shared(&store).window.len()), (1, 0));
    one.learn(&store, Place(0), &outcome(ILL, 0), false).expect("written");
    assert_eq!((shared(&store).window.len(), shared(&store).window.failures()), (2, 1));
    other.refresh(&store, at(0)).expect("refreshed");
    assert_eq!(other.record(Place(0)).window.len(), 2);
    one.learn(&store, Place(0), &outcome(Verdict::Well, 0), false).expect("noted");
    one.refresh(&store, at(0)).expect("refreshed");
    assert_eq!((one.record(Place(0)).window.len(), shared(&store).window.len()), (3, 3));
}

#[test]
fn a_change_of_a_breakers_state_is_told_once_by_the_one_who_wrote_it() {
    let store = MemoryStore::default();
    let mut views = views(&store, 3);
    let mut told: Vec<Vec<Transition>> = vec![Vec::new(); 3];
    for n in 0..12 {
        let view = &mut views[n % 3];
        view.enter_unasked(Place(0), Tokens(7));
        let _ = view.leave(&store, Place(0), leaving(false), &outcome(ILL, 0));
        // Some hear of it sooner, some later; hearing is not doing.
        views[n % 2].refresh(&store, at(0)).expect("refreshed");
        for (view, told) in views.iter_mut().zip(&mut told) {
            told.extend(view.take_transitions().into_iter().map(|(_, transition)| transition));
        }
    }
    let opened =
        Transition { from: BreakerPhase::Closed, to: BreakerPhase::Open, reason: TripReason::ConsecutiveFailures };
    assert_eq!(told.concat(), [opened]);
    assert_eq!(told[1], [opened], "the fifth failure was the second worker's");
    // Looking whether one might enter changes nothing; entering does.
    let settings = backend("a").breaker.expect("a breaker");
    let mut admit = |second| {
        let enter = |record: &mut Record| record.breaker.enter(&settings, Tokens(7), at(second));
        views[2].enter(&store, Place(0), at(second), Tokens(7), enter).expect("stored").is_ok()
    };
    assert_eq!([admit(1), admit(70), admit(70)], [false, true, true]);
    let told: Vec<_> = views[2].take_transitions().into_iter().map(|(_, t)| (t.to, t.reason)).collect();
    assert_eq!(told, [(BreakerPhase::HalfOpen, TripReason::RecoveryTimeout)]);
}

#[test]
fn the_newest_configuration_looks_after_a_backend_until_it_is_gone() {
    let store = MemoryStore::default();
    let [mut view] = views(&store, 1).try_into().expect("one");
    assert!(view.keeps(Place(0), 1, at(0)) && view.keeps(Place(0), 2, at(0)));
    assert!(!view.keeps(Place(0), 1, at(4)) && view.keeps(Place(0), 2, at(4)));
    assert!(!view.keeps(Place(0), 1, at(9)));
    assert!(view.keeps(Place(0), 1, at(10)));
    assert!(view.keeps(Place(0), 1, at(3)), "though the clock stepped back");
    assert!(!view.keeps(Place(9), 1, at(10)), "there is no such place");
}

/// A store that refuses some of the accesses.
struct Flaky(MemoryStore, std::cell::Cell<u32>);

impl Flaky {
    fn refuses(&self) -> bool {
        self.1.set(self.1.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        self.1.get() >> 30 == 0
    }
}

impl Store for Flaky {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
        if self.refuses() { Err(StoreError::Host) } else { self.0.get(key) }
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<bool, StoreError> {
        if self.refuses() { Ok(false) } else { self.0.set(key, value, cas) }
    }
}

proptest! {
    #[test]
    fn counts_and_lessons_are_exact_in_the_end_even_if_writes_fail(
        steps in prop::collection::vec((0..3_usize, 0..5_u8), 0..120), seed in any::<u32>()
    ) {
        let store = Flaky(MemoryStore::default(), std::cell::Cell::new(seed));
        let mut views = views(&store, 3);
        let (mut under_way, mut answers, mut failures) = ([0_u32; 3], 0, 0);
        for (n, event) in steps {
            let view = &mut views[n];
            match event {
                0 => under_way[n] += u32::from(view.enter_unasked(Place(0), Tokens(7)).is_some()),
                1 => {
                    let entered = view.enter(&store, Place(0), at(0), Tokens(7), |_| Ok::<_, ()>(()));
                    under_way[n] += u32::from(entered.is_ok());
                }
                _ if under_way[n] > 0 => {
                    let verdict = if event == 2 { ILL } else { Verdict::Well };
                    let _ = view.leave(&store, Place(0), leaving(event == 3), &outcome(verdict, 0));
                    under_way[n] -= 1;
                    answers += 1;
                    failures += u32::from(event == 2);
                }
                _ => {}
            }
        }
        for view in &mut views {
            while view.refresh(&store, at(0)).is_err() {}
        }
        let record = shared(&store.0);
        prop_assert_eq!(record.in_flight(), under_way.iter().sum::<u32>());
        prop_assert_eq!((record.window.len(), record.window.failures()), (answers.min(100), failures));
    }
}

/// Four workers with two requests each before a backend that takes eight, each of which has 100 reserved.
fn eight_under_way(store: &MemoryStore) -> (Vec<View>, Vec<(usize, Reservation)>) {
    let mut views = views(store, 4);
    for view in &mut views {
        view.open_books(store).expect("opened");
    }
    for second in 0..20 {
        for view in &mut views {
            view.refresh(store, at(second)).expect("refreshed");
        }
    }
    let reserved = (0..8).map(|n| n % 4).map(|n| {
        assert!(enter(&mut views[n], store, 8, at(20)));
        (n, views[n].reserve(store, &[claim(100)], at(20)).expect("stored").expect("enough"))
    });
    let reserved = reserved.collect();
    (views, reserved)
}

fn claim(cost: u64) -> Line {
    let limits = Limits { daily_budget: Some(PicoUsd(1_000)), ..Limits::default() };
    let claim = Claim { cost: PicoUsd(cost), tokens: Tokens(1), ..Claim::default() };
    Line { account: AccountKey::ALL, limits, claim, paces: false }
}

/// Spent and reserved.
fn money(store: &MemoryStore, now: Timestamp) -> (u64, u64) {
    let ledger = Ledger::decode(&store.get(Ledger::KEY).unwrap().unwrap().0).unwrap();
    let spent = ledger.account(AccountKey::ALL).map_or(0, |account| account.spending(Span::Day, now).spent().0);
    (spent, ledger.reserved(AccountKey::ALL).0)
}

#[test]
fn after_a_standstill_of_all_workers_no_place_is_free_and_nothing_is_spent() {
    for (standstill, first) in [(16, 0), (18, 1), (60, 2), (3_000, 3)] {
        let store = MemoryStore::default();
        let (mut views, reserved) = eight_under_way(&store);
        let back = 20 + standstill;
        // Whichever comes first, and however late the others are.
        for second in back..back + 20 {
            for n in (0..4).map(|n| (first + n) % 4).filter(|&n| second >= back + 2 * ((n + 4 - first) % 4) as u64) {
                views[n].refresh(&store, at(second)).expect("refreshed");
                assert!(!enter(&mut views[n], &store, 8, at(second)), "a ninth after {standstill} s");
            }
            assert_eq!((shared(&store).in_flight(), money(&store, at(second))), (8, (0, 800)), "after {standstill} s");
        }
        for (n, reservation) in reserved {
            let spent = Spent { cost: PicoUsd(3), tokens: Tokens(1) };
            views[n].settle(&store, &reservation, spent, at(back + 20)).expect("settled");
            views[n].leave(&store, Place(0), leaving(true), &outcome(Verdict::Well, back + 20)).expect("left");
        }
        assert_eq!((shared(&store).in_flight(), money(&store, at(back + 20))), (0, (24, 0)));
    }
}

#[test]
fn a_worker_that_alone_stood_still_finds_what_it_had_and_takes_nobody_s_column() {
    let store = MemoryStore::default();
    let (mut views, reserved) = eight_under_way(&store);
    // The first one stands still for so long that the others believe it dead, and a new one gets its seat.
    for second in 21..40 {
        for view in &mut views[1..] {
            view.refresh(&store, at(second)).expect("refreshed");
        }
    }
    assert_eq!((shared(&store).in_flight(), money(&store, at(40))), (6, (200, 600)));
    let mut new = View::new(9);
    new.place(&store, "a").expect("placed");
    assert!(enter(&mut new, &store, 8, at(40)));
    // It is back, and the first thing that it hears is a request.
    assert!(enter(&mut views[0], &store, 99, at(41)));
    views[0].refresh(&store, at(41)).expect("refreshed");
    assert_eq!((shared(&store).in_flight(), money(&store, at(41))), (10, (0, 800)));
    for (n, reservation) in reserved {
        let spent = Spent { cost: PicoUsd(3), tokens: Tokens(1) };
        views[n].settle(&store, &reservation, spent, at(42)).expect("settled");
    }
    assert_eq!(money(&store, at(42)), (24, 0));
}
