//! Envoy's configuration, generated.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Builder;

/// More than the router's default body limit (4 MiB), so that a body is there to be read, or refused by the router
/// itself.
const BUFFER_BYTES: u32 = 16 * 1024 * 1024;

/// Slots of the matcher route.
const SLOTS: u32 = 4;

/// How Envoy picks the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// By the header `x-llm-cluster`.
    ClusterHeader,
    /// By the slots `x-llm-try-<k>`, with retries that pick another cluster each (Envoy >= 1.39).
    Matcher {
        /// Retries after the first attempt, at most 3.
        retries: u32,
    },
    /// Always the first cluster.
    Fixed,
}

/// How the router's configuration is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A `google.protobuf.Struct`, as YAML inline in envoy.yaml is.
    Struct,
    /// JSON in a `google.protobuf.StringValue`.
    Json,
}

/// How the module's filter is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// In the listener.
    Inline,
    /// By extension discovery from a file, which [`Envoy::swap`](super::Envoy::swap) replaces.
    Ecds,
}

const TYPE: &str = "type.googleapis.com/envoy";

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// The whole configuration. The listener takes any free port; the admin interface takes this one.
pub(super) fn bootstrap(builder: &Builder, admin_port: u16, dir: &Path) -> Value {
    let tag = |name: &str| json!({"tag_name": name, "regex": format!(r"^wasmcustom\.loadbalancer_\w+(?:\.\w+\.[^.]+)*?(\.{name}\.([^.]+))")});
    let tags = [
        "backend_id",
        "backend_type",
        "strategy",
        "status",
        "method",
        "kind",
        "code",
        "state",
        "reason",
        "window",
        "tenant",
        "result",
        "alert",
        "arm",
        "commit",
        "configuration",
    ];
    // Its value has points.
    let version =
        json!({"tag_name": "version", "regex": r"^wasmcustom\.loadbalancer_build_info(\.version\.(\d+\.\d+\.[^.]+))"});
    let tags: Vec<_> = tags.map(tag).into_iter().chain([version]).collect();
    let mut clusters: Vec<_> = builder.clusters.iter().map(|(name, ports)| cluster(name, ports)).collect();
    for cluster in clusters.iter_mut().filter(|cluster| builder.attempts.iter().any(|name| cluster["name"] == **name)) {
        cluster["typed_extension_protocol_options"] = attempt_options(builder);
    }
    if builder.admin_cluster {
        clusters.push(cluster("envoy_admin", &[admin_port]));
    }
    let mut listeners = vec![listener(builder, dir)];
    if let Some(control) = &builder.control {
        listeners.push(control_listener(builder, control));
    }
    json!({
        "node": {"id": "llm-router", "cluster": "llm-router"},
        "admin": {"address": address(admin_port)},
        "stats_config": {"stats_tags": tags},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
}

fn cluster(name: &str, ports: &[u16]) -> Value {
    let endpoints: Vec<_> = ports.iter().map(|port| json!({"endpoint": {"address": address(*port)}})).collect();
    json!({
        "name": name,
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        // The default of 3 retries at once loses answers when a backend dies under load.
        "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096,
            "max_requests": 8192, "max_retries": 1024}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

/// The module as an upstream filter.
fn attempt_options(builder: &Builder) -> Value {
    let codec = format!("{TYPE}.extensions.filters.http.upstream_codec.v3.UpstreamCodec");
    json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": format!("{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [
            {"name": "llm_attempt", "typed_config": wasm_filter(builder, "attempt", &json!({"role": "attempt"}))},
            {"name": "envoy.filters.http.upstream_codec", "typed_config": {"@type": codec}},
        ],
    }})
}

fn listener(builder: &Builder, dir: &Path) -> Value {
    let mut filters = Vec::new();
    if let Some(router) = &builder.router {
        filters.push(match builder.loading {
            Loading::Inline => json!({"name": "llm_router", "typed_config": router_filter(builder, router)}),
            Loading::Ecds => json!({"name": "llm_router", "config_discovery": {
                "config_source": {
                    "path_config_source": {"path": dir.join("ecds.json"), "watched_directory": {"path": dir}},
                    "resource_api_version": "V3",
                },
                "type_urls": [format!("{TYPE}.extensions.filters.http.wasm.v3.Wasm")],
            }}),
        });
    }
    listener_of("llm", filters, &virtual_host(builder))
}

/// The control API. What its filter does not answer is not found.
fn control_listener(builder: &Builder, control: &Value) -> Value {
    let filter = wasm_filter(builder, "control", control);
    let host = json!({"name": "control", "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 404}}]});
    listener_of("control", vec![json!({"name": "llm_control", "typed_config": filter})], &host)
}

fn listener_of(name: &str, mut filters: Vec<Value>, virtual_host: &Value) -> Value {
    filters.push(json!({"name": "envoy.filters.http.router",
        "typed_config": {"@type": format!("{TYPE}.extensions.filters.http.router.v3.Router")}}));
    json!({
        "name": name,
        "address": address(0),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": format!("{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": name,
                "normalize_path": true,
                "merge_slashes": true,
                "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
                "generate_request_id": true,
                "route_config": {"virtual_hosts": [virtual_host]},
                "http_filters": filters,
            },
        }]}],
    })
}

fn virtual_host(builder: &Builder) -> Value {
    let mut action = json!({"timeout": builder.route_timeout});
    match builder.route {
        Route::ClusterHeader => action["cluster_header"] = "x-llm-cluster".into(),
        Route::Fixed => action["cluster"] = builder.first_cluster().into(),
        Route::Matcher { retries } => {
            action["inline_cluster_specifier_plugin"] = matcher(builder);
            if retries > 0 {
                action["retry_policy"] = json!({
                    "retry_on": "5xx,reset,connect-failure,refused-stream,retriable-status-codes",
                    "retriable_status_codes": [429],
                    "num_retries": retries,
                    "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
                    "refresh_cluster_on_retry": true,
                });
            }
        }
    }
    if builder.route != Route::Fixed {
        action["request_mirror_policies"] = json!([{"cluster_header": "x-llm-shadow-cluster"}]);
    }
    json!({"name": "llm", "domains": ["*"], "include_request_attempt_count": true,
        "routes": [{"match": {"prefix": "/"}, "route": action}]})
}

/// By the attempt's number, the slot; by the slot's value, the cluster; else none.
fn matcher(builder: &Builder) -> Value {
    let input = |header: &str| {
        json!({"name": header, "typed_config": {"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
            "header_name": header}})
    };
    let pick = |cluster: &str| {
        json!({"action": {"name": "cluster", "typed_config": {
            "@type": format!("{TYPE}.extensions.router.cluster_specifiers.matcher.v3.ClusterAction"),
            "cluster": cluster}}})
    };
    let by_name: Map<_, _> = builder.clusters.iter().map(|(name, _)| (name.clone(), pick(name))).collect();
    let slots: Map<_, _> = (0..SLOTS)
        .map(|slot| {
            let tree = json!({"input": input(&format!("x-llm-try-{slot}")), "exact_match_map": {"map": by_name}});
            (slot.to_string(), json!({"matcher": {"matcher_tree": tree}}))
        })
        .collect();
    json!({"extension": {"name": "envoy.router.cluster_specifier_plugin.matcher", "typed_config": {
        "@type": format!("{TYPE}.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier"),
        "cluster_matcher": {
            "matcher_tree": {"input": input("x-envoy-attempt-count"), "exact_match_map": {"map": slots}},
        },
    }}})
}

fn router_filter(builder: &Builder, router: &Value) -> Value {
    wasm_filter(builder, "router", router)
}

/// The module in one of its roles. Router and control have one VM; attempts have another.
fn wasm_filter(builder: &Builder, role: &str, configuration: &Value) -> Value {
    let configuration = match builder.form {
        Form::Struct => json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": configuration}),
        Form::Json => {
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration.to_string()})
        }
    };
    json!({"@type": format!("{TYPE}.extensions.filters.http.wasm.v3.Wasm"), "config": {
        "name": format!("llm_{role}"),
        "root_id": role,
        "failure_policy": "FAIL_RELOAD",
        "allow_on_headers_stop_iteration": true,
        "configuration": configuration,
        "vm_config": {"vm_id": if role == "attempt" { "llm_attempt" } else { "llm_router" }, "runtime": "envoy.wasm.runtime.v8",
            "environment_variables": {"host_env_keys": ["LLM_ROUTER_CONTROL_TOKEN"]},
            "code": {"local": {"filename": builder.module_path()}}},
    }})
}

/// The file that extension discovery watches.
pub(super) fn ecds(builder: &Builder, router: &Value) -> Value {
    json!({"resources": [{
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "llm_router",
        "typed_config": router_filter(builder, router),
    }]})
}
