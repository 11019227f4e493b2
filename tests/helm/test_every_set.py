"""Whatever the values: Helm finds no fault, Kubernetes knows every field, and what refers to something finds it."""

import functools
import re

import helm_python as helm
import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import pytest

import chart
import sets

# The oldest that Chart.yaml admits, the newest whose schemas there are, and some between.
VERSIONS = ("1.30", "1.32", "1.34", "1.37")
# Kinds of others, whose schemas are not Kubernetes' own; their tests look at what is in them.
FOREIGN = {"Certificate", "Issuer", "HTTPRoute", "ServiceMonitor", "PodMonitor", "PrometheusRule"}

# It would read the same half megabyte for each object.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def test_there_are_sets_enough():
    assert len(sets.SETS) >= 12


@pytest.mark.parametrize("name", sorted(sets.SETS))
def test_helm_lint_finds_nothing(name):
    values = chart.merged(chart.NEEDED, sets.SETS[name])
    report = helm.lint(chart.CHART, values, strict=True, namespace="ns", kube_version="v1.37.0")
    findings = [each for each in report["messages"] if each["severity"] > 1]
    assert (report["errors"], findings) == ([], [])


def test_the_oldest_version_is_the_chart_s():
    assert chart.chart().metadata["kubeVersion"] == f">={VERSIONS[0]}.0-0"
    assert kubernetes_validate.latest_version().startswith(VERSIONS[-1])


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(any_release, version):
    for each in any_release.all:
        if each["kind"] in FOREIGN:
            continue
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except jsonschema.ValidationError as error:
            where = ".".join(map(str, error.absolute_path))
            pytest.fail(f"{each['kind']} {each['metadata']['name']}: {where}: {error.message}")


def test_names_are_valid_and_said_once(any_release):
    seen = set()
    for each in any_release.all:
        name = each["metadata"]["name"]
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name), name
        assert (each["kind"], name) not in seen
        seen.add((each["kind"], name))
        if each["kind"].startswith("Cluster"):
            assert "namespace" not in each["metadata"] and name.startswith("ns-"), name
        else:
            assert each["metadata"]["namespace"] == "ns", name
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "rel", name


def test_the_longest_names_still_fit():
    release = chart.Rendered(sets.SETS["edges with names of their own"], name="a" * 53)
    assert all(len(each["metadata"]["name"]) <= 63 for each in release.all)


def pods(release):
    """Every pod's labels and spec."""
    for each in release.all:
        if each["kind"] == "Pod":
            yield each["metadata"]["labels"], each["spec"]
        elif "template" in each.get("spec", {}):
            template = each["spec"]["template"]
            selector = each["spec"]["selector"]["matchLabels"]
            assert chart.matches(selector, template["metadata"]["labels"])
            yield template["metadata"]["labels"], template["spec"]


def test_pods_may_do_nothing(any_release):
    for _, spec in pods(any_release):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all("hostPath" not in volume for volume in spec.get("volumes", []))
        for container in spec.get("initContainers", []) + spec["containers"]:
            held = container["securityContext"]
            assert held["readOnlyRootFilesystem"] is True
            assert held["allowPrivilegeEscalation"] is False
            assert held["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


def test_the_user_may_be_the_platform_s():
    for _, spec in pods(chart.Rendered({"userId": 0})):
        assert "runAsUser" not in spec["securityContext"] and spec["securityContext"]["runAsNonRoot"] is True


def test_no_name_of_a_variable_is_given_twice(any_release):
    for _, spec in pods(any_release):
        for container in spec["containers"]:
            names = [each["name"] for each in container.get("env", [])]
            assert len(names) == len(set(names)), names


def test_every_service_leads_to_a_port_of_a_pod(any_release):
    for name, service in any_release.kind("Service").items():
        selector = dict(service["spec"]["selector"])
        # The one pod of a StatefulSet has a label more, which Kubernetes gives it.
        pod_name = selector.pop("statefulset.kubernetes.io/pod-name", None)
        found = [spec for labels, spec in pods(any_release) if chart.matches(selector, labels)]
        assert len(found) == 1, name
        if pod_name:
            sets_there = any_release.kind("StatefulSet")
            owner, _, ordinal = pod_name.rpartition("-")
            assert int(ordinal) < sets_there[owner]["spec"]["replicas"], name
        open_ports = {(port["name"], port["protocol"]) for port in found[0]["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            assert (port["targetPort"], port["protocol"]) in open_ports, (name, port)


def test_every_policy_names_ports_that_are_there(any_release):
    for name, policy in any_release.kind("NetworkPolicy").items():
        selector = policy["spec"]["podSelector"]["matchLabels"]
        [spec] = [spec for labels, spec in pods(any_release) if chart.matches(selector, labels)]
        there = {(port["name"], port["protocol"]) for port in spec["containers"][0]["ports"]}
        for rule in policy["spec"]["ingress"]:
            for port in rule["ports"]:
                assert (port["port"], port["protocol"]) in there, (name, port)


def test_what_backends_name_is_there(any_release):
    services = any_release.kind("Service")
    for ingress in any_release.kind("Ingress").values():
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = [port["name"] for port in services[backend["name"]]["spec"]["ports"]]
                assert backend["port"]["name"] in ports
    for route in any_release.kind("HTTPRoute").values():
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                ports = [port["port"] for port in services[backend["name"]]["spec"]["ports"]]
                assert backend["port"] in ports


def given(values):
    """Names of Secrets that values say are there."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from given(value)
        elif key.endswith("Secret") and isinstance(value, str):
            yield value
        elif key in ("extraEnv", "extraEnvFrom"):
            yield from re.findall(r"'name': '([a-z-]+)'", str(value))


def test_what_pods_mount_is_there(any_release):
    secrets = set(any_release.kind("Secret")) | set(given(any_release.values))
    secrets |= {each["spec"]["secretName"] for each in any_release.kind("Certificate").values()}
    maps = set(any_release.kind("ConfigMap"))
    for _, spec in pods(any_release):
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        claimed = {"data"} if "data" not in volumes else set()
        for container in spec.get("initContainers", []) + spec["containers"]:
            for mount in container.get("volumeMounts", []):
                assert mount["name"] in set(volumes) | claimed, mount
            for each in container.get("env", []):
                reference = each.get("valueFrom", {}).get("secretKeyRef")
                assert not reference or reference["name"] in secrets, reference
        for volume in volumes.values():
            for source in [volume, *volume.get("projected", {}).get("sources", [])]:
                if "secret" in source:
                    name = source["secret"].get("secretName") or source["secret"]["name"]
                    assert name in secrets, name
                # The cluster's own is in every namespace.
                if "configMap" in source and source["configMap"]["name"] != "kube-root-ca.crt":
                    assert source["configMap"]["name"] in maps


def test_no_secret_is_in_a_config_map_nor_in_a_pod(any_release):
    hidden = [
        value.decode(errors="replace")
        for secret in any_release.kind("Secret").values()
        for value in chart.decoded(secret).values()
        if b"[edge]" not in value and b"[origin]" not in value
    ]
    shown = [str(each) for each in any_release.all if each["kind"] != "Secret"]
    for value in hidden:
        assert not any(value.strip() in text for text in shown)
