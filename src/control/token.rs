//! Who may change something.

use std::hint::black_box;

/// The token that a call must carry that changes something, if the operator set one.
#[derive(Default)]
pub struct Token(Option<Box<[u8]>>);

impl Token {
    /// From the VM's environment. One that is set but empty lets nobody in: whoever set it wanted one. Space around it is
    /// none of it, as in the header: files of secrets end in a newline.
    pub fn new(token: Option<Vec<u8>>) -> Self {
        Self(token.map(|token| trimmed(&token).into()))
    }

    /// Whether the operator set one.
    pub(super) const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a call with this `authorization` header may change something.
    pub fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(token) = &self.0 else { return true };
        authorization.and_then(bearer).is_some_and(|given| !token.is_empty() && equal(given, token))
    }
}

/// Never shown.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Token(set)" } else { "Token(none)" })
    }
}

fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| trimmed(token))
}

#[inline(never)]
fn trimmed(token: &[u8]) -> &[u8] {
    token.trim_ascii()
}

/// Compares in a time that depends on what was given alone, not on how much of it is right.
fn equal(given: &[u8], token: &[u8]) -> bool {
    let pairs = given.iter().zip(token.iter().cycle());
    let differences = pairs.fold(given.len() ^ token.len(), |sum, (a, b)| black_box(sum | usize::from(a ^ b)));
    black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_lets_in() {
        let token = Token::new(Some(b"s3cret".to_vec()));
        for right in [&b"Bearer s3cret"[..], b"bearer s3cret", b"BEARER  s3cret "] {
            assert!(token.admits(Some(right)), "{right:?}");
        }
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer s3cre",
            b"Bearer s3cret2",
            b"Bearer s3crets3cret",
            b"s3cret",
            b"Basic s3cret",
            b"Bearer \xff\xfe",
        ] {
            assert!(!token.admits(Some(wrong)), "{wrong:?}");
        }
        assert!(!token.admits(None));
    }

    #[test]
    fn without_a_token_anybody_may_and_with_an_empty_one_nobody() {
        assert!(Token::default().admits(None));
        assert!(Token::default().admits(Some(b"Bearer x")));
        for nothing in [&b""[..], b"\n", b" \t\r\n"] {
            let empty = Token::new(Some(nothing.to_vec()));
            assert!(empty.is_set());
            assert!([None, Some(&b"Bearer "[..]), Some(b"Bearer x")].into_iter().all(|given| !empty.admits(given)));
        }
    }

    #[test]
    fn space_around_it_is_none_of_it() {
        let token = Token::new(Some(b" s3 cret\r\n".to_vec()));
        assert!(token.admits(Some(b"Bearer s3 cret")));
        assert!(!token.admits(Some(b"Bearer s3cret")));
    }

    #[test]
    fn it_is_never_shown() {
        assert!(!format!("{:?}", Token::new(Some(b"s3cret".to_vec()))).contains("s3cret"));
    }
}
