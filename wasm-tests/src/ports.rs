//! Ports that no one else takes.

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ports which Linux gives to outgoing connections. A backend that was killed must not see its port go to a
/// connection, least of all to one that Envoy opens to that very port and that would so reach itself.
const FIRST: u16 = 18_200;
const COUNT: u16 = 13_800;

/// A listener on a free port of this address. Processes that run side by side look from different places on, so they
/// seldom meet.
pub(crate) fn bind_free(host: IpAddr) -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = process::id().wrapping_mul(613) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + ((start + step) % u32::from(COUNT)) as u16;
        if let Ok(listener) = TcpListener::bind((host, port)) {
            return listener;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// A loopback port that was free a moment ago: whoever binds it must still be ready to lose it.
pub(crate) fn free_port() -> u16 {
    bind_free(IpAddr::V4(Ipv4Addr::LOCALHOST)).local_addr().expect("a bound socket has an address").port()
}
