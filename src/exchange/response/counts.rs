//! What is counted of an answer: its end, how long it took, and its tokens.

use super::Answer;
use crate::domain::{Ending, Timestamp, Usage};
use crate::exchange::Context;
use crate::host::Host;
use crate::metrics::{Metric, Status, TokenKind};
use crate::protocol::AnswerFacts;

impl Answer {
    /// Before anything is learned from it: the estimate is judged as it was when it was made, or nearly.
    pub(super) fn count<H: Host>(&self, cx: &mut Context<'_, H>, ending: Ending, facts: &AnswerFacts, now: Timestamp) {
        let (host, backend, status) = (cx.host, self.backend, Status::from(ending));
        host.record(Metric::Requests { backend, status, method: self.route.method }, 1);
        host.record(Metric::Duration { backend, status }, now.since(self.route.departed).as_millis() as u64);
        if let Some(at) = self.first_token {
            host.record(Metric::FirstToken(backend), at.since(self.route.departed).as_millis() as u64);
        }
        let is_evidence = || cx.router.backend(backend).is_some_and(|backend| self.route.facts.is_evidence(backend));
        if matches!(ending, Ending::Failed(_)) && is_evidence() {
            host.record(Metric::BreakerFailures(backend), 1);
        }
        if let Some((left, after)) = self.left.filter(|_| ending == Ending::Success) {
            host.record(Metric::FailoversSucceeded(left), 1);
            host.record(Metric::FailoverTime(left), after.as_millis() as u64);
        }
        if let Some(usage) = &facts.usage {
            self.count_usage(cx, usage, now);
        }
    }

    /// What the provider says that the answer took.
    fn count_usage<H: Host>(&self, cx: &mut Context<'_, H>, usage: &Usage, now: Timestamp) {
        let (host, backend) = (cx.host, self.backend);
        for (kind, tokens) in [
            (TokenKind::Input, usage.input),
            (TokenKind::CachedInput, usage.cached_input),
            (TokenKind::Output, usage.output),
        ] {
            if tokens.0 > 0 {
                host.record(Metric::Tokens { backend, kind }, tokens.0);
            }
        }
        // The first token is not waited for by the token.
        if let Some((at, others)) = self.first_token.zip(usage.output.0.checked_sub(1).filter(|&others| others > 0)) {
            host.record(Metric::PerToken(backend), now.since(at).as_micros() as u64 / others);
        }
        if self.route.understood && usage.input.0 > 0 {
            let estimate = cx.router.estimate(cx.view, &self.route, backend).input;
            let error = u128::from(estimate.0.abs_diff(usage.input.0)) * 1_000 / u128::from(usage.input.0);
            host.record(Metric::EstimateError(backend), u64::try_from(error).unwrap_or(u64::MAX));
        }
    }
}
