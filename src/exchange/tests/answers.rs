//! An answer on its way out: who is credited with it or charged, and what it teaches.

use super::*;
use crate::domain::Model;
use crate::tokens;

#[test]
fn attempts_that_failed_are_charged_to_those_who_failed() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 200, 3, Some(ANSWER), 0);
    let failures = ["a", "b", "c"].map(|id| rig.record(id).window.failures());
    assert_eq!((failures, rig.in_flight()), ([1, 1, 0], vec![0, 0, 0]));
    assert_eq!(rig.world.response_header("x-llm-backend").as_deref(), Some("c"));
    assert!(!rig.record("c").response_time.is_measured(), "how long c alone took is not known");
    assert_eq!(rig.metric("failovers_total"), 2);
}

#[test]
fn on_a_route_that_cannot_change_its_cluster_all_attempts_are_the_first_ones() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.properties.borrow_mut().insert(Property::ClusterName, b"a".to_vec());
    rig.answer(&mut exchange, 503, 2, None, 0);
    assert_eq!(rig.record("a").window.failures(), 2);
    assert_eq!(rig.record("a").breaker.phase, BreakerPhase::Open);
    assert_eq!(rig.record("b").window.len(), 0);
}

#[test]
fn while_the_answer_streams_the_request_counts_where_it_is() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.set_number(Property::AttemptCount, 2);
    rig.world.response.replace(fake::headers(&[(":status", "200")]));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, false);
    assert_eq!(rig.in_flight(), [0, 1, 0]);
    assert_eq!(rig.record("a").window.failures(), 1);
}

#[test]
fn a_steady_bias_of_a_provider_is_learned() {
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} } }));
    let body = CHAT.replace("How are you?", &"How does one word follow another in a sentence? ".repeat(20));
    let estimates: Vec<u64> = (0..51)
        .map(|_| {
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], &body);
            rig.answer(&mut exchange, 200, 1, Some(r#"{"usage":{"prompt_tokens":300,"completion_tokens":3}}"#), 0);
            rig.world.response_header("x-llm-estimated-tokens").and_then(|v| v.parse().ok()).unwrap_or_default()
        })
        .collect();
    assert!(estimates[0] < 250 && estimates[50].abs_diff(300) < 6, "{estimates:?}");
}

#[test]
fn an_answer_without_a_body_or_of_an_unknown_api_is_not_judged_by_its_body() {
    for headers in [
        &[(":method", "HEAD")][..],
        &[(":method", "GET"), (":path", "/v1/fine_tuning/jobs/1")],
        &[(":path", "/v1/batches")],
    ] {
        for body in [None, Some(r#"{"status":"failed","error":{"message":"no"}}"#), Some("{")] {
            let mut rig = Rig::three();
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, headers, "");
            rig.answer(&mut exchange, 200, 1, body, 0);
            assert_eq!(rig.record("a").window.failures(), 0, "{headers:?} {body:?}");
        }
    }
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 204, 1, None, 0);
    assert_eq!(rig.record("a").window.failures(), 0);
}

#[test]
fn what_was_not_read_teaches_no_ratio_and_embeddings_no_length() {
    let usage = r#"{"usage":{"prompt_tokens":90000,"completion_tokens":0}}"#;
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} } }));
    for headers in [("content-encoding", "br"), (":path", "/v1/embeddings")] {
        let body = format!("{{\"input\":\"{}\"}}", "many words ".repeat(50));
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[headers], &body);
        rig.answer(&mut exchange, 200, 1, Some(usage), 0);
        if headers.0 == "content-encoding" {
            assert_eq!(rig.record("a").calibration.overall().1, 0);
        } else {
            assert_eq!(rig.record("a").lengths.samples(), 1, "only the chat counted");
        }
    }
}

#[test]
fn what_answers_say_teaches_what_their_model_costs_whether_they_report_usage_or_not() {
    let mut rig = Rig::new(&serde_json::json!({ "backend_instances": { "a": {} } }));
    let ask =
        |model: &str| format!("{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hi\"}}]}}");
    let reported =
        r#"{"usage":{"prompt_tokens":8,"completion_tokens":30,"prompt_tokens_details":{"cached_tokens":6}}}"#;
    let unreported = format!("{{\"choices\":[{{\"text\":\"{}\"}}]}}", "word ".repeat(2_000));
    for _ in 0..64 {
        for (model, answer) in [("is brief", reported), ("says much", &unreported)] {
            let mut exchange = Exchange::default();
            rig.send(&mut exchange, &[], &ask(model));
            rig.answer(&mut exchange, 200, 1, Some(answer), 0);
        }
    }
    let record = rig.record("a");
    let expected = |model: &str| {
        let expected = record.lengths.expect(Model::from(model).tag(), Tokens(9));
        (expected.output.0, expected.cached.get())
    };
    assert_eq!((expected("is brief"), expected("says much")), ((30, 749), (tokens::by_size(10_000).0, 0)));
}

#[test]
fn retries_that_ended_at_a_quota_are_no_illness() {
    let mut rig = Rig::three();
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.answer(&mut exchange, 429, 3, Some("{}"), 0);
    assert_eq!(["a", "b", "c"].map(|id| rig.record(id).window.len()), [0, 0, 0]);
}

#[test]
fn what_a_backend_says_in_our_name_is_not_passed_on() {
    let mut rig = Rig::new(&serde_json::json!({ "response_headers": false, "backend_instances": { "a": {} } }));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    let spoofed = [(":status", "200"), ("x-llm-backend", "evil"), ("x-llm-cache", "hit"), ("x-llm-cache", "hit")];
    rig.world.response.replace(fake::headers(&spoofed));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, true);
    assert_eq!(rig.world.response.borrow().len(), 1);
}

const STREAM: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"Fine.\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\n",
    "data: [DONE]\n\n",
);

/// What the client gets of such an answer, in two chunks and an end without any, and the headers that it gets.
fn streamed(rig: &mut Rig, headers: &[(&str, &str)], body: &str) -> String {
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.set_number(Property::AttemptCount, 1);
    let base = [(":status", "200"), ("content-length", "999")];
    rig.world.response.replace(fake::headers(base.iter().chain(headers)));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, false);
    let mut passed = Vec::new();
    let (beginning, rest) = body.split_at(body.len() / 2);
    for (chunk, end_of_stream) in [(beginning, false), (rest, false), ("", true)] {
        rig.world.chunk.replace(chunk.into());
        exchange.response_body(&mut cx, chunk.len(), end_of_stream);
        passed.extend(rig.world.chunk.take());
    }
    exchange.log(&mut cx);
    String::from_utf8(passed).unwrap()
}

#[test]
fn a_usage_that_nobody_asked_for_is_counted_and_hidden() {
    let mut rig = Rig::three();
    let events = ("content-type", "text/event-stream");
    let pieces: Vec<_> = STREAM.split_inclusive("\n\n").collect();
    assert_eq!(streamed(&mut rig, &[events, (":llm-unasked", "usage")], STREAM), [pieces[0], pieces[2]].concat());
    assert_eq!((rig.world.response_header(":llm-unasked"), rig.world.response_header("content-length")), (None, None));
    assert_eq!(rig.metric("tokens_total"), 15);
    // An end that is still open, too, though nothing comes with it.
    let open = "data: {\"choices\":[]";
    assert_eq!(streamed(&mut rig, &[events, (":llm-unasked", "usage")], open), open);
}

#[test]
fn what_was_not_asked_for_by_an_attempt_passes_untouched() {
    let mut rig = Rig::three();
    for headers in [
        &[("content-type", "text/event-stream")][..],
        &[("content-type", "text/event-stream"), (":llm-unasked", "")],
        // A backend can say that, and only a backend.
        &[("content-type", "text/event-stream"), ("x-llm-unasked", "usage")],
        &[("content-type", "text/event-stream"), ("x-llm-usage-injected", "usage"), ("llm-unasked", "usage")],
        &[("content-type", "text/event-stream"), (":llm-unasked", "usage"), ("content-encoding", "gzip")],
        &[("content-type", "application/json"), (":llm-unasked", "usage")],
    ] {
        assert_eq!(streamed(&mut rig, headers, STREAM), STREAM, "{headers:?}");
        assert_eq!(rig.world.response_header("content-length").as_deref(), Some("999"));
        assert_eq!(rig.world.response_header(":llm-unasked"), None);
    }
}

/// Five answers in a row, to a backend whose breaker opens after two failures: how its record is then.
fn after_five(config: &serde_json::Value, path: &str, content_type: &str, body: &str) -> (Rig, Vec<Flow>) {
    let mut rig = Rig::new(config);
    let flows = (0..5)
        .map(|_| {
            let mut exchange = Exchange::default();
            let request = [(":path", path), (":method", "POST"), ("content-type", "application/json")];
            rig.world.request.replace(fake::headers(&request));
            rig.world.request_body.replace(CHAT.into());
            rig.world.set_number(Property::AttemptCount, 1);
            rig.world.set_number(Property::ResponseFlags, 0);
            let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
            let mut flow = exchange.request_headers(&mut cx, false);
            if flow == Flow::Hold {
                flow = exchange.request_body(&mut cx, CHAT.len(), true);
            }
            if flow != Flow::Continue {
                return flow;
            }
            let headers = [(":status", "200"), ("content-type", content_type)];
            rig.world.response.replace(fake::headers(&headers[..if content_type.is_empty() { 1 } else { 2 }]));
            exchange.response_headers(&mut cx, body.is_empty());
            if !body.is_empty() {
                rig.world.chunk.replace(body.into());
                exchange.response_body(&mut cx, body.len(), true);
            }
            exchange.log(&mut cx);
            flow
        })
        .collect();
    (rig, flows)
}

fn one(extra: &serde_json::Value) -> serde_json::Value {
    let mut backend = serde_json::json!({ "circuit_breaker": { "failure_threshold": 2, "adaptive": false } });
    backend.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::json!({ "backend_instances": { "a": backend } })
}

#[test]
fn an_error_inside_an_answer_counts_as_its_status_would() {
    let inner = |error: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}]}}\n\ndata: {{\"error\":{error}}}\n\n")
    };
    for (error, opens) in [
        (r#"{"code":400,"message":"too long"}"#, false),
        (r#"{"code":"context_length_exceeded"}"#, false),
        (r#"{"status":"INVALID_ARGUMENT"}"#, false),
        (r#"{"type":"invalid_request_error"}"#, false),
        ("{}", false),
        (r#"{"code":500}"#, true),
        (r#""boom""#, true),
        (r#"{"type":"overloaded_error"}"#, true),
        (r#"{"code":"503"}"#, true),
    ] {
        // The empty one needs an end of its own.
        let body = inner(error) + "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
        let (mut rig, _) = after_five(&one(&serde_json::json!({})), "/v1/chat/completions", "text/event-stream", &body);
        let phase = rig.record("a").breaker.phase;
        assert_eq!(phase == BreakerPhase::Open, opens, "{error}");
        assert_eq!(rig.record("a").window.failures() > 0, opens, "{error}");
    }
}

#[test]
fn an_inner_429_is_the_quotas_and_no_failure() {
    for error in [r#"{"code":429}"#, r#"{"type":"rate_limit_error"}"#, r#"{"status":"RESOURCE_EXHAUSTED"}"#] {
        let body = format!("{{\"error\":{error}}}");
        let (mut rig, flows) =
            after_five(&one(&serde_json::json!({})), "/v1/chat/completions", "application/json", &body);
        assert_eq!(flows[0], Flow::Continue);
        let Flow::Refuse(refusal) = &flows[1] else { panic!("{error}: it asks again") };
        assert_eq!(refusal.code, RefusalCode::RateLimited, "{error}");
        let record = rig.record("a");
        assert_eq!((record.breaker.phase, record.window.failures()), (BreakerPhase::Closed, 0), "{error}");
    }
}

#[test]
fn a_sentence_that_stands_in_for_an_answer_fails_unless_it_is_accepted() {
    let stock = r#"{"response":"No relevant context found for the query.","references":[],"llm_generated":false}"#;
    let none = r#"{"response":"Sorry, I'm not able to provide an answer to that question.[no-context]","llm_generated":false}"#;
    let good = r#"{"response":"Because it is.","llm_generated":true}"#;
    let (fail, accept) = (
        serde_json::json!({ "backend_type": "lightrag" }),
        serde_json::json!({ "backend_type": "lightrag", "fallback_answers": "accept" }),
    );
    for (config, body, opens) in [
        (&fail, stock, true),
        (&accept, stock, false),
        (&fail, none, false),
        (&fail, good, false),
        (&accept, good, false),
    ] {
        for (path, content_type) in
            [("/query", "application/json"), ("/query/stream", "application/x-ndjson"), ("/query", "")]
        {
            let (mut rig, _) = after_five(&one(config), path, content_type, body);
            assert_eq!(rig.record("a").breaker.phase == BreakerPhase::Open, opens, "{config} {path} {body}");
        }
    }
}

#[test]
fn an_answer_with_nothing_in_it_opens_the_breaker() {
    for (content_type, body, opens) in [
        ("application/json", "", true),
        ("application/json", "{}", true),
        ("text/event-stream", "data: [DONE]\n\n", true),
        (
            "text/event-stream",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n",
            true,
        ),
        ("", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n", false),
        ("text/plain", ANSWER, false),
    ] {
        let (mut rig, _) = after_five(&one(&serde_json::json!({})), "/v1/chat/completions", content_type, body);
        assert_eq!(rig.record("a").breaker.phase == BreakerPhase::Open, opens, "{content_type} {body}");
    }
}
