//! In what order backends are tried.

use std::time::Duration;

use super::candidates::{Candidate, Exclusion, candidates, panics};
use super::confidence::Lead;
use super::explore::explore;
use super::strategy::Ranking;
use super::{Ask, Fleet, Turns};
use crate::domain::{BackendIndex, Rng, Timestamp};

/// Attempts a request may have at most: there are that many slots.
pub const MAX_ATTEMPTS: usize = 4;

/// When a backend whose checks fail is worth asking for again: they are made every few seconds, and nobody knows which
/// of them will be the first good one.
const NEXT_CHECK: Duration = Duration::from_secs(5);

/// The least health that a backend is given where only ill ones are left.
const LEAST_HEALTH: f64 = 0.01;

/// Backends in the order in which they are tried; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    slots: [BackendIndex; MAX_ATTEMPTS],
    len: u8,
    /// Whether the first is ill, and tried only because nobody is well.
    forced: bool,
    /// How many requests the first attempt stands for, if it is one that explores; else 0.
    explores: u16,
    /// How far the first is ahead, if it is the best.
    lead: Lead,
}

impl Attempts {
    /// One attempt.
    pub const fn only(backend: BackendIndex) -> Self {
        Self { slots: [backend; MAX_ATTEMPTS], len: 1, forced: false, explores: 0, lead: Lead::NONE }
    }

    /// How far the first is ahead of the others, if it is there for being the best.
    pub(super) const fn lead(&self) -> Lead {
        self.lead
    }

    /// The first to be tried.
    pub const fn first(&self) -> BackendIndex {
        let [first, ..] = self.slots;
        first
    }

    /// Whether the first is ill, and tried only because nobody is well: then nothing is asked of its breaker.
    pub const fn is_forced(&self) -> bool {
        self.forced
    }

    /// How many requests the first attempt stands for, if it explores: one of so many is sent there, to see how that
    /// backend is. Then the best one is tried next.
    pub const fn explores(&self) -> Option<u16> {
        if self.explores > 0 { Some(self.explores) } else { None }
    }

    /// All of them, in order.
    pub fn as_slice(&self) -> &[BackendIndex] {
        self.slots.get(..usize::from(self.len)).unwrap_or(&self.slots)
    }

    fn push(&mut self, backend: BackendIndex) {
        if let Some(slot) = self.slots.get_mut(usize::from(self.len)) {
            *slot = backend;
            self.len += 1;
        }
    }

    /// Repeats the last one until there are `wanted`: a retry at a backend that failed once beats none at all. Going
    /// round to the first one again would hide which of them was tried: on a route that cannot change its cluster, too,
    /// the last attempt is at the first backend.
    fn repeat_until(mut self, wanted: usize) -> Self {
        while usize::from(self.len) < wanted.min(MAX_ATTEMPTS)
            && let Some(&last) = self.as_slice().last()
        {
            self.push(last);
        }
        self
    }
}

/// When a backend that has as much to do as it may have is worth asking for again: a request may end at any moment.
const NEXT_PLACE: Duration = Duration::from_secs(1);

/// No backend may serve the request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nobody {
    /// When the first of those may have room that would serve, had they any.
    pub at_limit: Option<Timestamp>,
    /// When there may be money for the first of those that would serve, were there any left.
    pub over_budget: Option<Timestamp>,
    /// When the first of all may be asked again.
    pub retry_at: Option<Timestamp>,
    /// Whether none of them speaks the API of the request.
    pub unspoken: bool,
}

/// Plans up to `wanted` attempts (at least one, at most [`MAX_ATTEMPTS`]).
///
/// Tiers of priority come one after the other, the lower number first; within a tier the strategy ranks. A backend on
/// probation (half-open) may be tried first, where the strategy puts it there, but never as the second resort of a
/// request that has failed already. A failure domain is tried a second time only when there is no other left.
///
/// With a small probability another backend of the best tier comes first, and the one that would have come first is the
/// next one (`explore`).
///
/// Where fewer backends are well than the panic threshold asks for, those that are merely ill (an open breaker, a
/// failed check) or on probation come after them, in the order of their health, by lot. Those that are misconfigured are
/// asked only where there is nobody else: all that they have to say is no, and that is an answer.
pub fn plan(
    fleet: &Fleet<'_>,
    ask: &Ask<'_>,
    wanted: usize,
    now: Timestamp,
    rng: &mut impl Rng,
    turns: &mut impl Turns,
) -> Result<Attempts, Nobody> {
    let wanted = wanted.clamp(1, MAX_ATTEMPTS);
    let mut nobody = Nobody::default();
    let mut eligible = Vec::with_capacity(fleet.backends.len());
    let (mut ill, mut misconfigured) = (Vec::new(), Vec::new());
    let (mut speaking, mut draining) = (fleet.backends.len(), 0);
    for verdict in candidates(fleet, ask, now) {
        match verdict {
            Ok(candidate) => {
                if candidate.terms.probe {
                    ill.push(candidate.index);
                }
                eligible.push(candidate);
            }
            Err((_, Exclusion::ApiNotSupported)) => speaking -= 1,
            Err((_, Exclusion::Draining)) => draining += 1,
            Err((index, why)) => {
                nobody.hear(why, now);
                let is_kept = || fleet.backends.get(index.get()).is_some_and(|backend| ask.reserved.has(backend));
                match why {
                    Exclusion::Breaker { .. } | Exclusion::Unhealthy if !is_kept() => ill.push(index),
                    Exclusion::Misconfigured { .. } if !is_kept() => misconfigured.push(index),
                    _ => {}
                }
            }
        }
    }
    let well = eligible.iter().filter(|candidate| !candidate.terms.probe).count();
    nobody.unspoken = speaking == 0;
    // Those that an operator took out are not missing. What proves nothing of a backend does it no harm either: where
    // there is no other, it may go to an ill one.
    if !panics(well, speaking - draining, ask) {
        let proves = |index: &BackendIndex| fleet.backends.get(index.get()).is_some_and(|b| ask.facts.is_evidence(b));
        ill.retain(|index| well == 0 && !proves(index));
    }
    let mut draft = Draft { fleet, attempts: None, wanted, spare: Vec::new() };
    // There are a few tiers at most, and mostly one: to look for the next is quicker than to sort.
    let priorities = || eligible.iter().map(|candidate| candidate.backend.priority);
    let mut tier = priorities().min();
    while let Some(priority) = tier.filter(|_| draft.has_room()) {
        let candidates = eligible.iter().filter(|candidate| candidate.backend.priority == priority);
        let mut ranking = Ranking::new(candidates.clone(), ask, now, rng);
        if draft.attempts.is_none() {
            let best = ranking.first(rng, turns);
            let is_probe = |index| eligible.iter().any(|candidate| candidate.index == index && candidate.terms.probe);
            if let Some(due) = due_for_trial(candidates.clone(), ask)
                && best.is_some_and(|best| best != due && !is_probe(best))
            {
                ranking.remove(due);
                draft.add(due);
            } else if let Some((explored, chance)) = explore(candidates, ask, now, rng)
                && best.is_some_and(|best| best != explored && !is_probe(best))
            {
                ranking.remove(explored);
                let explores = (1.0 / chance).round().min(f64::from(u16::MAX)) as u16;
                draft.attempts = Some(Attempts { explores, ..Attempts::only(explored) });
            }
            if let Some(best) = best {
                if draft.attempts.is_none() {
                    draft.attempts = Some(Attempts { lead: ranking.lead(), ..Attempts::only(best) });
                } else {
                    draft.add(best);
                }
            }
        }
        ranking.spare_probes();
        while draft.has_room()
            && let Some(next) = ranking.next(rng)
        {
            draft.add(next);
        }
        tier = priorities().filter(|&other| other > priority).min();
    }
    draft.add_spare();
    let forced = draft.attempts.is_none();
    while draft.has_room()
        && let Some(index) = take_one(&mut ill, fleet, now, rng)
    {
        draft.add(index);
    }
    if draft.attempts.is_none() {
        while draft.has_room()
            && let Some(index) = take_one(&mut misconfigured, fleet, now, rng)
        {
            draft.add(index);
        }
    }
    draft.add_spare();
    draft.attempts.map(|attempts| Attempts { forced, ..attempts }.repeat_until(wanted)).ok_or(nobody)
}

/// A misconfigured backend that is to be tried again. A strategy that goes by health would not do it by itself: until
/// somebody was served there, its health is 0.
fn due_for_trial<'a>(mut tier: impl Iterator<Item = &'a Candidate<'a>>, ask: &Ask<'_>) -> Option<BackendIndex> {
    let is_due = |candidate: &&Candidate<'_>| {
        candidate.record.is_misconfigured(candidate.backend) && ask.facts.is_evidence(candidate.backend)
    };
    tier.find(is_due).map(|candidate| candidate.index)
}

/// Takes one out by lot, in proportion to weight times health: so that where all are ill they share what comes, and the
/// least ill has most of it.
fn take_one(
    ill: &mut Vec<BackendIndex>,
    fleet: &Fleet<'_>,
    now: Timestamp,
    rng: &mut impl Rng,
) -> Option<BackendIndex> {
    let share = |index: &BackendIndex| {
        let found = fleet.iter().nth(index.get());
        found.map_or(0.0, |(_, backend, record)| backend.weight.ratio() * record.health(backend, now).max(LEAST_HEALTH))
    };
    let mut left = rng.ratio() * ill.iter().map(share).sum::<f64>();
    let position = ill.iter().position(|index| {
        left -= share(index);
        left < 0.0
    });
    (!ill.is_empty()).then(|| ill.remove(position.unwrap_or(ill.len() - 1)))
}

/// A plan in the making.
struct Draft<'a> {
    fleet: &'a Fleet<'a>,
    attempts: Option<Attempts>,
    wanted: usize,
    /// Those that would fail together with one that is tried already, in order.
    spare: Vec<BackendIndex>,
}

impl Draft<'_> {
    fn has_room(&self) -> bool {
        self.attempts.is_none_or(|attempts| usize::from(attempts.len) < self.wanted)
    }

    fn add(&mut self, backend: BackendIndex) {
        match &mut self.attempts {
            None => self.attempts = Some(Attempts::only(backend)),
            Some(attempts) if usize::from(attempts.len) >= self.wanted || attempts.as_slice().contains(&backend) => {}
            Some(attempts) => {
                let domain = |index: BackendIndex| self.fleet.backends.get(index.get()).map(|b| &*b.failure_domain);
                if attempts.as_slice().iter().any(|&tried| domain(tried) == domain(backend)) {
                    self.spare.push(backend);
                } else {
                    attempts.push(backend);
                }
            }
        }
    }

    /// There is no other domain left: those that were put aside have their turn.
    fn add_spare(&mut self) {
        let Some(attempts) = &mut self.attempts else { return };
        let room = self.wanted.saturating_sub(usize::from(attempts.len));
        for backend in self.spare.drain(..).take(room) {
            attempts.push(backend);
        }
    }
}

impl Nobody {
    /// All have as much to do as they may have.
    pub fn has_room(now: Timestamp) -> Self {
        let mut nobody = Self::default();
        nobody.hear(Exclusion::AtConcurrencyLimit, now);
        nobody
    }

    /// Takes note of why one of them may not.
    fn hear(&mut self, why: Exclusion, now: Timestamp) {
        let retry_at = match why {
            Exclusion::AtConcurrencyLimit | Exclusion::AtCapacity => now.after(NEXT_PLACE),
            Exclusion::OverBudget { retry_at }
            | Exclusion::QuotaExhausted { retry_at }
            | Exclusion::NoHeadroom { retry_at }
            | Exclusion::OverRate { retry_at }
            | Exclusion::Breaker { retry_at }
            | Exclusion::Misconfigured { retry_at } => retry_at,
            Exclusion::NoHealthyHost | Exclusion::Unhealthy => now.after(NEXT_CHECK),
            Exclusion::ApiNotSupported | Exclusion::BelowMinQuality | Exclusion::Draining => return,
        };
        let first = |known: Option<Timestamp>| Some(known.map_or(retry_at, |earliest| earliest.min(retry_at)));
        self.retry_at = first(self.retry_at);
        match why {
            Exclusion::OverBudget { .. } => self.over_budget = first(self.over_budget),
            Exclusion::AtConcurrencyLimit
            | Exclusion::AtCapacity
            | Exclusion::QuotaExhausted { .. }
            | Exclusion::NoHeadroom { .. }
            | Exclusion::OverRate { .. } => self.at_limit = first(self.at_limit),
            _ => {}
        }
    }
}
