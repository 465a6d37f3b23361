"""The official clients, with each answer's headers kept."""

import anthropic
import ollama
import openai


class Heard:
    """The headers of the last answer."""

    def __init__(self):
        self.headers = {}

    def __call__(self, response):
        self.headers = {name.lower(): value for name, value in response.headers.items()}


def openai_client(url, key):
    heard = Heard()
    http = openai.DefaultHttpxClient(event_hooks={"response": [heard]})
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30, http_client=http), heard


def anthropic_client(url, key):
    heard = Heard()
    http = anthropic.DefaultHttpxClient(event_hooks={"response": [heard]})
    # LiteLLM and Anthropic both take the key from x-api-key.
    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=30, http_client=http), heard


def ollama_client(url):
    heard = Heard()
    return ollama.Client(host=url, timeout=30, event_hooks={"response": [heard]}), heard


def refusal(kind, call):
    """What a refused call raises: its class, status and body."""
    try:
        call()
    except kind as error:
        return type(error).__name__, error.status_code, plain(error.body)
    raise AssertionError(f"no {kind.__name__}")


# What differs from answer to answer.
VOLATILE = {"id", "created", "created_at", "system_fingerprint", "item_id", "call_id", "previous_response_id", "_request_id"}


def plain(value):
    """An answer without what is different each time."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value
