//! The load: so many connections, each with one request at a time.

use std::{
    cell::RefCell,
    net::Ipv4Addr,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::TcpStream,
    task::{LocalSet, spawn_local},
};
use wasm_tests::load::percentile;

/// What one round showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// A chat request of exactly this many bytes (at least the hundred of its frame) of English prose.
pub(crate) fn chat_body(bytes: usize) -> Bytes {
    const PROSE: &str = "A platform team asks for one door to all of its models. The door reads each question, guesses \
        how long the answer will be, and looks up what every provider charges for it; then it picks one. Most days \
        nobody notices. When a provider is slow, though, or has spent its quota at noon, the choice matters a lot. ";
    let frame = |text: &str| json!({"model": "sim-1", "messages": [{"role": "user", "content": text}]}).to_string();
    let text: String = PROSE.chars().cycle().take(bytes.saturating_sub(frame("").len())).collect();
    frame(&text).into()
}

/// Loads the port for this long. Any answer but a whole 200 is an error: nothing is measured on errors.
pub(crate) async fn drive(
    port: u16,
    headers: &[(&'static str, &'static str)],
    body: &Bytes,
    connections: usize,
    length: Duration,
) -> Result<Round, String> {
    let times = Rc::new(RefCell::new(Vec::new()));
    let local = LocalSet::new();
    let started = Instant::now();
    let results = local
        .run_until(async {
            let tasks: Vec<_> = (0..connections)
                .map(|_| {
                    let (times, headers, body) = (Rc::clone(&times), headers.to_vec(), body.clone());
                    spawn_local(async move {
                        connection(port, &headers, &body, started + length, &times).await.map_err(|e| e.to_string())
                    })
                })
                .collect();
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await.map_err(|error| error.to_string()).and_then(|result| result));
            }
            results
        })
        .await;
    let elapsed = started.elapsed();
    results.into_iter().collect::<Result<Vec<()>, String>>()?;
    let mut times = times.take();
    times.sort_unstable();
    Ok(Round {
        per_second: times.len() as f64 / elapsed.as_secs_f64(),
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
    })
}

async fn connection(
    port: u16,
    headers: &[(&'static str, &'static str)],
    body: &Bytes,
    end: Instant,
    times: &RefCell<Vec<Duration>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    spawn_local(connection);
    while Instant::now() < end {
        let mut request = Request::post("/v1/chat/completions")
            .header("host", "bench")
            .header("content-type", "application/json")
            .header("authorization", "Bearer sk-simulated");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.clone()))?;
        let sent = Instant::now();
        sender.ready().await?;
        let mut response = sender.send_request(request).await?;
        let status = response.status();
        while let Some(frame) = response.frame().await {
            frame?;
        }
        times.borrow_mut().push(sent.elapsed());
        if status != 200 {
            return Err(format!("status {status}").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_size_that_was_asked_for_and_is_json() {
        for bytes in [1 << 10, 16 << 10, 256 << 10] {
            let body = chat_body(bytes);
            assert_eq!(body.len(), bytes);
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
    }
}
