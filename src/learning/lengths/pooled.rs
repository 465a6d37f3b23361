//! What all backends know together of one kind of request, for those that have not measured it.
//!
//! How long an answer is, and how much of a prompt was sent before, depends on the request and the model more than on who
//! serves it. A backend without measurements that kept to a prior would look too dear or too cheap beside one that has
//! measured, and stay so, since it gets no requests to learn from.
//!
//! Three classes of evidence, from the narrowest to the widest: this model and size of prompt, this model, any model. The
//! backends of a class are averaged by their logarithms, since lengths are spread over orders of magnitude, each weighted
//! by its answers (up to 64) and by how much older than the newest of all the backend's last answer is:
//! `answers / (1 + age / 10 min)`. A class counts by `answers / 8`, all of it from 8 answers on; what is left goes to the
//! next wider one, and the last one takes the rest. A backend's own measurements come before those of all in the same class
//! and in wider ones, so that with its eighth answer of such a request it borrows nothing any more.
//!
//! How a provider counts tokens is not borrowed: that is its own ([`Calibration`](crate::tokens::Calibration)).

use std::time::Duration;

use super::slot::Slot;
use super::{Expected, LONGEST, Lengths};
use crate::domain::{ModelTag, PerMille, Timestamp, Tokens};
use crate::learning::Median;

/// Answers after which a class needs no wider one beside it.
pub(super) const ENOUGH: f64 = 8.0;

/// What is so much older than other evidence weighs half; nine times as much, a tenth. Where all is as old, it weighs as
/// if it were new: what is known is better than a prior, however old.
const AGE: Duration = Duration::from_secs(600);

/// What is left of evidence that is so old.
pub(super) fn aged(age: Duration) -> f64 {
    1.0 / (1.0 + age.as_secs_f64() / AGE.as_secs_f64())
}

/// Whether so many answers, the last of which is so old, are enough.
pub(super) fn is_enough(answers: u32, age: Duration) -> bool {
    // In whole microseconds: it is asked of each backend in each decision.
    let [age, half] = [age, AGE].map(|time| time.as_micros() as u64);
    u64::from(answers).saturating_mul(half) >= half.saturating_add(age).saturating_mul(ENOUGH as u64)
}

/// The binary logarithm, on straight lines between powers of two: at most 0.09 off, a few times as fast, the same on any
/// machine, and [`power`] undoes it exactly.
fn logarithm(length: u32) -> f64 {
    let octave = length.max(1).ilog2();
    f64::from(octave) + f64::from(length.max(1)) / f64::from(1_u32 << octave) - 1.0
}

/// The length of which it is the [`logarithm`].
fn power(logarithm: f64) -> f64 {
    let octave = logarithm.clamp(0.0, 31.0) as u32;
    f64::from(1_u32 << octave) * (1.0 + logarithm - f64::from(octave))
}

/// Less evidence than this is none: what is left of a sum after its terms were taken away.
const NOTHING: f64 = 1e-6;

/// Classes of evidence.
const CLASSES: usize = 3;

/// What one backend, or several, know of a class: the sum of the weights, and of the weighted logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Class {
    weight: f64,
    logs: f64,
    /// What 49 of 50 such answers do not exceed, at the backend where they are longest.
    most: u32,
}

impl Class {
    fn of(median: Median, weight: f64, most: u32) -> Option<Self> {
        let weight = weight * f64::from(median.samples());
        Some(Self { weight, logs: weight * logarithm(median.read()?), most })
    }

    fn add(&mut self, other: Self) {
        let most = self.most.max(other.most);
        *self = Self { weight: self.weight + other.weight, logs: self.logs + other.logs, most };
    }

    /// The logarithm of the typical length, and how much it counts for.
    fn read(self) -> Option<(f64, f64)> {
        (self.weight > NOTHING).then(|| (self.logs / self.weight, (self.weight / ENOUGH).min(1.0)))
    }
}

/// Tokens of prompts, and those that came from a cache, each prompt weighted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Share {
    weight: f64,
    cached: f64,
}

impl Share {
    fn plus(self, other: Self) -> Self {
        Self { weight: self.weight + other.weight, cached: self.cached + other.cached }
    }
}

/// What backends know together of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pooled {
    model: ModelTag,
    prompt: Tokens,
    /// When the newest evidence came.
    newest: Timestamp,
    /// This model and size of prompt, this model, any model.
    classes: [Class; CLASSES],
    /// Of this model, of any.
    cached: [Share; 2],
}

impl Pooled {
    /// Of such requests, as far as nobody has been asked; the newest evidence there will be is from `newest`.
    pub fn new(model: ModelTag, prompt: Tokens, newest: Timestamp) -> Self {
        Self { model, prompt, newest, ..Self::default() }
    }

    /// Adds what a backend knows that was last heard of at `seen`.
    pub fn add(&mut self, lengths: &Lengths, seen: Timestamp) {
        let own = self.of(lengths, seen);
        for (sum, class) in self.classes.iter_mut().zip(own.classes) {
            sum.add(class);
        }
        for (sum, share) in self.cached.iter_mut().zip(own.cached) {
            *sum = sum.plus(share);
        }
    }

    /// What one backend knows.
    fn of(&self, lengths: &Lengths, seen: Timestamp) -> Self {
        let weight = aged(self.newest.since(seen));
        let mut known = Self::new(self.model, self.prompt, self.newest);
        let [sized, of_model, of_all] = &mut known.classes;
        let class = |median, most| Class::of(median, weight, most).unwrap_or_default();
        if let Some(slot) = lengths.named(self.model) {
            let class = |median: Median| class(median, slot.most(median.read().unwrap_or_default()));
            (*sized, *of_model) = (class(slot.sized(self.prompt)), class(slot.all()));
            *of_all = class(lengths.all);
        } else {
            // Of a model that is not told apart here, those are the best that share its place.
            let others = lengths.named(ModelTag::ANY);
            let known = others.into_iter().flat_map(|slot| [slot.sized(self.prompt), slot.all()]);
            let median = known.chain([lengths.all]).find(|median| median.samples() > 0).unwrap_or_default();
            *of_all = class(median, lengths.expect(self.model, self.prompt).most.0 as u32);
        }
        let share = |(answers, cached): (u32, PerMille)| {
            let weight = weight * f64::from(answers);
            Share { weight, cached: weight * cached.ratio() }
        };
        let slots = || lengths.slots.iter().filter(|slot| slot.cached.is_known());
        let share_of = |slot: &Slot| share((slot.all().samples().max(1), slot.cached.share()));
        known.cached = [
            slots().find(|slot| slot.model == self.model).map_or_else(Share::default, share_of),
            slots().map(share_of).fold(Share::default(), Share::plus),
        ];
        known
    }

    /// What to expect of such a request at a backend, by what it knows itself and what the others do.
    pub fn expect(&self, lengths: &Lengths, seen: Timestamp) -> Expected {
        let (own, alone) = (self.of(lengths, seen), lengths.expect(self.model, self.prompt));
        // Its own narrowest class: it was learned from the wider ones, so these add nothing.
        let narrowest = own.classes.iter().position(|class| class.weight > NOTHING);
        let (mut log, mut left, mut last) = (0.0, 1.0, 0.0);
        let (mut most, mut borrows) = (alone.most.0 as u32, false);
        let mut take = |evidence: Option<(f64, f64)>| {
            let had = left;
            if let Some((length, weight)) = evidence {
                log += left * weight * length;
                left *= 1.0 - weight;
                last = length;
            }
            had > 0.0 && evidence.is_some()
        };
        for (n, (class, mine)) in self.classes.into_iter().zip(own.classes).enumerate() {
            if narrowest == Some(n) {
                take(mine.read());
            }
            // What all know, its own among it: were it that of the others alone, two that know little would each be taken
            // for the other.
            if take(class.read()) && class.weight - mine.weight > NOTHING {
                (most, borrows) = (most.max(class.most), true);
            }
            if narrowest == Some(n) {
                break;
            }
        }
        let cached = self.cached_share(&own, alone.cached);
        if !borrows {
            return Expected { cached, ..alone };
        }
        let output = (power(log + left * last).round() as u32).clamp(1, LONGEST);
        let most = Tokens(most.max(output).min(LONGEST).into());
        // Nothing is left that only a prior would tell.
        let is_learned = alone.is_learned || left < NOTHING;
        Expected { output: Tokens(output.into()), most, is_learned, cached }
    }

    /// The share of the prompt that is expected to be cached: that of its own answers of this model, as far as there are
    /// enough of them, else that of this model elsewhere, else of any.
    fn cached_share(&self, own: &Self, alone: PerMille) -> PerMille {
        let [mine, _] = own.cached;
        let weight = (mine.weight / ENOUGH).min(1.0);
        let mut pooled = self.cached.into_iter().zip(own.cached);
        let Some((all, _)) = pooled.find(|(all, mine)| all.weight - mine.weight > NOTHING) else { return alone };
        PerMille::from_ratio(weight * alone.ratio() + (1.0 - weight) * (all.cached / all.weight))
    }
}
