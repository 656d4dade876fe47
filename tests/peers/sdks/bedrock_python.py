"""AWS's official client for Python with an endpoint of its own; see play.py.

It sends a bearer key over TLS only, so with a base URL of `http` it signs its requests with a temporary credential.
"""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from play import BASE_URL, KEY, MODEL, play

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
ASKED = {
    "messages": [{"role": "user", "content": [{"text": "Say hello."}]}],
    "inferenceConfig": {"maxTokens": 8, "temperature": 0.5},
}
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": "weather",
                "description": "The weather of a city.",
                "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
            }
        }
    ]
}


def connected():
    credential = {}
    if BASE_URL.startswith("https:"):
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = KEY
    else:
        credential = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "s", "aws_session_token": "session"}
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=BASE_URL,
        region_name="us-east-1",
        verify=os.environ.get("CA"),
        config=config,
        **credential,
    )


def whole(client, model=MODEL, **options):
    answer = client.converse(modelId=model, **ASKED, **options)
    blocks = answer["output"]["message"]["content"]
    return {
        "text": "".join(block.get("text", "") for block in blocks),
        "tools": [[block["toolUse"]["name"], block["toolUse"]["input"]] for block in blocks if "toolUse" in block],
        "finish_reason": answer["stopReason"],
        "usage": answer["usage"],
    }


def stream(client, model=MODEL, **options):
    text, arguments, told = "", "", {"events": 0}
    try:
        for event in client.converse_stream(modelId=model, **ASKED, **options)["stream"]:
            told["events"] += 1
            delta = event.get("contentBlockDelta", {}).get("delta", {})
            text += delta.get("text", "")
            arguments += delta.get("toolUse", {}).get("input", "")
            if "messageStop" in event:
                told["finish_reason"] = event["messageStop"]["stopReason"]
            if "metadata" in event:
                told["usage"] = event["metadata"]["usage"]
    except ClientError as e:
        told["failed"] = e.response["Error"]["Code"]
    return {**told, "text": text, "arguments": arguments}


def body():
    return json.dumps({"prompt": "Say hello.", "max_gen_len": 8})


def invoke(client):
    answer = client.invoke_model(modelId=MODEL, body=body())
    return {"answer": json.loads(answer["body"].read())}


def stream_invoke(client):
    events = client.invoke_model_with_response_stream(modelId=MODEL, body=body())["body"]
    return {"events": [json.loads(event["chunk"]["bytes"]) for event in events]}


SCENARIOS = {
    "tools": lambda client: whole(client, toolConfig=TOOLS),
    "stream_tools": lambda client: stream(client, toolConfig=TOOLS),
    "invoke": invoke,
    "stream_invoke": stream_invoke,
    "profile": lambda client: whole(client, PROFILE),
    "failing": lambda client: stream(client, "failing"),
}

play(f"boto3 {boto3.__version__}", connected(), SCENARIOS, (BotoCoreError, ClientError))
