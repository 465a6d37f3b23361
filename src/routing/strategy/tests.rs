//! What each strategy chooses, and what all of them keep to.

mod failing;
mod stuck;

use std::time::Duration;

use proptest::prelude::*;

use super::{Merit, Strategy, Term};
use crate::domain::{ApiNeed, Backend, PerMille, Price, Prices, ProbeSettings, Timestamp, Tokens, Weight};
use crate::health::{Breaker, Hosts, Probes};
use crate::learning::Length;
use crate::routing::testing::{Rig, at, backend};
use crate::routing::{Ask, Fleet, Peers, candidates};
use crate::state::{Backends, Load};

fn weighing(id: &str, thousandths: u32) -> Backend {
    Backend { weight: Weight::from_thousandths(thousandths), ..backend(id) }
}

fn charging(id: &str, input: f64, output: f64, quality: u16) -> Backend {
    let [input, output] = [input, output].map(Price::from_usd_per_1k);
    let prices = Prices { input, output, cached_input: input };
    Backend { prices, quality: PerMille::new(quality), ..backend(id) }
}

/// Envoy would send to so many thousandths of the hosts.
fn hosts(available: u16) -> Hosts {
    Hosts { available: PerMille::new(available), valid_until: at(10), ..Hosts::default() }
}

/// A backend that the router checks itself.
fn checked(id: &str) -> Backend {
    let (interval, timeout) = (Duration::from_secs(30), Duration::from_secs(10));
    Backend {
        probe: Some(ProbeSettings { path: "/".into(), host: id.into(), interval, timeout, failures: 3, successes: 2 }),
        ..backend(id)
    }
}

fn three() -> Vec<Backend> {
    ["a", "b", "c"].map(backend).into()
}

#[test]
fn round_robin_takes_each_in_turn_and_tries_the_others_after_it_in_every_order() {
    let mut rig = Rig::new(three());
    let orders: Vec<_> = (0..7).map(|_| rig.order(Strategy::RoundRobin, 3)).collect();
    let turns = [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2], [2, 1, 0], [0, 1, 2]];
    assert_eq!(orders, turns.map(Vec::from));
}

#[test]
fn weighted_keeps_to_the_weights_within_a_request_or_two() {
    let mut rig = Rig::new(vec![weighing("a", 2_000), weighing("b", 1_000), weighing("c", 500)]);
    let shares = rig.shares(Strategy::Weighted, 3_500);
    for (share, due) in shares.iter().zip([2_000_usize, 1_000, 500]) {
        assert!(share.abs_diff(due) <= 5, "{shares:?}");
    }
}

#[test]
fn weighted_round_robin_mixes_evenly() {
    let mut rig = Rig::new(vec![weighing("a", 3_000), weighing("b", 1_000)]);
    let firsts: Vec<_> = (0..8).map(|_| rig.order(Strategy::WeightedRoundRobin, 1)[0]).collect();
    assert_eq!(firsts, [0, 0, 1, 0, 0, 0, 1, 0]);
}

#[test]
fn least_connections_fills_the_emptiest_for_its_weight() {
    let mut rig = Rig::new(vec![weighing("a", 1_000), weighing("b", 3_000), weighing("c", 1_000)]);
    rig.change(0, |r| r.set_load_at(7, Load { requests: 1, ..Load::default() }));
    rig.change(1, |r| r.set_load_at(7, Load { requests: 3, ..Load::default() }));
    rig.change(2, |r| r.set_load_at(7, Load { requests: 2, ..Load::default() }));
    assert_eq!(rig.order(Strategy::LeastConnections, 3), [1, 0, 2]);
}

#[test]
fn health_aware_gives_an_ailing_backend_less_but_not_nothing() {
    let mut rig = Rig::new(three());
    rig.change(1, |r| (0..20).for_each(|n| r.observe_answer(n % 2 == 0, at(0))));
    let shares = rig.shares(Strategy::HealthAware, 2_600);
    // Health of b: 1 - 10 / 25 = 0.6.
    for (share, due) in shares.iter().zip([1_000_usize, 600, 1_000]) {
        assert!(share.abs_diff(due) <= 5, "{shares:?}");
    }
}

#[test]
fn cost_optimized_weighs_the_cost_of_this_request_against_quality_and_speed() {
    let dear_answers = charging("a", 0.01, 0.10, 1_000);
    let dear_prompts = charging("b", 0.05, 0.05, 1_000);
    let mut rig = Rig::new(vec![dear_answers, dear_prompts]);
    rig.facts.max_output_tokens = Some(Tokens(10));
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [0]);
    rig.facts.max_output_tokens = Some(Tokens(100_000));
    let long = Length { output: Tokens(3_000), ..Length::default() };
    rig.change(0, |r| (0..99).for_each(|_| r.lengths.learn(&long)));
    rig.change(1, |r| (0..99).for_each(|_| r.lengths.learn(&long)));
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [1]);

    let mut rig = Rig::new(vec![charging("good", 0.10, 0.10, 900), charging("poor", 0.09, 0.09, 300)]);
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [0]);
    let mut rig = Rig::new(vec![charging("free", 0.0, 0.0, 500), charging("free and better", 0.0, 0.0, 900)]);
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [1]);
}

#[test]
fn performance_based_follows_latency_load_and_failures() {
    let slow = Backend { expected_response_time: Duration::from_secs(3), ..backend("slow") };
    let mut rig = Rig::new(vec![backend("a"), slow, backend("c")]);
    rig.change(0, |r| r.response_time.observe(Duration::from_millis(400), Duration::from_secs(1), at(0)));
    assert_eq!(rig.order(Strategy::PerformanceBased, 3), [0, 2, 1]);
    rig.change(0, |r| r.set_load_at(7, Load { requests: 9, ..Load::default() }));
    assert_eq!(rig.order(Strategy::PerformanceBased, 1), [2]);
    rig.change(2, |r| (0..50).for_each(|_| r.observe_answer(true, at(0))));
    assert_eq!(rig.order(Strategy::PerformanceBased, 1), [1]);
}

#[test]
fn quality_based_takes_the_best_until_it_disappoints() {
    let mut rig = Rig::new(vec![charging("a", 0.0, 0.0, 860), charging("b", 0.0, 0.0, 920)]);
    assert_eq!(rig.order(Strategy::QualityBased, 2), [1, 0]);
    rig.change(1, |r| (0..50).for_each(|_| r.observe_answer(true, at(0))));
    assert_eq!(rig.order(Strategy::QualityBased, 2), [0, 1]);
}

#[test]
fn equals_share_the_load_at_random() {
    for strategy in
        [Strategy::LeastConnections, Strategy::CostOptimized, Strategy::PerformanceBased, Strategy::QualityBased]
    {
        let shares = Rig::new(three()).shares(strategy, 3_000);
        assert!(shares.iter().all(|&n| n.abs_diff(1_000) < 120), "{strategy:?}: {shares:?}");
    }
}

/// What is explained of each backend that is eligible.
fn explained(rig: &Rig, strategy: Strategy) -> Vec<(Merit, Vec<(Term, f64)>)> {
    let fleet = Fleet { backends: &rig.backends, places: &rig.places, view: &rig.view };
    let (text, panic_threshold) = (Tokens(1_000), rig.panic_threshold);
    let ask = Ask {
        facts: &rig.facts,
        need: ApiNeed::NONE,
        text,
        strategy,
        min_quality: None,
        panic_threshold,
        means: &[],
        peers: Peers::NONE,
        exploration: PerMille::new(0),
        reserved: Backends::NONE,
        source: None,
    };
    let eligible = candidates(&fleet, &ask, at(0)).filter_map(Result::ok);
    eligible.map(|candidate| Merit::explained(&candidate, &ask, at(0))).collect()
}

#[test]
fn every_term_of_a_score_is_documented() {
    let docs = include_str!("../../../docs/strategies.md");
    for strategy in Strategy::ALL {
        let row = format!("| `{}` |", strategy.name());
        let rows: Vec<_> = docs.lines().filter(|line| line.starts_with(&row)).collect();
        for (merit, terms) in explained(&Rig::new(three()), strategy) {
            assert!(rows.iter().any(|row| row.contains(merit.name())), "{strategy:?}: {}", merit.name());
            for (term, _) in terms {
                let name = format!("`{}`", term.name());
                assert!(rows.iter().any(|row| row.contains(&name)), "{strategy:?}: {name}");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_score_that_is_explained_is_the_one_that_decides(
        backends in prop::collection::vec((1..9_000_u32, 0..100_u32, 0..=1_000_u16, 1..9_000_u64, 0..9_u32, 0..20_u32), 2..6)
    ) {
        let configured = backends.iter().enumerate().map(|(n, &(weight, price, quality, expected, ..))| Backend {
            weight: Weight::from_thousandths(weight),
            expected_response_time: Duration::from_millis(expected),
            ..charging(&n.to_string(), f64::from(price) / 1e3, 0.01, quality)
        });
        let mut rig = Rig::new(configured.collect());
        for (n, &(.., in_flight, failures)) in backends.iter().enumerate() {
            rig.change(n, |r| {
                r.set_load_at(7, Load { requests: in_flight, ..Load::default() });
                (0..failures).for_each(|_| r.observe_answer(true, at(0)));
            });
        }
        for strategy in Strategy::ALL {
            let explained = explained(&rig, strategy);
            let figures = || explained.iter().map(|(merit, _)| merit.figure());
            let first = rig.order(strategy, 1)[0];
            let chosen = figures().nth(first).unwrap();
            let (lowest, highest) = (figures().fold(f64::MAX, f64::min), figures().fold(f64::MIN, f64::max));
            match explained[first].0 {
                Merit::Share(_) => prop_assert!(lowest > 0.0, "each has a share"),
                Merit::Lowest(_) => prop_assert!((chosen - lowest).abs() <= 1e-8 * lowest.abs(), "{strategy:?}"),
                Merit::Highest(_) => prop_assert!((chosen - highest).abs() <= 1e-8 * highest.abs(), "{strategy:?}"),
            }
        }
    }
}

#[test]
fn a_higher_tier_serves_only_when_no_lower_one_can() {
    for strategy in Strategy::ALL {
        let spare = Backend { priority: 2, quality: PerMille::ONE, ..weighing("b", 900_000) };
        let mut rig = Rig::new(vec![backend("a"), spare, backend("c")]);
        assert_eq!(rig.shares(strategy, 100)[1], 0, "{strategy:?}");
        assert_eq!(rig.order(strategy, 3)[2], 1, "{strategy:?}");
        for n in [0, 2] {
            rig.open_breaker(n);
        }
        assert_eq!(rig.order(strategy, 3), [1, 1, 1], "{strategy:?}");
    }
}

#[test]
fn where_all_are_held_back_each_has_its_part_beside_the_others() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(vec![backend("a"), Backend { quality: PerMille::new(500), ..backend("b") }]);
        rig.change(0, |record| record.hosts = hosts(10));
        rig.change(1, |record| record.hosts = hosts(300));
        let shares = rig.shares(strategy, 1_000);
        assert!(shares[0] < 90, "{strategy:?}: {shares:?}");
    }
}

#[test]
fn nobody_is_an_answer_with_the_earliest_moment_to_ask_again() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(vec![Backend { max_concurrent_requests: Some(1), ..backend("a") }, backend("b")]);
        rig.change(0, |r| r.set_load_at(7, Load { requests: 1, ..Load::default() }));
        rig.open_breaker(1);
        let retry_at = rig.view.record(rig.places[1]).breaker.retry_at;
        let nobody = rig.plan(strategy, 3, None, at(1)).expect_err("nobody");
        assert_eq!((nobody.at_limit, nobody.retry_at), (Some(at(2)), Some(at(2))), "{strategy:?}: a request may end");
        rig.backends[0].draining = true;
        let nobody = rig.plan(strategy, 3, None, at(1)).expect_err("nobody");
        assert_eq!((nobody.at_limit, nobody.retry_at), (None, Some(retry_at)), "{strategy:?}");
        // It is a large one for a first try; two seconds later it will do.
        assert!(rig.plan(strategy, 3, None, retry_at.after(Duration::from_secs(2))).is_ok());
    }
}

#[test]
fn a_backend_on_probation_is_never_a_second_resort() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(three());
        rig.open_breaker(1);
        for _ in 0..50 {
            let attempts = rig.plan(strategy, 4, None, at(100)).expect("somebody");
            assert!(attempts.as_slice()[1..].iter().all(|b| b.get() != 1 || attempts.first().get() == 1));
            assert!(attempts.as_slice()[1].get() != 1, "{strategy:?}: {attempts:?}");
        }
    }
}

#[test]
fn a_client_that_asks_for_quality_gets_no_less() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(vec![charging("a", 0.0, 0.0, 860), charging("b", 0.1, 0.1, 920)]);
        let plan = |rig: &mut Rig, least| rig.plan(strategy, 1, Some(PerMille::new(least)), at(0));
        assert_eq!(plan(&mut rig, 900).map(|a| a.first().get()), Ok(1), "{strategy:?}");
        assert!(plan(&mut rig, 930).is_err());
    }
}

#[test]
fn a_backend_of_which_hosts_are_out_gets_no_more_than_its_part_whatever_the_strategy() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(three());
        let fair = rig.shares(strategy, 3_000)[1];
        // Half of its hosts are out; it is its health, too.
        rig.change(1, |r| r.hosts = hosts(500));
        let part = rig.shares(strategy, 3_000)[1] as f64 / fair as f64;
        assert!(part < 0.7, "{strategy:?}: {part}");
        // Strategies of shares leave it something; those of scores need not, if it is worse than others by its health.
        let divides = matches!(strategy, Strategy::RoundRobin | Strategy::Weighted | Strategy::WeightedRoundRobin);
        assert!(part > 0.3 || !divides, "{strategy:?}: {part}");
        rig.change(1, |r| r.hosts = hosts(0));
        assert_eq!(rig.shares(strategy, 100)[1], 0, "{strategy:?}");
        rig.change(1, |r| r.hosts.valid_until = Timestamp::default());
        assert!(rig.shares(strategy, 3_000)[1].abs_diff(fair) < 150, "{strategy:?}: an old picture says nothing");
    }
}

#[test]
fn the_best_backend_that_is_coming_back_gets_its_part_and_the_second_best_the_rest() {
    let mut rig = Rig::new(vec![charging("a", 0.001, 0.001, 900), charging("b", 0.02, 0.02, 900)]);
    assert_eq!(rig.shares(Strategy::CostOptimized, 100), [100, 0]);
    rig.change(0, |r| r.hosts = hosts(300));
    let shares = rig.shares(Strategy::CostOptimized, 1_000);
    assert!(shares[0].abs_diff(300) < 60, "{shares:?}");
}

#[test]
fn a_failure_domain_is_tried_again_only_when_there_is_no_other() {
    let of = |id, domain: &str, priority| Backend { failure_domain: domain.into(), priority, ..backend(id) };
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(vec![of("a", "eu", 1), of("b", "eu", 1), of("c", "us", 2), of("d", "us", 3)]);
        for _ in 0..20 {
            let order = rig.order(strategy, 4);
            assert_eq!(order[1], 2, "{strategy:?}: another domain first, be it of a higher tier: {order:?}");
            let mut rest = [order[0], order[2], order[3]];
            rest.sort_unstable();
            assert_eq!(rest, [0, 1, 3], "{strategy:?}: {order:?}");
        }
    }
}

#[test]
fn when_all_are_ill_they_share_what_comes_by_their_health_where_the_operator_allows_it() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(["a", "b", "c"].map(checked).into());
        for n in 0..3 {
            rig.open_breaker(n);
        }
        rig.change(1, |r| (0..5).for_each(|_| r.observe_answer(true, at(0))));
        rig.change(0, |r| {
            r.probes = Probes { unhealthy: true, score: PerMille::new(0), valid_until: at(10), ..Probes::default() }
        });
        assert!(rig.plan(strategy, 3, None, at(1)).is_err(), "{strategy:?}");
        rig.panic_threshold = PerMille::new(300);
        let mut firsts = [0; 3];
        for _ in 0..600 {
            let attempts = rig.plan(strategy, 3, None, at(1)).expect("somebody");
            assert!(attempts.is_forced() && attempts.as_slice().len() == 3, "{strategy:?}");
            firsts[attempts.first().get()] += 1;
        }
        // Healths of nothing, a half and all.
        assert!(firsts[0] <= 20 && (150..=250).contains(&firsts[1]), "{strategy:?}: {firsts:?}");
        // One is well again: it is the first, and not forced; the ill ones are no longer tried.
        rig.change(1, |r| r.breaker = Breaker::default());
        let attempts = rig.plan(strategy, 2, None, at(1)).expect("somebody");
        assert_eq!((attempts.first().get(), attempts.is_forced()), (1, false), "{strategy:?}");
        assert!(attempts.as_slice().iter().all(|b| b.get() == 1), "{strategy:?}");
        // Two in three must be well: the ill ones are a last resort.
        rig.panic_threshold = PerMille::new(600);
        let attempts = rig.plan(strategy, 2, None, at(1)).expect("somebody");
        assert!(attempts.first().get() == 1 && attempts.as_slice().len() == 2, "{strategy:?}");
        assert!(attempts.as_slice()[1].get() != 1, "{strategy:?}");
    }
}

#[test]
fn in_panic_limits_hold_as_ever() {
    let mut rig = Rig::new(vec![Backend { max_concurrent_requests: Some(2), ..backend("a") }, backend("b")]);
    rig.panic_threshold = PerMille::ONE;
    (0..2).for_each(|n| rig.open_breaker(n));
    rig.change(0, |r| r.set_load_at(7, Load { requests: 2, ..Load::default() }));
    rig.change(1, |r| r.hosts = hosts(0));
    let nobody = rig.plan(Strategy::RoundRobin, 3, None, at(1)).expect_err("nobody");
    assert!(nobody.at_limit.is_some());
    rig.change(0, |r| r.set_load_at(7, Load { requests: 1, ..Load::default() }));
    assert!(rig.plan(Strategy::RoundRobin, 3, None, at(1)).expect("a").is_forced());
}

#[test]
fn checks_that_a_configuration_no_longer_wants_say_nothing() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(three());
        let bad = Probes { unhealthy: true, score: PerMille::new(0), valid_until: at(10), ..Probes::default() };
        rig.change(1, |r| r.probes = bad);
        assert!(rig.shares(strategy, 300)[1] > 50, "{strategy:?}");
        rig.backends[1] = checked("b");
        assert_eq!(rig.shares(strategy, 300)[1], 0, "{strategy:?}");
    }
}

#[test]
fn in_panic_a_backend_on_probation_is_a_last_resort_too() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(three());
        rig.open_breaker(0);
        rig.panic_threshold = PerMille::ONE;
        for _ in 0..20 {
            let attempts = rig.plan(strategy, 3, None, at(100)).expect("somebody");
            let mut order: Vec<_> = attempts.as_slice().iter().map(|b| b.get()).collect();
            assert!(order[0] == 0 || order[2] == 0, "{strategy:?}: {order:?}");
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2], "{strategy:?}");
        }
    }
}

#[test]
fn a_backend_without_hosts_is_not_even_tried_in_panic() {
    let mut rig = Rig::new(three());
    rig.panic_threshold = PerMille::ONE;
    for n in 0..3 {
        rig.change(n, |r| r.hosts = hosts(0));
    }
    let nobody = rig.plan(Strategy::RoundRobin, 3, None, at(1)).expect_err("nobody");
    assert_eq!((nobody.at_limit, nobody.retry_at), (None, Some(at(6))));
}

proptest! {
    #[test]
    fn every_plan_is_full_eligible_and_repeats_nobody_before_it_must(
        tiers in prop::collection::vec(0..3_u32, 1..9), full in prop::collection::vec(any::<bool>(), 9),
        which in 0..Strategy::ALL.len(), wanted in 1..5_usize, seed in any::<u64>()
    ) {
        let backends: Vec<_> = tiers.iter().enumerate().map(|(n, &priority)| Backend {
            priority, max_concurrent_requests: Some(1), ..backend(&n.to_string())
        }).collect();
        let mut rig = Rig::new(backends);
        rig.rng = crate::domain::SplitMix64::new(seed);
        for n in (0..tiers.len()).filter(|&n| full[n]) {
            rig.change(n, |r| r.set_load_at(7, Load { requests: 1, ..Load::default() }));
        }
        let eligible: Vec<_> = (0..tiers.len()).filter(|&n| !full[n]).collect();
        match rig.plan(Strategy::ALL[which], wanted, None, at(0)) {
            Err(nobody) => prop_assert!(eligible.is_empty() && nobody.at_limit.is_some()),
            Ok(attempts) => {
                let order: Vec<_> = attempts.as_slice().iter().map(|b| b.get()).collect();
                prop_assert_eq!(order.len(), wanted);
                prop_assert!(order.iter().all(|n| eligible.contains(n)));
                let distinct = wanted.min(eligible.len());
                let head = &order[..distinct];
                prop_assert!((1..distinct).all(|n| !head[..n].contains(&head[n])), "{:?}", order);
                prop_assert!(head.windows(2).all(|w| tiers[w[0]] <= tiers[w[1]]), "{:?}", order);
            }
        }
    }
}
