//! How soon requests follow what has changed, in virtual time, by the share of them that explores.
//!
//! `cargo test --lib convergence -- --ignored --nocapture` prints the tables of
//! `benchmarks/2026-12-01-exploration.md`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::domain::{Rng, SplitMix64};

/// What a backend is like, besides its configuration.
#[derive(Debug, Clone, Copy)]
struct Nature {
    /// Until the answer is whole.
    millis: u64,
    /// Tokens of its answers.
    output: u64,
    /// In a hundred attempts.
    failures: u64,
}

const NATURE: Nature = Nature { millis: 400, output: 15, failures: 0 };

/// A fleet, and what becomes of it. The last backend is the best one afterwards.
struct Scenario {
    name: &'static str,
    strategy: &'static str,
    /// Before and after.
    backends: [Value; 2],
    natures: [Vec<Nature>; 2],
}

/// It does not say how long the answer may be.
const QUESTION: &str = r#"{"model":"m","messages":[{"role":"user","content":"How are you?"}]}"#;

/// Requests before something changes.
const BEFORE: usize = 200;

/// A request each so many microseconds.
const INTERVAL: u64 = SECOND / 10;

/// So many of the next hundred must go to the better backend: then it has its share.
const SHARE: usize = 90;

fn scenarios() -> Vec<Scenario> {
    let priced = |price: f64| json!({ "cost_per_1k_tokens": price });
    let expected = |millis: u64| json!({ "expected_response_time_ms": millis });
    let good = |quality: f64, millis: u64| json!({ "quality_score": quality, "expected_response_time_ms": millis });
    let fast = Nature { millis: 50, ..NATURE };
    let slow = Nature { millis: 500, ..NATURE };
    let steady = Nature { millis: 100, ..NATURE };
    let four = json!({ "a": {}, "b": {}, "c": {}, "d": {} });
    vec![
        Scenario {
            name: "cost: one is added at half the price",
            strategy: "cost_optimized",
            backends: [json!({ "a": priced(0.02) }), json!({ "a": priced(0.02), "b": priced(0.01) })],
            natures: both([NATURE; 2]),
        },
        Scenario {
            name: "cost: the price of the second falls to a third",
            strategy: "cost_optimized",
            backends: [
                json!({ "a": priced(0.02), "b": priced(0.03) }),
                json!({ "a": priced(0.02), "b": priced(0.01) }),
            ],
            natures: both([NATURE; 2]),
        },
        Scenario {
            name: "cost: the second, at a higher price, has much less to say",
            strategy: "cost_optimized",
            backends: [json!({ "a": priced(0.02) }), json!({ "a": priced(0.02), "b": priced(0.03) })],
            natures: both([Nature { output: 400, ..NATURE }, NATURE]),
        },
        Scenario {
            name: "performance: the second is ten times as fast, and was expected to be slower",
            strategy: "performance_based",
            backends: [json!({ "a": expected(1_000) }), json!({ "a": expected(1_000), "b": expected(3_000) })],
            natures: both([slow, fast]),
        },
        Scenario {
            name: "performance: 50 ms become 500 ms, and the other way round",
            strategy: "performance_based",
            backends: [json!({ "a": {}, "b": {} }), json!({ "a": {}, "b": {} })],
            natures: [vec![fast, slow], vec![slow, fast]],
        },
        Scenario {
            name: "performance: the slower one becomes the faster one, the other stays as it is",
            strategy: "performance_based",
            backends: [json!({ "a": {}, "b": {} }), json!({ "a": {}, "b": {} })],
            natures: [vec![steady, slow], vec![steady, fast]],
        },
        Scenario {
            name: "performance: a fourth one is added, faster than the three, and was expected to be slower",
            strategy: "performance_based",
            backends: [
                json!({ "a": {}, "b": {}, "c": {} }),
                json!({ "a": {}, "b": {}, "c": {}, "d": { "expected_response_time_ms": 5_000 } }),
            ],
            natures: both([slow, slow, slow, fast]),
        },
        Scenario {
            name: "performance: the last of four becomes the fastest, the others stay as they are",
            strategy: "performance_based",
            backends: [four.clone(), four],
            natures: [vec![steady, slow, slow, slow], vec![steady, slow, slow, fast]],
        },
        Scenario {
            name: "quality: the better one was expected to be slow, and is not",
            strategy: "quality_based",
            backends: [json!({ "a": good(0.90, 1_000) }), json!({ "a": good(0.90, 1_000), "b": good(0.92, 20_000) })],
            natures: both([NATURE; 2]),
        },
        Scenario {
            name: "quality: the better one failed two answers in five, and is well again",
            strategy: "quality_based",
            backends: [
                json!({ "a": good(0.90, 1_000), "b": json!({ "quality_score": 0.95, "circuit_breaker": null }) }),
                json!({ "a": good(0.90, 1_000), "b": json!({ "quality_score": 0.95, "circuit_breaker": null }) }),
            ],
            natures: [vec![NATURE, Nature { failures: 40, ..NATURE }], vec![NATURE; 2]],
        },
    ]
}

/// The same before and after.
fn both<const N: usize>(natures: [Nature; N]) -> [Vec<Nature>; 2] {
    [natures.to_vec(), natures.to_vec()]
}

fn config(strategy: &str, backends: &Value, exploration: f64, seed: u64) -> Arc<config::Config> {
    let config = json!({
        "strategy": strategy, "backend_instances": backends, "exploration": exploration, "seed": seed,
    });
    Arc::new(config::parse(config.to_string().as_bytes()).expect("a configuration"))
}

/// One worker, its backends, and the answers that are to come.
struct Run<'s> {
    rig: Rig,
    scenario: &'s Scenario,
    luck: SplitMix64,
    number: usize,
    open: BTreeMap<(u64, usize), (Exchange, Answered)>,
}

/// At which attempt it is answered, if it is, and at what length.
#[derive(Debug, Clone, Copy)]
struct Answered {
    attempts: u64,
    well: bool,
    output: u64,
}

impl<'s> Run<'s> {
    fn new(scenario: &'s Scenario, exploration: f64, seed: u64) -> Self {
        let world = World::new();
        let config = config(scenario.strategy, &scenario.backends[0], exploration, seed);
        let mut view = View::new(1);
        let router = Router::new(config, &mut view, &world, 0).expect("a router");
        let rig = Rig { world, router, view };
        let luck = SplitMix64::new(seed ^ 0xABCD);
        Self { rig, scenario, luck, number: 0, open: BTreeMap::new() }
    }

    /// Another configuration takes over, as by a swap.
    fn change(&mut self, exploration: f64, seed: u64) {
        let config = config(self.scenario.strategy, &self.scenario.backends[1], exploration, seed + 1);
        self.rig.router = Router::new(config, &mut self.rig.view, &self.rig.world, 0).expect("a router");
    }

    /// The next request: where it goes first.
    fn next(&mut self, natures: &[Nature]) -> usize {
        let now = World::START.as_micros() + self.number as u64 * INTERVAL;
        self.number += 1;
        while let Some(entry) = self.open.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), (exchange, answered)) = entry.remove_entry();
            self.rig.world.now.set(at);
            self.answer(exchange, answered);
        }
        self.rig.world.now.set(now);
        self.rig.view.refresh(&self.rig.world, self.rig.world.now()).expect("refreshed");
        let mut exchange = Exchange::default();
        assert_eq!(self.rig.send(&mut exchange, &[], QUESTION), Flow::Continue);
        let planned: Vec<usize> = ["x-llm-try-0", "x-llm-try-1", "x-llm-try-2"]
            .iter()
            .filter_map(|name| self.rig.header(name))
            .map(|id| usize::from(id.as_bytes()[0] - b'a'))
            .collect();
        let mut answered = Answered { attempts: 0, well: false, output: 0 };
        let mut at = now;
        for &backend in &planned {
            let nature = natures[backend];
            at += nature.millis * 1_000;
            let well = self.luck.below(100) as u64 >= nature.failures;
            answered = Answered { attempts: answered.attempts + 1, well, output: nature.output };
            if well {
                break;
            }
        }
        self.open.insert((at, self.number), (exchange, answered));
        planned[0]
    }

    fn answer(&mut self, mut exchange: Exchange, answered: Answered) {
        let Answered { attempts, well, output, .. } = answered;
        let body = json!({
            "choices": [{ "message": { "content": "Fine." } }],
            "usage": { "prompt_tokens": 12, "completion_tokens": output },
        });
        let (status, body) = if well { (200, Some(body.to_string())) } else { (500, None) };
        self.rig.answer(&mut exchange, status, attempts, body.as_deref(), 0);
    }
}

/// Of each request that came after the change, whether it went to the best backend first.
fn after_the_change(scenario: &Scenario, exploration: f64, seed: u64, requests: usize) -> Vec<bool> {
    let mut run = Run::new(scenario, exploration, seed);
    for _ in 0..BEFORE {
        run.next(&scenario.natures[0]);
    }
    run.change(exploration, seed);
    let best = scenario.natures[1].len() - 1;
    (0..requests).map(|_| run.next(&scenario.natures[1]) == best).collect()
}

/// After how many requests the best backend has its share, if it comes to have it.
fn requests_until_it_follows(firsts: &[bool]) -> Option<usize> {
    firsts.windows(100).position(|window| window.iter().filter(|&&is_best| is_best).count() >= SHARE)
}

#[test]
fn where_the_requests_go_follows_prices_and_speeds_within_five_hundred_requests() {
    for scenario in scenarios() {
        for seed in 0..4 {
            let firsts = after_the_change(&scenario, 0.02, seed, 620);
            let after = requests_until_it_follows(&firsts);
            assert!(after.is_some_and(|after| after <= 500), "{}, seed {seed}: {after:?}", scenario.name);
        }
    }
}

#[test]
fn without_exploration_what_is_only_known_by_asking_is_never_known() {
    for scenario in scenarios() {
        let firsts = after_the_change(&scenario, 0.0, 1, 400);
        let is_stuck = requests_until_it_follows(&firsts).is_none();
        let is_hidden = ["much less to say", "was expected to be slower", "as it is", "as they are", "to be slow"];
        assert_eq!(is_stuck, is_hidden.iter().any(|part| scenario.name.contains(part)), "{}", scenario.name);
    }
}

#[test]
fn the_same_trace_and_seed_make_the_same_decisions() {
    for scenario in scenarios() {
        let [one, other] = [(); 2].map(|()| after_the_change(&scenario, 0.1, 7, 150));
        assert_eq!(one, other, "{}", scenario.name);
    }
}

/// What exploration costs once the better backend has its share: of so many requests, those that went elsewhere first.
fn elsewhere(scenario: &Scenario, exploration: f64, seed: u64) -> f64 {
    let firsts = after_the_change(scenario, exploration, seed, 6_000);
    let settled = &firsts[1_000..];
    settled.iter().filter(|&&is_best| !is_best).count() as f64 / settled.len() as f64
}

#[test]
#[ignore = "prints the tables of benchmarks/2026-12-01-exploration.md; takes a while"]
fn tables() {
    const SHARES: [f64; 3] = [0.0, 0.02, 0.05];
    const SEEDS: u64 = 20;
    println!("| what changes | exploration 0 | 0.02: median (9 in 10, worst) | 0.05: median (9 in 10, worst) |");
    println!("| --- | ---: | ---: | ---: |");
    for scenario in scenarios() {
        let cells = SHARES.map(|exploration| {
            let of = |seed| {
                requests_until_it_follows(&after_the_change(&scenario, exploration, seed, 2_100)).unwrap_or(usize::MAX)
            };
            let mut all: Vec<usize> = (0..SEEDS).map(of).collect();
            all.sort_unstable();
            let shown = |n: usize| if n == usize::MAX { "never".to_owned() } else { n.to_string() };
            let [median, ninth, worst] = [all.len() / 2, all.len() * 9 / 10, all.len() - 1].map(|n| shown(all[n]));
            if exploration > 0.0 { format!("{median} ({ninth}, {worst})") } else { median }
        });
        println!("| {} | {} |", scenario.name, cells.join(" | "));
    }
    println!("\n| once it is settled, requests that go first to the worse one | 0.02 | 0.05 |");
    println!("| --- | ---: | ---: |");
    for scenario in scenarios() {
        let cells = [0.02, 0.05].map(|exploration| {
            let mean = (0..4).map(|seed| elsewhere(&scenario, exploration, seed)).sum::<f64>() / 4.0;
            format!("{:.1} %", 100.0 * mean)
        });
        println!("| {} | {} |", scenario.name, cells.join(" | "));
    }
}
