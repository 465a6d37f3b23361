//! The accounts of all that is limited, and what is reserved in them, as one value that all workers share.
//!
//! It is one value, so that one compare-and-swap takes a request into all of its accounts, or into none. What is
//! reserved is noted by member (`Members`), and written by that member alone, as a whole: so a lost write is made good
//! by the next one. A member that died is written off: what it had reserved was most likely spent, and counts so. Should
//! it come back, since it was only held up, that is undone, and it goes on where it was.

use crate::cost::{Account, Claim, Demand, Shortage, pacing};
use crate::domain::{Calendar, Decoder, Encoder, Limits, PicoUsd, Timestamp, Tokens};

/// The layout's version: its first byte and part of its key.
const VERSION: u8 = 4;

/// So much of what was written off can be undone: where VMs die again and again, the ledger must not grow.
const MOST_WRITTEN_OFF: usize = 64;

/// Whose account it is; the same in every configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey(u64);

impl AccountKey {
    /// The account of all requests.
    pub const ALL: Self = Self(0);

    /// The account of a backend.
    pub fn of_backend(id: &str) -> Self {
        Self::of(b'b', id)
    }

    /// The account of a tenant.
    pub fn of_tenant(name: &str) -> Self {
        Self::of(b't', name)
    }

    /// FNV-1a: names are the operator's, and few.
    fn of(kind: u8, name: &str) -> Self {
        let bytes = std::iter::once(kind).chain(name.bytes());
        Self(
            bytes
                .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)),
        )
    }
}

/// What a request asks of one account.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Which account.
    pub account: AccountKey,
    /// What may be taken from it.
    pub limits: Limits,
    /// What is asked.
    pub claim: Claim,
    /// Whether its budget is to land softly.
    pub paces: bool,
}

/// What one member has reserved in one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    member: u64,
    account: AccountKey,
    amount: PicoUsd,
}

/// What counts as spent, since the member that had reserved it was taken for dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WrittenOff {
    entry: Reserved,
    /// The date at which it counts.
    date: Timestamp,
}

/// All accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    accounts: Vec<(AccountKey, Account)>,
    /// The names of those who may have something reserved.
    members: Vec<u64>,
    reserved: Vec<Reserved>,
    written_off: Vec<WrittenOff>,
    /// What all requests ask for, by the hour of the day.
    demand: Demand,
    /// What date it is, as this VM knows; it is not shared.
    pub(super) calendar: Calendar,
}

impl Ledger {
    /// Without anything in it.
    pub(super) const EMPTY: Self = Self {
        accounts: Vec::new(),
        members: Vec::new(),
        reserved: Vec::new(),
        written_off: Vec::new(),
        demand: Demand::NONE,
        calendar: Calendar::UNSET,
    };

    /// The key that it lies at.
    pub const KEY: &str = "llm-router/4/ledger";

    /// An account, if anything was ever noted in it.
    pub fn account(&self, key: AccountKey) -> Option<&Account> {
        self.accounts.iter().find(|(other, _)| *other == key).map(|(_, account)| account)
    }

    /// What is reserved in an account, by all members.
    pub fn reserved(&self, key: AccountKey) -> PicoUsd {
        let of_account = self.reserved.iter().filter(|reserved| reserved.account == key);
        of_account.fold(PicoUsd(0), |sum, reserved| sum.plus(reserved.amount))
    }

    /// The limit that a request would go beyond in an account.
    #[inline(never)]
    pub fn shortage(&self, line: &Line, now: Timestamp) -> Option<Shortage> {
        let empty = Account::default();
        let account = self.account(line.account).unwrap_or(&empty);
        account.shortage(&line.limits, self.reserved(line.account), line.claim, now, self.calendar)
    }

    /// What is reserved for a request in all of these accounts, whose claims are the same: what is expected of its cost,
    /// and as much of what it may cost beyond that as each of them has to spare. So whatever requests wish for, it keeps
    /// little from those who come next.
    pub(super) fn hold(&self, lines: &[Line], now: Timestamp) -> PicoUsd {
        let (empty, date) = (Account::default(), self.calendar.date(now));
        let slack = |line: &Line| {
            let account = self.account(line.account).unwrap_or(&empty);
            account.slack(&line.limits, self.reserved(line.account), date)
        };
        let slack = lines.iter().filter_map(slack).min().unwrap_or_default();
        let Claim { cost, spare, .. } = lines.first().map_or_else(Claim::default, |line| line.claim);
        cost.minus(spare).plus(spare.min(slack))
    }

    /// How much costs are to weigh, for the budget of this account to last as long as its window.
    pub fn thrift(&self, line: &Line, now: Timestamp) -> f64 {
        let reserved = self.reserved(line.account);
        let account = self.account(line.account);
        let date = self.calendar.date(now);
        account.map_or(0.0, |account| pacing::thrift(account, &line.limits, reserved, &self.demand, date))
    }

    /// Takes note of a request and of its tokens.
    #[inline(never)]
    pub(super) fn admit(&mut self, line: &Line, now: Timestamp) {
        let calendar = self.calendar;
        self.change(line.account, now, &|account| account.admit(&line.limits, line.claim, now, calendar));
        if line.paces && line.account == AccountKey::ALL {
            self.demand.add(line.claim.tokens, calendar.date(now));
        }
    }

    /// Takes note of money spent.
    #[inline(never)]
    pub(super) fn spend(&mut self, key: AccountKey, amount: PicoUsd, now: Timestamp) {
        if amount > PicoUsd(0) {
            let date = self.calendar.date(now);
            self.change(key, now, &|account| account.spend(amount, date));
        }
    }

    /// A request that was admitted at a moment does not leave after all.
    pub(super) fn unadmit(&mut self, key: AccountKey, tokens: Tokens, at: Timestamp) {
        if let Some((_, account)) = self.accounts.iter_mut().find(|(other, _)| *other == key) {
            account.unadmit(tokens, at);
        }
    }

    /// A request that was admitted at a moment turned out to take another number of tokens.
    pub(super) fn correct(&mut self, key: AccountKey, expected: Tokens, actual: Tokens, at: Timestamp) {
        if let Some((_, account)) = self.accounts.iter_mut().find(|(other, _)| *other == key) {
            account.correct(expected, actual, at);
        }
    }

    /// Whether a member is known here. It is not before it joins, and no more once it was written off.
    pub(super) fn knows(&self, member: u64) -> bool {
        self.members.contains(&member)
    }

    /// Makes a member known.
    pub(super) fn join(&mut self, member: u64) {
        if !self.knows(member) {
            self.members.push(member);
        }
    }

    /// What one member has reserved in an account.
    pub(super) fn reserved_by(&self, member: u64, account: AccountKey) -> PicoUsd {
        let is_its = |reserved: &&Reserved| reserved.member == member && reserved.account == account;
        self.reserved.iter().find(is_its).map_or(PicoUsd(0), |reserved| reserved.amount)
    }

    /// Reserves so much for a request.
    pub(super) fn reserve(&mut self, member: u64, account: AccountKey, amount: PicoUsd) {
        let before = self.reserved_by(member, account);
        self.set_reserved(member, account, before.plus(amount));
    }

    /// What was reserved for a request is free again.
    pub(super) fn release(&mut self, member: u64, account: AccountKey, amount: PicoUsd) {
        let before = self.reserved_by(member, account);
        self.set_reserved(member, account, before.minus(amount));
    }

    /// Notes what a member has reserved in an account, all in all.
    #[inline(never)]
    pub(super) fn set_reserved(&mut self, member: u64, account: AccountKey, amount: PicoUsd) {
        let is_its = |reserved: &Reserved| reserved.member == member && reserved.account == account;
        match self.reserved.iter().position(is_its) {
            Some(place) if amount == PicoUsd(0) => _ = self.reserved.swap_remove(place),
            Some(place) => {
                if let Some(reserved) = self.reserved.get_mut(place) {
                    reserved.amount = amount;
                }
            }
            None if amount == PicoUsd(0) => {}
            None => self.reserved.push(Reserved { member, account, amount }),
        }
    }

    /// What those who are not among the living had reserved counts as spent, until they come back. Says whether anything
    /// changed.
    #[inline(never)]
    pub(super) fn write_off(&mut self, living: &[u64], now: Timestamp) -> bool {
        let known = self.members.len();
        self.members.retain(|member| living.contains(member));
        let date = self.calendar.date(now);
        for entry in std::mem::take(&mut self.reserved) {
            if living.contains(&entry.member) {
                self.reserved.push(entry);
            } else {
                self.spend(entry.account, entry.amount, now);
                self.written_off.push(WrittenOff { entry, date });
            }
        }
        // Those who will hardly come back make room, each with all that it had.
        while let Some(oldest) = self.written_off.first().filter(|_| self.written_off.len() > MOST_WRITTEN_OFF) {
            let gone = oldest.entry.member;
            self.written_off.retain(|it| it.entry.member != gone);
        }
        self.members.len() < known
    }

    /// A member that was taken for dead is back: what was spent in its name is not spent, and it says itself what is
    /// reserved. False where nothing is known of it any more.
    #[inline(never)]
    pub(super) fn restore(&mut self, member: u64) -> bool {
        let Self { accounts, written_off, .. } = self;
        let before = written_off.len();
        written_off.retain(|WrittenOff { entry, date }| {
            let is_its = entry.member == member;
            let account = accounts.iter_mut().find(|(key, _)| is_its && *key == entry.account);
            if let Some((_, account)) = account {
                account.unspend(entry.amount, *date);
            }
            !is_its
        });
        written_off.len() < before
    }

    /// Changes an account. Where a new one is opened, those in which nothing counts any more are closed, so that there
    /// are never more than configurations have had in a day.
    #[inline(never)]
    fn change(&mut self, key: AccountKey, now: Timestamp, change: &dyn Fn(&mut Account)) {
        if let Some((_, account)) = self.accounts.iter_mut().find(|(other, _)| *other == key) {
            change(account);
            return;
        }
        let Self { accounts, reserved, calendar, .. } = self;
        let is_held = |key| reserved.iter().any(|reserved| reserved.account == key);
        accounts.retain(|(key, account)| !account.is_idle(now, *calendar) || is_held(*key));
        let mut account = Account::default();
        change(&mut account);
        accounts.push((key, account));
    }

    /// As bytes.
    #[inline(never)]
    pub fn encode(&self) -> Vec<u8> {
        let mut out =
            Encoder::with_capacity(64 * self.accounts.len() + 8 * self.members.len() + 24 * self.reserved.len());
        out.u8(VERSION);
        self.demand.encode(&mut out);
        out.list(&self.accounts, |out, (key, account)| {
            out.u64(key.0);
            account.encode(out);
        });
        out.list(&self.members, |out, &member| _ = out.u64(member));
        out.list(&self.written_off, |out, WrittenOff { entry, date }| {
            entry.encode(out);
            out.time(*date);
        });
        self.reserved.iter().for_each(|entry| entry.encode(&mut out));
        out.finish()
    }

    /// From bytes, unless they are of another layout.
    #[inline(never)]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let demand = Demand::decode(&mut from)?;
        let accounts = from.list(usize::MAX, |from| Some((AccountKey(from.u64()?), Account::decode(from)?)))?;
        let members = from.list(usize::MAX, Decoder::u64)?;
        let written_off = from
            .list(MOST_WRITTEN_OFF, |from| Some(WrittenOff { entry: Reserved::decode(from)?, date: from.time()? }))?;
        let mut reserved = Vec::new();
        while !from.is_empty() {
            reserved.push(Reserved::decode(&mut from)?);
        }
        Some(Self { accounts, members, reserved, written_off, demand, calendar: Calendar::UNSET })
    }
}

impl Reserved {
    fn encode(&self, out: &mut Encoder) {
        out.u64(self.member).u64(self.account.0).u64(self.amount.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { member: from.u64()?, account: AccountKey(from.u64()?), amount: PicoUsd(from.u64()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With so many entries in each list that has no bound of its own, and with so many that were written off.
    fn ledger(many: u64, written_off: usize) -> Ledger {
        let entry = |member| Reserved { member, account: AccountKey(member), amount: PicoUsd(member) };
        let date = Timestamp::from_micros(1);
        Ledger {
            accounts: (0..many).map(|key| (AccountKey(key), Account::default())).collect(),
            members: (0..many).collect(),
            reserved: (0..many).map(entry).collect(),
            written_off: (0..written_off as u64).map(|member| WrittenOff { entry: entry(member), date }).collect(),
            ..Ledger::default()
        }
    }

    #[test]
    fn a_ledger_of_any_length_is_read_as_it_was_written() {
        for many in [0, 1, 255, 256, 1_000, 65_535, 65_536, 70_001] {
            let ledger = ledger(many, MOST_WRITTEN_OFF);
            assert_eq!(Ledger::decode(&ledger.encode()), Some(ledger), "{many}");
        }
    }

    #[test]
    fn a_ledger_with_more_that_was_written_off_than_is_kept_is_none() {
        assert_eq!(Ledger::decode(&ledger(1, MOST_WRITTEN_OFF + 1).encode()), None);
    }
}
