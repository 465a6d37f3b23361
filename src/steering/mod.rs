//! What operators changed at run time, and what is in effect because of it.
//!
//! ```text
//!   configured (what Envoy gave) + document (what operators changed) ──► Config, whole and valid ──► the next Router
//! ```
//!
//! Everything that was changed is one document in shared data, so that a change is there for all workers or for none.
//! Each worker looks at it with every tick. Requests under way hold places in the configuration that they were decided
//! by, so that a configuration is never changed: a new one is made, and a router for it, which takes what comes from
//! then on; those under way finish with the old one. It is the way a new configuration of Envoy's comes into effect.
//!
//! A change stands in for what is configured, and holds only as long as that is: it remembers the value that it took the
//! place of. A configuration that changes the same key is the later word, and ends it; one that changes anything else
//! does not. To drain is no key of the configuration: it holds until the backend is undrained or gone.

mod change;
mod code;
mod discovered;
mod document;
#[cfg(test)]
mod tests;
mod weights;

use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::sync::Arc;

pub(crate) use change::{Change, Refused};
pub(crate) use discovered::Fate;
pub(crate) use document::{Drain, Source};

use crate::config::{Config, Found, Strategy};
use crate::domain::{Backend, Fnv};
use crate::state::{Cas, Store, StoreError, update};
use document::Document;

const KEY: &str = "llm-router/1/steering";

/// The most that all changes together may take, in bytes: every VM reads it twenty times a second.
const LARGEST: usize = 256 << 10;

/// Ids that an Envoy may come to know at run time: each leaves a record, and names of metrics.
pub(crate) const MOST_IDS: usize = 1_024;

/// What is in effect, as this VM knows it.
#[derive(Debug)]
pub(crate) struct Steering {
    configured: Arc<Config>,
    document: Document,
    version: Cas,
    /// The paths of what this configuration ended at its beginning.
    ended: Vec<String>,
}

/// A number that tells a configuration from any other, the same in every VM.
pub(crate) fn fingerprint(config: &Config) -> u64 {
    let mut fnv = Fnv::default();
    // It never fails: there is nothing to run out of.
    let _ = write!(fnv, "{config:?}");
    fnv.finish()
}

/// What became of discovered backends.
pub(crate) type Fates = Vec<(Box<str>, Fate)>;

impl Steering {
    /// What a new configuration begins with. Changes that it overrules, or that it has no room for, end here, also for
    /// the configurations after it.
    pub(crate) fn begin(configured: Arc<Config>, store: &impl Store) -> Result<Self, StoreError> {
        let ended = update(store, KEY, |bytes| {
            let mut document = bytes.map(Document::decode).unwrap_or_default();
            let ended = document.settle(&configured);
            let is_news = bytes.is_none() || !ended.is_empty();
            (is_news.then(|| document.encode()), ended)
        })?;
        let (bytes, version) = store.get(KEY)?.unwrap_or_default();
        Ok(Self { configured, document: Document::decode(&bytes), version, ended })
    }

    /// What others changed since, if they did.
    pub(crate) fn news(&self, store: &impl Store) -> Option<Self> {
        let (bytes, version) = store.get(KEY).ok()??;
        let configured = Arc::clone(&self.configured);
        let ended = Vec::new();
        (version != self.version).then(|| Self { configured, document: Document::decode(&bytes), version, ended })
    }

    /// Changes something for all workers; they, this one too, take it from the document.
    pub(crate) fn change(&self, store: &impl Store, change: Change<'_>) -> Result<Result<(), Refused>, StoreError> {
        update(store, KEY, |bytes| {
            let mut document = bytes.map(Document::decode).unwrap_or_default();
            if let Err(refused) = document.change(&self.configured, change) {
                return (None, Err(refused));
            }
            let bytes = document.encode();
            if bytes.len() > LARGEST { (None, Err(Refused::TooMuch)) } else { (Some(bytes), Ok(())) }
        })
    }

    /// Takes what a look at all clusters found, for all workers. Returns what became of whom, most of the time nothing;
    /// none if that takes more room than there is for it.
    pub(crate) fn discover(&self, store: &impl Store, found: &[&Found]) -> Result<Option<Fates>, StoreError> {
        update(store, KEY, |bytes| {
            let mut document = bytes.map(Document::decode).unwrap_or_default();
            let fates = document.discover(&self.configured, found);
            let bytes = document.encode();
            match bytes.len() > LARGEST {
                _ if fates.is_empty() => (None, Some(fates)),
                false => (Some(bytes), Some(fates)),
                true => (None, None),
            }
        })
    }

    /// The paths of the changes that the configuration ended: known to the one VM that ended them.
    pub(crate) fn ended(&self) -> &[String] {
        &self.ended
    }

    /// A number that tells what Envoy gave from any other configuration, the same in every VM.
    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(&self.configured)
    }

    /// The configuration in effect.
    pub(crate) fn config(&self) -> Config {
        self.document.effect(&self.configured)
    }

    /// The strategy in effect.
    pub(crate) fn strategy(&self) -> Strategy {
        self.document.strategy(&self.configured)
    }

    /// Where a backend that is in effect comes from.
    pub(crate) fn source(&self, id: &str) -> Source {
        self.document.source(&self.configured, id)
    }

    /// Whether a backend that is configured or discovered is another one because an operator wants that.
    pub(crate) fn stands_in(&self, id: &str) -> bool {
        self.document.stands_in(&self.configured, id)
    }

    /// Why a backend gets no new requests, where an operator wants that.
    pub(crate) fn drain(&self, id: &str) -> Option<&Drain> {
        self.document.drain(id)
    }

    /// A backend as it stands in the configuration.
    pub(crate) fn configured_backend(&self, id: &str) -> Option<&Backend> {
        document::find(&self.configured, id)
    }

    /// Whether an operator removed a backend.
    pub(crate) fn is_removed(&self, id: &str) -> bool {
        self.document.is_removed(&self.configured, id)
    }

    /// Backends of the configuration that were removed.
    pub(crate) fn removed(&self) -> Vec<&str> {
        self.document.removed(&self.configured)
    }
}
