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
    /// A whole body of an API that is not known: it has any of the others' members.
    Any,
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
    /// `input` where nothing tells which form it has: a prompt or a conversation.
    Input,
    /// One element of such a list.
    InputItem,
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
    /// Ollama's images: a list of their data.
    Images,
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
    /// What kind of tool it is: the provider's own add to the prompt what is not in the body.
    ToolKind,
    /// Anthropic's list of tools: the model sees them as JSON.
    JsonTools,
    /// One of them.
    JsonTool,
    /// What kind it is.
    JsonToolKind,
    /// Gemini's list of tools, which the model sees as JSON, too.
    GeminiTools,
    /// One of them: functions, or one of the provider's own.
    GeminiTool,
    /// Such a tool of the provider's own.
    GeminiOwnTool,
    /// What kind of item or part it is.
    ItemKind,
    /// Says that part of the prompt, or of what is asked, is not in the body.
    Elsewhere,
    /// A stored prompt, and what is put into it.
    StoredPrompt,
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
            Self::PromptItem | Self::InputItem | Self::Ids => Self::Ids,
            Self::Input => Self::InputItem,
            Self::Images => Self::Images,
            Self::GeminiTools => Self::GeminiTool,
            Self::JsonTools => Self::JsonTool,
            Self::Conversation => Self::Message,
            Self::Said => Self::Said,
            Self::Tools => Self::Tool,
            Self::Schema => Self::Schema,
            Self::Enum | Self::EnumItem => Self::EnumItem,
            Self::Json | Self::GeminiOwnTool => Self::Json,
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
            Self::Any => any(key),
            Self::Settings => settings(key),
            Self::Message | Self::Said | Self::InputItem => said(key),
            Self::Input => match said(key) {
                Self::Skip => beside(key),
                place => place,
            },
            Self::Image => image(key),
            Self::Source => source(key),
            Self::Stored if matches!(key, "url" | "fileUri" | "file_uri") => Self::Stored,
            Self::StoredPrompt if key == "variables" => Self::Json,
            Self::JsonTool if key == "type" => Self::JsonToolKind,
            Self::GeminiTool if !matches!(key, "functionDeclarations" | "function_declarations") => Self::GeminiOwnTool,
            Self::Tool => tool(key),
            Self::Schema => schema(key),
            Self::Properties => Self::Schema,
            Self::Json | Self::JsonTool | Self::GeminiTool | Self::GeminiOwnTool => Self::Json,
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
        _ => beside(key),
    }
}

fn responses(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "max_output_tokens" => Place::MaxTokens,
        "input" => Place::Conversation,
        "prompt" => Place::StoredPrompt,
        "instructions" => Place::Said,
        "tools" => Place::Tools,
        "text" => Place::Format,
        _ => beside(key),
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
        _ => beside(key),
    }
}

fn embeddings(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "input" => Place::Prompt,
        _ => beside(key),
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
        _ => beside(key),
    }
}

fn light_rag(key: &str) -> Place {
    match key {
        "stream" => Place::Stream,
        "query" | "user_prompt" | "hl_keywords" | "ll_keywords" => Place::Text,
        "conversation_history" => Place::Conversation,
        _ => beside(key),
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
        _ => beside(key),
    }
}

fn ollama_generate(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "prompt" | "system" | "suffix" => Place::Text,
        "images" => Place::Images,
        "context" => Place::Ids,
        "options" => Place::Settings,
        "format" => Place::Json,
        _ => beside(key),
    }
}

/// Google's JSON takes both spellings of its own keys.
fn gemini(key: &str) -> Place {
    match key {
        "contents" => Place::Conversation,
        "systemInstruction" | "system_instruction" => Place::Said,
        "tools" => Place::GeminiTools,
        "generationConfig" | "generation_config" => Place::Settings,
        _ => beside(key),
    }
}

/// All members of all of them that tell how much is asked.
fn any(key: &str) -> Place {
    match key {
        "model" => Place::Model,
        "stream" => Place::Stream,
        "max_tokens"
        | "max_completion_tokens"
        | "max_output_tokens"
        | "max_new_tokens"
        | "max_tokens_to_sample"
        | "n_predict" => Place::MaxTokens,
        "n" | "best_of" => Place::Answers,
        "conversation_history" | "chat_history" => Place::Conversation,
        "suffix" | "user_prompt" | "hl_keywords" | "ll_keywords" => Place::Text,
        "system" | "instructions" | "systemInstruction" | "system_instruction" | "message" | "documents" | "texts" => {
            Place::Said
        }
        "tools" | "functions" => Place::Json,
        "response_format" | "output_format" | "output_config" => Place::Format,
        "options" | "parameters" | "generationConfig" | "generation_config" | "inferenceConfig" => Place::Settings,
        "request" => Place::Any,
        _ => beside(key),
    }
}

/// A member that its API does not have, or that is none of the body's own: where a server reads a prompt under another
/// name than its API's, that is read, too; and what says that there is more of the prompt elsewhere is noted.
fn beside(key: &str) -> Place {
    match key {
        "messages" | "contents" => Place::Conversation,
        "prompt" => Place::Prompt,
        "input" | "inputs" => Place::Input,
        "query" => Place::Text,
        "previous_response_id"
        | "conversation"
        | "thread_id"
        | "thread"
        | "assistant_id"
        | "agent_id"
        | "prompt_id"
        | "cachedContent"
        | "cached_content"
        | "container"
        | "mcp_servers"
        | "context_management"
        | "web_search_options"
        | "search_parameters"
        | "search_settings"
        | "search_domain_filter"
        | "search_recency_filter"
        | "search_mode"
        | "enable_search"
        | "data_sources"
        | "plugins"
        | "documents" => Place::Elsewhere,
        _ => Place::Skip,
    }
}

fn settings(key: &str) -> Place {
    match key {
        "num_predict" | "maxOutputTokens" | "max_output_tokens" | "max_new_tokens" | "maxTokens" => Place::MaxTokens,
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
        "images" => Place::Images,
        "file_id" | "file_url" | "pdf_url" | "audio_url" | "video_url" | "fileData" => Place::Stored,
        "type" => Place::ItemKind,
        // Of an answer that was spoken only its id comes back, of hidden thoughts what nobody else can read.
        "audio" | "encrypted_content" => Place::Elsewhere,
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
        "type" => Place::ToolKind,
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
