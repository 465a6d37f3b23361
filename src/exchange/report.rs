//! What is told of a request that is over, and to whom: the log, Envoy's access logs, the journal. Each is told only
//! where somebody wants to know, and none of them more than figures and names.

use std::borrow::Cow;
use std::time::Duration;

use super::decision::{Trace, Upshot, decision_name};
use super::response::Answer;
use super::{Context, Refusal, Router};
use crate::config::LogLevel;
use crate::cost::Bill;
use crate::domain::{Api, Ending, Usage};
use crate::host::Host;
use crate::logging;
use crate::routing::Strategy;

/// Names and values, for a log line or for access logs.
type Fields = Vec<(&'static str, String)>;

impl Router {
    /// Whether this decision is one of those that are logged: a share of them, and whoever knows its id can tell.
    fn logs(&self, decision: u64) -> bool {
        decision % 1_000 < u64::from(self.config().logging.decisions.get())
    }
}

impl Answer {
    /// Tells whoever wants to know how it ended, and what it cost: the bill that is paid, and no other.
    pub(super) fn report<H: Host>(&self, cx: &mut Context<'_, H>, ending: Ending, bill: &Bill, duration: Duration) {
        // Whoever was told its id may ask what became of it.
        if cx.router.config().response_headers && cx.view.receipts().has_room() {
            let bill = Some(*bill).filter(|bill| bill.usage != Usage::default());
            let upshot = self.upshot(cx.router, ending, bill, duration).encode();
            cx.view.receipts().add(self.route.trace.id, &self.route.trace.request_id, upshot);
        }
        let logs = cx.router.logs(self.route.trace.id);
        let leaves_words = cx.router.config().logging.filter_state;
        if logs || leaves_words || self.route.trace.is_noted {
            let bill = Some(*bill).filter(|bill| bill.usage != Usage::default());
            self.tell(cx, (logs, leaves_words), ending, bill, duration);
        }
    }

    #[cold]
    fn tell<H: Host>(
        &self,
        cx: &mut Context<'_, H>,
        (logs, leaves_words): (bool, bool),
        ending: Ending,
        bill: Option<Bill>,
        duration: Duration,
    ) {
        let name = cx.router.backend(self.backend).filter(|_| !self.is_stray);
        let name = name.map_or("", |backend| &backend.id).to_owned();
        if logs || leaves_words {
            let mut fields = self.fields(cx, &name, bill);
            if leaves_words {
                // Each costs Envoy half a microsecond.
                for (key, value) in &fields {
                    cx.host.leave_word(&["llm_", key].concat(), value);
                }
            }
            if logs {
                fields.push(("status", self.status.unwrap_or(0).to_string()));
                fields.push(("ending", ending.name().to_owned()));
                fields.push(("duration_ms", duration.as_millis().to_string()));
                cx.log("decision", &self.route.trace, fields);
            }
        }
        if self.route.trace.is_noted {
            let upshot = self.upshot(cx.router, ending, bill, duration).encode();
            cx.view.journal().end(self.route.trace.id, upshot);
        }
    }

    /// What became of it.
    fn upshot(&self, router: &Router, ending: Ending, bill: Option<Bill>, duration: Duration) -> Upshot {
        let has_answered = self.attempts.is_some() && !self.is_stray;
        let name = router.backend(self.backend).filter(|_| has_answered).map_or("", |backend| &backend.id);
        Upshot {
            status: self.status.unwrap_or(0),
            response_time: duration,
            attempts_made: self.attempts.unwrap_or(0),
            answered_by: Cow::Owned(name.to_owned()),
            ending: Cow::Borrowed(ending.name()),
            bill,
        }
    }

    /// What log lines and access logs both tell.
    fn fields<H>(&self, cx: &Context<'_, H>, name: &str, bill: Option<Bill>) -> Fields {
        let mut fields = vec![
            ("decision_id", decision_name(self.route.trace.id)),
            ("backend", name.to_owned()),
            ("strategy", self.route.strategy.name().to_owned()),
        ];
        let estimate = cx.router.estimate(cx.view, &self.route, self.backend);
        let told = [("attempts", self.attempts.unwrap_or(0).into()), ("estimated_tokens", estimate.input.0)];
        let paid = bill.map(|Bill { usage, cost, .. }| {
            [("input_tokens", usage.input.0), ("output_tokens", usage.output.0), ("cost_micro_usd", cost.micro_usd())]
        });
        for (key, value) in told.into_iter().chain(paid.into_iter().flatten()) {
            fields.push((key, value.to_string()));
        }
        if let Some(Bill { estimated, .. }) = bill {
            fields.push(("usage", if estimated { "estimated" } else { "reported" }.to_owned()));
        }
        fields
    }
}

impl<H: Host> Context<'_, H> {
    /// Tells whoever wants to know that nobody may serve a request; the client, too.
    #[cold]
    pub(super) fn report_refusal(&mut self, trace: Trace, ask: (Api, Strategy), refusal: Refusal) -> Refusal {
        let (api, strategy) = ask;
        let mut refusal = refusal.in_form_of(api);
        let (status, code) = (refusal.code.status(), refusal.code.name());
        if self.router.logs(trace.id) {
            let fields = vec![
                ("decision_id", decision_name(trace.id)),
                ("strategy", strategy.name().to_owned()),
                ("status", status.to_string()),
                ("code", code.to_owned()),
            ];
            self.log("refusal", &trace, fields);
        }
        if trace.is_noted {
            let (answered_by, ending) = (Cow::Borrowed(""), Cow::Borrowed(code));
            let (response_time, attempts_made) = (Duration::ZERO, 0);
            let upshot = Upshot { status, response_time, attempts_made, answered_by, ending, bill: None };
            self.view.journal().end(trace.id, upshot.encode());
        }
        refusal.explanation = trace.explanation.map(|decision| decision.header(self.view.calendar()));
        refusal
    }

    fn log(&self, event: &str, trace: &Trace, mut fields: Fields) {
        fields.insert(0, ("event", event.to_owned()));
        if !trace.request_id.is_empty() {
            fields.insert(1, ("request_id", trace.request_name()));
        }
        self.host.log(LogLevel::Info, &logging::line(self.router.config().logging.format, &fields));
    }
}
