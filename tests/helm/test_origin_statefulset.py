"""origin-statefulset.yaml."""

import chart

POSTGRES = {"type": "postgres", "url": "postgres://lectern:geheim@db.example/lectern"}


def test_sqlite_is_in_a_volume_that_outlives_the_pod(least):
    spec = least.workload("origin")["spec"]
    assert spec["replicas"] == 1
    [claim] = spec["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    mounts = {each["name"]: each["mountPath"] for each in least.container("origin")["volumeMounts"]}
    assert mounts["data"] == least.env("origin")["LECTERN_DATA_DIR"] == "/var/lib/lectern"
    assert "LECTERN_ORIGIN__DATABASE" not in least.env("origin")


def test_the_volume_is_as_it_is_asked_for():
    wanted = {"size": "20Gi", "storageClass": "fast", "annotations": {"a": "b"}, "accessModes": ["ReadWriteOncePod"]}
    [claim] = chart.Rendered({"origin": {"persistence": wanted}}).workload("origin")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["annotations"] == {"a": "b"}
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_postgresql_comes_from_a_secret_and_needs_no_volume():
    release = chart.Rendered({"database": POSTGRES, "origin": {"replicas": 3}})
    assert release.workload("origin")["spec"]["replicas"] == 3
    assert "volumeClaimTemplates" not in release.workload("origin")["spec"]
    [url] = [each for each in release.container("origin")["env"] if each["name"] == "LECTERN_ORIGIN__DATABASE"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "rel-lectern-database", "key": "url"}
    [data] = [each for each in release.pod("origin")["volumes"] if each["name"] == "data"]
    assert "emptyDir" in data


def test_every_port_is_where_the_chart_says(least):
    env = least.env("origin")
    for key, port in {"RTMP": 1935, "RELAY": 4443, "HTTP": 8088, "OPS": 9090, "MEDIA": 8190}.items():
        assert env[f"LECTERN_ORIGIN__{key}"] == f"0.0.0.0:{port}"
    ports = {each["name"]: each for each in least.container("origin")["ports"]}
    assert ports["relay"]["protocol"] == ports["media"]["protocol"] == "UDP"
    assert ports["media"]["hostPort"] == 8190


def test_both_families_are_listened_on_if_it_is_said():
    assert chart.Rendered({"listenAddress": "::"}).env("origin")["LECTERN_ORIGIN__RTMP"] == "[::]:1935"


def test_links_for_viewers_lead_to_edges():
    def link(values):
        return chart.Rendered(values).env("origin")["LECTERN_ORIGIN__WATCH_URL"]

    assert link({}) == "http://live.example.org/watch/"
    assert link({"certificates": {"mode": "existing"}}) == "https://live.example.org/watch/"
    assert link({"edge": {"scheme": "https"}}) == "https://live.example.org/watch/"


def test_without_a_way_for_media_there_is_no_whip():
    release = chart.Rendered({"origin": {"media": {"exposure": "none"}}})
    assert release.env("origin")["LECTERN_ORIGIN__WHIP_SESSIONS_MAX"] == "0"
    assert "media" not in {each["name"] for each in release.container("origin")["ports"]}
    assert "LECTERN_ORIGIN__MEDIA_ADDRESSES" not in release.env("origin")


def test_probes_differ(least):
    container = least.container("origin")
    paths = [container[each]["httpGet"]["path"] for each in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert paths == ["/healthz", "/healthz", "/readyz"]
    assert all(container[each]["httpGet"]["port"] == "ops" for each in ("startupProbe", "livenessProbe"))
    # A database that does not answer at the start is waited for.
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120


def test_there_is_time_to_stop(least):
    pod = least.pod("origin")
    pause = least.container("origin")["lifecycle"]["preStop"]["sleep"]["seconds"]
    # DRAIN_MAX of src/role.rs is five seconds.
    assert pod["terminationGracePeriodSeconds"] >= pause + 5 + 10


def test_a_change_of_the_configuration_restarts_it_and_nothing_else_does():
    def checksums(values):
        annotations = chart.Rendered(values).workload("origin")["spec"]["template"]["metadata"]["annotations"]
        return {key: value for key, value in annotations.items() if key.startswith("checksum/")}

    before = checksums({})
    assert checksums({"origin": {"config": "[origin]\n"}}) != before
    assert checksums({"edge": {"config": "[edge]\n"}}) == before
    database = [checksums({"database": {**POSTGRES, "url": f"postgres://{each}@db/l"}}) for each in "ab"]
    assert database[0] != database[1] and "geheim" not in str(database)


def test_an_image_of_its_own():
    release = chart.Rendered({"image": {"digest": "sha256:" + "a" * 64}, "origin": {"image": {"tag": "1-ffmpeg"}}})
    assert release.container("origin")["image"] == "registry.example.org/lectern:1-ffmpeg"
    assert release.container("edge")["image"] == "registry.example.org/lectern@sha256:" + "a" * 64
    tagged = chart.Rendered({"image": {"tag": "2"}})
    assert tagged.container("origin")["image"] == "registry.example.org/lectern:2"
