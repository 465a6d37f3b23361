//! The model that a request names.

use std::hash::Hasher;
use std::ops::Deref;

use super::Fnv;

/// A model as the client wrote it. Clients write what they like, so nothing is named after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    name: Box<str>,
    tag: ModelTag,
}

/// Tells one model from another where there is no room for a name: two of them share one about once in four thousand
/// million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelTag(u32);

impl Model {
    /// What it is known by in records.
    pub const fn tag(&self) -> ModelTag {
        self.tag
    }
}

impl From<&str> for Model {
    fn from(name: &str) -> Self {
        let mut fnv = Fnv::default();
        fnv.write(name.as_bytes());
        let hash = fnv.finish();
        Self { name: name.into(), tag: ModelTag(((hash >> 32) as u32 ^ hash as u32).max(1)) }
    }
}

impl Deref for Model {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl ModelTag {
    /// Of no model in particular.
    pub const ANY: Self = Self(0);

    /// From a record.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// For a record.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_and_none_of_them_is_any() {
        let names = ["gpt-5", "gpt-5-mini", "claude-sonnet-4-5", "", "模"];
        let tags: Vec<_> = names.iter().map(|&name| Model::from(name).tag()).collect();
        assert!((0..names.len()).all(|n| tags[n] != ModelTag::ANY && !tags[..n].contains(&tags[n])));
        assert_eq!(&*Model::from("gpt-5"), "gpt-5");
    }
}
