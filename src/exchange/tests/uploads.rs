//! A place is taken when a request can be sent, and given back while its body does not flow.

use std::rc::Rc;

use serde_json::json;

use super::budget::{all, goes_to};
use super::*;
use crate::exchange::Waiting;
use crate::queue::Room;

const MIB: usize = 1 << 20;

/// Bodies that are not read, each of another shape.
const UNREAD: [&[(&str, &str)]; 4] = [
    &[(":path", "/upload"), ("content-length", "5000")],
    &[(":path", "/v1/files"), ("content-type", "multipart/form-data; boundary=b"), ("transfer-encoding", "chunked")],
    &[(":path", "/v1/chat/completions"), ("content-type", "text/plain"), ("content-length", "4194304")],
    &[(":path", "/v1beta/models/g:generateContent"), ("content-type", "text/plain"), ("content-length", "9000000")],
];

/// Bodies of which the rest is still to come when they are sent.
const SENT_BEFORE: [&[(&str, &str)]; 3] = [
    &[(":path", "/upload"), ("content-length", "90000000")],
    &[(":path", "/pkg.Service/Method"), ("content-type", "application/grpc+proto")],
    &[(":path", "/upload"), ("expect", "100-continue"), ("content-length", "90")],
];

/// A backend with four places, and a queue.
fn rig() -> Rig {
    Rig::new(&json!({
        "backend_instances": { "a": { "apis": ["openai", "gemini"], "max_concurrent_requests": 4, "cost_per_1k_tokens": 1 } },
        "cost": { "daily_budget_usd": 1_000 },
        "queue": { "size": 9, "timeout_ms": 1_000 },
    }))
}

impl Rig {
    fn tick(&mut self) {
        self.view.refresh(&self.world, self.world.now()).expect("refreshed");
    }

    /// So long, with a tick every 50 ms and so many bytes of a body before each.
    fn flow(&mut self, exchange: &mut Exchange, seconds: u64, bytes: usize) {
        for _ in 0..20 * seconds {
            self.world.pass_millis(50);
            if bytes > 0 {
                assert_eq!(self.body(exchange, bytes, false), Flow::Continue);
            }
            self.tick();
        }
    }

    fn busy(&mut self) -> u32 {
        self.record("a").in_flight()
    }

    /// A request that leaves before its body is there.
    fn leaves_before(&mut self, headers: &[(&str, &str)]) -> Exchange {
        let mut exchange = Exchange::default();
        if self.open(&mut exchange, &[headers]) == Flow::Hold {
            assert_eq!(self.body(&mut exchange, 4 * MIB, false), Flow::Continue, "{headers:?}");
        }
        assert_eq!(self.header("x-llm-cluster").as_deref(), Some("a"), "{headers:?}");
        exchange
    }
}

#[test]
fn four_clients_that_dribble_their_bodies_keep_no_place_from_anybody() {
    for headers in UNREAD {
        let mut rig = rig();
        let mut dribbling: Vec<_> = (0..4).map(|_| Exchange::default()).collect();
        for exchange in &mut dribbling {
            assert_eq!(rig.open(exchange, &[headers]), Flow::Hold);
        }
        for bytes in 1..100 {
            for exchange in &mut dribbling {
                assert_eq!(rig.body(exchange, bytes, false), Flow::Hold, "{headers:?}");
            }
            rig.world.pass_millis(500);
            rig.tick();
            let mut good = Exchange::default();
            assert_eq!(rig.send(&mut good, &[], CHAT), Flow::Continue, "{headers:?}");
            rig.answer(&mut good, 200, 1, Some(ANSWER), 0);
        }
        assert_eq!((rig.busy(), all(&rig).1), (0, 0));
        // Once it is there, it takes a place like any other.
        rig.world.request.replace(fake::headers(&[]));
        assert_eq!(rig.body(&mut dribbling[0], 5_000, true), Flow::Continue);
        assert_eq!(rig.busy(), 1);
        rig.answer(&mut dribbling[0], 200, 1, Some("{}"), 0);
        for exchange in &mut dribbling[1..] {
            rig.abort(exchange, 0);
        }
        assert_eq!((rig.busy(), all(&rig).1), (0, 0));
    }
}

#[test]
fn a_body_that_is_not_read_waits_for_a_place_once_it_is_there() {
    for headers in UNREAD {
        let (mut rig, mut room) = (rig(), Room::<Rc<Waiting>>::default());
        let mut first: Vec<_> = (0..4).map(|_| Exchange::default()).collect();
        for exchange in &mut first {
            assert_eq!(rig.send(exchange, &[], CHAT), Flow::Continue);
        }
        let mut upload = Exchange::default();
        assert_eq!(rig.open(&mut upload, &[headers]), Flow::Hold);
        assert_eq!(rig.body(&mut upload, 900, false), Flow::Hold);
        assert_eq!(rig.body(&mut upload, 5_000, true), Flow::Wait, "{headers:?}");
        assert!(rig.take_a_place(&mut room, &upload));
        rig.answer(&mut first[0], 200, 1, Some(ANSWER), 0);
        rig.round(&mut room);
        assert_eq!(rig.header("x-llm-cluster").as_deref(), Some("a"));
        rig.answer(&mut upload, 200, 1, Some("{}"), 0);
        assert_eq!(rig.busy(), 3);
    }
}

#[test]
fn bodies_that_stall_keep_no_probe_of_a_half_open_breaker() {
    for headers in SENT_BEFORE {
        let mut rig = Rig::new(&json!({
            "panic_threshold": 0, "retry": { "max_attempts": 1 },
            "backend_instances": { "a": {
                "circuit_breaker": { "failure_threshold": 2, "recovery_timeout_seconds": 10, "half_open_max_requests": 2 },
            } },
        }));
        for _ in 0..2 {
            let mut exchange = Exchange::default();
            assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
            rig.answer(&mut exchange, 500, 1, Some("{}"), 0);
        }
        assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open);
        rig.world.pass_seconds(30);
        rig.tick();
        let mut stalled: Vec<_> = (0..2).map(|_| rig.leaves_before(headers)).collect();
        let mut good = Exchange::default();
        assert!(matches!(rig.send(&mut good, &[], CHAT), Flow::Refuse(_)), "both probes are under way: {headers:?}");
        for exchange in &mut stalled {
            rig.flow(exchange, 3, 0);
        }
        for _ in 0..2 {
            let mut good = Exchange::default();
            assert_eq!(rig.send(&mut good, &[], CHAT), Flow::Continue, "{headers:?}");
            rig.answer(&mut good, 200, 1, Some(ANSWER), 0);
        }
        assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Closed, "{headers:?}");
        for exchange in &mut stalled {
            rig.abort(exchange, 1);
        }
        assert_eq!((rig.busy(), rig.record("a").breaker.probes), (0, 0));
    }
}

#[test]
fn a_body_that_stalls_gives_its_place_and_its_money_back_until_it_flows_again() {
    for headers in SENT_BEFORE {
        let mut rig = rig();
        let mut upload = rig.leaves_before(headers);
        let reserved = all(&rig).1;
        assert!(reserved > 0);
        assert_eq!((rig.busy(), all(&rig).1), (1, reserved), "it has just begun: {headers:?}");
        // A byte now and then is no flow.
        rig.flow(&mut upload, 2, 1);
        assert_eq!((rig.busy(), all(&rig).1), (0, 0), "{headers:?}");
        rig.flow(&mut upload, 1, 9_000);
        assert_eq!((rig.busy(), all(&rig).1), (1, reserved), "{headers:?}");
        rig.flow(&mut upload, 5, 0);
        assert_eq!(rig.busy(), 0);
        // Whoever has the places meanwhile keeps them: this one is sent already.
        let mut others: Vec<_> = (0..4).map(|_| Exchange::default()).collect();
        for exchange in &mut others {
            assert_eq!(rig.send(exchange, &[], CHAT), Flow::Continue);
        }
        assert_eq!(rig.body(&mut upload, 0, true), Flow::Continue);
        assert_eq!(rig.busy(), 5);
        rig.answer(&mut upload, 200, 1, Some("{}"), 0);
        assert_eq!(rig.busy(), 4);
        for exchange in &mut others {
            rig.answer(exchange, 200, 1, Some(ANSWER), 0);
        }
        assert_eq!((rig.busy(), all(&rig).1), (0, 0));
    }
}

#[test]
fn a_body_that_flows_steadily_keeps_no_place_for_ever() {
    for headers in SENT_BEFORE {
        for bytes in [450, 4_096, 200_000] {
            let mut rig = rig();
            let mut uploads: Vec<_> = (0..4).map(|_| rig.leaves_before(headers)).collect();
            let reserved = all(&rig).1;
            let mut flow = |rig: &mut Rig, ticks: usize| {
                for _ in 0..ticks {
                    rig.world.pass_millis(50);
                    for upload in &mut uploads {
                        assert_eq!(rig.body(upload, bytes, false), Flow::Continue);
                    }
                    rig.tick();
                }
            };
            flow(&mut rig, 60);
            assert_eq!((rig.busy(), all(&rig).1), (4, reserved), "{headers:?} {bytes}");
            assert_ne!(rig.send(&mut Exchange::default(), &[], CHAT), Flow::Continue, "all places are taken");
            flow(&mut rig, 25);
            for _ in 0..10 {
                assert_eq!((rig.busy(), all(&rig).1), (0, 0), "{headers:?} {bytes}");
                assert_eq!(goes_to(&mut rig, &[]), "a");
                flow(&mut rig, 20);
            }
            for upload in &mut uploads {
                assert_eq!(rig.body(upload, 1, true), Flow::Continue);
            }
            assert_eq!(rig.busy(), 4, "the backend works on them now");
            for upload in &mut uploads {
                rig.answer(upload, 200, 1, Some("{}"), 0);
            }
            rig.tick();
            assert_eq!((rig.busy(), all(&rig).1), (0, 0));
        }
    }
}

#[test]
fn however_an_upload_ends_it_is_counted_out_once() {
    type End = fn(&mut Rig, &mut Exchange);
    let ends: [(&str, End); 5] = [
        ("its client leaves", |rig, upload| rig.abort(upload, 1)),
        ("its last piece comes", |rig, upload| {
            rig.body(upload, 1, true);
            rig.answer(upload, 200, 1, Some("{}"), 0);
        }),
        ("it ends with trailers", |rig, upload| {
            upload.request_trailers(&mut rig.cx());
            rig.answer(upload, 200, 1, Some("{}"), 0);
        }),
        ("it is answered before", |rig, upload| rig.answer(upload, 413, 1, Some("{}"), 0)),
        ("it is retried", |rig, upload| rig.answer(upload, 200, 3, Some("{}"), 0)),
    ];
    for headers in SENT_BEFORE {
        for (end, ends) in ends {
            for stalled in [0, 1, 5] {
                let mut rig = rig();
                let mut upload = rig.leaves_before(headers);
                rig.flow(&mut upload, stalled, 0);
                ends(&mut rig, &mut upload);
                rig.tick();
                assert_eq!((rig.busy(), all(&rig).1), (0, 0), "{headers:?} {end} after {stalled} s");
            }
        }
    }
}

#[test]
fn a_worker_that_stood_still_gives_no_places_away_for_that() {
    let mut rig = rig();
    let mut upload = rig.leaves_before(SENT_BEFORE[0]);
    rig.flow(&mut upload, 3, 4_096);
    rig.world.pass_seconds(18);
    rig.tick();
    assert_eq!(rig.busy(), 1);
    rig.flow(&mut upload, 3, 4_096);
    assert_eq!(rig.busy(), 1);
    rig.flow(&mut upload, 3, 0);
    assert_eq!(rig.busy(), 0, "but for that it does not flow");
}

#[test]
fn a_tunnel_keeps_its_place_as_long_as_it_is_open() {
    for headers in [&[(":method", "GET"), ("upgrade", "websocket")][..], &[(":method", "CONNECT")]] {
        let mut rig = rig();
        let mut tunnel = Exchange::default();
        assert_eq!(rig.open(&mut tunnel, &[headers]), Flow::Continue);
        rig.flow(&mut tunnel, 30, 0);
        assert_eq!(rig.busy(), 1);
        rig.abort(&mut tunnel, 1);
        assert_eq!(rig.busy(), 0);
    }
}

proptest! {
    #[test]
    fn whatever_bodies_do_nothing_leaks(steps in prop::collection::vec((0..7_u8, 0..9_000_usize, any::<prop::sample::Index>()), 1..80)) {
        let mut rig = Rig::new(&json!({
            "backend_instances": { "a": { "cost_per_1k_tokens": 1 } }, "cost": { "daily_budget_usd": 100_000 },
        }));
        let mut open: Vec<Exchange> = Vec::new();
        for (event, bytes, which) in steps {
            match event {
                0 => open.push(rig.leaves_before(SENT_BEFORE[bytes % 3])),
                1 => {
                    let mut exchange = Exchange::default();
                    prop_assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
                    open.push(exchange);
                }
                2 => for _ in 0..bytes / 200 {
                    rig.world.pass_millis(50);
                    rig.tick();
                },
                3 => rig.world.pass_seconds(18),
                4 | 5 if !open.is_empty() => {
                    let which = which.index(open.len());
                    rig.body(&mut open[which], bytes, event == 5);
                }
                6 if !open.is_empty() => {
                    let which = which.index(open.len());
                    let mut exchange = open.swap_remove(which);
                    rig.answer(&mut exchange, if bytes % 2 == 0 { 200 } else { 0 }, 1, None, 1 << 14);
                }
                _ => {}
            }
            prop_assert!(rig.busy() as usize <= open.len());
        }
        for mut exchange in open {
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        }
        rig.tick();
        prop_assert_eq!((rig.busy(), all(&rig).1), (0, 0));
    }
}

/// What a client announces of its body is not believed when it waits: nothing may be held for it.
#[test]
fn what_is_sent_before_its_end_does_not_wait_for_a_place() {
    for headers in SENT_BEFORE {
        let mut rig = rig();
        let mut first: Vec<_> = (0..4).map(|_| Exchange::default()).collect();
        for exchange in &mut first {
            assert_eq!(rig.send(exchange, &[], CHAT), Flow::Continue);
        }
        let mut upload = Exchange::default();
        let mut flow = rig.open(&mut upload, &[headers]);
        if flow == Flow::Hold {
            flow = rig.body(&mut upload, 4 * MIB, false);
        }
        assert!(matches!(flow, Flow::Refuse(refusal) if refusal.code == RefusalCode::RateLimited), "{headers:?}");
    }
}
