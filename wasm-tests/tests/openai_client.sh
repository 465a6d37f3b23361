#!/usr/bin/env bash
# The official openai client through the router that scripts/run.sh --with started: first with its backends, then, when
# they are dead and every breaker has opened, against the router's own refusal.
#
#   wasm-tests/tests/openai_client.sh PYTHON      with LLM_ROUTER_URL and LLM_ROUTER_BACKENDS_PID set
set -euo pipefail

client=("$1" "$(dirname -- "${BASH_SOURCE[0]}")/openai_client.py" "$LLM_ROUTER_URL/v1")

"${client[@]}"

kill "$LLM_ROUTER_BACKENDS_PID"
body='{"model":"m","messages":[{"role":"user","content":"Hello"}]}'
for ((tries = 0; ; tries++)); do
  answer="$(curl -sS -m 10 -H 'content-type: application/json' -d "$body" "$LLM_ROUTER_URL/v1/chat/completions")"
  case "$answer" in *no_backend_available*) break ;; esac
  [ "$tries" -lt 200 ] || { printf 'never refused; the last answer: %s\n' "$answer" >&2 && exit 1; }
done

"${client[@]}" --refused
