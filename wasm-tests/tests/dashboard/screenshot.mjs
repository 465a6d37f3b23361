// The picture for the documentation.
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

import { DESK, api, ask, browser, control, token } from "./rig.mjs";

// A picture of it at work: some traffic, one backend left alone by hand.
export async function screenshot(file) {
  const authorization = { authorization: `Bearer ${token}` };
  await api("strategy", { method: "PUT", body: '{"strategy":"health_aware"}', headers: authorization });
  await api("circuit-breaker/perplexity_primary/open", {
    method: "POST",
    body: '{"reason":"for the picture"}',
    headers: authorization,
  });
  const page = await browser.newPage(DESK);
  await page.goto(`${control}/`);
  let n = 0;
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(40 + 30 * Math.sin(Date.now() / 1500)))
    await ask(n++);
  const decision = page.locator("#decided summary").first();
  if (await decision.isVisible()) await decision.click();
  await page.mouse.move(0, 0);
  await sleep(300);
  const png = await page.screenshot({
    clip: { x: 0, y: 0, width: 1280, height: Math.min(760, await page.evaluate(() => document.body.scrollHeight)) },
    fullPage: true,
  });
  await writeFile(file, png);
  console.log(`${file}: ${png.length} bytes`);
}
