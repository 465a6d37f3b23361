//! How the hosts of a cluster stand, read from Envoy's own list.
//!
//! An Envoy may have thousands of clusters, and then its list (`GET /clusters?format=json`) has megabytes. It is read as
//! it comes, host by host, and nothing of it is kept but five numbers for each cluster that was asked for.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::domain::{Decoder, Encoder, PerMille};

/// Hosts of one cluster, counted by what Envoy holds of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// All of them.
    pub total: u16,
    /// Those it sends to without reserve.
    pub healthy: u16,
    /// Those it sends to only where the healthy ones are not enough.
    pub degraded: u16,
    /// Ejected as outliers.
    pub ejected: u16,
    /// Failing its active checks.
    pub failing: u16,
}

impl Census {
    /// The share of hosts that Envoy would send to; a degraded one counts as half.
    pub fn available(&self) -> PerMille {
        let halves = 2 * u32::from(self.healthy) + u32::from(self.degraded);
        let total = 2 * u32::from(self.total.max(1));
        PerMille::new((halves * 1000).div_ceil(total).min(1000) as u16)
    }

    fn count(&mut self, host: &Host) {
        let Host { health_status: health } = host;
        let one = |so: bool| u16::from(so);
        let out = health.failed_active_health_check
            || health.failed_outlier_check
            || matches!(health.eds_health_status, Discovered::Unhealthy | Discovered::Draining | Discovered::Timeout);
        let degraded = health.failed_active_degraded_check
            || health.failed_degraded_outlier_detection
            || health.eds_health_status == Discovered::Degraded;
        self.total = self.total.saturating_add(1);
        self.healthy = self.healthy.saturating_add(one(!out && !degraded));
        self.degraded = self.degraded.saturating_add(one(!out && degraded));
        self.ejected = self.ejected.saturating_add(one(health.failed_outlier_check));
        self.failing = self.failing.saturating_add(one(health.failed_active_health_check));
    }

    /// Appends it to a record.
    pub fn encode(&self, out: &mut Encoder) {
        out.u16(self.total).u16(self.healthy).u16(self.degraded).u16(self.ejected).u16(self.failing);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (total, healthy, degraded) = (from.u16()?, from.u16()?, from.u16()?);
        Some(Self { total, healthy, degraded, ejected: from.u16()?, failing: from.u16()? })
    }
}

/// That was not Envoy's list of clusters, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not Envoy's list of clusters")]
pub struct NotTheList;

/// Reads Envoy's list. Returns, for each cluster that was asked for, its census, or none if the list does not have it.
///
/// A list that has none of them is refused: it is more likely another Envoy's.
pub fn take_census(list: impl Read, clusters: &[&str]) -> Result<Vec<Option<Census>>, NotTheList> {
    let mut found = vec![None; clusters.len()];
    let mut reader = serde_json::Deserializer::from_reader(list);
    let read = List { clusters, found: &mut found }.deserialize(&mut reader);
    read.and_then(|()| reader.end()).map_err(|_| NotTheList)?;
    if found.iter().all(Option::is_none) { Err(NotTheList) } else { Ok(found) }
}

/// One cluster; what else Envoy says of it is skipped.
#[derive(Deserialize)]
struct Cluster {
    name: String,
    #[serde(default)]
    host_statuses: Counted,
}

#[derive(Deserialize)]
struct Host {
    #[serde(default)]
    health_status: HealthStatus,
}

/// `envoy.admin.v3.HostHealthStatus`: flags that are false are left out.
#[derive(Deserialize, Default)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "as Envoy has it")]
struct HealthStatus {
    failed_active_health_check: bool,
    failed_outlier_check: bool,
    failed_active_degraded_check: bool,
    failed_degraded_outlier_detection: bool,
    eds_health_status: Discovered,
}

/// What endpoint discovery says of a host.
#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Discovered {
    Unhealthy,
    Draining,
    Timeout,
    Degraded,
    #[default]
    #[serde(other)]
    Healthy,
}

/// A list of hosts, counted while it is read.
#[derive(Default)]
struct Counted(Census);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(hosts: D) -> Result<Self, D::Error> {
        struct Counting;

        impl<'de> Visitor<'de> for Counting {
            type Value = Counted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of hosts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut hosts: A) -> Result<Counted, A::Error> {
                let mut census = Census::default();
                while let Some(host) = hosts.next_element()? {
                    census.count(&host);
                }
                Ok(Counted(census))
            }
        }

        hosts.deserialize_seq(Counting)
    }
}

/// The document: its `cluster_statuses`, of which those that are asked for are kept.
struct List<'a> {
    clusters: &'a [&'a str],
    found: &'a mut [Option<Census>],
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<(), D::Error> {
        document.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with cluster_statuses")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        while let Some(field) = fields.next_key::<String>()? {
            if field == "cluster_statuses" {
                fields.next_value_seed(Entries(&mut self))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Entries<'a, 'b>(&'a mut List<'b>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, entries: D) -> Result<(), D::Error> {
        entries.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of clusters")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let List { clusters, found } = self.0;
        while let Some(Cluster { name, host_statuses: Counted(census) }) = entries.next_element()? {
            // Two backends may have one cluster; two clusters never have one name.
            for (_, found) in clusters.iter().zip(found.iter_mut()).filter(|(cluster, _)| **cluster == name) {
                if found.replace(census).is_some() {
                    return Err(A::Error::custom("a cluster is there twice"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What Envoy 1.40.0 answered on 2026-11-21, with a cluster for each case.
    const ENVOY: &str = include_str!("fixtures/envoy-1.40.0-clusters.json");

    fn of(list: &Value, clusters: &[&str]) -> Result<Vec<Option<Census>>, NotTheList> {
        take_census(list.to_string().as_bytes(), clusters)
    }

    #[test]
    fn hosts_are_told_apart_by_what_a_real_envoy_says_of_them() {
        let clusters =
            ["plain", "checked", "ejected", "discovered", "empty", "unresolved", "aggregate", "nobody", "plain"];
        let found = take_census(ENVOY.as_bytes(), &clusters).expect("a list");
        let numbers = |census: &Census| {
            [census.total, census.healthy, census.degraded, census.ejected, census.failing, census.available().get()]
        };
        let found: Vec<_> = found.iter().map(|census| census.as_ref().map(numbers)).collect();
        assert_eq!(
            found,
            [
                Some([1, 1, 0, 0, 0, 1000]),
                // One is well, one fails its checks, one answers that it is degraded, one is not there.
                Some([4, 1, 1, 0, 2, 375]),
                Some([1, 0, 0, 1, 0, 0]),
                // Discovery says: unhealthy, draining, timed out, degraded, healthy.
                Some([5, 1, 1, 0, 0, 300]),
                Some([0, 0, 0, 0, 0, 0]),
                Some([0, 0, 0, 0, 0, 0]),
                Some([0, 0, 0, 0, 0, 0]),
                None,
                Some([1, 1, 0, 0, 0, 1000]),
            ]
        );
    }

    #[test]
    fn one_host_of_a_thousand_is_not_nothing() {
        let census = Census { total: 60_000, healthy: 1, ..Census::default() };
        assert_eq!(census.available().get(), 1);
        assert_eq!(Census { healthy: 0, ..census }.available().get(), 0);
    }

    #[test]
    fn what_is_not_the_whole_list_of_this_envoy_is_refused() {
        let list = json!({"cluster_statuses": [{"name": "a", "new_field": {"x": [1]}, "host_statuses": []}]});
        assert_eq!(of(&list, &["a", "b"]), Ok(vec![Some(Census::default()), None]));
        assert_eq!(of(&list, &["b"]), Err(NotTheList), "none of ours is there");
        for end in 0..list.to_string().len() {
            assert_eq!(take_census(&list.to_string().as_bytes()[..end], &["a"]), Err(NotTheList));
        }
        let refused = [
            json!({}),
            json!([]),
            json!({"cluster_statuses": {}}),
            json!({"cluster_statuses": [{"name": "a"}, {"name": "a"}]}),
            json!({"cluster_statuses": [{"name": 1}]}),
            json!({"cluster_statuses": [{"name": "a", "host_statuses": [{"health_status": {"failed_outlier_check": 1}}]}]}),
        ];
        for list in refused {
            assert_eq!(of(&list, &["a"]), Err(NotTheList), "{list}");
        }
        assert_eq!(take_census(format!("{list}{list}").as_bytes(), &["a"]), Err(NotTheList));
    }

    #[test]
    fn a_very_long_or_very_deep_list_is_read_without_being_kept() {
        let host =
            r#"{"health_status":{"eds_health_status":"HEALTHY","a":[{"b":[[]]}]},"stats":[{"name":"x","value":"1"}]}"#;
        let hosts = vec![host; 70_000].join(",");
        let list = format!(r#"{{"cluster_statuses":[{{"name":"a","host_statuses":[{hosts}]}}]}}"#);
        let found = take_census(list.as_bytes(), &["a"]).expect("a list");
        assert_eq!(found[0].map(|census| census.total), Some(u16::MAX));
        let deep =
            format!(r#"{{"cluster_statuses":[{{"name":"a","x":{}1{}}}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(take_census(deep.as_bytes(), &["a"]).is_ok());
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = take_census(bytes.as_slice(), &["a"]);
        }

        #[test]
        fn a_list_that_was_damaged_is_read_or_refused(at in 0..ENVOY.len(), byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = ENVOY.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(if cut { at } else { bytes.len() });
            if let Ok(found) = take_census(bytes.as_slice(), &["plain", "checked"]) {
                prop_assert!(found.iter().flatten().all(|census| census.available() <= PerMille::ONE));
            }
        }
    }
}
