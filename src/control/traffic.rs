//! What became of the requests: totals of the backends there are, as Envoy counts them over all workers and
//! configurations since its start, and how the answers of late were.

use super::json::{Date, Millionths, Object, Thousandths, object_at};
use super::show;
use crate::domain::{Backend, BackendIndex, Timestamp};
use crate::exchange::{Context, RefusalCode};
use crate::host::Host;
use crate::learning::Sketch;
use crate::metrics::{Method, Metric, Status, TokenKind};
use crate::state::Record;

/// What is known of one backend.
struct Row<'a> {
    backend: &'a Backend,
    record: &'a Record,
    /// Requests by how they ended, in the order of [`Status::ALL`].
    ended: [u64; Status::ALL.len()],
    cost_micro_usd: u64,
    tokens: [u64; 3],
    failovers: Failovers,
    failures: u64,
}

/// Requests that had to leave a backend for another.
#[derive(Clone, Copy, Default)]
struct Failovers {
    all: u64,
    succeeded: u64,
    millis: u64,
    last_second: u64,
}

impl<'a> Row<'a> {
    fn read(host: &impl Host, index: BackendIndex, backend: &'a Backend, record: &'a Record) -> Self {
        let read = |metric| host.read(metric).unwrap_or(0);
        let ended = |status| {
            let all = Method::ALL.into_iter().map(|method| Metric::Requests { backend: index, status, method });
            all.map(read).sum()
        };
        let kinds = [TokenKind::Input, TokenKind::CachedInput, TokenKind::Output];
        Self {
            backend,
            record,
            ended: Status::ALL.map(ended),
            cost_micro_usd: read(Metric::Cost(index)),
            tokens: kinds.map(|kind| read(Metric::Tokens { backend: index, kind })),
            failovers: Failovers {
                all: read(Metric::Failovers(index)),
                succeeded: read(Metric::FailoversSucceeded(index)),
                millis: read(Metric::FailoverTime(index)),
                last_second: read(Metric::LastFailover(index)),
            },
            failures: read(Metric::BreakerFailures(index)),
        }
    }

    fn requests(&self) -> u64 {
        self.ended.iter().sum()
    }

    fn ended_as(&self, status: Status) -> u64 {
        let all = Status::ALL.into_iter().zip(self.ended);
        all.filter(|(each, _)| *each == status).map(|(_, count)| count).sum()
    }
}

/// `GET /metrics`.
pub(super) fn metrics<H: Host>(cx: &Context<'_, H>, now: Timestamp) -> String {
    let rows: Vec<_> = cx
        .router
        .places()
        .map(|(index, backend, place)| Row::read(cx.host, index, backend, cx.view.record(place)))
        .collect();
    let total = rows.iter().map(Row::requests).sum();
    object_at(cx.view.calendar(), |o| {
        o.object("routing_metrics", |o| routing(o, cx.host, &rows, total));
        o.object("load_balancing", |o| {
            o.set("strategy", cx.router.strategy().name());
            balance(o, &rows, total, now);
        });
        o.object("circuit_breakers", |o| {
            for Row { backend, record, failures, .. } in &rows {
                show::breaker(o, &backend.id, backend, record, Some(*failures));
            }
        });
        o.object("failover_events", |o| failovers(o, &rows));
        o.object("backends", |o| {
            for row in &rows {
                o.object(&row.backend.id, |o| one(o, row, total));
            }
        });
        o.object("refusals", |o| {
            for code in RefusalCode::ALL {
                o.set(code.name(), cx.host.read(Metric::Refusals(code.name())).unwrap_or(0));
            }
        });
    })
}

fn routing(o: &mut Object<'_>, host: &impl Host, rows: &[Row<'_>], total: u64) {
    let sum = |figure: &dyn Fn(&Row<'_>) -> u64| rows.iter().map(figure).sum::<u64>();
    let successes = sum(&|row| row.ended_as(Status::SUCCESS));
    let failures = sum(&|row| row.ended_as(Status::FAILURE));
    o.set("total_requests", total).set("successful_requests", successes).set("failed_requests", failures);
    o.set("success_rate", per_cent(successes, successes + failures));
    // Of each backend's answers as many as it gave, although none remembers all of them.
    let answered = |row: &Row<'_>| row.record.response_times.mean().map(|mean| (mean, row.ended_as(Status::SUCCESS)));
    let times: Vec<_> = rows.iter().filter_map(answered).collect();
    let weight: u64 = times.iter().map(|(_, answers)| answers).sum();
    let weighted = times.iter().fold(0, |sum: u64, (mean, answers)| sum.saturating_add(mean.saturating_mul(*answers)));
    o.set("avg_response_time_ms", weighted.saturating_mul(1_000).checked_div(weight).map(Thousandths));
    let a_minute = host.read(Metric::RequestsPerMinute).unwrap_or(0);
    o.set("requests_per_second", Thousandths(a_minute.saturating_mul(1_000) / 60));
    o.set("cost_usd", Millionths(sum(&|row| row.cost_micro_usd)));
    let (answers, failed) =
        (sum(&|row| row.record.window.len().into()), sum(&|row| row.record.window.failures().into()));
    o.set("recent_answers", answers).set("recent_failures", failed);
    o.set("recent_success_rate", per_cent(answers.saturating_sub(failed), answers));
    o.set("in_flight", sum(&|row| row.record.in_flight().into()));
}

fn balance(o: &mut Object<'_>, rows: &[Row<'_>], total: u64, now: Timestamp) {
    let in_flight: u64 = rows.iter().map(|row| u64::from(row.record.in_flight())).sum();
    o.object("backend_distribution", |o| {
        for row in rows {
            let Row { backend, record, .. } = row;
            o.object(&backend.id, |o| {
                o.set("requests", row.requests()).set("percentage", per_cent(row.requests(), total));
                let under_way = u64::from(record.in_flight());
                o.set("in_flight", under_way).set("in_flight_percentage", per_cent(under_way, in_flight));
                o.set("recent_answers", record.window.len()).set("recent_failures", record.window.failures());
                o.set("response_time_ms", show::response_time(backend, record, now));
            });
        }
    });
    o.set("distribution_variance", variance(rows, total));
}

/// Of the backends' percentages.
fn variance(rows: &[Row<'_>], total: u64) -> Option<Thousandths> {
    let shares: Vec<f64> = rows.iter().map(|row| row.requests() as f64 / total as f64 * 100.0).collect();
    let mean = 100.0 / shares.len() as f64;
    let variance = shares.iter().map(|share| (share - mean) * (share - mean)).sum::<f64>() / shares.len() as f64;
    (total > 0).then_some(Thousandths((variance * 1e3).round() as u64))
}

fn failovers(o: &mut Object<'_>, rows: &[Row<'_>]) {
    let all = rows.iter().map(|row| row.failovers).fold(Failovers::default(), |sum, one| Failovers {
        all: sum.all + one.all,
        succeeded: sum.succeeded + one.succeeded,
        millis: sum.millis + one.millis,
        last_second: sum.last_second.max(one.last_second),
    });
    o.set("total_failovers", all.all).set("successful_failovers", all.succeeded);
    o.set("avg_failover_time_ms", (all.millis.saturating_mul(1_000)).checked_div(all.succeeded).map(Thousandths));
    o.set("last_failover", Date(Timestamp::from_micros(all.last_second.saturating_mul(1_000_000))));
}

fn one(o: &mut Object<'_>, row: &Row<'_>, total: u64) {
    let record = row.record;
    o.set("requests", row.requests()).set("successes", row.ended_as(Status::SUCCESS));
    o.set("failures", row.ended_as(Status::FAILURE)).set("client_errors", row.ended_as(Status::CLIENT_ERROR));
    o.set("misconfigured", row.ended_as(Status::MISCONFIGURED));
    o.set("rate_limited", row.ended_as(Status::RATE_LIMITED)).set("client_aborts", row.ended_as(Status::CLIENT_ABORT));
    o.set("not_sent", row.ended_as(Status::NOT_SENT));
    o.set("share", (row.requests() * 1_000).checked_div(total).map(Thousandths));
    o.object("response_time_ms", |o| quantiles(o, &record.response_times));
    o.object("time_to_first_token_ms", |o| quantiles(o, &record.first_tokens));
    let [input, cached_input, output] = row.tokens;
    o.object("tokens", |o| _ = o.set("input", input).set("cached_input", cached_input).set("output", output));
    o.set("cost_usd", Millionths(row.cost_micro_usd)).set("failovers", row.failovers.all);
    o.set("in_flight", record.in_flight()).set("error_rate", record.error_rate());
}

/// What most people ask of a distribution.
pub(super) fn quantiles(o: &mut Object<'_>, sketch: &Sketch) {
    o.set("mean", sketch.mean()).set("p50", sketch.quantile(500)).set("p95", sketch.quantile(950));
}

/// To the thousandth; none of nothing.
fn per_cent(part: u64, whole: u64) -> Option<Thousandths> {
    part.saturating_mul(100_000).checked_div(whole).map(Thousandths)
}
