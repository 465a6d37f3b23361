//! Tells operators that Envoy's configuration does not fit the router's.

use crate::config::LogLevel;
use crate::domain::{Misrouting, Timestamp};
use crate::exchange::Router;
use crate::host::Host;
use crate::logging;
use crate::metrics::{Internal, Metric};
use crate::state::View;

/// Shares what this VM saw, and logs what nobody had seen before: each kind once for each configuration.
pub(super) fn tell(router: &Router, view: &mut View, host: &impl Host) {
    let Ok(news) = view.write_sightings(host) else {
        host.record(Metric::InternalErrors(Internal::SharedData), 1);
        return;
    };
    for warning in news {
        let fields = [
            ("event", "configuration_warning".to_owned()),
            ("kind", warning.kind.name().to_owned()),
            ("message", warning.message()),
            ("cure", warning.kind.cure().to_owned()),
        ];
        host.log(LogLevel::Warn, &logging::line(router.config().logging.format, &fields));
    }
}

/// Shows for each kind how many requests showed it: none once it is over.
pub(super) fn show(router: &Router, host: &impl Host, now: Timestamp) {
    let Ok(warnings) = router.warnings(host, now) else { return };
    for kind in Misrouting::ALL {
        let count = warnings.iter().find(|warning| warning.kind == kind).map_or(0, |warning| warning.count);
        host.record(Metric::ConfigurationWarnings(kind), count);
    }
}
