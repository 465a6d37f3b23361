//! The process, from its start until it is ready.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use super::{Builder, Loading, POLL, config};
use crate::{client::Client, ports::free_port};

/// Compiling the module takes Envoy a while, more so on a machine that is busy.
const READY_LIMIT: Duration = Duration::from_secs(60);
const LOG_LINES: usize = 60;

/// A process that is ready.
pub(super) struct Running {
    pub(super) process: Child,
    pub(super) dir: TempDir,
    pub(super) admin_port: u16,
    pub(super) port: u16,
    /// 0 where there is no such listener.
    pub(super) control_port: u16,
}

impl Running {
    pub(super) async fn start(builder: &Builder, binary: &Path) -> Result<Self, String> {
        let text = |error: io::Error| error.to_string();
        let dir = TempDir::with_prefix("llm-router-envoy-").map_err(text)?;
        if let (Loading::Ecds, Some(router)) = (builder.loading, &builder.router) {
            fs::write(dir.path().join("ecds.json"), config::ecds(builder, router).to_string()).map_err(text)?;
        }
        let admin_port = free_port();
        let mut bootstrap = config::bootstrap(builder, admin_port, dir.path());
        builder.patches.iter().for_each(|patch| patch(&mut bootstrap));
        let config = dir.path().join("envoy.json");
        fs::write(&config, format!("{bootstrap:#}")).map_err(text)?;
        let log = File::create(dir.path().join("envoy.log")).map_err(text)?;

        let process = Command::new(binary)
            .arg("--config-path")
            .arg(&config)
            .args(["--concurrency", &builder.concurrency.to_string()])
            .args(match &builder.log_level {
                Some(level) => vec!["--log-level", level],
                None => vec!["--log-level", "warning", "--component-log-level", "wasm:info,config:info"],
            })
            // Envoys side by side must not meet in shared memory.
            .arg("--disable-hot-restart")
            .envs(builder.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut running = Self { process, dir, admin_port, port: 0, control_port: 0 };
        running.wait_until_ready().await?;
        running.port = running.listener_port("llm").await?;
        if builder.control.is_some() {
            running.control_port = running.listener_port("control").await?;
        }
        Ok(running)
    }

    async fn wait_until_ready(&mut self) -> Result<(), String> {
        let client = Client::with_timeout(Duration::from_secs(2));
        let url = format!("http://127.0.0.1:{}/ready", self.admin_port);
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("Envoy ended at its start with {status}:\n{}", self.log_tail()));
            }
            if client.get(&url).await.is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            if started.elapsed() > READY_LIMIT {
                return Err(format!("Envoy was not ready after {READY_LIMIT:?}:\n{}", self.log_tail()));
            }
            sleep(POLL).await;
        }
    }

    pub(super) async fn listener_port(&self, name: &str) -> Result<u16, String> {
        let url = format!("http://127.0.0.1:{}/listeners?format=json", self.admin_port);
        let listeners = Client::new().get(&url).await.map_err(|error| error.to_string())?.json();
        let all = listeners["listener_statuses"].as_array().into_iter().flatten();
        all.filter(|listener| listener["name"] == name)
            .find_map(|listener| listener["local_address"]["socket_address"]["port_value"].as_u64())
            .map(|port| port as u16)
            .ok_or_else(|| format!("no listener `{name}` in {listeners}"))
    }

    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.dir.path().join("envoy.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}
