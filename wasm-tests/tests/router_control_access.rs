//! Who reaches the control listener of a real Envoy: by which names, from where, and which clusters may be registered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use hyper::Method;
use serde_json::{Value, json};
use wasm_tests::{
    backend::Backend,
    client::{Client, raw},
    control::{call, code, done},
    envoy::{Builder, Envoy, Route},
    router::{trio, troubles},
};

fn builder(backends: &[Backend]) -> Builder {
    let router = json!({"backend_instances": {"alpha": {}, "beta": {"priority": 2}}});
    Envoy::builder().backends(backends).route(Route::Matcher { retries: 2 }).router(router)
}

/// Status and body of what a call with these lines gets.
async fn ask(envoy: &Envoy, before: &str, line: &str, headers: &str) -> (u16, String) {
    let request = format!("{before}{line} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    let answer = raw(envoy.control_port(), request.as_bytes()).await.unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).expect("a status").parse().unwrap();
    (status, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_others_can_own_is_not_answered() {
    let backends = trio().await;
    let plain = builder(&backends).control().start().await;
    let named = builder(&backends).control_with(json!({"allowed_hosts": ["router.example.com"]})).start().await;
    let port = plain.control_port();
    for line in ["GET /", "GET /api/v1/router/health", "GET /api/v1/router/backends", "GET /nowhere"] {
        for name in [
            "evil.example".to_owned(),
            format!("evil.example:{port}"),
            format!("localhost.evil.example:{port}"),
            "127.0.0.1.evil.example".to_owned(),
            "router.example.com".to_owned(),
        ] {
            let (status, text) = ask(&plain, "", line, &format!("host: {name}\r\n")).await;
            assert_eq!(status, 403, "{line} {name}: {text}");
            assert!(text.contains("forbidden_host") && text.contains("allowed_hosts"), "{text}");
        }
    }
    let change = "POST /api/v1/router/backends/alpha/drain";
    let rebound = format!("host: evil.example:{port}\r\norigin: http://evil.example:{port}\r\ncontent-length: 0\r\n");
    assert_eq!(ask(&plain, "", change, &rebound).await.0, 403);
    for name in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "LOCALHOST".to_owned(), format!("[::1]:{port}")]
    {
        for line in ["GET /", "GET /api/v1/router/health"] {
            assert_eq!(ask(&plain, "", line, &format!("host: {name}\r\n")).await.0, 200, "{line} {name}");
        }
    }
    let (line, odd) = ("GET /api/v1/router/health", "host: \u{fffd}\r\n");
    assert!(ask(&plain, "", line, odd).await.0 >= 400);
    for (name, status) in [("router.example.com", 200), ("Router.Example.com:443", 200), ("a.router.example.com", 403)]
    {
        assert_eq!(ask(&named, "", line, &format!("host: {name}\r\n")).await.0, status, "{name}");
    }
    for envoy in [&plain, &named] {
        assert_eq!(troubles(&envoy.stats().await), []);
    }
}

/// The control listener takes the addresses of a connection from a line before the request, as behind a load balancer.
fn behind_a_proxy(config: &mut Value) {
    let filter = json!({"name": "envoy.filters.listener.proxy_protocol", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"}});
    let listeners = config["static_resources"]["listeners"].as_array_mut().expect("listeners");
    let control = listeners.iter_mut().find(|listener| listener["name"] == "control").expect("the control listener");
    control["listener_filters"] = json!([filter]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_changes_are_taken_on_loopback_alone() {
    let backends = trio().await;
    let open = builder(&backends).control().patch(behind_a_proxy).start().await;
    let closed = builder(&backends).control().patch(behind_a_proxy).env("LLM_ROUTER_CONTROL_TOKEN", "t").start().await;
    assert!(open.log().contains("LLM_ROUTER_CONTROL_TOKEN is not set"), "the start says so");
    assert!(!closed.log().contains("LLM_ROUTER_CONTROL_TOKEN"));
    let change = "POST /api/v1/router/backends/alpha/drain";
    let base = "host: 192.0.2.7:8888\r\ncontent-length: 0\r\n";
    let bearer = format!("{base}authorization: Bearer t\r\n");
    for (from, allowed) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.7 4711 8888\r\n", 403),
        ("PROXY TCP4 127.0.0.1 10.0.0.3 4711 8888\r\n", 403),
        ("PROXY TCP6 2001:db8::1 2001:db8::7 4711 8888\r\n", 403),
        ("PROXY TCP4 127.0.0.1 127.0.0.1 4711 8888\r\n", 200),
        ("PROXY TCP6 ::1 ::1 4711 8888\r\n", 200),
    ] {
        let (status, text) = ask(&open, from, change, base).await;
        assert_eq!(status, allowed, "{from}{text}");
        assert_eq!(text.contains("LLM_ROUTER_CONTROL_TOKEN"), status == 403, "{text}");
        assert_eq!(ask(&open, from, change, &bearer).await.0, allowed, "no token is not any token");
        assert_eq!(ask(&open, from, "GET /api/v1/router/health", base).await.0, 200);
        assert_eq!(ask(&closed, from, change, &bearer).await.0, 200, "{from}");
        assert_eq!(ask(&closed, from, change, base).await.0, 401, "{from}");
    }
    assert!(open.log().contains("the control listener has no token"), "{}", open.log());
    assert!(!closed.log().contains("the control listener has no token"));
    for envoy in [&open, &closed] {
        assert_eq!(troubles(&envoy.stats().await), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_leads_clients_to_envoys_admin_port() {
    let backends = trio().await;
    // A cluster that leads there, and a router that does not know.
    let envoy = builder(&backends).admin_cluster().control().start().await;
    let client = Client::new();
    for (id, body) in [
        ("ops", r#"{"cluster":"envoy_admin"}"#),
        ("envoy_admin", "{}"),
        ("alpha", r#"{"cluster":"envoy_admin","priority":0}"#),
        ("gamma", "{}"),
    ] {
        let reply = call(&envoy, Method::PUT, &format!("/backends/{id}"), &[], body).await;
        let told = reply.text();
        assert_eq!(code(&reply), (409, "conflict".to_owned()), "{told}");
        assert!(told.contains("allow_any_cluster") && told.contains("metadata"), "{told}");
        let dump = client.get(&envoy.url("/config_dump")).await.unwrap();
        assert!(!dump.text().contains("configs") && dump.header("x-sim-backend").is_some(), "{}", dump.text());
    }
    done(&envoy, Method::PUT, "/backends/alpha", r#"{"priority":5}"#).await;
    done(&envoy, Method::PUT, "/backends/second", r#"{"cluster":"beta"}"#).await;
    assert_eq!(troubles(&envoy.stats().await), []);
    drop(envoy);

    let envoy = builder(&backends).control_with(json!({"allow_any_cluster": true})).start().await;
    done(&envoy, Method::PUT, "/backends/gamma", r#"{"priority":0}"#).await;
    let reply = client.get(&envoy.url("/v1/models")).await.unwrap();
    assert_eq!(reply.header("x-sim-backend").as_deref(), Some("gamma"));
    assert_eq!(troubles(&envoy.stats().await), []);
}
