"""What tests of the chart share."""

import os
import pathlib

import pytest

import chart
import sets


@pytest.fixture(scope="session", params=sorted(sets.SETS), ids=lambda name: name.replace(" ", "-"))
def any_release(request):
    """A release of each set of values."""
    values = sets.SETS[request.param]
    return _rendered(request.param, values)


_RENDERED = {}


def _rendered(name, values):
    if name not in _RENDERED:
        _RENDERED[name] = chart.Rendered(values)
    return _RENDERED[name]


@pytest.fixture(scope="session")
def least():
    """A release with the three values that are needed, and nothing else."""
    return _rendered("the three that are needed", {})


@pytest.fixture(scope="session")
def lectern():
    """The binary that the Rust tests were built with."""
    binary = pathlib.Path(os.environ.get("LECTERN_BIN", ""))
    if not binary.is_file():
        pytest.fail(f"LECTERN_BIN names no file ({binary}): run `make test`, or set it to a built lectern")
    return binary.resolve()
