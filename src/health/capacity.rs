//! How many tokens in flight a backend can take that does not say so itself: learned from its 429s.

use crate::domain::{Decoder, Encoder, Tokens};

/// The learned capacity of a backend; none until a first 429 without quota headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Tokens in flight; 0: unknown, hence unlimited.
    tokens: u64,
}

impl Capacity {
    /// Tokens that may be in flight at once, if that is known.
    pub const fn tokens(&self) -> Option<Tokens> {
        if self.tokens == 0 { None } else { Some(Tokens(self.tokens)) }
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u64(self.tokens);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { tokens: from.u64()? })
    }
}
