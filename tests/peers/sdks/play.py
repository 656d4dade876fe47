"""What the scripts beside this one share: they play scenarios of one official client and print one JSON line for each.

    python SDK.py SCENARIO...

From the environment: BASE_URL (without a version), KEY, and if wanted MODEL. Each line says what the application would
have seen; an error of the client is part of its line, so the exit code is 0. A script holds SCENARIOS, functions of a
client that return a dict, and hands them to `play`. Proxies of the environment are not used.
"""

import json
import os
import sys
import time

BASE_URL = os.environ["BASE_URL"]
KEY = os.environ["KEY"]
MODEL = os.environ.get("MODEL", "demo")


def play(sdk, client, scenarios, errors):
    """`errors` are the client's own exceptions; any other one ends the script, for then the script is wrong."""
    for scenario in sys.argv[1:]:
        started = time.monotonic()
        try:
            seen = {"ok": True, **scenarios[scenario](client)}
        except errors as e:
            status = getattr(e, "status_code", None)
            seen = {"ok": False, "error": {"class": type(e).__name__, "status": status, "message": str(e)}}
        seconds = round(time.monotonic() - started, 3)
        print(json.dumps({**seen, "sdk": sdk, "scenario": scenario, "seconds": seconds}), flush=True)
