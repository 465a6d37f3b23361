//! Which endpoint is called, and whether the caller may.

use super::Reply;
use super::dashboard::Coding;
use super::guard::{Guard, find};

const PREFIX: &[u8] = b"/api/v1/router/";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Dashboard,
    Favicon,
    Health,
    Metrics,
    Analytics,
    Strategy,
    SetStrategy,
    Backends,
    Budget,
    Backend(Box<str>),
    SetBackend(Box<str>),
    PatchBackend(Box<str>),
    RemoveBackend(Box<str>),
    Version,
    Alive,
    Drain { id: Box<str>, drains: bool },
    Weights,
    Alerts,
    Explain,
    Decisions,
    Decision(Box<str>),
    TestBreaker,
    TestFailover,
    Breaker { id: Box<str>, turn: Turn },
}

/// What an operator does to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Open,
    Close,
}

/// A call, before its body.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) endpoint: Endpoint,
    pub(super) path: Vec<u8>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// Whether a backend that it registers may have any cluster.
    pub(super) any_cluster: bool,
}

impl Endpoint {
    fn of(path: &[u8]) -> Option<Self> {
        match path {
            b"/" => return Some(Self::Dashboard),
            b"/favicon.ico" => return Some(Self::Favicon),
            b"/healthz" => return Some(Self::Alive),
            _ => {}
        }
        let name = std::str::from_utf8(path.strip_prefix(PREFIX)?).ok()?;
        let mut parts = name.split('/');
        let (first, id, last, rest) = (parts.next()?, parts.next(), parts.next(), parts.next());
        Some(match (first, id, last, rest) {
            ("health", None, ..) => Self::Health,
            ("metrics", None, ..) => Self::Metrics,
            ("analytics", None, ..) => Self::Analytics,
            ("strategy", None, ..) => Self::Strategy,
            ("backends", None, ..) => Self::Backends,
            ("budget", None, ..) => Self::Budget,
            ("version", None, ..) => Self::Version,
            ("healthz", None, ..) => Self::Alive,
            ("backends", Some(id), None, _) => Self::Backend(id.into()),
            ("backends", Some(id), Some("drain"), None) => Self::Drain { id: id.into(), drains: true },
            ("backends", Some(id), Some("undrain"), None) => Self::Drain { id: id.into(), drains: false },
            ("weights", None, ..) => Self::Weights,
            ("alerts", None, ..) => Self::Alerts,
            ("explain", None, ..) => Self::Explain,
            ("decisions", None, ..) => Self::Decisions,
            ("decisions", Some(id), None, _) if !id.is_empty() => Self::Decision(id.into()),
            ("circuit-breaker", Some("test"), None, _) => Self::TestBreaker,
            ("failover", Some("test"), None, _) => Self::TestFailover,
            ("circuit-breaker", Some(id), Some("open"), None) => Self::Breaker { id: id.into(), turn: Turn::Open },
            ("circuit-breaker", Some(id), Some("close"), None) => Self::Breaker { id: id.into(), turn: Turn::Close },
            _ => return None,
        })
    }

    /// What its path stands for by another method.
    fn by(self, method: Option<&[u8]>) -> Self {
        match (self, method) {
            (Self::Strategy, Some(b"PUT")) => Self::SetStrategy,
            (Self::Backend(id), Some(b"PUT")) => Self::SetBackend(id),
            (Self::Backend(id), Some(b"PATCH")) => Self::PatchBackend(id),
            (Self::Backend(id), Some(b"DELETE")) => Self::RemoveBackend(id),
            (endpoint, _) => endpoint,
        }
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Dashboard
            | Self::Favicon
            | Self::Health
            | Self::Metrics
            | Self::Analytics
            | Self::Strategy
            | Self::Backends
            | Self::Backend(_)
            | Self::Version
            | Self::Alive
            | Self::Alerts
            | Self::Budget
            | Self::Decisions
            | Self::Decision(_) => "GET",
            Self::SetStrategy | Self::SetBackend(_) | Self::Weights => "PUT",
            Self::PatchBackend(_) => "PATCH",
            Self::RemoveBackend(_) => "DELETE",
            Self::Explain | Self::TestBreaker | Self::TestFailover | Self::Breaker { .. } | Self::Drain { .. } => {
                "POST"
            }
        }
    }

    /// The methods that its path takes.
    fn allow(&self) -> &'static str {
        match self {
            Self::Strategy | Self::SetStrategy => "GET, HEAD, PUT",
            Self::Backend(_) | Self::SetBackend(_) | Self::PatchBackend(_) | Self::RemoveBackend(_) => {
                "GET, HEAD, PUT, PATCH, DELETE"
            }
            other => match other.method() {
                "GET" => "GET, HEAD",
                method => method,
            },
        }
    }

    /// Those that rehearse do so on copies.
    fn changes_something(&self) -> bool {
        let rehearses = matches!(self, Self::Explain | Self::TestBreaker | Self::TestFailover);
        self.method() != "GET" && !rehearses
    }
}

impl Call {
    /// Reads the headers. `destination` is the address that the caller came to.
    ///
    /// # Errors
    ///
    /// The answer, where the host is none of this listener's, or there is no such endpoint, or not by this method, or not
    /// for this caller.
    pub(super) fn read(
        headers: Vec<(String, Vec<u8>)>,
        guard: &Guard,
        destination: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Self, Reply> {
        guard.check_host(&headers)?;
        let header = |name: &str| find(&headers, name);
        let path = header(":path").unwrap_or_default().to_vec();
        let endpoint = Endpoint::of(before_query(&path))
            .ok_or_else(|| Reply::not_found("there is no such endpoint under /api/v1/router"))?;
        // What answers HEAD has the headers of GET, and Envoy leaves out the body.
        let method = header(":method").map(|method| if method == b"HEAD" { b"GET" } else { method });
        let endpoint = endpoint.by(method);
        if method != Some(endpoint.method().as_bytes()) {
            return Err(Reply::not_allowed(endpoint.allow()));
        }
        if endpoint.changes_something() {
            guard.check_change(&headers, destination)?;
        }
        Ok(Self { endpoint, path, headers, any_cluster: guard.allows_any_cluster() })
    }

    /// How the caller takes the dashboard.
    pub(super) fn coding(&self) -> Coding {
        Coding::accepted(find(&self.headers, "accept-encoding"))
    }

    /// The length that the body is said to have.
    pub(super) fn announced_bytes(&self) -> Option<u64> {
        std::str::from_utf8(find(&self.headers, "content-length")?).ok()?.parse().ok()
    }

    /// A field of the query, by its name with the `=` behind it, as it was written.
    pub(super) fn query(&self, field: &[u8]) -> Option<&[u8]> {
        let query = self.path.split(|&b| b == b'?').nth(1).unwrap_or_default();
        query.split(|&b| b == b'&').find_map(|given| given.strip_prefix(field))
    }

    /// The path of the API that a body is explained for: the header `x-llm-path`, else the query's `path`, else that of
    /// chat completions.
    pub(super) fn explained_path(&self) -> Vec<u8> {
        match (find(&self.headers, "x-llm-path"), self.query(b"path=")) {
            (Some(header), _) => header.to_vec(),
            (None, Some(encoded)) => decoded(encoded),
            (None, None) => b"/v1/chat/completions".to_vec(),
        }
    }
}

fn before_query(path: &[u8]) -> &[u8] {
    path.split(|&b| b == b'?' || b == b'#').next().unwrap_or_default()
}

/// With `%2F` and the like made what they stand for; what is no such escape stays as it is.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let hex = |digit: &u8| char::from(*digit).to_digit(16);
        if let (b'%', [high, low, behind @ ..]) = (first, behind)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            out.push((16 * high + low) as u8);
            rest = behind;
        } else {
            out.push(*first);
            rest = behind;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Token;
    use super::*;
    use crate::config::ControlConfig;

    const HERE: &[u8] = b"127.0.0.1:8888";

    fn headers_of(fields: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        crate::host::fake::headers(fields)
    }

    fn read(method: &str, path: &[u8]) -> Result<Call, Reply> {
        let mut headers = headers_of(&[(":method", method), (":authority", "localhost:8888")]);
        headers.push((":path".to_owned(), path.to_vec()));
        Call::read(headers, &Guard::default(), || Some(HERE.to_vec()))
    }

    fn status(method: &str, path: &str) -> (u16, Option<&'static str>) {
        read(method, path.as_bytes()).map_or_else(|reply| (reply.status, reply.allow), |_| (200, None))
    }

    #[test]
    fn each_endpoint_takes_one_method() {
        let endpoints = [
            ("GET", "/health"),
            ("GET", "/metrics"),
            ("GET", "/analytics"),
            ("GET", "/backends"),
            ("GET", "/budget"),
            ("GET", "/alerts"),
            ("POST", "/explain"),
            ("GET", "/decisions"),
            ("GET", "/version"),
            ("GET", "/healthz"),
            ("POST", "/circuit-breaker/test"),
            ("POST", "/failover/test"),
            ("POST", "/circuit-breaker/a/open"),
            ("POST", "/circuit-breaker/a/close"),
            ("POST", "/backends/a/drain"),
            ("POST", "/backends/a/undrain"),
            ("PUT", "/weights"),
        ];
        for (method, path) in endpoints {
            let path = format!("/api/v1/router{path}");
            for other in ["GET", "POST", "PUT", "DELETE", "HEAD", "get", ""] {
                let is_right = other == method || (method, other) == ("GET", "HEAD");
                let allow = if method == "GET" { "GET, HEAD" } else { method };
                let expected = if is_right { (200, None) } else { (405, Some(allow)) };
                assert_eq!(status(other, &path), expected, "{other} {path}");
                assert_eq!(status(other, &format!("{path}?a=b/c")), expected, "{other} {path}");
            }
        }
    }

    #[test]
    fn the_strategy_is_read_by_get_and_chosen_by_put() {
        let endpoint = |method| read(method, b"/api/v1/router/strategy").unwrap().endpoint;
        assert_eq!((endpoint("GET"), endpoint("PUT")), (Endpoint::Strategy, Endpoint::SetStrategy));
        assert_eq!(status("POST", "/api/v1/router/strategy"), (405, Some("GET, HEAD, PUT")));
        let headers = [(":method", "PUT"), (":path", "/api/v1/router/strategy"), (":authority", "localhost")];
        let guard = Guard::new(Token::new(Some(b"t".to_vec())), ControlConfig::default());
        assert_eq!(Call::read(headers_of(&headers), &guard, || Some(HERE.to_vec())).unwrap_err().status, 401);
    }

    #[test]
    fn the_dashboard_is_outside_of_the_prefix() {
        for path in ["/", "/?a=b", "/favicon.ico"] {
            assert_eq!(status("GET", path), (200, None));
            assert_eq!(status("HEAD", path), (200, None));
            for other in ["POST", "PUT", "DELETE", "PATCH"] {
                assert_eq!(status(other, path), (405, Some("GET, HEAD")), "{other} {path}");
            }
        }
        assert_eq!(read("GET", b"/").unwrap().endpoint, Endpoint::Dashboard);
    }

    #[test]
    fn a_backend_is_read_by_get_set_by_put_changed_by_patch_and_removed_by_delete() {
        let endpoint = |method| read(method, b"/api/v1/router/backends/a").unwrap().endpoint;
        assert_eq!(
            ["GET", "HEAD", "PUT", "PATCH", "DELETE"].map(endpoint),
            [
                Endpoint::Backend,
                Endpoint::Backend,
                Endpoint::SetBackend,
                Endpoint::PatchBackend,
                Endpoint::RemoveBackend
            ]
            .map(|endpoint: fn(Box<str>) -> Endpoint| endpoint("a".into()))
        );
        for method in ["POST", "patch", ""] {
            assert_eq!(status(method, "/api/v1/router/backends/a"), (405, Some("GET, HEAD, PUT, PATCH, DELETE")));
        }
    }

    #[test]
    fn a_patch_is_a_change_and_to_look_by_head_is_none() {
        let guard = Guard::new(Token::new(Some(b"t".to_vec())), ControlConfig::default());
        let status = |method: &str| {
            let headers = [(":method", method), (":path", "/api/v1/router/backends/a"), (":authority", "localhost")];
            Call::read(headers_of(&headers), &guard, || Some(HERE.to_vec())).map_or_else(|reply| reply.status, |_| 200)
        };
        assert_eq!(["GET", "HEAD", "PUT", "PATCH", "DELETE"].map(status), [200, 200, 401, 401, 401]);
    }

    #[test]
    fn whether_it_is_alive_is_told_at_the_root_too() {
        for path in ["/healthz", "/api/v1/router/healthz"] {
            assert_eq!(read("GET", path.as_bytes()).unwrap().endpoint, Endpoint::Alive);
        }
    }

    #[test]
    fn no_endpoint_answers_to_a_name_of_others() {
        for path in ["/", "/favicon.ico", "/api/v1/router/health", "/api/v1/router/backends", "/nowhere"] {
            let headers = [(":method", "GET"), (":path", path), (":authority", "evil.example:8888")];
            let reply = Call::read(headers_of(&headers), &Guard::default(), || Some(HERE.to_vec())).unwrap_err();
            assert_eq!(reply.status, 403, "{path}");
        }
    }

    #[test]
    fn what_changes_nothing_is_open_to_callers_that_may_not_change_anything() {
        let status = |method: &str, path: &str| {
            let path = format!("/api/v1/router{path}");
            let headers =
                [(":method", method), (":path", &path), (":authority", "192.0.2.7:8888"), ("origin", "http://x")];
            Call::read(headers_of(&headers), &Guard::default(), || None).map_or_else(|reply| reply.status, |_| 200)
        };
        for (method, path) in [("GET", "/health"), ("POST", "/explain"), ("POST", "/failover/test")] {
            assert_eq!(status(method, path), 200, "{path}");
        }
        for (method, path) in [("PUT", "/strategy"), ("POST", "/backends/a/drain"), ("DELETE", "/backends/a")] {
            assert_eq!(status(method, path), 403, "{path}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_not_found() {
        for path in [
            "",
            "//",
            "/index.html",
            "health",
            "/api/v1/router",
            "/api/v1/router/",
            "/api/v1/router/health/",
            "/api/v2/router/health",
        ] {
            assert_eq!(status("GET", path).0, 404, "{path}");
        }
        for name in [
            "circuit-breaker",
            "circuit-breaker/open",
            "circuit-breaker/a",
            "circuit-breaker/a/open/b",
            "circuit-breaker/a/b/open",
            "explain/a",
            "backends/a/b",
            "backends/a/drain/b",
            "weights/a",
            "failover",
            "failover/a",
            "failover/test/a",
            "circuit-breaker/test/a",
        ] {
            assert_eq!(status("POST", &format!("/api/v1/router/{name}")).0, 404, "{name}");
        }
        assert_eq!(read("GET", b"/api/v1/router/\xff").unwrap_err().status, 404);
    }

    #[test]
    fn the_path_that_is_explained_is_in_the_query_or_a_header() {
        let path =
            |query: &str| read("POST", format!("/api/v1/router/explain{query}").as_bytes()).unwrap().explained_path();
        assert_eq!(path(""), b"/v1/chat/completions");
        assert_eq!(path("?path=/query"), b"/query");
        assert_eq!(path("?a=b&path=%2Fv1%2fmessages&c=d"), b"/v1/messages");
        assert_eq!(path("?path=%zz%2"), b"%zz%2");
        assert_eq!(path("?path=%ff"), b"\xff");
        let mut call = read("POST", b"/api/v1/router/explain?path=/query").unwrap();
        call.headers.push(("x-llm-path".to_owned(), b"/v1/responses".to_vec()));
        assert_eq!(call.explained_path(), b"/v1/responses");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(method in "[A-Z]{0,7}", path in prop::collection::vec(any::<u8>(), 0..64), deep in any::<bool>()) {
            let path = if deep { [PREFIX, b"explain?path=", &path].concat() } else { path };
            if let Ok(call) = read(&method, &path) {
                call.explained_path();
            }
        }
    }
}
