//! Envoy's own picture of a cluster's hosts: its health checks and outlier ejections.

use std::time::Duration;

use super::Census;
use crate::domain::{Decoder, Encoder, PerMille, Timestamp};

/// No picture holds for longer than this, whatever the clock does.
const LONGEST: Duration = Duration::from_secs(300);

/// How Envoy sees the hosts of a backend's cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosts {
    /// The share of hosts that Envoy would send to.
    pub available: PerMille,
    /// Until when this picture holds; the epoch for one that never was taken.
    pub valid_until: Timestamp,
    /// What the picture showed.
    pub census: Census,
    /// Whether the cluster ever had hosts of its own. One that never had is not judged by them.
    pub known: bool,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { available: PerMille::ONE, valid_until: Timestamp::default(), census: Census::default(), known: false }
    }
}

impl Hosts {
    /// What is known after Envoy was asked, and until when: the hosts that it named, or none where it has no such
    /// cluster at all.
    ///
    /// A cluster that does not exist answers 503, and so does one whose hosts are gone. Only, some have none to begin
    /// with and work all the same: those that stand for other clusters (`envoy.clusters.aggregate`), or that find their
    /// host by the request. So no hosts means out only where there were some before.
    #[must_use]
    pub fn seen(self, census: Option<Census>, valid_until: Timestamp) -> Self {
        let known = self.known || census.is_some_and(|census| census.total > 0);
        let available = match census {
            None => PerMille::new(0),
            Some(census) if census.total == 0 => PerMille::new(if known { 0 } else { 1000 }),
            Some(census) => census.available(),
        };
        Self { available, valid_until, census: census.unwrap_or_default(), known }
    }

    /// The share of hosts that may be sent to at `now`; all of them where Envoy has not been heard of lately.
    pub fn available(&self, now: Timestamp) -> f64 {
        if self.is_valid(now) { self.available.ratio() } else { 1.0 }
    }

    /// Whether the picture still holds.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        // A clock that stepped back must not make an old picture hold for ever.
        now <= self.valid_until && self.valid_until.since(now) <= LONGEST
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u16(self.available.get()).time(self.valid_until).u8(self.known.into());
        self.census.encode(out);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            available: PerMille::new(from.u16()?),
            valid_until: from.time()?,
            known: from.u8()? != 0,
            census: Census::decode(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::testing::at;

    fn hosts(total: u16, healthy: u16) -> Census {
        Census { total, healthy, ..Census::default() }
    }

    fn available(hosts: Hosts) -> u16 {
        hosts.available.get()
    }

    #[test]
    fn a_cluster_that_lost_its_hosts_is_out_and_one_that_never_had_any_is_not_judged() {
        let aggregate = Hosts::default().seen(Some(hosts(0, 0)), at(3));
        assert_eq!((available(aggregate), aggregate.known), (1000, false));
        let scaled_down = Hosts::default().seen(Some(hosts(3, 3)), at(3)).seen(Some(hosts(0, 0)), at(4));
        assert_eq!((available(scaled_down), scaled_down.known), (0, true));
        assert_eq!(available(scaled_down.seen(Some(hosts(4, 3)), at(5))), 750);
        assert_eq!(available(Hosts::default().seen(None, at(3))), 0, "Envoy has no such cluster");
    }

    #[test]
    fn an_old_picture_excludes_nobody_and_neither_does_one_from_a_clock_that_stepped_back() {
        let out = Hosts::default().seen(Some(hosts(2, 0)), at(100));
        assert!(out.available(at(100)) < 0.001);
        assert!(out.available(at(101)) > 0.999);
        let far_ahead = Hosts::default().seen(Some(hosts(2, 0)), at(10_000));
        assert!(far_ahead.available(at(100)) > 0.999);
    }
}
