//! What operators, backends and Envoy itself send: configurations, calls of the control API, checks, lists of clusters.

use super::*;

#[test]
fn a_configuration_costs_the_same_for_each_byte_whatever_it_is() {
    let cost = |bytes: &[u8]| {
        let mut vm = Vm::unconfigured();
        let steps = vm.steps(|vm| _ = vm.configure_router(bytes));
        Cost { bytes: bytes.len(), steps }
    };
    let shapes: &[Shape] = &[
        ("backends", |n| {
            let backends: Vec<_> = (0..n / 90)
                .map(|at| format!(r#""backend-{at}":{{"cluster":"c","weight":2,"priority":1,"quality_score":0.5,"cost_per_1k_tokens":0.1}}"#))
                .collect();
            format!(r#"{{"backend_instances":{{{}}}}}"#, backends.join(",")).into_bytes()
        }),
        ("keys that nobody knows", |n| {
            let keys: Vec<_> = (0..n / 20).map(|at| format!(r#""qualty_sc{at}":1"#)).collect();
            format!(r#"{{"backend_instances":{{"a":{{{}}}}}}}"#, keys.join(",")).into_bytes()
        }),
        ("one key again and again", |n| filled(n, r#"{"backend_instances":{"a":{"#, r#""weight":1"#, ",", "}}}")),
        ("keys of no bytes", |n| filled(n, "{", r#""":1"#, ",", "}")),
        ("lists in lists", |n| {
            let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
            filled(n, r#"{"seed":["#, &deep, ",", "]}")
        }),
        ("hints that nobody knows", |n| filled(n, r#"{"client_hints":["#, r#""tenants""#, ",", "]}")),
        ("numbers", |n| filled(n, r#"{"cost":{"alert_thresholds":["#, "0.5", ",", "]}}")),
        ("one text", |n| filled(n, r#"{"strategy":""#, "a", "", r#""}"#)),
        ("no JSON and no Struct", |n| filled(n, "", "\u{12}", "", "")),
        ("a Struct of entries of nothing", |n| b"\x0a\x05\x0a\x01k\x12\x00".repeat(n / 7)),
        ("a Struct of lists in lists", |n| {
            // Value { list: ListValue { values: [ … ] } }, from the inside out.
            let field = |number: u8, inner: &[u8]| {
                let mut bytes = vec![number << 3 | 2];
                let mut size = inner.len();
                while size >= 0x80 {
                    bytes.push((size & 0x7F) as u8 | 0x80);
                    size >>= 7;
                }
                bytes.push(size as u8);
                bytes.extend(inner);
                bytes
            };
            let value = (0..50).fold(Vec::new(), |inner, _| field(6, &field(1, &inner)));
            let entry = field(1, &[field(1, b"k"), field(2, &value)].concat());
            entry.repeat(n / entry.len())
        }),
    ];
    bounded("config", 32 * KIB, 4.0, shapes, cost);
}

#[test]
fn a_call_of_the_control_api_costs_the_same_for_each_byte_whatever_it_is() {
    let kinds: [(&str, &str, &[Shape]); 4] = [
        (
            "PUT",
            "/api/v1/router/backends/gamma",
            &[
                ("a text that is it all", (|n| filled(n, r#"{"failure_domain":""#, "word ", "", r#""}"#))),
                ("keys that nobody knows", |n| {
                    let keys: Vec<_> = (0..n / 20).map(|at| format!(r#""qualty_sc{at}":1"#)).collect();
                    format!("{{{}}}", keys.join(",")).into_bytes()
                }),
                ("one key again and again", |n| filled(n, "{", r#""weight":1"#, ",", "}")),
                ("lists in lists", |n| filled(n, r#"{"seed":"#, "[", "", "")),
            ],
        ),
        (
            "PUT",
            "/api/v1/router/weights",
            &[
                ("weights of nobody", |n| {
                    let ids: Vec<_> = (0..n / 14).map(|at| format!(r#""id{at:06}":1"#)).collect();
                    format!("{{{}}}", ids.join(",")).into_bytes()
                }),
                ("one weight again and again", |n| filled(n, "{", r#""alpha":2"#, ",", "}")),
                ("a type again and again", |n| filled(n, "{", r#""openai":2"#, ",", "}")),
            ],
        ),
        (
            "POST",
            "/api/v1/router/explain",
            &[questions_conversation(), ("empty messages", |n| filled(n, r#"{"messages":["#, "{}", ",", "]}"))],
        ),
        (
            "POST",
            "/api/v1/router/backends/alpha/drain",
            &[
                ("a reason that is it all", (|n| filled(n, r#"{"reason":""#, "word ", "", r#""}"#))),
                ("a reason of escapes", |n| filled(n, r#"{"reason":""#, r"\u0000", "", r#""}"#)),
            ],
        ),
    ];
    for (method, path, shapes) in kinds {
        let cost = |body: &[u8]| {
            let mut vm = Vm::new(&router());
            let steps = vm.steps(|vm| _ = vm.control(method, path, body));
            assert!(vm.local().is_some(), "it is answered");
            Cost { bytes: body.len(), steps }
        };
        // The measure is a configuration of that size: the same code reads both.
        let mut all: Vec<Shape> = vec![("keys of some length", |n| {
            let keys: Vec<_> = (0..n / 30).map(|at| format!(r#""key-of-some-length-{at}":0.5"#)).collect();
            format!("{{{}}}", keys.join(",")).into_bytes()
        })];
        all.extend(shapes);
        bounded(path.rsplit('/').next().unwrap(), 60 * KIB, 10.0, &all, cost);
    }
}

fn questions_conversation() -> Shape {
    ("a conversation", |n| {
        filled(
            n,
            r#"{"messages":["#,
            r#"{"role":"user","content":"What is said in few words is soon read."}"#,
            ",",
            "]}",
        )
    })
}

fn watched() -> Value {
    json!({"backend_instances": {"alpha": {"backend_type": "lightrag", "health_check": {"path": "/health", "interval_seconds": 1}},
        "beta": {"health_check": {"path": "/v1/models", "interval_seconds": 1}}},
        "envoy_admin": {"cluster": "admin", "interval_ms": 1000}, "discovery": {"enabled": true}})
}

/// Two VMs: as long as one is alone, Envoy is starting, and nobody is asked anything.
fn pair() -> [Vm; 2] {
    let vm = Vm::new(&watched());
    let other = vm.beside(&watched());
    [vm, other]
}

/// What it takes to read the answer to a call of which the path begins so.
fn answer_cost(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Cost {
    let mut vms = pair();
    let mut fields = vec![field(":status", "200")];
    fields.extend(headers.iter().map(|(name, value)| field(name, value)));
    // One of them does what is done once a process.
    for turn in 0..200 {
        let vm = &mut vms[turn % 2];
        for call in vm.tick() {
            if call.path.starts_with(path) {
                let steps = vm.steps(|vm| vm.answer_call(&call, fields.clone(), body));
                return Cost { bytes: body.len(), steps };
            }
            // What else it asks for is answered shortly.
            vm.answer_call(&call, vec![field(":status", "200")], b"{}");
        }
    }
    panic!("{path} is never asked for");
}

#[test]
fn what_a_backend_says_of_itself_costs_the_same_for_each_byte() {
    let kinds: [(&str, &[Shape]); 2] = [
        (
            "/health",
            &[
                (
                    "a report",
                    (|n| {
                        filled(
                            n,
                            r#"{"status":"healthy","configuration":{"a":["#,
                            r#"{"name":"a model","value":"of some length"}"#,
                            ",",
                            "]}}",
                        )
                    }),
                ),
                ("fields of nothing", |n| filled(n, "{", r#""":1"#, ",", "}")),
                ("one field again and again", |n| filled(n, "{", r#""status":"healthy""#, ",", "}")),
                ("a status that is it all", |n| filled(n, r#"{"status":""#, "a", "", r#""}"#)),
                ("lists in lists", |n| filled(n, r#"{"a":"#, "[", "", "")),
                ("digits", |n| filled(n, r#"{"knowledge_base_size":1"#, "9", "", "}")),
                ("escapes", |n| filled(n, r#"{"api_version":""#, r"\u00e9", "", r#""}"#)),
            ],
        ),
        (
            "/v1/models",
            &[
                ("models", |n| {
                    filled(n, r#"{"data":["#, r#"{"id":"a model","object":"model","owned_by":"somebody"}"#, ",", "]}")
                }),
                ("models of nothing", |n| filled(n, r#"{"data":["#, "{}", ",", "]}")),
                ("models of numbers", |n| filled(n, r#"{"data":["#, "1", ",", "]}")),
                ("models again and again", |n| filled(n, "{", r#""data":[]"#, ",", "}")),
            ],
        ),
    ];
    for (path, shapes) in kinds {
        bounded(path, 64 * KIB, 20.0, shapes, |body| answer_cost(path, &[], body));
    }
}

#[test]
fn envoys_own_lists_cost_the_same_for_each_byte() {
    let clusters: &[Shape] = &[
        ("clusters of others", |n| {
            let host = r#"{"stats":[{"name":"rq_active","value":"7","type":"GAUGE"}],"health_status":{"eds_health_status":"HEALTHY"},"weight":1}"#;
            let each: Vec<_> =
                (0..n / 200).map(|at| format!(r#"{{"name":"cluster-{at}","host_statuses":[{host}]}}"#)).collect();
            format!(r#"{{"cluster_statuses":[{}]}}"#, each.join(",")).into_bytes()
        }),
        ("clusters of nothing", |n| filled(n, r#"{"cluster_statuses":["#, r#"{"name":""}"#, ",", "]}")),
        ("hosts of nothing", |n| {
            filled(n, r#"{"cluster_statuses":[{"name":"alpha","host_statuses":["#, "{}", ",", "]}]}")
        }),
        ("fields of nothing", |n| filled(n, "{", r#""":1"#, ",", "}")),
        ("lists in lists", |n| filled(n, r#"{"a":"#, "[", "", "")),
    ];
    bounded("clusters", 64 * KIB, 20.0, clusters, |body| answer_cost("/clusters", &[], body));

    let dump: &[Shape] = &[
        ("clusters of others", |n| {
            let each: Vec<_> = (0..n / 120)
                .map(|at| format!(r#"{{"cluster":{{"name":"cluster-{at}","metadata":{{"filter_metadata":{{"other":{{"a":"b"}}}}}}}}}}"#))
                .collect();
            format!(r#"{{"configs":[{}]}}"#, each.join(",")).into_bytes()
        }),
        ("backends", |n| described(n, |at| format!(r#"{{"id":"b{at}"}}"#))),
        ("backends of one id", |n| described(n, |_| r#"{"id":"b"}"#.to_owned())),
        ("backends with mistakes", |n| described(n, |at| format!(r#"{{"id":"b{at}","weight":-1}}"#))),
        ("backends that nobody can read", |n| described(n, |_| "7".to_owned())),
        ("keys of nothing", |n| {
            filled(n, r#"{"configs":[{"cluster":{"name":"a","metadata":{"#, r#""":1"#, ",", "}}}]}")
        }),
    ];
    // The first look is at the bootstrap's clusters; the second one is taken with it.
    bounded("dump", 64 * KIB, 20.0, dump, |body| {
        let mut vms = pair();
        let headers = || vec![field(":status", "200")];
        let mut steps = 0;
        let mut looks = 0;
        for turn in 0..200 {
            let vm = &mut vms[turn % 2];
            for call in vm.tick() {
                if call.path.starts_with("/config_dump") && looks < 2 {
                    looks += 1;
                    steps += vm.steps(|vm| vm.answer_call(&call, headers(), body));
                } else {
                    vm.answer_call(&call, headers(), b"{}");
                }
            }
        }
        assert_eq!(looks, 2);
        Cost { bytes: 2 * body.len(), steps }
    });
}

/// Clusters that say of themselves what they are.
fn described(size: usize, metadata: impl Fn(usize) -> String) -> Vec<u8> {
    let each: Vec<_> = (0..size / 90)
        .map(|at| {
            let metadata = metadata(at);
            format!(r#"{{"cluster":{{"name":"c{at}","metadata":{{"filter_metadata":{{"llm_router":{metadata}}}}}}}}}"#)
        })
        .collect();
    format!(r#"{{"configs":[{}]}}"#, each.join(",")).into_bytes()
}
