//! Streams of HTTP/2 that end in every way that there is.

use std::{io, time::Duration};

use bytes::Bytes;
use h2::{Reason, client};
use hyper::{HeaderMap, Request, header::HeaderValue};
use tokio::{net::TcpStream, time::timeout};

use super::{http1, packed::Bodies, rng::Rng};

/// Some streams of one connection.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    path: &'static str,
    body: Bytes,
    encoded: bool,
    trailers: bool,
    streams: u64,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// The answer is read.
    Read,
    /// Reset after that share of the body, in hundredths, for this reason.
    Reset(u64, Reason),
    /// The connection is dropped after that share.
    Drop(u64),
    /// Reset when the answer has begun.
    ResetAnswer(Reason),
}

const REASONS: [Reason; 8] = [
    Reason::NO_ERROR,
    Reason::CANCEL,
    Reason::PROTOCOL_ERROR,
    Reason::INTERNAL_ERROR,
    Reason::REFUSED_STREAM,
    Reason::FLOW_CONTROL_ERROR,
    Reason::ENHANCE_YOUR_CALM,
    Reason::STREAM_CLOSED,
];

pub(super) fn attack(rng: &mut Rng, packed: &Bodies) -> (&'static str, Attack) {
    let path = rng.pick(&["/v1/chat/completions", "/v1/messages", "/query/stream", "/v1/embeddings", "/v1/files"]);
    let encoded = rng.one_in(5);
    let body = match rng.below(4) {
        _ if encoded => packed.one(rng).to_vec(),
        0 => http1::broken(rng),
        1 => http1::odd(rng),
        _ => http1::chat(rng),
    };
    let mut reason = || REASONS.get(rng.below(REASONS.len() as u64) as usize).copied().unwrap_or(Reason::CANCEL);
    let (first, second) = (reason(), reason());
    let (kind, end) = match rng.below(6) {
        0 | 1 => ("stream that is reset", End::Reset(rng.below(101), first)),
        2 => ("stream that is dropped", End::Drop(rng.below(101))),
        3 => ("answer that is reset", End::ResetAnswer(second)),
        _ => ("stream that is read", End::Read),
    };
    let streams = if rng.one_in(4) { 1 + rng.below(20) } else { 1 };
    let trailers = rng.one_in(2);
    (kind, Attack { path, body: body.into(), encoded, trailers, streams, end })
}

pub(super) async fn send(stream: TcpStream, attack: &Attack) -> io::Result<()> {
    let (mut sender, connection) = client::handshake(stream).await.map_err(io::Error::other)?;
    let driver = tokio::spawn(connection);
    for _ in 0..attack.streams {
        sender = sender.ready().await.map_err(io::Error::other)?;
        // One stream after the other: each tells of itself by what becomes of the next.
        let _ = timeout(Duration::from_secs(3), one(&mut sender, attack)).await;
        if matches!(attack.end, End::Drop(_)) {
            break;
        }
    }
    driver.abort();
    Ok(())
}

async fn one(sender: &mut client::SendRequest<Bytes>, attack: &Attack) -> Result<(), h2::Error> {
    let mut request = Request::post(format!("http://hostile{}", attack.path))
        .header("content-type", "application/json")
        .header("x-llm-cluster", "envoy_admin");
    if attack.encoded {
        request = request.header("content-encoding", "gzip");
    }
    let request = request.body(()).expect("a valid request");
    let (answer, mut body) = sender.send_request(request, false)?;
    let share = match attack.end {
        End::Reset(share, _) | End::Drop(share) => share as usize,
        End::Read | End::ResetAnswer(_) => 100,
    };
    let part = attack.body.slice(..attack.body.len() * share / 100);
    let is_whole = share == 100;
    body.send_data(part, is_whole && !attack.trailers)?;
    if is_whole && attack.trailers {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-llm-cluster", HeaderValue::from_static("envoy_admin"));
        trailers.insert("x-llm-tenant", HeaderValue::from_static("somebody"));
        body.send_trailers(trailers)?;
    }
    match attack.end {
        End::Reset(_, reason) => {
            tokio::task::yield_now().await;
            body.send_reset(reason);
        }
        End::Drop(_) => tokio::task::yield_now().await,
        End::ResetAnswer(reason) => {
            let _answer = answer.await?;
            body.send_reset(reason);
        }
        End::Read => {
            let mut answer = answer.await?.into_body();
            while let Some(data) = answer.data().await {
                let len = data?.len();
                let _ = answer.flow_control().release_capacity(len);
            }
        }
    }
    Ok(())
}
