// What it shows is what the API says.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { fleet } from "./fleet.mjs";
import { askTimes, cell, check, eventually, get, read, shows } from "./rig.mjs";

export async function figures() {
  await askTimes(12);
  await check("the figures are the API's", {}, async ({ page }) => {
    await eventually(async () => {
      const [health, metrics, { backends }, strategy] = await Promise.all(
        ["health", "metrics", "backends", "strategy"].map(get),
      );
      assert.match(
        await page.locator("#overall").textContent(),
        new RegExp(`${health.healthy_backends} of ${health.total_backends} backends healthy`),
      );
      assert.match((await page.locator("#overall").textContent()).toLowerCase(), new RegExp(health.overall_health));
      assert.equal(await page.locator("#strategies").inputValue(), strategy.strategy);
      const recent = Object.values(metrics.load_balancing.backend_distribution);
      const answers = recent.reduce((sum, each) => sum + (each.recent_answers ?? 0), 0);
      for (const {
        id,
        backend_type,
        quality_score,
        health_score,
        in_flight,
        quota_headroom,
        response_time_ms,
      } of backends) {
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
        shows(
          await text("error_rate"),
          own.error_rate ?? (lately.recent_answers ? lately.recent_failures / lately.recent_answers : null),
          `${id}'s errors`,
        );
        shows(
          await text("response"),
          own.response_time_ms ? (own.response_time_ms.p50 ?? own.response_time_ms.mean) : response_time_ms,
          `${id}'s response time`,
        );
        shows(await text("first_token"), own.time_to_first_token_ms?.p50, `${id}'s time to the first token`);
        shows(await text("cost"), own.cost_usd, `${id}'s cost`);
      }
    });
  });

  await check("warnings of a wrong configuration are shown with their cure", {}, async ({ page }) => {
    assert.equal(await page.locator("#warnings").isVisible(), false, "there is none");
  });
  await check("canned warnings are shown", { from: fleet({ words: "<b>text</b>" }) }, async ({ page }) => {
    const item = page.locator("#warnings li");
    await item.first().waitFor();
    assert.equal(await item.count(), 2);
    const [refused, ignored] = await item.allTextContents();
    assert.match(refused, /Refused configuration.*weight: <b>text<\/b>; retyr: unknown key\..*What to do: .*refused \S+/);
    assert.match(ignored, /Route ignores decision.*<b>text<\/b>.*12 requests/);
  });

  await check("the decisions are the API's", {}, async ({ page }) => {
    const shown = () =>
      page
        .locator("#decided > details")
        .evaluateAll((all) => all.map((each) => [each.dataset.key, each.textContent]));
    await eventually(async () => {
      const { decisions } = await get("decisions?limit=20");
      assert(decisions.length >= 12, "each question was decided");
      const all = await shown();
      assert.deepEqual(
        all.map(([key]) => key),
        decisions.map((decision) => decision.decision_id),
      );
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

  await check("the alerts are the API's", {}, async ({ page }) => {
    await eventually(async () => {
      const { active, recent } = await get("alerts");
      assert.deepEqual(
        [await page.locator("#active li").count(), await page.locator("#recent li").count()],
        [active.length, recent.length],
      );
      assert.equal(await page.locator("#calm").isVisible(), active.length === 0);
    });
  });

  await check("efficiency is the API's", {}, async ({ page }) => {
    await eventually(async () => {
      const { efficiency: bought } = await get("budget");
      const [share, spent, , target] = (await page.locator("#efficiency").textContent()).match(/\$?[\d.,]+( %)?/g);
      shows(share, bought.efficiency, "efficiency");
      shows(spent, bought.spent_usd, "what was spent");
      shows(target, bought.target_efficiency, "the target");
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
    assert.match(await page.locator("#budget").textContent(), /all, this hour.*\$3\.21 of \$5\.00 \(64 %\), beyond 50 %.*openai_2, this day.*\$4\.00 of \$8\.00 \(50 %\), beyond 50 %/);
    assert.match(await tile("queue"), /3of 200 places, the first waits for 120 ms/);
    assert.match(
      await page.locator("#efficiency").textContent(),
      /76 % of the \$12\.50 of the last 24 h bought answers that ended well; the target is 80 %/,
    );
    assert.equal(await page.locator("#efficiency").getAttribute("class"), "failed");
    await page.locator("#budget summary", { hasText: "Tokens reported for each estimated: 1 jumped" }).click();
    const audit = page.locator("#budget details li");
    assert.equal(await audit.count(), canned.each.length, "what is not known is not shown");
    assert.match(await audit.first().textContent(), /^lightrag_0, planned maintenance1\.65, usually 1\.12, since \d+ s ago$/);
    assert.match(await audit.nth(1).textContent(), /^perplexity_1, planned maintenance1\.55, usually 1\.12$/);
    assert.match(
      await page.locator("#active").textContent(),
      /Critical.*Circuit breaker opened: anthropic_3.*planned maintenance/,
    );
    assert.match(await text("status"), /Draining.*planned maintenance \(192\.0\.2\.7:4711\)/);
    assert.match(
      await cell(page, "anthropic_3", "status").textContent(),
      /Unhealthy.*Breaker open: consecutive failures, retry in \d+ s/,
    );
  });

  const returning = fleet();
  const { backends } = returning.answers;
  let isThere = false;
  returning.answers.backends = () => ({
    backends: backends().backends.filter(({ id }) => isThere || id !== "anthropic_3"),
  });
  await check("what a backend had before it came back is no traffic", { from: returning }, async ({ page }) => {
    const each = async () => read(await page.locator("[data-tile=requests] dd").first().textContent()).value;
    await eventually(async () => assert(Math.abs((await each()) - 30) < 6, `${await each()}`));
    isThere = true;
    const own = async () => read(await cell(page, "anthropic_3", "rate").textContent()).value;
    await eventually(async () => assert(Math.abs((await own()) - 30) < 8, `${await own()}`));
    assert(Math.abs((await each()) - 60) < 14, `${await each()}`);
    assert.match(await page.locator("[data-tile=cost]").textContent(), /\$0(\.0+)? an hour now/);
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
    const keys = () =>
      page.locator("#decided > details").evaluateAll((all) => all.map((each) => each.dataset.key).join());
    const held = await keys();
    await sleep(2_500);
    assert.equal(await keys(), held, "they have moved");
    await decision.locator("summary").click();
    await page.mouse.move(0, 0);
    await page.evaluate(() => document.activeElement.blur());
    await eventually(async () => assert.notEqual(await keys(), held));
  });
}
