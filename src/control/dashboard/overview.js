// How it is in all: health, strategy, totals, warnings, alerts, budgets, how providers count.

let rows = [];

function show({ health, metrics, backends, strategy, alerts, budget, analytics, decisions }) {
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
  for (const row of rows)
    row.rate = known(row.requests) ? speed((sample) => sample.of.get(row.id)?.requests, RATE_SPAN) : null;

  showOverall(health);
  showStrategy(strategy);
  showOverview(metrics, health.queue);
  showWarnings(health.configuration_warnings ?? [], health.refused_configuration);
  showAlerts(alerts);
  showBudget(budget, analytics);
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

function showOverview(metrics, queue) {
  const { routing_metrics: routing = {}, failover_events: failovers = {}, refusals } = metrics;
  const sum = (pick) => rows.reduce((sum, row) => (known(pick(row)) ? (sum ?? 0) + pick(row) : sum), null);
  const [input, output, cached] = ["input", "output", "cached_input"].map((kind) => sum((row) => row.tokens?.[kind]));
  const success = routing.success_rate ?? routing.recent_success_rate;
  const refused = refusals && Object.values(refusals).reduce((sum, n) => sum + n, 0);
  const perHour = speed((sample) => sample.cost, KEPT);
  const tiles = [
    ["requests", "Requests/s", rate(sum((row) => row.rate)), `${count(sum((row) => row.requests))} in all`],
    [
      "success",
      "Success",
      known(success) ? `${figure(success, 1)} %` : NONE,
      known(routing.failed_requests)
        ? `${count(routing.failed_requests)} failed`
        : `${count(routing.recent_failures)} of the last ${count(routing.recent_answers)} failed`,
    ],
    ["response", "Response time", time(routing.avg_response_time_ms), "mean"],
    [
      "in_flight",
      "In flight",
      count(sum((row) => row.requests_in_flight)),
      `${count(sum((row) => row.in_flight.tokens))} tokens`,
    ],
    [
      "queue",
      "Queue",
      queue?.size ? count(queue.depth) : NONE,
      `of ${count(queue?.size)} places, ` + (queue?.depth ? `the first waits for ${time(queue.oldest_wait_ms)}` : "nobody waits"),
    ],
    ["cost", "Cost", dollars(sum((row) => row.cost)), known(perHour) ? `${dollars(perHour * 3600)} an hour now` : ""],
    [
      "tokens",
      "Tokens in / out",
      `${count(input)} / ${count(output)}`,
      known(cached) ? `${count(cached)} from caches` : "",
    ],
    ["failovers", "Failovers", count(failovers.total_failovers), ""],
    [
      "refusals",
      "Refusals",
      count(refused),
      Object.entries(refusals ?? {})
        .filter(([, n]) => n)
        .map(([code, n]) => `${words(code)} ${count(n)}`)
        .join(", "),
    ],
  ];
  const worth = tiles.filter(([, , value]) => !/^–( \/ –)?$/.test(value));
  list(
    $("overview"),
    worth,
    ([key]) => key,
    ([key, label]) =>
      make(
        "div",
        { "data-tile": key },
        key === "requests" ? $("curve").content.cloneNode(true) : null,
        make("dt", {}, label),
        make("dd"),
        make("dd.small"),
      ),
    (tile, [key, , value, detail]) => {
      write(find("dd", tile), value);
      write(find("dd.small", tile), detail);
      if (key === "requests") draw(find("polyline", tile));
    },
  );
}

function draw(line) {
  const newest = samples.at(-1).at;
  const width = Math.max(10 * EVERY, newest - samples[0].at);
  const speeds = samples
    .map((sample, n) => [60 - (60 * (newest - sample.at)) / width, speed((one) => one.requests, 2 * EVERY, n)])
    .filter(([, y]) => known(y));
  const top = Math.max(1, ...speeds.map(([, y]) => y));
  line.setAttribute("points", speeds.map(([x, y]) => `${x.toFixed(1)},${(19 - (18 * y) / top).toFixed(1)}`).join(" "));
}

// What Envoy's own configuration keeps the router from doing, and a configuration of the router that was refused.
function showWarnings(told, refused) {
  const warnings = refused ? [refusal(refused), ...told] : told;
  $("warnings").hidden = warnings.length === 0;
  const create = () => make("li", {}, make("span"), make("strong"), make("span"), make("span"), make("small"));
  const update = (item, warning) => {
    const [severity, title, message, cure, when] = item.children;
    pill(severity, "warning");
    write(title, first(words(warning.kind)));
    write(message, first(warning.message) + ".");
    write(cure, `What to do: ${warning.cure}.`);
    const times = `${warning.count} ${warning.count === 1 ? "request" : "requests"}`;
    write(when, warning.when ?? `${times}, first ${ago(warning.first_seen)}, last ${ago(warning.last_seen)}`);
  };
  list(find("#warnings ul"), warnings, (warning) => warning.kind, create, update);
}

function refusal({ refused_at, errors }) {
  return {
    kind: "refused_configuration",
    message: errors.join("; "),
    cure: "correct it and give it to Envoy again; the one before it is at work",
    when: `refused ${ago(refused_at)}`,
  };
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

// Of every account what its windows have spent, where there is a limit; how well it was spent; and who counts otherwise
// than before.
function showBudget(budget, analytics) {
  const accounts = [
    ["all", budget?.overall],
    ...(budget?.backends ?? []).map((backend) => [backend.id, backend]),
    ...(budget?.tenants ?? []).map((tenant) => [`tenant ${tenant.name}`, tenant]),
  ];
  const lines = accounts.flatMap(([name, account]) =>
    ["hour", "day"]
      .filter((span) => known(account?.[span]?.limit_usd))
      .map((span) => [`${name}, this ${span}`, account[span]]),
  );
  const { efficiency: bought } = budget ?? {};
  const isKnown = known(bought?.efficiency);
  write(
    $("efficiency"),
    isKnown
      ? `${percent(bought.efficiency)} of the ${dollars(bought.spent_usd)} of the last ${bought.tracking_window_hours} h bought answers that ended well; the target is ${percent(bought.target_efficiency)}`
      : "",
  );
  $("efficiency").className = isKnown && bought.efficiency < bought.target_efficiency ? "failed" : "small";
  const drifts = Object.entries(analytics?.backends ?? {}).flatMap(([id, { usage_audit: audit = [] }]) =>
    audit.filter(({ usual_ratio: usual }) => known(usual)).map((one) => ({ ...one, id })),
  );
  const counting = find("#budget details");
  counting.hidden = !drifts.length;
  const jumps = drifts.filter((one) => one.drifting_since).length;
  write(find("summary", counting), `Tokens reported for each estimated${jumps ? `: ${jumps} jumped` : ""}`);
  list(
    find("ul", counting),
    drifts,
    ({ id, model }) => `${id} ${model}`,
    ({ id, model }) => make("li", {}, make("strong", {}, model ? `${id}, ${model}` : id), make("span")),
    (item, { ratio, usual_ratio: usual, drifting_since: since }) => {
      item.lastChild.className = since ? "failed" : "";
      write(item.lastChild, `${score(ratio)}, usually ${score(usual)}` + (since ? `, since ${ago(since)}` : ""));
    },
  );
  $("budget").hidden = !lines.length && !isKnown && !drifts.length;
  list(
    find("#budget ul"),
    lines,
    ([name]) => name,
    ([name]) => make("li", {}, make("strong", {}, name), bar(), make("span")),
    (item, [, { spent_usd: spent, limit_usd: limit, used }]) => {
      const reached = (budget.alert_thresholds ?? []).filter((share) => used >= share).pop();
      write(
        item.lastChild,
        `${dollars(spent)} of ${dollars(limit)} (${percent(used)})` + (reached ? `, beyond ${percent(reached)}` : ""),
      );
      item.lastChild.className = reached ? "failed" : "";
      fill(item.children[1], used);
    },
  );
}

const bar = () => make("span.bar", { "aria-hidden": "true" }, make("i"));
function fill(bar, part) {
  bar.firstChild.style.width = `${Math.min(100, Math.max(0, (part ?? 0) * 100)).toFixed(1)}%`;
}
