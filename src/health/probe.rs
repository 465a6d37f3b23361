//! What the router's own checks of a backend showed.

use crate::domain::{Decoder, Encoder, PerMille};

/// What the router's own checks of a backend showed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// Whether so many checks in a row failed that it is not to be asked.
    pub unhealthy: bool,
    /// What the last check found, `0..=1`; 1 before the first.
    pub score: PerMille,
}

impl Default for Probes {
    fn default() -> Self {
        Self { unhealthy: false, score: PerMille::ONE }
    }
}

impl Probes {
    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u8(self.unhealthy.into()).u16(self.score.get());
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { unhealthy: from.u8()? != 0, score: PerMille::new(from.u16()?) })
    }
}
