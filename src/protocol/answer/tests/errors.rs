//! Values decide what an answer is, not keys; and an error has a class.

use super::super::*;

const CHAT: Api = Api::ChatCompletions;

/// What a whole answer of that API amounts to, whatever chunks it comes in.
fn json(api: Api, body: &str) -> AnswerFacts {
    observe(api, b"application/json", body)
}

fn observe(api: Api, content_type: &[u8], body: &str) -> AnswerFacts {
    let by = |size: usize| {
        let mut observer = Observer::new(api, 200, Some(content_type));
        body.as_bytes().chunks(size).for_each(|chunk| {
            observer.push(chunk);
        });
        observer.finish(true)
    };
    let facts = by(body.len().max(1));
    for size in [1, 3, 16] {
        assert_eq!(by(size), facts, "{body} by {size}");
    }
    facts
}

fn events(api: Api, events: &[&str]) -> AnswerFacts {
    let body: String = events.iter().flat_map(|event| ["data: ", *event, "\n\n"]).collect();
    observe(api, b"text/event-stream", &body)
}

/// The status of the error inside, if there is one.
fn error(facts: &AnswerFacts) -> Option<u16> {
    facts.in_band_error.map(|error| error.status)
}

const GOOD: &str = r#""choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5}"#;

#[test]
fn an_error_whose_values_are_all_empty_is_none() {
    for nothing in [
        "{}",
        r#""""#,
        r#"" ""#,
        "0",
        "0.0",
        "[]",
        "[ ]",
        "null",
        "false",
        r#"{"message":""}"#,
        r#"{"message":null,"type":"","code":0,"param":[]}"#,
        r#"{"message":"","details":[],"inner":{"code":null,"list":[{},[""],[0,false]]}}"#,
        "[{}]",
        r#"[{"message":""},null,""]"#,
        r#""none""#,
        r#""None""#,
        r#"{"code":"0","message":"success"}"#,
        r#"{"code":200,"message":"all is well"}"#,
    ] {
        for body in [format!(r#"{{"error":{nothing},{GOOD}}}"#), format!(r#"{{{GOOD},"error":{nothing}}}"#)] {
            assert_eq!(error(&json(CHAT, &body)), None, "{body}");
            let facts = events(CHAT, &[&body, "[DONE]"]);
            assert_eq!((error(&facts), facts.end), (None, StreamEnd::Complete), "{body}");
            assert_eq!(error(&observe(CHAT, b"application/x-ndjson", &body)), None, "{body}");
        }
        let choice =
            format!(r#"{{"choices":[{{"error":{nothing},"delta":{{"content":"a"}},"finish_reason":"stop"}}]}}"#);
        assert_eq!(error(&events(CHAT, &[&choice])), None, "{choice}");
        let response =
            format!(r#"{{"type":"response.completed","response":{{"status":"completed","error":{nothing}}}}}"#);
        assert_eq!(error(&events(Api::Responses, &[&response])), None, "{response}");
    }
}

#[test]
fn an_error_with_anything_in_it_is_one_wherever_it_stands() {
    for something in [
        "true",
        "1",
        "-1",
        "1e-3",
        r#""boom""#,
        r#""\n""#,
        r#"{"message":"x"}"#,
        r#"{"code":0,"message":"boom"}"#,
        r#"{"details":[{"a":[{"b":[{"c":[{"d":[{"e":[{"f":"deep"}]}]}]}]}]}]}"#,
        r#"{"a":{"b":1}}"#,
        "[1]",
        r#"[[{"a":"x"}]]"#,
        r#"{"\u0061":"x"}"#,
    ] {
        for body in [
            format!(r#"{{"error":{something},{GOOD}}}"#),
            format!(r#"{{{GOOD},"error":{something}}}"#),
            format!(r#"{{"choices":[{{"error":{something},"message":{{"content":"Hi"}}}}]}}"#),
            format!(r#"{{"response":{{"error":{something}}},{GOOD}}}"#),
            format!(r#"[{{"candidates":[]}},{{"error":{something}}}]"#),
        ] {
            assert_eq!(error(&json(CHAT, &body)), Some(500), "{body}");
            assert_eq!(error(&events(CHAT, &[&body])), Some(500), "{body}");
        }
    }
}

/// The envelope, around an error with these fields.
fn envelopes(fields: &str) -> Vec<String> {
    vec![
        format!(r#"{{"error":{{{fields}}}}}"#),
        format!(r#"{{"error":{{"message":"no","error":{{{fields}}}}}}}"#),
        format!(r#"{{"error":[{{{fields}}}]}}"#),
        format!(r#"{{"type":"error","error":{{{fields}}}}}"#),
        format!(r#"{{"object":"error","message":"no",{fields}}}"#),
        format!(r#"{{{fields},"object":"error"}}"#),
        format!(r#"{{"choices":[{{"index":0,"error":{{{fields}}},"finish_reason":"error"}}]}}"#),
        format!(r#"{{"type":"response.failed","response":{{"status":"failed","error":{{{fields}}}}}}}"#),
        format!(r#"[{{"error":{{{fields}}}}}]"#),
        format!(r#"{{"detail":{{{fields}}}}}"#),
        format!(r#"{{"detail":[{{"error":{{{fields}}}}}]}}"#),
        format!(r#"{{"success":false,"errors":[{{{fields}}}]}}"#),
        format!(r#"{{"error":{{"metadata":{{"raw":"{{\"code\":502}}"}},{fields}}}}}"#),
    ]
}

#[test]
fn the_class_is_read_in_every_envelope_and_form() {
    for (fields, status) in [
        (r#""code":400"#, 400),
        (r#""code":"400""#, 400),
        (r#""status":400"#, 400),
        (r#""status_code":400"#, 400),
        (r#""code":"context_length_exceeded""#, 400),
        (r#""status":"INVALID_ARGUMENT""#, 400),
        (r#""code":3,"details":[]"#, 400),
        (r#""code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]"#, 401),
        (r#""code":401"#, 401),
        (r#""code":402"#, 402),
        (r#""code":"model_not_found","param":"model""#, 404),
        (r#""code":429"#, 429),
        (r#""code":"insufficient_quota""#, 429),
        (r#""status":"RESOURCE_EXHAUSTED""#, 429),
        (r#""code":500"#, 500),
        (r#""code":"server_error""#, 500),
        (r#""code":"1302""#, 500),
        (r#""code":"nobody_knows""#, 500),
        (r#""code":503"#, 503),
    ] {
        for body in envelopes(fields) {
            assert_eq!(error(&json(CHAT, &body)), Some(status), "{body}");
            assert_eq!(error(&events(CHAT, &[r#"{"choices":[{"delta":{}}]}"#, &body])), Some(status), "{body}");
            assert_eq!(error(&observe(CHAT, b"application/x-ndjson", &body)), Some(status), "{body}");
        }
    }
    for (kind, status) in [
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("request_too_large", 413),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("timeout_error", 504),
        ("overloaded_error", 529),
    ] {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"no"}},"request_id":"r"}}"#);
        assert_eq!(error(&events(Api::Messages, &[&body])), Some(status), "{body}");
        let named = format!("data: {{}}\n\nevent: error\ndata: {body}\n\n");
        assert_eq!(error(&observe(Api::Messages, b"text/event-stream", &named)), Some(status), "{named}");
    }
}

#[test]
fn an_event_that_is_an_error_by_its_name_has_the_class_of_its_data() {
    for (stream, status) in [
        ("event: error\ndata: {\"code\":400,\"message\":\"too long\"}\n\n", 400),
        ("data: {\"message\":\"too long\",\"code\":\"400\"}\nevent: error\n\n", 400),
        ("event:error\r\ndata: {\"type\":\"rate_limit_error\"}\r\n\r\n", 429),
        ("event: error\ndata: not even JSON\n\n", 500),
        ("event: error\ndata: {\"error\":{}}\n\n", 500),
        ("event: error\n\n", 500),
        ("event: error", 500),
        ("event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"invalid_prompt\"}}}\n\n", 400),
    ] {
        assert_eq!(error(&observe(CHAT, b"text/event-stream", stream)), Some(status), "{stream}");
    }
    // The first error counts; what comes after it is its consequence.
    assert_eq!(error(&events(CHAT, &[r#"{"error":{"code":400}}"#, r#"{"error":{"code":500}}"#])), Some(400));
}

#[test]
fn an_error_as_a_text_may_name_its_class_too() {
    for (body, status) in [
        (r#"{"error":"model 'x' not found"}"#, 404),
        (r#"{"error":"rate limit exceeded"}"#, 429),
        (r#"{"error":"invalid_request"}"#, 400),
        (r#"{"error":429}"#, 429),
        (r#"{"error":3}"#, 500),
        (r#"{"error":true,"code":400}"#, 400),
        (r#"{"status_code":"429","error":"no"}"#, 429),
        (r#"{"error":"it broke, nobody knows why, and this text is far longer than a code: 400"}"#, 500),
        (r#"{"error":"llama runner process has terminated"}"#, 500),
        (r#"{"detail":"Not Found"}"#, 404),
        (r#"{"detail":"Not authenticated"}"#, 500),
        (r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"no"}"#, 400),
    ] {
        assert_eq!(error(&json(Api::OllamaChat, body)), Some(status), "{body}");
    }
}

#[test]
fn a_finish_reason_is_good_or_bad_by_its_value() {
    let chat = |reason: &str| {
        events(
            CHAT,
            &[
                r#"{"choices":[{"delta":{"content":"a"}}]}"#,
                &format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":{reason}}}]}}"#),
            ],
        )
    };
    for good in
        [r#""stop""#, r#""length""#, r#""tool_calls""#, r#""content_filter""#, r#""function_call""#, r#""eos_token""#]
    {
        let facts = chat(good);
        assert_eq!((error(&facts), facts.end), (None, StreamEnd::Complete), "{good}");
    }
    for none in ["null", r#""""#, r#""null""#, "{}", "[]", r#"{"type":null}"#, r#"{"type":""}"#] {
        let facts = chat(none);
        assert_eq!((error(&facts), facts.end), (None, StreamEnd::Truncated), "{none}");
    }
    for (bad, status) in [
        (r#""error""#, 500),
        (r#""abort""#, 500),
        (r#""ERROR""#, 500),
        (r#""network_error""#, 502),
        (r#""insufficient_system_resource""#, 503),
        (r#"{"type":"abort","message":"too long","status_code":400,"err_type":"BadRequestError"}"#, 400),
        (r#"{"type":"abort","status_code":null}"#, 500),
    ] {
        let facts = chat(bad);
        assert_eq!((error(&facts), facts.end), (Some(status), StreamEnd::Complete), "{bad}");
        let whole = json(CHAT, &format!(r#"{{"choices":[{{"message":{{"content":"a"}},"finish_reason":{bad}}}]}}"#));
        assert_eq!(error(&whole), Some(status), "{bad}");
    }
    assert_eq!(chat(r#"{"type":"length","length":4}"#).end, StreamEnd::Complete);
    for (api, body, status) in [
        (Api::GenerateContent, r#"{"candidates":[{"finishReason":"SAFETY"}]}"#, None),
        (Api::GenerateContent, r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#, Some(400)),
        (
            Api::GenerateContent,
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"MAX_TOKENS"}]}"#,
            None,
        ),
        (
            Api::GenerateContent,
            r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}"#,
            Some(400),
        ),
        (Api::GenerateContent, r#"[{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}]"#, Some(400)),
        (
            Api::GenerateContent,
            r#"{"promptFeedback":{"blockReason":"BLOCK_REASON_UNSPECIFIED"},"candidates":[{"finishReason":"STOP"}]}"#,
            None,
        ),
        (Api::Messages, r#"{"type":"message","content":[],"stop_reason":"end_turn"}"#, None),
        (Api::Messages, r#"{"type":"message","content":[],"stop_reason":"refusal"}"#, None),
        (Api::Messages, r#"{"type":"message","content":[],"stop_reason":"error"}"#, Some(500)),
        (Api::OllamaGenerate, r#"{"model":"m","response":"","done":true,"done_reason":"load"}"#, None),
        (Api::OllamaChat, r#"{"message":{"content":"a"},"done":true,"done_reason":"error"}"#, Some(500)),
        (
            Api::Responses,
            r#"{"object":"response","status":"failed","error":null,"output":[{"type":"message"}]}"#,
            Some(500),
        ),
        (
            Api::Responses,
            r#"{"object":"response","status":"failed","error":{"code":"rate_limit_exceeded"},"output":[]}"#,
            Some(429),
        ),
        (Api::Responses, r#"{"object":"response","status":"incomplete","error":null,"output":[]}"#, None),
        (Api::Responses, r#"{"object":"response","status":"in_progress","error":null,"output":[]}"#, None),
        (Api::Agent, r#"{"status":"failed","error":{"message":"no","type":"invalid_request"}}"#, Some(400)),
    ] {
        assert_eq!(error(&json(api, body)), status, "{body}");
    }
}

#[test]
fn an_answer_with_nothing_in_it_is_a_failure() {
    let empty = Some(502);
    for (api, body) in [
        (CHAT, ""),
        (CHAT, "  \n"),
        (CHAT, "{}"),
        (CHAT, "[]"),
        (CHAT, "null"),
        (CHAT, r#""""#),
        (CHAT, r#"{"id":"x","object":"chat.completion","created":1,"model":"m"}"#),
        (CHAT, r#"{"choices":[]}"#),
        (CHAT, r#"{"choices":null,"usage":null}"#),
        (
            CHAT,
            r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        ),
        (CHAT, r#"{"error":{}}"#),
        (CHAT, r#"{"choices":[],"something":"else"}"#),
        (CHAT, r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#),
        (Api::Completions, r#"{"choices":[{"text":""}]}"#),
        (Api::Embeddings, r#"{"object":"list","data":[]}"#),
        (Api::Messages, r#"{"type":"message","role":"assistant","content":[],"stop_reason":null}"#),
        (Api::Responses, r#"{"object":"response","output":[]}"#),
        (Api::GenerateContent, r#"{"candidates":[]}"#),
        (Api::GenerateContent, "[]"),
        (Api::LightRagQuery, r#"{"response":"","references":[]}"#),
        (Api::OllamaChat, r#"{"message":{"role":"assistant","content":""},"done":true}"#),
    ] {
        assert_eq!(error(&json(api, body)), empty, "{api:?} {body}");
    }
    for stream in [
        &["[DONE]"][..],
        &["{}", "[DONE]"],
        &[r#"{"choices":[]}"#, "[DONE]"],
        &[r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#, "[DONE]"],
        &[r#"{"type":"message_start","message":{"content":[],"stop_reason":null}}"#, r#"{"type":"message_stop"}"#],
        &[
            r#"{"type":"response.created","response":{"status":"in_progress"}}"#,
            r#"{"type":"response.completed","response":{}}"#,
        ],
        &[r#"{"choices":[],"prompt_filter_results":[{"index":0}]}"#, "[DONE]"],
    ] {
        let facts = events(CHAT, stream);
        assert_eq!((error(&facts), facts.end), (empty, StreamEnd::Complete), "{stream:?}");
    }
    // What broke off says nothing of what was to come.
    let mut observer = Observer::new(CHAT, 200, Some(b"text/event-stream"));
    observer.push(b"data: {\"choices\":[]}\n\n");
    let facts = observer.finish(false);
    assert_eq!((error(&facts), facts.end), (None, StreamEnd::Truncated));
}

#[test]
fn anything_of_an_answer_is_one() {
    for (api, body) in [
        (CHAT, r#"{"choices":[{"message":{"content":"a"}}]}"#),
        (CHAT, r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}"#),
        (CHAT, r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"x"}]}}]}"#),
        (CHAT, r#"{"choices":[{"message":{"content":null,"refusal":"I will not"}}]}"#),
        (CHAT, r#"{"choices":[],"usage":{"prompt_tokens":5}}"#),
        (Api::Completions, r#"{"choices":[{"text":"a"}]}"#),
        (Api::Embeddings, r#"{"data":[{"embedding":[0.1]}]}"#),
        (Api::Messages, r#"{"content":[{"type":"text","text":"a"}]}"#),
        (Api::Messages, r#"{"content":[],"stop_reason":"end_turn"}"#),
        (Api::Responses, r#"{"status":"completed","output":[]}"#),
        (Api::GenerateContent, r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}"#),
        (Api::LightRagQuery, r#"{"response":"a"}"#),
        (Api::OllamaChat, r#"{"message":{"content":"","tool_calls":[{"function":{}, "id":1}]},"done":true}"#),
        // Of dialects that nobody knows here.
        (CHAT, r#"{"generated_text":"a"}"#),
        (CHAT, r#"{"result":{"text":"a"}}"#),
        (CHAT, r#"[{"generated_text":"a"}]"#),
        (CHAT, r#""just a text""#),
        (CHAT, r#"{"message":"Hi","session":"s"}"#),
        (CHAT, r#"{"id":"x","output_tokens":4,"completion":"a"}"#),
        (Api::LightRagQuery, r#"{"answer":"a","sources":[]}"#),
        // Not asked of a model.
        (Api::OpenAiOther, "{}"),
        (Api::LightRagOther, r#"{"status":"failure","message":"Query returned no results","data":{}}"#),
        (Api::CountTokens, r#"{"input_tokens":5}"#),
        (Api::GeminiOther, r#"{"totalTokens":5}"#),
        (Api::AsyncChat, r#"{"id":"x","status":"CREATED","response":null,"error_message":null,"failed_at":null}"#),
        (Api::OpenAiOther, r#"{"object":"batch","status":"failed","errors":{"data":[{"code":"x"}]}}"#),
    ] {
        assert_eq!(error(&json(api, body)), None, "{api:?} {body}");
    }
    assert_eq!(error(&events(CHAT, &[r#"{"token":{"text":"a"}}"#, "[DONE]"])), None);
}

#[test]
fn what_a_service_says_instead_of_an_answer_is_an_error() {
    for (body, status) in [
        (r#"{"detail":"boom"}"#, 500),
        (r#"{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}"#, 400),
        (r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#, 400),
        (r#"{"message":"Internal server error"}"#, 500),
        (r#"{"message":"Too many","code":429,"more":"x"}"#, 429),
        (r#"{"statusCode":503,"message":"no","path":"/v1"}"#, 503),
        (r#"{"errors":["boom"]}"#, 500),
        (r#"{"success":false,"result":null}"#, 500),
        (r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"result":null}"#, 500),
        (r#"{"status":"error","data":null}"#, 500),
        (r#"{"status":"failed"}"#, 500),
        (r#"{"error_code":17,"error_msg":"Open api daily request limit reached"}"#, 429),
        (r#"{"code":3,"message":"no such field","details":[]}"#, 400),
        (r#"{"code":7,"message":"no","details":[{"@type":"t","reason":"API_KEY_INVALID"}]}"#, 401),
        (r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#, 429),
    ] {
        assert_eq!(error(&json(CHAT, body)), Some(status), "{body}");
        assert_eq!(error(&events(CHAT, &[body, "[DONE]"])), Some(status), "{body}");
    }
    // Beside an answer it is none.
    for beside in
        [r#""detail":"high""#, r#""message":"Hi""#, r#""success":true"#, r#""errors":["w"]"#, r#""status":"error""#]
    {
        assert_eq!(error(&json(CHAT, &format!("{{{beside},{GOOD}}}"))), None, "{beside}");
    }
}

#[test]
fn a_sentence_that_stands_in_for_an_answer_is_told() {
    let stock = r#""response":"No relevant context found for the query.","references":[]"#;
    for (body, fallback) in [
        (format!(r#"{{{stock},"llm_generated":false}}"#), true),
        (format!(r#"{{"llm_generated": false ,{stock}}}"#), true),
        (format!(r#"{{{stock},"llm_generated":true}}"#), false),
        (format!(r#"{{{stock},"llm_generated":null}}"#), false),
        (format!("{{{stock}}}"), false),
        (r#"{"response":null,"llm_generated":false}"#.to_owned(), true),
        (r#"{"response":"Das Modell antwortet nicht.","llm_generated":false,"response_time":8.1}"#.to_owned(), true),
        // What LightRAG says where its documents do not answer; and what it found, where only that was asked for.
        (
            r#"{"response":"Sorry, I'm not able to provide an answer to that question.[no-context]","llm_generated":false}"#
                .to_owned(),
            false,
        ),
        (format!(r#"{{"response":"{}","llm_generated":false}}"#, "context ".repeat(40)), false),
    ] {
        assert_eq!(json(Api::LightRagQuery, &body).fallback, fallback, "{body}");
        assert_eq!(observe(Api::LightRagQuery, b"application/x-ndjson", &format!("{body}\n")).fallback, fallback, "{body}");
    }
    let streamed = "{\"references\":[]}\n{\"response\":\"a\"}\n{\"response\":\"b\"}\n{\"response_time\":1.2}\n";
    assert!(!observe(Api::LightRagQuery, b"application/x-ndjson", streamed).fallback);
}

#[test]
fn an_error_behind_a_complaint_is_one_of_its_own() {
    for body in [
        r#"{"detail":"busy","error":"boom","choices":[{"text":"a"}]}"#,
        r#"{"errors":[{"code":429}],"error":{"message":"boom"},"choices":[{"text":"a"}]}"#,
        r#"{"error":"boom","detail":["busy"],"choices":[{"text":"a"}]}"#,
        r#"{"detail":{"code":1},"error":1,"choices":[{"text":"a"}]}"#,
    ] {
        assert!(error(&json(CHAT, body)).is_some(), "{body}");
        let empty = body.replace("\"boom\"", "\"\"").replace("\"error\":1", "\"error\":0");
        assert_eq!(error(&json(CHAT, &empty)), None, "{empty}");
    }
}

/// A content type, what stands between codes, a code, a body of codes.
type Shape = (&'static str, &'static str, fn(&str) -> String, fn(&str) -> String);

#[test]
fn of_an_error_that_is_made_of_codes_only_the_first_are_looked_up() {
    let codes = |count: usize, between: &str, code: &dyn Fn(&str) -> String| {
        let mut codes: Vec<_> = (0..count).map(|_| code("x")).collect();
        codes.push(code("rate_limit_error"));
        codes.join(between)
    };
    let shapes: [Shape; 5] = [
        ("application/json", ",", |code| format!(r#""code":"{code}""#), |body| format!(r#"{{"error":{{{body}}}}}"#)),
        ("application/json", ",", |code| format!(r#"{{"code":"{code}"}}"#), |body| format!(r#"{{"error":[{body}]}}"#)),
        ("application/json", ",", |code| format!(r#"{{"type":"{code}"}}"#), |body| format!(r#"{{"detail":[{body}]}}"#)),
        ("application/x-ndjson", "\n", |code| format!(r#"{{"detail":"{code}"}}"#), str::to_owned),
        ("application/x-ndjson", "\n", |code| format!(r#"{{"message":"m","code":"{code}"}}"#), str::to_owned),
    ];
    for (content_type, between, code, body) in shapes {
        let status = |count| error(&observe(CHAT, content_type.as_bytes(), &body(&codes(count, between, &code))));
        assert_eq!(status(10), Some(429), "{}", code("x"));
        assert_eq!(status(2_000), Some(500), "{}", code("x"));
    }
    // Nor is anything behind the first error.
    let first = r#"{"error":"boom"}"#;
    let later = r#"{"error":"rate limit"}"#;
    assert_eq!(error(&observe(CHAT, b"application/x-ndjson", &[first, later].join("\n"))), Some(500));
}
