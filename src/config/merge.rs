//! JSON merge patches (RFC 7386) of a backend.
//!
//! An object changes the members that it names, `null` takes one away, and any other value stands for itself. Of a backend
//! a member that is taken away has its default again.

use serde_json::Value;

use super::errors::{Errors, Problem};
use super::normal;
use super::tree::Tree;
use crate::domain::Backend;

/// A backend after a patch; see [`commands::patched`](super::commands::patched).
pub(super) fn backend(backend: &Backend, written: Option<&str>, patch: Tree) -> Result<String, Errors> {
    let Tree::Object(changes) = &patch else {
        return Err(Errors::document(format!("expected an object, found {}", patch.kind())));
    };
    if let Some(path) = repeated(&patch) {
        return Err(Errors::new(vec![Problem { path, message: "given twice".to_owned() }]));
    }
    let written = written.and_then(|body| serde_json::from_str(body).ok());
    let mut members = match written.unwrap_or_else(|| tree(&own(backend))) {
        Tree::Object(members) => members,
        _ => Vec::new(),
    };
    // It may have been changed by itself since.
    members.retain(|(key, _)| key != "weight");
    members.push(("weight".to_owned(), Tree::number(backend.weight.ratio())));
    // The same price may be said in other words. What is said now is the later word.
    let given: Vec<_> =
        changes.iter().filter(|(_, value)| *value != Tree::Null).filter_map(|(key, _)| price(key)).collect();
    members.retain(|(key, _)| price(key).is_none_or(|(kind, unit)| !is_overruled(kind, unit, &given)));
    Ok(merged(Tree::Object(members), patch).to_json())
}

/// Whether one of the given prices stands in for this one: one for all tokens for each other, and the other way round.
fn is_overruled(kind: &str, unit: &str, given: &[(&str, &str)]) -> bool {
    given.iter().any(|&(new, in_unit)| {
        let is_another_word = new == kind && in_unit != unit;
        let is_for_all = new.is_empty() && !kind.is_empty();
        is_another_word || is_for_all
    })
}

/// Of the name of a price: which tokens it is for, and in what unit it is.
fn price(key: &str) -> Option<(&str, &str)> {
    key.split_once("cost_per_").filter(|(_, unit)| unit.ends_with("_tokens"))
}

/// What is true of a backend without being what another of its members implies: if that changes, this follows it.
fn own(backend: &Backend) -> Value {
    let mut value = normal::backend(backend);
    let implied = [
        ("/apis", backend.apis == backend.kind.apis()),
        ("/failure_domain", backend.failure_domain == backend.cluster),
        ("/cached_input_cost_per_1k_tokens", backend.prices.cached_input == backend.prices.input),
        ("/health_check/host", backend.probe.as_ref().is_some_and(|probe| probe.host == backend.cluster)),
        ("/circuit_breaker/min_requests", backend.breaker.is_some_and(|it| it.min_requests == it.window.min(10))),
    ];
    for (path, _) in implied.iter().filter(|(_, is_implied)| *is_implied) {
        if let Some(member) = value.pointer_mut(path) {
            *member = Value::Null;
        }
    }
    value
}

fn tree(value: &Value) -> Tree {
    serde_json::from_str(&value.to_string()).unwrap_or_default()
}

fn merged(target: Tree, patch: Tree) -> Tree {
    let Tree::Object(changes) = patch else { return patch };
    let mut members = match target {
        Tree::Object(members) => members,
        _ => Vec::new(),
    };
    for (key, change) in changes {
        let place = members.iter().position(|(name, _)| *name == key);
        let before = place.map(|place| members.swap_remove(place).1).unwrap_or_default();
        if change != Tree::Null {
            members.push((key, merged(before, change)));
        }
    }
    Tree::object(members)
}

/// The path of a member that is there twice.
fn repeated(tree: &Tree) -> Option<String> {
    let Tree::Object(members) = tree else { return None };
    let twice = members.windows(2).find_map(|pair| match pair {
        [(one, _), (other, _)] if one == other => Some(one.clone()),
        _ => None,
    });
    let within = |(key, value): &(String, Tree)| Some(format!("{key}.{}", repeated(value)?));
    twice.or_else(|| members.iter().find_map(within))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::commands;
    use super::*;

    fn merge(target: &Value, patch: &Value) -> Value {
        serde_json::from_str(&merged(tree(target), tree(patch)).to_json()).expect("JSON")
    }

    #[test]
    fn the_examples_of_the_standard_give_what_it_says() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merge(&target, &patch), expected, "{target} {patch}");
        }
    }

    /// What a backend is after a patch, as it is shown.
    fn patch(before: &Value, written: bool, change: &str) -> Result<Value, String> {
        let read = |body: &str| commands::backend("a", body.as_bytes()).map_err(|errors| errors.listed());
        let text = before.to_string();
        let body = commands::patched(&read(&text)?, written.then_some(text.as_str()), change.as_bytes());
        read(&body.map_err(|errors| errors.listed())?).map(|backend| commands::shown(&backend))
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let before = json!({"cluster": "c", "weight": 3, "input_cost_per_1k_tokens": 0.5, "output_cost_per_1k_tokens": 1.5,
            "circuit_breaker": {"failure_threshold": 9, "window": 5}, "health_check": {"path": "/up"}, "priority": 7,
            "group": "g", "max_concurrent_requests": 4, "fixed_cost_per_hour_usd": 1.2});
        for written in [true, false] {
            let shown = patch(&before, written, "{}").expect("a backend");
            for (change, changed) in [
                (r#"{"weight":2}"#, json!({"/weight": 2.0})),
                (
                    r#"{"max_concurrent_requests":null,"priority":null}"#,
                    json!({"/max_concurrent_requests": null, "/priority": 1}),
                ),
                (r#"{"circuit_breaker":{"failure_threshold":2}}"#, json!({"/circuit_breaker/failure_threshold": 2})),
                (
                    r#"{"circuit_breaker":{"window":50}}"#,
                    json!({"/circuit_breaker/window": 50, "/circuit_breaker/min_requests": 10}),
                ),
                (r#"{"cluster":"d"}"#, json!({"/cluster": "d", "/failure_domain": "d", "/health_check/host": "d"})),
                (
                    r#"{"input_cost_per_1k_tokens":2}"#,
                    json!({"/input_cost_per_1k_tokens": 2.0, "/cached_input_cost_per_1k_tokens": 2.0}),
                ),
                (
                    r#"{"cost_per_1k_tokens":2}"#,
                    json!({"/input_cost_per_1k_tokens": 2.0, "/output_cost_per_1k_tokens": 2.0,
                    "/cached_input_cost_per_1k_tokens": 2.0}),
                ),
                (
                    r#"{"backend_type":"anthropic"}"#,
                    json!({"/backend_type": "anthropic",
                    "/apis": crate::domain::BackendType::Anthropic.apis().names()}),
                ),
            ] {
                let mut expected = shown.clone();
                for (path, value) in changed.as_object().expect("an object") {
                    *expected.pointer_mut(path).expect("a key") = value.clone();
                }
                assert_eq!(patch(&before, written, change), Ok(expected), "{change}");
            }
        }
    }

    #[test]
    fn a_breaker_that_is_switched_off_and_on_again_has_its_settings() {
        let before = json!({"circuit_breaker": {"failure_threshold": 9, "enabled": false}});
        let shown = patch(&before, true, r#"{"circuit_breaker":{"enabled":true}}"#).expect("a backend");
        assert_eq!(shown["circuit_breaker"]["failure_threshold"], 9);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_path() {
        for (change, expected) in [
            ("[1]", "expected an object, found a list"),
            ("3", "expected an object, found a number"),
            ("", "not JSON"),
            (r#"{"weight":1,"weight":2}"#, "weight: given twice"),
            (r#"{"circuit_breaker":{"window":1,"window":1}}"#, "circuit_breaker.window: given twice"),
            (r#"{"wieght":1}"#, "wieght: unknown key"),
            (r#"{"circuit_breaker":{"window":0}}"#, "circuit_breaker.window: 0 is not in"),
            (r#"{"weight":"much"}"#, "weight: expected a number"),
        ] {
            let problem = patch(&json!({}), false, change).expect_err("a mistake");
            assert!(problem.contains(expected), "{change}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn any_patch_is_merged_as_the_standard_says(
            target in any_json(), patch in any_json()
        ) {
            let merged = merge(&target, &patch);
            if let (Value::Object(changes), Value::Object(members)) = (&patch, &merged) {
                for (key, change) in changes {
                    let before = target.get(key).unwrap_or(&Value::Null);
                    let expected = (!change.is_null()).then(|| merge(before, change));
                    prop_assert_eq!(members.get(key), expected.as_ref());
                }
                let others = target.as_object().into_iter().flatten().filter(|(key, _)| !changes.contains_key(*key));
                for (key, value) in others {
                    prop_assert_eq!(members.get(key), Some(value));
                }
            } else {
                prop_assert_eq!(&merged, &patch);
            }
            prop_assert_eq!(merge(&merged, &patch), merged);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..9_i32).prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("[a-d]", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }
}
