use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What a LightRAG server 1.5.7 (`PyPI`, `lightrag-hku`) answered on 2026-11-21: in full, and to one who has no key.
const LIGHTRAG: &str = include_str!("../fixtures/lightrag-1.5.7-health.json");
const LIGHTRAG_WITHOUT_KEY: &str = include_str!("../fixtures/lightrag-1.5.7-health-without-key.json");

fn status(body: &Value) -> Checkup {
    Checkup::read(200, body.to_string().as_bytes(), Form::Status)
}

fn models(body: &Value) -> Checkup {
    Checkup::read(200, body.to_string().as_bytes(), Form::Models)
}

fn parts(checkup: &Checkup) -> Vec<(&'static str, bool)> {
    Component::ALL.into_iter().filter_map(|part| Some((part.name(), checkup.components.get(part)?))).collect()
}

#[test]
fn a_real_lightrag_server_says_that_it_lives_and_whether_it_is_busy() {
    for body in [LIGHTRAG, LIGHTRAG_WITHOUT_KEY] {
        let checkup = Checkup::read(200, body.as_bytes(), Form::Status);
        assert_eq!((checkup.condition, checkup.score()), (Condition::Healthy, PerMille::ONE));
        assert_eq!(parts(&checkup), [("pipeline", true)]);
    }
    let busy = LIGHTRAG.replace(r#""pipeline_busy": false"#, r#""pipeline_busy": true"#);
    let checkup = Checkup::read(200, busy.as_bytes(), Form::Status);
    assert_eq!((checkup.condition, checkup.score()), (Condition::Healthy, PerMille::ONE), "it answers all the same");
    assert_eq!(parts(&checkup), [("pipeline", false)]);
}

#[test]
fn each_part_that_is_down_lowers_the_score_by_what_it_weighs() {
    let report = |status: &str, graph: &str, embeddings: &str, llm: &str| {
        let checkup = self::status(&json!({
            "status": status, "graph_db_status": graph, "embeddings_status": embeddings, "llm_status": llm,
            "knowledge_base_size": 15000, "memory_usage_mb": 2048, "last_index_update": "2025-08-08T10:30:00Z",
        }));
        (checkup.condition.name(), checkup.score().get())
    };
    let (up, down) = ("healthy", "unhealthy");
    assert_eq!(report(up, up, up, up), ("healthy", 1000));
    assert_eq!(report("degraded", up, down, up), ("degraded", 700));
    assert_eq!(report("degraded", up, up, down), ("degraded", 600));
    assert_eq!(report("degraded", down, down, up), ("degraded", 400));
    assert_eq!(report(up, up, down, up), ("degraded", 700), "its parts are believed before its word");
    assert_eq!(report("degraded", up, up, up), ("degraded", 500), "it does not say why");
    assert_eq!(report("degraded", down, down, down), ("unhealthy", 0));
    assert_eq!(report(down, up, down, up), ("unhealthy", 0));
    assert_eq!(report(down, up, up, up), ("unhealthy", 0));
}

#[test]
fn the_words_of_other_servers_are_understood_and_unknown_ones_say_nothing() {
    let condition = |word: Value| status(&json!({ "status": word })).condition;
    for word in ["ok", "UP", "Healthy", "pass", "on fire", ""] {
        assert_eq!(condition(json!(word)), Condition::Healthy, "{word}");
    }
    assert_eq!(condition(json!("warn")), Condition::Degraded);
    for word in [json!("DOWN"), json!("error"), json!("fail"), json!(false)] {
        assert_eq!(condition(word.clone()), Condition::Unhealthy, "{word}");
    }
    for word in [json!(1), json!(null), json!([1, [2]]), json!({"status": "down"}), json!(-1.5), json!(true)] {
        assert_eq!(condition(word.clone()), Condition::Healthy, "{word}");
    }
}

#[test]
fn models_on_offer_are_counted() {
    let list = models(&json!({"object": "list", "data": [{"id": "sonar"}, {"id": "sonar-pro"}]}));
    assert_eq!((list.condition, list.models, parts(&list)), (Condition::Healthy, Some(2), vec![("models", true)]));
    let none = models(&json!({"object": "list", "data": []}));
    assert_eq!((none.condition, none.models, none.score().get()), (Condition::Degraded, Some(0), 500));
    for other in [json!({}), json!([]), json!({"data": "x"}), json!({"data": {"id": 1}}), json!("ok")] {
        assert_eq!(models(&other), Checkup::good(), "{other}");
    }
    assert_eq!(models(&json!({"data": vec![0; 70_000]})).models, Some(u16::MAX));
}

#[test]
fn what_is_asked_for_says_what_the_answer_is_to_be() {
    for path in ["/v1/models", "/models", "/models/", "/openai/v1/models?limit=1", "/api/tags"] {
        assert_eq!(Form::of(path, BackendType::OpenAi), Form::Models, "{path}");
        assert_eq!(Form::of(path, BackendType::Perplexity), Form::ModelsIfAny, "{path}");
    }
    for path in ["/health", "/", "/supermodels", "/health?next=/models", "/v1/models/gpt"] {
        assert_eq!(Form::of(path, BackendType::Perplexity), Form::Status, "{path}");
    }
}

#[test]
fn any_answer_of_2xx_is_a_good_one_unless_it_says_otherwise_and_any_other_is_not() {
    for body in ["", "OK", "<html>", "{", "[]", "null", "\u{0}"] {
        for form in [Form::Status, Form::Models] {
            assert_eq!(Checkup::read(204, body.as_bytes(), form), Checkup::good(), "{body}");
        }
    }
    for status in [0, 100, 199, 301, 400, 404, 408, 500, 503, 999] {
        assert_eq!(Checkup::read(status, "{}".as_bytes(), Form::Status), Checkup::failed(), "{status}");
    }
    for status in [401, 403] {
        let refused = Checkup::read(status, "".as_bytes(), Form::Models);
        assert_eq!((refused.condition, parts(&refused)), (Condition::Unhealthy, vec![("authorisation", false)]));
        let echo = Checkup::read(status, r#"{"error":"no such key: hunter2"}"#.as_bytes(), Form::Models);
        assert_eq!(echo, refused, "what it says may be a secret");
    }
    let limited = Checkup::read(429, "".as_bytes(), Form::Models);
    assert_eq!((limited.condition, limited.score().get()), (Condition::Degraded, 500));
}

#[test]
fn a_refusal_that_says_which_parts_are_down_is_read_and_stays_a_failed_check() {
    let read = |status: u16, body: &str| {
        let checkup = Checkup::read(status, body.as_bytes(), Form::Status);
        assert_eq!((checkup.condition, checkup.score().get()), (Condition::Unhealthy, 0), "{body}");
        let details = checkup.details.clone();
        (parts(&checkup), details.parts_down.join(" "), details.error.as_deref().unwrap_or("").to_owned())
    };
    let known = |well: [bool; 3]| ["graph_db", "embeddings", "llm"].into_iter().zip(well).collect::<Vec<_>>();
    // Source 002's server.
    let lightrag =
        r#"{"status":"unhealthy","graph_db_status":"healthy","embeddings_status":"unhealthy","llm_status":"healthy"}"#;
    assert_eq!(read(503, lightrag), (known([true, false, true]), String::new(), String::new()));
    let caught =
        r#"{"timestamp":"t","service":"lightrag","version":"1.0.0","status":"unhealthy","error":"neo4j: timed out"}"#;
    assert_eq!(read(503, caught), (vec![], String::new(), "neo4j: timed out".to_owned()));
    // What an HTTPException of FastAPI makes of it.
    let wrapped = format!(r#"{{"detail":{lightrag}}}"#);
    assert_eq!(read(503, &wrapped), (known([true, false, true]), String::new(), String::new()));
    let spring = r#"{"status":"DOWN","components":{"db":{"status":"DOWN","details":{"error":"refused"}},"diskSpace":{"status":"UP"}}}"#;
    assert_eq!(read(503, spring), (vec![], "db".to_owned(), String::new()));
    let draft = r#"{"status":"fail","output":"no heap","checks":{"redis:time":[{"status":"pass"},{"status":"fail"}],"cpu":[{"status":"pass"}]}}"#;
    assert_eq!(read(503, draft), (vec![], "redis:time".to_owned(), "no heap".to_owned()));
    let named = r#"{"services":{"llm":"down","embedding":{"healthy":true},"qdrant":false}}"#;
    assert_eq!(read(500, named), (vec![("llm", false)], "qdrant".to_owned(), String::new()));
    let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    assert_eq!(read(503, loading), (vec![], String::new(), "Loading model".to_owned()));
    assert_eq!(read(404, r#"{"detail":"Not Found"}"#).2, "Not Found");
    let envoy = "upstream connect error or disconnect/reset before headers. reset reason: connection refused";
    assert_eq!(read(503, envoy).2, envoy);
    for nothing in ["<html>502", "", "{\"status\":", "[1]", "\u{0}"] {
        assert_eq!(read(502, nothing).2.trim_matches('\0'), "", "{nothing}");
    }
    let healthy = read(503, r#"{"status":"healthy"}"#);
    assert_eq!(healthy, (vec![], String::new(), String::new()), "its status is believed before its word");
}

#[test]
fn a_part_of_an_unknown_name_degrades_only_where_the_whole_says_nothing() {
    let condition = |body: Value| (status(&body).condition, status(&body).details.parts_down.len());
    assert_eq!(condition(json!({"checks": {"db": "down"}})), (Condition::Degraded, 1));
    assert_eq!(condition(json!({"status": "up", "checks": {"db": "down"}})), (Condition::Healthy, 1));
    assert_eq!(condition(json!({"rerank_status": "unavailable"})), (Condition::Degraded, 1));
    assert_eq!(
        condition(json!({"checks": {"db": "up", "x": 1, "y": null}, "details": [], "services": 3})),
        (Condition::Healthy, 0)
    );
}

#[test]
fn a_list_of_models_that_perplexity_does_not_have_proves_that_somebody_answers() {
    for status in [404, 405] {
        let checkup = Checkup::read(status, "".as_bytes(), Form::ModelsIfAny);
        assert_eq!(checkup.condition, Condition::Healthy);
        assert!(checkup.details.error.is_some_and(|error| error.contains("health_check.path")), "but it is said");
        assert_eq!(Checkup::read(status, "".as_bytes(), Form::Models).condition, Condition::Unhealthy);
    }
    assert_eq!(Checkup::read(503, "".as_bytes(), Form::ModelsIfAny).condition, Condition::Unhealthy);
    let ollama = models(&json!({"models": [{"name": "llama3"}]}));
    assert_eq!((ollama.condition, ollama.models), (Condition::Healthy, Some(1)));
}

#[test]
fn very_long_and_very_deep_answers_are_read_or_passed_over() {
    let deep = format!(r#"{{"status":"degraded","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(Checkup::read(200, deep.as_bytes(), Form::Status).condition, Condition::Degraded);
    let deep = format!(r#"{{"status":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(Checkup::read(200, deep.as_bytes(), Form::Status).condition, Condition::Healthy);
    let long = format!(r#"{{"note":"{}","status":"degraded"}}"#, "x".repeat(5_000_000));
    assert_eq!(Checkup::read(200, long.as_bytes(), Form::Status).condition, Condition::Degraded);
}

proptest! {
    #[test]
    fn anything_is_read(status in any::<u16>(), bytes in prop::collection::vec(any::<u8>(), 0..200), list in any::<bool>()) {
        let checkup = Checkup::read(status, bytes.as_slice(), if list { Form::Models } else { Form::Status });
        prop_assert_eq!(checkup.condition == Condition::Unhealthy, checkup.score() == PerMille::new(0));
    }

    #[test]
    fn a_damaged_answer_is_read(at in 0..LIGHTRAG.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = LIGHTRAG.as_bytes().to_vec();
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        let checkup = Checkup::read(200, bytes.as_slice(), Form::Status);
        prop_assert_eq!(checkup.condition == Condition::Unhealthy, checkup.score() == PerMille::new(0));
    }
}

#[test]
fn details_are_kept_as_far_as_they_are_what_they_should_be() {
    let lightrag = Checkup::read(200, LIGHTRAG.as_bytes(), Form::Status).details;
    let version = |text: &str| Some(text.into());
    let real = Details { api_version: version("0344"), core_version: version("1.5.7"), ..Details::default() };
    assert_eq!(lightrag, real);
    let sources = status(&json!({"status": "healthy", "knowledge_base_size": 15000, "memory_usage_mb": 2047.6}));
    let expected = Details { knowledge_base_size: Some(15_000), memory_usage_mb: Some(2_048), ..Details::default() };
    assert_eq!(sources.details, expected);
    let odd = json!({"api_version": [7], "core_version": "", "knowledge_base_size": "many", "memory_usage_mb": -1});
    assert_eq!(status(&odd).details, Details::default());
    let long = status(&json!({"core_version": "ä".repeat(9_000)})).details;
    assert_eq!(long.core_version.as_deref().map(str::len), Some(256));

    let mut details = models(&json!({"data": [{}, {}]})).details;
    details.hear("api-version", b"\xff");
    assert_eq!(details, Details::default());
    details.hear("api-version", b"2025-01-01");
    assert_eq!(details.api_version.as_deref(), Some("2025-01-01"));
    let full = status(&json!({
        "status": "degraded", "error": "😀".repeat(500), "version": 3, "last_index_update": "2025-08-08T10:30:00Z",
        "quota_reset_time": "2025-08-08T12:00:00Z", "quota_remaining": 850, "relationship_count": "47000", "cpu_usage_percent": 12.5,
        "disk_usage_percent": "81.25", "avg_query_time_ms": 812.4, "queries_per_minute": 0.05, "models_available": 8,
        "components": (0..20).map(|n| (format!("{}{n}", "é".repeat(500)), json!("down"))).collect::<Value>(),
        "services": {"s3": false, "queue": {"state": "critical"}, "cache": {"status": "up"}, "other": {"a": 1}, "more": [[["down"]]]},
    }));
    assert_eq!(full.models, Some(8));
    let full = full.details;
    assert_eq!(
        (full.parts_down.len(), full.error.as_deref().map(|text| text.chars().count())),
        (4, Some(128)),
        "{full:?}"
    );
    assert_eq!((full.quota_remaining, full.relationship_count), (Some(850), Some(47_000)));
    assert_eq!((full.cpu_usage_thousandths, full.disk_usage_thousandths), (Some(12_500), Some(81_250)));
    assert_eq!((full.avg_query_time_us, full.queries_per_minute_thousandths), (Some(812_400), Some(50)));
    assert_eq!((full.version.as_deref(), full.quota_reset_time.as_deref()), (Some("3"), Some("2025-08-08T12:00:00Z")));
    let many: Value = (0..20).map(|n| (format!("part{n:02}"), json!("down"))).collect();
    let many = status(&json!({ "components": many })).details;
    assert_eq!(many.parts_down.len(), 8, "of more, the first");
    let answered = Details { http_status: Some(503), ..full.clone() };
    for details in [details, long, real, expected, full, many, answered, Details::default()] {
        assert_eq!(Details::decode(&details.encode()), Some(details));
    }
    for bytes in [&b""[..], b"\x05a", b"\x01\xc8\x00", b"\x03\xc8\x00\x00\x00\x00\x00\x00\x00"] {
        assert_eq!(Details::decode(bytes), None, "an unknown layout: {bytes:?}");
    }
}
