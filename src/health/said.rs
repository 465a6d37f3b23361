//! An answer to a check, and its values of whatever type: nobody keeps to one form.

use std::fmt;
use std::io::Read;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Condition;

/// Characters that are kept of a text.
const LONGEST: usize = 64;

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Said {
    /// Nothing.
    #[default]
    Nothing,
    /// Yes or no.
    Is(bool),
    /// A number that is not below zero, whole.
    Number(u64),
    /// A text.
    Text(Box<str>),
    /// A list of so many.
    List(u16),
}

impl Said {
    /// How something is, in whatever words.
    pub(super) fn condition(&self) -> Option<Condition> {
        let text = match self {
            Self::Is(true) => return Some(Condition::Healthy),
            Self::Is(false) => return Some(Condition::Unhealthy),
            Self::Text(text) => text,
            Self::Nothing | Self::Number(_) | Self::List(_) => return None,
        };
        WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|&(_, condition)| condition)
    }

    /// The number that it is.
    pub(super) const fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The text that it is, unless that is empty.
    pub(super) fn text(&self) -> Option<Box<str>> {
        if let Self::Text(text) = self { Some(text.clone()).filter(|text| !text.is_empty()) } else { None }
    }

    /// A text, or the beginning of a long one.
    pub(super) fn of_text(text: &str) -> Self {
        Self::Text(text.chars().take(LONGEST).collect())
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(Any)
    }
}

/// The fields of an answer that are read; all others are skipped.
const FIELDS: [&str; 10] = [
    "status",
    "graph_db_status",
    "embeddings_status",
    "llm_status",
    "pipeline_busy",
    "api_version",
    "core_version",
    "knowledge_base_size",
    "memory_usage_mb",
    "data",
];

/// An answer: an object, of which only these fields are kept. Written out, since a derived one would be larger than all of
/// this file.
#[derive(Debug, Default)]
pub(super) struct Report([Said; FIELDS.len()]);

impl Report {
    /// Reads the one object that there is.
    pub(super) fn read(body: impl Read) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_reader(body);
        let report = Self::deserialize(&mut reader).ok()?;
        reader.end().ok().map(|()| report)
    }

    /// What a field says; one that is not there says nothing.
    pub(super) fn get(&self, field: &str) -> &Said {
        let named = FIELDS.iter().zip(&self.0).find(|(name, _)| **name == field);
        named.map_or(&Said::Nothing, |(_, said)| said)
    }
}

impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        object.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Report;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Report, A::Error> {
        let mut report = Report::default();
        while let Some(field) = map.next_key::<String>()? {
            match FIELDS.iter().zip(&mut report.0).find(|(name, _)| **name == field) {
                Some((_, said)) => *said = map.next_value()?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(report)
    }
}

struct Any;

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
        Ok(Said::Number(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Said, E> {
        Ok(if number >= 0.0 { Said::Number(number.round() as u64) } else { Said::Nothing })
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(Said::of_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said, A::Error> {
        let mut length: u16 = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            length = length.saturating_add(1);
        }
        Ok(Said::List(length))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Nothing)
    }
}
