#!/usr/bin/env bash
# Builds the release module: dist/llm_router.wasm. Quick where nothing changed.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# Only what V8 takes for granted in every Envoy we support. `--all-features` makes a module that it refuses.
FEATURES=(bulk-memory nontrapping-float-to-int sign-ext mutable-globals reference-types multivalue)
OPTIMISE=(-O3)
for feature in "${FEATURES[@]}"; do OPTIMISE+=("--enable-$feature"); done

# What Envoy calls of the module, in the form that wasm-metadce takes. The SDK exports more (gRPC, TCP), and each export
# keeps alive what it calls.
ENTRIES=(memory _initialize proxy_abi_version_0_2_1 proxy_on_memory_allocate proxy_on_vm_start proxy_on_configure
  proxy_on_context_create proxy_on_request_headers proxy_on_request_body proxy_on_request_trailers
  proxy_on_response_headers proxy_on_response_body proxy_on_response_trailers proxy_on_done proxy_on_log proxy_on_delete
  proxy_on_http_call_response proxy_on_queue_ready proxy_on_tick)

fetch_wasm_opt() {
  [ -x "$wasm_opt" ] && return
  say "fetching wasm-opt (npm: binaryen $BINARYEN_VERSION)"
  npm install --silent --no-audit --no-fund --no-save --prefix "$TOOLS/binaryen-$BINARYEN_VERSION" \
    "binaryen@$BINARYEN_VERSION" >/dev/null 2>&1
}

# Paths of the machine that builds it have no place in the module (they are in the texts of panics), and make its size vary.
# Only the smallest functions are inlined, others are called: a ninth less module for a tenth more time in it,
# which is a hundredth of a request's.
build() {
  local cargo_home=${CARGO_HOME:-$HOME/.cargo} flags
  flags="$(printf '"%s",' "--remap-path-prefix=$cargo_home=cargo" "--remap-path-prefix=$ROOT=llm-router" \
    "-Cllvm-args=-inline-threshold=10")"
  LLM_ROUTER_COMMIT=${LLM_ROUTER_COMMIT:-$(git -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)}
  export LLM_ROUTER_COMMIT
  cargo build --locked --release --target wasm32-wasip1 --lib -p llm-router \
    --config "target.wasm32-wasip1.rustflags=[${flags%,}]"
}

optimise() {
  local input=$1 output=$2 entry graph
  if { have npm || [ -x "$wasm_opt" ]; } && with_lock binaryen fetch_wasm_opt; then
    graph="$(for entry in "${ENTRIES[@]}"; do printf '{"name":"keep %s","export":"%s","root":true},' "$entry" "$entry"; done)"
    printf '[%s]' "${graph%,}" >"$output.graph"
    "${wasm_opt%wasm-opt}wasm-metadce" "${OPTIMISE[@]:1}" --graph-file "$output.graph" "$input" -o "$output" >/dev/null
    rm -f -- "$output.graph"
    "$wasm_opt" "${OPTIMISE[@]}" "$output" -o "$output"
  else
    say "note: npm could not fetch binaryen; the module stays as the compiler made it (larger and slower, but right)"
    cp -- "$input" "$output"
  fi
}

ensure_rust
need node nodejs
wasm_opt="$TOOLS/binaryen-$BINARYEN_VERSION/node_modules/.bin/wasm-opt"
build
built="$(target_dir)/wasm32-wasip1/release/llm_router.wasm"
mkdir -p dist

# What made the module: when neither the compiler's output nor the recipe changed, the module stands.
recipe="$(cksum <"$built") binaryen-$BINARYEN_VERSION ${OPTIMISE[*]} ${ENTRIES[*]}"
stamp="$ROOT/dist/.llm_router.recipe"
if [ ! -f "$MODULE" ] || [ ! -f "$stamp" ] || [ "$(cat -- "$stamp")" != "$recipe" ]; then
  aside="$(mktemp "$ROOT/dist/.llm_router.XXXXXX")"
  trap 'rm -f -- "$aside"' EXIT
  optimise "$built" "$aside"
  chmod 644 "$aside"
  mv -- "$aside" "$MODULE"
  # Without wasm-opt the next run tries again.
  if [ -x "$wasm_opt" ]; then printf '%s\n' "$recipe" >"$stamp"; else rm -f -- "$stamp"; fi
fi
printf 'dist/llm_router.wasm: %d bytes\n' "$(wc -c <"$MODULE")"
