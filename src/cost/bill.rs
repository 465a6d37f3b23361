//! What an answer is to be paid with: as reported, or, as far as that goes unreported, as it was estimated and seen.

use super::price_of;
use crate::domain::{PicoUsd, Prices, Tokens, Usage};

/// What was heard of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// As the provider reported; a half of no tokens it did not.
    pub usage: Option<Usage>,
    /// What both halves are together, where neither was reported.
    pub undivided: Tokens,
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
    /// What was reported before the end (Anthropic's streams begin with it) is right about the prompt only. A half that
    /// was not reported is estimated; where nothing of an answer was seen, it is truly none.
    pub fn of(heard: &Heard, prices: &Prices) -> Self {
        let Heard { usage, complete, prompt, passed, .. } = *heard;
        let reported = usage.unwrap_or_default();
        let estimate = if heard.undivided > Tokens(0) {
            heard.divided()
        } else {
            let is_whole = complete && reported.output > Tokens(0);
            let input = if reported.input > Tokens(0) { reported.input } else { prompt };
            let output = if is_whole { reported.output } else { reported.output.max(passed) };
            Usage { input, output, ..reported }
        };
        let estimated = usage.is_none_or(|usage| usage != estimate);
        Self { usage: estimate, cost: price_of(&estimate, prices), estimated }
    }
}

impl Heard {
    /// A total as it may have come about: the prompt as estimated, as far as that leaves what was seen of the answer.
    fn divided(&self) -> Usage {
        let total = self.undivided.0;
        let rest = total.saturating_sub(self.passed.0);
        let input = if self.prompt > Tokens(0) { rest.min(self.prompt.0) } else { rest };
        Usage { input: Tokens(input), cached_input: Tokens(0), output: Tokens(total - input) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Price;

    const PRICES: Prices = Prices { input: Price(10), output: Price(100), cached_input: Price(1) };
    const REPORTED: Usage = Usage { input: Tokens(50), cached_input: Tokens(40), output: Tokens(3) };
    const HEARD: Heard =
        Heard { usage: None, undivided: Tokens(0), complete: false, prompt: Tokens(20), passed: Tokens(7) };

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

    #[test]
    fn a_half_that_is_not_reported_is_estimated_and_the_other_is_not() {
        let heard = |input, output| {
            let usage = Usage { input: Tokens(input), cached_input: Tokens(0), output: Tokens(output) };
            Heard { usage: Some(usage), complete: true, ..HEARD }
        };
        assert_eq!(cost(heard(0, 3)), (20 * 10 + 3 * 100, true));
        assert_eq!(cost(heard(50, 0)), (50 * 10 + 7 * 100, true));
        assert_eq!(cost(Heard { complete: false, ..heard(0, 9) }), (20 * 10 + 9 * 100, true));
        // Nothing of an answer was seen, and nothing is known of the prompt: then none is invented.
        assert_eq!(cost(Heard { passed: Tokens(0), ..heard(50, 0) }), (50 * 10, false));
        assert_eq!(cost(Heard { prompt: Tokens(0), ..heard(0, 3) }), (3 * 100, false));
    }

    #[test]
    fn a_total_is_divided_by_what_is_known_of_its_halves_and_never_exceeded() {
        let divided = |total, prompt, passed| {
            let usage = Some(Usage::default());
            let heard = Heard {
                usage,
                undivided: Tokens(total),
                prompt: Tokens(prompt),
                passed: Tokens(passed),
                complete: true,
            };
            let Bill { usage, estimated, .. } = Bill::of(&heard, &PRICES);
            assert!(estimated && usage.input.0 + usage.output.0 == total);
            (usage.input.0, usage.output.0)
        };
        assert_eq!(divided(1100, 1000, 60), (1000, 100));
        assert_eq!(divided(1100, 1090, 60), (1040, 60));
        assert_eq!(divided(1100, 0, 60), (1040, 60));
        assert_eq!(divided(50, 1000, 60), (0, 50));
        assert_eq!(divided(1100, 0, 0), (1100, 0));
    }
}
