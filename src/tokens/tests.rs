use proptest::prelude::*;

use super::automaton::{CLASSES, END, LETTERS, START, STATES, class, letter, next};
use super::*;
use crate::domain::TextSink;

fn estimate(text: &str) -> Tokens {
    let mut counter = Counter::default();
    counter.push(text);
    counter.tokens()
}

#[test]
fn no_text_is_no_token() {
    assert_eq!(Counter::default().tokens(), Tokens(0));
    assert_eq!(estimate(""), Tokens(0));
}

#[test]
fn a_reset_counter_is_a_new_one() {
    let mut counter = Counter::default();
    counter.push("something to forget");
    assert_ne!(counter, Counter::default());
    counter.reset();
    assert_eq!(counter, Counter::default());
}

#[test]
fn each_push_is_a_text_of_its_own() {
    let mut counter = Counter::default();
    (0..5).for_each(|_| counter.push("x"));
    assert!(counter.tokens() >= Tokens(5), "no token spans two texts: {:?}", counter.tokens());
}

#[test]
fn well_known_texts_are_near_their_true_count() {
    // Counted with o200k_base.
    for (text, tokens) in [
        ("The quick brown fox jumps over the lazy dog. ".repeat(20), 201_u64),
        ("fn main() {\n    println!(\"{}\", 1 + 1);\n}\n".repeat(20), 280),
        ("{\"id\": 12345, \"name\": \"Ada\", \"tags\": [\"x\", \"y\"]}\n".repeat(20), 420),
    ] {
        let estimate = estimate(&text).0;
        assert!(estimate.abs_diff(tokens) * 100 <= tokens * 15, "{estimate} for {tokens}: {text:.40}");
    }
}

#[test]
fn a_run_of_spaces_or_dashes_is_cheap_and_noise_is_dear() {
    assert!(estimate(&" ".repeat(800)) < Tokens(120));
    assert!(estimate(&"-".repeat(800)) < Tokens(120));
    assert!(estimate(&"qJ7xR2vK9pW4zT1mB8".repeat(40)) > Tokens(380));
}

#[test]
fn a_body_of_unknown_content_counts_a_token_for_four_bytes() {
    assert_eq!([0, 1, 4, 5, u64::MAX].map(by_size), [0, 1, 1, 2, u64::MAX / 4 + 1].map(Tokens));
}

#[test]
fn every_step_of_the_automaton_leads_to_a_state_with_weights() {
    for state in 0..STATES {
        for class in 0..CLASSES {
            assert!(usize::from(next(state as u8, class as u8)) < STATES, "{state}, {class}");
        }
    }
}

#[test]
fn every_state_is_met_in_some_text() {
    // Any byte after any: what valid text cannot reach, this cannot either.
    let mut met = [false; STATES];
    let mut open = vec![START];
    while let Some(state) = open.pop() {
        if !std::mem::replace(&mut met[usize::from(state)], true) {
            open.extend((0..=u8::MAX).map(|byte| next(state, class(byte))));
        }
    }
    let unmet: Vec<_> = (0..STATES).filter(|&state| !met[state]).collect();
    assert!(unmet.is_empty(), "{unmet:?}");
}

#[test]
fn bytes_have_classes_below_the_end_of_text_and_letters_below_their_number() {
    for byte in 0..=u8::MAX {
        assert!(class(byte) < END, "{byte:#x}");
        assert!(usize::from(letter(byte)) < LETTERS, "{byte:#x}");
    }
}

proptest! {
    #[test]
    fn any_text_counts_at_least_one_token_and_at_most_its_bytes(text in any::<String>()) {
        let Tokens(tokens) = estimate(&text);
        prop_assert!(tokens <= text.len() as u64);
        prop_assert_eq!(tokens == 0, text.is_empty());
    }

    #[test]
    fn texts_add_up_in_any_order(one in any::<String>(), other in "[ -~\n]{0,200}") {
        let (mut forth, mut back) = (Counter::default(), Counter::default());
        forth.push(&one);
        forth.push(&other);
        back.push(&other);
        back.push(&one);
        prop_assert_eq!(forth, back);
        // Each side rounds to the nearest token once, the sum as well.
        let apart = estimate(&one).0 + estimate(&other).0;
        prop_assert!(forth.tokens().0.abs_diff(apart) <= 1);
    }

    #[test]
    fn more_of_the_same_is_never_less(word in "[a-zA-Z0-9 .,é漢я]{1,30}", times in 1_usize..20) {
        prop_assert!(estimate(&word.repeat(times + 1)).0 + 1 >= estimate(&word.repeat(times)).0);
    }
}

#[test]
fn no_text_is_free_however_odd() {
    for odd in ["=", "\n", " ", "a", "é", "0", "=\n"] {
        let text = odd.repeat(1 << 16);
        let mut counter = Counter::default();
        counter.push(&text);
        assert!(counter.tokens().0 >= text.len() as u64 / 32, "{odd:?}: {:?}", counter.tokens());
    }
}
