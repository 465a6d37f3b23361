//! What is left of a backend's quota, as its provider announces it.

use crate::domain::{Decoder, Encoder, Timestamp};

/// What is known of a backend's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Nothing is sent before this moment: the provider said so, with a 429.
    pub excluded_until: Timestamp,
}

impl Quota {
    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.time(self.excluded_until);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { excluded_until: from.time()? })
    }
}
