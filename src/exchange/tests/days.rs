//! Days of traffic, in virtual time: what issues promise of money, as tables.
//!
//! `cargo test --lib days -- --nocapture` prints the tables of `benchmarks/2026-11-21-money.md`.
//!
//! A day has five [kinds](KINDS) of requests, before backends with the prices of well-known models. How long prompts and
//! answers are is taken from what is published; where nothing is, it is an assumption, and said to be one:
//!
//! - Azure's LLM inference trace of 2023 (conversations): prompts of 1,020 tokens in the median, answers of 129 (mean
//!   211), the logarithm of an answer's length spread by 0.86; where prompts have 2,048 tokens and more, answers have 67,
//!   spread by 0.5. The same trace (code): prompts of 1,469.
//! - `BurstGPT`: answers in conversations of about 340 tokens in the median, spread by 0.85.
//! - LMSYS-Chat-1M: answers of 215 tokens in the mean; `ShareGPT` as vLLM's authors counted it: 338.
//!
//! The texts are those of `corpus/held-out`, which the estimate of tokens was not fitted on, and what providers report is
//! counted by real vocabularies. So everything that is estimated is really estimated.

mod estimates;
mod mix;
mod queue;
mod run;
mod text;

use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::domain::{Rng, SplitMix64};
use run::Run;
use text::{Library, Piece};

/// It takes a while to count its tokens.
static LIBRARY: LazyLock<Library> = LazyLock::new(Library::open);

/// Requests of a day.
const REQUESTS: usize = 5_000;
const DAY: u64 = 86_400 * SECOND;

/// How lengths are distributed: log-normally.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    median: f64,
    /// Of the logarithm.
    spread: f64,
}

impl Lengths {
    /// One of them, by a standard normal number.
    fn of(self, z: f64) -> f64 {
        (self.median * (self.spread * z).exp()).max(1.0)
    }
}

/// What sort of texts prompts are made of.
#[derive(Debug, Clone, Copy)]
enum Matter {
    English,
    Code,
    Json,
    Languages,
}

/// One use that people make of models.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// In a hundred requests.
    share: usize,
    /// Tokens of a prompt; in a conversation those of its beginning, and each turn adds what was said.
    prompt: Lengths,
    answer: Lengths,
    max_tokens: Option<u64>,
    matter: [Matter; 4],
    converses: bool,
}

const fn lengths(median: u32, spread: f64) -> Lengths {
    Lengths { median: median as f64, spread }
}

const KINDS: [Kind; 5] = {
    use Matter::{Code, English, Json, Languages};
    [
        // Azure's conversations with long prompts, the answers somewhat longer.
        Kind {
            name: "rag",
            share: 30,
            prompt: lengths(2_400, 0.45),
            answer: lengths(120, 0.6),
            max_tokens: None,
            matter: [English, English, English, Json],
            converses: false,
        },
        // Between Azure's and `BurstGPT`'s.
        Kind {
            name: "chat",
            share: 30,
            prompt: lengths(350, 0.6),
            answer: lengths(220, 0.85),
            max_tokens: None,
            matter: [English, English, English, Languages],
            converses: true,
        },
        // Azure's prompts; the answers, of whole functions, are assumed.
        Kind {
            name: "code",
            share: 15,
            prompt: lengths(1_470, 1.0),
            answer: lengths(600, 0.7),
            max_tokens: Some(4_096),
            matter: [Code, Code, Code, English],
            converses: false,
        },
        // Assumed: a form is filled in, which leaves little freedom.
        Kind {
            name: "extract",
            share: 15,
            prompt: lengths(800, 0.5),
            answer: lengths(150, 0.35),
            max_tokens: Some(300),
            matter: [English, Json, Json, Languages],
            converses: false,
        },
        // Assumed: a summary is as long as was asked for.
        Kind {
            name: "summarise",
            share: 10,
            prompt: lengths(3_000, 0.5),
            answer: lengths(180, 0.4),
            max_tokens: None,
            matter: [English, English, Languages, English],
            converses: false,
        },
    ]
};

/// A request of the day, before anybody has decided where it goes.
#[derive(Debug)]
struct Asked<'l> {
    kind: &'static Kind,
    /// Microseconds into the day.
    at: u64,
    conversation: usize,
    messages: Vec<Vec<&'l Piece>>,
    /// How long its answer is among those of its kind: a standard normal number.
    luck: f64,
}

/// A conversation so far.
#[derive(Debug, Clone, Default)]
struct Conversation<'l> {
    messages: Vec<Vec<&'l Piece>>,
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let (one, other) = (1.0 - rng.ratio(), rng.ratio());
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}

/// A day of so many requests: most of them by daylight, none related to another but within a conversation.
fn day(library: &Library, requests: usize, seed: u64) -> Vec<Asked<'_>> {
    let mut rng = SplitMix64::new(seed);
    let mut times: Vec<u64> = (0..requests).map(|_| daylight(&mut rng)).collect();
    times.sort_unstable();
    let mut conversations: Vec<Conversation<'_>> = Vec::new();
    let mut open = Vec::new();
    let day = times.into_iter().map(|at| {
        let mut draw = rng.below(100);
        let kind = KINDS.iter().find(|kind| {
            let found = draw < kind.share;
            draw = draw.wrapping_sub(kind.share);
            found
        });
        let kind = kind.expect("shares of a hundred");
        let (prompt, luck) = (kind.prompt.of(normal(&mut rng)), normal(&mut rng));
        let matter = kind.matter[rng.below(4)];
        let mut asked = Asked { kind, at, conversation: usize::MAX, messages: Vec::new(), luck };
        if !kind.converses {
            asked.messages =
                vec![library.text(Matter::English, 60.0, &mut rng), library.text(matter, prompt, &mut rng)];
            return asked;
        }
        // Ten conversations at a time, each of four turns in the mean.
        if open.len() < 10 || rng.below(4) == 0 {
            let slot = rng.below(10);
            conversations.push(Conversation { messages: vec![library.text(matter, prompt, &mut rng)] });
            let number = conversations.len() - 1;
            if slot < open.len() {
                open[slot] = number;
            } else {
                open.push(number);
            }
            asked.conversation = number;
        } else {
            asked.conversation = open[rng.below(open.len())];
        }
        let said = &mut conversations[asked.conversation].messages;
        said.push(library.text(matter, Lengths { median: 40.0, spread: 1.0 }.of(normal(&mut rng)), &mut rng));
        asked.messages.clone_from(said);
        said.push(library.text(matter, kind.answer.of(luck), &mut rng));
        asked
    });
    day.collect()
}

/// A moment of the day: at noon four times as likely as at midnight.
fn daylight(rng: &mut impl Rng) -> u64 {
    loop {
        let moment = rng.ratio();
        if rng.ratio() < 0.625 - 0.375 * (std::f64::consts::TAU * moment).cos() {
            return (moment * DAY as f64) as u64;
        }
    }
}

/// The value below which so many per cent lie.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * percent / 100).copied().unwrap_or_default()
}
