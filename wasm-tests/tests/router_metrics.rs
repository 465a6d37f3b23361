//! What is measured, on a real Envoy with four workers: all that the docs name is there, with its labels, and what the
//! control API tells is what Envoy counts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour, PromptTokens},
    client::Client,
    envoy::{Builder, Envoy, Loading, Route, Stats, Swap},
    load::load,
    router::{chat, counted, ended, settled, streamed_chat, trio, until},
};

const DOCS: &str = include_str!("../../docs/metrics.md");
const CHAT: &str = "/v1/chat/completions";

fn builder(backends: &[Backend], router: Value) -> Builder {
    Envoy::builder().concurrency(4).backends(backends).route(Route::Matcher { retries: 2 }).router(router).control()
}

fn router() -> Value {
    json!({"strategy": "round_robin", "body_limit_bytes": 65536, "backend_instances": {
        "alpha": {"backend_type": "lightrag", "apis": ["openai"], "cost_per_1k_tokens": 0.05, "quality_score": 0.92},
        "beta": {"input_cost_per_1k_tokens": 0.000_015, "cached_input_cost_per_1k_tokens": 0.000_001_5,
            "output_cost_per_1k_tokens": 0.000_06},
        "gamma": {"cost_per_1k_tokens": 0.2},
    }})
}

async fn get(envoy: &Envoy, endpoint: &str) -> Value {
    let url = envoy.control_url(endpoint);
    let reply = Client::new().send(Client::request(&Method::GET, &url, &[], String::new())).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The metrics of the docs: name, labels, and kind.
fn documented() -> Vec<(String, Vec<String>, String)> {
    let rows = DOCS.lines().filter_map(|line| line.strip_prefix("| `loadbalancer_"));
    let parsed = rows.map(|row| {
        let (metric, rest) = row.split_once("` | ").unwrap();
        let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let kind = rest.split(" | ").next().unwrap();
        (format!("loadbalancer_{name}"), labels.map(str::to_owned).collect(), kind.to_owned())
    });
    parsed.collect()
}

/// Whether some sample of the metric has a value for each of the labels, and no other label.
fn is_there(text: &str, name: &str, labels: &[String]) -> bool {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once('}'));
    let mut tags = samples.map(|(tags, _)| {
        let keys = tags.split(',').filter_map(|tag| tag.split_once('=')).map(|(key, _)| key.to_owned());
        keys.filter(|key| key != "le").collect::<Vec<_>>()
    });
    tags.any(|keys| keys.len() == labels.len() && labels.iter().all(|label| keys.contains(label)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_docs_is_there_with_its_labels_and_no_other() {
    let backends = trio().await;
    let mut config = router();
    // A backend is no admin interface: what it answers is no list of clusters, which counts as an internal error.
    config["envoy_admin"] = json!({"cluster": "no_admin"});
    config["alerts"] = json!({"webhook_cluster": "hooks"});
    config["cost"] = json!({"daily_budget_usd": 1_000, "tenants": {"default": {}}});
    config["queue"] = json!({"size": 64, "timeout_ms": 60_000});
    (config["exploration"], config["client_hints"]) = (json!(0.5), json!(["strategy"]));
    for id in ["alpha", "beta", "gamma"] {
        config["backend_instances"][id]["max_concurrent_requests"] = json!(2);
    }
    let some = [backends[2].port()];
    let envoy = builder(&backends, config).cluster("no_admin", &some).cluster("hooks", &some).start().await;
    let client = Client::new();
    let quota = [
        ("x-ratelimit-limit-requests", "1000"),
        ("x-ratelimit-remaining-requests", "900"),
        ("x-ratelimit-reset-requests", "60s"),
    ];
    let told = quota.into_iter().fold(Behaviour::default(), |told, (name, value)| told.with_header(name, value));
    // More at once than there are places; what they cost is not reported.
    for backend in &backends {
        backend.set(Behaviour { usage: false, ..Behaviour::latency_ms(100) });
    }
    let crowd = load(&client, 18, 18, |_| Client::json_request(&envoy.url(CHAT), &chat("hello"))).await;
    assert_eq!(crowd.failures(), 0, "{:?}", crowd.first_failure());
    for backend in &backends {
        backend.set(Behaviour { cached_tokens: 2, inter_token_ms: 1, ..told.clone() });
    }
    for _ in 0..6 {
        for body in [chat("hello"), streamed_chat("hello")] {
            assert_eq!(client.post_json(&envoy.url(CHAT), &body).await.unwrap().status, 200);
        }
    }
    // Beside a free one nothing that costs money would be explored, but for speed.
    for _ in 0..20 {
        let hint = [("x-llm-strategy", "performance_based")];
        assert_eq!(client.post_json_with(&envoy.url(CHAT), &hint, &chat("hello")).await.unwrap().status, 200);
    }
    backends[0].next(3, Behaviour::status(503));
    for _ in 0..6 {
        assert_eq!(client.post_json(&envoy.url(CHAT), &chat("hello")).await.unwrap().status, 200);
    }
    let large = "x".repeat(70_000);
    assert_eq!(client.post_json(&envoy.url(CHAT), &chat(&large)).await.unwrap().status, 413);
    let opened = Client::request(&Method::POST, &envoy.control_url("/circuit-breaker/beta/open"), &[], String::new());
    assert_eq!(client.send(opened).await.unwrap().status, 200);

    let documented = documented();
    assert!(documented.len() > 24, "{documented:?}");
    let missing = || async {
        let text = envoy.prometheus().await.0;
        let is_missing = |(name, labels, kind): &&(String, Vec<String>, String)| {
            let sample = if kind == "histogram" { format!("{name}_bucket") } else { name.clone() };
            !is_there(&text, &sample, labels) || !text.contains(&format!("# TYPE {name} {kind}\n"))
        };
        documented.iter().filter(is_missing).map(|(name, ..)| name.clone()).collect::<Vec<_>>()
    };
    // Envoy shows samples of histograms a few seconds late.
    until("all are there", || async {
        let missing = missing().await;
        if !missing.is_empty() {
            eprintln!("missing: {missing:?}");
        }
        missing.is_empty()
    })
    .await;

    let text = envoy.prometheus().await.0;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE loadbalancer_")?.split(' ').next());
    for name in names.map(|name| format!("loadbalancer_{name}")) {
        assert!(documented.iter().any(|(known, ..)| *known == name), "{name} is not in docs/metrics.md");
    }
}

/// What `/metrics` says, beside what Envoy counts.
fn assert_equal(metrics: &Value, stats: &Stats) {
    let requests = |labels: &[(&str, &str)]| json!(counted(stats, "requests_total", labels));
    let routing = &metrics["routing_metrics"];
    assert_eq!(routing["total_requests"], requests(&[]));
    assert_eq!(routing["successful_requests"], requests(&[("status", "success")]));
    assert_eq!(routing["failed_requests"], requests(&[("status", "failure")]));
    for id in ["alpha", "beta", "gamma"] {
        let backend = &metrics["backends"][id];
        let of = |name: &str, key: &str, value: &str| json!(counted(stats, name, &[("backend_id", id), (key, value)]));
        assert_eq!(backend["requests"], requests(&[("backend_id", id)]), "{id}");
        assert_eq!(metrics["load_balancing"]["backend_distribution"][id]["requests"], backend["requests"]);
        for (field, status) in [
            ("successes", "success"),
            ("failures", "failure"),
            ("rate_limited", "rate_limited"),
            ("client_errors", "client_error"),
            ("client_aborts", "client_abort"),
            ("not_sent", "not_sent"),
        ] {
            assert_eq!(backend[field], of("requests_total", "status", status), "{id} {field}");
        }
        for kind in ["input", "cached_input", "output"] {
            assert_eq!(backend["tokens"][kind], of("tokens_total", "kind", kind), "{id} {kind}");
        }
        assert_eq!(backend["failovers"], json!(counted(stats, "failovers_total", &[("backend_id", id)])));
        let cost = counted(stats, "request_cost_micro_usd_total", &[("backend_id", id)]);
        assert!((backend["cost_usd"].as_f64().unwrap() * 1e6 - cost as f64).abs() < 0.5, "{id}: {cost}");
    }
    assert_eq!(metrics["refusals"]["request_too_large"], json!(counted(stats, "refusals_total", &[])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_may_have_the_names_of_labels() {
    let ids = ["status", "method", "backend_id", "reason"];
    let mut backends = Vec::new();
    for id in ids {
        backends.push(Backend::start(id, Flavour::OpenAi).await);
    }
    let instances: serde_json::Map<_, _> = ids.iter().map(|id| ((*id).to_owned(), json!({}))).collect();
    let envoy = builder(&backends, json!({"strategy": "round_robin", "backend_instances": instances})).start().await;
    let sent = load(&Client::new(), 16, 1, |_| Client::json_request(&envoy.url(CHAT), &chat("hello"))).await;
    assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
    settled(&envoy).await;
    let stats = envoy.prometheus().await;
    for id in ids {
        let labels = [("backend_id", id), ("status", "success"), ("method", "post")];
        let counted = stats.metric("loadbalancer_requests_total", &labels);
        assert!(counted.is_some_and(|requests| requests >= 1.0), "{id}: {counted:?}");
        let labels = [("backend_id", id), ("backend_type", "openai")];
        assert_eq!(stats.metric("loadbalancer_backend_health", &labels), Some(1_000.0), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_of_the_control_api_are_envoys_counters_on_every_worker_and_over_a_swap() {
    let backends = trio().await;
    let mut envoy = builder(&backends, router()).loading(Loading::Ecds).start().await;
    backends[1].set(Behaviour { status: 400, ..Behaviour::default() });
    backends[2].next(9, Behaviour::status(503));
    let ask = async |envoy: &Envoy, requests| {
        // New connections, so that several workers have a part in it.
        for _ in 0..6 {
            let url = envoy.url(CHAT);
            load(&Client::new(), requests, 4, |n| Client::json_request(&url, &chat(&"x".repeat(n)))).await;
        }
        let reply = Client::new().post_json(&envoy.url(CHAT), &chat(&"x".repeat(70_000))).await.unwrap();
        assert_eq!(reply.status, 413);
        ended(envoy).await
    };
    let stats = ask(&envoy, 20).await;
    assert!(counted(&stats, "failovers_total", &[]) > 0);
    for _ in 0..12 {
        assert_equal(&get(&envoy, "/metrics").await, &stats);
    }

    let mut other = router();
    other["strategy"] = "weighted".into();
    assert_eq!(envoy.swap(&other).await, Swap::Accepted);
    assert_equal(&get(&envoy, "/metrics").await, &stats);
    let stats = ask(&envoy, 5).await;
    assert_eq!(counted(&stats, "requests_total", &[]), 6 * 25);
    for _ in 0..12 {
        assert_equal(&get(&envoy, "/metrics").await, &stats);
    }
    let metrics = get(&envoy, "/metrics").await;
    let failovers = &metrics["failover_events"];
    assert_eq!(failovers["total_failovers"], json!(counted(&stats, "failovers_total", &[])));
    assert!(failovers["avg_failover_time_ms"].is_number() && failovers["last_failover"].is_string(), "{failovers}");
    assert!(metrics["circuit_breakers"]["gamma"]["last_failure"].is_string(), "{metrics}");
    assert!(metrics["backends"]["alpha"]["response_time_ms"]["p95"].is_number(), "{metrics}");
    // What another reads there does not begin anew.
    assert_equal(&get(&envoy, "/metrics").await, &settled(&envoy).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_below_a_millionth_of_a_dollar_add_up_and_cached_tokens_are_paid_once() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await];
    let prices = json!({"input_cost_per_1k_tokens": 0.000_015, "cached_input_cost_per_1k_tokens": 0.000_001_5,
        "output_cost_per_1k_tokens": 0.000_06});
    let envoy = builder(&backends, json!({"backend_instances": {"alpha": prices}})).start().await;
    let prompt_tokens = PromptTokens::Exactly(40);
    backends[0].set(Behaviour { prompt_tokens, cached_tokens: 30, output_tokens: 5, ..Behaviour::default() });
    // Ten fresh tokens, thirty cached ones, five of the answer: 0.495 millionths.
    let requests = 1_000;
    let done = load(&Client::new(), requests, 8, |_| Client::json_request(&envoy.url(CHAT), &chat("hello"))).await;
    assert_eq!(done.failures(), 0, "{:?}", done.first_failure());
    let stats = settled(&envoy).await;
    let cost = counted(&stats, "request_cost_micro_usd_total", &[("backend_id", "alpha"), ("backend_type", "openai")]);
    // Each worker keeps less than a millionth.
    assert!((491..=495).contains(&cost), "{cost}");
    assert_eq!(counted(&stats, "tokens_total", &[("kind", "cached_input")]), 30 * requests as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_fast_a_stream_comes_and_how_good_the_estimate_was_are_measured() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await];
    let envoy = builder(&backends, json!({"backend_instances": {"alpha": {}}})).start().await;
    backends[0].set(Behaviour { inter_token_ms: 20, output_tokens: 11, ..Behaviour::default() });
    let client = Client::new();
    for _ in 0..4 {
        assert_eq!(client.post_json(&envoy.url(CHAT), &streamed_chat("hello")).await.unwrap().status, 200);
    }
    settled(&envoy).await;
    let labels = [("backend_id", "alpha")];
    until("the samples are there", || async {
        let shown = envoy.prometheus().await;
        ["time_per_output_token_us", "token_estimate_error_permille"]
            .iter()
            .all(|name| shown.metric(&format!("loadbalancer_{name}_count"), &labels) == Some(4.0))
    })
    .await;
    let shown = envoy.prometheus().await;
    let mean = shown.metric("loadbalancer_time_per_output_token_us_sum", &labels).unwrap() / 4.0;
    // Envoy's histograms are a few per cent off; a slow machine is slower.
    assert!((17_000.0..200_000.0).contains(&mean), "{mean}");
    assert!(shown.metric("loadbalancer_routing_decision_us_count", &[]).is_some_and(|timed| timed >= 1.0));
    let metrics = get(&envoy, "/metrics").await;
    let backend = &metrics["backends"]["alpha"];
    let times: BTreeMap<_, _> = ["response_time_ms", "time_to_first_token_ms"]
        .map(|name| (name, backend[name]["p50"].as_u64().unwrap()))
        .into_iter()
        .collect();
    assert!(
        times["response_time_ms"] >= 150 && times["time_to_first_token_ms"] < times["response_time_ms"],
        "{times:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_has_much_to_do_is_said_to_need_room() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await, Backend::start("beta", Flavour::OpenAi).await];
    let instances = json!({"alpha": {}, "beta": {"priority": 2}});
    let envoy = builder(&backends, json!({"backend_instances": instances})).start().await;
    backends[0].set(Behaviour::fault(Fault::StallAfter(1)));
    let mut open = Vec::new();
    for _ in 0..24 {
        let request = Client::json_request(&envoy.url(CHAT), &streamed_chat("hello"));
        open.push(Client::new().open(request).await.unwrap());
    }
    let desired = async |id| counted(&envoy.stats().await, "desired_capacity", &[("backend_id", id)]);
    // In the end 24 / 0.8; here it is on its way there.
    until("the need is shown", || async { desired("alpha").await >= 5 }).await;
    assert!(desired("alpha").await <= 30);
    assert_eq!(desired("beta").await, 0);
    let told = get(&envoy, "/analytics").await;
    assert!(told["backends"]["alpha"]["capacity"]["desired_requests"].as_u64().unwrap() >= 5, "{told}");
    drop(open);
    settled(&envoy).await;
    assert!(desired("alpha").await >= 5, "it is not forgotten at once");
}
