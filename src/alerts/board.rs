//! Which alerts there are: each is raised once and cleared once, whoever looks.
//!
//! ```text
//!            bad for its patience            well for a while, or nobody's any more
//!   watched ─────────────────────► raised ─────────────────────────────────────────► recent
//! ```
//!
//! The board lies in shared data as a whole, what is to be sent included: so a new leader goes on where the last one
//! stopped, and any worker can show it. Nothing on it depends on who looks, or how often.

use std::time::Duration;

use super::alert::{Alert, AlertKind};
use super::outbox::Outbox;
use super::reading::{Reading, Sign};
use crate::domain::{Decoder, Encoder, Timestamp};

/// The key of the board in shared data.
pub const KEY: &str = "llm-router/1/alerts";

/// Of another version of the layout nothing is kept.
const VERSION: u8 = 5;

/// Cleared alerts that are kept.
pub const RECENT: usize = 100;

/// A figure must be well for so long before its alert is cleared: what comes and goes faster is one alert.
pub const STEADY: Duration = Duration::from_secs(3);

/// All that is known of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Board {
    /// Those that hold, in the order in which they were raised, and those whose figure is being watched.
    current: Vec<Alert>,
    /// Those that were cleared, in that order.
    recent: Vec<Alert>,
    /// When an alert of each topic was last put among what is to be sent, as long as that matters.
    told: Vec<(u64, Timestamp)>,
    /// What is to be sent.
    pub outbox: Outbox,
    /// What is to be sent to the webhook for costs.
    pub costs: Outbox,
}

/// What is sent, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether anything is, but for what goes elsewhere.
    pub is_sent: bool,
    /// Where alerts of budgets go.
    pub costs: Costs,
    /// The same alert is not sent again before so much time has passed.
    pub min_interval: Duration,
}

/// Where alerts of budgets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Costs {
    /// Where all others do.
    #[default]
    WithTheOthers,
    /// To a webhook of their own.
    Apart,
}

impl Terms {
    /// Whether an alert of this kind goes to the webhook for costs.
    fn is_apart(self, kind: AlertKind) -> bool {
        self.costs == Costs::Apart && kind.is_cost()
    }

    fn sends(self, kind: AlertKind) -> bool {
        self.is_sent || self.is_apart(kind)
    }
}

/// What a look at the figures changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Alerts that were raised, and that were cleared.
    pub alerts: Vec<Alert>,
    /// News that is not sent any more: it had to make room for others, or there is no webhook now.
    pub lost: u64,
}

impl AlertKind {
    /// Whether it is about what is spent.
    const fn is_cost(self) -> bool {
        matches!(self, Self::HourlyBudget | Self::DailyBudget)
    }

    /// How long a figure must be bad before there is an alert. Latency jumps up with one slow answer, and a backend that
    /// is refused for a second is back before anybody can look; the others have been thought over already.
    const fn patience(self) -> Duration {
        match self {
            Self::BreakerOpened
            | Self::BackendUnhealthy
            | Self::HighErrorRate
            | Self::AdminUnreadable
            | Self::HourlyBudget
            | Self::DailyBudget
            | Self::UsageDrift
            | Self::Misconfigured => Duration::ZERO,
            Self::LowAvailability => STEADY,
            Self::HighResponseTime => Duration::from_secs(15),
        }
    }
}

impl Board {
    /// Those that hold, the latest first.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.current.iter().rev().filter(|alert| alert.is_firing())
    }

    /// Those that were cleared, the latest first.
    pub fn recent(&self) -> impl Iterator<Item = &Alert> {
        self.recent.iter().rev()
    }

    /// Takes note of all figures there are. What is about none of them is about something that is gone.
    pub fn observe(&mut self, readings: &[Reading<'_>], terms: Terms, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        let mut raised = Vec::new();
        let topics: Vec<_> = readings.iter().map(Reading::topic).collect();
        let readings = || topics.iter().copied().zip(readings);
        for mut alert in std::mem::take(&mut self.current) {
            let reading = readings().find(|(topic, _)| *topic == alert.topic).map(|(_, reading)| reading);
            if alert.stays(reading, now) {
                let rises = reading.is_some_and(|reading| alert.rises(reading, now));
                if rises { &mut raised } else { &mut self.current }.push(alert);
            } else if alert.is_firing() {
                alert.cleared_at = now.max(alert.raised_at);
                changes.alerts.push(alert.clone());
                self.recent.push(alert);
            }
        }
        self.recent.drain(..self.recent.len().saturating_sub(RECENT));
        changes.alerts.extend_from_slice(&raised);
        self.current.append(&mut raised);
        let is_new = |board: &Self, topic, reading: &Reading<'_>| {
            let is_there = |alerts: &[Alert]| alerts.iter().any(|alert| alert.topic == topic);
            // What is about a window of time is told once in it, whatever clocks and configurations do meanwhile.
            reading.sign == Sign::Bad
                && !is_there(&board.current)
                && !(reading.window > Timestamp::default() && is_there(&board.recent))
        };
        for (topic, reading) in readings() {
            if is_new(self, topic, reading) {
                let mut alert = Alert::watched(topic, reading, now);
                if alert.rises(reading, now) {
                    changes.alerts.push(alert.clone());
                }
                self.current.push(alert);
            }
        }
        changes.lost = self.tell(&changes.alerts, terms, now);
        changes
    }

    /// Puts among what is to be sent what nobody was told of yet and may be told of now, and the end of what was told.
    fn tell(&mut self, changed: &[Alert], terms: Terms, now: Timestamp) -> u64 {
        let mut lost = self.sort(terms, now);
        if !terms.is_sent && terms.costs == Costs::WithTheOthers {
            self.told.clear();
            return lost;
        }
        let min_interval = terms.min_interval;
        for (_, at) in &mut self.told {
            // The clock stepped back: nobody waits for longer than the interval.
            *at = now.min(*at);
        }
        self.told.retain(|(_, at)| now.since(*at) < min_interval);
        let is_news = |alert: &Alert| terms.sends(alert.kind);
        for cleared in changed.iter().filter(|alert| alert.told && !alert.is_firing() && is_news(alert)) {
            let outbox = if terms.is_apart(cleared.kind) { &mut self.costs } else { &mut self.outbox };
            lost += outbox.push(cleared.clone(), now);
        }
        for alert in self.current.iter_mut().filter(|alert| !alert.told && alert.is_firing() && is_news(alert)) {
            let is_early = self.told.iter().any(|(topic, _)| *topic == alert.topic);
            if !is_early {
                alert.told = true;
                self.told.push((alert.topic, now));
                let outbox = if terms.is_apart(alert.kind) { &mut self.costs } else { &mut self.outbox };
                lost += outbox.push(alert.clone(), now);
            }
        }
        lost
    }

    /// Brings what is not sent yet to where it goes now, should that have changed; returns how much is lost by that.
    fn sort(&mut self, terms: Terms, now: Timestamp) -> u64 {
        let mut lost = 0;
        if terms.costs == Costs::WithTheOthers && !self.costs.is_empty() {
            let costs = self.costs.drain();
            lost += if terms.is_sent {
                costs.into_iter().map(|alert| self.outbox.push(alert, now)).sum()
            } else {
                costs.len() as u64
            };
        }
        if !terms.is_sent {
            lost += self.outbox.clear();
        }
        lost
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(128 * (1 + self.current.len() + self.recent.len()));
        out.u8(VERSION);
        out.list(&self.current, |out, alert| alert.encode(out)).list(&self.recent, |out, alert| alert.encode(out));
        out.list(&self.told, |out, (topic, at)| _ = out.u64(*topic).time(*at));
        self.outbox.encode(&mut out);
        self.costs.encode(&mut out);
        out.finish()
    }

    /// From bytes; empty where they are none of this layout.
    pub fn decode(bytes: &[u8]) -> Self {
        Self::read(&mut Decoder::new(bytes)).unwrap_or_default()
    }

    fn read(from: &mut Decoder<'_>) -> Option<Self> {
        if from.u8()? != VERSION {
            return None;
        }
        let (current, recent) = (from.list(usize::MAX, Alert::decode)?, from.list(RECENT, Alert::decode)?);
        let told = from.list(usize::MAX, |from| Some((from.u64()?, from.time()?)))?;
        let (outbox, costs) = (Outbox::decode(from)?, Outbox::decode(from)?);
        Some(Self { current, recent, told, outbox, costs })
    }
}

impl Alert {
    /// A figure that has become bad.
    fn watched(topic: u64, reading: &Reading<'_>, now: Timestamp) -> Self {
        Self {
            kind: reading.kind,
            backend: reading.backend.map(Into::into),
            name: reading.name.into(),
            topic,
            cause: reading.cause,
            value: reading.value,
            threshold: reading.threshold,
            raised_at: Timestamp::default(),
            cleared_at: Timestamp::default(),
            since: now,
            told: false,
        }
    }

    /// Whether it remains after this look, raised or watched.
    fn stays(&mut self, reading: Option<&Reading<'_>>, now: Timestamp) -> bool {
        let Some(reading) = reading else { return false };
        if !self.is_firing() {
            return reading.sign == Sign::Bad;
        }
        if reading.sign != Sign::Good {
            self.since = Timestamp::default();
            return true;
        }
        if self.since == Timestamp::default() || now < self.since {
            self.since = now;
        }
        now.since(self.since) < STEADY
    }

    /// Raises it where its figure has been bad for long enough; it says how bad that is now. Whether it did.
    fn rises(&mut self, reading: &Reading<'_>, now: Timestamp) -> bool {
        if self.is_firing() {
            return false;
        }
        (self.cause, self.value, self.threshold) = (reading.cause, reading.value, reading.threshold);
        self.since = self.since.min(now);
        if now.since(self.since) >= self.kind.patience() {
            (self.raised_at, self.since) = (now, Timestamp::default());
        }
        self.is_firing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_alerts_than_two_bytes_count_are_remembered_for_an_interval_of_a_day() {
        for told in [255, 256, 65_535, 65_536, 70_001] {
            let told = (0..told).map(|topic| (topic, Timestamp::from_micros(topic + 1))).collect();
            let board = Board { told, ..Board::default() };
            assert_eq!(Board::decode(&board.encode()), board);
        }
    }
}
