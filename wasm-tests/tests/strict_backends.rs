//! The simulated backends refuse what their services refuse: otherwise a router that sends requests anywhere looks right.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Flavour},
    client::Client,
};

/// Method, path, body, headers, and the status of the answer.
type Case<'a> = (&'a str, &'a str, Value, &'a [(&'a str, &'a str)], u16);

#[tokio::test]
async fn every_backend_is_as_strict_as_its_service() {
    let hello = json!([{"role": "user", "content": "hello"}]);
    let version: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];
    let ask = |model: &str| json!({"model": model, "messages": hello});
    let claude = json!({"model": "claude", "max_tokens": 9, "messages": hello});
    let gemini = "/v1beta/models/gemini:generateContent";
    let contents = json!({"contents": [{"parts": [{"text": "hello"}]}]});
    let services: [(Flavour, &str, Vec<Case<'_>>); 6] = [
        (
            Flavour::OpenAi,
            "/error/message",
            vec![
                ("POST", "/v1/chat/completions", ask("gpt"), &[], 200),
                ("POST", "/v1/chat/completions", json!({"messages": hello}), &[], 400),
                ("POST", "/v1/chat/completions", json!({"model": "gpt"}), &[], 400),
                ("POST", "/v1/chat/completions", json!({"model": "gpt", "messages": []}), &[], 400),
                ("POST", "/v1/chat/completions", ask("claude-sonnet-4-5"), &[], 404),
                ("GET", "/v1/chat/completions", Value::Null, &[], 405),
                ("POST", "/chat/completions", ask("gpt"), &[], 404),
                ("POST", "/v1/messages", claude.clone(), version, 404),
                ("POST", "/query", json!({"query": "hello"}), &[], 404),
            ],
        ),
        (
            Flavour::Anthropic,
            "/error/message",
            vec![
                ("POST", "/v1/messages", claude.clone(), version, 200),
                ("POST", "/v1/messages", claude.clone(), &[], 400),
                ("POST", "/v1/messages", ask("claude"), version, 400),
                ("POST", "/v1/messages/count_tokens", ask("claude"), version, 200),
                ("POST", "/v1/chat/completions", ask("claude"), version, 404),
            ],
        ),
        (
            Flavour::Perplexity,
            "/error/message",
            vec![
                ("POST", "/chat/completions", ask("sonar"), &[], 200),
                ("POST", "/chat/completions", ask("gpt-4o"), &[], 400),
                ("POST", "/async/chat/completions", ask("sonar"), &[], 400),
                ("POST", "/v1/chat/completions", ask("sonar"), &[], 404),
            ],
        ),
        (
            Flavour::LightRag,
            "/detail",
            vec![
                ("POST", "/query", json!({"query": "hello"}), &[], 200),
                ("POST", "/query", ask("m"), &[], 422),
                ("POST", "/api/chat", ask("lightrag:latest"), &[], 200),
                ("GET", "/query", Value::Null, &[], 405),
                ("POST", "/v1/chat/completions", ask("m"), &[], 404),
            ],
        ),
        (
            Flavour::Gemini,
            "/error/status",
            vec![
                ("POST", gemini, contents.clone(), &[], 200),
                ("POST", gemini, ask("gemini"), &[], 400),
                ("POST", "/v1/chat/completions", ask("gemini"), &[], 404),
            ],
        ),
        (
            Flavour::Generic,
            "/error/message",
            vec![
                ("POST", "/collections/c/search", json!({}), &[], 200),
                ("POST", "/v1/chat/completions", ask("m"), &[], 404),
            ],
        ),
    ];
    for (flavour, form, cases) in services {
        let backend = Backend::start("alpha", flavour).await;
        for (method, path, body, headers, status) in cases {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let request = Client::request(&method.parse().unwrap(), &backend.url(path), headers, body.clone());
            let reply = Client::new().send(request).await.unwrap();
            assert_eq!(reply.status, status, "{flavour:?} {method} {path} {body}: {}", reply.text());
            if status >= 400 {
                assert!(reply.json().pointer(form).is_some_and(Value::is_string), "{flavour:?}: {}", reply.text());
            }
        }
    }
}
