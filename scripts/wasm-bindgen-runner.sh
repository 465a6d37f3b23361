#!/usr/bin/env bash
# Runs a wasm-bindgen-test suite under Node: `cargo test --target wasm32-unknown-unknown` calls it (.cargo/config.toml).
# The runner's version must be that of the library, so it is read from Cargo.lock and installed in .tools by need.
#
#   scripts/wasm-bindgen-runner.sh PROGRAM.wasm [ARGUMENT…]
#   scripts/wasm-bindgen-runner.sh --install     only installs it

start_directory=$PWD
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

version="$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)"
[ -n "$version" ] || die "Cargo.lock names no wasm-bindgen"
home="$TOOLS/wasm-bindgen-$version"
runner="$home/bin/wasm-bindgen-test-runner"

# A debug build: it compiles twice as fast, and the suite takes a second either way. With the versions of its own lock
# file where the registry has them all, else with the newest that fit.
install_runner() {
  [ ! -x "$runner" ] || return 0
  say "installing wasm-bindgen-cli $version (about a minute)"
  local options=(--quiet --debug --version "$version" --root "$home" --target-dir "$TOOLS/build-wasm-bindgen")
  cargo install wasm-bindgen-cli "${options[@]}" --locked >&2 || cargo install wasm-bindgen-cli "${options[@]}" >&2 ||
    die "cargo could not install wasm-bindgen-cli $version"
  rm -rf -- "$TOOLS/build-wasm-bindgen"
}

[ -x "$runner" ] || with_lock wasm-bindgen install_runner
[ "${1:-}" != --install ] || exit 0
need node nodejs
cd -- "$start_directory"
exec "$runner" "$@"
