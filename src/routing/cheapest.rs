//! Who serves a request for which there is no money left, where it is to be served even so.

use super::plan::Attempts;
use super::{Ask, Fleet, candidates};
use crate::cost::estimate;
use crate::domain::Timestamp;

/// Up to `wanted` of those who may serve a request, the cheapest first, whatever the strategy is. None where nobody may.
pub(crate) fn cheapest(fleet: &Fleet<'_>, ask: &Ask<'_>, wanted: usize, now: Timestamp) -> Option<Attempts> {
    let mut attempts: Option<Attempts> = None;
    for _ in 0..wanted {
        let tried = attempts;
        let is_new = |index| !tried.is_some_and(|tried| tried.as_slice().contains(&index));
        let left = candidates(fleet, ask, now).flatten().filter(|candidate| is_new(candidate.index));
        let cost = |backend, record| estimate(backend, record, ask.facts, ask.text).cost;
        let Some(next) = left.min_by_key(|candidate| cost(candidate.backend, candidate.record)) else { break };
        match &mut attempts {
            None => attempts = Some(Attempts::only(next.index)),
            Some(attempts) => attempts.push(next.index),
        }
    }
    attempts.map(|attempts| attempts.repeat_until(wanted))
}
