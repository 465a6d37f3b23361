//! The document as Envoy hands it over, in either of its two forms.

use std::collections::BinaryHeap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::errors::Errors;
use super::wire;
use crate::json::quoted;

/// The largest whole number up to which a double holds every one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A byte that each entry of an encoded Struct has (the tag of its value), and that no JSON text may have.
const VALUE_TAG: u8 = 0x12;

/// A document, read but not yet understood. The same document gives the same tree in both forms, save for a number
/// above 2^53, which only JSON can tell exactly.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Tree {
    #[default]
    Null,
    Bool(bool),
    /// Whole numbers up to 2^53 are held as integers, however they were written.
    Number(Number),
    /// NaN and the infinities, which a Struct can hold.
    NotFinite,
    Text(String),
    /// A text of a `Struct` that Envoy may have made of a number: where it reads YAML it keeps whole numbers, but hands over
    /// `0.05` as the text "0.05" [seen in 1.40]. So it is a number where one is wanted, and a text elsewhere.
    Unquoted(String),
    List(Vec<Tree>),
    /// Sorted by key; a key that was given twice is there twice.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads JSON text or an encoded `google.protobuf.Struct`.
    ///
    /// The two cannot be confused: a Struct with an entry has a byte that no JSON text has. Its first bytes would not
    /// tell them apart, as `\n{` begins both a JSON text and a Struct whose first entry is 123 bytes long.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Errors> {
        if bytes.trim_ascii().is_empty() {
            let message = "empty; needed is a google.protobuf.Struct, or a StringValue or BytesValue that holds JSON, \
                           with at least one backend in backend_instances";
            return Err(Errors::document(message.to_owned()));
        }
        serde_json::from_slice(bytes).or_else(|error| {
            let decoded = if bytes.contains(&VALUE_TAG) { wire::document(bytes) } else { None };
            decoded.ok_or_else(|| {
                Errors::document(format!("neither JSON nor an encoded google.protobuf.Struct; as JSON: {error}"))
            })
        })
    }

    /// What it is, for an error; never what it holds.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::NotFinite => "a number that is not finite",
            Self::Text(_) | Self::Unquoted(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// What an object has under `key`, if it is one that has it.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// As JSON text.
    pub(super) fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null | Self::NotFinite => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(value) => out.push_str(&value.to_string()),
            Self::Text(value) | Self::Unquoted(value) => out.push_str(&quoted(value)),
            Self::List(values) => {
                for (n, value) in values.iter().enumerate() {
                    out.push(if n == 0 { '[' } else { ',' });
                    value.write(out);
                }
                out.push_str(if values.is_empty() { "[]" } else { "]" });
            }
            Self::Object(fields) => {
                for (n, (key, value)) in fields.iter().enumerate() {
                    out.push(if n == 0 { '{' } else { ',' });
                    out.push_str(&quoted(key));
                    out.push(':');
                    value.write(out);
                }
                out.push_str(if fields.is_empty() { "{}" } else { "}" });
            }
        }
    }

    /// By way of a heap: each type that is sorted as a slice adds seven kilobytes to the module, and nobody waits for this.
    pub(super) fn object(fields: Vec<(String, Self)>) -> Self {
        let (names, mut values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let sorted = names.into_iter().zip(0_usize..).collect::<BinaryHeap<_>>().into_sorted_vec();
        let mut value = |at| values.get_mut(at).map(std::mem::take).unwrap_or_default();
        Self::Object(sorted.into_iter().map(|(name, at)| (name, value(at))).collect())
    }

    pub(super) fn number(value: f64) -> Self {
        number(value).map_or(Self::NotFinite, Self::Number)
    }

    /// A text of a `Struct`. A whole number in a text was in quotes, or Envoy would have kept it: it is a text.
    pub(super) fn struct_text(text: String) -> Self {
        let was_number = text.parse::<i64>().is_err() && Self::number_from_text(&text).is_some();
        if was_number { Self::Unquoted(text) } else { Self::Text(text) }
    }

    /// A tree whose texts are those of a `Struct`, though it came as JSON: so Envoy prints one.
    pub(super) fn of_struct(self) -> Self {
        match self {
            Self::Text(text) => Self::struct_text(text),
            Self::List(values) => Self::List(values.into_iter().map(Self::of_struct).collect()),
            Self::Object(fields) => {
                Self::Object(fields.into_iter().map(|(key, value)| (key, value.of_struct())).collect())
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::NotFinite | Self::Unquoted(_) => self,
        }
    }

    /// The number that a text is, if it is one as JSON has them.
    pub(super) fn number_from_text(text: &str) -> Option<Number> {
        let parsed: Number = serde_json::from_str(text).ok()?;
        if parsed.is_f64() { number(parsed.as_f64()?) } else { Some(parsed) }
    }
}

/// A finite number, as an integer where it is one that a double holds exactly.
pub(super) fn number(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Tree::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Tree::object(fields))
    }
}
