//! What is wrong with a configuration: everything at once, each with its path.

use std::collections::BinaryHeap;
use std::fmt;

/// Errors that are printed; more than these nobody reads, and a log line has its limits.
const PRINTED: usize = 50;

/// The longest piece of a document that is repeated in an error, in characters.
const ECHOED: usize = 64;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: `backend_instances.a.weight`, `client_hints[1]`; empty where it is the whole document.
    pub path: String,
    /// What, and where it helps what to do instead. Never a value that may be a secret.
    pub message: String,
}

/// Everything that is wrong with a configuration, in the order of the paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    /// These problems, sorted; there is at least one of them.
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(BinaryHeap::from(problems).into_sorted_vec())
    }

    /// A single problem of the document as a whole.
    pub(super) fn document(message: String) -> Self {
        Self(vec![Problem { path: String::new(), message }])
    }

    /// Each problem with its path, on one line.
    pub(crate) fn listed(&self) -> String {
        self.0.iter().take(PRINTED).map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// Each problem, in the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} in the configuration:", if count == 1 { "error" } else { "errors" })?;
        for problem in self.0.iter().take(PRINTED) {
            write!(f, "\n{problem}")?;
        }
        match count.saturating_sub(PRINTED) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Errors {}

/// A piece of the document, fit to be repeated in an error: cut, and on one line.
pub(super) fn echo(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.chars();
    for c in rest.by_ref().take(ECHOED) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_short_and_on_one_line() {
        assert_eq!(echo("größe"), "größe");
        assert_eq!(echo("a\nb\0"), "a\\nb\\u{0}");
        assert_eq!(echo(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(echo(&"é".repeat(65)), format!("{}…", "é".repeat(64)));
    }

    #[test]
    fn fifty_errors_are_printed_and_the_rest_is_counted() {
        let problems = |n: usize| (0..n).map(|i| Problem { path: format!("k{i:03}"), message: "bad".into() }).collect();
        let shown = Errors::new(problems(50)).to_string();
        assert_eq!(shown.lines().count(), 51);
        assert!(shown.ends_with("k049: bad"));
        let shown = Errors::new(problems(53)).to_string();
        assert_eq!(shown.lines().next(), Some("53 errors in the configuration:"));
        assert_eq!(shown.lines().count(), 52);
        assert!(shown.ends_with("and 3 more"));
    }
}
