//! Whether Envoy sent a request where it was decided to go.
//!
//! The router only names clusters; the route has to pick them. A route that picks others, or that cannot retry
//! elsewhere, would otherwise look like backends that fail, or that are fast, or that cost nothing. Envoy says which
//! cluster answered, for some 0.3 us. So that is asked of the first answers of a configuration, of a share of the later
//! ones, of each that is odd, and of all once one came from elsewhere: then what an answer teaches and costs is counted
//! where it came from.

use std::time::Duration;

use super::ending::Flags;
use super::intake::Intake;
use super::router::Route;
use super::{Context, Router};
use crate::domain::{BackendIndex, Misrouting, Timestamp};
use crate::host::{Host, Property};
use crate::state::{Store, StoreError, Warning, warnings};

/// Answers of a configuration that are all looked at.
const FIRST: u32 = 16;

/// Of the later ones, one in so many is.
const EVERY: u32 = 64;

/// How long a cluster that Envoy did not know is left alone, unless the next look at Envoy's clusters shows it.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// Names longer than Envoy's longest cluster's are cut.
const LONGEST_NAME: usize = 255;

/// When answers are asked where they come from.
#[derive(Debug, Default)]
pub(super) struct RouteCheck {
    answers: u32,
    /// Whether one came from elsewhere.
    strays: bool,
}

impl RouteCheck {
    /// Whether the next answer is asked, even if nothing is odd about it.
    const fn is_due(&mut self) -> bool {
        self.answers = self.answers.wrapping_add(1);
        self.strays || self.answers <= FIRST || self.answers.is_multiple_of(EVERY)
    }
}

/// Where the attempts of a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trail {
    /// The last place of the plan that an attempt went to; none if no attempt followed the plan.
    followed: Option<usize>,
    /// Who answered; none if that cluster is no backend's.
    pub(super) answering: Option<BackendIndex>,
}

impl Trail {
    /// The attempts went to where they were to go, the last of them to this place of the plan.
    pub(super) fn planned(plan: &[BackendIndex], last: usize) -> Self {
        let last = last.min(plan.len().saturating_sub(1));
        Self { followed: Some(last), answering: plan.get(last).copied() }
    }

    /// Where the attempt of that number went.
    pub(super) fn attempt(&self, plan: &[BackendIndex], number: usize) -> Option<BackendIndex> {
        match self.followed {
            Some(last) => plan.get(number.min(last)).copied(),
            None => self.answering,
        }
    }
}

impl Router {
    /// The signs that Envoy's configuration does not fit this one.
    ///
    /// # Errors
    ///
    /// Shared data cannot be read.
    pub(crate) fn warnings(&self, store: &impl Store, now: Timestamp) -> Result<Vec<Warning>, StoreError> {
        let mut all = warnings(store, self.configuration, now)?;
        // A backend that was removed together with its cluster is nobody's concern any more.
        let is_in_use = |cluster: &str| self.config.backends.iter().any(|backend| *backend.cluster == *cluster);
        all.retain(|warning| warning.kind != Misrouting::UnknownCluster || is_in_use(&warning.decided));
        Ok(all)
    }
}

impl<H: Host> Context<'_, H> {
    /// Where the attempts of a request went, of which so many failed before the one that was answered.
    pub(super) fn trail(&mut self, route: &Route, failed: usize, is_odd: bool) -> Trail {
        let plan = route.attempts.as_slice();
        let planned = Trail::planned(plan, failed);
        if !(self.router.route_check.is_due() || is_odd) {
            return planned;
        }
        // Where there is no name, the last attempt found no cluster.
        let Some(answered) = self.host.property(Property::ClusterName).filter(|name| !name.is_empty()) else {
            return planned;
        };
        if planned.answering.is_some_and(|index| self.is_cluster_of(&answered, index)) {
            return planned;
        }
        self.trail_off_plan(plan, failed, &answered)
    }

    #[cold]
    fn trail_off_plan(&mut self, plan: &[BackendIndex], failed: usize, answered: &[u8]) -> Trail {
        let expected = failed.min(plan.len().saturating_sub(1));
        let decided = plan.get(expected).copied();
        let before = plan.iter().take(expected).rposition(|&index| self.is_cluster_of(answered, index));
        if let Some(place) = before {
            // The retries did not leave it.
            self.warn_of(Misrouting::RetriesInOneCluster, decided, answered);
            return Trail::planned(plan, place);
        }
        self.warn_of(Misrouting::RouteIgnoresDecision, decided, answered);
        let planned = plan.iter().copied().find(|&index| self.is_cluster_of(answered, index));
        let answering = planned.or_else(|| {
            let mut all = self.router.places().map(|(index, ..)| index);
            all.find(|&index| self.is_cluster_of(answered, index))
        });
        // Some routes send only those retries elsewhere for which there is no plan.
        let is_beyond = failed >= plan.len() && !self.router.route_check.strays;
        if is_beyond {
            return Trail { followed: Some(expected), answering };
        }
        self.router.route_check.strays = true;
        Trail { followed: None, answering }
    }

    fn is_cluster_of(&self, name: &[u8], index: BackendIndex) -> bool {
        self.router.backend(index).is_some_and(|backend| backend.cluster.as_bytes() == name)
    }

    fn warn_of(&mut self, kind: Misrouting, decided: Option<BackendIndex>, answered: &[u8]) {
        let answered = String::from_utf8_lossy(answered.get(..LONGEST_NAME).unwrap_or(answered));
        let decided = decided.and_then(|index| self.router.backend(index)).map_or("", |backend| &*backend.cluster);
        let clusters = (decided, &*answered);
        self.view.sightings().add(kind, self.router.configuration, clusters, self.host.now());
    }

    /// A request that never left Envoy: if that is because Envoy has no such cluster, it is said so, and nobody sends
    /// more there until somebody has seen the cluster, or a while has passed.
    #[cold]
    pub(super) fn note_unknown_cluster(&mut self, index: BackendIndex) {
        let flags = Flags(self.host.number(Property::ResponseFlags).unwrap_or(0));
        let Some((backend, place)) = self.router.backend(index).zip(self.router.place(index)) else { return };
        if !flags.has_no_cluster() {
            return;
        }
        let (cluster, now) = (&*backend.cluster, self.host.now());
        let until = now.after(LEFT_ALONE);
        let written =
            self.view.change(self.host, place, now, |record| record.hosts = record.hosts.seen(cluster, None, until));
        if let Err(error) = written {
            self.note(error);
        }
        self.router.announce(self.view, self.host);
        self.warn_of(Misrouting::UnknownCluster, Some(index), b"");
    }

    /// A request that was to be retried after its backend's timeout, and was ended by the route's own before that.
    #[cold]
    pub(super) fn note_timeout(&mut self, route: &Route, attempts: Option<u32>) {
        let is_first = attempts == Some(1) && route.timeout.is_some() && route.attempts.as_slice().len() > 1;
        if is_first && self.host.property(Property::CodeDetails).is_some_and(|details| details == b"response_timeout") {
            self.warn_of(Misrouting::TimeoutIneffective, Some(route.attempts.first()), b"");
        }
    }

    /// A request that ended, or that waits for long, while its headers were held: whether Envoy has some of its body, and
    /// did not show it.
    #[cold]
    pub fn note_unseen_body(&mut self, header_bytes: u64) -> bool {
        let is_unseen = self.host.number(Property::RequestBytes).is_some_and(|bytes| bytes > header_bytes);
        if is_unseen {
            self.warn_of(Misrouting::BodyNotSeen, None, b"");
        }
        is_unseen
    }
}

impl Intake {
    /// Bytes of the headers, if nothing of the body was seen.
    pub(super) const fn bytes_without_body(&self) -> Option<u64> {
        if self.held == 0 { Some(self.header_bytes) } else { None }
    }
}
