//! A value of an answer, whatever its type: nobody keeps to one form of health checks.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Condition;

/// Characters that are kept of a text.
const LONGEST: usize = 64;

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
        let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is(&["healthy", "ok", "up", "pass", "connected", "available", "ready", "running"]) {
            Some(Condition::Healthy)
        } else if is(&["degraded", "warn", "warning", "partial"]) {
            Some(Condition::Degraded)
        } else if is(&["unhealthy", "down", "fail", "failed", "error", "critical", "disconnected", "unavailable"]) {
            Some(Condition::Unhealthy)
        } else {
            None
        }
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
