//! The requests of one worker's streams that wait.
//!
//! A place that is free is offered in the order of the shared list. Only the worker that holds a request can place it,
//! and whether it can is asked of the backends' records, as for any request. So a worker goes through the list: it offers
//! the place to each ticket of its own; at the first of another worker it stops, and calls that one, which goes on from
//! there. A request that cannot use the place (it may be too large) is passed over in the same round.
//!
//! Nothing depends on a call being heard: every worker with a ticket goes through the list at each tick. A worker that
//! shows no more that it lives is passed over.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::state::{Backends, Departure, Lane, Members, Newcomer, Position, Store, StoreError, WaitingList};

/// What waiting in a room needs to know of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its tenant's.
    pub lane: Lane,
    /// Which backends it waits for.
    pub backends: Backends,
    /// How long it waits at most.
    pub patience: Duration,
    /// How many may wait, over all workers.
    pub size: usize,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placing {
    /// The request is on its way.
    Placed,
    /// It cannot use what is free.
    Waits,
    /// There is no such request any more.
    Gone,
}

/// Another worker has the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its seat.
    pub member: u16,
    /// What the round is through with.
    pub passed: Passed,
}

/// The part of the list that a round is through with: what lies before a position, unless it came there since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// The position.
    pub before: Position,
    /// The number that the next ticket had then.
    pub next: u64,
}

/// A request that waits, by what its owner needs to go on with it.
#[derive(Debug)]
pub struct Guest<R> {
    /// The request.
    pub request: R,
    /// When it came.
    pub since: Timestamp,
    position: Position,
    patience: Duration,
}

/// The requests of one worker's streams that wait.
#[derive(Debug)]
pub struct Room<R> {
    guests: Vec<Guest<R>>,
    /// Tickets that could not be taken back yet.
    owed: Vec<Departure>,
}

impl<R> Default for Room<R> {
    fn default() -> Self {
        Self { guests: Vec::new(), owed: Vec::new() }
    }
}

impl<R> Room<R> {
    /// Whether there is nothing that a tick would have to look after.
    pub const fn is_idle(&self) -> bool {
        self.guests.is_empty() && self.owed.is_empty()
    }

    /// The requests that wait.
    pub fn requests(&self) -> impl Iterator<Item = &R> {
        self.guests.iter().map(|guest| &guest.request)
    }

    /// Lets a request wait, as one of the member on this seat. Where as many wait as may, says how long the first of
    /// them has waited.
    pub fn enter(
        &mut self,
        store: &impl Store,
        seat: u16,
        entry: Entry,
        now: Timestamp,
        request: R,
    ) -> Result<Result<Position, Duration>, StoreError> {
        let Entry { lane, backends, patience, size } = entry;
        let newcomer = Newcomer { member: seat, lane, backends, patience };
        let ticket = match WaitingList::join(store, &newcomer, size, now)? {
            Ok(ticket) => ticket,
            Err(longest) => return Ok(Err(longest)),
        };
        self.guests.push(Guest { request, since: now, position: ticket.position, patience });
        Ok(Ok(ticket.position))
    }

    /// A request that waits no longer, whatever the reason.
    pub fn leave(&mut self, store: &impl Store, position: Position, now: Timestamp) -> Option<Guest<R>> {
        let index = self.guests.iter().position(|guest| guest.position == position)?;
        let guest = self.guests.remove(index);
        self.owed.push(Departure { position, served: false });
        self.settle(store, now);
        Some(guest)
    }

    /// Takes out those who have waited long enough.
    pub fn overdue(&mut self, store: &impl Store, now: Timestamp) -> Vec<Guest<R>> {
        let is_overdue = |guest: &mut Guest<R>| {
            // The clock may have stepped back.
            guest.since = guest.since.min(now);
            now.since(guest.since) >= guest.patience
        };
        let overdue: Vec<_> = self.guests.extract_if(.., is_overdue).collect();
        self.owed.extend(overdue.iter().map(|guest| Departure { position: guest.position, served: false }));
        self.settle(store, now);
        overdue
    }

    /// Writes down what each of them waits for now: backends come and go, and so does the money for them. Where that fails,
    /// it is tried again at the next tick.
    pub fn renew(&self, store: &impl Store, now: Timestamp, mut backends: impl FnMut(&R) -> Option<Backends>) {
        let mut wishes = Vec::with_capacity(self.guests.len());
        for guest in &self.guests {
            if let Some(backends) = backends(&guest.request) {
                wishes.push((guest.position, backends));
            }
        }
        let _ = WaitingList::amend(store, &wishes, now);
    }

    /// One round: offers what is free to those who wait, in order. `free` says which backends have
    /// room, as far as this worker knows; `place` makes an offer. Returns who has the turn next, if it is another worker.
    pub fn round(
        &mut self,
        store: &impl Store,
        seat: u16,
        now: Timestamp,
        passed: Passed,
        mut free: impl FnMut() -> Backends,
        mut place: impl FnMut(&Guest<R>) -> Placing,
    ) -> Result<Option<Call>, StoreError> {
        let mut room = free();
        if room == Backends::NONE && self.owed.is_empty() {
            return Ok(None);
        }
        let list = WaitingList::read(store, now)?;
        let mut present = None;
        let mut call = None;
        for ticket in list.tickets() {
            if passed.has(ticket.position) || !ticket.backends.meets(room) {
                continue;
            }
            if let Some(index) = self.guests.iter().position(|guest| guest.position == ticket.position) {
                self.offer(index, &mut place);
                room = free();
            } else if ticket.member == seat {
                // Nobody knows of it: it could not be taken back, or this seat was another member's.
                self.owed.push(Departure { position: ticket.position, served: false });
            } else if present.get_or_insert_with(|| Present::read(store, now)).has(ticket.member) {
                let passed = Passed { before: ticket.position, next: list.next() };
                call = Some(Call { member: ticket.member, passed });
                break;
            }
        }
        if call.is_none() {
            self.offer_to_lost(&list, &mut place);
        }
        self.settle(store, now);
        Ok(call)
    }

    fn offer(&mut self, index: usize, place: &mut impl FnMut(&Guest<R>) -> Placing) {
        let Some(guest) = self.guests.get(index) else { return };
        let placing = place(guest);
        if placing != Placing::Waits {
            self.owed.push(Departure { position: guest.position, served: placing == Placing::Placed });
            self.guests.remove(index);
        }
    }

    /// Those whose tickets are gone, since this worker was taken for dead: they must not be forgotten.
    fn offer_to_lost(&mut self, list: &WaitingList, place: &mut impl FnMut(&Guest<R>) -> Placing) {
        let has_ticket = |position| list.tickets().iter().any(|ticket| ticket.position == position);
        for index in (0..self.guests.len()).rev() {
            if self.guests.get(index).is_some_and(|guest| !has_ticket(guest.position)) {
                self.offer(index, place);
            }
        }
    }

    /// Takes back what is owed; where that fails, later.
    fn settle(&mut self, store: &impl Store, now: Timestamp) {
        if !self.owed.is_empty() && WaitingList::part(store, &self.owed, now).is_ok() {
            self.owed.clear();
        }
    }
}

impl Passed {
    fn has(self, position: Position) -> bool {
        position < self.before && position.number < self.next
    }
}

/// The members that showed lately that they live; none where that could not be read, and then all count as such.
struct Present(Option<Vec<usize>>);

impl Present {
    fn read(store: &impl Store, now: Timestamp) -> Self {
        Self(Members::present(store, now).ok())
    }

    fn has(&self, member: u16) -> bool {
        self.0.as_ref().is_none_or(|seats| seats.contains(&usize::from(member)))
    }
}
