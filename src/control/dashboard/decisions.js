// The latest decisions, and why each was taken.

let decided = [];

function showDecisions(answer) {
  $("decisions").hidden = !answer;
  if (!answer) return;
  // What is being read stays where it is; only how it went is added.
  const held = find("[open]", $("decided")) || $("decided").matches(":hover, :focus-within");
  const news = new Map(answer.decisions.map((decision) => [decision.decision_id, decision]));
  decided =
    held && decided.length ? decided.map((decision) => news.get(decision.decision_id) ?? decision) : answer.decisions;
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
  write(
    who,
    outcome?.answered_by && outcome.answered_by !== backend
      ? `${backend} → ${outcome.answered_by}`
      : (backend ?? "nobody"),
  );
  write(how, words(strategy));
  write(what, model ?? words(api));
  write(result, outcome ? ended(outcome) : "under way");
  result.className = outcome && !succeeded(outcome) ? "failed" : "";
  write(size, `${count(tokens)} tokens`);
}

const succeeded = ({ status, ending }) => (ending ?? "success") === "success" && status < 400;
const ended = (outcome) =>
  [
    `${succeeded(outcome) ? "" : `${words(outcome.ending ?? "failed")}: `}${outcome.status ?? "no answer"} in ${time(outcome.response_time_ms)}`,
    outcome.attempts_made > 1 ? `${outcome.attempts_made} attempts` : "",
    outcome.cost_usd ? dollars(outcome.cost_usd) : "",
  ]
    .filter(Boolean)
    .join(", ");

const CANDIDATE = [
  [
    "Verdict",
    (c) =>
      c.excluded
        ? `${words(c.excluded.by)}: ${words(c.excluded.reason)}` +
          (c.excluded.retry_at ? ` (until ${clock(c.excluded.retry_at)})` : "")
        : "eligible",
  ],
  ["Score", (c) => or((n) => figure(n, 3))(c.score)],
  [
    "Terms",
    (c) =>
      Object.entries(c.score_terms ?? {})
        .map(([term, n]) => `${words(term)} ${typeof n === "number" ? figure(n, 3) : n}`)
        .join(", "),
  ],
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

function explanation({
  attempts,
  backends = [],
  backend,
  ranked_by: ranked,
  panic,
  request_id: request,
  decision_id: id,
}) {
  const facts = [
    attempts.length ? `Tried in this order: ${attempts.join(", ")}` : "Nobody might serve it",
    panic ? "The first is ill: nobody is well" : "",
    ranked ? `Ranked by ${words(ranked)}` : "",
    `Decision ${id}` + (request ? `, request ${request}` : ""),
  ];
  const head = make(
    "tr",
    {},
    make("th.left", { scope: "col" }, "Backend"),
    ...CANDIDATE.map(([label], n) => make(n === 0 || n === 2 ? "th.left" : "th", { scope: "col" }, label)),
  );
  const line = (candidate) =>
    make(
      candidate.id === backend ? "tr.chosen" : candidate.excluded ? "tr.out" : "tr",
      {},
      make("th.left", { scope: "row" }, candidate.id),
      ...CANDIDATE.map(([, text], n) =>
        make(n === 0 || n === 2 ? "td.left" : "td", {}, make("span", {}, text(candidate))),
      ),
    );
  return [
    make("p.small", {}, facts.filter(Boolean).join(". ")),
    make(
      "div.scroll",
      { tabindex: 0, role: "group", "aria-label": "Every backend, as it stood then" },
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...backends.map(line))),
    ),
  ];
}
