//! Token counts, in every provider's words, brought to one form.
//!
//! Providers agree on neither the names nor on what they count. Three questions decide what an answer is billed at:
//! whether the cached tokens are inside the prompt's or beside them, whether the reasoning is inside the answer's or
//! beside them, and what to do where a count is missing.
//!
//! - The *name* of the prompt's count tells the usual answer to the first: `prompt_tokens` includes the cache, whatever
//!   repeats it beside (`LiteLLM`); Anthropic's `input_tokens` excludes `cache_read_input_tokens` and
//!   `cache_creation_input_tokens`; `OpenAI`'s Responses have `input_tokens` that include what their details name.
//! - *Consistency* corrects it: what is larger than the whole is no part of it.
//! - The *total* is the arbiter: of the readings that are possible that one holds whose halves add up to it.
//!
//! So the halves are never more than a total that was given. Rejected: to add up whatever is there, which counts a cache
//! twice that is said twice; and to tell providers apart by their other fields, which change by the month.
//!
//! `docs/costs.md` has the table of dialects, each row of which is a test.

use super::fields::Member;
use crate::domain::{Tokens, Usage};

/// More than that no answer takes, prompt and all: the largest contexts there are hold so many. Whoever reports more
/// reports nonsense, and it would be paid: one such answer were the end of every budget.
const PLAUSIBLE: u64 = 10_000_000;

/// The counts of an answer so far. A stream may say them in pieces (Anthropic: the prompt's first, the answer's last)
/// or again and again, growing (Perplexity): for each the latest that is not zero holds. A zero says as much as nothing.
#[derive(Debug, Default)]
pub(super) struct Counts {
    members: [u32; Member::NUMBER],
    /// Usage objects so far; in which of them the total was said last, and in which one any other count changed last.
    objects: u32,
    totalled: u32,
    changed: u32,
}

/// What an answer said that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported {
    /// A half of no tokens was not reported.
    pub(super) usage: Usage,
    /// What both halves are together, where neither was reported.
    pub(super) undivided: Tokens,
}

/// The possible readings of a half, the likeliest first; zero is none.
type Readings = [u64; 4];

impl Counts {
    /// Another usage object begins.
    pub(super) const fn begin(&mut self) {
        self.objects = self.objects.saturating_add(1);
    }

    /// Takes in a count as it is written, be it in quotes or not; what cannot be one changes nothing.
    pub(super) fn count(&mut self, member: Member, text: &[u8]) {
        let Some(count) = parse(text) else { return };
        let Some(old) = self.members.get_mut(member as usize) else { return };
        if member == Member::Total {
            self.totalled = self.objects;
        } else if *old != count {
            self.changed = self.objects;
        }
        *old = count;
    }

    fn get(&self, member: Member) -> u64 {
        self.members.get(member as usize).copied().unwrap_or(0).into()
    }

    /// The first of these that was said.
    fn first(&self, members: &[Member]) -> u64 {
        members.iter().map(|&member| self.get(member)).find(|&count| count > 0).unwrap_or(0)
    }

    /// The total, unless other counts have grown since it was said.
    fn total(&self) -> u64 {
        if self.totalled < self.changed { 0 } else { self.get(Member::Total) }
    }

    /// In the house's words: all of the prompt, what of it was cached, all of the answer. `None` if nothing was said, or
    /// nothing that can be: no answer takes no tokens at all, nor billions. Embeddings have no output, so there the
    /// total is the prompt.
    pub(super) fn reported(&self, is_embedding: bool) -> Option<Reported> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let (mut input, mut output) = (likeliest(&inputs), likeliest(&outputs));
        let total = self.total();
        if total > 0 {
            (input, output) = self.arbitrate(&inputs, &outputs, total, is_embedding);
        }
        let undivided = if input + output > 0 { 0 } else { total };
        let cached = self.get(Member::Cached).max(self.get(Member::CacheHit)).max(self.get(Member::CacheRead));
        let cached = cached.max(self.get(Member::TimedCached));
        let usage = Usage { input: Tokens(input), cached_input: Tokens(cached.min(input)), output: Tokens(output) };
        let is_plausible = (1..=PLAUSIBLE).contains(&(input + output + undivided));
        is_plausible.then_some(Reported { usage, undivided: Tokens(undivided) })
    }

    /// The halves, so that they add up to the total.
    fn arbitrate(&self, inputs: &Readings, outputs: &Readings, total: u64, is_embedding: bool) -> (u64, u64) {
        let pairs = || readings(inputs).flat_map(|input| readings(outputs).map(move |output| (input, output)));
        let total = self.with_what_it_leaves_out(total, likeliest(inputs));
        if let Some(exact) = pairs().find(|(input, output)| input + output == total) {
            return exact;
        }
        let (input, output) = (likeliest(inputs), likeliest(outputs));
        let fitting =
            pairs().filter(|(input, output)| input + output < total).max_by_key(|(input, output)| input + output);
        let fitting = if input + output < total { Some((input, output)) } else { fitting };
        let Some((input, output)) = fitting else { return capped(inputs, outputs, total) };
        let rest = total - input - output;
        match (self.names_a_prompt(), output > 0) {
            // Nothing was said of either half.
            (false, false) if input == 0 && !is_embedding => (0, 0),
            (false, _) => (input + rest, output),
            (true, false) if is_embedding => (input + rest, output),
            // Some (Gemini by OpenAI's API) leave the reasoning out of the answer's tokens, but never out of the total.
            (true, _) => (input, output + rest),
        }
    }

    /// Perplexity's deep research, alone in that, has a total without its reasoning, which is billed all the same. It
    /// is told by the tokens of its citations, which no other answer has.
    fn with_what_it_leaves_out(&self, total: u64, input: u64) -> u64 {
        let is_left_out = self.get(Member::Citations) > 0 && total == input + self.written();
        if is_left_out { total + self.get(Member::Reasoning) } else { total }
    }

    /// Whether anything was said of the whole prompt, rather than of parts of it.
    fn names_a_prompt(&self) -> bool {
        self.prompt() + self.get(Member::Input) > 0
    }

    /// The prompt, by a name that includes the cache.
    fn prompt(&self) -> u64 {
        let missed = self.get(Member::CacheMiss);
        let parts = if missed > 0 { missed + self.get(Member::CacheHit) } else { 0 };
        if self.get(Member::Prompt) > 0 { self.get(Member::Prompt) } else { parts }
    }

    fn inputs(&self) -> Readings {
        let (prompt, input) = (self.prompt(), self.get(Member::Input));
        let beside = self.get(Member::CacheRead) + self.get(Member::CacheWritten);
        // What Gemini's tools found is beside the prompt.
        let found = self.get(Member::ToolPrompt);
        if prompt > 0 {
            let (within, apart) = (prompt + found, prompt + found + beside);
            // Gateways fill in both names, not always with the same.
            let others = [input, if input > 0 { input + beside } else { 0 }];
            if beside > prompt { [apart, within, others[0], others[1]] } else { [within, apart, others[0], others[1]] }
        } else if input > 0 {
            let is_within = self.get(Member::Cached) > 0 && beside <= input;
            if is_within { [input, input + beside, 0, 0] } else { [input + beside, input, 0, 0] }
        } else {
            let timed = self.get(Member::TimedPrompt) + self.get(Member::TimedCached);
            [(beside + found).max(timed), 0, 0, 0]
        }
    }

    /// The answer, without what may be beside it.
    fn written(&self) -> u64 {
        self.first(&[Member::Completion, Member::Output, Member::TimedAnswer])
    }

    fn outputs(&self) -> Readings {
        let (written, other) = (self.written(), self.get(Member::Output));
        let (reasoning, thoughts) = (self.get(Member::Reasoning), self.get(Member::Thoughts));
        let apart = reasoning.max(thoughts);
        let others = [other, if other > 0 { other + apart } else { 0 }];
        // Gemini's thoughts are always beside; other reasoning only where it is too much to be inside.
        let is_apart = thoughts > 0 || reasoning > written || self.get(Member::Citations) > 0;
        let (first, second) = if is_apart { (written + apart, written) } else { (written, written + apart) };
        [first, second, others[0], others[1]]
    }
}

/// Those that there are: at least one, which may be zero.
fn readings(readings: &Readings) -> impl Iterator<Item = u64> {
    let [first, others @ ..] = *readings;
    std::iter::once(first).chain(others.into_iter().filter(|&reading| reading > 0))
}

const fn likeliest(readings: &Readings) -> u64 {
    let [first, ..] = *readings;
    first
}

/// The halves where each reading of them is more than the total: none is lost, and no more is paid than that.
fn capped(inputs: &Readings, outputs: &Readings, total: u64) -> (u64, u64) {
    let least = |half: &Readings| half.iter().copied().filter(|&reading| reading > 0).min().unwrap_or(0);
    let (input, output) = (least(inputs), least(outputs));
    match (input, output) {
        (_, 0) => (total, 0),
        (0, _) => (0, total),
        _ if input < total => (input, total - input),
        _ => {
            let share = (total * input / (input + output)).clamp(1, total.saturating_sub(1).max(1));
            (share, total - share)
        }
    }
}

/// A count: a number, or a text that is one. Of a fraction the whole tokens count; zero, and what cannot be, is none.
fn parse(text: &[u8]) -> Option<u32> {
    let number: f64 = std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()?;
    (1.0..=PLAUSIBLE as f64).contains(&number).then_some(number as u32)
}
