//! A request for which there is no place yet.
//!
//! It keeps what its body said, not the body, which Envoy holds. Both its exchange and the worker's room of those who
//! wait have it: the room places it, in some other stream's callback, and the exchange finds that it was.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::time::Duration;

use super::purse::Binding;
use super::request::{Decided, Petition};
use super::router::{Route, refuse};
use super::{Context, Refusal, RefusalCode};
use crate::config::OnExhausted;
use crate::domain::{Api, ApiNeed, ApiSet, PerMille, RequestFacts, Timestamp, Tokens};
use crate::host::Host;
use crate::metrics::Metric;
use crate::queue::{Entry, Placing};
use crate::routing::{Ask, Exclusion, Nobody, Peers, limits, panics, wellness};
use crate::state::{Backends, Lane, Position, WaitingList};

/// A request that waits.
pub struct Waiting {
    state: Cell<State>,
    place: Cell<Option<(Position, Timestamp)>>,
    lane: Lane,
}

#[derive(Debug, Default)]
enum State {
    Waits(Box<Petition>),
    /// Until its exchange goes on with it.
    Placed(Box<Route>),
    #[default]
    Over,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Waiting {
    pub(super) fn new(petition: Petition, host: &impl Host) -> Self {
        let lane = petition.lane(host);
        Self { state: Cell::new(State::Waits(Box::new(petition))), place: Cell::default(), lane }
    }

    /// What the room has to know to let it wait; none if nobody may.
    pub fn entry<H: Host>(&self, cx: &Context<'_, H>) -> Option<Entry> {
        let queue = cx.router.config().queue?;
        let (lane, backends) = (self.lane, self.backends(cx)?);
        Some(Entry { lane, backends, patience: queue.timeout, size: queue.size })
    }

    /// The backends that it waits for now, as long as it does: as good as it wishes, and it can pay for them.
    pub fn backends<H: Host>(&self, cx: &Context<'_, H>) -> Option<Backends> {
        let state = self.state.take();
        let backends = if let State::Waits(petition) = &state { Some(cx.attainable(petition)) } else { None };
        self.state.set(state);
        backends
    }

    /// Takes note of its place.
    pub fn entered(&self, position: Position, now: Timestamp) {
        self.place.set(Some((position, now)));
    }

    /// Its place in the list, as long as it waits.
    pub fn position(&self) -> Option<Position> {
        self.place.get().map(|(position, _)| position)
    }

    /// Decides again. If it can be served now, its headers are written: they must be those that the host means.
    pub fn place<H: Host>(&self, cx: &mut Context<'_, H>) -> Placing {
        let petition = match self.state.take() {
            State::Waits(petition) => petition,
            other => {
                self.state.set(other);
                return Placing::Gone;
            }
        };
        let now = cx.host.now();
        match petition.decide(cx, Backends::NONE, true, now) {
            Decided::Routed(route) => {
                self.state.set(State::Placed(Box::new(route)));
                self.count_wait(cx.host, now);
                Placing::Placed
            }
            Decided::Waits(petition) => {
                self.state.set(State::Waits(Box::new(petition)));
                Placing::Waits
            }
            Decided::Refused(_) => Placing::Gone,
        }
    }

    /// It has waited long enough.
    pub fn give_up<H: Host>(&self, cx: &mut Context<'_, H>) -> Refusal {
        self.count_wait(cx.host, cx.host.now());
        let message = "no backend had room for this request while it waited".to_owned();
        let refusal = Refusal {
            retry_after: cx.router.config().queue.map(|queue| queue.timeout),
            ..Refusal::new(RefusalCode::QueueTimeout, message)
        };
        self.refuse(cx, refusal)
    }

    /// It may not wait: as many do as may, the first of them for so long; or shared data is out of order.
    pub fn turn_away<H: Host>(&self, cx: &mut Context<'_, H>, longest: Option<Duration>) -> Refusal {
        let refusal = match longest {
            Some(longest) => Refusal::queue_full(longest),
            None => refuse(Nobody::has_room(cx.host.now()), cx.host.now()),
        };
        self.refuse(cx, refusal)
    }

    fn refuse<H: Host>(&self, cx: &mut Context<'_, H>, refusal: Refusal) -> Refusal {
        match self.state.take() {
            State::Waits(petition) => petition.refuse(cx, refusal),
            _ => refusal,
        }
    }

    /// It waits no longer, since its client does not.
    pub(super) fn leave<H: Host>(&self, cx: &Context<'_, H>) {
        self.state.take();
        self.count_wait(cx.host, cx.host.now());
    }

    /// Where it goes, once that is known.
    pub(super) fn route(&self) -> Option<Route> {
        match self.state.take() {
            State::Placed(route) => Some(*route),
            other => {
                self.state.set(other);
                None
            }
        }
    }

    /// Counts how long it waited, once.
    fn count_wait<H: Host>(&self, host: &H, now: Timestamp) {
        if let Some((_, since)) = self.place.take() {
            host.record(Metric::QueueWait, now.since(since).as_millis() as u64);
        }
    }
}

impl<H: Host> Context<'_, H> {
    /// The backends that others wait for. Where that cannot be read, none.
    #[inline(never)]
    pub(super) fn reserved(&self, now: Timestamp) -> Backends {
        if self.router.config().queue.is_none() {
            return Backends::NONE;
        }
        WaitingList::read(self.host, now).map(|list| list.awaited()).unwrap_or_default()
    }

    /// Whether a refused request may wait: some backend would serve it if it had room, and all of it is there. (Envoy
    /// would have to hold the rest of its body, of which nobody knows how long it is.) What is kept for those who wait
    /// already will be free some time; what is ill is not waited for, however many do: they came before it was.
    #[inline(never)]
    pub(super) fn may_wait(&self, petition: &Petition, now: Timestamp) -> bool {
        if self.router.config().queue.is_none() || !petition.whole {
            return false;
        }
        let ask = petition.ask(self.router, Backends::NONE);
        let pooled = OnceCell::new();
        let ask = Ask { peers: self.peers(&pooled, now), ..ask };
        let means = self.means_to_wait(petition, &ask, now);
        self.servers(&Ask { means: &means, ..ask }, true, now) != Backends::NONE
    }

    /// The backends that have room for some request, as far as this worker knows: of whichever API. Whether so few are
    /// well that ill ones may be tried is a matter of those that speak an API, so it is asked for each; to call one
    /// backend too many free costs a look.
    pub fn free(&self, now: Timestamp) -> Backends {
        let smallest = Ask {
            facts: &RequestFacts::default(),
            need: ApiNeed::NONE,
            text: Tokens(0),
            strategy: self.router.strategy(),
            min_quality: None,
            panic_threshold: self.router.config().panic_threshold,
            means: &[],
            reserved: Backends::NONE,
            peers: Peers::NONE,
            exploration: PerMille::new(0),
            source: None,
        };
        let mut shapes: Vec<ApiSet> = Vec::new();
        for backend in &self.router.config().backends {
            if !shapes.contains(&backend.apis) {
                shapes.push(backend.apis);
            }
        }
        let all = self.servers(&smallest, false, now);
        if shapes.len() < 2 {
            return all;
        }
        Api::ALL.into_iter().filter(|&api| shapes.iter().any(|apis| apis.has(api))).fold(all, |all, api| {
            let need = ApiNeed::one(api);
            all.with(self.servers(&Ask { need, ..smallest }, false, now))
        })
    }

    /// The backends that would serve what asks for this, or would if they had room; where the fleet panics, also ill ones.
    /// Whether it does is the same for all requests, so that nobody waits for what nobody believes to be free.
    #[inline(never)]
    fn servers(&self, ask: &Ask<'_>, full_too: bool, now: Timestamp) -> Backends {
        let (mut well, mut ill) = (Backends::NONE, Backends::NONE);
        let (mut healthy, mut serving) = (0, 0);
        for (index, backend, record) in self.fleet().iter().filter(|(_, backend, _)| ask.is_spoken_by(backend)) {
            let (limits, wellness) = (limits(backend, record, ask, now), wellness(backend, record, ask, now));
            let would = matches!(limits, Ok(_) | Err(Exclusion::BelowMinQuality));
            healthy += usize::from(would && wellness.is_ok_and(|(is_probe, _)| !is_probe));
            serving += usize::from(!backend.draining);
            let is_full = matches!(limits, Err(Exclusion::AtConcurrencyLimit | Exclusion::AtCapacity));
            if matches!(ask.means.get(index.get()), Some(Err(_))) || !(limits.is_ok() || (full_too && is_full)) {
                continue;
            }
            if wellness.is_ok() { &mut well } else { &mut ill }.add(backend);
        }
        if panics(healthy, serving, ask) { well.with(ill) } else { well }
    }

    /// The backends that a request waits for.
    #[inline(never)]
    fn attainable(&self, petition: &Petition) -> Backends {
        let ask = petition.ask(self.router, Backends::NONE);
        let (now, pooled) = (self.host.now(), OnceCell::new());
        let means = self.means_to_wait(petition, &Ask { peers: self.peers(&pooled, now), ..ask }, now);
        let mut attainable = Backends::NONE;
        for (n, backend) in self.router.config().backends.iter().enumerate() {
            if !ask.is_spoken_by(backend) {
                continue;
            }
            if !matches!(means.get(n), Some(Err(_))) && ask.min_quality.is_none_or(|least| backend.quality >= least) {
                attainable.add(backend);
            }
        }
        attainable
    }

    /// Of each backend whether a request that waits can pay for it; see [`Context::means`].
    fn means_to_wait(&self, petition: &Petition, ask: &Ask<'_>, now: Timestamp) -> Vec<Result<f64, Exclusion>> {
        // What would be served beyond the budget may wait for that.
        let binding = match self.router.config().cost.on_exhausted {
            OnExhausted::Refuse => Binding::All,
            OnExhausted::Cheapest => Binding::Backend,
        };
        self.means(ask, petition.customer(self.router), binding, now)
    }
}
