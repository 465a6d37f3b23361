//! Envoy's own picture of a cluster's hosts: its health checks and outlier ejections.

use std::time::Duration;

use crate::domain::{Decoder, Encoder, PerMille, Timestamp};

/// How Envoy sees the hosts of a backend's cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosts {
    /// The share of hosts that Envoy would send to.
    pub available: PerMille,
    /// Until when this picture holds; the epoch for one that never was taken.
    pub valid_until: Timestamp,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { available: PerMille::ONE, valid_until: Timestamp::default() }
    }
}

impl Hosts {
    /// The share of hosts that may be sent to at `now`; all of them where Envoy has not been heard of lately.
    pub fn available(&self, now: Timestamp) -> f64 {
        // A clock that stepped back must not make an old picture hold for ever.
        let is_valid = now <= self.valid_until && self.valid_until.since(now) <= Duration::from_secs(300);
        if is_valid { self.available.ratio() } else { 1.0 }
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u16(self.available.get()).time(self.valid_until);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { available: PerMille::new(from.u16()?), valid_until: from.time()? })
    }
}
