//! What operators change while a configuration is at work.

use std::sync::Arc;

use super::Router;
use crate::config::Strategy;
use crate::domain::Rng;
use crate::state::{Store, View};
use crate::steering::Steering;

impl Router {
    /// How the backend is chosen, unless the client may say so and does.
    pub(crate) const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// What is configured, and what operators changed.
    pub(crate) const fn steering(&self) -> &Steering {
        &self.steering
    }

    /// The paths of the changes that the configuration ended: known to the one VM that ended them.
    pub fn ended(&self) -> &[String] {
        self.steering.ended()
    }

    /// Takes what operators changed. To be called at every tick, and after a call that may have changed something.
    ///
    /// Another strategy is at work at once. Other backends are a matter of another router, which is returned: for what
    /// is not decided yet. This one goes on with what it has decided.
    pub fn follow(&mut self, view: &mut View, store: &impl Store) -> Option<Self> {
        let steering = self.steering.news(store)?;
        self.strategy = steering.strategy();
        let config = steering.config();
        // All else is as configured.
        if config.backends == self.config.backends && config.default_backend == self.config.default_backend {
            self.steering = steering;
            return None;
        }
        // Where that fails it is tried again at the next tick: this router has not taken the news.
        Self::steered(Arc::new(config), steering, view, store, self.rng.next_u64()).ok()
    }
}
