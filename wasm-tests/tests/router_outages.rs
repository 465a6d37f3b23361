//! Backends that go down and come back at random, under load: no request is lost while any of them is up.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::task::JoinSet;
use wasm_tests::{
    backend::{Backend, Behaviour},
    client::Client,
    envoy::{Envoy, Route},
    router::{chat, counted, news_travels, settled, trio, until},
};

const PATH: &str = "/v1/chat/completions";
const PHASES: u64 = 50;
const PHASE: Duration = Duration::from_millis(120);

/// The backends and how often each went down or came back: the count is odd while it is down.
struct Fleet {
    backends: [Backend; 3],
    changes: [AtomicU64; 3],
    over: AtomicBool,
}

impl Fleet {
    fn changes(&self) -> [u64; 3] {
        self.changes.each_ref().map(|changes| changes.load(Ordering::SeqCst))
    }

    /// Each backend is down in a fifth of the phases, drawn anew for each. Returns how many that were, over all.
    async fn suffer(&self, mut seed: u32) -> u64 {
        let mut down = 0;
        for phase in 0..=PHASES {
            for (backend, changes) in self.backends.iter().zip(&self.changes) {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // At the end all are up.
                let goes_down = seed >> 16 < (1 << 16) / 5 && phase < PHASES;
                let is_down = changes.load(Ordering::SeqCst) % 2 == 1;
                down += u64::from(goes_down);
                if goes_down && !is_down {
                    changes.fetch_add(1, Ordering::SeqCst);
                    backend.kill().await;
                } else if is_down && !goes_down {
                    backend.restart().await;
                    changes.fetch_add(1, Ordering::SeqCst);
                }
            }
            tokio::time::sleep(PHASE).await;
        }
        self.over.store(true, Ordering::SeqCst);
        down
    }

    /// Sends one request after the other until the outages are over.
    async fn ask(self: Arc<Self>, url: String) -> Seen {
        let (client, mut seen) = (Client::new(), Seen::default());
        while !self.over.load(Ordering::SeqCst) {
            let before = self.changes();
            let reply = client.post_json(&url, &chat("hello")).await;
            let after = self.changes();
            let one_was_up_all_along = before.iter().zip(after).any(|(&a, b)| a == b && a % 2 == 0);
            match reply {
                Ok(reply) if reply.status == 200 => seen.answered += 1,
                _ if !one_was_up_all_along => seen.excused += 1,
                other => seen.lost.push(format!("{other:?}")),
            }
        }
        seen
    }
}

/// What became of requests.
#[derive(Debug, Default)]
struct Seen {
    answered: u64,
    /// There was no backend that was up from the first byte of the request to the last of its answer.
    excused: u64,
    lost: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_each_of_three_backends_down_a_fifth_of_the_time_nothing_is_lost_unless_all_are() {
    let backends = trio().await;
    for backend in &backends {
        backend.set(Behaviour::latency_ms(3));
    }
    let breaker = json!({"failure_threshold": 2, "recovery_timeout_seconds": 0.1, "half_open_max_requests": 1,
        "ramp_seconds": 0.5});
    let instance = json!({"circuit_breaker": breaker});
    let router = json!({"strategy": "round_robin", "panic_threshold": 1.0,
        "backend_instances": {"alpha": instance, "beta": instance, "gamma": instance}});
    let builder = Envoy::builder().concurrency(4).backends(&backends).route(Route::Matcher { retries: 2 });
    let envoy = builder.router(router).start().await;

    let fleet = Arc::new(Fleet { backends, changes: Default::default(), over: AtomicBool::new(false) });
    let mut senders = JoinSet::new();
    for _ in 0..16 {
        senders.spawn(Arc::clone(&fleet).ask(envoy.url(PATH)));
    }
    let down = fleet.suffer(20).await;
    let all = senders.join_all().await.into_iter().fold(Seen::default(), |mut all, seen| {
        all.answered += seen.answered;
        all.excused += seen.excused;
        all.lost.extend(seen.lost);
        all
    });
    println!("down in {down} of {} phases; {} answered, {} excused", 3 * PHASES, all.answered, all.excused);
    assert!((15..=45).contains(&down), "a fifth or so: {down}");
    assert!(all.lost.is_empty(), "{} lost, {} answered: {:?}", all.lost.len(), all.answered, all.lost.first());
    assert!(all.answered > 500, "{}", all.answered);
    let stats = settled(&envoy).await;
    assert!(counted(&stats, "failovers_total", &[]) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_breaker_is_open_the_least_ill_backend_is_tried_where_the_operator_allows_it() {
    for panics in [false, true] {
        let backends = trio().await;
        let breaker = json!({"failure_threshold": 1, "recovery_timeout_seconds": 600});
        let instance = json!({"circuit_breaker": breaker});
        let threshold = if panics { 0.5 } else { 0.0 };
        let router = json!({"panic_threshold": threshold, "backend_instances": {"alpha": instance, "beta": instance, "gamma": instance}});
        let builder = Envoy::builder().concurrency(4).backends(&backends).route(Route::Matcher { retries: 2 });
        let envoy = builder.router(router).start().await;
        let client = Client::new();
        let ask = async || client.post_json(&envoy.url(PATH), &chat("hello")).await.unwrap();
        for backend in &backends {
            backend.set(Behaviour::status(500));
        }
        let all_open = || async {
            let seen = envoy.stats().await;
            let state = |id| counted(&seen, "circuit_breaker_state", &[("backend_id", id)]);
            ["alpha", "beta", "gamma"].map(state) == [2, 2, 2]
        };
        until("all breakers are open", || async {
            ask().await;
            all_open().await
        })
        .await;
        news_travels().await;
        for backend in &backends {
            backend.set(Behaviour::default());
        }
        let reply = ask().await;
        if panics {
            assert_eq!((reply.status, reply.header("x-llm-attempts").as_deref()), (200, Some("1")));
        } else {
            assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &json!("no_backend_available")));
            let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((60..=1_200).contains(&wait), "until the first may be asked again: {wait}");
        }
        settled(&envoy).await;
    }
}
