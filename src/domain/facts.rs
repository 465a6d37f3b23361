//! What a request says about itself.

use super::{Backend, Model, ModelTag, Tokens};

/// The API a request is written for, told by its path and method: what its body and its answer look like, and which
/// backends can answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Api {
    /// OpenAI `…/chat/completions`; Perplexity's has the same form.
    ChatCompletions,
    /// OpenAI `…/responses`.
    Responses,
    /// OpenAI `…/completions`, the one before chat.
    Completions,
    /// OpenAI `…/embeddings`.
    Embeddings,
    /// `…/models` and `…/models/{id}`: OpenAI's, Anthropic's and Perplexity's.
    Models,
    /// OpenAI's other paths: files, batches, audio, images, moderations, threads …
    OpenAiOther,
    /// Anthropic `…/messages`.
    Messages,
    /// Anthropic's messages on Vertex: `…:rawPredict` and `…:streamRawPredict`.
    VertexMessages,
    /// Anthropic `…/messages/count_tokens`.
    CountTokens,
    /// Anthropic's other paths: batches of messages.
    AnthropicOther,
    /// Perplexity `…/v1/sonar`, in the form of chat completions.
    Sonar,
    /// Perplexity `…/v1/agent`, in the form of OpenAI's Responses.
    Agent,
    /// Perplexity `…/async/chat/completions`: the request is under `request`, the answer comes later.
    AsyncChat,
    /// LightRAG `…/query` and `…/query/stream`.
    LightRagQuery,
    /// LightRAG's other paths: what was retrieved (`…/query/data`), documents, graphs.
    LightRagOther,
    /// Ollama `…/api/chat`, which LightRAG speaks, too.
    OllamaChat,
    /// Ollama `…/api/generate`, which LightRAG speaks, too.
    OllamaGenerate,
    /// Ollama's other paths: `…/api/tags`, `…/api/version` and the like.
    OllamaOther,
    /// Gemini `…:generateContent` and `…:streamGenerateContent`: routed by its size, its answers are read.
    GenerateContent,
    /// Gemini's other methods: `…:countTokens`, `…:embedContent` …
    GeminiOther,
    /// Anything else: routed by its size.
    #[default]
    Other,
}

impl Api {
    /// Every API, in the order of the documentation.
    pub const ALL: [Self; 21] = [
        Self::ChatCompletions,
        Self::Responses,
        Self::Completions,
        Self::Embeddings,
        Self::Models,
        Self::OpenAiOther,
        Self::Messages,
        Self::VertexMessages,
        Self::CountTokens,
        Self::AnthropicOther,
        Self::Sonar,
        Self::Agent,
        Self::AsyncChat,
        Self::LightRagQuery,
        Self::LightRagOther,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::OllamaOther,
        Self::GenerateContent,
        Self::GeminiOther,
        Self::Other,
    ];

    /// Its name in the configuration and for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::OpenAiOther => "openai_other",
            Self::Messages => "messages",
            Self::VertexMessages => "vertex_messages",
            Self::CountTokens => "count_tokens",
            Self::AnthropicOther => "anthropic_other",
            Self::Sonar => "sonar",
            Self::Agent => "agent",
            Self::AsyncChat => "async_chat",
            Self::LightRagQuery => "lightrag_query",
            Self::LightRagOther => "lightrag_other",
            Self::OllamaChat => "ollama_chat",
            Self::OllamaGenerate => "ollama_generate",
            Self::OllamaOther => "ollama_other",
            Self::GenerateContent => "generate_content",
            Self::GeminiOther => "gemini_other",
            Self::Other => "other",
        }
    }
}

/// What a request is for, and so what its answer proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Purpose {
    /// A model answers: it takes tokens, and how it ends is evidence of the backend's health.
    #[default]
    Inference,
    /// Costs nothing and proves nothing: token counts, lists of models, moderations, preflights.
    Free,
    /// Anything else, such as files and batches: health by the status, tokens only where they are reported.
    Other,
}

impl Purpose {
    /// Its name, for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Free => "free",
            Self::Other => "other",
        }
    }
}

/// What was read in a request's body, besides its text, which went to a [`TextSink`] as it was met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestFacts {
    /// The API it is written for.
    pub api: Api,
    /// What it is for.
    pub purpose: Purpose,
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
    /// Tokens guessed from the size of what cannot be read: a whole body, a document, data of an unknown kind. Such a
    /// guess may be wrong a hundredfold, so it excludes no backend and teaches nothing.
    pub guessed_tokens: Tokens,
    /// Whether part of the prompt is not in the body: an earlier conversation, a stored prompt or file, or what tools of
    /// the provider add. What the provider counts then says nothing of the estimate.
    pub has_unseen_prompt: bool,
}

impl RequestFacts {
    /// The model it names, or any.
    pub fn model_tag(&self) -> ModelTag {
        self.model.as_ref().map_or(ModelTag::ANY, Model::tag)
    }

    /// Whether how it ends is evidence of how well the backend serves: where it is for inference, or the backend is there
    /// for just such requests of no known API.
    pub const fn is_evidence(&self, backend: &Backend) -> bool {
        match self.purpose {
            Purpose::Inference => true,
            Purpose::Free => false,
            Purpose::Other => matches!(self.api, Api::Other) && backend.apis.has(Api::Other),
        }
    }

    /// Its prompt, whose text is estimated at `text`, before any calibration.
    pub const fn prompt_tokens(&self, text: Tokens) -> Tokens {
        let read = text.0.saturating_add(self.fixed_tokens.0).saturating_add(self.exact_tokens.0);
        Tokens(read.saturating_add(self.guessed_tokens.0))
    }
}

/// Where text goes as it is met, piece by piece and without a copy. Each push is a text of its own: no token spans two.
pub trait TextSink {
    /// Takes one piece of text.
    fn push(&mut self, text: &str);
}
