//! How the counts of a usage object are read, and brought to one form.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::usage::{Counts, Reported};
use super::super::*;

/// Input, cached input, output; of several usage objects, one after the other.
fn usage_by(api: Api, objects: &[&str]) -> (Option<(u64, u64, u64)>, u64) {
    let mut observer = Observer::new(api, 200, Some(b"text/event-stream"));
    for object in objects {
        observer.push(format!("data: {{\"choices\":[],\"usage\":{object}}}\n\n").as_bytes());
    }
    let facts = observer.finish(true);
    (facts.usage.map(|usage| (usage.input.0, usage.cached_input.0, usage.output.0)), facts.undivided.0)
}

fn usage(objects: &[&str]) -> Option<(u64, u64, u64)> {
    usage_by(Api::ChatCompletions, objects).0
}

fn one(object: &Value) -> Option<(u64, u64, u64)> {
    usage(&[&object.to_string()])
}

#[test]
fn a_cache_that_is_repeated_beside_the_prompt_that_includes_it_counts_once() {
    let litellm = json!({"prompt_tokens": 1020, "completion_tokens": 100, "total_tokens": 1120,
        "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 1000}});
    assert_eq!(one(&litellm), Some((1020, 1000, 100)));
    // Written to the cache and read from it; without details; without a total; by text.
    for more in [
        json!({"cache_read_input_tokens": 900, "cache_creation_input_tokens": 100}),
        json!({"cache_read_input_tokens": 900, "total_tokens": 1120}),
        json!({"cache_read_input_tokens": 900, "prompt_tokens_details": null}),
        json!({"cache_read_input_tokens": "900", "cached_tokens": 900, "prompt_cache_hit_tokens": 900}),
        json!({"cache_read_input_tokens": 900, "input_tokens": 1020, "output_tokens": 100}),
        json!({"cache_read_input_tokens": 900, "input_tokens": 120, "output_tokens": 100}),
    ] {
        let mut object = json!({"prompt_tokens": 1020, "completion_tokens": 100});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(one(&object), Some((1020, 900, 100)), "{object}");
    }
}

#[test]
fn a_cache_beside_the_prompt_counts_beside_it_whatever_the_prompt_is_called() {
    for (object, expected) in [
        (json!({"input_tokens": 20, "cache_read_input_tokens": 1000, "output_tokens": 100}), (1020, 1000, 100)),
        (
            json!({"input_tokens": 20, "cache_creation_input_tokens": 1000, "output_tokens": 100, "total_tokens": 1120}),
            (1020, 0, 100),
        ),
        // Gateways that translate Anthropic's answers, and forget to add.
        (json!({"prompt_tokens": 20, "cache_read_input_tokens": 1000, "completion_tokens": 100}), (1020, 1000, 100)),
        (
            json!({"prompt_tokens": 500, "cache_read_input_tokens": 300, "completion_tokens": 100, "total_tokens": 900}),
            (800, 300, 100),
        ),
        // And those that add under Anthropic's name.
        (
            json!({"input_tokens": 1020, "cache_read_input_tokens": 1000, "output_tokens": 100, "total_tokens": 1120}),
            (1020, 1000, 100),
        ),
        (
            json!({"input_tokens": 1020, "input_tokens_details": {"cached_tokens": 1000},
                "cache_read_input_tokens": 1000, "output_tokens": 100}),
            (1020, 1000, 100),
        ),
    ] {
        assert_eq!(one(&object), Some(expected), "{object}");
    }
}

#[test]
fn reasoning_counts_once_whether_it_is_inside_the_answer_or_beside_it() {
    for (object, output) in [
        // SGLang: inside, at the top.
        (json!({"prompt_tokens": 12, "completion_tokens": 200, "total_tokens": 212, "reasoning_tokens": 150}), 200),
        (json!({"prompt_tokens": 12, "completion_tokens": 200, "reasoning_tokens": 150}), 200),
        (json!({"input_tokens": 12, "output_tokens": 200, "reasoning_tokens": 200}), 200),
        // OpenAI: inside, in the details.
        (
            json!({"prompt_tokens": 12, "completion_tokens": 200, "completion_tokens_details": {"reasoning_tokens": 150}}),
            200,
        ),
        // xAI, Vertex: beside, in the details; the total says so, or the answer is too short for it.
        (
            json!({"prompt_tokens": 12, "completion_tokens": 200, "total_tokens": 362,
                "completion_tokens_details": {"reasoning_tokens": 150}}),
            350,
        ),
        (
            json!({"prompt_tokens": 12, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 150}}),
            170,
        ),
        // Gemini: in the total alone.
        (json!({"prompt_tokens": 12, "completion_tokens": 20, "total_tokens": 182}), 170),
        // Said twice.
        (
            json!({"prompt_tokens": 12, "completion_tokens": 200, "total_tokens": 212, "reasoning_tokens": 150,
                "completion_tokens_details": {"reasoning_tokens": 150}}),
            200,
        ),
    ] {
        assert_eq!(one(&object), Some((12, 0, output)), "{object}");
    }
    let gemini = |more: &str| format!("{{\"promptTokenCount\":2000,\"cachedContentTokenCount\":1900{more}}}");
    let first = gemini(r#","totalTokenCount":2088,"thoughtsTokenCount":88"#);
    let last = gemini(
        r#","candidatesTokenCount":30,"toolUsePromptTokenCount":50,"totalTokenCount":2180,"thoughtsTokenCount":100"#,
    );
    assert_eq!(usage(&[&first]), Some((2000, 1900, 88)));
    assert_eq!(usage(&[&first, &last]), Some((2050, 1900, 130)));
}

#[test]
fn a_total_that_cannot_be_reached_or_is_too_small_caps_the_answer_and_loses_no_half() {
    for (object, expected) in [
        (json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1050}), (1000, 0, 50)),
        (json!({"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 10}), (5, 0, 5)),
        (json!({"prompt_tokens": 1_000_000, "completion_tokens": 1, "total_tokens": 2}), (1, 0, 1)),
        (json!({"prompt_tokens": 1, "completion_tokens": 1_000_000, "total_tokens": 1000}), (1, 0, 999)),
        (
            json!({"input_tokens": 20, "cache_read_input_tokens": 1000, "output_tokens": 5, "total_tokens": 25}),
            (20, 20, 5),
        ),
        (json!({"prompt_tokens": 1000, "total_tokens": 500}), (500, 0, 0)),
    ] {
        assert_eq!(one(&object), Some(expected), "{object}");
    }
}

#[test]
fn a_stream_that_says_its_total_once_is_not_held_to_it_when_it_grows() {
    let first = r#"{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}"#;
    assert_eq!(usage(&[first, r#"{"completion_tokens":50}"#]), Some((10, 0, 50)));
    assert_eq!(usage(&[first, r#"{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60}"#]), Some((10, 0, 50)));
    assert_eq!(usage(&[first, r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#]), Some((10, 0, 1)));
    let start =
        r#"{"input_tokens":21,"cache_creation_input_tokens":100,"cache_read_input_tokens":5000,"output_tokens":1}"#;
    assert_eq!(usage(&[start, r#"{"output_tokens":90}"#]), Some((5121, 5000, 90)));
    assert_eq!(usage(&[start, r#"{"input_tokens":0,"output_tokens":90}"#]), Some((5121, 5000, 90)));
}

#[test]
fn one_odd_member_loses_nothing_but_itself() {
    let odd = [
        // Twice, by two names or by the same.
        r#""prompt_tokens_details":{"cached_tokens":900},"input_tokens_details":{"cached_tokens":0}"#,
        r#""prompt_tokens_details":{"cached_tokens":900},"prompt_tokens_details":null"#,
        r#""prompt_tokens":1020,"prompt_tokens_details":{"cached_tokens":900,"cached_tokens":900}"#,
        r#""promptTokenCount":1020,"cached_tokens":900"#,
        // Of another type.
        r#""prompt_tokens_details":[{"modality":"TEXT","tokenCount":7}],"cached_tokens":900"#,
        r#""prompt_tokens_details":"none","cached_tokens":"900""#,
        r#""completion_tokens_details":7,"prompt_tokens_details":{"cached_tokens":900,"text_tokens":{"a":[1]}}"#,
        r#""completion_tokens_details":{"reasoning_tokens":"many"},"cached_tokens":900.0"#,
        r#""reasoning_tokens":-4,"cached_tokens":9e2"#,
        r#""reasoning_tokens":1e30,"cached_tokens":" 900 ""#,
        r#""total_tokens":{},"total_tokens":"?","cached_tokens":900"#,
        r#""total_tokens":99999999999999999999999999999999999999999999999999999,"cached_tokens":900"#,
        r#""prompt_audio_seconds":{},"cost":{"total_cost":0.1,"tokens":[]},"cached_tokens":900"#,
        r#""note":"a \"quoted\" } text","cached_tokens":900"#,
    ];
    for odd in odd {
        for object in [
            format!(r#"{{"prompt_tokens":1020,"completion_tokens":200,{odd}}}"#),
            format!(r#"{{{odd},"completion_tokens":"200","prompt_tokens":1020.0}}"#),
        ] {
            assert_eq!(usage(&[&object]), Some((1020, 900, 200)), "{object}");
        }
    }
}

#[test]
fn a_usage_object_of_any_size_is_read() {
    for filler in [
        format!(r#""cost_details":{{"note":"{}"}}"#, "x".repeat(5_000)),
        format!(r#""iterations":[{}0]"#, r#"{"input_tokens":7,"output_tokens":[1]},"#.repeat(500)),
        format!(r#""a":{}{}"#, "[".repeat(9_000), "]".repeat(9_000)),
        (0..900).map(|n| format!(r#""member_{n}":{n}"#)).collect::<Vec<_>>().join(","),
    ] {
        assert!(filler.len() > 4_096);
        for object in [
            format!(r#"{{"prompt_tokens":1020,"completion_tokens":200,{filler}}}"#),
            format!(r#"{{{filler},"prompt_tokens":1020,"completion_tokens":200}}"#),
        ] {
            assert_eq!(usage(&[&object]), Some((1020, 0, 200)));
        }
    }
}

#[test]
fn a_half_that_is_missing_is_the_rest_of_the_total_where_there_is_a_rest() {
    for (object, expected) in [
        (json!({"prompt_tokens": 1000, "total_tokens": 1100}), (1000, 0, 100)),
        (json!({"completion_tokens": 100, "total_tokens": 1100}), (1000, 0, 100)),
        (json!({"prompt_tokens": 0, "completion_tokens": 100, "total_tokens": 1100}), (1000, 0, 100)),
        (json!({"prompt_tokens": "?", "completion_tokens": 100, "total_tokens": 1100}), (1000, 0, 100)),
        // There is none: nobody knows it, and no half is invented here.
        (json!({"prompt_tokens": 0, "completion_tokens": 100, "total_tokens": 100}), (0, 0, 100)),
        (json!({"completion_tokens": 100}), (0, 0, 100)),
        (json!({"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000}), (1000, 0, 0)),
        (json!({"prompt_tokens": 1000, "completion_tokens": null}), (1000, 0, 0)),
        // DeepSeek's parts of a prompt are one.
        (
            json!({"prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100, "completion_tokens": 7}),
            (1000, 900, 7),
        ),
    ] {
        assert_eq!(one(&object), Some(expected), "{object}");
    }
    assert_eq!(usage_by(Api::ChatCompletions, &[r#"{"total_tokens":1100}"#]), (Some((0, 0, 0)), 1100));
    for object in [r#"{"total_tokens":18}"#, r#"{"total_tokens":18,"prompt_tokens":18}"#, r#"{"input_tokens":18}"#] {
        assert_eq!(usage_by(Api::Embeddings, &[object]), (Some((18, 0, 0)), 0), "{object}");
    }
}

#[test]
fn what_cannot_be_is_not_reported() {
    for absurd in [
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":1e400}"#,
        r#"{"input_tokens":6000000,"output_tokens":6000000}"#,
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        r#"{"prompt_tokens":"NaN","completion_tokens":-1,"total_tokens":"inf"}"#,
        r#"{"prompt_tokens":true,"completion_tokens":[1]}"#,
        "{}",
        "[]",
        "null",
        "7",
    ] {
        assert_eq!(usage(&[absurd]), None, "{absurd}");
    }
    assert_eq!(usage(&[]), None);
    assert_eq!(usage(&[r#"{"prompt_tokens":10000000}"#]), Some((10_000_000, 0, 0)));
    assert_eq!(usage(&[r#"{"prompt_tokens":12,"completion_tokens":1e30}"#]), Some((12, 0, 0)));
    assert_eq!(usage(&[r#"{"prompt_tokens":12,"completion_tokens":3,"total_tokens":1000000000}"#]), Some((12, 0, 3)));
    assert_eq!(usage(&[r#"{"prompt_tokens":0,"completion_tokens":1}"#]), Some((0, 0, 1)));
}

#[test]
fn usage_is_found_wherever_a_provider_puts_it() {
    let counts = r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"cached_tokens":5}"#;
    for (api, body) in [
        (Api::ChatCompletions, format!(r#"{{"choices":[{{"index":0,"delta":{{}},"usage":{counts}}}]}}"#)),
        (Api::ChatCompletions, format!(r#"{{"choices":[{{"delta":{{"content":"x"}}}}],"usage":{counts}}}"#)),
        (Api::ChatCompletions, format!(r#"{{"usage":{counts},"choices":[{{"message":{{"content":"x"}}}}]}}"#)),
        (Api::ChatCompletions, format!(r#"{{"choices":[{{"usage":{counts}}}],"usage":{counts}}}"#)),
        (Api::ChatCompletions, format!(r#"{{"choices":[],"x_groq":{{"usage":{counts}}}}}"#)),
        (Api::Responses, format!(r#"{{"type":"response.completed","response":{{"usage":{counts}}}}}"#)),
        (Api::Messages, format!(r#"{{"type":"message_start","message":{{"usage":{counts}}}}}"#)),
    ] {
        let mut observer = Observer::new(api, 200, None);
        observer.push(body.as_bytes());
        let found = observer.finish(true).usage.map(|usage| (usage.input.0, usage.cached_input.0, usage.output.0));
        assert_eq!(found, Some((9, 5, 4)), "{body}");
    }
    // What a client may have written itself is no place for it.
    for body in [
        format!(r#"{{"choices":[],"metadata":{{"usage":{counts}}}}}"#),
        format!(r#"{{"choices":[{{"message":{{"content":"x","tool_calls":[{{"usage":{counts}}}]}}}}]}}"#),
        format!(r#"{{"choices":[{{"delta":{{"usage":{counts}}}}}]}}"#),
    ] {
        let mut observer = Observer::new(Api::ChatCompletions, 200, None);
        observer.push(body.as_bytes());
        assert_eq!(observer.finish(true).usage, None, "{body}");
    }
}

/// Every member there is, but the citations by which deep research is told: its total alone leaves something out.
const MEMBERS: [&str; 18] = [
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "promptTokenCount",
    "candidatesTokenCount",
    "totalTokenCount",
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "toolUsePromptTokenCount",
    "reasoning_tokens",
    "thoughtsTokenCount",
    "prompt_tokens_details",
    "completion_tokens_details",
];

fn value() -> impl Strategy<Value = String> {
    let count = prop_oneof![0_u32..50, 0_u32..3_000, 0_u32..2_000_000];
    let written = prop_oneof![
        6 => count.clone().prop_map(|count| count.to_string()),
        1 => count.clone().prop_map(|count| format!("\"{count}\"")),
        1 => count.clone().prop_map(|count| format!("{count}.0")),
        1 => prop_oneof![
            Just("null"), Just("true"), Just("\"\""), Just("\"n/a\""), Just("-5"), Just("1e40"), Just("[]"), Just("[1]"),
            Just("{}"), Just(r#""\u0031""#), Just("99999999999999999999999"), Just("0"),
        ].prop_map(str::to_owned),
    ];
    let details = (written.clone(), written.clone()).prop_map(|(cached, reasoning)| {
        format!(r#"{{"cached_tokens":{cached},"audio_tokens":0,"reasoning_tokens":{reasoning}}}"#)
    });
    prop_oneof![4 => written, 1 => details]
}

/// A count as it is written, if it is one.
fn count(written: &str) -> Option<u64> {
    let number: f64 = written.trim_matches('"').parse().ok()?;
    (1.0..=1e7).contains(&number).then_some(number as u64)
}

proptest! {
    #[test]
    fn no_members_in_no_order_are_more_than_the_total_or_lose_a_half(
        members in prop::collection::btree_map(0..MEMBERS.len(), value(), 0..MEMBERS.len()), turn in 0_usize..18,
        is_embedding: bool, size in 1_usize..40,
    ) {
        let mut written: Vec<_> =
            members.iter().map(|(&member, value)| format!(r#""{}":{value}"#, MEMBERS[member])).collect();
        let say = |written: &[String], size: usize| {
            let api = if is_embedding { Api::Embeddings } else { Api::ChatCompletions };
            let body = format!(r#"{{"data":[0],"usage":{{{}}}}}"#, written.join(","));
            let mut observer = Observer::new(api, 200, None);
            body.as_bytes().chunks(size).for_each(|chunk| { observer.push(chunk); });
            observer.finish(true)
        };
        let facts = say(&written, usize::MAX);
        prop_assert_eq!(facts, say(&written, size), "in any chunks");
        let said = |names: &[&str]| -> Vec<u64> {
            members.iter().filter(|(member, _)| names.contains(&MEMBERS[**member])).filter_map(|(_, value)| count(value)).collect()
        };
        let totals = said(&["total_tokens", "totalTokenCount"]);
        let (inputs, outputs) = (
            said(&["prompt_tokens", "input_tokens", "promptTokenCount"]),
            said(&["completion_tokens", "output_tokens", "candidatesTokenCount"]),
        );
        if let Some(usage) = facts.usage {
            prop_assert!(usage.cached_input <= usage.input);
            let sum = usage.input.0 + usage.output.0 + facts.undivided.0;
            if let Some(&total) = totals.iter().max() {
                prop_assert!(sum <= total, "{sum} of {total}");
            }
            if totals.iter().all(|&total| total > 1) {
                prop_assert!(inputs.is_empty() || usage.input.0 > 0, "a lost prompt");
                prop_assert!(outputs.is_empty() || usage.output.0 > 0, "a lost answer");
            }
        } else {
            prop_assert!((inputs.is_empty() && outputs.is_empty()) || sum_is_absurd(&members), "lost");
        }
        // Names by which the same is said twice hold each other up: there the latest counts.
        let is_said_once = ["prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"].iter().all(|first| {
            let others: &[&str] = match *first {
                "prompt_tokens" => &["promptTokenCount"],
                "completion_tokens" => &["candidatesTokenCount"],
                "total_tokens" => &["totalTokenCount"],
                _ => &["prompt_tokens_details"],
            };
            !(members.keys().any(|&m| MEMBERS[m] == *first) && members.keys().any(|&m| others.contains(&MEMBERS[m])))
        }) && !members.values().any(|value| value.starts_with('{'));
        if is_said_once && !written.is_empty() {
            let places = written.len();
            written.rotate_left(turn % places);
            prop_assert_eq!(facts, say(&written, size), "in any order");
        }
    }
}

/// Whether these are together more than any answer takes.
fn sum_is_absurd(members: &std::collections::BTreeMap<usize, String>) -> bool {
    members.values().filter_map(|value| count(value)).sum::<u64>() > 10_000_000
}

#[test]
fn counts_are_kept_in_a_few_bytes() {
    assert!(size_of::<Counts>() <= 96, "{}", size_of::<Counts>());
    let none = Counts::default().reported(false);
    assert_eq!(none.map(|Reported { usage, .. }| usage), None);
}
