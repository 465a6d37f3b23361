//! Requests whose bodies never come to the router, because Envoy's filter lacks `allow_on_headers_stop_iteration`.
//!
//! A request that is held hangs then until somebody's patience ends. One such request of this VM is watched, as long as
//! no body has come under its configuration: at the tick Envoy is asked whether it has more of it than the headers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;

use super::line::Active;
use crate::domain::Timestamp;
use crate::host::Host;

/// Envoy shows a body at once; what it has not shown after this long, it keeps to itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Then another request is watched: the client of this one may be slow.
const WATCHED: Duration = Duration::from_secs(5);

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

struct Held {
    active: Rc<Active>,
    id: u32,
    since: Timestamp,
    header_bytes: u64,
    is_told: bool,
}

/// The headers of a stream are held.
pub(super) fn begin(active: &Rc<Active>, id: u32, header_bytes: u64) {
    HELD.with_borrow_mut(|held| {
        if held.is_none() {
            let since = active.host.now();
            *held = Some(Held { active: Rc::clone(active), id, since, header_bytes, is_told: false });
        }
    });
}

/// Its body has come, or it is over. Returns whether it was told of.
pub(super) fn end(id: u32) -> bool {
    HELD.with_borrow_mut(|held| held.take_if(|held| held.id == id).is_some_and(|held| held.is_told))
}

/// To be called at every tick, after all that needs the root's own context.
pub(super) fn tick() {
    HELD.with_borrow_mut(|held| {
        let Some(watched) = held else { return };
        let now = watched.active.host.now();
        let waits = now.since(watched.since);
        if watched.is_told || waits < PATIENCE {
            return;
        }
        if hostcalls::set_effective_context(watched.id).is_ok() {
            let bytes = watched.header_bytes;
            watched.is_told = watched.active.with(|cx| cx.note_unseen_body(bytes)).unwrap_or(false);
        }
        if !watched.is_told && waits >= WATCHED {
            *held = None;
        }
    });
}
