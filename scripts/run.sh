#!/usr/bin/env bash
# The main job: the router in a real Envoy in front of four simulated backends, on this machine. Ctrl-C ends it.
#
#   scripts/run.sh                  runs until Ctrl-C, and says what to try
#   scripts/run.sh --smoke          sends requests of each API, prints which backend answered, exits 0 or 1: 1 also where
#                                   it is of another type than the API
#   scripts/run.sh --with COMMAND…  runs COMMAND with LLM_ROUTER_URL, LLM_ROUTER_CONTROL_URL, LLM_ROUTER_ADMIN_URL,
#                                   LLM_ROUTER_SIMULATOR_URL and LLM_ROUTER_BACKENDS_PID set, exits 0 or 1
#
# Ports of 127.0.0.1: LLM_ROUTER_PORT (10000), LLM_ROUTER_CONTROL_PORT (8888), LLM_ROUTER_ADMIN_PORT (9901). The simulated
# backends take free ones, as does the endpoint that scripts them (sim-backends --help). Each is as strict as its service;
# with LLM_ROUTER_SIMULATED_AS=proxy each answers every API, for tests that tell the router so.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

mode=${1:-serve}
[ "$#" = 0 ] || shift
case "$mode" in
serve | --smoke) [ "$#" = 0 ] || die "usage: scripts/run.sh [--smoke | --with COMMAND…]" ;;
--with) [ "$#" -gt 0 ] || die "usage: scripts/run.sh --with COMMAND…" ;;
*) die "usage: scripts/run.sh [--smoke | --with COMMAND…]" ;;
esac

port=${LLM_ROUTER_PORT:-10000}
admin_port=${LLM_ROUTER_ADMIN_PORT:-9901}
control_port=${LLM_ROUTER_CONTROL_PORT:-8888}

work=
children=()
backend_ports=()
simulator_url=

# Ends what was started, by its id, and waits for it; then removes what was written.
clean_up() {
  local status=$? pid tries
  trap - EXIT INT TERM
  # Bash 3.2, which macOS has, takes an empty array for an unset one.
  for pid in ${children[@]+"${children[@]}"}; do kill "$pid" 2>/dev/null || true; done
  for pid in ${children[@]+"${children[@]}"}; do
    for ((tries = 0; tries < 50; tries++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  [ -z "$work" ] || rm -rf -- "$work"
  exit "$status"
}

check_port() {
  local name=$1 number=$2
  if ! [[ "$number" =~ ^[0-9]{1,5}$ ]] || [ "$number" -lt 1 ] || [ "$number" -gt 65535 ]; then
    die "$name is $number, which is not a port"
  fi
}

claim_port() {
  port_is_free "$2" || die "port $2 of 127.0.0.1 is taken: set $1 to a free one"
}

start_backends() {
  local name found tries as=${LLM_ROUTER_SIMULATED_AS:-}
  "$binaries/sim-backends" --control-port 0 --backend "name=lightrag_primary,type=${as:-lightrag},latency_ms=30" \
    --backend "name=perplexity_primary,type=${as:-perplexity},latency_ms=60" \
    --backend "name=openai_primary,type=${as:-openai},latency_ms=40" \
    --backend "name=anthropic_primary,type=${as:-anthropic},latency_ms=50" >"$work/backends.log" 2>&1 </dev/null &
  children+=("$!")
  # They take free ports, and print `NAME TYPE http://ADDRESS:PORT` each when all are listening.
  for ((tries = 0; tries < 100; tries++)); do
    [ "$(grep -c ' http://' "$work/backends.log")" = 5 ] && break
    sleep 0.1
  done
  for name in lightrag perplexity openai anthropic; do
    found="$(sed -n "s|^${name}_primary .*:\\([0-9]*\\)\$|\\1|p" "$work/backends.log")"
    [ -n "$found" ] || fail "the simulated backends did not start" "$work/backends.log"
    backend_ports+=("$found")
  done
  simulator_url="$(sed -n 's|^control - ||p' "$work/backends.log")"
}

start_envoy() {
  # In one pass over marked ports, so that a new port which equals another old one is not replaced again.
  local index edits=(-e 's/port_value: \([0-9]*\)}/port_value: <\1>}/' -e "s/<10000>/$port/"
    -e "s/<8888>/$control_port/" -e "s/<9901>/$admin_port/")
  for index in "${!backend_ports[@]}"; do edits+=(-e "s/<$((18081 + index))>/${backend_ports[index]}/"); done
  sed "${edits[@]}" envoy/envoy.yaml >"$work/envoy.yaml"
  "$envoy" -c "$work/envoy.yaml" --disable-hot-restart --concurrency 2 --log-level warning \
    --component-log-level wasm:info >"$work/envoy.log" 2>&1 </dev/null &
  children+=("$!")
  envoy_pid=$!
  wait_for_http "http://127.0.0.1:$admin_port/ready" 20 || fail "Envoy did not start" "$work/envoy.log"
  # Envoy is ready even where the router's configuration was refused.
  wait_for_http "http://127.0.0.1:$control_port/api/v1/router/health" 10 ||
    fail "the router's configuration was refused" "$work/envoy.log"
}

fail() {
  sed 's/^/  | /' "$2" >&2
  die "$1"
}

# ask TYPE NAME PATH EXPECTED BODY [CURL OPTION…]: one request; prints a line of what came back. It is right where a
# backend of that type answered 200 and EXPECTED is in the answer. Without a BODY it is a GET.
ask() {
  local type=$1 name=$2 path=$3 expected=$4 body=$5 status backend verdict=ok
  shift 5
  asked=$((asked + 1))
  [ -z "$body" ] || set -- "$@" --data "$body"
  status="$(curl -sS -m 10 -o "$work/body" -D "$work/headers" -w '%{http_code}' -H 'content-type: application/json' \
    ${1+"$@"} "http://127.0.0.1:$port$path")" || status=000
  # Who answered, by its own word; and of what type it is, by the simulator's.
  backend="$(header x-sim-backend)"
  if [ "$status" != 200 ] || [ "$(type_of "$backend")" != "$type" ] || [ "$backend" != "$(header x-llm-backend)" ] ||
    ! grep -qF -- "$expected" "$work/body"; then
    verdict=FAILED
    failed=$((failed + 1))
  fi
  printf '%-6s %-27s %-7s %-19s %-11s %-15s %-9s %s\n' "$verdict" "$name" "$status" "${backend:--}" \
    "$(type_of "$backend")" "$(header x-llm-strategy)" "$(header x-llm-attempts)" "$(header x-llm-estimated-tokens)"
  [ "$verdict" = ok ] || sed -n '1,5p' "$work/body" | cut -c 1-300
}

header() { tr -d '\r' <"$work/headers" | awk -v name="$1:" 'tolower($1) == name { print $2 }'; }

type_of() { awk -v name="$1" '$1 == name { print $2; exit }' "$work/backends.log"; }

# check NAME COMMAND…: a line of whether it succeeds.
check() {
  local name=$1 verdict=ok
  shift
  asked=$((asked + 1))
  if ! "$@"; then
    verdict=FAILED
    failed=$((failed + 1))
  fi
  printf '%-6s %s\n' "$verdict" "$name"
}

# says STATUS TEXT PATH [CURL OPTION…]: whether the router answers so.
says() {
  local wanted=$1 text=$2 path=$3 status
  shift 3
  status="$(curl -sS -m 10 -o "$work/body" -w '%{http_code}' ${1+"$@"} "http://127.0.0.1:$port$path")" || return 1
  [ "$status" = "$wanted" ] && { [ -z "$text" ] || grep -qF -- "$text" "$work/body"; }
}

is_whole() { curl -sS -m 10 "http://127.0.0.1:$control_port/api/v1/router/health" | grep -qF '"total_backends":4'; }

smoke() {
  asked=0
  failed=0
  local text='What does a request router do?' messages claude=(-H 'anthropic-version: 2023-06-01' -H 'x-api-key: none')
  messages="[{\"role\":\"user\",\"content\":\"$text\"}]"
  printf '%-6s %-27s %-7s %-19s %-11s %-15s %-9s %s\n' '' request status backend type strategy attempts 'estimated tokens'
  ask openai "OpenAI chat" /v1/chat/completions '"choices"' "{\"model\":\"gpt-4o\",\"messages\":$messages}"
  ask openai "OpenAI chat, stream" /v1/chat/completions 'data: [DONE]' \
    "{\"model\":\"gpt-4o\",\"stream\":true,\"messages\":$messages}"
  ask openai "OpenAI responses" /v1/responses '"output"' "{\"model\":\"gpt-4o\",\"input\":\"$text\"}"
  ask openai "OpenAI responses, stream" /v1/responses 'event: response.completed' \
    "{\"model\":\"gpt-4o\",\"stream\":true,\"input\":\"$text\"}"
  ask openai "OpenAI completions" /v1/completions '"text_completion"' "{\"model\":\"gpt-4o\",\"prompt\":\"$text\"}"
  ask openai "OpenAI embeddings" /v1/embeddings '"embedding"' '{"model":"text-embedding-3-small","input":["one","two"]}'
  ask openai "OpenAI moderations" /v1/moderations '"results"' "{\"input\":\"$text\"}"
  ask openai "OpenAI files" /v1/files '"object"' '{"purpose":"batch"}'
  ask openai "OpenAI models" /v1/models '"openai_primary"' ''
  ask anthropic "Anthropic messages" /v1/messages '"content"' \
    "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":64,\"messages\":$messages}" "${claude[@]}"
  ask anthropic "Anthropic messages, stream" /v1/messages 'event: message_stop' \
    "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":64,\"stream\":true,\"messages\":$messages}" "${claude[@]}"
  ask anthropic "Anthropic count_tokens" /v1/messages/count_tokens '"input_tokens"' \
    "{\"model\":\"claude-sonnet-4-5\",\"messages\":$messages}" "${claude[@]}"
  ask anthropic "Anthropic models" /v1/models '"anthropic_primary"' '' "${claude[@]}"
  ask perplexity "Perplexity chat" /chat/completions '"citations"' "{\"model\":\"sonar\",\"messages\":$messages}"
  ask perplexity "Perplexity chat, stream" /chat/completions '"finish_reason":"stop"' \
    "{\"model\":\"sonar\",\"stream\":true,\"messages\":$messages}"
  ask perplexity "Perplexity sonar" /v1/sonar '"citations"' "{\"model\":\"sonar\",\"messages\":$messages}"
  ask perplexity "Perplexity agent" /v1/agent '"output"' "{\"model\":\"sonar\",\"input\":\"$text\"}"
  ask perplexity "Perplexity asynchronous" /async/chat/completions '"CREATED"' \
    "{\"request\":{\"model\":\"sonar-deep-research\",\"messages\":$messages}}"
  ask lightrag "LightRAG query" /query '"response"' "{\"query\":\"$text\",\"mode\":\"hybrid\"}"
  ask lightrag "LightRAG query, stream" /query/stream '"response"' "{\"query\":\"$text\",\"mode\":\"hybrid\"}"
  ask lightrag "LightRAG query, data" /query/data '"chunks"' "{\"query\":\"$text\",\"mode\":\"hybrid\"}"
  ask lightrag "LightRAG as Ollama, stream" /api/chat '"done":true' "{\"model\":\"lightrag:latest\",\"messages\":$messages}"
  ask lightrag "LightRAG as Ollama, tags" /api/tags '"lightrag:latest"' ''
  check 'no backend speaks Gemini: 404 in its form' says 404 '"NOT_FOUND"' /v1beta/models/gemini:generateContent --data '{}'
  check 'a preflight' says 204 '' /v1/chat/completions -X OPTIONS
  check 'control API, health' is_whole
  kill -0 "$envoy_pid" 2>/dev/null || fail "Envoy has ended" "$work/envoy.log"
  [ "$failed" = 0 ] || fail "$failed of $asked failed; Envoy said:" "$work/envoy.log"
}

what_to_try() {
  cat <<TEXT

The router listens on http://127.0.0.1:$port, its dashboard and control API on http://127.0.0.1:$control_port, Envoy's
admin interface on http://127.0.0.1:$admin_port.

Try, in another terminal (-i shows the x-llm-* headers, -N a stream as it comes):

  curl -i http://127.0.0.1:$port/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'
  curl -iN http://127.0.0.1:$port/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
  curl -i http://127.0.0.1:$port/v1/responses -H 'content-type: application/json' -d '{"model":"gpt-4o","input":"Hello"}'
  curl -i http://127.0.0.1:$port/v1/embeddings -H 'content-type: application/json' \\
    -d '{"model":"text-embedding-3-small","input":"Hello"}'
  curl -i http://127.0.0.1:$port/v1/messages -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' \\
    -d '{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'
  curl -i http://127.0.0.1:$port/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"sonar","messages":[{"role":"user","content":"Hello"}]}'
  curl -i http://127.0.0.1:$port/v1/sonar -H 'content-type: application/json' \\
    -d '{"model":"sonar","messages":[{"role":"user","content":"Hello"}]}'
  curl -i http://127.0.0.1:$port/query -H 'content-type: application/json' -d '{"query":"Hello","mode":"hybrid"}'
  curl -iN http://127.0.0.1:$port/query/stream -H 'content-type: application/json' -d '{"query":"Hello"}'
  curl -s http://127.0.0.1:$control_port/api/v1/router/health
  curl -s http://127.0.0.1:$control_port/api/v1/router/explain \\
    -d '{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'
  curl -s http://127.0.0.1:$admin_port/stats/prometheus | grep loadbalancer_

A backend that dies and comes back (more in sim-backends --help):

  curl -s $simulator_url/__sim/kill -d '{"backend":"openai_primary"}'
  curl -s $simulator_url/__sim/restart -d '{"backend":"openai_primary"}'

Another strategy: change it in a copy of envoy/router.ecds.yaml and rename the copy over it; Envoy takes it at once.
Ctrl-C ends everything.
TEXT
}

check_port LLM_ROUTER_PORT "$port"
check_port LLM_ROUTER_ADMIN_PORT "$admin_port"
check_port LLM_ROUTER_CONTROL_PORT "$control_port"
[ "$port" != "$admin_port" ] || die "LLM_ROUTER_PORT and LLM_ROUTER_ADMIN_PORT are both $port"
[ "$port" != "$control_port" ] || die "LLM_ROUTER_PORT and LLM_ROUTER_CONTROL_PORT are both $port"
[ "$control_port" != "$admin_port" ] || die "LLM_ROUTER_CONTROL_PORT and LLM_ROUTER_ADMIN_PORT are both $admin_port"
need node nodejs
need curl curl
claim_port LLM_ROUTER_PORT "$port"
claim_port LLM_ROUTER_CONTROL_PORT "$control_port"
claim_port LLM_ROUTER_ADMIN_PORT "$admin_port"

ensure_rust
envoy="$(scripts/envoy.sh)"
scripts/build.sh >&2
cargo build --locked -p wasm-tests --bin sim-backends
binaries="$(target_dir)/debug"

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
work="$(mktemp -d)"
start_backends
start_envoy

case "$mode" in
--smoke) smoke ;;
--with)
  LLM_ROUTER_URL="http://127.0.0.1:$port" LLM_ROUTER_CONTROL_URL="http://127.0.0.1:$control_port" \
    LLM_ROUTER_ADMIN_URL="http://127.0.0.1:$admin_port" LLM_ROUTER_SIMULATOR_URL="$simulator_url" \
    LLM_ROUTER_BACKENDS_PID="${children[0]}" "$@" || fail "the command failed; Envoy said:" "$work/envoy.log"
  ;;
serve)
  what_to_try
  # What Envoy and the router say, from now on. Ends with Envoy, or with Ctrl-C.
  tail -n +1 -f "$work/envoy.log" &
  children+=("$!")
  wait "$envoy_pid" || fail "Envoy has ended" "$work/envoy.log"
  ;;
esac
