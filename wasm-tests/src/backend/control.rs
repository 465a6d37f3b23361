//! Scripting backends from outside their process. It listens on a port of its own, so that no client of a backend can
//! reach it.
//!
//! | method and path | body | does |
//! | --- | --- | --- |
//! | `POST /__sim/behaviour` | `{"backend", "behaviour", "prompts"?}` | [`Backend::next`], without `prompts` [`Backend::set`] |
//! | `POST /__sim/health` | `{"backend", "behaviour"}` | [`Backend::set_health`] |
//! | `POST /__sim/kill`, `/__sim/restart`, `/__sim/clear` | `{"backend"}` | [`Backend::kill`], [`Backend::restart`], [`Backend::clear_journal`] |
//! | `GET /__sim/journal?backend=NAME` | | [`Backend::journal_json`] |
//! | `GET /__sim/counters` | | the counters of all |

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, body::Incoming, header::CONTENT_TYPE, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{Backend, Behaviour};

/// A running control endpoint. Dropping it stops it.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Control {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    backend: String,
    behaviour: Option<Behaviour>,
    prompts: Option<usize>,
}

/// Serves the control endpoint on this loopback port; 0 is any free one.
pub async fn serve(backends: Arc<Vec<Backend>>, port: u16) -> io::Result<Control> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let backends = Arc::clone(&backends);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let backends = Arc::clone(&backends);
                    async move { respond(&backends, request).await }
                });
                // A client that goes away is no concern of ours.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(Control { address, task })
}

async fn respond(backends: &[Backend], request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (status, value) = match obey(backends, &head.method, head.uri.path(), head.uri.query(), &body).await {
        Ok(value) => (200, value),
        Err((status, message)) => (status, json!({"error": message})),
    };
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    Ok(response.body(Full::new(value.to_string().into())).expect("the parts are valid"))
}

async fn obey(
    backends: &[Backend],
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Value, (u16, String)> {
    let find = |name: &str| {
        let found = backends.iter().find(|backend| backend.name() == name);
        found.ok_or_else(|| (404, format!("no backend is called `{name}`")))
    };
    let action = path.strip_prefix("/__sim/").unwrap_or_default();
    if method == Method::GET {
        return match action {
            "counters" => {
                let counters = backends.iter().map(|backend| (backend.name().to_owned(), json!(backend.counters())));
                Ok(Value::Object(counters.collect::<Map<_, _>>()))
            }
            "journal" => {
                let name = query.and_then(|query| query.strip_prefix("backend=")).unwrap_or_default();
                Ok(find(name)?.journal_json())
            }
            _ => Err((404, format!("no such path: {path}"))),
        };
    }
    let order: Order = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
    let backend = find(&order.backend)?;
    let behaviour = || {
        let behaviour = order.behaviour.clone().ok_or_else(|| (400, "`behaviour` is missing".to_owned()))?;
        behaviour.check().map_err(|error| (400, error))?;
        Ok(behaviour)
    };
    match action {
        "behaviour" => match order.prompts {
            Some(prompts) => backend.next(prompts, behaviour()?),
            None => backend.set(behaviour()?),
        },
        "health" => backend.set_health(behaviour()?),
        "kill" => backend.kill().await,
        "restart" => backend.restart().await,
        "clear" => backend.clear_journal(),
        _ => return Err((404, format!("no such path: {path}"))),
    }
    Ok(json!({"ok": true}))
}
