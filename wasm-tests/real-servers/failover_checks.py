"""Servers that end and come back, and one whose model is dead."""

import signal
import time

import openai

from clients import openai_client
from openai_checks import CHAT, COMPLETION, FOREIGN, QUESTION
from rag_checks import MODEL, said
from servers import ask, wait_for
from table import equal, true


def lightrag_stops(table, router, first, second, headers):
    """`first` is preferred: it is cheaper. `second` takes its requests while it is gone."""
    asked = {"query": "What does the Router in Envoy do?", "mode": "naive"}

    def query():
        answer = ask("POST", f"{router.url}/query", asked, headers)
        return answer.headers.get("x-llm-backend"), answer

    before = query()[1]
    with table.check(f"{first.name} answers while both run") as note:
        # One in fifty explores the other one.
        by_first = sum(query()[0] == first.name for _ in range(10))
        true(by_first >= 8, f"{by_first} of 10")
        note(f"{by_first} of 10")
    first.stop()
    with table.check(f"{first.name} stopped: ten queries, all answered by {second.name}") as note:
        attempts = []
        for _ in range(10):
            backend, answer = query()
            equal((answer.status, backend), (200, second.name), "answer")
            equal(said(answer)[0], said(before)[0], "the answer")
            attempts.append(answer.headers.get("x-llm-attempts"))
        note(f"attempts {', '.join(map(str, attempts))}")
    with table.check(f"{first.name} is shown as unhealthy") as note:
        true(wait_for(lambda: router.health()[first.name]["status"] == "unhealthy", 20), f"{router.health()[first.name]}")
        one = router.health()[first.name]
        note(f"breaker {one['breaker']['status']} ({one['breaker']['reason']}), overall {router.get('health')['overall_health']}")
    comes_back(table, router, first, lambda: query()[0])


def comes_back(table, router, server, ask_again):
    server.start()
    with table.check(f"{server.name} is back: served again, and shown as healthy") as note:
        started = time.monotonic()
        true(wait_for(lambda: ask_again() == server.name, 60), "it gets no request within 60 s")
        note(f"first answer after {time.monotonic() - started:.1f} s")
        # Each request closes its breaker a little further.
        healthy = wait_for(lambda: ask_again() and router.health()[server.name]["status"] == "healthy", 60)
        true(healthy, f"{router.health()[server.name]}")


def litellm_stops(table, router, litellm, simulator, second, key):
    """The strict provider behind it takes its requests."""
    client, heard = openai_client(router.url, key)

    def chat():
        client.chat.completions.create(model=CHAT, messages=QUESTION)
        return heard.headers.get("x-llm-backend")

    with table.check(f"{litellm.name} killed in the midst of a stream: the client hears of it") as note:
        simulator.say(second, inter_token_ms=100, output_tokens=60)
        stream = client.chat.completions.create(model=CHAT, messages=QUESTION, stream=True)
        chunks, failure = 0, None
        try:
            for _ in stream:
                chunks += 1
                if chunks == 3:
                    litellm.stop(signal.SIGKILL)
        except Exception as error:  # by which name is the client's affair
            failure = type(error).__name__
        simulator.say(second)
        equal(heard.headers.get("x-llm-backend"), litellm.name, "backend")
        true(failure, "the stream ended as if it were whole")
        note(f"{failure} after {chunks} chunks")
    with table.check(f"{litellm.name} killed: ten chats, all answered by {second}"):
        for _ in range(10):
            equal(chat(), second, "backend")
    with table.check(f"{litellm.name} killed: a stream is answered by {second}"):
        chunks = list(client.chat.completions.create(model=CHAT, messages=QUESTION, stream=True))
        equal((heard.headers.get("x-llm-backend"), len(chunks) > 10), (second, True), "answer")
    with table.check(f"{litellm.name} is shown as unhealthy") as note:
        true(wait_for(lambda: chat() and router.health()[litellm.name]["status"] == "unhealthy", 20), f"{router.health()[litellm.name]}")
        note(f"breaker {router.health()[litellm.name]['breaker']['reason']}")
    comes_back(table, router, litellm, chat)


def litellm_with_dead_provider(table, router, litellm_url, key, simulator, provider):
    """What LiteLLM says while the provider fails; nothing of it is the client's fault."""
    direct, heard = openai_client(litellm_url, key)
    for status in (429, 500, 503):
        simulator.say(provider, status=status, headers=[["retry-after", "7"], ["x-ratelimit-remaining-requests", "0"]])
        try:
            direct.chat.completions.create(model=CHAT, messages=QUESTION)
        except openai.APIStatusError as error:
            kept = {name: heard.headers[name] for name in heard.headers if "retry" in name or "ratelimit" in name}
            table.found(f"LiteLLM, its provider answers {status}", f"{error.status_code} {error.body}, headers {kept}")
    simulator.say(provider)


def litellm_with_odd_requests(table, url, key):
    """Mistakes of the client, and by which status LiteLLM says so."""
    chat, messages = "/v1/chat/completions", "/v1/messages"
    ask_something = [{"role": "user", "content": "What?"}]
    for what, path, body in [
        ("a chat without messages", chat, {"model": CHAT}),
        ("messages that are no list", chat, {"model": CHAT, "messages": 7}),
        ("a temperature that is no number", chat, {"model": CHAT, "messages": ask_something, "temperature": "hot"}),
        ("Anthropic's messages without max_tokens", messages, {"model": FOREIGN, "messages": ask_something}),
        ("a path that there is not", "/v1/none", {}),
    ]:
        answer = ask("POST", f"{url}{path}", body, {"authorization": f"Bearer {key}"})
        table.found(f"LiteLLM, {what}", f"{answer.status} {answer.body.decode()}")
    asked = {"model": COMPLETION, "prompt": "Hello", "stream": True, "max_tokens": 2}
    answer = ask("POST", f"{url}/v1/completions", asked, {"authorization": f"Bearer {key}"})
    table.found("LiteLLM, the first event of a stream of completions", answer.body.decode().split("\n")[0])
    asked = {"model": CHAT, "messages": ask_something, "stream": True, "max_tokens": 2, "stream_options": {"include_usage": True}}
    answer = ask("POST", f"{url}{chat}", asked, {"authorization": f"Bearer {key}"})
    table.found("LiteLLM, the event of a stream of chat that has the usage", answer.body.decode().split("\n")[-5])
    asked = {"model": CHAT, "messages": ask_something, "stream": True, "max_tokens": 2}
    answer = ask("POST", f"{url}{messages}", asked, {"authorization": f"Bearer {key}"})
    usages = [line for line in answer.body.decode().split("\n") if "usage" in line]
    table.found("LiteLLM, a stream of Anthropic's API for a model of OpenAI's, its usages", " ".join(usages))


def lightrag_with_dead_model(table, router, url, simulator, provider, name):
    """LightRAG answers 200 all the same; the router is to see that nothing was answered."""
    simulator.say(provider, status=500)
    for what, path, body in [
        ("/query, naive", "/query", {"query": "Is this one new to the cache, one?", "mode": "naive"}),
        ("/query/stream, bypass", "/query/stream", {"query": "Is this one new to the cache, two?", "mode": "bypass"}),
        ("/api/chat, naive", "/api/chat", {"model": MODEL, "messages": [{"role": "user", "content": "/naive Is this one new, three?"}], "stream": False}),
    ]:
        answer = ask("POST", f"{url}{path}", body, timeout=60)
        table.found(f"LightRAG with its model dead, {what}", f"{answer.status} after {answer.seconds:.1f} s: {answer.body.decode().strip()}")
    before = router.totals()[name]["failure"]
    with table.check("a query that its model did not answer counts as a failure") as note:
        asked = {"query": "Is this one new to the cache, four?", "mode": "naive"}
        answer = ask("POST", f"{router.url}/query", asked, timeout=60)
        note(f"{answer.status} by {answer.headers.get('x-llm-backend')} after {answer.seconds:.1f} s")
        true(wait_for(lambda: router.totals()[name]["failure"] > before, 5), "it counts as a success")
    keywords = {"when": "expert keyword extractor", "text": '{"high_level_keywords": [], "low_level_keywords": []}'}
    simulator.say(provider, replies=[keywords])
    asked = {"query": "Would you please be so kind as to tell me something of zebras?", "mode": "local"}
    answer = ask("POST", f"{url}/query", asked, timeout=60)
    simulator.say(provider)
    table.found("LightRAG without anything on the matter", f"{answer.status} after {answer.seconds:.2f} s: {answer.body.decode().strip()}")
