//! All that the house knows of the world.

use std::time::Duration;

use crate::config::LogLevel;
use crate::domain::Timestamp;
use crate::metrics::Metric;
use crate::state::Store;

#[cfg(test)]
pub(crate) mod fake;

/// What carries the exchange: Envoy in production, a fake in the tests. Names of headers are lower-case ASCII, values
/// may be any bytes. None of these calls fails loudly: what the host refuses is counted by the host itself.
pub trait Host: Store {
    /// What time it is. It goes on evenly, whatever becomes of the wall clock, and is the same for all workers.
    fn now(&self) -> Timestamp;

    /// What date it is, by the wall clock, which may be set. Only for what goes by the calendar.
    fn date(&self) -> Timestamp;

    /// The request's headers, pseudo-headers included. Only until they have been continued.
    fn request_headers(&self) -> Vec<(String, Vec<u8>)>;

    /// Adds a header that the request does not have. (To replace one, Envoy looks for it, and to look for the first it
    /// builds an index of all of them.)
    fn add_request_header(&self, name: &str, value: &[u8]);

    /// Removes every copy of a header of the request.
    fn remove_request_header(&self, name: &str);

    /// The request's body as far as it was held back, at most `len` bytes of it.
    fn request_body(&self, len: usize) -> Option<Vec<u8>>;

    /// The answer's headers, pseudo-headers included.
    fn response_headers(&self) -> Vec<(String, Vec<u8>)>;

    /// Adds a header that the answer does not have.
    fn add_response_header(&self, name: &str, value: &[u8]);

    /// Removes every copy of a header of the answer.
    fn remove_response_header(&self, name: &str);

    /// The chunk of the answer that is passing by, `len` bytes.
    fn response_body(&self, len: usize) -> Option<Vec<u8>>;

    /// Lets something else pass in the place of that chunk of `len` bytes.
    fn replace_response_body(&self, len: usize, body: &[u8]);

    /// The request's trailers. Only in their callback.
    fn request_trailers(&self) -> Vec<(String, Vec<u8>)>;

    /// Removes every copy of a trailer of the request.
    fn remove_request_trailer(&self, name: &str);

    /// The answer's trailers. Only in their callback.
    fn response_trailers(&self) -> Vec<(String, Vec<u8>)>;

    /// Removes every copy of a trailer of the answer.
    fn remove_response_trailer(&self, name: &str);

    /// Adds a trailer that the answer does not have. Only with the last piece of its body, or in the trailers' callback.
    fn add_response_trailer(&self, name: &str, value: &[u8]);

    /// Something that Envoy knows of this exchange; see [`Property`].
    fn property(&self, property: Property) -> Option<Vec<u8>>;

    /// Leaves a text where Envoy's access logs find it: `%FILTER_STATE(wasm.<name>:PLAIN)%`.
    fn leave_word(&self, name: &str, text: &str);

    /// Whether a call to that cluster would do no harm; then the check of a backend is left out rather than failed.
    fn may_call(&self, _cluster: &str) -> bool {
        true
    }

    /// Asks a cluster, pseudo-headers among the headers, and does not wait for the answer. None where that cannot even be
    /// begun: there is no such cluster, or none of its hosts is there to be asked.
    fn call(&self, cluster: &str, headers: &[(&str, &str)], timeout: Duration) -> Option<CallId> {
        self.call_with(cluster, headers, b"", timeout)
    }

    /// The same with a body.
    fn call_with(&self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: Duration) -> Option<CallId>;

    /// The headers of the answer to a call. Only while it is handed over, and only if it has any.
    fn call_headers(&self) -> Vec<(String, Vec<u8>)>;

    /// `len` bytes of the answer to a call, from `start` on; both within its size. Only while it is handed over.
    fn call_body(&self, start: usize, len: usize) -> Option<Vec<u8>>;

    /// Adds to a counter, sets a gauge, or takes a sample, whichever the metric is.
    fn record(&self, metric: Metric, value: u64);

    /// Where a counter or a gauge stands, over all workers and configurations; 0 if nothing was recorded. It makes the
    /// metric, so it is only for those that would come to be in time. None for histograms, which only Envoy can read.
    fn read(&self, metric: Metric) -> Option<u64>;

    /// Writes a log line.
    fn log(&self, level: LogLevel, line: &str);

    /// A [`property`](Self::property) that is a number.
    fn number(&self, property: Property) -> Option<u64> {
        let bytes: [u8; 8] = self.property(property)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

/// A call to a cluster, by which its answer is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(pub u32);

/// Envoy's attributes of an exchange, as far as they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Property {
    /// Attempts made so far; absent if nothing was sent.
    AttemptCount,
    /// Response flags, a bit each.
    ResponseFlags,
    /// What Envoy did, in a word.
    CodeDetails,
    /// The cluster that the last attempt went to.
    ClusterName,
    /// How the client speaks: `HTTP/1.1`, `HTTP/2` …
    Protocol,
    /// Bytes of the request so far, of its headers and its body.
    RequestBytes,
    /// The address that the request came from.
    SourceAddress,
    /// The address that it came to: of the connection, not of the listener, which may have all addresses.
    DestinationAddress,
}

impl Property {
    /// Its path in Envoy.
    pub const fn path(self) -> &'static [&'static str] {
        match self {
            Self::AttemptCount => &["upstream", "request_attempt_count"],
            Self::ResponseFlags => &["response", "flags"],
            Self::CodeDetails => &["response", "code_details"],
            Self::ClusterName => &["xds", "cluster_name"],
            Self::Protocol => &["request", "protocol"],
            Self::RequestBytes => &["request", "total_size"],
            Self::SourceAddress => &["source", "address"],
            Self::DestinationAddress => &["destination", "address"],
        }
    }
}
