//! The circuit breaker on a real Envoy: what opens it, what it lets through, and how traffic comes back.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::needless_pass_by_value, reason = "a test")]

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use wasm_tests::{
    backend::{Backend, Behaviour, Fault},
    client::{Client, Reply},
    envoy::{Builder, Envoy, Route, Stats},
    load::load,
    router::{chat, counted, ended, in_flight, news_travels, settled, streamed_chat, trio, until},
};

const PATH: &str = "/v1/chat/completions";

/// Alpha with this breaker; the other two take what it may not have.
fn rig(backends: &[Backend], breaker: Value) -> Builder {
    fleet(
        backends,
        json!({"backend_instances": {
            "alpha": {"circuit_breaker": breaker}, "beta": {"priority": 2}, "gamma": {"priority": 2},
        }}),
    )
}

fn fleet(backends: &[Backend], router: Value) -> Builder {
    Envoy::builder().concurrency(4).backends(backends).route(Route::Matcher { retries: 2 }).router(router)
}

async fn ask(client: &Client, envoy: &Envoy) -> Reply {
    client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap()
}

async fn many(client: &Client, envoy: &Envoy, requests: usize, at_once: usize) -> wasm_tests::load::Load {
    load(client, requests, at_once, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await
}

/// How often alpha's breaker came into this state.
fn changes(stats: &Stats, into: &str) -> u64 {
    counted(stats, "circuit_breaker_transitions_total", &[("backend_id", "alpha"), ("state", into)])
}

fn changes_because(stats: &Stats, into: &str, reason: &str) -> u64 {
    let labels = [("backend_id", "alpha"), ("state", into), ("reason", reason)];
    counted(stats, "circuit_breaker_transitions_total", &labels)
}

async fn has_opened(envoy: &Envoy, reason: &str) {
    until(&format!("it opens: {reason}"), || async { changes_because(&envoy.stats().await, "open", reason) == 1 })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_failures_opens_it_though_no_two_come_in_a_row() {
    let backends = trio().await;
    let alpha = &backends[0];
    // No retries: each answer is alpha's own.
    let breaker = json!({"failure_rate_threshold": 0.5, "min_requests": 10, "recovery_timeout_seconds": 600});
    let envoy = rig(&backends, breaker).route(Route::Matcher { retries: 0 }).start().await;
    for _ in 0..20 {
        alpha.next(1, Behaviour::status(500));
        alpha.next(1, Behaviour::default());
    }
    let client = Client::new();
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(ask(&client, &envoy).await.status);
    }
    assert_eq!(statuses, [500, 200, 500, 200, 500, 200, 500, 200, 500, 200, 500]);
    has_opened(&envoy, "failure_rate").await;
    news_travels().await;
    let before = alpha.counters().prompts;
    assert_eq!(many(&client, &envoy, 100, 8).await.failures(), 0);
    assert_eq!(alpha.counters().prompts, before);
    let prometheus = envoy.prometheus().await;
    let labels = [("backend_id", "alpha"), ("state", "open"), ("reason", "failure_rate")];
    assert_eq!(prometheus.metric("loadbalancer_circuit_breaker_transitions_total", &labels), Some(1.0));
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_become_slow_open_it_before_any_of_them_fails() {
    let backends = trio().await;
    let alpha = &backends[0];
    let breaker = json!({"slow_response_ms": 300, "min_requests": 10, "recovery_timeout_seconds": 600});
    let envoy = rig(&backends, breaker).start().await;
    let client = Client::new();
    // A stream may go on for as long as it likes, if it begins in time.
    alpha.set(Behaviour { inter_token_ms: 30, ..Behaviour::default() });
    let streams = load(&client, 12, 12, |_| Client::json_request(&envoy.url(PATH), &streamed_chat("hello"))).await;
    assert!(streams.failures() == 0 && streams.percentile(0.1) > Duration::from_millis(400));
    news_travels().await;
    assert_eq!(changes(&envoy.stats().await, "open"), 0);

    alpha.set(Behaviour::latency_ms(400));
    until("it opens", || async {
        assert_eq!(many(&client, &envoy, 16, 16).await.failures(), 0);
        changes_because(&envoy.stats().await, "open", "slow_answers") == 1
    })
    .await;
    news_travels().await;
    let before = alpha.counters().prompts;
    assert_eq!(many(&client, &envoy, 50, 8).await.by_header("x-llm-backend").get("alpha"), None);
    assert_eq!(alpha.counters().prompts, before);
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "circuit_breaker_failures_total", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_inside_answers_of_200_open_it_and_clients_that_leave_do_not() {
    let backends = trio().await;
    let alpha = &backends[0];
    let breaker = json!({"failure_threshold": 5, "recovery_timeout_seconds": 600, "adaptive": true});
    let envoy = rig(&backends, breaker).start().await;
    alpha.set(Behaviour::fault(Fault::StallAfter(2)));
    let mut leaving = JoinSet::new();
    for n in 0..20 {
        let (client, url) = (Client::new(), envoy.url(PATH));
        leaving.spawn(async move {
            for _ in 0..10 {
                // Half of them before the answer, half in the middle of it.
                let request = Client::json_request(&url, &streamed_chat("hello"));
                if n % 2 == 0 {
                    let mut stream = client.open(request).await.unwrap();
                    stream.read_at_least(1).await.unwrap();
                    stream.cut();
                } else {
                    drop(tokio::time::timeout(Duration::from_millis(5), client.open(request)).await);
                }
            }
        });
    }
    leaving.join_all().await;
    until("they are counted out", || async { in_flight(&envoy.stats().await) == 0 }).await;
    news_travels().await;
    let stats = envoy.stats().await;
    assert_eq!((changes(&stats, "open"), counted(&stats, "circuit_breaker_failures_total", &[])), (0, 0));
    assert!(counted(&stats, "requests_total", &[("status", "client_abort")]) >= 100);

    alpha.set(Behaviour::fault(Fault::ErrorAfter(2)));
    let client = Client::new();
    for n in 0..5 {
        let body = if n % 2 == 0 { chat("hello") } else { streamed_chat("hello") };
        let reply = client.post_json(&envoy.url(PATH), &body).await.unwrap();
        assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("alpha")));
    }
    has_opened(&envoy, "consecutive_failures").await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_stands_still_is_the_backends_failure_whoever_loses_patience() {
    let backends = trio().await;
    let alpha = &backends[0];
    alpha.set(Behaviour::fault(Fault::StallAfter(2)));
    for of_the_try in [false, true] {
        let breaker = json!({"failure_threshold": 3, "recovery_timeout_seconds": 600});
        let impatient = move |config: &mut Value| {
            let listener = &mut config["static_resources"]["listeners"][0];
            let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
            manager["delayed_close_timeout"] = json!("0.02s");
            if of_the_try {
                let action = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"];
                action["retry_policy"]["per_try_idle_timeout"] = json!("0.5s");
            } else {
                manager["stream_idle_timeout"] = json!("0.5s");
            }
        };
        let envoy = rig(&backends, breaker).patch(impatient).start().await;
        let client = Client::new();
        for _ in 0..3 {
            // Standing still weighs one: two timeouts would have opened it already.
            assert_eq!(changes(&envoy.stats().await, "open"), 0, "of_the_try={of_the_try}");
            let stream = client.open(Client::json_request(&envoy.url(PATH), &streamed_chat("hello"))).await.unwrap();
            assert_eq!(stream.header("x-llm-backend").as_deref(), Some("alpha"));
            assert!(stream.rest().await.is_err());
            ended(&envoy).await;
        }
        has_opened(&envoy, "consecutive_failures").await;
        let stats = settled(&envoy).await;
        assert_eq!(counted(&stats, "requests_total", &[("status", "failure")]), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opened_by_one_worker_it_refuses_on_the_others_within_a_tenth_of_a_second() {
    let backends = trio().await;
    let alpha = &backends[0];
    let breaker = json!({"failure_threshold": 5, "recovery_timeout_seconds": 600});
    let envoy = rig(&backends, breaker).start().await;
    // All workers are at work, and alpha answers them; then it fails at once.
    let enough = Arc::new(AtomicBool::new(false));
    let sending = {
        let (client, url, enough) = (Client::new(), envoy.url(PATH), Arc::clone(&enough));
        tokio::spawn(async move {
            while !enough.load(Ordering::Relaxed) {
                let sent = load(&client, 300, 32, |_| Client::json_request(&url, &chat("hello"))).await;
                assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
            }
        })
    };
    until("it is in the midst of it", || async { alpha.counters().prompts >= 500 }).await;
    alpha.set(Behaviour::status(500));
    until("it opens", || async { changes(&envoy.stats().await, "open") > 0 }).await;
    // Whoever has not heard of it has all this time to send to alpha.
    let (mut seen, mut since) = (alpha.counters().prompts, Instant::now());
    until("alpha is left alone", || {
        let prompts = alpha.counters().prompts;
        if prompts != seen {
            (seen, since) = (prompts, Instant::now());
        }
        ready(since.elapsed() > Duration::from_secs(1))
    })
    .await;
    enough.store(true, Ordering::Relaxed);
    sending.await.unwrap();
    has_opened(&envoy, "consecutive_failures").await;
    // From the first failure to the last request that still came, in alpha's own time.
    let prompts = alpha.prompts();
    let stats = settled(&envoy).await;
    let failed = counted(&stats, "circuit_breaker_failures_total", &[("backend_id", "alpha")]) as usize;
    let first = &prompts[prompts.len() - failed];
    let last = prompts.last().unwrap();
    let took = last.at.saturating_sub(first.at);
    println!("{failed} requests still came, within {took:?}");
    // 100 ms where the machine has time for its ticks; a shared one may not have.
    assert!(took < Duration::from_millis(500), "{took:?}");
    let workers = stats.matching(&["listener.", ".worker_", ".downstream_cx_total"]).filter(|(_, n)| *n > 0).count();
    assert!(workers > 1, "{workers} worker served it all, which shows nothing");
    assert_eq!(changes(&stats, "open"), 1, "counted once, by whichever worker did it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_never_lets_more_than_its_limit_through() {
    let backends = trio().await;
    let alpha = &backends[0];
    // It never closes: its probes do not end while the test looks.
    let breaker = json!({"failure_threshold": 2, "recovery_timeout_seconds": 1, "half_open_max_requests": 3});
    let envoy = rig(&backends, breaker).start().await;
    let client = Client::new();
    alpha.set(Behaviour::status(500));
    until("it opens", || async {
        ask(&client, &envoy).await;
        changes(&envoy.stats().await, "open") == 1
    })
    .await;
    until("nothing is under way", || async { alpha.counters().in_flight == 0 }).await;
    news_travels().await;
    alpha.clear_journal();
    alpha.set(Behaviour::fault(Fault::StallAfter(0)));
    let enough = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for _ in 0..64 {
        let (client, url, enough) = (Client::new(), envoy.url(PATH), Arc::clone(&enough));
        senders.spawn(async move {
            let mut held = Vec::new();
            while !enough.load(Ordering::Relaxed) {
                let stream = client.open(Client::json_request(&url, &streamed_chat("hello"))).await.unwrap();
                assert_eq!(stream.status, 200);
                if stream.header("x-llm-backend").as_deref() == Some("alpha") {
                    held.push(stream);
                } else {
                    stream.rest().await.unwrap();
                }
            }
            held
        });
    }
    until("as many as may are through", || async { alpha.counters().in_flight >= 3 }).await;
    // Whoever would be let through beyond that has some hundreds of requests to be so.
    news_travels().await;
    enough.store(true, Ordering::Relaxed);
    let held: Vec<_> = senders.join_all().await.into_iter().flatten().collect();
    assert_eq!((held.len(), alpha.counters().max_in_flight), (3, 3));
    let stats = envoy.stats().await;
    assert_eq!((changes(&stats, "half_open"), changes(&stats, "closed")), (1, 0));
    drop(held);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_it_closed_its_share_climbs() {
    let backends = trio().await;
    let alpha = &backends[0];
    for backend in &backends {
        backend.set(Behaviour::latency_ms(5));
    }
    let breaker = json!({"failure_threshold": 3, "recovery_timeout_seconds": 0.5, "ramp_seconds": 6});
    let instance = json!({"circuit_breaker": breaker});
    let router = json!({"strategy": "weighted",
        "backend_instances": {"alpha": instance, "beta": instance, "gamma": instance}});
    let envoy = fleet(&backends, router).start().await;
    let client = Client::new();
    alpha.set(Behaviour::status(500));
    until("it opens", || async {
        assert_eq!(many(&client, &envoy, 10, 4).await.failures(), 0);
        changes(&envoy.stats().await, "open") >= 1
    })
    .await;
    alpha.set(Behaviour::latency_ms(5));
    until("it closes", || async {
        assert_eq!(many(&client, &envoy, 5, 1).await.failures(), 0);
        changes_because(&envoy.stats().await, "closed", "recovered") == 1
    })
    .await;
    let closed_at = Instant::now();
    let mut shares = Vec::new();
    while closed_at.elapsed() < Duration::from_secs(7) {
        let sent = many(&client, &envoy, 150, 8).await;
        assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
        shares.push(sent.by_header("x-llm-backend").get("alpha").copied().unwrap_or(0));
    }
    // A third of 150 are 50; at a tenth of its usual traffic it would have 7.
    println!("alpha's requests of each 150: {shares:?}");
    let quarter = shares.len() / 4;
    let mean = |shares: &[usize]| shares.iter().sum::<usize>() as f64 / shares.len() as f64;
    let (early, late) = (mean(&shares[..quarter.max(1)]), mean(&shares[shares.len() - quarter.max(1)..]));
    assert!(early < 25.0 && late > 1.5 * early && late > 35.0, "{early} then {late}: {shares:?}");
    let all = many(&client, &envoy, 300, 8).await;
    assert!((95..=105).contains(&all.by_header("x-llm-backend")["alpha"]), "{:?}", all.by_header("x-llm-backend"));
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_can_take_a_fifth_does_not_collapse_again_and_again() {
    let backends = trio().await;
    for backend in &backends {
        backend.set(Behaviour::latency_ms(40));
    }
    // A third of 48 at once is 16; it can take 3.
    backends[0].set(Behaviour { capacity: Some(3), ..Behaviour::latency_ms(40) });
    let mut useful = Vec::new();
    for ramp in [3, 0] {
        let breaker = json!({"failure_threshold": 5, "recovery_timeout_seconds": 0.5, "ramp_seconds": ramp});
        let instance = json!({"circuit_breaker": breaker});
        let router = json!({"strategy": "weighted",
            "backend_instances": {"alpha": instance, "beta": instance, "gamma": instance}});
        let envoy = fleet(&backends, router).start().await;
        let client = Client::new();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(12) {
            let sent = many(&client, &envoy, 480, 48).await;
            assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
        }
        let stats = settled(&envoy).await;
        let answers = counted(&stats, "requests_total", &[("backend_id", "alpha"), ("status", "success")]);
        let openings = changes(&stats, "open");
        let failures = counted(&stats, "circuit_breaker_failures_total", &[("backend_id", "alpha")]);
        println!("with a ramp of {ramp} s: {openings} openings, {failures} failures, {answers} answers by alpha");
        if ramp > 0 {
            assert!((1..=3).contains(&openings), "{openings}");
        }
        useful.push(answers);
    }
    // How often it opens without a ramp depends on the machine's speed; that it is of much more use with one does not.
    assert!(useful[0] > 2 * useful[1], "{useful:?}");
}
