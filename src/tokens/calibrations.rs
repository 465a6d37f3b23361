//! What providers make of the estimate, by API and model, whoever asks.
//!
//! One tokenizer serves one model, and each API frames prompts in its own way: so there is a ratio for each of a few
//! pairs of both, and one of all together for the others. Which models there are, clients say: so their number is
//! bounded, and one that nobody asks makes room.
//!
//! Within a pair, each client has one vote, however much it sends: a client whose prompts the estimate misses (by what is
//! hidden in them, or on purpose) must not move the estimates of others. Clients are told apart by the hash of a tenant
//! or an address, in [`CLIENTS`] groups; each group has a [`Calibration`] of its own, and what counts is their **median**.
//! Of an even number the middle one that is closer to no correction at all counts. So one group alone
//!
//! - of three or more leaves the ratio within the range of the others, or between them and 1;
//! - of two can undo what the other one taught, never go beyond it;
//! - where there is no other, is all that is known.
//!
//! A group that was silent for a day votes no more, once another one is heard.
//!
//! A weighted mean was rejected, since any weight of one client moves it without a bound; so were weights by the number
//! of answers, since then the one who sends the most decides.

use super::Calibration;
use crate::domain::{Api, Decoder, Encoder, ModelTag, Timestamp, Tokens};

/// Groups that clients are told apart in.
const CLIENTS: usize = 8;

/// Pairs of an API and a model that have a ratio of their own.
const PAIRS: usize = 8;

/// A pair that nobody asked for so long makes room for another one, in minutes.
const PAIR_IDLE: u32 = 60;

/// A group that was silent for so long has no vote, in minutes.
const CLIENT_IDLE: u32 = 24 * 60;

/// To whom a prompt was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pair {
    api: u8,
    model: ModelTag,
}

impl Pair {
    /// A model, by an API.
    pub const fn new(api: Api, model: ModelTag) -> Self {
        Self { api: api as u8, model }
    }
}

/// The ratios of one backend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calibrations {
    /// Of all pairs together.
    all: Votes,
    pairs: Vec<(Pair, Votes)>,
}

/// What each group of clients taught.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Votes {
    groups: Vec<Group>,
    /// The median of the groups.
    median: Calibration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    number: u8,
    ratio: Calibration,
    /// When it was last heard, in minutes.
    last: u32,
}

impl Calibrations {
    /// The estimate of a prompt to a model, as this backend would count it.
    #[must_use]
    pub fn apply(&self, api: Api, model: ModelTag, estimate: Tokens) -> Tokens {
        self.of(Pair::new(api, model)).median.apply(estimate)
    }

    fn of(&self, pair: Pair) -> &Votes {
        self.pairs.iter().find(|(other, _)| *other == pair).map_or(&self.all, |(_, votes)| votes)
    }

    /// What is known of all prompts together: the ratio in millionths, and from how many answers.
    pub fn overall(&self) -> (u32, u32) {
        let samples = self.all.groups.iter().map(|group| u32::from(group.ratio.samples())).sum();
        (self.all.median.ratio_ppm(), samples)
    }

    /// Learns from an answer to a client, given by a hash: what was estimated before any correction, and what the
    /// provider reported.
    pub fn learn(&mut self, pair: Pair, client: u32, estimated: Tokens, reported: Tokens, at: Timestamp) {
        let now = minutes(at);
        if !Calibration::teaches(estimated, reported) {
            return;
        }
        self.all.learn(client, estimated, reported, now);
        let place = self.pairs.iter().position(|(other, _)| *other == pair).or_else(|| {
            if self.pairs.len() < PAIRS {
                self.pairs.push((pair, Votes::default()));
                return Some(self.pairs.len() - 1);
            }
            let place = self.pairs.iter().position(|(_, votes)| votes.is_idle(now))?;
            *self.pairs.get_mut(place)? = (pair, Votes::default());
            Some(place)
        });
        if let Some((_, votes)) = place.and_then(|place| self.pairs.get_mut(place)) {
            votes.learn(client, estimated, reported, now);
        }
    }

    /// Appends them to a record.
    pub fn encode(&self, out: &mut Encoder) {
        self.all.encode(out);
        out.count(self.pairs.len());
        for (Pair { api, model }, votes) in &self.pairs {
            out.u8(*api).u32(model.bits());
            votes.encode(out);
        }
    }

    /// Reads them from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (all, mut pairs) = (Votes::decode(from)?, Vec::new());
        for _ in 0..from.count(PAIRS)? {
            let pair = Pair { api: from.u8()?, model: ModelTag::from_bits(from.u32()?) };
            pairs.push((pair, Votes::decode(from)?));
        }
        Some(Self { all, pairs })
    }
}

impl Votes {
    fn learn(&mut self, client: u32, estimated: Tokens, reported: Tokens, now: u32) {
        let number = ((client ^ (client >> 16)) % CLIENTS as u32) as u8;
        // Where the clock stepped back, nobody was silent.
        self.groups.retain(|group| group.number == number || now.saturating_sub(group.last) < CLIENT_IDLE);
        let place = self.groups.iter().position(|group| group.number == number).unwrap_or_else(|| {
            self.groups.push(Group { number, ratio: Calibration::default(), last: now });
            self.groups.len() - 1
        });
        if let Some(group) = self.groups.get_mut(place) {
            group.ratio.learn(estimated, reported);
            group.last = now;
        }
        self.count();
    }

    /// Counts the votes.
    fn count(&mut self) {
        let mut ratios = [Calibration::default(); CLIENTS];
        for (place, group) in ratios.iter_mut().zip(&self.groups) {
            *place = group.ratio;
        }
        let voters = self.groups.len().min(CLIENTS);
        let Some(ratios) = ratios.get_mut(..voters) else { return };
        ratios.sort_unstable_by_key(|ratio| ratio.ratio_ppm());
        let (low, high) = (ratios.get(voters.saturating_sub(1) / 2), ratios.get(voters / 2));
        self.median = match (low, high) {
            (Some(low), Some(high)) => low.closer_to_one(*high),
            _ => Calibration::default(),
        };
    }

    fn is_idle(&self, now: u32) -> bool {
        self.groups.iter().all(|group| group.last > now || now - group.last >= PAIR_IDLE)
    }

    fn encode(&self, out: &mut Encoder) {
        out.count(self.groups.len());
        for Group { number, ratio, last } in &self.groups {
            out.u8(*number).u32(ratio.ratio_ppm()).u16(ratio.samples()).u32(*last);
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let mut votes = Self::default();
        for _ in 0..from.count(CLIENTS)? {
            let number = from.u8().filter(|&number| usize::from(number) < CLIENTS)?;
            let ratio = Calibration::from_parts(from.u32()?, from.u16()?);
            votes.groups.push(Group { number, ratio, last: from.u32()? });
        }
        votes.count();
        Some(votes)
    }
}

fn minutes(at: Timestamp) -> u32 {
    u32::try_from(at.as_micros() / 60_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Model;

    const ESTIMATE: Tokens = Tokens(1_000);

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_micros((1_000_000 + minutes) * 60_000_000)
    }

    fn pair(model: &str) -> Pair {
        Pair::new(Api::ChatCompletions, Model::from(model).tag())
    }

    /// What 1,000 estimated tokens are to a model.
    fn of(calibrations: &Calibrations, model: &str) -> u64 {
        calibrations.apply(Api::ChatCompletions, Model::from(model).tag(), ESTIMATE).0
    }

    fn teach(calibrations: &mut Calibrations, client: u32, times: usize, reported: u64, at: Timestamp) {
        (0..times).for_each(|_| calibrations.learn(pair("m"), client, ESTIMATE, Tokens(reported), at));
    }

    #[test]
    fn a_single_client_is_all_that_is_known() {
        let mut calibrations = Calibrations::default();
        assert_eq!(of(&calibrations, "m"), 1_000);
        teach(&mut calibrations, 1, 50, 1_300, at(0));
        assert!(of(&calibrations, "m").abs_diff(1_300) < 10);
        assert_eq!(calibrations.overall().1, 50);
    }

    #[test]
    fn two_hundred_prompts_of_one_client_that_are_underrated_eighty_fold_move_nobody_elses() {
        // 9 tokens became 36.
        for others in 2..7 {
            let mut calibrations = Calibrations::default();
            for client in 0..others {
                teach(&mut calibrations, client, 3, 1_000, at(0));
            }
            teach(&mut calibrations, 7, 200, 80_000, at(1));
            assert_eq!(calibrations.of(pair("m")).median.apply(Tokens(9)), Tokens(9), "{others} others");
        }
    }

    #[test]
    fn each_model_and_each_api_has_a_ratio_of_its_own() {
        let mut calibrations = Calibrations::default();
        for _ in 0..20 {
            calibrations.learn(pair("a"), 1, ESTIMATE, Tokens(900), at(0));
            calibrations.learn(pair("b"), 1, ESTIMATE, Tokens(1_800), at(0));
            calibrations.learn(Pair::new(Api::Messages, Model::from("a").tag()), 1, ESTIMATE, Tokens(1_400), at(0));
        }
        assert!(of(&calibrations, "a").abs_diff(900) < 10 && of(&calibrations, "b").abs_diff(1_800) < 30);
        let other = calibrations.apply(Api::Messages, Model::from("a").tag(), ESTIMATE);
        assert!(other.0.abs_diff(1_400) < 20);
        let unknown = of(&calibrations, "c");
        assert!((900..1_800).contains(&unknown), "as all together: {unknown}");
    }

    #[test]
    fn models_that_clients_make_up_take_no_more_room_and_one_that_is_idle_makes_room() {
        let mut calibrations = Calibrations::default();
        for n in 0..100 {
            calibrations.learn(pair(&format!("made up {n}")), 1, ESTIMATE, Tokens(2_000), at(0));
        }
        calibrations.learn(pair("real"), 2, ESTIMATE, Tokens(1_100), at(1));
        assert_eq!(calibrations.pairs.len(), PAIRS);
        assert_eq!(of(&calibrations, "real"), 1_100, "by all together, of which those of one client are one half");
        calibrations.learn(pair("real"), 2, ESTIMATE, Tokens(1_100), at(61));
        assert!(calibrations.pairs.iter().any(|(other, _)| *other == pair("real")));
        let mut out = Encoder::with_capacity(1_000);
        calibrations.encode(&mut out);
        assert!(out.finish().len() < 250);
    }

    #[test]
    fn who_was_silent_for_a_day_has_no_vote() {
        let mut calibrations = Calibrations::default();
        for client in [1, 2] {
            teach(&mut calibrations, client, 20, 1_000, at(0));
        }
        teach(&mut calibrations, 3, 20, 1_500, at(u64::from(CLIENT_IDLE) - 1));
        assert!(of(&calibrations, "m") < 1_010);
        teach(&mut calibrations, 3, 1, 1_500, at(u64::from(CLIENT_IDLE)));
        assert!(of(&calibrations, "m").abs_diff(1_500) < 20);
    }

    proptest! {
        /// The property of the module: what one client can do to others, whatever it sends, whenever.
        #[test]
        fn one_client_of_several_leaves_the_ratio_within_that_of_the_others_or_between_them_and_one(
            honest in prop::collection::vec(500_u64..2_000, 2..7),
            attack in prop::collection::vec((1_u64..1_000_000, 1_u64..100_000_000), 1..300),
        ) {
            let mut calibrations = Calibrations::default();
            for (client, &reported) in honest.iter().enumerate() {
                teach(&mut calibrations, client as u32, 4, reported, at(0));
            }
            for (estimated, reported) in attack {
                calibrations.learn(pair("m"), 7, Tokens(estimated), Tokens(reported), at(1));
            }
            let now = of(&calibrations, "m");
            // What the others taught: the mean of the prior and what they reported is theirs alone.
            let lowest = *honest.iter().min().unwrap();
            let highest = *honest.iter().max().unwrap();
            prop_assert!((lowest.min(1_000) - 1..=highest.max(1_000) + 1).contains(&now), "{now} of {honest:?}");
        }

        #[test]
        fn they_survive_being_bytes(
            answers in prop::collection::vec((0_u8..12, any::<u32>(), any::<u64>(), any::<u64>(), 0_u64..100_000), 0..100)
        ) {
            let mut calibrations = Calibrations::default();
            for (model, client, estimated, reported, minute) in answers {
                let model = Model::from(&*model.to_string()).tag();
                calibrations.learn(Pair::new(Api::Messages, model), client, Tokens(estimated), Tokens(reported), at(minute));
            }
            let mut out = Encoder::with_capacity(1_000);
            calibrations.encode(&mut out);
            let bytes = out.finish();
            prop_assert!(bytes.len() <= 2 + CLIENTS * 11 + PAIRS * (6 + CLIENTS * 11));
            prop_assert_eq!(Calibrations::decode(&mut Decoder::new(&bytes)), Some(calibrations));
        }

        #[test]
        fn whatever_lies_there_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(calibrations) = Calibrations::decode(&mut Decoder::new(&bytes)) {
                prop_assert!((250..=4_000).contains(&of(&calibrations, "m")));
            }
        }
    }
}
