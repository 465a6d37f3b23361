//! What a request says about itself.

use super::{Model, ModelTag, Tokens};

/// The API a request is written for, told by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Api {
    /// OpenAI `…/chat/completions`; Perplexity's has the same shape.
    ChatCompletions,
    /// OpenAI `…/responses`.
    Responses,
    /// OpenAI `…/completions`, the one before chat.
    Completions,
    /// OpenAI `…/embeddings`.
    Embeddings,
    /// Anthropic `…/messages`.
    Messages,
    /// LightRAG `…/query` and `…/query/stream`.
    LightRagQuery,
    /// Anything else: routed by its size.
    #[default]
    Other,
}

impl Api {
    /// Its name, for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::LightRagQuery => "lightrag_query",
            Self::Other => "other",
        }
    }
}

/// What was read in a request's body, besides its text, which went to a [`TextSink`] as it was met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestFacts {
    /// The API it is written for.
    pub api: Api,
    /// The model it names, cut at 128 bytes.
    pub model: Option<Model>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The most tokens that the answer may have, whatever the API calls it; times `n` where several are asked for.
    pub max_output_tokens: Option<Tokens>,
    /// Tokens that are not text: framing of messages and tools, images, as the APIs' documentation counts them.
    pub fixed_tokens: Tokens,
    /// Token counts given as such (a prompt of token ids): exact, no estimate.
    pub exact_tokens: Tokens,
}

impl RequestFacts {
    /// The model it names, or any.
    pub fn model_tag(&self) -> ModelTag {
        self.model.as_ref().map_or(ModelTag::ANY, Model::tag)
    }

    /// Its prompt, whose text is estimated at `text`, before any calibration.
    pub const fn prompt_tokens(&self, text: Tokens) -> Tokens {
        Tokens(text.0.saturating_add(self.fixed_tokens.0).saturating_add(self.exact_tokens.0))
    }
}

/// Where text goes as it is met, piece by piece and without a copy. Each push is a text of its own: no token spans two.
pub trait TextSink {
    /// Takes one piece of text.
    fn push(&mut self, text: &str);
}
