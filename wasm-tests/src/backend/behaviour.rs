//! What a test asks of a backend.

use std::str::FromStr;

use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How requests are answered. The default is a quick, complete answer of sixteen tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The HTTP status. Anything but 2xx is answered with an error in the shape of the API that was asked.
    pub status: u16,
    /// From the end of the request to the answer's headers.
    pub latency_ms: u64,
    /// In a stream, from the headers to the first token.
    pub first_token_ms: u64,
    /// In a stream, between two tokens.
    pub inter_token_ms: u64,
    /// Tokens that the backend has to say; the request's own limit may cut them short.
    pub output_tokens: u32,
    /// What it says to prompts that contain a certain text, instead of the usual words; the first that fits. Then the
    /// output tokens are its words.
    pub replies: Vec<Reply>,
    /// The key that prompts must bring, by `authorization: Bearer …` or `x-api-key`; another one is answered 401.
    pub key: Option<String>,
    /// The models that there are; another one is answered 404. None: any.
    pub models: Vec<String>,
    /// Longer prompts than this are answered 400.
    pub context_tokens: Option<u64>,
    /// How the reported prompt tokens are counted.
    pub prompt_tokens: PromptTokens,
    /// The reported prompt tokens are the count times this: a provider with another tokenizer.
    pub prompt_token_bias: f64,
    /// Reported as read from the provider's cache (at most the prompt's tokens).
    pub cached_tokens: u64,
    /// Whether usage is reported. A stream of the `OpenAI` API also needs `stream_options.include_usage`.
    pub usage: bool,
    /// Members that the usage of the `OpenAI` API has besides, or otherwise; an object.
    pub usage_members: Value,
    /// In which event of a stream of that API it comes.
    pub usage_event: UsageEvent,
    /// The body, as JSON, instead of the usual one; in answers to `GET` only.
    pub report: Option<Value>,
    /// More response headers, such as `x-ratelimit-remaining-requests` and `retry-after`.
    pub headers: Vec<(String, String)>,
    /// Prompts it can answer at once: one that comes while so many are under way is answered 503.
    pub capacity: Option<usize>,
    /// What goes wrong.
    pub fault: Fault,
    /// Streams go out in pieces of at most this many bytes, a millisecond apart, so that events and characters are
    /// split wherever it hurts.
    pub piece_bytes: Option<usize>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            status: 200,
            latency_ms: 0,
            first_token_ms: 0,
            inter_token_ms: 0,
            output_tokens: 16,
            replies: Vec::new(),
            key: None,
            models: Vec::new(),
            context_tokens: None,
            prompt_tokens: PromptTokens::BytesPerToken(4.0),
            prompt_token_bias: 1.0,
            cached_tokens: 0,
            usage: true,
            usage_members: Value::Null,
            usage_event: UsageEvent::Alone,
            report: None,
            headers: Vec::new(),
            capacity: None,
            fault: Fault::None,
            piece_bytes: None,
        }
    }
}

impl Behaviour {
    /// An answer with this status, at once.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// An answer that goes wrong in this way.
    pub fn fault(fault: Fault) -> Self {
        Self { fault, ..Self::default() }
    }

    /// An answer to a `GET` that says this.
    pub fn report(report: Value) -> Self {
        Self { report: Some(report), ..Self::default() }
    }

    /// A whole answer, this late.
    pub fn latency_ms(latency_ms: u64) -> Self {
        Self { latency_ms, ..Self::default() }
    }

    /// Whether it can be acted out: what a test in Rust gets wrong is a panic, but a process has to go on.
    ///
    /// # Errors
    ///
    /// What cannot be sent.
    pub fn check(&self) -> Result<(), String> {
        if StatusCode::from_u16(self.status).is_err() || self.status < 200 {
            return Err(format!("{} is not a status of an answer", self.status));
        }
        for (name, value) in &self.headers {
            if HeaderName::from_str(name).is_err() || HeaderValue::from_str(value).is_err() {
                return Err(format!("`{name}: {value}` is not a header"));
            }
        }
        Ok(())
    }

    /// One more response header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another number of output tokens.
    #[must_use]
    pub fn with_output_tokens(self, output_tokens: u32) -> Self {
        Self { output_tokens, ..self }
    }
}

/// What is said to a prompt in whose texts `when` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// A part of the prompt.
    pub when: String,
    /// The answer.
    pub text: String,
}

/// How the prompt's tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptTokens {
    /// The bytes of the prompt's text, divided.
    BytesPerToken(f64),
    /// By `OpenAI`'s `o200k_base`. Its first use in a process takes seconds in a debug build.
    O200k,
    /// Always this many.
    Exactly(u64),
}

/// Where a stream of the `OpenAI` API brings its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageEvent {
    /// In one of its own, without choices.
    Alone,
    /// In one whose choice has nothing in it: `LiteLLM`.
    EmptyChoice,
    /// In that of the last choice, which ends the answer.
    LastChoice,
}

/// What goes wrong with an answer. The number is that of the tokens which a stream brings before; an answer that is
/// not a stream brings half of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    None,
    /// The request is accepted and never answered.
    Hang,
    /// The connection is reset before any answer.
    Reset,
    /// The connection is reset in the middle of the answer.
    ResetAfter(u32),
    /// The connection ends in the middle of a chunk (of a body with `content-length`: before its end).
    CutAfter(u32),
    /// The answer ends cleanly as far as HTTP can tell, but without its terminal mark.
    TruncateAfter(u32),
    /// Status 200, and then an error in the stream; instead of the body in an answer that is not a stream.
    ErrorAfter(u32),
    /// Nothing more comes, and the connection stays open.
    StallAfter(u32),
}
