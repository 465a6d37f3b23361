//! Many requests at once, and what became of each.
//!
//! ```no_run
//! # use wasm_tests::{client::Client, load::load};
//! # use serde_json::json;
//! # async fn example(url: &str) {
//! let load = load(&Client::new(), 3_000, 32, |i| Client::json_request(url, &json!({"user": i}))).await;
//! assert_eq!(load.failures(), 0, "{:?}", load.first_failure());
//! assert_eq!(load.by_header("x-sim-backend")["alpha"], 1_000);
//! assert!(load.percentile(0.99).as_millis() < 500);
//! # }
//! ```

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::task::JoinSet;

use crate::client::{Client, Error, Reply};

/// What became of a load.
#[derive(Debug)]
pub struct Load {
    /// By the number of the request, from 0.
    pub replies: Vec<Result<Reply, Error>>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// Sends requests `0..n`, at most `concurrency` at once, in order of their numbers, and waits for all.
pub async fn load(
    client: &Client,
    n: usize,
    concurrency: usize,
    mut make_request: impl FnMut(usize) -> Request<Full<Bytes>>,
) -> Load {
    let requests: Arc<[_]> = (0..n).map(&mut make_request).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..concurrency {
        let (client, requests, next) = (client.clone(), Arc::clone(&requests), Arc::clone(&next));
        senders.spawn(async move {
            let mut replies = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(number) else { return replies };
                replies.push((number, client.send(request.clone()).await));
            }
        });
    }
    let mut replies: Vec<_> = senders.join_all().await.into_iter().flatten().collect();
    let elapsed = started.elapsed();
    replies.sort_by_key(|(number, _)| *number);
    Load { replies: replies.into_iter().map(|(_, reply)| reply).collect(), elapsed }
}

impl Load {
    /// The answers that came.
    pub fn answers(&self) -> impl Iterator<Item = &Reply> {
        self.replies.iter().flatten()
    }

    /// How many answers had each status; 0 stands for none or a broken one.
    pub fn by_status(&self) -> BTreeMap<u16, usize> {
        count(self.replies.iter().map(|reply| reply.as_ref().map_or(0, |reply| reply.status)))
    }

    /// How many answers had each value of a header; "" stands for none.
    pub fn by_header(&self, name: &str) -> BTreeMap<String, usize> {
        count(self.answers().map(|reply| reply.header(name).unwrap_or_default()))
    }

    /// Requests without a whole answer of 2xx.
    pub fn failures(&self) -> usize {
        self.replies.len() - self.answers().filter(|reply| is_success(reply)).count()
    }

    /// The first of the failures, to be shown.
    pub fn first_failure(&self) -> Option<String> {
        self.replies.iter().enumerate().find_map(|(number, reply)| match reply {
            Ok(reply) if is_success(reply) => None,
            Ok(reply) => Some(format!("request {number}: {} {}", reply.status, reply.text())),
            Err(error) => Some(format!("request {number}: {error}")),
        })
    }

    /// The time to the end of the answer that this share of the answers did not exceed; zero without answers.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut times: Vec<_> = self.answers().map(|reply| reply.elapsed).collect();
        times.sort_unstable();
        percentile(&times, share)
    }

    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        self.answers().count() as f64 / self.elapsed.as_secs_f64()
    }
}

fn is_success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

fn count<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// By the nearest rank, in sorted times.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_the_nearest_rank() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&times, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&times, 1.0), Duration::from_millis(100));
        assert_eq!(percentile(&times[..1], 0.99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
