"""Calls any operation of Plivo's Python library: one JSON object per line in, one out.

{"id": 1, "operation": "multi_party_calls.get", "arguments": {"uuid": "…"}} gives {"id": 1, "result": {…}} or {"id": 1, "error": {…}}.
The library takes neither proxy nor certificates from the environment, so they are handed to its client.
"""

import json
import os
import sys

import plivo

client = plivo.RestClient(
    os.environ["PLIVO_AUTH_ID"],
    os.environ["PLIVO_AUTH_TOKEN"],
    proxies={"https": os.environ["FRONT_DOOR"]},
)
client.session.verify = os.environ["FRONT_DOOR_CA"]


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key != "client"}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    inner = getattr(value, "__dict__", None)
    return plain({key: inner[key] for key in inner if not key.startswith("_")}) if inner else str(value)


def answer(line):
    asked = json.loads(line)
    try:
        operation = client
        for part in asked["operation"].split("."):
            operation = getattr(operation, part)
        return {"id": asked["id"], "result": plain(operation(**asked["arguments"]))}
    except Exception as error:  # whatever it is, the test is told
        return {"id": asked["id"], "error": {"name": type(error).__name__, "message": str(error)}}


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(line)), flush=True)
