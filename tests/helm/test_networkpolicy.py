"""networkpolicy.yaml."""

import chart


def ingress(release, role, port):
    """Rules that let somebody to a port."""
    rules = release.one("NetworkPolicy", f"rel-lectern-{role}")["spec"]["ingress"]
    return [rule for rule in rules if port in {each["port"] for each in rule["ports"]}]


def anybody(rules):
    return any(not rule.get("from") for rule in rules)


def test_viewers_and_encoders_come_from_anywhere(least):
    assert all(anybody(ingress(least, "edge", port)) for port in ("media", "media-tcp", "http"))
    assert all(anybody(ingress(least, "origin", port)) for port in ("rtmp", "media", "http"))


def test_the_relay_is_for_edges(least):
    [rule] = ingress(least, "origin", "relay")
    [peer] = rule["from"]
    labels = least.workload("edge")["spec"]["template"]["metadata"]["labels"]
    assert chart.matches(peer["podSelector"]["matchLabels"], labels)


def test_the_relay_may_be_for_others():
    listed = {"networkPolicy": {"relayFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}}
    external = {"relay": {"external": {"enabled": True}}}
    assert {"ipBlock": {"cidr": "192.0.2.0/24"}} in ingress(chart.Rendered(listed), "origin", "relay")[0]["from"]
    assert anybody(ingress(chart.Rendered(external), "origin", "relay"))
    assert not anybody(ingress(chart.Rendered({**listed, **external}), "origin", "relay"))


def test_metrics_are_for_pods_of_the_cluster_or_those_that_are_named(least):
    assert not anybody(ingress(least, "edge", "ops"))
    prometheus = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    release = chart.Rendered({"networkPolicy": {"opsFrom": [prometheus]}})
    for role in ("origin", "edge"):
        [rule] = ingress(release, role, "ops")
        assert rule["from"][0] == prometheus and {"namespaceSelector": {}} not in rule["from"]


def test_helm_test_gets_in_where_others_do_not():
    release = chart.Rendered({"networkPolicy": {"httpFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]}})
    [pod] = release.kind("Pod").values()
    for role in ("origin", "edge"):
        for port in ("http", "ops"):
            [rule] = ingress(release, role, port)
            assert any(
                chart.matches(peer["podSelector"]["matchLabels"], pod["metadata"]["labels"])
                for peer in rule["from"]
                if "podSelector" in peer
            )


def test_edges_go_to_origins_and_dns_and_nowhere_else(least):
    spec = least.one("NetworkPolicy", "rel-lectern-edge")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    dns, relay = spec["egress"]
    assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    labels = least.workload("origin")["spec"]["template"]["metadata"]["labels"]
    assert chart.matches(relay["to"][0]["podSelector"]["matchLabels"], labels)
    assert relay["ports"] == [{"port": "relay", "protocol": "UDP"}]


def test_who_asks_for_the_node_s_address_gets_to_the_api():
    release = chart.Rendered({"edge": {"media": {"addressSource": "externalIP"}}})
    egress = release.one("NetworkPolicy", "rel-lectern-edge")["spec"]["egress"]
    assert [each["port"] for each in egress[1]["ports"]] == [443, 6443]


def test_upstreams_elsewhere_are_let_through_by_their_ports():
    release = chart.Rendered({"edge": {"upstream": ["a.example:4443", "[2001:db8::1]:4444"]}})
    egress = release.one("NetworkPolicy", "rel-lectern-edge")["spec"]["egress"]
    assert [each["port"] for each in egress[1]["ports"]] == [4443, 4444]


def test_it_can_be_left_to_others():
    assert not chart.Rendered({"networkPolicy": {"enabled": False}}).kind("NetworkPolicy")
    spec = chart.Rendered({"networkPolicy": {"restrictEdgeEgress": False}}).one("NetworkPolicy", "rel-lectern-edge")
    assert spec["spec"]["policyTypes"] == ["Ingress"] and "egress" not in spec["spec"]
