//! What a provider refuses: a wrong key, a model that it does not have, a prompt that is too long.

use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

use super::{
    Behaviour, Flavour,
    api::{self, Api},
};

/// Why a request is refused, in the words of `OpenAI`'s errors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    /// In the shape of the API; only `OpenAI`'s has a code.
    pub(super) fn body(&self, flavour: Flavour, api: Api) -> Value {
        let mut body = api::error(flavour, Some(api), self.status, &self.message);
        if let Some(code) = body.pointer_mut("/error/code") {
            *code = self.code.into();
        }
        body
    }
}

/// The first thing that is wrong, in the order in which providers look.
pub(super) fn of(behaviour: &Behaviour, headers: &HeaderMap, model: &str, prompt_tokens: u64) -> Option<Refusal> {
    if behaviour.key.as_deref().is_some_and(|key| !brings(headers, key)) {
        let message = "Incorrect API key provided.".to_owned();
        return Some(Refusal { status: 401, code: "invalid_api_key", message });
    }
    if !behaviour.models.is_empty() && !behaviour.models.iter().any(|known| known == model) {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        return Some(Refusal { status: 404, code: "model_not_found", message });
    }
    let most = behaviour.context_tokens.filter(|most| prompt_tokens > *most)?;
    // Clients tell this case by these words.
    let message = format!(
        "This model's maximum context length is {most} tokens, but the prompt is too long: {prompt_tokens} tokens > {most} maximum"
    );
    Some(Refusal { status: 400, code: "context_length_exceeded", message })
}

fn brings(headers: &HeaderMap, key: &str) -> bool {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    bearer == Some(key) || headers.get("x-api-key").is_some_and(|value| value == key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strict() -> Behaviour {
        Behaviour {
            key: Some("right".to_owned()),
            models: vec!["large".to_owned()],
            context_tokens: Some(100),
            ..Behaviour::default()
        }
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_key_is_taken_from_either_header_and_no_other() {
        for (name, value, status) in [
            ("authorization", "Bearer right", None),
            ("x-api-key", "right", None),
            ("authorization", "Bearer wrong", Some(401)),
            ("authorization", "right", Some(401)),
            ("x-api-key", "wrong", Some(401)),
            ("api-key", "right", Some(401)),
        ] {
            let refusal = of(&strict(), &headers(name, value), "large", 100);
            assert_eq!(refusal.map(|refusal| refusal.status), status, "{name}: {value}");
        }
    }

    #[test]
    fn unknown_models_and_long_prompts_are_refused_and_the_default_refuses_nothing() {
        let headers = headers("x-api-key", "right");
        let status = |model, tokens| of(&strict(), &headers, model, tokens).map(|refusal| refusal.status);
        assert_eq!(status("small", 1), Some(404));
        assert_eq!(status("large", 101), Some(400));
        assert_eq!(of(&Behaviour::default(), &HeaderMap::new(), "any", u64::MAX), None);
    }

    #[test]
    fn a_refusal_has_the_shape_of_its_api() {
        let refusal = of(&strict(), &headers("x-api-key", "right"), "small", 1).unwrap();
        assert_eq!(refusal.body(Flavour::OpenAi, Api::Chat)["error"]["code"], json!("model_not_found"));
        assert_eq!(refusal.body(Flavour::Anthropic, Api::Messages)["error"]["type"], json!("not_found_error"));
        assert!(refusal.body(Flavour::LightRag, Api::Query)["detail"].is_string());
    }
}
