//! What operators change.

use super::*;

#[test]
fn a_strategy_that_is_chosen_is_at_work_on_all_workers_until_the_configuration_says_otherwise() {
    let mut rig = Rig::three("round_robin");
    let put = |rig: &mut Rig, body: &str| rig.call(0, "PUT", "/strategy", &[], body.as_bytes());
    let reply = put(&mut rig, r#"{"strategy":"cost_aware"}"#);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains(r#""previous_strategy":"round_robin","new_strategy":"cost_optimized""#));
    assert_eq!(rig.get(1, "/strategy")["strategy"], "round_robin");
    rig.tick();
    let told = rig.get(1, "/strategy");
    assert_eq!((&told["strategy"], &told["source"]), (&json!("cost_optimized"), &json!("operator")));
    assert_eq!(rig.explain(&[], CHAT)["strategy"], "cost_optimized");

    // Another configuration with the same strategy keeps it, one with another ends it, also for those after it.
    for (configured, expected) in
        [("round_robin", "cost_optimized"), ("weighted", "weighted"), ("round_robin", "round_robin")]
    {
        let document = json!({ "strategy": configured, "backend_instances": { "a": {} } }).to_string();
        let config = Arc::new(config::parse(document.as_bytes()).unwrap());
        let Rig { world, workers: [worker, _], .. } = &mut rig;
        worker.router = Router::new(config, &mut worker.view, world, 1).unwrap();
        assert_eq!(worker.router.strategy().name(), expected);
        worker.follow(world);
        assert_eq!(worker.router.strategy().name(), expected);
    }

    let mut rig = Rig::three("round_robin");
    for (body, expected) in [
        (r#"{"strategy":"fastest"}"#, r#"strategy: \"fastest\" is not one of: round_robin, "#),
        (r#"{"strategy":7}"#, "strategy: expected a string, found a number"),
        ("{}", "strategy: missing"),
        ("", "not JSON"),
    ] {
        let reply = put(&mut rig, body);
        assert_eq!(code(&reply), (400, "invalid_request".to_owned()));
        assert!(reply.body.contains(expected), "{}", reply.body);
    }
    put(&mut rig, r#"{"strategy":"weighted"}"#);
    put(&mut rig, r#"{"strategy":"round_robin"}"#);
    assert_eq!(rig.get(0, "/strategy")["source"], "configuration", "the configured one ends the choice");
    rig.world.unwritable.set(true);
    assert_eq!(code(&put(&mut rig, r#"{"strategy":"weighted"}"#)).0, 503);
    assert_eq!(rig.get(0, "/strategy")["strategy"], "round_robin");
}

fn listed<'a>(document: &'a Value, id: &str) -> &'a Value {
    document["backends"].as_array().unwrap().iter().find(|backend| backend["id"] == id).unwrap()
}

#[test]
fn backends_are_registered_changed_and_removed_for_all_workers() {
    let mut rig = Rig::three("round_robin");
    let reply = rig.call(0, "PUT", "/backends/d", &[], br#"{"priority":0,"weight":3}"#);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let change = &serde_json::from_str::<Value>(&reply.body).unwrap()["backend_change"];
    assert_eq!((&change["backend"], &change["action"]), (&json!("d"), &json!("registered")));
    let holds = change["holds_until"].as_str().unwrap();
    assert!(holds.starts_with("until a configuration has backend_instances.d, "), "{holds}");
    assert_eq!(rig.send(), "d", "the worker that was asked has it at once");
    rig.tick();
    let told = rig.get(1, "/backends");
    let d = listed(&told, "d");
    assert_eq!((&d["source"], &d["weight"], &d["draining"]), (&json!("api"), &json!(3), &Value::Null));
    assert_eq!(listed(&told, "a")["source"], "configuration");

    let reply = rig.call(1, "PUT", "/backends/d", &[], br#"{"priority":9}"#);
    assert!(reply.body.contains(r#""action":"changed""#), "{}", reply.body);
    rig.tick();
    assert_ne!(rig.send(), "d");
    for id in ["a", "d"] {
        let reply = rig.call(1, "DELETE", &format!("/backends/{id}"), &[], b"");
        assert!(reply.body.contains(r#""action":"removed""#), "{}", reply.body);
    }
    rig.tick();
    let told = rig.get(0, "/backends");
    assert_eq!((told["backends"].as_array().unwrap().len(), &told["removed"]), (2, &json!(["a"])));
    assert_eq!(listed(&told, "b")["default"], true, "the default backend was removed");
    assert_eq!(rig.call(0, "DELETE", "/backends/b", &[], b"").status, 200);
    assert_eq!(code(&rig.call(0, "DELETE", "/backends/c", &[], b"")), (409, "conflict".to_owned()));
    let log = rig.world.lines().join("\n");
    for action in ["backend_register", "backend_change", "backend_remove"] {
        assert!(log.contains(&format!(r#""action":"{action}","backend":"d","from":"192.0.2.7:4711""#)), "{log}");
    }
}

#[test]
fn a_backend_that_is_registered_has_the_cluster_of_another_or_one_that_says_so_itself() {
    let mut rig = Rig::new(&json!({ "envoy_admin": { "cluster": "admin" }, "discovery": { "enabled": true },
        "backend_instances": { "a": {}, "b": { "cluster": "shared" } } }));
    rig.guard = Guard::new(Token::default(), ControlConfig::default());
    for (id, body, cluster) in [
        ("ops", r#"{"cluster":"envoy_admin_port"}"#, "envoy_admin_port"),
        ("c", "{}", "c"),
        ("a", r#"{"cluster":"elsewhere"}"#, "elsewhere"),
        ("c", r#"{"cluster":"a "}"#, ""),
        ("c", r#"{"cluster":"A"}"#, "A"),
    ] {
        let reply = rig.call(0, "PUT", &format!("/backends/{id}"), &[], body.as_bytes());
        assert!(matches!(reply.status, 400 | 409), "{}", reply.body);
        let names_the_cure = reply.body.contains("allow_any_cluster") && reply.body.contains("metadata");
        assert!(
            cluster.is_empty() || (names_the_cure && reply.body.contains(&format!(r#"\"{cluster}\""#))),
            "{}",
            reply.body
        );
    }
    assert_eq!(
        rig.call(0, "PUT", "/backends/x", &[], br#"{"cluster":"admin"}"#).status,
        400,
        "not even if it were allowed"
    );
    for (id, body) in [("a", r#"{"weight":2}"#), ("b", r#"{"cluster":"a"}"#), ("c", r#"{"cluster":"shared"}"#)] {
        let reply = rig.call(0, "PUT", &format!("/backends/{id}"), &[], body.as_bytes());
        assert_eq!(reply.status, 200, "{id}: {}", reply.body);
    }
    // The cluster of a backend that was removed is one of the configuration still.
    assert_eq!(rig.call(0, "DELETE", "/backends/b", &[], b"").status, 200);
    assert_eq!(rig.call(0, "PUT", "/backends/b", &[], br#"{"cluster":"shared"}"#).status, 200);

    // A cluster that describes itself is known from then on; one that does so wrongly is not.
    let dump = json!({ "configs": [
        { "cluster": { "name": "new", "metadata": { "filter_metadata": { "llm_router": {} } } } },
        { "cluster": { "name": "wrong", "metadata": { "filter_metadata": { "llm_router": { "weight": -1 } } } } },
        { "cluster": { "name": "other", "metadata": { "filter_metadata": { "other": {} } } } },
    ]});
    let found = config::discovered(dump.to_string().as_bytes(), "llm_router").unwrap();
    let found: Vec<_> = found.iter().collect();
    rig.workers[0].router.steering().discover(&rig.world, &found).unwrap();
    rig.tick();
    for (cluster, expected) in [("new", 200), ("wrong", 409), ("other", 409)] {
        let body = json!({ "cluster": cluster }).to_string();
        assert_eq!(rig.call(0, "PUT", "/backends/d", &[], body.as_bytes()).status, expected, "{cluster}");
    }

    rig.guard = Guard::new(Token::default(), any_cluster());
    assert_eq!(rig.call(0, "PUT", "/backends/e", &[], b"{}").status, 200);
    assert_eq!(rig.call(0, "PUT", "/backends/x", &[], br#"{"cluster":"admin"}"#).status, 400, "that never");
    // What is in effect may be changed.
    rig.guard = Guard::new(Token::default(), ControlConfig::default());
    assert_eq!(rig.call(0, "PUT", "/backends/e", &[], br#"{"weight":3}"#).status, 200);
}

#[test]
fn a_listener_that_anybody_reaches_takes_no_changes_without_a_token() {
    let mut rig = Rig::three("round_robin");
    let bearer = [("authorization", "Bearer t")];
    for (destination, open, closed) in [
        (&b"127.0.0.1:8888"[..], 200, 200),
        (b"[::1]:8888", 200, 200),
        (b"10.1.2.3:8888", 403, 200),
        (b"[2001:db8::1]:1", 403, 200),
    ] {
        rig.world.properties.borrow_mut().insert(Property::DestinationAddress, destination.to_vec());
        rig.guard = Guard::new(Token::default(), ControlConfig::default());
        assert_eq!(rig.call(0, "PUT", "/weights", &[], br#"{"a":1}"#).status, open);
        assert_eq!(rig.call(0, "POST", "/backends/a/drain", &bearer, b"").status, open);
        assert_eq!(rig.call(0, "GET", "/health", &[], b"").status, 200, "reading is not changed by it");
        rig.guard = Guard::new(Token::new(Some(b"t".to_vec())), ControlConfig::default());
        assert_eq!(rig.call(0, "PUT", "/weights", &bearer, br#"{"a":1}"#).status, closed);
        assert_eq!(rig.call(0, "PUT", "/weights", &[], br#"{"a":1}"#).status, 401);
    }
}

#[test]
fn a_draining_backend_gets_nothing_new_and_finishes_what_it_has() {
    let mut rig = Rig::new(&json!({ "strategy": "round_robin", "panic_threshold": 1.0, "backend_instances": {
        "a": { "priority": 0 }, "b": {} } }));
    let begun = rig.begin();
    let reply = rig.call(0, "POST", "/backends/a/drain", &[], br#"{"reason":"new disks"}"#);
    assert!(reply.body.contains(r#""draining":true,"reason":"new disks","in_flight":1"#), "{}", reply.body);
    assert_eq!(rig.send(), "b");
    let explained = rig.explain(&[], CHAT);
    assert_eq!(explained["backends"][0]["excluded"]["by"], "operator");
    let told = rig.get(0, "/backends");
    let drain = &listed(&told, "a")["draining"];
    assert_eq!((&drain["reason"], &drain["by"]), (&json!("new disks"), &json!("192.0.2.7:4711")));
    assert_eq!(drain["since"], "1970-01-01T00:16:40.000Z");
    assert_eq!(listed(&told, "a")["in_flight"]["requests"], 1);
    rig.end(begun);
    rig.tick();
    assert_eq!(listed(&rig.get(0, "/backends"), "a")["in_flight"]["requests"], 0);

    // Not even in panic, and with nobody else there is nobody.
    assert_eq!(rig.call(0, "POST", "/circuit-breaker/b/open", &[], b"").status, 200);
    assert_eq!(rig.explain(&[], CHAT)["decision"]["attempts"], json!(["b", "b", "b"]));
    assert_eq!(rig.call(0, "POST", "/backends/b/drain", &[], b"").status, 200);
    let refusal = &rig.explain(&[], CHAT)["refusal"];
    assert_eq!((&refusal["status"], &refusal["retry_after_seconds"]), (&json!(503), &Value::Null));
    assert!(rig.call(0, "POST", "/backends/a/undrain", &[], b"").body.contains(r#""draining":false"#));
    assert_eq!(rig.send(), "a");
}

#[test]
fn weights_are_changed_together() {
    let mut rig = Rig::three("weighted_round_robin");
    let reply = rig.call(0, "PUT", "/weights", &[], br#"{"b":0.5,"a":0.25}"#);
    assert!(
        reply
            .body
            .contains(r#"{"id":"a","previous_weight":5,"weight":0.25},{"id":"b","previous_weight":1,"weight":0.5},"#),
        "{}",
        reply.body
    );
    let told = rig.get(0, "/backends");
    assert_eq!((&listed(&told, "a")["weight"], &listed(&told, "a")["configured_weight"]), (&json!(0.25), &json!(5)));
    assert_eq!(listed(&told, "c")["configured_weight"], Value::Null);
    assert!(rig.world.lines().join("\n").contains(r#""thousandths":"a 250,b 500""#));
    rig.tick();
    assert_eq!(listed(&rig.get(1, "/backends"), "b")["weight"], 0.5);
}

#[test]
fn what_is_wrong_with_a_change_is_told_with_its_path_and_nothing_is_changed() {
    let mut rig =
        Rig::new(&json!({ "envoy_admin": { "cluster": "admin" }, "backend_instances": { "a": {}, "b": {} } }));
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(201));
    for (method, endpoint, body, status, expected) in [
        (
            "PUT",
            "/backends/d",
            r#"{"quality_score":1.4,"wieght":1}"#,
            400,
            "quality_score: 1.4 is not in 0..=1 (from 0 to 1); wieght: ",
        ),
        ("PUT", "/backends/d", "[]", 400, "expected an object"),
        ("PUT", "/backends/d", "", 400, "not JSON"),
        ("PUT", "/backends/d.e", "{}", 400, "an id is 1 to 64"),
        ("PUT", "/backends/", "{}", 400, "an id is 1 to 64"),
        ("PUT", "/backends/d", r#"{"cluster":"admin"}"#, 400, "cluster: is Envoy's admin interface"),
        ("PUT", "/weights", r#"{"a":0,"b":"x"}"#, 400, "a: 0 is not in 0.001..=1000 (from 0.001 to 1000); "),
        ("PUT", "/weights", r#"{"a":"0.5"}"#, 400, "a: expected a number, found a string; write it without quotes"),
        ("PUT", "/weights", r#"{"d":1,"a":1,"e":2}"#, 400, "d: there is no such backend; e: there is no such backend"),
        ("PUT", "/weights", r#"{"d.e":1}"#, 400, "d.e: no id"),
        ("PUT", "/weights", "{}", 400, "no weight"),
        ("POST", "/backends/a/drain", &long, 400, "reason: longer than 200"),
        ("POST", "/backends/a/drain", r#"{"why":1}"#, 400, "why: unknown key"),
        ("POST", "/backends/d/drain", "", 404, "no such backend"),
        ("POST", "/backends/d/undrain", "", 404, "no such backend"),
        ("DELETE", "/backends/d", "", 404, "no such backend"),
    ] {
        let reply = rig.call(0, method, endpoint, &[], body.as_bytes());
        assert_eq!(code(&reply).0, status, "{endpoint} {body}: {}", reply.body);
        assert!(reply.body.contains(expected), "{endpoint} {body}: {}", reply.body);
    }
    rig.world.unwritable.set(true);
    assert_eq!(code(&rig.call(0, "PUT", "/backends/d", &[], b"{}")).0, 503);
    let told = rig.get(0, "/backends");
    assert_eq!((told["backends"].as_array().unwrap().len(), &told["removed"]), (2, &json!([])));
    assert!(rig.world.log.borrow().is_empty());
}

#[test]
fn ids_are_not_registered_without_end() {
    let mut rig = Rig::three("round_robin");
    let mut put = |n: usize| {
        let path = format!("/backends/d{n}");
        let reply = rig.call(0, "PUT", &path, &[], b"{}").status;
        rig.call(0, "DELETE", &path, &[], b"");
        reply
    };
    let accepted = (0..1_100).filter(|&n| put(n) == 200).count();
    assert_eq!(accepted, 1_024 - 3);
    assert_eq!((put(5), put(2_000)), (200, 409), "one that is known is welcome");
}
