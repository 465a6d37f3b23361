//! This VM's copy of all records, and the only way to change one.

use std::time::Duration;

use super::auditor::Auditor;
use super::books::{Books, Reservation, Spent};
use super::journal::{self, Journal, Page};
use super::keeper::{KEEPER_EXPIRY, Keeper};
use super::ledger::{Ledger, Line};
use super::members::Members;
use super::notice::{Notice, Signal};
use super::outcome::Outcome;
use super::record::{Load, Record};
use super::store::{Store, StoreError, update};
use super::waiting::WaitingList;
use crate::cost::Shortage;
use crate::domain::{PicoUsd, Timestamp, Tokens};
use crate::health::{Pass, Transition};

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

#[derive(Debug)]
struct Entry {
    id: Box<str>,
    key: Box<str>,
    /// What this VM has in flight there: the truth of which this member's column is the copy.
    mine: Load,
    /// Of that, what its provider has reported to be taken off its quota.
    reported: Load,
    /// The record as last seen, with what is in `pending`.
    record: Record,
    /// Outcomes that others have not seen yet.
    pending: Vec<Outcome>,
    /// Notices that others have not seen yet; all of them are from before the end of the requests in `pending`, or of
    /// others.
    notices: Vec<Notice>,
    /// When a router last had it, once that is told: what nobody has any more is not read at each tick.
    had: Option<Timestamp>,
    /// What answers cost that is not a whole millionth of a dollar yet.
    change: PicoUsd,
    keeper: Keeper,
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
    auditor: Auditor,
    /// Which of them watches for alerts.
    watch: Keeper,
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
            auditor: Auditor::default(),
            watch: Keeper::default(),
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

    /// The last decisions of this VM.
    pub const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// What this VM sees of money.
    pub const fn auditor(&mut self) -> &mut Auditor {
        &mut self.auditor
    }

    /// Adds what this VM saw of money to what all know. To be called at every tick.
    pub fn write_audit(&mut self, store: &impl Store, now: Timestamp) -> Result<(), StoreError> {
        let id = |place: Place| self.entries.get(place.0).map_or("", |entry| &entry.id);
        self.auditor.tick(store, id, now)
    }

    /// Shows others this VM's last decisions. To be called at every tick.
    pub fn write_journal(&mut self, store: &impl Store) -> Result<(), StoreError> {
        self.journal.tick(store, self.members.seat())
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
        if at_once || outcome.verdict.is_ill() || entry.pending.len().is_multiple_of(BATCH) {
            self.flush(store, place, outcome.at)?;
        }
        Ok(())
    }

    /// What an answer cost in whole millionths of a dollar. What is left of it is added to the next, so that of many small
    /// costs nothing is lost.
    pub fn bill(&mut self, place: Place, cost: PicoUsd) -> u64 {
        let Some(entry) = self.entries.get_mut(place.0) else { return 0 };
        let (whole, change) = entry.change.plus(cost).split_micro_usd();
        entry.change = change;
        whole
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

    /// Begins to keep accounts; without, nobody reads or writes the shared ledger.
    pub fn open_books(&mut self, store: &impl Store) -> Result<(), StoreError> {
        Members::create(store)?;
        self.books.open(store)
    }

    /// All accounts, as last seen.
    pub const fn ledger(&self) -> &Ledger {
        self.books.ledger()
    }

    /// Reserves what a request may cost; see [`Books`].
    pub fn reserve(
        &mut self,
        store: &impl Store,
        lines: &[Line],
        now: Timestamp,
    ) -> Result<Result<Reservation, Shortage>, StoreError> {
        self.seat(store, now)?;
        self.books.reserve(store, lines, now)
    }

    /// Moves what is reserved for a request to where it went.
    pub fn transfer(
        &mut self,
        store: &impl Store,
        before: Option<Reservation>,
        lines: &[Line],
        now: Timestamp,
    ) -> (Reservation, Result<(), StoreError>) {
        self.books.transfer(store, before, lines, now)
    }

    /// Counts what a request cost as spent, instead of what was reserved for it.
    pub fn settle(
        &mut self,
        store: &impl Store,
        reservation: &Reservation,
        spent: Spent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.books.settle(store, reservation, spent, now)
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
            Books::write_off(store, &Members::living(store, now)?, now)?;
        }
        self.members.free(store, &dead, now)
    }

    /// Writes what is pending.
    fn flush(&mut self, store: &impl Store, place: Place, now: Timestamp) -> Result<(), StoreError> {
        self.change(store, place, now, |_| ())
    }

    /// This member's column; a request may come before the first tick.
    pub fn seat(&mut self, store: &impl Store, now: Timestamp) -> Result<usize, StoreError> {
        if self.members.seat().is_none() {
            self.beat(store, now)?;
        }
        self.members.seat().ok_or(StoreError::Host)
    }
}

impl Entry {
    /// The shared record with what only this VM knows, and what that changes in its breaker.
    fn merged(&self, bytes: Option<&[u8]>, seat: usize) -> (Record, Vec<Transition>) {
        let mut record = bytes.and_then(|bytes| Record::decode(bytes).ok()).unwrap_or_default();
        let mut transitions = Vec::new();
        for notice in &self.notices {
            record.notice(notice);
        }
        for outcome in &self.pending {
            let before = record.breaker;
            record.learn(outcome);
            transitions.extend(record.breaker.transition_from(&before));
        }
        record.set_column_at(seat, self.mine, self.reported);
        (record, transitions)
    }

    /// Whether nobody has had it for a while, and nothing of this VM is under way there.
    fn is_idle(&self, seat: usize, now: Timestamp) -> bool {
        let is_gone = self.had.is_some_and(|had| now < had || now.since(had) > KEEPER_EXPIRY);
        is_gone && self.mine == Load::default() && self.record.load_at(seat) == self.mine
    }

    /// Others have seen all of it.
    fn written(&mut self) {
        self.pending.clear();
        self.notices.clear();
    }

    fn note_in_flight(&mut self, seat: Option<usize>) {
        if let Some(seat) = seat {
            self.record.set_column_at(seat, self.mine, self.reported);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Failure;
    use crate::health::{BreakerPhase, TripReason, Verdict};
    use crate::routing::testing::{at, backend};
    use crate::state::MemoryStore;

    const ILL: Verdict = Verdict::Ill(Failure::ServerError);

    fn views(store: &impl Store, number: u64) -> Vec<View> {
        let mut views: Vec<View> = (1..=number).map(View::new).collect();
        for view in &mut views {
            while view.place(store, "a").is_err() {}
        }
        views
    }

    fn enter(view: &mut View, store: &MemoryStore, limit: u32, now: Timestamp) -> bool {
        let admit = |record: &mut Record| if record.in_flight() < limit { Ok(()) } else { Err(()) };
        view.enter(store, Place(0), now, Tokens(7), admit).expect("stored").is_ok()
    }

    fn outcome(verdict: Verdict, second: u64) -> Outcome {
        Outcome::new(&backend("a"), None, verdict, at(second))
    }

    fn leaving(at_once: bool) -> Leaving {
        Leaving { tokens: Tokens(7), reported: false, at_once }
    }

    fn shared(store: &impl Store) -> Record {
        let (bytes, _) = store.get(&Record::key("a")).unwrap().unwrap();
        Record::decode(&bytes).unwrap()
    }

    #[test]
    fn a_limit_holds_over_all_workers_though_their_views_are_old() {
        let store = MemoryStore::default();
        let mut views = views(&store, 4);
        let entered = (0..40).filter(|n| enter(&mut views[n % 4], &store, 10, at(0))).count();
        assert_eq!((entered, shared(&store).in_flight()), (10, 10));
    }

    #[test]
    fn the_requests_of_a_worker_that_died_are_forgotten() {
        let store = MemoryStore::default();
        let [mut dying, mut living] = views(&store, 2).try_into().expect("two");
        enter(&mut dying, &store, 99, at(0));
        enter(&mut living, &store, 99, at(0));
        for second in 0..20 {
            living.refresh(&store, at(second)).expect("refreshed");
        }
        assert_eq!(living.record(Place(0)).in_flight(), 1);
        assert!(living.leads());
        // It was only asleep: what it has in flight is counted again.
        dying.refresh(&store, at(21)).expect("refreshed");
        assert_eq!(shared(&store).in_flight(), 2);
    }

    #[test]
    fn good_news_is_told_at_the_tick_and_bad_news_at_once() {
        let store = MemoryStore::default();
        let [mut one, mut other] = views(&store, 2).try_into().expect("two");
        one.enter_unasked(Place(0), Tokens(7));
        one.leave(&store, Place(0), leaving(false), &outcome(Verdict::Well, 0)).expect("noted");
        assert_eq!((one.record(Place(0)).window.len(), shared(&store).window.len()), (1, 0));
        one.learn(&store, Place(0), &outcome(ILL, 0), false).expect("written");
        assert_eq!((shared(&store).window.len(), shared(&store).window.failures()), (2, 1));
        other.refresh(&store, at(0)).expect("refreshed");
        assert_eq!(other.record(Place(0)).window.len(), 2);
        one.learn(&store, Place(0), &outcome(Verdict::Well, 0), false).expect("noted");
        one.refresh(&store, at(0)).expect("refreshed");
        assert_eq!((one.record(Place(0)).window.len(), shared(&store).window.len()), (3, 3));
    }

    #[test]
    fn a_change_of_a_breakers_state_is_told_once_by_the_one_who_wrote_it() {
        let store = MemoryStore::default();
        let mut views = views(&store, 3);
        let mut told: Vec<Vec<Transition>> = vec![Vec::new(); 3];
        for n in 0..12 {
            let view = &mut views[n % 3];
            view.enter_unasked(Place(0), Tokens(7));
            let _ = view.leave(&store, Place(0), leaving(false), &outcome(ILL, 0));
            // Some hear of it sooner, some later; hearing is not doing.
            views[n % 2].refresh(&store, at(0)).expect("refreshed");
            for (view, told) in views.iter_mut().zip(&mut told) {
                told.extend(view.take_transitions().into_iter().map(|(_, transition)| transition));
            }
        }
        let opened =
            Transition { from: BreakerPhase::Closed, to: BreakerPhase::Open, reason: TripReason::ConsecutiveFailures };
        assert_eq!(told.concat(), [opened]);
        assert_eq!(told[1], [opened], "the fifth failure was the second worker's");
        // Looking whether one might enter changes nothing; entering does.
        let settings = backend("a").breaker.expect("a breaker");
        let mut admit = |second| {
            let enter = |record: &mut Record| record.breaker.enter(&settings, Tokens(7), at(second));
            views[2].enter(&store, Place(0), at(second), Tokens(7), enter).expect("stored").is_ok()
        };
        assert_eq!([admit(1), admit(70), admit(70)], [false, true, true]);
        let told: Vec<_> = views[2].take_transitions().into_iter().map(|(_, t)| (t.to, t.reason)).collect();
        assert_eq!(told, [(BreakerPhase::HalfOpen, TripReason::RecoveryTimeout)]);
    }

    #[test]
    fn the_newest_configuration_looks_after_a_backend_until_it_is_gone() {
        let store = MemoryStore::default();
        let [mut view] = views(&store, 1).try_into().expect("one");
        assert!(view.keeps(Place(0), 1, at(0)) && view.keeps(Place(0), 2, at(0)));
        assert!(!view.keeps(Place(0), 1, at(4)) && view.keeps(Place(0), 2, at(4)));
        assert!(!view.keeps(Place(0), 1, at(9)));
        assert!(view.keeps(Place(0), 1, at(10)));
        assert!(view.keeps(Place(0), 1, at(3)), "though the clock stepped back");
        assert!(!view.keeps(Place(9), 1, at(10)), "there is no such place");
    }

    /// A store that refuses some of the accesses.
    struct Flaky(MemoryStore, std::cell::Cell<u32>);

    impl Flaky {
        fn refuses(&self) -> bool {
            self.1.set(self.1.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            self.1.get() >> 30 == 0
        }
    }

    impl Store for Flaky {
        fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
            if self.refuses() { Err(StoreError::Host) } else { self.0.get(key) }
        }

        fn set(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<bool, StoreError> {
            if self.refuses() { Ok(false) } else { self.0.set(key, value, cas) }
        }
    }

    proptest! {
        #[test]
        fn counts_and_lessons_are_exact_in_the_end_even_if_writes_fail(
            steps in prop::collection::vec((0..3_usize, 0..5_u8), 0..120), seed in any::<u32>()
        ) {
            let store = Flaky(MemoryStore::default(), std::cell::Cell::new(seed));
            let mut views = views(&store, 3);
            let (mut under_way, mut answers, mut failures) = ([0_u32; 3], 0, 0);
            for (n, event) in steps {
                let view = &mut views[n];
                match event {
                    0 => under_way[n] += u32::from(view.enter_unasked(Place(0), Tokens(7)).is_some()),
                    1 => {
                        let entered = view.enter(&store, Place(0), at(0), Tokens(7), |_| Ok::<_, ()>(()));
                        under_way[n] += u32::from(entered.is_ok());
                    }
                    _ if under_way[n] > 0 => {
                        let verdict = if event == 2 { ILL } else { Verdict::Well };
                        let _ = view.leave(&store, Place(0), leaving(event == 3), &outcome(verdict, 0));
                        under_way[n] -= 1;
                        answers += 1;
                        failures += u32::from(event == 2);
                    }
                    _ => {}
                }
            }
            for view in &mut views {
                while view.refresh(&store, at(0)).is_err() {}
            }
            let record = shared(&store.0);
            prop_assert_eq!(record.in_flight(), under_way.iter().sum::<u32>());
            prop_assert_eq!((record.window.len(), record.window.failures()), (answers.min(100), failures));
        }
    }
}
