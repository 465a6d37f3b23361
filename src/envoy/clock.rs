//! What time it is. Envoy's own call gives the wall clock, which is set now and then; WASI gives the monotonic clock. So
//! time goes by the latter, from the date at which the first VM of the process asked for it: the same for all VMs.

use std::cell::Cell;
use std::time::UNIX_EPOCH;

use proxy_wasm::hostcalls;
use wasi_clock::monotonic_nanos;

use crate::domain::{Decoder, Encoder, Timestamp};

/// Where the VMs of a process find what its monotonic clock and its time differ by.
const KEY: &str = "llm-router/1/clock";

thread_local! {
    /// The same, as this VM knows. To look it up takes as long as seven looks at the clock.
    static ORIGIN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The moment. Where the host has no monotonic clock, or must not show it, that of the wall clock.
pub(super) fn now() -> Timestamp {
    let Some(micros) = monotonic_nanos().map(|nanos| nanos / 1_000) else { return date() };
    let origin = ORIGIN.get().unwrap_or_else(|| {
        let origin = shared_origin(date().as_micros().wrapping_sub(micros));
        ORIGIN.set(Some(origin));
        origin
    });
    Timestamp::from_micros(micros.wrapping_add(origin))
}

/// The date, by the wall clock.
pub(super) fn date() -> Timestamp {
    let now = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    Timestamp::from_micros(now.map_or(0, |now| now.as_micros() as u64))
}

/// What others found, or this if they have not. Two that begin at the same time may both write, and differ by less than
/// they take for it: each is as right.
fn shared_origin(own: u64) -> u64 {
    let found = hostcalls::get_shared_data(KEY).ok().and_then(|(bytes, _)| Decoder::new(&bytes?).u64());
    found.unwrap_or_else(|| {
        let mut out = Encoder::with_capacity(8);
        out.u64(own);
        let _ = hostcalls::set_shared_data(KEY, Some(&out.finish()), None);
        own
    })
}
