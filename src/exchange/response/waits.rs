//! How long an answer was waited for, and what was wrong with it if nobody can use it: what is learned besides its end.

use std::time::Duration;

use super::Answer;
use crate::domain::{Api, Ending, Purpose, Timestamp};
use crate::exchange::Context;
use crate::exchange::purse::answer_tokens;
use crate::health::{Unusable, Verdict};
use crate::host::Host;
use crate::learning::{Awaited, Wait};
use crate::protocol::AnswerFacts;
use crate::state::Outcome;
use crate::tokens;

impl Answer {
    /// How long the client waited, as far as that is held against what is usual, and whether it was too long. Nothing
    /// where nobody knows for whom it waited.
    pub(super) fn wait<H: Host>(
        &self,
        cx: &Context<'_, H>,
        facts: Option<&AnswerFacts>,
        ending: Ending,
    ) -> Option<(Option<Wait>, bool)> {
        let took = self.waited().filter(|_| ending == Ending::Success && !self.is_tunnel())?;
        let (backend, place) = cx.router.backend(self.backend).zip(cx.router.place(self.backend))?;
        if let Some(slow) = backend.breaker?.slow_response {
            return Some((None, took > slow));
        }
        // Of other services one request may be a thousand times the work of another.
        let facts_of = &self.route.facts;
        if facts_of.purpose != Purpose::Inference {
            return Some((None, false));
        }
        let awaited = if self.first_token.is_some() {
            Awaited::FirstContent
        } else if facts_of.api == Api::Embeddings {
            Awaited::Embeddings
        } else {
            let told = |facts| answer_tokens(facts, self.passed);
            Awaited::Answer(facts.map_or(tokens::by_size(self.passed), told))
        };
        let wait = Wait { awaited, prompt: facts_of.prompt_tokens(self.route.text), took };
        let slow = cx.view.record(place).usual.is_slow(&wait, backend.expected_response_time);
        Some((Some(wait), slow))
    }

    /// How long it took to fail, if it did. The attempts before it took their part of that.
    pub(super) fn failed_after(&self, ending: Ending, now: Timestamp) -> Option<Duration> {
        let failed = matches!(ending, Ending::Failed(_) | Ending::Misconfigured(_) | Ending::RateLimited);
        failed.then(|| now.since(self.route.departed) / self.attempts.unwrap_or(1).max(1))
    }

    /// What was wrong with an answer that nobody can use.
    pub(super) fn unusable<H: Host>(&self, cx: &Context<'_, H>, outcome: &Outcome) -> Option<Unusable> {
        let Verdict::Misfit(why) = outcome.verdict else { return None };
        let source = outcome.source;
        // A backend that has served somebody a moment ago is not condemned for what one client gets.
        let serves = cx
            .router
            .place(self.backend)
            .is_some_and(|place| cx.view.record(place).breaker.has_served_anybody(outcome.at));
        let is_elsewhere = |source| cx.is_served_elsewhere(self.backend, source, outcome.at);
        let served_elsewhere = !serves && source.is_some_and(is_elsewhere);
        Some(Unusable { why, status: self.status.unwrap_or(0), source, served_elsewhere })
    }

    /// How long the backend let the client wait: for a whole answer's headers, or for the first piece of a stream. How
    /// long an answer goes on is a matter of how much there is to say, and of how fast the client reads. None where the
    /// client had not sent all of its request: then nobody knows who waited for whom.
    pub(super) fn waited(&self) -> Option<Duration> {
        let until = self.first_token.or(self.headed).filter(|_| self.route.whole);
        Some(until?.since(self.route.departed))
    }
}
