//! The router's own checks: each backend is asked how it is, every so often.
//!
//! When one is due is known from the backend's record, so that a new leader, or a new configuration, goes on where the
//! last one stopped. Intervals differ by up to a tenth, so that checks of many backends spread out; how much is computed
//! from the backend's id and the time of its last check.

use std::time::Duration;

use super::answer::status;
use super::pace::UnderWay;
use super::{Answer, Cx, USER_AGENT};
use crate::config::LogLevel;
use crate::domain::{Backend, BackendIndex, BackendType, ProbeSettings, Rng, SplitMix64, Timestamp, Tokens};
use crate::health::{Checkup, Component, Condition, Ended, Form, Probes};
use crate::host::Host;
use crate::metrics::{Internal, Metric};
use crate::protocol::QuotaHeaders;
use crate::state::{Notice, Place, Signal, note_details};

/// A longer answer is not looked into: it is a good one by its status.
const LARGEST: usize = 4 << 20;

/// The checks of all backends that have one.
#[derive(Debug)]
pub(super) struct Rounds(Vec<Round>);

/// The check of one backend.
#[derive(Debug)]
struct Round {
    backend: BackendIndex,
    /// From the backend's id.
    seed: u64,
    /// Whom it asks, and for what.
    target: (Box<str>, ProbeSettings),
    form: Form,
    /// When it was last asked; the epoch before the first time.
    asked: Timestamp,
    under_way: Option<UnderWay>,
    /// What its quota knew to have ended when it was last asked.
    ended: Ended,
}

impl Rounds {
    #[inline(never)]
    pub(super) fn new(backends: &[Backend]) -> Self {
        let checked = backends.iter().zip(0..).filter_map(|(backend, n)| Some((n, backend, backend.probe.as_ref()?)));
        Self(
            checked
                .map(|(n, backend, settings)| Round {
                    backend: BackendIndex(n),
                    seed: backend.id.bytes().fold(0, |seed, b| SplitMix64::new(seed ^ u64::from(b)).next_u64()),
                    target: (backend.cluster.clone(), settings.clone()),
                    form: Form::of(&settings.path, backend.kind),
                    asked: Timestamp::default(),
                    under_way: None,
                    ended: Ended::default(),
                })
                .collect(),
        )
    }

    /// Checks these backends from now on. Of those that are asked the same of the same, the check that is under way goes
    /// on; the answer to any other is to a question that nobody has any more.
    pub(super) fn follow(&mut self, backends: &[Backend]) {
        let before = std::mem::replace(self, Self::new(backends));
        for mut round in before.0 {
            let same = |next: &&mut Round| next.seed == round.seed && next.target == round.target;
            if let Some(next) = self.0.iter_mut().find(same) {
                round.backend = next.backend;
                *next = round;
            }
        }
    }

    pub(super) fn tick<H: Host>(&mut self, cx: &mut Cx<'_, H>) {
        let mut rounds = self.0.iter_mut().peekable();
        let router = cx.router;
        for (index, backend, place) in router.places() {
            if let Some(round) = rounds.next_if(|round| round.backend == index)
                && let Some(settings) = &backend.probe
                && cx.keeps(place)
            {
                round.tick(cx, backend, settings, place);
            }
        }
    }

    pub(super) fn answered<H: Host>(&mut self, cx: &mut Cx<'_, H>, answer: &Answer) {
        let is_its = |round: &&mut Round| round.under_way.is_some_and(|call| call.id == answer.call);
        let Some(round) = self.0.iter_mut().find(is_its) else { return };
        let Some(call) = round.under_way.take() else { return };
        let router = cx.router;
        if let Some((_, backend, place)) = router.places().nth(round.backend.get())
            && let Some(settings) = &backend.probe
            && cx.keeps(place)
        {
            let headers = answer.headers(cx.host);
            note_quota(cx, place, &headers, call.since, round.ended);
            let status = status(&headers);
            let mut checkup = match status {
                Some(status) => Checkup::read(status, answer.body(cx.host, LARGEST), round.form),
                None => Checkup::unanswered("no answer: a reset, or nothing in timeout_seconds"),
            };
            checkup.details.http_status = status;
            for (name, value) in &headers {
                checkup.details.hear(name, value);
            }
            note(cx, backend, settings, place, &checkup, cx.now.since(call.since));
        }
    }
}

impl Round {
    fn tick<H: Host>(&mut self, cx: &mut Cx<'_, H>, backend: &Backend, settings: &ProbeSettings, place: Place) {
        if self.under_way.as_mut().is_some_and(|call| call.is_expected(settings.timeout, cx.now))
            || !self.is_due(&cx.view.record(place).probes, settings, cx.now)
            || !cx.host.may_call(&backend.cluster)
        {
            return;
        }
        self.asked = cx.now;
        self.ended = cx.view.record(place).quota.ended();
        let mut headers = vec![
            (":method", "GET"),
            (":path", &*settings.path),
            (":authority", &*settings.host),
            ("accept", "application/json"),
            ("user-agent", USER_AGENT),
        ];
        if backend.kind == BackendType::Anthropic {
            // Without it every request is refused.
            headers.push(("anthropic-version", "2023-06-01"));
        }
        self.under_way =
            cx.host.call(&backend.cluster, &headers, settings.timeout).map(|id| UnderWay { id, since: cx.now });
        if self.under_way.is_none() {
            let checkup = Checkup::unanswered("Envoy has no such cluster, or it has no hosts");
            note(cx, backend, settings, place, &checkup, Duration::ZERO);
        }
    }

    fn is_due(&self, probes: &Probes, settings: &ProbeSettings, now: Timestamp) -> bool {
        // What lies ahead was noted before the clock stepped back.
        let last = [self.asked, probes.checked_at].into_iter().filter(|&at| at <= now).max();
        let Some(last) = last.filter(|&last| last > Timestamp::default()) else { return true };
        let permille = 900 + SplitMix64::new(self.seed ^ last.as_micros()).below(201) as u32;
        now.since(last) >= settings.interval * permille / 1_000
    }
}

/// Takes note of the quota that the answer to a check announces: a backend that nobody asks for anything else is known by
/// it, too.
fn note_quota<H: Host>(
    cx: &mut Cx<'_, H>,
    place: Place,
    headers: &[(String, Vec<u8>)],
    departed: Timestamp,
    ended: Ended,
) {
    let (mut quota, mut date) = (QuotaHeaders::default(), None);
    for (name, value) in headers {
        match name.as_str() {
            "date" => date = Some(value.as_slice()),
            name => quota.hear(name, value),
        }
    }
    let (at, report) = (cx.now, quota.report(date, cx.view.calendar().date(cx.now), cx.now));
    if report.has_allowance() {
        let (departed_after, tokens, signal) = (Some(ended), Tokens(0), Signal::None);
        let notice = Notice { at, departed, departed_after, source: None, tokens, report, signal, crowd: None };
        cx.change(place, |record| record.notice(&notice));
    }
}

/// Takes note of what a check found.
fn note<H: Host>(
    cx: &mut Cx<'_, H>,
    backend: &Backend,
    settings: &ProbeSettings,
    place: Place,
    checkup: &Checkup,
    response_time: Duration,
) {
    let now = cx.now;
    let before = cx.view.record(place).probes.condition(now).unwrap_or(Condition::Healthy);
    cx.change(place, |record| record.probes.observe(checkup, response_time, settings, now));
    // What it said before holds where it says nothing now because it fails.
    let is_whole = checkup.condition != Condition::Unhealthy;
    if note_details(cx.host, &backend.id, &checkup.details, is_whole).is_err() {
        cx.host.record(Metric::InternalErrors(Internal::SharedData), 1);
    }
    let probes = &cx.view.record(place).probes;
    let after = probes.condition(now).unwrap_or(Condition::Healthy);
    if before != after {
        let down = Component::ALL.into_iter().filter(|&part| probes.components.get(part) == Some(false));
        let mut down: Vec<&str> = down.map(Component::name).collect();
        down.extend(checkup.details.parts_down.iter().map(|part| &**part));
        let level = if after == Condition::Healthy { LogLevel::Info } else { LogLevel::Warn };
        let fields = [
            ("event", "health_check".to_owned()),
            ("backend", backend.id.to_string()),
            ("status", after.name().to_owned()),
            ("score_permille", probes.score.get().to_string()),
            ("failures", probes.failures.to_string()),
            ("down", down.join(",")),
            ("response_time_ms", response_time.as_millis().to_string()),
            ("http_status", checkup.details.http_status.unwrap_or_default().to_string()),
            ("error", checkup.details.error.as_deref().unwrap_or_default().to_owned()),
        ];
        cx.log(level, &fields);
    }
}
