//! Now and then another backend than the best one is tried first, so that a choice does not stick.
//!
//! What is measured is only measured where requests go. A backend that became fast or well, or that never was asked, keeps
//! the figures it had, and whoever compares figures never goes there again. So strategies that compare what was measured
//! (cost, performance, quality) *explore*: a share of the requests, [`Ask::exploration`], is sent first to one of the
//! others, and to the best one if that fails. `round_robin`, the weights and `health_aware` need none, since each backend
//! has its share; nor does `least_connections`, which compares what is known at any time.
//!
//! Who is explored is drawn by how little is known: `part / (1 + evidence + in flight)`, with the answers of the last
//! minutes as [evidence](crate::learning::Evidence); one whose answer is still awaited is not asked again at once. Only
//! the best tier takes part, and of it nobody who ties with the best (it gets requests anyway), is on probation or coming
//! back, is held back to save money, or fails every other answer. Where money is compared, a backend at which the request
//! costs more than four times as much as at the best is explored less often in proportion, so that exploration adds at
//! most three times its share to what is spent.
//!
//! Draws are independent of each other, each with a probability that is known and can be shown: an answer that was
//! explored with probability p stands for 1/p requests (Horvitz and Thompson 1952), which is what its response time
//! counts for. Rejected: upper confidence bounds and Thompson's sampling explore less in the long run, but rest on a
//! distribution that does not change, and prices and speeds turn.

use super::candidates::Candidate;
use super::strategy::{Merit, Strategy};
use super::{Ask, Fleet, candidates};
use crate::domain::{BackendIndex, Rng, Timestamp};

/// How many times what the best one costs a backend may cost that is explored as often as others.
const DEAR: f64 = 4.0;

/// Below this health a backend is not explored: it fails every other answer, or nearly.
const WELL: f64 = 0.5;

/// Scores that differ by less than this share of them are equal.
const TIE: f64 = 1e-9;

/// Draws whether to explore, and whom; and with what probability that one was drawn.
pub(super) fn explore<'a>(
    tier: impl Iterator<Item = &'a Candidate<'a>> + Clone,
    ask: &Ask<'_>,
    now: Timestamp,
    rng: &mut impl Rng,
) -> Option<(BackendIndex, f64)> {
    if ask.exploration.get() == 0 || !explores(ask.strategy) {
        return None;
    }
    let mut point = rng.ratio();
    if point >= ask.exploration.ratio() {
        return None;
    }
    chances(tier, ask, now).into_iter().find(|&(_, chance)| {
        let is_drawn = point < chance;
        point -= chance;
        is_drawn
    })
}

/// With what probability each backend is explored by a request: by position in the fleet; 0 for all where none is.
pub fn explorations(fleet: &Fleet<'_>, ask: &Ask<'_>, now: Timestamp) -> Vec<f64> {
    let mut all = vec![0.0; fleet.backends.len()];
    if ask.exploration.get() > 0 && explores(ask.strategy) {
        let eligible: Vec<Candidate<'_>> = candidates(fleet, ask, now).filter_map(Result::ok).collect();
        let best = eligible.iter().map(|candidate| candidate.backend.priority).min();
        let tier = eligible.iter().filter(|candidate| Some(candidate.backend.priority) == best);
        for (index, chance) in chances(tier, ask, now) {
            if let Some(place) = all.get_mut(index.get()) {
                *place = chance;
            }
        }
    }
    all
}

/// Whether a strategy goes by what was measured and leaves some without requests.
const fn explores(strategy: Strategy) -> bool {
    match strategy {
        Strategy::CostOptimized | Strategy::PerformanceBased | Strategy::QualityBased => true,
        Strategy::RoundRobin
        | Strategy::Weighted
        | Strategy::WeightedRoundRobin
        | Strategy::LeastConnections
        | Strategy::HealthAware => false,
    }
}

/// Those of a tier that may be explored, each with the probability that it is.
#[cold]
fn chances<'a>(
    tier: impl Iterator<Item = &'a Candidate<'a>> + Clone,
    ask: &Ask<'_>,
    now: Timestamp,
) -> Vec<(BackendIndex, f64)> {
    let score = |candidate: &Candidate<'_>| match Merit::plain(candidate, ask, now) {
        Merit::Lowest(score) => score,
        Merit::Highest(score) | Merit::Share(score) => -score,
    };
    let Some((best, least)) = tier
        .clone()
        .map(|candidate| (candidate, score(candidate)))
        .reduce(|best, next| if next.1 < best.1 { next } else { best })
    else {
        return Vec::new();
    };
    let others: Vec<_> = tier
        .filter(|candidate| score(candidate) - least > TIE * least.abs() && may_be_explored(candidate, ask, now))
        .map(|candidate| (candidate, unknown(candidate, now)))
        .collect();
    let whole: f64 = others.iter().map(|(_, unknown)| unknown).sum();
    let affordable = |candidate: &Candidate<'_>| {
        if ask.strategy != Strategy::CostOptimized {
            return 1.0;
        }
        let cost = |of: &Candidate<'_>| ask.estimate(of.backend, of.record).cost.0 as f64 + 1.0;
        (DEAR * cost(best) / cost(candidate)).min(1.0)
    };
    let chance = |(candidate, unknown): (&Candidate<'_>, f64)| {
        (candidate.index, ask.exploration.ratio() * unknown / whole * affordable(candidate))
    };
    others.into_iter().map(chance).collect()
}

/// How little is known of it, of late.
fn unknown(candidate: &Candidate<'_>, now: Timestamp) -> f64 {
    let record = candidate.record;
    candidate.terms.part / (1.0 + record.evidence.read(now) + f64::from(record.in_flight()))
}

/// Whether a backend may be tried although others are better.
fn may_be_explored(candidate: &Candidate<'_>, ask: &Ask<'_>, now: Timestamp) -> bool {
    let Candidate { index, backend, record, terms } = candidate;
    let is_back = || backend.breaker.is_none_or(|breaker| record.breaker.ramp(&breaker, now) >= 1.0);
    let is_paid_for = || ask.means.get(index.get()).is_none_or(|means| means.is_ok_and(|part| part >= 1.0));
    ask.facts.is_evidence(backend)
        && !terms.probe
        && is_back()
        && is_paid_for()
        && record.health_of_its_own(backend, now) >= WELL
}

#[cfg(test)]
mod tests;
