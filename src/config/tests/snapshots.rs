//! Normalised configurations and lists of errors, as they are printed.

use insta::assert_snapshot;

use super::*;

fn normalised(document: &Value) -> String {
    format!("{:#}", parsed(document).unwrap().to_json())
}

fn errors(document: &Value) -> String {
    parsed(document).unwrap_err().to_string()
}

#[test]
fn the_smallest_configuration_with_every_default() {
    let shown = normalised(&one_backend(&json!({})));
    assert_snapshot!(shown);
}

#[test]
fn a_configuration_with_every_key() {
    let shown = normalised(&json!({
        "role": "router",
        "strategy": "quality_aware",
        "default_backend": "perplexity",
        "backend_instances": {
            "perplexity": {
                "id": "perplexity", "cluster": "pplx.eu:443", "backend_type": "perplexity", "weight": 0.75, "priority": 2,
                "input_cost_per_1k_tokens": 0.001, "output_cost_per_1k_tokens": 0.0125,
                "cached_input_cost_per_1k_tokens": 0.000_000_1, "expected_response_time_ms": 1800,
                "quality_score": 0.8637, "reliability_score": 0.999, "max_concurrent_requests": 64, "timeout_seconds": 20.5,
                "max_requests_per_minute": 200, "max_tokens_per_minute": 90_000, "hourly_budget_usd": 0.5, "daily_budget_usd": 4,
                "circuit_breaker": {
                    "enabled": true, "failure_threshold": 7, "recovery_timeout_seconds": 0.5, "half_open_max_requests": 1,
                    "failure_rate_threshold": 0.25, "window": 40, "min_requests": 20, "slow_response_ms": 4000,
                    "slow_rate_threshold": 0.9, "adaptive": false, "ramp_seconds": 2.5,
                },
                "health_check": {
                    "path": "/models", "host": "api.perplexity.ai", "interval_seconds": 5, "timeout_seconds": 0.5,
                    "consecutive_failures_threshold": 2, "consecutive_successes_threshold": 1,
                },
                "failure_domain": "eu", "fallback_answers": "accept", "group": "cloud",
            },
            "lightrag": { "backend_type": "lightrag", "cost_per_1k_tokens": 0.05, "circuit_breaker": { "enabled": false } },
            "claude": { "backend_type": "anthropic", "apis": ["messages", "openai", "messages"] },
            "vectors": { "backend_type": "generic" },
        },
        "body_limit_bytes": 1_048_576,
        "unreadable": "refuse",
        "max_guessed_tokens": 8_192,
        "response_headers": false,
        "forward_estimate": true,
        "client_hints": ["min_quality", "strategy", "tenant"],
        "retry": { "max_attempts": 4 },
        "cost": {
            "hourly_budget_usd": 1.25, "daily_budget_usd": 10.000_001, "on_exhausted": "cheapest", "pacing": false, "tenant_header": "x-tenant",
            "alert_thresholds": [1, 0.5, 0.25, 0.5], "target_efficiency": 0.95, "tracking_window_hours": 48,
            "tenants": { "b@c.d": { "daily_budget_usd": 1 }, "default": { "max_requests_per_minute": 60 } },
        },
        "envoy_admin": { "cluster": "admin", "interval_ms": 250 },
        "alerts": {
            "webhook_cluster": "hooks", "webhook_path": "/services/x", "webhook_host": "hooks.slack.com", "cost_webhook_cluster": "money",
            "min_interval_seconds": 60, "thresholds": { "min_available": 0.75, "response_time_ms": 2500, "error_rate": 0.05 },
        },
        "discovery": { "enabled": true, "metadata_namespace": "com.example.llm" },
        "panic_threshold": 0.5,
        "exploration": 0.1,
        "queue": { "size": 200, "timeout_ms": 30_000 },
        "logging": { "format": "text", "level": "debug", "decisions": 0.25, "filter_state": true },
        "seed": u64::MAX,
    }));
    assert_snapshot!(shown);
}

#[test]
fn every_kind_of_error_at_once() {
    let shown = errors(&json!({
        "role": "gateway",
        "strategy": "geographic",
        "default_backend": "lightrag_primry",
        "backend_instances": {
            "lightrag_primary": {
                "id": "other", "cluster": "a b", "backend_type": "cohere", "apis": ["openai", "mesages", 7], "weight": 0, "priority": -1,
                "quality_score": 1.4, "reliability_score": "high", "qualty_score": 0.5, "max_concurrent_requests": 1.5,
                "expected_response_time_ms": 600_001, "endpoint_url": "http://h", "api_key": "k", "model": "m",
                "circuit_breaker": { "enabled": 1, "window": 5, "min_requests": 6, "recovery_timeout_seconds": 0.049, "treshold": 5 },
            },
            "dotted.id": { "fallback_answers": "ignore", "health_check": { "path": "health", "timeout_seconds": 0 } },
            "": { "apis": [] },
            "not_an_object": null,
        },
        "body_limit_bytes": 1023,
        "unreadable": "ignore",
        "max_guessed_tokens": -1,
        "response_headers": "yes",
        "client_hints": ["strategy", "tenant", "colour", 7],
        "retry": { "max_attempts": 5, "base_delay_ms": 25, "respect_retry_after": true },
        "logging": { "format": "xml", "level": ["info"] },
        "seed": -1,
        "queue": { "size": 4_097, "timeout_ms": 0, "lenght": 1 },
        "cost": {
            "daily_budget_usd": 0, "hourly_budget_usd": "1", "on_exhausted": "queue", "tenant_header": "X-LLM-Tenant",
            "tenants": { "a b": { "max_requests_per_minute": 0.5 } }, "alert_thresholds": [0.5, 0],
        },
        "envoy_admin": { "cluster": "dotted.id", "interval_ms": 1 },
        "alerts": {
            "webhook_cluster": "dotted.id", "webhook_path": "x", "cost_webhook_cluster": "a b", "min_interval_seconds": -1,
            "thresholds": { "min_available": 1.1 },
        },
        "discovery": { "enabled": "yes", "metadata_namespace": "a b" },
        "response_header": true,
        "temperature": 1,
    }));
    assert_snapshot!(shown);
}

#[test]
fn prices_that_contradict_each_other() {
    let price = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), json!(1))).collect::<Value>();
    let (flat, input, output, cached) = (
        "cost_per_1k_tokens",
        "input_cost_per_1k_tokens",
        "output_cost_per_1k_tokens",
        "cached_input_cost_per_1k_tokens",
    );
    let shown = errors(&json!({ "backend_instances": {
        "flat_and_both": price(&[flat, input, output]),
        "flat_and_input": price(&[flat, input]),
        "flat_and_output": price(&[flat, output]),
        "input_alone": price(&[input]),
        "output_alone": price(&[output]),
        "cached_alone": price(&[cached]),
        "out_of_range_is_not_missing": { input: 1001, output: -0.5 },
    }}));
    assert_snapshot!(shown);
}

#[test]
fn whole_numbers_that_are_none_or_not_exact() {
    let seeds = [json!(1e18), json!(-1), json!(0.5), json!(1e30), json!("one"), json!(-1e300)];
    let lines: Vec<String> = seeds
        .into_iter()
        .map(|seed| errors_of(&json!({ "backend_instances": { "a": {} }, "seed": seed }).to_string()).join("\n"))
        .collect();
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn strategies_that_are_not_there() {
    let asked = [
        json!("geographic"),
        json!("adaptive"),
        json!("adaptive_learning"),
        json!("custom"),
        json!({ "custom": { "expression": "1" } }),
        json!({ "other": 1 }),
        json!("fastest"),
    ];
    let lines: Vec<String> = asked
        .into_iter()
        .map(|name| errors_of(&json!({ "backend_instances": { "a": {} }, "strategy": name }).to_string()).join("\n"))
        .collect();
    assert_snapshot!(lines.join("\n"));
}
