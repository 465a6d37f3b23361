//! An answer to a check, and its values of whatever type: nobody keeps to one form.
//!
//! It is read as it comes into a small tree: what is deeper, longer or more than an answer of that kind has is skipped.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Condition;

/// Characters that are kept of a text.
const LONGEST: usize = 128;

/// Members that are kept of an object.
const MOST_MEMBERS: usize = 128;

/// Items that are kept of a list; all are counted.
const MOST_ITEMS: usize = 4;

/// Objects within objects that are looked into: `detail.checks.db[0].status`.
const DEPTH: u8 = 5;

/// How servers say how they are.
const WORDS: [(&str, Condition); 20] = [
    ("healthy", Condition::Healthy),
    ("ok", Condition::Healthy),
    ("up", Condition::Healthy),
    ("pass", Condition::Healthy),
    ("connected", Condition::Healthy),
    ("available", Condition::Healthy),
    ("ready", Condition::Healthy),
    ("running", Condition::Healthy),
    ("degraded", Condition::Degraded),
    ("warn", Condition::Degraded),
    ("warning", Condition::Degraded),
    ("partial", Condition::Degraded),
    ("unhealthy", Condition::Unhealthy),
    ("down", Condition::Unhealthy),
    ("fail", Condition::Unhealthy),
    ("failed", Condition::Unhealthy),
    ("error", Condition::Unhealthy),
    ("critical", Condition::Unhealthy),
    ("disconnected", Condition::Unhealthy),
    ("unavailable", Condition::Unhealthy),
];

/// What is kept of a value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Said {
    /// Nothing.
    #[default]
    Nothing,
    /// Yes or no.
    Is(bool),
    /// A number that is not below zero.
    Number(f64),
    /// A text.
    Text(Box<str>),
    /// A list of so many, and the first of them.
    List(u16, Vec<Said>),
    /// An object.
    Object(Vec<(Box<str>, Said)>),
}

/// How a part says in an object of its own how it is.
const STATES: [&str; 4] = ["status", "state", "health", "healthy"];

impl Said {
    /// How something is, in whatever words: a text, yes or no, an object that says so, or the worst of a list of these.
    pub(super) fn condition(&self) -> Option<Condition> {
        match self {
            Self::Is(true) => Some(Condition::Healthy),
            Self::Is(false) => Some(Condition::Unhealthy),
            Self::Text(text) => {
                WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|&(_, condition)| condition)
            }
            Self::Object(_) => STATES.iter().find_map(|state| self.member(state).word()),
            Self::List(_, items) => items.iter().filter_map(Self::condition).max_by_key(|condition| condition.code()),
            Self::Nothing | Self::Number(_) => None,
        }
    }

    /// The same of a text, or yes or no, alone.
    pub(super) fn word(&self) -> Option<Condition> {
        if let Self::Is(_) | Self::Text(_) = self { self.condition() } else { None }
    }

    /// The number that it is, or that its text is, to the nearest whole one.
    pub(super) fn number(&self) -> Option<u64> {
        self.times(1.0)
    }

    /// The same in thousandths.
    pub(super) fn thousandths(&self) -> Option<u64> {
        self.times(1e3)
    }

    fn times(&self, factor: f64) -> Option<u64> {
        let number: f64 = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        (number.is_finite() && number >= 0.0).then(|| (number * factor).round() as u64)
    }

    /// The text that it is, unless that is empty; a whole number in digits, since moments and versions come so, too.
    pub(super) fn text(&self) -> Option<Box<str>> {
        match self {
            Self::Text(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Self::Number(number) if number.fract() == 0.0 => Some((*number as u64).to_string().into()),
            _ => None,
        }
    }

    /// A text, or the beginning of a long one.
    pub(super) fn of_text(text: &str) -> Self {
        Self::Text(text.chars().take(LONGEST).collect())
    }

    /// What an object has of that name.
    pub(super) fn member(&self, name: &str) -> &Self {
        self.members().iter().find(|(key, _)| **key == *name).map_or(&Self::Nothing, |(_, said)| said)
    }

    fn members(&self) -> &[(Box<str>, Self)] {
        if let Self::Object(members) = self { members } else { &[] }
    }
}

/// Members that hold the states of parts, each by its name: Spring's and .NET's health checks, `health+json`, and what
/// many write by hand.
const GROUPS: [&str; 8] =
    ["components", "checks", "services", "dependencies", "details", "entries", "results", "subsystems"];

/// Members that may hold all of the report: `FastAPI` puts there what an `HTTPException` was given, providers their error.
const WRAPPERS: [&str; 3] = ["detail", "error", "health"];

/// Members that may say in words what is wrong.
const REASONS: [&str; 7] = ["error", "detail", "message", "reason", "description", "title", "output"];

/// The end of the name of a member that is the state of a part.
const STATE_OF: &str = "_status";

/// An answer: one object.
#[derive(Debug, Default)]
pub(super) struct Report(Said);

impl Report {
    /// Reads the one object that there is.
    pub(super) fn read(body: impl Read) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_reader(body);
        let said = Any { depth: DEPTH }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        matches!(said, Said::Object(_)).then_some(Self(said))
    }

    /// What a member says; one that is not there says nothing.
    pub(super) fn get(&self, name: &str) -> &Said {
        self.objects().map(|object| object.member(name)).find(|said| **said != Said::Nothing).unwrap_or(&Said::Nothing)
    }

    /// The whole, and the members that may hold all of it.
    fn objects(&self) -> impl Iterator<Item = &Said> {
        std::iter::once(&self.0).chain(WRAPPERS.iter().map(|name| self.0.member(name)))
    }

    /// The parts that it says are not well, by name.
    pub(super) fn parts(&self) -> Vec<(&str, Condition)> {
        let mut parts = Vec::new();
        for (name, said) in self.objects().flat_map(Said::members) {
            if let Some(part) = name.strip_suffix(STATE_OF) {
                parts.push((part, said.word()));
            } else if GROUPS.contains(&&**name) {
                parts.extend(said.members().iter().map(|(part, said)| (&**part, said.condition())));
            }
        }
        let is_down = |(part, condition): (_, Option<Condition>)| {
            condition.filter(|&condition| condition != Condition::Healthy).map(|condition| (part, condition))
        };
        parts.into_iter().filter_map(is_down).collect()
    }

    /// What it says in words is wrong.
    pub(super) fn error(&self) -> Option<Box<str>> {
        let text = |said: &Said| if let Said::Text(_) = said { said.text() } else { None };
        let within = |said: &Said| text(said).or_else(|| REASONS.iter().find_map(|name| text(said.member(name))));
        REASONS.iter().find_map(|name| within(self.0.member(name)))
    }
}

/// Reads any value; of an object that lies deeper than this nothing.
struct Any {
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Said;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Said, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Said, E> {
        Ok(Said::Is(is))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Said, E> {
        // Those that are not below zero come the other way.
        Ok(Said::Nothing)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Said, E> {
        Ok(Said::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Said, E> {
        Ok(if number >= 0.0 { Said::Number(number) } else { Said::Nothing })
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(Said::of_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said, A::Error> {
        let mut items = Vec::new();
        if let Some(depth) = self.depth.checked_sub(1) {
            while items.len() < MOST_ITEMS {
                match list.next_element_seed(Self { depth })? {
                    Some(item) => items.push(item),
                    None => return Ok(Said::List(items.len() as u16, items)),
                }
            }
        }
        let mut length = items.len() as u16;
        while list.next_element::<IgnoredAny>()?.is_some() {
            length = length.saturating_add(1);
        }
        Ok(Said::List(length, items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        let mut members: Vec<(Box<str>, Said)> = Vec::new();
        if let Some(depth) = self.depth.checked_sub(1) {
            while members.len() < MOST_MEMBERS {
                match map.next_key::<String>()? {
                    Some(key) => members.push((key.into(), map.next_value_seed(Self { depth })?)),
                    None => return Ok(Said::Object(members)),
                }
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Object(members))
    }
}
