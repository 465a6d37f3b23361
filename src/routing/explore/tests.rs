//! Who is explored, how often, and who never is.

use std::cell::OnceCell;
use std::time::Duration;

use super::*;
use crate::domain::{Backend, PerMille, Price, Prices, Tokens};
use crate::health::{BreakerPhase, Hosts};
use crate::routing::testing::{Rig, at, backend};
use crate::routing::{Exclusion, Peers};
use crate::state::Backends;

const EXPLORING: [Strategy; 3] = [Strategy::CostOptimized, Strategy::PerformanceBased, Strategy::QualityBased];

/// The first is the best by cost, speed and quality; all others are equally worse.
fn fleet(backends: usize) -> Rig {
    let one = |n: usize| Backend {
        prices: Prices { input: Price::from_usd_per_1k(if n == 0 { 0.01 } else { 0.02 }), ..Prices::default() },
        quality: PerMille::new(if n == 0 { 950 } else { 900 }),
        expected_response_time: Duration::from_millis(if n == 0 { 1_000 } else { 1_500 }),
        ..backend(&n.to_string())
    };
    let mut rig = Rig::new((0..backends).map(one).collect());
    rig.exploration = PerMille::new(100);
    rig
}

/// What is shown of the probabilities.
fn shown(rig: &Rig, strategy: Strategy) -> Vec<f64> {
    shown_with(rig, strategy, &[])
}

fn shown_with(rig: &Rig, strategy: Strategy, means: &[Result<f64, Exclusion>]) -> Vec<f64> {
    let (fleet, pooled) = (rig.fleet(), OnceCell::new());
    let ask = Ask {
        facts: &rig.facts,
        need: rig.need(),
        text: rig.text,
        strategy,
        min_quality: None,
        panic_threshold: rig.panic_threshold,
        reserved: Backends::NONE,
        means,
        peers: Peers::new(fleet, rig.now, &pooled),
        exploration: rig.exploration,
        source: None,
    };
    explorations(&fleet, &ask, rig.now)
}

fn is_about(share: f64, due: f64) -> bool {
    (share - due).abs() < 1e-6
}

#[test]
fn the_share_is_explored_and_drawn_as_it_is_shown() {
    for strategy in EXPLORING {
        let mut rig = fleet(4);
        rig.change(1, |record| (0..3).for_each(|_| record.observe_answer(false, at(0))));
        let shown = shown(&rig, strategy);
        // By how little is known: 1 / (1 + 3), 1, 1.
        for (share, due) in shown.iter().zip([0.0, 0.1 / 9.0, 0.4 / 9.0, 0.4 / 9.0]) {
            assert!(is_about(*share, due), "{strategy:?}: {shown:?}");
        }
        let served = rig.shares(strategy, 20_000);
        for (served, share) in served[1..].iter().zip(&shown[1..]) {
            let due = 20_000.0 * share;
            assert!((*served as f64 - due).abs() < 5.0 * due.sqrt(), "{strategy:?}: {served} {due}");
        }
    }
}

#[test]
fn without_exploration_nothing_changes_and_no_luck_is_spent() {
    for strategy in Strategy::ALL {
        let mut rig = fleet(3);
        rig.exploration = PerMille::new(0);
        let without: Vec<_> = (0..200).map(|_| rig.order(strategy, 3)).collect();
        assert!(shown(&rig, strategy).iter().all(|&share| share <= 0.0));
        if EXPLORING.contains(&strategy) {
            assert!(without.iter().all(|order| order[0] == 0), "{strategy:?}");
            continue;
        }
        // Those that do not go by what was measured explore at no setting.
        let mut exploring = fleet(3);
        exploring.exploration = PerMille::new(500);
        let with: Vec<_> = (0..200).map(|_| exploring.order(strategy, 3)).collect();
        assert_eq!(with, without, "{strategy:?}");
    }
}

#[test]
fn the_best_one_is_tried_next_so_that_a_bad_explorer_costs_one_failover() {
    for strategy in EXPLORING {
        let mut rig = fleet(4);
        let (mut explored, mut best) = (0, 0);
        for _ in 0..2_000 {
            let attempts = rig.plan(strategy, 4, None, at(0)).expect("somebody");
            let order: Vec<_> = attempts.as_slice().iter().map(|b| b.get()).collect();
            match attempts.explores() {
                Some(requests) => {
                    explored += 1;
                    assert!(order[0] != 0 && order[1] == 0, "{strategy:?}: {order:?}");
                    assert_eq!(requests, 30, "a tenth, a third of it");
                }
                None => best += usize::from(order[0] == 0),
            }
            let mut all = order.clone();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3], "{strategy:?}");
        }
        assert_eq!(explored + best, 2_000, "{strategy:?}");
        assert!((130..=270).contains(&explored), "{strategy:?}: {explored}");
    }
}

#[test]
fn what_is_not_well_or_not_to_be_had_is_never_explored() {
    type Change = fn(&mut Rig);
    let changes: [(&str, Change); 9] = [
        ("its breaker is open", |rig| rig.open_breaker(1)),
        ("it is on probation", |rig| {
            rig.change(1, |record| record.breaker.phase = BreakerPhase::HalfOpen);
        }),
        ("it is coming back", |rig| {
            let settings = rig.backends[1].breaker.expect("a breaker");
            rig.open_breaker(1);
            rig.now = at(100);
            rig.change(1, |record| {
                for _ in 0..settings.half_open_max_requests {
                    let pass = record.breaker.enter(&settings, Tokens(0), at(100)).expect("a probe");
                    record.breaker.leave(pass, crate::health::Verdict::Well, None, &settings, at(100));
                }
                assert_eq!(record.breaker.phase, BreakerPhase::Closed);
            });
        }),
        ("it is drained", |rig| rig.backends[1].draining = true),
        ("it has no host", |rig| {
            let hosts = Hosts { available: PerMille::new(0), valid_until: at(10), ..Hosts::default() };
            rig.change(1, |record| record.hosts = hosts);
        }),
        ("it has no place", |rig| {
            rig.backends[1].max_concurrent_requests = Some(1);
            rig.change(1, |record| record.set_load_at(7, crate::state::Load::default().with(Tokens(1))));
        }),
        ("it is of a later tier", |rig| rig.backends[1].priority = 2),
        ("it fails every other answer", |rig| {
            rig.backends[1].breaker = None;
            rig.change(1, |record| (0..60).for_each(|n| record.observe_answer(n % 2 == 0 || n > 40, at(0))));
        }),
        ("its provider refuses", |rig| {
            let report = crate::domain::QuotaReport {
                requests: Some(crate::domain::Allowance { remaining: 0, limit: Some(100), resets: at(60) }),
                ..crate::domain::QuotaReport::default()
            };
            rig.change(1, |record| record.quota.note(&report, Tokens(0), None, at(0)));
        }),
    ];
    for strategy in EXPLORING {
        for (name, change) in changes {
            let mut rig = fleet(3);
            change(&mut rig);
            let shown = shown(&rig, strategy);
            assert!(shown[1] <= 0.0, "{strategy:?}, {name}: {shown:?}");
            assert!(is_about(shown[2], 0.1), "{strategy:?}, {name}: the other one has its share: {shown:?}");
            for _ in 0..500 {
                let attempts = rig.plan(strategy, 2, None, rig.now).expect("somebody");
                let is_explored = attempts.explores().is_some();
                assert!(!is_explored || attempts.first().get() == 2, "{strategy:?}, {name}");
            }
        }
    }
}

#[test]
fn what_money_keeps_back_is_not_explored() {
    for strategy in EXPLORING {
        let rig = fleet(3);
        let over = Err(Exclusion::OverBudget { retry_at: at(60) });
        assert!(shown_with(&rig, strategy, &[Ok(1.0), over, over]).iter().all(|&share| share <= 0.0), "one is left");
        let shown = shown_with(&rig, strategy, &[Ok(1.0), Ok(0.3), Ok(1.0)]);
        assert!(shown[1] <= 0.0 && is_about(shown[2], 0.1), "{strategy:?}: {shown:?}");
    }
}

#[test]
fn one_that_is_alone_or_equal_to_the_best_is_not_explored() {
    for strategy in EXPLORING {
        assert_eq!(shown(&fleet(1), strategy), [0.0]);
        let mut equal = Rig::new(["a", "b", "c"].map(backend).into());
        equal.exploration = PerMille::new(100);
        assert_eq!(shown(&equal, strategy), [0.0; 3], "they share the load as it is");
        assert!((0..500).all(|_| equal.plan(strategy, 2, None, at(0)).expect("somebody").explores().is_none()));
    }
}

#[test]
fn a_client_that_asks_for_quality_is_not_sent_to_less() {
    for strategy in EXPLORING {
        let mut rig = fleet(3);
        rig.backends[2].quality = PerMille::new(400);
        for _ in 0..500 {
            let attempts = rig.plan(strategy, 3, Some(PerMille::new(800)), at(0)).expect("somebody");
            assert!(attempts.as_slice().iter().all(|b| b.get() != 2), "{strategy:?}");
        }
    }
}

#[test]
fn a_backend_on_probation_that_is_the_best_keeps_its_request() {
    let mut rig = fleet(3);
    rig.exploration = PerMille::new(500);
    rig.open_breaker(0);
    for _ in 0..200 {
        let attempts = rig.plan(Strategy::CostOptimized, 3, None, at(100)).expect("somebody");
        assert!(attempts.explores().is_none() && attempts.first().get() == 0, "{attempts:?}");
    }
}

#[test]
fn one_that_was_not_asked_for_long_is_little_known_again() {
    let mut rig = fleet(3);
    rig.change(1, |record| (0..50).for_each(|_| record.observe_answer(false, at(0))));
    rig.change(2, |record| (0..3).for_each(|_| record.observe_answer(false, at(3_600))));
    rig.now = at(3_600);
    let shown = shown(&rig, Strategy::PerformanceBased);
    assert!((shown[1] - 0.08).abs() < 1e-3 && (shown[2] - 0.02).abs() < 1e-3, "{shown:?}");
}

#[test]
fn one_whose_answer_is_awaited_is_not_asked_again_at_once() {
    let mut rig = fleet(3);
    rig.change(1, |record| record.set_load_at(7, crate::state::Load { requests: 4, tokens: Tokens(9) }));
    let shown = shown(&rig, Strategy::QualityBased);
    assert!(is_about(shown[1], 0.1 / 6.0) && is_about(shown[2], 0.5 / 6.0), "{shown:?}");
}

#[test]
fn what_costs_much_more_is_explored_less_often() {
    let priced = |times: f64| {
        let mut rig = fleet(2);
        rig.backends[1].prices.input = Price::from_usd_per_1k(0.01 * times);
        shown(&rig, Strategy::CostOptimized)[1]
    };
    assert!(is_about(priced(2.0), 0.1) && is_about(priced(3.99), 0.1));
    assert!(is_about(priced(40.0), 0.01), "{}", priced(40.0));
    let mut free = fleet(2);
    free.backends[0].prices.input = Price::default();
    assert!(shown(&free, Strategy::CostOptimized)[1] < 1e-6, "beside a free one nothing is spent to see");
    assert!(is_about(shown(&free, Strategy::QualityBased)[1], 0.1), "who does not compare money does not save it");
}
