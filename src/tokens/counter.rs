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
static STEPS: [i16; (CLASSES * STATES).next_power_of_two()] = steps();

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
const fn steps() -> [i16; (CLASSES * STATES).next_power_of_two()] {
    let mut table = [0; (CLASSES * STATES).next_power_of_two()];
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

/// Texts of more bytes than this are estimated from windows of so many bytes together: beyond that, more reading makes
/// the estimate no better, only later.
const READ_WHOLE: usize = WINDOWS * WINDOW;

/// Windows of a long text, spread evenly over it: a multiple of [`LANES`].
const WINDOWS: usize = 64;

/// Bytes of a window.
const WINDOW: usize = 512;

/// Places of a text that are read side by side. Each step of one has to wait for the step before; the steps of several
/// need not wait for each other.
const LANES: usize = 4;

/// Texts of fewer bytes are read in one lane.
const WORTH_LANES: usize = 256;

/// A lane that begins inside a text reads so many bytes ahead of it without counting them. The automaton forgets within
/// a few bytes how it came to where it is, so its state is then that of a reader from the start.
const RUN_UP: usize = 16;

/// The estimate for one text, in parts of [`UNIT`].
fn parts(text: &[u8]) -> u64 {
    let bytes = text.len();
    let sum = if bytes < WORTH_LANES {
        let mut lane = Lane::default();
        lane.read(text);
        lane.sum() + lane.end()
    } else if bytes <= READ_WHOLE {
        let quarter = bytes / LANES;
        let mut lanes = side_by_side(text, [0, quarter, 2 * quarter, 3 * quarter], quarter);
        let [.., last] = &mut lanes;
        last.read(text.get(LANES * quarter..).unwrap_or_default());
        let end = last.end();
        sum(&lanes) + end
    } else {
        let start = |window: usize| (bytes - WINDOW) / (WINDOWS - 1) * window;
        let windows = (0..WINDOWS).step_by(LANES);
        windows.map(|n| sum(&side_by_side(text, [n, n + 1, n + 2, n + 3].map(start), WINDOW))).sum()
    };
    let read = u64::try_from(sum).unwrap_or(0);
    if bytes <= READ_WHOLE { read } else { read.saturating_mul(bytes as u64) / READ_WHOLE as u64 }
}

fn sum(lanes: &[Lane]) -> i64 {
    lanes.iter().map(Lane::sum).sum()
}

/// Reads `len` bytes from each of the places.
fn side_by_side(text: &[u8], starts: [usize; LANES], len: usize) -> [Lane; LANES] {
    let [mut a, mut b, mut c, mut d] = starts.map(|start| Lane::run_up(text, start));
    let [of_a, of_b, of_c, of_d] = starts.map(|start| text.get(start..start + len).unwrap_or_default());
    for (((&for_a, &for_b), &for_c), &for_d) in of_a.iter().zip(of_b).zip(of_c).zip(of_d) {
        a.step(for_a);
        b.step(for_b);
        c.step(for_c);
        d.step(for_d);
    }
    [a, b, c, d]
}

/// A reader of bytes one after the other.
#[derive(Default)]
struct Lane {
    /// What the steps were worth; a lane is never so long that this overflows.
    steps: i32,
    /// What the pairs were worth.
    pairs: i32,
    state: usize,
    /// Where the row of the letter that it read last begins in [`PAIRS`].
    before: usize,
}

// What a default lane stands in.
const _: () = assert!(START == 0);

impl Lane {
    /// A reader that is about to read at `start`.
    fn run_up(text: &[u8], start: usize) -> Self {
        let mut lane = Self::default();
        lane.read(text.get(start.saturating_sub(RUN_UP)..start).unwrap_or_default());
        Self { steps: 0, pairs: 0, ..lane }
    }

    fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
    }

    #[inline]
    fn step(&mut self, byte: u8) {
        #[expect(clippy::indexing_slicing, reason = "256 entries, and a byte")]
        let known = BYTES[usize::from(byte)] as usize;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        let step = STEPS[((known & 0xFFFF) + self.state) % STEPS.len()];
        let here = known >> 16;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        let pair = PAIRS[(self.before + here) % PAIRS.len()];
        self.state = usize::from(step.cast_unsigned() & 0xFF);
        self.before = here * LETTERS;
        self.steps += i32::from(step >> 8);
        self.pairs += i32::from(pair);
    }

    /// What it has counted, in parts of [`UNIT`].
    fn sum(&self) -> i64 {
        i64::from(self.steps) * STEP + i64::from(self.pairs)
    }

    /// What the end of the text is worth, after what was read.
    fn end(&self) -> i64 {
        let last = STEPS.get(END as usize * STATES + self.state).map_or(0, |step| step >> 8);
        i64::from(last) * STEP + PAIRS.get(self.before).map_or(0, |&pair| i64::from(pair))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What one reader from the start to the end counts.
    fn in_one_lane(text: &[u8]) -> u64 {
        let mut lane = Lane::default();
        lane.read(text);
        u64::try_from(lane.sum() + lane.end()).unwrap_or(0)
    }

    fn prose(bytes: usize) -> String {
        let words = ["model", "the", " price\n", "Überblick", "2026", "запрос", "fn(x);", "模型", "answers", "of"];
        let mut text = String::new();
        for n in 0.. {
            if text.len() >= bytes {
                break;
            }
            text.push_str(words[(n % 10 * (n % 10) + n / 7) % words.len()]);
            text.push(' ');
        }
        text
    }

    #[test]
    fn lanes_of_everyday_text_count_what_one_lane_counts() {
        for bytes in [256, 257, 1_000, 5_003, READ_WHOLE - 40] {
            let text = prose(bytes);
            assert_eq!(parts(text.as_bytes()), in_one_lane(text.as_bytes()), "{bytes}");
        }
    }

    #[test]
    fn windows_of_a_long_text_are_all_inside_it_and_stand_for_the_rest() {
        for bytes in [READ_WHOLE + 1, 100_003, 1 << 20] {
            let text = prose(bytes);
            let (whole, sampled) = (in_one_lane(text.as_bytes()) as f64, parts(text.as_bytes()) as f64);
            assert!((sampled / whole - 1.0).abs() < 0.02, "{bytes}: {sampled} for {whole}");
        }
    }

    proptest! {
        #[test]
        fn lanes_of_any_text_count_almost_what_one_lane_counts(text in prop::collection::vec(any::<char>(), 64..600)) {
            let text = String::from_iter(text);
            let (lanes, lane) = (parts(text.as_bytes()), in_one_lane(text.as_bytes()));
            // At each of three seams a token more or less, at most.
            prop_assert!(lanes.abs_diff(lane) <= 3 * UNIT, "{lanes} for {lane}");
        }
    }
}
