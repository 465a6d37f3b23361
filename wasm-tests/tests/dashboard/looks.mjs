// It can be read: anywhere, by anybody, whatever is in it.
import assert from "node:assert/strict";

import { fleet } from "./fleet.mjs";
import { DARK, DESK, PHONE, check, dialog, row } from "./rig.mjs";

export async function looks() {
  const long = {
    size: 12,
    rename: (id) => `${id}_${"with_a_name_as_long_as_it_may_be_".repeat(3)}`,
    words: `a very long ${"reason".repeat(30)}`,
  };
  for (const [name, view] of Object.entries({
    "1280 pixels": DESK,
    "1280 pixels, dark": DARK,
    "360 pixels": PHONE,
    "360 pixels, dark": { ...PHONE, colorScheme: "dark" },
  })) {
    await check(
      `at ${name} nothing overflows, and everything can be read`,
      { view, from: fleet(long) },
      async ({ page }) => {
        await page.locator("#decided summary").first().click();
        await page.locator("#alerts summary").click();
        const [width, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert(width <= window, `the page is ${width} wide in a window of ${window}`);
        assert.deepEqual(await page.evaluate(faint), [], "contrast under 4.5");
        await row(page, long.rename("lightrag_0")).getByRole("button", { name: "Drain" }).click();
        assert.deepEqual(await page.evaluate(faint), [], "contrast in the dialog");
        const box = await dialog(page).boundingBox();
        assert(box.x >= 0 && box.x + box.width <= view.viewport.width);
      },
    );
  }

  await check("dark is dark", { view: DARK }, async ({ page }) => {
    const [back] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g));
    assert(Number(back) < 60, back);
  });

  const html = "<img src=x onerror=alert(1)><b>bold</b>";
  await check(
    "what others wrote is text, never HTML",
    { from: fleet({ rename: (id) => `${id}<img src=x onerror=alert(1)>`, words: html }) },
    async ({ page }) => {
      await page.locator("#decided summary").first().click();
      await page.locator("#alerts summary").click();
      assert.equal(await page.locator("img, b").count(), 0);
      for (const place of ["#backends", "#active", "#recent", "#decided"])
        assert((await page.locator(place).textContent()).includes("onerror=alert(1)"), place);
      await page.locator("[data-action=drain]").first().click();
      assert.match(await dialog(page).textContent(), /Drain lightrag_0<img/);
      assert.equal(await page.locator("img, b").count(), 0);
    },
  );

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

// In the page: texts whose contrast with what is behind them is under 4.5, or 3 where they are large.
function faint() {
  const channels = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return colour.startsWith("color(") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
  };
  const over = ([r, g, b, a], back) => [r, g, b].map((channel, n) => channel * a + back[n] * (1 - a));
  const luminance = (colour) => {
    const [r, g, b] = colour.map((channel) =>
      channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const back = channels(getComputedStyle(element).backgroundColor);
    return back[3] === 1
      ? back.slice(0, 3)
      : over(back, behind(element.tagName === "DIALOG" ? null : element.parentElement));
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!hasText || !element.checkVisibility() || element.matches(":disabled, option, script")) continue;
    const back = behind(element);
    const [light, dark] = [luminance(over(channels(getComputedStyle(element).color), back)), luminance(back)].sort(
      (a, b) => b - a,
    );
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5)
      found.push(`${contrast.toFixed(2)}: ${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
  }
  return found;
}
