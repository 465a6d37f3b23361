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

    /// Whether nothing moved for too long. On which side, Envoy does not say.
    const fn stalled(self) -> bool {
        self.any(Self::STREAM_IDLE_TIMEOUT | Self::DURATION_TIMEOUT)
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

/// What is known when an exchange is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    /// The answer's status, if there was one.
    pub(super) status: Option<u16>,
    /// Whether the answer was seen to its end.
    pub(super) complete: bool,
    /// Whether any attempt was made.
    pub(super) sent: bool,
    /// Whether the client had sent all of its request.
    pub(super) asked: bool,
    /// Envoy's flags.
    pub(super) flags: Flags,
    /// What the answer's body said.
    pub(super) facts: &'a AnswerFacts,
}

impl Evidence<'_> {
    /// How the exchange ended.
    pub(super) fn ending(&self) -> Ending {
        if !self.complete && self.flags.client_left() {
            return Ending::ClientAbort;
        }
        if self.flags.stalled() {
            // Only where the client had nothing left to do is it the backend that did nothing.
            let answering = self.status.is_some_and(|status| status < 300);
            return if self.asked && !answering { Ending::Failed(Failure::Timeout) } else { Ending::ClientAbort };
        }
        if let Some(failure) = self.flags.failure() {
            return Ending::Failed(failure);
        }
        if !self.sent || self.flags.any(Flags::UPSTREAM_OVERFLOW | Flags::DOWNSTREAM_PROTOCOL_ERROR) {
            return Ending::NotSent;
        }
        match self.status {
            None => Ending::Failed(Failure::Reset),
            Some(429) => Ending::RateLimited,
            Some(500..) => Ending::Failed(Failure::ServerError),
            Some(400..) => Ending::ClientError,
            Some(_) if self.facts.in_band_error => Ending::Failed(Failure::InBandError),
            Some(_) if self.facts.end == StreamEnd::Truncated || !self.complete => Ending::Failed(Failure::Truncated),
            Some(_) => Ending::Success,
        }
    }
}

/// What an ending says of the backend's health.
pub(super) const fn verdict(ending: Ending) -> Verdict {
    match ending {
        Ending::Success => Verdict::Well,
        Ending::Failed(_) => Verdict::Ill,
        // A 4xx may come from anything on the way, for a key that was revoked as for a question that was wrong.
        Ending::ClientError | Ending::RateLimited | Ending::ClientAbort | Ending::NotSent => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(status: Option<u16>, flags: u64, complete: bool, in_band_error: bool, end: StreamEnd) -> Ending {
        let facts = AnswerFacts { usage: None, in_band_error, end, content_events: 0 };
        Evidence { status, complete, sent: true, asked: true, flags: Flags(flags), facts: &facts }.ending()
    }

    #[test]
    fn each_way_to_end_has_its_name() {
        use StreamEnd::{Complete, Truncated, Unknown};
        for (status, flags, complete, error, end, expected) in [
            (Some(200), 0, true, false, Complete, Ending::Success),
            (Some(200), 0, true, false, Unknown, Ending::Success),
            (Some(204), 0, true, false, Unknown, Ending::Success),
            (Some(200), 0, true, true, Complete, Ending::Failed(Failure::InBandError)),
            (Some(200), 0, true, false, Truncated, Ending::Failed(Failure::Truncated)),
            (Some(200), 0, false, false, Unknown, Ending::Failed(Failure::Truncated)),
            (Some(200), 1 << 4, false, false, Truncated, Ending::Failed(Failure::Reset)),
            (Some(200), 1 << 14, false, false, Truncated, Ending::ClientAbort),
            (Some(200), 1 << 14, true, false, Complete, Ending::Success),
            (Some(400), 0, true, false, Unknown, Ending::ClientError),
            (Some(429), 0, true, false, Unknown, Ending::RateLimited),
            (Some(500), 0, true, false, Unknown, Ending::Failed(Failure::ServerError)),
            (Some(503), 1 << 1, true, false, Unknown, Ending::Failed(Failure::Connect)),
            (Some(503), 1 << 5, true, false, Unknown, Ending::Failed(Failure::Connect)),
            (Some(503), 1 << 7, true, false, Unknown, Ending::NotSent),
            (Some(503), 1 << 24, true, false, Unknown, Ending::Failed(Failure::Connect)),
            (Some(504), 1 << 2, true, false, Unknown, Ending::Failed(Failure::Timeout)),
            (Some(504), 1 << 16, true, false, Unknown, Ending::Failed(Failure::Timeout)),
            (Some(200), 1 << 16, false, false, Truncated, Ending::ClientAbort),
            (None, 1 << 14, false, false, Unknown, Ending::ClientAbort),
            (None, 0, false, false, Unknown, Ending::Failed(Failure::Reset)),
        ] {
            let ended = ending(status, flags, complete, error, end);
            assert_eq!(ended, expected, "{status:?} {flags:#x} {complete} {error} {end:?}");
        }
    }

    #[test]
    fn a_client_that_stops_sending_is_not_the_backends_fault() {
        let facts = AnswerFacts { usage: None, in_band_error: false, end: StreamEnd::Unknown, content_events: 0 };
        let flags = Flags(Flags::STREAM_IDLE_TIMEOUT);
        let slow = Evidence { status: Some(408), complete: true, sent: true, asked: false, flags, facts: &facts };
        assert_eq!(verdict(slow.ending()), Verdict::Unknown);
    }

    #[test]
    fn an_answer_that_another_filter_gave_says_nothing_of_the_backend() {
        let facts = AnswerFacts { usage: None, in_band_error: false, end: StreamEnd::Unknown, content_events: 0 };
        let local =
            Evidence { status: Some(401), complete: true, sent: false, asked: true, flags: Flags(0), facts: &facts };
        assert_eq!(verdict(local.ending()), Verdict::Unknown);
    }
}
