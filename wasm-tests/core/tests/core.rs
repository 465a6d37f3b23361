//! A request's way through the core, in wasm and natively: the figures must be the same on both.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "wasm_bindgen_test hides that this is a test")]

use llm_router::config;
use llm_router::domain::{Api, ApiNeed, Model, PerMille, RequestFacts, SplitMix64, Timestamp, Tokens};
use llm_router::health::BreakerPhase;
use llm_router::learning::Length;
use llm_router::protocol::{self, Observer, StreamEnd};
use llm_router::routing::estimate;
use llm_router::routing::{Ask, Fleet, Peers, Strategy, Turns, plan};
use llm_router::state::{Backends, Load, MemoryStore, Record, View};
use llm_router::tokens::{Counter, Pair};
use wasm_bindgen_test::wasm_bindgen_test;

const CONFIG: &str = r#"{
    "strategy": "cost_optimized",
    "backend_instances": {
        "cheap": { "cost_per_1k_tokens": 0.05, "quality_score": 0.6 },
        "good": { "cost_per_1k_tokens": 0.06, "quality_score": 0.92, "priority": 1 },
        "spare": { "priority": 2 }
    }
}"#;

const BODY: &str = r#"{"model":"m","stream":true,"max_tokens":64,"messages":[
    {"role":"system","content":"You are a careful assistant."},
    {"role":"user","content":[{"type":"text","text":"Ein Satz auf Deutsch, \u4e00\u53e5\u4e2d\u6587, and some English."}]}]}"#;

fn now() -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000)
}

struct OwnTurns(u64);

impl Turns for OwnTurns {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    fn smooth(&mut self, candidates: &[(llm_router::domain::BackendIndex, u32)]) -> Option<usize> {
        usize::try_from(self.next() % candidates.len() as u64).ok()
    }
}

fn read() -> (RequestFacts, Tokens) {
    let mut counter = Counter::default();
    let path = protocol::RequestPath::new(b"/v1/chat/completions?x=1".to_vec());
    let facts = protocol::read_request(protocol::api_of(&path), &path, BODY.as_bytes(), &mut counter).unwrap();
    (facts, counter.tokens())
}

#[wasm_bindgen_test(unsupported = test)]
fn a_body_is_read_and_its_text_estimated() {
    let (facts, text) = read();
    assert_eq!((facts.api, facts.stream, facts.max_output_tokens), (Api::ChatCompletions, true, Some(Tokens(64))));
    assert_eq!(facts.model.as_deref(), Some("m"));
    assert!((20..40).contains(&text.0), "{text:?}");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_decision_follows_from_the_configuration_the_request_and_what_is_known() {
    let config = config::parse(CONFIG.as_bytes()).unwrap();
    let (store, mut view) = (MemoryStore::default(), View::new(1));
    let places: Vec<_> = config.backends.iter().map(|b| view.place(&store, &b.id).unwrap()).collect();
    let (facts, text) = read();
    let ask = Ask {
        facts: &facts,
        need: ApiNeed::NONE,
        text,
        strategy: config.strategy,
        min_quality: None,
        panic_threshold: PerMille::new(0),
        means: &[],
        peers: Peers::NONE,
        exploration: config.exploration,
        reserved: Backends::default(),
        source: None,
    };
    let order = |view: &View| {
        let fleet = Fleet { backends: &config.backends, places: &places, view };
        let attempts = plan(&fleet, &ask, 3, now(), &mut SplitMix64::new(1), &mut OwnTurns(0)).unwrap();
        attempts.as_slice().iter().map(|b| &*config.backends[b.get()].id).collect::<Vec<_>>()
    };
    assert_eq!(order(&view), ["good", "cheap", "spare"]);
    view.change(&store, places[1], now(), |record| {
        record.breaker.phase = BreakerPhase::Open;
        record.breaker.retry_at = now().after(std::time::Duration::from_secs(60));
    })
    .unwrap();
    assert_eq!(order(&view), ["cheap", "spare", "spare"]);
    let cost = estimate(&config.backends[0], view.record(places[0]), &facts, Tokens(1_000), Peers::NONE);
    assert!(cost.cost.micro_usd() > 53_000, "{cost:?}");
}

#[wasm_bindgen_test(unsupported = test)]
fn each_strategy_plans_the_same_as_on_any_machine() {
    let config = config::parse(CONFIG.as_bytes()).unwrap();
    let (store, mut view) = (MemoryStore::default(), View::new(1));
    let places: Vec<_> = config.backends.iter().map(|b| view.place(&store, &b.id).unwrap()).collect();
    let (facts, text) = read();
    let fleet = Fleet { backends: &config.backends, places: &places, view: &view };
    let firsts: Vec<usize> = Strategy::ALL
        .iter()
        .map(|&strategy| {
            let ask = Ask {
                facts: &facts,
                need: ApiNeed::NONE,
                text,
                strategy,
                min_quality: None,
                panic_threshold: PerMille::new(0),
                means: &[],
                peers: Peers::NONE,
                exploration: config.exploration,
                reserved: Backends::default(),
                source: None,
            };
            plan(&fleet, &ask, 1, now(), &mut SplitMix64::new(9), &mut OwnTurns(0)).unwrap().first().get()
        })
        .collect();
    assert!(firsts.iter().all(|&n| n < 2), "a spare was chosen: {firsts:?}");
    assert_eq!(firsts[Strategy::ALL.iter().position(|&s| s == Strategy::QualityBased).unwrap()], 1);
}

#[wasm_bindgen_test(unsupported = test)]
fn every_error_of_a_configuration_is_named_by_its_path() {
    let errors =
        config::parse(br#"{"strategy":"fastest","backend_instances":{"a":{"weight":0.5,"quality_score":1.4}}}"#)
            .unwrap_err()
            .to_string();
    assert!(errors.contains("backend_instances.a.quality_score: 1.4 is not in 0..=1"), "{errors}");
    assert!(errors.contains("strategy: "), "{errors}");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_stream_cut_anywhere_is_understood() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}]}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    for cut in 0..stream.len() {
        let mut observer = Observer::new(Api::ChatCompletions, 200, Some(b"text/event-stream"));
        let (head, tail) = stream.as_bytes().split_at(cut);
        let first = [observer.push(head), observer.push(tail)];
        let facts = observer.finish(true);
        assert_eq!(first.iter().filter(|&&first| first).count(), 1, "cut at {cut}");
        assert_eq!((facts.usage.unwrap().input, facts.end), (Tokens(11), StreamEnd::Complete), "cut at {cut}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_record_is_the_same_bytes_everywhere() {
    let mut record = Record::default();
    (0..7).for_each(|client| {
        record.calibration.learn(Pair::default(), client, Tokens(1_000), Tokens(1_100), Timestamp::default());
    });
    record.observe_answer(true, now());
    let model = Model::from("gpt-5").tag();
    record.lengths.learn(&Length { model, prompt: Tokens(700), output: Tokens(900), ..Length::default() });
    record.set_load_at(2, Load { requests: 5, ..Load::default() });
    let bytes = record.encode();
    assert_eq!(Record::decode(&bytes), Ok(record));
    assert_eq!(bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>(), 10_173);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_compressed_body_that_is_damaged_is_said_to_be() {
    assert!(protocol::inflate(b"\x1f\x8b\x08\x00\x00", 1 << 20).is_err());
    assert!(protocol::inflate(b"{}", 1 << 20).is_err());
}
