// How the page is served.
import assert from "node:assert/strict";

import { check, control, eventually } from "./rig.mjs";

export async function serving() {
  await check("the page comes compressed, with its policy", {}, async ({ page, answer }) => {
    const headers = answer.headers();
    assert.equal(headers["content-type"], "text/html; charset=utf-8");
    assert.equal(headers["content-encoding"], "gzip");
    assert.match(
      headers["content-security-policy"],
      /^default-src 'none'; connect-src 'self'; script-src 'sha256-[^ ]+'; style-src 'sha256-[^ ]+';/,
    );
    assert.deepEqual(
      [headers["x-content-type-options"], headers["referrer-policy"], headers["cache-control"]],
      ["nosniff", "no-referrer", "no-store"],
    );
    assert.equal((await fetch(`${control}/favicon.ico`)).status, 204);
    assert.equal(await page.locator("#backends tbody tr").count(), 4);
    assert.equal(
      await page.evaluate(() => getComputedStyle(document.querySelector("header")).display),
      "flex",
      "its style is at work",
    );
  });

  await check("what the policy forbids does not run, and these tests notice", {}, async ({ page, faults }) => {
    await page.evaluate(() =>
      document.body.append(
        Object.assign(document.createElement("script"), { textContent: "document.title = 'breached'" }),
      ),
    );
    await eventually(async () => assert(faults.some((fault) => fault.includes("script-src"))));
    assert.notEqual(await page.title(), "breached");
    faults.length = 0;
  });
}
