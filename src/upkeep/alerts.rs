//! Looks at the figures that alerts go by, and tells of what that changes: in the log, in the metrics, and by a call to
//! the webhook.
//!
//! All that must not be lost lies on the board in shared data; here is only what the leader of the moment has under way.
//! The board is written before a call is made, and again when its end is known.

use std::time::Duration;

use super::pace::{Pace, UnderWay};
use super::{Answer, Cx, Lookout, is_available};
use crate::alerts::{
    Alert, AlertKind, Batch, Board, Changes, Costs, Delivery, KEY, Outbox, Payer, Reading, Sent, TIMEOUT, Terms, admin,
    availability, budgets, drift, letter, of_backend,
};
use crate::config::{self, Config, LogLevel, Tenant, Webhook};
use crate::domain::{Backend, Timestamp};
use crate::host::Host;
use crate::metrics::{DeliveryResult, Internal, Metric};
use crate::state::{AccountKey, Ledger, audited, update};

/// How often the figures are looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// Watches for alerts, as long as this VM leads.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    pace: Pace,
    /// Who brings alerts to each webhook.
    couriers: [Courier; 2],
    /// Whether the counters of alerts are there, at 0 where nothing was raised yet.
    counts: bool,
}

/// A webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// That of all alerts, but for those that have one of their own.
    General,
    /// That of budgets.
    Costs,
}

impl Which {
    const ALL: [Self; 2] = [Self::General, Self::Costs];

    const fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Costs => "costs",
        }
    }

    const fn of(self, alerts: &config::Alerts) -> Option<&Webhook> {
        match self {
            Self::General => alerts.webhook.as_ref(),
            Self::Costs => alerts.cost_webhook.as_ref(),
        }
    }

    const fn outbox(self, board: &mut Board) -> &mut Outbox {
        match self {
            Self::General => &mut board.outbox,
            Self::Costs => &mut board.costs,
        }
    }
}

/// What is under way to one webhook: so one that is down holds nothing up that goes to the other.
#[derive(Debug, Default)]
struct Courier {
    /// The call to the webhook, and what it brings there.
    under_way: Option<(UnderWay, Sent)>,
    /// What became of it, until that is on the board.
    over: Option<(Sent, Delivery)>,
    /// Whether the last call failed.
    failing: bool,
}

/// What a look at the board led to.
#[derive(Default)]
struct Seen {
    changes: Changes,
    batches: [Option<Batch>; 2],
}

impl Alarms {
    pub(super) fn tick<H: Host>(&mut self, cx: &mut Cx<'_, H>, lookout: Option<&Lookout>) {
        if !self.pace.is_due(INTERVAL, cx.now) {
            return;
        }
        for (courier, which) in self.couriers.iter_mut().zip(Which::ALL) {
            if let Some((_, sent)) = courier.under_way.take_if(|(call, _)| !call.is_expected(TIMEOUT, cx.now)) {
                courier.end(cx, which, (sent, Delivery::Failed), None);
            }
        }
        if !cx.view.keeps_watch(cx.number, cx.now) {
            self.couriers.iter_mut().zip(Which::ALL).for_each(|(courier, which)| courier.note(cx, which));
            return;
        }
        if !std::mem::replace(&mut self.counts, true) {
            let each = AlertKind::ALL.into_iter().flat_map(|alert| [true, false].map(|raised| (alert, raised)));
            each.for_each(|(alert, raised)| _ = cx.host.read(Metric::Alerts { alert, raised }));
        }
        let now = cx.now;
        let alerts = &cx.router.config().alerts;
        let costs = if alerts.cost_webhook.is_some() { Costs::Apart } else { Costs::WithTheOthers };
        let terms = Terms { is_sent: alerts.webhook.is_some(), costs, min_interval: alerts.min_interval };
        let audits: Vec<_> =
            cx.router.places().map(|(_, backend, _)| (backend, audited(cx.host, &backend.id))).collect();
        let mut readings = readings(cx, lookout);
        let date = cx.view.calendar().date(now);
        spending(cx.router.config(), cx.view.ledger(), date, &mut readings);
        for (backend, models) in &audits {
            readings.extend(models.iter().filter_map(|model| drift(backend, model, now)));
        }
        let couriers = self.couriers.each_ref().map(|courier| (courier.over, courier.under_way.is_none()));
        let seen = update(cx.host, KEY, |bytes| {
            // To write where there is nothing always succeeds, whoever else does; so nothing but that is done then.
            let Some(bytes) = bytes else { return (Some(Board::default().encode()), Seen::default()) };
            let mut board = Board::decode(bytes);
            let mut refused = 0;
            for ((over, _), which) in couriers.into_iter().zip(Which::ALL) {
                if let Some((sent, delivery)) = over {
                    refused += which.outbox(&mut board).note(sent, delivery, now);
                }
            }
            let mut changes = board.observe(&readings, terms, now);
            changes.lost += refused;
            let [general, costs] = couriers.map(|(_, may_send)| may_send);
            let batches =
                [if general { board.outbox.take(now) } else { None }, if costs { board.costs.take(now) } else { None }];
            let after = board.encode();
            (Some(after).filter(|after| after != bytes), Seen { changes, batches })
        });
        let Ok(Seen { changes, batches }) = seen else {
            // The next look finds all of it as it is now.
            cx.host.record(Metric::InternalErrors(Internal::SharedData), 1);
            return;
        };
        for courier in &mut self.couriers {
            courier.over = None;
        }
        for alert in &changes.alerts {
            tell(cx, alert);
        }
        tell_of_loss(cx, changes.lost);
        for ((courier, which), batch) in self.couriers.iter_mut().zip(Which::ALL).zip(batches) {
            if let Some((batch, webhook)) = batch.zip(which.of(alerts)) {
                courier.post(cx, (which, webhook), &batch);
            }
        }
    }

    /// Whether this was the answer to a call to a webhook.
    pub(super) fn answered<H: Host>(&mut self, cx: &mut Cx<'_, H>, answer: &Answer) -> bool {
        for (courier, which) in self.couriers.iter_mut().zip(Which::ALL) {
            if let Some((_, sent)) = courier.under_way.take_if(|(call, _)| call.id == answer.call) {
                let status = answer.status(cx.host);
                courier.end(cx, which, (sent, Delivery::of(status)), status);
                courier.note(cx, which);
                return true;
            }
        }
        false
    }
}

impl Courier {
    fn post<H: Host>(&mut self, cx: &Cx<'_, H>, (which, webhook): (Which, &Webhook), batch: &Batch) {
        let headers = [
            (":method", "POST"),
            (":path", &*webhook.path),
            (":authority", &*webhook.host),
            ("content-type", "application/json"),
            ("user-agent", super::USER_AGENT),
        ];
        let body = letter(&batch.news, cx.view.calendar());
        match cx.host.call_with(&webhook.cluster, &headers, body.as_bytes(), TIMEOUT) {
            Some(id) => self.under_way = Some((UnderWay { id, since: cx.now }, batch.sent())),
            None => self.end(cx, which, (batch.sent(), Delivery::Failed), None),
        }
    }

    /// A call is over.
    fn end<H: Host>(&mut self, cx: &Cx<'_, H>, which: Which, over: (Sent, Delivery), status: Option<u16>) {
        self.over = Some(over);
        let (_, delivery) = over;
        let result = match delivery {
            Delivery::Delivered => DeliveryResult::Delivered,
            Delivery::Failed => DeliveryResult::Failed,
            Delivery::Refused => DeliveryResult::Refused,
        };
        cx.host.record(Metric::AlertDeliveries(result), 1);
        // A webhook that is down is worth a line when that begins and when it ends.
        let fails = delivery == Delivery::Failed;
        if fails != self.failing || delivery == Delivery::Refused {
            let level = if delivery == Delivery::Delivered { LogLevel::Info } else { LogLevel::Warn };
            let mut fields = vec![("event", "alert_delivery".to_owned()), ("result", result.name().to_owned())];
            fields.push(("webhook", which.name().to_owned()));
            if let Some(status) = status {
                fields.push(("status", status.to_string()));
            }
            cx.log(level, &fields);
        }
        self.failing = fails;
    }

    /// Brings on the board what became of a call; where that fails the next tick does it.
    fn note<H: Host>(&mut self, cx: &Cx<'_, H>, which: Which) {
        let Some((sent, delivery)) = self.over else { return };
        let noted = update(cx.host, KEY, |bytes| {
            let mut board = bytes.map(Board::decode).unwrap_or_default();
            let lost = which.outbox(&mut board).note(sent, delivery, cx.now);
            (Some(board.encode()), lost)
        });
        match noted {
            Ok(lost) => {
                self.over = None;
                tell_of_loss(cx, lost);
            }
            Err(_) => cx.host.record(Metric::InternalErrors(Internal::SharedData), 1),
        }
    }
}

/// What is spent of each budget, as far as somebody is to know.
fn spending<'a>(config: &'a Config, ledger: &Ledger, date: Timestamp, readings: &mut Vec<Reading<'a>>) {
    let cost = &config.cost;
    let all = std::iter::once((AccountKey::ALL, Payer::default(), &cost.limits));
    let backends = config.backends.iter().map(|Backend { id, limits, .. }| {
        let payer = Payer { backend: Some(id), tenant: "" };
        (AccountKey::of_backend(id), payer, limits)
    });
    let tenants = cost.tenants.iter().map(|Tenant { name, limits }| {
        let payer = Payer { backend: None, tenant: name };
        (AccountKey::of_tenant(name), payer, limits)
    });
    for (key, payer, limits) in all.chain(backends).chain(tenants) {
        if let Some(account) = ledger.account(key) {
            budgets(payer, account, limits, &cost.alert_thresholds, date, readings);
        }
    }
}

/// Every figure there is.
fn readings<'a, H: Host>(cx: &Cx<'a, H>, lookout: Option<&Lookout>) -> Vec<Reading<'a>> {
    let (router, now) = (cx.router, cx.now);
    let thresholds = &router.config().alerts.thresholds;
    let mut readings = Vec::new();
    let (mut available, mut all) = (0, 0);
    for (_, backend, place) in router.places() {
        let record = cx.view.record(place);
        readings.extend(of_backend(backend, record, thresholds, now));
        available += u64::from(is_available(backend, record, cx.view.ledger(), now));
        all += 1;
    }
    readings.push(availability(available, all, thresholds));
    readings.extend(lookout.map(|lookout| {
        let (sight, holds) = lookout.sight(now);
        admin(sight, holds)
    }));
    readings
}

/// Counts the news that the webhook will never be told, and says so in the log.
fn tell_of_loss<H: Host>(cx: &Cx<'_, H>, lost: u64) {
    if lost > 0 {
        cx.host.record(Metric::AlertDeliveries(DeliveryResult::Lost), lost);
        let result = DeliveryResult::Lost.name().to_owned();
        let fields = [("event", "alert_delivery".to_owned()), ("result", result), ("alerts", lost.to_string())];
        cx.log(LogLevel::Warn, &fields);
    }
}

/// Tells of an alert that was raised or cleared, once: by whoever brought it on the board.
fn tell<H: Host>(cx: &Cx<'_, H>, alert: &Alert) {
    let raised = alert.is_firing();
    cx.host.record(Metric::Alerts { alert: alert.kind, raised }, 1);
    let (level, state) = if raised { (LogLevel::Warn, "raised") } else { (LogLevel::Info, "cleared") };
    let fields = [
        ("event", "alert".to_owned()),
        ("alert", alert.kind.name().to_owned()),
        ("state", state.to_owned()),
        ("severity", alert.severity().name().to_owned()),
        ("backend", alert.backend.as_deref().unwrap_or_default().to_owned()),
        ("message", alert.message()),
    ];
    cx.log(level, &fields);
}
