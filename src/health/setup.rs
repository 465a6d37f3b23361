//! Whether a backend is set up so that it can serve anybody.
//!
//! A key that was revoked, a bill that was not paid, a path or a model that is not there, a page of somebody else's: each
//! request is answered, at once, in a way that nobody can use. One such answer is the client's fault as likely as not; a
//! row of them, without a good answer in between, is the backend's, if
//!
//! - several sources got them, or
//! - the one that got them was served well by another backend within the last minute: so it is not its own key.
//!
//! From there on the backend is left out while there is another one for the request, and a single request in each
//! recovery timeout tries it again. One good answer ends it.

use std::time::Duration;

use super::breaker::Source;
use crate::domain::{Decoder, Encoder, Misconfiguration, Timestamp};

/// What its last answers say of a backend's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Setup {
    /// Answers in a row that nobody could use.
    pub row: u16,
    /// What was wrong with the last of them.
    why: Option<Misconfiguration>,
    /// Who got the first of them.
    first: Option<Source>,
    /// Whether it is known not to be the client: others got them, too, or it was served elsewhere.
    is_own: bool,
    /// When it may be tried again; the epoch while it is not left out.
    retry_at: Timestamp,
}

/// One answer that nobody can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable {
    /// What is wrong with it.
    pub why: Misconfiguration,
    /// Who got it.
    pub source: Option<Source>,
    /// Whether another backend is known to have served that one.
    pub served_elsewhere: bool,
}

impl Setup {
    /// An answer came that nobody can use. `threshold` of them in a row are enough, 0 never.
    pub fn unusable(&mut self, answer: &Unusable, threshold: u16, wait: Duration, now: Timestamp) {
        self.row = self.row.saturating_add(1);
        self.why = Some(answer.why);
        // Who cannot be told apart is taken for several.
        let is_other = answer.source.is_none_or(|source| self.first.is_some_and(|first| !first.is_same_client(source)));
        self.is_own |= is_other || answer.served_elsewhere;
        self.first = self.first.or(answer.source);
        if self.is_out(threshold) && self.retry_at <= now {
            self.retry_at = now.after(wait);
        }
    }

    /// It served somebody.
    pub const fn served(&mut self) {
        *self = Self { row: 0, why: None, first: None, is_own: false, retry_at: Timestamp::from_micros(0) };
    }

    /// Whether the row is long enough, whoever is at fault.
    pub const fn is_suspect(&self, threshold: u16) -> bool {
        threshold > 0 && self.row >= threshold
    }

    /// Whether the backend is misconfigured.
    pub const fn is_out(&self, threshold: u16) -> bool {
        self.is_own && self.is_suspect(threshold)
    }

    /// When it may be tried again, if that is later.
    pub fn out_until(&self, threshold: u16, wait: Duration, now: Timestamp) -> Option<Timestamp> {
        // Nobody waits for longer: the clock stepped back, or the timeout was shortened.
        let is_later = now < self.retry_at && self.retry_at.since(now) <= 2 * wait;
        (self.is_out(threshold) && is_later).then_some(self.retry_at)
    }

    /// A request tries it: the next one may when it is known what became of this one, or as much later.
    pub fn tried(&mut self, threshold: u16, wait: Duration, now: Timestamp) {
        if self.is_out(threshold) {
            self.retry_at = now.after(wait);
        }
    }

    /// What is wrong, if anything is known to be.
    pub const fn why(&self) -> Option<Misconfiguration> {
        self.why
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u16(self.row);
        let Some(why) = self.why.filter(|_| self.row > 0) else { return };
        out.u8(why.code()).u8(self.is_own.into()).time(self.retry_at);
        Source::encode(self.first, out);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let row = from.u16()?;
        if row == 0 {
            return Some(Self::default());
        }
        let why = Some(Misconfiguration::from_code(from.u8()?)?);
        let (is_own, retry_at) = (from.u8()? != 0, from.time()?);
        Some(Self { row, why, first: Source::decode(from)?, is_own, retry_at })
    }
}
