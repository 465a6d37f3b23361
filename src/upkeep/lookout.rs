//! Envoy's picture of the hosts, from its admin interface.
//!
//! Envoy notices first: it checks hosts and ejects outliers in all its threads. Whoever chooses a cluster without a
//! usable host gets a 503 from Envoy which is never retried. So the picture must be recent, and an old one counts for
//! nothing: it ages out after three intervals.

use std::fmt::Write as _;
use std::time::Duration;

use super::pace::{Pace, UnderWay};
use super::{Answer, Cx};
use crate::alerts::Sight;
use crate::config::{Config, EnvoyAdmin, LogLevel};
use crate::domain::{Backend, Timestamp};
use crate::health::{Census, Hosts, take_census};
use crate::host::Host;
use crate::metrics::{Internal, Metric};
use crate::state::Place;

/// Intervals for which a picture holds.
const HOLDS: u32 = 3;

/// An answer must not take longer, unless the interval is longer still.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A larger list is not looked at. Envoy itself refuses to keep more for a filter.
const LARGEST: usize = 32 << 20;

/// A path that is longer than this asks for all clusters instead.
const LONGEST_PATH: usize = 8 * 1024;

const ALL: &str = "/clusters?format=json";

/// Looks at Envoy's picture every so often.
#[derive(Debug)]
pub(super) struct Lookout {
    admin: EnvoyAdmin,
    path: String,
    pace: Pace,
    under_way: Option<UnderWay>,
    /// What the last look showed.
    sight: LastLook,
}

/// What the last look showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastLook {
    /// There was none.
    None,
    /// The hosts.
    Hosts,
    /// Nothing, and neither did those before it since then.
    Nothing(Timestamp),
}

impl Lookout {
    pub(super) fn new(config: &Config) -> Option<Self> {
        let admin = config.envoy_admin.clone()?;
        let path = path(&config.backends);
        Some(Self { admin, path, pace: Pace::default(), under_way: None, sight: LastLook::None })
    }

    /// What is to be seen of the interface, and for how long a picture holds.
    pub(super) fn sight(&self, now: Timestamp) -> (Sight, Duration) {
        let sight = match self.sight {
            LastLook::None => Sight::Unknown,
            LastLook::Hosts => Sight::Clear,
            LastLook::Nothing(since) => Sight::Blind(now.since(since)),
        };
        (sight, self.admin.interval * HOLDS)
    }

    /// Looks at the clusters of these backends from now on, at once: what an earlier look asked for leaves some out.
    pub(super) fn follow(&mut self, backends: &[Backend]) {
        let path = path(backends);
        if path != self.path {
            (self.path, self.pace, self.under_way) = (path, Pace::default(), None);
        }
    }

    fn timeout(&self) -> Duration {
        self.admin.interval.max(TIMEOUT)
    }

    pub(super) fn tick<H: Host>(&mut self, cx: &mut Cx<'_, H>) {
        let timeout = self.timeout();
        if self.under_way.as_mut().is_some_and(|call| call.is_expected(timeout, cx.now))
            || !self.pace.is_due(self.admin.interval, cx.now)
            || !keeps_any(cx)
        {
            return;
        }
        let headers = [(":method", "GET"), (":path", &*self.path), (":authority", &*self.admin.cluster)];
        match cx.host.call(&self.admin.cluster, &headers, timeout) {
            Some(id) => self.under_way = Some(UnderWay { id, since: cx.now }),
            None => self.saw(cx, false),
        }
    }

    /// Whether this was the answer to a look.
    pub(super) fn answered<H: Host>(&mut self, cx: &mut Cx<'_, H>, answer: &Answer) -> bool {
        if self.under_way.is_none_or(|call| call.id != answer.call) {
            return false;
        }
        self.under_way = None;
        let clusters: Vec<&str> = cx.router.places().map(|(_, backend, _)| &*backend.cluster).collect();
        let picture = match answer.status(cx.host) {
            Some(200) => take_census(answer.body(cx.host, LARGEST), &clusters).ok(),
            _ => None,
        };
        self.saw(cx, picture.is_some());
        let router = cx.router;
        for ((_, backend, place), census) in router.places().zip(picture.into_iter().flatten()) {
            if cx.keeps(place) {
                self.draw(cx, backend, place, census);
            }
        }
        true
    }

    /// Takes note of how one cluster's hosts stand.
    fn draw<H: Host>(&self, cx: &mut Cx<'_, H>, backend: &Backend, place: Place, census: Option<Census>) {
        let (now, holds) = (cx.now, self.admin.interval * HOLDS);
        let before = cx.view.record(place).hosts;
        let after = before.seen(&backend.cluster, census, now.after(holds));
        let is_old = !before.is_valid(now) || before.valid_until.since(now) < holds / 2;
        // Nothing is written at each look but what keeps requests away.
        let is_news = after != Hosts { valid_until: after.valid_until, ..before };
        if !is_news && !is_old && after.available(now) >= 1.0 {
            return;
        }
        cx.change(place, |record| record.hosts = record.hosts.seen(&backend.cluster, census, now.after(holds)));
        let (was, is) = (before.available(now), after.available(now));
        if (was - is).abs() > f64::EPSILON {
            let Census { total, healthy, degraded, ejected, failing } = after.census;
            let level = if is < was { LogLevel::Warn } else { LogLevel::Info };
            cx.log(
                level,
                &[
                    ("event", "hosts".to_owned()),
                    ("backend", backend.id.to_string()),
                    ("cluster", backend.cluster.to_string()),
                    ("available_permille", after.available.get().to_string()),
                    ("total", total.to_string()),
                    ("healthy", healthy.to_string()),
                    ("degraded", degraded.to_string()),
                    ("ejected", ejected.to_string()),
                    ("failing", failing.to_string()),
                ],
            );
        }
    }

    /// Takes note of whether a look showed anything; says so once, when that changes.
    fn saw<H: Host>(&mut self, cx: &Cx<'_, H>, anything: bool) {
        if !anything {
            cx.host.record(Metric::InternalErrors(Internal::EnvoyAdmin), 1);
        }
        if matches!(self.sight, LastLook::Nothing(_)) == anything {
            let (level, state) = if anything { (LogLevel::Info, "readable") } else { (LogLevel::Warn, "unreadable") };
            let fields = [
                ("event", "envoy_admin".to_owned()),
                ("cluster", self.admin.cluster.to_string()),
                ("state", state.to_owned()),
            ];
            cx.log(level, &fields);
        }
        self.sight = match self.sight {
            _ if anything => LastLook::Hosts,
            LastLook::Nothing(since) => LastLook::Nothing(since.min(cx.now)),
            LastLook::None | LastLook::Hosts => LastLook::Nothing(cx.now),
        };
    }
}

/// Whether there is a backend for this configuration to look after.
pub(super) fn keeps_any<H: Host>(cx: &mut Cx<'_, H>) -> bool {
    let router = cx.router;
    router.places().fold(false, |any, (_, _, place)| cx.keeps(place) || any)
}

/// The list of these backends' clusters. Envoy before 1.38 does not know the filter, and lists them all.
fn path(backends: &[Backend]) -> String {
    let mut names: Vec<String> = Vec::with_capacity(backends.len());
    for name in backends.iter().map(|backend| literal(&backend.cluster)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let path = format!("{ALL}&filter=%5E%28{}%29%24", names.join("%7C"));
    if path.len() <= LONGEST_PATH { path } else { ALL.to_owned() }
}

/// A name as a regular expression that matches just it, in a query.
fn literal(name: &str) -> String {
    let mut literal = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            literal.push(char::from(byte));
        } else {
            let _ = write!(literal, "%5C%{byte:02X}");
        }
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::testing::backend;

    #[test]
    fn only_the_clusters_of_the_backends_are_asked_for() {
        assert_eq!(path(&[backend("b"), backend("a"), backend("b")]), "/clusters?format=json&filter=%5E%28b%7Ca%29%24");
        assert_eq!(path(&[backend("a.b|c")]), "/clusters?format=json&filter=%5E%28a%5C%2Eb%5C%7Cc%29%24");
        let many: Vec<_> = (0..256).map(|n| backend(&format!("{n}-a-rather-long-name-of-a-backend"))).collect();
        assert_eq!(path(&many), ALL);
    }
}
