//! What an exchange adds to the figures.

use super::*;
use crate::metrics::Metric;

const PRICED: &str = r#"{ "backend_instances": { "a": { "input_cost_per_1k_tokens": 0.00003,
    "cached_input_cost_per_1k_tokens": 0.000003, "output_cost_per_1k_tokens": 0.00004 } } }"#;

fn rig(config: &str) -> Rig {
    Rig::new(&serde_json::from_str(config).expect("JSON"))
}

fn answer(rig: &mut Rig, body: &str) {
    let mut exchange = Exchange::default();
    assert_eq!(rig.send(&mut exchange, &[], CHAT), Flow::Continue);
    rig.answer(&mut exchange, 200, 1, Some(body), 0);
}

#[test]
fn of_many_small_costs_nothing_is_lost() {
    let mut rig = rig(PRICED);
    let costs: Vec<_> = (0..5)
        .map(|_| {
            // 10 fresh tokens at 0.03, 2 cached ones at 0.003, 3 of the answer at 0.04 millionths: 0.426.
            answer(
                &mut rig,
                r#"{"usage":{"prompt_tokens":12,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens":3}}"#,
            );
            rig.metric("request_cost")
        })
        .collect();
    assert_eq!(costs, [0, 0, 1, 1, 2]);
}

#[test]
fn an_estimate_is_judged_before_it_is_corrected() {
    let mut rig = rig(PRICED);
    let body = CHAT.replace("How are you?", &"How does one word follow another in a sentence? ".repeat(20));
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], &body);
    rig.answer(&mut exchange, 200, 1, Some(r#"{"usage":{"prompt_tokens":400,"completion_tokens":3}}"#), 0);
    let estimate: u64 = rig.world.response_header("x-llm-estimated-tokens").expect("told").parse().expect("a number");
    assert_eq!(rig.metric("token_estimate_error"), estimate.abs_diff(400) * 1_000 / 400);
}

#[test]
fn an_answer_that_reports_nothing_adds_nothing_but_what_it_most_likely_cost() {
    let mut rig = rig(PRICED);
    answer(&mut rig, r#"{"choices":[{"text":"What it answered"}]}"#);
    let text = "What it answered to that, which was rather more text.";
    answer(
        &mut rig,
        &format!(r#"{{"choices":[{{"text":"{}"}}],"usage":{{"prompt_tokens":0,"completion_tokens":0}}}}"#, &text[..52]),
    );
    for name in ["token_estimate_error", "time_per_output_token", "tokens_total"] {
        assert_eq!(rig.metric(name), 0, "{name}");
    }
    assert_eq!((rig.metric("requests_total"), rig.metric("usage_estimated_total")), (2, 2));
    // About ten tokens asked and 4 and 13 answered: 0.46 and 0.82 millionths.
    assert_eq!(rig.metric("request_cost"), 1);
}

#[test]
fn what_costs_nothing_is_not_counted_as_paid() {
    let mut rig = rig(r#"{ "backend_instances": { "a": {} } }"#);
    answer(&mut rig, r#"{"choices":[]}"#);
    answer(&mut rig, ANSWER);
    assert_eq!((rig.metric("request_cost"), rig.metric("usage_estimated_total")), (0, 0));
}

#[test]
fn the_time_for_a_token_is_of_all_but_the_first() {
    let mut rig = rig(PRICED);
    let mut exchange = Exchange::default();
    rig.send(&mut exchange, &[], CHAT);
    rig.world.set_number(Property::AttemptCount, 1);
    rig.world.response.replace(fake::headers(&[(":status", "200"), ("content-type", "text/event-stream")]));
    let mut cx = Context { router: &mut rig.router, view: &mut rig.view, host: &rig.world };
    exchange.response_headers(&mut cx, false);
    rig.world.pass_millis(300);
    for (chunk, ended) in [
        (&b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"[..], false),
        (b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n", true),
    ] {
        rig.world.chunk.replace(chunk.into());
        exchange.response_body(&mut cx, chunk.len(), ended);
        rig.world.pass_millis(40);
    }
    exchange.log(&mut cx);
    assert_eq!((rig.metric("time_per_output_token_us"), rig.metric("time_to_first_token_ms")), (20_000, 300));
    let record = rig.record("a");
    assert_eq!((record.first_tokens.samples(), record.response_times.samples()), (1, 1));
}

#[test]
fn a_failover_is_one_that_ended_well_only_where_the_other_answers_well() {
    let mut rig = Rig::three();
    let mut fail_over = |status| {
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        rig.world.pass_millis(80);
        rig.answer(&mut exchange, status, 2, Some(ANSWER), 0);
        ["failovers_total", "failovers_succeeded", "failover_time_ms"].map(|name| rig.metric(name))
    };
    assert_eq!(fail_over(200), [1, 1, 80]);
    assert_eq!(fail_over(404), [2, 1, 80]);
    assert!(rig.metric("last_failover_timestamp") >= 1_000);
}

#[test]
fn of_sixteen_decisions_one_is_timed() {
    let mut rig = rig(PRICED);
    let timed = |rig: &Rig| rig.world.figures.borrow().keys().any(|metric| matches!(metric, Metric::Decision(_)));
    for n in 0..33 {
        rig.world.figures.borrow_mut().clear();
        answer(&mut rig, ANSWER);
        assert_eq!(timed(&rig), n % 16 == 0, "{n}");
    }
}
