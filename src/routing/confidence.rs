//! How sure a choice is, 0 to 1.
//!
//! `confidence = lead · measured`
//!
//! *lead* is how far the choice is ahead of the runner-up, as a share of the larger of the two figures: of the scores, or
//! of the shares of the traffic. 0 where they tie, and where the first attempt is not the best of its tier: it explores,
//! tries a backend again that was misconfigured, or goes to an ill one. 1 where there is no other in the tier.
//!
//! *measured* is `n / (n + 8)`, with `n` the answers of late ([evidence](crate::learning::Evidence)) of whichever of the
//! two is known less. From eight answers on a backend borrows nothing from others, so that is where it is a half. It is
//! 1 for strategies that go by nothing measured: the configured weights, round robin, requests in flight.

use super::strategy::Strategy;
use super::{Attempts, Fleet};
use crate::domain::{BackendIndex, PerMille, Timestamp};
use crate::state::Record;

/// Answers at which a backend counts as half measured.
const HALF: f64 = 8.0;

/// How far the best of a tier is ahead, and of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lead {
    by: PerMille,
    runner_up: Option<BackendIndex>,
}

impl Lead {
    /// It is not there for being the best.
    pub(super) const NONE: Self = Self { by: PerMille::new(0), runner_up: None };

    /// Nobody else is there.
    pub(super) const ALONE: Self = Self { by: PerMille::ONE, runner_up: None };

    /// Of one with the figure `best` over another with `next`, where the lower is the better.
    pub(super) fn over(runner_up: BackendIndex, best: f64, next: f64) -> Self {
        let largest = best.abs().max(next.abs());
        let by = if largest.is_infinite() && best.is_finite() { 1.0 } else { (next - best) / largest };
        // Of 0 and 0 it is none.
        Self { by: PerMille::from_ratio(by), runner_up: Some(runner_up) }
    }
}

/// How sure the first of these attempts is.
pub fn confidence(fleet: &Fleet<'_>, attempts: &Attempts, strategy: Strategy, now: Timestamp) -> PerMille {
    let Lead { by, runner_up } = attempts.lead();
    if by.get() == 0 || !goes_by_measurements(strategy) {
        return by;
    }
    let record = |index: BackendIndex| fleet.places.get(index.get()).map(|&place| fleet.view.record(place));
    let known = |record: &Record| record.evidence.read(now);
    let both = [Some(attempts.first()), runner_up];
    let least = both.into_iter().flatten().filter_map(record).map(known).fold(f64::INFINITY, f64::min);
    let measured = if least.is_finite() { least / (least + HALF) } else { 0.0 };
    PerMille::from_ratio(by.ratio() * measured)
}

const fn goes_by_measurements(strategy: Strategy) -> bool {
    match strategy {
        Strategy::CostOptimized | Strategy::PerformanceBased | Strategy::QualityBased | Strategy::HealthAware => true,
        Strategy::RoundRobin | Strategy::Weighted | Strategy::WeightedRoundRobin | Strategy::LeastConnections => false,
    }
}

#[cfg(test)]
mod tests;
