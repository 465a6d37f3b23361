//! What the operator asked for, valid by construction.
//!
//! `bytes -> Tree -> Config`, or every error at once: [`parse`] reads either form that Envoy hands over into one small
//! tree (`tree`), a reader walks it key by key and notes what is wrong (`reader`, `read`), and only a document without
//! any error becomes a [`Config`]. Fractions become integers on the way: thousandths, milliseconds, pico-USD.

mod alerts;
mod amend;
mod apis;
pub(crate) mod commands;
mod cost;
mod discovered;
mod elsewhere;
mod errors;
mod merge;
mod names;
mod normal;
mod prices;
mod read;
mod reader;
mod strategy;
mod suggest;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod wire;

pub use alerts::{Alerts, Webhook};
pub use cost::{Cost, OnExhausted, Tenant};
pub(crate) use discovered::{Found, discovered};
pub use errors::{Errors, Problem};
pub use names::OnUnreadable;
pub(crate) use read::MOST_BACKENDS;
pub use strategy::Strategy;

use std::time::Duration;

use crate::domain::{Backend, BackendIndex, FallbackAnswers, PerMille, Tokens};

/// A configuration, by the place in Envoy that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// The downstream HTTP filter.
    Router(Box<Config>),
    /// The upstream HTTP filter of a backend's cluster: what becomes of an answer that it says no model wrote.
    Attempt(FallbackAnswers),
    /// The HTTP filter of a private listener, for operators. What it shows it takes from the router.
    Control(ControlConfig),
}

/// What the role `control` has to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlConfig {
    /// Names that it answers to, besides IP addresses and `localhost`; with a port, only with that one.
    pub allowed_hosts: Vec<Box<str>>,
    /// Whether a backend that is registered by a call may have a cluster that no other has.
    pub allow_any_cluster: bool,
}

impl Parsed {
    /// Reads a configuration: JSON text, or an encoded `google.protobuf.Struct`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the document, not only the first of it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Errors> {
        read::document(&tree::Tree::from_bytes(bytes)?)
    }
}

/// Reads a configuration that is to be a router's; see [`Parsed::from_bytes`].
///
/// # Errors
///
/// Everything that is wrong with the document, not only the first of it.
pub fn parse(bytes: &[u8]) -> Result<Config, Errors> {
    match Parsed::from_bytes(bytes)? {
        Parsed::Router(config) => Ok(*config),
        Parsed::Attempt(_) | Parsed::Control(_) => {
            Err(Errors::document("needed is the configuration of a router".to_owned()))
        }
    }
}

/// The router's configuration. A value of this type is valid: it can only come out of validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How the backend is chosen.
    pub strategy: Strategy,
    /// Where a request goes when deciding itself fails.
    pub default_backend: BackendIndex,
    /// The backends, sorted by id; never empty.
    pub backends: Vec<Backend>,
    /// The largest body that is read.
    pub body_limit_bytes: usize,
    /// What becomes of a request for inference whose body cannot be read.
    pub unreadable: OnUnreadable,
    /// The most tokens that are guessed from the size of what cannot be read.
    pub max_guessed_tokens: Tokens,
    /// Whether answers carry the router's headers.
    pub response_headers: bool,
    /// Whether the upstream is told the estimate.
    pub forward_estimate: bool,
    /// What a client may ask for by a header.
    pub client_hints: ClientHints,
    /// How failures are retried.
    pub retry: Retry,
    /// What may be spent, and by whom.
    pub cost: Cost,
    /// Where Envoy says how it sees the hosts of its clusters, if the router is to know.
    pub envoy_admin: Option<EnvoyAdmin>,
    /// What is told of without being asked for.
    pub alerts: Alerts,
    /// The namespace of the metadata by which clusters of Envoy say that they are backends, if such are looked for. Then
    /// there is an [`envoy_admin`](Self::envoy_admin).
    pub discovery: Option<Box<str>>,
    /// When fewer of the backends than this share may be asked, those that are merely ill may be, too.
    pub panic_threshold: PerMille,
    /// The share of requests that are first tried at another backend than the best one, where a strategy goes by what was
    /// measured.
    pub exploration: PerMille,
    /// How requests wait for a place, if they do.
    pub queue: Option<Queue>,
    /// What is logged.
    pub logging: Logging,
    /// Fixes the random choices, for tests.
    pub seed: Option<u64>,
}

impl Config {
    /// Whether anything is limited. If not, nothing is counted.
    pub fn is_limited(&self) -> bool {
        self.cost.limits.is_any()
            || self.cost.tenants.iter().any(|tenant| tenant.limits.is_any())
            || self.backends.iter().any(|backend| backend.limits.is_any())
    }

    /// Whether it has the router ask others than Envoy itself: backends how they are, or somebody to take an alert.
    pub fn has_calls(&self) -> bool {
        self.alerts.webhook.is_some()
            || self.alerts.cost_webhook.is_some()
            || self.backends.iter().any(|backend| backend.probe.is_some())
    }
}

/// What a client may ask for, each by its `x-llm-…` header.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientHints {
    /// `x-llm-strategy`: another strategy for this request.
    pub strategy: bool,
    /// `x-llm-min-quality`: only backends at least this good.
    pub min_quality: bool,
    /// `x-llm-tenant`: who is asking.
    pub tenant: bool,
    /// `x-llm-explain`: the answer says why.
    pub explain: bool,
}

/// Envoy's admin interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvoyAdmin {
    /// The cluster that leads there. No request may: no backend has it.
    pub cluster: Box<str>,
    /// How long after a look the next one is.
    pub interval: Duration,
}

/// How requests wait for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait at once, over all workers; at least one.
    pub size: usize,
    /// How long each may.
    pub timeout: Duration,
}

/// How failures are retried. Envoy does the retrying; the router names the clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts a request may have, the first included: `1..=4`.
    pub max_attempts: u8,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// One JSON object a line, or text.
    pub format: LogFormat,
    /// The least level that is written.
    pub level: LogLevel,
    /// The share of decisions that are a line each.
    pub decisions: PerMille,
    /// Whether access logs find what was decided in Envoy's filter state.
    pub filter_state: bool,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// `key=value` text.
    Text,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Every detail.
    Debug,
    /// What an operator may want to know.
    #[default]
    Info,
    /// What an operator should know.
    Warn,
    /// What an operator must know.
    Error,
}
