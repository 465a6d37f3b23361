//! What is learned of one model.

use super::{Expected, LONGEST, Length};
use crate::domain::{Decoder, Encoder, ModelTag, PerMille, Tokens};
use crate::learning::Median;

/// Sizes of prompts that are told apart: by half octaves, from 64 tokens and below to 16,384 and above.
const SIZES: usize = 17;

/// With how many answers' credit a model begins.
const BEGINNING: u8 = 8;

/// One model's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) model: ModelTag,
    /// How often it was asked for lately: less for each time that another would have had its place.
    pub(super) uses: u8,
    pub(super) cached: Cached,
    margin: Margin,
    /// To prompts of all sizes, and of each.
    all: Median,
    sizes: [Median; SIZES],
}

impl Slot {
    pub(super) fn new(model: ModelTag) -> Self {
        Self {
            model,
            uses: BEGINNING,
            cached: Cached::default(),
            margin: Margin::PRIOR,
            all: Median::default(),
            sizes: [Median::default(); SIZES],
        }
    }

    /// What to expect of a prompt of so many tokens; `prior` is what its backend answers otherwise.
    pub(super) fn expect(&self, prompt: Tokens, prior: u32) -> Expected {
        expected(self.median(prompt, prior), self.margin, self.cached)
    }

    /// What to expect of a model of which nothing is known yet.
    pub(super) fn foresee(prior: u32) -> Expected {
        expected(prior, Margin::PRIOR, Cached::default())
    }

    /// Of prompts of that size.
    pub(super) fn sized(&self, prompt: Tokens) -> Median {
        self.sizes.get(size(prompt)).copied().unwrap_or_default()
    }

    /// Of prompts of all sizes.
    pub(super) const fn all(&self) -> Median {
        self.all
    }

    /// All of them.
    pub(super) fn medians(&mut self) -> impl Iterator<Item = &mut Median> {
        self.sizes.iter_mut().chain([&mut self.all])
    }

    /// Those of prompts of that size, and of all.
    pub(super) fn medians_of(&mut self, prompt: Tokens) -> impl Iterator<Item = &mut Median> {
        self.sizes.get_mut(size(prompt)).into_iter().chain([&mut self.all])
    }

    /// What 49 of 50 answers do not exceed of which half are longer than this.
    pub(super) fn most(&self, median: u32) -> u32 {
        self.margin.of(median)
    }

    pub(super) fn learn(&mut self, length: &Length, output: u32, is_cut: bool, prior: u32) {
        let expected = length.expected.and_then(|expected| u32::try_from(expected.0).ok());
        let prior = expected.unwrap_or(prior);
        // What other sizes of prompts say counts only where nothing better was expected.
        let sized = self.sized(length.prompt).read().or(expected);
        let before = sized.unwrap_or_else(|| self.median(length.prompt, prior));
        self.margin.observe(output, is_cut, before);
        self.all.observe(output, is_cut, prior);
        if let Some(median) = self.sizes.get_mut(size(length.prompt)) {
            median.observe(output, is_cut, before);
        }
        self.cached.observe(length.cached);
    }

    fn median(&self, prompt: Tokens, prior: u32) -> u32 {
        self.sized(prompt).read().or_else(|| self.all.read()).unwrap_or(prior)
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        let Margin(margin) = self.margin;
        let Cached { prompts, cached } = self.cached;
        out.u32(self.model.bits()).u8(self.uses).u32(prompts).u32(cached).u16(margin).u32(self.all.bits());
        let is_known = |median: &Median| median.samples() > 0;
        let first = self.sizes.iter().position(is_known).unwrap_or(0);
        let end = self.sizes.iter().rposition(is_known).map_or(first, |last| last + 1);
        out.count(first).count(end - first);
        for median in self.sizes.get(first..end).unwrap_or_default() {
            out.u32(median.bits());
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let mut slot = Self::new(ModelTag::from_bits(from.u32()?));
        slot.uses = from.u8()?;
        slot.cached = Cached { prompts: from.u32()?, cached: from.u32()? };
        slot.margin = Margin(from.u16()?.clamp(Margin::LEAST, Margin::MOST));
        slot.all = Median::from_bits(from.u32()?);
        let (first, len) = (from.count(SIZES)?, from.count(SIZES)?);
        for median in slot.sizes.get_mut(first..first + len)? {
            *median = Median::from_bits(from.u32()?);
        }
        Some(slot)
    }
}

fn expected(output: u32, margin: Margin, cached: Cached) -> Expected {
    let output = output.min(LONGEST);
    let most = margin.of(output).min(LONGEST);
    Expected { output: Tokens(output.into()), most: Tokens(most.into()), is_learned: false, cached: cached.share() }
}

/// `floor(2 · log2(prompt))`, from the least size on.
fn size(prompt: Tokens) -> usize {
    const LEAST: u64 = 64;
    const MOST: u64 = 16_384;
    (prompt.0.clamp(LEAST, MOST).pow(2).ilog2() - LEAST.pow(2).ilog2()) as usize
}

/// How many times the expected length 49 of 50 answers do not exceed, in 256ths. A longer one widens it by half; each
/// other one narrows it by 49 times less, so that it stays where one in 50 is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Margin(u16);

impl Margin {
    const ONE: u16 = 256;
    const LEAST: u16 = Self::ONE;
    const MOST: u16 = 64 * Self::ONE;

    /// Lengths are often spread so widely.
    const PRIOR: Self = Self(4 * Self::ONE);

    fn of(self, expected: u32) -> u32 {
        let most = u64::from(expected) * u64::from(self.0) / u64::from(Self::ONE);
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    fn observe(&mut self, output: u32, is_cut: bool, expected: u32) {
        if output > self.of(expected) {
            self.0 = self.0.saturating_add(self.0 / 2).min(Self::MOST);
        } else if !is_cut {
            // 1.5 is the 49th power of 1 + 1/121.
            self.0 = (self.0 - self.0.div_ceil(122)).max(Self::LEAST);
        }
    }
}

/// Tokens of the last prompts, some 32 of them, and those that came from the provider's cache; in 16ths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cached {
    prompts: u32,
    cached: u32,
}

impl Cached {
    /// Larger prompts than this are not believed.
    const LARGEST: u64 = 1 << 22;
    const MEMORY: u32 = 32;

    /// Parts of a token, so that what is left of small prompts is not rounded away.
    const PARTS: u64 = 16;

    fn observe(&mut self, (prompt, cached): (Tokens, Tokens)) {
        if prompt.0 == 0 || prompt.0 > Self::LARGEST {
            return;
        }
        let aged =
            |sum: u32, sample: u64| (sum - sum.div_ceil(Self::MEMORY)).saturating_add((sample * Self::PARTS) as u32);
        self.prompts = aged(self.prompts, prompt.0);
        self.cached = aged(self.cached, cached.0.min(prompt.0));
    }

    /// Whether any prompt was counted.
    pub(super) const fn is_known(self) -> bool {
        self.prompts > 0
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self { prompts: self.prompts.saturating_add(other.prompts), cached: self.cached.saturating_add(other.cached) }
    }

    pub(super) fn share(self) -> PerMille {
        if self.cached == 0 {
            return PerMille::default();
        }
        let thousandths = u64::from(self.cached) * 1_000 / u64::from(self.prompts.max(1));
        PerMille::new(thousandths.min(1_000) as u16)
    }
}
