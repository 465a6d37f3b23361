#!/usr/bin/env bash
# Every test there is, the ones in a real Envoy too. Needs Rust, Python 3 and Node; fetches the rest into the checkout.
#
#   scripts/test.sh                 all of it; the last lines say what failed, then `N passed, M failed`
#   scripts/test.sh STAGE…          only these (`scripts/test.sh --list` names them), with their whole output
#
# A stage that lacks something fails; none is skipped.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# Side by side: what computes, and what mostly waits for the network. Then, one after the other, what needs both.
COMPUTING=(format scripts clippy clippy_porch native documentation wasip1 module)
FETCHING=(envoys python_client monitoring_parts kubernetes_parts wasm_bindgen licences chromium)
TOGETHER=(examples wasm_unknown module_checks smoke openai_client dashboard monitoring envoy_tests)

# No stage may hang for ever.
STAGE_SECONDS=1500

export CARGO_TERM_COLOR=never INSTA_UPDATE=no

stage_format() { cargo fmt --all --check; }

stage_scripts() {
  local file
  for file in scripts/*.sh wasm-tests/tests/*.sh .ci/run; do bash -n "$file"; done
  for file in scripts/*.mjs wasm-tests/tests/*.mjs wasm-tests/tests/*/*.mjs src/control/dashboard/*.js; do node --check "$file"; done
  for file in wasm-tests/tests/*.py wasm-tests/real-servers/*.py; do python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$file"; done
  if have shellcheck; then shellcheck -x scripts/*.sh wasm-tests/tests/*.sh .ci/run; fi
}

stage_clippy() { cargo clippy --locked --workspace --all-targets -- -D warnings; }

stage_clippy_porch() { cargo clippy --locked --target wasm32-wasip1 --lib -p llm-router -- -D warnings; }

# The documentation's examples are among them. Those of wasm-tests need Envoy, and come last.
stage_native() { cargo test --locked --workspace --exclude wasm-tests; }

stage_documentation() { RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps; }

stage_wasip1() { ran_tests cargo test --locked --target wasm32-wasip1 --lib -p llm-router; }

stage_module() { scripts/build.sh; }

stage_envoys() { scripts/envoy.sh --all; }

stage_python_client() { python_environment "$CLIENT_HOME" openai "$CLIENT_REQUIREMENTS"; }

stage_monitoring_parts() {
  need openssl openssl
  scripts/prometheus.sh
  python_environment "$MONITORING_HOME" aiosmtpd "$MONITORING_REQUIREMENTS"
}

stage_kubernetes_parts() { python_environment "$KUBERNETES_HOME" kubernetes_validate "$KUBERNETES_REQUIREMENTS"; }

stage_wasm_bindgen() { scripts/wasm-bindgen-runner.sh --install; }

stage_chromium() { scripts/dashboard.sh --install; }

stage_licences() { cargo metadata --locked --format-version 1 | scripts/check-licences.mjs; }

# The stages from here on prepare what they need by themselves, so that each also runs alone; it is quick when it is there.

# Each example is validated by the oldest Envoy that it is for, and by the newest.
stage_examples() {
  local file versions version
  stage_module
  for file in envoy/*.yaml; do
    case "$file" in
    *.ecds.yaml) continue ;; # a part of envoy.yaml: the stage `smoke` runs it, and a Rust test reads it
    envoy/minimal.yaml | envoy/access-log.yaml) versions=("${ENVOY_VERSIONS[@]}") ;;
    *) versions=(1.39.3 "$ENVOY_DEFAULT_VERSION") ;;
    esac
    for version in "${versions[@]}"; do
      printf '%s with Envoy %s\n' "$file" "$version"
      "$(scripts/envoy.sh "$version")" --mode validate --disable-hot-restart --log-level warning -c "$file"
    done
  done
  printf 'envoy/kubernetes\n'
  stage_kubernetes_parts
  "$KUBERNETES_HOME/bin/kubernetes-validate" --strict envoy/kubernetes/envoy.yaml envoy/kubernetes/hpa.yaml
  kubernetes_config "$WORK"
  "$(scripts/envoy.sh "$ENVOY_DEFAULT_VERSION")" --mode validate --disable-hot-restart --log-level warning -c "$WORK/envoy.yaml"
  printf 'envoy/envoy.yaml as docker-compose runs it\n'
  compose_config >"$WORK/compose.yaml"
  "$(scripts/envoy.sh "$ENVOY_DEFAULT_VERSION")" --mode validate --disable-hot-restart --log-level warning -c "$WORK/compose.yaml"
}

# kubernetes_config DIRECTORY: the files of the ConfigMap, with the paths of here instead of the pod's.
kubernetes_config() {
  "$KUBERNETES_HOME/bin/python" - "$1" "$MODULE" <<'PYTHON'
import pathlib, sys, yaml
directory, module = sys.argv[1:]
objects = yaml.safe_load_all(pathlib.Path("envoy/kubernetes/envoy.yaml").read_text())
files = next(o for o in objects if o["kind"] == "ConfigMap")["data"]
for name, text in files.items():
    assert "/opt/llm-router/plugin.wasm" in text
    text = text.replace("/opt/llm-router/plugin.wasm", module).replace("/etc/envoy", directory)
    pathlib.Path(directory, name).write_text(text)
PYTHON
}

# What envoy/Dockerfile makes of envoy.yaml; it must really have replaced every address.
compose_config() {
  local config
  config="$(sed -f envoy/compose.sed envoy/envoy.yaml)"
  if grep -q '127\.0\.0\.1' <<<"$config"; then die "envoy/compose.sed left a loopback address"; fi
  printf '%s\n' "$config"
}

stage_wasm_unknown() { ran_tests cargo test --locked --target wasm32-unknown-unknown -p wasm-core-tests; }

stage_module_checks() {
  stage_module
  scripts/check-module.mjs
}

stage_smoke() { with_free_ports scripts/run.sh --smoke; }

stage_openai_client() {
  stage_python_client
  with_free_ports scripts/run.sh --with bash wasm-tests/tests/openai_client.sh "$CLIENT_PYTHON" | tee "$WORK/client"
  [ "$(grep -cE '^[1-9][0-9]* passed, 0 failed$' "$WORK/client")" = 2 ] || die "the client checked nothing"
}

stage_dashboard() { with_free_ports scripts/dashboard.sh; }

stage_envoy_tests() {
  stage_module
  stage_envoys
  cargo test --locked -p wasm-tests --no-fail-fast
}

# The files as they are shipped, and then Prometheus and Alertmanager at work with them.
stage_monitoring() {
  local tools
  stage_monitoring_parts
  tools="$(scripts/prometheus.sh)"
  "$tools/promtool" check config envoy/prometheus/prometheus.yml
  "$tools/promtool" check rules envoy/prometheus/alerts.yml
  "$tools/promtool" test rules envoy/prometheus/alerts.test.yml
  "$tools/amtool" check-config envoy/alertmanager/alertmanager.yml
  LLM_ROUTER_SIMULATED_AS=proxy with_free_ports scripts/run.sh --with "$MONITORING_HOME/bin/python" wasm-tests/tests/monitoring.py "$tools" | tee "$WORK/monitoring"
  grep -qE '^[1-9][0-9]* passed, 0 failed$' "$WORK/monitoring" || die "nothing was checked"
}

# A Python environment for each state of the requirements.
environment_for() { printf '%s/%s-%s' "$TOOLS" "$1" "$(cksum <"$2" | cut -d ' ' -f 1)"; }

CLIENT_REQUIREMENTS=wasm-tests/tests/openai_client.requirements.txt
CLIENT_HOME="$(environment_for openai-client "$CLIENT_REQUIREMENTS")"
CLIENT_PYTHON="$CLIENT_HOME/bin/python"

MONITORING_REQUIREMENTS=wasm-tests/tests/monitoring.requirements.txt
MONITORING_HOME="$(environment_for monitoring "$MONITORING_REQUIREMENTS")"

KUBERNETES_REQUIREMENTS=wasm-tests/tests/kubernetes.requirements.txt
KUBERNETES_HOME="$(environment_for kubernetes "$KUBERNETES_REQUIREMENTS")"

# python_environment HOME MODULE REQUIREMENTS: it is there afterwards, and has the module.
python_environment() { with_lock "$(basename -- "$1")" install_python "$@"; }

install_python() { "$1/bin/python" -c "import $2" 2>/dev/null || make_venv "$1" -r "$3"; }

with_free_ports() {
  local port ports=()
  # Not mapfile, which bash 3.2 does not have.
  while read -r port; do ports+=("$port"); done < <(free_ports 3)
  LLM_ROUTER_PORT=${ports[0]} LLM_ROUTER_ADMIN_PORT=${ports[1]} LLM_ROUTER_CONTROL_PORT=${ports[2]} "$@"
}

# A target without a test harness runs nothing, and says so only in a number.
ran_tests() {
  "$@" | tee "$WORK/ran"
  grep -qE '^test result: ok\. [1-9]' "$WORK/ran" || die "no test ran"
}

# run_stage NAME: its output into a file, one line about it here, and what it counted into another file. A test suite
# counts its tests; any other stage is one check.
run_stage() {
  local name=$1 log="$LOGS/$1.log" begun=$SECONDS passed failed verdict=ok
  timeout --kill-after=20 "$STAGE_SECONDS" "$ROOT/scripts/test.sh" --stage "$name" >"$log" 2>&1 </dev/null &
  printf '%s\n' "$!" >"$LOGS/$name.pid"
  if ! wait "$!"; then verdict=FAILED; fi
  rm -f -- "$LOGS/$name.pid"
  read -r passed failed < <(awk '/^test result: |^[0-9]+ passed, [0-9]+ failed$/ {
      for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i } }
    END { print p + 0, f + 0 }' "$log")
  if [ "$verdict" = ok ] && [ "$((passed + failed))" = 0 ]; then passed=1; fi
  if [ "$verdict" != ok ] && [ "$failed" = 0 ]; then failed=1; fi
  printf '%s %s\n' "$passed" "$failed" >"$LOGS/$name.count"
  if [ "$verdict" = ok ]; then
    printf '%-7s %-15s %4ds  %s\n' ok "$name" "$((SECONDS - begun))" "$passed passed"
  else
    printf '%-7s %-15s %4ds\n' FAILED "$name" "$((SECONDS - begun))"
    sed "s/^/$name | /" "$log" | tail -n 200
  fi
}

run_stages() {
  local name
  for name in "$@"; do run_stage "$name"; done
}

fetching=

clean_up() {
  local status=$? file
  trap - EXIT INT TERM
  [ -z "$fetching" ] || kill "$fetching" 2>/dev/null || true
  for file in "$LOGS"/*.pid; do
    [ ! -f "$file" ] || kill "$(cat -- "$file")" 2>/dev/null || true
  done
  rm -rf -- "$LOGS"
  exit "$status"
}

all() {
  local name passed failed total_passed=0 total_failed=0
  need node nodejs
  need python3 python3
  need curl curl
  ensure_rust
  LOGS="$(mktemp -d)"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  run_stages "${FETCHING[@]}" &
  fetching=$!
  run_stages "${COMPUTING[@]}"
  wait "$fetching"
  fetching=
  run_stages "${TOGETHER[@]}"
  for name in "${COMPUTING[@]}" "${FETCHING[@]}" "${TOGETHER[@]}"; do
    read -r passed failed <"$LOGS/$name.count" || { passed=0 failed=1; }
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    [ "$failed" = 0 ] || printf 'failed: %s\n' "$name"
  done
  printf 'all stages took %d s\n' "$SECONDS"
  printf '%d passed, %d failed\n' "$total_passed" "$total_failed"
  [ "$total_failed" = 0 ]
}

one() {
  declare -F "stage_$1" >/dev/null || die "no such stage: $1 (there are: ${COMPUTING[*]} ${FETCHING[*]} ${TOGETHER[*]})"
  WORK="$(mktemp -d)"
  # shellcheck disable=SC2064   # the directory of now
  trap "rm -rf -- '$WORK'" EXIT
  trap 'exit 143' TERM
  "stage_$1"
}

case "${1:-}" in
"") all ;;
--list) printf '%s\n' "${COMPUTING[@]}" "${FETCHING[@]}" "${TOGETHER[@]}" ;;
--stage) one "$2" ;;
-*) die "usage: scripts/test.sh [--list | STAGE…]" ;;
*)
  ensure_rust
  for name in "$@"; do "$ROOT/scripts/test.sh" --stage "$name"; done
  ;;
esac
