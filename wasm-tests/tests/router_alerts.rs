//! Alerts in a real Envoy with four workers: raised once and cleared once over all of them, in the control API and by
//! the webhook.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "a test")]

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour, PromptTokens},
    client::Client,
    envoy::{Builder, Envoy, Loading, Route, Swap},
    load::load,
    router::{chat, counted, settled, trio, troubles, until},
};

const PATH: &str = "/v1/chat/completions";

/// A new connection each: together they reach every worker, as far as the kernel's choice goes.
const CONNECTIONS: usize = 12;

/// Breakers that open soon and try again soon; only they raise alerts here. Whoever fails answers after a retry elsewhere.
fn router(min_interval_seconds: u64) -> Value {
    let breaker = json!({"failure_threshold": 4, "recovery_timeout_seconds": 0.5, "half_open_max_requests": 1,
        "ramp_seconds": 0, "adaptive": false});
    json!({"strategy": "round_robin",
        "backend_instances": {"alpha": {"circuit_breaker": breaker}, "beta": {}, "gamma": {}},
        "alerts": {"webhook_cluster": "hooks", "webhook_path": "/alerts?from=router", "webhook_host": "hooks.example",
            "min_interval_seconds": min_interval_seconds, "thresholds": {"error_rate": 1, "response_time_ms": 600_000}}})
}

fn four_workers(backends: &[Backend], hooks: &Backend) -> Builder {
    let builder = Envoy::builder().concurrency(4).backends(backends).cluster("hooks", &[hooks.port()]);
    builder.route(Route::Matcher { retries: 2 }).control()
}

async fn hooks() -> Backend {
    Backend::start("hooks", Flavour::Generic).await
}

async fn alerts(envoy: &Envoy) -> Value {
    Client::new().get(&envoy.control_url("/alerts")).await.unwrap().json()
}

fn names(list: &Value) -> Vec<String> {
    let name = |alert: &Value| {
        format!("{} {}", alert["alert_name"].as_str().unwrap(), alert["backend_id"].as_str().unwrap_or("-"))
    };
    list.as_array().unwrap().iter().map(name).collect()
}

/// Waits until every one of many new connections is told that these are active.
async fn active(envoy: &Envoy, expected: &[&str]) {
    until(&format!("{expected:?} are active"), || async {
        for _ in 0..CONNECTIONS {
            if names(&alerts(envoy).await["active"]) != expected {
                return false;
            }
        }
        true
    })
    .await;
}

/// What the webhook was told, in order: of each call the state and the name of each alert.
fn told(hooks: &Backend) -> Vec<String> {
    let one =
        |alert: &Value| format!("{} {}", alert["status"].as_str().unwrap(), alert["alert_name"].as_str().unwrap());
    let calls = hooks.journal();
    calls
        .iter()
        .flat_map(|call| call.json()["alerts"].as_array().unwrap().iter().map(one).collect::<Vec<_>>())
        .collect()
}

async fn is_told(hooks: &Backend, expected: &[&str]) {
    until(&format!("{expected:?} is told"), || async { told(hooks).len() >= expected.len() }).await;
    assert_eq!(told(hooks), expected);
}

/// Sends requests all the while until `story` is over; each must be answered well.
async fn under_load<T>(envoy: &Envoy, story: impl Future<Output = T>) -> T {
    let over = AtomicBool::new(false);
    let sending = async {
        let client = Client::new();
        while !over.load(Ordering::Relaxed) {
            let sent = load(&client, 24, 4, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
            assert_eq!(sent.by_status(), [(200, 24)].into(), "{:?}", sent.first_failure());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let telling = async {
        let told = story.await;
        over.store(true, Ordering::Relaxed);
        told
    };
    tokio::join!(sending, telling).1
}

const FIRING: &str = "firing circuit_breaker_opened";
const RESOLVED: &str = "resolved circuit_breaker_opened";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_dies_is_one_alert_and_one_call_over_all_workers_and_so_is_its_return() {
    let (backends, hooks) = (trio().await, hooks().await);
    let rig = four_workers(&backends, &hooks).credential("hooks", "Bearer sim-key");
    let envoy = rig.router(router(300)).start().await;
    under_load(&envoy, async {
        active(&envoy, &[]).await;
        backends[0].kill().await;
        active(&envoy, &["circuit_breaker_opened alpha"]).await;
        is_told(&hooks, &[FIRING]).await;
        // Its breaker tries again and again, and opens again.
        let reopened = |stats: &wasm_tests::envoy::Stats| {
            counted(stats, "circuit_breaker_transitions_total", &[("backend_id", "alpha"), ("state", "open")]) > 2
        };
        envoy.wait_for(Duration::from_secs(30), reopened).await;
        backends[0].restart().await;
        active(&envoy, &[]).await;
        is_told(&hooks, &[FIRING, RESOLVED]).await;
    })
    .await;
    let stats = settled(&envoy).await;
    assert_eq!(told(&hooks), [FIRING, RESOLVED]);
    assert_eq!(counted(&stats, "alerts_total", &[("alert", "circuit_breaker_opened"), ("state", "raised")]), 1);
    assert_eq!(counted(&stats, "alerts_total", &[]), 2);
    assert_eq!(counted(&stats, "alert_deliveries_total", &[("result", "delivered")]), 2);
    assert_eq!(counted(&stats, "alert_deliveries_total", &[]), 2);
    let printed = envoy.prometheus().await;
    let labels = [("alert", "circuit_breaker_opened"), ("state", "cleared")];
    assert_eq!(printed.metric("loadbalancer_alerts_total", &labels), Some(1.0));

    let call = &hooks.journal()[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/alerts?from=router"));
    assert_eq!(call.header("host").as_deref(), Some("hooks.example"));
    assert_eq!(call.header("authorization").as_deref(), Some("Bearer sim-key"), "by Envoy");
    assert_eq!(call.header("content-type").as_deref(), Some("application/json"));
    let body = call.json();
    assert_eq!(body["status"], "firing");
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("FIRING (warning): the circuit breaker of alpha opened: "), "{text}");
    let recent = alerts(&envoy).await["recent"][0].clone();
    assert_eq!((&recent["alert_id"], &recent["value"]), (&body["alerts"][0]["alert_id"], &json!(2)));
    assert!(recent["cleared_at"].is_string() && body["alerts"][0]["cleared_at"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_webhook_missed_while_it_was_down_it_is_told_later_and_once() {
    let (backends, hooks) = (trio().await, hooks().await);
    let envoy = four_workers(&backends, &hooks).router(router(300)).start().await;
    hooks.set(Behaviour::status(503));
    under_load(&envoy, async {
        backends[0].kill().await;
        active(&envoy, &["circuit_breaker_opened alpha"]).await;
        let failed = |n| {
            move |stats: &wasm_tests::envoy::Stats| {
                counted(stats, "alert_deliveries_total", &[("result", "failed")]) > n
            }
        };
        envoy.wait_for(Duration::from_secs(15), failed(0)).await;
        hooks.kill().await;
        envoy.wait_for(Duration::from_secs(30), failed(1)).await;
        hooks.clear_journal();
        hooks.set(Behaviour::default());
        hooks.restart().await;
        envoy
            .wait_for(Duration::from_secs(60), |stats| {
                counted(stats, "alert_deliveries_total", &[("result", "delivered")]) > 0
            })
            .await;
    })
    .await;
    assert_eq!(told(&hooks), [FIRING]);
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_four_hundred_alerts_that_a_webhook_missed_are_all_told_later_and_once() {
    // A day's budget begins anew at midnight: that is not to be while this runs.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    if 86_400 - since_epoch % 86_400 < 120 {
        tokio::time::sleep(Duration::from_secs(121)).await;
    }
    let (backends, hooks) = (trio().await, hooks().await);
    for backend in &backends {
        backend.set(Behaviour { prompt_tokens: PromptTokens::Exactly(84), ..Behaviour::default() });
    }
    let mut config = router(300);
    for id in ["alpha", "beta", "gamma"] {
        config["backend_instances"][id]["cost_per_1k_tokens"] = 1.into();
    }
    // Each tenant asks once, for a tenth of a dollar: all that it has, past each of eight thresholds.
    let tenants: Vec<String> = (0..60).map(|n| format!("team{n:02}")).collect();
    let budgets: serde_json::Map<_, _> =
        tenants.iter().map(|name| (name.clone(), json!({"daily_budget_usd": 0.1}))).collect();
    config["cost"] = json!({"on_exhausted": "cheapest", "tenant_header": "x-team", "tenants": budgets,
        "alert_thresholds": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]});
    let envoy = four_workers(&backends, &hooks).router(config).start().await;
    hooks.set(Behaviour::status(503));
    let client = Client::new();
    let sent = load(&client, tenants.len(), 4, |n| {
        let mut request = Client::json_request(&envoy.url(PATH), &chat("hello"));
        request.headers_mut().insert("x-team", tenants[n].parse().unwrap());
        request
    })
    .await;
    assert_eq!(sent.by_status(), [(200, tenants.len())].into(), "{:?}", sent.first_failure());
    let raised = |stats: &wasm_tests::envoy::Stats| {
        counted(stats, "alerts_total", &[("alert", "daily_budget_threshold"), ("state", "raised")])
    };
    envoy.wait_for(Duration::from_secs(30), |stats| raised(stats) == 480).await;
    let result =
        |stats: &wasm_tests::envoy::Stats, result| counted(stats, "alert_deliveries_total", &[("result", result)]);
    envoy.wait_for(Duration::from_secs(30), |stats| result(stats, "failed") > 0).await;
    hooks.clear_journal();
    hooks.set(Behaviour::default());
    envoy.wait_for(Duration::from_secs(90), |stats| result(stats, "delivered") >= 5).await;
    let calls: Vec<Value> = hooks.journal().iter().map(|call| call.json()["alerts"].clone()).collect();
    assert!(calls.iter().all(|alerts| alerts.as_array().unwrap().len() <= 100));
    let one = |alert: &Value| format!("{} {}", alert["tenant"].as_str().unwrap(), alert["threshold"]);
    let mut told: Vec<_> = calls.iter().flat_map(|alerts| alerts.as_array().unwrap().iter().map(one)).collect();
    let all = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!((all, told.len(), result(&envoy.stats().await, "lost")), (480, 480, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_comes_and_goes_is_told_of_once_in_a_while_and_all_of_it_is_kept() {
    let (backends, hooks) = (trio().await, hooks().await);
    let envoy = four_workers(&backends, &hooks).router(router(3_600)).start().await;
    for _ in 0..3 {
        for (action, expected) in [("open", &["circuit_breaker_opened beta"][..]), ("close", &[])] {
            let url = envoy.control_url(&format!("/circuit-breaker/beta/{action}"));
            assert_eq!(Client::new().post_json(&url, &json!({})).await.unwrap().status, 200);
            active(&envoy, expected).await;
        }
    }
    is_told(&hooks, &[FIRING, RESOLVED]).await;
    assert_eq!(names(&alerts(&envoy).await["recent"]), ["circuit_breaker_opened beta"; 3]);
    let stats = envoy.stats().await;
    assert_eq!(counted(&stats, "alerts_total", &[("state", "raised")]), 3);
    assert_eq!((counted(&stats, "alert_deliveries_total", &[]), troubles(&stats)), (2, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_neither_repeats_an_alert_nor_forgets_it() {
    let (backends, hooks) = (trio().await, hooks().await);
    let mut envoy = four_workers(&backends, &hooks).router(router(0)).loading(Loading::Ecds).start().await;
    let url = |action: &str| envoy.control_url(&format!("/circuit-breaker/beta/{action}"));
    let (open, close) = (url("open"), url("close"));
    assert_eq!(Client::new().post_json(&open, &json!({})).await.unwrap().status, 200);
    active(&envoy, &["circuit_breaker_opened beta"]).await;
    is_told(&hooks, &[FIRING]).await;
    let raised_at = alerts(&envoy).await["active"][0]["raised_at"].clone();
    let mut other = router(0);
    for strategy in ["weighted", "cost_optimized", "quality_based"] {
        other["strategy"] = json!(strategy);
        assert_eq!(envoy.swap(&other).await, Swap::Accepted);
    }
    // What should not happen would have happened after four looks.
    tokio::time::sleep(Duration::from_secs(1)).await;
    active(&envoy, &["circuit_breaker_opened beta"]).await;
    assert_eq!(alerts(&envoy).await["active"][0]["raised_at"], raised_at);
    assert_eq!(Client::new().post_json(&close, &json!({})).await.unwrap().status, 200);
    is_told(&hooks, &[FIRING, RESOLVED]).await;

    assert_eq!(Client::new().post_json(&open, &json!({})).await.unwrap().status, 200);
    is_told(&hooks, &[FIRING, RESOLVED, FIRING]).await;
    other["backend_instances"].as_object_mut().unwrap().remove("beta");
    assert_eq!(envoy.swap(&other).await, Swap::Accepted);
    is_told(&hooks, &[FIRING, RESOLVED, FIRING, RESOLVED]).await;
    active(&envoy, &[]).await;
    // Its gauges say nothing for ever that nobody renews.
    let beta = [("backend_id", "beta")];
    envoy.wait_for(Duration::from_secs(15), |stats| counted(stats, "circuit_breaker_state", &beta) == 0).await;
    assert_eq!(troubles(&envoy.stats().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_interface_that_cannot_be_read_is_an_alert_until_it_can() {
    let (backends, hooks) = (trio().await, hooks().await);
    // Stands for the admin interface: whatever is asked, it says how alpha is.
    let admin = Backend::start("admin", Flavour::OpenAi).await;
    let hosts = |failing: bool| {
        let cluster = |name: &str| {
            let health = json!({"failed_active_health_check": failing && name == "alpha"});
            json!({"name": name, "host_statuses": [{"health_status": health}]})
        };
        json!({"cluster_statuses": [cluster("alpha"), cluster("beta"), cluster("gamma")]})
    };
    admin.set_health(Behaviour::report(hosts(false)));
    let mut router = router(300);
    router["envoy_admin"] = json!({"cluster": "picture", "interval_ms": 200});
    let rig = four_workers(&backends, &hooks).cluster("picture", &[admin.port()]);
    let envoy = rig.router(router).start().await;
    until("it is looked at", || async { admin.journal().len() > 2 }).await;
    active(&envoy, &[]).await;
    admin.set_health(Behaviour::status(503));
    active(&envoy, &["envoy_admin_unreadable -"]).await;
    is_told(&hooks, &["firing envoy_admin_unreadable"]).await;
    admin.set_health(Behaviour::report(hosts(true)));
    active(&envoy, &["backend_unhealthy alpha"]).await;
    is_told(&hooks, &["firing envoy_admin_unreadable", "firing backend_unhealthy", "resolved envoy_admin_unreadable"])
        .await;
    admin.set_health(Behaviour::report(hosts(false)));
    active(&envoy, &[]).await;
    let stats = envoy.stats().await;
    assert_eq!((counted(&stats, "alerts_total", &[]), counted(&stats, "alerts_total", &[("state", "raised")])), (4, 2));
}

/// Asks alpha alone, by prompts of many lengths; each must be answered well.
async fn ask_alpha(envoy: &Envoy, requests: usize) {
    let body = |n: usize| {
        let mut body = chat(&"What do the others say about it? ".repeat(3 + n % 40));
        body["max_tokens"] = 16.into();
        body
    };
    let sent = load(&Client::new(), requests, 8, |n| Client::json_request(&envoy.url(PATH), &body(n))).await;
    assert_eq!(sent.by_status(), [(200, requests)].into(), "{:?}", sent.first_failure());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_begins_to_report_half_as_much_again_is_an_alert_until_it_stops() {
    let (backends, hooks) = ([Backend::start("alpha", Flavour::OpenAi).await], hooks().await);
    let mut config = router(300);
    config["backend_instances"] = json!({"alpha": {}});
    let envoy = four_workers(&backends, &hooks).router(config).start().await;
    let reports = |prompt_token_bias| backends[0].set(Behaviour { prompt_token_bias, ..Behaviour::default() });
    reports(1.1);
    ask_alpha(&envoy, 300).await;
    let audit = async || {
        let shown = Client::new().get(&envoy.control_url("/analytics")).await.unwrap().json();
        shown["backends"]["alpha"]["usage_audit"][0].clone()
    };
    until("what is usual is known", || async { audit().await["usual_ratio"].is_number() }).await;
    active(&envoy, &[]).await;
    let usual = audit().await["usual_ratio"].as_f64().unwrap();

    // What a worker saw it writes four times a second, and a busy one later: what is of late is not the same for all.
    let asked_until = async |expected: &[&str]| {
        until(&format!("{expected:?} are active"), || async {
            ask_alpha(&envoy, 20).await;
            names(&alerts(&envoy).await["active"]) == expected
        })
        .await;
    };
    reports(1.65);
    asked_until(&["usage_drift alpha"]).await;
    is_told(&hooks, &["firing usage_drift"]).await;
    let told = hooks.journal()[0].json()["alerts"][0].clone();
    assert_eq!((&told["model"], &told["severity"]), (&json!("sim-1"), &json!("warning")));
    let [ratio, before] = ["value", "threshold"].map(|name| told[name].as_f64().unwrap());
    assert!((ratio / before - 1.5).abs() < 0.25 && (before - usual).abs() < 0.1, "{told}");
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("alpha counts ") && message.contains(" in prompts to sim-1, "), "{message}");
    assert!(audit().await["drifting_since"].is_string());

    reports(1.1);
    asked_until(&[]).await;
    is_told(&hooks, &["firing usage_drift", "resolved usage_drift"]).await;
    assert_eq!(troubles(&settled(&envoy).await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_threshold_of_a_budget_is_told_once_over_all_workers_and_configurations() {
    // A day's budget begins anew at midnight: that is not to be while this runs.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    if 86_400 - since_epoch % 86_400 < 120 {
        tokio::time::sleep(Duration::from_secs(121)).await;
    }
    let (backends, hooks) = (trio().await, hooks().await);
    for backend in &backends {
        backend.set(Behaviour { prompt_tokens: PromptTokens::Exactly(84), ..Behaviour::default() });
    }
    let mut config = router(0);
    for id in ["alpha", "beta", "gamma"] {
        config["backend_instances"][id]["cost_per_1k_tokens"] = 1.into();
    }
    config["backend_instances"]["alpha"]["daily_budget_usd"] = 100.into();
    config["cost"] = json!({"daily_budget_usd": 2, "on_exhausted": "cheapest",
        "tenants": {"default": {"daily_budget_usd": 4}}});
    let mut envoy = four_workers(&backends, &hooks).router(config.clone()).loading(Loading::Ecds).start().await;
    let reached = async |requests: usize, expected: &[&str]| {
        // A tenth of a dollar each.
        ask_alpha(&envoy, requests).await;
        settled(&envoy).await;
        let firing = async || {
            let shown = alerts(&envoy).await;
            let one = |alert: &Value| format!("{} {}", alert["tenant"].as_str().unwrap_or("all"), alert["threshold"]);
            let mut all: Vec<_> = shown["active"].as_array().unwrap().iter().map(one).collect();
            all.sort_unstable();
            all
        };
        until(&format!("{expected:?} are reached"), || async { firing().await == expected }).await;
    };
    reached(13, &[]).await;
    reached(1, &["all 0.7"]).await;
    reached(4, &["all 0.7", "all 0.9"]).await;
    reached(10, &["all 0.7", "all 0.9", "all 1", "default 0.7"]).await;
    let shown = Client::new().get(&envoy.control_url("/budget")).await.unwrap().json();
    assert_eq!(shown["efficiency"]["target_efficiency"], json!(0.8));
    until("all of it was spent well", || async {
        let shown = Client::new().get(&envoy.control_url("/budget")).await.unwrap().json();
        (&shown["efficiency"]["spent_usd"], &shown["efficiency"]["efficiency"]) == (&json!(2.8), &json!(1))
    })
    .await;
    let ids: Vec<_> = shown["backends"].as_array().unwrap().iter().map(|backend| backend["id"].clone()).collect();
    assert_eq!(ids, ["alpha", "beta", "gamma"], "limited or not");
    let stats = envoy.stats().await;
    let spent = |id| counted(&stats, "backend_spent_micro_usd", &[("backend_id", id), ("window", "day")]);
    assert_eq!(spent("alpha") + spent("beta") + spent("gamma"), 2_800_000);
    assert_eq!(counted(&stats, "tenant_spent_micro_usd", &[("tenant", "default"), ("window", "day")]), 2_800_000);
    let printed = envoy.prometheus().await;
    let labels = [("tenant", "default"), ("window", "day")];
    assert_eq!(printed.metric("loadbalancer_tenant_spent_micro_usd", &labels), Some(2_800_000.0));

    config["strategy"] = json!("weighted");
    assert_eq!(envoy.swap(&config).await, Swap::Accepted);
    is_told(&hooks, &["firing daily_budget_threshold"; 4]).await;
    // What should not happen would have happened after four looks.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told(&hooks).len(), 4);
    let stats = envoy.stats().await;
    assert_eq!(counted(&stats, "alerts_total", &[("alert", "daily_budget_threshold")]), 4);
    assert_eq!(troubles(&stats), []);
}
