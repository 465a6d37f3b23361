//! What would become of a request, were it sent now: the decision without any of its consequences.

use std::cell::OnceCell;

use super::decision::{Finding, findings};
use super::intake::Intake;
use super::purse::{Binding, Customer};
use super::request::{Petition, Read, read};
use super::router::refuse;
use super::turns::{SharedTurns, Turnstile};
use super::{Context, Refusal, Router};
use crate::config::Queue;
use crate::domain::{Api, PerMille, RequestFacts, Rng, SplitMix64, Timestamp, Tokens, Vendor};
use crate::host::Host;
use crate::metrics::Method;
use crate::routing::{Ask, Attempts, Fleet, Nobody, Peers, Strategy, plan};
use crate::state::{Backends, WaitingList};

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
    /// Every backend, in the order of the configuration.
    pub(crate) findings: Vec<Finding>,
    /// What would become of it.
    pub(crate) fate: Fate,
}

/// What would become of a request.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It would be tried there, in order.
    Goes(Attempts),
    /// It would wait for a place, as others do already.
    Waits {
        /// How many.
        depth: usize,
        /// By whose rules.
        queue: Queue,
    },
    /// Nobody may serve it.
    Refused(Refusal),
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
        let trusted = config.cost.tenant_header.as_deref();
        let trusted = headers.iter().rev().find(|(name, _)| trusted == Some(name)).map(|(_, value)| value.as_slice());
        let petition = Petition {
            request_id: Vec::new(),
            facts,
            vendor: intake.vendor,
            text,
            understood,
            whole: true,
            uploads: false,
            sent: 0,
            wishes: intake.wishes,
            method: Method::Post,
            tunnel: intake.tunnel,
            tenant: trusted.map(<[u8]>::to_vec).or(intake.tenant),
        };
        let ask = petition.ask(self.router, self.reserved(now));
        let (customer, strategy) = (petition.customer(self.router), ask.strategy);
        let findings = self.findings(&ask, customer, now);
        let fate = match self.imagined(&ask, customer, now) {
            Ok(attempts) => Fate::Goes(attempts),
            Err(nobody) if self.may_wait(&petition, now) => self.imagined_wait(nobody, now),
            Err(nobody) => Fate::Refused(self.refuse(nobody, &ask, now)),
        };
        Ok(Rehearsal { facts: petition.facts, text, understood, strategy, findings, fate })
    }

    /// What becomes of a request that may wait, if there is room among those who do.
    fn imagined_wait(&self, nobody: Nobody, now: Timestamp) -> Fate {
        match (self.router.config().queue, WaitingList::read(self.host, now)) {
            (Some(queue), Ok(list)) if list.tickets().len() < queue.size => {
                Fate::Waits { depth: list.tickets().len(), queue }
            }
            (Some(_), Ok(list)) => Fate::Refused(Refusal::queue_full(list.longest_wait(now))),
            _ => Fate::Refused(refuse(nobody, now)),
        }
    }

    /// Where a request of that API and of so many tokens would go.
    pub(crate) fn rehearse_one(&self, api: Api, text: Tokens, now: Timestamp) -> Option<Attempts> {
        let config = self.router.config();
        let facts = RequestFacts { api, ..RequestFacts::default() };
        let (strategy, panic_threshold) = (self.router.strategy(), config.panic_threshold);
        let ask = Ask {
            facts: &facts,
            need: self.router.need(facts.api, Vendor::Usual),
            text,
            strategy,
            min_quality: None,
            panic_threshold,
            means: &[],
            reserved: Backends::NONE,
            peers: Peers::NONE,
            exploration: PerMille::new(0),
            source: None,
        };
        let customer = Customer { tenant: config.cost.tenant(None), pays: true, free: false };
        self.imagined(&ask, customer, now).ok()
    }

    /// What can be said of each backend now.
    #[inline(never)]
    pub(super) fn findings(&self, ask: &Ask<'_>, customer: Customer, now: Timestamp) -> Vec<Finding> {
        let pooled = OnceCell::new();
        let ask = Ask { peers: self.peers(&pooled, now), ..*ask };
        let means = self.means(&ask, customer, Binding::All, now);
        findings(&self.fleet(), &Ask { means: &means, ..ask }, now)
    }

    pub(super) fn fleet(&self) -> Fleet<'_> {
        self.router.fleet(self.view)
    }

    /// The decision that the next request would get, of which nothing remains.
    fn imagined(&self, ask: &Ask<'_>, customer: Customer, now: Timestamp) -> Result<Attempts, Nobody> {
        // As in a decision: one stream of chance for luck, one for turns.
        let mut rng = self.router.rng.clone();
        let mut luck = SplitMix64::new(rng.next_u64());
        let store = Turnstile { host: self.host, rehearses: true };
        let Router { cursor, smooth, places, .. } = &*self.router;
        let mut turns = SharedTurns { store, cursor, smooth, places: places.len(), rng: &mut rng };
        let wanted = usize::from(self.router.config().retry.max_attempts);
        let fleet = self.fleet();
        let (mut binding, pooled) = (Binding::All, OnceCell::new());
        let mut ask = Ask { peers: self.peers(&pooled, now), ..*ask };
        loop {
            let means = self.means(&ask, customer, binding, now);
            match plan(&fleet, &Ask { means: &means, ..ask }, wanted, now, &mut luck, &mut turns) {
                Err(nobody) if binding == Binding::All && self.overdraws(&nobody) => {
                    (binding, ask.exploration) = (Binding::Backend, PerMille::new(0));
                }
                decision => return decision,
            }
        }
    }
}
