//! `POST /explain`: what would become of a request, and why.

use super::Reply;
use super::call::Call;
use super::json::{Object, object};
use super::show;
use crate::domain::{Api, BackendIndex, PerMille, Timestamp};
use crate::exchange::{Context, Rehearsal};
use crate::host::Host;
use crate::routing::{Exclusion, Terms};

/// Rehearses a request with the body of this call.
pub(super) fn explain<H: Host>(cx: &Context<'_, H>, call: &Call, body: Vec<u8>, now: Timestamp) -> Reply {
    let path = call.explained_path();
    let rehearsal = match cx.rehearse(&path, &call.headers, body, now) {
        Ok(rehearsal) => rehearsal,
        Err(refusal) => return Reply::refused(&refusal),
    };
    let Rehearsal { facts, text, understood, strategy, backends, decision } = &rehearsal;
    let order = decision.as_ref().map_or(&[][..], |attempts| attempts.as_slice());
    Reply::ok(object(|o| {
        o.object("request", |o| {
            o.set("path", &*String::from_utf8_lossy(&path)).set("api", api(facts.api)).set("understood", *understood);
            o.set("model", facts.model.as_deref()).set("stream", facts.stream);
            let counted = text.0.saturating_add(facts.fixed_tokens.0).saturating_add(facts.exact_tokens.0);
            o.set("prompt_tokens", counted).set("max_output_tokens", facts.max_output_tokens.map(|tokens| tokens.0));
        });
        o.set("strategy", strategy.name());
        match decision {
            Ok(attempts) => {
                let id = |index: &BackendIndex| {
                    cx.router.config().backends.get(index.get()).map_or("", |backend| &*backend.id)
                };
                let ids: Vec<&str> = order.iter().map(id).collect();
                o.object("decision", |o| _ = o.set("attempts", &ids[..]).set("panic", attempts.is_forced()));
            }
            Err(refusal) => {
                o.object("refusal", |o| {
                    o.set("status", u32::from(refusal.code.status())).set("code", refusal.code.name());
                    o.set("message", &*refusal.message).set("retry_after_seconds", refusal.retry_after_seconds());
                });
            }
        }
        o.list("backends", cx.router.places().zip(backends), |o, ((index, backend, place), (estimate, verdict))| {
            show::about(o, backend);
            o.object("estimate", |o| {
                o.set("input_tokens", estimate.input.0).set("output_tokens", estimate.output.0);
                o.set("cost_micro_usd", estimate.cost.micro_usd());
            });
            show::figures(o, backend, cx.view.record(place), now);
            let place = order.iter().position(|&tried| tried == index).map(|place| place as u64 + 1);
            o.set("place", place).set("eligible", verdict.is_ok());
            match verdict {
                Ok(Terms { probe, part }) => _ = o.set("probe", *probe).set("part", PerMille::from_ratio(*part)),
                Err(why) => _ = o.object("excluded", |o| exclusion(o, *why)),
            }
        });
    }))
}

fn exclusion(o: &mut Object<'_>, why: Exclusion) {
    let (by, reason, retry_at) = match why {
        Exclusion::Breaker { retry_at } => {
            ("circuit_breaker", "its breaker is open, or all its probes are under way", Some(retry_at))
        }
        Exclusion::NoHealthyHost => ("envoy", "Envoy would send to none of its hosts", None),
        Exclusion::Unhealthy => ("health_check", "the router's own checks of it failed", None),
        Exclusion::QuotaExhausted { retry_at } => ("quota", "its provider refused for want of quota", Some(retry_at)),
        Exclusion::NoHeadroom { retry_at } => {
            ("headroom", "what is left of its quota is spoken for, or too little", Some(retry_at))
        }
        Exclusion::AtCapacity => ("capacity", "it has as many tokens in flight as it was seen to take", None),
        Exclusion::AtConcurrencyLimit => {
            ("max_concurrent_requests", "it has as many requests in flight as it may", None)
        }
        Exclusion::BelowMinQuality => ("min_quality", "its quality is below what is asked for", None),
        Exclusion::OverBudget { retry_at } => {
            ("budget", "there is no money left for the request there", Some(retry_at))
        }
        Exclusion::OverRate { retry_at } => {
            ("rate", "there was as much in the last minute as there may be", Some(retry_at))
        }
    };
    o.set("by", by).set("reason", reason).set("retry_at", retry_at);
}

const fn api(api: Api) -> &'static str {
    match api {
        Api::ChatCompletions => "chat_completions",
        Api::Responses => "responses",
        Api::Completions => "completions",
        Api::Embeddings => "embeddings",
        Api::Messages => "messages",
        Api::LightRagQuery => "lightrag_query",
        Api::Other => "other",
    }
}
