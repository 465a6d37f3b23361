//! The changes that there are.

use super::document::{Choice, Document, Drain, Entry, Fingerprint, Override, WeightOverride, find};
use crate::config::{Config, MOST_BACKENDS, Strategy};
use crate::domain::{Backend, Timestamp, Weight};

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no such backend.
    Unknown,
    /// Its cluster is that of Envoy's admin interface.
    AdminCluster,
    /// There are as many backends as there may be.
    TooMany,
    /// All that was changed takes too much room.
    TooMuch,
    /// There would be no backend left.
    Last,
    /// There are no such backends.
    UnknownIds(Vec<String>),
}

/// A document that is being changed.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    configured: &'a Config,
    document: Document,
}

impl<'a> Draft<'a> {
    pub(super) const fn new(configured: &'a Config, document: Document) -> Self {
        Self { configured, document }
    }

    pub(super) fn finish(self) -> Document {
        self.document
    }

    /// Chooses a strategy; the configured one ends any choice.
    pub(crate) fn choose(&mut self, strategy: Strategy) {
        let instead_of = self.configured.strategy;
        self.document.strategy = (strategy != instead_of).then_some(Choice { strategy, instead_of });
    }

    /// Registers a backend, or puts this one in the place of the one that has its id, as the later word on its weight,
    /// too. Written as it is configured, it ends what was changed. Returns whether there was one.
    pub(crate) fn set(&mut self, backend: &Backend, body: &str) -> Result<bool, Refused> {
        if self.configured.is_admin(&backend.cluster) {
            return Err(Refused::AdminCluster);
        }
        let effect = self.document.effect(self.configured);
        let was_there = find(&effect, &backend.id).is_some();
        if !was_there && effect.backends.len() >= MOST_BACKENDS {
            return Err(Refused::TooMany);
        }
        self.forget(&backend.id);
        if find(self.configured, &backend.id) != Some(backend) {
            let by = Entry { body: body.into(), backend: Box::new(backend.clone()) };
            self.stand_in(&backend.id, Some(by));
        }
        Ok(was_there)
    }

    /// Removes a backend, and all that was said of it.
    pub(crate) fn remove(&mut self, id: &str) -> Result<(), Refused> {
        if self.known(id)?.backends.len() < 2 {
            return Err(Refused::Last);
        }
        self.forget(id);
        self.document.drains.retain(|drain| *drain.id != *id);
        if find(self.configured, id).is_some() {
            self.stand_in(id, None);
        }
        Ok(())
    }

    /// Lets a backend have no new requests. Told again, it is the later reason that holds, since the earlier moment.
    pub(crate) fn drain(&mut self, id: &str, reason: &str, by: &str, now: Timestamp) -> Result<(), Refused> {
        self.known(id)?;
        let since = self.document.drain(id).map_or(now, |drain| drain.since);
        self.document.drains.retain(|drain| *drain.id != *id);
        self.document.drains.push(Drain { id: id.into(), reason: reason.into(), since, by: by.into() });
        Ok(())
    }

    /// Lets a backend have requests again. Returns whether it had none.
    pub(crate) fn undrain(&mut self, id: &str) -> Result<bool, Refused> {
        self.known(id)?;
        let was_draining = self.document.drain(id).is_some();
        self.document.drains.retain(|drain| *drain.id != *id);
        Ok(was_draining)
    }

    /// Changes weights, all of them or none. Returns what they were.
    pub(crate) fn weigh(&mut self, weights: &[(Box<str>, Weight)]) -> Result<Vec<Weight>, Refused> {
        let effect = self.document.effect(self.configured);
        let is_unknown = |id: &str| find(&effect, id).is_none();
        let unknown: Vec<_> = weights.iter().filter(|(id, _)| is_unknown(id)).map(|(id, _)| id.to_string()).collect();
        if !unknown.is_empty() {
            return Err(Refused::UnknownIds(unknown));
        }
        self.document.weights.retain(|change| weights.iter().all(|(id, _)| change.id != *id));
        // What they weigh without a change of the weight alone.
        let plain = self.document.effect(self.configured);
        for (id, weight) in weights {
            if find(&plain, id).is_some_and(|backend| backend.weight != *weight) {
                let instead_of = find(self.configured, id).map(|backend| backend.weight);
                self.document.weights.push(WeightOverride { id: id.clone(), instead_of, weight: *weight });
            }
        }
        Ok(weights.iter().filter_map(|(id, _)| find(&effect, id)).map(|backend| backend.weight).collect())
    }

    /// What is in effect, if that has this backend.
    fn known(&self, id: &str) -> Result<Config, Refused> {
        let effect = self.document.effect(self.configured);
        if find(&effect, id).is_some() { Ok(effect) } else { Err(Refused::Unknown) }
    }

    fn forget(&mut self, id: &str) {
        self.document.backends.retain(|change| *change.id != *id);
        self.document.weights.retain(|change| *change.id != *id);
    }

    fn stand_in(&mut self, id: &str, by: Option<Entry>) {
        let instead_of = Fingerprint::of(self.configured, id);
        self.document.backends.push(Override { id: id.into(), instead_of, by });
    }
}
