"""origin-config.yaml and edge-config.yaml: the file is passed on as it is, and the binary takes it."""

import re
import subprocess

import pytest

import chart
import process
import sets

TEXTS = [
    "[edge]\nsessions_max = 5\n",
    '\n\n  # begins with a line that is empty, and one that is set in\n[edge]\n\tlobby = true # "quoted" \'both\'\n',
    '[edge]\ncomment_origins = ["https://uni.example"] # {{ .Values.image }} is not a template',
    "",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("hidden", [False, True], ids=["ConfigMap", "Secret"])
def test_it_is_passed_on_to_the_letter(text, hidden):
    release = chart.Rendered({"edge": {"config": text, "configInSecret": hidden}})
    made = release.one("Secret" if hidden else "ConfigMap", "rel-lectern-edge")
    passed_on = chart.decoded(made)["lectern.toml"].decode() if hidden else made["data"]["lectern.toml"]
    assert passed_on == text
    assert ("rel-lectern-edge" in release.kind("ConfigMap")) is not hidden


def test_one_that_others_made_is_mounted_and_none_is_made():
    release = chart.Rendered({"origin": {"existingConfigSecret": "mine"}})
    [volume] = [each for each in release.pod("origin")["volumes"] if each["name"] == "config"]
    assert volume["secret"]["secretName"] == "mine"
    assert "rel-lectern-origin" not in {**release.kind("ConfigMap"), **release.kind("Secret")}


def test_it_is_read_from_where_it_is_mounted(least):
    for role in ("origin", "edge"):
        container = least.container(role)
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "config"]
        assert container["args"] == [role, "--config", f"{mount['mountPath']}/lectern.toml"]


def checked(lectern, release, role, directory):
    """What check-config says of what a pod of the role would start with."""
    start = process.Start(release, role, directory, loopback=False)
    command = [lectern, "check-config", "--role", role, "--config", start.config]
    done = subprocess.run(command, env=start.env, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def startable():
    """Releases in which everything that pods mount is made by the chart, and a role of each."""
    for name in sorted(sets.SETS):
        release = chart.Rendered(sets.SETS[name])
        for role in ("origin", "edge"):
            if release.workloads(role) and process.complete(release, role):
                yield pytest.param(release, role, id=f"{role}-{name.replace(' ', '-')}")


STARTABLE = list(startable())


def test_most_sets_are_tried():
    assert len(STARTABLE) >= 12


@pytest.mark.parametrize(("release", "role"), STARTABLE)
def test_the_binary_takes_what_a_pod_is_given(lectern, release, role, tmp_path):
    code, said = checked(lectern, release, role, tmp_path)
    assert code == 0, said
    # Where it would listen is what the pod says of its ports.
    listens = {(int(port), protocol) for protocol, port in re.findall(r"(TCP|UDP) \S+:(\d+)\n", said)}
    ports = {(each["containerPort"], each["protocol"]) for each in release.container(role)["ports"]}
    media = release.values[role].get("media", {})
    if media.get("exposure") == "none":
        ports.add((8190, "UDP"))
    assert listens == ports


@pytest.mark.parametrize(
    ("role", "text", "named"),
    [("origin", "[origin]\nrelay_window_sec = 5\n", "relay_window_sec"), ("edge", "[edge]\nlobby = 5\n", "lobby")],
)
def test_the_binary_refuses_a_wrong_one_and_names_the_key(lectern, role, text, named, tmp_path):
    code, said = checked(lectern, chart.Rendered({role: {"config": text}}), role, tmp_path)
    assert code != 0 and named in said, said
