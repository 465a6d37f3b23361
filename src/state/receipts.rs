//! What became of the last requests of this VM, for whoever asks after one by its id.
//!
//! The journal has the whole of a few decisions; this has the outcome of nearly all, some sixty bytes each. They are
//! written at the tick, to one of a few keys of this VM's own in turn, so that a tick writes what is new and not all that
//! there is. More than [`A_TICK`] between two ticks are not kept: whoever floods a worker takes others' receipts sooner,
//! but no more memory and no more time.

use std::hash::Hasher;

use super::store::{Store, StoreError};
use crate::domain::{Decoder, Encoder, Fnv};

/// The layout's version, as its keys have it.
const VERSION: u8 = 1;

/// Values that a VM writes in turn.
const PARTS: u8 = 16;

/// A value with as many has no room for more after the tick.
const FULL: usize = 128;

/// The most that are kept between two ticks.
const A_TICK: usize = 256;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Receipt {
    /// Its decision's id.
    id: u64,
    /// The hash of its own; 0 for none.
    request: u64,
    outcome: Vec<u8>,
}

/// The last outcomes of one VM.
#[derive(Debug, Default)]
pub struct Receipts {
    part: u8,
    /// Those of the part under way; the others are in shared data only.
    last: Vec<Receipt>,
    written: usize,
}

/// By what a receipt is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// A decision's id, if what was asked for can be one.
    pub decision: Option<u64>,
    request: u64,
}

impl Wanted {
    /// What is asked for by an id of either kind.
    pub fn of(decision: Option<u64>, request: &[u8]) -> Self {
        Self { decision, request: hash(request) }
    }

    const fn is(self, receipt: &Receipt) -> bool {
        let is_decision = matches!(self.decision, Some(id) if id == receipt.id);
        is_decision || (self.request != 0 && self.request == receipt.request)
    }
}

impl Receipts {
    /// Whether there is room for one more before the next tick.
    pub const fn has_room(&self) -> bool {
        self.last.len() - self.written < A_TICK
    }

    /// Keeps one, if there is room.
    pub fn add(&mut self, id: u64, request: &[u8], outcome: Vec<u8>) {
        if self.has_room() {
            self.last.push(Receipt { id, request: hash(request), outcome });
        }
    }

    /// Shows others what is new. To be called at every tick.
    pub(super) fn tick(&mut self, store: &impl Store, seat: Option<usize>) -> Result<(), StoreError> {
        let Some(seat) = seat.filter(|_| self.written < self.last.len()) else { return Ok(()) };
        let mut out = Encoder::with_capacity(80 * self.last.len());
        for Receipt { id, request, outcome } in &self.last {
            out.number(*id).number(*request).bytes(outcome);
        }
        store.set(&key(seat, self.part), &out.finish(), None)?;
        self.written = self.last.len();
        if self.written >= FULL {
            self.part = (self.part + 1) % PARTS;
            self.last.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// The outcome that is asked for, if this VM has it itself.
    pub(super) fn find(&self, wanted: Wanted) -> Option<Vec<u8>> {
        self.last.iter().rev().find(|receipt| wanted.is(receipt)).map(|receipt| receipt.outcome.clone())
    }
}

/// The outcome that is asked for, if the VM with that seat has written it.
pub(super) fn written(store: &impl Store, seat: usize, wanted: Wanted) -> Result<Option<Vec<u8>>, StoreError> {
    for part in 0..PARTS {
        let bytes = store.get(&key(seat, part))?.map(|(bytes, _)| bytes).unwrap_or_default();
        let mut from = Decoder::new(&bytes);
        let mut found = None;
        while let (Some(id), Some(request), Some(outcome)) = (from.number(), from.number(), from.bytes()) {
            let receipt = Receipt { id, request, outcome: outcome.to_vec() };
            if wanted.is(&receipt) {
                found = Some(receipt.outcome);
            }
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// 0 for no id.
fn hash(request: &[u8]) -> u64 {
    if request.is_empty() {
        return 0;
    }
    let mut fnv = Fnv::default();
    fnv.write(request);
    fnv.finish().max(1)
}

fn key(seat: usize, part: u8) -> String {
    format!("llm-router/{VERSION}/receipts/{seat}/{part}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn by_id(id: u64) -> Wanted {
        Wanted::of(Some(id), b"")
    }

    fn by_name(name: &str) -> Wanted {
        Wanted::of(None, name.as_bytes())
    }

    #[test]
    fn the_last_are_found_by_either_id_and_older_ones_make_room() {
        let (store, mut receipts) = (MemoryStore::default(), Receipts::default());
        let all = 3 * u64::from(PARTS) * FULL as u64;
        for id in 1..=all {
            receipts.add(id, format!("r{id}").as_bytes(), vec![id as u8, 7]);
            assert_eq!(receipts.find(by_id(id)), Some(vec![id as u8, 7]));
            if id % 50 == 0 {
                receipts.tick(&store, Some(3)).expect("written");
            }
        }
        receipts.tick(&store, Some(3)).expect("written");
        let found = |wanted| written(&store, 3, wanted).expect("read");
        let kept = (1..=all).filter(|&id| found(by_id(id)).is_some()).count();
        assert!((usize::from(PARTS) * FULL - FULL..=usize::from(PARTS) * (FULL + 50)).contains(&kept), "{kept}");
        for id in all - 1_000..=all {
            assert_eq!(found(by_id(id)), Some(vec![id as u8, 7]));
            assert_eq!(found(by_name(&format!("r{id}"))), Some(vec![id as u8, 7]));
        }
        assert_eq!((found(by_id(1)), found(by_name("r1")), found(by_name(""))), (None, None, None));
        assert_eq!(written(&store, 2, by_id(all)), Ok(None));
    }

    #[test]
    fn a_tick_has_room_for_so_many_and_forgets_none_that_it_took() {
        let (store, mut receipts) = (MemoryStore::default(), Receipts::default());
        for tick in 0..40_u64 {
            for n in 0..1_000 {
                receipts.add(tick * 1_000 + n, b"", vec![1]);
            }
            assert!(!receipts.has_room());
            receipts.tick(&store, Some(0)).expect("written");
            assert!(receipts.has_room() && receipts.last.is_empty());
            let found = |n: u64| written(&store, 0, by_id(tick * 1_000 + n)).expect("read").is_some();
            assert!(found(0) && found(A_TICK as u64 - 1) && !found(A_TICK as u64), "{tick}");
        }
        // Without a seat there is nowhere to write, and what is kept does not grow.
        for n in 0..10_000 {
            receipts.add(n, b"", vec![1]);
            receipts.tick(&store, None).expect("nothing to do");
        }
        assert_eq!(receipts.last.len(), A_TICK);
    }

    #[test]
    fn nothing_new_is_not_written_and_other_bytes_are_none() {
        let (store, mut receipts) = (MemoryStore::default(), Receipts::default());
        receipts.add(1, b"a", vec![1]);
        for _ in 0..3 {
            receipts.tick(&store, Some(0)).expect("written");
        }
        assert_eq!(store.get(&key(0, 0)).expect("read").map(|(_, version)| version), Some(1));
        for bytes in [&b"\xFF"[..], b"\x01", b"\x01\x02\xFF\xFF", &[0xFF; 64]] {
            store.set(&key(1, 0), bytes, None).expect("written");
            assert_eq!(written(&store, 1, by_id(1)), Ok(None), "{bytes:?}");
        }
    }
}
