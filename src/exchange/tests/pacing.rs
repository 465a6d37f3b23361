//! Days with more requests than were planned for.

use std::fmt::Write;

use serde_json::{Value, json};

use super::budget::stands;
use super::*;
use crate::cost::Claim;
use crate::domain::{Limits, PicoUsd, Rng, SplitMix64};
use crate::state::{AccountKey, Line, Spent};

/// Requests that the budget is for, were all of them to go to the best and dearest backend.
const PLANNED: u64 = 600;

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
    /// The loads of the days before it.
    before: &'static [u64],
}

/// What became of a day.
#[derive(Debug, Default)]
struct Day {
    requests: u64,
    refused: u64,
    /// The hour.
    first_refusal: Option<u64>,
    by: [u64; 3],
    /// Millionths of the budget.
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
        let mut day = Day::default();
        let whole: u64 = self.shape.iter().sum();
        for (number, load) in self.before.iter().chain([&self.load]).enumerate() {
            // The day itself is the same one whatever came before.
            let (mut past, mut rng) = (0, SplitMix64::new((self.before.len() - number) as u64));
            day = Day::default();
            for (hour, part) in (0..).zip(self.shape) {
                past += part;
                let requests = PLANNED * load / 100 * past / whole - day.requests;
                for n in 0..requests {
                    rig.world.set_seconds(MIDNIGHT + (24 * number as u64 + hour) * HOUR + n * HOUR / requests);
                    day.ask(&mut rig, hour, lengths(&mut rng));
                }
            }
        }
        day.spent = stands(&rig, AccountKey::ALL).0 * 1_000_000 / (budget * 1e6) as u64;
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

    /// Of those that were answered.
    fn quality(&self) -> f64 {
        let sum: f64 = self.by.iter().zip(BACKENDS).map(|(&by, (.., quality))| by as f64 * quality).sum();
        sum / (self.requests - self.refused) as f64
    }
}

/// What the days were like, for people: run the tests with `--nocapture`.
struct Table(String);

impl Table {
    fn new(what: &str) -> Self {
        let columns = format!("| {what} | refused | from | spent | quality | best / good / plain |");
        let line = "| ---: ".repeat(columns.matches('|').count() - 1);
        Self(format!("{columns}\n{line}|\n"))
    }

    fn add(&mut self, what: &str, day: &Day) {
        let of = |part: u64| part as f64 * 100.0 / day.requests as f64;
        let from = day.first_refusal.map_or_else(String::new, |hour| format!("{hour}:00"));
        let ([best, good, plain], quality) = (day.by.map(of), day.quality());
        let (refused, spent) = (of(day.refused), day.spent as f64 / 1e4);
        let figures =
            format!("{refused:.1} % | {from} | {spent:.1} % | {quality:.3} | {best:.0} / {good:.0} / {plain:.0}");
        writeln!(self.0, "| {what} | {figures} |").expect("written");
    }

    fn print(&self) {
        println!("\n{}", self.0);
    }
}

/// How a day goes that comes after one of the planned load.
#[test]
fn a_busy_day_ends_within_its_budget_on_cheaper_backends_rather_than_in_refusals() {
    let mut table = Table::new("requests | `on_exhausted` | pacing");
    for load in [80, 100, 150, 300] {
        for on_exhausted in ["refuse", "cheapest"] {
            let [unpaced, paced] = [("off", false), ("on", true)].map(|(name, pacing)| {
                let day = Plan { load, on_exhausted, pacing, shape: EVENING, before: &[100] }.live();
                table.add(&format!("{load} % | `{on_exhausted}` | {name}"), &day);
                day
            });
            if on_exhausted == "refuse" {
                let first = Plan { load, on_exhausted, pacing: true, shape: EVENING, before: &[] }.live();
                table.add(&format!("{load} % | `refuse` | on, first day"), &first);
                assert!(first.refused == 0 && first.spent <= 1_000_000, "{first:?}");
                assert!(paced.spent <= 1_000_000 && unpaced.spent <= 1_000_000, "{load} %: {paced:?}, {unpaced:?}");
            }
            // At three times the load the last request of the day may find less left than it could cost.
            let most = if load > 150 { 2 } else { 0 };
            assert!(paced.refused <= most, "{load} %: {paced:?}");
            if load <= 100 {
                assert!(unpaced.spent >= if load < 100 { 0 } else { 970_000 }, "{unpaced:?}");
                assert!(paced.by[0] * 100 >= paced.requests * 97 && paced.spent + 20_000 >= unpaced.spent, "{paced:?}");
                continue;
            }
            assert!(paced.spent >= 980_000 && unpaced.spent >= 990_000, "{load} %: {paced:?}, {unpaced:?}");
            if on_exhausted == "refuse" {
                assert!(unpaced.refused * 4 > unpaced.requests && unpaced.first_refusal < Some(18), "{unpaced:?}");
            } else {
                // Spending more than the budget bought no better answers.
                assert!(unpaced.spent > 1_020_000 && paced.quality() > unpaced.quality(), "{paced:?}, {unpaced:?}");
            }
        }
    }
    table.print();
}

/// The worst for those who hold money against time: the budget's day begins with the morning's peak.
#[test]
fn a_day_whose_busy_hours_come_first_loses_nothing_once_that_is_known() {
    let mut shape = EVENING;
    shape.rotate_left(8);
    let mut table = Table::new("requests | pacing | days before");
    for load in [100, 150] {
        let plan = |pacing, before| Plan { load, on_exhausted: "refuse", pacing, shape, before }.live();
        let days = [plan(false, &[]), plan(true, &[]), plan(true, &[100])];
        for (what, day) in ["off | 0", "on | 0", "on | 1"].into_iter().zip(&days) {
            table.add(&format!("{load} % | {what}"), day);
        }
        let [unpaced, first, next] = days;
        assert!((first.refused, next.refused) == (0, 0) && next.spent <= 1_000_000, "{load} %");
        assert!(next.spent + 20_000 >= unpaced.spent && next.quality() > first.quality(), "{first:?}, {next:?}");
    }
    table.print();
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
    for exchange in &mut held {
        rig.send(exchange, &[], CHAT);
    }
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
        rig.answer(&mut exchange, 400, 1, None, 0);
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
