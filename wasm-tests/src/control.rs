//! Calls of the control API, and what all workers say.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::Value;

use crate::{
    client::{Client, Reply},
    envoy::Envoy,
    load::load,
    router::{chat, news_travels, until},
};

/// A new connection each: together they reach every worker, as far as the kernel's choice goes.
pub const CONNECTIONS: usize = 24;

/// A call with any body.
pub async fn call(envoy: &Envoy, method: Method, endpoint: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let url = envoy.control_url(endpoint);
    Client::new().send(Client::request(&method, &url, headers, body.to_owned())).await.unwrap()
}

/// A call that must be answered 200; returns the JSON.
pub async fn done(envoy: &Envoy, method: Method, endpoint: &str, body: &str) -> Value {
    let reply = call(envoy, method, endpoint, &[], body).await;
    assert_eq!(reply.status, 200, "{endpoint}: {}", reply.text());
    let header = |name| reply.header(name).unwrap_or_default();
    assert_eq!((&*header("content-type"), &*header("cache-control")), ("application/json", "no-store"));
    reply.json()
}

/// What an endpoint shows.
pub async fn get(envoy: &Envoy, endpoint: &str) -> Value {
    done(envoy, Method::GET, endpoint, "").await
}

/// Status and code of an error.
pub fn code(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    let text = |pointer| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert!(!text("/error/message").is_empty(), "{body}");
    (reply.status, text("/error/code"))
}

/// Who answers requests on many new connections, two on each.
pub async fn who(envoy: &Envoy) -> BTreeMap<String, usize> {
    let url = envoy.url("/v1/chat/completions");
    let mut all = BTreeMap::new();
    for _ in 0..CONNECTIONS {
        let load = load(&Client::new(), 2, 1, |_| Client::json_request(&url, &chat("hello"))).await;
        assert_eq!(load.failures(), 0, "{:?}", load.first_failure());
        for (backend, count) in load.by_header("x-llm-backend") {
            *all.entry(backend).or_default() += count;
        }
    }
    all
}

/// Waits until every one of many new connections is told so, and until a worker that none of them reached knows it, too.
pub async fn all_workers_say(envoy: &Envoy, endpoint: &str, pointer: &str, expected: &Value) {
    until(&format!("{endpoint}{pointer} is {expected} on all workers"), || async {
        for _ in 0..CONNECTIONS {
            if get(envoy, endpoint).await.pointer(pointer) != Some(expected) {
                return false;
            }
        }
        true
    })
    .await;
    news_travels().await;
}
