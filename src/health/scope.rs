//! For whom a refusal holds.
//!
//! A provider may refuse one client and serve the others: where clients bring their own keys, where a gateway has limits
//! per user. So a refusal is first held against the client that got it. It holds for all where
//!
//! - no other client is known to have been served within the last hour, or all of those are held, too, or it is not known
//!   who was refused;
//! - a second client is held. Where a third is known that may be served, that is for half the time that the refusal
//!   names, and for ten seconds at most (with three of them a minute): then the third one shows which it is. If it is
//!   served while the others are held, refusals are each client's own for ten minutes; with four clients held at once,
//!   for ten seconds.
//!
//! The same goes for what an answer says is left: it binds all where nobody else is known, or where two clients in turn
//! were told what fits together; else the one who was told it last.

use std::time::Duration;

use super::Source;
use crate::domain::{Decoder, Encoder, Timestamp};

/// Clients that are remembered.
const MOST: usize = 4;

/// How long a good answer to somebody else shows that refusals are each client's own …
const CONTRADICTS: Duration = Duration::from_secs(600);

/// … and where as many clients are held as are remembered.
const CONTRADICTS_MANY: Duration = Duration::from_secs(10);

/// How long it holds for all at most what two, three and more clients were refused, while another one is known.
const PROVISIONAL: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600)];

/// Clients that are known to have been served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known([Option<u32>; MOST]);

impl Known {
    /// These.
    pub fn new(clients: impl Iterator<Item = u32>) -> Self {
        let mut known = Self::default();
        known.0.iter_mut().zip(clients).for_each(|(place, client)| *place = Some(client));
        known
    }

    /// Whether there is one that is none of those.
    pub fn has_other(&self, than: impl Fn(u32) -> bool) -> bool {
        self.0.iter().flatten().any(|&client| !than(client))
    }
}

/// A client that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    client: u32,
    since: Timestamp,
    until: Timestamp,
}

/// Whom what is left of a quota was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Told {
    /// Somebody, or several to whom the same was told: it binds all.
    #[default]
    All,
    /// There was so much left that nobody asked who it was.
    Unasked,
    /// This client: it may be its own.
    One(u32),
}

/// For whom the refusals of a backend hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scope {
    held: [Option<Held>; MOST],
    /// When somebody else was last served although they were held.
    contradicted: Timestamp,
    told: Told,
}

impl Scope {
    /// A client was refused until then. Says until when that holds for all, if it does.
    pub(super) fn refused(
        &mut self,
        source: Option<Source>,
        known: &Known,
        until: Timestamp,
        at: Timestamp,
    ) -> Option<Timestamp> {
        let Some(client) = source.map(Source::client) else { return Some(until) };
        self.hold(client, until, at);
        if !known.has_other(|other| self.withheld(other, at).is_some()) {
            return Some(until);
        }
        let held = self.held_at(at).count();
        let lasts = if held < MOST { CONTRADICTS } else { CONTRADICTS_MANY };
        let is_contradicted = self.contradicted <= at && at.since(self.contradicted) < lasts;
        let longest = PROVISIONAL.get(held.checked_sub(2)?).filter(|_| !is_contradicted)?;
        Some(at.after((until.since(at) / 2).min(*longest)))
    }

    /// Until when a client is not sent there.
    pub(super) fn withheld(&self, client: u32, now: Timestamp) -> Option<Timestamp> {
        self.held_at(now).find(|held| held.client == client).map(|held| held.until)
    }

    /// Whether anybody is held.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        self.held_at(now).next().is_some()
    }

    /// A client was served whose request departed then.
    pub(super) fn served(&mut self, source: Source, departed: Timestamp, at: Timestamp) {
        let client = source.client();
        let overlaps = |held: &Held| held.since <= departed && departed < held.until;
        if self.withheld(client, at).is_none() && self.held_at(at).any(|held| overlaps(&held)) {
            self.contradicted = at;
        }
        for place in &mut self.held {
            *place = place.filter(|held| held.client != client || departed < held.since);
        }
    }

    /// What is left was told to a client, if it was asked who that was. It `fits` what was known before, or does not, or
    /// is so little that it should be known to whom.
    pub(super) fn tell(&mut self, source: Option<Source>, fits: bool, is_low: bool) {
        self.told = match (self.told, source.map(Source::client)) {
            (_, None) if is_low => Told::All,
            (_, None) => Told::Unasked,
            (Told::One(before), Some(client)) if before != client && fits => Told::All,
            (Told::All, Some(_)) if fits => Told::All,
            (_, Some(client)) => Told::One(client),
        };
    }

    /// Whether what is left was told to one client only: then it makes a difference who asks.
    pub(super) fn is_of_one(&self, known: &Known) -> bool {
        matches!(self.told, Told::One(client) if known.has_other(|other| other == client))
    }

    /// Whether what is left was told to another client only.
    pub(super) fn is_of_another(&self, source: Option<Source>) -> bool {
        matches!((self.told, source), (Told::One(client), Some(source)) if source.client() != client)
    }

    fn held_at(&self, now: Timestamp) -> impl Iterator<Item = Held> {
        // A time that lies ahead is of another clock, or of one that stepped back.
        self.held.iter().flatten().copied().filter(move |held| now < held.until && held.since <= now.after(MARGIN))
    }

    fn hold(&mut self, client: u32, until: Timestamp, at: Timestamp) {
        let rank = |place: &Option<Held>| match place {
            Some(held) if held.client == client => (0, Timestamp::default()),
            None => (1, Timestamp::default()),
            Some(held) => (2, held.until),
        };
        if let Some(place) = self.held.iter_mut().min_by_key(|place| rank(place)) {
            let same = place.filter(|held| held.client == client && at < held.until);
            let since = same.map_or(at, |held| held.since);
            *place = Some(Held { client, since, until: same.map_or(until, |held| held.until.max(until)) });
        }
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        let (code, client) = match self.told {
            Told::All => (0, 0),
            Told::Unasked => (1, 0),
            Told::One(client) => (2, client),
        };
        out.time(self.contradicted).u8(code).u32(client).count(self.held.iter().flatten().count());
        for held in self.held.iter().flatten() {
            out.u32(held.client).time(held.since).time(held.until);
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let contradicted = from.time()?;
        let told = match (from.u8()?, from.u32()?) {
            (0, _) => Told::All,
            (1, _) => Told::Unasked,
            (_, client) => Told::One(client),
        };
        let mut read = Self { contradicted, told, ..Self::default() };
        for n in 0..from.count(read.held.len())? {
            *read.held.get_mut(n)? = Some(Held { client: from.u32()?, since: from.time()?, until: from.time()? });
        }
        Some(read)
    }
}

/// How far clocks of two workers may lie apart.
const MARGIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::testing::at;

    fn client(n: u8) -> Source {
        Source::of_tenant(&[n])
    }

    fn known(clients: &[u8]) -> Known {
        Known::new(clients.iter().map(|&n| client(n).client()))
    }

    #[test]
    fn it_survives_being_bytes() {
        let mut scope = Scope::default();
        scope.tell(Some(client(1)), false, true);
        scope.refused(Some(client(1)), &known(&[1, 2]), at(60), at(0));
        scope.refused(Some(client(2)), &known(&[1, 2, 3]), at(50), at(1));
        scope.served(client(3), at(2), at(3));
        for scope in [Scope::default(), scope] {
            let mut out = Encoder::with_capacity(64);
            scope.encode(&mut out);
            assert_eq!(Scope::decode(&mut Decoder::new(&out.finish())), Some(scope));
        }
    }

    #[test]
    fn each_further_client_that_is_refused_makes_it_hold_for_all_for_longer() {
        let (mut scope, known) = (Scope::default(), known(&[1, 9]));
        let refused: Vec<_> = (1..5).map(|n| scope.refused(Some(client(n)), &known, at(600), at(0))).collect();
        assert_eq!(refused, [None, Some(at(10)), Some(at(60)), Some(at(300))]);
        assert_eq!(scope.refused(None, &known, at(600), at(0)), Some(at(600)), "nobody knows who it was");
    }

    #[test]
    fn a_client_that_is_served_meanwhile_shows_that_refusals_are_each_ones_own() {
        let (mut scope, known) = (Scope::default(), known(&[1, 9]));
        scope.refused(Some(client(1)), &known, at(600), at(0));
        scope.served(client(9), at(1), at(2));
        assert_eq!(scope.refused(Some(client(2)), &known, at(600), at(3)), None);
        scope.served(client(2), at(2), at(4));
        assert!(scope.withheld(client(2).client(), at(5)).is_some(), "that departed before the refusal");
        scope.served(client(2), at(4), at(5));
        assert_eq!(scope.withheld(client(2).client(), at(5)), None);
    }

    #[test]
    fn where_all_who_are_known_are_held_it_holds_for_all() {
        let mut scope = Scope::default();
        assert_eq!(scope.refused(Some(client(1)), &known(&[1]), at(60), at(0)), Some(at(60)));
        let mut scope = Scope::default();
        assert_eq!(scope.refused(Some(client(1)), &known(&[1, 2]), at(60), at(0)), None);
        assert_eq!(scope.refused(Some(client(2)), &known(&[1, 2]), at(60), at(0)), Some(at(60)));
    }

    #[test]
    fn what_is_left_binds_all_who_were_told_what_fits_together() {
        let mut scope = Scope::default();
        scope.tell(Some(client(1)), false, true);
        assert!(scope.is_of_another(Some(client(2))) && !scope.is_of_another(Some(client(1))));
        assert!(!scope.is_of_another(None) && scope.is_of_one(&known(&[1, 2])) && !scope.is_of_one(&known(&[1])));
        scope.tell(Some(client(2)), true, true);
        assert!(!scope.is_of_another(Some(client(3))));
        scope.tell(Some(client(3)), false, true);
        assert!(scope.is_of_another(Some(client(1))));
        scope.tell(None, true, false);
        assert!(!scope.is_of_another(Some(client(1))));
    }
}
