//! Whom each strategy chooses, over four workers, and how one is swapped for another.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::needless_pass_by_value, reason = "a test")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour},
    client::Client,
    envoy::{Envoy, Loading, Route, Stats, Swap},
    load::load,
    router::{chat, counted, news_travels, settled, streamed_chat, trio, until},
};

const PATH: &str = "/v1/chat/completions";

/// One attempt a request, so that what is chosen first is what answers; and nothing is explored, so that it is the best.
fn config(strategy: &str, backends: Value) -> Value {
    json!({"strategy": strategy, "backend_instances": backends, "retry": {"max_attempts": 1}, "exploration": 0})
}

async fn envoy(backends: &[Backend], config: Value) -> Envoy {
    let builder = Envoy::builder().concurrency(4).backends(backends).route(Route::ClusterHeader);
    builder.loading(Loading::Ecds).router(config).start().await
}

/// Who answered each of `n` requests, sent by so many clients at once.
async fn answered(envoy: &Envoy, n: usize, clients: usize, body: &Value) -> BTreeMap<String, usize> {
    let load = load(&Client::new(), n, clients, |_| Client::json_request(&envoy.url(PATH), body)).await;
    let by_backend = load.by_header("x-llm-backend");
    assert_eq!(by_backend, load.by_header("x-sim-backend"), "what the router says is who answered");
    by_backend
}

/// Who answered one request with those headers, and by which strategy.
async fn ask(envoy: &Envoy, headers: &[(&str, &str)], body: &Value) -> (String, String) {
    let reply = Client::new().post_json_with(&envoy.url(PATH), headers, body).await.unwrap();
    (reply.header("x-sim-backend").unwrap(), reply.header("x-llm-strategy").unwrap())
}

/// Who answered twenty requests with those headers, and by which strategy the last one.
async fn run(envoy: &Envoy, headers: &[(&str, &str)]) -> (BTreeMap<String, usize>, String) {
    let mut answered = BTreeMap::new();
    let mut by = String::new();
    for _ in 0..20 {
        let (backend, strategy) = ask(envoy, headers, &chat("hello")).await;
        *answered.entry(backend).or_default() += 1;
        by = strategy;
    }
    (answered, by)
}

fn assert_shares(answered: &BTreeMap<String, usize>, wanted: [(&str, f64); 3], tolerance: f64) {
    let total: usize = answered.values().sum();
    for (backend, share) in wanted {
        let share_of = answered[backend] as f64 / total as f64;
        assert!((share_of / share - 1.0).abs() <= tolerance, "{backend}: {share_of} is not {share}; {answered:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn round_robin_gives_each_a_third_in_total_over_all_workers() {
    let backends = trio().await;
    let envoy = envoy(&backends, config("round_robin", json!({"alpha": {}, "beta": {}, "gamma": {}}))).await;
    let answered = answered(&envoy, 3_000, 16, &chat("hello")).await;
    assert_shares(&answered, ["alpha", "beta", "gamma"].map(|id| (id, 1.0 / 3.0)), 0.01);

    let stats = envoy.stats().await;
    let workers = stats.matching(&["listener.", ".worker_", ".downstream_cx_total"]).filter(|(_, n)| *n > 0).count();
    assert!(workers > 1, "{workers} worker served it all, which shows nothing");
    assert_eq!(counted(&stats, "requests_total", &[("status", "success"), ("method", "post")]), 3_000);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_are_the_shares_in_total_over_all_workers() {
    let backends = trio().await;
    let weights = json!({"alpha": {"weight": 5}, "beta": {"weight": 3.5}, "gamma": {"weight": 1.5}});
    let mut envoy = envoy(&backends, config("weighted", weights.clone())).await;
    for strategy in ["weighted", "weighted_round_robin"] {
        if strategy != "weighted" {
            assert_eq!(envoy.swap(&config(strategy, weights.clone())).await, Swap::Accepted);
        }
        let answered = answered(&envoy, 3_000, 16, &chat("hello")).await;
        assert_shares(&answered, [("alpha", 0.5), ("beta", 0.35), ("gamma", 0.15)], 0.03);
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_connections_goes_where_the_fewest_requests_are_under_way() {
    let backends = trio().await;
    let mut config = config("quality_based", json!({"alpha": {}, "beta": {"quality_score": 0.1}}));
    config["client_hints"] = json!(["strategy"]);
    let envoy = envoy(&backends, config).await;
    let client = Client::new();
    backends[0].set(Behaviour::fault(Fault::StallAfter(1)));
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(client.open(Client::json_request(&envoy.url(PATH), &streamed_chat("wait"))).await.unwrap());
    }
    assert_eq!(backends[0].counters().in_flight, 5);
    news_travels().await;

    let hint = [("x-llm-strategy", "least_connections")];
    for _ in 0..40 {
        assert_eq!(ask(&envoy, &hint, &chat("hello")).await, ("beta".to_owned(), "least_connections".to_owned()));
    }
    held.clear();
    backends[0].set(Behaviour::default());
    until("the streams are counted out", || async {
        counted(&envoy.stats().await, "in_flight", &[("backend_id", "alpha")]) == 0
    })
    .await;
    news_travels().await;
    let mut alphas = 0;
    for _ in 0..40 {
        alphas += usize::from(ask(&envoy, &hint, &chat("hello")).await.0 == "alpha");
    }
    assert!((5..=35).contains(&alphas), "equal backends share the load: {alphas} of 40");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_aware_gives_a_failing_backend_less_but_not_nothing() {
    let backends = trio().await;
    let no_breaker = json!({"circuit_breaker": {"enabled": false}});
    let instances = json!({"alpha": no_breaker, "beta": no_breaker});
    let envoy = envoy(&backends, config("health_aware", instances)).await;
    let before = answered(&envoy, 200, 4, &chat("hello")).await;
    assert!((90..=110).contains(&before["alpha"]), "{before:?}");

    backends[0].set(Behaviour::status(500));
    answered(&envoy, 400, 4, &chat("hello")).await;
    let after = answered(&envoy, 400, 4, &chat("hello")).await;
    assert!((1..=60).contains(&after["alpha"]), "{after:?}");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cost_optimized_compares_the_cost_of_this_very_request() {
    let backends = trio().await;
    for backend in &backends {
        backend.set(Behaviour::default().with_output_tokens(300));
    }
    let instances = json!({
        "alpha": {"input_cost_per_1k_tokens": 0.1, "output_cost_per_1k_tokens": 10.0},
        "beta": {"cost_per_1k_tokens": 1.0},
        // Half the price, a tenth of the quality: dearer for what it brings.
        "gamma": {"cost_per_1k_tokens": 0.5, "quality_score": 0.1},
    });
    let envoy = envoy(&backends, config("cost_optimized", instances)).await;
    let (short, long) = (chat("hello"), chat(&"A long prompt costs by its input. ".repeat(200)));
    let mut brief = long.clone();
    brief["max_tokens"] = json!(1);
    for (body, cheapest) in [(&short, "beta"), (&long, "beta"), (&brief, "alpha")] {
        let answered = answered(&envoy, 20, 4, body).await;
        assert_eq!(answered, [(cheapest.to_owned(), 20)].into());
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn performance_based_follows_the_faster_backend_when_that_changes() {
    let backends = trio().await;
    let [alpha, beta, _] = &backends;
    let expected = json!({"expected_response_time_ms": 60});
    let envoy = envoy(&backends, config("performance_based", json!({"alpha": expected, "beta": expected}))).await;
    for (slow, fast) in [(alpha, beta), (beta, alpha)] {
        slow.set(Behaviour::latency_ms(250));
        fast.set(Behaviour::latency_ms(1));
        let answered = answered(&envoy, 40, 1, &chat("hello")).await;
        // What was quick looks slow after a few answers: each at most doubles what is believed.
        assert!(answered[fast.name()] >= 30, "{} is the fast one: {answered:?}", fast.name());
    }
    let response_time = |stats: &Stats, id| counted(stats, "backend_response_time_ms", &[("backend_id", id)]);
    let limit = std::time::Duration::from_secs(5);
    envoy.wait_for(limit, |stats| response_time(stats, "alpha") < response_time(stats, "beta")).await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_backend_that_was_expected_to_be_slow_is_found_by_exploration_alone() {
    let backends = trio().await;
    let [alpha, beta, _] = &backends;
    alpha.set(Behaviour::latency_ms(500));
    beta.set(Behaviour::latency_ms(50));
    let instances = json!({"alpha": {"expected_response_time_ms": 1000}, "beta": {"expected_response_time_ms": 30000}});
    let mut router = config("performance_based", instances);
    let mut envoy = envoy(&backends, router.clone()).await;
    let stuck = answered(&envoy, 60, 4, &chat("hello")).await;
    assert_eq!(stuck, [("alpha".to_owned(), 60)].into(), "nobody knows better");

    // As it comes: one request in fifty.
    router.as_object_mut().unwrap().remove("exploration");
    assert_eq!(envoy.swap(&router).await, Swap::Accepted);
    let mut requests = 0;
    while requests < 500 {
        requests += 50;
        let share = answered(&envoy, 50, 4, &chat("hello")).await;
        if share.get("beta").is_some_and(|&fast| fast >= 45) {
            break;
        }
    }
    assert!(requests < 500, "the fast one has its share after {requests} requests");
    let stats = envoy.stats().await;
    assert!(counted(&stats, "explorations_total", &[("backend_id", "beta")]) >= 1);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_turns_of_a_backend_that_fails_are_spread_over_all_others() {
    let [alpha, beta, gamma] = trio().await;
    let backends = [alpha, beta, gamma, Backend::start("delta", Flavour::OpenAi).await];
    let without_breaker = json!({"circuit_breaker": {"enabled": false}});
    let ids = ["alpha", "beta", "gamma", "delta"];
    let instances: serde_json::Map<_, _> = ids.iter().map(|id| ((*id).to_owned(), without_breaker.clone())).collect();
    let router = json!({"strategy": "round_robin", "backend_instances": instances, "retry": {"max_attempts": 2}});
    let builder = Envoy::builder().concurrency(4).backends(&backends).route(Route::Matcher { retries: 1 });
    let envoy = builder.router(router).start().await;
    for failing in [1, 3] {
        backends[failing].set(Behaviour::status(500));
        let answered = answered(&envoy, 600, 8, &chat("hello")).await;
        for (n, id) in ids.iter().enumerate() {
            let due = if n == failing { 0 } else { 200 };
            let share = answered.get(*id).copied().unwrap_or(0);
            assert!(share.abs_diff(due) <= 2, "{id} has {share} while {} fails: {answered:?}", ids[failing]);
        }
        backends[failing].set(Behaviour::default());
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quality_based_takes_the_best_that_really_answers() {
    let backends = trio().await;
    let instance = |quality: f64| json!({"quality_score": quality, "circuit_breaker": {"enabled": false}});
    let instances = json!({"alpha": instance(0.9), "beta": instance(0.6), "gamma": instance(0.7)});
    let envoy = envoy(&backends, config("quality_based", instances)).await;
    assert_eq!(answered(&envoy, 50, 4, &chat("hello")).await, [("alpha".to_owned(), 50)].into());

    backends[0].set(Behaviour::status(500));
    answered(&envoy, 100, 4, &chat("hello")).await;
    news_travels().await;
    let after = answered(&envoy, 50, 4, &chat("hello")).await;
    // A failing backend is forgiven with time, and so tried again now and then.
    assert!(after["gamma"] >= 45 && !after.contains_key("beta"), "{after:?}");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_priority_is_for_when_the_higher_one_cannot() {
    let backends = trio().await;
    let breaker = json!({"failure_threshold": 2, "recovery_timeout_seconds": 600});
    let instances = json!({
        "alpha": {"priority": 1, "circuit_breaker": breaker},
        "beta": {"priority": 2, "weight": 1000},
        "gamma": {"priority": 2, "weight": 1000},
    });
    let envoy = envoy(&backends, config("weighted", instances)).await;
    assert_eq!(answered(&envoy, 50, 4, &chat("hello")).await, [("alpha".to_owned(), 50)].into());
    backends[0].set(Behaviour::status(500));
    // Failures of several clients: those of one alone are discounted while others were served a moment ago.
    answered(&envoy, 16, 4, &chat("hello")).await;
    news_travels().await;
    let answered = answered(&envoy, 50, 4, &chat("hello")).await;
    assert!(!answered.contains_key("alpha") && answered["beta"] >= 20 && answered["gamma"] >= 20, "{answered:?}");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_names_of_strategies_are_reported_by_the_present_ones() {
    let backends = trio().await;
    let mut envoy = envoy(&backends, config("round_robin", json!({"alpha": {}}))).await;
    for (alias, name) in
        [("response_time", "performance_based"), ("cost_aware", "cost_optimized"), ("quality_aware", "quality_based")]
    {
        assert_eq!(envoy.swap(&config(alias, json!({"alpha": {}}))).await, Swap::Accepted);
        until(name, || async { ask(&envoy, &[], &chat("hello")).await.1 == name }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapping_the_strategy_fails_no_request_and_a_refused_configuration_changes_nothing() {
    let backends = trio().await;
    for backend in &backends {
        backend.set(Behaviour::latency_ms(3));
    }
    let instances = json!({"alpha": {}, "beta": {}, "gamma": {"quality_score": 0.9}});
    let mut envoy = envoy(&backends, config("round_robin", instances.clone())).await;
    let (url, stop, client) = (envoy.url(PATH), Arc::new(AtomicBool::new(false)), Client::new());
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let (url, stop, client) = (url.clone(), Arc::clone(&stop), client.clone());
        senders.spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let reply = client.post_json(&url, &chat("hello")).await.unwrap();
                assert_eq!(reply.status, 200, "{}", reply.text());
                sent += 1;
            }
            sent
        });
    }
    for strategy in [
        "weighted",
        "weighted_round_robin",
        "least_connections",
        "health_aware",
        "cost_optimized",
        "performance_based",
        "round_robin",
        "quality_based",
    ] {
        assert_eq!(envoy.swap(&config(strategy, instances.clone())).await, Swap::Accepted);
    }
    let wrong = json!({"strategy": "fastest", "default_backend": "nobody",
        "backend_instances": {"alpha": {"quality_score": 1.4, "wieght": 2}}});
    assert_eq!(envoy.swap(&wrong).await, Swap::Refused);
    stop.store(true, Ordering::Relaxed);
    let sent: usize = senders.join_all().await.into_iter().sum();
    assert!(sent > 100, "{sent}");

    let held = load(&client, 200, 8, |_| Client::json_request(&url, &chat("hello"))).await;
    assert_eq!(held.by_header("x-llm-strategy"), [("quality_based".to_owned(), 200)].into());
    assert!(!held.by_header("x-llm-backend").contains_key("gamma"));
    let log = envoy.log();
    for path in
        ["strategy:", "default_backend:", "backend_instances.alpha.quality_score:", "backend_instances.alpha.wieght:"]
    {
        assert!(log.lines().any(|line| line.starts_with(path)), "{path} is not in the log");
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_steers_only_by_the_hints_that_the_operator_lists() {
    let backends = trio().await;
    let instances = json!({"alpha": {"quality_score": 0.5}, "beta": {"quality_score": 0.95}, "gamma": {"weight": 9}});
    let mut config = config("weighted", instances);
    config["backend_instances"]["gamma"]["quality_score"] = json!(0.2);
    config["backend_instances"]["gamma"]["cost_per_1k_tokens"] = json!(1.0);
    let mut envoy = envoy(&backends, config.clone()).await;
    let both = [("x-llm-strategy", "quality_based"), ("x-llm-min-quality", "0.9")];

    let (answered, strategy) = run(&envoy, &both).await;
    assert!(answered["gamma"] >= 10 && strategy == "weighted", "{answered:?} by {strategy}");

    config["client_hints"] = json!(["min_quality"]);
    assert_eq!(envoy.swap(&config).await, Swap::Accepted);
    until("the new one is in use", || async { run(&envoy, &both).await.0 == [("beta".to_owned(), 20)].into() }).await;
    assert_eq!(run(&envoy, &both).await.1, "weighted");
    let wrong = [("x-llm-min-quality", "very good")];
    assert!(run(&envoy, &wrong).await.0["gamma"] >= 10, "what is no number asks for nothing");

    config["client_hints"] = json!(["strategy"]);
    assert_eq!(envoy.swap(&config).await, Swap::Accepted);
    let quality = ([("beta".to_owned(), 20)].into(), "quality_based".to_owned());
    until("the new one is in use", || async { run(&envoy, &both).await == quality }).await;
    let alias = [("x-llm-strategy", "cost_aware")];
    assert_eq!(run(&envoy, &alias).await.1, "cost_optimized");
    let wrong = [("x-llm-strategy", "cheapest")];
    assert_eq!(run(&envoy, &wrong).await.1, "weighted", "what is no strategy asks for nothing");

    // Whatever is asked for, the backends do not see it.
    for seen in backends.iter().flat_map(Backend::prompts) {
        assert_eq!((seen.header("x-llm-strategy"), seen.header("x-llm-min-quality")), (None, None));
    }
    settled(&envoy).await;
}
