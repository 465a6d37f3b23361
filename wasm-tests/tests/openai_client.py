#!/usr/bin/env python3
"""The official `openai` client against a base URL: `openai_client.py http://127.0.0.1:10000/v1 [--control URL NAME]`.

Prints a line per check and `N passed, M failed`; exits 0 if none failed. Errors are checked by asking for them: with
`--control`, the control endpoint of `sim-backends` scripts the named backend to fail; with `--refused`, the base URL is
one whose every answer is a refusal of the router's own. Written for openai==3.52.0 (see openai_client.requirements.txt).
"""

import argparse
import json
import sys
import urllib.request

import openai

QUESTION = [{"role": "user", "content": "Which biomarkers point to a metabolic syndrome?"}]


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def check_usage(prompt, completion, total):
    check(prompt > 0 and completion > 0 and total == prompt + completion, f"usage {prompt} + {completion} = {total}")


def chat(client):
    answer = client.chat.completions.create(model="sim-1", messages=QUESTION)
    check(answer.choices[0].message.content, "content")
    check(answer.choices[0].finish_reason == "stop", answer.choices[0].finish_reason)
    check_usage(answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens)


def chat_stream(client):
    stream = client.chat.completions.create(
        model="sim-1", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    text, finish, usage = "", None, None
    for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        usage = chunk.usage or usage
    check(text and finish == "stop", f"{text!r} {finish}")
    check_usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


def chat_stream_without_usage(client):
    chunks = list(client.chat.completions.create(model="sim-1", messages=QUESTION, stream=True))
    check(chunks and all(chunk.usage is None for chunk in chunks), "usage was not asked for")
    check(all(chunk.choices for chunk in chunks), "an event that was not asked for")


def length_limit(client):
    answer = client.chat.completions.create(model="sim-1", messages=QUESTION, max_completion_tokens=2)
    check(answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 2, str(answer))


def responses(client):
    answer = client.responses.create(model="sim-1", input="Which biomarkers?")
    check(answer.status == "completed" and answer.output_text, str(answer))
    check_usage(answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens)


def responses_stream(client):
    text, completed = "", None
    for event in client.responses.create(model="sim-1", input="Which biomarkers?", stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.completed":
            completed = event.response
    check(completed is not None and completed.output_text == text and text, f"{text!r}")
    check_usage(completed.usage.input_tokens, completed.usage.output_tokens, completed.usage.total_tokens)


def completions(client):
    answer = client.completions.create(model="sim-1", prompt="Once upon a time")
    check(answer.choices[0].text, str(answer))
    pieces = client.completions.create(model="sim-1", prompt="Once upon a time", stream=True)
    check("".join(piece.choices[0].text for piece in pieces) == answer.choices[0].text, "the stream says the same")


def embeddings(client):
    for encoding in ({}, {"encoding_format": "float"}):
        answer = client.embeddings.create(model="sim-1", input=["one", "two"], **encoding)
        check(len(answer.data) == 2 and len(answer.data[0].embedding) > 1, str(answer))
        check(all(isinstance(x, float) for x in answer.data[1].embedding), "numbers")
        check(answer.usage.prompt_tokens > 0, str(answer.usage))


def models(client):
    check([model.id for model in client.models.list()], "a model")


def headers(client):
    raw = client.chat.completions.with_raw_response.create(model="sim-1", messages=QUESTION)
    check(raw.status_code == 200 and raw.headers.get("x-sim-backend"), str(raw.headers))


def expect_error(client, kind, status, codes):
    """The client must find the code where OpenAI puts it."""
    for stream in (False, True):
        try:
            client.chat.completions.create(model="sim-1", messages=QUESTION, stream=stream)
        except kind as error:
            check(error.status_code == status, f"{error.status_code}, not {status}")
            check(error.code in codes, f"code {error.code!r} is none of {codes}: {error.body}")
            check(error.type and error.message, str(error.body))
        else:
            raise AssertionError(f"no {kind.__name__}")


def script(control, backend, behaviour):
    body = json.dumps({"backend": backend, "behaviour": behaviour}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{control}/__sim/behaviour", body), timeout=10).read()


def scripted_errors(control, backend):
    def failing(status, kind, code):
        def test(client):
            script(control, backend, {"status": status, "headers": [["retry-after", "1"]]})
            try:
                expect_error(client, kind, status, [code])
            finally:
                script(control, backend, {})

        test.__name__ = f"error_{status}"
        return test

    def error_in_stream(client):
        script(control, backend, {"fault": {"error_after": 2}})
        try:
            list(client.chat.completions.create(model="sim-1", messages=QUESTION, stream=True))
        except openai.APIError as error:
            check("scripted failure" in error.message, error.message)
        else:
            raise AssertionError("no APIError")
        finally:
            script(control, backend, {})

    return [
        failing(429, openai.RateLimitError, "rate_limit_exceeded"),
        failing(503, openai.InternalServerError, "service_unavailable"),
        failing(400, openai.BadRequestError, "invalid_request"),
        error_in_stream,
    ]


def router_refusals(client):
    """503 or 429 with a code of the router's own."""
    codes = ["no_backend_available", "queue_full", "queue_timeout", "rate_limited", "budget_exceeded"]
    try:
        client.chat.completions.create(model="sim-1", messages=QUESTION)
    except (openai.InternalServerError, openai.RateLimitError) as error:
        check(error.status_code in (503, 429) and error.code in codes, f"{error.status_code} {error.body}")
        check(error.type and error.message, str(error.body))
    else:
        raise AssertionError("no error")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url", help="with /v1")
    parser.add_argument("--control", nargs=2, metavar=("URL", "BACKEND"), help="the control endpoint of sim-backends")
    parser.add_argument("--refused", action="store_true", help="expect refusals of the router's own, and nothing else")
    options = parser.parse_args()
    client = openai.OpenAI(base_url=options.base_url, api_key="sk-simulated", max_retries=0, timeout=20)

    if options.refused:
        tests = [router_refusals]
    else:
        tests = [chat, chat_stream, chat_stream_without_usage, length_limit, responses, responses_stream, completions]
        tests += [embeddings, headers]
        # The router has no body to read in GET /models, but it must let it pass.
        tests += [models]
        if options.control:
            tests += scripted_errors(*options.control)

    failed = 0
    for test in tests:
        try:
            test(client)
        except Exception as error:  # any exception at all is a failed check
            failed += 1
            print(f"FAILED {test.__name__}: {type(error).__name__}: {error}")
        else:
            print(f"ok {test.__name__}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
