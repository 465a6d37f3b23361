//! The requests of this VM that wait for a place, and how its worker and the others wake each other.
//!
//! Every VM has a message queue of Envoy's, by its seat. A message names what the round is through with; whoever gets it
//! goes on from there. The room belongs to the VM and not to a configuration: while one is swapped for another, requests
//! of both may wait.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;

use super::host::EnvoyHost;
use super::http::send;
use super::line::{Active, Line};
use crate::domain::{Decoder, Encoder, Timestamp};
use crate::exchange::{self, Refusal, Waiting};
use crate::host::Host;
use crate::metrics::{Internal, Metric};
use crate::queue::{Call, Passed, Placing, Room};
use crate::state::{Backends, Position};

/// A stream that is held.
#[derive(Debug)]
pub(super) struct Held {
    /// What is in effect of it decides whether there is a place, as for a new request.
    line: Rc<Line>,
    id: u32,
    waiting: Rc<Waiting>,
    placed_by: RefCell<Option<Rc<Active>>>,
}

impl Held {
    pub(super) fn new(line: Rc<Line>, id: u32, waiting: Rc<Waiting>) -> Self {
        Self { line, id, waiting, placed_by: RefCell::default() }
    }

    /// What decided it in the end.
    pub(super) fn placed_by(&self) -> Option<Rc<Active>> {
        self.placed_by.take()
    }
}

/// How often the tickets of this worker are looked at anew: backends come and go, and so does the money for them.
const RENEWAL: Duration = Duration::from_millis(250);

/// Where this VM hears calls.
#[derive(Debug, Clone, Copy)]
struct Ear {
    root: u32,
    seat: u16,
}

thread_local! {
    static ROOM: RefCell<Room<Rc<Held>>> = RefCell::default();
    static EAR: Cell<Option<Ear>> = const { Cell::new(None) };
    /// When the tickets of this worker were last looked at anew.
    static RENEWED: Cell<Timestamp> = const { Cell::new(Timestamp::from_micros(0)) };
}

/// What became of a request that was to wait.
pub(super) enum Entered {
    Waits,
    /// There was a place after all.
    Placed,
    Refused(Refusal),
}

/// Lets the request of a stream wait. A place may have become free where this worker did not see it yet: so it looks
/// again once its ticket is there for others to see.
pub(super) fn enter(held: &Rc<Held>) -> Entered {
    let (active, waiting) = (held.line.newest(), &held.waiting);
    let entered = active.with(|cx| {
        let now = cx.host.now();
        let entry = waiting.entry(cx);
        let seat = cx.view.seat(cx.host, now).ok();
        let entered = entry.zip(seat).and_then(|(entry, seat)| {
            with_room(|room| room.enter(cx.host, seat as u16, entry, now, Rc::clone(held))).and_then(Result::ok)
        });
        match entered {
            Some(Ok(position)) => {
                waiting.entered(position, now);
                refresh(cx);
                Ok(())
            }
            Some(Err(longest)) => Err(Some(longest)),
            None => Err(None),
        }
    });
    let is_through = round(&active, Passed::default(), Some(held.id));
    let Some(Err(longest)) = entered else {
        return if waiting.position().is_some() { Entered::Waits } else { Entered::Placed };
    };
    // What is free was offered to all who wait: what is left of it is nobody's.
    if is_through && longest.is_some() && place(held, Some(held.id)) == Placing::Placed {
        return Entered::Placed;
    }
    active.with(|cx| waiting.turn_away(cx, longest)).map_or(Entered::Placed, Entered::Refused)
}

/// A stream has ended: its place at a backend, or in the list, may be another's.
pub(super) fn ended(active: &Active, waited_at: Option<Position>) {
    if let Some(position) = waited_at {
        with_room(|room| room.leave(&active.host, position, active.host.now()));
    }
    if active.has_queue() {
        round(active, Passed::default(), None);
    }
}

/// To be called at every tick, after all that needs the root's own context.
pub(super) fn tick(active: &Active, root: u32) {
    listen(active, root);
    if with_room(|room| room.is_idle()).unwrap_or(true) {
        return;
    }
    let (now, renewed) = (active.host.now(), RENEWED.get());
    if now < renewed || now.since(renewed) >= RENEWAL {
        RENEWED.set(now);
        let wishes = |held: &Rc<Held>| held.line.newest().with(|cx| held.waiting.backends(cx))?;
        with_room(|room| room.renew(&active.host, now, wishes));
    }
    round(active, Passed::default(), None);
    let overdue = with_room(|room| room.overdue(&active.host, active.host.now())).unwrap_or_default();
    for held in overdue.into_iter().map(|guest| guest.request) {
        let refusal = held.line.newest().with(|cx| held.waiting.give_up(cx));
        if let Some(refusal) = refusal
            && hostcalls::set_effective_context(held.id).is_ok()
        {
            send(&refusal);
        }
    }
}

/// Another worker calls.
pub(super) fn called(active: &Active, queue: u32) {
    let mut begin: Option<Passed> = None;
    while let Ok(Some(message)) = hostcalls::dequeue_shared_queue(queue) {
        let mut reader = Decoder::new(&message);
        if let (Some(rank), Some(number), Some(next)) = (reader.u64(), reader.u64(), reader.u64()) {
            let passed = Passed { before: Position { rank, number }, next };
            // Several are heard at once where this worker was busy: what the least of them passed, all did.
            begin = Some(begin.map_or(passed, |least| if least.before <= passed.before { least } else { passed }));
        }
    }
    if let Some(passed) = begin {
        active.with(refresh);
        round(active, passed, None);
    }
}

/// Goes through the list. `own` is the stream in whose callback this is: it is not resumed, it just goes on. Returns
/// whether it came to the end.
fn round(active: &Active, passed: Passed, own: Option<u32>) -> bool {
    let (host, now) = (&active.host, active.host.now());
    let call = with_room(|room| {
        let mut lines: Vec<&Rc<Line>> = Vec::new();
        for held in room.requests() {
            if !lines.iter().any(|known| Rc::ptr_eq(known, &held.line)) {
                lines.push(&held.line);
            }
        }
        // More than one only while configurations are swapped.
        let others: Vec<Rc<Active>> = lines.into_iter().map(|line| line.newest()).collect();
        let free = || {
            let others = others.iter().filter(|other| !std::ptr::eq(Rc::as_ptr(other), active));
            std::iter::once(active)
                .chain(others.map(|other| &**other))
                .fold(Backends::NONE, |all, each| all.with(each.with(|cx| cx.free(now)).unwrap_or_default()))
        };
        let seat = active.with(|cx| cx.view.seat(host, now))?.ok()? as u16;
        room.round(host, seat, now, passed, free, |guest| place(&guest.request, own)).ok()
    });
    call.flatten().is_some_and(|call| call.map(wake).is_none())
}

#[inline(never)]
fn place(held: &Held, own: Option<u32>) -> Placing {
    if hostcalls::set_effective_context(held.id).is_err() {
        return Placing::Gone;
    }
    let active = held.line.newest();
    let placing = active.with(|cx| held.waiting.place(cx)).unwrap_or(Placing::Waits);
    if placing == Placing::Placed {
        held.placed_by.replace(Some(active));
        if own != Some(held.id) {
            let _ = hostcalls::resume_http_request();
        }
    }
    placing
}

/// Registers the message queue of this VM's seat, for the newest configuration that has a queue.
fn listen(active: &Active, root: u32) {
    let ear = EAR.get();
    if !active.has_queue() || ear.is_some_and(|ear| root < ear.root) {
        return;
    }
    let Some(Ok(seat)) = active.with(|cx| cx.view.seat(cx.host, cx.host.now())) else { return };
    let seat = seat as u16;
    if ear.is_none_or(|ear| ear.root != root || ear.seat != seat)
        && hostcalls::register_shared_queue(&name(seat)).is_ok()
    {
        EAR.set(Some(Ear { root, seat }));
    }
}

/// A root is gone, and hears nothing any more: another one has to listen.
pub(super) fn forget(root: u32) {
    if EAR.get().is_some_and(|ear| ear.root == root) {
        EAR.set(None);
    }
}

fn wake(Call { member, passed }: Call) {
    let vm = hostcalls::get_property(vec!["plugin_vm_id"]).ok().flatten().unwrap_or_default();
    let Ok(Some(queue)) = hostcalls::resolve_shared_queue(&String::from_utf8_lossy(&vm), &name(member)) else { return };
    let mut message = Encoder::with_capacity(24);
    message.u64(passed.before.rank).u64(passed.before.number).u64(passed.next);
    let _ = hostcalls::enqueue_shared_queue(queue, Some(&message.finish()));
}

fn name(seat: u16) -> String {
    format!("llm-router/1/wake/{seat}")
}

/// Reads what others wrote.
fn refresh(cx: &mut exchange::Context<'_, EnvoyHost>) {
    if cx.view.refresh(cx.host, cx.host.now()).is_err() {
        cx.host.record(Metric::InternalErrors(Internal::SharedData), 1);
    }
}

/// None only where the room is in use already, which Envoy never causes: it puts off what is asked of other streams.
fn with_room<T>(work: impl FnOnce(&mut Room<Rc<Held>>) -> T) -> Option<T> {
    ROOM.with(|room| room.try_borrow_mut().ok().map(|mut room| work(&mut room)))
}
