//! Days with more requests than were planned for.

use std::fmt::Write;

use serde_json::{Value, json};

use super::budget::stands;
use super::*;
use crate::cost::Claim;
use crate::domain::{Limits, PicoUsd, Rng, SplitMix64};
use crate::state::{AccountKey, Line, Spent};

/// Requests that the budget is for, were all of them to go to the best and dearest backend.
const PLANNED: u64 = 1_000;

/// Seconds.
const HOUR: u64 = 3_600;
const MIDNIGHT: u64 = 20_000 * 24 * HOUR;

/// How the requests of a day are spread over its hours: a quiet night, a peak before noon and one in the evening.
const EVENING: [u64; 24] = [2, 1, 1, 1, 1, 2, 4, 8, 12, 15, 14, 12, 10, 11, 12, 12, 10, 9, 11, 13, 11, 8, 5, 3];

const BACKENDS: [(&str, f64, f64); 3] = [("best", 10.0, 0.95), ("good", 3.0, 0.85), ("plain", 1.0, 0.7)];

#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Requests, in per cent of what was planned.
    load: u64,
    on_exhausted: &'static str,
    pacing: bool,
    shape: [u64; 24],
}

/// What became of a day.
#[derive(Debug, Default)]
struct Day {
    requests: u64,
    refused: u64,
    /// The hour.
    first_refusal: Option<u64>,
    by: [u64; 3],
    /// Per mille of the budget.
    spent: u64,
}

/// Prompt and answer of a request, in tokens: most are short, some are long.
fn lengths(rng: &mut SplitMix64) -> (u64, u64) {
    let mut length = |mean: f64| 1 + (-mean * (1.0 - rng.ratio()).ln()) as u64;
    (length(300.0), length(150.0).min(600))
}

impl Plan {
    fn live(&self) -> Day {
        // A token of the best costs ten micro-dollars; the answers' mean is less for being cut.
        let budget = PLANNED as f64 * 440.0 * 0.01 / 1_000.0;
        let backends = BACKENDS.map(|(id, price, quality)| {
            (id.to_owned(), json!({ "cost_per_1k_tokens": price / 1_000.0, "quality_score": quality }))
        });
        let mut rig = Rig::new(&json!({
            "strategy": "quality_based", "retry": { "max_attempts": 1 },
            "backend_instances": Value::Object(backends.into_iter().collect()),
            "cost": { "daily_budget_usd": budget, "pacing": self.pacing, "on_exhausted": self.on_exhausted },
        }));
        let (mut day, mut rng) = (Day::default(), SplitMix64::new(7));
        let (whole, mut past): (u64, u64) = (self.shape.iter().sum(), 0);
        for (hour, part) in (0..).zip(self.shape) {
            past += part;
            let requests = PLANNED * self.load / 100 * past / whole - day.requests;
            for n in 0..requests {
                rig.world.set_seconds(MIDNIGHT + hour * HOUR + n * HOUR / requests);
                day.ask(&mut rig, hour, lengths(&mut rng));
            }
        }
        day.spent = stands(&rig, AccountKey::ALL).0 * 1_000 / (budget * 1e6) as u64;
        day
    }
}

impl Day {
    fn ask(&mut self, rig: &mut Rig, hour: u64, (prompt, answer): (u64, u64)) {
        self.requests += 1;
        let text = "word ".repeat(prompt as usize);
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }], "max_tokens": 600 });
        let mut exchange = Exchange::default();
        if rig.send(&mut exchange, &[], &body.to_string()) != Flow::Continue {
            self.refused += 1;
            self.first_refusal.get_or_insert(hour);
            return;
        }
        let cluster = rig.header("x-llm-cluster");
        let place = BACKENDS.iter().position(|(id, ..)| cluster.as_deref() == Some(id)).expect("one of them");
        self.by[place] += 1;
        let usage = json!({ "choices": [], "usage": { "prompt_tokens": prompt, "completion_tokens": answer } });
        rig.answer(&mut exchange, 200, 1, Some(&usage.to_string()), 0);
    }

    fn write(&self, what: &str, table: &mut String) {
        let of = |part: u64| part as f64 * 100.0 / self.requests as f64;
        let from = self.first_refusal.map_or_else(String::new, |hour| format!("{hour}:00"));
        let ([best, good, plain], quality) = (self.by.map(of), self.quality());
        let (refused, spent) = (of(self.refused), self.spent as f64 / 10.0);
        let figures =
            format!("{refused:.1} % | {from} | {spent:.1} % | {quality:.3} | {best:.0} / {good:.0} / {plain:.0}");
        writeln!(table, "| {what} | {figures} |").expect("written");
    }

    /// Of those that were answered.
    fn quality(&self) -> f64 {
        let sum: f64 = self.by.iter().zip(BACKENDS).map(|(&by, (.., quality))| by as f64 * quality).sum();
        sum / (self.requests - self.refused) as f64
    }
}

/// How a day goes by load, by what becomes of requests that there is no money for, and with and without pacing.
#[test]
fn a_busy_day_ends_within_its_budget_on_cheaper_backends_rather_than_in_refusals() {
    let mut table = String::from(
        "| requests | `on_exhausted` | pacing | refused | from | spent | quality | best / good / plain |\n",
    );
    table.push_str("| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for load in [80, 100, 150, 300] {
        for on_exhausted in ["refuse", "cheapest"] {
            let [unpaced, paced] = [false, true].map(|pacing| {
                let day = Plan { load, on_exhausted, pacing, shape: EVENING }.live();
                day.write(&format!("{load} % | `{on_exhausted}` | {}", if pacing { "on" } else { "off" }), &mut table);
                day
            });
            let most = if on_exhausted == "refuse" { 1_000 } else { 1_200 };
            assert!(paced.spent <= 1_000 && unpaced.spent <= most, "{load} %: {paced:?}, {unpaced:?}");
            assert_eq!(paced.refused, 0, "{load} %: {paced:?}");
            if load <= 100 {
                assert_eq!(unpaced.by[0], unpaced.requests, "{unpaced:?}");
                assert!(paced.by[0] * 100 >= paced.requests * 95, "{load} %: {paced:?}");
                assert!(load < 100 || paced.spent >= 940, "{load} %: {paced:?}");
                continue;
            }
            assert!(paced.spent >= 970 && unpaced.spent >= 990, "{load} %: {paced:?}, {unpaced:?}");
            if on_exhausted == "refuse" {
                assert!(unpaced.refused * 4 > unpaced.requests && unpaced.first_refusal < Some(18), "{unpaced:?}");
                let worth = |day: &Day| day.quality() * (day.requests - day.refused) as f64;
                assert!(worth(&paced) > 1.2 * worth(&unpaced), "{load} %");
            } else {
                // Who spends no more has no worse answers.
                assert!(
                    paced.quality() >= unpaced.quality() && unpaced.spent > 1_020,
                    "{load} %: {paced:?}, {unpaced:?}"
                );
            }
        }
    }
    println!("\n{table}");
}

/// Of a thousand requests, those that go to `fast`, `local` and `small` after that part of the money went in the first
/// minutes of a day, while `local` has one under way.
fn after_a_rush(spent: f64, local: &Value, headers: &[(&str, &str)]) -> [u64; 3] {
    let mut rig = Rig::new(&json!({
        "strategy": "round_robin", "retry": { "max_attempts": 1 }, "client_hints": ["min_quality"],
        "backend_instances": {
            "fast": { "cost_per_1k_tokens": 0.0025 }, "local": local, "small": { "cost_per_1k_tokens": 0.0004 },
        },
        "cost": { "daily_budget_usd": 1_000 },
    }));
    // As many turns as it takes for `local` to have its one.
    let mut held = [Exchange::default(), Exchange::default()];
    held.iter_mut().for_each(|exchange| _ = rig.send(exchange, &[], CHAT));
    let (now, cost) = (rig.world.now(), PicoUsd((spent * 1e15) as u64));
    let lines = [Line { account: AccountKey::ALL, limits: Limits::default(), claim: Claim::default(), paces: false }];
    let reservation = rig.view.reserve(&rig.world, &lines, now).expect("stored").expect("enough");
    rig.view.settle(&rig.world, &reservation, Spent { cost, ..Spent::default() }, now).expect("stored");
    let mut by = [0; 3];
    for _ in 0..1_000 {
        let mut exchange = Exchange::default();
        assert_eq!(rig.send(&mut exchange, headers, CHAT), Flow::Continue);
        let cluster = rig.header("x-llm-cluster");
        let place = ["fast", "local", "small"].iter().position(|id| cluster.as_deref() == Some(id));
        by[place.expect("one of them")] += 1;
        rig.answer(&mut exchange, 404, 1, None, 0);
    }
    by
}

#[test]
fn traffic_shifts_among_those_of_a_tier_that_may_really_serve_it() {
    let good = [("x-llm-min-quality", "0.5")];
    for (local, headers) in [
        (json!({ "priority": 2 }), &[][..]),
        (json!({ "quality_score": 0.1 }), &good[..]),
        (json!({ "max_concurrent_requests": 1 }), &[]),
    ] {
        // 6 % of the money in 1 % of the time: thrift is 1, and the one costs six times as much as the other.
        let [fast, free, small] = after_a_rush(0.06, &local, headers);
        assert!(free == 0 && (90..=180).contains(&fast), "{local}: {fast} {small}");
    }
    let [fast, free, small] = after_a_rush(0.03, &json!({}), &[]);
    assert!(fast > 0 && fast * 10 < small * 7 && small * 4 < free, "{fast} {free} {small}");
}
