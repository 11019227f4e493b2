"""What the dashboard and the rules name is what Lectern exposes: every metric, every label and every value of
a label, in `lectern all` and in an origin and an edge apart. A metric with labels is exposed from its first
event on; of those that are not there yet, the code that registers them is asked."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import unittest
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import yaml

import source
from lectern import ROOT, STOP_S, exposed, free_ports, get, running, wait_for
from promql import ADDED_LABELS, OWN_METRICS, family, grouped, named

DASHBOARD = ROOT / "helm/lectern/files/dashboard.json"
RULES = ROOT / "helm/lectern/files/rules.yaml"


def panels() -> list[dict]:
    return json.loads(DASHBOARD.read_text())["panels"]


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> list[tuple[str, str]]:
    """Everything that is asked of Prometheus, and where it stands."""
    asked = [
        (f"the panel {panel['title']!r}", target["expr"])
        for panel in panels()
        for target in panel.get("targets", [])
    ]
    return asked + [(f"the rule {rule.get('alert') or rule['record']}", rule["expr"]) for rule in rules()]


def provoke(web: int, rtmp: int, api: int) -> None:
    """What happens at an edge and an origin that somebody uses, and misuses."""
    live = f"http://127.0.0.1:{web}/live/demo"
    get(f"{live}/manifest.mpd")
    get(f"{live}/index.m3u8")
    get(f"http://127.0.0.1:{web}/live/nobody-knows/manifest.mpd")
    report = {"path": "dash", "played_ms": 1000, "stalls": 1, "stalled_ms": 10, "fallback": "no-connection"}
    get(f"{live}/experience", json.dumps(report).encode())
    get(f"{live}/experience", b"no report")
    get(f"http://127.0.0.1:{web}/whep/demo", b"no offer", {"Content-Type": "application/sdp"})
    get(f"http://127.0.0.1:{api}/api/v1/session")
    with socket.create_connection(("127.0.0.1", rtmp)) as encoder:
        encoder.sendall(b"GET / HTTP/1.1\r\n\r\n")
        encoder.settimeout(10)
        encoder.recv(1)


class Scraped(unittest.TestCase):
    """Starts both shapes of an installation and keeps what they expose."""

    @classmethod
    def setUpClass(cls):
        cls.stack = ExitStack()
        cls.addClassCleanup(cls.stack.close)
        directory = Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        cls.directory = directory
        cls.targets: list[int] = []
        cls.shapes = {"all": cls.together(directory), "origin and edge": cls.apart(directory)}
        cls.registered = source.registered()

    @classmethod
    def together(cls, directory: Path):
        rtmp, relay, http, whip, ops, web, media, edge_ops = free_ports(8)
        config = f"""
            data_dir = "{directory}/all"
            [origin]
            rtmp = "127.0.0.1:{rtmp}"
            relay = "127.0.0.1:{relay}"
            http = "127.0.0.1:{http}"
            media = "127.0.0.1:{whip}"
            ops = "127.0.0.1:{ops}"
            [edge]
            http = "127.0.0.1:{web}"
            media = "127.0.0.1:{media}"
            ops = "127.0.0.1:{edge_ops}"
        """
        playing = lambda: get(f"http://127.0.0.1:{web}/live/demo/manifest.mpd")[0] == 200
        cls.stack.enter_context(running(["all", "--demo"], config, directory, "all", playing))
        provoke(web, rtmp, http)
        cls.targets += [ops, edge_ops]
        return exposed(ops, edge_ops)

    @classmethod
    def apart(cls, directory: Path):
        rtmp, relay, http, whip, ops, web, media, edge_ops, stranger_ops = free_ports(9)
        (directory / "origin").mkdir()
        # What `docs/install.md` does with openssl: a certificate for edges to trust.
        key, certificate = directory / "relay-key.pem", directory / "relay.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
            check=True, capture_output=True,
        )  # fmt: skip
        origin = f"""
            data_dir = "{directory}/origin"
            [origin]
            rtmp = "127.0.0.1:{rtmp}"
            relay = "127.0.0.1:{relay}"
            http = "127.0.0.1:{http}"
            media = "127.0.0.1:{whip}"
            ops = "127.0.0.1:{ops}"
            relay_token = "a-token-that-is-long-enough"
            relay_certificate = "{certificate}"
            relay_key = "{key}"
            [[broadcast]]
            id = "demo"
            stream_key = "demo"
        """

        def edge(web: int, media: int, ops: int, token: str) -> str:
            return f"""
                [edge]
                http = "127.0.0.1:{web}"
                media = "127.0.0.1:{media}"
                ops = "127.0.0.1:{ops}"
                upstream = "localhost:{relay}"
                upstream_ca = "{certificate}"
                relay_token = "{token}"
                drain_secs = 0
            """

        def up(port: int) -> bool:
            return get(f"http://127.0.0.1:{port}/readyz")[0] == 200

        cls.stack.enter_context(running(["origin"], origin, directory, "origin", lambda: up(ops)))
        good = edge(web, media, edge_ops, "a-token-that-is-long-enough")
        cls.stack.enter_context(running(["edge"], good, directory, "edge", lambda: up(edge_ops)))
        provoke(web, rtmp, http)
        # An edge that is not let in, for as long as it takes the origin to say so.
        refusing = lambda: "lectern_relay_refused_total" in get(f"http://127.0.0.1:{ops}/metrics")[1]
        other_web, other_media = free_ports(2)
        bad = edge(other_web, other_media, stranger_ops, "another-token-of-some-length")
        cls.targets += [ops, edge_ops]
        with running(["edge"], bad, directory, "stranger", refusing):
            return exposed(ops, edge_ops)

    def test_prometheus_evaluates_all_of_it(self):
        (port,) = free_ports(1)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{
                "job_name": "lectern",
                "static_configs": [{"targets": [f"127.0.0.1:{target}" for target in self.targets]}],
            }],
        }  # fmt: skip
        file, log = self.directory / "prometheus.yml", self.directory / "prometheus.log"
        file.write_text(yaml.safe_dump(config))
        command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={self.directory / 'tsdb'}"]
        command.append(f"--web.listen-address=127.0.0.1:{port}")

        def asked(path: str, **query: str) -> dict:
            status, text = get(f"http://127.0.0.1:{port}/api/v1/{path}?{urlencode(query)}")
            return json.loads(text)["data"] if status == 200 else {}

        def evaluated() -> list[dict]:
            found = [rule for group in asked("rules").get("groups", []) for rule in group["rules"]]
            return found if found and all(rule["health"] != "unknown" for rule in found) else []

        # Each node has been read twice, so that there are rates.
        def has_rates() -> bool:
            read = asked("query", query="count_over_time(up[10s]) >= 2").get("result", [])
            counted = ("lectern_rtmp_tags_total", "lectern_edge_chunk_age_seconds_count", "lectern_edge_http_sent_bytes_total")
            rates = [asked("query", query=f"rate({name}[10s])").get("result") for name in counted]
            return len(read) == len(self.targets) and all(rates) and bool(evaluated())

        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            wait_for("prometheus", has_rates, process, log)
            self.assertEqual(len(evaluated()), len(rules()))
            for rule in evaluated():
                self.assertEqual(rule["health"], "ok", f"{rule['name']}: {rule.get('lastError')}")
            seen = set()
            for panel in panels():
                for target in panel.get("targets", []):
                    expr = target["expr"].replace("$__rate_interval", "10s").replace("$instance", ".*")
                    answer = asked("query", query=expr)
                    self.assertIn("result", answer, f"the panel {panel['title']!r}: {expr}")
                    if answer["result"]:
                        seen.add(panel["title"])
            # What is live here is to be seen.
            shown = {"Viewers by path", "From publishers", "Pictures a second and publisher", "Origin to edge"}
            self.assertLessEqual(shown | {"Upstreams connected", "To viewers, by edge"}, seen)
            up = asked("query", query="up == 1")["result"]
            self.assertEqual(len(up), len(self.targets))
        finally:
            process.terminate()
            process.wait(STOP_S)

    def test_every_metric_that_is_named_is_exposed_or_registered(self):
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        for shape, families in self.shapes.items():
            later = set()
            for place, expr in expressions():
                for one in named(expr):
                    name = family(one.metric, families.types)
                    if one.metric in OWN_METRICS | recorded:
                        continue
                    if name in families.types:
                        continue
                    name = family(one.metric, self.registered)
                    labels = self.registered.get(name)
                    self.assertIsNotNone(labels, f"{place} names {one.metric}, which `{shape}` does not expose")
                    self.assertTrue(labels, f"{one.metric} has no labels, and `{shape}` does not expose it")
                    later.add(name)
            if "-v" in sys.argv:
                print(f"{shape}: exposed with their first event: {', '.join(sorted(later))}", file=sys.stderr)

    def test_every_label_that_is_named_is_one_of_the_metric(self):
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        words = source.words()
        for place, expr in expressions():
            labels_of_all = set(ADDED_LABELS)
            for one in named(expr):
                if one.metric in OWN_METRICS:
                    continue
                if one.metric in recorded:
                    labels = {one.metric.split(":")[0]}
                else:
                    labels = self.labels(one.metric)
                labels_of_all |= labels
                for label, values in one.values.items():
                    self.assertIn(label, labels | ADDED_LABELS, f"{place}: {one.metric}")
                    if label in ADDED_LABELS:
                        continue
                    for value in values - {"1xx", "2xx", "3xx", "4xx", "5xx"}:
                        self.assertIn(value, words, f"{place}: {one.metric} has no {label}={value!r}")
            for label in grouped(expr):
                self.assertIn(label, labels_of_all, f"{place} groups by a label that is nowhere in it")

    def labels(self, metric: str) -> set[str]:
        for families in self.shapes.values():
            name = family(metric, families.types)
            if name in families.types:
                return families.labels[name]
        return self.registered[family(metric, self.registered)]

    def test_what_is_exposed_is_named_by_convention_and_says_what_it_is(self):
        for families in self.shapes.values():
            self.assertGreater(len(families.types), 60)
            for name, kind in families.types.items():
                self.assertTrue(families.helps.get(name), f"{name} has no help")
                self.assertRegex(name, r"^(lectern|process)_[a-z0-9_]+$")
                if kind == "counter":
                    self.assertTrue(name.endswith("_total"), f"{name} is a counter and not a _total")
                if kind == "histogram":
                    self.assertTrue(name.endswith(("_seconds", "_bytes")), f"{name} has no unit")

    def test_a_viewer_or_a_stranger_names_no_series(self):
        for families in self.shapes.values():
            for name, labels in families.labels.items():
                self.assertFalse(labels & {"viewer", "address", "ip", "peer", "url", "key", "token"}, name)


class Dashboard(unittest.TestCase):
    def test_it_is_what_its_script_makes(self):
        subprocess.run([sys.executable, ROOT / "scripts/dashboard.py", "--check"], check=True)

    def test_every_expression_is_promql(self):
        asked = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
        filled = [expr.replace("$__rate_interval", "1m").replace("$instance", ".*") for expr in asked]
        self.assertFalse([expr for expr in filled if "$" in expr], "a variable that is not defined")
        group = {"name": "asked", "rules": [{"record": f"r{n}", "expr": e} for n, e in enumerate(filled)]}
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "asked.yaml")
            file.write_text(yaml.safe_dump({"groups": [group]}))
            done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_panels_have_a_place_a_unit_and_words_of_their_own(self):
        taken: dict[tuple[int, int], str] = {}
        for panel in panels():
            place, title = panel["gridPos"], panel["title"]
            for x in range(place["x"], place["x"] + place["w"]):
                self.assertLess(x, 24)
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, f"{title} lies on another panel")
                    taken[x, y] = title
            if panel["type"] != "row":
                self.assertTrue(panel["description"] and panel["fieldConfig"]["defaults"]["unit"], title)
                legends = [(target["legendFormat"], target["expr"]) for target in panel["targets"]]
                self.assertEqual(len(legends), len(set(legends)), title)
        self.assertEqual(len({panel["id"] for panel in panels()}), len(panels()))

    def test_what_it_links_to_is_there(self):
        for page, anchor in re.findall(r"docs/([a-z]+\.md)(?:#(\w+))?", DASHBOARD.read_text()):
            text = (ROOT / "docs" / page).read_text()
            if anchor:
                self.assertIn(f"## {anchor}\n", text.lower(), f"{page}#{anchor}")
