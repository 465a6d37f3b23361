//! The families of APIs: which one a request speaks, what it says, and what is answered.

mod anthropic;
mod gemini;
mod lightrag;
mod ollama;
mod openai;
mod responses;
pub(super) mod strict;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Behaviour, Flavour, UsageEvent, tokens};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    PerplexityChat,
    AsyncChat,
    Responses,
    InputTokens,
    Completions,
    Embeddings,
    Moderations,
    Messages,
    CountTokens,
    Query,
    QueryStream,
    QueryData,
    OllamaChat,
    OllamaGenerate,
    Generate,
    GenerateStream,
    GeminiCount,
    /// A list of models, or one.
    Models,
    Health,
    /// What an Ollama is and has.
    About,
    /// A file, a batch, a thread …
    Object,
    /// A service of no known API.
    Anything,
}

impl Api {
    /// The content type of its streams.
    pub(super) fn stream_type(self) -> &'static str {
        match self {
            Self::Query | Self::QueryStream | Self::OllamaChat | Self::OllamaGenerate => "application/x-ndjson",
            _ => "text/event-stream; charset=utf-8",
        }
    }

    /// Whether the answer to this request is streamed.
    pub(super) fn streams(self, request: &Value, query: &str) -> bool {
        let asked = request.get("stream").and_then(Value::as_bool);
        match self {
            Self::Chat | Self::PerplexityChat | Self::Responses | Self::Completions | Self::Messages => {
                asked == Some(true)
            }
            Self::QueryStream | Self::OllamaChat | Self::OllamaGenerate => asked != Some(false),
            Self::GenerateStream => query.split('&').any(|field| field == "alt=sse"),
            _ => false,
        }
    }
}

/// What will be answered.
pub(super) struct Answer<'a> {
    pub(super) backend: &'a str,
    pub(super) request: &'a Value,
    pub(super) model: &'a str,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) output_tokens: u32,
    /// What it says, word by word, where that is scripted.
    words: Option<Vec<String>>,
    /// The request's own limit ended it.
    pub(super) cut_short: bool,
    /// Whether usage is reported at all.
    pub(super) usage: bool,
    pub(super) usage_members: &'a Value,
    pub(super) usage_event: UsageEvent,
    /// Distinguishes the answers of a backend.
    pub(super) number: u64,
    /// Seconds since 1970.
    pub(super) created: u64,
}

/// A stream: what comes before the tokens, each token, and what comes after. The tail ends with the terminal mark.
pub(super) struct Frames {
    pub(super) head: Vec<Bytes>,
    pub(super) tokens: Vec<Bytes>,
    pub(super) tail: Vec<Bytes>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(backend: &'a str, number: u64, request: &'a Value, behaviour: &'a Behaviour) -> Self {
        let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
        let nested = ["/options/num_predict", "/generationConfig/maxOutputTokens", "/request/max_tokens"];
        let given = limits.iter().filter_map(|key| request.get(key)?.as_u64());
        let given = given.chain(nested.iter().filter_map(|key| request.pointer(key)?.as_u64()));
        let limit = given.min().unwrap_or(u64::MAX);
        let words = reply(request, behaviour);
        let wanted = words.as_ref().map_or(u64::from(behaviour.output_tokens), |words| words.len() as u64);
        let prompt_tokens = tokens::prompt(request, behaviour.prompt_tokens, behaviour.prompt_token_bias);
        Self {
            backend,
            request,
            model: request.get("model").and_then(Value::as_str).unwrap_or(backend),
            prompt_tokens,
            cached_tokens: behaviour.cached_tokens.min(prompt_tokens),
            output_tokens: wanted.min(limit) as u32,
            words,
            cut_short: limit < wanted,
            usage: behaviour.usage,
            usage_members: &behaviour.usage_members,
            usage_event: behaviour.usage_event,
            number,
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}sim-{}-{}", self.backend, self.number)
    }

    fn text(&self) -> String {
        (0..self.output_tokens).map(|index| self.token(index)).collect()
    }

    fn token(&self, index: u32) -> &str {
        self.words.as_ref().and_then(|words| words.get(index as usize)).map_or_else(|| token(index), String::as_str)
    }

    /// The tool that the request insists on being called.
    fn tool(&self) -> Option<&str> {
        let choice = self.request.get("tool_choice")?;
        let first = || {
            let tool = self.request.pointer("/tools/0")?;
            tool.pointer("/function/name").or_else(|| tool.get("name"))?.as_str()
        };
        let named = || choice.pointer("/function/name").or_else(|| choice.get("name"))?.as_str();
        let insists = choice == "required" || choice.get("type").is_some_and(|kind| kind == "any");
        if insists { first() } else { named() }
    }

    fn total_tokens(&self) -> u64 {
        self.prompt_tokens + u64::from(self.output_tokens)
    }

    /// The whole answer.
    pub(super) fn json(&self, api: Api, flavour: Flavour) -> Value {
        match api {
            Api::Chat => openai::chat(self),
            Api::PerplexityChat => openai::perplexity(self),
            Api::AsyncChat => json!({"id": self.id("async-"), "model": self.model, "created_at": self.created,
                "status": "CREATED", "response": null}),
            Api::Responses => responses::response(self),
            Api::Completions => openai::completion(self),
            Api::Embeddings => openai::embeddings(self),
            Api::Messages => anthropic::message(self),
            Api::CountTokens => json!({"input_tokens": self.prompt_tokens}),
            Api::InputTokens => json!({"object": "response.input_tokens", "input_tokens": self.prompt_tokens}),
            Api::GeminiCount => json!({"totalTokens": self.prompt_tokens}),
            Api::Moderations => json!({"id": self.id("modr-"), "model": "omni-moderation-latest",
                "results": [{"flagged": false, "categories": {}, "category_scores": {}}]}),
            Api::Query | Api::QueryStream => lightrag::answer(self),
            Api::QueryData => json!({"status": "success", "message": "Query executed successfully",
                "data": {"entities": [], "relationships": [], "chunks": [], "references": []}, "metadata": {}}),
            Api::OllamaChat => ollama::answer(self, true),
            Api::OllamaGenerate => ollama::answer(self, false),
            Api::Generate => gemini::answer(self),
            Api::GenerateStream => json!([gemini::answer(self)]),
            Api::Models => models(flavour, self.backend),
            Api::Health => health(self.backend),
            Api::About => {
                json!({"version": "0.9.3", "models": [{"name": "lightrag:latest", "model": "lightrag:latest"}]})
            }
            Api::Object => json!({"id": self.id("object-"), "object": "object", "status": "completed"}),
            Api::Anything => json!({"served_by": self.backend, "results": [1, 2, 3]}),
        }
    }

    /// The answer as a stream.
    pub(super) fn frames(&self, api: Api) -> Frames {
        match api {
            Api::Chat => openai::chat_frames(self),
            Api::PerplexityChat => openai::perplexity_frames(self),
            Api::Responses => responses::frames(self),
            Api::Messages => anthropic::frames(self),
            Api::Query | Api::QueryStream => lightrag::frames(self),
            Api::OllamaChat => ollama::frames(self, true),
            Api::OllamaGenerate => ollama::frames(self, false),
            Api::GenerateStream => gemini::frames(self),
            _ => openai::completion_frames(self),
        }
    }
}

/// An error in the service's own shape; where it has several APIs, in that of the one that was asked.
pub(super) fn error(flavour: Flavour, api: Option<Api>, status: u16, message: &str) -> Value {
    match (api, flavour) {
        (Some(Api::Messages | Api::CountTokens), _) | (_, Flavour::Anthropic) => anthropic::error(status, message),
        (Some(Api::OllamaChat | Api::OllamaGenerate), _) if status >= 500 => ollama::error(message),
        (Some(Api::Query | Api::QueryStream | Api::QueryData), _) | (_, Flavour::LightRag) => lightrag::error(message),
        (Some(Api::Generate | Api::GenerateStream | Api::GeminiCount), _) | (_, Flavour::Gemini) => {
            gemini::error(status, message)
        }
        _ => openai::error(status, message),
    }
}

/// An error in the middle of a stream.
pub(super) fn error_frame(api: Api, message: &str) -> Bytes {
    match api {
        Api::Messages | Api::CountTokens => event("error", &anthropic::error(529, message)),
        Api::Responses => responses::error_frame(message),
        Api::Query | Api::QueryStream | Api::OllamaChat | Api::OllamaGenerate => line(&json!({"error": message})),
        Api::GenerateStream => data(&gemini::error(500, message)),
        _ => data(&openai::error(500, message)),
    }
}

/// The models, which is also how Perplexity's health is checked.
pub(super) fn models(flavour: Flavour, name: &str) -> Value {
    match flavour {
        Flavour::Anthropic => json!({"data": [{"type": "model", "id": name, "display_name": name,
            "created_at": "2026-01-01T00:00:00Z"}], "has_more": false, "first_id": name, "last_id": name}),
        Flavour::Gemini => json!({"models": [{"name": format!("models/{name}"), "displayName": name}]}),
        _ => json!({"object": "list", "data": [{"id": name, "object": "model", "created": 1_767_225_600,
            "owned_by": "sim"}]}),
    }
}

/// Health as `LightRAG` tells it: what a server 1.5 says to anybody, and the parts that older designs have besides.
pub(super) fn health(name: &str) -> Value {
    json!({"status": "healthy", "name": name, "core_version": "1.5.7", "pipeline_busy": false,
        "graph_db_status": "healthy", "embeddings_status": "healthy", "llm_status": "healthy",
        "knowledge_base_size": 15_000, "memory_usage_mb": 2_048})
}

/// The words of the reply that is scripted for this prompt.
fn reply(request: &Value, behaviour: &Behaviour) -> Option<Vec<String>> {
    let prompt = if behaviour.replies.is_empty() { return None } else { tokens::text(request) };
    let reply = behaviour.replies.iter().find(|reply| prompt.contains(&reply.when))?;
    Some(reply.text.split_inclusive(char::is_whitespace).map(str::to_owned).collect())
}

/// One token of an answer. Some are of several bytes a character, so that pieces of a stream split characters.
fn token(index: u32) -> &'static str {
    const WORDS: [&str; 8] = ["The", " simulated", " answer", " goes", " on", " über", " 東京", " 🙂"];
    WORDS[index as usize % WORDS.len()]
}

/// A server-sent event without a name.
fn data(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

/// A server-sent event with a name.
fn event(name: &str, value: &Value) -> Bytes {
    format!("event: {name}\ndata: {value}\n\n").into()
}

/// A line of NDJSON.
fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

#[cfg(test)]
mod tests;
