"""What the three needed values give works: an origin and an edge start with what their pods would be given, and the
edge reaches the origin by the chart's own certificate and token."""

import contextlib
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import chart
import process

DEADLINE_SECS = 30


@contextlib.contextmanager
def started(lectern, start, log):
    """The process, until the block ends."""
    with log.open("w") as out:
        running = subprocess.Popen([lectern, *start.args], env=start.env, stdout=out, stderr=out)
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(timeout=15)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def answer(port, path):
    """Status and text of a request to loopback; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def until(port, path, wanted, running, log):
    """Asks until the answer has the wanted status and begins with the wanted text, or the deadline passes."""
    deadline = time.monotonic() + DEADLINE_SECS
    told = None
    while time.monotonic() < deadline:
        told = answer(port, path)
        if told[0] == wanted[0] and told[1].startswith(wanted[1]):
            return
        assert running.poll() is None, f"it ended: {log.read_text()}"
        time.sleep(0.05)
    pytest.fail(f"{path} says {told} and not {wanted}: {log.read_text()}")


def pair(lectern, tmp_path, origin_release, edge_release):
    """An origin and an edge that knows it by the name that is in the certificate."""
    origin = process.Start(origin_release, "origin", tmp_path / "origin")
    edge = process.Start(edge_release, "edge", tmp_path / "edge")
    [upstream] = json.loads(edge.env["LECTERN_EDGE__UPSTREAM"])
    edge.env["LECTERN_EDGE__UPSTREAM_NAME"] = upstream.rpartition(":")[0]
    edge.env["LECTERN_EDGE__UPSTREAM"] = f"127.0.0.1:{origin.ports['RELAY']}"
    return origin, edge


def test_an_edge_is_let_in_and_serves_and_drains(lectern, least, tmp_path):
    origin, edge = pair(lectern, tmp_path, least, least)
    logs = [tmp_path / "origin.log", tmp_path / "edge.log"]
    with started(lectern, edge, logs[1]) as edge_running:
        # Alive before there is an origin, and not to be sent viewers: so probes are told apart.
        until(edge.ports["OPS"], "/healthz", (200, "ok"), edge_running, logs[1])
        until(edge.ports["OPS"], "/readyz", (503, "not ready"), edge_running, logs[1])
        with started(lectern, origin, logs[0]) as origin_running:
            until(origin.ports["OPS"], "/readyz", (200, "ready"), origin_running, logs[0])
            until(edge.ports["OPS"], "/readyz", (200, "ready"), edge_running, logs[1])
            assert answer(edge.ports["HTTP"], "/time")[0] == 200
            assert answer(edge.ports["HTTP"], "/")[0] == 200
            assert answer(origin.ports["HTTP"], "/api/v1/openapi.json")[0] == 200
            edge_running.send_signal(signal.SIGTERM)
            edge_running.wait(timeout=DEADLINE_SECS)
            assert edge_running.returncode == 0, logs[1].read_text()
    assert f"secs_max={edge.env['LECTERN_EDGE__DRAIN_SECS']}" in logs[1].read_text()


def test_an_edge_of_another_release_is_not_let_in(lectern, least, tmp_path):
    # Its authority is another one: each release has made its own.
    stranger = chart.Rendered()
    origin, edge = pair(lectern, tmp_path, least, stranger)
    logs = [tmp_path / "origin.log", tmp_path / "edge.log"]
    with started(lectern, origin, logs[0]) as origin_running, started(lectern, edge, logs[1]) as edge_running:
        until(origin.ports["OPS"], "/readyz", (200, "ready"), origin_running, logs[0])
        until(edge.ports["OPS"], "/readyz", (503, "not ready: upstream"), edge_running, logs[1])
        assert "not trusted" in answer(edge.ports["OPS"], "/readyz")[1]
