//! The simulated backends as a process, for trying things out by hand, for `scripts/run.sh` and for docker-compose.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::{
    collections::HashSet,
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};
use wasm_tests::backend::{Backend, Behaviour, Flavour, control};

const USAGE: &str = "\
usage: sim-backends [--listen ADDRESS] [--control-port PORT] --backend KEY=VALUE,... [--backend ...]

  --listen ADDRESS     where the backends listen (default 127.0.0.1)
  --control-port PORT  scripts the running backends from here, on 127.0.0.1 only (default: not at all; 0: any free port)
  --backend ...        name=NAME          required, once each
                       type=TYPE          openai (default) | anthropic | perplexity | lightrag | gemini | generic, each as
                                          strict as its service; proxy: all of them
                       port=PORT          default 0: any free port
                       and how it answers: status=200, latency_ms=0, first_token_ms=0, inter_token_ms=0,
                       output_tokens=16, prompt_token_bias=1.0, cached_tokens=0, usage=true, piece_bytes=N,
                       key=KEY, context_tokens=N, fault=none | hang | reset
                       (by the control port also models, replies, headers)

Prints `NAME TYPE http://ADDRESS:PORT` for each when all are listening, and ends on SIGTERM or Ctrl-C.

The control port takes, with `backend` a name:
  POST /__sim/behaviour  {\"backend\":\"a\",\"behaviour\":{\"status\":503},\"prompts\":3}   without prompts: until changed
  POST /__sim/health     {\"backend\":\"a\",\"behaviour\":{\"status\":500}}               the answers to GET
  POST /__sim/kill       {\"backend\":\"a\"}        POST /__sim/restart {\"backend\":\"a\"}
  POST /__sim/clear      {\"backend\":\"a\"}        empties the journal
  GET  /__sim/journal?backend=a               GET /__sim/counters";

struct Plan {
    listen: IpAddr,
    control_port: Option<u16>,
    backends: Vec<Planned>,
}

struct Planned {
    name: String,
    kind: String,
    flavour: Flavour,
    port: u16,
    behaviour: Behaviour,
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let plan = match plan(&args) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(run(plan))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(args: &[String]) -> Result<Plan, String> {
    let mut plan = Plan { listen: IpAddr::V4(Ipv4Addr::LOCALHOST), control_port: None, backends: Vec::new() };
    let mut args = args.iter();
    while let Some(option) = args.next() {
        let value = args.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--listen" => plan.listen = value.parse().map_err(|_| format!("{value} is not an address"))?,
            "--control-port" => plan.control_port = Some(port(value)?),
            "--backend" => plan.backends.push(planned(value)?),
            _ => return Err(format!("{option} is not an option")),
        }
    }
    let mut names = HashSet::new();
    if let Some(twice) = plan.backends.iter().find(|backend| !names.insert(&backend.name)) {
        return Err(format!("two backends are called {}", twice.name));
    }
    if plan.backends.is_empty() { Err("there is no --backend".to_owned()) } else { Ok(plan) }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text} is not a port"))
}

fn planned(text: &str) -> Result<Planned, String> {
    let (mut name, mut kind, mut at, mut behaviour) = (None, "openai", 0, Map::new());
    for pair in text.split(',') {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        match key {
            "name" => name = Some(value.to_owned()),
            "type" => kind = value,
            "port" => at = port(value)?,
            _ => {
                // Numbers and booleans are JSON; what is not is a word.
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
                behaviour.insert(key.to_owned(), value);
            }
        }
    }
    let behaviour: Behaviour =
        serde_json::from_value(Value::Object(behaviour)).map_err(|error| format!("`{text}`: {error}"))?;
    behaviour.check()?;
    let name = name.ok_or_else(|| format!("`{text}` has no name"))?;
    Ok(Planned { name, kind: kind.to_owned(), flavour: kind.parse()?, port: at, behaviour })
}

async fn run(plan: Plan) -> Result<(), String> {
    // From the first, so that no signal is lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    let mut backends = Vec::new();
    for Planned { name, kind, flavour, port, behaviour } in plan.backends {
        let address = SocketAddr::new(plan.listen, port);
        let backend = Backend::start_at(&name, flavour, address)
            .await
            .map_err(|error| format!("{name} cannot listen on {address}: {error}"))?;
        backend.set(behaviour);
        lines.push(format!("{name} {kind} http://{}", backend.address()));
        backends.push(backend);
    }
    let backends = Arc::new(backends);
    let control = match plan.control_port {
        Some(port) => {
            let control = control::serve(Arc::clone(&backends), port).await;
            Some(control.map_err(|error| format!("the control port {port}: {error}"))?)
        }
        None => None,
    };
    if let Some(control) = &control {
        lines.push(format!("control - http://{}", control.address()));
    }
    println!("{}", lines.join("\n"));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
