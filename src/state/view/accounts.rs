//! The accounts, through the view: what a request may cost is reserved, what it did cost is settled.

use super::View;
use crate::cost::Shortage;
use crate::domain::Timestamp;
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
}
