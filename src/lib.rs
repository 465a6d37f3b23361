//! # llm-router
//!
//! An Envoy filter that sends each LLM or RAG request to the cluster that serves it best. It reads the request's body,
//! estimates its tokens, scores the backends by cost, quality, latency and health, and sets the headers by which Envoy
//! picks the cluster; it watches the answer and learns from it.
//!
//! A request walks through the house in one direction, and so should a reader:
//!
//! | room | question |
//! | --- | --- |
//! | [`protocol`] | what does the body say? |
//! | [`tokens`] | how much is it? |
//! | [`routing`] | who may serve it, who is best, in what order? |
//! | [`exchange`] | one request from its headers to its log |
//! | [`queue`] | who waits for a place, and whose turn is it? |
//! | [`upkeep`] | what is done besides, at each tick: checks, and what they show |
//! | [`alerts`] | what is an operator told of without asking? |
//! | [`control`] | what does an operator see, and do? |
//! | [`state`] | what every worker knows of every backend |
//! | `steering` | what did operators change at run time? |
//! | [`config`] | what the operator asked for |
//! | [`domain`] | the words that all of them use |
//!
//! Only the porch (`src/envoy/`) knows that Envoy exists; it is compiled for `wasm32-wasip1` alone. Everything else is
//! a pure core: no clock, no entropy, no globals, so that the same trace and seed give the same decisions anywhere.

pub mod alerts;
pub mod config;
pub mod control;
pub mod cost;
pub mod domain;
#[cfg(all(target_os = "wasi", not(test)))]
mod envoy;
pub mod exchange;
pub mod health;
pub mod host;
mod json;
pub mod learning;
pub mod logging;
pub mod metrics;
pub mod protocol;
pub mod queue;
pub mod routing;
pub mod state;
pub(crate) mod steering;
pub mod tokens;
pub mod upkeep;
mod version;
