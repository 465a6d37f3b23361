//! A configuration at work: it decides, and counts in.

use std::cell::OnceCell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::decision::{Finding, Trace, findings};
use super::intake::Tunnel;
use super::misrouting::RouteCheck;
use super::purse::{Binding, Customer};
use super::turns::{SharedTurns, Turnstile};
use super::{Context, Refusal, RefusalCode};
use crate::config::Config;
use crate::domain::{
    Api, ApiNeed, ApiSet, Backend, BackendIndex, Fnv, PerMille, RequestFacts, Rng, SplitMix64, Timestamp, Tokens,
    Vendor,
};
use crate::health::{BreakerPhase, Ended, Pass};
use crate::host::Host;
use crate::learning::Pooled;
use crate::metrics::{Internal, Method, Metric};
use crate::protocol::Measure;
use crate::routing::{Ask, Attempts, Fleet, MAX_ATTEMPTS, Nobody, Peers, Strategy, admits, confidence, limits, plan};
use crate::routing::{Estimate, estimate};
use crate::state::{
    Backends, Cursor, Place, Record, Reservation, Smooth, Store, StoreError, UploadId, View, WaitingList,
    create_warnings,
};
use crate::steering::Steering;

/// Of so many decisions one is timed: to look at the clock twice and note the difference takes 0.2 us.
const TIMED: u32 = 16;

/// A configuration with all it needs to decide.
#[derive(Debug)]
pub struct Router {
    pub(super) config: Arc<Config>,
    pub(super) steering: Steering,
    pub(super) strategy: Strategy,
    pub(super) places: Vec<Place>,
    pub(super) cursor: Cursor,
    pub(super) smooth: Smooth,
    pub(super) rng: SplitMix64,
    /// Whether anything is to be counted against a budget or a rate.
    pub(super) limited: bool,
    /// Decisions so far, round and round.
    decisions: u32,
    /// Tells what Envoy gave from any other configuration.
    pub(super) configuration: u64,
    pub(super) route_check: RouteCheck,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) trace: Trace,
    pub(super) facts: RequestFacts,
    pub(super) method: Method,
    pub(super) strategy: Strategy,
    pub(super) attempts: Attempts,
    /// How sure the choice of the first is, where that is shown.
    pub(super) confidence: PerMille,
    /// How long Envoy lets each attempt wait for its answer to begin, where that is configured.
    pub(super) timeout: Option<Duration>,
    /// The estimate of its text, before any backend's calibration.
    pub(super) text: Tokens,
    /// Whether its body was read, rather than measured.
    pub(super) understood: bool,
    /// By what it is measured if not.
    pub(super) measure: Measure,
    /// Whether the client has sent all of it.
    pub(super) asked: bool,
    /// Whether the client had done so when it was decided: otherwise part of the wait is for the client.
    pub(super) whole: bool,
    /// Bytes of its body that were let go so far.
    pub(super) sent: u64,
    /// Whether it asked for a tunnel.
    pub(super) tunnel: Tunnel,
    /// As long as more of its body is to come, and no answer has begun.
    pub(super) upload: Option<UploadId>,
    /// When it was decided.
    pub(super) departed: Timestamp,
    /// What the quota of each planned backend knew to have ended by then. Those that Envoy goes to later departed later,
    /// so no less had ended: that is as safe, and nearly as good.
    pub(super) departed_after: [Ended; MAX_ATTEMPTS],
    /// Where it is counted as in flight, if it could be.
    pub(super) held: Option<Held>,
    pub(super) customer: Customer,
    /// Who it is for, by name, where the operator lets that be said.
    pub(super) tenant: Option<Vec<u8>>,
    /// What is reserved for it, where anything is limited.
    pub(super) reservation: Option<Box<Reservation>>,
}

/// A place in a backend's count of requests in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) backend: BackendIndex,
    pub(super) pass: Pass,
    /// What it was expected to take.
    pub(super) tokens: Tokens,
    /// Whether its provider's figures know of it.
    pub(super) reported: bool,
    /// Whether others wait for it, so that they must be told at once when it is free again.
    pub(super) awaited: bool,
}

/// Where a request is counted as in flight, if it could be, and what is reserved for it, where anything is limited.
type Admission = (Option<Held>, Option<Reservation>);

impl Route {
    /// What it asked for.
    pub(super) const fn ask(&self) -> Ask<'_> {
        Ask {
            facts: &self.facts,
            // It was decided already.
            need: ApiNeed::NONE,
            text: self.text,
            strategy: self.strategy,
            min_quality: None,
            panic_threshold: PerMille::ONE,
            means: &[],
            reserved: Backends::NONE,
            peers: Peers::NONE,
            exploration: PerMille::new(0),
            source: None,
        }
    }

    /// What the quota of one of the planned backends knew to have ended when the request was decided.
    pub(super) fn departed_after(&self, index: BackendIndex) -> Option<Ended> {
        let planned = self.attempts.as_slice().iter().zip(self.departed_after);
        planned.into_iter().find_map(|(&backend, ended)| (backend == index).then_some(ended))
    }
}

impl Router {
    /// Puts a configuration to work, as operators changed it: creates what it shares with other workers, where that is
    /// missing. `seed` is used unless the configuration has one.
    pub fn new(configured: Arc<Config>, view: &mut View, store: &impl Store, seed: u64) -> Result<Self, StoreError> {
        let seed = configured.seed.unwrap_or(seed);
        let steering = Steering::begin(Arc::clone(&configured), store)?;
        let config = steering.config();
        let config = if config == *configured { configured } else { Arc::new(config) };
        Self::steered(config, steering, view, store, seed)
    }

    /// Puts to work what is in effect.
    pub(super) fn steered(
        config: Arc<Config>,
        steering: Steering,
        view: &mut View,
        store: &impl Store,
        seed: u64,
    ) -> Result<Self, StoreError> {
        let places = config.backends.iter().map(|b| view.place(store, &b.id)).collect::<Result<_, _>>()?;
        let (cursor, smooth) = (Cursor::default(), Smooth::new(fingerprint(&config.backends)));
        cursor.create(store)?;
        smooth.create(store)?;
        let strategy = steering.strategy();
        if config.queue.is_some() {
            WaitingList::create(store)?;
        }
        let limited = config.is_limited();
        if limited {
            view.open_books(store)?;
        }
        create_warnings(store)?;
        let (configuration, route_check) = (steering.fingerprint(), RouteCheck::default());
        let rng = SplitMix64::new(seed);
        Ok(Self {
            config,
            steering,
            strategy,
            places,
            cursor,
            smooth,
            rng,
            limited,
            decisions: 0,
            configuration,
            route_check,
        })
    }

    /// Whether the next decision is one of those that are timed: the first, and every sixteenth from there on.
    pub(super) const fn times_this_one(&mut self) -> bool {
        self.decisions = self.decisions.wrapping_add(1);
        self.decisions % TIMED == 1
    }

    /// What is in effect.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What a request of this API needs of a backend here.
    pub(super) fn need(&self, api: Api, vendor: Vendor) -> ApiNeed {
        ApiNeed::of(api, vendor, &self.config.backends.iter().map(|backend| backend.apis))
    }

    /// Where a request goes that cannot be decided: the default backend, unless that does not speak its API.
    fn last_resort(&self, ask: &Ask<'_>) -> BackendIndex {
        let backends = self.config.backends.iter().zip(0..).filter(|(backend, _)| ask.is_spoken_by(backend));
        let default = self.config.default_backend;
        let order = |&(backend, n): &(&Backend, u16)| (BackendIndex(n) != default, backend.draining, backend.priority);
        backends.min_by_key(order).map_or(default, |(_, n)| BackendIndex(n))
    }

    /// A backend of this configuration.
    pub(super) fn backend(&self, index: BackendIndex) -> Option<&Backend> {
        self.config.backends.get(index.get())
    }

    /// Where a backend's record lies.
    pub(super) fn place(&self, index: BackendIndex) -> Option<Place> {
        self.places.get(index.get()).copied()
    }

    /// What a request is expected to take at one of the backends.
    pub(super) fn estimate(&self, view: &View, route: &Route, index: BackendIndex) -> Estimate {
        let Some((backend, place)) = self.backend(index).zip(self.place(index)) else { return Estimate::default() };
        let (fleet, pooled) = (self.fleet(view), OnceCell::new());
        let peers = Peers::new(fleet, route.departed, &pooled);
        estimate(backend, view.record(place), &route.facts, route.text, peers)
    }

    /// The backends, each with what this VM knows of it.
    pub(super) fn fleet<'a>(&'a self, view: &'a View) -> Fleet<'a> {
        Fleet { backends: &self.config.backends, places: &self.places, view }
    }

    /// How long an attempt may wait for its answer to begin. Envoy takes one figure for all attempts of a request, so it
    /// is that of the most patient: a short one would cut the answers of those that may take longer.
    pub(super) fn timeout(&self, attempts: &Attempts) -> Option<Duration> {
        attempts.as_slice().iter().filter_map(|&index| self.backend(index)?.timeout).max()
    }

    /// The fingerprint of what Envoy gave, which tells it from any other configuration.
    pub fn configuration(&self) -> u64 {
        self.configuration
    }

    /// Every backend with where its record lies.
    pub(crate) fn places(&self) -> impl Iterator<Item = (BackendIndex, &Backend, Place)> {
        let backends = self.config.backends.iter().zip(&self.places);
        backends.zip(0..).map(|((backend, &place), n)| (BackendIndex(n), backend, place))
    }
}

impl<H: Host> Context<'_, H> {
    /// Decides, and counts the request in where it goes first. A decision is made on this VM's view; whether it holds
    /// is asked of the record itself, so that limits and breakers are exact over all workers.
    /// Into `found` goes what the decision was made on, if somebody wants to know.
    pub(super) fn decide(
        &mut self,
        ask: &Ask<'_>,
        customer: Customer,
        now: Timestamp,
        mut found: Option<&mut Vec<Finding>>,
    ) -> Result<(Attempts, Option<Held>, Option<Reservation>), Refusal> {
        let wanted = usize::from(self.router.config.retry.max_attempts);
        let (mut binding, pooled) = (Binding::All, OnceCell::new());
        // What is explored is tried once: a request that found no room there goes where it would have gone.
        let mut exploration = ask.exploration;
        // A backend that turns out to have no room, or to be ill, is known to be so at the next try. So is a budget that
        // turns out to be used up; then others may bind; and at last there is nobody left.
        for _ in 0..self.router.config.backends.len() + 4 {
            let means = self.means(&Ask { peers: self.peers(&pooled, now), ..*ask }, customer, binding, now);
            let Router { config, places, cursor, smooth, rng, .. } = &mut *self.router;
            let fleet = Fleet { backends: &config.backends, places, view: self.view };
            let peers = Peers::new(fleet, now, &pooled);
            let planned = &Ask { means: &means, peers, exploration, ..*ask };
            if let Some(found) = &mut found {
                **found = findings(&fleet, planned, now);
            }
            // Two streams of chance: turns need their own, for when shared data fails them.
            let mut luck = SplitMix64::new(rng.next_u64());
            let store = Turnstile { host: self.host, rehearses: false };
            let mut turns = SharedTurns { store, cursor, smooth, places: places.len(), rng };
            let attempts = match plan(&fleet, planned, wanted, now, &mut luck, &mut turns) {
                Ok(attempts) => attempts,
                Err(nobody) if binding == Binding::All && self.overdraws(&nobody) => {
                    (binding, exploration) = (Binding::Backend, PerMille::new(0));
                    continue;
                }
                Err(nobody) => return Err(self.refuse(nobody, ask, now)),
            };
            if ask.is_free() {
                // It takes nobody's place, and leaves no trace.
                return Ok((attempts, None, None));
            }
            exploration = PerMille::new(0);
            let ask = &Ask { means: &means, peers: Peers::found(&pooled), ..*ask };
            if let Some((held, reservation)) =
                self.admit(attempts.first(), attempts.is_forced(), ask, (customer, binding), now)?
            {
                if attempts.explores().is_some() {
                    self.host.record(Metric::Explorations(attempts.first()), 1);
                }
                return Ok((attempts, held, reservation));
            }
        }
        // Others were faster each time. The default backend may be ill, but no limit is gone beyond.
        self.host.record(Metric::InternalErrors(Internal::Undecided), 1);
        let default = self.router.last_resort(ask);
        let ask = &Ask { peers: Peers::found(&pooled), ..*ask };
        match self.admit(default, true, ask, (customer, binding), now)? {
            Some((held, reservation)) => Ok((Attempts::only(default), held, reservation)),
            None => Err(refuse(Nobody::has_room(now), now)),
        }
    }

    /// What a client is told whom no backend may serve.
    pub(super) fn refuse(&self, nobody: Nobody, ask: &Ask<'_>, now: Timestamp) -> Refusal {
        if nobody.unspoken {
            let backends = self.router.config().backends.iter();
            let spoken = backends.fold(ApiSet::NONE, |all, backend| all.with(backend.apis));
            return Refusal::api_not_supported(ask.facts.api, spoken);
        }
        refuse(nobody, now)
    }

    /// Reserves what a request may cost and counts it in, or neither, if others were faster.
    fn admit(
        &mut self,
        index: BackendIndex,
        forced: bool,
        ask: &Ask<'_>,
        (customer, binding): (Customer, Binding),
        now: Timestamp,
    ) -> Result<Option<Admission>, Refusal> {
        let Ok(reservation) = self.reserve(index, ask, customer, binding, now)? else { return Ok(None) };
        Ok(match self.enter(index, forced, ask, now) {
            Ok(Some(held)) => Some((Some(held), reservation)),
            Ok(None) => {
                self.give_back(reservation, now);
                None
            }
            Err(error) => {
                self.note(error);
                Some((None, reservation))
            }
        })
    }

    /// Counts a request in, if there is room and, unless it is `forced`, the breaker lets it.
    fn enter(
        &mut self,
        index: BackendIndex,
        forced: bool,
        ask: &Ask<'_>,
        now: Timestamp,
    ) -> Result<Option<Held>, StoreError> {
        let Some((backend, place)) = self.router.backend(index).zip(self.router.place(index)) else {
            return Ok(None);
        };
        let (record, none) = (self.view.record(place), OnceCell::new());
        let pooled = ask.peers.cell().unwrap_or(&none);
        let tokens = Ask { peers: self.peers(pooled, now), ..*ask }.known_tokens(backend, record);
        if !is_awaited(backend, record, ask.strategy, tokens, now) {
            return Ok(self.count_in(index, place, tokens));
        }
        let entered = self.view.enter(self.host, place, now, tokens, |record| {
            let unasked = record.breaker.unasked();
            if forced {
                return limits(backend, record, ask, now).map(|_| unasked).map_err(drop);
            }
            admits(backend, record, ask, now).map_err(drop)?;
            if let Some(breaker) = &backend.breaker {
                record.setup.tried(breaker.misconfigured_threshold, breaker.recovery_timeout, now);
            }
            backend
                .breaker
                .map_or(Ok(unasked), |breaker| record.breaker.enter_as(ask.source, &breaker, tokens, now).map_err(drop))
        })?;
        self.router.announce(self.view, self.host);
        let held = |pass| Held { backend: index, pass, tokens, reported: false, awaited: true };
        Ok(entered.ok().map(held))
    }

    /// Counts a request in without asking: nobody waits for the place, or Envoy has sent it there already.
    pub(super) fn enter_unasked(&mut self, index: BackendIndex, facts: &RequestFacts, text: Tokens) -> Option<Held> {
        let (backend, place) = self.router.backend(index).zip(self.router.place(index))?;
        let pooled = OnceCell::new();
        let peers = self.peers(&pooled, self.host.now());
        let Tokens(tokens) = estimate(backend, self.view.record(place), facts, text, peers).tokens();
        self.count_in(index, place, Tokens(tokens.saturating_sub(facts.guessed_tokens.0)))
    }

    /// How sure the first of these attempts is.
    #[inline(never)]
    pub(crate) fn confidence(&self, attempts: &Attempts, strategy: Strategy, now: Timestamp) -> PerMille {
        confidence(&self.fleet(), attempts, strategy, now)
    }

    /// Whom a backend borrows from that has not measured a request; the cell is that request's.
    pub(super) fn peers<'a>(&'a self, pooled: &'a OnceCell<Pooled>, now: Timestamp) -> Peers<'a> {
        Peers::new(self.fleet(), now, pooled)
    }

    /// How long an answer was expected to be at a backend that knows too little of such requests to say so by itself.
    pub(super) fn expected_length(&self, route: &Route, index: BackendIndex) -> Option<Tokens> {
        let (facts, pooled, now) = (&route.facts, OnceCell::new(), self.host.now());
        let record = self.view.record(self.router.place(index)?);
        let (prompt, age) = (facts.prompt_tokens(route.text), now.since(record.last_answer));
        let knows = record.lengths.known(facts.model_tag(), prompt, age).is_some();
        (!knows).then(|| self.peers(&pooled, now).expect(record, facts, route.text).output)
    }

    fn count_in(&mut self, index: BackendIndex, place: Place, tokens: Tokens) -> Option<Held> {
        let pass = self.view.enter_unasked(place, tokens)?;
        Some(Held { backend: index, pass, tokens, reported: false, awaited: false })
    }

    pub(super) fn note(&self, _: StoreError) {
        self.host.record(Metric::InternalErrors(Internal::SharedData), 1);
    }
}

/// Whether other workers must know of this request of so many tokens at once: because places are few, because it is a
/// probe, because the strategy compares how busy backends are, or because the quota runs low. A backend of which this
/// worker has heard nothing may have told another one of its quota a moment ago.
fn is_awaited(backend: &Backend, record: &Record, strategy: Strategy, tokens: Tokens, now: Timestamp) -> bool {
    backend.max_concurrent_requests.is_some()
        || (backend.breaker.is_some() && record.breaker.phase != BreakerPhase::Closed)
        || matches!(strategy, Strategy::LeastConnections | Strategy::PerformanceBased)
        || record.is_misconfigured(backend)
        || record.window.is_empty()
        || record.capacity.tokens(now).is_some()
        || (record.quota.is_known(now) && record.quota.is_tight(&record.demand(tokens), now))
}

/// Tells sets of backends and their weights apart (FNV-1a): credit of one scale is worth nothing in another.
fn fingerprint(backends: &[Backend]) -> u64 {
    let mut fnv = Fnv::default();
    for backend in backends {
        (&backend.id, backend.weight).hash(&mut fnv);
    }
    fnv.finish()
}

/// What a client is told: of want of room and want of money the one that may be over first, and when anybody may be
/// asked again.
pub(super) fn refuse(nobody: Nobody, now: Timestamp) -> Refusal {
    let (code, message) = match (nobody.at_limit, nobody.over_budget) {
        (Some(room), money) if money.is_none_or(|money| room <= money) => {
            (RefusalCode::RateLimited, "every backend that could serve this request has as much to do as it may have")
        }
        (_, Some(_)) => (RefusalCode::BudgetExceeded, "what is left of the budget does not cover this request"),
        _ => (RefusalCode::NoBackendAvailable, "no backend can serve this request now"),
    };
    Refusal { retry_after: nobody.retry_at.map(|at| at.since(now)), ..Refusal::new(code, message.to_owned()) }
}
