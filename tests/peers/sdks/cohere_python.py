"""Cohere's official client for Python, both versions of its API; see play.py."""

from importlib.metadata import version

import cohere
import httpx
from cohere.core.api_error import ApiError

from play import BASE_URL, KEY, MODEL, play

MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def whole(clients, **options):
    answer = clients.v2.chat(model=MODEL, messages=MESSAGES, **options)
    message = answer.message
    return {
        "text": "".join(part.text for part in message.content or [] if part.type == "text"),
        "tools": [[call.function.name, call.function.arguments] for call in message.tool_calls or []],
        "finish_reason": answer.finish_reason,
        "usage": answer.usage.tokens.dict(),
    }


def stream(clients, **options):
    text, arguments, end = "", "", None
    for event in clients.v2.chat_stream(model=MODEL, messages=MESSAGES, **options):
        if event.type == "content-delta":
            text += event.delta.message.content.text or ""
        elif event.type == "tool-call-delta":
            arguments += event.delta.message.tool_calls.function.arguments
        elif event.type == "message-end":
            end = event.delta
    return {"text": text, "arguments": arguments, "finish_reason": end.finish_reason, "usage": end.usage.tokens.dict()}


def whole_v1(clients):
    answer = clients.v1.chat(model=MODEL, message="Say hello.")
    return {"text": answer.text, "finish_reason": answer.finish_reason, "usage": answer.meta.tokens.dict()}


def stream_v1(clients):
    text, end = "", None
    for event in clients.v1.chat_stream(model=MODEL, message="Say hello."):
        if event.event_type == "text-generation":
            text += event.text
        elif event.event_type == "stream-end":
            end = event
    return {"text": text, "finish_reason": end.finish_reason, "usage": end.response.meta.tokens.dict()}


def embed(clients):
    answer = clients.v2.embed(
        model=MODEL, texts=["Hello"], input_type="search_query", embedding_types=["float"]
    )
    return {"vectors": len(answer.embeddings.float_), "billed": answer.meta.billed_units.input_tokens}


def rerank(clients):
    answer = clients.v2.rerank(model=MODEL, query="hello", documents=["hello", "goodbye"])
    return {"results": len(answer.results), "billed": answer.meta.billed_units.search_units}


SCENARIOS = {
    "whole": whole,
    "stream": stream,
    "tools": lambda clients: whole(clients, tools=TOOLS),
    "stream_tools": lambda clients: stream(clients, tools=TOOLS),
    "whole_v1": whole_v1,
    "stream_v1": stream_v1,
    "embed": embed,
    "rerank": rerank,
}


class Clients:
    def __init__(self):
        options = {"api_key": KEY, "base_url": BASE_URL, "httpx_client": httpx.Client(trust_env=False)}
        self.v1, self.v2 = cohere.Client(**options), cohere.ClientV2(**options)


play(f"cohere-python {version('cohere')}", Clients(), SCENARIOS, (ApiError, httpx.HTTPError))
