//! `GET /alerts`: those that hold, and those that did.

use super::json::object_at;
use crate::alerts::{Board, KEY};
use crate::domain::Calendar;
use crate::state::{Store, StoreError};

/// The board as the leader left it: the same on every worker.
pub(super) fn alerts(store: &impl Store, calendar: Calendar) -> Result<String, StoreError> {
    let board = store.get(KEY)?.map(|(bytes, _)| Board::decode(&bytes)).unwrap_or_default();
    Ok(object_at(calendar, |o| {
        o.list("active", board.active(), |o, alert| alert.show(o));
        o.list("recent", board.recent(), |o, alert| alert.show(o));
    }))
}
