"""edge-hpa.yaml."""

import chart


def scaler(**autoscaling):
    release = chart.Rendered({"edge": {"autoscaling": {"enabled": True, **autoscaling}}})
    [found] = release.kind("HorizontalPodAutoscaler").values()
    target = found["spec"]["scaleTargetRef"]
    assert release.one(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    return found["spec"]


def test_there_is_none_unless_it_is_said(least):
    assert not least.kind("HorizontalPodAutoscaler")


def test_by_cpu():
    spec = scaler(minReplicas=3, maxReplicas=12)
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 12)
    [cpu] = spec["metrics"]
    assert cpu["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}


def test_by_viewers_and_by_what_is_sent():
    spec = scaler(targetCPUUtilizationPercentage=0, targetViewers=1200, targetEgress="800M")
    told = {each["pods"]["metric"]["name"]: each["pods"]["target"]["averageValue"] for each in spec["metrics"]}
    assert told == {"lectern_edge_viewers": "1200", "lectern_edge_egress_bits_per_second": "800M"}


def test_it_goes_down_slowly():
    down = scaler()["behavior"]["scaleDown"]
    # Each edge that goes costs its viewers a move.
    assert down["stabilizationWindowSeconds"] >= 300
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]
