//! Reads a document key by key and notes everything that is wrong with it on the way.
//!
//! Each getter returns a usable value, the default where the document's is wrong, so that one pass finds every error;
//! whoever started the pass refuses the result if any was noted.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Number;

use super::elsewhere::Hints;
use super::errors::{Problem, echo};
use super::names::Named;
use super::suggest::{closest, is_same, question, unit};
use super::tree::{Tree, number};
use crate::domain::PerMille;

/// Why a key or a name of the full interface is refused for now.
const LATER: &str = "not available in this version";

/// Behind so many problems, no key and no name is compared with those that there are: whoever has more has no slip of the
/// pen.
const SUGGESTIONS: usize = 64;

/// Reads one object of the document. `null` is the same as absent.
pub(super) struct Reader<'t, 'p> {
    path: String,
    fields: &'t [(String, Tree)],
    known: Vec<&'t str>,
    refused: Vec<&'static str>,
    hints: Hints,
    problems: &'p mut Vec<Problem>,
}

impl<'t, 'p> Reader<'t, 'p> {
    /// Reads `tree` by `read`; then notes every key that was not asked for. `None` if it is no object.
    pub(super) fn read<T>(
        path: String,
        tree: &'t Tree,
        problems: &'p mut Vec<Problem>,
        read: impl FnOnce(&mut Reader<'t, '_>) -> T,
    ) -> Option<T> {
        let mut reader = Reader::of(path, tree, problems)?;
        let value = read(&mut reader);
        reader.note_unknown_keys();
        Some(value)
    }

    #[inline(never)]
    fn of(path: String, tree: &'t Tree, problems: &'p mut Vec<Problem>) -> Option<Self> {
        if let Tree::Object(fields) = tree {
            return Some(Self { path, fields, known: Vec::new(), refused: Vec::new(), hints: &[], problems });
        }
        problems.push(Problem { path, message: unexpected("an object", tree) });
        None
    }

    /// Notes that something is wrong with `key`.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let path = join(&self.path, key);
        self.problems.push(Problem { path, message: message.into() });
    }

    /// Notes that something is wrong with this object as a whole.
    pub(super) fn problem_here(&mut self, message: impl Into<String>) {
        self.problems.push(Problem { path: self.path.clone(), message: message.into() });
    }

    /// The value of `key`, unless it is absent or null.
    pub(super) fn value(&mut self, key: &'t str) -> Option<&'t Tree> {
        self.known.push(key);
        self.peek(key)
    }

    /// Every key that the object has, where they are the operator's own.
    pub(super) fn keys(&self) -> Vec<&'t str> {
        self.fields.iter().map(|(key, _)| key.as_str()).collect()
    }

    /// What is said of unknown keys of these names, however they are written, without a look at their values.
    pub(super) const fn hint(&mut self, hints: Hints) {
        self.hints = hints;
    }

    /// Refuses keys of the full interface that this version does not serve yet.
    pub(super) fn later(&mut self, keys: &'static [&'static str]) {
        for key in keys {
            self.refused.push(key);
            if self.peek(key).is_some() {
                self.problem(key, LATER);
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        match self.value(key) {
            None => default,
            Some(Tree::Bool(value)) => *value,
            Some(other) => {
                self.problem(key, unexpected("true or false", other));
                default
            }
        }
    }

    /// A share of them: `true` is all, `false` none, as is no value.
    pub(super) fn share(&mut self, key: &'static str) -> PerMille {
        match self.peek(key) {
            Some(Tree::Bool(_)) => PerMille::new(if self.boolean(key, false) { 1_000 } else { 0 }),
            _ => match self.number(key, 0.0..=1.0, 0.0) {
                none if none <= 0.0 => PerMille::new(0),
                // Few is not none.
                share => PerMille::from_ratio(share.max(0.001)),
            },
        }
    }

    /// A whole number in `range`, if there is one.
    pub(super) fn optional_integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let tree = self.value(key)?;
        let value = self.numeric(key, tree, "a whole number")?;
        integer(key, &value, range).map_err(|message| self.problem(key, message)).ok()
    }

    /// A whole number in `range`.
    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.optional_integer(key, range).unwrap_or(default)
    }

    /// A number in `range`, if there is one.
    pub(super) fn optional_number(&mut self, key: &'t str, range: RangeInclusive<f64>) -> Option<f64> {
        let tree = self.value(key)?;
        self.inside(key, tree, &range)
    }

    /// A list of numbers in `range`, if there is one.
    pub(super) fn numbers(&mut self, key: &'static str, range: &RangeInclusive<f64>) -> Option<Vec<f64>> {
        let values = self.list(key, "a list of numbers")?;
        let mut numbers = Vec::new();
        for (i, value) in values.iter().enumerate() {
            numbers.extend(self.inside(&format!("{key}[{i}]"), value, range));
        }
        Some(numbers)
    }

    fn inside(&mut self, key: &str, tree: &'t Tree, range: &RangeInclusive<f64>) -> Option<f64> {
        let value = self.numeric(key, tree, "a number")?;
        let inside = value.as_f64().filter(|value| range.contains(value));
        if inside.is_none() {
            self.problem(key, outside(key, &value, range));
        }
        inside
    }

    fn list(&mut self, key: &'static str, expected: &str) -> Option<&'t [Tree]> {
        match self.value(key)? {
            Tree::List(values) => return Some(values),
            other => self.problem(key, unexpected(expected, other)),
        }
        None
    }

    /// The number that lies at `key`, if it is one. A text is none, but where it may be Envoy that made it of a number.
    fn numeric(&mut self, key: &str, tree: &'t Tree, expected: &str) -> Option<Cow<'t, Number>> {
        let number = match tree {
            Tree::Number(number) => Some(Cow::Borrowed(number)),
            Tree::Unquoted(text) => Tree::number_from_text(text).map(Cow::Owned),
            _ => None,
        };
        if number.is_none() {
            let quoted = matches!(tree, Tree::Text(text) if Tree::number_from_text(text.trim()).is_some());
            let cure = if quoted { "; write it without quotes" } else { "" };
            self.problem(key, format!("{}{cure}", unexpected(expected, tree)));
        }
        number
    }

    /// A number in `range`.
    pub(super) fn number(&mut self, key: &'t str, range: RangeInclusive<f64>, default: f64) -> f64 {
        self.optional_number(key, range).unwrap_or(default)
    }

    /// A string, if there is one.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'t str> {
        match self.value(key)? {
            Tree::Text(value) | Tree::Unquoted(value) => return Some(value),
            other => self.problem(key, unexpected("a string", other)),
        }
        None
    }

    /// One name of a closed set.
    pub(super) fn choice<T: Named>(&mut self, key: &'static str, default: T) -> T {
        self.text(key).and_then(|name| self.named(key, name)).unwrap_or(default)
    }

    /// The texts of a list, each with its path below this object; none where that is absent or wrong.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<(String, &'t str)> {
        self.optional_texts(key).unwrap_or_default()
    }

    /// The texts of a list, if there is one.
    fn optional_texts(&mut self, key: &'static str) -> Option<Vec<(String, &'t str)>> {
        let values = self.list(key, "a list of strings")?;
        let mut texts = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let place = format!("{key}[{i}]");
            match value {
                Tree::Text(text) | Tree::Unquoted(text) => texts.push((place, text.as_str())),
                other => self.problem(&place, unexpected("a string", other)),
            }
        }
        Some(texts)
    }

    /// A list of names of a closed set; absent, an empty one.
    pub(super) fn choices<T: Named>(&mut self, key: &'static str) -> Vec<T> {
        self.optional_choices(key).unwrap_or_default()
    }

    /// A list of names of a closed set, if there is one.
    pub(super) fn optional_choices<T: Named>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let names = self.optional_texts(key)?;
        Some(names.into_iter().filter_map(|(place, name)| self.named(&place, name)).collect())
    }

    /// The object at `key`; where it is absent or wrong, an empty one.
    pub(super) fn object<T>(&mut self, key: &'static str, read: impl Fn(&mut Reader<'t, '_>) -> T) -> T {
        let path = join(&self.path, key);
        self.value(key)
            .and_then(|tree| Reader::read(path, tree, self.problems, &read))
            .unwrap_or_else(|| read(&mut Reader::nothing(&mut Vec::new())))
    }

    /// The object at `key`, if there is one.
    pub(super) fn optional_object<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'t, '_>) -> T,
    ) -> Option<T> {
        let path = join(&self.path, key);
        self.value(key).and_then(|tree| Reader::read(path, tree, self.problems, read))
    }

    /// Whether there is a value at `key`, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.peek(key).is_some()
    }

    /// The objects of a map whose keys are the operator's own, in the order of those; none if `key` is absent or wrong.
    /// An entry that is wrong is an empty object, so that whatever names it finds it.
    pub(super) fn map<T>(&mut self, key: &'static str, read: impl Fn(&mut Reader<'t, '_>, &'t str) -> T) -> Vec<T> {
        let path = join(&self.path, key);
        let entries = match self.value(key) {
            None => return Vec::new(),
            Some(Tree::Object(entries)) => entries,
            Some(other) => {
                self.problem(key, unexpected("an object", other));
                return Vec::new();
            }
        };
        note_duplicates(&path, entries, self.problems);
        let read_entry = |(name, tree): &'t (String, Tree)| {
            Reader::read(join(&path, name), tree, self.problems, |reader| read(reader, name))
                .unwrap_or_else(|| read(&mut Reader::nothing(&mut Vec::new()), name))
        };
        entries.iter().map(read_entry).collect()
    }

    /// The name's variant; an unknown name is noted, with those that there are.
    pub(super) fn named<T: Named>(&mut self, key: &str, name: &str) -> Option<T> {
        let variant = T::from_name(name);
        if variant.is_none() {
            let names = T::ALL.iter().map(|variant| variant.name()).collect::<Vec<_>>().join(", ");
            let shown = echo(name);
            let message = if T::LATER.contains(&name) {
                format!("\"{shown}\" is {LATER}; available: {names}")
            } else {
                let meant = if self.problems.len() < SUGGESTIONS { meant::<T>(name) } else { None };
                let hint = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
                format!("\"{shown}\" is not one of: {names}{hint}")
            };
            self.problem(key, message);
        }
        variant
    }

    /// A reader of an object without any key.
    fn nothing(problems: &'p mut Vec<Problem>) -> Self {
        Self { path: String::new(), fields: &[], known: Vec::new(), refused: Vec::new(), hints: &[], problems }
    }

    fn peek(&self, key: &str) -> Option<&'t Tree> {
        // They are sorted: in a document of thousands of keys, each is looked for.
        let place = self.fields.partition_point(|(name, _)| name.as_str() < key);
        let (name, value) = self.fields.get(place)?;
        Some(value).filter(|value| name == key && **value != Tree::Null)
    }

    #[inline(never)]
    fn note_unknown_keys(mut self) {
        note_duplicates(&self.path, self.fields, self.problems);
        let mut known = self.known.clone();
        known.extend(&self.refused);
        known.sort_unstable();
        for (key, value) in self.fields {
            if known.binary_search(&key.as_str()).is_ok() {
                continue;
            }
            let is_slip = self.problems.len() < SUGGESTIONS;
            let hint = if is_slip { hint(self.hints, key) } else { None };
            let message = match hint {
                Some(_) if *value == Tree::Null => continue,
                Some(hint) => hint.to_owned(),
                None if is_slip && let Some(meant) = closest(key, self.known.iter().copied()) => {
                    format!("unknown key; {}", question(key, meant))
                }
                None => "unknown key".to_owned(),
            };
            self.problem(key, message);
        }
    }
}

/// Notes each key that was given more than once, once.
fn note_duplicates(path: &str, fields: &[(String, Tree)], problems: &mut Vec<Problem>) {
    for group in fields.chunk_by(|(a, _), (b, _)| a == b) {
        if let [(key, _), _, ..] = group {
            problems.push(Problem { path: join(path, key), message: "given more than once".to_owned() });
        }
    }
}

fn join(path: &str, key: &str) -> String {
    let key = if key.is_empty() { "\"\"".to_owned() } else { echo(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn unexpected(wanted: &str, found: &Tree) -> String {
    format!("expected {wanted}, found {}", found.kind())
}

/// The range both as it is usual and in words, with the unit that the key has in its name.
fn not_in(key: &str, value: &Number, low: &impl Display, high: &impl Display) -> String {
    let unit = unit(key).map(|unit| format!(" {unit}")).unwrap_or_default();
    format!("{value} is not in {low}..={high} (from {low} to {high}{unit})")
}

/// What is said of a key of that name.
fn hint(hints: Hints, key: &str) -> Option<&'static str> {
    hints.iter().find(|(name, _)| is_same(name, key)).map(|&(_, hint)| hint)
}

/// The name that was meant: the same but for how it is written, another word for it, or the closest one.
fn meant<T: Named>(name: &str) -> Option<&'static str> {
    let names = || T::ALL.iter().map(|variant| variant.name());
    let synonym = || T::SYNONYMS.iter().find(|(word, _)| is_same(word, name)).map(|&(_, name)| name);
    names().find(|it| is_same(it, name)).or_else(synonym).or_else(|| closest(name, names()))
}

fn outside(key: &str, value: &Number, range: &RangeInclusive<f64>) -> String {
    let bound = |value| number(value).unwrap_or_else(|| Number::from(0));
    not_in(key, value, &bound(*range.start()), &bound(*range.end()))
}

fn integer(key: &str, value: &Number, range: RangeInclusive<u64>) -> Result<u64, String> {
    match (value.as_u64(), value.as_f64()) {
        (Some(whole), _) if range.contains(&whole) => Ok(whole),
        (None, Some(double)) if double.fract() != 0.0 => Err(format!("{value} is not a whole number")),
        // As a double, this number may be another than the one that was written.
        (None, Some(double)) if double > 0.0 && double < *range.end() as f64 => {
            Err(format!("{value} is not exact; as a double, a whole number is at most 2^53"))
        }
        _ => Err(not_in(key, value, range.start(), range.end())),
    }
}
