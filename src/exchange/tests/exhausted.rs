//! What is left to requests for which there is no money, no room, or nobody well: who serves them even so, and what those
//! are told that nobody does.

use serde_json::{Value, json};

use super::budget::{COST, all, begin, goes_to, ledger, one, rig, stands};
use super::*;
use crate::cost::Claim;
use crate::domain::{Limits, PicoUsd, Timestamp};
use crate::state::{AccountKey, Ledger, Line, MemoryStore, Spent, Store};

/// Seconds until midnight, as the world begins.
const MIDNIGHT: u64 = 86_400 - 1_000;

/// Three requests use that up.
const SMALL: f64 = 0.1;

/// Sends requests until the money of all is used up.
fn use_up(rig: &mut Rig) {
    while all(rig).0 < 3 * COST {
        goes_to(rig, &[]);
    }
}

fn refused(rig: &mut Rig) -> (&'static str, Option<u64>) {
    let refusal = begin(rig, &[]).expect_err("refused");
    (refusal.code.name(), refusal.retry_after_seconds())
}

/// Another worker with the same configuration, which knows all that was shared so far.
fn another(rig: &Rig) -> (Router, View) {
    let mut view = View::new(2);
    let router = Router::new(Arc::clone(rig.router.config()), &mut view, &rig.world, 7).expect("a router");
    view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    (router, view)
}

/// What happens at that other worker, of which this one hears nothing yet.
fn elsewhere<T>(rig: &mut Rig, other: &mut (Router, View), act: impl FnOnce(&mut Rig) -> T) -> T {
    let swap = |rig: &mut Rig, (router, view): &mut (Router, View)| {
        std::mem::swap(&mut rig.router, router);
        std::mem::swap(&mut rig.view, view);
    };
    swap(rig, other);
    let result = act(rig);
    swap(rig, other);
    result
}

#[test]
fn a_refusal_tells_the_first_moment_that_may_help_and_what_is_wanting_until_then() {
    let backends = json!({
        "a": { "cost_per_1k_tokens": 1, "daily_budget_usd": SMALL }, "b": { "max_concurrent_requests": 1, "priority": 2 },
    });
    let mut full = rig(&json!({}), &backends);
    (0..3).for_each(|_| assert_eq!(goes_to(&mut full, &[]), "a"));
    let (b, _held) = begin(&mut full, &[]).expect("served");
    assert_eq!(
        (&*b, refused(&mut full)),
        ("b", ("rate_limited", Some(1))),
        "not midnight: a place may be free any moment"
    );

    let backends = json!({
        "a": { "max_requests_per_minute": 1 }, "b": { "cost_per_1k_tokens": 1, "daily_budget_usd": SMALL, "priority": 2 },
    });
    let mut late = rig(&json!({}), &backends);
    assert_eq!(goes_to(&mut late, &[]), "a");
    let (b, _held) = begin(&mut late, &[]).expect("served");
    assert_eq!(
        (&*b, refused(&mut late)),
        ("b", ("budget_exceeded", Some(1))),
        "only spoken for; the rate is used up for longer"
    );
}

#[test]
fn of_several_shortages_the_longest_is_told() {
    let cost = json!({ "daily_budget_usd": SMALL });
    let mut two_accounts = rig(&cost, &json!({ "a": { "cost_per_1k_tokens": 1, "max_requests_per_minute": 3 } }));
    (0..3).for_each(|_| assert_eq!(goes_to(&mut two_accounts, &[]), "a"));
    assert_eq!(refused(&mut two_accounts), ("budget_exceeded", Some(MIDNIGHT)));

    let mut one_account =
        one(&json!({ "tenants": { "default": { "daily_budget_usd": SMALL, "max_requests_per_minute": 1 } } }));
    let _held = begin(&mut one_account, &[]).expect("served");
    assert_eq!(refused(&mut one_account), ("rate_limited", Some(61)), "not in a second, when the money may be free");
}

/// Beyond the budget the cheapest serves: it is not for want of money that nobody does.
fn beyond(more: &Value) -> Rig {
    let backend = |price: f64| {
        let mut backend = json!({ "cost_per_1k_tokens": price });
        for (key, value) in more.as_object().expect("an object") {
            backend[key] = value.clone();
        }
        backend
    };
    let mut rig = Rig::new(&json!({
        "strategy": "round_robin", "backend_instances": { "a": backend(1.0), "b": backend(0.9) },
        "cost": { "daily_budget_usd": SMALL, "on_exhausted": "cheapest" },
    }));
    use_up(&mut rig);
    rig
}

#[test]
fn beyond_the_budget_a_full_fleet_is_full_and_the_dearer_serves_while_the_cheapest_is() {
    let mut rig = beyond(&json!({ "max_concurrent_requests": 1 }));
    let held: Vec<_> = (0..2).map(|_| begin(&mut rig, &[]).expect("served")).collect();
    assert_eq!([&*held[0].0, &*held[1].0], ["b", "a"]);
    assert_eq!(refused(&mut rig), ("rate_limited", Some(1)));
}

#[test]
fn beyond_the_budget_an_ill_fleet_is_ill_and_is_asked_in_panic_as_ever() {
    for (panic_threshold, outcome) in [(0, Err("no_backend_available")), (1, Ok(()))] {
        let breaker = json!({ "failure_threshold": 1, "recovery_timeout_seconds": 10 });
        let mut rig = Rig::new(&json!({
            "strategy": "round_robin", "panic_threshold": panic_threshold,
            "backend_instances": {
                "a": { "cost_per_1k_tokens": 1, "circuit_breaker": breaker },
                "b": { "cost_per_1k_tokens": 0.9, "circuit_breaker": breaker },
            },
            "cost": { "daily_budget_usd": SMALL, "on_exhausted": "cheapest" },
        }));
        use_up(&mut rig);
        for _ in 0..2 {
            let (_, mut exchange) = begin(&mut rig, &[]).expect("served");
            rig.answer(&mut exchange, 500, 1, Some("{}"), 0);
        }
        let decided = begin(&mut rig, &[]).map(drop).map_err(|refusal| refusal.code.name());
        assert_eq!(decided, outcome);
    }
}

#[test]
fn a_backend_over_its_own_budget_does_not_make_a_full_one_wanting_of_money() {
    let backends = json!({
        "a": { "cost_per_1k_tokens": 1, "daily_budget_usd": SMALL },
        "b": { "cost_per_1k_tokens": 1, "max_concurrent_requests": 1, "priority": 2 },
    });
    let mut rig = rig(&json!({ "on_exhausted": "cheapest" }), &backends);
    (0..3).for_each(|_| assert_eq!(goes_to(&mut rig, &[]), "a"));
    let _held = begin(&mut rig, &[]).expect("served");
    assert_eq!(refused(&mut rig), ("rate_limited", Some(1)));
}

#[test]
fn beyond_the_budget_requests_wait_for_a_place_too() {
    for (on_exhausted, may_wait) in [("cheapest", true), ("refuse", false)] {
        let mut rig = Rig::new(&json!({
            "backend_instances": { "a": { "cost_per_1k_tokens": 1, "max_concurrent_requests": 1 } },
            "cost": { "daily_budget_usd": SMALL, "on_exhausted": on_exhausted }, "queue": { "size": 2 },
        }));
        use_up(&mut rig);
        let mut first = Exchange::default();
        assert_eq!(rig.send(&mut first, &[], CHAT) == Flow::Continue, may_wait);
        assert_eq!(rig.send(&mut Exchange::default(), &[], CHAT) == Flow::Wait, may_wait);
    }
}

#[test]
fn who_learns_in_turn_of_a_spent_budget_and_of_every_full_backend_goes_beyond_no_limit() {
    let one = |price: f64| json!({ "cost_per_1k_tokens": price, "max_concurrent_requests": 1 });
    let cost = json!({ "daily_budget_usd": SMALL, "on_exhausted": "cheapest" });
    let mut rig = rig(&cost, &json!({ "a": one(1.0), "b": one(1.0), "c": one(1.0) }));
    let mut other = another(&rig);
    let _held: Vec<_> = elsewhere(&mut rig, &mut other, |rig| {
        use_up(rig);
        (0..3).map(|_| begin(rig, &[]).expect("served")).collect()
    });
    assert_eq!(refused(&mut rig), ("rate_limited", Some(1)));
    assert_eq!((rig.in_flight(), rig.metric("undecided")), (vec![1, 1, 1], 0));
    assert_eq!(all(&rig).0, 3 * COST);
}

/// A ledger in which that backend's budget is spent.
fn spent_by(backend: &str, limits: &Limits, now: Timestamp) -> Vec<u8> {
    let (store, mut view) = (MemoryStore::default(), View::new(1));
    view.open_books(&store).expect("open");
    let account = AccountKey::of_backend(backend);
    let lines = [Line { account, limits: *limits, claim: Claim::default(), paces: false }];
    let reservation = view.reserve(&store, &lines, now).expect("stored").expect("enough");
    view.settle(&store, &reservation, Spent { cost: PicoUsd(u64::MAX), ..Spent::default() }, now).expect("stored");
    store.get(Ledger::KEY).expect("readable").expect("a ledger").0
}

#[test]
fn where_others_are_faster_each_time_the_default_backend_serves_within_its_limits_or_nobody() {
    for rounds in [6, 7] {
        let mut rig = rig(&json!({}), &{
            let one = json!({ "cost_per_1k_tokens": 1, "daily_budget_usd": SMALL });
            json!({ "a": one, "b": one })
        });
        let limits = rig.router.config().backends[0].limits;
        // Whenever this worker asks for one of them, that one's money has just been spent, and the other's is there again.
        let turns = ["a", "b"].into_iter().cycle().take(rounds);
        let now = rig.world.now();
        rig.world.rivals.replace(turns.map(|id| (Ledger::KEY, spent_by(id, &limits, now))).collect());
        let decided = begin(&mut rig, &[]).map(|(backend, _)| backend).map_err(|refusal| refusal.code.name());
        // The seventh time it asks for the default backend once more.
        assert_eq!(decided, if rounds == 7 { Err("rate_limited") } else { Ok("a".to_owned()) });
        assert_eq!(rig.metric("undecided"), 1);
    }
}

#[test]
fn a_request_that_finds_its_place_taken_counts_in_no_rate() {
    let limits = json!({ "max_concurrent_requests": 1, "max_requests_per_minute": 10, "max_tokens_per_minute": 1_000 });
    let mut rig = rig(&json!({ "daily_budget_usd": 9 }), &json!({ "a": limits }));
    let mut other = another(&rig);
    let _held = elsewhere(&mut rig, &mut other, |rig| begin(rig, &[]).expect("served"));
    let minute = |rig: &Rig| ledger(rig).account(AccountKey::of_backend("a")).map(|a| a.minute(rig.world.now()));
    let (before, stood) = (minute(&rig), stands(&rig, AccountKey::ALL));
    assert_eq!(refused(&mut rig), ("rate_limited", Some(1)));
    assert_eq!((minute(&rig), stands(&rig, AccountKey::ALL)), (before, stood));
}
