//! Whether a backend is set up so that it can serve anybody.
//!
//! A key that was revoked, a bill that was not paid, a path or a model that is not there, a page of somebody else's: each
//! request is answered, at once, in a way that nobody can use. One such answer is the client's fault as likely as not; a
//! row of them, without a good answer in between, is the backend's, if
//!
//! - several sources got them, and nobody was served within the last ten seconds, or
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
    /// And its status.
    pub status: u16,
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
    /// Its status.
    pub status: u16,
    /// Who got it.
    pub source: Option<Source>,
    /// Whether another backend is known to have served that one.
    pub served_elsewhere: bool,
}

impl Setup {
    /// An answer came that nobody can use. `threshold` of them in a row are enough, 0 never.
    /// While it `serves` somebody, what several clients get may be each one's own fault.
    pub fn unusable(&mut self, answer: &Unusable, threshold: u16, wait: Duration, serves: bool, now: Timestamp) {
        self.row = self.row.saturating_add(1);
        (self.why, self.status) = (Some(answer.why), answer.status);
        // Who cannot be told apart is taken for several.
        let is_other = answer.source.is_none_or(|source| self.first.is_some_and(|first| !first.is_same_client(source)));
        self.is_own |= (is_other && !serves) || answer.served_elsewhere;
        self.first = self.first.or(answer.source);
        if self.is_out(threshold) && self.retry_at <= now {
            self.retry_at = now.after(wait);
        }
    }

    /// It served somebody.
    pub const fn served(&mut self) {
        *self = Self { row: 0, why: None, status: 0, first: None, is_own: false, retry_at: Timestamp::from_micros(0) };
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

    /// When it may be tried again; the epoch while it is not left out.
    pub const fn retry_at(&self) -> Timestamp {
        self.retry_at
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
        out.u8(why.code()).u16(self.status).u8(self.is_own.into()).time(self.retry_at);
        Source::encode(self.first, out);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let row = from.u16()?;
        if row == 0 {
            return Some(Self::default());
        }
        let why = Some(Misconfiguration::from_code(from.u8()?)?);
        let (status, is_own, retry_at) = (from.u16()?, from.u8()? != 0, from.time()?);
        Some(Self { row, why, status, first: Source::decode(from)?, is_own, retry_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    fn client(n: u8) -> Source {
        Source::of_tenant(&[n])
    }

    fn answer(source: Source, served_elsewhere: bool) -> Unusable {
        Unusable { why: Misconfiguration::Credentials, status: 401, source: Some(source), served_elsewhere }
    }

    fn after(answers: &[Unusable]) -> Setup {
        let mut setup = Setup::default();
        for answer in answers {
            setup.unusable(answer, 5, WAIT, false, at(0));
        }
        setup
    }

    #[test]
    fn a_row_that_several_clients_get_leaves_it_out_and_one_client_s_own_does_not() {
        let mut several = [answer(client(1), false); 5];
        assert!(!after(&several).is_out(5), "it may be its key");
        assert!(after(&several).is_suspect(5), "which is worth an alert");
        several[3].source = Some(client(2));
        assert!(after(&several).is_out(5));
        assert!(!after(&several[1..]).is_out(5), "four are not enough");
        let elsewhere = [answer(client(1), false), answer(client(1), true)].repeat(3);
        assert!(after(&elsewhere).is_out(5), "its key is good elsewhere");
        assert!(!after(&several).is_out(0), "0 is never");
    }

    #[test]
    fn one_good_answer_ends_it() {
        let mut setup = after(&[answer(client(1), true); 9]);
        setup.served();
        assert_eq!(setup, Setup::default());
    }

    #[test]
    fn one_request_in_each_wait_tries_it() {
        let mut setup = after(&[answer(client(1), true); 5]);
        assert_eq!(setup.out_until(5, WAIT, at(59)), Some(at(60)));
        assert_eq!(setup.out_until(5, WAIT, at(60)), None);
        setup.tried(5, WAIT, at(60));
        assert_eq!(setup.out_until(5, WAIT, at(61)), Some(at(120)), "the others wait");
        setup.unusable(&answer(client(1), true), 5, WAIT, false, at(62));
        assert_eq!(setup.out_until(5, WAIT, at(63)), Some(at(120)));
        assert_eq!(setup.out_until(5, Duration::from_secs(1), at(63)), None, "the operator has shortened it");
    }

    #[test]
    fn it_survives_being_bytes() {
        for setup in [
            Setup::default(),
            after(&[answer(client(1), true); 7]),
            after(&[Unusable { source: None, ..answer(client(1), false) }]),
        ] {
            let mut out = Encoder::with_capacity(32);
            setup.encode(&mut out);
            assert_eq!(Setup::decode(&mut Decoder::new(&out.finish())), Some(setup));
        }
    }
}
