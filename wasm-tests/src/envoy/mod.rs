//! A real Envoy process with a generated configuration.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use serde_json::json;
//! # use wasm_tests::{backend::{Backend, Flavour}, envoy::{Envoy, Form, Loading, Route, Swap}};
//! # async fn example(alpha: &Backend) {
//! let router = json!({"role": "router", "strategy": "round_robin", "backend_instances": {"alpha": {}}});
//! let mut envoy = Envoy::builder()
//!     .version("1.39.3") // without it: $ENVOY_BIN, PATH, or the newest in .envoy
//!     .concurrency(4)
//!     .backends([alpha]) // a cluster for each, named as the backend
//!     .cluster("dead", &[1]) // any other
//!     .route(Route::Matcher { retries: 2 })
//!     .router(router.clone())
//!     .form(Form::Json)
//!     .loading(Loading::Ecds)
//!     .patch(|config| config["static_resources"]["clusters"][0]["connect_timeout"] = "5s".into())
//!     .start() // `try_start` where Envoy may refuse
//!     .await;
//!
//! let url = envoy.url("/v1/chat/completions");
//! assert_eq!(envoy.swap(&json!({"role": "router", "strategy": "nonsense"})).await, Swap::Refused);
//! assert_eq!(envoy.swap(&router).await, Swap::Accepted);
//! envoy.wait_for(Duration::from_secs(5), |stats| stats.get("http.llm.downstream_rq_active") == 0).await;
//! let spent = envoy.prometheus().await.metric("loadbalancer_requests_total", &[("backend_id", "alpha")]);
//! # }
//! ```
//!
//! The listener is on a free port of Envoy's choosing. The process is killed when its [`Envoy`] is dropped; when that
//! happens in a panic, the end of its log is printed.

mod binary;
mod builder;
mod config;
mod process;
mod stats;

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use self::process::Running;
pub use self::{
    binary::{envoy_binary, module, workspace_root},
    builder::Builder,
    config::{Form, Loading, Route},
    stats::{Prometheus, Stats},
};
use crate::client::{Client, Error, Reply};

const SWAP_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// What became of a new configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// New streams get it.
    Accepted,
    /// The old one goes on.
    Refused,
}

/// An Envoy that is ready.
pub struct Envoy {
    builder: Builder,
    running: Running,
    client: Client,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of Envoy's log ---\n{}", self.running.log_tail());
        }
    }
}

impl Envoy {
    /// Begins to describe one.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The port of the listener.
    pub fn port(&self) -> u16 {
        self.running.port
    }

    /// The port of a listener that a patch added.
    pub async fn listener_port(&self, name: &str) -> u16 {
        self.running.listener_port(name).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A URL of the listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.running.port)
    }

    /// The port of the control listener; see [`Builder::control`].
    pub fn control_port(&self) -> u16 {
        self.running.control_port
    }

    /// A URL of the control API: `/health` and the like.
    pub fn control_url(&self, endpoint: &str) -> String {
        format!("http://127.0.0.1:{}/api/v1/router{endpoint}", self.running.control_port)
    }

    /// A URL of the admin interface.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.running.admin_port)
    }

    /// `GET` from the admin interface.
    pub async fn admin(&self, path: &str) -> Result<Reply, Error> {
        self.client.get(&self.admin_url(path)).await
    }

    /// The counters and gauges now.
    pub async fn stats(&self) -> Stats {
        Stats::parse(&self.admin("/stats").await.expect("the admin interface answers").text())
    }

    /// One counter or gauge now; 0 where Envoy does not know it.
    pub async fn stat(&self, name: &str) -> u64 {
        self.stats().await.get(name)
    }

    /// The metrics as Prometheus gets them.
    pub async fn prometheus(&self) -> Prometheus {
        Prometheus(self.admin("/stats/prometheus").await.expect("the admin interface answers").text())
    }

    /// Waits until the statistics say so; panics with all of them where they do not in time.
    pub async fn wait_for(&self, limit: Duration, condition: impl Fn(&Stats) -> bool) -> Stats {
        let started = Instant::now();
        loop {
            let stats = self.stats().await;
            if condition(&stats) {
                return stats;
            }
            if started.elapsed() > limit {
                let known: Vec<_> = stats.matching(&[]).filter(|(_, value)| *value > 0).collect();
                panic!("not within {limit:?}; the statistics: {known:#?}");
            }
            sleep(POLL).await;
        }
    }

    /// Replaces the router's configuration ([`Loading::Ecds`] only): a new file is renamed over the watched one.
    /// Returns when Envoy has taken or refused it. The same bytes as before are not looked at again: a panic.
    pub async fn swap(&mut self, router: &Value) -> Swap {
        assert_eq!(self.builder.loading, Loading::Ecds, "only an Envoy with extension discovery can swap");
        let count =
            |stats: &Stats, name: &str| stats.get(&format!("extension_config_discovery.http_filter.llm_router.{name}"));
        let before = self.stats().await;

        let dir = self.running.dir.path();
        let fresh = dir.join("ecds.json.new");
        fs::write(&fresh, config::ecds(&self.builder, router).to_string()).expect("the directory is ours");
        fs::rename(&fresh, dir.join("ecds.json")).expect("the directory is ours");

        let differs = |stats: &Stats, name: &str| count(stats, name) > count(&before, name);
        let after = self.wait_for(SWAP_LIMIT, |now| differs(now, "config_reload") || differs(now, "config_fail")).await;
        if differs(&after, "config_fail") {
            return Swap::Refused;
        }
        self.builder.router = Some(router.clone());
        Swap::Accepted
    }

    /// Stops the whole process for so long, as a machine does that is moved or suspended, and lets it go on.
    pub async fn stand_still(&self, time: Duration) {
        self.signal("-STOP").await;
        sleep(time).await;
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.running.process.id().expect("it runs").to_string();
        let sent = tokio::process::Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal} {id}");
    }

    /// Whether the process lives.
    pub fn is_running(&mut self) -> bool {
        matches!(self.running.process.try_wait(), Ok(None))
    }

    /// Its log so far, for people: never an oracle.
    pub fn log(&self) -> String {
        self.running.log()
    }
}
