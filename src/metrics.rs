//! Every metric there is, defined once.
//!
//! Labels are part of the name, as Envoy's `stats_tags` expect them (`envoy/envoy.yaml`). Names come from the
//! configuration alone, never from a request, so that their number is fixed.

use crate::alerts::AlertKind;
use crate::config::{Strategy, Tenant};
use crate::domain::{Backend, BackendIndex, Ending, Misconfiguration, Misrouting, Span};
use crate::health::{BreakerPhase, TripReason};
use crate::version::{COMMIT, VERSION, fingerprint};

/// One metric with its labels. What each means is told in `docs/metrics.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Requests that ended: `loadbalancer_requests_total{backend_id,status,method}`.
    Requests {
        /// Who answered.
        backend: BackendIndex,
        /// How it ended.
        status: Status,
        /// How it was asked.
        method: Method,
    },
    /// Milliseconds from decision to end: `loadbalancer_request_duration_ms{backend_id,status}`.
    Duration {
        /// Who answered.
        backend: BackendIndex,
        /// How it ended.
        status: Status,
    },
    /// Microseconds from the request's body to its decision: `loadbalancer_routing_decision_us{strategy}`.
    Decision(Strategy),
    /// Milliseconds from decision to the first content: `loadbalancer_time_to_first_token_ms{backend_id}`.
    FirstToken(BackendIndex),
    /// Microseconds from one token of a stream to the next: `loadbalancer_time_per_output_token_us{backend_id}`.
    PerToken(BackendIndex),
    /// Tokens as providers reported them: `loadbalancer_tokens_total{backend_id,kind}`.
    Tokens {
        /// Who answered.
        backend: BackendIndex,
        /// Which tokens.
        kind: TokenKind,
    },
    /// How far estimates of prompts were off: `loadbalancer_token_estimate_error_permille{backend_id}`.
    EstimateError(BackendIndex),
    /// What answers cost: `loadbalancer_request_cost_micro_usd_total{backend_id,backend_type}`.
    Cost(BackendIndex),
    /// Requests that left this backend, which failed, for another: `loadbalancer_failovers_total{backend_id}`.
    Failovers(BackendIndex),
    /// Of those, the ones that the other answered well: `loadbalancer_failovers_succeeded_total{backend_id}`.
    FailoversSucceeded(BackendIndex),
    /// Milliseconds that they took until that answer came: `loadbalancer_failover_time_ms_total{backend_id}`.
    FailoverTime(BackendIndex),
    /// When a request last left this backend: `loadbalancer_last_failover_timestamp_seconds{backend_id}`.
    LastFailover(BackendIndex),
    /// Requests that were first tried there to see how it is: `loadbalancer_explorations_total{backend_id}`.
    Explorations(BackendIndex),
    /// Requests in flight: `loadbalancer_in_flight{backend_id}`.
    InFlight(BackendIndex),
    /// 0 closed, 1 half-open, 2 open: `loadbalancer_circuit_breaker_state{backend_id}`.
    BreakerState(BackendIndex),
    /// Failures that counted: `loadbalancer_circuit_breaker_failures_total{backend_id}`.
    BreakerFailures(BackendIndex),
    /// Changes of state: `loadbalancer_circuit_breaker_transitions_total{backend_id,state,reason}`.
    BreakerTransitions {
        /// Whose breaker.
        backend: BackendIndex,
        /// Where it stands now.
        state: BreakerPhase,
        /// Why.
        reason: TripReason,
    },
    /// How well a backend is, in thousandths: `loadbalancer_backend_health{backend_id,backend_type}`.
    Health(BackendIndex),
    /// 1 while it is configured, 0 when it is gone: `loadbalancer_backend_present{backend_id}`.
    Present(BackendIndex),
    /// 1 while it may be asked, else 0: `loadbalancer_backend_available{backend_id}`.
    Available(BackendIndex),
    /// Latency as routing sees it: `loadbalancer_backend_response_time_ms{backend_id}`.
    ResponseTime(BackendIndex),
    /// Thousandths of its latest answers that failed: `loadbalancer_backend_error_rate{backend_id}`.
    ErrorRate(BackendIndex),
    /// How good its answers are, in thousandths: `loadbalancer_response_quality_score{backend_id}`.
    Quality(BackendIndex),
    /// What it costs in an hour whether it is asked or not: `loadbalancer_backend_fixed_cost_micro_usd_per_hour{backend_id}`.
    FixedCost(BackendIndex),
    /// Requests that it should have room for at once: `loadbalancer_desired_capacity{backend_id}`.
    DesiredCapacity(BackendIndex),
    /// Thousandths of its quota that a backend has left: `loadbalancer_quota_remaining_permille{backend_id}`.
    QuotaRemaining(BackendIndex),
    /// Requests that wait for a place: `loadbalancer_queue_depth`.
    QueueDepth,
    /// Milliseconds that a request waited, whatever became of it: `loadbalancer_queue_wait_ms`.
    QueueWait,
    /// Answers that were paid for by estimate: `loadbalancer_usage_estimated_total{backend_id}`.
    UsageEstimated(BackendIndex),
    /// Money spent in the present hour or day: `loadbalancer_budget_spent_micro_usd{window}`.
    BudgetSpent(Span),
    /// Money that a backend cost in the present hour or day: `loadbalancer_backend_spent_micro_usd{backend_id,window}`.
    BackendSpent(BackendIndex, Span),
    /// Money that a tenant spent in it: `loadbalancer_tenant_spent_micro_usd{tenant,window}`.
    TenantSpent(TenantIndex, Span),
    /// Requests that the router refused: `loadbalancer_refusals_total{code}`.
    Refusals(&'static str),
    /// Requests a minute, at the pace of the last seconds: `loadbalancer_requests_per_minute`.
    RequestsPerMinute,
    /// The most memory that a VM has taken: `loadbalancer_wasm_memory_bytes`.
    Memory,
    /// Alerts that were raised or cleared: `loadbalancer_alerts_total{alert,state}`.
    Alerts {
        /// What for.
        alert: AlertKind,
        /// Whether it was raised.
        raised: bool,
    },
    /// What became of calls to the webhook, or of news for it: `loadbalancer_alert_deliveries_total{result}`.
    AlertDeliveries(DeliveryResult),
    /// Requests that showed that Envoy's configuration does not fit: `loadbalancer_configuration_warnings{kind}`.
    ConfigurationWarnings(Misrouting),
    /// 1 for the version and the configuration at work: `loadbalancer_build_info{version,commit,configuration}`.
    BuildInfo {
        /// The fingerprint of what Envoy gave.
        configuration: u64,
    },
    /// 1 while the configuration that Envoy was given last was refused: `loadbalancer_configuration_refused`.
    ConfigurationRefused,
    /// What went wrong in the router itself: `loadbalancer_internal_errors_total{kind}`.
    InternalErrors(Internal),
}

/// The place of a tenant in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantIndex(pub u16);

/// How Envoy keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Is what it is.
    Gauge,
    /// A distribution.
    Histogram,
}

/// How a request ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(&'static str);

impl Status {
    /// Every way to end, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::SUCCESS,
        Self::CLIENT_ERROR,
        Self::MISCONFIGURED,
        Self::RATE_LIMITED,
        Self::CLIENT_ABORT,
        Self::FAILURE,
        Self::NOT_SENT,
    ];

    /// Answered in full.
    pub const SUCCESS: Self = Self("success");
    /// The request was at fault.
    pub const CLIENT_ERROR: Self = Self("client_error");
    /// Answered as a backend answers that can serve nobody: 401 to 405 and the like, a redirect, a page.
    pub const MISCONFIGURED: Self = Self("misconfigured");
    /// Answered 429.
    pub const RATE_LIMITED: Self = Self("rate_limited");
    /// The client went away.
    pub const CLIENT_ABORT: Self = Self("client_abort");
    /// The backend failed.
    pub const FAILURE: Self = Self("failure");
    /// It never reached a backend.
    pub const NOT_SENT: Self = Self("not_sent");

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl From<Ending> for Status {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Success => Self::SUCCESS,
            // Of requests that cannot be understood one alone is the client's, as a rule.
            Ending::ClientError | Ending::Misconfigured(Misconfiguration::Unprocessable) => Self::CLIENT_ERROR,
            Ending::Misconfigured(_) => Self::MISCONFIGURED,
            Ending::RateLimited => Self::RATE_LIMITED,
            Ending::ClientAbort => Self::CLIENT_ABORT,
            Ending::Failed(_) => Self::FAILURE,
            Ending::NotSent => Self::NOT_SENT,
        }
    }
}

/// A request's method, as a label: a client may send any word, so only known ones are names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// Any other.
    #[default]
    Other,
}

impl Method {
    /// Every label that there is.
    pub const ALL: [Self; 3] = [Self::Get, Self::Post, Self::Other];

    /// From the pseudo-header.
    pub fn from_bytes(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            _ => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Other => "other",
        }
    }
}

/// Tokens by what is paid for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Of prompts, those from a cache included.
    Input,
    /// Of prompts, read from the provider's cache.
    CachedInput,
    /// Of answers.
    Output,
}

impl TokenKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CachedInput => "cached_input",
            Self::Output => "output",
        }
    }
}

/// What became of news for the webhook, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryResult {
    /// A call was answered well.
    Delivered,
    /// A call was not, and is made again.
    Failed,
    /// A call was answered by a 3xx or 4xx, and is not made again.
    Refused,
    /// News had to make room for later news before it could be sent.
    Lost,
}

impl DeliveryResult {
    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}

/// What can go wrong in the router itself. None of it fails a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Internal {
    /// Shared data could not be read or written, or others were faster too often.
    SharedData,
    /// A call to the host was refused.
    HostCall,
    /// The router was asked while it was already at work.
    Reentered,
    /// No decision was reached: the request went to the default backend.
    Undecided,
    /// Envoy's admin interface did not say how the clusters are.
    EnvoyAdmin,
    /// A cluster says wrongly that it is a backend, or there is no room for it.
    Discovery,
}

impl Internal {
    const fn name(self) -> &'static str {
        match self {
            Self::SharedData => "shared_data",
            Self::HostCall => "host_call",
            Self::Reentered => "reentered",
            Self::Undecided => "undecided",
            Self::EnvoyAdmin => "envoy_admin",
            Self::Discovery => "discovery",
        }
    }
}

impl Metric {
    /// How Envoy keeps it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Requests { .. }
            | Self::Tokens { .. }
            | Self::Cost(_)
            | Self::Failovers(_)
            | Self::FailoversSucceeded(_)
            | Self::FailoverTime(_)
            | Self::Explorations(_)
            | Self::BreakerFailures(_)
            | Self::BreakerTransitions { .. }
            | Self::UsageEstimated(_)
            | Self::Refusals(_)
            | Self::Alerts { .. }
            | Self::AlertDeliveries(_)
            | Self::InternalErrors(_) => Kind::Counter,
            Self::LastFailover(_)
            | Self::InFlight(_)
            | Self::BreakerState(_)
            | Self::Health(_)
            | Self::Present(_)
            | Self::Available(_)
            | Self::ResponseTime(_)
            | Self::ErrorRate(_)
            | Self::Quality(_)
            | Self::FixedCost(_)
            | Self::DesiredCapacity(_)
            | Self::QuotaRemaining(_)
            | Self::QueueDepth
            | Self::BudgetSpent(_)
            | Self::BackendSpent(..)
            | Self::TenantSpent(..)
            | Self::RequestsPerMinute
            | Self::ConfigurationWarnings(_)
            | Self::BuildInfo { .. }
            | Self::ConfigurationRefused
            | Self::Memory => Kind::Gauge,
            Self::Duration { .. }
            | Self::Decision(_)
            | Self::FirstToken(_)
            | Self::PerToken(_)
            | Self::EstimateError(_)
            | Self::QueueWait => Kind::Histogram,
        }
    }

    /// Its name without labels.
    const fn base(self) -> &'static str {
        match self {
            Self::Requests { .. } => "requests_total",
            Self::Duration { .. } => "request_duration_ms",
            Self::Decision(_) => "routing_decision_us",
            Self::FirstToken(_) => "time_to_first_token_ms",
            Self::PerToken(_) => "time_per_output_token_us",
            Self::Tokens { .. } => "tokens_total",
            Self::EstimateError(_) => "token_estimate_error_permille",
            Self::Cost(_) => "request_cost_micro_usd_total",
            Self::Failovers(_) => "failovers_total",
            Self::FailoversSucceeded(_) => "failovers_succeeded_total",
            Self::FailoverTime(_) => "failover_time_ms_total",
            Self::Explorations(_) => "explorations_total",
            Self::LastFailover(_) => "last_failover_timestamp_seconds",
            Self::InFlight(_) => "in_flight",
            Self::BreakerState(_) => "circuit_breaker_state",
            Self::BreakerFailures(_) => "circuit_breaker_failures_total",
            Self::BreakerTransitions { .. } => "circuit_breaker_transitions_total",
            Self::Health(_) => "backend_health",
            Self::Present(_) => "backend_present",
            Self::Available(_) => "backend_available",
            Self::ResponseTime(_) => "backend_response_time_ms",
            Self::ErrorRate(_) => "backend_error_rate",
            Self::Quality(_) => "response_quality_score",
            Self::FixedCost(_) => "backend_fixed_cost_micro_usd_per_hour",
            Self::DesiredCapacity(_) => "desired_capacity",
            Self::QuotaRemaining(_) => "quota_remaining_permille",
            Self::QueueDepth => "queue_depth",
            Self::QueueWait => "queue_wait_ms",
            Self::UsageEstimated(_) => "usage_estimated_total",
            Self::BudgetSpent(_) => "budget_spent_micro_usd",
            Self::BackendSpent(..) => "backend_spent_micro_usd",
            Self::TenantSpent(..) => "tenant_spent_micro_usd",
            Self::Refusals(_) => "refusals_total",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::Memory => "wasm_memory_bytes",
            Self::Alerts { .. } => "alerts_total",
            Self::AlertDeliveries(_) => "alert_deliveries_total",
            Self::ConfigurationWarnings(_) => "configuration_warnings",
            Self::BuildInfo { .. } => "build_info",
            Self::ConfigurationRefused => "configuration_refused",
            Self::InternalErrors(_) => "internal_errors_total",
        }
    }

    /// The backend that it is about.
    const fn backend(self) -> Option<BackendIndex> {
        match self {
            Self::Requests { backend, .. }
            | Self::Duration { backend, .. }
            | Self::Tokens { backend, .. }
            | Self::BreakerTransitions { backend, .. }
            | Self::FirstToken(backend)
            | Self::PerToken(backend)
            | Self::EstimateError(backend)
            | Self::Cost(backend)
            | Self::UsageEstimated(backend)
            | Self::Failovers(backend)
            | Self::FailoversSucceeded(backend)
            | Self::FailoverTime(backend)
            | Self::Explorations(backend)
            | Self::LastFailover(backend)
            | Self::InFlight(backend)
            | Self::BreakerState(backend)
            | Self::BreakerFailures(backend)
            | Self::Health(backend)
            | Self::Present(backend)
            | Self::Available(backend)
            | Self::ResponseTime(backend)
            | Self::ErrorRate(backend)
            | Self::Quality(backend)
            | Self::FixedCost(backend)
            | Self::DesiredCapacity(backend)
            | Self::BackendSpent(backend, _)
            | Self::QuotaRemaining(backend) => Some(backend),
            Self::Decision(_)
            | Self::QueueDepth
            | Self::QueueWait
            | Self::BudgetSpent(_)
            | Self::TenantSpent(..)
            | Self::Refusals(_)
            | Self::RequestsPerMinute
            | Self::Memory
            | Self::Alerts { .. }
            | Self::AlertDeliveries(_)
            | Self::ConfigurationWarnings(_)
            | Self::BuildInfo { .. }
            | Self::ConfigurationRefused
            | Self::InternalErrors(_) => None,
        }
    }

    /// Its name with its labels, as Envoy wants it.
    pub fn name(self, backends: &[Backend], tenants: &[Tenant]) -> String {
        let mut name = format!("loadbalancer_{}", self.base());
        let mut label = |key: &str, value: &str| {
            for part in [".", key, ".", value] {
                name.push_str(part);
            }
        };
        let about = self.backend().map(|index| backends.get(index.get()));
        if let Some(backend) = about {
            label("backend_id", backend.map_or("unknown", |backend| &*backend.id));
        }
        match self {
            Self::Requests { status, method, .. } => {
                label("status", status.name());
                label("method", method.name());
            }
            Self::Duration { status, .. } => label("status", status.name()),
            Self::Decision(strategy) => label("strategy", strategy.name()),
            Self::Tokens { kind, .. } => label("kind", kind.name()),
            Self::BreakerTransitions { state, reason, .. } => {
                label("state", state.name());
                label("reason", reason.name());
            }
            Self::Cost(_) | Self::Health(_) => {
                label("backend_type", about.flatten().map_or("unknown", |backend| backend.kind.name()));
            }
            Self::BudgetSpent(span) | Self::BackendSpent(_, span) => label("window", span.name()),
            Self::TenantSpent(TenantIndex(place), span) => {
                // A point ends a label.
                let tenant = tenants.get(usize::from(place)).map_or("unknown", |tenant| &tenant.name);
                label("window", span.name());
                label("tenant", "");
                tenant.chars().for_each(|c| name.push(if c == '.' { '_' } else { c }));
            }
            Self::Refusals(code) => label("code", code),
            Self::Alerts { alert, raised } => {
                label("alert", alert.name());
                label("state", if raised { "raised" } else { "cleared" });
            }
            Self::AlertDeliveries(result) => label("result", result.name()),
            Self::ConfigurationWarnings(kind) => label("kind", kind.name()),
            Self::InternalErrors(kind) => label("kind", kind.name()),
            Self::BuildInfo { configuration } => {
                // A version has points. It has three numbers, so that names and values still take turns.
                label("version", VERSION);
                label("commit", COMMIT);
                label("configuration", &fingerprint(configuration));
            }
            _ => {}
        }
        name
    }
}
