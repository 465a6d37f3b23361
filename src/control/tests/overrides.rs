//! Backends that stand in for what is configured: read, written back, patched, and given up.

use super::*;
use crate::config::tests::properties::configuration;
use crate::state::Store as _;

fn told(rig: &mut Rig, method: &str, endpoint: &str, body: &str) -> Value {
    let reply = rig.call(0, method, endpoint, &[], body.as_bytes());
    assert_eq!(reply.status, 200, "{method} {endpoint} {body}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

/// What shared data holds of changes, and what is in effect.
fn state(rig: &Rig) -> (Option<Vec<u8>>, config::Config) {
    let bytes = rig.world.store.get("llm-router/1/steering").unwrap().map(|(bytes, _)| bytes);
    (bytes, config::Config::clone(rig.workers[0].router.config()))
}

fn priced() -> Value {
    json!({ "strategy": "weighted", "backend_instances": {
        "a": { "cluster": "c", "weight": 5, "input_cost_per_1k_tokens": 0.5, "output_cost_per_1k_tokens": 1.5,
            "circuit_breaker": { "failure_threshold": 9 }, "group": "fast" },
        "b": {}, "c": {},
    }})
}

#[test]
fn a_patch_of_the_weight_leaves_the_prices_and_all_else() {
    let mut rig = Rig::new(&priced());
    let before = rig.get(0, "/backends/a");
    let change = &told(&mut rig, "PATCH", "/backends/a", r#"{"weight":2}"#)["backend_change"];
    assert_eq!((&change["action"], &change["changed_keys"]), (&json!("changed"), &json!(["weight"])));
    assert_eq!((&change["applies_within_ms"], &change["outlives_configuration"]), (&json!(100), &json!(true)));
    let mut expected = before;
    expected["weight"] = json!(2.0);
    assert_eq!(rig.get(0, "/backends/a"), expected);
    rig.tick();
    assert_eq!(rig.get(1, "/backends/a"), expected, "on the other worker, too");
    // Patch by patch.
    told(&mut rig, "PATCH", "/backends/a", r#"{"circuit_breaker":{"window":20},"group":null}"#);
    (expected["circuit_breaker"]["window"], expected["group"]) = (json!(20), Value::Null);
    assert_eq!(rig.get(0, "/backends/a"), expected);
    // Of a put, what is left out has its default; and that is told.
    let change = &told(&mut rig, "PUT", "/backends/a", r#"{"weight":2,"cluster":"c"}"#)["backend_change"];
    let keys =
        ["cached_input_cost_per_1k_tokens", "circuit_breaker", "input_cost_per_1k_tokens", "output_cost_per_1k_tokens"];
    assert_eq!(change["changed_keys"], json!(keys));
}

#[test]
fn a_weight_that_was_changed_by_itself_is_where_a_patch_begins() {
    let mut rig = Rig::new(&priced());
    told(&mut rig, "PUT", "/backends/b", r#"{"priority":3,"weight":4}"#);
    told(&mut rig, "PUT", "/weights", r#"{"b":9}"#);
    told(&mut rig, "PATCH", "/backends/b", r#"{"priority":2}"#);
    let shown = rig.get(0, "/backends/b");
    assert_eq!((&shown["weight"], &shown["priority"]), (&json!(9.0), &json!(2)));
}

#[test]
fn what_is_wrong_with_a_patch_is_told_and_nothing_is_changed() {
    let mut rig = Rig::new(&priced());
    rig.guard = Guard::new(Token::default(), ControlConfig::default());
    let before = state(&rig);
    for (endpoint, body, status, expected) in [
        ("/backends/x", "{}", 404, "no such backend"),
        ("/backends/a", "", 400, "not JSON"),
        ("/backends/a", "[]", 400, "expected an object"),
        ("/backends/a", r#"{"wieght":2}"#, 400, "wieght: unknown key"),
        ("/backends/a", r#"{"weight":2,"weight":3}"#, 400, "weight: given twice"),
        ("/backends/a", r#"{"circuit_breaker":{"window":0}}"#, 400, "circuit_breaker.window: 0 is not in"),
        ("/backends/a", r#"{"output_cost_per_1k_tokens":null}"#, 400, "output_cost_per_1k_tokens: missing"),
        ("/backends/a", r#"{"cluster":"elsewhere"}"#, 409, "allow_any_cluster"),
        ("/backends/a", r#"{"id":"b"}"#, 400, "id: differs"),
    ] {
        let reply = rig.call(0, "PATCH", endpoint, &[], body.as_bytes());
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        assert!(reply.body.contains(expected), "{body}: {}", reply.body);
    }
    assert_eq!(state(&rig), before);
}

#[test]
fn a_delete_ends_an_override_first_and_with_the_scope_override_nothing_but_that() {
    let mut rig = Rig::new(&priced());
    let configured = rig.get(0, "/backends/a");
    let action = |rig: &mut Rig, endpoint: &str| told(rig, "DELETE", endpoint, "")["backend_change"]["action"].clone();
    told(&mut rig, "PATCH", "/backends/a", r#"{"weight":2}"#);
    assert_eq!(action(&mut rig, "/backends/a"), "restored");
    assert_eq!(
        (rig.get(0, "/backends/a"), listed(&mut rig, "a")["source"].clone()),
        (configured.clone(), json!("configuration"))
    );
    assert_eq!(action(&mut rig, "/backends/a"), "removed");
    assert_eq!(rig.call(0, "GET", "/backends/a", &[], b"").status, 404);

    // Back, whatever was done to it: a removal, a weight, a patch. A second call does no harm.
    let restore = "/backends/a?scope=override";
    for (method, endpoint, body) in [
        ("PUT", "/weights", r#"{"a":7}"#),
        ("PUT", "/backends/a", "{}"),
        ("PATCH", "/backends/a", r#"{"priority":7}"#),
        ("DELETE", "/backends/a", ""),
    ] {
        assert_eq!(action(&mut rig, restore), "restored");
        assert_eq!(rig.get(0, "/backends/a"), configured);
        assert_eq!(rig.call(0, "DELETE", restore, &[], b"").status, 404, "there is nothing to end");
        assert_eq!(rig.get(0, "/backends/a"), configured);
        told(&mut rig, method, endpoint, body);
    }
    assert_eq!(action(&mut rig, restore), "restored");
    assert_eq!(state(&rig).1, state(&Rig::new(&priced())).1);
    let reply = rig.call(0, "DELETE", "/backends/a?scope=all", &[], b"");
    assert_eq!((reply.status, reply.body.contains("scope: ")), (400, true));

    // What is only here is removed, at once.
    told(&mut rig, "PUT", "/backends/x", "{}");
    assert_eq!(rig.call(0, "DELETE", "/backends/x?scope=override", &[], b"").status, 404);
    assert_eq!(action(&mut rig, "/backends/x"), "removed");
}

fn listed(rig: &mut Rig, id: &str) -> Value {
    let all = rig.get(0, "/backends");
    all["backends"].as_array().unwrap().iter().find(|backend| backend["id"] == id).unwrap().clone()
}

#[test]
fn weights_are_those_of_backends_groups_and_types() {
    let mut rig = Rig::new(&json!({ "backend_instances": {
        "l1": { "backend_type": "lightrag" }, "l2": { "backend_type": "lightrag" }, "p": { "backend_type": "perplexity" },
        "g1": { "group": "gpu", "weight": 3 }, "g2": { "group": "gpu" }, "perplexity": {},
    }}));
    let weights = |rig: &mut Rig, body: &str| {
        let change = told(rig, "PUT", "/weights", body);
        let list = change["weights_change"]["weights"].as_array().unwrap().clone();
        assert_eq!(change["weights_change"]["applies_within_ms"], 100);
        list.iter()
            .map(|one| format!("{} {}", one["id"].as_str().unwrap(), one["weight"]))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(
        weights(&mut rig, r#"{"lightrag":0.7,"perplexity":0.3}"#),
        "g1 3, g2 1, l1 0.35, l2 0.35, p 1, perplexity 0.3",
        "a backend of the name is meant before a type"
    );
    assert_eq!(weights(&mut rig, r#"{"gpu":2,"p":0.5}"#), "g1 1.5, g2 0.5, l1 0.35, l2 0.35, p 0.5, perplexity 0.3");
    assert_eq!(rig.workers[0].router.config().backends[0].weight.thousandths(), 1_500);
    for (body, expected) in [
        (r#"{"gemini":1,"l1":2}"#, "gemini: there is no such backend"),
        (r#"{"lightrag":1,"l1":2}"#, "l1: more than one"),
        (r#"{"lightrag":0.001}"#, "lightrag: 0.001 is less than"),
        (r#"{"lightrag":0}"#, "lightrag: 0 is not in"),
        (r#"{"light rag":1}"#, "light rag: no id"),
    ] {
        let reply = rig.call(0, "PUT", "/weights", &[], body.as_bytes());
        assert_eq!((reply.status, reply.body.contains(expected)), (400, true), "{body}: {}", reply.body);
    }
}

#[test]
fn backends_are_listed_by_group_and_a_rehearsal_of_a_group_is_one_of_its_first() {
    let mut rig = Rig::new(&json!({ "strategy": "round_robin", "backend_instances": {
        "qdrant-primary": { "group": "qdrant", "backend_type": "generic", "apis": ["openai"] },
        "qdrant-secondary": { "group": "qdrant", "backend_type": "generic", "apis": ["openai"], "priority": 2 },
        "gpu0": { "group": "embedding", "priority": 3 },
        "phi3": { "group": "external", "priority": 4 }, "plain": { "priority": 5 },
    }}));
    let health = rig.get(0, "/health");
    let ids =
        |label: &str| health["health_status"][label].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let labels: Vec<_> = health["health_status"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(labels.len(), 4, "{labels:?}");
    assert_eq!(
        ["qdrant", "embedding", "external", "openai"].map(ids),
        ["qdrant-primary qdrant-secondary", "gpu0", "phi3", "plain"]
    );
    assert_eq!(health["total_backends"], 5);
    for (asked, first, backup) in [
        ("qdrant", "qdrant-primary", "qdrant-secondary"),
        ("qdrant-secondary", "qdrant-secondary", "qdrant-primary"),
        ("embedding", "gpu0", "qdrant-primary"),
        ("generic", "qdrant-primary", "qdrant-secondary"),
        ("openai", "gpu0", "qdrant-primary"),
    ] {
        let test = &told(&mut rig, "POST", "/circuit-breaker/test", &json!({ "backend": asked }).to_string())["circuit_breaker_test"];
        assert_eq!([&test["backend"], &test["backend_id"], &test["backup_backend"]], [asked, first, backup]);
        let test = &told(&mut rig, "POST", "/failover/test", &json!({ "primary_backend": asked }).to_string())["failover_test"];
        assert_eq!(
            [&test["primary_backend"], &test["primary_backend_id"], &test["backup_backend"]],
            [asked, first, backup]
        );
    }
    let reply = rig.call(0, "POST", "/circuit-breaker/test", &[], br#"{"backend":"gemini"}"#);
    assert_eq!(code(&reply).0, 404);
}

#[test]
fn a_change_of_strategy_tells_of_connections_before_and_after() {
    let mut rig = Rig::three("round_robin");
    let begun = rig.begin();
    let change = &told(&mut rig, "PUT", "/strategy", r#"{"strategy":"least_connections"}"#)["strategy_change"];
    for key in ["active_connections_before", "active_connections_after"] {
        let sum: u64 = change[key].as_object().unwrap().values().map(|requests| requests.as_u64().unwrap()).sum();
        assert_eq!((change[key].as_object().unwrap().len(), sum), (3, 1), "{key}");
    }
    assert_eq!(change["applies_within_ms"], 100);
    rig.end(begun);
}

#[test]
fn every_answer_to_a_change_says_how_soon_it_applies() {
    let mut rig = Rig::new(&priced());
    for (method, endpoint, body) in [
        ("PUT", "/strategy", r#"{"strategy":"weighted"}"#),
        ("PUT", "/backends/x", "{}"),
        ("PATCH", "/backends/x", "{}"),
        ("DELETE", "/backends/x", ""),
        ("POST", "/backends/a/drain", ""),
        ("POST", "/backends/a/undrain", ""),
        ("PUT", "/weights", r#"{"a":1}"#),
        ("POST", "/circuit-breaker/a/open", ""),
        ("POST", "/circuit-breaker/a/close", ""),
    ] {
        let change = told(&mut rig, method, endpoint, body);
        let change = change.as_object().unwrap().values().next().unwrap();
        assert_eq!(change["applies_within_ms"], 100, "{method} {endpoint}");
        assert!(change["holds_until"].is_string() && change["change_timestamp"].is_string(), "{method} {endpoint}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_get_shows_of_a_backend_changes_nothing_when_put_or_patched_back(
        config in configuration(), weights in prop::collection::vec(1..1_000_000_u32, 6), drains in any::<bool>()
    ) {
        let mut rig = Rig::new(&config.to_json());
        rig.guard = Guard::new(Token::default(), ControlConfig::default());
        for round in 0..3 {
            for (backend, weight) in config.backends.iter().zip(&weights) {
                let path = format!("/backends/{}", backend.id);
                let shown = rig.call(0, "GET", &path, &[], b"").body;
                let in_list = listed(&mut rig, &backend.id)["configuration"].clone();
                prop_assert_eq!(&in_list, &serde_json::from_str::<Value>(&shown).unwrap());
                let before = state(&rig);
                for (method, body) in [("PUT", &*shown), ("PATCH", &shown), ("PATCH", "{}")] {
                    let reply = rig.call(0, method, &path, &[], body.as_bytes());
                    prop_assert_eq!(reply.status, 200, "{} {}: {}", method, body, reply.body);
                    prop_assert!(reply.body.contains(r#""changed_keys":[]"#), "{}", reply.body);
                    prop_assert_eq!(&state(&rig), &before);
                }
                // The next round finds it changed, in one way and then in another.
                let (endpoint, method, body) = match round {
                    0 => ("/weights".to_owned(), "PUT", json!({ &*backend.id: f64::from(*weight) / 1e3 })),
                    _ => (path.clone(), "PATCH", json!({ "priority": weight % 100, "timeout_seconds": 7.25 })),
                };
                if round < 2 {
                    told(&mut rig, method, &endpoint, &body.to_string());
                }
                if drains {
                    told(&mut rig, "POST", &format!("{path}/drain"), "");
                }
            }
        }
    }
}
