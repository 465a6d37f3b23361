//! Requests that wait for a place.

use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::exchange::{Upshot, Waiting};
use crate::host::fake;
use crate::queue::{Passed, Placing, Room};
use crate::state::WaitingList;

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
