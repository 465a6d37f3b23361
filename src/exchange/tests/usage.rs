//! What is paid for an answer, by the usage that its provider reports in its own dialect, or by half of one.

use serde_json::{Value, json};

use super::budget::all;
use super::*;
use crate::state::AccountKey;

/// A dollar for a thousand tokens: a token is a thousand micro-dollars.
fn priced() -> Rig {
    Rig::new(&json!({
        "backend_instances": { "a": { "cost_per_1k_tokens": 1 } },
        "cost": { "daily_budget_usd": 1000 },
    }))
}

const ASKED: &str = r#"{"model":"m","messages":[{"role":"user","content":"How are you?"}]}"#;

impl Rig {
    /// What an answer costs that is asked for on that path, in thousandths of a dollar, and how many were estimated.
    fn pays(&mut self, path: &str, kind: &str, body: &str) -> (u64, u64) {
        let (before, estimated) = (all(self).0, self.metric("usage_estimated_total"));
        let mut exchange = Exchange::default();
        assert_eq!(self.send(&mut exchange, &[(":path", path)], ASKED), Flow::Continue);
        self.world.set_number(Property::AttemptCount, 1);
        self.world.set_number(Property::ResponseFlags, 0);
        self.world.response.replace(fake::headers(&[(":status", "200"), ("content-type", kind)]));
        let mut cx = Context { router: &mut self.router, view: &mut self.view, host: &self.world };
        exchange.response_headers(&mut cx, false);
        self.world.chunk.replace(body.into());
        exchange.response_body(&mut cx, body.len(), true);
        exchange.log(&mut cx);
        ((all(self).0 - before) / 1_000, self.metric("usage_estimated_total") - estimated)
    }

    fn pays_for_chat(&mut self, usage: &Value, text: &str) -> (u64, u64) {
        let chunk =
            |choices: Value, usage: &Value| format!("data: {}\n\n", json!({"choices": choices, "usage": usage}));
        let body = format!(
            "{}{}{}data: [DONE]\n\n",
            chunk(json!([{"delta": {"content": text}}]), &Value::Null),
            chunk(json!([{"delta": {}, "finish_reason": "stop"}]), &Value::Null),
            chunk(json!([]), usage),
        );
        self.pays("/v1/chat/completions", "text/event-stream", &body)
    }
}

/// The prompt of [`ASKED`], as estimated before anything is learned.
fn estimated_prompt() -> u64 {
    let (cost, estimated) = priced().pays_for_chat(&Value::Null, "Fine, and you?!");
    assert_eq!(estimated, 1);
    cost - 4
}

#[test]
fn twelve_dollars_buy_forty_four_cached_answers_of_a_gateway_that_says_its_cache_twice() {
    let litellm = json!({"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}], "usage": {
        "prompt_tokens": 1020, "completion_tokens": 100, "total_tokens": 1120,
        "prompt_tokens_details": {"cached_tokens": 1000, "text_tokens": 20},
        "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0}});
    // 20 · 0.8 + 1000 · 0.08 + 100 · 1.74 = 270 thousandths of a dollar.
    let mut rig = Rig::new(&json!({
        "backend_instances": { "a": { "input_cost_per_1k_tokens": 0.8, "cached_input_cost_per_1k_tokens": 0.08,
            "output_cost_per_1k_tokens": 1.74 } },
        "cost": { "daily_budget_usd": 12, "pacing": false },
    }));
    let briefly = ASKED.replace(r#""model":"m""#, r#""model":"m","max_tokens":100"#);
    let mut served = 0;
    loop {
        let mut exchange = Exchange::default();
        match rig.send(&mut exchange, &[], &briefly) {
            Flow::Continue => rig.answer(&mut exchange, 200, 1, Some(&litellm.to_string()), 0),
            Flow::Refuse(refusal) => break assert_eq!(refusal.code, RefusalCode::BudgetExceeded),
            other => panic!("{other:?}"),
        }
        served += 1;
        assert_eq!(all(&rig), (served * 270_000, 0));
        assert!(served < 100);
    }
    assert_eq!(served, 44);
    assert_eq!(budget::stands(&rig, AccountKey::of_backend("a")).0, 11_880_000);
    assert_eq!(rig.metric("usage_estimated_total"), 0);
}

#[test]
fn half_a_usage_is_paid_for_and_the_other_half_as_estimated() {
    // Sixty bytes: fifteen tokens.
    let text = "x".repeat(60);
    let prompt = estimated_prompt();
    for (usage, expected) in [
        (json!({"prompt_tokens": 1000, "completion_tokens": 100}), (1100, 0)),
        // No prompt: as estimated.
        (json!({"prompt_tokens": 0, "completion_tokens": 100}), (prompt + 100, 1)),
        (json!({"completion_tokens": 100, "total_tokens": 100}), (prompt + 100, 1)),
        (json!({"output_tokens": "100", "input_tokens": null}), (prompt + 100, 1)),
        // No answer: as seen.
        (json!({"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000}), (1015, 1)),
        (json!({"prompt_tokens": 1000}), (1015, 1)),
        (json!({"input_tokens": 1000, "output_tokens": "n/a"}), (1015, 1)),
        // The total knows the other half.
        (json!({"prompt_tokens": 1000, "total_tokens": 1100}), (1100, 0)),
        (json!({"completion_tokens": 100, "total_tokens": 1100}), (1100, 0)),
        // Or how many there are of both.
        (json!({"total_tokens": 1100}), (1100, 1)),
        // Nothing that can be.
        (json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}), (prompt + 15, 1)),
    ] {
        assert_eq!(priced().pays_for_chat(&usage, &text), expected, "{usage}");
    }
}

#[test]
fn an_answer_with_nothing_in_it_and_embeddings_have_no_output_to_estimate() {
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000});
    assert_eq!(priced().pays_for_chat(&usage, ""), (1000, 0));
    for usage in [
        json!({"prompt_tokens": 1000, "total_tokens": 1000}),
        json!({"total_tokens": 1000}),
        json!({"prompt_tokens": 1000, "completion_tokens": 0}),
    ] {
        let body = json!({"data": [{"embedding": vec![0.5; 200]}], "usage": usage}).to_string();
        assert_eq!(priced().pays("/v1/embeddings", "application/json", &body), (1000, 0), "{usage}");
    }
}

#[test]
fn what_is_no_prompt_costs_the_half_that_is_reported_and_what_is_free_costs_nothing() {
    let images = json!({"data": [{"b64_json": "A".repeat(4_000)}], "usage": {"input_tokens": 50}}).to_string();
    assert_eq!(priced().pays("/v1/images/generations", "application/json", &images), (50, 0));
    let speech = json!({"text": "Good morning.", "usage": {"output_tokens": 7}}).to_string();
    assert_eq!(priced().pays("/v1/audio/transcriptions", "application/json", &speech), (7, 0));
    let free = json!({"results": [], "usage": {"prompt_tokens": 50}}).to_string();
    assert_eq!(priced().pays("/v1/moderations", "application/json", &free), (0, 0));
}

#[test]
fn half_a_usage_teaches_only_what_it_says() {
    let text = "x".repeat(60);
    let mut rig = priced();
    for _ in 0..50 {
        rig.pays_for_chat(&json!({"prompt_tokens": 0, "completion_tokens": 300}), &text);
    }
    // The prompt counts as much as at first, and answers are long.
    let (cost, _) = rig.pays_for_chat(&json!({"completion_tokens": 100}), &text);
    assert_eq!(cost, estimated_prompt() + 100);
    assert!(rig.record("a").lengths.median() > 250);
    let mut rig = priced();
    for _ in 0..50 {
        rig.pays_for_chat(&json!({"prompt_tokens": 40, "completion_tokens": 0}), &text);
    }
    // Answers are as long as was seen; prompts as long as was said, thrice what was estimated.
    assert!((10..40).contains(&rig.record("a").lengths.median()), "{}", rig.record("a").lengths.median());
    let (cost, _) = rig.pays_for_chat(&json!({"completion_tokens": 100}), &text);
    assert!((130..=145).contains(&cost), "{cost}");
}
