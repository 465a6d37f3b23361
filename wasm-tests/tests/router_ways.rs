//! Ways round a budget, on a real Envoy: however a client spells a path, calls its body or leaves, the same answer has the
//! same price.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour, PromptTokens},
    client::{Client, Reply},
    envoy::{Builder, Envoy, Route},
    router::{chat, counted, ended, news_travels, streamed_chat, until},
    wire::{Http2, Script, Scripted},
};

const PATH: &str = "/v1/chat/completions";
const JSON: &str = "application/json";

/// Frames after which Envoy ends an HTTP/2 connection, or the stream: type, flags, stream, payload.
const BREACHES: [(&str, u8, u8, u32, &[u8]); 6] = [
    ("DATA on stream 0", 0, 0, 0, b"?"),
    ("DATA after the end of the request", 0, 0, 1, b"?"),
    ("WINDOW_UPDATE by 0", 8, 0, 0, &[0; 4]),
    ("WINDOW_UPDATE beyond the largest window", 8, 0, 1, &[0x7F, 0xFF, 0xFF, 0xFF]),
    ("SETTINGS of an odd length", 4, 0, 0, &[1, 2, 3]),
    ("CONTINUATION of nothing", 9, 4, 1, &[0x82]),
];

/// An answer that does not say what it took: then it costs what the router makes of it.
const UNREPORTED: &str = r#"{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Fine."}}]}"#;

/// How a client may call what is a chat to one server or another: path and content type.
const SPELLINGS: [(&str, &str); 18] = [
    ("/v1/chat/completions", JSON),
    ("/v1/chat/completion%73", JSON),
    ("/v1/chat%2Fcompletions", JSON),
    ("/v1/chat%2fcompletions", JSON),
    ("/v1%5Cchat/completions", JSON),
    ("/v1/chat/completions//", JSON),
    ("/v1/chat//completions", JSON),
    ("/v1/chat/completions/.", JSON),
    ("/v1/./chat/completions", JSON),
    ("/v1/moderations/../chat/completions", JSON),
    ("/v1/moderations/%2e%2e/chat/completions", JSON),
    ("/v1/chat/completions;a=b", JSON),
    ("/v1;a/chat;b=c/completions", JSON),
    ("/V1/Chat/COMPLETIONS", JSON),
    ("/v1/chat/completions", "text/plain"),
    ("/v1/chat/completions", ""),
    ("/v1/chat/completions", "multipart/form-data; boundary=b"),
    ("/v1/chat/completions", "application/grpc"),
];

/// A dollar for a thousand tokens: a token is a thousandth of a dollar.
fn rig(port: u16, unreadable: &str) -> Builder {
    let router = json!({"retry": {"max_attempts": 1}, "cost": {"daily_budget_usd": 1000}, "unreadable": unreadable,
        "backend_instances": {"alpha": {"cost_per_1k_tokens": 1.0, "apis": ["openai", "other"]}}});
    Envoy::builder().cluster("alpha", &[port]).route(Route::ClusterHeader).router(router).control()
}

async fn post(envoy: &Envoy, path: &str, content_type: &str, body: &str) -> Reply {
    let headers = [("content-type", content_type)];
    let headers = if content_type.is_empty() { &[][..] } else { &headers };
    Client::new().send(Client::request(&Method::POST, &envoy.url(path), headers, body.to_owned())).await.unwrap()
}

fn priced() -> Behaviour {
    Behaviour { prompt_tokens: PromptTokens::Exactly(100), ..Behaviour::default() }
}

/// What was spent in the day, in thousandths of a dollar, once nothing is reserved any more and every worker knows it.
async fn spent(envoy: &Envoy) -> u64 {
    let overall = || async {
        news_travels().await;
        Client::new().get(&envoy.control_url("/budget")).await.unwrap().json()["overall"].clone()
    };
    until("nothing is reserved", || async { overall().await["reserved_usd"] == 0 }).await;
    (overall().await["day"]["spent_usd"].as_f64().unwrap() * 1e3).round() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_breaks_http_2_pays_for_what_it_was_sent_and_for_what_it_asked() {
    let backend = Backend::start("alpha", Flavour::OpenAi).await;
    let envoy = rig(backend.port(), "route").start().await;
    let question = "hello ".repeat(92);
    let (whole, stream) = (chat(&question).to_string(), streamed_chat(&question).to_string());

    // It has read the whole answer.
    backend.set(Behaviour { output_tokens: 40, ..priced() });
    let mut expected = 0;
    for (name, kind, flags, id, payload) in BREACHES {
        let mut client = Http2::connect(envoy.port()).await.unwrap();
        let stream = client.post(PATH, JSON, whole.as_bytes(), true).await.unwrap();
        client.read(stream, 200).await.unwrap();
        client.frame(kind, flags, id, payload).await.unwrap();
        expected += 140;
        assert_eq!(spent(&envoy).await, expected, "{name}");
    }
    let stats = ended(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[("status", "not_sent")]), 0, "it was sent");

    // It is in the midst of a stream.
    backend.set(Behaviour { output_tokens: 2_000, inter_token_ms: 10, ..priced() });
    let mut client = Http2::connect(envoy.port()).await.unwrap();
    let id = client.post(PATH, JSON, stream.as_bytes(), true).await.unwrap();
    client.read(id, 3_000).await.unwrap();
    client.break_protocol().await.unwrap();
    let stats = ended(&envoy).await;
    assert_eq!(counted(&stats, "requests_total", &[("status", "not_sent")]), 0, "it was sent");
    let after_stream = spent(&envoy).await;
    assert!(after_stream >= expected + 100, "{after_stream}");

    // The backend still thinks.
    backend.set(Behaviour { first_token_ms: 20_000, latency_ms: 20_000, ..priced() });
    let mut expected = after_stream;
    for (name, kind, flags, id, payload) in BREACHES {
        let before = backend.prompts().len();
        let mut client = Http2::connect(envoy.port()).await.unwrap();
        client.post(PATH, JSON, whole.as_bytes(), true).await.unwrap();
        until("the backend has it", || async { backend.prompts().len() > before }).await;
        client.frame(kind, flags, id, payload).await.unwrap();
        ended(&envoy).await;
        let now = spent(&envoy).await;
        assert!((expected + 90..expected + 130).contains(&now), "{name}: {now} after {expected}");
        expected = now;
    }
    let stats = ended(&envoy).await;
    let statuses = ["not_sent", "client_abort"].map(|status| counted(&stats, "requests_total", &[("status", status)]));
    assert_eq!(statuses, [0, 1 + BREACHES.len() as u64]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_costs_the_same_however_its_path_is_spelled_and_its_body_is_called() {
    let backend = Scripted::start(Script::answer("200 OK", JSON, UNREPORTED)).await;
    let body = chat(&"hello ".repeat(92)).to_string();
    for normalizes in [true, false] {
        let builder = rig(backend.port(), "refuse");
        // What the module makes of a path must not depend on what Envoy made of it before.
        let builder = if normalizes { builder } else { builder.patch(without_normalization) };
        let envoy = builder.start().await;
        let (mut before, mut price) = (0, None);
        for (path, content_type) in SPELLINGS {
            let reply = post(&envoy, path, content_type, &body).await;
            assert_eq!(reply.status, 200, "{path} {content_type}: {}", reply.text());
            let now = spent(&envoy).await;
            let price = *price.get_or_insert(now);
            assert!(price >= 95, "{price}");
            assert_eq!(now - before, price, "{path} {content_type}, normalized by Envoy: {normalizes}");
            before = now;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_refused_where_that_is_wanted_and_a_prompt_is_read_wherever_it_goes() {
    let backend = Scripted::start(Script::answer("200 OK", JSON, UNREPORTED)).await;
    let envoy = rig(backend.port(), "refuse").start().await;
    let text = "hello ".repeat(92);
    let mut before = 0;
    for (path, body) in [
        ("/invocations", json!({"messages": [{"role": "user", "content": text}]})),
        ("/generate", json!({"inputs": text, "parameters": {"max_new_tokens": 20}})),
        ("/v1/chat/completions.json", json!({"messages": [{"role": "user", "content": text}]})),
        ("/embed", json!({"input": [text]})),
    ] {
        assert_eq!(post(&envoy, path, "", &body.to_string()).await.status, 200, "{path}");
        let now = spent(&envoy).await;
        assert!(now - before >= 90, "{path}: {}", now - before);
        before = now;
    }
    for (path, content_type, body) in [
        (PATH, "text/plain", "messages=hello"),
        (PATH, JSON, "{\"messages\": NaN}"),
        ("/transcribe", "audio/mpeg", "ID3"),
        ("/search", JSON, "{\"vector\":[1]}"),
    ] {
        let reply = post(&envoy, path, content_type, body).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("invalid_request")), "{path} {body}");
    }
    assert_eq!(spent(&envoy).await, before);
}

/// Takes out of a listener what makes one spelling of each path.
fn without_normalization(config: &mut Value) {
    match config {
        Value::Object(fields) => {
            for key in ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action"] {
                fields.remove(key);
            }
            fields.values_mut().for_each(without_normalization);
        }
        Value::Array(list) => list.iter_mut().for_each(without_normalization),
        _ => {}
    }
}
