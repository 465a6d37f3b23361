//! The fastest, as things stand now.

use crate::domain::Timestamp;
use crate::routing::Candidate;

/// `response time · (in flight + 1) / (weight · health)`: the cost of peak EWMA, as Finagle and linkerd have it. Health
/// is in it because a failure costs the time of another attempt; the response time is that of answers only, so that
/// failing fast does not look like speed.
pub(super) fn score(candidate: &Candidate<'_>, now: Timestamp) -> f64 {
    let Candidate { backend, record, .. } = candidate;
    let queue = f64::from(record.in_flight().saturating_add(1));
    record.response_time_ms(backend, now) * queue / (backend.weight.ratio() * record.health(backend, now).max(0.001))
}
