//! One per configuration and VM: loads the configuration, keeps the time, makes the streams.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use super::control::{self, Control};
use super::host::{EnvoyHost, write};
use super::http::Http;
use crate::config::{Config, LogLevel, Parsed};
use crate::control::Token;
use crate::exchange::{self, Router};
use crate::host::{CallId, Host};
use crate::metrics::{Internal, Metric};
use crate::state::View;
use crate::upkeep::{Answer, Upkeep};

/// How often a VM looks at what others wrote: what may lag lags at most so long.
const TICK: Duration = Duration::from_millis(50);

thread_local! {
    /// The VM's view: configurations come and go, and two of them overlap while streams of the old one end.
    static VIEW: RefCell<View> = RefCell::new(View::new(random()));

    /// The newest router of this VM, as long as Envoy keeps it: the one that the control API is about. All filters with
    /// one vm_id share a VM on each thread, so that those of another role find it here.
    static ROUTER: RefCell<Weak<Active>> = const { RefCell::new(Weak::new()) };
}

/// A configuration at work on this thread.
#[derive(Debug)]
pub(super) struct Active {
    router: RefCell<Router>,
    upkeep: RefCell<Upkeep>,
    pub(super) host: EnvoyHost,
    config: Arc<Config>,
}

/// One configuration on this thread.
#[derive(Debug, Default)]
pub(super) struct Root {
    place: Place,
}

/// Where in Envoy it is at work.
#[derive(Debug, Default)]
enum Place {
    /// It was never configured.
    #[default]
    Nowhere,
    Router(Rc<Active>),
    Control(Rc<Token>),
}

impl Active {
    fn new(config: Arc<Config>) -> Option<Self> {
        let host = EnvoyHost::new(Arc::clone(&config));
        let (router, upkeep) = VIEW.with(|view| {
            let mut view = view.try_borrow_mut().ok()?;
            let router = Router::new(Arc::clone(&config), &mut view, &host, random()).ok()?;
            Some((router, Upkeep::new(&config, &mut view)))
        })?;
        Some(Self { router: RefCell::new(router), upkeep: RefCell::new(upkeep), host, config })
    }

    /// Lets `work` have the router and the view. None only if they are in use already, which Envoy never causes; it is
    /// counted rather than believed.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut exchange::Context<'_, EnvoyHost>) -> T) -> Option<T> {
        let result = VIEW.with(|view| {
            let (mut view, mut router) = (view.try_borrow_mut().ok()?, self.router.try_borrow_mut().ok()?);
            Some(work(&mut exchange::Context { router: &mut router, view: &mut view, host: &self.host }))
        });
        if result.is_none() {
            self.host.record(Metric::InternalErrors(Internal::Reentered), 1);
        }
        result
    }

    /// Lets `work` have the upkeep and what it works with.
    fn keep_up(&self, work: impl FnOnce(&mut Upkeep, &mut exchange::Context<'_, EnvoyHost>)) {
        // In use already only if Envoy answered a call while it was made: that answer is counted as lost.
        match self.upkeep.try_borrow_mut() {
            Ok(mut upkeep) => _ = self.with(|cx| work(&mut upkeep, cx)),
            Err(_) => self.host.record(Metric::InternalErrors(Internal::Reentered), 1),
        }
    }

    /// Sends a request that could not be decided to the default backend.
    pub(super) fn fall_back(&self) {
        if let Some(backend) = self.config.backends.get(self.config.default_backend.get()) {
            self.host.remove_request_header("x-llm-cluster");
            self.host.add_request_header("x-llm-cluster", backend.cluster.as_bytes());
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, _: usize) {
        if let Place::Router(active) = &self.place {
            let answer = Answer { call: CallId(call), headers, body };
            active.keep_up(|upkeep, cx| upkeep.answered(cx.router, cx.view, cx.host, &answer));
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default();
        let config = match Parsed::from_bytes(&bytes) {
            Ok(Parsed::Router(config)) => Arc::from(config),
            Ok(Parsed::Control) => {
                self.place = Place::Control(Rc::new(control::token()));
                return true;
            }
            Err(errors) => {
                write(LogLevel::Error, &format!("llm-router: the configuration is refused\n{errors}"));
                return false;
            }
        };
        let Some(active) = Active::new(config) else {
            write(LogLevel::Error, "llm-router: shared data cannot be written");
            return false;
        };
        let (version, backends) = (env!("CARGO_PKG_VERSION"), active.config.backends.len());
        let fields = [
            ("event", "configured".to_owned()),
            ("version", version.to_owned()),
            ("strategy", active.config.strategy.name().to_owned()),
            ("backends", backends.to_string()),
        ];
        active.host.log(LogLevel::Info, &crate::logging::line(active.config.logging.format, &fields));
        let active = Rc::new(active);
        ROUTER.with(|newest| newest.replace(Rc::downgrade(&active)));
        self.place = Place::Router(active);
        hostcalls::set_tick_period(TICK).is_ok()
    }

    fn on_tick(&mut self) {
        if let Place::Router(active) = &self.place {
            active.keep_up(|upkeep, cx| {
                cx.router.follow(cx.host);
                upkeep.tick(cx.router, cx.view, cx.host);
            });
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(match &self.place {
            Place::Nowhere => Box::new(Http::new(None)),
            Place::Router(active) => Box::new(Http::new(Some(Rc::clone(active)))),
            Place::Control(token) => {
                let router = ROUTER.with(|newest| newest.borrow().upgrade());
                Box::new(Control::new(router, Rc::clone(token)))
            }
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// A number that no other VM has. The standard library seeds its hash maps from the host's entropy, once a thread.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
