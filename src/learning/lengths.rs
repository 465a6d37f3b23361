//! How long a backend's answers are, by the model that was asked for and by the length of the prompt; and how much of a
//! prompt its provider had in its cache.
//!
//! One number for a backend would not do: a model that reasons says ten times as much as its neighbour, and a prompt of
//! 300 tokens asks for something else than one of 3,000. Models are named by clients, so few of them are told apart, those
//! that are asked for most; all others share a place.

mod pooled;
mod slot;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Median;
use crate::domain::{Decoder, Encoder, ModelTag, PerMille, RequestFacts, Tokens, Usage};
pub use pooled::Pooled;
use slot::Slot;

/// A pause that ages nothing.
const FRESH: Duration = Duration::from_secs(60);

/// Models that are told apart at a backend.
const MODELS: usize = 4;

/// Tokens that an answer has, as long as none has been seen: the middle of what chat models answer with.
const PRIOR: u32 = 300;

/// The longest answer that is believed. Models end at half of it.
const LONGEST: u32 = 1 << 18;

/// What one answer taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Length {
    /// Of whom it was asked.
    pub model: ModelTag,
    /// The prompt, before calibration.
    pub prompt: Tokens,
    /// How long it was.
    pub output: Tokens,
    /// The longest that it might have been, if the request said so.
    pub limit: Option<Tokens>,
    /// How long it was expected to be, where little or nothing was known here: where learning begins.
    pub expected: Option<Tokens>,
    /// The prompt as its provider counted it, and what of it came from the cache; nothing where that was not said.
    pub cached: (Tokens, Tokens),
}

impl Length {
    /// An answer of so many tokens to a request whose text is estimated at `text`.
    pub fn new(facts: &RequestFacts, text: Tokens, output: Tokens, usage: Option<&Usage>) -> Self {
        Self {
            model: facts.model_tag(),
            prompt: facts.prompt_tokens(text),
            output,
            limit: facts.max_output_tokens,
            expected: None,
            cached: usage.map_or_else(Default::default, |usage| (usage.input, usage.cached_input)),
        }
    }
}

/// What to expect of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Tokens of the answer: half of them are shorter.
    pub output: Tokens,
    /// Tokens that 49 of 50 answers do not exceed.
    pub most: Tokens,
    /// Whether that was learned of enough answers, rather than supposed.
    pub is_learned: bool,
    /// The share of the prompt that comes from the provider's cache.
    pub cached: PerMille,
}

/// What is learned of the lengths of a backend's answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lengths {
    /// Of all answers.
    all: Median,
    /// Of each model, and of [any](ModelTag::ANY) other.
    slots: Vec<Slot>,
}

impl Lengths {
    /// What to expect of a prompt of so many tokens (before calibration), as far as it is known: of such prompts to this
    /// model, else of this model, else of this backend, else of chat models.
    pub fn expect(&self, model: ModelTag, prompt: Tokens) -> Expected {
        let (slot, prior) = (self.named(model).or_else(|| self.named(ModelTag::ANY)), self.median());
        let expected = slot.map_or_else(|| Slot::foresee(prior), |slot| slot.expect(prompt, prior));
        Expected { is_learned: f64::from(self.samples()) >= pooled::ENOUGH, ..expected }
    }

    /// What to expect, if enough is known of such requests here that nothing is to be borrowed from other backends. Its
    /// last answer is so old.
    pub fn known(&self, model: ModelTag, prompt: Tokens, age: Duration) -> Option<Expected> {
        let slot = self.named(model).filter(|slot| pooled::is_enough(slot.sized(prompt).samples(), age))?;
        Some(Expected { is_learned: true, ..slot.expect(prompt, PRIOR) })
    }

    /// What is known of this model, if it is told apart.
    fn named(&self, model: ModelTag) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.model == model)
    }

    /// The median of all answers.
    pub fn median(&self) -> u32 {
        self.all.read().unwrap_or(PRIOR)
    }

    /// Answers that it is the median of, up to 64.
    pub const fn samples(&self) -> u32 {
        self.all.samples()
    }

    /// The share of all prompts that came from the cache.
    pub fn cached(&self) -> PerMille {
        self.slots.iter().fold(slot::Cached::default(), |sum, slot| sum.plus(slot.cached)).share()
    }

    /// Models that are told apart.
    pub fn models(&self) -> usize {
        self.slots.iter().filter(|slot| slot.model != ModelTag::ANY).count()
    }

    /// Learns from an answer; from one that cannot be true, nothing.
    pub fn learn(&mut self, length: &Length) {
        let Some(output) = u32::try_from(length.output.0).ok().filter(|&output| output <= LONGEST) else { return };
        let is_cut = length.limit.is_some_and(|limit| length.output >= limit);
        let expected = length.expected.and_then(|expected| u32::try_from(expected.0).ok());
        let before = self.all.read().or(expected).unwrap_or(PRIOR);
        if let Some(slot) = self.slot(length.model) {
            slot.learn(length, output, is_cut, before);
        }
        self.all.observe(output, is_cut, before);
    }

    /// The last answer of all is so old: what was learned before it counts for less. What comes to nothing begins anew,
    /// where this answer was expected.
    pub fn learn_after(&mut self, pause: Duration, length: &Length) {
        if pause > FRESH {
            let left = pooled::aged(pause);
            if length.expected.is_some() {
                let slot = self.slots.iter_mut().find(|slot| slot.model == length.model);
                slot.into_iter().flat_map(|slot| slot.medians_of(length.prompt)).for_each(|median| median.forget(left));
            }
            self.slots.iter_mut().flat_map(Slot::medians).for_each(|median| median.age(left));
            self.all.age(left);
        }
        self.learn(length);
    }

    /// Where to note what a model's answer taught. A model without a place takes that of the one least asked for, after it
    /// was asked for more often; until then it is one of the others.
    fn slot(&mut self, model: ModelTag) -> Option<&mut Slot> {
        let mut place = self.place(model);
        if place.is_none() && model != ModelTag::ANY && self.models() >= MODELS {
            let named = self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.model != ModelTag::ANY);
            let (least, slot) = named.min_by_key(|(_, slot)| slot.uses)?;
            slot.uses = slot.uses.saturating_sub(1);
            if slot.uses == 0 {
                *slot = Slot::new(model);
                place = Some(least);
            } else {
                return self.slot(ModelTag::ANY);
            }
        }
        let place = match place {
            Some(place) => place,
            // Bytes of something else might leave no room.
            None if self.slots.len() > MODELS => return None,
            None => {
                self.slots.push(Slot::new(model));
                self.slots.len() - 1
            }
        };
        if self.slots.get(place)?.uses == u8::MAX {
            self.slots.iter_mut().for_each(|slot| slot.uses /= 2);
        }
        let slot = self.slots.get_mut(place)?;
        slot.uses = slot.uses.saturating_add(1);
        Some(slot)
    }

    fn place(&self, model: ModelTag) -> Option<usize> {
        self.slots.iter().position(|slot| slot.model == model)
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u32(self.all.bits()).list(&self.slots, |out, slot| slot.encode(out));
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { all: Median::from_bits(from.u32()?), slots: from.list(MODELS + 1, Slot::decode)? })
    }
}
