//! A fleet in memory, for the tests.

use std::cell::OnceCell;
use std::time::Duration;

use super::{Ask, Attempts, Fleet, Nobody, Peers, Strategy, Turns, plan};
use crate::domain::{
    ApiNeed, Backend, BackendIndex, BackendType, BreakerSettings, Failure, FallbackAnswers, Limits, PerMille, PicoUsd,
    Prices, RequestFacts, SplitMix64, Timestamp, Tokens, Vendor, Weight,
};
use crate::health::{BreakerPhase, Verdict};
use crate::state::{Backends, Cursor, MemoryStore, Place, Record, Smooth, View};

/// A backend with nothing special about it.
pub(crate) fn backend(id: &str) -> Backend {
    Backend {
        id: id.into(),
        cluster: id.into(),
        kind: BackendType::OpenAi,
        apis: BackendType::OpenAi.apis(),
        weight: Weight::ONE,
        priority: 1,
        prices: Prices::default(),
        expected_response_time: Duration::from_secs(1),
        quality: PerMille::ONE,
        reliability: PerMille::new(950),
        max_concurrent_requests: None,
        timeout: None,
        limits: Limits::default(),
        breaker: Some(BreakerSettings {
            failure_threshold: 5,
            failure_rate_threshold: PerMille::new(500),
            window: 100,
            min_requests: 10,
            slow_response: Some(Duration::from_secs(5)),
            slow_rate_threshold: PerMille::new(800),
            misconfigured_threshold: 5,
            recovery_timeout: Duration::from_mins(1),
            half_open_max_requests: 3,
            adaptive: true,
            ramp: Duration::from_secs(10),
        }),
        probe: None,
        failure_domain: id.into(),
        fixed_cost_per_hour: PicoUsd(0),
        fallback_answers: FallbackAnswers::Fail,
        group: None,
        draining: false,
    }
}

/// A moment.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
}

/// A fleet with its store.
pub(crate) struct Rig {
    pub(crate) backends: Vec<Backend>,
    pub(crate) places: Vec<Place>,
    pub(crate) view: View,
    pub(crate) store: MemoryStore,
    pub(crate) facts: RequestFacts,
    /// The estimate of its text.
    pub(crate) text: Tokens,
    pub(crate) rng: SplitMix64,
    pub(crate) panic_threshold: PerMille,
    /// None unless a test is about it.
    pub(crate) exploration: PerMille,
    /// When [`order`](Self::order) asks.
    pub(crate) now: Timestamp,
}

struct Shared<'a>(&'a MemoryStore, usize);

impl Turns for Shared<'_> {
    fn next(&mut self) -> u64 {
        Cursor::default().take(self.0).expect("a turn")
    }

    fn smooth(&mut self, candidates: &[(BackendIndex, u32)]) -> Option<usize> {
        Smooth::new(0).take(self.0, self.1, &candidates.iter().map(|&(b, w)| (b.get(), w))).expect("a turn")
    }
}

impl Rig {
    pub(crate) fn new(backends: Vec<Backend>) -> Self {
        let (store, mut view) = (MemoryStore::default(), View::new(1));
        let places = backends.iter().map(|b| view.place(&store, &b.id).expect("placed")).collect();
        Self {
            backends,
            places,
            view,
            store,
            facts: RequestFacts::default(),
            text: Tokens(1_000),
            rng: SplitMix64::new(42),
            panic_threshold: PerMille::new(0),
            exploration: PerMille::new(0),
            now: at(0),
        }
    }

    pub(crate) fn need(&self) -> ApiNeed {
        ApiNeed::of(self.facts.api, Vendor::Usual, &self.backends.iter().map(|backend| backend.apis))
    }

    /// Adds a backend at run time; its id must sort behind those there are.
    pub(crate) fn add(&mut self, backend: Backend) {
        self.places.push(self.view.place(&self.store, &backend.id).expect("placed"));
        self.backends.push(backend);
    }

    pub(crate) fn change(&mut self, backend: usize, change: impl FnMut(&mut Record)) {
        self.view.change(&self.store, self.places[backend], at(0), change).expect("changed");
    }

    /// Fails a backend's attempts until its breaker opens, at second 0.
    pub(crate) fn open_breaker(&mut self, backend: usize) {
        let settings = self.backends[backend].breaker.expect("a breaker");
        self.change(backend, |record| {
            while record.breaker.phase != BreakerPhase::Open {
                let failed = Verdict::Ill(Failure::ServerError);
                record.breaker.leave(record.breaker.unasked(), failed, None, &settings, at(0));
            }
        });
    }

    pub(crate) fn plan(
        &mut self,
        strategy: Strategy,
        wanted: usize,
        min_quality: Option<PerMille>,
        now: Timestamp,
    ) -> Result<Attempts, Nobody> {
        let fleet = Fleet { backends: &self.backends, places: &self.places, view: &self.view };
        let pooled = OnceCell::new();
        let ask = Ask {
            facts: &self.facts,
            need: self.need(),
            text: self.text,
            strategy,
            min_quality,
            panic_threshold: self.panic_threshold,
            reserved: Backends::NONE,
            means: &[],
            peers: Peers::new(fleet, now, &pooled),
            exploration: self.exploration,
            source: None,
        };
        plan(&fleet, &ask, wanted, now, &mut self.rng, &mut Shared(&self.store, self.backends.len()))
    }

    /// How long an answer is expected to be.
    pub(crate) fn expected(&self, backend: usize) -> Tokens {
        let (fleet, pooled) = (self.fleet(), OnceCell::new());
        let record = self.view.record(self.places[backend]);
        Peers::new(fleet, self.now, &pooled).expect(record, &self.facts, self.text).output
    }

    pub(crate) fn fleet(&self) -> Fleet<'_> {
        Fleet { backends: &self.backends, places: &self.places, view: &self.view }
    }

    /// The backends of a plan, by position.
    pub(crate) fn order(&mut self, strategy: Strategy, wanted: usize) -> Vec<usize> {
        let attempts = self.plan(strategy, wanted, None, self.now).expect("somebody");
        attempts.as_slice().iter().map(|b| b.get()).collect()
    }

    /// How often each backend comes first.
    pub(crate) fn shares(&mut self, strategy: Strategy, requests: usize) -> Vec<usize> {
        let mut shares = vec![0; self.backends.len()];
        for _ in 0..requests {
            shares[self.order(strategy, 1)[0]] += 1;
        }
        shares
    }
}
