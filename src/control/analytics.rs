//! What was learned of each backend by watching it.

use super::json::{Object, Thousandths, object_at};
use super::traffic::quantiles;
use crate::domain::{Backend, BackendIndex, PerMille, Timestamp, Tokens};
use crate::exchange::Context;
use crate::host::Host;
use crate::metrics::Metric;
use crate::state::{Audited, Record, audited};

/// `GET /analytics`.
pub(super) fn analytics<H: Host>(cx: &Context<'_, H>, now: Timestamp) -> String {
    object_at(cx.view.calendar(), |o| {
        o.object("backends", |o| {
            for (index, backend, place) in cx.router.places() {
                o.object(&backend.id, |o| learned(o, cx.host, (index, backend, cx.view.record(place)), now));
            }
        });
    })
}

fn learned(
    o: &mut Object<'_>,
    host: &impl Host,
    (index, backend, record): (BackendIndex, &Backend, &Record),
    now: Timestamp,
) {
    o.object("tokens", |o| {
        let (ratio, samples) = record.calibration.overall();
        o.set("calibration_ratio", Thousandths((u64::from(ratio) + 500) / 1_000));
        o.set("calibration_samples", samples);
        o.set("expected_output_tokens", record.lengths.median());
        o.set("output_samples", record.lengths.samples()).set("models", record.lengths.models() as u64);
        o.set("cached_input_share", record.lengths.cached());
    });
    o.object("response_time_ms", |o| {
        o.set("expected", backend.expected_response_time.as_millis() as u64);
        o.set("in_effect", Thousandths((record.response_time_ms(backend, now) * 1e3) as u64));
        quantiles(o, &record.response_times);
        o.set("samples", record.response_times.samples());
    });
    o.object("time_to_first_token_ms", |o| {
        quantiles(o, &record.first_tokens);
        o.set("samples", record.first_tokens.samples());
    });
    let load = record.load();
    o.object("capacity", |o| {
        o.set("requests_in_flight", load.requests).set("max_concurrent_requests", backend.max_concurrent_requests);
        o.set("tokens_in_flight", load.tokens.0);
        o.set("learned_tokens", record.capacity.tokens(now).map(|tokens| tokens.0));
        o.set("desired_requests", host.read(Metric::DesiredCapacity(index)));
    });
    o.object("quota", |o| {
        let headroom = record.quota.headroom(&record.demand(Tokens(0)), now);
        o.set("headroom", headroom.map(PerMille::from_ratio));
        o.set("refused_until", record.quota.refused_until(now));
    });
    match &backend.breaker {
        None => _ = o.set("circuit_breaker", None::<u64>),
        Some(settings) => {
            let (failures, share) = record.breaker.thresholds(settings, now);
            _ = o.object("circuit_breaker", |o| {
                o.set("adaptive", settings.adaptive).set("failure_threshold", failures);
                o.set("configured_failure_threshold", settings.failure_threshold);
                o.set("failure_rate_threshold", share);
                o.set("configured_failure_rate_threshold", settings.failure_rate_threshold);
            });
        }
    }
    o.list("usage_audit", audited(host, &backend.id), |o, audited| counting(o, &audited, now));
    o.set("error_rate", record.error_rate()).set("quality_score", backend.quality);
}

/// How many tokens are reported for each that is estimated.
#[inline(never)]
fn counting(o: &mut Object<'_>, Audited { model, drift, .. }: &Audited, now: Timestamp) {
    let ratio = |millionths: u32| Thousandths((u64::from(millionths) + 500) / 1_000);
    o.set("model", Some(&**model).filter(|model| !model.is_empty()));
    o.set("ratio", ratio(drift.recent())).set("usual_ratio", drift.usual().map(ratio));
    o.set("drifting_since", drift.jumped_at(now));
}
