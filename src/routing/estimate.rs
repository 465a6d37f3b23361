//! What a request is expected to take at a backend, and to cost there.

use crate::domain::{Api, Backend, PicoUsd, Prices, RequestFacts, Tokens};
use crate::state::Record;

/// What a request is expected to take at one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Prompt tokens, as this backend's provider counts them.
    pub input: Tokens,
    /// Tokens of the answer.
    pub output: Tokens,
    /// Both, each at its price.
    pub cost: PicoUsd,
}

impl Estimate {
    /// Tokens of the prompt and of the answer.
    pub const fn tokens(&self) -> Tokens {
        Tokens(self.input.0.saturating_add(self.output.0))
    }
}

/// Estimates `facts` at `backend`; `text` is the uncalibrated estimate of the request's text.
///
/// `cost = input · input price + output · output price`, where the output is the mean length of this backend's answers
/// so far, never more than the request allows.
pub fn estimate(backend: &Backend, record: &Record, facts: &RequestFacts, text: Tokens) -> Estimate {
    let input = input_tokens(record, facts, text);
    let output = output_tokens(record, facts);
    let Prices { input: input_price, output: output_price, .. } = backend.prices;
    Estimate { input, output, cost: input_price.of(input).plus(output_price.of(output)) }
}

/// What a request may cost at `backend` at most, as far as that can be told: what a budget reserves for it.
///
/// `cost = 1.25 · input · input price + most output · output price`, where an answer is at most as long as the request
/// allows, or, where it does not say, four times as long as this backend's answers are in the mean.
pub fn most(backend: &Backend, record: &Record, facts: &RequestFacts, text: Tokens) -> PicoUsd {
    let input = input_tokens(record, facts, text).0;
    let input = Tokens(input.saturating_add(input.div_ceil(INPUT_MARGIN)));
    let expected = Tokens(u64::from(record.expected_output_tokens()).saturating_mul(OUTPUT_MARGIN));
    let output = match facts.api {
        Api::Embeddings => Tokens(0),
        _ => facts.max_output_tokens.unwrap_or(expected),
    };
    let Prices { input: input_price, output: output_price, cached_input } = backend.prices;
    input_price.max(cached_input).of(input).plus(output_price.of(output))
}

/// One part in so many that a prompt may be longer than estimated.
const INPUT_MARGIN: u64 = 4;

/// How many times the mean an answer may be, where the request does not bound it. Lengths of answers are spread about
/// as widely as an exponential distribution, of which one in fifty is longer than that.
const OUTPUT_MARGIN: u64 = 4;

/// Prompt tokens as this backend's provider counts them. Tokens that came as ids are not estimated, hence not corrected.
fn input_tokens(record: &Record, facts: &RequestFacts, text: Tokens) -> Tokens {
    let estimated = Tokens(text.0.saturating_add(facts.fixed_tokens.0));
    Tokens(record.calibration.apply(estimated).0.saturating_add(facts.exact_tokens.0))
}

fn output_tokens(record: &Record, facts: &RequestFacts) -> Tokens {
    if facts.api == Api::Embeddings {
        return Tokens(0);
    }
    let expected = Tokens(record.expected_output_tokens().into());
    facts.max_output_tokens.map_or(expected, |most| most.min(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Price;
    use crate::routing::testing::backend;

    fn priced(input: f64, output: f64) -> Backend {
        let prices = Prices {
            input: Price::from_usd_per_1k(input),
            output: Price::from_usd_per_1k(output),
            cached_input: Price::from_usd_per_1k(input / 10.0),
        };
        Backend { prices, ..backend("a") }
    }

    #[test]
    fn a_request_costs_its_prompt_and_its_expected_answer_each_at_its_price() {
        let facts = RequestFacts { max_output_tokens: Some(Tokens(100)), ..RequestFacts::default() };
        let estimate = estimate(&priced(0.01, 0.03), &Record::default(), &facts, Tokens(1_000));
        assert_eq!((estimate.input, estimate.output), (Tokens(1_000), Tokens(100)));
        assert_eq!(estimate.cost.micro_usd(), 10_000 + 3_000);
    }

    #[test]
    fn the_answer_is_as_long_as_answers_were_unless_the_request_forbids_it() {
        let mut record = Record::default();
        (0..200).for_each(|_| record.observe_output_tokens(900));
        let of = |facts: &RequestFacts| estimate(&priced(0.0, 0.0), &record, facts, Tokens(1)).output.0;
        assert!(of(&RequestFacts::default()).abs_diff(900) <= 30);
        assert_eq!(of(&RequestFacts { max_output_tokens: Some(Tokens(5)), ..RequestFacts::default() }), 5);
        assert_eq!(of(&RequestFacts { api: Api::Embeddings, ..RequestFacts::default() }), 0);
    }

    #[test]
    fn what_is_reserved_is_what_the_request_allows_or_four_times_the_mean() {
        let most_of =
            |facts: &RequestFacts| most(&priced(0.01, 0.03), &Record::default(), facts, Tokens(1_000)).micro_usd();
        assert_eq!(most_of(&RequestFacts::default()), 12_500 + 4 * 300 * 30);
        assert_eq!(
            most_of(&RequestFacts { max_output_tokens: Some(Tokens(4_000)), ..RequestFacts::default() }),
            132_500
        );
        assert_eq!(most_of(&RequestFacts { api: Api::Embeddings, ..RequestFacts::default() }), 12_500);
    }
}
