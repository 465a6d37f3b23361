//! Histories of several workers at one ledger.

use proptest::prelude::*;

use super::*;
use crate::domain::{Limits, Span};
use crate::routing::testing::at;
use crate::state::{MemoryStore, View};

const LIMIT: u64 = 1_000;

fn limits() -> Limits {
    Limits { hourly_budget: Some(PicoUsd(LIMIT)), ..Limits::default() }
}

fn line(account: AccountKey, cost: u64) -> Line {
    Line { account, limits: limits(), claim: Claim { cost: PicoUsd(cost), tokens: Tokens(1) }, paces: false }
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

/// A store that refuses some of the accesses.
struct Flaky<'a>(&'a MemoryStore, std::cell::Cell<u32>);

impl Flaky<'_> {
    fn refuses(&self) -> bool {
        self.1.set(self.1.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        self.1.get() >> 30 == 0
    }
}

impl Store for Flaky<'_> {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
        if self.refuses() { Err(StoreError::Host) } else { self.0.get(key) }
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<bool, StoreError> {
        if self.refuses() { Ok(false) } else { self.0.set(key, value, cas) }
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
        5 => (any::<prop::sample::Index>(), 0..=100_u64).prop_map(|(which, percent)| Step::Settle { which, percent }),
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
        for (n, step) in steps {
            match step {
                Step::Reserve { cost } => {
                    let lines = [line(all, cost), line(a, cost)];
                    if let Ok(reservation) = views[n].reserve(&store, &lines, at(now)).unwrap() {
                        open[n].push((cost, reservation));
                    }
                }
                Step::Settle { which, percent } if !open[n].is_empty() => {
                    let which = which.index(open[n].len());
                    let (cost, reservation) = open[n].swap_remove(which);
                    let actual = cost * percent / 100;
                    views[n].settle(&store, &reservation, spend(actual), at(now)).unwrap();
                    paid += actual;
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
                    for _ in 0..2 {
                        now += 10;
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
            prop_assert!(spent(&ledger, all, at(now)) + reserved <= LIMIT);
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
        prop_assert!(spent(&ledger, all, at(now)) <= LIMIT);
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
        let store = Flaky(&memory, std::cell::Cell::new(seed));
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
        prop_assert_eq!(spent(&ledger, AccountKey::ALL, at(0)), paid);
        let held: u64 = open.iter().flatten().map(|reservation| reservation.claim.cost.0).sum();
        prop_assert_eq!(ledger.reserved(AccountKey::ALL).0, held);
    }
}
