//! What a backend received, which is what the tests believe.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use serde::Serialize;
use serde_json::{Value, json};

/// Bytes of a body that are kept.
const BODY_KEPT: usize = 64 * 1024;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When its body was complete, since the backend was started.
    pub at: Duration,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case and values as they came, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, or its first 64 KiB.
    pub body: Bytes,
    /// Bytes of the whole body.
    pub body_len: usize,
    /// What became of the answer.
    pub end: End,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is not over.
    UnderWay,
    /// The backend did all that it was scripted to do.
    Played,
    /// The other side went away before.
    Abandoned,
}

impl Seen {
    /// The first value of a header, wrong bytes replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// Every value of a header, wrong bytes replaced.
    pub fn values(&self, name: &str) -> Vec<String> {
        let of_name = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// Which attempt this was, as Envoy counts them (`x-envoy-attempt-count`).
    pub fn attempt(&self) -> Option<u32> {
        self.header("x-envoy-attempt-count")?.parse().ok()
    }

    /// The body as JSON; `Null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The entry as JSON, for the control endpoint.
    pub(super) fn to_json(&self) -> Value {
        let headers: Vec<_> = self.headers.iter().map(|(n, v)| json!([n, String::from_utf8_lossy(v)])).collect();
        json!({
            "at_ms": self.at.as_millis() as u64, "method": self.method, "path": self.path, "headers": headers,
            "body": String::from_utf8_lossy(&self.body), "body_len": self.body_len, "end": self.end,
        })
    }
}

/// Counts since the backend was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// TCP connections accepted.
    pub connections: u64,
    /// Prompts (requests that are not GET) received.
    pub prompts: u64,
    /// Prompts under way.
    pub in_flight: u64,
    /// The most prompts that were ever under way at once.
    pub max_in_flight: u64,
    /// Prompts refused for a [`Limit`](super::Limit).
    pub refused: u64,
    /// Prompts whose answer was played to its scripted end.
    pub played: u64,
    /// Prompts whose answer the other side did not wait for.
    pub abandoned: u64,
}

/// The journal and the counters of one backend.
#[derive(Debug)]
pub(super) struct Journal {
    started: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seen: Vec<Seen>,
    /// Entries that were cleared: an entry's number is its index plus this.
    cleared: usize,
    counters: Counters,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    pub(super) fn clear(&self) {
        let mut inner = self.lock();
        inner.cleared += inner.seen.len();
        inner.seen.clear();
        let in_flight = inner.counters.in_flight;
        inner.counters = Counters { in_flight, max_in_flight: in_flight, ..Counters::default() };
    }

    pub(super) fn counters(&self) -> Counters {
        self.lock().counters
    }

    pub(super) fn connected(&self) {
        self.lock().counters.connections += 1;
    }

    pub(super) fn refused(&self) {
        self.lock().counters.refused += 1;
    }

    /// A request's headers are here. What is returned counts it out.
    pub(super) fn begin(self: &Arc<Self>, is_prompt: bool) -> Exchange {
        if is_prompt {
            let mut inner = self.lock();
            let counters = &mut inner.counters;
            counters.prompts += 1;
            counters.in_flight += 1;
            counters.max_in_flight = counters.max_in_flight.max(counters.in_flight);
        }
        Exchange { journal: Arc::clone(self), entry: None, is_prompt, end: End::Abandoned }
    }
}

/// One request under way. Dropping it ends it: as abandoned, unless [`Exchange::played`] was called before.
pub(super) struct Exchange {
    journal: Arc<Journal>,
    entry: Option<usize>,
    is_prompt: bool,
    end: End,
}

impl Exchange {
    /// The whole request is here.
    pub(super) fn received(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) {
        let seen = Seen {
            at: self.journal.started.elapsed(),
            method: method.to_string(),
            path: path.to_owned(),
            headers: headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect(),
            body: body.slice(..body.len().min(BODY_KEPT)),
            body_len: body.len(),
            end: End::UnderWay,
        };
        let mut inner = self.journal.lock();
        self.entry = Some(inner.cleared + inner.seen.len());
        inner.seen.push(seen);
    }

    pub(super) fn played(&mut self) {
        self.end = End::Played;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut inner = self.journal.lock();
        let index = self.entry.and_then(|entry| entry.checked_sub(inner.cleared));
        if let Some(seen) = index.and_then(|index| inner.seen.get_mut(index)) {
            seen.end = self.end;
        }
        if self.is_prompt {
            inner.counters.in_flight -= 1;
            match self.end {
                End::Played => inner.counters.played += 1,
                End::Abandoned | End::UnderWay => inner.counters.abandoned += 1,
            }
        }
    }
}
