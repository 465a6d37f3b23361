//! What the real services refuse: paths that are another's, wrong methods, requests without what they must have.

use hyper::{Method, header::HeaderMap};
use serde_json::Value;

use super::{Api, Flavour};

/// What is wrong with a request, with the status that its service answers.
pub(in crate::backend) struct Wrong(pub(in crate::backend) u16, pub(in crate::backend) String);

/// The API that a path of this service belongs to.
///
/// # Errors
///
/// The service has no such path, or not by that method.
pub(in crate::backend) fn api(flavour: Flavour, method: &Method, path: &str) -> Result<Api, Wrong> {
    let api = flavour.families().iter().find_map(|family| of(*family, path));
    let api = api.ok_or_else(|| Wrong(404, format!("there is no {path} here")))?;
    let takes: &[Method] = match api {
        Api::Anything | Api::Object => return Ok(api),
        Api::Models | Api::Health | Api::About => &[Method::GET],
        _ => &[Method::POST],
    };
    let is_look = matches!(*method, Method::OPTIONS) || (*method == Method::HEAD && takes.contains(&Method::GET));
    if is_look || takes.contains(method) { Ok(api) } else { Err(Wrong(405, format!("{path} does not take {method}"))) }
}

fn of(family: Flavour, path: &str) -> Option<Api> {
    match family {
        Flavour::OpenAi => openai(path),
        Flavour::Anthropic => anthropic(path),
        Flavour::Perplexity => perplexity(path),
        Flavour::LightRag => light_rag(path),
        Flavour::Gemini => gemini(path),
        // Whatever is no path of the others.
        Flavour::Generic => {
            let others = [Flavour::OpenAi, Flavour::Anthropic, Flavour::Perplexity, Flavour::Gemini];
            let is_known = others.into_iter().any(|other| of(other, path).is_some());
            (!is_known).then_some(Api::Anything)
        }
        Flavour::Proxy => None,
    }
}

fn openai(path: &str) -> Option<Api> {
    const OBJECTS: [&str; 11] = [
        "files",
        "batches",
        "audio",
        "images",
        "fine_tuning",
        "vector_stores",
        "assistants",
        "threads",
        "uploads",
        "conversations",
        "videos",
    ];
    Some(match path {
        "/v1/chat/completions" => Api::Chat,
        "/v1/responses" => Api::Responses,
        "/v1/responses/input_tokens" => Api::InputTokens,
        "/v1/completions" => Api::Completions,
        "/v1/embeddings" => Api::Embeddings,
        "/v1/moderations" => Api::Moderations,
        "/v1/models" => Api::Models,
        "/health" => Api::Health,
        _ => {
            let rest = path.strip_prefix("/v1/")?;
            let first = rest.split('/').next().unwrap_or_default();
            if first == "models" {
                return Some(Api::Models);
            }
            if matches!(first, "responses" | "chat") {
                let id = rest.strip_prefix("responses/").or(rest.strip_prefix("chat/completions/"))?;
                return (!id.is_empty()).then_some(Api::Object);
            }
            OBJECTS.contains(&first).then_some(Api::Object)?
        }
    })
}

fn anthropic(path: &str) -> Option<Api> {
    Some(match path {
        "/v1/messages" => Api::Messages,
        "/v1/messages/count_tokens" => Api::CountTokens,
        "/v1/models" => Api::Models,
        _ if path.starts_with("/v1/messages/batches") => Api::Object,
        _ => return None,
    })
}

fn perplexity(path: &str) -> Option<Api> {
    Some(match path {
        "/chat/completions" | "/v1/sonar" => Api::PerplexityChat,
        "/v1/agent" => Api::Responses,
        "/async/chat/completions" | "/v1/async/sonar" => Api::AsyncChat,
        "/models" | "/v1/models" => Api::Models,
        _ => return None,
    })
}

fn light_rag(path: &str) -> Option<Api> {
    Some(match path {
        "/query" => Api::Query,
        "/query/stream" => Api::QueryStream,
        "/query/data" => Api::QueryData,
        "/health" => Api::Health,
        "/api/chat" => Api::OllamaChat,
        "/api/generate" => Api::OllamaGenerate,
        "/api/tags" | "/api/version" | "/api/ps" => Api::About,
        _ if path.starts_with("/documents") || path.starts_with("/graph") => Api::Object,
        _ => return None,
    })
}

fn gemini(path: &str) -> Option<Api> {
    let model = path.strip_prefix("/v1beta/models")?;
    Some(match model.rsplit_once(':').map(|(_, method)| method) {
        Some("generateContent") => Api::Generate,
        Some("streamGenerateContent") => Api::GenerateStream,
        Some("countTokens") => Api::GeminiCount,
        None => Api::Models,
        Some(_) => return None,
    })
}

/// What a request must have.
///
/// # Errors
///
/// It has it not.
pub(in crate::backend) fn check(api: Api, flavour: Flavour, headers: &HeaderMap, body: &Value) -> Result<(), Wrong> {
    let wrong =
        |field: &str, what: &str| Err(Wrong(if is_fastapi(api) { 422 } else { 400 }, format!("{field}: {what}")));
    if matches!(api, Api::Messages | Api::CountTokens) && !headers.contains_key("anthropic-version") {
        return wrong("anthropic-version", "header is required");
    }
    for &(field, kind) in required(api) {
        let value = if field == "request.messages" { body.pointer("/request/messages") } else { body.get(field) };
        let is_right = match (kind, value) {
            (_, None | Some(Value::Null)) => return wrong(field, "Field required"),
            (Kind::Text, Some(value)) => value.as_str().is_some_and(|text| !text.is_empty()),
            (Kind::List, Some(value)) => value.as_array().is_some_and(|list| !list.is_empty()),
            (Kind::Number, Some(value)) => value.as_u64().is_some_and(|number| number > 0),
            (Kind::Any, Some(_)) => true,
        };
        if !is_right {
            return wrong(field, "is not what it should be");
        }
    }
    // Another provider's model is unknown here.
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    if flavour.foreign_models().iter().any(|prefix| model.starts_with(prefix)) {
        let status = if flavour == Flavour::Perplexity { 400 } else { 404 };
        return Err(Wrong(status, format!("model: {model} does not exist")));
    }
    Ok(())
}

const fn is_fastapi(api: Api) -> bool {
    matches!(api, Api::Query | Api::QueryStream | Api::QueryData | Api::OllamaChat | Api::OllamaGenerate)
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    List,
    Number,
    Any,
}

const fn required(api: Api) -> &'static [(&'static str, Kind)] {
    use Kind::{Any, List, Number, Text};
    match api {
        Api::Chat | Api::PerplexityChat | Api::OllamaChat | Api::CountTokens => &[("model", Text), ("messages", List)],
        Api::Responses | Api::Embeddings => &[("model", Text), ("input", Any)],
        Api::InputTokens | Api::Moderations => &[("input", Any)],
        Api::Completions | Api::OllamaGenerate => &[("model", Text), ("prompt", Any)],
        Api::Messages => &[("model", Text), ("max_tokens", Number), ("messages", List)],
        Api::AsyncChat => &[("request.messages", List)],
        Api::Query | Api::QueryStream | Api::QueryData => &[("query", Text)],
        Api::Generate | Api::GenerateStream | Api::GeminiCount => &[("contents", List)],
        Api::Models | Api::Health | Api::About | Api::Object | Api::Anything => &[],
    }
}
