//! What one client may take of what all share: of a budget, of the queue, of the journal.

use serde_json::{Value, json};

use super::budget::{all, begin, goes_to, rig, stands};
use super::*;
use crate::state::AccountKey;

/// Prices of a small model, in USD for a thousand tokens.
fn priced(cost: &Value) -> Rig {
    let prices = json!({ "input_cost_per_1k_tokens": 0.001, "output_cost_per_1k_tokens": 0.0105 });
    rig(cost, &json!({ "a": prices }))
}

fn asking(more: &Value) -> String {
    let mut body: Value = serde_json::from_str(CHAT).expect("JSON");
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body.to_string()
}

/// Requests that are under way until the rig is gone.
fn hold(rig: &mut Rig, bodies: impl Iterator<Item = Value>) -> usize {
    bodies.filter(|body| rig.send(&mut Exchange::default(), &[], &asking(body)) == Flow::Continue).count()
}

fn others(rig: &mut Rig, times: usize) -> usize {
    (0..times).filter(|_| goes_to(rig, &[]) == "a").count()
}

const WISHES: [u64; 14] = [900_000, 40_000, 8_000, 3_000, 1_000, 400, 200, 100, 60, 30, 10, 5, 5, 5];

#[test]
fn what_requests_wish_for_keeps_no_budget_from_others() {
    let wishes = || WISHES.map(|most| json!({ "max_tokens": most })).into_iter();
    let many = || std::iter::repeat_n(json!({ "max_tokens": 9_000 }), 200);
    let answers = || std::iter::repeat_n(json!({ "max_tokens": 7_000, "n": 128 }), 3);
    let unsaid = || std::iter::repeat_n(json!({ "max_tokens": null }), 1_000);
    for learned in [0, 20] {
        for (what, bodies) in [
            ("wishes", &mut wishes() as &mut dyn Iterator<Item = Value>),
            ("many", &mut many()),
            ("answers", &mut answers()),
            ("unsaid", &mut unsaid()),
        ] {
            let mut rig = priced(&json!({ "hourly_budget_usd": 10, "pacing": false }));
            assert_eq!(others(&mut rig, learned), learned);
            hold(&mut rig, bodies);
            assert_eq!(others(&mut rig, 12), 12, "{what}, after {learned} answers: {:?} is spent, reserved", all(&rig));
        }
    }
}

#[test]
fn a_budget_of_a_backend_or_a_tenant_is_kept_from_nobody_either() {
    let cost = json!({
        "pacing": false, "tenant_header": "x-user", "tenants": { "ann": { "daily_budget_usd": 10 } },
    });
    let prices = json!({
        "input_cost_per_1k_tokens": 0.001, "output_cost_per_1k_tokens": 0.0105, "daily_budget_usd": 10,
    });
    for key in [AccountKey::of_backend("a"), AccountKey::of_tenant("ann")] {
        let mut rig = rig(&cost, &json!({ "a": prices }));
        let ann = [("x-user", "ann")];
        let body = asking(&json!({ "max_tokens": 900_000 }));
        for _ in 0..3 {
            rig.send(&mut Exchange::default(), &ann, &body);
        }
        let (_, reserved) = stands(&rig, key);
        assert!((2_400_000..=2_600_000).contains(&reserved), "a quarter of what is left: {reserved}");
        assert_eq!((0..10).filter(|_| goes_to(&mut rig, &ann) == "a").count(), 10);
    }
}

#[test]
fn what_is_expected_is_reserved_in_full_however_much_is_reserved_already() {
    let mut rig = rig(&json!({ "daily_budget_usd": 1 }), &json!({ "a": { "cost_per_1k_tokens": 1 } }));
    // Half of them wish for more than is expected, which is 300 tokens; the others for 50.
    let mut admitted = 0;
    for most in [5_000, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50] {
        let before = all(&rig).1;
        let flow = rig.send(&mut Exchange::default(), &[], &asking(&json!({ "max_tokens": most })));
        if flow == Flow::Continue {
            admitted += 1;
            assert!(all(&rig).1 - before >= 60_000, "{}", all(&rig).1 - before);
        }
        assert!(all(&rig).1 <= 1_000_000);
    }
    assert!((14..=15).contains(&admitted), "{admitted}");
}

#[test]
fn a_request_that_costs_more_than_was_reserved_is_paid_in_full() {
    let mut rig = priced(&json!({ "hourly_budget_usd": 10, "pacing": false }));
    others(&mut rig, 20);
    let spent = all(&rig).0;
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], &asking(&json!({ "max_tokens": 200_000 })));
    assert!(all(&rig).1 < 10_000, "{:?}", all(&rig));
    let answer = ANSWER.replace(r#""completion_tokens":3"#, r#""completion_tokens":200000"#);
    rig.answer(&mut exchange, 200, 1, Some(&answer), 0);
    assert_eq!(all(&rig), (spent + 12 + 2_100_000, 0));
    // And the next one finds that much less.
    for _ in 0..4 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], &asking(&json!({ "max_tokens": 200_000 })));
        rig.answer(&mut exchange, 200, 1, Some(&answer), 0);
    }
    assert_eq!(begin(&mut rig, &[]).expect_err("refused").code.name(), "budget_exceeded");
}
