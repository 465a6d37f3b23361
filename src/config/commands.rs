//! The bodies of the control API's commands, read as a configuration is: all mistakes at once, each with its path.

use serde_json::Value;

use super::errors::{Errors, Problem};
use super::reader::Reader;
use super::tree::Tree;
use super::{Strategy, merge, normal, read};
use crate::domain::{Backend, Weight};

/// The longest reason, in characters: some are kept.
const LONGEST: usize = 200;

/// Reads the body of a command that needs none but may say why: nothing, or `{"reason": "…"}`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(crate) fn reason(body: &[u8]) -> Result<Option<String>, Errors> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    command(body, |reader| {
        let reason = reader.text("reason");
        if reason.is_some_and(|reason| reason.chars().nth(LONGEST).is_some()) {
            reader.problem("reason", format!("longer than {LONGEST} characters"));
        }
        reason.map(str::to_owned)
    })
}

/// Reads the body of a command that names a strategy: `{"strategy": "…"}`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(crate) fn strategy(body: &[u8]) -> Result<Strategy, Errors> {
    let strategy = command(body, |reader| {
        if reader.value("strategy").is_none() {
            reader.problem("strategy", "missing");
        }
        reader.text("strategy").and_then(|name| reader.named("strategy", name))
    })?;
    strategy.ok_or_else(|| Errors::document("no strategy".to_owned()))
}

/// Reads the body of a command that registers a backend: what stands under `backend_instances.<id>`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(crate) fn backend(id: &str, body: &[u8]) -> Result<Backend, Errors> {
    command(body, |reader| read::backend(reader, id))
}

/// Reads such a body as it was kept: that of a command, or what a cluster's metadata said, which Envoy printed.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(crate) fn kept_backend(id: &str, body: &[u8]) -> Result<Backend, Errors> {
    read(&tree(body)?.of_struct(), |reader| read::backend(reader, id))
}

/// A backend as a command would register it: what stands under `backend_instances.<id>`, every key of it.
pub(crate) fn shown(backend: &Backend) -> Value {
    normal::backend(backend)
}

/// What a backend is after a JSON merge patch (RFC 7386), as the body of a command that registers it. `written` is the
/// body by which it was registered last, if it was: that has what a backend in effect does not, such as the settings
/// of a breaker that is switched off.
///
/// # Errors
///
/// The patch is no object, or says one thing twice.
pub(crate) fn patched(backend: &Backend, written: Option<&str>, patch: &[u8]) -> Result<String, Errors> {
    merge::backend(backend, written, tree(patch)?)
}

/// Reads the body of a command that changes weights, by id, group or type: `{"<id>": 0.7, …}`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(crate) fn weights(body: &[u8]) -> Result<Vec<(Box<str>, Weight)>, Errors> {
    command(body, |reader| {
        let ids = reader.keys();
        if ids.is_empty() {
            reader.problem_here("no weight");
        }
        for id in ids.iter().filter(|id| !read::is_id(id)) {
            reader.problem(id, "no id of a backend, and no group or type");
        }
        ids.into_iter().map(|id| (id.into(), read::weight(reader, id))).collect()
    })
}

/// Reads the body of a command that rehearses a failure: which backend, by the key that the command has for it, and
/// whether it fails at all.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(crate) fn rehearsal(body: &[u8], key: &'static str) -> Result<(String, bool), Errors> {
    let (backend, fails) = command(body, |reader| {
        if reader.value(key).is_none() {
            reader.problem(key, "missing");
        }
        (reader.text(key).map(str::to_owned), reader.boolean("simulate_failure", true))
    })?;
    Ok((backend.unwrap_or_default(), fails))
}

fn command<T>(body: &[u8], read_command: impl for<'t> FnOnce(&mut Reader<'t, '_>) -> T) -> Result<T, Errors> {
    read(&tree(body)?, read_command)
}

fn read<T>(tree: &Tree, read: impl for<'t> FnOnce(&mut Reader<'t, '_>) -> T) -> Result<T, Errors> {
    let mut problems: Vec<Problem> = Vec::new();
    match Reader::read(String::new(), tree, &mut problems, read) {
        Some(read) if problems.is_empty() => Ok(read),
        _ => Err(Errors::new(problems)),
    }
}

#[inline(never)]
fn tree(body: &[u8]) -> Result<Tree, Errors> {
    serde_json::from_slice(body).map_err(|error| Errors::document(format!("not JSON: {error}")))
}
