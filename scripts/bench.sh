#!/usr/bin/env bash
# The benchmark tables: bare Envoy, a module that does nothing, and the router, side by side on this machine; and what a
# decision and an estimate cost natively. Prints them and keeps them in benchmarks/<date>.md. Options go to the program.
# With --hostile: how long one who behaves waits, alone and beside 2,000 hostile requests, in benchmarks/<date>-hostile.md.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

hostile=false
for option in "$@"; do [ "$option" != --hostile ] || hostile=true; done

ensure_rust
need node nodejs
envoy="$(scripts/envoy.sh)"
scripts/build.sh >&2
cargo build --locked --release -p wasm-tests --bin bench
if ! "$hostile"; then
  cargo build --locked --release --target wasm32-wasip1 -p noop
  cargo bench --locked --bench core --no-run
fi
built="$(target_dir)"

day="$(date -u +%Y-%m-%d)"
tables="$(mktemp)"
trap 'rm -f -- "$tables"' EXIT
if "$hostile"; then
  ENVOY_BIN="$envoy" LLM_ROUTER_WASM="$MODULE" "$built/release/bench" "$@" >"$tables"
else
  {
    printf '## In Envoy\n\n'
    ENVOY_BIN="$envoy" "$built/release/bench" --module "$MODULE" --noop "$built/wasm32-wasip1/release/noop.wasm" "$@"
    printf '\n## The core, natively\n\n'
    cargo bench --quiet --locked --bench core
  } >"$tables"
fi

# Figures mean something only together with the machine and the code that they come from.
mkdir -p benchmarks
report="benchmarks/$day.md"
! "$hostile" || report="benchmarks/$day-hostile.md"
changes=
[ -z "$(git status --porcelain 2>/dev/null)" ] || changes=' with local changes'
{
  printf '# %s, %s UTC\n\n' "$day" "$(date -u +%H:%M)"
  printf -- '- commit %s%s, module of %d bytes\n' "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" "$changes" "$(wc -c <"$MODULE")"
  printf -- '- %s, %d cores\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)" "$(getconf _NPROCESSORS_ONLN)"
  printf -- '- %s\n- %s\n\n' "Envoy$("$envoy" --version | sed -n 's|.*/\([0-9.]*\)/.*| \1|p')" "$(rustc --version)"
  cat -- "$tables"
  printf '\n'
} >>"$report"
cat -- "$tables"
say "kept in $report"
