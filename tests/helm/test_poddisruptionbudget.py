"""poddisruptionbudget.yaml."""

import chart


def test_nodes_are_drained_one_pod_at_a_time(least):
    for role in ("origin", "edge"):
        spec = least.one("PodDisruptionBudget", f"rel-lectern-{role}")["spec"]
        # With one origin "minAvailable" would keep its node from ever being drained.
        assert spec["maxUnavailable"] == 1 and "minAvailable" not in spec
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        labels = least.workload(role)["spec"]["template"]["metadata"]["labels"]
        assert chart.matches(spec["selector"]["matchLabels"], labels)


def test_a_share_may_be_given():
    release = chart.Rendered({"edge": {"podDisruptionBudget": {"maxUnavailable": "10%"}}})
    assert release.one("PodDisruptionBudget", "rel-lectern-edge")["spec"]["maxUnavailable"] == "10%"


def test_there_is_none_where_it_has_no_meaning():
    daemons = chart.Rendered({"edge": {"kind": "DaemonSet"}, "origin": {"podDisruptionBudget": {"enabled": False}}})
    assert not daemons.kind("PodDisruptionBudget")
