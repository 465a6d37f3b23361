//! What stands around the router in the repository (Prometheus, Grafana, Compose, Kubernetes) speaks of metrics, alerts and
//! files that exist, and keeps to the rules that its own text promises.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a file that cannot be read fails"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(path: &str) -> Vec<Value> {
    let text = text(path);
    let read = |document| {
        let mut document =
            serde_yaml_ng::Value::deserialize(document).unwrap_or_else(|error| panic!("{path}: {error}"));
        document.apply_merge().expect("merge keys");
        serde_json::to_value(document).expect("JSON can say it")
    };
    serde_yaml_ng::Deserializer::from_str(&text).map(read).collect()
}

fn document(path: &str) -> Value {
    let [document] = documents(path).try_into().unwrap_or_else(|_| panic!("{path} is not one document"));
    document
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Each word of these texts that begins with `loadbalancer_`, histograms by their own name.
fn metrics<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in texts {
        for rest in text.split("loadbalancer_").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let name = rest[..end].trim_end_matches("_bucket");
            found.insert(format!("loadbalancer_{name}"));
        }
    }
    found
}

/// Those that docs/metrics.md has a row for.
fn documented() -> BTreeSet<String> {
    let text = text("docs/metrics.md");
    let found =
        metrics(text.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split('`').next()));
    assert!(found.len() > 10, "docs/metrics.md has no table of metrics");
    found
}

fn rules() -> Vec<Value> {
    let alerts = document("envoy/prometheus/alerts.yml");
    list(&alerts["groups"]).iter().flat_map(|group| list(&group["rules"])).cloned().collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&text("envoy/grafana/llm-router.json")).expect("JSON")
}

/// The queries of the dashboard.
fn queries(dashboard: &Value) -> Vec<&str> {
    let targets = list(&dashboard["panels"]).iter().flat_map(|panel| list(&panel["targets"]));
    let annotations = list(&dashboard["annotations"]["list"]);
    let variables = list(&dashboard["templating"]["list"]).iter().map(|variable| word(&variable["definition"]));
    targets.chain(annotations).map(|target| word(&target["expr"])).chain(variables).collect()
}

#[test]
fn every_metric_that_somebody_asks_for_is_documented() {
    let known = documented();
    let dashboard = dashboard();
    let rules = rules();
    let mut asked = metrics(queries(&dashboard));
    asked.extend(metrics(rules.iter().map(|rule| word(&rule["expr"]))));
    assert!(asked.len() > 15, "only {asked:?}");
    for path in ["envoy/kubernetes/keda.yaml", "envoy/kubernetes/hpa.yaml"] {
        let of_file = metrics([text(path).as_str()]);
        assert!(!of_file.is_empty(), "{path} asks for nothing");
        asked.extend(of_file);
    }
    let unknown: Vec<_> = asked.iter().filter(|name| !known.contains(*name)).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}

#[test]
fn every_alert_says_what_it_is_and_what_to_do_and_is_tested() {
    let operations = text("docs/operations.md");
    let tests = text("envoy/prometheus/alerts.test.yml");
    let mut severities = BTreeMap::<String, BTreeSet<String>>::new();
    for rule in rules().iter().filter(|rule| !rule["alert"].is_null()) {
        let name = word(&rule["alert"]);
        let (labels, annotations) = (&rule["labels"], &rule["annotations"]);
        let severity = word(&labels["severity"]);
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: severity {severity}");
        assert!(["backend", "router", "budget"].contains(&word(&labels["scope"])), "{name}: scope");
        assert!(!word(&annotations["summary"]).is_empty() && !word(&annotations["description"]).is_empty(), "{name}");
        let anchor = name.to_lowercase();
        assert!(
            word(&annotations["runbook_url"]).ends_with(&format!("/docs/operations.md#{anchor}")),
            "{name}: runbook"
        );
        assert!(operations.contains(&format!("\n### {name}\n")), "docs/operations.md has no section {name}");
        assert!(tests.contains(name), "{name} is in no test");
        let new = severities.entry(name.to_owned()).or_default().insert(severity.to_owned());
        assert!(new, "{name} is there twice with the same severity");
    }
    // The six of the sources.
    for name in [
        "CircuitBreakerOpen",
        "BackendUnhealthy",
        "LowAvailability",
        "HighResponseTime",
        "HighErrorRate",
        "CostThreshold",
    ] {
        assert!(severities.contains_key(name), "no {name}");
    }
    let alerts = operations.split("\n## Alerts\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    for section in alerts.split("\n### ").skip(1).filter_map(|section| section.lines().next()) {
        assert!(severities.contains_key(section), "docs/operations.md explains {section}, which is no alert");
    }
}

#[test]
fn the_dashboard_stands_where_grafana_looks_for_it() {
    let dashboard = dashboard();
    let source = document("envoy/grafana/provisioning/datasources/prometheus.yaml");
    let uid = &source["datasources"][0]["uid"];
    for panel in list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(&panel["datasource"]["uid"], uid, "{}", panel["title"]);
        assert!(!list(&panel["targets"]).is_empty() && !word(&panel["description"]).is_empty(), "{}", panel["title"]);
    }
    let provider = document("envoy/grafana/provisioning/dashboards/llm-router.yaml");
    let compose = document("docker-compose.yml");
    let grafana = &compose["services"]["grafana"];
    let mount = word(&grafana["volumes"][0]).split(':').nth(1).unwrap();
    assert_eq!(word(&provider["providers"][0]["options"]["path"]), mount);
    assert_eq!(word(&grafana["environment"]["GF_PATHS_PROVISIONING"]), format!("{mount}/provisioning"));
}

#[test]
fn every_service_of_compose_is_pinned_confined_and_checked() {
    let compose = document("docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), 5);
    for (name, service) in services {
        let image = word(&service["image"]);
        let built = !service["build"].is_null();
        assert!(image.starts_with("${") && (built || !image.contains("latest")), "{name}: {image}");
        assert!(image.trim_end_matches('}').rsplit(':').next().unwrap().len() > 3, "{name}: {image} has no version");
        assert!(word(&service["user"]).split(':').next().unwrap().parse::<u32>().unwrap() > 0, "{name} is root");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        assert!(!list(&service["healthcheck"]["test"]).is_empty(), "{name} has no health check");
        for port in list(&service["ports"]) {
            assert!(word(port).starts_with("127.0.0.1:${"), "{name} publishes {port}");
        }
        for volume in list(&service["volumes"]).iter().map(word).filter(|volume| volume.starts_with("./")) {
            assert!(volume.ends_with(":ro"), "{name}: {volume}");
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(volume.split(':').next().unwrap());
            assert!(directory.is_dir(), "{name}: {volume}");
        }
    }
}

#[test]
fn everything_for_kubernetes_is_an_object_in_a_namespace_and_its_pods_are_confined() {
    let mut kinds = BTreeSet::new();
    for file in ["envoy.yaml", "envoy-gateway.yaml", "hpa.yaml", "keda.yaml"] {
        for object in documents(&format!("envoy/kubernetes/{file}")) {
            let kind = word(&object["kind"]);
            assert!(
                !word(&object["apiVersion"]).is_empty() && !word(&object["metadata"]["name"]).is_empty(),
                "{file}: {kind}"
            );
            assert!(kind == "Namespace" || !word(&object["metadata"]["namespace"]).is_empty(), "{file}: {kind}");
            kinds.insert(kind.to_owned());
            let pod = &object["spec"]["template"]["spec"];
            for container in list(&pod["containers"]) {
                let security = &container["securityContext"];
                assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
                assert_eq!(security["readOnlyRootFilesystem"], true);
                assert_eq!(security["allowPrivilegeEscalation"], false);
                assert_eq!(security["capabilities"]["drop"][0], "ALL");
            }
        }
    }
    let wanted = [
        "ConfigMap",
        "Deployment",
        "EnvoyExtensionPolicy",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "ScaledObject",
        "Service",
    ];
    for kind in wanted {
        assert!(kinds.contains(kind), "no {kind}");
    }
}

#[test]
fn metrics_have_the_same_labels_in_kubernetes() {
    let tags = |text: &str| -> BTreeSet<String> {
        text.lines().map(str::trim).filter(|line| line.starts_with("- {tag_name:")).map(str::to_owned).collect()
    };
    let complete = tags(&text("envoy/envoy.yaml"));
    assert!(complete.len() > 5);
    let missing: Vec<_> = complete.difference(&tags(&text("envoy/kubernetes/envoy.yaml"))).cloned().collect();
    assert_eq!(missing, Vec::<String>::new());
    // Names and values by turns: a backend may be called like a label. The version, which has points, is first of one
    // metric.
    let is_safe = |tag: &&String| {
        tag.contains(r"loadbalancer_\w+(?:\.\w+\.[^.]+)*?(\.") || tag.contains(r"loadbalancer_build_info(\.version\.")
    };
    assert_eq!(complete.iter().find(|tag| !is_safe(tag)), None);
}
