"""LightRAG's server: its own API by plain HTTP, its Ollama form by the official `ollama` client, its keys, its health."""

import time

from clients import ollama_client, plain
from servers import ask, wait_for
from table import equal, true

KEY = "the-key-of-lightrag"
MODEL = "lightrag:latest"
DOCUMENT = (
    "Envoy is a proxy. The Router is a filter in Envoy. The Router estimates tokens and picks a backend by its cost. "
    "Metabolic Syndrome is a condition that is recognised by its biomarkers, such as triglycerides."
)
# In the form in which LightRAG asks its model for entities, relations and keywords.
ENTITIES = "\n".join(
    [
        "entity<|#|>Envoy<|#|>Artifact<|#|>Envoy is a proxy.",
        "entity<|#|>Router<|#|>Artifact<|#|>The Router is a filter in Envoy that picks a backend by its cost.",
        "entity<|#|>Metabolic Syndrome<|#|>Concept<|#|>A condition that is recognised by its biomarkers.",
        "relation<|#|>Router<|#|>Envoy<|#|>filter, proxy<|#|>The Router is a filter in Envoy.",
        "<|COMPLETE|>",
    ]
)
KEYWORDS = '{"high_level_keywords": ["filter", "proxy"], "low_level_keywords": ["Router", "Envoy"]}'
REPLIES = [
    {"when": "Knowledge Graph Specialist", "text": ENTITIES},
    {"when": "expert keyword extractor", "text": KEYWORDS},
]
MODES = ("naive", "local", "global", "hybrid", "mix", "bypass")


def index(url, headers=None):
    """Inserts the document, and waits until it can be asked about."""
    answer = ask("POST", f"{url}/documents/text", {"text": DOCUMENT, "file_source": "envoy.txt"}, headers)
    equal(answer.status, 200, "POST /documents/text")
    track = answer.json()["track_id"]
    state = {}

    def done():
        state.update(ask("GET", f"{url}/documents/track_status/{track}", headers=headers).json())
        return any(one["status"] in ("processed", "failed") for one in state.get("documents", []))

    true(wait_for(done, 60), f"not processed within 60 s: {state}")
    equal([one["status"] for one in state["documents"]], ["processed"], "documents")
    labels = ask("GET", f"{url}/graph/label/list", headers=headers).json()
    true({"Envoy", "Router"} <= set(labels), f"entities {labels}")
    return f"{len(labels)} entities"


def said(answer):
    """What an answer says, whether it came in lines or not, and from LightRAG's cache or not."""
    equal(answer.status, 200, "status")
    lines = answer.lines()
    text = "".join(line.get("response", "") for line in lines)
    return text, [line["references"] for line in lines if "references" in line]


class Rag:
    def __init__(self, table, meter, router, direct, backend, headers=None):
        self.table, self.meter, self.router, self.direct = table, meter, router, direct
        self.backend, self.headers = backend, headers or {}

    def routed(self, what, path, body, backend=None, headers=None):
        answer = ask("POST", f"{self.router.url}{path}", body, self.headers if headers is None else headers)
        exchange = self.meter.note(what, answer.headers, None)
        equal(exchange.backend, backend or self.backend, "backend")
        return answer

    def past(self, path, body):
        return ask("POST", f"{self.direct}{path}", body, self.headers)

    def queries(self):
        for mode in MODES:
            with self.table.check(f"/query, mode {mode}") as note:
                asked = {"query": f"What does the Router in Envoy do ({mode})?", "mode": mode}
                answer = self.routed(f"query {mode}", "/query", asked)
                equal(said(answer), said(self.past("/query", asked)), "the answer")
                true(answer.json()["llm_generated"], "llm_generated")
                note(f"{len(answer.json()['references'])} references, {answer.seconds * 1000:.0f} ms")

    def streams(self):
        with self.table.check("/query/stream, as it comes") as note:
            asked = {"query": "What does the Router in Envoy stream?", "mode": "bypass"}
            answer = self.routed("stream", "/query/stream", asked)
            true(len(answer.lines()) > 10, f"{len(answer.lines())} lines")
            equal(said(answer), said(self.past("/query/stream", asked)), "the answer")
            note(f"{answer.headers['content-type']}, {len(answer.lines())} lines")
        with self.table.check("/query/stream, of the graph, and again from LightRAG's cache") as note:
            asked = {"query": "What does the Router in Envoy pick?", "mode": "mix"}
            first = self.routed("stream", "/query/stream", asked)
            self.routed("query", "/query", asked)
            second = self.routed("stream", "/query/stream", asked)
            equal(said(second)[0], said(first)[0], "the answer")
            note(f"{len(first.lines())} lines, then {len(second.lines())}")
        with self.table.check("/query/data"):
            asked = {"query": "What does the Router in Envoy do?", "mode": "mix"}
            answer = self.routed("data", "/query/data", asked)
            equal(answer.json(), self.past("/query/data", asked).json(), "the answer")
            true(answer.json()["data"]["entities"], "entities")

    def ollama(self):
        direct, _ = ollama_client(self.direct)
        routed, heard = ollama_client(self.router.url)

        def compare(name, call):
            with self.table.check(f"ollama: {name}") as note:
                wanted, got = call(direct), call(routed)
                exchange = self.meter.note(name, heard.headers, None)
                equal(exchange.backend, self.backend, "backend")
                equal(got, wanted, "the answer")
                note(f"prompt_eval_count, eval_count: {got[1]}")

        def chat(client):
            asked = [{"role": "user", "content": "/naive What is Envoy?"}]
            answer = client.chat(model=MODEL, messages=asked)
            return answer.message.content, (answer.prompt_eval_count, answer.eval_count)

        def chat_stream(client):
            asked = [{"role": "user", "content": "/bypass What is Envoy?"}]
            parts = list(client.chat(model=MODEL, messages=asked, stream=True))
            true(parts[-1].done and len(parts) > 10, f"{len(parts)} parts")
            return "".join(part.message.content or "" for part in parts), (parts[-1].prompt_eval_count, parts[-1].eval_count)

        def generate(client):
            answer = client.generate(model=MODEL, prompt="Say something of Envoy")
            return answer.response, (answer.prompt_eval_count, answer.eval_count)

        compare("chat", chat)
        compare("chat, stream", chat_stream)
        compare("generate", generate)

    def refusals(self):
        for name, body, status in [
            ("an empty query", {"query": ""}, 422),
            ("an unknown mode", {"query": "What?", "mode": "none"}, 422),
        ]:
            with self.table.check(f"/query, {name}: {status}"):
                answer = self.routed(name, "/query", body)
                equal(answer.status, status, "status")
                equal(plain(answer.json()), plain(self.past("/query", body).json()), "the answer")

    def keys(self):
        asked = {"query": "What does the Router in Envoy do?", "mode": "naive"}
        for name, headers, status in [
            ("the right key", {"x-api-key": KEY}, 200),
            ("a wrong key", {"x-api-key": "wrong"}, 403),
            ("no key", {}, 403),
        ]:
            with self.table.check(f"/query with {name}: {status}") as note:
                answer = self.routed(name, "/query", asked, headers=headers)
                equal(answer.status, status, "status")
                if status != 200:
                    note(answer.body.decode())
        answer = ask("POST", f"{self.direct}/api/chat", {"model": MODEL, "messages": [{"role": "user", "content": "/naive What is Envoy?"}], "stream": False})
        self.table.found("LightRAG with a key, /api/chat without one", f"{answer.status} {answer.body.decode()[:120]}")

    def health(self):
        with self.table.check(f"the router's own check of {self.backend}") as note:
            started = time.monotonic()

            def seen():
                one = self.router.health()[self.backend]
                return one["last_check"] and one["details"].get("core_version")

            true(wait_for(seen, 20), f"{self.router.health()[self.backend]}")
            one = self.router.health()[self.backend]
            equal((one["status"], one["score"]), ("healthy", 1), "health")
            note(f"{one['components']} {one['details']}, after {time.monotonic() - started:.1f} s")

    def paid_for(self):
        """LightRAG reports no usage but in its Ollama form."""
        answered = [one for one in self.meter.exchanges if one.backend == self.backend]

        def all_counted():
            counted = self.meter.counted(self.backend)
            return counted["success"] + counted["client_error"] >= len(answered)

        with self.table.check(f"{self.backend}: every request counted once") as note:
            wait_for(all_counted, 5)
            counted = self.meter.counted(self.backend)
            equal(counted["success"] + counted["client_error"], len(answered), "requests")
            equal(counted["failure"], 0, "failures")
            note(f"{counted['success']} answered, {counted['client_error']} refused, {counted['estimated']} paid for by estimate, {counted['cost']} millionths of a dollar")
