//! What a request asks for, read in one pass over its bytes.

mod media;
mod place;
mod reader;
mod usage;

use crate::domain::{Api, Purpose, RequestFacts, TextSink};
use place::Place;
use reader::Reader;

pub use usage::ask_for_usage;

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON (or not in UTF-8): what is wrong, with the line and column.
    #[error("the body is not valid JSON: {0}")]
    NotJson(Box<str>),
    /// It is JSON, but not an object, which the bodies of all these APIs are.
    #[error("the body is JSON, but not an object")]
    NotAnObject,
    /// A part that has to be read is nested deeper than any real request.
    #[error("the body is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Nesting of what is read, not of what is skipped: serde's own limit is 128, and tool schemas stay below 30.
const MAX_DEPTH: u32 = 96;

/// What a path is, behind whatever prefix: told by its last segments, without the query string. What the request is for
/// is in [`purpose_of`].
pub fn api_of(path: &[u8]) -> Api {
    let path = without_query(path);
    let ends = |suffix: &str| path.ends_with(suffix.as_bytes());
    let has = |infix: &str| memchr::memmem::find(path, infix.as_bytes()).is_some();
    if ends("/async/chat/completions") {
        Api::AsyncChat
    } else if ends("/chat/completions") {
        Api::ChatCompletions
    } else if ends("/completions") {
        Api::Completions
    } else if ends("/responses") {
        Api::Responses
    } else if ends("/embeddings") {
        Api::Embeddings
    } else if ends("/messages/count_tokens") {
        Api::CountTokens
    } else if has("/messages/batches") {
        Api::AnthropicOther
    } else if ends("/messages") && !has("/threads/") {
        Api::Messages
    } else if ends("/v1/sonar") {
        Api::Sonar
    } else if ends("/v1/agent") {
        Api::Agent
    } else if ends("/query") || ends("/query/stream") {
        Api::LightRagQuery
    } else if ends("/query/data") {
        Api::LightRagOther
    } else if ends("/api/chat") {
        Api::OllamaChat
    } else if ends("/api/generate") {
        Api::OllamaGenerate
    } else if ends(":generateContent") || ends(":streamGenerateContent") {
        Api::GenerateContent
    } else if ends(":rawPredict") || ends(":streamRawPredict") {
        Api::VertexMessages
    } else if ends(":countTokens") {
        Api::GeminiOther
    } else if ends("/models") {
        Api::Models
    } else {
        Api::Other
    }
}

/// What a request with that method is for.
pub fn purpose_of(api: Api, method: &[u8], path: &[u8]) -> Purpose {
    match api {
        _ if method == b"OPTIONS" => Purpose::Free,
        Api::Models | Api::CountTokens | Api::OllamaOther => Purpose::Free,
        Api::GeminiOther if without_query(path).ends_with(b":countTokens") => Purpose::Free,
        _ if method != b"POST" => Purpose::Other,
        Api::ChatCompletions
        | Api::Responses
        | Api::Completions
        | Api::Embeddings
        | Api::Messages
        | Api::VertexMessages
        | Api::Sonar
        | Api::Agent
        | Api::LightRagQuery
        | Api::OllamaChat
        | Api::OllamaGenerate
        | Api::GenerateContent => Purpose::Inference,
        Api::OpenAiOther
        | Api::AnthropicOther
        | Api::AsyncChat
        | Api::LightRagOther
        | Api::GeminiOther
        | Api::Other => Purpose::Other,
    }
}

/// Reads the body of a request once. Its text goes to `sink` as it is met; the rest is in the facts. A field of a wrong
/// type is as good as absent: what to say about it is the backend's business.
///
/// An API whose requests are not read ([`is_read`]) is left to the caller, who estimates it by its size.
///
/// # Errors
///
/// [`Unreadable`], with the reason, for a body that is not a JSON object. The sink has then seen the text before the fault.
pub fn read_request(api: Api, path: &[u8], body: &[u8], sink: &mut impl TextSink) -> Result<RequestFacts, Unreadable> {
    let root = match api {
        Api::ChatCompletions | Api::Sonar => Place::Chat,
        Api::Responses | Api::Agent => Place::Responses,
        Api::Completions => Place::Completions,
        Api::Embeddings => Place::Embeddings,
        Api::Messages | Api::VertexMessages | Api::CountTokens => Place::Messages,
        Api::LightRagQuery => Place::LightRag,
        Api::Models
        | Api::OpenAiOther
        | Api::AnthropicOther
        | Api::AsyncChat
        | Api::LightRagOther
        | Api::OllamaChat
        | Api::OllamaGenerate
        | Api::OllamaOther
        | Api::GenerateContent
        | Api::GeminiOther
        | Api::Other => return Ok(RequestFacts { api, ..RequestFacts::default() }),
    };
    let mut reader = Reader::new(sink);
    reader.read(root, body)?;
    let mut facts = reader.facts(api);
    if api == Api::LightRagQuery {
        // LightRAG's two paths decide: `/query` never streams, `/query/stream` does unless told not to.
        facts.stream = without_query(path).ends_with(b"/stream") && reader.stream != Some(false);
    }
    Ok(facts)
}

/// Whether the bodies of an API are read at all.
pub const fn is_read(api: Api) -> bool {
    matches!(
        api,
        Api::ChatCompletions
            | Api::Sonar
            | Api::Responses
            | Api::Agent
            | Api::Completions
            | Api::Embeddings
            | Api::Messages
            | Api::VertexMessages
            | Api::CountTokens
            | Api::LightRagQuery
    )
}

fn without_query(path: &[u8]) -> &[u8] {
    let path = path.split(|&byte| byte == b'?' || byte == b'#').next().unwrap_or_default();
    path.strip_suffix(b"/").unwrap_or(path)
}

#[cfg(test)]
mod tests;
