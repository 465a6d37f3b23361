use prost::Message;
use prost_types::value::Kind;
use serde_json::{Value, json};

use super::*;

mod checks;
mod documentation;
mod mistakes;
pub(crate) mod properties;
#[cfg(not(target_family = "wasm"))]
mod snapshots;

/// The document as Envoy encodes a `google.protobuf.Struct`.
fn encoded(document: &Value) -> Vec<u8> {
    match value(document).kind {
        Some(Kind::StructValue(fields)) => fields.encode_to_vec(),
        _ => panic!("a Struct is an object"),
    }
}

fn value(json: &Value) -> prost_types::Value {
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap()),
        Value::String(value) => Kind::StringValue(value.clone()),
        Value::Array(values) => Kind::ListValue(prost_types::ListValue { values: values.iter().map(value).collect() }),
        Value::Object(fields) => Kind::StructValue(prost_types::Struct {
            fields: fields.iter().map(|(key, field)| (key.clone(), value(field))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// The one backend `a` with these fields.
fn one_backend(fields: &Value) -> Value {
    json!({ "backend_instances": { "a": fields } })
}

fn parsed(document: &Value) -> Result<Config, Errors> {
    parse(document.to_string().as_bytes())
}

/// All errors of a document, each on a line of its own, without the count.
fn errors_of(text: &str) -> Vec<String> {
    parse(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_name_of_a_cluster_is_enough() {
    let config = parsed(&one_backend(&json!({}))).unwrap();
    assert_eq!(config.strategy, Strategy::WeightedRoundRobin);
    assert_eq!(&*config.backends[0].id, "a");
    assert_eq!(&*config.backends[0].cluster, "a");
    assert_eq!(config.default_backend, BackendIndex(0));
}

#[test]
fn both_forms_say_the_same() {
    let document = json!({
        "strategy": "cost_aware",
        "backend_instances": {
            "b": { "cluster": "c.d:443", "cost_per_1k_tokens": 0.05, "quality_score": 0.923, "priority": 2 },
            "a": { "max_concurrent_requests": 7, "circuit_breaker": { "recovery_timeout_seconds": 0.25 } },
        },
        "client_hints": ["strategy"],
        "seed": 9_007_199_254_740_992_u64,
    });
    let from_json = parsed(&document).unwrap();
    assert_eq!(parse(&encoded(&document)).unwrap(), from_json);
    assert_eq!(from_json.strategy, Strategy::CostOptimized);
    assert_eq!(from_json.seed, Some(1 << 53));
}

#[test]
fn a_control_listener_is_told_its_names_and_what_may_be_registered() {
    let read = |document: &Value| {
        let json = Parsed::from_bytes(document.to_string().as_bytes()).map_err(|errors| errors.listed());
        assert_eq!(Parsed::from_bytes(&encoded(document)).map_err(|errors| errors.listed()), json);
        json
    };
    let document = json!({ "role": "control", "allowed_hosts": ["llm-router.llm.svc:8888", "[2001:db8::7]", "a_b"],
        "allow_any_cluster": true });
    let allowed_hosts = ["llm-router.llm.svc:8888", "[2001:db8::7]", "a_b"].map(Into::into).into();
    assert_eq!(read(&document), Ok(Parsed::Control(ControlConfig { allowed_hosts, allow_any_cluster: true })));
    for (wrong, expected) in [
        (json!({ "allowed_hosts": "a" }), "allowed_hosts: expected a list of strings, found a string"),
        (json!({ "allowed_hosts": ["a", 7] }), "allowed_hosts[1]: expected a string, found a number"),
        (json!({ "allowed_hosts": [""] }), "allowed_hosts[0]: a host is a name"),
        (json!({ "allowed_hosts": ["http://a"] }), "allowed_hosts[0]: a host is a name"),
        (json!({ "allowed_hosts": ["*"] }), "allowed_hosts[0]: a host is a name"),
        (json!({ "allow_any_cluster": "yes" }), "allow_any_cluster: expected"),
        (json!({ "allowed_host": [] }), "allowed_host: unknown key; did you mean allowed_hosts?"),
    ] {
        let mut document = wrong;
        document["role"] = json!("control");
        let told = read(&document).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn the_other_roles_take_no_other_key() {
    for (role, expected) in
        [("control", Parsed::Control(ControlConfig::default())), ("attempt", Parsed::Attempt(FallbackAnswers::Fail))]
    {
        let least = json!({ "role": role });
        assert_eq!(Parsed::from_bytes(least.to_string().as_bytes()).as_ref(), Ok(&expected));
        assert_eq!(Parsed::from_bytes(&encoded(&least)), Ok(expected));
        let document = json!({ "role": role, "backend_instances": { "a": {} }, "token": "t" });
        let errors = Parsed::from_bytes(document.to_string().as_bytes()).unwrap_err();
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["backend_instances: unknown key", "token: unknown key"]);
        assert!(parsed(&least).unwrap_err().to_string().ends_with("needed is the configuration of a router"));
    }
}

#[test]
fn an_attempt_may_take_stock_sentences_for_good() {
    let accept = br#"{"role":"attempt","fallback_answers":"accept"}"#;
    assert_eq!(Parsed::from_bytes(accept), Ok(Parsed::Attempt(FallbackAnswers::Accept)));
    let errors = Parsed::from_bytes(br#"{"role":"attempt","fallback_answers":"drop"}"#).unwrap_err();
    assert!(errors.to_string().contains("fallback_answers"), "{errors}");
}

#[test]
fn whole_numbers_may_be_written_as_doubles() {
    let config = parse(br#"{"backend_instances":{"a":{"priority":5.0,"weight":2}},"body_limit_bytes":1e6}"#).unwrap();
    assert_eq!(config.backends[0].priority, 5);
    assert_eq!(config.backends[0].weight.thousandths(), 2_000);
    assert_eq!(config.body_limit_bytes, 1_000_000);
}

#[test]
fn a_struct_that_begins_like_json_is_read_as_a_struct() {
    // `\n{`: the first entry is 123 bytes long. The entry is `\n` length key, 0x12 length value.
    let mut bytes = Vec::new();
    for padding in 0..128 {
        let document = json!({ "seed": null, "backend_instances": { "x".repeat(padding): {} } });
        bytes = encoded(&document);
        if bytes.starts_with(b"\n{") {
            break;
        }
    }
    assert!(bytes.starts_with(b"\n{"));
    let errors = parse(&bytes).unwrap_err().to_string();
    assert!(errors.contains("an id is 1 to 64 characters"), "{errors}");
}

#[test]
fn json_that_is_broken_is_told_by_line_and_column() {
    let errors = errors_of("{\n  \"strategy\": weighted\n}");
    assert_eq!(
        errors,
        ["neither JSON nor an encoded google.protobuf.Struct; as JSON: expected value at line 2 column 15"]
    );
    assert!(errors_of("strategy: weighted")[0].ends_with("as JSON: expected value at line 1 column 1"));
    assert!(errors_of("{} {}")[0].ends_with("trailing characters at line 1 column 4"));
}

#[test]
fn nothing_at_all_is_told_what_is_needed() {
    for nothing in ["", " \n\t"] {
        let errors = errors_of(nothing);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with("empty; needed is a google.protobuf.Struct"), "{errors:?}");
    }
}

#[test]
fn a_document_that_is_no_object_is_refused() {
    assert_eq!(errors_of("[]"), ["expected an object, found a list"]);
    assert_eq!(errors_of("null"), ["expected an object, found null"]);
    assert_eq!(errors_of("{}"), ["backend_instances: missing; at least one backend is needed"]);
}

#[test]
fn a_key_given_twice_is_refused_where_it_stands() {
    let errors = errors_of(
        r#"{"seed":1,"backend_instances":{"a":{"weight":1,"weight":2},"a":{}},"seed":1,"logging":{"level":"info","level":"info","level":"info"}}"#,
    );
    assert_eq!(
        errors,
        [
            "backend_instances.a: given more than once",
            "backend_instances.a.weight: given more than once",
            "logging.level: given more than once",
            "seed: given more than once",
        ]
    );
}

#[test]
fn a_number_that_is_not_finite_is_refused() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut backend = prost_types::Struct::default();
        for key in ["weight", "priority"] {
            backend.fields.insert(key.into(), prost_types::Value { kind: Some(Kind::NumberValue(number)) });
        }
        let wrap = |key: &str, fields| {
            let value = prost_types::Value { kind: Some(Kind::StructValue(fields)) };
            prost_types::Struct { fields: [(key.to_owned(), value)].into() }
        };
        let errors = parse(&wrap("backend_instances", wrap("a", backend)).encode_to_vec()).unwrap_err().to_string();
        assert_eq!(
            errors,
            "2 errors in the configuration:\n\
             backend_instances.a.priority: expected a whole number, found a number that is not finite\n\
             backend_instances.a.weight: expected a number, found a number that is not finite"
        );
    }
}

#[test]
fn a_fraction_is_taken_from_a_text_of_a_struct_because_envoy_hands_fractions_over_so() {
    let texts = json!({ "weight": "0.05", "priority": 3, "expected_response_time_ms": "1e3" });
    let numbers = json!({ "weight": 0.05, "priority": 3, "expected_response_time_ms": 1000 });
    assert_eq!(parse(&encoded(&one_backend(&texts))).unwrap(), parsed(&one_backend(&numbers)).unwrap());
    for no_number in ["", "much", "NaN", "0x10", "1 000"] {
        let document = one_backend(&json!({ "weight": no_number }));
        assert!(parsed(&document).is_err() && parse(&encoded(&document)).is_err(), "{no_number}");
    }
}

#[test]
fn null_is_the_same_as_absent() {
    let bare = parsed(&one_backend(&json!({}))).unwrap();
    let nulls = json!({
        "role": null, "strategy": null, "default_backend": null, "retry": null, "client_hints": null, "seed": null,
        "region": null, "logging": { "level": null },
        "backend_instances": { "a": { "cluster": null, "model": null, "cost_per_1k_tokens": null,
            "input_cost_per_1k_tokens": null, "circuit_breaker": { "enabled": null } } },
    });
    assert_eq!(parsed(&nulls).unwrap(), bare);
}

#[test]
fn the_default_backend_is_the_first_by_priority_and_then_by_id() {
    let backends = json!({ "z": { "priority": 0 }, "a": {}, "m": { "priority": 0 } });
    let config = parsed(&json!({ "backend_instances": backends })).unwrap();
    assert_eq!(config.backends.iter().map(|backend| &*backend.id).collect::<Vec<_>>(), ["a", "m", "z"]);
    assert_eq!(config.default_backend, BackendIndex(1));
    let config = parsed(&json!({ "backend_instances": backends, "default_backend": "z" })).unwrap();
    assert_eq!(config.default_backend, BackendIndex(2));
}

#[test]
fn one_price_is_the_price_of_every_token() {
    let prices = |fields| {
        let prices = parsed(&one_backend(&fields)).unwrap().backends[0].prices;
        [prices.input.0, prices.output.0, prices.cached_input.0]
    };
    assert_eq!(prices(json!({})), [0, 0, 0]);
    assert_eq!(prices(json!({ "cost_per_1k_tokens": 0.05 })), [50_000_000; 3]);
    let three = json!({ "input_cost_per_1k_tokens": 0.003, "output_cost_per_1k_tokens": 0.015, "cached_input_cost_per_1k_tokens": 0.0003 });
    assert_eq!(prices(three), [3_000_000, 15_000_000, 300_000]);
    let two = json!({ "input_cost_per_1k_tokens": 1, "output_cost_per_1k_tokens": 2 });
    assert_eq!(prices(two), [1_000_000_000, 2_000_000_000, 1_000_000_000]);
    let discount = json!({ "cost_per_1k_tokens": 1, "cached_input_cost_per_1k_tokens": 0 });
    assert_eq!(prices(discount), [1_000_000_000, 1_000_000_000, 0]);
}

#[test]
fn the_bounds_of_a_range_belong_to_it() {
    let low = json!({ "weight": 0.001, "priority": 0, "cost_per_1k_tokens": 0, "expected_response_time_ms": 1,
        "quality_score": 0, "reliability_score": 0, "max_concurrent_requests": 1,
        "circuit_breaker": { "failure_threshold": 1, "recovery_timeout_seconds": 0.05, "half_open_max_requests": 1 } });
    let high = json!({ "weight": 1000, "priority": 100, "cost_per_1k_tokens": 1000, "expected_response_time_ms": 600_000,
        "quality_score": 1, "reliability_score": 1, "max_concurrent_requests": 1_000_000,
        "circuit_breaker": { "failure_threshold": 1000, "recovery_timeout_seconds": 3600, "half_open_max_requests": 1000 } });
    let low = parsed(&one_backend(&low)).unwrap();
    let high = parsed(&one_backend(&high)).unwrap();
    assert_eq!(low.backends[0].weight.thousandths(), 1);
    assert_eq!(low.backends[0].breaker.unwrap().recovery_timeout.as_millis(), 50);
    assert_eq!(high.backends[0].weight.thousandths(), 1_000_000);
    assert_eq!(high.backends[0].prices.output.0, 1_000_000_000_000);
}

#[test]
fn two_hundred_and_fifty_six_backends_are_the_most() {
    let backends = |n: usize| {
        let instances: serde_json::Map<_, _> = (0..n).map(|i| (format!("b{i}"), json!({}))).collect();
        parsed(&json!({ "backend_instances": instances }))
    };
    assert_eq!(backends(256).unwrap().backends.len(), 256);
    assert_eq!(
        backends(257).unwrap_err().to_string(),
        "1 error in the configuration:\nbackend_instances: 257 backends; at most 256 are possible"
    );
}

#[test]
fn a_value_that_may_be_a_secret_is_never_repeated() {
    let document = json!({
        "token": "hunter2",
        "backend_instances": { "a": { "api_key": "hunter2", "endpoint_url": "https://u:hunter2@h", "weight": "hunter2",
            "apikey": "hunter2", "model": "hunter2", "id": "hunter2", "cluster": "hunter2 hunter2" } },
        "queue": "hunter2", "client_hints": "hunter2", "retry": { "base_delay_ms": "hunter2" },
    });
    let errors = parsed(&document).unwrap_err().to_string();
    assert_eq!(errors.lines().count(), 12, "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn an_echoed_value_is_cut_and_stays_on_its_line() {
    let document = json!({
        "backend_instances": { "a": {} },
        "strategy": "s".repeat(10_000),
        "default_backend": "d\n".repeat(10_000),
        "k".repeat(10_000): 1,
    });
    let errors = parsed(&document).unwrap_err().to_string();
    assert_eq!(errors.lines().count(), 4);
    assert!(errors.lines().all(|line| line.chars().count() < 256), "{errors}");
}

#[test]
fn broken_json_that_happens_to_be_protobuf_is_told_as_json() {
    // `{|` is a group of the unknown field 15: an encoded Struct without any entry.
    assert!(prost_types::Struct::decode(&b"{|"[..]).is_ok());
    assert!(errors_of("{|")[0].ends_with("as JSON: key must be a string at line 1 column 2"));
}

#[test]
fn an_id_is_fit_for_a_metric_s_label() {
    for id in ["a", "lightrag_primary", "gpt-4o", "0", &"x".repeat(64)] {
        assert!(parsed(&json!({ "backend_instances": { id: {} } })).is_ok(), "{id}");
    }
    for id in ["", "a.b", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
        let errors = parsed(&json!({ "backend_instances": { id: {} } })).unwrap_err().to_string();
        assert!(errors.ends_with(": an id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -"), "{errors}");
        assert_eq!(errors.lines().count(), 2, "{errors}");
    }
}

#[test]
fn a_cluster_s_name_is_fit_for_a_header() {
    for cluster in ["a", "outbound|443||api.example.com", "~!", &"x".repeat(255)] {
        let config = parsed(&one_backend(&json!({ "cluster": cluster }))).unwrap();
        assert_eq!(&*config.backends[0].cluster, cluster);
    }
    for cluster in ["", "a b", "a,b", "é", "a\r\nx: y", "\u{7f}", &"x".repeat(256)] {
        let errors = parsed(&one_backend(&json!({ "cluster": cluster }))).unwrap_err().to_string();
        assert!(errors.contains("backend_instances.a.cluster: a cluster's name is 1 to 255"), "{errors}");
    }
}
