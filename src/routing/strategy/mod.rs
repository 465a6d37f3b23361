//! How the best of several eligible backends is chosen: one strategy, one file.
//!
//! There are two kinds. Strategies of *shares* divide the traffic: round robin, the weights, weight times health. Whose
//! turn it is is decided for all workers together ([`Turns`]). Strategies of *scores* compare: the lowest wins, and ties
//! are broken at random, so that equal backends share the load.
//!
//! A backend that is to have only a part of its usual traffic ([`Terms`]) gets that part of its share;
//! where scores are compared, it takes part in that part of the comparisons that the one that has most takes part in.

mod cost_optimized;
mod health_aware;
mod least_connections;
mod performance_based;
mod pick;
mod quality_based;
mod round_robin;
mod weighted;
mod weighted_round_robin;
mod working;

pub use crate::config::Strategy;
pub use working::Term;

use super::{Ask, Candidate, Lead, Terms, Turns};
use crate::domain::{BackendIndex, Rng, Timestamp};
use working::{Unshown, Working};

/// The share of a backend of weight 1 that has its whole part, in the numbers that turns are taken by.
const WHOLE: u64 = 1_000;

/// What a strategy makes of a candidate, and how that is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Merit {
    /// It gets traffic in this share, before its [part](Terms::part).
    Share(f64),
    /// The lowest wins.
    Lowest(f64),
    /// The highest wins.
    Highest(f64),
}

impl Merit {
    /// How it is compared: `ranked_by` of an explanation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Share(_) => "share",
            Self::Lowest(_) => "lowest_score",
            Self::Highest(_) => "highest_score",
        }
    }

    /// What is compared.
    pub const fn figure(self) -> f64 {
        let (Self::Share(figure) | Self::Lowest(figure) | Self::Highest(figure)) = self;
        figure
    }

    fn of(candidate: &Candidate<'_>, ask: &Ask<'_>, now: Timestamp, working: &mut impl Working) -> Self {
        match ask.strategy {
            Strategy::RoundRobin => Self::Share(1.0),
            Strategy::Weighted | Strategy::WeightedRoundRobin => Self::Share(weighted::share(candidate, working)),
            Strategy::HealthAware => Self::Share(health_aware::share(candidate, now, working)),
            Strategy::LeastConnections => Self::Lowest(least_connections::score(candidate, now, working)),
            Strategy::CostOptimized => Self::Lowest(cost_optimized::score(candidate, ask, now, working)),
            Strategy::PerformanceBased => Self::Lowest(performance_based::score(candidate, now, working)),
            Strategy::QualityBased => Self::Highest(quality_based::score(candidate, now, working)),
        }
    }

    /// What a strategy makes of a candidate, before its part.
    pub(super) fn plain(candidate: &Candidate<'_>, ask: &Ask<'_>, now: Timestamp) -> Self {
        Self::of(candidate, ask, now, &mut Unshown)
    }

    /// What a strategy makes of a candidate, and of which terms.
    pub fn explained(candidate: &Candidate<'_>, ask: &Ask<'_>, now: Timestamp) -> (Self, Vec<(Term, f64)>) {
        let mut terms = Vec::new();
        let merit = match Self::of(candidate, ask, now, &mut terms) {
            Self::Share(share) => Self::Share(share * terms.term(Term::Part, candidate.terms.part)),
            merit => merit,
        };
        (merit, terms)
    }
}

/// A candidate as its strategy sees it.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    index: BackendIndex,
    probe: bool,
    /// Whether it sits this one out, unless all do: how strategies of scores give a backend a part of its traffic.
    benched: bool,
    /// Its share of the traffic, for strategies of shares.
    share: u64,
    /// What it is compared by, for strategies of scores: lower is better.
    score: f64,
}

/// One tier of candidates, each looked at once, to be taken best first.
#[derive(Debug)]
pub(super) struct Ranking {
    strategy: Strategy,
    left: Vec<Ranked>,
    /// Of round robin: what is left of the number of the turn, from which all places of the order come.
    turn: Option<u64>,
    /// How far the first one was ahead of the others.
    lead: Lead,
}

impl Ranking {
    pub(super) fn new<'a>(
        tier: impl Iterator<Item = &'a Candidate<'a>> + Clone,
        ask: &Ask<'_>,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Self {
        let strategy = ask.strategy;
        // What they have beside each other: where all are held back, somebody has to serve even so.
        let most = tier.clone().fold(0.0, |most, candidate| candidate.terms.part.max(most));
        let left = tier.map(|candidate| Ranked::new(candidate, most, ask, now, rng)).collect();
        Self { strategy, left, turn: None, lead: Lead::default() }
    }

    /// Takes the one that is tried first: strategies of shares take a turn for it.
    pub(super) fn first(&mut self, rng: &mut impl Rng, turns: &mut impl Turns) -> Option<BackendIndex> {
        let position = if self.left.len() < 2 {
            0
        } else {
            match self.strategy {
                Strategy::RoundRobin => round_robin::first(&self.left, &mut self.turn, turns)?,
                Strategy::WeightedRoundRobin => weighted_round_robin::first(&self.left, turns)?,
                Strategy::Weighted | Strategy::HealthAware => pick::by_share(&self.left, pick::spread(turns.next()))?,
                Strategy::LeastConnections
                | Strategy::CostOptimized
                | Strategy::PerformanceBased
                | Strategy::QualityBased => pick::lowest(&self.left, rng)?,
            }
        };
        let first = self.take(position)?;
        self.lead = self.lead_of(&first);
        Some(first.index)
    }

    /// How far the one that was taken first is ahead of the others.
    pub(super) const fn lead(&self) -> Lead {
        self.lead
    }

    /// How far one is ahead of those that are left, and sit nothing out.
    fn lead_of(&self, first: &Ranked) -> Lead {
        let figure = |ranked: &Ranked| match self.strategy {
            Strategy::RoundRobin | Strategy::Weighted | Strategy::WeightedRoundRobin | Strategy::HealthAware => {
                -(ranked.share as f64)
            }
            Strategy::LeastConnections
            | Strategy::CostOptimized
            | Strategy::PerformanceBased
            | Strategy::QualityBased => ranked.score,
        };
        let rivals = self.left.iter().filter(|ranked| !ranked.benched).map(|ranked| (ranked.index, figure(ranked)));
        let next = rivals.reduce(|next, other| if other.1 < next.1 { other } else { next });
        next.map_or(Lead::ALONE, |(index, next)| Lead::over(index, figure(first), next))
    }

    /// Takes the one that is tried next. No turn is taken for it, since most requests never get there: round robin has it
    /// from the turn that the first one took, all others draw it.
    pub(super) fn next(&mut self, rng: &mut impl Rng) -> Option<BackendIndex> {
        let position = match self.strategy {
            Strategy::RoundRobin => round_robin::next(&self.left, &mut self.turn, rng)?,
            Strategy::Weighted | Strategy::WeightedRoundRobin | Strategy::HealthAware => {
                pick::by_share(&self.left, rng.next_u64())?
            }
            Strategy::LeastConnections
            | Strategy::CostOptimized
            | Strategy::PerformanceBased
            | Strategy::QualityBased => pick::lowest(&self.left, rng)?,
        };
        self.take(position).map(|ranked| ranked.index)
    }

    /// Takes this one out of its turn.
    pub(super) fn remove(&mut self, index: BackendIndex) {
        self.left.retain(|ranked| ranked.index != index);
    }

    /// Leaves out those that are on probation.
    pub(super) fn spare_probes(&mut self) {
        self.left.retain(|ranked| !ranked.probe);
    }

    /// Removes one; those behind it come first from there on, so that round robin goes on with its neighbour.
    fn take(&mut self, position: usize) -> Option<Ranked> {
        if position >= self.left.len() {
            return None;
        }
        self.left.rotate_left(position);
        Some(self.left.remove(0))
    }
}

impl Ranked {
    fn new(candidate: &Candidate<'_>, most: f64, ask: &Ask<'_>, now: Timestamp, rng: &mut impl Rng) -> Self {
        let merit = Merit::plain(candidate, ask, now);
        let Terms { probe, part } = candidate.terms;
        // Most have their whole part, and then no luck is spent on them.
        let benched = part < most && rng.ratio() * most >= part;
        // Health is finer than weights are.
        let grain = if ask.strategy == Strategy::HealthAware { 1_000 * WHOLE } else { WHOLE };
        let (share, score) = match merit {
            Merit::Share(share) => ((share * part * grain as f64 + 0.5) as u64, 0.0),
            Merit::Lowest(score) => (WHOLE, score),
            Merit::Highest(score) => (WHOLE, -score),
        };
        Self { index: candidate.index, probe, benched, share: share.max(1), score }
    }
}

#[cfg(test)]
mod tests;
