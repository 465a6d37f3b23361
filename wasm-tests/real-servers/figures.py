"""What the router says of itself, and the sums that it is held against."""

import re
import time
from dataclasses import dataclass, field
from decimal import Decimal

from servers import ask, wait_for
from table import equal

# USD for 1000 tokens, as in envoy.yaml: of the prompt, of what of it was cached, of the answer.
PRICES = {
    "litellm": (Decimal("0.00015"), Decimal("0.000075"), Decimal("0.0006")),
    "openai_strict": (Decimal("0.002"), Decimal("0.001"), Decimal("0.008")),
    "anthropic_strict": (Decimal("0.003"), Decimal("0.0003"), Decimal("0.015")),
}
BACKENDS = ("lightrag_open", "lightrag_keyed", *PRICES)
WORKERS = 2


@dataclass(frozen=True)
class Usage:
    """As the router counts: cached tokens are among those of the prompt."""

    input: int
    cached: int
    output: int

    def cost(self, backend):
        """In millionths of a dollar, exactly."""
        prompt, cached, output = PRICES[backend]
        return 1000 * ((self.input - self.cached) * prompt + self.cached * cached + self.output * output)


@dataclass
class Exchange:
    """A request that went through the router."""

    what: str
    backend: str
    request_id: str
    usage: Usage | None
    refused: bool
    headers: dict = field(repr=False, default_factory=dict)


class Router:
    def __init__(self, router, control, admin):
        self.url, self.control, self.admin = router, control, admin

    def get(self, what):
        answer = ask("GET", f"{self.control}/api/v1/router/{what}", timeout=10)
        equal(answer.status, 200, f"GET {what}")
        return answer.json()

    def health(self):
        """By id."""
        return {name: one for kind in self.get("health")["health_status"].values() for name, one in kind.items()}

    def only(self, *ids):
        """Drains all other backends; returns once every worker knows."""
        for name in BACKENDS:
            action = "undrain" if name in ids else "drain"
            answer = ask("POST", f"{self.control}/api/v1/router/backends/{name}/{action}", {}, timeout=10)
            equal(answer.status, 200, f"{action} {name}")
        wanted = set(BACKENDS) - set(ids)
        # Each connection reaches a worker at random: so many in a row reach both.
        if not wait_for(lambda: all(self.drained() == wanted for _ in range(16)), 10):
            raise AssertionError(f"drained are {self.drained()}, not {wanted}")

    def drained(self):
        return {one["id"] for one in self.get("backends")["backends"] if one["draining"]}

    def counters(self):
        """The router's counters in Envoy, by name and labels."""
        text = ask("GET", f"{self.admin}/stats/prometheus?filter=loadbalancer", timeout=10).body.decode()
        found = re.findall(r"^(?:\w*_)?loadbalancer_(\w+)\{([^}]*)\} (\d+)$", text, re.MULTILINE)
        return {(name, tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels)))): int(value) for name, labels, value in found}

    def totals(self):
        """Of each backend: tokens of each kind, cost, answers by their end, answers paid for by estimate."""
        totals = {name: {} for name in BACKENDS}
        for (name, labels), value in self.counters().items():
            labels = dict(labels)
            if labels.get("backend_id") not in totals:
                continue
            one = totals[labels["backend_id"]]
            if name == "tokens_total":
                one[labels["kind"]] = value
            elif name == "request_cost_micro_usd_total":
                one["cost"] = value
            elif name == "usage_estimated_total":
                one["estimated"] = value
            elif name == "requests_total":
                one[labels["status"]] = one.get(labels["status"], 0) + value
        return totals

    def spent(self):
        """Of this day, in millionths of a dollar."""
        return round(Decimal(str(self.get("budget")["overall"]["day"]["spent_usd"])) * 1_000_000)


class Meter:
    """Adds up what the answers say, and compares it with what the router counted in the same time."""

    def __init__(self, router):
        self.router = router
        self.exchanges = []
        self.decisions = {}
        self.before = router.totals()
        self.spent_before = router.spent()
        self.day = time.gmtime().tm_yday

    def add(self, what, headers, usage, refused=False):
        one = Exchange(what, headers.get("x-llm-backend", ""), headers.get("x-request-id", ""), usage, refused, headers)
        self.exchanges.append(one)
        return one

    def note(self, what, headers, usage, refused=False):
        """With the router's decision, while it is still known."""
        one = self.add(what, headers, usage, refused)
        self.take_decisions()
        return one

    def take_decisions(self):
        for one in self.router.get("decisions?limit=200")["decisions"]:
            if one["outcome"]:
                self.decisions[one["request_id"]] = one

    def of(self, backend):
        return [one.usage for one in self.exchanges if one.backend == backend and one.usage]

    def sums(self, backend):
        usages = self.of(backend)
        return {kind: sum(getattr(usage, kind) for usage in usages) for kind in ("input", "cached", "output")}

    def counted(self, backend):
        after, before = self.router.totals()[backend], self.before[backend]
        delta = {key: value - before.get(key, 0) for key, value in after.items()}
        return {
            "input": delta.get("input", 0),
            "cached": delta.get("cached_input", 0),
            "output": delta.get("output", 0),
            "cost": delta.get("cost", 0),
            "estimated": delta.get("estimated", 0),
            "success": delta.get("success", 0),
            # A wrong key or model may be the backend's as well as the client's; the router counts such answers apart.
            "client_error": delta.get("client_error", 0) + delta.get("misconfigured", 0),
            "failure": delta.get("failure", 0),
            "client_abort": delta.get("client_abort", 0),
        }

    def compare_tokens(self, backend):
        sums = self.sums(backend)

        def same():
            counted = self.counted(backend)
            return all(counted[kind] == sums[kind] for kind in sums)

        wait_for(same, 5)
        counted = self.counted(backend)
        equal({kind: counted[kind] for kind in sums}, sums, "tokens")
        equal(counted["estimated"], 0, "answers that were paid for by estimate")
        return f"{len(self.of(backend))} answers: {sums['input']} of prompts ({sums['cached']} cached), {sums['output']} of answers"

    def compare_ends(self, backend):
        """Every request is counted once, as what became of it: the client left none of these."""
        refused = sum(one.refused for one in self.exchanges if one.backend == backend)
        answered = sum(one.backend == backend for one in self.exchanges) - refused
        wanted = {"success": answered, "client_error": refused, "failure": 0, "client_abort": 0}

        def counted():
            return {end: count for end, count in self.counted(backend).items() if end in wanted}

        wait_for(lambda: sum(counted().values()) >= answered + refused, 5)
        equal(counted(), wanted, "requests by their end")
        return f"{answered} answered, {refused} refused"

    def compare_cost(self, backend):
        """Each worker keeps what is below a millionth for its next answer: there may be some of before, and some left."""
        exact = sum(usage.cost(backend) for usage in self.of(backend))
        counted = self.counted(backend)["cost"]
        if abs(counted - exact) >= WORKERS:
            raise AssertionError(f"{counted} millionths of a dollar, not {exact}")
        return f"{counted} of {exact.normalize():f} millionths of a dollar"

    def compare_decisions(self, backend):
        """One by one, by the request's id."""

        def known():
            self.take_decisions()
            return all(one.request_id in self.decisions for one in self.exchanges)

        wait_for(known, 2)
        compared = 0
        for one in self.exchanges:
            decision = self.decisions.get(one.request_id)
            if decision is None or one.usage is None or one.backend != backend:
                continue
            outcome = decision["outcome"]
            equal(outcome["answered_by"], backend, f"{one.what}: answered_by")
            got = (outcome["input_tokens"], outcome["output_tokens"])
            equal(got, (one.usage.input, one.usage.output), f"{one.what}: tokens of the decision")
            cost = Decimal(str(outcome["cost_usd"])) * 1_000_000
            if abs(cost - one.usage.cost(backend)) > 1:
                raise AssertionError(f"{one.what}: cost {cost}, not {one.usage.cost(backend)} millionths")
            compared += 1
        # Not every decision is taken down where many come at once; here they come one by one.
        equal(compared, len(self.of(backend)), "decisions found")
        return f"{compared} decisions"

    def compare_spent(self):
        """What the day's account grew by is what was paid."""
        if time.gmtime().tm_yday != self.day:
            return "not compared: the day ended meanwhile"
        paid = sum(self.counted(backend)["cost"] for backend in BACKENDS)
        wait_for(lambda: abs(self.router.spent() - self.spent_before - paid) <= WORKERS * len(BACKENDS), 5)
        spent = self.router.spent() - self.spent_before
        if abs(spent - paid) > WORKERS * len(BACKENDS):
            raise AssertionError(f"the day's account grew by {spent}, paid were {paid} millionths of a dollar")
        return f"{spent} millionths of a dollar"

    def estimate_error(self, backend):
        """How far estimates of prompts were from what was reported, in per cent of that."""
        errors = []
        for one in self.exchanges:
            decision = self.decisions.get(one.request_id)
            if decision and one.usage and one.usage.input and one.backend == backend:
                errors.append((100 * abs(decision["estimated_input_tokens"] - one.usage.input) / one.usage.input, one.what))
        if not errors:
            return "no estimate known"
        errors.sort()
        worst = ", ".join(f"{error:.0f} % ({what})" for error, what in errors[-3:])
        return f"{len(errors)} prompts: median {errors[len(errors) // 2][0]:.0f} %, the largest {worst}"
