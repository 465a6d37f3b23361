//! What a provider says of its quota, whatever the headers were called.

use super::Timestamp;

/// How much may still be used, and until when that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// What is left.
    pub remaining: u64,
    /// What there is when nothing has been used, if that was said.
    pub limit: Option<u64>,
    /// When all of it is there again.
    pub resets: Timestamp,
}

/// What the headers of one answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaReport {
    /// Requests.
    pub requests: Option<Allowance>,
    /// Tokens of prompts and answers.
    pub tokens: Option<Allowance>,
    /// When to ask again, where the answer is a refusal.
    pub retry_at: Option<Timestamp>,
}

impl QuotaReport {
    /// Whether it says how much is left of anything.
    pub const fn has_allowance(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }
}
