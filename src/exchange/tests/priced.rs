//! An answer is priced once: whoever tells what it cost tells the same.

use serde_json::{Value, json};

use super::*;
use crate::domain::{PicoUsd, Span};
use crate::exchange::{Decision, Detail, Upshot};
use crate::json::object;
use crate::state::{AccountKey, Ledger, Store, purchases};

/// Envoy's flag of a client that left.
const LEFT: u64 = 1 << 14;

fn rig() -> Rig {
    let backend = json!({ "input_cost_per_1k_tokens": 0.000_7, "output_cost_per_1k_tokens": 0.003_1,
        "cached_input_cost_per_1k_tokens": 0.000_1, "apis": ["openai", "anthropic", "lightrag"] });
    Rig::new(&json!({
        "strategy": "round_robin", "panic_threshold": 0, "backend_instances": { "a": backend, "b": backend, "free": {} },
        "cost": { "daily_budget_usd": 1000 }, "logging": { "decisions": true, "filter_state": true },
    }))
}

/// The outcome of the last decision, and the last line of the log.
fn last(rig: &Rig) -> (Value, Value) {
    let (pages, _) = rig.view.journals(&rig.world).expect("read");
    let page = pages.last().expect("a decision");
    let decision = Decision::decode(&page.decision).expect("a decision");
    let upshot = Upshot::decode(&page.outcome);
    let shown: Value = serde_json::from_str(&object(|o| decision.show(o, upshot.as_ref(), Detail::All))).expect("JSON");
    let mut lines = rig.world.lines().into_iter().map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    let line = lines.rfind(|line| line["event"] == "decision").expect("a line");
    (shown["outcome"].clone(), line)
}

fn pico(usd: &Value) -> u64 {
    usd.as_f64().map_or(0, |usd| (usd * 1e12).round() as u64)
}

impl Rig {
    /// One exchange. Says what it cost by the budget, the decision, the log and Envoy's access log: nothing of it is
    /// told twice or in two ways.
    fn priced(&mut self, path: &str, answer: &Answer) -> u64 {
        let spent = |rig: &Self| {
            let bytes = rig.world.get(Ledger::KEY).expect("read").unwrap_or_default().0;
            let ledger = Ledger::decode(&bytes).unwrap_or_default();
            ledger.account(AccountKey::ALL).map_or(0, |a| a.spending(Span::Day, rig.world.now()).spent().0)
        };
        let mut exchange = Exchange::default();
        self.world.words.borrow_mut().clear();
        let before = spent(self);
        // The journal has room for a few in each tick.
        self.view.write_journal(&self.world).expect("written");
        if self.send(&mut exchange, &[(":path", path)], CHAT) != Flow::Continue {
            assert_eq!((spent(self), &last(self).0["cost_usd"]), (before, &Value::Null), "a refusal costs nothing");
            return 0;
        }
        self.world.pass_millis(60);
        self.answer(&mut exchange, answer.status, answer.attempts, answer.body.as_deref(), answer.flags);
        self.view.write_journal(&self.world).expect("written");
        let cost = spent(self) - before;
        let (outcome, line) = last(self);
        assert_eq!(pico(&outcome["cost_usd"]), cost, "{answer:?}: {outcome}");
        let micro = line["cost_micro_usd"].as_u64().unwrap_or(0);
        assert_eq!(micro, PicoUsd(cost).micro_usd(), "{answer:?}: {line}");
        let word = self.world.words.borrow().get("llm_cost_micro_usd").cloned();
        assert_eq!(word, line["cost_micro_usd"].as_u64().map(|micro| micro.to_string()));
        for key in ["input_tokens", "output_tokens", "usage"] {
            assert_eq!(outcome[key], line[key], "{answer:?}");
            assert!(cost == 0 || !line[key].is_null(), "{answer:?}: {line}");
        }
        cost
    }
}

/// How a backend answers.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    attempts: u64,
    body: Option<String>,
    flags: u64,
}

fn whole(body: &str) -> Answer {
    Answer { status: 200, attempts: 1, body: Some(body.to_owned()), flags: 0 }
}

const USAGE: &str =
    r#""usage":{"prompt_tokens":120,"completion_tokens":31,"prompt_tokens_details":{"cached_tokens":64}}"#;

fn bodies() -> Vec<(&'static str, String)> {
    const CHAT: &str = "/v1/chat/completions";
    let text = "What there is to say of it. ".repeat(20);
    let piece = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let call = format!(
        r#"{{"choices":[{{"message":{{"tool_calls":[{{"function":{{"name":"f","arguments":"{text}"}}}}]}}}}]}}"#
    );
    vec![
        (CHAT, format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],{USAGE}}}"#)),
        (CHAT, format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}]}}"#)),
        (CHAT, call),
        (CHAT, format!("{piece}data: {{\"choices\":[],{USAGE}}}\n\ndata: [DONE]\n\n")),
        (CHAT, format!("{}data: [DONE]\n\n", piece.repeat(3))),
        (CHAT, format!("{piece}data: {{\"error\":{{\"message\":\"no\"}}}}\n\n")),
        (CHAT, r#"{"error":{"message":"no"}}"#.to_owned()),
        (CHAT, format!(r#"{{"error":{{"message":"no"}},{USAGE}}}"#)),
        (CHAT, "{}".to_owned()),
        (CHAT, "<html>".to_owned()),
        ("/query", format!(r#"{{"response":"{text}","references":[{{"content":["{text}"]}}]}}"#)),
        ("/query/stream", format!("{{\"references\":[]}}\n{{\"response\":\"{text}\"}}\n")),
        (
            "/v1/messages",
            format!(
                "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{{\"input_tokens\":40,\"output_tokens\":1}}}}}}\n\ndata: {{\"type\":\"content_block_delta\",\"delta\":{{\"text\":\"{text}\"}}}}\n\n"
            ),
        ),
        ("/v1/files", format!("{{{USAGE}}}")),
        ("/v1/files", "{}".to_owned()),
    ]
}

#[test]
fn an_estimated_answer_costs_the_same_in_the_log_and_in_the_metric() {
    let mut rig = rig();
    let (path, body) = &bodies()[1];
    let cost = rig.priced(path, &whole(body));
    assert!(cost > 0);
    let (outcome, line) = last(&rig);
    assert_eq!((&outcome["usage"], &line["usage"]), (&json!("estimated"), &json!("estimated")));
    assert_eq!((rig.metric("usage_estimated_total"), rig.metric("request_cost")), (1, cost / 1_000_000));
    // The next one, at the other backend, reports.
    let (path, body) = &bodies()[0];
    rig.priced(path, &whole(body));
    assert_eq!(last(&rig).1["usage"], "reported");
}

#[test]
fn what_lightrag_answers_costs_the_same_whole_streamed_and_with_its_chunks() {
    let answer = "A sentence of the answer, with a \\\"quote\\\" in it.\\n".repeat(120);
    let chunks = vec![json!("What the documents say of it, at length. ".repeat(50)); 100];
    let references = json!([{ "reference_id": "1", "file_path": "/a.md", "content": chunks }]);
    let cost = |path: &str, body: &str| {
        let mut rig = rig();
        rig.priced(path, &whole(body))
    };
    let plain = cost("/query", &format!(r#"{{"response":"{answer}","references":null}}"#));
    let contents = cost("/query", &format!(r#"{{"response":"{answer}","references":{references}}}"#));
    let line = format!("{{\"response\":\"{}\"}}\n", &answer[..answer.len() / 120]);
    let streamed = cost("/query/stream", &format!("{{\"references\":{references}}}\n{}", line.repeat(120)));
    // 120 times 46 bytes of text, four a token, at 3.1 millionths; and a prompt that is not read.
    assert!((4_278_000_000..4_500_000_000).contains(&plain), "{plain}");
    assert_eq!((contents, streamed), (plain, plain));
}

#[test]
fn arguments_of_a_call_cost_what_their_text_costs() {
    let arguments = "0123456789abcdef".repeat(256);
    let mut costs = Vec::new();
    for body in [
        format!(r#"{{"choices":[{{"message":{{"content":"{arguments}"}}}}]}}"#),
        format!(
            r#"{{"choices":[{{"message":{{"tool_calls":[{{"id":"c","type":"function","function":{{"name":"","arguments":"{arguments}"}}}}]}}}}]}}"#
        ),
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":\"{arguments}\"}}}}]}}}}]}}\n\ndata: [DONE]\n\n"
        ),
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"function_call\":{{\"arguments\":\"{arguments}\"}}}}}}]}}\n\ndata: [DONE]\n\n"
        ),
    ] {
        let mut rig = rig();
        costs.push(rig.priced("/v1/chat/completions", &whole(&body)));
    }
    assert!(costs[0] > 1_024 * 3_100_000 && costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}

proptest! {
    #[test]
    fn metric_budget_log_and_decisions_agree_however_exchanges_end(
        ends in prop::collection::vec((0..8_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..4_u64), 1..25)
    ) {
        let (mut rig, bodies) = (rig(), bodies());
        let mut all = 0;
        for (end, which, cut, attempts) in ends {
            let (path, body) = &bodies[which.index(bodies.len())];
            let answer = match end {
                0..3 => Answer { attempts, ..whole(body) },
                // Left, or broken off, somewhere; before the answer; with an error; refused; never sent.
                3 => Answer { attempts, flags: LEFT, ..whole(&String::from_utf8_lossy(&body.as_bytes()[..cut.index(body.len())])) },
                4 => Answer { status: 0, attempts, body: None, flags: LEFT },
                5 => Answer { status: 500, attempts, ..whole(body) },
                6 => Answer { status: 429, attempts, ..whole(body) },
                _ => Answer { status: 503, attempts: 0, body: None, flags: 1 << 1 },
            };
            all += rig.priced(path, &answer);
            rig.world.pass_seconds(1);
        }
        // Each backend keeps less than a millionth for its next answer.
        let counted = rig.metric("request_cost");
        prop_assert!((counted..counted + 2).contains(&(all / 1_000_000)), "{} {}", counted, all);
        for _ in 0..2 {
            rig.world.pass_seconds(1);
            rig.view.write_audit(&rig.world, rig.world.now()).expect("written");
        }
        let date = rig.view.calendar().date(rig.world.now());
        prop_assert_eq!(purchases(&rig.world).of(24, date).spent.0, all);
    }
}
