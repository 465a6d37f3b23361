//! Every router configuration that the repository shows is one that the router takes.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an example that cannot be read fails"
)]

use std::fs;
use std::path::Path;

use llm_router::config;
use serde::Deserialize;
use serde_json::Value;

/// The router configurations anywhere inside a document: of a Wasm plugin whose root is `router`, be it Envoy's or Envoy
/// Gateway's, and in the files of a `ConfigMap`.
fn routers(document: &Value, found: &mut Vec<Value>) {
    if document["root_id"] == "router" {
        found.push(document["configuration"]["value"].clone());
    }
    if document["rootID"] == "router" {
        found.push(document["config"].clone());
    }
    match document {
        Value::Object(fields) => fields.values().for_each(|value| routers(value, found)),
        Value::Array(values) => values.iter().for_each(|value| routers(value, found)),
        Value::String(file) if file.contains("root_id: router") => found.extend(documents(file)),
        _ => {}
    }
}

fn documents(yaml: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(yaml) {
        let mut document = serde_yaml_ng::Value::deserialize(document).expect("YAML");
        document.apply_merge().expect("merge keys");
        routers(&serde_json::to_value(document).expect("a document"), &mut found);
    }
    found
}

fn is_taken(name: &str, router: &Value) {
    if let Err(errors) = config::parse(router.to_string().as_bytes()) {
        panic!("{name}: {errors}");
    }
}

#[test]
fn every_example_of_an_envoy_has_a_router_that_is_taken() {
    let envoy = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy");
    let mut count = 0;
    let directories = [envoy.clone(), envoy.join("kubernetes")];
    for entry in directories.iter().flat_map(|directory| fs::read_dir(directory).unwrap()) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            for router in documents(&fs::read_to_string(&path).unwrap()) {
                is_taken(&path.display().to_string(), &router);
                count += 1;
            }
        }
    }
    assert!(count >= 4, "only {count} routers were found");
}

#[test]
fn the_readme_shows_a_router_that_is_taken() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let filter = block.split("# the filter").nth(1).and_then(|rest| rest.split_once('\n')).unwrap().1;
    let found = documents(filter);
    assert_eq!(found.len(), 1);
    is_taken("README.md", &found[0]);
}

/// The routes to backends anywhere inside a document, those in the files of a `ConfigMap` too.
fn routes(document: &Value, found: &mut Vec<Value>) {
    let names_backends =
        document["cluster_header"] == "x-llm-cluster" || !document["inline_cluster_specifier_plugin"].is_null();
    if names_backends {
        found.push(document.clone());
    }
    match document {
        Value::Object(fields) => fields.values().for_each(|value| routes(value, found)),
        Value::Array(values) => values.iter().for_each(|value| routes(value, found)),
        Value::String(file) if file.contains("cluster_header") => {
            for document in serde_yaml_ng::Deserializer::from_str(file) {
                let mut document = serde_yaml_ng::Value::deserialize(document).unwrap();
                document.apply_merge().unwrap();
                routes(&serde_json::to_value(document).unwrap(), found);
            }
        }
        _ => {}
    }
}

fn seconds(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse().ok()).expect("a duration")
}

#[test]
fn every_example_of_a_route_gives_up_a_backend_that_hangs() {
    let envoy = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy");
    for file in ["envoy.yaml", "minimal.yaml", "access-log.yaml", "kubernetes/envoy.yaml"] {
        let mut found = Vec::new();
        for document in serde_yaml_ng::Deserializer::from_str(&fs::read_to_string(envoy.join(file)).unwrap()) {
            let mut document = serde_yaml_ng::Value::deserialize(document).unwrap();
            document.apply_merge().unwrap();
            routes(&serde_json::to_value(document).unwrap(), &mut found);
        }
        assert_eq!(found.len(), 1, "{file}");
        let (route, policy) = (&found[0], &found[0]["retry_policy"]);
        let retry_on = policy["retry_on"].as_str().unwrap();
        for reason in ["connect-failure", "refused-stream", "reset"] {
            assert!(retry_on.split(',').any(|each| each == reason), "{file}: {reason}");
        }
        let attempts = policy["num_retries"].as_f64().unwrap() + 1.0;
        assert!(seconds(&policy["per_try_timeout"]) * attempts < seconds(&route["timeout"]), "{file}");
    }
}
