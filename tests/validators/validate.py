"""Reads signed requests as JSON from standard input and prints, for each, whether the official Python package accepts its signatures."""
import json
import sys

from plivo.utils import validate_signature, validate_v3_signature


def verdict(case):
    params = dict(case["params"]) if case["method"] == "POST" else {}
    v3 = validate_v3_signature(case["method"], case["url"], case["nonce"], case["token"], case["v3"], params)
    v2 = validate_signature(case["url"], case["nonce"], case["v2"], case["token"])
    return {"v3": bool(v3), "v2": bool(v2)}


print(json.dumps([verdict(case) for case in json.load(sys.stdin)]))
