//! Alerts of budgets go to a webhook of their own, where there is one.

use super::alerts::{alerting, board, open, spend};
use super::*;
use crate::state::AccountKey;

/// Of each call to this cluster, in order: what it says of which alert.
fn told(rig: &Rig, cluster: &str) -> Vec<String> {
    let one =
        |alert: &Value| format!("{} {}", alert["status"].as_str().unwrap(), alert["alert_name"].as_str().unwrap());
    let calls = rig.world.calls.borrow();
    let bodies = calls.iter().filter(|call| call.cluster == cluster);
    let bodies = bodies.map(|call| serde_json::from_str::<Value>(&call.body).expect("JSON"));
    bodies.map(|body| body["alerts"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(", ")).collect()
}

/// Budgets of a dollar a day, and these webhooks.
fn config(webhooks: &Value) -> Value {
    let mut config = alerting();
    config["cost"] = json!({"daily_budget_usd": 1, "alert_thresholds": [0.5]});
    config["alerts"] = webhooks.clone();
    config
}

/// The breaker of a opens, and the budget reaches its threshold.
fn go_wrong(rig: &mut Rig) {
    rig.run(2_000, Some(5));
    open(rig, "a", true);
    spend(rig, &[AccountKey::ALL], 60);
    rig.run(5_000, Some(5));
}

const BREAKER: &str = "firing circuit_breaker_opened";
const BUDGET: &str = "firing daily_budget_threshold";

#[test]
fn costs_go_to_their_webhook_and_everything_else_to_the_other() {
    let mut rig = Rig::new(&config(&json!({"webhook_cluster": "hooks", "cost_webhook_cluster": "money",
        "cost_webhook_path": "/cost", "cost_webhook_host": "alerts.company.com"})));
    go_wrong(&mut rig);
    assert_eq!((told(&rig, "hooks"), told(&rig, "money")), (vec![BREAKER.to_owned()], vec![BUDGET.to_owned()]));
    let call = rig.world.calls.borrow().iter().find(|call| call.cluster == "money").cloned().expect("a call");
    let header = |name: &str| call.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    assert_eq!((&*call.path, header(":authority").as_deref()), ("/cost", Some("alerts.company.com")));
    assert_eq!(rig.metric("deliveries_total.result.delivered"), 2);
    open(&mut rig, "a", false);
    rig.run(10_000, Some(5));
    assert_eq!((told(&rig, "hooks").len(), told(&rig, "money").len()), (2, 1), "the end goes where the beginning went");
}

#[test]
fn without_one_of_the_two_costs_go_to_the_other_or_all_else_nowhere() {
    let mut rig = Rig::new(&config(&json!({"webhook_cluster": "hooks"})));
    go_wrong(&mut rig);
    let all = told(&rig, "hooks").join(", ");
    assert!(all.contains(BREAKER) && all.contains(BUDGET), "{all}");

    let mut rig = Rig::new(&config(&json!({"cost_webhook_cluster": "money"})));
    go_wrong(&mut rig);
    assert_eq!((told(&rig, "hooks"), told(&rig, "money")), (vec![], vec![BUDGET.to_owned()]));
    assert!(board(&rig.world).outbox.is_empty(), "nobody waits for the rest");

    let mut rig = Rig::new(&config(&json!({})));
    go_wrong(&mut rig);
    assert_eq!((told(&rig, "hooks"), told(&rig, "money")), (vec![], vec![]));
    assert_eq!(board(&rig.world).active().count(), 2);
}

#[test]
fn a_webhook_that_is_down_holds_nothing_up_that_goes_to_the_other() {
    for (down, up) in [("hooks", "money"), ("money", "hooks")] {
        let mut rig = Rig::new(&config(&json!({"webhook_cluster": "hooks", "cost_webhook_cluster": "money"})));
        rig.world.missing.set(down);
        go_wrong(&mut rig);
        assert_eq!((told(&rig, up).len(), rig.metric("deliveries_total.result.delivered")), (1, 1), "{down}");
        rig.world.missing.set("");
        rig.run(70_000, Some(5));
        assert_eq!(rig.metric("deliveries_total.result.delivered"), 2, "{down} is told later");
        let board = board(&rig.world);
        assert!(board.outbox.is_empty() && board.costs.is_empty());
    }
}

#[test]
fn what_waits_for_a_webhook_that_is_configured_no_more_goes_to_the_one_that_is() {
    let mut rig = Rig::new(&config(&json!({"webhook_cluster": "hooks", "cost_webhook_cluster": "money"})));
    rig.world.missing.set("money");
    go_wrong(&mut rig);
    assert!(!board(&rig.world).costs.is_empty());
    let (router, upkeep) = configured(&rig.world, &mut rig.vm.view, &config(&json!({"webhook_cluster": "hooks"})));
    (rig.vm.router, rig.vm.upkeep) = (router, upkeep);
    rig.run(70_000, Some(5));
    assert_eq!(told(&rig, "hooks").concat().matches(BUDGET).count(), 1, "{:?}", told(&rig, "hooks"));
    assert!(board(&rig.world).costs.is_empty());
}
