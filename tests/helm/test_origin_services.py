"""origin-services.yaml and origin-media-services.yaml."""

import chart


def test_edges_find_every_origin_by_one_name_also_one_that_is_not_ready(least):
    spec = least.one("Service", "rel-lectern-origin-relay")["spec"]
    assert spec["clusterIP"] == "None" and spec["publishNotReadyAddresses"] is True
    assert spec["ports"] == [{"name": "relay", "port": 4443, "targetPort": "relay", "protocol": "UDP"}]


def test_encoders_come_by_a_load_balancer_that_keeps_their_addresses(least):
    spec = least.one("Service", "rel-lectern-origin-rtmp")["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert spec["ports"][0]["port"] == 1935


def test_rtmp_as_it_is_asked_for():
    def rtmp(service):
        release = chart.Rendered({"origin": {"rtmp": {"service": service}}})
        return release.one("Service", "rel-lectern-origin-rtmp")

    held = rtmp({"loadBalancerSourceRanges": ["192.0.2.0/24"], "annotations": {"a": "b"}, "port": 19350})
    assert held["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert held["metadata"]["annotations"] == {"a": "b"}
    assert held["spec"]["ports"][0]["port"] == 19350
    assert rtmp({"type": "NodePort", "nodePort": 31935})["spec"]["ports"][0]["nodePort"] == 31935
    # Kubernetes refuses the policy for a Service that nobody reaches from outside.
    assert "externalTrafficPolicy" not in rtmp({"type": "ClusterIP"})["spec"]


def test_a_publisher_stays_with_one_origin(least):
    spec = least.one("Service", "rel-lectern-origin")["spec"]
    assert (spec["type"], spec["sessionAffinity"]) == ("ClusterIP", "ClientIP")


def test_metrics_are_on_no_service_that_others_are_let_to(least):
    for name, service in least.kind("Service").items():
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert "ops" not in ports or (ports == {"ops"} and service["spec"]["clusterIP"] == "None"), name


def test_whip_s_media_by_a_load_balancer_for_each_origin():
    release = chart.Rendered(
        {
            "database": {"type": "postgres", "existingSecret": "db"},
            "origin": {
                "replicas": 2,
                "media": {"exposure": "loadBalancer", "addressSource": "list", "addresses": ["192.0.2.1", "192.0.2.2"]},
            },
        }
    )
    for ordinal in (0, 1):
        spec = release.one("Service", f"rel-lectern-origin-{ordinal}-media")["spec"]
        assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == f"rel-lectern-origin-{ordinal}"
        assert [(port["port"], port["protocol"]) for port in spec["ports"]] == [(8190, "UDP")]
    assert release.env("origin")["LECTERN_ORIGIN__MEDIA_ADDRESSES"] == '["192.0.2.1","192.0.2.2"]'


def test_host_ports_need_no_service(least):
    assert not [name for name in least.kind("Service") if name.endswith("-media")]


def test_edges_elsewhere_reach_each_origin():
    release = chart.Rendered(
        {
            "database": {"type": "postgres", "existingSecret": "db"},
            "origin": {"replicas": 2},
            "relay": {"external": {"enabled": True, "loadBalancerSourceRanges": ["192.0.2.0/24"]}},
        }
    )
    for ordinal in (0, 1):
        spec = release.one("Service", f"rel-lectern-origin-{ordinal}-relay")["spec"]
        assert spec["type"] == "LoadBalancer" and spec["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
        assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == f"rel-lectern-origin-{ordinal}"
