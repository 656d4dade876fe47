"""Anthropic's official client for Python; see play.py."""

import anthropic

from play import BASE_URL, KEY, MODEL, play

ASKED = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]}
TOOLS = [
    {
        "name": "weather",
        "description": "The weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


def told(message):
    blocks = message.content
    return {
        "model": message.model,
        "text": "".join(block.text for block in blocks if block.type == "text"),
        "thinking": "".join(block.thinking for block in blocks if block.type == "thinking"),
        "tools": [[block.name, block.input] for block in blocks if block.type == "tool_use"],
        "finish_reason": message.stop_reason,
        "usage": message.usage.to_dict(),
    }


def whole(client, **options):
    return told(client.messages.create(**ASKED, **options))


def stream(client, **options):
    events = 0
    with client.messages.stream(**ASKED, **options) as stream:
        for event in stream:
            if events == 0 and event.type != "message_start":
                # llama.cpp now and then leaves it out, and then this client has no message in the end.
                return {"begun": False}
            events += 1
        return {**told(stream.get_final_message()), "events": events}


def count(client):
    answer = client.messages.count_tokens(model=MODEL, messages=ASKED["messages"])
    return {"input_tokens": answer.input_tokens}


SCENARIOS = {
    "whole": whole,
    "stream": stream,
    "tools": lambda client: whole(client, tools=TOOLS),
    "stream_tools": lambda client: stream(client, tools=TOOLS),
    "count": count,
}

CLIENT = anthropic.Anthropic(
    base_url=BASE_URL, api_key=KEY, max_retries=0, http_client=anthropic.DefaultHttpxClient(trust_env=False)
)
play(f"anthropic-python {anthropic.__version__}", CLIENT, SCENARIOS, anthropic.AnthropicError)
