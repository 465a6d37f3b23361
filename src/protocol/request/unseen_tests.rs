//! Prompts of which a part is not in the body, and prompts under other names.

use serde_json::{Value, json};

use super::*;

struct Nowhere;

impl TextSink for Nowhere {
    fn push(&mut self, _: &str) {}
}

fn facts(path: &str, body: &Value) -> RequestFacts {
    let path = RequestPath::new(path.into());
    let body = body.to_string();
    match api_of(&path) {
        api if is_read(api) => read_request(api, &path, body.as_bytes(), &mut Nowhere).expect("readable"),
        _ => read_unknown(body.as_bytes(), &mut Nowhere).expect("readable").expect("a prompt"),
    }
}

/// A body with one more member.
fn with(body: &Value, key: &str, value: &Value) -> Value {
    let mut body = body.clone();
    body[key] = value.clone();
    body
}

#[test]
fn what_is_elsewhere_is_noted_for_each_api() {
    let chat = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }] });
    let responses = json!({ "model": "m", "input": "Hi" });
    let gemini = json!({ "contents": [{ "parts": [{ "text": "Hi" }] }] });
    let said = |part: Value| json!([{ "role": "user", "content": [part] }]);
    let cases = [
        ("/v1/responses", &responses, "previous_response_id", json!("resp_1")),
        ("/v1/responses", &responses, "conversation", json!("conv_1")),
        ("/v1/responses", &responses, "conversation", json!({ "id": "conv_1" })),
        ("/v1/responses", &responses, "prompt", json!({ "id": "pmpt_1", "variables": { "a": "b" } })),
        ("/v1/responses", &responses, "tools", json!([{ "type": "web_search" }])),
        ("/v1/responses", &responses, "tools", json!([{ "type": "file_search", "vector_store_ids": ["vs"] }])),
        (
            "/v1/responses",
            &responses,
            "tools",
            json!([{ "type": "code_interpreter", "container": { "type": "auto" } }]),
        ),
        ("/v1/responses", &responses, "tools", json!([{ "type": "function", "name": "f" }, { "type": "mcp" }])),
        ("/v1/responses", &responses, "input", json!([{ "type": "item_reference", "id": "msg_1" }])),
        ("/v1/responses", &responses, "input", said(json!({ "type": "input_file", "file_id": "file-1" }))),
        ("/v1/responses", &responses, "input", said(json!({ "type": "input_image", "image_url": "https://a/b.png" }))),
        ("/v1/chat/completions", &chat, "web_search_options", json!({})),
        ("/v1/chat/completions", &chat, "data_sources", json!([{ "type": "azure_search" }])),
        ("/v1/chat/completions", &chat, "plugins", json!([{ "id": "web" }])),
        ("/v1/chat/completions", &chat, "search_parameters", json!({ "mode": "on" })),
        ("/v1/chat/completions", &chat, "model", json!("openai/gpt-4o:online")),
        ("/v1/chat/completions", &chat, "messages", json!([{ "role": "assistant", "audio": { "id": "audio_1" } }])),
        ("/v1/messages", &chat, "tools", json!([{ "type": "web_search_20250305", "name": "web_search" }])),
        ("/v1/messages", &chat, "tools", json!([{ "type": "code_execution_20250522", "name": "x" }])),
        ("/v1/messages", &chat, "mcp_servers", json!([{ "type": "url", "url": "https://a" }])),
        ("/v1/messages", &chat, "container", json!("container_1")),
        (
            "/v1/messages",
            &chat,
            "messages",
            said(json!({ "type": "document", "source": { "type": "file", "file_id": "f" } })),
        ),
        ("/v1beta/models/g:generateContent", &gemini, "cachedContent", json!("cachedContents/1")),
        ("/v1beta/models/g:generateContent", &gemini, "tools", json!([{ "googleSearch": {} }])),
        (
            "/v1beta/models/g:generateContent",
            &gemini,
            "tools",
            json!([{ "functionDeclarations": [] }, { "urlContext": {} }]),
        ),
        (
            "/v1beta/models/g:generateContent",
            &gemini,
            "contents",
            json!([{ "parts": [{ "fileData": { "fileUri": "u" } }] }]),
        ),
        ("/v1/sonar", &chat, "search_domain_filter", json!(["a.com"])),
        ("/v1/agent", &responses, "tools", json!([{ "type": "web_search" }])),
        ("/threads/run", &chat, "assistant_id", json!("asst_1")),
    ];
    for (path, body, key, value) in &cases {
        assert!(!facts(path, body).has_unseen_prompt, "{path} {body}");
        assert!(facts(path, &with(body, key, value)).has_unseen_prompt, "{path} {key}: {value}");
    }
}

#[test]
fn what_is_all_in_the_body_is_not_elsewhere() {
    let chat = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    let responses = json!({ "input": "Hi" });
    let gemini = json!({ "contents": [{ "parts": [{ "text": "Hi" }] }] });
    let image = "data:image/png;base64,AAAA";
    for (path, body, key, value) in [
        ("/v1/responses", &responses, "previous_response_id", json!(null)),
        ("/v1/responses", &responses, "previous_response_id", json!("")),
        ("/v1/responses", &responses, "conversation", json!(null)),
        ("/v1/responses", &responses, "tools", json!([{ "type": "function", "name": "f", "parameters": {} }])),
        ("/v1/responses", &responses, "tools", json!([{ "type": "custom", "name": "f" }])),
        ("/v1/responses", &responses, "input", json!([{ "type": "message", "role": "user", "content": "Hi" }])),
        ("/v1/chat/completions", &chat, "tools", json!([{ "type": "function", "function": { "name": "f" } }])),
        ("/v1/chat/completions", &chat, "plugins", json!([])),
        ("/v1/chat/completions", &chat, "enable_search", json!(false)),
        ("/v1/chat/completions", &chat, "messages", json!([{ "content": [{ "image_url": { "url": image } }] }])),
        ("/v1/messages", &chat, "tools", json!([{ "name": "f", "input_schema": { "type": "object" } }])),
        ("/v1beta/models/g:generateContent", &gemini, "tools", json!([{ "functionDeclarations": [{ "name": "f" }] }])),
        ("/v1beta/models/g:generateContent", &gemini, "cachedContent", json!(null)),
        ("/v1/sonar", &chat, "temperature", json!(1)),
    ] {
        assert!(!facts(path, &with(body, key, &value)).has_unseen_prompt, "{path} {key}: {value}");
    }
}

#[test]
fn ollamas_images_count_by_image_and_documents_are_guessed() {
    let png = "iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAIAAADwf7zUAAAADElEQVR4nGNgGB4AAADIAAGtQHYiAAAAAElFTkSuQmCC";
    let large = format!("{png}{}", "A".repeat(500_000));
    let chat = json!({ "messages": [{ "role": "user", "content": "Hi", "images": [large, large] }] });
    assert_eq!(facts("/api/chat", &chat).fixed_tokens, crate::domain::Tokens(4 + 3 + 2 * 765));
    assert_eq!(facts("/api/generate", &json!({ "prompt": "Hi", "images": [large] })).fixed_tokens.0, 765);
    let pdf = format!("JVBERi0xLjcK{}", "A".repeat(1_000_000));
    let source = json!({ "type": "base64", "media_type": "application/pdf", "data": pdf });
    let message = json!({ "messages": [{ "content": [{ "type": "document", "source": source }] }] });
    let facts = facts("/v1/messages", &message);
    assert_eq!((facts.fixed_tokens.0, facts.guessed_tokens.0), (4 + 3, 24_000));
}
