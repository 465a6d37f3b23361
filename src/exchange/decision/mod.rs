//! What was decided, and why: every backend with its figures, its score and the terms of that, or who excluded it.
//!
//! It is made where somebody asks (an explanation, the hint `x-llm-explain`) or for the journal, a few times in a tick;
//! any other request pays one branch. Names are kept as text: whoever reads it may have another configuration by then.
//! Of the request there is nothing in it but its id and what was counted.

mod layout;
mod shown;
#[cfg(test)]
mod tests;

pub(crate) use shown::{Detail, ranked_by};

use std::borrow::Cow;
use std::time::Duration;

use crate::cost::Bill;
use crate::domain::{Backend, BackendIndex, PerMille, Timestamp, Tokens};
use crate::routing::{Ask, Attempts, Candidate, Estimate, Exclusion, Fleet, Merit, Term, assess, explorations};
use crate::state::{Load, Record};

/// A name of the house, or one that was read somewhere.
type Text = Cow<'static, str>;

/// Bytes of a request's id that are kept.
const REQUEST_ID_BYTES: usize = 64;

/// By what a request is found again in all that is told of it.
#[derive(Debug)]
pub(super) struct Trace {
    /// The decision's.
    pub(super) id: u64,
    /// What Envoy calls the request; no bytes where it does not.
    pub(super) request_id: Vec<u8>,
    /// Whether the journal has it.
    pub(super) is_noted: bool,
    /// For the client, where it asked and may.
    pub(super) explanation: Option<Box<Decision>>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    pub(crate) id: u64,
    pub(crate) at: Timestamp,
    /// What Envoy calls the request; empty where it does not.
    request_id: Text,
    strategy: Text,
    api: Text,
    /// Prompt tokens, as the backend that is tried first counts them.
    input: Tokens,
    /// Whether the first is ill, and tried only because nobody is well.
    panics: bool,
    /// Whether the first is tried to see how it is, not for being the best.
    explores: bool,
    /// How sure the choice of the first is.
    confidence: PerMille,
    /// Positions in `findings`, in the order in which they are tried; none where nobody may serve the request.
    attempts: Vec<u16>,
    findings: Vec<Finding>,
}

/// What a decision found of one backend.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    id: Text,
    cluster: Text,
    estimate: Estimate,
    response_time: Duration,
    quality: PerMille,
    health: PerMille,
    load: Load,
    /// What is left of its quota, where one is known.
    headroom: Option<PerMille>,
    /// Where its breaker stands, if it has one.
    breaker: Option<Text>,
    verdict: Result<Standing, Excluded>,
}

/// A backend that may serve the request.
#[derive(Debug, Clone, PartialEq)]
struct Standing {
    probe: bool,
    part: PerMille,
    /// How its score is compared.
    ranked_by: Text,
    score: f64,
    /// With what probability it is tried first to see how it is.
    exploration: f64,
    terms: Vec<(Text, f64)>,
}

/// A backend that may not.
#[derive(Debug, Clone, PartialEq)]
struct Excluded {
    by: Text,
    reason: Text,
    retry_at: Option<Timestamp>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Upshot {
    /// The answer's status; 0 where there was none.
    pub(super) status: u16,
    pub(super) response_time: Duration,
    pub(super) attempts_made: u32,
    /// The backend that had it last; empty where none had it.
    pub(super) answered_by: Text,
    pub(super) ending: Text,
    /// What was paid, if anything was.
    pub(super) bill: Option<Bill>,
}

impl Decision {
    #[cold]
    pub(super) fn new(
        trace: &Trace,
        at: Timestamp,
        ask: &Ask<'_>,
        attempts: Option<&Attempts>,
        confidence: PerMille,
        findings: Vec<Finding>,
    ) -> Self {
        let first = attempts.and_then(|attempts| findings.get(attempts.first().get()));
        Self {
            id: trace.id,
            at,
            request_id: Cow::Owned(trace.request_name()),
            strategy: Cow::Borrowed(ask.strategy.name()),
            api: Cow::Borrowed(ask.facts.api.name()),
            input: first.map_or(ask.text, |finding| finding.estimate.input),
            panics: attempts.is_some_and(Attempts::is_forced),
            explores: attempts.is_some_and(|attempts| attempts.explores().is_some()),
            confidence,
            attempts: attempts.map_or_else(Vec::new, |attempts| attempts.as_slice().iter().map(|n| n.0).collect()),
            findings,
        }
    }
}

/// What can be said of each backend before a decision, in the order of the configuration.
#[cold]
pub(super) fn findings(fleet: &Fleet<'_>, ask: &Ask<'_>, now: Timestamp) -> Vec<Finding> {
    let look = |(index, backend, record)| Finding::new(index, backend, record, ask, now);
    let mut findings: Vec<Finding> = fleet.iter().map(look).collect();
    add_shares(fleet, &mut findings);
    for (finding, chance) in findings.iter_mut().zip(explorations(fleet, ask, now)) {
        if let Ok(standing) = &mut finding.verdict {
            standing.exploration = chance;
        }
    }
    findings
}

/// Adds to those that get traffic in shares what comes to them of their tier's.
fn add_shares(fleet: &Fleet<'_>, findings: &mut [Finding]) {
    let mut tiers: Vec<(u32, f64)> = Vec::new();
    let by_share = |finding: &Finding| {
        let standing = finding.verdict.as_ref().ok();
        standing.filter(|standing| standing.ranked_by == Merit::Share(0.0).name()).map(|standing| standing.score)
    };
    for (backend, finding) in fleet.backends.iter().zip(&*findings) {
        let Some(share) = by_share(finding) else { continue };
        match tiers.iter_mut().find(|(priority, _)| *priority == backend.priority) {
            Some((_, sum)) => *sum += share,
            None => tiers.push((backend.priority, share)),
        }
    }
    for (backend, finding) in fleet.backends.iter().zip(findings) {
        let tier = tiers.iter().find(|(priority, _)| *priority == backend.priority);
        if let (Some(share), Some((_, sum))) = (by_share(finding), tier)
            && let Ok(standing) = &mut finding.verdict
        {
            standing.terms.push((Cow::Borrowed(Term::Share.name()), share / sum));
        }
    }
}

impl Finding {
    fn new(index: BackendIndex, backend: &Backend, record: &Record, ask: &Ask<'_>, now: Timestamp) -> Self {
        let ratio = PerMille::from_ratio;
        let verdict = match assess(index, backend, record, ask, now) {
            Ok(terms) => Ok(Standing::new(&Candidate { index, backend, record, terms }, ask, now)),
            Err(why) => Err(Excluded::new(why)),
        };
        Self {
            id: Cow::Owned(String::from(&*backend.id)),
            cluster: Cow::Owned(String::from(&*backend.cluster)),
            estimate: ask.estimate(backend, record),
            response_time: Duration::from_micros((record.response_time_ms(backend, now) * 1e3) as u64),
            quality: backend.quality,
            health: ratio(record.health(backend, now)),
            load: record.load(),
            headroom: record.quota.headroom(&record.demand(Tokens(0)), now).map(ratio),
            breaker: backend.breaker.map(|_| Cow::Borrowed(record.breaker.phase.name())),
            verdict,
        }
    }

    /// With what probability it is tried first to see how it is.
    pub(crate) fn exploration(&self) -> f64 {
        self.verdict.as_ref().map_or(0.0, |standing| standing.exploration)
    }

    /// Whether it may serve the request.
    pub(crate) const fn is_eligible(&self) -> bool {
        self.verdict.is_ok()
    }
}

impl Standing {
    fn new(candidate: &Candidate<'_>, ask: &Ask<'_>, now: Timestamp) -> Self {
        let (merit, terms) = Merit::explained(candidate, ask, now);
        Self {
            probe: candidate.terms.probe,
            part: PerMille::from_ratio(candidate.terms.part),
            ranked_by: Cow::Borrowed(merit.name()),
            score: merit.figure(),
            exploration: 0.0,
            terms: terms.into_iter().map(|(term, value)| (Cow::Borrowed(term.name()), value)).collect(),
        }
    }
}

impl Excluded {
    const fn new(why: Exclusion) -> Self {
        Self { by: Cow::Borrowed(why.by()), reason: Cow::Borrowed(why.reason()), retry_at: why.retry_at() }
    }
}

impl Trace {
    /// The request's id as it may be shown: a client may have made it up.
    pub(super) fn request_name(&self) -> String {
        let plain = |&byte: &u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let shown = |byte: &u8| if plain(byte) { char::from(*byte) } else { '_' };
        self.request_id.iter().take(REQUEST_ID_BYTES).map(shown).collect()
    }
}

/// A decision's id as it is shown everywhere.
pub(super) fn decision_name(id: u64) -> String {
    format!("{id:016x}")
}
