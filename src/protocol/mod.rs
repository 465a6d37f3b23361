//! What bodies look like: the only room that knows the field names of the providers' APIs.
//!
//! A request is read once, whole, when it has arrived: [`read_request`] walks the JSON and hands its text to a
//! [`TextSink`](crate::domain::TextSink) as it meets it. An answer is watched as it passes: an [`Observer`] takes each
//! chunk, keeps nothing of it but what it looks for, and holds nothing back. Both know an API as a table from *(where
//! in the body, which key)* to *what that means*; neither builds a tree.
//!
//! The rules by which things are counted, and where they come from, are in `docs/protocols.md`.

mod answer;
mod gzip;
mod quota;
mod request;
mod time;

pub use answer::{AnswerFacts, Form, InBandError, Observer, StreamEnd};
pub use gzip::{InflateError, inflate};
pub use quota::QuotaHeaders;
pub use request::{
    Measure, RequestPath, Unreadable, api_of, ask_for_usage, asks_a_model, is_read, may_be_json, of_anthropic,
    purpose_of, read_request, read_unknown, vendor_of,
};
pub(crate) use time::decimal;
