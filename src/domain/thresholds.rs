//! What an operator wants to be told of.

use std::time::Duration;

use super::PerMille;

/// Where figures begin to be worth an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Too few backends may be asked where their share is below this.
    pub min_available: PerMille,
    /// A backend is too slow where its answers take longer than this.
    pub response_time: Duration,
    /// Too many of its answers fail where their share is above this.
    pub error_rate: PerMille,
}
