//! What a health check asks for.

use super::*;

fn path_of(fields: &Value) -> Result<Option<String>, String> {
    let config = parsed(&one_backend(fields)).map_err(|errors| errors.listed())?;
    Ok(config.backends[0].probe.as_ref().map(|probe| String::from(&*probe.path)))
}

#[test]
fn a_check_without_a_path_asks_for_what_its_type_is_known_to_answer() {
    for (kind, path) in [
        ("lightrag", "/health"),
        ("perplexity", "/models"),
        ("openai", "/v1/models"),
        ("anthropic", "/v1/models"),
        ("gemini", "/v1beta/models"),
    ] {
        for check in [json!({}), json!({ "interval_seconds": 10 }), json!({ "path": null, "host": "h" })] {
            let fields = json!({ "backend_type": kind, "health_check": check });
            assert_eq!(path_of(&fields), Ok(Some(path.to_owned())), "{fields}");
            let config = parsed(&one_backend(&fields)).unwrap();
            assert_eq!(parsed(&config.to_json()).unwrap(), config, "and says so");
        }
        let named = json!({ "backend_type": kind, "health_check": { "path": "/ready" } });
        assert_eq!(path_of(&named), Ok(Some("/ready".to_owned())));
        for none in [json!({ "backend_type": kind }), json!({ "backend_type": kind, "health_check": null })] {
            assert_eq!(path_of(&none), Ok(None), "nobody asked for a check");
        }
    }
    for (apis, path) in [
        (json!(["ollama"]), "/api/tags"),
        (json!(["ollama", "openai"]), "/v1/models"),
        (json!(["models"]), "/v1/models"),
    ] {
        assert_eq!(path_of(&json!({ "apis": apis, "health_check": {} })), Ok(Some(path.to_owned())), "{apis}");
    }
    assert_eq!(
        path_of(&json!({ "backend_type": "generic", "apis": ["openai"], "health_check": {} })),
        Ok(Some("/v1/models".to_owned()))
    );
}

#[test]
fn a_check_of_a_backend_without_a_usual_path_needs_one() {
    for fields in [
        json!({ "backend_type": "generic" }),
        json!({ "backend_type": "anthropic", "apis": ["vertex_messages"] }),
        json!({ "apis": ["chat_completions", "embeddings"] }),
    ] {
        for check in [json!({}), json!({ "interval_seconds": 5 })] {
            let mut fields = fields.clone();
            fields["health_check"] = check;
            let refused = path_of(&fields).unwrap_err();
            assert!(refused.starts_with("backend_instances.a.health_check.path: missing; "), "{refused}");
            assert!(
                refused.contains("name one that answers 2xx") && refused.contains("leave out health_check"),
                "{refused}"
            );
            assert_eq!(refused.matches("health_check").count(), 2, "once: {refused}");
            fields["health_check"]["path"] = json!("/ready");
            assert_eq!(path_of(&fields), Ok(Some("/ready".to_owned())));
        }
    }
    for wrong in [json!(true), json!("/health"), json!([])] {
        let refused = path_of(&json!({ "health_check": wrong })).unwrap_err();
        assert!(refused.contains("backend_instances.a.health_check: expected an object"), "{refused}");
    }
}
