//! Changes against a store in memory, over configurations that come and go.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::document::Document;
use super::{Change, KEY, LARGEST, Refused, Source, Steering};
use crate::config::{self, Config, MOST_BACKENDS, commands};
use crate::domain::{Backend, Weight};
use crate::routing::testing::at;
use crate::state::{MemoryStore, Store};

fn config(document: &Value) -> Arc<Config> {
    Arc::new(config::parse(document.to_string().as_bytes()).expect("a configuration"))
}

fn three() -> Value {
    json!({"strategy": "round_robin", "default_backend": "b", "envoy_admin": {"cluster": "admin"},
        "backend_instances": {"a": {"weight": 2}, "b": {"priority": 3}, "c": {}}})
}

/// One VM, and what is configured there.
struct Rig {
    store: MemoryStore,
    steering: Steering,
}

impl Rig {
    fn new(configured: &Value) -> Self {
        let store = MemoryStore::default();
        let steering = Steering::begin(config(configured), &store).expect("begun");
        Self { store, steering }
    }

    /// Another configuration comes; returns what it ended.
    fn swap(&mut self, configured: &Value) -> Vec<String> {
        self.steering = Steering::begin(config(configured), &self.store).expect("begun");
        self.steering.ended().to_vec()
    }

    fn change(&mut self, change: Change<'_>) -> Result<(), Refused> {
        let result = self.steering.change(&self.store, change).expect("stored");
        if let Some(news) = self.steering.news(&self.store) {
            self.steering = news;
        }
        result
    }

    fn set(&mut self, id: &str, body: &Value) -> Result<(), Refused> {
        let body = body.to_string();
        let backend = commands::backend(id, body.as_bytes()).expect("a backend");
        self.change(Change::Set { backend: &backend, body: &body, any_cluster: true })
    }

    fn remove(&mut self, id: &str) -> Result<(), Refused> {
        self.change(Change::Remove(id))
    }

    fn drain(&mut self, id: &str) -> Result<(), Refused> {
        self.change(Change::Drain { id, reason: "why", by: "192.0.2.7:1", now: at(7) })
    }

    fn weigh(&mut self, id: &str, thousandths: u32) -> Result<(), Refused> {
        self.change(Change::Weigh(&[(id.into(), Weight::from_thousandths(thousandths))]))
    }

    fn ids(&self) -> String {
        self.steering.config().backends.iter().map(|backend| &*backend.id).collect::<Vec<_>>().join(" ")
    }

    fn backend(&self, id: &str) -> Backend {
        super::document::find(&self.steering.config(), id).cloned().expect("in effect")
    }

    fn default_backend(&self) -> String {
        let config = self.steering.config();
        config.backends[config.default_backend.get()].id.clone().into()
    }
}

#[test]
fn backends_are_registered_changed_and_removed() {
    let mut rig = Rig::new(&three());
    assert_eq!(rig.set("bb", &json!({"weight": 7})), Ok(()));
    assert_eq!(rig.set("a", &json!({"quality_score": 0.5})), Ok(()));
    assert_eq!((rig.ids().as_str(), rig.default_backend().as_str()), ("a b bb c", "b"));
    assert_eq!((rig.backend("a").weight, rig.backend("a").quality.get()), (Weight::ONE, 500));
    let sources = ["a", "b", "bb"].map(|id| rig.steering.source(id));
    assert_eq!(sources, [Source::Api, Source::Configuration, Source::Api]);
    assert_eq!((rig.remove("c"), rig.remove("bb"), rig.remove("bb")), (Ok(()), Ok(()), Err(Refused::Unknown)));
    assert_eq!((rig.ids().as_str(), rig.steering.removed()), ("a b", vec!["c"]));
    // The default backend goes: the first by priority, then by id, is the default.
    assert_eq!((rig.remove("b"), rig.default_backend().as_str()), (Ok(()), "a"));
    assert_eq!((rig.remove("a"), rig.ids().as_str()), (Err(Refused::Last), "a"));
    assert_eq!(rig.set("b", &json!({"priority": 3})), Ok(()));
    assert_eq!((rig.ids().as_str(), rig.default_backend().as_str()), ("a b", "b"));
    assert_eq!(rig.set("x", &json!({"cluster": "admin"})), Err(Refused::AdminCluster));
}

#[test]
fn written_as_it_is_configured_a_backend_is_that_of_the_configuration_again() {
    let mut rig = Rig::new(&three());
    rig.set("a", &json!({})).expect("set");
    rig.weigh("a", 9_000).expect("weighed");
    rig.remove("c").expect("removed");
    rig.set("a", &json!({"weight": 2.0, "priority": 1})).expect("set");
    rig.set("c", &json!({})).expect("set");
    assert_eq!(rig.steering.config(), *config(&three()));
    assert_eq!(rig.steering.document, Document::default());
}

#[test]
fn a_change_ends_with_a_configuration_that_changes_the_same_key_and_with_no_other() {
    let mut rig = Rig::new(&three());
    rig.set("a", &json!({"quality_score": 0.5})).expect("set");
    rig.set("x", &json!({})).expect("set");
    rig.remove("b").expect("removed");
    rig.weigh("c", 500).expect("weighed");
    rig.change(Change::Strategy(config::Strategy::Weighted)).expect("chosen");
    rig.drain("c").expect("drained");
    let before = rig.steering.config();

    let mut other = three();
    other["retry"] = json!({"max_attempts": 1});
    other["backend_instances"]["d"] = json!({});
    other["backend_instances"]["c"]["quality_score"] = json!(0.9);
    assert_eq!(rig.swap(&other), [""; 0]);
    assert_eq!(rig.ids(), "a c d x");
    assert_eq!((rig.backend("a"), rig.backend("x")), (before.backends[0].clone(), before.backends[2].clone()));
    assert_eq!((rig.backend("c").weight.thousandths(), rig.backend("c").quality.get()), (500, 900));
    assert_eq!((rig.steering.strategy(), rig.backend("c").draining), (config::Strategy::Weighted, true));

    // Each key changes once, and then back: what was ended stays ended.
    other["strategy"] = json!("health_aware");
    other["backend_instances"]["a"]["weight"] = json!(3);
    other["backend_instances"]["b"]["weight"] = json!(3);
    other["backend_instances"]["c"]["weight"] = json!(3);
    other["backend_instances"]["x"] = json!({"weight": 4});
    let ended = rig.swap(&other);
    let keys = ["a", "x", "b"].map(|id| format!("backend_instances.{id}"));
    assert_eq!(ended, [&["strategy".to_owned()][..], &keys, &["backend_instances.c.weight".to_owned()]].concat());
    assert!(rig.swap(&three()).is_empty());
    let mut expected = Config::clone(&config(&three()));
    expected.backends[2].draining = true;
    assert_eq!(rig.steering.config(), expected, "what is left is the drain");
    let mut without = three();
    without["backend_instances"].as_object_mut().expect("an object").remove("c");
    assert_eq!(rig.swap(&without), ["drain of c"]);
    assert!(rig.swap(&three()).is_empty() && !rig.backend("c").draining);
}

#[test]
fn a_configuration_that_has_no_room_for_a_change_ends_it() {
    let mut rig = Rig::new(&three());
    rig.set("x", &json!({"cluster": "hidden"})).expect("set");
    for id in ["a", "b"] {
        rig.remove(id).expect("removed");
    }
    let mut moved = three();
    moved["envoy_admin"]["cluster"] = json!("hidden");
    assert_eq!((rig.swap(&moved), rig.ids().as_str()), (vec!["backend_instances.x".to_owned()], "c"));
    // Without c nobody would be left.
    moved["backend_instances"].as_object_mut().expect("an object").remove("c");
    assert_eq!(rig.swap(&moved), ["backend_instances.a", "backend_instances.b"]);
    assert_eq!(rig.ids(), "a b");

    let many =
        |n: usize| -> Value { (0..n).map(|n| (format!("m{n}"), json!({}))).collect::<serde_json::Map<_, _>>().into() };
    let mut rig = Rig::new(&json!({"backend_instances": many(MOST_BACKENDS - 1)}));
    assert_eq!((rig.set("x", &json!({})), rig.set("y", &json!({}))), (Ok(()), Err(Refused::TooMany)));
    assert_eq!(rig.swap(&json!({"backend_instances": many(MOST_BACKENDS)})), ["backend_instances.x"]);
}

#[test]
fn a_draining_backend_is_not_the_default_as_long_as_there_is_another() {
    let mut rig = Rig::new(&three());
    rig.drain("b").expect("drained");
    assert_eq!((rig.default_backend().as_str(), rig.backend("b").draining), ("a", true));
    for id in ["a", "c"] {
        rig.drain(id).expect("drained");
    }
    assert_eq!(rig.default_backend(), "a", "there is none");
    let drain = rig.steering.drain("a").expect("draining");
    assert_eq!((&*drain.reason, &*drain.by, drain.since), ("why", "192.0.2.7:1", at(7)));
    assert_eq!(rig.change(Change::Undrain("a")), Ok(()));
    assert_eq!(rig.steering.drain("a"), None);
    assert_eq!((rig.drain("x"), rig.change(Change::Undrain("x"))), (Err(Refused::Unknown), Err(Refused::Unknown)));
    // To remove it is to forget why it was drained.
    rig.remove("c").expect("removed");
    rig.set("c", &json!({})).expect("set");
    assert!(!rig.backend("c").draining);
}

#[test]
fn weights_are_changed_all_or_none() {
    let mut rig = Rig::new(&three());
    let weights = |list: &[(&str, u32)]| -> Vec<(Box<str>, Weight)> {
        list.iter().map(|(id, n)| ((*id).into(), Weight::from_thousandths(*n))).collect()
    };
    let unknown = weights(&[("a", 1), ("y", 1), ("z", 1)]);
    let refused = Refused::UnknownIds(vec!["y".into(), "z".into()]);
    assert_eq!(rig.change(Change::Weigh(&unknown)), Err(refused));
    assert_eq!(rig.backend("a").weight.thousandths(), 2_000);
    let both = weights(&[("a", 500), ("b", 700)]);
    assert_eq!(rig.change(Change::Weigh(&both)), Ok(()));
    assert_eq!((rig.backend("a").weight.thousandths(), rig.backend("b").weight.thousandths()), (500, 700));
    // A weight that a backend has anyway is no change.
    assert!(rig.weigh("a", 2_000).is_ok() && rig.weigh("b", 1_000).is_ok());
    assert_eq!(rig.steering.document, Document::default());
}

#[test]
fn changes_take_no_more_room_than_there_is_for_them() {
    let mut rig = Rig::new(&three());
    let long = json!({"health_check": {"path": format!("/{}", "x".repeat(1_000))}}).to_string();
    let long = format!("{long}{}", " ".repeat(10_000));
    let mut results = (0..30).map(|n| {
        let backend = commands::backend(&format!("x{n}"), long.as_bytes()).expect("a backend");
        rig.change(Change::Set { backend: &backend, body: &long, any_cluster: true })
    });
    assert_eq!(results.find(Result::is_err), Some(Err(Refused::TooMuch)));
    let (bytes, _) = rig.store.get(KEY).expect("readable").expect("there");
    assert!(bytes.len() <= LARGEST && rig.steering.config().backends.len() > 20);
    assert_eq!(rig.remove("x0"), Ok(()));
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, u8),
    Remove(u8),
    Drain(u8),
    Undrain(u8),
    Weigh(u8, u8),
    Choose(usize),
    Swap(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (id, n) = (0..6_u8, 0..4_u8);
    prop::collection::vec(
        prop_oneof![
            (id.clone(), n.clone()).prop_map(|(id, n)| Step::Set(id, n)),
            id.clone().prop_map(Step::Remove),
            id.clone().prop_map(Step::Drain),
            id.clone().prop_map(Step::Undrain),
            (id, n.clone()).prop_map(|(id, n)| Step::Weigh(id, n)),
            (0..config::Strategy::ALL.len()).prop_map(Step::Choose),
            (1..64_u8, n).prop_map(|(set, n)| Step::Swap(set, n)),
        ],
        0..60,
    )
}

fn id(n: u8) -> String {
    format!("b{n}")
}

/// Some of six backends, in one of four ways; the admin cluster is now that of one of them, now that of another.
fn some(set: u8, n: u8) -> Value {
    let entry = |id: u8| (format!("b{id}"), json!({"weight": n + 1, "cluster": format!("c{id}")}));
    let backends: serde_json::Map<_, _> = (0..6).filter(|id| set >> id & 1 == 1).map(entry).collect();
    json!({"backend_instances": backends, "envoy_admin": {"cluster": format!("admin{n}")}})
}

fn is_valid(config: &Config) -> bool {
    let ids: Vec<_> = config.backends.iter().map(|backend| &backend.id).collect();
    let default = &config.backends[config.default_backend.get()];
    !ids.is_empty()
        && ids.len() <= MOST_BACKENDS
        && ids.windows(2).all(|pair| pair[0] < pair[1])
        && (!default.draining || config.backends.iter().all(|backend| backend.draining))
        && config.backends.iter().all(|backend| !config.is_admin(&backend.cluster))
}

proptest! {
    #[test]
    fn whatever_is_changed_and_configured_the_outcome_is_a_valid_configuration(steps in steps()) {
        let mut rig = Rig::new(&some(63, 0));
        for step in steps {
            match step {
                Step::Set(backend, n) => {
                    let cluster = if n == 3 { "admin1".to_owned() } else { format!("c{n}") };
                    let _ = rig.set(&id(backend), &json!({"priority": n, "cluster": cluster}));
                }
                Step::Remove(backend) => _ = rig.remove(&id(backend)),
                Step::Drain(backend) => _ = rig.drain(&id(backend)),
                Step::Undrain(backend) => _ = rig.change(Change::Undrain(&id(backend))),
                Step::Weigh(backend, n) => _ = rig.weigh(&id(backend), 1_000 * (u32::from(n) + 1)),
                Step::Choose(n) => rig.change(Change::Strategy(config::Strategy::ALL[n])).expect("chosen"),
                Step::Swap(set, n) => _ = rig.swap(&some(set, n)),
            }
            let effect = rig.steering.config();
            prop_assert!(is_valid(&effect), "{:?}", effect);
            let document = &rig.steering.document;
            prop_assert_eq!(&Document::decode(&document.encode()), document);
            // Whoever begins with it finds nothing to end, and is where this one is.
            let before = effect.clone();
            let again = Steering::begin(Arc::clone(&rig.steering.configured), &rig.store).expect("begun");
            prop_assert_eq!(again.config(), before);
        }
    }

    #[test]
    fn any_bytes_are_a_document(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let bytes = if version { [&[1][..], &bytes].concat() } else { bytes };
        let document = Document::decode(&bytes);
        prop_assert!(is_valid(&document.effect(&config(&three()))));
        prop_assert_eq!(&Document::decode(&document.encode()), &document);
    }

    #[test]
    fn a_document_that_was_damaged_is_one(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut rig = Rig::new(&three());
        rig.set("a", &json!({"quality_score": 0.5})).expect("set");
        rig.set("x", &json!({})).expect("set");
        rig.remove("c").expect("removed");
        rig.weigh("b", 10).expect("weighed");
        rig.drain("b").expect("drained");
        let mut bytes = rig.steering.document.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        let document = Document::decode(&bytes);
        prop_assert!(is_valid(&document.effect(&config(&three()))));
        let mut settled = document.clone();
        settled.settle(&config(&three()));
        prop_assert!(is_valid(&settled.effect(&config(&three()))));
        prop_assert_eq!(&Document::decode(&document.encode()), &document);
    }
}
