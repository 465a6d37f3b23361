//! What was discovered, as part of the document: backends that describe themselves, besides those that are configured.
//!
//! What is configured under the same id wins, and what operators say of a backend holds for a discovered one as well.

use super::document::{Document, is_in};
use crate::config::{Config, Found, MOST_BACKENDS};
use crate::domain::Backend;

/// A backend that a cluster described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Discovered {
    pub(super) id: Box<str>,
    pub(super) cluster: Box<str>,
    /// JSON, as the cluster says it.
    pub(super) body: Box<str>,
    /// Whether its cluster was gone at the last look: then it gets no new requests, and goes with the next.
    pub(super) leaving: bool,
}

/// What became of a discovered backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Discovered,
    Changed,
    Leaving,
    Gone,
}

impl Fate {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Changed => "changed",
            Self::Leaving => "draining",
            Self::Gone => "gone",
        }
    }
}

impl Document {
    /// Takes what a look at all clusters found. Where a cluster describes itself wrongly, what it said before stays.
    /// Returns the ids of the backends of which something changed.
    pub(super) fn discover(&mut self, configured: &Config, found: &[&Found]) -> Vec<(Box<str>, Fate)> {
        let mut fates: Vec<(Box<str>, Fate)> = Vec::new();
        let mut tell = |id: &str, fate| fates.push((id.into(), fate));
        self.discovered.retain_mut(|known| {
            let is_unclear = || found.iter().any(|found| *found.cluster == *known.cluster && found.backend.is_err());
            let is_there = entries(found).any(|(backend, _)| *backend.id == *known.id);
            let fate = match (is_there, known.leaving) {
                (true, false) => return true,
                (false, _) if is_unclear() => return true,
                (true, true) => Fate::Discovered,
                (false, false) => Fate::Leaving,
                (false, true) => Fate::Gone,
            };
            tell(&known.id, fate);
            known.leaving = fate == Fate::Leaving;
            fate != Fate::Gone
        });
        for (backend, body) in entries(found).filter(|(backend, _)| !configured.is_admin(&backend.cluster)) {
            let has_room = self.discovered.len() < MOST_BACKENDS;
            match self.discovered.iter_mut().find(|known| known.id == backend.id) {
                Some(known) if *known.body == **body => {}
                Some(known) => {
                    (known.cluster, known.body) = (backend.cluster.clone(), body.as_str().into());
                    tell(&backend.id, Fate::Changed);
                }
                None if has_room => {
                    let (id, cluster) = (backend.id.clone(), backend.cluster.clone());
                    self.discovered.push(Discovered { id, cluster, body: body.as_str().into(), leaving: false });
                    tell(&backend.id, Fate::Discovered);
                }
                // Whoever looks at the clusters tells of those for which there is no room.
                None => {}
            }
        }
        // What was said of a backend that is gone is forgotten with it.
        let effect = self.effect(configured);
        for (id, _) in fates.iter().filter(|(id, fate)| *fate == Fate::Gone && !is_in(&effect, id)) {
            self.undrain(id);
            self.weights.retain(|change| change.id != *id);
        }
        fates
    }

    /// The discovered backends that are in effect with this configuration, but for what operators say of them.
    pub(super) fn discovered<'a>(&'a self, configured: &'a Config) -> impl Iterator<Item = &'a Discovered> {
        let is_on = configured.discovery.is_some();
        let is_free = move |known: &&Discovered| is_on && !is_in(configured, &known.id);
        self.discovered.iter().filter(is_free)
    }
}

fn entries<'a>(found: &[&'a Found]) -> impl Iterator<Item = &'a (Backend, String)> {
    found.iter().filter_map(|found| found.backend.as_ref().ok())
}
