//! What a backend says of itself that nobody routes by, but an operator may want to see.

use super::said::Said;
use crate::domain::{Decoder, Encoder};

/// Stands for no number in shared data.
const NONE: u64 = u64::MAX;

/// What else a backend says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The version of its interface.
    pub api_version: Option<Box<str>>,
    /// The version of LightRAG.
    pub core_version: Option<Box<str>>,
    /// Entities that LightRAG knows.
    pub knowledge_base_size: Option<u64>,
    /// Memory that LightRAG uses.
    pub memory_usage_mb: Option<u64>,
}

impl Details {
    /// Hears a header of the answer.
    pub fn hear(&mut self, name: &str, value: &[u8]) {
        if name == "api-version"
            && let Ok(version) = str::from_utf8(value)
        {
            self.api_version = Said::of_text(version).text();
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(64);
        for text in [&self.api_version, &self.core_version] {
            out.text(text.as_deref().unwrap_or_default());
        }
        for number in [self.knowledge_base_size, self.memory_usage_mb] {
            out.u64(number.unwrap_or(NONE));
        }
        out.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
        Some(Self {
            api_version: text(from.text()?),
            core_version: text(from.text()?),
            knowledge_base_size: Some(from.u64()?).filter(|&number| number != NONE),
            memory_usage_mb: Some(from.u64()?).filter(|&number| number != NONE),
        })
    }
}
