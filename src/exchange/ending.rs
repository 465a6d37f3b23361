//! What became of an exchange, told from the answer and Envoy's response flags.

use crate::domain::{Ending, Failure};
use crate::health::Verdict;
use crate::protocol::{AnswerFacts, StreamEnd};

/// Envoy's response flags: bit *n* is the *n*-th value of `CoreResponseFlag` (`source/common/stream_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(pub(super) u64);

impl Flags {
    const NO_HEALTHY_UPSTREAM: u64 = 1 << 1;
    const UPSTREAM_REQUEST_TIMEOUT: u64 = 1 << 2;
    const LOCAL_RESET: u64 = 1 << 3;
    const UPSTREAM_REMOTE_RESET: u64 = 1 << 4;
    const UPSTREAM_CONNECTION_FAILURE: u64 = 1 << 5;
    const UPSTREAM_CONNECTION_TERMINATION: u64 = 1 << 6;
    const UPSTREAM_OVERFLOW: u64 = 1 << 7;
    const DOWNSTREAM_CONNECTION_TERMINATION: u64 = 1 << 14;
    const STREAM_IDLE_TIMEOUT: u64 = 1 << 16;
    const DOWNSTREAM_PROTOCOL_ERROR: u64 = 1 << 18;
    const UPSTREAM_MAX_STREAM_DURATION: u64 = 1 << 19;
    const DURATION_TIMEOUT: u64 = 1 << 22;
    const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 23;
    const NO_CLUSTER_FOUND: u64 = 1 << 24;
    const DOWNSTREAM_REMOTE_RESET: u64 = 1 << 28;

    const fn any(self, bits: u64) -> bool {
        self.0 & bits != 0
    }

    /// Whether the client went away.
    const fn client_left(self) -> bool {
        self.any(Self::DOWNSTREAM_CONNECTION_TERMINATION | Self::DOWNSTREAM_REMOTE_RESET)
    }

    /// Why the last attempt failed, if Envoy says that it did.
    const fn failure(self) -> Option<Failure> {
        if self.any(Self::NO_HEALTHY_UPSTREAM | Self::NO_CLUSTER_FOUND | Self::UPSTREAM_CONNECTION_FAILURE) {
            Some(Failure::Connect)
        } else if self.any(Self::UPSTREAM_REQUEST_TIMEOUT | Self::UPSTREAM_MAX_STREAM_DURATION) {
            Some(Failure::Timeout)
        } else if self.any(
            Self::LOCAL_RESET
                | Self::UPSTREAM_REMOTE_RESET
                | Self::UPSTREAM_CONNECTION_TERMINATION
                | Self::UPSTREAM_PROTOCOL_ERROR,
        ) {
            Some(Failure::Reset)
        } else {
            None
        }
    }
}

/// An answer of which less than this has passed has room in the buffers between here and its client (Envoy's own, the
/// sockets', HTTP/2's window, each at its smallest in common use), even if the client reads nothing of it. So while it
/// has not reached this, it is never the client that holds it up.
const ROOM: u64 = 64 << 10;

/// Whose patience ended: what Envoy says in words, where its flags do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Details {
    /// `per_try_idle_timeout`: nothing moved.
    PerTryIdle,
    /// The route's `timeout`: it took too long in all.
    ResponseTimeout,
    /// `max_stream_duration`, likewise. It sets no flag once the answer has begun.
    MaxDuration,
    /// Anything else.
    #[default]
    Other,
}

impl Details {
    /// From Envoy's `response.code_details`.
    pub(super) fn from_bytes(details: &[u8]) -> Self {
        match details {
            b"upstream_per_try_idle_timeout" => Self::PerTryIdle,
            b"response_timeout" | b"upstream_response_timeout" => Self::ResponseTimeout,
            b"max_duration_timeout" => Self::MaxDuration,
            _ => Self::Other,
        }
    }
}

/// What is known when an exchange is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    /// The answer's status, if there was one.
    pub(super) status: Option<u16>,
    /// Whether the answer was seen to its end.
    pub(super) complete: bool,
    /// Bytes of its body that were seen.
    pub(super) passed: u64,
    /// Whether any attempt was made.
    pub(super) sent: bool,
    /// Whether the client had sent all of its request.
    pub(super) asked: bool,
    /// Envoy's flags.
    pub(super) flags: Flags,
    /// Envoy's words, of a good answer that broke off.
    pub(super) details: Details,
    /// What the answer's body said.
    pub(super) facts: &'a AnswerFacts,
}

impl Evidence<'_> {
    /// How the exchange ended.
    pub(super) fn ending(&self) -> Ending {
        if !self.complete && self.flags.client_left() {
            return Ending::ClientAbort;
        }
        if let Some(failure) = self.halted() {
            // On which side nothing moved, Envoy does not say. It is the backend's where the client had nothing left to
            // do, neither to send nor to take.
            let is_backend = self.asked && (!self.is_answering() || (!self.complete && self.passed < ROOM));
            return if is_backend { Ending::Failed(failure) } else { Ending::ClientAbort };
        }
        if let Some(failure) = self.flags.failure() {
            return Ending::Failed(failure);
        }
        if !self.sent || self.flags.any(Flags::UPSTREAM_OVERFLOW | Flags::DOWNSTREAM_PROTOCOL_ERROR) {
            return Ending::NotSent;
        }
        // An error inside is what its status would have been.
        let inner = self.facts.in_band_error.filter(|_| matches!(self.status, Some(200..=299)));
        match inner.map(|error| error.status).or(self.status) {
            None => Ending::Failed(Failure::Reset),
            Some(429) => Ending::RateLimited,
            Some(500..) if inner.is_some() => Ending::Failed(Failure::InBandError),
            Some(500..) => Ending::Failed(Failure::ServerError),
            Some(400..) => Ending::ClientError,
            Some(_) if self.facts.end == StreamEnd::Truncated || !self.complete => Ending::Failed(Failure::Truncated),
            Some(_) => Ending::Success,
        }
    }

    /// Whether it is an answer of the backend's, rather than of Envoy's own.
    fn is_answering(&self) -> bool {
        self.status.is_some_and(|status| status < 300)
    }

    /// What it was that somebody's patience ended over, if it did and it may have been either side's fault. (Where a
    /// backend does not begin to answer in time, Envoy says so plainly.)
    fn halted(&self) -> Option<Failure> {
        let midway = self.is_answering() && !self.complete;
        if self.flags.any(Flags::STREAM_IDLE_TIMEOUT) || (midway && self.details == Details::PerTryIdle) {
            return Some(if midway { Failure::Stalled } else { Failure::Timeout });
        }
        let too_long = matches!(self.details, Details::ResponseTimeout | Details::MaxDuration);
        (self.flags.any(Flags::DURATION_TIMEOUT) || (midway && too_long)).then_some(Failure::Timeout)
    }
}

/// What an ending says of the backend's health.
pub(super) const fn verdict(ending: Ending) -> Verdict {
    match ending {
        Ending::Success => Verdict::Well,
        Ending::Failed(failure) => Verdict::Ill(failure),
        // A 4xx may come from anything on the way, for a key that was revoked as for a question that was wrong.
        Ending::ClientError | Ending::RateLimited | Ending::ClientAbort | Ending::NotSent => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::weight;
    use crate::protocol::{Form, InBandError};

    const FACTS: AnswerFacts = AnswerFacts {
        usage: None,
        in_band_error: None,
        fallback: false,
        form: Form::Json,
        end: StreamEnd::Unknown,
        content_events: 0,
        content_bytes: None,
    };

    /// A whole answer of 200.
    const WHOLE: Evidence<'_> = Evidence {
        status: Some(200),
        complete: true,
        passed: 2_000,
        sent: true,
        asked: true,
        flags: Flags(0),
        details: Details::Other,
        facts: &FACTS,
    };

    /// The same, cut off.
    const BROKEN: Evidence<'_> = Evidence { complete: false, facts: &CUT, ..WHOLE };

    const CUT: AnswerFacts = AnswerFacts { end: StreamEnd::Truncated, ..FACTS };
    const DONE: AnswerFacts = AnswerFacts { end: StreamEnd::Complete, ..FACTS };
    const ERROR: AnswerFacts = AnswerFacts { in_band_error: Some(InBandError::UNKNOWN), ..DONE };
    const TOO_LONG: AnswerFacts = AnswerFacts { in_band_error: Some(InBandError { status: 400 }), ..DONE };
    const TOO_MANY: AnswerFacts = AnswerFacts { in_band_error: Some(InBandError { status: 429 }), ..DONE };

    fn status(status: u16) -> Evidence<'static> {
        Evidence { status: Some(status), ..WHOLE }
    }

    fn flagged(evidence: Evidence<'static>, bit: u32) -> Evidence<'static> {
        Evidence { flags: Flags(evidence.flags.0 | 1 << bit), ..evidence }
    }

    /// Each way to end, how it is called, and what it weighs; 0: it does not count.
    #[test]
    fn each_way_to_end_has_its_class_and_its_weight() {
        use Ending::{ClientAbort, ClientError, Failed, NotSent, RateLimited, Success};
        use Failure::{Connect, InBandError, Reset, ServerError, Stalled, Timeout, Truncated};
        let none = Evidence { status: None, complete: false, passed: 0, ..WHOLE };
        let long = Evidence { passed: ROOM, ..BROKEN };
        let idle = Details::PerTryIdle;
        let local = |evidence| Evidence { sent: false, ..evidence };
        let slow_sender = |evidence| Evidence { asked: false, ..evidence };
        let table: &[(&str, Evidence<'_>, Ending, u32)] = &[
            ("200, whole", WHOLE, Success, 0),
            ("200, a stream to its last mark", Evidence { facts: &DONE, ..WHOLE }, Success, 0),
            ("204", status(204), Success, 0),
            ("302", status(302), Success, 0),
            ("400", status(400), ClientError, 0),
            ("401", status(401), ClientError, 0),
            ("404", status(404), ClientError, 0),
            ("408", status(408), ClientError, 0),
            ("413", status(413), ClientError, 0),
            ("429", status(429), RateLimited, 0),
            ("500", status(500), Failed(ServerError), 1),
            ("502", status(502), Failed(ServerError), 1),
            ("503", status(503), Failed(ServerError), 1),
            ("529, overloaded", status(529), Failed(ServerError), 1),
            ("200 with an error inside", Evidence { facts: &ERROR, ..WHOLE }, Failed(InBandError), 1),
            ("200 with an inner 400", Evidence { facts: &TOO_LONG, ..WHOLE }, ClientError, 0),
            ("200 with an inner 429", Evidence { facts: &TOO_MANY, ..WHOLE }, RateLimited, 0),
            ("200, a stream without its last mark", Evidence { facts: &CUT, ..WHOLE }, Failed(Truncated), 1),
            ("200, cut off", BROKEN, Failed(Truncated), 1),
            ("200, cut off by a reset (UR)", flagged(BROKEN, 4), Failed(Reset), 1),
            ("200, cut off within a chunk (UPE)", flagged(BROKEN, 23), Failed(Reset), 1),
            ("200, the backend closed (UC)", flagged(BROKEN, 6), Failed(Reset), 1),
            ("200, the client closed (DC)", flagged(BROKEN, 14), ClientAbort, 0),
            ("200, the client reset its stream (DR)", flagged(BROKEN, 28), ClientAbort, 0),
            ("200 and whole, then the client closed", flagged(WHOLE, 14), Success, 0),
            ("200, then still until Envoy's patience ended (SI)", flagged(BROKEN, 16), Failed(Stalled), 1),
            ("200, then still until the try's patience ended", with(flagged(BROKEN, 2), idle), Failed(Stalled), 1),
            ("200, long, then still (SI)", flagged(long, 16), ClientAbort, 0),
            ("200, long, then still until the try's patience ended", with(flagged(long, 2), idle), ClientAbort, 0),
            ("200, still, and so is the client (SI)", slow_sender(flagged(BROKEN, 16)), ClientAbort, 0),
            ("200, the route's timeout", with(flagged(BROKEN, 2), Details::ResponseTimeout), Failed(Timeout), 2),
            ("200, long, the route's timeout", with(flagged(long, 2), Details::ResponseTimeout), ClientAbort, 0),
            ("200, longer than a stream may be", with(BROKEN, Details::MaxDuration), Failed(Timeout), 2),
            ("504 for the route's timeout (UT)", flagged(status(504), 2), Failed(Timeout), 2),
            (
                "504 for the try's patience (URX, UT)",
                with(flagged(flagged(status(504), 2), 15), idle),
                Failed(Timeout),
                2,
            ),
            ("504 for Envoy's patience (SI)", flagged(status(504), 16), Failed(Timeout), 2),
            ("504 for the longest duration (DT)", flagged(status(504), 22), Failed(Timeout), 2),
            ("504 for the cluster's longest duration (UMSDR)", flagged(status(504), 19), Failed(Timeout), 2),
            ("408 for a client that stops sending (SI)", slow_sender(flagged(status(408), 16)), ClientAbort, 0),
            ("503, no healthy host (UH)", flagged(local(status(503)), 1), Failed(Connect), 2),
            ("503, connection refused (UF)", flagged(status(503), 5), Failed(Connect), 2),
            ("503, no such cluster (NC)", flagged(local(status(503)), 24), Failed(Connect), 2),
            ("503, reset before any answer (UC)", flagged(status(503), 6), Failed(Reset), 1),
            ("503, reset by Envoy (LR)", flagged(status(503), 3), Failed(Reset), 1),
            ("503, too many at once for Envoy (UO)", flagged(status(503), 7), NotSent, 0),
            ("401 of another filter", local(status(401)), NotSent, 0),
            ("400, a broken request (DPE)", flagged(status(400), 18), NotSent, 0),
            ("no answer, the client closed (DC)", flagged(none, 14), ClientAbort, 0),
            ("no answer at all", none, Failed(Reset), 1),
        ];
        for (name, evidence, expected, expected_weight) in table {
            let ending = evidence.ending();
            assert_eq!(ending, *expected, "{name}");
            let weight = match verdict(ending) {
                Verdict::Ill(failure) => weight(failure),
                Verdict::Well | Verdict::Slow | Verdict::Unknown => 0,
            };
            assert_eq!(weight, *expected_weight, "{name}");
        }
    }

    fn with(evidence: Evidence<'static>, details: Details) -> Evidence<'static> {
        Evidence { details, ..evidence }
    }

    #[test]
    fn envoys_words_are_understood() {
        for (words, details) in [
            ("upstream_per_try_idle_timeout", Details::PerTryIdle),
            ("response_timeout", Details::ResponseTimeout),
            ("max_duration_timeout", Details::MaxDuration),
            ("via_upstream", Details::Other),
            ("", Details::Other),
        ] {
            assert_eq!(Details::from_bytes(words.as_bytes()), details);
        }
    }
}
