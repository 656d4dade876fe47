"""The official OpenAI client for Python, asked to do one thing: openai_python.py SCENARIO

From the environment: BASE_URL (with /v1), KEY, and if wanted MODEL, MAX_TOKENS, HEADERS (a JSON object).
Prints one JSON line saying what the application would have seen, and how many HTTP tries it took; an error of the client
is part of that line, so the exit code is 0. openai_node.mjs says the same things in the same words.
"""

import json
import os
import sys
import time

import openai

MODEL = os.environ.get("MODEL", "demo")
MAX_TOKENS = int(os.environ.get("MAX_TOKENS", "8"))
MESSAGES = [{"role": "user", "content": "Say hello."}]


class Wire:
    """What passed below the client: every try it made and how each was answered."""

    def __init__(self):
        self.tries, self.statuses, self.retry_after = 0, [], []

    def asked(self, _request):
        self.tries += 1

    def answered(self, response):
        self.statuses.append(response.status_code)
        if "retry-after" in response.headers:
            self.retry_after.append(response.headers["retry-after"])


def whole(client):
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=MAX_TOKENS)
    choice = answer.choices[0]
    return {
        "model": answer.model,
        "text": choice.message.content,
        "finish_reason": choice.finish_reason,
        "usage": answer.usage and answer.usage.to_dict(),
    }


def stream(client, **options):
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=MAX_TOKENS, stream=True, **options)
    )
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    usages = [chunk.usage.to_dict() for chunk in chunks if chunk.usage]
    return {
        "model": chunks[-1].model if chunks else None,
        "chunks": len(chunks),
        "text": "".join(choice.delta.content or "" for choice in choices),
        "finish_reason": next((choice.finish_reason for choice in choices if choice.finish_reason), None),
        "empty_choices": len(chunks) - len(choices),
        "usage_chunks": len(usages),
        "usage": usages[-1] if usages else None,
    }


def stream_with_usage(client):
    return stream(client, stream_options={"include_usage": True})


def completion(client):
    answer = client.completions.create(model=MODEL, prompt="Hello", max_tokens=MAX_TOKENS)
    choice = answer.choices[0]
    return {
        "model": answer.model,
        "text": choice.text,
        "finish_reason": choice.finish_reason,
        "usage": answer.usage and answer.usage.to_dict(),
    }


def embeddings(client):
    answer = client.embeddings.create(model=MODEL, input=["Hello", "and goodbye"])
    return {
        "model": answer.model,
        "vectors": len(answer.data),
        "dimensions": len(answer.data[0].embedding),
        "usage": answer.usage and answer.usage.to_dict(),
    }


SCENARIOS = {
    "whole": whole,
    "stream": stream,
    "stream_with_usage": stream_with_usage,
    "completion": completion,
    "embeddings": embeddings,
    # The same call as `whole`; what is of interest is the error and the tries.
    "refusal": whole,
}


def error(e):
    return {
        "class": type(e).__name__,
        "status": getattr(e, "status_code", None),
        "code": getattr(e, "code", None),
        "type": getattr(e, "type", None),
        "message": str(e),
    }


def main(scenario):
    wire = Wire()
    client = openai.OpenAI(
        base_url=os.environ["BASE_URL"],
        api_key=os.environ["KEY"],
        default_headers=json.loads(os.environ.get("HEADERS", "{}")),
        http_client=openai.DefaultHttpxClient(
            trust_env=False, event_hooks={"request": [wire.asked], "response": [wire.answered]}
        ),
    )
    started = time.monotonic()
    try:
        seen = {"ok": True, **SCENARIOS[scenario](client)}
    except openai.OpenAIError as e:
        seen = {"ok": False, "error": error(e)}
    seen |= {
        "sdk": f"openai-python {openai.__version__}",
        "scenario": scenario,
        "tries": wire.tries,
        "statuses": wire.statuses,
        "retry_after": wire.retry_after,
        "seconds": round(time.monotonic() - started, 3),
    }
    print(json.dumps(seen))


main(sys.argv[1])
