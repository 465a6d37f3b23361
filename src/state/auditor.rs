//! How money is spent and how providers count, over all workers: beside the records, since nothing is decided by it.
//!
//! What a VM sees it keeps, and adds to what all know a few times a second: no request waits for it, and where it cannot
//! be written it is later. Of models, which clients name, there are few for each backend, by the hash of their names; what
//! is shown of a name is short and harmless.

use std::time::Duration;

use super::outcome::Counted;
use super::store::{Store, StoreError, update};
use super::view::Place;
use crate::cost::{Drift, Purchase, Purchases};
use crate::domain::{Calendar, Decoder, Encoder, Model, ModelTag, Timestamp};

/// The layout's version.
const VERSION: u8 = 2;

/// The key of what was spent.
const PURCHASES: &str = "llm-router/1/purchases";

/// How often what this VM saw is written.
const INTERVAL: Duration = Duration::from_millis(250);

/// Answers that are judged between two writings. More of them would not say more.
const MOST_SAMPLES: usize = 256;

/// Models that are told apart at each backend.
const MODELS: usize = 8;

/// A model that nobody has asked for so long makes room for another one.
const IDLE: Duration = Duration::from_secs(3_600);

/// What is shown of a model's name, in characters.
const SHOWN: usize = 40;

/// Prompts with a smaller estimate say more of the framing of messages than of the tokens.
const TOO_SHORT: u64 = 16;

/// What this VM has seen and not written yet.
#[derive(Debug, Default)]
pub struct Auditor {
    samples: Vec<Sample>,
    purchases: Purchases,
    written: Timestamp,
}

#[derive(Debug)]
struct Sample {
    backend: Place,
    model: Option<Model>,
    counted: Counted,
}

/// How a backend counts the prompts to one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// The model.
    pub tag: ModelTag,
    /// What is shown of the model's name; empty where none was named.
    pub model: Box<str>,
    /// When it was last seen.
    last: Timestamp,
    /// What was reported for each token that was estimated.
    pub drift: Drift,
}

impl Auditor {
    /// Takes note of how a provider counted a prompt.
    pub fn count(&mut self, backend: Place, model: Option<Model>, counted: Counted) {
        let says_much = counted.estimated.0 >= TOO_SHORT && counted.reported.0 > 0;
        if says_much && self.samples.len() < MOST_SAMPLES {
            self.samples.push(Sample { backend, model, counted });
        }
    }

    /// Takes note of what an answer cost at a date.
    pub fn pay(&mut self, purchase: Purchase, date: Timestamp) {
        if purchase != Purchase::default() {
            self.purchases.add(purchase, date);
        }
    }

    /// Writes what is new, a few times a second; `id` is that of the backend at a place.
    pub(super) fn tick<'a>(
        &mut self,
        store: &impl Store,
        id: impl Fn(Place) -> &'a str,
        now: Timestamp,
        calendar: Calendar,
    ) -> Result<(), StoreError> {
        let waits = self.written <= now && now.since(self.written) < INTERVAL;
        if waits || (self.samples.is_empty() && self.purchases.is_empty()) {
            return Ok(());
        }
        self.written = now;
        let mine = &self.purchases;
        let add = &mut |bytes: &[u8]| {
            let mut all = Purchases::decode(bytes);
            all.merge(mine, calendar.date(now));
            all.encode()
        };
        if !mine.is_empty() && change(store, PURCHASES, add)? {
            self.purchases = Purchases::default();
        }
        while let Some(&Sample { backend, .. }) = self.samples.last() {
            let mine = &self.samples;
            let add = &mut |bytes: &[u8]| {
                let mut all = decode(bytes);
                mine.iter()
                    .filter(|sample| sample.backend == backend)
                    .for_each(|sample| observe(&mut all, sample, now));
                encode(&all)
            };
            if !change(store, &key(id(backend)), add)? {
                break;
            }
            self.samples.retain(|sample| sample.backend != backend);
        }
        Ok(())
    }
}

/// Changes a value; where there is none one is made, and that is all: to write where there is nothing always succeeds,
/// whoever else does.
#[inline(never)]
fn change(store: &impl Store, key: &str, change: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Result<bool, StoreError> {
    update(store, key, |bytes| (Some(bytes.map_or_else(Vec::new, &mut *change)), bytes.is_some()))
}

/// What was spent in the last hours, by all workers.
pub fn purchases(store: &impl Store) -> Purchases {
    store.get(PURCHASES).ok().flatten().map_or_else(Purchases::default, |(bytes, _)| Purchases::decode(&bytes))
}

/// How a backend counts, model by model.
pub fn audited(store: &impl Store, backend: &str) -> Vec<Audited> {
    store.get(&key(backend)).ok().flatten().map_or_else(Vec::new, |(bytes, _)| decode(&bytes))
}

fn key(backend: &str) -> String {
    format!("llm-router/1/audit/{backend}")
}

/// Where all places are taken by models that are asked for, another one is not judged.
fn observe(all: &mut Vec<Audited>, sample: &Sample, now: Timestamp) {
    let name = sample.model.as_deref().unwrap_or_default();
    let tag = sample.model.as_ref().map_or(ModelTag::ANY, Model::tag);
    let place = all.iter().position(|audited| audited.tag == tag).or_else(|| {
        let new = Audited { tag, model: shown(name), last: now, drift: Drift::default() };
        if all.len() < MODELS {
            all.push(new);
            return Some(all.len() - 1);
        }
        let is_idle = |audited: &Audited| now < audited.last || now.since(audited.last) >= IDLE;
        let place = all.iter().position(is_idle)?;
        *all.get_mut(place)? = new;
        Some(place)
    });
    if let Some(audited) = place.and_then(|place| all.get_mut(place)) {
        audited.last = now;
        let Counted { client, estimated, reported, .. } = sample.counted;
        audited.drift.observe(client, estimated.0, reported.0, now);
    }
}

/// Of a name that a client has chosen: nothing that a log, a chat or a terminal takes for anything but text.
fn shown(name: &str) -> Box<str> {
    let mut shown = String::new();
    // Where names are long, it is their ends that differ.
    for c in name.chars().skip(name.chars().count().saturating_sub(SHOWN)) {
        let is_plain = matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | ':' | '/');
        shown.push(if is_plain { c } else { '_' });
    }
    shown.into()
}

fn encode(all: &[Audited]) -> Vec<u8> {
    let mut out = Encoder::with_capacity(1 + 240 * all.len());
    out.u8(VERSION);
    for Audited { tag, model, last, drift } in all {
        out.u32(tag.bits()).text(model).time(*last);
        drift.encode(&mut out);
    }
    out.finish()
}

/// Nothing where the bytes are of another layout.
fn decode(bytes: &[u8]) -> Vec<Audited> {
    let (mut from, mut all) = (Decoder::new(bytes), Vec::new());
    if from.u8() == Some(VERSION) {
        while let Some(audited) = one(&mut from) {
            all.push(audited);
        }
    }
    all.truncate(MODELS);
    all
}

fn one(from: &mut Decoder<'_>) -> Option<Audited> {
    Some(Audited {
        tag: ModelTag::from_bits(from.u32()?),
        model: from.text()?.into(),
        last: from.time()?,
        drift: Drift::decode(from)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{PicoUsd, Tokens};
    use crate::routing::testing::at;
    use crate::state::{MemoryStore, View};
    use crate::tokens::Pair;

    fn counted(estimated: u64, reported: u64) -> Counted {
        Counted { estimated: Tokens(estimated), reported: Tokens(reported), pair: Pair::default(), client: 0 }
    }

    fn models(store: &MemoryStore) -> Vec<String> {
        audited(store, "a").iter().map(|audited| audited.model.to_string()).collect()
    }

    /// Two workers, and the places of backends a and b.
    fn workers(store: &MemoryStore) -> ([View; 2], [Place; 2]) {
        let mut workers = [View::new(1), View::new(2)];
        let mut places = [Place::default(); 2];
        for worker in &mut workers {
            places = ["a", "b"].map(|id| worker.place(store, id).expect("placed"));
        }
        (workers, places)
    }

    /// The first time the keys are made.
    fn write(worker: &mut View, store: &MemoryStore, second: u64) {
        for _ in 0..3 {
            worker.auditor().written = Timestamp::default();
            worker.write_audit(store, at(second)).expect("written");
        }
        assert!(worker.auditor().samples.is_empty() && worker.auditor().purchases.is_empty());
    }

    #[test]
    fn what_workers_see_adds_up() {
        let store = MemoryStore::default();
        let (mut workers, [a, b]) = workers(&store);
        for second in 0..120 {
            for worker in &mut workers {
                worker.auditor().count(a, Some("gpt".into()), counted(1_000, 1_200));
                worker.auditor().count(b, None, counted(1_000, 900));
                worker.auditor().pay(Purchase { spent: PicoUsd(3), well: PicoUsd(2) }, at(second));
                worker.write_audit(&store, at(second)).expect("written");
            }
        }
        for worker in &mut workers {
            write(worker, &store, 130);
        }
        assert_eq!(purchases(&store).of(24, at(130)), Purchase { spent: PicoUsd(720), well: PicoUsd(480) });
        assert_eq!(models(&store), ["gpt"]);
        let [b] = audited(&store, "b").try_into().expect("one");
        assert_eq!((&*b.model, b.drift.recent(), b.drift.usual()), ("", 900_000, Some(900_000)));
    }

    #[test]
    fn clients_that_name_many_models_take_no_more_room_and_nobody_elses() {
        let store = MemoryStore::default();
        let ([mut worker, _], [a, _]) = workers(&store);
        let count = |worker: &mut View, model: &str, estimated| {
            worker.auditor().count(a, Some(model.into()), counted(estimated, 100));
        };
        count(&mut worker, "gpt-4o", 100);
        (0..100).for_each(|n| count(&mut worker, &format!("m{n}"), 100));
        count(&mut worker, "too short", 15);
        write(&mut worker, &store, 1);
        assert_eq!(models(&store), ["gpt-4o", "m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
        for second in [3_000, 3_602] {
            count(&mut worker, "gpt-4o", 100);
            count(&mut worker, "<!channel>\n\u{202e}é", 100);
            write(&mut worker, &store, second);
        }
        assert_eq!(models(&store)[..3], ["gpt-4o", "__channel____", "m1"]);
        (0..1_000).for_each(|_| count(&mut worker, &"x".repeat(128), 100));
        assert_eq!(worker.auditor().samples.len(), MOST_SAMPLES);
        write(&mut worker, &store, 9_000);
        assert!(models(&store).contains(&"x".repeat(SHOWN)));
        let (bytes, _) = store.get(&key("a")).expect("readable").expect("there");
        assert!(bytes.len() < 2_000, "{} bytes", bytes.len());
    }

    #[test]
    fn what_cannot_be_written_now_is_written_later() {
        let store = MemoryStore::default();
        let ([mut worker, _], [a, _]) = workers(&store);
        let broken = Broken;
        worker.auditor().count(a, None, counted(100, 100));
        worker.auditor().pay(Purchase { spent: PicoUsd(3), well: PicoUsd(3) }, at(0));
        assert!(worker.write_audit(&broken, at(0)).is_err());
        write(&mut worker, &store, 1);
        assert_eq!((models(&store).len(), purchases(&store).of(1, at(1)).spent), (1, PicoUsd(3)));
    }

    /// Out of order.
    struct Broken;

    impl Store for Broken {
        fn get(&self, _: &str) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
            Err(StoreError::Host)
        }

        fn set(&self, _: &str, _: &[u8], _: Option<u32>) -> Result<bool, StoreError> {
            Err(StoreError::Host)
        }
    }

    proptest! {
        #[test]
        fn whatever_lies_there_is_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&bytes).len() <= MODELS);
        }
    }
}
