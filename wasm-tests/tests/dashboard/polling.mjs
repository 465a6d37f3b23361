// When it asks, and what it says when nobody answers.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { check, eventually } from "./rig.mjs";

export async function polling() {
  await check(
    "an API that does not answer is said, and asked again until it does",
    { mayFail: /./ },
    async ({ page }) => {
      await page.route("**/api/v1/router/**", (route) => route.abort());
      const notice = page.locator("#unreachable", { hasText: "does not answer" });
      await notice.waitFor();
      assert.match(await notice.textContent(), /Next try at \d\d:\d\d:\d\d/);
      assert.match(await page.locator("#live-text").textContent(), /^Figures of /);
      await page.unroute("**/api/v1/router/**");
      await page.route("**/api/v1/router/health", (route) =>
        route.fulfill({
          status: 503,
          json: { error: { message: "no router is at work here yet", code: "no_router" } },
        }),
      );
      await page.locator("#unreachable", { hasText: "no router is at work" }).waitFor();
      await page.unroute("**/api/v1/router/health");
      await notice.waitFor({ state: "hidden" });
      await page.locator("#live-text", { hasText: "Live" }).waitFor();
    },
  );

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
    const stops = () =>
      eventually(async () => {
        const before = rounds;
        await sleep(2_500);
        assert.equal(rounds, before, "it goes on polling");
      });
    const tab = (hidden) =>
      page.evaluate((hidden) => {
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
