//! A request for which there is no place yet.
//!
//! It keeps what its body said, not the body, which Envoy holds. Both its exchange and the worker's room of those who
//! wait have it: the room places it, in some other stream's callback, and the exchange finds that it was.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use super::purse::Binding;
use super::request::{Decided, Petition};
use super::router::{Route, refuse};
use super::{Context, Refusal, RefusalCode};
use crate::domain::{Backend, BackendIndex, PerMille, RequestFacts, Timestamp, Tokens};
use crate::host::Host;
use crate::metrics::Metric;
use crate::queue::{Entry, Placing};
use crate::routing::{Ask, Exclusion, Nobody, admits, limits, panics, wellness};
use crate::state::{Backends, Position, Record, WaitingList};

/// A request that waits.
pub struct Waiting {
    state: Cell<State>,
    place: Cell<Option<(Position, Timestamp)>>,
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
    pub(super) fn new(petition: Petition) -> Self {
        Self { state: Cell::new(State::Waits(Box::new(petition))), place: Cell::default() }
    }

    /// What the room has to know to let it wait; none if nobody may.
    pub fn entry<H: Host>(&self, cx: &Context<'_, H>) -> Option<Entry> {
        let queue = cx.router.config().queue?;
        let (lane, backends) = self.look(|petition| (petition.lane(), cx.attainable(petition)))?;
        Some(Entry { lane, backends, patience: queue.timeout, size: queue.size })
    }

    /// The backends that it waits for now, as long as it does.
    pub fn backends<H: Host>(&self, cx: &Context<'_, H>) -> Option<Backends> {
        self.look(|petition| cx.attainable(petition))
    }

    fn look<T>(&self, work: impl FnOnce(&Petition) -> T) -> Option<T> {
        let state = self.state.take();
        let seen = if let State::Waits(petition) = &state { Some(work(petition)) } else { None };
        self.state.set(state);
        seen
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
        let refusal = Refusal {
            code: RefusalCode::QueueTimeout,
            message: "no backend had room for this request while it waited".to_owned(),
            retry_after: cx.router.config().queue.map(|queue| queue.timeout),
            explanation: None,
        };
        self.refuse(cx, refusal)
    }

    /// It may not wait: as many do as may, the first of them for so long; or shared data is out of order.
    pub fn turn_away<H: Host>(&self, cx: &mut Context<'_, H>, longest: Option<Duration>) -> Refusal {
        let refusal = match longest {
            Some(longest) => Refusal {
                code: RefusalCode::QueueFull,
                message: "every backend that could serve this request is busy, and as many requests wait as may"
                    .to_owned(),
                retry_after: Some(longest),
                explanation: None,
            },
            None => refuse(Nobody { at_limit: true, over_budget: false, retry_at: None }, cx.host.now()),
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
    pub(super) fn reserved(&self, now: Timestamp) -> Backends {
        if self.router.config().queue.is_none() {
            return Backends::NONE;
        }
        WaitingList::read(self.host, now).map(|list| list.awaited()).unwrap_or_default()
    }

    /// Whether a refused request may wait: some backend would serve it if it had room, and all of it is there. (Envoy
    /// would have to hold the rest of its body, of which nobody knows how long it is.) What is kept for those who wait
    /// already will be free some time; what is ill is not waited for, however many do: they came before it was.
    pub(super) fn may_wait(&self, petition: &Petition, now: Timestamp) -> bool {
        if self.router.config().queue.is_none() || !petition.whole {
            return false;
        }
        let ask = petition.ask(self.router, Backends::NONE);
        let means = self.means_to_wait(petition, &ask, now);
        let panics = self.panics(now);
        let is_worth_it = |(index, backend, record): (BackendIndex, &Backend, &Record)| {
            let is_full = |why| matches!(why, Exclusion::AtConcurrencyLimit | Exclusion::AtCapacity);
            !matches!(means.get(index.get()), Some(Err(_)))
                && limits(backend, record, &ask, now).map_or_else(is_full, |_| true)
                && (panics || wellness(backend, record, &ask, now).is_ok())
        };
        self.fleet().iter().any(is_worth_it)
    }

    /// The backends that a request waits for: as good as it wishes, and it can pay for them.
    fn attainable(&self, petition: &Petition) -> Backends {
        let ask = petition.ask(self.router, Backends::NONE);
        let means = self.means_to_wait(petition, &ask, self.host.now());
        let mut attainable = Backends::NONE;
        for (n, backend) in self.router.config().backends.iter().enumerate() {
            if !matches!(means.get(n), Some(Err(_))) && ask.min_quality.is_none_or(|least| backend.quality >= least) {
                attainable.add(backend);
            }
        }
        attainable
    }

    /// Of each backend whether a request that waits can pay for it; see [`Context::means`].
    fn means_to_wait(&self, petition: &Petition, ask: &Ask<'_>, now: Timestamp) -> Vec<Result<f64, Exclusion>> {
        self.means(ask, petition.customer(self.router), Binding::All, now)
    }

    /// The backends that have room for some request, as far as this worker knows; where the fleet panics, also ill ones.
    pub fn free(&self, now: Timestamp) -> Backends {
        let facts = RequestFacts::default();
        let (smallest, panics) = (self.smallest(&facts), self.panics(now));
        let mut free = Backends::NONE;
        for (_, backend, record) in self.fleet().iter() {
            if admits(backend, record, &smallest, now).is_ok()
                || (panics && limits(backend, record, &smallest, now).is_ok())
            {
                free.add(backend);
            }
        }
        free
    }

    /// Whether so few are well that some request may be sent to those that are ill.
    fn panics(&self, now: Timestamp) -> bool {
        let facts = RequestFacts::default();
        let smallest = self.smallest(&facts);
        if smallest.panic_threshold == PerMille::default() {
            return false;
        }
        let (mut well, mut serving) = (0, 0);
        for (_, backend, record) in self.fleet().iter() {
            let is_well = admits(backend, record, &smallest, now).is_ok_and(|terms| !terms.probe);
            well += usize::from(is_well);
            serving += usize::from(!backend.draining);
        }
        panics(well, serving, &smallest)
    }

    /// What asks for as little as a request can.
    fn smallest<'a>(&self, facts: &'a RequestFacts) -> Ask<'a> {
        Ask {
            facts,
            text: Tokens(0),
            strategy: self.router.strategy(),
            min_quality: None,
            panic_threshold: self.router.config().panic_threshold,
            means: &[],
            reserved: Backends::NONE,
        }
    }
}
