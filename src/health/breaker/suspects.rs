//! Who caused the failures: so that no client alone opens a breaker for everybody.
//!
//! A client can have failures at will: a prompt on which the backend crashes, a header that it resets the connection for,
//! a question that takes longer than the route's timeout. Envoy's flags and the status are the same as in an outage. What
//! tells them apart is that others are served meanwhile. Hence the rule:
//!
//! > A failure is discounted while it is contradicted, and once its source has caused nearly half of what opens the
//! > breaker. It is contradicted while the backend has answered another source well within the last ten seconds.
//!
//! Where nobody else is served, be it that nobody else is there (one application in front of Envoy is the usual case) or
//! that all of them fail, each failure counts in full; and a connection that was refused always does, since no client can
//! bring that about.
//!
//! A source is a tenant where requests have one, else an address; of one address the connections are told apart, too,
//! but a connection that was served well itself within that time is contradicted by no other one from its address:
//! that is a pool whose backend has just begun to fail.
//!
//! The same goes for answers that were slow, since a client can ask for what takes long; they are contradicted by answers
//! to others that were not.
//!
//! A breaker that is open already is kept open by one failed probe, and a client that asks more often than the others
//! gets most of the probes. So the clients whose probes failed since the breaker was last closed are remembered, and
//! for a while after it may be probed again the probes are for the others, where there are others.
//!
//! A half-open one is kept half-open by those who take its probes and leave before they are answered. So of a client that
//! has sent a probe which has not been answered well no other one is let in for a while, where others are likely to come.
//!
//! It is bounded: four sources of failures, the least of them making room for a new one, and four that were served. What
//! it costs is one look at the address for a failure and, of good answers, for one in a second, or for each as long as a
//! failure is not contradicted.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::domain::{Decoder, Encoder, Timestamp};
use crate::health::Known;

/// Sources of failures, and sources that were served, that are remembered.
const MOST: usize = 4;

/// How long a good answer contradicts failures of others.
const CONTRADICTS: Duration = Duration::from_secs(10);

/// How long a client that was served is believed to come again.
const RETURNS: Duration = Duration::from_secs(3_600);

/// How long a source is known to have been served.
const KNOWN: Duration = Duration::from_secs(60);

/// Of good answers the source of one in so long is noted.
const SAMPLED: Duration = Duration::from_secs(1);

/// Answers after which a source's failures among the last answers count half.
const HALVED: u8 = 50;

/// Connections of one client that are remembered as served: else a pool would crowd out everybody else.
const MOST_OF_ONE: usize = 2;

/// Who sent a request, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    client: u32,
    connection: u32,
}

impl Source {
    /// A tenant, whatever it comes by.
    pub fn of_tenant(name: &[u8]) -> Self {
        let client = hash(name);
        Self { client, connection: client }
    }

    /// An address with its port, as Envoy has it.
    pub fn of_address(address: &[u8]) -> Self {
        let host = address.iter().rposition(|&byte| byte == b':').and_then(|colon| address.get(..colon));
        let host = host.unwrap_or(address);
        let client = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).and_then(network);
        Self { client: client.unwrap_or_else(|| hash(host)), connection: hash(address) }
    }

    /// The hash of the tenant or the address.
    pub const fn client(self) -> u32 {
        self.client
    }

    /// Whether both are of one tenant, or of one address.
    pub const fn is_same_client(self, other: Self) -> bool {
        self.client == other.client
    }

    /// Appends one to a record, or none: as two zeros.
    pub fn encode(source: Option<Self>, out: &mut Encoder) {
        let Self { client, connection } = source.unwrap_or(Self { client: 0, connection: 0 });
        out.u32(client).u32(connection);
    }

    /// Reads one from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Option<Self>> {
        let source = Self { client: from.u32()?, connection: from.u32()? };
        Some(Some(source).filter(|source| source.client != 0 || source.connection != 0))
    }
}

/// The network of an IPv6 address, by its first 64 bits: a host may have as many addresses of it as it likes. One that
/// stands for an address of IPv4 is that.
fn network(host: &[u8]) -> Option<u32> {
    let address: Ipv6Addr = std::str::from_utf8(host).ok()?.split('%').next()?.parse().ok()?;
    if let Some(address) = address.to_ipv4_mapped() {
        return Some(hash(address.to_string().as_bytes()));
    }
    address.octets().first_chunk::<8>().map(|first| hash(first))
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, &b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// What a source has caused since the breaker's last change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Suspect {
    source: Source,
    /// The weight of its failures in the present row.
    row: u16,
    /// Its failures among the last answers, and those of them that were slow.
    share: u8,
}

/// A source that was served well, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Witness {
    source: Source,
    at: Timestamp,
    /// Whether it had to wait for long.
    slow: bool,
}

/// Of what opens a breaker, the most that a source whose failures are contradicted may have caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Of failures in a row, by weight.
    pub(super) row: u32,
    /// Of failures among the last answers.
    pub(super) share: u32,
}

/// How much of a failure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Its weight in a row.
    pub(super) weight: u32,
    /// Whether it is one of the last answers.
    pub(super) in_share: bool,
}

/// The sources of failures, and those that were served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Suspects {
    failing: [Option<Suspect>; MOST],
    served: [Option<Witness>; MOST],
    /// Clients whose probes failed since the breaker was last closed.
    reopened: [Option<u32>; MOST],
    /// Clients that were let in as probes, and when; until they are answered well.
    probing: [Option<(u32, Timestamp)>; MOST],
    /// Answers since the shares were halved.
    answers: u8,
}

impl Suspects {
    /// How much of a failure of `source` counts that would weigh `weight`.
    pub(super) fn judge(&self, source: Source, weight: u32, allowance: Allowance, now: Timestamp) -> Counted {
        let served = || self.served_within(CONTRADICTS, now).map(|witness| witness.source);
        let Some((row, share)) = self.caused_alone(source, served) else { return Counted { weight, in_share: true } };
        Counted { weight: weight.min(allowance.row.saturating_sub(row)), in_share: share < allowance.share }
    }

    /// Whether a slow answer to `source` counts: it does not where the source has caused `allowance` already, while others
    /// are answered in good time.
    pub(super) fn counts_slow(&self, source: Source, allowance: u32, now: Timestamp) -> bool {
        let quick =
            || self.served_within(CONTRADICTS, now).filter(|witness| !witness.slow).map(|witness| witness.source);
        self.caused_alone(source, quick).is_none_or(|(_, share)| share < allowance)
    }

    /// What a source has caused, in a row and among the last answers, if those that were `served` contradict it.
    fn caused_alone<I: Iterator<Item = Source>>(&self, source: Source, served: impl Fn() -> I) -> Option<(u32, u32)> {
        let by_others = served().any(|other| other.client != source.client);
        let by_connections = served().any(|other| other.connection != source.connection)
            && !served().any(|other| other.connection == source.connection);
        if !by_others && !by_connections {
            return None;
        }
        let is_same = |suspect: &&Suspect| {
            if by_others {
                suspect.source.client == source.client
            } else {
                suspect.source.connection == source.connection
            }
        };
        let suspects = self.failing.iter().flatten().filter(is_same);
        Some(
            suspects
                .fold((0, 0), |(row, share), suspect| (row + u32::from(suspect.row), share + u32::from(suspect.share))),
        )
    }

    /// Whether somebody else than `source` was served well since then.
    pub(super) fn is_contradicted_since(&self, source: Source, since: Timestamp) -> bool {
        self.served.iter().flatten().any(|witness| witness.at >= since && witness.source != source)
    }

    /// Notes how much of a failure counted.
    pub(super) fn charge(&mut self, source: Source, counted: Counted) {
        self.answer();
        let Some(place) = self.place_of(source) else { return };
        let own = |suspect: &Suspect| suspect.source.client == source.client;
        let before = place.filter(own).unwrap_or(Suspect { source, row: 0, share: 0 });
        let row = u32::from(before.row).saturating_add(counted.weight);
        *place = Some(Suspect {
            // Of several connections that share a place it is not known any more which ones they were.
            source: if before.source == source { source } else { Source { connection: 0, ..source } },
            row: u16::try_from(row).unwrap_or(u16::MAX),
            share: before.share.saturating_add(counted.in_share.into()),
        });
    }

    /// The place of a source of failures: its own, a free one, or one that it shares with another connection of its client;
    /// else a client with a new connection for each request would be nobody in particular. Last, that of the least of all.
    fn place_of(&mut self, source: Source) -> Option<&mut Option<Suspect>> {
        let rank = |place: &Option<Suspect>| match place {
            Some(suspect) if suspect.source == source => (0, 0),
            None => (1, 0),
            Some(suspect) if suspect.source.client == source.client => (2, suspect.source.connection),
            Some(suspect) => (3, 1 + u32::from(suspect.row) + u32::from(suspect.share)),
        };
        self.failing.iter_mut().min_by_key(|place| rank(place))
    }

    /// A good answer ends the row.
    pub(super) fn end_row(&mut self) {
        for suspect in self.failing.iter_mut().flatten() {
            suspect.row = 0;
        }
    }

    /// One more answer: what was long ago loses its weight.
    pub(super) fn answer(&mut self) {
        self.answers += 1;
        if self.answers < HALVED {
            return;
        }
        self.answers = 0;
        for place in &mut self.failing {
            *place = place.map(|suspect| Suspect { share: suspect.share / 2, ..suspect });
            *place = place.filter(|suspect| suspect.share > 0 || suspect.row > 0);
        }
    }

    /// What was caused before a change of state is forgotten.
    pub(super) const fn forgotten(self) -> Self {
        Self { failing: [None; MOST], answers: 0, ..self }
    }

    /// The breaker closed: whose probes failed is forgotten, too.
    pub(super) const fn absolved(self) -> Self {
        Self { reopened: [None; MOST], probing: [None; MOST], ..self }
    }

    /// A probe of `client` was let in.
    pub(super) fn probe(&mut self, client: u32, now: Timestamp) {
        let rank = |place: &Option<(u32, Timestamp)>| match *place {
            Some((other, _)) if other == client => (0, Timestamp::default()),
            None => (1, Timestamp::default()),
            Some((_, since)) => (2, since),
        };
        if let Some(place) = self.probing.iter_mut().min_by_key(|place| rank(place)) {
            *place = Some((client, now));
        }
    }

    /// A probe of `client` was answered well.
    pub(super) fn end_probe(&mut self, client: u32) {
        for place in &mut self.probing {
            *place = place.filter(|&(other, _)| other != client);
        }
    }

    /// Until when `client` sends no other probe: one of its probes was let in less than `wait` ago and has shown nothing
    /// yet, and other clients are likely to come.
    pub(super) fn probes_until(&self, client: u32, wait: Duration, now: Timestamp) -> Option<Timestamp> {
        let (_, since) = self.probing.iter().flatten().find(|&&(other, _)| other == client)?;
        let until = since.after(wait);
        let expects_others = || {
            self.served_within(RETURNS, now)
                .any(|witness| witness.source.client != client && !self.has_failed_probe(witness.source))
        };
        (*since <= now && now < until && expects_others()).then_some(until)
    }

    /// A probe of `source` failed. Of more clients than are remembered the first are forgotten.
    pub(super) fn failed_probe(&mut self, source: Source) {
        if self.has_failed_probe(source) {
            return;
        }
        self.reopened.rotate_right(1);
        if let Some(place) = self.reopened.first_mut() {
            *place = Some(source.client);
        }
    }

    /// Whether a probe of the client of `source` failed.
    pub(super) fn has_failed_probe(&self, source: Source) -> bool {
        self.reopened.contains(&Some(source.client))
    }

    /// Whether a client is likely to come whose probe has not failed.
    pub(super) fn expects_others(&self, now: Timestamp) -> bool {
        self.served_within(RETURNS, now).any(|witness| !self.has_failed_probe(witness.source))
    }

    /// `source` was served well, be it after a long wait.
    pub(super) fn testify(&mut self, source: Source, slow: bool, now: Timestamp) {
        let of_client = |witness: &&Witness| witness.source.client == source.client;
        let is_full = self.served.iter().flatten().filter(of_client).count() >= MOST_OF_ONE;
        // In the place of itself, of the same client, of none, of the oldest.
        let rank = |witness: &Option<Witness>| match witness {
            Some(witness) if witness.source == source => (0, Timestamp::default()),
            Some(witness) if is_full && witness.source.client == source.client => (1, witness.at),
            None => (2, Timestamp::default()),
            Some(witness) => (3, witness.at),
        };
        if let Some(place) = self.served.iter_mut().min_by_key(|witness| rank(witness)) {
            *place = Some(Witness { source, at: now, slow });
        }
    }

    /// Whether the source of a good answer is worth a look.
    pub(super) fn asks_who(&self, now: Timestamp) -> bool {
        let is_settled = |suspect: &Suspect| {
            self.served_within(SAMPLED, now).any(|witness| witness.source.client != suspect.source.client)
        };
        self.served_within(SAMPLED, now).next().is_none() || !self.failing.iter().flatten().all(is_settled)
    }

    /// Whether the client of `source` is known to have been served well.
    pub(super) fn has_served(&self, source: Source, now: Timestamp) -> bool {
        self.served_within(KNOWN, now).any(|witness| witness.source.client == source.client)
    }

    /// Clients that were served well within the last hour …
    pub(super) fn known(&self, now: Timestamp) -> Known {
        Known::new(self.served_within(RETURNS, now).map(|witness| witness.source.client))
    }

    /// … and within the last seconds.
    pub(super) fn served_lately(&self, now: Timestamp) -> Known {
        Known::new(self.served_within(CONTRADICTS, now).map(|witness| witness.source.client))
    }

    pub(super) fn has_served_anybody(&self, now: Timestamp) -> bool {
        self.served_within(CONTRADICTS, now).next().is_some()
    }

    /// A time that lies ahead is of another clock, or of one that stepped back.
    fn served_within(&self, time: Duration, now: Timestamp) -> impl Iterator<Item = Witness> {
        let is_recent = move |witness: &Witness| now.since(witness.at).max(witness.at.since(now)) < time;
        self.served.iter().flatten().copied().filter(is_recent)
    }

    pub(super) fn encode(self, out: &mut Encoder) {
        out.u8(self.answers);
        out.count(self.failing.iter().flatten().count());
        for Suspect { source, row, share } in self.failing.into_iter().flatten() {
            out.u32(source.client).u32(source.connection).u16(row).u8(share);
        }
        out.count(self.served.iter().flatten().count());
        for Witness { source, at, slow } in self.served.into_iter().flatten() {
            out.u32(source.client).u32(source.connection).time(at).u8(slow.into());
        }
        out.count(self.reopened.iter().flatten().count());
        for client in self.reopened.into_iter().flatten() {
            out.u32(client);
        }
        out.count(self.probing.iter().flatten().count());
        for (client, since) in self.probing.into_iter().flatten() {
            out.u32(client).time(since);
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let mut read = Self { answers: from.u8()?.min(HALVED - 1), ..Self::default() };
        let source = |from: &mut Decoder<'_>| Some(Source { client: from.u32()?, connection: from.u32()? });
        for n in 0..from.count(read.failing.len())? {
            let suspect = Suspect { source: source(from)?, row: from.u16()?, share: from.u8()? };
            *read.failing.get_mut(n)? = Some(suspect);
        }
        for n in 0..from.count(read.served.len())? {
            let witness = Witness { source: source(from)?, at: from.time()?, slow: from.u8()? != 0 };
            *read.served.get_mut(n)? = Some(witness);
        }
        for n in 0..from.count(read.reopened.len())? {
            *read.reopened.get_mut(n)? = Some(from.u32()?);
        }
        for n in 0..from.count(read.probing.len())? {
            *read.probing.get_mut(n)? = Some((from.u32()?, from.time()?));
        }
        Some(read)
    }
}
