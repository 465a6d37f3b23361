//! Where a breaker stands, and why.

/// The three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerPhase {
    /// Requests pass.
    #[default]
    Closed,
    /// A few requests pass, to see whether the backend is well again.
    HalfOpen,
    /// No request passes.
    Open,
}

impl BreakerPhase {
    /// Its value in `loadbalancer_circuit_breaker_state` and in the record.
    pub const fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }

    /// The phase of that code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Closed),
            1 => Some(Self::HalfOpen),
            2 => Some(Self::Open),
            _ => None,
        }
    }

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Why a breaker came to be where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TripReason {
    /// Closed: nothing ever happened.
    #[default]
    New,
    /// Opened: so many failures in a row.
    ConsecutiveFailures,
    /// Opened: so large a share of failures among the last answers.
    FailureRate,
    /// Opened: so large a share of slow ones among the last answers, or among those of the half-open state.
    SlowAnswers,
    /// Opened again: a request of the half-open state failed.
    FailedProbe,
    /// Half-open: it has been open for its time.
    RecoveryTimeout,
    /// Closed: the requests of the half-open state were answered.
    Recovered,
    /// Opened or closed by an operator.
    ByHand,
}

impl TripReason {
    /// Every reason; its place is its code in the record.
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::ConsecutiveFailures,
        Self::FailureRate,
        Self::SlowAnswers,
        Self::FailedProbe,
        Self::RecoveryTimeout,
        Self::Recovered,
        Self::ByHand,
    ];

    /// Its code in the record.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason of that code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowAnswers => "slow_answers",
            Self::FailedProbe => "failed_probe",
            Self::RecoveryTimeout => "recovery_timeout",
            Self::Recovered => "recovered",
            Self::ByHand => "by_hand",
        }
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transition {
    /// Where it stood.
    pub from: BreakerPhase,
    /// Where it stands.
    pub to: BreakerPhase,
    /// Why.
    pub reason: TripReason,
}
