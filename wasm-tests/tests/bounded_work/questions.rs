//! Bodies and headers of requests.

use super::*;

const PATH: &str = "/v1/chat/completions";

const CONVERSATION: Shape = ("an ordinary conversation", |n| {
    let message =
        r#"{"role":"user","content":"What is said in few words is soon read, and what is read is soon said again."}"#;
    filled(n, r#"{"model":"m","messages":["#, message, ",", "]}")
});

fn cost(path: &str, more: &[(&str, &[u8])], body: &[u8]) -> Cost {
    let mut vm = Vm::new(&router());
    let steps = vm.steps(|vm| _ = vm.request(post(path, more), body));
    assert!(vm.local().is_none(), "{:?}", vm.local());
    assert!(vm.request_header("x-llm-cluster").is_some(), "it is routed");
    Cost { bytes: body.len(), steps }
}

#[test]
fn reading_a_conversation_costs_the_same_for_each_byte_whatever_it_is() {
    let shapes: &[Shape] = &[
        CONVERSATION,
        ("one long text", |n| filled(n, r#"{"messages":[{"content":""#, "word ", "", r#""}]}"#)),
        ("one text of escapes", |n| filled(n, r#"{"messages":[{"content":""#, r"\n", "", r#""}]}"#)),
        ("one text of unicode escapes", |n| filled(n, r#"{"messages":[{"content":""#, r"\u00e9", "", r#""}]}"#)),
        ("one text of surrogates", |n| filled(n, r#"{"messages":[{"content":""#, r"\ud83d\ude00", "", r#""}]}"#)),
        ("texts of one letter", |n| filled(n, r#"{"messages":[{"content":["#, r#"{"text":"a"}"#, ",", "]}]}")),
        ("empty messages", |n| filled(n, r#"{"messages":["#, "{}", ",", "]}")),
        ("numbers for messages", |n| filled(n, r#"{"messages":["#, "1", ",", "]}")),
        ("empty lists", |n| filled(n, r#"{"messages":["#, "[]", ",", "]}")),
        ("lists as deep as may be", |n| {
            let deep = format!("{}{}", "[".repeat(90), "]".repeat(90));
            filled(n, r#"{"messages":["#, &deep, ",", "]}")
        }),
        ("objects as deep as may be, skipped", |n| {
            let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
            filled(n, r#"{"metadata":["#, &deep, ",", "]}")
        }),
        ("a list without an end", |n| ["{\"metadata\":", &"[".repeat(n)].concat().into_bytes()),
        ("one key again and again", |n| filled(n, r#"{"model":"m""#, r#","model":"m""#, "", "}")),
        ("keys of no bytes", |n| filled(n, r#"{"":1"#, r#","":1"#, "", "}")),
        ("a key that is the body", |n| filled(n, "{\"", "k", "", "\":1}")),
        ("limits again and again", |n| filled(n, r#"{"max_tokens":1"#, r#","max_tokens":99"#, "", "}")),
        ("a number of all digits", |n| filled(n, r#"{"max_tokens":1"#, "9", "", "}")),
        ("a fraction of all digits", |n| filled(n, r#"{"temperature":0."#, "9", "", "}")),
        ("numbers with exponents", |n| filled(n, r#"{"messages":["#, "1e-300", ",", "]}")),
        ("numbers that are nearly too large", |n| filled(n, r#"{"messages":["#, "9e307", ",", "]}")),
        ("an exponent of all digits", |n| filled(n, r#"{"a":0e"#, "9", "", "}")),
        ("white space", |n| filled(n, "{", "\n ", "", "\"messages\":[]}")),
        ("a stop of many words", |n| filled(n, r#"{"stop":["#, r#""a""#, ",", "]}")),
        ("tools without properties", |n| filled(n, r#"{"tools":["#, r#"{"function":{"name":"f"}}"#, ",", "]}")),
        ("tools of properties of nothing", |n| {
            filled(n, r#"{"tools":[{"function":{"parameters":{"properties":{"#, r#""p":{}"#, ",", "}}}}]}")
        }),
        ("enums of nothing", |n| {
            filled(n, r#"{"tools":[{"function":{"parameters":{"properties":{"p":{"enum":["#, r#""""#, ",", "]}}}}}]}")
        }),
        ("images without data", |n| {
            filled(
                n,
                r#"{"messages":[{"content":["#,
                r#"{"type":"image_url","image_url":{"url":"data:"}}"#,
                ",",
                "]}]}",
            )
        }),
        ("JPEGs of segments of nothing", |n| {
            // FFD8, and then FF: fill bytes before a marker that never comes.
            let image = format!(r#"{{"image_url":{{"url":"data:image/jpeg;base64,/9j{}"}}}}"#, "/".repeat(700));
            filled(n, r#"{"messages":[{"content":["#, &image, ",", "]}]}")
        }),
        ("one JPEG of it all", |n| {
            filled(
                n,
                r#"{"messages":[{"content":[{"image_url":{"url":"data:image/jpeg;base64,/9j"#,
                "/",
                "",
                r#""}}]}]}"#,
            )
        }),
        ("padding", |n| {
            filled(n, r#"{"messages":[{"content":[{"image_url":{"url":"data:;base64,"#, "=", "", r#""}}]}]}"#)
        }),
        ("scripts that change at each letter", |n| {
            filled(n, r#"{"messages":[{"content":""#, "aя中😀ไ한", "", r#""}]}"#)
        }),
        ("no JSON at all", |n| repeated("no ", n).into_bytes()),
        ("nothing but quotes", |n| repeated("\"", n).into_bytes()),
        ("bytes that are no text at the end", |n| {
            let mut body = CONVERSATION.1(n);
            body.extend(b"\xff\xfe");
            body
        }),
        ("bytes that are no text inside", |n| {
            let mut body = filled(n, r#"{"messages":[{"content":""#, "word ", "", r#""}]}"#);
            let at = body.len() - 10;
            body[at] = 0xFF;
            body
        }),
    ];
    bounded("chat", 64 * KIB, 20.0, shapes, |body| cost(PATH, &[], body));
}

#[test]
fn so_does_reading_the_bodies_of_the_other_apis() {
    let usual = cost(PATH, &[], &CONVERSATION.1(64 * KIB)).per_byte();
    let kinds: [(&str, &[Shape]); 4] = [
        (
            "/v1/embeddings",
            &[
                ("texts", (|n| filled(n, r#"{"input":["#, r#""What is said in few words is soon read.""#, ",", "]}"))),
                ("empty texts", |n| filled(n, r#"{"input":["#, r#""""#, ",", "]}")),
                ("token ids", |n| filled(n, r#"{"input":["#, "7", ",", "]}")),
                ("lists of token ids", |n| filled(n, r#"{"input":["#, "[7]", ",", "]}")),
            ],
        ),
        (
            "/v1/messages",
            &[
                ("messages", |n| {
                    filled(
                        n,
                        r#"{"messages":["#,
                        r#"{"role":"user","content":[{"type":"text","text":"What is said in few words."}]}"#,
                        ",",
                        "]}",
                    )
                }),
                ("documents of base64", |n| {
                    let part = format!(r#"{{"type":"document","source":{{"data":"{}"}}}}"#, "A".repeat(64));
                    filled(n, r#"{"messages":[{"content":["#, &part, ",", "]}]}")
                }),
                ("results of tools in results of tools", |n| {
                    let deep = format!("{}{}", r#"{"content":["#.repeat(40), "]}".repeat(40));
                    filled(n, r#"{"messages":["#, &deep, ",", "]}")
                }),
                ("inputs of tools", |n| filled(n, r#"{"messages":[{"content":[{"input":{"a":["#, "1", ",", "]}}]}]}")),
            ],
        ),
        (
            "/v1/responses",
            &[
                ("items", |n| {
                    filled(
                        n,
                        r#"{"input":["#,
                        r#"{"role":"user","content":"What is said in few words is soon read."}"#,
                        ",",
                        "]}",
                    )
                }),
                ("items of nothing", |n| filled(n, r#"{"input":["#, "{}", ",", "]}")),
                ("tools", |n| {
                    filled(
                        n,
                        r#"{"tools":["#,
                        r#"{"name":"f","parameters":{"properties":{"a":{"type":"b"}}}}"#,
                        ",",
                        "]}",
                    )
                }),
            ],
        ),
        (
            "/query",
            &[
                ("a question", |n| filled(n, r#"{"query":""#, "What is said in few words. ", "", r#""}"#)),
                ("keywords of nothing", |n| filled(n, r#"{"query":"a","hl_keywords":["#, r#""""#, ",", "]}")),
                ("turns of nothing", |n| filled(n, r#"{"query":"a","conversation_history":["#, "{}", ",", "]}")),
            ],
        ),
    ];
    for (path, shapes) in kinds {
        // What one long text costs is little; an ordinary conversation is the measure for all.
        measured(path, 64 * KIB, 20.0 * usual, shapes, |body| cost(path, &[], body));
    }
}

#[test]
fn headers_cost_the_same_for_each_byte_whatever_they_are() {
    /// A hundred are the most that Envoy takes unless told otherwise; this is sixty kilobytes of them.
    const SIZE: usize = 60 * KIB;
    let cost = |bytes: &[u8]| {
        // Lines, as they would come.
        let text = String::from_utf8_lossy(bytes).into_owned();
        let fields = text.lines().map(|line| line.split_once(": ").unwrap());
        let more: Vec<_> = fields.map(|(name, value)| (name, value.as_bytes())).collect();
        cost(PATH, &more, br#"{"messages":[]}"#)
    };
    let cost = |bytes: &[u8]| Cost { bytes: bytes.len(), ..cost(bytes) };
    let shapes: &[Shape] = &[
        ("ordinary ones", |n| filled(n, "", "x-forwarded-for: 192.0.2.7, 192.0.2.8", "\n", "")),
        ("short ones", |n| filled(n, "", "a: b", "\n", "")),
        ("forged ones of one name", |n| filled(n, "", "x-llm-cluster: alpha", "\n", "")),
        ("forged ones of two names in turn", |n| filled(n, "", "x-llm-a: 1\nx-llm-b: 1", "\n", "")),
        ("forged ones of many names", |n| {
            let lines: Vec<_> = (0..n / 14).map(|at| format!("x-llm-{at:04}: 1")).collect();
            lines.join("\n").into_bytes()
        }),
        ("hints again and again", |n| {
            filled(n, "", "x-llm-strategy: quality_based\nx-llm-min-quality: 0.9999", "\n", "")
        }),
        ("a hint that is it all", |n| filled(n, "x-llm-min-quality: 0.", "9", "", "")),
        ("a tenant that is it all", |n| filled(n, "x-customer: ", "t", "", "")),
        ("a tenant by hint that is it all", |n| filled(n, "x-llm-tenant: ", "t", "", "")),
        ("a type that is it all", |n| filled(n, "content-type: ", "json", "", "")),
        ("a length that is it all", |n| filled(n, "content-length: ", "0", "", "")),
        ("an encoding that is it all", |n| filled(n, "content-encoding: ", "gzip,", "", "")),
        ("a request id that is it all", |n| filled(n, "x-request-id: ", "7", "", "")),
        ("an explanation asked for again and again", |n| filled(n, "", "x-llm-explain: 1", "\n", "")),
    ];
    bounded("headers", SIZE, 20.0, shapes, cost);
}

#[test]
fn so_do_paths() {
    let cost_of = |path: &[u8]| {
        let mut vm = Vm::new(&router());
        let path = String::from_utf8(path.to_vec()).unwrap();
        let steps = vm.steps(|vm| _ = vm.request(post(&path, &[]), br#"{"messages":[]}"#));
        Cost { bytes: path.len(), steps }
    };
    let shapes: &[Shape] = &[
        ("an ordinary query", |n| filled(n, "/v1/chat/completions?", "a=b&", "", "")),
        ("slashes", |n| filled(n, "", "/", "", "")),
        ("what an infix begins with", |n| filled(n, "", "/messages/batche", "", "")),
        ("threads of nothing", |n| filled(n, "", "/threads/", "", "/messages")),
        ("one letter", |n| filled(n, "/", "m", "", "")),
        ("marks of a query", |n| filled(n, "/v1/chat/completions", "?", "", "")),
    ];
    // A path is sixty kilobytes at most, and hardly read: the measure is a body of that size.
    let usual = cost(PATH, &[], &CONVERSATION.1(32 * KIB)).per_byte();
    measured("paths", 32 * KIB, usual, shapes, cost_of);
}

#[test]
fn so_do_trailers() {
    let cost = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let fields = || text.lines().map(|line| line.split_once(": ").unwrap()).map(|(name, value)| field(name, value));
        let mut vm = Vm::new(&router());
        let stream = vm.request(post("/v1/files", &[]), b"any");
        let steps = vm.steps(|vm| {
            vm.trailers(stream, vm::REQUEST_TRAILERS, fields().collect());
            vm.trailers(stream, vm::RESPONSE_TRAILERS, fields().collect());
        });
        Cost { bytes: bytes.len(), steps }
    };
    let shapes: &[Shape] = &[
        ("ordinary ones", |n| filled(n, "", "x-checksum: 0123456789abcdef", "\n", "")),
        ("forged ones of one name", |n| filled(n, "", "x-llm-cluster: alpha", "\n", "")),
        ("forged ones of two names in turn", |n| filled(n, "", "x-llm-a: 1\nx-llm-b: 1", "\n", "")),
        ("forged ones of many names", |n| {
            let lines: Vec<_> = (0..n / 14).map(|at| format!("x-llm-{at:04}: 1")).collect();
            lines.join("\n").into_bytes()
        }),
    ];
    bounded("trailers", 60 * KIB, 20.0, shapes, cost);
}
