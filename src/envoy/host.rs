//! The world, as Envoy shows it. Every call goes through `hostcalls`, whose status is looked at, and hands over bytes:
//! the SDK's traits panic on any status but success, and its strings on a header that is no UTF-8. (Some `hostcalls`
//! still panic on a status that Envoy does not give for the arguments used here; a panic takes the worker's VM along.)

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, MetricType, Status};

use super::{clock, root};
use crate::config::{Config, LogLevel};
use crate::domain::{Fnv, Timestamp};
use crate::host::{CallId, Host, Property};
use crate::metrics::{Internal, Kind, Metric};
use crate::state::{Cas, Store, StoreError};

/// A page of a wasm module's memory, in bytes.
const PAGE: u64 = 64 << 10;

thread_local! {
    /// All metrics that this VM has defined, by the hash of their names, in the order of those. Envoy keeps one more for
    /// each definition, even of the same name.
    static DEFINED: RefCell<Vec<(u64, u32)>> = RefCell::default();
}

/// Envoy, as seen by one configuration.
#[derive(Debug)]
pub(super) struct EnvoyHost {
    config: Arc<Config>,
    /// Metrics defined so far; there are as many as the configuration has names for.
    metrics: RefCell<HashMap<Metric, u32>>,
}

impl EnvoyHost {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self { config, metrics: RefCell::default() }
    }

    /// Counts a host call that was refused, and goes on without it.
    fn checked<T: Default>(&self, result: Result<T, Status>) -> T {
        result.unwrap_or_else(|_| {
            self.record(Metric::InternalErrors(Internal::HostCall), 1);
            T::default()
        })
    }

    /// Shows the most memory that any VM has taken; none ever gives any back.
    pub(super) fn show_memory(&self) {
        let taken = core::arch::wasm32::memory_size(0) as u64 * PAGE;
        if self.read(Metric::Memory).is_none_or(|most| taken > most) {
            self.record(Metric::Memory, taken);
        }
    }

    fn metric_id(&self, metric: Metric) -> Option<u32> {
        if let Some(&id) = self.metrics.try_borrow().ok()?.get(&metric) {
            return Some(id);
        }
        let id = define(&metric.name(&self.config.backends, &self.config.cost.tenants), metric.kind())?;
        self.metrics.try_borrow_mut().ok()?.insert(metric, id);
        Some(id)
    }
}

fn define(name: &str, kind: Kind) -> Option<u32> {
    let mut fnv = Fnv::default();
    fnv.write(name.as_bytes());
    let hash = fnv.finish();
    DEFINED.with(|defined| {
        let mut defined = defined.try_borrow_mut().ok()?;
        let place = match defined.binary_search_by_key(&hash, |&(hash, _)| hash) {
            Ok(place) => return defined.get(place).map(|&(_, id)| id),
            Err(place) => place,
        };
        let kind = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let id = hostcalls::define_metric(kind, name).ok()?;
        defined.insert(place, (hash, id));
        Some(id)
    })
}

/// What all VMs of one `vm_id` share: as much of Envoy as there is without a configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedData;

impl Store for EnvoyHost {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError> {
        SharedData.get(key)
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError> {
        SharedData.set(key, value, cas)
    }
}

impl Store for SharedData {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError> {
        match hostcalls::get_shared_data(key) {
            // A value of no bytes is told from none by its version.
            Ok((bytes, Some(cas))) => Ok(Some((bytes.unwrap_or_default(), cas))),
            Ok((Some(bytes), None)) => Ok(Some((bytes, 0))),
            Ok((None, None)) => Ok(None),
            Err(_) => Err(StoreError::Host),
        }
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError> {
        match hostcalls::set_shared_data(key, Some(value), cas) {
            Ok(()) => Ok(true),
            Err(Status::CasMismatch) => Ok(false),
            Err(_) => Err(StoreError::Host),
        }
    }
}

impl Host for EnvoyHost {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn date(&self) -> Timestamp {
        clock::date()
    }

    fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.checked(hostcalls::get_map_bytes(MapType::HttpRequestHeaders))
    }

    fn add_request_header(&self, name: &str, value: &[u8]) {
        self.checked(hostcalls::add_map_value_bytes(MapType::HttpRequestHeaders, name, value));
    }

    fn remove_request_header(&self, name: &str) {
        self.checked(hostcalls::remove_map_value(MapType::HttpRequestHeaders, name));
    }

    fn request_body(&self, len: usize) -> Option<Vec<u8>> {
        self.checked(hostcalls::get_buffer(BufferType::HttpRequestBody, 0, len))
    }

    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.checked(hostcalls::get_map_bytes(MapType::HttpResponseHeaders))
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        self.checked(hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, name, value));
    }

    fn remove_response_header(&self, name: &str) {
        self.checked(hostcalls::remove_map_value(MapType::HttpResponseHeaders, name));
    }

    fn response_body(&self, len: usize) -> Option<Vec<u8>> {
        self.checked(hostcalls::get_buffer(BufferType::HttpResponseBody, 0, len))
    }

    fn replace_response_body(&self, len: usize, body: &[u8]) {
        self.checked(hostcalls::set_buffer(BufferType::HttpResponseBody, 0, len, body));
    }

    fn request_trailers(&self) -> Vec<(String, Vec<u8>)> {
        self.checked(hostcalls::get_map_bytes(MapType::HttpRequestTrailers))
    }

    fn remove_request_trailer(&self, name: &str) {
        self.checked(hostcalls::remove_map_value(MapType::HttpRequestTrailers, name));
    }

    fn response_trailers(&self) -> Vec<(String, Vec<u8>)> {
        self.checked(hostcalls::get_map_bytes(MapType::HttpResponseTrailers))
    }

    fn remove_response_trailer(&self, name: &str) {
        self.checked(hostcalls::remove_map_value(MapType::HttpResponseTrailers, name));
    }

    fn add_response_trailer(&self, name: &str, value: &[u8]) {
        self.checked(hostcalls::add_map_value_bytes(MapType::HttpResponseTrailers, name, value));
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        // Absent ones are answered by an error status as well as by none.
        hostcalls::get_property(property.path().to_vec()).ok().flatten()
    }

    fn leave_word(&self, name: &str, text: &str) {
        self.checked(hostcalls::set_property(vec![name], Some(text.as_bytes())));
    }

    fn may_call(&self, cluster: &str) -> bool {
        !root::has_attempts() || self.config.envoy_admin.as_ref().is_some_and(|admin| *admin.cluster == *cluster)
    }

    fn call_with(&self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: Duration) -> Option<CallId> {
        if !self.may_call(cluster) {
            return None;
        }
        // What is refused here is for the caller to count: it is the cluster that is at fault, not the call.
        let body = Some(body).filter(|body| !body.is_empty());
        hostcalls::dispatch_http_call(cluster, headers.to_vec(), body, Vec::new(), timeout).ok().map(CallId)
    }

    fn call_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.checked(hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders))
    }

    fn call_body(&self, start: usize, len: usize) -> Option<Vec<u8>> {
        self.checked(hostcalls::get_buffer(BufferType::HttpCallResponseBody, start, len))
    }

    fn record(&self, metric: Metric, value: u64) {
        let Some(id) = self.metric_id(metric) else { return };
        // There is nowhere to tell that counting failed.
        let _ = match metric.kind() {
            Kind::Counter => hostcalls::increment_metric(id, i64::try_from(value).unwrap_or(i64::MAX)),
            Kind::Gauge | Kind::Histogram => hostcalls::record_metric(id, value),
        };
    }

    fn read(&self, metric: Metric) -> Option<u64> {
        // Envoy keeps one value a process for each name, whichever VM defined it.
        hostcalls::get_metric(self.metric_id(metric).filter(|_| metric.kind() != Kind::Histogram)?).ok()
    }

    fn log(&self, level: LogLevel, line: &str) {
        if level >= self.config.logging.level {
            write(level, line);
        }
    }
}

/// Writes to Envoy's log, whatever the configured level.
pub(super) fn write(level: LogLevel, line: &str) {
    let level = match level {
        LogLevel::Debug => proxy_wasm::types::LogLevel::Debug,
        LogLevel::Info => proxy_wasm::types::LogLevel::Info,
        LogLevel::Warn => proxy_wasm::types::LogLevel::Warn,
        LogLevel::Error => proxy_wasm::types::LogLevel::Error,
    };
    let _ = hostcalls::log(level, line);
}
