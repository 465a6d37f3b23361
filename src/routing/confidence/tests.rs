//! How sure choices are.

use std::cell::OnceCell;

use super::*;
use crate::domain::{Backend, PerMille, Price, Prices, Rng, SplitMix64, Weight};
use crate::routing::testing::{Rig, at, backend};
use crate::routing::{Ask, Peers, Turns, plan};
use crate::state::Backends;

struct Random(SplitMix64);

impl Turns for Random {
    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn smooth(&mut self, candidates: &[(BackendIndex, u32)]) -> Option<usize> {
        Some(self.0.below(candidates.len()))
    }
}

/// Who is tried first now, and how sure that is.
fn choose(rig: &Rig, strategy: Strategy, seed: u64) -> (usize, u16) {
    let (fleet, pooled) = (rig.fleet(), OnceCell::new());
    let ask = Ask {
        facts: &rig.facts,
        need: rig.need(),
        text: rig.text,
        strategy,
        min_quality: None,
        panic_threshold: rig.panic_threshold,
        reserved: Backends::NONE,
        means: &[],
        peers: Peers::new(fleet, rig.now, &pooled),
        exploration: rig.exploration,
    };
    let mut rng = SplitMix64::new(seed);
    let attempts = plan(&fleet, &ask, 2, rig.now, &mut rng, &mut Random(SplitMix64::new(seed))).expect("somebody");
    (attempts.first().get(), confidence(&fleet, &attempts, strategy, rig.now).get())
}

fn costing(id: &str, usd: f64) -> Backend {
    let price = Price::from_usd_per_1k(usd);
    Backend { prices: Prices { input: price, cached_input: price, output: price }, ..backend(id) }
}

fn rating(id: &str, quality: u16) -> Backend {
    Backend { quality: PerMille::new(quality), ..backend(id) }
}

fn answers(rig: &mut Rig, backend: usize, answers: u32) {
    rig.change(backend, |record| (0..answers).for_each(|_| record.evidence.observe(at(0))));
}

#[test]
fn it_grows_with_the_lead_and_with_what_is_known_of_the_lesser_known() {
    // A quarter of the cost of the other: three quarters ahead.
    let mut rig = Rig::new(vec![costing("a", 0.01), costing("b", 0.04)]);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 0), "nobody was measured");
    answers(&mut rig, 0, 8);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 0), "the other was not");
    answers(&mut rig, 1, 8);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 375), "half measured");
    answers(&mut rig, 0, 1_000);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 375), "as much as the lesser known");
    answers(&mut rig, 1, 64);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 675), "72 of 80");
    rig.now = at(3_600);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1).1, 0, "that was an hour ago");
}

#[test]
fn figures_that_are_compared_either_way_have_a_lead() {
    let mut rig = Rig::new(vec![rating("a", 900), rating("b", 600)]);
    for backend in 0..2 {
        answers(&mut rig, backend, 1_000_000);
    }
    let (first, sure) = choose(&rig, Strategy::QualityBased, 1);
    assert!(first == 0 && (200..=335).contains(&sure), "{sure}");
    let mut rig = Rig::new(vec![costing("a", 0.0), costing("b", 0.04)]);
    for backend in 0..2 {
        answers(&mut rig, backend, 1_000_000);
    }
    let (first, sure) = choose(&rig, Strategy::CostOptimized, 1);
    assert!(first == 0 && sure >= 990, "{sure}: beside one that is free");
}

#[test]
fn of_those_that_tie_none_is_ahead_whatever_is_known() {
    for strategy in [Strategy::CostOptimized, Strategy::QualityBased, Strategy::RoundRobin, Strategy::LeastConnections]
    {
        let mut rig = Rig::new(vec![costing("a", 0.01), costing("b", 0.01), costing("c", 0.01)]);
        for backend in 0..3 {
            answers(&mut rig, backend, 1_000);
        }
        for seed in 0..20 {
            assert_eq!(choose(&rig, strategy, seed).1, 0, "{strategy:?}");
        }
    }
}

#[test]
fn shares_that_are_configured_need_no_measurement() {
    let weighing = |id: &str, weight| Backend { weight: Weight::from_thousandths(weight), ..backend(id) };
    let rig = Rig::new(vec![weighing("a", 4_000), weighing("b", 1_000)]);
    let mut seen = [false; 2];
    for seed in 0..100 {
        let (first, sure) = choose(&rig, Strategy::Weighted, seed);
        seen[first] = true;
        // The lesser share is chosen, too, in its turn: nothing speaks for it.
        assert_eq!(sure, [750, 0][first]);
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn who_is_alone_is_as_sure_as_it_is_known() {
    let mut rig = Rig::new(vec![costing("a", 0.01)]);
    assert_eq!(choose(&rig, Strategy::RoundRobin, 1), (0, 1_000));
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 0));
    answers(&mut rig, 0, 8);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 500));
    // Those of a later tier are no rivals.
    let mut rig = Rig::new(vec![costing("a", 0.01), Backend { priority: 2, ..costing("b", 0.001) }]);
    answers(&mut rig, 0, 8);
    assert_eq!(choose(&rig, Strategy::CostOptimized, 1), (0, 500));
}

#[test]
fn who_is_not_tried_for_being_the_best_is_not_sure() {
    let mut rig = Rig::new(vec![costing("a", 0.01), costing("b", 0.04)]);
    for backend in 0..2 {
        answers(&mut rig, backend, 1_000);
    }
    rig.exploration = PerMille::new(500);
    let mut seen = [false; 2];
    for seed in 0..100 {
        let (first, sure) = choose(&rig, Strategy::CostOptimized, seed);
        seen[first] = true;
        assert_eq!(sure > 0, first == 0, "{sure}");
    }
    assert_eq!(seen, [true, true], "some explore");
    // An ill one, since nobody is well.
    let mut rig = Rig::new(vec![backend("a")]);
    rig.panic_threshold = PerMille::ONE;
    rig.open_breaker(0);
    assert_eq!(choose(&rig, Strategy::RoundRobin, 1), (0, 0));
}
