// Asks the control API once a second, one round at a time, while somebody looks.

const API = "api/v1/router/";
const EVERY = 1000;
const PATIENCE = 5000;
const LONGEST_WAIT = 16000;

let token = "";
// Endpoints that this router does not have; asked again when it was away, for it may have come back as a newer one.
const missing = new Set();

async function ask(path) {
  if (missing.has(path)) return null;
  const answer = await fetch(API + path, { signal: AbortSignal.timeout(PATIENCE) });
  if (answer.ok) {
    skew = Date.parse(answer.headers.get("date")) - Date.now() || 0;
    return answer.json();
  }
  if (answer.status === 404) missing.add(path);
  throw new Error(await reason(answer));
}

async function reason(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `status ${answer.status}`;
  }
}

const optional = (path) => ask(path).catch(() => null);

async function look() {
  const [health, metrics, backends, strategy, alerts, budget, analytics, decisions] = await Promise.all([
    ...["health", "metrics", "backends", "strategy"].map(ask),
    // With many backends a decision is long.
    ...["alerts", "budget", "analytics", `decisions?limit=${rows.length > 20 ? 5 : 20}`].map(optional),
  ]);
  return { health, metrics, backends, strategy, alerts, budget, analytics, decisions };
}

let timer;
let looking = false;
let lookAgain = false;
let paused = false;
let failures = 0;
let seen;

async function poll() {
  clearTimeout(timer);
  lookAgain = looking;
  if (looking || document.hidden) return;
  looking = true;
  const begun = Date.now();
  let wait = EVERY;
  try {
    show(await look());
    seen = begun;
    failures = 0;
    $("unreachable").hidden = true;
  } catch (error) {
    wait = Math.min(LONGEST_WAIT, EVERY * 2 ** failures++);
    missing.clear();
    const why = error.name === "TimeoutError" ? `nothing for ${span(PATIENCE)}` : error.message;
    write(
      find("#unreachable span"),
      `The control API does not answer (${why}). Next try at ${clock(Date.now() + wait)}.`,
    );
    $("unreachable").hidden = false;
  }
  document.body.classList.toggle("stale", failures > 0);
  write(
    $("live-text"),
    failures ? `Figures of ${seen ? clock(seen) : "never"}` : `${paused ? "Paused" : "Live"}, ${clock(seen)}`,
  );
  looking = false;
  if (lookAgain) poll();
  else if (!paused) timer = setTimeout(poll, Math.max(0, begun + wait - Date.now()));
}

document.addEventListener("visibilitychange", () => paused || poll());
find("#unreachable button").addEventListener("click", poll);
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  write($("pause"), paused ? "Go on" : "Pause");
  poll();
});
