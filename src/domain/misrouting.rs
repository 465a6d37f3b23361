//! Ways in which an Envoy's own configuration keeps the router from doing its work.

/// One way. Each has a name, which is a label of the metric, and a cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Misrouting {
    /// Another cluster answered than the one that was decided.
    RouteIgnoresDecision,
    /// Envoy retried, and each attempt went to the same cluster.
    RetriesInOneCluster,
    /// Envoy has no cluster of that name.
    UnknownCluster,
    /// The body of a request that the router held never came to it.
    BodyNotSeen,
    /// The route's own timeout ends a request before its backend's `timeout_seconds` can.
    TimeoutIneffective,
}

impl Misrouting {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::RouteIgnoresDecision,
        Self::RetriesInOneCluster,
        Self::UnknownCluster,
        Self::BodyNotSeen,
        Self::TimeoutIneffective,
    ];

    /// Its name in metrics, logs and the control API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RouteIgnoresDecision => "route_ignores_decision",
            Self::RetriesInOneCluster => "retries_in_one_cluster",
            Self::UnknownCluster => "unknown_cluster",
            Self::BodyNotSeen => "body_not_seen",
            Self::TimeoutIneffective => "timeout_ineffective",
        }
    }

    /// What to do about it.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::RouteIgnoresDecision => {
                "let the route pick the cluster by the router's headers: cluster_header: x-llm-cluster, or the matcher \
                 of envoy/envoy.yaml with an entry for every backend's cluster and without on_no_match; and let a \
                 backend's cluster be the name of the cluster that its route leads to"
            }
            Self::RetriesInOneCluster => {
                "let retries pick their cluster anew: the matcher of envoy/envoy.yaml with refresh_cluster_on_retry \
                 (Envoy 1.39 or later) and an entry for every backend's cluster; or set retry.max_attempts to 1"
            }
            Self::UnknownCluster => {
                "add the cluster to Envoy, or correct the backend's cluster; with the matcher of envoy/envoy.yaml add \
                 the cluster to its map; drain a backend before its cluster is removed"
            }
            Self::BodyNotSeen => {
                "set allow_on_headers_stop_iteration: true in the router's Wasm filter (Envoy 1.35 or later)"
            }
            Self::TimeoutIneffective => {
                "set the route's timeout above the largest timeout_seconds, times the attempts that a request may have"
            }
        }
    }

    /// Its number in shared data.
    pub const fn code(self) -> u8 {
        match self {
            Self::RouteIgnoresDecision => 0,
            Self::RetriesInOneCluster => 1,
            Self::UnknownCluster => 2,
            Self::BodyNotSeen => 3,
            Self::TimeoutIneffective => 4,
        }
    }

    /// By its number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}
