//! What is claimed, and what is not.

use super::*;

fn sent(path: &str) -> RequestPath {
    RequestPath::new(path.into())
}

/// Paths of every API, as their providers document them, and as gateways mount them.
const PATHS: &[(Api, &[&str])] = &[
    (
        Api::ChatCompletions,
        &[
            "/v1/chat/completions",
            "/chat/completions",
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            "/openai/v1/chat/completions",
            "/api/paas/v4/chat/completions",
            "/api/chat/completions",
            "/v1beta/openai/chat/completions",
        ],
    ),
    (
        Api::AsyncChat,
        &[
            "/async/chat/completions",
            "/pplx/async/chat/completions/",
            "/async/chat/completions/9f2c",
            "/v1/async/sonar",
            "/v1/async/sonar/9f2c",
        ],
    ),
    (Api::Sonar, &["/v1/sonar", "/perplexity/v1/sonar?x"]),
    (Api::Agent, &["/v1/agent", "/p/v1/agent/"]),
    (Api::Completions, &["/v1/completions/", "/completions", "/openai/deployments/x/completions"]),
    (Api::Responses, &["/tenant/a/v1/responses#x", "/openai/responses", "/openai/v1/responses", "/responses"]),
    (Api::Embeddings, &["/v1/embeddings", "/openai/deployments/x/embeddings", "/azure/embeddings"]),
    (
        Api::Models,
        &[
            "/v1/models",
            "/models",
            "/v1/models/gpt-4o",
            "/v1/models/ft:gpt-4o:acme",
            "/openai/models",
            "/openai/v1/models",
            "/v1/models/meta/llama-3",
            "/pplx/models",
            "/v1beta/openai/models",
        ],
    ),
    (
        Api::OpenAiOther,
        &[
            "/v1/files",
            "/v1/files/file-1/content",
            "/v1/batches/b/cancel",
            "/v1/audio/speech",
            "/v1/audio/transcriptions",
            "/openai/deployments/whisper/audio/translations?api-version=1",
            "/openai/files?api-version=1",
            "/openai/v1/fine_tuning/jobs",
            "/v1/images/generations",
            "/v1/moderations",
            "/v1/vector_stores/vs/search",
            "/v1/assistants",
            "/v1/threads",
            "/v1/threads/t/messages",
            "/v1/threads/t/runs/r/submit_tool_outputs",
            "/openai/threads/t/messages",
            "/v1/uploads/u/parts",
            "/v1/conversations/c/items",
            "/v1/containers",
            "/v1/evals",
            "/v1/realtime?model=gpt-realtime",
            "/v1/realtime/client_secrets",
            "/v1/videos",
            "/v1/responses/resp_1",
            "/v1/responses/resp_1/input_items",
            "/v1/responses/input_tokens",
            "/v1/chat/completions/chatcmpl-1",
            "/v1/chat/completions/chatcmpl-1/messages",
            "/tokenize",
            "/v1/rerank",
        ],
    ),
    (Api::Messages, &["/v1/messages", "/anthropic/v1/messages?beta=true", "/messages", "/claude/messages"]),
    (Api::CountTokens, &["/v1/messages/count_tokens", "/a/b/v1/messages/count_tokens"]),
    (Api::AnthropicOther, &["/v1/messages/batches", "/v1/messages/batches/b/results", "/v1/complete"]),
    (
        Api::VertexMessages,
        &[
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict",
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:streamRawPredict",
        ],
    ),
    (Api::LightRagQuery, &["/query", "/query/stream", "/rag/query", "/a/b/rag/query/stream?x=/v1/messages"]),
    (
        Api::LightRagOther,
        &[
            "/query/data",
            "/documents",
            "/documents/text",
            "/rag/documents/upload",
            "/graphs?label=x",
            "/graph/label/list",
            "/graph/entity/edit",
            "/health",
            "/rag/health",
            "/auth-status",
        ],
    ),
    (Api::OllamaChat, &["/api/chat", "/ollama/api/chat"]),
    (Api::OllamaGenerate, &["/api/generate", "/rag/api/generate"]),
    (
        Api::OllamaOther,
        &["/api/tags", "/api/version", "/api/ps", "/api/show", "/api/embed", "/api/embeddings", "/api/blobs/sha256:ab"],
    ),
    (
        Api::GenerateContent,
        &[
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "/v1/models/gemini-2.5-flash:generateContent",
            "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent?alt=sse",
        ],
    ),
    (
        Api::GeminiOther,
        &[
            "/v1beta/models",
            "/v1beta/models/gemini-2.5-flash",
            "/v1beta/models/gemini-2.5-flash:countTokens",
            "/v1beta/models/e:embedContent",
            "/v1beta/models/e:batchEmbedContents",
            "/v1/projects/p/locations/l/publishers/google/models/e:predict",
            "/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict",
            "/v1beta/cachedContents",
            "/upload/v1beta/files",
        ],
    ),
    (
        Api::Other,
        &[
            "",
            "/",
            "/subquery",
            "/stream",
            "/?/query",
            "/queries",
            "/rooms/7/messages",
            "/surveys/7/responses",
            "/collections/c/points/search",
            "/v1/documents/7",
            "/blog/2026/documents",
            "/v1/agents",
            "/v1/sonars",
            "/graph",
            "/api/chats",
            "/messages/7",
            "/v1/unknown",
            "/xchat/completions/7",
        ],
    ),
];

#[test]
fn every_provider_s_paths_are_its_apis() {
    for &(api, paths) in PATHS {
        for path in paths {
            assert_eq!(api_of(&sent(path)), api, "{path}");
        }
    }
    assert_eq!(api_of(&RequestPath::new(b"/\xFF\xFE/v1/messages".to_vec())), Api::Messages);
}

#[test]
fn whose_form_it_is_is_told_by_a_version_a_header_or_the_mount() {
    for (path, anthropic, vendor) in [
        ("/v1/chat/completions", false, Vendor::Usual),
        ("/chat/completions", false, Vendor::Perplexity),
        ("/pplx/chat/completions?x=/v1", false, Vendor::Perplexity),
        ("/openai/deployments/gpt/chat/completions", false, Vendor::Usual),
        ("/inference/chat/completions", false, Vendor::Usual),
        ("/v1beta/openai/chat/completions", false, Vendor::Gemini),
        ("/v1beta/openai/models", false, Vendor::Gemini),
        ("/v1/models", false, Vendor::Usual),
        ("/v1/models", true, Vendor::Anthropic),
        ("/v1/models/claude", true, Vendor::Anthropic),
        ("/models", false, Vendor::Perplexity),
        ("/v1/messages", true, Vendor::Usual),
    ] {
        assert_eq!(vendor_of(api_of(&sent(path)), &sent(path), anthropic), vendor, "{path} {anthropic}");
    }
    assert_eq!(of_anthropic(api_of(&sent("/v1/files"))), Api::AnthropicOther);
    assert_eq!(of_anthropic(api_of(&sent("/v1/messages"))), Api::Messages);
}

#[test]
fn a_request_is_for_inference_for_free_or_for_something_else() {
    use Purpose::{Free, Inference, Other};
    for (method, path, purpose) in [
        ("POST", "/v1/chat/completions", Inference),
        ("POST", "/v1/messages", Inference),
        ("POST", "/v1/embeddings", Inference),
        ("POST", "/v1/sonar", Inference),
        ("POST", "/api/chat", Inference),
        ("POST", "/query/stream", Inference),
        ("POST", "/v1/publishers/anthropic/models/claude:rawPredict", Inference),
        ("POST", "/vectors/search", Inference),
        ("OPTIONS", "/v1/chat/completions", Free),
        ("OPTIONS", "/anything", Free),
        ("HEAD", "/v1/models", Free),
        ("GET", "/v1/models", Free),
        ("GET", "/v1/models/gpt-4o", Free),
        ("POST", "/v1/messages/count_tokens", Free),
        ("POST", "/v1/publishers/anthropic/models/count-tokens:rawPredict", Free),
        ("POST", "/v1/moderations", Free),
        ("POST", "/v1/responses/input_tokens", Free),
        ("POST", "/tokenize", Free),
        ("POST", "/v1beta/models/m:countTokens", Free),
        ("GET", "/v1beta/models", Free),
        ("GET", "/api/tags", Free),
        ("GET", "/health", Free),
        ("GET", "/v1/chat/completions", Other),
        ("DELETE", "/v1/models/ft", Other),
        ("GET", "/v1/responses/resp_1", Other),
        ("POST", "/v1/files", Other),
        ("POST", "/v1/audio/transcriptions", Other),
        ("POST", "/v1/threads/t/messages", Other),
        ("POST", "/v1/messages/batches", Other),
        ("POST", "/async/chat/completions", Other),
        ("POST", "/query/data", Other),
        ("POST", "/documents/text", Other),
        ("POST", "/api/embed", Other),
        ("POST", "/v1beta/models/m:embedContent", Other),
        ("GET", "/vectors", Other),
        ("", "", Other),
    ] {
        let api = api_of(&sent(path));
        assert_eq!(purpose_of(api, method.as_bytes(), &sent(path)), purpose, "{method} {path}");
    }
}

#[test]
fn a_path_that_is_longer_than_any_belongs_to_no_api() {
    let path = |prefix: usize| format!("/{}/v1/chat/completions?{}", "p".repeat(prefix), "q".repeat(9_000));
    assert_eq!(api_of(&sent(&path(1_000))), Api::ChatCompletions);
    assert_eq!(api_of(&sent(&path(2_048))), Api::Other);
    assert_eq!(api_of(&sent(&"/v1".repeat(20_000))), Api::Other);
}
