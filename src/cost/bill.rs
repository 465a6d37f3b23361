//! What an answer is to be paid with: as reported, or, where nobody reported, as far as it was seen.

use super::price_of;
use crate::domain::{PicoUsd, Prices, Tokens, Usage};

/// What was heard of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// As the provider reported.
    pub usage: Option<Usage>,
    /// Whether the answer was heard to its end, and to a good one: then what was reported holds.
    pub complete: bool,
    /// The estimate of the prompt.
    pub prompt: Tokens,
    /// The estimate of what passed of the answer.
    pub passed: Tokens,
}

/// What an answer costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bill {
    /// The tokens that are paid for.
    pub usage: Usage,
    /// Each at its price.
    pub cost: PicoUsd,
    /// Whether that is not, or not all, as reported.
    pub estimated: bool,
}

impl Bill {
    /// Of an answer.
    ///
    /// What was reported before the end (Anthropic's streams begin with it) is right about the prompt only.
    pub fn of(heard: &Heard, prices: &Prices) -> Self {
        let Heard { usage, complete, prompt, passed } = *heard;
        let (usage, estimated) = match usage {
            Some(usage) if complete || usage.output >= passed => (usage, false),
            Some(usage) => (Usage { output: passed, ..usage }, true),
            None => (Usage { input: prompt, cached_input: Tokens(0), output: passed }, true),
        };
        Self { usage, cost: price_of(&usage, prices), estimated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Price;

    const PRICES: Prices = Prices { input: Price(10), output: Price(100), cached_input: Price(1) };
    const REPORTED: Usage = Usage { input: Tokens(50), cached_input: Tokens(40), output: Tokens(3) };
    const HEARD: Heard = Heard { usage: None, complete: false, prompt: Tokens(20), passed: Tokens(7) };

    fn cost(heard: Heard) -> (u64, bool) {
        let bill = Bill::of(&heard, &PRICES);
        (bill.cost.0, bill.estimated)
    }

    #[test]
    fn what_is_reported_is_paid_and_what_is_not_is_estimated() {
        let reported = 10 * 10 + 40 + 3 * 100;
        assert_eq!(cost(Heard { usage: Some(REPORTED), complete: true, ..HEARD }), (reported, false));
        assert_eq!(cost(HEARD), (20 * 10 + 7 * 100, true));
        let begun = 10 * 10 + 40 + 7 * 100;
        assert_eq!(cost(Heard { usage: Some(REPORTED), ..HEARD }), (begun, true));
        assert_eq!(cost(Heard { usage: Some(REPORTED), passed: Tokens(2), ..HEARD }), (reported, false));
    }
}
