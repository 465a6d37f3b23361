//! What a score is made of, shown where somebody asks.
//!
//! A strategy names each figure as it takes it. In a decision nobody listens, and the compiler leaves nothing of the
//! names; in an explanation a list does. So there is one formula, and the terms that are shown are those that decide.

/// A figure that a strategy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Term {
    /// The configured weight.
    Weight,
    /// How well it is, 0 to 1.
    Health,
    /// The part of its usual traffic that it should have now, 0 to 1.
    Part,
    /// What comes to it of the traffic of its tier, 0 to 1.
    Share,
    /// Requests under way, over all workers.
    InFlight,
    /// Latency as routing sees it.
    ResponseTime,
    /// Prompt tokens, as this backend's provider counts them.
    InputTokens,
    /// Those of them that its provider is expected to have in its cache.
    CachedInputTokens,
    /// Tokens that the answer is expected to have.
    OutputTokens,
    /// The expected cost of the request, and one pico-USD.
    Cost,
    /// The configured quality, 0 to 1.
    Quality,
    /// The configured reliability, 0 to 1.
    Reliability,
    /// How good its latency is, 0 to 1.
    Performance,
}

impl Term {
    /// Its name: the key in `score_terms`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Health => "health",
            Self::Part => "part",
            Self::Share => "share",
            Self::InFlight => "in_flight",
            Self::ResponseTime => "response_time_ms",
            Self::InputTokens => "input_tokens",
            Self::CachedInputTokens => "cached_input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Cost => "cost_usd",
            Self::Quality => "quality",
            Self::Reliability => "reliability",
            Self::Performance => "performance",
        }
    }
}

/// Who is shown the working.
pub(super) trait Working {
    /// A figure, on its way into the score.
    fn term(&mut self, term: Term, value: f64) -> f64;
}

/// Nobody.
pub(super) struct Unshown;

impl Working for Unshown {
    #[inline]
    fn term(&mut self, _: Term, value: f64) -> f64 {
        value
    }
}

impl Working for Vec<(Term, f64)> {
    #[inline(never)]
    fn term(&mut self, term: Term, value: f64) -> f64 {
        self.push((term, value));
        value
    }
}
