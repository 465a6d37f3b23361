"""The official `anthropic` client before a server of its API, once past the router and once through it."""

import anthropic

from clients import plain, refusal
from figures import Usage
from openai_checks import CHAT, FOREIGN, TOO_LONG
from table import equal, true

MODEL = FOREIGN
ASKED = {
    "model": MODEL,
    "max_tokens": 64,
    "system": "You answer in one sentence.",
    "messages": [{"role": "user", "content": "Which biomarkers point to a metabolic syndrome?"}],
}
COUNTED = {key: ASKED[key] for key in ("model", "messages")}
TOOLS = [
    {
        "name": "get_weather",
        "description": "The weather at a place",
        "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    }
]


def usage_of(answer):
    read = answer.usage.cache_read_input_tokens or 0
    written = answer.usage.cache_creation_input_tokens or 0
    return Usage(answer.usage.input_tokens + read + written, read, answer.usage.output_tokens)


def messages(client):
    answer = client.messages.create(**ASKED)
    true(answer.content[0].text, "text")
    return plain(answer), usage_of(answer)


def messages_cut_short(client):
    answer = client.messages.create(**{**ASKED, "max_tokens": 2})
    equal(answer.stop_reason, "max_tokens", "stop_reason")
    return plain(answer), usage_of(answer)


def stream(client):
    with client.messages.stream(**ASKED) as events:
        kinds = [event.type for event in events]
        answer = events.get_final_message()
    true(answer.content[0].text and "message_stop" in kinds, f"{kinds}")
    return (kinds, plain(answer)), usage_of(answer)


def raw_stream(client):
    events = list(client.messages.create(**ASKED, stream=True))
    usage, output = events[0].message.usage, [event.usage for event in events if event.type == "message_delta"][-1]
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return plain(events), Usage(usage.input_tokens + read + written, read, output.output_tokens)


def tools(client):
    answer = client.messages.create(**ASKED, tools=TOOLS, tool_choice={"type": "any"})
    equal((answer.stop_reason, answer.content[0].name), ("tool_use", "get_weather"), "call")
    return plain(answer), usage_of(answer)


CASES = [messages, messages_cut_short, stream, raw_stream, tools]

# LiteLLM translates: a model of OpenAI's by the API of Anthropic.


def translated(client):
    answer = client.messages.create(**{**ASKED, "model": CHAT})
    usage = Usage(answer.usage.input_tokens, 0, answer.usage.output_tokens)
    return plain(answer), usage


def translated_stream(client):
    """Only its last usage is whole."""
    events = list(client.messages.create(**{**ASKED, "model": CHAT}, stream=True))
    usage = [event.usage for event in events if event.type == "message_delta"][-1]
    return plain(events), Usage(usage.input_tokens or 0, 0, usage.output_tokens)


TRANSLATED = [translated, translated_stream]


def count_tokens(client):
    answer = client.messages.count_tokens(model=MODEL, messages=ASKED["messages"])
    true(answer.input_tokens, "a count")
    return plain(answer), None


def models(client):
    return plain(list(client.models.list())), None


def wrong_model(client):
    return refusal(anthropic.APIStatusError, lambda: client.messages.create(**{**ASKED, "model": "none"})), None


def wrong_key(client):
    other = client.with_options(api_key="sk-wrong")
    return refusal(anthropic.APIStatusError, lambda: other.messages.create(**ASKED)), None


def too_long(client):
    asked = {**ASKED, "messages": [{"role": "user", "content": TOO_LONG}]}
    return refusal(anthropic.APIStatusError, lambda: client.messages.create(**asked)), None


ERRORS = [wrong_model, wrong_key, too_long]


def run(table, meter, backend, direct, routed, heard):
    """Through the router as past it; the usage is noted for the sums."""
    others = [count_tokens] if backend == "anthropic_strict" else TRANSLATED
    for case in [*CASES, models, *ERRORS, *others]:
        with table.check(f"anthropic: {case.__name__.replace('_', ' ')}") as note:
            wanted, _ = case(direct)
            got, usage = case(routed)
            exchange = meter.note(case.__name__, heard.headers, usage, case in ERRORS)
            if case in ERRORS:
                note(f"{got[0]} {got[1]} {got[2]}")
            equal(exchange.backend, backend, "backend")
            equal(got, wanted, "the answer")
