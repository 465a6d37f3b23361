//! This VM's copy of all records, and the only way to change one.

mod accounts;
mod entry;
mod keeper;
mod uploads;

use std::time::Duration;

use super::auditor::Auditor;
use super::books::Books;
use super::journal::{self, Journal, Page};
use super::members::{Members, STANDSTILL};
use super::notice::{Notice, Signal};
use super::outcome::Outcome;
use super::receipts::{self, Receipts, Wanted};
use super::record::{Load, Record};
use super::store::{Store, StoreError, update};
use super::waiting::WaitingList;
use super::warnings::{Sightings, Warning};
use crate::domain::{PicoUsd, Timestamp, Tokens};
use crate::health::{Pass, Transition};
use entry::Entry;
use keeper::Keeper;
pub use uploads::UploadId;
use uploads::Uploads;

/// How often a member shows that it lives.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Outcomes that are written together at the latest, should so many come between two ticks.
const BATCH: usize = 16;

/// Outcomes that are kept while shared data is out of order; older ones are forgotten.
const BACKLOG: usize = 256;

/// Where a backend's record lies in a [`View`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place(usize);

/// What a request held that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// What it was expected to take.
    pub tokens: Tokens,
    /// Whether its answer was [noticed](View::notice).
    pub reported: bool,
    /// Whether others wait for its place.
    pub at_once: bool,
}

/// All records as this VM last saw them.
///
/// What others must know at once is written at once: a request that takes one of a limited number of places, the end of
/// such a request, a failure, a quota that runs low. The rest, the good news, is written together at the next tick, which keeps most requests
/// off the lock that all workers share.
///
/// A view belongs to the VM, not to a configuration: while one configuration is swapped for another, requests of both
/// are under way. Places are never taken back, so that they stay valid; there are as many as there were ids.
#[derive(Debug)]
pub struct View {
    members: Members,
    heartbeat: Timestamp,
    entries: Vec<Entry>,
    unmeasured: Record,
    /// Changes of breakers' states that this VM wrote and has not told of yet.
    transitions: Vec<(Place, Transition)>,
    /// Configurations of this VM so far.
    configurations: u64,
    books: Books,
    journal: Journal,
    receipts: Receipts,
    auditor: Auditor,
    sightings: Sightings,
    /// Which of them watches for alerts.
    watch: Keeper,
    uploads: Uploads,
}

impl View {
    /// An empty view of a VM with a name that no other VM has.
    pub fn new(name: u64) -> Self {
        let members = Members::new(name);
        Self {
            books: Books::new(members.name()),
            members,
            heartbeat: Timestamp::default(),
            entries: Vec::new(),
            unmeasured: Record::default(),
            transitions: Vec::new(),
            configurations: 0,
            journal: Journal::new(name),
            receipts: Receipts::default(),
            auditor: Auditor::default(),
            sightings: Sightings::default(),
            watch: Keeper::default(),
            uploads: Uploads::default(),
        }
    }

    /// The place of the backend `id`, creating its record where there is none.
    pub fn place(&mut self, store: &impl Store, id: &str) -> Result<Place, StoreError> {
        if let Some(place) = self.entries.iter().position(|entry| *entry.id == *id) {
            if let Some(entry) = self.entries.get_mut(place) {
                entry.had = None;
            }
            return Ok(Place(place));
        }
        let key = Record::key(id).into_boxed_str();
        Members::create(store)?;
        let record = update(store, &key, |bytes| match bytes.map(Record::decode) {
            Some(Ok(record)) => (None, record),
            _ => (Some(Record::default().encode()), Record::default()),
        })?;
        self.entries.push(Entry {
            id: id.into(),
            key,
            mine: Load::default(),
            reported: Load::default(),
            record,
            pending: Vec::new(),
            notices: Vec::new(),
            had: None,
            change: PicoUsd::default(),
            keeper: Keeper::default(),
        });
        Ok(Place(self.entries.len() - 1))
    }

    /// How many ids this VM has come to know.
    pub const fn known(&self) -> usize {
        self.entries.len()
    }

    /// Whether this VM has come to know a backend of that id.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| *entry.id == *id)
    }

    /// What is known of a backend.
    pub fn record(&self, place: Place) -> &Record {
        self.entries.get(place.0).map_or(&self.unmeasured, |entry| &entry.record)
    }

    /// The changes of breakers' states since the last call that this VM wrote: over all VMs, each change once.
    pub fn take_transitions(&mut self) -> Vec<(Place, Transition)> {
        std::mem::take(&mut self.transitions)
    }

    /// Whether this VM does what is done once a process.
    pub const fn leads(&self) -> bool {
        self.members.leads()
    }

    /// Whether this VM is the only one so far.
    pub const fn is_alone(&self) -> bool {
        self.members.is_alone()
    }

    /// The signs of a wrong configuration that this VM saw and has not written yet.
    pub const fn sightings(&mut self) -> &mut Sightings {
        &mut self.sightings
    }

    /// Shows others what this VM saw of a wrong configuration; returns what nobody had seen before. To be called at
    /// every tick.
    pub fn write_sightings(&mut self, store: &impl Store) -> Result<Vec<Warning>, StoreError> {
        self.sightings.write(store)
    }

    /// The last decisions of this VM.
    pub const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Shows others this VM's last decisions. To be called at every tick.
    pub fn write_journal(&mut self, store: &impl Store) -> Result<(), StoreError> {
        self.receipts.tick(store, self.members.seat())?;
        self.journal.tick(store, self.members.seat())
    }

    /// The outcomes of this VM's last requests.
    pub const fn receipts(&mut self) -> &mut Receipts {
        &mut self.receipts
    }

    /// The outcome of a request of any VM, if it is one of the last.
    pub fn receipt(&self, store: &impl Store, wanted: Wanted) -> Result<Option<Vec<u8>>, StoreError> {
        let mut found = self.receipts.find(wanted);
        for seat in 0..Members::seats(store)? {
            if found.is_none() {
                found = receipts::written(store, seat, wanted)?;
            }
        }
        Ok(found)
    }

    /// The last decisions of all VMs, and how many are not among them: this VM's as they are now, the others' as they
    /// were at their last tick.
    pub fn journals(&self, store: &impl Store) -> Result<(Vec<Page>, u64), StoreError> {
        let (mut pages, mut skipped) = self.journal.read();
        for seat in (0..Members::seats(store)?).filter(|&seat| Some(seat) != self.members.seat()) {
            let (others, more) = journal::written(store, seat)?;
            pages.extend(others);
            skipped += more;
        }
        Ok((pages, skipped))
    }

    /// A number for one more configuration of this VM.
    pub const fn number_configuration(&mut self) -> u64 {
        self.configurations += 1;
        self.configurations
    }

    /// Takes note that a router has this backend. Of one that none had for a while, nothing is read.
    pub fn has(&mut self, place: Place, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(place.0) {
            entry.had = Some(now);
        }
    }

    /// Whether the configuration with this number is to look after a backend: the newest one that has it, as long as that
    /// is at work. While configurations are swapped there are two, and they may not want the same of it.
    pub fn keeps(&mut self, place: Place, number: u64, now: Timestamp) -> bool {
        self.entries.get_mut(place.0).is_some_and(|entry| entry.keeper.is(number, now))
    }

    /// The same for what is not about one backend alone: alerts.
    pub fn keeps_watch(&mut self, number: u64, now: Timestamp) -> bool {
        self.watch.is(number, now)
    }

    /// Counts a request of so many tokens in, if `admit` lets it: that sees the record as it is now, requests of other workers included,
    /// and may change it.
    pub fn enter<T, E>(
        &mut self,
        store: &impl Store,
        place: Place,
        now: Timestamp,
        tokens: Tokens,
        mut admit: impl FnMut(&mut Record) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let seat = self.seat(store, now)?;
        let entry = self.entries.get_mut(place.0).ok_or(StoreError::Host)?;
        let (record, transitions, result) = update(store, &entry.key, |bytes| {
            let (mut record, mut transitions) = entry.merged(bytes, seat);
            let before = record.breaker;
            let result = admit(&mut record);
            transitions.extend(record.breaker.transition_from(&before));
            if result.is_ok() {
                record.set_column_at(seat, entry.mine.with(tokens), entry.reported);
            }
            (result.is_ok().then(|| record.encode()), (record, transitions, result))
        })?;
        entry.record = record;
        if result.is_ok() {
            entry.mine = entry.mine.with(tokens);
            entry.written();
            self.transitions.extend(transitions.into_iter().map(|transition| (place, transition)));
        }
        Ok(result)
    }

    /// Counts a request in without asking; others see it at the next tick.
    pub fn enter_unasked(&mut self, place: Place, tokens: Tokens) -> Option<Pass> {
        let seat = self.members.seat();
        let entry = self.entries.get_mut(place.0)?;
        entry.mine = entry.mine.with(tokens);
        entry.note_in_flight(seat);
        Some(entry.record.breaker.unasked())
    }

    /// Takes note of what an answer's headers say of its backend's quota: at once where others must know. `held` are the
    /// tokens of its request, if it is counted in: from now on the provider's figures know of it.
    pub fn notice(
        &mut self,
        store: &impl Store,
        place: Place,
        held: Option<Tokens>,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let seat = self.members.seat();
        let Some(entry) = self.entries.get_mut(place.0) else { return Err(StoreError::Host) };
        if let Some(tokens) = held {
            entry.reported = entry.reported.with(tokens);
            entry.note_in_flight(seat);
        }
        entry.record.notice(notice);
        if entry.notices.len() >= BACKLOG {
            entry.notices.remove(0);
        }
        entry.notices.push(*notice);
        let demand = entry.record.demand(Tokens(0));
        if notice.signal != Signal::None || entry.record.quota.is_tight(&demand, notice.at) {
            self.flush(store, place, notice.at)?;
        }
        Ok(())
    }

    /// Counts a request of so many tokens out and learns from it. Where that cannot be written now, it is written at a later tick.
    pub fn leave(
        &mut self,
        store: &impl Store,
        place: Place,
        Leaving { tokens, reported, at_once }: Leaving,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let seat = self.members.seat();
        if let Some(entry) = self.entries.get_mut(place.0) {
            entry.mine = entry.mine.without(tokens);
            if reported {
                entry.reported = entry.reported.without(tokens);
            }
            entry.note_in_flight(seat);
        }
        self.learn(store, place, outcome, at_once)
    }

    /// Learns from an attempt without counting anything out.
    pub fn learn(
        &mut self,
        store: &impl Store,
        place: Place,
        outcome: &Outcome,
        at_once: bool,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.entries.get_mut(place.0) else { return Err(StoreError::Host) };
        entry.record.learn(outcome);
        if entry.pending.len() >= BACKLOG {
            entry.pending.remove(0);
        }
        entry.pending.push(*outcome);
        if at_once
            || outcome.verdict.is_ill()
            || outcome.unusable.is_some()
            || entry.pending.len().is_multiple_of(BATCH)
        {
            self.flush(store, place, outcome.at)?;
        }
        Ok(())
    }

    /// Changes a record at once in a way that is no outcome: what was brought in from outside.
    pub fn change(
        &mut self,
        store: &impl Store,
        place: Place,
        now: Timestamp,
        mut change: impl FnMut(&mut Record),
    ) -> Result<(), StoreError> {
        let seat = self.seat(store, now)?;
        let entry = self.entries.get_mut(place.0).ok_or(StoreError::Host)?;
        let (record, transitions) = update(store, &entry.key, |bytes| {
            let (mut record, mut transitions) = entry.merged(bytes, seat);
            let before = record.breaker;
            change(&mut record);
            transitions.extend(record.breaker.transition_from(&before));
            (Some(record.encode()), (record, transitions))
        })?;
        entry.record = record;
        entry.written();
        self.transitions.extend(transitions.into_iter().map(|transition| (place, transition)));
        Ok(())
    }

    /// Makes this VM believe something of a backend, and nobody else: for a rehearsal, after which what it believed
    /// before, which is returned, is put back.
    pub fn imagine(&mut self, place: Place, record: Record) -> Record {
        let believed = self.entries.get_mut(place.0).map(|entry| &mut entry.record);
        believed.map_or_else(Record::default, |believed| std::mem::replace(believed, record))
    }

    /// Reads what others wrote, writes what they have not seen, and shows that this VM lives. To be called at every tick.
    pub fn refresh(&mut self, store: &impl Store, now: Timestamp) -> Result<(), StoreError> {
        if self.members.seat().is_none() || now.since(self.heartbeat) >= HEARTBEAT || now < self.heartbeat {
            self.beat(store, now)?;
        }
        self.look_at_uploads(store, now)?;
        let seat = self.members.seat().unwrap_or(usize::MAX);
        for place in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(place) else { continue };
            if entry.pending.is_empty() && entry.notices.is_empty() {
                if entry.is_idle(seat, now) {
                    continue;
                }
                if let Some((bytes, _)) = store.get(&entry.key)?
                    && let Ok(record) = Record::decode(&bytes)
                {
                    entry.record = record;
                }
                if entry.record.load_at(seat) == entry.mine {
                    continue;
                }
            }
            self.flush(store, Place(place), now)?;
        }
        if self.books.is_open() { self.books.refresh(store, now) } else { Ok(()) }
    }

    fn beat(&mut self, store: &impl Store, now: Timestamp) -> Result<(), StoreError> {
        let dead = self.members.heartbeat(store, now)?;
        self.heartbeat = now;
        if dead.is_empty() {
            return Ok(());
        }
        for entry in &self.entries {
            update(store, &entry.key, |bytes| {
                let mut record = bytes.and_then(|bytes| Record::decode(bytes).ok()).unwrap_or_default();
                for &seat in &dead {
                    record.set_load_at(seat, Load::default());
                }
                (Some(record.encode()), ())
            })?;
        }
        WaitingList::clear(store, &dead, now)?;
        if self.books.is_open() {
            self.books.write_off(store, &Members::living(store, now)?, now)?;
        }
        self.members.free(store, &dead, now)
    }

    /// Writes what is pending.
    fn flush(&mut self, store: &impl Store, place: Place, now: Timestamp) -> Result<(), StoreError> {
        self.change(store, place, now, |_| ())
    }

    /// This member's column; a request may come before the first tick. One that stood still for long may have been taken
    /// for dead, and its column be another's by now: it asks before it writes.
    pub fn seat(&mut self, store: &impl Store, now: Timestamp) -> Result<usize, StoreError> {
        if self.members.seat().is_none() || now.since(self.heartbeat) > STANDSTILL {
            self.beat(store, now)?;
        }
        self.members.seat().ok_or(StoreError::Host)
    }
}

#[cfg(test)]
mod tests;
