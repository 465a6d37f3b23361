//! The strategies and their names.

/// How the backend is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Each in turn.
    RoundRobin,
    /// In random order, in the shares of the weights.
    Weighted,
    /// In turn, in the shares of the weights, evenly mixed.
    WeightedRoundRobin,
    /// The fewest requests under way.
    LeastConnections,
    /// In the shares of weight times health.
    HealthAware,
    /// The least cost for its quality and speed.
    CostOptimized,
    /// The fastest.
    PerformanceBased,
    /// The best.
    QualityBased,
}

impl Strategy {
    /// Every strategy, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::RoundRobin,
        Self::Weighted,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
        Self::HealthAware,
        Self::CostOptimized,
        Self::PerformanceBased,
        Self::QualityBased,
    ];

    /// Its canonical name: in the configuration, `x-llm-strategy`, metrics and the control API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastConnections => "least_connections",
            Self::HealthAware => "health_aware",
            Self::CostOptimized => "cost_optimized",
            Self::PerformanceBased => "performance_based",
            Self::QualityBased => "quality_based",
        }
    }

    /// The strategy of that canonical name, or of an older system's name for it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "response_time" => Some(Self::PerformanceBased),
            "cost_aware" => Some(Self::CostOptimized),
            "quality_aware" => Some(Self::QualityBased),
            _ => Self::ALL.into_iter().find(|strategy| strategy.name() == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_leaves_no_strategy_out() {
        /// Does not compile with a variant missing: whoever adds one lengthens the chain, and so the list.
        fn next(strategy: Strategy) -> Option<Strategy> {
            match strategy {
                Strategy::RoundRobin => Some(Strategy::Weighted),
                Strategy::Weighted => Some(Strategy::WeightedRoundRobin),
                Strategy::WeightedRoundRobin => Some(Strategy::LeastConnections),
                Strategy::LeastConnections => Some(Strategy::HealthAware),
                Strategy::HealthAware => Some(Strategy::CostOptimized),
                Strategy::CostOptimized => Some(Strategy::PerformanceBased),
                Strategy::PerformanceBased => Some(Strategy::QualityBased),
                Strategy::QualityBased => None,
            }
        }
        let chain: Vec<_> = std::iter::successors(Some(Strategy::RoundRobin), |&strategy| next(strategy)).collect();
        assert_eq!(chain, Strategy::ALL);
    }

    #[test]
    fn a_name_leads_back_to_its_strategy() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::from_name(strategy.name()), Some(strategy));
        }
        assert_eq!(Strategy::from_name("Round_Robin"), None);
        assert_eq!(Strategy::from_name(""), None);
    }

    #[test]
    fn older_names_are_reported_by_the_canonical_one() {
        let canonical = |alias| Strategy::from_name(alias).map(Strategy::name);
        assert_eq!(canonical("response_time"), Some("performance_based"));
        assert_eq!(canonical("cost_aware"), Some("cost_optimized"));
        assert_eq!(canonical("quality_aware"), Some("quality_based"));
    }
}
