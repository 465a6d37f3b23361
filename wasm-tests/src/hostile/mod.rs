//! Requests that nobody well-meaning would send, of every kind there is, by a seed: the same seed sends the same ones.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use wasm_tests::hostile::Crowd;
//! # async fn example(port: u16) {
//! let crowd = Arc::new(Crowd::new(7, 2_000));
//! let outcomes = crowd.attack(port, 8).await;
//! assert_eq!(outcomes.values().sum::<usize>(), 2_000);
//! # }
//! ```

mod http1;
mod http2;
mod packed;
mod rng;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

pub use packed::{gzip_of, tables_for_nothing};
use rng::Rng;

/// Nobody waits longer for an answer to one of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one of them is.
#[derive(Debug, Clone)]
enum Attack {
    /// These bytes, in pieces with pauses between them, on a connection of its own; then the answer is read, or not.
    Raw { pieces: Vec<Vec<u8>>, pause: Duration, then: Then },
    /// A stream of HTTP/2.
    Stream(http2::Attack),
}

/// What a client does when it has sent what it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It reads the answer to its end, as far as one comes.
    Read,
    /// It reads so many bytes and closes the connection.
    ReadSome(usize),
    /// It closes the connection.
    Leave,
}

/// Hostile clients, with all that they will send.
#[derive(Debug)]
pub struct Crowd {
    attacks: Vec<(&'static str, Attack)>,
    next: AtomicUsize,
}

impl Crowd {
    /// So many requests of this seed. They are made before the first of them is sent.
    pub fn new(seed: u64, size: usize) -> Self {
        let mut rng = Rng::new(seed);
        let packed = packed::Bodies::new();
        let attacks = (0..size).map(|_| attack(&mut rng, &packed)).collect();
        Self { attacks, next: AtomicUsize::new(0) }
    }

    /// Sends them all, so many at a time. Returns how many there were of each kind.
    pub async fn attack(self: Arc<Self>, port: u16, concurrency: usize) -> BTreeMap<&'static str, usize> {
        let mut clients = JoinSet::new();
        for _ in 0..concurrency {
            let crowd = Arc::clone(&self);
            clients.spawn(async move {
                let mut sent = Vec::new();
                while let Some((kind, attack)) = crowd.attacks.get(crowd.next.fetch_add(1, Ordering::Relaxed)) {
                    // Whatever becomes of it: refused, answered, closed. That it becomes something is for the server.
                    let _ = timeout(PATIENCE, send(port, attack)).await;
                    sent.push(*kind);
                }
                sent
            });
        }
        let mut kinds = BTreeMap::new();
        for kind in clients.join_all().await.into_iter().flatten() {
            *kinds.entry(kind).or_default() += 1;
        }
        kinds
    }

    /// Whether all were begun.
    pub fn is_done(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.attacks.len()
    }
}

fn attack(rng: &mut Rng, packed: &packed::Bodies) -> (&'static str, Attack) {
    if rng.one_in(4) {
        let (kind, attack) = http2::attack(rng, packed);
        (kind, Attack::Stream(attack))
    } else {
        let (kind, bytes) = http1::request(rng, packed);
        let (pieces, pause) = match rng.below(8) {
            // It comes drop by drop: so many drops that each attack ends.
            0 => {
                let size = (bytes.len() / 20).max(1);
                (bytes.chunks(size).map(<[u8]>::to_vec).collect(), Duration::from_millis(rng.below(4)))
            }
            // It breaks off.
            1 | 2 => {
                let end = rng.below(bytes.len() as u64 + 1) as usize;
                (vec![bytes.get(..end).unwrap_or_default().to_vec()], Duration::ZERO)
            }
            _ => (vec![bytes], Duration::ZERO),
        };
        let then = match rng.below(6) {
            0 => Then::Leave,
            1 => Then::ReadSome(rng.below(400) as usize),
            _ => Then::Read,
        };
        (kind, Attack::Raw { pieces, pause, then })
    }
}

async fn send(port: u16, attack: &Attack) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    match attack {
        Attack::Stream(attack) => http2::send(stream, attack).await,
        Attack::Raw { pieces, pause, then } => {
            for piece in pieces {
                stream.write_all(piece).await?;
                if !pause.is_zero() {
                    sleep(*pause).await;
                }
            }
            let mut answer = vec![0; 16 << 10];
            let mut most = match then {
                Then::Leave => return Ok(()),
                Then::ReadSome(most) => *most,
                Then::Read => usize::MAX,
            };
            // What broke off is never answered: it is half a request, and the client closes its half.
            stream.shutdown().await?;
            while most > 0 {
                match stream.read(&mut answer).await? {
                    0 => break,
                    read => most = most.saturating_sub(read),
                }
            }
            Ok(())
        }
    }
}
