"""Asks a real origin everything that its OpenAPI document says it answers, and much that it does not: as an
admin with a session, by a token, and as a stranger. What is asked and how answers are judged stands in
schemathesis.toml; this owns the server, who asks, and what there is to ask about.

    fuzz.py [--seed N] [--examples N] [--only session|token|stranger]
"""

import argparse
import atexit
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from local import binary, free_ports

PASSWORD = "a password for tests"
# The same on every machine, so that what fails in CI fails at a desk.
SEED = 20_261_122
# Generated requests for each operation, besides those for every limit that the document states.
EXAMPLES = 10
READY_S = 30
STOP_S = 5
# One identity's run takes half a minute on two cores, and several where they have much else to do.
RUN_S = 600
# Things of each kind that are there to be removed.
SPARES = 6


class Server:
    """An origin on loopback, in a directory of its own."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="lectern-api-"))
        rtmp, relay, http, media, ops = free_ports(5)
        self.url = f"http://127.0.0.1:{http}"
        self.ready = f"http://127.0.0.1:{ops}/readyz"
        config = self.dir / "origin.toml"
        # Proxies on loopback are believed: hooks.py gives each request a client of its own.
        config.write_text(
            f"""data_dir = "{self.dir}/data"
[origin]
rtmp = "127.0.0.1:{rtmp}"
relay = "127.0.0.1:{relay}"
http = "127.0.0.1:{http}"
media = "127.0.0.1:{media}"
ops = "127.0.0.1:{ops}"
relay_token = "api-tests"
trusted_proxies = ["127.0.0.0/8"]

[[broadcast]]
id = "provisioned"
stream_key = "provisioned"
"""
        )
        # Our own environment without what the binary would take for configuration.
        env = {name: value for name, value in os.environ.items() if not name.startswith("LECTERN_")}
        self.log = self.dir / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [binary(), "origin", "--config", config],
                env={**env, "LECTERN_LOG": os.environ.get("LECTERN_LOG", "info")},
                stdout=log,
                stderr=log,
            )
        atexit.register(self.stop)

    def wait(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if requests.get(self.ready, timeout=1).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.05)
        sys.exit(f"the origin is not ready\n{self.text()}")

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def setup_token(self) -> str:
        found = re.search(r"#setup=(\S+)", self.text())
        return found[1] if found else sys.exit(f"no set-up link was printed\n{self.text()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Api:
    """Whoever asks, and fails loudly where the answer is not the one expected."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/api/v1"
        self.http = requests.Session()

    def ask(self, method: str, path: str, expect: int, body: object = None, **headers: str):
        answer = self.http.request(method, self.url + path, json=body, headers=headers, timeout=20)
        if answer.status_code != expect:
            sys.exit(f"{method} {path}: {answer.status_code}, not {expect}: {answer.text}")
        return answer

    def make(self, path: str, body: object) -> dict:
        return self.ask("POST", path, 201, body).json()


def admin(server: Server, keeper: Api, login: str) -> tuple[Api, dict]:
    """Another admin, signed in: what is asked in their name does not shut out whoever looks after things."""
    account = {"login": login, "name": login.title(), "role": "admin", "password": PASSWORD}
    made = keeper.make("/accounts", account)
    api = Api(server.url)
    api.ask("POST", "/session", 200, {"login": login, "password": PASSWORD})
    return api, made


def furnish(api: Api, document: dict) -> dict[str, list[str]]:
    """Some of everything, by the parameter that names it in paths."""
    broadcasts = [
        api.make("/broadcasts", {"id": f"lecture-{n}", "title": f"Lecture {n}"})["id"]
        for n in range(SPARES)
    ]
    # What belongs to a broadcast belongs to this one.
    stays = api.make("/broadcasts", {"id": "stays", "title": "Stays"})["id"]
    keys = [api.make(f"/broadcasts/{stays}/keys", {"label": f"{n}"})["id"] for n in range(SPARES)]
    account = {"name": "Somebody", "role": "moderator"}
    accounts = [
        api.make("/accounts", {**account, "login": f"somebody-{n}"})["id"] for n in range(SPARES)
    ]
    for each in accounts[:2]:
        api.ask("PUT", f"/broadcasts/{stays}/members/{each}", 204, {"role": "moderator"})
    tokens = [
        api.make("/tokens", {"name": f"{n}", "scopes": ["broadcasts:read"]})["id"]
        for n in range(SPARES)
    ]
    kids = [api.make("/viewer-keys", {})["kid"] for _ in range(2)]
    webhooks = []
    if "/webhooks" in document["paths"]:
        webhook = {"url": "https://hooks.invalid/", "events": ["broadcast.live"]}
        webhooks = [api.make("/webhooks", webhook)["id"] for _ in range(SPARES)]
    return {
        "broadcasts": ["provisioned", stays, *broadcasts],
        "rooms": [stays],
        "keys": keys,
        "accounts": accounts,
        "tokens": tokens,
        "kids": kids,
        **({"webhooks": webhooks} if webhooks else {}),
    }


# Which things a parameter names in paths that begin so.
NAMED = {
    ("/broadcasts/", "id"): "broadcasts",
    ("/broadcasts/", "key"): "keys",
    ("/broadcasts/", "account"): "accounts",
    ("/accounts/", "id"): "accounts",
    ("/tokens/", "id"): "tokens",
    ("/viewer-keys/", "kid"): "kids",
    ("/webhooks/", "id"): "webhooks",
}


def named(path: str, parameter: str) -> str | None:
    if parameter == "id" and re.match(r"/broadcasts/\{id\}/\w+/\{", path):
        return "rooms"
    fits = [
        what
        for (prefix, name), what in NAMED.items()
        if name == parameter and path.startswith(prefix)
    ]
    return fits[0] if fits else None


def check_document(document: dict) -> None:
    """Valid OpenAPI 3.1, and with nothing in a path whose names are not known here."""
    errors = list(OpenAPIV31SpecValidator(document).iter_errors())
    for error in errors:
        where = "/".join(str(part) for part in error.absolute_path)
        print(f"openapi.json: {where}: {error.message}", file=sys.stderr)
    if errors or not document["openapi"].startswith("3.1"):
        sys.exit("openapi.json is not valid OpenAPI 3.1")
    for path in document["paths"]:
        for parameter in re.findall(r"\{(\w+)\}", path):
            if named(path, parameter) is None:
                sys.exit(f"{path}: say in NAMED which things {{{parameter}}} names")


def config(document: dict, things: dict[str, list[str]], who: str) -> str:
    """schemathesis.toml with what there is, and who asks."""
    lines = [(HERE / "schemathesis.toml").read_text()]
    if who != "stranger":
        kind = {"session": "api_key", "token": "bearer"}[who]
        lines.append(f'[auth.openapi.{who}]\n{kind} = "${{FUZZ_CREDENTIALS}}"')
    for name, values in things.items():
        lines.append(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}")
    for path in document["paths"]:
        bound = [
            f'"path.{parameter}" = {{ dictionary = "{what}", probability = 0.8 }}'
            for parameter in re.findall(r"\{(\w+)\}", path)
            if (what := named(path, parameter)) in things
        ]
        if bound:
            head = f'[[operations]]\ninclude-path = "{path}"\n[operations.parameters]'
            lines.append("\n".join([head, *bound]))
    return "\n\n".join(lines) + "\n"


def fuzz(server: Server, who: str, document: dict, things: dict, environment: dict, args) -> bool:
    file = server.dir / f"{who}.toml"
    file.write_text(config(document, things, who))
    command = [
        Path(sys.executable).with_name("schemathesis"),
        f"--config-file={file}",
        "run",
        f"{server.url}/api/v1/openapi.json",
        f"--seed={args.seed}",
        f"--max-examples={args.examples}",
        f"--report-dir={server.dir}/reports",
        "--no-color",
        *args.rest,
    ]
    environment = {
        **os.environ,
        "FUZZ_HOOKS": str(HERE / "hooks.py"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, env=environment, cwd=server.dir, capture_output=True, text=True, timeout=RUN_S
        )
    except subprocess.TimeoutExpired as expired:
        print(f"as {who}: not done after {RUN_S} s\n{expired.stdout}", file=sys.stderr)
        return False
    if server.process.poll() is not None:
        print(f"as {who}: the origin has ended\n{server.text()}", file=sys.stderr)
        return False
    if done.returncode != 0 or args.verbose:
        print(f"as {who}:\n{done.stdout}\n{done.stderr}", file=sys.stderr)
    count = re.search(r"(\d[\d,]*) generated", done.stdout)
    asked = count[1] if count else "?"
    outcome = "as documented" if done.returncode == 0 else "not as documented"
    print(f"as {who}: {asked} test cases in {time.monotonic() - began:.0f} s, {outcome}")
    return done.returncode == 0


def first_event(api: Api) -> None:
    """What never ends: it begins as it should, and says how a broadcast is as soon as that changes."""
    stream = api.http.get(f"{api.url}/events", stream=True, timeout=20)
    kind = stream.headers.get("content-type", "")
    if stream.status_code != 200 or not kind.startswith("text/event-stream"):
        sys.exit(f"GET /events: {stream.status_code} {kind}")
    threading.Timer(0.2, lambda: Api.make(api, "/broadcasts", {"id": "heard-of"})).start()
    for line in stream.iter_lines(decode_unicode=True):
        if line.startswith("data:") and json.loads(line[5:]).get("id") == "heard-of":
            stream.close()
            return
    sys.exit("GET /events: ended without a word of the new broadcast")


def own_account(server: Server, keeper: Api) -> None:
    """What would end the run for whoever asks: one's own password, and signing out."""
    api, account = admin(server, keeper, "leaves")
    elsewhere = Api(server.url)
    elsewhere.ask("POST", "/session", 200, {"login": "leaves", "password": PASSWORD})
    path = f"/accounts/{account['id']}/password"
    new = "another password for tests"
    api.ask("PUT", path, 422, {"current": "not this one", "password": new})
    api.ask("PUT", path, 204, {"current": PASSWORD, "password": new})
    elsewhere.ask("GET", "/session", 401)
    api.ask("GET", "/session", 200)
    cookie = api.http.cookies["lectern_session"]
    api.ask("DELETE", "/session", 204)
    api.http.cookies.clear()
    api.ask("GET", "/session", 401, Cookie=f"lectern_session={cookie}")
    api.ask("DELETE", "/session", 401)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--only", choices=["session", "token", "stranger"])
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("rest", nargs="*", help="for schemathesis itself, after --")
    args = parser.parse_args()
    print(f"seed {args.seed}, {args.examples} examples of a kind")

    server = Server()
    server.wait()
    keeper = Api(server.url)
    who = {"login": "keeper", "name": "Keeper", "password": PASSWORD}
    setup = {"token": server.setup_token(), **who}
    kept = keeper.ask("POST", "/setup", 201, setup).json()["account"]
    document = keeper.ask("GET", "/openapi.json", 200).json()
    check_document(document)
    asker, account = admin(server, keeper, "asker")
    scopes = document["components"]["schemas"]["Scope"]["enum"]
    token = asker.make("/tokens", {"name": "all", "scopes": scopes})
    things = furnish(asker, document)
    cookie = asker.http.cookies["lectern_session"]
    environment = {
        "FUZZ_URL": keeper.url,
        "FUZZ_COOKIE": keeper.http.cookies["lectern_session"],
        "FUZZ_KEPT": json.dumps([kept["id"], account["id"], token["id"]]),
    }
    credentials = {"session": cookie, "token": token["token"], "stranger": secrets.token_hex()}
    good = True
    for who in [args.only] if args.only else credentials:
        known = {**environment, "FUZZ_CREDENTIALS": credentials[who]}
        good &= fuzz(server, who, document, things, known, args)
    first_event(asker)
    own_account(server, keeper)
    if not good:
        sys.exit("the API does not do what its document says")


if __name__ == "__main__":
    main()
