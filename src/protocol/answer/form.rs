//! What a body is, told by its first bytes: servers send JSON as text, events without any content type, and pages of
//! HTML as if they were answers. A content type is a hint, for what the bytes leave open.

use super::word::Word;
use crate::domain::Api;

/// What a content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Hint {
    Json,
    Lines,
    Events,
    /// None, or one under which an answer has been seen that is something else: text, HTML, bytes of any kind.
    #[default]
    Anything,
    /// Sound, a picture: bytes that nobody takes for text.
    Media,
}

impl Hint {
    pub(super) fn of(content_type: Option<&[u8]>) -> Self {
        let media_type = content_type.unwrap_or_default().split(|&byte| byte == b';').next().unwrap_or_default();
        let media_type = media_type.trim_ascii().to_ascii_lowercase();
        let ends = |end: &str| media_type.ends_with(end.as_bytes());
        let begins = |begin: &str| media_type.starts_with(begin.as_bytes());
        if media_type == b"text/event-stream" {
            Self::Events
        } else if ["ndjson", "jsonl", "jsonlines", "json-lines", "stream+json", "json-seq"].iter().any(|end| ends(end))
        {
            Self::Lines
        } else if ends("/json") || ends("+json") {
            Self::Json
        } else if ["audio/", "image/", "video/", "font/", "multipart/"].iter().any(|begin| begins(begin)) {
            Self::Media
        } else {
            Self::Anything
        }
    }
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    /// They may still be anything.
    Undecided,
    Json,
    Lines,
    Events,
    Html,
    /// Compressed, though no header said so.
    Compressed,
    Other,
}

/// The first bytes of a body, without the space before them.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    pub(super) hint: Hint,
    bytes: Word,
}

impl Beginning {
    pub(super) fn new(hint: Hint) -> Self {
        Self { hint, bytes: Word::default() }
    }

    /// Takes the next byte; then says what the body is, if that can be said.
    pub(super) fn push(&mut self, byte: u8) -> Guess {
        // A record separator stands before each value of `application/json-seq`.
        if self.bytes.is_empty() && matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'\x1e') {
            return Guess::Undecided;
        }
        self.bytes.push(&[byte]);
        match self.bytes.get() {
            [0xEF] | [0xEF, 0xBB] => Guess::Undecided,
            [0xEF, 0xBB, 0xBF] => {
                self.bytes = Word::default();
                Guess::Undecided
            }
            bytes => self.guess(bytes, false),
        }
    }

    /// What has been taken and not been decided on.
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get()
    }

    /// What it is, where no more comes.
    pub(super) fn end(&self) -> Guess {
        if self.bytes.is_empty() { Guess::Undecided } else { self.guess(self.bytes.get(), true) }
    }

    fn guess(&self, bytes: &[u8], is_end: bool) -> Guess {
        let json = if self.hint == Hint::Lines { Guess::Lines } else { Guess::Json };
        let may_be_scalar = matches!(self.hint, Hint::Json | Hint::Lines);
        match (bytes, self.hint) {
            ([b'{' | b'[', ..], _) => json,
            ([b'<', ..], _) => Guess::Html,
            ([b':', ..], _) | (_, Hint::Events) => Guess::Events,
            ([b'"', ..], _) => json,
            ([b't' | b'f' | b'n' | b'-' | b'0'..=b'9', ..], _) if may_be_scalar => json,
            ([0x1f], _) if !is_end => Guess::Undecided,
            ([0x1f, 0x8b, ..], _) => Guess::Compressed,
            _ => field(bytes, is_end),
        }
    }
}

/// Whether a line begins by the name of a field of an event.
fn field(bytes: &[u8], is_end: bool) -> Guess {
    for name in [&b"data"[..], b"event", b"id", b"retry"] {
        match bytes.strip_prefix(name) {
            Some([b':' | b'\r' | b'\n', ..]) => return Guess::Events,
            Some([]) if !is_end => return Guess::Undecided,
            _ => {}
        }
        if name.starts_with(bytes) && !is_end {
            return Guess::Undecided;
        }
    }
    Guess::Other
}

/// What is expected of the answers of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// An answer of a model, as JSON: there must be something in it.
    Answer,
    /// JSON, whatever is in it.
    Json,
    /// Anything.
    Anything,
}

impl Expected {
    pub(super) const fn of(api: Api) -> Self {
        match api {
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
            | Api::GenerateContent => Self::Answer,
            Api::CountTokens | Api::Models | Api::AsyncChat => Self::Json,
            Api::OpenAiOther
            | Api::AnthropicOther
            | Api::LightRagOther
            | Api::OllamaOther
            | Api::GeminiOther
            | Api::Other => Self::Anything,
        }
    }
}

/// Whether a stream of this API is known to have a last mark.
pub(super) const fn is_marked(api: Api) -> bool {
    matches!(
        api,
        Api::ChatCompletions
            | Api::Sonar
            | Api::Responses
            | Api::Agent
            | Api::Completions
            | Api::Messages
            | Api::VertexMessages
    )
}
