//! Alerts, from the records to the webhook.

use super::*;
use crate::alerts::{Board, KEY};
use crate::cost::Claim;
use crate::domain::{BackendIndex, Limits, PicoUsd, Span, Tokens};
use crate::host::fake::Call;
use crate::metrics::{Metric, TenantIndex};
use crate::state::{AccountKey, Counted, Line, Spent};
use crate::tokens::Pair;

/// Backends a and b, and a webhook.
pub(super) fn alerting() -> Value {
    json!({"backend_instances": {"a": {}, "b": {}}, "alerts": {"webhook_cluster": "hooks", "webhook_path": "/in"}})
}

pub(super) fn open(rig: &mut Rig, id: &str, is_open: bool) {
    let now = rig.world.now();
    let (_, backend, place) = rig.vm.router.places().find(|(_, backend, _)| *backend.id == *id).expect("known");
    let settings = backend.breaker.expect("a breaker");
    let turn = |record: &mut Record| {
        if is_open { record.breaker.open_by_hand(&settings, now) } else { record.breaker.close_by_hand(now) }
    };
    rig.vm.view.change(&rig.world, place, now, turn).expect("changed");
}

fn calls(rig: &Rig) -> Vec<Call> {
    rig.world.calls.borrow().iter().filter(|call| call.cluster == "hooks").cloned().collect()
}

/// Of each call: what it says of which alert.
fn letters(rig: &Rig) -> Vec<String> {
    let one =
        |alert: &Value| format!("{} {}", alert["status"].as_str().unwrap(), alert["alert_name"].as_str().unwrap());
    let letter = |call: &Call| {
        let body: Value = serde_json::from_str(&call.body).expect("JSON");
        body["alerts"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(", ")
    };
    calls(rig).iter().map(letter).collect()
}

pub(super) fn board(world: &World) -> Board {
    Board::decode(&crate::state::Store::get(&world.store, KEY).expect("readable").expect("there").0)
}

#[test]
fn what_goes_wrong_together_is_one_call_and_its_end_another() {
    let mut rig = Rig::new(&alerting());
    rig.run(2_000, Some(5));
    open(&mut rig, "a", true);
    open(&mut rig, "b", true);
    rig.run(10_000, Some(5));
    assert_eq!(
        letters(&rig),
        ["firing circuit_breaker_opened, firing circuit_breaker_opened", "firing low_availability"],
        "availability is given three seconds"
    );
    let call = &calls(&rig)[0];
    let header = |name: &str| call.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!((header(":method"), call.path.as_str(), header(":authority")), (Some("POST"), "/in", Some("hooks")));
    assert_eq!(header("content-type"), Some("application/json"));
    open(&mut rig, "a", false);
    open(&mut rig, "b", false);
    rig.run(10_000, Some(5));
    assert_eq!(letters(&rig).len(), 3);
    assert_eq!(letters(&rig)[2].matches("resolved").count(), 3);
    assert_eq!((rig.metric("alerts_total"), rig.metric("deliveries_total.result.delivered")), (6, 3));
    assert_eq!(rig.metric("alerts_total.alert.circuit_breaker_opened.state.raised"), 2);
    let levels = rig.lines("alert");
    assert_eq!(levels, [[LogLevel::Warn; 3], [LogLevel::Info; 3]].concat());
    assert!(
        rig.world.lines().iter().any(|line| line.contains(r#""message":"the circuit breaker of a opened: by_hand""#))
    );
}

#[test]
fn availability_is_low_where_operators_and_budgets_leave_too_few() {
    let mut rig = Rig::new(&json!({"backend_instances": {
        "a": {}, "b": {}, "c": {}, "poor": {"cost_per_1k_tokens": 1, "daily_budget_usd": 0.001},
    }}));
    let low = |rig: &Rig| board(&rig.world).active().any(|alert| alert.kind.name() == "low_availability");
    let drain = |rig: &mut Rig, id: &str| {
        let change = Change::Drain { id, reason: "", by: "", now: rig.world.now() };
        assert!(rig.vm.router.steering().change(&rig.world, change).expect("stored").is_ok());
        rig.vm.follow(&rig.world);
    };
    drain(&mut rig, "a");
    rig.run(10_000, None);
    assert!(!low(&rig), "two of four");
    drain(&mut rig, "b");
    rig.run(10_000, None);
    assert!(low(&rig), "one of four");
    drain(&mut rig, "c");
    open(&mut rig, "poor", true);
    rig.run(10_000, None);
    assert!(low(&rig));
    assert_eq!(rig.metric("alerts_total.alert.low_availability.state.raised"), 1);
}

#[test]
fn a_webhook_that_is_down_is_told_later_and_once() {
    for down in ["missing", "503", "no answer"] {
        let mut rig = Rig::new(&alerting());
        rig.run(2_000, Some(5));
        match down {
            "missing" => rig.world.missing.set("hooks"),
            _ => rig.world.call_status.set(503),
        }
        open(&mut rig, "a", true);
        rig.run(20_000, (down != "no answer").then_some(5));
        let tries = calls(&rig).len();
        assert!((2..=6).contains(&tries), "{down}: {tries}");
        rig.world.missing.set("");
        rig.world.call_status.set(204);
        rig.run(40_000, Some(5));
        assert_eq!(rig.metric("deliveries_total.result.delivered"), 1, "{down}");
        assert!(letters(&rig).iter().all(|letter| letter == "firing circuit_breaker_opened"), "{down}");
        assert!(board(&rig.world).outbox.is_empty());
        assert_eq!(rig.lines("alert_delivery"), [LogLevel::Warn, LogLevel::Info], "{down}");
        assert_eq!(rig.metric("deliveries_total.result.failed"), calls(&rig).len() as u64 - 1, "{down}");
    }
}

#[test]
fn four_hundred_alerts_that_a_webhook_missed_are_told_later_a_hundred_in_a_call() {
    let ids: Vec<_> = (0..200).map(|n| format!("b{n:03}")).collect();
    let backends: serde_json::Map<_, _> = ids.iter().map(|id| (id.clone(), json!({}))).collect();
    let config = json!({"backend_instances": backends,
        "alerts": {"webhook_cluster": "hooks", "webhook_path": "/in", "min_interval_seconds": 0}});
    let mut rig = Rig::new(&config);
    rig.run(1_000, Some(5));
    rig.world.call_status.set(503);
    for is_open in [true, false] {
        for id in &ids {
            open(&mut rig, id, is_open);
        }
        rig.run(4_000, Some(5));
    }
    let failed = letters(&rig).len();
    assert!(failed > 0 && rig.metric("deliveries_total.result.delivered") == 0);
    rig.world.call_status.set(204);
    while !board(&rig.world).outbox.is_empty() {
        rig.run(500, Some(5));
    }
    let told: Vec<_> = letters(&rig)[failed..].iter().map(|letter| letter.matches(", ").count() + 1).collect();
    // Two hundred breakers and the availability, raised and cleared.
    assert_eq!(told, [100, 100, 100, 100, 2]);
    assert_eq!(rig.metric("deliveries_total.result.lost"), 0);
}

#[test]
fn a_webhook_that_refuses_is_not_asked_again() {
    for status in [301, 308, 404] {
        let mut rig = Rig::new(&alerting());
        rig.run(2_000, Some(5));
        rig.world.call_status.set(status);
        open(&mut rig, "a", true);
        rig.run(60_000, Some(5));
        assert_eq!((calls(&rig).len(), rig.metric("deliveries_total.result.refused")), (1, 1), "{status}");
        assert_eq!(rig.lines("alert_delivery"), [LogLevel::Warn; 2], "it was refused, and so an alert is lost");
        assert_eq!(rig.metric("deliveries_total.result.lost"), 1);
        assert_eq!(board(&rig.world).active().count(), 1);
    }
}

#[test]
fn an_answer_that_cannot_be_noted_at_once_is_noted_later_and_nothing_is_sent_twice() {
    let mut rig = Rig::new(&alerting());
    rig.run(2_000, Some(5));
    open(&mut rig, "a", true);
    rig.run(1_500, None);
    let call = calls(&rig)[0].id;
    rig.world.unwritable.set(true);
    rig.vm.hear(&rig.world, call, true);
    rig.run(2_000, Some(5));
    rig.world.unwritable.set(false);
    rig.run(60_000, Some(5));
    assert_eq!(calls(&rig).len(), 1);
    assert!(board(&rig.world).outbox.is_empty());
}

#[test]
fn two_leaders_and_a_new_one_tell_nothing_twice_and_lose_nothing() {
    let mut rig = Rig::new(&alerting());
    rig.run(2_000, Some(5));
    let mut second = Vm::new(&rig.world, 2, &alerting());
    let mut story = 0;
    // The first stands still again and again for longer than its lease, so that both lead for a while.
    for round in 0..400_u64 {
        if round % 40 == 10 {
            open(&mut rig, "a", story % 2 == 0);
            story += 1;
        }
        let before = rig.world.calls.borrow().len();
        if round % 40 < 12 || round % 40 > 36 {
            rig.vm.tick(&rig.world);
        }
        let made_by_first = rig.world.calls.borrow().len();
        second.tick(&rig.world);
        let made = rig.world.calls.borrow().len();
        rig.world.pass_millis(5);
        for n in before..made {
            let vm = if n < made_by_first { &mut rig.vm } else { &mut second };
            vm.hear(&rig.world, CallId(n as u32), true);
        }
        rig.world.pass_millis(145);
    }
    let told = letters(&rig).join(", ");
    // All within five minutes: it is told of once.
    assert_eq!(told, "firing circuit_breaker_opened, resolved circuit_breaker_opened");
    let (raised, cleared) = (rig.metric("state.raised"), rig.metric("state.cleared"));
    assert_eq!((raised, cleared), (5, 5), "{:?}", rig.world.lines());
    assert_eq!(board(&rig.world).recent().count(), 5);
}

#[test]
fn while_configurations_are_swapped_only_the_new_one_watches() {
    let mut rig = Rig::new(&alerting());
    rig.run(2_000, Some(5));
    open(&mut rig, "b", true);
    rig.run(2_000, Some(5));
    let only_a = json!({"backend_instances": {"a": {}}, "alerts": {"webhook_cluster": "hooks"}});
    let (router, mut upkeep) = configured(&rig.world, &mut rig.vm.view, &only_a);
    for _ in 0..200 {
        rig.run(50, Some(0));
        upkeep.tick(&router, &mut rig.vm.view, &rig.world);
        for call in calls(&rig).iter().rev().take(1) {
            let answer = Answer { call: call.id, headers: 2, body: 0 };
            upkeep.answered(&router, &mut rig.vm.view, &rig.world, &answer);
        }
    }
    assert_eq!(letters(&rig), ["firing circuit_breaker_opened", "resolved circuit_breaker_opened"], "b is gone");
    assert_eq!((rig.metric("state.raised"), rig.metric("state.cleared")), (1, 1));
}

#[test]
fn an_admin_interface_that_cannot_be_read_is_an_alert_until_it_can() {
    let mut config = watching();
    config["alerts"] = json!({"min_interval_seconds": 0});
    let mut rig = Rig::new(&config);
    rig.says(&picture(&[]));
    rig.run(3_000, Some(3));
    rig.world.missing.set("admin");
    rig.run(2_900, Some(3));
    assert_eq!(rig.metric("alerts_total"), 0, "the last picture still holds");
    rig.run(20_000, Some(3));
    assert_eq!(rig.metric("alerts_total.alert.envoy_admin_unreadable.state.raised"), 1);
    rig.world.missing.set("");
    rig.run(10_000, Some(3));
    assert_eq!(rig.metric("alerts_total.alert.envoy_admin_unreadable.state.cleared"), 1);
    rig.says(&picture(&["a"]));
    rig.run(3_000, Some(3));
    let board = board(&rig.world);
    let alert = board.active().next().expect("one");
    assert_eq!((alert.kind.name(), alert.backend.as_deref()), ("backend_unhealthy", Some("a")));
}

/// The first hour of a day, in seconds.
const MIDNIGHT: u64 = 86_400 * 20_000;

/// At work since a little after midnight.
fn budgeted(config: &Value) -> Rig {
    let mut rig = Rig::new(config);
    rig.world.set_seconds(MIDNIGHT + 60);
    rig.run(2_000, Some(5));
    rig
}

/// Somebody pays so many cents.
pub(super) fn spend(rig: &mut Rig, accounts: &[AccountKey], cents: u64) {
    let now = rig.world.now();
    let line = |&account| Line { account, limits: Limits::default(), claim: Claim::default(), paces: false };
    let lines: Vec<_> = accounts.iter().map(line).collect();
    let (reservation, written) = rig.vm.view.transfer(&rig.world, None, &lines, now);
    written.expect("written");
    let spent = Spent { cost: PicoUsd(10_000_000_000 * cents), tokens: Tokens(0) };
    rig.vm.view.settle(&rig.world, &reservation, spent, now).expect("written");
    rig.run(1_000, Some(5));
}

/// What is active, the latest first, as people are told.
fn messages(rig: &Rig) -> Vec<String> {
    board(&rig.world).active().map(crate::alerts::Alert::message).collect()
}

#[test]
fn each_threshold_of_each_budget_is_told_once_in_each_window_and_ends_with_it() {
    let mut config = alerting();
    config["backend_instances"]["b"]["daily_budget_usd"] = 10.into();
    config["cost"] = json!({"hourly_budget_usd": 1, "tenants": {"ann": {"daily_budget_usd": 2}, "bob": {}}});
    let mut rig = budgeted(&config);
    let (all, ann, bob) = (AccountKey::ALL, AccountKey::of_tenant("ann"), AccountKey::of_tenant("bob"));
    spend(&mut rig, &[all, bob, AccountKey::of_backend("b")], 69);
    assert_eq!(messages(&rig), [""; 0]);
    spend(&mut rig, &[all, bob], 1);
    assert_eq!(messages(&rig), ["0.7 of the hour's budget is spent, at least 0.7"]);
    spend(&mut rig, &[all], 30);
    assert_eq!(
        messages(&rig)[..2],
        ["1 of the hour's budget is spent, at least 1", "1 of the hour's budget is spent, at least 0.9"]
    );
    spend(&mut rig, &[ann], 150);
    spend(&mut rig, &[AccountKey::of_backend("b")], 700);
    assert_eq!(
        messages(&rig)[..2],
        [
            "0.769 of the day's budget of backend b is spent, at least 0.7",
            "0.75 of the day's budget of tenant ann is spent, at least 0.7"
        ]
    );
    let body: Value = serde_json::from_str(&calls(&rig)[1].body).expect("JSON");
    let ids: Vec<_> =
        body["alerts"].as_array().unwrap().iter().map(|alert| alert["severity"].as_str().unwrap()).collect();
    assert_eq!(ids, ["warning", "critical"]);
    let body: Value = serde_json::from_str(&calls(&rig)[2].body).expect("JSON");
    let alert = &body["alerts"][0];
    assert_eq!((&alert["tenant"], &alert["alert_name"]), (&json!("ann"), &json!("daily_budget_threshold")));
    assert!(alert["alert_id"].as_str().unwrap().starts_with("daily_budget_threshold-all-ann-700-"), "{alert}");

    // Near the full hour: the day's stay.
    rig.world.set_seconds(MIDNIGHT + 3_599);
    rig.run(2_000, Some(5));
    assert_eq!((messages(&rig).len(), rig.metric("hourly_budget_threshold.state.cleared")), (2, 3));
    // The clock steps back, and what is over does not begin again.
    rig.world.set_seconds(MIDNIGHT + 3_598);
    rig.run(3_000, Some(5));
    assert_eq!(rig.metric("hourly_budget_threshold.state.raised"), 3);
    spend(&mut rig, &[all], 95);
    assert_eq!((messages(&rig).len(), rig.metric("hourly_budget_threshold.state.raised")), (4, 5));
    rig.world.set_seconds(MIDNIGHT + 86_401);
    rig.run(5_000, Some(5));
    assert_eq!(messages(&rig), [""; 0]);
    assert_eq!((rig.metric("state.raised"), rig.metric("state.cleared")), (7, 7));
    assert!(board(&rig.world).outbox.is_empty());
}

#[test]
fn operators_choose_the_thresholds_and_may_choose_none() {
    for (thresholds, raised) in [(json!([]), 0), (json!([0.5]), 1), (json!([0.5, 0.25, 0.75]), 2)] {
        let mut config = alerting();
        config["cost"] = json!({"daily_budget_usd": 1, "alert_thresholds": thresholds});
        let mut rig = budgeted(&config);
        spend(&mut rig, &[AccountKey::ALL], 60);
        assert_eq!(rig.metric("state.raised"), raised);
    }
}

#[test]
fn gauges_of_spending_exist_from_the_start_where_anything_is_limited() {
    let gauges = |config: &Value| {
        let mut rig = Rig::new(config);
        rig.run(100, None);
        let (b, ann, bob) = (BackendIndex(1), TenantIndex(0), TenantIndex(1));
        let all = Span::ALL.map(|span| {
            [
                Metric::BudgetSpent(span),
                Metric::BackendSpent(b, span),
                Metric::TenantSpent(ann, span),
                Metric::TenantSpent(bob, span),
            ]
        });
        let figures = rig.world.figures.borrow();
        all.concat().into_iter().map(|metric| figures.get(&metric).copied()).collect::<Vec<_>>()
    };
    let mut config = alerting();
    for cost in [
        json!({"daily_budget_usd": 9, "tenants": {"ann": {}, "bob": {}}}),
        json!({"tenants": {"ann": {"max_requests_per_minute": 5}, "bob": {}}}),
        json!({"tenants": {"ann": {}, "bob": {"hourly_budget_usd": 1}}}),
    ] {
        config["cost"] = cost;
        assert_eq!(gauges(&config), [Some(0); 8], "{}", config["cost"]);
    }
    config["cost"] = json!({"tenants": {"ann": {}, "bob": {}}});
    assert_eq!(gauges(&config), [None; 8], "nothing is limited, and nothing counted");
}

#[test]
fn tenants_that_a_metric_cannot_tell_apart_are_shown_together() {
    let mut config = alerting();
    config["cost"] = json!({"daily_budget_usd": 9, "tenants": {"a.b": {}, "a_b": {}, "a-b": {}}});
    let mut rig = Rig::new(&config);
    spend(&mut rig, &[AccountKey::of_tenant("a.b"), AccountKey::of_tenant("a-b")], 3);
    spend(&mut rig, &[AccountKey::of_tenant("a_b")], 4);
    let tenants = rig.vm.router.config().cost.tenants.clone();
    for (index, tenant) in tenants.iter().enumerate() {
        let shown = Host::read(&rig.world, Metric::TenantSpent(TenantIndex(index as u16), Span::Day));
        let expected = if &*tenant.name == "a-b" { 30_000 } else { 70_000 };
        assert_eq!(shown, Some(expected), "{}", tenant.name);
    }
}

#[test]
fn what_is_spent_is_shown_of_all_of_each_backend_and_of_each_tenant() {
    let mut config = alerting();
    config["cost"] = json!({"daily_budget_usd": 9, "tenants": {"ann": {}, "bob": {}}});
    let mut rig = Rig::new(&config);
    spend(&mut rig, &[AccountKey::ALL, AccountKey::of_backend("b"), AccountKey::of_tenant("bob")], 3);
    let gauge = |rig: &Rig, metric| Host::read(&rig.world, metric).expect("a gauge");
    let (b, ann, bob) = (BackendIndex(1), TenantIndex(0), TenantIndex(1));
    for span in Span::ALL {
        let shown = [
            Metric::BudgetSpent(span),
            Metric::BackendSpent(b, span),
            Metric::TenantSpent(bob, span),
            Metric::TenantSpent(ann, span),
        ];
        assert_eq!(shown.map(|metric| gauge(&rig, metric)), [30_000, 30_000, 30_000, 0]);
    }
    rig.world.set_seconds(3_700);
    rig.run(100, None);
    assert_eq!(
        (gauge(&rig, Metric::TenantSpent(bob, Span::Hour)), gauge(&rig, Metric::TenantSpent(bob, Span::Day))),
        (0, 30_000)
    );
    super::super::retire(rig.vm.router.config(), None, &rig.world);
    assert_eq!(
        (gauge(&rig, Metric::TenantSpent(bob, Span::Day)), gauge(&rig, Metric::BackendSpent(b, Span::Day))),
        (0, 0)
    );
    let tenants = [config::Tenant { name: "a.b@c".into(), limits: Limits::default() }];
    assert_eq!(
        Metric::TenantSpent(ann, Span::Day).name(&[], &tenants),
        "loadbalancer_tenant_spent_micro_usd.window.day.tenant.a_b@c"
    );
}

#[test]
fn a_provider_that_begins_to_count_otherwise_is_an_alert_until_it_stops_or_for_a_day() {
    let mut rig = Rig::new(&alerting());
    let answers = |rig: &mut Rig, number: u64, reported: u64| {
        let [a, b] = ["a", "b"].map(|id| rig.vm.view.place(&rig.world, id).expect("placed"));
        for n in 0..number {
            let counted = Counted {
                estimated: Tokens(1_000),
                reported: Tokens(reported + n % 100),
                pair: Pair::default(),
                client: 0,
            };
            rig.vm.view.auditor().count(a, Some("gpt\n4".into()), counted);
            rig.vm.view.auditor().count(b, None, Counted { reported: Tokens(900), ..counted });
            rig.run(250, Some(0));
        }
    };
    answers(&mut rig, 200, 1_000);
    assert_eq!(rig.metric("alerts_total"), 0);
    answers(&mut rig, 50, 1_500);
    assert_eq!(
        messages(&rig),
        [
            "a counts 1.5 tokens for each that is estimated in prompts to gpt_4, 1.041 before: what it bills has changed, \
          or something is counted twice"
        ]
    );
    let body: Value = serde_json::from_str(&calls(&rig)[0].body).expect("JSON");
    assert_eq!((&body["alerts"][0]["model"], &body["alerts"][0]["backend_id"]), (&json!("gpt_4"), &json!("a")));
    answers(&mut rig, 60, 1_000);
    assert_eq!((messages(&rig).len(), rig.metric("usage_drift.state.cleared")), (0, 1));
    answers(&mut rig, 50, 2_000);
    assert_eq!(rig.metric("usage_drift.state.raised"), 2);
    rig.world.pass_seconds(86_400);
    answers(&mut rig, 60, 2_000);
    assert_eq!((messages(&rig).len(), rig.metric("usage_drift.state.cleared")), (0, 2));
}

#[test]
fn a_quiet_world_writes_nothing() {
    let mut rig = Rig::new(&alerting());
    rig.run(2_000, Some(5));
    rig.world.written.take();
    rig.run(60_000, Some(5));
    assert!(!rig.world.written.take().iter().any(|key| key == KEY));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_the_clock_and_the_webhook_do_all_that_was_told_is_ended_at_last(
        events in prop::collection::vec((0..8_u8, 0..5_000_u64), 0..80)
    ) {
        let mut config = alerting();
        config["alerts"]["min_interval_seconds"] = 1.into();
        let mut rig = Rig::new(&config);
        rig.run(2_000, Some(0));
        for (event, step) in events {
            let (now, start) = (rig.world.now.get(), World::START.as_micros());
            match event {
                0 => rig.world.now.set(now.saturating_sub(1_000 * step).max(start)),
                1 => rig.run(step, Some(3)),
                2 => rig.world.pass_seconds(step / 100),
                3 => {
                    let calls = rig.world.calls.borrow().len() as u64;
                    rig.vm.hear(&rig.world, CallId((step % calls.max(1)) as u32), step % 3 > 0);
                }
                4 => rig.world.call_status.set([200, 503, 404, 429][(step % 4) as usize]),
                5 => rig.world.unwritable.set(step % 3 == 0),
                _ if !rig.world.unwritable.get() => open(&mut rig, ["a", "b"][(step % 2) as usize], step % 3 > 0),
                _ => {}
            }
        }
        rig.world.unwritable.set(false);
        rig.world.call_status.set(200);
        rig.run(5_000, Some(0));
        open(&mut rig, "a", false);
        open(&mut rig, "b", false);
        rig.run(200_000, Some(0));
        prop_assert!(board(&rig.world).active().next().is_none() && board(&rig.world).outbox.is_empty());
        prop_assert_eq!(rig.metric("state.raised"), rig.metric("state.cleared"));
    }
}
