//! Who may serve a request.

use super::{Ask, Fleet};
use crate::domain::{Backend, BackendIndex, Timestamp};
use crate::health::{Breaker, BreakerPhase};
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
    /// On what terms.
    pub terms: Terms,
}

/// On what terms a backend may serve a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Whether this request would be a probe of its half-open breaker.
    pub probe: bool,
    /// The part of its usual traffic that it should have now, above 0 and at most 1: less while it is coming back, while
    /// some of its hosts are out, or while its quota runs low. Every strategy keeps to it.
    pub part: f64,
}

/// Why a backend may not serve the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// It does not speak the API of the request.
    ApiNotSupported,
    /// Its breaker is open, or half-open with all its probes under way.
    Breaker {
        /// When that may change.
        retry_at: Timestamp,
    },
    /// Envoy would send to none of its hosts.
    NoHealthyHost,
    /// The router's own checks failed.
    Unhealthy,
    /// Its last answers could be used by nobody, and another backend may serve the request.
    Misconfigured {
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// Its provider refused for want of quota.
    QuotaExhausted {
        /// When that may change.
        retry_at: Timestamp,
    },
    /// What is left of its quota is spoken for by requests under way, or too little for this one.
    NoHeadroom {
        /// When that may change.
        retry_at: Timestamp,
    },
    /// It has as many tokens in flight as it was seen to take.
    AtCapacity,
    /// It has as many requests in flight as it may have, or others wait for the next place there.
    AtConcurrencyLimit,
    /// Its quality is below what the client asks for.
    BelowMinQuality,
    /// There is no money left for the request there: of its own budget, the tenant's, or that of all.
    OverBudget {
        /// When there may be.
        retry_at: Timestamp,
    },
    /// It, or the tenant, had as many requests or tokens in the last minute as it may have.
    OverRate {
        /// When there is room again.
        retry_at: Timestamp,
    },
    /// An operator wants it to have no new requests.
    Draining,
}

/// Says of every backend whether it may serve the request, or why not.
pub fn candidates<'a>(
    fleet: &Fleet<'a>,
    ask: &Ask<'_>,
    now: Timestamp,
) -> impl Iterator<Item = Result<Candidate<'a>, (BackendIndex, Exclusion)>> {
    fleet.iter().map(move |(index, backend, record)| match assess(index, backend, record, ask, now) {
        Ok(terms) => Ok(Candidate { index, backend, record, terms }),
        Err(why) => Err((index, why)),
    })
}

/// Whether a backend may serve the request, and on what terms.
pub(crate) fn assess(
    index: BackendIndex,
    backend: &Backend,
    record: &Record,
    ask: &Ask<'_>,
    now: Timestamp,
) -> Result<Terms, Exclusion> {
    if !ask.is_spoken_by(backend) {
        return Err(Exclusion::ApiNotSupported);
    }
    let Some(means) = ask.means.get(index.get()) else { return admits(backend, record, ask, now) };
    let means = (*means)?;
    let Terms { probe, part } = admits(backend, record, ask, now)?;
    Ok(Terms { probe, part: (part * means).max(LEAST_PART) })
}

/// Whether a backend is good enough, has room and is well enough, and on what terms.
pub(crate) fn admits(backend: &Backend, record: &Record, ask: &Ask<'_>, now: Timestamp) -> Result<Terms, Exclusion> {
    let part = limits(backend, record, ask, now)?;
    let (probe, ramp) = wellness(backend, record, ask, now)?;
    if ask.reserved.has(backend) {
        return Err(Exclusion::AtConcurrencyLimit);
    }
    Ok(Terms { probe, part: (part * ramp).clamp(LEAST_PART, 1.0) })
}

/// Whether a backend is well enough: whether the request would be a probe, and the part of its usual traffic that it
/// should have while it is coming back.
#[inline(never)]
pub(crate) fn wellness(
    backend: &Backend,
    record: &Record,
    ask: &Ask<'_>,
    now: Timestamp,
) -> Result<(bool, f64), Exclusion> {
    if backend.probe.is_some() && record.probes.is_unhealthy(now) {
        return Err(Exclusion::Unhealthy);
    }
    let Some(settings) = &backend.breaker else { return Ok((false, 1.0)) };
    if let Some(retry_at) = record.setup.out_until(settings.misconfigured_threshold, settings.recovery_timeout, now) {
        return Err(Exclusion::Misconfigured { retry_at });
    }
    if let Some(retry_at) = ask.source.and_then(|source| record.breaker.withholds_probe(source, settings, now)) {
        return Err(Exclusion::Breaker { retry_at });
    }
    let tokens = || ask.known_tokens(backend, record);
    if !ask.facts.is_evidence(backend) {
        if record.setup.is_out(settings.misconfigured_threshold) {
            return Err(Exclusion::Misconfigured { retry_at: record.setup.retry_at().max(now) });
        }
        // It could not close a breaker, so it must not take the place of what can.
        let Breaker { phase, retry_at, .. } = record.breaker;
        let is_closed = phase == BreakerPhase::Closed;
        return if is_closed {
            Ok((false, record.breaker.ramp(settings, now)))
        } else {
            Err(Exclusion::Breaker { retry_at: retry_at.max(now) })
        };
    }
    let entered = record.breaker.would_enter(settings, ask.source, tokens, now);
    let probe = entered.map_err(|refused| Exclusion::Breaker { retry_at: refused.retry_at })?;
    Ok((probe, record.breaker.ramp(settings, now)))
}

/// What holds for a backend be it well or ill: nobody who is forced to ask an ill one may go beyond. Returns the part of
/// its usual traffic that this leaves it. A want of places is named only where there is nothing else: it may be waited for.
pub(crate) fn limits(backend: &Backend, record: &Record, ask: &Ask<'_>, now: Timestamp) -> Result<f64, Exclusion> {
    if !ask.is_spoken_by(backend) {
        return Err(Exclusion::ApiNotSupported);
    }
    if backend.draining {
        return Err(Exclusion::Draining);
    }
    if ask.min_quality.is_some_and(|least| backend.quality < least) {
        return Err(Exclusion::BelowMinQuality);
    }
    let hosts = record.hosts.available(now);
    if hosts <= 0.0 {
        return Err(Exclusion::NoHealthyHost);
    }
    if ask.is_free() {
        return Ok(hosts);
    }
    if let Some(retry_at) = record.quota.refused_until(now) {
        return Err(Exclusion::QuotaExhausted { retry_at });
    }
    if let Some(retry_at) = ask.source.and_then(|source| record.quota.withheld_from(source, now)) {
        return Err(Exclusion::QuotaExhausted { retry_at });
    }
    let room = room(backend, record, ask, now)?;
    if backend.max_concurrent_requests.is_some_and(|most| record.in_flight() >= most) {
        return Err(Exclusion::AtConcurrencyLimit);
    }
    Ok(hosts * room)
}

/// The part of its usual traffic that a backend's quota and capacity leave it, if they have room for this request.
fn room(backend: &Backend, record: &Record, ask: &Ask<'_>, now: Timestamp) -> Result<f64, Exclusion> {
    let is_bounded = record.capacity.tokens(now).is_some();
    if !is_bounded && !record.quota.is_known(now) {
        return Ok(1.0);
    }
    let next = ask.known_tokens(backend, record);
    let headroom = if record.quota.is_of_another(ask.source) {
        1.0
    } else {
        let headroom = record.quota.room(&record.demand(next), now);
        headroom.map_err(|retry_at| Exclusion::NoHeadroom { retry_at })?
    };
    let free = record.capacity.room(record.load().tokens, next, now).ok_or(Exclusion::AtCapacity)?;
    Ok(headroom * free)
}

/// Whether so few of those that serve are well that those that are merely ill may be tried, too.
pub(crate) fn panics(well: usize, serving: usize, ask: &Ask<'_>) -> bool {
    (well as f64) < ask.panic_threshold.ratio() * serving as f64
}

/// The least part of its traffic that an eligible backend has: with none it could never show that it is better.
const LEAST_PART: f64 = 0.001;

#[cfg(test)]
mod tests {
    use crate::domain::{Allowance, QuotaReport, Tokens};
    use crate::routing::Strategy;
    use crate::routing::testing::{Rig, at, backend};

    fn told(rig: &mut Rig, index: usize, remaining: u64) {
        let requests = Some(Allowance { remaining, limit: Some(10_000), resets: at(60) });
        let report = QuotaReport { requests, ..QuotaReport::default() };
        rig.change(index, |record| record.quota.note(&report, Tokens(0), None, at(0)));
    }

    #[test]
    fn every_strategy_sends_less_where_a_quota_runs_low_and_nothing_where_it_has_run_out() {
        for strategy in Strategy::ALL {
            let mut rig = Rig::new(vec![backend("a"), backend("b")]);
            told(&mut rig, 0, 1_000);
            let half = rig.shares(strategy, 3_000)[0];
            told(&mut rig, 0, 200);
            let tenth = rig.shares(strategy, 3_000)[0];
            told(&mut rig, 0, 0);
            assert_eq!(rig.shares(strategy, 300)[0], 0, "{strategy:?}");
            assert!((600..=1_100).contains(&half) && (80..=320).contains(&tenth), "{strategy:?}: {half}, {tenth}");
            told(&mut rig, 1, 0);
            let nobody = rig.plan(strategy, 2, None, at(1)).expect_err("both have run out");
            assert_eq!((nobody.at_limit, nobody.retry_at), (Some(at(60)), Some(at(60))), "{strategy:?}");
            assert!(rig.plan(strategy, 2, None, at(61)).is_ok());
        }
    }

    #[test]
    fn a_backend_at_its_capacity_is_left_alone_until_something_ends() {
        let mut rig = Rig::new(vec![backend("a")]);
        rig.change(0, |record| {
            let load = record.load().with(Tokens(9_000));
            record.set_load_at(3, load);
            record.capacity.cut(Tokens(10_000), at(0), at(0));
        });
        let nobody = rig.plan(Strategy::RoundRobin, 1, None, at(1)).expect_err("full");
        assert_eq!((nobody.at_limit, nobody.retry_at), (Some(at(2)), Some(at(2))));
        rig.change(0, |record| record.set_load_at(3, crate::state::Load::default()));
        assert!(rig.plan(Strategy::RoundRobin, 1, None, at(1)).is_ok());
    }
}
