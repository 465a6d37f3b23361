//! How much of an answer is text: the same in pieces and in one, with sources and without, in every dialect.

use super::super::*;
use crate::tokens;

const SSE: &[u8] = b"text/event-stream";
const LINES: &[u8] = b"application/x-ndjson";
const JSON: &[u8] = b"application/json";

/// The text of an answer, whatever chunks it comes in.
fn text(api: Api, content_type: &[u8], body: &str) -> Text {
    let by = |size: usize| {
        let mut observer = Observer::new(api, 200, Some(content_type));
        body.as_bytes().chunks(size).for_each(|chunk| _ = observer.push(chunk));
        observer.finish(true).text.expect("watched")
    };
    let whole = by(body.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(by(size), whole, "{body} by {size}");
    }
    whole
}

/// A stream of these events.
fn stream(events: &[&str]) -> String {
    let events: Vec<_> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    events.concat() + "data: [DONE]\n\n"
}

/// Of a stream of one event, and then of a body with the same choice as its message.
fn of_choice(part: &str) -> (u64, u64) {
    let event = format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"role":"assistant",{part}}}}}]}}"#);
    let whole = format!(r#"{{"id":"c","choices":[{{"index":0,"message":{{"role":"assistant",{part}}}}}]}}"#);
    let pieces = text(Api::ChatCompletions, SSE, &stream(&[&event])).bytes;
    (pieces, text(Api::ChatCompletions, JSON, &whole).bytes)
}

#[test]
fn all_that_a_model_writes_in_a_choice_is_measured() {
    for (part, bytes) in [
        (r#""content":"four""#, 4),
        (r#""content":[{"type":"text","text":"four"},{"type":"text","text":"five"}]"#, 8),
        (
            r#""content":[{"type":"thinking","thinking":[{"type":"text","text":"four"}]},{"type":"reference","reference_ids":[1]}]"#,
            4,
        ),
        (r#""content":["four","five"]"#, 8),
        (r#""refusal":"four""#, 4),
        (
            r#""content":null,"tool_calls":[{"index":0,"id":"call_123","type":"function","function":{"name":"four","arguments":"{\"a\":1}"}}]"#,
            4 + 7,
        ),
        (r#""tool_calls":[{"function":{"arguments":{"city":"Paris","days":[1,2]},"name":"four"}}]"#, 4 + 29),
        (r#""tool_calls":[{"type":"custom","custom":{"name":"four","input":"print(1)"}}]"#, 4 + 8),
        (r#""function_call":{"name":"four","arguments":"{\"id\":\"0123456789\"}"}"#, 4 + 19),
        (r#""reasoning_content":"four","content":"five""#, 8),
        (
            r#""reasoning":"four","reasoning_details":[{"type":"reasoning.text","text":"four","signature":"c2lnbmVk","format":"anthropic-claude-v1","index":0}]"#,
            4,
        ),
        (
            r#""reasoning_details":[{"type":"reasoning.summary","summary":"four"},{"type":"reasoning.encrypted","data":"ZW5jcnlwdGVk"}]"#,
            4,
        ),
        (r#""reasoning":"four","reasoning_content":"four","content":"five""#, 8),
        (
            r#""reasoning_content":"four","thinking_blocks":[{"type":"thinking","thinking":"four","signature":"c2lnbmVk"}]"#,
            4,
        ),
        (r#""audio":{"id":"audio_1","data":"AAAAAAAAAAAAAAAA","transcript":"four","expires_at":1729018505}"#, 4),
        (r#""images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}],"content":"four""#, 4),
        (r#""content":"four","annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t"}}]"#, 4),
        (r#""content":"four","context":{"citations":[{"content":"a chunk that was retrieved"}]}"#, 4),
        (r#""content":"","tool_calls":[],"function_call":null,"audio":null"#, 0),
    ] {
        assert_eq!(of_choice(part), (bytes, bytes), "{part}");
    }
}

#[test]
fn arguments_of_four_kilobytes_are_a_thousand_tokens_however_they_come() {
    let arguments = r#"{\"text\":\"word word word\"}"#.repeat(160);
    let length = arguments.replace("\\\"", "\"").len() as u64;
    for part in [
        format!(
            r#""tool_calls":[{{"index":0,"id":"call_1","type":"function","function":{{"name":"","arguments":"{arguments}"}}}}]"#
        ),
        format!(r#""function_call":{{"arguments":"{arguments}"}}"#),
        format!(r#""tool_calls":[{{"function":{{"arguments":"{arguments}"}},"id":"call_1","type":"function"}}]"#),
    ] {
        assert_eq!(of_choice(&part), (length, length));
        assert!(tokens::by_size(length).0 > 950);
    }
}

#[test]
fn an_escape_is_as_long_as_its_character() {
    for (escaped, plain) in [
        (r"\n\t\\\/", "\n\t\\/"),
        (r#"\"\b"#, "\"\u{8}"),
        (r"\u0041\u00e9\u4E2D", "Aé中"),
        (r"\ud83c\udf08", "🌈"),
        (r"a\u0000b", "a\0b"),
    ] {
        for part in [
            "\"content\":\"X\"",
            "\"tool_calls\":[{\"function\":{\"arguments\":\"X\"}}]",
            "\"content\":[{\"text\":\"X\"}]",
        ] {
            let bytes = plain.len() as u64;
            assert_eq!(of_choice(&part.replace('X', escaped)), (bytes, bytes), "{escaped} in {part}");
        }
    }
    // What is no number of a character ends where the string does.
    for broken in [r"\u", r"\u1", r"\uzz"] {
        let body = format!(r#"{{"choices":[{{"text":"{broken}"}}],"usage":{{"prompt_tokens":5}}}}"#);
        let mut observer = Observer::new(Api::Completions, 200, Some(JSON));
        observer.push(body.as_bytes());
        assert!(observer.finish(true).usage.is_some(), "{broken}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, by API")]
fn the_events_of_every_api_are_measured() {
    for (api, content_type, body, bytes) in [
        (
            Api::Messages,
            SSE,
            stream(&[
                r#"{"type":"message_start","message":{"id":"msg_1","content":[],"usage":{}}}"#,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"four"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2lnbmVk"}}"#,
                r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"four","input":{}}}"#,
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
                r#"{"type":"message_stop"}"#,
            ]),
            4 + 4 + 2 + 7,
        ),
        (
            Api::Messages,
            SSE,
            stream(&[
                r#"{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"x\"}"}}"#,
                r#"{"type":"content_block_start","index":2,"content_block":{"content":[{"title":"found","text":"found, too"}],"type":"web_search_tool_result","tool_use_id":"s"}}"#,
                r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"four"}}"#,
            ]),
            10 + 2 + 13 + 4,
        ),
        (
            Api::Messages,
            JSON,
            r#"{"type":"message","content":[{"type":"thinking","thinking":"four","signature":"c2ln"},{"type":"redacted_thinking","data":"AAAA"},
               {"type":"tool_use","id":"toolu_1","name":"four","input":{"a": 1}},
               {"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"t","encrypted_content":"AAAA"}]},
               {"type":"text","text":"four","citations":[{"cited_text":"found"}]}],"stop_reason":"end_turn"}"#.to_owned(),
            4 + 4 + 7 + 4,
        ),
        (
            Api::Responses,
            SSE,
            stream(&[
                r#"{"type":"response.created","response":{"id":"r","status":"in_progress","output":[],"instructions":"a long prompt"}}"#,
                r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}"#,
                r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","delta":"four"}"#,
                r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":"{\"a\":1}"}"#,
                r#"{"type":"response.output_audio_transcript.delta","delta":"four"}"#,
                r#"{"type":"response.output_text.delta","item_id":"msg_1","content_index":0,"delta":"four","obfuscation":"xxxxxxxx"}"#,
                r#"{"type":"response.output_text.done","item_id":"msg_1","text":"four"}"#,
                r#"{"type":"response.content_part.done","part":{"type":"output_text","text":"four"}}"#,
                r#"{"type":"response.output_item.done","item":{"type":"message","content":[{"type":"output_text","text":"four"}]}}"#,
                r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"four"}]}]}}"#,
            ]),
            4 + 7 + 4 + 4,
        ),
        (
            Api::Responses,
            SSE,
            stream(&[r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"function_call","id":"fc_1","call_id":"call_1","name":"four","arguments":"{\"a\":1}"}]}}"#]),
            4 + 7,
        ),
        (
            Api::Responses,
            JSON,
            r#"{"id":"r","object":"response","status":"completed","instructions":"a long prompt","tools":[{"type":"function","name":"f","description":"long"}],
               "output":[{"id":"rs","type":"reasoning","summary":[{"type":"summary_text","text":"four"}],"encrypted_content":"AAAA"},
               {"id":"fs","type":"file_search_call","queries":["four"],"results":[{"text":"a chunk that was found"}]},
               {"id":"mcp","type":"mcp_call","name":"four","arguments":"{}","output":"found"},{"type":"mcp_list_tools","tools":[{"name":"x"}]},
               {"type":"function_call_output","call_id":"c","output":"found"},{"type":"image_generation_call","result":"AAAA"},
               {"id":"m","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"four","annotations":[{"type":"url_citation","title":"t"}]}]}],
               "output_text":"four"}"#.to_owned(),
            4 + 4 + 4 + 2 + 4,
        ),
        (
            Api::GenerateContent,
            SSE,
            stream(&[
                r#"{"candidates":[{"content":{"parts":[{"thought":true,"text":"four"},{"functionCall":{"name":"four","args":{"a":1}},"thoughtSignature":"c2ln"}]}}]}"#,
                r#"{"candidates":[{"content":{"parts":[{"executableCode":{"language":"PYTHON","code":"four"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"found"}},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},"finishReason":"STOP"}]}"#,
            ]),
            4 + 4 + 7 + 4,
        ),
        (
            Api::OllamaChat,
            LINES,
            concat!(
                r#"{"message":{"role":"assistant","content":"","thinking":"four"},"done":false}"#,
                "\n",
                r#"{"message":{"role":"assistant","content":"four"},"done":false}"#,
                "\n",
                r#"{"message":{"content":"","tool_calls":[{"function":{"name":"four","arguments":{"id":"x"}}}]},"done":true}"#,
                "\n",
            )
            .to_owned(),
            4 + 4 + 4 + 10,
        ),
        (
            Api::OllamaGenerate,
            LINES,
            "{\"response\":\"\",\"thinking\":\"four\",\"done\":false}\n{\"response\":\"four\",\"done\":true,\"context\":[1,2,3]}\n".to_owned(),
            8,
        ),
        (
            Api::Sonar,
            SSE,
            stream(&[
                r#"{"choices":[{"delta":{"content":"four"},"message":{"content":"four"}}],"search_results":[{"snippet":"found"}]}"#,
                r#"{"choices":[{"delta":{"content":"five"},"message":{"content":"fourfive"}}],"citations":["https://example.org"]}"#,
                r#"{"object":"chat.completion.done","choices":[{"delta":{"content":""},"message":{"content":"fourfive"},"finish_reason":"stop"}]}"#,
            ]),
            8,
        ),
        (
            Api::OpenAiOther,
            SSE,
            stream(&[r#"{"type":"transcript.text.delta","delta":"four"}"#, r#"{"type":"transcript.text.done","text":"four"}"#]),
            4,
        ),
    ] {
        assert_eq!(text(api, content_type, &body).bytes, bytes, "{body}");
    }
}

#[test]
fn a_piece_without_a_text_is_one_and_its_bytes_are_not_text() {
    for (event, wordless_events) in [
        (r#"{"type":"response.audio.delta","delta":"AAAAAAAAAAAAAAAA"}"#, 1),
        (r#"{"delta":"AAAAAAAAAAAAAAAA","type":"response.output_audio.delta"}"#, 1),
        (r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"AAAA"}}"#, 1),
        (r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"AAAA"}]}}]}"#, 1),
        (r#"{"choices":[{"delta":{"audio":{"data":"AAAAAAAAAAAAAAAA"}}}]}"#, 1),
        (r#"{"type":"speech.audio.delta","audio":"AAAAAAAAAAAAAAAA"}"#, 1),
        (r#"{"type":"response.output_text.done","output_index":0}"#, 0),
        (r#"{"choices":[{"delta":{"role":"assistant"}}]}"#, 0),
    ] {
        for times in [1, 3] {
            let expected = Text { bytes: 0, wordless_events: wordless_events * times };
            let body = format!("data: {event}\n\n").repeat(times as usize);
            assert_eq!(text(Api::ChatCompletions, SSE, &body), expected, "{event}");
        }
    }
}

#[test]
fn an_answer_of_lightrag_is_as_long_whole_streamed_and_with_its_chunks() {
    for words in ["A sentence of the answer, with a \"quote\" in it.\n", "一句话的回答。", "Ein größerer Übergang.\n"]
    {
        let answer = words.repeat(120);
        let chunks = vec!["What the documents say of it, at length. ".repeat(50); 40];
        let json = |value: serde_json::Value| value.to_string();
        let references = serde_json::json!([{ "reference_id": "1", "file_path": "/a.md" }]);
        let with_chunks = serde_json::json!([{ "reference_id": "1", "file_path": "/a.md", "content": chunks }]);
        let whole = json(serde_json::json!({ "response": answer, "references": references }));
        let contents = json(serde_json::json!({ "references": with_chunks, "response": answer }));
        // Python's server writes its lines in ASCII.
        let ascii = |text: &str| -> String {
            let escape =
                |unit: u16| if unit < 0x80 { char::from(unit as u8).to_string() } else { format!("\\u{unit:04x}") };
            text.encode_utf16().map(escape).collect()
        };
        let pieces = |size: usize| {
            let letters: Vec<char> = answer.chars().collect();
            let piece =
                |piece: &[char]| json(serde_json::json!({ "response": piece.iter().collect::<String>() })) + "\n";
            let lines: String = letters.chunks(size).map(piece).collect();
            json(serde_json::json!({ "references": with_chunks })) + "\n" + &ascii(&lines)
        };
        let tokens = |content_type, body: &str| {
            let Text { bytes, wordless_events } = text(Api::LightRagQuery, content_type, body);
            tokens::by_size(bytes).0 + wordless_events
        };
        let expected = tokens::by_size(answer.len() as u64).0;
        assert_eq!((tokens(JSON, &whole), tokens(JSON, &contents)), (expected, expected), "{words}");
        for size in [1, 4, 1_000] {
            assert_eq!(tokens(LINES, &pieces(size)), expected, "{words} by {size}");
        }
    }
}

#[test]
fn of_a_dialect_that_nobody_knows_the_texts_count() {
    for (body, bytes) in [
        (r#"{"answer":"four","score":0.5,"sources":[{"url":"https://example.org"}]}"#, 4),
        (r#"{"result":{"text":"four","id":"0123456789"},"took_ms":120}"#, 4),
        (r#"{"generations":[{"text":"four"},{"text":"five"}]}"#, 8),
        (r#""four""#, 4),
        // Of those that are known only their own do.
        (r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}],"prompt_text":"a long prompt"}"#, 0),
        (r#"{"output_text":"four","metadata":{"a":"b"}}"#, 4),
    ] {
        assert_eq!(text(Api::ChatCompletions, JSON, body).bytes, bytes, "{body}");
    }
}

#[test]
fn what_is_cut_off_counts_as_far_as_it_came() {
    let event = r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"0123456789"#;
    for cut in 0..=10 {
        let body = format!("data: {}", &event[..event.len() - cut]);
        // The end of the stream is the end of a line, which is one more.
        assert_eq!(text(Api::ChatCompletions, SSE, &body).bytes, 12 - cut as u64, "{body}");
    }
    assert_eq!(text(Api::Messages, JSON, r#"{"content":[{"type":"text","text":"fo"#).bytes, 2);
}
