//! What the tests of the module share: requests, configurations, and what the module counts.
//!
//! ```no_run
//! # use wasm_tests::{backend::{Backend, Flavour}, client::Client, envoy::Envoy, router::{chat, counted, troubles}};
//! # async fn example(envoy: &Envoy) {
//! let reply = Client::new().post_json(&envoy.url("/v1/chat/completions"), &chat("hello")).await.unwrap();
//! let stats = envoy.stats().await;
//! assert_eq!(counted(&stats, "requests_total", &[("backend_id", "alpha"), ("status", "success")]), 1);
//! assert!(troubles(&stats).is_empty());
//! # }
//! ```

use std::{future::Future, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    backend::{Backend, Flavour},
    envoy::{Envoy, Stats},
};

/// What one worker knows all others know after this long: two ticks, and as much again three times over for a machine
/// that is busy with other tests.
const NEWS: Duration = Duration::from_millis(400);

/// No condition of a test takes longer to come true.
const LIMIT: Duration = Duration::from_secs(15);

/// Three backends of the `OpenAI` API: alpha, beta and gamma.
pub async fn trio() -> [Backend; 3] {
    trio_of(Flavour::OpenAi).await
}

/// Three backends of that service: alpha, beta and gamma.
pub async fn trio_of(flavour: Flavour) -> [Backend; 3] {
    [
        Backend::start("alpha", flavour).await,
        Backend::start("beta", flavour).await,
        Backend::start("gamma", flavour).await,
    ]
}

/// A chat request with one message.
pub fn chat(text: &str) -> Value {
    json!({"model": "sim-1", "messages": [{"role": "user", "content": text}]})
}

/// A chat request whose answer is streamed, usage at its end.
pub fn streamed_chat(text: &str) -> Value {
    let mut request = chat(text);
    request["stream"] = true.into();
    request["stream_options"] = json!({"include_usage": true});
    request
}

/// The sum of the module's `loadbalancer_<name>` over all that have these labels.
pub fn counted(stats: &Stats, name: &str, labels: &[(&str, &str)]) -> u64 {
    let prefix = format!("wasmcustom.loadbalancer_{name}.");
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!(".{key}.{value}.")).collect();
    let all = stats.matching(&["wasmcustom."]).filter(|(name, _)| name.starts_with(&prefix));
    let has = |name: &str| labels.iter().all(|label| format!("{name}.").contains(label));
    all.filter(|(name, _)| has(name)).map(|(_, value)| value).sum()
}

/// Requests in flight, as the module counts them, over all backends.
pub fn in_flight(stats: &Stats) -> u64 {
    counted(stats, "in_flight", &[])
}

/// What must never happen: a VM that died (Envoy makes it anew at the next stream), an error inside the router.
pub fn troubles(stats: &Stats) -> Vec<(String, u64)> {
    let reloads = stats.matching(&["wasm.", "vm_reload"]);
    let internal = stats.matching(&["wasmcustom.loadbalancer_internal_errors_total"]);
    reloads.chain(internal).filter(|(_, value)| *value > 0).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Waits until each request that came was counted as ended, or as refused. Not for tests in which some never get as far.
pub async fn ended(envoy: &Envoy) -> Stats {
    let all = |stats: &Stats| counted(stats, "requests_total", &[]) + counted(stats, "refusals_total", &[]);
    envoy
        .wait_for(LIMIT, |stats| all(stats) == stats.get("http.llm.downstream_rq_total") && in_flight(stats) == 0)
        .await
}

/// Waits until all requests have [`ended`]; panics if one is in flight for good, or if anything went wrong inside.
pub async fn settled(envoy: &Envoy) -> Stats {
    ended(envoy).await;
    // The gauge is of the last tick. What was left behind is in that of the next.
    news_travels().await;
    let stats = envoy.wait_for(LIMIT, |stats| in_flight(stats) == 0).await;
    assert_eq!(troubles(&stats), []);
    stats
}

/// Waits until every worker knows what any of them knows now.
pub async fn news_travels() {
    sleep(NEWS).await;
}

/// Asks again and again until the answer is yes; panics with `what` where that takes too long.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
