//! What an answer cost.

use crate::domain::{PicoUsd, Prices, Tokens, Usage};

/// Cached prompt tokens at their own price, and not twice.
pub fn price_of(usage: &Usage, prices: &Prices) -> PicoUsd {
    let cached = usage.cached_input.min(usage.input);
    let fresh = Tokens(usage.input.0 - cached.0);
    prices.input.of(fresh).plus(prices.cached_input.of(cached)).plus(prices.output.of(usage.output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Price;

    #[test]
    fn cached_tokens_are_billed_once_and_at_their_price() {
        let usage = Usage { input: Tokens(1_000), cached_input: Tokens(900), output: Tokens(10) };
        let usd = Price::from_usd_per_1k;
        let prices = Prices { input: usd(0.01), output: usd(0.1), cached_input: usd(0.001) };
        assert_eq!(price_of(&usage, &prices).micro_usd(), 1_000 + 900 + 1_000);
    }
}
