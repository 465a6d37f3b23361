//! What requests were expected to cost, against what they did cost.

use super::run::{Nature, Tokenizer};
use super::*;
use crate::cost::price_of;
use crate::domain::{Prices, Usage};

/// Two dear ones, two cheap ones, each with a tokenizer and a manner of its own.
const NATURES: [Nature; 4] = [
    nature("large", Tokenizer::O200k, 1.0),
    nature("other-large", Tokenizer::Unpublished, 1.15),
    nature("small", Tokenizer::O200k, 0.9),
    nature("open", Tokenizer::Cl100k, 1.3),
];

const fn nature(id: &'static str, tokenizer: Tokenizer, verbosity: f64) -> Nature {
    let (first_token, tokens_per_second) = (0.6, 60.0);
    Nature { id, tokenizer, verbosity, first_token, tokens_per_second, failures: 0, outage: None, caches: false }
}

/// Dollars for a million tokens, as GPT-4o, Claude Sonnet, GPT-4o mini and `DeepSeek` V3 cost when they came out.
fn config() -> serde_json::Value {
    let priced = |input: f64, cached: f64, output: f64| {
        json!({
            "input_cost_per_1k_tokens": input / 1e3, "cached_input_cost_per_1k_tokens": cached / 1e3,
            "output_cost_per_1k_tokens": output / 1e3,
        })
    };
    json!({
        "strategy": "round_robin",
        "backend_instances": {
            "large": priced(2.5, 1.25, 10.0), "other-large": priced(3.0, 0.3, 15.0),
            "small": priced(0.15, 0.075, 0.6), "open": priced(0.27, 0.07, 1.1),
        },
    })
}

/// How far estimates were off, in per cent.
#[derive(Debug, Default, Clone, Copy)]
struct Errors {
    absolute: f64,
    relative: f64,
    estimated: f64,
    actual: f64,
    requests: f64,
}

impl Errors {
    fn add(&mut self, estimated: f64, actual: f64) {
        self.absolute += (estimated - actual).abs();
        self.relative += (estimated - actual).abs() / actual;
        self.estimated += estimated;
        self.actual += actual;
        self.requests += 1.0;
    }

    fn of_all(self) -> f64 {
        100.0 * self.absolute / self.actual
    }

    fn of_each(self) -> f64 {
        100.0 * self.relative / self.requests
    }

    fn bias(self) -> f64 {
        100.0 * (self.estimated / self.actual - 1.0)
    }
}

/// Ways to estimate, in the order of the table. The guesses and the oracle know how many tokens the prompt has; the oracle
/// knows the median answer of each kind at each backend, too, and no estimate can be better in the mean than that.
const WAYS: [&str; 4] = [
    "tokens in all: 1.5 times the prompt's",
    "tokens of the answer: 1.5 times the prompt's",
    "the router",
    "an oracle",
];

/// A day's errors after so many requests, of each way: of all requests, and of each kind.
fn errors(day: &[Asked<'_>], natures: &[Nature], models: bool, after: usize) -> ([Errors; 4], [[Errors; 4]; 5]) {
    let run = Run::new(&config(), natures, day, models);
    let prices: Vec<Prices> = natures.iter().map(|nature| run.backend_named(nature.id).prices).collect();
    let (done, charged) = run.whole();
    let (mut all, mut kinds) = ([Errors::default(); 4], [[Errors::default(); 4]; 5]);
    let mut billed = 0;
    for (number, done) in done.iter().enumerate() {
        billed += done.cost.micro_usd();
        if number < after {
            continue;
        }
        let usage = done.usage;
        let at = |output: f64| {
            let usage = Usage { cached_input: Tokens(0), output: Tokens(output as u64), ..usage };
            price_of(&usage, &prices[done.backend]).0 as f64
        };
        let median = natures[done.backend].verbosity * done.kind.answer.median;
        let input = usage.input.0 as f64;
        let oracle = at(median.min(done.kind.max_tokens.map_or(f64::MAX, |most| most as f64)));
        let estimates = [at(0.5 * input), at(1.5 * input), done.estimated.0 as f64, oracle];
        let kind = KINDS.iter().position(|kind| kind.name == done.kind.name).expect("a kind");
        for (way, estimate) in estimates.into_iter().enumerate() {
            all[way].add(estimate, done.cost.0 as f64);
            kinds[kind][way].add(estimate, done.cost.0 as f64);
        }
    }
    assert_eq!(done.len(), day.len());
    // Each request's cost is rounded to the micro-dollar where it is counted.
    assert!(charged.abs_diff(billed) <= done.len() as u64, "{charged} {billed}");
    (all, kinds)
}

/// What is in a day: requests of each kind, tokens of their prompts and their answers.
fn show(day: &[Asked<'_>]) {
    println!("| kind | requests | prompts: median | 95 % | answers: median | mean | 95 % |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for kind in &KINDS {
        let of_kind = || day.iter().filter(|asked| asked.kind.name == kind.name);
        let mut prompts: Vec<_> = of_kind().map(|asked| asked.prompt_tokens(Tokenizer::O200k) as f64).collect();
        let mut answers: Vec<_> =
            of_kind().map(|asked| asked.answer_tokens(kind.answer.of(asked.luck)) as f64).collect();
        let mean = answers.iter().sum::<f64>() / answers.len() as f64;
        let [prompt, long] = [50, 95].map(|percent| percentile(&mut prompts, percent));
        let [answer, verbose] = [50, 95].map(|percent| percentile(&mut answers, percent));
        println!(
            "| {} | {} | {prompt:.0} | {long:.0} | {answer:.0} | {mean:.0} | {verbose:.0} |",
            kind.name,
            prompts.len()
        );
    }
    println!();
}

/// "Cost estimate before against actual after: mean absolute error at most 25 % after 500 requests."
#[test]
fn what_a_request_will_cost_is_known_to_a_quarter_after_five_hundred_requests() {
    let day = day(&LIBRARY, REQUESTS, 5);
    show(&day);
    let (own, kinds) = errors(&day, &NATURES, true, 500);
    // Half the day is enough to see what else makes a difference.
    let morning = &day[..REQUESTS / 2];
    let (one, _) = errors(morning, &NATURES, false, 500);
    let caching = NATURES.map(|nature| Nature { caches: true, ..nature });
    let (cached, _) = errors(morning, &caching, true, 500);
    println!(
        "| estimate | each kind has a model of its own | mean of each request's | bias | all have one model | prompts are cached |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (way, name) in WAYS.iter().enumerate() {
        let [own, one, cached] = [own[way], one[way], cached[way]];
        println!(
            "| {name} | {:.1} % | {:.1} % | {:+.1} % | {:.1} % | {:.1} % |",
            own.of_all(),
            own.of_each(),
            own.bias(),
            one.of_all(),
            cached.of_all()
        );
    }
    println!("\n| kind | of all money | the router | bias | an oracle |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (kind, errors) in KINDS.iter().zip(kinds) {
        let [.., router, oracle] = errors;
        println!(
            "| {} | {:.0} % | {:.1} % | {:+.1} % | {:.1} % |",
            kind.name,
            100.0 * router.actual / own[2].actual,
            router.of_all(),
            router.bias(),
            oracle.of_all()
        );
    }
    assert!(own[2].of_all() <= 25.0, "{:?}", own[2]);
    assert!(own[2].of_all() < own[0].of_all() && own[2].of_all() < own[1].of_all());
}
