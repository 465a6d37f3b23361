//! The estimate: one pass over the bytes, two table look-ups each.

use super::automaton::{CLASSES, END, LETTERS, START, STATES, class, letter, next};
use super::model::{PAIRS, WEIGHTS};
use crate::domain::{TextSink, Tokens};

/// The weights are in this many parts of a token.
const UNIT: u64 = 384;

/// A step's weight is stored in 96ths, a pair's in 384ths.
const STEP: i64 = 4;

/// For each byte, where the column of its class begins in [`STEPS`], and above that (16 bits) its letter.
static BYTES: [u32; 256] = bytes();

/// For each class and state, the next state, and above that (8 bits, signed) the weight of the step.
///
/// Sorted by class first: the class of a byte is known long before the state it is met in, so the one thing that a step
/// has to wait for, the state, is added to an address that is ready.
static STEPS: [i16; CLASSES * STATES] = steps();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds is a compile error")]
const fn bytes() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let column = class(byte as u8) as usize * STATES;
        table[byte] = column as u32 | (letter(byte as u8) as u32) << 16;
        byte += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds is a compile error")]
#[expect(clippy::large_stack_arrays, reason = "evaluated by the compiler: never on a stack")]
const fn steps() -> [i16; CLASSES * STATES] {
    let mut table = [0; CLASSES * STATES];
    let mut state = 0;
    while state < STATES {
        let mut class = 0;
        while class < CLASSES {
            table[class * STATES + state] =
                next(state as u8, class as u8) as i16 | (WEIGHTS[state * CLASSES + class] as i16) << 8;
            class += 1;
        }
        state += 1;
    }
    table
}

/// Bytes for which at least one token is counted.
const SPARSEST: u64 = 32;

/// Estimates the tokens of all texts pushed into it. A few machine words; the texts are not kept.
///
/// ```
/// use llm_router::domain::{TextSink, Tokens};
/// use llm_router::tokens::Counter;
///
/// let mut counter = Counter::default();
/// counter.push("You are a helpful assistant.");
/// counter.push("What is the capital of France?");
/// assert_eq!(counter.tokens(), Tokens(13)); // o200k_base: 6 + 7
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// In parts of [`UNIT`].
    parts: u64,
}

impl Counter {
    /// The estimate for all that was pushed, to the nearest token.
    pub const fn tokens(&self) -> Tokens {
        Tokens((self.parts + UNIT / 2) / UNIT)
    }

    /// Forgets all that was pushed.
    pub const fn reset(&mut self) {
        self.parts = 0;
    }
}

impl TextSink for Counter {
    /// A text counts for one token a byte at most, as with any tokenizer of bytes, and for one in 32 bytes at least: the
    /// model was fitted to texts that somebody would write, and a megabyte of one mark must not look free.
    fn push(&mut self, text: &str) {
        let bytes = text.len() as u64;
        let least = bytes.div_ceil(SPARSEST) * UNIT;
        self.parts = self.parts.saturating_add(parts(text.as_bytes()).clamp(least, bytes * UNIT));
    }
}

/// The estimate for one text, in parts of [`UNIT`].
fn parts(text: &[u8]) -> u64 {
    let (mut sum, mut state, mut before) = (0_i64, START as usize, 0_usize);
    for &byte in text {
        #[expect(clippy::indexing_slicing, reason = "256 entries, and a byte")]
        let known = BYTES[usize::from(byte)] as usize;
        let step = STEPS.get((known & 0xFFFF) + state).copied().unwrap_or(0);
        state = usize::from(step.cast_unsigned() & 0xFF);
        let here = known >> 16;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        let pair = PAIRS[(before * LETTERS + here) % PAIRS.len()];
        before = here;
        sum += i64::from(step >> 8) * STEP + i64::from(pair);
    }
    let last = STEPS.get(END as usize * STATES + state).map_or(0, |step| step >> 8);
    sum += i64::from(last) * STEP + PAIRS.get(before * LETTERS).map_or(0, |&pair| i64::from(pair));
    u64::try_from(sum).unwrap_or(0)
}
