//! A request goes only where its API is spoken, and only inference is evidence of inference.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::routing::Strategy;

/// README's own configuration, with the other two types of the shipped ones.
fn fleet(strategy: &str) -> Value {
    json!({ "strategy": strategy, "backend_instances": {
        "anthropic_primary": { "backend_type": "anthropic", "cost_per_1k_tokens": 0.015, "quality_score": 0.93 },
        "lightrag_primary": { "backend_type": "lightrag", "quality_score": 0.99 },
        "openai_primary": { "backend_type": "openai", "cost_per_1k_tokens": 0.01, "quality_score": 0.9 },
        "perplexity_primary": { "backend_type": "perplexity", "cost_per_1k_tokens": 0.005 },
    } })
}

/// The clusters of the attempts; none where the request is refused.
fn slots(rig: &mut Rig, headers: &[(&str, &str)]) -> Result<Vec<String>, Value> {
    let mut exchange = Exchange::default();
    match rig.send(&mut exchange, headers, CHAT) {
        Flow::Refuse(refusal) => {
            let body: Value = serde_json::from_str(&refusal.body()).expect("JSON");
            Err(json!({ "status": refusal.code.status(), "body": body }))
        }
        Flow::Continue | Flow::Hold | Flow::Wait => {
            let slots =
                ["x-llm-try-0", "x-llm-try-1", "x-llm-try-2"].iter().filter_map(|name| rig.header(name)).collect();
            rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
            Ok(slots)
        }
    }
}

#[test]
fn whatever_the_strategy_each_api_goes_to_its_own_type_alone() {
    for strategy in Strategy::ALL {
        let mut rig = Rig::new(&fleet(strategy.name()));
        for _ in 0..20 {
            for (path, id) in [
                ("/v1/messages", "anthropic_primary"),
                ("/v1/chat/completions", "openai_primary"),
                ("/v1/responses", "openai_primary"),
                ("/v1/embeddings", "openai_primary"),
                ("/v1/files", "openai_primary"),
                ("/v1/threads/t/messages", "openai_primary"),
                ("/chat/completions", "perplexity_primary"),
                ("/v1/sonar", "perplexity_primary"),
                ("/async/chat/completions", "perplexity_primary"),
                ("/query/stream", "lightrag_primary"),
                ("/query/data", "lightrag_primary"),
                ("/api/chat", "lightrag_primary"),
            ] {
                let tried = slots(&mut rig, &[(":path", path)]).expect("served");
                assert_eq!(tried, [id; 3], "{} {path}", strategy.name());
            }
        }
    }
}

#[test]
fn where_nobody_speaks_an_api_the_client_is_told_in_its_own_form() {
    let mut rig = Rig::new(&json!({ "client_hints": ["explain"], "backend_instances": {
        "a": {}, "v": { "backend_type": "generic" } } }));
    let told = slots(&mut rig, &[(":path", "/v1/messages")]).expect_err("refused");
    let spoken = "chat_completions, responses, completions, embeddings, models, openai_other, other";
    let message = |api: &str| format!("no backend of this gateway speaks the API {api}; they speak: {spoken}");
    let anthropic = json!({ "type": "error", "error": { "type": "not_found_error", "message": message("messages") } });
    assert_eq!(told, json!({ "status": 404, "body": anthropic }));
    let told = slots(&mut rig, &[(":path", "/v1beta/models/m:generateContent")]).expect_err("refused");
    let google = json!({ "error": { "code": 404, "message": message("generate_content"), "status": "NOT_FOUND" } });
    assert_eq!(told["body"], google);
    let told = slots(&mut rig, &[(":path", "/async/chat/completions")]).expect_err("refused");
    let openai = json!({ "error": { "message": message("async_chat"), "type": "invalid_request_error",
        "code": "api_not_supported", "param": null } });
    assert_eq!(told["body"], openai);
    assert_eq!(rig.metric("refusals_total.code.api_not_supported"), 3);
    let mut none = Rig::new(&json!({ "backend_instances": { "a": {} } }));
    for (path, form) in [("/query", "/detail"), ("/api/chat", "/error"), ("/rag/query/stream", "/detail")] {
        let told = slots(&mut none, &[(":path", path)]).expect_err("refused");
        assert!(told["body"].pointer(form).is_some_and(Value::is_string), "{path}: {told}");
    }
}

#[test]
fn other_refusals_have_the_form_of_the_client_s_api_too() {
    let backend = json!({ "apis": ["openai", "anthropic", "gemini", "lightrag"], "max_concurrent_requests": 1 });
    let mut rig = Rig::new(&json!({ "backend_instances": { "a": backend } }));
    let mut first = Exchange::default();
    assert_eq!(rig.send(&mut first, &[], CHAT), Flow::Continue);
    for (path, pointer, value) in [
        ("/v1/chat/completions", "/error/code", json!("rate_limited")),
        ("/v1/messages", "/error/type", json!("rate_limit_error")),
        ("/v1beta/models/m:generateContent", "/error/status", json!("RESOURCE_EXHAUSTED")),
    ] {
        let told = slots(&mut rig, &[(":path", path)]).expect_err("refused");
        assert_eq!((&told["status"], told["body"].pointer(pointer)), (&json!(429), Some(&value)), "{told}");
    }
    for (path, pointer) in [("/query", "/detail"), ("/api/generate", "/error")] {
        let told = slots(&mut rig, &[(":path", path)]).expect_err("refused");
        assert!(told["body"].pointer(pointer).is_some_and(Value::is_string), "{told}");
    }
    let told = slots(&mut rig, &[(":path", "/v1/messages"), ("content-length", "99999999")]).expect_err("refused");
    assert_eq!(told["body"]["error"]["type"], "request_too_large");
}

#[test]
fn apis_say_what_a_server_of_several_speaks() {
    let mut rig = Rig::new(&json!({ "strategy": "round_robin", "backend_instances": {
        "claude": { "backend_type": "anthropic" },
        "litellm": { "apis": ["openai", "messages"] },
        "vllm": { "backend_type": "openai", "apis": ["chat_completions"] },
    } }));
    let mut firsts = |path: &str, requests: usize| {
        let first = |_| slots(&mut rig, &[(":path", path)]).expect("served").remove(0);
        (0..requests).map(first).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(firsts("/v1/messages", 6), ["claude", "litellm"]);
    assert_eq!(firsts("/v1/chat/completions", 6), ["litellm", "vllm"]);
    assert_eq!(firsts("/v1/embeddings", 6), ["litellm"]);
    assert_eq!(firsts("/v1/messages/count_tokens", 6), ["claude"]);
}

#[test]
fn a_path_of_no_known_api_goes_to_generic_backends_or_else_to_any() {
    let first = |backends: &Value, path: &str| {
        let mut rig = Rig::new(&json!({ "strategy": "round_robin", "backend_instances": backends }));
        let firsts = (0..8).filter_map(|_| slots(&mut rig, &[(":path", path)]).ok().map(|mut slots| slots.remove(0)));
        firsts.collect::<BTreeSet<_>>().into_iter().collect::<String>()
    };
    let mixed = json!({ "a": {}, "v": { "backend_type": "generic" }, "w": { "apis": ["other"] } });
    assert_eq!(first(&mixed, "/vectors/search"), "vw");
    assert_eq!(first(&mixed, "/query"), "vw", "a word that any service may use");
    assert_eq!(first(&mixed, "/v1/chat/completions"), "a");
    assert_eq!(first(&mixed, "/v1/messages"), "");
    let none = json!({ "a": {}, "b": { "backend_type": "anthropic" } });
    assert_eq!(first(&none, "/vectors/search"), "ab", "a pool of one kind of other service keeps working");
    assert_eq!(first(&none, "/query"), "");
}

#[test]
fn the_list_of_models_is_anthropic_s_where_the_request_says_so() {
    let mut rig = Rig::new(&fleet("round_robin"));
    for (path, headers, id) in [
        ("/v1/models", &[][..], "openai_primary"),
        ("/v1/models", &[("anthropic-version", "2023-06-01")], "anthropic_primary"),
        ("/v1/files", &[("anthropic-version", "2023-06-01")], "anthropic_primary"),
        ("/models", &[], "perplexity_primary"),
    ] {
        for _ in 0..4 {
            let headers: Vec<_> = [(":method", "GET"), (":path", path)].iter().chain(headers).copied().collect();
            assert_eq!(slots(&mut rig, &headers).expect("served")[0], id, "{path} {headers:?}");
        }
    }
}

#[test]
fn nobody_waits_and_nobody_panics_for_a_backend_of_another_api() {
    let backend = |kind: &str| {
        json!({ "backend_type": kind, "max_concurrent_requests": 1,
        "circuit_breaker": { "failure_threshold": 1 } })
    };
    let mut rig = Rig::new(&json!({ "strategy": "round_robin", "panic_threshold": 0.6, "queue": { "size": 8 },
        "backend_instances": { "a": backend("openai"), "b": backend("anthropic"), "c": backend("anthropic") } }));
    // All that speak the API are ill: that two others are well changes nothing, and is no reason to wait for them.
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 500, 1, Some("{}"), 0);
    assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open);
    assert_eq!(slots(&mut rig, &[]).expect("in panic"), ["a"; 3]);
    // Half of Anthropic's are well, less than the threshold; were the other counted, they would be two thirds.
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[(":path", "/v1/messages")], CHAT);
    rig.answer(&mut exchange, 500, 1, Some("{}"), 0);
    let tried = slots(&mut rig, &[(":path", "/v1/messages")]).expect("served");
    assert_eq!(tried.iter().map(String::as_str).collect::<BTreeSet<_>>(), ["b", "c"].into());
    assert!(slots(&mut rig, &[(":path", "/query")]).is_err(), "nobody waits for what nobody speaks");
}

/// Sends a request and has it answered with that status.
fn ask(rig: &mut Rig, method: &str, path: &str, status: u16) -> Option<String> {
    let mut exchange = Exchange::default();
    let body = if method == "POST" { CHAT } else { "" };
    if rig.send(&mut exchange, &[(":method", method), (":path", path)], body) != Flow::Continue {
        return None;
    }
    let first = rig.header("x-llm-cluster");
    rig.answer(&mut exchange, status, 1, Some(ANSWER), 0);
    first
}

fn guarded(threshold: u32) -> Value {
    json!({ "circuit_breaker": { "failure_threshold": threshold, "recovery_timeout_seconds": 10,
        "half_open_max_requests": 1, "adaptive": false } })
}

#[test]
fn what_is_no_inference_neither_closes_a_breaker_nor_probes_it() {
    for (method, path) in [
        ("GET", "/v1/models"),
        ("OPTIONS", "/v1/chat/completions"),
        ("HEAD", "/v1/chat/completions"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/files"),
        ("GET", "/v1/threads/t"),
    ] {
        let mut rig =
            Rig::new(&json!({ "strategy": "round_robin", "backend_instances": { "a": guarded(1), "b": guarded(1) } }));
        while rig.record("a").breaker.phase != BreakerPhase::Open {
            ask(&mut rig, "POST", "/v1/chat/completions", 500);
            ask(&mut rig, "POST", "/v1/chat/completions", 200);
        }
        rig.world.pass_seconds(30);
        for _ in 0..20 {
            let first = ask(&mut rig, method, path, 200);
            assert_eq!(first.as_deref(), Some("b"), "{method} {path}: the other one is well");
        }
        assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open, "{method} {path}");
        // Where there is no other, it goes there, and proves nothing.
        let mut alone = Rig::new(&json!({ "backend_instances": { "a": guarded(1) } }));
        ask(&mut alone, "POST", "/v1/chat/completions", 500);
        for _ in 0..20 {
            assert_eq!(ask(&mut alone, method, path, 200).as_deref(), Some("a"), "{method} {path}");
            alone.world.pass_seconds(7);
        }
        assert_eq!(alone.record("a").breaker.phase, BreakerPhase::Open, "{method} {path}");
        assert!(ask(&mut alone, "POST", "/v1/chat/completions", 200).is_some(), "a probe");
        assert_eq!(alone.record("a").breaker.phase, BreakerPhase::Closed);
    }
}

#[test]
fn what_is_no_inference_neither_opens_a_breaker_nor_forgives_failures() {
    let mut rig = Rig::new(&json!({ "backend_instances": { "a": guarded(3) } }));
    for (method, path) in [("GET", "/v1/models"), ("OPTIONS", "/v1/messages"), ("POST", "/v1/files")] {
        for _ in 0..10 {
            ask(&mut rig, method, path, 500);
        }
    }
    assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Closed);
    for _ in 0..3 {
        for path in ["/v1/models", "/v1/files/7"] {
            ask(&mut rig, "GET", path, 200);
        }
        ask(&mut rig, "POST", "/v1/chat/completions", 500);
    }
    assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open, "three failures in a row");
}

#[test]
fn what_is_free_takes_no_place_no_rate_and_no_budget_and_is_never_refused_for_them() {
    let mut rig = Rig::new(&json!({ "cost": { "daily_budget_usd": 1 }, "backend_instances": { "a": {
        "cost_per_1k_tokens": 1000, "max_requests_per_minute": 2, "max_concurrent_requests": 1 } } }));
    for (method, path) in [
        ("OPTIONS", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/responses/input_tokens"),
    ] {
        for _ in 0..5 {
            assert!(ask(&mut rig, method, path, 200).is_some(), "{method} {path}");
        }
    }
    assert_eq!(rig.record("a").window.len(), 0, "nothing was learned");
    let mut first = Exchange::default();
    let files = [(":path", "/v1/files"), ("content-type", "application/pdf")];
    assert_eq!(rig.send(&mut first, &files, CHAT), Flow::Continue);
    assert_eq!(ask(&mut rig, "POST", "/v1/files", 200), None, "its only place is taken");
    assert!(ask(&mut rig, "OPTIONS", "/v1/files", 200).is_some());
    rig.answer(&mut first, 200, 1, Some(ANSWER), 0);
    assert!(ask(&mut rig, "POST", "/v1/files", 200).is_some());
    assert_eq!(ask(&mut rig, "POST", "/v1/files", 200), None, "two requests in a minute");
    assert!(ask(&mut rig, "GET", "/v1/models", 200).is_some());
    assert_eq!(rig.record("a").in_flight(), 0);
}

#[test]
fn a_generic_service_is_judged_by_all_that_it_is_asked() {
    let mut rig = Rig::new(&json!({ "backend_instances": { "v": {
        "backend_type": "generic", "circuit_breaker": guarded(2)["circuit_breaker"] } } }));
    for _ in 0..2 {
        ask(&mut rig, "GET", "/vectors?near=7", 500);
    }
    assert_eq!(rig.record("v").breaker.phase, BreakerPhase::Open);
    rig.world.pass_seconds(30);
    ask(&mut rig, "POST", "/vectors/search", 200);
    assert_eq!(rig.record("v").breaker.phase, BreakerPhase::Closed);
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[(":path", "/vectors/search")], CHAT);
    rig.world.pass_seconds(3);
    rig.answer(&mut exchange, 200, 1, None, 0);
    assert!(rig.record("v").response_time.parts().0 > 0, "its response time is learned");
}
