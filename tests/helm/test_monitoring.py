"""monitors.yaml, prometheusrule.yaml and dashboard.yaml."""

import json

import pytest
import yaml

import chart


def test_nothing_is_watched_unless_it_is_said(least):
    assert not {"ServiceMonitor", "PodMonitor", "PrometheusRule"} & {each["kind"] for each in least.all}


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_each_role_s_metrics_are_read(kind):
    value = kind[0].lower() + kind[1:]
    release = chart.Rendered({"monitoring": {value: {"enabled": True, "labels": {"release": "p"}, "interval": "5s"}}})
    monitors = release.kind(kind)
    assert sorted(monitors) == ["rel-lectern-edge", "rel-lectern-origin"]
    for role in ("origin", "edge"):
        monitor = monitors[f"rel-lectern-{role}"]
        assert monitor["metadata"]["labels"]["release"] == "p"
        selector = monitor["spec"]["selector"]["matchLabels"]
        [endpoint] = monitor["spec"]["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
        assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("ops", "/metrics", "5s")
        assert {"targetLabel": "job", "replacement": f"lectern-{role}"} in endpoint["relabelings"]
        if kind == "ServiceMonitor":
            found = [n for n, s in release.kind("Service").items() if chart.matches(selector, s["metadata"]["labels"])]
            assert found == [f"rel-lectern-{role}-ops"], "metrics are read once"
        else:
            pods = release.workload(role)["spec"]["template"]["metadata"]["labels"]
            assert chart.matches(selector, pods)


def test_the_rules_are_those_of_the_file():
    release = chart.Rendered({"monitoring": {"prometheusRule": {"enabled": True, "labels": {"release": "p"}}}})
    [rule] = release.kind("PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load((chart.CHART / "files" / "rules.yaml").read_text())
    assert rule["metadata"]["labels"]["release"] == "p"


def test_the_dashboard_is_that_of_the_file():
    release = chart.Rendered({"monitoring": {"dashboard": {"enabled": True, "annotations": {"folder": "Live"}}}})
    made = release.one("ConfigMap", "rel-lectern-dashboard")
    assert json.loads(made["data"]["lectern.json"]) == json.loads((chart.CHART / "files" / "dashboard.json").read_text())
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["annotations"] == {"folder": "Live"}
