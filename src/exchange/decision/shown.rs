//! Decisions as JSON: the same object in `/explain`, in `/decisions` and in `x-llm-explain`.

use super::{Decision, Finding, Standing, Upshot, decision_name};
use crate::cost::Bill;
use crate::domain::Calendar;
use crate::json::{Object, Rounded, Thousandths, object_at};

/// The longest value of `x-llm-explain`, so that the answer's headers stay within what any client takes.
const HEADER_BYTES: usize = 4_096;

/// How much of a decision is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    All,
    /// Not what scores are made of.
    NoTerms,
    /// Nor the backends that are not tried.
    Tried,
    /// Nor any of them.
    Order,
}

impl Detail {
    /// What is left out, for who reads it.
    const fn left_out(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::NoTerms => Some("score_terms"),
            Self::Tried => Some("score_terms, backends that are not tried"),
            Self::Order => Some("backends"),
        }
    }
}

impl Decision {
    pub(crate) fn show(&self, o: &mut Object<'_>, upshot: Option<&Upshot>, detail: Detail) {
        let tried: Vec<&str> = self.tried().map(|finding| &*finding.id).collect();
        o.set("decision_id", &*decision_name(self.id)).set("time", self.at);
        o.set("request_id", Some(&*self.request_id).filter(|id| !id.is_empty()));
        o.set("strategy", &*self.strategy).set("ranked_by", self.ranked_by()).set("api", &*self.api);
        o.set("estimated_input_tokens", self.input.0).set("backend", tried.first().copied());
        o.set("attempts", &tried[..]).set("panic", self.panics);
        o.set("exploration", Rounded(self.findings.iter().map(Finding::exploration).sum()))
            .set("explores", self.explores)
            .set("confidence", self.confidence);
        match upshot {
            Some(upshot) => _ = o.object("outcome", |o| upshot.show(o)),
            None => _ = o.set("outcome", None::<u64>),
        }
        if let Some(left_out) = detail.left_out() {
            o.set("left_out", left_out);
        }
        if detail == Detail::Order {
            return;
        }
        let place = |n: usize| self.attempts.iter().position(|&tried| usize::from(tried) == n);
        let shown = self.findings.iter().enumerate().map(|(n, finding)| (place(n), finding));
        o.list(
            "backends",
            shown.filter(|(place, _)| detail != Detail::Tried || place.is_some()),
            |o, (place, finding)| {
                finding.show(o, place, detail);
                match &finding.breaker {
                    Some(phase) => _ = o.object("circuit_breaker", |o| _ = o.set("status", &**phase)),
                    None => _ = o.set("circuit_breaker", None::<u64>),
                }
            },
        );
    }

    /// Whether that is its id, or that of its request.
    pub(crate) fn is_called(&self, id: &str) -> bool {
        id == decision_name(self.id) || (!id.is_empty() && id == self.request_id)
    }

    /// One line of ASCII for a header, as detailed as there is room.
    pub(crate) fn header(&self, calendar: Calendar) -> String {
        let details = [Detail::All, Detail::NoTerms, Detail::Tried, Detail::Order];
        let mut line = String::new();
        for detail in details {
            line = object_at(calendar, |o| self.show(o, None, detail));
            if line.len() <= HEADER_BYTES {
                break;
            }
        }
        // All names in it are ASCII already; a header that is not would cost the client its answer.
        line.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect()
    }

    fn tried(&self) -> impl Iterator<Item = &Finding> {
        self.attempts.iter().filter_map(|&n| self.findings.get(usize::from(n)))
    }

    fn ranked_by(&self) -> Option<&str> {
        ranked_by(&self.findings)
    }
}

/// How scores are compared, where there are any.
pub(crate) fn ranked_by(findings: &[Finding]) -> Option<&str> {
    findings.iter().find_map(|finding| Some(&*finding.verdict.as_ref().ok()?.ranked_by))
}

impl Finding {
    /// What there is to say of a backend but its breaker.
    pub(crate) fn show(&self, o: &mut Object<'_>, place: Option<usize>, detail: Detail) {
        o.set("id", &*self.id).set("cluster", &*self.cluster);
        o.set("eligible", self.is_eligible()).set("place", place.map(|place| place as u64 + 1));
        o.object("estimate", |o| {
            o.set("input_tokens", self.estimate.input.0).set("cached_input_tokens", self.estimate.cached_input.0);
            o.set("output_tokens", self.estimate.output.0);
            o.set("cost_micro_usd", self.estimate.cost.micro_usd()).set("cost_usd", self.estimate.cost);
        });
        o.set("response_time_ms", Thousandths(self.response_time.as_micros() as u64));
        o.set("quality_score", self.quality).set("health_score", self.health);
        o.object("in_flight", |o| _ = o.set("requests", self.load.requests).set("tokens", self.load.tokens.0));
        o.set("quota_headroom", self.headroom);
        match &self.verdict {
            Ok(Standing { probe, part, score, exploration, terms, .. }) => {
                o.set("probe", *probe).set("part", *part).set("score", Rounded(*score));
                o.set("exploration", Rounded(*exploration));
                if detail == Detail::All {
                    o.object("score_terms", |o| {
                        for (term, value) in terms {
                            o.set(term, Rounded(*value));
                        }
                    });
                }
            }
            Err(excluded) => {
                o.object("excluded", |o| {
                    o.set("by", &*excluded.by).set("reason", &*excluded.reason).set("retry_at", excluded.retry_at);
                });
            }
        }
    }
}

impl Upshot {
    /// Where nothing else is known of the decision.
    pub(crate) fn alone(&self, id: Option<&str>, calendar: Calendar) -> String {
        object_at(calendar, |o| {
            o.set("decision_id", id).object("outcome", |o| self.show(o)).set("left_out", "all but the outcome");
        })
    }

    fn show(&self, o: &mut Object<'_>) {
        o.set("status", Some(u32::from(self.status)).filter(|&status| status > 0));
        o.set("response_time_ms", Thousandths(self.response_time.as_micros() as u64));
        o.set("attempts_made", self.attempts_made);
        o.set("answered_by", Some(&*self.answered_by).filter(|id| !id.is_empty())).set("ending", &*self.ending);
        if let Some(Bill { usage, cost, estimated }) = self.bill {
            o.set("input_tokens", usage.input.0).set("output_tokens", usage.output.0).set("cost_usd", cost);
            o.set("usage", if estimated { "estimated" } else { "reported" });
        }
    }
}
