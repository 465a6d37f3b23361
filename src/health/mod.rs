//! Who is well enough to be asked.

mod breaker;

pub use breaker::{Breaker, BreakerPhase, Pass, Refused, Verdict};
