//! The figures of money that alerts go by: what is spent of budgets, and how providers count.

use super::alert::AlertKind;
use super::reading::{Reading, Sign};
use crate::config::Config;
use crate::cost::budget_alerts;
use crate::domain::{Backend, Span, Timestamp};
use crate::state::{AccountKey, Audited, Ledger};

/// The thresholds that what is spent has reached. Those that it has not are no figures at all: where a window turns, the
/// alerts of the one before are about something that is gone.
pub fn budgets<'a>(config: &'a Config, ledger: &Ledger, now: Timestamp) -> Vec<Reading<'a>> {
    let cost = &config.cost;
    let all = (AccountKey::ALL, None, "", &cost.limits);
    let backends = config.backends.iter().map(|backend| {
        let id = &*backend.id;
        (AccountKey::of_backend(id), Some(id), "", &backend.limits)
    });
    let tenants = cost.tenants.iter().map(|tenant| {
        let name = &*tenant.name;
        (AccountKey::of_tenant(name), None, name, &tenant.limits)
    });
    let mut readings = Vec::new();
    for (key, backend, name, limits) in std::iter::once(all).chain(backends).chain(tenants) {
        let Some(account) = ledger.account(key) else { continue };
        for reached in budget_alerts(account, limits, &cost.alert_thresholds, now) {
            let kind = match reached.span {
                Span::Hour => AlertKind::HourlyBudget,
                Span::Day => AlertKind::DailyBudget,
            };
            let reading = Reading::new(kind, backend, Sign::Bad, reached.spent, reached.threshold.get().into());
            readings.push(Reading { name, window: reached.since, ..reading });
        }
    }
    readings
}

/// How a backend counts the prompts to a model, where that has jumped.
pub fn drift<'a>(backend: &'a Backend, audited: &'a Audited, now: Timestamp) -> Option<Reading<'a>> {
    let Audited { model, drift, .. } = audited;
    drift.jumped_at(now)?;
    let [recent, usual] = [drift.recent(), drift.usual()?].map(|millionths| (u64::from(millionths) + 500) / 1_000);
    let reading = Reading::new(AlertKind::UsageDrift, Some(&backend.id), Sign::Bad, recent, usual);
    Some(Reading { name: model, ..reading })
}
