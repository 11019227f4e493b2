"""What a pod of the chart would start, as a process on this machine: its volumes as files, its environment resolved."""

import base64
import re
import socket

# What a node and its pod would be told.
FIELDS = {"status.hostIP": "203.0.113.10", "status.hostIPs": "203.0.113.10,2001:db8::10"}


class Incomplete(Exception):
    """A pod mounts or names what the chart does not make."""


def loopback_port(name):
    """A port that nobody has now, for a setting; for media 0, since that needs UDP and TCP of one number."""
    if name.endswith("__MEDIA"):
        return 0
    kind = socket.SOCK_DGRAM if name.endswith("__RELAY") else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def complete(release, role):
    """Whether everything that the role's pods need is made by the chart."""
    try:
        list(_files(release, role))
        _environment(release, role)
    except Incomplete:
        return False
    return True


def _data(release, kind, name):
    """What a ConfigMap or Secret of the release holds, as bytes."""
    found = release.kind(kind).get(name)
    if found is None:
        raise Incomplete(f"{kind} {name}")
    data = found["data"]
    if kind == "ConfigMap":
        return {key: value.encode() for key, value in data.items()}
    return {key: base64.b64decode(value) for key, value in data.items()}


def _source(release, source):
    """The files of one source of a volume: path and content."""
    if "configMap" in source:
        yield from _data(release, "ConfigMap", source["configMap"]["name"]).items()
    elif "secret" in source:
        data = _data(release, "Secret", source["secret"].get("secretName") or source["secret"]["name"])
        items = source["secret"].get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            yield item["path"], data[item["key"]]


def _files(release, role):
    """Every file that is mounted: where, and its content."""
    volumes = {each["name"]: each for each in release.pod(role).get("volumes", [])}
    for mount in release.container(role)["volumeMounts"]:
        volume = volumes.get(mount["name"], {})
        if mount["name"] == "addresses":
            # As the init container writes it.
            yield f"{mount['mountPath']}/media", b"203.0.113.10\n"
        for source in volume.get("projected", {}).get("sources", [volume]):
            for path, content in _source(release, source):
                yield f"{mount['mountPath']}/{path}", content


def _environment(release, role):
    """The environment as a kubelet makes it: in order, with references to what came before."""
    env = {}
    for each in release.container(role)["env"]:
        reference = each.get("valueFrom", {})
        if "fieldRef" in reference:
            value = FIELDS[reference["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in reference:
            wanted = reference["secretKeyRef"]
            value = _data(release, "Secret", wanted["name"])[wanted["key"]].decode()
        else:
            value = re.sub(r"\$\((\w+)\)", lambda name: env.get(name[1], name[0]), each["value"])
        env[each["name"]] = value
    return env


class Start:
    """What is needed to start a role: `args` after the binary, and `env`. On loopback its ports are moved to free
    ones of that, which `ports` has by the last part of their settings' names."""

    def __init__(self, release, role, directory, *, loopback=True):
        mounted = [each["mountPath"] for each in release.container(role)["volumeMounts"]]
        for path in mounted:
            (directory / path.lstrip("/")).mkdir(parents=True)
        for path, content in _files(release, role):
            target = directory / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self.env, self.ports = {}, {}
        for name, value in _environment(release, role).items():
            if any(value.startswith(path) for path in mounted):
                value = str(directory / value.lstrip("/"))
            if loopback and re.fullmatch(r"(?:0\.0\.0\.0|\[::\]):\d+", value):
                self.ports[name.rpartition("__")[2]] = port = loopback_port(name)
                value = f"127.0.0.1:{port}"
            self.env[name] = value
        self.args = [
            str(directory / each.lstrip("/")) if each.startswith("/") else each
            for each in release.container(role)["args"]
        ]
        self.config = self.args[-1]
