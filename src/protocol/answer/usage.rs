//! Token counts, in every provider's words.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::fields::Counted;
use crate::domain::{Tokens, Usage};

/// More than that no answer takes, prompt and all: the largest contexts there are hold so many. Whoever reports more
/// reports nonsense, and it would be paid: one such answer were the end of every budget.
const PLAUSIBLE: u64 = 10_000_000;

/// The counts of an answer so far. A stream may say them in pieces (Anthropic: the prompt's first, the answer's last)
/// or again and again, growing (Perplexity): for each the latest that is not zero holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    #[serde(alias = "promptTokenCount")]
    prompt_tokens: Count,
    #[serde(alias = "candidatesTokenCount")]
    completion_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    #[serde(alias = "totalTokenCount")]
    total_tokens: Count,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<Details>,
    /// `DeepSeek`'s word for its cached tokens; Gemini's are inside the prompt, too.
    #[serde(alias = "cachedContentTokenCount")]
    prompt_cache_hit_tokens: Count,
    cache_read_input_tokens: Count,
    /// Anthropic counts these beside the prompt's, as Gemini does with what its tools found.
    #[serde(alias = "toolUsePromptTokenCount")]
    cache_creation_input_tokens: Count,
    /// Perplexity's deep research and Gemini count these beside the completion's.
    #[serde(alias = "thoughtsTokenCount")]
    reasoning_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    /// Perplexity's word for them, here inside the input tokens.
    cache_read_input_tokens: Count,
}

impl Details {
    fn cached(&self) -> u64 {
        self.cached_tokens.or(self.cache_read_input_tokens)
    }
}

impl Counts {
    /// Takes in a usage object; one that cannot be read changes nothing.
    pub(super) fn add(&mut self, json: &[u8]) {
        let Ok(new) = serde_json::from_slice::<Self>(json) else { return };
        let fields = [
            (&mut self.prompt_tokens, new.prompt_tokens),
            (&mut self.completion_tokens, new.completion_tokens),
            (&mut self.input_tokens, new.input_tokens),
            (&mut self.output_tokens, new.output_tokens),
            (&mut self.total_tokens, new.total_tokens),
            (&mut self.prompt_cache_hit_tokens, new.prompt_cache_hit_tokens),
            (&mut self.cache_read_input_tokens, new.cache_read_input_tokens),
            (&mut self.cache_creation_input_tokens, new.cache_creation_input_tokens),
            (&mut self.reasoning_tokens, new.reasoning_tokens),
        ];
        for (old, new) in fields {
            old.update(new);
        }
        if let Some(details) = new.prompt_tokens_details {
            let old = self.prompt_tokens_details.get_or_insert_default();
            old.cached_tokens.update(details.cached_tokens);
            old.cache_read_input_tokens.update(details.cache_read_input_tokens);
        }
    }

    /// Takes in one of Ollama's counts, which stand by themselves.
    pub(super) fn count(&mut self, which: Counted, count: u64) {
        let count = Count(Some(count));
        match which {
            Counted::Prompt => self.prompt_tokens.update(count),
            Counted::Answer => self.completion_tokens.update(count),
        }
    }

    /// In the house's words: all of the prompt, what of it was cached, all of the answer. `None` if nothing was said
    /// of the prompt nor of the answer, or nothing that can be: no answer takes no tokens at all, nor billions.
    pub(super) fn normalised(&self) -> Option<Usage> {
        let said = [self.prompt_tokens, self.input_tokens, self.completion_tokens, self.output_tokens];
        if said.iter().all(|count| count.0.is_none()) {
            return None;
        }
        // Who has these two leaves them out of the prompt's tokens.
        let beside = self.cache_read_input_tokens.or_zero().saturating_add(self.cache_creation_input_tokens.or_zero());
        let input = self.prompt_tokens.or(self.input_tokens).saturating_add(beside);
        let cached = self
            .prompt_tokens_details
            .as_ref()
            .map_or(0, Details::cached)
            .max(self.prompt_cache_hit_tokens.or_zero())
            .max(self.cache_read_input_tokens.or_zero());
        // Some (xAI, Gemini) leave the reasoning out of the completion's tokens, but never out of the total.
        let output = self
            .completion_tokens
            .or(self.output_tokens)
            .saturating_add(self.reasoning_tokens.or_zero())
            .max(self.total_tokens.or_zero().saturating_sub(input));
        let usage = Usage { input: Tokens(input), cached_input: Tokens(cached.min(input)), output: Tokens(output) };
        (1..=PLAUSIBLE).contains(&input.saturating_add(output)).then_some(usage)
    }
}

/// A count, or none: whatever else stands in its place is as good as absent.
#[derive(Debug, Clone, Copy, Default)]
struct Count(Option<u64>);

impl Count {
    fn update(&mut self, new: Self) {
        if new.0.is_some_and(|count| count > 0) || self.0.is_none() {
            *self = new;
        }
    }

    fn or_zero(self) -> u64 {
        self.0.unwrap_or(0)
    }

    fn or(self, other: Self) -> u64 {
        self.0.or(other.0).unwrap_or(0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
        Ok(Count(Some(count)))
    }

    fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
        Ok(Count((count >= 0.0).then_some(count as u64)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(objects: &[&str]) -> Option<(u64, u64, u64)> {
        let mut counts = Counts::default();
        for object in objects {
            counts.add(object.as_bytes());
        }
        counts.normalised().map(|usage| (usage.input.0, usage.cached_input.0, usage.output.0))
    }

    #[test]
    fn openai_counts_cached_tokens_inside_the_prompt() {
        let chat = r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
            "prompt_tokens_details":{"cached_tokens":1920},"completion_tokens_details":{"reasoning_tokens":192}}"#;
        assert_eq!(usage(&[chat]), Some((2006, 1920, 300)));
        let responses = r#"{"input_tokens":328,"input_tokens_details":{"cached_tokens":64},
            "output_tokens":52,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":380}"#;
        assert_eq!(usage(&[responses]), Some((328, 64, 52)));
    }

    #[test]
    fn perplexitys_agents_count_them_inside_too() {
        let agent = r#"{"input_tokens":500,"input_tokens_details":{"cache_creation_input_tokens":0,"cache_read_input_tokens":90},
            "output_tokens":20,"total_tokens":520}"#;
        assert_eq!(usage(&[agent]), Some((500, 90, 20)));
    }

    #[test]
    fn anthropic_counts_them_beside_it() {
        let start =
            r#"{"input_tokens":21,"cache_creation_input_tokens":100,"cache_read_input_tokens":5000,"output_tokens":1}"#;
        assert_eq!(usage(&[start, r#"{"output_tokens":90}"#]), Some((5121, 5000, 90)));
        assert_eq!(usage(&[start, r#"{"input_tokens":0,"output_tokens":90}"#]), Some((5121, 5000, 90)));
    }

    #[test]
    fn reasoning_that_is_counted_apart_belongs_to_the_answer() {
        let deep_research = r#"{"prompt_tokens":33,"completion_tokens":7163,"total_tokens":7196,"citation_tokens":20016,
            "num_search_queries":18,"reasoning_tokens":73999,"cost":{"total_cost":0.42}}"#;
        assert_eq!(usage(&[deep_research]), Some((33, 0, 7163 + 73_999)));
        let gemini = r#"{"prompt_tokens":10,"completion_tokens":20,"total_tokens":80}"#;
        assert_eq!(usage(&[gemini]), Some((10, 0, 70)));
    }

    #[test]
    fn gemini_counts_thoughts_and_what_its_tools_found_beside_and_cached_tokens_inside() {
        let first = r#"{"promptTokenCount":2000,"cachedContentTokenCount":1900,"totalTokenCount":2088,"thoughtsTokenCount":88,
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":2000}]}"#;
        let last = r#"{"promptTokenCount":2000,"cachedContentTokenCount":1900,"candidatesTokenCount":30,
            "toolUsePromptTokenCount":50,"totalTokenCount":2180,"thoughtsTokenCount":100,"trafficType":"ON_DEMAND"}"#;
        assert_eq!(usage(&[first]), Some((2000, 1900, 88)));
        assert_eq!(usage(&[first, last]), Some((2050, 1900, 130)));
    }

    #[test]
    fn what_cannot_be_is_not_reported() {
        for absurd in [
            r#"{"prompt_tokens":12,"completion_tokens":1e30}"#,
            r#"{"prompt_tokens":18446744073709551615,"completion_tokens":3}"#,
            r#"{"prompt_tokens":12,"completion_tokens":3,"total_tokens":1000000000}"#,
            r#"{"input_tokens":6000000,"output_tokens":6000000}"#,
            r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        ] {
            assert_eq!(usage(&[absurd]), None, "{absurd}");
        }
        assert_eq!(usage(&[r#"{"prompt_tokens":10000000}"#]), Some((10_000_000, 0, 0)));
        assert_eq!(usage(&[r#"{"prompt_tokens":0,"completion_tokens":1}"#]), Some((0, 0, 1)));
    }

    #[test]
    fn an_embedding_has_no_output() {
        assert_eq!(usage(&[r#"{"prompt_tokens":8,"total_tokens":8}"#]), Some((8, 0, 0)));
    }

    #[test]
    fn what_is_no_count_is_no_usage() {
        assert_eq!(usage(&[]), None);
        assert_eq!(usage(&["{}", "null", r#"{"prompt_tokens":"9","completion_tokens":-1}"#]), None);
        assert_eq!(
            usage(&[r#"{"prompt_tokens":9.0,"completion_tokens":[1],"total_tokens":{"a":1}}"#]),
            Some((9, 0, 0))
        );
    }
}
