"""Lectern outside Kubernetes: the compose file with all that it mounts, and the systemd units. What they
configure is given to the real binary; what no engine and no systemd is here to run, is read."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
from contextlib import ExitStack
from pathlib import Path

import yaml

from lectern import ROOT, free_ports, get, running

COMPOSE = ROOT / "deploy/compose"
UNITS = ROOT / "deploy/systemd"
# edge.drain_secs as it is in an edge with siblings, and what is let go of after it.
DRAIN_S = 15 + 5
ADDRESS = "203.0.113.7"


def services() -> dict[str, dict]:
    return yaml.safe_load((COMPOSE / "docker-compose.yml").read_text())["services"]


def lecterns() -> dict[str, dict]:
    return {name: each for name, each in services().items() if each["image"].startswith("lectern")}


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


class Compose(unittest.TestCase):
    def test_there_is_what_it_says(self):
        self.assertEqual(set(lecterns()), {"origin", "edge1", "edge2"})
        self.assertEqual(set(services()) - set(lecterns()), {"postgres", "prometheus", "grafana"})
        for name, service in lecterns().items():
            self.assertTrue(service["read_only"], name)
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            self.assertIn("no-new-privileges:true", service["security_opt"], name)
        for name in ("edge1", "edge2"):
            self.assertGreater(seconds(services()[name]["stop_grace_period"]), DRAIN_S)

    def test_each_is_asked_whether_it_is_well(self):
        for name, service in services().items():
            self.assertTrue(service["healthcheck"]["test"], name)
        for name, port in {"origin": 9090, "edge1": 9091, "edge2": 9091}.items():
            kind, *command = services()[name]["healthcheck"]["test"]
            self.assertEqual(kind, "CMD")
            self.assertIn(f"/dev/tcp/127.0.0.1/{port};", command[-1])
            # The very command, against what answers well and badly, and where nothing does.
            for answer, well in {b"200 OK": True, b"503 Service Unavailable": False, b"": False}.items():
                with socket.create_server(("127.0.0.1", 0)) as listener:
                    at = listener.getsockname()[1]
                    answers = threading.Thread(target=self.answer, args=(listener, answer))
                    answers.start()
                    asked = [part.replace(f"/{port};", f"/{at};") for part in command]
                    done = subprocess.run(asked, capture_output=True, timeout=30)
                    answers.join()
                self.assertEqual(done.returncode == 0, well, done.stderr)

    @staticmethod
    def answer(listener: socket.socket, status: bytes) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as request:
            # To the empty line, or to its end.
            while request.readline().strip():
                pass
            if status:
                connection.sendall(b"HTTP/1.0 " + status + b"\r\n\r\nsaid\n")

    def test_no_port_is_taken_twice(self):
        taken = [
            port.rpartition(":")[0].rpartition(":")[2] + ("/udp" if port.endswith("/udp") else "")
            for service in services().values()
            for port in service.get("ports", [])
        ]
        self.assertEqual(len(taken), len(set(taken)), taken)

    def test_what_it_mounts_is_there_and_what_is_secret_is_not_in_git(self):
        whole = yaml.safe_load((COMPOSE / "docker-compose.yml").read_text())
        mounts = [m for service in services().values() for m in service.get("volumes", [])]
        files = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
        files += [config["file"] for config in whole["configs"].values()]
        for file in files:
            self.assertTrue((COMPOSE / file).is_file(), file)
        for mount in mounts:
            if not mount.startswith("."):
                self.assertIn(mount.split(":")[0], whole["volumes"])
        for file in [".env", *(secret["file"] for secret in whole["secrets"].values())]:
            ignored = subprocess.run(["git", "check-ignore", "-q", COMPOSE / file], cwd=ROOT)
            self.assertEqual(ignored.returncode, 0, f"{file} could be committed")

    def test_prometheus_and_grafana_are_given_the_charts_files(self):
        mounts = dict(mount.split(":")[:2] for mount in services()["prometheus"]["volumes"] + services()["grafana"]["volumes"])
        rules = mounts["../../helm/lectern/files/rules.yaml"]
        board = mounts["../../helm/lectern/files/dashboard.json"]
        config = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
        self.assertEqual(config["rule_files"], [rules])
        dashboards = yaml.safe_load((COMPOSE / "grafana/dashboards.yml").read_text())["providers"]
        self.assertEqual([each["options"]["path"] for each in dashboards], [os.path.dirname(board)])
        (source,) = yaml.safe_load((COMPOSE / "grafana/datasources.yml").read_text())["datasources"]
        self.assertEqual((source["type"], source["url"]), ("prometheus", "http://prometheus:9090"))
        targets = {}
        for job in config["scrape_configs"]:
            self.assertIn("lectern", job["job_name"])
            for target in job["static_configs"][0]["targets"]:
                targets.update([target.split(":")])
        self.assertEqual(targets, {"origin": "9090", "edge1": "9091", "edge2": "9091"})
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(ROOT / "helm/lectern/files/rules.yaml", directory)
            config["rule_files"] = ["rules.yaml"]
            file = Path(directory, "prometheus.yml")
            file.write_text(yaml.safe_dump(config))
            done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class SetUp(unittest.TestCase):
    """What deploy/compose/setup.sh makes, and that Lectern runs with it as the compose file says."""

    @classmethod
    def setUpClass(cls):
        cls.stack = ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.directory = Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        cls.deploy = cls.directory / "deploy"
        ignored = shutil.ignore_patterns(".env", "secrets")
        shutil.copytree(ROOT / "deploy", cls.deploy, ignore=ignored)
        cls.first = cls.set_up(ADDRESS)

    @classmethod
    def set_up(cls, *arguments: str) -> subprocess.CompletedProcess:
        script = cls.deploy / "compose/setup.sh"
        return subprocess.run([script, *arguments], capture_output=True, text=True)

    def environment(self, service: str) -> dict[str, str]:
        """The service's, with what .env fills in."""
        lines = (self.deploy / "compose/.env").read_text().splitlines()
        known = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        # No `get`: a variable that setup.sh does not make is a mistake.
        filled = lambda text: re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: known[found[1]], text)
        return {name: filled(value) for name, value in services()[service].get("environment", {}).items()}

    def test_a_second_run_changes_nothing_and_a_bad_address_is_refused(self):
        self.assertEqual(self.first.returncode, 0, self.first.stderr)
        made = {file: file.read_bytes() for file in self.deploy.rglob("*") if file.is_file()}
        self.assertEqual(self.set_up(ADDRESS).returncode, 0)
        self.assertEqual(made, {file: file.read_bytes() for file in self.deploy.rglob("*") if file.is_file()})
        for arguments in ([], ["example"], ["203.0.113.8"]):
            refused = self.set_up(*arguments)
            self.assertNotEqual(refused.returncode, 0)
            self.assertRegex(refused.stderr, r"^error: [^\n]+\n$")
        for file in ("compose/.env", "compose/secrets/relay-tokens", "compose/secrets/relay-key.pem"):
            if os.getuid() == 0:
                self.assertEqual((self.deploy / file).stat().st_mode & 0o077, 0, file)

    def test_an_origin_and_both_edges_run_with_it(self):
        rtmp, relay, http, whip, ops = free_ports(5)
        nodes = [("origin", ops, {
            "LECTERN_DATA_DIR": str(self.directory / "data"),
            "LECTERN_ORIGIN__RTMP": f"127.0.0.1:{rtmp}",
            "LECTERN_ORIGIN__RELAY": f"127.0.0.1:{relay}",
            "LECTERN_ORIGIN__HTTP": f"127.0.0.1:{http}",
            "LECTERN_ORIGIN__MEDIA": f"127.0.0.1:{whip}",
            "LECTERN_ORIGIN__OPS": f"127.0.0.1:{ops}",
            # No PostgreSQL is here; what else is in the environment stays.
            "LECTERN_ORIGIN__DATABASE": f"sqlite:{self.directory / 'lectern.db'}",
        })]  # fmt: skip
        for edge in ("edge1", "edge2"):
            web, media, edge_ops = free_ports(3)
            nodes.append((edge, edge_ops, {
                "LECTERN_EDGE__HTTP": f"127.0.0.1:{web}",
                "LECTERN_EDGE__MEDIA": f"127.0.0.1:{media}",
                "LECTERN_EDGE__OPS": f"127.0.0.1:{edge_ops}",
                # The certificate is for the name that edges call the origin, which only Compose resolves.
                "LECTERN_EDGE__UPSTREAM": f'["127.0.0.1:{relay}"]',
                "LECTERN_EDGE__UPSTREAM_NAME": "origin",
                "LECTERN_EDGE__DRAIN_SECS": "0",
            }))  # fmt: skip
        self.assertEqual(services()["edge1"]["command"][0], "edge")
        for name, port, here in nodes:
            role = services()[name]["command"][0]
            config = (COMPOSE / f"{role}.toml").read_text()
            for secret in re.findall(r'"(/run/secrets/([\w-]+))"', config):
                self.assertIn(secret[1], services()[name]["secrets"])
            whole = yaml.safe_load((COMPOSE / "docker-compose.yml").read_text())
            for secret, given in whole["secrets"].items():
                config = config.replace(f"/run/secrets/{secret}\"", f"{self.deploy / 'compose' / given['file']}\"")
            environment = {**self.environment(name), **here}
            before = dict(os.environ)
            os.environ.update(environment)
            try:
                ready = lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200
                self.stack.enter_context(running([role], config, self.directory, name, ready))
            finally:
                os.environ.clear()
                os.environ.update(before)
        log = (self.directory / "edge2.log").read_text()
        self.assertIn(f"{ADDRESS}:8289", log, "players are told the port outside")


class Units(unittest.TestCase):
    def test_systemd_reads_them(self):
        with tempfile.TemporaryDirectory() as directory:
            for unit in UNITS.glob("*.service"):
                # Neither the binary nor its user is installed here.
                text = unit.read_text().replace("/usr/local/bin/lectern", "/bin/true")
                text = re.sub(r"^(User|Group)=.*$", r"\1=root", text, flags=re.M)
                Path(directory, unit.name).write_text(text)
            units = sorted(Path(directory).glob("*.service"))
            self.assertEqual([unit.name for unit in units], ["lectern-edge.service", "lectern-origin.service"])
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_they_may_do_little(self):
        for unit in UNITS.glob("*.service"):
            asked = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit]
            done = subprocess.run(asked, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, f"{unit.name} is more exposed than 2.0 of 10:\n{done.stdout}")

    def test_an_edge_has_time_to_let_its_viewers_go(self):
        text = (UNITS / "lectern-edge.service").read_text()
        self.assertGreater(int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.M)[1]), DRAIN_S)

    def test_whom_they_run_as_is_made(self):
        file = UNITS / "sysusers.conf"
        asked = ["systemd-sysusers", "--dry-run", "--root=/", file]
        done = subprocess.run(asked, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(file.read_text(), r"(?m)^u lectern ")


class Installed(unittest.TestCase):
    """The steps of docs/install.md under systemd: its files, given to the binary."""

    def test_the_configurations_that_it_shows_run(self):
        shown = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/install.md").read_text(), re.S)
        origin, edge = (re.sub(r"^ {3}", "", text, flags=re.M) for text in shown)
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            directory = Path(name)
            asked = [ROOT / "deploy/secrets.sh", directory, "origins.internal"]
            subprocess.run(asked, check=True, capture_output=True)
            tls = directory / "tls"
            tls.mkdir()
            # One that browsers would trust; to the edge any will do whose key fits.
            shutil.copy(directory / "relay.pem", tls / "fullchain.pem")
            shutil.copy(directory / "relay-key.pem", tls / "privkey.pem")
            rtmp, relay, http, whip, ops, web, https, media, edge_ops = free_ports(9)
            origin = origin.replace("/etc/lectern", name) + f"""
                rtmp = "127.0.0.1:{rtmp}"
                relay = "127.0.0.1:{relay}"
                http = "127.0.0.1:{http}"
                media = "127.0.0.1:{whip}"
                ops = "127.0.0.1:{ops}"
            """
            self.assertIn('upstream = "origins.internal:4443"', edge)
            edge = edge.replace("/etc/lectern", name).replace("origins.internal:4443", f"127.0.0.1:{relay}")
            edge = edge.replace("[::]:8443", f"127.0.0.1:{https}") + f"""
                upstream_name = "origins.internal"
                http = "127.0.0.1:{web}"
                media = "127.0.0.1:{media}"
                ops = "127.0.0.1:{edge_ops}"
            """
            up = lambda port: lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200
            data = ["origin", "--data-dir", directory / "data"]
            stack.enter_context(running(data, origin, directory, "origin", up(ops)))
            node = stack.enter_context(running(["edge"], edge, directory, "edge", up(edge_ops)))
            # Nobody watches, so that it need not take the time that it has.
            node.terminate()
            self.assertEqual(node.wait(20), 0)

    def test_every_page_and_section_that_the_docs_for_operators_link_to_is_there(self):
        def anchors(page: Path) -> set[str]:
            heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
            return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}

        for name in ("install", "runbooks", "threat-model", "operations", "cdn"):
            page = ROOT / f"docs/{name}.md"
            for path, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", page.read_text()):
                # The chart brings its page along.
                if path == "kubernetes.md" and not (ROOT / "helm/lectern/Chart.yaml").exists():
                    continue
                linked = (page.parent / path).resolve() if path else page
                self.assertTrue(linked.exists(), f"{page.name}: {path}")
                if anchor:
                    self.assertIn(anchor, anchors(linked), f"{page.name}: {path}#{anchor}")
