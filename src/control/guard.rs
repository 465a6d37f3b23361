//! Who may call: whether the listener is addressed by a name of its own, and who may change something there.
//!
//! A browser sends requests on behalf of any page that an operator has open. It keeps a page from reading the answers of
//! another host, but it goes by names, and whoever owns a name can have it lead to this listener after the page was loaded
//! (DNS rebinding). Then the page reads, and changes, as if it were served here. What it cannot do is change the name in
//! `host`: so only names that nobody else can own are answered. IP addresses and `localhost` are such names; an operator
//! lists others. The port does not matter: it may be forwarded, and it is the name that is rebound.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Reply, Token};
use crate::config::ControlConfig;

/// What a control listener lets through.
#[derive(Debug, Default)]
pub struct Guard {
    token: Token,
    config: ControlConfig,
}

impl Guard {
    /// With the token of the VM's environment.
    pub const fn new(token: Token, config: ControlConfig) -> Self {
        Self { token, config }
    }

    /// Whether whoever reaches the listener at that address may change something without a token.
    pub fn is_open_at(&self, destination: Option<&[u8]>) -> bool {
        !self.token.is_set() && !destination.is_some_and(is_loopback)
    }

    /// Whether a backend that is registered may have any cluster.
    pub(super) const fn allows_any_cluster(&self) -> bool {
        self.config.allow_any_cluster
    }

    /// Whether the call's host is a name of this listener.
    pub(super) fn check_host(&self, headers: &[(String, Vec<u8>)]) -> Result<(), Reply> {
        let authority = find(headers, ":authority").unwrap_or_default();
        let is_listed = |name: &str| {
            let name = name.as_bytes();
            authority.eq_ignore_ascii_case(name) || without_port(authority).eq_ignore_ascii_case(name)
        };
        if is_nobodys(authority) || self.config.allowed_hosts.iter().any(|name| is_listed(name)) {
            return Ok(());
        }
        Err(Reply::foreign_host(&String::from_utf8_lossy(
            authority.get(..authority.len().min(255)).unwrap_or_default(),
        )))
    }

    /// Whether the caller may change something, at the address that it came to.
    pub(super) fn check_change(
        &self,
        headers: &[(String, Vec<u8>)],
        destination: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<(), Reply> {
        if is_foreign(headers) {
            return Err(Reply::foreign());
        }
        if !self.token.admits(find(headers, "authorization")) {
            return Err(Reply::unauthorized());
        }
        if !self.token.is_set() && self.is_open_at(destination().as_deref()) {
            return Err(Reply::token_needed());
        }
        Ok(())
    }
}

/// Whether a page of another origin sent it. Browsers say where a page is from when it sends anything but a GET; other
/// clients say nothing.
fn is_foreign(headers: &[(String, Vec<u8>)]) -> bool {
    let origin = find(headers, "origin").map(|origin| match origin.split(|&b| b == b':').next() {
        Some(scheme @ (b"http" | b"https")) => origin.get(scheme.len() + b"://".len()..).unwrap_or_default(),
        _ => b"",
    });
    let own = find(headers, ":authority").unwrap_or_default();
    origin.is_some_and(|origin| origin.is_empty() || !origin.eq_ignore_ascii_case(own))
        || find(headers, "sec-fetch-site").is_some_and(|site| site == b"cross-site")
}

/// Whether no name server has a say in what the host of an authority is: an address, or the name that means this machine
/// everywhere.
fn is_nobodys(authority: &[u8]) -> bool {
    let host = without_port(authority);
    let text = std::str::from_utf8(host).unwrap_or_default();
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => text.eq_ignore_ascii_case("localhost") || text.parse::<Ipv4Addr>().is_ok(),
    }
}

/// The host of an authority. What follows a colon and is no port leaves the whole.
fn without_port(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|&byte| byte == b':');
    let parts = colon.and_then(|colon| authority.split_at_checked(colon));
    match parts {
        Some((host, [_, port @ ..])) if port.iter().all(u8::is_ascii_digit) => host,
        _ => authority,
    }
}

/// Whether only this machine reaches an address as Envoy writes it. A path is that of a socket in the file system.
fn is_loopback(address: &[u8]) -> bool {
    let text = std::str::from_utf8(address).unwrap_or_default();
    let is_local = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    text.starts_with(['/', '@']) || text.parse::<SocketAddr>().is_ok_and(is_local)
}

pub(super) fn find<'a>(headers: &'a [(String, Vec<u8>)], wanted: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::headers;

    const HERE: &[u8] = b"127.0.0.1:8888";

    fn guard(token: Option<&str>, allowed: &[&str]) -> Guard {
        let allowed_hosts = allowed.iter().map(|&name| name.into()).collect();
        let config = ControlConfig { allowed_hosts, allow_any_cluster: false };
        Guard::new(Token::new(token.map(|token| token.as_bytes().to_vec())), config)
    }

    fn host(guard: &Guard, authority: &[u8]) -> u16 {
        let headers = [(":authority".to_owned(), authority.to_vec())];
        guard.check_host(&headers).map_or_else(|reply| reply.status, |()| 200)
    }

    fn change(guard: &Guard, fields: &[(&str, &str)], destination: Option<&[u8]>) -> u16 {
        let destination = || destination.map(<[u8]>::to_vec);
        guard.check_change(&headers(fields), destination).map_or_else(|reply| reply.status, |()| 200)
    }

    #[test]
    fn only_names_that_nobody_else_can_own_are_answered() {
        let guard = guard(None, &[]);
        for own in [
            "127.0.0.1:8888",
            "127.0.0.1",
            "localhost:8888",
            "LocalHost",
            "[::1]:8888",
            "[::1]",
            "192.0.2.7:9000",
            "[2001:db8::7]:80",
            "[fe80::1%25eth0]:8888",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(host(&guard, own.as_bytes()), 200, "{own}");
        }
        for other in [
            &b"evil.example:8888"[..],
            b"evil.example",
            b"localhost.evil.example",
            b"localhost.",
            b"127.0.0.1.evil.example:8888",
            b"127.0.0.1.nip.io",
            b"a.b:127",
            b"1.2.3",
            b"127.0.0.1:8888:evil",
            b"127.0.0.1@evil.example",
            b"evil.example:127.0.0.1",
            b"[::1",
            b"[::1].evil.example",
            b"[]",
            b"::1",
            b"",
            b":8888",
            b"\xff",
            b"local\xffhost",
        ] {
            assert_eq!(host(&guard, other), 403, "{}", String::from_utf8_lossy(other));
        }
        assert_eq!(guard.check_host(&[]).map_err(|reply| reply.status), Err(403));
    }

    #[test]
    fn an_operator_lists_other_names() {
        let guard = guard(None, &["router.example.com", "llm-router:8888"]);
        for listed in ["router.example.com", "Router.Example.com:443", "llm-router:8888", "localhost:1"] {
            assert_eq!(host(&guard, listed.as_bytes()), 200, "{listed}");
        }
        for other in ["llm-router", "llm-router:8889", "a.router.example.com", "router.example.com.evil.example"] {
            assert_eq!(host(&guard, other.as_bytes()), 403, "{other}");
        }
        let told = guard.check_host(&headers(&[(":authority", "a\"b")])).unwrap_err().body;
        assert!(told.contains("allowed_hosts") && told.contains(r#"a\"b"#), "{told}");
    }

    #[test]
    fn what_a_page_of_another_origin_sends_changes_nothing() {
        let status = |header: &str, value: &str| {
            change(&guard(None, &[]), &[(":authority", "127.0.0.1:8888"), (header, value)], Some(HERE))
        };
        for own in ["http://127.0.0.1:8888", "https://127.0.0.1:8888"] {
            assert_eq!(status("origin", own), 200, "{own}");
        }
        for other in [
            "http://127.0.0.1:8889",
            "http://localhost:8888",
            "http://127.0.0.1",
            "http://127.0.0.1:8888.example.org",
            "ftp://127.0.0.1:8888",
            "127.0.0.1:8888",
            "http:",
            "null",
            "",
            "\u{fffd}",
        ] {
            assert_eq!(status("origin", other), 403, "{other:?}");
        }
        assert_eq!((status("sec-fetch-site", "cross-site"), status("sec-fetch-site", "same-origin")), (403, 200));
    }

    #[test]
    fn without_a_token_changes_are_taken_on_loopback_alone() {
        let (open, closed) = (guard(None, &[]), guard(Some("t"), &[]));
        let bearer = [("authorization", "Bearer t")];
        for local in
            ["127.0.0.1:8888", "127.7.0.9:80", "[::1]:8888", "[::ffff:127.0.0.1]:8888", "/run/control.sock", "@c"]
        {
            assert_eq!(change(&open, &[], Some(local.as_bytes())), 200, "{local}");
            assert!(!open.is_open_at(Some(local.as_bytes())));
        }
        for anywhere in [
            &b"192.0.2.7:8888"[..],
            b"[2001:db8::7]:8888",
            b"0.0.0.0:8888",
            b"10.0.0.1:8888",
            b"127.0.0.1",
            b"",
            b"\xff",
        ] {
            assert_eq!(change(&open, &[], Some(anywhere)), 403, "{anywhere:?}");
            assert_eq!(change(&open, &bearer, Some(anywhere)), 403, "{anywhere:?}");
            assert!(open.is_open_at(Some(anywhere)) && !closed.is_open_at(Some(anywhere)));
            assert_eq!((change(&closed, &bearer, Some(anywhere)), change(&closed, &[], Some(anywhere))), (200, 401));
        }
        assert_eq!((change(&open, &[], None), change(&closed, &bearer, None)), (403, 200));
        let told = open.check_change(&[], || None).unwrap_err().body;
        assert!(told.contains("LLM_ROUTER_CONTROL_TOKEN"), "{told}");
    }
}
