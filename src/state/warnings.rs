//! Signs that Envoy's own configuration keeps the router from doing its work, as all workers saw them.
//!
//! There is one entry for each kind, the same on every worker. It belongs to the configuration under which it was seen:
//! under another one it is not shown, and the first sign replaces it. A VM collects what it sees and writes it at its
//! tick, so that a request pays for no shared data.

use std::time::Duration;

use super::store::{Store, StoreError, update};
use crate::domain::{Decoder, Encoder, Misrouting, Timestamp};

const KEY: &str = "llm-router/1/warnings";

/// What was not seen for this long is over: a route may have been corrected without the router being told.
const EXPIRY: Duration = Duration::from_secs(3_600);

/// One kind of sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Which.
    pub kind: Misrouting,
    /// The hash of the configuration under which it was seen.
    pub configuration: u64,
    /// In how many requests.
    pub count: u64,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// The cluster that was decided, at first.
    pub decided: Box<str>,
    /// The cluster that answered in its place, at first; empty where none did.
    pub answered: Box<str>,
}

impl Warning {
    /// Whether it is a matter of this configuration, and of now.
    fn holds(&self, configuration: u64, now: Timestamp) -> bool {
        self.configuration == configuration && now.since(self.last_seen) <= EXPIRY
    }

    /// What somebody would do well to read.
    pub fn message(&self) -> String {
        let (decided, answered) = (&self.decided, &self.answered);
        match self.kind {
            Misrouting::RouteIgnoresDecision => {
                format!("cluster {decided} was decided, and cluster {answered} answered")
            }
            Misrouting::RetriesInOneCluster => {
                format!("a retry was to go to cluster {decided}, and went to {answered}")
            }
            Misrouting::UnknownCluster => format!("Envoy has no cluster {decided}, or its route knows none"),
            Misrouting::BodyNotSeen => {
                "Envoy keeps the bodies of requests from the router, so that they hang".to_owned()
            }
            Misrouting::TimeoutIneffective => {
                format!("the route's timeout ended a request before the timeout of cluster {decided} could")
            }
        }
    }
}

/// What this VM saw and has not written yet: at most one entry for each kind and configuration.
#[derive(Debug, Default)]
pub struct Sightings(Vec<Warning>);

impl Sightings {
    /// Takes note of one.
    pub fn add(&mut self, kind: Misrouting, configuration: u64, (decided, answered): (&str, &str), now: Timestamp) {
        let known = self.0.iter_mut().find(|known| (known.kind, known.configuration) == (kind, configuration));
        if let Some(known) = known {
            known.count = known.count.saturating_add(1);
            known.last_seen = now;
            return;
        }
        let (decided, answered) = (decided.into(), answered.into());
        self.0.push(Warning { kind, configuration, count: 1, first_seen: now, last_seen: now, decided, answered });
    }

    /// Writes what there is, most of the time nothing. Returns the entries that are news, to no worker but this one.
    pub(super) fn write(&mut self, store: &impl Store) -> Result<Vec<Warning>, StoreError> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let news = update(store, KEY, |bytes| {
            let mut all = decode(bytes.unwrap_or_default());
            let mut news = Vec::new();
            for seen in &self.0 {
                match all.iter_mut().find(|entry| entry.kind == seen.kind) {
                    Some(entry) if entry.holds(seen.configuration, seen.last_seen) => {
                        entry.count = entry.count.saturating_add(seen.count);
                        entry.last_seen = entry.last_seen.max(seen.last_seen);
                        continue;
                    }
                    Some(entry) => *entry = seen.clone(),
                    None => all.push(seen.clone()),
                }
                news.push(seen.clone());
            }
            (Some(encode(&all)), news)
        })?;
        self.0.clear();
        Ok(news)
    }
}

/// Creates the list unless it exists.
pub fn create_warnings(store: &impl Store) -> Result<(), StoreError> {
    update(store, KEY, |bytes| (bytes.is_none().then(Vec::new), ()))
}

/// The signs that hold under this configuration, in the order of the documentation.
pub fn warnings(store: &impl Store, configuration: u64, now: Timestamp) -> Result<Vec<Warning>, StoreError> {
    let mut all = store.get(KEY)?.map(|(bytes, _)| decode(&bytes)).unwrap_or_default();
    all.retain(|entry| entry.holds(configuration, now));
    all.sort_by_key(|entry| entry.kind.code());
    Ok(all)
}

fn decode(bytes: &[u8]) -> Vec<Warning> {
    let mut from = Decoder::new(bytes);
    std::iter::from_fn(|| entry(&mut from)).collect()
}

fn entry(from: &mut Decoder<'_>) -> Option<Warning> {
    Some(Warning {
        kind: Misrouting::from_code(from.u8()?)?,
        configuration: from.u64()?,
        count: from.u64()?,
        first_seen: from.time()?,
        last_seen: from.time()?,
        decided: from.text()?.into(),
        answered: from.text()?.into(),
    })
}

fn encode(all: &[Warning]) -> Vec<u8> {
    let mut out = Encoder::with_capacity(128 * all.len());
    for entry in all {
        out.u8(entry.kind.code()).u64(entry.configuration).u64(entry.count);
        out.time(entry.first_seen)
            .time(entry.last_seen)
            .bytes(entry.decided.as_bytes())
            .bytes(entry.answered.as_bytes());
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    const KIND: Misrouting = Misrouting::RouteIgnoresDecision;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    fn seen(store: &MemoryStore, kind: Misrouting, configuration: u64, times: usize, now: Timestamp) -> usize {
        let mut sightings = Sightings::default();
        (0..times).for_each(|_| sightings.add(kind, configuration, ("a", "b"), now));
        sightings.write(store).expect("written").len()
    }

    fn held(store: &MemoryStore, configuration: u64, now: Timestamp) -> Vec<(Misrouting, u64)> {
        let all = warnings(store, configuration, now).expect("read");
        all.into_iter().map(|warning| (warning.kind, warning.count)).collect()
    }

    #[test]
    fn every_worker_adds_to_one_entry_and_only_the_first_has_news() {
        let store = MemoryStore::default();
        create_warnings(&store).expect("created");
        assert_eq!([seen(&store, KIND, 7, 3, at(0)), seen(&store, KIND, 7, 2, at(1))], [1, 0]);
        assert_eq!(seen(&store, Misrouting::UnknownCluster, 7, 1, at(2)), 1);
        assert_eq!(held(&store, 7, at(3)), [(KIND, 5), (Misrouting::UnknownCluster, 1)]);
        let first = &warnings(&store, 7, at(3)).expect("read")[0];
        assert_eq!((first.first_seen, first.last_seen), (at(0), at(1)));
        assert_eq!(first.message(), "cluster a was decided, and cluster b answered");
    }

    #[test]
    fn another_configuration_begins_anew() {
        let store = MemoryStore::default();
        seen(&store, KIND, 7, 3, at(0));
        assert_eq!(held(&store, 8, at(1)), []);
        assert_eq!(seen(&store, KIND, 8, 1, at(2)), 1, "it is news again");
        assert_eq!((held(&store, 8, at(3)), held(&store, 7, at(3))), (vec![(KIND, 1)], vec![]));
    }

    #[test]
    fn what_was_not_seen_for_an_hour_is_over_and_news_when_it_comes_back() {
        let store = MemoryStore::default();
        seen(&store, KIND, 7, 3, at(0));
        assert_eq!(held(&store, 7, at(3_600)), [(KIND, 3)]);
        assert_eq!(held(&store, 7, at(3_601)), []);
        assert_eq!(seen(&store, KIND, 7, 1, at(3_700)), 1);
        assert_eq!(held(&store, 7, at(3_700)), [(KIND, 1)]);
    }

    #[test]
    fn broken_bytes_are_no_warnings() {
        let store = MemoryStore::default();
        seen(&store, KIND, 7, 1, at(0));
        let (bytes, _) = store.get(KEY).expect("read").expect("there");
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), []);
        }
        assert_eq!(decode(&[9; 80]), []);
        assert_eq!(Misrouting::ALL.map(|kind| Misrouting::from_code(kind.code())), Misrouting::ALL.map(Some));
    }
}
