//! The accounts, through the view: what a request may cost is reserved, what it did cost is settled.

use super::{Place, View};
use crate::cost::Shortage;
use crate::domain::{Calendar, PicoUsd, Timestamp};
use crate::state::auditor::Auditor;
use crate::state::books::{Reservation, Spent};
use crate::state::ledger::{Ledger, Line};
use crate::state::members::Members;
use crate::state::store::{Store, StoreError};

impl View {
    /// Begins to keep accounts; without, nobody reads or writes the shared ledger.
    pub fn open_books(&mut self, store: &impl Store) -> Result<(), StoreError> {
        Members::create(store)?;
        self.books.open(store)
    }

    /// Takes note of what date it is. To be called at every tick: the clock may be set.
    pub const fn set_calendar(&mut self, calendar: Calendar) {
        self.books.set_calendar(calendar);
    }

    /// What date it is, as of the last tick.
    pub const fn calendar(&self) -> Calendar {
        self.books.calendar()
    }

    /// All accounts, as last seen.
    pub const fn ledger(&self) -> &Ledger {
        self.books.ledger()
    }

    /// Reserves what a request may cost; see [`Books`](crate::state::Books).
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

    /// Takes back what is reserved for a request that does not leave after all.
    pub fn give_back(
        &mut self,
        store: &impl Store,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.books.give_back(store, reservation, now)
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

    /// What an answer cost in whole millionths of a dollar. What is left of it is added to the next, so that of many small
    /// costs nothing is lost.
    pub fn bill(&mut self, place: Place, cost: PicoUsd) -> u64 {
        let Some(entry) = self.entries.get_mut(place.0) else { return 0 };
        let (whole, change) = entry.change.plus(cost).split_micro_usd();
        entry.change = change;
        whole
    }

    /// What this VM sees of money.
    pub const fn auditor(&mut self) -> &mut Auditor {
        &mut self.auditor
    }

    /// Adds what this VM saw of money to what all know. To be called at every tick.
    pub fn write_audit(&mut self, store: &impl Store, now: Timestamp) -> Result<(), StoreError> {
        let id = |place: Place| self.entries.get(place.0).map_or("", |entry| &entry.id);
        self.auditor.tick(store, id, now, self.books.calendar())
    }
}
