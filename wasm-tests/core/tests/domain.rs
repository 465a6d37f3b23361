//! The words of the domain, in wasm: 32-bit `usize`, no operating system.

use std::time::Duration;

use llm_router::domain::{
    BackendIndex, BackendType, PerMille, PicoUsd, Price, Rng, SplitMix64, Timestamp, Tokens, Weight,
};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test(unsupported = test)]
fn money_beyond_32_bits_is_exact() {
    let price = Price::from_usd_per_1k(0.05);
    assert_eq!(price.of(Tokens(2_000_000)), PicoUsd(100_000_000_000_000));
    assert_eq!(price.of(Tokens(2_000_000)).micro_usd(), 100_000_000);
}

#[wasm_bindgen_test(unsupported = test)]
fn money_stops_at_its_largest_amount() {
    assert_eq!(PicoUsd(u64::MAX).plus(PicoUsd(1)), PicoUsd(u64::MAX));
    assert_eq!(Price(u64::MAX).of(Tokens(3)), PicoUsd(u64::MAX));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_price_that_is_not_a_number_is_no_price() {
    assert_eq!(Price::from_usd_per_1k(f64::NAN), Price(0));
    assert_eq!(Price::from_usd_per_1k(-1.0), Price(0));
}

#[wasm_bindgen_test(unsupported = test)]
fn moments_of_this_century_keep_their_microseconds() {
    let now = Timestamp::from_micros(1_800_000_000_000_001);
    let later = now.after(Duration::from_secs(86_400));
    assert_eq!(later.as_micros(), 1_800_086_400_000_001);
    assert_eq!(later.since(now), Duration::from_secs(86_400));
    assert_eq!(now.since(later), Duration::ZERO);
}

#[wasm_bindgen_test(unsupported = test)]
fn shares_are_held_between_nothing_and_all() {
    assert_eq!(PerMille::from_ratio(0.9204).get(), 920);
    assert_eq!(PerMille::from_ratio(f64::INFINITY), PerMille::ONE);
    assert_eq!(PerMille::from_ratio(f64::NAN).get(), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn the_same_seed_gives_the_same_choices_as_on_any_machine() {
    let mut rng = SplitMix64::new(1_234_567);
    assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
    let mut choices = SplitMix64::new(42);
    let picked: Vec<usize> = (0..8).map(|_| choices.below(10)).collect();
    assert_eq!(picked, [7, 1, 2, 3, 0, 8, 2, 8]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_bound_wider_than_32_bits_of_randomness_is_never_reached() {
    let mut rng = SplitMix64::new(3);
    for _ in 0..10_000 {
        assert!(rng.below(usize::MAX) < usize::MAX);
        assert!(rng.below(1) == 0);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_weight_is_never_nothing() {
    assert_eq!(Weight::from_thousandths(0).thousandths(), 1);
    assert_eq!(Weight::from_thousandths(u32::MAX).thousandths(), u32::MAX);
}

#[wasm_bindgen_test(unsupported = test)]
fn every_backend_type_has_its_own_name() {
    let mut names: Vec<&str> = BackendType::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["anthropic", "gemini", "generic", "lightrag", "openai", "perplexity"]);
    assert_eq!(BackendIndex(u16::MAX).get(), 65_535);
}
