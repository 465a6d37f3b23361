//! Who waits for a place, over all workers, and in what order.
//!
//! Each tenant has a lane, or each address where requests have no tenant; the lanes take turns, and within a lane who came first goes first. That is start-time fair
//! queueing with requests of one size: a ticket's rank is one more than that of the ticket before it in its lane, and
//! never behind the rank that was served last. So a lane of a thousand delays a lane of one by one turn.
//!
//! The list lies in shared data as a whole and changes by compare-and-swap. A ticket is taken back by whoever took it;
//! those of a worker that died go with its seat, and any goes when it is older than its request can be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::members::Members;
use super::store::{Store, StoreError, update};
use crate::domain::{Backend, Decoder, Encoder, Timestamp};

const KEY: &str = "llm-router/1/queue";

/// A ticket outlives its request's patience by no more: its owner looks at it every 50 ms.
const MARGIN: Duration = Duration::from_secs(5);

/// A lane that has so many tickets for each place that is left in the list gets no more.
const GREED: usize = 8;

/// Bytes of a ticket.
const TICKET: usize = 38;

/// A set of backends, by a bit of each one's id: so that it means the same to configurations with other backends. Two
/// may share a bit; then one is now and then waited for where only the other was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backends(u32);

impl Backends {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub fn add(&mut self, backend: &Backend) {
        let hash = hash(backend.id.as_bytes());
        self.0 |= 1 << ((hash ^ (hash >> 15)) % 32);
    }

    /// Whether this one is among them.
    pub fn has(self, backend: &Backend) -> bool {
        if self == Self::NONE {
            return false;
        }
        let mut one = Self::NONE;
        one.add(backend);
        self.meets(one)
    }

    /// Whether any is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those that are in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whose requests take turns with others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lane(u32);

impl Lane {
    /// That of a tenant, or of all requests of which it is not known whose they are.
    pub fn of(tenant: Option<&[u8]>) -> Self {
        Self(tenant.map_or(0, hash))
    }

    /// That of a client without a tenant, by its address with its port, as Envoy has it. An IPv6 address is one of 2^64
    /// that a client has, so their common part is whose they are.
    pub fn of_address(address: &[u8]) -> Self {
        let text = std::str::from_utf8(address).unwrap_or_default();
        let bytes = match text.parse().map(|address: SocketAddr| address.ip().to_canonical()) {
            Ok(IpAddr::V4(address)) => address.octets().to_vec(),
            Ok(IpAddr::V6(address)) => address.octets().get(..8).unwrap_or_default().to_vec(),
            Err(_) => address.to_vec(),
        };
        // No tenant's: a name that clients choose must not lead into another one's lane.
        Self(bytes.iter().fold(hash(b"\0address"), |hash, &byte| step(hash, byte)))
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, &byte| step(hash, byte))
}

fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

/// A place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The lower comes first.
    pub rank: u64,
    /// No two tickets have the same; the lower came first.
    pub number: u64,
}

/// A request that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Where in the order.
    pub position: Position,
    /// The seat of the worker that holds the request.
    pub member: u16,
    /// Its tenant's.
    pub lane: Lane,
    /// Which backends it waits for.
    pub backends: Backends,
    /// When it came.
    pub since: Timestamp,
    /// How long it waits at most.
    pub patience: Duration,
}

/// What a ticket is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newcomer {
    /// The seat of the worker that holds the request.
    pub member: u16,
    /// Its tenant's.
    pub lane: Lane,
    /// Which backends may ever serve it.
    pub backends: Backends,
    /// How long it waits at most.
    pub patience: Duration,
}

/// A ticket that is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Which one.
    pub position: Position,
    /// Whether it was its turn: then nobody who comes later is ranked before it.
    pub served: bool,
}

/// Those who wait, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WaitingList {
    /// The highest rank that was served.
    reached: u64,
    /// The number of the next ticket.
    next: u64,
    tickets: Vec<Ticket>,
}

impl WaitingList {
    /// Creates the shared list unless it exists.
    pub fn create(store: &impl Store) -> Result<(), StoreError> {
        update(store, KEY, |bytes| (bytes.is_none().then(|| Self::default().encode()), ()))
    }

    /// The list as it is now.
    pub fn read(store: &impl Store, now: Timestamp) -> Result<Self, StoreError> {
        Ok(store.get(KEY)?.map_or_else(Self::default, |(bytes, _)| Self::decode(&bytes, now)))
    }

    /// The list as it is now; none where there never was one.
    pub fn known(store: &impl Store, now: Timestamp) -> Result<Option<Self>, StoreError> {
        Ok(store.get(KEY)?.map(|(bytes, _)| Self::decode(&bytes, now)))
    }

    /// Lets one more wait, if fewer than `size` do; otherwise says how long the first of them has waited. Tickets of
    /// workers that show no more that they live are taken for those of nobody.
    pub fn join(
        store: &impl Store,
        newcomer: &Newcomer,
        size: usize,
        now: Timestamp,
    ) -> Result<Result<Ticket, Duration>, StoreError> {
        update(store, KEY, |bytes| {
            let mut list = Self::decode(bytes.unwrap_or_default(), now);
            let counts = |ticket: &Ticket, living: &[usize]| living.contains(&usize::from(ticket.member));
            if list.is_full_for(newcomer.lane, size, |_| true)
                && present(store, newcomer.member, now)
                    .is_none_or(|living| list.is_full_for(newcomer.lane, size, |ticket| counts(ticket, &living)))
            {
                return (None, Err(list.longest_wait(now)));
            }
            let ticket = list.add(newcomer, now);
            (Some(list.encode()), Ok(ticket))
        })
    }

    /// Takes tickets back.
    pub fn part(store: &impl Store, departures: &[Departure], now: Timestamp) -> Result<(), StoreError> {
        Self::change(store, departures, &[], now)
    }

    /// Writes down what those who have these tickets wait for now, if that is news.
    pub fn amend(store: &impl Store, wishes: &[(Position, Backends)], now: Timestamp) -> Result<(), StoreError> {
        Self::change(store, &[], wishes, now)
    }

    #[inline(never)]
    fn change(
        store: &impl Store,
        departures: &[Departure],
        wishes: &[(Position, Backends)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        update(store, KEY, |bytes| {
            let mut list = Self::decode(bytes.unwrap_or_default(), now);
            let mut is_news = !departures.is_empty();
            for departure in departures.iter().filter(|departure| departure.served) {
                list.reached = list.reached.max(departure.position.rank);
            }
            for &(position, backends) in wishes {
                let place = list.tickets.partition_point(|ticket| ticket.position < position);
                if let Some(ticket) = list.tickets.get_mut(place).filter(|ticket| ticket.position == position) {
                    is_news |= backends != std::mem::replace(&mut ticket.backends, backends);
                }
            }
            if !departures.is_empty() {
                list.tickets.retain(|ticket| departures.iter().all(|departure| departure.position != ticket.position));
            }
            (is_news.then(|| list.encode()), ())
        })
    }

    /// Takes back those of members that died.
    pub(super) fn clear(store: &impl Store, dead: &[usize], now: Timestamp) -> Result<(), StoreError> {
        update(store, KEY, |bytes| {
            let Some(bytes) = bytes else { return (None, ()) };
            let mut list = Self::decode(bytes, now);
            let before = list.tickets.len();
            list.tickets.retain(|ticket| !dead.contains(&usize::from(ticket.member)));
            ((list.tickets.len() < before).then(|| list.encode()), ())
        })
    }

    /// Those who wait, in order.
    pub fn tickets(&self) -> &[Ticket] {
        &self.tickets
    }

    /// The number of the next ticket.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The backends that somebody waits for.
    pub fn awaited(&self) -> Backends {
        self.tickets.iter().fold(Backends::NONE, |all, ticket| all.with(ticket.backends))
    }

    /// How long the one has waited that came first.
    pub fn longest_wait(&self, now: Timestamp) -> Duration {
        self.tickets.iter().map(|ticket| now.since(ticket.since)).max().unwrap_or_default()
    }

    /// Whether a lane may have no more tickets, of which it is told which ones count. One alone is given eight of nine,
    /// and never the last of fewer, so that there is a place in the list for whoever comes next, however many requests of
    /// the first one come in vain; several come to rest where all have equally many. (Where Envoy knows neither tenant nor
    /// address, as of a pipe, all are one client, and have all of them until somebody else comes.)
    fn is_full_for(&self, lane: Lane, size: usize, counts: impl Fn(&Ticket) -> bool) -> bool {
        let (mut all, mut own) = (0, 0_usize);
        for ticket in self.tickets.iter().filter(|ticket| counts(ticket)) {
            all += 1;
            own += usize::from(ticket.lane == lane);
        }
        let left = size.saturating_sub(all);
        let is_all_there_is = lane == Lane::default() && own == all;
        let greed = GREED.min(size.saturating_sub(1)).max(1);
        left == 0 || (own >= greed.saturating_mul(left) && !is_all_there_is)
    }

    fn add(&mut self, newcomer: &Newcomer, now: Timestamp) -> Ticket {
        let &Newcomer { member, lane, backends, patience } = newcomer;
        let in_lane = self.tickets.iter().filter(|ticket| ticket.lane == lane);
        let last = in_lane.map(|ticket| ticket.position.rank).max().unwrap_or(0);
        // Those who were passed over, because what was free was not what they wait for, have still to be reached.
        let passed_over = self.tickets.iter().find(|ticket| ticket.backends.meets(backends));
        let reached = passed_over.map_or(self.reached, |ticket| ticket.position.rank.min(self.reached));
        let position = Position { rank: last.max(reached).saturating_add(1), number: self.next };
        self.next = self.next.wrapping_add(1);
        let ticket = Ticket { position, member, lane, backends, since: now, patience };
        let place = self.tickets.partition_point(|before| before.position <= position);
        self.tickets.insert(place, ticket);
        ticket
    }

    /// Without those who have waited too long.
    fn decode(bytes: &[u8], now: Timestamp) -> Self {
        let mut reader = Decoder::new(bytes);
        let (reached, next) = (reader.u64().unwrap_or(0), reader.u64().unwrap_or(0));
        let mut tickets = Vec::with_capacity(bytes.len() / TICKET + 1);
        while let Some(mut ticket) = Ticket::decode(&mut reader) {
            // What lies ahead is from before the clock stepped back.
            ticket.since = ticket.since.min(now);
            if now.since(ticket.since) <= ticket.patience + MARGIN {
                tickets.push(ticket);
            }
        }
        Self { reached, next, tickets }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(16 + TICKET * self.tickets.len());
        out.u64(self.reached).u64(self.next);
        for ticket in &self.tickets {
            out.u64(ticket.position.rank).u64(ticket.position.number).u16(ticket.member);
            out.u32(ticket.lane.0).u32(ticket.backends.0).time(ticket.since);
            out.u32(u32::try_from(ticket.patience.as_millis()).unwrap_or(u32::MAX));
        }
        out.finish()
    }
}

impl Ticket {
    fn decode(reader: &mut Decoder<'_>) -> Option<Self> {
        let position = Position { rank: reader.u64()?, number: reader.u64()? };
        let (member, lane, backends) = (reader.u16()?, Lane(reader.u32()?), Backends(reader.u32()?));
        let since = reader.time()?;
        let patience = Duration::from_millis(reader.u32()?.into());
        Some(Self { position, member, lane, backends, since, patience })
    }
}

/// The workers that live; none where that cannot be read, or does not know of this one either.
fn present(store: &impl Store, member: u16, now: Timestamp) -> Option<Vec<usize>> {
    Members::present(store, now).ok().filter(|present| present.contains(&usize::from(member)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::testing::{at, backend};
    use crate::state::MemoryStore;

    fn newcomer(lane: u32) -> Newcomer {
        let mut backends = Backends::NONE;
        backends.add(&backend("a"));
        Newcomer { member: 1, lane: Lane(lane), backends, patience: Duration::from_secs(5) }
    }

    fn join(store: &MemoryStore, lane: u32, second: u64) -> Ticket {
        WaitingList::join(store, &newcomer(lane), 100, at(second)).expect("stored").expect("room")
    }

    fn read(store: &MemoryStore, second: u64) -> WaitingList {
        WaitingList::read(store, at(second)).expect("read")
    }

    fn lanes(store: &MemoryStore) -> Vec<u32> {
        read(store, 0).tickets().iter().map(|ticket| ticket.lane.0).collect()
    }

    fn serve_first(store: &MemoryStore) -> Option<Ticket> {
        let first = *read(store, 0).tickets().first()?;
        WaitingList::part(store, &[Departure { position: first.position, served: true }], at(0)).expect("stored");
        Some(first)
    }

    #[test]
    fn lanes_take_turns_and_who_comes_late_waits_for_no_more_than_a_turn() {
        let store = MemoryStore::default();
        WaitingList::create(&store).expect("created");
        for _ in 0..5 {
            join(&store, 1, 0);
        }
        join(&store, 2, 0);
        join(&store, 2, 0);
        assert_eq!(lanes(&store), [1, 2, 1, 2, 1, 1, 1]);
        serve_first(&store);
        serve_first(&store);
        serve_first(&store);
        join(&store, 3, 0);
        assert_eq!(lanes(&store), [2, 1, 3, 1, 1], "behind nobody but those of the turn that has come");
    }

    #[test]
    fn a_ticket_goes_when_it_is_older_than_its_request_can_be() {
        let store = MemoryStore::default();
        join(&store, 1, 10);
        assert_eq!(read(&store, 20).tickets().len(), 1);
        assert_eq!(read(&store, 21).tickets(), []);
        // Where the clock was set back, it counts from then on.
        join(&store, 1, 2);
        assert_eq!(read(&store, 3).longest_wait(at(3)), Duration::from_secs(1));
        join(&store, 1, 12);
        assert_eq!(read(&store, 14).tickets().len(), 1);
    }

    #[test]
    fn nobody_joins_a_full_list_and_the_dead_leave_it() {
        let store = MemoryStore::default();
        for lane in 0..2 {
            join(&store, lane, 0);
        }
        let refused = WaitingList::join(&store, &newcomer(1), 2, at(3)).expect("stored");
        assert_eq!(refused, Err(Duration::from_secs(3)));
        WaitingList::clear(&store, &[0, 2], at(3)).expect("stored");
        assert_eq!(read(&store, 3).tickets().len(), 2);
        WaitingList::clear(&store, &[1], at(3)).expect("stored");
        assert_eq!(read(&store, 3).tickets(), []);
    }

    #[test]
    fn one_tenant_leaves_room_for_others_and_comes_after_them_when_there_is_little() {
        let store = MemoryStore::default();
        let fill = |lane| {
            let one = || WaitingList::join(&store, &newcomer(lane), 40, at(0)).expect("stored").ok();
            std::iter::from_fn(one).count()
        };
        assert_eq!([fill(1), fill(2), fill(3)], [36, 4, 0]);
        serve_first(&store);
        serve_first(&store);
        assert_eq!([fill(1), fill(3)], [0, 2]);
    }

    #[test]
    fn who_asks_for_something_else_meanwhile_moves_nobody_behind_those_who_were_passed_over() {
        let store = MemoryStore::default();
        let (mut x, mut both) = (Backends::NONE, Backends::NONE);
        x.add(&backend("x"));
        both.add(&backend("x"));
        both.add(&backend("y"));
        let comes = |lane, backends| {
            let newcomer = Newcomer { backends, ..newcomer(lane) };
            WaitingList::join(&store, &newcomer, 500, at(0)).expect("stored").expect("room")
        };
        for _ in 0..50 {
            comes(1, x);
        }
        let late = comes(1, both);
        let served = Departure { position: late.position, served: true };
        WaitingList::part(&store, &[served], at(0)).expect("stored");
        assert_eq!(comes(2, x).position.rank, 2, "after the first of those who wait for it");
    }

    #[test]
    fn those_of_whom_nobody_knows_whose_they_are_have_the_whole_list() {
        let store = MemoryStore::default();
        let fill = || WaitingList::join(&store, &newcomer(0), 40, at(0)).expect("stored").ok();
        assert_eq!(std::iter::from_fn(fill).count(), 40);
    }

    #[test]
    fn those_of_a_worker_that_is_silent_leave_their_room_to_others() {
        let store = MemoryStore::default();
        let (mut dying, mut living) = (Members::new(1), Members::new(2));
        for member in [&mut dying, &mut living] {
            member.heartbeat(&store, at(0)).expect("joined");
        }
        let comes = |member: u16, second| {
            let newcomer = Newcomer { member, ..newcomer(0) };
            WaitingList::join(&store, &newcomer, 2, at(second)).expect("stored").is_ok()
        };
        assert_eq!([comes(0, 0), comes(0, 0), comes(1, 0)], [true, true, false]);
        living.heartbeat(&store, at(2)).expect("joined");
        assert_eq!([comes(1, 2), comes(1, 2), comes(1, 2)], [true, true, false]);
        // It was only asleep: its requests have kept their turn.
        dying.heartbeat(&store, at(3)).expect("joined");
        living.heartbeat(&store, at(3)).expect("joined");
        assert_eq!((read(&store, 3).tickets().len(), comes(1, 3)), (4, false));
    }

    #[test]
    fn tenants_have_lanes_of_their_own() {
        let lanes = [None, Some(&b"a"[..]), Some(b"b"), Some(b"\xff")].map(Lane::of);
        assert!((0..4).all(|n| !lanes[..n].contains(&lanes[n])), "{lanes:?}");
        assert_eq!(Lane::of(Some(b"a")), lanes[1]);
    }

    #[test]
    fn one_lane_leaves_room_in_a_list_of_any_size_but_one() {
        for (size, most) in [(1, 1), (2, 1), (3, 2), (8, 7), (9, 8), (20, 18), (200, 178)] {
            let store = MemoryStore::default();
            let fill = |lane| {
                let one = || WaitingList::join(&store, &newcomer(lane), size, at(0)).expect("stored").ok();
                std::iter::from_fn(one).count()
            };
            assert_eq!(fill(1), most, "of {size}");
            assert!(size == 1 || fill(2) > 0, "of {size}");
        }
    }

    #[test]
    fn clients_without_a_tenant_have_lanes_by_address_whatever_their_ports_are() {
        let lane = |address: &str| Lane::of_address(address.as_bytes());
        for (one, other) in [
            ("10.0.0.1:1", "10.0.0.1:65535"),
            ("[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:2"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:2"),
            ("@pipe", "@pipe"),
        ] {
            assert_eq!(lane(one), lane(other), "{one} {other}");
        }
        let apart = ["10.0.0.1:1", "10.0.0.2:1", "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", "@pipe", "", "\u{1}"];
        let lanes: Vec<_> = apart.into_iter().map(lane).collect();
        assert!((0..lanes.len()).all(|n| !lanes[..n].contains(&lanes[n])), "{lanes:?}");
        assert!(!lanes.contains(&Lane::default()) && lane("ann") != Lane::of(Some(b"ann")));
    }

    #[test]
    fn sets_of_backends_are_told_by_ids() {
        let (a, b) = (backend("a"), backend("b"));
        let mut set = Backends::NONE;
        assert!(!set.has(&a) && !set.meets(set));
        set.add(&a);
        assert!(set.has(&a) && !set.has(&b) && set.meets(set.with(Backends::NONE)));
    }

    #[test]
    fn the_longest_queue_that_may_be_configured_is_read_as_it_was_written() {
        let mut list = WaitingList::default();
        for n in 0..4_096 {
            list.add(&newcomer(n % 300), at(1));
        }
        assert_eq!(list.tickets().len(), 4_096);
        assert_eq!(WaitingList::decode(&list.encode(), at(1)), list);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again_and_any_bytes_are_read(
            lanes in prop::collection::vec(0..4_u32, 0..40), bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let mut list = WaitingList::default();
            for lane in lanes {
                list.add(&newcomer(lane), at(1));
            }
            prop_assert_eq!(&WaitingList::decode(&list.encode(), at(1)), &list);
            WaitingList::decode(&bytes, at(1));
        }

        /// While two tenants wait, neither is served more than two times more often than the other, however many
        /// requests each sends, and each tenant's requests are served in the order in which they came.
        #[test]
        fn no_tenant_starves_another(steps in prop::collection::vec(0..12_u32, 1..300)) {
            let store = MemoryStore::default();
            let mut served = [0_i64; 2];
            let mut last = [None; 2];
            for step in steps {
                match step {
                    // One tenant sends seven times as much as the other.
                    0 => drop(WaitingList::join(&store, &newcomer(0), 100, at(0))),
                    1..=7 => drop(WaitingList::join(&store, &newcomer(1), 100, at(0))),
                    _ => {
                        let waiting = lanes(&store);
                        if !(waiting.contains(&0) && waiting.contains(&1)) {
                            served = [0, 0];
                        }
                        if let Some(ticket) = serve_first(&store) {
                            let lane = ticket.lane.0 as usize;
                            served[lane] += 1;
                            prop_assert!(last[lane] < Some(ticket.position.number));
                            last[lane] = Some(ticket.position.number);
                        }
                        prop_assert!((served[0] - served[1]).abs() <= 2, "{:?}", served);
                    }
                }
            }
        }
    }
}
