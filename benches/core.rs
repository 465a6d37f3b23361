//! The core, natively: a decision, the estimate, reading a body. Prints the Markdown that `scripts/bench.sh` records.
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
#![expect(clippy::print_stdout, reason = "its table is what it is for")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a failed benchmark")]

use std::cell::OnceCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use llm_router::config;
use llm_router::domain::{
    Api, ApiNeed, BackendIndex, Model, PerMille, RequestFacts, SplitMix64, TextSink, Timestamp, Tokens,
};
use llm_router::learning::Length;
use llm_router::protocol;
use llm_router::routing::{Ask, Fleet, Peers, Strategy, Turns, plan};
use llm_router::state::{Backends, Load, MemoryStore, View};
use llm_router::tokens::Counter;

/// Each figure is the median of this many runs.
const RUNS: usize = 9;

/// Nanoseconds of one `work`, the median of several runs of about 50 ms.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let mut repeat = 1_u32;
    let mut time = |repeat: u32| {
        let begun = Instant::now();
        (0..repeat).for_each(|_| work());
        begun.elapsed()
    };
    while time(repeat) < Duration::from_millis(50) {
        repeat = repeat.saturating_mul(2);
    }
    let mut runs: Vec<f64> = (0..RUNS).map(|_| time(repeat).as_secs_f64() * 1e9 / f64::from(repeat)).collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

/// Turns of this thread alone: what sharing them costs is a matter of host calls, not of the core.
#[derive(Default)]
struct OwnTurns(u64);

impl Turns for OwnTurns {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    fn smooth(&mut self, candidates: &[(BackendIndex, u32)]) -> Option<usize> {
        self.0 += 1;
        usize::try_from(self.0 % candidates.len() as u64).ok()
    }
}

fn decisions() {
    println!("| one decision (three attempts planned) | 3 backends | 16 backends | 256 backends |");
    println!("| --- | ---: | ---: | ---: |");
    for strategy in Strategy::ALL {
        let row: Vec<String> = [3, 16, 256].map(|n| format!("{:.2} us", decision(strategy, n, 20) / 1e3)).into();
        println!("| `{}` | {} |", strategy.name(), row.join(" | "));
    }
    let row = [3, 16, 256].map(|n| format!("{:.2} us", decision(Strategy::CostOptimized, n, 1) / 1e3));
    println!("| `cost_optimized`, lengths borrowed | {} |", row.join(" | "));
    println!();
}

/// Each backend has answered so many requests to each model.
fn decision(strategy: Strategy, backends: usize, answers: usize) -> f64 {
    let backend = |n: usize| {
        let settings = serde_json::json!({
            "cost_per_1k_tokens": 0.01 + n as f64 / 1e3, "quality_score": 0.5 + (n % 40) as f64 / 100.0,
            "expected_response_time_ms": 500 + n, "weight": 1 + n % 3,
        });
        (format!("backend_{n}"), settings)
    };
    let instances: serde_json::Map<_, _> = (0..backends).map(backend).collect();
    let config = config::parse(serde_json::json!({ "backend_instances": instances }).to_string().as_bytes()).unwrap();
    let (store, mut view, now) = (MemoryStore::default(), View::new(1), Timestamp::from_micros(1 << 50));
    let places: Vec<_> = config.backends.iter().map(|b| view.place(&store, &b.id).unwrap()).collect();
    for (n, (&place, backend)) in places.iter().zip(&config.backends).enumerate() {
        let learn = |record: &mut llm_router::state::Record| {
            let sample = Duration::from_millis(300 + 10 * n as u64);
            record.response_time.observe(sample, backend.expected_response_time, now);
            (0..100).for_each(|answer| record.observe_answer(answer % 17 == n % 17, now));
            for model in ["gpt-5", "gpt-5-mini", "m"] {
                let (model, output) = (Model::from(model).tag(), Tokens(300 + n as u64));
                let length = Length { model, prompt: Tokens(900), output, ..Length::default() };
                (0..answers).for_each(|_| record.lengths.learn(&length));
            }
            record.set_load_at(0, Load { requests: n as u32 % 5, ..Load::default() });
        };
        view.change(&store, place, now, learn).unwrap();
    }
    let (model, max_output_tokens) = (Some(Model::from("m")), Some(Tokens(400)));
    let facts = RequestFacts { model, max_output_tokens, ..RequestFacts::default() };
    let fleet = Fleet { backends: &config.backends, places: &places, view: &view };
    let ask = Ask {
        facts: &facts,
        need: ApiNeed::NONE,
        text: Tokens(900),
        strategy,
        min_quality: None,
        panic_threshold: PerMille::new(0),
        means: &[],
        reserved: Backends::default(),
        peers: Peers::NONE,
        exploration: config.exploration,
        source: None,
    };
    let (mut rng, mut turns) = (SplitMix64::new(7), OwnTurns::default());
    nanoseconds(|| {
        let pooled = OnceCell::new();
        let ask = Ask { peers: Peers::new(fleet, now, &pooled), ..*black_box(&ask) };
        black_box(plan(black_box(&fleet), &ask, 3, now, &mut rng, &mut turns).is_ok());
    })
}

/// The corpus's files of one kind, up to about a megabyte.
fn corpus(kind: &str) -> String {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/held-out").join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

fn estimates() {
    println!("| estimate of | MB/s | us per MB |");
    println!("| --- | ---: | ---: |");
    for kind in ["english", "code", "json", "languages"] {
        let text = corpus(kind);
        // In pieces that are short enough to be read whole: of long ones only windows are.
        let pieces: Vec<String> = text.chars().collect::<Vec<_>>().chunks(8_192).map(String::from_iter).collect();
        let per_megabyte = 1e6 / text.len() as f64
            * nanoseconds(|| {
                let mut counter = Counter::default();
                for piece in &pieces {
                    counter.push(black_box(piece));
                }
                black_box(counter.tokens());
            });
        println!("| {kind} | {:.0} | {:.0} |", 1e9 / per_megabyte, per_megabyte / 1e3);
    }
    println!();
}

fn bodies() {
    println!("| reading a chat request, text estimated | us |");
    println!("| --- | ---: |");
    let prose = corpus("english");
    for size in [1 << 10, 16 << 10, 256 << 10] {
        let content: String = prose.chars().filter(char::is_ascii).cycle().take(size - 80).collect();
        let body =
            serde_json::json!({ "model": "m", "messages": [{ "role": "user", "content": content }] }).to_string();
        let time = nanoseconds(|| {
            let mut counter = Counter::default();
            let read =
                protocol::read_request(Api::ChatCompletions, b"/v1/chat/completions", body.as_bytes(), &mut counter);
            black_box((read.is_ok(), counter.tokens()));
        });
        println!("| {} kB | {:.1} |", size >> 10, time / 1e3);
    }
    println!();
}

fn main() {
    // `cargo test --benches` runs this too, without `--bench`: then there is nothing to prove.
    if std::env::args().any(|argument| argument == "--bench") {
        decisions();
        estimates();
        bodies();
    }
}
