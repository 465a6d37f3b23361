//! Bodies and headers of answers.

use super::*;

const CHUNK: &str =
    r#"data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word "}}]}"#;

/// What it takes to watch an answer of this kind, in pieces of that size.
fn cost(path: &str, content_type: &str, more: &[(&str, &str)], piece: usize, body: &[u8]) -> Cost {
    let mut vm = Vm::new(&router());
    let stream = vm.request(post(path, &[]), br#"{"messages":[{"content":"hello"}],"stream":true}"#);
    let mut headers = vec![field(":status", "200"), field("content-type", content_type)];
    headers.extend(more.iter().map(|(name, value)| field(name, value)));
    let steps = vm.steps(|vm| vm.answer(stream, headers, body.chunks(piece)));
    Cost { bytes: body.len(), steps }
}

const EVENTS: Shape = ("an ordinary stream", |n| filled(n, "", CHUNK, "\n\n", "\n\ndata: [DONE]\n\n"));

const STREAMS: &[Shape] = &[
    EVENTS,
    ("a line that is it all", |n| filled(n, "data: ", "word ", "", "")),
    ("a text that is it all", |n| filled(n, r#"data: {"choices":[{"delta":{"content":""#, "word ", "", r#""}}]}"#)),
    ("escapes", |n| filled(n, r#"data: {"choices":[{"delta":{"content":""#, r"\n", "", r#""}}]}"#)),
    ("ends of lines", |n| repeated("\n", n).into_bytes()),
    ("ends of lines of two letters", |n| repeated("\r\n", n).into_bytes()),
    ("comments", |n| repeated(":\n\n", n).into_bytes()),
    ("data of nothing", |n| repeated("data\n", n).into_bytes()),
    ("data of next to nothing", |n| repeated("data:1\n\n", n).into_bytes()),
    ("data of one event, line by line", |n| repeated("data:,\n", n).into_bytes()),
    ("empty objects", |n| repeated("data:{}\n\n", n).into_bytes()),
    ("lists in lists", |n| filled(n, "data: ", "[", "", "")),
    ("choices of nothing", |n| filled(n, r#"data: {"choices":["#, "{}", ",", "]}")),
    ("choices of numbers", |n| filled(n, r#"data: {"choices":["#, "1", ",", "]}")),
    ("fields of nothing", |n| filled(n, "data: {", r#""":1"#, ",", "}")),
    ("usage again and again", |n| repeated("data:{\"usage\":{\"prompt_tokens\":1}}\n\n", n).into_bytes()),
    ("usage of nothing in one event", |n| filled(n, "data: {", r#""usage":{}"#, ",", "}")),
    ("usage that is it all", |n| filled(n, r#"data: {"usage":{"prompt_tokens":["#, "1", ",", "]}}")),
    ("usage of four kilobytes each", |n| {
        let usage = format!("data:{{\"usage\":{{\"prompt_tokens\":[{}1]}}}}\n\n", "1,".repeat(1_900));
        filled(n, "", &usage, "", "")
    }),
    ("usage of four kilobytes in lists", |n| {
        let usage = format!("data:{{\"usage\":{{\"a\":{}{}}}}}\n\n", "[".repeat(100), "]".repeat(100));
        filled(n, "", &usage, "", "")
    }),
    ("usage that might have to be hidden", |n| {
        filled(n, "", r#"data:{"choices":[],"usage":{"prompt_tokens":1}}"#, "\n\n", "")
    }),
    ("events that might have to be hidden, and need not", |n| {
        let event = format!(r#"data:{{"choices":[],"pad":"{}","usage":null}}"#, "x".repeat(60_000));
        filled(n, "", &event, "\n\n", "")
    }),
    ("choices that carry nothing beside usage", |n| {
        filled(n, "", r#"data:{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1}}"#, "\n\n", "")
    }),
    ("choices that carry nothing, without an end", |n| filled(n, r#"data:{"choices":["#, r#"{"delta":{}}"#, ",", "")),
    ("usage beside what a choice carries", |n| {
        filled(n, "", r#"data:{"choices":[{"text":"a"}],"usage":{"a":{"b":[{}]}}}"#, "\n\n", "")
    }),
    ("members of a usage", |n| filled(n, r#"data: {"usage":{"#, r#""prompt_tokens":"1""#, ",", "}}")),
    ("members of a usage that is unknown", |n| filled(n, r#"data: {"usage":{"#, r#""a":{"b":{}}"#, ",", "}}")),
    ("braces in a text", |n| filled(n, r#"data: {"choices":[{"text":""#, "{}", "", r#""}]}"#)),
    ("lines of a usage", |n| filled(n, "data: {\"usage\":{\n", "data: \n", "", "")),
    ("an event that might have to be hidden, without an end", |n| {
        filled(n, r#"data:{"choices":[],"pad":["#, "1,", "", "")
    }),
    ("arguments of a call", |n| {
        let begin = r#"data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":""#;
        filled(n, begin, r#"{\"a\":1}"#, ",", "\"}}]}}]}")
    }),
    ("arguments that are JSON", |n| {
        filled(n, r#"data: {"choices":[{"delta":{"tool_calls":[{"arguments":{"#, r#""a":{"b":1}"#, ",", "}}]}}]}")
    }),
    ("details of reasoning", |n| {
        let detail = r#"{"type":"reasoning.text","text":"why","signature":"AAAA"}"#;
        filled(n, r#"data: {"choices":[{"delta":{"reasoning_details":["#, detail, ",", "]}}]}")
    }),
    ("what tools found", |n| {
        filled(n, r#"data: {"content":["#, r#"{"text":"a","type":"web_search_tool_result"}"#, ",", "]}")
    }),
    ("parts in parts", |n| filled(n, r#"data: {"content":"#, r#"{"content":"#, "", "")),
    ("characters by number", |n| filled(n, r#"data: {"choices":[{"delta":{"content":""#, r"\u00e9", "", r#""}}]}"#)),
    ("fields of another dialect", |n| filled(n, "data: {", r#""a":["b",{"c":"d"}]"#, ",", "}")),
    ("names of fields without an end", |n| filled(n, "", "d", "", "")),
    ("colons", |n| filled(n, "", ":", "", "")),
];

#[test]
fn a_stream_costs_the_same_for_each_byte_whatever_it_is() {
    let cost = |body: &[u8]| cost("/v1/chat/completions", "text/event-stream", &[], 16 * KIB, body);
    bounded("events", 64 * KIB, 20.0, STREAMS, cost);
}

#[test]
fn so_does_one_of_which_an_event_is_to_be_hidden() {
    let hides = [(":llm-unasked", "usage")];
    let cost = |body: &[u8]| cost("/v1/chat/completions", "text/event-stream", &hides, 16 * KIB, body);
    bounded("hidden", 64 * KIB, 20.0, STREAMS, cost);
}

#[test]
fn pieces_cost_the_same_however_small_they_are() {
    // What a callback costs is Envoy's business too: here one of 64 bytes is the measure for one of any stream.
    let hides = [(":llm-unasked", "usage")];
    for more in [&[][..], &hides] {
        let cost = |body: &[u8]| cost("/v1/chat/completions", "text/event-stream", more, 64, body);
        bounded("pieces", 32 * KIB, 20.0, STREAMS, cost);
    }
}

#[test]
fn so_do_answers_in_one_piece_and_lines() {
    let shapes: &[Shape] = &[
        ("an ordinary answer", |n| {
            let choice = r#"{"index":0,"message":{"role":"assistant","content":"What is said in few words."},"finish_reason":"stop"}"#;
            filled(n, r#"{"object":"chat.completion","choices":["#, choice, ",", r#"],"usage":{"prompt_tokens":1}}"#)
        }),
        ("brackets", |n| filled(n, "", "[", "", "")),
        ("brackets that close", |n| filled(n, "", "]", "", "")),
        ("brackets of Gemini", |n| {
            filled(n, "[", r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#, ",", "]")
        }),
        ("commas", |n| filled(n, "{", ",", "", "")),
        ("colons", |n| filled(n, "{", ":", "", "")),
        ("quotes", |n| filled(n, "{", "\"", "", "")),
        ("backslashes", |n| filled(n, "{\"", "\\", "", "")),
        ("usage again and again", |n| filled(n, "{", r#""usage":{"prompt_tokens":1}"#, ",", "}")),
        ("errors again and again", |n| filled(n, "{", r#""error":{"message":""}"#, ",", "}")),
        ("types again and again", |n| filled(n, "{", r#""type":"error""#, ",", "}")),
        ("calls of nothing", |n| filled(n, r#"{"choices":[{"delta":{"tool_calls":["#, "1", ",", "]}}]}")),
        ("white space", |n| filled(n, "{", " ", "", "}")),
        ("digits", |n| filled(n, "{\"a\":1", "9", "", "}")),
    ];
    for content_type in ["application/json", "application/x-ndjson"] {
        let cost = |body: &[u8]| cost("/v1/chat/completions", content_type, &[], 16 * KIB, body);
        bounded(content_type.rsplit('/').next().unwrap(), 64 * KIB, 20.0, shapes, cost);
    }
    let lines: &[Shape] = &[
        ("ordinary lines", |n| filled(n, "", r#"{"response":"What is said in few words is soon read."}"#, "\n", "\n")),
        ("ends of lines", |n| filled(n, "", "\n", "", "")),
        ("empty objects", |n| filled(n, "", "{}", "\n", "\n")),
        ("numbers", |n| filled(n, "", "1", "\n", "\n")),
        ("one line", |n| filled(n, r#"{"response":""#, "word ", "", "")),
        ("usage", |n| filled(n, "", r#"{"usage":{"prompt_tokens":1}}"#, "\n", "\n")),
    ];
    bounded("lines", 64 * KIB, 20.0, lines, |body| cost("/query/stream", "application/x-ndjson", &[], 16 * KIB, body));
}

#[test]
fn so_do_the_headers_of_answers() {
    let cost = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let more: Vec<_> = text.lines().map(|line| line.split_once(": ").unwrap()).collect();
        Cost { bytes: bytes.len(), ..cost("/v1/chat/completions", "application/json", &more, 100, b"{}") }
    };
    let shapes: &[Shape] = &[
        ("ordinary ones", |n| filled(n, "", "set-cookie: session=0123456789abcdef; path=/", "\n", "")),
        ("short ones", |n| filled(n, "", "a: b", "\n", "")),
        ("forged ones of one name", |n| filled(n, "", "x-llm-backend: forged", "\n", "")),
        ("forged ones of many names", |n| {
            let lines: Vec<_> = (0..n / 14).map(|at| format!("x-llm-{at:04}: 1")).collect();
            lines.join("\n").into_bytes()
        }),
        ("quotas", |n| filled(n, "", "x-ratelimit-remaining-requests: 7\nx-ratelimit-limit-requests: 9", "\n", "")),
        ("resets", |n| filled(n, "", "x-ratelimit-reset-tokens: 1h2m3s4ms", "\n", "")),
        ("a reset of all units", |n| filled(n, "x-ratelimit-reset-tokens: ", "1ms", "", "")),
        ("a reset of all digits", |n| filled(n, "x-ratelimit-reset-tokens: ", "9", "", "")),
        ("a fraction of all digits", |n| filled(n, "x-ratelimit-reset-tokens: 0.", "9", "", "s")),
        ("a name of many words", |n| filled(n, "x-ratelimit", "-reset", "", ": 1")),
        ("a moment to come again", |n| filled(n, "", "retry-after: Sun, 06 Nov 1994 08:49:37 GMT", "\n", "")),
        ("a wait of all digits", |n| filled(n, "retry-after: ", "9", "", "")),
        ("a wait of spaces", |n| filled(n, "retry-after-ms: ", " ", "", "7")),
        ("a date that is it all", |n| filled(n, "date: ", "Sun, ", "", "")),
        ("a type that is it all", |n| filled(n, "content-type: ", "; a=b", "", "")),
    ];
    bounded("quotas", 60 * KIB, 20.0, shapes, cost);
}
