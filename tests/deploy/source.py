"""The metrics that the code registers: its own account of those that a process exposes with the first event
of their kind, and not before. A registration that this does not understand is one that it does not find, and
then the test that looks for it fails."""

import re
from pathlib import Path

from lectern import ROOT

PARTS = ("src", "relay-proto/src", "origin/src", "edge/src")
# maker.counters("name", "help", &["label"]), the short forms of it that take one label, and
# GaugeVec::new(Opts::new("name", "help"), &["label"]).
REGISTERED = re.compile(
    r'\b\w+\(\s*"(lectern_[a-z0-9_]+)"\s*,\s*(?:"(?:[^"\\]|\\.)*"|\w+)\s*'
    r'(?:,\s*(?:&\[([^\]]*)\]|("\w+")))?\s*,?\s*\)(?:\s*,\s*&\[([^\]]*)\])?',
    re.S,
)


def files() -> list[Path]:
    return [file for part in PARTS for file in sorted((ROOT / part).rglob("*.rs"))]


def registered() -> dict[str, set[str]]:
    """Of each metric its labels."""
    found: dict[str, set[str]] = {}
    for file in files():
        for name, many, one, beside in REGISTERED.findall(file.read_text()):
            # A test may name it as well, and has no labels to add.
            found.setdefault(name, set()).update(re.findall(r'"(\w+)"', many or one or beside))
    return found


def words() -> set[str]:
    """Every text in the code that may be a label's value."""
    return {word for file in files() for word in re.findall(r'"([\w-]+)"', file.read_text())}
