//! What a request is expected to take at a backend, and to cost there.

use super::Peers;
use crate::cost::price_of;
use crate::domain::{Api, Backend, PicoUsd, Prices, Purpose, RequestFacts, Tokens, Usage};
use crate::state::Record;

/// What a request is expected to take at one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Prompt tokens, as this backend's provider counts them.
    pub input: Tokens,
    /// Those of them that its cache is expected to have.
    pub cached_input: Tokens,
    /// Tokens of the answer.
    pub output: Tokens,
    /// All of them, each at its price.
    pub cost: PicoUsd,
}

impl Estimate {
    /// Tokens of the prompt and of the answer.
    pub const fn tokens(&self) -> Tokens {
        Tokens(self.input.0.saturating_add(self.output.0))
    }
}

/// Estimates `facts` at `backend`, nothing at all unless it is for inference; `text` is the uncalibrated estimate of the request's text.
///
/// `cost = (input - cached) · input price + cached · cached price + output · output price`, where the output is the
/// median of such answers so far ([`Lengths`]), never more than the request allows. The median, since it is what misses
/// the true length by the least on average: the few answers that are very long would make a mean too large for all the
/// others. What `backend` has not measured, it [borrows](crate::learning::Pooled) from its `peers`.
///
/// [`Lengths`]: crate::learning::Lengths
pub fn estimate(backend: &Backend, record: &Record, facts: &RequestFacts, text: Tokens, peers: Peers<'_>) -> Estimate {
    if facts.purpose != Purpose::Inference {
        return Estimate::default();
    }
    let input = input_tokens(record, facts, text);
    let expected = peers.expect(record, facts, text);
    // No more than 2^24 prompt tokens, times 1,000 at most.
    let cached_input = Tokens(input.0 * u64::from(expected.cached.get()) / 1_000);
    let output = match facts.api {
        Api::Embeddings => Tokens(0),
        _ => facts.max_output_tokens.map_or(expected.output, |most| most.min(expected.output)),
    };
    let cost = price_of(&Usage { input, cached_input, output }, &backend.prices);
    Estimate { input, cached_input, output, cost }
}

/// What a request may cost at `backend` at most, as far as that can be told: what a budget must have left for it.
///
/// `cost = 1.25 · input · the dearer input price + most output · output price`, where an answer is at most as long as 49
/// of 50 such answers were (here, or where they are longest among the peers that something is borrowed from), and as the
/// request allows. As long as little was learned, the request's word alone counts, if it says anything: a wish is no
/// evidence, but it is all there is.
pub fn most(backend: &Backend, record: &Record, facts: &RequestFacts, text: Tokens, peers: Peers<'_>) -> PicoUsd {
    if facts.purpose != Purpose::Inference {
        return PicoUsd(0);
    }
    let input = input_tokens(record, facts, text).0;
    let input = Tokens(input.saturating_add(input.div_ceil(INPUT_MARGIN)));
    let output = match (facts.api, facts.max_output_tokens) {
        (Api::Embeddings, _) => Tokens(0),
        (_, allowed) => {
            let expected = peers.expect(record, facts, text);
            let most = if expected.is_learned || allowed.is_none() { expected.most } else { MOST_OUTPUT };
            allowed.map_or(most, |allowed| allowed.min(most))
        }
    };
    let Prices { input: input_price, output: output_price, cached_input } = backend.prices;
    input_price.max(cached_input).of(input).plus(output_price.of(output))
}

/// What of [`most`] is only guessed from the size of something unread.
pub fn most_of_guess(backend: &Backend, facts: &RequestFacts) -> PicoUsd {
    let Tokens(guess) = facts.guessed_tokens;
    let Prices { input, cached_input, .. } = backend.prices;
    input.max(cached_input).of(Tokens(guess.saturating_add(guess.div_ceil(INPUT_MARGIN)).min(MOST_INPUT)))
}

/// One part in so many that a prompt may be longer than estimated.
const INPUT_MARGIN: u64 = 4;

/// The longest answer that anybody gives, whatever a request allows.
const MOST_OUTPUT: Tokens = Tokens(1 << 20);

/// The longest prompt that anybody takes, whatever length a request announces.
const MOST_INPUT: u64 = 1 << 24;

/// Prompt tokens as this backend's provider counts them. Tokens that came as ids are
/// not estimated, and a guess is none, hence neither is corrected.
fn input_tokens(record: &Record, facts: &RequestFacts, text: Tokens) -> Tokens {
    let estimated = Tokens(text.0.saturating_add(facts.fixed_tokens.0));
    let uncorrected = facts.exact_tokens.0.saturating_add(facts.guessed_tokens.0);
    Tokens(
        record.calibration.apply(facts.api, facts.model_tag(), estimated).0.saturating_add(uncorrected).min(MOST_INPUT),
    )
}

#[cfg(test)]
mod tests;
