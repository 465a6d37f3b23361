mod pooled;

use proptest::prelude::*;

use super::*;
use crate::domain::{Model, Rng, SplitMix64};

fn tag(name: &str) -> ModelTag {
    Model::from(name).tag()
}

fn length(model: ModelTag, prompt: u64, output: u64) -> Length {
    Length { model, prompt: Tokens(prompt), output: Tokens(output), ..Length::default() }
}

/// What is learned of so many answers.
fn of(answers: impl IntoIterator<Item = Length>) -> Lengths {
    let mut lengths = Lengths::default();
    answers.into_iter().for_each(|length| lengths.learn(&length));
    lengths
}

fn output(lengths: &Lengths, model: &str, prompt: u64) -> u64 {
    lengths.expect(tag(model), Tokens(prompt)).output.0
}

fn bytes(lengths: &Lengths) -> Vec<u8> {
    let mut out = Encoder::with_capacity(512);
    lengths.encode(&mut out);
    out.finish()
}

#[test]
fn what_is_not_known_of_such_prompts_is_that_of_the_model_else_of_the_backend_else_of_chat_models() {
    assert_eq!(output(&Lengths::default(), "long", 100), 300);
    let long = |prompt, output| std::iter::repeat_n(length(tag("long"), prompt, output), 100);
    let lengths = of(long(100, 2_000).chain(long(5_000, 3_000)));
    assert_eq!((output(&lengths, "long", 100), output(&lengths, "long", 5_000)), (2_000, 3_000));
    assert_eq!(output(&lengths, "long", 700), 3_000, "this model's, of the last hundred answers");
    assert_eq!(output(&lengths, "other", 100), 3_000, "this backend's");
    assert_eq!(output(&of([length(tag("long"), 1, 2_000)]), "long", 1), 900, "one answer is no proof");
}

#[test]
fn a_model_that_says_much_does_not_make_another_one_look_so() {
    let mut rng = SplitMix64::new(3);
    let mut one = |model, most: u64| length(tag(model), 400, most / 2 + rng.below(most as usize) as u64);
    let lengths = of((0..400).flat_map(|_| [one("reasons", 8_000), one("is brief", 40)]));
    assert!((6_000..10_000).contains(&output(&lengths, "reasons", 400)));
    assert!((30..50).contains(&output(&lengths, "is brief", 400)));
}

#[test]
fn prompts_of_another_size_are_answered_at_another_length() {
    let lengths = of((0..200).flat_map(|_| [length(tag("m"), 300, 90), length(tag("m"), 1_500, 400)]));
    assert_eq!((output(&lengths, "m", 310), output(&lengths, "m", 1_600)), (90, 400));
}

#[test]
fn however_many_models_clients_name_few_are_told_apart_and_those_asked_for_most_stay() {
    let mut lengths = Lengths::default();
    for n in 0..10_000 {
        lengths.learn(&length(tag("often"), 400, 700));
        lengths.learn(&length(tag(&format!("made up {n}")), 400, 20));
    }
    assert_eq!(lengths.models(), MODELS);
    assert_eq!(output(&lengths, "often", 400), 700);
    assert_eq!(output(&lengths, "never seen", 400), 20, "as the others of which too little is known");
    assert!(bytes(&lengths).len() < 250, "{}", bytes(&lengths).len());
}

#[test]
fn a_model_that_is_asked_for_now_takes_the_place_of_one_that_no_longer_is() {
    let many = |name: &'static str, output| std::iter::repeat_n(length(tag(name), 400, output), 300);
    let mut answers: Vec<_> = ["a", "b", "c", "d"].into_iter().flat_map(|name| many(name, 100)).collect();
    answers.extend(many("new", 900).chain(many("new", 900)));
    let lengths = of(answers);
    assert_eq!((output(&lengths, "new", 400), lengths.models()), (900, MODELS));
}

#[test]
fn one_in_fifty_answers_is_longer_than_the_most() {
    let mut rng = SplitMix64::new(11);
    let (mut lengths, mut longer) = (Lengths::default(), 0);
    for n in 0..12_000 {
        // Spread over two orders of magnitude.
        let answer = length(tag("m"), 400, 10 << (rng.below(8)));
        longer += usize::from(n >= 2_000 && answer.output > lengths.expect(answer.model, answer.prompt).most);
        lengths.learn(&answer);
    }
    assert!((150..=250).contains(&longer), "{longer} of 10,000");
}

#[test]
fn answers_that_were_cut_do_not_look_short() {
    let cut = Length { limit: Some(Tokens(50)), ..length(tag("m"), 400, 50) };
    let whole = || std::iter::repeat_n(length(tag("m"), 400, 600), 200);
    let most = |lengths: &Lengths| lengths.expect(tag("m"), Tokens(400)).most;
    let lengths = of(whole().chain(std::iter::repeat_n(cut, 500)));
    assert_eq!((output(&lengths, "m", 400), most(&lengths)), (600, most(&of(whole()))));
}

#[test]
fn one_absurd_answer_teaches_nothing_and_one_long_one_little() {
    let usual = || std::iter::repeat_n(length(tag("m"), 400, 300), 64);
    let before = of(usual()).expect(tag("m"), Tokens(400));
    for absurd in [u64::MAX, 1 << 30, u64::from(LONGEST) + 1] {
        assert_eq!(of(usual().chain([length(tag("m"), 400, absurd)])), of(usual()));
        assert_eq!(of([length(tag("m"), 400, absurd)]), Lengths::default());
    }
    let after = of(usual().chain([length(tag("m"), 400, LONGEST.into())])).expect(tag("m"), Tokens(400));
    assert!(after.output.0 <= before.output.0 * 104 / 100 && after.most.0 <= before.most.0 * 16 / 10, "{after:?}");
    assert_eq!(of(std::iter::repeat_n(length(tag("m"), 400, LONGEST.into()), 999)).median(), LONGEST);
}

#[test]
fn the_share_of_a_prompt_that_is_cached_is_learned_by_tokens_and_forgotten() {
    let asked = |prompt, cached| Length { cached: (Tokens(prompt), Tokens(cached)), ..length(tag("m"), prompt, 100) };
    let share = |lengths: &Lengths| lengths.expect(tag("m"), Tokens(400)).cached.get();
    assert_eq!(share(&of([])), 0);
    let mut lengths = of((0..300).flat_map(|_| [asked(1_000, 0), asked(9_000, 8_000)]));
    assert!(share(&lengths).abs_diff(800) <= 20, "{}", share(&lengths));
    assert_eq!((lengths.cached().get(), lengths.expect(tag("x"), Tokens(1)).cached.get()), (share(&lengths), 0));
    lengths.learn(&asked(u64::MAX, u64::MAX));
    lengths.learn(&length(tag("m"), 400, 100));
    assert!(share(&lengths).abs_diff(800) <= 20, "what is not said, or cannot be, teaches nothing");
    (0..300).for_each(|_| lengths.learn(&asked(5_000, 0)));
    assert!(share(&lengths) < 10, "{}", share(&lengths));
    (0..300).for_each(|_| lengths.learn(&asked(1_000, 5_000)));
    assert!(share(&lengths) > 990, "{}", share(&lengths));
}

prop_compose! {
    fn answer()(
        model in 0..9_u32, prompt in any::<u64>(), octave in 0..64_u32, output in any::<u64>(),
        limit in prop::option::of(any::<u64>()), cached in any::<(u64, u64)>(),
        expected in prop::option::of(any::<u64>()),
    ) -> Length {
        Length {
            model: ModelTag::from_bits(model),
            prompt: Tokens(prompt >> octave),
            output: Tokens(output >> octave),
            limit: limit.map(|limit| Tokens(limit >> octave)),
            expected: expected.map(|expected| Tokens(expected >> octave)),
            cached: (Tokens(cached.0 >> octave), Tokens(cached.1 >> octave)),
        }
    }
}

proptest! {
    #[test]
    fn it_survives_being_bytes_and_stays_within_bounds(answers in prop::collection::vec(answer(), 0..300)) {
        let mut lengths = Lengths::default();
        for answer in &answers {
            let expected = lengths.expect(answer.model, answer.prompt);
            prop_assert!(expected.output.0 >= 1 && expected.output <= expected.most);
            prop_assert!(expected.most.0 <= LONGEST.into());
            lengths.learn(answer);
        }
        prop_assert!(lengths.models() <= MODELS);
        let bytes = bytes(&lengths);
        prop_assert!(bytes.len() <= 5 + (MODELS + 1) * 89, "{} bytes", bytes.len());
        prop_assert_eq!(Lengths::decode(&mut Decoder::new(&bytes)), Some(lengths));
    }

    #[test]
    fn any_bytes_are_lengths_within_bounds_or_none(
        bytes in prop::collection::vec(any::<u8>(), 0..500), answers in prop::collection::vec(answer(), 0..20)
    ) {
        if let Some(mut lengths) = Lengths::decode(&mut Decoder::new(&bytes)) {
            for answer in &answers {
                lengths.learn(answer);
                let expected = lengths.expect(answer.model, answer.prompt);
                prop_assert!(expected.most.0 <= LONGEST.into() && expected.cached <= PerMille::ONE);
            }
            prop_assert_eq!(Lengths::decode(&mut Decoder::new(&self::bytes(&lengths))), Some(lengths));
        }
    }
}
