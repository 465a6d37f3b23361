#!/usr/bin/env -S node --no-warnings
// Runs a WASI program under Node: `cargo test --target wasm32-wasip1` calls it (.cargo/config.toml).
//
//   scripts/wasi-runner.mjs PROGRAM.wasm [ARGUMENT…]
//
// The program sees this repository under its own path (snapshots, fixtures) and nothing else of the machine.
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { WASI } from "node:wasi";

// Node 20 crashes (SIGSEGV) when a program's memory grows by much while V8 swaps in a function's optimised code.
setFlagsFromString("--no-wasm-dynamic-tiering");

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [program, ...rest] = process.argv.slice(2);
if (program === undefined) {
  console.error("usage: wasi-runner.mjs PROGRAM.wasm [ARGUMENT…]");
  process.exit(2);
}

const wasi = new WASI({
  version: "preview1",
  args: [program, ...rest],
  // insta would ask cargo for the workspace; a WASI program cannot start one.
  env: { ...process.env, INSTA_WORKSPACE_ROOT: root, INSTA_UPDATE: "no" },
  preopens: { [root]: root, ".": process.cwd() },
  returnOnExit: true,
});

const { instance } = await WebAssembly.instantiate(await readFile(program), wasi.getImportObject());
process.exitCode = wasi.start(instance);
