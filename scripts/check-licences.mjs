#!/usr/bin/env node
// Checks that every dependency may be used under a licence that deny.toml allows. Reads `cargo metadata` from stdin:
//
//   cargo metadata --locked --format-version 1 | scripts/check-licences.mjs
//
// cargo-deny (scripts/audit.sh) checks this and more, but takes minutes to install.
import { readFileSync } from "node:fs";

const denied = readFileSync(new URL("../deny.toml", import.meta.url), "utf8");
const list = /^allow = \[([^\]]*)\]/m.exec(denied);
if (list === null) throw new Error("deny.toml has no `allow = […]`");
const allowed = new Set([...list[1].matchAll(/"([^"]+)"/g)].map(([, name]) => name));

// SPDX expressions: OR binds looser than AND; an exception (WITH) belongs to its licence; "/" is the old way to say OR.
function permits(expression) {
  const tokens = expression.replaceAll("/", " OR ").match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const atom = () => {
    if (tokens[at] === "(") {
      at += 1;
      const inner = either();
      at += 1;
      return inner;
    }
    let name = tokens[at++];
    if (tokens[at] === "WITH") {
      name += ` WITH ${tokens[at + 1]}`;
      at += 2;
    }
    return allowed.has(name);
  };
  const both = () => {
    let result = atom();
    while (tokens[at] === "AND") {
      at += 1;
      const next = atom();
      result = result && next;
    }
    return result;
  };
  const either = () => {
    let result = both();
    while (tokens[at] === "OR") {
      at += 1;
      const next = both();
      result = result || next;
    }
    return result;
  };
  return either() && at === tokens.length;
}

const { packages } = JSON.parse(readFileSync(0, "utf8"));
const refused = packages.filter(({ license }) => license === null || !permits(license));
for (const { name, version, license } of refused) console.log(`FAILED: ${name} ${version}: ${license ?? "no licence"}`);
console.log(`${packages.length} packages, ${refused.length} with a licence that deny.toml does not allow`);
process.exitCode = refused.length === 0 && packages.length > 1 ? 0 : 1;
