//! Every kind of refusal in the form of the errors of the API that the client speaks.

use serde_json::{Value, json};

use super::*;

/// The form of an API's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OpenAi,
    Anthropic,
    Google,
    Ollama,
    LightRag,
}

/// Requests for inference of every API, each with the form of its errors.
const ASKED: [(&str, Form); 13] = [
    ("/v1/chat/completions", Form::OpenAi),
    ("/v1/completions", Form::OpenAi),
    ("/v1/embeddings", Form::OpenAi),
    ("/v1/responses", Form::OpenAi),
    ("/chat/completions", Form::OpenAi),
    ("/v1/sonar", Form::OpenAi),
    ("/v1beta/openai/chat/completions", Form::OpenAi),
    ("/v1/messages", Form::Anthropic),
    ("/v1beta/models/m:generateContent", Form::Google),
    ("/api/chat", Form::Ollama),
    ("/api/generate", Form::Ollama),
    ("/query", Form::LightRag),
    ("/query/stream", Form::LightRag),
];

/// A question in the words of every API.
const QUESTION: &str = r#"{"model":"m","messages":[{"role":"user","content":"How are you?"}],"input":"How are you?",
    "prompt":"How are you?","contents":[{"parts":[{"text":"How are you?"}]}],"query":"How are you?","max_tokens":50}"#;

/// What `error.type` or `error.status` says in OpenAI's, Anthropic's and Google's form.
const fn words(code: RefusalCode) -> [&'static str; 3] {
    match code {
        RefusalCode::InvalidRequest => ["invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"],
        RefusalCode::ApiNotSupported => ["invalid_request_error", "not_found_error", "NOT_FOUND"],
        RefusalCode::RequestTooLarge => ["invalid_request_error", "request_too_large", "INVALID_ARGUMENT"],
        RefusalCode::RateLimited | RefusalCode::BudgetExceeded => {
            ["rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"]
        }
        RefusalCode::NoBackendAvailable | RefusalCode::QueueFull | RefusalCode::QueueTimeout => {
            ["server_error", "overloaded_error", "UNAVAILABLE"]
        }
    }
}

fn expected(form: Form, code: RefusalCode, message: &str) -> Value {
    let [openai, anthropic, google] = words(code);
    match form {
        Form::OpenAi => {
            json!({"error": {"message": message, "type": openai, "code": code.name(), "param": null}})
        }
        Form::Anthropic => json!({"type": "error", "error": {"type": anthropic, "message": message}}),
        Form::Google => json!({"error": {"code": code.status(), "message": message, "status": google}}),
        Form::Ollama => json!({"error": message}),
        Form::LightRag => json!({"detail": message}),
    }
}

/// A backend that speaks everything, with these other keys; and other keys of the configuration.
fn rig(backend: &Value, others: &Value) -> Rig {
    let mut backend = backend.clone();
    backend["apis"] = json!(["openai", "anthropic", "gemini", "perplexity", "lightrag", "other"]);
    let mut config = others.clone();
    config["panic_threshold"] = json!(0);
    config["backend_instances"] = json!({"a": backend});
    Rig::new(&config)
}

fn is_refused(flow: &Flow, form: Form, code: RefusalCode, what: &str) {
    let Flow::Refuse(refusal) = flow else { panic!("{what} {code:?}: {flow:?}") };
    let body: Value = serde_json::from_str(&refusal.body()).expect("JSON");
    assert_eq!(refusal.code, code, "{what}");
    assert!(!refusal.message.is_empty(), "{what}");
    assert_eq!(body, expected(form, code, &refusal.message), "{what} {code:?}");
}

/// Sends a request for each API into a world of its own, made ready by `prepare`.
fn each(make: impl Fn() -> Rig, headers: &[(&str, &str)], body: &str, code: RefusalCode) {
    for (path, form) in ASKED {
        let mut rig = make();
        let headers: Vec<_> = [(":path", path)].iter().chain(headers).copied().collect();
        let flow = rig.send(&mut Exchange::default(), &headers, body);
        is_refused(&flow, form, code, path);
    }
}

/// With one request under way.
fn busy(backend: &Value, others: &Value) -> Rig {
    let mut rig = rig(backend, others);
    assert_eq!(rig.send(&mut Exchange::default(), &[], CHAT), Flow::Continue);
    rig
}

#[test]
fn what_nobody_speaks_or_nobody_could_read_is_refused_in_the_client_s_form() {
    let none = || Rig::new(&json!({"backend_instances": {"a": {"apis": ["count_tokens"]}}}));
    each(none, &[], CHAT, RefusalCode::ApiNotSupported);
    let small = || rig(&json!({}), &json!({"body_limit_bytes": 1_024}));
    each(small, &[("content-length", "2000")], CHAT, RefusalCode::RequestTooLarge);
    let long = format!("{{\"messages\":[],\"input\":\"{}\"}}", "x".repeat(2_000));
    each(small, &[], &long, RefusalCode::RequestTooLarge);
    each(small, &[("content-encoding", "gzip")], "this is no gzip", RefusalCode::InvalidRequest);
}

#[test]
fn what_is_over_a_limit_or_a_budget_is_refused_in_the_client_s_form() {
    each(|| busy(&json!({"max_concurrent_requests": 1}), &json!({})), &[], CHAT, RefusalCode::RateLimited);
    each(|| busy(&json!({"max_requests_per_minute": 1}), &json!({})), &[], CHAT, RefusalCode::RateLimited);
    let tenants = json!({"cost": {"tenants": {"default": {"max_requests_per_minute": 1}}}});
    each(|| busy(&json!({}), &tenants), &[], CHAT, RefusalCode::RateLimited);
    for cost in [
        json!({"daily_budget_usd": 0.001}),
        json!({"hourly_budget_usd": 0.001}),
        json!({"tenants": {"default": {"daily_budget_usd": 0.001}}}),
    ] {
        let poor = || rig(&json!({"cost_per_1k_tokens": 1000}), &json!({"cost": cost}));
        each(poor, &[], QUESTION, RefusalCode::BudgetExceeded);
    }
}

/// With a breaker that is open.
fn ill() -> Rig {
    let mut rig = rig(&json!({}), &json!({}));
    let (settings, place, now) = {
        let (_, backend, place) = rig.router.places().next().expect("one");
        (backend.breaker.expect("a breaker"), place, rig.world.now())
    };
    rig.view.change(&rig.world, place, now, |record| record.breaker.open_by_hand(&settings, now)).expect("changed");
    rig
}

#[test]
fn what_nobody_can_serve_now_is_refused_in_the_client_s_form() {
    each(ill, &[], CHAT, RefusalCode::NoBackendAvailable);
}

#[test]
fn what_waited_in_vain_or_may_not_wait_is_refused_in_the_client_s_form() {
    let backend = json!({"max_concurrent_requests": 1});
    for (path, form) in ASKED {
        for code in [RefusalCode::QueueFull, RefusalCode::QueueTimeout] {
            let mut rig = busy(&backend, &json!({"queue": {"size": 2, "timeout_ms": 1_000}}));
            let mut exchange = Exchange::default();
            assert_eq!(rig.send(&mut exchange, &[(":path", path)], CHAT), Flow::Wait, "{path}");
            let waiting = std::rc::Rc::clone(exchange.waiting().expect("waits"));
            let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
            let refusal = match code {
                RefusalCode::QueueFull => waiting.turn_away(&mut cx, Some(std::time::Duration::from_secs(1))),
                _ => waiting.give_up(&mut cx),
            };
            is_refused(&Flow::Refuse(refusal), form, code, path);
        }
    }
}

#[test]
fn a_client_of_anthropic_s_is_refused_in_its_form_whatever_it_asks_for() {
    let version = ("anthropic-version", "2023-06-01");
    let none = || Rig::new(&json!({"backend_instances": {"a": {"apis": ["embeddings"]}}}));
    for path in ["/v1/models", "/v1/messages/count_tokens", "/v1/messages/batches", "/v1/files", "/v1/skills"] {
        let flow = none().send(&mut Exchange::default(), &[(":path", path), version], "{}");
        is_refused(&flow, Form::Anthropic, RefusalCode::ApiNotSupported, path);
    }
    // What nobody knows is anybody's, where anybody is well.
    for path in ["/anything", "/", "/custom/thing"] {
        for (headers, form) in [(&[version][..], Form::Anthropic), (&[], Form::OpenAi)] {
            let headers: Vec<_> = [(":path", path)].iter().chain(headers).copied().collect();
            let flow = ill().send(&mut Exchange::default(), &headers, "{}");
            is_refused(&flow, form, RefusalCode::NoBackendAvailable, path);
        }
    }
}
