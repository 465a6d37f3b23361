//! What the router knows of backends besides their answers: Envoy's own checks and ejections, and what the backends say
//! when they are asked how they are.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use wasm_tests::{
    backend::{Backend, Behaviour, Fault, Flavour},
    client::{Client, Reply},
    envoy::{Builder, Envoy, Route, Stats},
    load::{Load, load},
    router::{chat, counted, news_travels, settled, trio, troubles, until},
};

const PATH: &str = "/v1/chat/completions";

/// How often the router looks at Envoy's picture.
const INTERVAL: Duration = Duration::from_millis(250);

/// What Envoy knows all workers know after this long. The machine may be busy with other tests: five times as long.
const NEWS: Duration = INTERVAL.saturating_add(Duration::from_millis(200)).saturating_mul(5);

fn admin() -> Value {
    json!({"cluster": "envoy_admin", "interval_ms": INTERVAL.as_millis() as u64})
}

/// No breaker, so that only Envoy's picture and the checks decide.
fn without_breakers(ids: &[&str], more: Value) -> Value {
    let instances = ids.iter().map(|id| ((*id).to_owned(), json!({"circuit_breaker": {"enabled": false}})));
    let mut router = json!({"strategy": "round_robin", "envoy_admin": admin(),
        "backend_instances": instances.collect::<serde_json::Map<_, _>>()});
    for (key, value) in more.as_object().unwrap() {
        router[key] = value.clone();
    }
    router
}

fn four_workers(backends: &[Backend]) -> Builder {
    Envoy::builder().concurrency(4).backends(backends).admin_cluster()
}

async fn ask_many(envoy: &Envoy, n: usize) -> Load {
    let sent = load(&Client::new(), n, 16, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
    assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
    assert_eq!(sent.by_status(), [(200, n)].into());
    sent
}

/// Sends requests all the while until `story` is over; each must be answered well.
async fn under_load<T>(envoy: &Envoy, story: impl Future<Output = T>) -> T {
    let over = AtomicBool::new(false);
    let client = Client::new();
    let sending = async {
        while !over.load(Ordering::Relaxed) {
            // Not so many at once that the machine has no time for the rest.
            let sent = load(&client, 40, 4, |_| Client::json_request(&envoy.url(PATH), &chat("hello"))).await;
            assert_eq!(sent.by_status(), [(200, 40)].into(), "{:?}", sent.first_failure());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let telling = async {
        let told = story.await;
        over.store(true, Ordering::Relaxed);
        told
    };
    tokio::join!(sending, telling).1
}

/// Waits until Envoy holds that so many of a cluster's hosts are well.
async fn envoy_knows(envoy: &Envoy, cluster: &str, healthy: u64) {
    let name = format!("cluster.{cluster}.membership_healthy");
    envoy.wait_for(Duration::from_secs(15), |stats| stats.get(&name) == healthy).await;
}

/// Waits until the router has looked at Envoy's picture as it is now.
async fn is_seen(envoy: &Envoy) {
    let looks = "cluster.envoy_admin.upstream_rq_completed";
    let before = envoy.stat(looks).await;
    envoy.wait_for(Duration::from_secs(15), |stats| stats.get(looks) >= before + 2).await;
    news_travels().await;
}

/// Waits until Envoy has ejected so many of alpha's hosts.
async fn ejected(envoy: &Envoy, hosts: u64) {
    let name = "cluster.alpha.outlier_detection.ejections_active";
    envoy.wait_for(Duration::from_secs(60), |stats| stats.get(name) == hosts).await;
}

/// From now on until the last request to this backend, after which there is none for a second; panics where that takes
/// too long.
async fn spared_after(backend: &Backend) -> Duration {
    const QUIET: Duration = Duration::from_secs(1);
    let started = Instant::now();
    let (mut seen, mut last) = (backend.counters().prompts, Duration::ZERO);
    while started.elapsed() < last + QUIET {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let prompts = backend.counters().prompts;
        if prompts != seen {
            (seen, last) = (prompts, started.elapsed());
            assert!(last < NEWS, "it still gets requests after {last:?}");
        }
    }
    last
}

async fn is_asked(backend: &Backend) {
    let before = backend.counters().prompts;
    until("it is asked", || async { backend.counters().prompts > before }).await;
}

/// How well the router holds a backend to be, in thousandths; none before it has said so.
fn health(stats: &Stats, backend: &str) -> Option<u64> {
    let name = format!("wasmcustom.loadbalancer_backend_health.backend_id.{backend}.");
    stats.matching(&[&name]).next().map(|(_, permille)| permille)
}

/// Waits until the router holds that a backend is so well, in thousandths.
async fn health_is(envoy: &Envoy, backend: &str, permille: u64) {
    envoy.wait_for(Duration::from_secs(15), |stats| health(stats, backend) == Some(permille)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_fails_envoy_s_active_checks_is_spared_at_once_and_comes_back() {
    // The oldest lists all its clusters, whatever it is asked for; the newest only those of the backends.
    for version in ["1.36.4", "1.40.0"] {
        let backends = trio().await;
        let alpha = &backends[0];
        let router = without_breakers(&["alpha", "beta", "gamma"], json!({"retry": {"max_attempts": 1}}));
        let rig = four_workers(&backends).version(version).health_checked("alpha").route(Route::ClusterHeader);
        let envoy = rig.router(router).start().await;
        envoy_knows(&envoy, "alpha", 1).await;
        is_seen(&envoy).await;

        under_load(&envoy, async {
            is_asked(alpha).await;
            // It would still answer what it is asked, so that no answer is lost meanwhile.
            alpha.set_health(Behaviour::status(503));
            envoy_knows(&envoy, "alpha", 0).await;
            let spared = spared_after(alpha).await;
            eprintln!("Envoy {version}: active checks: spared after {spared:?}");
            assert_eq!(health(&envoy.stats().await, "alpha"), Some(0));
            alpha.set_health(Behaviour::default());
            is_asked(alpha).await;
            health_is(&envoy, "alpha", 1000).await;
        })
        .await;
        settled(&envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_envoy_ejects_as_an_outlier_is_spared_at_once_and_comes_back() {
    let backends = trio().await;
    let alpha = &backends[0];
    let router = without_breakers(&["alpha", "beta", "gamma"], json!({}));
    // It must be out for longer than it takes to see that it is spared.
    let rig = four_workers(&backends).outlier_detection("alpha", 3, "15s").route(Route::Matcher { retries: 2 });
    let envoy = rig.router(router).start().await;
    is_seen(&envoy).await;
    under_load(&envoy, async {
        is_asked(alpha).await;
        alpha.set(Behaviour::status(500));
        ejected(&envoy, 1).await;
        alpha.set(Behaviour::default());
        let spared = spared_after(alpha).await;
        eprintln!("outlier ejection: spared after {spared:?}");
        ejected(&envoy, 0).await;
        is_asked(alpha).await;
    })
    .await;
    settled(&envoy).await;
}

/// The share of requests that a backend got.
async fn share(envoy: &Envoy, backend: &str) -> f64 {
    let by_backend = ask_many(envoy, 1_500).await.by_header("x-llm-backend");
    by_backend.get(backend).copied().unwrap_or_default() as f64 / 1_500.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_with_half_of_its_hosts_out_gets_half_of_its_traffic() {
    let backends = trio().await;
    let [one, other, beta] = &backends;
    let rig = Envoy::builder().concurrency(4).cluster("pair", &[one.port(), other.port()]).admin_cluster();
    let rig = rig.cluster("beta", &[beta.port()]).health_checked("pair").route(Route::ClusterHeader);
    let router = without_breakers(&["pair", "beta"], json!({"strategy": "weighted", "retry": {"max_attempts": 1}}));
    let envoy = rig.router(router).start().await;
    envoy_knows(&envoy, "pair", 2).await;
    is_seen(&envoy).await;
    health_is(&envoy, "pair", 1000).await;
    news_travels().await;
    let whole = share(&envoy, "pair").await;
    assert!((whole - 0.5).abs() < 0.03, "{whole}");

    other.set_health(Behaviour::status(503));
    health_is(&envoy, "pair", 500).await;
    news_travels().await;
    let half = share(&envoy, "pair").await;
    assert!((half - 1.0 / 3.0).abs() < 0.03, "one part to two: {half}");

    // It asks for less itself: to Envoy such a host is degraded, and half a host to the router.
    other.set_health(Behaviour::default().with_header("x-envoy-degraded", "1"));
    health_is(&envoy, "pair", 750).await;
    other.set_health(Behaviour::default());
    health_is(&envoy, "pair", 1000).await;
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_envoy_s_picture_requests_go_on_and_a_counter_says_so() {
    let backends = trio().await;
    let dead = backends[2].port();
    backends[2].kill().await;
    // There is no such cluster; nobody listens; it has no host; it answers, but is not Envoy.
    let unreadable = ["nowhere", "dead", "empty", "alpha"];
    for cluster in unreadable {
        for version in ["1.36.4", "1.40.0"] {
            let more = json!({"retry": {"max_attempts": 1}, "envoy_admin": {"cluster": cluster, "interval_ms": 100}});
            let ids = if cluster == "alpha" { ["beta"].as_slice() } else { &["alpha", "beta"] };
            let rig =
                Envoy::builder().version(version).concurrency(4).backends(&backends[..2]).cluster("dead", &[dead]);
            let rig = rig.cluster("empty", &[]).route(Route::ClusterHeader).router(without_breakers(ids, more));
            let envoy = rig.start().await;
            let unread = |stats: &Stats| counted(stats, "internal_errors_total", &[("kind", "envoy_admin")]);
            envoy.wait_for(Duration::from_secs(15), |stats| unread(stats) >= 3).await;
            ask_many(&envoy, 200).await;
            let stats = envoy.wait_for(Duration::from_secs(15), |stats| unread(stats) >= 8).await;
            let other: Vec<_> =
                troubles(&stats).into_iter().filter(|(name, _)| !name.contains("envoy_admin")).collect();
            assert_eq!(other, [], "{cluster}, Envoy {version}");
        }
    }
}

/// What Envoy's admin interface would say, by one who is not Envoy.
fn picture(failing: &[&str]) -> Behaviour {
    let cluster = |name: &str| {
        let failed = failing.contains(&name);
        let health = json!({"eds_health_status": "HEALTHY", "failed_active_health_check": failed});
        json!({"name": name, "host_statuses": [{"health_status": health}]})
    };
    let clusters = ["alpha", "beta", "gamma"].map(cluster);
    Behaviour::report(json!({"cluster_statuses": clusters}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_nobody_renews_ages_out() {
    let backends = trio().await;
    let [alpha, beta, watcher] = &backends;
    // Whom the router takes for Envoy's admin interface can be killed here without Envoy.
    watcher.set_health(picture(&["alpha"]));
    let more = json!({"retry": {"max_attempts": 1}, "envoy_admin": {"cluster": "gamma", "interval_ms": 500}});
    let rig = Envoy::builder().concurrency(4).backends(&backends).route(Route::ClusterHeader);
    let envoy = rig.router(without_breakers(&["alpha", "beta"], more)).start().await;
    for _ in 0..2 {
        health_is(&envoy, "alpha", 0).await;
        news_travels().await;
        let before = alpha.counters().prompts;
        ask_many(&envoy, 100).await;
        assert_eq!(alpha.counters().prompts, before);
        watcher.kill().await;
        under_load(&envoy, is_asked(alpha)).await;
        health_is(&envoy, "alpha", 1000).await;
        assert!(counted(&envoy.stats().await, "internal_errors_total", &[("kind", "envoy_admin")]) > 0);
        watcher.restart().await;
    }
    watcher.set_health(picture(&[]));
    health_is(&envoy, "alpha", 1000).await;
    assert_eq!(beta.counters().in_flight, 0);
    assert_eq!(watcher.prompts().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_ever_reaches_the_admin_interface() {
    let [alpha, beta, gamma] = trio().await;
    // One who is not Envoy keeps a list of who asked.
    let admin = Backend::start("envoy_admin", Flavour::OpenAi).await;
    admin.set_health(picture(&[]));
    let fleet = [alpha, beta, gamma, admin];
    let admin = &fleet[3];
    for route in [Route::ClusterHeader, Route::Matcher { retries: 2 }] {
        admin.clear_journal();
        let attempts = if route == Route::ClusterHeader { 1 } else { 3 };
        let more = json!({"retry": {"max_attempts": attempts}, "client_hints": ["strategy", "min_quality"]});
        let rig = Envoy::builder().concurrency(4).backends(&fleet).route(route);
        let envoy = rig.router(without_breakers(&["alpha", "beta", "gamma"], more)).start().await;
        let names = [
            "x-llm-cluster",
            "x-llm-try-0",
            "x-llm-try-1",
            "x-llm-try-2",
            "x-llm-try-3",
            "x-llm-shadow-cluster",
            "X-LLM-Cluster",
            "x-llm-strategy",
            "x-envoy-attempt-count",
        ];
        let client = Client::new();
        let answered_by = |reply: &Reply| reply.header("x-sim-backend").unwrap_or_default();
        for name in names {
            let (forged, first) = ((name, "envoy_admin"), ("x-llm-try-0", "envoy_admin"));
            for path in ["/clusters?format=json", "/quitquitquit", "/config_dump", PATH] {
                let headers = [("x-a-client", "yes"), forged, first, forged];
                let reply = client.post_json_with(&envoy.url(path), &headers, &chat("hello")).await.unwrap();
                assert!(["alpha", "beta", "gamma"].contains(&&*answered_by(&reply)), "{name} {path}: {}", reply.text());
            }
            let headers = [("x-a-client", "yes"), forged];
            let request = Client::request(&Method::GET, &envoy.url("/clusters"), &headers, "");
            let reply = client.send(request).await.unwrap();
            assert!(["alpha", "beta", "gamma"].contains(&&*answered_by(&reply)), "{name}: {}", reply.text());
        }
        until("the router looks", || async { !admin.journal().is_empty() }).await;
        for asked in admin.journal() {
            assert!(asked.header("x-a-client").is_none(), "{} {}", asked.method, asked.path);
            assert!(asked.path.starts_with("/clusters?format=json&filter="), "{} {}", asked.method, asked.path);
        }
        assert!(fleet[0].journal().iter().any(|asked| asked.header("x-a-client").is_some()), "a mark goes through");
        settled(&envoy).await;
    }
}

/// The documented way to let the router at the list of clusters, and at nothing else.
fn narrowed(config: &mut Value, socket: &str) {
    let pipe = json!({"pipe": {"path": socket, "mode": 384}});
    let clusters = config["static_resources"]["clusters"].as_array_mut().unwrap();
    let admin = clusters.iter_mut().find(|cluster| cluster["name"] == "envoy_admin").unwrap();
    let mut gate = admin.clone();
    admin["name"] = "admin_itself".into();
    gate["load_assignment"]["endpoints"] = json!([{"lb_endpoints": [{"endpoint": {"address": pipe}}]}]);
    clusters.push(gate);
    let listeners = config["static_resources"]["listeners"].as_array_mut().unwrap();
    let mut listener = listeners[0].clone();
    listener["name"] = "clusters_only".into();
    listener["address"] = pipe;
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["stat_prefix"] = "clusters_only".into();
    let only = json!({"path": "/clusters", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]});
    let routes = json!([{"match": only, "route": {"cluster": "admin_itself"}}]);
    manager["route_config"]["virtual_hosts"] = json!([{"name": "clusters_only", "domains": ["*"], "routes": routes}]);
    let last = manager["http_filters"].as_array().unwrap().last().unwrap().clone();
    manager["http_filters"] = json!([last]);
    listeners.push(listener);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_lets_through_the_list_of_clusters_alone_is_enough() {
    let backends = trio().await;
    for version in ["1.36.4", "1.40.0"] {
        let sockets = tempfile::tempdir().unwrap();
        let socket = sockets.path().join("clusters.sock").to_str().unwrap().to_owned();
        let path = socket.clone();
        let more = json!({"retry": {"max_attempts": 1}});
        let router = without_breakers(&["alpha", "beta", "gamma"], more);
        let rig = four_workers(&backends).version(version).health_checked("alpha").route(Route::ClusterHeader);
        let envoy = rig.router(router).patch(move |config| narrowed(config, &path)).start().await;
        backends[0].set_health(Behaviour::status(503));
        health_is(&envoy, "alpha", 0).await;
        backends[0].set_health(Behaviour::default());
        health_is(&envoy, "alpha", 1000).await;
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let post =
            "POST /quitquitquit HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
        for (request, status) in [(get("/clusters"), "200"), (get("/stats"), "404"), (post, "404")] {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{request}");
        }
        settled(&envoy).await;
    }
}

/// A check of a backend, ten times a second.
fn check(path: &str) -> Value {
    json!({"path": path, "interval_seconds": 0.1, "timeout_seconds": 1, "consecutive_failures_threshold": 2,
        "consecutive_successes_threshold": 2})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lightrag_server_that_is_degraded_gets_less_and_one_that_is_unhealthy_nothing() {
    let backends = [Backend::start("alpha", Flavour::Proxy).await, Backend::start("beta", Flavour::OpenAi).await];
    let [alpha, _] = &backends;
    let mut router = without_breakers(
        &["alpha", "beta"],
        json!({"strategy": "health_aware", "envoy_admin": {},
        "retry": {"max_attempts": 1}}),
    );
    router["backend_instances"]["alpha"] =
        json!({"backend_type": "lightrag", "apis": ["openai"], "health_check": check("/health")});
    let envoy = four_workers(&backends).route(Route::ClusterHeader).router(router).start().await;
    let report = |status: &str, embeddings: &str| {
        Behaviour::report(json!({"status": status, "graph_db_status": "healthy", "embeddings_status": embeddings,
            "llm_status": "healthy", "knowledge_base_size": 15000, "memory_usage_mb": 2048}))
    };
    until("it was asked", || async { alpha.journal().iter().any(|seen| seen.path == "/health") }).await;
    let well = share(&envoy, "alpha").await;
    assert!((well - 0.5).abs() < 0.04, "{well}");

    alpha.set_health(report("degraded", "unhealthy"));
    health_is(&envoy, "alpha", 700).await;
    news_travels().await;
    let degraded = share(&envoy, "alpha").await;
    assert!((degraded - 0.7 / 1.7).abs() < 0.04, "{degraded}");

    for unhealthy in [report("unhealthy", "unhealthy"), Behaviour::status(503), Behaviour::fault(Fault::Reset)] {
        alpha.set_health(unhealthy);
        health_is(&envoy, "alpha", 0).await;
        news_travels().await;
        assert!(share(&envoy, "alpha").await < 1e-9);
        alpha.set_health(report("healthy", "healthy"));
        health_is(&envoy, "alpha", 1000).await;
        is_asked_under_load(&envoy, alpha).await;
    }
    let stats = envoy.prometheus().await;
    let labels = [("backend_id", "alpha"), ("backend_type", "lightrag")];
    assert_eq!(stats.metric("loadbalancer_backend_health", &labels), Some(1000.0));
    settled(&envoy).await;
}

async fn is_asked_under_load(envoy: &Envoy, backend: &Backend) {
    under_load(envoy, is_asked(backend)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_goes_the_way_of_the_requests_with_the_key_that_envoy_adds() {
    let backends =
        [Backend::start("alpha", Flavour::Perplexity).await, Backend::start("beta", Flavour::Anthropic).await];
    let [alpha, beta] = &backends;
    let mut router = without_breakers(&["alpha", "beta"], json!({"envoy_admin": {}}));
    let mut models = check("/models");
    models["host"] = "api.perplexity.ai".into();
    router["backend_instances"]["alpha"] = json!({"backend_type": "perplexity", "health_check": models});
    router["backend_instances"]["beta"] = json!({"backend_type": "anthropic", "health_check": check("/v1/models")});
    let rig = four_workers(&backends).route(Route::ClusterHeader).router(router).credential("alpha", "Bearer sim-key");
    let envoy = rig.start().await;
    until("both were asked", || async { !alpha.journal().is_empty() && !beta.journal().is_empty() }).await;
    let asked = alpha.journal().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/models"));
    assert_eq!(asked.header("host").as_deref(), Some("api.perplexity.ai"));
    assert_eq!(asked.header("authorization").as_deref(), Some("Bearer sim-key"));
    let asked = beta.journal().remove(0);
    assert_eq!(asked.header("host").as_deref(), Some("beta"));
    assert_eq!(asked.header("anthropic-version").as_deref(), Some("2023-06-01"));

    // A key that is refused is refused to requests as well.
    alpha.set_health(Behaviour::status(401));
    health_is(&envoy, "alpha", 0).await;
    alpha.set_health(Behaviour::report(json!({"object": "list", "data": []})));
    health_is(&envoy, "alpha", 500).await;
    settled(&envoy).await;
}
