//! The strategy at work: the configuration's, unless an operator chose another one.
//!
//! A choice is shared data, which each worker looks at with every tick. It names the configured strategy that it stands
//! in for, and holds only as long as that is configured: a configuration that changes its strategy is the later word,
//! and ends it; one that changes anything else does not.

use super::Router;
use crate::config::{Config, Strategy};
use crate::state::{Store, StoreError, update};

const KEY: &str = "llm-router/1/strategy";

impl Router {
    /// How the backend is chosen, unless the client may say so and does.
    pub(crate) const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Takes the choice that another worker may have been told of. To be called at every tick.
    pub fn follow(&mut self, store: &impl Store) {
        if let Ok(Some((bytes, _))) = store.get(KEY) {
            self.strategy = chosen(&bytes, self.config()).unwrap_or(self.config().strategy);
        }
    }

    /// Chooses a strategy for all workers; the configured one ends any choice.
    pub(crate) fn choose(&mut self, store: &impl Store, strategy: Strategy) -> Result<(), StoreError> {
        let configured = self.config().strategy;
        let choice =
            if strategy == configured { String::new() } else { format!("{} {}", strategy.name(), configured.name()) };
        update(store, KEY, |_| (Some(choice.clone().into_bytes()), ()))?;
        self.strategy = strategy;
        Ok(())
    }
}

/// What a new configuration begins with. Ends a choice that it overrules.
pub(super) fn begin(config: &Config, store: &impl Store) -> Result<Strategy, StoreError> {
    update(store, KEY, |bytes| match bytes.and_then(|bytes| chosen(bytes, config)) {
        Some(strategy) => (None, strategy),
        None if bytes.is_some_and(<[u8]>::is_empty) => (None, config.strategy),
        None => (Some(Vec::new()), config.strategy),
    })
}

/// The choice, if there is one that stands in for this configuration's strategy.
fn chosen(bytes: &[u8], config: &Config) -> Option<Strategy> {
    let (choice, configured) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    (configured == config.strategy.name()).then(|| Strategy::from_name(choice)).flatten()
}
