// Canned answers of the control API, for what a router of four simulated backends does not show: many backends, long
// names, drains, alerts, budgets, decisions. Shapes: docs/control-api.md.

const KINDS = ["lightrag", "perplexity", "openai", "anthropic"];
const before = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();

// `rename` makes other ids, `words` is the text wherever somebody may write one.
export function fleet({ size = 4, rename = (id) => id, words = "planned maintenance" } = {}) {
  const begun = Date.now();
  const each = Array.from({ length: size }, (_, n) => ({
    n,
    kind: KINDS[n % 4],
    id: rename(`${KINDS[n % 4]}_${n}`),
    isOpen: n % 4 === 3,
  }));
  const status = ({ n, isOpen }) => (isOpen ? "unhealthy" : n % 4 === 2 ? "degraded" : "healthy");
  const breaker = ({ isOpen }) =>
    isOpen
      ? {
          status: "open",
          reason: "consecutive_failures",
          since: before(40),
          retry_at: before(-40),
          failure_count: 5,
          openings: 2,
        }
      : { status: "closed", reason: "none", since: null, retry_at: null, failure_count: 0, openings: 0 };
  const drained = each.map(({ n }) =>
    n % 4 === 1 ? { reason: words, since: before(300), by: "192.0.2.7:4711" } : null,
  );

  const candidate = (backend) => ({
    id: backend.id,
    cluster: backend.id,
    eligible: !backend.isOpen,
    place: backend.n < 3 ? backend.n + 1 : null,
    estimate: { input_tokens: 812, output_tokens: 244, cost_micro_usd: 4100, cost_usd: 0.0041 },
    response_time_ms: 412.2,
    quality_score: 0.9,
    health_score: 0.98,
    in_flight: { requests: backend.n, tokens: 0 },
    quota_headroom: backend.n % 2 ? null : 0.72,
    circuit_breaker: { status: breaker(backend).status },
    ...(backend.isOpen
      ? { excluded: { by: "circuit_breaker", reason: words, retry_at: before(-40) } }
      : { probe: false, part: 1, score: 0.8, score_terms: { cost: 0.42, quality: 0.38 } }),
  });

  const answers = {
    health: () => ({
      health_status: Object.fromEntries(
        KINDS.map((kind) => [
          kind,
          Object.fromEntries(
            each
              .filter((backend) => backend.kind === kind)
              .map((backend) => [
                backend.id,
                {
                  status: status(backend),
                  score: 1,
                  components: { reranker: "unhealthy" },
                  hosts: { total: 3, healthy: 2 },
                  breaker: breaker(backend),
                },
              ]),
          ),
        ]),
      ),
      overall_health: "degraded",
      refused_configuration: {
        refused_at: before(60),
        errors: [`backend_instances.a.weight: ${words}`, "retyr: unknown key"],
      },
      configuration_warnings: [
        {
          kind: "route_ignores_decision",
          message: `cluster ${words} was decided, and cluster b answered`,
          cure: words,
          count: 12,
          first_seen: before(90),
          last_seen: before(3),
        },
      ],
      total_backends: size,
      healthy_backends: size - 2,
      degraded_backends: 1,
      unhealthy_backends: 1,
      queue: { size: 200, depth: 3, oldest_wait_ms: 120 },
    }),
    strategy: () => ({
      strategy: "round_robin",
      configured: "weighted",
      source: "operator",
      available: ["round_robin", "weighted", "cost_optimized"],
    }),
    backends: () => ({
      backends: each.map((backend) => ({
        id: backend.id,
        backend_type: backend.kind,
        cluster: `cluster_of_${backend.id}`,
        priority: 0,
        weight: 1,
        quality_score: 0.9,
        default: backend.n === 0,
        status: status(backend),
        health_score: 0.7,
        response_time_ms: 300,
        source: backend.n ? "configuration" : "discovery",
        in_flight: { requests: backend.n, tokens: 100 * backend.n },
        quota_headroom: backend.n % 2 ? null : 0.72,
        quota_refused_until: null,
        circuit_breaker: backend.n % 5 === 4 ? null : breaker(backend),
        draining: drained[backend.n],
      })),
    }),
    metrics: () => ({
      routing_metrics: {
        total_requests: 15420,
        successful_requests: 15285,
        failed_requests: 135,
        success_rate: 99.12,
        avg_response_time_ms: 45.3,
      },
      load_balancing: { strategy: "round_robin", backend_distribution: {} },
      failover_events: { total_failovers: 3 },
      refusals: { rate_limited: 3, no_backend_available: 1 },
      backends: Object.fromEntries(
        each.map(({ id, n }) => [
          id,
          {
            requests: 1000 * n + Math.round(((Date.now() - begun) / 1000) * 10 * n),
            successes: 990 * n,
            failures: 10 * n,
            share: (2 * n) / (size * (size - 1)),
            response_time_ms: { mean: 300, p50: 280.4 + n, p95: 1812.5 + n },
            time_to_first_token_ms: { p50: 88, p95: 210 },
            tokens: { input: 812_000, cached_input: 200_000, output: 122_000 },
            cost_usd: 1.25 * n,
            failovers: n,
            in_flight: n,
            error_rate: n / 1000,
          },
        ]),
      ),
    }),
    alerts: () => ({
      active: [
        {
          alert_id: "a1",
          alert_name: "circuit_breaker_opened",
          severity: "critical",
          backend_id: each[3].id,
          message: words,
          value: 5,
          threshold: 5,
          raised_at: before(40),
          cleared_at: null,
        },
        {
          alert_id: "a2",
          alert_name: "low_availability",
          severity: "warning",
          backend_id: null,
          message: words,
          value: 0.4,
          threshold: 0.5,
          raised_at: before(40),
          cleared_at: null,
        },
      ],
      recent: [
        {
          alert_id: "a0",
          alert_name: "high_response_time",
          severity: "warning",
          backend_id: each[0].id,
          message: words,
          value: 6100,
          threshold: 5000,
          raised_at: before(4000),
          cleared_at: before(3000),
        },
      ],
    }),
    analytics: () => ({
      backends: Object.fromEntries(
        each.map(({ id, n }) => [
          id,
          {
            usage_audit: [
              { model: null, ratio: 1, usual_ratio: null, drifting_since: null },
              { model: words, ratio: 1.65 - n / 10, usual_ratio: 1.12, drifting_since: n ? null : before(40) },
            ],
          },
        ]),
      ),
    }),
    budget: () => ({
      alert_thresholds: [0.5, 0.9, 1],
      efficiency: {
        tracking_window_hours: 24,
        spent_usd: 12.5,
        spent_well_usd: 9.5,
        efficiency: 0.76,
        target_efficiency: 0.8,
      },
      overall: { hour: { spent_usd: 3.21, limit_usd: 5, used: 0.642 }, day: { spent_usd: 12.5, limit_usd: null, used: null } },
      backends: [{ id: "openai_2", hour: { spent_usd: 1, limit_usd: null }, day: { spent_usd: 4, limit_usd: 8, used: 0.5 } }],
      tenants: [],
    }),
    decisions: () => ({
      skipped: 0,
      // One a second, each in turn; what backend 2 is asked, backend 3 answers.
      decisions: Array.from({ length: 12 }, (_, n) => [n, 100 + Math.floor((Date.now() - begun) / 1000) - n]).map(
        ([n, turn]) => ({
          decision_id: `d${turn}`,
          time: before(n),
          request_id: words,
          strategy: "cost_optimized",
          ranked_by: "lowest_score",
          api: "chat_completions",
          backend: each[turn % size].id,
          attempts: each.slice(0, 3).map(({ id }) => id),
          estimated_input_tokens: 812,
          outcome:
            n === 0
              ? null
              : turn % size === 2
                ? { status: 200, response_time_ms: 412.3, attempts_made: 2, answered_by: each[3].id, ending: "success" }
                : {
                    status: turn % size === 3 ? 503 : 200,
                    response_time_ms: 412.3,
                    attempts_made: 1,
                    answered_by: each[turn % size].id,
                    ending: turn % size === 3 ? "server_error" : "success",
                  },
          backends: each.map(candidate),
        }),
      ),
    }),
  };

  // A change is answered as the router would; what was sent is kept.
  const sent = [];
  const change = (request) => {
    sent.push({ method: request.method(), path: new URL(request.url()).pathname, body: request.postDataJSON() });
    const [, n, action] = /backends\/[^/]*?(\d+)\/(drain|undrain)$/.exec(new URL(request.url()).pathname) ?? [];
    if (n)
      drained[n] =
        action === "drain" ? { reason: request.postDataJSON().reason, since: before(0), by: "192.0.2.7:4711" } : null;
    return { change: { holds: "until it is changed again" } };
  };

  return {
    each,
    sent,
    answers,
    serve: (page) =>
      page.route("**/api/v1/router/**", async (route) => {
        const request = route.request();
        const name = new URL(request.url()).pathname.split("/").pop();
        // The page may be gone by then.
        await route.fulfill({ json: request.method() === "GET" ? answers[name]() : change(request) }).catch(() => {});
      }),
  };
}
