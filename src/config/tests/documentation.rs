//! `docs/configuration.md` and the code say the same.

use super::*;
use crate::domain::BackendType;

const DOCS: &str = include_str!("../../../docs/configuration.md");

/// Prices in the other unit: a normalised document has them in the first.
const PER_1M: [&str; 4] =
    ["cost_per_1m_tokens", "input_cost_per_1m_tokens", "output_cost_per_1m_tokens", "cached_input_cost_per_1m_tokens"];

struct Row {
    key: &'static str,
    value: &'static str,
    default: &'static str,
}

/// The rows of the table of keys.
fn rows() -> Vec<Row> {
    let cells = |line: &'static str| line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']));
    DOCS.lines()
        .skip_while(|line| !line.starts_with("| key |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = cells(line).collect();
            assert_eq!(cells.len(), 4, "{line}");
            Row { key: cells[0].trim_matches('`'), value: cells[1], default: cells[2] }
        })
        .collect()
}

/// A code block of the docs.
fn block(language: &str) -> &'static str {
    let (_, rest) = DOCS.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// The pointer to a documented key in a document whose one backend is `a`.
fn pointer(key: &str) -> String {
    format!("/{}", key.replace("<id>", "a").replace("<tenant>", "t").replace('.', "/"))
}

/// Every leaf of a document, as the docs write its key.
fn leaves(document: &Value, key: &str, found: &mut Vec<String>) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = match key {
                    "backend_instances" => "<id>",
                    "cost.tenants" => "<tenant>",
                    _ => name,
                };
                leaves(value, &if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }, found);
            }
        }
        _ => found.push(key.to_owned()),
    }
}

/// Of every key its default, those of the parts that are there only where one of their keys is, too.
fn complete() -> Value {
    parsed(&least()).unwrap().to_json()
}

fn least() -> Value {
    json!({
        "backend_instances": { "a": { "health_check": { "path": "/health" } } },
        "envoy_admin": { "cluster": "admin" },
        "cost": { "tenants": { "t": {} } },
        "alerts": { "webhook_cluster": "hooks", "cost_webhook_cluster": "money" },
    })
}

#[test]
fn the_documented_defaults_are_the_code_s() {
    let normalised = complete();
    let mut compared = 0;
    for Row { key, default, .. } in rows() {
        let Ok(documented) = serde_json::from_str::<Value>(default.trim_matches('`')) else { continue };
        assert_eq!(normalised.pointer(&pointer(key)), Some(&documented), "{key}");
        compared += 1;
    }
    assert_eq!(compared, 72, "keys whose default is a value");
}

#[test]
fn every_key_that_the_code_fills_in_is_documented_and_no_other() {
    let mut coded: Vec<_> = ["cost_per_1k_tokens", "id"]
        .into_iter()
        .chain(PER_1M)
        .map(|key| format!("backend_instances.<id>.{key}"))
        .collect();
    leaves(&complete(), "", &mut coded);
    coded.sort_unstable();
    let mut documented: Vec<_> = rows().into_iter().map(|row| row.key.to_owned()).collect();
    documented.sort_unstable();
    assert_eq!(documented, coded);
}

/// A document with one backend in which `key` has this value, and the keys that it needs beside it.
fn document_with(key: &str, value: Value) -> Value {
    let mut document = least();
    if key.ends_with("_cost_per_1k_tokens") {
        for side in ["input_cost_per_1k_tokens", "output_cost_per_1k_tokens"] {
            document["backend_instances"]["a"][side] = json!(0.1);
        }
    }
    if key.ends_with("_cost_per_1m_tokens") {
        for side in ["input_cost_per_1m_tokens", "output_cost_per_1m_tokens"] {
            document["backend_instances"]["a"][side] = json!(100);
        }
    }
    let mut place = &mut document;
    for part in pointer(key).split('/').skip(1) {
        place = &mut place[part];
    }
    *place = value;
    document
}

#[test]
fn every_documented_key_is_accepted() {
    let normalised = complete();
    for Row { key, .. } in rows() {
        let value = match key.rsplit('.').next().unwrap() {
            "id" => json!("a"),
            "cost_per_1k_tokens" => json!(0.05),
            key if PER_1M.contains(&key) => json!(50),
            "max_concurrent_requests" | "seed" => json!(7),
            "client_hints" => json!(["strategy", "min_quality", "tenant", "explain"]),
            _ => normalised.pointer(&pointer(key)).unwrap().clone(),
        };
        let answer = parsed(&document_with(key, value));
        assert!(answer.is_ok(), "{key}: {}", answer.unwrap_err());
    }
}

#[test]
fn the_documented_ranges_are_the_code_s() {
    let mut compared = 0;
    for Row { key, value, .. } in rows() {
        let Some((low, high)) = value.trim_start_matches("whole number, ").split_once(" to ") else { continue };
        let (Ok(lowest), Ok(highest)) = (serde_json::from_str::<Value>(low), serde_json::from_str::<Value>(high))
        else {
            continue;
        };
        for bound in [lowest, highest] {
            assert!(parsed(&document_with(key, bound.clone())).is_ok(), "{key}: {bound}");
        }
        let path = key.replace("<id>", "a").replace("<tenant>", "t");
        let too_much = parsed(&document_with(key, json!(1_000_000_000))).unwrap_err().to_string();
        assert!(too_much.contains(&format!("\n{path}: 1000000000 is not in {low}..={high}")), "{too_much}");
        let too_little = parsed(&document_with(key, json!(-1))).unwrap_err().to_string();
        assert!(too_little.contains(&format!("\n{path}: -1 is not in {low}..={high}")), "{too_little}");
        let whole = parsed(&document_with(key, json!(0.5))).map_or_else(|errors| errors.to_string(), |_| String::new());
        assert_eq!(whole.contains("0.5 is not a whole number"), value.starts_with("whole number"), "{key}: {whole}");
        compared += 1;
    }
    assert_eq!(compared, 54, "keys with a range");
}

#[test]
fn the_documented_names_are_the_code_s() {
    for key in [
        "role",
        "backend_instances.<id>.backend_type",
        "backend_instances.<id>.apis",
        "client_hints",
        "cost.on_exhausted",
        "logging.format",
        "logging.level",
    ] {
        let row = rows().into_iter().find(|row| row.key == key).unwrap();
        let unknown = if row.value.starts_with("list of ") { json!(["?"]) } else { json!("?") };
        let refused = parsed(&document_with(key, unknown)).unwrap_err().to_string();
        let documented = row.value.trim_start_matches("list of ").replace('`', "");
        assert!(refused.ends_with(&format!(": \"?\" is not one of: {documented}")), "{refused}");
    }
}

#[test]
fn the_documented_apis_of_each_type_are_the_code_s() {
    let table = DOCS.lines().skip_while(|line| !line.starts_with("| `backend_type` | speaks |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let names: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let (kind, mut apis) = (names[0], names[1..].to_vec());
        apis.sort_unstable();
        (kind, apis)
    });
    let documented: std::collections::BTreeMap<_, _> = rows.collect();
    let coded = BackendType::ALL.map(|kind| {
        let mut apis = kind.apis().names();
        apis.sort_unstable();
        (kind.name(), apis)
    });
    assert_eq!(documented, coded.into());
}

#[test]
fn the_documented_strategies_are_all_there_are() {
    let (_, list) = DOCS.split_once("Strategies: ").unwrap();
    let names: Vec<_> = list.split_once('.').unwrap().0.split(',').map(|name| name.trim().trim_matches('`')).collect();
    assert_eq!(names, Strategy::ALL.map(Strategy::name));
}

#[test]
fn the_documented_errors_are_printed_so() {
    let document = json!({
        "backend_instances": { "lightrag_primary": { "quality_score": 1.4, "wieght": 2 } },
        "default_backend": "lightrag",
        "rollout": { "mode": "shadow" },
    });
    assert_eq!(parsed(&document).unwrap_err().to_string(), block("text").trim_end());
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn the_documented_example_is_accepted_in_both_forms() {
    let document: Value = serde_yaml_ng::from_str(block("yaml")).unwrap();
    let config = parsed(&document).unwrap();
    assert_eq!(parse(&encoded(&document)).unwrap(), config);
    assert_eq!(config.strategy, Strategy::CostOptimized);
    assert_eq!(config.backends.len(), 2);
    assert_eq!(config.retry.max_attempts, 2);
}
