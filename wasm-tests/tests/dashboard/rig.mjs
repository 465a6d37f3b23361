// What the checks stand on: the router and its API, and a browser that is watched.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const [playwright, chromium] = process.argv.slice(2);
const { LLM_ROUTER_URL: router, LLM_ROUTER_CONTROL_URL: control, LLM_ROUTER_CONTROL_TOKEN: token } = process.env;
assert(router && control && token, "LLM_ROUTER_URL, LLM_ROUTER_CONTROL_URL and LLM_ROUTER_CONTROL_TOKEN are needed");
export { control, token };

// A slow machine gets its time; what hangs does not hang for ever.
export const LIMIT = 20_000;

export const DESK = { viewport: { width: 1280, height: 900 } };
export const DARK = { ...DESK, colorScheme: "dark" };
export const PHONE = { viewport: { width: 360, height: 740 } };

// ---- The router

export const api = (path, options = {}) =>
  fetch(`${control}/api/v1/router/${path}`, { signal: AbortSignal.timeout(LIMIT), ...options });
export const get = async (path) => (await api(path)).json();
export const backend = async (id) => (await get("backends")).backends.find((each) => each.id === id);

// Another worker than the one that changed it knows a little later.
export const breakerIs = (id, status) =>
  eventually(async () => assert.equal((await backend(id)).circuit_breaker.status, status));

// The API of each of the four backends.
const messages = [{ role: "user", content: "Hello" }];
const QUESTIONS = [
  ["/v1/chat/completions", { model: "gpt-4o", messages }],
  ["/v1/messages", { model: "claude-sonnet-4-5", max_tokens: 64, messages }],
  ["/chat/completions", { model: "sonar", messages }],
  ["/query", { query: "Hello" }],
];

// Sends the nth question, to each API in turn; says who answered, if anybody might, and by which strategy.
export async function ask(n = 0) {
  const [path, body] = QUESTIONS[n % QUESTIONS.length];
  const answer = await fetch(router + path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
    signal: AbortSignal.timeout(LIMIT),
  });
  await answer.text();
  assert([200, 503].includes(answer.status), `${path}: ${answer.status}`);
  return { backend: answer.headers.get("x-llm-backend"), strategy: answer.headers.get("x-llm-strategy") };
}

export async function askTimes(times) {
  const answers = [];
  for (let n = 0; n < times; n++) answers.push(await ask(n));
  return answers;
}

// Tries until it does not throw.
export async function eventually(attempt) {
  for (const end = Date.now() + LIMIT; ; await sleep(100)) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

// ---- The browser

const { chromium: browsers } = createRequire(`${playwright}/`)("playwright-core");
// Chromium's sandbox does not work for root, whose tests these often are; the only page is ours.
export const browser = await browsers.launch({
  executablePath: chromium,
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
});

let passed = 0;
let failed = 0;

// A page of its own, watched: no error, no breach of the policy, no request to anybody else. `mayFail` says which loads
// may fail, which Chromium calls errors, too.
export async function check(what, { view = DESK, from, mayFail = /^$/ }, steps) {
  const faults = [];
  const context = await browser.newContext({ ...view, reducedMotion: "reduce" });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT);
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("console", (message) => {
      const isLoad = message.text().startsWith("Failed to load resource") && mayFail.test(message.location().url);
      if (["error", "warning"].includes(message.type()) && !isLoad) faults.push(`console: ${message.text()}`);
    });
    page.on(
      "request",
      (request) => new URL(request.url()).origin === control || faults.push(`request: ${request.url()}`),
    );
    page.on("dialog", (dialog) => faults.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    await page.addInitScript(() =>
      addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective}`)),
    );
    if (from) await from.serve(page);
    const answer = await page.goto(`${control}/`);
    await page.waitForSelector("main:not([hidden])");
    await steps({ page, answer, faults });
    assert.deepEqual(faults, []);
    passed += 1;
    console.log(`ok: ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED: ${what}\n  ${String(error.stack).replaceAll("\n", "\n  ")}\n  ${faults.join("\n  ")}`);
  } finally {
    await context.close();
  }
}

export const row = (page, id) => page.locator(`#backends tr[data-key="${id}"]`);
export const cell = (page, id, figure) => row(page, id).locator(`[data-figure=${figure}]`);
export const dialog = (page) => page.locator("dialog[open]");
export const said = (page, text) => page.locator("#said", { hasText: text }).waitFor();
export const giveToken = async (page, given = token) => {
  await dialog(page).locator("input[type=password]").fill(given);
  await dialog(page).getByRole("button", { name: "Send" }).click();
};

// A figure as it is shown, and how far from the truth its last digit lets it be.
export function read(text) {
  const [, sign, digits, unit] =
    /(\$?)(\d[\d,]*(?:\.\d+)?) ?(ms|min|s|%|k|M)?/.exec(text) ?? assert.fail(`no figure: ${text}`);
  const scale = { s: 1e3, "%": 0.01, k: 1e3, M: 1e6 }[unit] ?? 1;
  return {
    value: Number(digits.replaceAll(",", "")) * scale,
    error: (scale * 10 ** -(digits.split(".")[1]?.length ?? 0)) / 2 + 1e-9,
    sign,
  };
}

export function shows(text, value, what) {
  if (value === null || value === undefined) return assert.equal(text.trim(), "–", what);
  const shown = read(text);
  assert(Math.abs(shown.value - value) <= shown.error, `${what}: ${text} is not ${value}`);
}

export async function finish() {
  await browser.close();
  return { passed, failed };
}
