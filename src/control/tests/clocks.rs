//! The wall clock is set while the router runs, or the machine sleeps: what is told of moments is by the clock that an
//! operator looks at.

use std::time::Duration;

use super::*;
use crate::alerts::{AlertKind, Board, Costs, KEY, Reading, Sign, Terms, letter};
use crate::domain::{Calendar, Misrouting};
use crate::health::{Checkup, Form};
use crate::state::{Store, note_refused};

const DAY: i64 = 86_400 * 1_000_000;

/// Every endpoint that answers GET.
const SHOWN: [&str; 10] = [
    "/health",
    "/metrics",
    "/analytics",
    "/strategy",
    "/backends",
    "/backends/a",
    "/budget",
    "/alerts",
    "/decisions",
    "/version",
];

impl Rig {
    /// Sets the wall clock so far from the moments; the next tick sees it.
    fn set_clock(&mut self, ahead: i64) {
        self.world.ahead.set(ahead);
        let calendar = Calendar::at(self.world.now(), self.world.date());
        self.workers.iter_mut().for_each(|worker| worker.view.set_calendar(calendar));
    }

    /// Something has happened of each kind that is told of with its moment.
    fn eventful() -> Self {
        let mut rig = Self::new(
            &json!({ "strategy": "round_robin", "client_hints": ["explain"], "backend_instances": {
            "a": { "health_check": { "path": "/health" } }, "b": { "hourly_budget_usd": 1, "cost_per_1k_tokens": 1 }, "c": {} } }),
        );
        rig.send_and_answer(200, 1);
        rig.send_and_answer(503, 2);
        let now = rig.world.now();
        let Worker { router, view } = &mut rig.workers[0];
        let checkup = Checkup::read(200, &br#"{"status":"healthy"}"#[..], Form::Status);
        let settings = router.config().backends[0].probe.clone().unwrap();
        let (_, _, place) = router.places().next().unwrap();
        let change = |record: &mut Record| {
            record.probes.observe(&checkup, Duration::ZERO, &settings, now);
            record.observe_answer(true, now);
        };
        view.change(&rig.world, place, now, change).unwrap();
        view.sightings().add(Misrouting::ALL[0], router.configuration(), ("a", "b"), now);
        view.write_sightings(&rig.world).unwrap();
        for call in ["/circuit-breaker/b/open", "/backends/c/drain"] {
            assert_eq!(rig.call(0, "POST", call, &[], b"").status, 200);
        }
        let mut board = Board::default();
        let bad = |id| Reading::new(AlertKind::BreakerOpened, Some(id), Sign::Bad, 2_000, 2_000);
        let terms = Terms { is_sent: true, min_interval: Duration::ZERO, costs: Costs::default() };
        board.observe(&[bad("a"), bad("b")], terms, now);
        board.observe(&[bad("b")], terms, now);
        rig.world.store.set(KEY, &board.encode(), None).unwrap();
        note_refused(&rig.world, "x", now).unwrap();
        rig.tick();
        rig
    }
}

/// Every date that a document tells, with where it stands.
fn dates(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| dates(value, &format!("{path}/{key}"), found)),
        Value::Array(items) => items.iter().for_each(|value| dates(value, path, found)),
        Value::String(text) if text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T' => {
            found.push((path.to_owned(), text.clone()));
        }
        _ => {}
    }
}

#[test]
fn whatever_is_told_with_its_moment_is_dated_by_the_wall_clock_of_now() {
    let mut rig = Rig::eventful();
    // The world began a thousand seconds after the epoch.
    for (ahead, days) in [
        (0, ["1970-01-01", "1970-01-02"]),
        (400 * DAY, ["1971-02-05", "1971-02-06"]),
        (3 * DAY, ["1970-01-04", "1970-01-05"]),
    ] {
        rig.set_clock(ahead);
        let mut found = Vec::new();
        for endpoint in SHOWN {
            dates(&rig.get(1, endpoint), endpoint, &mut found);
        }
        dates(&rig.explain(&[], CHAT), "/explain", &mut found);
        for (method, call, body) in [
            ("PUT", "/strategy", r#"{"strategy":"round_robin"}"#),
            ("POST", "/circuit-breaker/b/open", ""),
            ("PUT", "/weights", r#"{"a":1}"#),
            ("POST", "/backends/c/drain", ""),
        ] {
            let reply = rig.call(1, method, call, &[], body.as_bytes());
            dates(&serde_json::from_str(&reply.body).unwrap(), call, &mut found);
        }
        // That is a metric of Envoy's, which keeps the date of then.
        found.retain(|(path, _)| path != "/metrics/failover_events/last_failover");
        for (path, date) in &found {
            // Of what was counted by the calendar, nothing follows the clock: it says when its hour or day ends.
            assert!(days.contains(&&date[..10]), "{path}: {date}");
        }
        for told in [
            "/health/health_status/openai/a/last_check",
            "/health/health_status/openai/a/last_answer",
            "/health/health_status/openai/b/breaker/since",
            "/health/health_status/openai/b/breaker/retry_at",
            "/health/configuration_warnings/first_seen",
            "/health/refused_configuration/refused_at",
            "/version/refused_configuration/refused_at",
            "/backends/backends/draining/since",
            "/backends/backends/circuit_breaker/retry_at",
            "/alerts/active/raised_at",
            "/alerts/recent/cleared_at",
            "/decisions/decisions/time",
            "/budget/overall/day/resets_at",
            "/strategy/strategy_change/change_timestamp",
            "/explain/backends/excluded/retry_at",
            "/circuit-breaker/b/open/circuit_breaker_change/retry_at",
            "/weights/weights_change/change_timestamp",
            "/backends/c/drain/drain_change/change_timestamp",
        ] {
            assert!(found.iter().any(|(path, _)| path == told), "{told} is not among {found:#?}");
        }
    }
}

#[test]
fn news_is_dated_by_the_wall_clock_of_the_call_and_known_by_the_same_id_in_each() {
    let mut rig = Rig::eventful();
    let (bytes, _) = rig.world.store.get(KEY).unwrap().unwrap();
    let news = Board::decode(&bytes).outbox.take(rig.world.now().after(Duration::from_secs(1))).unwrap().news;
    let mut told = |ahead| {
        rig.set_clock(ahead);
        let body: Value = serde_json::from_str(&letter(&news, rig.workers[0].view.calendar())).unwrap();
        let alert = &body["alerts"][0];
        [&alert["raised_at"], &alert["alert_id"]].map(|value| value.as_str().unwrap().to_owned())
    };
    let (before, after) = (told(0), told(400 * DAY));
    assert_eq!((&before[0][..10], &after[0][..10]), ("1970-01-01", "1971-02-05"));
    assert_eq!(before[1], after[1]);
}

#[test]
fn what_is_explained_in_a_header_is_dated_by_the_wall_clock() {
    let mut rig = Rig::eventful();
    rig.set_clock(400 * DAY);
    let headers = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("x-llm-explain", "1"),
    ];
    rig.world.request.replace(fake::headers(&headers));
    rig.world.request_body.replace(CHAT.into());
    let Worker { router, view } = &mut rig.workers[0];
    let mut cx = Context { router, view, host: &rig.world };
    let mut exchange = Exchange::default();
    exchange.request_headers(&mut cx, false);
    exchange.request_body(&mut cx, CHAT.len(), true);
    rig.world.response.replace(fake::headers(&[(":status", "200"), ("content-encoding", "br")]));
    exchange.response_headers(&mut cx, true);
    let header = rig.world.response_header("x-llm-explain").unwrap();
    let mut found = Vec::new();
    dates(&serde_json::from_str(&header).unwrap(), "", &mut found);
    assert!(found.len() >= 2 && found.iter().all(|(_, date)| date.starts_with("1971-02-05")), "{header}");
}
