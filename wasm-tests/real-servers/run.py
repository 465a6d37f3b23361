"""Real servers behind the router: starts them, asks them by their official clients, and compares.

scripts/real-servers.sh runs it, and has prepared what it is given. Exits 0 if every check passed.
"""

import argparse
import pathlib
import signal
import sys

import anthropic_checks
import failover_checks
import openai_checks
import rag_checks
from clients import anthropic_client, openai_client
from figures import BACKENDS, PRICES, Meter, Router, Usage
from rag_checks import Rag
from servers import Process, ask, wait_for
from table import Table, equal, true

HERE = pathlib.Path(__file__).parent
KEY = "sk-real-servers"
# What the simulated providers know.
STRICT = {
    "openai_strict": {"models": [openai_checks.CHAT, openai_checks.COMPLETION, openai_checks.EMBEDDING], "replies": rag_checks.REPLIES},
    "anthropic_strict": {"models": [anthropic_checks.MODEL]},
}
DIMENSIONS = 64


class Simulator:
    """The simulated providers, by their control endpoint."""

    def __init__(self, url):
        self.url = url

    def say(self, backend, **behaviour):
        """From now on."""
        standing = {"key": KEY, "context_tokens": 20000, "prompt_tokens": "o200k", **STRICT[backend], **behaviour}
        answer = ask("POST", f"{self.url}/__sim/behaviour", {"backend": backend, "behaviour": standing})
        equal(answer.status, 200, "behaviour")


def processes(options, ports):
    """Each with its URL, in the order in which they start."""

    def url(name):
        return f"http://127.0.0.1:{ports[name]}"

    work = options.work
    litellm_yaml = (HERE / "litellm.yaml").read_text()
    for provider in ("openai", "anthropic"):
        litellm_yaml = litellm_yaml.replace(f"<{provider}>", str(ports[f"{provider}_strict"]))
    envoy_yaml = (HERE / "envoy.yaml").read_text().replace("<module>", str(options.module))
    for name, port in ports.items():
        envoy_yaml = envoy_yaml.replace(f"<{name}>", str(port))
    pathlib.Path(work, "litellm.yaml").write_text(litellm_yaml)
    pathlib.Path(work, "envoy.yaml").write_text(envoy_yaml)

    providers = Process(
        "providers",
        [options.simulator, "--control-port", ports["simulator"]]
        + ["--backend", f"name=openai_strict,type=openai,port={ports['openai_strict']}"]
        + ["--backend", f"name=anthropic_strict,type=anthropic,port={ports['anthropic_strict']}"],
        work,
        f"{url('simulator')}/__sim/counters",
    )
    # LiteLLM's wheel brings the vocabularies that LightRAG would otherwise fetch from the network.
    vocabularies = next(options.litellm.glob("lib/python3*/site-packages/litellm/litellm_core_utils/tokenizers"))
    rags = []
    for name, key in (("lightrag_open", None), ("lightrag_keyed", rag_checks.KEY)):
        home = pathlib.Path(work, name)
        environment = {
            "HOST": "127.0.0.1",
            "PORT": str(ports[name]),
            "WORKING_DIR": str(home / "rag"),
            "INPUT_DIR": str(home / "inputs"),
            "LOG_DIR": str(home),
            "TIKTOKEN_CACHE_DIR": str(vocabularies),
            "EMBEDDING_DIM": str(DIMENSIONS),
            "EMBEDDING_SEND_DIM": "true",
            "LLM_MODEL": openai_checks.CHAT,
            "EMBEDDING_MODEL": openai_checks.EMBEDDING,
        }
        for kind in ("LLM", "EMBEDDING"):
            environment[f"{kind}_BINDING"] = "openai"
            environment[f"{kind}_BINDING_HOST"] = f"{url('openai_strict')}/v1"
            environment[f"{kind}_BINDING_API_KEY"] = KEY
        if key:
            environment["LIGHTRAG_API_KEY"] = key
        argv = [options.lightrag / "bin/python", options.lightrag / "bin/lightrag-server"]
        rags.append(Process(name, argv, work, f"{url(name)}/health", environment))
    litellm = Process(
        "litellm",
        [options.litellm / "bin/python", options.litellm / "bin/litellm", "--config", work / "litellm.yaml"]
        + ["--host", "127.0.0.1", "--port", ports["litellm"]],
        work,
        f"{url('litellm')}/health/liveliness",
        # It would otherwise fetch its prices from the network.
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    envoy = Process(
        "envoy",
        [options.envoy, "-c", work / "envoy.yaml", "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]
        + ["--component-log-level", "wasm:info"],
        work,
        f"{url('admin')}/ready",
    )
    return providers, *rags, litellm, envoy


def compare_figures(table, meter, backend):
    table.section(f"figures of {backend}")
    for name, compare in [
        ("tokens: the router's counters are the usage of the answers, added up", meter.compare_tokens),
        ("ends: every request counts once, as what became of it", meter.compare_ends),
        ("cost: the router's counter is the price of that usage", meter.compare_cost),
        ("decisions: tokens and cost of each, by the request's id", meter.compare_decisions),
    ]:
        with table.check(name) as note:
            note(compare(backend))
    table.found(f"error of the router's estimates, {backend}", meter.estimate_error(backend))


def cached(table, meter, simulator, backend, provider, client, heard):
    """Half of the prompt comes from the provider's cache, and is paid for at that price."""
    simulator.say(provider, cached_tokens=12)
    with table.check("a prompt of which a part was cached"):
        if provider == "openai_strict":
            answer = client.chat.completions.create(model=openai_checks.CHAT, messages=openai_checks.QUESTION)
            usage = openai_checks.usage_of(answer)
        else:
            usage = anthropic_checks.usage_of(client.messages.create(**anthropic_checks.ASKED))
        equal(meter.note("chat_cached", heard.headers, usage).backend, backend, "backend")
        equal(usage, Usage(usage.input, 12, usage.output), "usage")
    simulator.say(provider)


def each_api_to_its_servers(table, router):
    """With nothing drained: who answers what. The cheapest of those that speak the API."""
    table.section("all five in one pool")
    router.only(*BACKENDS)
    chat = {"model": openai_checks.CHAT, "messages": [{"role": "user", "content": "Who speaks this?"}]}
    message = {"model": anthropic_checks.MODEL, "max_tokens": 16, "messages": chat["messages"]}
    embed = {"model": openai_checks.EMBEDDING, "input": "Who speaks this?"}
    rag = {"query": "Who speaks this?", "mode": "bypass"}
    tell = {"model": rag_checks.MODEL, "messages": [{"role": "user", "content": "/bypass Who?"}], "stream": False}
    for path, body, speakers in [
        ("/v1/chat/completions", chat, {"litellm", "openai_strict"}),
        ("/v1/embeddings", embed, {"litellm", "openai_strict"}),
        ("/v1/responses", {"model": openai_checks.CHAT, "input": "Who?"}, {"litellm", "openai_strict"}),
        ("/v1/messages", message, {"litellm", "anthropic_strict"}),
        ("/v1/messages/count_tokens", anthropic_checks.COUNTED, {"anthropic_strict"}),
        ("/query", rag, {"lightrag_open", "lightrag_keyed"}),
        ("/query/data", {**rag, "mode": "naive"}, {"lightrag_open", "lightrag_keyed"}),
        ("/api/chat", tell, {"lightrag_open", "lightrag_keyed"}),
    ]:
        with table.check(f"20 of {path}: 200, by {' or '.join(sorted(speakers))}") as note:
            answered = {}
            for _ in range(20):
                # LightRAG takes any bearer for a login token, and refuses one that it does not know.
                is_rag = path in ("/query", "/query/data")
                headers = {"x-api-key": rag_checks.KEY} if is_rag else {"authorization": f"Bearer {KEY}", "x-api-key": KEY}
                answer = ask("POST", f"{router.url}{path}", body, {**headers, "anthropic-version": "2023-06-01"})
                one = (answer.headers.get("x-llm-backend"), answer.status)
                answered[one] = answered.get(one, 0) + 1
            note(", ".join(f"{count} by {backend}: {status}" for (backend, status), count in answered.items()))
            true(all(backend in speakers and status == 200 for backend, status in answered), "a server that does not speak it was asked")


def checks(table, router, simulator, urls, servers):
    open_rag, keyed_rag, litellm = servers
    rag_headers = {"x-api-key": rag_checks.KEY}

    for server, headers in ((open_rag, {}), (keyed_rag, rag_headers)):
        table.section(server.name)
        router.only(server.name)
        with table.check("a document is indexed") as note:
            note(rag_checks.index(urls[server.name], headers))
        meter = Meter(router)
        rag = Rag(table, meter, router, urls[server.name], server.name, headers)
        rag.health()
        if server is open_rag:
            rag.queries()
            rag.streams()
            rag.ollama()
            rag.refusals()
        else:
            rag.keys()
        rag.paid_for()

    spent = Meter(router)
    openai_routed, openai_heard = openai_client(router.url, KEY)
    anthropic_routed, anthropic_heard = anthropic_client(router.url, KEY)
    for backend in PRICES:
        table.section(backend)
        router.only(backend)
        meter = Meter(router)
        if backend != "anthropic_strict":
            direct, _ = openai_client(urls[backend], KEY)
            openai_checks.run(table, meter, backend, direct, openai_routed, openai_heard)
            cached(table, meter, simulator, backend, "openai_strict", openai_routed, openai_heard)
        if backend != "openai_strict":
            direct, _ = anthropic_client(urls[backend], KEY)
            anthropic_checks.run(table, meter, backend, direct, anthropic_routed, anthropic_heard)
            cached(table, meter, simulator, backend, "anthropic_strict", anthropic_routed, anthropic_heard)
        if backend == "litellm":
            with table.check("the router's own check of LiteLLM") as note:
                true(wait_for(lambda: router.health()[backend]["last_check"], 20), "it is never checked")
                one = router.health()[backend]
                equal(one["status"], "healthy", "status")
                note(f"score {one['score']}")
            answer = ask("POST", f"{urls[backend]}/v1/messages/count_tokens", anthropic_checks.COUNTED, {"x-api-key": KEY})
            table.found("LiteLLM, /v1/messages/count_tokens", f"{answer.status} {answer.body.decode()}")
        compare_figures(table, meter, backend)
        if backend == "litellm":
            with table.check("cost: what LiteLLM itself says that the answers cost") as note:
                note(openai_checks.costs_as_litellm_says(meter))
            openai_checks.at_once(table, Meter(router), router.url, KEY, backend)
    with table.check("budget: the day's account grew by what all of this cost") as note:
        note(spent.compare_spent())

    each_api_to_its_servers(table, router)

    table.section("a LightRAG server stops")
    router.only(open_rag.name, keyed_rag.name)
    failover_checks.lightrag_stops(table, router, open_rag, keyed_rag, rag_headers)
    table.section("LiteLLM is killed")
    router.only(litellm.name, "openai_strict")
    failover_checks.litellm_stops(table, router, litellm, simulator, "openai_strict", KEY)
    failover_checks.litellm_with_dead_provider(table, router, urls["litellm"], KEY, simulator, "openai_strict")
    failover_checks.litellm_with_odd_requests(table, urls["litellm"], KEY)
    table.section("LightRAG's model is dead")
    router.only(open_rag.name)
    failover_checks.lightrag_with_dead_model(table, router, urls[open_rag.name], simulator, "openai_strict", open_rag.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("work", "module", "simulator", "lightrag", "litellm"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--envoy", required=True)
    parser.add_argument("--ports", required=True, help="nine, with commas")
    parser.add_argument("--report", type=pathlib.Path, required=True, help="the table goes here as Markdown")
    options = parser.parse_args()
    names = ["router", "control", "admin", "simulator", *BACKENDS]
    ports = dict(zip(names, options.ports.split(","), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}

    # So that the servers are ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    table = Table()
    all_servers = processes(options, ports)
    providers, open_rag, keyed_rag, litellm, envoy = all_servers
    try:
        simulator = Simulator(urls["simulator"])
        for server in all_servers:
            print(f"starting {server.name}", flush=True)
            server.start()
            if server is providers:
                for provider in STRICT:
                    simulator.say(provider)
        router = Router(urls["router"], urls["control"], urls["admin"])
        checks(table, router, simulator, urls, (open_rag, keyed_rag, litellm))
        with table.check("Envoy runs to the end, and no virtual machine of the module ended"):
            equal(envoy.process.poll(), None, "Envoy's exit")
            true("panicked" not in envoy.log.read_text(errors="replace"), envoy.last_words())
    finally:
        for server in reversed(all_servers):
            server.stop()
    options.report.write_text(table.markdown())
    print(f"\n{table.summary()}")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
