//! What became of an exchange, told from the answer and Envoy's response flags.

use crate::domain::{Ending, Failure, Misconfiguration, Purpose};
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

    /// Whether Envoy has no such cluster.
    pub(super) const fn has_no_cluster(self) -> bool {
        self.any(Self::NO_CLUSTER_FOUND)
    }

    /// Whether the client went away, or broke its own protocol.
    const fn client_left(self) -> bool {
        self.any(
            Self::DOWNSTREAM_CONNECTION_TERMINATION | Self::DOWNSTREAM_REMOTE_RESET | Self::DOWNSTREAM_PROTOCOL_ERROR,
        )
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
    /// What the request was for.
    pub(super) purpose: Purpose,
    /// What the answer's body said.
    pub(super) facts: &'a AnswerFacts,
}

impl Evidence<'_> {
    /// How the exchange ended.
    ///
    /// Blame needs evidence: a response flag that names the upstream side, a status that is the backend's own fault, an
    /// error inside an answer, or a complete answer that is wrong. Whatever else is incomplete is the client's doing,
    /// and so is all that a client can bring about alone: Envoy does not flag each way to leave.
    pub(super) fn ending(&self) -> Ending {
        let is_over = self.complete || self.has_ended();
        if self.flags.client_left() && (!is_over || self.status == Some(400)) {
            return if self.sent { Ending::ClientAbort } else { Ending::NotSent };
        }
        if let Some(failure) = self.halted().filter(|_| !is_over || !self.is_answering()) {
            // On which side nothing moved, Envoy does not say. It is the backend's where the client had nothing left to
            // do, neither to send nor to take.
            let is_backend = self.asked && (!self.is_answering() || (!self.complete && self.passed < ROOM));
            return if is_backend { Ending::Failed(failure) } else { Ending::ClientAbort };
        }
        if let Some(failure) = self.flags.failure() {
            // A backend that waits for the rest of a request in vain gives up at last, as it should. Only a connection
            // that was never made has nothing to do with that.
            let is_backend = self.asked || failure == Failure::Connect;
            return if is_backend { Ending::Failed(failure) } else { Ending::ClientAbort };
        }
        // Where an attempt was too many for Envoy, another may have been made after it: then there is an answer, or none yet.
        let is_overflow = self.status == Some(503) && self.flags.any(Flags::UPSTREAM_OVERFLOW);
        if !self.sent || is_overflow {
            return Ending::NotSent;
        }
        // An error inside is what its status would have been.
        let inner = self.facts.in_band_error.filter(|_| self.is_answering());
        let failed = |failure| Ending::Failed(if inner.is_some() { Failure::InBandError } else { failure });
        match inner.map(|error| error.status).or(self.status) {
            None => Ending::ClientAbort,
            Some(429) => Ending::RateLimited,
            // A gateway says by 502 to 504, too, that the rest of the request did not come.
            Some(502..=504) if !self.asked => Ending::ClientAbort,
            Some(status) if is_server_fault(status) => failed(Failure::ServerError),
            Some(status) if let Some(why) = misconfiguration(status, self.purpose) => Ending::Misconfigured(why),
            Some(400..) => Ending::ClientError,
            Some(_) if !is_over => Ending::ClientAbort,
            Some(_) if self.purpose == Purpose::Inference && self.facts.form.is_foreign() => {
                Ending::Misconfigured(Misconfiguration::ContentType)
            }
            Some(_) if self.facts.end == StreamEnd::Truncated => Ending::Failed(Failure::Truncated),
            Some(_) => Ending::Success,
        }
    }

    /// Whether the answer said all it had to say, though HTTP has not ended it: clients leave at a stream's last mark, and
    /// some servers send the end of the body only after it.
    fn has_ended(&self) -> bool {
        self.is_answering() && self.facts.end == StreamEnd::Complete
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

/// Whether a status says that the backend is at fault, rather than the request. A client can have each of the others at
/// will: by a method or an expectation that the server does not know (501), a version of HTTP (505), by asking for a
/// variant, a loop or an extension (506, 508, 510), or without being signed in to the network (511). A number that nobody
/// has given a meaning is as good as 500 (RFC 9110, 15).
pub(super) const fn is_server_fault(status: u16) -> bool {
    status >= 500 && !matches!(status, 501 | 505 | 506 | 508 | 510 | 511)
}

/// What a status says is wrong with the backend's configuration, if every request were to get it. One alone may be the
/// client's fault, its own key or a model that nobody has; so it is counted how many there are in a row
/// ([`Setup`](crate::health::Setup)). 400 and 413 are about one request always. Files, batches and whatever else is
/// not inference may well be absent or somewhere else: of those only the status of the account itself says anything.
const fn misconfiguration(status: u16, purpose: Purpose) -> Option<Misconfiguration> {
    match (status, purpose) {
        (_, Purpose::Free) => None,
        (401 | 407, _) | (403, Purpose::Inference) => Some(Misconfiguration::Credentials),
        (402, _) => Some(Misconfiguration::Payment),
        (404 | 405 | 410 | 421, Purpose::Inference) => Some(Misconfiguration::NotFound),
        (422, Purpose::Inference) => Some(Misconfiguration::Unprocessable),
        (300..=399, Purpose::Inference) => Some(Misconfiguration::Redirect),
        (_, Purpose::Inference | Purpose::Other) => None,
    }
}

/// What an ending says of the backend's health.
pub(super) const fn verdict(ending: Ending) -> Verdict {
    match ending {
        Ending::Success => Verdict::Well,
        Ending::Failed(failure) => Verdict::Ill(failure),
        Ending::Misconfigured(why) => Verdict::Misfit(why),
        Ending::ClientError | Ending::RateLimited | Ending::ClientAbort | Ending::NotSent => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Tokens;
    use crate::health::weight;
    use crate::protocol::{Form, InBandError};

    const FACTS: AnswerFacts = AnswerFacts {
        usage: None,
        undivided: Tokens(0),
        in_band_error: None,
        fallback: false,
        form: Form::Json,
        end: StreamEnd::Unknown,
        content_events: 0,
        text: None,
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
        purpose: Purpose::Inference,
        facts: &FACTS,
    };

    /// The same, cut off.
    const BROKEN: Evidence<'_> = Evidence { complete: false, facts: &CUT, ..WHOLE };

    const CUT: AnswerFacts = AnswerFacts { end: StreamEnd::Truncated, ..FACTS };
    const DONE: AnswerFacts = AnswerFacts { end: StreamEnd::Complete, ..FACTS };
    /// To the last mark, and then not closed by the backend.
    const ENDED: Evidence<'_> = Evidence { complete: false, facts: &DONE, ..WHOLE };
    const ENDED_BADLY: Evidence<'_> = Evidence { facts: &ERROR, ..ENDED };
    const ERROR: AnswerFacts = AnswerFacts { in_band_error: Some(InBandError::UNKNOWN), ..DONE };
    const PAGE: AnswerFacts = AnswerFacts { form: Form::Html, ..FACTS };
    const TEXT: AnswerFacts = AnswerFacts { form: Form::Other, ..FACTS };
    const REVOKED: AnswerFacts = AnswerFacts { in_band_error: Some(InBandError { status: 401 }), ..DONE };
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
            ("400", status(400), ClientError, 0),
            ("501", status(501), ClientError, 0),
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
            ("200, cut off, and no flag (RST_STREAM with NO_ERROR)", BROKEN, ClientAbort, 0),
            ("200, cut off after an error inside", Evidence { facts: &ERROR, ..BROKEN }, Failed(InBandError), 1),
            ("200, the client breaks HTTP/2 (DPE)", flagged(BROKEN, 18), ClientAbort, 0),
            ("200 and whole, then the client breaks HTTP/2", flagged(WHOLE, 18), Success, 0),
            ("400, cut off", Evidence { complete: false, ..status(400) }, ClientError, 0),
            ("500, cut off, and no flag", Evidence { complete: false, ..status(500) }, Failed(ServerError), 1),
            ("200, cut off by a reset (UR)", flagged(BROKEN, 4), Failed(Reset), 1),
            ("200, cut off within a chunk (UPE)", flagged(BROKEN, 23), Failed(Reset), 1),
            ("200, the backend closed (UC)", flagged(BROKEN, 6), Failed(Reset), 1),
            ("200, the client closed (DC)", flagged(BROKEN, 14), ClientAbort, 0),
            ("200, the client reset its stream (DR)", flagged(BROKEN, 28), ClientAbort, 0),
            ("200, the client closed at the last mark (DC)", flagged(ENDED, 14), Success, 0),
            ("200, the client reset at the last mark (DR)", flagged(ENDED, 28), Success, 0),
            ("200, the client left at the last mark, no flag", ENDED, Success, 0),
            ("200, still open after the last mark (SI)", flagged(ENDED, 16), Success, 0),
            ("200, an error as the last event, the client closed", flagged(ENDED_BADLY, 14), Failed(InBandError), 1),
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
            ("200, cut off, and an attempt before was too many (UO)", flagged(BROKEN, 7), ClientAbort, 0),
            ("no answer yet, and an attempt before was too many (UO)", flagged(none, 7), ClientAbort, 0),
            ("401 of another filter", local(status(401)), NotSent, 0),
            ("400, a broken request (DPE)", local(flagged(status(400), 18)), NotSent, 0),
            ("400, a request that broke on its way (DPE)", flagged(status(400), 18), ClientAbort, 0),
            ("no answer, the client closed (DC)", flagged(none, 14), ClientAbort, 0),
            ("no answer, the client reset its stream (DR)", flagged(none, 28), ClientAbort, 0),
            ("no answer, the backend reset it (UR)", flagged(none, 4), Failed(Reset), 1),
            ("no answer, and no flag", none, ClientAbort, 0),
            ("503, half of a request, the backend gave up (UC)", slow_sender(flagged(status(503), 6)), ClientAbort, 0),
            ("503, half of a request, reset (UR)", slow_sender(flagged(status(503), 4)), ClientAbort, 0),
            ("504, half of a request, the timeout (UT)", slow_sender(flagged(status(504), 2)), ClientAbort, 0),
            ("503, half of a request, refused (UF)", slow_sender(flagged(status(503), 5)), Failed(Connect), 2),
            ("408, half of a request", slow_sender(status(408)), ClientError, 0),
            ("502, half of a request", slow_sender(status(502)), ClientAbort, 0),
            ("500, half of a request", slow_sender(status(500)), Failed(ServerError), 1),
        ];
        for (name, evidence, expected, expected_weight) in table {
            let ending = evidence.ending();
            assert_eq!(ending, *expected, "{name}");
            let weight = match verdict(ending) {
                Verdict::Ill(failure) => weight(failure),
                Verdict::Well | Verdict::Slow | Verdict::Misfit(_) | Verdict::Unknown => 0,
            };
            assert_eq!(weight, *expected_weight, "{name}");
        }
    }

    #[test]
    fn what_nobody_can_use_has_a_class_of_its_own() {
        use Ending::{ClientAbort, ClientError, Misconfigured, Success};
        use Misconfiguration::{ContentType, Credentials, NotFound, Payment, Redirect, Unprocessable};
        let page_of_a_file = Evidence { facts: &PAGE, purpose: Purpose::Other, ..WHOLE };
        let table: &[(&str, Evidence<'_>, Ending)] = &[
            ("302 to inference", status(302), Misconfigured(Redirect)),
            ("307 to inference", status(307), Misconfigured(Redirect)),
            ("401", status(401), Misconfigured(Credentials)),
            ("402", status(402), Misconfigured(Payment)),
            ("403", status(403), Misconfigured(Credentials)),
            ("404 to inference", status(404), Misconfigured(NotFound)),
            ("401 of a file", Evidence { purpose: Purpose::Other, ..status(401) }, Misconfigured(Credentials)),
            ("405", status(405), Misconfigured(NotFound)),
            ("407", status(407), Misconfigured(Credentials)),
            ("410", status(410), Misconfigured(NotFound)),
            ("421", status(421), Misconfigured(NotFound)),
            ("422", status(422), Misconfigured(Unprocessable)),
            ("200, a page of HTML", Evidence { facts: &PAGE, ..WHOLE }, Misconfigured(ContentType)),
            ("200, a text", Evidence { facts: &TEXT, ..WHOLE }, Misconfigured(ContentType)),
            ("200 with an inner 401", Evidence { facts: &REVOKED, ..WHOLE }, Misconfigured(Credentials)),
            ("302 of a file", Evidence { purpose: Purpose::Other, ..status(302) }, Success),
            ("404 of a file", Evidence { purpose: Purpose::Other, ..status(404) }, ClientError),
            ("401 of a list of models", Evidence { purpose: Purpose::Free, ..status(401) }, ClientError),
            ("200, a text, cut off", Evidence { facts: &TEXT, ..BROKEN }, ClientAbort),
            ("200, a page of HTML where nobody says what there is", page_of_a_file, Success),
        ];
        for (name, evidence, expected) in table {
            assert_eq!(evidence.ending(), *expected, "{name}");
        }
    }

    #[test]
    fn a_status_counts_where_it_is_the_backends_own_fault() {
        let counts = |status: &u16| matches!(self::status(*status).ending(), Ending::Failed(Failure::ServerError));
        let spared: Vec<_> = (400..=999).filter(|status| !counts(status)).filter(|status| *status >= 500).collect();
        assert_eq!(spared, [501, 505, 506, 508, 510, 511]);
        for status in [400, 406, 408, 409, 411, 413, 414, 415, 416, 417, 418, 426, 428, 431, 451] {
            assert_eq!(self::status(status).ending(), Ending::ClientError, "{status}");
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
