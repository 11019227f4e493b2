"""serviceaccount.yaml."""

import chart


def test_each_role_has_an_account_without_a_token():
    release = chart.Rendered({"serviceAccount": {"annotations": {"a": "b"}}})
    for role in ("origin", "edge"):
        account = release.one("ServiceAccount", release.pod(role)["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False
        assert account["metadata"]["annotations"] == {"a": "b"}


def test_one_that_is_there_is_used():
    release = chart.Rendered({"serviceAccount": {"create": False, "name": "mine"}})
    assert not release.kind("ServiceAccount")
    assert release.pod("edge")["serviceAccountName"] == "mine"
    unnamed = chart.Rendered({"serviceAccount": {"create": False}})
    assert unnamed.pod("edge")["serviceAccountName"] == "default"
