//! The core of llm-router, checked where it has no operating system under it: on wasm32-unknown-unknown, under Node.
//!
//! The module that Envoy loads is built for wasm32-wasip1, and the core's unit tests run there as well. This suite asks
//! for less: no clock, no entropy, no files. A core that passes here is pure. The tests are in `tests/`; natively they
//! are plain tests.
