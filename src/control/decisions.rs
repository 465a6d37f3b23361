//! `GET /decisions`: the last decisions of all workers, the newest first.

use super::Reply;
use super::call::Call;
use super::json::object_at;
use crate::exchange::{Context, Decision, Detail, Upshot};
use crate::host::Host;

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

fn limit(text: &[u8]) -> Option<usize> {
    let limit: usize = std::str::from_utf8(text).ok()?.parse().ok()?;
    (1..=MOST).contains(&limit).then_some(limit)
}
