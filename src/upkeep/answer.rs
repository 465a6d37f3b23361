//! The answer to a call, read piece by piece: an Envoy with thousands of clusters has megabytes to say.

use std::io::{self, Read};

use crate::host::{CallId, Host};

/// Bytes fetched from the host at once.
const PIECE: usize = 64 * 1024;

/// An answer that can be read now.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// To which call.
    pub call: CallId,
    /// How many headers it has; none if there was no answer.
    pub headers: usize,
    /// How many bytes its body has.
    pub body: usize,
}

impl Answer {
    /// Its status; none if there was no answer.
    pub(super) fn status(&self, host: &impl Host) -> Option<u16> {
        status(&self.headers(host))
    }

    /// Its headers; none if there was no answer.
    pub(super) fn headers(&self, host: &impl Host) -> Vec<(String, Vec<u8>)> {
        if self.headers == 0 { Vec::new() } else { host.call_headers() }
    }

    /// Its body; nothing at all of one that is larger than this.
    pub(super) fn body<'a, H: Host>(&self, host: &'a H, largest: usize) -> Body<'a, H> {
        let size = if self.body > largest { 0 } else { self.body };
        Body { host, fetched: 0, size, piece: Vec::new(), read: 0 }
    }
}

/// The status among an answer's headers.
pub(super) fn status(headers: &[(String, Vec<u8>)]) -> Option<u16> {
    let (_, status) = headers.iter().find(|(name, _)| name == ":status")?;
    str::from_utf8(status).ok()?.parse().ok()
}

/// A body as a stream.
#[derive(Debug)]
pub(super) struct Body<'a, H> {
    host: &'a H,
    fetched: usize,
    size: usize,
    piece: Vec<u8>,
    read: usize,
}

impl<H: Host> Read for Body<'_, H> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read >= self.piece.len() && self.fetched < self.size {
            let wanted = PIECE.min(self.size - self.fetched);
            self.piece = self.host.call_body(self.fetched, wanted).unwrap_or_default();
            self.read = 0;
            // Less than was announced: there is no more.
            self.fetched = if self.piece.is_empty() { self.size } else { self.fetched + self.piece.len() };
        }
        let left = self.piece.get(self.read..).unwrap_or_default();
        let mut left = left;
        let read = left.read(into)?;
        self.read += read;
        Ok(read)
    }
}
