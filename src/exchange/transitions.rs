//! Tells of breakers that opened or closed: each change once, by the worker that made it.

use super::Router;
use crate::config::LogLevel;
use crate::domain::BackendIndex;
use crate::health::{BreakerPhase, Transition};
use crate::host::Host;
use crate::metrics::Metric;
use crate::state::{Place, View};

impl Router {
    /// Counts and logs the changes of state that this worker wrote. Most of the time there are none.
    pub(crate) fn announce(&self, view: &mut View, host: &impl Host) {
        for (place, transition) in view.take_transitions() {
            // One of a configuration that is gone has no name any more.
            let Some(index) = self.index_of(place) else { continue };
            let Transition { from, to, reason } = transition;
            host.record(Metric::BreakerTransitions { backend: index, state: to, reason }, 1);
            let level = if to == BreakerPhase::Open { LogLevel::Warn } else { LogLevel::Info };
            let fields = [
                ("event", "circuit_breaker".to_owned()),
                ("backend", self.backend(index).map_or("", |backend| &backend.id).to_owned()),
                ("from", from.name().to_owned()),
                ("to", to.name().to_owned()),
                ("reason", reason.name().to_owned()),
            ];
            host.log(level, &crate::logging::line(self.config().logging.format, &fields));
        }
    }

    fn index_of(&self, place: Place) -> Option<BackendIndex> {
        (0..).map(BackendIndex).take(self.config().backends.len()).find(|&index| self.place(index) == Some(place))
    }
}
