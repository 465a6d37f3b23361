//! What the module costs: requests a second and latencies of bare Envoy, of Envoy with a module that does nothing, and
//! of Envoy with the router, in rounds that take turns, as a Markdown table.
//!
//! Envoy has one worker. The load and the upstream share one thread of this process, so two cores are all it takes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod drive;
mod hostile;
mod table;
mod upstream;

use std::{env, fs, path::PathBuf, process::ExitCode, time::Duration};

use serde_json::{Value, json};
use wasm_tests::{
    client::Client,
    envoy::{Envoy, Form, Route, envoy_binary, module, workspace_root},
};

use self::{
    drive::{Round, drive},
    table::Row,
};

const USAGE: &str = "\
usage: bench [--quick] [--rounds N] [--seconds S] [--routes LIST] [--variants LIST] [--bodies LIST] [--connections LIST]
             [--module FILE] [--noop FILE] [--config FILE]
       bench --hostile [--rounds N] [--seconds S] [--seed N]

  --rounds N          rounds of each measurement, of which the median counts (default 5)
  --seconds S         length of a round (default 1.5)
  --quick             three rounds of half a second
  --routes LIST       of matcher, cluster_header (default both)
  --variants LIST     of bare, noop, llm_router (default all)
  --bodies LIST       bytes of the request's body (default 1024,16384,262144)
  --connections LIST  (default 1,16,64)
  --module FILE       the router (default $LLM_ROUTER_WASM or dist/llm_router.wasm)
  --noop FILE         the module that does nothing (default target/wasm32-wasip1/release/noop.wasm)
  --config FILE       the router's configuration as JSON, for backends alpha, beta and gamma
  --hostile           instead: latencies of one who behaves, alone and beside 2,000 hostile requests
  --seed N            which ones (default 20261201)";

/// The clusters, all of them the one upstream.
const CLUSTERS: [&str; 3] = ["alpha", "beta", "gamma"];
const WARM_UP: Duration = Duration::from_millis(300);

struct Options {
    rounds: usize,
    round: Duration,
    routes: Vec<String>,
    variants: Vec<String>,
    bodies: Vec<usize>,
    connections: Vec<usize>,
    module: Option<PathBuf>,
    noop: PathBuf,
    config: Value,
    hostile: bool,
    seed: u64,
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match options(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.hostile {
        return ended(hostile::run(options.rounds, options.round, options.seed));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    ended(runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(run(&options))))
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        rounds: 5,
        round: Duration::from_millis(1_500),
        routes: list("matcher,cluster_header")?,
        variants: list("bare,noop,llm_router")?,
        bodies: vec![1 << 10, 16 << 10, 256 << 10],
        connections: vec![1, 16, 64],
        module: None,
        noop: workspace_root().join("target/wasm32-wasip1/release/noop.wasm"),
        config: json!({"role": "router", "strategy": "cost_optimized", "backend_instances": {
            "alpha": {"cost_per_1k_tokens": 0.05, "expected_response_time_ms": 600, "quality_score": 0.92},
            "beta": {"cost_per_1k_tokens": 0.2, "expected_response_time_ms": 900, "quality_score": 0.86},
            "gamma": {"cost_per_1k_tokens": 0.1, "expected_response_time_ms": 700, "quality_score": 0.8},
        }}),
        hostile: false,
        seed: 20_261_201,
    };
    let mut args = args.iter();
    while let Some(option) = args.next() {
        if option == "--quick" {
            (options.rounds, options.round) = (3, Duration::from_millis(500));
            continue;
        }
        if option == "--hostile" {
            options.hostile = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--rounds" => options.rounds = one(value)?,
            "--seconds" => {
                let seconds = Duration::try_from_secs_f64(one(value)?);
                options.round = seconds.map_err(|error| format!("{value}: {error}"))?;
            }
            "--seed" => options.seed = one(value)?,
            "--routes" => options.routes = list(value)?,
            "--variants" => options.variants = list(value)?,
            "--bodies" => options.bodies = list(value)?,
            "--connections" => options.connections = list(value)?,
            "--module" => options.module = Some(value.into()),
            "--noop" => options.noop = value.into(),
            "--config" => {
                let text = fs::read_to_string(value).map_err(|error| format!("{value}: {error}"))?;
                options.config = serde_json::from_str(&text).map_err(|error| format!("{value}: {error}"))?;
            }
            _ => return Err(format!("{option} is not an option")),
        }
    }
    if options.rounds == 0 || options.connections.contains(&0) {
        return Err("rounds and connections are at least 1".to_owned());
    }
    Ok(options)
}

fn one<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a value of this kind"))
}

fn list<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(one).collect()
}

async fn run(options: &Options) -> Result<(), String> {
    let upstream = upstream::start().await.map_err(|error| error.to_string())?;
    println!(
        "{}; one worker; medians of {} rounds of {:?}; an answer of {} bytes after no time at all.",
        version().await?,
        options.rounds,
        options.round,
        upstream::ANSWER.len()
    );
    for name in &options.routes {
        let route = match name.as_str() {
            "matcher" => Route::Matcher { retries: 2 },
            "cluster_header" => Route::ClusterHeader,
            _ => return Err(format!("`{name}` is not a route")),
        };
        let mut rigs = Vec::new();
        for variant in &options.variants {
            rigs.push(Rig::start(options, variant, route, upstream).await?);
        }
        println!("\n### Route `{name}`\n\n{}", table::HEAD);
        for &bytes in &options.bodies {
            for &connections in &options.connections {
                for row in measure(options, &rigs, bytes, connections).await? {
                    println!("{row}");
                }
            }
        }
    }
    Ok(())
}

/// One Envoy.
struct Rig {
    variant: String,
    envoy: Envoy,
    /// What the client sends where no filter sets the cluster.
    headers: Vec<(&'static str, &'static str)>,
}

impl Rig {
    async fn start(options: &Options, variant: &str, route: Route, upstream: u16) -> Result<Self, String> {
        let mut builder = Envoy::builder().route(route).form(Form::Json).log_level("warning");
        for cluster in CLUSTERS {
            builder = builder.cluster(cluster, &[upstream]);
        }
        let is_router = variant == "llm_router";
        builder = match variant {
            "bare" => builder,
            "noop" => builder.module(&options.noop).router(json!({})),
            "llm_router" => {
                let mut config = options.config.clone();
                if let (Route::ClusterHeader, Some(config)) = (route, config.as_object_mut()) {
                    // This route cannot pick another cluster for a retry, so slots for it would be of no use.
                    config.insert("retry".to_owned(), json!({"max_attempts": 1}));
                }
                let module = options.module.clone().map_or_else(module, Ok)?;
                builder.module(module).router(config)
            }
            _ => return Err(format!("`{variant}` is not a variant")),
        };
        let envoy = builder.try_start().await?;
        let headers = match route {
            Route::Fixed => vec![],
            _ if is_router => vec![],
            Route::ClusterHeader => vec![("x-llm-cluster", CLUSTERS[0])],
            Route::Matcher { .. } => vec![("x-llm-try-0", CLUSTERS[0]), ("x-envoy-attempt-count", "0")],
        };
        let rig = Self { variant: variant.to_owned(), envoy, headers };
        rig.check(is_router && options.config.get("response_headers") != Some(&json!(false))).await?;
        Ok(rig)
    }

    /// A filter that lets requests pass unseen would look fast.
    async fn check(&self, must_route: bool) -> Result<(), String> {
        let url = self.envoy.url("/v1/chat/completions");
        let body: Value = serde_json::from_slice(&drive::chat_body(1 << 10)).map_err(|error| error.to_string())?;
        let reply =
            Client::new().post_json_with(&url, &self.headers, &body).await.map_err(|error| error.to_string())?;
        if reply.status != 200 || (must_route && reply.header("x-llm-backend").is_none()) {
            return Err(format!("{}: {} {:?} {}", self.variant, reply.status, reply.headers, reply.text()));
        }
        Ok(())
    }
}

async fn version() -> Result<String, String> {
    let output = tokio::process::Command::new(envoy_binary(None)?).arg("--version").output().await;
    let text = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout).into_owned();
    // `…/envoy  version: <commit>/<version>/<state of the tree>/…`
    let number = text.split_once("version:").and_then(|(_, text)| text.split('/').nth(1)).unwrap_or("of some version");
    Ok(format!("Envoy {number}"))
}

/// The variants take turns, round by round, so that whatever else the machine does hits all of them.
async fn measure(options: &Options, rigs: &[Rig], bytes: usize, connections: usize) -> Result<Vec<Row>, String> {
    let body = drive::chat_body(bytes);
    let mut rounds: Vec<Vec<Round>> = rigs.iter().map(|_| Vec::new()).collect();
    for rig in rigs {
        drive(rig.envoy.port(), &rig.headers, &body, connections, WARM_UP).await?;
    }
    for _ in 0..options.rounds {
        for (rig, rounds) in rigs.iter().zip(&mut rounds) {
            rounds.push(drive(rig.envoy.port(), &rig.headers, &body, connections, options.round).await?);
        }
    }
    let first = rounds.first().cloned().unwrap_or_default();
    let rows = rigs.iter().zip(&rounds).map(|(rig, rounds)| Row::new(bytes, connections, &rig.variant, rounds, &first));
    Ok(rows.collect())
}
