//! Histories of several workers at one ledger.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::cost::Claim;
use crate::domain::{Limits, Span};
use crate::routing::testing::at;
use crate::state::{MemoryStore, View};

const LIMIT: u64 = 1_000;

fn limits() -> Limits {
    Limits { hourly_budget: Some(PicoUsd(LIMIT)), ..Limits::default() }
}

fn line(account: AccountKey, cost: u64) -> Line {
    Line {
        account,
        limits: limits(),
        claim: Claim { cost: PicoUsd(cost), tokens: Tokens(1), ..Claim::default() },
        paces: false,
    }
}

fn views(store: &impl Store, number: u64) -> Vec<View> {
    let mut views: Vec<View> = (1..=number).map(View::new).collect();
    for view in &mut views {
        while view.open_books(store).is_err() {}
    }
    views
}

fn shared(store: &MemoryStore) -> Ledger {
    Ledger::decode(&store.get(Ledger::KEY).unwrap().unwrap().0).unwrap()
}

fn spent(ledger: &Ledger, account: AccountKey, now: Timestamp) -> u64 {
    ledger.account(account).map_or(0, |account| account.spending(Span::Hour, now).spent().0)
}

fn spend(cost: u64) -> Spent {
    Spent { cost: PicoUsd(cost), tokens: Tokens(1) }
}

#[test]
fn what_is_reserved_by_one_worker_is_not_there_for_another() {
    let store = MemoryStore::default();
    let mut views = views(&store, 4);
    let mut held = Vec::new();
    for n in 0..40 {
        let reserved = views[n % 4].reserve(&store, &[line(AccountKey::ALL, 100)], at(0)).unwrap();
        held.extend(reserved.map(|reservation| (n % 4, reservation)));
    }
    assert_eq!(held.len(), 10);
    assert_eq!(shared(&store).reserved(AccountKey::ALL), PicoUsd(LIMIT));
    for (n, reservation) in held {
        views[n].settle(&store, &reservation, spend(50), at(1)).unwrap();
    }
    let ledger = shared(&store);
    assert_eq!((spent(&ledger, AccountKey::ALL, at(1)), ledger.reserved(AccountKey::ALL)), (500, PicoUsd(0)));
}

#[test]
fn a_request_is_taken_into_all_of_its_accounts_or_into_none() {
    let store = MemoryStore::default();
    let mut view = views(&store, 1).pop().unwrap();
    let (all, one) = (AccountKey::ALL, AccountKey::of_backend("a"));
    let lines = |cost| [line(all, cost), line(one, cost)];
    let full = view.reserve(&store, &[line(one, 900)], at(0)).unwrap().unwrap();
    let refused = view.reserve(&store, &lines(200), at(0)).unwrap();
    assert_eq!(refused, Err(Shortage::Budget { retry_at: at(1) }), "only spoken for: soon there may be room");
    assert_eq!(shared(&store).reserved(all), PicoUsd(0));
    view.settle(&store, &full, spend(900), at(0)).unwrap();
    let refused = view.reserve(&store, &lines(200), at(0)).unwrap();
    assert_eq!(refused, Err(Shortage::Budget { retry_at: at(2_600) }), "spent: not before the hour is over");
    assert!(view.reserve(&store, &lines(100), at(0)).unwrap().is_ok());
    assert_eq!((shared(&store).reserved(all), shared(&store).reserved(one)), (PicoUsd(100), PicoUsd(100)));
}

#[test]
fn a_request_that_goes_elsewhere_takes_what_is_reserved_for_it_along() {
    let store = MemoryStore::default();
    let mut view = views(&store, 1).pop().unwrap();
    let [all, a, b] = [AccountKey::ALL, AccountKey::of_backend("a"), AccountKey::of_backend("b")];
    let first = view.reserve(&store, &[line(all, 10), line(a, 10)], at(0)).unwrap().unwrap();
    let (second, written) = view.transfer(&store, Some(first), &[line(all, 30), line(b, 30)], at(0));
    written.unwrap();
    let reserved = |ledger: &Ledger| [all, a, b].map(|account| ledger.reserved(account).0);
    assert_eq!(reserved(&shared(&store)), [30, 0, 30]);
    view.settle(&store, &second, spend(25), at(0)).unwrap();
    assert_eq!(reserved(&shared(&store)), [0, 0, 0]);
    assert_eq!([all, a, b].map(|account| spent(&shared(&store), account, at(0))), [25, 0, 25]);
}

#[test]
fn what_a_worker_that_died_had_reserved_is_spent() {
    let store = MemoryStore::default();
    let [mut dying, mut living] = views(&store, 2).try_into().expect("two");
    let lost = dying.reserve(&store, &[line(AccountKey::ALL, 300)], at(0)).unwrap().unwrap();
    let kept = living.reserve(&store, &[line(AccountKey::ALL, 200)], at(0)).unwrap().unwrap();
    for second in 0..20 {
        living.refresh(&store, at(second)).expect("refreshed");
    }
    let ledger = shared(&store);
    assert_eq!((spent(&ledger, AccountKey::ALL, at(20)), ledger.reserved(AccountKey::ALL)), (300, PicoUsd(200)));
    // It was only asleep: its request costs more than was reserved, and the difference is what is left to pay.
    dying.settle(&store, &lost, spend(310), at(21)).unwrap();
    living.settle(&store, &kept, spend(200), at(21)).unwrap();
    let ledger = shared(&store);
    assert_eq!((spent(&ledger, AccountKey::ALL, at(21)), ledger.reserved(AccountKey::ALL)), (510, PicoUsd(0)));
}

#[test]
fn a_claim_beyond_all_measure_does_not_hide_the_others() {
    let store = MemoryStore::default();
    let mut view = views(&store, 1).pop().unwrap();
    let small = view.reserve(&store, &[line(AccountKey::ALL, 100)], at(0)).unwrap().unwrap();
    let (huge, written) = view.transfer(&store, None, &[line(AccountKey::ALL, u64::MAX)], at(0));
    written.unwrap();
    assert_eq!(shared(&store).reserved(AccountKey::ALL), PicoUsd(u64::MAX));
    view.settle(&store, &huge, spend(5), at(0)).unwrap();
    assert_eq!(shared(&store).reserved(AccountKey::ALL), PicoUsd(100));
    view.settle(&store, &small, spend(70), at(0)).unwrap();
    assert_eq!(spent(&shared(&store), AccountKey::ALL, at(0)), 75);
}

#[test]
fn tokens_are_corrected_where_they_were_counted_after_a_failover_too() {
    let store = MemoryStore::default();
    let mut view = views(&store, 1).pop().unwrap();
    let [all, a, b] = [AccountKey::ALL, AccountKey::of_backend("a"), AccountKey::of_backend("b")];
    let line = |account, tokens| Line {
        limits: Limits { tokens_per_minute: Some(1_000), ..Limits::default() },
        claim: Claim { cost: PicoUsd(1), tokens: Tokens(tokens), ..Claim::default() },
        ..line(account, 1)
    };
    let first = view.reserve(&store, &[line(all, 100), line(a, 100)], at(0)).unwrap().unwrap();
    let (second, _) = view.transfer(&store, Some(first), &[line(all, 300), line(b, 300)], at(9));
    view.settle(&store, &second, Spent { cost: PicoUsd(1), tokens: Tokens(40) }, at(11)).unwrap();
    let used = |seconds| {
        let ledger = shared(&store);
        [all, b].map(|key| ledger.account(key).unwrap().minute(at(seconds)).1)
    };
    assert_eq!((used(11), used(61)), ([40, 40], [0, 40]));
}

/// A VM that holds 300 of what it reserved is taken for dead, and comes back; in between its writes fail, or do not.
/// Returns what is spent when its request has cost 310, or less.
fn back_from_the_dead(cost: u64, fails: [bool; 3]) -> u64 {
    let store = MemoryStore::default();
    let broken = Flaky::always(&store);
    let [mut dying, mut living] = views(&store, 2).try_into().expect("two");
    let [reserving, settling_before, settling_after] = fails;
    let joining = dying.reserve(&store, &[line(AccountKey::ALL, 0)], at(0)).unwrap().unwrap();
    dying.settle(&store, &joining, spend(0), at(0)).unwrap();
    let lines = [line(AccountKey::ALL, 300)];
    let lost = if reserving {
        dying.transfer(&broken, None, &lines, at(0)).0
    } else {
        dying.transfer(&store, None, &lines, at(0)).0
    };
    if settling_before {
        assert!(dying.settle(&broken, &lost, spend(cost), at(0)).is_err());
    }
    for second in 0..20 {
        living.refresh(&store, at(second)).expect("refreshed");
    }
    dying.refresh(&store, at(21)).expect("refreshed");
    if !settling_before && settling_after {
        assert!(dying.settle(&broken, &lost, spend(cost), at(21)).is_err());
    } else if !settling_before {
        dying.settle(&store, &lost, spend(cost), at(21)).unwrap();
    }
    dying.refresh(&store, at(22)).expect("refreshed");
    assert_eq!(shared(&store).reserved(AccountKey::ALL), PicoUsd(0));
    spent(&shared(&store), AccountKey::ALL, at(22))
}

#[test]
fn what_was_written_off_is_not_paid_twice_whichever_write_failed() {
    for fails in [[false, false, false], [false, false, true], [false, true, false], [true, false, true], [true; 3]] {
        assert_eq!(back_from_the_dead(310, fails), 310, "{fails:?}");
    }
    // What was written off was not spent: it is settled as it was.
    for cost in [0, 100] {
        assert_eq!(back_from_the_dead(cost, [false, false, true]), cost);
        assert_eq!(back_from_the_dead(cost, [false, true, false]), cost);
        assert_eq!(back_from_the_dead(cost, [true, true, false]), cost);
    }
}

/// A store that refuses some of the accesses, and in which somebody else is sometimes faster.
struct Flaky<'a> {
    store: &'a MemoryStore,
    luck: Cell<u32>,
    refuses_all: bool,
    /// What that one spent.
    rival: Cell<u64>,
}

impl<'a> Flaky<'a> {
    fn new(store: &'a MemoryStore, seed: u32) -> Self {
        Self { store, luck: Cell::new(seed), refuses_all: false, rival: Cell::new(0) }
    }

    fn always(store: &'a MemoryStore) -> Self {
        Self { refuses_all: true, ..Self::new(store, 0) }
    }

    fn refuses(&self) -> bool {
        self.luck.set(self.luck.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        self.refuses_all || self.luck.get() >> 30 == 0
    }
}

impl Store for Flaky<'_> {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
        if self.refuses() { Err(StoreError::Host) } else { self.store.get(key) }
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<bool, StoreError> {
        if key == Ledger::KEY && cas.is_some() && self.refuses() {
            let mut ledger = shared(self.store);
            ledger.spend(AccountKey::ALL, PicoUsd(1), at(0));
            self.rival.set(self.rival.get() + 1);
            self.store.set(key, &ledger.encode(), None)?;
        }
        self.store.set(key, value, cas)
    }
}

/// What happens in a history.
#[derive(Debug, Clone, Copy)]
enum Step {
    Reserve {
        cost: u64,
    },
    /// It cost that part of what was reserved.
    Settle {
        which: prop::sample::Index,
        percent: u64,
    },
    Move {
        which: prop::sample::Index,
    },
    Tick,
    /// It stands still, with all its requests, until the others take it for dead.
    Die,
    Clock {
        seconds: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..400_u64).prop_map(|cost| Step::Reserve { cost }),
        5 => (any::<prop::sample::Index>(), 0..=150_u64).prop_map(|(which, percent)| Step::Settle { which, percent }),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Move { which }),
        2 => Just(Step::Tick),
        1 => Just(Step::Die),
        2 => (-4_000..4_000_i64).prop_map(|seconds| Step::Clock { seconds }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_limit_holds_and_nothing_leaks_or_is_lost(
        steps in prop::collection::vec((0..3_usize, step()), 0..150)
    ) {
        let (all, a) = (AccountKey::ALL, AccountKey::of_backend("a"));
        let store = MemoryStore::default();
        let (mut views, mut name) = (views(&store, 3), 3);
        let mut open: Vec<Vec<(u64, Reservation)>> = vec![Vec::new(); 3];
        let (mut now, mut paid, mut clock_is_set) = (100_000_u64, 0_u64, false);
        // What answers cost beyond what was reserved for them.
        let mut beyond = 0;
        for (n, step) in steps {
            match step {
                Step::Reserve { cost } => {
                    let lines = [line(all, cost), line(a, cost)];
                    if let Ok(reservation) = views[n].reserve(&store, &lines, at(now)).unwrap() {
                        open[n].push((cost, reservation));
                        let ledger = shared(&store);
                        prop_assert!(cost == 0 || spent(&ledger, all, at(now)) + ledger.reserved(all).0 <= LIMIT);
                    }
                }
                Step::Settle { which, percent } if !open[n].is_empty() => {
                    let which = which.index(open[n].len());
                    let (cost, reservation) = open[n].swap_remove(which);
                    let actual = cost * percent / 100;
                    views[n].settle(&store, &reservation, spend(actual), at(now)).unwrap();
                    paid += actual;
                    beyond += actual.saturating_sub(cost);
                }
                Step::Move { which } if !open[n].is_empty() => {
                    let which = which.index(open[n].len());
                    let (cost, reservation) = open[n][which];
                    let lines = [line(all, cost), line(AccountKey::of_backend("b"), cost)];
                    let (moved, written) = views[n].transfer(&store, Some(reservation), &lines, at(now));
                    written.unwrap();
                    open[n][which].1 = moved;
                }
                Step::Settle { .. } | Step::Move { .. } => {}
                Step::Tick => views[n].refresh(&store, at(now)).unwrap(),
                Step::Die => {
                    name += 1;
                    views[n] = View::new(name);
                    views[n].open_books(&store).unwrap();
                    paid += open[n].drain(..).map(|(cost, _)| cost).sum::<u64>();
                    // The others show that they live, and find that this one does not.
                    for _ in 0..17 {
                        now += 1;
                        for view in &mut views {
 view.refresh(&store, at(now)).unwrap();
}
                    }
                }
                Step::Clock { seconds } => {
                    clock_is_set = true;
                    now = now.saturating_add_signed(seconds);
                    for view in &mut views {
 view.refresh(&store, at(now)).unwrap();
}
                }
            }
            let ledger = shared(&store);
            let reserved = ledger.reserved(all).0;
            prop_assert!(clock_is_set || spent(&ledger, all, at(now)) + reserved <= LIMIT + beyond);
            let held: u64 = open.iter().flatten().map(|(cost, _)| cost).sum();
            prop_assert!(reserved <= held, "{} of {}", reserved, held);
        }
        for (n, open) in open.into_iter().enumerate() {
            for (cost, reservation) in open {
                views[n].settle(&store, &reservation, spend(cost), at(now)).unwrap();
                paid += cost;
            }
        }
        let ledger = shared(&store);
        prop_assert_eq!((ledger.reserved(all), ledger.reserved(a)), (PicoUsd(0), PicoUsd(0)));
        prop_assert!(clock_is_set || spent(&ledger, all, at(now)) <= LIMIT + beyond);
        if !clock_is_set {
            let day = ledger.account(all).map(|account| account.spending(Span::Day, at(now)).spent().0);
            prop_assert_eq!(day.unwrap_or(0), paid);
        }
    }

    #[test]
    fn money_is_exact_in_the_end_even_if_writes_fail(
        steps in prop::collection::vec((0..3_usize, 0..4_u8, 1..100_u64), 0..120), seed in any::<u32>()
    ) {
        let memory = MemoryStore::default();
        let store = Flaky::new(&memory, seed);
        let mut views = views(&store, 3);
        for view in &mut views {
 while view.refresh(&store, at(0)).is_err() {}
}
        let mut open: Vec<Vec<Reservation>> = vec![Vec::new(); 3];
        let mut paid = 0;
        for (n, event, cost) in steps {
            let lines = [line(AccountKey::ALL, cost)];
            match event {
                0 => if let Ok(Ok(reservation)) = views[n].reserve(&store, &lines, at(0)) {
                    open[n].push(reservation);
                },
                1 => open[n].push(views[n].transfer(&store, None, &lines, at(0)).0),
                2 => if let Some(reservation) = open[n].pop() {
                    let _ = views[n].settle(&store, &reservation, spend(cost), at(0));
                    paid += cost;
                },
                _ => _ = views[n].refresh(&store, at(0)),
            }
        }
        for view in &mut views {
            while view.refresh(&store, at(0)).is_err() {}
        }
        let ledger = shared(&memory);
        prop_assert_eq!(spent(&ledger, AccountKey::ALL, at(0)), paid + store.rival.get());
        let held: u64 = open.iter().flatten().map(|reservation| reservation.cost.0).sum();
        prop_assert_eq!(ledger.reserved(AccountKey::ALL).0, held);
    }

    /// A worker that stands still is taken for dead, and comes back with its requests.
    #[test]
    fn each_request_is_paid_once_even_if_writes_fail_and_workers_stand_still(
        steps in prop::collection::vec((0..3_usize, 0..8_u8, 1..100_u64), 0..120), seed in any::<u32>()
    ) {
        let memory = MemoryStore::default();
        let store = Flaky::new(&memory, seed);
        let mut views = views(&store, 3);
        let (mut now, mut slept) = (0, [false; 3]);
        let mut open: Vec<Vec<Reservation>> = vec![Vec::new(); 3];
        // What the ledger has too much, since nobody could tell it that a request went somewhere cheaper.
        let mut unheard = 0;
        // By worker, what each of its requests cost, and what was reserved for it.
        let mut over: Vec<Vec<(u64, u64)>> = vec![Vec::new(); 3];
        for (n, event, cost) in steps {
            let lines = [line(AccountKey::ALL, cost)];
            match event {
                0 | 1 => if let Ok(Ok(reservation)) = views[n].reserve(&store, &lines, at(now)) {
                    open[n].push(reservation);
                },
                2 => open[n].push(views[n].transfer(&store, None, &lines, at(now)).0),
                3 => if let Some(before) = open[n].pop() {
                    let (moved, written) = views[n].transfer(&store, Some(before), &lines, at(now));
                    unheard += if written.is_err() { before.cost.minus(moved.cost).0 } else { 0 };
                    open[n].push(moved);
                },
                4 | 5 => if let Some(reservation) = open[n].pop() {
                    let _ = views[n].settle(&store, &reservation, spend(cost), at(now));
                    over[n].push((cost, reservation.cost.0));
                },
                6 => _ = views[n].refresh(&store, at(now)),
                _ => {
                    slept[n] = true;
                    for _ in 0..17 {
                        now += 1;
                        for (_, view) in views.iter_mut().enumerate().filter(|&(other, _)| other != n) {
                            while view.refresh(&store, at(now)).is_err() {}
                        }
                    }
                }
            }
        }
        for n in 0..3 {
            for reservation in open[n].drain(..) {
                let _ = views[n].settle(&store, &reservation, spend(50), at(now));
                over[n].push((50, reservation.cost.0));
            }
            while views[n].refresh(&store, at(now)).is_err() {}
        }
        let ledger = shared(&memory);
        prop_assert_eq!(ledger.reserved(AccountKey::ALL), PicoUsd(0));
        let day = ledger.account(AccountKey::ALL).map_or(0, |all| all.spending(Span::Day, at(now)).spent().0);
        let paid = day - store.rival.get();
        let total = |of: fn(bool, (u64, u64)) -> u64| -> u64 {
            (0..3).map(|n| over[n].iter().map(|&request| of(slept[n], request)).sum::<u64>()).sum()
        };
        let exact = total(|_, (cost, _)| cost);
        prop_assert!((exact..=exact + unheard).contains(&paid), "{} of {} and {}", paid, exact, unheard);
    }
}
