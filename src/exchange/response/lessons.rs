//! What is learned from an answer: how the backend is, how long it takes, how many tokens it counts and writes.

use super::Answer;
use crate::domain::{Api, Ending, Purpose, Timestamp, Tokens, Usage};
use crate::exchange::Context;
use crate::exchange::purse::answer_tokens;
use crate::health::{Source, Verdict};
use crate::host::Host;
use crate::learning::Length;
use crate::protocol::AnswerFacts;
use crate::state::{Counted, Outcome};
use crate::tokens::Pair;

impl Answer {
    /// Tells the backend's record what this answer shows, each figure only where it means something.
    pub(super) fn learn<H: Host>(
        &mut self,
        cx: &mut Context<'_, H>,
        ending: Ending,
        facts: &AnswerFacts,
        now: Timestamp,
    ) {
        let Some(backend) = cx.router.backend(self.backend) else { return };
        let facts_of = &self.route.facts;
        if facts_of.purpose == Purpose::Free {
            return;
        }
        let held = self.held.take();
        let mut outcome = Outcome::new(backend, held.map(|held| held.pass), self.verdict(ending), now);
        if !facts_of.is_evidence(backend) {
            // How files and batches fare is seen in its health, and says nothing of its models.
            outcome.unreported = held.filter(|_| ending != Ending::NotSent).map(|held| held.tokens);
            cx.learn(self.backend, held, &outcome.sparing_the_breaker());
            return;
        }
        outcome.answered = (ending == Ending::Success).then_some(self.route.departed);
        outcome.unreported = held.filter(|held| !held.reported && ending != Ending::NotSent).map(|held| held.tokens);
        outcome.at_capacity = held.filter(|_| ending == Ending::Success).and_then(|held| cx.at_capacity(&held, now));
        let answered = ending == Ending::Success && !self.is_tunnel();
        // Of an API that is not known, what looks like usage may be anything.
        let counts_tokens = answered && (facts_of.api != Api::Other || self.route.understood);
        // How long the attempts before this one took is not known, so its own time is not either.
        if answered && self.attempts == Some(1) {
            outcome.response_time = Some(now.since(self.route.departed));
            outcome.stands_for = self.route.attempts.explores().unwrap_or(1);
            outcome.first_token = self.first_token.map(|at| at.since(self.route.departed));
            let (wait, slow) = self.wait(cx, Some(facts), ending).unzip();
            outcome.wait = wait.flatten().zip(slow);
            if slow == Some(true) {
                outcome.verdict = Verdict::Slow;
            }
        }
        outcome.failed_after = self.failed_after(ending, now);
        outcome.source = cx.source(self.backend, self.route.tenant.as_deref(), outcome.verdict, now);
        outcome.unusable = self.unusable(cx, &outcome);
        // A file that it gives out says nothing of whether it can answer a question; only where files are all there is.
        let is_purpose = facts_of.purpose == Purpose::Inference || facts_of.api == Api::Other;
        outcome.serves = is_purpose && matches!(outcome.verdict, Verdict::Well | Verdict::Slow);
        let reports_prompt = |usage: &Usage| counts_tokens && usage.input > Tokens(0);
        if let Some(Usage { input, .. }) = facts.usage.filter(reports_prompt) {
            let reported = Tokens(input.0.saturating_sub(facts_of.exact_tokens.0));
            let teaches = self.route.understood && !facts_of.has_unseen_prompt && facts_of.guessed_tokens.0 == 0;
            outcome.prompt = teaches.then(|| {
                let client = outcome.source.or_else(|| cx.client(self.route.tenant.as_deref()));
                let pair = Pair::new(facts_of.api, facts_of.model_tag());
                Counted { estimated: self.estimated(), reported, pair, client: client.map_or(0, Source::client) }
            });
        }
        let is_told = facts_of.purpose == Purpose::Inference || facts.usage.is_some();
        let has_length = counts_tokens && is_told && facts_of.api != Api::Embeddings;
        if let Some(output) = self.length(facts).filter(|_| has_length) {
            let length = Length::new(facts_of, self.route.text, output, facts.usage.as_ref());
            outcome.length = Some(Length { expected: cx.expected_length(&self.route, self.backend), ..length });
        }
        if let Some((counted, place)) = outcome.prompt.zip(cx.router.place(self.backend)) {
            cx.view.auditor().count(place, self.route.facts.model.take(), counted);
        }
        cx.learn(self.backend, held, &outcome);
    }

    /// Tokens of the answer: as reported, or, as in a bill, as seen.
    fn length(&self, facts: &AnswerFacts) -> Option<Tokens> {
        let length = answer_tokens(facts, self.passed);
        (facts.usage.is_some() || (self.route.customer.pays && length.0 > 0)).then_some(length)
    }

    /// What calibration corrects: the estimate, without the tokens that were given as such.
    pub(in crate::exchange) const fn estimated(&self) -> Tokens {
        Tokens(self.route.text.0.saturating_add(self.route.facts.fixed_tokens.0))
    }
}
