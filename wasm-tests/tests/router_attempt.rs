//! The role `attempt`: streams are asked for their usage, the router counts it, and who did not ask does not see it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour, PromptTokens},
    client::Client,
    envoy::{Builder, Envoy, Form, Route, Stats},
    router::{chat, counted, ended, settled, until},
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
    for (kind, roles) in [("openai", &["alpha", "beta"][..]), ("anthropic", &["alpha"])] {
        let beta = json!({"priority": 2, "backend_type": kind, "apis": ["openai"]});
        let router = json!({"backend_instances": {"alpha": {}, "beta": beta}});
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_what_he_wants_gets_it() {
    let backends = duo().await;
    let envoy = rig(&backends).attempt(["alpha"]).start().await;
    let client = Client::new();
    // What a backend says in the router's name does not count.
    backends[0].set(Behaviour::default().with_header("x-llm-unasked", "usage"));
    for (include_usage, has_usage) in [(true, true), (false, false)] {
        let body = with_options(json!({"include_usage": include_usage}));
        let reply = client.post_json(&envoy.url(CHAT), &body).await.unwrap();
        assert_eq!(reply.text().contains(r#""choices":[]"#), has_usage, "{}", reply.text());
        assert!(reply.text().ends_with("data: [DONE]\n\n"));
        assert_eq!(reply.header("x-llm-unasked"), None);
        assert_eq!(backends[0].prompts().pop().unwrap().json(), body);
    }
    // Other options are kept, and no answer in one piece is asked for anything.
    let reply = client.post_json(&envoy.url(CHAT), &with_options(json!({"other": 1}))).await.unwrap();
    assert!(!reply.text().contains(r#""choices":[]"#));
    let options = backends[0].prompts().pop().unwrap().json()["stream_options"].clone();
    assert_eq!(options, json!({"other": 1, "include_usage": true}));
    let reply = client.post_json(&envoy.url(CHAT), &chat("hello")).await.unwrap();
    assert!(reply.json()["usage"]["prompt_tokens"].is_u64());
    assert_eq!(backends[0].prompts().pop().unwrap().json(), chat("hello"));
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_passes_as_it_is() {
    let backends = duo().await;
    let alpha = json!({"apis": ["openai", "anthropic"]});
    let router = json!({"backend_instances": {"alpha": alpha, "beta": {"priority": 2}}, "body_limit_bytes": 12 << 20});
    let envoy = rig(&backends).router(router).attempt(["alpha"]).start().await;
    let client = Client::new();
    let send = async |path: &str, content_type: &str, body: Vec<u8>| {
        let headers = [("content-type", content_type)];
        let request = Client::request(&Method::POST, &envoy.url(path), &headers, body);
        client.send(request).await.unwrap();
        backends[0].prompts().pop().unwrap()
    };
    let text = question().to_string().into_bytes();
    let broken = [&text[..text.len() - 1], &text[1..], b"", b" ", b"{", b"null", b"\xFF\xFE{\"stream\":true}"];
    for body in broken {
        let seen = send(CHAT, "application/json", body.to_vec()).await;
        assert_eq!(seen.body, body);
    }
    for (path, content_type) in
        [("/v1/files", "text/plain"), ("/v1/responses", "application/json"), ("/v1/messages", "application/json")]
    {
        assert_eq!(send(path, content_type, text.clone()).await.body, text, "{path} {content_type}");
    }
    let mut large = question();
    large["messages"][0]["content"] = "a".repeat(10 << 20).into();
    let large = large.to_string().into_bytes();
    assert_eq!(send(CHAT, "text/plain", large.clone()).await.body_len, large.len());
    assert_eq!(send(CHAT, "application/json", large.clone()).await.body_len, large.len());
    let mut long = question();
    long["messages"][0]["content"] = "a".repeat(4_000_000).into();
    let option = r#""stream_options":{"include_usage":true},"#.len();
    let long = long.to_string().into_bytes();
    assert_eq!(send(CHAT, "application/json", long.clone()).await.body_len, long.len() + option);
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_not_held_back() {
    let backends = duo().await;
    let envoy = rig(&backends).attempt(["alpha"]).start().await;
    let client = Client::new();
    for piece_bytes in [None, Some(13)] {
        backends[0].set(Behaviour { piece_bytes, ..Behaviour::fault(Fault::StallAfter(1)) });
        let mut stream = client.open(Client::json_request(&envoy.url(CHAT), &question())).await.unwrap();
        // All of the two events that there are, to the last byte.
        while !stream.so_far().windows(3).any(|window| window == b"The") || !stream.so_far().ends_with(b"\n\n") {
            let read = stream.so_far().len();
            assert!(stream.read_at_least(read + 1).await.unwrap() > read, "it ended");
        }
        assert_eq!(backends[0].counters().in_flight, 1);
        stream.cut();
        until("the backend is let go", || async { backends[0].counters().in_flight == 0 }).await;
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirrored_request_is_asked_too_and_harms_nothing() {
    let backends = duo().await;
    let mirrored = |config: &mut Value| {
        let manager = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"];
        route["request_mirror_policies"] = json!([{"cluster": "beta"}]);
    };
    let envoy = rig(&backends).attempt(["alpha", "beta"]).patch(mirrored).start().await;
    let client = Client::new();
    let asked = with_options(json!({"include_usage": true}));
    for n in 1..=5 {
        let reply = client.post_json(&envoy.url(CHAT), &question()).await.unwrap();
        assert!(!reply.text().contains(r#""choices":[]"#) && reply.text().ends_with("data: [DONE]\n\n"));
        until("the mirror has it", || async { backends[1].prompts().len() == n }).await;
    }
    for backend in &backends {
        assert!(backend.prompts().iter().all(|seen| seen.json() == asked), "{:?}", backend.prompts());
    }
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_supported_envoy_runs_it_in_both_forms() {
    for (version, form) in
        [("1.36.4", Form::Struct), ("1.38.2", Form::Json), ("1.39.3", Form::Struct), ("1.40.0", Form::Json)]
    {
        let backends = duo().await;
        let builder = rig(&backends).version(version).form(form).route(Route::ClusterHeader).attempt(["alpha"]);
        let envoy = builder.start().await;
        let client = Client::new();
        backends[0].set(Behaviour {
            output_tokens: 5,
            prompt_tokens: PromptTokens::Exactly(40),
            ..Behaviour::default()
        });
        let reply = client.post_json(&envoy.url(CHAT), &question()).await.unwrap();
        assert!(!reply.text().contains(r#""choices":[]"#) && reply.text().ends_with("data: [DONE]\n\n"), "{version}");
        assert_eq!(
            backends[0].prompts().pop().unwrap().json(),
            with_options(json!({"include_usage": true})),
            "{version}"
        );
        assert_eq!(bill(&settled(&envoy).await), [40, 5, 50_000], "{version}");
    }
}

/// A call of the router's to a backend begins an attempt in the very VM that is busy calling, which the SDK does not bear.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_routers_own_vm_it_does_its_work_and_backends_are_not_checked() {
    let backends = duo().await;
    let one_vm = |config: &mut Value| {
        let options = &mut config["static_resources"]["clusters"][0]["typed_extension_protocol_options"];
        let options = &mut options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
        options["http_filters"][0]["typed_config"]["config"]["vm_config"]["vm_id"] = "llm_router".into();
    };
    let check = json!({"health_check": {"path": "/health", "interval_seconds": 1}});
    let envoy = rig(&backends)
        .router(json!({"backend_instances": {"alpha": check, "beta": {"priority": 2}}}))
        .attempt(["alpha"])
        .patch(one_vm)
        .start()
        .await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let reply = Client::new().post_json(&envoy.url(CHAT), &question()).await.unwrap();
        assert_eq!((reply.status, reply.header("x-llm-backend").as_deref()), (200, Some("alpha")));
        assert!(!reply.text().contains(r#""choices":[]"#) && reply.text().ends_with("data: [DONE]\n\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    settled(&envoy).await;
    assert_eq!(backends[0].journal().len(), backends[0].prompts().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_of_a_backend_pass_its_attempts() {
    let backends = duo().await;
    let check = json!({"health_check": {"path": "/health", "interval_seconds": 1}});
    let router = json!({"backend_instances": {"alpha": check, "beta": check}});
    let envoy = rig(&backends).router(router).attempt(["alpha", "beta"]).start().await;
    for backend in &backends {
        until("it is checked again and again", || async { backend.journal().len() >= 3 }).await;
    }
    let reply = Client::new().post_json(&envoy.url(CHAT), &question()).await.unwrap();
    assert_eq!((reply.status, reply.text().contains(r#""choices":[]"#)), (200, false));
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_passed_the_router_is_left_alone() {
    let backends = duo().await;
    let envoy = Envoy::builder().backends(&backends).attempt(["alpha"]).start().await;
    let reply = Client::new().post_json(&envoy.url(CHAT), &question()).await.unwrap();
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(backends[0].prompts().pop().unwrap().json(), question());
}
