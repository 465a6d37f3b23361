//! What a request may cost is reserved before it leaves, and what it did cost is spent when its answer has ended.
//!
//! A backend that a request cannot pay for (out of its own budget, the tenant's, or that of all) is excluded for this
//! request, so that the rest of a budget goes to those for which it is enough. Which ones these are is read in this VM's
//! copy of the ledger; whether that holds is asked of the ledger itself when the request is counted in.

use super::Context;
use super::router::{Route, Router};
use crate::config::{Config, OnExhausted};
use crate::cost::{Bill, Claim, Heard, Purchase, Shortage, pacing};
use crate::domain::{Api, Backend, BackendIndex, Ending, Failure, Limits, PicoUsd, Timestamp, Tokens};
use crate::host::Host;
use crate::metrics::Metric;
use crate::protocol::AnswerFacts;
use crate::routing::{Ask, Exclusion, Nobody, admits};
use crate::routing::{estimate, most};
use crate::state::{AccountKey, Line, Record, Reservation, Spent, StoreError};
use crate::tokens;

/// Who pays for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Customer {
    /// The place among the configured tenants.
    pub(super) tenant: Option<usize>,
    /// Whether there is anything to pay: nobody charges for what is only looked up.
    pub(super) pays: bool,
}

/// Which budgets bind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    /// All of them.
    All,
    /// Only the backend's own: the others are used up, and the operator wants the request served even so.
    Backend,
}

/// Whether anything is limited. If not, nothing is read, reserved or written.
pub(super) fn is_limited(config: &Config) -> bool {
    config.cost.limits.is_any()
        || config.cost.tenants.iter().any(|tenant| tenant.limits.is_any())
        || config.backends.iter().any(|backend| backend.limits.is_any())
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
        let most = if customer.pays { most(backend, record, ask.facts, ask.text) } else { PicoUsd(0) };
        let claim = Claim { cost: most, tokens: estimate(backend, record, ask.facts, ask.text).tokens() };
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
        if !self.router.limited {
            return Vec::new();
        }
        let ledger = self.view.ledger();
        let (mut thrift, mut cheapest) = (0.0_f64, None);
        let mut costs = Vec::with_capacity(self.router.config().backends.len());
        for (_, backend, place) in self.router.places() {
            let record = self.view.record(place);
            let mut verdict = Ok(estimate(backend, record, ask.facts, ask.text).cost);
            for line in self.router.lines(backend, record, ask, customer, binding) {
                match ledger.shortage(&line, now) {
                    Some(Shortage::Budget { retry_at }) => verdict = Err(Exclusion::OverBudget { retry_at }),
                    Some(Shortage::Rate { retry_at }) => verdict = Err(Exclusion::OverRate { retry_at }),
                    None if line.paces => thrift = thrift.max(ledger.thrift(&line, now)),
                    None => {}
                }
            }
            // Beyond the budget it is the cheapest that would serve, whoever it is who could.
            let may = || binding == Binding::All || admits(backend, record, ask, now).is_ok();
            if let Ok(cost) = verdict
                && cheapest.is_none_or(|least| cost < least)
                && may()
            {
                cheapest = Some(cost);
            }
            costs.push(verdict);
        }
        let cheapest = cheapest.unwrap_or_default();
        let mut means = Vec::with_capacity(costs.len());
        for cost in costs {
            means.push(match (cost, binding) {
                (Ok(cost), Binding::All) => Ok(pacing::part(cost, cheapest, thrift)),
                (Ok(cost), Binding::Backend) if cost > cheapest => Err(Exclusion::OverBudget { retry_at: now }),
                (Ok(_), Binding::Backend) => Ok(1.0),
                (Err(why), _) => Err(why),
            });
        }
        means
    }

    /// Whether a request that nobody may serve is to be served beyond the budget.
    pub(super) fn overdraws(&self, nobody: &Nobody) -> bool {
        nobody.over_budget && self.router.config().cost.on_exhausted == OnExhausted::Cheapest
    }

    /// Reserves what a request may cost at this backend; none where nothing is limited. Where shared data is out of
    /// order, requests go on, and what they cost is written later.
    ///
    /// # Errors
    ///
    /// Others were faster, and there is not enough left. Now this VM knows.
    #[inline(never)]
    pub(super) fn reserve(
        &mut self,
        index: BackendIndex,
        ask: &Ask<'_>,
        customer: Customer,
        binding: Binding,
        now: Timestamp,
    ) -> Result<Option<Reservation>, Shortage> {
        if !self.router.limited {
            return Ok(None);
        }
        let lines = self.lines_at(index, ask, customer, binding);
        match self.view.reserve(self.host, &lines, now) {
            Ok(reserved) => reserved.map(Some),
            Err(error) => {
                self.note(error);
                Ok(Some(self.view.transfer(self.host, None, &lines, now).0))
            }
        }
    }

    /// Reserves what a request may cost, whatever is left: it goes there in any case.
    #[inline(never)]
    pub(super) fn reserve_unasked(
        &mut self,
        index: BackendIndex,
        ask: &Ask<'_>,
        customer: Customer,
        now: Timestamp,
    ) -> Option<Reservation> {
        let lines = self.router.limited.then(|| self.lines_at(index, ask, customer, Binding::All))?;
        Some(self.view.transfer(self.host, None, &lines, now).0)
    }

    /// Notes what is reserved for a request where it is, after it left the backend that it was meant for.
    #[inline(never)]
    pub(super) fn transfer(&mut self, route: &mut Route, index: BackendIndex) {
        if !self.router.limited {
            return;
        }
        let now = self.host.now();
        let lines = self.lines_at(index, &route.ask(), route.customer, Binding::All);
        let (reservation, written) = self.view.transfer(self.host, route.reservation.as_deref().copied(), &lines, now);
        route.reservation = Some(Box::new(reservation));
        self.note_written(written);
    }

    /// The reservation of a request that does not leave after all.
    #[inline(never)]
    pub(super) fn give_back(&mut self, reservation: Option<Reservation>, now: Timestamp) {
        if let Some(reservation) = reservation {
            let written = self.view.settle(self.host, &reservation, Spent::default(), now);
            self.note_written(written);
        }
    }

    /// What a request cost is spent, instead of what was reserved for it.
    #[inline(never)]
    pub(super) fn settle(&mut self, route: &mut Route, index: BackendIndex, due: &Due<'_>, now: Timestamp) {
        let reservation = route.reservation.take();
        let Some(backend) = self.router.backend(index) else {
            return self.give_back(reservation.map(|reservation| *reservation), now);
        };
        let prompt = self.router.estimate(self.view, route, index).input;
        let bill = due.bill(backend, route, prompt);
        let well = if due.ending == Ending::Success { bill.cost } else { PicoUsd(0) };
        self.view.auditor().pay(Purchase { spent: bill.cost, well }, now);
        let Some(reservation) = reservation else { return };
        if bill.estimated {
            self.host.record(Metric::UsageEstimated(index), 1);
        }
        let tokens = Tokens(bill.usage.input.0.saturating_add(bill.usage.output.0));
        let written = self.view.settle(self.host, &reservation, Spent { cost: bill.cost, tokens }, now);
        self.note_written(written);
    }

    fn lines_at(&self, index: BackendIndex, ask: &Ask<'_>, customer: Customer, binding: Binding) -> Vec<Line> {
        let Some((backend, place)) = self.router.backend(index).zip(self.router.place(index)) else {
            return Vec::new();
        };
        self.router.lines(backend, self.view.record(place), ask, customer, binding)
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
    /// Bytes of its body that were seen.
    pub(super) passed: u64,
    pub(super) complete: bool,
}

impl Due<'_> {
    /// What it costs. An answer of an error costs nothing; a question that was given up before the answer began costs
    /// what was asked; an answer that broke off costs what there was of it.
    fn bill(&self, backend: &Backend, route: &Route, prompt: Tokens) -> Bill {
        let is_answer = matches!(self.status, Some(200..=299));
        let given_up = matches!(self.ending, Ending::ClientAbort | Ending::Failed(Failure::Timeout | Failure::Stalled));
        let is_due = route.customer.pays && self.ending != Ending::NotSent && (is_answer || given_up);
        if !is_due && self.facts.usage.is_none() {
            return Bill::default();
        }
        let passed = match self.facts.content_bytes {
            _ if !is_answer || route.facts.api == Api::Embeddings => Tokens(0),
            // A piece is a token, or several.
            Some(bytes) => tokens::by_size(bytes).max(Tokens(self.facts.content_events)),
            None => tokens::by_size(self.passed),
        };
        let heard = Heard { usage: self.facts.usage, complete: self.complete, prompt, passed };
        Bill::of(&heard, &backend.prices)
    }
}
