//! The changes that there are.

use super::document::{Choice, Document, Drain, Fingerprint, Override, WeightOverride, find, is_in};
use super::weights;
use crate::config::{Config, Errors, MOST_BACKENDS, Strategy, commands};
use crate::domain::{Backend, Timestamp, Weight};

/// What an operator wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    /// Another strategy; the configured one ends any choice.
    Strategy(Strategy),
    /// A new backend, or this one in the place of the one that has its id, as the later word on its weight, too. Written
    /// as it is configured, it ends what was changed.
    Set {
        /// What the body means.
        backend: &'a Backend,
        /// As it was written.
        body: &'a str,
        /// Whether its cluster may be one that no backend has so far.
        any_cluster: bool,
    },
    /// Another value of some keys of a backend, by a JSON merge patch.
    Patch {
        /// Which one.
        id: &'a str,
        /// The patch as it was written.
        patch: &'a [u8],
        /// Whether its cluster may be one that no backend has so far.
        any_cluster: bool,
    },
    /// No such backend any more, nor what was said of it.
    Remove(&'a str),
    /// A backend as it is configured or discovered, whatever was changed of it; drained it stays.
    Restore(&'a str),
    /// No new requests for a backend. Told again, it is the later reason that holds, since the earlier moment.
    Drain {
        /// Which one.
        id: &'a str,
        /// Why.
        reason: &'a str,
        /// The address that it is asked from.
        by: &'a str,
        /// When.
        now: Timestamp,
    },
    /// Requests for it again.
    Undrain(&'a str),
    /// Other weights, all of them or none, each of a backend by its id, or of all of a group or type together.
    Weigh(&'a [(Box<str>, Weight)]),
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no such backend.
    Unknown,
    /// There are no such backends.
    UnknownIds(Vec<Box<str>>),
    /// What was said is wrong in itself.
    Invalid(String),
    /// Its cluster is that of Envoy's admin interface.
    AdminCluster,
    /// Its cluster is that of no backend. It may lead anywhere: to Envoy's admin port, where no `envoy_admin` says so.
    UnknownCluster(Box<str>),
    /// There are as many backends as there may be.
    TooMany,
    /// All that was changed takes too much room.
    TooMuch,
    /// There would be no backend left.
    Last,
}

impl Document {
    /// Changes something of what is in effect with this configuration.
    pub(super) fn change(&mut self, configured: &Config, change: Change<'_>) -> Result<(), Refused> {
        let effect = self.effect(configured);
        match change {
            // As it is in effect: nothing is changed, nor for how long that holds.
            Change::Set { backend, .. } if self.is_in_effect(&effect, backend) => {}
            Change::Patch { id, patch, any_cluster } => {
                let before = find(&effect, id).ok_or(Refused::Unknown)?;
                let invalid = |errors: Errors| Refused::Invalid(errors.listed());
                let body = commands::patched(before, self.written(configured, id), patch).map_err(invalid)?;
                let backend = commands::backend(id, body.as_bytes()).map_err(invalid)?;
                return self.change(configured, Change::Set { backend: &backend, body: &body, any_cluster });
            }
            Change::Restore(id) if !self.has_changes(configured, id) => return Err(Refused::Unknown),
            Change::Restore(id) if effect.backends.len() >= MOST_BACKENDS && !is_in(&effect, id) => {
                return Err(Refused::TooMany);
            }
            Change::Restore(id) => self.forget(id),
            Change::Strategy(strategy) => {
                let instead_of = configured.strategy;
                self.strategy = (strategy != instead_of).then_some(Choice { strategy, instead_of });
            }
            Change::Set { backend, .. } if configured.is_admin(&backend.cluster) => return Err(Refused::AdminCluster),
            Change::Set { backend, any_cluster: false, .. }
                if !self.has_cluster(configured, &effect, &backend.cluster) =>
            {
                return Err(Refused::UnknownCluster(backend.cluster.clone()));
            }
            Change::Set { backend, .. } if effect.backends.len() >= MOST_BACKENDS && !is_in(&effect, &backend.id) => {
                return Err(Refused::TooMany);
            }
            Change::Set { backend, body, .. } => {
                self.forget(&backend.id);
                if find(configured, &backend.id) != Some(backend) {
                    self.stand_in(configured, &backend.id, Some(body));
                }
            }
            Change::Weigh(weights) => {
                self.weigh(configured, &weights::of_each(&effect, weights)?);
            }
            Change::Remove(id) | Change::Drain { id, .. } | Change::Undrain(id) if !is_in(&effect, id) => {
                return Err(Refused::Unknown);
            }
            Change::Remove(_) if effect.backends.len() < 2 => return Err(Refused::Last),
            Change::Remove(id) => {
                self.forget(id);
                self.undrain(id);
                if is_in(configured, id) || self.discovered.iter().any(|known| *known.id == *id) {
                    self.stand_in(configured, id, None);
                }
            }
            Change::Drain { id, reason, by, now } => {
                let since = self.drain(id).map_or(now, |drain| drain.since);
                self.undrain(id);
                self.drains.push(Drain { id: id.into(), reason: reason.into(), since, by: by.into() });
            }
            Change::Undrain(id) => self.undrain(id),
        }
        Ok(())
    }

    /// Whether a cluster is that of a backend: one in effect, one of the configuration, or one that said so itself.
    fn has_cluster(&self, configured: &Config, effect: &Config, cluster: &str) -> bool {
        let mut backends = configured.backends.iter().chain(&effect.backends);
        backends.any(|backend| *backend.cluster == *cluster)
            || self.discovered.iter().any(|known| *known.cluster == *cluster)
    }

    fn weigh(&mut self, configured: &Config, weights: &[(Box<str>, Weight)]) {
        self.weights.retain(|change| weights.iter().all(|(id, _)| change.id != *id));
        // What they weigh without a change of the weight alone.
        let plain = self.effect(configured);
        for (id, weight) in weights {
            if find(&plain, id).is_some_and(|backend| backend.weight != *weight) {
                let instead_of = find(configured, id).map(|backend| backend.weight);
                self.weights.push(WeightOverride { id: id.clone(), instead_of, weight: *weight });
            }
        }
    }

    /// Whether a backend is in effect just like this. One that goes with its cluster is not, but for another word on it.
    fn is_in_effect(&self, effect: &Config, backend: &Backend) -> bool {
        let goes = self.discovered.iter().any(|known| known.id == backend.id && known.leaving);
        !goes && find(effect, &backend.id).is_some_and(|is| Backend { draining: false, ..is.clone() } == *backend)
    }

    /// Whether something stands in for what is configured or discovered under an id.
    fn has_changes(&self, configured: &Config, id: &str) -> bool {
        let is_there = is_in(configured, id) || self.discovered.iter().any(|known| *known.id == *id);
        let is_changed =
            self.backends.iter().any(|change| *change.id == *id) || self.weights.iter().any(|change| *change.id == *id);
        is_there && is_changed
    }

    fn forget(&mut self, id: &str) {
        self.backends.retain(|change| *change.id != *id);
        self.weights.retain(|change| *change.id != *id);
    }

    pub(super) fn undrain(&mut self, id: &str) {
        self.drains.retain(|drain| *drain.id != *id);
    }

    fn stand_in(&mut self, configured: &Config, id: &str, body: Option<&str>) {
        let instead_of = Fingerprint::of(configured, id);
        self.backends.push(Override { id: id.into(), instead_of, body: body.map(Into::into) });
    }
}
