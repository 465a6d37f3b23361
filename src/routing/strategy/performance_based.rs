//! The fastest, as things stand now.

use super::working::{Term, Working};
use crate::domain::Timestamp;
use crate::routing::Candidate;

/// `response time · (in flight + 1) / (weight · health)`: the cost of peak EWMA, as Finagle and linkerd have it. Health
/// is in it because a failure costs the time of another attempt; the response time is that of answers only, so that
/// failing fast does not look like speed; nor does it look like idleness, since what failed at once counts as in flight
/// for as long as answers take.
pub(super) fn score(candidate: &Candidate<'_>, now: Timestamp, working: &mut impl Working) -> f64 {
    let Candidate { backend, record, .. } = candidate;
    let response_time = working.term(Term::ResponseTime, record.response_time_ms(backend, now));
    let in_flight = working.term(Term::InFlight, record.busyness(backend, now));
    let weight = working.term(Term::Weight, backend.weight.ratio());
    let health = working.term(Term::Health, record.health(backend, now));
    response_time * (in_flight + 1.0) / (weight * health.max(0.001))
}
