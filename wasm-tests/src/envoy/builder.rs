//! What an Envoy is to be.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Envoy, Form, Loading, Route, envoy_binary, module, process::Running};
use crate::{backend::Backend, client::Client};

/// The admin port may be taken between its choice and its use.
const STARTS: usize = 3;

type Patch = Box<dyn Fn(&mut Value) + Send + Sync>;

/// What Envoy is to be.
pub struct Builder {
    pub(super) version: Option<String>,
    pub(super) binary: Option<PathBuf>,
    pub(super) concurrency: u32,
    pub(super) clusters: Vec<(String, Vec<u16>)>,
    pub(super) admin_cluster: bool,
    pub(super) route: Route,
    pub(super) route_timeout: String,
    pub(super) module: Option<PathBuf>,
    pub(super) router: Option<Value>,
    pub(super) control: Option<Value>,
    pub(super) attempts: Vec<String>,
    pub(super) form: Form,
    pub(super) loading: Loading,
    pub(super) log_level: Option<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) patches: Vec<Patch>,
}

impl Builder {
    /// One worker, a fixed route, no module.
    pub(super) fn new() -> Self {
        Self {
            version: None,
            binary: None,
            concurrency: 1,
            clusters: Vec::new(),
            admin_cluster: false,
            route: Route::Fixed,
            route_timeout: "30s".to_owned(),
            module: None,
            router: None,
            control: None,
            attempts: Vec::new(),
            form: Form::Struct,
            loading: Loading::Inline,
            log_level: None,
            env: Vec::new(),
            patches: Vec::new(),
        }
    }

    /// The version of Envoy; see [`envoy_binary`].
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// This very Envoy.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Worker threads; 1 unless said otherwise.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// One more cluster, with its loopback ports.
    #[must_use]
    pub fn cluster(mut self, name: &str, ports: &[u16]) -> Self {
        self.clusters.push((name.to_owned(), ports.to_vec()));
        self
    }

    /// A cluster for each backend, named as it.
    #[must_use]
    pub fn backends<'a>(self, backends: impl IntoIterator<Item = &'a Backend>) -> Self {
        backends.into_iter().fold(self, |builder, backend| builder.cluster(backend.name(), &[backend.port()]))
    }

    /// More fields of a cluster, such as `health_checks`, in the place of those that it has.
    #[must_use]
    pub fn tune(self, cluster: &str, fields: Value) -> Self {
        let name = cluster.to_owned();
        self.patch(move |config| {
            let clusters = config["static_resources"]["clusters"].as_array_mut();
            let cluster = clusters.into_iter().flatten().find(|cluster| cluster["name"] == *name);
            let cluster = cluster.unwrap_or_else(|| panic!("no cluster is called `{name}`"));
            for (key, value) in fields.as_object().expect("an object") {
                cluster[key] = value.clone();
            }
        })
    }

    /// Envoy checks each host of this cluster by `GET /health` ten times a second, and believes the first answer.
    #[must_use]
    pub fn health_checked(self, cluster: &str) -> Self {
        let check = json!({"timeout": "5s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_threshold": 1,
            "healthy_threshold": 1, "http_health_check": {"path": "/health"}});
        self.tune(cluster, json!({"health_checks": [check]}))
    }

    /// Envoy ejects a host of this cluster after so many 5xx in a row, the first time for that long.
    #[must_use]
    pub fn outlier_detection(self, cluster: &str, consecutive_5xx: u32, ejection: &str) -> Self {
        let detection = json!({"consecutive_5xx": consecutive_5xx, "interval": "0.1s", "base_ejection_time": ejection,
            "max_ejection_percent": 100});
        self.tune(cluster, json!({"outlier_detection": detection}))
    }

    /// Envoy adds this `authorization` to all that goes to a cluster, by its `credential_injector` as an upstream filter.
    #[must_use]
    pub fn credential(self, cluster: &str, authorization: &str) -> Self {
        let ty = "type.googleapis.com/envoy.extensions";
        let injector = json!({
            "@type": format!("{ty}.filters.http.credential_injector.v3.CredentialInjector"),
            "overwrite": true,
            "credential": {"name": "key", "typed_config": {
                "@type": format!("{ty}.http.injected_credentials.generic.v3.Generic"),
                "credential": {"name": "key"},
            }},
        });
        let options = json!({
            "@type": format!("{ty}.upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": [
                {"name": "key", "typed_config": injector},
                {"name": "envoy.filters.http.upstream_codec",
                    "typed_config": {"@type": format!("{ty}.filters.http.upstream_codec.v3.UpstreamCodec")}},
            ],
        });
        let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let secret = json!({"name": "key", "generic_secret": {"secret": {"inline_string": authorization}}});
        self.tune(cluster, json!({"typed_extension_protocol_options": {key: options}}))
            .patch(move |config| config["static_resources"]["secrets"] = json!([secret]))
    }

    /// A cluster `envoy_admin` that points at this Envoy's own admin interface.
    #[must_use]
    pub fn admin_cluster(mut self) -> Self {
        self.admin_cluster = true;
        self
    }

    /// How the cluster is picked; [`Route::Fixed`] unless said otherwise.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// The route's timeout, such as `"0.5s"`; 30 s unless said otherwise.
    #[must_use]
    pub fn route_timeout(mut self, timeout: &str) -> Self {
        timeout.clone_into(&mut self.route_timeout);
        self
    }

    /// Loads the module, with this configuration. Without it there is no filter but Envoy's own router.
    #[must_use]
    pub fn router(mut self, configuration: Value) -> Self {
        self.router = Some(configuration);
        self
    }

    /// A second listener, with the control API of the router; see [`Envoy::control_url`]. Its token, if there is to be
    /// one, is [`env`](Self::env)'s `LLM_ROUTER_CONTROL_TOKEN`.
    #[must_use]
    pub fn control(self) -> Self {
        self.control_with(json!({}))
    }

    /// The same with more keys in its configuration.
    #[must_use]
    pub fn control_with(mut self, mut configuration: Value) -> Self {
        configuration["role"] = json!("control");
        self.control = Some(configuration);
        self
    }

    /// The module in the role `attempt`, as an upstream filter of these clusters, in a VM of its own.
    #[must_use]
    pub fn attempt<'a>(mut self, clusters: impl IntoIterator<Item = &'a str>) -> Self {
        self.attempts.extend(clusters.into_iter().map(ToOwned::to_owned));
        self
    }

    /// Another module than [`module`] finds.
    #[must_use]
    pub fn module(mut self, path: impl Into<PathBuf>) -> Self {
        self.module = Some(path.into());
        self
    }

    /// How the configuration is handed over; [`Form::Struct`] unless said otherwise.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// How the filter is loaded; [`Loading::Inline`] unless said otherwise.
    #[must_use]
    pub fn loading(mut self, loading: Loading) -> Self {
        self.loading = loading;
        self
    }

    /// The log level of all of Envoy; unless said otherwise, `info` for the module and the configuration, `warning` for
    /// the rest.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = Some(level.to_owned());
        self
    }

    /// One more variable in Envoy's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes the generated bootstrap configuration in any way. May be called more than once, on a fresh one each.
    #[must_use]
    pub fn patch(mut self, patch: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.patches.push(Box::new(patch));
        self
    }

    /// Starts Envoy and waits until it is ready; panics with the end of its log where it is not.
    pub async fn start(self) -> Envoy {
        self.try_start().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts Envoy and waits until it is ready.
    ///
    /// # Errors
    ///
    /// What is missing, or that Envoy ended or was not ready in time, with the end of its log.
    pub async fn try_start(mut self) -> Result<Envoy, String> {
        let binary = match self.binary.take() {
            Some(binary) => binary,
            None => envoy_binary(self.version.as_deref())?,
        };
        if (self.router.is_some() || self.control.is_some() || !self.attempts.is_empty()) && self.module.is_none() {
            self.module = Some(module()?);
        }
        assert!(!self.clusters.is_empty(), "an Envoy needs a cluster");

        let mut starts = 1;
        loop {
            match Running::start(&self, &binary).await {
                Err(error) if starts < STARTS && error.contains("Address already in use") => starts += 1,
                Err(error) => return Err(error),
                Ok(running) => return Ok(Envoy { builder: self, running, client: Client::new() }),
            }
        }
    }

    pub(super) fn first_cluster(&self) -> String {
        self.clusters.first().expect("an Envoy needs a cluster").0.clone()
    }

    pub(super) fn module_path(&self) -> &PathBuf {
        self.module.as_ref().expect("set before the configuration is made")
    }
}
