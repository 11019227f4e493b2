"""edge-workload.yaml, and edge-node-reader.yaml, by which its init container may ask for its node."""

import json

import chart


def addresses(values, role="edge"):
    return chart.Rendered(values).env(role)[f"LECTERN_{role.upper()}__MEDIA_ADDRESSES"]


def test_a_deployment_replaces_edges_one_by_one(least):
    workload = least.workload("edge")
    assert (workload["kind"], workload["spec"]["replicas"]) == ("Deployment", 2)
    # Two cannot have one port of a node.
    assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_daemon_set_is_on_each_node():
    workload = chart.Rendered({"edge": {"kind": "DaemonSet", "nodeSelector": {"a": "b"}}}).workload("edge")
    assert workload["kind"] == "DaemonSet" and "replicas" not in workload["spec"]
    assert workload["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0
    pod = workload["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"a": "b"} and "topologySpreadConstraints" not in pod


def test_a_stateful_set_gives_players_all_its_names():
    named = {"kind": "StatefulSet", "hosts": ["a.example", "b.example"], "commentOrigins": ["https://uni.example"]}
    release = chart.Rendered({"edge": named, "certificates": {"mode": "existing"}})
    assert release.workload("edge")["spec"]["serviceName"] in release.kind("Service")
    env = release.env("edge")
    assert json.loads(env["LECTERN_EDGE__SIBLINGS"]) == ["https://a.example", "https://b.example"]
    # Who came by the common name and was moved to one edge's writes comments there.
    assert json.loads(env["LECTERN_EDGE__COMMENT_ORIGINS"]) == [
        "https://live.example.org",
        "https://uni.example",
    ]


def test_sites_may_write_without_names_of_edges():
    env = chart.Rendered({"edge": {"commentOrigins": ["https://uni.example"]}}).env("edge")
    assert json.loads(env["LECTERN_EDGE__COMMENT_ORIGINS"]) == ["https://uni.example"]


def test_edges_of_one_name_have_no_siblings(least):
    assert not {"LECTERN_EDGE__SIBLINGS", "LECTERN_EDGE__COMMENT_ORIGINS"} & set(least.env("edge"))


def test_the_autoscaler_has_the_number_to_itself():
    assert "replicas" not in chart.Rendered({"edge": {"autoscaling": {"enabled": True}}}).workload("edge")["spec"]


def test_host_ports_are_udp_and_tcp_of_one_number(least):
    ports = {each["name"]: each for each in least.container("edge")["ports"]}
    assert (ports["media"]["hostPort"], ports["media"]["protocol"]) == (8189, "UDP")
    assert (ports["media-tcp"]["hostPort"], ports["media-tcp"]["protocol"]) == (8189, "TCP")
    assert least.env("edge")["LECTERN_EDGE__MEDIA"] == "0.0.0.0:8189"


def test_without_tcp_none_is_offered():
    release = chart.Rendered({"edge": {"media": {"tcp": False}}})
    assert release.env("edge")["LECTERN_EDGE__MEDIA_TCP_MAX"] == "0"
    assert "media-tcp" not in {each["name"] for each in release.container("edge")["ports"]}


def test_a_node_port_is_listened_on_under_its_own_number_by_one_edge_of_a_node():
    media = {"exposure": "nodePort", "port": 30189}
    given = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "rack"}]}}
    release = chart.Rendered({"edge": {"media": media, "affinity": given}})
    assert release.env("edge")["LECTERN_EDGE__MEDIA"] == "0.0.0.0:30189"
    assert all("hostPort" not in each for each in release.container("edge")["ports"])
    affinity = release.pod("edge")["affinity"]["podAntiAffinity"]
    [rack, node] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rack["topologyKey"] == "rack" and node["topologyKey"] == "kubernetes.io/hostname"
    labels = release.workload("edge")["spec"]["template"]["metadata"]["labels"]
    assert chart.matches(node["labelSelector"]["matchLabels"], labels)


def test_viewers_are_told_addresses_as_it_is_said():
    assert addresses({}) == '["$(NODE_ADDRESS)"]'
    assert addresses({"edge": {"media": {"addressSource": "hostIPs"}}}) == "[$(NODE_ADDRESSES)]"
    listed = {"addressSource": "list", "addresses": ["203.0.113.7", "[2001:db8::1]:30189"]}
    assert json.loads(addresses({"edge": {"media": listed}})) == listed["addresses"]
    own = chart.Rendered({"edge": {"media": {"addressSource": "interfaces"}}}).env("edge")
    assert "LECTERN_EDGE__MEDIA_ADDRESSES" not in own


def test_a_node_s_address_is_known_before_it_is_used(least):
    names = [each["name"] for each in least.container("edge")["env"]]
    assert names.index("NODE_ADDRESS") < names.index("LECTERN_EDGE__MEDIA_ADDRESSES")
    [address] = [each for each in least.container("edge")["env"] if each["name"] == "NODE_ADDRESS"]
    assert address["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"


def test_an_init_container_and_nobody_else_asks_for_the_node_s_address_outside():
    release = chart.Rendered({"edge": {"media": {"addressSource": "externalIP"}}})
    [finds], edge = release.pod("edge")["initContainers"], release.container("edge")
    file = finds["args"][finds["args"].index("--out") + 1]
    assert finds["args"][:2] == ["find-address", "--kubernetes"] and finds["image"] == edge["image"]
    assert release.env("edge")["LECTERN_EDGE__MEDIA_ADDRESSES_FILE"] == file
    assert "LECTERN_EDGE__MEDIA_ADDRESSES" not in release.env("edge")
    mounts = lambda container: {each["name"]: each for each in container["volumeMounts"]}
    assert file.startswith(mounts(finds)["addresses"]["mountPath"] + "/")
    assert mounts(finds)["addresses"]["mountPath"] == mounts(edge)["addresses"]["mountPath"]
    assert "account" in mounts(finds) and "account" not in mounts(edge)
    [role], [binding] = release.kind("ClusterRole").values(), release.kind("ClusterRoleBinding").values()
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    [subject] = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (release.pod("edge")["serviceAccountName"], "ns")


def test_nobody_asks_the_api_unless_that_is_wanted(least):
    assert "initContainers" not in least.pod("edge")
    assert not least.kind("ClusterRole") and not least.kind("ClusterRoleBinding")


def test_the_upstream_is_every_origin_of_the_release_or_who_is_named(least):
    [host] = json.loads(least.env("edge")["LECTERN_EDGE__UPSTREAM"])
    assert host == "rel-lectern-origin-relay.ns.svc.cluster.local:4443"
    assert least.one("Service", "rel-lectern-origin-relay")["spec"]["clusterIP"] == "None"
    other = chart.Rendered({"edge": {"upstream": ["a.example:4443"]}})
    assert json.loads(other.env("edge")["LECTERN_EDGE__UPSTREAM"]) == ["a.example:4443"]


def test_an_edge_is_given_the_authority_and_not_the_key(least):
    [relay] = [each for each in least.pod("edge")["volumes"] if each["name"] == "relay"]
    items = [item["path"] for source in relay["projected"]["sources"] for item in source["secret"]["items"]]
    assert sorted(items) == ["ca.crt", "tokens"]


def test_liveness_does_not_ask_for_the_upstream(least):
    container = least.container("edge")
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_grace_period_covers_the_drain():
    release = chart.Rendered({"edge": {"drainSeconds": 300, "preStopSeconds": 12}})
    assert release.env("edge")["LECTERN_EDGE__DRAIN_SECS"] == "300"
    # The pause, the drain, and DRAIN_MAX of src/role.rs, which comes after it.
    assert release.pod("edge")["terminationGracePeriodSeconds"] > 12 + 300 + 5
    assert release.container("edge")["lifecycle"] == {"preStop": {"sleep": {"seconds": 12}}}


def test_https_of_its_own():
    https = {"enabled": True, "hostPort": 443}
    release = chart.Rendered({"edge": {"https": https}, "certificates": {"mode": "existing", "edgeSecret": "wild"}})
    env = release.env("edge")
    assert env["LECTERN_EDGE__HTTPS"] == "0.0.0.0:8443"
    [mount] = [each for each in release.container("edge")["volumeMounts"] if each["name"] == "tls"]
    assert env["LECTERN_EDGE__TLS_CERTIFICATE"] == mount["mountPath"] + "/tls.crt"
    # With subPath a renewed certificate would never be seen.
    assert "subPath" not in mount
    [volume] = [each for each in release.pod("edge")["volumes"] if each["name"] == "tls"]
    assert volume["secret"]["secretName"] == "wild"
    [port] = [each for each in release.container("edge")["ports"] if each["name"] == "https"]
    assert (port["containerPort"], port["hostPort"]) == (8443, 443)


def test_edges_are_spread_as_far_as_possible(least):
    constraints = least.pod("edge")["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    labels = least.workload("edge")["spec"]["template"]["metadata"]["labels"]
    assert all(chart.matches(each["labelSelector"]["matchLabels"], labels) for each in constraints)
