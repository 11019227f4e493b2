"""certificates.yaml: what cert-manager is asked for."""

import chart

ISSUED = {"certificates": {"mode": "certManager", "issuerRef": {"name": "letsencrypt"}}}


def test_nothing_is_asked_for_unless_it_is_said(least):
    assert not least.kind("Certificate") and not least.kind("Issuer")


def test_every_name_that_browsers_see_is_in_a_certificate():
    named = {"kind": "StatefulSet", "hosts": ["live.example.org", "edge-1.example.org"]}
    release = chart.Rendered({**ISSUED, "edge": named})
    edge = release.one("Certificate", "rel-lectern-edge")["spec"]
    assert edge["dnsNames"] == ["live.example.org", "edge-1.example.org"]
    assert edge["issuerRef"] == {"name": "letsencrypt", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    origin = release.one("Certificate", "rel-lectern-origin")["spec"]
    assert origin["dnsNames"] == ["studio.example.org"]
    for role, spec in (("edge", edge), ("origin", origin)):
        [tls] = release.one("Ingress", f"rel-lectern-{role}")["spec"]["tls"]
        assert tls["secretName"] == spec["secretName"]
        assert set(tls["hosts"]) == set(spec["dnsNames"])


def test_the_relay_gets_an_authority_of_its_own():
    release = chart.Rendered({"relay": {"tls": {"mode": "certManager"}}})
    authority = release.one("Certificate", "rel-lectern-relay-ca")["spec"]
    assert authority["isCA"] is True
    assert authority["issuerRef"]["name"] in release.kind("Issuer")
    issuer = release.one("Issuer", "rel-lectern-relay-ca")["spec"]
    assert issuer == {"ca": {"secretName": authority["secretName"]}}
    leaf = release.one("Certificate", "rel-lectern-relay")["spec"]
    assert leaf["issuerRef"]["name"] == "rel-lectern-relay-ca"
    assert leaf["dnsNames"] == ["rel-lectern-origin-relay.ns.svc.cluster.local"]


def test_the_relay_s_issuer_may_be_another():
    issuer = {"name": "company", "kind": "ClusterIssuer"}
    release = chart.Rendered({"relay": {"tls": {"mode": "certManager", "issuerRef": issuer}}})
    assert not release.kind("Issuer") and list(release.kind("Certificate")) == ["rel-lectern-relay"]
    assert release.one("Certificate", "rel-lectern-relay")["spec"]["issuerRef"]["name"] == "company"
