//! Keys that older systems have, and where what they say belongs here: the configurations that routers of this kind come
//! with, their environment variables, and Envoy's part.
//!
//! Names are compared without their case and what stands between words: `ROUTER_QUEUE_SIZE` is `router_queue_size`.

/// Keys of one object, each with what to do instead.
pub(super) type Hints = &'static [(&'static str, &'static str)];

const ENVOY_METRICS: &str = "nothing to set: Envoy serves the metrics on its admin port, at /stats/prometheus";
const GRAFANA: &str = "nothing to set: the dashboards are files, see envoy/grafana";
const STRATEGY: &str = "name the strategy in `strategy`";
const UNDER_LOAD_BALANCING: &str = "not a section here: strategy, cost, alerts and the like stand at the top level";
const WEBHOOK: &str = "an address belongs to Envoy's cluster: name that in alerts.webhook_cluster";
const MAIL: &str = "the router sends no mail: let what alerts.webhook_cluster leads to do that, such as Alertmanager";
const NO_LEARNING: &str = "not available in this version: there is no adaptive strategy";
const NO_SAMPLING: &str = "not available in this version: quality is told by POST /feedback, and quality_score";
const NO_ROLLOUT: &str = "not available in this version: rollouts are not";
const ADDRESS: &str = "not a key of the router: the address belongs to Envoy's cluster";
const KEY: &str = "not a key of the router: let Envoy's credential_injector filter add the key";
const PER_BREAKER: &str = "set it for each backend, as circuit_breaker.failure_threshold";
const PER_RECOVERY: &str = "set it for each backend, as circuit_breaker.recovery_timeout_seconds";
const PER_INTERVAL: &str = "set it for each backend, as health_check.interval_seconds";
const PER_TIMEOUT: &str = "set it for each backend, as health_check.timeout_seconds";
const ALL_AT_ONCE: &str =
    "nothing to set: each backend is checked by itself, spread over its health_check.interval_seconds";
const DAILY: &str = "write cost.daily_budget_usd";
const HOURLY: &str = "write cost.hourly_budget_usd";
const RETRIES: &str = "write retry.max_attempts: attempts are one more than retries";
const BACK_OFF: &str = "Envoy's route does the waiting: set retry_policy.retry_back_off there";
const POOL: &str = "connections are Envoy's business: set circuit_breakers and the protocol options of the cluster";

/// At the top level.
pub(super) const ROUTER: Hints = &[
    ("load_balancing", UNDER_LOAD_BALANCING),
    ("monitoring", "not a section here: webhooks belong to alerts, logs to logging; Envoy serves the metrics"),
    ("enable_adaptive_routing", NO_LEARNING),
    ("enable_cost_optimization", STRATEGY),
    ("enable_quality_based_routing", STRATEGY),
    ("enable_real_time_monitoring", ENVOY_METRICS),
    ("enable_prometheus_metrics", ENVOY_METRICS),
    ("prometheus_metrics_enabled", ENVOY_METRICS),
    ("prometheus_pushgateway_url", ENVOY_METRICS),
    ("router_metrics_enabled", ENVOY_METRICS),
    ("enable_grafana_dashboards", GRAFANA),
    ("grafana_dashboards_enabled", GRAFANA),
    ("grafana_api_url", GRAFANA),
    ("routing_decision_timeout_ms", "nothing to set: a decision takes microseconds, and waits for nothing"),
    ("max_concurrent_health_checks", ALL_AT_ONCE),
    ("health_check_batch_size", ALL_AT_ONCE),
    ("health_check", "set it for each backend"),
    ("health_check_interval", PER_INTERVAL),
    ("health_check_timeout", PER_TIMEOUT),
    ("router_health_check_interval", PER_INTERVAL),
    ("router_health_check_timeout", PER_TIMEOUT),
    ("circuit_breaker", "set it for each backend"),
    ("circuit_breaker_enabled", "set it for each backend, as circuit_breaker.enabled"),
    ("failure_threshold", PER_BREAKER),
    ("recovery_timeout_seconds", PER_RECOVERY),
    ("global_failure_threshold", PER_BREAKER),
    ("global_recovery_timeout", PER_RECOVERY),
    ("router_circuit_breaker_threshold", PER_BREAKER),
    ("router_circuit_breaker_timeout", PER_RECOVERY),
    ("cost_optimization", "the section is cost here"),
    ("cost_optimization_target", "write cost.target_efficiency"),
    ("target_cost_efficiency", "write cost.target_efficiency"),
    ("cost_tracking_window", "write cost.tracking_window_hours"),
    ("budget_alerts", "write cost.daily_budget_usd, cost.hourly_budget_usd and cost.alert_thresholds"),
    ("cost_per_backend", "prices belong to each backend, as input_cost_per_1k_tokens and output_cost_per_1k_tokens"),
    ("daily_budget", DAILY),
    ("daily_budget_usd", DAILY),
    ("daily_cost_budget", DAILY),
    ("hourly_budget", HOURLY),
    ("hourly_budget_usd", HOURLY),
    ("hourly_cost_budget", HOURLY),
    ("alert_thresholds", "write cost.alert_thresholds"),
    ("tracking_window_hours", "write cost.tracking_window_hours"),
    ("target_efficiency", "write cost.target_efficiency"),
    ("cost_alert_webhook", "an address belongs to Envoy's cluster: name that in alerts.cost_webhook_cluster"),
    ("alert_webhook_url", WEBHOOK),
    ("webhook_url", WEBHOOK),
    ("alert_email_recipients", MAIL),
    ("email_recipients", MAIL),
    ("quality_assurance", NO_SAMPLING),
    ("minimum_quality_threshold", "a request asks for it, by x-llm-min-quality: see client_hints"),
    ("quality_sampling_rate", NO_SAMPLING),
    ("quality_metrics", NO_SAMPLING),
    ("quality_feedback_sources", NO_SAMPLING),
    ("adaptive_learning", NO_LEARNING),
    ("adaptive_learning_enabled", NO_LEARNING),
    ("learning_rate", NO_LEARNING),
    ("weight_adjustment_frequency", NO_LEARNING),
    ("weight_adjustment_frequency_minutes", NO_LEARNING),
    ("performance_history_window_hours", NO_LEARNING),
    ("production_lb_enabled", NO_ROLLOUT),
    ("production_lb_strategy", STRATEGY),
    ("prod_lb_enabled", NO_ROLLOUT),
    ("prod_lb_deployment_mode", NO_ROLLOUT),
    ("prod_lb_traffic_percent", NO_ROLLOUT),
    ("prod_lb_auto_failback", NO_ROLLOUT),
    ("enable_production_load_balancer", NO_ROLLOUT),
    ("deployment_mode", NO_ROLLOUT),
    ("production_traffic_percentage", NO_ROLLOUT),
    ("enable_automatic_failback", NO_ROLLOUT),
    ("rollback_threshold_error_rate", NO_ROLLOUT),
    ("perplexity_api_key", KEY),
    ("perplexity_api_key_2", KEY),
    ("lightrag_api_key", KEY),
    ("lightrag_service_key", KEY),
    ("lightrag_service_url", ADDRESS),
    ("lightrag_primary_url", ADDRESS),
    ("lightrag_secondary_url", ADDRESS),
    ("perplexity_api_url", ADDRESS),
    ("environment", "nothing to set: each environment has a configuration of its own"),
    ("router_strategy", STRATEGY),
    ("load_balancing_strategy", STRATEGY),
    ("router_max_retries", RETRIES),
    ("max_retries", RETRIES),
    ("router_retry_delay", BACK_OFF),
    ("retry_delay", BACK_OFF),
    ("router_queue_size", "write queue.size"),
    ("queue_size", "write queue.size"),
    ("router_worker_threads", "nothing to set here: it is Envoy's --concurrency"),
    ("worker_threads", "nothing to set here: it is Envoy's --concurrency"),
    ("connection_pool", POOL),
    ("aiohttp_connector", POOL),
    ("timeout_config", "timeouts are Envoy's, but for timeout_seconds of each backend"),
    ("redis_url", "not available in this version: the router shares nothing between Envoys"),
    ("backends", "write backend_instances, by id"),
    ("instances", "write backend_instances, by id"),
    ("log_file_path", "Envoy writes the log: start it with --log-path; level and format are in logging"),
    ("log_level", "write logging.level"),
];

/// Under `backend_instances.<id>`.
pub(super) const BACKEND: Hints = &[
    ("endpoint_url", ADDRESS),
    ("url", ADDRESS),
    ("base_url", ADDRESS),
    ("api_key", KEY),
    ("type", "write backend_type"),
    ("health_check_path", "write health_check.path"),
    ("health_check_url", "write health_check.path: the address is the cluster's"),
    ("health_check_interval", "write health_check.interval_seconds"),
    ("health_check_interval_seconds", "write health_check.interval_seconds"),
    ("health_check_timeout", "write health_check.timeout_seconds"),
    ("health_check_timeout_seconds", "write health_check.timeout_seconds"),
    ("consecutive_failures_threshold", "write health_check.consecutive_failures_threshold"),
    ("consecutive_successes_threshold", "write health_check.consecutive_successes_threshold"),
    ("circuit_breaker_enabled", "write circuit_breaker.enabled"),
    ("circuit_breaker_threshold", "write circuit_breaker.failure_threshold"),
    ("circuit_breaker_timeout", "write circuit_breaker.recovery_timeout_seconds"),
    ("failure_threshold", "write circuit_breaker.failure_threshold"),
    ("failure_rate_threshold", "write circuit_breaker.failure_rate_threshold"),
    ("recovery_timeout", "write circuit_breaker.recovery_timeout_seconds"),
    ("recovery_timeout_seconds", "write circuit_breaker.recovery_timeout_seconds"),
    ("half_open_max_requests", "write circuit_breaker.half_open_max_requests"),
    ("timeout", "write timeout_seconds"),
    ("timeout_ms", "write timeout_seconds, in seconds"),
    ("max_connections", POOL),
    ("max_concurrent", "write max_concurrent_requests"),
    ("max_retries", "write retry.max_attempts, for all backends: attempts are one more than retries"),
    ("rate_limit", "write max_requests_per_minute, max_tokens_per_minute"),
    ("daily_budget", "write daily_budget_usd"),
    ("hourly_budget", "write hourly_budget_usd"),
    ("cost_per_token", "write cost_per_1k_tokens, 1000 times that, or cost_per_1m_tokens, a million times that"),
    ("input_cost_per_token", "write input_cost_per_1m_tokens, a million times that"),
    ("output_cost_per_token", "write output_cost_per_1m_tokens, a million times that"),
    ("cache_read_input_token_cost", "write cached_input_cost_per_1m_tokens, a million times that"),
    ("cost_per_1k", "write cost_per_1k_tokens"),
    ("input_cost_per_1k", "write input_cost_per_1k_tokens"),
    ("output_cost_per_1k", "write output_cost_per_1k_tokens"),
    ("processing_cost_per_1k", "write cost_per_1k_tokens: the price of all tokens"),
    ("cost_per_1m", "write cost_per_1m_tokens"),
    ("input_cost_per_1m", "write input_cost_per_1m_tokens"),
    ("output_cost_per_1m", "write output_cost_per_1m_tokens"),
    ("cost_per_million_tokens", "write cost_per_1m_tokens"),
    ("input_cost_per_million_tokens", "write input_cost_per_1m_tokens"),
    ("output_cost_per_million_tokens", "write output_cost_per_1m_tokens"),
    ("storage_cost_per_gb", "write fixed_cost_per_hour_usd: what it costs in an hour, whether it is asked or not"),
];

/// Under `circuit_breaker`.
pub(super) const BREAKER: Hints = &[
    ("threshold", "write failure_threshold"),
    ("timeout", "write recovery_timeout_seconds"),
    ("timeout_seconds", "write recovery_timeout_seconds"),
    ("recovery_timeout", "write recovery_timeout_seconds"),
    ("failure_rate", "write failure_rate_threshold"),
    ("adaptive_thresholds", "write adaptive"),
];

/// Under `health_check`.
pub(super) const CHECK: Hints = &[
    ("enabled", "there is a check where there is a health_check: leave that out for none"),
    ("health_check_path", "write path"),
    ("url", "write path: the address is the cluster's"),
    ("endpoint", "write path: the address is the cluster's"),
    ("interval", "write interval_seconds"),
    ("interval_ms", "write interval_seconds, in seconds"),
    ("timeout", "write timeout_seconds"),
    ("timeout_ms", "write timeout_seconds, in seconds"),
    ("failure_threshold", "write consecutive_failures_threshold"),
    ("unhealthy_threshold", "write consecutive_failures_threshold"),
    ("healthy_threshold", "write consecutive_successes_threshold"),
];

/// Under `retry`.
pub(super) const RETRY: Hints = &[
    ("base_delay_ms", BACK_OFF),
    ("delay", BACK_OFF),
    ("retry_delay", BACK_OFF),
    ("max_retries", "write max_attempts: attempts are one more than retries"),
    ("num_retries", "write max_attempts: attempts are one more than retries"),
    ("respect_retry_after", "Envoy's route does the waiting: set retry_policy.rate_limited_retry_back_off there"),
];

/// Under `cost`.
pub(super) const COST: Hints = &[
    ("daily_budget", "write daily_budget_usd"),
    ("hourly_budget", "write hourly_budget_usd"),
    ("target_cost_efficiency", "write target_efficiency"),
    ("cost_tracking_window", "write tracking_window_hours"),
    ("tracking_window", "write tracking_window_hours"),
    ("budget_alerts", "its keys stand here: daily_budget_usd, hourly_budget_usd and alert_thresholds"),
    ("cost_per_backend", "prices belong to each backend, as input_cost_per_1k_tokens and output_cost_per_1k_tokens"),
    ("alert_webhook", "name the cluster of the webhook in alerts.cost_webhook_cluster"),
];

/// Under `alerts`.
pub(super) const ALERTS: Hints = &[
    ("webhook_url", WEBHOOK),
    ("alert_webhook_url", WEBHOOK),
    ("cost_alert_webhook", "an address belongs to Envoy's cluster: name that in cost_webhook_cluster"),
    ("email_recipients", MAIL),
    ("alert_email_recipients", MAIL),
];

/// Under `queue`.
pub(super) const QUEUE: Hints = &[
    ("queue_size", "write size"),
    ("max_size", "write size"),
    ("timeout", "write timeout_ms"),
    ("timeout_seconds", "write timeout_ms, in milliseconds"),
];
