"""values.schema.json: knows every value and no other, and refuses bad ones in words that name them."""

import json

import pytest

import chart

SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text())


def resolved(schema):
    return SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def keys(schema, path=()):
    schema = resolved(schema)
    if "properties" not in schema:
        yield ".".join(path)
        return
    for key, below in schema["properties"].items():
        yield from keys(below, (*path, key))


def known(values, schema, path=()):
    """Whether each value has a place in the schema where others have none."""
    schema = resolved(schema)
    for key, value in values.items():
        if "properties" in schema:
            assert schema.get("additionalProperties") is False, ".".join(path)
            assert key in schema["properties"], ".".join((*path, key))
            if isinstance(value, dict):
                known(value, schema["properties"][key], (*path, key))


def test_every_value_has_a_place():
    known(chart.default_values(), SCHEMA)


def test_nothing_is_in_the_schema_that_is_not_in_the_values():
    def there(path):
        values = chart.default_values()
        for part in path.split("."):
            if part not in values:
                return False
            values = values[part]
        return True

    # What has a default in Kubernetes need not be said here.
    optional = {"global"} | {
        f"{role}.{probe}.{key}"
        for role in ("origin", "edge")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        for key in ("initialDelaySeconds", "successThreshold")
    }
    assert {path for path in keys(SCHEMA) if not there(path)} == optional


@pytest.mark.parametrize(
    ("values", "named", "said"),
    [
        ({"egde": {}}, "''", "'egde' not allowed"),
        ({"edge": {"replica": 3}}, "/edge", "'replica' not allowed"),
        ({"edge": {"kind": "ReplicaSet"}}, "/edge/kind", "'Deployment', 'DaemonSet', 'StatefulSet'"),
        ({"edge": {"replicas": "three"}}, "/edge/replicas", "want integer"),
        ({"edge": {"replicas": 0}}, "/edge/replicas", "minimum"),
        ({"edge": {"host": "https://live.example.org"}}, "/edge/host", "does not match pattern"),
        ({"edge": {"hosts": ["a.example", "a.example"]}}, "/edge/hosts", "equal"),
        ({"edge": {"config": {"edge": {}}}}, "/edge/config", "want string"),
        ({"edge": {"media": {"exposure": "hostNetwork"}}}, "/edge/media/exposure", "'nodePort'"),
        ({"edge": {"media": {"port": 70000}}}, "/edge/media/port", "65"),
        ({"edge": {"media": {"addresses": ["live.example.org"]}}}, "/edge/media/addresses/0", "pattern"),
        ({"edge": {"media": {"addresses": ["192.0.2.1"] * 17}}}, "/edge/media/addresses", "maxItems"),
        ({"edge": {"upstream": ["quic://origin"]}}, "/edge/upstream/0", "pattern"),
        ({"edge": {"drainSeconds": -1}}, "/edge/drainSeconds", "minimum"),
        ({"edge": {"livenessProbe": {"httpGet": {}}}}, "/edge/livenessProbe", "'httpGet' not allowed"),
        ({"edge": {"maxUnavailable": "150%"}}, "/edge/maxUnavailable", "pattern"),
        ({"edge": {"autoscaling": {"targetEgress": "800 Mbit/s"}}}, "/edge/autoscaling/targetEgress", "pattern"),
        ({"origin": {"persistence": {"size": "five"}}}, "/origin/persistence/size", "pattern"),
        ({"origin": {"rtmp": {"service": {"type": "None"}}}}, "/origin/rtmp/service/type", "'LoadBalancer'"),
        ({"image": {"digest": "latest"}}, "/image/digest", "pattern"),
        ({"database": {"type": "mysql"}}, "/database/type", "'sqlite', 'postgres'"),
        ({"relay": {"tls": {"mode": "none"}}}, "/relay/tls/mode", "'generate'"),
        ({"certificates": {"mode": "acme"}}, "/certificates/mode", "'certManager'"),
        ({"listenAddress": "localhost"}, "/listenAddress", "'0.0.0.0', '::'"),
        ({"networkPolicy": {"httpFrom": ["ingress"]}}, "/networkPolicy/httpFrom/0", "want object"),
        ({"monitoring": {"podMonitor": {"interval": 15}}}, "/monitoring/podMonitor/interval", "want string"),
        (
            {"edge": {"topologySpreadConstraints": [{"topologyKey": "zone"}]}},
            "/edge/topologySpreadConstraints/0",
            "whenUnsatisfiable",
        ),
    ],
)
def test_a_bad_value_is_named(values, named, said):
    told = chart.refusal(values)
    assert f"at '{named}" in told.replace("at ''", "at '''") and said in told, told


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"database": {"type": "postgres", "url": "mysql://geheim@db"}}, "database.url"),
        ({"relay": {"token": {"value": "geheim geheim"}}}, "relay.token.value"),
        ({"relay": {"token": {"value": "g" * 257}}}, "relay.token.value"),
    ],
)
def test_no_refusal_repeats_a_secret(values, named):
    told = chart.refusal(values)
    assert named in told and "geheim" not in told and "ggg" not in told, told
