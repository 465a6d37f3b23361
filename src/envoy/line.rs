//! One configuration of Envoy's on this thread, and the line of what was in effect of it: operators change backends, and
//! each change makes a router anew. What was decided by an earlier one ends with that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::host::EnvoyHost;
use super::root::random;
use crate::config::{Config, LogLevel};
use crate::exchange::{self, Router};
use crate::host::Host;
use crate::metrics::{Internal, Metric};
use crate::state::View;
use crate::upkeep::{Answer, Upkeep, farewell, retire, retire_configuration};

thread_local! {
    /// The VM's view: configurations come and go, and two of them overlap while streams of the old one end.
    static VIEW: RefCell<View> = RefCell::new(View::new(random()));
}

/// What is in effect on this thread.
#[derive(Debug)]
pub(super) struct Active {
    router: RefCell<Router>,
    pub(super) host: EnvoyHost,
    pub(super) config: Arc<Config>,
    /// Whether Envoy has shown the body of a request that was held: then it shows all of them.
    pub(super) shows_bodies: Cell<bool>,
}

/// A configuration at work on this thread.
#[derive(Debug)]
pub(super) struct Line {
    newest: RefCell<Rc<Active>>,
    /// Those before it with a backend that is gone now and still busy.
    earlier: RefCell<Vec<Rc<Active>>>,
    upkeep: RefCell<Upkeep>,
}

impl Active {
    fn new(router: Router) -> Self {
        let config = Arc::clone(router.config());
        Self {
            host: EnvoyHost::new(Arc::clone(&config)),
            router: RefCell::new(router),
            config,
            shows_bodies: Cell::default(),
        }
    }

    /// Lets `work` have the router and the view. None only if they are in use already, which Envoy never causes; it is
    /// counted rather than believed.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut exchange::Context<'_, EnvoyHost>) -> T) -> Option<T> {
        let result = VIEW.with(|view| {
            let (mut view, mut router) = (view.try_borrow_mut().ok()?, self.router.try_borrow_mut().ok()?);
            Some(work(&mut exchange::Context { router: &mut router, view: &mut view, host: &self.host }))
        });
        if result.is_none() {
            self.host.record(Metric::InternalErrors(Internal::Reentered), 1);
        }
        result
    }

    /// The fingerprint of what Envoy gave; none while the router is at work.
    fn configuration(&self) -> Option<u64> {
        self.router.try_borrow().ok().map(|router| router.configuration())
    }

    /// Whether requests may wait for a place.
    pub(super) fn has_queue(&self) -> bool {
        self.config.queue.is_some()
    }

    /// Sends a request that could not be decided to the default backend.
    pub(super) fn fall_back(&self) {
        if let Some(backend) = self.config.backends.get(self.config.default_backend.get()) {
            self.host.remove_request_header("x-llm-cluster");
            self.host.add_request_header("x-llm-cluster", backend.cluster.as_bytes());
            if self.config.retry.max_attempts > 1 {
                for (name, value) in [("x-llm-try-0", backend.cluster.as_bytes()), ("x-envoy-attempt-count", b"0")] {
                    self.host.remove_request_header(name);
                    self.host.add_request_header(name, value);
                }
            }
        }
    }

    /// Whether it has a backend that another one has not.
    fn has_more_than(&self, other: &Self) -> bool {
        let has = |id: &str| other.config.backends.iter().any(|backend| *backend.id == *id);
        !self.config.backends.iter().all(|backend| has(&backend.id))
    }
}

impl Line {
    /// None if shared data cannot be written.
    pub(super) fn new(configured: Arc<Config>) -> Option<Self> {
        let (router, upkeep) = VIEW.with(|view| {
            let mut view = view.try_borrow_mut().ok()?;
            let host = EnvoyHost::new(Arc::clone(&configured));
            let router = Router::new(configured, &mut view, &host, random()).ok()?;
            let upkeep = Upkeep::new(router.config(), &mut view);
            Some((router, upkeep))
        })?;
        let newest = RefCell::new(Rc::new(Active::new(router)));
        Some(Self { newest, earlier: RefCell::default(), upkeep: RefCell::new(upkeep) })
    }

    /// What is in effect.
    pub(super) fn newest(&self) -> Rc<Active> {
        Rc::clone(&self.newest.borrow())
    }

    /// Lets the gauges of backends rest that a newer configuration does not have.
    pub(super) fn retire(&self, newer: Option<&Active>) {
        let newest = self.newest();
        if let Some(configuration) = newest.configuration() {
            retire_configuration(configuration, newer.and_then(Active::configuration), &newest.host);
        }
        let retire = |gone: &Rc<Active>| retire(&gone.config, newer.map(|newer| &*newer.config), &gone.host);
        self.earlier.borrow().iter().for_each(retire);
        retire(&newest);
    }

    /// Takes what operators changed.
    pub(super) fn follow(&self) {
        let active = self.newest();
        let next = active.with(|cx| cx.router.follow(cx.view, cx.host));
        let Some(next) = next.flatten().map(Active::new) else { return };
        let mut earlier = self.earlier.borrow_mut();
        earlier.retain(|before| before.has_more_than(&active));
        if active.has_more_than(&next) {
            earlier.push(active);
        }
        self.newest.replace(Rc::new(next));
    }

    /// To be called every 50 ms or so.
    pub(super) fn tick(&self) {
        self.follow();
        self.keep_up(|upkeep, cx| {
            upkeep.tick(cx.router, cx.view, cx.host);
            cx.host.show_memory();
        });
        let mut earlier = self.earlier.borrow_mut();
        if !earlier.is_empty() {
            let is_busy = |before: &Active, cx: &mut exchange::Context<'_, EnvoyHost>| {
                before.router.try_borrow().is_ok_and(|router| farewell(&router, cx.router, cx.view, &before.host))
            };
            self.newest().with(|cx| earlier.retain(|before| is_busy(before, cx)));
        }
    }

    /// The answer to one of the upkeep's calls.
    pub(super) fn answered(&self, answer: &Answer) {
        self.keep_up(|upkeep, cx| upkeep.answered(cx.router, cx.view, cx.host, answer));
    }

    /// Says in the log which changes of operators the configuration ended.
    pub(super) fn tell_what_ended(&self) {
        let active = self.newest();
        let Some(ended) = active.with(|cx| cx.router.ended().join(", ")).filter(|ended| !ended.is_empty()) else {
            return;
        };
        let fields = [
            ("event", "control".to_owned()),
            ("action", "overruled".to_owned()),
            ("what", ended),
            ("from", "configuration".to_owned()),
        ];
        active.host.log(LogLevel::Warn, &crate::logging::line(active.config.logging.format, &fields));
    }

    /// Lets `work` have the upkeep and what it works with.
    fn keep_up(&self, work: impl FnOnce(&mut Upkeep, &mut exchange::Context<'_, EnvoyHost>)) {
        let active = self.newest();
        // In use already only if Envoy answered a call while it was made: that answer is counted as lost.
        match self.upkeep.try_borrow_mut() {
            Ok(mut upkeep) => _ = active.with(|cx| work(&mut upkeep, cx)),
            Err(_) => active.host.record(Metric::InternalErrors(Internal::Reentered), 1),
        }
    }
}
