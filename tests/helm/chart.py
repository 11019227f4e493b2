"""Renders the chart with Helm's own engine, and finds things in what comes out. Tests are in the other files."""

import base64
import contextlib
import copy
import functools
import os
import pathlib

import helm_python as helm
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "lectern"

# The three values that have no default.
NEEDED = {
    "image": {"repository": "registry.example.org/lectern"},
    "edge": {"host": "live.example.org"},
    "origin": {"host": "studio.example.org"},
}


def merged(below, above):
    """`above` laid over `below`, as Helm does with files of values."""
    result = copy.deepcopy(below)
    for key, value in above.items():
        inner = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if inner else value
    return result


@functools.cache
def chart():
    """The chart, loaded once."""
    return helm.Chart.load(CHART)


@functools.cache
def default_values():
    """values.yaml, as Python reads it."""
    return yaml.safe_load((CHART / "values.yaml").read_text())


@contextlib.contextmanager
def quiet():
    """Without what Helm's engine writes to stderr about each refusal, which is in the exception, too."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


class Rendered:
    """What a release would be made of."""

    def __init__(self, values=None, *, needed=True, name="rel", namespace="ns"):
        self.values = merged(NEEDED if needed else {}, values or {})
        with quiet():
            self.texts = chart().render(self.values, name=name, namespace=namespace)
        self.by_template = {
            path.removeprefix("lectern/templates/"): [
                document for document in yaml.safe_load_all(text) if document
            ]
            for path, text in self.texts.items()
            if path.endswith(".yaml")
        }

    @property
    def all(self):
        """Every object."""
        return [each for documents in self.by_template.values() for each in documents]

    def kind(self, kind):
        """Every object of a kind, by name."""
        return {each["metadata"]["name"]: each for each in self.all if each["kind"] == kind}

    def one(self, kind, name):
        """The object of this kind and name."""
        found = self.kind(kind)
        assert name in found, f"there is no {kind} {name}, only {sorted(found)}"
        return found[name]

    @property
    def notes(self):
        """What the operator reads after an install."""
        return self.texts["lectern/templates/NOTES.txt"]

    def workloads(self, role):
        """The workload of origins or edges, or none."""
        component = {"app.kubernetes.io/component": role}
        kinds = ("Deployment", "DaemonSet", "StatefulSet")
        return [e for e in self.all if e["kind"] in kinds and matches(component, e["metadata"]["labels"])]

    def workload(self, role):
        """The workload of origins or edges."""
        [found] = self.workloads(role)
        return found

    def pod(self, role):
        """Its pods' spec."""
        return self.workload(role)["spec"]["template"]["spec"]

    def container(self, role):
        """Its only container."""
        [container] = self.pod(role)["containers"]
        return container

    def env(self, role):
        """Its environment, where it is given as text."""
        return {each["name"]: each.get("value") for each in self.container(role)["env"]}


def refusal(values, *, needed=True):
    """The words with which these values are refused."""
    try:
        Rendered(values, needed=needed)
    except (helm.HelmRenderError, helm.HelmValuesError) as error:
        return str(error)
    raise AssertionError(f"these values were not refused: {values}")


def decoded(secret):
    """What a Secret holds, as bytes."""
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}


def matches(selector, labels):
    """Whether a selector picks what has these labels."""
    return all(labels.get(key) == value for key, value in selector.items())
