//! Alerts of budgets at a webhook of their own, in a real Envoy with four workers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "a test")]

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Flavour},
    client::Client,
    control::call,
    envoy::{Envoy, Route},
    router::{chat, settled, trio, until},
};

const PATH: &str = "/v1/chat/completions";

/// The names of the alerts that a webhook was told of.
fn told(hook: &Backend) -> Vec<Value> {
    hook.journal().iter().flat_map(|call| call.json()["alerts"].as_array().unwrap().clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_told_to_finance_and_a_breaker_to_operators() {
    let backends = trio().await;
    let hooks = Backend::start("hooks", Flavour::Generic).await;
    let money = Backend::start("money", Flavour::Generic).await;
    let router = json!({
        "backend_instances": {"alpha": {"cost_per_1m_tokens": 1_000_000}, "beta": {"priority": 2}, "gamma": {"priority": 2}},
        // A few answers at a dollar per token reach a thousandth of it.
        "cost": {"daily_budget_usd": 100_000, "alert_thresholds": [0.001], "on_exhausted": "cheapest"},
        "alerts": {"webhook_cluster": "hooks", "cost_webhook_cluster": "money", "cost_webhook_path": "/cost",
            "cost_webhook_host": "alerts.example", "thresholds": {"response_time_ms": 600_000, "error_rate": 1}}});
    let rig = Envoy::builder().concurrency(4).backends(&backends);
    let rig = rig.cluster("hooks", &[hooks.port()]).cluster("money", &[money.port()]);
    let envoy = rig.route(Route::Matcher { retries: 2 }).router(router).control().start().await;
    let client = Client::new();
    until("finance is told", || async {
        let reply = client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        !told(&money).is_empty()
    })
    .await;
    let asked = money.journal().remove(0);
    assert_eq!((asked.path.as_str(), asked.header("host").as_deref()), ("/cost", Some("alerts.example")));
    let opened = call(&envoy, Method::POST, "/circuit-breaker/beta/open", &[], "").await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    until("operators are told", || async { !told(&hooks).is_empty() }).await;
    let names = |hook: &Backend| told(hook).iter().map(|it| it["alert_name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&money), [json!("daily_budget_threshold")]);
    assert_eq!(names(&hooks), [json!("circuit_breaker_opened")]);
    settled(&envoy).await;
}
