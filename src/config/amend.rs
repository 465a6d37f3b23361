//! A configuration with other backends than its document has: what operators change at run time.

use super::{Config, read};
use crate::domain::{Backend, BackendIndex};

impl Config {
    /// This configuration with these backends, sorted by id, in the place of its own. None if they are not, if that is
    /// none at all or more than there may be, or if one of them leads to Envoy's admin interface. The default backend is the same
    /// where it is there and not draining, else the one that it would be had none been named.
    pub(crate) fn with_backends(&self, backends: Vec<Backend>) -> Option<Self> {
        if !backends.is_sorted_by(|a, b| a.id < b.id)
            || backends.len() > read::MOST_BACKENDS
            || backends.iter().any(|backend| self.is_admin(&backend.cluster))
        {
            return None;
        }
        let named = self.backends.get(self.default_backend.get()).map(|backend| &backend.id);
        let named = backends.iter().position(|backend| Some(&backend.id) == named && !backend.draining);
        let default_backend = BackendIndex(u16::try_from(named.or_else(|| read::first(&backends))?).ok()?);
        Some(Self { default_backend, backends, ..self.clone() })
    }

    /// Whether a cluster leads to Envoy's admin interface: no request may go there.
    pub(crate) fn is_admin(&self, cluster: &str) -> bool {
        self.envoy_admin.as_ref().is_some_and(|admin| *admin.cluster == *cluster)
    }
}
