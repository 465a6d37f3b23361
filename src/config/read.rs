//! From a document to a valid [`Config`]: every key, its range and its default. `docs/configuration.md` has the same
//! table, and a test compares the two.

use std::time::Duration;

use super::cost;
use super::elsewhere;
use super::errors::{Errors, Problem, echo};
use super::names::{Hint, OnUnreadable, Role};
use super::reader::Reader;
use super::suggest::closest;
use super::tree::Tree;
use super::{
    ClientHints, Config, ControlConfig, EnvoyAdmin, LogFormat, LogLevel, Logging, Parsed, Queue, Retry, Strategy,
    alerts, apis, prices,
};
use crate::domain::{
    Api, ApiSet, Backend, BackendIndex, BackendType, BreakerSettings, FallbackAnswers, PerMille, ProbeSettings, Tokens,
    Weight,
};

/// Backends that a router may have: a decision looks at each of them.
pub(crate) const MOST_BACKENDS: usize = 256;

/// Where clusters say in their metadata that they are backends.
pub(super) const NAMESPACE: &str = "llm_router";

pub(super) const CLUSTER_NAME: &str =
    "a cluster's name is 1 to 255 visible ASCII characters, without spaces and commas";

/// Keys of the full interface that this version does not serve yet, by the object that they belong to.
mod later {
    pub(super) const ROUTER: &[&str] = &["cache", "learning", "quality", "region", "rollout", "state"];
    pub(super) const BACKEND: &[&str] = &["capabilities", "context_window_tokens", "model", "region"];
}

/// Reads a whole document, or says everything that is wrong with it.
pub(super) fn document(document: &Tree) -> Result<Parsed, Errors> {
    let mut problems: Vec<Problem> = Vec::new();
    let parsed =
        Reader::read(String::new(), document, &mut problems, |reader| match reader.choice("role", Role::Router) {
            Role::Router => router(reader).map(|config| Parsed::Router(Box::new(config))),
            Role::Attempt => Some(Parsed::Attempt(reader.choice("fallback_answers", FallbackAnswers::Fail))),
            Role::Control => Some(Parsed::Control(control(reader))),
        });
    match parsed.flatten() {
        Some(parsed) if problems.is_empty() => Ok(parsed),
        _ => Err(Errors::new(problems)),
    }
}

/// `None` only where no backend could be read; what is wrong was noted then.
fn router(reader: &mut Reader<'_, '_>) -> Option<Config> {
    let strategy = strategy(reader);
    let backends = backends(reader);
    let default_backend = default_backend(reader, &backends);
    let body_limit_bytes = reader.integer("body_limit_bytes", 1024..=64 << 20, 4 << 20) as usize;
    let unreadable = reader.choice("unreadable", OnUnreadable::default());
    let max_guessed_tokens = Tokens(reader.integer("max_guessed_tokens", 0..=1 << 24, 1 << 14));
    let response_headers = reader.boolean("response_headers", true);
    let forward_estimate = reader.boolean("forward_estimate", false);
    let hints = reader.choices::<Hint>("client_hints");
    let retry = reader.object("retry", retry);
    let cost = reader.object("cost", cost::cost);
    let envoy_admin = reader.object("envoy_admin", |reader| envoy_admin(reader, &backends));
    let alerts = reader.object("alerts", |reader| alerts::read(reader, envoy_admin.as_ref()));
    let discovery = reader.object("discovery", discovery);
    if discovery.is_some() && envoy_admin.is_none() {
        reader.problem("discovery.enabled", "needs envoy_admin.cluster: that is where Envoy tells of its clusters");
    }
    let panic_threshold = reader.number("panic_threshold", 0.0..=1.0, 0.5);
    let exploration = reader.number("exploration", 0.0..=0.5, 0.02);
    let queue = reader.object("queue", queue);
    let logging = reader.object("logging", logging);
    let seed = reader.optional_integer("seed", 0..=u64::MAX);
    reader.hint(elsewhere::ROUTER);
    reader.later(later::ROUTER);
    Some(Config {
        strategy,
        default_backend: default_backend?,
        backends,
        body_limit_bytes,
        unreadable,
        max_guessed_tokens,
        response_headers,
        forward_estimate,
        client_hints: ClientHints {
            strategy: hints.contains(&Hint::Strategy),
            min_quality: hints.contains(&Hint::MinQuality),
            tenant: hints.contains(&Hint::Tenant),
            explain: hints.contains(&Hint::Explain),
        },
        retry,
        cost,
        envoy_admin,
        alerts,
        discovery,
        panic_threshold: PerMille::from_ratio(panic_threshold),
        exploration: PerMille::from_ratio(exploration),
        queue,
        logging,
        seed,
    })
}

/// The names that a control listener answers to, and what may be registered there.
fn control(reader: &mut Reader<'_, '_>) -> ControlConfig {
    const HOSTS: &str = "allowed_hosts";
    let mut allowed_hosts = Vec::new();
    for (place, host) in reader.texts(HOSTS) {
        // As it stands in `host`: what is no name, or more than one, would never be met.
        let is_host = (1..=255).contains(&host.len())
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
        if is_host {
            allowed_hosts.push(host.into());
        } else {
            reader.problem(&place, "a host is a name of 1 to 255 characters as in a URL, with its port or without");
        }
    }
    ControlConfig { allowed_hosts, allow_any_cluster: reader.boolean("allow_any_cluster", false) }
}

fn strategy(reader: &mut Reader<'_, '_>) -> Strategy {
    // The full interface writes the strategy `custom` as an object; say what it is before complaining of its type.
    if let Some(Tree::Object(fields)) = reader.value("strategy")
        && let [(name, _)] = fields.as_slice()
        && name == "custom"
    {
        return reader.named("strategy", name).unwrap_or(Strategy::WeightedRoundRobin);
    }
    reader.choice("strategy", Strategy::WeightedRoundRobin)
}

/// The backends, sorted by id.
fn backends(reader: &mut Reader<'_, '_>) -> Vec<Backend> {
    const KEY: &str = "backend_instances";
    match reader.value(KEY) {
        None => reader.problem(KEY, "missing; at least one backend is needed"),
        Some(Tree::Object(entries)) if entries.is_empty() => reader.problem(KEY, "at least one backend is needed"),
        Some(Tree::Object(entries)) if entries.len() > MOST_BACKENDS => {
            reader.problem(KEY, format!("{} backends; at most {MOST_BACKENDS} are possible", entries.len()));
        }
        Some(_) => {}
    }
    reader.map(KEY, backend)
}

/// The first by priority, then by id: backends are sorted by that. One that is draining comes last.
pub(super) fn first(backends: &[Backend]) -> Option<usize> {
    let order = |(_, backend): &(usize, &Backend)| (backend.draining, backend.priority);
    backends.iter().enumerate().min_by_key(order).map(|(index, _)| index)
}

fn default_backend(reader: &mut Reader<'_, '_>, backends: &[Backend]) -> Option<BackendIndex> {
    const KEY: &str = "default_backend";
    let index = match reader.text(KEY) {
        Some(wanted) => {
            let index = backends.iter().position(|backend| *backend.id == *wanted);
            if index.is_none() {
                let meant = closest(wanted, backends.iter().map(|backend| &*backend.id));
                let hint = meant.map(|id| format!("; did you mean {id}?")).unwrap_or_default();
                reader.problem(KEY, format!("\"{}\" is not in backend_instances{hint}", echo(wanted)));
            }
            index
        }
        None => first(backends),
    };
    index.and_then(|index| u16::try_from(index).ok()).map(BackendIndex)
}

/// What stands under `backend_instances.<id>`.
pub(super) fn backend(reader: &mut Reader<'_, '_>, id: &str) -> Backend {
    if !is_id(id) {
        reader.problem_here("an id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -");
    }
    if reader.text("id").is_some_and(|inner| inner != id) {
        reader.problem("id", "differs from the key of this backend; leave it out");
    }
    let cluster = reader.text("cluster").unwrap_or(id);
    if cluster != id && !is_cluster(cluster) {
        reader.problem("cluster", CLUSTER_NAME);
    }
    let kind = reader.choice("backend_type", BackendType::OpenAi);
    let group = reader.text("group");
    if group.is_some_and(|group| !is_id(group)) {
        reader.problem("group", "a group's name is 1 to 64 characters of A-Z, a-z, 0-9, _ and -");
    }
    let apis = apis::read(reader, kind);
    let weight = weight(reader, "weight");
    let priority = reader.integer("priority", 0..=100, 1) as u32;
    let prices = prices::read(reader);
    let expected_ms = reader.integer("expected_response_time_ms", 1..=600_000, 1_000);
    let quality = reader.number("quality_score", 0.0..=1.0, 1.0);
    let reliability = reader.number("reliability_score", 0.0..=1.0, 0.95);
    let max_concurrent_requests = reader.optional_integer("max_concurrent_requests", 1..=1_000_000);
    let timeout = reader.optional_number("timeout_seconds", 0.05..=3_600.0).map(milliseconds);
    let fixed_cost_per_hour = cost::fixed_cost(reader);
    let limits = cost::limits(reader);
    let breaker = reader.object("circuit_breaker", breaker);
    let probe = reader.optional_object("health_check", |reader| probe(reader, cluster, kind, apis)).flatten();
    let failure_domain = reader.text("failure_domain").unwrap_or(cluster);
    let fallback_answers = reader.choice("fallback_answers", FallbackAnswers::Fail);
    reader.hint(elsewhere::BACKEND);
    reader.later(later::BACKEND);
    Backend {
        id: id.into(),
        cluster: cluster.into(),
        kind,
        group: group.map(Into::into),
        apis,
        weight,
        priority,
        prices,
        expected_response_time: Duration::from_millis(expected_ms),
        quality: PerMille::from_ratio(quality),
        reliability: PerMille::from_ratio(reliability),
        max_concurrent_requests: max_concurrent_requests.map(|most| most as u32),
        timeout,
        fixed_cost_per_hour,
        limits,
        breaker,
        probe,
        failure_domain: failure_domain.into(),
        fallback_answers,
        draining: false,
    }
}

/// An id becomes a metric's label and a header's value: no dots, no spaces.
pub(super) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A cluster's name travels in a header's value.
pub(super) fn is_cluster(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

/// The share that `key` gives a backend.
pub(super) fn weight<'t>(reader: &mut Reader<'t, '_>, key: &'t str) -> Weight {
    if let Some(Tree::Number(value)) = reader.value(key)
        && value.as_f64() == Some(0.0)
    {
        reader.problem(
            key,
            "0 is not in 0.001..=1000 (from 0.001 to 1000); to send a backend nothing, remove or drain it",
        );
        return Weight::ONE;
    }
    let weight = reader.number(key, 0.001..=1_000.0, 1.0);
    Weight::from_thousandths((weight * 1_000.0).round() as u32)
}

fn breaker(reader: &mut Reader<'_, '_>) -> Option<BreakerSettings> {
    let enabled = reader.boolean("enabled", true);
    let failure_threshold = reader.integer("failure_threshold", 1..=1_000, 5) as u32;
    let failure_rate = reader.number("failure_rate_threshold", 0.01..=1.0, 0.5);
    let window = reader.integer("window", 1..=100, 100);
    let min_requests = reader.integer("min_requests", 1..=100, 10.min(window));
    if min_requests > window {
        reader.problem("min_requests", format!("{min_requests} is more than the window of {window} can hold"));
    }
    let slow_response = reader.optional_integer("slow_response_ms", 1..=3_600_000);
    let slow_rate = reader.number("slow_rate_threshold", 0.01..=1.0, 0.8);
    let misconfigured_threshold = reader.integer("misconfigured_threshold", 0..=1_000, 5) as u16;
    let recovery_seconds = reader.number("recovery_timeout_seconds", 0.05..=3_600.0, 60.0);
    let half_open_max_requests = reader.integer("half_open_max_requests", 1..=1_000, 3) as u32;
    let adaptive = reader.boolean("adaptive", true);
    let ramp_seconds = reader.number("ramp_seconds", 0.0..=3_600.0, 10.0);
    reader.hint(elsewhere::BREAKER);
    enabled.then_some(BreakerSettings {
        failure_threshold,
        failure_rate_threshold: PerMille::from_ratio(failure_rate),
        window: window as u8,
        min_requests: min_requests as u8,
        slow_response: slow_response.map(Duration::from_millis),
        slow_rate_threshold: PerMille::from_ratio(slow_rate),
        misconfigured_threshold,
        recovery_timeout: milliseconds(recovery_seconds),
        half_open_max_requests,
        adaptive,
        ramp: milliseconds(ramp_seconds),
    })
}

/// None only where what is asked for is not known; that was noted then.
fn probe(reader: &mut Reader<'_, '_>, cluster: &str, kind: BackendType, apis: ApiSet) -> Option<ProbeSettings> {
    let path = path(reader, "path").or_else(|| usual_path(kind, apis));
    if path.is_none() && !reader.has("path") {
        let message = "missing; a backend of this kind has no usual path: name one that answers 2xx to a GET while it is \
                       well, or leave out health_check";
        reader.problem("path", message);
    }
    let host = host(reader, "host", cluster);
    let interval = reader.number("interval_seconds", 0.1..=3_600.0, 30.0);
    let timeout = reader.number("timeout_seconds", 0.05..=600.0, 10.0);
    let failures = reader.integer("consecutive_failures_threshold", 1..=1_000, 3) as u32;
    let successes = reader.integer("consecutive_successes_threshold", 1..=1_000, 2) as u32;
    reader.hint(elsewhere::CHECK);
    let (interval, timeout) = (milliseconds(interval), milliseconds(timeout));
    path.map(|path| ProbeSettings { path: path.into(), host, interval, timeout, failures, successes })
}

/// What a backend of that type answers while it is well. A list of models costs nothing, and proves that the credentials
/// are good; it is asked for only where the backend speaks of models, which servers of Anthropic's API at Vertex, and
/// those of unknown APIs, do not.
fn usual_path(kind: BackendType, apis: ApiSet) -> Option<&'static str> {
    match kind {
        BackendType::LightRag => Some("/health"),
        BackendType::Perplexity => Some("/models"),
        BackendType::Gemini => Some("/v1beta/models"),
        BackendType::OpenAi | BackendType::Anthropic | BackendType::Generic => {
            if apis.has(Api::Models) {
                Some("/v1/models")
            } else {
                apis.has(Api::OllamaOther).then_some("/api/tags")
            }
        }
    }
}

/// None without a cluster: then Envoy's own health checks are not looked at.
fn envoy_admin(reader: &mut Reader<'_, '_>, backends: &[Backend]) -> Option<EnvoyAdmin> {
    let cluster = reader.text("cluster");
    let interval = Duration::from_millis(reader.integer("interval_ms", 100..=60_000, 1_000));
    let cluster = cluster?;
    if !is_cluster(cluster) {
        reader.problem("cluster", CLUSTER_NAME);
    }
    if let Some(backend) = backends.iter().find(|backend| *backend.cluster == *cluster) {
        let id = &backend.id;
        reader.problem("cluster", format!("is also the cluster of {id}: requests must never reach Envoy's admin port"));
    }
    Some(EnvoyAdmin { cluster: cluster.into(), interval })
}

pub(super) fn path<'t>(reader: &mut Reader<'t, '_>, key: &'static str) -> Option<&'t str> {
    let path = reader.text(key);
    if path.is_some_and(|path| !is_path(path)) {
        reader.problem(key, "a path begins with / and is 1 to 1024 visible ASCII characters, without spaces");
    }
    path
}

/// An `:authority`; unless there is one, the cluster's name.
pub(super) fn host(reader: &mut Reader<'_, '_>, key: &'static str, cluster: &str) -> Box<str> {
    let host = reader.text(key).unwrap_or(cluster);
    if host != cluster && !is_host(host) {
        reader.problem(key, "a host is 1 to 255 visible ASCII characters");
    }
    host.into()
}

/// None where it is not enabled.
fn discovery(reader: &mut Reader<'_, '_>) -> Option<Box<str>> {
    let namespace = reader.text("metadata_namespace").unwrap_or(NAMESPACE);
    if !is_host(namespace) {
        reader.problem("metadata_namespace", "a namespace is 1 to 255 visible ASCII characters");
    }
    reader.boolean("enabled", false).then(|| namespace.into())
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 1_024 && path.bytes().all(|b| b.is_ascii_graphic())
}

fn is_host(host: &str) -> bool {
    (1..=255).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_graphic())
}

pub(super) fn milliseconds(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1_000.0).round() as u64)
}

fn retry(reader: &mut Reader<'_, '_>) -> Retry {
    let max_attempts = reader.integer("max_attempts", 1..=4, 3) as u8;
    reader.hint(elsewhere::RETRY);
    Retry { max_attempts }
}

/// None where nobody may wait. More than that would make the list that all workers share slow to change.
fn queue(reader: &mut Reader<'_, '_>) -> Option<Queue> {
    let size = reader.integer("size", 0..=4_096, 0) as usize;
    let timeout = Duration::from_millis(reader.integer("timeout_ms", 10..=3_600_000, 5_000));
    reader.hint(elsewhere::QUEUE);
    (size > 0).then_some(Queue { size, timeout })
}

fn logging(reader: &mut Reader<'_, '_>) -> Logging {
    Logging {
        format: reader.choice("format", LogFormat::default()),
        level: reader.choice("level", LogLevel::default()),
        decisions: reader.share("decisions"),
        filter_state: reader.boolean("filter_state", false),
    }
}
