//! Ways round a budget, and guesses: the same question has the same price however it is spelled, and what cannot be read
//! shuts nobody out.

use serde_json::json;

use super::budget::{COST, all, one};
use super::*;
use crate::domain::Api;

/// One body, and what else it may be called.
const SPELLINGS: [&[(&str, &str)]; 16] = [
    &[(":path", "/v1/chat/completion%73")],
    &[(":path", "/v1/chat%2Fcompletions")],
    &[(":path", "/v1/chat%2fcompletions?a=b")],
    &[(":path", "/v1/chat/completions//")],
    &[(":path", "/v1/chat/completions/.")],
    &[(":path", "/v1/models/../chat/completions")],
    &[(":path", "/v1/chat/completions;a=b")],
    &[(":path", "/V1/Chat/Completions")],
    &[(":path", "//v1\\chat/%63ompletions")],
    &[("content-type", "text/plain")],
    &[("content-type", "application/x-www-form-urlencoded")],
    &[("content-type", "application/octet-stream")],
    &[("content-type", "multipart/form-data; boundary=b")],
    &[("content-type", "application/grpc")],
    &[("content-type", "")],
    &[(":path", "/v1/moderations/%2e%2e/chat/completions/"), ("content-type", "text/json5")],
];

impl Rig {
    /// Headers that take the place of the usual ones, and a body.
    fn ask(&mut self, exchange: &mut Exchange, headers: &[(&str, &str)], body: &[u8]) -> Flow {
        match self.open(exchange, &[headers]) {
            Flow::Hold => {
                self.world.request_body.replace(body.into());
                exchange.request_body(&mut self.cx(), body.len(), true)
            }
            flow => flow,
        }
    }
}

/// A dollar a thousand tokens; the answer does not say what it took.
fn priced(unreadable: &str) -> Rig {
    Rig::new(&json!({
        "unreadable": unreadable,
        "backend_instances": { "a": { "cost_per_1k_tokens": 1, "apis": ["openai", "other", "anthropic", "gemini"] } },
        "cost": { "daily_budget_usd": 1000 },
    }))
}

#[test]
fn a_question_has_one_price_however_its_path_and_its_body_are_called() {
    let reserved = |headers: &[(&str, &str)]| {
        let (mut rig, mut exchange) = (one(&json!({ "daily_budget_usd": 1000 })), Exchange::default());
        assert_eq!(rig.ask(&mut exchange, headers, CHAT.as_bytes()), Flow::Continue, "{headers:?}");
        let reserved = all(&rig).1;
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        assert_eq!(all(&rig), (COST, 0), "{headers:?}");
        reserved
    };
    let usual = reserved(&[]);
    for headers in SPELLINGS {
        assert_eq!(reserved(headers), usual, "{headers:?}");
    }
}

#[test]
fn a_prompt_is_read_whatever_the_path_that_it_is_sent_to() {
    let text = "word ".repeat(200);
    let bodies = [
        json!({ "model": "m", "max_tokens": 50, "messages": [{ "role": "user", "content": text }] }),
        json!({ "model": "m", "max_tokens": 50, "prompt": text }),
        json!({ "model": "m", "max_output_tokens": 50, "input": [{ "role": "user", "content": [{ "text": text }] }] }),
        json!({ "model": "m", "max_tokens": 50, "input": text }),
        json!({ "generationConfig": { "maxOutputTokens": 50 }, "contents": [{ "parts": [{ "text": text }] }] }),
        json!({ "parameters": { "max_new_tokens": 50 }, "inputs": text }),
        json!({ "inferenceConfig": { "maxTokens": 50 }, "messages": [{ "content": [{ "text": text }] }] }),
        json!({ "query": text, "max_tokens": 50 }),
    ];
    for body in &bodies {
        for (path, kind) in [
            ("/invocations", "application/json"),
            ("/v1/engines/m/x", "text/plain"),
            ("/v1/chat/completions.json", "application/octet-stream"),
            ("/v1/responses/other", ""),
        ] {
            let (mut rig, mut exchange) = (priced("refuse"), Exchange::default());
            let body = format!("\u{feff} \n{body}");
            let flow = rig.ask(&mut exchange, &[(":path", path), ("content-type", kind)], body.as_bytes());
            assert_eq!(flow, Flow::Continue, "{path} {body}");
            // 200 words and a quarter, and 50 tokens of the answer.
            let reserved = all(&rig).1;
            assert!((250_000..350_000).contains(&reserved), "{path} {body}: {reserved}");
            // Its usage counts, too.
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
            assert_eq!(all(&rig), (COST, 0), "{path} {body}");
        }
    }
}

#[test]
fn a_prompt_under_another_name_than_its_api_s_is_read_too() {
    let text = "word ".repeat(200);
    for (path, body) in [
        ("/v1/chat/completions", json!({ "max_tokens": 50, "input": [{ "role": "user", "content": text }] })),
        ("/v1/completions", json!({ "max_tokens": 50, "messages": [{ "role": "user", "content": text }] })),
        ("/v1/messages", json!({ "max_tokens": 50, "prompt": text })),
        ("/v1/responses", json!({ "max_output_tokens": 50, "messages": [{ "content": text }] })),
    ] {
        let (mut rig, mut exchange) = (priced("refuse"), Exchange::default());
        assert_eq!(rig.ask(&mut exchange, &[(":path", path)], body.to_string().as_bytes()), Flow::Continue);
        let reserved = all(&rig).1;
        assert!((250_000..350_000).contains(&reserved), "{path}: {reserved}");
    }
}

#[test]
fn paths_for_something_else_stay_what_they_are_whatever_is_in_the_body() {
    for path in ["/v1/files", "/v1/images/generations", "/v1/threads", "/v1/batches", "/v1/audio/speech"] {
        let (mut rig, mut exchange) = (priced("refuse"), Exchange::default());
        assert_eq!(rig.ask(&mut exchange, &[(":path", path)], CHAT.as_bytes()), Flow::Continue, "{path}");
        assert_eq!(all(&rig), (0, 0), "{path}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_where_the_operator_wants_it_in_the_form_of_the_clients_api() {
    type Unreadable<'a> = (&'a [(&'a str, &'a str)], &'a [u8], &'a str);
    let unreadable: [Unreadable<'_>; 7] = [
        (&[("content-encoding", "br")], CHAT.as_bytes(), "content-encoding"),
        (&[], b"{\"messages\": NaN}", "not valid JSON"),
        (&[("content-type", "text/plain")], b"messages=hello", "not JSON"),
        (&[("content-type", "multipart/form-data; boundary=b")], b"--b\r\n", "not JSON"),
        (&[(":path", "/v1/messages")], b"[1]", "not an object"),
        (&[(":path", "/vectors/search")], b"{\"vector\":[1,2,3]}", "none of messages"),
        (&[(":path", "/v1beta/models/g:generateContent"), ("content-encoding", "zstd")], b"{}", "content-encoding"),
    ];
    for (headers, body, why) in unreadable {
        let (mut rig, mut exchange) = (priced("refuse"), Exchange::default());
        let Flow::Refuse(refusal) = rig.ask(&mut exchange, headers, body) else { panic!("{headers:?} is routed") };
        assert_eq!(refusal.code.status(), 400);
        assert!(refusal.message.contains(why), "{}", refusal.message);
        let answer: serde_json::Value = serde_json::from_str(&refusal.body()).expect("JSON");
        match refusal.api {
            Api::Messages => assert_eq!(answer["type"], "error"),
            Api::GenerateContent => assert_eq!(answer["error"]["status"], "INVALID_ARGUMENT"),
            _ => assert_eq!(answer["error"]["code"], "invalid_request"),
        }
        assert_eq!(rig.metric("refusals_total.code.invalid_request"), 1);
        // By default it is routed.
        let (mut rig, mut exchange) = (priced("route"), Exchange::default());
        assert_eq!(rig.ask(&mut exchange, headers, body), Flow::Continue, "{headers:?}");
    }
}

#[test]
fn what_has_nothing_to_read_is_not_refused() {
    for (method, path) in
        [("GET", "/v1/models"), ("GET", "/anything"), ("POST", "/reload"), ("OPTIONS", "/v1/messages")]
    {
        let (mut rig, mut exchange) = (priced("refuse"), Exchange::default());
        rig.world.request.replace(fake::headers(&[(":path", path), (":method", method)]));
        assert_eq!(exchange.request_headers(&mut rig.cx(), true), Flow::Continue, "{method} {path}");
    }
    let (mut rig, mut exchange) = (priced("refuse"), Exchange::default());
    let headers = [(":path", "/v1/files"), ("content-type", "multipart/form-data; boundary=b")];
    assert_eq!(rig.ask(&mut exchange, &headers, b"--b"), Flow::Continue, "a file is no prompt");
}

#[test]
fn a_body_that_is_too_long_to_be_read_is_refused_where_the_operator_wants_it() {
    for (unreadable, is_refused) in [("refuse", true), ("route", false)] {
        let (mut rig, mut exchange) = (priced(unreadable), Exchange::default());
        rig.open(&mut exchange, &[&[("content-type", "text/plain")]]);
        let flow = rig.body(&mut exchange, 5 << 20, false);
        assert_eq!(matches!(flow, Flow::Refuse(_)), is_refused, "{flow:?}");
    }
}

/// Half a megabyte of sound and the like, as clients send them.
const FILES: [&[(&str, &str)]; 4] = [
    &[(":path", "/transcribe"), ("content-type", "audio/mpeg")],
    &[(":path", "/v1/asr"), ("content-type", "multipart/form-data; boundary=b")],
    &[(":path", "/see"), ("content-type", "image/png")],
    &[(":path", "/anything"), ("content-type", "text/plain")],
];

/// A quota of ten thousand tokens a minute, announced by the answers to chats.
const QUOTA: [(&str, &str); 3] = [
    ("x-ratelimit-limit-tokens", "10000"),
    ("x-ratelimit-remaining-tokens", "9000"),
    ("x-ratelimit-reset-tokens", "30s"),
];

#[test]
fn a_guess_shuts_nobody_out_beside_a_quota_of_tokens() {
    for headers in FILES {
        let mut rig = priced("route");
        let mut chat = Exchange::default();
        rig.send(&mut chat, &[], CHAT);
        rig.world.set_number(Property::AttemptCount, 1);
        rig.world.response.replace(fake::headers(QUOTA.iter().chain(&[(":status", "200")])));
        chat.response_headers(&mut rig.cx(), true);
        chat.log(&mut rig.cx());
        rig.view.refresh(&rig.world, rig.world.now()).expect("refreshed");
        assert!(rig.record("a").quota.is_known(rig.world.now()));
        let mut open = Vec::new();
        for n in 0..3 {
            let mut exchange = Exchange::default();
            assert_eq!(rig.ask(&mut exchange, headers, &vec![7; 500_000]), Flow::Continue, "{n}: {headers:?}");
            open.push(exchange);
        }
        for mut exchange in open {
            rig.answer(&mut exchange, 200, 1, Some("{\"text\":\"hello\"}"), 0);
        }
        let mut after = Exchange::default();
        assert_eq!(rig.send(&mut after, &[], CHAT), Flow::Continue, "nor the next chat");
    }
}

#[test]
fn a_guess_reserves_no_more_than_the_operator_lets_it() {
    for bound in [0, 100, 5_000] {
        let mut rig = Rig::new(&json!({
            "max_guessed_tokens": bound,
            "backend_instances": { "a": { "apis": ["openai", "other"], "input_cost_per_1k_tokens": 1, "output_cost_per_1k_tokens": 0 } },
            "cost": { "daily_budget_usd": 1000 },
        }));
        let mut exchange = Exchange::default();
        let headers = [(":path", "/anything"), ("content-type", "text/plain")];
        assert_eq!(rig.ask(&mut exchange, &headers, &vec![7; 500_000]), Flow::Continue);
        assert_eq!(all(&rig).1, bound * 1_250);
        // What it has taken is known at its end.
        rig.answer(&mut exchange, 200, 1, Some("{\"text\":\"hello\"}"), 0);
        assert_eq!(all(&rig), (125_000_000, 0));
    }
}

#[test]
fn a_guess_is_let_in_as_long_as_there_is_money_and_not_beyond() {
    let mut rig = Rig::new(&json!({
        "backend_instances": { "a": { "apis": ["openai", "other"], "input_cost_per_1k_tokens": 1, "output_cost_per_1k_tokens": 0 } },
        "cost": { "daily_budget_usd": 1 },
    }));
    let headers = [(":path", "/transcribe"), ("content-type", "text/plain")];
    let mut exchange = Exchange::default();
    assert_eq!(
        rig.ask(&mut exchange, &headers, &vec![7; 500_000]),
        Flow::Continue,
        "though it may cost twenty dollars"
    );
    rig.answer(&mut exchange, 200, 1, Some("{\"text\":\"hello\"}"), 0);
    let flow = rig.ask(&mut Exchange::default(), &headers, &vec![7; 500_000]);
    assert!(matches!(flow, Flow::Refuse(refusal) if refusal.code == RefusalCode::BudgetExceeded));
}
