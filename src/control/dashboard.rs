//! The dashboard: one document that holds its style and its script, and asks for nothing but this API.
//!
//! `build.rs` makes it of the sources beside this file and compresses it; most of its readers take it as it lies here.

use crate::protocol::inflate;

/// The document, compressed.
const GZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dashboard.html.gz"));

/// What the document may do: run its own script, use its own style, call this API.
const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/dashboard.csp"));

/// More than the document has; a test knows.
const MOST: usize = 256 << 10;

/// How the document is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Plain,
}

impl Coding {
    /// As a caller with this `accept-encoding` takes it.
    pub(super) fn accepted(accept_encoding: Option<&[u8]>) -> Self {
        let is_gzip = |coding: &[u8]| {
            let mut parts = coding.split(|&b| b == b';').map(<[u8]>::trim_ascii);
            let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"gzip"));
            is_gzip && !parts.any(|part| matches!(part, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
        };
        let takes_gzip = accept_encoding.is_some_and(|list| list.split(|&b| b == b',').any(is_gzip));
        if takes_gzip { Self::Gzip } else { Self::Plain }
    }

    pub(super) fn document(self) -> Vec<u8> {
        match self {
            Self::Gzip => GZIP.to_vec(),
            Self::Plain => inflate(GZIP, MOST).unwrap_or_default(),
        }
    }

    pub(super) fn headers(self) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", POLICY),
            ("referrer-policy", "no-referrer"),
        ];
        if self == Self::Gzip {
            headers.push(("content-encoding", "gzip"));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept_encoding: &str) -> Coding {
        Coding::accepted(Some(accept_encoding.as_bytes()))
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for list in ["gzip", "GZIP", "deflate, gzip;q=0.5, br", "br,gzip ; q=1.0"] {
            assert_eq!(accepted(list), Coding::Gzip, "{list}");
        }
        for list in ["", "br", "xgzip", "gzip;q=0", "identity, gzip; q=0.000", "gzi p"] {
            assert_eq!(accepted(list), Coding::Plain, "{list}");
        }
        assert_eq!(Coding::accepted(None), Coding::Plain);
        assert_eq!(Coding::accepted(Some(b"\xff, gzip")), Coding::Gzip);
    }

    #[test]
    fn the_document_is_one_and_small() {
        let page = String::from_utf8(Coding::Plain.document()).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>"), "{page}");
        assert!(page.len() < MOST);
        let compressed = Coding::Gzip.document().len();
        assert!(compressed <= 14 << 10, "{compressed} bytes");
        let docs = include_str!("../../docs/dashboard.md");
        let near = |kb: usize| docs.contains(&format!("about {kb} kB compressed"));
        assert!((compressed / 1_000..=compressed / 1_000 + 1).any(near), "docs/dashboard.md: {compressed} bytes");
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "the page names {outside}");
        }
        for inline in [" style=", " onclick=", "innerHTML", "insertAdjacentHTML", "eval("] {
            assert!(!page.contains(inline), "the page uses {inline}");
        }
        assert_eq!((page.matches("<style>").count(), page.matches("<script type=\"module\">").count()), (1, 1));
    }

    #[test]
    fn the_policy_allows_two_hashes_and_this_origin() {
        let directives: Vec<_> = POLICY.split("; ").map(|directive| directive.split_once(' ').unwrap()).collect();
        for (name, value) in directives {
            match name {
                "script-src" | "style-src" => {
                    assert!(value.starts_with("'sha256-") && value.len() == "'sha256-'".len() + 44, "{value}");
                }
                "connect-src" => assert_eq!(value, "'self'"),
                _ => assert_eq!(value, "'none'", "{name}"),
            }
        }
        assert!(!Coding::Plain.headers().iter().any(|(name, _)| *name == "content-encoding"));
    }
}
