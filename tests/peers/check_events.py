"""Checks usage events as a receiver would: check_events.py SCHEMA < events.jsonl

Every line is validated against SCHEMA (a JSON Schema, draft 2020-12: the schema of the whole event) and read by the
CloudEvents library. Prints one JSON line with the counts and the first faults; ends with 1 if there is any.
"""

import json
import sys

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator

FAULTS_SHOWN = 10

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def faults(line):
    try:
        event = json.loads(line)
    except ValueError as e:
        return [f"not JSON: {e}"]
    found = [f"{e.json_path}: {e.message}" for e in validator.iter_errors(event)]
    try:
        JSONFormat().read(CloudEvent, line)
    except CloudEventValidationError as e:
        found += [f"not a CloudEvent: {e.errors}"]
    except Exception as e:  # the library raises whatever a malformed attribute made it stumble over
        found += [f"not a CloudEvent: {type(e).__name__}: {e}"]
    return found


events, ids, bad, shown = 0, set(), 0, []
for number, line in enumerate(sys.stdin, 1):
    if not line.strip():
        continue
    events += 1
    found = faults(line)
    if found:
        bad += 1
        shown += [f"line {number}: {fault}" for fault in found]
    else:
        event = json.loads(line)
        ids.add((event["source"], event["id"]))
counts = {"events": events, "valid": events - bad, "invalid": bad, "distinct_ids": len(ids)}
print(json.dumps({**counts, "faults": shown[:FAULTS_SHOWN]}))
sys.exit(1 if bad else 0)
