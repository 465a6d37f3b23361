//! Who looks after something while configurations are swapped: the newest that is at work.

use std::time::Duration;

use crate::domain::Timestamp;

/// A configuration that was not at work for this long is gone.
pub(super) const KEEPER_EXPIRY: Duration = Duration::from_secs(5);

/// Which configuration of this VM looks after something, and when it last did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keeper(u64, Timestamp);

impl Keeper {
    /// Whether it is the one with this number, or is now.
    pub(super) fn is(&mut self, number: u64, now: Timestamp) -> bool {
        let Self(keeper, since) = *self;
        let is_gone = now < since || now.since(since) > KEEPER_EXPIRY;
        let keeps = number >= keeper || is_gone;
        if keeps {
            *self = Self(number, now);
        }
        keeps
    }
}
