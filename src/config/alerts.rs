//! The section `alerts`: what is told of without being asked for, and to whom.

use std::time::Duration;

use serde_json::{Value, json};

use super::elsewhere;
use super::read::{CLUSTER_NAME, host, is_cluster, milliseconds, path};
use super::reader::Reader;
use super::{EnvoyAdmin, normal};
use crate::domain::{PerMille, Thresholds};

/// What is told of without being asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Who is told, besides those who ask the control API.
    pub webhook: Option<Webhook>,
    /// Who is told of budgets instead.
    pub cost_webhook: Option<Webhook>,
    /// The same alert is not sent again before so much time has passed.
    pub min_interval: Duration,
    /// What is too much, or too little.
    pub thresholds: Thresholds,
}

/// Who is told of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The cluster that leads there.
    pub cluster: Box<str>,
    /// What alerts are posted to.
    pub path: Box<str>,
    /// The `:authority` of the call.
    pub host: Box<str>,
}

/// Reads the section.
pub(super) fn read(reader: &mut Reader<'_, '_>, admin: Option<&EnvoyAdmin>) -> Alerts {
    let cost_webhook = webhook(reader, admin, ["cost_webhook_cluster", "cost_webhook_path", "cost_webhook_host"]);
    let webhook = webhook(reader, admin, ["webhook_cluster", "webhook_path", "webhook_host"]);
    reader.hint(elsewhere::ALERTS);
    let min_interval = milliseconds(reader.number("min_interval_seconds", 0.0..=86_400.0, 300.0));
    Alerts { webhook, cost_webhook, min_interval, thresholds: reader.object("thresholds", thresholds) }
}

/// None without a cluster: then nobody is told who does not ask.
fn webhook(
    reader: &mut Reader<'_, '_>,
    admin: Option<&EnvoyAdmin>,
    [of_cluster, of_path, of_host]: [&'static str; 3],
) -> Option<Webhook> {
    let cluster = reader.text(of_cluster);
    let path = path(reader, of_path).unwrap_or("/");
    let host = host(reader, of_host, cluster.unwrap_or_default());
    let cluster = cluster?;
    if !is_cluster(cluster) {
        reader.problem(of_cluster, CLUSTER_NAME);
    }
    if admin.is_some_and(|admin| *admin.cluster == *cluster) {
        reader.problem(of_cluster, "is also envoy_admin.cluster: alerts are nothing for Envoy's admin port");
    }
    Some(Webhook { cluster: cluster.into(), path: path.into(), host })
}

fn thresholds(reader: &mut Reader<'_, '_>) -> Thresholds {
    let min_available = reader.number("min_available", 0.0..=1.0, 0.5);
    let response_ms = reader.integer("response_time_ms", 1..=3_600_000, 5_000);
    let error_rate = reader.number("error_rate", 0.0..=1.0, 0.2);
    Thresholds {
        min_available: PerMille::from_ratio(min_available),
        response_time: Duration::from_millis(response_ms),
        error_rate: PerMille::from_ratio(error_rate),
    }
}

/// The section as it was understood.
pub(super) fn shown(alerts: &Alerts) -> Value {
    let (thresholds, webhook) = (alerts.thresholds, alerts.webhook.as_ref());
    let costs = alerts.cost_webhook.as_ref();
    json!({
        "webhook_cluster": webhook.map(|webhook| &webhook.cluster),
        "webhook_path": webhook.map(|webhook| &webhook.path),
        "webhook_host": webhook.map(|webhook| &webhook.host),
        "cost_webhook_cluster": costs.map(|webhook| &webhook.cluster),
        "cost_webhook_path": costs.map(|webhook| &webhook.path),
        "cost_webhook_host": costs.map(|webhook| &webhook.host),
        "min_interval_seconds": normal::seconds(alerts.min_interval),
        "thresholds": {
            "min_available": thresholds.min_available.ratio(),
            "response_time_ms": thresholds.response_time.as_millis() as u64,
            "error_rate": thresholds.error_rate.ratio(),
        },
    })
}
