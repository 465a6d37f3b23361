//! Golden answers, each with its cost worked out by hand: what a provider would put on the bill, to the micro-dollar.

use crate::cost::{Bill, Heard};
use crate::domain::{Api, Price, Prices, Tokens};
use crate::protocol::{AnswerFacts, Observer};

/// Dollars for a million tokens: of prompts, cached prompts, answers.
fn prices(input: f64, cached: f64, output: f64) -> Prices {
    let price = |usd: f64| Price::from_usd_per_1k(usd / 1e3);
    Prices { input: price(input), cached_input: price(cached), output: price(output) }
}

struct Golden {
    name: &'static str,
    api: Api,
    stream: bool,
    body: &'static str,
    prices: [f64; 3],
    /// Micro-dollars.
    cost: u64,
}

const GOLDEN: &[Golden] = &[
    Golden {
        name: "OpenAI chat, cached and reasoning tokens inside",
        api: Api::ChatCompletions,
        stream: false,
        body: r#"{"choices":[{"message":{"content":"…"}}],"usage":{"prompt_tokens":2006,"completion_tokens":300,
            "total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":192}}}"#,
        prices: [2.5, 1.25, 10.0],
        // 86 · 2.50 + 1920 · 1.25 + 300 · 10 = 215 + 2400 + 3000
        cost: 5_615,
    },
    Golden {
        name: "OpenAI chat, streamed: the usage comes after the last choice",
        api: Api::ChatCompletions,
        stream: true,
        body: "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\n\
               data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
               data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1117,\"completion_tokens\":46,\"total_tokens\":1163,\
               \"prompt_tokens_details\":{\"cached_tokens\":1024}}}\n\n\
               data: [DONE]\n\n",
        prices: [0.15, 0.075, 0.6],
        // 93 · 0.15 + 1024 · 0.075 + 46 · 0.6 = 13.95 + 76.8 + 27.6 = 118.35
        cost: 118,
    },
    Golden {
        name: "OpenAI responses, streamed: usage inside the last event's envelope",
        api: Api::Responses,
        stream: true,
        body: "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n\
               event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"usage\":\
               {\"input_tokens\":328,\"input_tokens_details\":{\"cached_tokens\":64},\"output_tokens\":852,\
               \"output_tokens_details\":{\"reasoning_tokens\":832},\"total_tokens\":1180}}}\n\n",
        prices: [1.25, 0.125, 10.0],
        // 264 · 1.25 + 64 · 0.125 + 852 · 10 = 330 + 8 + 8520
        cost: 8_858,
    },
    Golden {
        name: "OpenAI embeddings",
        api: Api::Embeddings,
        stream: false,
        body: r#"{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8191,"total_tokens":8191}}"#,
        prices: [0.02, 0.02, 0.0],
        // 8191 · 0.02 = 163.82
        cost: 164,
    },
    Golden {
        name: "Anthropic, cached tokens beside the prompt",
        api: Api::Messages,
        stream: false,
        body: r#"{"type":"message","content":[{"type":"text","text":"…"}],"stop_reason":"end_turn","usage":{"input_tokens":21,
            "cache_creation_input_tokens":100,"cache_read_input_tokens":5000,"output_tokens":90}}"#,
        prices: [3.0, 0.3, 15.0],
        // (21 + 100) · 3 + 5000 · 0.3 + 90 · 15 = 363 + 1500 + 1350
        cost: 3_213,
    },
    Golden {
        name: "Anthropic, streamed: the prompt first, the answer last",
        api: Api::Messages,
        stream: true,
        body: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":42,\
               \"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":12,\"output_tokens\":1}}}\n\n\
               event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\
               \"text_delta\",\"text\":\"Hello there\"}}\n\n\
               event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":\
               {\"output_tokens\":9}}\n\n\
               event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        prices: [3.0, 0.3, 15.0],
        // 42 · 3 + 12 · 0.3 + 9 · 15 = 126 + 3.6 + 135 = 264.6
        cost: 265,
    },
    Golden {
        name: "Gemini by OpenAI's API: reasoning in the total alone",
        api: Api::ChatCompletions,
        stream: false,
        body: r#"{"choices":[{"message":{"content":"…"}}],"usage":{"prompt_tokens":1010,"completion_tokens":20,
            "total_tokens":1600,"prompt_tokens_details":{"cached_tokens":900}}}"#,
        prices: [0.3, 0.075, 2.5],
        // 110 · 0.3 + 900 · 0.075 + (1600 - 1010) · 2.5 = 33 + 67.5 + 1475 = 1575.5
        cost: 1_576,
    },
    Golden {
        name: "Perplexity, streamed: each event repeats the usage so far",
        api: Api::ChatCompletions,
        stream: true,
        body: "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":14,\"completion_tokens\":1,\
               \"total_tokens\":15}}\n\n\
               data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":14,\
               \"completion_tokens\":212,\"total_tokens\":226,\"search_context_size\":\"low\",\"cost\":{\"total_cost\":0.005}}}\n\n",
        prices: [3.0, 3.0, 15.0],
        // 14 · 3 + 212 · 15 = 42 + 3180
        cost: 3_222,
    },
    Golden {
        name: "Perplexity's deep research: reasoning counted apart",
        api: Api::ChatCompletions,
        stream: false,
        body: r#"{"choices":[{"message":{"content":"…"}}],"usage":{"prompt_tokens":33,"completion_tokens":7163,
            "total_tokens":7196,"citation_tokens":20016,"num_search_queries":18,"reasoning_tokens":73999}}"#,
        prices: [2.0, 2.0, 3.0],
        // 33 · 2 + (7163 + 73999) · 3 = 66 + 243486
        cost: 243_552,
    },
    Golden {
        name: "DeepSeek, its own word for cached tokens",
        api: Api::ChatCompletions,
        stream: false,
        body: r#"{"choices":[{"message":{"content":"…"}}],"usage":{"prompt_tokens":5000,"completion_tokens":100,
            "total_tokens":5100,"prompt_cache_hit_tokens":4800,"prompt_cache_miss_tokens":200}}"#,
        prices: [0.28, 0.028, 0.42],
        // 200 · 0.28 + 4800 · 0.028 + 100 · 0.42 = 56 + 134.4 + 42 = 232.4
        cost: 232,
    },
];

/// Gemini's own API: thoughts are counted beside the candidates, cached tokens inside the prompt, and what tools found
/// beside it. Google bills thoughts as output and what tools found as input.
const GEMINI: &[Golden] = &[
    Golden {
        name: "Gemini, cached tokens and thoughts",
        api: Api::GenerateContent,
        stream: false,
        body: r#"{"candidates":[{"content":{"parts":[{"text":"…"}],"role":"model"},"finishReason":"STOP","index":0}],
            "usageMetadata":{"promptTokenCount":5000,"candidatesTokenCount":30,"totalTokenCount":5468,
            "cachedContentTokenCount":4200,"promptTokensDetails":[{"modality":"TEXT","tokenCount":5000}],
            "cacheTokensDetails":[{"modality":"TEXT","tokenCount":4200}],"thoughtsTokenCount":438},
            "modelVersion":"gemini-2.5-flash","responseId":"3w4Vad6yF"}"#,
        prices: [0.3, 0.075, 2.5],
        // 800 · 0.3 + 4200 · 0.075 + (30 + 438) · 2.5 = 240 + 315 + 1170
        cost: 1_725,
    },
    Golden {
        name: "Gemini, streamed as events: the counts grow",
        api: Api::GenerateContent,
        stream: true,
        body: "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"The\"}],\"role\": \"model\"},\"index\": 0}],\
               \"usageMetadata\": {\"promptTokenCount\": 844,\"totalTokenCount\": 932,\"thoughtsTokenCount\": 88}}\r\n\r\n\
               data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \" end.\"}],\"role\": \"model\"},\
               \"finishReason\": \"STOP\",\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 844,\
               \"candidatesTokenCount\": 46,\"totalTokenCount\": 2040,\"thoughtsTokenCount\": 1150}}\r\n\r\n",
        prices: [1.25, 0.31, 10.0],
        // 844 · 1.25 + (46 + 1150) · 10 = 1055 + 11960
        cost: 13_015,
    },
    Golden {
        name: "Gemini, streamed as one list",
        api: Api::GenerateContent,
        stream: false,
        body: r#"[{"candidates":[{"content":{"parts":[{"text":"The"}],"role":"model"}}],
            "usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":1,"totalTokenCount":101}}
            ,{"candidates":[{"content":{"parts":[{"text":" end."}],"role":"model"},"finishReason":"STOP"}],
            "usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":60,"totalTokenCount":160}}]"#,
        prices: [0.3, 0.075, 2.5],
        // 100 · 0.3 + 60 · 2.5
        cost: 180,
    },
    Golden {
        name: "Gemini with a search: what the tool found is read, too",
        api: Api::GenerateContent,
        stream: false,
        body: r#"{"candidates":[{"content":{"parts":[{"text":"…"}]},"finishReason":"STOP"}],"usageMetadata":{
            "promptTokenCount":40,"toolUsePromptTokenCount":3960,"candidatesTokenCount":200,"thoughtsTokenCount":300,
            "totalTokenCount":4500}}"#,
        prices: [0.3, 0.075, 2.5],
        // (40 + 3960) · 0.3 + (200 + 300) · 2.5 = 1200 + 1250
        cost: 2_450,
    },
    Golden {
        name: "Gemini by Vertex, without thoughts",
        api: Api::GenerateContent,
        stream: false,
        body: r#"{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},
            "finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":844,"candidatesTokenCount":278,
            "totalTokenCount":1122,"trafficType":"ON_DEMAND"}}"#,
        prices: [0.3, 0.075, 2.5],
        // 844 · 0.3 + 278 · 2.5 = 253.2 + 695 = 948.2
        cost: 948,
    },
];

#[test]
fn each_answer_costs_what_its_provider_would_bill() {
    for Golden { name, api, stream, body, prices: [input, cached, output], cost } in GOLDEN.iter().chain(GEMINI) {
        let kind: &[u8] = if *stream { b"text/event-stream" } else { b"application/json" };
        let mut observer = Observer::new(*api, 200, Some(kind));
        observer.push(body.as_bytes());
        let passed = Tokens(if *api == Api::Embeddings { 0 } else { 9 });
        let AnswerFacts { usage, undivided, .. } = observer.finish(true);
        let heard = Heard { usage, undivided, complete: true, prompt: Tokens(9), passed };
        let bill = Bill::of(&heard, &prices(*input, *cached, *output));
        assert_eq!((bill.cost.micro_usd(), bill.estimated), (*cost, false), "{name}");
    }
}
