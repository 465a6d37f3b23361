//! Envoy's own picture of a cluster's hosts: its health checks and outlier ejections.

use std::time::Duration;

use super::Census;
use crate::domain::{Decoder, Encoder, PerMille, Timestamp};

/// No picture holds for longer than this, whatever the clock does.
const LONGEST: Duration = Duration::from_secs(300);

/// Doubts after which a cluster is taken for what it looks like.
const BELIEVED: u8 = 3;

/// How Envoy sees the hosts of a backend's cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosts {
    /// Which cluster's they are, as a hash of its name: a backend may move to another one.
    pub cluster: u32,
    /// The share of hosts that Envoy would send to.
    pub available: PerMille,
    /// Until when this picture holds; the epoch for one that never was taken.
    pub valid_until: Timestamp,
    /// What the picture showed.
    pub census: Census,
    /// Pictures that showed hosts of its own, none of them usable, before the first that showed a usable one.
    pub doubts: u8,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            cluster: 0,
            available: PerMille::ONE,
            valid_until: Timestamp::default(),
            census: Census::default(),
            doubts: 0,
        }
    }
}

impl Hosts {
    /// What is known after Envoy was asked, and until when: the hosts that it named, or none where it has no such
    /// cluster at all.
    ///
    /// A cluster that does not exist answers 503, and so does one whose hosts are gone. Only, some have none to begin
    /// with and work all the same: those that stand for other clusters (`envoy.clusters.aggregate`), or that find their
    /// host by the request. So no hosts means out only where there were some before.
    ///
    /// And just after its start Envoy may hold hosts for dead that are not, since loading the router kept it from hearing
    /// their answers. So a cluster of which no host was ever seen to be usable is out only at the third look.
    #[must_use]
    pub fn seen(self, cluster: &str, census: Option<Census>, valid_until: Timestamp) -> Self {
        let name = hash(cluster);
        let before = if self.cluster == name { self } else { Self::default() };
        let usable = census.map(|census| census.available()).unwrap_or_default();
        let doubts = match census {
            Some(census) if census.total > 0 && usable == PerMille::default() => {
                before.doubts.saturating_add(1).min(BELIEVED)
            }
            Some(census) if census.total > 0 => BELIEVED,
            _ => before.doubts,
        };
        let is_judged = census.is_none() || doubts >= BELIEVED;
        let available = if is_judged { usable } else { PerMille::ONE };
        Self { cluster: name, available, valid_until, census: census.unwrap_or_default(), doubts }
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
        out.u32(self.cluster).u16(self.available.get()).time(self.valid_until).u8(self.doubts);
        self.census.encode(out);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            cluster: from.u32()?,
            available: PerMille::new(from.u16()?),
            valid_until: from.time()?,
            doubts: from.u8()?,
            census: Census::decode(from)?,
        })
    }
}

/// FNV-1a.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
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

    fn out(mut before: Hosts, until: u64) -> Hosts {
        for _ in 0..3 {
            before = before.seen("a", Some(hosts(2, 0)), at(until));
        }
        before
    }

    #[test]
    fn a_cluster_that_lost_its_hosts_is_out_and_one_that_never_had_any_is_not_judged() {
        let mut aggregate = Hosts::default();
        (0..9).for_each(|_| aggregate = aggregate.seen("a", Some(hosts(0, 0)), at(3)));
        assert_eq!(available(aggregate), 1000);
        let scaled_down = Hosts::default().seen("a", Some(hosts(3, 3)), at(3)).seen("a", Some(hosts(0, 0)), at(4));
        assert_eq!(available(scaled_down), 0);
        assert_eq!(available(scaled_down.seen("a", Some(hosts(4, 3)), at(5))), 750);
        assert_eq!(available(Hosts::default().seen("a", None, at(3))), 0, "Envoy has no such cluster");
    }

    #[test]
    fn hosts_that_were_never_seen_well_are_believed_to_be_out_at_the_third_look() {
        let first = Hosts::default().seen("a", Some(hosts(2, 0)), at(3));
        let second = first.seen("a", Some(hosts(2, 0)), at(3));
        assert_eq!((available(first), available(second), available(out(first, 3))), (1000, 1000, 0));
        let once_well = first.seen("a", Some(hosts(2, 1)), at(3));
        assert_eq!((available(once_well), available(once_well.seen("a", Some(hosts(2, 0)), at(4)))), (500, 0));
    }

    #[test]
    fn an_old_picture_excludes_nobody_and_neither_does_one_from_a_clock_that_stepped_back() {
        let late = out(Hosts::default(), 100);
        assert!(late.available(at(100)) < 0.001);
        assert!(late.available(at(101)) > 0.999);
        let far_ahead = out(Hosts::default(), 10_000);
        assert!(far_ahead.available(at(100)) > 0.999);
    }

    #[test]
    fn a_backend_that_moves_to_another_cluster_is_judged_by_that_alone() {
        let gone = Hosts::default().seen("a", Some(hosts(2, 2)), at(3)).seen("a", Some(hosts(0, 0)), at(4));
        assert_eq!(available(gone), 0);
        assert_eq!(available(gone.seen("aggregate", Some(hosts(0, 0)), at(5))), 1000, "it never had hosts of its own");
    }
}
