//! What is paid for answers whose usage is told in another dialect than `OpenAI`'s, or only by half, on a real Envoy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::sleep;
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour, PromptTokens, UsageEvent},
    client::Client,
    envoy::{Envoy, Route},
    router::{chat, counted, ended, streamed_chat, until},
};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

/// A dollar for a thousand tokens, so that a token is a thousandth of one; a cached one is a tenth of that.
fn prices() -> Value {
    json!({"input_cost_per_1k_tokens": 1, "cached_input_cost_per_1k_tokens": 0.1, "output_cost_per_1k_tokens": 1})
}

async fn rig(backend: &Backend, instance: Value, cost: Value, attempt: &[&'static str]) -> Envoy {
    let router = json!({"backend_instances": {"alpha": instance}, "retry": {"max_attempts": 1}, "cost": cost,
        "logging": {"decisions": true}});
    Envoy::builder()
        .concurrency(2)
        .backends(std::slice::from_ref(backend))
        .route(Route::ClusterHeader)
        .router(router)
        .control()
        .attempt(attempt.iter().copied())
        .start()
        .await
}

/// What `LiteLLM` says of a prompt of 1020 tokens, 1000 of which came from the provider's cache.
fn litellm() -> Behaviour {
    Behaviour {
        prompt_tokens: PromptTokens::Exactly(1_020),
        cached_tokens: 1_000,
        output_tokens: 100,
        usage_members: json!({"cache_read_input_tokens": 1_000, "cache_creation_input_tokens": 0}),
        usage_event: UsageEvent::EmptyChoice,
        ..Behaviour::default()
    }
}

/// Input, cached input and output as reported, millionths of a dollar, and answers paid for by estimate.
async fn bill(envoy: &Envoy) -> [u64; 5] {
    let stats = ended(envoy).await;
    let tokens = |kind| counted(&stats, "tokens_total", &[("backend_id", "alpha"), ("kind", kind)]);
    let paid = |name| counted(&stats, name, &[("backend_id", "alpha")]);
    [
        tokens("input"),
        tokens("cached_input"),
        tokens("output"),
        paid("request_cost_micro_usd_total"),
        paid("usage_estimated_total"),
    ]
}

fn changes(before: [u64; 5], after: [u64; 5]) -> [u64; 5] {
    [0, 1, 2, 3, 4].map(|n| after[n] - before[n])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_dollars_before_a_gateway_that_says_its_cache_twice_buy_forty_four_answers() {
    // A day's budget begins anew at midnight.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    if 86_400 - since_epoch % 86_400 < 60 {
        sleep(Duration::from_secs(61)).await;
    }
    let backend = Backend::start("alpha", Flavour::OpenAi).await;
    backend.set(litellm());
    // 20 · 0.8 + 1000 · 0.08 + 100 · 1.74 = 270 thousandths of a dollar.
    let instance = json!({"input_cost_per_1k_tokens": 0.8, "cached_input_cost_per_1k_tokens": 0.08,
        "output_cost_per_1k_tokens": 1.74});
    let envoy = rig(&backend, instance, json!({"daily_budget_usd": 12, "pacing": false}), &[]).await;
    let (client, mut request) = (Client::new(), chat("hello"));
    request["max_tokens"] = 100.into();
    let mut served = 0;
    loop {
        let reply = client.post_json(&envoy.url(CHAT), &request).await.unwrap();
        match reply.status {
            200 => served += 1,
            429 => {
                assert_eq!(reply.json()["error"]["code"], "budget_exceeded");
                // One that is told to come back in a second was faster than the end of the one before.
                if reply.header("retry-after").unwrap().parse::<u64>().unwrap() > 1 {
                    break;
                }
                sleep(Duration::from_millis(5)).await;
            }
            status => panic!("{status}: {}", reply.text()),
        }
        assert!(served < 100, "the budget has no end");
    }
    assert_eq!(served, 44);
    let [input, cached, output, cost, estimated] = bill(&envoy).await;
    assert_eq!([input, cached, output], [44 * 1_020, 44 * 1_000, 44 * 100]);
    assert_eq!([cost, estimated], [44 * 270_000, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_beside_choices_is_counted_and_hidden_from_who_did_not_ask() {
    let backend = Backend::start("alpha", Flavour::OpenAi).await;
    let envoy = rig(&backend, prices(), json!({}), &["alpha"]).await;
    let client = Client::new();
    let mut question = streamed_chat("hello");
    question.as_object_mut().unwrap().remove("stream_options");
    question["prompt"] = "hello".into();
    for (usage_event, piece_bytes) in [
        (UsageEvent::EmptyChoice, None),
        (UsageEvent::EmptyChoice, Some(11)),
        (UsageEvent::LastChoice, None),
        (UsageEvent::LastChoice, Some(13)),
        (UsageEvent::Alone, None),
    ] {
        backend.set(Behaviour { usage_event, piece_bytes, output_tokens: 5, ..litellm() });
        for path in [CHAT, COMPLETIONS] {
            let before = bill(&envoy).await;
            let reply = client.post_json(&envoy.url(path), &question).await.unwrap();
            let text = reply.text();
            let events: Vec<_> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
            assert_eq!(reply.status, 200, "{text}");
            assert!(!text.contains("prompt_tokens") && !text.contains(r#""choices":[]"#), "{usage_event:?}: {text}");
            // The words, then the end of the answer, then the last mark; chat has a beginning, too.
            assert_eq!(events.len(), if path == CHAT { 8 } else { 7 }, "{usage_event:?}: {text}");
            assert_eq!(events.iter().filter(|event| event.contains(r#""finish_reason":"stop""#)).count(), 1, "{text}");
            for event in &events[..events.len() - 1] {
                let event: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
                assert_eq!(event.get("usage"), Some(&Value::Null), "{event}");
            }
            assert_eq!(changes(before, bill(&envoy).await), [1_020, 1_000, 5, 20_000 + 100_000 + 5_000, 0]);
        }
        // Who asks gets it, wherever it comes.
        let mut asked = question.clone();
        asked["stream_options"] = json!({"include_usage": true});
        let reply = client.post_json(&envoy.url(CHAT), &asked).await.unwrap();
        assert!(reply.text().contains(r#""cache_read_input_tokens":1000"#), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_usage_is_completed_by_estimate_and_says_so() {
    let backend = Backend::start("alpha", Flavour::OpenAi).await;
    let envoy = rig(&backend, prices(), json!({}), &[]).await;
    let client = Client::new();
    // Odd members and details lose nothing; nor does an object of five kilobytes.
    let odd = json!({"prompt_tokens": "1020", "prompt_tokens_details": [], "cached_tokens": 1000.0,
        "completion_tokens": 100, "total_tokens": null, "note": "x".repeat(5_000)});
    for (members, expected, estimated) in [
        (odd, [1_020, 1_000, 100], false),
        (json!({"completion_tokens": 200, "total_tokens": 1_220, "reasoning_tokens": 150}), [1_020, 1_000, 200], false),
        (json!({"completion_tokens": 0, "total_tokens": 1_020}), [1_020, 1_000, 0], true),
        (json!({"prompt_tokens": null, "total_tokens": null}), [0, 0, 100], true),
    ] {
        for stream in [true, false] {
            backend.set(Behaviour { usage_members: members.clone(), usage_event: UsageEvent::Alone, ..litellm() });
            let before = bill(&envoy).await;
            let request = if stream { streamed_chat("hello") } else { chat("hello") };
            let reply = client.post_json(&envoy.url(CHAT), &request).await.unwrap();
            assert_eq!(reply.status, 200);
            let [input, cached, output, cost, guessed] = changes(before, bill(&envoy).await);
            assert_eq!(([input, cached, output], guessed), (expected, u64::from(estimated)), "{members} {stream}");
            // A half that is not reported is paid for.
            let reported = (input - cached) * 1_000 + cached * 100 + output * 1_000;
            assert_eq!(cost > reported, estimated, "{members} {stream}: {cost} of {reported}");
            let expected = if estimated { "estimated" } else { "reported" };
            until("the decision tells of it", || async {
                let decisions = client.get(&envoy.control_url("/decisions?limit=1")).await.unwrap().json();
                decisions["decisions"][0]["outcome"]["usage"] == expected
            })
            .await;
        }
    }
}
