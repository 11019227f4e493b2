"""What schemathesis cannot know of this API: who may not be removed while it asks, which version a change is
for, and that limits count clients.
"""

import ipaddress
import itertools
import json
import os

import requests
import schemathesis

URL = os.environ["FUZZ_URL"]
COOKIE = {"lectern_session": os.environ["FUZZ_COOKIE"]}
KEPT = set(json.loads(os.environ["FUZZ_KEPT"]))
CLIENTS = itertools.count(int(ipaddress.IPv4Address("10.0.0.0")))
CHANGES = itertools.count()


def removes_who_asks(case) -> bool:
    """Changes the accounts and the token with which everything is asked: fuzz.py does so at its end."""
    return case.method.upper() in {"PUT", "PATCH", "DELETE"} and any(
        str(value) in KEPT for value in (case.path_parameters or {}).values()
    )


@schemathesis.hook
def filter_case(context, case) -> bool:
    return not removes_who_asks(case)


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    headers = case.headers
    if headers is None:
        return
    # Tries to sign in are counted for each client; what one asks too often is asked by the next.
    headers["X-Forwarded-For"] = str(ipaddress.IPv4Address(next(CLIENTS)))
    # Whoever changes something has read it, three times of four; the ETag that was made up is left otherwise.
    if "If-Match" in headers and next(CHANGES) % 4 and case.meta and case.meta.generation.mode.is_positive:
        answer = requests.get(URL + case.formatted_path, cookies=COOKIE, timeout=20)
        if answer.ok and "ETag" in answer.headers:
            headers["If-Match"] = answer.headers["ETag"]
