"""NOTES.txt: what the operator reads after an install."""

import chart


def test_they_say_where_to_begin(least):
    assert "http://studio.example.org/console#setup=" in least.notes
    assert "http://live.example.org/watch/ID" in least.notes
    assert "port 8189, UDP and TCP" in least.notes
    assert "INTERNAL-IP is what they are told" in least.notes
    assert "edge.media.addressSource to externalIP" in least.notes
    assert "helm -n ns test rel" in least.notes


def test_they_warn_of_what_will_be_missed(least):
    assert 'certificates.mode is "none"' in least.notes and "edge.ingress.annotations is empty" in least.notes
    mended = chart.Rendered(
        {"certificates": {"mode": "existing"}, "edge": {"ingress": {"annotations": {"affinity": "cookie"}}}}
    )
    assert 'certificates.mode is "none"' not in mended.notes
    assert "edge.ingress.annotations is empty" not in mended.notes
    assert "https://live.example.org/watch/ID" in mended.notes


def test_they_speak_of_what_is_there():
    edges = {"enabled": False}
    assert "Viewers come" not in chart.Rendered({"edge": edges}).notes
    listed = {"exposure": "loadBalancer", "addressSource": "list", "addresses": ["192.0.2.1"]}
    balanced = chart.Rendered({"edge": {"kind": "StatefulSet", "media": listed}}).notes
    assert "load balancer for each edge" in balanced and "EXTERNAL-IP" not in balanced
    assert "ca.crt" in chart.Rendered({"relay": {"external": {"enabled": True}}}).notes
