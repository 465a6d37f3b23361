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
    router::{counted, in_flight, news_travels, streamed_chat, trio, until},
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
    assert!(line.contains("beta") && line.contains("quality_score: 7 is not in 0..=1; wieght: unknown key"), "{line}");
    clusters.are(&[(beta, json!({"quality_score": 0.7})), (gamma, json!({}))]);
    backends_are(&envoy, &["alpha", "beta", "gamma"]).await;
    assert_eq!(counted(&envoy.stats().await, "internal_errors_total", &kind), 1);
}
