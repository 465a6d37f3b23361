//! One alert: what it is about, and how it is told.

use crate::domain::{Decoder, Encoder, Misconfiguration, Timestamp};
use crate::health::TripReason;
use crate::json::{Object, Thousandths, Value};

/// What there are alerts for. To add one: a variant here, and where its figure is read (`reading`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// A circuit breaker opened.
    BreakerOpened,
    /// Checks say that a backend is ill, the router's own or Envoy's.
    BackendUnhealthy,
    /// Too few of the backends may be asked.
    LowAvailability,
    /// A backend takes too long.
    HighResponseTime,
    /// Too many of a backend's answers fail.
    HighErrorRate,
    /// Envoy does not say how the hosts are.
    AdminUnreadable,
    /// The hour's budget is spent as far as a threshold.
    HourlyBudget,
    /// The day's is.
    DailyBudget,
    /// A backend counts tokens otherwise than it did.
    UsageDrift,
    /// Nobody can use what a backend answers.
    Misconfigured,
}

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Somebody should look: others do the work meanwhile.
    Warning,
    /// Requests may be failing.
    Critical,
}

impl AlertKind {
    /// Every kind; its place is its code in shared data.
    pub const ALL: [Self; 10] = [
        Self::BreakerOpened,
        Self::BackendUnhealthy,
        Self::LowAvailability,
        Self::HighResponseTime,
        Self::HighErrorRate,
        Self::AdminUnreadable,
        Self::HourlyBudget,
        Self::DailyBudget,
        Self::UsageDrift,
        Self::Misconfigured,
    ];

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its name in the control API, metrics, logs and the webhook.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BreakerOpened => "circuit_breaker_opened",
            Self::BackendUnhealthy => "backend_unhealthy",
            Self::LowAvailability => "low_availability",
            Self::HighResponseTime => "high_response_time",
            Self::HighErrorRate => "high_error_rate",
            Self::AdminUnreadable => "envoy_admin_unreadable",
            Self::HourlyBudget => "hourly_budget_threshold",
            Self::DailyBudget => "daily_budget_threshold",
            Self::UsageDrift => "usage_drift",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// Whether it is about a budget.
    const fn is_budget(self) -> bool {
        matches!(self, Self::HourlyBudget | Self::DailyBudget)
    }
}

impl Severity {
    /// Its name in the control API and the webhook.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Why there is an alert, where its kind and its figures do not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cause {
    /// They do.
    #[default]
    Plain,
    /// The router's own checks of it fail.
    Checks,
    /// Envoy would send to none of its hosts.
    Hosts,
    /// What opened a breaker.
    Trip(TripReason),
    /// What is wrong with a backend's answers, and their status.
    Unusable(Misconfiguration, u16),
}

/// Where the codes of [`Cause::Trip`] begin.
const TRIPS: u8 = 8;

/// Where the codes of [`Cause::Unusable`] begin.
const UNUSABLE: u8 = 32;

impl Cause {
    const fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Checks => 1,
            Self::Hosts => 2,
            Self::Trip(reason) => TRIPS + reason.code(),
            Self::Unusable(why, _) => UNUSABLE + why.code(),
        }
    }

    /// The status of the answers it is about; 0 where it is about none.
    const fn status(self) -> u16 {
        match self {
            Self::Unusable(_, status) => status,
            Self::Plain | Self::Checks | Self::Hosts | Self::Trip(_) => 0,
        }
    }

    fn from_parts(code: u8, status: u16) -> Option<Self> {
        match code {
            0 => Some(Self::Plain),
            1 => Some(Self::Checks),
            2 => Some(Self::Hosts),
            UNUSABLE.. => Misconfiguration::from_code(code - UNUSABLE).map(|why| Self::Unusable(why, status)),
            _ => TripReason::from_code(code.checked_sub(TRIPS)?).map(Self::Trip),
        }
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is for.
    pub kind: AlertKind,
    /// Whose it is; none where it is everybody's.
    pub backend: Option<Box<str>>,
    /// Of a tenant's budget the tenant, of drift the model; else empty.
    pub name: Box<str>,
    /// What it is about, as a number: two with the same are one alert.
    pub(super) topic: u64,
    /// Why.
    pub cause: Cause,
    /// The figure that raised it, in thousandths.
    pub value: u64,
    /// What that was compared with, in thousandths.
    pub threshold: u64,
    /// When it was raised; the epoch while its figure is only being watched.
    pub raised_at: Timestamp,
    /// When it was cleared; the epoch while it holds.
    pub cleared_at: Timestamp,
    /// Since when its figure has been what would change its state: bad before it is raised, well while it holds. The
    /// epoch where it is not.
    pub(super) since: Timestamp,
    /// Whether it was put among what is to be sent.
    pub(super) told: bool,
}

impl Alert {
    /// Whether it holds.
    pub fn is_firing(&self) -> bool {
        self.raised_at > Timestamp::default() && self.cleared_at == Timestamp::default()
    }

    /// How much it matters.
    pub const fn severity(&self) -> Severity {
        match self.kind {
            AlertKind::LowAvailability => Severity::Critical,
            // There is no money left.
            AlertKind::HourlyBudget | AlertKind::DailyBudget if self.threshold >= 1_000 => Severity::Critical,
            AlertKind::BreakerOpened
            | AlertKind::BackendUnhealthy
            | AlertKind::HighResponseTime
            | AlertKind::HighErrorRate
            | AlertKind::AdminUnreadable
            | AlertKind::HourlyBudget
            | AlertKind::DailyBudget
            | AlertKind::UsageDrift
            | AlertKind::Misconfigured => Severity::Warning,
        }
    }

    /// Whose budget it is about.
    fn payer(&self) -> String {
        match (&self.backend, &*self.name) {
            (Some(backend), _) => format!("of backend {backend} "),
            (None, "") => String::new(),
            (None, tenant) => format!("of tenant {tenant} "),
        }
    }

    /// What it says to people.
    pub fn message(&self) -> String {
        let backend = self.backend.as_deref().unwrap_or_default();
        let figure = |thousandths: u64| {
            let mut text = String::new();
            Thousandths(thousandths).write(&mut text);
            text
        };
        let (value, threshold) = (figure(self.value), figure(self.threshold));
        match (self.kind, self.cause) {
            (AlertKind::BreakerOpened, Cause::Trip(reason)) => {
                format!("the circuit breaker of {backend} opened: {}", reason.name())
            }
            (AlertKind::BreakerOpened, _) => format!("the circuit breaker of {backend} opened"),
            (AlertKind::BackendUnhealthy, Cause::Checks) => format!("{backend} is unhealthy: the router's checks fail"),
            (AlertKind::BackendUnhealthy, Cause::Hosts) => {
                format!("{backend} is unhealthy: Envoy has no usable host for it")
            }
            (AlertKind::BackendUnhealthy, _) => {
                format!("{backend} is unhealthy: its checks and hosts score {value}, less than {threshold}")
            }
            (AlertKind::Misconfigured, Cause::Unusable(why, status)) => {
                format!(
                    "{backend} is misconfigured: nobody could use its last {value} answers, of status {status} ({})",
                    why.name()
                )
            }
            (AlertKind::Misconfigured, _) => {
                format!("{backend} is misconfigured: nobody could use its last {value} answers")
            }
            (AlertKind::LowAvailability, _) => {
                format!("only {value} of the backends may be asked, less than {threshold}")
            }
            (AlertKind::HighResponseTime, _) => {
                format!("answers of {backend} take {value} ms, more than {threshold} ms")
            }
            (AlertKind::HighErrorRate, _) => {
                format!("{value} of the last answers of {backend} failed, more than {threshold}")
            }
            (AlertKind::AdminUnreadable, _) => {
                "Envoy's admin interface cannot be read: how it sees the hosts is not known".to_owned()
            }
            (AlertKind::HourlyBudget | AlertKind::DailyBudget, _) => {
                let span = if self.kind == AlertKind::HourlyBudget { "hour" } else { "day" };
                format!("{value} of the {span}'s budget {}is spent, at least {threshold}", self.payer())
            }
            (AlertKind::UsageDrift, _) => {
                let model = if self.name.is_empty() { "unnamed model" } else { &self.name };
                format!(
                    "{backend} counts {value} tokens for each that is estimated in prompts to {model}, \
                     {threshold} before: what it bills has changed, or something is counted twice"
                )
            }
        }
    }

    /// Writes it into an object.
    pub(crate) fn show(&self, o: &mut Object<'_>) {
        let (name, backend) = (self.kind.name(), self.backend.as_deref());
        let millis = self.raised_at.as_micros() / 1_000;
        let mut id = format!("{name}-{}", backend.unwrap_or("all"));
        if !self.name.is_empty() {
            id.push('-');
            id.push_str(&self.name);
        }
        if self.kind.is_budget() {
            id.push('-');
            id.push_str(&self.threshold.to_string());
        }
        o.set("alert_id", &*format!("{id}-{millis}"));
        o.set("alert_name", name).set("severity", self.severity().name()).set("backend_id", backend);
        if !self.name.is_empty() {
            o.set(if self.kind.is_budget() { "tenant" } else { "model" }, &*self.name);
        }
        o.set("message", &*self.message());
        o.set("value", Thousandths(self.value)).set("threshold", Thousandths(self.threshold));
        o.set("raised_at", self.raised_at).set("cleared_at", self.cleared_at);
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.u8(self.kind as u8)
            .u8(self.cause.code())
            .u16(self.cause.status())
            .u8(self.told.into())
            .u64(self.value)
            .u64(self.threshold);
        out.time(self.raised_at).time(self.cleared_at).time(self.since);
        out.text(self.backend.as_deref().unwrap_or_default()).text(&self.name).u64(self.topic);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            kind: AlertKind::from_code(from.u8()?)?,
            cause: Cause::from_parts(from.u8()?, from.u16()?)?,
            told: from.u8()? != 0,
            value: from.u64()?,
            threshold: from.u64()?,
            raised_at: from.time()?,
            cleared_at: from.time()?,
            since: from.time()?,
            // None has an empty id.
            backend: Some(from.text()?).filter(|id| !id.is_empty()).map(Into::into),
            name: from.text()?.into(),
            topic: from.u64()?,
        })
    }
}
