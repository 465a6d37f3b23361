//! The grammar of the requests: where a value stands, and what its fields mean there.
//!
//! The providers' messages, content parts, tool calls and items differ in which keys they use, hardly in what a key
//! means. So there is one table for all that is said ([`Place::Said`]), keyed by the field's own name and not by the
//! `type` beside it, which may come after it.

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing here is read.
    Skip,
    /// A whole body, by API.
    Chat,
    Responses,
    Completions,
    Embeddings,
    Messages,
    LightRag,
    AsyncChat,
    OllamaChat,
    OllamaGenerate,
    Gemini,
    /// Settings of an answer in an object of their own: Ollama's `options`, Gemini's `generationConfig`.
    Settings,
    /// The name of the model.
    Model,
    /// Whether to stream.
    Stream,
    /// The most tokens that one answer may have.
    MaxTokens,
    /// How many answers are asked for.
    Answers,
    /// A string, or strings, of text.
    Text,
    /// `prompt` or an embedding's `input`: text, token ids, or a list of either.
    Prompt,
    /// One element of such a list.
    PromptItem,
    /// Token ids.
    Ids,
    /// A conversation: a list of messages, or one text in place of it.
    Conversation,
    /// One message or item of it: framed, and otherwise `Said`.
    Message,
    /// Content of any form: a text, a part, a call, a result, or a list of them.
    Said,
    /// An image, by its URL or an object with it.
    Image,
    /// That URL.
    ImageUrl,
    /// How closely the model looks at it.
    Detail,
    /// An object with data in it: Anthropic's `source`, `OpenAI`'s `file` and `input_audio`.
    Source,
    /// The data: base64, a data URI, or plain text.
    Data,
    /// Something that is elsewhere: a provider's id or a URL, or an object with one.
    Stored,
    /// `OpenAI`'s list of tools: the model sees them as signatures.
    Tools,
    /// One of them, or its `function`.
    Tool,
    /// A JSON schema, as in a signature.
    Schema,
    /// Its properties, by name.
    Properties,
    /// The values that it allows.
    Enum,
    /// One of those that follow the first.
    EnumItem,
    /// Anthropic's list of tools: the model sees them as JSON.
    JsonTools,
    /// Anything that the model sees as JSON.
    Json,
    /// What surrounds a schema that the answer must follow.
    Format,
}

impl Place {
    /// Where the elements of a list stand.
    pub(super) const fn element(self) -> Self {
        match self {
            Self::Text => Self::Text,
            Self::Prompt => Self::PromptItem,
            Self::PromptItem | Self::Ids => Self::Ids,
            Self::Conversation => Self::Message,
            Self::Said => Self::Said,
            Self::Tools => Self::Tool,
            Self::Schema => Self::Schema,
            Self::Enum | Self::EnumItem => Self::EnumItem,
            Self::JsonTools | Self::Json => Self::Json,
            _ => Self::Skip,
        }
    }

    /// Where the value of the field `key` stands.
    pub(super) fn field(self, key: &str) -> Self {
        match self {
            Self::Chat => chat(key),
            Self::Responses => responses(key),
            Self::Completions => completions(key),
            Self::Embeddings => embeddings(key),
            Self::Messages => messages(key),
            Self::LightRag => light_rag(key),
            Self::AsyncChat if key == "request" => Self::Chat,
            Self::OllamaChat => ollama_chat(key),
            Self::OllamaGenerate => ollama_generate(key),
            Self::Gemini => gemini(key),
            Self::Settings => settings(key),
            Self::Message | Self::Said => said(key),
            Self::Image => image(key),
            Self::Source => source(key),
            Self::Stored if key == "url" => Self::Stored,
            Self::Tool => tool(key),
            Self::Schema => schema(key),
            Self::Properties => Self::Schema,
            Self::Json => Self::Json,
            Self::Format => format(key),
            _ => Self::Skip,
        }
    }
}

fn chat(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "max_tokens" | "max_completion_tokens" => Place::MaxTokens,
        "n" => Place::Answers,
        "messages" => Place::Conversation,
        "tools" | "functions" => Place::Tools,
        "response_format" => Place::Format,
        _ => Place::Skip,
    }
}

fn responses(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "max_output_tokens" => Place::MaxTokens,
        "input" => Place::Conversation,
        "instructions" => Place::Said,
        "tools" => Place::Tools,
        "text" => Place::Format,
        _ => Place::Skip,
    }
}

fn completions(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "max_tokens" => Place::MaxTokens,
        "n" | "best_of" => Place::Answers,
        "prompt" => Place::Prompt,
        "suffix" => Place::Text,
        _ => Place::Skip,
    }
}

fn embeddings(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "input" => Place::Prompt,
        _ => Place::Skip,
    }
}

fn messages(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "max_tokens" => Place::MaxTokens,
        "system" => Place::Said,
        "messages" => Place::Conversation,
        "tools" => Place::JsonTools,
        "output_format" | "output_config" => Place::Format,
        _ => Place::Skip,
    }
}

fn light_rag(key: &str) -> Place {
    match key {
        "stream" => Place::Stream,
        "query" | "user_prompt" | "hl_keywords" | "ll_keywords" => Place::Text,
        "conversation_history" => Place::Conversation,
        _ => Place::Skip,
    }
}

fn ollama_chat(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "messages" => Place::Conversation,
        "tools" => Place::Tools,
        "options" => Place::Settings,
        "format" => Place::Json,
        _ => Place::Skip,
    }
}

fn ollama_generate(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "prompt" | "system" | "suffix" => Place::Text,
        "options" => Place::Settings,
        "format" => Place::Json,
        _ => Place::Skip,
    }
}

/// Google's JSON takes both spellings of its own keys.
fn gemini(key: &str) -> Place {
    match key {
        "contents" => Place::Conversation,
        "systemInstruction" | "system_instruction" => Place::Said,
        "tools" => Place::Json,
        "generationConfig" | "generation_config" => Place::Settings,
        _ => Place::Skip,
    }
}

fn settings(key: &str) -> Place {
    match key {
        "num_predict" | "maxOutputTokens" | "max_output_tokens" => Place::MaxTokens,
        "candidateCount" | "candidate_count" => Place::Answers,
        "responseSchema" | "response_schema" | "responseJsonSchema" => Place::Json,
        _ => Place::Skip,
    }
}

fn said(key: &str) -> Place {
    match key {
        "text" | "name" | "arguments" | "refusal" | "thinking" | "title" | "context" => Place::Text,
        "content" | "output" | "summary" | "tool_calls" | "function_call" | "function" | "custom" | "parts"
        | "functionCall" | "functionResponse" => Place::Said,
        // Anthropic's tool_use has an object here, OpenAI's custom tool call a string; the others are Gemini's.
        "input" | "args" | "response" => Place::Json,
        "image_url" => Place::Image,
        "detail" => Place::Detail,
        "source" | "file" | "input_audio" | "inlineData" | "inline_data" => Place::Source,
        "file_data" => Place::Data,
        "file_id" | "file_url" | "pdf_url" | "video_url" | "fileData" => Place::Stored,
        _ => Place::Skip,
    }
}

fn image(key: &str) -> Place {
    match key {
        "url" => Place::ImageUrl,
        "detail" => Place::Detail,
        _ => Place::Skip,
    }
}

fn source(key: &str) -> Place {
    match key {
        "data" | "file_data" => Place::Data,
        "url" | "file_id" => Place::Stored,
        "content" => Place::Said,
        _ => Place::Skip,
    }
}

fn tool(key: &str) -> Place {
    match key {
        "name" | "description" => Place::Text,
        "function" | "custom" => Place::Tool,
        "parameters" => Place::Schema,
        _ => Place::Skip,
    }
}

fn schema(key: &str) -> Place {
    match key {
        "type" | "description" | "title" => Place::Text,
        "properties" | "$defs" | "definitions" => Place::Properties,
        "enum" => Place::Enum,
        "items" | "anyOf" | "oneOf" | "allOf" | "additionalProperties" => Place::Schema,
        _ => Place::Skip,
    }
}

fn format(key: &str) -> Place {
    match key {
        "json_schema" | "format" => Place::Format,
        "schema" => Place::Json,
        "name" | "description" => Place::Text,
        _ => Place::Skip,
    }
}
