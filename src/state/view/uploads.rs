//! Requests on their way whose bodies are still to come.
//!
//! Such a request has a place at its backend, and its client decides how long. So the place, and what is reserved, are
//! given back while the body does not flow: whoever sends a byte now and then keeps nothing from others. It is taken again
//! when the body flows again or ends, or the answer begins: without asking, since the backend has the request already. A
//! probe of a half-open breaker is given back for good: another request is to decide.
//!
//! A body that flows keeps a place for [`LONGEST`] altogether: a few clients that send slowly, but steadily, would else
//! have all places for as long as they like. That is less than a request waits for a place by default.

use std::time::Duration;

use super::{Place, View};
use crate::domain::{Timestamp, Tokens};
use crate::health::Pass;
use crate::state::books::Reservation;
use crate::state::store::{Store, StoreError};

/// How often it is looked whether a body flows.
const WINDOW: Duration = Duration::from_secs(2);

/// A body that brings fewer bytes in that time does not.
const FLOW: u64 = 8 << 10;

/// So long an upload has a place at most before it ends or is answered.
const LONGEST: Duration = Duration::from_secs(4);

/// An upload, by a number that no other of this VM has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadId(u64);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    all: Vec<Upload>,
    next: u64,
    /// When they were last looked at.
    looked: Timestamp,
}

/// How a body flows, and so whether its upload has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// As it should.
    Steady,
    /// Its place is given back until it flows again.
    Stalled,
    /// Its place is given back until it ends: it has flowed for too long.
    TooLong,
}

#[derive(Debug)]
struct Upload {
    id: UploadId,
    /// Where it is counted as in flight, if it is, and as how many tokens.
    held: Option<(Place, Tokens)>,
    /// The probe of its backend's breaker that it is, if it is one.
    probe: Option<Pass>,
    reservation: Option<Reservation>,
    /// When it began, were it not for the times that this VM stood still.
    began: Timestamp,
    /// When the present window began, and what has come in it.
    since: Timestamp,
    bytes: u64,
    flow: Flow,
    /// Whether its reservation is given back.
    released: bool,
    /// Whether its probe is.
    spared: bool,
}

impl View {
    /// A request leaves before its body is there.
    pub fn begin_upload(
        &mut self,
        held: Option<(Place, Tokens, Pass)>,
        reservation: Option<Reservation>,
        now: Timestamp,
    ) -> UploadId {
        let Uploads { all, next, .. } = &mut self.uploads;
        let id = UploadId(*next);
        *next = next.wrapping_add(1);
        let probe = held.map(|(.., pass)| pass).filter(|pass| pass.probe);
        let held = held.map(|(place, tokens, _)| (place, tokens));
        let (began, since, bytes) = (now, now, 0);
        let (flow, released, spared) = (Flow::Steady, false, false);
        all.push(Upload { id, held, probe, reservation, began, since, bytes, flow, released, spared });
        id
    }

    /// So many bytes of its body pass by.
    pub fn upload_passes(&mut self, id: UploadId, bytes: u64) {
        let Some(place) = self.uploads.all.iter().position(|upload| upload.id == id) else { return };
        let Some(upload) = self.uploads.all.get_mut(place) else { return };
        upload.bytes = upload.bytes.saturating_add(bytes);
        if upload.flow == Flow::Stalled && upload.bytes >= FLOW {
            self.resume(place);
        }
    }

    /// All of it is there, or it is answered, or over. Returns what is reserved for it, and whether it is a probe no more.
    pub fn end_upload(&mut self, id: UploadId) -> (Option<Reservation>, bool) {
        let Some(place) = self.uploads.all.iter().position(|upload| upload.id == id) else { return (None, false) };
        self.resume(place);
        let upload = self.uploads.all.swap_remove(place);
        (upload.reservation, upload.spared)
    }

    /// Gives back what those have whose bodies do not flow, or have flowed for too long.
    pub(super) fn look_at_uploads(&mut self, store: &impl Store, now: Timestamp) -> Result<(), StoreError> {
        // Where this VM stood still, nothing of them could come.
        let stood_still = now < self.uploads.looked || now.since(self.uploads.looked) >= WINDOW / 2;
        self.uploads.looked = now;
        for place in 0..self.uploads.all.len() {
            let Some(upload) = self.uploads.all.get_mut(place) else { continue };
            if stood_still {
                (upload.began, upload.since, upload.bytes) = (now, now, 0);
                continue;
            }
            let before = upload.flow;
            let is_over = now.since(upload.since) >= WINDOW;
            if now.since(upload.began) >= LONGEST {
                upload.flow = Flow::TooLong;
            } else if is_over && upload.bytes < FLOW {
                upload.flow = Flow::Stalled;
            }
            if is_over {
                (upload.since, upload.bytes) = (now, 0);
            }
            if before == Flow::Steady && upload.flow != Flow::Steady {
                self.suspend(store, place, now)?;
            }
        }
        Ok(())
    }

    fn suspend(&mut self, store: &impl Store, place: usize, now: Timestamp) -> Result<(), StoreError> {
        let Some(upload) = self.uploads.all.get_mut(place) else { return Ok(()) };
        upload.released = upload.reservation.is_some_and(|reservation| self.books.suspend(&reservation));
        // The accounts are written with this tick, and a place at once: others may wait for it.
        let Some((place, tokens)) = upload.held else { return Ok(()) };
        let probe = upload.probe.take();
        upload.spared |= probe.is_some();
        self.count_out(place, tokens);
        match probe {
            Some(pass) => self.change(store, place, now, |record| record.breaker.give_back(pass)),
            None => self.flush(store, place, now),
        }
    }

    fn resume(&mut self, place: usize) {
        let Some(upload) = self.uploads.all.get_mut(place).filter(|upload| upload.flow != Flow::Steady) else {
            return;
        };
        upload.flow = Flow::Steady;
        if std::mem::take(&mut upload.released) {
            upload.reservation = upload.reservation.map(|reservation| self.books.resume(&reservation));
        }
        if let Some((place, tokens)) = upload.held {
            self.enter_unasked(place, tokens);
        }
    }

    fn count_out(&mut self, place: Place, tokens: Tokens) {
        let seat = self.members.seat();
        if let Some(entry) = self.entries.get_mut(place.0) {
            entry.mine = entry.mine.without(tokens);
            entry.note_in_flight(seat);
        }
    }
}
