// The table of backends: few or many, sorted and filtered.

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
  {
    key: "status",
    label: "Status",
    by: (row) => HEALTH_ORDER.indexOf(row.status) + (row.draining ? -0.5 : 0),
    up: true,
    show: showStatus,
  },
  { key: "rate", label: "Req/s", by: (row) => row.rate, text: (row) => rate(row.rate) },
  { key: "share", label: "Share", by: (row) => row.share, show: showShare },
  {
    key: "response",
    label: "Response",
    by: (row) => row.response.p50 ?? row.response.mean,
    show: (cell, row) => showTimes(cell, row.response),
  },
  {
    key: "first_token",
    label: "First token",
    by: (row) => row.first_token.p50,
    show: (cell, row) => showTimes(cell, row.first_token),
  },
  { key: "error_rate", label: "Errors", by: (row) => row.error_rate, text: (row) => percent(row.error_rate) },
  { key: "cost", label: "Cost", by: (row) => row.cost, text: (row) => dollars(row.cost) },
  { key: "quality", label: "Quality", by: (row) => row.quality_score, text: (row) => score(row.quality_score) },
  {
    key: "in_flight",
    label: "In flight",
    by: (row) => row.requests_in_flight,
    text: (row) => count(row.requests_in_flight),
  },
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
  const shown = rows.filter((row) =>
    [row.id, row.backend_type, row.cluster, row.status, row.condition.breaker?.status]
      .join(" ")
      .toLowerCase()
      .includes(wanted),
  );
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
  return make(
    "tr",
    { role: "row" },
    make("th.left", { role: "rowheader", scope: "row", "data-figure": head.key }, make("span"), make("small")),
    ...others.map(({ key, label, up }) =>
      make(up ? "td.left" : "td", { role: "cell", "data-figure": key, ...(up ? {} : { "data-label": label }) }),
    ),
    make("td", { role: "cell", "data-figure": "actions" }, make("div.actions", {}, button("drain"), button("breaker"))),
  );
}

function updateRow(element, row) {
  const [head, ...cells] = element.children;
  write(head.firstChild, row.id);
  write(
    head.lastChild,
    [row.backend_type, row.cluster === row.id ? "" : row.cluster, row.default ? "default" : ""]
      .filter(Boolean)
      .join(" · "),
  );
  COLUMNS.slice(1).forEach((column, n) =>
    column.show ? column.show(cells[n], row) : write(cells[n], column.text(row)),
  );
  const [drain, breaker] = element.querySelectorAll("button");
  drain.hidden = !("draining" in row);
  write(drain, row.draining ? "Undrain" : "Drain…");
  breaker.hidden = !row.circuit_breaker;
  write(breaker, row.circuit_breaker?.status === "closed" ? "Open breaker…" : "Close breaker");
  for (const button of [drain, breaker])
    button.setAttribute("aria-label", `${button.textContent.replace("…", "")}: ${row.id}`);
}

function showStatus(cell, row) {
  const { components = {}, hosts } = row.condition;
  const breaker = row.circuit_breaker;
  const lines = [];
  if (row.draining)
    lines.push(
      `Draining since ${ago(row.draining.since)}: ${row.draining.reason || "no reason given"}` +
        (row.draining.by ? ` (${row.draining.by})` : ""),
    );
  if (breaker && breaker.status !== "closed")
    lines.push(
      `Breaker ${words(breaker.status)}: ${words(breaker.reason)}` +
        (breaker.retry_at ? `, retry ${within(breaker.retry_at)}` : ""),
    );
  const wrong = row.condition.misconfigured;
  if (wrong)
    lines.push(`Misconfigured: ${words(wrong.reason)}, status ${wrong.status}` + (wrong.left_out ? ", left out" : ""));
  if (hosts && hosts.healthy < hosts.total) lines.push(`${hosts.healthy} of ${hosts.total} hosts healthy`);
  for (const part in components)
    if (components[part] !== "healthy") lines.push(`${first(words(part))} ${components[part]}`);
  if (row.quota_refused_until) lines.push(`Out of quota, asked again ${within(row.quota_refused_until)}`);
  if (row.source && row.source !== "configuration") lines.push(`From ${row.source === "api" ? "the API" : row.source}`);
  if (!cell.firstChild) cell.append(make("span"), make("small"), make("div"));
  pill(cell.firstChild, row.draining ? "draining" : row.status);
  write(
    cell.children[1],
    `Score ${score(row.health_score)}` +
      (!breaker ? ", no breaker" : breaker.status === "closed" ? ", breaker closed" : ""),
  );
  list(
    cell.lastChild,
    lines,
    (line) => line.slice(0, 12),
    () => make("small"),
    write,
  );
}

function showShare(cell, { share }) {
  if (!cell.firstChild) cell.append(make("span"), bar());
  write(cell.firstChild, percent(share));
  fill(cell.lastChild, share);
}
