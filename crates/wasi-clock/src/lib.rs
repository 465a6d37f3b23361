//! The monotonic clock of a WASI host as a number.
//!
//! The standard library reads the same clock, but its `Instant` hides the number, and only a number can be shared by the
//! virtual machines of one process. This crate holds the one unsafe call that takes, so that all others can forbid unsafe
//! code.
#![cfg(target_os = "wasi")]

#[link(wasm_import_module = "wasi_snapshot_preview1")]
#[expect(unsafe_code, reason = "a function of the host")]
unsafe extern "C" {
    fn clock_time_get(clock: i32, precision: i64, time: *mut u64) -> i32;
}

/// `CLOCKID_MONOTONIC` of WASI.
const MONOTONIC: i32 = 1;

/// Nanoseconds since a moment that is the same for all that run in this host; none where the host has no such clock.
#[must_use]
pub fn monotonic_nanos() -> Option<u64> {
    let mut nanos = 0;
    // SAFETY: the host writes eight bytes to `nanos`, which lives until the call returns, and nothing else.
    #[expect(unsafe_code, reason = "a function of the host")]
    let error = unsafe { clock_time_get(MONOTONIC, 1, &raw mut nanos) };
    (error == 0).then_some(nanos)
}
