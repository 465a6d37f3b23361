//! A configuration as it was understood: canonical names, every default filled in, units in the names.

use std::time::Duration;

use serde_json::{Value, json};

use super::names::{Hint, Named, Role};
use super::read::NAMESPACE;
use super::{ClientHints, Config, Cost, alerts};
use crate::domain::{Backend, BreakerSettings, Limits, PerMille, PicoUsd, Price, ProbeSettings};

impl Config {
    /// The normalised document. Parsed again, it gives this very configuration.
    pub fn to_json(&self) -> Value {
        let backends = self.backends.iter().map(|each| (String::from(&*each.id), backend(each))).collect();
        json!({
            "role": Role::Router.name(),
            "strategy": self.strategy.name(),
            "default_backend": self.backends.get(self.default_backend.get()).map(|backend| &*backend.id),
            "backend_instances": Value::Object(backends),
            "body_limit_bytes": self.body_limit_bytes,
            "unreadable": self.unreadable.name(),
            "max_guessed_tokens": self.max_guessed_tokens.0,
            "response_headers": self.response_headers,
            "forward_estimate": self.forward_estimate,
            "client_hints": hints(self.client_hints),
            "retry": { "max_attempts": self.retry.max_attempts },
            "cost": cost(&self.cost),
            "envoy_admin": self.envoy_admin.as_ref().map_or_else(|| json!({}), |admin| json!({
                "cluster": admin.cluster,
                "interval_ms": admin.interval.as_millis() as u64,
            })),
            "alerts": alerts::shown(&self.alerts),
            "discovery": {
                "enabled": self.discovery.is_some(),
                "metadata_namespace": self.discovery.as_deref().unwrap_or(NAMESPACE),
            },
            "panic_threshold": self.panic_threshold.ratio(),
            "exploration": self.exploration.ratio(),
            "queue": self.queue.map_or_else(|| json!({ "size": 0, "timeout_ms": 5_000 }), |queue| json!({
                "size": queue.size,
                "timeout_ms": queue.timeout.as_millis() as u64,
            })),
            "logging": {
                "format": self.logging.format.name(),
                "level": self.logging.level.name(),
                "decisions": share(self.logging.decisions),
                "filter_state": self.logging.filter_state,
            },
            "seed": self.seed,
        })
    }
}

pub(super) fn backend(backend: &Backend) -> Value {
    json!({
        "cluster": &*backend.cluster,
        "backend_type": backend.kind.name(),
        "group": backend.group,
        "apis": backend.apis.names(),
        "weight": backend.weight.ratio(),
        "priority": backend.priority,
        "input_cost_per_1k_tokens": usd_per_1k(backend.prices.input),
        "output_cost_per_1k_tokens": usd_per_1k(backend.prices.output),
        "cached_input_cost_per_1k_tokens": usd_per_1k(backend.prices.cached_input),
        "fixed_cost_per_hour_usd": usd(backend.fixed_cost_per_hour),
        "expected_response_time_ms": backend.expected_response_time.as_millis() as u64,
        "quality_score": backend.quality.ratio(),
        "reliability_score": backend.reliability.ratio(),
        "max_concurrent_requests": backend.max_concurrent_requests,
        "timeout_seconds": backend.timeout.map(seconds),
        "max_requests_per_minute": backend.limits.requests_per_minute,
        "max_tokens_per_minute": backend.limits.tokens_per_minute,
        "hourly_budget_usd": backend.limits.hourly_budget.map(usd),
        "daily_budget_usd": backend.limits.daily_budget.map(usd),
        "circuit_breaker": backend.breaker.map_or_else(|| json!({ "enabled": false }), breaker),
        "health_check": backend.probe.as_ref().map(probe),
        "failure_domain": backend.failure_domain,
        "fallback_answers": backend.fallback_answers.name(),
    })
}

fn breaker(settings: BreakerSettings) -> Value {
    json!({
        "enabled": true,
        "failure_threshold": settings.failure_threshold,
        "failure_rate_threshold": settings.failure_rate_threshold.ratio(),
        "window": settings.window,
        "min_requests": settings.min_requests,
        "slow_response_ms": settings.slow_response.map(|slow| slow.as_millis() as u64),
        "slow_rate_threshold": settings.slow_rate_threshold.ratio(),
        "misconfigured_threshold": settings.misconfigured_threshold,
        "recovery_timeout_seconds": seconds(settings.recovery_timeout),
        "half_open_max_requests": settings.half_open_max_requests,
        "adaptive": settings.adaptive,
        "ramp_seconds": seconds(settings.ramp),
    })
}

fn probe(settings: &ProbeSettings) -> Value {
    json!({
        "path": settings.path,
        "host": settings.host,
        "interval_seconds": seconds(settings.interval),
        "timeout_seconds": seconds(settings.timeout),
        "consecutive_failures_threshold": settings.failures,
        "consecutive_successes_threshold": settings.successes,
    })
}

fn cost(cost: &Cost) -> Value {
    let tenant = |limits: &Limits| {
        json!({
            "max_requests_per_minute": limits.requests_per_minute,
            "max_tokens_per_minute": limits.tokens_per_minute,
            "hourly_budget_usd": limits.hourly_budget.map(usd),
            "daily_budget_usd": limits.daily_budget.map(usd),
        })
    };
    let tenants = cost.tenants.iter().map(|each| (String::from(&*each.name), tenant(&each.limits))).collect();
    json!({
        "hourly_budget_usd": cost.limits.hourly_budget.map(usd),
        "daily_budget_usd": cost.limits.daily_budget.map(usd),
        "on_exhausted": cost.on_exhausted.name(),
        "pacing": cost.pacing,
        "alert_thresholds": cost.alert_thresholds.iter().map(|share| share.ratio()).collect::<Vec<_>>(),
        "target_efficiency": cost.target_efficiency.ratio(),
        "tracking_window_hours": cost.tracking_window_hours,
        "tenant_header": cost.tenant_header,
        "tenants": Value::Object(tenants),
    })
}

fn usd(amount: PicoUsd) -> f64 {
    amount.micro_usd() as f64 / 1e6
}

/// None and all as the words that are usual for them.
fn share(share: PerMille) -> Value {
    match share.get() {
        0 => json!(false),
        1_000 => json!(true),
        _ => json!(share.ratio()),
    }
}

pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1_000.0
}

fn hints(hints: ClientHints) -> Vec<&'static str> {
    let wanted = |hint| match hint {
        Hint::Strategy => hints.strategy,
        Hint::MinQuality => hints.min_quality,
        Hint::Tenant => hints.tenant,
        Hint::Explain => hints.explain,
    };
    Hint::ALL.iter().copied().filter(|&hint| wanted(hint)).map(Named::name).collect()
}

/// Pico-USD per token in the unit of the configuration.
fn usd_per_1k(price: Price) -> f64 {
    price.0 as f64 / 1e9
}
