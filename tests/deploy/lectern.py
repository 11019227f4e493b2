"""Lectern as an operator runs it: the binary of LECTERN_BIN on free ports of loopback, and what its
`/metrics` expose. Who asks what of it, the tests say."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from local import ROOT, binary, free_ports

READY_S = 60
STOP_S = 15


def get(url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """The status and the body, whatever the status is; 0 if nobody answers."""
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_for(what: str, is_there, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not is_there():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{what} is not there:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


@contextmanager
def running(arguments: list[str], config: str, directory: Path, name: str, ready):
    """A node, until the block is left. `ready` says whether it is there; the log is NAME.log."""
    file, log = directory / f"{name}.toml", directory / f"{name}.log"
    file.write_text(config)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [binary(), *arguments, "--config", file], stdout=out, stderr=out, cwd=directory
        )
    try:
        wait_for(name, ready, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Families:
    """What `/metrics` say: of each name its type, its help and its labels."""

    def __init__(self, text: str) -> None:
        self.types: dict[str, str] = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M))
        self.helps: dict[str, str] = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.M))
        self.labels: dict[str, set[str]] = {name: set() for name in self.types}
        for name, labels in re.findall(r"^(\w+)\{(.*)\} \S+$", text, re.M):
            family = name if name in self.types else re.sub(r"_(bucket|sum|count)$", "", name)
            self.labels[family] |= set(re.findall(r'(\w+)="', labels)) - {"le"}


def exposed(*ports: int) -> Families:
    return Families("\n".join(get(f"http://127.0.0.1:{port}/metrics")[1] for port in ports))
