//! How providers count, and how well money is spent, as exchanges tell.

use super::*;
use crate::cost::Purchase;
use crate::domain::PicoUsd;
use crate::state::{Audited, audited, purchases};

/// A prompt of 400 words, on a path.
fn question(path: &str) -> (Vec<(&str, &str)>, String) {
    let text = "hello ".repeat(400);
    let body = serde_json::json!({"model": "m-1", "messages": [{"role": "user", "content": text}], "max_tokens": 50});
    (vec![(":path", path), (":method", "POST"), ("content-type", "application/json")], body.to_string())
}

impl Rig {
    /// As many answers that end like this.
    fn answers(&mut self, path: &str, number: usize, answer: &str) -> Vec<Audited> {
        let (headers, body) = question(path);
        for _ in 0..number {
            let mut exchange = Exchange::default();
            self.world.request.replace(fake::headers(&headers));
            self.world.request_body.replace(body.clone().into());
            let mut cx = Context { router: &mut self.router, view: &mut self.view, host: &self.world };
            exchange.request_headers(&mut cx, false);
            exchange.request_body(&mut cx, body.len(), true);
            self.answer(&mut exchange, 200, 1, Some(answer), 0);
            self.write();
        }
        audited(&self.world, "a")
    }

    fn write(&mut self) {
        self.world.pass_millis(250);
        self.view.write_audit(&self.world, self.world.now()).expect("written");
    }
}

#[test]
fn cached_tokens_that_are_suddenly_counted_twice_are_a_jump() {
    let openai = |prompt: u64, cached: u64| {
        format!(
            r#"{{"choices":[],"usage":{{"prompt_tokens":{prompt},"completion_tokens":3,
                "prompt_tokens_details":{{"cached_tokens":{cached}}}}}}}"#
        )
    };
    let anthropic = |prompt: u64, cached: u64| {
        format!(
            r#"{{"type":"message","content":[],"usage":{{"input_tokens":{prompt},"cache_read_input_tokens":{cached},
                "output_tokens":3}}}}"#
        )
    };
    // Inside the prompt's tokens, and beside them: rightly, and then twice.
    for (path, right, twice) in [
        ("/v1/chat/completions", openai(420, 256), openai(420 + 256, 256)),
        ("/v1/messages", anthropic(164, 256), anthropic(420, 256)),
    ] {
        let mut rig = Rig::new(&serde_json::json!({"backend_instances": {"a": {"apis": ["openai", "anthropic"]}}}));
        // Whether they come from a cache changes nothing.
        rig.answers(path, 100, &right);
        let none_cached = if path == "/v1/messages" { anthropic(420, 0) } else { openai(420, 0) };
        let audit = rig.answers(path, 100, &none_cached);
        let now = rig.world.now();
        assert_eq!((audit.len(), &*audit[0].model, audit[0].drift.jumped_at(now)), (1, "m-1", None));
        let usual = audit[0].drift.usual().expect("known");
        let audit = rig.answers(path, 50, &twice);
        assert!(audit[0].drift.jumped_at(rig.world.now()).is_some(), "{path}");
        assert_eq!(audit[0].drift.recent() / 1_000, usual * 169 / 105 / 1_000, "{path}");
    }
}

/// An answer that took so many tokens of input.
fn took(tokens: u64) -> String {
    format!(
        r#"{{"choices":[{{"message":{{"content":"Fine."}}}}],"usage":{{"prompt_tokens":{tokens},"completion_tokens":3}}}}"#
    )
}

#[test]
fn answers_to_prompts_that_are_not_in_the_body_teach_neither_calibration_nor_the_audit() {
    let mut rig = Rig::new(&serde_json::json!({"backend_instances": {"a": {"apis": ["openai", "anthropic"]}}}));
    let text = "hello ".repeat(100);
    let mut ask = |path: &str, extra: &str, tokens: u64| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}],"input":[]{extra}}}"#);
        let mut exchange = Exchange::default();
        let headers = [(":path", path), (":method", "POST"), ("content-type", "application/json")];
        rig.world.request.replace(fake::headers(&headers));
        rig.world.request_body.replace(body.clone().into());
        exchange.request_headers(&mut rig.cx(), false);
        exchange.request_body(&mut rig.cx(), body.len(), true);
        rig.answer(&mut exchange, 200, 1, Some(&took(tokens)), 0);
        rig.write();
        (rig.record("a").calibration.overall().1, audited(&rig.world, "a").len())
    };
    for (path, extra) in [
        ("/v1/responses", r#","previous_response_id":"resp_1""#),
        ("/v1/responses", r#","prompt":{"id":"pmpt_1"}"#),
        ("/v1/responses", r#","tools":[{"type":"file_search"}]"#),
        ("/v1/chat/completions", r#","web_search_options":{}"#),
        ("/v1/messages", r#","container":"container_1""#),
    ] {
        for _ in 0..20 {
            assert_eq!(ask(path, extra, 10_000), (0, 0), "{path} {extra}");
        }
    }
    let taught = [(); 3].map(|()| ask("/v1/chat/completions", "", 110));
    assert_eq!(taught.last(), Some(&(3, 1)));
}

#[test]
fn two_hundred_prompts_of_one_client_move_the_estimate_of_no_other() {
    for by_tenant in [true, false] {
        let config = if by_tenant { serde_json::json!({"tenant_header": "x-user"}) } else { serde_json::json!({}) };
        let mut rig = Rig::new(&serde_json::json!({"backend_instances": {"a": {}}, "cost": config}));
        let mut ask = |client: &str, tokens: u64| {
            let mut exchange = Exchange::default();
            rig.world.properties.borrow_mut().insert(Property::SourceAddress, format!("{client}:1234").into());
            let body = CHAT.replace("How are you?", &"hello ".repeat(20));
            let headers: &[(&str, &str)] = if by_tenant { &[("x-user", client)] } else { &[] };
            assert_eq!(rig.send(&mut exchange, headers, &body), Flow::Continue);
            rig.answer(&mut exchange, 200, 1, Some(&took(tokens)), 0);
            rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
            rig.world.response_header("x-llm-estimated-tokens").and_then(|tokens| tokens.parse().ok()).unwrap_or(0_u64)
        };
        let first = ask("10.0.0.1", 27);
        for client in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            (0..5).for_each(|_| _ = ask(client, 27));
        }
        let before = ask("10.0.0.1", 27);
        (0..200).for_each(|_| _ = ask("10.6.6.6", 27 * 80));
        let after = ask("10.0.0.2", 27);
        assert!(after.abs_diff(before) <= 1, "{by_tenant}: {first}, {before}, then {after}");
    }
}

#[test]
fn a_prompt_that_was_not_understood_says_nothing_of_how_a_provider_counts() {
    let mut rig = Rig::new(&serde_json::json!({"backend_instances": {"a": {"apis": ["openai", "anthropic"]}}}));
    let garbled = format!("{}\u{7f}", "no JSON, ".repeat(200));
    for _ in 0..9 {
        let mut exchange = Exchange::default();
        assert_eq!(rig.send(&mut exchange, &[], &garbled), Flow::Continue);
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        rig.write();
    }
    assert!(audited(&rig.world, "a").is_empty());
}

#[test]
fn money_is_spent_well_on_answers_that_end_well_whether_anything_is_limited_or_not() {
    for cost in [serde_json::json!({}), serde_json::json!({"daily_budget_usd": 100})] {
        let mut rig = Rig::new(&serde_json::json!({
            "backend_instances": {"a": {"cost_per_1k_tokens": 1}}, "cost": cost,
        }));
        let mut ask = |status, answer: &str, flags| {
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], CHAT);
            rig.answer(&mut exchange, status, 1, Some(answer), flags);
            rig.write();
            rig.write();
            let Purchase { spent, well } = purchases(&rig.world).of(24, rig.world.now());
            (spent.micro_usd(), well.micro_usd())
        };
        assert_eq!(ask(200, ANSWER, 0), (15_000, 15_000));
        assert_eq!(ask(500, "{}", 0), (15_000, 15_000), "nobody bills an error");
        let (spent, well) = ask(200, r#"{"choices":[{"message":{"content":"Fi"#, 1 << 14);
        assert!(spent > 15_000 && well == 15_000, "the client left: {spent}");
        assert_eq!(ask(200, ANSWER, 0), (spent + 15_000, 30_000));
    }
    let mut free = Rig::three();
    free.answers("/v1/chat/completions", 3, ANSWER);
    assert_eq!(purchases(&free.world).of(24, free.world.now()), Purchase { spent: PicoUsd(0), well: PicoUsd(0) });
    assert!(!free.world.written.borrow().iter().any(|key| key.contains("purchases")), "nothing to write");
}
