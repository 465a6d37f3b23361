//! The same day by each strategy: what it costs, how it is answered.

use super::run::{Nature, Tokenizer};
use super::*;

/// Two dear ones and two cheap ones of similar quality. Each fails now and then, and one of each sort is out for a while.
const NATURES: [Nature; 4] = [
    Nature { failures: 5, outage: Some((14.0, 14.5)), ..nature("dear", Tokenizer::O200k, 0.5, 70.0) },
    Nature { failures: 8, ..nature("other-dear", Tokenizer::Unpublished, 0.9, 60.0) },
    Nature { failures: 8, outage: Some((10.0, 11.0)), ..nature("cheap", Tokenizer::O200k, 0.4, 90.0) },
    Nature { failures: 15, ..nature("other-cheap", Tokenizer::Cl100k, 1.0, 40.0) },
];

const fn nature(id: &'static str, tokenizer: Tokenizer, first_token: f64, tokens_per_second: f64) -> Nature {
    Nature { id, tokenizer, verbosity: 1.0, first_token, tokens_per_second, failures: 0, outage: None, caches: false }
}

/// Prices as in the estimates; weights as an operator would set them who wants each used by its quality.
fn config(strategy: &str) -> serde_json::Value {
    let backend = |input: f64, output: f64, quality: f64, seconds: f64, weight: f64| {
        json!({
            "input_cost_per_1k_tokens": input / 1e3, "output_cost_per_1k_tokens": output / 1e3,
            "quality_score": quality, "expected_response_time_ms": seconds * 1e3, "weight": weight,
        })
    };
    json!({
        "strategy": strategy,
        "backend_instances": {
            "dear": backend(2.5, 10.0, 0.92, 4.0, 2.0), "other-dear": backend(3.0, 15.0, 0.93, 6.0, 2.0),
            "cheap": backend(0.15, 0.6, 0.88, 4.0, 1.0), "other-cheap": backend(0.27, 1.1, 0.89, 8.0, 1.0),
        },
    })
}

/// A day's outcome by one strategy.
#[derive(Debug)]
struct Outcome {
    dollars: f64,
    /// Parts of all requests.
    answered: f64,
    at_once: f64,
    quality: f64,
    /// Seconds.
    took: [f64; 2],
}

fn outcome(day: &[Asked<'_>], strategy: &str) -> Outcome {
    let run = Run::new(&config(strategy), &NATURES, day, true);
    let quality = NATURES.map(|nature| run.backend_named(nature.id).quality.ratio());
    let (done, _) = run.whole();
    let part = |count: usize| count as f64 / done.len() as f64;
    let answered = done.iter().filter(|done| done.answered);
    let mut took: Vec<_> = answered.clone().map(|done| done.took).collect();
    Outcome {
        dollars: done.iter().map(|done| done.cost.0 as f64 * 1e-12).sum(),
        answered: part(took.len()),
        at_once: part(answered.clone().filter(|done| done.attempts == 1).count()),
        quality: answered.clone().map(|done| quality[done.backend]).sum::<f64>() / took.len() as f64,
        took: [50, 95].map(|percent| percentile(&mut took, percent)),
    }
}

const STRATEGIES: [&str; 8] = [
    "round_robin",
    "weighted",
    "weighted_round_robin",
    "least_connections",
    "health_aware",
    "cost_optimized",
    "performance_based",
    "quality_based",
];

/// "`cost_optimized` spends at least 30 % less than round robin at equal or better success rate."
#[test]
fn cost_optimized_spends_much_less_than_round_robin_and_is_answered_as_well() {
    let day = day(&LIBRARY, 1_000, 6);
    let outcomes = STRATEGIES.map(|strategy| outcome(&day, strategy));
    println!("| strategy | spent | of round robin's | answered | by the first attempt | mean quality | p50 | p95 |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (strategy, outcome) in STRATEGIES.iter().zip(&outcomes) {
        println!(
            "| `{strategy}` | ${:.2} | {:.0} % | {:.2} % | {:.2} % | {:.3} | {:.1} s | {:.1} s |",
            outcome.dollars,
            100.0 * outcome.dollars / outcomes[0].dollars,
            100.0 * outcome.answered,
            100.0 * outcome.at_once,
            outcome.quality,
            outcome.took[0],
            outcome.took[1]
        );
    }
    let (even, thrifty) = (&outcomes[0], &outcomes[5]);
    assert!(thrifty.dollars <= 0.7 * even.dollars, "{thrifty:?}");
    assert!(thrifty.answered >= even.answered && thrifty.at_once >= even.at_once, "{thrifty:?} {even:?}");
    assert!(thrifty.quality >= even.quality - 0.05, "{thrifty:?} {even:?}");
}
