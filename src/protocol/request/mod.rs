//! What a request asks for, read in one pass over its bytes.

mod media;
mod place;
mod reader;
mod usage;

use crate::domain::{Api, RequestFacts, TextSink};
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

/// The API that a path belongs to, behind whatever prefix: told by its last segments, without the query string.
pub fn api_of(path: &[u8]) -> Api {
    let path = without_query(path);
    let ends = |suffix: &str| path.ends_with(suffix.as_bytes());
    if ends("/chat/completions") {
        Api::ChatCompletions
    } else if ends("/completions") {
        Api::Completions
    } else if ends("/responses") {
        Api::Responses
    } else if ends("/embeddings") {
        Api::Embeddings
    } else if ends("/messages") {
        Api::Messages
    } else if ends("/query") || ends("/query/stream") {
        Api::LightRagQuery
    } else if ends(":generateContent") || ends(":streamGenerateContent") {
        Api::GenerateContent
    } else {
        Api::Other
    }
}

/// Reads the body of a request once. Its text goes to `sink` as it is met; the rest is in the facts. A field of a wrong
/// type is as good as absent: what to say about it is the backend's business.
///
/// `Api::GenerateContent` and `Api::Other` are not read at all: the caller estimates them by their size.
///
/// # Errors
///
/// [`Unreadable`], with the reason, for a body that is not a JSON object. The sink has then seen the text before the fault.
pub fn read_request(api: Api, path: &[u8], body: &[u8], sink: &mut impl TextSink) -> Result<RequestFacts, Unreadable> {
    let root = match api {
        Api::ChatCompletions => Place::Chat,
        Api::Responses => Place::Responses,
        Api::Completions => Place::Completions,
        Api::Embeddings => Place::Embeddings,
        Api::Messages => Place::Messages,
        Api::LightRagQuery => Place::LightRag,
        Api::GenerateContent | Api::Other => return Ok(RequestFacts { api, ..RequestFacts::default() }),
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

fn without_query(path: &[u8]) -> &[u8] {
    let path = path.split(|&byte| byte == b'?' || byte == b'#').next().unwrap_or_default();
    path.strip_suffix(b"/").unwrap_or(path)
}

#[cfg(test)]
mod tests;
