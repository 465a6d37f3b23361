//! `GET /decisions`: the last decisions of all workers, the newest first; and `GET /decisions/{id}`: one of them.

use super::Reply;
use super::call::Call;
use super::json::object_at;
use crate::exchange::{Context, Decision, Detail, Upshot};
use crate::host::Host;
use crate::state::Wanted;

/// How many are shown where the call does not say.
const USUAL: usize = 50;

/// How many are shown at most.
const MOST: usize = 200;

/// Shows as many as the query's `limit` asks for.
pub(super) fn decisions<H: Host>(cx: &Context<'_, H>, call: &Call) -> Reply {
    let limit = match call.query(b"limit=").map(limit) {
        None => USUAL,
        Some(Some(limit)) => limit,
        Some(None) => return Reply::invalid("limit: a whole number, 1 to 200"),
    };
    let Ok((pages, skipped)) = cx.view.journals(cx.host) else {
        return Reply::unavailable("shared data could not be read");
    };
    let mut decisions: Vec<(Decision, Option<Upshot>)> = Vec::new();
    for page in pages {
        let Some(decision) = Decision::decode(&page.decision) else { continue };
        // Each into its place: there are a few hundred, and to sort takes kilobytes of code.
        let place = decisions.partition_point(|(other, _)| (other.at, other.id) > (decision.at, decision.id));
        if place < limit {
            decisions.truncate(limit - 1);
            decisions.insert(place, (decision, Upshot::decode(&page.outcome)));
        }
    }
    Reply::ok(object_at(cx.view.calendar(), |o| {
        o.list("decisions", &decisions, |o, (decision, upshot)| decision.show(o, upshot.as_ref(), Detail::All));
        o.set("skipped", skipped);
    }))
}

/// Shows the decision with this id, or the last one of a request with it.
pub(super) fn decision<H: Host>(cx: &Context<'_, H>, id: &str) -> Reply {
    let Ok((pages, _)) = cx.view.journals(cx.host) else {
        return Reply::unavailable("shared data could not be read");
    };
    let decisions = pages.iter().filter_map(|page| Some((Decision::decode(&page.decision)?, page)));
    let found = decisions.filter(|(decision, _)| decision.is_called(id)).max_by_key(|(decision, _)| decision.at);
    if let Some((decision, page)) = found {
        let upshot = Upshot::decode(&page.outcome);
        return Reply::ok(object_at(cx.view.calendar(), |o| decision.show(o, upshot.as_ref(), Detail::All)));
    }
    // Of the others there is what became of them.
    let decision = Some(id).filter(|id| id.len() == 16).and_then(|id| u64::from_str_radix(id, 16).ok());
    let Ok(outcome) = cx.view.receipt(cx.host, Wanted::of(decision, id.as_bytes())) else {
        return Reply::unavailable("shared data could not be read");
    };
    match outcome.as_deref().and_then(Upshot::decode) {
        Some(upshot) => Reply::ok(upshot.alone(decision.map(|_| id), cx.view.calendar())),
        None => Reply::not_found("no such decision is known: it has not ended, or others came after it"),
    }
}

fn limit(text: &[u8]) -> Option<usize> {
    let limit: usize = std::str::from_utf8(text).ok()?.parse().ok()?;
    (1..=MOST).contains(&limit).then_some(limit)
}
