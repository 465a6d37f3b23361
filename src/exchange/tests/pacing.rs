//! Days with more requests than were planned for.

use serde_json::json;

use super::*;
use crate::domain::Span;
use crate::state::AccountKey;

/// Requests that the budget is for, all of them to the better and dearer backend.
const PLANNED: u64 = 1_000;

/// A day in which so many per cent of what was planned come, evenly.
#[derive(Debug, PartialEq)]
struct Day {
    refused: u64,
    by_dear: u64,
    by_cheap: u64,
    /// Per mille of the budget.
    spent: u64,
    /// Hours into the day.
    first_refusal: Option<u64>,
}

fn day(percent: u64, pacing: bool) -> Day {
    let mut rig = Rig::new(&json!({
        "strategy": "quality_based", "retry": { "max_attempts": 1 },
        "backend_instances": {
            "dear": { "cost_per_1k_tokens": 1, "quality_score": 0.95 },
            "cheap": { "cost_per_1k_tokens": 0.1, "quality_score": 0.8 },
        },
        // A request is of 15 tokens.
        "cost": { "daily_budget_usd": PLANNED as f64 * 0.015, "pacing": pacing },
    }));
    let (begin, requests) = (20_000 * 86_400, PLANNED * percent / 100);
    let mut day = Day { refused: 0, by_dear: 0, by_cheap: 0, spent: 0, first_refusal: None };
    for n in 0..requests {
        let second = 86_400 * n / requests;
        rig.world.set_seconds(begin + second);
        let mut exchange = Exchange::default();
        if rig.send(&mut exchange, &[], CHAT) != Flow::Continue {
            day.refused += 1;
            day.first_refusal.get_or_insert(second / 3_600);
            continue;
        }
        match rig.header("x-llm-cluster").as_deref() {
            Some("dear") => day.by_dear += 1,
            _ => day.by_cheap += 1,
        }
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    }
    let account = rig.view.ledger().account(AccountKey::ALL).expect("an account");
    day.spent = account.spending(Span::Day, rig.world.now()).spent().micro_usd() / (PLANNED * 15);
    day
}

#[test]
fn a_busy_day_ends_within_its_budget_on_cheaper_backends_rather_than_in_refusals() {
    for percent in [80, 100, 150, 300] {
        let (paced, unpaced) = (day(percent, true), day(percent, false));
        assert!(paced.spent <= 1_000 && unpaced.spent <= 1_000);
        assert_eq!(paced.refused, 0, "{percent} %: {paced:?}");
        if percent <= 100 {
            assert!(paced.by_cheap * 50 <= paced.by_dear, "{percent} %: {paced:?}");
        } else {
            assert!(unpaced.refused > 0 && unpaced.first_refusal < Some(17), "{percent} %: {unpaced:?}");
            assert!(paced.spent >= 930, "{percent} %: {paced:?}");
        }
    }
}
