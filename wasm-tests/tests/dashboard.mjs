// The dashboard in a real headless Chromium, against the router that `scripts/run.sh --with` started; where a router of
// four simulated backends does not show enough, against canned answers. scripts/dashboard.sh runs it.
//
//   node dashboard.mjs PLAYWRIGHT CHROMIUM [--screenshot FILE]
//
// PLAYWRIGHT is the directory of playwright-core, CHROMIUM the browser; LLM_ROUTER_URL, LLM_ROUTER_CONTROL_URL and
// LLM_ROUTER_CONTROL_TOKEN are set. Prints a line per check and `N passed, M failed`.
import { actions } from "./dashboard/actions.mjs";
import { figures } from "./dashboard/figures.mjs";
import { looks } from "./dashboard/looks.mjs";
import { polling } from "./dashboard/polling.mjs";
import { finish } from "./dashboard/rig.mjs";
import { screenshot } from "./dashboard/screenshot.mjs";
import { serving } from "./dashboard/serving.mjs";

const [option, file] = process.argv.slice(4);
try {
  if (option === "--screenshot") await screenshot(file);
  else for (const suite of [serving, figures, actions, looks, polling]) await suite();
} finally {
  const { passed, failed } = await finish();
  if (option === undefined) console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
