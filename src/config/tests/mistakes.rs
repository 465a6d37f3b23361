//! What is said of keys of other systems, numbers in quotes, other units and other spellings.

use super::super::elsewhere::{self, Hints};
use super::*;

/// The errors of a document, without the count.
fn told(document: &Value) -> Vec<String> {
    parsed(document).map_or_else(|errors| errors.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

fn told_of_backend(fields: &Value) -> Vec<String> {
    told(&one_backend(fields))
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn each_key_of_the_sources_says_where_it_goes() {
    // As the sources have them, each in the place where they have it.
    let document: Value = serde_yaml_ng::from_str(
        r#"
        strategy: health_aware
        enable_adaptive_routing: true
        enable_cost_optimization: true
        enable_quality_based_routing: true
        cost_optimization_target: 0.8
        backend_instances:
          perplexity_primary:
            id: perplexity_primary
            backend_type: perplexity
            endpoint_url: "https://api.perplexity.ai"
            api_key: "${PERPLEXITY_API_KEY}"
            weight: 1.0
            cost_per_1k_tokens: 0.20
            max_requests_per_minute: 100
            timeout_seconds: 30.0
            health_check_path: "/models"
            priority: 1
            failure_threshold: 5
            recovery_timeout_seconds: 60
            half_open_max_requests: 3
            input_cost_per_1k: 0.2
            output_cost_per_1k: 0.2
            processing_cost_per_1k: 0.05
            storage_cost_per_gb: 0.1
            circuit_breaker: {enabled: true, failure_threshold: 3, recovery_timeout_seconds: 60, half_open_max_requests: 3}
            health_check: {interval_seconds: 30, timeout_seconds: 10.0, consecutive_failures_threshold: 3}
        load_balancing:
          strategy: adaptive_learning
        enable_real_time_monitoring: true
        routing_decision_timeout_ms: 50.0
        max_concurrent_health_checks: 10
        health_check_batch_size: 5
        cost_optimization: {target_efficiency: 0.8, tracking_window_hours: 24, daily_budget: 50.0}
        quality_assurance: {minimum_threshold: 0.7, sampling_rate: 0.1}
        adaptive_learning: {learning_rate: 0.01}
        monitoring: {enable_prometheus_metrics: true}
        enable_grafana_dashboards: true
        alert_webhook_url: "https://alerts.company.com/webhook"
        alert_email_recipients: ["devops@company.com"]
        ROUTER_HEALTH_CHECK_INTERVAL: 30
        ROUTER_CIRCUIT_BREAKER_THRESHOLD: 10
        ROUTER_MAX_RETRIES: 3
        ROUTER_QUEUE_SIZE: 1000
        ROUTER_WORKER_THREADS: 8
        PROD_LB_DEPLOYMENT_MODE: canary
        DAILY_COST_BUDGET: 50.0
        COST_ALERT_WEBHOOK: "https://alerts.company.com/cost"
        cost: {daily_budget: 50, target_cost_efficiency: 0.8, cost_tracking_window: 24, budget_alerts: {}}
        "#,
    )
    .unwrap();
    let told = told(&document);
    let unhelpful: Vec<_> = told.iter().filter(|line| line.contains("unknown key")).collect();
    assert!(unhelpful.is_empty(), "{unhelpful:#?}");
    for expected in [
        "load_balancing: not a section here: strategy, cost, alerts and the like stand at the top level",
        "backend_instances.perplexity_primary.health_check_path: write health_check.path",
        "backend_instances.perplexity_primary.failure_threshold: write circuit_breaker.failure_threshold",
        "backend_instances.perplexity_primary.input_cost_per_1k: write input_cost_per_1k_tokens",
        "ROUTER_QUEUE_SIZE: write queue.size",
        "cost.daily_budget: write daily_budget_usd",
        "COST_ALERT_WEBHOOK: an address belongs to Envoy's cluster: name that in alerts.cost_webhook_cluster",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}: {told:#?}");
    }
    // What is a key here is none of the errors.
    for ours in ["max_requests_per_minute", "timeout_seconds", "circuit_breaker.enabled", "strategy:", "health_check:"]
    {
        assert!(!told.iter().any(|line| line.contains(&format!("primary.{ours}")) || line.starts_with(ours)), "{ours}");
    }
}

#[test]
fn every_hint_is_for_a_key_that_is_none_and_is_found_however_it_is_written() {
    type Place = fn(Value) -> Value;
    let places: [(Hints, Place); 8] = [
        (elsewhere::ROUTER, |mut keys| {
            keys["backend_instances"] = json!({ "a": {} });
            keys
        }),
        (elsewhere::BACKEND, |keys| one_backend(&keys)),
        (elsewhere::BREAKER, |keys| one_backend(&json!({ "circuit_breaker": keys }))),
        (elsewhere::CHECK, |keys| one_backend(&json!({ "health_check": keys }))),
        (elsewhere::RETRY, |keys| json!({ "backend_instances": { "a": {} }, "retry": keys })),
        (elsewhere::COST, |keys| json!({ "backend_instances": { "a": {} }, "cost": keys })),
        (elsewhere::ALERTS, |keys| json!({ "backend_instances": { "a": {} }, "alerts": keys })),
        (elsewhere::QUEUE, |keys| json!({ "backend_instances": { "a": {} }, "queue": keys })),
    ];
    for (hints, document) in places {
        for (key, hint) in hints {
            for written in [(*key).to_owned(), key.to_uppercase(), key.replace('_', "-")] {
                let told = told(&document(json!({ written.clone(): "hunter2" })));
                assert_eq!(told.len(), 1, "{written}: {told:?}");
                assert!(told[0].ends_with(&format!("{written}: {hint}")), "{written}: {told:?}");
            }
            assert_eq!(told(&document(json!({ *key: null }))), Vec::<String>::new(), "{key}: null is absent");
        }
    }
}

#[test]
fn what_a_hint_says_to_write_is_a_key() {
    const DOCS: &str = include_str!("../../../docs/configuration.md");
    for (hints, place) in [
        (elsewhere::ROUTER, ""),
        (elsewhere::BACKEND, "backend_instances.<id>."),
        (elsewhere::BREAKER, "backend_instances.<id>.circuit_breaker."),
        (elsewhere::CHECK, "backend_instances.<id>.health_check."),
        (elsewhere::RETRY, "retry."),
        (elsewhere::COST, "cost."),
        (elsewhere::QUEUE, "queue."),
    ] {
        for (key, hint) in hints {
            let Some(rest) = hint.strip_prefix("write ") else { continue };
            let named = rest.split([',', ':', ' ']).next().unwrap();
            let known = ["", place].iter().any(|place| DOCS.contains(&format!("\n| `{place}{named}")));
            assert!(known, "{key}: {named}");
        }
    }
}

#[test]
fn prices_per_million_are_the_same_prices() {
    let prices = |fields: &Value| parsed(&one_backend(fields)).map(|config| config.backends[0].prices);
    for (per_1k, per_1m) in [
        (json!({ "cost_per_1k_tokens": 0.05 }), json!({ "cost_per_1m_tokens": 50 })),
        (
            json!({ "input_cost_per_1k_tokens": 0.003, "output_cost_per_1k_tokens": 0.015, "cached_input_cost_per_1k_tokens": 0.0003 }),
            json!({ "input_cost_per_1m_tokens": 3, "output_cost_per_1m_tokens": 15, "cached_input_cost_per_1m_tokens": 0.3 }),
        ),
        (
            json!({ "input_cost_per_1k_tokens": 1000, "output_cost_per_1k_tokens": 0.000_000_01 }),
            json!({ "input_cost_per_1m_tokens": 1_000_000, "output_cost_per_1m_tokens": 0.000_01 }),
        ),
        // Each in the unit of its own.
        (
            json!({ "input_cost_per_1k_tokens": 0.0025, "output_cost_per_1k_tokens": 0.01 }),
            json!({ "input_cost_per_1k_tokens": 0.0025, "output_cost_per_1m_tokens": 10 }),
        ),
    ] {
        assert_eq!(prices(&per_1m), prices(&per_1k), "{per_1m}");
        assert!(prices(&per_1k).is_ok());
    }
    for (fields, told) in [
        (
            json!({ "cost_per_1k_tokens": 0.05, "cost_per_1m_tokens": 50 }),
            "cost_per_1m_tokens: give either this or cost_per_1k_tokens",
        ),
        (
            json!({ "input_cost_per_1k_tokens": 1, "input_cost_per_1m_tokens": 1000, "output_cost_per_1m_tokens": 1 }),
            "input_cost_per_1m_tokens: give either this or input_cost_per_1k_tokens",
        ),
        (
            json!({ "input_cost_per_1m_tokens": 3 }),
            "output_cost_per_1k_tokens: missing, since input_cost_per_1m_tokens is given",
        ),
        (
            json!({ "cached_input_cost_per_1m_tokens": 3 }),
            "cached_input_cost_per_1m_tokens: needs input_cost_per_1k_tokens and",
        ),
        (
            json!({ "cost_per_1m_tokens": 3, "output_cost_per_1m_tokens": 3 }),
            "cost_per_1m_tokens: give either this or input_cost_per_1k_tokens and output_cost_per_1m_tokens",
        ),
        (
            json!({ "cost_per_1m_tokens": 1_000_001 }),
            "cost_per_1m_tokens: 1000001 is not in 0..=1000000 (from 0 to 1000000 USD per million tokens)",
        ),
    ] {
        let lines = told_of_backend(&fields);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("backend_instances.a.{told}")), "{lines:?}");
    }
}

#[test]
fn a_number_in_quotes_is_refused_unless_envoy_may_have_put_them_there() {
    let quoted = |told: &[String], cured: bool| {
        let [line] = told else { panic!("{told:?}") };
        assert!(line.contains(", found a string"), "{line}");
        assert_eq!(line.ends_with("; write it without quotes"), cured, "{line}");
    };
    for text in ["200", "0.05", "-1", "1e3", " 7 "] {
        quoted(&told_of_backend(&json!({ "weight": text })), true);
        quoted(&told(&json!({ "backend_instances": { "a": {} }, "cost": { "alert_thresholds": [text] } })), true);
    }
    for text in ["200", "1.5"] {
        quoted(&told(&json!({ "backend_instances": { "a": {} }, "body_limit_bytes": text })), true);
        quoted(&told(&json!({ "backend_instances": { "a": {} }, "queue": { "size": text } })), true);
    }
    for text in ["", "high", "0x10", "1,5", "30s"] {
        quoted(&told_of_backend(&json!({ "weight": text })), false);
    }
    // In a Struct a fraction comes as a text, however it was written; a whole number only if it was in quotes.
    let of_struct =
        |fields: Value| parse(&encoded(&one_backend(&fields))).map(|config| config.backends[0].weight.thousandths());
    assert_eq!(of_struct(json!({ "weight": "0.05" })), Ok(50));
    assert_eq!(of_struct(json!({ "weight": "1e1" })), Ok(10_000));
    assert_eq!(of_struct(json!({ "weight": "2.0", "failure_domain": "2.0" })), Ok(2_000));
    for text in ["2", "-2", "007", "two"] {
        let errors = of_struct(json!({ "weight": text })).unwrap_err().listed();
        assert!(errors.contains("found a string"), "{text}: {errors}");
    }
}

#[test]
fn a_range_is_told_in_words_and_with_its_unit() {
    for (fields, expected) in [
        (json!({ "quality_score": 1.4 }), "quality_score: 1.4 is not in 0..=1 (from 0 to 1)"),
        (json!({ "timeout_seconds": 4000 }), "timeout_seconds: 4000 is not in 0.05..=3600 (from 0.05 to 3600 seconds)"),
        (
            json!({ "expected_response_time_ms": 0 }),
            "expected_response_time_ms: 0 is not in 1..=600000 (from 1 to 600000 milliseconds)",
        ),
        (json!({ "daily_budget_usd": 0 }), "daily_budget_usd: 0 is not in 0.001..=1000000 (from 0.001 to 1000000 USD)"),
        (
            json!({ "max_tokens_per_minute": 0 }),
            "max_tokens_per_minute: 0 is not in 1..=100000000 (from 1 to 100000000 tokens a minute)",
        ),
        (
            json!({ "cost_per_1k_tokens": -1 }),
            "cost_per_1k_tokens: -1 is not in 0..=1000 (from 0 to 1000 USD per 1000 tokens)",
        ),
        (
            json!({ "health_check": { "interval_seconds": 0 } }),
            "health_check.interval_seconds: 0 is not in 0.1..=3600 (from 0.1 to 3600 seconds)",
        ),
    ] {
        assert_eq!(told_of_backend(&fields), [format!("backend_instances.a.{expected}")]);
    }
}

#[test]
fn names_in_another_spelling_and_other_words_for_them_are_asked_about() {
    let asked = |name: &str| told(&json!({ "backend_instances": { "a": {} }, "strategy": name })).concat();
    for name in [
        "least-connections",
        "Least Connections",
        "LEAST_CONNECTIONS",
        "leastConnections",
        "least_conn",
        "Least-Request",
    ] {
        assert!(asked(name).ends_with("; did you mean least_connections?"), "{}", asked(name));
    }
    for (name, meant) in [
        ("Round Robin", "round_robin"),
        ("roundrobin", "round_robin"),
        ("COST-AWARE", "cost_optimized"),
        ("Response Time Based", "performance_based"),
        ("lowest-latency", "performance_based"),
        ("Quality", "quality_based"),
    ] {
        assert!(asked(name).ends_with(&format!("; did you mean {meant}?")), "{}", asked(name));
    }
    assert!(!asked("coin_toss").contains("did you mean"));
    let kind = |name: &str| told_of_backend(&json!({ "backend_type": name })).concat();
    for (name, meant) in [("OpenAI", "openai"), ("Light-RAG", "lightrag"), ("vLLM", "openai"), ("Claude", "anthropic")]
    {
        assert!(kind(name).ends_with(&format!("; did you mean {meant}?")), "{}", kind(name));
    }
    for (key, meant) in [("Quality-Score", "quality_score"), ("qualityScore", "quality_score"), ("WEIGHT", "weight")] {
        assert_eq!(
            told_of_backend(&json!({ key: 1 })),
            [format!("backend_instances.a.{key}: unknown key; did you mean {meant}?")]
        );
    }
    // What is right in one unit is wrong in another.
    assert_eq!(
        told_of_backend(&json!({ "expected_response_time_s": 2 })),
        [
            "backend_instances.a.expected_response_time_s: unknown key; did you mean expected_response_time_ms (milliseconds)?"
        ]
    );
    assert_eq!(told_of_backend(&json!({ "price_per_token": 2 })), ["backend_instances.a.price_per_token: unknown key"]);
    let id = json!({ "backend_instances": { "gpu_a": {} }, "default_backend": "GPU-A" });
    assert_eq!(told(&id), ["default_backend: \"GPU-A\" is not in backend_instances; did you mean gpu_a?"]);
}
