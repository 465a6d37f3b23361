// What it changes is changed.
import assert from "node:assert/strict";

import { fleet } from "./fleet.mjs";
import {
  api,
  askTimes,
  backend,
  breakerIs,
  cell,
  check,
  dialog,
  eventually,
  get,
  giveToken,
  row,
  said,
  token,
} from "./rig.mjs";

export async function actions() {
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
      assert.equal(new Set(answers.map((answer) => answer.backend)).size, 4, "each its own API");
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

  await api("strategy", {
    method: "PUT",
    body: '{"strategy":"round_robin"}',
    headers: { authorization: `Bearer ${token}` },
  });

  // No other backend of this fleet speaks its API, so requests go there even so (docs/health.md, degraded mode).
  await check("a breaker is opened and closed by hand, and shown so", changing, async ({ page }) => {
    const id = "openai_primary";
    await row(page, id).getByRole("button", { name: "Open breaker" }).click();
    await dialog(page).getByLabel("Reason").fill("the test's");
    await dialog(page).getByRole("button", { name: "Open" }).click();
    await giveToken(page);
    await said(page, `The breaker of ${id} is open`);
    await cell(page, id, "status").getByText("Breaker open: by hand, retry in").waitFor();
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
    await cell(page, "openai_2", "status")
      .getByText(/Draining since \d+ s ago: a new disk/)
      .waitFor();
    await row(page, "openai_2").getByRole("button", { name: "Undrain" }).click();
    await said(page, "openai_2 is in use again");
    const path = "/api/v1/router/backends/openai_2";
    assert.deepEqual(canned.sent, [
      { method: "POST", path: `${path}/drain`, body: { reason: "a new disk" } },
      { method: "POST", path: `${path}/undrain`, body: {} },
    ]);
  });

  await check("a drained backend gets no requests until it is used again", changing, async ({ page }) => {
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
    await page.route("**/drain", (route) =>
      route.fulfill({ status: 409, json: { error: { message: "it is the last <one>", code: "conflict" } } }),
    );
    await row(page, "openai_2").getByRole("button", { name: "Drain" }).click();
    await dialog(page).getByRole("button", { name: "Drain" }).click();
    await said(page, "Not done: it is the last <one>");
    assert.equal(await page.locator("#said").getAttribute("role"), "status");
  });

  await check("the keyboard is enough, and shows where it is", changing, async ({ page }) => {
    const id = "perplexity_primary";
    const focused = () =>
      page.evaluate(() => ({
        label: document.activeElement.getAttribute("aria-label"),
        outline: getComputedStyle(document.activeElement).outlineStyle,
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
    await eventually(async () =>
      assert.equal((await focused()).label, `Close breaker: ${id}`, "the focus is where it was"),
    );
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
