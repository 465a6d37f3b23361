//! Who serves a request: who may, who is best, and in what order they are tried.
//!
//! [`candidates()`] says of every backend whether it is eligible, or why not; a
//! [`strategy`] ranks the eligible ones; [`plan()`] puts them in the order in which they are tried.

mod candidates;
mod estimate;
mod explore;
mod peers;
mod plan;
pub mod strategy;
#[cfg(test)]
pub(crate) mod testing;
mod why;

pub use candidates::{Candidate, Exclusion, Terms, candidates};
pub(crate) use candidates::{admits, assess, limits, panics, wellness};
pub use estimate::{Estimate, estimate, most};
pub use explore::explorations;
pub use peers::Peers;
pub use plan::{Attempts, MAX_ATTEMPTS, Nobody, plan};
pub use strategy::{Merit, Strategy, Term};

use crate::domain::{ApiNeed, Backend, BackendIndex, PerMille, PicoUsd, Purpose, RequestFacts, Tokens};
use crate::health::Source;
use crate::state::{Backends, Place, Record, View};

/// The backends of a configuration, each with what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Fleet<'a> {
    /// As configured, sorted by id.
    pub backends: &'a [Backend],
    /// Where each one's record lies in `view`, in the same order.
    pub places: &'a [Place],
    /// What this worker knows.
    pub view: &'a View,
}

impl<'a> Fleet<'a> {
    /// Every backend with its record.
    pub fn iter(&self) -> impl Iterator<Item = (BackendIndex, &'a Backend, &'a Record)> + use<'a> {
        let view = self.view;
        let places = self.places.iter().map(move |&place| view.record(place));
        self.backends.iter().zip(places).zip(0..).map(|((backend, record), n)| (BackendIndex(n), backend, record))
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What its body says.
    pub facts: &'a RequestFacts,
    /// The estimate of its text, before any backend's calibration.
    pub text: Tokens,
    /// What APIs a backend must speak to answer it.
    pub need: ApiNeed,
    /// How to choose.
    pub strategy: Strategy,
    /// The least configured quality that will do.
    pub min_quality: Option<PerMille>,
    /// When fewer of the backends than this share are eligible, those that are merely ill may be tried, too.
    pub panic_threshold: PerMille,
    /// Those whose free places others wait for.
    pub reserved: Backends,
    /// Of each backend the part of its traffic that budgets leave it, or why the request may not go there: for want of
    /// money, or because it was asked too often. Empty where nothing is limited.
    pub means: &'a [Result<f64, Exclusion>],
    /// Whom a backend borrows from that has not measured such requests.
    pub peers: Peers<'a>,
    /// The share of requests that are first tried at another backend than the best one, to see how it is.
    pub exploration: PerMille,
    /// Who asks, where that makes a difference to a breaker.
    pub source: Option<Source>,
}

impl Ask<'_> {
    /// What it is expected to take at `backend`.
    pub fn estimate(&self, backend: &Backend, record: &Record) -> Estimate {
        estimate(backend, record, self.facts, self.text, self.peers)
    }

    /// What it may cost at `backend` at most.
    pub fn most(&self, backend: &Backend, record: &Record) -> PicoUsd {
        most(backend, record, self.facts, self.text, self.peers)
    }
}

impl Ask<'_> {
    /// Whether a backend speaks the API of the request.
    pub const fn is_spoken_by(&self, backend: &Backend) -> bool {
        self.need.is_met_by(backend.apis)
    }

    /// Whether it takes nothing of a backend, and so is bound by none of its limits.
    pub(crate) fn is_free(&self) -> bool {
        self.facts.purpose == Purpose::Free
    }
}

/// Whose turn it is, over all workers: what the strategies that deal in shares ask.
pub trait Turns {
    /// A number that no other request gets.
    fn next(&mut self) -> u64;

    /// The position, in a smooth rotation, of the candidate whose turn it is; each is a backend and its weight.
    fn smooth(&mut self, candidates: &[(BackendIndex, u32)]) -> Option<usize>;
}
