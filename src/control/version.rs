//! `GET /version`: what is at work here, and whether it is what Envoy was given last.

use super::json::object_at;
use super::show::refused_configuration;
use crate::exchange::Router;
use crate::state::{Store, View, last_refused};
use crate::steering;
use crate::version::{COMMIT, VERSION, fingerprint};

pub(super) fn version(router: &Router, view: &View, store: &impl Store) -> String {
    let refused = last_refused(store).ok().flatten();
    object_at(view.calendar(), |o| {
        o.set("version", VERSION).set("commit", COMMIT);
        // With what operators changed, and without.
        o.set("configuration_hash", &*fingerprint(steering::fingerprint(router.config())));
        o.set("given_configuration_hash", &*fingerprint(router.configuration()));
        refused_configuration(o, refused);
    })
}
