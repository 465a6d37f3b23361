//! The last decisions of this VM, for operators who ask what was decided and why.
//!
//! To take one down costs more than to decide, so only a few in each tick are; of the others it is known how many there
//! were. They are kept as bytes, which who takes them down understands, and written at the tick to a key of this VM's
//! own: there is nobody to compete with, and no request waits for it. Whoever is asked reads all VMs' keys.
//!
//! Where there is no room for one more, the oldest makes it; but a client that has more than half of the pages, or of
//! their bytes, makes it by its own oldest. So no client can have all that was decided for others vanish.

use std::collections::VecDeque;

use super::store::{Store, StoreError};
use crate::domain::{Decoder, Encoder, Rng, SplitMix64};
use crate::health::Source;

/// The layout's version, as its key has it.
const VERSION: u8 = 1;

/// Decisions that a VM keeps.
const MOST: usize = 32;

/// Bytes that they may have together: with many backends there are fewer of them.
const MOST_BYTES: usize = 64 << 10;

/// Decisions that are taken down between two ticks.
const A_TICK: u8 = 4;

/// One decision, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What was decided.
    pub decision: Vec<u8>,
    /// What became of it; empty while it is under way.
    pub outcome: Vec<u8>,
}

/// A page, by its decision's number, and whose request it was.
#[derive(Debug)]
struct Entry {
    id: u64,
    source: Option<Source>,
    page: Page,
}

impl Entry {
    const fn len(&self) -> usize {
        self.page.decision.len() + self.page.outcome.len()
    }

    fn is_of(&self, source: Option<Source>) -> bool {
        match (self.source, source) {
            (Some(one), Some(other)) => one.is_same_client(other),
            (one, other) => one == other,
        }
    }
}

/// The last decisions of one VM.
#[derive(Debug)]
pub struct Journal {
    ids: SplitMix64,
    /// How many more may be taken down before the next tick.
    room: u8,
    skipped: u64,
    pages: VecDeque<Entry>,
    is_written: bool,
}

impl Journal {
    /// Of the VM with this name, which no other has.
    pub(super) const fn new(name: u64) -> Self {
        let ids = SplitMix64::new(name);
        Self { ids, room: A_TICK, skipped: 0, pages: VecDeque::new(), is_written: true }
    }

    /// A number for one more decision: random, and none that another VM gives in the lifetime of a log.
    pub fn number(&mut self) -> u64 {
        self.ids.next_u64()
    }

    /// Whether one more decision may be taken down.
    pub const fn has_room(&self) -> bool {
        self.room > 0
    }

    /// Whether this decision is to be taken down. If not, it is counted.
    pub const fn takes_one(&mut self) -> bool {
        if self.room > 0 {
            self.room -= 1;
            return true;
        }
        self.skipped = self.skipped.saturating_add(1);
        false
    }

    /// Takes a decision down that was made for this client.
    pub fn note(&mut self, id: u64, source: Option<Source>, decision: Vec<u8>) {
        self.pages.push_back(Entry { id, source, page: Page { decision, outcome: Vec::new() } });
        loop {
            let (all, bytes) = (self.pages.len(), self.pages.iter().map(Entry::len).sum::<usize>());
            if all <= 1 || (all <= MOST && bytes <= MOST_BYTES) {
                break;
            }
            let own = || self.pages.iter().filter(|entry| entry.is_of(source));
            let is_greedy = 2 * own().count() > all || 2 * own().map(Entry::len).sum::<usize>() > bytes;
            let oldest = self.pages.iter().position(|entry| !is_greedy || entry.is_of(source));
            self.pages.remove(oldest.unwrap_or(0));
        }
        self.is_written = false;
    }

    /// Adds what became of a decision, if it is still there.
    pub fn end(&mut self, id: u64, outcome: Vec<u8>) {
        if let Some(entry) = self.pages.iter_mut().find(|entry| entry.id == id) {
            entry.page.outcome = outcome;
            self.is_written = false;
        }
    }

    /// Shows others what is new, and makes room for more. To be called at every tick.
    pub(super) fn tick(&mut self, store: &impl Store, seat: Option<usize>) -> Result<(), StoreError> {
        self.room = A_TICK;
        let Some(seat) = seat.filter(|_| !self.is_written) else { return Ok(()) };
        store.set(&key(seat), &self.encode(), None)?;
        self.is_written = true;
        Ok(())
    }

    /// Its pages, the oldest first, and how many decisions are on none.
    pub(super) fn read(&self) -> (Vec<Page>, u64) {
        (self.pages.iter().map(|entry| entry.page.clone()).collect(), self.skipped)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(4_096);
        out.number(self.skipped);
        for Entry { page: Page { decision, outcome }, .. } in &self.pages {
            out.bytes(decision).bytes(outcome);
        }
        out.finish()
    }
}

/// What another VM has written; nothing where it is none.
pub(super) fn written(store: &impl Store, seat: usize) -> Result<(Vec<Page>, u64), StoreError> {
    let bytes = store.get(&key(seat))?.map(|(bytes, _)| bytes).unwrap_or_default();
    let mut from = Decoder::new(&bytes);
    let skipped = from.number().unwrap_or(0);
    let mut pages = Vec::new();
    while let (Some(decision), Some(outcome)) = (from.bytes(), from.bytes()) {
        pages.push(Page { decision: decision.to_vec(), outcome: outcome.to_vec() });
    }
    Ok((pages, skipped))
}

fn key(seat: usize) -> String {
    format!("llm-router/{VERSION}/decisions/{seat}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn told(store: &MemoryStore, seat: usize) -> (Vec<Page>, u64) {
        written(store, seat).expect("read")
    }

    #[test]
    fn a_few_in_each_tick_are_taken_down_and_the_others_counted() {
        let (store, mut journal) = (MemoryStore::default(), Journal::new(1));
        for tick in 1..=20 {
            for _ in 0..10 {
                let id = journal.number();
                if journal.takes_one() {
                    journal.note(id, None, vec![tick]);
                }
            }
            journal.tick(&store, Some(3)).expect("written");
            let (pages, skipped) = told(&store, 3);
            assert_eq!((pages.len(), skipped), ((4 * usize::from(tick)).min(MOST), 6 * u64::from(tick)));
            assert_eq!(pages.last().map(|page| &*page.decision), Some(&[tick][..]));
        }
        assert_eq!((told(&store, 3), told(&store, 2)), (journal.read(), (Vec::new(), 0)));
    }

    #[test]
    fn it_is_written_when_there_is_news_and_has_a_seat() {
        let (store, mut journal) = (MemoryStore::default(), Journal::new(1));
        let version = || store.get(&key(0)).expect("read").map(|(_, version)| version);
        journal.tick(&store, Some(0)).expect("nothing to write");
        journal.note(7, None, vec![1]);
        journal.tick(&store, None).expect("nowhere to write");
        assert_eq!(version(), None);
        for _ in 0..3 {
            journal.tick(&store, Some(0)).expect("written");
        }
        assert_eq!(version(), Some(1));
        journal.end(7, vec![2]);
        journal.end(8, vec![3]);
        journal.tick(&store, Some(0)).expect("written");
        assert_eq!(told(&store, 0).0, [Page { decision: vec![1], outcome: vec![2] }]);
        assert_eq!(version(), Some(2));
    }

    #[test]
    fn large_decisions_make_it_shorter_not_larger() {
        let mut journal = Journal::new(1);
        for id in 0..40 {
            journal.note(id, None, vec![0; 20 << 10]);
        }
        assert_eq!(journal.read().0.len(), 3);
        assert!(journal.encode().len() <= MOST_BYTES + 100);
        journal.note(99, None, vec![0; 100 << 10]);
        assert_eq!(journal.read().0.len(), 1, "the last one is always there");
    }

    #[test]
    fn no_client_takes_more_than_half_of_what_others_have_left() {
        let of = |n: u8| Some(Source::of_address(&[b'a' + n, b':', n]));
        // How many pages of others are left after 200 of one client, of so many bytes each.
        for (others, bytes, least) in [(1, 50, 16), (4, 50, 16), (1, 10_000, 16), (3, 40_000, 16), (1, 60_000, 16)] {
            let mut journal = Journal::new(1);
            (0..32_u8).for_each(|n| journal.note(n.into(), of(1 + n % others), vec![1; 900]));
            (100..300).for_each(|id| journal.note(id, of(0), vec![0; bytes]));
            let pages = journal.read().0;
            let left = pages.iter().filter(|page| page.decision[0] == 1).count();
            assert!(left >= least, "{left} of {}: {others} {bytes}", pages.len());
            assert!(journal.encode().len() <= MOST_BYTES + 200 && pages.len() <= MOST);
        }
        // One alone has all of it, and who comes after it finds room.
        let mut journal = Journal::new(1);
        (0..99).for_each(|id| journal.note(id, of(0), vec![0; 900]));
        assert_eq!(journal.read().0.len(), MOST);
        (0..9).for_each(|id| journal.note(id, of(1), vec![1; 900]));
        assert_eq!(journal.read().0.iter().filter(|page| page.decision[0] == 1).count(), 9);
    }

    #[test]
    fn ids_differ_from_vm_to_vm() {
        let ids = |name| {
            let mut journal = Journal::new(name);
            (0..100).map(|_| journal.number()).collect::<Vec<_>>()
        };
        assert!(ids(1).iter().all(|id| !ids(2).contains(id)));
    }
}
