//! Spending that lands softly: the faster a budget goes, the less of the traffic the dearer backends get.
//!
//! What is left of the money, as a share of the budget, is held against what is left of the time. While there is more
//! money than time nothing happens. Where there is less, a backend keeps `(cheapest / its cost) ^ thrift` of its traffic,
//! and thrift grows as the two part: steeply, so that a few per cent suffice to turn the traffic around, and without end
//! as the money comes to its own, so that the last of it meets the end of the window.

use super::Account;
use crate::domain::{Limits, PicoUsd, Span, Timestamp};

/// How much thrift a shortfall of money against time makes: at 5 % it is 1, and costs weigh in full.
const STEEPNESS: f64 = 20.0;

/// More changes nothing: a backend of twice the cost has 0.4 % of its traffic.
const MOST: f64 = 8.0;

/// Cheaper than this share of a backend's cost is as good as free.
const FREE: f64 = 0.01;

/// How much costs are to weigh, from 0 to 8: by the budget of the account that goes fastest.
pub fn thrift(account: &Account, limits: &Limits, reserved: PicoUsd, now: Timestamp) -> f64 {
    let of_span = |span| {
        let (limit, spending) = (limits.budget(span)?, account.spending(span, now));
        let money = limit.minus(spending.spent()).minus(reserved).0 as f64 / limit.0.max(1) as f64;
        let time = spending.resets_at(span).since(now).as_secs_f64() / span.length().as_secs_f64();
        Some((STEEPNESS * (time / money.max(1e-9) - 1.0)).clamp(0.0, MOST))
    };
    Span::ALL.into_iter().filter_map(of_span).fold(0.0, f64::max)
}

/// The part of its traffic that a backend keeps at which a request costs so much.
pub fn part(cost: PicoUsd, cheapest: PicoUsd, thrift: f64) -> f64 {
    if thrift <= 0.0 || cost <= cheapest {
        return 1.0;
    }
    power((cheapest.0 as f64 / cost.0 as f64).max(FREE), thrift)
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
        thrift(&account, &limits, PicoUsd(0), at(hours))
    }

    #[test]
    fn thrift_begins_where_there_is_less_money_left_than_time() {
        assert!([thrift_of(0, 0), thrift_of(500, 12), thrift_of(300, 18)].into_iter().all(|thrift| thrift <= 0.0));
        assert!((thrift_of(524, 12) - 1.0).abs() < 0.05);
        assert!((thrift_of(950, 12) - MOST).abs() < 1e-9 && (thrift_of(1_000, 23) - MOST).abs() < 1e-9);
    }

    #[test]
    fn the_cheapest_keeps_its_traffic() {
        let cost = PicoUsd;
        assert!((part(cost(10), cost(10), 8.0) - 1.0).abs() < 1e-9);
        assert!((part(cost(100), cost(10), 1.0) - 0.1).abs() < 1e-9);
        assert!((part(cost(100), cost(0), 1.0) - 0.01).abs() < 1e-9);
        assert!((part(cost(100), cost(10), 0.0) - 1.0).abs() < 1e-9);
    }
}
