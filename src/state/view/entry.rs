//! One backend as this VM knows it: what others have seen, and what they have not.

use super::keeper::{KEEPER_EXPIRY, Keeper};
use crate::domain::{PicoUsd, Timestamp};
use crate::health::Transition;
use crate::state::notice::Notice;
use crate::state::outcome::Outcome;
use crate::state::record::{Load, Record};

/// A backend's record, and what of this VM others have not seen yet.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Box<str>,
    pub(super) key: Box<str>,
    /// What this VM has in flight there: the truth of which this member's column is the copy.
    pub(super) mine: Load,
    /// Of that, what its provider has reported to be taken off its quota.
    pub(super) reported: Load,
    /// The record as last seen, with what is in `pending`.
    pub(super) record: Record,
    /// Outcomes that others have not seen yet.
    pub(super) pending: Vec<Outcome>,
    /// Notices that others have not seen yet; all of them are from before the end of the requests in `pending`, or of
    /// others.
    pub(super) notices: Vec<Notice>,
    /// When a router last had it, once that is told: what nobody has any more is not read at each tick.
    pub(super) had: Option<Timestamp>,
    /// What answers cost that is not a whole millionth of a dollar yet.
    pub(super) change: PicoUsd,
    pub(super) keeper: Keeper,
}

impl Entry {
    /// The shared record with what only this VM knows, and what that changes in its breaker.
    pub(super) fn merged(&self, bytes: Option<&[u8]>, seat: usize) -> (Record, Vec<Transition>) {
        let mut record = bytes.and_then(|bytes| Record::decode(bytes).ok()).unwrap_or_default();
        let mut transitions = Vec::new();
        for notice in &self.notices {
            record.notice(notice);
        }
        for outcome in &self.pending {
            let before = record.breaker;
            record.learn(outcome);
            transitions.extend(record.breaker.transition_from(&before));
        }
        record.set_column_at(seat, self.mine, self.reported);
        (record, transitions)
    }

    /// Whether nobody has had it for a while, and nothing of this VM is under way there.
    pub(super) fn is_idle(&self, seat: usize, now: Timestamp) -> bool {
        let is_gone = self.had.is_some_and(|had| now < had || now.since(had) > KEEPER_EXPIRY);
        is_gone && self.mine == Load::default() && self.record.load_at(seat) == self.mine
    }

    /// Others have seen all of it.
    pub(super) fn written(&mut self) {
        self.pending.clear();
        self.notices.clear();
    }

    pub(super) fn note_in_flight(&mut self, seat: Option<usize>) {
        if let Some(seat) = seat {
            self.record.set_column_at(seat, self.mine, self.reported);
        }
    }
}
