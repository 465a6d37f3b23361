//! This VM's part of the [`Ledger`], and the only way to change it.
//!
//! Money is reserved before a request leaves and spent when its answer has ended. Both are written at once, since others
//! must know; where that fails, what this VM has reserved and what it owes the accounts is kept, and written with the
//! next change or at the next tick. So nothing is lost and nothing is counted twice.

use super::ledger::{AccountKey, Ledger, Line};
use super::store::{Store, StoreError, update};
use crate::cost::{Claim, Shortage};
use crate::domain::{PicoUsd, Timestamp, Tokens};

/// Accounts that one request touches at most: that of all requests, its tenant's, its backend's.
const LINES: usize = 3;

/// What is reserved for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    accounts: [Option<AccountKey>; LINES],
    claim: Claim,
    at: Timestamp,
    /// In which of this VM's lives it was made.
    life: u32,
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
    /// For requests under way: the truth of which the ledger has the copy.
    reserved: PicoUsd,
    /// Spent, and not written yet.
    owed: PicoUsd,
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
    /// How often this VM was taken for dead. What it had reserved then was written off as spent.
    life: u32,
}

impl Books {
    /// Those of a member with that name.
    pub(super) const fn new(member: u64) -> Self {
        Self { member, ledger: Ledger::EMPTY, mine: Vec::new(), open: false, joined: false, life: 0 }
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

    /// As last seen.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Reserves what a request may cost in all of its accounts, or says of which limit there is not enough left.
    pub(super) fn reserve(
        &mut self,
        store: &impl Store,
        lines: &[Line],
        now: Timestamp,
    ) -> Result<Result<Reservation, Shortage>, StoreError> {
        let result = self.write(store, now, &mut |ledger, member, _| {
            if let Some(shortage) = lines.iter().find_map(|line| ledger.shortage(line, now)) {
                return Err(shortage);
            }
            for line in lines {
                ledger.admit(line, now);
                ledger.reserve(member, line);
            }
            Ok(())
        })?;
        Ok(result.map(|()| self.note(lines, now)))
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
        let known = before.map_or([None; LINES], |before| before.accounts);
        match &before {
            Some(before) if before.life != self.life => return (*before, Ok(())),
            Some(before) => self.release(before),
            None => {}
        }
        let mut was_dead = false;
        let written = self.write(store, now, &mut |ledger, member, is_dead| {
            let is_spent = is_dead && before.is_some();
            for line in lines.iter().filter(|_| !is_spent) {
                if !known.contains(&Some(line.account)) {
                    ledger.admit(line, now);
                }
                ledger.reserve(member, line);
            }
            was_dead = is_dead;
            Ok(())
        });
        match (before, &written) {
            (Some(before), Ok(_)) if was_dead => (before, Ok(())),
            _ => (self.note(lines, now), written.map(|_| ())),
        }
    }

    /// A request does not leave after all: it counts nowhere.
    pub(super) fn give_back(
        &mut self,
        store: &impl Store,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.release(reservation);
        let written = self.write(store, now, &mut |ledger, _, _| {
            for account in reservation.accounts.into_iter().flatten() {
                ledger.unadmit(account, reservation.claim, reservation.at);
            }
            Ok(())
        });
        written.map(|_| ())
    }

    /// A request is over: what it cost is spent, and what was reserved for it is free.
    pub(super) fn settle(
        &mut self,
        store: &impl Store,
        reservation: &Reservation,
        spent: Spent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Reservation { claim, at, life, .. } = *reservation;
        let accounts = || reservation.accounts.into_iter().flatten();
        self.release(reservation);
        let was_dead = life != self.life;
        let written = self.write(store, now, &mut |ledger, _, is_dead| {
            for account in accounts() {
                // What was written off is spent already.
                let owed = if was_dead || is_dead { spent.cost.minus(claim.cost) } else { spent.cost };
                ledger.spend(account, owed, now);
                ledger.correct(account, claim.tokens, spent.tokens, at);
            }
            Ok(())
        });
        if written.is_err() {
            for account in accounts() {
                self.change(account, |mine| mine.owed = mine.owed.plus(spent.cost));
            }
        }
        written.map(|_| ())
    }

    /// Reads what others wrote, and writes what could not be written before.
    pub(super) fn refresh(&mut self, store: &impl Store, now: Timestamp) -> Result<(), StoreError> {
        if let Some((bytes, _)) = store.get(Ledger::KEY)? {
            self.ledger = Ledger::decode(&bytes).unwrap_or_default();
        }
        let is_written = |mine: &Mine| {
            mine.owed == PicoUsd(0) && self.ledger.reserved_by(self.member, mine.account) == mine.reserved
        };
        if self.mine.iter().all(is_written) {
            return Ok(());
        }
        self.write(store, now, &mut |_, _, _| Ok(())).map(|_| ())
    }

    /// Counts what those who died had reserved as spent.
    pub(super) fn write_off(store: &impl Store, living: &[u64], now: Timestamp) -> Result<(), StoreError> {
        update(store, Ledger::KEY, |bytes| {
            let mut ledger = bytes.and_then(Ledger::decode).unwrap_or_default();
            let is_changed = ledger.write_off(living, now);
            (is_changed.then(|| ledger.encode()), ())
        })
    }

    /// Notes what was reserved.
    fn note(&mut self, lines: &[Line], now: Timestamp) -> Reservation {
        let mut accounts = [None; LINES];
        for (place, line) in accounts.iter_mut().zip(lines) {
            self.change(line.account, |mine| mine.reserved = mine.reserved.plus(line.claim.cost));
            *place = Some(line.account);
        }
        let claim = lines.first().map_or_else(Claim::default, |line| line.claim);
        Reservation { accounts, claim, at: now, life: self.life }
    }

    /// Notes that it is not reserved any more.
    fn release(&mut self, reservation: &Reservation) {
        if reservation.life != self.life {
            return;
        }
        for account in reservation.accounts.into_iter().flatten() {
            self.change(account, |mine| mine.reserved = mine.reserved.minus(reservation.claim.cost));
        }
    }

    fn change(&mut self, account: AccountKey, change: impl FnOnce(&mut Mine)) {
        if let Some(mine) = self.mine.iter_mut().find(|mine| mine.account == account) {
            return change(mine);
        }
        let mut mine = Mine { account, reserved: PicoUsd(0), owed: PicoUsd(0) };
        change(&mut mine);
        self.mine.push(mine);
    }

    /// Writes all that this VM knows, and what `change` makes of it, if that agrees. That is told this VM's name in the
    /// ledger, and whether it was taken for dead.
    #[inline(never)]
    fn write(
        &mut self,
        store: &impl Store,
        now: Timestamp,
        change: &mut dyn FnMut(&mut Ledger, u64, bool) -> Result<(), Shortage>,
    ) -> Result<Result<(), Shortage>, StoreError> {
        let (ledger, is_dead, result) = update(store, Ledger::KEY, |bytes| {
            let mut ledger = bytes.and_then(Ledger::decode).unwrap_or_default();
            let is_dead = self.joined && !ledger.knows(self.member);
            ledger.join(self.member);
            for mine in &self.mine {
                ledger.spend(mine.account, mine.owed, now);
                let reserved = if is_dead { PicoUsd(0) } else { mine.reserved };
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
                    mine.reserved = PicoUsd(0);
                }
                mine.reserved > PicoUsd(0)
            });
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests;
