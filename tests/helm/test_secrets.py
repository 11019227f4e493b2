"""secret-relay-token.yaml, secret-relay-tls.yaml and secret-database.yaml: made where none is named."""

import base64
import shutil
import subprocess

import helm_python as helm
import pytest
import yaml

import chart

HOST = "rel-lectern-origin-relay.ns.svc.cluster.local"


def token(values=None):
    return chart.decoded(chart.Rendered(values).one("Secret", "rel-lectern-relay-token"))["tokens"].decode()


def test_a_token_is_made_that_the_binary_takes():
    made = token()
    assert len(made) >= 32 and made.isalnum()
    assert made != token(), "each release has its own"


def test_a_token_that_is_given_is_taken():
    assert token({"relay": {"token": {"value": "given-1"}}}) == "given-1"


def test_a_token_that_is_there_is_mounted_and_none_is_made():
    release = chart.Rendered({"relay": {"token": {"existingSecret": "mine", "existingSecretKey": "t"}}})
    assert "rel-lectern-relay-token" not in release.kind("Secret")
    for role in ("origin", "edge"):
        [volume] = [each for each in release.pod(role)["volumes"] if each["name"] == "relay"]
        secret = volume["projected"]["sources"][0]["secret"]
        assert secret == {"name": "mine", "items": [{"key": "t", "path": "tokens"}]}


def test_the_relay_s_certificate_is_for_the_name_that_edges_use(least, tmp_path):
    secret = least.one("Secret", "rel-lectern-relay-tls")
    assert secret["type"] == "kubernetes.io/tls"
    for name, content in chart.decoded(secret).items():
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "verify", "-CAfile", tmp_path / "ca.crt", "-verify_hostname", HOST, tmp_path / "tls.crt"]
    subprocess.run(command, check=True, capture_output=True)
    # Nine years from now it is still good.
    end = ["openssl", "x509", "-noout", "-checkend", str(9 * 365 * 86400), "-in", tmp_path / "tls.crt"]
    subprocess.run(end, check=True, capture_output=True)


def test_the_relay_s_certificate_is_for_further_names(tmp_path):
    release = chart.Rendered({"relay": {"tls": {"extraNames": ["origins.example.org"]}}})
    (tmp_path / "tls.crt").write_bytes(chart.decoded(release.one("Secret", "rel-lectern-relay-tls"))["tls.crt"])
    command = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", tmp_path / "tls.crt"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert HOST in shown and "origins.example.org" in shown


@pytest.mark.parametrize("mode", ["existing", "certManager"])
def test_no_certificate_is_made_where_others_do_it(mode):
    tls = {"mode": mode, **({"existingSecret": "mine"} if mode == "existing" else {})}
    release = chart.Rendered({"relay": {"tls": tls}})
    assert "rel-lectern-relay-tls" not in release.kind("Secret")
    [volume] = [each for each in release.pod("origin")["volumes"] if each["name"] == "relay"]
    wanted = "mine" if mode == "existing" else "rel-lectern-relay-tls"
    assert volume["projected"]["sources"][1]["secret"]["name"] == wanted


def upgraded(tmp_path, template, there, values=None):
    """What a Secret of the chart holds where the cluster has it already. There is none here: what `lookup` would find
    is put in its place."""
    copy = tmp_path / "lectern"
    shutil.copytree(chart.CHART, copy)
    source = (copy / "templates" / template).read_text()
    looked_up = '(lookup "v1" "Secret" .Release.Namespace $name)'
    assert source.count(looked_up) == 1
    found = " ".join(f'"{key}" "{base64.b64encode(value).decode()}"' for key, value in there.items())
    (copy / "templates" / template).write_text(source.replace(looked_up, f'(dict "data" (dict {found}))'))
    with helm.Chart.load(copy) as loaded:
        made = loaded.render(chart.merged(chart.NEEDED, values or {}), name="rel", namespace="ns")
    return chart.decoded(yaml.safe_load(made[f"lectern/templates/{template}"]))


def test_a_token_that_was_made_is_kept(tmp_path):
    made = {"tokens": b"of-the-first-install"}
    assert upgraded(tmp_path / "a", "secret-relay-token.yaml", made) == made
    given = {"relay": {"token": {"value": "another"}}}
    assert upgraded(tmp_path / "b", "secret-relay-token.yaml", made, given) == {"tokens": b"another"}


def test_a_certificate_that_was_made_is_kept_as_a_whole(tmp_path):
    made = {"ca.crt": b"a", "tls.crt": b"b", "tls.key": b"c"}
    assert upgraded(tmp_path / "a", "secret-relay-tls.yaml", made) == made
    # Of half of one nothing is of use.
    anew = upgraded(tmp_path / "b", "secret-relay-tls.yaml", {"tls.crt": b"b", "tls.key": b"c"})
    assert all(value.startswith(b"-----BEGIN") for value in anew.values()) and set(anew) == set(made)


def test_the_database_s_url_is_in_a_secret():
    url = "postgres://lectern:ge%20heim@db.example/lectern?sslmode=require"
    release = chart.Rendered({"database": {"type": "postgres", "url": url}})
    assert chart.decoded(release.one("Secret", "rel-lectern-database"))["url"].decode() == url
    named = chart.Rendered({"database": {"type": "postgres", "existingSecret": "mine", "existingSecretKey": "uri"}})
    assert "rel-lectern-database" not in named.kind("Secret")
    [variable] = [e for e in named.container("origin")["env"] if e["name"] == "LECTERN_ORIGIN__DATABASE"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "uri"}
