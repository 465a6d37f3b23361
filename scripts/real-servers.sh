#!/usr/bin/env bash
# Real servers behind the router in a real Envoy: two LightRAG servers and a LiteLLM proxy, whose models are the simulated
# providers, driven by the official clients openai, anthropic and ollama. By hand: it fetches some 350 MB from PyPI once,
# keeps 1.4 GB of it in .tools, and takes three minutes then. The last line is `N passed, M failed`.
#
#   scripts/real-servers.sh             the checks
#   scripts/real-servers.sh --record    and keeps the table in benchmarks/<date>-real-servers.md
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

case "$#-${1:-}" in
0-) record= ;;
1---record) record=1 ;;
*) die "usage: scripts/real-servers.sh [--record]" ;;
esac

PARTS=wasm-tests/real-servers

# environment NAME COMMAND REQUIREMENTS…: prints a Python environment for this state of the requirements, made where there is
# none. The first file may have hashes: it is installed by itself, without what it needs.
environment() {
  local name=$1 command=$2 home
  shift 2
  home="$TOOLS/$name-$(cat -- "$@" | cksum | cut -d ' ' -f 1)"
  with_lock "$name" make_environment "$home" "$command" "$@"
  printf '%s\n' "$home"
}

make_environment() {
  local home=$1 command=$2
  shift 2
  [ ! -e "$home/complete" ] || return 0
  say "making $home from $*"
  if grep -q -- --hash "$1"; then
    make_venv "$home" --no-deps --require-hashes -r "$1"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r "$2" >&2 ||
      { rm -rf -- "$home" && die "pip could not install what is in $2"; }
  else
    make_venv "$home" -r "$1"
  fi
  "$home/bin/python" -m pip --disable-pip-version-check check >&2 ||
    say "the packages of $home do not all agree; going on"
  [ -e "$home/bin/$command" ] || die "$home has no $command"
  touch "$home/complete"
}

work=
child=

# Ends what was started, by its id, and waits for it; then removes what was written.
clean_up() {
  local status=$? tries
  trap - EXIT INT TERM
  if [ -n "$child" ]; then
    kill "$child" 2>/dev/null || true
    # It ends six servers, each within ten seconds.
    for ((tries = 0; tries < 700; tries++)); do
      kill -0 "$child" 2>/dev/null || break
      sleep 0.1
    done
    wait "$child" 2>/dev/null || true
  fi
  [ -z "$work" ] || rm -rf -- "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ensure_rust
need python3 python3
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "the pinned servers need Python 3.11 or later"
need node nodejs
need curl curl
clients="$(environment real-clients python "$PARTS/requirements-clients.txt")"
lightrag="$(environment real-lightrag lightrag-server "$PARTS/requirements-lightrag.txt")"
litellm="$(environment real-litellm litellm "$PARTS/requirements-litellm.txt" "$PARTS/requirements-litellm-needs.txt")"
envoy="$(scripts/envoy.sh "$ENVOY_DEFAULT_VERSION")"
scripts/build.sh >&2
cargo build --locked -p wasm-tests --bin sim-backends
simulator="$(target_dir)/debug/sim-backends"

work="$(mktemp -d)"
ports="$(free_ports 9 | paste -sd ,)"
"$clients/bin/python" -B "$PARTS/run.py" --work "$work" --module "$MODULE" --simulator "$simulator" --envoy "$envoy" \
  --lightrag "$lightrag" --litellm "$litellm" --ports "$ports" --report "$work/report.md" </dev/null &
child=$!
status=0
wait "$child" || status=$?
child=

version() { sed -n "s/^$1\(\[[a-z]*\]\)\{0,1\}==\([^ ]*\).*/\2/p" "$PARTS"/requirements-*.txt | head -n 1; }

if [ -n "$record" ] && [ -e "$work/report.md" ]; then
  report="benchmarks/$(date -u +%Y-%m-%d)-real-servers.md"
  changes=
  [ -z "$(git status --porcelain 2>/dev/null)" ] || changes=' with local changes'
  passed="$(grep -c '^| ok ' "$work/report.md" || true)" failed="$(grep -c '^| FAILED ' "$work/report.md" || true)"
  {
    printf '# Real servers, %s UTC\n\n' "$(date -u '+%Y-%m-%d %H:%M')"
    printf 'By `scripts/real-servers.sh --record`: %s passed, %s failed.\n\n' "$passed" "$failed"
    printf -- '- commit %s%s, module of %d bytes\n' "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" "$changes" "$(wc -c <"$MODULE")"
    printf -- '- Envoy %s, %s\n' "$ENVOY_DEFAULT_VERSION" "$("$clients/bin/python" --version)"
    printf -- '- servers: LightRAG %s, LiteLLM %s\n' "$(version lightrag-hku)" "$(version litellm)"
    printf -- '- clients: openai %s, anthropic %s, ollama %s\n\n' "$(version openai)" "$(version anthropic)" "$(version ollama)"
    cat -- "$work/report.md"
  } >"$report"
  say "kept in $report"
fi
exit "$status"
