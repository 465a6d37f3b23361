//! What Envoy counts.

use std::collections::BTreeMap;

/// Counters and gauges by name.
#[derive(Debug, Clone, Default)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// From the text of `/stats`; histograms and text values are left out.
    pub(super) fn parse(text: &str) -> Self {
        let numbers = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(numbers.collect())
    }

    /// A counter or gauge; 0 where Envoy does not know it (yet).
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The sum of those whose name contains all the parts.
    pub fn sum(&self, parts: &[&str]) -> u64 {
        self.matching(parts).map(|(_, value)| value).sum()
    }

    /// Those whose name contains all the parts.
    pub fn matching<'a>(&'a self, parts: &'a [&str]) -> impl Iterator<Item = (&'a str, u64)> {
        let all = self.0.iter().filter(|(name, _)| parts.iter().all(|part| name.contains(part)));
        all.map(|(name, value)| (name.as_str(), *value))
    }
}

/// The text of `/stats/prometheus`.
#[derive(Debug, Clone)]
pub struct Prometheus(pub String);

impl Prometheus {
    /// The sum of all samples of this metric that have all these labels; `None` without any.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (tags, value) = rest.rsplit_once(' ')?;
            let tags = tags.strip_prefix('{')?.strip_suffix('}')?;
            let has = |(key, wanted): &(&str, &str)| {
                let tag = format!("{key}=\"{wanted}\"");
                tags == tag || tags.starts_with(&format!("{tag},")) || tags.contains(&format!(",{tag}"))
            };
            if labels.iter().all(has) { value.parse::<f64>().ok() } else { None }
        });
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_and_the_rest_is_not() {
        let stats = Stats::parse("a.b.c: 3\na.b.d: 4\nh: P0(nan,1.0) P25(nan,1.0)\nversion: \"x\"\n");
        assert_eq!((stats.get("a.b.c"), stats.get("h"), stats.sum(&["a.b"])), (3, 0, 7));
    }

    #[test]
    fn samples_are_summed_over_the_labels_that_were_not_asked_for() {
        let text =
            "# TYPE m counter\nm{} 1\nm{backend_id=\"a\",status=\"ok\"} 2\nm{x=\"y\",backend_id=\"a\"} 3\nm_x{} 9\n";
        let prometheus = Prometheus(text.to_owned());
        assert_eq!(prometheus.metric("m", &[("backend_id", "a")]), Some(5.0));
        assert_eq!(prometheus.metric("m", &[]), Some(6.0));
        assert_eq!(prometheus.metric("m", &[("backend_id", "b")]), None);
    }
}
