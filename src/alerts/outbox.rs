//! What is to be sent, until it was: a bounded queue, tried again ever more slowly.
//!
//! Whoever takes from it says so in shared data first, and nobody else does before that call must have ended: so two
//! leaders do not send the same. A leader that dies between the call and its answer is the one case in which something is
//! sent twice; its receiver knows it by its id.

use std::time::Duration;

use super::alert::Alert;
use crate::domain::{Decoder, Encoder, Timestamp};

/// News that waits to be sent; the oldest makes room. At midnight the alerts of all budgets end at once: those of the most
/// tenants there may be, at three thresholds each, for the hour and the day.
pub(super) const MOST: usize = 1_024;

/// News in one call: servers take no body of any size, nor does anybody read a message of more lines.
pub(super) const MOST_IN_A_CALL: usize = 100;

/// News is gathered for so long, since what goes wrong seldom goes alone.
const GATHER: Duration = Duration::from_millis(500);

/// How long an answer may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// After that somebody else may try: Envoy always answers, but who asked may be gone.
const CLAIM: Duration = Duration::from_secs(15);

/// How long after the first failure it is tried again, and twice as long after each one more …
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// … up to this.
const LAST_WAIT: Duration = Duration::from_secs(60);

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    /// In the order in which it happened; each alert as it was then.
    news: Vec<Alert>,
    /// The number of the first of them.
    first: u64,
    /// Times that sending failed in a row.
    failures: u8,
    /// When it is tried next.
    due: Timestamp,
}

/// News that is sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which it happened.
    pub news: Vec<Alert>,
    /// The number of the first that is not in it.
    end: u64,
}

/// A batch that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent(u64);

impl Batch {
    /// What to say of it when its call is over.
    pub const fn sent(&self) -> Sent {
        Sent(self.end)
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Delivered,
    /// It was not, and may be another time.
    Failed,
    /// It never will be.
    Refused,
}

impl Delivery {
    /// By the status of the answer, if there is one. Nobody follows a redirection, and asking again brings no other.
    pub const fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..300) => Self::Delivered,
            Some(408 | 429) => Self::Failed,
            Some(300..500) => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl Outbox {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    /// Adds news; returns how much had to make room for it.
    pub(super) fn push(&mut self, alert: Alert, now: Timestamp) -> u64 {
        if self.news.is_empty() {
            self.due = now.after(GATHER);
        }
        self.news.push(alert);
        let lost = self.news.len().saturating_sub(MOST);
        self.news.drain(..lost);
        self.first += lost as u64;
        lost as u64
    }

    /// There is nobody to send it to; returns how much is lost by that.
    pub(super) fn clear(&mut self) -> u64 {
        let lost = self.news.len() as u64;
        self.first += lost;
        self.news.clear();
        lost
    }

    /// Takes all of it out, to be sent by another.
    pub(super) fn drain(&mut self) -> Vec<Alert> {
        self.first += self.news.len() as u64;
        std::mem::take(&mut self.news)
    }

    /// What is to be sent now, which is the taker's from then on, until it [says](Self::note) what became of it.
    pub fn take(&mut self, now: Timestamp) -> Option<Batch> {
        // Further ahead than anything is ever due: the clock stepped back.
        let waits = now < self.due && self.due.since(now) <= LAST_WAIT;
        if self.news.is_empty() || waits {
            return None;
        }
        self.due = now.after(CLAIM);
        let news: Vec<_> = self.news.iter().take(MOST_IN_A_CALL).cloned().collect();
        let end = self.first + news.len() as u64;
        Some(Batch { news, end })
    }

    /// Takes note of what became of a batch. What is left is due at once, unless it would fail as well. Returns how much
    /// is lost: all news in a call that was refused, since it is not made again.
    pub fn note(&mut self, Sent(end): Sent, delivery: Delivery, now: Timestamp) -> u64 {
        if delivery == Delivery::Failed {
            let wait = FIRST_WAIT * 2_u32.saturating_pow(self.failures.into()).min(60);
            self.failures = self.failures.saturating_add(1);
            self.due = now.after(wait.min(LAST_WAIT));
            return 0;
        }
        let done = end.saturating_sub(self.first).min(self.news.len() as u64);
        self.news.drain(..done as usize);
        self.first += done;
        self.failures = 0;
        self.due = now;
        if delivery == Delivery::Refused { done } else { 0 }
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.u64(self.first).u8(self.failures).time(self.due).list(&self.news, |out, alert| alert.encode(out));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (first, failures, due) = (from.u64()?, from.u8()?, from.time()?);
        Some(Self { news: from.list(MOST, Alert::decode)?, first, failures, due })
    }
}
