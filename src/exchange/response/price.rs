//! What an answer costs, found once; and told to the client while there is still something to tell it in.
//!
//! An answer's headers leave before anybody knows what it costs. Envoy lets a filter add trailers with the last piece of
//! a body, also where the backend sends none, and HTTP/2 and HTTP/3 carry them to any client. Over HTTP/1.1 Envoy sends
//! trailers only where its listener is told to, to clients that say that they take them: nothing is added there. An
//! answer that breaks off has no trailers.

use super::Answer;
use crate::cost::Bill;
use crate::domain::{Ending, Purpose, Timestamp, Usage};
use crate::exchange::Context;
use crate::exchange::purse::Due;
use crate::exchange::request::guess;
use crate::host::{Host, Property};
use crate::protocol::AnswerFacts;

impl Answer {
    /// What it costs. The first who asks has it noted and counted, at the end of the answer; all others are told the same.
    pub(super) fn price<H: Host>(
        &mut self,
        cx: &mut Context<'_, H>,
        ending: Ending,
        facts: &AnswerFacts,
        now: Timestamp,
    ) -> Bill {
        if let Some((_, bill)) = self.priced {
            return bill;
        }
        if !self.route.understood {
            // It was decided by a guess; now it is known how much there was.
            self.route.facts.guessed_tokens = guess(self.route.measure, self.route.sent);
        }
        let (status, sent, passed, complete) = (self.status, self.attempts.is_some(), self.passed, self.complete);
        let due = Due { ending, status, facts, sent, passed, complete };
        let bill = cx.bill(&self.route, self.backend, &due, now);
        self.priced = Some((*facts, bill));
        bill
    }

    /// Tells the client of a stream what it took, in trailers: its last piece is here, or the backend's own trailers are.
    pub(in crate::exchange) fn tell_cost<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        let route = &self.route;
        let is_priced = route.facts.stream && route.facts.purpose == Purpose::Inference && route.asked;
        let is_ours = self.attempts.is_some() && !self.is_stray && self.priced.is_none() && !self.is_tunnel();
        if !is_priced || !is_ours || !self.complete || !cx.router.config().response_headers {
            return;
        }
        let protocol = cx.host.property(Property::Protocol);
        if !protocol.is_some_and(|protocol| protocol == b"HTTP/2" || protocol == b"HTTP/3") {
            return;
        }
        let now = cx.host.now();
        let facts = self.facts(cx);
        let ending = self.ending(cx, &facts);
        let Bill { usage, cost, estimated } = self.price(cx, ending, &facts, now);
        if usage == Usage::default() {
            return;
        }
        for (name, number) in [
            ("x-llm-input-tokens", usage.input.0),
            ("x-llm-output-tokens", usage.output.0),
            ("x-llm-cost-micro-usd", cost.micro_usd()),
        ] {
            cx.host.add_response_trailer(name, number.to_string().as_bytes());
        }
        cx.host.add_response_trailer("x-llm-usage", if estimated { b"estimated" } else { b"reported" });
    }
}
