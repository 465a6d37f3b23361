//! Spending that lands softly: the faster a budget goes, the less of the traffic the dearer backends get.
//!
//! What is left of the money, as a share of the budget, is held against what is still to come of the window. While there
//! is more money nothing happens. Where there is less, a backend keeps `(cheapest / its cost) ^ thrift` of its traffic,
//! and thrift grows as the two part: steeply, so that a few per cent suffice to turn the traffic around, and without end
//! as the money comes to its own, so that the last of it meets the end of the window.

use super::{Account, Demand};
use crate::domain::{Limits, PicoUsd, Span, Timestamp};

/// How much thrift a shortfall of money makes: at 5 % it is 1, and costs weigh in full.
const STEEPNESS: f64 = 20.0;

/// More changes nothing: a backend of twice the cost has 0.4 % of its traffic.
const MOST: f64 = 8.0;

/// What a free backend is taken to cost, as a share of what the cheapest of the others does.
const FREE: f64 = 0.01;

/// How much costs are to weigh, from 0 to 8: by the budget of the account that goes fastest.
pub fn thrift(account: &Account, limits: &Limits, reserved: PicoUsd, demand: &Demand, now: Timestamp) -> f64 {
    let of_span = |span| {
        let (limit, spending) = (limits.budget(span)?, account.spending(span, now));
        let money = limit.minus(spending.spent()).minus(reserved).0 as f64 / limit.0.max(1) as f64;
        let to_come = match span {
            Span::Hour => spending.resets_at(span).since(now).as_secs_f64() / span.length().as_secs_f64(),
            Span::Day => demand.to_come(now),
        };
        Some((STEEPNESS * (to_come / money.max(1e-9) - 1.0)).clamp(0.0, MOST))
    };
    Span::ALL.into_iter().filter_map(of_span).fold(0.0, f64::max)
}

/// The part of its traffic that a backend keeps at which a request costs so much, where those that may serve it as well
/// ask so much for it. Beside a free one each keeps a hundredth more of that which it would keep beside the cheapest
/// of those that are not, so that these share what is left to them by what they cost, too.
pub fn part(cost: PicoUsd, tier: impl Iterator<Item = PicoUsd>, thrift: f64) -> f64 {
    if thrift <= 0.0 || cost == PicoUsd(0) {
        return 1.0;
    }
    let (mut least, mut beside) = (cost, 1.0);
    for other in tier {
        match other {
            PicoUsd(0) => beside = FREE,
            other => least = least.min(other),
        }
    }
    power(beside * least.0 as f64 / cost.0 as f64, thrift)
}

/// `base ^ exponent`, that to the nearest sixteenth: the general function takes as much code as all of this file.
fn power(base: f64, exponent: f64) -> f64 {
    let sixteenth = base.sqrt().sqrt().sqrt().sqrt();
    let times = (exponent * 16.0).round() as u32;
    (0..times).fold(1.0, |product, _| product * sixteenth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thrift_of(spent: u64, hours: u64) -> f64 {
        let mut account = Account::default();
        let at = |hours: u64| Timestamp::from_micros((20_000 * 24 + hours) * 3_600_000_000);
        account.spend(PicoUsd(spent), at(0));
        let limits = Limits { daily_budget: Some(PicoUsd(1_000)), ..Limits::default() };
        thrift(&account, &limits, PicoUsd(0), &Demand::NONE, at(hours))
    }

    #[test]
    fn thrift_begins_where_there_is_less_money_left_than_time() {
        assert!([thrift_of(0, 0), thrift_of(500, 12), thrift_of(300, 18)].into_iter().all(|thrift| thrift <= 0.0));
        assert!((thrift_of(524, 12) - 1.0).abs() < 0.05);
        assert!((thrift_of(950, 12) - MOST).abs() < 1e-9 && (thrift_of(1_000, 23) - MOST).abs() < 1e-9);
    }

    #[test]
    fn the_cheapest_keeps_its_traffic() {
        let keeps = |cost, tier: &[u64], thrift, expected: f64| {
            let part = part(PicoUsd(cost), tier.iter().map(|&cost| PicoUsd(cost)), thrift);
            assert!((part - expected).abs() < 1e-9, "{cost} among {tier:?}: {part}");
        };
        keeps(10, &[10, 100], 8.0, 1.0);
        keeps(100, &[10, 100], 1.0, 0.1);
        keeps(100, &[10, 100], 0.0, 1.0);
        keeps(100, &[100_000], 1.0, 1.0);
        keeps(100, &[], 1.0, 1.0);
    }

    #[test]
    fn beside_a_free_one_the_others_keep_little_and_the_dearest_the_least() {
        let part = |cost| part(PicoUsd(cost), [0, 10, 20].map(PicoUsd).into_iter(), 1.0);
        let parts = [part(0), part(10), part(20)];
        assert!(
            parts.iter().zip([1.0, 0.01, 0.005]).all(|(part, of): (&f64, f64)| (part - of).abs() < 1e-9),
            "{parts:?}"
        );
    }
}
