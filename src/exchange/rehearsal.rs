//! What would become of a request, were it sent now: the decision without any of its consequences.

use super::intake::Intake;
use super::purse::{Binding, Customer};
use super::request::{Read, read};
use super::router::refuse;
use super::turns::{SharedTurns, Turnstile};
use super::{Context, Refusal, Router};
use crate::cost::{Estimate, estimate};
use crate::domain::{RequestFacts, Rng, SplitMix64, Timestamp, Tokens};
use crate::host::Host;
use crate::routing::{Ask, Attempts, Exclusion, Fleet, Strategy, Terms, assess, plan};

/// A decision that was not made.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    /// What the body says.
    pub(crate) facts: RequestFacts,
    /// The estimate of its text, before any backend's calibration.
    pub(crate) text: Tokens,
    /// Whether that comes from its text rather than from its size.
    pub(crate) understood: bool,
    /// How the backend would be chosen.
    pub(crate) strategy: Strategy,
    /// Of every backend, in the order of the configuration: what it would take there, and whether it may serve it.
    pub(crate) backends: Vec<(Estimate, Result<Terms, Exclusion>)>,
    /// Where it would be tried, in order.
    pub(crate) decision: Result<Attempts, Refusal>,
}

impl<H: Host> Context<'_, H> {
    /// What would be decided of a request for `path` with these headers and this body. Nothing is changed: nobody is
    /// counted in, no probe is taken, no turn, no chance that the next request would have had.
    ///
    /// # Errors
    ///
    /// A body that cannot be read, also where a client's would still be routed by its size: who asks what would become
    /// of a request wants to know that.
    pub(crate) fn rehearse(
        &self,
        path: &[u8],
        headers: &[(String, Vec<u8>)],
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Rehearsal, Refusal> {
        let config = self.router.config();
        let intake = Intake::rehearsed(config.client_hints, path, headers);
        let Read { facts, text, understood, fault } = read(&intake, Some(body), config.body_limit_bytes)?;
        if let Some(fault) = fault {
            return Err(Refusal::invalid(&fault));
        }
        let strategy = intake.strategy.unwrap_or(self.router.strategy());
        let (min_quality, panic_threshold) = (intake.min_quality, config.panic_threshold);
        let ask = Ask { facts: &facts, text, strategy, min_quality, panic_threshold, means: &[] };
        let customer = Customer { tenant: config.cost.tenant(intake.tenant.as_deref()), pays: true };
        let means = self.means(&ask, customer, Binding::All, now);
        let ask = Ask { means: &means, ..ask };
        let fleet = Fleet { backends: &config.backends, places: &self.router.places, view: self.view };
        let look = |(index, backend, record)| {
            (estimate(backend, record, &facts, text), assess(index, backend, record, &ask, now))
        };
        let backends = fleet.iter().map(look).collect();
        // As in a decision: one stream of chance for luck, one for turns.
        let mut rng = self.router.rng.clone();
        let mut luck = SplitMix64::new(rng.next_u64());
        let store = Turnstile { host: self.host, rehearses: true };
        let Router { cursor, smooth, places, .. } = &*self.router;
        let mut turns = SharedTurns { store, cursor, smooth, places: places.len(), rng: &mut rng };
        let wanted = usize::from(config.retry.max_attempts);
        let decision = plan(&fleet, &ask, wanted, now, &mut luck, &mut turns).map_err(|nobody| refuse(nobody, now));
        Ok(Rehearsal { facts, text, understood, strategy, backends, decision })
    }
}
