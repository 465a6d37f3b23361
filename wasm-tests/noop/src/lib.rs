//! A module that holds the headers until the body is there, and nothing else: the least that a filter which reads
//! bodies can cost. `{"refuse": …}` as its configuration is refused, for the tests of the harness.
#![cfg(target_os = "wasi")]
#![expect(missing_docs, reason = "the entry point is written by the SDK's macro")]

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, BufferType, ContextType, LogLevel},
};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root) });
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let configuration = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size);
        !configuration.is_ok_and(|bytes| bytes.is_some_and(|bytes| bytes.windows(6).any(|part| part == b"refuse")))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http))
    }
}

struct Http;

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        hold_unless(end_of_stream)
    }

    fn on_http_request_body(&mut self, _: usize, end_of_stream: bool) -> Action {
        hold_unless(end_of_stream)
    }
}

fn hold_unless(end_of_stream: bool) -> Action {
    if end_of_stream { Action::Continue } else { Action::Pause }
}
