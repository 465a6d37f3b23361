//! Requests that wait for a place.

use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::exchange::{Upshot, Waiting};
use crate::host::fake;
use crate::queue::{Passed, Placing, Room};
use crate::state::WaitingList;
use crate::steering::Change;

/// A backend with one place, and a queue for two.
fn rig() -> Rig {
    Rig::new(&serde_json::json!({
        "backend_instances": {
            "a": { "max_concurrent_requests": 1, "quality_score": 0.9 },
            "b": { "max_concurrent_requests": 1, "quality_score": 0.1, "priority": 2 },
        },
        "client_hints": ["min_quality"],
        "queue": { "size": 2, "timeout_ms": 1_000 },
    }))
}

/// A request that only the good backend may serve.
const GOOD: &[(&str, &str)] = &[("x-llm-min-quality", "0.5")];

impl Rig {
    pub(super) fn cx(&mut self) -> Context<'_, World> {
        Context { router: &mut self.router, view: &mut self.view, host: &self.world }
    }

    pub(super) fn take_a_place(&mut self, room: &mut Room<Rc<Waiting>>, exchange: &Exchange) -> bool {
        let waiting = Rc::clone(exchange.waiting().expect("waits"));
        let mut cx = self.cx();
        let (entry, now) = (waiting.entry(&cx).expect("may wait"), cx.host.now());
        match room.enter(cx.host, 0, entry, now, Rc::clone(&waiting)).expect("stored") {
            Ok(position) => {
                waiting.entered(position, now);
                true
            }
            Err(longest) => {
                let refusal = waiting.turn_away(&mut cx, Some(longest));
                assert_eq!((refusal.code.name(), refusal.code.status()), ("queue_full", 503));
                false
            }
        }
    }

    pub(super) fn round(&mut self, room: &mut Room<Rc<Waiting>>) {
        let now = self.world.now();
        self.world.request.replace(fake::headers(&[]));
        let Self { world, router, view } = self;
        let cx = std::cell::RefCell::new(Context { router, view, host: &*world });
        let free = || cx.borrow().free(now);
        let call =
            room.round(world, 0, now, Passed::default(), free, |guest| guest.request.place(&mut cx.borrow_mut()));
        assert_eq!(call, Ok(None));
    }

    fn depth(&self) -> usize {
        WaitingList::read(&self.world, self.world.now()).expect("read").tickets().len()
    }
}

#[test]
fn a_request_waits_until_a_place_is_free_and_goes_on_where_it_stood() {
    let (mut rig, mut room) = (rig(), Room::default());
    let (mut first, mut second) = (Exchange::default(), Exchange::default());
    assert_eq!(rig.send(&mut first, GOOD, CHAT), Flow::Continue);
    assert_eq!(rig.send(&mut second, GOOD, CHAT), Flow::Wait);
    assert!(rig.take_a_place(&mut room, &second));
    rig.round(&mut room);
    assert_eq!((rig.depth(), rig.header("x-llm-cluster")), (1, None));
    rig.world.pass_millis(300);
    rig.answer(&mut first, 200, 1, Some(ANSWER), 0);
    rig.round(&mut room);
    assert_eq!((rig.depth(), rig.header("x-llm-cluster").as_deref()), (0, Some("a")));
    assert_eq!((rig.metric("queue_wait_ms"), rig.record("a").in_flight()), (300, 1));
    rig.answer(&mut second, 200, 1, Some(ANSWER), 0);
    assert_eq!((rig.record("a").in_flight(), rig.record("a").window.len()), (0, 2));
    assert_eq!(rig.world.response_header("x-llm-backend").as_deref(), Some("a"));
}

#[test]
fn nobody_overtakes_those_who_wait_but_who_needs_no_place_of_theirs_goes_on() {
    let (mut rig, mut room) = (rig(), Room::default());
    let mut exchanges: Vec<_> = (0..4).map(|_| Exchange::default()).collect();
    assert_eq!(rig.send(&mut exchanges[0], GOOD, CHAT), Flow::Continue);
    assert_eq!(rig.send(&mut exchanges[1], GOOD, CHAT), Flow::Wait);
    rig.take_a_place(&mut room, &exchanges[1]);
    rig.answer(&mut exchanges[0], 200, 1, Some(ANSWER), 0);
    assert_eq!(rig.send(&mut exchanges[2], &[], CHAT), Flow::Continue, "the other backend is free");
    assert_eq!(rig.header("x-llm-cluster").as_deref(), Some("b"));
    assert_eq!(rig.send(&mut exchanges[3], GOOD, CHAT), Flow::Wait, "there is a place, for somebody else");
    rig.take_a_place(&mut room, &exchanges[3]);
    rig.round(&mut room);
    assert!(exchanges[1].waiting().is_some_and(|waiting| waiting.position().is_none()));
    assert!(exchanges[3].waiting().is_some_and(|waiting| waiting.position().is_some()));
}

#[test]
fn who_has_waited_long_enough_is_told_when_to_come_again_and_so_is_who_may_not_wait() {
    let (mut rig, mut room) = (rig(), Room::default());
    let mut exchanges: Vec<_> = (0..4).map(|_| Exchange::default()).collect();
    rig.send(&mut exchanges[0], GOOD, CHAT);
    for (exchange, waits) in exchanges[1..].iter_mut().zip([true, true, false]) {
        assert_eq!(rig.send(exchange, GOOD, CHAT), Flow::Wait);
        assert_eq!(rig.take_a_place(&mut room, exchange), waits);
    }
    rig.world.pass_millis(999);
    assert!(room.overdue(&rig.world, rig.world.now()).is_empty());
    rig.world.pass_millis(1);
    let overdue = room.overdue(&rig.world, rig.world.now());
    assert_eq!((overdue.len(), rig.depth()), (2, 0));
    for guest in overdue {
        let refusal = guest.request.give_up(&mut rig.cx());
        assert_eq!((refusal.code.status(), refusal.retry_after_seconds()), (503, Some(1)));
        assert_eq!(guest.request.place(&mut rig.cx()), Placing::Gone);
    }
    for mut exchange in exchanges {
        rig.answer(&mut exchange, 0, 0, None, 0);
    }
    let refusals = ["queue_full", "queue_timeout"].map(|code| rig.metric(&format!("refusals_total.code.{code}")));
    assert_eq!((refusals, rig.metric("queue_wait_ms"), rig.record("a").in_flight()), ([1, 2], 2_000, 0));
}

#[test]
fn a_client_that_leaves_is_not_served_and_one_that_left_too_late_is_counted_out() {
    let (mut rig, mut room) = (rig(), Room::default());
    let mut exchanges: Vec<_> = (0..3).map(|_| Exchange::default()).collect();
    for exchange in &mut exchanges {
        rig.send(exchange, GOOD, CHAT);
    }
    rig.take_a_place(&mut room, &exchanges[1]);
    rig.take_a_place(&mut room, &exchanges[2]);
    let position = exchanges[1].waiting().and_then(|waiting| waiting.position()).expect("waits");
    exchanges[1].log(&mut rig.cx());
    assert!(room.leave(&rig.world, position, rig.world.now()).is_some());
    assert_eq!(rig.depth(), 1);
    rig.answer(&mut exchanges[0], 200, 1, Some(ANSWER), 0);
    rig.round(&mut room);
    assert_eq!(rig.record("a").in_flight(), 1, "it was placed");
    rig.answer(&mut exchanges[2], 0, 0, None, 1 << 14);
    assert_eq!((rig.record("a").in_flight(), rig.depth()), (0, 0));
}

#[test]
fn only_a_want_of_places_is_waited_for() {
    let mut rig = rig();
    rig.world.request.replace(fake::headers(&[]));
    let mut exchange = Exchange::default();
    let unattainable = rig.send(&mut exchange, &[("x-llm-min-quality", "0.95")], CHAT);
    assert!(matches!(unattainable, Flow::Refuse(refusal) if refusal.code == RefusalCode::NoBackendAvailable));
    let mut off = Rig::new(&serde_json::json!({ "backend_instances": { "a": { "max_concurrent_requests": 1 } } }));
    off.send(&mut Exchange::default(), &[], CHAT);
    off.world.written.borrow_mut().clear();
    let refused = off.send(&mut Exchange::default(), &[], CHAT);
    assert!(matches!(refused, Flow::Refuse(refusal) if refusal.code == RefusalCode::RateLimited));
    assert!(off.world.written.borrow().is_empty());
}

#[test]
fn the_journal_has_what_became_of_those_who_waited_and_nothing_of_their_waiting() {
    let hints = [GOOD[0], ("x-llm-explain", "1")];
    let mut rig = Rig::new(&serde_json::json!({
        "backend_instances": { "a": { "max_concurrent_requests": 1 } },
        "client_hints": ["min_quality", "explain"],
        "queue": { "size": 2, "timeout_ms": 1_000 },
    }));
    let mut room = Room::default();
    let told = |rig: &mut Rig| {
        rig.view.write_journal(&rig.world).expect("written");
        let (pages, skipped) = rig.view.journals(&rig.world).expect("read");
        let ending = |page: &crate::state::Page| {
            Upshot::decode(&page.outcome).map_or("under way".to_owned(), |upshot| upshot.ending.into_owned())
        };
        (pages.iter().map(ending).collect::<Vec<_>>(), skipped)
    };
    let mut exchanges: Vec<_> = (0..4).map(|_| Exchange::default()).collect();
    for exchange in &mut exchanges {
        rig.send(exchange, &hints, CHAT);
    }
    rig.take_a_place(&mut room, &exchanges[1]);
    rig.take_a_place(&mut room, &exchanges[2]);
    for _ in 0..9 {
        for waiting in exchanges[1..3].iter().filter_map(Exchange::waiting) {
            assert_eq!(waiting.place(&mut rig.cx()), Placing::Waits);
        }
    }
    assert_eq!(told(&mut rig), (vec!["under way".to_owned()], 0));

    let refused = exchanges[3].waiting().expect("undecided").turn_away(&mut rig.cx(), Some(Duration::ZERO));
    let explained: serde_json::Value = serde_json::from_str(&refused.explanation.expect("told")).expect("JSON");
    assert_eq!((&explained["backend"], &explained["attempts"]), (&serde_json::Value::Null, &serde_json::json!([])));
    assert_eq!(explained["backends"][0]["excluded"]["by"], "concurrency_limit");
    rig.world.pass_millis(1_000);
    for guest in room.overdue(&rig.world, rig.world.now()) {
        assert!(guest.request.give_up(&mut rig.cx()).explanation.is_some());
    }
    rig.answer(&mut exchanges[0], 200, 1, Some(ANSWER), 0);
    assert_eq!(
        told(&mut rig),
        (["success", "queue_full", "queue_timeout", "queue_timeout"].map(String::from).into(), 0)
    );

    // They are counted where there is no room for them.
    for n in 0..6 {
        let mut exchange = Exchange::default();
        assert_eq!(matches!(rig.send(&mut exchange, &[], CHAT), Flow::Wait), n > 0);
        if let Some(waiting) = exchange.waiting() {
            waiting.turn_away(&mut rig.cx(), Some(Duration::ZERO));
        }
    }
    assert_eq!(told(&mut rig).1, 2);
}

impl Rig {
    /// Sends a request; if it is to wait, it takes its place.
    fn comes(&mut self, room: &mut Room<Rc<Waiting>>, headers: &[(&str, &str)]) -> (Flow, Exchange) {
        let mut exchange = Exchange::default();
        let flow = self.send(&mut exchange, headers, CHAT);
        if flow == Flow::Wait {
            assert!(self.take_a_place(room, &exchange));
            self.round(room);
        }
        (flow, exchange)
    }

    /// What is done at each tick.
    fn renew(&mut self, room: &mut Room<Rc<Waiting>>) {
        let now = self.world.now();
        let Self { world, router, view } = self;
        let cx = Context { router, view, host: &*world };
        room.renew(world, now, |waiting| waiting.backends(&cx));
        self.round(room);
    }
}

fn is_placed(exchange: &Exchange) -> bool {
    exchange.waiting().is_some_and(|waiting| waiting.position().is_none())
}

fn refused(flow: &Flow) -> Option<RefusalCode> {
    if let Flow::Refuse(refusal) = flow { Some(refusal.code) } else { None }
}

/// One place at a backend whose breaker opens after two failures, one request that goes on waiting, and nothing under
/// way there.
fn waiting_before_an_open_breaker(panic_threshold: f64) -> (Rig, Room<Rc<Waiting>>, Exchange) {
    let breaker = serde_json::json!({ "failure_threshold": 2, "recovery_timeout_seconds": 600 });
    let mut rig = Rig::new(&serde_json::json!({
        "panic_threshold": panic_threshold,
        "retry": { "max_attempts": 1 },
        "backend_instances": { "a": { "max_concurrent_requests": 1, "circuit_breaker": breaker } },
        "queue": { "size": 50, "timeout_ms": 5_000 },
    }));
    let mut room = Room::default();
    let [mut first, mut second, third] = [(); 3].map(|()| rig.comes(&mut room, &[]).1);
    rig.answer(&mut first, 500, 1, Some("{}"), 0);
    rig.round(&mut room);
    assert!(is_placed(&second));
    rig.answer(&mut second, 500, 1, Some("{}"), 0);
    assert_eq!((rig.record("a").breaker.phase, rig.record("a").in_flight()), (BreakerPhase::Open, 0));
    (rig, room, third)
}

#[test]
fn an_open_breaker_is_not_waited_for_though_somebody_waited_before_it_opened() {
    let (mut rig, mut room, _third) = waiting_before_an_open_breaker(0.0);
    for _ in 0..4 {
        rig.world.pass_millis(1_000);
        let (flow, _) = rig.comes(&mut room, &[]);
        assert_eq!(refused(&flow), Some(RefusalCode::NoBackendAvailable));
    }
    rig.world.pass_millis(1_000);
    assert_eq!((room.overdue(&rig.world, rig.world.now()).len(), rig.depth()), (1, 0));
}

#[test]
fn where_the_fleet_panics_those_who_wait_are_served_by_whoever_is_ill_in_their_turn() {
    let (mut rig, mut room, mut third) = waiting_before_an_open_breaker(1.0);
    let mut fourth = Exchange::default();
    assert_eq!(rig.send(&mut fourth, &[], CHAT), Flow::Wait, "the place is kept for the third");
    rig.take_a_place(&mut room, &fourth);
    rig.round(&mut room);
    assert!(is_placed(&third) && !is_placed(&fourth));
    rig.answer(&mut third, 200, 1, Some(ANSWER), 0);
    rig.round(&mut room);
    assert!(is_placed(&fourth));
    rig.answer(&mut fourth, 200, 1, Some(ANSWER), 0);
    assert_eq!((rig.depth(), rig.record("a").in_flight()), (0, 0));
}

#[test]
fn a_backend_that_is_full_and_out_of_quota_is_not_waited_for() {
    let mut rig = rig();
    let place = rig.view.place(&rig.world, "a").expect("placed");
    let now = rig.world.now();
    let requests =
        crate::domain::Allowance { remaining: 0, limit: Some(100), resets: now.after(Duration::from_secs(60)) };
    let report = crate::domain::QuotaReport { requests: Some(requests), ..Default::default() };
    let mut room = Room::default();
    let (_, _first) = rig.comes(&mut room, GOOD);
    rig.view
        .change(&rig.world, place, now, |record| record.quota.note(&report, Tokens(0), None, now))
        .expect("changed");
    assert_eq!(refused(&rig.comes(&mut room, GOOD).0), Some(RefusalCode::RateLimited));
}

#[test]
fn nobody_is_kept_from_a_backend_that_those_who_wait_cannot_pay_for() {
    let mut rig = Rig::new(&serde_json::json!({
        "retry": { "max_attempts": 1 },
        "backend_instances": {
            "cheap": { "max_concurrent_requests": 1, "cost_per_1k_tokens": 0.0 },
            "dear": { "cost_per_1k_tokens": 900.0, "priority": 2 },
        },
        "cost": { "tenant_header": "x-tenant", "tenants": { "poor": { "daily_budget_usd": 0.001 } } },
        "queue": { "size": 3, "timeout_ms": 5_000 },
    }));
    let mut room = Room::default();
    let [(.., mut first), (second, _), (third, _)] = [(); 3].map(|()| rig.comes(&mut room, &[("x-tenant", "poor")]));
    assert_eq!((second, third, rig.depth()), (Flow::Wait, Flow::Wait, 2));
    let (flow, _rich) = rig.comes(&mut room, &[("x-tenant", "rich")]);
    assert_eq!((flow, rig.header("x-llm-cluster").as_deref()), (Flow::Continue, Some("dear")));
    rig.answer(&mut first, 200, 1, Some(ANSWER), 0);
    rig.round(&mut room);
    assert_eq!(rig.depth(), 1);
}

#[test]
fn a_backend_that_is_registered_serves_those_who_wait() {
    let mut rig = rig();
    let mut room = Room::default();
    let (_, _first) = rig.comes(&mut room, GOOD);
    let (_, second) = rig.comes(&mut room, GOOD);
    let (_, third) = rig.comes(&mut room, GOOD);
    for (id, body) in [("poor", r#"{"quality_score":0.2}"#), ("relief", r#"{"max_concurrent_requests":1}"#)] {
        let backend = config::commands::backend(id, body.as_bytes()).expect("a backend");
        let changed =
            rig.router.steering().change(&rig.world, Change::Set { backend: &backend, body, any_cluster: true });
        assert!(changed.expect("stored").is_ok());
        rig.router = rig.router.follow(&mut rig.view, &rig.world).expect("another router");
        rig.renew(&mut room);
    }
    assert_eq!(rig.header("x-llm-cluster").as_deref(), Some("relief"));
    assert!(is_placed(&second) && !is_placed(&third));
    let list = WaitingList::read(&rig.world, rig.world.now()).expect("read");
    let awaits = |id: &str| list.awaited().has(rig.router.config().backends.iter().find(|b| *b.id == *id).expect(id));
    assert_eq!(["a", "b", "poor", "relief"].map(awaits), [true, false, false, true]);
}

#[test]
fn what_is_free_does_not_wait_behind_those_who_do() {
    let (mut rig, mut room) = (rig(), Room::default());
    let (mut first, mut second) = (Exchange::default(), Exchange::default());
    assert_eq!(rig.send(&mut first, GOOD, CHAT), Flow::Continue);
    assert_eq!(rig.send(&mut second, GOOD, CHAT), Flow::Wait);
    assert!(rig.take_a_place(&mut room, &second));
    for (method, path) in [("GET", "/v1/models"), ("OPTIONS", "/v1/chat/completions"), ("POST", "/v1/moderations")] {
        let headers = [GOOD, &[(":method", method), (":path", path)]].concat();
        let mut exchange = Exchange::default();
        assert_eq!(rig.send(&mut exchange, &headers, "{}"), Flow::Continue, "{method} {path}");
        rig.answer(&mut exchange, 200, 1, Some("{}"), 0);
    }
    assert_eq!(rig.depth(), 1);
}
