//! What an exchange tells the records of its backends: a body under way, quotas, who was served, how attempts ended.

use super::Context;
use super::router::{Held, Route};
use crate::domain::{BackendIndex, QuotaReport, Timestamp, Tokens};
use crate::health::{Ended, Source, Verdict};
use crate::host::{Host, Property};
use crate::routing::{Attempts, MAX_ATTEMPTS};
use crate::state::{Leaving, Notice, Outcome, Reservation, Signal, UploadId};

impl<H: Host> Context<'_, H> {
    /// A request leaves before its body is there: what it has is given back while that does not flow.
    pub(super) fn begin_upload(
        &mut self,
        held: Option<&Held>,
        reservation: Option<Reservation>,
        now: Timestamp,
    ) -> UploadId {
        let held = held.and_then(|held| Some((self.router.place(held.backend)?, held.tokens, held.pass)));
        self.view.begin_upload(held, reservation, now)
    }

    /// So many bytes more of a request pass by.
    pub(super) fn upload_passes(&mut self, route: &Route, bytes: u64) {
        if let Some(upload) = route.upload {
            self.view.upload_passes(upload, bytes);
        }
    }

    /// A request has what it had before again, however its body flows.
    pub(super) fn end_upload(&mut self, route: &mut Route) {
        let Some(upload) = route.upload.take() else { return };
        let (reservation, is_spared) = self.view.end_upload(upload);
        if let Some(reservation) = reservation {
            route.reservation = Some(Box::new(reservation));
        }
        if let Some(held) = route.held.as_mut().filter(|_| is_spared) {
            held.pass.probe = false;
        }
    }

    /// What has ended so far at each of the backends that a request may go to.
    pub(super) fn ended(&self, attempts: &Attempts) -> [Ended; MAX_ATTEMPTS] {
        let mut ended = [Ended::default(); MAX_ATTEMPTS];
        for (ended, &index) in ended.iter_mut().zip(attempts.as_slice()) {
            if let Some(place) = self.router.place(index) {
                *ended = self.view.record(place).quota.ended();
            }
        }
        ended
    }

    /// Takes note of what an answer's headers say of its backend's quota.
    pub(super) fn notice(
        &mut self,
        index: BackendIndex,
        held: Option<&mut Held>,
        route: &Route,
        report: QuotaReport,
        signal: Signal,
    ) {
        let Some(place) = self.router.place(index) else { return };
        let load = self.view.record(place).load();
        let crowd = (load.requests > 1).then_some(load.tokens);
        let at = self.host.now();
        let tokens = held.as_ref().map_or_else(Default::default, |held| held.tokens);
        let (departed, departed_after) = (route.departed, route.departed_after(index));
        let notice = Notice { at, departed, departed_after, tokens, report, signal, crowd };
        let counted = held.filter(|_| report.has_allowance()).map(|held| {
            held.reported = true;
            held.tokens
        });
        if let Err(error) = self.view.notice(self.host, place, counted, &notice) {
            self.note(error);
        }
    }

    /// The tokens of a request that ends, if its backend is nearly as full as it may be.
    pub(super) fn at_capacity(&self, held: &Held, now: Timestamp) -> Option<Tokens> {
        let record = self.view.record(self.router.place(held.backend)?);
        let is_known = record.capacity.tokens(now).is_some();
        let is_nearly_full = || record.capacity.is_nearly_full(record.load().tokens, held.tokens, now);
        (is_known && is_nearly_full()).then_some(held.tokens)
    }

    /// Whose request it is, if the end of it makes that worth a look.
    pub(super) fn source(
        &self,
        index: BackendIndex,
        tenant: Option<&[u8]>,
        verdict: Verdict,
        now: Timestamp,
    ) -> Option<Source> {
        let asks = match verdict {
            Verdict::Well => {
                let place = self.router.place(index)?;
                self.view.record(place).breaker.asks_who(now)
            }
            Verdict::Slow | Verdict::Ill(_) | Verdict::Misfit(_) => true,
            Verdict::Unknown => false,
        };
        if asks { self.sender(tenant) } else { None }
    }

    /// Who sends a request, if a breaker that is not closed wants to know.
    pub(super) fn prober(&self, tenant: Option<&[u8]>) -> Option<Source> {
        let chooses = self.fleet().iter().any(|(_, _, record)| record.breaker.chooses_probes());
        if chooses { self.sender(tenant) } else { None }
    }

    /// Who sends a request.
    pub(super) fn sender(&self, tenant: Option<&[u8]>) -> Option<Source> {
        // A name that clients give themselves would be another source with each request.
        let tenant = tenant.filter(|_| !self.router.config().client_hints.tenant);
        let by_address = || self.host.property(Property::SourceAddress).map(|address| Source::of_address(&address));
        tenant.map(Source::of_tenant).or_else(by_address)
    }

    /// Whether a backend other than this one is known to have served that source.
    pub(super) fn is_served_elsewhere(&self, index: BackendIndex, source: Source, now: Timestamp) -> bool {
        let mut others = self.router.places().filter(|&(other, ..)| other != index);
        others.any(|(.., place)| self.view.record(place).breaker.has_served(source, now))
    }

    /// The first content of an answer is there. Where the breaker waits for that, all workers are told at once.
    pub(super) fn begin(&mut self, held: &mut Held, slow: bool, now: Timestamp) {
        let Some((backend, place)) = self.router.backend(held.backend).zip(self.router.place(held.backend)) else {
            return;
        };
        let Some(settings) = backend.breaker else { return };
        let mut pass = held.pass;
        let begun = self.view.change(self.host, place, now, |record| {
            pass = record.breaker.begin(held.pass, slow, &settings, now);
        });
        match begun {
            Ok(()) => held.pass = pass,
            Err(error) => self.note(error),
        }
        self.router.announce(self.view, self.host);
    }

    /// Whether [`begin`](Self::begin) would change anything.
    pub(super) fn awaits(&self, held: &Held) -> bool {
        self.router.place(held.backend).is_some_and(|place| self.view.record(place).breaker.awaits(held.pass))
    }

    /// Lets a backend learn from an attempt, and counts it out where it was counted in.
    pub(super) fn learn(&mut self, index: BackendIndex, held: Option<Held>, outcome: &Outcome) {
        let Some(place) = self.router.place(index) else { return };
        let learned = match held {
            Some(Held { tokens, reported, awaited, .. }) => {
                let leaving = Leaving { tokens, reported, at_once: awaited };
                self.view.leave(self.host, place, leaving, outcome)
            }
            None => self.view.learn(self.host, place, outcome, false),
        };
        if let Err(error) = learned {
            self.note(error);
        }
        self.router.announce(self.view, self.host);
    }
}
