//! `GET /budget`: what was spent, what is reserved, and what is left; and how well it was spent.

use super::json::{Date, Millionths, Object, Thousandths, object};
use crate::config::Config;
use crate::cost::{Account, Purchases};
use crate::domain::{Backend, Limits, PicoUsd, Span, Timestamp};
use crate::exchange::Router;
use crate::state::{AccountKey, Ledger, Store, View, purchases};

/// The accounts of all requests, of each backend and of each tenant that has limits. Where anything is limited, each
/// backend has an account.
pub(super) fn budget(router: &Router, view: &View, store: &impl Store, now: Timestamp) -> String {
    let (config, ledger) = (router.config(), view.ledger());
    let date = view.calendar().date(now);
    object(|o| {
        o.set("on_exhausted", config.cost.on_exhausted.name());
        o.object("overall", |o| account(o, ledger, AccountKey::ALL, &config.cost.limits, (now, date)));
        o.set("alert_thresholds", &*config.cost.alert_thresholds);
        o.object("efficiency", |o| efficiency(o, config, &purchases(store), date));
        fixed_costs(o, config, date);
        let is_counted = |backend: &&Backend| {
            backend.limits.is_any() || ledger.account(AccountKey::of_backend(&backend.id)).is_some()
        };
        let backends = router.places().map(|(_, backend, _)| backend).filter(is_counted);
        o.list("backends", backends, |o, backend| {
            o.set("id", &*backend.id);
            account(o, ledger, AccountKey::of_backend(&backend.id), &backend.limits, (now, date));
        });
        o.list("tenants", &config.cost.tenants, |o, tenant| {
            o.set("name", &*tenant.name);
            account(o, ledger, AccountKey::of_tenant(&tenant.name), &tenant.limits, (now, date));
        });
    })
}

/// What backends cost whether they are asked or not. No budget counts it: no request is refused for it.
fn fixed_costs(o: &mut Object<'_>, config: &Config, date: Timestamp) {
    let costing = || config.backends.iter().filter(|backend| backend.fixed_cost_per_hour > PicoUsd(0));
    let an_hour = costing().fold(0_u64, |sum, backend| sum.saturating_add(backend.fixed_cost_per_hour.micro_usd()));
    let since = |span: Span| date.as_micros() % (span.length().as_micros() as u64);
    let accrued = |span| u128::from(an_hour) * u128::from(since(span)) / Span::Hour.length().as_micros();
    o.object("fixed_costs", |o| {
        o.set("per_hour_usd", Millionths(an_hour));
        for (name, span) in [("this_hour_usd", Span::Hour), ("today_usd", Span::Day)] {
            o.set(name, Millionths(u64::try_from(accrued(span)).unwrap_or(u64::MAX)));
        }
        o.list("backends", costing(), |o, backend| {
            o.set("id", &*backend.id).set("per_hour_usd", Millionths(backend.fixed_cost_per_hour.micro_usd()));
        });
    });
}

/// How much of the money bought answers that ended well.
#[inline(never)]
fn efficiency(o: &mut Object<'_>, config: &Config, purchases: &Purchases, date: Timestamp) {
    let hours = config.cost.tracking_window_hours;
    let bought = purchases.of(hours, date);
    o.set("tracking_window_hours", hours);
    for (name, amount) in [("spent_usd", bought.spent), ("spent_well_usd", bought.well)] {
        o.set(name, Millionths(amount.micro_usd()));
    }
    o.set("efficiency", bought.efficiency()).set("target_efficiency", config.cost.target_efficiency);
}

fn account(o: &mut Object<'_>, ledger: &Ledger, key: AccountKey, limits: &Limits, (now, date): (Timestamp, Timestamp)) {
    let empty = Account::default();
    let account = ledger.account(key).unwrap_or(&empty);
    let reserved = ledger.reserved(key);
    o.set("reserved_usd", Millionths(reserved.micro_usd()));
    for span in Span::ALL {
        o.object(span.name(), |o| window(o, account, span, limits.budget(span), reserved, date));
    }
    let (requests, tokens) = account.minute(now);
    o.object("minute", |o| {
        let rates = [("requests", requests, limits.requests_per_minute), ("tokens", tokens, limits.tokens_per_minute)];
        for (name, used, limit) in rates {
            if let Some(limit) = limit {
                o.object(name, |o| {
                    o.set("limit", limit).set("used", used).set("remaining", limit.saturating_sub(used));
                });
            }
        }
    });
}

#[inline(never)]
fn window(
    o: &mut Object<'_>,
    account: &Account,
    span: Span,
    limit: Option<PicoUsd>,
    reserved: PicoUsd,
    date: Timestamp,
) {
    let spending = account.spending(span, date);
    let spent = spending.spent();
    let usd = |amount: PicoUsd| Millionths(amount.micro_usd());
    o.set("limit_usd", limit.map(usd)).set("spent_usd", usd(spent));
    o.set("remaining_usd", limit.map(|limit| usd(limit.minus(spent).minus(reserved))));
    // More than all of it, where a budget was exceeded.
    let share = |limit: PicoUsd| (u128::from(spent.0) * 1_000 + u128::from(limit.0 / 2)) / u128::from(limit.0.max(1));
    o.set("used", limit.map(|limit| Thousandths(u64::try_from(share(limit)).unwrap_or(u64::MAX))));
    let passed = date.since(spending.starts_at(span)).as_secs().max(1);
    let an_hour = u128::from(spent.micro_usd()) * u128::from(Span::Hour.length().as_secs()) / u128::from(passed);
    o.set("burn_usd_per_hour", Millionths(u64::try_from(an_hour).unwrap_or(u64::MAX)));
    o.set("resets_at", Date(spending.resets_at(span)));
}
