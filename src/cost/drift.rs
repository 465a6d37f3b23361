//! Whether a provider counts prompts as it always did.
//!
//! How many tokens are reported for each one that is estimated differs from prompt to prompt, and from provider to
//! provider, but for one model of one provider it stays where it is. Where it jumps, what is billed has changed: another
//! tokenizer, a hidden prompt, cached tokens counted twice. So the median of the last answers is held against what is
//! usual. A median, since single prompts are far off; and no less than a fifth, or twice the distances that
//! are usual, since texts differ. What has fallen out of the last answers becomes part of what is usual, but not while
//! there is a jump: it is to be seen until somebody has had the time to look. Where several clients ask, one of them has
//! no more than a quarter of the last answers, and what it says beyond teaches nothing that is far from the others', so that no client alone makes a jump, whatever it sends.

use std::time::Duration;

use crate::domain::{Decoder, Encoder, Timestamp};

/// Answers that the median is of.
const RECENT: usize = 32;

/// Of those the most that one client may have while others have at least half of them: so few do not decide the median,
/// also where some of the others' are far off.
const MOST_OF_ONE: usize = RECENT / 4;

/// So many times as far as is usual is an outlier.
const OUTLIER: u32 = 6;

/// Answers that what is usual was learned from before anything is held against it.
const ENOUGH: u16 = 100;

/// One answer moves what is usual by this part of what it misses, once there were so many.
const MEMORY: u16 = 256;

/// A jump is at least this far from what is usual, in millionths of that.
const LEAST_JUMP: u32 = 200_000;

/// One, in millionths.
const ONE: u32 = 1_000_000;

/// More tokens than anybody reports.
const MOST_TOKENS: u64 = 1 << 40;

/// More tokens for one that is estimated are as good as this many, in millionths.
const MOST: u32 = 1_000 * ONE;

/// After so long the jump is what is usual.
pub const ACCEPTED_AFTER: Duration = Duration::from_secs(86_400);

/// What was reported for each token that was estimated, lately and before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift {
    /// Of the last answers, the oldest first; in millionths, each with the group of its client.
    recent: Vec<(u32, u8)>,
    usual: u32,
    /// How far answers usually are from that, in millionths of it.
    spread: u32,
    /// Answers that taught what is usual.
    known: u16,
    /// When a jump was seen; the epoch while there is none.
    since: Timestamp,
}

impl Drift {
    /// Takes note of an answer to a client, which is given by a hash.
    #[inline(never)]
    pub fn observe(&mut self, client: u32, estimated: u64, reported: u64, now: Timestamp) {
        let ratio = reported.min(MOST_TOKENS) * u64::from(ONE) / estimated.max(1);
        let ratio = u32::try_from(ratio).unwrap_or(MOST).min(MOST);
        let group = (client ^ client >> 8 ^ client >> 16 ^ client >> 24) as u8;
        if self.recent.len() < RECENT {
            self.recent.push((ratio, group));
            if self.recent.len() == RECENT {
                self.accept(RECENT as u16);
            }
            return;
        }
        let is_its = |(_, other): &(u32, u8)| *other == group;
        let its = self.recent.iter().filter(|answer| is_its(answer)).count();
        // It has had its say. Where there is hardly anybody else, it goes on to be heard.
        let is_enough = its >= MOST_OF_ONE && self.recent.len() - its >= RECENT / 2;
        let gives_way = if is_enough { self.recent.iter().position(is_its).unwrap_or(0) } else { 0 };
        let (oldest, _) = self.recent.remove(gives_way);
        self.recent.push((ratio, group));
        // What is far from all others it has said often enough, too.
        let is_outlier = distance(oldest, self.usual) > OUTLIER * self.spread.max(LEAST_JUMP / 4);
        let says_nothing = is_enough && is_outlier;
        if !self.has_jumped() && !says_nothing {
            self.learn(oldest);
        }
        self.judge(now);
    }

    /// Answers of the past move what is usual, none of them by more than is usual.
    fn learn(&mut self, ratio: u32) {
        self.known = self.known.saturating_add(1).min(MEMORY);
        let step = |from: u32, to: u32| {
            let moved = i64::from(from) + (i64::from(to) - i64::from(from)) / i64::from(self.known);
            u32::try_from(moved).unwrap_or(0)
        };
        let spread = step(self.spread, distance(ratio, self.usual).min(ONE));
        let room = share(self.usual, self.spread.max(LEAST_JUMP / 4));
        let near = ratio.clamp(self.usual.saturating_sub(room), self.usual.saturating_add(room));
        self.usual = step(self.usual, near);
        self.spread = spread;
    }

    fn judge(&mut self, now: Timestamp) {
        if self.known < ENOUGH {
            return;
        }
        let bound = LEAST_JUMP.max(2 * self.spread);
        let is_beyond = |bound| is_beyond(self.recent(), self.usual, bound);
        if !self.has_jumped() {
            if is_beyond(bound) {
                self.since = now;
            }
        } else if !is_beyond(bound / 2) {
            self.since = Timestamp::default();
        } else if self.jumped_at(now).is_none() {
            self.accept(ENOUGH);
        } else {
            // The clock stepped back.
            self.since = self.since.min(now);
        }
    }

    /// What is recent is what is usual.
    fn accept(&mut self, known: u16) {
        self.usual = self.recent();
        let far = |&(ratio, _): &(u32, u8)| u64::from(distance(ratio, self.usual).min(ONE));
        let sum: u64 = self.recent.iter().map(far).sum();
        self.spread = (sum / RECENT as u64) as u32;
        (self.known, self.since) = (known, Timestamp::default());
    }

    const fn has_jumped(&self) -> bool {
        self.since.as_micros() > 0
    }

    /// When the jump was seen that holds at a moment.
    pub fn jumped_at(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.since).filter(|&since| self.has_jumped() && now.since(since) < ACCEPTED_AFTER)
    }

    /// Tokens reported for each that was estimated: the median of the last answers, in millionths.
    #[inline(never)]
    pub fn recent(&self) -> u32 {
        // To sort them takes as much code as all of this file.
        let smaller = |ratio: u32| self.recent.iter().filter(|&&(other, _)| other < ratio).count();
        let ratios = self.recent.iter().map(|&(ratio, _)| ratio);
        let upper = ratios.filter(|&ratio| smaller(ratio) <= self.recent.len() / 2);
        upper.max().unwrap_or(0)
    }

    /// The same as it usually is; none before that is known.
    pub fn usual(&self) -> Option<u32> {
        (self.known >= ENOUGH).then_some(self.usual)
    }

    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.list(&self.recent, |out, &(ratio, group)| _ = out.u32(ratio).u8(group));
        out.u32(self.usual).u32(self.spread).u16(self.known).time(self.since);
    }

    /// Reads it.
    #[inline(never)]
    pub(crate) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let recent = from.list(RECENT, |from| Some((from.u32()?.min(MOST), from.u8()?)))?;
        let (usual, spread) = (from.u32()?.min(MOST), from.u32()?.min(ONE));
        Some(Self { recent, usual, spread, known: from.u16()?, since: from.time()? })
    }
}

/// So many millionths of an amount.
fn share(amount: u32, millionths: u32) -> u32 {
    u32::try_from(u64::from(amount) * u64::from(millionths) / u64::from(ONE)).unwrap_or(u32::MAX)
}

/// How far an amount is from another, in millionths of that.
fn distance(amount: u32, from: u32) -> u32 {
    let distance = u64::from(amount.abs_diff(from)) * u64::from(ONE) / u64::from(from.max(1));
    u32::try_from(distance).unwrap_or(u32::MAX)
}

/// Whether one is more than the other by at least so many millionths of the smaller one.
fn is_beyond(one: u32, other: u32, millionths: u32) -> bool {
    distance(one.max(other), one.min(other)) > millionths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Rng, SplitMix64};

    const MINUTE: u64 = 60;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    /// Prompts as they come: of 20 to 4,000 tokens, each estimated with an error of its own, the standard deviation of
    /// which is `noise` per cent; one in fifty is far off.
    struct Traffic {
        rng: SplitMix64,
        noise: f64,
        drift: Drift,
        answers: u64,
        client: u32,
    }

    impl Traffic {
        fn new(seed: u64, noise: f64) -> Self {
            Self { rng: SplitMix64::new(seed), noise: noise / 100.0, drift: Drift::default(), answers: 0, client: 0 }
        }

        /// One answer of a provider that counts `ratio` tokens for each that is estimated; whether there is a jump then.
        fn answer(&mut self, ratio: f64) -> bool {
            // The sum of twelve is as good as normally distributed.
            let normal = (0..12).map(|_| self.rng.below(1_001) as f64 / 1_000.0).sum::<f64>() - 6.0;
            let mut counted = ratio * (self.noise * normal).exp();
            if self.rng.below(50) == 0 {
                counted *= [0.1, 4.0][self.rng.below(2)];
            }
            let estimated = 20 + self.rng.below(4_000) as u64;
            self.answers += 1;
            let now = at(self.answers);
            self.drift.observe(self.client, estimated, (estimated as f64 * counted) as u64, now);
            self.drift.jumped_at(now).is_some()
        }

        fn answers(&mut self, number: usize, ratio: f64) -> usize {
            (0..number).filter(|_| self.answer(ratio)).count()
        }
    }

    #[test]
    fn a_hundred_thousand_answers_of_a_provider_that_stays_as_it_is_are_no_jump() {
        for noise in [2.0, 8.0, 12.0, 25.0, 60.0] {
            let mut traffic = Traffic::new(7, noise);
            assert_eq!(traffic.answers(100_000, 1.13), 0, "{noise} %");
        }
    }

    #[test]
    fn what_prompts_are_about_may_change_slowly() {
        let mut traffic = Traffic::new(8, 10.0);
        let jumps = (0..50_000).filter(|&n| traffic.answer(1.0 + 0.1 * (f64::from(n) / 1_500.0).sin())).count();
        assert_eq!(jumps, 0);
    }

    #[test]
    fn a_jump_by_three_tenths_is_seen_within_fifty_answers_up_and_down() {
        for seed in 0..40 {
            for (noise, usual) in [(5.0, 1.0), (10.0, 0.8), (12.0, 40.0)] {
                for factor in [1.3, 1.5, 1.0 / 1.3, 0.5] {
                    let mut traffic = Traffic::new(seed, noise);
                    assert_eq!(traffic.answers(400, usual), 0);
                    assert!((0..50).any(|_| traffic.answer(usual * factor)), "seed {seed}: {factor} at {noise} %");
                }
            }
        }
    }

    #[test]
    fn it_says_what_was_usual_and_what_is_and_is_over_when_that_is_back() {
        let mut traffic = Traffic::new(1, 5.0);
        traffic.answers(99, 1.1);
        assert_eq!(traffic.drift.usual(), None, "too few to say");
        traffic.answers(400, 1.1);
        traffic.answers(2_000, 1.65);
        let (recent, usual) = (traffic.drift.recent(), traffic.drift.usual().unwrap());
        assert!(recent.abs_diff(1_650_000) < 60_000 && usual.abs_diff(1_100_000) < 40_000, "{recent} {usual}");
        traffic.answers(40, 1.1);
        assert!(!traffic.answer(1.1));
    }

    #[test]
    fn what_has_stayed_for_a_day_is_usual() {
        let mut traffic = Traffic::new(2, 5.0);
        traffic.answers(500, 1.0);
        traffic.answers(86_400 - 60, 1.5);
        assert!(traffic.answer(1.5));
        traffic.answers(120, 1.5);
        assert!(!traffic.answer(1.5));
        assert!(traffic.drift.usual().unwrap().abs_diff(1_500_000) < 60_000);
        assert_eq!(traffic.answers(5_000, 1.5), 0);
        // Nor is it told for longer where nobody asks any more.
        traffic.answers(60, 1.0);
        assert!(traffic.drift.jumped_at(at(traffic.answers)).is_some());
        assert_eq!(traffic.drift.jumped_at(at(traffic.answers + 1_441 * MINUTE)), None);
    }

    #[test]
    fn several_clients_whose_prompts_differ_widely_are_no_jump() {
        for noise in [2.0, 25.0, 60.0] {
            let mut traffic = Traffic::new(5, noise);
            let jumps = (0..30_000_u32).filter(|n| {
                traffic.client = n % 4;
                traffic.answer(1.13)
            });
            assert_eq!(jumps.count(), 0, "{noise} %");
        }
    }

    #[test]
    fn one_client_of_several_makes_no_jump_whatever_it_sends_and_what_all_get_is_one() {
        for factor in [80.0, 1.5, 0.1] {
            let mut traffic = Traffic::new(4, 5.0);
            let others = |traffic: &mut Traffic, number: usize, ratio: f64| {
                let jumps = (0..number).filter(|n| {
                    traffic.client = (n % 3) as u32;
                    traffic.answer(ratio)
                });
                jumps.count()
            };
            assert_eq!(others(&mut traffic, 400, 1.0), 0);
            assert!(traffic.drift.usual().is_some());
            traffic.client = 7;
            assert_eq!(traffic.answers(500, factor), 0, "{factor}");
            assert_eq!(others(&mut traffic, 400, 1.0), 0, "{factor}");
            assert!(others(&mut traffic, 60, 1.5) > 0, "{factor}");
        }
    }

    #[test]
    fn a_few_answers_that_are_far_off_are_no_jump() {
        let mut traffic = Traffic::new(3, 5.0);
        traffic.answers(500, 1.0);
        for _ in 0..20 {
            assert_eq!(traffic.answers(12, 9.0), 0);
            assert_eq!(traffic.answers(40, 1.0), 0);
        }
    }

    #[test]
    fn at_its_bound_it_survives_being_bytes_and_beyond_it_is_none() {
        let mut drift = Drift { recent: vec![(ONE, 0); RECENT], ..Drift::default() };
        let read = |drift: &Drift| {
            let mut out = Encoder::with_capacity(200);
            drift.encode(&mut out);
            Drift::decode(&mut Decoder::new(&out.finish()))
        };
        assert_eq!(read(&drift).as_ref(), Some(&drift));
        drift.recent.push((ONE, 0));
        assert_eq!(read(&drift), None);
    }

    proptest! {
        #[test]
        fn whatever_is_reported_whenever_it_survives_being_bytes_and_ends(
            answers in prop::collection::vec((any::<u64>(), any::<u64>(), 0..200_000_u64), 0..300)
        ) {
            let mut drift = Drift::default();
            for (estimated, reported, second) in answers {
                drift.observe(estimated as u32, estimated, reported, at(second));
                let mut out = Encoder::with_capacity(200);
                drift.encode(&mut out);
                let bytes = out.finish();
                prop_assert!(bytes.len() <= 1 + 5 * RECENT + 18);
                prop_assert_eq!(Drift::decode(&mut Decoder::new(&bytes)), Some(drift.clone()));
            }
            prop_assert_eq!(drift.jumped_at(at(300_000)), None);
        }
    }
}
