//! Makes the dashboard's one document of its sources: style and script inlined, comments and indentation left
//! out, compressed; and the content security policy that allows just those two, by their hashes.
//!
//! The same sources make the same bytes, on any machine.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

const SOURCES: &str = "src/control/dashboard";

/// One script in the end; the last file begins it.
const SCRIPTS: [&str; 8] =
    ["page.js", "words.js", "polling.js", "rates.js", "overview.js", "backends.js", "decisions.js", "actions.js"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SOURCES}");
    let read = |name: &str| Ok::<_, Box<dyn Error>>(lean(&fs::read_to_string(Path::new(SOURCES).join(name))?));
    let style = read("style.css")?;
    let script = SCRIPTS.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?.join("\n");
    let page = filled(&read("index.html")?, "{style}", &style)?;
    let page = filled(&page, "{script}", &script)?;

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(page.as_bytes())?;
    fs::write(out.join("dashboard.html.gz"), gzip.finish()?)?;
    fs::write(out.join("dashboard.csp"), policy(&style, &script))?;
    Ok(())
}

/// Without indentation, empty lines, and lines that are but a comment. So no line of the sources may begin inside of a
/// text.
fn lean(source: &str) -> String {
    let comments = [("//", ""), ("/*", "*/"), ("<!--", "-->")];
    let is_comment = |line: &str| comments.iter().any(|(begin, end)| line.starts_with(begin) && line.ends_with(end));
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn filled(page: &str, place: &str, with: &str) -> Result<String, String> {
    let (before, after) = page.split_once(place).ok_or_else(|| format!("index.html has no {place}"))?;
    Ok([before, with, after].concat())
}

fn policy(style: &str, script: &str) -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; connect-src 'self'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        hash(script),
        hash(style)
    )
}
