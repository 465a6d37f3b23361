//! Rules of the house that no lint knows (docs/architecture.md).
#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The sources of the core with their code, comments and the porch left out.
fn core() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    assert!(paths.len() > 40, "the sources were not found");
    let outside = |path: &PathBuf| !path.starts_with(src.join("envoy"));
    let code = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    };
    paths.into_iter().filter(outside).map(|path| (path.clone(), code(&path))).collect()
}

fn nobody_says(words: &[&str], except: impl Fn(&Path) -> bool) {
    for (path, code) in core().iter().filter(|(path, _)| !except(path)) {
        for word in words {
            assert!(!code.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn only_the_porch_knows_envoy() {
    nobody_says(&["proxy_wasm", "hostcalls"], |_| false);
}

#[test]
fn the_core_has_no_clock_and_no_entropy() {
    nobody_says(&["SystemTime", "Instant::", "RandomState", "getrandom", "thread_local!", "static mut"], |_| false);
}

#[test]
fn no_length_is_cut_to_fewer_bits() {
    let casts = ["u8", "u16", "u32"].map(|narrow| [format!("len() as {narrow}"), format!("count() as {narrow}")]);
    // What others write, such as gzip, has the widths that it has.
    for (path, code) in core().iter().filter(|(_, code)| code.contains("Encoder")) {
        let production = code.split("#[cfg(test)]").next().unwrap();
        for cast in casts.iter().flatten() {
            assert!(!production.contains(cast), "{} says {cast}: Encoder::count takes any number", path.display());
        }
    }
}

#[test]
fn arrows_point_one_way() {
    let rooms: [(&str, &[&str]); 12] = [
        ("domain", &[]),
        ("learning", &["domain"]),
        ("tokens", &["domain"]),
        ("protocol", &["domain"]),
        ("health", &["domain", "learning"]),
        ("cost", &["domain"]),
        ("config", &["domain", "json"]),
        ("state", &["domain", "learning", "health", "tokens", "cost"]),
        ("steering", &["config", "domain", "state"]),
        ("alerts", &["cost", "domain", "health", "json", "state"]),
        ("queue", &["domain", "state"]),
        ("routing", &["config", "cost", "domain", "learning", "state", "health"]),
    ];
    // A checkout may lie in a directory of any name.
    let within = |path: &Path| path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_path_buf();
    let core: Vec<(PathBuf, String)> = core().into_iter().map(|(path, code)| (within(&path), code)).collect();
    for (room, may) in rooms {
        for (path, code) in core.iter().filter(|(path, _)| path.components().any(|c| c.as_os_str() == room)) {
            let production = code.split("#[cfg(test)]").next().unwrap();
            let tests = path.file_name().is_some_and(|name| name == "tests.rs" || name == "testing.rs");
            for used in production.split("crate::").skip(1).filter(|_| !tests && !path.iter().any(|c| c == "tests")) {
                let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let own = name == room || name.is_empty();
                assert!(own || may.contains(&name.as_str()), "{} uses {name}", path.display());
            }
        }
    }
}

#[test]
fn files_stay_small_enough_to_read() {
    for (path, code) in core() {
        let lines = code.split("#[cfg(test)]").next().unwrap().lines().filter(|line| !line.trim().is_empty()).count();
        let tests = path.ends_with("tests.rs") || path.iter().any(|c| c == "tests");
        assert!(tests || lines <= 400, "{} has {lines} lines of code", path.display());
    }
}

#[test]
fn every_block_of_the_documentation_is_closed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = ["", "docs", "benchmarks"].map(|directory| fs::read_dir(root.join(directory)).unwrap());
    let paths = listed.into_iter().flatten().map(|entry| entry.unwrap().path());
    let pages: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    assert!(pages.len() > 15, "the documentation was not found");
    for page in pages {
        let mut opened = None;
        for (line, text) in (1..).zip(fs::read_to_string(&page).unwrap().lines()) {
            match (text.trim_start().strip_prefix("```"), opened) {
                (Some(_), None) => opened = Some(line),
                (Some(""), Some(_)) => opened = None,
                (Some(_), Some(before)) => panic!("{}: the block of line {before} goes on to {line}", page.display()),
                (None, _) => {}
            }
        }
        assert_eq!(opened, None, "{}", page.display());
    }
}

#[test]
fn the_scripts_need_no_later_bash_than_that_of_macos() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let paths = fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().path());
    let scripts: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "sh")).collect();
    assert!(scripts.len() > 8, "the scripts were not found");
    // What 3.2 does not have, and would trip over when it comes to that line.
    let later =
        ["mapfile", "readarray", "declare -A", "local -A", "local -n", "[-1]", "&>>", "|&", "coproc", "^^}", ",,}"];
    for script in scripts {
        for (line, text) in (1..).zip(fs::read_to_string(&script).unwrap().lines()) {
            if text.trim_start().starts_with('#') {
                continue;
            }
            for word in later {
                assert!(!text.contains(word), "{}:{line}: bash 3.2 has no {word}", script.display());
            }
        }
    }
}
