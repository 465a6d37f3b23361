//! What is posted: one object with all the news there is, and a text that chat services show.

use super::alert::Alert;
use crate::domain::Calendar;
use crate::json::object_at;

/// The body of a call, with the dates of this calendar.
pub fn letter(news: &[Alert], calendar: Calendar) -> String {
    let is_firing = news.iter().any(Alert::is_firing);
    object_at(calendar, |o| {
        o.set("text", &*news.iter().map(line).collect::<Vec<_>>().join("\n"));
        o.set("status", status(is_firing)).set("source", "llm-router");
        o.list("alerts", news, |o, alert| {
            o.set("status", status(alert.is_firing()));
            alert.show(o);
        });
    })
}

const fn status(is_firing: bool) -> &'static str {
    if is_firing { "firing" } else { "resolved" }
}

fn line(alert: &Alert) -> String {
    let message = alert.message();
    if alert.is_firing() {
        return format!("FIRING ({}): {message}", alert.severity().name());
    }
    format!("RESOLVED after {} s: {message}", alert.cleared_at.since(alert.raised_at).as_secs())
}
