//! A configuration as it was understood: canonical names, every default filled in, units in the names.

use serde_json::{Value, json};

use super::names::{Hint, Named, Role};
use super::{ClientHints, Config};
use crate::domain::{Backend, BreakerSettings, Price};

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
            "response_headers": self.response_headers,
            "forward_estimate": self.forward_estimate,
            "client_hints": hints(self.client_hints),
            "retry": { "max_attempts": self.retry.max_attempts },
            "logging": {
                "format": self.logging.format.name(),
                "level": self.logging.level.name(),
                "decisions": self.logging.decisions,
            },
            "seed": self.seed,
        })
    }
}

fn backend(backend: &Backend) -> Value {
    json!({
        "cluster": &*backend.cluster,
        "backend_type": backend.kind.name(),
        "weight": backend.weight.ratio(),
        "priority": backend.priority,
        "input_cost_per_1k_tokens": usd_per_1k(backend.prices.input),
        "output_cost_per_1k_tokens": usd_per_1k(backend.prices.output),
        "cached_input_cost_per_1k_tokens": usd_per_1k(backend.prices.cached_input),
        "expected_response_time_ms": backend.expected_response_time.as_millis() as u64,
        "quality_score": backend.quality.ratio(),
        "reliability_score": backend.reliability.ratio(),
        "max_concurrent_requests": backend.max_concurrent_requests,
        "circuit_breaker": backend.breaker.map_or_else(|| json!({ "enabled": false }), breaker),
    })
}

fn breaker(settings: BreakerSettings) -> Value {
    json!({
        "enabled": true,
        "failure_threshold": settings.failure_threshold,
        "recovery_timeout_seconds": settings.recovery_timeout.as_millis() as f64 / 1_000.0,
        "half_open_max_requests": settings.half_open_max_requests,
    })
}

fn hints(hints: ClientHints) -> Vec<&'static str> {
    let wanted = |hint| match hint {
        Hint::Strategy => hints.strategy,
        Hint::MinQuality => hints.min_quality,
    };
    Hint::ALL.iter().copied().filter(|&hint| wanted(hint)).map(Named::name).collect()
}

/// Pico-USD per token in the unit of the configuration.
fn usd_per_1k(price: Price) -> f64 {
    price.0 as f64 / 1e9
}
