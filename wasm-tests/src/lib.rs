//! The module in a real Envoy, and the simulated backends that it talks to.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`backend`] | a scripted LLM or RAG service on a loopback port, with a journal of what it received |
//! | [`envoy`] | a real Envoy process with a generated configuration |
//! | [`client`] | one request at a time: JSON, a stream cut at will, raw bytes |
//! | [`load`] | many requests at once, with what became of each |
//! | [`router`] | what the tests of the module itself share |
//! | [`wire`] | both ends of a connection, byte by byte |
//!
//! A test scripts the backends, starts Envoy before them, sends requests, and judges by three oracles: what the
//! backends received, what the client got, and Envoy's statistics. Log text is never one.
//!
//! ```no_run
//! use serde_json::json;
//! use wasm_tests::{
//!     backend::{Backend, Behaviour, Flavour},
//!     client::Client,
//!     envoy::{Envoy, Route},
//! };
//!
//! # async fn example() {
//! let cheap = Backend::start("cheap", Flavour::OpenAi).await;
//! let good = Backend::start("good", Flavour::Anthropic).await;
//! cheap.next(1, Behaviour::status(503));
//!
//! let envoy = Envoy::builder()
//!     .backends([&cheap, &good])
//!     .route(Route::Matcher { retries: 2 })
//!     .router(json!({"role": "router", "strategy": "cost_optimized", "backend_instances": {
//!         "cheap": {"cost_per_1k_tokens": 0.1}, "good": {"cost_per_1k_tokens": 2.0},
//!     }}))
//!     .start()
//!     .await;
//!
//! let reply = Client::new().post_json(&envoy.url("/v1/chat/completions"), &json!({"messages": []})).await.unwrap();
//! assert_eq!(reply.status, 200);
//! assert_eq!(reply.header("x-sim-backend").as_deref(), Some("good"));
//! assert_eq!(cheap.prompts().len(), 1, "the first attempt");
//! assert_eq!(envoy.stat("cluster.good.upstream_rq_total").await, 1);
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "test support: a failure here is a failed test"
)]

pub mod backend;
pub mod client;
pub mod control;
pub mod envoy;
pub mod hostile;
pub mod load;
mod ports;
pub mod router;
pub mod sabotage;
pub mod wall_clock;
pub mod wire;
