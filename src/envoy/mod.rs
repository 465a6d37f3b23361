//! The porch: the only room that knows that Envoy exists. It turns Envoy's callbacks into calls of the
//! [`exchange`](crate::exchange) or the [`control`](crate::control) room, and the house's wishes into host calls.

mod attempt;
mod clock;
mod control;
mod host;
mod http;
mod line;
mod queue;
mod root;
mod stream;
mod unseen;

/// A host call that brings bytes in allocates, so the allocator is on every request's path. TLSF takes the same short
/// time for each (benchmarks/2026-11-21.md).
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

proxy_wasm::main! {{
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
