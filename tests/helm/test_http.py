"""ingress.yaml and httproute.yaml: how browsers come."""

import chart

NAMED = {"kind": "StatefulSet", "hosts": ["live.example.org", "edge-1.example.org"]}
GATEWAY = {
    "ingress": {"enabled": False},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]},
}


def test_each_role_has_its_name(least):
    for role, host in (("origin", "studio.example.org"), ("edge", "live.example.org")):
        spec = least.one("Ingress", f"rel-lectern-{role}")["spec"]
        assert [rule["host"] for rule in spec["rules"]] == [host]
        assert "tls" not in spec and "ingressClassName" not in spec


def test_annotations_and_class_are_passed_on():
    ingress = {"className": "nginx", "annotations": {"nginx.ingress.kubernetes.io/affinity": "cookie"}}
    made = chart.Rendered({"edge": {"ingress": ingress}}).one("Ingress", "rel-lectern-edge")
    assert made["spec"]["ingressClassName"] == "nginx"
    assert made["metadata"]["annotations"] == ingress["annotations"]


def test_an_edge_s_name_leads_to_that_edge():
    spec = chart.Rendered({"edge": NAMED}).one("Ingress", "rel-lectern-edge")["spec"]
    lead = {rule["host"]: rule["http"]["paths"][0]["backend"]["service"]["name"] for rule in spec["rules"]}
    # The common name, where it is also an edge's, leads to all of them.
    assert lead == {"live.example.org": "rel-lectern-edge", "edge-1.example.org": "rel-lectern-edge-1"}


def test_there_is_none_where_it_is_not_wanted():
    release = chart.Rendered({"edge": {"ingress": {"enabled": False}}, "origin": {"ingress": {"enabled": False}}})
    assert not release.kind("Ingress") and not release.kind("HTTPRoute")


def test_routes_of_a_gateway():
    release = chart.Rendered({"edge": {**GATEWAY, **NAMED}, "origin": GATEWAY})
    assert not release.kind("Ingress")
    routes = release.kind("HTTPRoute")
    hosts = {name: route["spec"]["hostnames"] for name, route in routes.items()}
    assert hosts == {
        "rel-lectern-origin": ["studio.example.org"],
        "rel-lectern-edge": ["live.example.org"],
        "rel-lectern-edge-1": ["edge-1.example.org"],
    }
    for route in routes.values():
        assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
        [rule] = route["spec"]["rules"]
        # Of the Gateway API: no limit. Comments stay on one WebSocket.
        assert rule["timeouts"] == {"request": "0s"}
    assert release.env("origin")["LECTERN_ORIGIN__WATCH_URL"].startswith("https://")


def test_a_gateway_is_told_to_keep_viewers_at_their_edge():
    sticky = {"type": "Cookie", "sessionName": "edge"}
    edge = chart.merged(GATEWAY, {"httpRoute": {"sessionPersistence": sticky}})
    route = chart.Rendered({"edge": edge}).one("HTTPRoute", "rel-lectern-edge")
    assert route["spec"]["rules"][0]["sessionPersistence"] == sticky
