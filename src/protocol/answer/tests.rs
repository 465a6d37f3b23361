use proptest::prelude::*;

use super::*;
use crate::domain::Tokens;

mod dialects;
mod errors;
mod forms;
mod texts;
mod usage;

struct Case {
    name: &'static str,
    api: Api,
    body: &'static [u8],
    /// Input, cached input, output.
    usage: Option<(u64, u64, u64)>,
    /// The status of the error inside.
    error: Option<u16>,
    end: StreamEnd,
    content: u64,
}

macro_rules! case {
    ($api:ident, $name:literal, $usage:expr, $error:expr, $end:ident, $content:literal) => {
        Case {
            name: $name,
            api: Api::$api,
            body: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/protocol/answers/", $name)),
            usage: $usage,
            error: $error,
            end: StreamEnd::$end,
            content: $content,
        }
    };
}

const CASES: [Case; 27] = [
    case!(ChatCompletions, "chat.sse", Some((2006, 1920, 31)), None, Complete, 5),
    case!(ChatCompletions, "chat.json", Some((2006, 1920, 31)), None, Complete, 0),
    case!(ChatCompletions, "chat_tool_calls.sse", None, None, Complete, 3),
    case!(ChatCompletions, "chat_error.sse", None, Some(500), Complete, 1),
    case!(ChatCompletions, "chat_truncated.sse", None, None, Truncated, 1),
    case!(Completions, "completions.json", Some((5, 0, 7)), None, Complete, 0),
    case!(Completions, "completions.sse", None, None, Complete, 2),
    case!(Embeddings, "embeddings.json", Some((8, 0, 0)), None, Complete, 0),
    case!(Responses, "responses.sse", Some((328, 64, 52)), None, Complete, 4),
    case!(Responses, "responses.json", Some((328, 64, 52)), None, Complete, 0),
    case!(Responses, "responses_failed.sse", None, Some(500), Complete, 4),
    case!(Responses, "responses_error.sse", None, Some(429), Complete, 4),
    case!(Messages, "messages.sse", Some((5121, 5000, 15)), None, Complete, 3),
    case!(Messages, "messages.json", Some((42, 12, 9)), None, Complete, 0),
    case!(Messages, "messages_error.sse", Some((5121, 5000, 1)), Some(529), Complete, 3),
    case!(Messages, "messages_truncated.sse", Some((5121, 5000, 1)), None, Truncated, 3),
    case!(ChatCompletions, "perplexity.sse", Some((6, 0, 12)), None, Complete, 3),
    case!(ChatCompletions, "perplexity.json", Some((6, 0, 12)), None, Complete, 0),
    case!(LightRagQuery, "lightrag.ndjson", None, None, Complete, 3),
    case!(LightRagQuery, "lightrag_error.ndjson", None, Some(503), Complete, 1),
    case!(LightRagQuery, "lightrag.json", None, None, Complete, 0),
    case!(GenerateContent, "gemini.json", Some((5000, 4200, 468)), None, Complete, 0),
    case!(GenerateContent, "gemini_list.json", Some((844, 0, 1196)), None, Complete, 0),
    case!(GenerateContent, "gemini.sse", Some((844, 0, 1196)), None, Complete, 3),
    case!(GenerateContent, "gemini_error.sse", Some((844, 0, 1154)), Some(503), Complete, 1),
    // The same bytes, whatever the path was.
    case!(Other, "chat.sse", Some((2006, 1920, 31)), None, Complete, 5),
    case!(Other, "messages_truncated.sse", Some((5121, 5000, 1)), None, Unknown, 3),
];

impl Case {
    fn content_type(&self) -> &'static [u8] {
        match self.name.rsplit_once('.') {
            Some((_, "sse")) => b"text/event-stream; charset=utf-8",
            Some((_, "ndjson")) => b"application/x-ndjson",
            _ => b"Application/JSON",
        }
    }

    fn expected(&self, text: Option<Text>) -> AnswerFacts {
        let usage = self.usage.map(|(input, cached, output)| Usage {
            input: Tokens(input),
            cached_input: Tokens(cached),
            output: Tokens(output),
        });
        let in_band_error = self.error.map(|status| InBandError { status });
        let form = match self.name.rsplit_once('.') {
            Some((_, "sse")) => Form::Events,
            Some((_, "ndjson")) => Form::Lines,
            _ => Form::Json,
        };
        let (end, content_events) = (self.end, self.content);
        let undivided = Tokens(0);
        AnswerFacts { usage, undivided, in_band_error, fallback: false, form, end, content_events, text }
    }
}

/// The facts, and how many of the chunks brought the first piece.
fn observe<'a>(
    api: Api,
    content_type: &[u8],
    chunks: impl IntoIterator<Item = &'a [u8]>,
    ended: bool,
) -> (AnswerFacts, usize) {
    let mut observer = Observer::new(api, 200, Some(content_type));
    let first = chunks.into_iter().filter(|chunk| observer.push(chunk)).count();
    (observer.finish(ended), first)
}

fn events(body: &str) -> AnswerFacts {
    observe(Api::ChatCompletions, b"text/event-stream", [body.as_bytes()], true).0
}

fn json(body: &str) -> AnswerFacts {
    observe(Api::ChatCompletions, b"application/json", [body.as_bytes()], true).0
}

fn lines(body: &str, ended: bool) -> AnswerFacts {
    observe(Api::LightRagQuery, b"application/x-ndjson", [body.as_bytes()], ended).0
}

/// Bytes of its text.
fn bytes(facts: &AnswerFacts) -> Option<u64> {
    facts.text.map(|text| text.bytes)
}

#[test]
fn golden_answers() {
    for case in &CASES {
        let (facts, first) = observe(case.api, case.content_type(), [case.body], true);
        assert_eq!(facts, case.expected(facts.text), "{}", case.name);
        assert_eq!(first, usize::from(case.content > 0), "{}", case.name);
    }
}

#[test]
fn byte_by_byte_says_the_same() {
    for case in &CASES {
        let (facts, first) = observe(case.api, case.content_type(), case.body.chunks(1), true);
        assert_eq!(facts, case.expected(facts.text), "{}", case.name);
        assert_eq!(first, usize::from(case.content > 0), "{}", case.name);
    }
}

#[test]
fn a_complete_answer_cut_anywhere_before_its_last_mark_is_truncated() {
    for (name, mark) in [
        ("chat.json", "}"),
        ("messages.sse", "event: message_stop"),
        ("responses.sse", "event: response.completed"),
        ("perplexity.sse", "\"stop\""),
        ("lightrag.json", "}"),
        ("gemini.json", "}"),
        ("gemini_list.json", "]"),
        ("gemini.sse", "\"STOP\""),
    ] {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let mark = memchr::memmem::rfind(case.body, mark.as_bytes()).unwrap();
        for end in (0..=mark).step_by(1 + case.body.len() / 500) {
            let (facts, _) = observe(case.api, case.content_type(), [&case.body[..end]], false);
            assert_eq!(facts.end, StreamEnd::Truncated, "{name} cut at {end}");
            assert!(facts.in_band_error.is_none(), "{name} cut at {end}");
        }
    }
}

#[test]
fn the_first_piece_is_not_the_first_event() {
    let mut observer = Observer::new(Api::ChatCompletions, 200, Some(b"text/event-stream"));
    assert!(!observer.push(b": keep-alive\n\n"));
    assert!(!observer.push(b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"));
    assert!(!observer.push(b"data: {\"choices\":[{\"delta\":{\"content\":\""));
    assert!(observer.push(b"H"));
    assert!(!observer.push(b"i\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"!\"}}]}\n\n"));
    assert_eq!(observer.finish(true).content_events, 2);
}

#[test]
fn the_text_of_the_pieces_is_measured_in_every_api() {
    let chat = "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"four\",\"content\":\"\"}}]}\n\n";
    let anthropic =
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"four\"}}\n\n";
    let tool = "data: {\"type\":\"content_block_delta\",\"delta\":{\"partial_json\":\"four\"}}\n\n";
    let responses = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"four\"}\n\n";
    for event in [chat, anthropic, tool, responses] {
        let facts = events(&event.repeat(3));
        assert_eq!((facts.content_events, bytes(&facts)), (3, Some(12)), "{event}");
    }
    assert_eq!(bytes(&lines("{\"response\":\"four\"}\n", true)), Some(4));
    assert_eq!(bytes(&json("{\"choices\":[{\"text\":\"four\"}]}")), Some(4));
}

#[test]
fn what_is_not_watched_says_nothing() {
    let body = br#"{"error":{"message":"no"},"usage":{"prompt_tokens":1}}"#;
    let nothing = AnswerFacts {
        undivided: Tokens(0),
        usage: None,
        in_band_error: None,
        fallback: false,
        form: Form::Unwatched,
        end: StreamEnd::Unknown,
        content_events: 0,
        text: None,
    };
    for mut observer in [
        Observer::new(Api::ChatCompletions, 429, Some(b"application/json")),
        Observer::new(Api::ChatCompletions, 500, None),
        Observer::unread(Api::ChatCompletions),
        Observer::new(Api::OpenAiOther, 200, Some(b"audio/mpeg")),
    ] {
        assert!(!observer.is_watching());
        assert!(!observer.push(body));
        assert_eq!(observer.finish(true), nothing);
    }
}

#[test]
fn lines_end_in_any_of_three_ways_and_a_byte_order_mark_is_no_field() {
    for newline in ["\n", "\r", "\r\n"] {
        let body = "\u{FEFF}data: {\"usage\":{\"prompt_tokens\":3}}||data:[DONE]||".replace('|', newline);
        let facts = events(&body);
        assert_eq!((facts.usage.unwrap().input, facts.end), (Tokens(3), StreamEnd::Complete), "{newline:?}");
    }
}

#[test]
fn each_last_mark_ends_a_stream() {
    for mark in [
        "[DONE]",
        "[DONE] ",
        "{\"type\":\"message_stop\"}",
        "{\"type\":\"response.completed\",\"response\":{}}",
        "{\"type\":\"response.incomplete\"}",
        "{\"type\":\"end_of_stream\"}",
        "{\"choices\":[{\"finish_reason\":\"length\"}]}",
    ] {
        assert_eq!(events(&format!("data: {{}}\n\ndata: {mark}")).end, StreamEnd::Complete, "{mark}");
        assert_eq!(events(&format!("data: {{}}\n\nid: {mark}\n\n")).end, StreamEnd::Truncated, "{mark}");
    }
    for none in ["[DONE", "DONE", "{\"type\":\"message_stopped\"}", "{\"choices\":[{\"finish_reason\":null}]}"] {
        assert_eq!(events(&format!("data: {none}\n\n")).end, StreamEnd::Truncated, "{none}");
    }
}

#[test]
fn data_may_have_several_lines() {
    let facts = events("data: {\"usage\":\ndata:  {\"prompt_tokens\":\ndata: 12}}\n\ndata: [DONE]");
    assert_eq!((facts.usage.unwrap().input, facts.end), (Tokens(12), StreamEnd::Complete));
}

#[test]
fn a_line_end_split_over_chunks_is_no_blank_line() {
    let body = b"data: {\"usage\":\r\ndata: {\"prompt_tokens\":12}}\r\n\r\n";
    let (facts, _) = observe(Api::ChatCompletions, b"text/event-stream", body.chunks(1), true);
    assert_eq!(facts.usage.unwrap().input, Tokens(12));
}

#[test]
fn a_line_end_in_data_separates() {
    // Two lines of one event are joined by a line feed: `1` and `2` are not `12`.
    let usage = events("data: {\"usage\":{\"prompt_tokens\":1\ndata: 2}}\n\ndata: [DONE]\n\n").usage;
    assert_eq!(usage.unwrap().input, Tokens(1));
}

#[test]
fn pieces_have_many_forms() {
    for delta in [
        "\"content\":\"a\"",
        "\"content\":\"\\n\"",
        "\"content\":[{\"type\":\"text\"}]",
        "\"reasoning_content\":\"a\"",
        "\"reasoning\":\"a\"",
        "\"refusal\":\"a\"",
        "\"tool_calls\":[{\"index\":0}]",
    ] {
        let event = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{{delta},\"content\":\"b\"}}}}]}}\n\n");
        assert_eq!(events(&event).content_events, 1, "{delta}");
        let event = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{{delta}}}}}]}}\n\n");
        assert_eq!(events(&event).content_events, 1, "{delta}");
    }
    for none in ["", "\"content\":\"\"", "\"content\":null", "\"tool_calls\":[]", "\"role\":\"assistant\""] {
        let event = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{{none}}}}}]}}\n\n");
        assert_eq!(events(&event).content_events, 0, "{none}");
    }
}

#[test]
fn usage_may_stand_in_any_of_the_envelopes() {
    for envelope in ["message", "response", "x_groq"] {
        let facts = events(&format!("data: {{\"{envelope}\":{{\"usage\":{{\"prompt_tokens\":5}}}}}}\n\n"));
        assert_eq!(facts.usage.map(|usage| usage.input), Some(Tokens(5)), "{envelope}");
    }
    assert_eq!(events("data: {\"other\":{\"usage\":{\"prompt_tokens\":5}}}\n\n").usage, None);
}

#[test]
fn a_missing_blank_line_does_not_hide_an_event() {
    let facts =
        events("data: {\"choices\":[{\"text\":\"a\"}]}\ndata: {\"choices\":[{\"text\":\"b\"}]}\ndata: [DONE]\n");
    assert_eq!((facts.content_events, facts.end), (2, StreamEnd::Complete));
}

#[test]
fn a_broken_event_does_not_hide_the_next() {
    let long = format!("no colon {}", "x".repeat(100));
    let facts = events(&format!(
        "data: {{\"a\":[\"open\n\n{long}\ndata: oops}}\n\ndata: {{\"usage\":{{\"prompt_tokens\":4}}}}\n\n"
    ));
    assert_eq!((facts.usage.unwrap().input, facts.end), (Tokens(4), StreamEnd::Truncated));
}

#[test]
fn a_long_line_without_a_field_is_not_a_blank_one() {
    let long = "x".repeat(100);
    let facts = events(&format!("data: {{\"usage\":\n{long}\ndata: {{\"prompt_tokens\":4}}}}\n\n"));
    assert_eq!(facts.usage.unwrap().input, Tokens(4));
}

#[test]
fn words_in_the_text_are_not_fields() {
    let facts = events(
        "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\": {\\\"usage\\\": 1}\",\"error\":1}}],\"x\":{\"error\":1,\"usage\":{\"prompt_tokens\":1}}}\n\ndata: [DONE]\n\n",
    );
    assert_eq!((facts.in_band_error.is_some(), facts.usage, facts.content_events), (false, None, 1));
}

#[test]
fn errors_have_many_forms() {
    for error in [
        "{\"error\":{\"code\":500}}",
        "{\"error\":\"overloaded\"}",
        "{\"error\":[1]}",
        "{\"error\":1}",
        "{\"type\":\"error\"}",
        // Gemini, where it does not stream by events.
        "[{\"error\":1}]",
    ] {
        assert!(events(&format!("data: {error}\n\n")).in_band_error.is_some(), "{error}");
        assert!(json(error).in_band_error.is_some(), "{error}");
        assert!(lines(error, true).in_band_error.is_some(), "{error}");
    }
    assert!(events("event: error\ndata: not even JSON\n\n").in_band_error.is_some());
    for fine in [
        "{\"text\":\"a\",\"error\":null}",
        "{\"error\":false,\"text\":\"a\"}",
        "{\"data\":{\"error\":1}}",
        "{\"errors\":1,\"text\":\"a\"}",
        "{\"err\\\"or\":1}",
        "[[{\"error\":1}]]",
        "{\"type\":\"errors\",\"text\":\"a\"}",
    ] {
        assert!(events(&format!("data: {fine}\n\n")).in_band_error.is_none(), "{fine}");
        assert!(json(fine).in_band_error.is_none(), "{fine}");
    }
}

#[test]
fn a_json_answer_is_complete_when_it_is_closed() {
    for complete in ["{}", " [1, {\"a\":[]}] ", "\"text\"", "null", "{\"a\":\"}\\\"\"}\n", "{} and more"] {
        assert_eq!(json(complete).end, StreamEnd::Complete, "{complete}");
    }
    for open in ["", "  ", "{", "[1,", "\"te", "{\"a\":{}", "{\"a\":\"}"] {
        assert_eq!(json(open).end, StreamEnd::Truncated, "{open}");
    }
    assert_eq!(json("\u{1f}\u{8b} compressed").end, StreamEnd::Unknown);
}

#[test]
fn lines_of_json_end_with_the_stream() {
    assert_eq!(lines("{\"response\":\"a\"}\n{\"response\":\"\"}\n", true).content_events, 1);
    assert_eq!(lines("{\"response\":\"a\"}\n{\"response\":\"b\"}", true).end, StreamEnd::Complete);
    assert_eq!(lines("{\"response\":\"a\"}\n", false).end, StreamEnd::Truncated);
    assert_eq!(lines("{\"response\":\"a\"}\n{\"respo", true).end, StreamEnd::Truncated);
    assert_eq!(lines("", true).end, StreamEnd::Truncated);
    // Two of them in one line, or one after the other where one was announced.
    assert_eq!(lines("{\"response\":\"a\"}{\"response\":\"b\"} [{}\n{\"response\":\"c\"}", true).content_events, 3);
    for pause in ["", "\n", " \r\n"] {
        let body = format!("{{\"response\":\"a\"}}{pause}{{\"response\":\"b\"}}");
        let facts = json(&body);
        assert_eq!((facts.content_events, facts.form, facts.end), (2, Form::Lines, StreamEnd::Complete), "{body}");
    }
}

#[test]
fn a_stream_that_is_none_has_an_unknown_end() {
    assert_eq!(events("\u{1f}\u{8b}\u{8}garbage\n\n").end, StreamEnd::Unknown);
    assert_eq!(events("").end, StreamEnd::Truncated);
    assert_eq!(events("data: {\"choices\":[]}\n\n").end, StreamEnd::Truncated);
}

#[test]
fn a_usage_object_of_any_size_is_read_to_its_end() {
    let padding = "x".repeat(5_000);
    let facts = json(&format!("{{\"usage\":{{\"prompt_tokens\":1,\"a\":\"{padding}\"}},\"error\":\"after\"}}"));
    assert_eq!(facts.usage.unwrap().input, Tokens(1));
    assert_eq!((facts.in_band_error.is_some(), facts.end), (true, StreamEnd::Complete));
}

proptest! {
    #[test]
    fn any_chunking_says_the_same(index in 0..CASES.len(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let case = &CASES[index];
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(case.body.len())).collect();
        cuts.extend([0, case.body.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &case.body[cut[0]..cut[1]]);
        let (facts, first) = observe(case.api, case.content_type(), chunks, true);
        prop_assert_eq!(facts, case.expected(facts.text));
        prop_assert_eq!(first, usize::from(case.content > 0));
    }

    /// Bytes from which streams, and broken ones, are made.
    #[test]
    fn arbitrary_bytes_in_any_chunking_say_the_same(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "data: ", "data:", "event: error", "\"code\":", "400", "\"400\"", "\"rate_limit_error\"", "\"status\":", "\"failed\"", "\"detail\":",
                    "\"finish_reason\":", "\"stop\"", "\"message\":", "\"done\":", "true", "false", "0", "\"eval_count\":7", "\"llm_generated\":false", "[no-context]", "<html>", "id", "\n", "\r", "\r\n", "\n\n", "{", "}", "[", "]", "\"", "\\", ":", ",",
                    "\"usage\":", "{\"prompt_tokens\":7}", "\"error\":", "\"choices\":[{", "\"delta\":{", "\"content\":", "\"é🌈\"",
                    "\"candidates\":[{", "\"content\":{\"parts\":[{", "\"text\":", "\"type\":", "\"message_stop\"", "\"response\":", "null", "[DONE]", "\u{FEFF}", " ",
                ]).prop_map(|text| text.as_bytes().to_vec()),
                any::<[u8; 2]>().prop_map(|bytes| bytes.to_vec()),
            ],
            0..60,
        ),
        size in 1_usize..9,
        kind in 0_usize..4,
        ended: bool,
    ) {
        let body = pieces.concat();
        let content_type = [b"text/event-stream".as_slice(), b"application/json", b"application/x-ndjson", b"text/plain"][kind];
        let whole = observe(Api::ChatCompletions, content_type, [body.as_slice()], ended);
        let pieces = observe(Api::ChatCompletions, content_type, body.chunks(size), ended);
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn the_scanner_agrees_with_a_parser(body in any_answer(), pretty: bool) {
        let bytes = if pretty { serde_json::to_vec_pretty(&body) } else { serde_json::to_vec(&body) }.unwrap();
        // An answer, so that nothing but what says so is an error.
        let api = Api::OpenAiOther;
        let (facts, _) = observe(api, b"application/json", bytes.chunks(7), true);
        let error = is_something(&body["error"]) || body["type"] == "error" || body["object"] == "error";
        prop_assert_eq!(facts.in_band_error.is_some(), error);
        prop_assert_eq!(observe(api, b"application/json", [bytes.as_slice()], true).0, facts);
        prop_assert_eq!(facts.end, StreamEnd::Complete);
        let input = body["usage"]["prompt_tokens"].as_u64().filter(|tokens| (1..=10_000_000).contains(tokens));
        prop_assert_eq!(facts.usage.map(|usage| usage.input.0), input);
    }
}

/// Whether anything in it is more than nothing.
fn is_something(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Bool(value) => *value,
        serde_json::Value::Number(number) => number.as_f64() != Some(0.0),
        serde_json::Value::String(text) => !text.trim().is_empty(),
        serde_json::Value::Array(list) => list.iter().any(is_something),
        serde_json::Value::Object(members) => members.values().any(is_something),
    }
}

/// A body with the fields that matter and others, each of any form, in any order.
fn any_answer() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        prop::sample::select(vec!["", "error", "a\"b\\", "{", "]}", "é🌈\n", "response.failure"]).prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 3, |inner| {
        let key = prop::sample::select(vec!["usage", "error", "type", "prompt_tokens", "choices", "details", "a\"}"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(key.prop_map(str::to_owned), inner, 0..3).prop_map(Value::from_iter),
        ]
    });
    let key = prop::sample::select(vec!["usage", "error", "type", "object", "data", "output"]);
    prop::collection::hash_map(key.prop_map(str::to_owned), value, 0..6).prop_map(Value::from_iter)
}
