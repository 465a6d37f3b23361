// Polls the control API once a second and shows what it says. Whatever comes from the API is written as text, never as
// HTML: ids, reasons and messages are others' words.

const API = "api/v1/router/";
const EVERY = 1000;
const PATIENCE = 5000;
const LONGEST_WAIT = 16000;
// Rates are over so long; the little curve is of a minute.
const RATE_SPAN = 10000;
const KEPT = 60000;

const find = (selector, root = document) => root.querySelector(selector);
const $ = (id) => document.getElementById(id);

// ---- Elements

// make("td.left", {title: "x"}, child, "text"…)
function make(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  element.append(...children.filter((child) => child != null));
  return element;
}

// Only what changed is touched: selections, focus and screen readers stay undisturbed.
function write(element, text) {
  text = text ?? "";
  if (element.textContent !== text) element.textContent = text;
}

// The children of `parent` are those of `items`, in their order: kept by key, made where new, moved only where they must.
function list(parent, items, key, create, update, mayMove = true) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const id = key(item);
    const element = old.get(id) ?? create(item);
    old.delete(id);
    element.dataset.key = id;
    update(element, item);
    return element;
  });
  for (const gone of old.values()) gone.remove();
  wanted.forEach((element, n) => {
    if (!element.parentNode) parent.append(element);
    if (mayMove && parent.children[n] !== element) parent.insertBefore(element, parent.children[n]);
  });
}

// ---- Words and figures

const NONE = "–";
const known = (value) => value !== null && value !== undefined;
const figure = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const or = (format) => (value) => (known(value) ? format(value) : NONE);
const count = or((n) => (n < 1e5 ? figure(n) : n < 1e6 ? `${figure(n / 1e3)} k` : `${figure(n / 1e6, 1)} M`));
const rate = or((n) => figure(n, n < 10 ? 1 : 0));
const percent = or((part) => `${figure(part * 100, part < 0.1 && part > 0 ? 1 : 0)} %`);
const score = or((n) => figure(n, 2));
const time = or((ms) => (ms < 10 ? `${figure(ms, 1)} ms` : ms < 1e3 ? `${figure(ms)} ms` : `${figure(ms / 1e3, ms < 1e4 ? 2 : 1)} s`));
const dollars = or((usd) => `$${usd === 0 ? "0" : usd < 0.01 ? usd.toPrecision(2) : figure(usd, usd < 1 ? 4 : 2)}`);
const words = (text) => String(text ?? "").replaceAll("_", " ");
const first = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const clock = (moment) => new Date(moment).toLocaleTimeString("en-GB");

// The machine that is looked at may have another idea of the time than the one that looks.
let skew = 0;
const now = () => Date.now() + skew;
function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}
const ago = (moment) => `${span(now() - Date.parse(moment))} ago`;
const within = (moment) => (Date.parse(moment) > now() ? `in ${span(Date.parse(moment) - now())}` : "now");

const GRADES = { healthy: "good", closed: "good", degraded: "warn", draining: "warn", half_open: "warn", warning: "warn", unhealthy: "bad", open: "bad", critical: "bad" };
const SIGNS = { good: "● ", warn: "▲ ", bad: "■ " };
function pill(element, state, text = words(state)) {
  const grade = GRADES[state] ?? "";
  if (element.dataset.grade !== grade) {
    element.dataset.grade = grade;
    element.className = `pill ${grade}`;
  }
  write(element, (SIGNS[grade] ?? "") + first(text));
}

// ---- Asking

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
  const [health, metrics, backends, strategy, alerts, budget, decisions] = await Promise.all([
    ...["health", "metrics", "backends", "strategy"].map(ask),
    // With many backends a decision is long.
    ...["alerts", "budget", `decisions?limit=${rows.length > 20 ? 5 : 20}`].map(optional),
  ]);
  return { health, metrics, backends, strategy, alerts, budget, decisions };
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
    write(find("#unreachable span"), `The control API does not answer (${why}). Next try at ${clock(Date.now() + wait)}.`);
    $("unreachable").hidden = false;
  }
  document.body.classList.toggle("stale", failures > 0);
  write($("live-text"), failures ? `Figures of ${seen ? clock(seen) : "never"}` : `${paused ? "Paused" : "Live"}, ${clock(seen)}`);
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

// ---- Rates

let samples = [];

function remember(all) {
  const sum = (key) => all.reduce((sum, row) => sum + (row[key] ?? 0), 0);
  const sample = { at: Date.now(), requests: sum("requests"), cost: sum("cost"), of: new Map(all.map((row) => [row.id, row.requests])) };
  // Counters that fell belong to another life of Envoy.
  if (samples.length && sample.requests < samples.at(-1).requests) samples = [];
  samples = [...samples.filter((old) => sample.at - old.at <= KEPT), sample];
}

// A second of what `of` counts, between a sample and the newest before it that is `over` ms older.
function speed(of, over, to = samples.length - 1) {
  const from = Math.max(0, samples.findLastIndex((old) => samples[to].at - old.at >= over));
  const [begin, end] = [samples[from], samples[to]];
  const gained = of(end) - of(begin);
  return end.at > begin.at && gained >= 0 ? (gained * 1000) / (end.at - begin.at) : null;
}

// ---- Showing

let rows = [];

function show({ health, metrics, backends, strategy, alerts, budget, decisions }) {
  const conditions = Object.assign({}, ...Object.values(health.health_status));
  const distribution = metrics.load_balancing?.backend_distribution ?? {};
  const answers = Object.values(distribution).reduce((sum, each) => sum + (each.recent_answers ?? 0), 0);
  rows = backends.backends.map((backend, place) => {
    const own = metrics.backends?.[backend.id] ?? {};
    const recent = distribution[backend.id] ?? {};
    return {
      ...backend,
      place,
      condition: conditions[backend.id] ?? {},
      requests: own.requests,
      share: own.share ?? (answers ? recent.recent_answers / answers : null),
      response: own.response_time_ms ?? { mean: backend.response_time_ms },
      first_token: own.time_to_first_token_ms ?? {},
      error_rate: own.error_rate ?? (recent.recent_answers ? recent.recent_failures / recent.recent_answers : null),
      cost: own.cost_usd,
      tokens: own.tokens,
      requests_in_flight: own.in_flight ?? backend.in_flight.requests,
    };
  });
  remember(rows);
  for (const row of rows) row.rate = known(row.requests) ? speed((sample) => sample.of.get(row.id) ?? 0, RATE_SPAN) : null;

  showOverall(health);
  showStrategy(strategy);
  showOverview(metrics);
  showAlerts(alerts);
  showBudget(budget);
  showBackends();
  showDecisions(decisions);
  find("main").hidden = false;
}

function showOverall(health) {
  const overall = $("overall");
  if (!overall.firstChild) overall.append(make("span"), " ", make("span"));
  pill(overall.firstChild, health.overall_health);
  write(overall.lastChild, `${health.healthy_backends} of ${health.total_backends} backends healthy`);
  document.title = `${first(health.overall_health)} – llm-router`;
}

const form = $("strategy");
const choice = $("strategies");
let strategyNow;

function showStrategy({ strategy, configured, source, available }) {
  if (choice.length !== available.length)
    choice.replaceChildren(...available.map((name) => make("option", { value: name }, words(name))));
  // What somebody is about to choose stays.
  if (choice.value === strategyNow || strategyNow === undefined) choice.value = strategy;
  strategyNow = strategy;
  find("button", form).disabled = choice.value === strategy;
  write($("strategy-source"), source === "operator" ? `configured: ${words(configured)}` : "as configured");
}

choice.addEventListener("change", () => (find("button", form).disabled = choice.value === strategyNow));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = choice.value;
  act("PUT", "strategy", { strategy: wanted }, `The strategy is ${words(wanted)} now`);
});

function showOverview(metrics) {
  const { routing_metrics: routing = {}, failover_events: failovers = {}, refusals } = metrics;
  const sum = (pick) => rows.reduce((sum, row) => (known(pick(row)) ? (sum ?? 0) + pick(row) : sum), null);
  const [input, output, cached] = ["input", "output", "cached_input"].map((kind) => sum((row) => row.tokens?.[kind]));
  const success = routing.success_rate ?? routing.recent_success_rate;
  const refused = refusals && Object.values(refusals).reduce((sum, n) => sum + n, 0);
  const perHour = speed((sample) => sample.cost, KEPT);
  const tiles = [
    ["requests", "Requests/s", rate(sum((row) => row.rate)), `${count(sum((row) => row.requests))} in all`],
    ["success", "Success", known(success) ? `${figure(success, 1)} %` : NONE,
      known(routing.failed_requests) ? `${count(routing.failed_requests)} failed` : `${count(routing.recent_failures)} of the last ${count(routing.recent_answers)} failed`],
    ["response", "Response time", time(routing.avg_response_time_ms), "mean"],
    ["in_flight", "In flight", count(sum((row) => row.requests_in_flight)), `${count(sum((row) => row.in_flight.tokens))} tokens`],
    ["cost", "Cost", dollars(sum((row) => row.cost)), known(perHour) ? `${dollars(perHour * 3600)} an hour now` : ""],
    ["tokens", "Tokens in / out", `${count(input)} / ${count(output)}`, known(cached) ? `${count(cached)} from caches` : ""],
    ["failovers", "Failovers", count(failovers.total_failovers), ""],
    ["refusals", "Refusals", count(refused), Object.entries(refusals ?? {}).filter(([, n]) => n).map(([code, n]) => `${words(code)} ${count(n)}`).join(", ")],
  ];
  const worth = tiles.filter(([, , value]) => !/^–( \/ –)?$/.test(value));
  list($("overview"), worth, ([key]) => key,
    ([key, label]) => make("div", { "data-tile": key }, key === "requests" ? $("curve").content.cloneNode(true) : null, make("dt", {}, label), make("dd"), make("dd.small")),
    (tile, [key, , value, detail]) => {
      write(find("dd", tile), value);
      write(find("dd.small", tile), detail);
      if (key === "requests") draw(find("polyline", tile));
    });
}

function draw(line) {
  const newest = samples.at(-1).at;
  const width = Math.max(10 * EVERY, newest - samples[0].at);
  const speeds = samples.map((sample, n) => [60 - (60 * (newest - sample.at)) / width, speed((one) => one.requests, 2 * EVERY, n)]).filter(([, y]) => known(y));
  const top = Math.max(1, ...speeds.map(([, y]) => y));
  line.setAttribute("points", speeds.map(([x, y]) => `${x.toFixed(1)},${(19 - (18 * y) / top).toFixed(1)}`).join(" "));
}

function showAlerts(alerts) {
  $("alerts").hidden = !alerts;
  if (!alerts) return;
  const create = () => make("li", {}, make("span"), make("strong"), make("span"), make("small"));
  const update = (item, alert) => {
    const [severity, title, message, when] = item.children;
    pill(severity, alert.cleared_at ? "" : alert.severity, alert.cleared_at ? "cleared" : alert.severity);
    write(title, first(words(alert.alert_name)) + (alert.backend_id ? `: ${alert.backend_id}` : ""));
    write(message, alert.message);
    write(when, `raised ${ago(alert.raised_at)}` + (alert.cleared_at ? `, cleared ${ago(alert.cleared_at)}` : ""));
  };
  const key = (alert) => String(alert.alert_id);
  list($("active"), alerts.active, key, create, update);
  $("calm").hidden = alerts.active.length > 0;
  list($("recent"), alerts.recent, key, create, update);
  const older = find("#alerts details");
  older.hidden = !alerts.recent.length;
  write(find("summary", older), `Cleared lately (${alerts.recent.length})`);
}

// Wherever the answer has something spent beside its limit.
function showBudget(budget) {
  const lines = [];
  const collect = (node, path) => {
    if (node === null || typeof node !== "object") return;
    const money = (word) => {
      const key = Object.keys(node).find((key) => key.includes(word) && typeof node[key] === "number");
      return key && node[key] / (key.includes("micro") ? 1e6 : 1);
    };
    const [spent, limit] = [money("spent"), money("limit")];
    if (known(spent) && known(limit)) lines.push([path.filter((word) => word !== "budgets").join(" ") || "all", spent, limit]);
    for (const key in node) collect(node[key], [...path, words(key)]);
  };
  collect(budget, []);
  $("budget").hidden = !lines.length;
  list(find("#budget ul"), lines, ([path]) => path, ([path]) => make("li", {}, make("strong", {}, path), bar(), make("span")), (item, [, spent, limit]) => {
    write(item.lastChild, `${dollars(spent)} of ${dollars(limit)} (${percent(limit ? spent / limit : 0)})`);
    fill(item.children[1], limit ? spent / limit : 0);
  });
}

const bar = () => make("span.bar", { "aria-hidden": "true" }, make("i"));
function fill(bar, part) {
  bar.firstChild.style.width = `${Math.min(100, Math.max(0, (part ?? 0) * 100)).toFixed(1)}%`;
}

// ---- Backends

const HEALTH_ORDER = ["unhealthy", "degraded", "healthy"];
// The middle, and the tail below it.
function showTimes(cell, { p50, p95, mean }) {
  if (!cell.firstChild) cell.append(make("span"), make("small"));
  write(cell.firstChild, time(p50 ?? mean));
  write(cell.lastChild, known(p50) ? `p95 ${time(p95)}` : known(mean) ? "mean" : "");
}
// What a column is called, what it is sorted by, and what its cells say.
const COLUMNS = [
  { key: "id", label: "Backend", by: (row) => row.id, up: true },
  { key: "status", label: "Status", by: (row) => HEALTH_ORDER.indexOf(row.status) + (row.draining ? -0.5 : 0), up: true, show: showStatus },
  { key: "rate", label: "Req/s", by: (row) => row.rate, text: (row) => rate(row.rate) },
  { key: "share", label: "Share", by: (row) => row.share, show: showShare },
  { key: "response", label: "Response", by: (row) => row.response.p50 ?? row.response.mean, show: (cell, row) => showTimes(cell, row.response) },
  { key: "first_token", label: "First token", by: (row) => row.first_token.p50, show: (cell, row) => showTimes(cell, row.first_token) },
  { key: "error_rate", label: "Errors", by: (row) => row.error_rate, text: (row) => percent(row.error_rate) },
  { key: "cost", label: "Cost", by: (row) => row.cost, text: (row) => dollars(row.cost) },
  { key: "quality", label: "Quality", by: (row) => row.quality_score, text: (row) => score(row.quality_score) },
  { key: "in_flight", label: "In flight", by: (row) => row.requests_in_flight, text: (row) => count(row.requests_in_flight) },
  { key: "headroom", label: "Headroom", by: (row) => row.quota_headroom, text: (row) => percent(row.quota_headroom) },
];
const table = $("backends");
const body = table.tBodies[0];
let sorting = { column: null, up: true };

find("tr", table.tHead).append(
  ...COLUMNS.map((column) => {
    const button = make("button", { type: "button" }, column.label);
    const head = make(`th${column.up ? ".left" : ""}`, { role: "columnheader", scope: "col" }, button);
    button.addEventListener("click", () => {
      sorting = { column, up: sorting.column === column ? !sorting.up : Boolean(column.up) };
      for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorting.up ? "ascending" : "descending");
      showBackends(true);
    });
    return head;
  }),
  make("th", { role: "columnheader", "aria-label": "Actions" }),
);

function sorted(all) {
  const { column, up } = sorting;
  if (!column) return all;
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  // What is not known comes last, whichever way.
  return [...all].sort((x, y) => {
    const [a, b] = [column.by(x), column.by(y)];
    if (!known(a) || !known(b)) return known(b) - known(a) || x.place - y.place;
    return (up ? compare(a, b) : compare(b, a)) || x.place - y.place;
  });
}

function showBackends(asked = false) {
  const box = find("#filter input");
  $("filter").hidden = rows.length <= 10;
  const wanted = rows.length > 10 ? box.value.trim().toLowerCase() : "";
  const shown = rows.filter((row) => [row.id, row.backend_type, row.cluster, row.status, row.condition.breaker?.status].join(" ").toLowerCase().includes(wanted));
  write($("shown"), shown.length < rows.length ? `${shown.length} of ${rows.length}` : "");
  // Nothing moves under a hand that is about to press.
  list(body, sorted(shown), (row) => row.id, newRow, updateRow, asked || !body.matches(":hover, :focus-within"));
}
find("#filter input").addEventListener("input", () => showBackends(true));

function newRow({ id }) {
  const button = (key) => {
    const element = make("button", { type: "button", "data-action": key });
    element.addEventListener("click", () => ACTIONS[key](rows.find((row) => row.id === id)));
    return element;
  };
  const [head, ...others] = COLUMNS;
  return make("tr", { role: "row" },
    make("th.left", { role: "rowheader", scope: "row", "data-figure": head.key }, make("span"), make("small")),
    ...others.map(({ key, label, up }) => make(up ? "td.left" : "td", { role: "cell", "data-figure": key, ...(up ? {} : { "data-label": label }) })),
    make("td", { role: "cell", "data-figure": "actions" }, make("div.actions", {}, button("drain"), button("breaker"))));
}

function updateRow(element, row) {
  const [head, ...cells] = element.children;
  write(head.firstChild, row.id);
  write(head.lastChild, [row.backend_type, row.cluster === row.id ? "" : row.cluster, row.default ? "default" : ""].filter(Boolean).join(" · "));
  COLUMNS.slice(1).forEach((column, n) => (column.show ? column.show(cells[n], row) : write(cells[n], column.text(row))));
  const [drain, breaker] = element.querySelectorAll("button");
  drain.hidden = !("draining" in row);
  write(drain, row.draining ? "Undrain" : "Drain…");
  breaker.hidden = !row.circuit_breaker;
  write(breaker, row.circuit_breaker?.status === "closed" ? "Open breaker…" : "Close breaker");
  for (const button of [drain, breaker]) button.setAttribute("aria-label", `${button.textContent.replace("…", "")}: ${row.id}`);
}

function showStatus(cell, row) {
  const { components = {}, hosts } = row.condition;
  const breaker = row.circuit_breaker;
  const lines = [];
  if (row.draining) lines.push(`Draining since ${ago(row.draining.since)}: ${row.draining.reason || "no reason given"}` + (row.draining.by ? ` (${row.draining.by})` : ""));
  if (breaker && breaker.status !== "closed")
    lines.push(`Breaker ${words(breaker.status)}: ${words(breaker.reason)}` + (breaker.retry_at ? `, tries again ${within(breaker.retry_at)}` : ""));
  if (hosts && hosts.healthy < hosts.total) lines.push(`${hosts.healthy} of ${hosts.total} hosts healthy`);
  for (const part in components) if (components[part] !== "healthy") lines.push(`${first(words(part))} ${components[part]}`);
  if (row.quota_refused_until) lines.push(`Out of quota, asked again ${within(row.quota_refused_until)}`);
  if (row.source && row.source !== "configuration") lines.push(`From ${row.source === "api" ? "the API" : row.source}`);
  if (!cell.firstChild) cell.append(make("span"), make("small"), make("div"));
  pill(cell.firstChild, row.draining ? "draining" : row.status);
  write(cell.children[1], `Score ${score(row.health_score)}` + (!breaker ? ", no breaker" : breaker.status === "closed" ? ", breaker closed" : ""));
  list(cell.lastChild, lines, (line) => line.slice(0, 12), () => make("small"), write);
}

function showShare(cell, { share }) {
  if (!cell.firstChild) cell.append(make("span"), bar());
  write(cell.firstChild, percent(share));
  fill(cell.lastChild, share);
}

// ---- Decisions

let decided = [];

function showDecisions(answer) {
  $("decisions").hidden = !answer;
  if (!answer) return;
  // What is being read stays where it is; only how it went is added.
  const held = find("[open]", $("decided")) || $("decided").matches(":hover, :focus-within");
  const news = new Map(answer.decisions.map((decision) => [decision.decision_id, decision]));
  decided = held && decided.length ? decided.map((decision) => news.get(decision.decision_id) ?? decision) : answer.decisions;
  write($("held"), held ? "held while you read" : "");
  list($("decided"), decided, (decision) => String(decision.decision_id), newDecision, updateDecision);
}

function newDecision(decision) {
  const details = make("details", {}, make("summary", {}, ...Array.from({ length: 6 }, () => make("span"))));
  details.addEventListener("toggle", () => details.children.length > 1 || details.append(...explanation(decision)));
  return details;
}

function updateDecision(details, decision) {
  const { time: when, backend, strategy, api, model, outcome, estimated_input_tokens: tokens } = decision;
  const [at, who, how, what, result, size] = find("summary", details).children;
  write(at, clock(when));
  write(who, outcome?.answered_by && outcome.answered_by !== backend ? `${backend} → ${outcome.answered_by}` : backend ?? "nobody");
  write(how, words(strategy));
  write(what, model ?? words(api));
  write(result, outcome ? ended(outcome) : "under way");
  result.className = outcome && !succeeded(outcome) ? "failed" : "";
  write(size, `${count(tokens)} tokens`);
}

const succeeded = ({ status, ending }) => (ending ?? "success") === "success" && status < 400;
const ended = (outcome) =>
  [`${succeeded(outcome) ? "" : `${words(outcome.ending ?? "failed")}: `}${outcome.status ?? "no answer"} in ${time(outcome.response_time_ms)}`,
    outcome.attempts_made > 1 ? `${outcome.attempts_made} attempts` : "",
    outcome.cost_usd ? dollars(outcome.cost_usd) : ""].filter(Boolean).join(", ");

const CANDIDATE = [
  ["Verdict", (c) => (c.excluded ? `${words(c.excluded.by)}: ${words(c.excluded.reason)}` + (c.excluded.retry_at ? ` (until ${clock(c.excluded.retry_at)})` : "") : "eligible")],
  ["Score", (c) => or((n) => figure(n, 3))(c.score)],
  ["Terms", (c) => Object.entries(c.score_terms ?? {}).map(([term, n]) => `${words(term)} ${typeof n === "number" ? figure(n, 3) : n}`).join(", ")],
  ["Tokens in / out", (c) => `${count(c.estimate?.input_tokens)} / ${count(c.estimate?.output_tokens)}`],
  ["Cost", (c) => dollars(c.estimate?.cost_usd)],
  ["Response", (c) => time(c.response_time_ms)],
  ["Quality", (c) => score(c.quality_score)],
  ["Health", (c) => score(c.health_score)],
  ["Breaker", (c) => words(c.circuit_breaker?.status ?? NONE)],
  ["In flight", (c) => count(c.in_flight?.requests)],
  ["Headroom", (c) => percent(c.quota_headroom)],
  ["Part", (c) => percent(c.part)],
];

function explanation({ attempts, backends = [], backend, ranked_by: ranked, panic, request_id: request, decision_id: id }) {
  const facts = [
    attempts.length ? `Tried in this order: ${attempts.join(", ")}` : "Nobody might serve it",
    panic ? "The first is ill: nobody is well" : "",
    ranked ? `Ranked by ${words(ranked)}` : "",
    `Decision ${id}` + (request ? `, request ${request}` : ""),
  ];
  const head = make("tr", {}, make("th.left", { scope: "col" }, "Backend"),
    ...CANDIDATE.map(([label], n) => make(n === 0 || n === 2 ? "th.left" : "th", { scope: "col" }, label)));
  const line = (candidate) =>
    make(candidate.id === backend ? "tr.chosen" : candidate.excluded ? "tr.out" : "tr", {},
      make("th.left", { scope: "row" }, candidate.id),
      ...CANDIDATE.map(([, text], n) => make(n === 0 || n === 2 ? "td.left" : "td", {}, make("span", {}, text(candidate)))));
  return [
    make("p.small", {}, facts.filter(Boolean).join(". ")),
    make("div.scroll", { tabindex: 0, role: "group", "aria-label": "Every backend, as it stood then" },
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...backends.map(line)))),
  ];
}

// ---- Actions

const dialog = find("dialog");

// Asks for one line; null where it is not given.
function question({ title, text, label, confirm, error = "", secret = false }) {
  const input = find("input", dialog);
  write($("ask-title"), title);
  write($("ask-text"), text);
  write(find("label", dialog), label);
  write(find(".main", dialog), confirm);
  write($("ask-error"), error);
  input.type = secret ? "password" : "text";
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? input.value.trim() : null), { once: true }));
}
find("form", dialog).addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("yes");
});
find("[type=button]", dialog).addEventListener("click", () => dialog.close());

function say(text, grade) {
  $("said").className = `notice ${grade}`;
  write($("said"), `${clock(Date.now())} ${text}`);
}

async function act(method, path, content, done) {
  try {
    let answer = await send(method, path, content);
    for (let error = ""; answer.status === 401; error = "The router did not accept this token.") {
      token = "";
      const given = await question({
        title: "Token", text: "Changes need this router's token (LLM_ROUTER_CONTROL_TOKEN). It is kept until you leave this page.",
        label: "Token", confirm: "Send", secret: true, error,
      });
      if (given === null) return say("Nothing was changed: there is no token.", "warn");
      token = given;
      answer = await send(method, path, content);
    }
    if (!answer.ok) return say(`Not done: ${await reason(answer)}`, "bad");
    const [change = {}] = Object.values(await answer.json());
    const holds = change.holds_until ?? change.holds;
    say(`${done}.` + (holds ? ` It holds ${holds.replace("retry_at", change.retry_at ? clock(change.retry_at) : "its retry")}.` : ""), "good");
  } catch (error) {
    say(`Not done, as far as is known: ${error.message}`, "bad");
  } finally {
    poll();
  }
}

function send(method, path, content) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  return fetch(API + path, { method, headers, body: JSON.stringify(content), signal: AbortSignal.timeout(PATIENCE) });
}

const ACTIONS = {
  async drain({ id, draining }) {
    const path = `backends/${encodeURIComponent(id)}`;
    if (draining) return act("POST", `${path}/undrain`, {}, `${id} is in use again`);
    const given = await question({ title: `Drain ${id}`, text: "It gets no new requests; those under way are finished.", label: "Reason", confirm: "Drain" });
    if (given !== null) act("POST", `${path}/drain`, { reason: given }, `${id} is draining`);
  },
  async breaker({ id, circuit_breaker: { status } }) {
    const path = `circuit-breaker/${encodeURIComponent(id)}`;
    if (status !== "closed") return act("POST", `${path}/close`, {}, `The breaker of ${id} is closed`);
    const given = await question({ title: `Open the breaker of ${id}`, text: "It gets no requests until the breaker tries it again.", label: "Reason, for the log", confirm: "Open" });
    if (given !== null) act("POST", `${path}/open`, given ? { reason: given } : {}, `The breaker of ${id} is open`);
  },
};

poll();
