//! The host of the tests: a world in memory.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::{CallId, Host, Property};
use crate::config::LogLevel;
use crate::domain::Timestamp;
use crate::metrics::{Kind, Metric};
use crate::state::{Cas, MemoryStore, Store, StoreError};

/// Headers as a host gives them.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// Headers of text.
pub(crate) fn headers<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Headers {
    pairs.into_iter().map(|&(name, value)| (name.to_owned(), value.into())).collect()
}

/// One call, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) cluster: String,
    pub(crate) path: String,
    /// All of them, the path too.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) timeout: Duration,
    pub(crate) at: Timestamp,
}

/// A world whose every fact is set by the test.
pub(crate) struct World {
    /// What the workers share.
    pub(crate) store: MemoryStore,
    /// The keys that somebody wrote or tried to, in order.
    pub(crate) written: RefCell<Vec<String>>,
    /// What others write, each before the next read of its key.
    pub(crate) rivals: RefCell<VecDeque<(&'static str, Vec<u8>)>>,
    pub(crate) unreadable: Cell<bool>,
    pub(crate) unwritable: Cell<bool>,
    /// A key that somebody else always writes a moment sooner.
    pub(crate) contended: Cell<Option<&'static str>>,
    /// Microseconds.
    pub(crate) now: Cell<u64>,
    /// By how many microseconds the wall clock was set ahead.
    pub(crate) ahead: Cell<i64>,
    pub(crate) request: RefCell<Headers>,
    pub(crate) request_body: RefCell<Vec<u8>>,
    pub(crate) response: RefCell<Headers>,
    pub(crate) request_trailers: RefCell<Headers>,
    pub(crate) response_trailers: RefCell<Headers>,
    pub(crate) chunk: RefCell<Vec<u8>>,
    pub(crate) properties: RefCell<HashMap<Property, Vec<u8>>>,
    /// Those that were made, even if in vain.
    pub(crate) calls: RefCell<Vec<Call>>,
    /// A cluster that cannot be asked.
    pub(crate) missing: Cell<&'static str>,
    /// What every call is answered with, besides a header that is no text.
    pub(crate) call_status: Cell<u16>,
    pub(crate) call_headers: RefCell<Headers>,
    pub(crate) call_body: RefCell<Vec<u8>>,
    /// The largest piece of a call's body that was asked for.
    pub(crate) largest_piece: Cell<usize>,
    /// Sums of counters and of samples, and where each gauge stands, by their names without labels of the operator's.
    pub(crate) metrics: RefCell<BTreeMap<String, u64>>,
    /// The same, each by itself.
    pub(crate) figures: RefCell<HashMap<Metric, u64>>,
    pub(crate) log: RefCell<Vec<(LogLevel, String)>>,
    /// What access logs would find.
    pub(crate) words: RefCell<BTreeMap<String, String>>,
}

impl World {
    /// When it begins: a round moment, but not zero, which is "never" in the records.
    pub(crate) const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    /// Empty, and in order.
    pub(crate) fn new() -> Self {
        Self {
            store: MemoryStore::default(),
            written: RefCell::default(),
            rivals: RefCell::default(),
            unreadable: Cell::default(),
            unwritable: Cell::default(),
            contended: Cell::default(),
            now: Cell::new(Self::START.as_micros()),
            ahead: Cell::default(),
            request: RefCell::default(),
            request_body: RefCell::default(),
            response: RefCell::default(),
            request_trailers: RefCell::default(),
            response_trailers: RefCell::default(),
            chunk: RefCell::default(),
            properties: RefCell::default(),
            calls: RefCell::default(),
            missing: Cell::default(),
            call_status: Cell::new(200),
            call_headers: RefCell::default(),
            call_body: RefCell::default(),
            largest_piece: Cell::default(),
            metrics: RefCell::default(),
            figures: RefCell::default(),
            log: RefCell::default(),
            words: RefCell::default(),
        }
    }

    pub(crate) fn set_seconds(&self, seconds: u64) {
        self.now.set(seconds * 1_000_000);
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.now.set(self.now().after(time).as_micros());
    }

    pub(crate) fn pass_millis(&self, ms: u64) {
        self.pass(Duration::from_millis(ms));
    }

    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Puts shared data out of order, or in order again.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.unreadable.set(broken);
        self.unwritable.set(broken);
    }

    /// A property that is a number.
    pub(crate) fn set_number(&self, property: Property, number: u64) {
        self.properties.borrow_mut().insert(property, number.to_le_bytes().to_vec());
    }

    /// The first such header of the request, as it is now.
    pub(crate) fn request_header(&self, name: &str) -> Option<String> {
        find(&self.request, name)
    }

    /// The first such header of the answer, as it is now.
    pub(crate) fn response_header(&self, name: &str) -> Option<String> {
        find(&self.response, name)
    }

    /// The sum of all metrics with that in their names.
    pub(crate) fn metric(&self, part: &str) -> u64 {
        self.metrics.borrow().iter().filter(|(name, _)| name.contains(part)).map(|(_, n)| n).sum()
    }

    /// The log without its levels.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.borrow().iter().map(|(_, line)| line.clone()).collect()
    }
}

/// Adds a header as Envoy does: a second copy if there is one already, which must never be.
fn add(headers: &RefCell<Headers>, name: &str, value: &[u8]) {
    assert!(!headers.borrow().iter().any(|(n, _)| n == name), "{name} is there already");
    headers.borrow_mut().push((name.to_owned(), value.to_vec()));
}

fn find(headers: &RefCell<Headers>, name: &str) -> Option<String> {
    let headers = headers.borrow();
    let (_, value) = headers.iter().find(|(n, _)| n == name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn at_most(len: usize, bytes: &RefCell<Vec<u8>>) -> Vec<u8> {
    bytes.borrow().iter().take(len).copied().collect()
}

impl Store for World {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError> {
        if self.unreadable.get() {
            return Err(StoreError::Host);
        }
        let mut rivals = self.rivals.borrow_mut();
        if rivals.front().is_some_and(|(theirs, _)| *theirs == key)
            && let Some((_, value)) = rivals.pop_front()
        {
            self.store.set(key, &value, None)?;
        }
        self.store.get(key)
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError> {
        self.written.borrow_mut().push(key.to_owned());
        if self.contended.get() == Some(key) {
            return Ok(false);
        }
        if self.unwritable.get() { Err(StoreError::Host) } else { self.store.set(key, value, cas) }
    }
}

impl Host for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.get())
    }

    fn date(&self) -> Timestamp {
        Timestamp::from_micros(self.now.get().saturating_add_signed(self.ahead.get()))
    }

    fn request_headers(&self) -> Headers {
        self.request.borrow().clone()
    }

    fn add_request_header(&self, name: &str, value: &[u8]) {
        add(&self.request, name, value);
    }

    fn remove_request_header(&self, name: &str) {
        self.request.borrow_mut().retain(|(n, _)| n != name);
    }

    fn request_body(&self, len: usize) -> Option<Vec<u8>> {
        Some(at_most(len, &self.request_body))
    }

    fn response_headers(&self) -> Headers {
        self.response.borrow().clone()
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        add(&self.response, name, value);
    }

    fn remove_response_header(&self, name: &str) {
        self.response.borrow_mut().retain(|(n, _)| n != name);
    }

    fn request_trailers(&self) -> Headers {
        self.request_trailers.borrow().clone()
    }

    fn remove_request_trailer(&self, name: &str) {
        self.request_trailers.borrow_mut().retain(|(n, _)| n != name);
    }

    fn response_trailers(&self) -> Headers {
        self.response_trailers.borrow().clone()
    }

    fn remove_response_trailer(&self, name: &str) {
        self.response_trailers.borrow_mut().retain(|(n, _)| n != name);
    }

    fn add_response_trailer(&self, name: &str, value: &[u8]) {
        add(&self.response_trailers, name, value);
    }

    fn response_body(&self, len: usize) -> Option<Vec<u8>> {
        Some(at_most(len, &self.chunk))
    }

    fn replace_response_body(&self, len: usize, body: &[u8]) {
        assert_eq!(self.chunk.borrow().len(), len);
        self.chunk.replace(body.to_vec());
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        self.properties.borrow().get(&property).cloned()
    }

    fn leave_word(&self, name: &str, text: &str) {
        self.words.borrow_mut().insert(name.to_owned(), text.to_owned());
    }

    fn call_with(&self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: Duration) -> Option<CallId> {
        let headers: Vec<_> = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let path = headers.iter().find(|(name, _)| name == ":path").expect("a path").1.clone();
        let mut calls = self.calls.borrow_mut();
        let id = CallId(calls.len() as u32);
        let (cluster, body) = (cluster.to_owned(), String::from_utf8_lossy(body).into_owned());
        let is_there = cluster != self.missing.get();
        calls.push(Call { id, cluster, path, headers, body, timeout, at: self.now() });
        is_there.then_some(id)
    }

    fn call_headers(&self) -> Headers {
        let status = self.call_status.get().to_string().into_bytes();
        let own = vec![("x".to_owned(), vec![0xFF]), (":status".to_owned(), status)];
        [own, self.call_headers.borrow().clone()].concat()
    }

    fn call_body(&self, start: usize, len: usize) -> Option<Vec<u8>> {
        self.largest_piece.set(self.largest_piece.get().max(len));
        Some(self.call_body.borrow()[start..start + len].to_vec())
    }

    fn record(&self, metric: Metric, value: u64) {
        let (mut metrics, mut figures) = (self.metrics.borrow_mut(), self.figures.borrow_mut());
        for entry in [metrics.entry(metric.name(&[], &[])).or_default(), figures.entry(metric).or_default()] {
            *entry = match metric.kind() {
                Kind::Counter | Kind::Histogram => *entry + value,
                Kind::Gauge => value,
            };
        }
    }

    fn read(&self, metric: Metric) -> Option<u64> {
        (metric.kind() != Kind::Histogram).then(|| self.figures.borrow().get(&metric).copied().unwrap_or(0))
    }

    fn log(&self, level: LogLevel, line: &str) {
        self.log.borrow_mut().push((level, line.to_owned()));
    }
}
