//! What may be spent, and by whom.

use super::elsewhere;
use super::names::Named;
use super::reader::Reader;
use crate::domain::{Limits, MOST_TRACKED_HOURS, PerMille, PicoUsd};

/// Tenants that a router may tell apart: each has an account in the value that all workers share.
const MOST_TENANTS: usize = 128;

/// Shares of a budget at which somebody may be told.
const MOST_THRESHOLDS: usize = 8;

/// Those at which somebody is, unless the operator says otherwise.
const THRESHOLDS: [PerMille; 3] = [PerMille::new(700), PerMille::new(900), PerMille::ONE];

/// Header names that would tell nothing of who is asking, or that a client may set.
const NO_HEADER: &str = "a header's name is 1 to 64 characters of a-z, 0-9 and -, and does not begin with x-llm-";

/// What may be spent, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cost {
    /// What all requests together may cost.
    pub limits: Limits,
    /// What becomes of a request that no budget is left for.
    pub on_exhausted: OnExhausted,
    /// Whether budgets land softly: the dearer backends get less as the money goes faster than the time.
    pub pacing: bool,
    /// Shares of a budget at which somebody is told, the smallest first.
    pub alert_thresholds: Vec<PerMille>,
    /// The share of the money that should buy answers that end well.
    pub target_efficiency: PerMille,
    /// Over so many hours is looked how well it was spent.
    pub tracking_window_hours: u64,
    /// A header that says who is asking, set by a filter before this one.
    pub tenant_header: Option<Box<str>>,
    /// Those who have limits of their own, sorted by name, as the document is.
    pub tenants: Vec<Tenant>,
}

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// As the header has it.
    pub name: Box<str>,
    /// What they may spend, and ask for.
    pub limits: Limits,
}

/// What becomes of a request when the budget of all, or of its tenant, is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExhausted {
    /// It is refused.
    #[default]
    Refuse,
    /// The cheapest backend serves it, beyond the budget.
    Cheapest,
}

impl OnExhausted {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Cheapest => "cheapest",
        }
    }
}

impl Named for OnExhausted {
    const ALL: &'static [Self] = &[Self::Refuse, Self::Cheapest];

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Cost {
    /// The place of a tenant among [`tenants`](Self::tenants); of one without limits of its own that of `default`.
    pub fn tenant(&self, name: Option<&[u8]>) -> Option<usize> {
        let place = |name: &[u8]| self.tenants.binary_search_by(|tenant| tenant.name.as_bytes().cmp(name)).ok();
        name.and_then(place).or_else(|| place(b"default"))
    }
}

pub(super) fn cost(reader: &mut Reader<'_, '_>) -> Cost {
    let limits = budgets(reader);
    let on_exhausted = reader.choice("on_exhausted", OnExhausted::default());
    let pacing = reader.boolean("pacing", true);
    let alert_thresholds = thresholds(reader);
    let target_efficiency = PerMille::from_ratio(reader.number("target_efficiency", 0.0..=1.0, 0.8));
    let tracking_window_hours = reader.integer("tracking_window_hours", 1..=MOST_TRACKED_HOURS, 24);
    let tenant_header = reader.text("tenant_header");
    if tenant_header.is_some_and(|name| !is_header(name)) {
        reader.problem("tenant_header", NO_HEADER);
    }
    let tenants = reader.map("tenants", tenant);
    reader.hint(elsewhere::COST);
    if tenants.len() > MOST_TENANTS {
        reader.problem("tenants", format!("{} tenants; at most {MOST_TENANTS} are possible", tenants.len()));
    }
    Cost {
        limits,
        on_exhausted,
        pacing,
        alert_thresholds,
        target_efficiency,
        tracking_window_hours,
        tenant_header: tenant_header.map(Into::into),
        tenants,
    }
}

/// Each once, the smallest first.
fn thresholds(reader: &mut Reader<'_, '_>) -> Vec<PerMille> {
    const KEY: &str = "alert_thresholds";
    let Some(shares) = reader.numbers(KEY, &(0.001..=1.0)) else { return THRESHOLDS.into() };
    if shares.len() > MOST_THRESHOLDS {
        reader.problem(KEY, format!("{} thresholds; at most {MOST_THRESHOLDS} are possible", shares.len()));
    }
    let mut thresholds = Vec::new();
    for share in shares.into_iter().map(PerMille::from_ratio) {
        let place = thresholds.partition_point(|&other| other < share);
        if thresholds.get(place) != Some(&share) {
            thresholds.insert(place, share);
        }
    }
    thresholds
}

fn tenant(reader: &mut Reader<'_, '_>, name: &str) -> Tenant {
    if !(1..=128).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_graphic()) {
        reader.problem_here("a tenant's name is 1 to 128 visible ASCII characters, without spaces");
    }
    Tenant { name: name.into(), limits: limits(reader) }
}

/// What a backend costs in an hour whether it is asked or not.
pub(super) fn fixed_cost(reader: &mut Reader<'_, '_>) -> PicoUsd {
    pico_usd(reader.number("fixed_cost_per_hour_usd", 0.0..=100_000.0, 0.0))
}

/// Budgets and rates.
pub(super) fn limits(reader: &mut Reader<'_, '_>) -> Limits {
    Limits {
        requests_per_minute: reader.optional_integer("max_requests_per_minute", 1..=1_000_000),
        tokens_per_minute: reader.optional_integer("max_tokens_per_minute", 1..=100_000_000),
        ..budgets(reader)
    }
}

fn budgets(reader: &mut Reader<'_, '_>) -> Limits {
    let mut budget = |key| reader.optional_number(key, 0.001..=1_000_000.0).map(pico_usd);
    Limits { hourly_budget: budget("hourly_budget_usd"), daily_budget: budget("daily_budget_usd"), ..Limits::default() }
}

fn pico_usd(usd: f64) -> PicoUsd {
    PicoUsd((usd * 1e6).round() as u64 * 1_000_000)
}

fn is_header(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with("x-llm-")
}
