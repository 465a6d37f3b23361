//! Requests that wait for a place.
//!
//! Where every backend that could serve a request is as busy as it may be, the request waits in Envoy, and a ticket of it
//! lies in the [list](crate::state::WaitingList) that all workers share. Each worker keeps the requests of its own
//! streams in a [`Room`]; when a place is free, it goes through the list in order, places its own, and calls the worker
//! of the first that is not.

mod room;
#[cfg(test)]
mod tests;

pub use room::{Call, Entry, Guest, Passed, Placing, Room};
