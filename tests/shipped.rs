//! What is shipped for operators to copy: each Envoy configuration has what the router counts on.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// How each HTTP connection manager is told to leave one spelling of a path: without, a client could reach an endpoint by
/// another one than that for which its routes, filters and limits are.
const ONE_SPELLING: [(&str, &str); 3] = [
    ("normalize_path", "true"),
    ("merge_slashes", "true"),
    ("path_with_escaped_slashes_action", "UNESCAPE_AND_FORWARD"),
];

/// Where there may be Envoy configurations, relative to the repository.
const PLACES: [&str; 7] =
    ["envoy", "docs", "examples", "README.md", "docker-compose.yml", "wasm-tests/src", "wasm-tests/real-servers"];

fn files(under: &Path, found: &mut Vec<PathBuf>) {
    if under.is_file() {
        found.push(under.to_owned());
    } else if let Ok(entries) = fs::read_dir(under) {
        entries.for_each(|entry| files(&entry.unwrap().path(), found));
    }
}

/// The lines of each HTTP connection manager in a text, up to the next one.
fn managers(text: &str) -> impl Iterator<Item = &str> {
    text.split("network.http_connection_manager.v3.HttpConnectionManager").skip(1)
}

/// Whether a setting has that value there, in YAML or in JSON.
fn sets(manager: &str, (key, value): (&str, &str)) -> bool {
    manager.lines().map(|line| line.replace(['"', ','], "")).any(|line| line.trim() == format!("{key}: {value}"))
}

#[test]
fn every_http_connection_manager_that_is_shipped_leaves_one_spelling_of_a_path() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut all, mut seen) = (Vec::new(), 0);
    for place in PLACES {
        files(&root.join(place), &mut all);
    }
    for file in all {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for manager in managers(&text) {
            seen += 1;
            for setting in ONE_SPELLING {
                assert!(sets(manager, setting), "{}: no {}: {}", file.display(), setting.0, setting.1);
            }
        }
    }
    assert!(seen >= 10, "only {seen} were found");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    assert!(ONE_SPELLING.into_iter().all(|setting| sets(&readme, setting)), "README.md shows a part of one");
    let gateway = fs::read_to_string(root.join("envoy/kubernetes/envoy-gateway.yaml")).unwrap();
    assert!(gateway.contains("escapedSlashesAction: UnescapeAndForward"), "Envoy Gateway has words of its own");
}
