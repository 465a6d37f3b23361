#!/usr/bin/env bash
# Audits the dependencies against deny.toml: advisories, licences, bans, sources. Not part of scripts/test.sh: cargo-deny
# takes minutes to compile, and advisories change without a commit here. It needs the network.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

DENY_VERSION=0.18.9
deny="$TOOLS/cargo-deny-$DENY_VERSION/bin/cargo-deny"

install_deny() {
  [ -x "$deny" ] && return
  say "installing cargo-deny $DENY_VERSION (some minutes, once)"
  cargo install --quiet --locked cargo-deny --version "$DENY_VERSION" --root "$TOOLS/cargo-deny-$DENY_VERSION" >&2
}

ensure_rust
with_lock cargo-deny install_deny || die "cargo could not install cargo-deny $DENY_VERSION"
exec "$deny" --locked check "$@"
