"""edge-services.yaml and edge-media-services.yaml."""

import chart

NAMED = {"kind": "StatefulSet", "hosts": ["a.example", "b.example"]}


def test_a_viewer_stays_with_one_edge(least):
    spec = least.one("Service", "rel-lectern-edge")["spec"]
    assert (spec["type"], spec["sessionAffinity"]) == ("ClusterIP", "ClientIP")
    assert "publishNotReadyAddresses" not in spec, "who comes anew is not sent to an edge that drains"


def test_the_common_name_may_lead_to_edges_that_drain():
    release = chart.Rendered({"edge": {**NAMED, "http": {"service": {"publishNotReadyAddresses": True}}}})
    assert release.one("Service", "rel-lectern-edge")["spec"]["publishNotReadyAddresses"] is True


def test_metrics_of_an_edge_that_drains_are_still_read(least):
    assert least.one("Service", "rel-lectern-edge-ops")["spec"]["publishNotReadyAddresses"] is True


def test_an_edge_with_a_name_is_reached_by_it_also_while_it_drains():
    release = chart.Rendered({"edge": NAMED})
    for ordinal in (0, 1):
        spec = release.one("Service", f"rel-lectern-edge-{ordinal}")["spec"]
        assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == f"rel-lectern-edge-{ordinal}"
        assert spec["publishNotReadyAddresses"] is True


def test_https_of_the_edges_own_has_a_port():
    release = chart.Rendered({"edge": {"https": {"enabled": True}}, "certificates": {"mode": "existing"}})
    ports = {each["name"]: each["port"] for each in release.one("Service", "rel-lectern-edge")["spec"]["ports"]}
    assert ports == {"http": 8080, "https": 443}


def test_a_service_that_is_reached_from_outside_keeps_viewers_addresses():
    release = chart.Rendered({"edge": {"http": {"service": {"type": "LoadBalancer", "port": 80}}}})
    spec = release.one("Service", "rel-lectern-edge")["spec"]
    assert spec["externalTrafficPolicy"] == "Local" and spec["ports"][0]["port"] == 80


def test_a_node_port_never_leaves_its_node():
    release = chart.Rendered({"edge": {"media": {"exposure": "nodePort", "port": 30189}}})
    spec = release.one("Service", "rel-lectern-edge-media")["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("NodePort", "Local")
    # Viewers of an edge that drains go on.
    assert spec["publishNotReadyAddresses"] is True
    assert {(port["nodePort"], port["protocol"]) for port in spec["ports"]} == {(30189, "UDP"), (30189, "TCP")}


def balancers(**media):
    listed = {"exposure": "loadBalancer", "addressSource": "list", "addresses": ["192.0.2.1"], **media}
    release = chart.Rendered({"edge": {"kind": "StatefulSet", "replicas": 3, "media": listed}})
    return {name: each for name, each in release.kind("Service").items() if name.endswith("-media")}


def test_each_edge_has_a_load_balancer_of_its_own():
    services = balancers(service={"annotations": {"a": "b"}, "loadBalancerClass": "c.example/d"})
    assert sorted(services) == [f"rel-lectern-edge-{ordinal}-media" for ordinal in range(3)]
    pods = {each["spec"]["selector"]["statefulset.kubernetes.io/pod-name"] for each in services.values()}
    assert len(pods) == 3
    for each in services.values():
        assert each["spec"]["publishNotReadyAddresses"] is True
        assert each["spec"]["loadBalancerClass"] == "c.example/d"
        assert each["metadata"]["annotations"] == {"a": "b"}
        assert {port["protocol"] for port in each["spec"]["ports"]} == {"UDP", "TCP"}


def test_a_load_balancer_may_have_udp_alone():
    for each in balancers(tcp=False).values():
        assert {port["protocol"] for port in each["spec"]["ports"]} == {"UDP"}
