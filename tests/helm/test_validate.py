"""validate.yaml: values that contradict each other are refused, with the values and the remedy in the message."""

import pytest

import chart

POSTGRES = {"type": "postgres", "existingSecret": "db"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"origin": {"enabled": False}, "edge": {"enabled": False}}, ["origin.enabled", "edge.enabled"]),
        ({"origin": {"replicas": 2}}, ["origin.replicas is 2", "database.type=postgres"]),
        ({"database": {"type": "postgres"}}, ["database.existingSecret"]),
        ({"database": {**POSTGRES, "url": "postgres://a@b/c"}}, ["database.url", "one of the two"]),
        ({"database": {"existingSecret": "db"}}, ["database.type=postgres"]),
        ({"relay": {"token": {"value": "a", "existingSecret": "b"}}}, ["relay.token.value", "one of the two"]),
        ({"relay": {"tls": {"mode": "existing"}}}, ["relay.tls.existingSecret"]),
        ({"relay": {"tls": {"existingSecret": "a"}}}, ["relay.tls.mode=existing"]),
        ({"certificates": {"mode": "certManager"}}, ["certificates.issuerRef.name"]),
        ({"edge": {"media": {"exposure": "nodePort"}}}, ["edge.media.port is 8189", "30000 to 32767"]),
        ({"origin": {"media": {"exposure": "nodePort"}}}, ["origin.media.port is 8190"]),
        ({"edge": {"media": {"addressSource": "list"}}}, ["edge.media.addresses is empty"]),
        ({"edge": {"media": {"addresses": ["192.0.2.1"]}}}, ["edge.media.addressSource=list"]),
        (
            {"edge": {"media": {"exposure": "loadBalancer", "addressSource": "list", "addresses": ["192.0.2.1"]}}},
            ["edge.kind", "StatefulSet"],
        ),
        (
            {"edge": {"kind": "StatefulSet", "media": {"exposure": "loadBalancer"}}},
            ["edge.media.addressSource", "load balancer"],
        ),
        ({"origin": {"media": {"exposure": "loadBalancer"}}}, ["origin.media.addresses"]),
        ({"edge": {"hosts": ["a.example", "b.example"]}}, ["edge.hosts", "StatefulSet"]),
        ({"edge": {"kind": "StatefulSet", "hosts": ["a.example"]}}, ["edge.hosts has 1", "edge.replicas is 2"]),
        ({"edge": {"kind": "DaemonSet", "autoscaling": {"enabled": True}}}, ["edge.autoscaling.enabled"]),
        (
            {"edge": {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}}},
            ["targetCPUUtilizationPercentage", "targetViewers"],
        ),
        (
            {"edge": {"autoscaling": {"enabled": True, "minReplicas": 20}}},
            ["edge.autoscaling.minReplicas", "edge.autoscaling.maxReplicas"],
        ),
        ({"edge": {"https": {"enabled": True}}}, ["edge.https.enabled", "certificates.mode"]),
        ({"edge": {"https": {"hostPort": 443}}}, ["edge.https.hostPort", "edge.https.enabled"]),
        (
            {"edge": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}}},
            ["edge.ingress.enabled", "one of the two"],
        ),
        (
            {"origin": {"ingress": {"enabled": False}, "httpRoute": {"enabled": True}}},
            ["origin.httpRoute.parentRefs"],
        ),
        (
            {"monitoring": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            ["monitoring.podMonitor.enabled"],
        ),
        ({"origin": {"enabled": False}}, ["edge.upstream"]),
        ({"origin": {"enabled": False}, "edge": {"upstream": ["a:1"]}}, ["relay.tls.mode", "ca.crt"]),
        (
            {
                "origin": {"enabled": False},
                "edge": {"upstream": ["a:1"]},
                "relay": {"tls": {"mode": "existing", "existingSecret": "a"}},
            },
            ["relay.token.existingSecret"],
        ),
        ({"origin": {"host": "live.example.org"}}, ["origin.host", "live.example.org", "give them two"]),
        ({"edge": {"configInSecret": True, "existingConfigSecret": "a"}}, ["edge.configInSecret"]),
    ],
)
def test_a_contradiction_is_named(values, said):
    told = chart.refusal(values)
    assert all(each in told for each in said), told


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("image", "image.repository=registry.example.org/lectern"),
        ("edge", "edge.host is empty"),
        ("origin", "origin.host is empty"),
    ],
)
def test_each_of_the_three_is_asked_for(missing, said):
    rest = {key: value for key, value in chart.NEEDED.items() if key != missing}
    assert said in chart.refusal(rest, needed=False)


@pytest.mark.parametrize(
    ("role", "text", "key"),
    [
        ("origin", '[origin]\nrtmp = "0.0.0.0:1936"', "rtmp"),
        ("origin", 'data_dir = "/data"', "data_dir"),
        ("origin", 'origin.relay_token = "abc"', "relay_token"),
        ("origin", '[origin]\n  database="sqlite:/tmp/a"', "database"),
        ("edge", '[edge]\nhttps = "0.0.0.0:443"', "https"),
        ("edge", "[edge]\ndrain_secs = 5", "drain_secs"),
        ("edge", '[edge]\nmedia_addresses = ["192.0.2.1"]', "media_addresses"),
        ("edge", '[edge]\nupstream = "a:1"', "upstream"),
    ],
)
def test_what_the_chart_sets_is_not_set_twice(role, text, key):
    told = chart.refusal({role: {"config": text}})
    assert f'{role}.config sets "{key}"' in told and "NAME" not in told, told


def test_siblings_are_the_chart_s_only_where_edges_have_names():
    siblings = {"config": '[edge]\nsiblings = ["https://a.example"]\n'}
    assert chart.Rendered({"edge": siblings})
    named = {"kind": "StatefulSet", "hosts": ["a.example", "b.example"]}
    assert 'sets "siblings"' in chart.refusal({"edge": {**siblings, **named}})


def test_names_that_only_begin_alike_are_let_through():
    edge = "[edge]\nhttp_connections_max = 5\nmedia_tcp_max = 5\nrelay_window_bytes_max = 5\n# http = 1\n"
    origin = "[origin]\nrelay_window_secs = 60\nlimits.connections_max = 5\n"
    assert chart.Rendered({"edge": {"config": edge}, "origin": {"config": origin}})


def test_addresses_may_stand_in_the_file_if_it_is_said():
    text = '[edge]\nmedia_addresses = ["192.0.2.1"]\n'
    release = chart.Rendered({"edge": {"config": text, "media": {"addressSource": "config"}}})
    assert "LECTERN_EDGE__MEDIA_ADDRESSES" not in release.env("edge")


@pytest.mark.parametrize(
    ("role", "text", "key"),
    [
        ("origin", '[[broadcast]]\nid = "a"\nstream_key = "geheim"', "stream_key"),
        ("origin", '[[broadcast]]\nid = "a"\nmoderator_key = "geheim"', "moderator_key"),
        ("origin", '[origin.oidc]\nclient_secret = "geheim"', "client_secret"),
        ("edge", '[edge]\nice_servers = [{ urls = ["turn:a"], credential = "geheim" }]', "credential"),
    ],
)
def test_a_secret_does_not_go_into_a_config_map(role, text, key):
    told = chart.refusal({role: {"config": text}})
    assert f'"{key}"' in told and f"{role}.configInSecret=true" in told and "geheim" not in told, told
    assert chart.Rendered({role: {"config": text, "configInSecret": True}})
