//! Clusters of Envoy that say in their metadata that they are backends.
//!
//! Envoy tells of them on its admin interface: of those that its bootstrap has, which never change, and of those that come
//! and go by discovery (CDS). What is found goes into the document of what was changed at run time, and from there to all
//! workers. A cluster that is not there any more drains for an interval before it is no backend any more: Envoy lets what
//! is under way there finish. Where nothing can be read, what was found stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::pace::{Pace, UnderWay};
use super::{Answer, Cx};
use crate::config::{Config, EnvoyAdmin, Found, LogLevel, MOST_BACKENDS, discovered};
use crate::host::Host;
use crate::metrics::{Internal, Metric};
use crate::steering::MOST_IDS;

/// A longer answer is not looked at: of that are thousands of clusters.
const LARGEST: usize = 1 << 20;

const TIMEOUT: Duration = Duration::from_secs(5);

const BOOTSTRAP: &str = "/config_dump?resource=static_clusters&mask=cluster.name,cluster.metadata";
const CURRENT: &str = "/config_dump?resource=dynamic_active_clusters&mask=cluster.name,cluster.metadata";

/// Looks at all clusters every so often.
#[derive(Debug)]
pub(super) struct Discovery {
    admin: EnvoyAdmin,
    namespace: Box<str>,
    pace: Pace,
    under_way: Option<UnderWay>,
    /// Those of the bootstrap, once they are known.
    bootstrap: Option<Vec<Found>>,
    /// The mistakes that were told of.
    told: BTreeSet<String>,
}

impl Discovery {
    pub(super) fn new(config: &Config) -> Option<Self> {
        let (admin, namespace) = (config.envoy_admin.clone()?, config.discovery.clone()?);
        Some(Self { admin, namespace, pace: Pace::default(), under_way: None, bootstrap: None, told: BTreeSet::new() })
    }

    pub(super) fn tick<H: Host>(&mut self, cx: &mut Cx<'_, H>) {
        if self.under_way.as_mut().is_some_and(|call| call.is_expected(TIMEOUT, cx.now))
            || !self.pace.is_due(self.admin.interval, cx.now)
            || !super::lookout::keeps_any(cx)
        {
            return;
        }
        let path = if self.bootstrap.is_none() { BOOTSTRAP } else { CURRENT };
        let headers = [(":method", "GET"), (":path", path), (":authority", &*self.admin.cluster)];
        let call = cx.host.call(&self.admin.cluster, &headers, TIMEOUT);
        self.under_way = call.map(|id| UnderWay { id, since: cx.now });
        if call.is_none() {
            cx.host.record(Metric::InternalErrors(Internal::EnvoyAdmin), 1);
        }
    }

    /// Whether this was the answer to a look.
    pub(super) fn answered<H: Host>(&mut self, cx: &Cx<'_, H>, answer: &Answer) -> bool {
        if self.under_way.is_none_or(|call| call.id != answer.call) {
            return false;
        }
        self.under_way = None;
        let is_whole = answer.status(cx.host) == Some(200) && answer.body <= LARGEST;
        let dump = if is_whole { cx.host.call_body(0, answer.body) } else { None };
        match (dump.and_then(|dump| discovered(&dump, &self.namespace)), &self.bootstrap) {
            (None, _) => cx.host.record(Metric::InternalErrors(Internal::EnvoyAdmin), 1),
            (Some(found), None) => {
                self.bootstrap = Some(found);
                // Those that came since are asked for at once.
                self.pace = Pace::default();
            }
            (Some(current), Some(bootstrap)) => {
                let mistakes = saw(cx, &bootstrap.iter().chain(&current).collect::<Vec<_>>());
                self.tell_mistakes(cx, mistakes);
            }
        }
        true
    }

    /// Each mistake is told once, as long as it lasts.
    fn tell_mistakes<H: Host>(&mut self, cx: &Cx<'_, H>, mistakes: Vec<String>) {
        for mistake in mistakes.iter().filter(|mistake| !self.told.contains(mistake.as_str())) {
            cx.host.record(Metric::InternalErrors(Internal::Discovery), 1);
            tell(cx, LogLevel::Warn, ("mistake", mistake), "refused");
        }
        self.told = mistakes.into_iter().collect();
    }
}

/// Takes what was found for all that there is. Returns what is wrong with some of it.
fn saw<H: Host>(cx: &Cx<'_, H>, found: &[&Found]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut kept = Vec::with_capacity(found.len());
    let (backends, steering) = (&cx.router.config().backends, cx.router.steering());
    let mut room = MOST_BACKENDS.saturating_sub(backends.len());
    let mut has_room = |id: &str| {
        let is_there = backends.iter().any(|backend| *backend.id == *id) || steering.is_removed(id);
        let has_room = is_there || room > 0;
        room -= usize::from(has_room && !is_there);
        has_room
    };
    // Of two clusters that give one id, it is the first one's by name: Envoy tells of them in any order.
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for &each in found {
        if let Ok((backend, _)) = &each.backend {
            let owner = owners.entry(&backend.id).or_insert(&each.cluster);
            *owner = (*owner).min(&each.cluster);
        }
    }
    for &each in found {
        let is_anothers = |id: &str| owners.get(id).is_some_and(|owner| *owner != each.cluster);
        let mistake = match &each.backend {
            Err(errors) => Some(errors.listed()),
            Ok((backend, _)) if is_anothers(&backend.id) => Some(format!("id: {} is that of another", backend.id)),
            Ok((backend, _)) if !cx.view.knows(&backend.id) && cx.view.known() >= MOST_IDS => {
                Some("too many ids were discovered since Envoy started".to_owned())
            }
            Ok((backend, _)) if !has_room(&backend.id) => Some("there are as many backends as there may be".to_owned()),
            Ok(_) => None,
        };
        // What describes itself wrongly is there all the same.
        if mistake.is_none() || each.backend.is_err() {
            kept.push(each);
        }
        mistakes.extend(mistake.map(|mistake| format!("{}: {mistake}", each.cluster)));
    }
    match cx.router.steering().discover(cx.host, &kept) {
        Ok(Some(fates)) => {
            // What is configured as well is not in effect as it was discovered.
            let is_news = |id: &str| cx.router.steering().configured_backend(id).is_none();
            for (id, fate) in fates.iter().filter(|(id, _)| is_news(id)) {
                tell(cx, LogLevel::Info, ("backend", id), fate.name());
            }
        }
        Ok(None) => mistakes.push("all that was discovered takes more room than there is for it".to_owned()),
        Err(_) => cx.host.record(Metric::InternalErrors(Internal::SharedData), 1),
    }
    mistakes
}

fn tell<H: Host>(cx: &Cx<'_, H>, level: LogLevel, (key, what): (&'static str, &str), state: &str) {
    cx.log(level, &[("event", "discovery".to_owned()), ("state", state.to_owned()), (key, what.to_owned())]);
}
