//! Where the requests go that a backend has failed.

use super::Strategy;
use crate::domain::{Backend, Weight};
use crate::routing::testing::{Rig, backend};

const ATTEMPTS: usize = 4;

fn weighing(weights: &[u32]) -> Rig {
    let backend =
        |(n, &weight): (usize, &u32)| Backend { weight: Weight::from_thousandths(weight), ..backend(&n.to_string()) };
    Rig::new(weights.iter().enumerate().map(backend).collect())
}

/// How many requests each backend answers while these fail all of theirs, and each such request goes to the next.
fn answered(rig: &mut Rig, strategy: Strategy, requests: usize, failing: &[usize]) -> Vec<usize> {
    let mut answered = vec![0; rig.backends.len()];
    for _ in 0..requests {
        let order = rig.order(strategy, ATTEMPTS);
        if let Some(&by) = order.iter().find(|n| !failing.contains(n)) {
            answered[by] += 1;
        }
    }
    answered
}

#[test]
fn round_robin_spreads_the_turns_of_a_backend_that_fails_over_all_others_to_the_request() {
    for (backends, requests, failing, expected) in [
        (4, 600, &[0][..], &[0, 200, 200, 200][..]),
        (4, 600, &[2], &[200, 200, 0, 200]),
        (3, 600, &[1], &[300, 0, 300]),
        (5, 600, &[4], &[150, 150, 150, 150, 0]),
        // Two at once: nobody gets more for standing behind both.
        (4, 600, &[0, 1], &[0, 0, 300, 300]),
        (5, 600, &[1, 3], &[200, 0, 200, 0, 200]),
        (2, 600, &[0], &[0, 600]),
    ] {
        let mut rig = weighing(&vec![1_000; backends]);
        assert_eq!(answered(&mut rig, Strategy::RoundRobin, requests, failing), expected, "{failing:?} fail");
    }
}

#[test]
fn few_requests_are_spread_as_evenly_as_many() {
    let mut rig = weighing(&[1_000; 4]);
    assert_eq!(answered(&mut rig, Strategy::RoundRobin, 12, &[3]), [4, 4, 4, 0]);
    let shares = answered(&mut weighing(&[1_000; 9]), Strategy::RoundRobin, 90, &[0]);
    assert!(shares[1..].iter().all(|&n| n == 11 || n == 12), "{shares:?}");
}

#[test]
fn a_tier_that_takes_over_shares_what_it_takes_over() {
    for strategy in Strategy::ALL {
        let mut rig = weighing(&[1_000; 4]);
        for backend in &mut rig.backends[1..] {
            backend.priority = 2;
        }
        let shares = answered(&mut rig, strategy, 3_000, &[0]);
        assert!(shares[1..].iter().all(|n| n.abs_diff(1_000) < 120), "{strategy:?}: {shares:?}");
    }
}

#[test]
fn strategies_of_shares_spread_the_turns_of_a_backend_that_fails_by_weight() {
    for strategy in [Strategy::Weighted, Strategy::WeightedRoundRobin, Strategy::HealthAware] {
        for (weights, failing, due) in [
            ([1_000, 1_000, 1_000, 1_000], 0, [0.0, 1.0, 1.0, 1.0]),
            ([1_000, 3_000, 2_000, 1_000], 0, [0.0, 3.0, 2.0, 1.0]),
            ([4_000, 1_000, 3_000, 2_000], 2, [4.0, 1.0, 0.0, 2.0]),
        ] {
            let shares = answered(&mut weighing(&weights), strategy, 6_000, &[failing]);
            let whole: f64 = due.iter().sum();
            for (&share, due) in shares.iter().zip(due) {
                let due = 6_000.0 * due / whole;
                assert!((share as f64 - due).abs() < 150.0, "{strategy:?} {weights:?}: {shares:?}");
            }
        }
    }
}

#[test]
fn where_scores_are_equal_the_second_attempts_are_spread_evenly() {
    for strategy in
        [Strategy::LeastConnections, Strategy::CostOptimized, Strategy::PerformanceBased, Strategy::QualityBased]
    {
        let shares = answered(&mut weighing(&[1_000; 4]), strategy, 6_000, &[1]);
        assert!([0, 2, 3].iter().all(|&n| shares[n].abs_diff(2_000) < 160), "{strategy:?}: {shares:?}");
    }
}

#[test]
fn while_one_is_held_back_round_robin_spreads_by_parts_what_another_one_fails() {
    let mut rig = weighing(&[1_000; 4]);
    let hosts = crate::health::Hosts {
        available: crate::domain::PerMille::new(500),
        valid_until: crate::routing::testing::at(10),
        ..crate::health::Hosts::default()
    };
    rig.change(1, |record| record.hosts = hosts);
    let shares = answered(&mut rig, Strategy::RoundRobin, 5_000, &[0]);
    for (share, due) in shares.iter().zip([0_usize, 1_000, 2_000, 2_000]) {
        assert!(share.abs_diff(due) < 160, "{shares:?}");
    }
}
