//! Money: reserved before a request leaves, spent when its answer has ended; and what becomes of those there is none for.

use serde_json::{Value, json};

use super::*;
use crate::cost::Account;
use crate::domain::Span;
use crate::state::{AccountKey, Ledger, Store};

/// A dollar a thousand tokens: a token is a thousand micro-dollars.
const PRICED: f64 = 1.0;

/// `CHAT` has about 10 tokens, 12 as reported, and an answer of 3: 15,000 micro-dollars. Reserved are up to 65,000.
pub(super) const COST: u64 = 15_000;

pub(super) fn rig(cost: &Value, backends: &Value) -> Rig {
    Rig::new(&json!({ "strategy": "round_robin", "backend_instances": backends, "cost": cost }))
}

pub(super) fn one(cost: &Value) -> Rig {
    rig(cost, &json!({ "a": { "cost_per_1k_tokens": PRICED } }))
}

pub(super) fn ledger(rig: &Rig) -> Ledger {
    Ledger::decode(&rig.world.get(Ledger::KEY).unwrap().expect("a ledger").0).expect("readable")
}

/// Spent and reserved, in micro-dollars.
pub(super) fn stands(rig: &Rig, key: AccountKey) -> (u64, u64) {
    let ledger = ledger(rig);
    let account = ledger.account(key).cloned().unwrap_or_default();
    (account.spending(Span::Day, rig.world.now()).spent().micro_usd(), ledger.reserved(key).micro_usd())
}

pub(super) fn all(rig: &Rig) -> (u64, u64) {
    stands(rig, AccountKey::ALL)
}

/// Where a request goes, and stays under way.
pub(super) fn begin(rig: &mut Rig, headers: &[(&str, &str)]) -> Result<(String, Exchange), super::super::Refusal> {
    let mut exchange = Exchange::default();
    match rig.send(&mut exchange, headers, CHAT) {
        Flow::Refuse(refusal) => Err(refusal),
        _ => Ok((rig.header("x-llm-cluster").expect("routed"), exchange)),
    }
}

/// Where a request goes that is answered well, or why it is refused.
pub(super) fn goes_to(rig: &mut Rig, headers: &[(&str, &str)]) -> String {
    match begin(rig, headers) {
        Ok((backend, mut exchange)) => {
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
            backend
        }
        Err(refusal) => refusal.code.name().to_owned(),
    }
}

#[test]
fn what_a_request_may_cost_is_reserved_and_what_it_did_cost_is_spent() {
    let mut rig = one(&json!({ "daily_budget_usd": 1 }));
    let (_, mut exchange) = begin(&mut rig, &[]).expect("served");
    let (spent, reserved) = all(&rig);
    // Fifty tokens of the answer are what the request allows.
    assert!(spent == 0 && (60_000..70_000).contains(&reserved), "{reserved}");
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert_eq!(all(&rig), (COST, 0));
    assert_eq!(rig.metric("usage_estimated_total"), 0);
}

#[test]
fn when_the_budget_is_used_up_requests_are_refused_until_the_window_ends() {
    let mut rig = one(&json!({ "hourly_budget_usd": 0.1 }));
    let answers: Vec<_> = (0..6).map(|_| goes_to(&mut rig, &[])).collect();
    // After three there are 0.055 left, and one may cost 0.063.
    assert_eq!(answers, ["a", "a", "a", "budget_exceeded", "budget_exceeded", "budget_exceeded"]);
    let refusal = begin(&mut rig, &[]).expect_err("refused");
    // The world begins at second 1000 of its hour.
    assert_eq!((refusal.code.status(), refusal.retry_after_seconds()), (429, Some(2_600)));
    rig.world.pass_seconds(2_600);
    assert_eq!(goes_to(&mut rig, &[]), "a");
}

#[test]
fn money_that_is_only_spoken_for_may_be_there_in_a_second() {
    let mut rig = one(&json!({ "daily_budget_usd": 0.1 }));
    let (_, mut exchange) = begin(&mut rig, &[]).expect("served");
    assert_eq!(begin(&mut rig, &[]).expect_err("refused").retry_after_seconds(), Some(1));
    rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    assert_eq!(goes_to(&mut rig, &[]), "a");
}

#[test]
fn beyond_the_budget_the_cheapest_serves_where_the_operator_wants_that() {
    let cost = json!({ "daily_budget_usd": 0.1, "on_exhausted": "cheapest" });
    let backends = json!({ "a": { "cost_per_1k_tokens": 1 }, "b": { "cost_per_1k_tokens": 0.9 } });
    let mut rig = rig(&cost, &backends);
    let answers: Vec<_> = (0..8).map(|_| goes_to(&mut rig, &[])).collect();
    assert_eq!(answers[..3], ["a", "b", "a"]);
    assert_eq!(answers[4..], ["b", "b", "b", "b"]);
    assert!(all(&rig).0 > 100_000);
}

#[test]
fn what_is_left_goes_to_those_for_whom_it_is_enough() {
    let backends = json!({ "dear": { "cost_per_1k_tokens": 1 }, "cheap": { "cost_per_1k_tokens": 0.1 }, "free": {} });
    let mut rig = rig(&json!({ "daily_budget_usd": 0.08, "pacing": false }), &backends);
    let answers: Vec<_> = (0..300).map(|_| goes_to(&mut rig, &[])).collect();
    let count = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert!(count("dear") >= 1 && count("cheap") > 20, "{} {}", count("dear"), count("cheap"));
    assert_eq!(answers[290..], ["free"; 10]);
    assert!((73_000..=80_000).contains(&all(&rig).0), "{:?}", all(&rig));
}

#[test]
fn a_backend_over_its_own_budget_is_left_out_and_others_serve() {
    let backends = json!({
        "a": { "cost_per_1k_tokens": 1, "daily_budget_usd": 0.1 }, "b": { "cost_per_1k_tokens": 1 },
    });
    let mut rig = rig(&json!({}), &backends);
    let answers: Vec<_> = (0..12).map(|_| goes_to(&mut rig, &[])).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "a").count(), 3);
    assert_eq!(answers[9..], ["b", "b", "b"]);
    assert_eq!(stands(&rig, AccountKey::of_backend("a")), (3 * COST, 0));
    assert_eq!(all(&rig), (12 * COST, 0));
}

#[test]
fn each_tenant_has_a_purse_of_its_own() {
    let tenants = json!({ "ann": { "daily_budget_usd": 0.1 }, "default": { "max_requests_per_minute": 2 } });
    let mut rig = one(&json!({ "tenant_header": "x-user", "tenants": tenants }));
    let ann: Vec<_> = (0..5).map(|_| goes_to(&mut rig, &[("x-user", "ann")])).collect();
    assert_eq!(ann, ["a", "a", "a", "budget_exceeded", "budget_exceeded"]);
    // Of two such headers the last is the filter's. Whoever is not named is everybody else.
    assert_eq!(goes_to(&mut rig, &[("x-user", "bob"), ("x-user", "ann")]), "budget_exceeded");
    assert_eq!(goes_to(&mut rig, &[("x-user", "bob")]), "a");
    assert_eq!(goes_to(&mut rig, &[("x-llm-tenant", "ann")]), "a", "not a header that this operator trusts");
    let refusal = begin(&mut rig, &[]).expect_err("refused");
    assert_eq!((refusal.code.name(), refusal.retry_after_seconds()), ("rate_limited", Some(61)));
    rig.world.pass_seconds(61);
    assert_eq!(goes_to(&mut rig, &[("x-user", "\u{fffd}")]), "a");
    assert_eq!(stands(&rig, AccountKey::of_tenant("ann")), (3 * COST, 0));
}

#[test]
fn a_client_may_say_who_it_is_where_the_operator_lets_it() {
    let tenants = json!({ "ann": { "max_requests_per_minute": 1 } });
    let mut rig = Rig::new(&json!({
        "backend_instances": { "a": {} }, "client_hints": ["tenant"], "cost": { "tenants": tenants },
    }));
    let hint = [("x-llm-tenant", "ann")];
    assert_eq!(
        [goes_to(&mut rig, &hint), goes_to(&mut rig, &hint), goes_to(&mut rig, &[])],
        ["a", "rate_limited", "a"]
    );
}

#[test]
fn a_backend_over_its_rate_is_left_out_and_tokens_are_corrected_by_what_was_reported() {
    let backends = json!({ "a": { "max_requests_per_minute": 3 }, "b": { "max_tokens_per_minute": 100 } });
    let mut rig = rig(&json!({}), &backends);
    let answers: Vec<_> = (0..12).map(|_| goes_to(&mut rig, &[])).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "a").count(), 3);
    // About 60 are expected the first time, then fewer; 15 are used each time.
    let by_b = answers.iter().filter(|answer| *answer == "b").count();
    assert!((3..=6).contains(&by_b), "{by_b}");
    assert_eq!(
        ledger(&rig).account(AccountKey::of_backend("b")).map(|b| b.minute(rig.world.now()).1),
        Some(15 * by_b as u64)
    );
    assert_eq!(answers[11], "rate_limited");
    rig.world.pass_seconds(61);
    assert_ne!(goes_to(&mut rig, &[]), "rate_limited");
}

#[test]
fn an_answer_that_reports_nothing_is_paid_by_what_was_seen_of_it() {
    let mut rig = one(&json!({ "daily_budget_usd": 100 }));
    let prompt = 10_000;
    let close = |rig: &mut Rig, expected: u64, what: &str| {
        let (spent, reserved) = all(rig);
        assert!(reserved == 0 && spent.abs_diff(expected) <= 3_000, "{what}: {spent}, {expected}");
        rig.world.pass(Span::Day.length());
    };
    let mut end = |status: u16, attempts: u64, body: Option<&str>, flags: u64, expected: u64, what: &str| {
        let (_, mut exchange) = begin(&mut rig, &[]).expect("served");
        rig.answer(&mut exchange, status, attempts, body, flags);
        close(&mut rig, expected, what);
    };
    end(200, 1, Some(r#"{"choices":[]}"#), 0, prompt + 4_000, "an answer in one piece, by its size");
    end(200, 1, Some(r#"{"choic"#), 1 << 14, prompt + 2_000, "an answer that was cut");
    end(0, 1, None, 1 << 14, prompt, "a client that left before the answer");
    end(504, 1, None, 1 << 2, prompt, "a backend that took too long");
    end(500, 1, Some("{}"), 0, 0, "an error");
    end(429, 1, Some("{}"), 0, 0, "a refusal");
    end(429, 1, Some("{"), 1 << 14, 0, "a refusal that the client does not hear out");
    end(500, 1, Some("{"), 1 << 14, 0, "an error that the client does not hear out");
    end(500, 1, Some("{"), 1 << 16, 0, "an error that never ends");
    end(0, 0, None, 1 << 14, 0, "a client that left before its question did");
    end(200, 0, Some(ANSWER), 0, 0, "an answer of another filter");
    end(400, 1, Some("{}"), 0, 0, "a bad request");
    end(503, 0, None, 1 << 1, 0, "a request that never left");
    end(503, 1, None, 1 << 5, 0, "no connection");
    assert_eq!(rig.metric("usage_estimated_total"), 4);
}

/// What a request costs whose stream passes to here, and then ends as Envoy's flags say.
fn cost_of_stream(path: &str, stream: &str, flags: u64) -> (u64, u64) {
    let speaks_all = json!({ "cost_per_1k_tokens": PRICED, "apis": ["openai", "anthropic", "gemini"] });
    let mut rig = rig(&json!({ "daily_budget_usd": 100 }), &json!({ "a": speaks_all }));
    let (_, mut exchange) = begin(&mut rig, &[(":path", path)]).expect("served");
    rig.world.set_number(Property::AttemptCount, 1);
    rig.world.set_number(Property::ResponseFlags, flags);
    rig.world.response.replace(fake::headers(&[(":status", "200"), ("content-type", "text/event-stream")]));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, false);
    rig.world.chunk.replace(stream.into());
    exchange.response_body(&mut cx, stream.len(), flags == 0);
    exchange.log(&mut cx);
    assert_eq!(all(&rig).1, 0);
    (all(&rig).0, rig.metric("usage_estimated_total"))
}

const CHATS: &str = "/v1/chat/completions";
const LEFT: u64 = 1 << 14;

#[test]
fn a_stream_that_the_client_cuts_costs_what_was_streamed() {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n".repeat(20);
    let (spent, estimated) = cost_of_stream(CHATS, &event, LEFT);
    assert!((33_000..=37_000).contains(&spent) && estimated == 1, "{spent}: 10 tokens asked, 25 answered");
}

#[test]
fn a_client_that_leaves_at_the_last_mark_pays_what_was_reported() {
    // Far more bytes than tokens.
    let text =
        "data: {\"choices\":[{\"delta\":{\"content\":\"                                        \"}}]}\n\n".repeat(9);
    let end = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";
    assert_eq!(cost_of_stream(CHATS, &[&text, end].concat(), LEFT), (COST, 0));
}

#[test]
fn a_stream_that_does_not_end_well_costs_what_was_streamed_of_it() {
    let begun = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":12,\
                 \"output_tokens\":1}}}\n\n";
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\
                 \"text\":\"one two \"}}\n\n";
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    let stream = [begun, &delta.repeat(500)].concat();
    // 12 tokens asked, 500 pieces of two tokens each.
    let streamed = (12_000 + 1_000_000, 1);
    assert_eq!(cost_of_stream("/v1/messages", &stream, 0), streamed, "cut, as if that were its end");
    assert_eq!(cost_of_stream("/v1/messages", &[&stream, error].concat(), 0), streamed, "an error inside");
    assert_eq!(cost_of_stream("/v1/messages", &stream, LEFT), streamed, "left by its client");
}

#[test]
fn absurd_usage_is_not_believed_and_takes_nobodys_budget() {
    for absurd in [
        r#""prompt_tokens":12,"completion_tokens":1e30"#,
        r#""prompt_tokens":18446744073709551615,"completion_tokens":25"#,
        r#""prompt_tokens":0,"completion_tokens":0,"total_tokens":0"#,
    ] {
        let mut rig = one(&json!({ "daily_budget_usd": 1 }));
        let (_, mut exchange) = begin(&mut rig, &[]).expect("served");
        let text = "word ".repeat(20);
        let answer = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],"usage":{{{absurd}}}}}"#);
        rig.answer(&mut exchange, 200, 1, Some(&answer), 0);
        let (spent, reserved) = all(&rig);
        // The prompt's eleven tokens or so, and a hundred bytes.
        assert!((34_000..38_000).contains(&spent) && reserved == 0, "{absurd}: {spent}");
        assert_eq!(rig.metric("usage_estimated_total"), 1, "{absurd}");
        assert!(rig.record("a").lengths.median() < 1_000, "what was seen is learned, not what was said");
        assert_eq!(goes_to(&mut rig, &[]), "a");
    }
    // What else is said beside it is.
    let mut rig = one(&json!({ "daily_budget_usd": 1 }));
    let (_, mut exchange) = begin(&mut rig, &[]).expect("served");
    let answer = ANSWER.replace(":3}", r#":3,"total_tokens":18446744073709551615}"#);
    rig.answer(&mut exchange, 200, 1, Some(&answer), 0);
    assert_eq!((all(&rig), rig.metric("usage_estimated_total")), ((COST, 0), 0));
}

#[test]
fn what_gemini_reports_is_paid() {
    let event = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Fine.\"}]},\"finishReason\":\"STOP\"}],\
                 \"usageMetadata\":{\"promptTokenCount\":12,\"candidatesTokenCount\":1,\"thoughtsTokenCount\":2,\
                 \"totalTokenCount\":15}}\n\n";
    let path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";
    assert_eq!(cost_of_stream(path, event, 0), (COST, 0));
    // What is no prompt costs what is reported.
    assert_eq!(cost_of_stream("/v1beta/models/m:embedContent", event, 0), (COST, 0));
    assert_eq!(cost_of_stream("/v1beta/models/m:countTokens", event, 0), (0, 0), "to count costs nothing");
}

#[test]
fn where_too_many_write_at_once_a_request_is_refused_rather_than_let_through_unseen() {
    let mut rig = one(&json!({ "daily_budget_usd": 1 }));
    rig.world.contended.set(Some(Ledger::KEY));
    let refusal = begin(&mut rig, &[]).expect_err("refused");
    assert_eq!((refusal.code.name(), refusal.retry_after_seconds()), ("rate_limited", Some(1)));
    assert_eq!(rig.metric("internal_errors_total.kind.shared_data"), 1);
    rig.world.contended.set(None);
    assert_eq!(goes_to(&mut rig, &[]), "a");
    assert_eq!(all(&rig), (COST, 0));
}

#[test]
fn who_answers_after_a_failover_is_who_is_paid() {
    let priced = |price: f64| json!({ "cost_per_1k_tokens": price, "daily_budget_usd": 9 });
    let mut rig = rig(&json!({}), &json!({ "a": priced(1.0), "b": priced(2.0) }));
    let (first, mut exchange) = begin(&mut rig, &[]).expect("served");
    assert_eq!(first, "a");
    rig.answer(&mut exchange, 200, 2, Some(ANSWER), 0);
    assert_eq!(stands(&rig, AccountKey::of_backend("a")), (0, 0));
    assert_eq!(stands(&rig, AccountKey::of_backend("b")), (2 * COST, 0));
    assert_eq!(all(&rig), (2 * COST, 0));
}

#[test]
fn without_shared_data_requests_go_through_and_are_paid_later() {
    let mut rig = one(&json!({ "daily_budget_usd": 1 }));
    rig.world.set_broken(true);
    assert_eq!(goes_to(&mut rig, &[]), "a");
    rig.world.set_broken(false);
    assert_eq!(all(&rig), (0, 0));
    rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    assert_eq!(all(&rig), (COST, 0));
}

#[test]
fn where_nothing_is_limited_there_is_no_ledger() {
    let mut rig = rig(&json!({ "on_exhausted": "cheapest", "tenants": { "ann": {} } }), &json!({ "a": {} }));
    goes_to(&mut rig, &[]);
    rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
    assert!(!rig.world.written.borrow().iter().any(|key| key == Ledger::KEY));
    assert_eq!(rig.world.get(Ledger::KEY), Ok(None));
}

#[test]
fn what_is_only_looked_up_is_free() {
    let mut rig = one(&json!({ "daily_budget_usd": 1 }));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[(":method", "GET"), (":path", "/v1/models")], "");
    assert_eq!(all(&rig), (0, 0));
    rig.answer(&mut exchange, 200, 1, Some(r#"{"data":[]}"#), 0);
    assert_eq!(all(&rig), (0, 0));
}

/// No account is empty for ever: its figures are those of nothing.
#[test]
fn an_account_in_which_nothing_was_ever_noted_stands_at_nothing() {
    let rig = one(&json!({ "daily_budget_usd": 1 }));
    assert_eq!(ledger(&rig).account(AccountKey::ALL), None::<&Account>);
    assert_eq!(all(&rig), (0, 0));
}
