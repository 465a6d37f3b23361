//! In what order backends are tried.

use super::candidates::{Exclusion, candidates};
use super::strategy::Ranking;
use super::{Ask, Fleet, Turns};
use crate::domain::{BackendIndex, Rng, Timestamp};

/// Attempts a request may have at most: there are that many slots.
pub const MAX_ATTEMPTS: usize = 4;

/// Backends in the order in which they are tried; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    slots: [BackendIndex; MAX_ATTEMPTS],
    len: u8,
}

impl Attempts {
    /// One attempt.
    pub const fn only(backend: BackendIndex) -> Self {
        Self { slots: [backend; MAX_ATTEMPTS], len: 1 }
    }

    /// The first to be tried.
    pub const fn first(&self) -> BackendIndex {
        let [first, ..] = self.slots;
        first
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

/// No backend may serve the request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nobody {
    /// Whether one would, had it room.
    pub at_limit: bool,
    /// When the first breaker may let a request through again.
    pub retry_at: Option<Timestamp>,
}

/// Plans up to `wanted` attempts (at least one, at most [`MAX_ATTEMPTS`]).
///
/// Tiers of priority come one after the other, the lower number first; within a tier the strategy ranks. A backend on
/// probation (half-open) may be tried first, where the strategy puts it there, but never as the second resort of a
/// request that has failed already.
pub fn plan(
    fleet: &Fleet<'_>,
    ask: &Ask<'_>,
    wanted: usize,
    now: Timestamp,
    rng: &mut impl Rng,
    turns: &mut impl Turns,
) -> Result<Attempts, Nobody> {
    let wanted = wanted.clamp(1, MAX_ATTEMPTS);
    let mut nobody = Nobody { at_limit: false, retry_at: None };
    let mut eligible = Vec::with_capacity(fleet.backends.len());
    for verdict in candidates(fleet, ask, now) {
        match verdict {
            Ok(candidate) => eligible.push(candidate),
            Err((_, Exclusion::AtConcurrencyLimit)) => nobody.at_limit = true,
            Err((_, Exclusion::Breaker { retry_at })) => {
                nobody.retry_at = Some(nobody.retry_at.map_or(retry_at, |earliest| earliest.min(retry_at)));
            }
            Err((_, Exclusion::BelowMinQuality)) => {}
        }
    }
    // Stable, and already in order where there is but one tier.
    eligible.sort_by_key(|candidate| candidate.backend.priority);
    let mut attempts: Option<Attempts> = None;
    for tier in eligible.chunk_by(|a, b| a.backend.priority == b.backend.priority) {
        let mut ranking = Ranking::new(tier, ask, now);
        if attempts.is_none() {
            attempts = ranking.first(rng, turns).map(Attempts::only);
        }
        ranking.spare_probes();
        let Some(attempts) = &mut attempts else { continue };
        while usize::from(attempts.len) < wanted
            && let Some(next) = ranking.next(rng)
        {
            attempts.push(next);
        }
    }
    attempts.map(|attempts| attempts.repeat_until(wanted)).ok_or(nobody)
}
