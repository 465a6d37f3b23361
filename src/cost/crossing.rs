//! When the spending of a budget is worth telling somebody.

use super::Account;
use crate::domain::{Limits, PerMille, Span, Timestamp};

/// A share of a budget that was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crossing {
    /// Over which span the budget is.
    pub span: Span,
    /// When its window began: with that, the account and the threshold an alert is told from the one of the day before.
    pub since: Timestamp,
    /// The threshold.
    pub threshold: PerMille,
    /// Thousandths of the budget that are spent.
    pub spent: u64,
}

/// The thresholds that what is spent has reached in the present windows, each once; what is only reserved does not count.
#[inline(never)]
pub fn budget_alerts(account: &Account, limits: &Limits, thresholds: &[PerMille], now: Timestamp) -> Vec<Crossing> {
    let mut all = Vec::new();
    for span in Span::ALL {
        let Some(limit) = limits.budget(span) else { continue };
        let spending = account.spending(span, now);
        // Rounded down: a threshold is reached where all of it is spent. Budgets are whole millionths of a dollar.
        let spent = spending.spent().0 / (limit.0 / 1_000).max(1);
        for &threshold in thresholds {
            if u64::from(threshold.get()) <= spent {
                all.push(Crossing { span, since: spending.starts_at(span), threshold, spent });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::PicoUsd;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_micros((20_000 * 24 + hours) * 3_600_000_000)
    }

    #[test]
    fn each_threshold_is_reached_once_in_each_window() {
        let limits =
            Limits { hourly_budget: Some(PicoUsd(100_000)), daily_budget: Some(PicoUsd(300_000)), ..Limits::default() };
        let (mut account, mut told) = (Account::default(), HashSet::new());
        let thresholds = [700, 900, 1_000].map(PerMille::new);
        let news = |account: &Account, told: &mut HashSet<(Span, Timestamp, PerMille)>, hours| {
            let all = budget_alerts(account, &limits, &thresholds, at(hours));
            all.into_iter()
                .filter(|crossing| told.insert((crossing.span, crossing.since, crossing.threshold)))
                .map(|c| (c.span, c.threshold.get()))
                .collect::<Vec<_>>()
        };
        let mut spend = |amount: u64, hours| {
            account.spend(PicoUsd(1_000 * amount), at(hours));
            news(&account, &mut told, hours)
        };
        assert_eq!([spend(69, 0), spend(1, 0), spend(1, 0)], [vec![], vec![(Span::Hour, 700)], vec![]]);
        assert_eq!(spend(29, 0), [(Span::Hour, 900), (Span::Hour, 1_000)]);
        assert_eq!(spend(99, 1), [(Span::Hour, 700), (Span::Hour, 900)]);
        assert_eq!(spend(11, 2), [(Span::Day, 700)]);
        assert_eq!(spend(90, 24), [(Span::Hour, 700), (Span::Hour, 900)]);
    }
}
