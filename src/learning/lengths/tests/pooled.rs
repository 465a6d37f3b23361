use proptest::prelude::*;

use super::*;
use crate::domain::{Model, Timestamp};

fn tag(name: &str) -> ModelTag {
    Model::from(name).tag()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
}

/// What is learned of so many answers of so many tokens to a model, to prompts of 100 tokens.
fn answering(times: usize, model: &str, output: u64) -> Lengths {
    let mut lengths = Lengths::default();
    learn(&mut lengths, times, model, 100, output);
    lengths
}

fn learn(lengths: &mut Lengths, times: usize, model: &str, prompt: u64, output: u64) {
    let length = Length { model: tag(model), prompt: Tokens(prompt), output: Tokens(output), ..Length::default() };
    (0..times).for_each(|_| lengths.learn(&length));
}

/// What is expected at the first of several backends of a prompt of 100 tokens to `model`; all were heard of just now.
fn expected(model: &str, all: &[&Lengths]) -> Expected {
    let mut pooled = Pooled::new(tag(model), Tokens(100), at(0));
    for lengths in all {
        pooled.add(lengths, at(0));
    }
    pooled.expect(all[0], at(0))
}

fn output(model: &str, all: &[&Lengths]) -> u64 {
    expected(model, all).output.0
}

#[test]
fn a_backend_without_measurements_borrows_them() {
    let none = Lengths::default();
    assert_eq!(output("m", &[&none, &answering(100, "m", 15)]), 15);
    assert_eq!(output("m", &[&none, &answering(100, "m", 4_000)]), 4_000);
    let middle = output("m", &[&none, &answering(64, "m", 10), &answering(64, "m", 1_000)]);
    assert!((95..=105).contains(&middle), "the middle of both: {middle}");
    assert_eq!(output("m", &[&none, &none]), 300, "there is nothing to borrow");
}

#[test]
fn with_its_own_answers_a_backend_borrows_less_and_after_eight_nothing() {
    let others = answering(100, "m", 1_000);
    let of = |times| output("m", &[&answering(times, "m", 10), &others]);
    assert!(of(1) > of(3) && of(3) > of(6) && of(6) > of(8), "{} {} {} {}", of(1), of(3), of(6), of(8));
    assert_eq!(of(8), 10);
    let is_enough =
        |times, age| answering(times, "m", 10).known(tag("m"), Tokens(100), Duration::from_secs(age)).is_some();
    assert_eq!([is_enough(8, 0), is_enough(7, 0), is_enough(8, 60), is_enough(64, 4_000)], [true, false, false, true]);
}

#[test]
fn what_is_known_of_this_model_and_size_is_borrowed_before_what_is_known_of_others() {
    let none = Lengths::default();
    let mut known = answering(100, "reasons", 8_000);
    learn(&mut known, 100, "is brief", 100, 20);
    learn(&mut known, 100, "is brief", 5_000, 700);
    assert_eq!(output("reasons", &[&none, &known]), 8_000);
    assert_eq!(output("is brief", &[&none, &known]), 20);
    // Of a model that nobody has been asked for: what all say, of the last answers.
    assert_eq!(output("new", &[&none, &known]), u64::from(known.median()));
    let mut other_size = Lengths::default();
    learn(&mut other_size, 100, "m", 5_000, 700);
    assert_eq!(output("m", &[&none, &other_size]), 700, "of this model, to other prompts");
}

#[test]
fn what_a_backend_knows_of_a_class_comes_before_what_others_know_of_a_wider_one() {
    let mut others = Lengths::default();
    learn(&mut others, 100, "m", 5_000, 700);
    assert_eq!(output("m", &[&answering(3, "m", 100), &others]), 100, "its own, of this size");
    let mut own = Lengths::default();
    learn(&mut own, 100, "m", 5_000, 40);
    assert_eq!(output("m", &[&own, &others]), 40, "both know other sizes: its own");
    assert_eq!(output("m", &[&own, &answering(100, "m", 9)]), 9, "they know this size");
    let few = output("m", &[&own, &answering(1, "m", 9)]);
    assert!((35..100).contains(&few), "one answer is no proof: {few}");
}

#[test]
fn those_who_know_more_and_of_late_count_for_more() {
    let (none, much, little) = (Lengths::default(), answering(64, "m", 1_000), answering(2, "m", 100));
    assert!(output("m", &[&none, &much, &little]) > 900);
    let aged = |seen: u64| {
        let mut pooled = Pooled::new(tag("m"), Tokens(100), at(100_000));
        pooled.add(&none, Timestamp::default());
        pooled.add(&answering(64, "m", 10), at(seen));
        pooled.add(&answering(64, "m", 1_000), at(100_000));
        pooled.expect(&none, Timestamp::default()).output.0
    };
    assert!((95..=105).contains(&aged(100_000)), "{}", aged(100_000));
    assert!(aged(100_000 - 6_000) > 600, "{}", aged(100_000 - 6_000));
    let mut pooled = Pooled::new(tag("m"), Tokens(100), at(0));
    pooled.add(&answering(64, "m", 10), at(0));
    assert_eq!(pooled.expect(&none, Timestamp::default()).output.0, 10, "however old, it beats a prior");
}

#[test]
fn what_is_reserved_is_not_less_than_without_borrowing_nor_than_where_answers_are_longest() {
    let none = Lengths::default();
    assert_eq!(expected("m", &[&none, &answering(500, "m", 15)]).most, Tokens(1_200), "as if nobody knew");
    assert!(expected("m", &[&none, &answering(500, "m", 9_000)]).most >= Tokens(9_000));
    assert_eq!(expected("m", &[&answering(500, "m", 15), &answering(500, "m", 9_000)]).most, Tokens(15), "it knows");
}

#[test]
fn the_cached_share_is_borrowed_until_there_are_answers_of_its_own() {
    let with = |times: usize, model: &str, cached: u64| {
        let mut lengths = Lengths::default();
        let length = Length { model: tag(model), output: Tokens(9), prompt: Tokens(100), ..Length::default() };
        (0..times).for_each(|_| lengths.learn(&Length { cached: (Tokens(1_000), Tokens(cached)), ..length }));
        lengths
    };
    let share = |own: &Lengths| expected("m", &[own, &with(64, "m", 800)]).cached.get();
    assert!(share(&Lengths::default()).abs_diff(800) <= 1);
    assert!(share(&with(64, "m", 100)).abs_diff(100) <= 1);
    let few = share(&with(2, "m", 0));
    assert!((550..650).contains(&few), "{few}");
    let other = expected("other", &[&Lengths::default(), &with(64, "m", 800)]).cached;
    assert!(other.get().abs_diff(800) <= 1, "of any model: {other:?}");
}

#[test]
fn after_a_long_pause_learning_begins_anew_where_the_answer_was_expected() {
    let after = |hours: u64, expected: u64| {
        let mut lengths = answering(64, "m", 2_000);
        let (model, prompt, output) = (tag("m"), Tokens(100), Tokens(12));
        let length = Length { model, prompt, output, expected: Some(Tokens(expected)), ..Length::default() };
        lengths.learn_after(Duration::from_secs(3_600 * hours), &length);
        lengths.expect(model, prompt).output.0
    };
    assert_eq!(after(0, 12), 1_939, "a step as ever");
    assert!(after(3, 12) < 1_500, "{}", after(3, 12));
    assert_eq!(after(24, 12), 12);
    assert_eq!(after(24, 2_000), 667, "nobody knew better: a third");
}

proptest! {
    #[test]
    fn what_is_borrowed_lies_between_what_is_known_and_within_what_is_reserved(
        answers in prop::collection::vec(
            prop::collection::vec((0..6_u8, 1..20_000_u64, 0..100_000_u64, 0..2_000_u64), 0..40), 1..6),
        ages in prop::collection::vec(0..10_000_u64, 6), model in 0..6_u8, prompt in 0..20_000_u64,
    ) {
        let all: Vec<Lengths> = answers.iter().map(|answers| {
            let mut lengths = Lengths::default();
            for &(model, prompt, output, cached) in answers {
                let cached = (Tokens(2_000), Tokens(cached));
                let (model, prompt, output) = (tag(&model.to_string()), Tokens(prompt), Tokens(output));
                lengths.learn(&Length { model, prompt, output, limit: None, expected: None, cached });
            }
            lengths
        }).collect();
        let (tag, prompt) = (tag(&model.to_string()), Tokens(prompt));
        let mut pooled = Pooled::new(tag, prompt, at(10_000));
        for (lengths, &age) in all.iter().zip(&ages) {
            pooled.add(lengths, at(10_000 - age));
        }
        let longest = answers.iter().flatten().map(|&(_, _, output, _)| output).max().unwrap_or(0).max(300);
        for (lengths, &age) in all.iter().zip(&ages) {
            let (expected, alone) = (pooled.expect(lengths, at(10_000 - age)), lengths.expect(tag, prompt));
            prop_assert!(expected.output.0 >= 1 && expected.output.0 <= longest + 1, "{:?}", expected);
            prop_assert!(expected.output <= expected.most && alone.most <= expected.most, "{:?} {:?}", expected, alone);
            prop_assert!(expected.cached.get() <= 1_000);
            if all.len() == 1 {
                prop_assert_eq!(expected, alone);
            }
        }
    }
}
