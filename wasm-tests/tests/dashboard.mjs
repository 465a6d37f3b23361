// The dashboard in a real headless Chromium, against the router that `scripts/run.sh --with` started; where a router of
// four simulated backends does not show enough, against canned answers. scripts/dashboard.sh runs it.
//
//   node dashboard.mjs PLAYWRIGHT CHROMIUM [--screenshot FILE]
//
// PLAYWRIGHT is the directory of playwright-core, CHROMIUM the browser; LLM_ROUTER_URL, LLM_ROUTER_CONTROL_URL and
// LLM_ROUTER_CONTROL_TOKEN are set. Prints a line per check and `N passed, M failed`.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

import { fleet } from "./dashboard_fleet.mjs";

const [playwright, chromium, option, picture] = process.argv.slice(2);
const { LLM_ROUTER_URL: router, LLM_ROUTER_CONTROL_URL: control, LLM_ROUTER_CONTROL_TOKEN: token } = process.env;
assert(router && control && token, "LLM_ROUTER_URL, LLM_ROUTER_CONTROL_URL and LLM_ROUTER_CONTROL_TOKEN are needed");

// A slow machine gets its time; what hangs does not hang for ever.
const LIMIT = 20_000;

const DESK = { viewport: { width: 1280, height: 900 } };
const DARK = { ...DESK, colorScheme: "dark" };
const PHONE = { viewport: { width: 360, height: 740 } };

// ---- The router

const api = (path, options = {}) => fetch(`${control}/api/v1/router/${path}`, { signal: AbortSignal.timeout(LIMIT), ...options });
const get = async (path) => (await api(path)).json();
// Some endpoints are younger than others.
const has = async (path) => (await api(path)).ok;
const backend = async (id) => (await get("backends")).backends.find((each) => each.id === id);

// Another worker than the one that changed it knows a little later.
const breakerIs = (id, status) => eventually(async () => assert.equal((await backend(id)).circuit_breaker.status, status));

// Sends a question; says who answered, and by which strategy.
async function ask() {
  const body = JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] });
  const answer = await fetch(`${router}/v1/chat/completions`, { method: "POST", body, headers: { "content-type": "application/json" }, signal: AbortSignal.timeout(LIMIT) });
  await answer.text();
  assert.equal(answer.status, 200);
  return { backend: answer.headers.get("x-llm-backend"), strategy: answer.headers.get("x-llm-strategy") };
}

async function askTimes(times) {
  const answers = [];
  for (let n = 0; n < times; n++) answers.push(await ask());
  return answers;
}

// Tries until it does not throw.
async function eventually(attempt) {
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
const browser = await browsers.launch({ executablePath: chromium, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });

let passed = 0;
let failed = 0;

// A page of its own, watched: no error, no breach of the policy, no request to anybody else. `mayFail` says which loads
// may fail, which Chromium calls errors, too.
async function check(what, { view = DESK, from, mayFail = /^$/ }, steps) {
  const faults = [];
  const context = await browser.newContext({ ...view, reducedMotion: "reduce" });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT);
    // Endpoints that this router does not have are not asked twice; once they are.
    const known = (url) => /router\/(alerts|budget|decisions)(\?|$)/.test(url) || mayFail.test(url);
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("console", (message) => {
      const isLoad = message.text().startsWith("Failed to load resource") && known(message.location().url);
      if (["error", "warning"].includes(message.type()) && !isLoad) faults.push(`console: ${message.text()}`);
    });
    page.on("request", (request) => new URL(request.url()).origin === control || faults.push(`request: ${request.url()}`));
    page.on("dialog", (dialog) => faults.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective}`)));
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

const row = (page, id) => page.locator(`#backends tr[data-key="${id}"]`);
const cell = (page, id, figure) => row(page, id).locator(`[data-figure=${figure}]`);
const dialog = (page) => page.locator("dialog[open]");
const said = (page, text) => page.locator("#said", { hasText: text }).waitFor();
const giveToken = async (page, given = token) => {
  await dialog(page).locator("input[type=password]").fill(given);
  await dialog(page).getByRole("button", { name: "Send" }).click();
};

// A figure as it is shown, and how far from the truth its last digit lets it be.
function read(text) {
  const [, sign, digits, unit] = /(\$?)(\d[\d,]*(?:\.\d+)?) ?(ms|min|s|%|k|M)?/.exec(text) ?? assert.fail(`no figure: ${text}`);
  const scale = { s: 1e3, "%": 0.01, k: 1e3, M: 1e6 }[unit] ?? 1;
  return { value: Number(digits.replaceAll(",", "")) * scale, error: (scale * 10 ** -(digits.split(".")[1]?.length ?? 0)) / 2 + 1e-9, sign };
}

function shows(text, value, what) {
  if (value === null || value === undefined) return assert.equal(text.trim(), "–", what);
  const shown = read(text);
  assert(Math.abs(shown.value - value) <= shown.error, `${what}: ${text} is not ${value}`);
}

// ---- The checks

async function serving() {
  await check("the page comes compressed, with its policy", {}, async ({ page, answer }) => {
    const headers = answer.headers();
    assert.equal(headers["content-type"], "text/html; charset=utf-8");
    assert.equal(headers["content-encoding"], "gzip");
    assert.match(headers["content-security-policy"], /^default-src 'none'; connect-src 'self'; script-src 'sha256-[^ ]+'; style-src 'sha256-[^ ]+';/);
    assert.deepEqual([headers["x-content-type-options"], headers["referrer-policy"], headers["cache-control"]], ["nosniff", "no-referrer", "no-store"]);
    assert.equal((await fetch(`${control}/favicon.ico`)).status, 204);
    assert.equal(await page.locator("#backends tbody tr").count(), 4);
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("header")).display), "flex", "its style is at work");
  });

  await check("what the policy forbids does not run, and these tests notice", {}, async ({ page, faults }) => {
    await page.evaluate(() => document.body.append(Object.assign(document.createElement("script"), { textContent: "document.title = 'breached'" })));
    await eventually(async () => assert(faults.some((fault) => fault.includes("script-src"))));
    assert.notEqual(await page.title(), "breached");
    faults.length = 0;
  });
}

async function figures() {
  await askTimes(12);
  await check("the figures are the API's", {}, async ({ page }) => {
    await eventually(async () => {
      const [health, metrics, { backends }, strategy] = await Promise.all(["health", "metrics", "backends", "strategy"].map(get));
      assert.match(await page.locator("#overall").textContent(), new RegExp(`${health.healthy_backends} of ${health.total_backends} backends healthy`));
      assert.match((await page.locator("#overall").textContent()).toLowerCase(), new RegExp(health.overall_health));
      assert.equal(await page.locator("#strategies").inputValue(), strategy.strategy);
      const recent = Object.values(metrics.load_balancing.backend_distribution);
      const answers = recent.reduce((sum, each) => sum + (each.recent_answers ?? 0), 0);
      for (const { id, backend_type, quality_score, health_score, in_flight, quota_headroom, response_time_ms } of backends) {
        const own = metrics.backends?.[id] ?? {};
        const lately = metrics.load_balancing.backend_distribution[id] ?? {};
        const text = async (figure) => cell(page, id, figure).textContent();
        assert.match(await text("id"), new RegExp(`^${id}${backend_type}`));
        assert.match((await text("status")).toLowerCase(), new RegExp(health.health_status[backend_type][id].status));
        shows(/score ([\d.]+)/i.exec(await text("status"))[1], health_score, `${id}'s score`);
        shows(await text("quality"), quality_score, `${id}'s quality`);
        shows(await text("in_flight"), own.in_flight ?? in_flight.requests, `${id}'s requests in flight`);
        shows(await text("headroom"), quota_headroom, `${id}'s headroom`);
        shows(await text("share"), own.share ?? (answers ? lately.recent_answers / answers : null), `${id}'s share`);
        shows(await text("error_rate"), own.error_rate ?? (lately.recent_answers ? lately.recent_failures / lately.recent_answers : null), `${id}'s errors`);
        shows(await text("response"), own.response_time_ms ? own.response_time_ms.p50 ?? own.response_time_ms.mean : response_time_ms, `${id}'s response time`);
        shows(await text("first_token"), own.time_to_first_token_ms?.p50, `${id}'s time to the first token`);
        shows(await text("cost"), own.cost_usd, `${id}'s cost`);
      }
    });
  });

  if (await has("decisions?limit=1")) await check("the decisions are the API's", {}, async ({ page }) => {
    const shown = () => page.locator("#decided > details").evaluateAll((all) => all.map((each) => [each.dataset.key, each.textContent]));
    await eventually(async () => {
      const { decisions } = await get("decisions?limit=20");
      assert(decisions.length >= 12, "each question was decided");
      const all = await shown();
      assert.deepEqual(all.map(([key]) => key), decisions.map((decision) => decision.decision_id));
      all.forEach(([, text], n) => {
        const { backend, strategy, outcome } = decisions[n];
        assert.match(text, new RegExp(`${backend}.*${strategy.replaceAll("_", " ")}.*${outcome.status} in`));
      });
    });
    await page.locator("#decided summary").first().click();
    await page.locator("#decided tbody tr").nth(3).waitFor();
    const [[, text]] = await shown();
    for (const { id } of (await get("backends")).backends) assert(text.includes(id), id);
    assert.match(text, /Tried in this order: \w+/);
  });

  if (await has("alerts")) await check("the alerts are the API's", {}, async ({ page }) => {
    await eventually(async () => {
      const { active, recent } = await get("alerts");
      assert.deepEqual([await page.locator("#active li").count(), await page.locator("#recent li").count()], [active.length, recent.length]);
      assert.equal(await page.locator("#calm").isVisible(), active.length === 0);
    });
  });

  const canned = fleet();
  await check("every figure has its place, and rates come of two polls", { from: canned }, async ({ page }) => {
    const [, one] = canned.each;
    const metrics = canned.answers.metrics().backends[one.id];
    const text = async (figure) => cell(page, one.id, figure).textContent();
    shows(await text("share"), metrics.share, "share");
    shows(await text("response"), metrics.response_time_ms.p50, "p50");
    shows((await text("response")).split("p95")[1], metrics.response_time_ms.p95, "p95");
    shows(await text("first_token"), metrics.time_to_first_token_ms.p50, "time to the first token");
    shows(await text("cost"), metrics.cost_usd, "cost");
    shows(await text("error_rate"), metrics.error_rate, "errors");
    // Its requests grow by ten a second.
    await eventually(async () => assert(Math.abs(read(await text("rate")).value - 10) < 3, await text("rate")));
    const tile = async (name) => page.locator(`[data-tile=${name}]`).textContent();
    assert.match(await tile("success"), /99\.1 %.*135 failed/);
    assert.match(await tile("refusals"), /4.*rate limited 3, no backend available 1/);
    assert.match(await tile("cost"), /\$7\.50/);
    assert.match(await page.locator("#budget").textContent(), /hourly.*\$3\.21 of \$5\.00 \(64 %\)/);
    assert.match(await page.locator("#active").textContent(), /Critical.*Circuit breaker opened: anthropic_3.*planned maintenance/);
    assert.match(await text("status"), /Draining.*planned maintenance \(192\.0\.2\.7:4711\)/);
    assert.match(await cell(page, "anthropic_3", "status").textContent(), /Unhealthy.*Breaker open: consecutive failures, tries again in \d+ s/);
  });

  await check("a decision explains itself, and stays while it is read", { from: fleet() }, async ({ page }) => {
    await page.locator("#decided").hover();
    await page.locator("#held", { hasText: "held" }).waitFor();
    const decision = page.locator("#decided > details", { hasText: "→" }).first();
    await decision.locator("summary").click();
    await decision.locator("tbody tr").nth(3).waitFor();
    const text = await decision.textContent();
    assert.match(text, /openai_2 → anthropic_3.*200 in 412 ms, 2 attempts/);
    assert.match(text, /Tried in this order: lightrag_0, perplexity_1, openai_2/);
    assert.match(text, /Ranked by lowest score/);
    assert.match(text, /anthropic_3circuit breaker: planned maintenance \(until [\d:]+\)–/);
    assert.match(text, /cost 0\.420, quality 0\.380/);
    await page.mouse.move(0, 0);
    const keys = () => page.locator("#decided > details").evaluateAll((all) => all.map((each) => each.dataset.key).join());
    const held = await keys();
    await sleep(2_500);
    assert.equal(await keys(), held, "they have moved");
    await decision.locator("summary").click();
    await page.mouse.move(0, 0);
    await page.evaluate(() => document.activeElement.blur());
    await eventually(async () => assert.notEqual(await keys(), held));
  });
}

async function actions() {
  const changing = { mayFail: /router\/(strategy|circuit-breaker|backends)/ };

  await check("another strategy is chosen with the token, and routes", changing, async ({ page }) => {
    const { strategy } = await get("strategy");
    assert.equal(strategy, "cost_optimized");
    await page.selectOption("#strategies", "round_robin");
    await page.getByRole("button", { name: "Change" }).click();
    await giveToken(page, "wrong");
    await dialog(page).getByText("did not accept this token").waitFor();
    assert.equal((await get("strategy")).strategy, strategy);
    await giveToken(page);
    await said(page, "The strategy is round robin now");
    await eventually(async () => {
      const answers = await askTimes(8);
      assert(answers.every((answer) => answer.strategy === "round_robin"));
      assert.equal(new Set(answers.map((answer) => answer.backend)).size, 4, "each in turn");
    });
    await page.locator("#strategy-source", { hasText: "configured: cost optimized" }).waitFor();
    // Once given, it is not asked for again; and it is nowhere but in memory.
    await page.selectOption("#strategies", "least_connections");
    await page.getByRole("button", { name: "Change" }).click();
    await said(page, "The strategy is least connections now");
    assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length + document.cookie.length), 0);
  });

  await check("without a token nothing is changed, and that is said", changing, async ({ page }) => {
    await page.selectOption("#strategies", "weighted");
    await page.getByRole("button", { name: "Change" }).click();
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
    await said(page, "Nothing was changed");
    assert.notEqual((await get("strategy")).strategy, "weighted");
  });

  await api("strategy", { method: "PUT", body: '{"strategy":"round_robin"}', headers: { authorization: `Bearer ${token}` } });

  await check("a breaker that is opened stops the traffic, and closed lets it in", changing, async ({ page }) => {
    const id = "openai_primary";
    await row(page, id).getByRole("button", { name: "Open breaker" }).click();
    await dialog(page).getByLabel("Reason").fill("the test's");
    await dialog(page).getByRole("button", { name: "Open" }).click();
    await giveToken(page);
    await said(page, `The breaker of ${id} is open`);
    await eventually(async () => assert((await askTimes(8)).every((answer) => answer.backend !== id)));
    await cell(page, id, "status").getByText("Breaker open: by hand, tries again in").waitFor();
    await page.locator("#overall", { hasText: "3 of 4 backends healthy" }).waitFor();
    await row(page, id).getByRole("button", { name: "Close breaker" }).click();
    await said(page, `The breaker of ${id} is closed`);
    await eventually(async () => assert((await askTimes(8)).some((answer) => answer.backend === id)));
  });

  const canned = fleet();
  await check("a drain asks for its reason, and sends it", { from: canned }, async ({ page }) => {
    await row(page, "openai_2").getByRole("button", { name: "Drain" }).click();
    await dialog(page).getByLabel("Reason").fill("a new disk");
    await dialog(page).getByRole("button", { name: "Drain" }).click();
    await said(page, "openai_2 is draining. It holds until it is changed again.");
    await cell(page, "openai_2", "status").getByText(/Draining since \d+ s ago: a new disk/).waitFor();
    await row(page, "openai_2").getByRole("button", { name: "Undrain" }).click();
    await said(page, "openai_2 is in use again");
    const path = "/api/v1/router/backends/openai_2";
    assert.deepEqual(canned.sent, [
      { method: "POST", path: `${path}/drain`, body: { reason: "a new disk" } },
      { method: "POST", path: `${path}/undrain`, body: {} },
    ]);
  });

  if ("draining" in (await backend("openai_primary"))) await check("a drained backend gets no requests until it is used again", changing, async ({ page }) => {
    const id = "openai_primary";
    await row(page, id).getByRole("button", { name: "Drain" }).click();
    await dialog(page).getByLabel("Reason").fill("a new disk");
    await dialog(page).getByRole("button", { name: "Drain" }).click();
    await giveToken(page);
    await said(page, `${id} is draining`);
    await cell(page, id, "status").getByText("a new disk").waitFor();
    await eventually(async () => assert((await askTimes(8)).every((answer) => answer.backend !== id)));
    await row(page, id).getByRole("button", { name: "Undrain" }).click();
    await said(page, `${id} is in use again`);
    await eventually(async () => assert((await askTimes(8)).some((answer) => answer.backend === id)));
  });

  await check("an error of an action is said", { from: fleet(), mayFail: /drain/ }, async ({ page }) => {
    await page.route("**/drain", (route) => route.fulfill({ status: 409, json: { error: { message: "it is the last <one>", code: "conflict" } } }));
    await row(page, "openai_2").getByRole("button", { name: "Drain" }).click();
    await dialog(page).getByRole("button", { name: "Drain" }).click();
    await said(page, "Not done: it is the last <one>");
    assert.equal(await page.locator("#said").getAttribute("role"), "status");
  });

  await check("the keyboard is enough, and shows where it is", changing, async ({ page }) => {
    const id = "perplexity_primary";
    const focused = () => page.evaluate(() => ({
      label: document.activeElement.getAttribute("aria-label"), outline: getComputedStyle(document.activeElement).outlineStyle,
    }));
    const tabTo = async (label) => {
      for (let steps = 0; steps < 60; steps++) {
        await page.keyboard.press("Tab");
        const at = await focused();
        assert.notEqual(at.outline, "none", "the focus is not seen");
        if (at.label === label) return;
      }
      assert.fail(`${label} is not reached`);
    };
    await tabTo(`Open breaker: ${id}`);
    await page.keyboard.press("Enter");
    await page.keyboard.type("by keyboard");
    await page.keyboard.press("Enter");
    await dialog(page).locator("input[type=password]").waitFor();
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await said(page, `The breaker of ${id} is open`);
    await eventually(async () => assert.equal((await focused()).label, `Close breaker: ${id}`, "the focus is where it was"));
    await breakerIs(id, "open");
    await page.keyboard.press("Enter");
    await said(page, `The breaker of ${id} is closed`);
    await breakerIs(id, "closed");
    await row(page, id).getByRole("button", { name: "Open breaker" }).press("Enter");
    await dialog(page).waitFor();
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "hidden" });
    await breakerIs(id, "closed");
  });
}

async function looks() {
  const long = { size: 12, rename: (id) => `${id}_${"with_a_name_as_long_as_it_may_be_".repeat(3)}`, words: `a very long ${"reason".repeat(30)}` };
  for (const [name, view] of Object.entries({ "1280 pixels": DESK, "1280 pixels, dark": DARK, "360 pixels": PHONE, "360 pixels, dark": { ...PHONE, colorScheme: "dark" } })) {
    await check(`at ${name} nothing overflows, and everything can be read`, { view, from: fleet(long) }, async ({ page }) => {
      await page.locator("#decided summary").first().click();
      await page.locator("#alerts summary").click();
      const [width, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert(width <= window, `the page is ${width} wide in a window of ${window}`);
      assert.deepEqual(await page.evaluate(faint), [], "contrast under 4.5");
      await row(page, long.rename("lightrag_0")).getByRole("button", { name: "Drain" }).click();
      assert.deepEqual(await page.evaluate(faint), [], "contrast in the dialog");
      const box = await dialog(page).boundingBox();
      assert(box.x >= 0 && box.x + box.width <= view.viewport.width);
    });
  }

  await check("dark is dark", { view: DARK }, async ({ page }) => {
    const [back] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g));
    assert(Number(back) < 60, back);
  });

  const html = "<img src=x onerror=alert(1)><b>bold</b>";
  await check("what others wrote is text, never HTML", { from: fleet({ rename: (id) => `${id}<img src=x onerror=alert(1)>`, words: html }) }, async ({ page }) => {
    await page.locator("#decided summary").first().click();
    await page.locator("#alerts summary").click();
    assert.equal(await page.locator("img, b").count(), 0);
    for (const place of ["#backends", "#active", "#recent", "#decided"]) assert((await page.locator(place).textContent()).includes("onerror=alert(1)"), place);
    await page.locator("[data-action=drain]").first().click();
    assert.match(await dialog(page).textContent(), /Drain lightrag_0<img/);
    assert.equal(await page.locator("img, b").count(), 0);
  });

  await check("fifty backends are sorted and filtered", { from: fleet({ size: 50 }) }, async ({ page }) => {
    const ids = () => page.locator("#backends tbody tr").evaluateAll((rows) => rows.map((each) => each.dataset.key));
    const head = (name) => page.getByRole("columnheader", { name });
    assert.equal((await ids()).length, 50);
    await head("Cost").getByRole("button").click();
    assert.equal(await head("Cost").getAttribute("aria-sort"), "descending");
    assert.deepEqual((await ids()).slice(0, 3), ["perplexity_49", "lightrag_48", "anthropic_47"]);
    await head("Cost").getByRole("button").click();
    assert.deepEqual((await ids()).slice(0, 2), ["lightrag_0", "perplexity_1"]);
    await head("Headroom").getByRole("button").click();
    assert.match((await ids()).at(-1), /^(perplexity|anthropic)_/, "what is not known comes last");
    await head("Status").getByRole("button").click();
    assert.match((await ids())[0], /^anthropic_/, "the ill come first");
    await page.getByLabel("Filter").fill("openai_1");
    assert.deepEqual((await ids()).sort(), ["openai_10", "openai_14", "openai_18"]);
    await page.locator("#shown", { hasText: "3 of 50" }).waitFor();
  });
}

async function polling() {
  await check("an API that does not answer is said, and asked again until it does", { mayFail: /./ }, async ({ page }) => {
    await page.route("**/api/v1/router/**", (route) => route.abort());
    const notice = page.locator("#unreachable", { hasText: "does not answer" });
    await notice.waitFor();
    assert.match(await notice.textContent(), /Next try at \d\d:\d\d:\d\d/);
    assert.match(await page.locator("#live-text").textContent(), /^Figures of /);
    await page.unroute("**/api/v1/router/**");
    await page.route("**/api/v1/router/health", (route) => route.fulfill({ status: 503, json: { error: { message: "no router is at work here yet", code: "no_router" } } }));
    await page.locator("#unreachable", { hasText: "no router is at work" }).waitFor();
    await page.unroute("**/api/v1/router/health");
    await notice.waitFor({ state: "hidden" });
    await page.locator("#live-text", { hasText: "Live" }).waitFor();
  });

  await check("one round at a time, none while nobody looks", {}, async ({ page }) => {
    let [rounds, underWay, most] = [0, 0, 0];
    await page.route("**/api/v1/router/health", async (route) => {
      most = Math.max(most, ++underWay);
      rounds += 1;
      await sleep(1_300);
      underWay -= 1;
      await route.continue().catch(() => {});
    });
    // Otherwise there is one at least every two seconds.
    const stops = () => eventually(async () => {
      const before = rounds;
      await sleep(2_500);
      assert.equal(rounds, before, "it goes on polling");
    });
    const tab = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await eventually(async () => assert(rounds >= 2));
    await tab(true);
    await stops();
    const before = rounds;
    await tab(false);
    await eventually(async () => assert(rounds > before));
    assert.equal(most, 1);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("#live-text", { hasText: "Paused" }).waitFor();
    await stops();
    await page.unrouteAll({ behavior: "wait" });
  });
}

// In the page: texts whose contrast with what is behind them is under 4.5, or 3 where they are large.
function faint() {
  const channels = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return colour.startsWith("color(") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
  };
  const over = ([r, g, b, a], back) => [r, g, b].map((channel, n) => channel * a + back[n] * (1 - a));
  const luminance = (colour) => {
    const [r, g, b] = colour.map((channel) => (channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const back = channels(getComputedStyle(element).backgroundColor);
    return back[3] === 1 ? back.slice(0, 3) : over(back, behind(element.tagName === "DIALOG" ? null : element.parentElement));
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!hasText || !element.checkVisibility() || element.matches(":disabled, option, script")) continue;
    const back = behind(element);
    const [light, dark] = [luminance(over(channels(getComputedStyle(element).color), back)), luminance(back)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)}: ${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
  }
  return found;
}

// A picture of it at work: some traffic, one backend left alone by hand.
async function screenshot(file) {
  const authorization = { authorization: `Bearer ${token}` };
  await api("strategy", { method: "PUT", body: '{"strategy":"health_aware"}', headers: authorization });
  await api("circuit-breaker/perplexity_primary/open", { method: "POST", body: '{"reason":"for the picture"}', headers: authorization });
  const page = await browser.newPage(DESK);
  await page.goto(`${control}/`);
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(40 + 30 * Math.sin(Date.now() / 1500))) await ask();
  const decision = page.locator("#decided summary").first();
  if (await decision.isVisible()) await decision.click();
  await page.mouse.move(0, 0);
  await sleep(300);
  const png = await page.screenshot({ clip: { x: 0, y: 0, width: 1280, height: Math.min(760, await page.evaluate(() => document.body.scrollHeight)) }, fullPage: true });
  await writeFile(file, png);
  console.log(`${file}: ${png.length} bytes`);
}

try {
  if (option === "--screenshot") {
    await screenshot(picture);
  } else {
    for (const suite of [serving, figures, actions, looks, polling]) await suite();
    console.log(`${passed} passed, ${failed} failed`);
  }
} finally {
  await browser.close();
}
process.exitCode = failed === 0 ? 0 : 1;
