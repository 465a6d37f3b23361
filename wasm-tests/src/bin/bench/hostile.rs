//! What one who behaves notices of thousands who do not: its latencies alone and beside them, in rounds that take turns.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour},
    client::Client,
    envoy::{Envoy, Route},
    hostile::Crowd,
    load::percentile,
    router::chat,
};

/// Hostile requests in all rounds together.
const CROWD: usize = 2_000;

/// Hostile clients at once.
const CLIENTS: usize = 8;

/// How long the simulated backends take for an answer.
const ANSWER_MS: u64 = 20;

/// The backends of envoy/router.ecds.yaml.
const BACKENDS: [&str; 4] = ["lightrag_primary", "perplexity_primary", "openai_primary", "anthropic_primary"];

/// What the one who behaves got.
#[derive(Default)]
struct Served {
    times: Vec<Duration>,
    failures: Vec<String>,
}

impl Served {
    async fn request(&mut self, client: &Client, url: &str) {
        let sent = Instant::now();
        match client.post_json(url, &chat("hello")).await {
            Ok(reply) if reply.status == 200 => self.times.push(sent.elapsed()),
            Ok(reply) => self.failures.push(format!("{} {}", reply.status, reply.text())),
            Err(error) => self.failures.push(error.to_string()),
        }
    }

    fn row(&mut self, name: &str) -> String {
        self.times.sort_unstable();
        let ms = |share| percentile(&self.times, share).as_secs_f64() * 1e3;
        let (p50, p99, most) = (ms(0.5), ms(0.99), ms(1.0));
        let (answered, failed) = (self.times.len(), self.failures.len());
        format!("| {name} | {answered} | {failed} | {p50:.1} | {p99:.1} | {most:.1} |")
    }
}

/// Prints the table.
pub(crate) fn run(rounds: usize, round: Duration, seed: u64) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(measure(rounds, round, seed))
}

async fn measure(rounds: usize, round: Duration, seed: u64) -> Result<(), String> {
    let mut builder = Envoy::builder().concurrency(2).admin_cluster().route(Route::Matcher { retries: 2 });
    let mut fleet = Vec::new();
    for name in BACKENDS {
        let backend = Backend::start(name, Flavour::OpenAi).await;
        backend.set(Behaviour::latency_ms(ANSWER_MS));
        fleet.push(backend);
    }
    builder = builder.backends(&fleet).log_level("warning").router(json!({
        "strategy": "cost_optimized", "envoy_admin": {"cluster": "envoy_admin"}, "backend_instances": {
            "lightrag_primary": {"cost_per_1k_tokens": 0.05, "expected_response_time_ms": 600, "quality_score": 0.92},
            "perplexity_primary": {"cost_per_1k_tokens": 0.2, "expected_response_time_ms": 900, "quality_score": 0.86},
            "openai_primary": {"input_cost_per_1k_tokens": 0.0025, "output_cost_per_1k_tokens": 0.01},
            "anthropic_primary": {"input_cost_per_1k_tokens": 0.003, "output_cost_per_1k_tokens": 0.015},
        },
    }));
    let envoy = builder.try_start().await?;
    let (url, client) = (envoy.url("/v1/chat/completions"), Client::new());
    let (mut alone, mut beside) = (Served::default(), Served::default());
    let mut warm = Served::default();
    for _ in 0..50 {
        warm.request(&client, &url).await;
    }
    for number in 0..rounds {
        let end = Instant::now() + round;
        while Instant::now() < end {
            alone.request(&client, &url).await;
        }
        let crowd = Arc::new(Crowd::new(seed + number as u64, CROWD / rounds));
        let (attacking, port) = (Arc::clone(&crowd), envoy.port());
        // A thread of its own: what it takes to attack is not to be measured.
        let attack = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(attacking.attack(port, CLIENTS)))
        });
        while !attack.is_finished() {
            beside.request(&client, &url).await;
        }
        let sent = attack.join().map_err(|_| "the attack panicked".to_owned())?;
        sent.map_err(|error| error.to_string())?;
    }
    println!(
        "{}; two workers; {rounds} rounds of {round:?} alone and of {} hostile requests by {CLIENTS} clients, seed {seed}; \
         answers after {ANSWER_MS} ms.\n",
        crate::version().await?,
        CROWD / rounds
    );
    println!("| client | answered 200 | not | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|---|");
    println!("{}\n{}", alone.row("alone"), beside.row("beside the hostile ones"));
    let ratio = percentile(&beside.times, 0.99).as_secs_f64() / percentile(&alone.times, 0.99).as_secs_f64().max(1e-9);
    println!("\np99 beside them: {ratio:.2} times that alone.");
    if let Some(failure) = alone.failures.iter().chain(&beside.failures).next() {
        println!("First that was not answered 200: {failure}");
    }
    Ok(())
}
