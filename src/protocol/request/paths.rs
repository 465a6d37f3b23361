//! What a path is: which API a request is written for, whose form of it, and what the request is for.
//!
//! An API is told by the last segments of its path, behind whatever prefix a gateway mounts it under. Words that are the
//! providers' alone (`chat/completions`, `count_tokens`) count anywhere; words that any service may use (`messages`,
//! `responses`, `embeddings`) count behind a version, or where at most one segment is before them: `/rooms/7/messages`
//! is nobody's API.

use super::path::RequestPath;
use crate::domain::{Api, Purpose, Vendor};

/// What a path is. What the request is for is in [`purpose_of`].
pub fn api_of(path: &RequestPath) -> Api {
    let path = path.folded();
    let mut back = path.rsplit(|&byte| byte == b'/');
    let mut segment = || back.next().unwrap_or_default();
    let (last, second, third) = (segment(), segment(), segment());
    match (third, second, last) {
        (b"async", b"chat", b"completions") => Api::AsyncChat,
        (_, b"chat", b"completions") => Api::ChatCompletions,
        (_, b"messages", b"count_tokens") => Api::CountTokens,
        (_, _, b"messages") if is_rooted(path, second, third) => Api::Messages,
        (_, _, b"completions") if is_rooted(path, second, third) => Api::Completions,
        (_, b"api", b"embeddings") => Api::OllamaOther,
        (_, _, b"embeddings") if is_rooted(path, second, third) => Api::Embeddings,
        (_, _, b"responses") if is_rooted(path, second, third) => Api::Responses,
        (_, _, b"query") | (_, b"query", b"stream") => Api::LightRagQuery,
        (_, b"query", b"data") => Api::LightRagOther,
        (_, b"api", b"chat") => Api::OllamaChat,
        (_, b"api", b"generate") => Api::OllamaGenerate,
        (_, b"api", word) if OLLAMA.contains(&word) => Api::OllamaOther,
        (b"api", b"blobs", _) => Api::OllamaOther,
        (_, _, b"tokenize" | b"detokenize") if is_rooted(path, second, third) => Api::OpenAiOther,
        _ => match last.rsplit(|&byte| byte == b':').next() {
            Some(method) if method.len() < last.len() => by_method(method, path),
            _ => by_resource(path),
        },
    }
}

/// Ollama's other paths under `/api/`.
const OLLAMA: [&[u8]; 9] = [b"tags", b"version", b"ps", b"show", b"embed", b"pull", b"push", b"create", b"copy"];

/// OpenAI's collections behind a version, besides those with an API of their own.
const OPENAI: [&[u8]; 22] = [
    b"files",
    b"batches",
    b"audio",
    b"images",
    b"moderations",
    b"fine_tuning",
    b"vector_stores",
    b"assistants",
    b"threads",
    b"uploads",
    b"conversations",
    b"containers",
    b"evals",
    b"realtime",
    b"videos",
    b"organization",
    b"skills",
    b"chatkit",
    b"responses",
    b"chat",
    b"rerank",
    b"score",
];

/// Gemini's collections behind `v1beta` and the like.
const GEMINI: [&[u8]; 9] = [
    b"models",
    b"files",
    b"cachedcontents",
    b"tunedmodels",
    b"corpora",
    b"operations",
    b"batches",
    b"interactions",
    b"filesearchstores",
];

/// What follows `/graph/` in LightRAG.
const GRAPH: [&[u8]; 4] = [b"label", b"entity", b"entities", b"relation"];

/// Whether a word that others use, too, is an API's here: what comes before it is a version, Azure's, or at most one
/// segment.
fn is_rooted(path: &[u8], before: &[u8], earlier: &[u8]) -> bool {
    is_version(before)
        || matches!(before, b"openai" | b"inference")
        || earlier == b"deployments"
        || path.split(|&byte| byte == b'/').count() <= 3
}

/// `v1`, `v4`, `v1beta`: whatever provider's.
fn is_version(segment: &[u8]) -> bool {
    matches!(segment, [b'v', b'0'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_alphanumeric))
}

/// `v1beta`, `v1alpha`, `v1beta1`: Google's.
fn is_preview(segment: &[u8]) -> bool {
    is_version(segment) && segment.iter().any(|byte| *byte == b'b' || *byte == b'p')
}

/// Google's custom methods, behind a colon.
fn by_method(method: &[u8], path: &[u8]) -> Api {
    match method {
        b"generatecontent" | b"streamgeneratecontent" => Api::GenerateContent,
        b"rawpredict" | b"streamrawpredict" if has(path, b"/publishers/anthropic/") => Api::VertexMessages,
        b"rawpredict"
        | b"streamrawpredict"
        | b"counttokens"
        | b"computetokens"
        | b"embedcontent"
        | b"batchembedcontents"
        | b"asyncbatchembedcontent"
        | b"batchgeneratecontent"
        | b"predict"
        | b"predictlongrunning"
        | b"fetchpredictoperation" => Api::GeminiOther,
        // A model's name may have a colon: `/v1/models/ft:gpt-4o:acme`.
        _ => by_resource(path),
    }
}

/// By a collection and the version before it; the first that is known tells.
fn by_resource(path: &[u8]) -> Api {
    let mut segments = path.split(|&byte| byte == b'/').skip(1).enumerate().peekable();
    let (mut before, mut earlier): (&[u8], &[u8]) = (b"", b"");
    while let Some((depth, segment)) = segments.next() {
        let next = segments.peek().map_or(&b""[..], |(_, next)| next);
        if is_preview(before) && GEMINI.contains(&segment) {
            return Api::GeminiOther;
        }
        if is_version(before) || before == b"openai" || earlier == b"deployments" {
            match segment {
                b"models" => return Api::Models,
                b"messages" if next == b"batches" => return Api::AnthropicOther,
                b"complete" | b"organizations" => return Api::AnthropicOther,
                b"sonar" => return Api::Sonar,
                b"agent" => return Api::Agent,
                b"async" if next == b"sonar" => return Api::AsyncChat,
                _ if OPENAI.contains(&segment) => return Api::OpenAiOther,
                _ => {}
            }
        }
        match segment {
            b"async" if next == b"chat" => return Api::AsyncChat,
            b"models" if depth <= 1 && next.is_empty() => return Api::Models,
            // A gateway's own prefix may be before them, but no version: LightRAG has none.
            _ if depth > 1 || is_version(before) => {}
            b"documents" | b"graphs" => return Api::LightRagOther,
            b"health" | b"auth-status" if next.is_empty() => return Api::LightRagOther,
            b"graph" if GRAPH.contains(&next) => return Api::LightRagOther,
            _ => {}
        }
        (earlier, before) = (before, segment);
    }
    Api::Other
}

/// Whose form of an API it is, where several have one; `anthropic` is whether the request says which version of
/// Anthropic's it is written for.
pub fn vendor_of(api: Api, path: &RequestPath, anthropic: bool) -> Vendor {
    let path = path.folded();
    match api {
        Api::ChatCompletions | Api::Completions | Api::Embeddings | Api::Models | Api::OpenAiOther
            if has(path, b"/v1beta/openai/") =>
        {
            Vendor::Gemini
        }
        // Of a path that nobody knows it is the form in which the client wants to be refused.
        Api::Models | Api::Other if anthropic => Vendor::Anthropic,
        Api::ChatCompletions if path.ends_with(b"/chat/completions") && !is_versioned(path, b"/chat/completions") => {
            Vendor::Perplexity
        }
        Api::Models if path.ends_with(b"/models") && !is_versioned(path, b"/models") => Vendor::Perplexity,
        _ => Vendor::Usual,
    }
}

/// The API, where the request says that it is written for a version of Anthropic's: their files have OpenAI's paths.
pub const fn of_anthropic(api: Api) -> Api {
    if matches!(api, Api::OpenAiOther) { Api::AnthropicOther } else { api }
}

/// Whether what comes before `suffix` is a version, or another sign of a server that copies OpenAI's.
fn is_versioned(path: &[u8], suffix: &[u8]) -> bool {
    let before = path.strip_suffix(suffix).unwrap_or_default();
    let mut back = before.rsplit(|&byte| byte == b'/');
    let (last, second) = (back.next().unwrap_or_default(), back.next().unwrap_or_default());
    is_version(last) || matches!(last, b"openai" | b"inference" | b"models" | b"openapi") || second == b"deployments"
}

/// What a request with that method is for.
pub fn purpose_of(api: Api, method: &[u8], path: &RequestPath) -> Purpose {
    let path = path.folded();
    let ends = |suffix: &[u8]| path.ends_with(suffix);
    let reads = method == b"GET";
    match api {
        // Preflights, and what looks only at headers.
        _ if matches!(method, b"OPTIONS" | b"HEAD") => Purpose::Free,
        Api::CountTokens => Purpose::Free,
        Api::Models if reads => Purpose::Free,
        Api::VertexMessages if has(path, b"/count-tokens:") => Purpose::Free,
        Api::GeminiOther if reads || ends(b":counttokens") || ends(b":computetokens") => Purpose::Free,
        Api::OpenAiOther
            if ends(b"/moderations") || ends(b"/input_tokens") || ends(b"/tokenize") || ends(b"/detokenize") =>
        {
            Purpose::Free
        }
        Api::OllamaOther if reads || ends(b"/show") => Purpose::Free,
        Api::LightRagOther if reads && (ends(b"/health") || ends(b"/auth-status")) => Purpose::Free,
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
        | Api::GenerateContent
        // Nobody knows what it is for; it is what such a backend does.
        | Api::Other => Purpose::Inference,
        Api::Models
        | Api::OpenAiOther
        | Api::AnthropicOther
        | Api::AsyncChat
        | Api::LightRagOther
        | Api::OllamaOther
        | Api::GeminiOther => Purpose::Other,
    }
}

/// Whether a request whose path names no API of which bodies are read asks a model nevertheless, since its body has a
/// prompt: servers have other names for their endpoints, and read what is behind a path in ways of their own. Other
/// known paths (files, images, threads) stay what they are.
pub fn asks_a_model(api: Api, path: &RequestPath) -> bool {
    let is_below = |word: &[u8]| has(path.folded(), word);
    match api {
        Api::Other => true,
        Api::OpenAiOther => is_below(b"/chat/") || is_below(b"/responses/"),
        _ => false,
    }
}

pub(super) fn has(path: &[u8], infix: &[u8]) -> bool {
    memchr::memmem::find(path, infix).is_some()
}

#[cfg(test)]
mod tests;
