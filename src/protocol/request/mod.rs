//! What a request asks for, read in one pass over its bytes.

mod media;
mod path;
mod paths;
mod place;
mod reader;
mod usage;

pub use media::Measure;
pub use path::RequestPath;
pub use paths::{api_of, asks_a_model, of_anthropic, purpose_of, vendor_of};

use crate::domain::{Api, Model, RequestFacts, TextSink};
use paths::has;
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

/// Reads the body of a request once. Its text goes to `sink` as it is met; the rest is in the facts. A field of a wrong
/// type is as good as absent: what to say about it is the backend's business.
///
/// An API whose requests are not read ([`is_read`]) is left to the caller, who estimates it by its size.
///
/// # Errors
///
/// [`Unreadable`], with the reason, for a body that is not a JSON object. The sink has then seen the text before the fault.
pub fn read_request(
    api: Api,
    path: &RequestPath,
    body: &[u8],
    sink: &mut impl TextSink,
) -> Result<RequestFacts, Unreadable> {
    let Some(root) = root(api) else { return Ok(RequestFacts { api, ..RequestFacts::default() }) };
    let mut reader = Reader::new(sink);
    reader.read(root, body)?;
    let asked = reader.stream;
    let mut facts = reader.facts(api);
    match api {
        // LightRAG's two paths decide: `/query` never streams, `/query/stream` does unless told not to.
        Api::LightRagQuery => facts.stream = path.folded().ends_with(b"/stream") && asked != Some(false),
        // Ollama streams unless told not to.
        Api::OllamaChat | Api::OllamaGenerate => facts.stream = asked != Some(false),
        // Google's paths say it, and which model it is.
        Api::GenerateContent | Api::VertexMessages => {
            facts.stream = has(path.folded(), b":stream");
            facts.model = facts.model.or_else(|| model_in(path.text()));
        }
        _ => {}
    }
    Ok(facts)
}

/// Reads the body of a request whose path says nothing of its form: by the members that any of the APIs has. None where
/// it is JSON without a prompt.
///
/// # Errors
///
/// [`Unreadable`], as for [`read_request`].
pub fn read_unknown(body: &[u8], sink: &mut impl TextSink) -> Result<Option<RequestFacts>, Unreadable> {
    let mut reader = Reader::new(sink);
    reader.read(Place::Any, body)?;
    Ok(reader.has_prompt.then(|| reader.facts(Api::Other)))
}

/// Whether a body may be a JSON object, by its first bytes; where these are all space, so may what follows.
pub fn may_be_json(beginning: &[u8]) -> bool {
    let beginning = beginning.strip_prefix(BYTE_ORDER_MARK).unwrap_or(beginning).trim_ascii_start();
    matches!(beginning.first(), None | Some(b'{'))
}

/// What some programs write before a text in UTF-8, and servers skip.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Where the body of an API begins; none where it is not read.
const fn root(api: Api) -> Option<Place> {
    Some(match api {
        Api::ChatCompletions | Api::Sonar => Place::Chat,
        Api::AsyncChat => Place::AsyncChat,
        Api::Responses | Api::Agent => Place::Responses,
        Api::Completions => Place::Completions,
        Api::Embeddings => Place::Embeddings,
        Api::Messages | Api::VertexMessages | Api::CountTokens => Place::Messages,
        Api::LightRagQuery => Place::LightRag,
        Api::OllamaChat => Place::OllamaChat,
        Api::OllamaGenerate => Place::OllamaGenerate,
        Api::GenerateContent => Place::Gemini,
        Api::Models
        | Api::OpenAiOther
        | Api::AnthropicOther
        | Api::LightRagOther
        | Api::OllamaOther
        | Api::GeminiOther
        | Api::Other => return None,
    })
}

/// Whether the bodies of an API are read at all.
pub const fn is_read(api: Api) -> bool {
    root(api).is_some()
}

/// The model in a path of Google's: `…/models/{model}:method`, where the name may have a slash.
fn model_in(path: &[u8]) -> Option<Model> {
    const MODELS: &[u8] = b"/models/";
    let last = match memchr::memmem::rfind(path, MODELS) {
        Some(at) => path.get(at + MODELS.len()..)?,
        None => path.rsplit(|&byte| byte == b'/').next()?,
    };
    let end = last.iter().rposition(|&byte| byte == b':')?;
    let name = std::str::from_utf8(last.get(..end)?).ok()?;
    (!name.is_empty()).then(|| reader::model(name))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "unseen_tests.rs"]
mod unseen;
