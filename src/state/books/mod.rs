//! This VM's part of the [`Ledger`], and the only way to change it.
//!
//! Money is reserved before a request leaves and spent when its answer has ended. Both are written at once, since others
//! must know; where that fails, what this VM has reserved and what it owes the accounts is kept, and written with the
//! next change or at the next tick. So nothing is lost and nothing is counted twice.

use super::ledger::{AccountKey, Ledger, Line};
use super::store::{Store, StoreError, update};
use crate::cost::Shortage;
use crate::domain::{Calendar, PicoUsd, Timestamp, Tokens};

/// Accounts that one request touches at most: that of all requests, its tenant's, its backend's.
const LINES: usize = 3;

/// What is reserved for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    shares: [Option<Share>; LINES],
    /// How much: the same in each of them.
    cost: PicoUsd,
    /// In which of this VM's lives it was made.
    life: u32,
}

/// How a request was admitted to one account: what is corrected there in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    account: AccountKey,
    tokens: Tokens,
    at: Timestamp,
}

impl Reservation {
    fn shares(&self) -> impl Iterator<Item = &Share> {
        self.shares.iter().flatten()
    }
}

/// How a request is admitted to an account already.
#[inline(never)]
fn share_of(reservation: Option<&Reservation>, account: AccountKey) -> Option<Share> {
    reservation?.shares().find(|share| share.account == account).copied()
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// What it cost.
    pub cost: PicoUsd,
    /// What it took.
    pub tokens: Tokens,
}

/// What this VM has to do with one account.
#[derive(Debug, Clone, Copy)]
struct Mine {
    account: AccountKey,
    /// For requests under way: the truth of which the ledger has the copy. It is a sum that is not capped, so that what
    /// is taken off again leaves what was there before.
    reserved: u128,
    /// What the ledger was last told of that, and what is spent should this VM be taken for dead.
    written: PicoUsd,
    /// Spent, and not written yet.
    owed: PicoUsd,
}

impl Mine {
    const fn of(account: AccountKey) -> Self {
        Self { account, reserved: 0, written: PicoUsd(0), owed: PicoUsd(0) }
    }

    /// What is reserved, as the ledger has it.
    fn reserved(&self) -> PicoUsd {
        capped(self.reserved)
    }

    /// What is still to be spent after this VM was taken for dead and forgotten: all that is owed and reserved, but for what was spent
    /// in its name.
    fn left_over(&self) -> PicoUsd {
        capped(self.reserved.saturating_add(self.owed.0.into()).saturating_sub(self.written.0.into()))
    }
}

fn capped(amount: u128) -> PicoUsd {
    PicoUsd(u64::try_from(amount).unwrap_or(u64::MAX))
}

/// This VM's copy of the ledger.
#[derive(Debug)]
pub struct Books {
    member: u64,
    ledger: Ledger,
    mine: Vec<Mine>,
    /// Whether any configuration of this VM has limits: otherwise nobody reads or writes the ledger.
    open: bool,
    joined: bool,
    /// How often this VM was taken for dead, and came back when nobody remembered it. What it had reserved then stays
    /// spent.
    life: u32,
    /// What date it is.
    calendar: Calendar,
}

impl Books {
    /// Those of a member with that name.
    pub(super) const fn new(member: u64) -> Self {
        Self {
            member,
            ledger: Ledger::EMPTY,
            mine: Vec::new(),
            open: false,
            joined: false,
            life: 0,
            calendar: Calendar::UNSET,
        }
    }

    /// Creates the shared ledger unless it exists.
    pub(super) fn open(&mut self, store: &impl Store) -> Result<(), StoreError> {
        self.open = true;
        update(store, Ledger::KEY, |bytes| match bytes.and_then(Ledger::decode) {
            Some(_) => (None, ()),
            None => (Some(Ledger::EMPTY.encode()), ()),
        })
    }

    /// Whether anything is limited.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Takes note of what date it is.
    pub(super) const fn set_calendar(&mut self, calendar: Calendar) {
        self.calendar = calendar;
        self.ledger.calendar = calendar;
    }

    /// What date it is.
    pub(super) const fn calendar(&self) -> Calendar {
        self.calendar
    }

    fn read(&self, bytes: Option<&[u8]>) -> Ledger {
        let mut ledger = bytes.and_then(Ledger::decode).unwrap_or_default();
        ledger.calendar = self.calendar;
        ledger
    }

    /// As last seen.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Reserves in all of its accounts what of a request's cost is kept from others, or says of which limit there is not
    /// enough left for all of it.
    pub(super) fn reserve(
        &mut self,
        store: &impl Store,
        lines: &[Line],
        now: Timestamp,
    ) -> Result<Result<Reservation, Shortage>, StoreError> {
        let mut held = PicoUsd(0);
        let result = self.write(store, now, &mut |ledger, member, _| {
            if let Some(shortage) = lines.iter().find_map(|line| ledger.shortage(line, now)) {
                return Err(shortage);
            }
            held = ledger.hold(lines, now);
            for line in lines {
                ledger.admit(line, now);
                ledger.reserve(member, line.account, held);
            }
            Ok(())
        })?;
        Ok(result.map(|()| self.note(lines, held, None, now, true)))
    }

    /// A request went to another backend than it was to: Envoy has sent it there, whatever the limits are. What was
    /// written off stays where it is.
    pub(super) fn transfer(
        &mut self,
        store: &impl Store,
        before: Option<Reservation>,
        lines: &[Line],
        now: Timestamp,
    ) -> (Reservation, Result<(), StoreError>) {
        if let Some(before) = before.filter(|before| before.life != self.life) {
            return (before, Ok(()));
        }
        // Where the ledger cannot be read, by what it was.
        let mut held = self.ledger.hold(lines, now);
        let written = self.write(store, now, &mut |ledger, member, is_dead| {
            if is_dead && before.is_some() {
                return Ok(());
            }
            if let Some(before) = &before {
                for share in before.shares() {
                    ledger.release(member, share.account, before.cost);
                }
            }
            held = ledger.hold(lines, now);
            for line in lines {
                if share_of(before.as_ref(), line.account).is_none() {
                    ledger.admit(line, now);
                }
                ledger.reserve(member, line.account, held);
            }
            Ok(())
        });
        match before {
            Some(before) if before.life != self.life => (before, Ok(())),
            _ => (self.note(lines, held, before.as_ref(), now, written.is_ok()), written.map(|_| ())),
        }
    }

    /// A request does not leave after all: it counts nowhere.
    pub(super) fn give_back(
        &mut self,
        store: &impl Store,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // What was written off stays spent: nobody knows any more whose it was.
        if reservation.life == self.life {
            self.release(reservation, false);
        }
        let written = self.write(store, now, &mut |ledger, _, _| {
            for share in reservation.shares() {
                ledger.unadmit(share.account, share.tokens, share.at);
            }
            Ok(())
        });
        written.map(|_| ())
    }

    /// What is reserved for a request is free for others, for now. Says whether there was anything: what was written off
    /// stays so.
    pub(super) fn suspend(&mut self, reservation: &Reservation) -> bool {
        let is_reserved = reservation.life == self.life;
        if is_reserved {
            self.release(reservation, false);
        }
        is_reserved
    }

    /// It is reserved again, whatever the limits are.
    pub(super) fn resume(&mut self, reservation: &Reservation) -> Reservation {
        for share in reservation.shares() {
            self.change(share.account, |mine| mine.reserved = mine.reserved.saturating_add(reservation.cost.0.into()));
        }
        Reservation { life: self.life, ..*reservation }
    }

    /// A request is over: what it cost is spent, and what was reserved for it is free.
    pub(super) fn settle(
        &mut self,
        store: &impl Store,
        reservation: &Reservation,
        spent: Spent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // What was written off is spent already.
        let is_spent = reservation.life != self.life;
        let owed = if is_spent { spent.cost.minus(reservation.cost) } else { spent.cost };
        if !is_spent {
            self.release(reservation, false);
        }
        for share in reservation.shares() {
            self.change(share.account, |mine| mine.owed = mine.owed.plus(owed));
        }
        let written = self.write(store, now, &mut |ledger, _, _| {
            for share in reservation.shares() {
                ledger.correct(share.account, share.tokens, spent.tokens, share.at);
            }
            Ok(())
        });
        written.map(|_| ())
    }

    /// Reads what others wrote, and writes what could not be written before.
    pub(super) fn refresh(&mut self, store: &impl Store, now: Timestamp) -> Result<(), StoreError> {
        if let Some((bytes, _)) = store.get(Ledger::KEY)? {
            self.ledger = self.read(Some(&bytes));
        }
        let is_known = self.ledger.knows(self.member);
        let is_written = |mine: &Mine| {
            mine.owed == PicoUsd(0)
                && self.ledger.reserved_by(self.member, mine.account) == mine.reserved()
                && (is_known || mine.written == PicoUsd(0))
        };
        if self.mine.iter().all(is_written) {
            return Ok(());
        }
        self.write(store, now, &mut |_, _, _| Ok(())).map(|_| ())
    }

    /// Counts what those who died had reserved as spent.
    pub(super) fn write_off(&self, store: &impl Store, living: &[u64], now: Timestamp) -> Result<(), StoreError> {
        update(store, Ledger::KEY, |bytes| {
            let mut ledger = self.read(bytes);
            let is_changed = ledger.write_off(living, now);
            (is_changed.then(|| ledger.encode()), ())
        })
    }

    /// Notes what is held instead of what was before, and whether the ledger knows of it.
    fn note(
        &mut self,
        lines: &[Line],
        held: PicoUsd,
        before: Option<&Reservation>,
        now: Timestamp,
        is_written: bool,
    ) -> Reservation {
        if let Some(before) = before {
            self.release(before, is_written);
        }
        let mut shares = [None; LINES];
        for (place, line) in shares.iter_mut().zip(lines) {
            self.change(line.account, |mine| {
                mine.reserved = mine.reserved.saturating_add(held.0.into());
                if is_written {
                    mine.written = mine.written.plus(held);
                }
            });
            let share = Share { account: line.account, tokens: line.claim.tokens, at: now };
            *place = Some(share_of(before, line.account).unwrap_or(share));
        }
        Reservation { shares, cost: held, life: self.life }
    }

    /// Notes that it is not reserved any more, and whether the ledger knows of that.
    fn release(&mut self, reservation: &Reservation, is_written: bool) {
        for share in reservation.shares() {
            self.change(share.account, |mine| {
                mine.reserved = mine.reserved.saturating_sub(reservation.cost.0.into());
                if is_written {
                    mine.written = mine.written.minus(reservation.cost);
                }
            });
        }
    }

    fn change(&mut self, account: AccountKey, change: impl FnOnce(&mut Mine)) {
        if let Some(mine) = self.mine.iter_mut().find(|mine| mine.account == account) {
            return change(mine);
        }
        let mut mine = Mine::of(account);
        change(&mut mine);
        self.mine.push(mine);
    }

    /// Writes all that this VM knows, and what `change` makes of it, if that agrees. That is told this VM's name in the
    /// ledger, and whether it was taken for dead and is forgotten.
    #[inline(never)]
    fn write(
        &mut self,
        store: &impl Store,
        now: Timestamp,
        change: &mut dyn FnMut(&mut Ledger, u64, bool) -> Result<(), Shortage>,
    ) -> Result<Result<(), Shortage>, StoreError> {
        let (ledger, is_dead, result) = update(store, Ledger::KEY, |bytes| {
            let mut ledger = self.read(bytes);
            let was_dead = self.joined && !ledger.knows(self.member);
            let has_lost = || self.mine.iter().any(|mine| mine.written > PicoUsd(0));
            let is_dead = was_dead && !ledger.restore(self.member) && has_lost();
            ledger.join(self.member);
            for mine in &self.mine {
                let (spent, reserved) =
                    if is_dead { (mine.left_over(), PicoUsd(0)) } else { (mine.owed, mine.reserved()) };
                ledger.spend(mine.account, spent, now);
                ledger.set_reserved(self.member, mine.account, reserved);
            }
            let result = change(&mut ledger, self.member, is_dead);
            (result.is_ok().then(|| ledger.encode()), (ledger, is_dead, result))
        })?;
        self.ledger = ledger;
        if result.is_ok() {
            self.joined = true;
            self.life = self.life.wrapping_add(u32::from(is_dead));
            self.mine.retain_mut(|mine| {
                mine.owed = PicoUsd(0);
                if is_dead {
                    mine.reserved = 0;
                }
                mine.written = mine.reserved();
                mine.reserved > 0
            });
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests;
