//! Two tenants before a backend with few places.
//!
//! What is compared: the same total load, once shared evenly between two tenants, once ten to one. Whoever was one of two
//! equals and now is the small one asks for less than a fifth of what it asked for, so a fair queue must not let it wait
//! longer; the promise allows twice as long. The harder reading is in the table, too: the small one asks for as much as
//! before, and its rival for ten times as much, so that all together is five times what the backend can do.

use std::collections::BinaryHeap;
use std::rc::Rc;

use super::*;
use crate::exchange::Waiting;
use crate::queue::Room;

/// Places of the backend.
const PLACES: usize = 8;
/// How long answers take: two seconds in the mean, spread by 0.6.
const ANSWERS: Lengths = Lengths { median: 2.0 * 0.835, spread: 0.6 };

/// What two tenants ask of a backend, in parts of what it can do.
#[derive(Debug, Clone, Copy)]
struct Demand {
    small: f64,
    rival: f64,
    /// Whether the router is told whose requests they are.
    told: bool,
}

/// What became of a tenant's requests.
#[derive(Debug, Default)]
struct Served {
    /// Seconds until each had a place.
    waits: Vec<f64>,
    refused: usize,
}

impl Served {
    fn waited(&mut self, percent: usize) -> f64 {
        percentile(&mut self.waits, percent)
    }

    fn refused(&self) -> f64 {
        100.0 * self.refused as f64 / (self.refused + self.waits.len()) as f64
    }
}

struct Service {
    rig: Rig,
    room: Room<Rc<Waiting>>,
    rng: SplitMix64,
    /// When an answer ends, and whose.
    ends: BinaryHeap<(std::cmp::Reverse<u64>, usize)>,
    running: Vec<Exchange>,
    waiting: Vec<(Exchange, usize, u64)>,
    served: [Served; 2],
}

fn served(demand: Demand, requests: usize) -> [Served; 2] {
    let config = json!({
        "backend_instances": { "a": { "max_concurrent_requests": PLACES } },
        "cost": { "tenant_header": "x-tenant" }, "retry": { "max_attempts": 1 },
        "queue": { "size": 100, "timeout_ms": 30_000 },
    });
    let mut service = Service {
        rig: Rig::new(&config),
        room: Room::default(),
        rng: SplitMix64::new(11),
        ends: BinaryHeap::new(),
        running: Vec::new(),
        waiting: Vec::new(),
        served: Default::default(),
    };
    // Requests a second.
    let rate = (demand.small + demand.rival) * PLACES as f64 / 2.0;
    let mut now = service.now() as f64;
    for _ in 0..requests {
        now -= (1.0 - service.rng.ratio()).ln() / rate * SECOND as f64;
        let tenant = usize::from(service.rng.ratio() * (demand.small + demand.rival) >= demand.small);
        service.until(now as u64);
        service.comes(tenant, demand.told);
    }
    service.until(u64::MAX);
    assert!(service.waiting.is_empty() && service.room.is_idle());
    service.served
}

impl Service {
    fn now(&self) -> u64 {
        self.rig.world.now().as_micros()
    }

    /// Lets answers end, and patience, until that moment.
    fn until(&mut self, moment: u64) {
        loop {
            let end = self.ends.peek().map_or(u64::MAX, |(at, _)| at.0);
            let tick = if self.waiting.is_empty() { u64::MAX } else { self.now() + SECOND / 2 };
            let next = end.min(tick);
            if next >= moment {
                break;
            }
            self.rig.world.now.set(next);
            if end <= next
                && let Some((_, number)) = self.ends.pop()
            {
                let mut exchange = std::mem::take(&mut self.running[number]);
                self.rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
            }
            self.rig.round(&mut self.room);
            self.give_up();
            self.go_on();
        }
        if moment < u64::MAX {
            self.rig.world.now.set(moment);
        }
    }

    fn comes(&mut self, tenant: usize, told: bool) {
        let mut exchange = Exchange::default();
        let headers = [("x-tenant", ["small", "rival"][tenant])];
        match self.rig.send(&mut exchange, if told { &headers } else { &[] }, CHAT) {
            Flow::Continue => self.starts(exchange, tenant, self.now()),
            Flow::Wait if self.rig.take_a_place(&mut self.room, &exchange) => {
                self.waiting.push((exchange, tenant, self.now()));
            }
            _ => self.served[tenant].refused += 1,
        }
    }

    fn starts(&mut self, exchange: Exchange, tenant: usize, came: u64) {
        self.served[tenant].waits.push((self.now() - came) as f64 / SECOND as f64);
        let takes = ANSWERS.of(normal(&mut self.rng)) * SECOND as f64;
        self.ends.push((std::cmp::Reverse(self.now() + takes as u64), self.running.len()));
        self.running.push(exchange);
    }

    /// Those that have waited long enough.
    fn give_up(&mut self) {
        let now = self.rig.world.now();
        for guest in self.room.overdue(&self.rig.world, now) {
            guest.request.give_up(&mut self.rig.cx());
            let is_it = |(exchange, ..): &(Exchange, _, _)| {
                exchange.waiting().is_some_and(|waiting| Rc::ptr_eq(waiting, &guest.request))
            };
            let number = self.waiting.iter().position(is_it).expect("waits");
            let (mut exchange, tenant, _) = self.waiting.remove(number);
            exchange.log(&mut self.rig.cx());
            self.served[tenant].refused += 1;
        }
    }

    /// Those that have got a place.
    fn go_on(&mut self) {
        let waits = |exchange: &Exchange| exchange.waiting().is_some_and(|waiting| waiting.position().is_some());
        let placed = self.waiting.extract_if(.., |(exchange, ..)| !waits(exchange));
        for (exchange, tenant, came) in placed.collect::<Vec<_>>() {
            self.starts(exchange, tenant, came);
        }
    }
}

/// "One tenant sending 10 times as much does not starve the other (its median wait at most 2 x)."
#[test]
fn a_tenant_waits_no_longer_because_another_sends_ten_times_as_much() {
    println!(
        "| small asks for | its rival for | lines | small waits, median | 95 % | refused | rival waits, median | 95 % | refused |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let row = |small: f64, rival: f64, told: bool| {
        let [mut few, mut many] = served(Demand { small, rival, told }, 3_000);
        println!(
            "| {:.0} % | {:.0} % | {} | {:.1} s | {:.1} s | {:.1} % | {:.1} s | {:.1} s | {:.1} % |",
            100.0 * small,
            100.0 * rival,
            if told { "two" } else { "one" },
            few.waited(50),
            few.waited(95),
            few.refused(),
            many.waited(50),
            many.waited(95),
            many.refused()
        );
        (few.waited(50), few.refused())
    };
    let mut beside_an_equal = f64::MAX;
    for load in [0.9, 1.0, 1.2] {
        let (as_one_of_two, _) = row(load / 2.0, load / 2.0, true);
        let (as_the_small_one, refused) = row(load / 11.0, load * 10.0 / 11.0, true);
        row(load / 11.0, load * 10.0 / 11.0, false);
        beside_an_equal = beside_an_equal.min(as_one_of_two);
        assert!(as_the_small_one <= 2.0 * as_one_of_two, "{as_the_small_one} {as_one_of_two}");
        assert!(refused <= 1.0, "{refused} % of the small one's were refused, of a tenth of what there is");
    }
    // What the small one asks for is less than its half: however much its rival asks for, it is served.
    let (beside_a_crowd, refused) = row(0.45, 4.5, true);
    row(0.45, 4.5, false);
    assert!(beside_a_crowd <= 2.0 * beside_an_equal && refused <= 1.0, "{beside_a_crowd} {beside_an_equal} {refused}");
}
