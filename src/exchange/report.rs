//! What is told of a request that is over, and to whom: the log, Envoy's access logs, the journal. Each is told only
//! where somebody wants to know, and none of them more than figures and names.

use std::borrow::Cow;
use std::time::Duration;

use super::decision::{Upshot, decision_name, request_name};
use super::response::Answer;
use super::{Context, Refusal, Router};
use crate::config::LogLevel;
use crate::cost::price_of;
use crate::domain::{Ending, PicoUsd, Usage};
use crate::host::Host;
use crate::logging;
use crate::protocol::AnswerFacts;
use crate::routing::Strategy;

/// The ids of a decision and of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids<'a> {
    pub(super) decision: u64,
    /// What Envoy calls the request; no bytes where it does not.
    pub(super) request: &'a [u8],
}

impl Ids<'_> {
    /// As fields of a log line: first of all, what it is about.
    fn fields(self, event: &'static str) -> Vec<(&'static str, String)> {
        let mut fields = vec![("event", event.to_owned()), ("decision_id", decision_name(self.decision))];
        if !self.request.is_empty() {
            fields.push(("request_id", request_name(self.request)));
        }
        fields
    }
}

impl Router {
    /// Whether this decision is one of those that are logged: the same share of any set of them, and whoever knows the
    /// id of one knows the answer.
    fn logs(&self, decision: u64) -> bool {
        let share = u64::from(self.config().logging.decisions.get());
        share > 0 && decision % 1_000 < share
    }
}

impl Answer {
    /// Tells whoever wants to know how it ended.
    pub(super) fn report<H: Host>(
        &self,
        cx: &mut Context<'_, H>,
        ending: Ending,
        facts: &AnswerFacts,
        duration: Duration,
    ) {
        let logs = cx.router.logs(self.route.id);
        let leaves_words = cx.router.config().logging.filter_state;
        if !(logs || leaves_words || self.route.is_noted) {
            return;
        }
        let usage = facts.usage.zip(cx.router.backend(self.backend));
        let usage = usage.map(|(usage, backend)| (usage, price_of(&usage, &backend.prices)));
        if logs {
            self.log(cx, ending, usage, duration);
        }
        if leaves_words {
            self.leave_words(cx, usage);
        }
        if self.route.is_noted {
            let upshot = Upshot {
                status: self.status.unwrap_or(0),
                response_time: duration,
                attempts_made: self.attempts.unwrap_or(0),
                answered_by: Cow::Owned(self.attempts.map_or("", |_| self.name(cx)).to_owned()),
                ending: Cow::Borrowed(ending.name()),
                usage,
            };
            cx.view.journal().end(self.route.id, upshot.encode());
        }
    }

    fn name<'a, H>(&self, cx: &'a Context<'_, H>) -> &'a str {
        cx.router.backend(self.backend).map_or("", |backend| &backend.id)
    }

    fn log<H: Host>(&self, cx: &Context<'_, H>, ending: Ending, usage: Option<(Usage, PicoUsd)>, duration: Duration) {
        let mut fields = Ids { decision: self.route.id, request: &self.route.request_id }.fields("decision");
        fields.extend([
            ("backend", self.name(cx).to_owned()),
            ("strategy", self.route.strategy.name().to_owned()),
            ("estimated_tokens", self.estimated().0.to_string()),
            ("attempts", self.attempts.unwrap_or(0).to_string()),
            ("status", self.status.unwrap_or(0).to_string()),
            ("ending", ending.name().to_owned()),
            ("duration_ms", duration.as_millis().to_string()),
        ]);
        if let Some((usage, cost)) = usage {
            fields.push(("input_tokens", usage.input.0.to_string()));
            fields.push(("output_tokens", usage.output.0.to_string()));
            fields.push(("cost_micro_usd", cost.micro_usd().to_string()));
        }
        cx.host.log(LogLevel::Info, &logging::line(cx.router.config().logging.format, &fields));
    }

    /// Values for access logs. Each costs Envoy half a microsecond, so that there are none unless somebody wants them.
    fn leave_words<H: Host>(&self, cx: &Context<'_, H>, usage: Option<(Usage, PicoUsd)>) {
        let leave = |name, value: &str| cx.host.leave_word(name, value);
        let estimate = cx.router.estimate(cx.view, &self.route, self.backend);
        leave("llm_backend", self.name(cx));
        leave("llm_strategy", self.route.strategy.name());
        leave("llm_attempts", &self.attempts.unwrap_or(0).to_string());
        leave("llm_decision_id", &decision_name(self.route.id));
        leave("llm_estimated_tokens", &estimate.input.0.to_string());
        if let Some((usage, cost)) = usage {
            leave("llm_input_tokens", &usage.input.0.to_string());
            leave("llm_output_tokens", &usage.output.0.to_string());
            leave("llm_cost_micro_usd", &cost.micro_usd().to_string());
        }
    }
}

impl<H: Host> Context<'_, H> {
    /// Tells whoever wants to know that nobody may serve a request.
    pub(super) fn report_refusal(&mut self, ids: Ids<'_>, is_noted: bool, strategy: Strategy, refusal: &Refusal) {
        if self.router.logs(ids.decision) {
            let mut fields = ids.fields("refusal");
            fields.extend([
                ("strategy", strategy.name().to_owned()),
                ("code", refusal.code.name().to_owned()),
                ("status", refusal.code.status().to_string()),
            ]);
            self.host.log(LogLevel::Info, &logging::line(self.router.config().logging.format, &fields));
        }
        if is_noted {
            let upshot = Upshot {
                status: refusal.code.status(),
                response_time: Duration::ZERO,
                attempts_made: 0,
                answered_by: Cow::Borrowed(""),
                ending: Cow::Borrowed(refusal.code.name()),
                usage: None,
            };
            self.view.journal().end(ids.decision, upshot.encode());
        }
    }
}
