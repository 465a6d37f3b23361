use proptest::prelude::*;

use super::*;
use crate::domain::{Model, Price, Rng, SplitMix64, Timestamp};
use crate::learning::Length;
use crate::routing::testing::backend;
use crate::tokens::Pair;

fn priced(input: f64, output: f64) -> Backend {
    let prices = Prices {
        input: Price::from_usd_per_1k(input),
        output: Price::from_usd_per_1k(output),
        cached_input: Price::from_usd_per_1k(input / 10.0),
    };
    Backend { prices, ..backend("a") }
}

/// A backend that answered so often with so many tokens.
fn answering(times: usize, tokens: u64) -> Record {
    let mut record = Record::default();
    (0..times).for_each(|_| record.lengths.learn(&Length { output: Tokens(tokens), ..Length::default() }));
    record
}

fn allowing(tokens: u64) -> RequestFacts {
    RequestFacts { max_output_tokens: Some(Tokens(tokens)), ..RequestFacts::default() }
}

#[test]
fn a_request_costs_its_prompt_and_its_expected_answer_each_at_its_price() {
    let estimate = estimate(&priced(0.01, 0.03), &Record::default(), &allowing(100), Tokens(1_000), Peers::NONE);
    assert_eq!((estimate.input, estimate.output), (Tokens(1_000), Tokens(100)));
    assert_eq!(estimate.cost.micro_usd(), 10_000 + 3_000);
}

#[test]
fn what_its_provider_has_cached_costs_less_and_is_reserved_at_the_full_price() {
    let mut record = Record::default();
    let half = Length { cached: (Tokens(1_000), Tokens(500)), output: Tokens(300), ..Length::default() };
    record.lengths.learn(&half);
    let (backend, facts) = (priced(0.01, 0.03), allowing(100));
    let estimate = estimate(&backend, &record, &facts, Tokens(1_000), Peers::NONE);
    assert_eq!((estimate.input, estimate.cached_input), (Tokens(1_000), Tokens(500)));
    assert_eq!(estimate.cost.micro_usd(), 5_000 + 500 + 3_000);
    assert_eq!(most(&backend, &record, &facts, Tokens(1_000), Peers::NONE).micro_usd(), 12_500 + 3_000);
}

#[test]
fn the_answer_is_as_long_as_answers_were_unless_the_request_forbids_it() {
    let record = answering(200, 900);
    let of = |facts: &RequestFacts| estimate(&priced(0.0, 0.0), &record, facts, Tokens(1), Peers::NONE).output.0;
    assert_eq!((of(&RequestFacts::default()), of(&allowing(5))), (900, 5));
    assert_eq!(of(&RequestFacts { api: Api::Embeddings, ..RequestFacts::default() }), 0);
}

#[test]
fn what_is_reserved_is_what_the_request_allows_or_what_few_answers_exceed() {
    let reserved = |record: &Record, facts: &RequestFacts| {
        let reserved = most(&priced(0.01, 0.03), record, facts, Tokens(1_000), Peers::NONE);
        (reserved.micro_usd() - 12_500) / 30
    };
    let unsaid = RequestFacts::default();
    assert_eq!(reserved(&Record::default(), &unsaid), 4 * 300, "nothing is known yet");
    assert_eq!(reserved(&answering(500, 900), &unsaid), 900, "all are as long");
    assert_eq!(reserved(&Record::default(), &allowing(4_000)), 4_000, "there is nothing else to go by");
    assert_eq!(reserved(&answering(7, 900), &allowing(4_000)), 4_000, "too little is known");
    for wish in [901, 4_000, 900_000] {
        assert_eq!(reserved(&answering(500, 900), &allowing(wish)), 900, "a wish is no evidence");
    }
    assert_eq!(reserved(&answering(500, 900), &allowing(50)), 50);
    assert_eq!(reserved(&Record::default(), &RequestFacts { api: Api::Embeddings, ..RequestFacts::default() }), 0);
}

#[test]
fn nobody_has_more_reserved_than_any_answer_takes() {
    let reserved = |times, facts: &RequestFacts| {
        most(&priced(0.0, 0.01), &answering(times, 1 << 18), facts, Tokens(1), Peers::NONE).micro_usd()
    };
    for absurd in [1 << 20, 1_000_000_000_000_000_000, u64::MAX] {
        assert_eq!(reserved(0, &allowing(absurd)), 10 << 20);
        assert_eq!(reserved(999, &allowing(absurd)), 10 << 18);
    }
    assert_eq!(reserved(999, &RequestFacts::default()), 10 << 18);
    let announced = estimate(&priced(0.01, 0.01), &Record::default(), &allowing(1), Tokens(u64::MAX), Peers::NONE);
    assert_eq!(announced.input, Tokens(1 << 24));
}

#[test]
fn one_absurd_report_shuts_nobody_out() {
    let reserved = |record: &Record| {
        most(&priced(0.0, 0.01), record, &RequestFacts::default(), Tokens(1), Peers::NONE).micro_usd()
    };
    for first in [1 << 18, 10_000_000, u64::MAX] {
        assert!(reserved(&answering(1, first)) <= 54_000, "{first}: {}", reserved(&answering(1, first)));
    }
}

/// A day of requests as they come to one backend, shaped after what was published of real ones: how long prompts and
/// answers are, how widely that is spread, and that neither says much about the other.
struct Day(SplitMix64);

impl Day {
    /// A number whose logarithm is spread by `spread` around that of `middle`.
    fn about(&mut self, middle: f64, spread: f64) -> u64 {
        let normal = (0..12).map(|_| self.0.ratio()).sum::<f64>() - 6.0;
        (middle * (normal * spread).exp()).round().max(1.0) as u64
    }

    /// A request, the estimate of its text, and what its answer will have taken.
    fn request(&mut self) -> (RequestFacts, Tokens, Usage) {
        let (model, prompt, length, cached) = match self.0.below(10) {
            // Conversations: the longer they are, the more of them was said, and cached, before.
            0..=3 => {
                let prompt = self.about(900.0, 0.9);
                let length =
                    if (500..2_000).contains(&prompt) { self.about(380.0, 0.5) } else { self.about(95.0, 0.5) };
                ("converses", prompt, length, if prompt > 700 { 750 + self.0.below(200) as u64 } else { 0 })
            }
            // Code is completed by a line or two.
            4..=6 => ("completes", self.about(1_500.0, 1.0), self.about(16.0, 0.85), 0),
            7 | 8 => ("summarises", self.about(6_000.0, 0.5), self.about(250.0, 0.4), 0),
            _ => ("reasons", self.about(500.0, 0.7), self.about(2_400.0, 0.45), 0),
        };
        // Every third says how long the answer may be; one in ten of these is cut.
        let most = (self.0.below(3) == 0).then(|| if self.0.below(10) == 0 { length / 2 + 1 } else { 4_096 });
        let output = Tokens(most.map_or(length, |most| most.min(length)));
        // Its provider counts a tenth more than is estimated, give or take.
        let input = Tokens(prompt * (1_060 + self.0.below(81) as u64) / 1_000);
        let cached_input = Tokens(input.0 * cached / 1_000);
        let api = Api::ChatCompletions;
        let max_output_tokens = most.map(Tokens);
        let facts = RequestFacts { api, model: Some(Model::from(model)), max_output_tokens, ..RequestFacts::default() };
        (facts, Tokens(prompt), Usage { input, cached_input, output })
    }
}

/// By how much estimates miss, of all that was paid.
struct Miss {
    missed: u64,
    paid: u64,
}

impl Miss {
    fn add(&mut self, estimated: PicoUsd, paid: PicoUsd) {
        self.missed += estimated.0.abs_diff(paid.0);
        self.paid += paid.0;
    }

    fn percent(&self) -> u64 {
        self.missed * 100 / self.paid
    }
}

#[test]
fn after_five_hundred_requests_the_estimated_cost_is_within_a_quarter_of_the_actual_one() {
    let backend = priced(0.002_5, 0.01);
    let [mut first, mut later, mut by_mean, mut by_prompt] = [const { Miss { missed: 0, paid: 0 } }; 4];
    let (mut unbounded, mut exceeded) = (0, 0);
    for seed in 0..5 {
        let (mut day, mut record, mut said) = (Day(SplitMix64::new(seed)), Record::default(), 0);
        for n in 0..5_000 {
            let (facts, text, usage) = day.request();
            let estimate = estimate(&backend, &record, &facts, text, Peers::NONE);
            let paid = price_of(&usage, &backend.prices);
            if n < 50 {
                first.add(estimate.cost, paid);
            } else if n >= 500 {
                later.add(estimate.cost, paid);
                // What would be expected of one mean for the backend, and of nothing but the prompt.
                let mean = Tokens(facts.max_output_tokens.map_or(said / n, |most| most.0.min(said / n)));
                by_mean.add(price_of(&Usage { output: mean, ..usage }, &backend.prices), paid);
                by_prompt.add(backend.prices.input.of(Tokens(text.0 * 3 / 2)), paid);
            }
            if n >= 500 && facts.max_output_tokens.is_none() {
                unbounded += 1;
                exceeded += usize::from(most(&backend, &record, &facts, text, Peers::NONE) < paid);
            }
            record.calibration.learn(Pair::default(), 0, text, usage.input, Timestamp::default());
            record.lengths.learn(&Length::new(&facts, text, usage.output, Some(&usage)));
            said += usage.output.0;
        }
    }
    let all = [first, later, by_mean, by_prompt].map(|miss| miss.percent());
    let [first, later, by_mean, by_prompt] = all;
    assert!(later <= 25 && later + 4 < first && 2 * later < by_mean && 2 * later < by_prompt, "{all:?} %");
    assert!(exceeded * 100 < unbounded * 3, "{exceeded} of {unbounded} cost more than was reserved");
}

#[test]
fn a_model_that_says_much_makes_no_other_model_look_dear() {
    let (backend, mut record) = (priced(0.002_5, 0.01), Record::default());
    let asking = |model: &str| RequestFacts { model: Some(Model::from(model)), ..RequestFacts::default() };
    for _ in 0..500 {
        for (model, tokens) in [("reasons", 9_000), ("is brief", 20)] {
            record.lengths.learn(&Length::new(&asking(model), Tokens(400), Tokens(tokens), None));
        }
    }
    let output = |model| estimate(&backend, &record, &asking(model), Tokens(400), Peers::NONE).output.0;
    assert_eq!((output("reasons"), output("is brief")), (9_000, 20));
}

proptest! {
    #[test]
    fn no_estimate_is_above_what_a_request_allows_or_what_is_reserved(
        text in any::<u64>(), fixed in any::<u64>(), exact in any::<u64>(), limit in prop::option::of(any::<u64>()),
        lengths in prop::collection::vec(any::<(u64, u64, u64)>(), 0..50), octave in 0..64_u32,
    ) {
        let mut record = Record::default();
        for (output, prompt, cached) in lengths {
            let (prompt, cached, output) = (Tokens(prompt >> octave), Tokens(cached >> octave), Tokens(output >> octave));
            record.lengths.learn(&Length { output, cached: (prompt, cached), ..Length::default() });
        }
        let facts = RequestFacts {
            max_output_tokens: limit.map(Tokens), fixed_tokens: Tokens(fixed), exact_tokens: Tokens(exact),
            ..RequestFacts::default()
        };
        let backend = priced(0.01, 0.03);
        let estimate = estimate(&backend, &record, &facts, Tokens(text), Peers::NONE);
        prop_assert!(limit.is_none_or(|limit| estimate.output.0 <= limit));
        prop_assert!(estimate.cached_input <= estimate.input);
        prop_assert!(estimate.cost <= most(&backend, &record, &facts, Tokens(text), Peers::NONE));
    }
}
