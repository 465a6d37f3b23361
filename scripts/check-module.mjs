#!/usr/bin/env node
// Checks that a built module is one that Envoy loads: its size, what it imports, what it exports.
//
//   scripts/check-module.mjs [MODULE.wasm]      default: dist/llm_router.wasm
//
// A module that imports a function which its host does not offer does not load at all, so the oldest Envoy decides.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const MAX_BYTES = 2_000_000;

// WASI as Envoy offers it up to its releases of spring 2026, 1.36 among them; the later ones offer more.
const WASI = new Set(
  `args_get args_sizes_get clock_time_get environ_get environ_sizes_get fd_close fd_fdstat_get fd_prestat_dir_name
   fd_prestat_get fd_read fd_seek fd_write path_open poll_oneoff proc_exit random_get sched_yield`.split(/\s+/),
);

// The host functions of proxy-wasm ABI 0.2.1.
const PROXY = new Set(
  `add_header_map_value call_foreign_function close_stream continue_stream define_metric dequeue_shared_queue done
   enqueue_shared_queue get_buffer_bytes get_buffer_status get_current_time_nanoseconds get_header_map_pairs
   get_header_map_size get_header_map_value get_log_level get_metric get_property get_shared_data get_status grpc_call
   grpc_cancel grpc_close grpc_send grpc_stream http_call increment_metric log record_metric register_shared_queue
   remove_header_map_value replace_header_map_value resolve_shared_queue send_local_response set_buffer_bytes
   set_effective_context set_header_map_pairs set_property set_shared_data set_tick_period_milliseconds`
    .split(/\s+/)
    .map((name) => `proxy_${name}`),
);

// Without these Envoy takes the module for something else, or cannot give it memory.
const EXPORTS = ["proxy_abi_version_0_2_1", "proxy_on_context_create", "proxy_on_memory_allocate", "_initialize"];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const path = process.argv[2] ?? join(root, "dist", "llm_router.wasm");
const bytes = await readFile(path);
const module = await WebAssembly.compile(bytes);
const imports = WebAssembly.Module.imports(module);
const exports = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));

const offered = ({ module: from, name, kind }) =>
  kind === "function" && ((from === "wasi_snapshot_preview1" && WASI.has(name)) || (from === "env" && PROXY.has(name)));

const checks = [
  [`at most ${MAX_BYTES} bytes`, bytes.length < MAX_BYTES ? [] : [`it has ${bytes.length}`]],
  [
    "imports only what Envoy 1.36 and ABI 0.2.1 offer",
    imports.filter((item) => !offered(item)).map(({ module: from, name }) => `${from}.${name}`),
  ],
  ["exports what Envoy calls", EXPORTS.filter((name) => !exports.has(name)).map((name) => `no ${name}`)],
  [
    "holds no path of the machine that built it",
    bytes.includes("/.cargo/registry/") || bytes.includes(`${root}/`) ? ["a source path is in its data"] : [],
  ],
];

let failed = 0;
for (const [what, faults] of checks) {
  console.log(`${faults.length === 0 ? "ok" : "FAILED"}: ${what}${faults.map((fault) => `\n  ${fault}`).join("")}`);
  failed += faults.length === 0 ? 0 : 1;
}
console.log(`${bytes.length} bytes, ${imports.length} imports`);
console.log(`test result: ${failed === 0 ? "ok" : "FAILED"}. ${checks.length - failed} passed; ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
