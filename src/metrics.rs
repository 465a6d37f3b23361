//! Every metric there is, defined once.
//!
//! Labels are part of the name, as Envoy's `stats_tags` expect them (`envoy/envoy.yaml`). Names come from the
//! configuration alone, never from a request, so that their number is fixed.

use crate::domain::{Backend, BackendIndex, Ending};
use crate::health::{BreakerPhase, TripReason};

/// One metric with its labels.
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
    /// Milliseconds from decision to the first content: `loadbalancer_time_to_first_token_ms{backend_id}`.
    FirstToken(BackendIndex),
    /// Tokens as providers reported them: `loadbalancer_tokens_total{backend_id,kind}`.
    Tokens {
        /// Who answered.
        backend: BackendIndex,
        /// Which tokens.
        kind: TokenKind,
    },
    /// Requests that left this backend, which failed, for another: `loadbalancer_failovers_total{backend_id}`.
    Failovers(BackendIndex),
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
    /// Latency as routing sees it: `loadbalancer_backend_response_time_ms{backend_id}`.
    ResponseTime(BackendIndex),
    /// Thousandths of its quota that a backend has left: `loadbalancer_quota_remaining_permille{backend_id}`.
    QuotaRemaining(BackendIndex),
    /// Requests that the router refused: `loadbalancer_refusals_total{code}`.
    Refusals(&'static str),
    /// What went wrong in the router itself: `loadbalancer_internal_errors_total{kind}`.
    InternalErrors(Internal),
}

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

impl From<Ending> for Status {
    fn from(ending: Ending) -> Self {
        Self(match ending {
            Ending::Success => "success",
            Ending::ClientError => "client_error",
            Ending::RateLimited => "rate_limited",
            Ending::ClientAbort => "client_abort",
            Ending::Failed(_) => "failure",
            Ending::NotSent => "not_sent",
        })
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
            | Self::Failovers(_)
            | Self::BreakerFailures(_)
            | Self::BreakerTransitions { .. }
            | Self::Refusals(_)
            | Self::InternalErrors(_) => Kind::Counter,
            Self::InFlight(_)
            | Self::BreakerState(_)
            | Self::Health(_)
            | Self::ResponseTime(_)
            | Self::QuotaRemaining(_) => Kind::Gauge,
            Self::Duration { .. } | Self::FirstToken(_) => Kind::Histogram,
        }
    }

    /// Its name with its labels, as Envoy wants it.
    pub fn name(self, backends: &[Backend]) -> String {
        let id = |backend: BackendIndex| backends.get(backend.get()).map_or("unknown", |backend| &*backend.id);
        match self {
            Self::Requests { backend, status: Status(status), method } => {
                let (id, method) = (id(backend), method.name());
                format!("loadbalancer_requests_total.backend_id.{id}.status.{status}.method.{method}")
            }
            Self::Duration { backend, status: Status(status) } => {
                format!("loadbalancer_request_duration_ms.backend_id.{}.status.{status}", id(backend))
            }
            Self::FirstToken(backend) => format!("loadbalancer_time_to_first_token_ms.backend_id.{}", id(backend)),
            Self::Tokens { backend, kind } => {
                let kind = match kind {
                    TokenKind::Input => "input",
                    TokenKind::CachedInput => "cached_input",
                    TokenKind::Output => "output",
                };
                format!("loadbalancer_tokens_total.backend_id.{}.kind.{kind}", id(backend))
            }
            Self::Failovers(backend) => format!("loadbalancer_failovers_total.backend_id.{}", id(backend)),
            Self::InFlight(backend) => format!("loadbalancer_in_flight.backend_id.{}", id(backend)),
            Self::BreakerState(backend) => format!("loadbalancer_circuit_breaker_state.backend_id.{}", id(backend)),
            Self::BreakerFailures(backend) => {
                format!("loadbalancer_circuit_breaker_failures_total.backend_id.{}", id(backend))
            }
            Self::BreakerTransitions { backend, state, reason } => {
                let (id, state, reason) = (id(backend), state.name(), reason.name());
                format!("loadbalancer_circuit_breaker_transitions_total.backend_id.{id}.state.{state}.reason.{reason}")
            }
            Self::Health(backend) => {
                let kind = backends.get(backend.get()).map_or("unknown", |backend| backend.kind.name());
                format!("loadbalancer_backend_health.backend_id.{}.backend_type.{kind}", id(backend))
            }
            Self::ResponseTime(backend) => {
                format!("loadbalancer_backend_response_time_ms.backend_id.{}", id(backend))
            }
            Self::QuotaRemaining(backend) => {
                format!("loadbalancer_quota_remaining_permille.backend_id.{}", id(backend))
            }
            Self::Refusals(code) => format!("loadbalancer_refusals_total.code.{code}"),
            Self::InternalErrors(kind) => format!("loadbalancer_internal_errors_total.kind.{}", kind.name()),
        }
    }
}
