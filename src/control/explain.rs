//! `POST /explain`: what would become of a request, and why.

use super::Reply;
use super::call::Call;
use super::json::{Rounded, Thousandths, object_at};
use super::show;
use crate::domain::{BackendIndex, Timestamp, Tokens};
use crate::exchange::{Context, Detail, Fate, Finding, Rehearsal, ranked_by};
use crate::host::Host;

/// Rehearses a request with the body of this call.
pub(super) fn explain<H: Host>(cx: &Context<'_, H>, call: &Call, body: Vec<u8>, now: Timestamp) -> Reply {
    let path = call.explained_path();
    let rehearsal = match cx.rehearse(&path, &call.headers, body, now) {
        Ok(rehearsal) => rehearsal,
        Err(refusal) => return Reply::refused(&refusal),
    };
    let Rehearsal { facts, text, understood, strategy, findings, fate } = &rehearsal;
    let order = if let Fate::Goes(attempts) = fate { attempts.as_slice() } else { &[] };
    Reply::ok(object_at(cx.view.calendar(), |o| {
        o.object("request", |o| {
            o.set("path", &*String::from_utf8_lossy(&path)).set("api", facts.api.name());
            o.set("purpose", facts.purpose.name()).set("understood", *understood);
            o.set("model", facts.model.as_deref()).set("stream", facts.stream);
            let counted = text.0.saturating_add(facts.fixed_tokens.0).saturating_add(facts.exact_tokens.0);
            o.set("prompt_tokens", counted).set("max_output_tokens", facts.max_output_tokens.map(|tokens| tokens.0));
        });
        o.set("strategy", strategy.name()).set("ranked_by", ranked_by(findings));
        o.set("exploration", Rounded(findings.iter().map(Finding::exploration).sum()));
        match fate {
            Fate::Goes(attempts) => {
                let id = |index: &BackendIndex| {
                    cx.router.config().backends.get(index.get()).map_or("", |backend| &*backend.id)
                };
                let ids: Vec<&str> = order.iter().map(id).collect();
                o.object("decision", |o| {
                    o.set("attempts", &ids[..]).set("panic", attempts.is_forced());
                    o.set("explores", attempts.explores().is_some());
                    o.set("confidence", cx.confidence(attempts, *strategy, now));
                });
            }
            Fate::Waits { depth, queue } => {
                o.object("waits", |o| {
                    o.set("depth", *depth as u64).set("size", queue.size as u64);
                    o.set("timeout_ms", queue.timeout.as_millis() as u64);
                });
            }
            Fate::Refused(refusal) => {
                o.object("refusal", |o| {
                    o.set("status", u32::from(refusal.code.status())).set("code", refusal.code.name());
                    o.set("message", &*refusal.message).set("retry_after_seconds", refusal.retry_after_seconds());
                });
            }
        }
        o.list("backends", cx.router.places().zip(findings), |o, ((index, backend, place), finding)| {
            finding.show(o, order.iter().position(|&tried| tried == index), Detail::All);
            let record = cx.view.record(place);
            o.set("backend_type", backend.kind.name()).set("apis", &backend.apis.names()[..]);
            o.set("priority", backend.priority);
            o.set("weight", Thousandths(backend.weight.thousandths().into()));
            o.set("capacity_tokens", record.capacity.tokens(now).map(|Tokens(tokens)| tokens));
            show::breaker(o, "circuit_breaker", backend, record, None);
        });
    }))
}
