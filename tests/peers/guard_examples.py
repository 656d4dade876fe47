"""The example requests of seed 000, word for word but for the host and the keys, and with an organization besides.

guard_examples.py BASE_URL KEY SECRET ORGANIZATION: one line of JSON for each answer.
"""

import json
import sys

import requests

base, key, secret, organization = sys.argv[1:]


def authenticate(extra):
    url = base + "/api/guard/auth"
    headers = {
        "Content-Type": "application/json",
        "Authorization": key,
        "SecretKey": secret,
        **extra,
    }
    payload = {
        "model": "cogvlm-chat-17b",
        "messages": [
            {"role": "system", "content": "You are a poetic assistant, skilled in explaining complex programming concepts with creative flair."},
            {"role": "user", "content": "Compose a poem that explains the concept of recursion in programming."},
        ],
    }
    return requests.post(url, json=payload, headers=headers)


def log_usage(extra):
    url = base + "/api/guard/log-usage"
    headers = {
        "Content-Type": "application/json",
        "Authorization": key,
        "SecretKey": secret,
        **extra,
    }
    payload = {
        "model": "cogvlm-chat-17b",
        "temperature": 0.7,
        "top_p": 0.9,
        "input_cost": 0.5,
        "output_cost": 0.3,
        "total_cost": 0.8,
        "input_tokens": 100,
        "output_tokens": 80,
        "max_tokens": 200,
        "messages": [
            {"role": "system", "content": "You are a poetic assistant, skilled in explaining complex programming concepts with creative flair."},
            {"role": "user", "content": "Compose a poem that explains the concept of recursion in programming."},
        ],
    }
    return requests.post(url, json=payload, headers=headers)


for extra in ({}, {"Swarms-Organization": organization}, {"Accept": "application/json"}):
    for example in (authenticate, log_usage):
        response = example(extra)
        print(json.dumps({
            "example": example.__name__,
            "status": response.status_code,
            "content_type": response.headers.get("content-type"),
            "text": response.text,
        }))
