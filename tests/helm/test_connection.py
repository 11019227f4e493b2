"""tests/connection.yaml: what `helm test` asks, tried with the shell and a `wget` that knows which Services there are."""

import os
import re
import subprocess

import chart


def script(values=None):
    release = chart.Rendered(values)
    [pod] = release.kind("Pod").values()
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    [container] = pod["spec"]["containers"]
    return release, [*container["command"], *container["args"]]


def run(command, directory, down=()):
    """Runs it where `wget` fails for what is down."""
    wget = directory / "wget"
    case = "".join(f"  *{each}*) exit 1;;\n" for each in down)
    wget.write_text(f'#!/bin/sh\nfor last; do :; done\ncase "$last" in\n{case}  *) exit 0;;\nesac\n')
    wget.chmod(0o755)
    env = {"PATH": f"{directory}:{os.environ['PATH']}"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=False)


def test_it_asks_services_that_are_there():
    named = {"edge": {"kind": "StatefulSet", "hosts": ["a.example", "b.example"]}}
    for values in ({}, named, {"edge": {"enabled": False}}):
        release, command = script(values)
        asked = re.findall(r"http://([^:/]+):(\d+)/", command[-1])
        assert asked
        for name, port in asked:
            ports = [each["port"] for each in release.one("Service", name)["spec"]["ports"]]
            assert int(port) in ports


def test_it_passes_when_everything_answers(tmp_path):
    done = run(script()[1], tmp_path)
    assert done.returncode == 0 and "FAILED" not in done.stdout and done.stdout.count("ok ") == 7


def test_it_fails_and_says_what_does_not_answer(tmp_path):
    done = run(script()[1], tmp_path, down=[":9091/readyz"])
    assert done.returncode != 0
    assert "FAILED  the edges have reached their upstream" in done.stdout
    assert "ok      pages are served" in done.stdout, "it goes on, so that all is known at once"
