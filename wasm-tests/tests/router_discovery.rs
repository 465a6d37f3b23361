//! Clusters that come and go by CDS, on a real Envoy with four workers: those whose metadata says so are backends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test")]

use std::{collections::BTreeMap, fs, time::Duration};

use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use wasm_tests::{
    backend::{Backend, Behaviour},
    client::Client,
    control::{CONNECTIONS, all_workers_say, done, get, who},
    envoy::{Envoy, Route},
    load::load,
    router::{chat, counted, in_flight, news_travels, settled, streamed_chat, trio, until},
};

const LIMIT: Duration = Duration::from_secs(15);

/// The file that Envoy's cluster discovery watches.
struct Clusters {
    dir: TempDir,
    version: u32,
}

impl Clusters {
    fn new() -> Self {
        let mut clusters = Self { dir: TempDir::new().unwrap(), version: 0 };
        clusters.are(&[]);
        clusters
    }

    /// From now on these, each with its metadata: written aside, then renamed.
    fn are(&mut self, clusters: &[(&Backend, Value)]) {
        let cluster = |(backend, metadata): &(&Backend, Value)| {
            let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": backend.port()}});
            json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                "name": backend.name(), "connect_timeout": "1s",
                "metadata": {"filter_metadata": {"llm_router": metadata}},
                "load_assignment": {"cluster_name": backend.name(),
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}})
        };
        self.version += 1;
        let resources: Vec<_> = clusters.iter().map(cluster).collect();
        let text = json!({"version_info": self.version.to_string(), "resources": resources}).to_string();
        let fresh = self.dir.path().join("cds.json.new");
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, self.dir.path().join("cds.json")).unwrap();
    }

    /// An Envoy that has alpha from its bootstrap, configured, and the others from here.
    async fn envoy(&self, backends: &[Backend]) -> Envoy {
        let dir = self.dir.path().to_owned();
        let router = json!({"strategy": "round_robin", "retry": {"max_attempts": 1},
            "envoy_admin": {"cluster": "envoy_admin", "interval_ms": 200}, "discovery": {"enabled": true},
            "backend_instances": {"alpha": {"priority": 5}}});
        Envoy::builder()
            .concurrency(4)
            .backends(&backends[..1])
            .admin_cluster()
            .route(Route::ClusterHeader)
            .router(router)
            .control()
            .patch(move |config| {
                config["dynamic_resources"]["cds_config"] = json!({"path_config_source":
                    {"path": dir.join("cds.json"), "watched_directory": {"path": dir}}, "resource_api_version": "V3"});
            })
            .start()
            .await
    }
}

fn ids(document: &Value) -> Vec<&str> {
    document["backends"].as_array().unwrap().iter().filter_map(|backend| backend["id"].as_str()).collect()
}

/// Waits until these are the backends, on all workers.
async fn backends_are(envoy: &Envoy, expected: &[&str]) {
    until(&format!("the backends are {expected:?}"), || async {
        for _ in 0..CONNECTIONS {
            if ids(&get(envoy, "/backends").await) != expected {
                return false;
            }
        }
        true
    })
    .await;
    // A worker that none of these connections reached.
    news_travels().await;
}

fn all_of(backend: &str) -> BTreeMap<String, usize> {
    [(backend.to_owned(), 2 * CONNECTIONS)].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_comes_by_cds_is_a_backend_and_one_that_goes_is_none() {
    let backends = trio().await;
    let [_, beta, gamma] = &backends;
    let mut clusters = Clusters::new();
    let envoy = clusters.envoy(&backends).await;
    assert_eq!(who(&envoy).await, all_of("alpha"));

    clusters.are(&[(beta, json!({"weight": 0.5, "cost_per_1k_tokens": 0.05, "quality_score": 0.9}))]);
    backends_are(&envoy, &["alpha", "beta"]).await;
    assert_eq!(who(&envoy).await, all_of("beta"));
    let listed = get(&envoy, "/backends").await;
    let described = &listed["backends"][1];
    assert_eq!((&described["source"], &described["weight"]), (&json!("discovery"), &json!(0.5)));
    assert_eq!((&described["input_cost_per_1k_tokens"], &described["quality_score"]), (&json!(0.05), &json!(0.9)));

    // Its metadata changes, and another comes, by an id of its own.
    clusters.are(&[(beta, json!({"priority": 7})), (gamma, json!({"id": "third"}))]);
    backends_are(&envoy, &["alpha", "beta", "third"]).await;
    all_workers_say(&envoy, "/backends", "/backends/1/priority", &json!(7)).await;
    assert_eq!(who(&envoy).await, all_of("third"));
    assert!(!gamma.prompts().is_empty());
    done(&envoy, Method::POST, "/backends/third/drain", "").await;
    news_travels().await;
    assert_eq!(who(&envoy).await, all_of("alpha"));

    clusters.are(&[]);
    backends_are(&envoy, &["alpha"]).await;
    assert_eq!(who(&envoy).await, all_of("alpha"));
    let stats = envoy.wait_for(LIMIT, |stats| in_flight(stats) == 0).await;
    assert_eq!(counted(&stats, "requests_total", &[("status", "success")]), 10 * CONNECTIONS as u64);
    assert_eq!(stats.matching(&["wasm.", "vm_reload"]).map(|(_, count)| count).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_at_a_cluster_that_goes_finishes() {
    let backends = trio().await;
    let beta = &backends[1];
    let mut clusters = Clusters::new();
    clusters.are(&[(beta, json!({}))]);
    let envoy = clusters.envoy(&backends).await;
    backends_are(&envoy, &["alpha", "beta"]).await;
    beta.set(Behaviour { output_tokens: 60, inter_token_ms: 50, ..Behaviour::default() });
    let request = Client::json_request(&envoy.url("/v1/chat/completions"), &streamed_chat("hello"));
    let mut stream = Client::new().open(request).await.unwrap();
    assert!(stream.read_at_least(1).await.unwrap() > 0);
    assert_eq!(stream.header("x-llm-backend").as_deref(), Some("beta"));
    clusters.are(&[]);
    backends_are(&envoy, &["alpha"]).await;
    assert_eq!(who(&envoy).await, all_of("alpha"));
    let reply = stream.rest().await.unwrap();
    assert!(reply.text().trim_end().ends_with("data: [DONE]"), "{}", reply.text());
    let stats = envoy.wait_for(LIMIT, |stats| in_flight(stats) == 0).await;
    assert_eq!(counted(&stats, "requests_total", &[("backend_id", "beta"), ("status", "success")]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_describes_itself_wrongly_hurts_no_other() {
    let backends = trio().await;
    let [_, beta, gamma] = &backends;
    let mut clusters = Clusters::new();
    clusters.are(&[(beta, json!({"quality_score": 7, "wieght": 1})), (gamma, json!({}))]);
    let envoy = clusters.envoy(&backends).await;
    backends_are(&envoy, &["alpha", "gamma"]).await;
    let kind = [("kind", "discovery")];
    let stats = envoy.wait_for(LIMIT, |stats| counted(stats, "internal_errors_total", &kind) > 0).await;
    assert_eq!(counted(&stats, "internal_errors_total", &kind), 1, "once, however long it lasts");
    let log = envoy.log();
    let line = log.lines().find(|line| line.contains("quality_score")).expect("it is told");
    assert!(
        line.contains("beta") && line.contains("quality_score: 7 is not in 0..=1 (from 0 to 1); wieght: unknown key"),
        "{line}"
    );
    clusters.are(&[(beta, json!({"quality_score": 0.7})), (gamma, json!({}))]);
    backends_are(&envoy, &["alpha", "beta", "gamma"]).await;
    assert_eq!(counted(&envoy.stats().await, "internal_errors_total", &kind), 1);
}

const WORKERS: usize = 4;

/// 400 requests, while something is done once the second of three clusters is in the midst of it. Beta and gamma come by
/// discovery, and share the traffic.
async fn under_load(backends: &[Backend], envoy: &Envoy, act: impl AsyncFnOnce()) -> wasm_tests::load::Load {
    for backend in backends {
        backend.set(Behaviour::latency_ms(40));
    }
    let (client, url) = (Client::new(), envoy.url("/v1/chat/completions"));
    let sending = load(&client, 400, 8, |_| Client::json_request(&url, &chat("hello")));
    let acting = async {
        until("it is in the midst of it", || async { backends[1].counters().prompts >= 20 }).await;
        act().await;
        until("the cluster is gone", || async { envoy.stat("cluster_manager.cluster_removed").await >= 1 }).await;
        let answered: usize = backends.iter().map(|backend| backend.counters().prompts as usize).sum();
        assert!(answered < 360, "it is still in the midst of it");
    };
    tokio::join!(sending, acting).0
}

/// Requests that a backend has under way, as the control API tells.
async fn under_way(envoy: &Envoy, id: &str) -> Option<u64> {
    let all = get(envoy, "/backends").await;
    let backend = all["backends"].as_array()?.iter().find(|backend| backend["id"] == id)?.clone();
    backend["in_flight"]["requests"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_drained_before_its_cluster_goes_costs_no_answer() {
    let backends = trio().await;
    let [_, beta, gamma] = &backends;
    let mut clusters = Clusters::new();
    clusters.are(&[(beta, json!({})), (gamma, json!({}))]);
    let envoy = clusters.envoy(&backends).await;
    backends_are(&envoy, &["alpha", "beta", "gamma"]).await;
    let sent = under_load(&backends, &envoy, async || {
        // The order of docs/operations.md: drain, wait until nothing is under way, remove.
        done(&envoy, Method::POST, "/backends/beta/drain", "").await;
        news_travels().await;
        until("nothing is under way there", || async { under_way(&envoy, "beta").await == Some(0) }).await;
        clusters.are(&[(gamma, json!({}))]);
    })
    .await;
    assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
    assert_eq!(sent.by_status(), [(200, 400)].into());
    backends_are(&envoy, &["alpha", "gamma"]).await;
    let stats = settled(&envoy).await;
    assert_eq!(stats.get("http.llm.no_cluster"), 0);
    assert_eq!(counted(&stats, "circuit_breaker_failures_total", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_goes_unannounced_costs_each_worker_a_request_at_most() {
    let backends = trio().await;
    let [_, beta, gamma] = &backends;
    let mut clusters = Clusters::new();
    clusters.are(&[(beta, json!({})), (gamma, json!({}))]);
    let envoy = clusters.envoy(&backends).await;
    backends_are(&envoy, &["alpha", "beta", "gamma"]).await;
    let sent = under_load(&backends, &envoy, async || clusters.are(&[(gamma, json!({}))])).await;
    let stats = settled(&envoy).await;
    // Envoy answers these itself, before any retry; what was under way finished.
    let lost = sent.failures();
    assert_eq!(lost as u64, stats.get("http.llm.no_cluster"));
    assert!(lost <= WORKERS, "{lost}: {:?}", sent.first_failure());
    let failures = |id| counted(&stats, "circuit_breaker_failures_total", &[("backend_id", id)]);
    assert_eq!((failures("alpha"), failures("beta"), failures("gamma")), (0, lost as u64, 0));
    backends_are(&envoy, &["alpha", "gamma"]).await;
    // It is no backend any more: nobody has to do anything.
    assert_eq!(get(&envoy, "/health").await["configuration_warnings"], json!([]));
    assert_eq!(who(&envoy).await, all_of("gamma"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_without_the_router_loses_requests_to_a_cluster_that_goes_too() {
    let backends = trio().await;
    let [_, beta, gamma] = &backends;
    for version in ["1.36.4", "1.40.0"] {
        let mut clusters = Clusters::new();
        clusters.are(&[(beta, json!({})), (gamma, json!({}))]);
        let dir = clusters.dir.path().to_owned();
        let envoy = Envoy::builder()
            .version(version)
            .backends(&backends[..1])
            .route(Route::ClusterHeader)
            .patch(move |config| {
                config["dynamic_resources"]["cds_config"] = json!({"path_config_source":
                    {"path": dir.join("cds.json"), "watched_directory": {"path": dir}}, "resource_api_version": "V3"});
                let listener = &mut config["static_resources"]["listeners"][0];
                let route = &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
                    [0]["routes"][0]["route"];
                route["retry_policy"] = json!({"retry_on": "5xx,reset,connect-failure,refused-stream", "num_retries": 3});
            })
            .start()
            .await;
        let ask = || async {
            let url = envoy.url("/v1/chat/completions");
            let headers = [("x-llm-cluster", "beta")];
            Client::new().post_json_with(&url, &headers, &chat("hello")).await.unwrap().status
        };
        until("beta is there", || async { ask().await == 200 }).await;
        clusters.are(&[(gamma, json!({}))]);
        until("beta is gone", || async { ask().await == 503 }).await;
        assert!(envoy.stat("http.llm.no_cluster").await >= 1, "{version}");
        assert_eq!(envoy.stats().await.get("cluster.beta.upstream_rq_retry"), 0);
    }
}
