//! A request's path as servers read it, whatever its spelling.
//!
//! `/v1/chat/completion%73`, `/v1/chat%2Fcompletions`, `/v1//chat/./completions/`, `/v1/chat/completions;a=b` and
//! `/V1/Chat/Completions` reach the same endpoint on one server or another. If the router told them apart, a client
//! could choose the spelling that the router prices lowest. So every spelling is reduced to one before anything is
//! recognised in it, as RFC 3986 (6.2.2) and the common servers do:
//!
//! 1. the query and the fragment are cut off;
//! 2. percent-encoded bytes are decoded, also those that were encoded twice (a proxy behind may decode once more);
//! 3. a backslash is a slash;
//! 4. path parameters (`;a=b`, RFC 3986, 3.3) are cut off each segment;
//! 5. empty segments and dot segments are removed, the last slash too;
//! 6. letters are compared without their case.
//!
//! The path that goes to the backend stays as the client sent it: Envoy has its own settings for that (`normalize_path`
//! and the like).

/// The longest path that belongs to an API: the longest that there are, with the names of a project and a model, have
/// some 300 bytes. A path is looked at from many sides, and a client may send one of 60 kB.
const MAX_PATH: usize = 2_048;

/// How often a path may be encoded over itself and still be recognised.
const MAX_ENCODINGS: usize = 3;

/// A path in its normal form, without its query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestPath {
    /// Begins with a slash, and does not end with one.
    text: Vec<u8>,
    /// The same in lower case, where that is something else.
    folded: Option<Vec<u8>>,
}

impl RequestPath {
    /// As a client sent it.
    pub fn new(mut sent: Vec<u8>) -> Self {
        let end = sent.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(sent.len());
        sent.truncate(end);
        let mut text = if is_plain(&sent) { sent } else { normalized(sent) };
        if text.last() == Some(&b'/') {
            text.pop();
        }
        if text.len() > MAX_PATH {
            text.clear();
        }
        let folded = text.iter().any(u8::is_ascii_uppercase).then(|| text.to_ascii_lowercase());
        Self { text, folded }
    }

    /// With its letters as they were sent: for names in it.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// In lower case: for the words of an API.
    pub(super) fn folded(&self) -> &[u8] {
        self.folded.as_ref().unwrap_or(&self.text)
    }
}

/// Whether it is in its normal form already, but for the last slash: almost every path is.
fn is_plain(path: &[u8]) -> bool {
    let mut before = b'/';
    let is_absolute = path.first() == Some(&b'/');
    is_absolute
        && path.iter().enumerate().all(|(at, &byte)| {
            let is_odd =
                matches!(byte, b'%' | b';' | b'\\') || (before == b'/' && at > 0 && matches!(byte, b'/' | b'.'));
            before = byte;
            !is_odd
        })
}

#[cold]
fn normalized(mut path: Vec<u8>) -> Vec<u8> {
    for _ in 0..MAX_ENCODINGS {
        if !decode(&mut path) {
            break;
        }
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment.split(|&byte| byte == b';').next().unwrap_or_default() {
            b"" | b"." => {}
            b".." => _ = segments.pop(),
            name => segments.push(name),
        }
    }
    let mut text = Vec::with_capacity(path.len());
    for segment in segments {
        text.push(b'/');
        text.extend_from_slice(segment);
    }
    text
}

/// Decodes what is percent-encoded, in place; what is no such code stays. Whether there was any.
fn decode(path: &mut Vec<u8>) -> bool {
    let (mut from, mut to) = (0, 0);
    while let Some(&byte) = path.get(from) {
        let code = match path.get(from..from + 3) {
            Some(&[b'%', high, low]) => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        if let Some(place) = path.get_mut(to) {
            *place = code.unwrap_or(byte);
        }
        from += if code.is_some() { 3 } else { 1 };
        to += 1;
    }
    path.truncate(to);
    from != to
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(sent: &str) -> String {
        String::from_utf8(RequestPath::new(sent.into()).text).expect("UTF-8")
    }

    #[test]
    fn every_spelling_of_a_path_has_one_normal_form() {
        for sent in [
            "/v1/chat/completions",
            "/v1/chat/completions/",
            "/v1/chat/completions//",
            "/v1/chat/completions/.",
            "/v1/chat/completions/./",
            "/v1/chat/completions/x/..",
            "/v1/chat/completions?a=/../b",
            "/v1/chat/completions#b",
            "/v1/chat/completions;a=b",
            "/v1;x/chat;y=/completions;z",
            "/v1/chat/completion%73",
            "/v1/chat%2Fcompletions",
            "/v1/chat%2fcompletions",
            "/v1/chat%5Ccompletions",
            "/v1\\chat\\completions",
            "/%76%31/chat/completions",
            "/v1/chat/completion%2573",
            "/v1/chat%252Fcompletions",
            "//v1///chat//completions",
            "/x/%2e%2E/v1/./chat/completions",
            "/../v1/chat/completions",
            "/..;/v1/chat/completions",
            "/v1/chat/completions%2F%2F",
            "/v1/chat/completions/%3Bjsessionid=1",
            "v1/./chat/completions",
        ] {
            assert_eq!(path(sent), "/v1/chat/completions", "{sent}");
        }
    }

    #[test]
    fn what_is_no_code_stays_and_names_keep_their_letters() {
        for (sent, normal) in [
            ("/a%zz%2", "/a%zz%2"),
            ("/a%", "/a%"),
            ("/v1/models/Meta%2FLlama:generateContent", "/v1/models/Meta/Llama:generateContent"),
            ("/%2f", ""),
            ("/", ""),
            ("", ""),
            ("/..", ""),
            ("/.well-known/x", "/.well-known/x"),
            ("/a%3Fb", "/a?b"),
        ] {
            assert_eq!(path(sent), normal, "{sent}");
        }
        let path = RequestPath::new(b"/V1/Models/Meta".to_vec());
        assert_eq!((path.text(), path.folded()), (&b"/V1/Models/Meta"[..], &b"/v1/models/meta"[..]));
    }

    #[test]
    fn a_path_that_is_longer_than_any_is_none() {
        assert_eq!(path(&"/v1".repeat(20_000)), "");
        assert_eq!(path(&format!("{}/v1/chat/completions", "/.".repeat(20_000))), "/v1/chat/completions");
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_unless_it_was_encoded_too_often(sent in "(/|\\.|%2e|%2F|;|a|B|%25|\\\\){0,40}") {
            let once = RequestPath::new(sent.into_bytes());
            prop_assert!(once.text.is_empty() || once.text.first() == Some(&b'/') && once.text.last() != Some(&b'/'));
            if !once.text.contains(&b'%') {
                prop_assert_eq!(RequestPath::new(once.text.clone()), once);
            }
        }

        #[test]
        fn any_bytes_have_a_normal_form(sent in prop::collection::vec(any::<u8>(), 0..200)) {
            let path = RequestPath::new(sent);
            prop_assert!(path.text.len() <= MAX_PATH && path.folded().len() == path.text.len());
        }
    }
}
