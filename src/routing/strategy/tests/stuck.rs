//! Choices that were stuck: a backend that nobody has measured gets no requests, hence nobody measures it.

use std::time::Duration;

use super::Strategy;
use crate::domain::{Backend, Model, Price, Prices, RequestFacts, Tokens};
use crate::learning::Length;
use crate::routing::testing::{Rig, at, backend};
use crate::tokens::Pair;

/// Dollars for a thousand tokens of the prompt, of those that are cached, of the answer.
fn charging(id: &str, input: f64, cached: f64, output: f64) -> Backend {
    let [input, cached_input, output] = [input, cached, output].map(Price::from_usd_per_1k);
    Backend { prices: Prices { input, output, cached_input }, ..backend(id) }
}

/// Of which the same is paid for all tokens.
fn costing(id: &str, price: f64) -> Backend {
    charging(id, price, price, price)
}

fn asking(model: &str) -> RequestFacts {
    RequestFacts { model: Some(Model::from(model)), ..RequestFacts::default() }
}

/// An answer to one of the rig's requests.
fn answer(rig: &Rig, output: u64, cached: u64) -> Length {
    let (model, prompt) = (rig.facts.model_tag(), rig.facts.prompt_tokens(rig.text));
    let cached = (prompt, Tokens(prompt.0 * cached / 100));
    Length { model, prompt, output: Tokens(output), limit: None, expected: None, cached }
}

/// A backend has given so many answers by now.
fn measure(rig: &mut Rig, backend: usize, times: usize, length: &Length) {
    rig.change(backend, |record| {
        (0..times).for_each(|_| record.lengths.learn(length));
        record.observe_answer(false, at(0));
    });
}

/// Where so many requests go, each of which is answered at the length that its backend answers with.
fn served(rig: &mut Rig, requests: usize, outputs: &[u64]) -> Vec<usize> {
    let mut served = vec![0; rig.backends.len()];
    for _ in 0..requests {
        let first = rig.order(Strategy::CostOptimized, 1)[0];
        let (now, expected) = (rig.now, rig.expected(first));
        let length = Length { expected: Some(expected), ..answer(rig, outputs[first], 0) };
        rig.change(first, |record| {
            record.lengths.learn_after(now.since(record.last_answer), &length);
            record.observe_answer(false, now);
        });
        served[first] += 1;
    }
    served
}

#[test]
fn the_dearer_one_does_not_keep_all_requests_for_having_been_measured() {
    // Short answers, learned by the dearer one alone; prompts cost little.
    let mut rig = Rig::new(vec![charging("dear", 0.0001, 0.0001, 0.06), charging("cheap", 0.0001, 0.0001, 0.03)]);
    let brief = answer(&rig, 15, 0);
    measure(&mut rig, 0, 100, &brief);
    assert_eq!(served(&mut rig, 400, &[15, 15]), [0, 400]);
}

#[test]
fn a_backend_that_is_added_at_half_the_price_gets_the_requests() {
    let mut rig = Rig::new(vec![costing("a", 0.02)]);
    rig.text = Tokens(20);
    assert_eq!(served(&mut rig, 200, &[12]), [200]);
    rig.add(costing("half", 0.01));
    assert_eq!(served(&mut rig, 200, &[12, 12]), [0, 200]);
    rig.add(costing("quarter", 0.005));
    assert_eq!(served(&mut rig, 200, &[12, 12, 12]), [0, 0, 200]);
    rig.add(costing("dear again", 0.04));
    assert_eq!(served(&mut rig, 200, &[12, 12, 12, 12]), [0, 0, 200, 0]);
}

#[test]
fn prices_decide_whatever_lengths_and_prompts_are() {
    for (text, output) in [(20, 3), (20, 10_000), (900, 40), (6_000, 700), (15_000, 1)] {
        for (used, other) in [(0.03, 0.029), (0.01, 0.005), (5.0, 0.1)] {
            let mut rig = Rig::new(vec![costing("used", used), costing("other", other), costing("dear", used * 1.5)]);
            rig.text = Tokens(text);
            let length = answer(&rig, output, 0);
            measure(&mut rig, 0, 64, &length);
            assert_eq!(served(&mut rig, 100, &[output; 3]), [0, 100, 0], "{text} {output} {used} {other}");
        }
    }
}

#[test]
fn each_model_and_size_of_prompt_is_borrowed_by_itself() {
    // One takes less for prompts, the other for answers: which is cheaper depends on what is asked.
    let mut rig = Rig::new(vec![charging("a", 0.001, 0.001, 0.010), charging("b", 0.002, 0.002, 0.005)]);
    for (model, text, output, best) in [
        ("reasons", 100, 4_000, 1),
        ("is brief", 100, 5, 0),
        ("is brief", 3_000, 2_000, 1),
        ("is brief", 12_000, 30, 0),
        ("sums up", 12_000, 9_000, 1),
    ] {
        (rig.facts, rig.text) = (asking(model), Tokens(text));
        // Only the one that is not the best has been asked.
        let length = answer(&rig, output, 0);
        measure(&mut rig, 1 - best, 64, &length);
    }
    for (model, text, best) in [
        ("reasons", 100, 1),
        ("is brief", 100, 0),
        ("is brief", 3_000, 1),
        ("is brief", 12_000, 0),
        ("sums up", 12_000, 1),
    ] {
        (rig.facts, rig.text) = (asking(model), Tokens(text));
        assert_eq!(rig.order(Strategy::CostOptimized, 1), [best], "{model} {text}");
    }
}

#[test]
fn what_a_backend_says_itself_counts_once_it_is_known() {
    // Half the price, but ten times as much to say.
    let mut rig = Rig::new(vec![costing("brief", 0.02), costing("verbose", 0.01)]);
    rig.text = Tokens(10);
    let length = answer(&rig, 30, 0);
    measure(&mut rig, 0, 64, &length);
    let served = served(&mut rig, 200, &[30, 300]);
    assert!(served[1] >= 1 && served[1] < 20, "it is tried until that is known: {served:?}");
}

#[test]
fn a_backend_that_comes_back_is_judged_by_what_is_known_now() {
    for (hours, answers) in [(1, 5), (24, 64), (24 * 30, 64)] {
        let mut rig = Rig::new(vec![costing("a", 0.02), costing("b", 0.01)]);
        rig.text = Tokens(20);
        let (long_ago, now) = (answer(&rig, 2_000, 0), answer(&rig, 12, 0));
        measure(&mut rig, 1, answers, &long_ago);
        measure(&mut rig, 0, 64, &now);
        rig.now = at(hours * 3_600);
        rig.change(0, |record| record.last_answer = at(hours * 3_600));
        assert_eq!(served(&mut rig, 200, &[12, 12]), [0, 200], "{hours} h, {answers} answers");
    }
}

#[test]
fn what_is_cached_is_a_matter_of_what_is_asked_and_borrowed_too() {
    let mut rig = Rig::new(vec![charging("used", 0.010, 0.001, 0.01), charging("new", 0.009, 0.0009, 0.01)]);
    rig.text = Tokens(4_000);
    let length = answer(&rig, 20, 90);
    measure(&mut rig, 0, 64, &length);
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [1]);
    // One whose cached tokens cost as much as any is not taken for cheap.
    let mut rig = Rig::new(vec![charging("used", 0.010, 0.001, 0.01), charging("no cache", 0.009, 0.009, 0.01)]);
    rig.text = Tokens(4_000);
    measure(&mut rig, 0, 64, &length);
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [0]);
}

#[test]
fn how_a_provider_counts_prompts_is_not_borrowed() {
    let mut rig = Rig::new(vec![costing("counts double", 0.02), costing("new", 0.02)]);
    rig.change(0, |record| {
        (0..200).for_each(|_| record.calibration.learn(Pair::default(), 0, Tokens(1_000), Tokens(2_000), at(0)));
    });
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [1]);
    rig.change(1, |record| {
        record.response_time.observe(Duration::from_millis(50), Duration::from_secs(1), at(0));
    });
    assert_eq!(rig.order(Strategy::CostOptimized, 1), [1]);
}
