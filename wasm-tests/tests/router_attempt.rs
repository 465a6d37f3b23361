//! The role `attempt`: streams are asked for their usage, the router counts it, and who did not ask does not see it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour, PromptTokens},
    client::{Client, Reply},
    envoy::{Builder, Envoy, Route, Stats},
    router::{chat, counted, ended, settled, streamed_chat, until},
};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

/// A question for a stream that says nothing of usage.
fn question() -> Value {
    let mut body = chat("hällo");
    body["prompt"] = "hällo".into();
    body["stream"] = true.into();
    body
}

fn with_options(options: Value) -> Value {
    let mut body = question();
    body["stream_options"] = options;
    body
}

async fn duo() -> [Backend; 2] {
    [Backend::start("alpha", Flavour::OpenAi).await, Backend::start("beta", Flavour::OpenAi).await]
}

/// Alpha first, beta only where alpha may not; prices per thousand tokens of a dollar and of two.
fn rig(backends: &[Backend]) -> Builder {
    let unbreakable = json!({"enabled": false});
    let prices = |priority: u8| {
        json!({"priority": priority, "input_cost_per_1k_tokens": 1, "output_cost_per_1k_tokens": 2,
            "circuit_breaker": unbreakable})
    };
    let router = json!({"backend_instances": {"alpha": prices(1), "beta": prices(2)}});
    Envoy::builder().concurrency(2).backends(backends).route(Route::Matcher { retries: 1 }).router(router)
}

/// What alpha has said that requests took: tokens of prompts and answers, and millionths of a dollar.
fn bill(stats: &Stats) -> [u64; 3] {
    let tokens = |kind| counted(stats, "tokens_total", &[("backend_id", "alpha"), ("kind", kind)]);
    [tokens("input"), tokens("output"), counted(stats, "request_cost_micro_usd_total", &[("backend_id", "alpha")])]
}

/// The answer without the times and numbers that change from one to the next.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|c: char| !c.is_ascii_digit());
        out.push_str(if digits.len() == 10 { "<time>" } else { digits });
        out.push_str(&piece[digits.len()..]);
    }
    out
}

/// The same stream without the event that has usage and no choices.
fn without_usage(text: &str) -> String {
    let events: Vec<_> = text.split_inclusive("\n\n").filter(|event| !event.contains(r#""choices":[]"#)).collect();
    assert_eq!(events.len() + 1, text.split_inclusive("\n\n").count(), "there is one: {text}");
    events.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_learns_what_a_stream_took_and_its_client_sees_nothing_of_it() {
    let backends = duo().await;
    let twin = Backend::start("alpha", Flavour::OpenAi).await;
    let envoy = rig(&backends).attempt(["alpha", "beta"]).start().await;
    let client = Client::new();
    for piece_bytes in [None, Some(13)] {
        let said = Behaviour {
            output_tokens: 5,
            prompt_tokens: PromptTokens::Exactly(40),
            piece_bytes,
            ..Behaviour::default()
        };
        for backend in [&backends[0], &twin] {
            backend.set(said.clone());
        }
        for path in [CHAT, COMPLETIONS] {
            let before = bill(&envoy.stats().await);
            let routed = client.post_json(&envoy.url(path), &question()).await.unwrap();
            let direct =
                client.post_json(&twin.url(path), &with_options(json!({"include_usage": true}))).await.unwrap();
            assert_eq!((routed.status, routed.header("x-llm-backend").as_deref()), (200, Some("alpha")));
            assert_eq!(routed.header("x-llm-unasked"), None);
            assert_eq!(steady(&routed.text()), steady(&without_usage(&direct.text())), "{path} {piece_bytes:?}");
            let seen = backends[0].prompts().pop().unwrap();
            assert_eq!(seen.json(), with_options(json!({"include_usage": true})));
            let after = bill(&ended(&envoy).await);
            assert_eq!([0, 1, 2].map(|n| after[n] - before[n]), [40, 5, 50_000], "{path} {piece_bytes:?}");
        }
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_asked_as_its_backend_likes_it() {
    let backends = duo().await;
    let client = Client::new();
    let asked = with_options(json!({"include_usage": true}));
    for (kind, roles) in
        [("openai", &["alpha", "beta"][..]), ("anthropic", &["alpha", "beta"]), ("anthropic", &["alpha"])]
    {
        let router = json!({"backend_instances": {"alpha": {}, "beta": {"priority": 2, "backend_type": kind}}});
        let envoy = rig(&backends).router(router).attempt(roles.iter().copied()).start().await;
        for fault in [Behaviour::status(503), Behaviour::fault(Fault::Reset)] {
            for backend in &backends {
                backend.clear_journal();
            }
            backends[0].next(1, fault);
            let reply = client.post_json(&envoy.url(CHAT), &question()).await.unwrap();
            assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("beta")));
            let [first, second] = [0, 1].map(|n| backends[n].prompts().pop().unwrap());
            let expected = if kind == "openai" { asked.clone() } else { question() };
            assert_eq!((first.json(), second.json()), (asked.clone(), expected), "{kind} {roles:?}");
        }
        settled(&envoy).await;
    }
}
