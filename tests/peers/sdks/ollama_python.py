"""Ollama's official client for Python; see play.py."""

from importlib.metadata import version

import ollama

from play import BASE_URL, KEY, MODEL, play

MESSAGES = [{"role": "user", "content": "Say hello."}]


def weather(city: str) -> str:
    """The weather of a city.

    Args:
      city: Which city.
    """
    return city


def told(answers):
    last, messages = answers[-1], [answer.message for answer in answers]
    calls = [call.function for message in messages for call in message.tool_calls or []]
    return {
        "model": last.model,
        "text": "".join(message.content or "" for message in messages),
        "thinking": "".join(message.thinking or "" for message in messages),
        "tools": [[call.name, dict(call.arguments)] for call in calls],
        "finish_reason": last.done_reason,
        "usage": {"input_tokens": last.prompt_eval_count, "output_tokens": last.eval_count},
        "objects": len(answers),
    }


def generated(answers):
    last = answers[-1]
    return {
        "model": last.model,
        "text": "".join(answer.response for answer in answers),
        "finish_reason": last.done_reason,
        "usage": {"input_tokens": last.prompt_eval_count, "output_tokens": last.eval_count},
    }


def embed(client):
    answer = client.embed(model=MODEL, input=["Hello"])
    return {"vectors": len(answer.embeddings), "usage": {"input_tokens": answer.prompt_eval_count}}


SCENARIOS = {
    "whole": lambda client: told([client.chat(model=MODEL, messages=MESSAGES)]),
    "stream": lambda client: told(list(client.chat(model=MODEL, messages=MESSAGES, stream=True))),
    "tools": lambda client: told([client.chat(model=MODEL, messages=MESSAGES, tools=[weather])]),
    "stream_tools": lambda client: told(list(client.chat(model=MODEL, messages=MESSAGES, tools=[weather], stream=True))),
    "generate": lambda client: generated([client.generate(model=MODEL, prompt="Hello")]),
    "stream_generate": lambda client: generated(list(client.generate(model=MODEL, prompt="Hello", stream=True))),
    "embed": embed,
}

CLIENT = ollama.Client(host=BASE_URL, headers={"authorization": f"Bearer {KEY}"}, trust_env=False)
play(f"ollama-python {version('ollama')}", CLIENT, SCENARIOS, (ollama.ResponseError, ConnectionError))
