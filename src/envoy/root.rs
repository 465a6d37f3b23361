//! One per configuration and VM: loads the configuration, keeps the time, makes the streams.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use super::attempt::Attempt;
use super::clock;
use super::control::{self, Control};
use super::host::{SharedData, write};
use super::http::Http;
use super::line::Line;
use super::queue;
use super::stream::Stream;
use super::unseen;
use crate::config::{LogLevel, Parsed};
use crate::control::Guard;
use crate::domain::FallbackAnswers;
use crate::host::{CallId, Host as _};
use crate::state::note_refused;
use crate::upkeep::Answer;

/// How often a VM looks at what others wrote: what may lag lags at most so long.
const TICK: Duration = Duration::from_millis(50);

thread_local! {
    /// The newest router of this VM and the one before, as long as Envoy keeps them: the one that the control API is about.
    /// All filters with one vm_id share a VM on each thread, so that those of another role find it here.
    ///
    /// The newest is not always the one that was configured last: where Envoy is given a configuration again of which
    /// streams are still under way, it goes on with that root, and does not configure it anew. So it is the one that gets
    /// new streams, or is there when the others are gone.
    static ROUTERS: RefCell<[Weak<Line>; 2]> = const { RefCell::new([Weak::new(), Weak::new()]) };

    /// Whether this VM has, or had, a filter in the role `attempt`. A call to a cluster makes a stream of that cluster's
    /// filter, at once, while the VM is busy with the caller; and the SDK panics there. So such a VM makes none.
    static ATTEMPTS: Cell<bool> = const { Cell::new(false) };
}

/// One configuration on this thread.
#[derive(Debug)]
pub(super) struct Root {
    id: u32,
    place: Place,
}

/// Where in Envoy it is at work.
#[derive(Debug, Default)]
enum Place {
    /// It was never configured.
    #[default]
    Nowhere,
    Router(Rc<Line>),
    Attempt(FallbackAnswers),
    Control(Rc<Guard>),
}

impl Drop for Root {
    fn drop(&mut self) {
        queue::forget(self.id);
    }
}

impl Drop for Line {
    /// Envoy has no more use for this configuration.
    fn drop(&mut self) {
        let newer = newest().map(|line| line.newest());
        self.retire(newer.as_deref());
    }
}

impl Root {
    pub(super) fn new(id: u32) -> Self {
        Self { id, place: Place::Nowhere }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, _: usize) {
        if let Place::Router(line) = &self.place {
            line.answered(&Answer { call: CallId(call), headers, body });
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default();
        let config = match Parsed::from_bytes(&bytes) {
            Ok(Parsed::Router(config)) => Arc::from(config),
            Ok(Parsed::Attempt(fallback)) => {
                ATTEMPTS.set(true);
                self.place = Place::Attempt(fallback);
                return true;
            }
            Ok(Parsed::Control(config)) => {
                self.place = Place::Control(Rc::new(control::guard(config)));
                return true;
            }
            Err(errors) => {
                write(LogLevel::Error, &format!("llm-router: the configuration is refused\n{errors}"));
                // Where that cannot be noted, it is in the log.
                let _ = note_refused(&SharedData, &errors.to_string(), clock::now());
                return false;
            }
        };
        let Some(line) = Line::new(config) else {
            write(LogLevel::Error, "llm-router: shared data cannot be written");
            return false;
        };
        let active = line.newest();
        let (version, backends) = (env!("CARGO_PKG_VERSION"), active.config.backends.len());
        let fields = [
            ("event", "configured".to_owned()),
            ("version", version.to_owned()),
            ("strategy", active.config.strategy.name().to_owned()),
            ("backends", backends.to_string()),
        ];
        active.host.log(LogLevel::Info, &crate::logging::line(active.config.logging.format, &fields));
        if has_attempts() && active.config.has_calls() {
            write(LogLevel::Warn, "llm-router: without checks and webhook: give the role attempt a vm_id of its own");
        }
        line.tell_what_ended();
        let line = Rc::new(line);
        is_newest(&line);
        self.place = Place::Router(line);
        hostcalls::set_tick_period(TICK).is_ok()
    }

    fn on_tick(&mut self) {
        if let Place::Router(line) = &self.place {
            if newest().is_none() {
                is_newest(line);
            }
            line.tick();
            queue::tick(&line.newest(), self.id);
            unseen::tick();
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if let Place::Router(line) = &self.place {
            queue::called(&line.newest(), queue);
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(match &self.place {
            Place::Nowhere => Stream::Router(Http::new(None, id)),
            Place::Router(line) => {
                is_newest(line);
                Stream::Router(Http::new(Some(Rc::clone(line)), id))
            }
            Place::Attempt(fallback) => Stream::Attempt(Attempt::new(*fallback)),
            Place::Control(guard) => Stream::Control(Control::new(newest(), Rc::clone(guard))),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Whether this VM must not call clusters of backends.
pub(super) fn has_attempts() -> bool {
    ATTEMPTS.get()
}

fn newest() -> Option<Rc<Line>> {
    ROUTERS.try_with(|routers| routers.borrow().iter().find_map(Weak::upgrade)).ok().flatten()
}

fn is_newest(line: &Rc<Line>) {
    ROUTERS.with(|routers| {
        let [newest, before] = &mut *routers.borrow_mut();
        if !std::ptr::eq(newest.as_ptr(), Rc::as_ptr(line)) {
            *before = std::mem::replace(newest, Rc::downgrade(line));
        }
    });
}

/// A number that no other VM has. The standard library seeds its hash maps from the host's entropy, once a thread.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
