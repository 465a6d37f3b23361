"""The official `openai` client before a server of its API, once past the router and once through it."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import openai

from clients import openai_client, plain, refusal
from figures import Usage
from table import equal, true

CHAT = "gpt-4o-mini"
COMPLETION = "gpt-3.5-turbo-instruct"
EMBEDDING = "text-embedding-3-small"
FOREIGN = "claude-sonnet-5"
QUESTION = [
    {"role": "system", "content": "You answer in one sentence."},
    {"role": "user", "content": "Which biomarkers point to a metabolic syndrome, and how reliable is each of them?"},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather at a place",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        },
    }
]
TOO_LONG = "word " * 30000


def usage_of(answer):
    """Of chat completions, completions and embeddings."""
    details = getattr(answer.usage, "prompt_tokens_details", None)
    cached = (getattr(details, "cached_tokens", 0) or 0) if details else 0
    return Usage(answer.usage.prompt_tokens, cached, getattr(answer.usage, "completion_tokens", 0) or 0)


def usage_of_response(answer):
    cached = answer.usage.input_tokens_details.cached_tokens or 0
    return Usage(answer.usage.input_tokens, cached, answer.usage.output_tokens)


# Each case gets the client under test and one past the router; it returns what was said, and the usage.


def chat(client, _):
    answer = client.chat.completions.create(model=CHAT, messages=QUESTION)
    true(answer.choices[0].message.content, "content")
    return plain(answer), usage_of(answer)


def chat_cut_short(client, _):
    answer = client.chat.completions.create(model=CHAT, messages=QUESTION, max_tokens=2)
    equal(answer.choices[0].finish_reason, "length", "finish_reason")
    return plain(answer), usage_of(answer)


def unasked(chunks):
    """A stream whose client did not ask for the usage. A chunk may say that there is none: by `null`, or by zeros as
    LiteLLM does in streams of completions. Nor does a chunk matter that says nothing at all, as LiteLLM sends one where it
    is asked for the usage."""
    chunks = plain(list(chunks))
    for chunk in chunks:
        if not (chunk.get("usage") or {}).get("total_tokens"):
            chunk.pop("usage", None)
    return [chunk for chunk in chunks if "usage" in chunk or any(says_something(one) for one in chunk["choices"])]


def says_something(choice):
    """Whether a part of a stream has content, a call or an end."""
    return choice.get("finish_reason") or choice.get("text") is not None or choice.get("delta")


def chat_stream(client, direct):
    """Nobody asks for the usage; it is that of the same question without a stream."""
    chunks = unasked(client.chat.completions.create(model=CHAT, messages=QUESTION, stream=True))
    return chunks, usage_of(direct.chat.completions.create(model=CHAT, messages=QUESTION))


def chat_stream_with_usage(client, _):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=CHAT, messages=QUESTION, stream=True, stream_options=options))
    true(chunks[-1].usage, "usage in the last chunk")
    return plain(chunks), usage_of(chunks[-1])


def tools(client, _):
    answer = client.chat.completions.create(model=CHAT, messages=QUESTION, tools=TOOLS, tool_choice="required")
    equal(answer.choices[0].message.tool_calls[0].function.name, "get_weather", "tool")
    return plain(answer), usage_of(answer)


def tools_stream(client, _):
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model=CHAT, messages=QUESTION, tools=TOOLS, tool_choice="required", stream=True, stream_options=options
        )
    )
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    equal(calls[0].function.name, "get_weather", "tool")
    return plain(chunks), usage_of(chunks[-1])


def completion(client, _):
    answer = client.completions.create(model=COMPLETION, prompt="Once upon a time")
    true(answer.choices[0].text, "text")
    return plain(answer), usage_of(answer)


def completion_stream(client, direct):
    chunks = unasked(client.completions.create(model=COMPLETION, prompt="Once upon a time", stream=True))
    return chunks, usage_of(direct.completions.create(model=COMPLETION, prompt="Once upon a time"))


def embeddings(client, _):
    answer = client.embeddings.create(model=EMBEDDING, input=["one text", "another"], dimensions=16)
    true(all(len(one.embedding) == 16 for one in answer.data), "16 dimensions")
    return plain(answer), usage_of(answer)


def responses(client, _):
    answer = client.responses.create(model=CHAT, input="Which biomarkers?")
    true(answer.status == "completed" and answer.output_text, f"{answer.status}")
    return plain(answer), usage_of_response(answer)


def responses_stream(client, _):
    events = list(client.responses.create(model=CHAT, input="Which biomarkers?", stream=True))
    equal(events[-1].type, "response.completed", "last event")
    return [event.type for event in events], usage_of_response(events[-1].response)


def models(client, _):
    return plain(list(client.models.list())), None


CASES = [chat, chat_cut_short, chat_stream, chat_stream_with_usage, tools, tools_stream, completion]
CASES += [completion_stream, embeddings, responses, responses_stream, models]


def wrong_model(client, _):
    return refusal(openai.APIStatusError, lambda: client.chat.completions.create(model="none", messages=QUESTION)), None


def wrong_key(client, _):
    other = client.with_options(api_key="sk-wrong")
    return refusal(openai.APIStatusError, lambda: other.chat.completions.create(model=CHAT, messages=QUESTION)), None


def too_long(client, _):
    messages = [{"role": "user", "content": TOO_LONG}]
    return refusal(openai.APIStatusError, lambda: client.chat.completions.create(model=CHAT, messages=messages)), None


ERRORS = [wrong_model, wrong_key, too_long]


# LiteLLM translates: a model of Anthropic's by the API of OpenAI.


def translated(client, _):
    answer = client.chat.completions.create(model=FOREIGN, messages=QUESTION)
    true(answer.choices[0].message.content, "content")
    return plain(answer), usage_of(answer)


def translated_stream(client, _):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=FOREIGN, messages=QUESTION, stream=True, stream_options=options))
    return plain(chunks), usage_of(chunks[-1])


TRANSLATED = [translated, translated_stream]


def run(table, meter, backend, direct, routed, heard):
    """Through the router as past it; the usage is noted for the sums."""
    for case in CASES + ERRORS + (TRANSLATED if backend == "litellm" else []):
        with table.check(f"openai: {case.__name__.replace('_', ' ')}") as note:
            wanted, _ = case(direct, direct)
            got, usage = case(routed, direct)
            exchange = meter.note(case.__name__, heard.headers, usage, case in ERRORS)
            if case in ERRORS:
                note(f"{got[0]} {got[1]} {got[2]}")
            equal(exchange.backend, backend, "backend")
            equal(got, wanted, "the answer")


def at_once(table, meter, url, key, backend):
    """As many at once as an application has under way, every second one a stream that asks for no usage."""

    def one(number):
        client, heard = openai_client(url, key)
        messages = [{"role": "user", "content": f"This is question {number} of many. {'Think of it. ' * (number % 7)}"}]
        if number % 2:
            list(client.chat.completions.create(model=CHAT, messages=messages, stream=True))
            return heard.headers, None, messages
        usage = usage_of(client.chat.completions.create(model=CHAT, messages=messages))
        return heard.headers, usage, messages

    with table.check("96 chats, 12 at once, every second one a stream") as note:
        with ThreadPoolExecutor(12) as pool:
            answered = list(pool.map(one, range(96)))
        direct, _ = openai_client(meter.router.url, key)
        equal([headers for headers, _, _ in answered if headers.get("x-llm-backend") != backend], [], "headers of answers by others")
        for headers, usage, messages in answered:
            # What a stream took is what the question takes without one; that request counts, too.
            if usage is None:
                again = usage_of(direct.chat.completions.create(model=CHAT, messages=messages))
                meter.add("at once", headers, again)
            meter.add("at once", headers, usage or again)
        note(meter.compare_tokens(backend))
        note(meter.compare_cost(backend))


def costs_as_litellm_says(meter):
    """Where LiteLLM says what an answer cost, and has the router's price for the model."""
    compared = 0
    for one in meter.exchanges:
        said = one.headers.get("x-litellm-response-cost")
        if said and one.usage and one.what in {"chat", "chat_cut_short", "chat_cached", "tools", "responses"}:
            # A float, as LiteLLM prints it.
            equal(round(Decimal(said) * 1_000_000, 6), round(one.usage.cost("litellm"), 6), f"{one.what}: cost")
            compared += 1
    true(compared >= 4, f"only {compared} answers say what they cost")
    return f"{compared} answers"
