//! Which fields of an answer matter, API by API: a table from *(where in the body, which key)* to *what its value means*.
//!
//! One body is read by all tables together, because servers mix them: Perplexity adds events of its own to `OpenAI`'s
//! chunks, `LightRAG` speaks Ollama, Vertex serves Mistral's models where Anthropic's are, and gateways put one provider's
//! error into another's stream. The places and keys of the tables do not contradict each other. Only *values* decide; what
//! each of them must be is said at [`Meaning`]. `docs/protocols.md` has the same tables for operators.

use super::text::{Reasoning, Said};

/// Where something of interest can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// How Gemini streams unless it is asked for events: bodies, one after the other, in one list.
    Bodies,
    Body,
    /// Anthropic's and Ollama's `message`, `OpenAI`'s `response`, Groq's `x_groq`: an envelope around a body's own fields.
    Envelope,
    Choices,
    Choice,
    /// What it adds to the answer; for Gemini its `content`.
    Delta,
    /// The whole of a choice, where the answer is not streamed, or is repeated with each piece.
    Message,
    /// Gemini's pieces of that.
    Parts,
    Part,
    /// What Anthropic's events carry.
    Piece,
    /// Gemini's word on a prompt.
    Feedback,
    /// Token counts.
    Usage,
    /// What of the prompt's tokens, and of the answer's, was what.
    InputDetails,
    OutputDetails,
    /// `llama.cpp`'s word on how long it took, and for how many tokens.
    Timings,
    /// `SGLang`'s finish reason: an object.
    Reason,
    /// An error, or one inside one.
    Fault,
    /// A list of such.
    Faults,
    /// Anything else inside an error.
    Inner,
    /// A list of that.
    Inners,
}

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing.
    Nothing,
    /// Nothing that is known: a body may be of another dialect. Counts if it is not empty.
    Alien,
    /// It is no value, but a key.
    Key,
    /// Token counts: an object.
    Usage,
    /// One of them: a number, be it in quotes.
    Count(Member),
    /// An error, if anything in it is not empty.
    Error,
    /// A word or number that names the class of the error around it.
    Class,
    /// Anything else in an error: it is none if all of that is empty.
    Inside,
    /// What the event is; in an error's body, its class.
    Type,
    /// `error`, or nothing of interest.
    Object,
    /// How far an answer is; or, in an error's body, its class.
    Status,
    /// A word or number beside an error that names its class.
    Beside,
    /// Why the answer ended; nothing if it is empty.
    Finish,
    /// The same, where a stream has a last mark besides.
    Stop,
    /// Whether it ended.
    Done,
    /// Why the prompt was refused.
    Block,
    /// That all went well, if it is not `false`.
    Success,
    /// Whether a model wrote it.
    Generated,
    /// What a service says that cannot answer: an error where there is no answer beside it.
    Complaint,
    /// The same, but the field may also be another dialect's answer.
    Remark,
    /// A piece of the answer, none if it is empty: text, or a container with text in it.
    Content,
    /// The same, of its reasoning.
    Reasoning(Reasoning),
    /// Its text, where the event is told by its `type`: in an object or as it is.
    Text,
    /// What a part of the answer begins with: nothing as a rule.
    Start,
    /// `OpenAI`'s envelope, or the text of `LightRAG` and Ollama.
    Response,
    /// Ollama's or Anthropic's envelope, or a service's remark.
    Message,
    /// The answer, or a part of it that is no piece of a stream; none if it is empty.
    Substance,
    /// The same, of which the text counts.
    Whole(Said),
    /// The same, said again.
    Repeat,
    /// A string inside a container with text in it.
    Measured,
    Enter(Place),
}

/// Which of the token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// The prompt, by a name that includes what came from a cache.
    Prompt,
    /// The prompt, by a name that may leave that out.
    Input,
    Completion,
    Output,
    Total,
    /// What of the prompt came from a cache, by a name of something inside it;
    Cached,
    /// so do `DeepSeek`'s, and the rest of the prompt.
    CacheHit,
    CacheMiss,
    /// Anthropic's names: beside the prompt, unless somebody repeats them who has counted them already.
    CacheRead,
    CacheWritten,
    /// What Gemini's tools found: beside the prompt.
    ToolPrompt,
    /// Inside the answer, beside it, or in another place again, by provider.
    Reasoning,
    /// Gemini's reasoning: beside the answer.
    Thoughts,
    /// Perplexity's deep research alone has these.
    Citations,
    /// `llama.cpp`'s timings: the prompt without what it had cached, that, and the answer.
    TimedPrompt,
    TimedCached,
    TimedAnswer,
}

impl Member {
    pub(super) const NUMBER: usize = Self::TimedAnswer as usize + 1;
}

impl Place {
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Bodies | Self::Choices | Self::Parts | Self::Faults | Self::Inners)
    }

    /// What the value of the field `key` means here.
    pub(super) fn field(self, key: &[u8]) -> Meaning {
        match self {
            Self::Body => body(key),
            Self::Envelope => envelope(key),
            Self::Choice => match key {
                // OpenAI: chat, completions; Perplexity; and Gemini's candidates.
                b"delta" | b"content" => Meaning::Enter(Self::Delta),
                b"message" => Meaning::Enter(Self::Message),
                b"text" => Meaning::Content,
                b"finish_reason" | b"finishReason" => Meaning::Finish,
                b"error" => Meaning::Error,
                // Moonshot, in the last piece of a stream.
                b"usage" => Meaning::Usage,
                _ => Meaning::Nothing,
            },
            Self::Delta => match key {
                b"content" | b"refusal" | b"function_call" | b"tool_calls" | b"audio" => Meaning::Content,
                b"parts" => Meaning::Enter(Self::Parts),
                b"images" => Meaning::Substance,
                _ => reasoning(key).map_or(Meaning::Nothing, Meaning::Reasoning),
            },
            Self::Message => match key {
                b"content" | b"refusal" | b"tool_calls" | b"function_call" | b"audio" => Meaning::Whole(Said::Text),
                b"images" => Meaning::Substance,
                _ => reasoning(key).map_or(Meaning::Nothing, |name| Meaning::Whole(Said::Reasoning(name))),
            },
            Self::Part => match key {
                b"text"
                | b"functionCall"
                | b"function_call"
                | b"inlineData"
                | b"executableCode"
                | b"codeExecutionResult" => Meaning::Content,
                _ => Meaning::Nothing,
            },
            Self::Piece => match key {
                b"text" | b"thinking" | b"partial_json" => Meaning::Text,
                b"stop_reason" => Meaning::Stop,
                _ => Meaning::Nothing,
            },
            Self::Feedback => match key {
                b"blockReason" | b"block_reason" => Meaning::Block,
                _ => Meaning::Nothing,
            },
            Self::Usage => usage(key),
            Self::InputDetails => match key {
                // Perplexity's agent has Anthropic's name for what is inside.
                b"cached_tokens" | b"cache_read_input_tokens" | b"cache_read_tokens" | b"cache_read" => {
                    Meaning::Count(Member::Cached)
                }
                _ => Meaning::Nothing,
            },
            Self::OutputDetails => match key {
                b"reasoning_tokens" => Meaning::Count(Member::Reasoning),
                _ => Meaning::Nothing,
            },
            Self::Timings => match key {
                b"prompt_n" => Meaning::Count(Member::TimedPrompt),
                b"cache_n" => Meaning::Count(Member::TimedCached),
                b"predicted_n" => Meaning::Count(Member::TimedAnswer),
                _ => Meaning::Nothing,
            },
            Self::Reason => match key {
                b"type" => Meaning::Finish,
                b"status_code" | b"err_type" => Meaning::Beside,
                _ => Meaning::Nothing,
            },
            Self::Fault => match key {
                b"code" | b"type" | b"status" | b"reason" | b"status_code" | b"statusCode" | b"http_status"
                | b"http_code" | b"httpStatus" | b"error_code" | b"errorCode" | b"error_type" | b"errorType"
                | b"err_type" | b"__type" => Meaning::Class,
                b"error" | b"errors" | b"innererror" | b"inner_error" | b"details" | b"detail" | b"cause" => {
                    Meaning::Error
                }
                _ => Meaning::Inside,
            },
            Self::Inner => Meaning::Inside,
            Self::Bodies | Self::Choices | Self::Parts | Self::Faults | Self::Inners => Meaning::Nothing,
        }
    }

    /// What an element means here.
    pub(super) const fn element(self) -> Meaning {
        match self {
            Self::Bodies => Meaning::Enter(Self::Body),
            Self::Choices => Meaning::Enter(Self::Choice),
            Self::Parts => Meaning::Enter(Self::Part),
            Self::Faults => Meaning::Error,
            Self::Inners => Meaning::Inside,
            _ => Meaning::Nothing,
        }
    }
}

/// Under which name a field of a choice is its reasoning, if it is that.
const fn reasoning(key: &[u8]) -> Option<Reasoning> {
    Some(match key {
        b"reasoning" => Reasoning::Plain,
        b"reasoning_content" => Reasoning::Content,
        b"reasoning_details" | b"reasoning_steps" => Reasoning::Details,
        b"thinking_blocks" => Reasoning::Blocks,
        b"thinking" | b"reasoning_text" => Reasoning::Thinking,
        _ => return None,
    })
}

/// The fields at the top.
#[expect(clippy::match_same_arms, reason = "a table, by API")]
fn body(key: &[u8]) -> Meaning {
    match key {
        // All of them, their errors: OpenAI's, Anthropic's, Gemini's, Ollama's and LightRAG's `error`; vLLM's
        // `object: error` with its fields beside it; FastAPI's `detail`; gateways' `message`, `errors`, `success`.
        b"error" => Meaning::Error,
        b"type" => Meaning::Type,
        b"object" => Meaning::Object,
        b"code" | b"status_code" | b"statusCode" | b"http_status" | b"http_code" | b"error_code" | b"errorCode"
        | b"error_type" | b"errorType" | b"__type" => Meaning::Beside,
        b"detail" | b"details" | b"errors" | b"error_message" | b"error_msg" | b"errorMessage" => Meaning::Complaint,
        b"msg" => Meaning::Remark,
        b"success" | b"ok" => Meaning::Success,
        // OpenAI: chat, completions; Perplexity.
        b"choices" => Meaning::Enter(Place::Choices),
        b"usage" => Meaning::Usage,
        b"x_groq" => Meaning::Enter(Place::Envelope),
        // OpenAI: Responses; Perplexity's agent.
        b"status" => Meaning::Status,
        b"output" | b"item" => Meaning::Whole(Said::Text),
        b"output_text" | b"text" => Meaning::Repeat,
        b"delta" => Meaning::Text,
        // OpenAI: embeddings, images, transcriptions.
        b"data" | b"embeddings" | b"embedding" | b"b64_json" => Meaning::Substance,
        // Anthropic.
        b"content" => Meaning::Content,
        b"content_block" => Meaning::Start,
        b"stop_reason" => Meaning::Stop,
        // Gemini.
        b"candidates" => Meaning::Enter(Place::Choices),
        b"usageMetadata" | b"usage_metadata" => Meaning::Usage,
        b"promptFeedback" => Meaning::Enter(Place::Feedback),
        // llama.cpp.
        b"timings" => Meaning::Enter(Place::Timings),
        // LightRAG and Ollama.
        b"response" => Meaning::Response,
        b"llm_generated" => Meaning::Generated,
        b"message" => Meaning::Message,
        b"thinking" => Meaning::Content,
        b"done" => Meaning::Done,
        b"done_reason" => Meaning::Finish,
        b"prompt_eval_count" => Meaning::Count(Member::Prompt),
        b"eval_count" => Meaning::Count(Member::Completion),
        // What any of them has besides.
        b"id"
        | b"created"
        | b"created_at"
        | b"model"
        | b"modelVersion"
        | b"responseId"
        | b"createTime"
        | b"system_fingerprint"
        | b"service_tier"
        | b"role"
        | b"provider"
        | b"references"
        | b"citations"
        | b"search_results"
        | b"sequence_number"
        | b"index"
        | b"obfuscation"
        | b"param"
        | b"request_id" => Meaning::Nothing,
        _ => Meaning::Alien,
    }
}

/// The same, one level further in.
fn envelope(key: &[u8]) -> Meaning {
    match key {
        b"error" => Meaning::Error,
        b"usage" | b"usageMetadata" => Meaning::Usage,
        b"choices" | b"candidates" => Meaning::Enter(Place::Choices),
        b"status" => Meaning::Status,
        b"output" => Meaning::Whole(Said::Text),
        b"images" => Meaning::Substance,
        b"stop_reason" => Meaning::Stop,
        b"content" | b"thinking" | b"tool_calls" => Meaning::Content,
        b"promptFeedback" => Meaning::Enter(Place::Feedback),
        _ => Meaning::Nothing,
    }
}

/// The counts of a usage object, in every provider's words.
fn usage(key: &[u8]) -> Meaning {
    Meaning::Count(match key {
        b"prompt_tokens" | b"promptTokenCount" | b"prompt_token_count" => Member::Prompt,
        b"input_tokens" | b"inputTokens" => Member::Input,
        b"completion_tokens" | b"candidatesTokenCount" | b"candidates_token_count" => Member::Completion,
        b"output_tokens" | b"outputTokens" => Member::Output,
        b"total_tokens" | b"totalTokenCount" | b"total_token_count" | b"totalTokens" => Member::Total,
        // Moonshot; Mistral; Gemini.
        b"cached_tokens" | b"num_cached_tokens" | b"cachedContentTokenCount" | b"cached_content_token_count" => {
            Member::Cached
        }
        b"prompt_cache_hit_tokens" => Member::CacheHit,
        b"prompt_cache_miss_tokens" => Member::CacheMiss,
        // Anthropic; Bedrock.
        b"cache_read_input_tokens" | b"cacheReadInputTokens" => Member::CacheRead,
        b"cache_creation_input_tokens" | b"cacheWriteInputTokens" => Member::CacheWritten,
        b"toolUsePromptTokenCount" | b"tool_use_prompt_token_count" => Member::ToolPrompt,
        b"reasoning_tokens" => Member::Reasoning,
        b"thoughtsTokenCount" | b"thoughts_token_count" => Member::Thoughts,
        b"citation_tokens" => Member::Citations,
        b"prompt_tokens_details" | b"input_tokens_details" | b"prompt_token_details" | b"input_token_details" => {
            return Meaning::Enter(Place::InputDetails);
        }
        b"completion_tokens_details"
        | b"output_tokens_details"
        | b"completion_token_details"
        | b"output_token_details" => return Meaning::Enter(Place::OutputDetails),
        _ => return Meaning::Nothing,
    })
}
