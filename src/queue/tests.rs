//! Workers with rooms before a backend with few places, in schedules that chance makes: requests that come, end, and are
//! given up; workers that die; calls that are late or lost; shared data that fails.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::{Call, Entry, Passed, Placing, Room};
use crate::domain::{Rng, SplitMix64, Timestamp};
use crate::routing::testing::backend;
use crate::state::{Backends, Cas, Lane, Members, MemoryStore, Position, Store, StoreError, WaitingList};

/// Longer than a real one, so that less happens.
const TICK: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(3);
const SIZE: usize = 12;
const PLACES: u32 = 3;
/// The tenant whose requests need two places at once.
const LARGE: u32 = 3;

/// Shared data that fails as often as is asked.
struct Flaky {
    store: MemoryStore,
    rng: RefCell<SplitMix64>,
    failures_percent: Cell<usize>,
}

impl Flaky {
    fn fails(&self) -> bool {
        self.rng.borrow_mut().below(100) < self.failures_percent.get()
    }
}

impl Store for Flaky {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError> {
        if self.fails() { Err(StoreError::Host) } else { self.store.get(key) }
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError> {
        match self.fails() {
            true if cas.is_some_and(|cas| cas.is_multiple_of(2)) => Ok(false),
            true => Err(StoreError::Contended),
            false => self.store.set(key, value, cas),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    Runs,
    Ended,
    GivenUp,
    Refused,
    /// With its worker.
    Lost,
}

#[derive(Debug, Clone)]
struct Request {
    worker: usize,
    lane: u32,
    came: Timestamp,
    state: Cell<State>,
    position: Option<Position>,
}

impl Request {
    const fn needs(&self) -> u32 {
        if self.lane == LARGE { 2 } else { 1 }
    }
}

struct Worker {
    room: Room<usize>,
    member: Members,
    alive: bool,
    /// What it believes to be free.
    believes: Cell<u32>,
}

struct World {
    store: Flaky,
    rng: SplitMix64,
    now: Timestamp,
    workers: Vec<Worker>,
    requests: Vec<Request>,
    /// With the number of the tick at which each was made.
    calls: Vec<(Call, u32)>,
    ticks: u32,
    loses_calls: bool,
    died_at: Option<Timestamp>,
    /// Of each lane the request that was placed last.
    order: RefCell<[Option<u64>; 4]>,
}

fn here() -> Backends {
    let mut backends = Backends::NONE;
    backends.add(&backend("a"));
    backends
}

fn taken(requests: &[Request]) -> u32 {
    requests.iter().filter(|request| request.state.get() == State::Runs).map(Request::needs).sum()
}

impl World {
    fn new(seed: u64) -> Self {
        let rng = SplitMix64::new(seed);
        let store = Flaky {
            store: MemoryStore::default(),
            rng: RefCell::new(SplitMix64::new(!seed)),
            failures_percent: Cell::new(if seed.is_multiple_of(3) { 15 } else { 0 }),
        };
        WaitingList::create(&store.store).expect("created");
        let now = Timestamp::from_micros(1_000_000_000);
        Members::create(&store.store).expect("created");
        let worker = |name| {
            let mut member = Members::new(name);
            member.heartbeat(&store.store, now).expect("joined");
            Worker { room: Room::default(), member, alive: true, believes: Cell::new(PLACES) }
        };
        let workers = (1..4).map(worker).collect();
        Self {
            store,
            rng,
            now,
            workers,
            requests: Vec::new(),
            calls: Vec::new(),
            ticks: 0,
            loses_calls: seed.is_multiple_of(2),
            died_at: None,
            order: RefCell::default(),
        }
    }

    fn round(&mut self, worker: usize, passed: Passed) {
        let Worker { room, alive, believes, .. } = &mut self.workers[worker];
        if !*alive {
            return;
        }
        let (requests, order, now) = (&self.requests, &self.order, self.now);
        let free = || if believes.get() > 0 { here() } else { Backends::NONE };
        let call = room.round(&self.store, worker as u16, now, passed, free, |guest| {
            let request: &Request = &requests[guest.request];
            assert_eq!(request.state.get(), State::Waits, "placed twice, or after it was given up");
            // An offer that is refused shows how it really is.
            let room = PLACES.saturating_sub(taken(requests));
            believes.set(room);
            if room < request.needs() {
                return Placing::Waits;
            }
            request.state.set(State::Runs);
            believes.set(room - request.needs());
            let number = request.position.expect("a ticket").number;
            let before = order.borrow_mut()[request.lane as usize].replace(number);
            assert!(request.lane == LARGE || before < Some(number), "out of order");
            Placing::Placed
        });
        if let Ok(Some(call)) = call
            && !(self.loses_calls && self.rng.below(3) == 0)
        {
            self.calls.push((call, self.ticks));
        }
    }

    fn look(&mut self, worker: usize) {
        self.workers[worker].believes.set(PLACES.saturating_sub(taken(&self.requests)));
    }

    fn comes(&mut self, worker: usize, lane: u32) {
        if !self.workers[worker].alive {
            return;
        }
        let waits = Request { worker, lane, came: self.now, state: Cell::new(State::Waits), position: None };
        self.requests.push(waits);
        let number = self.requests.len() - 1;
        let awaited = WaitingList::read(&self.store, self.now).map(|list| list.awaited()).unwrap_or_default();
        let room = PLACES.saturating_sub(taken(&self.requests));
        let needs = self.requests[number].needs();
        if !awaited.meets(here()) && self.workers[worker].believes.get() >= needs {
            self.workers[worker].believes.set(room);
            if room >= needs {
                self.requests[number].state.set(State::Runs);
                return;
            }
        }
        let entry = Entry { lane: Lane::of(Some(&[lane as u8])), backends: here(), patience: PATIENCE, size: SIZE };
        match self.workers[worker].room.enter(&self.store, worker as u16, entry, self.now, number) {
            Ok(Ok(position)) => {
                self.requests[number].position = Some(position);
                self.look(worker);
                self.round(worker, Passed::default());
            }
            Ok(Err(_)) | Err(_) => self.requests[number].state.set(State::Refused),
        }
    }

    /// One of those in this state, if there is one.
    fn pick(&mut self, state: State) -> Option<usize> {
        let all: Vec<_> = (0..self.requests.len()).filter(|&n| self.requests[n].state.get() == state).collect();
        (!all.is_empty()).then(|| all[self.rng.below(all.len())])
    }

    fn ends(&mut self) {
        let Some(number) = self.pick(State::Runs) else { return };
        let worker = self.requests[number].worker;
        if self.workers[worker].alive {
            self.requests[number].state.set(State::Ended);
            self.look(worker);
            self.round(worker, Passed::default());
        }
    }

    fn leaves(&mut self) {
        let Some(number) = self.pick(State::Waits) else { return };
        let Request { worker, position, .. } = self.requests[number].clone();
        let position = position.expect("a ticket");
        assert!(self.workers[worker].room.leave(&self.store, position, self.now).is_some(), "forgotten");
        self.requests[number].state.set(State::GivenUp);
        self.round(worker, Passed::default());
    }

    fn dies(&mut self) {
        if self.died_at.is_some() {
            return;
        }
        self.died_at = Some(self.now);
        self.workers[0].alive = false;
        for request in self.requests.iter().filter(|request| request.worker == 0) {
            if request.state.get() == State::Waits {
                request.state.set(State::Lost);
            }
        }
    }

    fn tick(&mut self, backwards: bool) {
        self.now =
            if backwards { Timestamp::from_micros(self.now.as_micros() - 400_000) } else { self.now.after(TICK) };
        // The places of the dead are free when that is believed.
        if self.died_at.is_some_and(|at| self.now.since(at) > Duration::from_secs(4)) {
            let lost = self.requests.iter().filter(|request| request.worker == 0 && request.state.get() == State::Runs);
            lost.for_each(|request| request.state.set(State::Lost));
        }
        for worker in 0..self.workers.len() {
            if !self.workers[worker].alive {
                continue;
            }
            if self.ticks.is_multiple_of(3) || backwards {
                self.workers[worker].member.heartbeat(&self.store.store, self.now).expect("heard of");
            }
            self.look(worker);
            if !self.workers[worker].room.is_idle() {
                self.round(worker, Passed::default());
            }
            let overdue = self.workers[worker].room.overdue(&self.store, self.now);
            for guest in overdue {
                let state = self.requests[guest.request].state.replace(State::GivenUp);
                assert_eq!(state, State::Waits, "given up twice, or after it was placed");
            }
        }
    }

    fn hears(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let n = self.rng.below(self.calls.len());
        let (call, _) = self.calls.swap_remove(n);
        self.hear(call);
    }

    fn hear(&mut self, call: Call) {
        let worker = usize::from(call.member);
        self.look(worker);
        self.round(worker, call.passed);
    }

    fn hears_all(&mut self) {
        for _ in 0..1_000 {
            self.hears();
        }
        assert!(self.calls.is_empty(), "calls without end");
    }

    fn depth(&self) -> usize {
        WaitingList::read(&self.store.store, self.now).expect("read").tickets().len()
    }

    fn step(&mut self) {
        let (worker, lane) = (self.rng.below(3), self.rng.below(4) as u32);
        match self.rng.below(40) {
            0..=15 => self.comes(worker, lane),
            16..=22 => self.ends(),
            23..=24 => self.leaves(),
            25..=30 => self.hears(),
            31..=38 => self.tick(false),
            _ if self.rng.below(4) == 0 => self.tick(true),
            _ if self.rng.below(4) == 0 => self.dies(),
            _ => {}
        }
    }

    /// Lets all of it end, and sees that it does.
    fn rest(&mut self) {
        self.store.failures_percent.set(0);
        self.loses_calls = false;
        for _ in 0..60 {
            self.tick(false);
            self.hears_all();
            let waits = |request: &&Request| request.state.get() == State::Waits;
            let runs = |request: &Request| request.state.get() == State::Runs;
            if !self.requests.iter().any(|request| waits(&request) || runs(request)) && self.depth() == 0 {
                break;
            }
            for request in self.requests.iter().filter(waits) {
                // The clock was set back now and then, by less than half a second each time.
                assert!(self.now.since(request.came) < PATIENCE + Duration::from_secs(2), "forgotten");
            }
            if self.died_at.is_none() && taken(&self.requests) < PLACES {
                assert!(!self.requests.iter().filter(waits).any(|request| request.lane != LARGE), "a place is unused");
            }
            if self.rng.below(3) == 0 {
                self.ends();
                self.hears_all();
            }
        }
        for _ in 0..10 {
            self.ends();
            self.tick(false);
        }
        for request in &self.requests {
            assert!(!matches!(request.state.get(), State::Waits | State::Runs), "{request:?}");
        }
        assert_eq!(self.depth(), 0);
        assert!(self.workers.iter().filter(|worker| worker.alive).all(|worker| worker.room.is_idle()));
    }
}

/// Tells which schedule it was.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the schedule of seed {}", self.0);
        }
    }
}

#[test]
fn in_ten_thousand_schedules_none_is_placed_twice_none_is_forgotten_and_the_order_is_kept() {
    let (mut waited, mut placed) = (0, 0);
    for seed in 0..10_000 {
        let mut world = World::new(seed);
        let _told = Told(seed);
        for _ in 0..60 {
            world.step();
        }
        world.rest();
        let ended = |request: &&Request| request.state.get() == State::Ended;
        waited += world.requests.iter().filter(|request| request.position.is_some()).count();
        placed += world.requests.iter().filter(|request| request.position.is_some()).filter(ended).count();
    }
    assert!(waited > 100_000 && placed * 2 > waited, "{waited} waited, {placed} were placed");
}

#[test]
fn the_tickets_of_a_worker_that_died_are_passed_over() {
    let mut world = World::new(1);
    for _ in 0..PLACES {
        world.comes(1, 0);
    }
    for worker in [0, 0, 1, 2] {
        world.comes(worker, 1);
    }
    world.dies();
    world.ends();
    world.ends();
    let waiting = |world: &World| world.requests.iter().filter(|r| r.state.get() == State::Waits).count();
    assert_eq!(waiting(&world), 2, "those of the dead worker come first");
    for _ in 0..8 {
        world.tick(false);
        world.hears_all();
    }
    assert_eq!((waiting(&world), world.depth()), (0, 2));
    world.rest();
}

#[test]
fn without_shared_data_nobody_waits_for_ever() {
    let mut world = World::new(1);
    for _ in 0..PLACES + 2 {
        world.comes(1, 0);
    }
    world.store.failures_percent.set(100);
    for _ in 0..20 {
        world.tick(false);
    }
    assert_eq!(world.requests.iter().filter(|r| r.state.get() == State::GivenUp).count(), 2);
    world.rest();
}
