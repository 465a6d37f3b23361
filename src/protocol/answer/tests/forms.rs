//! What a body is, is told by its first bytes; and the answers of the newer APIs.

use super::super::*;
use super::bytes;
use crate::domain::Tokens;

/// The facts, and in which chunk the first piece came, whatever chunks it comes in.
fn observe(api: Api, content_type: Option<&str>, body: &str) -> AnswerFacts {
    let by = |size: usize| {
        let mut observer = Observer::new(api, 200, content_type.map(str::as_bytes));
        let first = body.as_bytes().chunks(size).filter(|chunk| observer.push(chunk)).count();
        let facts = observer.finish(true);
        assert_eq!(first, usize::from(facts.content_events > 0), "{body} by {size}");
        facts
    };
    let facts = by(body.len().max(1));
    for size in [1, 2, 3, 5, 64] {
        assert_eq!(by(size), facts, "{body} by {size}");
    }
    facts
}

const TYPES: [Option<&str>; 7] = [
    None,
    Some(""),
    Some("text/plain; charset=utf-8"),
    Some("text/html"),
    Some("application/octet-stream"),
    Some("application/json"),
    Some("text/event-stream"),
];

#[test]
fn events_are_told_by_their_first_bytes() {
    let piece = r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    for content_type in TYPES {
        for before in [
            "",
            "\n",
            "\r\n\r\n",
            ": comment\n\n",
            ":\n\n",
            "\u{feff}",
            " \u{feff}",
            "id: 7\n",
            "id\n",
            "retry:9\r\n",
            "event: message\n",
        ] {
            for (space, end) in [(" ", "\n"), ("", "\n"), (" ", "\r\n"), ("", "\r")] {
                let body = format!("{before}data:{space}{piece}{end}{end}data:{space}[DONE]{end}{end}");
                let facts = observe(Api::ChatCompletions, content_type, &body);
                assert_eq!(facts.form, Form::Events, "{content_type:?} {body}");
                assert_eq!(
                    (facts.content_events, bytes(&facts), facts.end),
                    (1, Some(2), StreamEnd::Complete),
                    "{body}"
                );
                assert_eq!(facts.usage.map(|usage| usage.output), Some(Tokens(2)), "{body}");
            }
        }
    }
}

#[test]
fn json_is_told_by_its_first_bytes() {
    let answer = r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    let types = ["application/problem+json", "application/vnd.api+json", "text/json", "application/x-whatever"];
    for content_type in TYPES.into_iter().chain(types.map(Some)) {
        for before in ["", " ", "\n\n", "\u{feff}", "\t\r\n"] {
            let facts = observe(Api::ChatCompletions, content_type, &format!("{before}{answer}\n"));
            assert_eq!((facts.form, facts.end), (Form::Json, StreamEnd::Complete), "{content_type:?}");
            assert_eq!((facts.usage.map(|usage| usage.input), bytes(&facts)), (Some(Tokens(5)), Some(2)));
            assert_eq!(facts.in_band_error, None);
        }
    }
}

#[test]
fn lines_are_told_by_their_type_or_by_what_follows_the_first() {
    let body = "{\"response\":\"a\"}\n{\"response\":\"b\"}\n";
    for content_type in [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/stream+json",
        "application/json-seq",
    ] {
        let facts = observe(Api::LightRagQuery, Some(content_type), body);
        assert_eq!(
            (facts.form, facts.content_events, facts.end),
            (Form::Lines, 2, StreamEnd::Complete),
            "{content_type}"
        );
        let one = observe(Api::LightRagQuery, Some(content_type), "{\"response\":\"a\"}");
        assert_eq!((one.form, one.content_events, one.end), (Form::Lines, 1, StreamEnd::Complete), "{content_type}");
    }
    let sequence = "\u{1e}{\"response\":\"a\"}\n\u{1e}{\"response\":\"b\"}\n";
    assert_eq!(observe(Api::LightRagQuery, Some("application/json-seq"), sequence).content_events, 2);
    for content_type in TYPES {
        let facts = observe(Api::LightRagQuery, content_type, body);
        assert_eq!(
            (facts.form, facts.content_events, facts.end),
            (Form::Lines, 2, StreamEnd::Complete),
            "{content_type:?}"
        );
    }
}

#[test]
fn a_page_or_a_text_is_no_answer_of_an_api_that_has_json() {
    for content_type in TYPES {
        for page in ["<!DOCTYPE html><html>", "\n <html lang=\"en\">{}</html>", "<?xml version=\"1.0\"?><e/>"] {
            for api in [Api::ChatCompletions, Api::Messages, Api::LightRagQuery, Api::CountTokens, Api::OpenAiOther] {
                let facts = observe(api, content_type, page);
                let expected = (Form::Html, StreamEnd::Unknown, None);
                assert_eq!((facts.form, facts.end, facts.in_band_error), expected, "{content_type:?} {page}");
                assert!(facts.form.is_foreign());
            }
        }
        for text in ["OK", "Service is starting", "dat", "date: today", "identity", "\u{1}\u{2}", "event", "e"] {
            let facts = observe(Api::ChatCompletions, content_type, text);
            assert_eq!((facts.form, facts.in_band_error), (Form::Other, None), "{content_type:?} {text}");
            let other = observe(Api::OpenAiOther, content_type, text).form;
            assert!(!other.is_foreign() || content_type == Some("text/event-stream"), "{content_type:?} {text}");
        }
    }
    let facts = observe(Api::ChatCompletions, Some("audio/mpeg"), "ID3");
    assert_eq!(facts.form, Form::Other);
    assert_eq!(observe(Api::OpenAiOther, Some("audio/mpeg"), "{}").form, Form::Unwatched);
    // Compressed by somebody who does not say so.
    let mut observer = Observer::new(Api::ChatCompletions, 200, Some(b"application/json"));
    observer.push(b"\x1f");
    observer.push(b"\x8b\x08\0");
    let facts = observer.finish(true);
    assert_eq!((facts.form, facts.end, facts.in_band_error), (Form::Unwatched, StreamEnd::Unknown, None));
}

/// An answer of one of the newer APIs: its body, its pieces, input and output tokens.
struct New {
    api: Api,
    content_type: &'static str,
    body: &'static str,
    form: Form,
    pieces: u64,
    usage: Option<(u64, u64)>,
}

const fn new(
    api: Api,
    content_type: &'static str,
    form: Form,
    pieces: u64,
    usage: Option<(u64, u64)>,
    body: &'static str,
) -> New {
    New { api, content_type, body, form, pieces, usage }
}

const SSE: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

const NEW: [New; 15] = [
    new(
        Api::OllamaChat,
        NDJSON,
        Form::Lines,
        2,
        Some((26, 9)),
        concat!(
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":"The"},"done":false}"#,
            "\n",
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":" sky"},"done":false}"#,
            "\n",
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":4,"prompt_eval_count":26,"eval_count":9}"#,
            "\n",
        ),
    ),
    new(
        Api::OllamaChat,
        JSON,
        Form::Json,
        0,
        Some((26, 9)),
        r#"{"model":"m","message":{"role":"assistant","content":"Hi","thinking":"hm"},"done":true,"prompt_eval_count":26,"eval_count":9}"#,
    ),
    new(
        Api::OllamaGenerate,
        NDJSON,
        Form::Lines,
        2,
        Some((5, 7)),
        concat!(
            r#"{"model":"m","response":"The","done":false}"#,
            "\n",
            r#"{"model":"m","thinking":"hm","response":"","done":false}"#,
            "\n",
            r#"{"model":"m","response":"","done":true,"done_reason":"stop","context":[1,2],"eval_count":7,"prompt_eval_count":5}"#,
            "\n",
        ),
    ),
    new(
        Api::OllamaGenerate,
        "application/json; charset=utf-8",
        Form::Lines,
        2,
        None,
        concat!(
            r#"{"response":"a","done":false}"#,
            "\n",
            r#"{"response":"b","done":false}"#,
            "\n",
            r#"{"response":"","done":true}"#,
        ),
    ),
    new(
        Api::LightRagQuery,
        NDJSON,
        Form::Lines,
        2,
        None,
        concat!(
            r#"{"references":[{"reference_id":"1"}]}"#,
            "\n",
            r#"{"response":"a"}"#,
            "\n",
            r#"{"response":"b"}"#,
            "\n",
            r#"{"response_time":1.5}"#,
            "\n",
        ),
    ),
    new(
        Api::LightRagQuery,
        JSON,
        Form::Json,
        0,
        None,
        r#"{"response":"a","references":null,"response_time":0.2,"llm_generated":true}"#,
    ),
    new(
        Api::LightRagOther,
        JSON,
        Form::Json,
        0,
        None,
        r#"{"status":"success","message":"Query executed","data":{"entities":[{"error":"x"}]},"metadata":{}}"#,
    ),
    new(
        Api::Sonar,
        SSE,
        Form::Events,
        1,
        Some((6, 12)),
        concat!(
            r#"data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"a"},"message":{"content":"a"}}],"usage":{"prompt_tokens":6,"completion_tokens":12},"search_results":[{"title":"t"}]}"#,
            "\n\n",
            r#"data: {"object":"chat.completion.done","choices":[{"delta":{"content":""},"finish_reason":"stop"}]}"#,
            "\n\n",
        ),
    ),
    new(
        Api::Agent,
        SSE,
        Form::Events,
        1,
        Some((8, 4)),
        concat!(
            "event: response.output_text.delta\n",
            r#"data: {"type":"response.output_text.delta","delta":"a"}"#,
            "\n\n",
            r#"data: {"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":8,"output_tokens":4}}}"#,
            "\n\n",
        ),
    ),
    new(
        Api::AsyncChat,
        JSON,
        Form::Json,
        0,
        None,
        r#"{"id":"1","model":"sonar-deep-research","status":"CREATED","response":null,"error_message":null}"#,
    ),
    new(
        Api::VertexMessages,
        SSE,
        Form::Events,
        1,
        Some((21, 9)),
        concat!(
            r#"data: {"type":"message_start","message":{"content":[],"usage":{"input_tokens":21,"output_tokens":1}}}"#,
            "\n\n",
            r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
            "\n\n",
            r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#,
            "\n\n",
            r#"data: {"type":"message_stop"}"#,
            "\n\n",
        ),
    ),
    new(
        Api::GeminiOther,
        JSON,
        Form::Json,
        0,
        None,
        r#"{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT"}]}"#,
    ),
    new(
        Api::OpenAiOther,
        SSE,
        Form::Events,
        1,
        Some((14, 45)),
        concat!(
            r#"data: {"type":"transcript.text.delta","delta":"I"}"#,
            "\n\n",
            r#"data: {"type":"transcript.text.done","text":"I","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
            "\n\n",
        ),
    ),
    new(
        Api::OpenAiOther,
        SSE,
        Form::Events,
        1,
        Some((50, 50)),
        concat!(
            "event: image_generation.partial_image\n",
            r#"data: {"type":"image_generation.partial_image","b64_json":"aGk=","partial_image_index":0}"#,
            "\n\n",
            r#"data: {"type":"image_generation.completed","b64_json":"aGk=","usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50}}"#,
            "\n\n",
        ),
    ),
    new(
        Api::OpenAiOther,
        SSE,
        Form::Events,
        1,
        Some((14, 101)),
        concat!(
            r#"data: {"type":"speech.audio.delta","audio":"aGk="}"#,
            "\n\n",
            r#"data: {"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}"#,
            "\n\n",
        ),
    ),
];

#[test]
fn the_answers_of_every_api_are_read() {
    for case in &NEW {
        let facts = observe(case.api, Some(case.content_type), case.body);
        assert_eq!((facts.form, facts.content_events), (case.form, case.pieces), "{}", case.body);
        assert_eq!(facts.usage.map(|usage| (usage.input.0, usage.output.0)), case.usage, "{}", case.body);
        assert_eq!((facts.in_band_error, facts.end), (None, StreamEnd::Complete), "{}", case.body);
        // The same without a content type.
        let bare = observe(case.api, None, case.body);
        assert_eq!((bare.usage, bare.in_band_error, bare.end), (facts.usage, None, facts.end), "{}", case.body);
    }
}

#[test]
fn ollamas_answers_end_by_their_last_line() {
    for (body, end) in [
        ("{\"response\":\"a\",\"done\":false}\n", StreamEnd::Truncated),
        ("{\"response\":\"a\",\"done\":false}\n{\"response\":\"b\",\"done\":false}\n", StreamEnd::Truncated),
        ("{\"response\":\"a\",\"done\":false}\n{\"response\":\"b\",\"done\":true}\n", StreamEnd::Complete),
        ("{\"response\":\"a\",\"done\":false}\n{\"error\":\"out of memory\"}\n", StreamEnd::Complete),
    ] {
        for content_type in [Some(NDJSON), Some(JSON), None] {
            assert_eq!(observe(Api::OllamaGenerate, content_type, body).end, end, "{content_type:?} {body}");
        }
    }
    // LightRAG says the same twice, then ends as if all were well.
    let failed = concat!(
        "{\"message\":{\"content\":\"\\n\\nError: Provider error: refused\"},\"error\":\"\\n\\nError: refused\",\"done\":false}\n",
        "{\"message\":{\"content\":\"\"},\"done\":true}\n",
    );
    let facts = observe(Api::OllamaChat, Some(NDJSON), failed);
    assert_eq!(facts.in_band_error, Some(InBandError { status: 500 }));
}
