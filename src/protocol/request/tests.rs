use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{Purpose, Tokens};

#[derive(Default)]
struct Texts(Vec<String>);

impl TextSink for Texts {
    fn push(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

fn sent(path: &str) -> RequestPath {
    RequestPath::new(path.into())
}

fn read(api: Api, path: &str, body: impl AsRef<[u8]>) -> Result<(RequestFacts, Vec<String>), Unreadable> {
    let mut texts = Texts::default();
    read_request(api, &sent(path), body.as_ref(), &mut texts).map(|facts| (facts, texts.0))
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/protocol/requests/", $name))
    };
}

fn golden(path: &str, body: &[u8], expected: RequestFacts, texts: &[&str]) {
    assert_eq!(api_of(&sent(path)), expected.api, "{path}");
    assert_eq!(read(expected.api, path, body), Ok((expected, texts.iter().map(|&text| text.to_owned()).collect())));
}

#[test]
fn chat_completions() {
    let expected = RequestFacts {
        purpose: Purpose::Inference,
        api: Api::ChatCompletions,
        model: Some("gpt-4o-2024-11-20".into()),
        stream: true,
        max_output_tokens: Some(Tokens(2 * 300)),
        fixed_tokens: Tokens(2 * 4 + 3),
        exact_tokens: Tokens(0),
        ..RequestFacts::default()
    };
    let texts = ["You answer in one sentence.", "Why is the sky blue?\nAnd why \"red\" at dusk?"];
    golden("/v1/chat/completions", fixture!("chat.json"), expected, &texts);
}

#[test]
fn chat_completions_with_tools_images_and_audio() {
    let messages = 4 * 4 + 3;
    let images = 85 + 4 * 170 + 85;
    // Its header does not say how long the sound is; and one of the images is elsewhere.
    let audio = 30;
    let tools = 12 + 8 + (3 + 2 * 5) + 3;
    let format = 2 * 4; // members: type, properties, ok, type
    let expected = RequestFacts {
        purpose: Purpose::Inference,
        api: Api::ChatCompletions,
        model: Some("gpt-4o".into()),
        stream: false,
        max_output_tokens: Some(Tokens(1000)),
        fixed_tokens: Tokens(messages + images + tools + format),
        exact_tokens: Tokens(0),
        guessed_tokens: Tokens(audio),
        has_unseen_prompt: true,
    };
    let texts = [
        "Be brief.",
        "ada",
        "Wie ist das Wetter auf den Bildern? 🌦",
        "get_weather",
        "{\"city\":\"Lisbon\"}",
        "17 degrees, rain",
        // The tool.
        "get_weather",
        "Current weather of a city",
        "object",
        "city",
        "string",
        "City and country, e.g. Lisbon, Portugal",
        "unit",
        "string",
        "celsius",
        "fahrenheit",
        // The answer's form.
        "report",
        "type",
        "object",
        "properties",
        "ok",
        "type",
        "boolean",
    ];
    golden("/v1/chat/completions", fixture!("chat_tools_and_images.json"), expected, &texts);
}

#[test]
fn responses() {
    let image = 20 * 15 * 162 / 100;
    let tools = 12 + 2 * 8 + (3 + 5);
    let expected = RequestFacts {
        purpose: Purpose::Inference,
        api: Api::Responses,
        model: Some("gpt-5-mini".into()),
        stream: true,
        max_output_tokens: Some(Tokens(2048)),
        fixed_tokens: Tokens(4 * 4 + 3 + image + tools),
        exact_tokens: Tokens(0),
        // One of the tools is a search of the provider's own.
        has_unseen_prompt: true,
        ..RequestFacts::default()
    };
    let texts = [
        "Talk like a pilot.",
        "What is on this chart?",
        "Reading the chart",
        "lookup",
        "{\"id\":7}",
        "runway 07",
        "lookup",
        "Finds a runway",
        "object",
        "id",
        "integer",
    ];
    golden("/v1/responses", fixture!("responses.json"), expected, &texts);
    let plain = RequestFacts {
        api: Api::Responses,
        model: Some("gpt-5".into()),
        fixed_tokens: Tokens(7),
        ..RequestFacts::default()
    };
    golden("/v1/responses", fixture!("responses_plain.json"), plain, &["Three words on rivers."]);
}

#[test]
fn completions_of_several_prompts_have_several_answers_each() {
    let expected = RequestFacts {
        purpose: Purpose::Inference,
        api: Api::Completions,
        model: Some("gpt-3.5-turbo-instruct".into()),
        max_output_tokens: Some(Tokens(16 * 3 * 3)),
        exact_tokens: Tokens(2),
        ..RequestFacts::default()
    };
    golden(
        "/v1/completions",
        fixture!("completions.json"),
        expected,
        &["Once upon a time", "def add(a, b):", "The end."],
    );
}

#[test]
fn embeddings_of_token_ids_are_exact_and_have_no_output() {
    let expected = RequestFacts {
        purpose: Purpose::Inference,
        api: Api::Embeddings,
        model: Some("text-embedding-3-small".into()),
        max_output_tokens: Some(Tokens(0)),
        exact_tokens: Tokens(6),
        ..RequestFacts::default()
    };
    golden("/v1/embeddings", fixture!("embeddings.json"), expected, &[]);
}

#[test]
fn anthropic_messages() {
    let image = 1000;
    let input = 2 * 2 + 1; // two members, one number
    let tool = 346 + 2 * (3 + 2 + 1 + 1); // members: of the tool, its schema, the properties, the title
    let expected = RequestFacts {
        purpose: Purpose::Inference,
        api: Api::Messages,
        model: Some("claude-sonnet-4-5".into()),
        stream: true,
        max_output_tokens: Some(Tokens(1024)),
        fixed_tokens: Tokens(3 * 4 + 3 + image + input + tool),
        exact_tokens: Tokens(0),
        ..RequestFacts::default()
    };
    let texts = [
        "You are a librarian.",
        "Which book is this?",
        "Notes",
        "// shelf 12\nreturned in May",
        "A red spine.",
        "find",
        "title",
        "Emma",
        "limit",
        "On loan.",
        // The tool.
        "name",
        "find",
        "description",
        "Finds a book",
        "input_schema",
        "type",
        "object",
        "properties",
        "title",
        "type",
        "string",
    ];
    golden("/v1/messages", fixture!("messages.json"), expected, &texts);
}

#[test]
fn perplexity_and_lightrag() {
    let expected = RequestFacts {
        api: Api::ChatCompletions,
        model: Some("sonar-pro".into()),
        max_output_tokens: Some(Tokens(400)),
        fixed_tokens: Tokens(7),
        // It says how to search.
        has_unseen_prompt: true,
        ..RequestFacts::default()
    };
    golden("/chat/completions", fixture!("perplexity.json"), expected, &["Who won the regatta?"]);
    let expected = RequestFacts { api: Api::LightRagQuery, fixed_tokens: Tokens(8), ..RequestFacts::default() };
    let texts = ["How do the two reports differ?", "reports", "budget", "staff", "As a table.", "Hello", "Good day."];
    golden("/query", fixture!("lightrag.json"), expected.clone(), &texts);
    golden("/query/stream", fixture!("lightrag.json"), RequestFacts { stream: true, ..expected }, &texts);
}

#[test]
fn lightrag_streams_by_its_path() {
    let streams = |path, body: &str| read(Api::LightRagQuery, path, body).unwrap().0.stream;
    assert!(!streams("/query", r#"{"query":"a","stream":true}"#));
    assert!(streams("/query/stream?x=1", r#"{"query":"a","stream":null}"#));
    assert!(!streams("/query/stream", r#"{"query":"a","stream":false}"#));
}

#[test]
fn another_api_is_not_read() {
    assert_eq!(read(Api::Other, "/v1/audio/speech", b"\xFF no JSON"), Ok((RequestFacts::default(), vec![])));
}

#[test]
fn what_cannot_be_read_says_why() {
    let error = |body: &[u8]| read(Api::ChatCompletions, "", body).unwrap_err();
    assert_eq!(error(b"").to_string(), "the body is not valid JSON: EOF while parsing a value at line 1 column 0");
    assert_eq!(
        error(b"{\"model\":\n \"a\" oops}").to_string(),
        "the body is not valid JSON: expected `,` or `}` at line 2 column 6"
    );
    assert!(matches!(error(b"{} {}"), Unreadable::NotJson(_)));
    assert!(matches!(error(b"{\"model\":\"\xFF\"}"), Unreadable::NotJson(_)));
    for scalar in ["[]", "[{\"model\":\"a\"}]", "\"text\"", "17", "-1.5", "null", "true"] {
        assert_eq!(error(scalar.as_bytes()), Unreadable::NotAnObject, "{scalar}");
    }
    assert_eq!(Unreadable::TooDeep.to_string(), "the body is nested more than 96 levels deep");
}

#[test]
fn deep_nesting_neither_overflows_the_stack_nor_passes() {
    let deep = |open: &str| open.repeat(100_000);
    for (api, body) in [
        (Api::ChatCompletions, deep("[")),
        (Api::ChatCompletions, deep("{\"messages\":")),
        (Api::ChatCompletions, format!("{{\"messages\":[{{\"content\":{}", deep("["))),
        (Api::ChatCompletions, format!("{{\"tools\":[{{\"parameters\":{}", deep("{\"items\":"))),
        (Api::ChatCompletions, format!("{{\"metadata\":{}", deep("["))),
        (Api::Messages, format!("{{\"tools\":{}", deep("[{\"a\":"))),
        (Api::Embeddings, format!("{{\"input\":{}", deep("["))),
        (Api::LightRagQuery, format!("{{\"query\":{}", deep("["))),
    ] {
        assert!(read(api, "/query", &body).is_err(), "{}", &body[..40]);
    }
    let schema = format!("{{\"tools\":{}", deep("[{\"a\":"));
    assert_eq!(read(Api::Messages, "", schema), Err(Unreadable::TooDeep));
    let skipped = format!("{{\"metadata\":{}{},\"model\":\"m\"}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(Api::Messages, "", skipped).unwrap().0.model.as_deref(), Some("m"));
}

#[test]
fn a_field_of_a_wrong_type_is_as_good_as_absent() {
    let body = r#"{"model":{"a":[1]},"stream":"yes","max_tokens":-5,"n":null,"messages":[7,null,[["x"]],{"content":{"text":"kept"}},
        {"content":[1,{"text":["also"]},{"image_url":17}]}],"tools":{"a":1},"response_format":"json"}"#;
    let (facts, texts) = read(Api::ChatCompletions, "", body).unwrap();
    assert_eq!(texts, ["kept", "also"]);
    assert_eq!(
        facts,
        RequestFacts { api: Api::ChatCompletions, fixed_tokens: Tokens(2 * 4 + 3), ..RequestFacts::default() }
    );
}

#[test]
fn the_largest_of_several_limits_holds_none_is_zero_and_huge_ones_do_not_overflow() {
    let most = |body: &str| read(Api::ChatCompletions, "", body).unwrap().0.max_output_tokens;
    assert_eq!(most(r#"{"max_tokens":300,"max_completion_tokens":200}"#), Some(Tokens(300)));
    assert_eq!(most(r#"{"max_tokens":1,"max_completion_tokens":32000}"#), Some(Tokens(32_000)));
    assert_eq!(most(r#"{"max_tokens":32000,"max_tokens":1}"#), Some(Tokens(32_000)));
    assert_eq!(most(r#"{"max_tokens":500,"max_completion_tokens":0}"#), Some(Tokens(500)));
    assert_eq!(most(r#"{"max_completion_tokens":0}"#), None);
    assert_eq!(
        most(r#"{"max_completion_tokens":200.0,"max_tokens":1e400}"#.replace("1e400", "2.5").as_str()),
        Some(Tokens(200))
    );
    assert_eq!(most(r#"{"max_tokens":18446744073709551615,"n":18446744073709551615}"#), Some(Tokens(u64::MAX)));
    assert_eq!(most(r#"{"n":4}"#), None);
}

#[test]
fn a_long_model_name_is_cut_between_characters() {
    let name = "模".repeat(60);
    let (facts, _) = read(Api::Messages, "", json!({ "model": name }).to_string()).unwrap();
    assert_eq!(facts.model.as_deref(), Some("模".repeat(42).as_str()));
}

#[test]
fn an_images_detail_may_come_before_or_after_it_and_holds_for_it_alone() {
    let fixed = |parts: &str| {
        let body = format!(r#"{{"messages":[{{"content":[{parts}]}}]}}"#);
        read(Api::ChatCompletions, "", body).unwrap().0.fixed_tokens.0 - 7
    };
    let low = r#"{"image_url":{"detail":"low","url":"https://a"}}"#;
    let high = r#"{"image_url":"https://a"}"#;
    assert_eq!(fixed(low), 85);
    assert_eq!(fixed(high), 765);
    assert_eq!(fixed(r#"{"image_url":"https://a","detail":"low"}"#), 85);
    assert_eq!(fixed(&format!("{low},{high},{low}")), 85 + 765 + 85);
    assert_eq!(fixed(r#"{"file_id":"file-1"},{"pdf_url":{"url":"https://a"}}"#), 2 * 765);
    // Parts within a part: a tool's result.
    assert_eq!(fixed(&format!(r#"{{"detail":"low","content":[{high}],"image_url":"https://b"}}"#)), 765 + 85);
}

#[test]
fn a_schema_is_read_wherever_it_nests() {
    let body = r##"{"functions":[{"name":"f","parameters":{"required":["skipped"],"$ref":"#/skipped",
        "anyOf":[{"title":"a"}],"oneOf":[{"title":"b"}],"allOf":[{"title":"c"}],"items":{"title":"d"},
        "additionalProperties":{"title":"e"},"$defs":{"g":{"type":["h","null"]}},"definitions":{"i":{"enum":["j",1,"k"]}}}}]}"##;
    let (facts, texts) = read(Api::ChatCompletions, "", body).unwrap();
    assert_eq!(texts, ["f", "a", "b", "c", "d", "e", "g", "h", "null", "i", "j", "k"]);
    assert_eq!(facts.fixed_tokens, Tokens(12 + 8 + 2 * (3 + 5) + (1 + 3) + 3));
}

/// What the reader should push of what was said, by the book: a tree first, then a walk over it.
fn said(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|element| said(element, texts)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "text" | "name" | "arguments" => plain(value, texts),
                    "content" | "function" | "tool_calls" => said(value, texts),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn plain(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|element| plain(element, texts)),
        _ => {}
    }
}

fn oracle(body: &Value) -> (Option<String>, Option<u64>, Vec<String>) {
    let mut texts = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten().filter(|message| message.is_object()) {
        said(message, &mut texts);
    }
    let most = ["max_tokens", "max_completion_tokens"]
        .iter()
        .filter_map(|&name| body[name].as_u64())
        .filter(|&most| most > 0)
        .max();
    let most = most.map(|most| most.saturating_mul(body["n"].as_u64().unwrap_or(1).max(1)));
    (body["model"].as_str().map(str::to_owned), most, texts)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        "\\PC{0,12}|[\"\\\\\n\u{1}ü🌈]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop_oneof![
            4 => prop::sample::select(vec!["text", "content", "name", "arguments", "function", "tool_calls", "role", "type", "id"])
                .prop_map(str::to_owned),
            1 => "[a-z]{1,3}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn the_reader_agrees_with_a_walk_over_the_tree(
        model in any_json(),
        messages in prop::collection::vec(any_json(), 0..5),
        limits in (any_json(), any_json(), any_json()),
        other in any_json(),
        pretty: bool,
    ) {
        let body = json!({"other": other, "model": model, "n": limits.0, "max_tokens": limits.1,
            "max_completion_tokens": limits.2, "messages": messages});
        let bytes = if pretty { serde_json::to_vec_pretty(&body) } else { serde_json::to_vec(&body) }.unwrap();
        let (facts, texts) = read(Api::ChatCompletions, "", bytes).unwrap();
        let (model, most, expected) = oracle(&body);
        prop_assert_eq!(texts, expected);
        prop_assert_eq!(facts.model.as_deref(), model.as_deref());
        prop_assert_eq!(facts.max_output_tokens.map(|tokens| tokens.0), most);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(body: Vec<u8>, path: Vec<u8>) {
        let path = RequestPath::new(path);
        for api in [Api::ChatCompletions, Api::Responses, Api::Completions, Api::Embeddings, Api::Messages, Api::LightRagQuery] {
            let _ = read_request(api, &path, &body, &mut Texts::default());
        }
        let _ = api_of(&path);
    }

    #[test]
    fn a_damaged_body_does_not_panic(at: prop::sample::Index, byte: u8, api in 0_usize..6) {
        let apis = [Api::ChatCompletions, Api::Responses, Api::Completions, Api::Embeddings, Api::Messages, Api::LightRagQuery];
        let mut body = fixture!("messages.json").to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = read_request(apis[api], &sent("/"), &body, &mut Texts::default());
    }
}

#[test]
fn ollama_s_chat_streams_unless_told_not_to() {
    let body = r#"{"model":"llama3.2","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"}],
        "options":{"num_predict":64,"temperature":0}}"#;
    let expected = RequestFacts {
        api: Api::OllamaChat,
        model: Some("llama3.2".into()),
        stream: true,
        max_output_tokens: Some(Tokens(64)),
        fixed_tokens: Tokens(2 * 4 + 3),
        ..RequestFacts::default()
    };
    golden("/api/chat", body.as_bytes(), expected.clone(), &["Be brief.", "Why?"]);
    let quiet = body.replace("{\"model\"", "{\"stream\":false,\"model\"");
    golden("/rag/api/chat", quiet.as_bytes(), RequestFacts { stream: false, ..expected }, &["Be brief.", "Why?"]);
}

#[test]
fn ollama_s_generate_has_a_prompt_and_no_conversation() {
    let body = r#"{"model":"m","prompt":"Why?","system":"Be brief.","options":{"num_predict":-1}}"#;
    let expected =
        RequestFacts { api: Api::OllamaGenerate, model: Some("m".into()), stream: true, ..RequestFacts::default() };
    golden("/api/generate", body.as_bytes(), expected, &["Why?", "Be brief."]);
}

#[test]
fn an_asynchronous_chat_is_under_request() {
    let body = r#"{"request":{"model":"sonar-deep-research","max_tokens":9,"messages":[{"role":"user","content":"Why?"}]},
        "idempotency_key":"messages"}"#;
    let expected = RequestFacts {
        api: Api::AsyncChat,
        model: Some("sonar-deep-research".into()),
        max_output_tokens: Some(Tokens(9)),
        fixed_tokens: Tokens(4 + 3),
        ..RequestFacts::default()
    };
    golden("/async/chat/completions", body.as_bytes(), expected.clone(), &["Why?"]);
    golden("/v1/async/sonar", body.as_bytes(), expected, &["Why?"]);
}

#[test]
fn gemini_names_its_model_and_its_streams_in_the_path() {
    let body = r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},
        "contents":[{"role":"user","parts":[{"text":"Why?"},{"inlineData":{"mimeType":"text/plain","data":"plain text"}}]},
            {"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":"b"}}}]}],
        "generationConfig":{"maxOutputTokens":32,"candidateCount":2}}"#;
    let expected = RequestFacts {
        api: Api::GenerateContent,
        model: Some("gemini-2.5-flash".into()),
        stream: true,
        max_output_tokens: Some(Tokens(64)),
        // A member of the arguments.
        fixed_tokens: Tokens(2 * 4 + 3 + 2),
        ..RequestFacts::default()
    };
    let texts = ["Be brief.", "Why?", "plain text", "f", "a", "b"];
    golden("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", body.as_bytes(), expected.clone(), &texts);
    let whole = RequestFacts { stream: false, ..expected };
    golden("/v1beta/models/gemini-2.5-flash:generateContent", body.as_bytes(), whole, &texts);
}
