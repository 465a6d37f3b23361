//! The table of dialects in `docs/costs.md`: each row is an answer, and counts what the row says.

use super::super::*;

const DOCUMENTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/costs.md"));

macro_rules! answers {
    ($($name:literal: $api:ident,)*) => {
        &[$((
            $name,
            Api::$api,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/protocol/usage/", $name)),
        )),*]
    };
}

const ANSWERS: &[(&str, Api, &[u8])] = answers![
    "openai_chat.json": ChatCompletions,
    "openai_completions.json": Completions,
    "openai_embeddings.json": Embeddings,
    "openai_responses.sse": Responses,
    "openai_audio.json": OpenAiOther,
    "openai_images.json": OpenAiOther,
    "azure_chat.sse": ChatCompletions,
    "anthropic.sse": Messages,
    "vertex_anthropic.json": VertexMessages,
    "vertex_openai.json": ChatCompletions,
    "gemini.json": GenerateContent,
    "gemini_openai.sse": ChatCompletions,
    "perplexity_agent.json": Agent,
    "perplexity_sonar.sse": Sonar,
    "perplexity_deep_research.json": Sonar,
    "litellm_chat.sse": ChatCompletions,
    "openrouter.json": ChatCompletions,
    "deepseek.json": ChatCompletions,
    "moonshot.sse": ChatCompletions,
    "mistral.json": ChatCompletions,
    "groq.sse": ChatCompletions,
    "xai.json": ChatCompletions,
    "xai_responses.json": Responses,
    "sglang.json": ChatCompletions,
    "vllm.sse": ChatCompletions,
    "tgi.json": ChatCompletions,
    "llama_cpp.sse": ChatCompletions,
    "ollama.ndjson": OllamaChat,
    "one_api.json": ChatCompletions,
    "voyage.json": Embeddings,
    "lightrag.json": LightRagQuery,
    "lightrag_ollama.ndjson": OllamaChat,
];

/// The row of that answer: prompt, cached, answer; none where nothing is reported.
fn documented(name: &str) -> Option<[u64; 3]> {
    let link = format!("(../tests/fixtures/protocol/usage/{name})");
    let row = DOCUMENTED.lines().find(|line| line.contains(&link)).unwrap_or_else(|| panic!("no row for {name}"));
    let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
    let counts: Vec<u64> = cells[cells.len() - 3..].iter().flat_map(|cell| cell.replace(',', "").parse()).collect();
    counts.try_into().ok()
}

#[test]
fn each_dialect_counts_what_the_documentation_says_however_its_answer_is_cut() {
    for &(name, api, body) in ANSWERS {
        for size in [body.len(), 1, 2, 7, 64] {
            let mut observer = Observer::new(api, 200, None);
            for chunk in body.chunks(size) {
                observer.push(chunk);
            }
            let facts = observer.finish(true);
            let counts = facts.usage.map(|usage| [usage.input.0, usage.cached_input.0, usage.output.0]);
            assert_eq!(counts, documented(name), "{name} by {size}");
            assert_eq!((facts.in_band_error, facts.undivided), (None, Tokens(0)), "{name}");
        }
    }
}

#[test]
fn every_documented_dialect_is_an_answer_here() {
    let rows = DOCUMENTED.lines().filter(|line| line.contains("(../tests/fixtures/protocol/usage/")).count();
    assert_eq!(rows, ANSWERS.len());
}
