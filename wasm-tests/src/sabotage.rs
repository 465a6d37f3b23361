//! A module that traps where a test wants it to, which the real one never does.
//!
//! The body of one exported function becomes an `unreachable`. It keeps its length, so that nothing else has to change.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::{HeaderMap, Request, body::Frame, client::conn::http2, header::HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use crate::envoy::Envoy;

/// What traps in the module of [`trap`].
pub const TRAP: &str = "proxy_on_request_trailers";

const UNREACHABLE: u8 = 0x00;
const NOP: u8 = 0x01;
const END: u8 = 0x0B;

/// The module with a trap in the place of an exported function; none if it has no such function.
#[must_use]
pub fn trapping(module: &[u8], export: &str) -> Option<Vec<u8>> {
    let mut reader = Reader { bytes: module, at: 8 };
    let (mut imported, mut wanted) = (0, None);
    while let Some(&id) = module.get(reader.at) {
        reader.at += 1;
        let length = reader.number()?;
        let end = reader.at + length;
        match id {
            2 => imported = reader.imported_functions()?,
            7 => wanted = Some(reader.exported_function(export)?),
            10 => {
                let body = reader.body(wanted?.checked_sub(imported)?)?;
                let mut patched = module.to_vec();
                let (last, rest) = patched.get_mut(body)?.split_last_mut()?;
                rest.fill(NOP);
                // No locals, then the trap.
                rest.get_mut(..2)?.copy_from_slice(&[0, UNREACHABLE]);
                *last = END;
                return Some(patched);
            }
            _ => {}
        }
        reader.at = end;
    }
    None
}

/// Has the VM of one worker trap, if its module does so in [`TRAP`]: HTTP/2 ends a request with trailers.
///
/// # Panics
///
/// Where Envoy does not listen.
pub async fn trap(envoy: &Envoy) {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", envoy.port())).await.expect("Envoy listens");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("7"));
    let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{"))), Ok(Frame::trailers(trailers))];
    let request = Request::post(envoy.url("/v1/chat/completions")).header("content-type", "application/json");
    let request = request.body(StreamBody::new(stream::iter(frames))).expect("a request");
    // Whatever becomes of it.
    let _ = timeout(Duration::from_secs(5), sender.send_request(request)).await;
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.at += 1;
        self.bytes.get(self.at - 1).copied()
    }

    /// LEB128.
    fn number(&mut self) -> Option<usize> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                return Some(number);
            }
        }
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.at += length;
        self.bytes.get(self.at - length..self.at)
    }

    /// Functions come first among those with numbers. The module imports nothing else.
    fn imported_functions(&mut self) -> Option<usize> {
        let imports = self.number()?;
        for _ in 0..imports {
            self.name()?;
            self.name()?;
            if self.byte()? != 0 {
                return None;
            }
            self.number()?;
        }
        Some(imports)
    }

    fn exported_function(&mut self, wanted: &str) -> Option<usize> {
        for _ in 0..self.number()? {
            let (name, kind, index) = (self.name()?, self.byte()?, self.number()?);
            if kind == 0 && name == wanted.as_bytes() {
                return Some(index);
            }
        }
        None
    }

    /// Where the body of a function is, without its length.
    fn body(&mut self, index: usize) -> Option<std::ops::Range<usize>> {
        self.number()?;
        for _ in 0..index {
            let length = self.number()?;
            self.at += length;
        }
        let length = self.number()?;
        (length >= 3).then_some(self.at..self.at + length)
    }
}
