//! Whether a backend may be asked: what its record says of it, and the account of what it may cost.

use crate::alerts;
use crate::cost::Claim;
use crate::domain::{Backend, Limits, RequestFacts, Timestamp, Tokens};
use crate::routing::{Peers, most};
use crate::state::{AccountKey, Ledger, Line, Record};

/// Whether a backend may be asked without reserve. One that is merely busy may be.
#[inline(never)]
pub(super) fn is_available(backend: &Backend, record: &Record, ledger: &Ledger, now: Timestamp) -> bool {
    alerts::is_available(backend, record, now) && is_solvent(backend, record, ledger, now)
}

/// Whether its own budget has enough for a request of the usual length.
fn is_solvent(backend: &Backend, record: &Record, ledger: &Ledger, now: Timestamp) -> bool {
    let limits = Limits { requests_per_minute: None, tokens_per_minute: None, ..backend.limits };
    if !limits.is_any() {
        return true;
    }
    let claim =
        Claim { cost: most(backend, record, &RequestFacts::default(), Tokens(0), Peers::NONE), ..Claim::default() };
    let line = Line { account: AccountKey::of_backend(&backend.id), limits, claim, paces: false };
    ledger.shortage(&line, now).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PicoUsd, Price, Prices};
    use crate::routing::testing::{at, backend};

    #[test]
    fn a_backend_that_has_no_money_left_may_not_be_asked() {
        let is_available = |backend: Backend| is_available(&backend, &Record::default(), &Ledger::default(), at(0));
        let paid = |budget: u64| {
            let prices = Prices { output: Price::from_usd_per_1k(0.01), ..Prices::default() };
            let daily_budget = Some(PicoUsd(budget));
            let limits = Limits { daily_budget, requests_per_minute: Some(0), ..Limits::default() };
            Backend { prices, limits, ..backend("a") }
        };
        assert!(is_available(backend("a")));
        assert!(is_available(paid(1_000_000_000_000)), "how many there are in a minute is no matter of this");
        assert!(!is_available(paid(1_000)));
        assert!(
            is_available(Backend { prices: Prices::default(), ..paid(0) }),
            "what costs nothing is within any budget"
        );
    }
}
