//! The words of the house. They know nobody; every other room speaks them.

mod backend;
mod codec;
mod facts;
mod fnv;
mod limits;
mod model;
mod outcome;
mod quota;
mod rng;
mod thresholds;
mod units;

pub use backend::{
    Backend, BackendIndex, BackendType, BreakerSettings, FallbackAnswers, Prices, ProbeSettings, Weight,
};
pub use codec::{Decoder, Encoder};
pub use facts::{Api, Purpose, RequestFacts, TextSink};
pub use fnv::Fnv;
pub use limits::{Limits, MOST_TRACKED_HOURS, Span};
pub use model::{Model, ModelTag};
pub use outcome::{Ending, Failure, Misconfiguration, Usage};
pub use quota::{Allowance, QuotaReport};
pub use rng::{Rng, SplitMix64};
pub use thresholds::Thresholds;
pub use units::{PerMille, PicoUsd, Price, Timestamp, Tokens};
