//! Backends that describe themselves: clusters of Envoy with metadata.
//!
//! Envoy's admin interface tells of each cluster its metadata; under the router's namespace that says what would stand
//! under `backend_instances.<id>`, and is read by the same code.

use super::errors::{Errors, Problem};
use super::read;
use super::reader::Reader;
use super::tree::Tree;
use crate::domain::Backend;

/// A cluster that says that it is a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) cluster: String,
    /// The backend and its body as JSON, or what is wrong with it.
    pub(crate) backend: Result<(Backend, String), Errors>,
}

/// Reads an answer of `/config_dump?resource=…_clusters&mask=cluster.name,cluster.metadata`. None if it is none.
pub(crate) fn discovered(dump: &[u8], namespace: &str) -> Option<Vec<Found>> {
    let dump: Tree = serde_json::from_slice(dump).ok()?;
    let configs = match dump.field("configs") {
        Some(Tree::List(configs)) => configs.as_slice(),
        // Of no cluster at all there is nothing to say.
        None if dump == Tree::Object(Vec::new()) => &[],
        _ => return None,
    };
    let mut found = Vec::new();
    for config in configs {
        let cluster = config.field("cluster")?;
        let Some(Tree::Text(name)) = cluster.field("name") else { return None };
        let metadata = cluster.field("metadata").and_then(|metadata| metadata.field("filter_metadata"));
        if let Some(body) = metadata.and_then(|metadata| metadata.field(namespace)) {
            found.push(Found { cluster: name.clone(), backend: backend(name, body) });
        }
    }
    Some(found)
}

/// Reads what a cluster says of itself. It may say its id, if that is not to be the cluster's name.
fn backend(cluster: &str, body: &Tree) -> Result<(Backend, String), Errors> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut problem = |path: &str, message: &str| {
        problems.push(Problem { path: path.to_owned(), message: message.to_owned() });
    };
    let Tree::Object(fields) = body else {
        return Err(Errors::document(format!("expected an object, found {}", body.kind())));
    };
    let id = match body.field("id") {
        None => cluster,
        Some(Tree::Text(id)) => id,
        Some(_) => {
            problem("id", "expected a string");
            cluster
        }
    };
    if body.field("cluster").is_some() {
        problem("cluster", "leave it out: it is this one");
    }
    let mut fields: Vec<_> = fields.iter().filter(|(key, _)| key != "id" && key != "cluster").cloned().collect();
    fields.push(("cluster".to_owned(), Tree::Text(cluster.to_owned())));
    let body = Tree::object(fields).of_struct();
    match Reader::read(String::new(), &body, &mut problems, |reader| read::backend(reader, id)) {
        Some(backend) if problems.is_empty() => Ok((backend, body.to_json())),
        _ => Err(Errors::new(problems)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::commands;

    fn dump(clusters: &Value) -> Vec<u8> {
        let config = |cluster: &Value| json!({"@type": "…DynamicCluster", "cluster": cluster});
        json!({"configs": clusters.as_array().expect("a list").iter().map(config).collect::<Vec<_>>()})
            .to_string()
            .into()
    }

    fn cluster(name: &str, metadata: &Value) -> Value {
        json!({"name": name, "metadata": {"filter_metadata": {"other": {"x": 1}, "llm_router": metadata}}})
    }

    fn one(name: &str, metadata: &Value) -> Result<(Backend, String), String> {
        let found = discovered(&dump(&json!([cluster(name, metadata)])), "llm_router").expect("a dump");
        let [found]: [Found; 1] = found.try_into().expect("one");
        assert_eq!(found.cluster, name);
        found.backend.map_err(|errors| errors.listed())
    }

    #[test]
    fn a_cluster_says_what_it_is_as_a_configuration_would() {
        // As Envoy prints a Struct that was YAML: fractions as texts.
        let metadata = json!({"backend_type": "anthropic", "weight": "0.5", "cost_per_1k_tokens": "0.05",
            "circuit_breaker": {"enabled": false}, "quality_score": 1, "failure_domain": "a \"b\" \n"});
        let (backend, body) = one("alpha", &metadata).expect("a backend");
        assert_eq!((&*backend.id, &*backend.cluster, backend.weight.thousandths()), ("alpha", "alpha", 500));
        // What all workers read is the same.
        assert_eq!(commands::kept_backend("alpha", body.as_bytes()), Ok(backend));
        let (several, body) = one("several", &json!({"apis": ["openai", "messages"]})).expect("a backend");
        assert!(several.apis.has(crate::domain::Api::Messages) && several.apis.has(crate::domain::Api::Embeddings));
        assert_eq!(commands::kept_backend("several", body.as_bytes()), Ok(several));
        let (named, body) = one("outbound|443||api.example.com", &json!({"id": "example"})).expect("a backend");
        assert_eq!((&*named.id, &*named.cluster), ("example", "outbound|443||api.example.com"));
        assert_eq!(commands::kept_backend("example", body.as_bytes()), Ok(named));
    }

    #[test]
    fn what_is_wrong_has_its_path() {
        for (name, metadata, expected) in [
            (
                "a",
                json!({"wieght": 1, "quality_score": 2}),
                "quality_score: 2 is not in 0..=1 (from 0 to 1); wieght: unknown key",
            ),
            ("a.b", json!({}), "an id is 1 to 64"),
            ("a", json!({"id": 7}), "id: expected a string"),
            ("a", json!({"cluster": "b"}), "cluster: leave it out"),
            ("a", json!([]), "expected an object, found a list"),
        ] {
            let problem = one(name, &metadata).expect_err("a mistake");
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn clusters_of_others_are_left_alone_and_what_is_no_dump_is_none() {
        let others = json!([{"name": "a"}, {"name": "b", "metadata": {}}, {"name": "c", "metadata": {"filter_metadata": {}}},
            {"name": "d", "metadata": {"filter_metadata": {"other": {}}}}]);
        assert_eq!(discovered(&dump(&others), "llm_router"), Some(vec![]));
        assert_eq!(discovered(b"{}", "llm_router"), Some(vec![]));
        for no_dump in
            ["", "[]", "x", r#"{"configs":{}}"#, r#"{"configs":[1]}"#, r#"{"configs":[{"cluster":{}}]}"#, r#"{"a":1}"#]
        {
            assert_eq!(discovered(no_dump.as_bytes(), "llm_router"), None, "{no_dump}");
        }
        let whole = dump(&json!([cluster("a", &json!({}))]));
        assert!((0..whole.len()).all(|end| discovered(&whole[..end], "llm_router").is_none()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_dump_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = discovered(&bytes, "llm_router");
        }

        #[test]
        fn any_text_comes_through(text in "\\PC{1,20}", thousandths in any::<i32>()) {
            let number = f64::from(thousandths) / 1e3;
            let tree: Tree = serde_json::from_value(json!({"a": [text, number, null, true]})).expect("a tree");
            let again: Tree = serde_json::from_str(&tree.to_json()).expect("JSON");
            prop_assert_eq!(again, tree);
        }
    }
}
