use serde_json::{Value, json};

use super::*;
use crate::backend::Reply;

fn answered(request: &Value, api: Api, behaviour: &Behaviour) -> Value {
    Answer::new("alpha", 1, request, behaviour).json(api, Flavour::Proxy)
}

fn streamed(request: &Value, api: Api, behaviour: &Behaviour) -> String {
    let frames = Answer::new("alpha", 1, request, behaviour).frames(api);
    let all = frames.head.into_iter().chain(frames.tokens).chain(frames.tail);
    String::from_utf8(all.flatten().collect()).unwrap()
}

fn asked(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[test]
fn a_scripted_reply_is_said_to_the_prompts_that_contain_its_mark() {
    let reply = |when: &str, text: &str| Reply { when: when.to_owned(), text: text.to_owned() };
    let replies = vec![reply("first", "one two three"), reply("second", "{}")];
    let behaviour = Behaviour { replies, ..Behaviour::default() };
    let said = |text: &str| answered(&asked(text), Api::Chat, &behaviour);

    let first = said("the first of two");
    assert_eq!(first["choices"][0]["message"]["content"], "one two three");
    assert_eq!(first["usage"]["completion_tokens"], 3);
    assert_eq!(said("the second")["choices"][0]["message"]["content"], "{}");
    assert_eq!(said("another")["usage"]["completion_tokens"], 16);

    let limited = json!({"max_tokens": 2, "messages": [{"role": "user", "content": "first"}]});
    assert_eq!(answered(&limited, Api::Messages, &behaviour)["content"][0]["text"], "one two ");
    let events = streamed(&asked("first"), Api::Messages, &behaviour);
    assert!(events.contains(r#""text":"one ""#) && events.contains(r#""text":"three""#), "{events}");
}

#[test]
fn a_tool_is_called_where_the_request_insists_on_it() {
    let mut chat = asked("weather?");
    chat["tools"] = json!([{"type": "function", "function": {"name": "look", "parameters": {}}}]);
    assert_eq!(answered(&chat, Api::Chat, &Behaviour::default())["choices"][0]["finish_reason"], "stop");
    for choice in [json!("required"), json!({"type": "function", "function": {"name": "look"}})] {
        chat["tool_choice"] = choice;
        let answer = answered(&chat, Api::Chat, &Behaviour::default());
        assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "look");
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        let events = streamed(&chat, Api::Chat, &Behaviour::default());
        assert!(events.contains(r#""name":"look""#) && events.contains(r#""finish_reason":"tool_calls""#), "{events}");
    }

    let mut messages = asked("weather?");
    messages["tools"] = json!([{"name": "look", "input_schema": {}}]);
    for choice in [json!({"type": "any"}), json!({"type": "tool", "name": "look"})] {
        messages["tool_choice"] = choice;
        let answer = answered(&messages, Api::Messages, &Behaviour::default());
        assert_eq!(answer["content"][0]["name"], "look");
        assert_eq!(answer["stop_reason"], "tool_use");
    }
}

#[test]
fn embeddings_are_the_same_for_the_same_text_and_near_for_words_in_common() {
    let embed = |text: &str, dimensions: Value| -> Vec<f64> {
        let answer =
            answered(&json!({"input": [text], "dimensions": dimensions}), Api::Embeddings, &Behaviour::default());
        answer["data"][0]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let alike =
        |a: &str, b: &str| -> f64 { embed(a, json!(64)).iter().zip(embed(b, json!(64))).map(|(a, b)| a * b).sum() };
    assert_eq!(embed("one text", Value::Null).len(), 8);
    assert_eq!(embed("one text", json!(64)), embed("one text", json!(64)));
    assert!((alike("the router", "The router.") - 1.0).abs() < 1e-6);
    assert!(
        alike("the router picks a backend", "which backend?") > alike("the router picks a backend", "nothing here")
    );
}

#[test]
fn counting_tokens_answers_with_the_count_alone() {
    let behaviour = Behaviour { prompt_tokens: super::super::PromptTokens::Exactly(42), ..Behaviour::default() };
    assert_eq!(
        strict::api(Flavour::Anthropic, &hyper::Method::POST, "/v1/messages/count_tokens").ok(),
        Some(Api::CountTokens)
    );
    assert_eq!(answered(&asked("count this"), Api::CountTokens, &behaviour), json!({"input_tokens": 42}));
}
