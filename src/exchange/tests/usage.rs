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
        self.pays_for(ASKED, path, kind, body)
    }

    fn pays_for(&mut self, asked: &str, path: &str, kind: &str, body: &str) -> (u64, u64) {
        let (before, estimated) = (all(self).0, self.metric("usage_estimated_total"));
        let mut exchange = Exchange::default();
        assert_eq!(self.send(&mut exchange, &[(":path", path)], asked), Flow::Continue);
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
        self.pays("/v1/chat/completions", "text/event-stream", &stream(usage, text))
    }
}

/// A streamed answer that ends by a usage.
fn stream(usage: &Value, text: &str) -> String {
    let chunk = |choices: Value, usage: &Value| format!("data: {}\n\n", json!({"choices": choices, "usage": usage}));
    let choice = chunk(json!([{"delta": {"content": text}}]), &Value::Null);
    let end = chunk(json!([{"delta": {}, "finish_reason": "stop"}]), &Value::Null);
    format!("{choice}{end}{}data: [DONE]\n\n", chunk(json!([]), usage))
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
    for message in [json!({"content": ""}), json!({"content": null, "tool_calls": []}), json!({"role": "assistant"})] {
        let body = json!({"choices": [{"message": message, "finish_reason": "length"}], "usage": usage}).to_string();
        assert_eq!(priced().pays("/v1/chat/completions", "application/json", &body), (1000, 0), "{message}");
    }
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
fn the_log_says_of_half_a_usage_that_the_other_half_is_estimated() {
    for (usage, output, expected) in [
        (json!({"prompt_tokens": 1000, "completion_tokens": 100}), 100, "reported"),
        (json!({"prompt_tokens": 1000, "total_tokens": 1100}), 100, "reported"),
        (json!({"prompt_tokens": 1000, "completion_tokens": 0}), 15, "estimated"),
        (json!({"prompt_tokens": 1000}), 15, "estimated"),
    ] {
        let mut rig = Rig::new(&json!({
            "backend_instances": { "a": { "cost_per_1k_tokens": 1 } }, "logging": { "decisions": true },
            "cost": { "daily_budget_usd": 1000 },
        }));
        rig.pays_for_chat(&usage, &"x".repeat(60));
        let line: Value = serde_json::from_str(rig.world.lines().last().expect("a line")).expect("JSON");
        assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&json!(1000), &json!(output)), "{line}");
        assert_eq!((&line["usage"], &line["cost_micro_usd"]), (&json!(expected), &json!((1000 + output) * 1_000)));
    }
}

#[test]
fn half_a_usage_teaches_only_what_it_says() {
    let text = "x".repeat(60);
    let long = ASKED.replace("How are you?", &"How are you? ".repeat(20));
    let learned = |usage: Value| {
        let mut rig = priced();
        for _ in 0..20 {
            rig.pays_for(&long, "/v1/chat/completions", "text/event-stream", &stream(&usage, &text));
        }
        let record = rig.record("a");
        (record.calibration.overall().1, record.lengths.median())
    };
    assert_eq!(learned(json!({"prompt_tokens": 90, "completion_tokens": 400})), (20, 400));
    assert_eq!(learned(json!({"prompt_tokens": 0, "completion_tokens": 400})), (0, 400), "nothing of prompts");
    assert_eq!(learned(json!({"completion_tokens": 400, "total_tokens": 490})), (20, 400), "the rest is the prompt");
    assert_eq!(learned(json!({"prompt_tokens": 90, "completion_tokens": 0})), (20, 15), "what was seen of the answer");
    assert_eq!(learned(json!({"total_tokens": 490})), (0, 15), "the sum of both says nothing of either");
}
