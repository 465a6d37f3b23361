//! Whose turn it is, asked of shared data.

use crate::domain::{BackendIndex, Rng, SplitMix64};
use crate::host::Host;
use crate::metrics::{Internal, Metric};
use crate::routing::Turns;
use crate::state::{Cas, Cursor, Smooth, Store, StoreError};

/// Turns that all workers take together; where that fails, chance decides.
pub(super) struct SharedTurns<'a, H> {
    pub(super) store: Turnstile<'a, H>,
    pub(super) cursor: &'a Cursor,
    pub(super) smooth: &'a Smooth,
    pub(super) places: usize,
    pub(super) rng: &'a mut SplitMix64,
}

/// Where turns are taken. In a rehearsal they are only looked at: what is written is lost.
pub(super) struct Turnstile<'a, H> {
    pub(super) host: &'a H,
    pub(super) rehearses: bool,
}

impl<H: Host> Store for Turnstile<'_, H> {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError> {
        self.host.get(key)
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError> {
        if self.rehearses { Ok(true) } else { self.host.set(key, value, cas) }
    }
}

impl<H: Host> Turns for SharedTurns<'_, H> {
    fn next(&mut self) -> u64 {
        self.cursor.take(&self.store).unwrap_or_else(|_| {
            self.store.host.record(Metric::InternalErrors(Internal::SharedData), 1);
            self.rng.next_u64()
        })
    }

    fn smooth(&mut self, candidates: &[(BackendIndex, u32)]) -> Option<usize> {
        let weights = candidates.iter().map(|&(backend, weight)| (backend.get(), weight));
        self.smooth.take(&self.store, self.places, &weights).unwrap_or_else(|_| {
            self.store.host.record(Metric::InternalErrors(Internal::SharedData), 1);
            Some(self.rng.below(candidates.len()))
        })
    }
}
