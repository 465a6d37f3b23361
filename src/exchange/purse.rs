//! What a request is to cost is reserved before it leaves, and what it did cost is spent when its answer has ended.
//!
//! A backend that a request cannot pay for (out of its own budget, the tenant's, or that of all) is excluded for this
//! request, so that the rest of a budget goes to those for which it is enough. Which ones these are is read in this VM's
//! copy of the ledger; whether that holds is asked of the ledger itself when the request is counted in.

use std::cell::OnceCell;
use std::time::Duration;

use super::Context;
use super::router::{Route, Router};
use super::{Refusal, RefusalCode};
use crate::config::OnExhausted;
use crate::cost::{Bill, Claim, Heard, Purchase, Shortage, pacing};
use crate::domain::{Api, Backend, BackendIndex, Ending, Failure, Limits, PicoUsd, Purpose, Timestamp, Tokens};
use crate::host::Host;
use crate::metrics::Metric;
use crate::protocol::{AnswerFacts, StreamEnd};
use crate::routing::{Ask, Exclusion, Nobody, admits, most_of_guess};
use crate::state::{AccountKey, Line, Record, Reservation, Spent, StoreError};
use crate::tokens;

/// Who pays for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Customer {
    /// The place among the configured tenants.
    pub(super) tenant: Option<usize>,
    /// Whether there is anything to pay: nobody charges for what is only looked up.
    pub(super) pays: bool,
    /// Whether it touches no account at all: a list of models, a count of tokens, a preflight.
    pub(super) free: bool,
}

/// Which budgets bind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    /// All of them.
    All,
    /// Only the backend's own: the others are used up, and the operator wants the request served even so.
    Backend,
}

impl Router {
    /// What a request asks of each account that it touches, were it to go to this backend. That of all requests and
    /// the backend's are always among them, limited or not, so that it is known what is spent.
    #[inline(never)]
    fn lines(
        &self,
        backend: &Backend,
        record: &Record,
        ask: &Ask<'_>,
        customer: Customer,
        binding: Binding,
    ) -> Vec<Line> {
        let claim = if customer.pays {
            let (cost, estimate) = (ask.most(backend, record), ask.estimate(backend, record));
            let guessed = (most_of_guess(backend, ask.facts), ask.facts.guessed_tokens);
            let sure = estimate.cost.minus(guessed.0);
            Claim { cost, tokens: estimate.tokens(), guessed, spare: cost.minus(sure) }
        } else {
            Claim::default()
        };
        let bound = |limits: &Limits| match binding {
            Binding::All => *limits,
            Binding::Backend => Limits { hourly_budget: None, daily_budget: None, ..*limits },
        };
        let cost = &self.config().cost;
        let tenant = customer.tenant.and_then(|place| cost.tenants.get(place));
        let tenant = tenant.map(|tenant| (AccountKey::of_tenant(&tenant.name), bound(&tenant.limits)));
        let line = |(account, limits), paces| Line { account, limits, claim, paces };
        let mut lines = Vec::with_capacity(3);
        lines.push(line((AccountKey::ALL, bound(&cost.limits)), cost.pacing));
        if let Some(tenant) = tenant {
            lines.push(line(tenant, cost.pacing));
        }
        lines.push(line((AccountKey::of_backend(&backend.id), backend.limits), false));
        lines
    }
}

impl<H: Host> Context<'_, H> {
    /// Of each backend the part of its traffic that budgets leave it, or why this request may not go there: for want of
    /// money, or because there were too many in the last minute. Empty where nothing is limited.
    #[inline(never)]
    pub(super) fn means(
        &self,
        ask: &Ask<'_>,
        customer: Customer,
        binding: Binding,
        now: Timestamp,
    ) -> Vec<Result<f64, Exclusion>> {
        if !self.router.limited || ask.is_free() {
            return Vec::new();
        }
        let ledger = self.view.ledger();
        let mut thrift = 0.0_f64;
        let mut costs = Vec::with_capacity(self.router.config().backends.len());
        for (_, backend, place) in self.router.places() {
            let record = self.view.record(place);
            let mut shortage: Option<Shortage> = None;
            for line in self.router.lines(backend, record, ask, customer, binding) {
                // It is the same at every backend.
                if line.paces && costs.is_empty() {
                    thrift = thrift.max(ledger.thrift(&line, now));
                }
                // All accounts must have enough, so it is the longest that counts.
                if let Some(next) = ledger.shortage(&line, now)
                    && shortage.is_none_or(|longest| longest.retry_at() <= next.retry_at())
                {
                    shortage = Some(next);
                }
            }
            costs.push(match shortage {
                Some(Shortage::Budget { retry_at }) => Err(Exclusion::OverBudget { retry_at }),
                Some(Shortage::Rate { retry_at }) => Err(Exclusion::OverRate { retry_at }),
                None => Ok(ask.estimate(backend, record).cost),
            });
        }
        if binding == Binding::All && thrift <= 0.0 {
            return costs.into_iter().map(|cost| cost.map(|_| 1.0)).collect();
        }
        // What it costs at those that would really serve it.
        let mut rivals = Vec::with_capacity(costs.len());
        for ((_, backend, place), cost) in self.router.places().zip(&costs) {
            if let Ok(cost) = *cost
                && admits(backend, self.view.record(place), ask, now).is_ok()
            {
                rivals.push((backend.priority, cost));
            }
        }
        let cheapest = rivals.iter().map(|&(_, cost)| cost).min();
        let mean = |(backend, cost): (&Backend, Result<PicoUsd, Exclusion>)| match (cost?, binding) {
            (cost, Binding::All) => {
                let tier = rivals.iter().filter(|(priority, _)| *priority == backend.priority);
                Ok(pacing::part(cost, tier.map(|&(_, cost)| cost), thrift))
            }
            // Beyond the budget it is the cheapest that serves; where nobody would, it is not for want of money.
            (cost, Binding::Backend) if cheapest.is_some_and(|cheapest| cost > cheapest) => {
                Err(Exclusion::OverBudget { retry_at: now })
            }
            (_, Binding::Backend) => Ok(1.0),
        };
        self.router.config().backends.iter().zip(costs).map(mean).collect()
    }

    /// Whether a request that nobody may serve is to be served beyond the budget.
    pub(super) fn overdraws(&self, nobody: &Nobody) -> bool {
        nobody.over_budget.is_some() && self.router.config().cost.on_exhausted == OnExhausted::Cheapest
    }

    /// Reserves what a request may cost at this backend; none where nothing is limited. Where shared data is out of
    /// order, requests go on, and what they cost is written later. Where only too many others write at the same time,
    /// they do not: that is when limits are for something.
    ///
    /// # Errors
    ///
    /// There is no getting at the accounts. Or, within: others were faster, and there is not enough left. Now this VM
    /// knows.
    #[inline(never)]
    pub(super) fn reserve(
        &mut self,
        index: BackendIndex,
        ask: &Ask<'_>,
        customer: Customer,
        binding: Binding,
        now: Timestamp,
    ) -> Result<Result<Option<Reservation>, Shortage>, Refusal> {
        if !self.router.limited || customer.free {
            return Ok(Ok(None));
        }
        let lines = self.lines_at(index, ask, customer, binding, now);
        let error = match self.view.reserve(self.host, &lines, now) {
            Ok(reserved) => return Ok(reserved.map(Some)),
            Err(error) => error,
        };
        self.note(error);
        match error {
            StoreError::Host => Ok(Ok(Some(self.view.transfer(self.host, None, &lines, now).0))),
            StoreError::Contended => Err(Refusal {
                retry_after: Some(Duration::from_secs(1)),
                ..Refusal::new(RefusalCode::RateLimited, "too many requests at once to keep account of".to_owned())
            }),
        }
    }

    /// Notes what is reserved for a request where it is, after it left the backend that it was meant for.
    #[inline(never)]
    pub(super) fn transfer(&mut self, route: &mut Route, index: BackendIndex) {
        if !self.router.limited || route.facts.purpose == Purpose::Free {
            return;
        }
        let now = self.host.now();
        let lines = self.lines_at(index, &route.ask(), route.customer, Binding::All, now);
        let (reservation, written) = self.view.transfer(self.host, route.reservation.as_deref().copied(), &lines, now);
        route.reservation = Some(Box::new(reservation));
        self.note_written(written);
    }

    /// The reservation of a request that does not leave after all.
    #[inline(never)]
    pub(super) fn give_back(&mut self, reservation: Option<Reservation>, now: Timestamp) {
        if let Some(reservation) = reservation {
            let written = self.view.give_back(self.host, &reservation, now);
            self.note_written(written);
        }
    }

    /// What a request costs, limited or not; it is counted where it was spent.
    pub(super) fn bill(&mut self, route: &Route, index: BackendIndex, due: &Due<'_>, now: Timestamp) -> Bill {
        let Some((backend, place)) = self.router.backend(index).zip(self.router.place(index)) else {
            return Bill::default();
        };
        let bill = due.bill(backend, route, || self.router.estimate(self.view, route, index).input);
        if bill.cost > PicoUsd(0) {
            let well = if due.ending == Ending::Success { bill.cost } else { PicoUsd(0) };
            let date = self.view.calendar().date(now);
            self.view.auditor().pay(Purchase { spent: bill.cost, well }, date);
            match self.view.bill(place, bill.cost) {
                0 => {}
                whole => self.host.record(Metric::Cost(index), whole),
            }
            if bill.estimated {
                self.host.record(Metric::UsageEstimated(index), 1);
            }
        }
        bill
    }

    /// What a request cost is spent, instead of what was reserved for it.
    #[inline(never)]
    pub(super) fn settle(&mut self, route: &mut Route, bill: &Bill, now: Timestamp) {
        let Some(reservation) = route.reservation.take() else { return };
        let tokens = Tokens(bill.usage.input.0.saturating_add(bill.usage.output.0));
        let written = self.view.settle(self.host, &reservation, Spent { cost: bill.cost, tokens }, now);
        self.note_written(written);
    }

    fn lines_at(
        &self,
        index: BackendIndex,
        ask: &Ask<'_>,
        customer: Customer,
        binding: Binding,
        now: Timestamp,
    ) -> Vec<Line> {
        let Some((backend, place)) = self.router.backend(index).zip(self.router.place(index)) else {
            return Vec::new();
        };
        let none = OnceCell::new();
        let ask = Ask { peers: self.peers(ask.peers.cell().unwrap_or(&none), now), ..*ask };
        self.router.lines(backend, self.view.record(place), &ask, customer, binding)
    }

    fn note_written(&self, written: Result<(), StoreError>) {
        if let Err(error) = written {
            self.note(error);
        }
    }
}

/// What is known of an answer that has ended, as far as its price goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due<'a> {
    pub(super) ending: Ending,
    pub(super) status: Option<u16>,
    pub(super) facts: &'a AnswerFacts,
    /// Whether any attempt was made.
    pub(super) sent: bool,
    /// Bytes of its body that were seen.
    pub(super) passed: u64,
    /// Whether Envoy saw its end.
    pub(super) complete: bool,
}

/// Tokens of an answer as far as it was seen, of `passed` bytes: its text counts, be it in pieces or not, and each piece
/// without text as a token. One that could not be read counts by its size.
pub(super) fn seen_tokens(facts: &AnswerFacts, passed: u64) -> Tokens {
    facts.text.map_or(tokens::by_size(passed), |text| {
        Tokens(tokens::by_size(text.bytes).0.saturating_add(text.wordless_events))
    })
}

/// Tokens of an answer: as reported, or, where none were, as far as it was seen.
pub(super) fn answer_tokens(facts: &AnswerFacts, passed: u64) -> Tokens {
    let reported = facts.usage.map(|usage| usage.output).filter(|&output| output > Tokens(0));
    reported.unwrap_or_else(|| seen_tokens(facts, passed))
}

impl Due<'_> {
    /// What it costs. An answer of an error costs nothing; a question that was given up before the answer began costs
    /// what was asked, once all of it was (nobody works on half a question); an answer that broke off costs what there
    /// was of it. What is no prompt, such as a file, costs what is reported, be that half of it; what is free, nothing.
    fn bill(&self, backend: &Backend, route: &Route, prompt: impl FnOnce() -> Tokens) -> Bill {
        let is_usable = !matches!(self.ending, Ending::Misconfigured(_));
        let is_answer = is_usable && matches!(self.status, Some(200..=299));
        let given_up = match self.ending {
            // An error is one, even if nobody waits for its end.
            Ending::ClientAbort => !matches!(self.status, Some(400..)),
            // Envoy's word in the backend's place, if any.
            Ending::Failed(Failure::Timeout | Failure::Stalled) => matches!(self.status, None | Some(504)),
            _ => false,
        };
        let may_be_due =
            route.customer.pays && self.ending != Ending::NotSent && (is_answer || (given_up && route.asked));
        let is_due = may_be_due && route.facts.purpose == Purpose::Inference;
        if !self.sent || route.customer.free || (!is_due && self.facts.usage.is_none()) {
            return Bill::default();
        }
        let is_written = is_answer && is_due && route.facts.api != Api::Embeddings;
        let passed = if is_written { seen_tokens(self.facts, self.passed) } else { Tokens(0) };
        // A client may leave once it has heard the last mark; and a stream that ends by an error says nothing more of
        // what it cost.
        let complete = match self.facts.end {
            StreamEnd::Complete => self.facts.in_band_error.is_none(),
            StreamEnd::Truncated => false,
            StreamEnd::Unknown => self.complete,
        };
        let AnswerFacts { usage, undivided, .. } = *self.facts;
        let is_estimated = is_due && usage.is_none_or(|usage| usage.input == Tokens(0));
        let prompt = if is_estimated { prompt() } else { Tokens(0) };
        Bill::of(&Heard { usage, undivided, complete, prompt, passed }, &backend.prices)
    }
}
