//! What the end of a request says of its backend.

use crate::domain::{Failure, Misconfiguration};

/// What a request says of its backend's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It answered.
    Well,
    /// It answered, but took longer than it should.
    Slow,
    /// It failed.
    Ill(Failure),
    /// It answered, but so that nobody can use it. That is [counted](crate::health::Setup) by itself: a breaker is about
    /// what fails.
    Misfit(Misconfiguration),
    /// Nothing either way: the client left, the quota was used up, it never got there.
    Unknown,
}

impl Verdict {
    /// Whether the backend failed.
    pub const fn is_ill(self) -> bool {
        matches!(self, Self::Ill(_))
    }

    /// Whether it says anything of how likely the next answer is to be a good one.
    pub const fn is_evidence(self) -> bool {
        !matches!(self, Self::Unknown | Self::Misfit(_))
    }
}

/// How much a failure counts among failures in a row.
///
/// Two is for what leaves no doubt and would cost the next request dearly: nobody is there, or each try takes a whole
/// timeout. One is for what may be an accident of this request (a bad answer, a cut connection), or of which the cause
/// is a guess: why an earlier attempt failed Envoy does not say, and who stalls a stream has to be inferred.
pub const fn weight(failure: Failure) -> u32 {
    match failure {
        Failure::Connect | Failure::Timeout => 2,
        Failure::Reset
        | Failure::ServerError
        | Failure::InBandError
        | Failure::Truncated
        | Failure::Stalled
        | Failure::Retried => 1,
    }
}
