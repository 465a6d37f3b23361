//! The figures of money that alerts go by: what is spent of budgets, and how providers count.

use super::alert::AlertKind;
use super::reading::{Reading, Sign};
use crate::cost::{Account, budget_alerts};
use crate::domain::{Backend, Limits, PerMille, Span, Timestamp};
use crate::state::Audited;

/// Who pays: a backend, by its id, a tenant, by its name, or all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payer<'a> {
    /// Its id.
    pub backend: Option<&'a str>,
    /// Its name; empty where it is none.
    pub tenant: &'a str,
}

/// Adds the thresholds that what is spent has reached. Those that it has not are no figures at all: where a window turns, the
/// alerts of the one before are about something that is gone.
#[inline(never)]
pub fn budgets<'a>(
    payer: Payer<'a>,
    account: &Account,
    limits: &Limits,
    thresholds: &[PerMille],
    now: Timestamp,
    readings: &mut Vec<Reading<'a>>,
) {
    for reached in budget_alerts(account, limits, thresholds, now) {
        let kind = match reached.span {
            Span::Hour => AlertKind::HourlyBudget,
            Span::Day => AlertKind::DailyBudget,
        };
        let threshold = reached.threshold.get().into();
        let reading = Reading::new(kind, payer.backend, Sign::Bad, reached.spent, threshold);
        let variant = limits.budget(reached.span).map_or(0, |budget| budget.0);
        readings.push(Reading { name: payer.tenant, variant, window: reached.since, ..reading });
    }
}

/// How a backend counts the prompts to a model, where that has jumped.
#[inline(never)]
pub fn drift<'a>(backend: &'a Backend, audited: &'a Audited, now: Timestamp) -> Option<Reading<'a>> {
    let Audited { model, drift, .. } = audited;
    drift.jumped_at(now)?;
    let [recent, usual] = [drift.recent(), drift.usual()?].map(|millionths| (u64::from(millionths) + 500) / 1_000);
    let reading = Reading::new(AlertKind::UsageDrift, Some(&backend.id), Sign::Bad, recent, usual);
    Some(Reading { name: model, variant: audited.tag.bits().into(), ..reading })
}
