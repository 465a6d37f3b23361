//! What is told of decisions: in the journal, in the answer, in the logs.

use serde_json::{Value, json};

use super::*;
use crate::config::Strategy;
use crate::domain::{BackendIndex, Timestamp};
use crate::exchange::{Decision, Detail, Fate, Upshot};
use crate::json::object;

/// What must be told nobody.
const SECRET: &str = "hunter2";

fn config(more: &Value) -> Value {
    let mut config = json!({ "strategy": "cost_optimized", "client_hints": ["explain", "min_quality"],
        "backend_instances": {
            "a": { "cost_per_1k_tokens": 0.01, "quality_score": 0.9 },
            "b": { "cost_per_1k_tokens": 0.02, "quality_score": 0.8 },
        } });
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    config
}

/// The journal as the control API shows it, and how many are not in it.
fn journal(rig: &Rig) -> (Vec<Value>, u64) {
    let (pages, skipped) = rig.view.journals(&rig.world).expect("read");
    let shown = pages.iter().map(|page| {
        let decision = Decision::decode(&page.decision).expect("a decision");
        let upshot = Upshot::decode(&page.outcome);
        serde_json::from_str(&object(|o| decision.show(o, upshot.as_ref(), Detail::All))).expect("JSON")
    });
    (shown.collect(), skipped)
}

fn explanation(rig: &Rig) -> Option<Value> {
    rig.world.response_header("x-llm-explain").map(|line| serde_json::from_str(&line).expect("JSON"))
}

#[test]
fn the_journal_has_why_and_then_what_became_of_it() {
    let mut rig = Rig::new(&config(&json!({})));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[("x-request-id", "0-1-2")], CHAT);
    let (before, _) = journal(&rig);
    let [decision] = &before[..] else { panic!("{before:?}") };
    assert_eq!((&decision["request_id"], &decision["backend"]), (&json!("0-1-2"), &json!("a")));
    assert_eq!((&decision["attempts"], &decision["outcome"]), (&json!(["a", "b", "b"]), &Value::Null));
    assert_eq!((&decision["strategy"], &decision["ranked_by"]), (&json!("cost_optimized"), &json!("lowest_score")));
    assert_eq!((&decision["api"], &decision["panic"]), (&json!("chat_completions"), &json!(false)));
    let a = &decision["backends"][0];
    assert_eq!(
        (&a["id"], &a["eligible"], &a["place"], &a["in_flight"]["requests"]),
        (&json!("a"), &json!(true), &json!(1), &json!(0))
    );
    assert_eq!(decision["estimated_input_tokens"], a["estimate"]["input_tokens"]);
    let terms = &a["score_terms"];
    let term = |name: &str| terms[name].as_f64().unwrap_or_else(|| panic!("{name} in {terms}"));
    let score = term("cost_usd") / (term("quality") * term("health") * term("performance"));
    assert!((score / a["score"].as_f64().expect("a score") - 1.0).abs() < 1e-5, "{a}");
    assert!((term("cost_usd") * 1e6 - a["estimate"]["cost_micro_usd"].as_f64().expect("a cost")).abs() <= 0.5);

    rig.world.pass_millis(1_500);
    rig.answer(&mut exchange, 200, 2, Some(ANSWER), 0);
    let (after, skipped) = journal(&rig);
    assert_eq!((after[0]["decision_id"].clone(), skipped), (decision["decision_id"].clone(), 0));
    assert_eq!(
        after[0]["outcome"],
        json!({ "status": 200, "response_time_ms": 1_500, "attempts_made": 2,
        "answered_by": "b", "ending": "success", "input_tokens": 12, "output_tokens": 3, "cost_usd": 0.000_3,
        "usage": "reported" })
    );
}

#[test]
fn most_decisions_are_only_counted() {
    let mut rig = Rig::three();
    for _ in 0..3 {
        for _ in 0..100 {
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], CHAT);
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        }
        rig.view.write_journal(&rig.world).expect("written");
    }
    let (told, skipped) = journal(&rig);
    assert_eq!((told.len(), skipped), (12, 288));
    assert!(told.iter().all(|decision| decision["outcome"]["status"] == 200));
}

#[test]
fn who_asks_why_is_told_where_that_is_allowed() {
    let mut rig = Rig::new(&config(&json!({ "response_headers": false })));
    for (value, is_told) in [("1", true), ("true", true), ("0", false), ("false", false), ("", false)] {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[("x-llm-explain", value)], CHAT);
        assert_eq!(rig.header("x-llm-explain"), None, "the backend is not asked why");
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        assert_eq!(explanation(&rig).is_some(), is_told, "{value:?}");
        assert_eq!(explanation(&rig).map_or(json!("a"), |told| told["backend"].clone()), "a");
    }
    let mut rig = Rig::new(&config(&json!({ "client_hints": [] })));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[("x-llm-explain", "1")], CHAT);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert_eq!((explanation(&rig), rig.header("x-llm-explain")), (None, None));
}

#[test]
fn a_client_that_nobody_may_serve_is_told_why_too() {
    let mut rig = Rig::new(&config(&json!({ "logging": { "decisions": true } })));
    let hints = [("x-llm-explain", "1"), ("x-llm-min-quality", "0.95"), ("x-request-id", "7")];
    let Flow::Refuse(refusal) = rig.send(&mut Exchange::default(), &hints, CHAT) else { panic!("served") };
    let told: Value = serde_json::from_str(&refusal.explanation.expect("told")).expect("JSON");
    assert_eq!((&told["backend"], &told["attempts"]), (&Value::Null, &json!([])));
    assert_eq!(told["backends"][1]["excluded"]["by"], "client");
    let (journal, _) = journal(&rig);
    assert_eq!(journal[0]["outcome"]["ending"], "no_backend_available");
    assert_eq!(journal[0]["outcome"]["status"], 503);
    let line: Value = serde_json::from_str(&rig.world.lines()[0]).expect("JSON");
    assert_eq!((&line["event"], &line["request_id"]), (&json!("refusal"), &json!("7")));
}

#[test]
fn a_share_of_the_decisions_is_logged() {
    let mut rig = Rig::new(&config(&json!({ "logging": { "decisions": 0.1 } })));
    for _ in 0..2_000 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[("x-request-id", "12345")], CHAT);
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    }
    let lines = rig.world.lines();
    assert!((130..=270).contains(&lines.len()), "{}", lines.len());
    for line in &lines {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["request_id"], &line["ending"]), (&json!("12345"), &json!("success")));
        let id = u64::from_str_radix(line["decision_id"].as_str().expect("an id"), 16).expect("hexadecimal");
        assert!(id % 1_000 < 100, "whoever knows the id knows that it is logged");
    }
}

#[test]
fn access_logs_find_what_was_decided_where_they_are_to() {
    let mut rig = Rig::new(&config(&json!({})));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert!(rig.world.words.borrow().is_empty());

    let mut rig = Rig::new(&config(&json!({ "logging": { "filter_state": true } })));
    rig.send(&mut exchange, &[], CHAT);
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    let words = rig.world.words.borrow().clone();
    let word = |name: &str| words.get(name).map(String::as_str);
    assert_eq!([word("llm_backend"), word("llm_strategy")], [Some("a"), Some("cost_optimized")]);
    assert_eq!([word("llm_attempts"), word("llm_input_tokens")], [Some("1"), Some("12")]);
    assert_eq!([word("llm_output_tokens"), word("llm_cost_micro_usd")], [Some("3"), Some("150")]);
    let tokens: u64 = word("llm_estimated_tokens").expect("told").parse().expect("a number");
    assert!((5..30).contains(&tokens), "{tokens}");
    assert_eq!(word("llm_decision_id").map(str::len), Some(16));
}

#[test]
fn nobody_is_told_a_secret() {
    let mut rig =
        Rig::new(&config(&json!({ "logging": { "decisions": true, "level": "debug", "filter_state": true } })));
    let body = CHAT.replace("How are you?", SECRET).replace("\"m\"", &format!("{SECRET:?}"));
    let headers =
        [("authorization", "Bearer hunter2"), ("x-api-key", SECRET), ("cookie", SECRET), ("x-llm-explain", "1")];
    for (status, quality) in [(200, "0"), (500, "0"), (0, "1")] {
        let mut exchange = Exchange::default();
        let headers = [&headers[..], &[("x-llm-min-quality", quality)]].concat();
        match rig.send(&mut exchange, &headers, &body) {
            Flow::Refuse(refusal) => assert!(!refusal.explanation.expect("told").contains(SECRET)),
            _ => rig.answer(&mut exchange, status, 1, Some(&ANSWER.replace("Fine.", SECRET)), 0),
        }
    }
    let told = [
        format!("{:?}", journal(&rig)),
        rig.world.lines().join("\n"),
        format!("{:?}", rig.world.words.borrow()),
        rig.world.response_header("x-llm-explain").expect("told"),
    ];
    for text in told {
        assert!(text.len() > 100 && !text.contains(SECRET), "{text}");
    }
}

/// One of the three backends as it may stand: failures, requests under way, hosts, a breaker opened by hand.
type State = (u32, u32, u16, bool);

fn disturb(rig: &mut Rig, states: &[State; 3]) {
    let now = rig.world.now();
    for (n, &(failures, in_flight, hosts, is_open)) in states.iter().enumerate() {
        let backend = rig.router.config().backends[n].clone();
        let place = rig.router.place(BackendIndex(n as u16)).expect("placed");
        rig.view
            .change(&rig.world, place, now, |record| {
                (0..failures).for_each(|n| record.observe_answer(n % 2 == 0, now));
                record.set_load_at(9, crate::state::Load { requests: in_flight, tokens: Tokens(10) });
                record.hosts.available = crate::domain::PerMille::new(hosts);
                record.hosts.valid_until = Timestamp::from_micros(u64::MAX);
                if let (true, Some(settings)) = (is_open, &backend.breaker) {
                    record.breaker.open_by_hand(settings, now);
                }
            })
            .expect("changed");
    }
}

proptest! {
    #[test]
    fn an_explanation_of_any_state_is_the_decision_then_made(
        strategy in prop::sample::select(&Strategy::ALL[..]), seed in any::<u32>(),
        states in any::<[(bool, u8, u16, bool); 3]>(), wait in 0..20_u64,
    ) {
        let breaker = json!({ "recovery_timeout_seconds": 10 });
        let mut rig = Rig::new(&json!({ "strategy": strategy.name(), "seed": seed, "client_hints": ["explain"],
            "backend_instances": {
                "a": { "weight": 2, "cost_per_1k_tokens": 0.01, "max_concurrent_requests": 5, "circuit_breaker": breaker },
                "b": { "cost_per_1k_tokens": 0.02, "quality_score": 0.8, "circuit_breaker": breaker },
                "c": { "priority": 2, "expected_response_time_ms": 100, "circuit_breaker": breaker },
            } }));
        let states = states.map(|(fails, load, hosts, is_open)| (u32::from(fails) * 7, u32::from(load % 7), hosts % 1_001, is_open));
        disturb(&mut rig, &states);
        rig.world.pass_seconds(wait);
        for _ in 0..3 {
            let (path, now) = (b"/v1/chat/completions", rig.world.now());
            let cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
            let rehearsal = cx.rehearse(path, &[], CHAT.into(), now).expect("explained");
            let mut exchange = Exchange::default();
            let flow = rig.send(&mut exchange, &[("x-llm-explain", "1")], CHAT);
            match (&rehearsal.fate, flow) {
                (Fate::Refused(expected), Flow::Refuse(refusal)) => prop_assert_eq!(expected.code, refusal.code),
                (Fate::Goes(attempts), Flow::Continue) => {
                    let ids: Vec<&str> = attempts.as_slice().iter().map(|n| ["a", "b", "c"][n.get()]).collect();
                    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
                    let told = explanation(&rig).expect("told");
                    prop_assert_eq!(&told["attempts"], &json!(ids));
                    let backends = told["backends"].as_array().expect("all of them");
                    for (finding, told) in rehearsal.findings.iter().zip(backends) {
                        let mut explained: Value =
                            serde_json::from_str(&object(|o| finding.show(o, None, Detail::All))).expect("JSON");
                        explained["place"] = told["place"].clone();
                        explained["circuit_breaker"] = told["circuit_breaker"].clone();
                        prop_assert_eq!(&explained, told);
                    }
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn the_header_and_the_journal_are_equally_sure() {
    let mut rig = Rig::new(&config(&json!({})));
    let mut seen = Vec::new();
    for n in 0..24 {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[("x-llm-explain", "1")], CHAT);
        rig.view.write_journal(&rig.world).expect("written");
        rig.answer(&mut exchange, 200, 1 + n % 2, Some(ANSWER), 0);
        let header = rig.world.response_header("x-llm-confidence").expect("told");
        let sure: f64 = header.parse().expect("a number");
        let (told, _) = journal(&rig);
        let told = &told.last().expect("noted")["confidence"];
        assert!((told.as_f64().expect("a number") - sure).abs() < 1e-9, "{told} {sure}");
        assert_eq!(&explanation(&rig).expect("told")["confidence"], told);
        seen.push(sure);
    }
    let (first, last) = (seen[0], seen[23]);
    assert!(first == 0.0 && last > 0.1 && seen.iter().all(|sure| (0.0..=1.0).contains(sure)), "{seen:?}");
    let mut rig = Rig::new(&config(&json!({ "response_headers": false })));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert_eq!(rig.world.response_header("x-llm-confidence"), None);
}
