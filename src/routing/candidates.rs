//! Who may serve a request.

use super::{Ask, Fleet};
use crate::domain::{Backend, BackendIndex, Timestamp};
use crate::state::Record;

/// A backend that may serve the request.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which one.
    pub index: BackendIndex,
    /// As configured.
    pub backend: &'a Backend,
    /// What is known of it.
    pub record: &'a Record,
    /// Whether this request would be a probe of its half-open breaker.
    pub probe: bool,
}

/// Why a backend may not serve the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// Its breaker is open, or half-open with all its probes under way.
    Breaker {
        /// When that may change.
        retry_at: Timestamp,
    },
    /// It has as many requests in flight as it may have.
    AtConcurrencyLimit,
    /// Its quality is below what the client asks for.
    BelowMinQuality,
}

/// Says of every backend whether it may serve the request, or why not.
pub fn candidates<'a>(
    fleet: &Fleet<'a>,
    ask: &Ask<'_>,
    now: Timestamp,
) -> impl Iterator<Item = Result<Candidate<'a>, (BackendIndex, Exclusion)>> {
    let min_quality = ask.min_quality;
    fleet.iter().map(move |(index, backend, record)| {
        let eligible = if min_quality.is_some_and(|least| backend.quality < least) {
            Err(Exclusion::BelowMinQuality)
        } else {
            admits(backend, record, now)
        };
        match eligible {
            Ok(probe) => Ok(Candidate { index, backend, record, probe }),
            Err(why) => Err((index, why)),
        }
    })
}

/// Whether a backend has room and is well enough; and if so, whether the request would be a probe.
pub(crate) fn admits(backend: &Backend, record: &Record, now: Timestamp) -> Result<bool, Exclusion> {
    let probe = match &backend.breaker {
        None => false,
        Some(settings) => record
            .breaker
            .would_enter(settings, now)
            .map_err(|refused| Exclusion::Breaker { retry_at: refused.retry_at })?,
    };
    if backend.max_concurrent_requests.is_some_and(|most| record.in_flight() >= most) {
        return Err(Exclusion::AtConcurrencyLimit);
    }
    Ok(probe)
}
