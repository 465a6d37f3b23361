//! What an answer cost, told in its trailers.

use serde_json::{Value, json};

use super::*;

const LEFT: u64 = 1 << 14;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"How are you?"}]}"#;
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";
const PIECE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Fine, thank you.\"}}]}\n\n";

fn rig(more: &Value) -> Rig {
    let mut config = json!({ "backend_instances": { "a": { "cost_per_1k_tokens": 1 } },
        "cost": { "daily_budget_usd": 100 }, "logging": { "decisions": true } });
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    Rig::new(&config)
}

/// The trailers of an answer that comes in these chunks; `ended` says whether it does with the last one.
fn trailers(
    rig: &mut Rig,
    protocol: &str,
    (request, status): (&str, &str),
    chunks: &[&str],
    ended: bool,
) -> Vec<String> {
    rig.world.response_trailers.borrow_mut().clear();
    rig.world.properties.borrow_mut().insert(Property::Protocol, protocol.into());
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, &[], request), Flow::Continue);
    rig.world.set_number(Property::AttemptCount, 1);
    rig.world.set_number(Property::ResponseFlags, if ended { 0 } else { LEFT });
    rig.world.response.replace(fake::headers(&[(":status", status), ("content-type", "text/event-stream")]));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, false);
    for (n, chunk) in chunks.iter().enumerate() {
        rig.world.chunk.replace((*chunk).into());
        exchange.response_body(&mut cx, chunk.len(), ended && n + 1 == chunks.len());
    }
    let shown = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
    let trailers = rig.world.response_trailers.borrow().iter().map(shown).collect();
    exchange.log(&mut cx);
    trailers
}

const CHAT_OF_A_STREAM: (&str, &str) = (STREAM, "200");

#[test]
fn a_stream_over_http2_ends_with_what_it_cost() {
    for protocol in ["HTTP/2", "HTTP/3"] {
        let mut rig = rig(&json!({}));
        for chunks in [&[PIECE, USAGE][..], &[PIECE, USAGE, ""], &[&[PIECE, USAGE].concat()]] {
            let told = trailers(&mut rig, protocol, CHAT_OF_A_STREAM, chunks, true);
            let due = [
                "x-llm-input-tokens: 12",
                "x-llm-output-tokens: 3",
                "x-llm-cost-micro-usd: 15000",
                "x-llm-usage: reported",
            ];
            assert_eq!(told, due);
        }
        // It is priced once, not with the trailers and again at the end.
        assert_eq!((rig.metric("request_cost"), budget::all(&rig)), (45_000, (45_000, 0)));
    }
}

#[test]
fn the_trailers_say_what_the_log_says_also_of_an_estimate() {
    let mut rig = rig(&json!({}));
    for n in 0..8 {
        let told = trailers(&mut rig, "HTTP/2", CHAT_OF_A_STREAM, &[&PIECE.repeat(n + 1), "data: [DONE]\n\n"], true);
        let line: Value = serde_json::from_str(&rig.world.lines().pop().expect("a line")).expect("JSON");
        let due = [
            ("input_tokens", "x-llm-input-tokens"),
            ("output_tokens", "x-llm-output-tokens"),
            ("cost_micro_usd", "x-llm-cost-micro-usd"),
        ];
        let mut due: Vec<_> = due.iter().map(|(key, name)| format!("{name}: {}", line[key])).collect();
        due.push("x-llm-usage: estimated".to_owned());
        assert_eq!(told, due);
        assert_eq!(line["output_tokens"], 4 * (n as u64 + 1));
    }
    assert_eq!(rig.metric("usage_estimated_total"), 8);
}

#[test]
fn whoever_cannot_have_them_has_none() {
    for (protocol, asked, chunks, ended, more) in [
        ("HTTP/1.1", CHAT_OF_A_STREAM, [PIECE, USAGE], true, json!({})),
        ("HTTP/1.0", CHAT_OF_A_STREAM, [PIECE, USAGE], true, json!({})),
        ("", CHAT_OF_A_STREAM, [PIECE, USAGE], true, json!({})),
        ("HTTP/2", (CHAT, "200"), [PIECE, USAGE], true, json!({})),
        ("HTTP/2", CHAT_OF_A_STREAM, [PIECE, PIECE], false, json!({})),
        ("HTTP/2", (STREAM, "500"), [PIECE, USAGE], true, json!({})),
        ("HTTP/2", CHAT_OF_A_STREAM, [PIECE, USAGE], true, json!({ "response_headers": false })),
    ] {
        let mut rig = rig(&more);
        assert_eq!(trailers(&mut rig, protocol, asked, &chunks, ended), [""; 0], "{protocol} {asked:?} {more}");
        let is_paid = asked.1 == "200";
        assert_eq!(rig.metric("request_cost") > 0, is_paid, "it costs what it costs");
    }
}

#[test]
fn beside_trailers_of_the_backends_they_stand_too() {
    let mut rig = rig(&json!({}));
    rig.world.properties.borrow_mut().insert(Property::Protocol, "HTTP/2".into());
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], STREAM);
    rig.world.set_number(Property::AttemptCount, 1);
    rig.world.response.replace(fake::headers(&[(":status", "200"), ("content-type", "text/event-stream")]));
    rig.world.response_trailers.replace(fake::headers(&[("x-checksum", "7"), ("x-llm-cost-micro-usd", "1")]));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, false);
    rig.world.chunk.replace([PIECE, USAGE].concat().into());
    exchange.response_body(&mut cx, PIECE.len() + USAGE.len(), false);
    exchange.response_trailers(&mut cx);
    exchange.log(&mut cx);
    let names: Vec<_> = rig.world.response_trailers.borrow().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(
        names,
        ["x-checksum", "x-llm-input-tokens", "x-llm-output-tokens", "x-llm-cost-micro-usd", "x-llm-usage"]
    );
    assert_eq!(rig.world.response_trailers.borrow()[3].1, b"15000");
    assert_eq!(budget::all(&rig), (15_000, 0));
}
