//! A wall clock that a test can set, for one Envoy: a small library is preloaded that adds an offset to what the system
//! says. It is compiled when a test asks for it, by the compiler that compiled the test.
//!
//! ```no_run
//! # use wasm_tests::{envoy::Envoy, wall_clock::WallClock};
//! # async fn example() {
//! let clock = WallClock::new();
//! let envoy = clock.given_to(Envoy::builder()).start().await;
//! clock.set_ahead(20);
//! # }
//! ```

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::Command,
};

use tempfile::TempDir;

use crate::envoy::Builder;

/// It has to outlive its Envoy.
pub struct WallClock {
    directory: TempDir,
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

impl WallClock {
    /// One that is right.
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("llm-router-clock-").expect("a directory");
        let source = directory.path().join("shim.rs");
        fs::write(&source, include_str!("wall_clock/shim.rs")).expect("the directory is ours");
        let clock = Self { directory };
        clock.write(0, true);
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = Command::new(compiler);
        command.args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-o"]).arg(clock.library()).arg(&source);
        let output = command.output().expect("a compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clock
    }

    /// The Envoy goes by this clock.
    pub fn given_to(&self, builder: Builder) -> Builder {
        let text = |path: PathBuf| path.to_str().expect("a path of text").to_owned();
        builder.env("LD_PRELOAD", &text(self.library())).env("WALL_CLOCK", &text(self.offset()))
    }

    /// Sets it: so many seconds ahead of the true time, or behind it.
    pub fn set_ahead(&self, seconds: i64) {
        self.write(seconds, false);
    }

    /// In place: the file is mapped into the process.
    fn write(&self, seconds: i64, create: bool) {
        let mut file =
            OpenOptions::new().write(true).create(create).truncate(false).open(self.offset()).expect("a file");
        file.write_all(&seconds.to_le_bytes()).expect("the directory is ours");
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("libwall_clock.so")
    }

    fn offset(&self) -> PathBuf {
        self.directory.path().join("seconds")
    }
}
