//! Who takes part: one member per VM, each with a column of its own in every record.
//!
//! A member writes its count of requests in flight as a whole, never as a difference, and nobody else writes that
//! column: so a lost write is made good by the next one, and the column of a VM that died is simply cleared. A member
//! shows that it lives by its heartbeat; the first of those that live leads: it does what is done once a process.

use std::time::Duration;

use super::store::{Store, StoreError, update};
use crate::domain::{Decoder, Encoder, Timestamp};

const KEY: &str = "llm-router/1/members";

/// A member that was not heard of for this long is dead. Worker threads that stand still for so long are lost anyway.
const EXPIRY: Duration = Duration::from_secs(15);

/// A leader that was not heard of for this long has a successor. That is sooner than its death is believed, so that what it
/// knew (Envoy's picture holds for three looks) does not age out in between; two leaders for a moment do no harm.
const LEASE: Duration = Duration::from_millis(1_200);

/// A member that did not show for so long that it lives stood still, and perhaps all others did: it judges nobody until
/// it has been there for [`EXPIRY`] again, in which time they have shown that they live if they do.
pub(super) const STANDSTILL: Duration = Duration::from_secs(3);

/// One place in the shared list; a free one has name 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seat {
    name: u64,
    heartbeat: Timestamp,
}

/// This VM's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Random, so that a VM recognises its seat.
    name: u64,
    seat: Option<usize>,
    leads: bool,
    alone: bool,
    /// When it last showed that it lives, and since when it has done so without standing still.
    shown: Timestamp,
    awake: Timestamp,
}

impl Members {
    /// A VM that has not joined yet, by a name that no other has.
    pub const fn new(name: u64) -> Self {
        let never = Timestamp::from_micros(0);
        let name = if name == 0 { 1 } else { name };
        Self { name, seat: None, leads: false, alone: true, shown: never, awake: never }
    }

    /// Creates the shared list unless it exists.
    pub fn create(store: &impl Store) -> Result<(), StoreError> {
        update(store, KEY, |bytes| (bytes.is_none().then(Vec::new), ()))
    }

    /// How many seats there are, free ones included.
    pub fn seats(store: &impl Store) -> Result<usize, StoreError> {
        Ok(store.get(KEY)?.map_or(0, |(bytes, _)| decode(&bytes).len()))
    }

    /// Its column, once it has joined.
    pub const fn seat(&self) -> Option<usize> {
        self.seat
    }

    /// Whether it is the one that does what is done once a process.
    pub const fn leads(&self) -> bool {
        self.leads
    }

    /// Whether there was no other when it last showed that it lives.
    pub const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Joins, or shows that it is still there. Returns the seats whose members died: their columns must be cleared,
    /// and then their seats be [freed](Self::free). Whoever stood still itself finds nobody dead.
    pub fn heartbeat(&mut self, store: &impl Store, now: Timestamp) -> Result<Vec<usize>, StoreError> {
        let stood_still = now < self.shown || now.since(self.shown) > STANDSTILL;
        let awake = if stood_still { now } else { self.awake };
        let judges = now.since(awake) >= EXPIRY;
        let name = self.name;
        let (seat, leads, alone, dead) = update(store, KEY, |bytes| {
            let mut seats = decode(bytes.unwrap_or_default());
            // Who was heard of later than now was so before the clock was set back: whether it lives shows from now on.
            for seat in &mut seats {
                if seat.heartbeat.since(now) > LEASE {
                    seat.heartbeat = now;
                }
            }
            let own = seats.iter().position(|seat| seat.name == name);
            let place = own.or_else(|| seats.iter().position(|seat| seat.name == 0)).unwrap_or(seats.len());
            let mine = Seat { name, heartbeat: now };
            match seats.get_mut(place) {
                Some(seat) => *seat = mine,
                None => seats.push(mine),
            }
            let expired = |seat: &Seat| seat.name != 0 && now.since(seat.heartbeat) > EXPIRY;
            let dead = (0..seats.len()).filter(|&n| judges && seats.get(n).is_some_and(expired)).collect();
            let lapsed = |seat: &Seat| now.since(seat.heartbeat) > LEASE;
            let leads = seats.iter().position(|seat| seat.name != 0 && !lapsed(seat)) == Some(place);
            let alone = seats.iter().filter(|seat| seat.name != 0 && !expired(seat)).count() < 2;
            (Some(encode(&seats)), (place, leads, alone, dead))
        })?;
        (self.shown, self.awake) = (now, awake);
        self.seat = Some(seat);
        self.leads = leads;
        self.alone = alone;
        Ok(dead)
    }

    /// The seats of those that were heard of as lately as a leader must be.
    pub fn present(store: &impl Store, now: Timestamp) -> Result<Vec<usize>, StoreError> {
        let seats = store.get(KEY)?.map(|(bytes, _)| decode(&bytes)).unwrap_or_default();
        let is_present = |seat: &Seat| seat.name != 0 && now.since(seat.heartbeat) <= LEASE;
        Ok(seats.iter().enumerate().filter(|(_, seat)| is_present(seat)).map(|(place, _)| place).collect())
    }

    /// The names of all that live.
    pub(super) fn living(store: &impl Store, now: Timestamp) -> Result<Vec<u64>, StoreError> {
        let seats = store.get(KEY)?.map(|(bytes, _)| decode(&bytes)).unwrap_or_default();
        Ok(seats.into_iter().filter(|seat| now.since(seat.heartbeat) <= EXPIRY).map(|seat| seat.name).collect())
    }

    /// Its name, which no other has.
    pub(super) const fn name(&self) -> u64 {
        self.name
    }

    /// Frees the seats of dead members, unless one of them was heard of again.
    pub fn free(&self, store: &impl Store, dead: &[usize], now: Timestamp) -> Result<(), StoreError> {
        update(store, KEY, |bytes| {
            let mut seats = decode(bytes.unwrap_or_default());
            for &place in dead {
                if let Some(seat) = seats.get_mut(place).filter(|seat| now.since(seat.heartbeat) > EXPIRY) {
                    seat.name = 0;
                }
            }
            (Some(encode(&seats)), ())
        })
    }
}

fn decode(bytes: &[u8]) -> Vec<Seat> {
    let mut reader = Decoder::new(bytes);
    let mut seats = Vec::with_capacity(bytes.len() / 16);
    while let (Some(name), Some(heartbeat)) = (reader.u64(), reader.u64()) {
        seats.push(Seat { name, heartbeat: Timestamp::from_micros(heartbeat) });
    }
    seats
}

fn encode(seats: &[Seat]) -> Vec<u8> {
    let mut out = Encoder::with_capacity(16 * seats.len());
    for seat in seats {
        out.u64(seat.name).u64(seat.heartbeat.as_micros());
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    /// A member shows that it lives at each of these seconds. Returns who it finds dead at the last of them.
    fn watch(member: &mut Members, store: &MemoryStore, seconds: std::ops::Range<u64>) -> Vec<usize> {
        seconds.map(|second| member.heartbeat(store, at(second)).expect("there")).last().expect("some")
    }

    #[test]
    fn after_a_standstill_of_all_nobody_is_taken_for_dead_whoever_comes_first() {
        for standstill in [16, 18, 60, 4_000] {
            let store = MemoryStore::default();
            let mut all: Vec<_> = [7, 8, 9, 10].map(Members::new).into();
            for second in 0..20 {
                for member in &mut all {
                    assert_eq!(member.heartbeat(&store, at(second)), Ok(vec![]));
                }
            }
            // They come back one after the other, some of them late; one that is new knows nobody.
            let back = 20 + standstill;
            let mut new = Members::new(11);
            assert_eq!(new.heartbeat(&store, at(back)), Ok(vec![]));
            for second in back..back + 60 {
                for (n, member) in all.iter_mut().enumerate().filter(|&(n, _)| second >= back + 3 * n as u64) {
                    assert_eq!(member.heartbeat(&store, at(second)), Ok(vec![]), "{n} after {standstill}");
                }
                assert_eq!(new.heartbeat(&store, at(second)), Ok(vec![]));
            }
            assert_eq!(all.iter().map(Members::seat).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3)]);
        }
    }

    #[test]
    fn who_died_before_a_standstill_of_the_others_is_found_after_it() {
        let store = MemoryStore::default();
        let (mut gone, mut one) = (Members::new(1), Members::new(2));
        gone.heartbeat(&store, at(0)).expect("joined");
        assert!(watch(&mut one, &store, 0..5).is_empty());
        assert!(watch(&mut one, &store, 30..45).is_empty());
        assert_eq!(one.heartbeat(&store, at(45)), Ok(vec![0]));
    }

    #[test]
    fn each_has_a_seat_of_its_own_and_the_first_leads() {
        let store = MemoryStore::default();
        let mut all: Vec<_> = [7, 8, 9].map(Members::new).into();
        for member in &mut all {
            assert_eq!(member.heartbeat(&store, at(0)), Ok(vec![]));
        }
        assert_eq!(
            all.iter().map(|m| (m.seat(), m.leads())).collect::<Vec<_>>(),
            [(Some(0), true), (Some(1), false), (Some(2), false)]
        );
    }

    #[test]
    fn the_seat_of_a_dead_member_is_given_to_the_next_one_and_somebody_else_leads() {
        let store = MemoryStore::default();
        let (mut first, mut second) = (Members::new(1), Members::new(2));
        first.heartbeat(&store, at(0)).expect("joined");
        second.heartbeat(&store, at(0)).expect("joined");
        assert_eq!(watch(&mut second, &store, 1..20), vec![0]);
        assert!(second.leads());
        assert_eq!(Members::present(&store, at(19)), Ok(vec![1]));
        second.free(&store, &[0], at(20)).expect("freed");
        let mut third = Members::new(3);
        third.heartbeat(&store, at(21)).expect("joined");
        assert_eq!(third.seat(), Some(0));
        first.heartbeat(&store, at(22)).expect("back again");
        assert_eq!(first.seat(), Some(2));
    }

    #[test]
    fn a_member_that_was_only_late_keeps_its_seat() {
        let store = MemoryStore::default();
        let (mut late, mut other) = (Members::new(1), Members::new(2));
        late.heartbeat(&store, at(0)).expect("joined");
        assert_eq!(watch(&mut other, &store, 1..20), vec![0]);
        late.heartbeat(&store, at(20)).expect("still there");
        other.free(&store, &[0], at(20)).expect("nothing to free");
        late.heartbeat(&store, at(21)).expect("still there");
        assert_eq!(late.seat(), Some(0));
    }

    #[test]
    fn who_died_before_the_clock_was_set_back_is_found_dead_and_the_others_are_not() {
        let store = MemoryStore::default();
        let (mut gone, mut one, mut other) = (Members::new(1), Members::new(2), Members::new(3));
        for member in [&mut gone, &mut one, &mut other] {
            member.heartbeat(&store, at(9_000)).expect("joined");
        }
        let mut found = Vec::new();
        for second in 0..=17 {
            found.push(one.heartbeat(&store, at(second)).expect("there"));
            found.push(other.heartbeat(&store, at(second)).expect("there"));
            assert!(second < 2 || (one.leads() && !other.leads()), "the dead does not lead for long");
        }
        found.retain(|dead| !dead.is_empty());
        assert_eq!(found, vec![vec![0]; 4], "in the last two seconds, to both");
        assert_eq!(Members::living(&store, at(17)), Ok(vec![2, 3]));
    }
}
