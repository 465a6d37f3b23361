#!/usr/bin/env python3
"""Real Prometheus and Alertmanager before the router that scripts/run.sh --with started: what they scrape is what
docs/metrics.md says, and a backend that dies and comes back is an alert and its end, by webhook and by email.

    monitoring.py TOOLS        a directory with prometheus, promtool, prometheus-alertmanager and amtool; with
                               LLM_ROUTER_URL, LLM_ROUTER_CONTROL_URL, LLM_ROUTER_ADMIN_URL and LLM_ROUTER_SIMULATOR_URL set

They run the files of envoy/prometheus and envoy/alertmanager; only addresses, paths and intervals are replaced. Prints a
line per check and `N passed, M failed`; exits 0 if none failed. All ports are free ones of 127.0.0.1, every wait has a
limit, and what was started is ended by its id, whatever happens.
"""

import email
import email.policy
import http.server
import json
import logging
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Generous: the machine may be slow, and busy with other tests. What is well takes a tenth of it.
LIMIT = 90
VICTIM = "openai_primary"
SMTP_USER, SMTP_PASSWORD, WEBHOOK_TOKEN = "llm-router@example.com", "secret of the mail server", "secret of the webhook"

# Documented, and not made by this traffic: whoever documents another metric adds to the traffic, or to this.
UNSEEN = {
    "loadbalancer_internal_errors_total",  # nothing goes wrong inside the router
    "loadbalancer_circuit_breaker_transitions_total",  # comes with the breaker that opens
    "loadbalancer_alert_deliveries_total",  # the router's own webhook is not configured
    "loadbalancer_queue_depth",  # nor a queue
    "loadbalancer_queue_wait_ms",
    "loadbalancer_budget_spent_micro_usd",  # nor a budget
    "loadbalancer_backend_spent_micro_usd",
    "loadbalancer_tenant_spent_micro_usd",
    "loadbalancer_usage_estimated_total",
    # One request in fifty, by chance.
    "loadbalancer_explorations_total",
}


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def until(what, condition):
    """Asks again and again until the answer is something; returns it."""
    deadline = time.monotonic() + LIMIT
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not within {LIMIT} s: {what}; last: {str(last)[:2000]}")


def call(url, body=None, method=None):
    """The status and the body of an answer, whatever its status."""
    headers = {"content-type": "application/json"}
    if token := os.environ.get("LLM_ROUTER_CONTROL_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def succeeds(url, body=None, method=None):
    status, answer = call(url, body, method)
    check(status == 200, f"{url}: {status} {answer[:300]}")
    return json.loads(answer)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def adapted(path, replacements):
    """The shipped file with these replacements, each of which is really in it that often."""
    text = (ROOT / path).read_text()
    for pattern, (times, new) in replacements.items():
        text, found = re.subn(pattern, lambda _: new, text, flags=re.MULTILINE)
        check(found == times, f"{path}: {pattern} is there {found} times, not {times}")
    return text


class Inbox:
    """A mail server with STARTTLS and a password."""

    def __init__(self, certificate, key):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self.mails = []
        self.controller = Controller(
            self, hostname="127.0.0.1", port=free_port(), tls_context=tls, require_starttls=True,
            auth_required=True, authenticator=self.authenticate,
            # Its words for LOGIN are not those that Alertmanager waits for; PLAIN it is.
            auth_exclude_mechanism=["LOGIN"],
        )
        self.port = self.controller.port

    @staticmethod
    def authenticate(_server, _session, _envelope, _mechanism, data):
        right = (data.login, data.password) == (SMTP_USER.encode(), SMTP_PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 taken"

    def about(self, subject):
        return [mail for _, mail in self.mails if subject in mail["subject"]]


class Webhook(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it."""

    daemon_threads = True

    def __init__(self):
        posts = self.posts = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                posts.append((self.headers["authorization"], body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def alerts(self, name, status):
        """What was told of this alert in this state."""
        posts = [body for _, body in self.posts]
        alerts = [alert for body in posts for alert in body["alerts"]]
        return [a for a in alerts if a["labels"]["alertname"] == name and a["status"] == status]


class Stack:
    """Prometheus and Alertmanager with the shipped configuration."""

    def __init__(self, tools, directory):
        self.tools, self.directory = pathlib.Path(tools), pathlib.Path(directory)
        self.processes = []
        self.router = os.environ["LLM_ROUTER_URL"]
        self.control = os.environ["LLM_ROUTER_CONTROL_URL"] + "/api/v1/router"
        self.simulator = os.environ["LLM_ROUTER_SIMULATOR_URL"]
        self.admin = urllib.parse.urlsplit(os.environ["LLM_ROUTER_ADMIN_URL"]).netloc
        self.prometheus = f"http://127.0.0.1:{free_port()}"
        self.alertmanager = f"http://127.0.0.1:{free_port()}"
        self.webhook = Webhook()

    def start(self):
        certificate, key = self.directory / "certificate.pem", self.directory / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True, timeout=60,
        )
        self.inbox = Inbox(certificate, key)
        self.inbox.controller.start()
        threading.Thread(target=self.webhook.serve_forever, daemon=True).start()
        self.configure()
        self.run("prometheus-alertmanager", f"--config.file={self.directory}/alertmanager.yml", "--cluster.listen-address=",
                 f"--storage.path={self.directory}/alertmanager", f"--web.listen-address={self.alertmanager[7:]}",
                 environment={"SSL_CERT_FILE": str(certificate)})
        self.run("prometheus", f"--config.file={self.directory}/prometheus.yml", "--rules.alert.resend-delay=1s",
                 f"--storage.tsdb.path={self.directory}/prometheus", f"--web.listen-address={self.prometheus[7:]}")
        for url in (self.prometheus, self.alertmanager):
            until(f"{url} is ready", lambda url=url: call(f"{url}/-/ready")[0] == 200)

    def configure(self):
        secrets = self.directory / "secrets"
        secrets.mkdir()
        # As docs/operations.md says: an older Alertmanager takes a newline for a part of the password.
        (secrets / "smtp_password").write_text(SMTP_PASSWORD)
        (secrets / "webhook_token").write_text(WEBHOOK_TOKEN + "\n")
        self.write("alertmanager.yml", adapted("envoy/alertmanager/alertmanager.yml", {
            r"smtp\.example\.com:587": (1, f"127.0.0.1:{self.inbox.port}"),
            r"/etc/alertmanager/secrets/": (2, f"{secrets}/"),
            r"https://alerts\.example\.com/llm-router": (1, f"http://127.0.0.1:{self.webhook.server_port}/"),
            r"group_wait: 10s": (1, "group_wait: 1s"),
            r"group_interval: 1m": (1, "group_interval: 1s"),
        }))
        self.write("prometheus.yml", adapted("envoy/prometheus/prometheus.yml", {
            r"_interval: 15s": (2, "_interval: 1s"),
            r"scrape_timeout: 10s": (1, "scrape_timeout: 1s"),
            r"alertmanager:9093": (1, self.alertmanager[7:]),
            r"envoy:9901": (1, self.admin),
        }))
        rules = (ROOT / "envoy/prometheus/alerts.yml").read_text()
        self.write("alerts.yml", adapted("envoy/prometheus/alerts.yml", {
            r"^    for: \d+[ms]$": (len(re.findall(r"^    for: \d+[ms]$", rules, re.MULTILINE)), "    for: 1s"),
            r"^    keep_firing_for: 1m$": (1, "    keep_firing_for: 1s"),
        }))

    def write(self, name, text):
        (self.directory / name).write_text(text)

    def run(self, tool, *arguments, environment=None):
        log = open(self.directory / f"{tool}.log", "wb")
        self.processes.append(subprocess.Popen(
            [self.tools / tool, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            cwd=self.directory, env={**os.environ, **(environment or {})},
        ))
        log.close()

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.webhook.shutdown()
        self.inbox.controller.stop()

    # What the checks do.

    def query(self, expression):
        answer = succeeds(f"{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return answer["data"]["result"]

    def value(self, expression):
        result = self.query(expression)
        return float(result[0]["value"][1]) if len(result) == 1 else None

    def ask(self, path="/v1/chat/completions", **more):
        body = {"model": "sim-1", "messages": [{"role": "user", "content": "Which biomarkers point to it?"}], **more}
        return call(self.router + path, body)[0]

    def simulate(self, action, **order):
        succeeds(f"{self.simulator}/__sim/{action}", {"backend": VICTIM, **order})


def documented():
    """Each metric of docs/metrics.md with its labels."""
    rows = re.findall(r"^\| `(loadbalancer_\w+)(?:\{([\w,]+)\})?` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    check(len(rows) > 10, "docs/metrics.md has no table of metrics")
    return {name: frozenset(labels.split(",")) - {""} for name, labels in rows}


def scraped(stack):
    """Each metric that Prometheus has of the router with its labels, histograms by their own name."""
    metrics = {}
    for series in succeeds(f"{stack.prometheus}/api/v1/series?" + urllib.parse.urlencode({"match[]": '{__name__=~"loadbalancer_.+"}'}))["data"]:
        name = series.pop("__name__")
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        metrics.setdefault(base if "le" in series or base != name else name, set()).add(frozenset(series) - {"le", "job", "instance"})
    return metrics


def all_backends_speak_one_api(stack):
    """So that one can take the place of another: the simulated ones do (LLM_ROUTER_SIMULATED_AS=proxy)."""
    for backend in succeeds(f"{stack.control}/backends")["backends"]:
        keys = ["backend_type", "quality_score", "input_cost_per_1k_tokens", "output_cost_per_1k_tokens"]
        change = {key: backend[key] for key in keys} | {"apis": ["openai"]}
        change["circuit_breaker"] = {"failure_threshold": 3, "recovery_timeout_seconds": 30}
        change["health_check"] = {"path": "/health", "interval_seconds": 10, "timeout_seconds": 5}
        succeeds(f"{stack.control}/backends/{backend['id']}", change, "PUT")
    until("a worker knows", lambda: stack.ask() == 200)


def prometheus_has_every_metric_with_its_labels(stack):
    succeeds(f"{stack.control}/strategy", {"strategy": "round_robin"}, "PUT")
    # What announces a quota, and what makes a stream long enough to be timed.
    quota = [["x-ratelimit-limit-requests", "1000"], ["x-ratelimit-remaining-requests", "900"], ["x-ratelimit-reset-requests", "1h"]]
    stack.simulate("behaviour", behaviour={"headers": quota, "cached_tokens": 2, "inter_token_ms": 5})
    for _ in range(8):
        check(stack.ask() == 200, "a request was not answered")
        check(stack.ask(stream=True, stream_options={"include_usage": True}) == 200, "a stream was not answered")
    stack.simulate("behaviour", behaviour={"status": 500}, prompts=1)
    for _ in range(4):
        check(stack.ask() == 200, "a request was not answered by another backend")
    try:
        status = stack.ask(padding="x" * (4 << 20))
    except OSError:
        status = 413  # the connection went while it was still sending; the counter will tell
    check(status == 413, f"a body that is too large was answered {status}")

    want = documented()

    def all_there():
        have = scraped(stack)
        wrong = {name: have.get(name) for name, labels in want.items() if (name in have or name not in UNSEEN) and have.get(name) != {labels}}
        if not wrong:
            return have
        all_there.wrong = wrong

    try:
        have = until("all metrics are there", all_there)
    except AssertionError as error:
        raise AssertionError(f"{error}; not as documented: {all_there.wrong}") from None
    check(not set(have) - set(want), f"undocumented: {set(have) - set(want)}")
    check(not stack.query("loadbalancer_internal_errors_total > 0"), "errors inside the router")


def gauges_of_well_backends_say_so(stack):
    check(stack.value(f'loadbalancer_circuit_breaker_state{{backend_id="{VICTIM}"}}') == 0, "the breaker is not closed")
    until("traffic is counted", lambda: stack.value("sum(loadbalancer_requests_total)") >= 20)
    firing = [alert["labels"]["alertname"] for alert in succeeds(f"{stack.prometheus}/api/v1/alerts")["data"]["alerts"]]
    check("CircuitBreakerOpen" not in firing and "LowAvailability" not in firing, f"firing: {firing}")


def open_breaker(stack):
    status = stack.ask()
    check(status == 200, f"{status}, although others are well")
    return stack.value(f'loadbalancer_circuit_breaker_state{{backend_id="{VICTIM}"}}') == 2


def a_dead_backend_is_an_alert_by_webhook_and_by_email(stack):
    stack.simulate("kill")
    until("the breaker opens, and Prometheus sees it", lambda: open_breaker(stack))
    name = "CircuitBreakerOpen"
    alert = until("the webhook hears of it", lambda: stack.webhook.alerts(name, "firing"))[0]
    labels = alert["labels"]
    check((labels["backend_id"], labels["severity"], labels["job"]) == (VICTIM, "warning", "llm-router"), str(labels))
    check(VICTIM in alert["annotations"]["summary"] and "docs/operations.md#circuitbreakeropen" in alert["annotations"]["runbook_url"],
          str(alert["annotations"]))
    check({authorization for authorization, _ in stack.webhook.posts} == {f"Bearer {WEBHOOK_TOKEN}"}, "the token was not sent")
    mail = until("the email comes", lambda: stack.inbox.about(f"[firing:1] {name}"))[0]
    check(mail["to"] == "oncall@example.com" and mail["from"] == "llm-router@example.com", f"{mail['from']} to {mail['to']}")
    check(VICTIM in mail.get_body(("html",)).get_content(), "the email does not name the backend")
    transitions = "loadbalancer_circuit_breaker_transitions_total"
    check(scraped(stack)[transitions] == {documented()[transitions]}, "a transition has other labels")


def every_query_of_the_dashboard_has_something_to_show(stack):
    dashboard = json.loads((ROOT / "envoy/grafana/llm-router.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    check(len(queries) > 30, f"only {len(queries)} queries")
    have = set(scraped(stack)) - {"loadbalancer_internal_errors_total"}

    def shows(query):
        for variable, value in {"$instance": ".*", "$backend": ".*", "$__rate_interval": "1m"}.items():
            query = query.replace(variable, value)
        found = stack.query(query)
        names = {re.sub(r"_bucket$", "", name) for name in re.findall(r"loadbalancer_\w+", query)}
        if "llm_router:spent_usd" in query:
            names.add("loadbalancer_request_cost_micro_usd_total")
        # Clients saw no failure yet.
        return found or not names <= have or 'status="failure"' in query

    def all_show():
        all_show.empty = [query for query in queries if not shows(query)]
        return not all_show.empty

    try:
        until("all queries have data", all_show)
    except AssertionError as error:
        raise AssertionError(f"{error}; without: {all_show.empty}") from None


def one_that_is_back_is_the_end_of_the_alert(stack):
    stack.simulate("restart")
    stack.simulate("behaviour", behaviour={})
    succeeds(f"{stack.control}/circuit-breaker/{VICTIM}/close", {}, "POST")
    until("the webhook hears of the end", lambda: stack.webhook.alerts("CircuitBreakerOpen", "resolved"))
    until("so does the inbox", lambda: stack.inbox.about("[resolved] CircuitBreakerOpen"))
    check(stack.ask() == 200, "a request was not answered")


def when_most_are_dead_that_is_the_alert_and_not_each_of_them(stack):
    backends = [series["metric"]["backend_id"] for series in stack.query("loadbalancer_in_flight")]
    for backend in backends:
        stack.simulate("kill", backend=backend)
    # A refusal, an attempt that failed: some answer, in any case.
    until("availability is low", lambda: stack.ask() and stack.webhook.alerts("LowAvailability", "firing"))

    def muted():
        alerts = succeeds(f"{stack.alertmanager}/api/v2/alerts?" + urllib.parse.urlencode({"filter": "alertname=CircuitBreakerOpen"}))
        return alerts if alerts and all(alert["status"]["inhibitedBy"] for alert in alerts) else None

    until("the single breakers are muted", muted)


def main():
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    # As on Ctrl-C: whatever was started ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = [all_backends_speak_one_api, prometheus_has_every_metric_with_its_labels, gauges_of_well_backends_say_so,
              a_dead_backend_is_an_alert_by_webhook_and_by_email, every_query_of_the_dashboard_has_something_to_show,
              one_that_is_back_is_the_end_of_the_alert,
              when_most_are_dead_that_is_the_alert_and_not_each_of_them]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(sys.argv[1], directory)
        try:
            for one in [Stack.start, *checks]:
                begun = time.monotonic()
                try:
                    one(stack)
                    passed += 1
                    print(f"ok     {one.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
                except Exception as error:  # noqa: BLE001   the others are still worth knowing
                    failed += 1
                    print(f"FAILED {one.__name__}: {error}", flush=True)
                    if one is Stack.start:
                        break
        finally:
            stack.stop()
            if failed:
                for log in sorted(pathlib.Path(directory).glob("*.log")):
                    print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
