//! What other backends know of such requests, looked up at most once a decision, and only where somebody has not measured.

use std::cell::OnceCell;
use std::time::Duration;

use super::Fleet;
use crate::domain::{RequestFacts, Timestamp, Tokens};
use crate::learning::{Expected, Pooled};
use crate::state::Record;

/// Whom a backend borrows from that has not measured such requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peers<'a> {
    /// Whom to ask; none where all there is to know was asked before.
    fleet: Option<(Fleet<'a>, Timestamp)>,
    /// What they said.
    pooled: Option<&'a OnceCell<Pooled>>,
}

impl<'a> Peers<'a> {
    /// Nobody: each backend by itself.
    pub const NONE: Self = Self { fleet: None, pooled: None };

    /// All backends of a fleet, each as it is known at `now`. The cell is for one request: what was found is kept there.
    pub const fn new(fleet: Fleet<'a>, now: Timestamp, pooled: &'a OnceCell<Pooled>) -> Self {
        Self { fleet: Some((fleet, now)), pooled: Some(pooled) }
    }

    /// What was found before, if anything was looked for.
    pub const fn found(pooled: &'a OnceCell<Pooled>) -> Self {
        Self { fleet: None, pooled: Some(pooled) }
    }

    /// Where it is kept.
    pub const fn cell(self) -> Option<&'a OnceCell<Pooled>> {
        self.pooled
    }

    /// What to expect of a request at a backend with this record.
    pub(crate) fn expect(self, record: &Record, facts: &RequestFacts, text: Tokens) -> Expected {
        let (model, prompt) = (facts.model_tag(), facts.prompt_tokens(text));
        let alone = || record.lengths.expect(model, prompt);
        let age = self.fleet.map_or(Duration::ZERO, |(_, now)| now.since(record.last_answer));
        if let Some(expected) = record.lengths.known(model, prompt, age) {
            return expected;
        }
        let pool = |fleet: Fleet<'_>| {
            let newest = fleet.iter().map(|(_, _, record)| record.last_answer).max();
            let mut pooled = Pooled::new(model, prompt, newest.unwrap_or_default());
            for (_, _, record) in fleet.iter() {
                pooled.add(&record.lengths, record.last_answer);
            }
            pooled
        };
        let pooled = match (self.pooled, self.fleet) {
            (Some(cell), Some((fleet, _))) if fleet.backends.len() > 1 => Some(cell.get_or_init(|| pool(fleet))),
            (Some(cell), _) => cell.get(),
            (None, _) => None,
        };
        pooled.map_or_else(alone, |pooled| pooled.expect(&record.lengths, record.last_answer))
    }
}
