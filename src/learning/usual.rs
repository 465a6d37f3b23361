//! How long a backend usually lets a client wait, for the work that a request is.
//!
//! What is slow depends on what was asked: of a whole answer the client waits for all of its tokens, of a stream for the
//! first one, and in both cases for the prompt to be read. So a wait is divided by the work behind it, in tokens written:
//!
//! `work = 50 + prompt tokens / 20 + output tokens of a whole answer`
//!
//! (to read a token takes a small part of what it takes to write one; 50 is what any request takes), and of that the
//! median is learned, for streams, whole answers and embeddings each by itself. What is five times the usual is slow,
//! unless it is faster than the operator expects of the backend. Until there are twenty answers nobody knows what is
//! usual, and nothing is slow.
//!
//! Slow answers must not become usual before they have opened the breaker, so only one in four is learned from while it
//! is closed. Those that the half-open state lets through are learned from in large steps: a backend that answers well,
//! but more slowly for good, is let back after a few rounds.

use std::time::Duration;

use super::Median;
use crate::domain::{Decoder, Encoder, Tokens};

/// Times the usual wait from which on an answer is slow.
const SLOW_TIMES: u64 = 5;

/// Answers after which it is known what is usual.
const ENOUGH: u32 = 20;

/// Of so many slow answers one is learned from.
const LEARNED: u8 = 4;

/// Samples that are taken to have been seen when a slow one is to be learned from in a large step.
const LARGE_STEPS: u32 = 8;

/// What any request takes, in tokens of output.
const BASE: u64 = 50;

/// Tokens of a prompt that are read in the time in which one is written.
const READ_FASTER: u64 = 20;

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The first content of a stream.
    FirstContent,
    /// A whole answer, with this many tokens.
    Answer(Tokens),
    /// Embeddings.
    Embeddings,
}

/// How long a client waited, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// For what.
    pub awaited: Awaited,
    /// Tokens of the prompt.
    pub prompt: Tokens,
    /// How long.
    pub took: Duration,
}

impl Wait {
    const fn work(&self) -> u64 {
        let output = match self.awaited {
            Awaited::Answer(output) => output.0,
            Awaited::FirstContent | Awaited::Embeddings => 0,
        };
        BASE.saturating_add(self.prompt.0 / READ_FASTER).saturating_add(output)
    }

    /// Microseconds for each token of work.
    fn micros(&self) -> u32 {
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX) / self.work();
        u32::try_from(micros).unwrap_or(u32::MAX).max(1)
    }
}

/// What is usual at a backend, in microseconds for each token of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usual {
    first_content: Median,
    answer: Median,
    embeddings: Median,
    /// The work of a whole request.
    work: Median,
    /// Slow answers, round and round.
    slow: u8,
}

impl Usual {
    /// Whether the client waited unusually long, and longer than is expected of the backend.
    pub fn is_slow(&self, wait: &Wait, expected: Duration) -> bool {
        let median = match wait.awaited {
            Awaited::FirstContent => self.first_content,
            Awaited::Answer(_) => self.answer,
            Awaited::Embeddings => self.embeddings,
        };
        let usual = median.read().filter(|_| median.samples() >= ENOUGH);
        wait.took > expected
            && usual.is_some_and(|usual| u64::from(wait.micros()) > SLOW_TIMES.saturating_mul(usual.into()))
    }

    /// Learns from a good answer, which may have been slow, or one of those that `try` the backend.
    pub fn observe(&mut self, wait: &Wait, slow: bool, tries: bool) {
        if slow && !tries {
            self.slow = (self.slow + 1) % LEARNED;
            if self.slow != 0 {
                return;
            }
        }
        let median = match wait.awaited {
            Awaited::FirstContent => &mut self.first_content,
            Awaited::Answer(_) => &mut self.answer,
            Awaited::Embeddings => &mut self.embeddings,
        };
        if slow && tries {
            *median = median.with_samples(LARGE_STEPS);
        }
        median.observe(wait.micros(), false, wait.micros());
    }

    /// How long a request would have taken of which all that was asked for was no more than usual: a long answer says by
    /// itself nothing of how fast the backend is. Learns what is usual.
    pub fn at_usual_work(&mut self, took: Duration, prompt: Tokens, output: Tokens) -> Duration {
        let work = Wait { awaited: Awaited::Answer(output), prompt, took }.work();
        let usual = self.work.read().filter(|_| self.work.samples() >= ENOUGH).map(u64::from);
        let sample = u32::try_from(work).unwrap_or(u32::MAX);
        self.work.observe(sample, false, sample);
        let share = usual.filter(|&usual| usual < work).map(|usual| usual as f64 / work as f64);
        share.map_or(took, |share| took.mul_f64(share))
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u32(self.first_content.bits())
            .u32(self.answer.bits())
            .u32(self.embeddings.bits())
            .u32(self.work.bits())
            .u8(self.slow);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let mut median = || {
            let bits = from.u32()?;
            Some(if bits == 0 { Median::default() } else { Median::from_bits(bits) })
        };
        let (first_content, answer, embeddings, work) = (median()?, median()?, median()?, median()?);
        Some(Self { first_content, answer, embeddings, work, slow: from.u8()? % LEARNED })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Duration = Duration::from_millis(20);

    fn whole(millis: u64, output: u64) -> Wait {
        Wait { awaited: Awaited::Answer(Tokens(output)), prompt: Tokens(20), took: Duration::from_millis(millis) }
    }

    /// After a hundred answers of 100 tokens in two seconds, give or take a quarter.
    fn learned() -> Usual {
        let mut usual = Usual::default();
        for n in 0..100 {
            let wait = whole(1_500 + 10 * (n * 37 % 100), 100);
            assert!(!usual.is_slow(&wait, EXPECTED));
            usual.observe(&wait, false, false);
        }
        usual
    }

    #[test]
    fn what_a_backend_always_does_is_not_slow_however_far_it_is_from_what_was_expected() {
        for millis in [110, 5_300, 60_000] {
            let mut usual = Usual::default();
            for _ in 0..100 {
                assert!(!usual.is_slow(&whole(millis, 16), EXPECTED), "{millis}");
                usual.observe(&whole(millis, 16), false, false);
            }
        }
    }

    #[test]
    fn a_long_answer_is_not_slow_and_a_short_one_that_takes_as_long_is() {
        let usual = learned();
        assert!(!usual.is_slow(&whole(40_000, 2_000), EXPECTED), "it is twenty times as long");
        assert!(usual.is_slow(&whole(40_000, 100), EXPECTED));
        assert!(!usual.is_slow(&whole(6_000, 100), EXPECTED), "three times is not five times");
        assert!(!usual.is_slow(&whole(1_200, 2), EXPECTED), "a short answer has its fixed part, too");
    }

    #[test]
    fn a_long_prompt_is_waited_for_longer() {
        let mut usual = Usual::default();
        let wait = |prompt: u64, millis: u64| Wait {
            awaited: Awaited::FirstContent,
            prompt: Tokens(prompt),
            took: Duration::from_millis(millis),
        };
        for _ in 0..64 {
            usual.observe(&wait(100, 300), false, false);
        }
        assert!(!usual.is_slow(&wait(60_000, 12_000), EXPECTED));
        assert!(usual.is_slow(&wait(100, 12_000), EXPECTED));
    }

    #[test]
    fn nothing_is_slow_that_is_faster_than_expected() {
        let mut usual = Usual::default();
        for _ in 0..64 {
            usual.observe(&whole(5, 16), false, false);
        }
        assert!(usual.is_slow(&whole(50, 16), EXPECTED));
        assert!(!usual.is_slow(&whole(50, 16), Duration::from_secs(1)));
    }

    #[test]
    fn slow_answers_do_not_become_usual_before_they_have_opened_a_breaker_and_do_in_time() {
        let mut usual = learned();
        for n in 0..45 {
            let wait = whole(20_000, 100);
            assert!(usual.is_slow(&wait, EXPECTED), "{n}");
            usual.observe(&wait, true, false);
        }
        let tries = (0..100).take_while(|_| {
            let slow = usual.is_slow(&whole(20_000, 100), EXPECTED);
            usual.observe(&whole(20_000, 100), slow, true);
            slow
        });
        assert!((1..=12).contains(&tries.count()));
    }

    #[test]
    fn what_takes_longer_than_usual_because_there_is_more_to_do_counts_by_the_usual() {
        let mut usual = Usual::default();
        let ms = Duration::from_millis;
        for _ in 0..40 {
            assert_eq!(usual.at_usual_work(ms(300), Tokens(20), Tokens(100)), ms(300));
        }
        let long = usual.at_usual_work(ms(6_000), Tokens(20), Tokens(2_970));
        assert!(long.abs_diff(ms(300)) < ms(10), "{long:?}");
        assert_eq!(usual.at_usual_work(ms(6_000), Tokens(20), Tokens(5)), ms(6_000), "there was less to do");
        let read = usual.at_usual_work(ms(900), Tokens(9_000), Tokens(0));
        assert!(read.abs_diff(ms(272)) < ms(10), "a prompt is work, too: {read:?}");
        assert_eq!(usual.at_usual_work(ms(9), Tokens(u64::MAX), Tokens(u64::MAX)), Duration::ZERO);
    }

    #[test]
    fn it_survives_being_bytes() {
        let usual = learned();
        let mut out = Encoder::with_capacity(16);
        usual.encode(&mut out);
        assert_eq!(Usual::decode(&mut Decoder::new(&out.finish())), Some(usual));
    }
}
