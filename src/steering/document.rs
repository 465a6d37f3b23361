//! All that operators changed.

use std::hash::{Hash, Hasher};

use super::discovered::Discovered;
use crate::config::{Config, MOST_BACKENDS, Strategy, commands};
use crate::domain::{Backend, Fnv, Timestamp, Weight};

/// What operators changed, for all workers. It is the same document whatever is configured; what of it is in effect
/// depends on that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) strategy: Option<Choice>,
    /// Clusters that said that they are backends; one an id.
    pub(super) discovered: Vec<Discovered>,
    /// One an id.
    pub(super) backends: Vec<Override>,
    /// One an id.
    pub(super) weights: Vec<WeightOverride>,
    /// One an id.
    pub(super) drains: Vec<Drain>,
}

/// Another strategy than the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) strategy: Strategy,
    pub(super) instead_of: Strategy,
}

/// Another backend than the configured one, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Override {
    pub(super) id: Box<str>,
    pub(super) instead_of: Fingerprint,
    /// JSON, as it was written.
    pub(super) body: Option<Box<str>>,
}

/// Another weight than the configured one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WeightOverride {
    pub(super) id: Box<str>,
    pub(super) instead_of: Option<Weight>,
    pub(super) weight: Weight,
}

/// A backend that is to get no new requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drain {
    pub(super) id: Box<str>,
    /// Why, in the operator's words.
    pub(crate) reason: Box<str>,
    /// Since when.
    pub(crate) since: Timestamp,
    /// The address that it was asked from.
    pub(crate) by: Box<str>,
}

/// Where a backend comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Configuration,
    Api,
    Discovery,
}

impl Source {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Api => "api",
            Self::Discovery => "discovery",
        }
    }
}

/// What tells one configured backend from another; 0: it is not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) u64);

impl Fingerprint {
    #[inline(never)]
    pub(super) fn of(config: &Config, id: &str) -> Self {
        find(config, id).map_or(Self(0), |backend| {
            let mut fnv = Fnv::default();
            backend.hash(&mut fnv);
            Self(fnv.finish().max(1))
        })
    }
}

/// Whether this configuration has a backend.
pub(super) fn is_in(config: &Config, id: &str) -> bool {
    find(config, id).is_some()
}

/// A backend of this configuration.
#[inline(never)]
pub(super) fn find<'a>(config: &'a Config, id: &str) -> Option<&'a Backend> {
    config.backends.iter().find(|backend| *backend.id == *id)
}

impl Override {
    /// Whether it still stands for what is configured.
    #[inline(never)]
    fn holds(&self, configured: &Config) -> bool {
        Fingerprint::of(configured, &self.id) == self.instead_of
    }
}

/// What a body means with this configuration. None where it leads to Envoy's admin interface, or where another version of
/// this module took what this one does not.
#[inline(never)]
fn read(configured: &Config, id: &str, body: &str) -> Option<Backend> {
    let backend = commands::kept_backend(id, body.as_bytes()).ok()?;
    (!configured.is_admin(&backend.cluster)).then_some(backend)
}

impl WeightOverride {
    fn holds(&self, configured: &Config) -> bool {
        find(configured, &self.id).map(|backend| backend.weight) == self.instead_of
    }
}

impl Document {
    /// The configuration in effect. Whatever the document says, it is a valid one.
    #[inline(never)]
    pub(super) fn effect(&self, configured: &Config) -> Config {
        // Others may be gone with a configuration: the last backend stays, though an operator removed it before.
        let mut removals = [true, false].into_iter();
        let effect = removals.find_map(|removals| configured.with_backends(self.backends(configured, removals)));
        effect.unwrap_or_else(|| configured.clone())
    }

    #[inline(never)]
    fn backends(&self, configured: &Config, removals: bool) -> Vec<Backend> {
        let mut backends = configured.backends.clone();
        let is_removed = |known: &&Discovered| removals && self.is_removed(configured, &known.id);
        let discovered = self.discovered(configured).filter(|known| !is_removed(known));
        for Discovered { id, body, leaving, .. } in discovered {
            put(&mut backends, id, read(configured, id, body).map(|backend| Backend { draining: *leaving, ..backend }));
        }
        for Override { id, body, .. } in self.backends.iter().filter(|change| change.holds(configured)) {
            match (body, backends.binary_search_by(|backend| backend.id.cmp(id))) {
                (Some(body), _) => put(&mut backends, id, read(configured, id, body)),
                (None, Ok(place)) if removals => drop(backends.remove(place)),
                (None, _) => {}
            }
        }
        for backend in &mut backends {
            let mut weights = self.weights.iter().filter(|change| change.id == backend.id && change.holds(configured));
            backend.weight = weights.next_back().map_or(backend.weight, |change| change.weight);
            backend.draining |= self.drain(&backend.id).is_some();
        }
        backends
    }

    pub(super) fn strategy(&self, configured: &Config) -> Strategy {
        let choice = self.strategy.filter(|choice| choice.instead_of == configured.strategy);
        choice.map_or(configured.strategy, |choice| choice.strategy)
    }

    pub(super) fn source(&self, configured: &Config, id: &str) -> Source {
        let is_set = |change: &Override| *change.id == *id && change.body.is_some() && change.holds(configured);
        if self.backends.iter().any(is_set) {
            Source::Api
        } else if is_in(configured, id) {
            Source::Configuration
        } else {
            Source::Discovery
        }
    }

    /// The body that a backend in effect was written by, if it is not that of the configuration.
    pub(super) fn written(&self, configured: &Config, id: &str) -> Option<&str> {
        let change = self.backends.iter().find(|change| *change.id == *id && change.holds(configured));
        let discovered = || {
            let known = self.discovered.iter().find(|known| *known.id == *id && !is_in(configured, id));
            known.map(|known| &*known.body)
        };
        change.and_then(|change| change.body.as_deref()).or_else(discovered)
    }

    /// Whether a backend that is configured or discovered is another one here.
    pub(super) fn stands_in(&self, configured: &Config, id: &str) -> bool {
        let is_there = is_in(configured, id) || self.discovered(configured).any(|known| *known.id == *id);
        is_there && self.source(configured, id) == Source::Api
    }

    pub(super) fn drain(&self, id: &str) -> Option<&Drain> {
        self.drains.iter().find(|drain| *drain.id == *id)
    }

    /// Whether an operator removed this one.
    pub(super) fn is_removed(&self, configured: &Config, id: &str) -> bool {
        self.backends.iter().any(|change| *change.id == *id && change.body.is_none() && change.holds(configured))
    }

    /// Backends that are there to be, and were removed.
    pub(super) fn removed<'a>(&'a self, configured: &'a Config) -> Vec<&'a str> {
        let effect = self.effect(configured);
        let ids = configured.backends.iter().map(|backend| &*backend.id);
        let ids = ids.chain(self.discovered(configured).map(|known| &*known.id));
        ids.filter(|id| !is_in(&effect, id)).collect()
    }

    /// Forgets what this configuration overrules, has no room for or says itself. Returns the paths of what ended.
    pub(super) fn settle(&mut self, configured: &Config) -> Vec<String> {
        if configured.discovery.is_none() {
            self.discovered.clear();
        }
        let mut ended = Vec::new();
        let mut keep = |keeps: bool, path: &dyn Fn() -> String| {
            if !keeps {
                ended.push(path());
            }
            keeps
        };
        let strategy = self.strategy(configured);
        self.strategy = self.strategy.filter(|_| keep(strategy != configured.strategy, &|| "strategy".to_owned()));
        // What there is without what is said of it besides.
        let (mut weights, drains) = (std::mem::take(&mut self.weights), std::mem::take(&mut self.drains));
        let plain = self.effect(configured);
        self.backends.retain(|change| {
            let (was, is) = (find(configured, &change.id), find(&plain, &change.id));
            let is_done = if change.body.is_some() { is.is_some() && is != was } else { is.is_none() };
            keep(is_done && change.holds(configured), &|| format!("backend_instances.{}", change.id))
        });
        weights.retain(|change| {
            let is_other = find(&plain, &change.id).is_some_and(|backend| backend.weight != change.weight);
            keep(is_other && change.holds(configured), &|| format!("backend_instances.{}.weight", change.id))
        });
        (self.weights, self.drains) = (weights, drains);
        self.drains.retain(|drain| keep(is_in(&plain, &drain.id), &|| format!("drain of {}", drain.id)));
        ended
    }
}

/// Puts a backend in the place of the one that has its id, or between the others, which are sorted by that.
#[inline(never)]
fn put(backends: &mut Vec<Backend>, id: &str, backend: Option<Backend>) {
    let place = backends.binary_search_by(|other| (*other.id).cmp(id));
    match (backend, place) {
        (Some(backend), Ok(place)) => {
            if let Some(other) = backends.get_mut(place) {
                *other = backend;
            }
        }
        (Some(backend), Err(place)) if backends.len() < MOST_BACKENDS => backends.insert(place, backend),
        _ => {}
    }
}
